/* Why a hit stands where it stands: what each feature of the embedding costs it. */
#ifndef HEM_QUERY_EXPLAIN_H
#define HEM_QUERY_EXPLAIN_H

#include "ingest/catalog.h"

typedef struct hem__explanation {
  double score;                    /* s of query and hit, from their embeddings */
  double effects[HEM__BLOCKS_MAX]; /* of each block: below zero, the score it costs that the two differ there */
} hem__explanation;

/* `hit` is a photo of the engine, `space` of the catalogue the one it was built from, and the catalogue is that very
 * one (rows.h). An effect is the score as it is, minus the score that the query would have if this block of it were the
 * hit's own; blocks act together, so effects need not add up to anything. Errors: EUNSUPPORTED (no metric), ENOTFOUND
 * (no such row), ECORRUPT, ENOMEM. */
hem_status hem__explain(const hem_engine *engine, hem__catalog *catalog, size_t space, const float *query,
                        const hem_hit *hit, hem__explanation *out, hem_error *err);

#endif
