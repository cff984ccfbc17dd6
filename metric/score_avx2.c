/* Scoring with AVX2, FMA and F16C. Compiled with these; runs only where score.c found them.
 *
 * A tile is 6 rows by 16 hidden units: 12 registers of sums, 2 of weights, 1 of x in all lanes, 1 to spare. Bytes are
 * multiplied as 16-bit values: vpmaddubsw would saturate (255 * 127 * 2 > 32767) and, with the widening that follows
 * it, does no more products in a cycle than vpmaddwd. */
#include "metric/score_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

enum { ROWS = 6, HIDDEN = 16 };

/* relu(value + b1) * w2 into the row's lanes. */
HEM__INLINE void apply(const hem__tile *t, size_t half, __m256 value, float *lanes) {
  value = _mm256_max_ps(_mm256_add_ps(value, _mm256_loadu_ps(t->b1 + half)), _mm256_setzero_ps());
  value = _mm256_mul_ps(value, _mm256_loadu_ps(t->w2 + half));
  _mm256_storeu_ps(lanes + half, _mm256_add_ps(_mm256_loadu_ps(lanes + half), value));
}

HEM__INLINE void real(const hem__tile *t, const size_t rows) {
  const float *x = t->x, *w = t->w;
  float *carried = t->sums;
  size_t stride = t->stride / sizeof *x;
  __m256 sums[ROWS][2];
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    sums[r][0] = t->first ? _mm256_setzero_ps() : _mm256_loadu_ps(carried + r * HIDDEN);
    sums[r][1] = t->first ? _mm256_setzero_ps() : _mm256_loadu_ps(carried + r * HIDDEN + 8);
  }
  for (size_t k = 0; k < t->steps; k++, w += HIDDEN) {
    __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      __m256 all = _mm256_broadcast_ss(x + r * stride + k);
      sums[r][0] = _mm256_fmadd_ps(all, w0, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(all, w1, sums[r][1]);
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    if (t->last) {
      apply(t, 0, sums[r][0], t->lanes + r * HEM__LANES);
      apply(t, 8, sums[r][1], t->lanes + r * HEM__LANES);
    } else {
      _mm256_storeu_ps(carried + r * HIDDEN, sums[r][0]);
      _mm256_storeu_ps(carried + r * HIDDEN + 8, sums[r][1]);
    }
  }
}

/* Two 16-bit values in all lanes. */
HEM__INLINE __m256i pair_of(const char *x) {
  int32_t pair;
  memcpy(&pair, x, sizeof pair);
  return _mm256_set1_epi32(pair);
}

HEM__INLINE void whole(const hem__tile *t, const size_t rows) {
  const char *x = t->x;
  const __m256i *w = t->w;
  int32_t *carried = t->sums;
  size_t stride = t->stride;
  __m256i sums[ROWS][2];
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    const __m256i *from = (const __m256i *)(carried + r * HIDDEN);
    sums[r][0] = t->first ? _mm256_setzero_si256() : _mm256_loadu_si256(from);
    sums[r][1] = t->first ? _mm256_setzero_si256() : _mm256_loadu_si256(from + 1);
  }
  for (size_t k = 0; k < t->steps; k++, w += 2, x += 4) {
    __m256i w0 = _mm256_loadu_si256(w), w1 = _mm256_loadu_si256(w + 1);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      __m256i all = pair_of(x + r * stride);
      sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(all, w0));
      sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(all, w1));
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    if (t->last) {
      __m256 v0 = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][0]), _mm256_loadu_ps(t->scale));
      __m256 v1 = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][1]), _mm256_loadu_ps(t->scale + 8));
      apply(t, 0, v0, t->lanes + r * HEM__LANES);
      apply(t, 8, v1, t->lanes + r * HEM__LANES);
    } else {
      __m256i *to = (__m256i *)(carried + r * HIDDEN);
      _mm256_storeu_si256(to, sums[r][0]);
      _mm256_storeu_si256(to + 1, sums[r][1]);
    }
  }
}

static void tile_real(const hem__tile *t, size_t rows) { HEM__BY_ROWS_6(real, t, rows); }
static void tile_whole(const hem__tile *t, size_t rows) { HEM__BY_ROWS_6(whole, t, rows); }

/* ---- |a - b| ---- */

HEM__INLINE __m256 size_of(__m256 v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), v); }

static void floats(const void *a, const void *b, size_t count, void *out) {
  const float *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 8 <= count; d += 8)
    _mm256_storeu_ps(x + d, size_of(_mm256_sub_ps(_mm256_loadu_ps(p + d), _mm256_loadu_ps(q + d))));
  for (; d < count; d++) x[d] = hem__difference_of_floats(p[d], q[d]);
}

HEM__INLINE __m256 from_halves(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

static void halves(const void *a, const void *b, size_t count, void *out) {
  const uint16_t *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 8 <= count; d += 8)
    _mm256_storeu_ps(x + d, size_of(_mm256_sub_ps(from_halves(p + d), from_halves(q + d))));
  for (; d < count; d++) x[d] = hem__difference_of_floats(hem__from_half(p[d]), hem__from_half(q[d]));
}

/* One of the two saturated differences is zero. */
HEM__INLINE __m128i bytes_apart(const uint8_t *p, const uint8_t *q) {
  __m128i a = _mm_loadu_si128((const __m128i *)p), b = _mm_loadu_si128((const __m128i *)q);
  return _mm_or_si128(_mm_subs_epu8(a, b), _mm_subs_epu8(b, a));
}

static void bytes(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  int16_t *x = out;
  size_t d = 0;
  for (; d + 16 <= count; d += 16)
    _mm256_storeu_si256((__m256i *)(x + d), _mm256_cvtepu8_epi16(bytes_apart(p + d, q + d)));
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

static void bytes_to_floats(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 16 <= count; d += 16) {
    __m128i apart = bytes_apart(p + d, q + d);
    _mm256_storeu_ps(x + d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(apart)));
    _mm256_storeu_ps(x + d + 8, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(apart, 8))));
  }
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

static void dot(const float *x, const float *w, size_t count, float lanes[HEM__DOT_LANES]) {
  __m256 sums[4];
  HEM__UNROLL for (size_t j = 0; j < 4; j++) sums[j] = _mm256_loadu_ps(lanes + 8 * j);
  size_t d = 0;
  for (; d + HEM__DOT_LANES <= count; d += HEM__DOT_LANES) HEM__UNROLL for (size_t j = 0; j < 4; j++) {
      __m256 product = _mm256_mul_ps(_mm256_loadu_ps(x + d + 8 * j), _mm256_loadu_ps(w + d + 8 * j));
      sums[j] = _mm256_add_ps(sums[j], product);
    }
  HEM__UNROLL for (size_t j = 0; j < 4; j++) _mm256_storeu_ps(lanes + 8 * j, sums[j]);
  for (; d < count; d++) lanes[d % HEM__DOT_LANES] += x[d] * w[d];
}

/* ---- weighted distances, whole ---- */

HEM__INLINE void add_products(__m256 sums[4], const __m256 x[4], const float *w, bool squared) {
  HEM__UNROLL for (size_t j = 0; j < 4; j++) {
    __m256 here = squared ? _mm256_mul_ps(x[j], x[j]) : x[j];
    sums[j] = _mm256_add_ps(sums[j], _mm256_mul_ps(here, _mm256_loadu_ps(w + 8 * j)));
  }
}

/* The ends that fill no register, then the tree of score.c: lane j + 16 to lane j, then 8, 4, 2, 1. */
HEM__INLINE float fold(__m256 sums[4], const float *rest, size_t count) {
  _Alignas(32) float lanes[HEM__DOT_LANES];
  HEM__UNROLL for (size_t j = 0; count && j < 4; j++) _mm256_store_ps(lanes + 8 * j, sums[j]);
  for (size_t d = 0; d < count; d++) lanes[d] += rest[d];
  HEM__UNROLL for (size_t j = 0; count && j < 4; j++) sums[j] = _mm256_load_ps(lanes + 8 * j);
  __m256 all = _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3]));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

HEM__INLINE float line(const void *a, const void *b, const float *w, size_t count, bool squared, bool half) {
  const uint16_t *h = a, *i = b;
  const uint8_t *p = a, *q = b;
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}, x[4];
  size_t d = 0, left = 0;
  for (; d + HEM__DOT_LANES <= count; d += HEM__DOT_LANES) {
    if (half) {
      HEM__UNROLL for (size_t j = 0; j < 4; j++) x[j] =
          size_of(_mm256_sub_ps(from_halves(h + d + 8 * j), from_halves(i + d + 8 * j)));
    } else {
      HEM__UNROLL for (size_t j = 0; j < 2; j++) {
        __m128i apart = bytes_apart(p + d + 16 * j, q + d + 16 * j);
        x[2 * j] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(apart));
        x[2 * j + 1] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(apart, 8)));
      }
    }
    add_products(sums, x, w + d, squared);
  }
  float rest[HEM__DOT_LANES];
  for (; d < count; d++, left++) {
    float here = half ? hem__difference_of_floats(hem__from_half(h[d]), hem__from_half(i[d]))
                      : hem__difference_of_bytes(p[d], q[d]);
    rest[left] = (squared ? here * here : here) * w[d];
  }
  return fold(sums, rest, left);
}

float hem__avx2_line_halves(const void *a, const void *b, const float *w, size_t count, bool squared) {
  return squared ? line(a, b, w, count, true, true) : line(a, b, w, count, false, true);
}

float hem__avx2_line_bytes(const void *a, const void *b, const float *w, size_t count, bool squared) {
  return squared ? line(a, b, w, count, true, false) : line(a, b, w, count, false, false);
}

/* A block of a panel takes 16 KiB, half of the first cache. */
const hem__score_kernel hem__score_avx2 = {
    .name = "avx2",
    .real = {.group = 1, .x_bytes = 4, .w_bytes = 4, .block = 256, .rows = ROWS, .hidden = HIDDEN, .tile = tile_real},
    .whole = {.group = 2, .x_bytes = 2, .w_bytes = 2, .block = 512, .rows = ROWS, .hidden = HIDDEN, .tile = tile_whole},
    .floats = floats,
    .halves = halves,
    .bytes = bytes,
    .bytes_to_floats = bytes_to_floats,
    .dot = dot,
    .line_halves = hem__avx2_line_halves,
    .line_bytes = hem__avx2_line_bytes,
};
#endif
