/* What the files of the sweep share while it runs. */
#ifndef HEM_BENCH_SWEEP_PARTS_H
#define HEM_BENCH_SWEEP_PARTS_H

#include "bench/sweep.h"

typedef struct hem__sweeping {
  const hem__sweep_options *options;
  hem__sweep *out;
  char *work;
  hem__sweep_data data;
  hem__peer_task task;
  const hem__peer_type **types; /* of each engine */
  char **paths;                 /* of each */
  size_t path_count;
  size_t threads[HEM__SWEEP_THREADS], thread_count;
  int64_t *answers; /* of one pass: queries x k */
  double *recalls;  /* of each query */
  double *times;    /* likewise, microseconds */
} hem__sweeping;

/* Makes the rows of every contestant, mode, number of threads and depth, still empty. Errors: ENOMEM. */
hem_status hem__sweep_prepare(hem__sweeping *sweeping, hem_error *err);
/* Opens a contestant, asks it everything, closes it. */
hem_status hem__sweep_visit(hem__sweeping *sweeping, size_t engine, size_t round, hem_error *err);
/* First answers of an index that nothing in memory is left of; after the rounds. */
hem_status hem__sweep_cold(hem__sweeping *sweeping, hem_error *err);

#endif
