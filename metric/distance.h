/* Distances between vectors, as keys: the smaller the nearer, whatever the distance.
 *
 *   l2      sum of (a-b)^2          (the square root is taken when an answer is written)
 *   l1      sum of |a-b|
 *   ip      -(a . b)
 *   cosine  -(a . b), of vectors normalised beforehand (hem__normalise) */
#ifndef HEM_METRIC_DISTANCE_H
#define HEM_METRIC_DISTANCE_H

#include "base/memory.h"

/* keys[i] = key between `query` and row i of `count` rows of `dim` floats. float32 arithmetic: the error is below
 * (dim + 2) * 6e-8 of the sum of the terms' sizes. The same machine gives the same bits every time. */
void hem__keys(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim, float *keys);

/* Of rows here and there in a matrix. */
typedef struct hem__some {
  hem_distance distance;
  const float *query;
  hem__matrix vectors;
  const uint32_t *rows; /* `count` of them */
  size_t count;
  float limit; /* what is farther is of no interest: its key may be any that is above the limit. INFINITY: all are */
} hem__some;

/* keys[i] = key between the query and vectors.rows[i]: the bits that hem__keys gives. */
void hem__keys_some(const hem__some *some, float *keys);

/* Of rows of bytes, each of which stands for the middle of one of 256 steps of its dimension:
 * value[d] = low[d] + (code[d] + 1/2) / 255 * range[d]. Not for l1. */
typedef struct hem__coded {
  hem_distance distance;
  const float *scale, *shift; /* by hem__coded_query */
  float start;                /* likewise */
  const uint8_t *codes;
  size_t dim;
  const uint32_t *rows;
  size_t count;
  float limit;
} hem__coded;

/* Makes a query ready for codes: writes `dim` floats each of scale and shift, and returns the start. `trained` holds
 * low and then range, 2 * dim floats at any address. */
float hem__coded_query(hem_distance distance, const float *query, const void *trained, size_t dim, float *scale,
                       float *shift);
void hem__keys_coded(const hem__coded *coded, float *keys);

/* What the user sees: the distance of a key. */
float hem__key_distance(hem_distance distance, float key);

/* Divides by the Euclidean norm; a zero vector stays zero. `out` may be `in`. */
void hem__normalise(const float *in, size_t dim, float *out);

/* False if any value is NaN, or larger in size than 1e15: no sum of products of such values overflows. */
bool hem__all_finite(const float *values, size_t count);

#endif
