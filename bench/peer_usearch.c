/* usearch, through its C interface, with its own SIMD kernels where they came with it. */
#include <stdio.h>
#include <stdlib.h>
#include <usearch.h>

#include "base/threads.h"
#include "bench/peer.h"

typedef struct variant {
  usearch_scalar_kind_t scalar;
  const char *scalar_name;
  size_t links, expansion_add;
} variant;

typedef struct opened {
  hem__peer peer;
  usearch_index_t index;
} opened;

static hem_status fail_usearch(hem_error *err, hem_status code, const char *what, usearch_error_t why) {
  return hem__fail(err, code, "usearch could not %s: %.300s", what, why);
}

static void describe(const hem__peer_type *type, const hem__peer_task *task, char *out, size_t room) {
  const variant *v = type->own;
  (void)task;
  snprintf(out, room, "HNSW, connectivity %zu, expansion_add %zu, %s", v->links, v->expansion_add, v->scalar_name);
}

static hem_status new_index(const hem__peer_type *type, const hem__peer_task *task, usearch_index_t *out,
                            hem_error *err) {
  const variant *v = type->own;
  usearch_error_t why = NULL;
  if (task->distance == HEM_L1) return hem__fail(err, HEM_EUNSUPPORTED, "it has no L1");
  usearch_init_options_t o = {.metric_kind = task->distance == HEM_L2 ? usearch_metric_l2sq_k : usearch_metric_ip_k,
                              .quantization = v->scalar,
                              .dimensions = task->gallery.dim,
                              .connectivity = v->links,
                              .expansion_add = v->expansion_add,
                              .expansion_search = 64};
  *out = usearch_init(&o, &why);
  return why ? fail_usearch(err, HEM_EUNSUPPORTED, "make an index", why) : HEM_OK;
}

static void free_index(usearch_index_t index) {
  usearch_error_t why = NULL;
  if (index) usearch_free(index, &why);
}

/* ---- building ---- */

typedef struct adding {
  usearch_index_t index;
  hem__matrix gallery;
  usearch_error_t *errors; /* of each thread */
} adding;

static void add_one(void *context, size_t i, size_t worker) {
  adding *a = context;
  if (!a->errors[worker]) usearch_add(a->index, i, hem__row(a->gallery, i), usearch_scalar_f32_k, &a->errors[worker]);
}

static hem_status add_all(const hem__peer_task *task, usearch_index_t index, hem_error *err) {
  adding a = {.index = index, .gallery = task->gallery};
  usearch_error_t why = NULL;
  hem_status status = hem__alloc(task->build_threads, sizeof *a.errors, "threads", &a.errors, err);
  if (status) return status;
  usearch_reserve(index, task->gallery.rows, &why);
  if (!why) usearch_change_threads_add(index, task->build_threads, &why);
  if (why) status = fail_usearch(err, HEM_ENOMEM, "make room", why);
  if (!status) status = hem__parallel_for(task->gallery.rows, task->build_threads, add_one, &a, err);
  for (size_t i = 0; i < task->build_threads && !status; i++)
    if (a.errors[i]) status = fail_usearch(err, HEM_EUNSUPPORTED, "add a vector", a.errors[i]);
  free(a.errors);
  return status;
}

static hem_status build(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem_error *err) {
  usearch_index_t index = NULL;
  usearch_error_t why = NULL;
  hem_status status = new_index(type, task, &index, err);
  if (!status) status = add_all(task, index, err);
  if (!status) usearch_save(index, path, &why);
  if (why) status = fail_usearch(err, HEM_EIO, "write the index", why);
  free_index(index);
  return status;
}

/* ---- asking ---- */

static void close_index(hem__peer *peer) {
  opened *o = (opened *)peer;
  if (!o) return;
  free_index(o->index);
  free(o);
}

static hem_status open_index(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem__peer **out,
                             hem_error *err) {
  opened *o = NULL;
  usearch_error_t why = NULL;
  hem_status status = hem__alloc(1, sizeof *o, "an index", &o, err);
  if (status) return status;
  o->peer.type = type;
  status = new_index(type, task, &o->index, err);
  if (!status) usearch_load(o->index, path, &why);
  if (!status && !why) usearch_change_threads_search(o->index, task->threads, &why);
  if (why) status = fail_usearch(err, HEM_ECORRUPT, "read the index", why);
  if (status) {
    close_index(&o->peer);
    return status;
  }
  *out = &o->peer;
  return HEM_OK;
}

static hem_status set_depth(hem__peer *peer, hem__peer_depth depth, hem_error *err) {
  usearch_error_t why = NULL;
  usearch_change_expansion_search(((opened *)peer)->index, depth.depth, &why);
  return why ? fail_usearch(err, HEM_EUNSUPPORTED, "change a setting", why) : HEM_OK;
}

static hem_status search(hem__peer *peer, size_t thread, const float *query, size_t k, int64_t *rows, hem_error *err) {
  usearch_key_t keys[HEM__PEER_K_MAX];
  usearch_distance_t distances[HEM__PEER_K_MAX];
  usearch_error_t why = NULL;
  (void)thread;
  size_t found = usearch_search(((opened *)peer)->index, query, usearch_scalar_f32_k, k, keys, distances, &why);
  if (why) return fail_usearch(err, HEM_EUNSUPPORTED, "search", why);
  for (size_t i = 0; i < k; i++) rows[i] = i < found ? (int64_t)keys[i] : -1;
  return HEM_OK;
}

static const variant floats = {usearch_scalar_f32_k, "f32", 32, 128}, halves = {usearch_scalar_f16_k, "f16", 32, 128};

#define VARIANT(title, which)                                                                                          \
  {                                                                                                                    \
    .name = title, .depth_name = "expansion", .own = &(which), .ladder = hem__ladder_graph,                            \
    .ladder_count = HEM__LADDER_GRAPH, .describe = describe, .build = build, .open = open_index, .close = close_index, \
    .set = set_depth, .search = search                                                                                 \
  }

const hem__peer_type hem__peers_usearch[] = {VARIANT("usearch", floats), VARIANT("usearch-f16", halves)};
const size_t hem__peers_usearch_count = sizeof hem__peers_usearch / sizeof *hem__peers_usearch;
