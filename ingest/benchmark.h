/* The files of ann-benchmarks (Aumueller, Bernhardsson and Faithfull 2020): `train` is searched with `test`;
 * `neighbors` and `distances` are the true answers; the attribute `distance` says by which distance. */
#ifndef HEM_INGEST_BENCHMARK_H
#define HEM_INGEST_BENCHMARK_H

#include "base/memory.h"

/* Is it an HDF5 file with `train` and `test`? Errors: those of hem__rows_hdf5_has. */
hem_status hem__benchmark_is(const char *path, bool *is, hem_error *err);

/* What `distance` says: "euclidean" is HEM_L2, "angular" HEM_COSINE. *has is false where there is no such attribute.
 * Errors: EUNSUPPORTED (another one), and those of hem__rows_hdf5. */
hem_status hem__benchmark_distance(const char *path, hem_distance *out, bool *has, hem_error *err);

typedef struct hem__benchmark_content {
  hem__matrix train, test;
  size_t neighbours;      /* of each query */
  const int32_t *rows;    /* test.rows x neighbours: rows of train, nearest first */
  const float *distances; /* and how far they are */
  hem_distance distance;  /* HEM_L2 or HEM_COSINE */
} hem__benchmark_content;

/* Written aside and renamed. Errors: EIO, EUNSUPPORTED (a distance without a name there). */
hem_status hem__benchmark_write(const char *path, const hem__benchmark_content *content, hem_error *err);

#endif
