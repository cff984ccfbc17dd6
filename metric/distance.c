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

/* Element i of a row: of floats, or of bytes where there is a divisor. */
HEM__KEY_INLINE float value(const void *row, float divisor, size_t i) {
  return divisor != 0 ? (float)((const uint8_t *)row)[i] / divisor : ((const float *)row)[i];
}

/* No term of l2 or l1 is negative, and rounding keeps order: what is beyond the limit after some of the terms is so
 * after all of them. */
HEM__KEY_INLINE float key(hem_distance distance, const hem__some *s, const void *row, float divisor) {
  float lanes[LANES] = {0};
  size_t i = 0, dim = s->vectors.dim;
  while (i + LANES <= dim) {
    for (size_t end = hem__min(dim, i + HEM__KEY_PART); i + LANES <= end; i += LANES)
      for (size_t j = 0; j < LANES; j++) lanes[j] += term(distance, s->query[i + j], value(row, divisor, i + j));
    if (distance == HEM_IP || s->limit == INFINITY) continue;
    float part = sum_of(lanes);
    if (part > s->limit) return part;
  }
  for (size_t j = 0; i + j < dim; j++) lanes[j] += term(distance, s->query[i + j], value(row, divisor, i + j));
  return sum_of(lanes);
}

HEM__KEY_INLINE void some_by(hem_distance distance, const hem__some *s, float divisor, float *out) {
  for (size_t i = 0; i < HEM__KEY_AHEAD; i++) hem__key_prefetch_row(s, i);
  for (size_t i = 0; i < s->count; i++) {
    hem__key_prefetch_row(s, i + HEM__KEY_AHEAD);
    out[i] = key(distance, s, hem__key_row(s, i), divisor);
  }
}

/* The distance, and whether there is a divisor, are constants in each branch: loops without a choice inside. */
HEM__KEY_INLINE void some_of(hem_distance distance, const hem__some *s, float *out) {
  if (s->vectors.at) {
    some_by(distance, s, 0, out);
  } else if (s->vectors.divisor == 1) {
    some_by(distance, s, 1, out);
  } else {
    some_by(distance, s, s->vectors.divisor, out);
  }
}

static void some(const hem__some *s, float *out) {
  if (s->distance == HEM_L2) {
    some_of(HEM_L2, s, out);
  } else if (s->distance == HEM_L1) {
    some_of(HEM_L1, s, out);
  } else {
    some_of(HEM_IP, s, out);
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
  for (size_t i = 0; i < HEM__KEY_AHEAD; i++) hem__key_prefetch_codes(c, i);
  for (size_t i = 0; i < c->count; i++) {
    const uint8_t *codes = c->codes + c->rows[i] * c->dim;
    hem__key_prefetch_codes(c, i + HEM__KEY_AHEAD);
    out[i] = c->distance == HEM_L2 ? coded_key(true, c, codes) : coded_key(false, c, codes);
  }
}

static void project(const hem__projection *p, const int16_t *query, int64_t *products) {
  for (size_t o = 0; o < p->out; o++) {
    products[o] = 0;
    for (size_t i = 0; i < p->in; i++) products[o] += p->axes[o * p->in + i] * query[i];
  }
}

/* ---- which processor ---- */

static const hem__keys_path baseline = {.some = some, .coded = coded, .project = project};

size_t hem__keys_paths(const hem__keys_path *out[HEM__KEYS_PATHS]) {
  size_t count = 0;
  out[count++] = &baseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[count++] = &hem__keys_avx2;
#endif
  return count;
}

const hem__keys_path *hem__best_keys(void) {
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  return paths[hem__keys_paths(paths) - 1];
}

void hem__keys(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim, float *out) {
  hem__some all = {.distance = distance,
                   .query = query,
                   .vectors = {.at = rows, .rows = count, .dim = dim},
                   .count = count,
                   .limit = INFINITY};
  hem__best_keys()->some(&all, out);
}

void hem__keys_some(const hem__some *s, float *out) { hem__best_keys()->some(s, out); }

void hem__keys_coded(const hem__coded *c, float *out) { hem__best_keys()->coded(c, out); }

/* ---- bytes ---- */

float hem__divisor_of(const float *values, size_t count) {
  static const float divisors[] = {1, 255};
  for (size_t d = 0; d < sizeof divisors / sizeof *divisors; d++) {
    float divisor = divisors[d];
    size_t i = 0;
    for (; i < count && values[i] >= 0 && values[i] * divisor <= UINT8_MAX; i++)
      if ((float)(uint8_t)(values[i] * divisor + 0.5F) / divisor != values[i]) break;
    if (i == count) return divisor;
  }
  return 0;
}

void hem__to_bytes(const float *values, size_t count, float divisor, uint8_t *out) {
  for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(values[i] * divisor + 0.5F);
}

void hem__copy_row(const hem__vectors *v, size_t row, float *out) {
  for (size_t i = 0; i < v->dim; i++)
    out[i] = v->at ? v->at[row * v->dim + i] : (float)v->bytes[row * v->dim + i] / v->divisor;
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
