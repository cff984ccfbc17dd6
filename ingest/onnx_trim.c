/* Cuts a model down to what its feature needs: ONNX Runtime computes every node of a graph, also those that no wanted
 * output asks for, such as a classifier's last layers. They and their weights are left out of the bytes before it sees
 * them.
 *
 * Two walks over the same fields: the first decides with the graph in memory, the second moves what stays to the front,
 * in place, since the largest models hardly fit into memory twice. */
#include <stdlib.h>
#include <string.h>

#include "ingest/onnx_graph.h"
#include "ingest/protobuf.h"

enum { MODEL_GRAPH = 7, GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_ATTRIBUTE = 5, ATTRIBUTE_GRAPH = 6, ATTRIBUTE_GRAPHS = 11, VALUE_NAME = 1 };

typedef struct trim {
  const hem__onnx *model;
  const char *tensor;
  uint8_t *bytes;
  size_t size;
  const uint8_t **nodes; /* where each node's message begins, and ... */
  size_t *node_sizes;
  bool *node_kept, *initializer_kept;
  bool *kept;         /* by field of all graphs, in order */
  bool has_subgraphs; /* whose inputs are not listed: then every node stays */
} trim;

static hem__slice text_of(const hem__field *message, uint32_t number) {
  hem__wire wire = hem__wire_in(message);
  hem__slice text = {0};
  for (hem__field f; hem__wire_next(&wire, &f);)
    if (f.number == number && f.wire == HEM__WIRE_BYTES) text = (hem__slice){.at = (const char *)f.at, .size = f.size};
  return text;
}

/* ---- what is needed ---- */

static bool has_subgraph(const hem__field *attribute) {
  hem__wire wire = hem__wire_in(attribute);
  for (hem__field f; hem__wire_next(&wire, &f);)
    if (f.wire == HEM__WIRE_BYTES && (f.number == ATTRIBUTE_GRAPH || f.number == ATTRIBUTE_GRAPHS)) return true;
  return false;
}

static void note_node(trim *t, size_t index, const hem__field *node) {
  hem__wire wire = hem__wire_in(node);
  t->nodes[index] = node->at;
  t->node_sizes[index] = node->size;
  for (hem__field f; hem__wire_next(&wire, &f);)
    if (f.number == NODE_ATTRIBUTE && f.wire == HEM__WIRE_BYTES) t->has_subgraphs |= has_subgraph(&f);
}

static void need(trim *t, hem__slice name) {
  const hem__onnx_definition *definition = hem__onnx_definition_of(t->model, name);
  if (definition) (definition->is_node ? t->node_kept : t->initializer_kept)[definition->index] = true;
}

static void need_inputs(trim *t, size_t index) {
  hem__wire wire = hem__wire_of(t->nodes[index], t->node_sizes[index]);
  for (hem__field f; hem__wire_next(&wire, &f);)
    if (f.number == NODE_INPUT && f.wire == HEM__WIRE_BYTES)
      need(t, (hem__slice){.at = (const char *)f.at, .size = f.size});
}

/* Nodes stand in an order in which each uses only what those before it made (ONNX's rule; ONNX Runtime refuses a model
 * that breaks it): one pass from the last to the first finds all that the feature needs. */
static void find_needed(trim *t) {
  need(t, (hem__slice){.at = t->tensor, .size = strlen(t->tensor)});
  for (size_t i = t->model->node_count; i-- > 0;) {
    t->node_kept[i] |= t->has_subgraphs;
    if (t->node_kept[i]) need_inputs(t, i);
  }
}

/* ---- deciding ---- */

static size_t count_fields(const trim *t) {
  size_t count = 0;
  hem__wire wire = hem__wire_of(t->bytes, t->size);
  for (hem__field f; hem__wire_next(&wire, &f);) {
    if (f.number != MODEL_GRAPH || f.wire != HEM__WIRE_BYTES) continue;
    hem__wire inside = hem__wire_in(&f);
    for (hem__field g; hem__wire_next(&inside, &g);) count++;
  }
  return count;
}

/* Places among nodes and initializers as the walks come by them: the order in which the model was read. */
typedef struct places {
  trim *t;
  size_t node, initializer;
} places;

static bool is_kept(places *p, const hem__field *f) {
  const trim *t = p->t;
  if (f->wire != HEM__WIRE_BYTES) return true;
  if (f->number == GRAPH_NODE) return t->node_kept[p->node++];
  if (f->number == GRAPH_INITIALIZER) return t->initializer_kept[p->initializer++] || t->has_subgraphs;
  if (f->number == GRAPH_OUTPUT) return hem__slice_is(text_of(f, VALUE_NAME), t->tensor);
  if (f->number != GRAPH_INPUT) return true;
  /* Old files list weights as inputs: one whose weights are gone would have to be fed. */
  const hem__onnx_definition *weights = hem__onnx_definition_of(t->model, text_of(f, VALUE_NAME));
  return !weights || weights->is_node || t->initializer_kept[weights->index] || t->has_subgraphs;
}

static void note_nodes(trim *t) {
  size_t index = 0;
  hem__wire wire = hem__wire_of(t->bytes, t->size);
  for (hem__field f; hem__wire_next(&wire, &f);) {
    if (f.number != MODEL_GRAPH || f.wire != HEM__WIRE_BYTES) continue;
    hem__wire inside = hem__wire_in(&f);
    for (hem__field g; hem__wire_next(&inside, &g);)
      if (g.number == GRAPH_NODE && g.wire == HEM__WIRE_BYTES) note_node(t, index++, &g);
  }
}

static void decide(trim *t) {
  places p = {.t = t};
  size_t field = 0;
  hem__wire wire = hem__wire_of(t->bytes, t->size);
  for (hem__field f; hem__wire_next(&wire, &f);) {
    if (f.number != MODEL_GRAPH || f.wire != HEM__WIRE_BYTES) continue;
    hem__wire inside = hem__wire_in(&f);
    for (hem__field g; hem__wire_next(&inside, &g);) t->kept[field++] = is_kept(&p, &g);
  }
}

/* ---- moving ---- */

/* A length in exactly `room` bytes: protobuf allows a varint to be longer than it must be. */
static void put_length(uint8_t *at, size_t room, size_t length) {
  for (size_t i = 0; i < room; i++, length >>= 7) at[i] = (uint8_t)((length & 0x7F) | (i + 1 < room ? 0x80 : 0));
}

/* Moves one graph to `to`, where it takes no more bytes than before; returns its end. *field: of `kept`. */
static uint8_t *move_graph(const trim *t, uint8_t *to, const uint8_t *from, const hem__field *graph, size_t *field) {
  size_t head = (size_t)(graph->at - from), tag = 0;
  while (from[tag++] & 0x80) continue;
  hem__wire wire = hem__wire_in(graph);
  const uint8_t *begin = wire.at;
  memmove(to, from, head);
  uint8_t *inside = to + head, *end = inside;
  for (hem__field f; hem__wire_next(&wire, &f); begin = wire.at) {
    size_t bytes = (size_t)(wire.at - begin);
    if (!t->kept[(*field)++]) continue;
    memmove(end, begin, bytes);
    end += bytes;
  }
  put_length(to + tag, head - tag, (size_t)(end - inside));
  return end;
}

static size_t move(const trim *t) {
  hem__wire wire = hem__wire_of(t->bytes, t->size);
  const uint8_t *from = wire.at;
  uint8_t *to = t->bytes;
  size_t field = 0;
  for (hem__field f; hem__wire_next(&wire, &f); from = wire.at) {
    if (f.number == MODEL_GRAPH && f.wire == HEM__WIRE_BYTES) {
      to = move_graph(t, to, from, &f, &field);
    } else {
      memmove(to, from, (size_t)(wire.at - from));
      to += wire.at - from;
    }
  }
  return (size_t)(to - t->bytes);
}

hem_status hem__onnx_trim(const hem__onnx *model, const char *tensor, uint8_t *bytes, size_t *size, hem_error *err) {
  trim t = {.model = model, .tensor = tensor, .bytes = bytes, .size = *size};
  hem_status status = hem__alloc(model->node_count, sizeof *t.nodes, "a model's graph", &t.nodes, err);
  if (!status) status = hem__alloc(model->node_count, sizeof *t.node_sizes, "a model's graph", &t.node_sizes, err);
  if (!status) status = hem__alloc(model->node_count, sizeof *t.node_kept, "a model's graph", &t.node_kept, err);
  if (!status)
    status =
        hem__alloc(model->initializer_count, sizeof *t.initializer_kept, "a model's graph", &t.initializer_kept, err);
  if (!status) status = hem__alloc(count_fields(&t), sizeof *t.kept, "a model's graph", &t.kept, err);
  if (!status) {
    note_nodes(&t);
    find_needed(&t);
    decide(&t);
    *size = move(&t);
  }
  free(t.nodes);
  free(t.node_sizes);
  free(t.node_kept);
  free(t.initializer_kept);
  free(t.kept);
  return status;
}
