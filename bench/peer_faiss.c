#include "bench/peer_faiss.h"

#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <faiss/c_api/index_io_c.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/threads.h"
#include "bench/peer.h"

struct hem__faiss_peer {
  FaissIndex *index;
};

static hem_status fail_faiss(hem_error *err, hem_status code, const char *what) {
  const char *text = faiss_get_last_error();
  return hem__fail(err, code, "FAISS could not %s: %.300s", what, text ? text : "no reason given");
}

static hem_status set(FaissIndex *index, const char *setting, uint32_t value, hem_error *err) {
  FaissParameterSpace *space = NULL;
  if (faiss_ParameterSpace_new(&space)) return fail_faiss(err, HEM_ENOMEM, "make a parameter space");
  int failed = faiss_ParameterSpace_set_index_parameter(space, index, setting, value);
  faiss_ParameterSpace_free(space);
  return failed ? fail_faiss(err, HEM_EUNSUPPORTED, "change a setting") : HEM_OK;
}

hem_status hem__faiss_peer_open(const char *path, const char *setting, uint32_t value, hem__faiss_peer **out,
                                hem_error *err) {
  hem__faiss_peer *peer = NULL;
  hem_status status = hem__alloc(1, sizeof *peer, "an index", &peer, err);
  if (status) return status;
  if (faiss_read_index_fname(path, 0, &peer->index)) status = fail_faiss(err, HEM_ECORRUPT, "read the index");
  if (!status) status = set(peer->index, setting, value, err);
  if (status) {
    hem__faiss_peer_close(peer);
    return status;
  }
  *out = peer;
  return HEM_OK;
}

void hem__faiss_peer_close(hem__faiss_peer *peer) {
  if (!peer) return;
  if (peer->index) faiss_Index_free(peer->index);
  free(peer);
}

hem_status hem__faiss_peer_search(const hem__faiss_peer *peer, const float *query, size_t k, float *distances,
                                  int64_t *rows, hem_error *err) {
  _Static_assert(sizeof(idx_t) == sizeof(int64_t), "FAISS is built with other row numbers");
  if (faiss_Index_search(peer->index, 1, query, (idx_t)k, distances, (idx_t *)rows))
    return fail_faiss(err, HEM_EUNSUPPORTED, "search");
  return HEM_OK;
}

/* ---- FAISS as a contestant ---- */

typedef enum family { GRAPH, LISTS, LISTS_PQ } family;

/* `factory`: FAISS's name; of lists, what comes behind "IVFn,". */
typedef struct variant {
  family family;
  const char *factory;
  uint32_t ef_construction;
} variant;

typedef struct opened {
  hem__peer peer;
  FaissIndex *index;
  float *distances; /* of a batch */
  size_t distance_capacity;
} opened;

enum { POINTS_PER_CENTROID = 39 };

/* As many lists as Hemline makes: 4 sqrt(n), and no more than k-means can be trained for. */
static size_t lists_of(const hem__peer_task *task) {
  size_t wanted = (size_t)(4 * sqrt((double)task->gallery.rows));
  return hem__max(hem__min(wanted, task->gallery.rows / POINTS_PER_CENTROID), 1);
}

static void name_factory(const variant *v, const hem__peer_task *task, char *out, size_t room) {
  size_t dim = task->gallery.dim, padded = (dim + 3) / 4 * 4;
  char pad[32] = "";
  if (padded != dim) snprintf(pad, sizeof pad, "Pad%zu,", padded);
  if (v->family == GRAPH) snprintf(out, room, "%s", v->factory);
  if (v->family == LISTS) snprintf(out, room, "IVF%zu,%s", lists_of(task), v->factory);
  if (v->family == LISTS_PQ) snprintf(out, room, "%sIVF%zu,PQ%zux4fs,RFlat", pad, lists_of(task), padded / 4);
}

static void describe(const hem__peer_type *type, const hem__peer_task *task, char *out, size_t room) {
  const variant *v = type->own;
  char factory[96];
  name_factory(v, task, factory, sizeof factory);
  if (v->ef_construction)
    snprintf(out, room, "%s, efConstruction %u", factory, v->ef_construction);
  else
    snprintf(out, room, "%s", factory);
}

static hem_status metric_of(hem_distance distance, FaissMetricType *out, hem_error *err) {
  if (distance == HEM_L1) return hem__fail(err, HEM_EUNSUPPORTED, "it is asked by L2 and by inner product only");
  *out = distance == HEM_L2 ? METRIC_L2 : METRIC_INNER_PRODUCT;
  return HEM_OK;
}

static hem_status build(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem_error *err) {
  const variant *v = type->own;
  FaissIndex *index = NULL;
  FaissMetricType metric = METRIC_L2;
  char factory[96];
  hem_status status = metric_of(task->distance, &metric, err);
  if (status) return status;
  if (task->gallery.dim > INT32_MAX) return hem__fail(err, HEM_EUNSUPPORTED, "the vectors are too long");
  name_factory(v, task, factory, sizeof factory);
  int held = hem__omp_use(task->build_threads);
  if (faiss_index_factory(&index, (int)task->gallery.dim, factory, metric))
    status = fail_faiss(err, HEM_EUNSUPPORTED, "make this kind of index");
  if (!status && v->ef_construction) status = set(index, "efConstruction", v->ef_construction, err);
  if (!status && faiss_Index_train(index, (idx_t)task->gallery.rows, task->gallery.at))
    status = fail_faiss(err, HEM_EUNSUPPORTED, "train the index");
  if (!status && faiss_Index_add(index, (idx_t)task->gallery.rows, task->gallery.at))
    status = fail_faiss(err, HEM_EUNSUPPORTED, "fill the index");
  if (!status && faiss_write_index_fname(index, path)) status = fail_faiss(err, HEM_EIO, "write the index");
  hem__omp_release(held);
  if (index) faiss_Index_free(index);
  return status;
}

static void close_opened(hem__peer *peer) {
  opened *o = (opened *)peer;
  if (!o) return;
  if (o->index) faiss_Index_free(o->index);
  free(o->distances);
  free(o);
}

static hem_status open_index(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem__peer **out,
                             hem_error *err) {
  opened *o = NULL;
  (void)task;
  hem_status status = hem__alloc(1, sizeof *o, "an index", &o, err);
  if (status) return status;
  o->peer.type = type;
  if (faiss_read_index_fname(path, 0, &o->index)) status = fail_faiss(err, HEM_ECORRUPT, "read the index");
  if (status) {
    close_opened(&o->peer);
    return status;
  }
  *out = &o->peer;
  return HEM_OK;
}

static hem_status set_depth(hem__peer *peer, hem__peer_depth depth, hem_error *err) {
  opened *o = (opened *)peer;
  hem_status status = depth.depth ? set(o->index, peer->type->depth_name, depth.depth, err) : HEM_OK;
  /* FAISS hands a setting on to the index inside, so that this must be the name that IndexRefine keeps. */
  if (!status && depth.refine) status = set(o->index, "k_factor_rf", depth.refine, err);
  return status;
}

static hem_status ask(opened *o, hem__matrix queries, size_t k, float *distances, int64_t *rows, hem_error *err) {
  if (faiss_Index_search(o->index, (idx_t)queries.rows, queries.at, (idx_t)k, distances, (idx_t *)rows))
    return fail_faiss(err, HEM_EUNSUPPORTED, "search");
  return HEM_OK;
}

static hem_status search(hem__peer *peer, size_t thread, const float *query, size_t k, int64_t *rows, hem_error *err) {
  float distances[HEM__PEER_K_MAX];
  (void)thread;
  return ask((opened *)peer, (hem__matrix){.at = query, .rows = 1}, k, distances, rows, err);
}

static hem_status batch(hem__peer *peer, hem__matrix queries, size_t k, size_t threads, int64_t *rows, hem_error *err) {
  opened *o = (opened *)peer;
  size_t all;
  if (!hem__mul(queries.rows, k, &all)) return hem__fail(err, HEM_ENOMEM, "%zu queries are too many", queries.rows);
  hem_status status = hem__grow(&o->distances, &o->distance_capacity, all, sizeof(float), "distances", err);
  if (status) return status;
  int held = hem__omp_use(threads);
  status = ask(o, queries, k, o->distances, rows, err);
  hem__omp_release(held);
  return status;
}

static const variant hnsw = {GRAPH, "HNSW32,Flat", 40}, hnsw_200 = {GRAPH, "HNSW32,Flat", 200},
                     hnsw_sq8 = {GRAPH, "HNSW32_SQ8", 40}, ivf = {LISTS, "Flat", 0}, ivf_pq = {LISTS_PQ, "", 0};

#define VARIANT(title, what, which, steps, count)                                                                     \
  {                                                                                                                   \
    .name = title, .depth_name = what, .own = &(which), .ladder = steps, .ladder_count = count, .describe = describe, \
    .build = build, .open = open_index, .close = close_opened, .set = set_depth, .search = search, .batch = batch     \
  }

const hem__peer_type hem__peers_faiss[] = {
    VARIANT("faiss-hnsw", "efSearch", hnsw, hem__ladder_graph, HEM__LADDER_GRAPH),
    VARIANT("faiss-hnsw-ef200", "efSearch", hnsw_200, hem__ladder_graph, HEM__LADDER_GRAPH),
    VARIANT("faiss-hnsw-sq8", "efSearch", hnsw_sq8, hem__ladder_graph, HEM__LADDER_GRAPH),
    VARIANT("faiss-ivf", "nprobe", ivf, hem__ladder_lists, HEM__LADDER_LISTS),
    VARIANT("faiss-ivf-pq", "nprobe", ivf_pq, hem__ladder_refined, HEM__LADDER_REFINED),
};
const size_t hem__peers_faiss_count = sizeof hem__peers_faiss / sizeof *hem__peers_faiss;
