/* Reads an ONNX file (onnx.proto3) into the graph that onnx_feature.c looks for the feature in. Field numbers are those
 * of onnx.proto3; what is not asked for is skipped, as protobuf wants it. */
#include <stdlib.h>
#include <string.h>

#include "ingest/onnx_graph.h"
#include "ingest/protobuf.h"

/* LIMIT: what a file may hold of one kind. An empty node is two bytes in a file and a hundred here. */
enum { LIMIT = 1 << 18, DEPTH_MAX = 8 };

typedef struct reader {
  hem__onnx *model;
  hem_error *err;
} reader;

static hem__slice slice_of(const hem__field *field) {
  return (hem__slice){.at = (const char *)field->at, .size = field->size};
}

bool hem__slice_is(hem__slice slice, const char *text) {
  return strlen(text) == slice.size && (!slice.size || memcmp(slice.at, text, slice.size) == 0);
}

static bool is_bytes(const hem__field *f, uint32_t number) { return f->number == number && f->wire == HEM__WIRE_BYTES; }

static bool is_number(const hem__field *f, uint32_t number) {
  return f->number == number && f->wire == HEM__WIRE_VARINT;
}

static hem_status damaged(const reader *r, const char *what) {
  return hem__fail(r->err, HEM_ECORRUPT, "%s is not an ONNX model, or a damaged one: %s", r->model->name, what);
}

/* The end of a message that was read field by field. */
static hem_status finish(const reader *r, const hem__wire *wire, const char *what) {
  return wire->broken ? damaged(r, what) : HEM_OK;
}

hem_status hem__onnx_copy(hem__onnx *model, hem__slice slice, const char **out, hem_error *err) {
  bool fine = slice.size > 0 && slice.size <= HEM__ONNX_NAME_MAX;
  for (size_t i = 0; i < slice.size && fine; i++) fine = (unsigned char)slice.at[i] >= ' ' && slice.at[i] != 0x7F;
  const char *copy = NULL;
  hem_status status = fine ? hem__arena_copy(&model->strings, slice.at, slice.size, &copy, err) : HEM_OK;
  if (status) return status;
  if (!fine || !hem__is_utf8(copy))
    return hem__fail(err, HEM_ECORRUPT, "%s: a name in it is empty, longer than %d bytes, or not plain UTF-8 text",
                     model->name, HEM__ONNX_NAME_MAX);
  *out = copy;
  return HEM_OK;
}

static hem_status grow(const reader *r, void *array, size_t *capacity, size_t count, size_t size) {
  if (count >= LIMIT) return damaged(r, "it has more than 262,144 parts of one kind");
  return hem__grow(array, capacity, count + 1, size, "a model's graph", r->err);
}

static hem_status define(const reader *r, hem__slice name, bool is_node, size_t index) {
  hem__onnx *m = r->model;
  if (!name.size) return HEM_OK;
  hem_status status = grow(r, &m->definitions, &m->definition_capacity, m->definition_count, sizeof *m->definitions);
  if (!status)
    m->definitions[m->definition_count++] = (hem__onnx_definition){.name = name, .is_node = is_node, .index = index};
  return status;
}

/* ---- tensors: their shapes, never their values ---- */

typedef struct shape {
  hem__slice name;
  size_t rank;
  int64_t dims[2]; /* the last two */
} shape;

static void add_dim(shape *t, uint64_t value) {
  t->rank++;
  t->dims[0] = t->dims[1];
  t->dims[1] = (int64_t)value;
}

static hem_status read_tensor(const reader *r, hem__wire wire, shape *out) {
  enum { DIMS = 1, NAME = 8, EXTERNAL_DATA = 13, DATA_LOCATION = 14 };
  hem__field f;
  *out = (shape){0};
  while (hem__wire_next(&wire, &f)) {
    if (is_number(&f, DIMS)) {
      add_dim(out, f.value);
    } else if (is_bytes(&f, DIMS)) {
      uint64_t value;
      hem__wire packed = hem__wire_in(&f);
      while (packed.at < packed.end && hem__wire_varint(&packed, &value)) add_dim(out, value);
      wire.broken |= packed.broken;
    } else if (is_bytes(&f, NAME)) {
      out->name = slice_of(&f);
    } else if (is_bytes(&f, EXTERNAL_DATA) || (is_number(&f, DATA_LOCATION) && f.value != 0)) {
      return hem__fail(r->err, HEM_EUNSUPPORTED,
                       "%s keeps weights in a separate file: save the model as one file (onnx.save_model with "
                       "save_as_external_data=False)",
                       r->model->name);
    }
  }
  return finish(r, &wire, "a tensor ends too soon");
}

/* Only looked at for weights in other files. */
static hem_status check_sparse(const reader *r, hem__wire wire) {
  enum { VALUES = 1, INDICES = 2 };
  hem__field f;
  shape t;
  hem_status status = HEM_OK;
  while (!status && hem__wire_next(&wire, &f))
    if (is_bytes(&f, VALUES) || is_bytes(&f, INDICES)) status = read_tensor(r, hem__wire_in(&f), &t);
  return status ? status : finish(r, &wire, "a sparse tensor ends too soon");
}

/* ---- nodes ---- */

static hem_status read_graph(const reader *r, hem__wire wire, size_t depth);

/* A tensor in it becomes *constant; graphs inside (the branches of an If) are only checked. */
static hem_status read_attribute(const reader *r, hem__wire wire, size_t depth, shape *constant) {
  enum { TENSOR = 5, GRAPH = 6, TENSORS = 10, GRAPHS = 11, SPARSE = 22, SPARSES = 23 };
  hem__field f;
  shape ignored;
  hem_status status = HEM_OK;
  while (!status && hem__wire_next(&wire, &f)) {
    if (f.wire != HEM__WIRE_BYTES) continue;
    if (f.number == TENSOR || f.number == TENSORS)
      status = read_tensor(r, hem__wire_in(&f), f.number == TENSOR ? constant : &ignored);
    if (f.number == GRAPH || f.number == GRAPHS) status = read_graph(r, hem__wire_in(&f), depth + 1);
    if (f.number == SPARSE || f.number == SPARSES) status = check_sparse(r, hem__wire_in(&f));
  }
  return status ? status : finish(r, &wire, "an attribute ends too soon");
}

static hem_status read_node_field(const reader *r, const hem__field *f, size_t depth, hem__onnx_node *node,
                                  size_t *inputs) {
  enum { INPUT = 1, OUTPUT = 2, NAME = 3, OP_TYPE = 4, ATTRIBUTE = 5 };
  if (f->wire != HEM__WIRE_BYTES) return HEM_OK;
  hem__slice text = slice_of(f);
  shape constant = {0};
  hem_status status = HEM_OK;
  switch (f->number) {
    case INPUT:
      if (*inputs < HEM__NODE_INPUTS) node->inputs[(*inputs)++] = text;
      break;
    case OUTPUT:
      if (!node->output.at) node->output = text;
      if (depth == 0) status = define(r, text, true, r->model->node_count);
      break;
    case NAME:
      node->name = text;
      break;
    case OP_TYPE:
      node->op = text;
      break;
    case ATTRIBUTE:
      status = read_attribute(r, hem__wire_in(f), depth, &constant);
      if (constant.rank) node->rank = constant.rank;
      if (constant.rank) memcpy(node->dims, constant.dims, sizeof node->dims);
      break;
    default:
      break;
  }
  return status;
}

static hem_status read_node(const reader *r, hem__wire wire, size_t depth) {
  hem__onnx *m = r->model;
  hem__onnx_node node = {0};
  hem__field f;
  size_t inputs = 0;
  hem_status status = HEM_OK;
  while (!status && hem__wire_next(&wire, &f)) status = read_node_field(r, &f, depth, &node, &inputs);
  if (!status) status = finish(r, &wire, "a node ends too soon");
  if (status || depth > 0) return status;
  status = grow(r, &m->nodes, &m->node_capacity, m->node_count, sizeof *m->nodes);
  if (!status) m->nodes[m->node_count++] = node;
  return status;
}

static hem_status read_initializer(const reader *r, hem__wire wire, size_t depth) {
  hem__onnx *m = r->model;
  shape t;
  hem_status status = read_tensor(r, wire, &t);
  if (status || depth > 0) return status;
  status = define(r, t.name, false, m->initializer_count);
  if (!status)
    status = grow(r, &m->initializers, &m->initializer_capacity, m->initializer_count, sizeof *m->initializers);
  if (status) return status;
  hem__onnx_initializer *made = &m->initializers[m->initializer_count++];
  made->rank = t.rank;
  memcpy(made->dims, t.dims, sizeof made->dims);
  return HEM_OK;
}

/* ---- inputs and outputs ---- */

static hem_status read_shape(const reader *r, hem__wire wire, hem__onnx_value *out) {
  enum { DIM = 1, DIM_VALUE = 1 };
  hem__field f, g;
  out->shaped = true;
  out->rank = 0;
  while (hem__wire_next(&wire, &f)) {
    if (!is_bytes(&f, DIM)) continue;
    if (out->rank == HEM__ONNX_RANK_MAX) return damaged(r, "an input or output has too many dimensions");
    int64_t *dim = &out->dims[out->rank++];
    *dim = -1;
    hem__wire inside = hem__wire_in(&f);
    while (hem__wire_next(&inside, &g))
      if (is_number(&g, DIM_VALUE)) *dim = (int64_t)g.value > 0 ? (int64_t)g.value : -1;
    wire.broken |= inside.broken;
  }
  return finish(r, &wire, "a shape ends too soon");
}

static hem_status read_type(const reader *r, hem__wire wire, hem__onnx_value *out) {
  enum { TENSOR_TYPE = 1, ELEMENT_TYPE = 1, SHAPE = 2 };
  hem__field f, g;
  hem_status status = HEM_OK;
  while (!status && hem__wire_next(&wire, &f)) {
    if (!is_bytes(&f, TENSOR_TYPE)) continue;
    hem__wire inside = hem__wire_in(&f);
    while (!status && hem__wire_next(&inside, &g)) {
      if (is_number(&g, ELEMENT_TYPE)) out->type = g.value <= INT16_MAX ? (int)g.value : -1;
      if (is_bytes(&g, SHAPE)) status = read_shape(r, hem__wire_in(&g), out);
    }
    wire.broken |= inside.broken;
  }
  return status ? status : finish(r, &wire, "a type ends too soon");
}

/* Old files list every weight as an input too: only what no initializer defines is asked for later. */
static hem_status read_value(const reader *r, hem__wire wire, hem__onnx_value **values, size_t *count,
                             size_t *capacity) {
  enum { NAME = 1, TYPE = 2 };
  hem__onnx_value value = {0};
  hem__slice name = {0};
  hem__field f;
  hem_status status = HEM_OK;
  while (!status && hem__wire_next(&wire, &f)) {
    if (is_bytes(&f, NAME)) name = slice_of(&f);
    if (is_bytes(&f, TYPE)) status = read_type(r, hem__wire_in(&f), &value);
  }
  if (!status) status = finish(r, &wire, "an input or output ends too soon");
  if (!status) status = hem__onnx_copy(r->model, name, &value.name, r->err);
  if (!status) status = grow(r, values, capacity, *count, sizeof **values);
  if (!status) (*values)[(*count)++] = value;
  return status;
}

/* ---- the whole ---- */

static hem_status read_graph(const reader *r, hem__wire wire, size_t depth) {
  enum { NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12, SPARSE_INITIALIZER = 15 };
  hem__onnx *m = r->model;
  hem__field f;
  hem_status status = HEM_OK;
  if (depth > DEPTH_MAX) return damaged(r, "its graphs are nested too deeply");
  while (!status && hem__wire_next(&wire, &f)) {
    if (f.wire != HEM__WIRE_BYTES) continue;
    hem__wire inside = hem__wire_in(&f);
    if (f.number == NODE) status = read_node(r, inside, depth);
    if (f.number == INITIALIZER) status = read_initializer(r, inside, depth);
    if (f.number == SPARSE_INITIALIZER) status = check_sparse(r, inside);
    if (f.number == INPUT && depth == 0)
      status = read_value(r, inside, &m->inputs, &m->input_count, &m->input_capacity);
    if (f.number == OUTPUT && depth == 0)
      status = read_value(r, inside, &m->outputs, &m->output_count, &m->output_capacity);
  }
  return status ? status : finish(r, &wire, "its graph ends too soon");
}

/* Keeps our own properties only: others may be of any size. */
static hem_status read_property(const reader *r, hem__wire wire) {
  enum { KEY = 1, VALUE = 2 };
  static const char own[] = "hemline.";
  hem__onnx *m = r->model;
  hem__slice key = {0}, value = {0};
  hem__field f;
  while (hem__wire_next(&wire, &f)) {
    if (is_bytes(&f, KEY)) key = slice_of(&f);
    if (is_bytes(&f, VALUE)) value = slice_of(&f);
  }
  hem_status status = finish(r, &wire, "a property ends too soon");
  if (status || key.size < sizeof own || memcmp(key.at, own, sizeof own - 1) != 0) return status;
  status = grow(r, &m->metadata, &m->metadata_capacity, m->metadata_count, sizeof *m->metadata);
  if (!status) status = hem__onnx_copy(m, key, &m->metadata[m->metadata_count].key, r->err);
  if (!status) status = hem__onnx_copy(m, value, &m->metadata[m->metadata_count].value, r->err);
  m->metadata_count += !status;
  return status;
}

/* A function of the model's own: its nodes are only looked at for weights in other files. */
static hem_status check_function(const reader *r, hem__wire wire) {
  enum { NODE = 7, ATTRIBUTE = 11 };
  hem__field f;
  shape ignored;
  hem_status status = HEM_OK;
  while (!status && hem__wire_next(&wire, &f)) {
    if (is_bytes(&f, NODE)) status = read_node(r, hem__wire_in(&f), 1);
    if (is_bytes(&f, ATTRIBUTE)) status = read_attribute(r, hem__wire_in(&f), 1, &ignored);
  }
  return status ? status : finish(r, &wire, "a function ends too soon");
}

static hem_status read_model(const reader *r, hem__wire wire) {
  enum { GRAPH = 7, PROPERTY = 14, FUNCTION = 25 };
  hem__field f;
  hem_status status = HEM_OK;
  while (!status && hem__wire_next(&wire, &f)) {
    if (is_bytes(&f, GRAPH)) status = read_graph(r, hem__wire_in(&f), 0);
    if (is_bytes(&f, PROPERTY)) status = read_property(r, hem__wire_in(&f));
    if (is_bytes(&f, FUNCTION)) status = check_function(r, hem__wire_in(&f));
  }
  if (!status) status = finish(r, &wire, "it ends too soon, or is another kind of file");
  if (!status && !r->model->node_count) status = damaged(r, "it has no graph");
  return status;
}

static int compare(hem__slice a, hem__slice b) {
  int order = memcmp(a.at, b.at, hem__min(a.size, b.size));
  return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_name(const void *a, const void *b) {
  return compare(((const hem__onnx_definition *)a)->name, ((const hem__onnx_definition *)b)->name);
}

const hem__onnx_definition *hem__onnx_definition_of(const hem__onnx *model, hem__slice name) {
  hem__onnx_definition wanted = {.name = name};
  if (!name.size || !model->definition_count) return NULL;
  return bsearch(&wanted, model->definitions, model->definition_count, sizeof wanted, by_name);
}

/* ---- the image ---- */

static hem_status refuse_input(const hem__onnx *m, const hem__onnx_value *input, const char *what, hem_error *err) {
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "%s: its input '%.64s' %s; Hemline wants one float image, 1 x 3 x H x W or 1 x H x W x 3", m->name,
                   input->name, what);
}

static hem_status find_image(hem__onnx *m, hem_error *err) {
  size_t found = 0;
  for (size_t i = 0; i < m->input_count; i++) {
    const hem__onnx_value *input = &m->inputs[i];
    if (hem__onnx_definition_of(m, (hem__slice){.at = input->name, .size = strlen(input->name)})) continue;
    if (found++) return refuse_input(m, input, "is one more than the image", err);
    m->image = i;
  }
  if (!found) return hem__fail(err, HEM_EUNSUPPORTED, "%s has no input: it is no network for images", m->name);
  const hem__onnx_value *image = &m->inputs[m->image];
  if (image->type && image->type != HEM__ONNX_FLOAT) return refuse_input(m, image, "is not of 32-bit floats", err);
  if (!image->shaped) return HEM_OK;
  if (image->rank != 4) return refuse_input(m, image, "has not four dimensions", err);
  if (image->dims[0] > 1) return refuse_input(m, image, "takes several images at once", err);
  return HEM_OK;
}

hem_status hem__onnx_read(const uint8_t *bytes, size_t size, const char *name, hem__onnx **out, hem_error *err) {
  hem__onnx *model = NULL;
  hem_status status = hem__alloc(1, sizeof *model, "a model", &model, err);
  if (status) return status;
  reader r = {.model = model, .err = err};
  status = hem__arena_copy(&model->strings, name, strlen(name), &model->name, err);
  if (!status && size > INT32_MAX)
    status = hem__fail(err, HEM_EUNSUPPORTED, "%s is larger than the 2 GiB that one ONNX file can be", name);
  if (!status) status = read_model(&r, hem__wire_of(bytes, size));
  if (!status && model->definition_count)
    qsort(model->definitions, model->definition_count, sizeof *model->definitions, by_name);
  if (!status) status = find_image(model, err);
  if (status) goto failed;
  *out = model;
  return HEM_OK;
failed:
  hem__onnx_free(model);
  return status;
}

void hem__onnx_free(hem__onnx *model) {
  if (!model) return;
  free(model->nodes);
  free(model->initializers);
  free(model->definitions);
  free(model->inputs);
  free(model->outputs);
  free(model->metadata);
  hem__arena_clear(&model->strings);
  free(model);
}

const hem__onnx_value *hem__onnx_input(const hem__onnx *model) { return &model->inputs[model->image]; }

const char *hem__onnx_metadata(const hem__onnx *model, const char *key) {
  for (size_t i = 0; i < model->metadata_count; i++)
    if (strcmp(model->metadata[i].key, key) == 0) return model->metadata[i].value;
  return NULL;
}

/* ---- another output ---- */

static size_t put_varint(uint8_t *at, size_t value) {
  size_t n = 0;
  for (; value > 0x7F; value >>= 7) at[n++] = (uint8_t)(0x80 | (value & 0x7F));
  at[n++] = (uint8_t)value;
  return n;
}

/* ModelProto.graph (7) { output (12) { name (1) } }, each a tag, a length and its content. */
size_t hem__onnx_output_message(const char *tensor, uint8_t message[HEM__ONNX_NAME_MAX + 16]) {
  enum { GRAPH = 7 << 3 | HEM__WIRE_BYTES, OUTPUT = 12 << 3 | HEM__WIRE_BYTES, NAME = 1 << 3 | HEM__WIRE_BYTES };
  uint8_t scratch[8];
  size_t name = strlen(tensor), output = 1 + put_varint(scratch, name) + name;
  size_t graph = 1 + put_varint(scratch, output) + output, at = 0;
  message[at++] = GRAPH;
  at += put_varint(message + at, graph);
  message[at++] = OUTPUT;
  at += put_varint(message + at, output);
  message[at++] = NAME;
  at += put_varint(message + at, name);
  memcpy(message + at, tensor, name);
  return at + name;
}
