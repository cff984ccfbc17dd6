/* Points as bytes and as half floats. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "metric/quantise.h"
#include "metric/score_kernel.h"
#include "test.h"

enum { ROWS = 50, DIM = 40 };

/* Dimension d has values of about 10^(d % 13 - 6) around an offset. */
static void fill(float *points, uint64_t seed) {
  for (size_t d = 0; d < DIM; d++) {
    float size = powf(10, (float)(d % 13) - 6), middle = size * (20 * hem__test_uniform(&seed) - 10);
    for (size_t i = 0; i < ROWS; i++) points[i * DIM + d] = middle + size * hem__test_uniform(&seed);
  }
}

START_TEST(every_value_comes_back_within_half_a_step) {
  static float points[ROWS * DIM];
  static uint8_t bytes[ROWS * DIM + 1];
  hem__quantiser q;
  fill(points, 1);
  ck_ok(hem__quantiser_fit((hem__matrix){points, ROWS, DIM}, &q, err));
  ck_assert_uint_eq(q.width, DIM);
  bytes[ROWS * DIM] = 77;
  hem__quantise(&q, points, ROWS, bytes);
  ck_assert_uint_eq(bytes[ROWS * DIM], 77);
  for (size_t i = 0; i < ROWS * DIM; i++) {
    double step = q.step[i % DIM], back = (double)q.low[i % DIM] + step * bytes[i];
    ck_assert(step > 0);
    ck_assert_msg(fabs(back - (double)points[i]) <= step * 0.501, "%g came back as %g, step %g", (double)points[i],
                  back, step);
  }
  hem__quantiser_clear(&q);
  ck_assert_ptr_null(q.low);
}
END_TEST

START_TEST(differences_are_within_a_step) {
  static float points[ROWS * DIM];
  static uint8_t bytes[ROWS * DIM];
  hem__quantiser q;
  fill(points, 2);
  ck_ok(hem__quantiser_fit((hem__matrix){points, ROWS, DIM}, &q, err));
  hem__quantise(&q, points, ROWS, bytes);
  for (size_t i = DIM; i < ROWS * DIM; i++) {
    double want = fabs((double)points[i] - (double)points[i - DIM]), step = q.step[i % DIM];
    ck_assert(fabs(step * abs(bytes[i] - bytes[i - DIM]) - want) <= step * 1.001);
  }
  hem__quantiser_clear(&q);
}
END_TEST

START_TEST(the_range_is_used_whole) {
  static float points[ROWS * DIM];
  static uint8_t bytes[ROWS * DIM];
  hem__quantiser q;
  fill(points, 3);
  ck_ok(hem__quantiser_fit((hem__matrix){points, ROWS, DIM}, &q, err));
  hem__quantise(&q, points, ROWS, bytes);
  for (size_t d = 0; d < DIM; d++) {
    uint8_t low = 255, high = 0;
    for (size_t i = 0; i < ROWS; i++) {
      low = bytes[i * DIM + d] < low ? bytes[i * DIM + d] : low;
      high = bytes[i * DIM + d] > high ? bytes[i * DIM + d] : high;
    }
    ck_assert_uint_eq(low, 0);
    ck_assert_uint_eq(high, 255);
  }
  hem__quantiser_clear(&q);
}
END_TEST

START_TEST(what_lies_outside_is_clamped) {
  float points[] = {0, -1, 1, 1}, outside[] = {-5, 7, 1e15F, -1e15F, -0.001F, 1.001F};
  uint8_t bytes[6];
  hem__quantiser q;
  ck_ok(hem__quantiser_fit((hem__matrix){points, 2, 2}, &q, err));
  hem__quantise(&q, outside, 3, bytes);
  ck_assert_mem_eq(bytes, ((uint8_t[]){0, 255, 255, 0, 0, 255}), 6);
  hem__quantiser_clear(&q);
}
END_TEST

/* A query's value in a dimension where all photos agree still is near or far. */
START_TEST(a_constant_dimension_has_a_step) {
  float points[] = {0.5F, 0, 7, 0.5F, 2.55F, 7}, query[] = {0.6F, 1, 7};
  uint8_t bytes[6], asked[3];
  hem__quantiser q;
  ck_ok(hem__quantiser_fit((hem__matrix){points, 2, 3}, &q, err));
  hem__quantise(&q, points, 2, bytes);
  hem__quantise(&q, query, 1, asked);
  ck_assert(q.step[0] > 0 && q.step[0] == q.step[1]);
  ck_assert_uint_eq(bytes[0], bytes[3]);
  ck_assert_uint_eq(asked[0] - bytes[0], 10);
  ck_assert_uint_eq(asked[2], bytes[2]);
  hem__quantiser_clear(&q);
}
END_TEST

START_TEST(points_without_a_range_have_steps_too) {
  float points[] = {3, FLT_TRUE_MIN, 3, 0};
  uint8_t bytes[4];
  hem__quantiser q;
  for (size_t rows = 0; rows <= 2; rows++) {
    ck_ok(hem__quantiser_fit((hem__matrix){points, rows, 2}, &q, err));
    ck_assert(q.step[0] > 0 && q.step[1] > 0 && isfinite(q.low[0]));
    hem__quantise(&q, points, 2, bytes);
    ck_assert_uint_eq(bytes[0], bytes[2]);
    hem__quantiser_clear(&q);
  }
}
END_TEST

START_TEST(the_widest_range_does_not_overflow) {
  float points[] = {-FLT_MAX, FLT_MAX};
  uint8_t bytes[2];
  hem__quantiser q;
  ck_ok(hem__quantiser_fit((hem__matrix){points, 2, 1}, &q, err));
  ck_assert(isfinite(q.step[0]));
  hem__quantiser_clear(&q);
  points[0] = -1e15F;
  points[1] = 1e15F;
  ck_ok(hem__quantiser_fit((hem__matrix){points, 2, 1}, &q, err));
  hem__quantise(&q, points, 2, bytes);
  ck_assert_uint_eq(bytes[0], 0);
  ck_assert_uint_eq(bytes[1], 255);
  hem__quantiser_clear(&q);
}
END_TEST

/* ---- half floats ---- */

START_TEST(every_half_is_itself) {
  for (uint32_t half = 0; half < 0x10000; half++) {
    if ((half & 0x7c00) == 0x7c00) continue; /* infinities and NaN are not made */
    float value = hem__from_half((uint16_t)half);
    uint16_t again;
    hem__to_half(&value, 1, &again);
    ck_assert_uint_eq(again, half);
  }
  ck_assert(hem__from_half(0x3c00) == 1 && hem__from_half(0xc000) == -2 && hem__from_half(1) == 0x1p-24F);
  ck_assert(hem__from_half(0x7bff) == 65504 && hem__from_half(0x0400) == 0x1p-14F);
}
END_TEST

/* Between two neighbours: the nearer; in the middle the one that ends in zero. */
START_TEST(rounding_is_to_nearest_even) {
  for (uint32_t half = 0; half < 0x7bff; half++) {
    float low = hem__from_half((uint16_t)half), high = hem__from_half((uint16_t)(half + 1)), middle = (low + high) / 2;
    float values[] = {nextafterf(middle, low), middle, nextafterf(middle, high), -middle};
    uint16_t got[4], even = (uint16_t)(half + (half & 1));
    hem__to_half(values, 4, got);
    ck_assert_uint_eq(got[0], half);
    ck_assert_uint_eq(got[1], even);
    ck_assert_uint_eq(got[2], half + 1);
    ck_assert_uint_eq(got[3], even | 0x8000);
  }
}
END_TEST

START_TEST(what_is_too_large_becomes_the_largest) {
  float values[] = {65504, 65519, 65520, 1e15F, -1e15F, INFINITY, FLT_TRUE_MIN, -FLT_TRUE_MIN};
  uint16_t got[8], want[] = {0x7bff, 0x7bff, 0x7bff, 0x7bff, 0xfbff, 0x7bff, 0, 0x8000};
  hem__to_half(values, 8, got);
  ck_assert_mem_eq(got, want, sizeof want);
}
END_TEST

HEM_TESTS("quantise", every_value_comes_back_within_half_a_step, differences_are_within_a_step, the_range_is_used_whole,
          what_lies_outside_is_clamped, a_constant_dimension_has_a_step, points_without_a_range_have_steps_too,
          the_widest_range_does_not_overflow, every_half_is_itself, rounding_is_to_nearest_even,
          what_is_too_large_becomes_the_largest)
