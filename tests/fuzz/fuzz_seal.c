/* The seal of a catalogue, with checksums made right: what is behind them is what is tried. */
#include "fuzz/fuzz.h"
#include "ingest/seal.h"

enum { AT_COUNT = 84, AT_SIZE = 88, AT_DIGEST = 96, AT_EXTENTS = 128, AT_OWN_DIGEST = 4064 };

static uint64_t get64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

/* Digest of what the extents leave over, for extents that are in order; a naive second opinion. */
static void reseal(uint8_t *file, size_t size) {
  hem__sha256 *hash = NULL;
  hem__digest digest;
  uint32_t count;
  uint64_t real_size = size;
  if (file[AT_SIZE] == 0) memcpy(file + AT_SIZE, &real_size, sizeof real_size); /* a right size now and then */
  memcpy(&count, file + AT_COUNT, sizeof count);
  HEM__FUZZ_ASSERT(hem__sha256_new(&hash, NULL) == HEM_OK);
  for (size_t i = HEM__SEAL_SIZE; i < size; i++) {
    bool left_out = false;
    for (size_t e = 0; e < count && e < HEM__SEAL_EXTENTS; e++) {
      uint64_t offset = get64(file + AT_EXTENTS + 16 * e), length = get64(file + AT_EXTENTS + 16 * e + 8);
      left_out |= i >= offset && i - offset < length;
    }
    if (!left_out) hem__sha256_add(hash, file + i, 1);
  }
  hem__sha256_end(hash, &digest);
  hem__sha256_free(hash);
  memcpy(file + AT_DIGEST, digest.at, sizeof digest.at);
  digest = hem__sha256_of(file, AT_OWN_DIGEST);
  memcpy(file + AT_OWN_DIGEST, digest.at, sizeof digest.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = hem__fuzz_copy(data, size);
  hem__seal seal;
  hem_error err = {0};
  if (size >= HEM__SEAL_SIZE) reseal(copy, size);
  hem__map map = {.at = copy, .size = size};
  if (hem__seal_check(&map, "fuzz", HEM__SEALED_CATALOG, &seal, &err) == HEM_OK) {
    uint64_t at = HEM__SEAL_SIZE;
    for (size_t i = 0; i < seal.extent_count; i++) {
      HEM__FUZZ_ASSERT(seal.extents[i].offset >= at);
      HEM__FUZZ_ASSERT(seal.extents[i].offset <= size && seal.extents[i].size <= size - seal.extents[i].offset);
      at = seal.extents[i].offset + seal.extents[i].size;
    }
  } else {
    HEM__FUZZ_ASSERT(err.message[0]);
  }
  free(copy);
  return 0;
}
