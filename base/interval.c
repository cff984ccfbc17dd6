#include "base/interval.h"

#include <math.h>

/* The continued fraction of the incomplete beta function, by Lentz's method (Thompson and Barnett 1986); converges
 * fast for x < (a + 1) / (a + b + 2). */
static double fraction(double a, double b, double x) {
  enum { STEPS = 100000 };
  const double tiny = 1e-300, close = 1e-15;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (fabs(d) < tiny ? tiny : d);
  double result = d;
  for (int i = 1; i < STEPS; i++) {
    double m = i, even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    const double terms[] = {even, odd};
    double before = result;
    for (int j = 0; j < 2; j++) {
      d = 1 + terms[j] * d;
      d = 1 / (fabs(d) < tiny ? tiny : d);
      c = 1 + terms[j] / c;
      c = fabs(c) < tiny ? tiny : c;
      result *= c * d;
    }
    if (fabs(result - before) <= close * fabs(result)) break;
  }
  return result;
}

/* The share of a beta(a, b) distribution that lies below x. */
static double below(double a, double b, double x) {
  int sign; /* lgamma_r: lgamma writes a global */
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  double size = lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) + a * log(x) + b * log1p(-x);
  if (x < (a + 1) / (a + b + 2)) return exp(size) * fraction(a, b, x) / a;
  return 1 - exp(size) * fraction(b, a, 1 - x) / b;
}

static double quantile(double a, double b, double share) {
  double low = 0, high = 1;
  for (int i = 0; i < 200 && high - low > 1e-15; i++) {
    double middle = (low + high) / 2;
    if (below(a, b, middle) < share) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return (low + high) / 2;
}

void hem__clopper_pearson(uint64_t right, uint64_t total, double *low, double *high) {
  double r = (double)right, wrong = (double)(total - right);
  *low = right == 0 ? 0 : quantile(r, wrong + 1, 0.025);
  *high = right == total ? 1 : quantile(r + 1, wrong, 0.975);
}
