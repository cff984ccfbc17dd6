/* The reference work's experiments (Menezes and Kanitkar 2018) on any catalogue with pairs: top-k accuracy of white-box
 * features, of networks, and of a metric learned on each of them, over exactly the same queries and galleries.
 *
 * Where the catalogue marks train, validation and test, test photos ask, and nothing was trained or chosen with them.
 * Where it does not, items fall into folds (metric/split.h): each is asked of the metric that was trained on the others
 * and validated on the next one, and the ranks of all queries are counted together. */
#ifndef HEM_BENCH_EXPERIMENTS_H
#define HEM_BENCH_EXPERIMENTS_H

#include "bench/accuracy.h"
#include "metric/calibrate.h"
#include "metric/train.h"

enum { HEM__MATCHERS = 4, HEM__SIAMESE = 3, HEM__FOLDS_MAX = 100 };
extern const char *const hem__matchers[HEM__MATCHERS]; /* "L1", "L2", "cosine", "Siamese" */

typedef struct hem__experiments_options {
  hem_train_options train; /* as for hem_train; catalog, metric, space, fold and checkpoint are not looked at */
  const char *space;       /* only this one; NULL: all of them */
  int gallery_split;       /* hem__split, or -1: any */
  size_t query_limit;      /* at most so many queries a category, evenly spread; 0: all */
  hem_progress progress;
} hem__experiments_options;

/* One line of the table. */
typedef struct hem__experiment_row {
  const char *category; /* "all": every query, each within its own category */
  size_t experiment, matcher;
  size_t queries, without, gallery; /* as in hem__accuracy_row */
  size_t right[HEM__CUTS];
  double chance[HEM__CUTS];
} hem__experiment_row;

/* What one embedding space is worth. */
typedef struct hem__experiment {
  size_t space;
  const char *name;                       /* borrowed from the catalogue */
  bool network;                           /* a network is among its features */
  uint32_t *ranks[HEM__MATCHERS];         /* by query: place of the nearest right photo, from 1; 0: there is none */
  hem__training training[HEM__FOLDS_MAX]; /* by fold */
  hem__trust trust;                       /* of the probabilities, all folds together */
  size_t plain;                           /* the best plain matcher: at the first 20, on these very queries */
  double gain, gain_low, gain_high;       /* Siamese minus that one, 0..1; paired, its 95% interval by item */
} hem__experiment;

typedef struct hem__experiments {
  bool marked;  /* splits are the catalogue's */
  size_t folds; /* 1 where marked */
  size_t *query_rows, query_count, items;
  hem__experiment *at;
  size_t count;
  hem__experiment_row *rows; /* by category, space, matcher; "all" last */
  size_t row_count;
  const hem__experiment_row *best; /* of "all", at the first 20 */
} hem__experiments;

/* Errors: ENOTFOUND (no pairs, or too few to train with: says what is missing), those of hem__accuracy_measure and
 * hem__train. */
hem_status hem__experiments_run(hem__catalog *catalog, const hem__experiments_options *options, hem__experiments *out,
                                hem_error *err);
/* The metric that query `row` of the catalogue was asked of. */
const hem__metric *hem__experiments_metric(const hem__experiments *experiments, const hem__photos *photos,
                                           size_t experiment, size_t row);
void hem__experiments_clear(hem__experiments *experiments);

#endif
