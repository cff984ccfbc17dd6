#include "query/bounds.h"

#include <math.h>
#include <stdlib.h>

static const double EPSILON = 0x1p-23; /* of a float's rounding, and as much again */
static const float HALF_MAX = 65504;

/* A weighted L1 over points as long as the metric's; the weights come with each query. */
static hem_status new_line(const hem__learned *l, hem__scorer **out, hem_error *err) {
  hem__metric shape = {.form = HEM__WEIGHTED_L1, .dim = l->metric->width}, *blank = NULL;
  hem_status status = hem__metric_new(&shape, &blank, err);
  if (!status)
    status = hem__scorer_new(blank, l->precision, l->precision == HEM__U8 ? &l->quantiser : NULL, NULL, out, err);
  hem__metric_free(blank);
  return status;
}

hem_status hem__bounds_prepare(const hem__learned *l, size_t items, hem__bounds *b, hem_error *err) {
  size_t width = l->metric->width;
  if (b->line) return HEM_OK;
  hem__bounds_clear(b);
  hem_status status = hem__alloc(width, sizeof(float), "bounds", &b->near, err);
  if (!status) status = hem__alloc(width, sizeof(float), "bounds", &b->most, err);
  if (!status) status = hem__alloc(width, sizeof(float), "bounds", &b->weights, err);
  if (!status) status = hem__alloc(width, sizeof(double), "bounds", &b->slope, err);
  if (!status) status = hem__alloc(items, sizeof(float), "bounds", &b->best, err);
  return status ? status : new_line(l, &b->line, err);
}

void hem__bounds_clear(hem__bounds *b) {
  hem__scorer_free(b->line);
  free(b->near);
  free(b->most);
  free(b->weights);
  free(b->slope);
  free(b->values);
  free(b->pool);
  free(b->pool_end);
  free(b->heap);
  free(b->best);
  free(b->rest);
  free(b->batch);
  *b = (hem__bounds){0};
}

/* ---- where |query - point| is, and how far it may go ---- */

static void measure_bytes(const hem__learned *l, const uint8_t *query, const uint8_t *point, hem__bounds *b) {
  for (size_t d = 0; d < l->metric->width; d++) {
    float step = l->quantiser.step[d];
    b->near[d] = step * (float)abs((int)query[d] - (int)point[d]);
    b->most[d] = step * (float)(query[d] > 127 ? query[d] : 255 - query[d]);
  }
}

/* The gallery's range is that of its floats: halves were rounded, and cut off at 65504. */
static void measure_halves(const hem__learned *l, const uint16_t *query, const uint16_t *point, hem__bounds *b) {
  for (size_t d = 0; d < l->metric->width; d++) {
    float q = hem__from_half(query[d]), low = l->quantiser.low[d], high = low + 255 * l->quantiser.step[d];
    float rounding = 0x1p-10F * fmaxf(fabsf(low), fabsf(high)) + 0x1p-24F;
    low = fmaxf(fminf(low, HALF_MAX), -HALF_MAX);
    high = fmaxf(fminf(high, HALF_MAX), -HALF_MAX);
    b->near[d] = fabsf(q - hem__from_half(point[d]));
    b->most[d] = fmaxf(fabsf(q - low), fabsf(q - high)) + rounding;
  }
}

/* ---- the line ---- */

void hem__bounds_lay(const hem__learned *l, const hem__learned_query *query, const void *point, hem__bounds *b) {
  const hem__metric *m = l->computed;
  double offset, size = 0;
  if (l->precision == HEM__U8) {
    measure_bytes(l, query->coded, point, b);
  } else {
    measure_halves(l, query->coded, point, b);
  }
  hem__score_bound(m, b->near, b->most, b->slope, &offset);
  for (size_t d = 0; d < m->width; d++) {
    size += fabs(b->slope[d]) * (double)b->most[d];
    b->weights[d] = (float)-b->slope[d];
  }
  /* Sums of `width` floats here, and of `width` and then `hidden` of them in the score; their last roundings. */
  double slack = EPSILON * ((double)(m->width + 32) * (size + fabs(offset)) +
                            (double)(m->width + m->hidden + 32) * (l->size + fabs((double)m->b2)));
  float top = nextafterf((float)(offset + slack), INFINITY);
  hem__scorer_reweigh(b->line, l->precision == HEM__U8 ? &l->quantiser : NULL, b->weights, top);
}

hem_status hem__bounds_values(const hem__category *c, const hem__learned_query *query, const uint32_t *rows,
                              size_t count, hem__score_scratch *scratch, hem__bounds *b, hem_error *err) {
  hem_status status = hem__grow(&b->values, &b->value_capacity, count, sizeof *b->values, "bounds", err);
  hem__score_request request = {.query = query->coded, .points = c->points, .rows = rows, .count = count};
  return status ? status : hem__score(b->line, &request, scratch, b->values, err);
}
