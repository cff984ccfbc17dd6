/* HOG against OpenCV's, and what must hold whatever the photo. */
#include "reference/features_gray.h"
#include "support/guarded_feature.h"

enum { BLOCKS = 7, BINS = 9, BLOCK_DIM = 4 * BINS, DIM = BLOCKS * BLOCKS * BLOCK_DIM };

static uint8_t photo[REFERENCE_SIDE * REFERENCE_SIDE * 3];
static float values[DIM], others[DIM];

static void hog(float *out) { guarded_extract(&hem__feature_hog, photo, 0xFF, out); }

START_TEST(shape) {
  ck_assert_str_eq(hem__feature_hog.name, "hog");
  ck_assert_uint_eq(hem__feature_hog.dim, DIM);
  ck_assert_uint_eq(hem__feature_hog.side, REFERENCE_SIDE);
}
END_TEST

/* OpenCV's arc tangent is off by a hundredth of a degree, which is where most of the tolerance goes. */
START_TEST(agrees_with_opencv) {
  for (size_t p = 0; p < REFERENCE_PHOTOS; p++) {
    reference_photo(reference_seed[p], photo);
    hog(values);
    for (size_t i = 0; i < DIM; i += REFERENCE_STEP)
      ck_assert_float_eq_tol(values[i], reference_hog[p][i / REFERENCE_STEP], 2e-4F);
    float sums[BLOCK_DIM] = {0};
    for (size_t i = 0; i < DIM; i++) sums[i % BLOCK_DIM] += values[i];
    for (size_t i = 0; i < BLOCK_DIM; i++) ck_assert_float_eq_tol(sums[i], reference_hog_sums[p][i], 2e-3F);
  }
}
END_TEST

/* Equal luma on both sides: only the colours differ. */
START_TEST(sees_edges_between_colours) {
  for (size_t i = 0; i < sizeof photo; i += 3) {
    bool left = i / 3 % REFERENCE_SIDE < REFERENCE_SIDE / 2;
    memcpy(photo + i, left ? (uint8_t[]){114, 60, 0} : (uint8_t[]){0, 60, 255}, 3);
  }
  hog(values);
  float *middle = values + (BLOCKS * BLOCKS / 2) * BLOCK_DIM;
  ck_assert_float_gt(middle[0], 0.1F);
  ck_assert_float_eq_tol(middle[0], middle[BINS - 1], 1e-5F); /* 0 degrees lies between the first bin and the last */
  ck_assert_float_eq(middle[BINS / 2], 0.0F);
}
END_TEST

START_TEST(flat_is_zero) {
  static const uint8_t colours[][3] = {{0, 0, 0}, {255, 255, 255}, {200, 13, 77}};
  for (size_t c = 0; c < 3; c++) {
    for (size_t i = 0; i < sizeof photo; i++) photo[i] = colours[c][i % 3];
    hog(values);
    for (size_t i = 0; i < DIM; i++) ck_assert_float_eq(values[i], 0.0F);
  }
}
END_TEST

/* Left and right change places, of blocks, of a block's cells and of directions. Not to the last digit: the
 * window is half a pixel off the middle. */
START_TEST(mirrored_photo_permutes_bins) {
  reference_photo(reference_seed[0], photo);
  hog(values);
  for (size_t y = 0; y < REFERENCE_SIDE; y++)
    for (size_t x = 0; x < REFERENCE_SIDE / 2; x++)
      for (size_t c = 0; c < 3; c++) {
        uint8_t *row = photo + y * REFERENCE_SIDE * 3, *a = row + 3 * x + c;
        uint8_t *b = row + 3 * (REFERENCE_SIDE - 1 - x) + c, kept = *a;
        *a = *b, *b = kept;
      }
  hog(others);
  for (size_t i = 0; i < DIM; i++) {
    size_t bin = i % BINS, column = i / BINS % 2, row = i / BINS / 2 % 2;
    size_t x = i / BLOCK_DIM % BLOCKS, y = i / BLOCK_DIM / BLOCKS;
    size_t mirrored = (((y * BLOCKS + BLOCKS - 1 - x) * 2 + row) * 2 + 1 - column) * BINS + BINS - 1 - bin;
    ck_assert_float_eq_tol(others[mirrored], values[i], 0.03F);
  }
}
END_TEST

START_TEST(noise_is_finite_and_repeatable) {
  uint64_t state = 7;
  for (size_t round = 0; round < 8; round++) {
    for (size_t i = 0; i < sizeof photo; i++)
      photo[i] = round < 4 ? (uint8_t)hem__test_random(&state) : hem__test_random(&state) % 2 ? 255 : 0;
    guarded_extract(&hem__feature_hog, photo, 0x00, values);
    guarded_extract(&hem__feature_hog, photo, 0xFF, others);
    ck_assert_mem_eq(values, others, sizeof values);
    for (size_t i = 0; i < DIM; i++) ck_assert(values[i] >= 0.0F && values[i] <= 1.0F);
  }
}
END_TEST

HEM_TESTS("hog", shape, agrees_with_opencv, sees_edges_between_colours, flat_is_zero, mirrored_photo_permutes_bins,
          noise_is_finite_and_repeatable)
