/* Photos as files: those made here by libvips come back as they were, and everything else is refused with a reason.
 * libvips is called directly only to make input; where the library was built without it, decoding is skipped. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <zlib.h>

#include "base/threads.h"
#include "ingest/decode.h"
#include "reference/synthetic.h"
#include "support/make_photo.h"
#include "test.h"

#ifdef HEM_HAVE_VIPS
#include <vips/vips.h>

#include <jpeglib.h>

typedef struct bytes {
  uint8_t *at;
  size_t size;
} bytes;

/* `suffix` is libvips's: a format and its options. Takes the image. Nothing for AVIF where libheif has no encoder. */
static bytes encode(VipsImage *image, const char *suffix) {
  void *at = NULL;
  bytes out = {0};
  ck_assert_msg(image != NULL, "%s", vips_error_buffer());
  if (vips_image_write_to_buffer(image, suffix, &at, &out.size, NULL) != 0) {
    ck_assert_msg(strstr(suffix, ".avif") != NULL, "%s: %s", suffix, vips_error_buffer());
    printf("AVIF is not tested: %s", vips_error_buffer());
    vips_error_clear();
  }
  g_object_unref(image);
  out.at = at;
  return out;
}

/* A libvips image of the photo's pixels, which it copies. Starts libvips as the library does: by first use. */
static VipsImage *as_vips(const hem__image *photo) {
  uint8_t *png = NULL;
  size_t size;
  ck_ok(hem__image_png(photo, &png, &size, err));
  free(png);
  return vips_image_new_from_memory_copy(photo->at, photo->width * photo->height * 3, (int)photo->width,
                                         (int)photo->height, 3, VIPS_FORMAT_UCHAR);
}

static VipsImage *flat_vips(int width, int height, const double *colour, int bands, VipsInterpretation type) {
  VipsImage *black = NULL, *flat = NULL, *typed = NULL;
  hem__image start = synthetic(1, 1, 0);
  g_object_unref(as_vips(&start));
  hem__image_clear(&start);
  double ones[4] = {1, 1, 1, 1};
  ck_assert_int_eq(vips_black(&black, width, height, "bands", bands, NULL), 0);
  ck_assert_int_eq(vips_linear(black, &flat, ones, colour, bands, NULL), 0);
  bool wide = type == VIPS_INTERPRETATION_RGB16 || type == VIPS_INTERPRETATION_GREY16;
  VipsImage *cast = NULL;
  ck_assert_int_eq(vips_cast(flat, &cast, wide ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR, NULL), 0);
  ck_assert_int_eq(vips_copy(cast, &typed, "interpretation", type, NULL), 0);
  g_object_unref(black);
  g_object_unref(flat);
  g_object_unref(cast);
  return typed;
}

static hem__image decode(bytes photo) {
  hem__image out = {0};
  ck_ok(hem__image_decode(photo.at, photo.size, "made.photo", &out, err));
  g_free(photo.at);
  return out;
}

static void expect_flat(bytes photo, uint8_t r, uint8_t g, uint8_t b, int tolerance) {
  hem__image out = decode(photo);
  const uint8_t want[] = {r, g, b};
  for (size_t i = 0; i < out.width * out.height * 3; i++) ck_assert_int_le(abs(out.at[i] - want[i % 3]), tolerance);
  hem__image_clear(&out);
}

START_TEST(png_comes_back_exactly) {
  hem__image photo = synthetic(33, 21, 0);
  bytes png;
  ck_ok(hem__image_png(&photo, &png.at, &png.size, err));
  hem__image back = {0};
  ck_ok(hem__image_decode(png.at, png.size, "a.png", &back, err));
  ck_assert_uint_eq(back.width, 33);
  ck_assert_uint_eq(back.height, 21);
  ck_assert_mem_eq(back.at, photo.at, 33 * 21 * 3);
  free(png.at);
  hem__image_clear(&photo);
  hem__image_clear(&back);
}
END_TEST

START_TEST(lossy_formats_come_back_nearly) {
  static const char *const suffixes[] = {".jpg[Q=95,subsample-mode=off]", ".jpg[Q=95,subsample-mode=off,interlace]",
                                         ".webp[lossless]", ".avif[Q=95,effort=0]"};
  hem__image photo = synthetic(64, 48, 1);
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    bytes encoded = encode(as_vips(&photo), suffixes[i]);
    if (!encoded.at) continue;
    hem__image back = decode(encoded);
    ck_assert_uint_eq(back.width, 64);
    ck_assert_uint_eq(back.height, 48);
    double error = 0;
    for (size_t j = 0; j < (size_t)64 * 48 * 3; j++) error += abs(back.at[j] - photo.at[j]);
    ck_assert_msg(error / (64 * 48 * 3) < 8, "%s is off by %g", suffixes[i], error / (64 * 48 * 3));
    hem__image_clear(&back);
  }
  hem__image_clear(&photo);
}
END_TEST

START_TEST(every_kind_of_pixel_becomes_srgb) {
  const double grey[] = {77}, wide[] = {77 * 257, 10 * 257, 250 * 257}, wide_grey[] = {77 * 257};
  expect_flat(encode(flat_vips(9, 7, grey, 1, VIPS_INTERPRETATION_B_W), ".png"), 77, 77, 77, 0);
  expect_flat(encode(flat_vips(9, 7, grey, 1, VIPS_INTERPRETATION_B_W), ".jpg"), 77, 77, 77, 1);
  expect_flat(encode(flat_vips(9, 7, wide, 3, VIPS_INTERPRETATION_RGB16), ".png"), 77, 10, 250, 0);
  expect_flat(encode(flat_vips(9, 7, wide_grey, 1, VIPS_INTERPRETATION_GREY16), ".png"), 77, 77, 77, 0);
  const double paper[] = {0, 0, 0, 0};
  expect_flat(encode(flat_vips(9, 7, paper, 4, VIPS_INTERPRETATION_CMYK), ".jpg"), 255, 255, 255, 8);
}
END_TEST

START_TEST(alpha_is_laid_on_white) {
  const double clear[] = {10, 20, 30, 0}, half[] = {0, 100, 200, 128}, grey[] = {0, 51},
               wide[] = {0, 0, 0, 65535 - 257 * 40};
  expect_flat(encode(flat_vips(5, 5, clear, 4, VIPS_INTERPRETATION_sRGB), ".png"), 255, 255, 255, 0);
  expect_flat(encode(flat_vips(5, 5, half, 4, VIPS_INTERPRETATION_sRGB), ".png"), 127, 177, 227, 1);
  expect_flat(encode(flat_vips(5, 5, half, 4, VIPS_INTERPRETATION_sRGB), ".webp[lossless]"), 127, 177, 227, 1);
  expect_flat(encode(flat_vips(5, 5, grey, 2, VIPS_INTERPRETATION_B_W), ".png"), 204, 204, 204, 1);
  expect_flat(encode(flat_vips(5, 5, wide, 4, VIPS_INTERPRETATION_RGB16), ".png"), 40, 40, 40, 1);
}
END_TEST

/* Display P3 (120, 160, 130) in sRGB, by the matrices of the two standards. */
START_TEST(a_colour_profile_is_obeyed) {
  const double p3[] = {120, 160, 130};
  VipsImage *image = flat_vips(8, 8, p3, 3, VIPS_INTERPRETATION_sRGB);
  VipsBlob *profile = NULL;
  ck_assert_int_eq(vips_profile_load("p3", &profile, NULL), 0);
  size_t size;
  const void *at = vips_blob_get(profile, &size);
  vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, at, size);
  vips_area_unref(VIPS_AREA(profile));
  g_object_ref(image);
  expect_flat(encode(image, ".jpg[Q=95]"), 108, 161, 127, 4);
  expect_flat(encode(image, ".png"), 108, 161, 127, 2);

  image = flat_vips(8, 8, p3, 3, VIPS_INTERPRETATION_sRGB);
  vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, "no profile at all", 17);
  expect_flat(encode(image, ".webp[lossless]"), 120, 160, 130, 0);
}
END_TEST

START_TEST(an_srgb_profile_changes_nothing) {
  static const char *const formats[] = {".jpg", ".png", ".webp"};
  hem__image photo = synthetic(40, 30, 1);
  for (size_t i = 0; i < 3; i++) {
    hem__image out[2] = {0};
    for (size_t j = 0; j < 2; j++) {
      hem__photo_file file = hem__make_photo(&photo, j ? "srgb" : "", formats[i]);
      ck_ok(hem__image_decode(file.at, file.size, "a photo", &out[j], err));
      free(file.at);
    }
    ck_assert_mem_eq(out[0].at, out[1].at, (size_t)40 * 30 * 3);
    hem__image_clear(&out[0]);
    hem__image_clear(&out[1]);
  }
  hem__image_clear(&photo);
}
END_TEST

START_TEST(an_animation_is_its_first_picture) {
  hem__image photo = synthetic(40, 30, 1), out = {0};
  hem__photo_file file = hem__make_photo(&photo, "animation", ".webp[lossless]");
  ck_ok(hem__image_decode(file.at, file.size, "a photo", &out, err));
  ck_assert_uint_eq(out.width, 40);
  ck_assert_uint_eq(out.height, 30);
  ck_assert_mem_eq(out.at, photo.at, (size_t)40 * 30 * 3);
  free(file.at);
  hem__image_clear(&out);
  hem__image_clear(&photo);
}
END_TEST

START_TEST(one_pixel_is_a_photo) {
  static const char *const formats[] = {".jpg", ".png", ".webp", ".avif[effort=0]"};
  hem__image photo = synthetic(1, 1, 0), out = {0};
  for (size_t i = 0; i < 4; i++) {
    hem__photo_file file = hem__make_photo(&photo, "", formats[i]);
    if (!file.at) continue;
    ck_ok(hem__image_decode(file.at, file.size, formats[i], &out, err));
    ck_assert_uint_eq(out.width * out.height, 1);
    hem__image_clear(&out);
    free(file.at);
  }
  hem__image_clear(&photo);
}
END_TEST

/* For each EXIF orientation, where the upright photo's pixel (0, 0) and (1, 0) lie in the stored one of 3 x 2. */
START_TEST(photos_are_turned_upright) {
  static const size_t from[9][2] = {{0}, {0, 1}, {2, 1}, {5, 4}, {3, 4}, {0, 3}, {3, 0}, {5, 2}, {2, 5}};
  hem__image photo = {0};
  ck_ok(hem__image_new(3, 2, &photo, err));
  for (size_t i = 0; i < 18; i++) photo.at[i] = (uint8_t)(i * 13);
  for (int orientation = 1; orientation <= 8; orientation++) {
    VipsImage *image = as_vips(&photo);
    vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
    hem__image back = decode(encode(image, ".webp[lossless]"));
    ck_assert_uint_eq(back.width, orientation < 5 ? 3 : 2);
    for (size_t i = 0; i < 2; i++) ck_assert_mem_eq(back.at + 3 * i, photo.at + 3 * from[orientation][i], 3);
    hem__image_clear(&back);
  }
  hem__image_clear(&photo);
}
END_TEST

/* The same with blocks of 16 x 16 for pixels, which a JPEG keeps. */
START_TEST(jpegs_are_turned_upright) {
  enum { BLOCK = 16 };
  static const size_t from[9][2] = {{0}, {0, 1}, {2, 1}, {5, 4}, {3, 4}, {0, 3}, {3, 0}, {5, 2}, {2, 5}};
  hem__image photo = {0};
  ck_ok(hem__image_new(3 * BLOCK, 2 * BLOCK, &photo, err));
  for (size_t i = 0; i < (size_t)6 * BLOCK * BLOCK; i++)
    memset(photo.at + 3 * i, 40 * (int)(i / (3 * BLOCK) / BLOCK * 3 + i % (3 * BLOCK) / BLOCK), 3);
  for (int orientation = 1; orientation <= 8; orientation++) {
    VipsImage *image = as_vips(&photo);
    vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
    hem__image back = decode(encode(image, ".jpg[Q=95]"));
    ck_assert_uint_eq(back.width, orientation < 5 ? 3 * BLOCK : 2 * BLOCK);
    for (size_t i = 0; i < 2; i++) {
      const uint8_t *middle = back.at + 3 * (back.width * (BLOCK / 2) + i * BLOCK + BLOCK / 2);
      ck_assert_int_le(abs(*middle - 40 * (int)from[orientation][i]), 4);
    }
    hem__image_clear(&back);
  }
  hem__image_clear(&photo);
}
END_TEST

static void refuse(const void *at, size_t size, hem_status code, const char *words) {
  hem__image out = {0};
  ck_fails(hem__image_decode(at, size, "stranger", &out, err), code, words);
  ck_assert_ptr_null(out.at);
}

START_TEST(other_formats_are_refused_by_content) {
  static const char svg[] = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9'/></svg>";
  static const char gif[] = "GIF89a\1\0\1\0\x80\0\0\0\0\0\xFF\xFF\xFF,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";
  static const char heic[] =
      "\0\0\0\x18"
      "ftypheic\0\0\0\0heicmif1 and more";
  refuse(svg, sizeof svg - 1, HEM_EUNSUPPORTED, "convert it");
  refuse(gif, sizeof gif - 1, HEM_EUNSUPPORTED, "stranger is not a JPEG");
  refuse(heic, sizeof heic - 1, HEM_EUNSUPPORTED, "convert it");
  refuse("<!doctype html><title>404 Not Found</title>", 43, HEM_EUNSUPPORTED, "whatever its name says");
  refuse("II*\0\10\0\0\0\0\0\0\0\0\0", 14, HEM_EUNSUPPORTED, "convert it");
  refuse("MM\0*\0\0\0\10\0\0\0\0\0\0", 14, HEM_EUNSUPPORTED, "convert it");
  refuse("BM\x3A\0\0\0\0\0\0\0\x36\0\0\0", 14, HEM_EUNSUPPORTED, "convert it");
  refuse("%PDF-1.7\n1 0 obj", 16, HEM_EUNSUPPORTED, "convert it");
  refuse("\xFF\x0A\0\0\0\0\0\0", 8, HEM_EUNSUPPORTED, "convert it");
  refuse("RIFF\4\0\0\0WAVE", 12, HEM_EUNSUPPORTED, "convert it");
  refuse("P6 1 1 255 abc", 14, HEM_EUNSUPPORTED, "convert it");
  refuse("\xFF", 1, HEM_EUNSUPPORTED, "convert it");
  refuse("", 0, HEM_ECORRUPT, "is empty");
}
END_TEST

START_TEST(a_header_too_large_is_refused_unread) {
  const double black[] = {0};
  bytes wide = encode(flat_vips(16385, 1, black, 1, VIPS_INTERPRETATION_B_W), ".png");
  refuse(wide.at, wide.size, HEM_EINVAL, "16385 x 1");
  g_free(wide.at);
  bytes big = encode(flat_vips(10001, 10001, black, 1, VIPS_INTERPRETATION_B_W), ".png[compression=1]");
  refuse(big.at, big.size, HEM_EINVAL, "megapixels");
  /* The pixels are not even there. From libvips 8.16 on, libpng misses them before the size is asked for. */
  bool misses = vips_version(0) > 8 || vips_version(1) >= 16;
  refuse(big.at, 64, misses ? HEM_ECORRUPT : HEM_EINVAL, misses ? "stranger" : "megapixels");
  g_free(big.at);
}
END_TEST

/* HEVC inside (hvcC), though it says that AVIF readers can read it; cut off before that shows, it is only damaged. */
START_TEST(heic_is_refused_whatever_it_claims) {
  static const char heic[] =
      "\0\0\0\x18"
      "ftypavif\0\0\0\0avifmif1"
      "\0\0\0\x14"
      "meta\0\0\0\0\0\0\0\x0BhvcC";
  refuse(heic, sizeof heic - 1, HEM_EUNSUPPORTED, "is not a JPEG");
  refuse(heic, sizeof heic - 2, HEM_ECORRUPT, "damaged");
}
END_TEST

static void put16(uint8_t *at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

/* A JPEG's height and width stand five bytes behind the start of its frame header. */
START_TEST(a_jpeg_too_small_for_its_pixels_is_refused_unread) {
  hem__image photo = synthetic(64, 48, 1);
  hem__photo_file file = hem__make_photo(&photo, "", ".jpg");
  uint8_t *frame = memmem(file.at, file.size, "\xFF\xC0", 2);
  ck_assert_ptr_nonnull(frame);
  put16(frame + 5, 65535);
  refuse(file.at, file.size, HEM_EINVAL, "too large");
  put16(frame + 5, 65500);
  refuse(file.at, file.size, HEM_EINVAL, "64 x 65500");
  put16(frame + 5, 6000);
  put16(frame + 7, 16000);
  refuse(file.at, file.size, HEM_ECORRUPT, "do not hold 16000 x 6000 pixels");
  put16(frame + 5, 49 + 16);
  put16(frame + 7, 64);
  refuse(file.at, file.size, HEM_ECORRUPT, "damaged photo");
  frame[4] = 12;
  refuse(file.at, file.size, HEM_EUNSUPPORTED, "rare kind");
  free(file.at);
  hem__image_clear(&photo);
}
END_TEST

/* Each coefficient in two scans of its own: 127 for a photo of 16 x 16, and no warning from libjpeg. */
static hem__photo_file make_scans(int scans) {
  jpeg_scan_info script[127] = {{.comps_in_scan = 1}};
  for (int i = 1; i < 127; i++) {
    int coefficient = 1 + (i - 1) % 63, low = i < 64;
    script[i] = (jpeg_scan_info){
        .comps_in_scan = 1, .Ss = coefficient, .Se = coefficient, .Ah = low ? 0 : 1, .Al = low ? 1 : 0};
  }
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *at = NULL;
  unsigned long size = 0;
  uint8_t row[16] = {0, 200, 30, 250, 90, 4};
  JSAMPROW rows[] = {row};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &at, &size);
  jpeg.image_width = jpeg.image_height = 16;
  jpeg.input_components = 1;
  jpeg.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&jpeg);
  jpeg.scan_info = script;
  jpeg.num_scans = scans;
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < 16) jpeg_write_scanlines(&jpeg, rows, 1);
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  return (hem__photo_file){.at = at, .size = size};
}

START_TEST(a_jpeg_of_endless_scans_is_refused) {
  hem__photo_file many = make_scans(127), some = make_scans(64);
  hem__image out = {0};
  refuse(many.at, many.size, HEM_ECORRUPT, "over 100 scans");
  ck_ok(hem__image_decode(some.at, some.size, "some", &out, err));
  hem__image_clear(&out);
  free(many.at);
  free(some.at);
}
END_TEST

/* A text of 200 MB in a chunk of 200 KB, before the pixels: not read, or refused, but not kept. */
START_TEST(a_bomb_in_a_png_does_not_explode) {
  enum { PLAIN = 200 << 20, ROOM = 1 << 20, HEADER = 33 };
  static const char *const kinds[] = {"zTXtComment", "iCCPphotoshop"};
  hem__image photo = synthetic(16, 16, 1), out = {0};
  hem__photo_file png = hem__make_photo(&photo, "", ".png");
  uint8_t *zeros = calloc(1, PLAIN), *file = malloc(png.size + ROOM);
  for (size_t i = 0; i < 2; i++) {
    size_t name = strlen(kinds[i]) + 2;
    uLongf packed = ROOM - 100;
    uint8_t *chunk = file + HEADER;
    memcpy(file, png.at, HEADER);
    memcpy(chunk + 4, kinds[i], name - 1);
    chunk[4 + name - 1] = 0;
    ck_assert_int_eq(compress2(chunk + 4 + name, &packed, zeros, PLAIN, 6), Z_OK);
    size_t length = name - 4 + packed;
    for (size_t b = 0; b < 4; b++) chunk[b] = (uint8_t)(length >> (24 - 8 * b));
    uint32_t sum = (uint32_t)crc32(0, chunk + 4, (uInt)(length + 4));
    for (size_t b = 0; b < 4; b++) chunk[8 + length + b] = (uint8_t)(sum >> (24 - 8 * b));
    memcpy(chunk + 12 + length, png.at + HEADER, png.size - HEADER);
    struct rusage before, after;
    hem_error err = {0};
    getrusage(RUSAGE_SELF, &before); /* whose peak has the 200 MB of zeros in it already */
    hem_status status = hem__image_decode(file, png.size + 12 + length, "bomb", &out, &err);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_msg(status == HEM_OK || status == HEM_ECORRUPT, "%s", err.message);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 64 << 10);
    hem__image_clear(&out);
  }
  free(zeros);
  free(file);
  free(png.at);
  hem__image_clear(&photo);
}
END_TEST

/* Every prefix is refused, or holds the whole photo (what follows the pixels may be spared). */
static void truncate_everywhere(bytes photo) {
  hem__image whole = {0};
  ck_ok(hem__image_decode(photo.at, photo.size, "whole", &whole, err));
  size_t accepted = 0;
  for (size_t size = 0; size < photo.size; size++) {
    uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read past the end */
    memcpy(exact, photo.at, size);
    hem__image out = {0};
    hem_error err = {0};
    hem_status status = hem__image_decode(exact, size, "part", &out, &err);
    if (status == HEM_OK) {
      ck_assert_mem_eq(out.at, whole.at, whole.width * whole.height * 3);
      accepted++;
    } else {
      ck_assert(status == HEM_ECORRUPT || (status == HEM_EUNSUPPORTED && size < 12));
      ck_assert_ptr_null(out.at);
    }
    hem__image_clear(&out);
    free(exact);
  }
  ck_assert_uint_lt(accepted, 20);
  hem__image_clear(&whole);
  g_free(photo.at);
}

START_TEST(truncated_photos_are_refused) {
  hem__image photo = synthetic(24, 16, 0);
  truncate_everywhere(encode(as_vips(&photo), ".png"));
  truncate_everywhere(encode(as_vips(&photo), ".jpg"));
  truncate_everywhere(encode(as_vips(&photo), ".jpg[interlace]"));
  truncate_everywhere(encode(as_vips(&photo), ".webp"));
  hem__image_clear(&photo);
}
END_TEST

START_TEST(damaged_photos_never_crash) {
  static const char *const suffixes[] = {".png", ".jpg", ".webp", ".avif[effort=0]"};
  hem__image photo = synthetic(24, 16, 0);
  uint64_t state = 7;
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    bytes good = encode(as_vips(&photo), suffixes[i]);
    if (!good.at) continue;
    uint8_t *bad = malloc(good.size);
    for (size_t round = 0; round < 300; round++) {
      memcpy(bad, good.at, good.size);
      for (size_t hit = 0; hit <= round % 3; hit++)
        bad[hem__test_random(&state) % good.size] = (uint8_t)hem__test_random(&state);
      hem__image out = {0};
      hem_error err = {0};
      hem_status status = hem__image_decode(bad, good.size, "damaged", &out, &err);
      ck_assert(status == HEM_OK || err.message[0] != '\0');
      hem__image_clear(&out);
    }
    free(bad);
    g_free(good.at);
  }
  hem__image_clear(&photo);
}
END_TEST

typedef struct crowd {
  bytes png;
  const hem__image *photo;
  bool right[64];
} crowd;

static void decode_one(void *context, size_t i, size_t worker) {
  crowd *all = context;
  (void)worker;
  hem__image out = {0};
  hem_error err = {0};
  bool damaged = i % 4 == 3;
  hem_status status = hem__image_decode(all->png.at, damaged ? all->png.size / 2 : all->png.size, "one", &out, &err);
  all->right[i] = damaged ? status == HEM_ECORRUPT
                          : status == HEM_OK && !memcmp(out.at, all->photo->at, out.width * out.height * 3);
  hem__image_clear(&out);
}

START_TEST(threads_decode_side_by_side) {
  hem__image photo = synthetic(90, 70, 1);
  crowd all = {.photo = &photo};
  ck_ok(hem__image_png(&photo, &all.png.at, &all.png.size, err));
  ck_ok(hem__parallel_for(64, 4, decode_one, &all, err));
  for (size_t i = 0; i < 64; i++) ck_assert_msg(all.right[i], "photo %zu", i);
  free(all.png.at);
  hem__image_clear(&photo);
}
END_TEST

typedef struct failures {
  hem__photo_file photos[2]; /* each broken in a way of its own */
  hem_error alone[2], together[200];
} failures;

static void fail_one(void *context, size_t i, size_t worker) {
  failures *all = context;
  const hem__photo_file *photo = &all->photos[i % 2];
  hem__image out = {0};
  (void)worker;
  hem__image_decode(photo->at, photo->size, "one", &out, &all->together[i]);
  hem__image_clear(&out);
}

START_TEST(a_reason_is_the_photos_own) {
  hem__image photo = synthetic(90, 70, 1), out = {0};
  failures all = {.photos = {hem__make_photo(&photo, "", ".png"), hem__make_photo(&photo, "", ".webp")}};
  all.photos[0].at[all.photos[0].size / 2] ^= 1;
  all.photos[1].size /= 2;
  for (size_t i = 0; i < 2; i++) {
    hem_status status = hem__image_decode(all.photos[i].at, all.photos[i].size, "one", &out, &all.alone[i]);
    ck_assert_int_eq(status, HEM_ECORRUPT);
  }
  ck_assert_str_ne(all.alone[0].message, all.alone[1].message);
  ck_ok(hem__parallel_for(200, 4, fail_one, &all, err));
  for (size_t i = 0; i < 200; i++) ck_assert_str_eq(all.together[i].message, all.alone[i % 2].message);
  free(all.photos[0].at);
  free(all.photos[1].at);
  hem__image_clear(&photo);
}
END_TEST

HEM_TESTS("image_decode", an_srgb_profile_changes_nothing, an_animation_is_its_first_picture, one_pixel_is_a_photo,
          jpegs_are_turned_upright, heic_is_refused_whatever_it_claims,
          a_jpeg_too_small_for_its_pixels_is_refused_unread, a_jpeg_of_endless_scans_is_refused,
          a_bomb_in_a_png_does_not_explode, a_reason_is_the_photos_own, png_comes_back_exactly,
          lossy_formats_come_back_nearly, every_kind_of_pixel_becomes_srgb, alpha_is_laid_on_white,
          a_colour_profile_is_obeyed, photos_are_turned_upright, other_formats_are_refused_by_content,
          a_header_too_large_is_refused_unread, truncated_photos_are_refused, damaged_photos_never_crash,
          threads_decode_side_by_side)

#else

START_TEST(decoding_says_what_is_missing) {
  hem__image image = synthetic(2, 2, 0), out = {0};
  uint8_t *png = NULL;
  size_t size;
  ck_fails(hem__image_decode((const uint8_t *)"x", 1, "x", &out, err), HEM_EUNSUPPORTED, "without libvips");
  ck_fails(hem__image_png(&image, &png, &size, err), HEM_EUNSUPPORTED, "without libvips");
  puts("built without libvips: decoding is not tested");
  hem__image_clear(&image);
}
END_TEST

HEM_TESTS("image_decode", decoding_says_what_is_missing)

#endif
