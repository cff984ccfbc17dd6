#include "metric/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/blas.h"
#include "metric/loops.h"
#include "metric/random.h"

enum { COLUMNS = 64 }; /* of a point that one thread sums gradients for */

/* ---- weights ---- */

size_t hem__model_outputs(const hem__model *m) { return m->hidden ? m->hidden : m->width; }

static void point_into(hem__model *m) {
  float *at = m->weights;
  m->w1 = at, at += m->hidden * m->width;
  m->tower_weights = at, at += m->tower * m->dim;
  m->w2 = at, at += hem__model_outputs(m);
  m->decayed = (size_t)(at - m->weights);
  m->b1 = at, at += m->hidden;
  m->tower_bias = at, at += m->tower;
  m->b2 = at;
}

hem_status hem__model_new(const hem__metric *shape, hem__model *out, hem_error *err) {
  hem__metric *metric = NULL; /* knows which shapes there can be, and that their sizes can be multiplied */
  hem_status status = hem__metric_new(shape, &metric, err);
  if (status) return status;
  hem__model m = {.form = metric->form,
                  .dim = metric->dim,
                  .tower = metric->tower,
                  .width = metric->width,
                  .hidden = metric->hidden};
  hem__metric_free(metric);
  m.count = m.hidden * m.width + m.tower * m.dim + hem__model_outputs(&m) + m.hidden + m.tower + 1;
  status = hem__alloc(m.count, sizeof *m.weights, "a model", &m.weights, err);
  if (!status) status = hem__alloc(m.width, sizeof *m.scale, "a model", &m.scale, err);
  if (status) {
    hem__model_clear(&m);
    return status;
  }
  point_into(&m);
  for (size_t i = 0; i < m.width; i++) m.scale[i] = 1;
  *out = m;
  return HEM_OK;
}

void hem__model_clear(hem__model *m) {
  free(m->weights);
  free(m->scale);
  *m = (hem__model){0};
}

/* ---- working memory ---- */

struct hem__model_work {
  size_t pairs;
  float *x, *dx;          /* [pairs][width]; dx: with a tower only */
  float *z, *dz, *keep;   /* [pairs][hidden] */
  float *s, *g, *ones;    /* [pairs]: score, gradient by it */
  uint32_t *a, *b;        /* [pairs]: rows of p */
  uint32_t *slot, *photo; /* [photos]: row of p, from 1; [2 pairs]: photo of that row. Slots are 0 between batches */
  float *input, *p, *dp;  /* [2 pairs][dim], [2 pairs][tower] twice */
  float *norm;            /* [2 pairs]: 1 / |T a + c| */
};

static hem_status floats(float **out, size_t rows, size_t columns, hem_error *err) {
  size_t count;
  if (!hem__mul(rows, columns, &count)) return hem__fail(err, HEM_ENOMEM, "a batch of %zu pairs is too large", rows);
  return hem__alloc(count, sizeof **out, "a batch", out, err);
}

static hem_status alloc_tower(const hem__model *m, hem__model_work *w, size_t photos, hem_error *err) {
  hem_status status = floats(&w->dx, w->pairs, m->width, err);
  if (!status) status = floats(&w->input, 2 * w->pairs, m->dim, err);
  if (!status) status = floats(&w->p, 2 * w->pairs, m->tower, err);
  if (!status) status = floats(&w->dp, 2 * w->pairs, m->tower, err);
  if (!status) status = floats(&w->norm, 2 * w->pairs, 1, err);
  if (!status) status = hem__alloc(photos, sizeof *w->slot, "a batch", &w->slot, err);
  return status ? status : hem__alloc(2 * w->pairs, sizeof *w->photo, "a batch", &w->photo, err);
}

hem_status hem__model_work_new(const hem__model *m, size_t pairs, size_t photos, hem__model_work **out,
                               hem_error *err) {
  hem__model_work *w = NULL;
  hem_status status = hem__alloc(1, sizeof *w, "a batch", &w, err);
  if (status) return status;
  w->pairs = pairs;
  status = floats(&w->x, pairs, m->width, err);
  if (!status) status = floats(&w->z, pairs, m->hidden, err);
  if (!status) status = floats(&w->dz, pairs, m->hidden, err);
  if (!status) status = floats(&w->keep, pairs, m->hidden, err);
  if (!status) status = floats(&w->s, pairs, 1, err);
  if (!status) status = floats(&w->g, pairs, 1, err);
  if (!status) status = floats(&w->ones, hem__max(pairs, 2 * pairs), 1, err);
  if (!status) status = hem__alloc(pairs, sizeof *w->a, "a batch", &w->a, err);
  if (!status) status = hem__alloc(pairs, sizeof *w->b, "a batch", &w->b, err);
  if (!status && m->tower) status = alloc_tower(m, w, photos, err);
  if (status) {
    hem__model_work_free(w);
    return status;
  }
  for (size_t i = 0; i < 2 * pairs; i++) w->ones[i] = 1;
  *out = w;
  return HEM_OK;
}

void hem__model_work_free(hem__model_work *w) {
  if (!w) return;
  float *all[] = {w->x, w->dx, w->z, w->dz, w->keep, w->s, w->g, w->ones, w->input, w->p, w->dp, w->norm};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
  free(w->a);
  free(w->b);
  free(w->slot);
  free(w->photo);
  free(w);
}

/* ---- forward ---- */

/* Rows of p become (p + c) / |p + c|; norm[i] = 1 / |p + c|. */
static void normalise_rows(const hem__model *m, float *p, size_t count, float *norm) {
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < count; i++) {
    float *row = p + i * m->tower;
    hem__loop_add(row, m->tower_bias, 1, m->tower);
    double square = (double)hem__loop_dot(row, row, m->tower);
    float inverse = square > 0 ? (float)(1 / sqrt(square)) : 0;
    for (size_t d = 0; d < m->tower; d++) row[d] *= inverse;
    if (norm) norm[i] = inverse;
  }
}

void hem__model_project(const hem__model *m, const float *inputs, size_t count, float *points) {
  if (!m->tower) {
    memcpy(points, inputs, count * m->dim * sizeof *points);
    return;
  }
  hem__gemm(false, true, count, m->tower, m->dim, 1, inputs, m->tower_weights, 0, points, m->tower);
  normalise_rows(m, points, count, NULL);
}

/* The points of a batch's photos, each once however many pairs it is in. Returns how many. */
static size_t project_batch(const hem__model *m, hem__model_work *w, const hem__batch *batch) {
  size_t photos = 0;
  for (size_t i = 0; i < 2 * batch->count; i++) {
    uint32_t photo = i < batch->count ? batch->a[i] : batch->b[i - batch->count];
    if (!w->slot[photo]) {
      w->photo[photos++] = photo;
      w->slot[photo] = (uint32_t)photos;
    }
    if (i < batch->count) {
      w->a[i] = w->slot[photo] - 1;
    } else {
      w->b[i - batch->count] = w->slot[photo] - 1;
    }
  }
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < photos; i++)
    memcpy(w->input + i * m->dim, batch->inputs + w->photo[i] * m->dim, m->dim * sizeof *w->input);
  for (size_t i = 0; i < photos; i++) w->slot[w->photo[i]] = 0;
  hem__gemm(false, true, photos, m->tower, m->dim, 1, w->input, m->tower_weights, 0, w->p, m->tower);
  normalise_rows(m, w->p, photos, w->norm);
  return photos;
}

static void square(float *x, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] *= x[i];
}

/* x of every pair; of weighted L2 its square. */
static void subtract(const hem__model *m, hem__model_work *w, const float *points, const uint32_t *a, const uint32_t *b,
                     size_t count) {
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < count; i++) {
    float *x = w->x + i * m->width;
    hem__loop_difference(points + a[i] * m->width, points + b[i] * m->width, m->scale, m->width, x);
    if (m->form == HEM__WEIGHTED_L2) square(x, m->width);
  }
}

/* Each pair has a stream of its own, so that no thread waits for another's numbers. */
static void draw_keep(const hem__model *m, hem__model_work *w, const hem__batch *batch) {
  float kept = (float)(1 / (1 - batch->dropout));
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < batch->count; i++) {
    hem__random random = hem__random_from(batch->noise + i);
    for (size_t h = 0; h < m->hidden; h++)
      w->keep[i * m->hidden + h] = hem__random_uniform(&random) < batch->dropout ? 0 : kept;
  }
}

/* s of w->x, from the hidden units in w->z; `keep`: as hem__loop_relu. */
static void score_x(const hem__model *m, hem__model_work *w, size_t count, bool dropout, float *scores) {
  if (m->hidden) hem__gemm(false, true, count, m->hidden, m->width, 1, w->x, m->w1, 0, w->z, m->hidden);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < count; i++) {
    size_t at = i * m->hidden;
    scores[i] = *m->b2 + (m->hidden ? hem__loop_relu(w->z + at, m->b1, dropout ? w->keep + at : NULL, m->w2, m->hidden)
                                    : hem__loop_dot(w->x + i * m->width, m->w2, m->width));
  }
}

void hem__model_score(const hem__model *m, hem__model_work *w, const float *points, const uint32_t *a,
                      const uint32_t *b, size_t count, float *scores) {
  for (size_t from = 0; from < count; from += w->pairs) {
    size_t step = hem__min(w->pairs, count - from);
    subtract(m, w, points, a + from, b + from, step);
    score_x(m, w, step, false, scores + from);
  }
}

/* ---- losses: g = the gradient by s ---- */

static double softplus(double v) { return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)); }
static double sigmoid(double v) { return v > 0 ? 1 / (1 + exp(-v)) : exp(v) / (1 + exp(v)); }

static double cross_entropy(const hem__batch *batch, const float *s, float *g) {
  double loss = 0;
  for (size_t i = 0; i < batch->count; i++) {
    double y = (double)batch->target[i], v = (double)s[i];
    loss += softplus(v) - y * v;
    g[i] = (float)((sigmoid(v) - y) / (double)batch->count);
  }
  return loss / (double)batch->count;
}

static double triplet_row(const float *target, const float *s, size_t count, double share, float *g) {
  size_t right = SIZE_MAX, wrong = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    size_t *hardest = target[i] > 0 ? &right : &wrong;
    bool harder = *hardest == SIZE_MAX || (target[i] > 0 ? s[i] < s[*hardest] : s[i] > s[*hardest]);
    if (harder) *hardest = i;
  }
  if (right == SIZE_MAX || wrong == SIZE_MAX) return 0;
  double margin = (double)s[wrong] - (double)s[right];
  g[wrong] = (float)(sigmoid(margin) * share);
  g[right] = -g[wrong];
  return softplus(margin) * share;
}

static double triplet(const hem__batch *batch, const float *s, float *g) {
  size_t rows = batch->count / batch->block;
  double loss = 0;
  memset(g, 0, batch->count * sizeof *g);
  for (size_t i = 0; i < rows; i++) {
    size_t at = i * batch->block;
    loss += triplet_row(batch->target + at, s + at, batch->block, 1 / (double)rows, g + at);
  }
  return loss;
}

/* ---- backward ---- */

/* Of the weights behind x; with a tower, dx too. */
static void back_head(const hem__model *m, hem__model_work *w, size_t count, bool dropout, const hem__model *to) {
  if (!m->hidden) {
    hem__gemm(false, false, 1, m->width, count, 1, w->g, w->x, 0, to->w2, m->width);
    if (m->tower) hem__gemm(true, false, count, m->width, 1, 1, w->g, m->w2, 0, w->dx, m->width);
    /* By x, where w->x is its square. */
    for (size_t i = 0; m->tower && m->form == HEM__WEIGHTED_L2 && i < count * m->width; i++)
      w->dx[i] *= 2 * sqrtf(w->x[i]);
    return;
  }
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < count; i++) {
    size_t at = i * m->hidden;
    hem__loop_relu_back(w->z + at, dropout ? w->keep + at : NULL, m->w2, w->g[i], m->hidden, w->dz + at);
  }
  hem__gemm(false, false, 1, m->hidden, count, 1, w->g, w->z, 0, to->w2, m->hidden);
  hem__gemm(false, false, 1, m->hidden, count, 1, w->ones, w->dz, 0, to->b1, m->hidden);
  hem__gemm(true, false, m->hidden, m->width, count, 1, w->dz, w->x, 0, to->w1, m->width);
  if (m->tower) hem__gemm(false, false, count, m->width, m->hidden, 1, w->dz, m->w1, 0, w->dx, m->width);
}

/* dx to dp. A photo is in many pairs: threads share columns out, not pairs, so that none adds to another's sums and
 * their order is fixed. */
static void back_difference(const hem__model *m, hem__model_work *w, size_t count, size_t photos) {
  size_t parts = (m->width + COLUMNS - 1) / COLUMNS;
  memset(w->dp, 0, photos * m->width * sizeof *w->dp);
#pragma omp parallel for schedule(static)
  for (size_t part = 0; part < parts; part++) {
    size_t from = part * COLUMNS, some = hem__min(COLUMNS, m->width - from);
    for (size_t i = 0; i < count; i++) {
      size_t a = w->a[i] * m->width + from, b = w->b[i] * m->width + from;
      if (a != b)
        hem__loop_sign(w->p + a, w->p + b, m->scale + from, w->dx + i * m->width + from, some, w->dp + a, w->dp + b);
    }
  }
}

/* Through p = u / |u|: du = (dp - p (p . dp)) / |u|. */
static void back_tower(const hem__model *m, hem__model_work *w, size_t photos, const hem__model *to) {
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < photos; i++) {
    float *p = w->p + i * m->tower, *dp = w->dp + i * m->tower;
    hem__loop_add(dp, p, -hem__loop_dot(p, dp, m->tower), m->tower);
    for (size_t d = 0; d < m->tower; d++) dp[d] *= w->norm[i];
  }
  hem__gemm(false, false, 1, m->tower, photos, 1, w->ones, w->dp, 0, to->tower_bias, m->tower);
  hem__gemm(true, false, m->tower, m->dim, photos, 1, w->dp, w->input, 0, to->tower_weights, m->dim);
}

double hem__model_learn(const hem__model *m, hem__model_work *w, const hem__batch *batch, float *gradient) {
  hem__model to = *m;
  to.weights = gradient;
  point_into(&to);
  bool dropout = m->hidden && batch->dropout > 0;
  size_t photos = m->tower ? project_batch(m, w, batch) : 0;
  if (dropout) draw_keep(m, w, batch);
  subtract(m, w, m->tower ? w->p : batch->inputs, m->tower ? w->a : batch->a, m->tower ? w->b : batch->b, batch->count);
  score_x(m, w, batch->count, dropout, w->s);
  double loss = batch->loss == HEM__TRIPLET ? triplet(batch, w->s, w->g) : cross_entropy(batch, w->s, w->g);
  double sum = 0;
  for (size_t i = 0; i < batch->count; i++) sum += (double)w->g[i];
  *to.b2 = (float)sum;
  back_head(m, w, batch->count, dropout, &to);
  if (!m->tower) return loss;
  back_difference(m, w, batch->count, photos);
  back_tower(m, w, photos, &to);
  return loss;
}
