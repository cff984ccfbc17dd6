/* Candidates from one category: the photos nearest to a query, by its index or by an exact scan. */
#ifndef HEM_QUERY_CANDIDATES_H
#define HEM_QUERY_CANDIDATES_H

#include "index/faiss_index.h"
#include "index/graph.h"
#include "metric/metric.h"

/* One category of an open generation. Immutable; shared by threads. */
typedef struct hem__category {
  const char *name, *kind;
  hem_distance distance;
  size_t first;            /* gallery position of its first photo */
  hem__vectors vectors;    /* mapped */
  const hem__graph *graph; /* hnsw, hnsw-sq8; NULL: not this */
  const hem__faiss *index; /* the other kinds; NULL: nor this; then it is scanned */
  uint32_t refine;         /* not 0: the index's distances are rough; ask it for refine * k and compute them anew */
  const uint8_t *points;   /* what the metric scores, mapped, row by row; NULL without one, as is the next */
  const hem__calibration *calibration;
  uint32_t rerank; /* candidates that it scores */
} hem__category;

/* One thread's working memory. Zeroed is empty. */
typedef struct hem__candidates_scratch {
  float *keys; /* of FAISS's answer, as is the next */
  int64_t *rows;
  hem__near *rough; /* both together */
  size_t key_capacity, row_capacity, rough_capacity;
  hem__graph_scratch graph;
} hem__candidates_scratch;

/* Makes room for k candidates of this category. */
hem_status hem__candidates_reserve(const hem__category *category, size_t k, hem__candidates_scratch *scratch,
                                   hem_error *err);
void hem__candidates_clear(hem__candidates_scratch *scratch);

typedef struct hem__candidates_request {
  const float *query; /* normalised for cosine */
  size_t k;
  bool exact; /* scan, whatever the index */
} hem__candidates_request;

typedef struct hem__candidates_found {
  hem__near *at;  /* holds k; the caller's */
  size_t count;   /* exactly min(k, photos of the category) */
  bool fell_back; /* the index found fewer than that, and an exact scan answered instead */
} hem__candidates_found;

/* The nearest photos, nearest first; ties: smaller row first.
 * Errors: ECORRUPT (the index names a photo that does not exist), EUNSUPPORTED (FAISS). */
hem_status hem__candidates(const hem__category *category, const hem__candidates_request *request,
                           hem__candidates_scratch *scratch, hem__candidates_found *found, hem_error *err);

#endif
