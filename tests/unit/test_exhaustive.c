/* evaluate --exhaustive: what must hold of its figures whatever the machine. */
#include <math.h>
#include <string.h>

#include "bench/exhaustive.h"
#include "bench/recall.h"
#include "support/make_learned.h"

enum { DIM = 16, ITEMS = 600 };

typedef struct scene {
  hem__made made;
  hem__metric *metric;
  hem_engine *engine;
  hem__catalog *catalog;
} scene;

static scene set_scene(const hem__metric *metric) {
  scene s = {.made = {.dim = DIM}};
  const char *folder = hem__test_folder();
  hem__test_shop(&s.made, ITEMS, 2, 6);
  char *catalog = hem__test_path(folder, "catalog.h5"),
       *store = metric ? hem__test_learned_store(&s.made, metric, folder, "store",
                                                 (hem_index_options){.precision = "f16", .rerank = 40})
                       : hem__made_store(&s.made, folder, "store", (hem_index_options){0});
  ck_ok(hem_engine_open(store, NULL, &s.engine, err));
  ck_ok(hem__catalog_open(catalog, &s.catalog, err));
  free(catalog);
  free(store);
  return s;
}

static void clear_scene(scene *s) {
  hem__catalog_close(s->catalog);
  hem_engine_close(s->engine);
  hem__made_clear(&s->made);
}

START_TEST(the_ways_are_what_they_say) {
  hem__metric *metric = hem__test_learned(HEM__TEST_CONCAVE, DIM, HEM_L2, 3);
  scene s = set_scene(metric);
  hem__exhaustive e;
  hem_engine_info info;
  hem_engine_info_get(s.engine, &info);
  ck_ok(hem__exhaustive_measure(s.engine, s.catalog, &(hem__exhaustive_options){.timed_limit = 5}, &e, err));
  const hem__way_result *plain = &e.ways[HEM__WAY_PLAIN], *exact = &e.ways[HEM__WAY_EXACT],
                        *all = &e.ways[HEM__WAY_EXHAUSTIVE], *usual = &e.ways[HEM__WAY_DEFAULT];
  ck_assert(e.gallery == info.photos && e.queries == ITEMS / 5 && e.timed == 5 && !e.leave_one_out);
  ck_assert(e.accuracy_queries == ITEMS / 5);
  ck_assert(all->overlap.overlap == 1 && all->scored == (double)e.gallery && all->faster == 1);
  ck_assert_msg(exact->overlap.overlap >= 0.995, "%g", exact->overlap.overlap); /* half floats round */
  ck_assert(exact->scored < all->scored && exact->scored >= 20);
  ck_assert(usual->scored < all->scored && usual->overlap.overlap > plain->overlap.overlap);
  ck_assert(plain->scored == 0);
  for (hem__way w = 0; w < HEM__WAYS; w++) {
    const hem__way_result *way = &e.ways[w];
    ck_assert(way->overlap.low <= way->overlap.overlap && way->overlap.overlap <= way->overlap.high);
    ck_assert(way->median_us > 0 && way->faster > 0);
    for (size_t i = 1; i < HEM__ITEM_CUTS; i++) ck_assert(way->right[i] >= way->right[i - 1]);
    ck_assert(way->right[HEM__ITEM_CUTS - 1] <= e.accuracy_queries);
  }
  clear_scene(&s);
  hem__metric_free(metric);
}
END_TEST

START_TEST(items_that_the_metric_saw_are_not_counted) {
  hem__metric *metric = hem__test_learned(HEM__TEST_L1, DIM, HEM_L1, 3);
  scene first = set_scene(metric);
  size_t seen = 0;
  for (size_t i = 0; i < first.made.photos.count && !seen; i++)
    if (first.made.photos.at[i].domain == HEM__CONSUMER) seen = i;
  ck_ok(hem__alloc(1, sizeof *metric->seen, "items", &metric->seen, err));
  metric->seen[metric->seen_count++] = hem__item_key(first.made.photos.at[seen].item_id);
  clear_scene(&first);
  scene s = set_scene(metric);
  hem__exhaustive e;
  ck_ok(hem__exhaustive_measure(s.engine, s.catalog, &(hem__exhaustive_options){.timed_limit = 1}, &e, err));
  ck_assert_uint_eq(e.accuracy_queries, ITEMS / 5 - 1);
  clear_scene(&s);
  hem__metric_free(metric);
}
END_TEST

START_TEST(a_store_without_a_metric_is_told_what_to_do) {
  scene s = set_scene(NULL);
  hem__exhaustive e;
  ck_fails(hem__exhaustive_measure(s.engine, s.catalog, &(hem__exhaustive_options){0}, &e, err), HEM_EUNSUPPORTED,
           "--metric");
  clear_scene(&s);
}
END_TEST

/* Recall is of the index: what the metric makes of its answer is another matter. */
START_TEST(recall_of_a_store_with_a_metric_is_that_of_its_index) {
  hem__metric *metric = hem__test_learned(HEM__TEST_FREE, DIM, HEM_L2, 3);
  scene s = set_scene(metric);
  hem__recall_row *rows = NULL;
  size_t count;
  ck_ok(hem__recall_measure(s.engine, s.catalog, &(hem__recall_options){0}, &rows, &count, err));
  for (size_t i = 0; i < count; i++) ck_assert(rows[i].recall == 1); /* flat */
  free(rows);
  clear_scene(&s);
  hem__metric_free(metric);
}
END_TEST

HEM_TESTS("exhaustive", the_ways_are_what_they_say, items_that_the_metric_saw_are_not_counted,
          a_store_without_a_metric_is_told_what_to_do, recall_of_a_store_with_a_metric_is_that_of_its_index)
