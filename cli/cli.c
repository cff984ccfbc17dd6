#include "cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int cli_fail(const hem_error *err) {
  cli_progress_end();
  fprintf(stderr, "hemline: %s\n", cli_clean(err->message));
  return EXIT_FAILED;
}

/* ---- progress ---- */

static struct {
  char stage[64];
  double started, shown; /* seconds */
  uint64_t first;        /* done when the stage began: a resumed run did not do that part */
  bool open;             /* the cursor stands behind a bar */
} bar;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_time(double seconds) {
  if (seconds < 90) {
    fprintf(stderr, "%.0f s", seconds);
  } else if (seconds < 5400) {
    fprintf(stderr, "%.0f min", seconds / 60);
  } else {
    fprintf(stderr, "%.1f h", seconds / 3600);
  }
}

static void print_bar(double fraction) {
  enum { WIDTH = 28 };
  int full = (int)(fraction * WIDTH);
  fputc('[', stderr);
  for (int i = 0; i < WIDTH; i++) fputc(i < full ? '#' : '.', stderr);
  fprintf(stderr, "] %3.0f%% ", fraction * 100);
}

static bool report(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  bool tty = *(bool *)context, last = total && done >= total;
  double t = now();
  if (strcmp(stage, bar.stage) != 0) {
    cli_progress_end();
    snprintf(bar.stage, sizeof bar.stage, "%s", stage);
    bar.started = bar.shown = t;
    bar.first = done;
    if (!last) return true;
  }
  if (t - bar.shown < (tty ? 0.1 : 5) && !(last && tty)) return true;
  bar.shown = t;
  double rate = t > bar.started ? (double)(done - bar.first) / (t - bar.started) : 0;
  fprintf(stderr, "%s%-8s ", tty ? "\r" : "", stage);
  if (tty && total) print_bar((double)done / (double)total);
  fprintf(stderr, "%s", cli_count(done));
  if (total) fprintf(stderr, " of %s", cli_count(total));
  fprintf(stderr, " %s", unit);
  if (rate > 0) fprintf(stderr, ", %s/s", cli_count((uint64_t)rate));
  if (rate > 0 && total && !last) {
    fputs(", ", stderr);
    print_time((double)(total - done) / rate);
    fputs(" left", stderr);
  }
  fputs(tty ? "\033[K" : "\n", stderr);
  bar.open = tty;
  if (last) cli_progress_end();
  return true;
}

hem_progress cli_progress(bool quiet) {
  static bool tty;
  tty = isatty(STDERR_FILENO);
  return quiet ? (hem_progress){0} : (hem_progress){.report = report, .context = &tty};
}

void cli_progress_end(void) {
  if (bar.open) fputc('\n', stderr);
  bar.open = false;
}

/* ---- numbers ---- */

const char *cli_clean(const char *text) {
  static char buffers[8][2 * HEM__TEXT_MAX];
  static size_t turn;
  char *out = buffers[turn++ % 8];
  size_t at = 0;
  for (; text[at] && at + 1 < sizeof buffers[0]; at++) {
    unsigned char c = (unsigned char)text[at];
    out[at] = (char)(c < ' ' || c == 0x7F ? '?' : c);
  }
  out[at] = '\0';
  return out;
}

const char *cli_count(uint64_t n) {
  static char buffers[8][32];
  static size_t turn;
  char *out = buffers[turn++ % 8], digits[24];
  int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
  size_t at = 0;
  for (int i = 0; i < length; i++) {
    if (i && (length - i) % 3 == 0) out[at++] = ',';
    out[at++] = digits[i];
  }
  out[at] = '\0';
  return out;
}

unsigned long cli_number(struct argp_state *state, const char *text, const char *option, unsigned long limit) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (errno || end == text || *end || *text == '-' || value > limit)
    argp_error(state, "%s wants a whole number from 0 to %lu, not '%s'", option, limit, text);
  return value;
}

double cli_share(struct argp_state *state, const char *text, const char *option) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !(value >= 0 && value <= 1))
    argp_error(state, "%s wants a share from 0 to 1, not '%s'", option, text);
  return value;
}

uint64_t cli_bytes(struct argp_state *state, const char *text, const char *option) {
  static const char units[] = "KMGT";
  char *end;
  double value = strtod(text, &end);
  const char *unit = *end ? strchr(units, *end) : NULL;
  if (unit) {
    value = ldexp(value, 10 * (int)(unit - units + 1));
    end++;
  }
  if (end == text || *end || !(value >= 1 && value <= 1e18))
    argp_error(state, "%s wants bytes, as 800M or 1.5G, not '%s'", option, text);
  return (uint64_t)value;
}

const char *cli_size(uint64_t bytes) {
  static char buffers[8][32];
  static size_t turn;
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  char *out = buffers[turn++ % 8];
  double value = (double)bytes;
  size_t unit = 0;
  for (; value >= 1000 && unit < 4; unit++) value /= 1024;
  snprintf(out, sizeof buffers[0], unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return out;
}

void cli_take(struct argp_state *state, const char **name, const char *text, const char *what) {
  if (*name) argp_error(state, "one %s, please: '%s' is too many", what, text);
  *name = text;
}

bool cli_is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

hem_status cli_open_catalog(const char *path, hem__catalog **out, hem_error *err) {
  hem_status status = hem__catalog_open(path, out, err);
  if (status != HEM_ENOTFOUND) return status;
  return hem__fail(err, status, "the catalogue of this store was %s and is not there: name its place with --catalog",
                   path);
}

void *cli_json_text(const char *text) {
  char *clean = NULL;
  size_t size = 0, n;
  FILE *out = open_memstream(&clean, &size);
  if (!out) return NULL;
  for (; *text; text += n ? n : 1) {
    n = hem__utf8_size(text);
    fwrite(n ? text : "\xEF\xBF\xBD", 1, n ? n : 3, out);
  }
  json_t *value = fclose(out) == 0 ? json_string(clean) : NULL;
  free(clean);
  return value;
}

int cli_print_json(void *value) {
  int failed = value ? json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : -1;
  json_decref(value);
  putchar('\n');
  if (!failed) return EXIT_DONE;
  fputs("hemline: no memory for the JSON answer\n", stderr);
  return EXIT_FAILED;
}
