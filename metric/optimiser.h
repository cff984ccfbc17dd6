/* Adam and RMSprop over one flat array of weights. */
#ifndef HEM_METRIC_OPTIMISER_H
#define HEM_METRIC_OPTIMISER_H

#include "base/memory.h"

typedef enum hem__optimiser_kind { HEM__ADAM = 0, HEM__RMSPROP = 1 } hem__optimiser_kind;

/* Zeroed is empty. */
typedef struct hem__optimiser {
  hem__optimiser_kind kind;
  double rate, decay;
  size_t count;         /* weights */
  uint64_t steps;       /* taken */
  float *mean, *square; /* [count]: running means of the gradient and of its square */
} hem__optimiser;

hem_status hem__optimiser_init(hem__optimiser *o, size_t count, hem_error *err);
/* Forgets what it has seen. */
void hem__optimiser_restart(hem__optimiser *o);
void hem__optimiser_clear(hem__optimiser *o);

/* One step down the gradient; only the first `decayed` weights are decayed. `rate`: a factor on o->rate. Runs on the
 * calling thread's OpenMP threads. */
void hem__optimiser_step(hem__optimiser *o, float *weights, const float *gradient, size_t decayed, double rate);

#endif
