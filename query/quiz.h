/* Queries whose right answers are known, and how many of them an engine finds: with a metric, the best items by scoring
 * every photo (truth.h); without one, the exact nearest photos. What settings are chosen by (tune.h). */
#ifndef HEM_QUERY_QUIZ_H
#define HEM_QUERY_QUIZ_H

#include "query/truth.h"

enum { HEM__QUIZ_K = 10 }; /* without a metric; with one, HEM__TRUTH_K */

/* The exact nearest photos of one query. */
typedef struct hem__quiz_answer {
  uint64_t rows[HEM__QUIZ_K]; /* of the catalogue */
  float farthest;
  uint32_t count;
} hem__quiz_answer;

typedef struct hem__quiz {
  hem__matrix embeddings; /* of the catalogue */
  const hem__sample *samples;
  size_t count;
  const hem__truth *truth;   /* of the same samples; NULL without a metric: then the next */
  hem__quiz_answer *nearest; /* of each sample, in its own category */
} hem__quiz;

/* Without a metric: finds the answers by exact scans, on `threads` threads (0: one a core). Borrows all but the
 * answers. Errors: those of hem_search. */
hem_status hem__quiz_find(const hem_engine *engine, hem__matrix embeddings, const hem__sample *samples, size_t count,
                          size_t threads, hem__quiz *out, hem_error *err);
void hem__quiz_clear(hem__quiz *quiz);

/* Places to be filled in the answer of a query. */
static inline size_t hem__quiz_places(const hem__quiz *q, size_t sample) {
  return q->truth ? q->truth->own[sample].count : q->nearest[sample].count;
}

/* Asks a query in its own category: how many places are filled rightly, and how long it took. `right` may be NULL: not
 * wanted. Errors: those of hem_search, ENOMEM. */
hem_status hem__quiz_ask(const hem__quiz *quiz, hem_searcher *searcher, size_t sample, size_t *right, uint64_t *ns,
                         hem_error *err);

#endif
