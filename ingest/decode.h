/* What the decoders share: limits, metadata, and turning a photo upright. */
#ifndef HEM_INGEST_DECODE_H
#define HEM_INGEST_DECODE_H

#include "ingest/image.h"

/* What a photo may claim before a pixel of it is decoded: 100 megapixels are 300 MB here. */
enum { HEM__DECODE_SIDE_MAX = 16384, HEM__DECODE_PIXELS_MAX = 100000000 };

/* Errors: EINVAL, where a photo that claims this size is not to be decoded. */
hem_status hem__decode_check_size(size_t width, size_t height, const char *name, hem_error *err);

/* Turns a photo as its EXIF orientation says; one that is not 2 to 8 changes nothing. Errors: ENOMEM. */
hem_status hem__image_upright(hem__image *photo, int orientation, hem_error *err);

/* The EXIF orientation in a TIFF header and what follows it; 1 where there is none. */
int hem__exif_orientation(const uint8_t *tiff, size_t size);
/* Does an ICC profile call itself sRGB? Its first bytes suffice. Then it is not applied: converting sRGB to sRGB takes
 * longer than decoding and changes nothing but roundings. */
bool hem__profile_is_srgb(const uint8_t *profile, size_t size);

/* Decodes a JPEG by libjpeg alone where it holds nothing but 8-bit grey or RGB (as YCbCr or plain). *plain is false,
 * and *out untouched, where it is of another kind: with a colour profile that is not sRGB, or CMYK.
 * Errors: ECORRUPT, EINVAL (too large), ENOMEM. */
hem_status hem__jpeg_decode(const uint8_t *bytes, size_t size, const char *name, bool *plain, hem__image *out,
                            hem_error *err);

/* Gives libheif a decoder of AV1 that prints nothing, before the first AVIF photo. Once. */
void hem__av1_start(void);

#endif
