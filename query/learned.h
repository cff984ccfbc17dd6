/* The Siamese metric as an open generation holds it: queries become points, and points scores. Knows nothing of items
 * or answers. */
#ifndef HEM_QUERY_LEARNED_H
#define HEM_QUERY_LEARNED_H

#include "index/generation.h"
#include "query/candidates.h"

/* Immutable; shared by threads. Zeroed: there is no metric. */
typedef struct hem__learned {
  hem__metric *metric;
  hem__precision precision; /* of the generation's points */
  hem__quantiser quantiser; /* the gallery's range, also where points are half floats */
  hem__scorer *scorer;
  hem__metric *computed; /* what the scorer computes: bytes round W1. Elsewhere the metric itself */
  double size;           /* no sum in a score has terms of a larger size than this, b2 aside */
} hem__learned;

/* Reads metric and quantiser and packs the weights. Errors: those of hem__generation_map and hem__metric_load. */
hem_status hem__learned_open(const hem__generation *generation, hem__learned *out, hem_error *err);
void hem__learned_close(hem__learned *learned);

/* One query, ready to be asked. Freed with hem__learned_query_clear. */
typedef struct hem__learned_query {
  void *coded; /* the point t(q) in the generation's precision: all that is asked with */
  float *unit,
      *point; /* on the way there: [dim], the embedding, divided by its norm where the metric wants that; t(q) */
} hem__learned_query;

hem_status hem__learned_query_new(const hem__learned *learned, hem__learned_query *out, hem_error *err);
void hem__learned_query_clear(hem__learned_query *query);
/* Also writes what candidates are found by, `width` values, to `scaled`. Errors: EINVAL (a point beyond what a distance
 * can be computed of), ENOMEM. */
hem_status hem__learned_ask(const hem__learned *learned, const float *vector, hem__learned_query *query, float *scaled,
                            hem_error *err);

/* As hem__learned_ask, with a photo of the generation: its point is there already. */
void hem__learned_ask_row(const hem__learned *learned, const hem__category *category, size_t row,
                          hem__learned_query *query, float *scaled);

/* One thread's working memory. Zeroed is empty. */
typedef struct hem__learned_scratch {
  uint32_t *rows;
  float *scores;
  size_t row_capacity, score_capacity;
  hem__score_scratch kernel;
} hem__learned_scratch;

void hem__learned_scratch_clear(hem__learned_scratch *scratch);

/* Scores candidates of a category: scratch->scores[i] is that of near[i]. Errors: ENOMEM. */
hem_status hem__learned_score(const hem__learned *learned, const hem__category *category,
                              const hem__learned_query *query, const hem__near *near, size_t count,
                              hem__learned_scratch *scratch, hem_error *err);

#endif
