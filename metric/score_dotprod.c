/* Scoring bytes with arm64's dot product: sdot multiplies 16 signed bytes by 16 and adds them to 4 sums of 32 bits.
 * Compiled with it; runs only where score.c found it. Floats are score_neon.c's.
 *
 * Both sides of sdot are signed, and |a - b| goes up to 255. So x is |a - b| - 128, and a hidden unit's sum begins at
 * 128 times the sum of its weights: the same whole number in the end. On the way sums stay below 2 * 128 * 127 * 65536.
 */
#include "metric/score_kernel.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

enum { ROWS = 6, HIDDEN = 16, QUARTERS = 4, GROUP = 4 };

/* relu(sum * scale + b1) * w2 of four hidden units, from `at` on, into the row's lanes. */
HEM__INLINE void apply(const hem__tile *t, size_t at, int32x4_t sum, float *lanes) {
  float32x4_t value = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(t->scale + at));
  value = vmaxq_f32(vaddq_f32(value, vld1q_f32(t->b1 + at)), vdupq_n_f32(0));
  value = vmulq_f32(value, vld1q_f32(t->w2 + at));
  vst1q_f32(lanes + at, vaddq_f32(vld1q_f32(lanes + at), value));
}

/* Four bytes in all lanes. */
HEM__INLINE int8x16_t group_of(const char *x) {
  int32_t group;
  memcpy(&group, x, sizeof group);
  return vreinterpretq_s8_s32(vdupq_n_s32(group));
}

HEM__INLINE void whole(const hem__tile *t, const size_t rows) {
  const char *x = t->x;
  const int8_t *w = t->w;
  int32_t *carried = t->sums;
  size_t stride = t->stride;
  int32x4_t sums[ROWS][QUARTERS];
  HEM__UNROLL for (size_t r = 0; r < rows; r++) HEM__UNROLL for (size_t j = 0; j < QUARTERS; j++) sums[r][j] =
      vld1q_s32(t->first ? t->start + 4 * j : carried + r * HIDDEN + 4 * j);
  for (size_t k = 0; k < t->steps; k++, w += HIDDEN * GROUP, x += GROUP) {
    int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), w2 = vld1q_s8(w + 32), w3 = vld1q_s8(w + 48);
    HEM__UNROLL for (size_t r = 0; r < rows; r++) {
      int8x16_t all = group_of(x + r * stride);
      sums[r][0] = vdotq_s32(sums[r][0], all, w0);
      sums[r][1] = vdotq_s32(sums[r][1], all, w1);
      sums[r][2] = vdotq_s32(sums[r][2], all, w2);
      sums[r][3] = vdotq_s32(sums[r][3], all, w3);
    }
  }
  HEM__UNROLL for (size_t r = 0; r < rows; r++) HEM__UNROLL for (size_t j = 0; j < QUARTERS; j++) {
    if (t->last) {
      apply(t, 4 * j, sums[r][j], t->lanes + r * HEM__LANES);
    } else {
      vst1q_s32(carried + r * HIDDEN + 4 * j, sums[r][j]);
    }
  }
}

static void tile(const hem__tile *t, size_t rows) { HEM__BY_ROWS_6(whole, t, rows); }

static void bytes(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  uint8_t *x = out; /* flipping the first bit takes 128 away */
  size_t d = 0;
  for (; d + 16 <= count; d += 16)
    vst1q_u8(x + d, veorq_u8(vabdq_u8(vld1q_u8(p + d), vld1q_u8(q + d)), vdupq_n_u8(128)));
  for (; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]) ^ 128;
}

const hem__score_kernel hem__score_dotprod = {
    .name = "dotprod",
    .real =
        {.group = 1, .x_bytes = 4, .w_bytes = 4, .block = 256, .rows = ROWS, .hidden = HIDDEN, .tile = hem__neon_tile},
    .whole = {.group = GROUP,
              .x_bytes = 1,
              .w_bytes = 1,
              .block = 1024,
              .rows = ROWS,
              .hidden = HIDDEN,
              .biased = true,
              .tile = tile},
    .floats = hem__neon_floats,
    .halves = hem__neon_halves,
    .bytes = bytes,
    .bytes_to_floats = hem__neon_bytes_to_floats,
    .dot = hem__neon_dot,
};
#endif
