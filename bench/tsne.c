/* MAIN PATH of t-SNE: affinities -> a start on the first two principal components, which keeps what is far apart far
 * (Kobak and Berens 2019) -> gradient descent with momentum and gains, at first with P exaggerated, by a step that
 * grows with the points (Belkina et al. 2019; their gradient lacks the 4). */
#include "bench/tsne.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "metric/blas.h"

enum { ITERATIONS = 1000, EARLY = 250, ROUNDS = 30, REPORT_EVERY = 10 };
static const double perplexity = 30, theta = 0.5, theta_max = 0.7, exaggeration = 12, step_least = 50;

typedef struct descent {
  hem__tsne_options options;
  hem__matrix points; /* centred copy */
  float *centred;
  hem__affinities p;
  hem__forces forces;
  hem__place *at, *gradient, *speed, *gain;
} descent;

/* ---- the start ---- */

static uint64_t random_bits(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15U;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
  z = (z ^ z >> 27) * 0x94D049BB133111EBU;
  return z ^ z >> 31;
}

static double random_part(uint64_t *state) { return (double)(random_bits(state) >> 11) * 0x1p-53 - 0.5; }

static void centre(hem__matrix points, float *out) {
  for (size_t d = 0; d < points.dim; d++) {
    double sum = 0;
    for (size_t i = 0; i < points.rows; i++) sum += (double)points.at[i * points.dim + d];
    float mean = (float)(sum / (double)points.rows);
    for (size_t i = 0; i < points.rows; i++) out[i * points.dim + d] = points.at[i * points.dim + d] - mean;
  }
}

/* Two directions, at right angles and of length 1 (Gram and Schmidt). */
static void straighten(float *axes, size_t dim) {
  for (size_t a = 0; a < 2; a++) {
    float *axis = axes + a * dim;
    double along = 0, size = 0;
    for (size_t d = 0; a && d < dim; d++) along += (double)axis[d] * (double)axes[d];
    for (size_t d = 0; d < dim; d++) {
      if (a) axis[d] -= (float)along * axes[d];
      size += (double)axis[d] * (double)axis[d];
    }
    for (size_t d = 0; d < dim && size > 0; d++) axis[d] = (float)((double)axis[d] / sqrt(size));
  }
}

/* The first two principal components by power iteration: nearly is good enough for a start. */
static hem_status components(const descent *t, float **out, hem_error *err) {
  size_t n = t->points.rows, dim = t->points.dim;
  uint64_t state = t->options.seed;
  float *axes = NULL, *scores = NULL;
  hem_status status = hem__alloc(2 * dim, sizeof *axes, "components", &axes, err);
  if (!status) status = hem__alloc(2 * n, sizeof *scores, "components", &scores, err);
  if (status) goto exit;
  for (size_t i = 0; i < 2 * dim; i++) axes[i] = (float)random_part(&state);
  int held = hem__omp_hold(); /* so that the cores change no bit */
  for (size_t round = 0; round < ROUNDS; round++) {
    straighten(axes, dim);
    hem__gemm(false, true, n, 2, dim, 1, t->points.at, axes, 0, scores, 2);
    hem__gemm(true, false, 2, dim, n, 1, scores, t->points.at, 0, axes, dim);
  }
  hem__omp_release(held);
  *out = scores;
  scores = NULL;
exit:
  free(axes);
  free(scores);
  return status;
}

/* Scaled to a standard deviation of 0.0001, where every point still feels every other; equal points are told apart by a
 * hundredth of that. */
static hem_status start(descent *t, hem_error *err) {
  float *scores = NULL;
  double squares = 0;
  uint64_t state = ~t->options.seed;
  hem_status status = components(t, &scores, err);
  if (status) return status;
  for (size_t i = 0; i < t->points.rows; i++) squares += (double)scores[2 * i] * (double)scores[2 * i];
  double scale = squares > 0 ? 1e-4 / sqrt(squares / (double)t->points.rows) : 0;
  for (size_t i = 0; i < t->points.rows; i++) {
    t->at[i].x = scale * (double)scores[2 * i] + 1e-6 * random_part(&state);
    t->at[i].y = scale * (double)scores[2 * i + 1] + 1e-6 * random_part(&state);
    t->gain[i] = (hem__place){1, 1};
  }
  free(scores);
  return HEM_OK;
}

/* ---- the descent ---- */

/* A gain grows while the gradient keeps pointing the same way (Jacobs 1988). */
static void move(double *at, double *speed, double *gain, double gradient, double step, double momentum) {
  *gain = fmax((gradient > 0) == (*speed > 0) ? *gain * 0.8 : *gain + 0.2, 0.01);
  *speed = momentum * *speed - step * *gain * gradient;
  *at += *speed;
}

static void move_all(descent *t, double step, double momentum) {
  size_t n = t->points.rows;
  hem__place middle = {0};
  for (size_t i = 0; i < n; i++) {
    move(&t->at[i].x, &t->speed[i].x, &t->gain[i].x, t->gradient[i].x, step, momentum);
    move(&t->at[i].y, &t->speed[i].y, &t->gain[i].y, t->gradient[i].y, step, momentum);
    middle.x += t->at[i].x / (double)n;
    middle.y += t->at[i].y / (double)n;
  }
  for (size_t i = 0; i < n; i++) {
    t->at[i].x -= middle.x;
    t->at[i].y -= middle.y;
  }
}

static hem_status descend(descent *t, double *divergence, hem_error *err) {
  const hem__tsne_options *o = &t->options;
  size_t all = o->iterations, early_end = hem__min(EARLY, all / 4);
  double step = fmax((double)t->points.rows / exaggeration / 4, step_least);
  hem__forces_order order = {.p = &t->p, .at = t->at, .theta = o->theta, .exact = o->exact, .threads = o->threads};
  hem_status status = HEM_OK;
  for (size_t i = 0; i < all && !status; i++) {
    bool early = i < early_end;
    order.exaggeration = early ? exaggeration : 1;
    status = hem__forces_gradient(&t->forces, &order, t->gradient, NULL, err);
    if (!status) move_all(t, step, early ? 0.5 : 0.8);
    if (!status && ((i + 1) % REPORT_EVERY == 0 || i + 1 == all))
      status = hem__progress_report(&o->progress, "t-SNE", i + 1, all, "steps", err);
  }
  order.exaggeration = 1;
  if (!status && divergence) status = hem__forces_gradient(&t->forces, &order, t->gradient, divergence, err);
  return status;
}

/* ---- the run ---- */

static hem_status check(hem__tsne_options *o, hem__matrix points, hem_error *err) {
  if (o->perplexity == 0) o->perplexity = perplexity;
  if (o->theta == 0) o->theta = theta;
  if (o->iterations == 0) o->iterations = ITERATIONS;
  if (!(o->perplexity >= 1) || 3 * o->perplexity + 1 > (double)points.rows)
    return hem__fail(err, HEM_EINVAL,
                     "%zu points are too few for a perplexity of %g: it takes more than 3 times as many", points.rows,
                     o->perplexity);
  if (!(o->theta > 0 && o->theta <= theta_max))
    return hem__fail(err, HEM_EINVAL, "theta is over 0 and at most %g, not %g", theta_max, o->theta);
  if (o->exact && points.rows > HEM__TSNE_EXACT_MAX)
    return hem__fail(err, HEM_EINVAL, "the exact form takes at most %d points, not %zu", HEM__TSNE_EXACT_MAX,
                     points.rows);
  return HEM_OK;
}

static hem_status descent_new(descent *t, hem__matrix points, hem_error *err) {
  size_t values, n = points.rows;
  if (!hem__mul(n, points.dim, &values)) return hem__fail(err, HEM_ENOMEM, "too many points for t-SNE");
  hem_status status = hem__alloc(values, sizeof *t->centred, "points", &t->centred, err);
  if (!status) status = hem__alloc(n, sizeof *t->at, "points", &t->at, err);
  if (!status) status = hem__alloc(n, sizeof *t->gradient, "points", &t->gradient, err);
  if (!status) status = hem__alloc(n, sizeof *t->speed, "points", &t->speed, err);
  if (!status) status = hem__alloc(n, sizeof *t->gain, "points", &t->gain, err);
  if (status) return status;
  centre(points, t->centred);
  t->points = (hem__matrix){.at = t->centred, .rows = n, .dim = points.dim};
  return HEM_OK;
}

hem_status hem__tsne(hem__matrix points, const hem__tsne_options *options, hem__place *out, double *divergence,
                     hem_error *err) {
  descent t = {.options = *options};
  hem_status status = check(&t.options, points, err);
  if (!status) status = descent_new(&t, points, err);
  size_t neighbours = t.options.exact ? points.rows - 1 : (size_t)(3 * t.options.perplexity);
  if (!status) status = hem__affinities_new(t.points, neighbours, &t.options, &t.p, err);
  if (!status) status = start(&t, err);
  if (!status) status = descend(&t, divergence, err);
  if (!status) memcpy(out, t.at, points.rows * sizeof *out);
  hem__affinities_clear(&t.p);
  hem__forces_clear(&t.forces);
  free(t.centred);
  free(t.at);
  free(t.gradient);
  free(t.speed);
  free(t.gain);
  return status;
}
