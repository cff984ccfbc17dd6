#include "metric/quantise.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 255, MIDDLE = 127 };

/* ---- bytes ---- */

/* A dimension that is constant says nothing of how far a query may lie: it gets the widest step of all, with its value
 * in the middle. */
static void place_constants(hem__quantiser *q) {
  float widest = 0;
  for (size_t d = 0; d < q->width; d++) widest = fmaxf(widest, q->step[d]);
  if (widest < FLT_MIN) widest = 1;
  for (size_t d = 0; d < q->width; d++) {
    if (q->step[d] >= FLT_MIN) continue;
    q->step[d] = widest;
    q->low[d] -= MIDDLE * widest;
  }
}

hem_status hem__quantiser_fit(hem__matrix points, hem__quantiser *out, hem_error *err) {
  hem__quantiser q = {.width = points.dim};
  float *high = NULL;
  hem_status status = hem__alloc(q.width, sizeof *q.low, "a quantiser", &q.low, err);
  if (!status) status = hem__alloc(q.width, sizeof *q.step, "a quantiser", &q.step, err);
  if (!status) status = hem__alloc(q.width, sizeof *high, "a quantiser", &high, err);
  if (status) {
    hem__quantiser_clear(&q);
  } else {
    if (points.rows) memcpy(q.low, points.at, q.width * sizeof *q.low);
    if (points.rows) memcpy(high, points.at, q.width * sizeof *high);
    for (size_t i = 1; i < points.rows; i++) {
      const float *row = hem__row(points, i);
      for (size_t d = 0; d < q.width; d++) {
        q.low[d] = row[d] < q.low[d] ? row[d] : q.low[d];
        high[d] = row[d] > high[d] ? row[d] : high[d];
      }
    }
    for (size_t d = 0; d < q.width; d++) q.step[d] = high[d] / STEPS - q.low[d] / STEPS;
    place_constants(&q);
    *out = q;
  }
  free(high);
  return status;
}

void hem__quantiser_clear(hem__quantiser *q) {
  free(q->low);
  free(q->step);
  *q = (hem__quantiser){0};
}

void hem__quantise(const hem__quantiser *q, const float *points, size_t count, uint8_t *out) {
  for (size_t i = 0; i < count; i++, points += q->width, out += q->width)
    for (size_t d = 0; d < q->width; d++) {
      float steps = (points[d] - q->low[d]) / q->step[d] + 0.5F;
      steps = steps > 0 ? steps : 0;
      out[d] = (uint8_t)(int)(steps < STEPS ? steps : STEPS);
    }
}

/* ---- half floats ---- */

/* By the hardware's own rounding: a half's mantissa is brought to the end of a float's. */
static uint16_t half_of(float value) {
  uint32_t bits, sign;
  memcpy(&bits, &value, sizeof bits);
  sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x477fe000) bits = 0x477fe000; /* 65504 */
  uint32_t normal = (bits + 0xfff + (bits >> 13 & 1) - (112U << 23)) >> 13;
  memcpy(&value, &bits, sizeof value);
  value += 0.5F; /* below 2^-14 halves are 2^-24 apart, as floats are from 0.5 on */
  uint32_t small;
  memcpy(&small, &value, sizeof small);
  small -= 0x3f000000;
  return (uint16_t)(sign | (bits >= 0x38800000 ? normal : small));
}

void hem__to_half(const float *values, size_t count, uint16_t *out) {
  for (size_t i = 0; i < count; i++) out[i] = half_of(values[i]);
}
