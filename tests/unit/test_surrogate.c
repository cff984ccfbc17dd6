/* The plain distance nearest to a metric; and the least squares that find it, against brute force. */
#include "metric/surrogate.h"

#include <math.h>
#include <string.h>

#include "metric/distance.h"
#include "metric/nnls.h"
#include "support/make_metric.h"
#include "test.h"

/* ---- least squares ---- */

enum { GROUPS = 40, STRIDE = 12, WIDTH = 9 };

typedef struct rows {
  float x[GROUPS * STRIDE * WIDTH], y[GROUPS * STRIDE];
  uint32_t counts[GROUPS];
  hem__grouped view;
} rows;

/* y = truth . x + an intercept of the group's own + noise */
static void make_rows(rows *r, const float *truth, float noise, uint64_t *random) {
  for (size_t g = 0; g < GROUPS; g++) {
    float intercept = 10 * hem__test_normal(random);
    r->counts[g] = (uint32_t)(hem__test_random(random) % (STRIDE + 1));
    for (size_t i = g * STRIDE; i < (g + 1) * STRIDE; i++) {
      r->y[i] = intercept + noise * hem__test_normal(random);
      for (size_t d = 0; d < WIDTH; d++) {
        r->x[i * WIDTH + d] = fabsf(hem__test_normal(random)) + 3; /* a common part, as distances have */
        r->y[i] += truth[d] * r->x[i * WIDTH + d];
      }
      if (i - g * STRIDE >= r->counts[g]) r->y[i] = NAN; /* not to be looked at */
    }
  }
  r->view = (hem__grouped){r->x, r->y, r->counts, GROUPS, STRIDE, WIDTH, 1};
}

START_TEST(known_weights_are_recovered) {
  static rows r;
  static const float truth[WIDTH] = {1, 0, 2, 0.5F, 0, 3, 1, 0.25F, 0};
  float weights[WIDTH], again[WIDTH];
  uint64_t random = 1;
  make_rows(&r, truth, 0, &random);
  ck_ok(hem__nnls(&r.view, 0, weights, err));
  for (size_t d = 0; d < WIDTH; d++) ck_assert_double_eq_tol((double)weights[d], (double)truth[d], 1e-2);
  random = 1;
  make_rows(&r, truth, 0, &random);
  r.view.threads = 3;
  ck_ok(hem__nnls(&r.view, 0, again, err));
  ck_assert_mem_eq(weights, again, sizeof weights);
}
END_TEST

static double objective(const rows *r, const double *w, double ridge, double plain) {
  double sum = 0;
  for (size_t g = 0; g < GROUPS; g++) {
    double e[STRIDE], mean = 0;
    for (size_t i = 0; i < r->counts[g]; i++) {
      e[i] = -(double)r->y[g * STRIDE + i];
      for (size_t d = 0; d < WIDTH; d++) e[i] += w[d] * (double)r->x[(g * STRIDE + i) * WIDTH + d];
      mean += e[i] / r->counts[g];
    }
    for (size_t i = 0; i < r->counts[g]; i++) sum += (e[i] - mean) * (e[i] - mean);
  }
  for (size_t d = 0; d < WIDTH; d++) sum += ridge * (w[d] - plain) * (w[d] - plain);
  return sum;
}

/* Where the truth has negative weights: no neighbour that is allowed is lower. */
START_TEST(the_weights_are_a_minimum) {
  static rows r, fitted; /* the fit overwrites its rows */
  static const float truth[WIDTH] = {1, -1, 2, 0.5F, -2, 3, 1, 0.25F, 0};
  float weights[WIDTH];
  double w[WIDTH];
  uint64_t random = 2;
  make_rows(&r, truth, 0.5F, &random);
  memcpy(&fitted, &r, sizeof r);
  fitted.view.x = fitted.x;
  fitted.view.y = fitted.y;
  fitted.view.counts = fitted.counts;
  ck_ok(hem__nnls(&fitted.view, 0, weights, err));
  for (size_t d = 0; d < WIDTH; d++) w[d] = (double)weights[d];
  ck_assert(w[1] == 0 && w[4] == 0);
  double at = objective(&r, w, 0, 0);
  for (size_t d = 0; d < WIDTH; d++)
    for (int sign = -1; sign <= 1; sign += 2) {
      double before = w[d];
      w[d] = fmax(before + sign * 0.02, 0);
      if (w[d] != before) ck_assert_double_gt(objective(&r, w, 0, 0), at);
      w[d] = before;
    }
}
END_TEST

START_TEST(a_strong_ridge_makes_all_weights_the_same) {
  static rows r;
  static const float truth[WIDTH] = {1, 0, 2, 0.5F, 0, 3, 1, 0.25F, 0}, negative[WIDTH] = {-1, -1, -1, -1};
  float weights[WIDTH];
  uint64_t random = 3;
  make_rows(&r, truth, 0, &random);
  ck_ok(hem__nnls(&r.view, 1e6, weights, err));
  for (size_t d = 0; d < WIDTH; d++) {
    ck_assert(weights[d] > 0.3F);
    ck_assert_double_eq_tol((double)weights[d], (double)weights[0], 1e-3);
  }
  make_rows(&r, negative, 0, &random);
  ck_ok(hem__nnls(&r.view, 1e6, weights, err));
  for (size_t d = 0; d < WIDTH; d++) ck_assert_double_eq_tol((double)weights[d], 0, 1e-3);
  memset(r.counts, 0, sizeof r.counts);
  ck_ok(hem__nnls(&r.view, 1, weights, err));
  for (size_t d = 0; d < WIDTH; d++) ck_assert(weights[d] == 0);
}
END_TEST

/* ---- the surrogate ---- */

static const hem__test_world world = {.dim = 32,
                                      .signal = 8,
                                      .items = 700,
                                      .categories = 1,
                                      .consumers = 1,
                                      .shops = 1,
                                      .jitter = 0.2F,
                                      .noise = 1,
                                      .random = 5};

START_TEST(of_a_weighted_distance_it_is_the_metric) {
  hem__test_pairs pairs;
  uint64_t random = 6;
  hem__test_pairs_new(&world, &pairs);
  for (int squared = 0; squared < 2; squared++) {
    hem__form form = squared ? HEM__WEIGHTED_L2 : HEM__WEIGHTED_L1;
    hem__metric *m = hem__test_metric((hem__metric){.form = form, .dim = world.dim}, &random);
    ck_ok(hem__surrogate_fit(m, pairs.catalog, 0, &pairs.validation, err));
    ck_assert_int_eq(m->candidate_distance, squared ? HEM_L2 : HEM_L1);
    for (size_t d = 0; d < m->width; d++) {
      float scale = m->candidate_scale[d];
      ck_assert(fabsf((squared ? scale * scale : scale) + m->w2[d]) <= 1e-6F * fabsf(m->w2[d]));
    }
    hem__metric_free(m);
  }
  hem__test_pairs_clear(&pairs);
}
END_TEST

/* The share of the metric's best 20 that are among the nearest 100 by a scale: brute force. */
static double recall(const hem__metric *m, const hem__test_pairs *pairs, hem_distance distance, const float *scale) {
  enum { GALLERY = 700 };
  hem__matrix v = hem__catalog_matrix(pairs->catalog, 0);
  size_t found = 0, gallery = pairs->validation.gallery_count;
  ck_assert_uint_eq(gallery, GALLERY);
  for (size_t q = 0; q < pairs->validation.query_count; q += 7) {
    double scores[GALLERY], keys[GALLERY];
    for (size_t g = 0; g < gallery; g++) {
      const float *a = hem__row(v, pairs->queries[q]), *b = hem__row(v, pairs->gallery[g]);
      scores[g] = hem__metric_score(m, a, b);
      keys[g] = 0;
      for (size_t d = 0; d < v.dim; d++) {
        double x = (double)scale[d] * fabs((double)a[d] - (double)b[d]);
        keys[g] += distance == HEM_L2 ? x * x : x;
      }
    }
    for (size_t g = 0; g < gallery; g++) {
      size_t better = 0, nearer = 0;
      for (size_t o = 0; o < gallery; o++) {
        better += scores[o] > scores[g];
        nearer += keys[o] < keys[g];
      }
      found += better < 20 && nearer < 100;
    }
  }
  return (double)found / (20 * ((double)(pairs->validation.query_count + 6) / 7));
}

/* A head that looks at some dimensions only, through relus. */
static hem__metric *picky(uint64_t seed) {
  hem__metric *m = hem__test_metric((hem__metric){.form = HEM__HEAD, .dim = world.dim, .hidden = 12}, &seed);
  for (size_t h = 0; h < m->hidden; h++) {
    for (size_t d = 0; d < m->width; d++) {
      float *w = &m->w1[h * m->width + d];
      *w = d % 4 == 0 ? fabsf(*w) : 0.02F * *w;
    }
    m->b1[h] = -0.2F;
  }
  return m;
}

START_TEST(of_a_head_it_finds_better_candidates) {
  hem__test_pairs pairs;
  hem__test_pairs_new(&world, &pairs);
  hem__metric *m = picky(7);
  float ones[64];
  for (size_t d = 0; d < 64; d++) ones[d] = 1;
  ck_ok(hem__surrogate_fit(m, pairs.catalog, 0, &pairs.validation, err));
  double l2 = recall(m, &pairs, HEM_L2, ones), l1 = recall(m, &pairs, HEM_L1, ones);
  double fitted = recall(m, &pairs, m->candidate_distance, m->candidate_scale);
  ck_assert_msg(fitted > 0.97, "%s: %g", hem_distance_name(m->candidate_distance), fitted);
  ck_assert_msg(fitted > l2 + 0.2 && fitted > l1 + 0.2, "%g, plain %g and %g", fitted, l2, l1);
  for (size_t d = 0; d < m->width; d++) ck_assert(m->candidate_scale[d] >= 0 && isfinite(m->candidate_scale[d]));
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

/* Relus at 0, 0.5, 1 ... add up to about x^2, nine times as much in the even dimensions: weighted L2, scales 3 to 1. */
START_TEST(of_a_head_like_l2_it_is_weighted_l2) {
  enum { DIM = 12, KNEES = 10 };
  hem__test_world flat = world;
  hem__test_pairs pairs;
  hem__metric *m = NULL;
  flat.dim = flat.signal = DIM;
  flat.jitter = 0.7F;
  hem__test_pairs_new(&flat, &pairs);
  ck_ok(hem__metric_new(&(hem__metric){.form = HEM__HEAD, .dim = DIM, .hidden = DIM * KNEES}, &m, err));
  for (size_t h = 0; h < m->hidden; h++) {
    m->w1[h * DIM + h / KNEES] = 1;
    m->b1[h] = -0.5F * (float)(h % KNEES);
    m->w2[h] = (h / KNEES) % 2 ? -1 : -9;
  }
  ck_ok(hem__surrogate_fit(m, pairs.catalog, 0, &pairs.validation, err));
  ck_assert_int_eq(m->candidate_distance, HEM_L2);
  double even = 0, odd = 0;
  for (size_t d = 0; d < DIM; d++) *(d % 2 ? &odd : &even) += (double)m->candidate_scale[d];
  ck_assert_msg(even / odd > 2.2 && even / odd < 4, "scales %g to 1", even / odd);
  ck_assert_double_gt(recall(m, &pairs, HEM_L2, m->candidate_scale), 0.98);
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_surrogate) {
  hem__test_pairs pairs;
  hem__test_pairs_new(&world, &pairs);
  hem__metric *a = picky(8), *b = picky(8);
  ck_ok(hem__surrogate_fit(a, pairs.catalog, 0, &pairs.validation, err));
  pairs.validation.threads = 3;
  ck_ok(hem__surrogate_fit(b, pairs.catalog, 0, &pairs.validation, err));
  ck_assert_int_eq(a->candidate_distance, b->candidate_distance);
  ck_assert_mem_eq(a->candidate_scale, b->candidate_scale, a->width * sizeof(float));
  hem__metric_free(a);
  hem__metric_free(b);
  hem__test_pairs_clear(&pairs);
}
END_TEST

/* Dead relus: every score is the same, and any distance is as good. */
START_TEST(a_metric_that_says_nothing_has_a_surrogate) {
  hem__test_pairs pairs;
  hem__test_world small = world;
  small.items = 5;
  hem__test_pairs_new(&small, &pairs);
  hem__metric *m = picky(9);
  memset(m->w2, 0, m->hidden * sizeof *m->w2);
  ck_ok(hem__surrogate_fit(m, pairs.catalog, 0, &pairs.validation, err));
  ck_assert_int_eq(m->candidate_distance, HEM_L2);
  for (size_t d = 0; d < m->width; d++) ck_assert(m->candidate_scale[d] == 1);
  pairs.validation.query_count = 0;
  ck_fails(hem__surrogate_fit(m, pairs.catalog, 0, &pairs.validation, err), HEM_ENOTFOUND, "surrogate");
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

HEM_TESTS("surrogate", known_weights_are_recovered, the_weights_are_a_minimum,
          a_strong_ridge_makes_all_weights_the_same, of_a_weighted_distance_it_is_the_metric,
          of_a_head_it_finds_better_candidates, of_a_head_like_l2_it_is_weighted_l2,
          the_same_seed_gives_the_same_surrogate, a_metric_that_says_nothing_has_a_surrogate)
