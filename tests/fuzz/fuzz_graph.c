/* A graph: read or refused; what was read can be searched, at any address. */
#include "fuzz/fuzz.h"
#include "index/graph.h"

enum { ROWS = 40, DIM = 3, K = 8 };

static void search(const hem__graph *graph) {
  hem__graph_scratch scratch = {0};
  HEM__FUZZ_ASSERT(hem__graph_reserve(graph, K, &scratch, NULL) == HEM_OK);
  for (uint32_t i = 0; i < ROWS; i++) {
    size_t found = hem__graph_search(graph, graph->vectors.at + i * DIM, K, &scratch);
    HEM__FUZZ_ASSERT(found >= 1 && found <= K);
    for (size_t j = 0; j < found; j++) HEM__FUZZ_ASSERT(scratch.pool[j].row < ROWS);
  }
  hem__graph_scratch_clear(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static float values[ROWS * DIM];
  uint8_t *copy = hem__fuzz_copy(data, size);
  for (size_t i = 0; i < ROWS * DIM; i++) values[i] = (float)(i * i % 97); /* those of the corpus */
  for (int distance = 0; distance < 4; distance++) {
    hem__graph graph;
    hem_error err = {0};
    hem__graph_source source = {.bytes = copy,
                                .size = size,
                                .name = "fuzz",
                                .distance = (hem_distance)distance,
                                .vectors = {.at = values, .rows = ROWS, .dim = DIM}};
    if (hem__graph_read(&source, &graph, &err) == HEM_OK) {
      graph.ef_search = (uint32_t)hem__min(graph.ef_search, 2 * ROWS);
      search(&graph);
      hem__graph_clear(&graph);
    } else {
      HEM__FUZZ_ASSERT(err.code == HEM_ECORRUPT && strstr(err.message, "fuzz"));
    }
  }
  free(copy);
  return 0;
}
