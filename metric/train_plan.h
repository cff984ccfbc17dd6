/* The options of hem_train, checked, with the defaults filled in. */
#ifndef HEM_METRIC_TRAIN_PLAN_H
#define HEM_METRIC_TRAIN_PLAN_H

#include "metric/model.h"
#include "metric/optimiser.h"
#include "metric/pairs.h"

typedef struct hem__plan {
  hem__form form;
  hem__loss loss;
  hem__negatives negatives;
  hem__optimiser_kind optimiser;
  size_t tower; /* 0: none */
  size_t hidden, epochs, batch, block, patience, each, seeds, threads;
  double rate;
} hem__plan;

/* `dim`: values of an embedding. Errors: EINVAL (says what there is instead). */
hem_status hem__plan_make(const hem_train_options *options, size_t dim, hem__plan *out, hem_error *err);

#endif
