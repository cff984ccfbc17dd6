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
  float limit; /* of no interest is what is farther: its key may be any that is above the limit. INFINITY: all are */
} hem__some;

/* keys[i] = key between the query and vectors.rows[i], to the bit as hem__keys computes it. */
void hem__keys_some(const hem__some *some, float *keys);

/* The ways of computing keys that this processor has, for tests; the first is everybody's. */
typedef void hem__keys_path(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim,
                            float *keys);
enum { HEM__KEYS_PATHS = 2 };
size_t hem__keys_paths(hem__keys_path *out[HEM__KEYS_PATHS]);

/* What the user sees: the distance of a key. */
float hem__key_distance(hem_distance distance, float key);

/* Divides by the Euclidean norm; a zero vector stays zero. `out` may be `in`. */
void hem__normalise(const float *in, size_t dim, float *out);

/* False if any value is NaN, or larger in size than 1e15: no sum of products of such values overflows. */
bool hem__all_finite(const float *values, size_t count);

#endif
