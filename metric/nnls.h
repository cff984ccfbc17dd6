/* Least squares with weights that are not negative, of rows that come in groups. */
#ifndef HEM_METRIC_NNLS_H
#define HEM_METRIC_NNLS_H

#include "base/memory.h"

/* Row i of group g is x + (g * stride + i) * width, of `width` values, and wants y[g * stride + i]. Both are
 * overwritten. */
typedef struct hem__grouped {
  float *x, *y;
  const uint32_t *counts; /* [groups]: rows of each, at most `stride` */
  size_t groups, stride, width;
  size_t threads; /* 0: one for each core. The result does not depend on it */
} hem__grouped;

/* Each group has an intercept of its own, so rows are compared within their group only:
 *
 *   minimise over w >= 0   sum of (w . x - y - the group's mean of that)^2 + ridge * v * |w - plain|^2
 *
 * where `plain` is the same weight for every dimension, fitted first (and not below zero), and v the mean variance of a
 * dimension times the rows: a ridge of 1 is as strong as the data in an average dimension. `weights`: width floats. By
 * FISTA (Beck and Teboulle 2009), restarted where its momentum points uphill (O'Donoghue and Candes 2015): a step is
 * one pass over x. Errors: ENOMEM. */
hem_status hem__nnls(const hem__grouped *rows, double ridge, float *weights, hem_error *err);

#endif
