/* A metric as an ONNX model, written field by field (onnx.proto, IR 7, operator set 13): what is needed of protobuf is
 * numbers and lengths. The graph is metric.h's definition, operator by operator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metric/metric_file.h"

/* ---- protobuf ---- */

/* A message being written. */
typedef struct message {
  uint8_t *at;
  size_t size, capacity;
} message;

/* The model in the making. The first failure stays, and what follows does nothing. */
typedef struct model {
  message graph;
  hem_status status;
  hem_error *err;
} model;

static void put(model *m, message *to, const void *bytes, size_t size) {
  if (!m->status) m->status = hem__grow(&to->at, &to->capacity, to->size + size, 1, "an ONNX model", m->err);
  if (m->status || size == 0) return;
  memcpy(to->at + to->size, bytes, size);
  to->size += size;
}

static void put_varint(model *m, message *to, uint64_t value) {
  uint8_t bytes[10];
  size_t count = 0;
  for (; value > 0x7F; value >>= 7) bytes[count++] = (uint8_t)(value | 0x80);
  bytes[count++] = (uint8_t)value;
  put(m, to, bytes, count);
}

static void put_number(model *m, message *to, uint32_t field, uint64_t value) {
  put_varint(m, to, (uint64_t)field << 3);
  put_varint(m, to, value);
}

static void put_bytes(model *m, message *to, uint32_t field, const void *bytes, size_t size) {
  put_varint(m, to, (uint64_t)field << 3 | 2);
  put_varint(m, to, size);
  put(m, to, bytes, size);
}

static void put_text(model *m, message *to, uint32_t field, const char *text) {
  put_bytes(m, to, field, text, strlen(text));
}

/* Frees the inner message. */
static void put_message(model *m, message *to, uint32_t field, message *inner) {
  put_bytes(m, to, field, inner->at, inner->size);
  free(inner->at);
  *inner = (message){0};
}

/* ---- ONNX ---- */

enum {
  MODEL_IR = 1,
  MODEL_PRODUCER = 2,
  MODEL_VERSION = 3,
  MODEL_GRAPH = 7,
  MODEL_OPSET = 8,
  MODEL_METADATA = 14,
  GRAPH_NODE = 1,
  GRAPH_NAME = 2,
  GRAPH_INITIALIZER = 5,
  GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12,
  NODE_INPUT = 1,
  NODE_OUTPUT = 2,
  NODE_NAME = 3,
  NODE_OPERATOR = 4,
  NODE_ATTRIBUTE = 5,
  TENSOR_DIMS = 1,
  TENSOR_TYPE = 2,
  TENSOR_NAME = 8,
  TENSOR_RAW = 9,
  ATTRIBUTE_NAME = 1,
  ATTRIBUTE_INT = 3,
  ATTRIBUTE_INTS = 8,
  ATTRIBUTE_TYPE = 20,
  TYPE_FLOAT = 1,
  TYPE_INT64 = 7,
  KIND_INT = 2,
  KIND_INTS = 7
};

/* A float tensor [rows], or [rows][columns]. */
static void put_floats(model *m, const char *name, const float *values, size_t rows, size_t columns) {
  message tensor = {0};
  put_number(m, &tensor, TENSOR_DIMS, rows);
  if (columns) put_number(m, &tensor, TENSOR_DIMS, columns);
  put_number(m, &tensor, TENSOR_TYPE, TYPE_FLOAT);
  put_text(m, &tensor, TENSOR_NAME, name);
  put_bytes(m, &tensor, TENSOR_RAW, values, rows * (columns ? columns : 1) * sizeof *values);
  put_message(m, &m->graph, GRAPH_INITIALIZER, &tensor);
}

static void put_int(model *m, const char *name, int64_t value) {
  message tensor = {0};
  put_number(m, &tensor, TENSOR_DIMS, 1);
  put_number(m, &tensor, TENSOR_TYPE, TYPE_INT64);
  put_text(m, &tensor, TENSOR_NAME, name);
  put_bytes(m, &tensor, TENSOR_RAW, &value, sizeof value);
  put_message(m, &m->graph, GRAPH_INITIALIZER, &tensor);
}

/* [N, dim], or [N] where dim is 0. */
static void put_value(model *m, uint32_t field, const char *name, size_t dim) {
  message value = {0}, type = {0}, tensor = {0}, shape = {0}, one = {0};
  put_text(m, &one, 2, "N");
  put_message(m, &shape, 1, &one);
  if (dim) {
    put_number(m, &one, 1, dim);
    put_message(m, &shape, 1, &one);
  }
  put_number(m, &tensor, 1, TYPE_FLOAT);
  put_message(m, &tensor, 2, &shape);
  put_message(m, &type, 1, &tensor);
  put_text(m, &value, 1, name);
  put_message(m, &value, 2, &type);
  put_message(m, &m->graph, field, &value);
}

static void put_attribute(model *m, message *node, const char *name, uint32_t kind, uint64_t value) {
  message attribute = {0};
  put_text(m, &attribute, ATTRIBUTE_NAME, name);
  put_number(m, &attribute, kind == KIND_INT ? ATTRIBUTE_INT : ATTRIBUTE_INTS, value);
  put_number(m, &attribute, ATTRIBUTE_TYPE, kind);
  put_message(m, node, NODE_ATTRIBUTE, &attribute);
}

/* Up to three inputs; those behind the last are NULL. The node is named like its output. */
typedef struct node {
  const char *operator, * output, *inputs[3];
} node;

/* `attributes` may be NULL; freed. */
static void put_node(model *m, const node *n, message *attributes) {
  message to = {0};
  for (size_t i = 0; i < 3 && n->inputs[i]; i++) put_text(m, &to, NODE_INPUT, n->inputs[i]);
  put_text(m, &to, NODE_OUTPUT, n->output);
  put_text(m, &to, NODE_NAME, n->output);
  put_text(m, &to, NODE_OPERATOR, n->operator);
  if (attributes) {
    put(m, &to, attributes->at, attributes->size);
    free(attributes->at);
    *attributes = (message){0};
  }
  put_message(m, &m->graph, GRAPH_NODE, &to);
}

/* ---- the metric ---- */

/* to = from / |from|, and zero stays zero. Divided by its largest value first, so that no square overflows or vanishes;
 * the norm of what is not zero is then at least 1. */
static void put_unit(model *m, const char *from, const char *to) {
  char size[32], most[32], over[32], scaled[32], norm[32], length[32];
  message axes = {0};
  snprintf(size, sizeof size, "%s_size", to);
  snprintf(most, sizeof most, "%s_most", to);
  snprintf(over, sizeof over, "%s_over", to);
  snprintf(scaled, sizeof scaled, "%s_scaled", to);
  snprintf(norm, sizeof norm, "%s_norm", to);
  snprintf(length, sizeof length, "%s_length", to);
  put_node(m, &(node){"Abs", size, {from}}, NULL);
  put_attribute(m, &axes, "axes", KIND_INTS, 1);
  put_node(m, &(node){"ReduceMax", most, {size}}, &axes);
  put_node(m, &(node){"Max", over, {most, "tiny"}}, NULL);
  put_node(m, &(node){"Div", scaled, {from, over}}, NULL);
  put_attribute(m, &axes, "axes", KIND_INTS, 1);
  put_node(m, &(node){"ReduceL2", norm, {scaled}}, &axes);
  put_node(m, &(node){"Max", length, {norm, "tiny"}}, NULL);
  put_node(m, &(node){"Div", to, {scaled, length}}, NULL);
}

/* t(.) of the input `side`; `point` gets its tensor's name. */
static void put_point(model *m, const hem__metric *metric, const char *side, char point[32]) {
  char unit[16], tower[16];
  const char *at = side;
  snprintf(unit, sizeof unit, "%s_unit", side);
  snprintf(tower, sizeof tower, "%s_tower", side);
  snprintf(point, 32, "%s_point", side);
  if (metric->unit) {
    put_unit(m, at, unit);
    at = unit;
  }
  if (metric->tower) {
    message transposed = {0};
    put_attribute(m, &transposed, "transB", KIND_INT, 1);
    put_node(m, &(node){"Gemm", tower, {at, "tower_weights", "tower_bias"}}, &transposed);
    put_unit(m, tower, point);
  } else {
    snprintf(point, 32, "%s", at);
  }
}

static void put_score(model *m, const hem__metric *metric) {
  char a[32], b[32];
  const char *units = "x";
  message transposed = {0};
  put_point(m, metric, "a", a);
  put_point(m, metric, "b", b);
  put_node(m, &(node){"Sub", "difference", {a, b}}, NULL);
  if (metric->form == HEM__WEIGHTED_L2) {
    put_node(m, &(node){"Mul", "x", {"difference", "difference"}}, NULL);
  } else {
    put_node(m, &(node){"Abs", "x", {"difference"}}, NULL);
  }
  if (metric->form == HEM__HEAD) {
    put_attribute(m, &transposed, "transB", KIND_INT, 1);
    put_node(m, &(node){"Gemm", "hidden", {"x", "w1", "b1"}}, &transposed);
    put_node(m, &(node){"Relu", "active", {"hidden"}}, NULL);
    units = "active";
  }
  put_attribute(m, &transposed, "transB", KIND_INT, 1);
  put_node(m, &(node){"Gemm", "scores", {units, "w2", "b2"}}, &transposed);
  put_node(m, &(node){"Squeeze", "score", {"scores", "second"}}, NULL);
  put_node(m, &(node){"Mul", "steep", {"score", "slope"}}, NULL);
  put_node(m, &(node){"Add", "logit", {"steep", "offset"}}, NULL);
  put_node(m, &(node){"Sigmoid", "probability", {"logit"}}, NULL);
}

/* Only what a node names: an initializer without a reader is warned of. */
static void put_weights(model *m, const hem__metric *metric) {
  const hem__platt *platt = &hem__metric_calibration(metric, "")->platt;
  float slope = (float)platt->slope, offset = (float)platt->offset, tiny = 0x1p-126F;
  if (metric->tower) {
    put_floats(m, "tower_weights", metric->tower_weights, metric->tower, metric->dim);
    put_floats(m, "tower_bias", metric->tower_bias, metric->tower, 0);
  }
  if (metric->tower || metric->unit) {
    put_floats(m, "tiny", &tiny, 1, 0);
  }
  if (metric->form == HEM__HEAD) {
    put_floats(m, "w1", metric->w1, metric->hidden, metric->width);
    put_floats(m, "b1", metric->b1, metric->hidden, 0);
  }
  put_floats(m, "w2", metric->w2, 1, metric->hidden ? metric->hidden : metric->width);
  put_floats(m, "b2", &metric->b2, 1, 0);
  put_floats(m, "slope", &slope, 1, 0);
  put_floats(m, "offset", &offset, 1, 0);
  put_int(m, "second", 1);
}

static void put_property(model *m, message *to, const char *key, const char *value) {
  message property = {0};
  if (!value || !value[0]) return;
  put_text(m, &property, 1, key);
  put_text(m, &property, 2, value);
  put_message(m, to, MODEL_METADATA, &property);
}

static void put_model(model *m, const hem__metric *metric, message *out) {
  message opset = {0};
  put_score(m, metric);
  put_text(m, &m->graph, GRAPH_NAME, "hemline_metric");
  put_weights(m, metric);
  put_value(m, GRAPH_INPUT, "a", metric->dim);
  put_value(m, GRAPH_INPUT, "b", metric->dim);
  put_value(m, GRAPH_OUTPUT, "score", 0);
  put_value(m, GRAPH_OUTPUT, "probability", 0);
  put_number(m, out, MODEL_IR, 7);
  put_text(m, out, MODEL_PRODUCER, "hemline");
  put_text(m, out, MODEL_VERSION, HEM_VERSION_STRING);
  put_message(m, out, MODEL_GRAPH, &m->graph);
  put_number(m, &opset, 2, 13);
  put_message(m, out, MODEL_OPSET, &opset);
  put_property(m, out, "space", metric->space);
  put_property(m, out, "space_hash", metric->space_hash);
  put_property(m, out, "features", metric->features);
  put_property(m, out, "about", metric->about);
}

/* Protobuf's readers take messages below 2 GiB. 1 MiB is for all that is no weight. */
static hem_status check_size(const hem__metric *m, const char *path, hem_error *err) {
  uint64_t values = (uint64_t)m->tower * m->dim + (uint64_t)m->hidden * m->width; /* limits: below 2^33 */
  if ((values + 4 * HEM__METRIC_DIM_MAX) * sizeof(float) <= INT32_MAX - (1 << 20)) return HEM_OK;
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "%s: an ONNX file holds less than 2 GB, and this metric has %llu weights: train a smaller tower",
                   path, (unsigned long long)values);
}

hem_status hem__metric_export_onnx(const hem__metric *metric, const char *path, hem_error *err) {
  model m = {.err = err};
  message file = {0};
  hem__aside *aside = NULL;
  hem_status status = check_size(metric, path, err);
  if (status) return status;
  put_model(&m, metric, &file);
  status = m.status;
  if (!status) status = hem__aside_new(path, &aside, err);
  if (!status) status = hem__aside_write(aside, file.at, file.size, err);
  if (!status) status = hem__aside_publish(aside, NULL, NULL, err);
  hem__aside_free(aside);
  free(file.at);
  free(m.graph.at);
  return status;
}

hem_status hem_export_onnx(const char *metric, const char *onnx, hem_error *err) {
  hem__metric *m = NULL;
  if (!metric || !onnx) return hem__fail(err, HEM_EINVAL, "a metric and the ONNX file to write must be named");
  hem_status status = hem__metric_load(metric, &m, err);
  if (!status) status = hem__metric_export_onnx(m, onnx, err);
  hem__metric_free(m);
  return status;
}
