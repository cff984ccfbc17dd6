/* hem_index without its last step: what only the query path can say of a generation. */
#ifndef HEM_INDEX_BUILD_H
#define HEM_INDEX_BUILD_H

#include "index/learned.h"

/* A generation whose files are all written and which is not published yet. */
typedef struct hem__trial {
  const hem_index_options *options;
  hem__catalog *catalog;
  size_t space;
  const hem__metric *metric;
  const char *folder;
  hem__manifest *manifest; /* `rerank` and the certificates are what a trial fills in */
  /* Writes the points anew, as half floats; `context` is the build's. */
  hem_status (*use_halves)(void *context, hem_error *err);
  void *context;
} hem__trial;

/* Tries a generation with a metric before it is published: chooses how many candidates are scored, and measures the
 * certificate. It lies above index/, which knows no queries. */
typedef hem_status hem__try(hem__trial *trial, hem_error *err);

/* hem_index; `try_out` is not called without a metric. */
hem_status hem__index(const hem_index_options *options, hem__try *try_out, hem_error *err);

#endif
