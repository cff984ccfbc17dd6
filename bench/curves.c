/* Curves that share axes and not places: recall against speed, of contestants that were asked at other depths each. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bench/plot.h"

/* gnuplot's marks: disc, triangle, square, diamond, triangle on its tip. */
static const int marks[] = {7, 9, 5, 13, 11};
enum { MARKS = sizeof marks / sizeof *marks };

static void put_frame(FILE *script, const hem__curves *c) {
  fputs(
      "set terminal svg noenhanced size 1100,560 font 'sans-serif,13'\n"
      "set encoding utf8\n"
      "set border 3 lc rgb '#8c8c8c'\n"
      "set tics nomirror scale 0 textcolor rgb '#555555'\n"
      "set grid xtics ytics lt 1 lw 0.7 lc rgb '#d4d4d4'\n"
      "set key outside right center vertical Left reverse samplen 2 spacing 1.3 textcolor rgb '#333333'\n"
      "set format y '%.0f'\n",
      script);
  if (c->log_across) fputs("set logscale x\n", script);
  if (!c->log_up) fputs("set yrange [0:*]\n", script);
  fputs("set xlabel ", script);
  hem__gnuplot_name(script, c->across, false);
  fputs("\nset ylabel ", script);
  hem__gnuplot_name(script, c->up, false);
  fputc('\n', script);
  for (size_t i = 0; i < c->tick_count; i++) {
    fputs(i ? ", " : "set xtics (", script);
    hem__gnuplot_name(script, c->tick_names[i], true);
    fprintf(script, " %g%s", c->ticks[i], i + 1 == c->tick_count ? ")\n" : "");
  }
}

static bool shown(const hem__curves *c, double across, double up) {
  return isfinite(across) && isfinite(up) && (across > 0 || !c->log_across) && (up > 0 || !c->log_up);
}

/* Ticks at 1, 2 and 5 of each power of ten, and a range that ends near the curves: gnuplot's own ends at powers. */
static void put_log_axis(FILE *script, const hem__curves *c) {
  double low = INFINITY, high = 0;
  for (size_t i = 0; i < c->count; i++)
    for (size_t j = 0; j < c->at[i].count; j++) {
      if (!shown(c, c->at[i].across[j], c->at[i].up[j])) continue;
      low = fmin(low, c->at[i].up[j]);
      high = fmax(high, c->at[i].up[j]);
    }
  if (!(high > 0)) return;
  fprintf(script, "set logscale y\nset yrange [%g:%g]\nset ytics (", low / 1.25, high * 1.25);
  double first = pow(10, floor(log10(low)));
  for (double power = first; power <= high; power *= 10)
    fprintf(script, "%s%g, %g, %g", power == first ? "" : ", ", power, 2 * power, 5 * power);
  fputs(")\n", script);
}

/* Returns how many points there are: gnuplot stops at a block without any. */
static size_t put_data(FILE *script, const hem__curves *c, size_t number) {
  const hem__curve *curve = &c->at[number];
  size_t points = 0;
  fprintf(script, "$c%zu << END\n", number);
  for (size_t i = 0; i < curve->count; i++)
    if (shown(c, curve->across[i], curve->up[i])) {
      fprintf(script, "%g %g\n", curve->across[i], curve->up[i]);
      points++;
    }
  fputs("END\n", script);
  return points;
}

static void put_curve(FILE *script, const hem__curve *curve, size_t number) {
  fprintf(script, "$c%zu using 1:2 with %s lw %s%s lc rgb '%s'", number, curve->bare ? "lines" : "linespoints",
          curve->strong ? "2.6" : "1.3", curve->strong ? "" : " dt 2", hem__colours[curve->colour % HEM__COLOURS]);
  if (!curve->bare) fprintf(script, " pt %d ps 0.7", marks[curve->colour / HEM__COLOURS % MARKS]);
  fputs(" title ", script);
  hem__gnuplot_name(script, curve->name, false);
  fputs(", ", script);
}

static hem_status write_script(const hem__curves *c, char **text, size_t *size, size_t *points, hem_error *err) {
  bool *there = NULL;
  hem_status status = hem__alloc(c->count, sizeof *there, "a plot", &there, err);
  if (status) return status;
  FILE *script = open_memstream(text, size);
  if (!script) {
    free(there);
    return hem__fail(err, HEM_ENOMEM, "no memory for a plot");
  }
  put_frame(script, c);
  if (c->log_up) put_log_axis(script, c);
  for (size_t i = 0; i < c->count; i++) {
    size_t here = put_data(script, c, i);
    there[i] = here != 0;
    *points += here;
  }
  fputs("plot ", script);
  for (size_t i = 0; i < c->count; i++)
    if (there[i]) put_curve(script, &c->at[i], i);
  fputs("NaN notitle\n", script); /* after the last comma */
  free(there);
  bool bad = ferror(script);
  return fclose(script) == 0 && !bad ? HEM_OK : hem__fail(err, HEM_ENOMEM, "no memory for a plot");
}

hem_status hem__curves_draw(const hem__curves *curves, char **svg, hem_error *err) {
  char *script = NULL, *drawn = NULL;
  size_t size = 0, drawn_size = 0, points = 0;
  hem_status status = write_script(curves, &script, &size, &points, err);
  if (!status && points == 0) status = hem__fail(err, HEM_EINVAL, "a plot of nothing");
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
