/* Hue, saturation and value in whole numbers, so that no rounding decides a pixel's bin: a colour falls into the same
 * one on every machine and with every compiler. Also which pixels the colour features take for background. */
#ifndef HEM_INGEST_HSV_H
#define HEM_INGEST_HSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Value is max / 255, saturation is range / max, hue is turn / (6 range) of a full turn, red at 0, green at 1/3. */
typedef struct hem__hsv {
  uint32_t max, min;
  uint32_t range; /* max - min; 0: grey, without a hue */
  uint32_t turn;  /* < 6 range, or 0 */
} hem__hsv;

static inline hem__hsv hem__hsv_of(const uint8_t *rgb) {
  uint32_t r = rgb[0], g = rgb[1], b = rgb[2];
  uint32_t max = r > g ? r : g, min = r > g ? g : r;
  if (b > max) max = b;
  if (b < min) min = b;
  uint32_t range = max - min, turn;
  if (max == r)
    turn = g >= b ? g - b : 6 * range + g - b;
  else if (max == g)
    turn = 2 * range + b - r;
  else
    turn = 4 * range + r - g;
  return (hem__hsv){.max = max, .min = min, .range = range, .turn = turn};
}

/* Hue bin 0 starts at red; grey goes there. */
static inline size_t hem__hsv_hue(hem__hsv c, uint32_t hues) { return c.range ? c.turn * hues / (6 * c.range) : 0; }

/* Joint bin, hue-major, of hues x saturations x values. */
static inline size_t hem__hsv_bin(hem__hsv c, uint32_t hues, uint32_t saturations, uint32_t values) {
  uint32_t saturation = c.max ? c.range * saturations / c.max : 0;
  if (saturation == saturations) saturation--;
  return (hem__hsv_hue(c, hues) * saturations + saturation) * values + c.max * values / 256;
}

/* A shop's white sweep fills half of its photos and says nothing of the garment, so light pixels count for a
 * sixteenth. Not for nothing: a white shirt on white must not vanish. */
enum { HEM__LIGHT_ABOVE = 235, HEM__WEIGHT_LIGHT = 1, HEM__WEIGHT_OTHER = 16 };

static inline bool hem__hsv_is_light(hem__hsv c) { return c.min > HEM__LIGHT_ABOVE; }

#endif
