/* Scoring bytes with AVX-512 VNNI: vpdpbusd multiplies 64 unsigned by 64 signed bytes and adds them to 16 sums of 32
 * bits. Compiled with it; runs only where score.c found it. Floats are score_avx512.c's. */
#include "metric/score_kernel.h"

#if defined(__x86_64__) || defined(HEM_INTRINSICS)
#if defined(HEM_INTRINSICS) /* tests: the same instructions in plain C */
#include HEM_INTRINSICS
#else
#include <immintrin.h>
#endif
#include <string.h>

enum { ROWS = 12, HIDDEN = 32, GROUP = 4 };

/* relu(sum * scale + b1) * w2 of hidden units `from` on into the row's lanes. */
HEM__INLINE void apply(const hem__tile *t, size_t from, __m512i sum, float *lanes) {
  __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(t->scale + from));
  value = _mm512_max_ps(_mm512_add_ps(value, _mm512_loadu_ps(t->b1 + from)), _mm512_setzero_ps());
  value = _mm512_mul_ps(value, _mm512_loadu_ps(t->w2 + from));
  _mm512_storeu_ps(lanes, _mm512_add_ps(_mm512_loadu_ps(lanes), value));
}

/* Four bytes in all lanes. */
HEM__INLINE __m512i group_of(const char *x) {
  int32_t group;
  memcpy(&group, x, sizeof group);
  return _mm512_set1_epi32(group);
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
  for (size_t k = 0; k < t->steps; k++, w += HIDDEN * GROUP, x += GROUP) {
    __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      __m512i all = group_of(x + r * stride);
      sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], all, w0);
      sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], all, w1);
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) {
    if (t->last) {
      apply(t, 0, sums[r][0], t->lanes + r * HEM__LANES);
      apply(t, 16, sums[r][1], t->lanes + r * HEM__LANES);
    } else {
      _mm512_storeu_si512(carried + r * HIDDEN, sums[r][0]);
      _mm512_storeu_si512(carried + r * HIDDEN + 16, sums[r][1]);
    }
  }
}

static void tile(const hem__tile *t, size_t rows) { HEM__BY_ROWS_12(whole, t, rows); }

/* One of the two saturated differences is zero. */
static void bytes(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  uint8_t *x = out;
  size_t d = 0;
  for (; d + 64 <= count; d += 64) {
    __m512i u = _mm512_loadu_si512(p + d), v = _mm512_loadu_si512(q + d);
    _mm512_storeu_si512(x + d, _mm512_or_si512(_mm512_subs_epu8(u, v), _mm512_subs_epu8(v, u)));
  }
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

/* A block of a panel of bytes takes 24 KiB of a first cache of 32 or 48. */
const hem__score_kernel hem__score_vnni = {
    .name = "vnni",
    .real = {.group = 1,
             .x_bytes = 4,
             .w_bytes = 4,
             .block = 192,
             .rows = ROWS,
             .hidden = HIDDEN,
             .tile = hem__avx512_tile},
    .whole = {.group = GROUP, .x_bytes = 1, .w_bytes = 1, .block = 768, .rows = ROWS, .hidden = HIDDEN, .tile = tile},
    .floats = hem__avx512_floats,
    .halves = hem__avx512_halves,
    .bytes = bytes,
    .bytes_to_floats = hem__avx512_bytes_to_floats,
    .dot = hem__avx512_dot,
    .line_halves = hem__avx2_line_halves,
    .line_bytes = hem__avx2_line_bytes,
};
#endif
