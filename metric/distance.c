/* Keys by 32 running sums, a layout that compilers turn into whole vector registers without being allowed to reorder a
 * sum. This is everybody's body (SSE2, NEON); distance_avx2.c adds in the same order. */
#include <math.h>
#include <string.h>

#include "metric/distance_kernel.h"

enum { LANES = HEM__KEY_LANES };

/* A fixed tree, so that the order of additions never depends on the compiler. */
HEM__KEY_INLINE float sum_of(const float *lanes) {
  float half[LANES / 2];
  for (size_t j = 0; j < LANES / 2; j++) half[j] = lanes[j] + lanes[j + LANES / 2];
  for (size_t width = LANES / 4; width; width /= 2)
    for (size_t j = 0; j < width; j++) half[j] += half[j + width];
  return half[0];
}

HEM__KEY_INLINE float term(hem_distance distance, float a, float b) {
  float d = a - b;
  return distance == HEM_L2 ? d * d : distance == HEM_L1 ? fabsf(d) : -(a * b);
}

/* No term of l2 or l1 is negative, and rounding keeps order: what is beyond the limit after some of the terms is so
 * after all of them. */
HEM__KEY_INLINE float key(hem_distance distance, const float *a, const float *b, size_t dim, float limit) {
  float lanes[LANES] = {0};
  size_t i = 0;
  while (i + LANES <= dim) {
    for (size_t end = hem__min(dim, i + HEM__KEY_PART); i + LANES <= end; i += LANES)
      for (size_t j = 0; j < LANES; j++) lanes[j] += term(distance, a[i + j], b[i + j]);
    if (distance == HEM_IP || limit == INFINITY) continue;
    float part = sum_of(lanes);
    if (part > limit) return part;
  }
  for (size_t j = 0; i + j < dim; j++) lanes[j] += term(distance, a[i + j], b[i + j]);
  return sum_of(lanes);
}

static void keys(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim, float *out) {
  /* The distance is a constant in each branch: three loops without a choice inside. */
  if (distance == HEM_L2) {
    for (size_t i = 0; i < count; i++) out[i] = key(HEM_L2, query, rows + i * dim, dim, INFINITY);
  } else if (distance == HEM_L1) {
    for (size_t i = 0; i < count; i++) out[i] = key(HEM_L1, query, rows + i * dim, dim, INFINITY);
  } else {
    for (size_t i = 0; i < count; i++) out[i] = key(HEM_IP, query, rows + i * dim, dim, INFINITY);
  }
}

HEM__KEY_INLINE void some_by(hem_distance distance, const hem__some *s, float *out) {
  size_t dim = s->vectors.dim, bytes = dim * sizeof(float);
  for (size_t i = 0; i < HEM__KEY_AHEAD; i++) hem__key_prefetch_row(s->vectors.at, bytes, s->rows, i, s->count);
  for (size_t i = 0; i < s->count; i++) {
    hem__key_prefetch_row(s->vectors.at, bytes, s->rows, i + HEM__KEY_AHEAD, s->count);
    out[i] = key(distance, s->query, hem__row(s->vectors, s->rows[i]), dim, s->limit);
  }
}

static void some(const hem__some *s, float *out) {
  if (s->distance == HEM_L2) {
    some_by(HEM_L2, s, out);
  } else if (s->distance == HEM_L1) {
    some_by(HEM_L1, s, out);
  } else {
    some_by(HEM_IP, s, out);
  }
}

/* ---- codes ---- */

float hem__coded_query(hem_distance distance, const float *query, const void *trained, size_t dim, float *scale,
                       float *shift) {
  const char *low = trained, *range = low + dim * sizeof(float);
  double start = 0;
  for (size_t i = 0; i < dim; i++) {
    float first, all;
    memcpy(&first, low + i * sizeof first, sizeof first);
    memcpy(&all, range + i * sizeof all, sizeof all);
    float step = all / 255, middle = first + step / 2;
    scale[i] = distance == HEM_L2 ? step : -query[i] * step;
    shift[i] = middle - query[i];
    if (distance != HEM_L2) start -= (double)query[i] * (double)middle;
  }
  return (float)start;
}

/* l2: the sum of (scale * code + shift)^2; else of scale * code, which starts at what codes of 0 give. */
HEM__KEY_INLINE float coded_key(bool l2, const hem__coded *c, const uint8_t *codes) {
  float lanes[LANES] = {0};
  size_t i = 0;
  for (size_t end; i < c->dim; i = end) {
    end = hem__min(c->dim, i + LANES);
    for (size_t j = 0; i + j < end; j++) {
      float value = c->scale[i + j] * (float)codes[i + j] + (l2 ? c->shift[i + j] : 0);
      lanes[j] += l2 ? value * value : value;
    }
  }
  return c->start + sum_of(lanes);
}

static void coded(const hem__coded *c, float *out) {
  for (size_t i = 0; i < HEM__KEY_AHEAD; i++) hem__key_prefetch_row(c->codes, c->dim, c->rows, i, c->count);
  for (size_t i = 0; i < c->count; i++) {
    const uint8_t *codes = c->codes + c->rows[i] * c->dim;
    hem__key_prefetch_row(c->codes, c->dim, c->rows, i + HEM__KEY_AHEAD, c->count);
    out[i] = c->distance == HEM_L2 ? coded_key(true, c, codes) : coded_key(false, c, codes);
  }
}

/* ---- which processor ---- */

static const hem__keys_path baseline = {.keys = keys, .some = some, .coded = coded};

size_t hem__keys_paths(const hem__keys_path *out[HEM__KEYS_PATHS]) {
  size_t count = 0;
  out[count++] = &baseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[count++] = &hem__keys_avx2;
#endif
  return count;
}

static const hem__keys_path *best_path(void) {
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  return paths[hem__keys_paths(paths) - 1];
}

void hem__keys(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim, float *out) {
  best_path()->keys(distance, query, rows, count, dim, out);
}

void hem__keys_some(const hem__some *s, float *out) { best_path()->some(s, out); }

void hem__keys_coded(const hem__coded *c, float *out) { best_path()->coded(c, out); }

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
