/* Keys with AVX2 and FMA. Compiled with these; runs only where distance.c found them. Four registers hold the running
 * sums: dimension d goes into sum d % 32, as everywhere. */
#include "metric/distance_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 8, SUMS = HEM__KEY_LANES / WIDTH };

typedef struct sums {
  __m256 at[SUMS];
} sums;

/* The tree of distance.c. */
HEM__KEY_INLINE float fold(const sums *s) {
  __m256 quarter = _mm256_add_ps(_mm256_add_ps(s->at[0], s->at[2]), _mm256_add_ps(s->at[1], s->at[3]));
  __m128 eighth = _mm_add_ps(_mm256_castps256_ps128(quarter), _mm256_extractf128_ps(quarter, 1));
  __m128 two = _mm_add_ps(eighth, _mm_movehl_ps(eighth, eighth));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

HEM__KEY_INLINE __m256 add_term(hem_distance distance, __m256 a, __m256 b, __m256 sum) {
  if (distance == HEM_IP) return _mm256_fnmadd_ps(a, b, sum);
  __m256 d = _mm256_sub_ps(a, b);
  if (distance == HEM_L2) return _mm256_fmadd_ps(d, d, sum);
  return _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0F), d));
}

/* Up to 8 values, and zeros. */
HEM__KEY_INLINE __m256 load(const float *at, size_t count) {
  float some[WIDTH] = {0};
  if (count >= WIDTH) return _mm256_loadu_ps(at);
  for (size_t i = 0; i < count; i++) some[i] = at[i];
  return _mm256_loadu_ps(some);
}

HEM__KEY_INLINE __m128i load_codes(const uint8_t *at, size_t count) {
  uint8_t part[WIDTH] = {0};
  if (count >= WIDTH) return _mm_loadl_epi64((const __m128i *)(const void *)at);
  for (size_t i = 0; i < count; i++) part[i] = at[i];
  return _mm_loadl_epi64((const __m128i *)(const void *)part);
}

HEM__KEY_INLINE __m256 to_floats(__m128i codes) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes)); }

/* Of a row of floats, or of bytes where there is a divisor. The quotient is corrected once by its remainder, and so is
 * rounded as a division is (Markstein 1990; tested for all bytes), in a third of the time. */
HEM__KEY_INLINE __m256 values(const void *row, float divisor, size_t at, size_t count) {
  if (divisor == 0) return load((const float *)row + at, count);
  __m256 code = to_floats(load_codes((const uint8_t *)row + at, count)), inverse = _mm256_set1_ps(1 / divisor);
  if (divisor == 1) return code;
  __m256 quotient = _mm256_mul_ps(code, inverse);
  return _mm256_fmadd_ps(_mm256_fnmadd_ps(quotient, _mm256_set1_ps(divisor), code), inverse, quotient);
}

HEM__KEY_INLINE float key(hem_distance distance, const hem__some *s, const void *row, float divisor) {
  sums total = {{_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}};
  size_t i = 0, dim = s->vectors.dim;
  const float *query = s->query;
  while (i + HEM__KEY_LANES <= dim) {
    for (size_t end = hem__min(dim, i + HEM__KEY_PART); i + HEM__KEY_LANES <= end; i += HEM__KEY_LANES)
      for (size_t j = 0; j < SUMS; j++)
        total.at[j] = add_term(distance, _mm256_loadu_ps(query + i + j * WIDTH),
                               values(row, divisor, i + j * WIDTH, WIDTH), total.at[j]);
    if (distance == HEM_IP || s->limit == INFINITY) continue;
    float part = fold(&total);
    if (part > s->limit) return part;
  }
  for (size_t j = 0; j < SUMS; j++, i += WIDTH)
    if (i < dim)
      total.at[j] = add_term(distance, load(query + i, dim - i), values(row, divisor, i, dim - i), total.at[j]);
  return fold(&total);
}

HEM__KEY_INLINE void some_by(hem_distance distance, const hem__some *s, float divisor, float *out) {
  for (size_t i = 0; i < HEM__KEY_AHEAD; i++) hem__key_prefetch_row(s, i);
  for (size_t i = 0; i < s->count; i++) {
    hem__key_prefetch_row(s, i + HEM__KEY_AHEAD);
    out[i] = key(distance, s, hem__key_row(s, i), divisor);
  }
}

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

HEM__KEY_INLINE __m256 add_coded(bool l2, __m128i codes, __m256 scale, __m256 shift, __m256 sum) {
  __m256 value = to_floats(codes);
  if (!l2) return _mm256_fmadd_ps(value, scale, sum);
  value = _mm256_fmadd_ps(value, scale, shift);
  return _mm256_fmadd_ps(value, value, sum);
}

HEM__KEY_INLINE float coded_key(bool l2, const hem__coded *c, const uint8_t *codes) {
  sums s = {{_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}};
  size_t i = 0;
  while (i + HEM__KEY_LANES <= c->dim) {
    for (size_t end = hem__min(c->dim, i + HEM__KEY_PART); i + HEM__KEY_LANES <= end; i += HEM__KEY_LANES)
      for (size_t j = 0; j < SUMS; j++) {
        size_t at = i + j * WIDTH;
        s.at[j] = add_coded(l2, load_codes(codes + at, WIDTH), _mm256_loadu_ps(c->scale + at),
                            _mm256_loadu_ps(c->shift + at), s.at[j]);
      }
    if (!l2 || c->limit == INFINITY) continue;
    float part = fold(&s);
    if (part > c->limit) return part;
  }
  for (size_t j = 0; j < SUMS; j++, i += WIDTH)
    if (i < c->dim)
      s.at[j] = add_coded(l2, load_codes(codes + i, c->dim - i), load(c->scale + i, c->dim - i),
                          load(c->shift + i, c->dim - i), s.at[j]);
  return c->start + fold(&s);
}

static void coded(const hem__coded *c, float *out) {
  for (size_t i = 0; i < HEM__KEY_AHEAD; i++) hem__key_prefetch_codes(c, i);
  for (size_t i = 0; i < c->count; i++) {
    const uint8_t *codes = c->codes + c->rows[i] * c->dim;
    hem__key_prefetch_codes(c, i + HEM__KEY_AHEAD);
    out[i] = c->distance == HEM_L2 ? coded_key(true, c, codes) : coded_key(false, c, codes);
  }
}

/* ---- projection ---- */

HEM__KEY_INLINE __m256i add_products(const int16_t *axis, const int16_t *query, __m256i sum) {
  __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)axis);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, _mm256_loadu_si256((const __m256i *)(const void *)query)));
}

static void project(const hem__projection *p, const int16_t *query, int64_t *products) {
  enum { STEP = 16, LANES = 8 };
  for (size_t o = 0; o < p->out; o++) {
    const int16_t *axis = p->axes + o * p->in;
    int32_t lanes[LANES];
    size_t i = 0;
    __m256i sum = _mm256_setzero_si256();
    for (; i + STEP <= p->in; i += STEP) sum = add_products(axis + i, query + i, sum);
    _mm256_storeu_si256((__m256i *)(void *)lanes, sum);
    products[o] = 0;
    for (size_t j = 0; j < LANES; j++) products[o] += lanes[j];
    for (; i < p->in; i++) products[o] += axis[i] * query[i];
  }
}

const hem__keys_path hem__keys_avx2 = {.some = some, .coded = coded, .project = project};
#endif
