/* How far a measured share is to be believed. */
#ifndef HEM_BASE_INTERVAL_H
#define HEM_BASE_INTERVAL_H

#include <stdint.h>

/* Clopper and Pearson's exact interval (1934) for `right` of `total` at 95%: quantiles of the beta distribution. 0..1;
 * of nothing, 0 to 1. */
void hem__clopper_pearson(uint64_t right, uint64_t total, double *low, double *high);

#endif
