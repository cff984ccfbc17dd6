/* Corners against scikit-image's, and what must hold whatever the photo. */
#include "ingest/harris.h"

#include "reference/features_gray.h"
#include "support/guarded_feature.h"

enum { GRID = 8, DIRECTIONS = 4, DIM = GRID * GRID * DIRECTIONS };

static uint8_t photo[REFERENCE_SIDE * REFERENCE_SIDE * 3];
static float values[DIM], others[DIM];
static hem__harris maps;

static void harris(float *out) { guarded_extract(&hem__feature_harris, photo, 0xFF, out); }

static void paint_square(uint8_t ground, uint8_t square) {
  for (size_t i = 0; i < sizeof photo; i++) {
    size_t x = i / 3 % REFERENCE_SIDE, y = i / 3 / REFERENCE_SIDE;
    photo[i] = x >= 20 && x < 44 && y >= 20 && y < 44 ? square : ground;
  }
}

START_TEST(shape) {
  ck_assert_str_eq(hem__feature_harris.name, "harris");
  ck_assert_uint_eq(hem__feature_harris.dim, DIM);
  ck_assert_uint_eq(hem__feature_harris.side, REFERENCE_SIDE);
}
END_TEST

/* Tight enough that any other luma fails: 0.144 for blue is off by 5% of the strongest response. */
START_TEST(response_agrees_with_scikit_image) {
  for (size_t p = 0; p < REFERENCE_PHOTOS; p++) {
    reference_photo(reference_seed[p], photo);
    hem__harris_maps(&(hem__image){photo, REFERENCE_SIDE, REFERENCE_SIDE}, &maps);
    const float strongest = reference_strongest[p][0], *response = &maps.response[0][0];
    for (size_t i = 0; i < REFERENCE_SIDE * REFERENCE_SIDE; i += REFERENCE_STEP)
      ck_assert_float_eq_tol(response[i] / strongest, reference_response[p][i / REFERENCE_STEP] / strongest, 1e-5F);
  }
}
END_TEST

START_TEST(corners_agree_with_scikit_image) {
  for (size_t p = 0; p < REFERENCE_PHOTOS; p++) {
    reference_photo(reference_seed[p], photo);
    harris(values);
    for (size_t i = 0; i < DIM; i += REFERENCE_CORNER_STEP)
      ck_assert_float_eq_tol(values[i], reference_harris[p][i / REFERENCE_CORNER_STEP], 1e-4F);
  }
}
END_TEST

/* Also the signs that tell corner, edge and flat ground apart. */
START_TEST(square_has_four_corners) {
  paint_square(40, 200);
  hem__harris_maps(&(hem__image){photo, REFERENCE_SIDE, REFERENCE_SIDE}, &maps);
  ck_assert_float_gt(maps.response[20][20], 0.0F);
  ck_assert_float_lt(maps.response[20][32], 0.0F);
  ck_assert_float_eq(maps.response[5][5], 0.0F);
  harris(values);
  float quarters[4] = {0};
  for (size_t i = 0; i < DIM; i++) {
    size_t row = i / DIRECTIONS / GRID, column = i / DIRECTIONS % GRID;
    quarters[row / (GRID / 2) * 2 + column / (GRID / 2)] += values[i] * values[i];
  }
  for (size_t q = 0; q < 4; q++) ck_assert_float_eq_tol(quarters[q], 0.25F, 1e-4F);
}
END_TEST

START_TEST(contrast_does_not_matter) {
  paint_square(40, 200);
  harris(values);
  paint_square(100, 140);
  harris(others);
  for (size_t i = 0; i < DIM; i++) ck_assert_float_eq_tol(others[i], values[i], 1e-3F);
}
END_TEST

START_TEST(flat_is_zero) {
  static const uint8_t colours[][3] = {{0, 0, 0}, {255, 255, 255}, {200, 13, 77}};
  for (size_t c = 0; c < 3; c++) {
    for (size_t i = 0; i < sizeof photo; i++) photo[i] = colours[c][i % 3];
    harris(values);
    for (size_t i = 0; i < DIM; i++) ck_assert_float_eq(values[i], 0.0F);
  }
}
END_TEST

START_TEST(edges_alone_are_zero) {
  for (size_t i = 0; i < sizeof photo; i++) photo[i] = i / 3 % REFERENCE_SIDE < 30 ? 10 : 240;
  harris(values);
  for (size_t i = 0; i < DIM; i++) ck_assert_float_eq(values[i], 0.0F);
}
END_TEST

START_TEST(noise_is_finite_and_repeatable) {
  uint64_t state = 7;
  for (size_t round = 0; round < 8; round++) {
    for (size_t i = 0; i < sizeof photo; i++)
      photo[i] = round < 4 ? (uint8_t)hem__test_random(&state) : hem__test_random(&state) % 2 ? 255 : 0;
    guarded_extract(&hem__feature_harris, photo, 0x00, values);
    guarded_extract(&hem__feature_harris, photo, 0xFF, others);
    ck_assert_mem_eq(values, others, sizeof values);
    float square = 0.0F;
    for (size_t i = 0; i < DIM; i++) square += values[i] * values[i];
    ck_assert_float_eq_tol(square, 1.0F, 1e-5F);
  }
}
END_TEST

HEM_TESTS("harris", shape, response_agrees_with_scikit_image, corners_agree_with_scikit_image, square_has_four_corners,
          contrast_does_not_matter, flat_is_zero, edges_alone_are_zero, noise_is_finite_and_repeatable)
