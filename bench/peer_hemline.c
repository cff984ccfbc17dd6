/* Hemline's own kinds as contestants: hem_index builds them, hem_search and hem_batch_search are asked, as users ask.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/peer.h"
#include "query/engine.h"

typedef struct own {
  hem__peer peer;
  hem_engine *engine;
  hem_searcher **searchers; /* of each thread that asks */
  size_t searcher_count, category;
  const char *category_name; /* the engine's */
  hem_batch *batch;
  size_t batch_threads;
  hem_answer *answers;
  size_t answer_capacity;
} own;

static void describe(const hem__peer_type *type, const hem__peer_task *task, char *out, size_t room) {
  (void)task;
  snprintf(out, room, "hemline index --kind %s", (const char *)type->own);
}

static hem_status build(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem_error *err) {
  hem_index_options o = {.size = sizeof o,
                         .catalog = task->catalog,
                         .store = path,
                         .kind = type->own,
                         .distance = task->distance,
                         .threads = 1,
                         .keep = 1};
  return hem_index(&o, err);
}

static void close_own(hem__peer *peer) {
  own *o = (own *)peer;
  if (!o) return;
  hem_batch_free(o->batch);
  for (size_t i = 0; o->searchers && i < o->searcher_count; i++) hem_searcher_free(o->searchers[i]);
  free(o->searchers);
  free(o->answers);
  hem_engine_close(o->engine);
  free(o);
}

static hem_status open_searchers(own *o, const hem__peer_task *task, hem_error *err) {
  hem_status status = hem__alloc(task->threads, sizeof *o->searchers, "searchers", &o->searchers, err);
  if (!status) o->searcher_count = task->threads;
  for (size_t i = 0; i < task->threads && !status; i++) status = hem_searcher_new(o->engine, &o->searchers[i], err);
  return status;
}

static hem_status open_own(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem__peer **out,
                           hem_error *err) {
  own *o = NULL;
  const char *kind = NULL;
  hem_status status = hem__alloc(1, sizeof *o, "an index", &o, err);
  if (status) return status;
  o->peer.type = type;
  status = hem_engine_open(path, NULL, &o->engine, err);
  if (!status) status = hem__engine_find(o->engine, task->category, &o->category, err);
  if (!status) {
    hem_engine_category(o->engine, o->category, &o->category_name, &kind, NULL);
    if (strcmp(kind, type->own) != 0)
      status = hem__fail(err, HEM_EUNSUPPORTED, "a category of fewer than 1,000 photos is always flat");
  }
  if (!status) status = open_searchers(o, task, err);
  if (status) {
    close_own(&o->peer);
    return status;
  }
  *out = &o->peer;
  return HEM_OK;
}

static hem_status set(hem__peer *peer, hem__peer_depth depth, hem_error *err) {
  own *o = (own *)peer;
  hem__depth d = {.ef_search = depth.depth, .nprobe = depth.depth, .refine = depth.refine};
  return hem__engine_set_depth(o->engine, o->category, &d, err);
}

static hem_search_options options_of(const own *o, size_t k) {
  return (hem_search_options){
      .size = sizeof(hem_search_options), .k = k, .categories = &o->category_name, .category_count = 1, .photos = true};
}

static void take(const hem_answer *answer, size_t k, int64_t *rows) {
  for (size_t i = 0; i < k; i++) rows[i] = i < answer->found ? (int64_t)answer->hits[i].row : -1;
}

static hem_status search(hem__peer *peer, size_t thread, const float *query, size_t k, int64_t *rows, hem_error *err) {
  own *o = (own *)peer;
  hem_search_options how = options_of(o, k);
  hem_answer answer;
  hem_status status = hem_search(o->searchers[thread], query, o->engine->generation.manifest.dim, &how, &answer, err);
  if (!status) take(&answer, k, rows);
  return status;
}

static hem_status batch(hem__peer *peer, hem__matrix queries, size_t k, size_t threads, int64_t *rows, hem_error *err) {
  own *o = (own *)peer;
  hem_search_options how = options_of(o, k);
  hem_status status = hem__grow(&o->answers, &o->answer_capacity, queries.rows, sizeof *o->answers, "answers", err);
  if (!status && o->batch_threads != threads) {
    hem_batch_free(o->batch);
    o->batch = NULL;
    o->batch_threads = 0;
    status = hem_batch_new(o->engine, threads, &o->batch, err);
    if (!status) o->batch_threads = threads;
  }
  if (!status) status = hem_batch_search(o->batch, queries.at, queries.rows, queries.dim, &how, o->answers, err);
  for (size_t i = 0; i < queries.rows && !status; i++) take(&o->answers[i], k, rows + i * k);
  return status;
}

static void let_go(const hem__map *map) {
  /* Its type has no const; the pages are only unmapped from this process. */
  if (map->at) madvise((void *)(uintptr_t)map->at, map->size, MADV_DONTNEED);
}

static void drop(hem__peer *peer) {
  own *o = (own *)peer;
  let_go(&o->engine->gallery_map);
  for (size_t i = 0; i < o->engine->category_count; i++) {
    let_go(&o->engine->categories[i].vectors_map);
    let_go(&o->engine->categories[i].index_map);
    let_go(&o->engine->categories[i].points_map);
  }
}

static const hem__peer_depth nothing[] = {{0, 0}};
/* Codes of 8 bits: the next exact ones are among twice or four times as many. */
static const hem__peer_depth graph_coded[] = {{10, 2}, {14, 2},  {20, 2},  {28, 2},  {40, 2}, {56, 2},
                                              {80, 2}, {112, 2}, {160, 2}, {224, 2}, {320, 4}};
/* Of few dimensions: exact ones are among a few times as many. */
static const hem__peer_depth graph_projected[] = {{8, 2},  {12, 2}, {8, 4},  {12, 4}, {16, 4},  {20, 6},
                                                  {28, 6}, {40, 8}, {64, 8}, {96, 8}, {160, 16}};
static const hem__peer_depth lists_coded[] = {{1, 2},  {2, 2},  {4, 2},  {6, 2},  {8, 2}, {12, 2},
                                              {16, 2}, {24, 2}, {32, 2}, {48, 2}, {96, 4}};

#define KIND(kind, what, steps, count)                                                                        \
  {                                                                                                           \
    .name = "hemline-" kind, .depth_name = what, .own = kind, .ladder = steps, .ladder_count = count,         \
    .describe = describe, .build = build, .open = open_own, .close = close_own, .set = set, .search = search, \
    .batch = batch, .drop = drop                                                                              \
  }
#define STEPS(ladder) (sizeof(ladder) / sizeof *(ladder))

const hem__peer_type hem__peers_hemline[] = {
    KIND("flat", "", nothing, STEPS(nothing)),
    KIND("hnsw", "ef", hem__ladder_graph, HEM__LADDER_GRAPH),
    KIND("hnsw-sq8", "ef", graph_coded, STEPS(graph_coded)),
    KIND("hnsw-pca", "ef", graph_projected, STEPS(graph_projected)),
    KIND("ivf", "nprobe", hem__ladder_lists, HEM__LADDER_LISTS),
    KIND("ivf-sq8", "nprobe", lists_coded, STEPS(lists_coded)),
    KIND("ivf-pq", "nprobe", hem__ladder_refined, HEM__LADDER_REFINED),
};
const size_t hem__peers_hemline_count = sizeof hem__peers_hemline / sizeof *hem__peers_hemline;
