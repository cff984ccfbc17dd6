/* search STORE PHOTO...
 * search STORE --item ID...
 *
 * What in this shop is like that photo, or that item of its own? Shows what a program needs: an engine that is opened
 * once; a searcher and an embedder for each thread; answers; errors. Built with
 *
 *   cc search.c $(pkg-config --cflags --libs hemline) -o search */
#include <hemline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one thread asks with. */
typedef struct asker {
  const hem_engine *engine;
  hem_searcher *searcher;
  hem_embedder *embedder; /* NULL until a photo is asked with */
  float *vector;
} asker;

/* Embeds as the photos of the store were embedded: its own description says how. */
static hem_status embed(asker *a, const char *path, const hem_engine_info *info, hem_error *err) {
  hem_status status = HEM_OK;
  if (!a->embedder) status = hem_embedder_new(info->features, &a->embedder, err);
  if (!status && strcmp(hem_embedder_hash(a->embedder), info->space_hash) != 0) {
    err->code = HEM_EMISMATCH;
    snprintf(err->message, sizeof err->message, "this Hemline embeds otherwise than the store was: index it again");
    status = HEM_EMISMATCH;
  }
  return status ? status : hem_embedder_photo(a->embedder, path, a->vector, err);
}

static void print(const char *question, const hem_answer *answer) {
  printf("%s: %zu of %zu, %.3f ms%s\n", question, answer->found, answer->wanted,
         (double)(answer->candidates_ns + answer->rerank_ns) / 1e6, answer->no_match ? ", no match" : "");
  for (size_t i = 0; i < answer->found; i++) {
    const hem_hit *hit = &answer->hits[i];
    printf("  %2zu  %-24s %-12s %10.5g  %s", i + 1, hit->item_id, hit->category, (double)hit->distance, hit->path);
    if (answer->scored) printf("  p = %.2f", (double)hit->probability); /* the store has a metric */
    putchar('\n');
  }
}

static hem_status ask(asker *a, const char *question, bool is_item, hem_error *err) {
  hem_engine_info info;
  hem_answer answer;
  hem_search_options options = {.size = sizeof options, .k = 5};
  hem_status status;
  hem_engine_info_get(a->engine, &info);
  if (is_item) {
    status = hem_search_item(a->searcher, question, &options, &answer, err);
  } else {
    status = embed(a, question, &info, err);
    if (!status) status = hem_search(a->searcher, a->vector, info.dim, &options, &answer, err);
  }
  if (!status) print(question, &answer);
  return status;
}

int main(int argc, char **argv) {
  hem_engine *engine = NULL;
  hem_engine_info info = {0};
  asker a = {0};
  hem_error err = {0};
  bool items = argc > 2 && !strcmp(argv[2], "--item");
  if (argc < 3 + items) {
    fprintf(stderr, "usage: %s STORE PHOTO... | --item ID...\n", argv[0]);
    return 2;
  }
  hem_status status = hem_engine_open(argv[1], NULL, &engine, &err);
  if (!status) status = hem_searcher_new(engine, &a.searcher, &err);
  if (!status) {
    a.engine = engine;
    hem_engine_info_get(engine, &info);
    a.vector = calloc(info.dim, sizeof *a.vector);
    if (!a.vector) return 1;
    printf("generation %s: %llu photos of %llu items\n", info.generation, (unsigned long long)info.photos,
           (unsigned long long)info.items);
  }
  for (int i = 2 + items; i < argc && !status; i++) status = ask(&a, argv[i], items, &err);
  if (status) fprintf(stderr, "%s: %s\n", hem_status_name(status), err.message);
  free(a.vector);
  hem_embedder_free(a.embedder);
  hem_searcher_free(a.searcher);
  hem_engine_close(engine);
  return status ? 1 : 0;
}
