/* Recall: exactly 1 where the index is exact, less where it is set to be bad, and an interval around it. */
#include <stdio.h>
#include <string.h>

#include "bench/recall.h"
#include "support/make_catalog.h"

enum { DIM = 16, PHOTOS = 2400 };

static const char *shared_folder(void) {
  static const char *folder;
  if (!folder) folder = hem__test_folder();
  return folder;
}

/* Two categories, the second too small for an index. */
static hem__made make(bool consumers, uint64_t state) {
  hem__made made = {.dim = DIM};
  for (size_t i = 0; i < PHOTOS; i++) {
    float v[DIM];
    for (size_t j = 0; j < DIM; j++) v[j] = hem__test_normal(&state);
    hem__photo photo = {.category = i % 4 ? "large" : "small"};
    if (consumers && i % 5 == 0) photo.domain = HEM__CONSUMER;
    hem__made_add(&made, photo, v);
  }
  return made;
}

typedef struct measured {
  hem_engine *engine;
  hem__catalog *catalog;
  hem__recall_row *rows;
  size_t count;
} measured;

static measured measure(const hem__made *made, hem_index_options index, hem__recall_options options) {
  static size_t stores;
  char name[32], *path = hem__test_path(shared_folder(), "catalog.h5");
  measured m = {0};
  snprintf(name, sizeof name, "store-%zu", ++stores);
  char *store = hem__made_store(made, shared_folder(), name, index);
  ck_ok(hem_engine_open(store, NULL, &m.engine, err));
  ck_ok(hem__catalog_open(path, &m.catalog, err));
  ck_ok(hem__recall_measure(m.engine, m.catalog, &options, &m.rows, &m.count, err));
  ck_assert_uint_eq(m.count, 3);
  ck_assert_str_eq(m.rows[0].category, "large");
  ck_assert_str_eq(m.rows[1].category, "small");
  ck_assert_str_eq(m.rows[2].category, "all");
  free(store);
  free(path);
  return m;
}

static void finish(measured *m) {
  free(m->rows);
  hem__catalog_close(m->catalog);
  hem_engine_close(m->engine);
}

START_TEST(an_exact_index_has_recall_one) {
  for (int consumers = 0; consumers < 2; consumers++) {
    hem__made made = make(consumers, 1);
    measured m = measure(&made, (hem_index_options){.kind = "flat"}, (hem__recall_options){.query_limit = 100});
    for (size_t i = 0; i < m.count; i++) {
      ck_assert(m.rows[i].recall == 1 && m.rows[i].low == 1 && m.rows[i].high == 1);
      ck_assert_str_eq(m.rows[i].kind, "flat");
      ck_assert_uint_eq(m.rows[i].k, 10);
      ck_assert_uint_eq(m.rows[i].queries, i < 2 ? 100 : 200);
      ck_assert(m.rows[i].median_us > 0 && m.rows[i].p99_us >= m.rows[i].median_us);
    }
    ck_assert_uint_eq(m.rows[0].gallery + m.rows[1].gallery, m.rows[2].gallery);
    ck_assert_uint_eq(m.rows[2].gallery, consumers ? PHOTOS - PHOTOS / 5 : PHOTOS);
    finish(&m);
    hem__made_clear(&made);
  }
}
END_TEST

/* The mean share of the k exact nearest that come back, asked through hem_search alone. */
static double recall_of(const measured *m, const hem__made *made, size_t k, size_t limit) {
  static const char *const large[] = {"large"};
  hem_searcher *searcher = NULL;
  size_t rows[PHOTOS], all = 0, held = 0;
  ck_ok(hem_searcher_new(m->engine, &searcher, err));
  for (size_t i = 0; i < PHOTOS; i++)
    if (made->photos.at[i].domain == HEM__CONSUMER && !strcmp(made->photos.at[i].category, "large")) rows[all++] = i;
  for (size_t q = 0; q < limit; q++) {
    hem_search_options o = {.size = sizeof o, .k = k, .categories = large, .category_count = 1, .photos = true};
    const float *vector = hem__made_vector(made, rows[q * all / limit]);
    uint64_t exact[100];
    hem_answer a;
    o.exact = true;
    ck_ok(hem_search(searcher, vector, DIM, &o, &a, err));
    for (size_t i = 0; i < k; i++) exact[i] = a.hits[i].row;
    o.exact = false;
    ck_ok(hem_search(searcher, vector, DIM, &o, &a, err));
    for (size_t i = 0; i < k; i++)
      for (size_t j = 0; j < k; j++) held += exact[i] == a.hits[j].row;
  }
  hem_searcher_free(searcher);
  return (double)held / (double)(k * limit);
}

START_TEST(a_bad_setting_is_seen_and_measured_right) {
  hem__made made = make(true, 2);
  measured m = measure(&made, (hem_index_options){.kind = "ivf", .nprobe = 1, .nlist = 30},
                       (hem__recall_options){.k = 10, .query_limit = 200});
  const hem__recall_row *large = &m.rows[0], *small = &m.rows[1], *all = &m.rows[2];
  ck_assert_str_eq(large->kind, "ivf");
  ck_assert_str_eq(small->kind, "flat");
  ck_assert_str_eq(all->kind, "ivf"); /* the largest category's */
  ck_assert(large->recall > 0.05 && large->recall < 0.9);
  ck_assert(large->low < large->recall && large->recall < large->high);
  ck_assert(large->high - large->low < 0.15);
  ck_assert_double_eq_tol(large->recall, recall_of(&m, &made, 10, 200), 1e-9);
  ck_assert(small->recall == 1);
  double queries = (double)(large->queries + small->queries);
  ck_assert_double_eq_tol(
      all->recall, (large->recall * (double)large->queries + small->recall * (double)small->queries) / queries, 1e-9);
  finish(&m);
  hem__made_clear(&made);
}
END_TEST

START_TEST(of_equals_any_will_do) {
  hem__made made = {.dim = DIM};
  float v[DIM] = {0};
  for (size_t i = 0; i < PHOTOS; i++) {
    v[0] = (float)(i % 3); /* 800 photos at each place */
    hem__made_add(&made, (hem__photo){.category = i % 4 ? "large" : "small"}, v);
  }
  measured m = measure(&made, (hem_index_options){.kind = "hnsw"}, (hem__recall_options){.query_limit = 50});
  ck_assert_double_ge(m.rows[0].recall, 0.999);
  finish(&m);
  hem__made_clear(&made);
}
END_TEST

START_TEST(another_catalogue_is_refused) {
  hem__made made = make(false, 1);
  measured m = measure(&made, (hem_index_options){.kind = "flat"}, (hem__recall_options){.query_limit = 1});
  char *path = hem__test_path(shared_folder(), "pixels.h5");
  hem__space space = {.name = "made", .features = "made", .recipe = "another recipe", .dim = DIM, .block_count = 1};
  hem__digest digest = hem__sha256_of(space.recipe, strlen(space.recipe));
  char hash[65];
  hem__digest_hex(&digest, hash);
  space.hash = hash;
  space.blocks[0] = (hem__block){.name = "made", .dim = DIM};
  hem__matrix vectors = {.at = made.vectors, .rows = PHOTOS, .dim = DIM};
  hem__catalog_part part = {.photos = made.photos.at, .count = made.photos.count, .vectors = &vectors};
  hem__photos none = {0};
  hem__catalog_content content = {
      .spaces = &space, .space_count = 1, .parts = &part, .part_count = 1, .rejected = &none};
  hem__catalog *other = NULL;
  hem__recall_row *rows = NULL;
  size_t count;
  ck_ok(hem__catalog_seal(path, &content, err));
  ck_ok(hem__catalog_open(path, &other, err));
  ck_fails(hem__recall_measure(m.engine, other, &(hem__recall_options){0}, &rows, &count, err), HEM_EMISMATCH,
           "index it again");
  ck_assert_ptr_null(rows);
  hem__catalog_close(other);
  free(path);
  finish(&m);
  hem__made_clear(&made);
}
END_TEST

HEM_TESTS("recall", an_exact_index_has_recall_one, a_bad_setting_is_seen_and_measured_right, of_equals_any_will_do,
          another_catalogue_is_refused)
