/* What a program relies on around the ranking: categories, shortfalls, refusals, lifetimes, repeats. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "support/make_catalog.h"

enum { DIM = 4 };

typedef struct opened {
  char *store;
  hem_engine *engine;
  hem_searcher *searcher;
} opened;

static const char *shared_folder(void) {
  static const char *folder;
  if (!folder) folder = hem__test_folder();
  return folder;
}

static void reopen(opened *o, const hem_engine_options *options) {
  ck_ok(hem_engine_open(o->store, options, &o->engine, err));
  ck_ok(hem_searcher_new(o->engine, &o->searcher, err));
}

static opened open_store(const hem__made *made, hem_index_options options) {
  char name[32];
  static size_t count;
  snprintf(name, sizeof name, "store-%zu", ++count);
  opened o = {.store = hem__made_store(made, shared_folder(), name, options)};
  reopen(&o, NULL);
  return o;
}

static void close_store(opened *o) {
  hem_searcher_free(o->searcher);
  hem_engine_close(o->engine);
  free(o->store);
}

/* One photo at (value, 0, 0, 0). */
static void add(hem__made *made, const char *category, const char *item, float value) {
  hem__made_add(made, (hem__photo){.category = category, .item_id = item}, (float[DIM]){value});
}

static hem_answer ask(hem_searcher *searcher, float value, hem_search_options o) {
  hem_answer answer;
  float query[DIM] = {value};
  o.size = sizeof o;
  ck_ok(hem_search(searcher, query, DIM, &o, &answer, err));
  return answer;
}

/* ---- categories ---- */

START_TEST(categories_are_merged_or_kept_apart_as_asked) {
  hem__made made = {.dim = DIM};
  for (int i = 0; i < 10; i++) add(&made, i % 2 ? "odd" : "even", NULL, (float)i);
  opened o = open_store(&made, (hem_index_options){0});
  static const char *const odd[] = {"odd"}, *const both[] = {"odd", "even", "odd"};
  hem_answer a = ask(o.searcher, 0, (hem_search_options){.categories = odd, .category_count = 1});
  ck_assert_uint_eq(a.found, 5);
  ck_assert_uint_eq(a.categories, 1);
  ck_assert_uint_eq(a.gallery, 5);
  for (size_t i = 0; i < a.found; i++) ck_assert_str_eq(a.hits[i].category, "odd");
  a = ask(o.searcher, 0, (hem_search_options){.categories = both, .category_count = 3});
  ck_assert_uint_eq(a.found, 10);
  ck_assert_uint_eq(a.categories, 2);
  for (size_t i = 0; i < a.found; i++) ck_assert_uint_eq(a.hits[i].row, i);
  a = ask(o.searcher, 0, (hem_search_options){0});
  ck_assert_uint_eq(a.found, 10);
  ck_assert_uint_eq(a.wanted, 20); /* the default */
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(an_unknown_category_is_answered_with_the_list) {
  hem__made made = {.dim = DIM};
  add(&made, "skirt", NULL, 1);
  add(&made, "dress", NULL, 1);
  opened o = open_store(&made, (hem_index_options){0});
  static const char *const names[] = {"dress", "Skirt"};
  hem_search_options s = {.size = sizeof s, .categories = names, .category_count = 2};
  hem_engine_options e = {.size = sizeof e, .categories = names, .category_count = 2};
  hem_answer answer = {.found = 77};
  hem_engine *engine = NULL;
  ck_fails(hem_search(o.searcher, (float[DIM]){0}, DIM, &s, &answer, err), HEM_ENOTFOUND, "'Skirt'");
  ck_fails(hem_search(o.searcher, (float[DIM]){0}, DIM, &s, &answer, err), HEM_ENOTFOUND, "dress, skirt");
  ck_assert_uint_eq(answer.found, 77);
  ck_fails(hem_engine_open(o.store, &e, &engine, err), HEM_ENOTFOUND, "dress, skirt");
  ck_assert_ptr_null(engine);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(an_engine_loads_only_the_categories_asked_for) {
  hem__made made = {.dim = DIM};
  add(&made, "skirt", NULL, 1);
  add(&made, "dress", NULL, 2);
  opened o = open_store(&made, (hem_index_options){0});
  hem_searcher_free(o.searcher);
  hem_engine_close(o.engine);
  static const char *const dress[] = {"dress", "dress"}, *const skirt[] = {"skirt"};
  reopen(&o, &(hem_engine_options){.size = sizeof(hem_engine_options), .categories = dress, .category_count = 2});
  hem_answer a = ask(o.searcher, 1, (hem_search_options){0});
  ck_assert_uint_eq(a.found, 1);
  ck_assert_uint_eq(a.categories, 1);
  ck_assert_str_eq(a.hits[0].category, "dress");
  hem_search_options s = {.size = sizeof s, .categories = skirt, .category_count = 1};
  ck_fails(hem_search(o.searcher, (float[DIM]){0}, DIM, &s, &a, err), HEM_ENOTFOUND, "was not loaded");
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(the_engine_says_what_it_holds) {
  hem__made made = {.dim = DIM};
  for (int i = 0; i < 1000; i++) add(&made, "coat", NULL, (float)i);
  add(&made, "dress", "one", 2);
  add(&made, "dress", "one", 3);
  opened o = open_store(&made, (hem_index_options){.distance = HEM_L1});
  hem_engine_info info;
  hem_engine_info_get(o.engine, &info);
  ck_assert_str_eq(info.generation, "000001");
  ck_assert_str_eq(info.space, "made");
  ck_assert_str_eq(info.features, "made");
  ck_assert_uint_eq(strlen(info.space_hash), 64);
  ck_assert_ptr_nonnull(strstr(info.catalog, "catalog.h5"));
  ck_assert_uint_eq(info.dim, DIM);
  ck_assert_int_eq(info.distance, HEM_L1);
  ck_assert_uint_eq(info.photos, 1002);
  ck_assert_uint_eq(info.items, 1001);
  ck_assert_uint_eq(info.category_count, 2);
  static const char *const names[] = {"coat", "dress"}, *const kinds[] = {"hnsw", "flat"};
  for (size_t i = 0; i < 2; i++) {
    const char *name, *kind;
    uint64_t photos;
    hem_engine_category(o.engine, i, &name, &kind, &photos);
    ck_assert_str_eq(name, names[i]);
    ck_assert_str_eq(kind, kinds[i]);
    ck_assert_uint_eq(photos, i ? 2 : 1000);
    hem_engine_category(o.engine, i, NULL, NULL, NULL);
  }
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(an_item_is_found_with_its_photos) {
  hem__made made = {.dim = DIM};
  static const char *const ids[] = {"m", "b", "z", "b", "", "b"};
  for (int i = 0; i < 6; i++) {
    hem__photo photo = {.category = i == 1 ? "skirt" : "dress", .item_id = *ids[i] ? ids[i] : NULL, .label = "red"};
    hem__made_add(&made, photo, (float[DIM]){(float)i});
  }
  opened o = open_store(&made, (hem_index_options){0});
  hem_item item;
  hem_photo photo;
  for (int partly = 0; partly < 2; partly++) {
    ck_ok(hem_engine_item(o.engine, "b", &item, err));
    ck_assert_str_eq(item.item_id, "b");
    ck_assert_uint_eq(item.number, 0);
    ck_assert_uint_eq(item.photo_count, 3);
    static const size_t rows[] = {3, 5, 1}; /* by category, then row */
    for (size_t i = 0; i < 3; i++) {
      hem_engine_item_photo(o.engine, &item, i, &photo);
      ck_assert_uint_eq(photo.row, rows[i]);
      ck_assert_str_eq(photo.category, i == 2 ? "skirt" : "dress");
      ck_assert_str_eq(photo.label, "red");
      ck_assert_int_eq(photo.path[6] - '0', (int)rows[i]);
      ck_assert(photo.loaded == (!partly || i == 2));
    }
    ck_ok(hem_engine_item(o.engine, "z", &item, err));
    ck_assert(item.photo_count == 1 && item.number == 3);
    static const char *const nobody[] = {"", "a", "bb", "zz", "item-00000"};
    for (size_t i = 0; i < 5; i++) ck_fails(hem_engine_item(o.engine, nobody[i], &item, err), HEM_ENOTFOUND, nobody[i]);
    ck_assert_str_eq(item.item_id, "z");
    if (partly) break;
    hem_searcher_free(o.searcher);
    hem_engine_close(o.engine);
    static const char *const skirt[] = {"skirt"};
    reopen(&o, &(hem_engine_options){.size = sizeof(hem_engine_options), .categories = skirt, .category_count = 1});
  }
  /* Its first photo is not loaded, its last one is. */
  hem_answer a = {.found = 77};
  ck_fails(hem_search_item(o.searcher, "z", NULL, &a, err), HEM_ENOTFOUND, "'dress', which was not loaded");
  ck_assert_uint_eq(a.found, 77);
  ck_ok(hem_search_item(o.searcher, "b", NULL, &a, err));
  ck_assert_uint_eq(a.found, 0);
  ck_assert_int_eq(a.shortfall, HEM_SMALL_GALLERY);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

/* ---- refusals ---- */

START_TEST(unknown_items_and_labels_are_refused) {
  hem__made made = {.dim = DIM};
  hem__made_add(&made, (hem__photo){.label = "red"}, (float[DIM]){1});
  opened o = open_store(&made, (hem_index_options){0});
  static const char *const labels[] = {"red", "Red"};
  hem_search_options s = {.size = sizeof s, .labels = labels, .label_count = 2};
  hem_answer a = {.found = 77};
  ck_fails(hem_search(o.searcher, (float[DIM]){0}, DIM, &s, &a, err), HEM_ENOTFOUND, "'Red'");
  s.labels = NULL;
  ck_fails(hem_search(o.searcher, (float[DIM]){0}, DIM, &s, &a, err), HEM_EINVAL, "label_count without labels");
  ck_fails(hem_search_item(o.searcher, "coat", NULL, &a, err), HEM_ENOTFOUND, "'coat'");
  ck_fails(hem_search_item(o.searcher, NULL, NULL, &a, err), HEM_EINVAL, "NULL");
  ck_fails(hem_search(o.searcher, NULL, DIM, NULL, &a, err), HEM_EINVAL, "NULL");
  ck_assert_uint_eq(a.found, 77);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(an_answer_says_how_long_it_took) {
  hem__made made = {.dim = DIM};
  for (int i = 0; i < 500; i++) add(&made, "a", NULL, (float)i);
  opened o = open_store(&made, (hem_index_options){0});
  hem_answer a = ask(o.searcher, 0, (hem_search_options){0});
  ck_assert_uint_gt(a.candidates_ns, 0);
  ck_assert_uint_lt(a.candidates_ns, 1000000000);
  ck_assert_uint_eq(a.rerank_ns, 0);
  for (size_t i = 0; i < sizeof a.reserved / sizeof *a.reserved; i++) ck_assert_uint_eq(a.reserved[i], 0);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(a_query_that_makes_no_sense_is_refused) {
  hem__made made = {.dim = DIM};
  add(&made, "a", NULL, 1);
  opened o = open_store(&made, (hem_index_options){0});
  hem_answer answer = {.found = 77};
  static const float bad[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -1.001e15F};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    for (size_t at = 0; at < DIM; at++) {
      float query[DIM] = {0};
      query[at] = bad[i];
      ck_fails(hem_search(o.searcher, query, DIM, NULL, &answer, err), HEM_EINVAL, "not a number");
    }
  float query[DIM + 1] = {0};
  ck_fails(hem_search(o.searcher, query, DIM - 1, NULL, &answer, err), HEM_EMISMATCH, "3 values");
  ck_fails(hem_search(o.searcher, query, DIM + 1, NULL, &answer, err), HEM_EMISMATCH, "of 4");
  ck_fails(hem_search(o.searcher, query, 0, NULL, &answer, err), HEM_EMISMATCH, "0 values");
  static const size_t too_many[] = {100001, SIZE_MAX, SIZE_MAX / 2 + 1};
  for (size_t i = 0; i < 3; i++) {
    hem_search_options s = {.size = sizeof s, .k = too_many[i], .leave_out = true};
    ck_fails(hem_search(o.searcher, query, DIM, &s, &answer, err), HEM_EINVAL, "100000");
  }
  hem_search_options unsized = {.k = 1};
  ck_fails(hem_search(o.searcher, query, DIM, &unsized, &answer, err), HEM_EINVAL, "hem_search_options.size");
  ck_assert_uint_eq(answer.found, 77);
  answer = ask(o.searcher, 0, (hem_search_options){.k = 100000});
  ck_assert_uint_eq(answer.found, 1);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(an_older_program_with_shorter_options_is_understood) {
  hem__made made = {.dim = DIM};
  for (int i = 0; i < 5; i++) add(&made, "a", NULL, (float)i);
  opened o = open_store(&made, (hem_index_options){0});
  hem_search_options s = {.size = offsetof(hem_search_options, categories), .k = 2, .category_count = 9};
  hem_answer a;
  ck_ok(hem_search(o.searcher, (float[DIM]){0}, DIM, &s, &a, err));
  ck_assert_uint_eq(a.found, 2);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

/* The largest values there may be: no hit is lost, doubled or at a distance that is not finite. */
START_TEST(the_largest_values_give_whole_answers) {
  static const char *const kinds[] = {"flat", "hnsw"};
  hem__made made = {.dim = DIM};
  for (size_t i = 0; i < 1200; i++) {
    float big = i % 2 ? 1e15F : -1e15F, v[DIM] = {big, i % 3 ? 1 : big, (float)i, -big};
    hem__made_add(&made, (hem__photo){0}, v);
  }
  for (size_t kind = 0; kind < 2; kind++)
    for (hem_distance d = HEM_L2; d <= HEM_IP; d++) {
      opened o = open_store(&made, (hem_index_options){.kind = kinds[kind], .distance = d});
      hem_search_options s = {.size = sizeof s, .k = 1200, .photos = true};
      hem_answer a;
      static bool seen[1200];
      memset(seen, 0, sizeof seen);
      ck_ok(hem_search(o.searcher, (float[DIM]){-1e15F, 9e14F, 0, 1e15F}, DIM, &s, &a, err));
      ck_assert_uint_eq(a.found, 1200);
      for (size_t i = 0; i < a.found; i++) {
        size_t row = a.hits[i].row;
        if (row >= 1200 || seen[row] || !isfinite(a.hits[i].distance))
          ck_abort_msg("%s by %s: row %zu at %g", kinds[kind], hem_distance_name(d), row, (double)a.hits[i].distance);
        seen[row] = true;
      }
      close_store(&o);
    }
  hem__made_clear(&made);
}
END_TEST

/* ---- items with many photos, and galleries with few ---- */

START_TEST(an_item_that_owns_all_the_nearest_photos_takes_one_place) {
  static const char *const kinds[] = {"flat", "hnsw", "ivf", "hnsw-sq8"};
  hem__made made = {.dim = DIM};
  for (int i = 0; i < 500; i++) add(&made, "a", "crowd", (float)i / 1000);
  for (int i = 0; i < 700; i++) add(&made, "a", NULL, 10 + (float)i);
  for (size_t kind = 0; kind < 4; kind++)
    for (int exact = 0; exact < 2; exact++) {
      opened o = open_store(&made, (hem_index_options){.kind = kinds[kind]});
      hem_answer a = ask(o.searcher, 0, (hem_search_options){.k = 20, .exact = exact});
      ck_assert_uint_eq(a.found, 20);
      ck_assert_int_eq(a.shortfall, HEM_COMPLETE);
      ck_assert_str_eq(a.hits[0].item_id, "crowd");
      ck_assert_uint_eq(a.hits[0].row, 0);
      for (size_t i = 1; i < 20; i++)
        if (exact) ck_assert_uint_eq(a.hits[i].row, 499 + i);
      close_store(&o);
    }
  hem__made_clear(&made);
}
END_TEST

START_TEST(a_small_gallery_says_so) {
  hem__made made = {.dim = DIM};
  add(&made, "a", "x", 1);
  add(&made, "a", "x", 2);
  add(&made, "a", "y", 3);
  opened o = open_store(&made, (hem_index_options){0});
  hem_answer a = ask(o.searcher, 0, (hem_search_options){.k = 3});
  ck_assert_uint_eq(a.found, 2);
  ck_assert_uint_eq(a.wanted, 3);
  ck_assert_int_eq(a.shortfall, HEM_SMALL_GALLERY);
  a = ask(o.searcher, 0, (hem_search_options){.k = 3, .photos = true});
  ck_assert_uint_eq(a.found, 3);
  ck_assert_int_eq(a.shortfall, HEM_COMPLETE);
  a = ask(o.searcher, 0, (hem_search_options){.k = 3, .photos = true, .leave_out = true, .leave_out_row = 0});
  ck_assert_uint_eq(a.found, 2);
  ck_assert_int_eq(a.shortfall, HEM_SMALL_GALLERY);
  ck_assert_uint_eq(a.hits[0].row, 1);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(equally_near_items_come_by_id_whatever_k_is) {
  static const char *const ids[] = {"e", "d", "c", "b", "a"};
  hem__made made = {.dim = DIM};
  for (size_t i = 0; i < 5; i++) add(&made, "cat", ids[i], 1);
  opened o = open_store(&made, (hem_index_options){0});
  for (size_t k = 1; k <= 5; k++) {
    hem_answer a = ask(o.searcher, 1, (hem_search_options){.k = k});
    ck_assert_uint_eq(a.found, k);
    for (size_t i = 0; i < k; i++)
      ck_assert_msg(!strcmp(a.hits[i].item_id, ids[4 - i]), "k %zu, place %zu: '%s'", k, i, a.hits[i].item_id);
  }
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(zero_vectors_are_at_cosine_distance_one) {
  hem__made made = {.dim = DIM};
  add(&made, "a", "zero", 0);
  add(&made, "a", "same", 5);
  add(&made, "a", "opposite", -2);
  opened o = open_store(&made, (hem_index_options){.distance = HEM_COSINE});
  hem_answer a = ask(o.searcher, 3, (hem_search_options){0});
  static const char *const ids[] = {"same", "zero", "opposite"};
  for (size_t i = 0; i < 3; i++) {
    ck_assert_str_eq(a.hits[i].item_id, ids[i]);
    ck_assert_double_eq_tol((double)a.hits[i].distance, (double)i, 1e-6);
  }
  a = ask(o.searcher, 0, (hem_search_options){0});
  for (size_t i = 0; i < 3; i++) ck_assert_double_eq_tol((double)a.hits[i].distance, 1, 1e-6);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

/* ---- an index that finds too little ---- */

/* Lists of about 39 photos, one of them visited: k = 200 cannot come from it. */
START_TEST(an_index_that_finds_too_few_is_replaced_by_a_scan_and_said_so) {
  static const char *const kinds[] = {"ivf", "ivf-sq8", "ivf-pq"};
  hem__made made = {.dim = DIM};
  uint64_t state = 1;
  for (int i = 0; i < 1200; i++) {
    float v[DIM];
    for (size_t j = 0; j < DIM; j++) v[j] = hem__test_normal(&state);
    hem__made_add(&made, (hem__photo){0}, v);
  }
  for (size_t kind = 0; kind < 3; kind++) {
    opened o = open_store(&made, (hem_index_options){.kind = kinds[kind], .nprobe = 1, .nlist = 30});
    uint64_t rows[400];
    hem_answer a = ask(o.searcher, 0.5F, (hem_search_options){.k = 400, .exact = true, .photos = true});
    ck_assert_uint_eq(a.fallbacks, 0);
    for (size_t i = 0; i < 400; i++) rows[i] = a.hits[i].row;
    a = ask(o.searcher, 0.5F, (hem_search_options){.k = 400, .photos = true});
    ck_assert_uint_eq(a.found, 400);
    ck_assert_uint_eq(a.fallbacks, 1);
    ck_assert_int_eq(a.shortfall, HEM_COMPLETE);
    for (size_t i = 0; i < 400; i++) ck_assert_uint_eq(a.hits[i].row, rows[i]);
    a = ask(o.searcher, 0.5F, (hem_search_options){.k = 1, .photos = true});
    ck_assert_uint_eq(a.fallbacks, 0);
    close_store(&o);
  }
  hem__made_clear(&made);
}
END_TEST

/* ---- lifetimes and repeats ---- */

START_TEST(an_answer_lives_until_the_searchers_next_call) {
  hem__made made = {.dim = DIM};
  for (int i = 0; i < 100; i++) add(&made, "a", NULL, (float)i);
  opened o = open_store(&made, (hem_index_options){0});
  hem_searcher *other = NULL;
  ck_ok(hem_searcher_new(o.engine, &other, err));
  hem_answer a = ask(o.searcher, 0, (hem_search_options){.k = 50});
  const char *path = a.hits[49].path;
  /* Another searcher's calls do not touch it; the strings outlive even the searcher. */
  ask(other, 99, (hem_search_options){.k = 100});
  for (size_t i = 0; i < 50; i++) ck_assert_uint_eq(a.hits[i].row, i);
  ask(o.searcher, 99, (hem_search_options){.k = 100});
  hem_searcher_free(o.searcher);
  hem_searcher_free(other);
  ck_assert_str_eq(path, "photo-49");
  hem_engine_close(o.engine);
  free(o.store);
  hem__made_clear(&made);
}
END_TEST

START_TEST(an_open_engine_keeps_its_generation) {
  hem__made made = {.dim = DIM};
  for (int i = 0; i < 1000; i++) add(&made, "a", NULL, (float)i);
  opened o = open_store(&made, (hem_index_options){0});
  hem_index_options again = {.kind = "flat", .keep = 1};
  const char *name = strrchr(o.store, '/') + 1;
  add(&made, "a", "newer", 7.25F);
  for (int i = 0; i < 3; i++) free(hem__made_store(&made, shared_folder(), name, again));
  char *gone = hem__test_path(o.store, "generations/000001");
  ck_assert(!hem__path_exists(gone));
  hem_answer a = ask(o.searcher, 7.3F, (hem_search_options){.k = 1});
  ck_assert_uint_eq(a.gallery, 1000);
  ck_assert_str_eq(a.hits[0].path, "photo-7");
  a = ask(o.searcher, 7.3F, (hem_search_options){.k = 1, .exact = true});
  ck_assert_str_eq(a.hits[0].path, "photo-7");
  hem_searcher_free(o.searcher);
  hem_engine_close(o.engine);
  reopen(&o, NULL);
  a = ask(o.searcher, 7.3F, (hem_search_options){.k = 1});
  ck_assert_uint_eq(a.gallery, 1001);
  ck_assert_str_eq(a.hits[0].item_id, "newer");
  free(gone);
  close_store(&o);
  hem__made_clear(&made);
}
END_TEST

START_TEST(the_same_question_gets_the_same_answer) {
  static const char *const kinds[] = {"flat", "hnsw", "ivf", "ivf-sq8", "ivf-pq"};
  hem__made made = {.dim = DIM};
  uint64_t state = 1;
  for (int i = 0; i < 2000; i++) {
    float v[DIM];
    hem__test_signs(&state, DIM, v); /* 16 places: most photos tie */
    hem__made_add(&made, (hem__photo){0}, v);
  }
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
    opened o = open_store(&made, (hem_index_options){.kind = kinds[kind]});
    hem_hit first[30];
    for (int round = 0; round < 5; round++) {
      ask(o.searcher, (float)round, (hem_search_options){.k = 7, .exact = true});
      hem_answer a = ask(o.searcher, 0.5F, (hem_search_options){.k = 30});
      if (round == 0) memcpy(first, a.hits, sizeof first);
      for (size_t i = 0; i < 30; i++) {
        ck_assert_uint_eq(a.hits[i].row, first[i].row);
        ck_assert_mem_eq(&a.hits[i].distance, &first[i].distance, sizeof(float));
      }
    }
    close_store(&o);
  }
  hem__made_clear(&made);
}
END_TEST

START_TEST(closing_nothing_is_fine) {
  hem_searcher_free(NULL);
  hem_engine_close(NULL);
}
END_TEST

HEM_TESTS("engine answers", categories_are_merged_or_kept_apart_as_asked, an_unknown_category_is_answered_with_the_list,
          an_engine_loads_only_the_categories_asked_for, the_engine_says_what_it_holds,
          an_item_is_found_with_its_photos, unknown_items_and_labels_are_refused, an_answer_says_how_long_it_took,
          a_query_that_makes_no_sense_is_refused, an_older_program_with_shorter_options_is_understood,
          the_largest_values_give_whole_answers, an_item_that_owns_all_the_nearest_photos_takes_one_place,
          a_small_gallery_says_so, equally_near_items_come_by_id_whatever_k_is, zero_vectors_are_at_cosine_distance_one,
          an_index_that_finds_too_few_is_replaced_by_a_scan_and_said_so, an_answer_lives_until_the_searchers_next_call,
          an_open_engine_keeps_its_generation, the_same_question_gets_the_same_answer, closing_nothing_is_fine)
