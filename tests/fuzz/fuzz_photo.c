/* A photo of any format: decoded or refused; what was decoded has the pixels it promises, and a network can see it. */
#include "fuzz/fuzz.h"
#include "ingest/preprocess.h"

static void look_at(const hem__image *photo) {
  static const char shorter[] = "fit=shorter resize=20 crop=16 scale=255 std=1,1,1";
  static float tensor[3 * 16 * 16];
  hem__preprocess p = {0};
  hem_error err = {0};
  HEM__FUZZ_ASSERT(photo->width > 0 && photo->height > 0 && photo->width <= 16384 && photo->height <= 16384);
  HEM__FUZZ_ASSERT(hem__preprocess_parse(shorter, &p, &err) == HEM_OK);
  HEM__FUZZ_ASSERT(hem__preprocess_apply(&p, photo, tensor, &err) == HEM_OK);
  for (size_t i = 0; i < hem__preprocess_size(&p); i++) HEM__FUZZ_ASSERT(tensor[i] >= 0 && tensor[i] <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = hem__fuzz_copy(data, size);
  hem__image photo = {0};
  hem_error err = {0};
  if (hem__image_decode(copy, size, "fuzz", &photo, &err) == HEM_OK) {
    look_at(&photo);
  } else {
    HEM__FUZZ_ASSERT(err.message[0] && !photo.at);
  }
  hem__image_clear(&photo);
  free(copy);
  return 0;
}
