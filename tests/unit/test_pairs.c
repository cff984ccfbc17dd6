/* Who is paired with whom, which negatives are drawn, and which are hard. */
#include "metric/pairs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metric/metric.h"
#include "metric/mine.h"
#include "support/make_catalog.h"
#include "test.h"

/* A line for each photo: item, category, domain, split. */
typedef struct line {
  const char *item, *category;
  hem__domain domain;
  hem__split split;
} line;

static void add(hem__photos *photos, line l) {
  char path[32];
  snprintf(path, sizeof path, "p%zu", photos->count);
  hem__photo photo = {.item_id = l.item,
                      .category = l.category,
                      .label = "",
                      .path = path,
                      .domain = (uint8_t)l.domain,
                      .split = (uint8_t)l.split,
                      .width = 1,
                      .height = 1};
  ck_ok(hem__photos_add(photos, &photo, err));
}

static hem__photos listed(const line *lines, size_t count) {
  hem__photos photos = {0};
  for (size_t i = 0; i < count; i++) add(&photos, lines[i]);
  return photos;
}

static const line marked[] = {
    {"a", "dress", HEM__CONSUMER, HEM__TRAIN},      {"a", "dress", HEM__SHOP, HEM__TRAIN},
    {"a", "dress", HEM__SHOP, HEM__TRAIN},          {"a", "skirt", HEM__SHOP, HEM__TRAIN}, /* not in its category */
    {"b", "dress", HEM__SHOP, HEM__TRAIN},                                                 /* nobody asks for it */
    {"c", "dress", HEM__CONSUMER, HEM__TRAIN},                                             /* not in the shop */
    {"d", "skirt", HEM__CONSUMER, HEM__TRAIN},      {"d", "skirt", HEM__SHOP, HEM__TRAIN},
    {"v", "dress", HEM__CONSUMER, HEM__VALIDATION}, {"v", "dress", HEM__SHOP, HEM__VALIDATION},
    {"n", "dress", HEM__SHOP, HEM__NO_SPLIT},       {"n", "dress", HEM__CONSUMER, HEM__NO_SPLIT},
    {"t", "dress", HEM__CONSUMER, HEM__TEST},       {"t", "dress", HEM__SHOP, HEM__TEST}};
enum { MARKED = sizeof marked / sizeof *marked };

START_TEST(pairs_are_of_one_item_category_and_split) {
  hem__photos photos = listed(marked, MARKED);
  hem__pairs p;
  ck_ok(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err));
  ck_assert_uint_eq(p.queries[HEM__LEARN].count, 2); /* a and d, not c */
  ck_assert_uint_eq(p.pair_count, 3);
  ck_assert_uint_eq(p.items[HEM__LEARN], 2);
  ck_assert_uint_eq(p.shops[HEM__LEARN].count, 5);
  ck_assert_uint_eq(p.queries[HEM__CHECK].count, 1);
  ck_assert_uint_eq(p.shops[HEM__CHECK].count, 2); /* v and the distractor n */
  ck_assert_uint_eq(p.test_items, 1);
  for (size_t part = 0; part < HEM__PARTS; part++)
    for (size_t q = p.queries[part].first; q < p.queries[part].first + p.queries[part].count; q++) {
      const hem__photo *query = &photos.at[p.row[q]];
      ck_assert_int_eq(query->domain, HEM__CONSUMER);
      ck_assert_uint_ge(p.right[q].count, 1);
      for (size_t i = 0; i < p.right[q].count; i++) {
        const hem__photo *shop = &photos.at[p.row[p.right[q].first + i]];
        ck_assert_str_eq(shop->item_id, query->item_id);
        ck_assert_str_eq(shop->category, query->category);
        ck_assert_int_eq(shop->domain, HEM__SHOP);
        ck_assert_int_eq(shop->split, query->split);
      }
    }
  for (size_t i = 0; i < p.photo_count; i++) ck_assert_int_ne(photos.at[p.row[i]].split, HEM__TEST);
  hem__pairs_clear(&p);
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(seen_are_all_items_of_train_and_validation_and_no_other) {
  hem__photos photos = listed(marked, MARKED);
  hem__pairs p;
  ck_ok(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err));
  hem__metric metric = {.seen = p.seen, .seen_count = p.seen_count};
  for (const char *item = "abcdv"; *item; item++) ck_assert(hem__metric_saw(&metric, (char[]){*item, 0}));
  for (const char *item = "nt"; *item; item++) ck_assert(!hem__metric_saw(&metric, (char[]){*item, 0}));
  ck_assert_uint_eq(p.seen_count, 5);
  hem__pairs_clear(&p);
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(without_marks_items_fall_into_folds_and_every_item_is_a_test_once) {
  enum { ITEMS = 60, FOLDS = 4 };
  hem__photos photos = {0};
  size_t learn = 0, check = 0, test = 0;
  for (size_t i = 0; i < ITEMS; i++) {
    char item[16];
    snprintf(item, sizeof item, "item%zu", i);
    for (int domain = 0; domain < 2; domain++) add(&photos, (line){item, "all", (hem__domain)domain, HEM__NO_SPLIT});
  }
  for (size_t fold = 0; fold < FOLDS; fold++) {
    hem__pairs p;
    ck_ok(hem__pairs_new(&photos, &(hem__split_rule){.folds = FOLDS, .fold = fold}, &p, err));
    ck_assert_uint_eq(p.items[HEM__LEARN] + p.items[HEM__CHECK] + p.test_items, ITEMS);
    for (size_t a = 0; a < p.photo_count; a++)
      for (size_t b = 0; b < p.photo_count; b++) {
        bool one = a >= p.shops[HEM__CHECK].first && a < p.shops[HEM__CHECK].first + p.shops[HEM__CHECK].count;
        bool two = b >= p.shops[HEM__LEARN].first && b < p.shops[HEM__LEARN].first + p.shops[HEM__LEARN].count;
        ck_assert(!(one && two && p.item[a] == p.item[b])); /* by item, never by photo */
      }
    learn += p.items[HEM__LEARN], check += p.items[HEM__CHECK], test += p.test_items;
    hem__pairs_clear(&p);
  }
  ck_assert_uint_eq(test, ITEMS);
  ck_assert_uint_eq(check, ITEMS);
  ck_assert_uint_eq(learn, ITEMS * (FOLDS - 2));
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(what_a_catalogue_lacks_is_said) {
  static const struct {
    line lines[4];
    size_t count;
    const char *words;
  } cases[] = {{{{"a", "x", HEM__SHOP, HEM__TRAIN}}, 1, "no consumer photos"},
               {{{"a", "x", HEM__CONSUMER, HEM__TRAIN}}, 1, "no shop photos"},
               {{{"a", "x", HEM__CONSUMER, HEM__TRAIN}, {"b", "x", HEM__SHOP, HEM__TRAIN}}, 2, "split train"},
               {{{"a", "x", HEM__CONSUMER, HEM__TRAIN}, {"a", "x", HEM__SHOP, HEM__TRAIN}}, 2, "split validation"},
               {{{"a", "x", HEM__CONSUMER, HEM__NO_SPLIT}, {"b", "x", HEM__SHOP, HEM__NO_SPLIT}}, 2, "item ids"},
               {{{"a", "x", HEM__CONSUMER, HEM__TRAIN},
                 {"a", "x", HEM__SHOP, HEM__TRAIN},
                 {"v", "x", HEM__CONSUMER, HEM__VALIDATION},
                 {"v", "x", HEM__SHOP, HEM__VALIDATION}},
                4,
                "one item"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem__photos photos = listed(cases[i].lines, cases[i].count);
    hem__pairs p;
    ck_fails(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err), HEM_ENOTFOUND, cases[i].words);
    hem__photos_clear(&photos);
  }
}
END_TEST

/* ---- lessons ---- */

enum { ITEMS = 40 };

/* Items of two categories, a consumer and two shop photos each, all to train with but for one item to validate with. */
static hem__photos world(void) {
  hem__photos photos = {0};
  for (size_t i = 0; i < ITEMS; i++) {
    char item[16];
    snprintf(item, sizeof item, "item%zu", i);
    hem__split split = i == 0 ? HEM__VALIDATION : HEM__TRAIN;
    for (int j = 0; j < 3; j++)
      add(&photos, (line){item, i % 2 ? "odd" : "even", j > 0 ? HEM__SHOP : HEM__CONSUMER, split});
  }
  return photos;
}

/* Every positive pair once; negatives as many as asked for, none of the query's item. */
static void check_lesson(const hem__pairs *p, const hem__lesson *lesson, size_t each) {
  size_t same = 0;
  ck_assert_uint_eq(lesson->count, p->pair_count * (each + 1));
  for (size_t i = 0; i < lesson->count; i++) {
    ck_assert_uint_eq(lesson->at[i].same, p->item[lesson->at[i].a] == p->item[lesson->at[i].b]);
    same += lesson->at[i].same;
    for (size_t j = 0; j < i && lesson->at[i].same; j++)
      ck_assert(lesson->at[i].a != lesson->at[j].a || lesson->at[i].b != lesson->at[j].b);
  }
  ck_assert_uint_eq(same, p->pair_count);
}

START_TEST(lessons_hold_every_positive_pair_and_the_negatives_asked_for) {
  hem__photos photos = world();
  hem__pairs p;
  ck_ok(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err));
  for (int kind = HEM__HARD; kind <= HEM__FIRST; kind++) {
    hem__lesson lesson = {0};
    hem__random random = hem__random_from(1);
    size_t across = 0;
    uint32_t low = 0;
    ck_ok(hem__lesson_pairs(&p, (hem__negatives)kind, 5, NULL, &random, &lesson, err));
    check_lesson(&p, &lesson, 5);
    for (size_t i = 0; i < lesson.count; i++) {
      across += p.group[lesson.at[i].a] != p.group[lesson.at[i].b];
      if (!lesson.at[i].same && p.row[lesson.at[i].b] > low) low = p.row[lesson.at[i].b];
    }
    if (kind == HEM__CATEGORY || kind == HEM__FIRST) ck_assert_uint_eq(across, 0);
    if (kind == HEM__RANDOM) ck_assert_uint_gt(across, lesson.count / 4);
    /* Ten photos of a category are its first five items, or six where one of those is the query's own. */
    if (kind == HEM__FIRST) ck_assert_uint_le(low, 3 * 14);
    hem__lesson_clear(&lesson);
  }
  hem__pairs_clear(&p);
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(a_category_of_one_item_takes_negatives_from_the_others) {
  static const line lines[] = {{"a", "x", HEM__CONSUMER, HEM__TRAIN},
                               {"a", "x", HEM__SHOP, HEM__TRAIN},
                               {"b", "y", HEM__SHOP, HEM__TRAIN},
                               {"v", "x", HEM__CONSUMER, HEM__VALIDATION},
                               {"v", "x", HEM__SHOP, HEM__VALIDATION}};
  hem__photos photos = listed(lines, sizeof lines / sizeof *lines);
  hem__pairs p;
  hem__lesson lesson = {0};
  hem__random random = hem__random_from(2);
  ck_ok(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err));
  for (int kind = HEM__HARD; kind <= HEM__FIRST; kind++) {
    ck_ok(hem__lesson_pairs(&p, (hem__negatives)kind, 4, NULL, &random, &lesson, err));
    check_lesson(&p, &lesson, 4);
  }
  hem__lesson_clear(&lesson);
  hem__pairs_clear(&p);
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(blocks_are_all_queries_with_all_shop_photos) {
  hem__photos photos = world();
  hem__pairs p;
  ck_ok(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err));
  for (int mixed = 0; mixed < 2; mixed++) {
    enum { BLOCK = 4 };
    hem__lesson lesson = {0};
    hem__random random = hem__random_from(3);
    bool *met = calloc(p.photo_count * p.photo_count, sizeof *met);
    size_t different = 0, pairs = 0;
    ck_assert_ptr_nonnull(met);
    ck_ok(hem__lesson_blocks(&p, BLOCK, mixed, &random, &lesson, err));
    ck_assert_uint_eq(lesson.count % (BLOCK * BLOCK), 0);
    for (size_t i = 0; i < lesson.count; i++) {
      const struct hem__sample *s = &lesson.at[i], *first = &lesson.at[i - i % BLOCK];
      ck_assert_uint_eq(s->a, first->a); /* a row of a block is one query's */
      ck_assert_uint_eq(s->b, lesson.at[i - i % (BLOCK * BLOCK) + i % BLOCK].b);
      ck_assert_uint_eq(s->same, p.item[s->a] == p.item[s->b]);
      different += p.group[s->a] != p.group[s->b];
      if (s->same && !met[s->a * p.photo_count + s->b]) met[s->a * p.photo_count + s->b] = true, pairs++;
    }
    ck_assert_uint_eq(pairs, p.pair_count);
    ck_assert(mixed ? different > 0 : different == 0);
    free(met);
    hem__lesson_clear(&lesson);
  }
  hem__pairs_clear(&p);
  hem__photos_clear(&photos);
}
END_TEST

/* ---- hard ones ---- */

START_TEST(near_photos_are_those_of_a_full_sort) {
  enum { PHOTOS = 700, WIDTH = 5, QUERIES = 37, MOST = 20 };
  static float points[PHOTOS * WIDTH];
  static uint32_t item[PHOTOS], found[QUERIES * MOST], counts[QUERIES], queries[QUERIES];
  uint64_t state = 4;
  for (size_t i = 0; i < PHOTOS * WIDTH; i++) points[i] = (float)(hem__test_random(&state) % 4); /* ties are many */
  for (size_t i = 0; i < PHOTOS; i++) item[i] = (uint32_t)(i % 50);
  for (size_t i = 0; i < QUERIES; i++) queries[i] = (uint32_t)(3 * i);
  hem__near_job job = {.points = points,
                       .width = WIDTH,
                       .queries = queries,
                       .query_count = QUERIES,
                       .gallery = {100, 600},
                       .wrong = item,
                       .most = MOST,
                       .found = found,
                       .counts = counts,
                       .threads = 3};
  ck_ok(hem__near(&job, err));
  for (size_t q = 0; q < QUERIES; q++) {
    ck_assert_uint_eq(counts[q], MOST);
    bool taken[PHOTOS] = {false};
    for (size_t place = 0; place < MOST; place++) {
      size_t best = SIZE_MAX;
      float least = INFINITY;
      for (size_t g = 100; g < PHOTOS; g++) {
        float d = 0;
        for (size_t i = 0; i < WIDTH; i++) d += fabsf(points[queries[q] * WIDTH + i] - points[g * WIDTH + i]);
        if (!taken[g] && item[g] != item[queries[q]] && d < least) least = d, best = g;
      }
      taken[best] = true;
      ck_assert_uint_eq(found[q * MOST + place], best);
    }
  }
}
END_TEST

/* One dimension that the metric looks at and one that it does not: hard are those near in the first, however far in the
 * other. */
START_TEST(hard_negatives_are_the_metrics_own_mistakes) {
  hem__photos photos = {0};
  enum { MANY = 150 };
  static float inputs[3 * MANY * 2];
  for (size_t i = 0; i < MANY; i++) {
    char name[16];
    snprintf(name, sizeof name, "item%03zu", i);
    hem__split split = i == 0 ? HEM__VALIDATION : HEM__TRAIN;
    add(&photos, (line){name, "all", HEM__CONSUMER, split});
    add(&photos, (line){name, "all", HEM__SHOP, split});
  }
  hem__pairs p;
  hem__mine mine;
  hem__model model;
  hem__model_work **work = NULL;
  hem__random random = hem__random_from(5);
  uint64_t state = 6;
  ck_ok(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err));
  for (size_t i = 0; i < p.photo_count; i++) {
    inputs[2 * i] = (float)p.item[i];
    inputs[2 * i + 1] = 3 * hem__test_normal(&state);
  }
  hem__metric shape = {.form = HEM__WEIGHTED_L1, .dim = 2};
  ck_ok(hem__model_new(&shape, &model, err));
  model.w2[0] = -1;
  ck_ok(hem__scoring_work_new(&model, p.photo_count, 2, &work, err));
  hem__scoring scoring = {&model, inputs, work, 2};
  ck_ok(hem__mine_init(&mine, &p, err));
  hem__mine_job job = {.pairs = &p, .scoring = &scoring, .budget = 1 << 20};
  ck_ok(hem__mine_hard(&mine, &job, &random, err));
  for (size_t q = 0; q < mine.queries; q++) {
    uint32_t own = p.item[p.queries[HEM__LEARN].first + q];
    ck_assert_uint_eq(mine.hard_count[q], HEM__MINE_HARD);
    for (size_t i = 0; i < mine.hard_count[q]; i++) {
      uint32_t other = p.item[mine.hard[q * HEM__MINE_HARD + i]];
      ck_assert_uint_ne(other, own);
      /* 50 wrong ones next to an item on both sides are within 25 of it; at an end, within 50. */
      ck_assert_uint_le(other > own ? other - own : own - other, own > 26 && own < MANY - 27 ? 30 : 56);
    }
  }
  hem__mine_clear(&mine);
  hem__scoring_work_free(work, 2);
  hem__model_clear(&model);
  hem__pairs_clear(&p);
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(on_a_budget_queries_take_turns) {
  hem__photos photos = world();
  hem__pairs p;
  hem__mine mine;
  hem__model model;
  hem__model_work **work = NULL;
  hem__random random = hem__random_from(7);
  static float inputs[3 * ITEMS];
  uint64_t state = 8;
  ck_ok(hem__pairs_new(&photos, &(hem__split_rule){0}, &p, err));
  for (size_t i = 0; i < p.photo_count; i++) inputs[i] = hem__test_normal(&state);
  hem__metric shape = {.form = HEM__WEIGHTED_L1, .dim = 1};
  ck_ok(hem__model_new(&shape, &model, err));
  ck_ok(hem__scoring_work_new(&model, p.photo_count, 2, &work, err));
  hem__scoring scoring = {&model, inputs, work, 2};
  ck_ok(hem__mine_init(&mine, &p, err));
  hem__mine_job job = {.pairs = &p, .scoring = &scoring, .budget = 13 * HEM__MINE_NEAR};
  for (size_t turn = 1; turn <= 3; turn++) {
    size_t mined = 0;
    ck_ok(hem__mine_hard(&mine, &job, &random, err));
    for (size_t q = 0; q < mine.queries; q++) mined += mine.hard_count[q] > 0;
    ck_assert_uint_eq(mined, 13 * turn);
  }
  hem__mine_clear(&mine);
  hem__scoring_work_free(work, 2);
  hem__model_clear(&model);
  hem__pairs_clear(&p);
  hem__photos_clear(&photos);
}
END_TEST

HEM_TESTS("pairs", pairs_are_of_one_item_category_and_split, seen_are_all_items_of_train_and_validation_and_no_other,
          without_marks_items_fall_into_folds_and_every_item_is_a_test_once, what_a_catalogue_lacks_is_said,
          lessons_hold_every_positive_pair_and_the_negatives_asked_for,
          a_category_of_one_item_takes_negatives_from_the_others, blocks_are_all_queries_with_all_shop_photos,
          near_photos_are_those_of_a_full_sort, hard_negatives_are_the_metrics_own_mistakes,
          on_a_budget_queries_take_turns)
