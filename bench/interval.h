/* How far a measured rate is to be believed. */
#ifndef HEM_BENCH_INTERVAL_H
#define HEM_BENCH_INTERVAL_H

#include <stddef.h>

/* Wilson's score interval (Wilson 1927) for `right` of `total`, at 95%: where the true rate lies. 0..1. */
void hem__wilson(size_t right, size_t total, double *low, double *high);

/* The 95% interval of the mean of `count` values, `step` doubles apart: Efron's percentile bootstrap (1979), 1,000
 * resamples, always the same ones. */
void hem__bootstrap_mean(const double *values, size_t step, size_t count, double *low, double *high);

#endif
