/* Photos of every kind, made by libvips's savers. Only where the library has libvips. */
#ifndef HEM_TESTS_MAKE_PHOTO_H
#define HEM_TESTS_MAKE_PHOTO_H

#include "ingest/image.h"

typedef struct hem__photo_file {
  uint8_t *at; /* freed with free(); NULL where this libvips cannot write the format */
  size_t size;
} hem__photo_file;

/* `format` is libvips's: an ending and options, ".jpg[Q=90,interlace]". `kind` says what is made of the photo first:
 * "", "alpha", "grey", "16", "16 alpha", "cmyk", "p3" or "srgb" (with that profile), "turned" (EXIF orientation 6) or
 * "animation" (of two). */
hem__photo_file hem__make_photo(const hem__image *photo, const char *kind, const char *format);

#endif
