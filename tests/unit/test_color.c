/* The colour features and luma against NumPy, OpenCV and scikit-image (tests/reference/features_color.py), and by
 * hand where the right answer can be seen. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "ingest/feature.h"
#include "reference/synthetic.h"
#include "support/guarded_feature.h"
#include "test.h"

#include "reference/features_color.h"

static float *extract(const hem__feature *feature, const hem__image *photo) {
  float *out = NULL;
  ck_assert_uint_eq(photo->width, feature->side);
  ck_assert_uint_eq(photo->height, feature->side);
  ck_ok(hem__alloc(feature->dim, sizeof *out, "a vector", &out, err));
  guarded_extract(feature, photo->at, 0xA5, out);
  return out;
}

static void compare(const hem__feature *feature, size_t kind, const reference *want, double tolerance) {
  hem__image photo = synthetic(feature->side, feature->side, kind);
  float *got = extract(feature, &photo);
  ck_assert_uint_eq(feature->dim, want->dim);
  double sum = 0, moment = 0;
  for (size_t i = 0; i < feature->dim; i++) {
    sum += (double)got[i];
    moment += (double)got[i] * (double)(i + 1);
    if (i % want->every == 0) ck_assert_double_eq_tol((double)got[i], (double)want->sample[i / want->every], tolerance);
  }
  ck_assert_double_eq_tol(sum, want->sum, 1e-5 * fabs(want->sum));
  ck_assert_double_eq_tol(moment, want->moment, 1e-5 * fabs(want->moment));
  free(got);
  hem__image_clear(&photo);
}

START_TEST(features_equal_their_references) {
  compare(&hem__feature_hue_histogram, 0, &hue_0, 1e-6);
  compare(&hem__feature_hue_histogram, 1, &hue_1, 1e-6);
  compare(&hem__feature_color_histogram, 0, &color_0, 1e-6);
  compare(&hem__feature_color_histogram, 1, &color_1, 1e-6);
  compare(&hem__feature_color_coherence, 0, &ccv_0, 1e-6);
  compare(&hem__feature_color_coherence, 1, &ccv_1, 1e-6);
  compare(&hem__feature_pixels, 0, &pixels_0, 1e-9);
}
END_TEST

static hem__image flat(size_t side, uint8_t r, uint8_t g, uint8_t b) {
  hem__image image = {0};
  ck_ok(hem__image_new(side, side, &image, err));
  for (size_t i = 0; i < side * side; i++) memcpy(image.at + 3 * i, (uint8_t[]){r, g, b}, 3);
  return image;
}

static void paint(hem__image *image, size_t x, size_t y, size_t width, size_t height, uint8_t r, uint8_t g, uint8_t b) {
  for (size_t j = y; j < y + height; j++)
    for (size_t i = x; i < x + width; i++) memcpy(image->at + 3 * (j * image->width + i), (uint8_t[]){r, g, b}, 3);
}

START_TEST(luma_weights_are_those_of_bt601) {
  static const struct {
    uint8_t rgb[3];
    float luma;
  } cases[] = {{{255, 0, 0}, 76}, {{0, 255, 0}, 150}, {{0, 0, 255}, 29}, {{255, 255, 255}, 255}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem__image photo = flat(28, cases[i].rgb[0], cases[i].rgb[1], cases[i].rgb[2]);
    float *got = extract(&hem__feature_pixels, &photo);
    ck_assert_float_eq(got[0], cases[i].luma);
    ck_assert_float_eq_tol(hem__luma(cases[i].rgb), cases[i].luma, 0.5F);
    free(got);
    hem__image_clear(&photo);
  }
}
END_TEST

START_TEST(grey_pixels_come_through_unchanged) {
  hem__image photo = flat(28, 0, 0, 0);
  for (size_t i = 0; i < 784; i++) memset(photo.at + 3 * i, (int)(i % 256), 3);
  float *got = extract(&hem__feature_pixels, &photo);
  for (size_t i = 0; i < 784; i++) ck_assert_float_eq(got[i], (float)(i % 256));
  free(got);
  hem__image_clear(&photo);
}
END_TEST

START_TEST(grey_has_no_hue) {
  hem__image photo = flat(64, 90, 90, 90);
  float *got = extract(&hem__feature_hue_histogram, &photo);
  for (size_t i = 0; i < 25; i++) ck_assert_float_eq(got[i], 0);
  free(got);
  paint(&photo, 0, 0, 1, 1, 0, 0, 200); /* one blue pixel decides: 240 degrees, bin 16 of 25 */
  got = extract(&hem__feature_hue_histogram, &photo);
  ck_assert_float_eq(got[16], 1);
  free(got);
  hem__image_clear(&photo);
}
END_TEST

START_TEST(light_background_counts_little_but_counts) {
  hem__image photo = flat(64, 255, 255, 255);
  float *got = extract(&hem__feature_color_histogram, &photo);
  ck_assert_float_eq(got[3], 1); /* grey in hue bin 0, least saturation, most value */
  free(got);
  paint(&photo, 0, 0, 64, 4, 255, 0, 0); /* a sixteenth of the pixels, each of sixteen times the weight */
  got = extract(&hem__feature_color_histogram, &photo);
  ck_assert_float_eq_tol(got[3] * got[3], 15.0F / 31.0F, 1e-6F);
  ck_assert_float_eq_tol(got[15] * got[15], 16.0F / 31.0F, 1e-6F);
  free(got);
  hem__image_clear(&photo);
}
END_TEST

/* Value of the "ccv" colour `colour`, coherent or not, as a share. */
static float share(const float *ccv, size_t colour, bool coherent) {
  float root = ccv[2 * colour + (coherent ? 0 : 1)];
  return root * root;
}

START_TEST(coherence_tells_one_region_from_scattered_ones) {
  enum { BLACK = 0 }; /* hue, saturation and value bins are all 0 */
  hem__image photo = flat(64, 120, 120, 120);
  paint(&photo, 8, 8, 9, 9, 0, 0, 0); /* the mean rounds its corners: 49 to 81 pixels, above 40 */
  float *got = extract(&hem__feature_color_coherence, &photo);
  float whole = share(got, BLACK, true);
  ck_assert_float_gt(whole, 49.0F / 4096.0F);
  ck_assert_float_eq(share(got, BLACK, false), 0);
  free(got);
  hem__image_clear(&photo);

  photo = flat(64, 120, 120, 120);
  for (size_t i = 0; i < 9; i++) paint(&photo, 4 + i % 3 * 16, 4 + i / 3 * 16, 3, 3, 0, 0, 0);
  got = extract(&hem__feature_color_coherence, &photo);
  ck_assert_float_eq(share(got, BLACK, true), 0);
  ck_assert_float_gt(share(got, BLACK, false), 9.0F / 4096.0F);
  free(got);
  hem__image_clear(&photo);
}
END_TEST

static void expect_one_black_region(hem__image *photo) {
  float *got = extract(&hem__feature_color_coherence, photo);
  ck_assert_float_gt(share(got, 0, true), 40.0F / 4096.0F);
  ck_assert_float_eq(share(got, 0, false), 0);
  free(got);
  hem__image_clear(photo);
}

/* The arms of a U, 20 pixels each and too small alone, meet only in its last row. A line one pixel wide, at 45
 * degrees, still is one after the mean, and holds together by its corners alone. */
START_TEST(regions_join_late_and_by_their_corners) {
  hem__image photo = flat(64, 120, 120, 120);
  paint(&photo, 10, 10, 2, 10, 0, 0, 0);
  paint(&photo, 16, 10, 2, 10, 0, 0, 0);
  paint(&photo, 10, 20, 8, 2, 0, 0, 0);
  expect_one_black_region(&photo);
  for (size_t falling = 0; falling < 2; falling++) {
    photo = flat(64, 120, 120, 120);
    for (size_t i = 3; i < 61; i++) paint(&photo, falling ? i : 63 - i, i, 1, 1, 0, 0, 0);
    expect_one_black_region(&photo);
  }
}
END_TEST

HEM_TESTS("color", features_equal_their_references, luma_weights_are_those_of_bt601, grey_pixels_come_through_unchanged,
          grey_has_no_hue, light_background_counts_little_but_counts, coherence_tells_one_region_from_scattered_ones,
          regions_join_late_and_by_their_corners)
