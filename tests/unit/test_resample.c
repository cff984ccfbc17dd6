/* Stretching against Pillow (reference/preprocess.py), to the bit, with and without AVX2. */
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "ingest/resample.h"
#include "reference/preprocess.h"
#include "reference/synthetic.h"
#include "test.h"

static hem__image resample(const hem__image *photo, const hem__resampling *how) {
  hem__image out = {0};
  ck_ok(hem__resample(photo, how, &out, err));
  return out;
}

static size_t bytes_of(const hem__image *image) { return image->width * image->height * 3; }

static void compare(const struct stretched *want, bool plain) {
  hem__image photo = synthetic(want->width, want->height, 1);
  hem__resampling how = {
      .part = want->part, .width = want->to_width, .height = want->to_height, .filter = want->filter, .plain = plain};
  hem__image got = resample(&photo, &how);
  ck_assert_uint_eq(got.width, want->to_width);
  ck_assert_uint_eq(got.height, want->to_height);
  size_t size = bytes_of(&got);
  for (size_t i = 0; i < REFERENCE_SAMPLES; i++)
    ck_assert_uint_eq(got.at[i * (size - 1) / (REFERENCE_SAMPLES - 1)], want->samples[i]);
  ck_assert_uint_eq(crc32(0, got.at, (uInt)size), want->crc);
  hem__image_clear(&got);
  hem__image_clear(&photo);
}

START_TEST(stretching_equals_pillow) {
  for (size_t i = 0; i < sizeof reference_stretched / sizeof *reference_stretched; i++) {
    compare(&reference_stretched[i], false);
    compare(&reference_stretched[i], true);
  }
}
END_TEST

static size_t below(uint64_t *random, size_t limit) { return (size_t)(hem__test_random(random) % limit); }

static hem__image noise(uint64_t *random, size_t width, size_t height) {
  hem__image photo = {0};
  ck_ok(hem__image_new(width, height, &photo, err));
  bool harsh = below(random, 2);
  for (size_t i = 0; i < bytes_of(&photo); i++) {
    uint8_t value = (uint8_t)hem__test_random(random);
    photo.at[i] = harsh ? (uint8_t)(value & 1 ? 255 : 0) : value; /* harsh: bicubic overshoots everywhere */
  }
  return photo;
}

/* Any size, any window: what is computed is what would be cut from the whole, and both kernels say the same. */
START_TEST(a_window_is_a_cut_from_the_whole) {
  uint64_t random = 5;
  for (size_t round = 0; round < 400; round++) {
    hem__image photo = noise(&random, 1 + below(&random, 60), 1 + below(&random, 60));
    hem__resampling how = {.width = 1 + below(&random, 90), .height = 1 + below(&random, 90), .filter = round % 2};
    hem__image whole = resample(&photo, &how);
    how.plain = round % 4 < 2;
    hem__window *w = &how.window;
    w->left = below(&random, how.width);
    w->top = below(&random, how.height);
    w->width = 1 + below(&random, how.width - w->left);
    w->height = 1 + below(&random, how.height - w->top);
    hem__image part = resample(&photo, &how);
    ck_assert_uint_eq(part.width, w->width);
    ck_assert_uint_eq(part.height, w->height);
    for (size_t y = 0; y < w->height; y++)
      ck_assert_mem_eq(part.at + y * w->width * 3, whole.at + ((w->top + y) * how.width + w->left) * 3, w->width * 3);
    hem__image_clear(&photo);
    hem__image_clear(&whole);
    hem__image_clear(&part);
  }
}
END_TEST

START_TEST(a_white_photo_stays_white_at_the_largest_sides) {
  static const size_t cases[][4] = {
      {65535, 1, 1, 300}, {300, 1, 1, 65535}, {1, 65535, 300, 1}, {1, 300, 65535, 1}, {65535, 2, 65535, 2}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases * 4; i++) {
    hem__image photo = {0};
    const size_t *c = cases[i / 4];
    ck_ok(hem__image_new(c[0], c[1], &photo, err));
    memset(photo.at, 255, bytes_of(&photo));
    hem__resampling how = {.width = c[2], .height = c[3], .filter = i % 2, .plain = i % 4 < 2};
    hem__image out = resample(&photo, &how);
    size_t white = 0;
    while (white < bytes_of(&out) && out.at[white] == 255) white++;
    ck_assert_uint_eq(white, bytes_of(&out));
    hem__image_clear(&photo);
    hem__image_clear(&out);
  }
}
END_TEST

/* A window of a result that nobody could hold. */
START_TEST(a_window_costs_what_it_shows) {
  hem__image photo = synthetic(3, 60000, 0), out = {0};
  hem__resampling how = {.width = 30000, .height = 600000000, .window = {14000, 300000000, 224, 224}};
  ck_ok(hem__resample(&photo, &how, &out, err));
  ck_assert_uint_eq(out.width, 224);
  hem__image_clear(&out);
  how.window = (hem__window){0};
  ck_fails(hem__resample(&photo, &how, &out, err), HEM_EINVAL, "each side");
  hem__image_clear(&photo);
}
END_TEST

START_TEST(what_cannot_be_is_refused) {
  hem__image photo = synthetic(20, 10, 0), out = {0};
  static const hem__part parts[] = {
      {0, 0, 20.5, 10}, {0, 0, 20, 11},   {-1, 0, 20, 10}, {0, -0.1, 20, 10},    {5, 0, 5, 10},
      {0, 6, 20, 5},    {NAN, 0, 20, 10}, {0, 0, 20, NAN}, {0, 0, INFINITY, 10}, {7.00000001, 0, 7.00000002, 10}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    hem__resampling how = {.part = parts[i], .width = 4, .height = 4};
    ck_fails(hem__resample(&photo, &how, &out, err), HEM_EINVAL, "not inside a photo of 20 x 10");
  }
  static const hem__window windows[] = {{0, 0, 5, 4}, {0, 0, 4, 5}, {3, 0, 2, 1}, {0, 5, 1, 1}, {SIZE_MAX, 0, 2, 1}};
  for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
    hem__resampling how = {.width = 4, .height = 4, .window = windows[i]};
    ck_fails(hem__resample(&photo, &how, &out, err), HEM_EINVAL, "does not lie in");
  }
  hem__resampling none = {.width = 0, .height = 4}, thin = {.width = 4, .height = 4, .window = {0, 0, 2, 0}};
  ck_fails(hem__resample(&photo, &none, &out, err), HEM_EINVAL, "each side");
  ck_fails(hem__resample(&photo, &thin, &out, err), HEM_EINVAL, "each side");
  ck_assert_ptr_null(out.at);
  hem__image_clear(&photo);
}
END_TEST

HEM_TESTS("resample", stretching_equals_pillow, a_window_is_a_cut_from_the_whole,
          a_white_photo_stays_white_at_the_largest_sides, a_window_costs_what_it_shows, what_cannot_be_is_refused)
