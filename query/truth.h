/* The exhaustive truth of sampled queries: their k best items by scoring every photo of an engine in float32
 * (metric/score_all.h). What the default answer is compared with: the certificate, and `evaluate --exhaustive`. */
#ifndef HEM_QUERY_TRUTH_H
#define HEM_QUERY_TRUTH_H

#include "ingest/catalog.h"
#include "query/engine.h"

enum { HEM__TRUTH_K = 20 };

/* A photo of the catalogue that is asked for. */
typedef struct hem__sample {
  size_t row;
  size_t category; /* its own, in the engine */
  bool leave_out;  /* it is in the gallery itself */
} hem__sample;

typedef struct hem__true_item {
  float score;
  uint32_t item, photo; /* its best photo: a gallery position */
} hem__true_item;

/* The best items of one query, best first; ties by item, then photo. */
typedef struct hem__true_list {
  hem__true_item at[HEM__TRUTH_K];
  size_t count;
} hem__true_list;

/* Offers all photos of a gallery with these scores. */
void hem__true_list_fill(hem__true_list *list, const hem__gallery *gallery, const float *scores);

typedef struct hem__truth {
  const hem_engine *engine;
  hem__matrix embeddings; /* of the catalogue */
  const hem__sample *samples;
  size_t count;
  hem__true_list *own, *all; /* of each sample: in its own category, and in all of them */
} hem__truth;

typedef struct hem__truth_options {
  size_t threads; /* 0: one for each core */
  hem_progress progress;
} hem__truth_options;

/* At most `limit` photos to ask with, evenly spread: customers' photos of items that the metric never learned from
 * (where the catalogue marks splits, of validation and test items; else of items it never saw); without any, shop
 * photos. Their categories are the engine's, and their embeddings can be asked with. *samples is freed with free().
 * Errors: ENOMEM. */
hem_status hem__samples_choose(const hem_engine *engine, const hem__catalog *catalog, hem__matrix embeddings,
                               size_t limit, hem__sample **samples, size_t *count, hem_error *err);

/* At most `each` photos to ask with for every category of the engine, evenly spread, category by category: customers'
 * photos as above; a category that has too few of them to tell anything is asked with its shop photos instead. */
hem_status hem__samples_each(const hem_engine *engine, const hem__catalog *catalog, hem__matrix embeddings, size_t each,
                             hem__sample **samples, size_t *count, hem_error *err);

/* `catalog` is the one that the engine was built from, its rows checked. Borrows engine, catalogue and samples. Errors:
 * ENOMEM, ECANCELED. */
hem_status hem__truth_find(const hem_engine *engine, hem__matrix embeddings, const hem__sample *samples, size_t count,
                           const hem__truth_options *options, hem__truth *out, hem_error *err);
void hem__truth_clear(hem__truth *truth);

/* How many of the answer's hits (items) are among the true ones. A hit with the score of the last true one counts as
 * well: which of equals comes first is chance. Errors: ENOMEM. */
hem_status hem__truth_overlap(const hem__truth *truth, size_t sample, bool all, const hem_answer *answer, size_t *right,
                              hem_error *err);

#endif
