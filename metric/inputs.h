/* The embeddings that training works on, in memory and in a scale that suits it.
 *
 *   input = (t - centre) * stretch, value by value;   t = embedding, or embedding / |embedding|
 *
 * With a tower: centred, and one stretch for all values, so that they are about 1. Without: no centre, which would
 * cancel out, and stretch = spread^(power - 1), where spread is the mean difference of two photos. The plain L1
 * distance of inputs is then that of embeddings for power 1, and for power 0 that in which every dimension counts
 * alike. */
#ifndef HEM_METRIC_INPUTS_H
#define HEM_METRIC_INPUTS_H

#include "ingest/catalog.h"
#include "metric/model.h"
#include "metric/pairs.h"

typedef struct hem__inputs {
  float *at; /* [pairs->photo_count][dim] */
  size_t count, dim;
  float *centre, *stretch, *spread; /* [dim] */
} hem__inputs;

/* Reads the embeddings of all photos of `pairs`; power 1. Errors: ECORRUPT, ENOMEM, EINVAL (a value that is not finite:
 * names the photo). */
hem_status hem__inputs_new(hem__catalog *catalog, size_t space, const hem__pairs *pairs, bool unit, bool tower,
                           hem__random *random, hem__inputs *out, hem_error *err);
void hem__inputs_clear(hem__inputs *inputs);
/* Without a tower: to this power. */
void hem__inputs_bend(hem__inputs *inputs, double power);

/* The metric that a model over these inputs is. `metric` has the model's shape. */
void hem__inputs_fold(const hem__inputs *inputs, const hem__model *model, hem__metric *metric);

#endif
