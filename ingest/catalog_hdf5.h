/* What the two halves of the catalogue's HDF5 code share: the lock, HDF5's own words, and the table that says how
 * a photo's fields lie in the file. Included by catalog_*.c; by vectors_hdf5.c for the lock; and by
 * metric/metric_file.c, whose files are sealed likewise. */
#ifndef HEM_INGEST_CATALOG_HDF5_H
#define HEM_INGEST_CATALOG_HDF5_H

#include <hdf5.h>

#include "ingest/catalog.h"
#include "ingest/seal.h"

enum { HEM__CHUNK_ROWS = 8192, HEM__BLOCK_BYTES = 4 << 20 };

/* HDF5 is not thread-safe: every call into it stands between these two. Nothing else is called there that could
 * take another lock or call the user back. */
void hem__hdf5_enter(void);
void hem__hdf5_leave(void);

/* "<path>: HDF5 could not <what> (<its innermost reason>)". */
hem_status hem__hdf5_fail(hem_error *err, hem_status code, const char *what, const char *path);

/* ---- files; all of these are called with the lock held ---- */

/* A new file with room for its seal, whose bytes do not tell when it was made; < 0 on failure. `pages`: every dataset
 * starts on a page of its own. */
hid_t hem__hdf5_create(const char *path, bool pages);
/* Opens, for reading, the very file whose seal was checked on `map`. Errors: ECORRUPT, EBUSY (it was replaced). */
hem_status hem__hdf5_open(const char *path, const hem__map *map, hid_t *out, hem_error *err);
/* Properties for a new object (H5P_GROUP_CREATE ...) without its time of birth: the same content makes the same bytes.
 * To be closed. */
hid_t hem__hdf5_untimed(hid_t class);
hid_t hem__hdf5_group(hid_t file, const char *name);
/* A text as an attribute. */
bool hem__hdf5_put_text(hid_t object, const char *name, const char *text);
/* *out is freed with free(). Errors: ECORRUPT (none of that name, no text, or more than 1 MiB), ENOMEM. */
hem_status hem__hdf5_get_text(hid_t object, const char *name, const char *path, char **out, hem_error *err);
/* Sizes of a dataset; false unless it has this rank, 1 or 2. */
bool hem__hdf5_extent(hid_t dataset, int rank, hsize_t extent[2]);

/* ---- columns ---- */

typedef enum hem__column_kind {
  HEM__TEXT,
  HEM__ENUM,
  HEM__U32,
  HEM__U64,
  HEM__I64,
  HEM__BOX,
  HEM__DIGEST
} hem__column_kind;

typedef struct hem__column {
  const char *name;
  hem__column_kind kind;
  size_t offset;            /* in the row's struct */
  const char *const *names; /* ENUM: by value */
  size_t name_count;
  uint32_t since; /* the format that brought it: files of an older one read as zeros. 0: always there */
} hem__column;

/* Of hem__photo and of hem__rejection. */
extern const hem__column hem__photo_columns[], hem__rejection_columns[];
extern const size_t hem__photo_column_count, hem__rejection_column_count;

/* HDF5's own type of one element (of a text: of one character); not to be closed. */
hid_t hem__column_type(const hem__column *column);
/* Bytes of one value in a file; `width`: of the widest text. */
size_t hem__column_size(const hem__column *column, size_t width);
/* Elements of one value: 1, or the second dimension. */
hsize_t hem__column_elements(const hem__column *column);

#endif
