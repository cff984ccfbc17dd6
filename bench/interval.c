#include "bench/interval.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { BOOTSTRAPS = 1000 };

void hem__wilson(size_t right, size_t total, double *low, double *high) {
  const double z = 1.959963984540054; /* 97.5% point of the normal distribution */
  if (total == 0) {
    *low = 0;
    *high = 1;
    return;
  }
  double n = (double)total, p = (double)right / n, zz = z * z;
  double middle = (p + zz / (2 * n)) / (1 + zz / n);
  double half = z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n));
  *low = fmax(middle - half, 0);
  *high = fmin(middle + half, 1);
}

static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13; /* xorshift64, Marsaglia 2003 */
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void hem__bootstrap_mean(const double *values, size_t step, size_t count, double *low, double *high) {
  double means[BOOTSTRAPS];
  uint64_t state = 0x9E3779B97F4A7C15U;
  for (size_t b = 0; b < BOOTSTRAPS; b++) {
    means[b] = 0;
    for (size_t i = 0; i < count; i++) means[b] += values[next_random(&state) % count * step];
    means[b] /= (double)count;
  }
  qsort(means, BOOTSTRAPS, sizeof *means, by_value);
  *low = means[BOOTSTRAPS * 25 / 1000];
  *high = means[BOOTSTRAPS * 975 / 1000];
}
