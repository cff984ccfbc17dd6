/* What a store with a metric gives for scoring a fraction of its photos: its answers against those of scoring every
 * photo in float32 by OpenBLAS, the time of both, and how often either finds the item. */
#ifndef HEM_BENCH_EXHAUSTIVE_H
#define HEM_BENCH_EXHAUSTIVE_H

#include "ingest/catalog.h"

typedef struct hem__exhaustive_options {
  size_t query_limit; /* 0: 500 */
  size_t timed_limit; /* of them, evenly spread, 0: 40 */
  size_t threads;     /* of the truth; times are of one thread. 0: one for each core */
  hem_progress progress;
} hem__exhaustive_options;

/* The ways to answer. */
typedef enum hem__way {
  HEM__WAY_PLAIN,      /* by distance alone */
  HEM__WAY_DEFAULT,    /* candidates, reranked */
  HEM__WAY_EXACT,      /* every photo that may count, by bounds */
  HEM__WAY_EXHAUSTIVE, /* every photo, in float32, by OpenBLAS */
  HEM__WAYS
} hem__way;
extern const char *const hem__way_names[HEM__WAYS];

enum { HEM__ITEM_CUTS = 4 };
extern const size_t hem__item_cuts[HEM__ITEM_CUTS]; /* 1, 5, 10, 20 */

typedef struct hem__way_result {
  hem_certificate overlap;        /* of its 20 best items with those of the exhaustive way; itself: 1 */
  double scored;                  /* evaluations of the metric, mean over the queries */
  double median_us;               /* of one query */
  double faster;                  /* median over queries of exhaustive time / its time */
  uint64_t right[HEM__ITEM_CUTS]; /* queries whose item is among so many first items */
} hem__way_result;

typedef struct hem__exhaustive {
  uint64_t gallery, queries, timed;
  bool leave_one_out; /* there are no customers' photos that the metric did not learn from */
  hem__way_result ways[HEM__WAYS];
  uint64_t accuracy_queries; /* of items that the metric never saw and that their category holds; 0: `right` says
                                nothing */
} hem__exhaustive;

/* Overlap, evaluations and times are of all categories searched together, accuracy of each query in its own category.
 * Errors: EUNSUPPORTED (a store without a metric), EMISMATCH (not the catalogue that it was built from), ENOTFOUND (no
 * queries), ENOMEM, ECANCELED. */
hem_status hem__exhaustive_measure(const hem_engine *engine, hem__catalog *catalog,
                                   const hem__exhaustive_options *options, hem__exhaustive *out, hem_error *err);

#endif
