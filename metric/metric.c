#include "metric/metric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/blas.h"
#include "metric/distance.h"

const char *const hem__form_names[HEM__FORMS] = {"l1", "head", "l2"};

static hem_status alloc_floats(size_t rows, size_t columns, float **out, hem_error *err) {
  size_t count;
  if (!hem__mul(rows, columns, &count)) return hem__fail(err, HEM_ENOMEM, "a metric's weights are too many");
  return hem__alloc(count, sizeof **out, "a metric", out, err);
}

static hem_status check_shape(const hem__metric *m, hem_error *err) {
  if (m->dim == 0 || m->dim > HEM__METRIC_DIM_MAX || m->tower > HEM__METRIC_DIM_MAX)
    return hem__fail(err, HEM_EINVAL, "a metric takes 1 to %d values, and so does its tower; not %zu and %zu",
                     HEM__METRIC_DIM_MAX, m->dim, m->tower);
  if (m->form == HEM__HEAD ? m->hidden == 0 || m->hidden > HEM__METRIC_HIDDEN_MAX : m->hidden != 0)
    return hem__fail(err, HEM_EINVAL, "a head has 1 to %d hidden units and a weighted distance has none; not %zu",
                     HEM__METRIC_HIDDEN_MAX, m->hidden);
  return HEM_OK;
}

hem_status hem__metric_new(const hem__metric *shape, hem__metric **out, hem_error *err) {
  hem__metric *m = NULL;
  hem_status status = check_shape(shape, err);
  if (!status) status = hem__alloc(1, sizeof *m, "a metric", &m, err);
  if (status) return status;
  m->form = shape->form;
  m->unit = shape->unit;
  m->dim = shape->dim;
  m->tower = shape->tower;
  m->width = m->tower ? m->tower : m->dim;
  m->hidden = shape->hidden;
  status = alloc_floats(m->tower, m->dim, &m->tower_weights, err);
  if (!status) status = alloc_floats(m->tower, 1, &m->tower_bias, err);
  if (!status) status = alloc_floats(m->hidden, m->width, &m->w1, err);
  if (!status) status = alloc_floats(m->hidden, 1, &m->b1, err);
  if (!status) status = alloc_floats(m->hidden ? m->hidden : m->width, 1, &m->w2, err);
  if (!status) status = alloc_floats(m->width, 1, &m->candidate_scale, err);
  if (status) {
    hem__metric_free(m);
    return status;
  }
  for (size_t i = 0; i < m->width; i++) m->candidate_scale[i] = 1;
  *out = m;
  return HEM_OK;
}

void hem__metric_free(hem__metric *m) {
  if (!m) return;
  for (size_t i = 0; i < m->calibration_count; i++) free(m->calibrations[i].category);
  free(m->calibrations);
  free(m->seen);
  free(m->space);
  free(m->space_hash);
  free(m->features);
  free(m->about);
  free(m->tower_weights);
  free(m->tower_bias);
  free(m->w1);
  free(m->b1);
  free(m->w2);
  free(m->candidate_scale);
  free(m);
}

/* ---- embedding -> point ---- */

hem_status hem__metric_project(const hem__metric *m, const float *embeddings, size_t count, float *out,
                               hem_error *err) {
  float *unit = NULL;
  const float *from = embeddings;
  size_t values;
  if (!hem__mul(count, m->dim, &values)) return hem__fail(err, HEM_ENOMEM, "too many embeddings at once");
  if (!m->tower) {
    for (size_t i = 0; m->unit && i < count; i++) hem__normalise(embeddings + i * m->dim, m->dim, out + i * m->dim);
    if (!m->unit) memcpy(out, embeddings, values * sizeof *out);
    return HEM_OK;
  }
  if (m->unit) {
    hem_status status = hem__alloc(values, sizeof *unit, "embeddings", &unit, err);
    if (status) return status;
    for (size_t i = 0; i < count; i++) hem__normalise(embeddings + i * m->dim, m->dim, unit + i * m->dim);
    from = unit;
  }
  for (size_t i = 0; i < count; i++) memcpy(out + i * m->tower, m->tower_bias, m->tower * sizeof *out);
  hem__gemm(false, true, count, m->tower, m->dim, 1, from, m->tower_weights, 1, out, m->tower);
  for (size_t i = 0; i < count; i++) hem__normalise(out + i * m->tower, m->tower, out + i * m->tower);
  free(unit);
  return HEM_OK;
}

/* ---- two points -> score ---- */

static double hidden_unit(const hem__metric *m, size_t h, const float *ta, const float *tb) {
  const float *w = m->w1 + h * m->width;
  double sum = m->b1[h];
  for (size_t d = 0; d < m->width; d++) sum += (double)w[d] * fabs((double)ta[d] - (double)tb[d]);
  return sum;
}

double hem__metric_score(const hem__metric *m, const float *ta, const float *tb) {
  double score = m->b2;
  for (size_t h = 0; h < m->hidden; h++) score += (double)m->w2[h] * fmax(0, hidden_unit(m, h, ta, tb));
  if (m->form == HEM__HEAD) return score;
  for (size_t d = 0; d < m->width; d++) {
    double x = fabs((double)ta[d] - (double)tb[d]);
    score += (double)m->w2[d] * (m->form == HEM__WEIGHTED_L2 ? x * x : x);
  }
  return score;
}

bool hem__metric_concave(const hem__metric *m) {
  size_t count = m->hidden ? m->hidden : m->width;
  for (size_t i = 0; i < count; i++)
    if (m->w2[i] > 0) return false;
  return true;
}

bool hem__metric_passed(const hem__metric *m) { return m->verdict.queries > 0 && m->verdict.gain_low > 0; }

/* ---- what comes after the score ---- */

const hem__calibration *hem__metric_calibration(const hem__metric *m, const char *category) {
  static const hem__calibration none = {.platt = {.slope = 1}};
  for (size_t i = 0; i < m->calibration_count; i++)
    if (strcmp(m->calibrations[i].category, category) == 0) return &m->calibrations[i];
  return m->calibration_count ? &m->calibrations[0] : &none;
}

double hem__probability(const hem__platt *platt, double score) {
  return 1 / (1 + exp(-(platt->slope * score + platt->offset)));
}

uint64_t hem__item_key(const char *item_id) {
  hem__digest digest = hem__sha256_of(item_id, strlen(item_id));
  uint64_t key = 0;
  for (size_t i = 8; i-- > 0;) key = key << 8 | digest.at[i];
  return key;
}

bool hem__metric_saw(const hem__metric *m, const char *item_id) {
  uint64_t key = hem__item_key(item_id);
  size_t low = 0, high = m->seen_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (m->seen[middle] < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < m->seen_count && m->seen[low] == key;
}
