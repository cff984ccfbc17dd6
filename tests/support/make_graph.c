#include "support/make_graph.h"

#include "test.h"

static hem__map write_index(const hem__faiss *index) {
  static const char *folder;
  if (!folder) folder = hem__test_folder();
  char *path = hem__test_path(folder, "graph.faiss");
  hem__aside *file = NULL;
  hem__map map;
  ck_ok(hem__aside_new(path, &file, err));
  ck_ok(hem__faiss_write(index, file, err));
  ck_ok(hem__aside_publish(file, NULL, NULL, err));
  hem__aside_free(file);
  ck_ok(hem__map_open(path, &map, err));
  free(path);
  return map;
}

void hem__make_graph(const char *factory, hem_distance distance, hem__matrix vectors, uint32_t ef_search,
                     hem__made_graph *out) {
  hem__faiss_recipe recipe = {.factory = factory, .distance = distance};
  *out = (hem__made_graph){0};
  ck_ok(hem__faiss_build(&recipe, vectors, &out->faiss, err));
  ck_ok(hem__faiss_set(out->faiss, "efSearch", ef_search, err));
  out->file = write_index(out->faiss);
  hem__graph_source source = {.bytes = out->file.at,
                              .size = out->file.size,
                              .name = "graph.faiss",
                              .distance = distance,
                              .vectors = hem__floats(vectors),
                              .ef_search = ef_search};
  ck_ok(hem__graph_read(&source, &out->graph, err));
}

void hem__made_graph_clear(hem__made_graph *made) {
  hem__faiss_free(made->faiss);
  hem__graph_clear(&made->graph);
  hem__map_close(&made->file);
  *made = (hem__made_graph){0};
}
