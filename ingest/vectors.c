/* Ready-made vectors as a source: a file of rows, and perhaps a listing that says what each row is.
 *
 * Rows are read a block at a time and kept in two blocks, under a lock: workers ask for rows in about the order in
 * which they were listed, so one block is read once. Checking and hashing happen outside the lock. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ingest/vectors.h"

enum { BLOCKS = 2, PARTS = 2, BLOCK_BYTES = 1 << 20, BLOCK_BYTES_MAX = 64 << 20 };
static const float LARGEST = 1e15F; /* as in queries: no sum of products of such values overflows */

/* Some rows of the source: a whole file, or one dataset of it. */
typedef struct part {
  hem__rows *rows;
  size_t first; /* the source's number of its first row */
  hem__usual usual;
} part;

typedef struct block {
  float *at;
  size_t part, first, count; /* count 0: empty */
  uint64_t used;
} block;

/* Guarded by its lock, under which only the file is read. */
typedef struct cache {
  pthread_mutex_t lock;
  block blocks[BLOCKS];
  size_t rows; /* of a block */
  uint64_t clock;
} cache;

typedef struct vectors_source {
  hem__source source;
  hem__source *manifest; /* what describes the rows, or NULL */
  char *path;            /* of the file, from the root on */
  part parts[PARTS];
  size_t part_count, row_count, at;
  cache *cache;
  hem__photo stamp; /* size and time of the file */
  hem__arena strings;
} vectors_source;

/* ---- reading ---- */

static const part *part_of(const vectors_source *s, size_t number) {
  const part *p = s->parts;
  while (number - p->first >= p->rows->count) p++;
  return p;
}

/* Where row `row` of the part stands in memory. Called under the lock; the block is valid until it is let go. */
static hem_status find_row(const vectors_source *s, const part *p, size_t row, const float **out, hem_error *err) {
  cache *c = s->cache;
  size_t part_number = (size_t)(p - s->parts);
  block *oldest = &c->blocks[0];
  for (block *b = c->blocks; b < c->blocks + BLOCKS; b++) {
    if (b->count && b->part == part_number && row - b->first < b->count) {
      b->used = ++c->clock;
      *out = b->at + (row - b->first) * s->source.dim;
      return HEM_OK;
    }
    if (b->used < oldest->used) oldest = b;
  }
  size_t first = row - row % c->rows, count = hem__min(c->rows, p->rows->count - first);
  oldest->count = 0;
  hem_status status = p->rows->read(p->rows, first, count, oldest->at, err);
  if (status) { /* this row alone may be fine */
    first = row;
    count = 1;
    status = p->rows->read(p->rows, first, count, oldest->at, err);
  }
  if (status) return status;
  *oldest = (block){.at = oldest->at, .part = part_number, .first = first, .count = count, .used = ++c->clock};
  *out = oldest->at + (row - first) * s->source.dim;
  return HEM_OK;
}

static hem_status vectors_read(const hem__source *source, const hem__listed *listed, hem__photo *photo, float *out,
                               hem_error *err) {
  const vectors_source *s = (const vectors_source *)source;
  const part *p = part_of(s, listed->number);
  size_t row = listed->number - p->first, dim = source->dim;
  const float *at = NULL;
  pthread_mutex_lock(&s->cache->lock);
  hem_status status = find_row(s, p, row, &at, err);
  if (!status) memcpy(out, at, dim * sizeof *out);
  pthread_mutex_unlock(&s->cache->lock);
  if (status) return status;
  for (size_t i = 0; i < dim; i++)
    if (!(fabsf(out[i]) <= LARGEST))
      return hem__fail(err, HEM_ECORRUPT, "value %zu of row %zu of %s%s%s is not a number, or is beyond 1e15", i, row,
                       s->path, *p->rows->name ? ":" : "", p->rows->name);
  photo->source = hem__sha256_of(out, dim * sizeof *out);
  return HEM_OK;
}

static hem_status vectors_look(const hem__source *source, const hem__listed *listed, hem__photo *photo,
                               hem_error *err) {
  const vectors_source *s = (const vectors_source *)source;
  (void)listed;
  (void)err;
  photo->bytes = s->stamp.bytes;
  photo->mtime_ns = s->stamp.mtime_ns;
  return HEM_OK;
}

/* ---- listing ---- */

static hem_status list_row(vectors_source *s, hem__listed *out, hem_error *err) {
  const part *p = part_of(s, s->at);
  char *path = NULL;
  hem__listed row = {.number = s->at,
                     .photo = {.category = "all", .label = "", .domain = p->usual.domain, .split = p->usual.split}};
  hem_status status =
      hem__print(&path, err, "%s%s%s#%zu", s->path, *p->rows->name ? ":" : "", p->rows->name, s->at - p->first);
  if (!status) status = hem__arena_copy(&s->strings, path, strlen(path), &row.photo.path, err);
  free(path);
  row.photo.item_id = row.photo.path;
  if (!status) *out = row;
  return status;
}

static hem_status vectors_next(hem__source *source, hem__listed *out, bool *more, hem_error *err) {
  vectors_source *s = (vectors_source *)source;
  hem_status status = HEM_OK;
  if (!s->manifest) {
    *more = s->at < s->row_count;
    if (*more) status = list_row(s, out, err);
    if (*more && !status) s->at++;
    return status;
  }
  hem__listed row = {0};
  status = s->manifest->next(s->manifest, &row, more, err);
  if (status || !*more) return status;
  if (row.number >= s->row_count) /* it was as long as the vectors when it was opened */
    return hem__fail(err, HEM_EIO, "%s grew while it was read", s->manifest->listing);
  *out = row;
  return HEM_OK;
}

static void vectors_forget(hem__source *source) {
  vectors_source *s = (vectors_source *)source;
  hem__arena_clear(&s->strings);
  if (s->manifest) s->manifest->forget(s->manifest);
}

static void cache_free(cache *c) {
  if (!c) return;
  for (size_t i = 0; i < BLOCKS; i++) free(c->blocks[i].at);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

static void vectors_close(hem__source *source) {
  vectors_source *s = (vectors_source *)source;
  if (!s) return;
  for (size_t i = 0; i < s->part_count; i++) s->parts[i].rows->close(s->parts[i].rows);
  if (s->manifest) s->manifest->close(s->manifest);
  cache_free(s->cache);
  hem__arena_clear(&s->strings);
  free(s->path);
  free(s);
}

/* ---- opening ---- */

typedef enum file_format { NPY, FVECS, BVECS, HDF5, FORMATS } file_format;

static file_format format_of(const char *path) {
  static const struct {
    const char *ending;
    file_format format;
  } endings[] = {{".npy", NPY}, {".fvecs", FVECS}, {".bvecs", BVECS}, {".h5", HDF5}, {".hdf5", HDF5}, {".hdf", HDF5}};
  size_t size = strlen(path);
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t length = strlen(endings[i].ending);
    if (size > length && !strcasecmp(path + size - length, endings[i].ending)) return endings[i].format;
  }
  return FORMATS;
}

/* "FILE:/dataset" apart, where FILE exists and the whole does not. *dataset points into `path`, or is NULL. */
static hem_status split_path(const char *path, char **file, const char **dataset, hem_error *err) {
  *dataset = NULL;
  for (const char *at = path; !hem__path_exists(path) && (at = strstr(at, ":/")); at++) {
    char *before = NULL;
    hem_status status = hem__print(&before, err, "%.*s", (int)(at - path), path);
    bool found = !status && hem__path_exists(before);
    if (found) {
      *dataset = at + 1;
      *file = before;
      return HEM_OK;
    }
    free(before);
    if (status) return status;
  }
  return hem__strdup(path, file, err);
}

static void add_part(vectors_source *s, hem__rows *rows, hem__usual usual) {
  s->parts[s->part_count++] = (part){.rows = rows, .first = s->row_count, .usual = usual};
  s->row_count += rows->count;
}

/* The benchmarks' files hold what is searched as `train`, and what it is searched with as `test`. */
static hem_status open_hdf5(vectors_source *s, const char *dataset, hem__usual usual, hem_error *err) {
  static const struct {
    const char *name;
    hem__usual usual;
  } halves[] = {{"/train", {HEM__SHOP, HEM__TRAIN}}, {"/test", {HEM__CONSUMER, HEM__TEST}}};
  hem__rows *rows = NULL;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < PARTS && !dataset && !status; i++) {
    bool has = false;
    status = hem__rows_hdf5_has(s->path, halves[i].name, &has, err);
    if (!status && has) status = hem__rows_hdf5(s->path, halves[i].name, &rows, err);
    if (!status && has) add_part(s, rows, halves[i].usual);
  }
  if (status || s->part_count) return status;
  status = hem__rows_hdf5(s->path, dataset, &rows, err);
  if (!status) add_part(s, rows, usual);
  return status;
}

static hem_status open_rows(vectors_source *s, const char *dataset, hem__usual usual, hem_error *err) {
  hem__rows *rows = NULL;
  hem_status status;
  file_format format = format_of(s->path);
  if (format == FORMATS)
    return hem__fail(err, HEM_EUNSUPPORTED, "%s ends with none of .npy, .fvecs, .bvecs, .h5, .hdf5, .hdf", s->path);
  if (dataset && format != HDF5)
    return hem__fail(err, HEM_EINVAL, "%s is no HDF5 file: it has no dataset %s", s->path, dataset);
  if (format == HDF5) {
    status = open_hdf5(s, dataset, usual, err);
  } else {
    status = format == NPY ? hem__rows_npy(s->path, &rows, err) : hem__rows_vecs(s->path, format == BVECS, &rows, err);
    if (!status) add_part(s, rows, usual);
  }
  if (status) return status;
  s->source.dim = s->parts[0].rows->dim;
  if (s->part_count == 2 && s->parts[1].rows->dim != s->source.dim)
    return hem__fail(err, HEM_EMISMATCH, "%s: /train has vectors of %zu values, /test of %zu", s->path, s->source.dim,
                     s->parts[1].rows->dim);
  return HEM_OK;
}

static hem_status open_cache(vectors_source *s, hem_error *err) {
  cache *c = NULL;
  size_t row_bytes = s->source.dim * sizeof(float), step = 1, most = 1;
  hem_status status = hem__alloc(1, sizeof *c, "blocks of vectors", &c, err);
  if (status) return status;
  pthread_mutex_init(&c->lock, NULL);
  s->cache = c;
  for (size_t i = 0; i < s->part_count; i++) {
    step = hem__max(step, s->parts[i].rows->step);
    most = hem__max(most, s->parts[i].rows->count);
  }
  step = hem__min(step, hem__max(1, BLOCK_BYTES_MAX / row_bytes));
  c->rows = hem__max(1, BLOCK_BYTES / row_bytes / step) * step;
  c->rows = hem__min(c->rows, most);
  for (size_t i = 0; i < BLOCKS && !status; i++)
    status = hem__alloc(c->rows * s->source.dim, sizeof(float), "blocks of vectors", &c->blocks[i].at, err);
  return status;
}

static hem_status open_manifest(vectors_source *s, const char *manifest, hem_error *err) {
  hem_status status = hem__source_manifest_of(manifest, s->path, &s->manifest, err);
  if (status) return status;
  s->source.listing = s->manifest->listing;
  if (s->manifest->count != s->row_count)
    return hem__fail(err, HEM_EMISMATCH, "%s has %llu rows and %s %zu vectors: row i must describe vector i", manifest,
                     (unsigned long long)s->manifest->count, s->path, s->row_count);
  return HEM_OK;
}

hem_status hem__source_vectors(const char *path, const char *manifest, hem__usual usual, hem__source **out,
                               hem_error *err) {
  vectors_source *s = NULL;
  char *file = NULL;
  const char *dataset = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a source", &s, err);
  if (status) return status;
  s->source = (hem__source){.next = vectors_next,
                            .forget = vectors_forget,
                            .look = vectors_look,
                            .read_vector = vectors_read,
                            .close = vectors_close};
  status = split_path(path, &file, &dataset, err);
  if (!status && !(s->path = realpath(file, NULL))) status = hem__fail_errno(err, "cannot open %s", file);
  if (!status) status = hem__look_at(s->path, &s->stamp, err);
  if (!status) status = open_rows(s, dataset, usual, err);
  if (!status) status = open_cache(s, err);
  if (!status && manifest) status = open_manifest(s, manifest, err);
  free(file);
  if (status) {
    vectors_close(&s->source);
    return status;
  }
  s->source.count = s->row_count;
  *out = &s->source;
  return HEM_OK;
}
