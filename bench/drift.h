/* Do customers still ask what the store was built for? Compares the nearest distances (and probabilities) that a server
 * collected (`hemline serve --collect`) with those the catalogue's own photos get. */
#ifndef HEM_BENCH_DRIFT_H
#define HEM_BENCH_DRIFT_H

#include "ingest/catalog.h"

enum { HEM__DRIFT_FEW = 30, HEM__DRIFT_BINS = 10 };

typedef enum hem__drift_verdict {
  HEM__DRIFT_TOO_FEW, /* under HEM__DRIFT_FEW of either */
  HEM__DRIFT_NONE,    /* not seen */
  HEM__DRIFT_SOME,    /* seen, and small: stability index from 0.1 on */
  HEM__DRIFT_LARGE    /* from 0.25 on */
} hem__drift_verdict;

/* Distances to the best hit: of the catalogue's own photos, and of what was asked. */
typedef struct hem__drift_part {
  const char *name; /* of the category that the best hit is in; a day ("2026-11-23"); or "all" */
  size_t expected_count, asked_count;
  double expected_median, asked_median;
  double distance_between; /* largest gap between the two distribution functions (Kolmogorov and Smirnov), 0..1 */
  double p_value;   /* that chance alone makes it so large, by Kolmogorov's limit with Stephens' correction (1970) */
  double stability; /* population stability index over tenths of the expected ones, 0: the same */
  double no_match;  /* share of the asked; NaN without a metric */
  hem__drift_verdict verdict;
} hem__drift_part;

typedef struct hem__drift {
  hem__drift_part all, *categories, *days; /* days: against all that is expected */
  size_t category_count, day_count;
  bool customers;           /* expected: what the catalogue's own customers' photos get; false: what items get, asked by
                               their own photo, themselves left out */
  size_t other;             /* lines of another embedding space, or that could not be read */
  double *expected, *asked; /* distances, sorted */
  hem__arena strings;
} hem__drift;

/* `collected`: the folder. `sample`: photos of the catalogue that are asked, at most; 0: 1,000. Errors: ENOTFOUND (no
 * such folder, or nothing was collected of this space), those of hem_search, ECORRUPT, EIO, ENOMEM. */
hem_status hem__drift_measure(const hem_engine *engine, hem__catalog *catalog, const char *collected, size_t sample,
                              hem__drift *out, hem_error *err);
void hem__drift_clear(hem__drift *drift);

extern const char *const hem__drift_words[]; /* by verdict */

/* ---- the arithmetic, for sorted values ---- */

double hem__ks_distance(const double *a, size_t a_count, const double *b, size_t b_count);
double hem__ks_p_value(double distance, size_t a_count, size_t b_count);
/* Counts are smoothed by half a photo a bin, so that an empty one is not infinite. */
double hem__stability_index(const double *expected, size_t expected_count, const double *asked, size_t asked_count);

#endif
