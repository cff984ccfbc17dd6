/* Which of the settings that were tried serves (index/tuning.c), how sure a recall is, and the file they are kept in.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "index/tuning.h"
#include "test.h"

/* ---- the choice ---- */

static hem__tuned_point point(double low, double median_us, uint64_t bytes) {
  return (hem__tuned_point){.kind = "hnsw",
                            .recall = low,
                            .low = low,
                            .high = low,
                            .median_us = median_us,
                            .p99_us = median_us,
                            .bytes = bytes};
}

START_TEST(the_fastest_that_reaches_the_recall_serves) {
  const hem__tuned_point at[] = {point(0.90, 10, 5), point(0.995, 40, 5), point(0.99, 20, 9), point(1, 100, 1)};
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.recall = 0.99, .above = -1}), 2);
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.recall = 0.99, .bytes = 5, .above = -1}), 1);
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.recall = 0.99, .above = 0.992}), 1);
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.recall = 0.999, .above = -1}), 3);
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.recall = 0.99, .latency_us = 19, .above = -1}),
                    SIZE_MAX);
}
END_TEST

START_TEST(without_a_recall_the_surest_that_the_limits_allow_serves) {
  const hem__tuned_point at[] = {point(0.90, 10, 5), point(0.995, 40, 5), point(0.995, 20, 9), point(1, 100, 9)};
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.latency_us = 50, .above = -1}), 2);
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.latency_us = 50, .bytes = 8, .above = -1}), 1);
  ck_assert_uint_eq(hem__tuning_choose(at, 4, &(hem__tuned_limits){.latency_us = 9, .above = -1}), SIZE_MAX);
}
END_TEST

START_TEST(of_equally_fast_ones_the_smallest_serves) {
  const hem__tuned_point at[] = {point(0.99, 100, 50), point(0.99, 101.9, 10), point(0.99, 102.1, 1)};
  ck_assert_uint_eq(hem__tuning_choose(at, 3, &(hem__tuned_limits){.recall = 0.99, .above = -1}), 1);
}
END_TEST

static double uniform(uint64_t *state) {
  *state = *state * 6364136223846793005U + 1442695040888963407U;
  return (double)(*state >> 11) / 9007199254740992.0;
}

/* What the choice promises, by looking at every pair. */
static void check_choice(const hem__tuned_point *at, size_t count, const hem__tuned_limits *l) {
  size_t chosen = hem__tuning_choose(at, count, l);
  bool any = false;
  for (size_t i = 0; i < count; i++) {
    bool fine = at[i].low >= l->recall && at[i].recall > l->above &&
                (l->latency_us == 0 || at[i].median_us <= l->latency_us) && (l->bytes == 0 || at[i].bytes <= l->bytes);
    any = any || fine;
    if (!fine) {
      ck_assert_uint_ne(i, chosen);
      continue;
    }
    ck_assert_uint_ne(chosen, SIZE_MAX);
    const hem__tuned_point *best = &at[chosen];
    if (l->recall == 0) ck_assert(best->low >= at[i].low);
    if (l->recall == 0 && at[i].low < best->low) continue;
    ck_assert(best->median_us <= 1.02 * at[i].median_us);
    if (at[i].median_us <= best->median_us) ck_assert(best->bytes <= at[i].bytes);
  }
  ck_assert(any == (chosen != SIZE_MAX));
}

START_TEST(the_choice_is_that_of_brute_force) {
  enum { ROUNDS = 20000, MOST = 12 };
  hem__tuned_point at[MOST];
  uint64_t state = 7;
  for (size_t round = 0; round < ROUNDS; round++) {
    size_t count = (size_t)(uniform(&state) * (MOST + 1));
    for (size_t i = 0; i < count; i++) {
      at[i] = point(floor(uniform(&state) * 8) / 8, floor(uniform(&state) * 30) / 3 + 1,
                    (uint64_t)(uniform(&state) * 5) + 1);
      at[i].recall = fmin(at[i].low + floor(uniform(&state) * 3) / 16, 1);
    }
    hem__tuned_limits l = {.above = -1};
    if (uniform(&state) < 0.7) l.recall = floor(uniform(&state) * 8) / 8;
    if (uniform(&state) < 0.5) l.latency_us = uniform(&state) * 11;
    if (uniform(&state) < 0.5) l.bytes = (uint64_t)(uniform(&state) * 6);
    if (uniform(&state) < 0.3) l.above = uniform(&state);
    check_choice(at, count, &l);
  }
}
END_TEST

START_TEST(the_front_is_what_nothing_beats) {
  hem__tuned_point at[] = {point(0.9, 10, 5), point(0.9, 11, 5), point(0.95, 12, 5), point(0.8, 10, 4),
                           point(0.9, 10, 5)};
  bool front[5];
  hem__tuning_front(at, 5, front);
  ck_assert(front[0] && !front[1] && front[2] && front[3] && front[4]);
  at[1].high = at[1].recall = 1;
  hem__tuning_front(at, 5, front);
  ck_assert(front[1]);
}
END_TEST

/* ---- memory ---- */

START_TEST(a_limit_for_the_store_is_shared_by_photos) {
  const hem__tuned_size sizes[] = {{.photos = 3000}, {.photos = 10, .fixed = 200}, {.photos = 1000}};
  ck_assert_uint_eq(hem__tuning_share(1000, sizes, 3, 0), 600);
  ck_assert_uint_eq(hem__tuning_share(1000, sizes, 3, 1), 0);
  ck_assert_uint_eq(hem__tuning_share(1000, sizes, 3, 2), 200);
  ck_assert_uint_eq(hem__tuning_share(0, sizes, 3, 0), 0);
  ck_assert_uint_eq(hem__tuning_share(200, sizes, 3, 0), 1);
  /* Where nobody has a choice, the limit still holds. */
  const hem__tuned_size fixed[] = {{.photos = 30, .fixed = 300}, {.photos = 10, .fixed = 100}};
  ck_assert_uint_eq(hem__tuning_share(400, fixed, 2, 0), 300);
  ck_assert_uint_eq(hem__tuning_share(400, fixed, 2, 1), 100);
}
END_TEST

/* ---- messages ---- */

START_TEST(what_is_not_possible_comes_with_what_is) {
  hem__tuned_point at[] = {point(0.981, 195, 2048), point(0.99, 260, 4096), point(1, 900, 1024)};
  hem__tuned_category c = {.name = "dress", .points = at, .count = 3, .queries = 300};
  hem_error *err = &(hem_error){0};
  ck_assert_int_eq(
      hem__tuning_impossible(&c, &(hem__tuned_limits){.recall = 0.99, .latency_us = 200, .above = -1}, err),
      HEM_EUNSUPPORTED);
  ck_assert_str_eq(err->message,
                   "category 'dress': recall 0.99 within 200 us is not possible: the best there is 0.9810 (0.9810 for "
                   "sure) at 195.0 us; possible is 0.9900 (0.9900 for sure) at 260.0 us: ask for less, or allow more");
  hem__tuning_impossible(&c, &(hem__tuned_limits){.recall = 0.99, .latency_us = 300, .bytes = 100, .above = -1}, err);
  ck_assert_ptr_nonnull(strstr(err->message,
                               "nothing answers within 300 us and 100 bytes; 0.9900 (0.9900 for sure) at "
                               "260.0 us in 4 KiB is possible"));
  hem__tuning_impossible(&c, &(hem__tuned_limits){.recall = 0.99, .latency_us = 20, .bytes = 1024, .above = -1}, err);
  ck_assert_ptr_nonnull(strstr(err->message, "at 900.0 us in 1 KiB is possible"));
  at[2].low = 0.9;
  hem__tuning_impossible(&c, &(hem__tuned_limits){.recall = 0.999, .above = -1}, err);
  ck_assert_ptr_nonnull(strstr(err->message, "300 queries are too few"));
}
END_TEST

/* ---- how sure ---- */

/* The share of repetitions whose one-sided bound holds: queries fail wholly (`share` of them), or place by place. */
static double coverage(double truth, bool wholly, size_t queries, double z) {
  enum { ROUNDS = 2000, PLACES = 10 };
  uint64_t state = 99;
  size_t held = 0;
  for (size_t round = 0; round < ROUNDS; round++) {
    hem__tuned_tally t = {.queries = queries, .total = (double)queries * PLACES};
    for (size_t i = 0; i < queries; i++) {
      double right = 0;
      if (wholly) {
        right = uniform(&state) < truth ? PLACES : 0;
      } else {
        for (size_t j = 0; j < PLACES; j++) right += uniform(&state) < truth;
      }
      t.right += right;
      t.squares += right * right;
    }
    double low, high;
    hem__tuned_interval(&t, z, &low, &high);
    ck_assert(low >= 0 && low <= t.right / t.total && t.right / t.total <= high && high <= 1);
    held += low <= truth;
  }
  return (double)held / ROUNDS;
}

START_TEST(a_lower_bound_holds_as_often_as_it_says) {
  ck_assert_double_ge(coverage(0.95, false, 200, 1.645), 0.93);
  ck_assert_double_ge(coverage(0.95, true, 200, 1.645), 0.93); /* not so if places counted as trials */
  ck_assert_double_ge(coverage(0.9, true, 300, 1.645), 0.93);
  ck_assert_double_ge(coverage(0.995, true, 150, 1.645), 0.93); /* one half of the times nothing is lost */
  ck_assert_double_ge(coverage(0.995, true, 150, 1.96), 0.96);
  ck_assert_double_ge(coverage(0.98, true, 100, 1.96), 0.96);
}
END_TEST

START_TEST(of_nothing_nothing_is_known) {
  double low = 9, high = 9;
  hem__tuned_interval(&(hem__tuned_tally){0}, 1.96, &low, &high);
  ck_assert(low == 0 && high == 1);
  hem__tuned_interval(&(hem__tuned_tally){.right = 10, .total = 10, .squares = 100, .queries = 1}, 1.96, &low, &high);
  ck_assert(low == 0 && high == 1);
  hem__tuned_interval(&(hem__tuned_tally){.right = 3000, .total = 3000, .squares = 30000, .queries = 300}, 1.645, &low,
                      &high);
  ck_assert_double_eq_tol(low, 1 - 2.145 / 300, 1e-4);
}
END_TEST

/* ---- the file ---- */

static hem__tuned_point points[2] = {{.kind = "hnsw-sq8",
                                      .ef_search = 48,
                                      .refine = 2,
                                      .recall = 0.9931,
                                      .low = 0.991,
                                      .high = 0.995,
                                      .median_us = 123.456789,
                                      .p99_us = 400.25,
                                      .bytes = 123456789},
                                     {.kind = "flat", .recall = 1, .low = 1, .high = 1, .median_us = 900, .bytes = 1}};
static hem__tuned_category categories[1] = {
    {.name = "coat \"\xC3\xA4\"",
     .photos = 1200,
     .queries = 300,
     .points = points,
     .count = 2,
     .promise = {.overlap = 0.9925, .low = 0.99, .high = 0.995, .queries = 150, .k = 10},
     .noise = 0.0625}};
static const hem__tuning sample = {.k = 10,
                                   .target_recall = 0.99,
                                   .max_latency_us = 500,
                                   .max_memory = 1U << 30,
                                   .categories = categories,
                                   .category_count = 1};

static char *print_sample(size_t *size) {
  char *json = NULL;
  ck_ok(hem__tuning_print(&sample, &json, size, err));
  return json;
}

START_TEST(what_was_printed_reads_back) {
  size_t size, again_size;
  char *json = print_sample(&size), *again = NULL;
  hem__tuning t;
  ck_ok(hem__tuning_parse(json, size, "tuning.json", &t, err));
  ck_assert_uint_eq(t.category_count, 1);
  ck_assert_uint_eq(t.max_latency_us, 500);
  ck_assert_uint_eq(t.max_memory, 1U << 30);
  ck_assert(!t.reranked && t.target_recall == 0.99 && t.k == 10);
  const hem__tuned_category *c = &t.categories[0];
  ck_assert_str_eq(c->name, categories[0].name);
  ck_assert_uint_eq(c->count, 2);
  ck_assert_uint_eq(c->promise.queries, 150);
  ck_assert_str_eq(c->points[0].kind, "hnsw-sq8");
  ck_assert_uint_eq(c->points[0].ef_search, 48);
  ck_assert_uint_eq(c->points[0].refine, 2);
  ck_assert_uint_eq(c->points[0].bytes, 123456789);
  ck_assert_double_eq_tol(c->points[0].median_us, 123.456789, 1e-5);
  ck_ok(hem__tuning_print(&t, &again, &again_size, err));
  ck_assert_uint_eq(size, again_size);
  ck_assert_mem_eq(json, again, size);
  hem__tuning_clear(&t);
  free(json);
  free(again);
}
END_TEST

static hem_status parse(const json_t *root, hem_error *err) {
  hem__tuning t;
  char *text = json_dumps(root, 0);
  hem_status status = hem__tuning_parse(text, strlen(text), "tuning.json", &t, err);
  if (!status) hem__tuning_clear(&t);
  free(text);
  return status;
}

static json_t *sample_json(void) {
  size_t size;
  char *text = print_sample(&size);
  json_t *root = json_loadb(text, size, 0, NULL);
  ck_assert_ptr_nonnull(root);
  free(text);
  return root;
}

/* Every field of an object: missing, and of another kind. */
static void check_fields(json_t *root, json_t *object) {
  size_t count = json_object_size(object);
  for (size_t i = 0; i < count; i++) {
    void *at = json_object_iter(object);
    for (size_t j = 0; j < i; j++) at = json_object_iter_next(object, at);
    char *key = strdup(json_object_iter_key(at));
    json_t *value = json_incref(json_object_iter_value(at));
    json_t *odd[] = {NULL, json_true(), json_real(-1), json_real(1e300), json_integer(INT64_MAX), json_string("")};
    for (size_t j = 0; j < sizeof odd / sizeof *odd; j++) {
      hem_error err = {0};
      if (!strcmp(key, "bytes") || !strcmp(key, "queries") || !strcmp(key, "max_memory"))
        if (j == 4) continue; /* INT64_MAX of these may be */
      if (!strcmp(key, "name") && j == 5) continue;
      if (odd[j]) {
        json_object_set(object, key, odd[j]);
      } else {
        json_object_del(object, key);
      }
      hem_status status = parse(root, &err);
      ck_assert_msg(status == HEM_ECORRUPT || status == HEM_EVERSION, "%s, %zu: %d", key, j, status);
      ck_assert_ptr_nonnull(strstr(err.message, "tuning.json"));
    }
    json_object_set(object, key, value);
    json_decref(value);
    for (size_t j = 0; j < sizeof odd / sizeof *odd; j++) json_decref(odd[j]);
    free(key);
  }
}

START_TEST(every_field_is_checked) {
  json_t *root = sample_json(), *category = json_array_get(json_object_get(root, "categories"), 0);
  ck_ok(parse(root, err));
  check_fields(root, root);
  check_fields(root, category);
  check_fields(root, json_object_get(category, "promise"));
  check_fields(root, json_array_get(json_object_get(category, "points"), 1));
  ck_ok(parse(root, err));
  json_object_set_new(category, "chosen", json_integer(2));
  ck_fails(parse(root, err), HEM_ECORRUPT, "chosen");
  json_decref(root);
}
END_TEST

START_TEST(odd_values_are_refused) {
  json_t *root = sample_json(), *category = json_array_get(json_object_get(root, "categories"), 0),
         *first = json_array_get(json_object_get(category, "points"), 0);
  json_object_set_new(first, "kind", json_string("a kind whose name is too long"));
  ck_fails(parse(root, err), HEM_ECORRUPT, "kind");
  json_object_set_new(first, "kind", json_string("hnsw"));
  json_object_set_new(first, "low", json_real(0.999));
  ck_fails(parse(root, err), HEM_ECORRUPT, "recall");
  json_object_set_new(first, "low", json_real(0.5));
  json_object_set_new(root, "version", json_integer(2));
  ck_fails(parse(root, err), HEM_EVERSION, "version 2");
  json_object_set_new(root, "format", json_string("hemline generation"));
  ck_fails(parse(root, err), HEM_EVERSION, "tuning.json");
  json_decref(root);
}
END_TEST

HEM_TESTS("tuning", the_fastest_that_reaches_the_recall_serves,
          without_a_recall_the_surest_that_the_limits_allow_serves, of_equally_fast_ones_the_smallest_serves,
          the_choice_is_that_of_brute_force, the_front_is_what_nothing_beats, a_limit_for_the_store_is_shared_by_photos,
          what_is_not_possible_comes_with_what_is, a_lower_bound_holds_as_often_as_it_says, of_nothing_nothing_is_known,
          what_was_printed_reads_back, every_field_is_checked, odd_values_are_refused)
