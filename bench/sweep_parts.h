/* What the files of the sweep share while it runs. */
#ifndef HEM_BENCH_SWEEP_PARTS_H
#define HEM_BENCH_SWEEP_PARTS_H

#include "bench/sweep.h"
#include "bench/sweep_machine.h"

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
/* Asks by the metric of the data's store, if it has one; before the summary. */
hem_status hem__sweep_metric(hem__sweeping *sweeping, hem_error *err);

/* ---- rows ---- */

/* Appends a row, its rounds not measured yet. *made (which may be NULL) is valid until the next one. Errors: ENOMEM. */
hem_status hem__sweep_new_row(hem__sweep *out, hem__sweep_row row, hem__sweep_row **made, hem_error *err);
/* From that of each of the row's queries. */
void hem__sweep_note_recall(hem__sweep_row *row, const double *recalls);
/* Sorts the times; writes HEM__P50 and HEM__P99 of a round's measures. */
void hem__sweep_percentiles(double *times, size_t count, double *measures);
/* What the process holds more than before. */
void hem__sweep_note_memory(hem__sweep_engine *engine, hem__resident before);

#endif
