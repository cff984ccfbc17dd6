/* The network that is trained: forward and backward over mini-batches, the products by BLAS.
 *
 *   p(a)  = a, or with a tower (T a + c) / |T a + c|
 *   x     = scale * |p(a) - p(b)|, value by value
 *   s     = b2 + w2 . relu(W1 x + b1)        or b2 + w2 . x, or b2 + w2 . x^2
 *
 * This is the s of metric.h, but for `scale`, which makes every difference about 1 for two photos taken at random, so
 * that one step size fits every embedding; it is folded into W1 at the end (train.c). */
#ifndef HEM_METRIC_MODEL_H
#define HEM_METRIC_MODEL_H

#include "metric/metric.h"

/* All weights lie in one array, in this order: W1, T, w2, b1, c, b2. The first `decayed` of them are those that weight
 * decay is for. */
typedef struct hem__model {
  hem__form form;
  size_t dim, tower, width, hidden; /* as in metric.h */
  size_t count, decayed;
  float *weights;
  float *w1, *tower_weights, *w2, *b1, *tower_bias, *b2; /* into it */
  float *scale;                                          /* [width] */
} hem__model;

/* `shape`: form, dim, tower and hidden are looked at. All weights are zero, the scale is 1. Errors: EINVAL (no metric
 * can have this shape), ENOMEM. */
hem_status hem__model_new(const hem__metric *shape, hem__model *out, hem_error *err);
void hem__model_clear(hem__model *model);
/* Number of weights of w2: `hidden`, or `width` where there are no hidden units. */
size_t hem__model_outputs(const hem__model *model);

typedef enum hem__loss { HEM__BCE = 0, HEM__TRIPLET = 1 } hem__loss;

/* Pairs of photos, as rows of `inputs`. All borrowed.
 *
 * Binary cross-entropy: the mean over pairs of log(1 + exp(s)) - y s.
 * Triplet: the pairs are blocks of `block` x `block`, a row of a block for each query, whose targets say which of its
 * photos are right. Batch-hard with a soft margin (Hermans et al. 2017): the mean over queries of log(1 + exp(s_wrong -
 * s_right)), of its best wrong photo and its worst right one; a row without either counts as nothing. */
typedef struct hem__batch {
  const float *inputs; /* rows of `dim` */
  const uint32_t *a, *b;
  const float *target; /* 1: the same item; 0: another */
  size_t count;
  hem__loss loss;
  size_t block;   /* triplet: count is a multiple of block * block */
  double dropout; /* share of hidden units left out, each pair anew; < 1 */
  uint64_t noise; /* which */
} hem__batch;

/* Working memory for batches of at most `pairs` pairs. */
typedef struct hem__model_work hem__model_work;
/* `photos`: rows that the inputs of batches have. Errors: ENOMEM. */
hem_status hem__model_work_new(const hem__model *model, size_t pairs, size_t photos, hem__model_work **out,
                               hem_error *err);
void hem__model_work_free(hem__model_work *work);

/* The batch's loss; writes its gradient by every weight, model->count floats. Runs on the calling thread's OpenMP
 * threads; the same number of them gives the same bits. */
double hem__model_learn(const hem__model *model, hem__model_work *work, const hem__batch *batch, float *gradient);

/* p of `count` inputs: rows of `width`. Without a tower the inputs are copied. Same threads. */
void hem__model_project(const hem__model *model, const float *inputs, size_t count, float *points);

/* scores[i] = s of rows a[i] and b[i] of `points`. Same threads. */
void hem__model_score(const hem__model *model, hem__model_work *work, const float *points, const uint32_t *a,
                      const uint32_t *b, size_t count, float *scores);

#endif
