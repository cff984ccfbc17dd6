/* MAIN PATH of `hemline index`: catalogue -> an index for each category -> a generation. With a Siamese metric:
 * catalogue
 * -> points (learned.c) -> an index for each category -> tried out (query/certificate.c) -> a generation.
 *
 * The gallery is the catalogue's shop photos (all photos where no photo is marked consumer, which is the same).
 * Categories are built side by side, largest first, each by one thread and in row order: FAISS then makes the same
 * bytes every time. Nothing is visible to readers until the whole generation is on disk (generation.h). */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/threads.h"
#include "index/build.h"
#include "index/faiss_index.h"
#include "index/gallery.h"
#include "index/graph.h"

enum {
  FLAT_BELOW = 1000,        /* photos: below, scanning is exact and as fast as any index */
  POINTS_PER_CENTROID = 39, /* FAISS's minimum for training a k-means of nlist centroids */
  EF_SEARCH = 64,
  AXES = 128,
  KEEP = 2
};

/* Lists visited by default, in square roots of nlist: recall@10 of 0.99 and more in every category of
 * Fashion-MNIST, from 6,000 photos (153 lists) to 24,000 (615). */
static const double NPROBE_ROOTS = 1.6;

/* Of the vectors' spread, that a projection must keep to be the default. Fashion-MNIST's pixels keep 0.92 to 0.97 in
 * 128 dimensions, its white-box features 0.84 to 0.95, and recall@10 is 0.98 and more; noise of 300 dimensions keeps
 * 0.6, and recall is 0.94. */
static const double KEPT_LEAST = 0.8;

typedef struct build {
  hem_index_options options;
  const struct kind *kind; /* for all categories that are not too small */
  hem__learning learning;
  hem__catalog *catalog;
  size_t space;
  uint64_t *order; /* catalogue rows in gallery order */
  size_t photos;
  hem__manifest manifest;
  hem__publication publication;
  uint32_t *largest_first; /* categories */
  const char *stage;       /* for the caller's progress */
  void (*body)(void *context, size_t i, size_t worker);
  bool named;         /* indices are named after their kind: there will be others beside them */
  hem_error *errors;  /* one for each category */
  atomic_size_t done; /* photos indexed so far, in all categories */
  atomic_bool stop;
} build;

/* ---- kinds of index ---- */

typedef enum coding { PLAIN, SQ8, PQ, PCA } coding;
static const uint32_t refines[] = {[SQ8] = 4, [PQ] = 16, [PCA] = 8};

static const struct kind {
  const char *name;
  enum { FLAT, HNSW, IVF } family;
  coding coding;
} kinds[] = {{"flat", FLAT, PLAIN}, {"hnsw", HNSW, PLAIN}, {"hnsw-sq8", HNSW, SQ8}, {"hnsw-pca", HNSW, PCA},
             {"ivf", IVF, PLAIN},   {"ivf-sq8", IVF, SQ8}, {"ivf-pq", IVF, PQ}};

static hem_status find_kind(const char *name, hem_distance distance, const struct kind **out, hem_error *err) {
  const struct kind *k = kinds, *end = kinds + sizeof kinds / sizeof *kinds;
  while (k < end && strcmp(k->name, name) != 0) k++;
  if (k == end)
    return hem__fail(err, HEM_EINVAL,
                     "no index kind '%s': there are flat, hnsw, hnsw-sq8, hnsw-pca, ivf, ivf-sq8 and ivf-pq", name);
  if (distance == HEM_IP && k->coding == PCA)
    return hem__fail(err, HEM_EUNSUPPORTED, "a projection does not keep inner products: use another kind than '%s'",
                     name);
  if (distance == HEM_L1 && !(k->family == FLAT || (k->family == HNSW && k->coding == PLAIN)))
    return hem__fail(err, HEM_EUNSUPPORTED, "there is no '%s' index for l1: use --kind flat or hnsw", name);
  *out = k;
  return HEM_OK;
}

/* A projection pays where it leaves at most half of the dimensions. */
static const char *default_kind(hem_distance distance, size_t width) {
  return (distance == HEM_L2 || distance == HEM_COSINE) && width >= (size_t)2 * AXES ? "hnsw-pca" : "hnsw";
}

/* What a manifest can hold and FAISS can do. nlist and nprobe are cut to what the category has instead. */
static hem_status check_settings(const hem_index_options *o, hem_error *err) {
  const struct {
    const char *name;
    uint32_t value, most;
  } settings[] = {{"ef_search", o->ef_search, 1000000},
                  {"ef_construction", o->ef_construction, 1000000},
                  {"links", o->links, 1024},
                  {"refine", o->refine, 10000}};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (settings[i].value > settings[i].most)
      return hem__fail(err, HEM_EINVAL, "%s is %u; it can be at most %u", settings[i].name, settings[i].value,
                       settings[i].most);
  /* Levels thin out by this factor: with one, FAISS never comes to an end of them. */
  if (o->links == 1) return hem__fail(err, HEM_EINVAL, "links is 1; a graph needs at least 2");
  return HEM_OK;
}

static uint32_t choose_nlist(const hem_index_options *o, size_t photos) {
  size_t wanted = o->nlist ? o->nlist : (size_t)(4 * sqrt((double)photos));
  return (uint32_t)hem__max(hem__min(wanted, photos / POINTS_PER_CENTROID), 1);
}

/* Of a projection. */
static size_t choose_axes(const hem_index_options *o, size_t dim) { return hem__min(o->axes ? o->axes : AXES, dim); }

/* Fast-scan PQ: 4 bits for every 4 dimensions, behind zero-padding where the dimension is not a multiple of 4. */
static void name_pq(char *out, size_t room, uint32_t nlist, size_t dim) {
  size_t padded = (dim + 3) / 4 * 4;
  char pad[32] = "";
  if (padded != dim) snprintf(pad, sizeof pad, "Pad%zu,", padded);
  snprintf(out, room, "%sIVF%u,PQ%zux4fs", pad, nlist, padded / 4);
}

/* Fills in the category's FAISS name and settings. */
static hem_status plan(const build *b, const struct kind *k, hem__generation_category *c, hem_error *err) {
  const hem_index_options *o = &b->options;
  char factory[64] = "";
  if (c->photos < FLAT_BELOW) k = &kinds[0];
  if (k->family == HNSW) {
    uint32_t links = o->links ? o->links : 32;
    if (k->coding == PCA) {
      snprintf(factory, sizeof factory, "PCA%zu,HNSW%u_SQ8", choose_axes(o, hem__manifest_width(&b->manifest)), links);
    } else {
      snprintf(factory, sizeof factory, "HNSW%u%s", links, k->coding == SQ8 ? "_SQ8" : "");
    }
    c->ef_search = o->ef_search ? o->ef_search : EF_SEARCH;
  } else if (k->family == IVF) {
    uint32_t nlist = choose_nlist(o, c->photos);
    if (k->coding == PQ) {
      name_pq(factory, sizeof factory, nlist, hem__manifest_width(&b->manifest));
    } else {
      snprintf(factory, sizeof factory, "IVF%u,%s", nlist, k->coding == SQ8 ? "SQ8" : "Flat");
    }
    c->nprobe = (uint32_t)hem__min(o->nprobe ? o->nprobe : (size_t)ceil(NPROBE_ROOTS * sqrt(nlist)), nlist);
  }
  /* What a metric scores anyway needs no more than its own distance. */
  if (k->coding != PLAIN) c->refine = o->refine ? o->refine : b->learning.metric ? 1 : refines[k->coding];
  hem_status status = hem__strdup(k->name, &c->kind, err);
  return status ? status : hem__strdup(factory, &c->factory, err);
}

/* ---- the gallery: which photo goes where ---- */

static int by_category_name(const void *a, const void *b) {
  return strcmp(((const hem__generation_category *)a)->name, ((const hem__generation_category *)b)->name);
}

/* Names the categories of all shop photos, sorted, and counts their photos. */
static hem_status list_categories(build *b, const hem__photos *photos, hem_error *err) {
  hem__set names = {0};
  hem__manifest *m = &b->manifest;
  size_t capacity = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < photos->count && !status; i++) {
    const hem__photo *photo = &photos->at[i];
    size_t number;
    if (photo->domain != HEM__SHOP) continue;
    status = hem__set_add(&names, photo->category, &number, err);
    if (!status && number == m->category_count) {
      status = hem__grow(&m->categories, &capacity, number + 1, sizeof *m->categories, "categories", err);
      if (status) break;
      m->categories[number] = (hem__generation_category){0};
      status = hem__strdup(photo->category, &m->categories[number].name, err);
      if (!status) m->category_count++;
    }
    if (!status) m->categories[number].photos++;
  }
  hem__set_clear(&names);
  if (!status && m->category_count == 0)
    status = hem__fail(err, HEM_ENOTFOUND, "%s has no shop photos to search among", b->options.catalog);
  if (m->category_count) qsort(m->categories, m->category_count, sizeof *m->categories, by_category_name);
  return status;
}

static hem_status order_photos(build *b, const hem__photos *photos, hem_error *err) {
  hem__set names = {0};
  hem__manifest *m = &b->manifest;
  size_t *next = NULL;
  hem_status status = hem__alloc(m->category_count, sizeof *next, "categories", &next, err);
  for (size_t c = 0; c < m->category_count && !status; c++) {
    next[c] = m->categories[c].first = b->photos;
    b->photos += m->categories[c].photos;
    status = hem__set_add(&names, m->categories[c].name, NULL, err);
  }
  if (!status) status = hem__alloc(b->photos, sizeof *b->order, "a gallery", &b->order, err);
  for (size_t i = 0; i < photos->count && !status; i++)
    if (photos->at[i].domain == HEM__SHOP) b->order[next[hem__set_find(&names, photos->at[i].category)]++] = i;
  hem__set_clear(&names);
  free(next);
  return status;
}

/* ---- building one category ---- */

static hem__listed_rows rows_of(const build *b, const hem__generation_category *c) {
  return (hem__listed_rows){.catalog = b->options.catalog,
                            .all = hem__catalog_matrix(b->catalog, b->space),
                            .order = b->order + c->first,
                            .count = c->photos};
}

/* The embeddings, normalised for cosine. */
static hem_status copy_vectors(const build *b, const hem__listed_rows *rows, float *out, hem_error *err) {
  size_t dim = rows->all.dim;
  for (size_t i = 0; i < rows->count; i++) {
    const float *from = hem__row(rows->all, rows->order[i]);
    float *to = out + i * dim;
    if (!hem__all_finite(from, dim))
      return hem__fail(err, HEM_ECORRUPT, "row %llu of %s holds a value that is not a number, or is beyond 1e15",
                       (unsigned long long)rows->order[i], rows->catalog);
    if (b->options.distance == HEM_COSINE) {
      hem__normalise(from, dim, to);
    } else {
      memcpy(to, from, dim * sizeof *to);
    }
  }
  return HEM_OK;
}

/* What FAISS gets of a category, in gallery order. */
static hem_status make_vectors(const build *b, const hem__generation_category *c, float **out, hem_error *err) {
  hem__listed_rows rows = rows_of(b, c);
  size_t values;
  if (!hem__mul(c->photos, hem__manifest_width(&b->manifest), &values))
    return hem__fail(err, HEM_ENOMEM, "category '%s' is too large", c->name);
  hem_status status = hem__alloc(values, sizeof(float), "vectors", out, err);
  if (status) return status;
  return b->learning.metric ? hem__learning_scaled(&b->learning, &rows, *out, err) : copy_vectors(b, &rows, *out, err);
}

static hem_status write_bytes(hem__aside *file, hem__matrix vectors, float divisor, hem_error *err) {
  enum { STEP = 1 << 16 };
  static _Thread_local uint8_t bytes[STEP];
  size_t count = vectors.rows * vectors.dim;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < count && !status; i += STEP) {
    size_t some = hem__min(STEP, count - i);
    hem__to_bytes(vectors.at + i, some, divisor, bytes);
    status = hem__aside_write(file, bytes, some, err);
  }
  return status;
}

static hem_status write_vectors(const build *b, size_t number, hem__matrix vectors, hem_error *err) {
  hem__generation_category *c = &b->manifest.categories[number];
  float divisor = hem__divisor_of(vectors.at, vectors.rows * vectors.dim);
  char name[32];
  hem__aside *file = NULL;
  c->divisor = (uint32_t)divisor;
  snprintf(name, sizeof name, "c%04zu.%s", number, c->divisor ? "bytes" : "f32");
  hem_status status = hem__publication_file(&b->publication, name, &file, err);
  if (!status && c->divisor) status = write_bytes(file, vectors, divisor, err);
  if (!status && !c->divisor)
    status = hem__aside_write(file, vectors.at, vectors.rows * vectors.dim * sizeof(float), err);
  if (!status) status = hem__publication_finish_file(file, name, &c->vectors, err);
  hem__aside_free(file);
  return status;
}

static hem_status write_index(build *b, size_t number, hem__matrix vectors, hem_error *err) {
  hem__generation_category *c = &b->manifest.categories[number];
  char name[48];
  hem__aside *file = NULL;
  hem__faiss *index = NULL;
  snprintf(name, sizeof name, "c%04zu%s%s.faiss", number, b->named ? "." : "", b->named ? c->kind : "");
  hem__faiss_recipe recipe = {.factory = c->factory,
                              .distance = hem__index_distance(c, b->options.distance),
                              .ef_construction = c->ef_search ? b->options.ef_construction : 0,
                              .added = &b->done,
                              .stop = &b->stop};
  hem_status status = hem__faiss_build(&recipe, vectors, &index, err);
  if (!status) status = hem__publication_file(&b->publication, name, &file, err);
  if (!status) status = hem__faiss_write(index, file, err);
  if (!status) status = hem__publication_finish_file(file, name, &c->index, err);
  hem__aside_free(file);
  hem__faiss_free(index);
  return status;
}

/* Where the default is a projection that leaves too much out, a plain graph is built instead: all dimensions tell about
 * as much, or the values are so large that what tells vectors apart is lost in rounding. */
static hem_status check_projection(build *b, size_t number, hem__matrix vectors, hem_error *err) {
  hem__generation_category *c = &b->manifest.categories[number];
  hem__generation in = {.folder = b->publication.folder};
  hem__map map = {0};
  hem__graph graph = {0};
  double kept = 1;
  hem_status status = hem__generation_map(&in, &c->index, &map, err);
  hem__graph_source source = {.bytes = map.at,
                              .size = map.size,
                              .name = c->index.name,
                              .distance = hem__index_distance(c, b->options.distance),
                              .vectors = hem__floats(vectors)};
  if (!status) status = hem__graph_read(&source, &graph, err);
  if (!status) status = hem__graph_kept(&graph, &kept, err);
  hem__graph_clear(&graph);
  hem__map_close(&map);
  if (status || kept >= KEPT_LEAST) return status;
  const struct kind *plain = NULL;
  status = find_kind("hnsw", b->options.distance, &plain, err);
  if (!status) status = hem__publication_remove(&b->publication, &c->index, err);
  if (status) return status;
  free(c->kind);
  free(c->factory);
  c->kind = c->factory = NULL;
  c->refine = 0;
  atomic_fetch_sub(&b->done, c->photos);
  status = plan(b, plain, c, err);
  return status ? status : write_index(b, number, vectors, err);
}

static hem_status write_points(build *b, size_t number, hem_error *err) {
  hem__generation_category *c = &b->manifest.categories[number];
  hem__listed_rows rows = rows_of(b, c);
  c->rerank = (uint32_t)hem__min(b->options.rerank ? b->options.rerank : c->photos, c->photos);
  return hem__learning_write_points(&b->learning, &b->publication, number, &rows, &c->points, err);
}

static void build_category(void *context, size_t i, size_t worker) {
  build *b = context;
  size_t number = b->largest_first[i];
  hem__generation_category *c = &b->manifest.categories[number];
  hem_error *err = &b->errors[number];
  float *values = NULL;
  (void)worker;
  hem_status status = make_vectors(b, c, &values, err);
  hem__matrix vectors = {.at = values, .rows = c->photos, .dim = hem__manifest_width(&b->manifest)};
  if (!status) status = write_vectors(b, number, vectors, err);
  if (!status && *c->factory) {
    status = write_index(b, number, vectors, err);
    if (!status && !b->options.kind && b->kind->coding == PCA) status = check_projection(b, number, vectors, err);
  } else {
    atomic_fetch_add(&b->done, c->photos);
  }
  free(values);
  if (!status && b->learning.metric) status = write_points(b, number, err);
  err->code = status;
}

/* Another index over vectors that are written already. */
static void index_category(void *context, size_t i, size_t worker) {
  build *b = context;
  size_t number = b->largest_first[i];
  hem__generation_category *c = &b->manifest.categories[number];
  hem_error *err = &b->errors[number];
  float *values = NULL;
  hem_status status = HEM_OK;
  (void)worker;
  if (*c->factory) {
    status = make_vectors(b, c, &values, err);
    hem__matrix vectors = {.at = values, .rows = c->photos, .dim = hem__manifest_width(&b->manifest)};
    if (!status) status = write_index(b, number, vectors, err);
    free(values);
  } else {
    atomic_fetch_add(&b->done, c->photos);
  }
  err->code = status;
}

/* ---- the run ---- */

/* What can be refused before anything is locked or made. */
static hem_status check_options(build *b, hem_error *err) {
  const hem_index_options *o = &b->options;
  if (!o->catalog || !o->store) return hem__fail(err, HEM_EINVAL, "name a catalogue and a store");
  if ((size_t)o->distance > HEM_IP)
    return hem__fail(err, HEM_EINVAL, "no distance has the number %d", (int)o->distance);
  if (!hem__is_utf8(o->catalog)) return hem__fail(err, HEM_EINVAL, "the catalogue's path is not UTF-8: rename it");
  hem__map file = {0};
  hem_status status = hem__learning_open(o, &b->learning, err);
  if (status) return status;
  if (b->learning.metric) b->options.distance = b->learning.metric->candidate_distance;
  if (o->kind) status = find_kind(o->kind, b->options.distance, &b->kind, err);
  if (!status && !(o->target_recall >= 0 && o->target_recall <= 1))
    status = hem__fail(err, HEM_EINVAL, "target_recall is %g; it lies between 0 and 1", o->target_recall);
  if (hem__index_tunes(o)) b->kind = &kinds[0]; /* the others are tried beside it */
  if (!status) status = check_settings(o, err);
  if (!status) status = hem__map_open(o->catalog, &file, err);
  if (status == HEM_ECORRUPT)
    status = hem__fail(err, HEM_EINVAL, "%s is no file: name the catalogue that 'hemline ingest' made", o->catalog);
  hem__map_close(&file);
  return status;
}

static hem_status open_catalog(build *b, hem_error *err) {
  const hem_index_options *o = &b->options;
  hem_status status = hem__catalog_open(o->catalog, &b->catalog, err);
  if (!status) status = hem__catalog_find_space(b->catalog, o->space, &b->space, err);
  if (!status && b->learning.metric)
    status = hem__learning_check(&b->learning, hem__catalog_space(b->catalog, b->space), err);
  if (!status) status = hem__catalog_check(b->catalog, b->space, 0, hem__catalog_photos(b->catalog)->count, err);
  return status;
}

static hem_status describe(build *b, hem_error *err) {
  const hem__space *space = hem__catalog_space(b->catalog, b->space);
  hem__manifest *m = &b->manifest;
  m->dim = space->dim;
  m->distance = b->options.distance;
  m->catalog_identity = hem__catalog_identity(b->catalog);
  hem_status status = hem__strdup(b->options.catalog, &m->catalog, err);
  if (!status) status = hem__strdup(space->name, &m->space, err);
  if (!status) status = hem__strdup(space->hash, &m->space_hash, err);
  if (!status) status = hem__strdup(space->features, &m->features, err);
  return status;
}

/* From here on the manifest knows the width of points. */
static hem_status write_metric(build *b, hem_error *err) {
  hem__listed_rows gallery = {.catalog = b->options.catalog,
                              .all = hem__catalog_matrix(b->catalog, b->space),
                              .order = b->order,
                              .count = b->photos};
  hem_status status = hem__learning_fit(&b->learning, &gallery, err);
  return status ? status : hem__learning_write(&b->learning, &b->publication, &b->manifest.metric, err);
}

static hem_status plan_all(build *b, hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(b->catalog);
  hem__manifest *m = &b->manifest;
  hem_status status = describe(b, err);
  if (!status) status = list_categories(b, photos, err);
  if (!status) status = order_photos(b, photos, err);
  if (!status && b->learning.metric) status = write_metric(b, err);
  if (!status && !b->kind)
    status = find_kind(default_kind(m->distance, hem__manifest_width(m)), m->distance, &b->kind, err);
  for (size_t c = 0; c < m->category_count && !status; c++) status = plan(b, b->kind, &m->categories[c], err);
  if (!status) status = hem__alloc(m->category_count, sizeof *b->errors, "categories", &b->errors, err);
  if (!status) status = hem__alloc(m->category_count, sizeof *b->largest_first, "categories", &b->largest_first, err);
  return status;
}

static int larger_first(const void *a, const void *b, void *context) {
  const hem__generation_category *c = context, *x = &c[*(const uint32_t *)a], *y = &c[*(const uint32_t *)b];
  if (x->photos != y->photos) return x->photos < y->photos ? 1 : -1;
  return (x > y) - (x < y);
}

/* The loop over categories runs beside the caller's thread, which watches and reports. */
typedef struct loop {
  build *b;
  hem_error error;
} loop;

static void *run_loop(void *context) {
  loop *l = context;
  l->error.code = hem__parallel_for(l->b->manifest.category_count, l->b->options.threads, l->b->body, l->b, &l->error);
  return NULL;
}

static hem_status watch(build *b, pthread_t thread, hem_error *err) {
  enum { EVERY_NS = 200000000 };
  hem_status status = HEM_OK;
  struct timespec until;
  do {
    hem_status asked =
        hem__progress_report(&b->options.progress, b->stage, atomic_load(&b->done), b->photos, "photos", err);
    if (asked) atomic_store(&b->stop, true);
    if (!status) status = asked;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += EVERY_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
  } while (pthread_timedjoin_np(thread, NULL, &until) != 0);
  if (status) return status;
  return hem__progress_report(&b->options.progress, b->stage, atomic_load(&b->done), b->photos, "photos", err);
}

/* Largest first keeps the cores busy to the end. */
static hem_status build_all(build *b, hem_error *err) {
  hem__manifest *m = &b->manifest;
  loop l = {.b = b};
  pthread_t thread;
  for (size_t i = 0; i < m->category_count; i++) b->largest_first[i] = (uint32_t)i;
  qsort_r(b->largest_first, m->category_count, sizeof *b->largest_first, larger_first, m->categories);
  if (pthread_create(&thread, NULL, run_loop, &l) != 0) return hem__fail(err, HEM_ENOMEM, "cannot start a thread");
  hem_status status = watch(b, thread, err);
  if (!status && l.error.code) status = hem__fail(err, l.error.code, "%s", l.error.message);
  for (size_t c = 0; c < m->category_count && !status; c++)
    if (b->errors[c].code)
      status = hem__fail(err, b->errors[c].code, "category '%s': %.400s", m->categories[c].name, b->errors[c].message);
  return status;
}

static hem_status write_gallery(build *b, hem_error *err) {
  hem__aside *file = NULL;
  hem_status status = hem__publication_file(&b->publication, "gallery.bin", &file, err);
  if (!status) status = hem__gallery_write(file, hem__catalog_photos(b->catalog), b->order, b->photos, err);
  if (!status) status = hem__publication_finish_file(file, "gallery.bin", &b->manifest.gallery, err);
  hem__aside_free(file);
  return status;
}

static hem_status use_halves(void *context, hem_error *err) {
  build *b = context;
  hem_status status = HEM_OK;
  b->learning.precision = b->manifest.metric.precision = HEM__F16;
  for (size_t c = 0; c < b->manifest.category_count && !status; c++) {
    status = hem__publication_remove(&b->publication, &b->manifest.categories[c].points, err);
    if (!status) status = write_points(b, c, err);
  }
  return status;
}

static hem_status build_kind(void *context, const char *name, hem_error *err) {
  build *b = context;
  hem_status status = find_kind(name, b->options.distance, &b->kind, err);
  for (size_t i = 0; i < b->manifest.category_count && !status; i++) {
    hem__generation_category *c = &b->manifest.categories[i];
    c->kind = c->factory = NULL;
    c->index = (hem__generation_file){0};
    c->ef_search = c->nprobe = c->refine = 0;
    status = plan(b, b->kind, c, err);
  }
  if (status) return status;
  atomic_store(&b->done, 0);
  b->stage = b->kind->name;
  b->body = index_category;
  b->named = true;
  return build_all(b, err);
}

static hem_status try_generation(build *b, hem__try *try_out, hem_error *err) {
  hem__trial trial = {.options = &b->options,
                      .catalog = b->catalog,
                      .space = b->space,
                      .metric = b->learning.metric,
                      .folder = b->publication.folder,
                      .publication = &b->publication,
                      .manifest = &b->manifest,
                      .use_halves = use_halves,
                      .build_kind = build_kind,
                      .context = b};
  return try_out(&trial, err);
}

hem_status hem__index(const hem_index_options *options, hem__try *try_out, hem_error *err) {
  build b = {.publication = {.lock = {.fd = -1}}, .stage = "index", .body = build_category};
  hem_status status = hem__options_copy(&b.options, sizeof b.options, options, "hem_index_options", err);
  if (!status) status = check_options(&b, err);
  /* Locked first: what is read from here on is not older than what the store holds. */
  if (!status) status = hem__publication_open(b.options.store, &b.publication, err);
  if (!status) status = open_catalog(&b, err);
  if (!status) status = plan_all(&b, err);
  if (!status) status = write_gallery(&b, err);
  if (!status) status = build_all(&b, err);
  if (!status && (b.learning.metric || hem__index_tunes(&b.options))) status = try_generation(&b, try_out, err);
  if (!status)
    status = hem__publication_finish(&b.publication, &b.manifest, b.options.keep ? b.options.keep : KEEP, err);
  hem__publication_close(&b.publication);
  hem__manifest_clear(&b.manifest);
  hem__catalog_close(b.catalog);
  hem__learning_close(&b.learning);
  free(b.largest_first);
  free(b.errors);
  free(b.order);
  return status;
}
