/* Plots, drawn by gnuplot, which no other file runs. Names may hold anything: they are shown, never executed. */
#ifndef HEM_BENCH_PLOT_H
#define HEM_BENCH_PLOT_H

#include <stdio.h>

#include "base/status.h"

typedef enum hem__plot_kind {
  HEM__PLOT_BARS,  /* from zero */
  HEM__PLOT_DOTS,  /* for values too near to each other for bars: the axis need not start at zero */
  HEM__PLOT_CURVES /* against hem__plot.at, by its logarithm or as it is */
} hem__plot_kind;

typedef struct hem__plot_point {
  double value, low, high; /* value NAN: not there */
} hem__plot_point;

/* All borrowed. */
typedef struct hem__plot {
  hem__plot_kind kind;
  const char *across, *up;   /* what the axes show; NULL: nothing */
  const char *const *groups; /* side by side; not for curves */
  const double *at;          /* curves only: ascending, over 0 unless `linear` */
  size_t group_count;        /* of groups, or of at */
  const char *const *series;
  size_t series_count;
  const hem__plot_point *points; /* group by group: group_count x series_count */
  bool percent;                  /* no value lies above 100 */
  bool chance;                   /* the last series is what luck reaches: grey, without intervals */
  bool linear;                   /* of curves: not by the logarithm */
} hem__plot;

/* An SVG document, freed with free(). Takes at most a minute.
 * Errors: EUNSUPPORTED (gnuplot is not there, or too old), EIO (it failed or hung), ENOMEM. */
hem_status hem__plot_draw(const hem__plot *plot, char **svg, hem_error *err);

/* ---- for other drawings ---- */

enum { HEM__COLOURS = 10 };
extern const char
    *const hem__colours[HEM__COLOURS]; /* "#rrggbb", that colour-blind readers tell apart (Okabe and Ito) */

/* Points on a plane, coloured by what they are. All borrowed. */
typedef struct hem__scatter {
  const double *at;      /* x and y of each */
  const uint32_t *group; /* of each */
  size_t count;
  const char *const *groups; /* what the legend says */
  size_t group_count;
  bool png; /* else SVG */
} hem__scatter;

/* The picture's bytes, freed with free(). Errors: those of hem__plot_draw. */
hem_status hem__scatter_draw(const hem__scatter *scatter, char **bytes, size_t *size, hem_error *err);

/* Curves of points of their own each. All borrowed. */
typedef struct hem__curve {
  const char *name;
  const double *across, *up; /* `count` points, in the order in which they are joined */
  size_t count;
  size_t colour; /* of hem__colours, and beyond them once more */
  bool strong;   /* drawn thick and whole; else thin and dashed */
  bool bare;     /* without a mark at each point */
} hem__curve;

typedef struct hem__curves {
  const hem__curve *at;
  size_t count;
  const char *across, *up; /* what the axes show */
  const double *ticks;     /* of the axis across, with what stands there; none: gnuplot's own */
  const char *const *tick_names;
  size_t tick_count;
  bool log_across, log_up; /* by the logarithm: all values are above zero */
} hem__curves;

/* An SVG document, freed with free(). Errors: those of hem__plot_draw. */
hem_status hem__curves_draw(const hem__curves *curves, char **svg, hem_error *err);

/* What a gnuplot of our own answers to a script; the answer is freed with free(). Names go into a script by
 * hem__gnuplot_name alone; `format`: gnuplot will read it as a printf format. */
hem_status hem__gnuplot_run(const char *script, size_t size, char **answer, size_t *answer_size, hem_error *err);
void hem__gnuplot_name(FILE *script, const char *name, bool format);

#endif
