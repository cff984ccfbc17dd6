/* Do probabilities come true? Of the answers that were given 30%, 30% should be right. */
#ifndef HEM_METRIC_RELIABILITY_H
#define HEM_METRIC_RELIABILITY_H

#include "base/memory.h"

enum { HEM__RELIABILITY_BINS = 10 }; /* equally wide: 0 to 0.1, ... 0.9 to 1 */

typedef struct hem__reliability_bin {
  uint64_t count;
  double mean, rate; /* of the probabilities, and how many of them came true; 0 where there is none */
} hem__reliability_bin;

typedef struct hem__reliability {
  hem__reliability_bin bins[HEM__RELIABILITY_BINS];
  uint64_t count;
  double error; /* expected calibration error (Guo et al. 2017): mean of |mean - rate|, by count */
} hem__reliability;

/* `probabilities` within 0..1. */
void hem__reliability_measure(const double *probabilities, const bool *came_true, size_t count, hem__reliability *out);

#endif
