#include "metric/blas.h"

#include <cblas.h>

void hem__gemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta,
               float *c, size_t stride) {
  if (m == 0 || n == 0) return;
  int lda = (int)(ta ? m : k), ldb = (int)(tb ? k : n);
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
              alpha, a, lda, b, ldb, beta, c, (int)stride);
}
