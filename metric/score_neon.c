/* Scoring with NEON, which every arm64 processor has. Bytes are multiplied as 16-bit values; score_dotprod.c is for
 * processors with the dot product.
 *
 * A tile is 6 rows by 16 hidden units: 24 registers of sums, 4 of weights, 1 of x in all lanes. */
#include "metric/score_kernel.h"

#if defined(__aarch64__)
#include <arm_neon.h>

enum { ROWS = 6, HIDDEN = 16, QUARTERS = 4 };

/* relu(value + b1) * w2 of four hidden units, from `at` on, into the row's lanes. */
HEM__INLINE void apply(const hem__tile *t, size_t at, float32x4_t value, float *lanes) {
  value = vmaxq_f32(vaddq_f32(value, vld1q_f32(t->b1 + at)), vdupq_n_f32(0));
  value = vmulq_f32(value, vld1q_f32(t->w2 + at));
  vst1q_f32(lanes + at, vaddq_f32(vld1q_f32(lanes + at), value));
}

HEM__INLINE void real(const hem__tile *t, const size_t rows) {
  const float *x = t->x, *w = t->w;
  float *carried = t->sums;
  size_t stride = t->stride / sizeof *x;
  float32x4_t sums[ROWS][QUARTERS];
  HEM__UNROLL for (size_t r = 0; r < rows; r++) HEM__UNROLL for (size_t j = 0; j < QUARTERS; j++) sums[r][j] =
      t->first ? vdupq_n_f32(0) : vld1q_f32(carried + r * HIDDEN + 4 * j);
  for (size_t k = 0; k < t->steps; k++, w += HIDDEN) {
    float32x4_t w0 = vld1q_f32(w), w1 = vld1q_f32(w + 4), w2 = vld1q_f32(w + 8), w3 = vld1q_f32(w + 12);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      float32x4_t all = vld1q_dup_f32(x + r * stride + k);
      sums[r][0] = vfmaq_f32(sums[r][0], all, w0);
      sums[r][1] = vfmaq_f32(sums[r][1], all, w1);
      sums[r][2] = vfmaq_f32(sums[r][2], all, w2);
      sums[r][3] = vfmaq_f32(sums[r][3], all, w3);
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) HEM__UNROLL for (size_t j = 0; j < QUARTERS; j++) {
    if (t->last) {
      apply(t, 4 * j, sums[r][j], t->lanes + r * HEM__LANES);
    } else {
      vst1q_f32(carried + r * HIDDEN + 4 * j, sums[r][j]);
    }
  }
}

HEM__INLINE void whole(const hem__tile *t, const size_t rows) {
  const int16_t *x = t->x, *w = t->w;
  int32_t *carried = t->sums;
  size_t stride = t->stride / sizeof *x;
  int32x4_t sums[ROWS][QUARTERS];
  HEM__UNROLL for (size_t r = 0; r < rows; r++) HEM__UNROLL for (size_t j = 0; j < QUARTERS; j++) sums[r][j] =
      t->first ? vdupq_n_s32(0) : vld1q_s32(carried + r * HIDDEN + 4 * j);
  for (size_t k = 0; k < t->steps; k++, w += HIDDEN) {
    int16x8_t w0 = vld1q_s16(w), w1 = vld1q_s16(w + 8);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      int16x8_t all = vld1q_dup_s16(x + r * stride + k);
      sums[r][0] = vmlal_s16(sums[r][0], vget_low_s16(w0), vget_low_s16(all));
      sums[r][1] = vmlal_high_s16(sums[r][1], w0, all);
      sums[r][2] = vmlal_s16(sums[r][2], vget_low_s16(w1), vget_low_s16(all));
      sums[r][3] = vmlal_high_s16(sums[r][3], w1, all);
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) HEM__UNROLL for (size_t j = 0; j < QUARTERS; j++) {
    if (t->last) {
      float32x4_t value = vmulq_f32(vcvtq_f32_s32(sums[r][j]), vld1q_f32(t->scale + 4 * j));
      apply(t, 4 * j, value, t->lanes + r * HEM__LANES);
    } else {
      vst1q_s32(carried + r * HIDDEN + 4 * j, sums[r][j]);
    }
  }
}

void hem__neon_tile(const hem__tile *t, size_t rows) { HEM__BY_ROWS_6(real, t, rows); }
static void tile_whole(const hem__tile *t, size_t rows) { HEM__BY_ROWS_6(whole, t, rows); }

/* ---- |a - b| ---- */

void hem__neon_floats(const void *a, const void *b, size_t count, void *out) {
  const float *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 4 <= count; d += 4) vst1q_f32(x + d, vabdq_f32(vld1q_f32(p + d), vld1q_f32(q + d)));
  for (; d < count; d++) x[d] = hem__difference_of_floats(p[d], q[d]);
}

HEM__INLINE float32x4_t from_halves(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

void hem__neon_halves(const void *a, const void *b, size_t count, void *out) {
  const uint16_t *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 4 <= count; d += 4) vst1q_f32(x + d, vabdq_f32(from_halves(p + d), from_halves(q + d)));
  for (; d < count; d++) x[d] = hem__difference_of_floats(hem__from_half(p[d]), hem__from_half(q[d]));
}

static void bytes(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  int16_t *x = out;
  size_t d = 0;
  for (; d + 8 <= count; d += 8) vst1q_s16(x + d, vreinterpretq_s16_u16(vabdl_u8(vld1_u8(p + d), vld1_u8(q + d))));
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

void hem__neon_bytes_to_floats(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  float *x = out;
  size_t d = 0;
  for (; d + 8 <= count; d += 8) {
    uint16x8_t apart = vabdl_u8(vld1_u8(p + d), vld1_u8(q + d));
    vst1q_f32(x + d, vcvtq_f32_u32(vmovl_u16(vget_low_u16(apart))));
    vst1q_f32(x + d + 4, vcvtq_f32_u32(vmovl_high_u16(apart)));
  }
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

void hem__neon_dot(const float *x, const float *w, size_t count, float lanes[HEM__DOT_LANES]) {
  float32x4_t sums[HEM__DOT_LANES / 4];
  HEM__UNROLL for (size_t j = 0; j < HEM__DOT_LANES / 4; j++) sums[j] = vld1q_f32(lanes + 4 * j);
  size_t d = 0;
  for (; d + HEM__DOT_LANES <= count; d += HEM__DOT_LANES)
    HEM__UNROLL for (size_t j = 0; j < HEM__DOT_LANES / 4; j++) sums[j] =
        vaddq_f32(sums[j], vmulq_f32(vld1q_f32(x + d + 4 * j), vld1q_f32(w + d + 4 * j)));
  HEM__UNROLL for (size_t j = 0; j < HEM__DOT_LANES / 4; j++) vst1q_f32(lanes + 4 * j, sums[j]);
  for (; d < count; d++) lanes[d % HEM__DOT_LANES] += x[d] * w[d];
}

/* A block of a panel takes 16 KiB, half of the smallest first cache. */
const hem__score_kernel hem__score_neon = {
    .name = "neon",
    .real =
        {.group = 1, .x_bytes = 4, .w_bytes = 4, .block = 256, .rows = ROWS, .hidden = HIDDEN, .tile = hem__neon_tile},
    .whole = {.group = 1, .x_bytes = 2, .w_bytes = 2, .block = 512, .rows = ROWS, .hidden = HIDDEN, .tile = tile_whole},
    .floats = hem__neon_floats,
    .halves = hem__neon_halves,
    .bytes = bytes,
    .bytes_to_floats = hem__neon_bytes_to_floats,
    .dot = hem__neon_dot,
};
#endif
