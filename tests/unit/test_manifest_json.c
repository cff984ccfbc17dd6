/* A generation's manifest: a round trip, and every field that is missing or odd refused by its name. */
#include <jansson.h>
#include <string.h>

#include "index/generation.h"
#include "test.h"

static hem__generation_category categories[2] = {
    {.name = "coat",
     .kind = "hnsw-sq8",
     .factory = "HNSW32_SQ8",
     .photos = 1200,
     .ef_search = 64,
     .refine = 4,
     .vectors = {.name = "c0000.f32", .size = 1200 * 3 * 4, .digest = {{1}}},
     .index = {.name = "c0000.faiss", .size = 99, .digest = {{2}}}},
    {.name = "shoe \"\xC3\xA4\"\n",
     .kind = "flat",
     .factory = "",
     .first = 1200,
     .photos = 7,
     .vectors = {.name = "c0001.f32", .size = 7 * 3 * 4, .digest = {{3}}}}};
static const hem__manifest sample = {.catalog = "shop.h5",
                                     .catalog_identity = {{5}},
                                     .space = "made",
                                     .space_hash = "0123",
                                     .features = "hog,color",
                                     .dim = 3,
                                     .distance = HEM_COSINE,
                                     .gallery = {.name = "gallery.bin", .size = 1234, .digest = {{4}}},
                                     .categories = categories,
                                     .category_count = 2};

/* The same with a metric: bytes for points. */
static hem__generation_category learned_categories[2];
static hem__manifest learned(void) {
  hem__manifest m = sample;
  m.categories = learned_categories;
  m.metric =
      (hem__generation_metric){.file = {.name = "metric.h5", .size = 4321, .digest = {{6}}},
                               .quantiser = {.name = "quantiser.f32", .size = 3 * 2 * 4, .digest = {{7}}},
                               .width = 3,
                               .certificate = {.overlap = 0.995, .low = 0.99, .high = 0.9975, .queries = 250, .k = 20}};
  for (size_t i = 0; i < 2; i++) {
    hem__generation_category *c = &learned_categories[i];
    *c = categories[i];
    c->points = (hem__generation_file){.name = i ? "c0001.u8" : "c0000.u8", .size = c->photos * 3, .digest = {{8}}};
    c->rerank = i ? 7 : 64;
    if (i == 0) c->certificate = (hem_certificate){.overlap = 1, .low = 0.9, .high = 1, .queries = 3, .k = 20};
  }
  return m;
}

static json_t *learned_json(void) {
  hem__manifest m = learned();
  char *text = NULL;
  size_t size;
  ck_ok(hem__manifest_print(&m, &text, &size, err));
  json_t *root = json_loadb(text, size, 0, NULL);
  ck_assert_ptr_nonnull(root);
  free(text);
  return root;
}

static char *print_sample(size_t *size) {
  char *json = NULL;
  ck_ok(hem__manifest_print(&sample, &json, size, err));
  return json;
}

static json_t *sample_json(void) {
  size_t size;
  char *text = print_sample(&size);
  json_t *root = json_loadb(text, size, 0, NULL);
  ck_assert_ptr_nonnull(root);
  free(text);
  return root;
}

static hem_status parse(const json_t *root, hem_error *err) {
  char *text = json_dumps(root, 0);
  hem__manifest m;
  hem_status status = hem__manifest_parse(text, strlen(text), "manifest.json", &m, err);
  if (!status) hem__manifest_clear(&m);
  free(text);
  return status;
}

START_TEST(what_is_printed_is_parsed) {
  size_t size, again_size;
  char *json = print_sample(&size), *again = NULL;
  hem__manifest m;
  ck_assert_uint_eq(strlen(json), size);
  ck_ok(hem__manifest_parse(json, size, "manifest.json", &m, err));
  ck_assert_str_eq(m.catalog, "shop.h5");
  ck_assert_str_eq(m.features, "hog,color");
  ck_assert_uint_eq(m.dim, 3);
  ck_assert_int_eq(m.distance, HEM_COSINE);
  ck_assert_uint_eq(m.category_count, 2);
  ck_assert_str_eq(m.categories[1].name, categories[1].name);
  ck_assert_uint_eq(m.categories[1].first, 1200);
  ck_assert_ptr_null(m.categories[1].index.name);
  ck_assert_uint_eq(m.categories[0].ef_search, 64);
  ck_assert_uint_eq(m.categories[0].refine, 4);
  ck_assert_mem_eq(&m.categories[0].index.digest, &categories[0].index.digest, sizeof(hem__digest));
  /* Every other field: the same bytes come out again. */
  ck_ok(hem__manifest_print(&m, &again, &again_size, err));
  ck_assert_str_eq(again, json);
  hem__manifest_clear(&m);
  free(again);
  free(json);
}
END_TEST

START_TEST(a_metric_is_printed_and_parsed) {
  for (hem__precision p = HEM__U8; p <= HEM__F16; p++) {
    hem__manifest m = learned(), back;
    char *json = NULL, *again = NULL;
    size_t size, again_size;
    m.metric.precision = p;
    for (size_t i = 0; i < 2; i++) m.categories[i].points.size = m.categories[i].photos * (p == HEM__U8 ? 3 : 6);
    ck_ok(hem__manifest_print(&m, &json, &size, err));
    ck_assert_ptr_nonnull(strstr(json, "\"version\": 2"));
    ck_ok(hem__manifest_parse(json, size, "manifest.json", &back, err));
    ck_assert(hem__manifest_learned(&back) && back.metric.width == 3 && back.metric.precision == p);
    ck_assert(back.metric.certificate.overlap == 0.995 && back.metric.certificate.queries == 250);
    ck_assert(back.categories[0].rerank == 64 && back.categories[1].rerank == 7);
    ck_ok(hem__manifest_print(&back, &again, &again_size, err));
    ck_assert_str_eq(again, json);
    hem__manifest_clear(&back);
    free(again);
    free(json);
  }
}
END_TEST

/* Hemlines that know no metric go on reading what has none. */
START_TEST(without_a_metric_a_manifest_is_of_version_1) {
  json_t *root = sample_json(), *coat = json_array_get(json_object_get(root, "categories"), 0);
  ck_assert_int_eq(json_integer_value(json_object_get(root, "version")), 1);
  ck_assert(!json_object_get(root, "metric") && !json_object_get(coat, "points") && !json_object_get(coat, "rerank"));
  json_decref(root);
}
END_TEST

START_TEST(vectors_of_bytes_are_printed_and_parsed) {
  static const uint32_t divisors[] = {1, 255};
  hem__generation_category bytes = categories[0];
  hem__manifest m = sample, read;
  m.categories = &bytes;
  m.category_count = 1;
  for (size_t i = 0; i < 2; i++) {
    char *json = NULL;
    size_t size;
    bytes.divisor = divisors[i];
    bytes.vectors.size = 1200 * 3;
    ck_ok(hem__manifest_print(&m, &json, &size, err));
    ck_ok(hem__manifest_parse(json, size, "manifest.json", &read, err));
    ck_assert_uint_eq(read.categories[0].divisor, divisors[i]);
    json_t *root = json_loadb(json, size, 0, NULL), *coat = json_array_get(json_object_get(root, "categories"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "version")), 3);
    json_object_set_new(coat, "divisor", json_integer(2));
    ck_fails(parse(root, err), HEM_ECORRUPT, "divisor");
    json_object_set_new(coat, "divisor", json_string("1"));
    ck_fails(parse(root, err), HEM_ECORRUPT, "divisor");
    json_object_del(coat, "divisor");
    ck_fails(parse(root, err), HEM_ECORRUPT, "vectors");
    json_decref(root);
    hem__manifest_clear(&read);
    free(json);
  }
}
END_TEST

START_TEST(every_name_of_a_distance_goes_both_ways) {
  for (hem_distance d = HEM_L2; d <= HEM_IP; d++) {
    hem__manifest m = sample, back;
    char *json = NULL;
    size_t size;
    m.distance = d;
    ck_ok(hem__manifest_print(&m, &json, &size, err));
    ck_ok(hem__manifest_parse(json, size, "manifest.json", &back, err));
    ck_assert_int_eq(back.distance, d);
    hem__manifest_clear(&back);
    free(json);
  }
}
END_TEST

/* Takes each field of an object out in turn; `name` is what the message must hold, or NULL: the field itself. */
static void remove_each(json_t *root, json_t *object, const char *name) {
  json_t *copy = json_copy(object), *value;
  const char *field;
  json_object_foreach(copy, field, value) {
    if (!strcmp(field, "format") || !strcmp(field, "version") || !strcmp(field, "hemline")) continue;
    json_object_del(object, field);
    if (!strcmp(field, "catalog_identity")) { /* stores of older Hemlines lack it */
      ck_ok(parse(root, err));
    } else {
      ck_fails(parse(root, err), HEM_ECORRUPT, name ? name : field);
    }
    json_t *const odd[] = {json_null(), json_true(), json_real(1.5), json_array()};
    for (size_t i = 0; i < 4; i++) {
      if (i == 0 && !strcmp(field, "index")) continue;
      if (i == 3 && !strcmp(field, "categories")) continue;
      json_object_set(object, field, odd[i]);
      ck_fails(parse(root, err), HEM_ECORRUPT, name ? name : field);
    }
    for (size_t i = 0; i < 4; i++) json_decref(odd[i]);
    json_object_set(object, field, value);
    ck_ok(parse(root, err));
  }
  json_decref(copy);
}

START_TEST(a_missing_or_odd_field_is_refused_by_name) {
  json_t *root = sample_json();
  json_t *coat = json_array_get(json_object_get(root, "categories"), 0);
  remove_each(root, root, "'"); /* a missing object is reported by its first field */
  remove_each(root, json_object_get(root, "space"), NULL);
  remove_each(root, json_object_get(root, "gallery"), NULL);
  remove_each(root, coat, "'");
  remove_each(root, json_object_get(coat, "vectors"), NULL);
  remove_each(root, json_object_get(coat, "index"), NULL);
  json_decref(root);
}
END_TEST

/* Sets a field of an object to `value` (taken), and back again after the check. */
static void refuse(json_t *root, json_t *object, const char *field, json_t *value, const char *words) {
  json_t *before = json_incref(json_object_get(object, field));
  json_object_set_new(object, field, value);
  ck_fails(parse(root, err), HEM_ECORRUPT, words);
  json_object_set_new(object, field, before);
  ck_ok(parse(root, err));
}

START_TEST(numbers_out_of_range_are_refused) {
  json_t *root = sample_json(), *list = json_object_get(root, "categories");
  json_t *coat = json_array_get(list, 0), *shoe = json_array_get(list, 1);
  static const char *const counts[] = {"first", "photos", "efSearch", "nprobe", "refine"};
  for (size_t i = 0; i < 5; i++) {
    refuse(root, coat, counts[i], json_integer(-1), counts[i]);
    refuse(root, coat, counts[i], json_integer(INT64_MAX), counts[i]);
  }
  refuse(root, json_object_get(root, "space"), "dim", json_integer(0), "dim");
  refuse(root, json_object_get(root, "space"), "dim", json_integer(4), "vectors"); /* not the files' size */
  refuse(root, json_object_get(root, "gallery"), "size", json_integer(-1), "size");
  refuse(root, coat, "first", json_integer(1), "first");
  refuse(root, shoe, "first", json_integer(1199), "first");
  refuse(root, shoe, "first", json_integer(1201), "first");
  refuse(root, shoe, "photos", json_integer(8), "vectors");
  refuse(root, shoe, "photos", json_integer(0), "first");
  refuse(root, root, "distance", json_string("L2"), "distance");
  json_decref(root);
}
END_TEST

START_TEST(a_metrics_fields_are_refused_by_name) {
  json_t *root = learned_json(), *metric = json_object_get(root, "metric");
  json_t *coat = json_array_get(json_object_get(root, "categories"), 0);
  remove_each(root, root, "'");
  remove_each(root, coat, "'");
  remove_each(root, metric, "'");
  remove_each(root, json_object_get(metric, "certificate"), "'");
  remove_each(root, json_object_get(metric, "quantiser"), NULL);
  remove_each(root, json_object_get(coat, "points"), NULL);
  refuse(root, coat, "rerank", json_integer(0), "rerank");
  refuse(root, coat, "rerank", json_integer(1201), "rerank");
  refuse(root, metric, "width", json_integer(0), "width");
  refuse(root, metric, "width", json_integer(4), "width"); /* not the quantiser's size */
  refuse(root, metric, "precision", json_string("f16"), "points");
  refuse(root, metric, "precision", json_string("u16"), "precision");
  refuse(root, json_object_get(metric, "certificate"), "overlap", json_real(0.98), "overlap");
  refuse(root, json_object_get(metric, "certificate"), "high", json_real(0.98), "overlap");
  refuse(root, json_object_get(metric, "certificate"), "low", json_real(-0.1), "low");
  refuse(root, json_object_get(coat, "points"), "name", json_string("../x"), "points");
  json_decref(root);
}
END_TEST

START_TEST(checksums_must_be_checksums) {
  static const char *const bad[] = {"", "0123", "0000000000000000000000000000000000000000000000000000000000000000f",
                                    "G000000000000000000000000000000000000000000000000000000000000000",
                                    "ABCDEF0000000000000000000000000000000000000000000000000000000000"};
  json_t *root = sample_json();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refuse(root, json_object_get(root, "gallery"), "sha256", json_string(bad[i]), "sha256");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refuse(root, root, "catalog_identity", json_string(bad[i]), "catalog_identity");
  json_decref(root);
}
END_TEST

START_TEST(files_outside_the_generation_are_refused) {
  static const char *const bad[] = {"",
                                    ".",
                                    "..",
                                    "../x",
                                    "/etc/passwd",
                                    "a/b",
                                    "./gallery.bin",
                                    "x/../../y",
                                    "/",
                                    ".tmp",
                                    "a/..",
                                    "0123456789012345678901234567890123456789012345678901234567890123"};
  json_t *root = sample_json(), *coat = json_array_get(json_object_get(root, "categories"), 0);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    refuse(root, json_object_get(root, "gallery"), "name", json_string(bad[i]), "gallery");
    refuse(root, json_object_get(coat, "vectors"), "name", json_string(bad[i]), "vectors");
    refuse(root, json_object_get(coat, "index"), "name", json_string(bad[i]), "index");
  }
  json_decref(root);
}
END_TEST

START_TEST(two_categories_of_one_name_are_refused) {
  json_t *root = sample_json(), *shoe = json_array_get(json_object_get(root, "categories"), 1);
  refuse(root, shoe, "name", json_string("coat"), "coat");
  json_decref(root);
}
END_TEST

START_TEST(what_was_tried_may_be_named) {
  hem__manifest m = sample, read;
  m.tuning = (hem__generation_file){.name = "tuning.json", .size = 77, .digest = {{9}}};
  char *text = NULL;
  size_t size;
  ck_ok(hem__manifest_print(&m, &text, &size, err));
  ck_ok(hem__manifest_parse(text, size, "manifest.json", &read, err));
  ck_assert_str_eq(read.tuning.name, "tuning.json");
  ck_assert_uint_eq(read.tuning.size, 77);
  ck_assert(hem__digest_equal(&read.tuning.digest, &m.tuning.digest));
  hem__manifest_clear(&read);
  json_t *root = json_loadb(text, size, 0, NULL);
  refuse(root, json_object_get(root, "tuning"), "name", json_string("../tuning.json"), "tuning");
  refuse(root, root, "tuning", json_null(), "name");
  json_object_del(root, "tuning"); /* as it was before there was any */
  ck_ok(parse(root, err));
  json_decref(root);
  free(text);
}
END_TEST

START_TEST(another_format_or_version_is_told_apart_from_damage) {
  json_t *root = sample_json();
  json_object_set_new(root, "version", json_integer(4));
  ck_fails(parse(root, err), HEM_EVERSION, "newer Hemline");
  json_object_set_new(root, "version", json_integer(0));
  ck_fails(parse(root, err), HEM_EVERSION, "versions 1 to 3");
  json_object_del(root, "version");
  ck_fails(parse(root, err), HEM_EVERSION, "manifest.json");
  json_object_set_new(root, "version", json_integer(1));
  json_object_set_new(root, "format", json_string("something else"));
  ck_fails(parse(root, err), HEM_EVERSION, "not a Hemline manifest");
  json_object_del(root, "format");
  ck_fails(parse(root, err), HEM_EVERSION, "not a Hemline manifest");
  json_decref(root);
}
END_TEST

START_TEST(text_that_is_not_json_is_refused) {
  static const char *const bad[] = {"", "{", "[]", "null", "{} x", "{\"format\":\"a\",\"format\":\"b\"}", "\xFF"};
  hem__manifest m;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    hem_error e = {0};
    hem_status status = hem__manifest_parse(bad[i], strlen(bad[i]), "manifest.json", &m, &e);
    ck_assert_msg(status == HEM_ECORRUPT || status == HEM_EVERSION, "'%s' was taken", bad[i]);
    ck_assert_ptr_nonnull(strstr(e.message, "manifest.json"));
  }
}
END_TEST

START_TEST(no_part_of_a_manifest_is_a_manifest) {
  size_t size;
  char *json = print_sample(&size);
  hem__manifest m;
  for (size_t cut = 0; cut < size; cut++)
    ck_fails(hem__manifest_parse(json, cut, "manifest.json", &m, err), HEM_ECORRUPT, "manifest.json");
  free(json);
}
END_TEST

START_TEST(a_name_that_is_not_utf8_is_not_printed) {
  hem__manifest m = sample;
  char *json = NULL, name[] = "\xFF\xFE";
  size_t size;
  m.space = name;
  ck_fails(hem__manifest_print(&m, &json, &size, err), HEM_ENOMEM, "UTF-8");
}
END_TEST

HEM_TESTS("manifest_json", what_is_printed_is_parsed, a_metric_is_printed_and_parsed,
          without_a_metric_a_manifest_is_of_version_1, vectors_of_bytes_are_printed_and_parsed,
          a_metrics_fields_are_refused_by_name, every_name_of_a_distance_goes_both_ways,
          a_missing_or_odd_field_is_refused_by_name, numbers_out_of_range_are_refused, checksums_must_be_checksums,
          files_outside_the_generation_are_refused, two_categories_of_one_name_are_refused, what_was_tried_may_be_named,
          another_format_or_version_is_told_apart_from_damage, text_that_is_not_json_is_refused,
          no_part_of_a_manifest_is_a_manifest, a_name_that_is_not_utf8_is_not_printed)
