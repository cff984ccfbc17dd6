/* Thousands of points: small, half transparent, and in a mixed order, so that no group lies on top of all others. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bench/plot.h"

/* Okabe and Ito's (2008), with their yellow and black replaced by what shows on white; then Tol's. */
const char *const hem__colours[HEM__COLOURS] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9",
                                                "#d55e00", "#5d3a9b", "#6e6e6e", "#999933", "#882255"};
/* gnuplot's: disc, triangle, square, diamond. Where colours begin again, the shape is another one. */
static const int shapes[] = {7, 9, 5, 13};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static int shape_of(size_t group) { return shapes[group / HEM__COLOURS % SHAPES]; }

static void put_points(FILE *script, const hem__scatter *s) {
  const size_t step = 7919; /* prime: every point has its turn, unless their number is a multiple of it */
  size_t by = s->count % step ? step : 1;
  fputs("$points << END\n", script);
  for (size_t i = 0, at = 0; i < s->count; i++, at = (at + by) % s->count) {
    size_t group = s->group[at];
    unsigned long colour = strtoul(hem__colours[group % HEM__COLOURS] + 1, NULL, 16);
    fprintf(script, "%.4f %.4f %d %lu\n", s->at[2 * at], s->at[2 * at + 1], shape_of(group), 0x50000000 + colour);
  }
  fputs("END\n", script);
}

static void put_plot(FILE *script, const hem__scatter *s, double grain) {
  fprintf(script, "plot $points using 1:2:3:4 with points ps %.2f pt variable lc rgb variable notitle", grain);
  for (size_t i = 0; i < s->group_count; i++) {
    fprintf(script, ", NaN with points ps 1.1 pt %d lc rgb '%s' title ", shape_of(i), hem__colours[i % HEM__COLOURS]);
    hem__gnuplot_name(script, s->groups[i], false);
  }
  fputc('\n', script);
}

static hem_status write_script(const hem__scatter *s, char **text, size_t *size, hem_error *err) {
  FILE *script = open_memstream(text, size);
  if (!script) return hem__fail(err, HEM_ENOMEM, "no memory for a plot");
  fprintf(script, "set terminal %s\n",
          s->png ? "pngcairo noenhanced size 2000,1600 font 'sans-serif,22' linewidth 2"
                 : "svg noenhanced size 1000,800 font 'sans-serif,13'");
  fputs(
      "set encoding utf8\nunset border\nunset tics\nset size ratio -1\nset lmargin 1\nset tmargin 1\nset bmargin 1\n"
      "set key outside right center vertical Left reverse samplen 1 spacing 1.3 textcolor rgb '#333333'\n",
      script);
  put_points(script, s);
  put_plot(script, s, (s->png ? 2 : 1) * fmin(fmax(32 / sqrt((double)s->count), 0.3), 0.8));
  bool bad = ferror(script);
  return fclose(script) == 0 && !bad ? HEM_OK : hem__fail(err, HEM_ENOMEM, "no memory for a plot");
}

hem_status hem__scatter_draw(const hem__scatter *scatter, char **bytes, size_t *size, hem_error *err) {
  if (!scatter->count || !scatter->group_count) return hem__fail(err, HEM_EINVAL, "a plot of nothing");
  char *script = NULL, *drawn = NULL;
  size_t script_size = 0, drawn_size = 0;
  hem_status status = write_script(scatter, &script, &script_size, err);
  if (!status) status = hem__gnuplot_run(script, script_size, &drawn, &drawn_size, err);
  free(script);
  if (status) return status;
  if (scatter->png ? drawn_size < 8 || memcmp(drawn, "\x89PNG", 4) != 0 : !strstr(drawn, "</svg>")) {
    free(drawn);
    return hem__fail(err, HEM_EUNSUPPORTED, "gnuplot draws no %s: install gnuplot-nox, version 5.2 or newer",
                     scatter->png ? "PNG" : "SVG");
  }
  *bytes = drawn;
  *size = drawn_size;
  return HEM_OK;
}
