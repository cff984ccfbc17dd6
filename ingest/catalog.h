/* The catalogue: photos, their embeddings, and what was rejected, in one HDF5 file. catalog_*.c and
 * vectors_hdf5.c are the only users of HDF5.
 *
 * A catalogue file is written once, whole, aside; sealed (seal.h), synced and renamed; and never changed. A
 * segment is a small catalogue file. Growing a catalogue is sealing segments beside it and, at the end, one
 * new file from the old one and the segments (ingest.c).
 *
 * Vectors are stored contiguous and page-aligned, so they are mapped instead of read, and any process maps
 * the same pages. Their checksums (SHA-256 of every 4 MiB) are columns under the seal; hem__catalog_vectors
 * checks the blocks it hands out, each once.
 *
 * HDF5 is not thread-safe: one lock covers every call into it. */
#ifndef HEM_INGEST_CATALOG_H
#define HEM_INGEST_CATALOG_H

#include "ingest/extract.h"
#include "ingest/photos.h"

enum { HEM__SPACES_MAX = 32 };

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

/* Rows from one origin: a buffer, or a run of rows of an open catalogue. */
typedef struct hem__catalog_part {
  const hem__photo *photos;
  size_t count;
  const hem__matrix *vectors; /* one matrix of `count` rows for each space */
} hem__catalog_part;

/* All that goes into one file. Borrowed. */
typedef struct hem__catalog_content {
  const hem__space *spaces;
  size_t space_count;
  const hem__catalog_part *parts; /* their rows, in order */
  size_t part_count;
  const hem__photos *rejected; /* its list of rejections; its photos are not looked at */
  const hem__digest *base;     /* of a segment: the identity of the catalogue it goes onto; NULL for a catalogue */
  size_t threads;              /* for checksums; 0: one for each core */
  hem_progress progress;
} hem__catalog_content;

/* Seals it as one file at `path`. Replaces what was there, atomically. Errors: EIO (disk full), ENOMEM, EINVAL,
 * ECANCELED. */
hem_status hem__catalog_seal(const char *path, const hem__catalog_content *content, hem_error *err);

/* ---- reading ---- */

/* Immutable but for the record of which blocks were checked: one thread at a time. */
typedef struct hem__catalog hem__catalog;

/* Checks the seal, then reads the columns. Errors: ENOTFOUND, ECORRUPT, EVERSION, EIO, ENOMEM, EBUSY (the file was
 * replaced meanwhile: try again). */
hem_status hem__catalog_open(const char *path, hem__catalog **out, hem_error *err);
void hem__catalog_close(hem__catalog *catalog);

const char *hem__catalog_path(const hem__catalog *catalog);
const hem__photos *hem__catalog_photos(const hem__catalog *catalog);
/* What tells this file from every other one: the checksum of its seal. */
hem__digest hem__catalog_identity(const hem__catalog *catalog);
/* Of a segment: the identity of the catalogue it was sealed beside; zeros where there was none. */
hem__digest hem__catalog_base(const hem__catalog *catalog);
size_t hem__catalog_space_count(const hem__catalog *catalog);
const hem__space *hem__catalog_space(const hem__catalog *catalog, size_t space);
/* `name` NULL: the only space. Errors: ENOTFOUND, EINVAL (several to choose from); both list them. */
hem_status hem__catalog_find_space(const hem__catalog *catalog, const char *name, size_t *space, hem_error *err);

/* All vectors of a space, mapped, none checked yet. Valid until the catalogue is closed. */
hem__matrix hem__catalog_matrix(const hem__catalog *catalog, size_t space);
/* Checks the blocks that hold these rows, those not checked before. Errors: ECORRUPT, names the rows. */
hem_status hem__catalog_check(hem__catalog *catalog, size_t space, size_t first, size_t count, hem_error *err);

#endif
