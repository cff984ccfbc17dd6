/* A fuzz target reads bytes it must not trust; whatever they are, it returns 0. libFuzzer calls it with bytes of
 * its own making (HEMLINE_FUZZ); replay.c calls it with the files of a corpus, in every build. */
#ifndef HEM_TESTS_FUZZ_H
#define HEM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops the process, where the sanitizers stop it too. */
#define HEM__FUZZ_ASSERT(condition) \
  do {                              \
    if (!(condition)) abort();      \
  } while (0)

/* A copy that ends where the input ends, so that reading on is noticed. Freed with free(). */
static inline uint8_t *hem__fuzz_copy(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  HEM__FUZZ_ASSERT(copy);
  if (size) memcpy(copy, data, size);
  return copy;
}

#endif
