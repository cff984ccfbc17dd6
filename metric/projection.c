#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/distance_kernel.h"

static float value_at(const void *at, size_t i) {
  float value;
  memcpy(&value, (const char *)at + i * sizeof value, sizeof value);
  return value;
}

/* Rounds to the nearest, without a call. */
static int16_t whole_of(float value) { return (int16_t)(value + (value < 0 ? -0.5F : 0.5F)); }

/* The most that both factors can be where each of a kernel's running sums gets every eighth product. */
int16_t hem__projection_range(size_t in) {
  enum { RUNNING_SUMS = 8 };
  double terms = (double)(in / RUNNING_SUMS + 2);
  return (int16_t)fmin(sqrt(INT32_MAX / terms), INT16_MAX);
}

static void quantise_row(const void *matrix, size_t row, hem__projection *p) {
  float most = 0, range = hem__projection_range(p->in);
  for (size_t i = 0; i < p->in; i++) most = fmaxf(most, fabsf(value_at(matrix, row * p->in + i)));
  float scale = most > 0 ? range / most : 0;
  p->steps[row] = most / range;
  for (size_t i = 0; i < p->in; i++) p->axes[row * p->in + i] = whole_of(value_at(matrix, row * p->in + i) * scale);
}

/* What the row makes of the centre goes into the shift. */
static void take_row(const void *matrix, const void *shift, size_t row, hem__projection *p) {
  double moved = value_at(shift, row);
  for (size_t i = 0; i < p->in; i++) moved += (double)value_at(matrix, row * p->in + i) * (double)p->centre[i];
  p->shift[row] = (float)moved;
  quantise_row(matrix, row, p);
}

hem_status hem__projection_new(const void *matrix, const void *shift, const void *centre, size_t in, size_t out,
                               hem__projection *p, hem_error *err) {
  *p = (hem__projection){.in = in, .out = out};
  hem_status status = hem__alloc(in, out * sizeof *p->axes, "a projection", &p->axes, err);
  if (!status) status = hem__alloc(2 * out + in, sizeof *p->steps, "a projection", &p->steps, err);
  if (status) {
    hem__projection_clear(p);
    return status;
  }
  p->shift = p->steps + out;
  p->centre = p->shift + out;
  memcpy(p->centre, centre, in * sizeof *p->centre);
  for (size_t i = 0; i < out; i++) take_row(matrix, shift, i, p);
  return HEM_OK;
}

void hem__projection_clear(hem__projection *p) {
  free(p->axes);
  free(p->steps);
  *p = (hem__projection){0};
}

void hem__project(const hem__projection *p, const float *query, int16_t *whole, float *out) {
  enum { BLOCK = 64 };
  int64_t sums[BLOCK];
  float most = 0;
  for (size_t i = 0; i < p->in; i++) {
    float size = fabsf(query[i] - p->centre[i]);
    most = size > most ? size : most;
  }
  float range = hem__projection_range(p->in), step = most / range, scale = most > 0 ? range / most : 0;
  for (size_t i = 0; i < p->in; i++) whole[i] = whole_of((query[i] - p->centre[i]) * scale);
  for (size_t from = 0; from < p->out; from += BLOCK) {
    hem__projection part = {.axes = p->axes + from * p->in, .in = p->in, .out = hem__min(BLOCK, p->out - from)};
    hem__best_keys()->project(&part, whole, sums);
    for (size_t o = 0; o < part.out; o++)
      out[from + o] = p->shift[from + o] + (float)sums[o] * (p->steps[from + o] * step);
  }
}
