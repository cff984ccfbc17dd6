/* The photo itself: 28 x 28 luma, row by row. The embedding of fashion-mnist-784-euclidean, and the baseline that
 * every other feature must beat. */
#include "ingest/feature.h"

#define SIDE 28

/* hem__luma in whole numbers: a grey photo comes through bit for bit, which its float sum would not promise. */
static void extract(const hem__image *photo, void *scratch, float *out) {
  (void)scratch;
  for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
    const uint8_t *rgb = photo->at + 3 * i;
    out[i] = (float)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
  }
}

const hem__feature hem__feature_pixels = {
    .name = "pixels",
    .recipe = "28x28 luma BT.601 (299 R + 587 G + 114 B) / 1000 rounded, 0..255, row-major",
    .dim = (size_t)SIDE * SIDE,
    .side = SIDE,
    .extract = extract,
};
