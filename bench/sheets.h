/* Contact sheets: some queries that were answered rightly, some that were not, with the shop photos found for them. */
#ifndef HEM_BENCH_SHEETS_H
#define HEM_BENCH_SHEETS_H

#include "bench/report.h"
#include "metric/metric.h"

enum { HEM__SHEET_HITS = 20, HEM__SHEETS_MAX = 48 };

typedef struct hem__sheets_options {
  hem__accuracy_options accuracy; /* as measured */
  const char *approach;           /* NULL: the best */
  int distance;                   /* hem_distance, or -1: the best */
  size_t each;                    /* so many right ones and so many wrong ones of each category */
  const char *idx;                /* folder of idx files that the photos lie in, or NULL */
  /* Not NULL: the hits are those of the metric that the query of this row was asked of, with probabilities, and
   * `ranks`, by query as in `accuracy`, says which queries were answered rightly. */
  const hem__metric *(*metric_of)(void *context, size_t row);
  void *context;
  const uint32_t *ranks;
} hem__sheets_options;

typedef struct hem__sheets {
  hem__sheet *at;               /* right ones, then wrong ones, category by category */
  size_t count;                 /* at most HEM__SHEETS_MAX; 0 also where the queries' photos cannot be read */
  const hem__accuracy_row *row; /* what they show: approach and distance, over all categories */
  struct hem__sheet_memory *memory;
} hem__sheets;

/* The right-or-wrong line is the report's headline: among the first 20, for labels the first. The choice is the same
 * every time: evenly spread over the catalogue's order. `accuracy` is borrowed until hem__sheets_clear. Errors: EINVAL
 * (no such approach or distance: lists them), those of hem__pictures_open, ENOMEM. */
hem_status hem__sheets_make(hem__catalog *catalog, const hem__accuracy *accuracy, const hem__sheets_options *options,
                            hem__sheets *out, hem_error *err);
void hem__sheets_clear(hem__sheets *sheets);

#endif
