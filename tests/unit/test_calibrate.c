/* Probabilities that come true, and a threshold that keeps its promise. */
#include "metric/calibrate.h"

#include <math.h>
#include <string.h>

#include "support/make_metric.h"
#include "test.h"

/* ---- Platt's sigmoid ---- */

static void draw_scores(hem__platt truth, float centre, float spread, float *scores, bool *right, size_t count,
                        uint64_t *random) {
  for (size_t i = 0; i < count; i++) {
    scores[i] = centre + spread * hem__test_normal(random);
    right[i] = (double)hem__test_uniform(random) < hem__probability(&truth, (double)scores[i]);
  }
}

START_TEST(a_known_sigmoid_is_recovered) {
  enum { COUNT = 100000 };
  static float scores[COUNT];
  static bool right[COUNT];
  static const struct {
    hem__platt truth;
    float centre, spread;
  } cases[] = {{{2, -1}, 0, 1}, {{0.5, 0}, 3, 4}, {{1e-3, 5}, -6000, 1500}, {{300, 2}, -0.01F, 0.01F}};
  uint64_t random = 9;
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    draw_scores(cases[c].truth, cases[c].centre, cases[c].spread, scores, right, COUNT, &random);
    hem__platt found = hem__platt_fit(scores, right, COUNT);
    ck_assert_double_eq_tol(found.slope / cases[c].truth.slope, 1, 0.03);
    for (double s = -2; s <= 2; s++) {
      double score = (double)cases[c].centre + s * (double)cases[c].spread;
      double wanted = hem__probability(&cases[c].truth, score), got = hem__probability(&found, score);
      ck_assert_double_eq_tol(got, wanted, 0.015);
    }
  }
}
END_TEST

static double loss(hem__platt p, const float *scores, const bool *right, size_t count, double good, double bad) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    double t = right[i] ? (good + 1) / (good + 2) : 1 / (bad + 2), q = hem__probability(&p, (double)scores[i]);
    sum -= t * log(q) + (1 - t) * log(1 - q);
  }
  return sum;
}

/* The fit is the minimum of the published loss: no neighbour is lower. */
START_TEST(the_fit_is_a_minimum) {
  enum { COUNT = 300 };
  float scores[COUNT];
  bool right[COUNT];
  uint64_t random = 10;
  double good = 0;
  draw_scores((hem__platt){1, -2}, 0, 1, scores, right, COUNT, &random);
  for (size_t i = 0; i < COUNT; i++) good += right[i];
  hem__platt p = hem__platt_fit(scores, right, COUNT);
  double at = loss(p, scores, right, COUNT, good, COUNT - good);
  for (int i = -1; i <= 1; i++)
    for (int j = -1; j <= 1; j++) {
      hem__platt near = {p.slope + i * 1e-3, p.offset + j * 1e-3};
      if (i || j) ck_assert_double_gt(loss(near, scores, right, COUNT, good, COUNT - good), at);
    }
}
END_TEST

START_TEST(what_can_be_split_stays_finite) {
  float scores[] = {1, 2, 3, 4}, same[] = {2, 2, 2, 2};
  bool none[4] = {0}, best[] = {0, 0, 1, 1}, worst[] = {1, 1, 0, 0};
  hem__platt p = hem__platt_fit(scores, best, 4);
  ck_assert(isfinite(p.slope) && p.slope > 0 && isfinite(p.offset));
  p = hem__platt_fit(scores, none, 4);
  ck_assert(isfinite(p.offset) && hem__probability(&p, 2) < 0.3);
  p = hem__platt_fit(same, best, 4);
  ck_assert_double_eq_tol(hem__probability(&p, 2), 0.5, 1e-6);
  p = hem__platt_fit(scores, worst, 4); /* a better score never means less */
  ck_assert(p.slope == 0);
  ck_assert_double_eq_tol(hem__probability(&p, 2), 0.5, 1e-6);
  p = hem__platt_fit(NULL, NULL, 0);
  ck_assert(p.slope == 0 && p.offset == 0);
}
END_TEST

/* ---- the threshold ---- */

START_TEST(the_threshold_is_the_conformal_quantile) {
  double wrong[19], few[3] = {0.5, 0.25, 0.75};
  for (size_t i = 0; i < 19; i++) wrong[i] = (double)((i * 7) % 19 + 1) / 20;
  double t = hem__conformal_threshold(wrong, 19, 0.05); /* the 19th of 19 */
  ck_assert(t > 0.95 && t < 0.9500001);
  t = hem__conformal_threshold(wrong, 19, 0.1); /* the 18th */
  ck_assert(t > 0.9 && t < 0.9000001);
  t = hem__conformal_threshold(wrong, 19, 0.07); /* ceil(20 * 0.93): the 19th, where 19 * 0.93 would say the 18th */
  ck_assert(t > 0.95 && t < 0.9500001);
  t = hem__conformal_threshold(few, 3, 0.05); /* too few to promise: above all of them */
  ck_assert(t > 0.75 && t < 0.7500001);
  ck_assert(hem__conformal_threshold(few, 0, 0.05) == 0);
  few[0] = 1;
  ck_assert(hem__conformal_threshold(few, 1, 0.05) > 1);
}
END_TEST

/* Over many calibrations, a new query passes the threshold at the promised rate: between rate - 1/(n+1) and rate. */
START_TEST(the_threshold_keeps_its_promise) {
  enum { TIMES = 4000, COUNT = 59 };
  uint64_t random = 11;
  size_t passed = 0, tried = 0;
  for (size_t i = 0; i < TIMES; i++) {
    double wrong[COUNT];
    for (size_t j = 0; j < COUNT; j++) wrong[j] = (double)hem__test_uniform(&random);
    double threshold = hem__conformal_threshold(wrong, COUNT, 0.05);
    for (size_t j = 0; j < 20; j++, tried++) passed += (double)hem__test_uniform(&random) >= threshold;
  }
  double rate = (double)passed / (double)tried; /* 57 of 60: exactly 0.05 on average; 0.0018 is 3.5 standard errors */
  ck_assert_msg(fabs(rate - 0.05) < 0.0018, "%g", rate);
}
END_TEST

/* ---- reliability ---- */

START_TEST(reliability_is_counted_by_hand) {
  double probabilities[] = {0, 0.05, 0.1, 0.15, 0.95, 1, 1, 0.55};
  bool right[] = {0, 1, 0, 0, 1, 1, 0, 1};
  hem__reliability r;
  hem__reliability_measure(probabilities, right, 8, &r);
  ck_assert_uint_eq(r.count, 8);
  ck_assert_uint_eq(r.bins[0].count, 2);
  ck_assert_uint_eq(r.bins[1].count, 2);
  ck_assert_uint_eq(r.bins[5].count, 1);
  ck_assert_uint_eq(r.bins[9].count, 3);
  ck_assert_double_eq_tol(r.bins[0].mean, 0.025, 1e-12);
  ck_assert_double_eq_tol(r.bins[0].rate, 0.5, 1e-12);
  ck_assert_double_eq_tol(r.bins[9].rate, 2.0 / 3, 1e-12);
  double error = (2 * 0.475 + 2 * 0.125 + 1 * 0.45 + 3 * (2.95 / 3 - 2.0 / 3)) / 8;
  ck_assert_double_eq_tol(r.error, error, 1e-12);
  hem__reliability_measure(NULL, NULL, 0, &r);
  ck_assert(r.count == 0 && r.error == 0 && r.bins[3].count == 0);
}
END_TEST

/* ---- a metric's calibration ---- */

static const hem__test_world world = {.dim = 16,
                                      .signal = 6,
                                      .items = 600,
                                      .categories = 2,
                                      .consumers = 2,
                                      .shops = 2,
                                      .orphans = 5,
                                      .jitter = 0.15F,
                                      .noise = 1,
                                      .random = 3};

START_TEST(probabilities_come_true_on_other_items) {
  hem__test_pairs fitted, fresh;
  hem__test_world other = world;
  hem__trust trust;
  other.random = 77;
  hem__test_pairs_new(&world, &fitted);
  hem__test_pairs_new(&other, &fresh);
  hem__metric *m = hem__test_knowing(&world);
  m->false_accept = 0.1;
  ck_ok(hem__calibrate(m, fitted.catalog, 0, &fitted.validation, err));
  ck_assert_uint_eq(m->calibration_count, 3);
  ck_assert_str_eq(m->calibrations[0].category, "");
  ck_assert_str_eq(m->calibrations[1].category, "c0");
  ck_assert_str_eq(m->calibrations[2].category, "c1");
  ck_assert_uint_eq(m->calibrations[0].queries, 1210);
  ck_assert_uint_eq(m->calibrations[1].queries, 610);
  ck_ok(hem__trust_measure(m, fresh.catalog, 0, &fresh.validation, &trust, err));
  ck_assert_uint_eq(trust.shown.count, 1210 * 20);
  ck_assert_msg(trust.shown.error < 0.02, "calibration error %g", trust.shown.error);
  ck_assert_uint_eq(trust.strangers, 1210);
  ck_assert_uint_eq(trust.answerable, 1200);
  /* Two photos of an item go together: about 605 independent queries, a standard error of 0.012, on both sides. */
  double rate = (double)trust.false_accepts / (double)trust.strangers;
  ck_assert_msg(rate > 0.05 && rate < 0.15, "false accepts %g", rate);
  ck_assert_msg(trust.false_rejects < trust.answerable / 2, "%llu rejected", (unsigned long long)trust.false_rejects);
  hem__metric_free(m);
  hem__test_pairs_clear(&fitted);
  hem__test_pairs_clear(&fresh);
}
END_TEST

/* What is counted is what the definition says, photo by photo. */
START_TEST(the_counts_are_those_of_the_definition) {
  hem__test_pairs pairs;
  hem__test_world small = world;
  hem__trust trust;
  uint64_t accepts = 0, rejects = 0;
  small.items = 40;
  small.orphans = 2;
  hem__test_pairs_new(&small, &pairs);
  hem__metric *m = hem__test_knowing(&world);
  m->false_accept = 0.2;
  ck_ok(hem__calibrate(m, pairs.catalog, 0, &pairs.validation, err));
  ck_assert_uint_eq(m->calibration_count, 1); /* 44 queries in c0, 40 in c1 */
  ck_ok(hem__trust_measure(m, pairs.catalog, 0, &pairs.validation, &trust, err));
  const hem__photo *photos = hem__catalog_photos(pairs.catalog)->at;
  hem__matrix v = hem__catalog_matrix(pairs.catalog, 0);
  for (size_t q = 0; q < pairs.validation.query_count; q++) {
    const hem__photo *me = &photos[pairs.queries[q]];
    double own = -INFINITY, other = -INFINITY;
    for (size_t g = 0; g < pairs.validation.gallery_count; g++) {
      const hem__photo *photo = &photos[pairs.gallery[g]];
      if (strcmp(photo->category, me->category) != 0) continue;
      double s = hem__metric_score(m, hem__row(v, pairs.queries[q]), hem__row(v, pairs.gallery[g]));
      *(strcmp(photo->item_id, me->item_id) ? &other : &own) =
          fmax(s, strcmp(photo->item_id, me->item_id) ? other : own);
    }
    const hem__calibration *c = &m->calibrations[0];
    accepts += hem__probability(&c->platt, other) >= c->threshold;
    rejects += isfinite(own) && hem__probability(&c->platt, fmax(own, other)) < c->threshold;
  }
  ck_assert(trust.false_accepts <= accepts + 1 && accepts <= trust.false_accepts + 1); /* one lies at the threshold */
  ck_assert_uint_eq(trust.false_rejects, rejects);
  ck_assert_uint_eq(trust.false_accepts, 84 - 68); /* ceil(85 * 0.8) */
  /* Again: what was there is replaced. */
  ck_ok(hem__calibrate(m, pairs.catalog, 0, &pairs.validation, err));
  ck_assert_uint_eq(m->calibration_count, 1);
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

START_TEST(without_queries_nothing_changes) {
  hem__test_pairs pairs;
  hem__metric *m = hem__test_knowing(&world);
  hem__test_world small = world;
  small.items = 3;
  hem__test_pairs_new(&small, &pairs);
  m->false_accept = 0.05;
  hem__validation nobody = pairs.validation, nothing = pairs.validation;
  nobody.query_count = 0;
  nothing.gallery_count = 0;
  ck_fails(hem__calibrate(m, pairs.catalog, 0, &nobody, err), HEM_ENOTFOUND, "to calibrate on");
  ck_fails(hem__calibrate(m, pairs.catalog, 0, &nothing, err), HEM_ENOTFOUND, "to calibrate on");
  m->false_accept = 0;
  ck_fails(hem__calibrate(m, pairs.catalog, 0, &pairs.validation, err), HEM_EINVAL, "between 0 and 1");
  ck_assert_uint_eq(m->calibration_count, 0);
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

HEM_TESTS("calibrate", a_known_sigmoid_is_recovered, the_fit_is_a_minimum, what_can_be_split_stays_finite,
          the_threshold_is_the_conformal_quantile, the_threshold_keeps_its_promise, reliability_is_counted_by_hand,
          probabilities_come_true_on_other_items, the_counts_are_those_of_the_definition,
          without_queries_nothing_changes)
