/* What a white-box feature is: a name, a recipe and a function. One file a feature, one paper a file.
 * A feature knows nothing of files, catalogues or other features. */
#ifndef HEM_INGEST_FEATURE_H
#define HEM_INGEST_FEATURE_H

#include "ingest/image.h"

typedef struct hem__feature {
  const char *name;   /* as on the command line, "hog" */
  const char *recipe; /* every constant that shapes the values; part of the space's hash, so a change of
                         algorithm is a change of this text */
  size_t dim;         /* floats it writes */
  size_t side;        /* the photo arrives stretched to side x side pixels */
  size_t scratch;     /* bytes of working memory it needs, 64-byte aligned, content undefined */
  /* Writes `dim` finite floats. Deterministic; cannot fail; keeps nothing. `photo` is side x side. */
  void (*extract)(const hem__image *photo, void *scratch, float *out);
} hem__feature;

extern const hem__feature hem__feature_hog;             /* Dalal and Triggs 2005 */
extern const hem__feature hem__feature_color_histogram; /* "color": the joint histogram */
extern const hem__feature hem__feature_hue_histogram;   /* "hue": 25 bins of hue */
extern const hem__feature hem__feature_color_coherence; /* "ccv": Pass, Zabih and Miller 1996 */
extern const hem__feature hem__feature_harris;          /* Harris and Stephens 1988 */
extern const hem__feature hem__feature_pixels;          /* "pixels": 28 x 28 luma, 784 values 0..255 */

/* Luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B, each 0..255. */
static inline float hem__luma(const uint8_t *rgb) {
  return 0.299F * (float)rgb[0] + 0.587F * (float)rgb[1] + 0.114F * (float)rgb[2];
}

#endif
