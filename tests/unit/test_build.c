/* hem_index: which photos go where, what each kind is called, what is refused, and that a stop leaves no trace. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "index/generation.h"
#include "support/make_catalog.h"

enum { DIM = 8 };

static void add_many(hem__made *made, const char *category, size_t count, uint64_t seed) {
  float v[DIM];
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < DIM; j++) v[j] = hem__test_normal(&seed);
    hem__made_add(made, (hem__photo){.category = category}, v);
  }
}

/* All tests' catalogues and stores lie in one folder. */
static const char *shared_folder(void) {
  static const char *folder;
  if (!folder) folder = hem__test_folder();
  return folder;
}

/* A name that no store has yet. Static storage. */
static const char *fresh_name(void) {
  static char name[32];
  static size_t count;
  snprintf(name, sizeof name, "store-%zu", ++count);
  return name;
}

/* Indexes `made` and opens the manifest. */
static hem__generation index_of(const hem__made *made, hem_index_options options) {
  char *store = hem__made_store(made, shared_folder(), fresh_name(), options);
  hem__generation g;
  ck_ok(hem__generation_open(store, &g, err));
  free(store);
  return g;
}

static const hem__generation_category *category_of(const hem__generation *g, const char *name) {
  for (size_t i = 0; i < g->manifest.category_count; i++)
    if (!strcmp(g->manifest.categories[i].name, name)) return &g->manifest.categories[i];
  ck_abort_msg("no category '%s'", name);
}

/* ---- kinds ---- */

START_TEST(small_categories_are_flat_whatever_was_asked_for) {
  static const char *const kinds[] = {NULL, "flat", "hnsw", "hnsw-sq8", "hnsw-pca", "ivf", "ivf-sq8", "ivf-pq"};
  hem__made made = {.dim = DIM};
  add_many(&made, "large", 1000, 1);
  add_many(&made, "small", 999, 2);
  add_many(&made, "tiny", 1, 3);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    hem__generation g = index_of(&made, (hem_index_options){.kind = kinds[i]});
    const hem__generation_category *large = category_of(&g, "large"), *small = category_of(&g, "small");
    ck_assert_str_eq(large->kind, kinds[i] ? kinds[i] : "hnsw");
    ck_assert_int_eq(large->index.name != NULL, strcmp(large->kind, "flat") != 0);
    ck_assert_str_eq(small->kind, "flat");
    ck_assert_ptr_null(small->index.name);
    ck_assert_uint_eq(small->photos, 999);
    ck_assert_uint_eq(category_of(&g, "tiny")->photos, 1);
    hem__generation_close(&g);
  }
  hem__made_clear(&made);
}
END_TEST

START_TEST(lists_never_ask_for_more_training_than_there_is) {
  static const struct {
    uint32_t asked, made;
  } cases[] = {{0, 30}, {1, 1}, {29, 29}, {30, 30}, {31, 30}, {1000, 30}, {4000000000U, 30}};
  hem__made made = {.dim = DIM};
  add_many(&made, "all", 1200, 1); /* 1200 / 39 = 30 */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char wanted[32];
    snprintf(wanted, sizeof wanted, "IVF%u,Flat", cases[i].made);
    hem__generation g = index_of(&made, (hem_index_options){.kind = "ivf", .nlist = cases[i].asked, .nprobe = 1000});
    ck_assert_str_eq(g.manifest.categories[0].factory, wanted);
    ck_assert_uint_eq(g.manifest.categories[0].nprobe, cases[i].made);
    hem__generation_close(&g);
  }
  hem__made_clear(&made);
}
END_TEST

START_TEST(settings_that_were_asked_for_are_used) {
  hem__made made = {.dim = DIM};
  add_many(&made, "all", 1000, 1);
  hem__generation g =
      index_of(&made, (hem_index_options){.kind = "hnsw-sq8", .links = 8, .ef_search = 17, .refine = 3});
  ck_assert_str_eq(g.manifest.categories[0].factory, "HNSW8_SQ8");
  ck_assert_uint_eq(g.manifest.categories[0].ef_search, 17);
  ck_assert_uint_eq(g.manifest.categories[0].refine, 3);
  ck_assert_uint_eq(g.manifest.categories[0].nprobe, 0);
  hem__generation_close(&g);
  hem__made_clear(&made);
}
END_TEST

/* A thousand photos, since fewer would be flat. In a few dimensions they differ more than in all others. */
static hem__made make_wide(size_t dim, bool whole) {
  hem__made made = {.dim = dim};
  uint64_t state = 1;
  float *v = calloc(dim, sizeof *v);
  for (size_t i = 0; i < 1000; i++) {
    for (size_t j = 0; j < dim; j++)
      v[j] = whole   ? (float)(hem__test_random(&state) % 256) / 255
             : j % 9 ? 0.1F * hem__test_normal(&state)
                     : hem__test_normal(&state);
    hem__made_add(&made, (hem__photo){.category = "all"}, v);
  }
  free(v);
  return made;
}

START_TEST(wide_vectors_are_projected_unless_that_cannot_be) {
  static const struct {
    size_t dim;
    hem_index_options options;
    const char *kind, *factory;
    uint32_t refine;
  } cases[] = {{255, {0}, "hnsw", "HNSW32", 0},
               {256, {0}, "hnsw-pca", "PCA128,HNSW32_SQ8", 8},
               {256, {.distance = HEM_COSINE, .axes = 40, .links = 8}, "hnsw-pca", "PCA40,HNSW8_SQ8", 8},
               {256, {.distance = HEM_L1}, "hnsw", "HNSW32", 0},
               {256, {.distance = HEM_IP}, "hnsw", "HNSW32", 0},
               {6, {.kind = "hnsw-pca", .axes = 40, .refine = 3}, "hnsw-pca", "PCA6,HNSW32_SQ8", 3}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem__made made = make_wide(cases[i].dim, false);
    hem__generation g = index_of(&made, cases[i].options);
    ck_assert_str_eq(g.manifest.categories[0].kind, cases[i].kind);
    ck_assert_str_eq(g.manifest.categories[0].factory, cases[i].factory);
    ck_assert_uint_eq(g.manifest.categories[0].refine, cases[i].refine);
    hem__generation_close(&g);
    hem__made_clear(&made);
  }
}
END_TEST

static const char *kind_of(const hem__made *made, const char *kind) {
  static char out[32];
  hem__generation g = index_of(made, (hem_index_options){.kind = kind});
  const hem__generation_category *c = &g.manifest.categories[0];
  snprintf(out, sizeof out, "%s", c->kind);
  ck_assert_int_eq(strncmp(c->factory, "PCA", 3) == 0, !strcmp(c->kind, "hnsw-pca"));
  ck_assert_int_eq(c->refine != 0, !strcmp(c->kind, "hnsw-pca"));
  ck_assert_uint_eq(c->ef_search, 64);
  hem__generation_close(&g);
  return out;
}

/* All dimensions tell the same, or rounding leaves nothing of what tells vectors apart. */
START_TEST(a_projection_that_would_lose_too_much_is_no_default) {
  enum { WIDE = 300 };
  hem__made made = make_wide(WIDE, false);
  uint64_t state = 5;
  ck_assert_str_eq(kind_of(&made, NULL), "hnsw-pca");
  for (size_t i = 0; i < 1000 * WIDE; i++) made.vectors[i] = hem__test_normal(&state);
  ck_assert_str_eq(kind_of(&made, NULL), "hnsw");
  ck_assert_str_eq(kind_of(&made, "hnsw-pca"), "hnsw-pca"); /* who asks for it gets it */
  for (size_t i = 0; i < 1000 * WIDE; i++) made.vectors[i] += 1e6F;
  ck_assert_str_eq(kind_of(&made, NULL), "hnsw");
  for (size_t i = 0; i < 1000 * WIDE; i++) made.vectors[i] = 1; /* nothing to lose */
  ck_assert_str_eq(kind_of(&made, NULL), "hnsw-pca");
  hem__made_clear(&made);
}
END_TEST

/* The same answers as from floats, to the bit: one photo more, which is no pixels, makes them floats. */
START_TEST(pixels_are_kept_as_bytes_and_answered_as_floats) {
  enum { WIDE = 300, QUERIES = 50 };
  static const char *const kinds[] = {"flat", "hnsw", "hnsw-sq8", "hnsw-pca", "ivf", "ivf-sq8", "ivf-pq"};
  hem__made made[2] = {make_wide(WIDE, true), make_wide(WIDE, true)};
  float *odd = calloc(WIDE, sizeof *odd);
  odd[0] = 1e6F;
  hem__made_add(&made[1], (hem__photo){.category = "far away"}, odd);
  made[1].vectors[3] = nextafterf(made[1].vectors[3], 2);
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (hem_distance d = HEM_L2; d <= HEM_L1; d++) {
      hem_engine *engines[2];
      hem_searcher *searchers[2];
      if (d == HEM_L1 && k > 1) continue;
      for (size_t i = 0; i < 2; i++) {
        char *store = hem__made_store(&made[i], shared_folder(), fresh_name(),
                                      (hem_index_options){.kind = kinds[k], .distance = d});
        hem__generation g = {0};
        ck_ok(hem__generation_open(store, &g, err));
        ck_assert_uint_eq(g.manifest.categories[0].divisor, i ? 0 : 255);
        ck_assert_uint_eq(g.manifest.categories[0].vectors.size, 1000 * WIDE * (i ? sizeof(float) : 1));
        hem__generation_close(&g);
        ck_ok(hem_engine_open(store, NULL, &engines[i], err));
        ck_ok(hem_searcher_new(engines[i], &searchers[i], err));
        free(store);
      }
      for (size_t q = 0; q < QUERIES; q++) {
        const char *category = "all";
        hem_answer a[2];
        hem_search_options o = {.size = sizeof o, .photos = true, .categories = &category, .category_count = 1};
        for (size_t i = 0; i < 2; i++)
          ck_ok(hem_search(searchers[i], hem__made_vector(&made[0], 10 * q + 5), WIDE, &o, &a[i], err));
        ck_assert_uint_eq(a[0].found, a[1].found);
        for (size_t i = 0; i < a[0].found; i++) {
          ck_assert_uint_eq(a[0].hits[i].row, a[1].hits[i].row);
          ck_assert(a[0].hits[i].distance == a[1].hits[i].distance || a[0].hits[i].row == 0);
        }
      }
      for (size_t i = 0; i < 2; i++) {
        hem_searcher_free(searchers[i]);
        hem_engine_close(engines[i]);
      }
    }
  free(odd);
  hem__made_clear(&made[0]);
  hem__made_clear(&made[1]);
}
END_TEST

/* Every setting that hem_index takes must be one that hem_engine_open takes. */
START_TEST(a_store_that_was_published_opens) {
  static const hem_index_options extreme[] = {{.kind = "hnsw", .ef_search = UINT32_MAX},
                                              {.kind = "hnsw", .ef_construction = 1},
                                              {.kind = "hnsw", .links = 1},
                                              {.kind = "hnsw", .links = 2},
                                              {.kind = "hnsw-sq8", .refine = 10001},
                                              {.kind = "ivf-sq8", .refine = UINT32_MAX},
                                              {.kind = "ivf", .nprobe = UINT32_MAX},
                                              {.kind = "flat", .refine = UINT32_MAX},
                                              {.kind = "hnsw", .nlist = UINT32_MAX, .nprobe = UINT32_MAX},
                                              {.kind = "hnsw", .threads = 100, .keep = 999999}};
  hem__made made = {.dim = DIM};
  char *catalog = hem__test_path(shared_folder(), "catalog.h5");
  add_many(&made, "all", 1000, 1);
  hem__made_seal(&made, catalog);
  for (size_t i = 0; i < sizeof extreme / sizeof *extreme; i++) {
    char *store = hem__test_path(shared_folder(), fresh_name());
    hem_index_options o = extreme[i];
    hem_engine *engine = NULL;
    hem_error e = {0};
    o.size = sizeof o;
    o.catalog = catalog;
    o.store = store;
    /* To refuse is fine; to publish what nobody can open is not. */
    if (hem_index(&o, &e) == HEM_OK) {
      hem_status status = hem_engine_open(store, NULL, &engine, &e);
      ck_assert_msg(!status, "options %zu were published and cannot be opened: %s", i, e.message);
    } else {
      ck_assert_msg(e.code == HEM_EINVAL || e.code == HEM_EUNSUPPORTED, "options %zu: %s", i, e.message);
      ck_assert(!hem__path_exists(store));
    }
    hem_engine_close(engine);
    free(store);
  }
  free(catalog);
  hem__made_clear(&made);
}
END_TEST

START_TEST(ranges_follow_names_and_cover_the_gallery) {
  hem__made made = {.dim = DIM};
  add_many(&made, "zebra", 3, 1);
  add_many(&made, "ant", 5, 2);
  add_many(&made, "mole", 2, 3);
  hem__generation g = index_of(&made, (hem_index_options){0});
  static const struct {
    const char *name;
    size_t first, photos;
  } want[] = {{"ant", 0, 5}, {"mole", 5, 2}, {"zebra", 7, 3}};
  ck_assert_uint_eq(g.manifest.category_count, 3);
  for (size_t i = 0; i < 3; i++) {
    ck_assert_str_eq(g.manifest.categories[i].name, want[i].name);
    ck_assert_uint_eq(g.manifest.categories[i].first, want[i].first);
    ck_assert_uint_eq(g.manifest.categories[i].photos, want[i].photos);
  }
  hem__generation_close(&g);
  hem__made_clear(&made);
}
END_TEST

/* ---- refused ---- */

static void refuse(const hem__made *made, hem_index_options o, hem_status wanted, const char *words) {
  char *catalog = hem__test_path(shared_folder(), "catalog.h5"), *store = hem__test_path(shared_folder(), fresh_name());
  hem__made_seal(made, catalog);
  o.size = sizeof o;
  o.catalog = catalog;
  o.store = store;
  ck_fails(hem_index(&o, err), wanted, words);
  hem_engine *engine = NULL;
  ck_fails(hem_engine_open(store, NULL, &engine, err), HEM_ENOTFOUND, "hemline index");
  free(catalog);
  free(store);
}

START_TEST(what_cannot_work_is_refused_with_what_can) {
  hem__made made = {.dim = DIM};
  add_many(&made, "all", 1000, 1);
  refuse(&made, (hem_index_options){.kind = "ivf", .distance = HEM_L1}, HEM_EUNSUPPORTED, "use --kind flat or hnsw");
  refuse(&made, (hem_index_options){.kind = "ivf-pq", .distance = HEM_L1}, HEM_EUNSUPPORTED, "use --kind flat or hnsw");
  refuse(&made, (hem_index_options){.kind = "hnsw-sq8", .distance = HEM_L1}, HEM_EUNSUPPORTED, "flat or hnsw");
  refuse(&made, (hem_index_options){.kind = "hnsw-pca", .distance = HEM_L1}, HEM_EUNSUPPORTED, "flat or hnsw");
  refuse(&made, (hem_index_options){.kind = "hnsw-pca", .distance = HEM_IP}, HEM_EUNSUPPORTED, "inner products");
  refuse(&made, (hem_index_options){.kind = "HNSW"}, HEM_EINVAL,
         "flat, hnsw, hnsw-sq8, hnsw-pca, ivf, ivf-sq8 and ivf-pq");
  refuse(&made, (hem_index_options){.links = 1}, HEM_EINVAL, "at least 2");
  refuse(&made, (hem_index_options){.kind = ""}, HEM_EINVAL, "flat, hnsw");
  refuse(&made, (hem_index_options){.distance = (hem_distance)4}, HEM_EINVAL, "4");
  refuse(&made, (hem_index_options){.space = "hog"}, HEM_ENOTFOUND, "made");
  hem__made_clear(&made);
}
END_TEST

START_TEST(a_missing_argument_is_named) {
  hem_index_options o = {.size = sizeof o, .catalog = "/nowhere/catalog.h5"};
  ck_fails(hem_index(&o, err), HEM_EINVAL, "store");
  o.store = "/nowhere/store";
  ck_fails(hem_index(&o, err), HEM_ENOTFOUND, "/nowhere/catalog.h5");
  o.size = 0;
  ck_fails(hem_index(&o, err), HEM_EINVAL, "hem_index_options");
}
END_TEST

START_TEST(consumer_photos_are_never_in_the_gallery) {
  hem__made made = {.dim = DIM};
  const float v[DIM] = {1};
  add_many(&made, "a", 3, 1);
  hem__made_add(&made, (hem__photo){.domain = HEM__CONSUMER, .category = "a"}, v);
  hem__made_add(&made, (hem__photo){.domain = HEM__CONSUMER, .category = "only customers"}, v);
  add_many(&made, "a", 2, 2);
  char *store = hem__made_store(&made, shared_folder(), fresh_name(), (hem_index_options){0});
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  hem_engine_info info;
  hem_answer answer;
  hem_search_options o = {.size = sizeof o, .photos = true};
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  hem_engine_info_get(engine, &info);
  ck_assert_uint_eq(info.photos, 5);
  ck_assert_uint_eq(info.category_count, 1);
  ck_ok(hem_searcher_new(engine, &searcher, err));
  ck_ok(hem_search(searcher, v, DIM, &o, &answer, err));
  ck_assert_uint_eq(answer.found, 5);
  for (size_t i = 0; i < answer.found; i++) ck_assert(answer.hits[i].row != 3 && answer.hits[i].row != 4);
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
  hem__made_clear(&made);
}
END_TEST

START_TEST(a_catalogue_without_shop_photos_is_refused) {
  hem__made made = {.dim = DIM};
  float v[DIM] = {0};
  refuse(&made, (hem_index_options){0}, HEM_ENOTFOUND, "no shop photos");
  hem__made_add(&made, (hem__photo){.domain = HEM__CONSUMER}, v);
  refuse(&made, (hem_index_options){0}, HEM_ENOTFOUND, "no shop photos");
  hem__made_clear(&made);
}
END_TEST

START_TEST(a_value_that_makes_no_distance_is_refused_by_row) {
  static const float bad[] = {NAN, INFINITY, -INFINITY, 1.001e15F};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    hem__made made = {.dim = DIM};
    add_many(&made, "a", 40, 1);
    made.vectors[37 * DIM + 5] = bad[i];
    refuse(&made, (hem_index_options){0}, HEM_ECORRUPT, "row 37 ");
    refuse(&made, (hem_index_options){.distance = HEM_COSINE}, HEM_ECORRUPT, "row 37 ");
    hem__made_clear(&made);
  }
}
END_TEST

/* ---- the same bytes, and a stop ---- */

static hem__map map_manifest(const char *store, const char *generation) {
  char *path = NULL;
  hem__map map;
  ck_assert_int_ge(asprintf(&path, "%s/generations/%s/manifest.json", store, generation), 0);
  ck_ok(hem__map_open(path, &map, err));
  free(path);
  return map;
}

/* A manifest holds the checksum of every file: equal manifests, equal generations. */
START_TEST(the_same_catalogue_gives_the_same_bytes_on_any_number_of_threads) {
  static const char *const kinds[] = {"flat", "hnsw", "hnsw-sq8", "hnsw-pca", "ivf", "ivf-sq8", "ivf-pq"};
  hem__made made = {.dim = DIM};
  add_many(&made, "a", 2500, 1);
  add_many(&made, "b", 1500, 2);
  add_many(&made, "c", 10, 3);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char *store = NULL;
    static const char *const names[] = {"000001", "000002", "000003"};
    hem__map maps[3];
    for (size_t threads = 0; threads < 3; threads++) {
      free(store);
      store =
          hem__made_store(&made, shared_folder(), kinds[i], (hem_index_options){.kind = kinds[i], .threads = threads});
    }
    for (size_t j = 0; j < 3; j++) maps[j] = map_manifest(store, names[j]);
    for (size_t j = 1; j < 3; j++) {
      ck_assert_uint_eq(maps[j].size, maps[0].size);
      ck_assert_msg(!memcmp(maps[j].at, maps[0].at, maps[0].size), "%s: generations differ", kinds[i]);
    }
    for (size_t j = 0; j < 3; j++) hem__map_close(&maps[j]);
    free(store);
  }
  hem__made_clear(&made);
}
END_TEST

/* Stops at the n-th report. */
static bool count_down(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  int *left = context;
  ck_assert(done <= total);
  ck_assert_str_ne(stage, "");
  ck_assert_str_eq(unit, "photos");
  return --*left > 0;
}

START_TEST(a_stop_leaves_the_store_as_it_was) {
  hem__made made = {.dim = DIM};
  add_many(&made, "a", 3000, 1);
  char *store = hem__made_store(&made, shared_folder(), fresh_name(), (hem_index_options){.kind = "flat"});
  char *catalog = hem__test_path(shared_folder(), "catalog.h5"),
       *left_over = hem__test_path(store, "generations/000002.tmp");
  int stopped = 0;
  for (int n = 1;; n++) {
    int left = n;
    hem_index_options o = {.size = sizeof o, .catalog = catalog, .store = store, .progress = {count_down, &left}};
    hem_error e = {0};
    hem__generation g;
    hem_status status = hem_index(&o, &e);
    ck_ok(hem__generation_open(store, &g, err));
    ck_assert_str_eq(g.name, status ? "000001" : "000002");
    hem__generation_close(&g);
    ck_assert(!hem__path_exists(left_over));
    if (!status) break;
    ck_assert_msg(status == HEM_ECANCELED, "%s", e.message);
    stopped++;
  }
  ck_assert_int_ge(stopped, 2); /* at the first report and at the last */
  free(left_over);
  free(catalog);
  free(store);
  hem__made_clear(&made);
}
END_TEST

HEM_TESTS("build", small_categories_are_flat_whatever_was_asked_for, lists_never_ask_for_more_training_than_there_is,
          settings_that_were_asked_for_are_used, wide_vectors_are_projected_unless_that_cannot_be,
          a_projection_that_would_lose_too_much_is_no_default, pixels_are_kept_as_bytes_and_answered_as_floats,
          a_store_that_was_published_opens, ranges_follow_names_and_cover_the_gallery,
          what_cannot_work_is_refused_with_what_can, a_missing_argument_is_named,
          consumer_photos_are_never_in_the_gallery, a_catalogue_without_shop_photos_is_refused,
          a_value_that_makes_no_distance_is_refused_by_row,
          the_same_catalogue_gives_the_same_bytes_on_any_number_of_threads, a_stop_leaves_the_store_as_it_was)
