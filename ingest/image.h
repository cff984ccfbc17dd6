/* A decoded photo: 8-bit sRGB, nothing else. image_vips.c and image_jpeg.c decode. */
#ifndef HEM_INGEST_IMAGE_H
#define HEM_INGEST_IMAGE_H

#include "base/memory.h"

/* Interleaved red, green, blue; row-major, no padding between rows; height x width x 3 bytes.
 * Owned: cleared with hem__image_clear. A grey photo has three equal channels. */
typedef struct hem__image {
  uint8_t *at;
  size_t width, height;
} hem__image;

/* Part of a photo; all zero: the whole photo. */
enum { HEM__PIXELS = 0, HEM__MILLIONTHS = 1, HEM__BOX_UNITS = 2 };
typedef struct hem__box {
  int32_t x, y, width, height;
  uint8_t unit; /* MILLIONTHS: of the photo's width and height, once it is upright */
} hem__box;

/* An image of `width` x `height` with undefined content. Errors: EINVAL (a side is 0 or over 65,535), ENOMEM. */
hem_status hem__image_new(size_t width, size_t height, hem__image *out, hem_error *err);
void hem__image_clear(hem__image *image);

/* Decodes JPEG, PNG, WebP or AVIF, told by content. Turned upright (EXIF), converted to sRGB (ICC, CMYK, grey,
 * 16 bit), alpha laid on white. `name` is only for messages. Size limits are checked before decoding; a
 * truncated or damaged photo is refused.
 * Errors: ECORRUPT, EUNSUPPORTED (format, or built without libvips), EINVAL (too large), ENOMEM. */
hem_status hem__image_decode(const uint8_t *bytes, size_t size, const char *name, hem__image *out, hem_error *err);

/* The part of `photo` inside `box`, cut at the photo's edges. Errors: EINVAL (nothing is left), ENOMEM. */
hem_status hem__image_crop(const hem__image *photo, hem__box box, hem__image *out, hem_error *err);

/* Stretched to exactly `width` x `height`, averaging when it shrinks. Deterministic. */
hem_status hem__image_resize(const hem__image *photo, size_t width, size_t height, hem__image *out, hem_error *err);

/* PNG bytes, freed with free(). For reports. */
hem_status hem__image_png(const hem__image *image, uint8_t **bytes, size_t *size, hem_error *err);

/* JPEG bytes of `quality` 1 to 100 (libjpeg's scale), freed with free(). */
hem_status hem__image_jpeg(const hem__image *image, int quality, uint8_t **bytes, size_t *size, hem_error *err);

#endif
