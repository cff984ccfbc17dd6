/* From scores to probabilities, and from probabilities to "no match".
 *
 * A probability is that of a hit that is shown: it is fitted on the 20 best-scored shop photos of every validation
 * query, which do or do not show its item. Over all pairs there are a thousand times more wrong ones, and a sigmoid
 * fitted on those says nothing about the few that a user sees.
 *
 * A threshold answers for a customer whose item the shop does not have. Each validation query is made into such a one
 * by taking its own item out of the gallery; its best remaining probability is a wrong answer's. The threshold is the
 * conformal quantile of those (Vovk, Gammerman and Shafer 2005): of n, the ceil((n + 1)(1 - rate))-th smallest. Of new
 * queries like these, at most `rate` get a wrong answer above it. With fewer than 1/rate - 1 queries no threshold can
 * promise that; it then lies just above the largest. */
#ifndef HEM_METRIC_CALIBRATE_H
#define HEM_METRIC_CALIBRATE_H

#include "metric/reliability.h"
#include "metric/validation.h"

enum {
  HEM__SHOWN = 20,             /* photos of a query that the probabilities are fitted on */
  HEM__CALIBRATE_QUERIES = 50, /* a category with fewer, or ... */
  HEM__CALIBRATE_RIGHT = 10    /* ... with fewer right photos among those shown, has no calibration of its own */
};

/* Fits the metric's calibrations anew: of all categories together, and of each that has enough. Thresholds for
 * metric->false_accept, 0 < rate < 1. Errors: ENOTFOUND (nobody asks, or there is no gallery), EINVAL, ECORRUPT,
 * ENOMEM. */
hem_status hem__calibrate(hem__metric *metric, hem__catalog *catalog, size_t space, const hem__validation *validation,
                          hem_error *err);

/* What the calibration is worth on queries that it was not fitted on. */
typedef struct hem__trust {
  hem__reliability shown;             /* of the photos shown */
  uint64_t strangers, false_accepts;  /* queries, their own item taken out; those that got an answer all the same */
  uint64_t answerable, false_rejects; /* queries whose item is there; those that were told "no match" */
} hem__trust;

/* Errors: those of hem__calibrate. */
hem_status hem__trust_measure(const hem__metric *metric, hem__catalog *catalog, size_t space,
                              const hem__validation *test, hem__trust *out, hem_error *err);

/* ---- the parts, for those who have scores already ---- */

/* Platt's sigmoid (Platt 1999) by Newton's method with his targets (Lin, Lin and Weng 2007). Where the right ones score
 * lower than the wrong ones, the slope is 0: a better score never means a smaller probability. */
hem__platt hem__platt_fit(const float *scores, const bool *right, size_t count);

/* The threshold of above; `wrong` is sorted. `rate`: 0 < rate < 1. 0 values: 0. */
double hem__conformal_threshold(double *wrong, size_t count, double rate);

#endif
