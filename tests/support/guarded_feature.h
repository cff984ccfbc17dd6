/* Runs a feature between canaries: what it writes outside its scratch and its values is found. */
#ifndef HEM_TESTS_SUPPORT_GUARDED_FEATURE_H
#define HEM_TESTS_SUPPORT_GUARDED_FEATURE_H

#include <math.h>
#include <string.h>

#include "ingest/feature.h"
#include "test.h"

enum { GUARD = 256, CANARY = 0xC5 };

/* `size` bytes of `fill` between two guards. Freed with guarded_free. */
static inline uint8_t *guarded_new(size_t size, int fill) {
  uint8_t *all = NULL;
  ck_ok(hem__alloc(size + 2 * GUARD, 1, "guarded bytes", &all, err));
  memset(all, CANARY, size + 2 * GUARD);
  memset(all + GUARD, fill, size);
  return all + GUARD;
}

static inline void guarded_free(uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < GUARD; i++) {
    ck_assert_msg(bytes[size + i] == CANARY, "byte %zu past the end was written", i);
    ck_assert_msg(bytes[i - GUARD] == CANARY, "byte %zu before the start was written", GUARD - i);
  }
  free(bytes - GUARD);
}

/* `fill` is what the scratch holds before; no value may depend on it, nor may the photo change. */
static inline void guarded_extract(const hem__feature *feature, const uint8_t *rgb, int fill, float *out) {
  size_t photo_size = feature->side * feature->side * 3, size = feature->dim * sizeof *out;
  uint8_t *photo = guarded_new(photo_size, 0), *values = guarded_new(size, fill);
  uint8_t *scratch = guarded_new(feature->scratch, fill);
  memcpy(photo, rgb, photo_size);
  feature->extract(&(hem__image){photo, feature->side, feature->side}, scratch, (float *)(void *)values);
  memcpy(out, values, size);
  ck_assert_mem_eq(photo, rgb, photo_size);
  for (size_t i = 0; i < feature->dim; i++) ck_assert_msg(isfinite(out[i]), "value %zu is not finite", i);
  guarded_free(photo, photo_size);
  guarded_free(values, size);
  guarded_free(scratch, feature->scratch);
}

#endif
