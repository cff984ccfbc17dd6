/* One body for every processor: 32 running sums, a layout that compilers turn into whole vector registers
 * without being allowed to reorder a sum. It is compiled for the baseline (SSE2, NEON) and, on x86-64, again
 * for AVX2 with FMA; the processor chooses when the library is loaded. */
#include "metric/distance.h"

#include <math.h>
#include <string.h>

#include "base/status.h"

enum { LANES = 32 };

#define INLINE static inline __attribute__((always_inline))

/* A fixed tree, so that the order of additions never depends on the compiler. */
INLINE float sum_of(const float *lanes) {
  float half[LANES / 2];
  for (size_t j = 0; j < LANES / 2; j++) half[j] = lanes[j] + lanes[j + LANES / 2];
  for (size_t width = LANES / 4; width; width /= 2)
    for (size_t j = 0; j < width; j++) half[j] += half[j + width];
  return half[0];
}

INLINE float term(hem_distance distance, float a, float b) {
  float d = a - b;
  return distance == HEM_L2 ? d * d : distance == HEM_L1 ? fabsf(d) : -(a * b);
}

INLINE float key(hem_distance distance, const float *a, const float *b, size_t dim) {
  float lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= dim; i += LANES)
    for (size_t j = 0; j < LANES; j++) lanes[j] += term(distance, a[i + j], b[i + j]);
  for (size_t j = 0; i + j < dim; j++) lanes[j] += term(distance, a[i + j], b[i + j]);
  return sum_of(lanes);
}

INLINE void keys(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim, float *out) {
  /* The distance is a constant in each branch: three loops without a choice inside. */
  if (distance == HEM_L2) {
    for (size_t i = 0; i < count; i++) out[i] = key(HEM_L2, query, rows + i * dim, dim);
  } else if (distance == HEM_L1) {
    for (size_t i = 0; i < count; i++) out[i] = key(HEM_L1, query, rows + i * dim, dim);
  } else {
    for (size_t i = 0; i < count; i++) out[i] = key(HEM_IP, query, rows + i * dim, dim);
  }
}

/* ---- rows here and there ---- */

enum { PART = 4 * LANES };

/* No term of a distance is negative, and rounding keeps order: what is beyond the limit after some of the terms is so
 * after all of them. */
INLINE float limited_key(hem_distance distance, const float *a, const float *b, size_t dim, float limit) {
  float lanes[LANES] = {0};
  size_t i = 0;
  while (i + LANES <= dim) {
    size_t end = hem__min(dim, i + PART);
    for (; i + LANES <= end; i += LANES)
      for (size_t j = 0; j < LANES; j++) lanes[j] += term(distance, a[i + j], b[i + j]);
    if (i + LANES <= dim) {
      float part = sum_of(lanes);
      if (part > limit) return part;
    }
  }
  for (size_t j = 0; i + j < dim; j++) lanes[j] += term(distance, a[i + j], b[i + j]);
  return sum_of(lanes);
}

/* A row begins anywhere in memory: its first lines are asked for while the one before it is computed. */
INLINE void prefetch(const float *row, size_t dim) {
  enum { LINE = 16, LINES = 16 };
  size_t end = hem__min(dim, LINE * LINES);
  for (size_t i = 0; i < end; i += LINE) __builtin_prefetch(row + i);
}

INLINE void keys_some(const hem__some *s, float *out) {
  size_t dim = s->vectors.dim;
  if (s->count) prefetch(hem__row(s->vectors, s->rows[0]), dim);
  for (size_t i = 0; i < s->count; i++) {
    const float *row = hem__row(s->vectors, s->rows[i]);
    if (i + 1 < s->count) prefetch(hem__row(s->vectors, s->rows[i + 1]), dim);
    if (s->distance == HEM_L2) {
      out[i] = limited_key(HEM_L2, s->query, row, dim, s->limit);
    } else if (s->distance == HEM_L1) {
      out[i] = limited_key(HEM_L1, s->query, row, dim, s->limit);
    } else {
      out[i] = key(HEM_IP, s->query, row, dim);
    }
  }
}

/* ---- which processor ---- */

static void keys_baseline(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim,
                          float *out) {
  keys(distance, query, rows, count, dim, out);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void keys_avx2(hem_distance distance, const float *query, const float *rows,
                                                          size_t count, size_t dim, float *out) {
  keys(distance, query, rows, count, dim, out);
}
#endif

static void keys_some_baseline(const hem__some *some, float *out) { keys_some(some, out); }

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void keys_some_avx2(const hem__some *some, float *out) {
  keys_some(some, out);
}
#endif

void hem__keys_some(const hem__some *some, float *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    keys_some_avx2(some, out);
    return;
  }
#endif
  keys_some_baseline(some, out);
}

size_t hem__keys_paths(hem__keys_path *out[HEM__KEYS_PATHS]) {
  size_t count = 0;
  out[count++] = keys_baseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[count++] = keys_avx2;
#endif
  return count;
}

void hem__keys(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim, float *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    keys_avx2(distance, query, rows, count, dim, out);
    return;
  }
#endif
  keys_baseline(distance, query, rows, count, dim, out);
}

float hem__key_distance(hem_distance distance, float key_) {
  switch (distance) {
    case HEM_L2:
      return sqrtf(fmaxf(key_, 0));
    case HEM_COSINE:
      return fmaxf(1 + key_, 0);
    default:
      return key_;
  }
}

void hem__normalise(const float *in, size_t dim, float *out) {
  double square = 0; /* of values from 1e-38 to 1e15: float32 would overflow and underflow */
  for (size_t i = 0; i < dim; i++) square += (double)in[i] * (double)in[i];
  double scale = square > 0 ? 1 / sqrt(square) : 0;
  for (size_t i = 0; i < dim; i++) out[i] = (float)((double)in[i] * scale);
}

bool hem__all_finite(const float *values, size_t count) {
  int bad = 0;
  for (size_t i = 0; i < count; i++) bad |= !(fabsf(values[i]) <= 1e15F);
  return !bad;
}

static const char *const names[] = {"l2", "l1", "cosine", "ip"};

const char *hem_distance_name(hem_distance distance) { return (size_t)distance < 4 ? names[distance] : "unknown"; }

hem_status hem_distance_parse(const char *name, hem_distance *out, hem_error *err) {
  for (size_t i = 0; i < 4; i++) {
    if (strcmp(name, names[i]) != 0) continue;
    *out = (hem_distance)i;
    return HEM_OK;
  }
  return hem__fail(err, HEM_EINVAL, "no distance '%s': there are l2, l1, cosine and ip", name);
}
