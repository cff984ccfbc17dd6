/* A test photo that C and Python (features_color.py) make alike, in whole numbers: a disc of blocks and gradients, a
 * grey stripe, and the light background of a shop photo. `kind` moves the colours. */
#ifndef HEM_TESTS_REFERENCE_SYNTHETIC_H
#define HEM_TESTS_REFERENCE_SYNTHETIC_H

#include "ingest/image.h"
#include "test.h"

static inline void synthetic_pixel(size_t x, size_t y, size_t side, size_t kind, uint8_t *rgb) {
  size_t u = x * 64 / side, v = y * 64 / side;
  size_t dx = u > 32 ? u - 32 : 32 - u, dy = v > 32 ? v - 32 : 32 - v;
  if (dx * dx + dy * dy > 26 * 26) {
    for (size_t c = 0; c < 3; c++) rgb[c] = (uint8_t)(238 + (x + 2 * y + c) % 18);
  } else if (v % 16 < 3) {
    for (size_t c = 0; c < 3; c++) rgb[c] = (uint8_t)(4 * u);
  } else {
    rgb[0] = (uint8_t)((u / 8 * 40 + kind * 90 + x * y % 7) % 256);
    rgb[1] = (uint8_t)((v / 8 * 30 + kind * 50 + u * u / 16) % 256);
    rgb[2] = (uint8_t)(((u / 8) ^ (v / 8)) * 36 + (x * 5 + y * 3) % 4);
  }
}

static inline hem__image synthetic(size_t width, size_t height, size_t kind) {
  hem__image image = {0};
  ck_ok(hem__image_new(width, height, &image, err));
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width; x++) synthetic_pixel(x, y, width, kind, image.at + 3 * (y * width + x));
  return image;
}

#endif
