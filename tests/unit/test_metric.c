/* The metric by its definition, computed here anew; and which items train, validate and stay unseen. */
#include "metric/metric.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metric/split.h"
#include "support/make_metric.h"
#include "test.h"

/* ---- points ---- */

static void unit(const double *in, size_t count, double *out) {
  double square = 0;
  for (size_t i = 0; i < count; i++) square += in[i] * in[i];
  for (size_t i = 0; i < count; i++) out[i] = square > 0 ? in[i] / sqrt(square) : 0;
}

/* t(a), in double. */
static void point_of(const hem__metric *m, const float *a, double *out) {
  double in[64], raw[64];
  for (size_t i = 0; i < m->dim; i++) in[i] = (double)a[i];
  if (m->unit) unit(in, m->dim, in);
  if (!m->tower) {
    memcpy(out, in, m->dim * sizeof *out);
    return;
  }
  for (size_t t = 0; t < m->tower; t++) {
    raw[t] = (double)m->tower_bias[t];
    for (size_t d = 0; d < m->dim; d++) raw[t] += (double)m->tower_weights[t * m->dim + d] * in[d];
  }
  unit(raw, m->tower, out);
}

static const hem__metric shapes[] = {{.form = HEM__HEAD, .dim = 40, .hidden = 6},
                                     {.form = HEM__HEAD, .dim = 40, .hidden = 6, .unit = true},
                                     {.form = HEM__HEAD, .dim = 40, .tower = 9, .hidden = 6},
                                     {.form = HEM__HEAD, .dim = 40, .tower = 9, .hidden = 6, .unit = true},
                                     {.form = HEM__WEIGHTED_L1, .dim = 40, .unit = true},
                                     {.form = HEM__WEIGHTED_L1, .dim = 40, .tower = 50}};
enum { SHAPES = sizeof shapes / sizeof *shapes, ROWS = 11 };

START_TEST(points_are_those_of_the_definition) {
  for (size_t s = 0; s < SHAPES; s++) {
    float in[ROWS * 40], out[ROWS * 64];
    double wanted[64];
    uint64_t random = s;
    hem__metric *m = hem__test_metric(shapes[s], &random);
    for (size_t i = 0; i < ROWS * 40; i++) in[i] = i < 40 ? 0 : 5 * hem__test_normal(&random);
    ck_ok(hem__metric_project(m, in, ROWS, out, err));
    for (size_t r = 0; r < ROWS; r++) {
      point_of(m, in + r * 40, wanted);
      for (size_t d = 0; d < m->width; d++)
        ck_assert_double_eq_tol((double)out[r * m->width + d], wanted[d], 1e-5 * (1 + fabs(wanted[d])));
    }
    hem__metric_free(m);
  }
}
END_TEST

/* ---- scores ---- */

START_TEST(scores_are_worked_out_by_hand) {
  hem__metric *m = NULL;
  ck_ok(hem__metric_new(&(hem__metric){.form = HEM__HEAD, .dim = 2, .hidden = 2}, &m, err));
  memcpy(m->w1, (float[]){1, 2, -1, 0.5F}, 4 * sizeof(float));
  memcpy(m->b1, (float[]){-1, 0.25F}, 2 * sizeof(float));
  memcpy(m->w2, (float[]){-2, 3}, 2 * sizeof(float));
  m->b2 = 0.5F;
  float a[] = {1, 5}, b[] = {4, 3}, c[] = {1, 4};
  /* x = (3, 2): relu(3 + 4 - 1) = 6, relu(-3 + 1 + 0.25) = 0 */
  ck_assert_double_eq_tol(hem__metric_score(m, a, b), 0.5 - 12, 1e-12);
  ck_assert_double_eq_tol(hem__metric_score(m, b, a), 0.5 - 12, 1e-12);
  /* x = (0, 1): relu(1) = 1, relu(0.75) */
  ck_assert_double_eq_tol(hem__metric_score(m, a, c), 0.5 - 2 + 2.25, 1e-12);
  ck_assert_double_eq_tol(hem__metric_score(m, a, a), 0.5 + 0.75, 1e-12);
  ck_assert(!hem__metric_concave(m));
  m->w2[1] = 0;
  ck_assert(hem__metric_concave(m));
  hem__metric_free(m);
  ck_ok(hem__metric_new(&(hem__metric){.form = HEM__WEIGHTED_L1, .dim = 2}, &m, err));
  memcpy(m->w2, (float[]){-1, -0.5F}, 2 * sizeof(float));
  m->b2 = 2;
  ck_assert_double_eq_tol(hem__metric_score(m, a, b), 2 - 3 - 1, 1e-12);
  ck_assert(hem__metric_concave(m));
  hem__metric_free(m);
}
END_TEST

START_TEST(shapes_beyond_the_limits_are_refused) {
  static const hem__metric bad[] = {{.form = HEM__HEAD, .dim = 0, .hidden = 1},
                                    {.form = HEM__HEAD, .dim = 65537, .hidden = 1},
                                    {.form = HEM__HEAD, .dim = 4, .tower = 65537, .hidden = 1},
                                    {.form = HEM__HEAD, .dim = 4},
                                    {.form = HEM__HEAD, .dim = 4, .hidden = 8193},
                                    {.form = HEM__WEIGHTED_L1, .dim = 4, .hidden = 1}};
  hem__metric *m = NULL;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_fails(hem__metric_new(&bad[i], &m, err), HEM_EINVAL, "not");
  ck_assert_ptr_null(m);
  hem__metric_free(NULL);
}
END_TEST

/* ---- after the score ---- */

START_TEST(it_passes_only_with_its_whole_interval_above_zero) {
  hem__metric m = {0};
  ck_assert(!hem__metric_passed(&m));
  m.verdict = (hem__verdict){.queries = 10, .gain = 0.1, .gain_low = 0.01, .gain_high = 0.2};
  ck_assert(hem__metric_passed(&m));
  m.verdict.gain_low = 0;
  ck_assert(!hem__metric_passed(&m));
  m.verdict = (hem__verdict){.gain_low = 0.5};
  ck_assert(!hem__metric_passed(&m));
}
END_TEST

START_TEST(categories_without_a_calibration_use_the_common_one) {
  hem__calibration made[] = {{.category = (char[]){""}, .threshold = 0.5}, {.category = (char[]){"dress"}}};
  hem__metric m = {.calibrations = made, .calibration_count = 2};
  ck_assert_ptr_eq(hem__metric_calibration(&m, "dress"), &made[1]);
  ck_assert_ptr_eq(hem__metric_calibration(&m, "skirt"), &made[0]);
  m.calibration_count = 0;
  const hem__calibration *none = hem__metric_calibration(&m, "dress");
  ck_assert(none && none->platt.slope == 1 && none->platt.offset == 0 && none->threshold == 0);
  ck_assert_double_eq_tol(hem__probability(&none->platt, 0), 0.5, 1e-15);
  ck_assert_double_eq_tol(hem__probability(&(hem__platt){2, -1}, 1), 1 / (1 + exp(-1)), 1e-15);
  ck_assert(hem__probability(&none->platt, -1e6) == 0 && hem__probability(&none->platt, 1e6) == 1);
}
END_TEST

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

START_TEST(it_knows_the_items_it_saw) {
  enum { SEEN = 100 };
  uint64_t seen[SEEN];
  char name[32];
  for (size_t i = 0; i < SEEN; i++) {
    snprintf(name, sizeof name, "item-%zu", i);
    seen[i] = hem__item_key(name);
  }
  qsort(seen, SEEN, sizeof *seen, by_value);
  hem__metric m = {.seen = seen, .seen_count = SEEN};
  for (size_t i = 0; i < 2 * SEEN; i++) {
    snprintf(name, sizeof name, "item-%zu", i);
    ck_assert_msg(hem__metric_saw(&m, name) == (i < SEEN), "%s", name);
  }
  m.seen_count = 0;
  ck_assert(!hem__metric_saw(&m, "item-0"));
  /* SHA-256 of "abc" begins ba7816bf 8f01cfea (FIPS 180-4). */
  ck_assert(hem__item_key("abc") == 0xeacf018fbf1678baU);
}
END_TEST

/* ---- splits ---- */

START_TEST(items_fall_into_equal_parts) {
  enum { ITEMS = 3000 };
  hem__photos photos = {0};
  char name[32];
  for (size_t i = 0; i < ITEMS * 2; i++) {
    snprintf(name, sizeof name, "item-%zu", i / 2);
    hem__photo photo = {.item_id = name, .category = "c", .label = "", .path = "p", .domain = (uint8_t)(i % 2)};
    ck_ok(hem__photos_add(&photos, &photo, err));
  }
  ck_assert(!hem__split_marked(&photos));
  size_t times_test[ITEMS] = {0};
  for (size_t folds = 3; folds <= 5; folds += 2)
    for (size_t fold = 0; fold < folds; fold++) {
      hem__split_rule rule = {.folds = folds == 5 ? 0 : folds, .fold = fold};
      size_t counts[HEM__SPLITS] = {0};
      for (size_t i = 0; i < photos.count; i += 2) {
        hem__split split = hem__split_of(&photos, i, &rule, false);
        ck_assert_int_eq(split, hem__split_of(&photos, i + 1, &rule, false)); /* by item, never by photo */
        counts[split]++;
        times_test[i / 2] += split == HEM__TEST;
      }
      ck_assert_uint_eq(counts[HEM__NO_SPLIT], 0);
      size_t part = ITEMS / folds;
      ck_assert(counts[HEM__TEST] > part * 8 / 10 && counts[HEM__TEST] < part * 12 / 10);
      ck_assert(counts[HEM__VALIDATION] > part * 8 / 10 && counts[HEM__VALIDATION] < part * 12 / 10);
    }
  for (size_t i = 0; i < ITEMS; i++) ck_assert_uint_eq(times_test[i], 2); /* once with 3 folds, once with 5 */
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(marks_are_taken_at_their_word) {
  hem__photos photos = {0};
  for (uint8_t i = 0; i < HEM__SPLITS; i++) {
    hem__photo photo = {.item_id = "same", .category = "c", .label = "", .path = "p", .split = i};
    ck_ok(hem__photos_add(&photos, &photo, err));
  }
  ck_assert(hem__split_marked(&photos));
  hem__split_rule rule = {.fold = 1}, ignore = {.fold = 1, .ignore_marks = true};
  for (size_t i = 0; i < HEM__SPLITS; i++) {
    ck_assert_int_eq(hem__split_of(&photos, i, &rule, true), (hem__split)i);
    ck_assert_int_eq(hem__split_of(&photos, i, &ignore, true), hem__split_of(&photos, 0, &rule, false));
  }
  hem__photos_clear(&photos);
}
END_TEST

HEM_TESTS("metric", points_are_those_of_the_definition, scores_are_worked_out_by_hand,
          shapes_beyond_the_limits_are_refused, it_passes_only_with_its_whole_interval_above_zero,
          categories_without_a_calibration_use_the_common_one, it_knows_the_items_it_saw, items_fall_into_equal_parts,
          marks_are_taken_at_their_word)
