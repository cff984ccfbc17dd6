/* t-SNE against its definition: entropies, the gradient of KL(P || Q), the quadtree, and what it is for. */
#include "bench/tsne.h"

#include <math.h>
#include <string.h>

#include "support/make_catalog.h"

enum { DIM = 8 };

/* `count` points around `clusters` centres that lie 10 standard deviations and more apart. */
static float *blobs(size_t count, size_t clusters) {
  uint64_t state = 7;
  float *at = malloc(count * DIM * sizeof *at);
  ck_assert_ptr_nonnull(at);
  for (size_t i = 0; i < count; i++)
    for (size_t d = 0; d < DIM; d++) at[i * DIM + d] = hem__test_normal(&state) + (d == i % clusters ? 12.0F : 0);
  return at;
}

static hem__matrix matrix(const float *at, size_t count) { return (hem__matrix){.at = at, .rows = count, .dim = DIM}; }

START_TEST(each_row_has_the_perplexity_that_was_asked_for) {
  enum { COUNT = 500 };
  static const double wanted[] = {2, 5, 30, 100};
  uint64_t state = 1;
  float squared[COUNT];
  double p[COUNT];
  for (size_t w = 0; w < 4; w++)
    for (int scale = -6; scale <= 6; scale += 3) {
      for (size_t i = 0; i < COUNT; i++) squared[i] = hem__test_uniform(&state) * powf(10, (float)scale);
      double beta = hem__perplexity_row(squared, COUNT, wanted[w], p), sum = 0, bits = 0;
      for (size_t i = 0; i < COUNT; i++) {
        sum += p[i];
        if (p[i] > 0) bits -= p[i] * log2(p[i]);
      }
      ck_assert_double_eq_tol(sum, 1, 1e-12);
      ck_assert_double_eq_tol(bits, log2(wanted[w]), 1e-4);
      size_t nearest = 0;
      for (size_t i = 0; i < COUNT; i++)
        if (squared[i] < squared[nearest]) nearest = i;
      for (size_t i = 0; i < COUNT; i++) /* it is a Gaussian */
        if (p[i] > 1e-12)
          ck_assert_double_eq_tol(log(p[i] / p[nearest]), -beta * ((double)squared[i] - (double)squared[nearest]),
                                  1e-9);
    }
}
END_TEST

START_TEST(equal_distances_share_equally) {
  float squared[4] = {3, 3, 3, 3};
  double p[4];
  hem__perplexity_row(squared, 4, 2, p);
  for (size_t i = 0; i < 4; i++) ck_assert_double_eq_tol(p[i], 0.25, 1e-12);
}
END_TEST

START_TEST(affinities_are_symmetric_and_sum_to_one) {
  enum { COUNT = 200 };
  float *at = blobs(COUNT, 4);
  hem__affinities a = {0};
  hem__tsne_options o = {.perplexity = 10, .threads = 2};
  ck_ok(hem__affinities_new(matrix(at, COUNT), 30, &o, &a, err));
  double sum = 0;
  for (size_t i = 0; i < COUNT; i++)
    for (size_t e = a.start[i]; e < a.start[i + 1]; e++) {
      size_t j = a.column[e], back = a.start[j];
      sum += a.p[e];
      ck_assert_uint_ne(i, j);
      ck_assert(e == a.start[i] || a.column[e - 1] < a.column[e]);
      while (back < a.start[j + 1] && a.column[back] != i) back++;
      ck_assert_uint_lt(back, a.start[j + 1]);
      ck_assert_double_eq(a.p[e], a.p[back]);
    }
  ck_assert_double_eq_tol(sum, 1, 1e-9);
  hem__affinities_clear(&a);
  free(at);
}
END_TEST

static void scatter(uint64_t seed, size_t count, double width, hem__place *out) {
  for (size_t i = 0; i < count; i++)
    out[i] = (hem__place){width * (double)hem__test_normal(&seed), width * (double)hem__test_normal(&seed)};
}

static double divergence_at(const hem__affinities *p, const hem__place *at) {
  enum { MOST = 64 };
  hem__forces room = {0};
  hem__place gradient[MOST];
  double divergence = NAN;
  hem__forces_order order = {.p = p, .at = at, .exaggeration = 1, .exact = true, .threads = 1};
  ck_ok(hem__forces_gradient(&room, &order, gradient, &divergence, err));
  hem__forces_clear(&room);
  return divergence;
}

START_TEST(the_gradient_is_that_of_the_divergence) {
  enum { COUNT = 40 };
  float *points = blobs(COUNT, 3);
  hem__affinities p = {0};
  hem__forces room = {0};
  hem__place at[COUNT], gradient[COUNT];
  hem__tsne_options o = {.perplexity = 8};
  ck_ok(hem__affinities_new(matrix(points, COUNT), COUNT - 1, &o, &p, err));
  scatter(3, COUNT, 2, at);
  hem__forces_order order = {.p = &p, .at = at, .exaggeration = 1, .exact = true, .threads = 1};
  ck_ok(hem__forces_gradient(&room, &order, gradient, NULL, err));
  for (size_t i = 0; i < COUNT; i++)
    for (int y = 0; y < 2; y++) {
      double *moved = y ? &at[i].y : &at[i].x, kept = *moved, step = 1e-5;
      *moved = kept + step;
      double above = divergence_at(&p, at);
      *moved = kept - step;
      double below = divergence_at(&p, at);
      *moved = kept;
      ck_assert_double_eq_tol((above - below) / (2 * step), y ? gradient[i].y : gradient[i].x, 1e-7);
    }
  hem__forces_clear(&room);
  hem__affinities_clear(&p);
  free(points);
}
END_TEST

/* Relative error of the whole gradient, the quadtree's against all pairs. */
static double tree_error(double theta, hem__place *at, size_t count, const hem__affinities *p) {
  hem__forces room = {0};
  hem__place *exact = calloc(count, sizeof *exact), *tree = calloc(count, sizeof *tree);
  hem__forces_order order = {.p = p, .at = at, .exaggeration = 1, .theta = theta, .exact = true, .threads = 2};
  double off = 0, size = 0;
  ck_ok(hem__forces_gradient(&room, &order, exact, NULL, err));
  order.exact = false;
  ck_ok(hem__forces_gradient(&room, &order, tree, NULL, err));
  for (size_t i = 0; i < count; i++) {
    off += pow(exact[i].x - tree[i].x, 2) + pow(exact[i].y - tree[i].y, 2);
    size += pow(exact[i].x, 2) + pow(exact[i].y, 2);
  }
  hem__forces_clear(&room);
  free(exact);
  free(tree);
  return sqrt(off / size);
}

START_TEST(the_quadtree_comes_close_and_the_closer_the_smaller_theta) {
  enum { COUNT = 1500 };
  float *points = blobs(COUNT, 5);
  hem__affinities p = {0};
  static hem__place at[COUNT];
  hem__tsne_options o = {.perplexity = 20};
  ck_ok(hem__affinities_new(matrix(points, COUNT), 60, &o, &p, err));
  scatter(9, COUNT, 15, at);
  at[7] = at[8] = at[9]; /* three in one place */
  ck_assert_double_lt(tree_error(0.5, at, COUNT, &p), 0.05);
  ck_assert_double_lt(tree_error(0.2, at, COUNT, &p), 0.01);
  ck_assert_double_lt(tree_error(1e-9, at, COUNT, &p), 1e-9);
  hem__affinities_clear(&p);
  free(points);
}
END_TEST

/* The share of points whose nearest neighbour on paper is of their cluster. */
static double purity(const hem__place *at, size_t count, size_t clusters) {
  size_t pure = 0;
  for (size_t i = 0; i < count; i++) {
    size_t best = i ? 0 : 1;
    for (size_t j = 0; j < count; j++)
      if (j != i && hypot(at[i].x - at[j].x, at[i].y - at[j].y) < hypot(at[i].x - at[best].x, at[i].y - at[best].y))
        best = j;
    pure += best % clusters == i % clusters;
  }
  return (double)pure / (double)count;
}

START_TEST(clusters_stay_apart_whatever_the_threads) {
  enum { COUNT = 600, CLUSTERS = 6 };
  float *points = blobs(COUNT, CLUSTERS);
  static hem__place one[COUNT], three[COUNT], exact[COUNT];
  double divergence, exact_divergence;
  hem__tsne_options o = {.threads = 1, .iterations = 400, .seed = 5};
  ck_ok(hem__tsne(matrix(points, COUNT), &o, one, &divergence, err));
  o.threads = 3;
  ck_ok(hem__tsne(matrix(points, COUNT), &o, three, NULL, err));
  ck_assert_mem_eq(one, three, sizeof one);
  ck_assert_double_gt(purity(one, COUNT, CLUSTERS), 0.99);
  o.exact = true;
  ck_ok(hem__tsne(matrix(points, COUNT), &o, exact, &exact_divergence, err));
  ck_assert_double_gt(purity(exact, COUNT, CLUSTERS), 0.99);
  ck_assert_double_eq_tol(divergence, exact_divergence, 0.15);
  ck_assert_double_lt(exact_divergence, 1.5); /* at the start it is about 3 */
  free(points);
}
END_TEST

START_TEST(equal_points_do_no_harm) {
  enum { COUNT = 100 };
  float *points = calloc(COUNT * DIM, sizeof *points);
  static hem__place at[COUNT];
  hem__tsne_options o = {.iterations = 300, .perplexity = 10};
  ck_ok(hem__tsne(matrix(points, COUNT), &o, at, NULL, err));
  for (size_t i = 0; i < COUNT; i++) ck_assert(isfinite(at[i].x) && isfinite(at[i].y));
  free(points);
}
END_TEST

static bool stop(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)stage, (void)done, (void)total, (void)unit;
  return --*(int *)context > 0;
}

START_TEST(what_cannot_be_is_refused) {
  enum { COUNT = 100 };
  float *points = blobs(COUNT, 2);
  static hem__place at[HEM__TSNE_EXACT_MAX + 1];
  int reports = 4;
  hem__tsne_options o = {.perplexity = 33};
  ck_fails(hem__tsne(matrix(points, 99), &o, at, NULL, err), HEM_EINVAL, "too few");
  o = (hem__tsne_options){.theta = 0.8};
  ck_fails(hem__tsne(matrix(points, COUNT), &o, at, NULL, err), HEM_EINVAL, "theta");
  o = (hem__tsne_options){.exact = true};
  ck_fails(hem__tsne(matrix(points, HEM__TSNE_EXACT_MAX + 1), &o, at, NULL, err), HEM_EINVAL, "at most 5000");
  o = (hem__tsne_options){.progress = {stop, &reports}};
  ck_fails(hem__tsne(matrix(points, COUNT), &o, at, NULL, err), HEM_ECANCELED, "");
  free(points);
}
END_TEST

HEM_TESTS("tsne", each_row_has_the_perplexity_that_was_asked_for, equal_distances_share_equally,
          affinities_are_symmetric_and_sum_to_one, the_gradient_is_that_of_the_divergence,
          the_quadtree_comes_close_and_the_closer_the_smaller_theta, clusters_stay_apart_whatever_the_threads,
          equal_points_do_no_harm, what_cannot_be_is_refused)
