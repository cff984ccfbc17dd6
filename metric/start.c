#include "metric/start.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/blas.h"
#include "metric/loops.h"

enum { SAMPLES = 4096, TURNS = 4, NEWTON = 50 };

/* ---- pairs to measure ---- */

typedef struct sample {
  uint32_t a[2 * SAMPLES], b[2 * SAMPLES]; /* positives first, then as many negatives */
  float s[2 * SAMPLES];
  size_t count; /* of each */
} sample;

/* Random ones, from all over the training queries. */
static hem_status draw_sample(const hem__pairs *p, hem__random *random, sample **out, hem_error *err) {
  sample *s = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a sample of pairs", &s, err);
  if (status) return status;
  hem__range queries = p->queries[HEM__LEARN], all = p->shops[HEM__LEARN];
  s->count = SAMPLES;
  for (size_t i = 0; i < s->count; i++) {
    size_t q = queries.first + hem__random_below(random, queries.count);
    hem__range shops = p->groups[p->group[q]].shops[HEM__LEARN];
    uint32_t wrong = (uint32_t)q;
    for (size_t tries = 0; tries < 64 && (wrong == q || p->item[wrong] == p->item[q]); tries++) {
      hem__range from = tries < 32 ? shops : all; /* a category may have one item only */
      wrong = (uint32_t)(from.first + hem__random_below(random, from.count));
    }
    s->a[i] = s->a[s->count + i] = (uint32_t)q;
    s->b[i] = (uint32_t)(p->right[q].first + hem__random_below(random, p->right[q].count));
    s->b[s->count + i] = wrong;
  }
  *out = s;
  return HEM_OK;
}

hem_status hem__start_spread(const hem__pairs *pairs, const float *points, size_t width, hem__random *random,
                             float *spread, hem_error *err) {
  sample *s = NULL;
  double *sum = NULL, most = 0;
  hem_status status = draw_sample(pairs, random, &s, err);
  if (!status) status = hem__alloc(width, sizeof *sum, "a sample of pairs", &sum, err);
  for (size_t i = 0; !status && i < s->count; i++) {
    const float *a = points + s->a[s->count + i] * width, *b = points + s->b[s->count + i] * width;
    for (size_t d = 0; d < width; d++) sum[d] += fabs((double)a[d] - (double)b[d]) / (double)s->count;
  }
  for (size_t d = 0; !status && d < width; d++) most = fmax(most, sum[d]);
  if (most <= 0) most = 1;
  for (size_t d = 0; !status && d < width; d++) spread[d] = (float)fmax(sum[d], most * 1e-6);
  free(sum);
  free(s);
  return status;
}

/* ---- the tower: principal components by subspace iteration (Halko et al. 2011), in no order ---- */

/* Rows of q, made orthonormal one after the other; what is left of a row that the others already span becomes noise. */
static void orthonormalise(float *q, size_t rows, size_t dim, hem__random *random) {
  for (size_t i = 0; i < rows; i++) {
    float *row = q + i * dim;
    for (int turn = 0; turn < 4; turn++) {
      float before = sqrtf(hem__loop_dot(row, row, dim));
      for (int pass = 0; pass < 2; pass++)
        for (size_t j = 0; j < i && i < dim; j++)
          hem__loop_add(row, q + j * dim, -hem__loop_dot(row, q + j * dim, dim), dim);
      float after = sqrtf(hem__loop_dot(row, row, dim));
      if (after > 1e-4F * before && after > 0) {
        for (size_t d = 0; d < dim; d++) row[d] /= after;
        break;
      }
      for (size_t d = 0; d < dim; d++) row[d] = (float)hem__random_normal(random);
    }
  }
}

static hem_status start_tower(const hem__start *start, hem__model *m, hem__random *random, hem_error *err) {
  size_t count = hem__min(start->pairs->photo_count, SAMPLES), values;
  float *rows = NULL, *y = NULL;
  if (!hem__mul(count, hem__max(m->dim, m->tower), &values))
    return hem__fail(err, HEM_ENOMEM, "the tower is too large");
  hem_status status = hem__alloc(values, sizeof *rows, "a tower", &rows, err);
  if (!status) status = hem__alloc(values, sizeof *y, "a tower", &y, err);
  for (size_t i = 0; !status && i < count; i++) {
    hem__range part = i % 2 ? start->pairs->queries[HEM__LEARN] : start->pairs->shops[HEM__LEARN];
    size_t photo = part.first + hem__random_below(random, part.count);
    memcpy(rows + i * m->dim, start->inputs + photo * m->dim, m->dim * sizeof *rows);
  }
  for (size_t i = 0; !status && i < m->tower * m->dim; i++) m->tower_weights[i] = (float)hem__random_normal(random);
  for (int turn = 0; !status && turn <= TURNS; turn++) {
    orthonormalise(m->tower_weights, m->tower, m->dim, random);
    if (turn == TURNS) break;
    hem__gemm(false, true, count, m->tower, m->dim, 1, rows, m->tower_weights, 0, y, m->tower);
    hem__gemm(true, false, m->tower, m->dim, count, 1, y, rows, 0, m->tower_weights, m->dim);
  }
  free(rows);
  free(y);
  return status;
}

/* ---- the head ---- */

/* Newton's steps to the slope and offset that make sigmoid(slope * s + offset) likeliest, a negative counting `each`
 * times. A little pull to a small slope keeps it finite where the two kinds do not overlap. */
static void fit_line(const sample *s, double each, double *slope, double *offset) {
  double c = 0, b = 0, pull = 1e-3 * (double)s->count, mean = 0;
  for (size_t i = 0; i < 2 * s->count; i++) mean += (double)s->s[i] / (double)(2 * s->count);
  double spread = 1e-12;
  for (size_t i = 0; i < 2 * s->count; i++) spread += fabs((double)s->s[i] - mean) / (double)(2 * s->count);
  for (int turn = 0; turn < NEWTON; turn++) {
    double gc = pull * c, gb = 0, cc = pull, cb = 0, bb = 1e-9;
    for (size_t i = 0; i < 2 * s->count; i++) {
      double x = ((double)s->s[i] - mean) / spread, y = i<s->count, w = y> 0 ? 1 : each;
      double q = 1 / (1 + exp(-(c * x + b))), h = fmax(w * q * (1 - q), 1e-9);
      gc += w * (q - y) * x, gb += w * (q - y);
      cc += h * x * x, cb += h * x, bb += h;
    }
    double det = cc * bb - cb * cb, dc = (bb * gc - cb * gb) / det, db = (cc * gb - cb * gc) / det;
    double step = fmin(1, 2 / (fabs(dc) + fabs(db) + 1e-12)); /* a full step from far away may overshoot */
    c -= step * dc;
    b -= step * db;
  }
  *slope = fmax(c, 0.05) / spread;
  *offset = b - *slope * mean;
}

/* Neighbouring units share out the dimensions: one sees a random half of them strongly, the other the other half. */
static void fill_units(hem__model *m, const float *u, double threshold, hem__random *random) {
  size_t pairs = (m->hidden + 1) / 2, flat = (pairs + 1) / 2;
  for (size_t k = 0; k < pairs; k++) {
    double at = k < flat ? 0 : threshold * (double)(k - flat + 1) / (double)(pairs - flat);
    bool both = 2 * k + 1 < m->hidden;
    for (size_t d = 0; d < m->width; d++) {
      float more = !both ? 1 : hem__random_next(random) >> 63 ? 1.5F : 0.5F;
      m->w1[2 * k * m->width + d] = u[d] * more;
      if (both) m->w1[(2 * k + 1) * m->width + d] = u[d] * (2 - more);
    }
    for (size_t h = 2 * k; h < 2 * k + 2 && h < m->hidden; h++) m->b1[h] = (float)-at;
  }
  for (size_t h = 0; h < m->hidden; h++) m->w2[h] = -1 / (float)m->hidden;
}

/* One and the same function for every `balance`: this one makes a step of the optimiser change both layers by about the
 * same share of their weights. */
static void rescale_head(hem__model *m, double slope) {
  float balance = (float)sqrt((double)m->width * slope / (double)m->hidden);
  for (size_t i = 0; i < m->hidden * m->width; i++) m->w1[i] *= balance;
  for (size_t h = 0; h < m->hidden; h++) {
    m->b1[h] *= balance;
    m->w2[h] = (float)-slope / ((float)m->hidden * balance);
  }
}

/* The plain distance, first of slope 1, then of the slope and offset that fit. */
static hem_status start_plain(const hem__start *start, const float *u, hem__model *m, hem__model_work *work,
                              hem__random *random, hem_error *err) {
  sample *s = NULL;
  double slope, offset, near = 0;
  hem_status status = draw_sample(start->pairs, random, &s, err);
  if (status) return status;
  hem__model line = *m; /* a weighted distance in w1's place, to know how far apart right photos are */
  line.hidden = 0;
  line.w2 = m->hidden ? m->w1 : m->w2;
  for (size_t d = 0; d < m->width; d++) line.w2[d] = -u[d];
  hem__model_score(&line, work, start->points, s->a, s->b, 2 * s->count, s->s);
  for (size_t i = 0; i < s->count; i++) near -= (double)s->s[i] / (double)s->count;
  if (m->hidden) {
    fill_units(m, u, near, random);
    hem__model_score(m, work, start->points, s->a, s->b, 2 * s->count, s->s);
  }
  fit_line(s, (double)start->each, &slope, &offset);
  *m->b2 = (float)offset;
  if (m->hidden) {
    rescale_head(m, slope);
  } else {
    for (size_t d = 0; d < m->width; d++) m->w2[d] *= (float)slope;
  }
  free(s);
  return HEM_OK;
}

static void start_glorot(hem__model *m, hem__random *random) {
  double inner = sqrt(6.0 / (double)(m->width + m->hidden)), outer = sqrt(6.0 / (double)(hem__model_outputs(m) + 1));
  for (size_t i = 0; i < m->hidden * m->width; i++) m->w1[i] = (float)(inner * (2 * hem__random_uniform(random) - 1));
  for (size_t i = 0; i < hem__model_outputs(m); i++) m->w2[i] = (float)(outer * (2 * hem__random_uniform(random) - 1));
}

hem_status hem__start_model(const hem__start *start, hem__model *m, hem__model_work *work, hem__random *random,
                            hem_error *err) {
  float *spread = NULL;
  double sum = 0;
  memset(m->weights, 0, m->count * sizeof *m->weights);
  hem_status status = hem__alloc(m->width, sizeof *spread, "a start", &spread, err);
  if (!status && m->tower) {
    status = start_tower(start, m, random, err);
    if (!status) hem__model_project(m, start->inputs, start->pairs->photo_count, start->points);
  }
  if (!status) status = hem__start_spread(start->pairs, start->points, m->width, random, spread, err);
  if (status) goto exit;
  for (size_t d = 0; d < m->width; d++) m->scale[d] = 1 / spread[d];
  /* The L1 distance of points is the sum of spread * x, the square of L2 that of the squares. */
  for (size_t d = 0; m->form == HEM__WEIGHTED_L2 && d < m->width; d++) spread[d] *= spread[d];
  for (size_t d = 0; d < m->width; d++) sum += (double)spread[d];
  for (size_t d = 0; d < m->width; d++) spread[d] = (float)((double)spread[d] / sum);
  if (start->random) {
    start_glorot(m, random);
  } else {
    status = start_plain(start, spread, m, work, random, err);
  }
exit:
  free(spread);
  return status;
}
