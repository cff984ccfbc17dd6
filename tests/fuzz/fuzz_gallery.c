/* A gallery: parsed or refused; what was parsed can be read from end to end. */
#include "fuzz/fuzz.h"
#include "index/gallery.h"

static size_t read_all(const hem__gallery *g) {
  size_t bytes = 0;
  for (size_t i = 0; i < g->photos; i++)
    bytes += strlen(g->text + g->path[i]) + strlen(g->text + g->label[i]) +
             strlen(g->text + g->item_id[g->item_of[i]]) + (g->row[i] & 1);
  for (size_t i = 0; i < g->items; i++) bytes += strlen(g->text + g->item_id[i]);
  return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = hem__fuzz_copy(data, size);
  hem__map map = {.at = size ? copy : NULL, .size = size};
  hem__gallery gallery;
  hem_error err = {0};
  if (hem__gallery_read(&map, "fuzz", &gallery, &err) == HEM_OK) {
    HEM__FUZZ_ASSERT(read_all(&gallery) != SIZE_MAX); /* whose value does not matter: it must not crash */
  } else {
    HEM__FUZZ_ASSERT(err.message[0]);
  }
  free(copy);
  return 0;
}
