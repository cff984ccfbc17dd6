/* Photos as files: what each may claim, and decoding by libvips, which no other file includes.
 *
 * libvips reads dozens of formats; this takes four, told by content, and calls their loaders by name, so that no
 * other parser ever sees a stranger's bytes. Plain JPEGs do not come here (image_jpeg.c). Its global state is set once,
 * before the first photo: one thread an operation, because the caller runs one photo a core; no operation cache,
 * because no photo is decoded twice. */
#include <stdlib.h>
#include <string.h>

#include "ingest/decode.h"

#define CHANNELS 3

#ifdef HEM_HAVE_VIPS
#include <pthread.h>
#include <vips/vips.h>

/* libvips reports damaged photos on the console as well; the library never prints. */
static void discard_log(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer unused) {
  (void)domain, (void)level, (void)message, (void)unused;
}

static pthread_once_t vips_once = PTHREAD_ONCE_INIT;
static bool vips_ready;

static void start_vips(void) {
  if (VIPS_INIT("hemline")) return;
  g_log_set_handler("VIPS", G_LOG_LEVEL_MASK, discard_log, NULL);
  vips_concurrency_set(1);
  vips_cache_set_max(0);
  vips_block_untrusted_set(TRUE);
  hem__av1_start();
  vips_ready = true;
}

/* libvips keeps its reasons in one buffer for the whole process. Photos are decoded side by side under the shared side
 * of this lock; one that fails is decoded once more under the other side, alone, so that the reason it is given is its
 * own. Guards nothing else; nothing that takes a lock is called under it. */
static pthread_rwlock_t vips_alone = PTHREAD_RWLOCK_INITIALIZER;

/* Moves libvips's text into *err. */
static hem_status fail_vips(hem_status code, const char *name, const char *advice, hem_error *err) {
  char *text = vips_error_buffer_copy();
  hem__fail(err, code, "%s: %s (%s)", name, advice, text && *text ? g_strchomp(text) : "libvips gave no reason");
  g_free(text);
  return code;
}

static hem_status need_vips(hem_error *err) {
  pthread_once(&vips_once, start_vips);
  return vips_ready ? HEM_OK
                    : fail_vips(HEM_EUNSUPPORTED, "libvips", "does not start; reinstall libvips to read photos", err);
}

hem_status hem__decode_check_size(size_t width, size_t height, const char *name, hem_error *err) {
  if (width <= HEM__DECODE_SIDE_MAX && height <= HEM__DECODE_SIDE_MAX && width * height <= HEM__DECODE_PIXELS_MAX)
    return HEM_OK;
  return hem__fail(err, HEM_EINVAL, "%s has %zu x %zu pixels; scale it down to at most %d a side and %d megapixels",
                   name, width, height, HEM__DECODE_SIDE_MAX, HEM__DECODE_PIXELS_MAX / 1000000);
}

static bool is_jpeg(const uint8_t *bytes, size_t size) { return size >= 3 && !memcmp(bytes, "\xFF\xD8\xFF", 3); }

static bool is_png(const uint8_t *bytes, size_t size) { return size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1A\n", 8); }

static bool is_webp(const uint8_t *bytes, size_t size) {
  return size >= 12 && !memcmp(bytes, "RIFF", 4) && !memcmp(bytes + 8, "WEBP", 4);
}

/* ISO/IEC 14496-12: a box is its size, its name and what it holds; false behind the last whole one. */
typedef struct box {
  const uint8_t *at;
  size_t size;
} box;

static bool next_box(const uint8_t *bytes, size_t size, size_t *place, box *out) {
  enum { HEADER = 8 };
  if (size - *place < HEADER) return false;
  const uint8_t *at = bytes + *place;
  size_t length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
  if (length < HEADER || length > size - *place) return false;
  *out = (box){.at = at, .size = length};
  *place += length;
  return true;
}

/* A file type box, with "avif" as its major brand or among the compatible ones. HEIC photos may claim that too; what
 * settles it is whether the box that describes the pictures knows how to set up an AV1 decoder. */
static bool is_avif(const uint8_t *bytes, size_t size) {
  size_t place = 0;
  box b;
  bool claims = false;
  if (!next_box(bytes, size, &place, &b) || memcmp(b.at + 4, "ftyp", 4) != 0) return false;
  for (size_t at = 8; at + 4 <= b.size; at += 4) claims |= !memcmp(b.at + at, "avif", 4);
  while (claims && next_box(bytes, size, &place, &b))
    if (!memcmp(b.at + 4, "meta", 4)) return memmem(b.at, b.size, "av1C", 4) != NULL;
  return claims; /* cut off before it: damaged, then */
}

typedef struct format {
  bool (*is)(const uint8_t *bytes, size_t size);
  int (*load)(void *bytes, size_t size, VipsImage **out, ...);
} format;

static const format formats[] = {{is_jpeg, vips_jpegload_buffer},
                                 {is_png, vips_pngload_buffer},
                                 {is_webp, vips_webpload_buffer},
                                 {is_avif, vips_heifload_buffer}};

static const format *format_of(const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].is(bytes, size)) return &formats[i];
  return NULL;
}

static hem_status unknown_format(const char *name, hem_error *err) {
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "%s is not a JPEG, PNG, WebP or AVIF photo, whatever its name says; convert it to one of these",
                   name);
}

/* Opens without decoding: libvips decodes when pixels are asked for. */
static hem_status open_photo(const format *known, const uint8_t *bytes, size_t size, const char *name, VipsImage **out,
                             hem_error *err) {
  VipsImage *image = NULL;
  if (known->load((void *)(uintptr_t)bytes, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                  VIPS_FAIL_ON_WARNING, NULL))
    return fail_vips(HEM_ECORRUPT, name, "damaged photo; fetch it again", err);
  hem_status status = hem__decode_check_size((size_t)image->Xsize, (size_t)image->Ysize, name, err);
  if (status) {
    g_object_unref(image);
    return status;
  }
  *out = image;
  return HEM_OK;
}

/* One step of a pipeline: *image gives way to *next. A pointer, because C does not say that an argument is read after
 * the call beside it has written it. */
static bool step(VipsImage **image, int failed, VipsImage **next) {
  if (failed) return false;
  g_object_unref(*image);
  *image = *next;
  *next = NULL;
  return true;
}

static bool flatten(VipsImage **image) {
  if (!vips_image_hasalpha(*image)) return true;
  VipsImage *next = NULL;
  VipsInterpretation type = (*image)->Type;
  double white = type == VIPS_INTERPRETATION_RGB16 || type == VIPS_INTERPRETATION_GREY16 ? 65535 : 255;
  VipsArrayDouble *background = vips_array_double_newv(1, white);
  int failed = vips_flatten(*image, &next, "background", background, "max_alpha", white, NULL);
  vips_area_unref(VIPS_AREA(background));
  return step(image, failed, &next);
}

static bool has_profile(VipsImage *image) {
  const void *profile;
  size_t size;
  return vips_image_get_typeof(image, VIPS_META_ICC_NAME) &&
         !vips_image_get_blob(image, VIPS_META_ICC_NAME, &profile, &size) && !hem__profile_is_srgb(profile, size);
}

static bool to_srgb(VipsImage **image) {
  VipsImage *next = NULL;
  /* A profile that is broken or of another colour space is ignored, as browsers do. */
  if (has_profile(*image))
    step(image, vips_icc_transform(*image, &next, "srgb", "embedded", TRUE, "depth", 8, NULL), &next);
  bool done = (*image)->Type == VIPS_INTERPRETATION_sRGB && (*image)->BandFmt == VIPS_FORMAT_UCHAR;
  if (done) return true;
  if (!step(image, vips_colourspace(*image, &next, VIPS_INTERPRETATION_sRGB, NULL), &next)) return false;
  return step(image, vips_cast_uchar(*image, &next, NULL), &next);
}

/* Asks for strips on this thread; libvips's own sinks would start another one for each photo. */
static bool copy_pixels(VipsImage *image, hem__image *out) {
  enum { STRIP = 16 };
  VipsRegion *region = vips_region_new(image);
  int height = image->Ysize, width = image->Xsize;
  size_t row = (size_t)width * CHANNELS;
  bool good = true;
  for (int y = 0; good && y < height; y += STRIP) {
    VipsRect strip = {0, y, width, VIPS_MIN(STRIP, height - y)};
    good = vips_region_prepare(region, &strip) == 0;
    for (int i = 0; good && i < strip.height; i++)
      memcpy(out->at + (size_t)(y + i) * row, VIPS_REGION_ADDR(region, 0, y + i), row);
  }
  g_object_unref(region);
  return good;
}

static hem_status decode_by_vips(const format *known, const uint8_t *bytes, size_t size, const char *name,
                                 hem__image *out, hem_error *err) {
  VipsImage *image = NULL;
  hem__image photo = {0};
  hem_status status = open_photo(known, bytes, size, name, &image, err);
  if (status) goto done;
  int orientation = vips_image_get_orientation(image);
  if (!flatten(&image) || !to_srgb(&image)) {
    status = fail_vips(HEM_ECORRUPT, name, "damaged photo; fetch it again", err);
    goto done;
  }
  if (image->Bands != CHANNELS) {
    status = hem__fail(err, HEM_EUNSUPPORTED, "%s has %d colour channels; convert it to sRGB", name, image->Bands);
    goto done;
  }
  status = hem__image_new((size_t)image->Xsize, (size_t)image->Ysize, &photo, err);
  if (status) goto done;
  if (!copy_pixels(image, &photo)) {
    status = fail_vips(HEM_ECORRUPT, name, "damaged or incomplete photo; fetch it again", err);
    goto done;
  }
  status = hem__image_upright(&photo, orientation, err);
  if (status) goto done;
  *out = photo;
  photo = (hem__image){0};
done:
  hem__image_clear(&photo);
  if (image) g_object_unref(image);
  return status;
}

hem_status hem__image_decode(const uint8_t *bytes, size_t size, const char *name, hem__image *out, hem_error *err) {
  if (size == 0) return hem__fail(err, HEM_ECORRUPT, "%s is empty; fetch it again", name);
  const format *known = format_of(bytes, size);
  if (!known) return unknown_format(name, err);
  bool plain = false;
  hem_status status = known->is == is_jpeg ? hem__jpeg_decode(bytes, size, name, &plain, out, err) : HEM_OK;
  if (!status && !plain) status = need_vips(err);
  if (status || plain) return status;
  pthread_rwlock_rdlock(&vips_alone);
  status = decode_by_vips(known, bytes, size, name, out, NULL);
  pthread_rwlock_unlock(&vips_alone);
  if (!status) return HEM_OK;
  pthread_rwlock_wrlock(&vips_alone);
  vips_error_clear();
  status = decode_by_vips(known, bytes, size, name, out, err);
  vips_error_clear();
  pthread_rwlock_unlock(&vips_alone);
  return status;
}

hem_status hem__image_png(const hem__image *image, uint8_t **bytes, size_t *size, hem_error *err) {
  VipsImage *view = NULL;
  void *png = NULL;
  size_t length = 0;
  uint8_t *copy = NULL;
  hem_status status = need_vips(err);
  if (status) return status;
  view = vips_image_new_from_memory(image->at, image->width * image->height * CHANNELS, (int)image->width,
                                    (int)image->height, CHANNELS, VIPS_FORMAT_UCHAR);
  if (!view || vips_pngsave_buffer(view, &png, &length, NULL)) {
    status = fail_vips(HEM_ENOMEM, "a PNG", "cannot be written", err);
    goto done;
  }
  status = hem__alloc(length, 1, "a PNG", &copy, err); /* GLib's memory is not free()'s */
  if (status) goto done;
  memcpy(copy, png, length);
  *bytes = copy;
  *size = length;
done:
  g_free(png);
  if (view) g_object_unref(view);
  return status;
}

#else

static hem_status without_vips(hem_error *err) {
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "this Hemline was built without libvips and knows no photos, only idx files; install libvips-dev "
                   "and build again");
}

hem_status hem__image_decode(const uint8_t *bytes, size_t size, const char *name, hem__image *out, hem_error *err) {
  (void)bytes, (void)size, (void)name, (void)out;
  return without_vips(err);
}

hem_status hem__image_png(const hem__image *image, uint8_t **bytes, size_t *size, hem_error *err) {
  (void)image, (void)bytes, (void)size;
  return without_vips(err);
}

#endif
