/* Recall of an index: how much of the exact answer its answer holds. */
#ifndef HEM_BENCH_RECALL_H
#define HEM_BENCH_RECALL_H

#include "bench/report.h"

typedef struct hem__recall_options {
  size_t k;           /* 0: 10 */
  size_t query_limit; /* at most so many queries a category, evenly spread; 0: 1,000 */
  hem_progress progress;
} hem__recall_options;

/* Queries are the catalogue's consumer photos, each in its own category; where there are none, shop photos, each
 * left out of its own answer. Photos are ranked, not items. recall@k (Jegou, Douze and Schmid 2011): the share of
 * the k exact nearest photos that the index returned too; a photo as near as the k-th counts as well, since which
 * of equals comes first is chance. The interval is a bootstrap over queries, 95%, fixed seed.
 *
 * *rows: one for each category and "all" last, freed with free(); strings are the engine's. One thread.
 * Errors: EMISMATCH (the catalogue's space is not the store's), ENOTFOUND (no queries). */
hem_status hem__recall_measure(const hem_engine *engine, hem__catalog *catalog, const hem__recall_options *options,
                               hem__recall_row **rows, size_t *count, hem_error *err);

#endif
