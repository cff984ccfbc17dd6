/* Photos in memory: decoding (libvips, which no other file includes), cutting, stretching.
 * Knows nothing of files or features.
 *
 * libvips reads dozens of formats; this takes four, told by content, and calls their loaders by name, so that no
 * other parser ever sees a stranger's bytes. Its global state is set once, before the first photo: one thread an
 * operation, because the caller runs one photo a core; no operation cache, because no photo is decoded twice. */
#include "ingest/image.h"

#include <stdlib.h>
#include <string.h>

#define CHANNELS 3
#define SIDE_MAX 65535 /* bounds every sum in hem__image_resize */

/* ---- memory ---- */

hem_status hem__image_new(size_t width, size_t height, hem__image *out, hem_error *err) {
  if (width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX)
    return hem__fail(err, HEM_EINVAL, "an image of %zu x %zu pixels: each side must be 1 to %d", width, height,
                     SIDE_MAX);
  size_t bytes;
  uint8_t *at = NULL;
  if (hem__mul(width * CHANNELS, height, &bytes)) at = malloc(bytes);
  if (!at) return hem__fail(err, HEM_ENOMEM, "no memory for an image of %zu x %zu pixels", width, height);
  *out = (hem__image){.at = at, .width = width, .height = height};
  return HEM_OK;
}

void hem__image_clear(hem__image *image) {
  free(image->at);
  *image = (hem__image){0};
}

/* Millionths of the photo's sides, as pixels: the edges are rounded, so that neighbours stay neighbours. */
static hem__box box_in_pixels(const hem__image *photo, hem__box box) {
  if (box.unit != HEM__MILLIONTHS) return box;
  int64_t width = (int64_t)photo->width, height = (int64_t)photo->height, half = 500000, all = 1000000;
  int64_t left = (box.x * width + half) / all, right = (((int64_t)box.x + box.width) * width + half) / all;
  int64_t top = (box.y * height + half) / all, bottom = (((int64_t)box.y + box.height) * height + half) / all;
  return (hem__box){(int32_t)left, (int32_t)top, (int32_t)(right - left), (int32_t)(bottom - top), HEM__PIXELS};
}

hem_status hem__image_crop(const hem__image *photo, hem__box box, hem__image *out, hem_error *err) {
  box = box_in_pixels(photo, box);
  int64_t width = (int64_t)photo->width, height = (int64_t)photo->height;
  bool whole = !box.x && !box.y && !box.width && !box.height;
  int64_t left = box.x > 0 ? box.x : 0, top = box.y > 0 ? box.y : 0;
  int64_t right = whole ? width : (int64_t)box.x + box.width, bottom = whole ? height : (int64_t)box.y + box.height;
  if (right > width) right = width;
  if (bottom > height) bottom = height;
  if (left >= right || top >= bottom)
    return hem__fail(err, HEM_EINVAL, "box %d,%d of %d x %d leaves nothing of a photo of %zu x %zu pixels", box.x,
                     box.y, box.width, box.height, photo->width, photo->height);
  hem__image cut;
  hem_status status = hem__image_new((size_t)(right - left), (size_t)(bottom - top), &cut, err);
  if (status) return status;
  const uint8_t *from = photo->at + ((size_t)top * photo->width + (size_t)left) * CHANNELS;
  size_t row = cut.width * CHANNELS;
  for (size_t y = 0; y < cut.height; y++) memcpy(cut.at + y * row, from + y * photo->width * CHANNELS, row);
  *out = cut;
  return HEM_OK;
}

/* ---- stretching ----
 * Separable, in whole numbers and so the same on every machine: the area average where an axis shrinks, linear
 * interpolation between pixel centres where it grows. Rows are summed first, because that reads memory in order
 * and leaves one short row for each row of the result. Sums: a weight total is at most 2 x 65,535, so a column of
 * 8-bit values stays under 2^25 and a whole pixel under 2^42. */

/* The source pixels first..last behind one pixel of the result, along one axis. */
typedef struct span {
  size_t first, last;
  uint32_t at_first, between, at_last; /* weights; at_last is 0 where last == first */
  uint32_t total;
} span;

static span span_shrinking(size_t i, size_t from, size_t to) {
  /* In units of 1/to of a source pixel, pixel i covers [i * from, (i + 1) * from). */
  size_t low = i * from, high = low + from;
  span s = {.first = low / to, .last = (high - 1) / to, .between = (uint32_t)to, .total = (uint32_t)from};
  s.at_first = (uint32_t)hem__min((s.first + 1) * to - low, from);
  s.at_last = s.last > s.first ? (uint32_t)(high - s.last * to) : 0;
  return s;
}

static span span_growing(size_t i, size_t from, size_t to) {
  /* In units of 1/(2 to) of a source pixel, the centre of pixel i lies at (2 i + 1) from, and that of source
   * pixel 0 at `to`. Beyond the outermost centres the border is repeated. */
  uint32_t unit = 2 * (uint32_t)to;
  size_t centre = (2 * i + 1) * from, place = centre > to ? centre - to : 0;
  span s = {.first = place / unit, .at_last = (uint32_t)(place % unit), .total = unit};
  s.last = s.first + 1;
  if (s.last >= from || s.at_last == 0) {
    s.last = s.first;
    s.at_last = 0;
  }
  s.at_first = unit - s.at_last;
  return s;
}

static span span_of(size_t i, size_t from, size_t to) {
  return to <= from ? span_shrinking(i, from, to) : span_growing(i, from, to);
}

static void add_row(uint32_t *restrict sum, const uint8_t *restrict row, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] += row[i];
}

/* sum = the weighted sum of the rows of `rows`. */
static void sum_rows(const hem__image *photo, span rows, uint32_t *restrict sum) {
  size_t count = photo->width * CHANNELS;
  const uint8_t *first = photo->at + rows.first * count, *last = photo->at + rows.last * count;
  memset(sum, 0, count * sizeof *sum);
  for (const uint8_t *row = first + count; row < last; row += count) add_row(sum, row, count);
  for (size_t i = 0; i < count; i++) sum[i] = sum[i] * rows.between + first[i] * rows.at_first + last[i] * rows.at_last;
}

static void sum_columns(const uint32_t *row, span columns, uint64_t divisor, uint8_t *out) {
  const uint32_t *first = row + columns.first * CHANNELS, *last = row + columns.last * CHANNELS;
  uint64_t sum[CHANNELS] = {0};
  for (const uint32_t *at = first + CHANNELS; at < last; at += CHANNELS)
    for (size_t c = 0; c < CHANNELS; c++) sum[c] += at[c];
  for (size_t c = 0; c < CHANNELS; c++) {
    uint64_t all =
        sum[c] * columns.between + (uint64_t)first[c] * columns.at_first + (uint64_t)last[c] * columns.at_last;
    out[c] = (uint8_t)((all + divisor / 2) / divisor);
  }
}

hem_status hem__image_resize(const hem__image *photo, size_t width, size_t height, hem__image *out, hem_error *err) {
  hem__image stretched = {0};
  uint32_t *sum = NULL;
  hem_status status = hem__image_new(width, height, &stretched, err);
  if (!status) status = hem__alloc(photo->width * CHANNELS, sizeof *sum, "stretching an image", &sum, err);
  if (status) goto done;
  for (size_t y = 0; y < height; y++) {
    span rows = span_of(y, photo->height, height);
    sum_rows(photo, rows, sum);
    for (size_t x = 0; x < width; x++) {
      span columns = span_of(x, photo->width, width);
      sum_columns(sum, columns, (uint64_t)rows.total * columns.total, stretched.at + (y * width + x) * CHANNELS);
    }
  }
  *out = stretched;
  stretched = (hem__image){0};
done:
  free(sum);
  hem__image_clear(&stretched);
  return status;
}

/* ---- decoding and encoding ---- */

#ifdef HEM_HAVE_VIPS
#include <pthread.h>
#include <vips/vips.h>

/* What a photo may claim before a byte of it is decoded: 100 megapixels are 300 MB here. */
#define DECODE_SIDE_MAX 16384
#define DECODE_PIXELS_MAX 100000000

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
  vips_ready = true;
}

/* Moves libvips's text into *err. Its buffer belongs to the process: where several threads fail at once, a text may
 * be reported with another photo's name; the code is right. */
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

static bool is_jpeg(const uint8_t *bytes, size_t size) { return size >= 3 && !memcmp(bytes, "\xFF\xD8\xFF", 3); }

static bool is_png(const uint8_t *bytes, size_t size) { return size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1A\n", 8); }

static bool is_webp(const uint8_t *bytes, size_t size) {
  return size >= 12 && !memcmp(bytes, "RIFF", 4) && !memcmp(bytes + 8, "WEBP", 4);
}

/* ISO/IEC 14496-12: a file type box, and "avif" as its major brand or among the compatible ones. */
static bool is_avif(const uint8_t *bytes, size_t size) {
  if (size < 12 || memcmp(bytes + 4, "ftyp", 4)) return false;
  size_t box = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
  for (size_t at = 8; at + 4 <= hem__min(box, size); at += 4)
    if (!memcmp(bytes + at, "avif", 4)) return true;
  return false;
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

/* Opens without decoding: libvips decodes when pixels are asked for. */
static hem_status open_photo(const uint8_t *bytes, size_t size, const char *name, VipsImage **out, hem_error *err) {
  const format *known = format_of(bytes, size);
  if (!known)
    return hem__fail(err, HEM_EUNSUPPORTED,
                     "%s is not a JPEG, PNG, WebP or AVIF photo, whatever its name says; convert it to one of these",
                     name);
  VipsImage *image = NULL;
  if (known->load((void *)(uintptr_t)bytes, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                  VIPS_FAIL_ON_WARNING, NULL))
    return fail_vips(HEM_ECORRUPT, name, "damaged photo; fetch it again", err);
  if (image->Xsize > DECODE_SIDE_MAX || image->Ysize > DECODE_SIDE_MAX ||
      (int64_t)image->Xsize * image->Ysize > DECODE_PIXELS_MAX) {
    hem__fail(err, HEM_EINVAL, "%s has %d x %d pixels; scale it down to at most %d a side and %d megapixels", name,
              image->Xsize, image->Ysize, DECODE_SIDE_MAX, DECODE_PIXELS_MAX / 1000000);
    g_object_unref(image);
    return HEM_EINVAL;
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

static bool to_srgb(VipsImage **image) {
  VipsImage *next = NULL;
  if (vips_image_get_typeof(*image, VIPS_META_ICC_NAME)) {
    /* A profile that is broken or of another colour space is ignored, as browsers do. */
    if (!step(image, vips_icc_transform(*image, &next, "srgb", "embedded", TRUE, "depth", 8, NULL), &next))
      vips_error_clear();
  }
  if (!step(image, vips_colourspace(*image, &next, VIPS_INTERPRETATION_sRGB, NULL), &next)) return false;
  return step(image, vips_cast_uchar(*image, &next, NULL), &next);
}

/* Turning needs pixels in any order; until here they come top to bottom, without a copy of the whole. */
static bool upright(VipsImage **image) {
  if (vips_image_get_orientation(*image) == 1) return true;
  VipsImage *next = vips_image_copy_memory(*image);
  if (!step(image, next == NULL, &next)) return false;
  return step(image, vips_autorot(*image, &next, NULL), &next);
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

hem_status hem__image_decode(const uint8_t *bytes, size_t size, const char *name, hem__image *out, hem_error *err) {
  if (size == 0) return hem__fail(err, HEM_ECORRUPT, "%s is empty; fetch it again", name);
  VipsImage *image = NULL;
  hem__image photo = {0};
  hem_status status = need_vips(err);
  if (!status) status = open_photo(bytes, size, name, &image, err);
  if (status) goto done;
  if (!flatten(&image) || !to_srgb(&image) || !upright(&image)) {
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
  *out = photo;
  photo = (hem__image){0};
done:
  hem__image_clear(&photo);
  if (image) g_object_unref(image);
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
