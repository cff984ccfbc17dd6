/* The oracle of the kernels, and what runs where there is no other: plain C, one value at a time. */
#include <string.h>

#include "metric/score_kernel.h"

enum { HIDDEN = HEM__LANES };

static void apply(const hem__tile *t, const float *values, float *lanes) {
  for (size_t j = 0; j < HIDDEN; j++) {
    float value = values[j] + t->b1[j];
    value = value > 0 ? value : 0;
    lanes[j] += value * t->w2[j];
  }
}

static void tile_real(const hem__tile *t, size_t rows) {
  for (size_t r = 0; r < rows; r++) {
    const float *x = (const float *)((const char *)t->x + r * t->stride), *w = t->w;
    float *carried = (float *)t->sums + r * HIDDEN, sums[HIDDEN] = {0};
    if (!t->first) memcpy(sums, carried, sizeof sums);
    for (size_t k = 0; k < t->steps; k++, w += HIDDEN)
      for (size_t j = 0; j < HIDDEN; j++) sums[j] += x[k] * w[j];
    if (t->last) {
      apply(t, sums, t->lanes + r * HEM__LANES);
    } else {
      memcpy(carried, sums, sizeof sums);
    }
  }
}

static void tile_whole(const hem__tile *t, size_t rows) {
  for (size_t r = 0; r < rows; r++) {
    const int16_t *x = (const int16_t *)((const char *)t->x + r * t->stride), *w = t->w;
    int32_t *carried = (int32_t *)t->sums + r * HIDDEN, sums[HIDDEN] = {0};
    if (!t->first) memcpy(sums, carried, sizeof sums);
    for (size_t k = 0; k < t->steps; k++, w += HIDDEN)
      for (size_t j = 0; j < HIDDEN; j++) sums[j] += x[k] * w[j];
    if (t->last) {
      float scaled[HIDDEN];
      for (size_t j = 0; j < HIDDEN; j++) scaled[j] = (float)sums[j] * t->scale[j];
      apply(t, scaled, t->lanes + r * HEM__LANES);
    } else {
      memcpy(carried, sums, sizeof sums);
    }
  }
}

/* ---- |a - b| ---- */

float hem__from_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff, bits;
  float value;
  if (rest >= 0x400) { /* normal: the exponent's bias is 112 more */
    bits = (rest << 13) + (112U << 23);
    memcpy(&value, &bits, sizeof value);
  } else {
    value = (float)rest * 0x1p-24F;
  }
  memcpy(&bits, &value, sizeof bits);
  bits |= sign;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void floats(const void *a, const void *b, size_t count, void *out) {
  const float *p = a, *q = b;
  float *x = out;
  for (size_t d = 0; d < count; d++) x[d] = hem__difference_of_floats(p[d], q[d]);
}

static void halves(const void *a, const void *b, size_t count, void *out) {
  const uint16_t *p = a, *q = b;
  float *x = out;
  for (size_t d = 0; d < count; d++) x[d] = hem__difference_of_floats(hem__from_half(p[d]), hem__from_half(q[d]));
}

static void bytes(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  int16_t *x = out;
  for (size_t d = 0; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

static void bytes_to_floats(const void *a, const void *b, size_t count, void *out) {
  const uint8_t *p = a, *q = b;
  float *x = out;
  for (size_t d = 0; d < count; d++) x[d] = hem__difference_of_bytes(p[d], q[d]);
}

static void dot(const float *x, const float *w, size_t count, float lanes[HEM__DOT_LANES]) {
  for (size_t d = 0; d < count; d++) lanes[d % HEM__DOT_LANES] += x[d] * w[d];
}

const hem__score_kernel hem__score_scalar = {
    .name = "scalar",
    .real = {.group = 1, .x_bytes = 4, .w_bytes = 4, .block = 256, .rows = 6, .hidden = HIDDEN, .tile = tile_real},
    .whole = {.group = 1, .x_bytes = 2, .w_bytes = 2, .block = 512, .rows = 6, .hidden = HIDDEN, .tile = tile_whole},
    .floats = floats,
    .halves = halves,
    .bytes = bytes,
    .bytes_to_floats = bytes_to_floats,
    .dot = dot,
};
