/* An ONNX model's graph in memory: shared by the file that reads it (onnx_model.c) and the one that finds the feature
 * in it (onnx_feature.c). Names are slices of the model's bytes: not terminated, not trusted. */
#ifndef HEM_INGEST_ONNX_GRAPH_H
#define HEM_INGEST_ONNX_GRAPH_H

#include "base/text.h"
#include "ingest/onnx_model.h"

typedef struct hem__slice {
  const char *at;
  size_t size;
} hem__slice;

enum { HEM__NODE_INPUTS = 2 }; /* data and weights: what the finder asks for */

typedef struct hem__onnx_node {
  hem__slice name, op, output; /* output: the first */
  hem__slice inputs[HEM__NODE_INPUTS];
  size_t rank; /* of a Constant's tensor; else 0 */
  int64_t dims[2];
} hem__onnx_node;

typedef struct hem__onnx_initializer {
  size_t rank;
  int64_t dims[2]; /* the last two */
} hem__onnx_initializer;

typedef struct hem__onnx_property {
  const char *key, *value;
} hem__onnx_property;

/* Who makes a tensor. Sorted by name once the graph is read. */
typedef struct hem__onnx_definition {
  hem__slice name;
  bool is_node; /* else an initializer */
  size_t index;
} hem__onnx_definition;

struct hem__onnx {
  const char *name; /* for messages; in the arena */
  hem__onnx_node *nodes;
  size_t node_count, node_capacity;
  hem__onnx_initializer *initializers;
  size_t initializer_count, initializer_capacity;
  hem__onnx_definition *definitions;
  size_t definition_count, definition_capacity;
  hem__onnx_value *inputs, *outputs;
  size_t input_count, input_capacity, output_count, output_capacity;
  hem__onnx_property *metadata; /* Hemline's own */
  size_t metadata_count, metadata_capacity;
  size_t image; /* of inputs */
  hem__arena strings;
};

/* Who makes the tensor, or NULL. */
const hem__onnx_definition *hem__onnx_definition_of(const hem__onnx *model, hem__slice name);
bool hem__slice_is(hem__slice slice, const char *text);
/* A terminated copy in the model's arena. Errors: ECORRUPT (empty, overlong, not UTF-8, or with control characters). */
hem_status hem__onnx_copy(hem__onnx *model, hem__slice slice, const char **out, hem_error *err);

#endif
