// hnswlib, a library of headers: its HNSW graph with vectors inside. The only C++ of its own here; what it throws ends
// in this file.
#include <hnswlib/hnswlib.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

extern "C" {
#include "base/threads.h"
#include "bench/peer.h"
}

namespace {

struct Variant {
  size_t links, ef_construction;
};

typedef hnswlib::SpaceInterface<float> Space;
typedef hnswlib::HierarchicalNSW<float> Graph;

struct Opened {
  hem__peer peer;  // first
  Space *space;
  Graph *graph;
};

Space *new_space(const hem__peer_task *task) {
  if (task->distance == HEM_L2) return new hnswlib::L2Space(task->gallery.dim);
  return new hnswlib::InnerProductSpace(task->gallery.dim);
}

void describe(const hem__peer_type *type, const hem__peer_task *, char *out, size_t room) {
  const Variant *v = static_cast<const Variant *>(type->own);
  snprintf(out, room, "HNSW, M %zu, ef_construction %zu", v->links, v->ef_construction);
}

hem_status fail(hem_error *err, hem_status code, const char *what, const std::exception &why) {
  return hem__fail(err, code, "hnswlib could not %s: %.300s", what, why.what());
}

// ---- building ----

struct Adding {
  Graph *graph;
  hem__matrix gallery;
  hem_error *errors;  // of each thread
};

void add_one(void *context, size_t i, size_t worker) {
  Adding *a = static_cast<Adding *>(context);
  if (a->errors[worker].code) return;
  try {
    a->graph->addPoint(hem__row(a->gallery, i), i);
  } catch (const std::exception &why) {
    fail(&a->errors[worker], HEM_EUNSUPPORTED, "add a vector", why);
  }
}

hem_status add_all(const hem__peer_task *task, Graph *graph, hem_error *err) {
  Adding a = {graph, task->gallery, nullptr};
  hem_status status = hem__alloc(task->build_threads, sizeof *a.errors, "threads", &a.errors, err);
  if (!status) status = hem__parallel_for(task->gallery.rows, task->build_threads, add_one, &a, err);
  for (size_t i = 0; i < task->build_threads && !status; i++)
    if (a.errors[i].code) status = hem__fail(err, a.errors[i].code, "%s", a.errors[i].message);
  free(a.errors);
  return status;
}

hem_status build(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem_error *err) {
  const Variant *v = static_cast<const Variant *>(type->own);
  Space *space = nullptr;
  Graph *graph = nullptr;
  hem_status status = HEM_OK;
  if (task->distance == HEM_L1) return hem__fail(err, HEM_EUNSUPPORTED, "it has no L1");
  try {
    space = new_space(task);
    graph = new Graph(space, task->gallery.rows, v->links, v->ef_construction);
    status = add_all(task, graph, err);
    if (!status) graph->saveIndex(path);
  } catch (const std::exception &why) {
    status = fail(err, HEM_EIO, "build or write an index", why);
  }
  delete graph;
  delete space;
  return status;
}

// ---- asking ----

void close_graph(hem__peer *peer) {
  Opened *o = reinterpret_cast<Opened *>(peer);
  if (!o) return;
  delete o->graph;
  delete o->space;
  delete o;
}

hem_status open_graph(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem__peer **out,
                      hem_error *err) {
  Opened *o = nullptr;
  try {
    o = new Opened();
    o->peer.type = type;
    o->space = new_space(task);
    o->graph = new Graph(o->space, path);
  } catch (const std::exception &why) {
    if (o) close_graph(&o->peer);
    return fail(err, HEM_ECORRUPT, "read an index", why);
  }
  *out = &o->peer;
  return HEM_OK;
}

hem_status set_depth(hem__peer *peer, hem__peer_depth depth, hem_error *) {
  reinterpret_cast<Opened *>(peer)->graph->setEf(depth.depth);
  return HEM_OK;
}

hem_status search(hem__peer *peer, size_t, const float *query, size_t k, int64_t *rows, hem_error *err) {
  try {
    auto found = reinterpret_cast<Opened *>(peer)->graph->searchKnn(query, k);
    for (size_t i = found.size(); i < k; i++) rows[i] = -1;
    for (size_t i = found.size(); i-- > 0; found.pop()) rows[i] = static_cast<int64_t>(found.top().second);
  } catch (const std::exception &why) {
    return fail(err, HEM_EUNSUPPORTED, "search", why);
  }
  return HEM_OK;
}

const Variant usual = {16, 200}, dense = {32, 200};

hem__peer_type variant(const char *name, const Variant *own) {
  hem__peer_type type = {};
  type.name = name;
  type.depth_name = "ef";
  type.own = own;
  type.ladder = hem__ladder_graph;
  type.ladder_count = HEM__LADDER_GRAPH;
  type.describe = describe;
  type.build = build;
  type.open = open_graph;
  type.close = close_graph;
  type.set = set_depth;
  type.search = search;
  return type;
}

}  // namespace

extern "C" {
extern const hem__peer_type hem__peers_hnswlib[] = {variant("hnswlib", &usual), variant("hnswlib-m32", &dense)};
extern const size_t hem__peers_hnswlib_count = 2;
}
