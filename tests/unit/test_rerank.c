/* Answers of a store with a metric against an oracle: every photo scored, a full sort, items grouped by hand. The
 * default path with all candidates, and the exact one with its bounds, must give the same answer to the last hit. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "query/engine.h"
#include "support/make_learned.h"

enum { DIM = 24, ITEMS = 700, CATEGORIES = 3, QUERIES = 3 };

static hem__made made = {.dim = DIM};
static const char *folder;

static void make_gallery(void) {
  if (made.photos.count) return;
  folder = hem__test_folder();
  hem__test_shop(&made, ITEMS, CATEGORIES, 5);
}

/* An open store and what its photos score. */
typedef struct opened {
  hem_engine *engine;
  hem_searcher *searcher;
  hem__learned_query asked;
  float *scaled;
  hem__test_kind kind;
} opened;

static opened open_store(hem__test_kind kind, hem_distance distance, const char *name, hem_index_options options) {
  opened o = {.kind = kind};
  make_gallery();
  hem__metric *metric = hem__test_learned(kind, DIM, distance, 7);
  char *store = hem__test_learned_store(&made, metric, folder, name, options);
  ck_ok(hem_engine_open(store, NULL, &o.engine, err));
  ck_ok(hem_searcher_new(o.engine, &o.searcher, err));
  ck_ok(hem__learned_query_new(&o.engine->learned, &o.asked, err));
  ck_ok(hem__alloc(metric->width, sizeof *o.scaled, "a query", &o.scaled, err));
  hem__metric_free(metric);
  free(store);
  return o;
}

static void close_store(opened *o) {
  hem__learned_query_clear(&o->asked);
  free(o->scaled);
  hem_searcher_free(o->searcher);
  hem_engine_close(o->engine);
}

/* ---- the oracle ---- */

typedef struct wanted {
  float score;
  const char *item;
  size_t row;
  double probability;
} wanted;

static int by_score_item_row(const void *a, const void *b) {
  const wanted *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  int items = strcmp(x->item, y->item);
  return items ? items : x->row < y->row ? -1 : x->row > y->row;
}

static bool is_labelled(const hem_search_options *o, const char *label) {
  for (size_t i = 0; i < o->label_count; i++)
    if (!strcmp(o->labels[i], label)) return true;
  return o->label_count == 0;
}

static bool is_searched(const hem_search_options *o, const char *category) {
  for (size_t i = 0; i < o->category_count; i++)
    if (!strcmp(o->categories[i], category)) return true;
  return o->category_count == 0;
}

/* Every photo's score, by the kernel, over the generation's own points; without those of `item`, and those that are not
 * to be in the answer. s->asked is the query. */
static size_t score_all(opened *s, const hem_search_options *o, const char *item, wanted *out) {
  static hem__near near[4 * ITEMS];
  const hem_engine *e = s->engine;
  hem__learned_scratch scratch = {0};
  size_t count = 0;
  for (size_t c = 0; c < e->category_count; c++) {
    const hem__category *category = &e->categories[c].shared;
    if (!is_searched(o, category->name)) continue;
    for (size_t i = 0; i < category->vectors.rows; i++) near[i].row = (uint32_t)i;
    ck_ok(hem__learned_score(&e->learned, category, &s->asked, near, category->vectors.rows, &scratch, err));
    for (size_t i = 0; i < category->vectors.rows; i++) {
      size_t photo = category->first + i;
      float score = scratch.scores[i];
      const char *of = e->gallery.text + e->gallery.item_id[e->gallery.item_of[photo]];
      if (o->leave_out && e->gallery.row[photo] == o->leave_out_row) continue;
      if ((item && !strcmp(of, item)) || !is_labelled(o, e->gallery.text + e->gallery.label[photo])) continue;
      out[count++] = (wanted){.score = score,
                              .item = of,
                              .row = e->gallery.row[photo],
                              .probability = hem__probability(&category->calibration->platt, (double)score)};
    }
  }
  hem__learned_scratch_clear(&scratch);
  qsort(out, count, sizeof *out, by_score_item_row);
  return count;
}

static size_t group(const hem_search_options *o, wanted *at, size_t count) {
  hem__set items = {0};
  size_t kept = 0;
  for (size_t i = 0; i < count && kept < o->k; i++) {
    if (at[i].probability < o->min_probability) continue;
    size_t before = items.count;
    ck_ok(hem__set_add(&items, at[i].item, NULL, err));
    if (o->photos || items.count > before) at[kept++] = at[i];
  }
  hem__set_clear(&items);
  return kept;
}

static const float *query_of(size_t number) {
  size_t met = 0;
  for (size_t i = 0; i < made.photos.count; i++)
    if (made.photos.at[i].domain == HEM__CONSUMER && met++ == number * 7) return hem__made_vector(&made, i);
  ck_abort_msg("no query %zu", number);
}

/* `query`, or `item`. */
static void check_asked(opened *s, const float *query, const char *item, hem_search_options o, const char *what) {
  static wanted want[4 * ITEMS];
  hem_answer answer;
  size_t all = score_all(s, &o, item, want);
  double best = want[0].probability;
  size_t count = group(&o, want, all);
  o.size = sizeof o;
  if (item) {
    ck_ok(hem_search_item(s->searcher, item, &o, &answer, err));
  } else {
    ck_ok(hem_search(s->searcher, query, DIM, &o, &answer, err));
  }
  ck_assert_msg(answer.found == count, "%s, k %zu: %zu hits instead of %zu", what, o.k, answer.found, count);
  for (size_t i = 0; i < count; i++) {
    const hem_hit *hit = &answer.hits[i];
    if (hit->row != want[i].row || hit->score != want[i].score)
      ck_abort_msg("%s, k %zu, place %zu: row %zu (%s, %.9g) instead of row %zu (%s, %.9g)", what, o.k, i,
                   (size_t)hit->row, hit->item_id, (double)hit->score, want[i].row, want[i].item,
                   (double)want[i].score);
    if (fabs((double)hit->probability - want[i].probability) > 1e-6) ck_abort_msg("%s: probability", what);
    if (hit->place == 0 || hit->place > answer.scored) ck_abort_msg("%s: place %u", what, hit->place);
  }
  ck_assert((answer.scored > 0 || count == 0) && (o.exact || answer.scored >= count));
  if (count && o.min_probability == 0)
    ck_assert_msg(answer.no_match == (best < answer.threshold), "%s: no match %d at %g", what, answer.no_match, best);
}

static void check_answer(opened *s, const float *query, hem_search_options o, const char *what) {
  ck_ok(hem__learned_ask(&s->engine->learned, query, &s->asked, s->scaled, err));
  check_asked(s, query, NULL, o, what);
}

/* ---- items that ask ---- */

/* The stored point of a photo is the one its embedding has; behind a tower a product of many rows was rounded
 * otherwise. Leaves it in s->asked. */
static void check_point(opened *s, const hem__category *c, size_t row, const float *vector) {
  const hem__learned *l = &s->engine->learned;
  size_t bytes = hem__scorer_row_bytes(l->scorer), width = l->metric->width;
  bool same = s->kind != HEM__TEST_TOWER;
  uint8_t *coded = malloc(bytes);
  float *scaled = malloc(width * sizeof *scaled);
  ck_ok(hem__learned_ask(l, vector, &s->asked, s->scaled, err));
  memcpy(coded, s->asked.coded, bytes);
  memcpy(scaled, s->scaled, width * sizeof *scaled);
  hem__learned_ask_row(l, c, row, &s->asked, s->scaled);
  if (same) ck_assert(!memcmp(coded, s->asked.coded, bytes) && !memcmp(scaled, s->scaled, width * sizeof *scaled));
  for (size_t i = 0; i < width; i++) {
    if (fabsf(scaled[i] - s->scaled[i]) > 1e-5F) ck_abort_msg("value %zu: %g", i, (double)(scaled[i] - s->scaled[i]));
    if (l->precision == HEM__U8 && abs(coded[i] - ((uint8_t *)s->asked.coded)[i]) > 1) ck_abort_msg("byte %zu", i);
  }
  free(coded);
  free(scaled);
}

/* Items with one and with several photos, of each category. */
static void check_items(opened *s, const char *what) {
  static const char *const few[] = {"l3", "l0"};
  const hem_engine *e = s->engine;
  for (size_t i = 0; i < 12; i++) {
    const hem__category *c = &e->categories[i % CATEGORIES].shared;
    size_t row = i * 29 % c->vectors.rows;
    const char *item = e->gallery.text + e->gallery.item_id[e->gallery.item_of[c->first + row]];
    while (row && e->gallery.item_of[c->first + row - 1] == e->gallery.item_of[c->first + row]) row--;
    check_point(s, c, row, hem__made_vector(&made, e->gallery.row[c->first + row]));
    for (int options = 0; options < 8; options++) {
      hem_search_options o = {.k = options & 1 ? 500 : 20,
                              .exact = options & 2,
                              .rerank = options & 2 ? 0 : 100000,
                              .labels = few,
                              .label_count = options & 4 ? 2 : 0,
                              .photos = i % 2};
      check_asked(s, NULL, item, o, what);
    }
  }
}

/* ---- bounds ---- */

/* No score of the gallery is above its bound, wherever the line touches; how far above, on average, bounds lie. */
static void check_bounds(hem__test_kind kind, const char *precision) {
  opened s = open_store(kind, HEM_L2, "bounds", (hem_index_options){.precision = precision, .rerank = 64});
  const hem_engine *e = s.engine;
  hem__learned_scratch scratch = {0};
  hem__bounds bounds = {0};
  ck_ok(hem__bounds_prepare(&e->learned, e->gallery.items, &bounds, err));
  for (size_t q = 0; q < QUERIES; q++) {
    const hem__category *c = &e->categories[q % CATEGORIES].shared;
    size_t row_bytes = hem__scorer_row_bytes(e->learned.scorer), touched = q * 131 % c->vectors.rows;
    ck_ok(hem__learned_ask(&e->learned, query_of(q), &s.asked, s.scaled, err));
    hem__bounds_lay(&e->learned, &s.asked, c->points + touched * row_bytes, &bounds);
    ck_ok(hem__bounds_values(c, &s.asked, NULL, c->vectors.rows, &scratch.kernel, &bounds, err));
    for (size_t i = 0; i < c->vectors.rows; i++) {
      hem__near near = {.row = (uint32_t)i};
      ck_ok(hem__learned_score(&e->learned, c, &s.asked, &near, 1, &scratch, err));
      float gap = bounds.values[i] - scratch.scores[0];
      if (!(gap >= 0)) ck_abort_msg("kind %d, %s, row %zu: %g above its bound", (int)kind, precision, i, (double)-gap);
      if (i == touched && kind != HEM__TEST_FREE)
        ck_assert_msg(gap < 0.01, "kind %d, %s: %g where the line touches", (int)kind, precision, (double)gap);
    }
  }
  hem__bounds_clear(&bounds);
  hem__learned_scratch_clear(&scratch);
  close_store(&s);
}

START_TEST(no_score_is_above_its_bound) {
  for (hem__test_kind kind = 0; kind < HEM__TEST_KINDS; kind++) {
    check_bounds(kind, "u8");
    check_bounds(kind, "f16");
  }
}
END_TEST

/* ---- every choice ---- */

static const char *const some[][2] = {{NULL}, {"c1"}, {"c2", "c0"}};
static const size_t some_counts[] = {0, 1, 2}, ks[] = {1, 2, 20, 150, 5000};
static const char *const labels[] = {"l5", "l1", "l5"};

static void check_choices(opened *s, hem_search_options base, const char *what) {
  for (size_t c = 0; c < 3; c++)
    for (size_t k = 0; k < sizeof ks / sizeof *ks; k++)
      for (size_t q = 0; q < QUERIES; q++) {
        hem_search_options o = base;
        o.k = ks[k];
        o.categories = some[c];
        o.category_count = some_counts[c];
        check_answer(s, query_of(q), o, what);
        o.photos = true;
        check_answer(s, query_of(q), o, what);
        o.leave_out = true;
        o.leave_out_row = q * 311;
        check_answer(s, query_of(q), o, what);
        o.photos = false;
        o.min_probability = 0.4;
        check_answer(s, query_of(q), o, what);
        o.labels = labels;
        o.label_count = 1 + q;
        check_answer(s, query_of(q), o, what);
        o.min_probability = 0;
        check_answer(s, query_of(q), o, what);
      }
}

static void check_kind(hem__test_kind kind, hem_distance distance, const char *precision) {
  char name[64];
  snprintf(name, sizeof name, "%d-%s-%s", (int)kind, hem_distance_name(distance), precision);
  opened s = open_store(kind, distance, name, (hem_index_options){.precision = precision, .rerank = 64});
  check_choices(&s, (hem_search_options){.rerank = 100000}, "all candidates");
  check_choices(&s, (hem_search_options){.exact = true}, "exact");
  check_items(&s, name);
  close_store(&s);
}

START_TEST(weighted_l1_answers_as_the_oracle) {
  check_kind(HEM__TEST_L1, HEM_L1, "u8");
  check_kind(HEM__TEST_L1, HEM_L2, "f16");
}
END_TEST
START_TEST(weighted_l2_answers_as_the_oracle) {
  check_kind(HEM__TEST_L2, HEM_L2, "u8");
  check_kind(HEM__TEST_L2, HEM_L2, "f16");
}
END_TEST
START_TEST(a_concave_head_answers_as_the_oracle) {
  check_kind(HEM__TEST_CONCAVE, HEM_L2, "u8");
  check_kind(HEM__TEST_CONCAVE, HEM_L1, "f16");
}
END_TEST
START_TEST(a_head_of_free_sign_answers_as_the_oracle) {
  check_kind(HEM__TEST_FREE, HEM_L2, "u8");
  check_kind(HEM__TEST_FREE, HEM_L2, "f16");
}
END_TEST
START_TEST(a_tower_answers_as_the_oracle) {
  check_kind(HEM__TEST_TOWER, HEM_L2, "u8");
  check_kind(HEM__TEST_TOWER, HEM_L1, "f16");
}
END_TEST

HEM_TESTS("rerank", no_score_is_above_its_bound, weighted_l1_answers_as_the_oracle, weighted_l2_answers_as_the_oracle,
          a_concave_head_answers_as_the_oracle, a_head_of_free_sign_answers_as_the_oracle,
          a_tower_answers_as_the_oracle)
