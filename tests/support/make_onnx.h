/* Small ONNX files, written field by field (onnx.proto3), for tests. */
#ifndef HEM_TESTS_MAKE_ONNX_H
#define HEM_TESTS_MAKE_ONNX_H

#include "base/memory.h"

/* A protobuf message being written. Zeroed is empty; freed with hem__pb_clear. */
typedef struct hem__pb {
  uint8_t *at;
  size_t size, capacity;
} hem__pb;

void hem__pb_number(hem__pb *pb, uint32_t field, uint64_t value);
void hem__pb_bytes(hem__pb *pb, uint32_t field, const void *bytes, size_t size);
void hem__pb_text(hem__pb *pb, uint32_t field, const char *text);
/* As a field of `pb`; clears it. */
void hem__pb_message(hem__pb *pb, uint32_t field, hem__pb *inner);
void hem__pb_clear(hem__pb *pb);

/* The model: its graph, and what comes behind it. */
typedef struct hem__make_onnx {
  hem__pb graph, behind;
  uint64_t random; /* of the weights */
} hem__make_onnx;

typedef struct hem__make_shape {
  size_t rank;
  int64_t dims[4]; /* -1: any */
} hem__make_shape;

enum { HEM__MAKE_INPUT = 11, HEM__MAKE_OUTPUT = 12 };
/* An input or output of floats; `shape` NULL: the file does not say. */
void hem__make_value(hem__make_onnx *onnx, uint32_t field, const char *name, const hem__make_shape *shape);
/* Inputs and outputs: names separated by blanks. `attributes` (fields of a NodeProto) may be NULL; cleared. The node's
 * name is its operator's and its output's: "Relu_y". */
void hem__make_node(hem__make_onnx *onnx, const char *op, const char *inputs, const char *outputs, hem__pb *attributes);
void hem__make_ints(hem__pb *attributes, const char *name, const int64_t *values, size_t count);
/* An attribute "value" that is a tensor (of a Constant). */
void hem__make_constant(hem__make_onnx *onnx, const char *name, hem__make_shape shape);
/* An initializer with values in [-1, 1). */
void hem__make_weights(hem__make_onnx *onnx, const char *name, hem__make_shape shape);
void hem__make_metadata(hem__make_onnx *onnx, const char *key, const char *value);
/* The whole file, freed with free(); clears the rest. */
uint8_t *hem__make_bytes(hem__make_onnx *onnx, size_t *size);
void hem__make_file(hem__make_onnx *onnx, const char *path);

/* A classifier's body: image (1 x 3 x side x side; side -1: any) -> Conv 3x3 ("conv.w", 6 filters) -> Relu ->
 * GlobalAveragePool -> "pooled", 1 x 6 x 1 x 1 -> Flatten -> "flat", 1 x 6. Its weights are the first ones made. */
void hem__make_body(hem__make_onnx *onnx, int64_t side);
enum { HEM__BODY_DIM = 6 };
/* "flat", computed here from an image of side x side in planes. */
void hem__body_feature(const float *image, size_t side, float feature[HEM__BODY_DIM]);

#endif
