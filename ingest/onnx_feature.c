/* Which tensor of a network is the feature. A classifier ends in fully connected layers, and what enters one of them is
 * the feature; so the search starts at an output and goes back along the one way that leads there, over everything that
 * works value by value (activations, Dropout, Reshape), until it meets something else: a pooling, a sum of two
 * branches, a convolution. Fully connected layers further back (squeeze and excitation blocks) are never met. */
#include <stdio.h>
#include <string.h>

#include "ingest/onnx_graph.h"

/* WALK_MAX: no classifier's tail is so long; OUTPUTS_MAX: nor has one more. They keep the search linear. */
enum { WALK_MAX = 64, OUTPUTS_MAX = 16, LISTED = 6, LIST_MAX = 300 };

static bool is_one_of(hem__slice op, const char *const *names) {
  for (; *names; names++)
    if (hem__slice_is(op, *names)) return true;
  return false;
}

/* The values stay, or each changes for itself. */
static bool works_by_value(hem__slice op) {
  static const char *const names[] = {"Identity",
                                      "Dropout",
                                      "Flatten",
                                      "Squeeze",
                                      "Unsqueeze",
                                      "Reshape",
                                      "Cast",
                                      "Relu",
                                      "LeakyRelu",
                                      "PRelu",
                                      "Clip",
                                      "HardSwish",
                                      "HardSigmoid",
                                      "Sigmoid",
                                      "Tanh",
                                      "Elu",
                                      "Selu",
                                      "Celu",
                                      "Gelu",
                                      "Softplus",
                                      "Softmax",
                                      "LogSoftmax",
                                      "Mish",
                                      "ThresholdedRelu",
                                      "BatchNormalization",
                                      "LayerNormalization",
                                      "LpNormalization",
                                      NULL};
  return is_one_of(op, names);
}

static bool is_softmax(hem__slice op) { return hem__slice_is(op, "Softmax") || hem__slice_is(op, "LogSoftmax"); }

static bool is_pooling(hem__slice op) {
  static const char *const names[] = {
      "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "AveragePool", "ReduceMean", "ReduceMax", NULL};
  return is_one_of(op, names);
}

static const hem__onnx_node *maker(const hem__onnx *m, hem__slice tensor) {
  const hem__onnx_definition *made = hem__onnx_definition_of(m, tensor);
  return made && made->is_node ? &m->nodes[made->index] : NULL;
}

/* ---- constants ---- */

typedef struct shape {
  size_t rank;
  int64_t dims[2]; /* the last two */
} shape;

/* Weights: an initializer, or a Constant, or one of them under another name or number format. */
static bool is_constant(const hem__onnx *m, hem__slice tensor, shape *out) {
  static const char *const passes[] = {"Identity", "Cast", "Transpose", "DequantizeLinear", "QuantizeLinear", NULL};
  for (size_t step = 0; step < WALK_MAX; step++) {
    const hem__onnx_definition *made = hem__onnx_definition_of(m, tensor);
    if (!made) return false;
    if (!made->is_node) {
      const hem__onnx_initializer *i = &m->initializers[made->index];
      *out = (shape){.rank = i->rank, .dims = {i->dims[0], i->dims[1]}};
      return true;
    }
    const hem__onnx_node *node = &m->nodes[made->index];
    if (hem__slice_is(node->op, "Constant")) {
      *out = (shape){.rank = node->rank, .dims = {node->dims[0], node->dims[1]}};
      return true;
    }
    if (!is_one_of(node->op, passes)) return false;
    tensor = node->inputs[0];
  }
  return false;
}

/* ---- the way back ---- */

/* From a node to the tensor it works on, where there is one way only: value by value, or together with constants. */
static bool step_back(const hem__onnx *m, const hem__onnx_node *node, hem__slice *tensor) {
  static const char *const with_constant[] = {"Add", "Sub", "Mul", "Div", "Max", "Min", NULL};
  shape ignored;
  if (works_by_value(node->op)) {
    *tensor = node->inputs[0];
    return true;
  }
  if (!is_one_of(node->op, with_constant)) return false;
  for (size_t i = 0; i < HEM__NODE_INPUTS; i++) {
    if (!is_constant(m, node->inputs[1 - i], &ignored)) continue;
    *tensor = node->inputs[i];
    return true;
  }
  return false;
}

static bool is_pointwise(const hem__onnx *m, const hem__onnx_node *node) {
  shape weights;
  return hem__slice_is(node->op, "Conv") && is_constant(m, node->inputs[1], &weights) && weights.rank == 4 &&
         weights.dims[0] == 1 && weights.dims[1] == 1;
}

/* A 1 x 1 convolution of one pixel is fully connected: some MobileNets end so. */
static bool comes_from_pooling(const hem__onnx *m, hem__slice tensor) {
  for (size_t step = 0; step < WALK_MAX; step++) {
    const hem__onnx_node *node = maker(m, tensor);
    if (!node) return false;
    if (is_pooling(node->op)) return true;
    if (is_pointwise(m, node)) {
      tensor = node->inputs[0];
    } else if (!step_back(m, node, &tensor)) {
      return false;
    }
  }
  return false;
}

static bool is_fully_connected(const hem__onnx *m, const hem__onnx_node *node) {
  shape weights;
  if (hem__slice_is(node->op, "Gemm") || hem__slice_is(node->op, "MatMul"))
    return is_constant(m, node->inputs[1], &weights) && weights.rank == 2;
  return is_pointwise(m, node) && comes_from_pooling(m, node->inputs[0]);
}

typedef struct walk {
  size_t layers;     /* fully connected ones met */
  bool softmax;      /* met */
  hem__slice enters; /* the wanted one */
} walk;

/* Back from `tensor`, until the wanted layer or the end of the way. */
static walk walk_back(const hem__onnx *m, hem__slice tensor, size_t wanted) {
  walk w = {0};
  for (size_t step = 0; step < WALK_MAX && w.layers < wanted; step++) {
    const hem__onnx_node *node = maker(m, tensor);
    if (!node) break;
    w.softmax |= is_softmax(node->op);
    if (is_fully_connected(m, node)) {
      w.layers++;
      w.enters = tensor = node->inputs[0];
    } else if (!step_back(m, node, &tensor)) {
      break;
    }
  }
  return w;
}

/* ---- the rules ---- */

static hem__slice slice_of(const char *text) { return (hem__slice){.at = text, .size = strlen(text)}; }

/* "; the last ones are 'a', 'b'": outputs, then what leads to the first one. */
static void list_last(const hem__onnx *m, char list[LIST_MAX]) {
  size_t at = 0;
  hem__slice tensor = m->output_count ? slice_of(m->outputs[0].name) : (hem__slice){0};
  list[0] = '\0';
  for (size_t i = 0; i < LISTED && tensor.size && at < LIST_MAX - 1; i++) {
    int length = snprintf(list + at, LIST_MAX - at, "%s'%.*s'", i ? ", " : "the last tensors are ",
                          (int)hem__min(tensor.size, 60), tensor.at);
    at = hem__min(at + (size_t)length, LIST_MAX - 1);
    const hem__onnx_node *node = maker(m, tensor);
    tensor = node ? node->inputs[0] : (hem__slice){0};
  }
}

static hem_status fail_listed(const hem__onnx *m, hem_status code, const char *what, hem_error *err) {
  char list[LIST_MAX];
  list_last(m, list);
  return hem__fail(err, code, "%s %s: name the feature's tensor with --layer; %s", m->name, what, list);
}

static bool is_output(const hem__onnx *m, hem__slice tensor) {
  for (size_t i = 0; i < m->output_count; i++)
    if (hem__slice_is(tensor, m->outputs[i].name)) return true;
  return false;
}

static hem_status settle(hem__onnx *m, hem__slice tensor, hem__onnx_feature *out, hem_error *err) {
  hem_status status = hem__onnx_copy(m, tensor, &out->tensor, err);
  out->is_output = is_output(m, tensor);
  return status;
}

/* A tensor, or else the node of that name. */
static hem_status find_named(hem__onnx *m, const char *layer, const char *who, hem__onnx_feature *out, hem_error *err) {
  hem__slice name = slice_of(layer), tensor = {0};
  if (maker(m, name)) tensor = name;
  for (size_t i = 0; i < m->node_count && !tensor.size; i++)
    if (name.size && hem__slice_is(m->nodes[i].name, layer)) tensor = m->nodes[i].output;
  if (!tensor.size) {
    char what[128];
    snprintf(what, sizeof what, "computes no tensor '%.80s'", layer);
    return fail_listed(m, HEM_ENOTFOUND, what, err);
  }
  snprintf(out->why, sizeof out->why, "%s", who);
  return settle(m, tensor, out, err);
}

static void say_layer(size_t from_end, char *why, size_t size) {
  if (from_end == 1)
    snprintf(why, size, "enters the last fully connected layer");
  else
    snprintf(why, size, "enters the fully connected layer that is number %zu from the end", from_end);
}

static bool is_vector(const hem__onnx_value *v) {
  return !v->shaped || v->rank == 1 || v->rank == 2 || (v->rank == 4 && v->dims[2] == 1 && v->dims[3] == 1);
}

static hem_status find_vector(hem__onnx *m, hem__onnx_feature *out, hem_error *err) {
  const hem__onnx_value *only = NULL;
  size_t vectors = 0;
  for (size_t i = 0; i < m->output_count; i++) {
    if (!is_vector(&m->outputs[i])) continue;
    only = &m->outputs[i];
    vectors++;
  }
  if (!only || vectors > 1) return fail_listed(m, HEM_EUNSUPPORTED, "has no output that must be the feature", err);
  if (walk_back(m, slice_of(only->name), SIZE_MAX).softmax)
    return fail_listed(m, HEM_EUNSUPPORTED, "ends in class probabilities, and in no fully connected layer", err);
  snprintf(out->why, sizeof out->why, "the only output that is a vector");
  return settle(m, slice_of(only->name), out, err);
}

hem_status hem__onnx_find_feature(hem__onnx *model, const char *layer, size_t fully_connected, hem__onnx_feature *out,
                                  hem_error *err) {
  hem__onnx_feature found = {0};
  hem_status status = HEM_OK;
  size_t most = 0;
  const char *own = hem__onnx_metadata(model, "hemline.layer");
  if (layer || own) {
    status =
        find_named(model, layer ? layer : own, layer ? "as asked for" : "as the model's metadata say", &found, err);
  } else if (is_output(model, slice_of("features"))) {
    snprintf(found.why, sizeof found.why, "the output of that name");
    status = settle(model, slice_of("features"), &found, err);
  } else {
    for (size_t i = 0; i < hem__min(model->output_count, OUTPUTS_MAX) && !found.tensor && !status; i++) {
      walk w = walk_back(model, slice_of(model->outputs[i].name), fully_connected);
      most = hem__max(most, w.layers);
      if (w.layers < fully_connected) continue;
      say_layer(fully_connected, found.why, sizeof found.why);
      status = settle(model, w.enters, &found, err);
    }
    if (!status && !found.tensor && most)
      status =
          fail_listed(model, HEM_EUNSUPPORTED, "ends in fewer fully connected layers than its preset's network", err);
    if (!status && !found.tensor) status = find_vector(model, &found, err);
  }
  if (!status) *out = found;
  return status;
}
