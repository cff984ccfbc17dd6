/* MAIN PATH of a query: vector -> candidates of each category -> merged -> grouped by item -> top-k.
 *
 * An engine is a generation, opened and verified: mapped vectors, FAISS indices, the gallery. It never changes,
 * so any number of threads may use it without a lock. What changes while a query runs lives in a searcher, one
 * for each thread; its buffers grow to the largest query it has seen, and then no query allocates. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "index/generation.h"
#include "query/items.h"
#include "query/rows.h"

enum { K_DEFAULT = 20, K_MAX = 100000 };

typedef struct category {
  hem__category shared; /* what candidates.c sees */
  hem__map vectors_map;
  hem__faiss *index;
  bool loaded;
} category;

struct hem_engine {
  hem__generation generation;
  hem__map gallery_map;
  hem__gallery gallery;
  category *categories;
  size_t category_count;
};

/* ---- opening ---- */

static hem_status load_index(hem_engine *engine, const hem__generation_category *from, category *c, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  hem__map map = {0};
  hem_status status = hem__generation_map(&engine->generation, &from->index, &map, err);
  if (!status)
    status = hem__faiss_read(map.at, map.size, from->index.name, m->distance, from->photos, m->dim, &c->index, err);
  if (!status && from->ef_search) status = hem__faiss_set(c->index, "efSearch", from->ef_search, err);
  if (!status && from->nprobe) status = hem__faiss_set(c->index, "nprobe", from->nprobe, err);
  hem__map_close(&map);
  return status;
}

static hem_status load_category(hem_engine *engine, size_t number, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  const hem__generation_category *from = &m->categories[number];
  category *c = &engine->categories[number];
  hem_status status = hem__generation_map(&engine->generation, &from->vectors, &c->vectors_map, err);
  if (!status && from->index.name) status = load_index(engine, from, c, err);
  c->shared = (hem__category){
      .name = from->name,
      .kind = from->kind,
      .distance = m->distance,
      .first = from->first,
      .vectors = {.at = (const float *)(const void *)c->vectors_map.at, .rows = from->photos, .dim = m->dim},
      .index = c->index,
      .refine = from->refine};
  c->loaded = !status;
  return status;
}

static hem_status no_category(const hem__manifest *m, const char *name, hem_error *err) {
  char list[256] = "";
  for (size_t i = 0, at = 0; i < m->category_count && at < sizeof list; i++)
    at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", m->categories[i].name);
  return hem__fail(err, HEM_ENOTFOUND, "there is no category '%s'; there are: %s", name, list);
}

static hem_status find_category(const hem_engine *engine, const char *name, size_t *number, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  for (size_t i = 0; i < m->category_count; i++) {
    if (strcmp(m->categories[i].name, name) != 0) continue;
    *number = i;
    return HEM_OK;
  }
  return no_category(m, name, err);
}

static hem_status load_categories(hem_engine *engine, const hem_engine_options *o, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  hem_status status = hem__alloc(m->category_count, sizeof *engine->categories, "categories", &engine->categories, err);
  engine->category_count = status ? 0 : m->category_count;
  for (size_t i = 0; i < engine->category_count; i++) engine->categories[i].shared.name = m->categories[i].name;
  for (size_t i = 0; i < o->category_count && !status; i++) {
    size_t number = 0;
    status = find_category(engine, o->categories[i], &number, err);
    if (!status && !engine->categories[number].loaded) status = load_category(engine, number, err);
  }
  for (size_t i = 0; o->category_count == 0 && i < m->category_count && !status; i++)
    status = load_category(engine, i, err);
  return status;
}

static hem_status load_gallery(hem_engine *engine, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  size_t photos = 0;
  hem_status status = hem__generation_map(&engine->generation, &m->gallery, &engine->gallery_map, err);
  if (!status) status = hem__gallery_read(&engine->gallery_map, m->gallery.name, &engine->gallery, err);
  for (size_t i = 0; i < m->category_count; i++) photos += m->categories[i].photos;
  if (!status && photos != engine->gallery.photos)
    status = hem__fail(err, HEM_ECORRUPT, "%s holds %zu photos and the manifest %zu", m->gallery.name,
                       engine->gallery.photos, photos);
  return status;
}

/* FAISS is compiled for the instructions of the machine that built it. */
static hem_status check_processor(hem_error *err) {
#if defined(HEM_FAISS_AVX2) && defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2"))
    return hem__fail(err, HEM_EUNSUPPORTED,
                     "this build needs a processor with AVX2: run ./setup and build on this machine");
#else
  (void)err;
#endif
  return HEM_OK;
}

hem_status hem_engine_open(const char *store, const hem_engine_options *options, hem_engine **out, hem_error *err) {
  hem_engine_options o;
  hem_engine *engine = NULL;
  hem_status status = hem__options_copy(&o, sizeof o, options, "hem_engine_options", err);
  if (!status && (!store || (o.category_count && !o.categories)))
    status = hem__fail(err, HEM_EINVAL, "hem_engine_open: name a store, and categories or none");
  if (!status) status = check_processor(err);
  if (!status) status = hem__alloc(1, sizeof *engine, "an engine", &engine, err);
  if (!status) status = hem__generation_open(store, &engine->generation, err);
  if (!status) status = load_gallery(engine, err);
  if (!status) status = load_categories(engine, &o, err);
  if (status) {
    hem_engine_close(engine);
    return status;
  }
  *out = engine;
  return HEM_OK;
}

void hem_engine_close(hem_engine *engine) {
  if (!engine) return;
  for (size_t i = 0; i < engine->category_count; i++) {
    hem__faiss_free(engine->categories[i].index);
    hem__map_close(&engine->categories[i].vectors_map);
  }
  free(engine->categories);
  hem__map_close(&engine->gallery_map);
  hem__generation_close(&engine->generation);
  free(engine);
}

hem_status hem__engine_check_rows(const hem_engine *engine, const hem__catalog *catalog, hem_error *err) {
  static const hem__digest unknown;
  const hem__digest *built_from = &engine->generation.manifest.catalog_identity, now = hem__catalog_identity(catalog);
  if (hem__digest_equal(built_from, &unknown) || hem__digest_equal(built_from, &now)) return HEM_OK;
  return hem__fail(err, HEM_EMISMATCH,
                   "%s is not the catalogue as it was when the store was built: its rows may be other photos now, so "
                   "index it again",
                   hem__catalog_path(catalog));
}

void hem_engine_info_get(const hem_engine *engine, hem_engine_info *info) {
  const hem__manifest *m = &engine->generation.manifest;
  *info = (hem_engine_info){.generation = engine->generation.name,
                            .space = m->space,
                            .space_hash = m->space_hash,
                            .features = m->features,
                            .catalog = m->catalog,
                            .dim = m->dim,
                            .distance = m->distance,
                            .photos = engine->gallery.photos,
                            .items = engine->gallery.items,
                            .category_count = m->category_count};
}

void hem_engine_category(const hem_engine *engine, size_t i, const char **name, const char **kind, uint64_t *photos) {
  const hem__generation_category *c = &engine->generation.manifest.categories[i];
  if (name) *name = c->name;
  if (kind) *kind = c->kind;
  if (photos) *photos = c->photos;
}

/* ---- searchers ---- */

struct hem_searcher {
  const hem_engine *engine;
  float *query; /* normalised for cosine */
  hem__candidates_scratch scratch;
  hem__near *near; /* one category's candidates */
  hem__ranking ranking;
  hem_hit *hits;
  size_t near_capacity, hits_capacity;
  uint32_t *chosen; /* categories to search */
  size_t chosen_count;
};

hem_status hem_searcher_new(const hem_engine *engine, hem_searcher **out, hem_error *err) {
  hem_searcher *s = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a searcher", &s, err);
  if (status) return status;
  s->engine = engine;
  status = hem__alloc(engine->generation.manifest.dim, sizeof *s->query, "a searcher", &s->query, err);
  if (!status) status = hem__alloc(engine->category_count, sizeof *s->chosen, "a searcher", &s->chosen, err);
  if (!status) status = hem__ranking_init(&s->ranking, &engine->gallery, err);
  if (status) {
    hem_searcher_free(s);
    return status;
  }
  *out = s;
  return HEM_OK;
}

void hem_searcher_free(hem_searcher *s) {
  if (!s) return;
  hem__candidates_clear(&s->scratch);
  hem__ranking_clear(&s->ranking);
  free(s->query);
  free(s->near);
  free(s->hits);
  free(s->chosen);
  free(s);
}

/* ---- one query ---- */

typedef struct search {
  hem_searcher *s;
  hem_search_options o;
  size_t k;
  size_t fetch;  /* photos asked of each category in this round */
  float horizon; /* photos nearer than this have all been seen; as near, perhaps not all */
  bool all;      /* every photo of every category has been seen: there is no horizon */
  size_t fallbacks;
} search;

static hem_status choose(search *q, hem_error *err) {
  hem_searcher *s = q->s;
  const hem_engine *engine = s->engine;
  s->chosen_count = 0;
  for (size_t i = 0; i < q->o.category_count; i++) {
    size_t number = 0, j = 0;
    hem_status status = find_category(engine, q->o.categories[i], &number, err);
    if (status) return status;
    if (!engine->categories[number].loaded)
      return hem__fail(err, HEM_ENOTFOUND, "category '%s' was not loaded: open the engine with it", q->o.categories[i]);
    while (j < s->chosen_count && s->chosen[j] != number) j++;
    if (j == s->chosen_count) s->chosen[s->chosen_count++] = (uint32_t)number;
  }
  for (size_t i = 0; q->o.category_count == 0 && i < engine->category_count; i++)
    if (engine->categories[i].loaded) s->chosen[s->chosen_count++] = (uint32_t)i;
  return HEM_OK;
}

static hem_status reserve(search *q, hem_error *err) {
  hem_searcher *s = q->s;
  size_t total = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = &s->engine->categories[s->chosen[i]].shared;
    size_t here = hem__min(q->fetch, c->vectors.rows);
    total += here;
    if (c->index) status = hem__candidates_reserve(&s->scratch, here, c->refine, err);
  }
  if (!status) status = hem__grow(&s->near, &s->near_capacity, q->fetch, sizeof *s->near, "candidates", err);
  return status ? status : hem__ranking_restart(&s->ranking, total, err);
}

/* Asks every chosen category for its `fetch` nearest photos. */
static hem_status gather(search *q, hem_error *err) {
  hem_searcher *s = q->s;
  hem__candidates_request request = {.query = s->query, .k = q->fetch, .exact = q->o.exact};
  q->fallbacks = 0;
  q->all = true;
  q->horizon = INFINITY;
  for (size_t i = 0; i < s->chosen_count; i++) {
    const hem__category *c = &s->engine->categories[s->chosen[i]].shared;
    hem__candidates_found found = {.at = s->near};
    hem_status status = hem__candidates(c, &request, &s->scratch, &found, err);
    if (status) return status;
    q->fallbacks += found.fell_back;
    if (found.count < c->vectors.rows) {
      q->all = false;
      if (found.at[found.count - 1].key < q->horizon) q->horizon = found.at[found.count - 1].key;
    }
    hem__ranking_merge(&s->ranking, s->chosen[i], c->first, found.at, found.count);
  }
  return HEM_OK;
}

static hem_hit hit_of(const hem_engine *engine, const hem__ranked *r) {
  const hem__gallery *g = &engine->gallery;
  return (hem_hit){.item_id = g->text + g->item_id[r->item],
                   .category = engine->categories[r->category].shared.name,
                   .path = g->text + g->path[r->photo],
                   .label = g->text + g->label[r->photo],
                   .row = g->row[r->photo],
                   .distance = hem__key_distance(engine->generation.manifest.distance, r->key)};
}

static size_t fill_hits(search *q) {
  hem_searcher *s = q->s;
  hem__choice choice = {.k = q->k,
                        .photos = q->o.photos,
                        .horizon = q->horizon,
                        .leave_out = q->o.leave_out,
                        .leave_out_row = q->o.leave_out_row};
  size_t found = hem__ranking_choose(&s->ranking, &choice);
  for (size_t i = 0; i < found; i++) s->hits[i] = hit_of(s->engine, &s->ranking.at[i]);
  return found;
}

/* One round is enough unless items have many photos: then the next asks for twice as many. */
static hem_status answer_rounds(search *q, size_t *found, hem_error *err) {
  hem_status status = hem__grow(&q->s->hits, &q->s->hits_capacity, q->k, sizeof *q->s->hits, "hits", err);
  for (; !status; q->fetch *= 2) {
    status = reserve(q, err);
    if (!status) status = gather(q, err);
    if (status) break;
    *found = fill_hits(q);
    if (*found == q->k || q->all) break;
  }
  return status;
}

static hem_status check_query(const search *q, const float *vector, size_t dim, hem_error *err) {
  const hem__manifest *m = &q->s->engine->generation.manifest;
  if (dim != m->dim)
    return hem__fail(err, HEM_EMISMATCH, "the query has %zu values; this store holds '%s', of %zu", dim, m->space,
                     m->dim);
  if (!hem__all_finite(vector, dim))
    return hem__fail(err, HEM_EINVAL, "the query holds a value that is not a number, or is beyond 1e15");
  if (q->k > K_MAX) return hem__fail(err, HEM_EINVAL, "k is %zu; at most %d can be asked for", q->k, K_MAX);
  return HEM_OK;
}

static void describe(const search *q, size_t found, hem_answer *answer) {
  const hem_searcher *s = q->s;
  *answer = (hem_answer){.hits = s->hits,
                         .found = found,
                         .wanted = q->k,
                         .shortfall = found < q->k ? HEM_SMALL_GALLERY : HEM_COMPLETE,
                         .categories = s->chosen_count,
                         .fallbacks = q->fallbacks};
  for (size_t i = 0; i < s->chosen_count; i++)
    answer->gallery += s->engine->categories[s->chosen[i]].shared.vectors.rows;
}

hem_status hem_search(hem_searcher *s, const float *vector, size_t dim, const hem_search_options *options,
                      hem_answer *answer, hem_error *err) {
  search q = {.s = s};
  size_t found = 0;
  hem_status status = hem__options_copy(&q.o, sizeof q.o, options, "hem_search_options", err);
  if (status) return status;
  if (q.o.category_count && !q.o.categories) return hem__fail(err, HEM_EINVAL, "category_count without categories");
  q.k = q.o.k ? q.o.k : K_DEFAULT;
  q.fetch = q.k + q.o.leave_out + 1; /* the last one sets the horizon */
  status = check_query(&q, vector, dim, err);
  if (!status) status = choose(&q, err);
  if (status) return status;
  if (s->engine->generation.manifest.distance == HEM_COSINE) {
    hem__normalise(vector, dim, s->query);
  } else {
    memcpy(s->query, vector, dim * sizeof *vector);
  }
  int held = hem__omp_hold();
  status = answer_rounds(&q, &found, err);
  hem__omp_release(held);
  if (!status) describe(&q, found, answer);
  return status;
}
