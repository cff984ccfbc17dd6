#include "metric/inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/distance.h"
#include "metric/start.h"

static hem_status read_all(hem__catalog *catalog, size_t space, const hem__pairs *p, bool unit, hem__inputs *in,
                           hem_error *err) {
  hem__matrix vectors = hem__catalog_matrix(catalog, space);
  hem_status status = HEM_OK;
  for (size_t i = 0; i < p->photo_count && !status; i++) {
    const float *from = hem__row(vectors, p->row[i]);
    float *to = in->at + i * in->dim;
    status = hem__catalog_check(catalog, space, p->row[i], 1, err);
    if (!status && !hem__all_finite(from, in->dim))
      status = hem__fail(err, HEM_EINVAL,
                         "row %u (%s) has values that are not numbers, or beyond 1e15: hemline doctor lists such rows",
                         p->row[i], hem__catalog_photos(catalog)->at[p->row[i]].path);
    if (status) break;
    if (unit) {
      hem__normalise(from, in->dim, to);
    } else {
      memcpy(to, from, in->dim * sizeof *to);
    }
  }
  return status;
}

/* Only of photos that train: validation is to be new in every way. */
static hem_status centre(hem__inputs *in, const hem__pairs *p, hem_error *err) {
  double *sum = NULL, square = 0;
  size_t photos = 0;
  hem_status status = hem__alloc(in->dim, sizeof *sum, "embeddings", &sum, err);
  if (status) return status;
  const hem__range runs[] = {p->shops[HEM__LEARN], p->queries[HEM__LEARN]};
  for (size_t r = 0; r < 2; r++) photos += runs[r].count;
  for (size_t r = 0; r < 2; r++)
    for (size_t i = runs[r].first; i < runs[r].first + runs[r].count; i++)
      for (size_t d = 0; d < in->dim; d++) {
        double v = (double)in->at[i * in->dim + d];
        sum[d] += v / (double)photos;
        square += v * v / (double)photos;
      }
  for (size_t d = 0; d < in->dim; d++) {
    in->centre[d] = (float)sum[d];
    square -= sum[d] * sum[d];
  }
  float stretch = square > 0 ? (float)(1 / sqrt(square / (double)in->dim)) : 1;
  for (size_t d = 0; d < in->dim; d++) in->stretch[d] = stretch;
  for (size_t i = 0; i < in->count; i++)
    for (size_t d = 0; d < in->dim; d++)
      in->at[i * in->dim + d] = (in->at[i * in->dim + d] - in->centre[d]) * in->stretch[d];
  free(sum);
  return HEM_OK;
}

hem_status hem__inputs_new(hem__catalog *catalog, size_t space, const hem__pairs *p, bool unit, bool tower,
                           hem__random *random, hem__inputs *out, hem_error *err) {
  hem__inputs in = {.count = p->photo_count, .dim = hem__catalog_space(catalog, space)->dim};
  size_t values;
  if (!hem__mul(in.count, in.dim, &values)) return hem__fail(err, HEM_ENOMEM, "too many embeddings for memory");
  hem_status status = hem__alloc(values, sizeof *in.at, "the embeddings of all pairs", &in.at, err);
  if (!status) status = hem__alloc(in.dim, sizeof *in.centre, "embeddings", &in.centre, err);
  if (!status) status = hem__alloc(in.dim, sizeof *in.stretch, "embeddings", &in.stretch, err);
  if (!status) status = hem__alloc(in.dim, sizeof *in.spread, "embeddings", &in.spread, err);
  for (size_t d = 0; !status && d < in.dim; d++) in.stretch[d] = 1;
  if (!status) status = read_all(catalog, space, p, unit, &in, err);
  if (!status) status = tower ? centre(&in, p, err) : hem__start_spread(p, in.at, in.dim, random, in.spread, err);
  if (status) {
    hem__inputs_clear(&in);
    return status;
  }
  *out = in;
  return HEM_OK;
}

void hem__inputs_clear(hem__inputs *in) {
  free(in->at);
  free(in->centre);
  free(in->stretch);
  free(in->spread);
  *in = (hem__inputs){0};
}

void hem__inputs_bend(hem__inputs *in, double power) {
  for (size_t d = 0; d < in->dim; d++) {
    float before = in->stretch[d];
    in->stretch[d] = (float)pow((double)in->spread[d], power - 1);
    float change = in->stretch[d] / before;
    for (size_t i = 0; i < in->count; i++) in->at[i * in->dim + d] *= change;
  }
}

void hem__inputs_fold(const hem__inputs *in, const hem__model *m, hem__metric *metric) {
  float *weights = m->hidden ? metric->w1 : metric->w2;
  const float *from = m->hidden ? m->w1 : m->w2;
  for (size_t h = 0; h < hem__max(m->hidden, 1); h++)
    for (size_t d = 0; d < m->width; d++) {
      float scale = m->scale[d] * (m->tower ? 1 : in->stretch[d]);
      weights[h * m->width + d] = from[h * m->width + d] * (m->form == HEM__WEIGHTED_L2 ? scale * scale : scale);
    }
  if (m->hidden) memcpy(metric->w2, m->w2, m->hidden * sizeof *m->w2);
  memcpy(metric->b1, m->b1, m->hidden * sizeof *m->b1);
  metric->b2 = *m->b2;
  for (size_t j = 0; j < m->tower; j++) {
    double bias = (double)m->tower_bias[j];
    for (size_t d = 0; d < m->dim; d++) {
      float w = m->tower_weights[j * m->dim + d] * in->stretch[d];
      metric->tower_weights[j * m->dim + d] = w;
      bias -= (double)w * (double)in->centre[d];
    }
    metric->tower_bias[j] = (float)bias;
  }
}
