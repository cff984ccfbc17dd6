/* Files of vectors in the formats of other programs. Value j of row i is hem__test_value(i, j) in all of them. */
#ifndef HEM_TESTS_SUPPORT_MAKE_VECTORS_H
#define HEM_TESTS_SUPPORT_MAKE_VECTORS_H

#include <stddef.h>
#include <stdint.h>

/* A whole number from 0 to 255, exact in every format. */
float hem__test_value(size_t row, size_t column);

/* `type`: "<f2", "<f4" or "<f8". `header` NULL: NumPy's own, padded to 64 bytes. */
void hem__test_npy(const char *path, int version, const char *type, const char *header, size_t rows, size_t dim);
/* .fvecs, or .bvecs by the path's ending. */
void hem__test_vecs(const char *path, size_t rows, size_t dim);

typedef struct hem__test_dataset {
  const char *name;                               /* groups before it are made */
  size_t rows, dim, first;                        /* first: its row 0 holds what row `first` of the others does */
  size_t chunk;                                   /* rows; 0: contiguous */
  int whole_numbers, one_dimension, virtual_only; /* of kinds that are refused */
} hem__test_dataset;
void hem__test_hdf5(const char *path, size_t user_block, const hem__test_dataset *datasets, size_t count);

#endif
