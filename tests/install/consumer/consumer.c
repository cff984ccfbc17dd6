/* A program as a user of the installed library writes it: opens a store and asks with a grey square. */
#include <hemline.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what, const hem_error *err) {
  fprintf(stderr, "%s: %s: %s\n", what, hem_status_name(err->code), err->message);
  return 1;
}

static int ask(const hem_engine *engine, hem_searcher *searcher) {
  hem_engine_info info;
  hem_error err;
  hem_answer answer;
  hem_search_options options = {0};
  float *vector;
  size_t i;
  hem_engine_info_get(engine, &info);
  vector = (float *)malloc(info.dim * sizeof *vector);
  if (!vector) return 1;
  for (i = 0; i < info.dim; i++) vector[i] = 0.5F;
  options.size = sizeof options;
  options.k = 3;
  hem_status status = hem_search(searcher, vector, info.dim, &options, &answer, &err);
  free(vector);
  if (status) return fail("hem_search", &err);
  for (i = 0; i < answer.found; i++)
    printf("%s\t%s\t%s\t%g\n", answer.hits[i].item_id, answer.hits[i].category, answer.hits[i].path,
           (double)answer.hits[i].distance);
  return answer.found == 3 ? 0 : 1;
}

int main(int argc, char **argv) {
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  hem_error err;
  int code = 1;
  if (argc != 2) return 2;
  if (hem_engine_open(argv[1], NULL, &engine, &err)) {
    code = fail("hem_engine_open", &err);
  } else if (hem_searcher_new(engine, &searcher, &err)) {
    code = fail("hem_searcher_new", &err);
  } else {
    code = ask(engine, searcher);
  }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  return code;
}
