/* Graphs as FAISS writes them, for the tests that read them. */
#ifndef HEM_TESTS_SUPPORT_MAKE_GRAPH_H
#define HEM_TESTS_SUPPORT_MAKE_GRAPH_H

#include "index/faiss_index.h"
#include "index/graph.h"

typedef struct hem__made_graph {
  hem__faiss *faiss;
  hem__map file;
  hem__graph graph;
} hem__made_graph;

/* Builds and writes an index ("HNSW16", "HNSW16_SQ8", "PCA4,HNSW16_SQ8") with FAISS, and reads it both ways. OpenMP
 * must be held. */
void hem__make_graph(const char *factory, hem_distance distance, hem__matrix vectors, uint32_t ef_search,
                     hem__made_graph *out);
void hem__made_graph_clear(hem__made_graph *made);

#endif
