/* The exhaustive truth: every query against every point, in float32 by OpenBLAS. What faster ways are compared with,
 * for their answers and for their time. */
#ifndef HEM_METRIC_SCORE_ALL_H
#define HEM_METRIC_SCORE_ALL_H

#include "metric/metric.h"

typedef struct hem__score_all_job {
  const hem__metric *metric;
  hem__matrix queries, gallery; /* points t(.), rows of `width` floats */
  size_t threads;               /* 0: one for each core */
  /* Gets the scores of one query with the whole gallery, which live for the call and may be written to. Called from
   * several threads at once, for different queries, in no set order; worker < threads (or the cores). It must not fail
   * or report. */
  void (*take)(void *context, size_t query, float *scores, size_t worker);
  void *context;
} hem__score_all_job;

/* The same machine gives the same bits, whatever the threads. Memory: a few MiB for each thread, and a float for each
 * point of the gallery. Errors: ENOMEM. */
hem_status hem__score_all(const hem__score_all_job *job, hem_error *err);

#endif
