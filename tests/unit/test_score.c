/* Scoring on every kernel that this processor has, and the linear bound. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "metric/score.h"
#include "metric/score_kernel.h"
#include "support/kernels.h"
#include "test.h"

enum { CASES = 120 };

static hem__metric *metric_of(hem__form form, size_t width, size_t hidden, uint64_t seed) {
  hem__metric shape = {.form = form, .dim = width, .hidden = hidden}, *m = NULL;
  ck_ok(hem__metric_new(&shape, &m, err));
  for (size_t i = 0; i < hidden * width; i++) m->w1[i] = hem__test_uniform(&seed) - 0.5F;
  for (size_t i = 0; i < hidden; i++) m->b1[i] = hem__test_uniform(&seed) - 0.5F;
  for (size_t i = 0; i < (hidden ? hidden : width); i++) m->w2[i] = hem__test_uniform(&seed) - 0.8F;
  m->b2 = 1;
  return m;
}

static float *noise(size_t count, uint64_t seed) {
  float *v = NULL;
  ck_ok(hem__alloc(count, sizeof *v, "noise", &v, err));
  for (size_t i = 0; i < count; i++) v[i] = hem__test_uniform(&seed);
  return v;
}

START_TEST(every_kernel_of_this_processor_is_right) {
  const hem__score_kernel *here[HEM__KERNELS];
  size_t count = hem__score_kernels_here(here);
  for (size_t i = 0; i < count; i++) {
    char why[512];
    ck_assert_msg(hem__kernel_is_right(here[i], CASES, why, sizeof why), "%s", why);
  }
}
END_TEST

/* ---- the choice ---- */

START_TEST(the_oracle_is_listed_first) {
  const char *names[HEM__KERNELS];
  size_t count = hem__score_kernels(names);
  ck_assert_uint_ge(count, 1);
  ck_assert_str_eq(names[0], "scalar");
}
END_TEST

START_TEST(the_last_kernel_is_chosen_unless_another_is_named) {
  const char *names[HEM__KERNELS];
  size_t count = hem__score_kernels(names);
  hem__metric *m = metric_of(HEM__HEAD, 5, 3, 1);
  hem__scorer *scorer = NULL;
  unsetenv("HEMLINE_KERNEL");
  ck_ok(hem__scorer_new(m, HEM__F32, NULL, NULL, &scorer, err));
  ck_assert_str_eq(hem__scorer_kernel(scorer), names[count - 1]);
  ck_assert_uint_eq(hem__scorer_row_bytes(scorer), 20);
  hem__scorer_free(scorer);
  setenv("HEMLINE_KERNEL", "scalar", 1);
  ck_ok(hem__scorer_new(m, HEM__F16, NULL, NULL, &scorer, err));
  ck_assert_str_eq(hem__scorer_kernel(scorer), "scalar");
  ck_assert_uint_eq(hem__scorer_row_bytes(scorer), 10);
  hem__scorer_free(scorer);
  ck_ok(hem__scorer_new(m, HEM__F32, NULL, names[count - 1], &scorer, err)); /* a name goes before the environment */
  ck_assert_str_eq(hem__scorer_kernel(scorer), names[count - 1]);
  hem__scorer_free(scorer);
  setenv("HEMLINE_KERNEL", "abacus", 1);
  scorer = NULL;
  ck_fails(hem__scorer_new(m, HEM__F32, NULL, NULL, &scorer, err), HEM_EUNSUPPORTED, "'abacus' (HEMLINE_KERNEL)");
  setenv("HEMLINE_KERNEL", "", 1);
  ck_fails(hem__scorer_new(m, HEM__F32, NULL, "abacus", &scorer, err), HEM_EUNSUPPORTED, "it has scalar");
  ck_assert_ptr_null(scorer);
  unsetenv("HEMLINE_KERNEL");
  hem__metric_free(m);
}
END_TEST

START_TEST(a_quantiser_goes_with_bytes_only) {
  hem__metric *m = metric_of(HEM__HEAD, 5, 3, 1);
  float *points = noise(12, 2);
  hem__quantiser five, six;
  hem__scorer *scorer = NULL;
  ck_ok(hem__quantiser_fit((hem__matrix){points, 2, 5}, &five, err));
  ck_ok(hem__quantiser_fit((hem__matrix){points, 2, 6}, &six, err));
  ck_fails(hem__scorer_new(m, HEM__U8, NULL, NULL, &scorer, err), HEM_EINVAL, "quantiser");
  ck_fails(hem__scorer_new(m, HEM__F32, &five, NULL, &scorer, err), HEM_EINVAL, "quantiser");
  ck_fails(hem__scorer_new(m, HEM__U8, &six, NULL, &scorer, err), HEM_EINVAL, "6 values, the metric for 5");
  ck_ok(hem__scorer_new(m, HEM__U8, &five, NULL, &scorer, err));
  ck_assert_uint_eq(hem__scorer_row_bytes(scorer), 5);
  hem__scorer_free(scorer);
  hem__quantiser_clear(&five);
  hem__quantiser_clear(&six);
  free(points);
  hem__metric_free(m);
}
END_TEST

/* ---- scoring ---- */

/* Bytes differ from floats by what rounding points and weights may do, and by no more. */
static void check_bytes(hem__form form, size_t width, size_t hidden) {
  enum { ROWS = 40 };
  hem__metric *m = metric_of(form, width, hidden, 3);
  float *points = noise((ROWS + 1) * width, 4), scores[ROWS];
  uint8_t *bytes = NULL;
  hem__quantiser q;
  hem__scorer *scorer = NULL;
  hem__score_scratch scratch = {0};
  ck_ok(hem__quantiser_fit((hem__matrix){points, ROWS + 1, width}, &q, err));
  ck_ok(hem__alloc(ROWS + 1, width, "bytes", &bytes, err));
  hem__quantise(&q, points, ROWS + 1, bytes);
  ck_ok(hem__scorer_new(m, HEM__U8, &q, NULL, &scorer, err));
  hem__score_request request = {.query = bytes, .points = bytes + width, .count = ROWS};
  ck_ok(hem__score(scorer, &request, &scratch, scores, err));
  for (size_t i = 0; i < ROWS; i++) {
    double want = hem__metric_score(m, points, points + (i + 1) * width), bound = 1e-5;
    for (size_t h = 0; h < (hidden ? hidden : 1); h++) {
      const float *w = hidden ? m->w1 + h * width : m->w2;
      double largest = 0, unit = 0;
      for (size_t d = 0; d < width; d++) largest = fmax(largest, fabs((double)w[d] * (double)q.step[d]));
      for (size_t d = 0; d < width && form == HEM__WEIGHTED_L2; d++)
        unit += fabs((double)w[d]) * 511 * (double)q.step[d] * (double)q.step[d] * 1.001;
      for (size_t d = 0; d < width && form != HEM__WEIGHTED_L2; d++)
        unit += fabs((double)w[d] * (double)q.step[d]) * 1.001 + (hidden ? 255 * largest / 127 / 2 : 0);
      bound += (hidden ? fabs((double)m->w2[h]) : 1) * unit;
    }
    ck_assert_msg(fabs((double)scores[i] - want) <= bound, "%g instead of %g, bound %g", (double)scores[i], want,
                  bound);
  }
  hem__score_scratch_clear(&scratch);
  hem__scorer_free(scorer);
  hem__quantiser_clear(&q);
  free(bytes);
  free(points);
  hem__metric_free(m);
}

START_TEST(bytes_are_near_floats) {
  check_bytes(HEM__HEAD, 70, 40);
  check_bytes(HEM__HEAD, 1, 1);
  check_bytes(HEM__HEAD, 600, 2);
  check_bytes(HEM__WEIGHTED_L1, 600, 0);
  check_bytes(HEM__WEIGHTED_L1, 1, 0);
  check_bytes(HEM__WEIGHTED_L2, 600, 0);
}
END_TEST

/* One dimension that weighs a thousand times more must not take all precision from the others. */
START_TEST(a_large_weight_leaves_the_others_their_precision) {
  enum { WIDTH = 256, HIDDEN = 20, ROWS = 50, LARGE = 100 };
  hem__metric *m = metric_of(HEM__HEAD, WIDTH, HIDDEN, 12);
  float *points = noise((ROWS + 1) * WIDTH, 13), scores[ROWS], row[WIDTH];
  uint8_t *bytes = NULL;
  hem__quantiser q;
  hem__scorer *scorer = NULL;
  hem__score_scratch scratch = {0};
  for (size_t h = 0; h < HIDDEN; h++) m->w1[h * WIDTH + LARGE] = h % 2 ? 8 : -8;
  ck_ok(hem__quantiser_fit((hem__matrix){points, ROWS + 1, WIDTH}, &q, err));
  ck_ok(hem__alloc(ROWS + 1, WIDTH, "bytes", &bytes, err));
  hem__quantise(&q, points, ROWS + 1, bytes);
  ck_ok(hem__scorer_new(m, HEM__U8, &q, NULL, &scorer, err));
  for (size_t h = 0; h < HIDDEN; h++) { /* 8 / 127 / 2 without copies; with them 6 * 0.25 / 127 / 2 and rounding */
    hem__scorer_row(scorer, &q, h, row);
    for (size_t d = 0; d < WIDTH; d++) ck_assert(fabsf(row[d] - m->w1[h * WIDTH + d]) < 0.009F);
  }
  hem__score_request request = {.query = bytes, .points = bytes + WIDTH, .count = ROWS};
  ck_ok(hem__score(scorer, &request, &scratch, scores, err));
  for (size_t i = 0; i < ROWS; i++) {
    double want = hem__metric_score(m, points, points + (i + 1) * WIDTH);
    ck_assert_msg(fabs((double)scores[i] - want) < 0.6, "%g instead of %g", (double)scores[i], want);
  }
  hem__score_scratch_clear(&scratch);
  hem__scorer_free(scorer);
  hem__quantiser_clear(&q);
  free(bytes);
  free(points);
  hem__metric_free(m);
}
END_TEST

START_TEST(the_widest_metric_at_its_largest_sums_does_not_overflow) {
  enum { WIDTH = HEM__METRIC_DIM_MAX, HIDDEN = 2 };
  hem__metric *m = metric_of(HEM__HEAD, WIDTH, HIDDEN, 5);
  const char *names[HEM__KERNELS];
  size_t count = hem__score_kernels(names);
  float *points = noise(2 * WIDTH, 6);
  uint8_t *bytes = NULL;
  hem__quantiser q;
  for (size_t d = 0; d < WIDTH; d++) {
    m->w1[d] = 1;
    m->w1[WIDTH + d] = -1;
    points[d] = 0;
    points[WIDTH + d] = 1;
  }
  m->w2[0] = 1;
  m->w2[1] = -1;
  m->b1[0] = m->b1[1] = m->b2 = 0;
  ck_ok(hem__quantiser_fit((hem__matrix){points, 2, WIDTH}, &q, err));
  ck_ok(hem__alloc(2, WIDTH, "bytes", &bytes, err));
  hem__quantise(&q, points, 2, bytes);
  for (size_t k = 0; k < count; k++) {
    hem__scorer *scorer = NULL;
    hem__score_scratch scratch = {0};
    float score;
    ck_ok(hem__scorer_new(m, HEM__U8, &q, names[k], &scorer, err));
    hem__score_request request = {.query = bytes, .points = bytes + WIDTH, .count = 1};
    ck_ok(hem__score(scorer, &request, &scratch, &score, err));
    ck_assert_msg(fabsf(score - WIDTH) < 0.1F, "%s: %g", names[k], (double)score);
    hem__score_scratch_clear(&scratch);
    hem__scorer_free(scorer);
  }
  hem__quantiser_clear(&q);
  free(bytes);
  free(points);
  hem__metric_free(m);
}
END_TEST

START_TEST(a_score_does_not_depend_on_its_neighbours) {
  enum { WIDTH = 300, ROWS = 30 };
  hem__metric *m = metric_of(HEM__HEAD, WIDTH, 37, 7);
  float *points = noise((ROWS + 1) * WIDTH, 8), together[ROWS], alone;
  hem__scorer *scorer = NULL;
  hem__score_scratch scratch = {0};
  ck_ok(hem__scorer_new(m, HEM__F32, NULL, NULL, &scorer, err));
  hem__score_request request = {.query = points, .points = points + WIDTH, .count = ROWS};
  ck_ok(hem__score(scorer, &request, &scratch, together, err));
  for (uint32_t i = 0; i < ROWS; i++) {
    hem__score_request one = {.query = points, .points = points + WIDTH, .rows = &i, .count = 1};
    ck_ok(hem__score(scorer, &one, &scratch, &alone, err));
    ck_assert_mem_eq(&alone, &together[i], sizeof alone);
  }
  hem__score_scratch_clear(&scratch);
  hem__scorer_free(scorer);
  free(points);
  hem__metric_free(m);
}
END_TEST

START_TEST(the_scratch_is_kept_from_call_to_call) {
  enum { WIDTH = 700, ROWS = 100 };
  hem__metric *m = metric_of(HEM__HEAD, WIDTH, 37, 9);
  float *points = noise((ROWS + 1) * WIDTH, 10), scores[ROWS];
  hem__scorer *scorer = NULL;
  hem__score_scratch scratch = {0};
  ck_ok(hem__scorer_new(m, HEM__F32, NULL, NULL, &scorer, err));
  hem__score_request request = {.query = points, .points = points + WIDTH, .count = ROWS};
  ck_ok(hem__score(scorer, &request, &scratch, scores, err));
  hem__score_scratch first = scratch;
  for (request.count = 0; request.count <= ROWS; request.count += 9) {
    ck_ok(hem__score(scorer, &request, &scratch, scores, err));
    ck_assert_ptr_eq(scratch.at, first.at);
    ck_assert_uint_eq(scratch.capacity, first.capacity);
  }
  hem__score_scratch_clear(&scratch);
  ck_assert_ptr_null(scratch.at);
  hem__scorer_free(scorer);
  free(points);
  hem__metric_free(m);
}
END_TEST

/* ---- the bound ---- */

static double line_at(const double *slope, double offset, const float *x, size_t width) {
  for (size_t d = 0; d < width; d++) offset -= slope[d] * (double)x[d];
  return offset;
}

/* Points within [0, most]: anywhere, and in its corners, where lines are loosest. */
static void check_bound(hem__metric *m, uint64_t *state) {
  enum { WIDTH_MAX = 64, POINTS = 60 };
  float zero[WIDTH_MAX] = {0}, near[WIDTH_MAX], most[WIDTH_MAX], x[WIDTH_MAX];
  double slope[WIDTH_MAX], offset;
  for (size_t d = 0; d < m->width; d++) {
    most[d] = d == 3 ? 0 : hem__test_uniform(state) * 2;
    near[d] = most[d] * hem__test_uniform(state);
  }
  hem__score_bound(m, near, most, slope, &offset);
  for (size_t i = 0; i < POINTS; i++) {
    for (size_t d = 0; d < m->width; d++) {
      float part = hem__test_uniform(state);
      x[d] = most[d] * (i % 3 == 0 ? part : i % 3 == 1 ? roundf(part) : part < 0.1F ? 1 : 0);
    }
    double score = hem__metric_score(m, x, zero), line = line_at(slope, offset, x, m->width);
    ck_assert_msg(score <= line + 1e-9, "width %zu, hidden %zu: %.17g above the line's %.17g", m->width, m->hidden,
                  score, line);
  }
  if (!hem__metric_concave(m)) return;
  double score = hem__metric_score(m, near, zero), line = line_at(slope, offset, near, m->width);
  ck_assert_msg(fabs(score - line) <= 1e-9, "at `near`: %.17g and the line's %.17g", score, line);
}

START_TEST(no_score_is_above_the_bound) {
  uint64_t state = 11;
  for (size_t i = 0; i < 300; i++) {
    size_t width = 1 + hem__test_random(&state) % 64, hidden = hem__test_random(&state) % 3 ? 1 + i % 40 : 0;
    hem__metric *m = metric_of(hidden      ? HEM__HEAD
                               : i % 4 < 2 ? HEM__WEIGHTED_L1
                                           : HEM__WEIGHTED_L2,
                               width, hidden, hem__test_random(&state));
    float shift = hem__test_uniform(&state) - 0.5F;
    for (size_t j = 0; j < hidden; j++) m->b1[j] += shift * (float)width / 4;
    for (size_t j = 0; j < (hidden ? hidden : width); j++)
      if (i % 2) m->w2[j] = -fabsf(m->w2[j]);
    check_bound(m, &state);
    hem__metric_free(m);
  }
}
END_TEST

HEM_TESTS("score", every_kernel_of_this_processor_is_right, the_oracle_is_listed_first,
          the_last_kernel_is_chosen_unless_another_is_named, a_quantiser_goes_with_bytes_only, bytes_are_near_floats,
          a_large_weight_leaves_the_others_their_precision, the_widest_metric_at_its_largest_sums_does_not_overflow,
          a_score_does_not_depend_on_its_neighbours, the_scratch_is_kept_from_call_to_call, no_score_is_above_the_bound)
