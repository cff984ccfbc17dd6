/* What colours a photo has, wherever they are: Swain and Ballard, "Color Indexing", IJCV 7(1), 1991.
 *
 * "hue" is the classic 25 bins of hue. "color" is joint over hue, saturation and value, which tells black from
 * white from grey and navy from sky, and holds square roots of the shares: Euclidean distance between such vectors is
 * Hellinger's, which lets no large area drown the small ones (Arandjelovic and Zisserman, CVPR 2012, on SIFT). */
#include <math.h>
#include <string.h>

#include "ingest/feature.h"
#include "ingest/hsv.h"

enum { SIDE = 64, PIXELS = SIDE * SIDE, ONLY_HUES = 25, HUES = 16, SATURATIONS = 4, VALUES = 4 };
enum { JOINT = HUES * SATURATIONS * VALUES };

/* Counts are collected in `out` itself: at most 16 x 4,096, they are exact as floats. */
static void extract_hue(const hem__image *photo, void *scratch, float *out) {
  (void)scratch;
  memset(out, 0, ONLY_HUES * sizeof *out);
  float total = 0;
  for (size_t i = 0; i < PIXELS; i++) {
    hem__hsv c = hem__hsv_of(photo->at + 3 * i);
    if (c.range == 0) continue; /* grey has no hue, and bin 0 is red */
    out[hem__hsv_hue(c, ONLY_HUES)]++;
    total++;
  }
  for (size_t i = 0; total > 0 && i < ONLY_HUES; i++) out[i] /= total;
}

static void extract_joint(const hem__image *photo, void *scratch, float *out) {
  (void)scratch;
  memset(out, 0, JOINT * sizeof *out);
  float total = 0;
  for (size_t i = 0; i < PIXELS; i++) {
    hem__hsv c = hem__hsv_of(photo->at + 3 * i);
    float weight = hem__hsv_is_light(c) ? HEM__WEIGHT_LIGHT : HEM__WEIGHT_OTHER;
    out[hem__hsv_bin(c, HUES, SATURATIONS, VALUES)] += weight;
    total += weight;
  }
  for (size_t i = 0; i < JOINT; i++) out[i] = sqrtf(out[i] / total);
}

const hem__feature hem__feature_hue_histogram = {
    .name = "hue",
    .recipe = "25 equal bins of hue from red 0; pixels with R=G=B are left out; shares of the rest; all grey: zeros",
    .dim = ONLY_HUES,
    .side = SIDE,
    .extract = extract_hue,
};

const hem__feature hem__feature_color_histogram = {
    .name = "color",
    .recipe =
        "joint HSV bins 16x4x4, hue-major, grey in hue bin 0; weight 1 where min(R,G,B) > 235, else 16; square "
        "roots of shares of the weight",
    .dim = JOINT,
    .side = SIDE,
    .extract = extract_joint,
};
