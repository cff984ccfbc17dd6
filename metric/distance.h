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

/* Vectors as they are kept: floats, or bytes where all values are whole numbers from 0 to 255 divided by 1 or by 255,
 * as those of pixels are. These are the same floats, in a quarter of the memory. */
typedef struct hem__vectors {
  const float *at; /* NULL: bytes */
  const uint8_t *bytes;
  float divisor; /* of bytes */
  size_t rows, dim;
} hem__vectors;

static inline hem__vectors hem__floats(hem__matrix m) {
  return (hem__vectors){.at = m.at, .rows = m.rows, .dim = m.dim};
}

/* The divisor with which bytes are these floats, all of them; 0: none. */
float hem__divisor_of(const float *values, size_t count);
/* `values` divided by it, as bytes. */
void hem__to_bytes(const float *values, size_t count, float divisor, uint8_t *out);
void hem__copy_row(const hem__vectors *vectors, size_t row, float *out);

/* Of rows here and there. */
typedef struct hem__some {
  hem_distance distance;
  const float *query;
  hem__vectors vectors;
  const uint32_t *rows; /* `count` of them; NULL: those from `first` on */
  size_t first, count;
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

/* A linear map in whole numbers: out = steps * (axes * (query - centre)) + shift. */
typedef struct hem__projection {
  int16_t *axes;                 /* [out][in]; owned, as is the next */
  float *steps, *shift, *centre; /* [out], [out], [in]: one piece of memory, in this order */
  size_t in, out;                /* out: 0: there is none */
} hem__projection;

/* matrix * query + shift, floats at any address, [out][in] and [out]. `centre` [in] is what queries lie around: the
 * smaller what is left of them, the finer its steps. Elements of a row are kept in steps of its largest one over
 * hem__projection_range(in), and so are a query's values: sums of 32 bits hold their products. Errors: ENOMEM. */
int16_t hem__projection_range(size_t in);
hem_status hem__projection_new(const void *matrix, const void *shift, const void *centre, size_t in, size_t out,
                               hem__projection *p, hem_error *err);
void hem__projection_clear(hem__projection *p);
/* `whole` has room for `in` numbers. The same bits on every machine but for the last of each float. */
void hem__project(const hem__projection *p, const float *query, int16_t *whole, float *out);

/* What the user sees: the distance of a key. */
float hem__key_distance(hem_distance distance, float key);

/* Divides by the Euclidean norm; a zero vector stays zero. `out` may be `in`. */
void hem__normalise(const float *in, size_t dim, float *out);

/* False if any value is NaN, or larger in size than 1e15: no sum of products of such values overflows. */
bool hem__all_finite(const float *values, size_t count);

#endif
