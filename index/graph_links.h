/* Inside a graph: numbers and links in the bytes of its file. For graph*.c. */
#ifndef HEM_INDEX_GRAPH_LINKS_H
#define HEM_INDEX_GRAPH_LINKS_H

#include <string.h>

#include "index/graph.h"

typedef struct hem__links {
  const uint8_t *at;
  size_t count;
} hem__links;

static inline uint32_t hem__get32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline uint64_t hem__get64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline hem__links hem__links_of(const hem__graph *g, uint32_t row, size_t level) {
  size_t from = hem__get64(g->offsets + 8 * (size_t)row) + g->first[level];
  return (hem__links){.at = g->neighbours + 4 * from, .count = g->first[level + 1] - g->first[level]};
}

#endif
