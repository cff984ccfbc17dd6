#include "query/learned.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/learned.h"

/* ---- opening ---- */

/* Steps must be above zero: what is divided by them is a byte afterwards. */
static hem_status read_quantiser(const hem__generation *g, hem__quantiser *out, hem_error *err) {
  const hem__generation_metric *m = &g->manifest.metric;
  hem__map map = {0};
  out->width = m->width;
  hem_status status = hem__generation_map(g, &m->quantiser, &map, err);
  if (!status) status = hem__alloc(m->width, sizeof(float), "a quantiser", &out->low, err);
  if (!status) status = hem__alloc(m->width, sizeof(float), "a quantiser", &out->step, err);
  if (!status) {
    memcpy(out->low, map.at, m->width * sizeof(float));
    memcpy(out->step, map.at + m->width * sizeof(float), m->width * sizeof(float));
  }
  bool fine = !status && hem__all_finite(out->low, m->width) && hem__all_finite(out->step, m->width);
  for (size_t i = 0; fine && i < m->width; i++) fine = out->step[i] > 0;
  if (!status && !fine) status = hem__fail(err, HEM_ECORRUPT, "%s contradicts itself", m->quantiser.name);
  hem__map_close(&map);
  return status;
}

/* Bounds hold for what is computed, to the last bit, and not for what was trained. */
static hem_status read_back(hem__learned *l, hem_error *err) {
  const hem__metric *m = l->metric;
  l->computed = l->metric;
  if (l->precision != HEM__U8 || m->form != HEM__HEAD) return HEM_OK;
  hem__metric shape = {.form = HEM__HEAD, .dim = m->width, .hidden = m->hidden};
  l->computed = NULL;
  hem_status status = hem__metric_new(&shape, &l->computed, err);
  if (status) return status;
  for (size_t h = 0; h < m->hidden; h++) hem__scorer_row(l->scorer, &l->quantiser, h, l->computed->w1 + h * m->width);
  memcpy(l->computed->b1, m->b1, m->hidden * sizeof *m->b1);
  memcpy(l->computed->w2, m->w2, m->hidden * sizeof *m->w2);
  l->computed->b2 = m->b2;
  return HEM_OK;
}

/* Of a point as far from the query as the gallery is wide. */
static double size_of(const hem__metric *m, const hem__quantiser *q) {
  const double wide = 256; /* steps; one more for the rounding of halves */
  double size = 0;
  for (size_t d = 0; m->form != HEM__HEAD && d < m->width; d++) {
    double most = wide * (double)q->step[d];
    size += fabs((double)m->w2[d]) * (m->form == HEM__WEIGHTED_L2 ? most * most : most);
  }
  for (size_t h = 0; h < m->hidden; h++) {
    double unit = fabs((double)m->b1[h]);
    for (size_t d = 0; d < m->width; d++) unit += fabs((double)m->w1[h * m->width + d]) * wide * (double)q->step[d];
    size += fabs((double)m->w2[h]) * unit;
  }
  return size;
}

hem_status hem__learned_open(const hem__generation *g, hem__learned *out, hem_error *err) {
  const hem__generation_metric *m = &g->manifest.metric;
  hem__learned l = {.precision = m->precision};
  hem_status status = hem__learned_read(g, &l.metric, err);
  if (!status) status = read_quantiser(g, &l.quantiser, err);
  if (!status)
    status = hem__scorer_new(l.metric, l.precision, l.precision == HEM__U8 ? &l.quantiser : NULL, NULL, &l.scorer, err);
  if (!status) status = read_back(&l, err);
  if (!status) l.size = size_of(l.computed, &l.quantiser);
  if (status) {
    hem__learned_close(&l);
  } else {
    *out = l;
  }
  return status;
}

void hem__learned_close(hem__learned *l) {
  hem__scorer_free(l->scorer);
  if (l->computed != l->metric) hem__metric_free(l->computed);
  hem__metric_free(l->metric);
  free(l->quantiser.low);
  free(l->quantiser.step);
  *l = (hem__learned){0};
}

/* ---- a query ---- */

hem_status hem__learned_query_new(const hem__learned *l, hem__learned_query *out, hem_error *err) {
  hem__learned_query q = {0};
  hem_status status = hem__alloc(l->metric->dim, sizeof *q.unit, "a query", &q.unit, err);
  if (!status) status = hem__alloc(l->metric->width, sizeof *q.point, "a query", &q.point, err);
  if (!status) status = hem__alloc(hem__scorer_row_bytes(l->scorer), 1, "a query", &q.coded, err);
  if (status) {
    hem__learned_query_clear(&q);
  } else {
    *out = q;
  }
  return status;
}

void hem__learned_query_clear(hem__learned_query *q) {
  free(q->unit);
  free(q->point);
  free(q->coded);
  *q = (hem__learned_query){0};
}

hem_status hem__learned_ask(const hem__learned *l, const float *vector, hem__learned_query *q, float *scaled,
                            hem_error *err) {
  /* The norm is taken here: hem__metric_project would allocate for it. */
  hem__metric bare = *l->metric;
  if (bare.unit) {
    hem__normalise(vector, bare.dim, q->unit);
  } else {
    memcpy(q->unit, vector, bare.dim * sizeof *vector);
  }
  bare.unit = false;
  hem_status status = hem__metric_project(&bare, q->unit, 1, q->point, err);
  if (status) return status;
  for (size_t i = 0; i < bare.width; i++) scaled[i] = bare.candidate_scale[i] * q->point[i];
  if (!hem__all_finite(scaled, bare.width) || !hem__all_finite(q->point, bare.width))
    return hem__fail(err, HEM_EINVAL, "the metric makes a value beyond 1e15 of the query");
  if (l->precision == HEM__U8) {
    hem__quantise(&l->quantiser, q->point, 1, q->coded);
  } else {
    hem__to_half(q->point, bare.width, q->coded);
  }
  return HEM_OK;
}

void hem__learned_ask_row(const hem__learned *l, const hem__category *c, size_t row, hem__learned_query *q,
                          float *scaled) {
  size_t bytes = hem__scorer_row_bytes(l->scorer);
  memcpy(q->coded, c->points + row * bytes, bytes);
  hem__copy_row(&c->vectors, row, scaled);
}

/* ---- scores ---- */

void hem__learned_scratch_clear(hem__learned_scratch *s) {
  free(s->rows);
  free(s->scores);
  hem__score_scratch_clear(&s->kernel);
  *s = (hem__learned_scratch){0};
}

hem_status hem__learned_score(const hem__learned *l, const hem__category *c, const hem__learned_query *query,
                              const hem__near *near, size_t count, hem__learned_scratch *s, hem_error *err) {
  hem_status status = hem__grow(&s->rows, &s->row_capacity, count, sizeof *s->rows, "candidates", err);
  if (!status) status = hem__grow(&s->scores, &s->score_capacity, count, sizeof *s->scores, "candidates", err);
  if (status) return status;
  for (size_t i = 0; i < count; i++) s->rows[i] = near[i].row;
  hem__score_request request = {.query = query->coded, .points = c->points, .rows = s->rows, .count = count};
  return hem__score(l->scorer, &request, &s->kernel, s->scores, err);
}
