/* Stretching as the image library of the networks' authors does it (Pillow's Image.resize): a photo must meet a network
 * the way its training photos did. Whole-number arithmetic, so that the pixels are the same to the bit. */
#ifndef HEM_INGEST_RESAMPLE_H
#define HEM_INGEST_RESAMPLE_H

#include "ingest/image.h"

typedef enum hem__filter { HEM__BILINEAR = 0, HEM__BICUBIC = 1, HEM__FILTERS = 2 } hem__filter;

/* A part of a photo, in pixels and fractions of them: Pillow's `box`. Read in single precision, as Pillow does. */
typedef struct hem__part {
  double left, top, right, bottom;
} hem__part;

/* Some pixels of the result. */
typedef struct hem__window {
  size_t left, top, width, height;
} hem__window;

typedef struct hem__resampling {
  hem__part part;       /* of the photo; all zero: the whole of it */
  size_t width, height; /* that the part is stretched to */
  hem__window window;   /* of width x height, what is wanted of it; all zero: all. Only that is computed, and it is
                           what a cut from the whole would be. */
  hem__filter filter;   /* widens as the part shrinks (antialiasing) */
  bool plain;           /* without AVX2, for tests: the pixels are the same */
} hem__resampling;

/* Makes the window's pixels. Any thread. Errors: EINVAL (the part is empty or not inside the photo, the window not
 * inside the result, or one of its sides is 0 or over 65,535), ENOMEM. */
hem_status hem__resample(const hem__image *photo, const hem__resampling *how, hem__image *out, hem_error *err);

#endif
