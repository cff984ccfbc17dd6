#include "bench/interval.h"

#include <math.h>

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
