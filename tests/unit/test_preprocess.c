/* Preprocessing: tensors against torchvision's (reference/preprocess.py), to the bit; the text and its mistakes. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "ingest/preprocess.h"
#include "reference/preprocess.h"
#include "reference/synthetic.h"
#include "test.h"

static hem__preprocess parse(const char *preset, const char *text) {
  const hem__preset *found = NULL;
  hem__preprocess p = {0};
  ck_ok(hem__preset_find(preset, &found, err));
  ck_ok(hem__preprocess_parse(found->preprocess, &p, err));
  ck_ok(hem__preprocess_parse(text, &p, err));
  return p;
}

/* Freed with free(). */
static float *apply(const hem__preprocess *p, const hem__image *photo) {
  float *tensor = malloc(hem__preprocess_size(p) * sizeof *tensor); /* so that a sanitizer sees a write past it */
  ck_ok(hem__preprocess_apply(p, photo, tensor, err));
  return tensor;
}

static void compare(const struct tensor *want, size_t kind) {
  hem__preprocess p = parse(want->preset, want->text);
  hem__image photo = synthetic(want->width, want->height, kind);
  float *got = apply(&p, &photo);
  size_t size = hem__preprocess_size(&p);
  for (size_t i = 0; i < REFERENCE_SAMPLES; i++)
    ck_assert_float_eq(got[i * (size - 1) / (REFERENCE_SAMPLES - 1)], want->samples[i]);
  ck_assert_uint_eq(crc32(0, (const Bytef *)got, (uInt)(size * sizeof *got)), want->crc);
  free(got);
  hem__image_clear(&photo);
}

START_TEST(tensors_equal_torchvision) {
  for (size_t i = 0; i < sizeof reference_tensors / sizeof *reference_tensors; i++)
    compare(&reference_tensors[i], reference_tensors[i].text[0] ? 2 : 0);
}
END_TEST

START_TEST(order_and_layout_move_values_only) {
  hem__image photo = synthetic(90, 70, 0);
  hem__preprocess p = parse("resnet50", "resize=40 crop=32"), other = parse("resnet50", "resize=40 crop=32 order=bgr"),
                  last = parse("resnet50", "resize=40 crop=32 layout=nhwc");
  float *rgb = apply(&p, &photo), *bgr = apply(&other, &photo), *nhwc = apply(&last, &photo);
  size_t plane = (size_t)32 * 32;
  for (size_t c = 0; c < 3; c++)
    for (size_t i = 0; i < plane; i++) {
      ck_assert_float_eq(bgr[(2 - c) * plane + i], rgb[c * plane + i]);
      ck_assert_float_eq(nhwc[i * 3 + c], rgb[c * plane + i]);
    }
  free(rgb);
  free(bgr);
  free(nhwc);
  hem__image_clear(&photo);
}
END_TEST

/* The tensor's values are the pixels themselves. */
#define BARE "scale=1 mean=0,0,0 std=1,1,1 layout=nhwc"

/* 60 x 40 into 20 wide and 50 high: 20 x 13, with 18 rows above it. */
START_TEST(a_letterbox_need_not_be_square) {
  hem__image photo = synthetic(60, 40, 0), small = {0};
  hem__preprocess p = parse("resnet50", BARE " fit=letterbox crop=20x50 pad=9,8,7");
  hem__resampling how = {.width = 20, .height = 13};
  float *got = apply(&p, &photo);
  ck_ok(hem__resample(&photo, &how, &small, err));
  for (size_t y = 0; y < 50; y++)
    for (size_t i = 0; i < (size_t)20 * 3; i++) {
      bool inside = y >= 18 && y < 31;
      ck_assert_float_eq(got[y * 20 * 3 + i], inside ? small.at[(y - 18) * 20 * 3 + i] : (uint8_t)(9 - i % 3));
    }
  free(got);
  hem__image_clear(&small);
  hem__image_clear(&photo);
}
END_TEST

START_TEST(a_letterbox_lies_in_the_middle) {
  hem__image photo = synthetic(60, 40, 0), small = {0};
  hem__preprocess p = parse("resnet50", BARE " fit=letterbox crop=31 pad=9,8,7");
  hem__resampling how = {.width = 31, .height = 21};
  float *got = apply(&p, &photo);
  ck_ok(hem__resample(&photo, &how, &small, err));
  for (size_t y = 0; y < 31; y++)
    for (size_t i = 0; i < (size_t)31 * 3; i++) {
      bool inside = y >= 5 && y < 26;
      uint8_t want = inside ? small.at[(y - 5) * 31 * 3 + i] : (uint8_t)(9 - i % 3);
      ck_assert_float_eq(got[y * 31 * 3 + i], want);
    }
  free(got);
  hem__image_clear(&small);
  hem__image_clear(&photo);
}
END_TEST

static void expect_resampled(const hem__preprocess *p, const hem__image *photo, hem__part part) {
  hem__image small = {0};
  hem__resampling how = {.part = part, .width = p->width, .height = p->height};
  float *got = apply(p, photo);
  ck_ok(hem__resample(photo, &how, &small, err));
  for (size_t i = 0; i < hem__preprocess_size(p); i++) ck_assert_float_eq(got[i], small.at[i]);
  free(got);
  hem__image_clear(&small);
}

/* 0.875 of 101 leaves 6.3 pixels on either side, of 60 3.75: whole ones are cut off. */
START_TEST(the_centre_is_cut_in_whole_pixels) {
  hem__image photo = synthetic(101, 60, 0), thin = synthetic(1, 3, 0);
  hem__preprocess p = parse("mobilenet_v1_tf", BARE), least = parse("mobilenet_v1_tf", BARE " crop=5 central=0.01"),
                  whole = parse("mobilenet_v1_tf", BARE " fit=stretch");
  expect_resampled(&p, &photo, (hem__part){6, 3, 95, 57});
  expect_resampled(&whole, &photo, (hem__part){0});
  expect_resampled(&least, &thin, (hem__part){0, 1, 1, 2});
  hem__image_clear(&photo);
  hem__image_clear(&thin);
}
END_TEST

START_TEST(mobilenet_values_are_those_of_8_bit_networks) {
  hem__image photo = {0};
  hem__preprocess p = parse("mobilenet_v1_tf", "crop=1");
  ck_ok(hem__image_new(1, 1, &photo, err));
  memcpy(photo.at, (const uint8_t[]){0, 128, 255}, 3);
  float *got = apply(&p, &photo);
  ck_assert_float_eq(got[0], -1);
  ck_assert_float_eq(got[1], 0);
  ck_assert_float_eq(got[2], 127.0F / 128);
  free(got);
  hem__image_clear(&photo);
}
END_TEST

/* ---- text ---- */

static void expect_text(const hem__preprocess *p, const char *want) {
  char text[HEM__PREPROCESS_TEXT], again[HEM__PREPROCESS_TEXT];
  hem__preprocess read = {0};
  hem__preprocess_text(p, text);
  ck_assert_str_eq(text, want);
  ck_ok(hem__preprocess_parse(text, &read, err));
  hem__preprocess_text(&read, again);
  ck_assert_str_eq(again, want);
}

START_TEST(text_has_one_form) {
  setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is installed, 0,5 is a half */
  hem__preprocess p = parse("resnet50", "");
  expect_text(&p,
              "fit=shorter resize=256 crop=224 filter=bilinear scale=255 mean=0.485,0.456,0.406 "
              "std=0.229,0.224,0.225 order=rgb layout=nchw");
  p = parse("mobilenet_v1_tf", "\tlayout=nhwc \n order=bgr  filter=bicubic mean=1e2,-0.10,1e-7 ");
  expect_text(&p,
              "fit=central crop=224 central=0.875 filter=bicubic scale=1 mean=100,-0.1,1e-07 std=128,128,128 "
              "order=bgr layout=nhwc");
  p = parse("vgg19", "fit=letterbox pad=255,0,104 scale=127.5 mean=0.1,0.30000000000000004,1 std=1,1,1");
  expect_text(&p,
              "fit=letterbox crop=224 pad=255,0,104 filter=bilinear scale=127.5 mean=0.1,0.30000000000000004,1 "
              "std=1,1,1 order=rgb layout=nchw");
  p = parse("vgg19", "fit=stretch crop=96x128");
  expect_text(&p,
              "fit=stretch crop=96x128 filter=bilinear scale=255 mean=0.485,0.456,0.406 std=0.229,0.224,0.225 "
              "order=rgb layout=nchw");
  ck_assert_uint_eq(hem__preprocess_size(&p), (size_t)3 * 96 * 128);
  p = parse("vgg19", "fit=stretch crop=4096");
  ck_assert_uint_eq(hem__preprocess_size(&p), (size_t)3 * 4096 * 4096);
  setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(the_longest_text_fits) {
  static const char *const numbers = "-0.12345678901234566,-0.12345678901234566,-0.12345678901234566",
                           *const small = "1.2345678901234567e-05,1.2345678901234567e-05,1.2345678901234567e-05";
  char text[HEM__PREPROCESS_TEXT], asked[HEM__PREPROCESS_TEXT];
  snprintf(asked, sizeof asked, "fit=letterbox crop=4096 pad=255,255,255 scale=1.2345678901234567e-05 mean=%s std=%s",
           numbers, small);
  hem__preprocess p = parse("vgg16", asked);
  hem__preprocess_text(&p, text);
  ck_assert_uint_lt(strlen(text), HEM__PREPROCESS_TEXT / 2 + 100);
  expect_text(&p, text);
}
END_TEST

static const char *const mistakes[][2] = {
    {"crop", "'crop' is not key=value"},
    {"size=224", "'size=224' is not key=value with one of the keys fit, resize, crop, central, pad, filter, scale"},
    {"=3", "is not key=value"},
    {"crop=100 crop=100", "crop is named twice"},
    {"crop=", "'crop=' makes no sense; crop is the side of the network's input"},
    {"crop=96x", "1 to 4096"},
    {"crop=x96", "1 to 4096"},
    {"crop=96x128x3", "1 to 4096"},
    {"crop=4097x5", "1 to 4096"},
    {"crop=0", "1 to 4096"},
    {"crop=4097", "1 to 4096"},
    {"crop=-5", "1 to 4096"},
    {"crop=+5", "1 to 4096"},
    {"crop=22.5", "1 to 4096"},
    {"crop=99999999999999999999", "1 to 4096"},
    {"resize=8193", "1 to 8192"},
    {"fit=square", "fit is shorter, stretch, letterbox or central"},
    {"filter=lanczos", "bilinear or bicubic"},
    {"order=RGB", "rgb or bgr"},
    {"layout=chw", "nchw or nhwc"},
    {"scale=0", "scale is the number"},
    {"scale=-1", "scale is the number"},
    {"scale=nan", "scale is the number"},
    {"scale=0x10", "scale is the number"},
    {"scale=1e999", "scale is the number"},
    {"mean=1,2", "mean is red,green,blue"},
    {"mean=1,2,3,4", "mean is red,green,blue"},
    {"mean=1,,3", "mean is red,green,blue"},
    {"mean=1,2,inf", "mean is red,green,blue"},
    {"mean=1,2,-2e6", "mean is red,green,blue"},
    {"std=1,0,1", "std is red,green,blue"},
    {"std=1,1,-1", "std is red,green,blue"},
    {"fit=letterbox pad=1,2,256", "pad is red,green,blue"},
    {"fit=letterbox pad=1,2,0.5", "pad is red,green,blue"},
    {"fit=central central=0", "0.01 to 1"},
    {"fit=central central=1.01", "0.01 to 1"},
    {"fit=central", "central= is missing; it is the part of each side"},
    {"fit=stretch resize=256", "resize has no meaning with fit=stretch"},
    {"pad=1,2,3", "pad has no meaning with fit=shorter"},
};

START_TEST(mistakes_are_explained) {
  hem__preprocess p = parse("resnet50", ""), before = p, none = {0};
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    ck_fails(hem__preprocess_parse(mistakes[i][0], &p, err), HEM_EINVAL, mistakes[i][1]);
    ck_assert_mem_eq(&p, &before, sizeof p);
  }
  ck_fails(hem__preprocess_parse("", &none, err), HEM_EINVAL, "resize= is missing");
  ck_fails(hem__preprocess_parse("resize=3", &none, err), HEM_EINVAL, "crop= is missing");
  ck_fails(hem__preprocess_parse("resize=3 crop=3", &none, err), HEM_EINVAL, "scale= is missing");
  ck_fails(hem__preprocess_parse("resize=3 crop=3 scale=1", &none, err), HEM_EINVAL, "std= is missing");
}
END_TEST

START_TEST(an_endless_value_is_cut_short) {
  char text[2000];
  hem__preprocess p = parse("resnet50", "");
  memset(text, '1', sizeof text);
  text[sizeof text - 1] = '\0';
  memcpy(text, "crop=", 5);
  ck_fails(hem__preprocess_parse(text, &p, err), HEM_EINVAL, "crop is the side");
  memcpy(text, "what=", 5);
  ck_fails(hem__preprocess_parse(text, &p, err), HEM_EINVAL, "one of the keys fit");
}
END_TEST

START_TEST(presets_are_found_by_name) {
  static const char *const names[] = {"vgg16",        "vgg19",           "inception_v3",   "resnet50",
                                      "mobilenet_v2", "mobilenet_v1_tf", "mobilenet_v2_tf"};
  size_t count = 0;
  for (const hem__preset *p = hem__presets; p->name; p++) {
    const hem__preset *found = NULL;
    ck_assert_str_eq(p->name, names[count++]);
    ck_ok(hem__preset_find(p->name, &found, err));
    ck_assert_ptr_eq(found, p);
  }
  ck_assert_uint_eq(count, sizeof names / sizeof *names);
  const hem__preset *none = NULL;
  ck_fails(
      hem__preset_find("resnet", &none, err), HEM_EINVAL,
      "no preset 'resnet', only vgg16, vgg19, inception_v3, resnet50, mobilenet_v2, mobilenet_v1_tf, mobilenet_v2_tf");
}
END_TEST

HEM_TESTS("preprocess", tensors_equal_torchvision, order_and_layout_move_values_only, a_letterbox_lies_in_the_middle,
          a_letterbox_need_not_be_square, the_centre_is_cut_in_whole_pixels,
          mobilenet_values_are_those_of_8_bit_networks, text_has_one_form, the_longest_text_fits,
          mistakes_are_explained, an_endless_value_is_cut_short, presets_are_found_by_name)
