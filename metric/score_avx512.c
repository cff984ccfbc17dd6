/* Scoring with AVX-512 (F and BW). Compiled with these; runs only where score.c found them.
 *
 * A tile is 12 rows by 32 hidden units: 24 registers of sums, 2 of weights, 1 of x in all lanes. Bytes are multiplied
 * as 16-bit values; score_vnni.c does it in one instruction. */
#include "metric/score_kernel.h"

#if defined(__x86_64__) || defined(HEM_INTRINSICS)
#if defined(HEM_INTRINSICS) /* tests: the same instructions in plain C */
#include HEM_INTRINSICS
#else
#include <immintrin.h>
#endif
#include <string.h>

enum { ROWS = 12, HIDDEN = 32 };

/* relu(value + b1) * w2 of hidden units `from` on into the row's lanes. */
HEM__INLINE void apply(const hem__tile *t, size_t from, __m512 value, float *lanes) {
  value = _mm512_max_ps(_mm512_add_ps(value, _mm512_loadu_ps(t->b1 + from)), _mm512_setzero_ps());
  value = _mm512_mul_ps(value, _mm512_loadu_ps(t->w2 + from));
  _mm512_storeu_ps(lanes, _mm512_add_ps(_mm512_loadu_ps(lanes), value));
}

HEM__INLINE void real(const hem__tile *t, const size_t rows) {
  const float *x = t->x, *w = t->w;
  float *carried = t->sums;
  size_t stride = t->stride / sizeof *x;
  __m512 sums[ROWS][2];
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    sums[r][0] = t->first ? _mm512_setzero_ps() : _mm512_loadu_ps(carried + r * HIDDEN);
    sums[r][1] = t->first ? _mm512_setzero_ps() : _mm512_loadu_ps(carried + r * HIDDEN + 16);
  }
  for (size_t k = 0; k < t->steps; k++, w += HIDDEN) {
    __m512 w0 = _mm512_loadu_ps(w), w1 = _mm512_loadu_ps(w + 16);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      __m512 all = _mm512_set1_ps(x[r * stride + k]);
      sums[r][0] = _mm512_fmadd_ps(all, w0, sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(all, w1, sums[r][1]);
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    if (t->last) {
      apply(t, 0, sums[r][0], t->lanes + r * HEM__LANES);
      apply(t, 16, sums[r][1], t->lanes + r * HEM__LANES);
    } else {
      _mm512_storeu_ps(carried + r * HIDDEN, sums[r][0]);
      _mm512_storeu_ps(carried + r * HIDDEN + 16, sums[r][1]);
    }
  }
}

/* Two 16-bit values in all lanes. */
HEM__INLINE __m512i pair_of(const char *x) {
  int32_t pair;
  memcpy(&pair, x, sizeof pair);
  return _mm512_set1_epi32(pair);
}

HEM__INLINE void whole(const hem__tile *t, const size_t rows) {
  const char *x = t->x, *w = t->w;
  int32_t *carried = t->sums;
  size_t stride = t->stride;
  __m512i sums[ROWS][2];
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    sums[r][0] = t->first ? _mm512_setzero_si512() : _mm512_loadu_si512(carried + r * HIDDEN);
    sums[r][1] = t->first ? _mm512_setzero_si512() : _mm512_loadu_si512(carried + r * HIDDEN + 16);
  }
  for (size_t k = 0; k < t->steps; k++, w += 128, x += 4) {
    __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      __m512i all = pair_of(x + r * stride);
      sums[r][0] = _mm512_add_epi32(sums[r][0], _mm512_madd_epi16(all, w0));
      sums[r][1] = _mm512_add_epi32(sums[r][1], _mm512_madd_epi16(all, w1));
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    if (t->last) {
      __m512 v0 = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][0]), _mm512_loadu_ps(t->scale));
      __m512 v1 = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][1]), _mm512_loadu_ps(t->scale + 16));
      apply(t, 0, v0, t->lanes + r * HEM__LANES);
      apply(t, 16, v1, t->lanes + r * HEM__LANES);
    } else {
      _mm512_storeu_si512(carried + r * HIDDEN, sums[r][0]);
      _mm512_storeu_si512(carried + r * HIDDEN + 16, sums[r][1]);
    }
  }
}

void hem__avx512_tile(const hem__tile *t, size_t rows) { HEM__BY_ROWS_12(real, t, rows); }
static void tile_whole(const hem__tile *t, size_t rows) { HEM__BY_ROWS_12(whole, t, rows); }

/* ---- |a - b| ---- */

void hem__avx512_floats(const void *a, const void *b, size_t count, void *out) {
  const float *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 16 <= count; d += 16)
    _mm512_storeu_ps(x + d, _mm512_abs_ps(_mm512_sub_ps(_mm512_loadu_ps(p + d), _mm512_loadu_ps(q + d))));
  for (; d < count; d++) x[d] = hem__difference_of_floats(p[d], q[d]);
}

HEM__INLINE __m512 from_halves(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

void hem__avx512_halves(const void *a, const void *b, size_t count, void *out) {
  const uint16_t *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 16 <= count; d += 16)
    _mm512_storeu_ps(x + d, _mm512_abs_ps(_mm512_sub_ps(from_halves(p + d), from_halves(q + d))));
  for (; d < count; d++) x[d] = hem__difference_of_floats(hem__from_half(p[d]), hem__from_half(q[d]));
}

/* One of the two saturated differences is zero. */
static void bytes(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  int16_t *x = out;
  size_t d = 0;
  for (; d + 32 <= count; d += 32) {
    __m256i u = _mm256_loadu_si256((const __m256i *)(p + d)), v = _mm256_loadu_si256((const __m256i *)(q + d));
    __m256i apart = _mm256_or_si256(_mm256_subs_epu8(u, v), _mm256_subs_epu8(v, u));
    _mm512_storeu_si512(x + d, _mm512_cvtepu8_epi16(apart));
  }
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

void hem__avx512_bytes_to_floats(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 16 <= count; d += 16) {
    __m128i u = _mm_loadu_si128((const __m128i *)(p + d)), v = _mm_loadu_si128((const __m128i *)(q + d));
    __m128i apart = _mm_or_si128(_mm_subs_epu8(u, v), _mm_subs_epu8(v, u));
    _mm512_storeu_ps(x + d, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(apart)));
  }
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

void hem__avx512_dot(const float *x, const float *w, size_t count, float lanes[HEM__DOT_LANES]) {
  __m512 low = _mm512_loadu_ps(lanes), high = _mm512_loadu_ps(lanes + 16);
  size_t d = 0;
  for (; d + HEM__DOT_LANES <= count; d += HEM__DOT_LANES) {
    low = _mm512_add_ps(low, _mm512_mul_ps(_mm512_loadu_ps(x + d), _mm512_loadu_ps(w + d)));
    high = _mm512_add_ps(high, _mm512_mul_ps(_mm512_loadu_ps(x + d + 16), _mm512_loadu_ps(w + d + 16)));
  }
  _mm512_storeu_ps(lanes, low);
  _mm512_storeu_ps(lanes + 16, high);
  for (; d < count; d++) lanes[d % HEM__DOT_LANES] += x[d] * w[d];
}

/* A block of a panel takes 24 KiB of a first cache of 32 or 48. */
const hem__score_kernel hem__score_avx512 = {
    .name = "avx512",
    .real = {.group = 1,
             .x_bytes = 4,
             .w_bytes = 4,
             .block = 192,
             .rows = ROWS,
             .hidden = HIDDEN,
             .tile = hem__avx512_tile},
    .whole = {.group = 2, .x_bytes = 2, .w_bytes = 2, .block = 384, .rows = ROWS, .hidden = HIDDEN, .tile = tile_whole},
    .floats = hem__avx512_floats,
    .halves = hem__avx512_halves,
    .bytes = bytes,
    .bytes_to_floats = hem__avx512_bytes_to_floats,
    .dot = hem__avx512_dot,
    .line_halves = hem__avx2_line_halves,
    .line_bytes = hem__avx2_line_bytes,
};
#endif
