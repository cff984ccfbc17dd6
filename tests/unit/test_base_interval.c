/* Clopper and Pearson's interval: published values, and its defining property by the binomial sum itself. */
#include <math.h>

#include "base/interval.h"
#include "test.h"

/* P(X <= right) or P(X >= right) of a binomial distribution, summed in logarithms. */
static double tail(uint64_t right, uint64_t total, double p, bool upper) {
  double sum = 0;
  for (uint64_t i = upper ? right : 0; i <= (upper ? total : right); i++)
    sum += exp(lgamma((double)total + 1) - lgamma((double)i + 1) - lgamma((double)(total - i) + 1) +
               (double)i * log(p) + (double)(total - i) * log1p(-p));
  return sum;
}

START_TEST(intervals_are_as_published) {
  static const struct {
    uint64_t right, total;
    double low, high;
  } known[] = {/* Clopper and Pearson 1934; Newcombe 1998, table I */
               {81, 263, 0.2527, 0.3676},
               {15, 148, 0.0578, 0.1617},
               {0, 20, 0, 0.1684},
               {1, 29, 0.0009, 0.1776}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    double low, high;
    hem__clopper_pearson(known[i].right, known[i].total, &low, &high);
    ck_assert_msg(fabs(low - known[i].low) < 5e-5 && fabs(high - known[i].high) < 5e-5, "%zu: %.5f to %.5f", i, low,
                  high);
  }
}
END_TEST

START_TEST(each_end_leaves_a_fortieth_outside) {
  static const uint64_t totals[] = {1, 2, 7, 20, 500, 10000};
  for (size_t t = 0; t < sizeof totals / sizeof *totals; t++)
    for (uint64_t step = 0; step <= 8; step++) {
      uint64_t right = totals[t] * step / 8;
      double low, high;
      hem__clopper_pearson(right, totals[t], &low, &high);
      if (right > 0) ck_assert_double_eq_tol(tail(right, totals[t], low, true), 0.025, 1e-8);
      if (right < totals[t]) ck_assert_double_eq_tol(tail(right, totals[t], high, false), 0.025, 1e-8);
      ck_assert(right > 0 || low == 0);
      ck_assert(right < totals[t] || high == 1);
    }
}
END_TEST

START_TEST(of_nothing_nothing_is_known) {
  double low, high;
  hem__clopper_pearson(0, 0, &low, &high);
  ck_assert(low == 0 && high == 1);
}
END_TEST

HEM_TESTS("interval", intervals_are_as_published, each_end_leaves_a_fortieth_outside, of_nothing_nothing_is_known)
