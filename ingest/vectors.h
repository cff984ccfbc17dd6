/* Ready-made vectors: what the readers of their formats share, and the embedding space they make. */
#ifndef HEM_INGEST_VECTORS_H
#define HEM_INGEST_VECTORS_H

#include "ingest/source.h"

/* The features of a space of ready-made vectors: "vectors:<name>". No photo can be embedded in it. */
#define HEM__READY_MADE "vectors:"

enum { HEM__DIM_MAX = 1 << 16 };

/* A matrix in a file, read a block of rows at a time. */
typedef struct hem__rows hem__rows;
struct hem__rows {
  /* `count` rows from `first` on, as floats; what is no number stays none. One thread at a time. Errors: EIO, ECORRUPT
   * (names the row), ENOMEM. */
  hem_status (*read)(hem__rows *rows, size_t first, size_t count, float *out, hem_error *err);
  void (*close)(hem__rows *rows);
  size_t count, dim;
  size_t step;      /* rows that are best read together, from a multiple of `step` on; 0: no matter */
  const char *name; /* the dataset in an HDF5 file, such as "/train"; "" elsewhere. Lives as long as this does */
};

/* NumPy's .npy: versions 1 to 3, two dimensions in C order, little-endian float16, float32 or float64.
 * Errors: ENOTFOUND, EIO, ECORRUPT (header, or a size that is not the file's), EUNSUPPORTED (type, order), ENOMEM. */
hem_status hem__rows_npy(const char *path, hem__rows **out, hem_error *err);
/* Each row its length in 32 bits and then its values: float32 (.fvecs), or whole bytes (.bvecs). Errors: likewise. */
hem_status hem__rows_vecs(const char *path, bool bytes, hem__rows **out, hem_error *err);
/* A two-dimensional dataset of floats. HDF5 itself is not made for hostile files, and these carry no seal: what can be
 * checked before HDF5 opens it is checked, but open files from people you trust. `dataset` NULL: the root's only one
 * that fits. Errors: ENOTFOUND, EIO, ECORRUPT, EUNSUPPORTED (type, storage in other files), EINVAL (several to choose
 * from; lists them), ENOMEM. */
hem_status hem__rows_hdf5(const char *path, const char *dataset, hem__rows **out, hem_error *err);
/* Has the file a dataset of this name at its root? */
hem_status hem__rows_hdf5_has(const char *path, const char *dataset, bool *has, hem_error *err);

/* The space of ready-made vectors, as a catalogue describes it: strings are owned, `space` borrows them. */
typedef struct hem__ready_made {
  char *name, *features, *recipe;
  char hash[65];
} hem__ready_made;

/* `name` NULL: "vectors". Zeroed is empty. Errors: EINVAL (a name that HDF5 cannot hold, or that is the name of other
 * features), ENOMEM. */
hem_status hem__ready_made_new(const char *name, size_t dim, hem__ready_made *out, hem_error *err);
void hem__ready_made_clear(hem__ready_made *made);

/* EUNSUPPORTED, with a sentence for the user, where `features` are those of ready-made vectors. */
hem_status hem__ready_made_refuse(const char *features, hem_error *err);

#endif
