/* hem_index with a metric: what is refused, what lies in the generation, what is promised of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "index/learned.h"
#include "metric/metric_file.h"
#include "query/truth.h"
#include "support/make_learned.h"

enum { DIM = 16 };

static const char *folder(void) {
  static const char *made;
  if (!made) made = hem__test_folder();
  return made;
}

/* A shop and a saved metric; what is tried with them. */
typedef struct scene {
  hem__made made;
  hem__metric *metric;
  char *catalog, *file, *store;
} scene;

static scene set_scene(hem__test_kind kind, size_t items, const char *name) {
  scene s = {.made = {.dim = DIM}, .metric = hem__test_learned(kind, DIM, HEM_L2, 3)};
  hem__test_shop(&s.made, items, 2, 9);
  s.catalog = hem__test_path(folder(), "catalog.h5");
  s.file = hem__test_path(folder(), "metric.h5");
  s.store = hem__test_path(folder(), name);
  return s;
}

static void clear_scene(scene *s) {
  hem__metric_free(s->metric);
  hem__made_clear(&s->made);
  free(s->catalog);
  free(s->file);
  free(s->store);
}

static hem_status index_scene(const scene *s, hem_index_options o, hem_error *why) {
  hem__made_seal(&s->made, s->catalog);
  ck_ok(hem__metric_save(s->metric, s->file, err));
  o.size = sizeof o;
  o.catalog = s->catalog;
  o.store = s->store;
  o.metric = s->file;
  return hem_index(&o, why);
}

/* ---- refused ---- */

START_TEST(a_metric_that_is_not_better_is_refused_and_says_what_to_do) {
  scene s = set_scene(HEM__TEST_CONCAVE, 60, "refused");
  s.metric->verdict.gain_low = 0;
  ck_fails(index_scene(&s, (hem_index_options){0}, err), HEM_EUNSUPPORTED, "--force");
  ck_fails(index_scene(&s, (hem_index_options){0}, err), HEM_EUNSUPPORTED, "70.0 %");
  ck_fails(index_scene(&s, (hem_index_options){0}, err), HEM_EUNSUPPORTED, "more pairs");
  s.metric->verdict = (hem__verdict){0};
  ck_fails(index_scene(&s, (hem_index_options){0}, err), HEM_EUNSUPPORTED, "never validated");
  ck_assert(!hem__path_exists(s.store));
  ck_ok(index_scene(&s, (hem_index_options){.force = true}, err));
  clear_scene(&s);
}
END_TEST

START_TEST(a_metric_of_another_space_is_refused) {
  scene s = set_scene(HEM__TEST_L1, 60, "mismatch");
  s.metric->space_hash[0] ^= 1;
  ck_fails(index_scene(&s, (hem_index_options){0}, err), HEM_EMISMATCH, "trained on 'made'");
  clear_scene(&s);
}
END_TEST

START_TEST(options_that_cannot_be_are_refused) {
  scene s = set_scene(HEM__TEST_L1, 60, "options");
  s.metric->candidate_distance = HEM_L1;
  ck_fails(index_scene(&s, (hem_index_options){.precision = "u16"}, err), HEM_EINVAL, "u8 and f16");
  ck_fails(index_scene(&s, (hem_index_options){.kind = "ivf"}, err), HEM_EUNSUPPORTED, "l1");
  hem_index_options o = {.size = sizeof o, .catalog = s.catalog, .store = s.store, .rerank = 5};
  ck_fails(hem_index(&o, err), HEM_EINVAL, "none is named");
  o = (hem_index_options){.size = sizeof o, .catalog = s.catalog, .store = s.store, .metric = "/nowhere/m"};
  ck_fails(hem_index(&o, err), HEM_ENOTFOUND, "/nowhere/m");
  ck_assert(!hem__path_exists(s.store));
  clear_scene(&s);
}
END_TEST

START_TEST(a_value_that_makes_no_distance_is_refused_by_row) {
  static const float bad[] = {NAN, INFINITY, 1.001e15F};
  for (size_t i = 0; i < 3; i++) {
    scene s = set_scene(HEM__TEST_CONCAVE, 40, "bad");
    size_t shop = 30, customer = 0;
    while (s.made.photos.at[shop].domain != HEM__SHOP) shop++;
    while (s.made.photos.at[customer].domain != HEM__CONSUMER) customer++;
    s.made.vectors[customer * DIM + 5] = bad[i]; /* it is not in the gallery, and not asked with */
    ck_ok(index_scene(&s, (hem_index_options){0}, err));
    char words[32];
    snprintf(words, sizeof words, "row %zu ", shop);
    s.made.vectors[shop * DIM + 5] = bad[i];
    ck_fails(index_scene(&s, (hem_index_options){0}, err), HEM_ECORRUPT, words);
    clear_scene(&s);
  }
}
END_TEST

/* ---- what lies in it ---- */

static hem__generation open_generation(const scene *s) {
  hem__generation g;
  ck_ok(hem__generation_open(s->store, &g, err));
  return g;
}

/* Points and vectors of each category, against the definitions, photo by photo. */
static void check_files(const scene *s, const hem__generation *g) {
  const hem__metric *m = s->metric;
  const hem__manifest *manifest = &g->manifest;
  float *point = malloc(m->width * sizeof *point);
  for (size_t c = 0; c < manifest->category_count; c++) {
    hem__map vectors, points;
    ck_ok(hem__generation_map(g, &manifest->categories[c].vectors, &vectors, err));
    ck_ok(hem__generation_map(g, &manifest->categories[c].points, &points, err));
    size_t photo = 0;
    hem__map map;
    ck_ok(hem__generation_map(g, &manifest->metric.quantiser, &map, err));
    const float *low = (const float *)(const void *)map.at, *step = low + m->width;
    for (size_t row = 0; row < s->made.photos.count; row++) {
      const hem__photo *p = &s->made.photos.at[row];
      if (p->domain != HEM__SHOP || strcmp(p->category, manifest->categories[c].name) != 0) continue;
      ck_ok(hem__metric_project(m, hem__made_vector(&s->made, row), 1, point, err));
      const float *scaled = (const float *)(const void *)vectors.at + photo * m->width;
      for (size_t d = 0; d < m->width; d++) {
        double back = manifest->metric.precision == HEM__U8
                          ? (double)low[d] + (double)step[d] * points.at[photo * m->width + d]
                          : (double)hem__from_half(((const uint16_t *)(const void *)points.at)[photo * m->width + d]);
        double room = manifest->metric.precision == HEM__U8 ? (double)step[d] * 0.51 : fabs((double)point[d]) / 2000;
        if (fabs((double)scaled[d] - (double)(m->candidate_scale[d] * point[d])) > 1e-5) ck_abort_msg("vectors");
        if (fabs(back - (double)point[d]) > room + 1e-6)
          ck_abort_msg("row %zu, value %zu: %g is not %g", row, d, back, (double)point[d]);
      }
      photo++;
    }
    ck_assert_uint_eq(photo, manifest->categories[c].photos);
    hem__map_close(&map);
    hem__map_close(&vectors);
    hem__map_close(&points);
  }
  free(point);
}

START_TEST(points_and_vectors_are_those_of_the_metric) {
  static const char *const precisions[] = {"u8", "f16"};
  for (hem__test_kind kind = 0; kind < HEM__TEST_KINDS; kind++)
    for (size_t p = 0; p < 2; p++) {
      scene s = set_scene(kind, 100, "files");
      hem__metric *back = NULL;
      ck_ok(index_scene(&s, (hem_index_options){.precision = precisions[p]}, err));
      hem__generation g = open_generation(&s);
      ck_assert_uint_eq(g.manifest.metric.width, s.metric->width);
      ck_assert_int_eq(g.manifest.metric.precision, p ? HEM__F16 : HEM__U8);
      ck_assert_int_eq(g.manifest.distance, HEM_L2);
      ck_ok(hem__learned_read(&g, &back, err));
      ck_assert_str_eq(back->about, "made by a test");
      check_files(&s, &g);
      hem__metric_free(back);
      hem__generation_close(&g);
      clear_scene(&s);
    }
}
END_TEST

START_TEST(the_same_catalogue_and_metric_give_the_same_bytes) {
  scene s = set_scene(HEM__TEST_CONCAVE, 1500, "same");
  hem__digest digests[2][4];
  for (size_t i = 0; i < 2; i++) {
    ck_ok(index_scene(&s, (hem_index_options){.threads = 1 + i}, err));
    hem__generation g = open_generation(&s);
    digests[i][0] = g.manifest.metric.file.digest;
    digests[i][1] = g.manifest.metric.quantiser.digest;
    digests[i][2] = g.manifest.categories[0].points.digest;
    digests[i][3] = g.manifest.categories[1].index.digest;
    ck_assert_uint_gt(g.manifest.metric.certificate.queries, 0);
    hem__generation_close(&g);
  }
  for (size_t j = 0; j < 4; j++) ck_assert(hem__digest_equal(&digests[0][j], &digests[1][j]));
  clear_scene(&s);
}
END_TEST

/* ---- how many candidates, and the certificate ---- */

START_TEST(the_default_keeps_what_is_promised) {
  scene s = set_scene(HEM__TEST_CONCAVE, 2000, "promise");
  hem_engine *engine = NULL;
  hem_engine_info info;
  ck_ok(index_scene(&s, (hem_index_options){0}, err));
  hem__generation g = open_generation(&s);
  ck_ok(hem_engine_open(s.store, NULL, &engine, err));
  hem_engine_info_get(engine, &info);
  ck_assert(info.metric && info.certificate.queries == 200 && info.certificate.k == 20);
  ck_assert_msg(info.certificate.overlap >= 0.985, "%g", info.certificate.overlap);
  ck_assert(info.certificate.low < info.certificate.overlap && info.certificate.overlap <= info.certificate.high);
  ck_assert(info.false_accept == 0.05 && !strcmp(info.metric_about, "made by a test") && *info.kernel);
  for (size_t c = 0; c < 2; c++) {
    const hem__generation_category *category = &g.manifest.categories[c];
    ck_assert_uint_ge(category->rerank, 32);
    ck_assert_uint_lt(category->rerank, category->photos); /* and yet not all of them */
    ck_assert_uint_eq(category->certificate.queries, 100);
    ck_assert(category->certificate.overlap >= 0.985);
  }
  hem__generation_close(&g);
  hem_engine_close(engine);
  clear_scene(&s);
}
END_TEST

START_TEST(as_many_candidates_as_were_asked_for_are_scored) {
  scene s = set_scene(HEM__TEST_CONCAVE, 300, "asked");
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  hem_answer answer;
  ck_ok(index_scene(&s, (hem_index_options){.rerank = 40}, err));
  ck_ok(hem_engine_open(s.store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  hem_search_options o = {.size = sizeof o, .k = 10};
  ck_ok(hem_search(searcher, hem__made_vector(&s.made, 0), DIM, &o, &answer, err));
  ck_assert_uint_gt(answer.scored, 0); /* the store's own number: scanned, and most are ruled out by their bounds */
  ck_assert_uint_lt(answer.scored, answer.gallery);
  ck_assert(answer.candidates_ns > 0 && answer.rerank_ns > 0);
  o.rerank = 25;
  ck_ok(hem_search(searcher, hem__made_vector(&s.made, 0), DIM, &o, &answer, err));
  ck_assert_uint_eq(answer.scored, 50); /* in each of two categories */
  o.k = 45;                             /* items: more than 50 candidates show */
  ck_ok(hem_search(searcher, hem__made_vector(&s.made, 0), DIM, &o, &answer, err));
  ck_assert_uint_eq(answer.found, 45);
  ck_assert_uint_gt(answer.scored, 50);
  o.plain = true;
  ck_ok(hem_search(searcher, hem__made_vector(&s.made, 0), DIM, &o, &answer, err));
  ck_assert(answer.scored == 0 && isnan(answer.hits[0].score) && isnan(answer.hits[0].probability));
  ck_assert(!answer.no_match && answer.hits[3].place == 4);
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  clear_scene(&s);
}
END_TEST

/* One photo far out in every dimension: the steps of bytes become as wide as all the rest of the shop. */
START_TEST(bytes_that_lose_too_much_become_half_floats) {
  scene s = set_scene(HEM__TEST_CONCAVE, 300, "coarse");
  float far[DIM];
  for (size_t d = 0; d < DIM; d++) far[d] = 500;
  hem__made_add(&s.made, (hem__photo){.category = "c0"}, far);
  ck_ok(index_scene(&s, (hem_index_options){0}, err));
  hem__generation g = open_generation(&s);
  ck_assert_int_eq(g.manifest.metric.precision, HEM__F16);
  ck_assert_msg(g.manifest.metric.certificate.overlap > 0.98, "%g", g.manifest.metric.certificate.overlap);
  check_files(&s, &g);
  char *left = hem__test_path(g.folder, "c0000.u8");
  ck_assert(!hem__path_exists(left));
  free(left);
  hem__generation_close(&g);
  ck_ok(index_scene(&s, (hem_index_options){.precision = "u8"}, err)); /* asked for: taken */
  g = open_generation(&s);
  ck_assert_int_eq(g.manifest.metric.precision, HEM__U8);
  ck_assert_msg(g.manifest.metric.certificate.overlap < 0.98, "%g", g.manifest.metric.certificate.overlap);
  hem__generation_close(&g);
  clear_scene(&s);
}
END_TEST

/* ---- who is asked ---- */

static size_t choose(const scene *s, hem__sample **samples) {
  hem_engine *engine = NULL;
  hem__catalog *catalog = NULL;
  size_t count;
  ck_ok(index_scene(s, (hem_index_options){.rerank = 10}, err));
  ck_ok(hem_engine_open(s->store, NULL, &engine, err));
  ck_ok(hem__catalog_open(s->catalog, &catalog, err));
  ck_ok(hem__samples_choose(engine, catalog, hem__catalog_matrix(catalog, 0), 50, samples, &count, err));
  hem__catalog_close(catalog);
  hem_engine_close(engine);
  return count;
}

START_TEST(no_query_is_a_photo_that_the_metric_learned_from) {
  scene s = set_scene(HEM__TEST_L1, 200, "samples");
  hem__sample *samples = NULL;
  size_t seen = 0;
  ck_ok(hem__alloc(1, sizeof *s.metric->seen, "items", &s.metric->seen, err));
  for (size_t i = 0; i < s.made.photos.count; i++)
    if (s.made.photos.at[i].domain == HEM__CONSUMER) seen = i;
  s.metric->seen[s.metric->seen_count++] = hem__item_key(s.made.photos.at[seen].item_id);
  size_t count = choose(&s, &samples);
  ck_assert_uint_eq(count, 39); /* of 40 */
  for (size_t i = 0; i < count; i++) {
    ck_assert(s.made.photos.at[samples[i].row].domain == HEM__CONSUMER && !samples[i].leave_out);
    ck_assert(!hem__metric_saw(s.metric, s.made.photos.at[samples[i].row].item_id));
  }
  free(samples);
  /* Where splits are marked they count. */
  for (size_t i = 0; i < s.made.photos.count; i++) s.made.photos.at[i].split = i % 2 ? HEM__TRAIN : HEM__TEST;
  count = choose(&s, &samples);
  ck_assert_uint_gt(count, 5);
  for (size_t i = 0; i < count; i++) ck_assert_int_eq(s.made.photos.at[samples[i].row].split, HEM__TEST);
  free(samples);
  /* And without a customer, shop photos ask for the others. */
  for (size_t i = 0; i < s.made.photos.count; i++) s.made.photos.at[i].split = HEM__TRAIN;
  count = choose(&s, &samples);
  ck_assert_uint_eq(count, 50);
  for (size_t i = 0; i < count; i++)
    ck_assert(s.made.photos.at[samples[i].row].domain == HEM__SHOP && samples[i].leave_out);
  free(samples);
  clear_scene(&s);
}
END_TEST

HEM_TESTS("learned", a_metric_that_is_not_better_is_refused_and_says_what_to_do, a_metric_of_another_space_is_refused,
          options_that_cannot_be_are_refused, a_value_that_makes_no_distance_is_refused_by_row,
          points_and_vectors_are_those_of_the_metric, the_same_catalogue_and_metric_give_the_same_bytes,
          the_default_keeps_what_is_promised, as_many_candidates_as_were_asked_for_are_scored,
          bytes_that_lose_too_much_become_half_floats, no_query_is_a_photo_that_the_metric_learned_from)
