/* What each feature costs a hit, against the definition by hand. */
#include <math.h>
#include <string.h>

#include "query/engine.h"
#include "query/explain.h"
#include "query/rows.h"
#include "support/make_learned.h"

enum { DIM = 12, FIRST = 5 }; /* two blocks: of 5 and of 7 values */

typedef struct scene {
  hem__made made;
  hem__metric *metric;
  hem_engine *engine;
  hem_searcher *searcher;
  hem__catalog *catalog;
} scene;

static scene set_scene(hem__test_kind kind) {
  scene s = {.made = {.dim = DIM, .block_count = 2}, .metric = hem__test_learned(kind, DIM, HEM_L2, 2)};
  const char *folder = hem__test_folder();
  s.made.blocks[0] = (hem__block){.name = "shape", .dim = FIRST};
  s.made.blocks[1] = (hem__block){.name = "color", .offset = FIRST, .dim = DIM - FIRST};
  hem__test_shop(&s.made, 80, 1, 4);
  char *store = hem__test_learned_store(&s.made, s.metric, folder, "store", (hem_index_options){.rerank = 30}),
       *catalog = hem__test_path(folder, "catalog.h5");
  ck_ok(hem_engine_open(store, NULL, &s.engine, err));
  ck_ok(hem_searcher_new(s.engine, &s.searcher, err));
  ck_ok(hem__catalog_open(catalog, &s.catalog, err));
  free(store);
  free(catalog);
  return s;
}

static void clear_scene(scene *s) {
  hem_searcher_free(s->searcher);
  hem_engine_close(s->engine);
  hem__catalog_close(s->catalog);
  hem__metric_free(s->metric);
  hem__made_clear(&s->made);
}

static double score(const hem__metric *m, const float *a, const float *b) {
  float ta[DIM], tb[DIM];
  ck_ok(hem__metric_project(m, a, 1, ta, err));
  ck_ok(hem__metric_project(m, b, 1, tb, err));
  return hem__metric_score(m, ta, tb);
}

START_TEST(an_effect_is_what_a_block_costs) {
  for (hem__test_kind kind = 0; kind < HEM__TEST_KINDS; kind++) {
    scene s = set_scene(kind);
    const float *query = hem__made_vector(&s.made, 3);
    hem_search_options o = {.size = sizeof o, .k = 5};
    hem_answer answer;
    ck_ok(hem_search(s.searcher, query, DIM, &o, &answer, err));
    for (size_t i = 0; i < answer.found; i++) {
      hem__explanation e;
      const float *photo = hem__made_vector(&s.made, answer.hits[i].row);
      float mixed[DIM];
      ck_ok(hem__explain(s.engine, s.catalog, 0, query, &answer.hits[i], &e, err));
      ck_assert_double_eq_tol(e.score, score(s.metric, query, photo), 1e-6);
      ck_assert_double_eq_tol(e.score, (double)answer.hits[i].score, 0.1); /* of bytes */
      memcpy(mixed, query, sizeof mixed);
      memcpy(mixed, photo, FIRST * sizeof *mixed);
      ck_assert_double_eq_tol(e.effects[0], e.score - score(s.metric, mixed, photo), 1e-6);
      memcpy(mixed, photo, sizeof mixed);
      memcpy(mixed, query, FIRST * sizeof *mixed);
      ck_assert_double_eq_tol(e.effects[1], e.score - score(s.metric, mixed, photo), 1e-6);
      if (kind == HEM__TEST_L1) ck_assert(e.effects[0] <= 1e-9 && e.effects[1] <= 1e-9);
    }
    clear_scene(&s);
  }
}
END_TEST

START_TEST(what_is_not_there_is_not_explained) {
  scene s = set_scene(HEM__TEST_CONCAVE);
  hem_hit hit = {.row = s.made.photos.count};
  hem__explanation e;
  ck_fails(hem__explain(s.engine, s.catalog, 0, hem__made_vector(&s.made, 0), &hit, &e, err), HEM_ENOTFOUND, "no row");
  hem_engine *plain = NULL;
  char *store = hem__made_store(&s.made, hem__test_folder(), "plain", (hem_index_options){0});
  ck_ok(hem_engine_open(store, NULL, &plain, err));
  hit.row = 0;
  ck_fails(hem__explain(plain, s.catalog, 0, hem__made_vector(&s.made, 0), &hit, &e, err), HEM_EUNSUPPORTED,
           "no metric");
  hem_searcher *searcher = NULL;
  hem_answer answer;
  ck_ok(hem_searcher_new(plain, &searcher, err));
  hem_search_options o = {.size = sizeof o, .min_probability = 0.5};
  ck_fails(hem_search(searcher, hem__made_vector(&s.made, 0), DIM, &o, &answer, err), HEM_EINVAL, "no metric");
  hem_searcher_free(searcher);
  hem_engine_close(plain);
  free(store);
  clear_scene(&s);
}
END_TEST

HEM_TESTS("explain", an_effect_is_what_a_block_costs, what_is_not_there_is_not_explained)
