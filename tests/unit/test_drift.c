/* Drift: the arithmetic against values known otherwise, and answers that are, and are not, what the catalogue's are. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/drift.h"
#include "support/make_catalog.h"

enum { N = 1000 };

START_TEST(gap_between_two_distributions) {
  const double a[] = {1, 2, 3, 4}, b[] = {3, 4, 5, 6}, c[] = {1, 1, 1, 9};
  ck_assert_double_eq_tol(hem__ks_distance(a, 4, a, 4), 0, 1e-15);
  ck_assert_double_eq_tol(hem__ks_distance(a, 4, b, 4), 0.5, 1e-15);
  ck_assert_double_eq_tol(hem__ks_distance(b, 4, a, 4), 0.5, 1e-15);
  ck_assert_double_eq_tol(hem__ks_distance(a, 4, c, 4), 0.5, 1e-15); /* ties count together */
  ck_assert_double_eq_tol(hem__ks_distance(a, 2, b, 4), 1, 1e-15);
}
END_TEST

/* Kolmogorov's function, from tables: Q(0.5) = 0.963945, Q(1) = 0.27, Q(1.36) = 0.0495, Q(2) = 0.00067. */
START_TEST(chance_of_a_gap) {
  const double lambdas[] = {0.5, 1, 1.36, 2}, wanted[] = {0.963945, 0.269999, 0.049486, 0.000670925};
  for (size_t i = 0; i < 4; i++) {
    double root = sqrt(N * N / (2.0 * N));
    double distance = lambdas[i] / (root + 0.12 + 0.11 / root);
    ck_assert_double_eq_tol(hem__ks_p_value(distance, N, N), wanted[i], 2e-6);
  }
  ck_assert_double_eq_tol(hem__ks_p_value(0, 10, 10), 1, 1e-15);
  ck_assert_double_eq_tol(hem__ks_p_value(1, N, N), 0, 1e-12);
}
END_TEST

START_TEST(stability_is_zero_for_the_same_and_grows_with_the_shift) {
  double a[N], b[N], before = 0;
  for (size_t i = 0; i < N; i++) a[i] = (double)i;
  ck_assert_double_eq_tol(hem__stability_index(a, N, a, N), 0, 1e-12);
  for (double shift = 50; shift < 1000; shift += 150) {
    for (size_t i = 0; i < N; i++) b[i] = (double)i + shift;
    double index = hem__stability_index(a, N, b, N);
    ck_assert_double_gt(index, before);
    ck_assert(isfinite(index));
    before = index;
  }
  /* By hand: two tenths' worth of the expected, of which the asked have 0.15 and 0.05 each, as counts of 1,000. */
  for (size_t i = 0; i < N; i++) b[i] = i < 150 ? 0 : i < 200 ? 150 : (double)i;
  double low = 150.5 / 1005, high = 50.5 / 1005, even = 100.5 / 1005;
  double wanted = (low - even) * log(low / even) + (high - even) * log(high / even);
  ck_assert_double_eq_tol(hem__stability_index(a, N, b, N), wanted, 1e-12);
}
END_TEST

/* ---- a store and what was collected ---- */

enum { ITEMS = 60, DIM = 4 };

static char *make_store(const char *folder) {
  hem__made made = {.dim = DIM};
  uint64_t random = 11;
  for (size_t i = 0; i < 2 * ITEMS; i++) {
    float vector[DIM];
    char item[16];
    snprintf(item, sizeof item, "i%zu", i / 2);
    for (size_t d = 0; d < DIM; d++) vector[d] = hem__test_normal(&random);
    hem__made_add(&made, (hem__photo){.item_id = item, .domain = i % 2 ? HEM__CONSUMER : HEM__SHOP}, vector);
  }
  char *store = hem__made_store(&made, folder, "store", (hem_index_options){0});
  hem__made_clear(&made);
  return store;
}

/* What a server would have kept of questions that lie `stretch` times as far out. */
static char *collect(const char *folder, const hem_engine *engine, float stretch, const char *space_hash) {
  char *collected = hem__test_path(folder, "collected"), *path;
  hem_searcher *searcher = NULL;
  uint64_t random = 5;
  mkdir(collected, 0700);
  path = hem__test_path(collected, "answers-000001.jsonl");
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t i = 0; i < 200; i++) {
    float vector[DIM];
    hem_answer answer;
    for (size_t d = 0; d < DIM; d++) vector[d] = stretch * hem__test_normal(&random);
    ck_ok(hem_search(searcher, vector, DIM, NULL, &answer, err));
    fprintf(file,
            "{\"time\":\"2026-11-%02zuT10:00:00.000Z\",\"space_hash\":\"%s\",\"hits\":[{\"category\":\"all\","
            "\"distance\":%.9g}]}\n",
            1 + i / 100, space_hash, (double)answer.hits[0].distance);
  }
  fputs("not JSON\n{\"time\":\"x\"}\n", file);
  ck_assert_int_eq(fclose(file), 0);
  hem_searcher_free(searcher);
  free(path);
  return collected;
}

typedef struct scene {
  char *store, *collected;
  hem_engine *engine;
  hem_engine_info info;
  hem__catalog *catalog;
} scene;

static scene set(float stretch, bool foreign) {
  const char *folder = hem__test_folder();
  char *catalog = hem__test_path(folder, "catalog.h5");
  scene s = {.store = make_store(folder)};
  ck_ok(hem_engine_open(s.store, NULL, &s.engine, err));
  hem_engine_info_get(s.engine, &s.info);
  s.collected = collect(folder, s.engine, stretch, foreign ? "another" : s.info.space_hash);
  ck_ok(hem__catalog_open(catalog, &s.catalog, err));
  free(catalog);
  return s;
}

static void strike(scene *s) {
  hem__catalog_close(s->catalog);
  hem_engine_close(s->engine);
  free(s->collected);
  free(s->store);
}

START_TEST(questions_like_the_catalogues_own_do_not_drift) {
  scene s = set(1, false);
  hem__drift d;
  ck_ok(hem__drift_measure(s.engine, s.catalog, s.collected, 0, &d, err));
  ck_assert(d.customers);
  ck_assert_uint_eq(d.all.asked_count, 200);
  ck_assert_uint_eq(d.all.expected_count, ITEMS);
  ck_assert_int_eq(d.all.verdict, HEM__DRIFT_NONE);
  ck_assert(isnan(d.all.no_match));
  ck_assert_uint_eq(d.other, 2);
  ck_assert_uint_eq(d.category_count, 1);
  ck_assert_uint_eq(d.day_count, 2);
  ck_assert_str_eq(d.days[0].name, "2026-11-01");
  ck_assert_uint_eq(d.days[1].asked_count, 100);
  hem__drift_clear(&d);
  strike(&s);
}
END_TEST

START_TEST(questions_from_farther_away_drift) {
  scene s = set(4, false);
  hem__drift d;
  ck_ok(hem__drift_measure(s.engine, s.catalog, s.collected, 0, &d, err));
  ck_assert_int_eq(d.all.verdict, HEM__DRIFT_LARGE);
  ck_assert_double_gt(d.all.asked_median, d.all.expected_median);
  ck_assert_int_eq(d.days[0].verdict, HEM__DRIFT_LARGE);
  hem__drift_clear(&d);
  strike(&s);
}
END_TEST

START_TEST(answers_of_another_space_are_not_compared) {
  scene s = set(1, true);
  hem__drift d;
  ck_fails(hem__drift_measure(s.engine, s.catalog, s.collected, 0, &d, err), HEM_ENOTFOUND, "--collect");
  ck_fails(hem__drift_measure(s.engine, s.catalog, "/no/such/folder", 0, &d, err), HEM_ENOTFOUND, "/no/such");
  strike(&s);
}
END_TEST

HEM_TESTS("drift", gap_between_two_distributions, chance_of_a_gap,
          stability_is_zero_for_the_same_and_grows_with_the_shift, questions_like_the_catalogues_own_do_not_drift,
          questions_from_farther_away_drift, answers_of_another_space_are_not_compared)
