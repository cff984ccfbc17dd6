/* Photos in memory: cutting, stretching (against OpenCV), and what a photo says of itself. */
#include <math.h>
#include <string.h>

#include "ingest/decode.h"
#include "reference/synthetic.h"
#include "test.h"

#include "reference/features_color.h"

START_TEST(sides_are_checked) {
  hem__image image = {0};
  ck_fails(hem__image_new(0, 4, &image, err), HEM_EINVAL, "each side");
  ck_fails(hem__image_new(4, 65536, &image, err), HEM_EINVAL, "each side");
  ck_assert_ptr_null(image.at);
  ck_ok(hem__image_new(65535, 1, &image, err));
  hem__image_clear(&image);
  hem__image_clear(&image);
}
END_TEST

static void cut(const hem__image *photo, hem__box box, size_t x, size_t y, size_t width, size_t height) {
  hem__image out = {0};
  ck_ok(hem__image_crop(photo, box, &out, err));
  ck_assert_uint_eq(out.width, width);
  ck_assert_uint_eq(out.height, height);
  for (size_t j = 0; j < height; j++)
    ck_assert_mem_eq(out.at + j * width * 3, photo->at + ((y + j) * photo->width + x) * 3, width * 3);
  hem__image_clear(&out);
}

START_TEST(boxes_are_cut_at_the_edges) {
  hem__image photo = synthetic(20, 10, 0), out = {0};
  cut(&photo, (hem__box){0}, 0, 0, 20, 10);
  cut(&photo, (hem__box){3, 2, 5, 4, HEM__PIXELS}, 3, 2, 5, 4);
  cut(&photo, (hem__box){-3, -2, 5, 4, HEM__PIXELS}, 0, 0, 2, 2);
  cut(&photo, (hem__box){18, 9, INT32_MAX, INT32_MAX, HEM__PIXELS}, 18, 9, 2, 1);
  ck_fails(hem__image_crop(&photo, (hem__box){20, 0, 5, 5, HEM__PIXELS}, &out, err), HEM_EINVAL, "leaves nothing");
  ck_fails(hem__image_crop(&photo, (hem__box){4, 4, 0, 5, HEM__PIXELS}, &out, err), HEM_EINVAL, "leaves nothing");
  ck_fails(hem__image_crop(&photo, (hem__box){4, 4, -9, 5, HEM__PIXELS}, &out, err), HEM_EINVAL, "leaves nothing");
  ck_fails(hem__image_crop(&photo, (hem__box){INT32_MIN, 0, INT32_MIN, 5, HEM__PIXELS}, &out, err), HEM_EINVAL,
           "leaves nothing");
  hem__image_clear(&photo);
}
END_TEST

/* Edges are rounded to whole pixels, so that boxes that touch in millionths touch in pixels. */
START_TEST(relative_boxes_are_rounded_at_their_edges) {
  hem__image photo = synthetic(20, 10, 0), out = {0};
  cut(&photo, (hem__box){0, 0, 1000000, 1000000, HEM__MILLIONTHS}, 0, 0, 20, 10);
  cut(&photo, (hem__box){250000, 500000, 500000, 500000, HEM__MILLIONTHS}, 5, 5, 10, 5);
  cut(&photo, (hem__box){0, 0, 333333, 333333, HEM__MILLIONTHS}, 0, 0, 7, 3);
  cut(&photo, (hem__box){333333, 333333, 666667, 666667, HEM__MILLIONTHS}, 7, 3, 13, 7);
  cut(&photo, (hem__box){900000, 900000, 500000, INT32_MAX, HEM__MILLIONTHS}, 18, 9, 2, 1);
  cut(&photo, (hem__box){0, 0, 0, 0, HEM__MILLIONTHS}, 0, 0, 20, 10);
  ck_fails(hem__image_crop(&photo, (hem__box){0, 0, 20000, 500000, HEM__MILLIONTHS}, &out, err), HEM_EINVAL,
           "leaves nothing");
  ck_fails(hem__image_crop(&photo, (hem__box){0, 0, 20000, 20000, HEM__MILLIONTHS}, &out, err), HEM_EINVAL,
           "leaves nothing");
  hem__image_clear(&photo);
}
END_TEST

/* ---- metadata ---- */

START_TEST(orientation_is_read_either_way_round) {
  static const uint8_t little[] = "II*\0\10\0\0\0\2\0\0\1\3\0\1\0\0\0\5\0\0\0\x12\1\3\0\1\0\0\0\6\0\0",
                       big[] = "MM\0*\0\0\0\11?\0\1\1\x12\0\3\0\0\0\1\0\10\0";
  ck_assert_int_eq(hem__exif_orientation(little, sizeof little), 6);
  ck_assert_int_eq(hem__exif_orientation(big, sizeof big), 8);
  for (size_t size = 0; size < 30; size++) {
    uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read past the end */
    memcpy(exact, little, size);
    ck_assert_int_eq(hem__exif_orientation(exact, size), 1);
    free(exact);
  }
  ck_assert_int_eq(hem__exif_orientation((const uint8_t *)"II*\0\xFF\xFF\xFF\xFF", 8), 1);
}
END_TEST

/* A profile of one tag, "desc", whose text begins at `text`. */
static bool srgb(const char *tag, size_t tag_size, size_t size) {
  uint8_t profile[200] = {0}, *exact = malloc(size);
  memcpy(profile + 16, "RGB ", 4);
  memcpy(profile + 128, "\0\0\0\1desc\0\0\0\x90\0\0\0\x30", 16);
  memcpy(profile + 144, tag, tag_size);
  memcpy(exact, profile, size);
  bool is = hem__profile_is_srgb(exact, size);
  free(exact);
  return is;
}

START_TEST(srgb_is_known_by_its_name) {
  static const char old[] = "desc\0\0\0\0\0\0\0\25sRGB IEC61966-2.1", p3[] = "desc\0\0\0\0\0\0\0\25Display P3",
                    wide[] = "mluc\0\0\0\0\0\0\0\1\0\0\0\14enUS\0\0\0\10\0\0\0\34\0s\0R\0G\0B",
                    far[] = "mluc\0\0\0\0\0\0\0\1\0\0\0\14enUS\0\0\0\10\xFF\0\0\34\0s\0R\0G\0B";
  ck_assert(srgb(old, sizeof old, 200));
  ck_assert(srgb(wide, sizeof wide, 200));
  ck_assert(!srgb(p3, sizeof p3, 200));
  ck_assert(!srgb(far, sizeof far, 200));
  for (size_t size = 1; size < 160; size++) ck_assert(!srgb(old, sizeof old, size));
  for (size_t size = 1; size < 180; size++) ck_assert(!srgb(wide, sizeof wide, size));
}
END_TEST

static hem__image stretch(const hem__image *photo, size_t width, size_t height) {
  hem__image out = {0};
  ck_ok(hem__image_resize(photo, width, height, &out, err));
  ck_assert_uint_eq(out.width, width);
  ck_assert_uint_eq(out.height, height);
  return out;
}

/* OpenCV rounds its weights; ours are exact: a value may differ by one where the average lies between two. */
static void compare(size_t width, size_t height, size_t kind, size_t to_width, size_t to_height,
                    const reference *want) {
  hem__image photo = synthetic(width, height, kind), got = stretch(&photo, to_width, to_height);
  size_t count = to_width * to_height * 3;
  double sum = 0, moment = 0;
  ck_assert_uint_eq(count, want->dim);
  for (size_t i = 0; i < count; i++) {
    sum += got.at[i];
    moment += got.at[i] * (double)(i + 1);
    if (i % want->every == 0) ck_assert_double_le(fabs(got.at[i] - (double)want->sample[i / want->every]), 1);
  }
  ck_assert_double_eq_tol(sum, want->sum, 1e-4 * want->sum);
  ck_assert_double_eq_tol(moment, want->moment, 1e-4 * want->moment);
  hem__image_clear(&photo);
  hem__image_clear(&got);
}

START_TEST(stretching_equals_opencv) {
  compare(100, 75, 1, 28, 31, &shrunk);
  compare(100, 74, 1, 50, 37, &halved);
  compare(28, 28, 1, 64, 50, &grown);
}
END_TEST

START_TEST(stretching_to_its_own_size_changes_nothing) {
  hem__image photo = synthetic(28, 28, 0), same = stretch(&photo, 28, 28);
  ck_assert_mem_eq(same.at, photo.at, 28 * 28 * 3);
  hem__image_clear(&photo);
  hem__image_clear(&same);
}
END_TEST

START_TEST(a_flat_photo_stays_flat_at_any_size) {
  static const size_t sides[] = {1, 2, 3, 7, 64, 65, 1000};
  enum { SIDES = sizeof sides / sizeof *sides };
  for (size_t i = 0; i < SIDES * SIDES; i++) {
    hem__image photo = {0};
    ck_ok(hem__image_new(sides[i / SIDES], sides[i % SIDES], &photo, err));
    memset(photo.at, 255, photo.width * photo.height * 3);
    hem__image out = stretch(&photo, 28, 33);
    for (size_t j = 0; j < (size_t)28 * 33 * 3; j++) ck_assert_uint_eq(out.at[j], 255);
    hem__image_clear(&photo);
    hem__image_clear(&out);
  }
}
END_TEST

/* The sums are largest where one axis shrinks from, or grows to, as far as it can. */
START_TEST(the_largest_sides_do_not_overflow) {
  static const size_t cases[][4] = {{65535, 1, 1, 300}, {300, 1, 1, 65535}, {1, 65535, 300, 1}, {1, 300, 65535, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem__image photo = {0};
    ck_ok(hem__image_new(cases[i][0], cases[i][1], &photo, err));
    memset(photo.at, 255, photo.width * photo.height * 3);
    hem__image out = stretch(&photo, cases[i][2], cases[i][3]);
    for (size_t j = 0; j < out.width * out.height * 3; j++) ck_assert_uint_eq(out.at[j], 255);
    hem__image_clear(&photo);
    hem__image_clear(&out);
  }
}
END_TEST

HEM_TESTS("image", sides_are_checked, boxes_are_cut_at_the_edges, relative_boxes_are_rounded_at_their_edges,
          orientation_is_read_either_way_round, srgb_is_known_by_its_name, stretching_equals_opencv,
          stretching_to_its_own_size_changes_nothing, a_flat_photo_stays_flat_at_any_size,
          the_largest_sides_do_not_overflow)
