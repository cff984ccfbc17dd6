/* Gradients against central differences of a loss that is written once more here, in double and from the definition. */
#include "metric/model.h"

#include <math.h>
#include <string.h>

#include "metric/optimiser.h"
#include "support/make_catalog.h"
#include "test.h"

enum { PHOTOS = 9, DIM = 11, TOWER = 6, HIDDEN = 7, BLOCK = 3, PAIRS = 4 * BLOCK * BLOCK };

typedef struct trial {
  hem__model model;
  float inputs[PHOTOS * DIM], target[PAIRS];
  uint32_t a[PAIRS], b[PAIRS];
  hem__batch batch;
} trial;

static void fill(trial *t, hem__form form, size_t tower, hem__loss loss, uint64_t seed) {
  memset(t, 0, sizeof *t);
  hem__metric shape = {.form = form, .dim = DIM, .tower = tower, .hidden = form == HEM__HEAD ? HIDDEN : 0};
  ck_ok(hem__model_new(&shape, &t->model, err));
  for (size_t i = 0; i < t->model.count; i++) t->model.weights[i] = 0.4F * hem__test_normal(&seed);
  for (size_t i = 0; i < t->model.width; i++) t->model.scale[i] = 0.5F + hem__test_uniform(&seed);
  for (size_t i = 0; i < PHOTOS * DIM; i++) t->inputs[i] = hem__test_normal(&seed);
  for (size_t i = 0; i < PAIRS; i++) {
    t->a[i] = (uint32_t)(hem__test_random(&seed) % 4);
    t->b[i] = (uint32_t)(4 + hem__test_random(&seed) % 5);
    t->target[i] = hem__test_uniform(&seed) < 0.4F;
  }
  t->batch = (hem__batch){
      .inputs = t->inputs, .a = t->a, .b = t->b, .target = t->target, .count = PAIRS, .loss = loss, .block = BLOCK};
}

/* ---- the definition ---- */

static void point_of(const hem__model *m, const double *w, const float *input, double *out) {
  if (!m->tower) {
    for (size_t d = 0; d < m->dim; d++) out[d] = (double)input[d];
    return;
  }
  const double *t = w + (m->tower_weights - m->weights), *c = w + (m->tower_bias - m->weights);
  double square = 0;
  for (size_t j = 0; j < m->tower; j++) {
    out[j] = c[j];
    for (size_t d = 0; d < m->dim; d++) out[j] += t[j * m->dim + d] * (double)input[d];
    square += out[j] * out[j];
  }
  for (size_t j = 0; j < m->tower; j++) out[j] /= sqrt(square);
}

static double score_of(const hem__model *m, const double *w, const float *a, const float *b) {
  double pa[DIM], pb[DIM], x[DIM], s = w[m->b2 - m->weights];
  const double *w1 = w + (m->w1 - m->weights), *w2 = w + (m->w2 - m->weights), *b1 = w + (m->b1 - m->weights);
  point_of(m, w, a, pa);
  point_of(m, w, b, pb);
  for (size_t d = 0; d < m->width; d++) x[d] = (double)m->scale[d] * fabs(pa[d] - pb[d]);
  for (size_t h = 0; h < m->hidden; h++) {
    double unit = b1[h];
    for (size_t d = 0; d < m->width; d++) unit += w1[h * m->width + d] * x[d];
    s += w2[h] * fmax(unit, 0);
  }
  for (size_t d = 0; !m->hidden && d < m->width; d++) s += w2[d] * (m->form == HEM__WEIGHTED_L2 ? x[d] * x[d] : x[d]);
  return s;
}

static double triplet_of(const hem__batch *batch, const double *s) {
  double loss = 0;
  for (size_t row = 0; row < batch->count; row += batch->block) {
    double right = INFINITY, wrong = -INFINITY;
    for (size_t i = row; i < row + batch->block; i++) {
      if (batch->target[i] > 0) right = fmin(right, s[i]);
      if (!(batch->target[i] > 0)) wrong = fmax(wrong, s[i]);
    }
    if (isfinite(right) && isfinite(wrong)) loss += log1p(exp(wrong - right));
  }
  return loss / (double)(batch->count / batch->block);
}

static double loss_of(const trial *t, const double *w) {
  double s[PAIRS], loss = 0;
  for (size_t i = 0; i < PAIRS; i++)
    s[i] = score_of(&t->model, w, t->inputs + t->a[i] * DIM, t->inputs + t->b[i] * DIM);
  if (t->batch.loss == HEM__TRIPLET) return triplet_of(&t->batch, s);
  for (size_t i = 0; i < PAIRS; i++) loss += log(1 + exp(s[i])) - (double)t->target[i] * s[i];
  return loss / PAIRS;
}

static void check_gradient(hem__form form, size_t tower, hem__loss loss, uint64_t seed) {
  trial t;
  hem__model_work *work = NULL;
  fill(&t, form, tower, loss, seed);
  size_t count = t.model.count;
  float gradient[512];
  double w[512] = {0}, largest = 0;
  ck_assert_uint_le(count, 512);
  ck_ok(hem__model_work_new(&t.model, PAIRS, PHOTOS, &work, err));
  double got = hem__model_learn(&t.model, work, &t.batch, gradient);
  for (size_t i = 0; i < count; i++) w[i] = (double)t.model.weights[i];
  ck_assert_double_eq_tol(got, loss_of(&t, w), 1e-5);
  for (size_t i = 0; i < count; i++) {
    double here = w[i], step = 1e-6;
    w[i] = here + step;
    double up = loss_of(&t, w);
    w[i] = here - step;
    double slope = (up - loss_of(&t, w)) / (2 * step);
    w[i] = here;
    largest = fmax(largest, fabs(slope));
    ck_assert_msg(fabs(slope - (double)gradient[i]) < 2e-6 + 2e-5 * fabs(slope),
                  "form %d, tower %zu, loss %d, weight %zu: %.9g instead of %.9g", form, tower, loss, i,
                  (double)gradient[i], slope);
  }
  ck_assert_double_gt(largest, 0.01); /* a loss that does not move would agree with anything */
  hem__model_work_free(work);
  hem__model_clear(&t.model);
}

START_TEST(gradients_are_those_of_finite_differences) {
  for (uint64_t seed = 1; seed <= 8; seed++)
    for (size_t tower = 0; tower <= TOWER; tower += TOWER) {
      check_gradient(HEM__HEAD, tower, HEM__BCE, seed);
      check_gradient(HEM__HEAD, tower, HEM__TRIPLET, seed);
      check_gradient(HEM__WEIGHTED_L1, tower, HEM__BCE, seed);
      check_gradient(HEM__WEIGHTED_L1, tower, HEM__TRIPLET, seed);
      check_gradient(HEM__WEIGHTED_L2, tower, HEM__BCE, seed);
    }
}
END_TEST

/* ---- scores, batches, dropout ---- */

START_TEST(scores_are_those_of_the_definition) {
  for (size_t tower = 0; tower <= TOWER; tower += TOWER) {
    trial t;
    hem__model_work *work = NULL;
    float points[PHOTOS * DIM], scores[PAIRS];
    double w[512] = {0};
    fill(&t, HEM__HEAD, tower, HEM__BCE, 5);
    for (size_t i = 0; i < t.model.count; i++) w[i] = (double)t.model.weights[i];
    ck_ok(hem__model_work_new(&t.model, 5, PHOTOS, &work, err)); /* not as many pairs as are scored */
    hem__model_project(&t.model, t.inputs, PHOTOS, points);
    hem__model_score(&t.model, work, points, t.a, t.b, PAIRS, scores);
    for (size_t i = 0; i < PAIRS; i++)
      ck_assert_double_eq_tol((double)scores[i],
                              score_of(&t.model, w, t.inputs + t.a[i] * DIM, t.inputs + t.b[i] * DIM), 1e-5);
    hem__model_work_free(work);
    hem__model_clear(&t.model);
  }
}
END_TEST

START_TEST(a_batch_leaves_nothing_behind_for_the_next) {
  trial t;
  hem__model_work *work = NULL;
  float first[512], again[512];
  fill(&t, HEM__HEAD, TOWER, HEM__BCE, 6);
  ck_ok(hem__model_work_new(&t.model, PAIRS, PHOTOS, &work, err));
  hem__model_learn(&t.model, work, &t.batch, first);
  hem__batch other = t.batch;
  other.count = 5;
  other.a = t.b, other.b = t.a;
  hem__model_learn(&t.model, work, &other, again);
  hem__model_learn(&t.model, work, &t.batch, again);
  ck_assert_mem_eq(first, again, t.model.count * sizeof *first);
  hem__model_work_free(work);
  hem__model_clear(&t.model);
}
END_TEST

static double sum_of(const float *units) {
  double sum = 0;
  for (size_t h = 0; h < HIDDEN; h++) sum += (double)units[h];
  return sum;
}

/* The mean over many draws of what dropout leaves is what there is without: units that stay count for those that go.
 * Small outputs make the loss linear in the score. */
START_TEST(dropout_leaves_the_mean_as_it_was_and_the_same_noise_is_the_same_bits) {
  trial t;
  hem__model_work *work = NULL;
  float gradient[512], again[512], plain[512];
  double mean = 0;
  fill(&t, HEM__HEAD, 0, HEM__BCE, 7);
  ck_ok(hem__model_work_new(&t.model, PAIRS, PHOTOS, &work, err));
  for (size_t i = 0; i < PAIRS; i++) t.target[i] = 1;
  for (size_t h = 0; h < HIDDEN; h++) t.model.w2[h] = 1e-3F;
  hem__model_learn(&t.model, work, &t.batch, plain);
  t.batch.dropout = 0.5;
  for (uint64_t i = 0; i < 4000; i++) {
    t.batch.noise = i * 1000;
    hem__model_learn(&t.model, work, &t.batch, gradient);
    mean += sum_of(gradient + (t.model.w2 - t.model.weights)) / 4000;
  }
  double want = sum_of(plain + (t.model.w2 - t.model.weights));
  ck_assert_double_eq_tol(mean / want, 1, 0.02);
  hem__model_learn(&t.model, work, &t.batch, again);
  ck_assert_mem_eq(gradient, again, t.model.count * sizeof *again);
  t.batch.noise++;
  hem__model_learn(&t.model, work, &t.batch, again);
  ck_assert(memcmp(gradient, again, t.model.count * sizeof *again) != 0);
  hem__model_work_free(work);
  hem__model_clear(&t.model);
}
END_TEST

/* ---- optimisers ---- */

/* The formulas of the papers, in double. */
static void step_of(hem__optimiser_kind kind, double *w, double g, double *mean, double *square, double t, double rate,
                    double decay) {
  if (kind == HEM__RMSPROP) {
    *square = 0.9 * *square + 0.1 * g * g;
    *w = *w * (1 - rate * decay) - rate * g / (sqrt(*square) + 1e-7);
    return;
  }
  *mean = 0.9 * *mean + 0.1 * g;
  *square = 0.999 * *square + 0.001 * g * g;
  double m = *mean / (1 - pow(0.9, t)), s = *square / (1 - pow(0.999, t));
  *w = *w * (1 - rate * decay) - rate * m / (sqrt(s) + 1e-8);
}

START_TEST(optimisers_step_as_in_the_papers) {
  enum { COUNT = 40000, DECAYED = 20001, STEPS = 7 };
  static float w[COUNT], g[COUNT];
  static double exact[COUNT], mean[COUNT], square[COUNT];
  for (int kind = 0; kind < 2; kind++) {
    hem__optimiser o = {.kind = (hem__optimiser_kind)kind, .rate = 0.01, .decay = 0.1};
    uint64_t state = 8;
    ck_ok(hem__optimiser_init(&o, COUNT, err));
    for (size_t i = 0; i < COUNT; i++) {
      exact[i] = (double)(w[i] = hem__test_normal(&state));
      mean[i] = square[i] = 0;
    }
    for (int t = 1; t <= STEPS; t++) {
      for (size_t i = 0; i < COUNT; i++) g[i] = hem__test_normal(&state);
      hem__optimiser_step(&o, w, g, DECAYED, 0.5);
      for (size_t i = 0; i < COUNT; i++)
        step_of(o.kind, &exact[i], (double)g[i], &mean[i], &square[i], t, 0.005, i < DECAYED ? 0.1 : 0);
    }
    for (size_t i = 0; i < COUNT; i++) ck_assert_double_eq_tol((double)w[i], exact[i], 3e-6);
    hem__optimiser_clear(&o);
  }
}
END_TEST

HEM_TESTS("model", gradients_are_those_of_finite_differences, scores_are_those_of_the_definition,
          a_batch_leaves_nothing_behind_for_the_next,
          dropout_leaves_the_mean_as_it_was_and_the_same_noise_is_the_same_bits, optimisers_step_as_in_the_papers)
