#include "support/make_onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

/* ---- protobuf ---- */

static void put(hem__pb *pb, const void *bytes, size_t size) {
  ck_ok(hem__grow(&pb->at, &pb->capacity, pb->size + size + 1, 1, "a message", err));
  if (size) memcpy(pb->at + pb->size, bytes, size);
  pb->size += size;
}

static void put_varint(hem__pb *pb, uint64_t value) {
  for (;; value >>= 7) {
    uint8_t byte = (uint8_t)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
    put(pb, &byte, 1);
    if (value <= 0x7F) return;
  }
}

void hem__pb_number(hem__pb *pb, uint32_t field, uint64_t value) {
  put_varint(pb, (uint64_t)field << 3);
  put_varint(pb, value);
}

void hem__pb_bytes(hem__pb *pb, uint32_t field, const void *bytes, size_t size) {
  put_varint(pb, (uint64_t)field << 3 | 2);
  put_varint(pb, size);
  put(pb, bytes, size);
}

void hem__pb_text(hem__pb *pb, uint32_t field, const char *text) { hem__pb_bytes(pb, field, text, strlen(text)); }

void hem__pb_message(hem__pb *pb, uint32_t field, hem__pb *inner) {
  hem__pb_bytes(pb, field, inner->at, inner->size);
  hem__pb_clear(inner);
}

void hem__pb_clear(hem__pb *pb) {
  free(pb->at);
  *pb = (hem__pb){0};
}

/* ---- ONNX ---- */

void hem__make_value(hem__make_onnx *onnx, uint32_t field, const char *name, const hem__make_shape *shape) {
  hem__pb value = {0}, type = {0}, tensor = {0}, dims = {0};
  for (size_t i = 0; shape && i < shape->rank; i++) {
    hem__pb dim = {0};
    if (shape->dims[i] < 0) {
      hem__pb_text(&dim, 2, "N");
    } else {
      hem__pb_number(&dim, 1, (uint64_t)shape->dims[i]);
    }
    hem__pb_message(&dims, 1, &dim);
  }
  hem__pb_number(&tensor, 1, 1);
  if (shape) hem__pb_message(&tensor, 2, &dims);
  hem__pb_message(&type, 1, &tensor);
  hem__pb_text(&value, 1, name);
  hem__pb_message(&value, 2, &type);
  hem__pb_message(&onnx->graph, field, &value);
}

static void put_names(hem__pb *node, uint32_t field, const char *names) {
  for (const char *at = names + strspn(names, " "); *at; at += strspn(at, " ")) {
    size_t length = strcspn(at, " ");
    hem__pb_bytes(node, field, at, length);
    at += length;
  }
}

void hem__make_node(hem__make_onnx *onnx, const char *op, const char *inputs, const char *outputs,
                    hem__pb *attributes) {
  hem__pb node = {0};
  char name[128];
  snprintf(name, sizeof name, "%s_%.*s", op, (int)strcspn(outputs, " "), outputs);
  put_names(&node, 1, inputs);
  put_names(&node, 2, outputs);
  hem__pb_text(&node, 3, name);
  hem__pb_text(&node, 4, op);
  if (attributes) {
    put(&node, attributes->at, attributes->size);
    hem__pb_clear(attributes);
  }
  hem__pb_message(&onnx->graph, 1, &node);
}

void hem__make_ints(hem__pb *attributes, const char *name, const int64_t *values, size_t count) {
  hem__pb attribute = {0};
  hem__pb_text(&attribute, 1, name);
  for (size_t i = 0; i < count; i++) hem__pb_number(&attribute, 8, (uint64_t)values[i]);
  hem__pb_number(&attribute, 20, 7);
  hem__pb_message(attributes, 5, &attribute);
}

static float weight(uint64_t *random) { return 2 * hem__test_uniform(random) - 1; }

static void make_tensor(hem__make_onnx *onnx, hem__pb *tensor, const char *name, hem__make_shape shape) {
  size_t count = 1;
  for (size_t i = 0; i < shape.rank; i++) {
    hem__pb_number(tensor, 1, (uint64_t)shape.dims[i]);
    count *= (size_t)shape.dims[i];
  }
  hem__pb values = {0};
  for (size_t i = 0; i < count; i++) {
    float value = weight(&onnx->random);
    put(&values, &value, sizeof value);
  }
  hem__pb_number(tensor, 2, 1);
  if (name) hem__pb_text(tensor, 8, name);
  hem__pb_message(tensor, 9, &values);
}

void hem__make_weights(hem__make_onnx *onnx, const char *name, hem__make_shape shape) {
  hem__pb tensor = {0};
  make_tensor(onnx, &tensor, name, shape);
  hem__pb_message(&onnx->graph, 5, &tensor);
}

void hem__make_constant(hem__make_onnx *onnx, const char *name, hem__make_shape shape) {
  hem__pb attributes = {0}, attribute = {0}, tensor = {0};
  make_tensor(onnx, &tensor, NULL, shape);
  hem__pb_text(&attribute, 1, "value");
  hem__pb_message(&attribute, 5, &tensor);
  hem__pb_number(&attribute, 20, 4);
  hem__pb_message(&attributes, 5, &attribute);
  hem__make_node(onnx, "Constant", "", name, &attributes);
}

void hem__make_metadata(hem__make_onnx *onnx, const char *key, const char *value) {
  hem__pb property = {0};
  hem__pb_text(&property, 1, key);
  hem__pb_text(&property, 2, value);
  hem__pb_message(&onnx->behind, 14, &property);
}

uint8_t *hem__make_bytes(hem__make_onnx *onnx, size_t *size) {
  hem__pb model = {0}, opset = {0};
  hem__pb_text(&onnx->graph, 2, "test");
  hem__pb_number(&model, 1, 7); /* IR version */
  hem__pb_number(&opset, 2, 13);
  hem__pb_message(&model, 8, &opset);
  hem__pb_message(&model, 7, &onnx->graph);
  put(&model, onnx->behind.at, onnx->behind.size);
  hem__pb_clear(&onnx->behind);
  *size = model.size;
  return model.at;
}

void hem__make_file(hem__make_onnx *onnx, const char *path) {
  size_t size;
  uint8_t *bytes = hem__make_bytes(onnx, &size);
  FILE *file = fopen(path, "wb");
  ck_assert_msg(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, "cannot write %s", path);
  free(bytes);
}

/* ---- a body ---- */

void hem__make_body(hem__make_onnx *onnx, int64_t side) {
  hem__make_value(onnx, HEM__MAKE_INPUT, "image", &(hem__make_shape){4, {1, 3, side, side}});
  hem__make_weights(onnx, "conv.w", (hem__make_shape){4, {HEM__BODY_DIM, 3, 3, 3}});
  hem__make_node(onnx, "Conv", "image conv.w", "conv", NULL);
  hem__make_node(onnx, "Relu", "conv", "relu", NULL);
  hem__make_node(onnx, "GlobalAveragePool", "relu", "pooled", NULL);
  hem__make_node(onnx, "Flatten", "pooled", "flat", NULL);
}

void hem__body_feature(const float *image, size_t side, float feature[HEM__BODY_DIM]) {
  float weights[HEM__BODY_DIM][27];
  uint64_t random = 0;
  for (size_t i = 0; i < HEM__BODY_DIM; i++)
    for (size_t j = 0; j < 27; j++) weights[i][j] = weight(&random);
  for (size_t f = 0; f < HEM__BODY_DIM; f++) {
    double sum = 0;
    for (size_t y = 0; y + 2 < side; y++)
      for (size_t x = 0; x + 2 < side; x++) {
        double value = 0;
        for (size_t j = 0; j < 27; j++)
          value += (double)weights[f][j] * (double)image[(j / 9 * side + y + j / 3 % 3) * side + x + j % 3];
        sum += value > 0 ? value : 0;
      }
    feature[f] = (float)(sum / (double)((side - 2) * (side - 2)));
  }
}
