/* Inside of trying one category (tune_try.h): the settings, and the ladders that find which are tried. */
#ifndef HEM_QUERY_TUNE_CLIMB_H
#define HEM_QUERY_TUNE_CLIMB_H

#include "query/tune_try.h"

typedef struct hem__setting {
  size_t variant, line;
  hem__depth depth;
  hem__tuned_tally tally;
  bool exhaustive; /* leaves nothing out: what it loses is rounding, which is the same for all queries */
  size_t timed;    /* queries of a later turn */
  float *times;    /* [turns][timed], nanoseconds */
  size_t turns;
  double rough_ns;          /* median of the first turn */
  double least_ns, most_ns; /* medians of turns */
  hem__tuned_point point;
} hem__setting;

typedef struct hem__trying {
  const hem__try_category *what;
  hem__setting *settings;
  size_t count, capacity, lines;
  float *scratch; /* times of one turn, or turns of one query */
  double flat_ns; /* of a scan; infinity: not tried */
  hem_error *err;
} hem__trying;

/* Tries what there is to try of one variant, every query once. Errors: those of hem_search, ENOMEM, ECANCELED. */
hem_status hem__tune_climb(hem__trying *t, size_t variant);

/* With every query of the portion, counted; *ns: the median time. `scratch` as in hem__trying, or NULL: no time. */
hem_status hem__tune_ask(const hem__try_category *what, size_t variant, const hem__depth *depth,
                         const hem__portion *portion, float *scratch, hem__tuned_tally *tally, double *ns,
                         hem_error *err);

/* Of a setting, with its one-sided interval. */
void hem__tune_recall(const hem__setting *s, double *recall, double *low, double *high);
/* What searches walk through. */
uint64_t hem__tune_bytes(const hem__trying *t, const hem__setting *s);
bool hem__tune_fits(const hem__trying *t, const hem__setting *s);
/* Sorts. 0 of nothing. */
double hem__tune_quantile(float *at, size_t count, double share);

static const double HEM__TUNE_CLOSE = 1.3; /* times as slow as the best: may still be the best */

static inline const hem__category *hem__tried_category(const hem__trying *t, size_t variant) {
  return &t->what->variants[variant].engine->categories[t->what->number].shared;
}

#endif
