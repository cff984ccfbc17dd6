/* Exact search by scanning every vector: the oracle that every other index is measured against, and the
 * right answer for a small category. */
#ifndef HEM_INDEX_FLAT_H
#define HEM_INDEX_FLAT_H

#include "metric/distance.h"

/* A row and how near it is. Order everywhere: smaller key first, then smaller row. */
typedef struct hem__near {
  float key;
  uint32_t row;
} hem__near;

static inline bool hem__nearer(hem__near a, hem__near b) { return a.key < b.key || (a.key == b.key && a.row < b.row); }

/* Writes the min(k, vectors.rows) nearest rows to `out`, nearest first, and returns how many. No allocation. */
size_t hem__flat_search(hem_distance distance, const hem__vectors *vectors, const float *query, size_t k,
                        hem__near *out);

/* Rows to look at, each once, in any order. */
typedef struct hem__picked {
  const uint32_t *rows;
  size_t count;
} hem__picked;

/* The same among these rows only. */
size_t hem__flat_pick(hem_distance distance, const hem__vectors *vectors, const float *query, const hem__picked *picked,
                      size_t k, hem__near *out);

#endif
