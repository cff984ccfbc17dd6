/* Upper bounds on the scores of all photos (prune.h): the line, the pass over the points, the slack for rounding. */
#ifndef HEM_QUERY_BOUNDS_H
#define HEM_QUERY_BOUNDS_H

#include "query/learned.h"

/* A photo that was not scored yet. */
typedef struct hem__bounded {
  float bound;
  uint32_t chosen, row; /* which of the chosen categories, and the photo in it */
} hem__bounded;

/* One thread's working memory. Zeroed is empty. */
typedef struct hem__bounds {
  hem__scorer *line;            /* a weighted L1, of other weights for every query */
  float *near, *most, *weights; /* [width] */
  double *slope;                /* [width] */
  float *values;                /* of the photos of one category that are bounded */
  uint32_t *pool;               /* candidates that were not scored yet, category by category ... */
  size_t *pool_end;             /* [categories]: ... up to here */
  hem__bounded *heap;           /* the highest bound on top */
  float *best, *rest;           /* of items: the best score; scores that are being sorted */
  hem__bounded *batch;
  size_t value_capacity, heap_capacity, rest_capacity, batch_capacity, heap_count, pool_capacity, pool_end_capacity;
} hem__bounds;

hem_status hem__bounds_prepare(const hem__learned *learned, size_t items, hem__bounds *bounds, hem_error *err);
void hem__bounds_clear(hem__bounds *bounds);

/* Lays the line for a query: it touches the score at |query - point|. What hem__bounds_values writes is above every
 * score. `point`: in the generation's precision. */
void hem__bounds_lay(const hem__learned *learned, const hem__learned_query *query, const void *point,
                     hem__bounds *bounds);
/* bounds->values[i], of photo rows[i] of the category; `rows` NULL: of all, in order. Errors: ENOMEM. */
hem_status hem__bounds_values(const hem__category *category, const hem__learned_query *query, const uint32_t *rows,
                              size_t count, hem__score_scratch *scratch, hem__bounds *bounds, hem_error *err);

#endif
