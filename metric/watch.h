/* Validation while a metric learns: how many queries find their item among the first 20 photos.
 *
 * The way of a query: the 256 nearest photos of its category by plain distance, put in order by the metric. Of many
 * queries 2,000, evenly spread, are asked. The verdict at the end scores every pair (judge.h). */
#ifndef HEM_METRIC_WATCH_H
#define HEM_METRIC_WATCH_H

#include "metric/mine.h"

typedef struct hem__watch {
  uint32_t *queries, *near, *counts; /* photos; [query_count][256] and how many of them */
  size_t *ranks;                     /* [query_count]: of the first right photo, from 1; 0: it is not among them */
  size_t query_count;
  bool known; /* near is filled; with a tower it is never */
} hem__watch;

typedef struct hem__watched {
  double accuracy;   /* 0..1, top 20 */
  double reciprocal; /* mean of 1 / rank of the first right photo: decides between equal accuracies */
} hem__watched;

hem_status hem__watch_init(hem__watch *watch, const hem__pairs *pairs, hem_error *err);
void hem__watch_clear(hem__watch *watch);
/* Errors: ENOMEM. */
hem_status hem__watch_look(hem__watch *watch, const hem__pairs *pairs, const hem__scoring *scoring, hem__watched *out,
                           hem_error *err);
/* Is `a` better than `b`? */
bool hem__watched_better(hem__watched a, hem__watched b);

#endif
