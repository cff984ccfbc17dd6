/* Many queries at once get the answers that they get one by one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/make_learned.h"

enum { DIM = 16, ITEMS = 900, QUERIES = 60 };

static hem__made made = {.dim = DIM};

/* A store with or without a metric, and what is asked of it. */
typedef struct scene {
  hem_engine *engine;
  hem_searcher *searcher;
  float queries[QUERIES * DIM];
} scene;

static scene open_scene(bool learned, const char *kind) {
  static const char *folder;
  static size_t stores;
  char name[32];
  scene s = {0};
  uint64_t state = 3;
  if (!folder) {
    folder = hem__test_folder();
    hem__test_shop(&made, ITEMS, 2, 9);
  }
  snprintf(name, sizeof name, "store-%zu", ++stores);
  hem__metric *metric = hem__test_learned(HEM__TEST_TOWER, DIM, HEM_L2, 3);
  hem_index_options options = {.kind = kind, .rerank = learned ? 64 : 0};
  char *store = learned ? hem__test_learned_store(&made, metric, folder, name, options)
                        : hem__made_store(&made, folder, name, options);
  ck_ok(hem_engine_open(store, NULL, &s.engine, err));
  ck_ok(hem_searcher_new(s.engine, &s.searcher, err));
  for (size_t i = 0; i < QUERIES * DIM; i++) s.queries[i] = hem__test_normal(&state);
  hem__metric_free(metric);
  free(store);
  return s;
}

static void close_scene(scene *s) {
  hem_searcher_free(s->searcher);
  hem_engine_close(s->engine);
}

static void check_same(const hem_answer *got, const hem_answer *want, size_t query) {
  if (got->found != want->found || got->wanted != want->wanted || got->shortfall != want->shortfall ||
      got->gallery != want->gallery || got->scored != want->scored || got->no_match != want->no_match)
    ck_abort_msg("query %zu: %zu hits of %zu instead of %zu", query, got->found, got->wanted, want->found);
  for (size_t i = 0; i < want->found; i++)
    if (memcmp(&got->hits[i], &want->hits[i], sizeof *want->hits) != 0)
      ck_abort_msg("query %zu, place %zu: row %zu instead of %zu", query, i, (size_t)got->hits[i].row,
                   (size_t)want->hits[i].row);
}

static void check_batches(scene *s, hem_search_options o) {
  static const size_t threads[] = {1, 2, 5, 0}, counts[] = {0, 1, 2, 7, QUERIES, 3};
  hem_answer answers[QUERIES], alone;
  o.size = sizeof o;
  for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
    hem_batch *batch = NULL;
    ck_ok(hem_batch_new(s->engine, threads[t], &batch, err));
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      ck_ok(hem_batch_search(batch, s->queries, counts[c], DIM, &o, answers, err));
      for (size_t i = 0; i < counts[c]; i++) {
        ck_ok(hem_search(s->searcher, s->queries + i * DIM, DIM, &o, &alone, err));
        check_same(&answers[i], &alone, i);
      }
    }
    hem_batch_free(batch);
  }
}

static void check_store(bool learned, const char *kind) {
  static const char *const label[] = {"l2"};
  scene s = open_scene(learned, kind);
  check_batches(&s, (hem_search_options){0});
  check_batches(&s, (hem_search_options){.k = 3, .photos = true, .exact = true});
  check_batches(&s, (hem_search_options){.k = 100000, .labels = label, .label_count = 1});
  close_scene(&s);
}

START_TEST(a_batch_answers_as_one_by_one) {
  check_store(false, "flat");
  check_store(false, "hnsw");
  check_store(true, "flat");
}
END_TEST

START_TEST(options_may_be_left_out) {
  scene s = open_scene(false, "flat");
  hem_batch *batch = NULL;
  hem_answer answers[2];
  ck_ok(hem_batch_new(s.engine, 2, &batch, err));
  ck_ok(hem_batch_search(batch, s.queries, 2, DIM, NULL, answers, err));
  ck_assert(answers[0].found == 20 && answers[1].found == 20);
  hem_batch_free(batch);
  close_scene(&s);
}
END_TEST

/* Whichever thread comes to it first, and whatever it is that fails. */
START_TEST(the_first_query_that_fails_is_named) {
  scene s = open_scene(false, "flat");
  hem_batch *batch = NULL;
  hem_answer answers[QUERIES] = {{.found = 77}};
  ck_ok(hem_batch_new(s.engine, 3, &batch, err));
  for (size_t round = 0; round < 200; round++) {
    float kept = s.queries[21 * DIM];
    s.queries[21 * DIM] = s.queries[22 * DIM] = s.queries[40 * DIM] = NAN;
    ck_fails(hem_batch_search(batch, s.queries, QUERIES, DIM, NULL, answers, err), HEM_EINVAL, "query 21: ");
    ck_assert_uint_eq(answers[0].found, 77);
    s.queries[21 * DIM] = s.queries[22 * DIM] = s.queries[40 * DIM] = kept;
  }
  ck_fails(hem_batch_search(batch, s.queries, 2, DIM - 1, NULL, answers, err), HEM_EMISMATCH, "query 0: ");
  hem_search_options o = {.k = 100001, .size = sizeof o};
  ck_fails(hem_batch_search(batch, s.queries, 2, DIM, &o, answers, err), HEM_EINVAL, "100000");
  o.size = 3;
  ck_fails(hem_batch_search(batch, s.queries, 2, DIM, &o, answers, err), HEM_EINVAL, "hem_search_options.size");
  ck_fails(hem_batch_search(batch, NULL, 2, DIM, NULL, answers, err), HEM_EINVAL, "NULL");
  ck_fails(hem_batch_search(batch, s.queries, SIZE_MAX / 2, DIM, NULL, answers, err), HEM_EINVAL, "fit");
  ck_ok(hem_batch_search(batch, s.queries, QUERIES, DIM, NULL, answers, err)); /* and the next call is whole again */
  ck_assert_uint_eq(answers[QUERIES - 1].found, 20);
  hem_batch_free(batch);
  close_scene(&s);
}
END_TEST

START_TEST(a_batch_that_never_searched_ends) {
  scene s = open_scene(false, "flat");
  hem_batch *batch = NULL;
  ck_ok(hem_batch_new(s.engine, 8, &batch, err));
  hem_batch_free(batch);
  hem_batch_free(NULL);
  ck_fails(hem_batch_new(NULL, 1, &batch, err), HEM_EINVAL, "NULL");
  close_scene(&s);
}
END_TEST

HEM_TESTS("batch", a_batch_answers_as_one_by_one, options_may_be_left_out, the_first_query_that_fails_is_named,
          a_batch_that_never_searched_ends)
