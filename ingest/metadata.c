/* What a photo says of itself, as far as decoding needs it: which way up it is (EXIF), and whether its colour profile
 * (ICC) is the one that photos without a profile have. Bytes of strangers: every offset is checked. */
#include <string.h>

#include "ingest/decode.h"

static uint32_t number(const uint8_t *at, size_t size, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; i++) value |= (uint32_t)at[i] << 8 * (big_endian ? size - 1 - i : i);
  return value;
}

/* The first directory of a TIFF header: EXIF 2.3, 4.6. */
int hem__exif_orientation(const uint8_t *tiff, size_t size) {
  enum { HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112, SHORT = 3 };
  if (size < HEADER || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0)) return 1;
  bool big = tiff[0] == 'M';
  size_t at = number(tiff + 4, 4, big);
  if (at > size || size - at < 2) return 1;
  const uint8_t *entry = tiff + at + 2;
  size_t count = hem__min(number(tiff + at, 2, big), (size - at - 2) / ENTRY);
  for (size_t i = 0; i < count; i++, entry += ENTRY)
    if (number(entry, 2, big) == ORIENTATION && number(entry + 2, 2, big) == SHORT)
      return (int)number(entry + 8, 2, big);
  return 1;
}

/* Latin text, or a multilingual one, whose first language is taken: ICC.1:2001-04, 6.5.17; ICC.1:2010, 10.13. */
static bool says_srgb(const uint8_t *tag, size_t size) {
  static const char latin[] = "sRGB", wide[] = "\0s\0R\0G\0B";
  if (size >= 12 + 4 && !memcmp(tag, "desc", 4)) return !memcmp(tag + 12, latin, 4);
  if (size < 28 || memcmp(tag, "mluc", 4) != 0) return false;
  size_t at = number(tag + 24, 4, true);
  return at <= size && size - at >= 8 && !memcmp(tag + at, wide, 8);
}

bool hem__profile_is_srgb(const uint8_t *profile, size_t size) {
  enum { HEADER = 128, TAG = 12 };
  if (size < HEADER + 4 || memcmp(profile + 16, "RGB ", 4) != 0) return false;
  size_t count = hem__min(number(profile + HEADER, 4, true), (size - HEADER - 4) / TAG);
  const uint8_t *tag = profile + HEADER + 4;
  for (size_t i = 0; i < count; i++, tag += TAG) {
    size_t at = number(tag + 4, 4, true), length = number(tag + 8, 4, true);
    if (memcmp(tag, "desc", 4) != 0) continue;
    return at <= size && says_srgb(profile + at, hem__min(length, size - at));
  }
  return false;
}
