/* Opening an engine: a generation, verified, mapped and read. From then on it never changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/engine.h"
#include "query/rows.h"

static hem__vectors vectors_of(const hem_engine *engine, const hem__generation_category *from, const hem__loaded *c) {
  return (hem__vectors){.at = from->divisor ? NULL : (const float *)(const void *)c->vectors_map.at,
                        .bytes = c->vectors_map.at,
                        .divisor = (float)from->divisor,
                        .rows = from->photos,
                        .dim = hem__manifest_width(&engine->generation.manifest)};
}

/* A graph is searched where it lies; its mapping stays. */
static hem_status load_graph(hem_engine *engine, const hem__generation_category *from, hem__loaded *c, hem_error *err) {
  hem_status status = hem__generation_map(&engine->generation, &from->index, &c->index_map, err);
  if (status) return status;
  hem__graph_source source = {.bytes = c->index_map.at,
                              .size = c->index_map.size,
                              .name = from->index.name,
                              .distance = hem__index_distance(from, engine->generation.manifest.distance),
                              .vectors = vectors_of(engine, from, c),
                              .ef_search = from->ef_search};
  status = hem__graph_read(&source, &c->graph, err);
  if (!status) hem__map_cut(&c->index_map, c->graph.used);
  return status;
}

static hem_status load_index(hem_engine *engine, const hem__generation_category *from, hem__loaded *c, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  hem__map map = {0};
  hem_status status = hem__generation_map(&engine->generation, &from->index, &map, err);
  if (!status)
    status = hem__faiss_read(map.at, map.size, from->index.name, m->distance, from->photos, hem__manifest_width(m),
                             &c->index, err);
  if (!status && from->nprobe) status = hem__faiss_set(c->index, "nprobe", from->nprobe, err);
  hem__map_close(&map);
  return status;
}

static hem_status load_category(hem_engine *engine, size_t number, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  const hem__generation_category *from = &m->categories[number];
  hem__loaded *c = &engine->categories[number];
  hem_status status = hem__generation_map(&engine->generation, &from->vectors, &c->vectors_map, err);
  bool is_graph = strstr(from->factory, "HNSW") != NULL;
  if (!status && from->index.name)
    status = is_graph ? load_graph(engine, from, c, err) : load_index(engine, from, c, err);
  if (!status && from->points.name)
    status = hem__generation_map(&engine->generation, &from->points, &c->points_map, err);
  c->shared = (hem__category){
      .name = from->name,
      .kind = from->kind,
      .distance = m->distance,
      .first = from->first,
      .vectors = vectors_of(engine, from, c),
      .graph = c->index_map.at ? &c->graph : NULL,
      .index = c->index,
      .refine = from->refine,
      .points = c->points_map.at,
      .calibration = engine->learned.metric ? hem__metric_calibration(engine->learned.metric, from->name) : NULL,
      .rerank = from->rerank};
  c->loaded = !status;
  return status;
}

static hem_status no_category(const hem__manifest *m, const char *name, hem_error *err) {
  char list[256] = "";
  for (size_t i = 0, at = 0; i < m->category_count && at < sizeof list; i++)
    at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", m->categories[i].name);
  return hem__fail(err, HEM_ENOTFOUND, "there is no category '%s'; there are: %s", name, list);
}

hem_status hem__engine_find(const hem_engine *engine, const char *name, size_t *number, hem_error *err) {
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
    status = hem__engine_find(engine, o->categories[i], &number, err);
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
  return status ? status : hem__lookup_new(&engine->gallery, &engine->lookup, err);
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

static hem_status load_all(hem_engine *engine, const hem_engine_options *o, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  hem_status status = load_gallery(engine, err);
  if (!status && hem__manifest_learned(m)) status = hem__learned_open(&engine->generation, &engine->learned, err);
  if (!status && engine->learned.metric && engine->learned.metric->dim != m->dim)
    status = hem__fail(err, HEM_ECORRUPT, "%s takes %zu values and the manifest says %zu", m->metric.file.name,
                       engine->learned.metric->dim, m->dim);
  return status ? status : load_categories(engine, o, err);
}

hem_status hem__engine_open(hem__generation *take, const hem_engine_options *options, hem_engine **out,
                            hem_error *err) {
  hem_engine_options o;
  hem_engine *engine = NULL;
  hem_status status = hem__options_copy(&o, sizeof o, options, "hem_engine_options", err);
  if (!status && o.category_count && !o.categories)
    status = hem__fail(err, HEM_EINVAL, "hem_engine_open: name categories or none");
  if (!status) status = check_processor(err);
  if (!status) status = hem__alloc(1, sizeof *engine, "an engine", &engine, err);
  if (status) {
    hem__generation_close(take);
    return status;
  }
  engine->generation = *take;
  *take = (hem__generation){0};
  status = load_all(engine, &o, err);
  if (status) {
    hem_engine_close(engine);
  } else {
    *out = engine;
  }
  return status;
}

hem_status hem_engine_open(const char *store, const hem_engine_options *options, hem_engine **out, hem_error *err) {
  hem__generation generation = {0};
  if (!store) return hem__fail(err, HEM_EINVAL, "hem_engine_open: name a store");
  hem_status status = hem__generation_open(store, &generation, err);
  return status ? status : hem__engine_open(&generation, options, out, err);
}

void hem_engine_close(hem_engine *engine) {
  if (!engine) return;
  for (size_t i = 0; i < engine->category_count; i++) {
    hem__faiss_free(engine->categories[i].index);
    hem__map_close(&engine->categories[i].vectors_map);
    hem__graph_clear(&engine->categories[i].graph);
    hem__map_close(&engine->categories[i].index_map);
    hem__map_close(&engine->categories[i].points_map);
  }
  free(engine->categories);
  hem__learned_close(&engine->learned);
  hem__lookup_clear(&engine->lookup);
  hem__map_close(&engine->gallery_map);
  hem__generation_close(&engine->generation);
  free(engine);
}

hem_status hem__engine_set_depth(hem_engine *engine, size_t category, const hem__depth *d, hem_error *err) {
  const hem__generation_category *from = &engine->generation.manifest.categories[category];
  hem__loaded *c = &engine->categories[category];
  uint32_t nprobe = d->nprobe ? d->nprobe : from->nprobe;
  c->graph.ef_search = d->ef_search ? d->ef_search : from->ef_search;
  if (from->refine) c->shared.refine = d->refine ? d->refine : from->refine;
  if (from->rerank) c->shared.rerank = d->rerank ? d->rerank : from->rerank;
  return c->index && nprobe ? hem__faiss_set(c->index, "nprobe", nprobe, err) : HEM_OK;
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
  const hem__learned *l = &engine->learned;
  *info = (hem_engine_info){.generation = engine->generation.name,
                            .space = m->space,
                            .space_hash = m->space_hash,
                            .features = m->features,
                            .catalog = m->catalog,
                            .dim = m->dim,
                            .distance = m->distance,
                            .photos = engine->gallery.photos,
                            .items = engine->gallery.items,
                            .category_count = m->category_count,
                            .metric = l->metric != NULL,
                            .metric_about = l->metric && l->metric->about ? l->metric->about : "",
                            .kernel = l->scorer ? hem__scorer_kernel(l->scorer) : "",
                            .false_accept = l->metric ? l->metric->false_accept : 0,
                            .certificate = m->metric.certificate};
}

size_t hem__engine_category_of(const hem_engine *engine, size_t photo) {
  const hem__manifest *m = &engine->generation.manifest;
  size_t first = 0, last = m->category_count - 1;
  while (first < last) {
    size_t middle = last - (last - first) / 2;
    if (m->categories[middle].first <= photo) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  return first;
}

hem_status hem_engine_item(const hem_engine *engine, const char *item_id, hem_item *item, hem_error *err) {
  if (!engine || !item_id || !item)
    return hem__fail(err, HEM_EINVAL, "hem_engine_item: engine, item_id and item must not be NULL");
  size_t number = hem__lookup_item(&engine->gallery, item_id);
  if (number == SIZE_MAX) return hem__fail(err, HEM_ENOTFOUND, "there is no item '%s'", item_id);
  *item = (hem_item){.item_id = engine->gallery.text + engine->gallery.item_id[number],
                     .number = number,
                     .photo_count = hem__lookup_count(&engine->lookup, number)};
  return HEM_OK;
}

void hem_engine_item_photo(const hem_engine *engine, const hem_item *item, size_t i, hem_photo *photo) {
  const hem__gallery *g = &engine->gallery;
  size_t at = engine->lookup.photos[engine->lookup.first[item->number] + i],
         category = hem__engine_category_of(engine, at);
  *photo = (hem_photo){.category = engine->generation.manifest.categories[category].name,
                       .path = g->text + g->path[at],
                       .label = g->text + g->label[at],
                       .row = g->row[at],
                       .loaded = engine->categories[category].loaded};
}

void hem_engine_category(const hem_engine *engine, size_t i, const char **name, const char **kind, uint64_t *photos) {
  const hem__generation_category *c = &engine->generation.manifest.categories[i];
  if (name) *name = c->name;
  if (kind) *kind = c->kind;
  if (photos) *photos = c->photos;
}
