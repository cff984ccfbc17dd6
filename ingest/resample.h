/* Stretching as the image library of the networks' authors does it (Pillow's Image.resize): a photo must meet a network
 * the way its training photos did. Whole-number arithmetic, so that the pixels are the same to the bit. */
#ifndef HEM_INGEST_RESAMPLE_H
#define HEM_INGEST_RESAMPLE_H

#include "ingest/image.h"

typedef enum hem__filter { HEM__BILINEAR = 0, HEM__BICUBIC = 1, HEM__FILTERS = 2 } hem__filter;

/* A part of a photo, in pixels and parts of them: Pillow's `box`. */
typedef struct hem__part {
  double left, top, right, bottom;
} hem__part;

/* Stretches the part to `width` x `height`; the filter widens as the part shrinks (antialiasing). Errors: EINVAL (the
 * part is empty or not inside the photo, or a side is 0 or over 65,535), ENOMEM. */
hem_status hem__resample(const hem__image *photo, hem__part part, size_t width, size_t height, hem__filter filter,
                         hem__image *out, hem_error *err);

#endif
