/* The adapter to BLAS: nobody else includes its header. Row-major float32. */
#ifndef HEM_METRIC_BLAS_H
#define HEM_METRIC_BLAS_H

#include "base/memory.h"

/* c[m][n] = alpha * op(a) op(b) + beta * c, op(a) of m x k and op(b) of k x n; `ta`, `tb`: transposed, then a is stored
 * k x m and b n x k; rows of c lie `stride` floats apart. Sizes below 2^31. Runs on the calling thread's OpenMP threads
 * (base/threads.h): the same number gives the same bits. */
void hem__gemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta,
               float *c, size_t stride);

#endif
