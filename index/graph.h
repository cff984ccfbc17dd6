/* The HNSW graph of a FAISS file (IndexHNSWFlat, IndexHNSWSQ with 8 bits, either behind a PCAMatrix), searched where
 * the file lies mapped.
 *
 * FAISS would parse the file into a copy of its own on every process's heap, and allocate a table of visited photos for
 * every query. Here links and codes stay in the file's pages, which all processes share, and plain vectors come from
 * the generation's own file: of a graph nothing is copied but a few numbers, and the matrix of a projection.
 *
 * Behind a projection, codes are of few dimensions, those in which the vectors differ most. A walk through a graph
 * waits for memory, so the fewer bytes of a photo it looks at, the faster it is; what it finds is rough. */
#ifndef HEM_INDEX_GRAPH_H
#define HEM_INDEX_GRAPH_H

#include "index/flat.h"

enum { HEM__GRAPH_LEVELS = 32 };

/* Points into the bytes it was read from. Immutable; any number of threads may search it. */
typedef struct hem__graph {
  hem__vectors vectors; /* borrowed */
  hem_distance distance;
  uint32_t ef_search;        /* photos whose links are followed, at least */
  const uint8_t *offsets;    /* in the file, not aligned: u64 [rows], where a row's links begin */
  const uint8_t *neighbours; /* likewise: i32 [slots], -1 behind the last of a list */
  size_t slots;
  size_t first[HEM__GRAPH_LEVELS + 1]; /* links of level l of a row are first[l] .. first[l + 1] of its own */
  uint32_t entry, top;                 /* the row at which searches begin, and the highest level, which is its */
  const uint8_t *codes;                /* in the file: u8 [rows][dim]; NULL: `vectors` are compared with */
  const uint8_t *trained;              /* likewise: float [2][dim], the lowest value and the range of a dimension */
  size_t used;                /* bytes that are read of the file; behind them lies FAISS's copy of the vectors */
  size_t dim;                 /* of what is compared: of a projection, or of the vectors */
  hem__projection projection; /* owned */
} hem__graph;

typedef struct hem__graph_source {
  const uint8_t *bytes; /* at any address; `used` of them must stay */
  size_t size;
  const char *name; /* for messages */
  hem_distance distance;
  hem__vectors vectors;
  uint32_t ef_search; /* 0: what the file says */
} hem__graph_source;

/* Checks every number, so that a search never leaves the bytes. Errors: ECORRUPT: it is not such a file, or not one of
 * these vectors and this distance; ENOMEM. */
hem_status hem__graph_read(const hem__graph_source *source, hem__graph *out, hem_error *err);
void hem__graph_clear(hem__graph *graph);

/* How much of the vectors' spread about their centre a projection keeps, 0 to 1, by some of them. Errors: ENOMEM. */
hem_status hem__graph_kept(const hem__graph *graph, double *share, hem_error *err);

/* One thread's working memory, for graphs of any size. Zeroed is empty. */
typedef struct hem__graph_scratch {
  uint8_t *seen; /* seen[row] == round: the row has been met */
  uint8_t round;
  hem__near *pool; /* the nearest so far, nearest first */
  float *scaled;   /* a query as codes see it, and behind that its projection */
  int16_t *whole;  /* for projecting it */
  size_t seen_capacity, pool_capacity, scaled_capacity, whole_capacity;
} hem__graph_scratch;

/* Makes room to ask this graph for k rows. */
hem_status hem__graph_reserve(const hem__graph *graph, size_t k, hem__graph_scratch *scratch, hem_error *err);
void hem__graph_scratch_clear(hem__graph_scratch *scratch);

/* Leaves the k nearest rows that it finds in scratch->pool, nearest first, and returns how many: fewer than k where
 * links lead to no more. Keys are those of hem__keys, or with codes rough ones. No allocation. */
size_t hem__graph_search(const hem__graph *graph, const float *query, size_t k, hem__graph_scratch *scratch);

#endif
