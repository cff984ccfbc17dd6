/* Where training begins.
 *
 * By default as the plain L1 distance of the inputs (inputs.h), so that nothing is worse than before from the first
 * step on: every hidden unit sums the differences with weights near to the plain distance's, half of them over a
 * threshold of their own, and the outputs are below zero. A tower starts as a random rotation of the principal
 * components. */
#ifndef HEM_METRIC_START_H
#define HEM_METRIC_START_H

#include "metric/model.h"
#include "metric/pairs.h"

typedef struct hem__start {
  const hem__pairs *pairs;
  const float *inputs; /* of all photos */
  float *points;       /* of all photos: written where there is a tower, else the same as `inputs` */
  size_t each;         /* negatives of a positive pair */
  bool random;         /* Glorot's start, as in the reference work (Glorot and Bengio 2010) */
} hem__start;

/* Mean |a - b|, value by value, of pairs of one category that do not show one item; at least a millionth of the
 * largest. `points`: rows of `width`. Errors: ENOMEM. */
hem_status hem__start_spread(const hem__pairs *pairs, const float *points, size_t width, hem__random *random,
                             float *spread, hem_error *err);

/* Fills the model's weights and scale. Errors: ENOMEM. */
hem_status hem__start_model(const hem__start *start, hem__model *model, hem__model_work *work, hem__random *random,
                            hem_error *err);

#endif
