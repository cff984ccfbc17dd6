/* Every body is written once and inlined into two functions. "omp simd" allows a sum to be split into vector lanes,
 * which plain C does not; how it is split is fixed when the code is compiled. Compiled without math's errno
 * (CMakeLists.txt): a square root that sets it cannot be a vector instruction. */
#include "metric/loops.h"

#include <math.h>
#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))

/* `give`: `return`, or nothing for a function that gives nothing. */
#if defined(__x86_64__)
static bool wide(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#define EACH(type, give, name, parameters, arguments)                                                    \
  __attribute__((target("avx2,fma"))) static type name##_avx2 parameters { give name##_body arguments; } \
  type hem__loop_##name parameters {                                                                     \
    if (wide()) {                                                                                        \
      give name##_avx2 arguments;                                                                        \
    } else {                                                                                             \
      give name##_body arguments;                                                                        \
    }                                                                                                    \
  }
#else
#define EACH(type, give, name, parameters, arguments) \
  type hem__loop_##name parameters { give name##_body arguments; }
#endif

INLINE void difference_body(const float *a, const float *b, const float *scale, size_t count, float *out) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) out[i] = scale[i] * fabsf(a[i] - b[i]);
}

INLINE float relu_body(float *z, const float *bias, const float *keep, const float *w, size_t count) {
  float sum = 0;
  if (keep) {
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++) {
      float v = z[i] + bias[i];
      z[i] = (v > 0 ? v : 0) * keep[i];
      sum += z[i] * w[i];
    }
    return sum;
  }
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < count; i++) {
    float v = z[i] + bias[i];
    z[i] = v > 0 ? v : 0;
    sum += z[i] * w[i];
  }
  return sum;
}

INLINE void relu_back_body(const float *z, const float *keep, const float *w, float g, size_t count, float *out) {
  if (keep) {
#pragma omp simd
    for (size_t i = 0; i < count; i++) out[i] = z[i] > 0 ? g * w[i] * keep[i] : 0;
    return;
  }
#pragma omp simd
  for (size_t i = 0; i < count; i++) out[i] = z[i] > 0 ? g * w[i] : 0;
}

INLINE float dot_body(const float *a, const float *b, size_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

INLINE void add_body(float *to, const float *from, float factor, size_t count) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) to[i] += factor * from[i];
}

/* `to_a` and `to_b` are never the same row: a photo is not paired with itself. */
INLINE void sign_body(const float *a, const float *b, const float *scale, const float *g, size_t count, float *to_a,
                      float *to_b) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) {
    float d = a[i] - b[i], sign = d > 0 ? 1.0F : d < 0 ? -1.0F : 0.0F, step = g[i] * scale[i] * sign;
    to_a[i] += step;
    to_b[i] -= step;
  }
}

INLINE void adam_body(float *w, const float *g, float *mean, float *square, hem__loop_step step, size_t count) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) {
    float m = step.first * mean[i] + (1 - step.first) * g[i];
    float s = step.second * square[i] + (1 - step.second) * g[i] * g[i];
    mean[i] = m;
    square[i] = s;
    w[i] = step.shrink * w[i] - step.rate * m / (sqrtf(s) + step.epsilon);
  }
}

INLINE void rmsprop_body(float *w, const float *g, float *square, hem__loop_step step, size_t count) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) {
    float s = step.second * square[i] + (1 - step.second) * g[i] * g[i];
    square[i] = s;
    w[i] = step.shrink * w[i] - step.rate * g[i] / (sqrtf(s) + step.epsilon);
  }
}

EACH(void, , difference, (const float *a, const float *b, const float *scale, size_t count, float *out),
     (a, b, scale, count, out))
EACH(float, return, relu, (float *z, const float *bias, const float *keep, const float *w, size_t count),
     (z, bias, keep, w, count))
EACH(void, , relu_back, (const float *z, const float *keep, const float *w, float g, size_t count, float *out),
     (z, keep, w, g, count, out))
EACH(float, return, dot, (const float *a, const float *b, size_t count), (a, b, count))
EACH(void, , add, (float *to, const float *from, float factor, size_t count), (to, from, factor, count))
EACH(void, , sign,
     (const float *a, const float *b, const float *scale, const float *g, size_t count, float *to_a, float *to_b),
     (a, b, scale, g, count, to_a, to_b))
EACH(void, , adam, (float *w, const float *g, float *mean, float *square, hem__loop_step step, size_t count),
     (w, g, mean, square, step, count))
EACH(void, , rmsprop, (float *w, const float *g, float *square, hem__loop_step step, size_t count),
     (w, g, square, step, count))
