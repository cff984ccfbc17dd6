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
  const hem__publication *publication;
  hem__manifest *manifest; /* `rerank`, the certificates, and where settings are tried the indices and `tuning` too, are
                              what a trial fills in */
  /* Writes the points anew, as half floats; `context` is the build's. */
  hem_status (*use_halves)(void *context, hem_error *err);
  /* Where settings are tried: builds the indices of this kind beside those that are there, and puts what makes them a
   * part of the generation into the manifest's categories (kind, factory, settings, index), whose own are the caller's
   * to keep before. Until then all categories are flat. */
  hem_status (*build_kind)(void *context, const char *kind, hem_error *err);
  void *context;
} hem__trial;

/* Are settings to be tried? */
static inline bool hem__index_tunes(const hem_index_options *o) {
  return o->target_recall > 0 || o->max_latency_us || o->max_memory;
}

/* Tries a generation before it is published: tunes it where that is asked for, and with a metric chooses how many
 * candidates are scored, and measures the certificate. It lies above index/, which knows no queries. */
typedef hem_status hem__try(hem__trial *trial, hem_error *err);

/* hem_index; `try_out` is not called without a metric and where nothing is to be tuned. */
hem_status hem__index(const hem_index_options *options, hem__try *try_out, hem_error *err);

#endif
