/* An ONNX file: read or refused with a sentence; whatever was read, the search for its feature ends, and the message
 * that adds an output merges into the file. */
#include <stdbool.h>

#include "fuzz/fuzz.h"
#include "ingest/onnx_model.h"

static void find(hem__onnx *model, const char *layer, size_t from_end) {
  hem__onnx_feature feature = {0};
  hem_error err = {0};
  uint8_t message[HEM__ONNX_NAME_MAX + 16];
  if (hem__onnx_find_feature(model, layer, from_end, &feature, &err)) {
    HEM__FUZZ_ASSERT(err.code && *err.message);
    return;
  }
  HEM__FUZZ_ASSERT(*feature.tensor && strlen(feature.tensor) <= HEM__ONNX_NAME_MAX && *feature.why);
  HEM__FUZZ_ASSERT(hem__onnx_output_message(feature.tensor, message) <= sizeof message);
}

/* What is cut down can be read again, unless nothing is left of it. */
static void trim(const hem__onnx *model, uint8_t *bytes, size_t size, const char *tensor) {
  hem__onnx *less = NULL;
  hem_error err = {0};
  size_t before = size;
  HEM__FUZZ_ASSERT(hem__onnx_trim(model, tensor, bytes, &size, &err) == HEM_OK && size <= before);
  if (hem__onnx_read(bytes, size, "fuzz.onnx", &less, &err)) HEM__FUZZ_ASSERT(!strstr(err.message, "too soon"));
  hem__onnx_free(less);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *bytes = hem__fuzz_copy(data, size);
  hem__onnx *model = NULL;
  hem_error err = {0};
  if (hem__onnx_read(bytes, size, "fuzz.onnx", &model, &err)) {
    HEM__FUZZ_ASSERT(strstr(err.message, "fuzz.onnx"));
  } else {
    const hem__onnx_value *input = hem__onnx_input(model);
    HEM__FUZZ_ASSERT(input->name && *input->name && (!input->shaped || input->rank == 4));
    hem__onnx_metadata(model, "hemline.preprocess");
    find(model, NULL, 1);
    find(model, NULL, 2);
    find(model, "flat", 1);
    find(model, input->name, 1);
    trim(model, bytes, size, size % 2 ? "flat" : input->name);
  }
  hem__onnx_free(model);
  free(bytes);
  return 0;
}
