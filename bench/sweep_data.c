/* A store's or a catalogue's category becomes a catalogue of its own, gallery first, then queries; an ann-benchmarks
 * file is ingested, which gives the same. From there on all data are alike: Hemline's indices are built from that
 * catalogue, and peers are given its mapped rows. */
#include "bench/sweep_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/threads.h"
#include "index/flat.h"
#include "index/generation.h"
#include "ingest/benchmark.h"
#include "ingest/vectors.h"

enum { K_DEFAULT = 10, QUERIES_DEFAULT = 1000, CHECKED = 4, HELD_OUT = 10 };
/* What a float32 sum may be off by; a query's own copy is at distance zero, or nearly. */
static const double RELATIVE = 1e-5, ABSOLUTE = 1e-6;

/* ---- which rows ---- */

/* What is asked of a source catalogue. */
typedef struct selection {
  const char *category; /* borrowed */
  size_t *gallery, *queries;
  size_t gallery_count, query_count;
} selection;

static hem_status largest_category(const hem__photos *photos, const char **out, hem_error *err) {
  hem__set names = {0};
  size_t *counts = NULL, capacity = 0, best = 0, number = 0;
  hem_status status = HEM_OK;
  *out = NULL;
  for (size_t i = 0; i < photos->count && !status; i++) {
    if (photos->at[i].domain != HEM__SHOP) continue;
    status = hem__set_add(&names, photos->at[i].category, &number, err);
    size_t before = capacity;
    if (!status) status = hem__grow(&counts, &capacity, number + 1, sizeof *counts, "categories", err);
    if (status) break;
    for (size_t j = before; j < capacity; j++) counts[j] = 0;
    if (++counts[number] > best) {
      best = counts[number];
      *out = photos->at[i].category;
    }
  }
  hem__set_clear(&names);
  free(counts);
  if (!status && !*out) status = hem__fail(err, HEM_ENOTFOUND, "the catalogue has no shop photos to search among");
  return status;
}

/* Without customers' photos, some of the shop's are taken out of the gallery and asked with. */
static void hold_out(selection *s, size_t limit) {
  size_t wanted = hem__min(limit, s->gallery_count / HELD_OUT), kept = 0, all = s->gallery_count;
  for (size_t i = 0; i < all; i++) {
    bool out = s->query_count < wanted && i * wanted >= s->query_count * all;
    if (out)
      s->queries[s->query_count++] = s->gallery[i];
    else
      s->gallery[kept++] = s->gallery[i];
  }
  s->gallery_count = kept;
}

static hem_status select_rows(const hem__photos *photos, const char *category, size_t limit, selection *s,
                              hem_error *err) {
  hem_status status = HEM_OK;
  s->category = category;
  if (!category) status = largest_category(photos, &s->category, err);
  if (!status) status = hem__alloc(photos->count, sizeof *s->gallery, "rows", &s->gallery, err);
  if (!status) status = hem__alloc(photos->count, sizeof *s->queries, "rows", &s->queries, err);
  for (size_t i = 0; i < photos->count && !status; i++) {
    if (strcmp(photos->at[i].category, s->category) != 0) continue;
    if (photos->at[i].domain == HEM__SHOP)
      s->gallery[s->gallery_count++] = i;
    else
      s->queries[s->query_count++] = i;
  }
  if (status) return status;
  if (s->gallery_count == 0) return hem__fail(err, HEM_ENOTFOUND, "no shop photo is of category '%s'", s->category);
  if (s->query_count == 0) hold_out(s, limit);
  if (s->query_count == 0)
    return hem__fail(err, HEM_ENOTFOUND, "category '%s' has too few photos to ask with", s->category);
  return HEM_OK;
}

/* ---- a catalogue of the category alone ---- */

typedef struct copied {
  hem__photo *photos;
  float *vectors;
} copied;

static hem_status copy_rows(hem__catalog *from, size_t space, const size_t *rows, size_t count, copied *out,
                            hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(from);
  hem__matrix m = hem__catalog_matrix(from, space);
  size_t values;
  if (!hem__mul(count, m.dim, &values)) return hem__fail(err, HEM_ENOMEM, "the category is too large");
  hem_status status = hem__alloc(count, sizeof *out->photos, "photos", &out->photos, err);
  if (!status) status = hem__alloc(values, sizeof *out->vectors, "vectors", &out->vectors, err);
  for (size_t i = 0; i < count && !status; i++) {
    out->photos[i] = photos->at[rows[i]];
    memcpy(out->vectors + i * m.dim, hem__row(m, rows[i]), m.dim * sizeof(float));
  }
  return status;
}

static hem_status seal_selection(hem__catalog *from, size_t space, const selection *s, const char *path,
                                 hem_error *err) {
  static const hem__photos none;
  copied gallery = {0}, queries = {0};
  size_t dim = hem__catalog_matrix(from, space).dim;
  hem_status status = copy_rows(from, space, s->gallery, s->gallery_count, &gallery, err);
  if (!status) status = copy_rows(from, space, s->queries, s->query_count, &queries, err);
  /* Held out of the gallery, they are asked with like customers' photos. */
  for (size_t i = 0; i < s->query_count && !status; i++) queries.photos[i].domain = HEM__CONSUMER;
  if (!status) {
    hem__matrix all[2] = {{gallery.vectors, s->gallery_count, dim}, {queries.vectors, s->query_count, dim}};
    hem__catalog_part parts[2] = {{gallery.photos, s->gallery_count, &all[0]},
                                  {queries.photos, s->query_count, &all[1]}};
    hem__catalog_content content = {.spaces = hem__catalog_space(from, space),
                                    .space_count = 1,
                                    .parts = parts,
                                    .part_count = 2,
                                    .rejected = &none};
    status = hem__catalog_seal(path, &content, err);
  }
  free(gallery.photos);
  free(gallery.vectors);
  free(queries.photos);
  free(queries.vectors);
  return status;
}

/* ---- the three kinds of source ---- */

/* The work folder is of these data, or is empty. */
static hem_status claim(const hem__sweep_source *source, const char *what, hem_error *err) {
  char *path = NULL, *there = NULL;
  size_t size = 0;
  FILE *file = NULL;
  hem_status status = hem__print(&path, err, "%s/data.txt", source->work);
  if (status) return status;
  if (hem__path_exists(path)) {
    uint8_t *bytes = NULL;
    status = hem__file_read(path, &bytes, &size, err);
    there = (char *)bytes;
    if (!status && (size != strlen(what) || memcmp(there, what, size) != 0))
      status = hem__fail(err, HEM_EMISMATCH, "%s holds indices of other data than %s: name another folder",
                         source->work, source->path);
  } else {
    file = fopen(path, "w");
    bool fine = file && fputs(what, file) >= 0;
    if (file) fine = fclose(file) == 0 && fine;
    if (!fine) status = hem__fail_errno(err, "cannot write %s", path);
  }
  free(there);
  free(path);
  return status;
}

static hem_status from_catalog(const hem__sweep_source *source, const char *path, const char *space_name,
                               hem__sweep_data *out, hem_error *err) {
  hem__catalog *from = NULL;
  selection s = {0};
  char *what = NULL, hex[65];
  size_t space = 0;
  hem_status status = hem__catalog_open(path, &from, err);
  if (!status) status = hem__catalog_find_space(from, space_name, &space, err);
  if (!status) status = hem__catalog_check(from, space, 0, hem__catalog_photos(from)->count, err);
  if (!status) status = select_rows(hem__catalog_photos(from), source->category, source->query_limit, &s, err);
  if (!status) status = hem__strdup(s.category, &out->category, err);
  if (!status) {
    hem__digest identity = hem__catalog_identity(from);
    hem__digest_hex(&identity, hex);
    status = hem__print(&what, err, "catalogue %s, space %s, category %s, %zu queries\n", hex,
                        hem__catalog_space(from, space)->name, s.category, s.query_count);
  }
  if (!status) status = claim(source, what, err);
  if (!status) status = seal_selection(from, space, &s, out->catalog_path, err);
  free(what);
  free(s.gallery);
  free(s.queries);
  hem__catalog_close(from);
  return status;
}

static hem_status from_store(const hem__sweep_source *source, hem__sweep_data *out, hem_error *err) {
  hem__generation g = {0};
  hem_status status = hem__generation_open(source->path, &g, err);
  if (status) return status;
  out->distance = g.manifest.distance;
  if (hem__manifest_learned(&g.manifest))
    status = hem__print(&out->metric, err, "%s/%s", g.folder, g.manifest.metric.file.name);
  if (!status) status = from_catalog(source, g.manifest.catalog, g.manifest.space, out, err);
  hem__generation_close(&g);
  return status;
}

static hem_status from_benchmark(const hem__sweep_source *source, hem__sweep_data *out, hem_error *err) {
  struct stat st;
  char *what = NULL;
  bool has = false;
  hem_distance said = HEM_L2;
  hem_ingest_result result;
  hem_ingest_options o = {
      .size = sizeof o, .catalog = out->catalog_path, .vectors = source->path, .progress = source->progress};
  if (source->category) return hem__fail(err, HEM_EINVAL, "%s has no categories", source->path);
  if (stat(source->path, &st) != 0) return hem__fail_errno(err, "cannot open %s", source->path);
  hem_status status = hem__benchmark_distance(source->path, &said, &has, err);
  if (!status && has) out->distance = said;
  if (!status && has && source->distance >= 0 && (int)said != source->distance)
    status = hem__fail(err, HEM_EMISMATCH, "%s is for %s: leave --distance out", source->path, hem_distance_name(said));
  if (!status)
    status =
        hem__print(&what, err, "file of %lld bytes, %lld\n", (long long)st.st_size, (long long)hem__file_mtime_ns(&st));
  if (!status) status = claim(source, what, err);
  if (!status) status = hem_ingest(&o, &result, err);
  if (!status && result.rejected)
    status = hem__fail(err, HEM_ECORRUPT, "%s holds %llu vectors that are no numbers, or beyond 1e15", source->path,
                       (unsigned long long)result.rejected);
  if (!status) status = hem__strdup("all", &out->category, err);
  free(what);
  return status;
}

/* ---- gallery and queries ---- */

static hem_status normalised(hem__matrix from, float **copy, hem__matrix *out, hem_error *err) {
  size_t values;
  if (!hem__mul(from.rows, from.dim, &values)) return hem__fail(err, HEM_ENOMEM, "the gallery is too large");
  hem_status status = hem__alloc(values, sizeof **copy, "vectors", copy, err);
  for (size_t i = 0; i < from.rows && !status; i++) hem__normalise(hem__row(from, i), from.dim, *copy + i * from.dim);
  if (!status) *out = (hem__matrix){*copy, from.rows, from.dim};
  return status;
}

static hem_status check_finite(hem__matrix m, hem_error *err) {
  for (size_t i = 0; i < m.rows; i++)
    if (!hem__all_finite(hem__row(m, i), m.dim))
      return hem__fail(err, HEM_ECORRUPT, "row %zu holds a value that is not a number, or is beyond 1e15", i);
  return HEM_OK;
}

/* Queries are copied out: thinned, and warm in memory. */
static hem_status open_made(hem__sweep_data *d, size_t limit, size_t *first_query, size_t *all_queries,
                            hem_error *err) {
  hem_status status = hem__catalog_open(d->catalog_path, &d->catalog, err);
  if (status) return status;
  const hem__photos *photos = hem__catalog_photos(d->catalog);
  hem__matrix all = hem__catalog_matrix(d->catalog, 0);
  size_t gallery = 0, values;
  while (gallery < photos->count && photos->at[gallery].domain == HEM__SHOP) gallery++;
  size_t asked = photos->count - gallery, kept = hem__min(asked, limit);
  if (gallery == 0 || asked == 0) return hem__fail(err, HEM_ENOTFOUND, "there is nothing to ask, or to ask with");
  status = hem__catalog_check(d->catalog, 0, 0, photos->count, err);
  if (!status) status = check_finite(all, err);
  d->gallery = (hem__matrix){all.at, gallery, all.dim};
  if (!hem__mul(kept, all.dim, &values)) return hem__fail(err, HEM_ENOMEM, "%zu queries are too many", kept);
  if (!status) status = hem__alloc(values, sizeof(float), "queries", &d->query_copy, err);
  if (status) return status;
  for (size_t i = 0; i < kept; i++) {
    const float *from = hem__row(all, gallery + i * asked / kept);
    float *to = d->query_copy + i * all.dim;
    memcpy(to, from, all.dim * sizeof *to);
    if (d->distance == HEM_COSINE) hem__normalise(to, all.dim, to);
  }
  d->queries = (hem__matrix){d->query_copy, kept, all.dim};
  *first_query = gallery;
  *all_queries = asked;
  return d->distance == HEM_COSINE ? normalised(d->gallery, &d->gallery_copy, &d->gallery, err) : HEM_OK;
}

/* ---- the truth ---- */

typedef struct scan {
  const hem__sweep_data *data;
  size_t k;
  hem__near *found; /* queries x k */
} scan;

static void scan_one(void *context, size_t query, size_t worker) {
  const scan *s = context;
  (void)worker;
  hem__vectors gallery = hem__floats(s->data->gallery);
  hem__flat_search(s->data->distance, &gallery, hem__row(s->data->queries, query), s->k, s->found + query * s->k);
}

/* The k nearest of the first `count` queries; *out is freed with free(). k: no more than the gallery has. */
static hem_status scan_all(const hem__sweep_data *d, size_t count, size_t k, hem__near **out, hem_error *err) {
  scan s = {.data = d, .k = k};
  size_t all;
  if (!hem__mul(count, k, &all)) return hem__fail(err, HEM_ENOMEM, "%zu queries are too many", count);
  hem_status status = hem__alloc(all, sizeof *s.found, "the true answers", &s.found, err);
  if (!status) status = hem__parallel_for(count, 0, scan_one, &s, err);
  if (status)
    free(s.found);
  else
    *out = s.found;
  return status;
}

static double slack(double limit) { return limit + RELATIVE * fabs(limit) + ABSOLUTE; }

/* The k-th column of the file's distances, if it has so many. */
static hem_status read_limits(const char *path, hem__sweep_data *d, size_t all_queries, bool *read, hem_error *err) {
  hem__rows *rows = NULL;
  float *row = NULL;
  bool has = false;
  hem_status status = hem__rows_hdf5_has(path, "/distances", &has, err);
  *read = false;
  if (status || !has) return status;
  status = hem__rows_hdf5(path, "/distances", &rows, err);
  if (!status && (rows->count != all_queries || rows->dim < d->wanted)) goto exit; /* too few neighbours: found here */
  if (!status) status = hem__alloc(rows->dim, sizeof *row, "distances", &row, err);
  for (size_t i = 0; i < d->queries.rows && !status; i++) {
    status = rows->read(rows, i * all_queries / d->queries.rows, 1, row, err);
    if (!status && !isfinite(row[d->wanted - 1]))
      status = hem__fail(err, HEM_ECORRUPT, "%s: its distances hold what is no number", path);
    if (!status) d->limits[i] = row[d->wanted - 1];
  }
  *read = !status;
exit:
  if (rows) rows->close(rows);
  free(row);
  return status;
}

static hem_status find_truth(const hem__sweep_source *source, hem__sweep_data *d, size_t all_queries, bool benchmark,
                             hem_error *err) {
  hem__near *found = NULL;
  bool read = false;
  hem_status status = hem__alloc(d->queries.rows, sizeof *d->limits, "the true answers", &d->limits, err);
  if (!status && benchmark) status = read_limits(source->path, d, all_queries, &read, err);
  size_t count = read ? hem__min(CHECKED, d->queries.rows) : d->queries.rows;
  if (!status) status = hem__progress_report(&source->progress, "truth", 0, count, "queries", err);
  if (!status) status = scan_all(d, count, d->wanted, &found, err);
  for (size_t i = 0; i < count && !status; i++) {
    double limit = hem__key_distance(d->distance, found[(i + 1) * d->wanted - 1].key);
    bool far = read && (limit > (double)d->limits[i] + 1e-3 * fabs(limit) + 1e-3 ||
                        (double)d->limits[i] > limit + 1e-3 * fabs(limit) + 1e-3);
    if (far)
      status = hem__fail(err, HEM_EMISMATCH,
                         "%s: its distances are not those of its vectors by %s: query %zu has %g "
                         "there and %g here",
                         source->path, hem_distance_name(d->distance), i, (double)d->limits[i], limit);
    d->limits[i] = (float)limit;
  }
  if (!status) status = hem__progress_report(&source->progress, "truth", count, count, "queries", err);
  d->truth_given = read;
  free(found);
  return status;
}

static size_t once(const int64_t *rows, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (rows[j] == rows[i]) return 0;
  return 1;
}

double hem__sweep_recall(const hem__sweep_data *d, size_t query, const int64_t *rows) {
  const float *vector = hem__row(d->queries, query);
  size_t right = 0;
  for (size_t i = 0; i < d->k; i++) {
    float key;
    if (rows[i] < 0 || (uint64_t)rows[i] >= d->gallery.rows || !once(rows, i)) continue;
    hem__keys(d->distance, vector, hem__row(d->gallery, (size_t)rows[i]), 1, d->gallery.dim, &key);
    right += (double)hem__key_distance(d->distance, key) <= slack((double)d->limits[query]);
  }
  return (double)hem__min(right, d->wanted) / (double)d->wanted;
}

/* ---- the whole ---- */

void hem__sweep_data_clear(hem__sweep_data *d) {
  hem__catalog_close(d->catalog);
  free(d->catalog_path);
  free(d->category);
  free(d->name);
  free(d->metric);
  free(d->gallery_copy);
  free(d->query_copy);
  free(d->limits);
  *d = (hem__sweep_data){0};
}

static hem_status make(const hem__sweep_source *source, bool *benchmark, hem__sweep_data *d, hem_error *err) {
  struct stat st;
  const char *name = strrchr(source->path, '/');
  bool folder = stat(source->path, &st) == 0 && S_ISDIR(st.st_mode);
  d->distance = source->distance >= 0 ? (hem_distance)source->distance : HEM_L2;
  hem_status status = hem__print(&d->catalog_path, err, "%s/catalog.h5", source->work);
  if (!status) status = hem__strdup(name && name[1] ? name + 1 : source->path, &d->name, err);
  if (status) return status;
  if (folder && source->distance >= 0) return hem__fail(err, HEM_EINVAL, "a store has a distance of its own");
  if (folder) return from_store(source, d, err);
  status = hem__benchmark_is(source->path, benchmark, err);
  if (status) return status;
  return *benchmark ? from_benchmark(source, d, err) : from_catalog(source, source->path, source->space, d, err);
}

hem_status hem__sweep_data_open(const hem__sweep_source *given, hem__sweep_data *out, hem_error *err) {
  hem__sweep_source source = *given;
  hem__sweep_data d = {0};
  size_t first_query = 0, all_queries = 0;
  bool benchmark = false;
  if (!source.query_limit) source.query_limit = QUERIES_DEFAULT;
  d.k = source.k ? source.k : K_DEFAULT;
  if (d.k > HEM__PEER_K_MAX) return hem__fail(err, HEM_EINVAL, "k is %zu; at most %d", d.k, HEM__PEER_K_MAX);
  hem_status status = make(&source, &benchmark, &d, err);
  if (!status) status = open_made(&d, source.query_limit, &first_query, &all_queries, err);
  d.wanted = hem__min(d.k, d.gallery.rows);
  if (!status) status = find_truth(&source, &d, all_queries, benchmark, err);
  if (status)
    hem__sweep_data_clear(&d);
  else
    *out = d;
  return status;
}

hem_status hem__sweep_data_write(const hem__sweep_data *d, size_t neighbours, const char *path, hem_error *err) {
  size_t k = hem__min(neighbours, d->gallery.rows), all = 0;
  hem__near *found = NULL;
  int32_t *rows = NULL;
  float *distances = NULL;
  if (d->gallery.rows > INT32_MAX || !hem__mul(k, d->queries.rows, &all))
    return hem__fail(err, HEM_EUNSUPPORTED, "the gallery is too large for such a file");
  hem_status status = scan_all(d, d->queries.rows, k, &found, err);
  if (!status) status = hem__alloc(all, sizeof *rows, "neighbours", &rows, err);
  if (!status) status = hem__alloc(all, sizeof *distances, "neighbours", &distances, err);
  for (size_t i = 0; i < all && !status; i++) {
    rows[i] = (int32_t)found[i].row;
    distances[i] = hem__key_distance(d->distance, found[i].key);
  }
  hem__benchmark_content content = {.train = d->gallery,
                                    .test = d->queries,
                                    .neighbours = k,
                                    .rows = rows,
                                    .distances = distances,
                                    .distance = d->distance};
  if (!status) status = hem__benchmark_write(path, &content, err);
  free(found);
  free(rows);
  free(distances);
  return status;
}
