/* Generations: what `hemline index` makes and everything else reads.
 *
 *   STORE/CURRENT                       "000003 <SHA-256 of its manifest>\n"
 *   STORE/lock                          held by the one writer
 *   STORE/generations/000003/manifest.json
 *                           /manifest.sha256   its SHA-256, for when it is current no more
 *                           /gallery.bin   photos and items (gallery.h)
 *                           /c0000.f32     vectors of the first category, float32, row-major; or c0000.bytes, where
 *                                          bytes divided by one number are the same
 *                           /c0000.faiss   its FAISS index, unless it is flat
 *                           /tuning.json   what else was tried, where it was tuned (tuning.h); indices are then named
 *                                          after their kind: c0000.hnsw-sq8.faiss
 *   and where answers are reranked by a Siamese metric (learned.h):
 *                           /metric.h5     the metric, as it was given
 *                           /quantiser.f32 low and step of each dimension (metric/quantise.h)
 *                           /c0000.u8      points of the first category, or c0000.f16
 *
 * A generation is immutable. It is written under a name ending in .tmp, synced, renamed, and becomes current when
 * CURRENT is replaced. CURRENT vouches for the manifest and the manifest for every file, by size and SHA-256,
 * all checked before anything is parsed. */
#ifndef HEM_INDEX_GENERATION_H
#define HEM_INDEX_GENERATION_H

#include "base/file.h"
#include "ingest/catalog.h"
#include "metric/distance.h"
#include "metric/score.h"

/* ---- what a manifest says ---- */

typedef struct hem__generation_file {
  char *name; /* NULL: there is none */
  uint64_t size;
  hem__digest digest;
} hem__generation_file;

typedef struct hem__generation_category {
  char *name;
  char *kind;                         /* "flat", "hnsw", ... */
  char *factory;                      /* FAISS's name for it; "" when flat */
  size_t first, photos;               /* its range in the gallery */
  uint32_t ef_search, nprobe, refine; /* 0: does not apply */
  hem__generation_file vectors, index;
  uint32_t divisor;            /* the vectors are bytes that are divided by it; 0: floats */
  hem__generation_file points; /* what a metric scores; NULL without one */
  uint32_t rerank;             /* candidates that it scores, 1 to `photos` */
  hem_certificate certificate; /* queries of this category, in this category */
} hem__generation_category;

/* What its index compares by. A projection moves the origin, on which cosine depends: the square of the distance
 * between normalised vectors, which is in the same order, does not. */
hem_distance hem__index_distance(const hem__generation_category *category, hem_distance distance);

/* What a Siamese metric adds (learned.h). */
typedef struct hem__generation_metric {
  hem__generation_file file; /* name NULL: there is no metric */
  hem__generation_file quantiser;
  size_t width; /* values of a point, and of a vector */
  hem__precision precision;
  hem_certificate certificate; /* all categories searched together */
} hem__generation_metric;

typedef struct hem__manifest {
  char *catalog;                /* path, as it was given */
  hem__digest catalog_identity; /* hem__catalog_identity; zeros: not known, an older Hemline built it */
  char *space, *space_hash, *features;
  size_t dim;
  hem_distance distance;
  hem__generation_file gallery;
  hem__generation_file tuning; /* what was tried (tuning.h); name NULL: it was not tuned */
  hem__generation_category *categories;
  size_t category_count;
  hem__generation_metric metric;
} hem__manifest;

static inline bool hem__manifest_learned(const hem__manifest *m) { return m->metric.file.name != NULL; }
/* Values of a row of the vectors files: with a metric, of a point of it. */
static inline size_t hem__manifest_width(const hem__manifest *m) {
  return hem__manifest_learned(m) ? m->metric.width : m->dim;
}

void hem__manifest_clear(hem__manifest *manifest);
/* JSON text, freed with free(); of version 1, with a metric 2, with vectors kept as bytes 3. The same manifest gives
 * the same bytes.
 */
hem_status hem__manifest_print(const hem__manifest *manifest, char **json, size_t *size, hem_error *err);
/* Checks every field. Errors: ECORRUPT, EVERSION. */
hem_status hem__manifest_parse(const char *json, size_t size, const char *name, hem__manifest *out, hem_error *err);

/* ---- reading ---- */

typedef struct hem__generation {
  char name[16];
  hem__digest digest; /* of its manifest, as CURRENT has it */
  char *folder;
  hem__manifest manifest;
} hem__generation;

/* The current generation's manifest, verified. Errors: ENOTFOUND (no store, or none published), ECORRUPT. */
hem_status hem__generation_open(const char *store, hem__generation *out, hem_error *err);
/* Another one that is still there, by its name ("000002"). Errors: EINVAL (not such a name), ENOTFOUND, ECORRUPT. */
hem_status hem__generation_open_old(const char *store, const char *name, hem__generation *out, hem_error *err);
void hem__generation_close(hem__generation *generation);
/* Maps one of its files; size and checksum are right. Errors: ECORRUPT, ENOTFOUND: both name the file. */
hem_status hem__generation_map(const hem__generation *generation, const hem__generation_file *file, hem__map *out,
                               hem_error *err);

/* ---- writing ---- */

typedef struct hem__publication {
  hem__lock lock;
  char *store, *folder, *final; /* folder: the .tmp one */
  char name[16];
} hem__publication;

/* Locks the store, sweeps left-overs, and makes the next generation's folder. Errors: EBUSY, EIO. */
hem_status hem__publication_open(const char *store, hem__publication *out, hem_error *err);
/* Starts a file of it, to be finished with hem__aside_publish. */
hem_status hem__publication_file(const hem__publication *publication, const char *name, hem__aside **out,
                                 hem_error *err);
/* Publishes a file of it under its name, and says so in *out. */
hem_status hem__publication_finish_file(hem__aside *file, const char *name, hem__generation_file *out, hem_error *err);
/* Takes a finished file out of it again. */
hem_status hem__publication_remove(const hem__publication *publication, hem__generation_file *file, hem_error *err);
/* Writes the manifest, publishes, and removes generations older than the `keep` before it. */
hem_status hem__publication_finish(hem__publication *publication, const hem__manifest *manifest, size_t keep,
                                   hem_error *err);
/* Publishes an old generation of the store once more, under the new number: its files are checked and linked. Nothing
 * is removed. Errors: ECORRUPT, EIO. */
hem_status hem__publication_repeat(hem__publication *publication, const hem__generation *from, hem_error *err);
/* Removes what was not finished; releases the lock. */
void hem__publication_close(hem__publication *publication);

#endif
