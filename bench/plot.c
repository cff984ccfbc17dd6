/* The plot is a script, with its numbers in data blocks, that a gnuplot of our own reads from one end of a socket;
 * the drawing comes back by the same socket. A socket and not two pipes, because a send can be told not to raise
 * SIGPIPE, which would end the process where gnuplot dies early.
 *
 * gnuplot executes `commands` inside "double quotes" and in bare text, but nothing inside 'single quotes', where even
 * a backslash is only itself. So every name is single-quoted, and what could end the quotes is replaced: a quote by the
 * typographic one (gnuplot misreads a doubled one at the start), a line end, like other control characters, by a
 * blank. */
#include "bench/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "bench/html.h"

#define LIMIT_MS 60000
#define NAME_MAX_SHOWN 28 /* characters; a longer name would push the plot out of its picture */

extern char **environ;

/* ---- the script ---- */

void hem__gnuplot_name(FILE *script, const char *name, bool format) {
  fputc('\'', script);
  for (size_t shown = 0; *name; shown++) {
    uint32_t c;
    size_t size = hem__utf8_next(name, &c);
    if (shown == NAME_MAX_SHOWN) {
      fputs("…", script);
      break;
    }
    if (c < 0x20)
      fputc(' ', script);
    else if (c == '\'')
      fputs("’", script);
    else if (c == 0xFFFD)
      fputs("\xEF\xBF\xBD", script);
    else
      fwrite(name, 1, size, script);
    if (format && c == '%') fputc('%', script);
    name += size;
  }
  fputc('\'', script);
}

static size_t width_of(const hem__plot *plot) {
  size_t bars = plot->group_count * (plot->series_count + 1);
  return plot->kind == HEM__PLOT_CURVES ? 960 : hem__min(hem__max(960, bars * 18), 6000);
}

/* Side by side they would run into each other. */
static bool names_are_long(const hem__plot *plot) {
  enum { LETTER = 7 };
  size_t longest = 0;
  for (size_t i = 0; i < plot->group_count; i++)
    longest = hem__max(longest, hem__min(strlen(plot->groups[i]), NAME_MAX_SHOWN));
  return (longest + 1) * LETTER * plot->group_count > width_of(plot);
}

static void put_frame(FILE *script, const hem__plot *plot) {
  size_t width = width_of(plot);
  fprintf(script,
          "set terminal svg noenhanced size %zu,400 font 'sans-serif,13'\n"
          "set encoding utf8\n"
          "set border 1 lc rgb '#8c8c8c'\n"
          "set tics nomirror scale 0 textcolor rgb '#555555'\n"
          "set grid ytics lt 1 lw 0.7 lc rgb '#d4d4d4'\n"
          "set key outside top left horizontal Left reverse samplen 1.5\n"
          "set yrange [%s:*%s]\n"
          "set offsets 0,0,graph 0.02,0\n",
          width, plot->kind == HEM__PLOT_DOTS ? "*" : "0", plot->percent ? "<100" : "");
  if (plot->across) fputs("set xlabel ", script), hem__gnuplot_name(script, plot->across, false), fputc('\n', script);
  if (plot->up) fputs("set ylabel ", script), hem__gnuplot_name(script, plot->up, false), fputc('\n', script);
}

static void put_axis(FILE *script, const hem__plot *plot) {
  size_t last = plot->group_count - 1;
  if (plot->kind == HEM__PLOT_CURVES && plot->linear) {
    fputs("set xtics autofreq\n", script);
    return;
  }
  if (plot->kind == HEM__PLOT_CURVES)
    fprintf(script, "set logscale x\nset xrange [%g:%g]\n", plot->at[0] / 1.1, plot->at[last] * 1.1);
  else
    fprintf(script, "set xrange [-0.6:%g]\n", (double)last + 0.6);
  fputs(plot->kind != HEM__PLOT_CURVES && names_are_long(plot) ? "set xtics rotate by -30 left\nset rmargin 12\n" : "",
        script);
  fputs("set xtics (", script);
  for (size_t i = 0; i <= last; i++) {
    if (i) fputs(", ", script);
    if (plot->kind == HEM__PLOT_CURVES) {
      fprintf(script, "'%g' %g", plot->at[i], plot->at[i]);
    } else {
      hem__gnuplot_name(script, plot->groups[i], true);
      fprintf(script, " %zu", i);
    }
  }
  fputs(")\n", script);
}

/* Where a group's series stand side by side: each takes one part, and one part is left free between groups. */
static double place(const hem__plot *plot, size_t group, size_t series) {
  if (plot->kind == HEM__PLOT_CURVES) return plot->at[group];
  double middle = (double)(plot->series_count - 1) / 2;
  return (double)group + ((double)series - middle) / (double)(plot->series_count + 1);
}

static void put_data(FILE *script, const hem__plot *plot, size_t series) {
  fprintf(script, "$s%zu << END\n", series);
  for (size_t i = 0; i < plot->group_count; i++) {
    const hem__plot_point *p = &plot->points[i * plot->series_count + series];
    if (isfinite(p->value)) fprintf(script, "%g %g %g %g\n", place(plot, i, series), p->value, p->low, p->high);
  }
  fputs("END\n", script);
}

/* Intervals are bands around curves, and lines above bars and behind dots. */
static void put_intervals(FILE *script, const hem__plot *plot, size_t series, const char *colour) {
  if (plot->kind == HEM__PLOT_CURVES)
    fprintf(script, "$s%zu using 1:3:4 with filledcurves fs transparent solid 0.13 noborder lc rgb '%s' notitle, ",
            series, colour);
  else
    fprintf(script, "$s%zu using 1:3:(0):($4-$3) with vectors nohead lw 1.2 lc rgb '%s' notitle, ", series,
            plot->kind == HEM__PLOT_BARS ? "#333333" : colour);
}

static void put_series(FILE *script, const hem__plot *plot, size_t series) {
  static const char *const colours[] = {"#3a78bf", "#d98324", "#2f9e77", "#ac58a0", "#c2503f", "#35a3b8", "#8f7440"};
  static const char *const styles[] = {[HEM__PLOT_BARS] = "boxes fs solid noborder",
                                       [HEM__PLOT_DOTS] = "points ps 0.8",
                                       [HEM__PLOT_CURVES] = "linespoints lw 2 ps 0.6"};
  bool chance = plot->chance && series + 1 == plot->series_count;
  const char *colour = chance ? "#8c8c8c" : colours[series % (sizeof colours / sizeof *colours)];
  const char *style = chance && plot->kind == HEM__PLOT_CURVES ? "lines lw 2 dt 2" : styles[plot->kind];
  if (!chance && plot->kind != HEM__PLOT_BARS) put_intervals(script, plot, series, colour);
  fprintf(script, "$s%zu using 1:2 with %s lc rgb '%s'", series, style, colour);
  if (!chance && plot->kind != HEM__PLOT_BARS) fprintf(script, " pt %zu", 5 + 2 * (series % 6));
  fputs(" title ", script);
  hem__gnuplot_name(script, plot->series[series], false);
  fputs(", ", script);
  if (!chance && plot->kind == HEM__PLOT_BARS) put_intervals(script, plot, series, colour);
}

static hem_status write_script(const hem__plot *plot, char **text, size_t *size, hem_error *err) {
  FILE *script = open_memstream(text, size);
  if (!script) return hem__fail(err, HEM_ENOMEM, "no memory for a plot");
  put_frame(script, plot);
  put_axis(script, plot);
  if (plot->kind != HEM__PLOT_CURVES) fprintf(script, "set boxwidth %g\n", 0.92 / (double)(plot->series_count + 1));
  for (size_t i = 0; i < plot->series_count; i++) put_data(script, plot, i);
  fputs("plot ", script);
  for (size_t i = 0; i < plot->series_count; i++) put_series(script, plot, i);
  fputs("NaN notitle\n", script); /* after the last comma */
  bool bad = ferror(script);
  return fclose(script) == 0 && !bad ? HEM_OK : hem__fail(err, HEM_ENOMEM, "no memory for a plot");
}

/* ---- the child ---- */

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Its messages are dropped: they would land amid our own. */
static hem_status start(int socket, pid_t *child, hem_error *err) {
  char *const argv[] = {"gnuplot", "--default-settings", NULL};
  posix_spawn_file_actions_t actions;
  int failed = posix_spawn_file_actions_init(&actions);
  if (!failed) {
    failed = posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
    if (!failed) failed = posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
    if (!failed) failed = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!failed) failed = posix_spawnp(child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
  }
  if (!failed) return HEM_OK;
  return hem__fail(err, failed == ENOMEM ? HEM_ENOMEM : HEM_EUNSUPPORTED,
                   "gnuplot does not start (%s): install gnuplot-nox, or put gnuplot on the PATH", strerror(failed));
}

typedef struct talk {
  int socket;
  const char *script;
  size_t left; /* of the script */
  char *answer;
  size_t size, capacity;
} talk;

static void send_some(talk *t) {
  ssize_t sent = send(t->socket, t->script, t->left, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
  size_t done = sent < 0 ? t->left : (size_t)sent; /* it reads no more; what it says now tells why */
  t->script += done;
  t->left -= done;
  if (!t->left) shutdown(t->socket, SHUT_WR);
}

static hem_status receive_some(talk *t, bool *ended, hem_error *err) {
  enum { PART = 65536 };
  hem_status status = hem__grow(&t->answer, &t->capacity, t->size + PART + 1, 1, "a plot", err);
  if (status) return status;
  ssize_t got = recv(t->socket, t->answer + t->size, PART, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return HEM_OK;
  *ended = got <= 0;
  if (got > 0) t->size += (size_t)got;
  t->answer[t->size] = '\0';
  return HEM_OK;
}

/* Sends and receives by turns: were the whole script sent first, a child that answers early would wait for us to
 * read while we wait for it to. */
static hem_status converse(talk *t, int64_t deadline, hem_error *err) {
  hem_status status = HEM_OK;
  for (bool ended = false; !status && !ended;) {
    struct pollfd ready = {.fd = t->socket, .events = (short)(t->left ? POLLIN | POLLOUT : POLLIN)};
    int64_t rest = deadline - now_ms();
    if (rest <= 0) return hem__fail(err, HEM_EIO, "gnuplot has not drawn a plot in %d seconds", LIMIT_MS / 1000);
    if (poll(&ready, 1, (int)rest) <= 0) continue;
    if (ready.revents & POLLOUT) send_some(t);
    if (ready.revents & ~POLLOUT) status = receive_some(t, &ended, err);
  }
  return status;
}

/* Leaves no child behind, not even one that closed its output and goes on. */
static int reap(pid_t child, int64_t deadline) {
  int how = 0;
  while (waitpid(child, &how, WNOHANG) == 0) {
    if (now_ms() >= deadline) kill(child, SIGKILL);
    poll(NULL, 0, 2);
  }
  return how;
}

hem_status hem__gnuplot_run(const char *script, size_t size, char **answer, size_t *answer_size, hem_error *err) {
  int ends[2], how;
  pid_t child = -1;
  int64_t deadline = now_ms() + LIMIT_MS;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return hem__fail_errno(err, "cannot make a socket for gnuplot");
  talk t = {.socket = ends[0], .script = script, .left = size};
  hem_status status = start(ends[1], &child, err);
  close(ends[1]);
  if (status) goto exit;
  status = converse(&t, deadline, err);
  how = reap(child, status ? 0 : deadline);
  if (status) goto exit;
  if (how != 0 || t.size == 0) {
    status = hem__fail(err, HEM_EUNSUPPORTED, "gnuplot drew nothing (it left with %d): install version 5.2 or newer",
                       WIFEXITED(how) ? WEXITSTATUS(how) : -1);
    goto exit;
  }
  *answer = t.answer;
  *answer_size = t.size;
  t.answer = NULL;
exit:
  free(t.answer);
  close(ends[0]);
  return status;
}

hem_status hem__plot_draw(const hem__plot *plot, char **svg, hem_error *err) {
  if (!plot->group_count || !plot->series_count) return hem__fail(err, HEM_EINVAL, "a plot of nothing");
  char *script = NULL, *drawn = NULL;
  size_t size = 0, drawn_size = 0;
  hem_status status = write_script(plot, &script, &size, err);
  if (!status) status = hem__gnuplot_run(script, size, &drawn, &drawn_size, err);
  free(script);
  if (!status && !strstr(drawn, "</svg>")) {
    free(drawn);
    return hem__fail(err, HEM_EUNSUPPORTED,
                     "gnuplot drew nothing that is an SVG picture: install version 5.2 or newer");
  }
  if (!status) *svg = drawn;
  return status;
}
