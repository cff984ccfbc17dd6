/* How far a measured rate is to be believed. */
#ifndef HEM_BENCH_INTERVAL_H
#define HEM_BENCH_INTERVAL_H

#include <stddef.h>

/* Wilson's score interval (Wilson 1927) for `right` of `total`, at 95%: where the true rate lies. 0..1. */
void hem__wilson(size_t right, size_t total, double *low, double *high);

#endif
