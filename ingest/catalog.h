/* The catalogue: photos, their embeddings, and what was rejected, in one HDF5 file. catalog.c is the only
 * user of HDF5.
 *
 * A catalogue file is written once, whole, aside; sealed (seal.h), synced and renamed; and never changed. A
 * segment is a small catalogue file. Growing a catalogue is sealing segments beside it and, at the end, one
 * new file from the old one and the segments (ingest.c).
 *
 * Vectors are stored contiguous and page-aligned, so they are mapped instead of read, and any process maps
 * the same pages. Their checksums (SHA-256 of every 4 MiB) are columns under the seal; hem__catalog_vectors
 * checks the blocks it hands out, each once.
 *
 * HDF5 is not thread-safe: one lock in catalog.c covers every call into it. */
#ifndef HEM_INGEST_CATALOG_H
#define HEM_INGEST_CATALOG_H

#include "ingest/extract.h"
#include "ingest/photos.h"

enum { HEM__SPACES_MAX = 32, HEM__BLOCKS_MAX = 16 };

/* An embedding space as a catalogue holds it. Strings are borrowed. */
typedef struct hem__space {
  const char *name;     /* "hog+color+ccv+harris" */
  const char *features; /* "hog,color,ccv,harris" */
  const char *recipe;   /* text: all that shapes the vectors */
  const char *hash;     /* SHA-256 of the recipe, hex: the space's identity */
  size_t dim;
  hem__block blocks[HEM__BLOCKS_MAX];
  size_t block_count;
} hem__space;

/* ---- writing ---- */

/* Rows from one origin: a buffer, or an open catalogue. */
typedef struct hem__catalog_part {
  const hem__photos *photos;
  const hem__matrix *vectors; /* one matrix for each space; rows = photos->count */
} hem__catalog_part;

/* Seals the rows of all parts, in order, as one file at `path`; the rejections are those of `rejected` alone.
 * Replaces what was there, atomically. Errors: EIO (disk full), ENOMEM, EINVAL. */
hem_status hem__catalog_seal(const char *path, const hem__space *spaces, size_t space_count,
                             const hem__catalog_part *parts, size_t part_count, const hem__photos *rejected,
                             const hem_progress *progress, hem_error *err);

/* ---- reading ---- */

/* Immutable but for the record of which blocks were checked: one thread at a time. */
typedef struct hem__catalog hem__catalog;

/* Checks the seal, then reads the columns. Errors: ENOTFOUND, ECORRUPT, EVERSION, EIO, ENOMEM. */
hem_status hem__catalog_open(const char *path, hem__catalog **out, hem_error *err);
void hem__catalog_close(hem__catalog *catalog);

const char *hem__catalog_path(const hem__catalog *catalog);
const hem__photos *hem__catalog_photos(const hem__catalog *catalog);
size_t hem__catalog_space_count(const hem__catalog *catalog);
const hem__space *hem__catalog_space(const hem__catalog *catalog, size_t space);
/* `name` NULL: the only space. Errors: ENOTFOUND, EINVAL (several to choose from); both list them. */
hem_status hem__catalog_find_space(const hem__catalog *catalog, const char *name, size_t *space, hem_error *err);

/* All vectors of a space, mapped, none checked yet. Valid until the catalogue is closed. */
hem__matrix hem__catalog_matrix(const hem__catalog *catalog, size_t space);
/* Checks the blocks that hold these rows, those not checked before. Errors: ECORRUPT, names the rows. */
hem_status hem__catalog_check(hem__catalog *catalog, size_t space, size_t first, size_t count, hem_error *err);

#endif
