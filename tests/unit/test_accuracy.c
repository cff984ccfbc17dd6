/* Top-k accuracy against an oracle that ranks each gallery by a full sort; Wilson's interval against known values.
 *
 * Vectors are small whole numbers, so that L1 and L2 have no error and ties are many. For cosine they are 1 and -1. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/accuracy.h"
#include "support/make_catalog.h"

enum { DIM = 20, PHOTOS = 400, APPROACHES = 3 };

static const hem__block blocks[2] = {{.name = "first", .offset = 0, .dim = 4},
                                     {.name = "second", .offset = 4, .dim = 16}};
static const char *const categories[] = {"a", "b", "c"};

typedef struct scene {
  bool consumers, signs; /* signs: values 1 and -1 only */
  size_t items;          /* 0: every photo is an item of its own */
  size_t splits;         /* 0: no splits */
} scene;

static hem__made make(const scene *s, uint64_t state) {
  hem__made made = {.dim = DIM, .block_count = 2};
  memcpy(made.blocks, blocks, sizeof blocks);
  for (size_t i = 0; i < PHOTOS; i++) {
    char item[32], label[32];
    float v[DIM];
    snprintf(item, sizeof item, "i%zu", s->items ? (size_t)(hem__test_random(&state) % s->items) : i);
    snprintf(label, sizeof label, "l%zu", (size_t)(hem__test_random(&state) % 7));
    hem__test_signs(&state, DIM, v);
    for (size_t j = 0; j < DIM && !s->signs; j++) v[j] = (float)(hem__test_random(&state) % 3);
    hem__photo photo = {.item_id = item, .label = label, .category = categories[hem__test_random(&state) % 3]};
    if (s->consumers && hem__test_random(&state) % 3 == 0) photo.domain = HEM__CONSUMER;
    if (s->splits) photo.split = (uint8_t)(hem__test_random(&state) % s->splits);
    hem__made_add(&made, photo, v);
  }
  return made;
}

/* ---- the oracle ---- */

typedef struct ranked {
  double key;
  size_t row;
} ranked;

static int by_key_then_row(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->row < y->row ? -1 : 1;
}

static double key_of(hem_distance distance, const float *a, const float *b, size_t from, size_t to) {
  double l1 = 0, l2 = 0, dot = 0, aa = 0, bb = 0;
  for (size_t i = from; i < to; i++) {
    double x = a[i], y = b[i];
    l1 += fabs(x - y);
    l2 += (x - y) * (x - y);
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return distance == HEM_L1 ? l1 : distance == HEM_L2 ? l2 : aa * bb > 0 ? -dot / sqrt(aa * bb) : 0;
}

/* 1 - C(G-R, k) / C(G, k), by logarithms of factorials. */
static double chance_of(size_t right, size_t gallery, size_t k) {
  if (k > gallery) k = gallery;
  if (gallery - right < k) return 1;
  double g = (double)gallery, r = (double)right, n = (double)k;
  return 1 - exp(lgamma(g - r + 1) - lgamma(g - r - n + 1) - lgamma(g + 1) + lgamma(g - n + 1));
}

typedef struct tally {
  size_t queries, without, gallery, right[HEM__CUTS];
  double chance[HEM__CUTS];
} tally;

/* What is asked: rows of one approach, distance and category, by item or by label. */
typedef struct question {
  const hem__made *made;
  const hem__accuracy_options *options;
  bool by_label, leave_one_out;
  hem_distance distance;
  size_t from, to; /* of the vector */
} question;

static bool fits(const hem__photo *photo, const char *category, uint8_t domain, int split) {
  return photo->domain == domain && !strcmp(photo->category, category) && (split < 0 || photo->split == split);
}

static bool is_right(const question *q, size_t a, size_t b) {
  const hem__photo *x = &q->made->photos.at[a], *y = &q->made->photos.at[b];
  return !strcmp(q->by_label ? x->label : x->item_id, q->by_label ? y->label : y->item_id);
}

static void ask(const question *q, const char *category, size_t query, tally *t) {
  ranked order[PHOTOS];
  size_t count = 0, right = 0, place = SIZE_MAX;
  const float *vector = hem__made_vector(q->made, query);
  for (size_t i = 0; i < PHOTOS; i++)
    if (i != query && fits(&q->made->photos.at[i], category, HEM__SHOP, q->options->gallery_split))
      order[count++] = (ranked){key_of(q->distance, vector, hem__made_vector(q->made, i), q->from, q->to), i};
  qsort(order, count, sizeof *order, by_key_then_row);
  for (size_t i = 0; i < count; i++) {
    if (!is_right(q, query, order[i].row)) continue;
    right++;
    if (place == SIZE_MAX) place = i;
  }
  t->gallery = count;
  t->queries += right > 0;
  t->without += right == 0;
  for (size_t c = 0; c < HEM__CUTS && right; c++) {
    t->right[c] += place < hem__cuts[c];
    t->chance[c] += chance_of(right, count, hem__cuts[c]);
  }
}

/* Sums over one category, or all of them. */
static tally count(const question *q, const char *category) {
  tally all = {0};
  for (size_t c = 0; c < 3; c++) {
    tally t = {0};
    if (strcmp(category, "all") != 0 && strcmp(category, categories[c]) != 0) continue;
    for (size_t i = 0; i < PHOTOS; i++)
      if (fits(&q->made->photos.at[i], categories[c], q->leave_one_out ? HEM__SHOP : HEM__CONSUMER,
               q->options->query_split))
        ask(q, categories[c], i, &t);
    all.queries += t.queries;
    all.without += t.without;
    all.gallery += t.gallery;
    for (size_t k = 0; k < HEM__CUTS; k++) all.right[k] += t.right[k];
    for (size_t k = 0; k < HEM__CUTS; k++) all.chance[k] += t.chance[k];
  }
  for (size_t k = 0; k < HEM__CUTS && all.queries; k++) all.chance[k] /= (double)all.queries;
  return all;
}

static void check_row(const hem__accuracy_row *row, const question *q) {
  tally want = count(q, row->category);
  ck_assert_msg(row->queries == want.queries && row->without == want.without && row->gallery == want.gallery,
                "%s %s %s: %zu queries, %zu without, gallery %zu instead of %zu, %zu, %zu", row->category,
                row->approach, hem_distance_name(row->distance), row->queries, row->without, row->gallery, want.queries,
                want.without, want.gallery);
  for (size_t k = 0; k < HEM__CUTS; k++) {
    ck_assert_msg(row->right[k] == want.right[k], "%s %s %s: top-%zu %zu instead of %zu", row->category, row->approach,
                  hem_distance_name(row->distance), hem__cuts[k], row->right[k], want.right[k]);
    ck_assert_double_eq_tol(row->chance[k], want.chance[k], 1e-9);
  }
}

/* ---- measured ---- */

static hem__catalog *open_made(const hem__made *made) {
  static const char *folder;
  hem__catalog *catalog = NULL;
  if (!folder) folder = hem__test_folder();
  char *path = hem__test_path(folder, "catalog.h5");
  hem__made_seal(made, path);
  ck_ok(hem__catalog_open(path, &catalog, err));
  free(path);
  return catalog;
}

/* Rows by category, then approach, then distance, "all" last: every row as the oracle has it. */
static void check_scene(const scene *s, hem__accuracy_options o, bool by_label) {
  static const char *const approaches[APPROACHES] = {"first", "second", "made"};
  static const size_t from[APPROACHES] = {0, 4, 0}, to[APPROACHES] = {4, 20, 20};
  static const hem_distance distances[] = {HEM_L1, HEM_L2, HEM_COSINE};
  hem__made made = make(s, 1);
  hem__catalog *catalog = open_made(&made);
  hem__accuracy result;
  ck_ok(hem__accuracy_measure(catalog, &o, &result, err));
  ck_assert_int_eq(result.by_label, by_label);
  ck_assert_int_eq(result.leave_one_out, !s->consumers);
  ck_assert_uint_eq(result.row_count, 4 * APPROACHES * 3);
  for (size_t i = 0; i < result.row_count; i++) {
    const hem__accuracy_row *row = &result.rows[i];
    size_t c = i / 9, a = i / 3 % 3;
    question q = {&made, &o, by_label, !s->consumers, distances[i % 3], from[a], to[a]};
    ck_assert_str_eq(row->category, c < 3 ? categories[c] : "all");
    ck_assert_str_eq(row->approach, approaches[a]);
    ck_assert_int_eq(row->distance, distances[i % 3]);
    /* All vectors of 1 and -1 are of one length: equal cosines are then equal after rounding, too. */
    if (row->distance != HEM_COSINE || s->signs) check_row(row, &q);
  }
  hem__accuracy_clear(&result);
  hem__catalog_close(catalog);
  hem__made_clear(&made);
}

static const hem__accuracy_options any = {.query_split = -1, .gallery_split = -1};

START_TEST(customers_ask_for_their_item) {
  for (int signs = 0; signs < 2; signs++)
    check_scene(&(scene){.consumers = true, .signs = signs, .items = 150}, any, false);
}
END_TEST

START_TEST(customers_ask_for_a_label) {
  hem__accuracy_options o = any;
  o.match = HEM__MATCH_LABEL;
  check_scene(&(scene){.consumers = true, .signs = true, .items = 150}, o, true);
}
END_TEST

START_TEST(without_customers_shop_photos_ask_for_the_others) {
  for (int signs = 0; signs < 2; signs++) check_scene(&(scene){.signs = signs, .items = 150}, any, false);
}
END_TEST

START_TEST(where_no_item_has_two_photos_labels_are_asked_for) {
  check_scene(&(scene){.signs = true}, any, true);
  check_scene(&(scene){.consumers = true, .signs = true}, any, true);
}
END_TEST

START_TEST(splits_are_kept_apart) {
  hem__accuracy_options o = {.query_split = 1, .gallery_split = 2};
  check_scene(&(scene){.consumers = true, .signs = true, .items = 30, .splits = 3}, o, false);
  o.query_split = -1;
  check_scene(&(scene){.consumers = true, .signs = true, .items = 30, .splits = 3}, o, false);
}
END_TEST

/* The query is not in its gallery then: nothing is to be subtracted. */
START_TEST(shop_photos_of_one_split_ask_another) {
  hem__accuracy_options o = {.query_split = 1, .gallery_split = 2};
  check_scene(&(scene){.signs = true, .items = 30, .splits = 3}, o, false);
  o.gallery_split = 1;
  check_scene(&(scene){.signs = true, .items = 30, .splits = 3}, o, false);
}
END_TEST

START_TEST(threads_do_not_change_the_result) {
  for (size_t threads = 1; threads <= 3; threads++) {
    hem__accuracy_options o = any;
    o.threads = threads;
    check_scene(&(scene){.consumers = true, .items = 150}, o, false);
  }
}
END_TEST

START_TEST(a_limit_asks_fewer_queries) {
  hem__made made = make(&(scene){.items = 100}, 1);
  hem__catalog *catalog = open_made(&made);
  hem__accuracy_options o = any;
  hem__accuracy result;
  o.query_limit = 10;
  ck_ok(hem__accuracy_measure(catalog, &o, &result, err));
  for (size_t i = 0; i < 27; i++) ck_assert_uint_eq(result.rows[i].queries + result.rows[i].without, 10);
  ck_assert_uint_eq(result.rows[27].queries + result.rows[27].without, 30);
  hem__accuracy_clear(&result);
  hem__catalog_close(catalog);
  hem__made_clear(&made);
}
END_TEST

START_TEST(nothing_to_ask_is_an_error) {
  hem__made made = make(&(scene){0}, 1);
  hem__catalog *catalog = open_made(&made);
  hem__accuracy_options o = any;
  hem__accuracy result;
  o.match = HEM__MATCH_ITEM;
  ck_fails(hem__accuracy_measure(catalog, &o, &result, err), HEM_ENOTFOUND, "right photo");
  o.query_split = HEM__TEST;
  ck_fails(hem__accuracy_measure(catalog, &o, &result, err), HEM_ENOTFOUND, "no photos to query with");
  hem__catalog_close(catalog);
  hem__made_clear(&made);
}
END_TEST

START_TEST(photos_without_labels_are_right_for_nobody) {
  hem__made made = {.dim = 4};
  for (size_t i = 0; i < 6; i++) hem__made_add(&made, (hem__photo){0}, (float[4]){(float)i, 1, 0, 0});
  hem__catalog *catalog = open_made(&made);
  hem__accuracy_options o = any;
  hem__accuracy result;
  ck_fails(hem__accuracy_measure(catalog, &o, &result, err), HEM_ENOTFOUND, "right photo");
  hem__catalog_close(catalog);
  hem__made_clear(&made);
}
END_TEST

static bool stop(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)context, (void)stage, (void)unit;
  ck_assert(done <= total);
  return false;
}

START_TEST(a_stop_is_obeyed) {
  hem__made made = make(&(scene){.items = 100}, 1);
  hem__catalog *catalog = open_made(&made);
  hem__accuracy_options o = any;
  hem__accuracy result;
  o.progress.report = stop;
  ck_fails(hem__accuracy_measure(catalog, &o, &result, err), HEM_ECANCELED, "evaluate");
  hem__catalog_close(catalog);
  hem__made_clear(&made);
}
END_TEST

/* ---- Wilson ---- */

/* The interval's ends solve (p - rate)^2 = z^2 p (1 - p) / n (Wilson 1927): checked by putting them in. */
static void check_root(double p, size_t right, size_t total) {
  double n = (double)total, rate = (double)right / n, z = 1.959963984540054;
  ck_assert_double_eq_tol((p - rate) * (p - rate), z * z * p * (1 - p) / n, 1e-12);
}

START_TEST(wilson_gives_the_known_intervals) {
  static const struct {
    size_t right, total;
    double low, high;
  } known[] = {{8, 10, 0.490162, 0.943318},
               {0, 10, 0, 0.277533},
               {10, 10, 0.722467, 1},
               {1, 1, 0.206549, 1},
               {50, 100, 0.403832, 0.596168}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    double low, high;
    hem__wilson(known[i].right, known[i].total, &low, &high);
    ck_assert_double_eq_tol(low, known[i].low, 1e-6);
    ck_assert_double_eq_tol(high, known[i].high, 1e-6);
  }
}
END_TEST

START_TEST(wilson_solves_its_equation) {
  for (size_t total = 1; total <= 60; total++)
    for (size_t right = 0; right <= total; right++) {
      double low, high;
      hem__wilson(right, total, &low, &high);
      double rate = (double)right / (double)total;
      ck_assert(0 <= low && low <= rate + 1e-12 && rate - 1e-12 <= high && high <= 1);
      check_root(low, right, total);
      check_root(high, right, total);
    }
}
END_TEST

START_TEST(wilson_of_nothing_is_everything) {
  double low, high;
  hem__wilson(0, 0, &low, &high);
  ck_assert(low == 0 && high == 1);
}
END_TEST

HEM_TESTS("accuracy", customers_ask_for_their_item, customers_ask_for_a_label,
          without_customers_shop_photos_ask_for_the_others, where_no_item_has_two_photos_labels_are_asked_for,
          splits_are_kept_apart, shop_photos_of_one_split_ask_another, threads_do_not_change_the_result,
          a_limit_asks_fewer_queries, nothing_to_ask_is_an_error, photos_without_labels_are_right_for_nobody,
          a_stop_is_obeyed, wilson_gives_the_known_intervals, wilson_solves_its_equation,
          wilson_of_nothing_is_everything)
