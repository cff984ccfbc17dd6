/* A generation's manifest: parsed or refused; what was parsed prints and parses to the same text again. */
#include "fuzz/fuzz.h"
#include "index/generation.h"

static char *print(const hem__manifest *manifest, size_t *size) {
  char *json = NULL;
  HEM__FUZZ_ASSERT(hem__manifest_print(manifest, &json, size, NULL) == HEM_OK);
  return json;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = hem__fuzz_copy(data, size);
  hem__manifest manifest, again;
  hem_error err = {0};
  if (hem__manifest_parse((const char *)copy, size, "fuzz", &manifest, &err) == HEM_OK) {
    size_t first_size, second_size;
    char *first = print(&manifest, &first_size);
    HEM__FUZZ_ASSERT(hem__manifest_parse(first, first_size, "again", &again, NULL) == HEM_OK);
    char *second = print(&again, &second_size);
    HEM__FUZZ_ASSERT(first_size == second_size && memcmp(first, second, first_size) == 0);
    hem__manifest_clear(&manifest);
    hem__manifest_clear(&again);
    free(first);
    free(second);
  } else {
    HEM__FUZZ_ASSERT(err.message[0]);
  }
  free(copy);
  return 0;
}
