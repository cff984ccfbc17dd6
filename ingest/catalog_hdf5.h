/* What the two halves of the catalogue's HDF5 code share: the lock, HDF5's own words, and the table that says how
 * a photo's fields lie in the file. Included by catalog_*.c, and by vectors_hdf5.c for the lock. */
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
