#include "metric/reliability.h"

#include <math.h>

void hem__reliability_measure(const double *probabilities, const bool *came_true, size_t count, hem__reliability *out) {
  *out = (hem__reliability){.count = count};
  for (size_t i = 0; i < count; i++) {
    size_t bin = hem__min((size_t)(probabilities[i] * HEM__RELIABILITY_BINS), HEM__RELIABILITY_BINS - 1);
    out->bins[bin].count++;
    out->bins[bin].mean += probabilities[i];
    out->bins[bin].rate += came_true[i];
  }
  for (size_t i = 0; i < HEM__RELIABILITY_BINS; i++) {
    hem__reliability_bin *bin = &out->bins[i];
    if (bin->count == 0) continue;
    out->error += fabs(bin->mean - bin->rate) / (double)count;
    bin->mean /= (double)bin->count;
    bin->rate /= (double)bin->count;
  }
}
