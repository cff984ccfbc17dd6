/* What a sweep is run on: the vectors of one category, queries, and the true answers. */
#ifndef HEM_BENCH_SWEEP_DATA_H
#define HEM_BENCH_SWEEP_DATA_H

#include "bench/peer.h"
#include "ingest/catalog.h"

typedef struct hem__sweep_source {
  const char *path;             /* a store, a catalogue, or an ann-benchmarks file */
  const char *category, *space; /* NULL: the largest; the only one. A store has its own space */
  int distance;                 /* -1: what the store or the file says; L2 */
  size_t k, query_limit;
  const char *work; /* an existing folder; the catalogue of gallery and queries is made in it */
  hem_progress progress;
} hem__sweep_source;

typedef struct hem__sweep_data {
  char *catalog_path, *category, *name;
  char *metric; /* file of the store's metric, or NULL */
  hem__catalog *catalog;
  hem_distance distance;
  hem__matrix gallery, queries; /* normalised for cosine; gallery row i is row i of the catalogue */
  float *gallery_copy, *query_copy;
  float *limits;    /* of each query: the k-th true distance */
  size_t k, wanted; /* wanted: min(k, gallery) */
  bool truth_given;
} hem__sweep_data;

/* Errors: see hem__sweep_run. */
hem_status hem__sweep_data_open(const hem__sweep_source *source, hem__sweep_data *out, hem_error *err);
void hem__sweep_data_clear(hem__sweep_data *data);

/* The share of the true k nearest among `rows`. As in ann-benchmarks (Aumueller, Bernhardsson and Faithfull 2020): a
 * row counts once, and counts if it is no farther than the k-th true one, by a thousandth or less. */
double hem__sweep_recall(const hem__sweep_data *data, size_t query, const int64_t *rows);

/* Writes gallery, queries and their `neighbours` exact nearest as an ann-benchmarks file. Errors: EIO, EUNSUPPORTED (a
 * distance that such files have no name for). */
hem_status hem__sweep_data_write(const hem__sweep_data *data, size_t neighbours, const char *path, hem_error *err);

#endif
