/* The doctor finds what was planted, says what it is, and finds nothing in a healthy catalogue. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "bench/doctor_page.h"
#include "support/make_catalog.h"

enum { DIM = 16, SIDE = 96, HEALTHY = 80 };

static const char *folder(void) {
  static const char *made;
  if (!made) made = hem__test_folder();
  return made;
}

/* ---- pictures ---- */

/* Smooth blobs of colour, another picture for each number. */
static void paint(uint64_t number, size_t width, size_t height, hem__image *out) {
  uint64_t state = number * 7919 + 1;
  float wave[3][4];
  for (size_t i = 0; i < 12; i++) wave[i / 4][i % 4] = 1 + 7 * hem__test_uniform(&state);
  ck_ok(hem__image_new(width, height, out, err));
  for (size_t i = 0; i < width * height; i++) {
    float x = (float)(i % width) / (float)width, y = (float)(i / width) / (float)height; /* NOLINT */
    for (size_t c = 0; c < 3; c++) {
      const float *w = wave[c];
      float v = sinf(w[0] * x + w[1] * y + w[2]) + cosf(w[3] * x * y + w[1] - w[0] * y);
      out->at[3 * i + c] = (uint8_t)(127.5F + 60 * v);
    }
  }
}

static void put(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
  ck_assert_int_eq(fclose(file), 0);
}

/* Writes a PNG; false without libvips. */
static bool save(const hem__image *image, const char *path, hem__digest *digest) {
  uint8_t *png = NULL;
  size_t size = 0;
  hem_error err;
  hem_status status = hem__image_png(image, &png, &size, &err);
  if (status == HEM_EUNSUPPORTED) return false;
  ck_assert_int_eq(status, HEM_OK);
  put(path, png, size);
  *digest = hem__sha256_of(png, size);
  free(png);
  return true;
}

static bool without_vips(void) {
  uint8_t *png = NULL;
  size_t size;
  hem__image dot = {0};
  hem_error e;
  ck_ok(hem__image_new(1, 1, &dot, err));
  memset(dot.at, 0, 3);
  bool without = hem__image_png(&dot, &png, &size, &e) == HEM_EUNSUPPORTED;
  if (without) puts("without libvips there are no pictures to look at");
  hem__image_clear(&dot);
  free(png);
  return without;
}

/* ---- a scene: a catalogue with photos ---- */

typedef struct scene {
  hem__made made;
  uint64_t state;
  size_t files;
  hem__catalog *catalog;
  hem__diagnosis found;
} scene;

static void some_vector(scene *s, float *v) {
  for (size_t i = 0; i < DIM; i++) v[i] = hem__test_normal(&s->state);
}

/* Adds a row for a picture that is written to a file of its own. Returns the row. */
static size_t add_image(scene *s, const hem__image *image, hem__photo photo) {
  char name[64];
  float v[DIM];
  snprintf(name, sizeof name, "doctor-%zu.png", s->files++);
  char *path = hem__test_path(folder(), name);
  ck_assert(save(image, path, &photo.source));
  if (!photo.path) photo.path = path;
  photo.width = (uint32_t)image->width;
  photo.height = (uint32_t)image->height;
  some_vector(s, v);
  hem__made_add(&s->made, photo, v);
  free(path);
  return s->made.photos.count - 1;
}

static size_t add_picture(scene *s, uint64_t number, hem__photo photo) {
  hem__image image = {0};
  paint(number, SIDE, SIDE, &image);
  size_t row = add_image(s, &image, photo);
  hem__image_clear(&image);
  return row;
}

/* A row without a file: its photo lies inside another one. */
static size_t add_vector(scene *s, const float *v, hem__photo photo) {
  char path[64];
  size_t row = s->made.photos.count;
  snprintf(path, sizeof path, "photos#%zu", row);
  photo.path = path;
  if (!photo.width) photo.width = photo.height = SIDE;
  photo.source = hem__sha256_of(path, strlen(path));
  hem__made_add(&s->made, photo, v);
  return row;
}

static void start(scene *s) { *s = (scene){.made = {.dim = DIM}, .state = 5}; }

static void examine(scene *s, hem__doctor_options options) {
  char *path = hem__test_path(folder(), "doctor.h5");
  hem__made_seal(&s->made, path);
  ck_ok(hem__catalog_open(path, &s->catalog, err));
  ck_ok(hem__doctor(s->catalog, &options, &s->found, err));
  free(path);
}

static void finish(scene *s) {
  hem__diagnosis_clear(&s->found);
  hem__catalog_close(s->catalog);
  hem__made_clear(&s->made);
}

static const hem__finding *only(const scene *s, hem__ailment kind) {
  const hem__finding *found = NULL;
  for (size_t i = 0; i < s->found.finding_count; i++) {
    const hem__finding *f = &s->found.findings[i];
    ck_assert_msg(f->kind == kind, "'%s' found instead of '%s'", hem__ailment_texts[f->kind].name,
                  hem__ailment_texts[kind].name);
    found = f;
  }
  ck_assert_uint_eq(s->found.finding_count, 1);
  ck_assert_uint_eq(s->found.counts[kind], 1);
  return found;
}

static void expect_rows(const scene *s, const hem__finding *f, size_t count, const size_t *rows) {
  ck_assert_uint_eq(f->count, count);
  for (size_t i = 0; i < count; i++) ck_assert_uint_eq(s->found.members[f->first + i].row, rows[i]);
}

/* ---- how alike two pictures are ---- */

static hem__look look_of(const hem__image *image) {
  hem__look look = {0};
  ck_ok(hem__look_of(image, &look, err));
  return look;
}

START_TEST(copies_of_a_picture_are_alike) {
  for (uint64_t n = 0; n < 20; n++) {
    hem__image image = {0}, other = {0};
    paint(n, 200, 150, &image);
    hem__look look = look_of(&image), of_other;
    ck_assert(look.hash && !look.blank && !look.small);
    ck_assert_double_eq(hem__look_difference(&look, &look), 0);
    ck_ok(hem__image_resize(&image, 100, 75, &other, err));
    of_other = look_of(&other);
    ck_assert_msg(hem__look_alike(&look, &of_other), "%zu: half the size", (size_t)n);
    hem__image_clear(&other);
    ck_ok(hem__image_crop(&image, (hem__box){1, 1, 198, 148, HEM__PIXELS}, &other, err));
    of_other = look_of(&other);
    ck_assert_msg(hem__look_alike(&look, &of_other), "%zu: cut", (size_t)n);
    for (size_t i = 0; i < other.width * other.height * 3; i++) other.at[i] = (uint8_t)(other.at[i] + (i * 31 + n) % 7);
    of_other = look_of(&other);
    ck_assert_msg(hem__look_alike(&look, &of_other), "%zu: noise and lighter", (size_t)n);
    hem__image_clear(&image);
    hem__image_clear(&other);
  }
}
END_TEST

START_TEST(other_pictures_colours_and_shapes_are_not_alike) {
  for (uint64_t n = 0; n < 20; n++) {
    hem__image image = {0}, other = {0};
    paint(n, 120, 120, &image);
    paint(n + 1, 120, 120, &other);
    hem__look look = look_of(&image), of_other = look_of(&other);
    ck_assert_msg(!hem__look_alike(&look, &of_other), "%zu and the next", (size_t)n);
    hem__image_clear(&other);
    ck_ok(hem__image_resize(&image, 120, 160, &other, err));
    of_other = look_of(&other);
    ck_assert_msg(!hem__look_alike(&look, &of_other), "%zu: stretched", (size_t)n);
    hem__image_clear(&other);
    for (size_t i = 0; i < image.width * image.height; i++) { /* the same in grey, tinted */
      uint8_t red = image.at[3 * i];
      image.at[3 * i] = image.at[3 * i + 2];
      image.at[3 * i + 2] = red;
    }
    of_other = look_of(&image);
    ck_assert_msg(!hem__look_alike(&look, &of_other), "%zu: red and blue exchanged", (size_t)n);
    hem__image_clear(&image);
  }
}
END_TEST

static void mark_found(void *context, size_t i) { ((bool *)context)[i] = true; }

START_TEST(every_alike_pair_is_scanned) {
  enum { MANY = 300 };
  static hem__look looks[MANY];
  uint64_t hashes[MANY];
  for (size_t i = 0; i < MANY; i++) {
    hem__image image = {0};
    paint(i % 100, 64 + i % 3, 64, &image);
    looks[i] = look_of(&image);
    hashes[i] = looks[i].hash;
    hem__image_clear(&image);
  }
  bool found[MANY];
  for (size_t i = 0; i < MANY; i++) {
    memset(found, 0, sizeof found);
    hem__look_scan(looks + i, hashes + i, MANY - i, mark_found, found + i);
    for (size_t j = i + 1; j < MANY; j++) ck_assert_msg(found[j] == (i % 100 == j % 100), "%zu and %zu", i, j);
  }
}
END_TEST

/* ---- findings in pictures ---- */

START_TEST(a_healthy_catalogue_has_no_findings) {
  scene s;
  if (without_vips()) return;
  start(&s);
  for (size_t i = 0; i < HEALTHY; i++) add_picture(&s, i, (hem__photo){.category = i % 2 ? "dress" : "skirt"});
  examine(&s, (hem__doctor_options){0});
  ck_assert_msg(s.found.finding_count == 0, "found '%s'",
                s.found.finding_count ? hem__ailment_texts[s.found.findings[0].kind].name : "");
  ck_assert_uint_eq(s.found.photos, HEALTHY);
  ck_assert_uint_eq(s.found.pictures, HEALTHY);
  ck_assert_uint_eq(s.found.without_picture, 0);
  finish(&s);
}
END_TEST

/* Pictures 0..3, and again 1 as `first` and `second` say. */
static void expect_copies(hem__photo first, hem__photo second, hem__ailment kind, const char *note) {
  scene s;
  hem__image image = {0}, smaller = {0};
  start(&s);
  add_picture(&s, 0, (hem__photo){0});
  paint(1, SIDE, SIDE, &image);
  ck_ok(hem__image_resize(&image, SIDE - 20, SIDE - 20, &smaller, err));
  size_t a = add_image(&s, &image, first);
  add_picture(&s, 2, (hem__photo){0});
  size_t b = add_image(&s, &smaller, second);
  add_picture(&s, 3, (hem__photo){0});
  examine(&s, (hem__doctor_options){.threads = 3});
  const hem__finding *f = only(&s, kind);
  expect_rows(&s, f, 2, (size_t[]){a, b});
  ck_assert_str_eq(f->note, note);
  ck_assert(f->measure > 0 && f->measure < 0.1);
  ck_assert_double_eq(s.found.members[f->first].measure, 0);
  ck_assert_double_eq(s.found.members[f->first + 1].measure, f->measure);
  hem__image_clear(&image);
  hem__image_clear(&smaller);
  finish(&s);
}

START_TEST(one_picture_twice_is_told_by_what_differs) {
  if (without_vips()) return;
  expect_copies((hem__photo){.item_id = "a"}, (hem__photo){.item_id = "a"}, HEM__DUPLICATE, "");
  expect_copies((hem__photo){.item_id = "a"}, (hem__photo){.item_id = "b"}, HEM__TWO_ITEMS, "other items");
  expect_copies((hem__photo){.item_id = "a"}, (hem__photo){.item_id = "a", .category = "dress"}, HEM__TWO_ITEMS,
                "other categories");
  expect_copies((hem__photo){.item_id = "a", .split = HEM__TRAIN}, (hem__photo){.item_id = "a", .split = HEM__TEST},
                HEM__LEAK, "other splits");
  expect_copies((hem__photo){.item_id = "a", .split = HEM__TRAIN}, (hem__photo){.item_id = "a"}, HEM__DUPLICATE, "");
  expect_copies((hem__photo){.item_id = "a", .domain = HEM__CONSUMER}, (hem__photo){.item_id = "b"}, HEM__LEAK,
                "other items, a customer's and the shop's");
}
END_TEST

START_TEST(the_same_bytes_are_found_without_reading) {
  scene s;
  float v[DIM];
  start(&s);
  for (size_t i = 0; i < 5; i++) {
    some_vector(&s, v);
    add_vector(&s, v, (hem__photo){0});
  }
  s.made.photos.at[3].source = s.made.photos.at[1].source;
  s.made.photos.at[4].source = s.made.photos.at[2].source; /* but another part of it */
  s.made.photos.at[4].box = (hem__box){0, 0, 70, 70, HEM__PIXELS};
  examine(&s, (hem__doctor_options){.no_pictures = true});
  expect_rows(&s, only(&s, HEM__TWO_ITEMS), 2, (size_t[]){1, 3});
  ck_assert_uint_eq(s.found.pictures, 0);
  ck_assert_uint_eq(s.found.without_picture, 5);
  finish(&s);
}
END_TEST

START_TEST(gone_and_changed_files_are_told_apart) {
  scene s;
  if (without_vips()) return;
  start(&s);
  for (size_t i = 0; i < 6; i++) add_picture(&s, i, (hem__photo){0});
  ck_assert_int_eq(unlink(s.made.photos.at[2].path), 0);
  put(s.made.photos.at[4].path, "no photo", 8);
  examine(&s, (hem__doctor_options){0});
  ck_assert_uint_eq(s.found.finding_count, 2);
  ck_assert_int_eq(s.found.findings[0].kind, HEM__GONE);
  ck_assert_int_eq(s.found.findings[1].kind, HEM__CHANGED);
  expect_rows(&s, &s.found.findings[0], 1, (size_t[]){2});
  expect_rows(&s, &s.found.findings[1], 1, (size_t[]){4});
  ck_assert_uint_eq(s.found.pictures, 4);
  finish(&s);
}
END_TEST

START_TEST(blank_pictures_are_found_and_are_no_copies) {
  scene s;
  hem__image image = {0};
  if (without_vips()) return;
  start(&s);
  add_picture(&s, 0, (hem__photo){0});
  ck_ok(hem__image_new(SIDE, SIDE, &image, err));
  for (int shade = 0; shade < 2; shade++) {
    for (size_t i = 0; i < (size_t)SIDE * SIDE * 3; i++) image.at[i] = (uint8_t)(200 + i % 9 + (size_t)shade);
    add_image(&s, &image, (hem__photo){0});
  }
  examine(&s, (hem__doctor_options){0});
  ck_assert_uint_eq(s.found.finding_count, 2);
  ck_assert_uint_eq(s.found.counts[HEM__BLANK], 2);
  hem__image_clear(&image);
  finish(&s);
}
END_TEST

START_TEST(tiny_photos_are_found_where_most_are_not) {
  for (int most = 0; most < 2; most++) {
    scene s;
    float v[DIM];
    start(&s);
    for (size_t i = 0; i < 9; i++) {
      some_vector(&s, v);
      uint32_t side = i < (most ? 6U : 1U) ? 63 : 64;
      add_vector(&s, v, (hem__photo){.width = 500, .height = side});
    }
    s.made.photos.at[8].box = (hem__box){0, 0, 100000, 1000000, HEM__MILLIONTHS}; /* 50 pixels wide */
    examine(&s, (hem__doctor_options){.no_pictures = true});
    ck_assert_uint_eq(s.found.counts[HEM__TINY], most ? 0 : 2);
    ck_assert_uint_eq(s.found.finding_count, most ? 0 : 2);
    if (!most) ck_assert_double_eq(s.found.findings[1].measure, 50);
    finish(&s);
  }
}
END_TEST

/* ---- what ingest refused ---- */

START_TEST(refused_photos_are_grouped_by_reason) {
  scene s;
  float v[DIM];
  start(&s);
  some_vector(&s, v);
  add_vector(&s, v, (hem__photo){0});
  hem__photos *photos = &s.made.photos;
  ck_ok(hem__photos_reject(photos, "/a/1.jpg", "/a/1.jpg: damaged at byte 17", err));
  ck_ok(hem__photos_reject(photos, "/a/2.jpg", "/a/2.jpg is empty", err));
  ck_ok(hem__photos_reject(photos, "/a/3.jpg", "/a/3.jpg: damaged at byte 2048", err));
  examine(&s, (hem__doctor_options){0});
  ck_assert_uint_eq(s.found.counts[HEM__REJECTED], 2);
  ck_assert_uint_eq(s.found.finding_count, 2);
  ck_assert_str_eq(s.found.findings[0].note, "/a/1.jpg: damaged at byte 17"); /* the larger group first */
  expect_rows(&s, &s.found.findings[0], 2, (size_t[]){0, 2});
  expect_rows(&s, &s.found.findings[1], 1, (size_t[]){1});
  finish(&s);
}
END_TEST

/* ---- embeddings ---- */

START_TEST(embeddings_that_carry_nothing_are_found) {
  scene s;
  float v[DIM];
  start(&s);
  for (size_t i = 0; i < 40; i++) {
    some_vector(&s, v);
    if (i == 3) memset(v, 0, sizeof v);
    for (size_t j = 0; j < DIM && i == 5; j++) v[j] = -2.5F;
    if (i == 7) v[DIM - 1] = NAN;
    if (i == 9) v[0] = INFINITY;
    if (i == 11) memset(v, 0, sizeof v);
    add_vector(&s, v, (hem__photo){0});
  }
  examine(&s, (hem__doctor_options){0});
  static const struct {
    hem__ailment kind;
    size_t row;
  } wanted[] = {{HEM__NOT_FINITE, 7}, {HEM__NOT_FINITE, 9}, {HEM__ZERO, 3}, {HEM__ZERO, 11}, {HEM__CONSTANT, 5}};
  ck_assert_uint_eq(s.found.finding_count, 5);
  for (size_t i = 0; i < 5; i++) {
    ck_assert_int_eq(s.found.findings[i].kind, wanted[i].kind);
    expect_rows(&s, &s.found.findings[i], 1, &wanted[i].row);
    ck_assert_str_eq(s.found.findings[i].note, "in made");
  }
  finish(&s);
}
END_TEST

START_TEST(equal_embeddings_of_other_photos_are_found) {
  scene s;
  float v[DIM], same[DIM];
  start(&s);
  some_vector(&s, same);
  for (size_t i = 0; i < 12; i++) {
    some_vector(&s, v);
    add_vector(&s, i == 2 || i == 6 || i == 9 ? same : v, (hem__photo){.item_id = "one"});
  }
  examine(&s, (hem__doctor_options){0});
  expect_rows(&s, only(&s, HEM__SAME_VECTOR), 3, (size_t[]){2, 6, 9});
  finish(&s);
}
END_TEST

START_TEST(equal_embeddings_of_one_photo_are_no_second_finding) {
  scene s;
  float v[DIM];
  start(&s);
  some_vector(&s, v);
  add_vector(&s, v, (hem__photo){.item_id = "one"});
  add_vector(&s, v, (hem__photo){.item_id = "one"});
  s.made.photos.at[1].source = s.made.photos.at[0].source;
  examine(&s, (hem__doctor_options){0});
  expect_rows(&s, only(&s, HEM__DUPLICATE), 2, (size_t[]){0, 1});
  finish(&s);
}
END_TEST

/* ---- neighbours ---- */

/* Two categories in two directions, 100 photos each; row 20 says "a" and lies among b; row 150 lies in a third
 * direction. */
static void two_clouds(scene *s, bool planted) {
  start(s);
  for (size_t i = 0; i < 200; i++) {
    float v[DIM];
    size_t where = i < 100 ? 0 : 1;
    if (planted && i == 20) where = 1;
    if (planted && i == 150) where = 2;
    for (size_t j = 0; j < DIM; j++) v[j] = 0.1F * hem__test_normal(&s->state) + (j == where ? 1 : 0);
    add_vector(s, v, (hem__photo){.category = i < 100 ? "a" : "b"});
  }
}

START_TEST(photos_among_another_category_or_among_none_are_found) {
  scene s;
  two_clouds(&s, true);
  examine(&s, (hem__doctor_options){0});
  ck_assert_uint_eq(s.found.finding_count, 2);
  ck_assert_int_eq(s.found.findings[0].kind, HEM__WRONG_CATEGORY);
  ck_assert_int_eq(s.found.findings[1].kind, HEM__FAR);
  expect_rows(&s, &s.found.findings[0], 1, (size_t[]){20});
  expect_rows(&s, &s.found.findings[1], 1, (size_t[]){150});
  ck_assert_str_eq(s.found.findings[0].note, "a, looks like b");
  ck_assert_str_eq(s.found.space, "made");
  finish(&s);
  two_clouds(&s, false);
  examine(&s, (hem__doctor_options){0});
  ck_assert_uint_eq(s.found.finding_count, 0);
  finish(&s);
}
END_TEST

/* An item whose five photos all lie in the wrong category: they must not vouch for each other. */
START_TEST(photos_of_one_item_do_not_vouch_for_each_other) {
  scene s;
  float v[DIM];
  two_clouds(&s, false);
  for (size_t i = 0; i < 6; i++) {
    for (size_t j = 0; j < DIM; j++) v[j] = 0.01F * hem__test_normal(&s.state) + (j == 1 ? 1 : 0);
    add_vector(&s, v, (hem__photo){.category = "a", .item_id = "misfiled"});
  }
  examine(&s, (hem__doctor_options){0});
  size_t flagged = 0;
  for (size_t i = 0; i < s.found.finding_count; i++)
    flagged += s.found.findings[i].kind == HEM__WRONG_CATEGORY && s.found.members[s.found.findings[i].first].row >= 200;
  ck_assert_uint_eq(flagged, 6);
  finish(&s);
}
END_TEST

START_TEST(any_number_of_threads_finds_the_same) {
  hem__diagnosis first = {0};
  for (size_t threads = 1; threads <= 5; threads += 2) {
    scene s;
    two_clouds(&s, true);
    examine(&s, (hem__doctor_options){.threads = threads});
    if (threads > 1) {
      ck_assert_uint_eq(s.found.finding_count, first.finding_count);
      for (size_t i = 0; i < first.finding_count; i++)
        ck_assert_double_eq(s.found.findings[i].measure, first.findings[i].measure);
    }
    hem__diagnosis kept = s.found;
    s.found = first;
    first = kept;
    finish(&s);
  }
  hem__diagnosis_clear(&first);
}
END_TEST

static bool stop_at(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)done, (void)total, (void)unit;
  return strcmp(stage, context) != 0;
}

START_TEST(every_stage_can_be_stopped) {
  static const char *const stages[] = {"read", "copies", "check", "neighbours"};
  if (without_vips()) return;
  for (size_t i = 0; i < 4; i++) {
    scene s;
    start(&s);
    for (size_t j = 0; j < 4; j++) add_picture(&s, j, (hem__photo){0});
    char *path = hem__test_path(folder(), "stopped.h5");
    hem__made_seal(&s.made, path);
    ck_ok(hem__catalog_open(path, &s.catalog, err));
    hem__doctor_options options = {.progress = {.report = stop_at, .context = (void *)(uintptr_t)stages[i]}};
    ck_fails(hem__doctor(s.catalog, &options, &s.found, err), HEM_ECANCELED, "");
    free(path);
    finish(&s);
  }
}
END_TEST

START_TEST(an_empty_catalogue_is_healthy) {
  scene s;
  start(&s);
  examine(&s, (hem__doctor_options){0});
  ck_assert_uint_eq(s.found.finding_count, 0);
  finish(&s);
}
END_TEST

/* ---- the page ---- */

static char *page_of(scene *s) {
  hem__map map = {0};
  char *path = hem__test_path(folder(), "doctor.html");
  ck_ok(hem__doctor_page(s->catalog, &s->found, NULL, path, err));
  ck_ok(hem__map_open(path, &map, err));
  char *text = strndup((const char *)map.at, map.size);
  hem__map_close(&map);
  free(path);
  return text;
}

static size_t occurrences(const char *text, const char *part) {
  size_t count = 0;
  for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) count++;
  return count;
}

START_TEST(the_page_shows_the_photos_side_by_side_and_escapes_names) {
  scene s;
  if (without_vips()) return;
  start(&s);
  add_picture(&s, 1, (hem__photo){.item_id = "<script>alert(1)</script>"});
  add_picture(&s, 1, (hem__photo){.item_id = "b & c"});
  add_picture(&s, 2, (hem__photo){0});
  add_picture(&s, 3, (hem__photo){0});
  ck_assert_int_eq(unlink(s.made.photos.at[3].path), 0);
  ck_ok(hem__photos_reject(&s.made.photos, "<b>.jpg", "<b>.jpg is empty", err));
  examine(&s, (hem__doctor_options){0});
  char *page = page_of(&s);
  ck_assert_uint_eq(occurrences(page, "src=\"data:image/png;base64,"), 2);
  ck_assert_uint_eq(occurrences(page, "no picture"), 1);
  ck_assert_ptr_null(strstr(page, "<script"));
  ck_assert_ptr_nonnull(strstr(page, "&lt;script&gt;alert(1)"));
  ck_assert_ptr_nonnull(strstr(page, "b &amp; c"));
  ck_assert_ptr_nonnull(strstr(page, "&lt;b&gt;.jpg is empty"));
  ck_assert_ptr_nonnull(strstr(page, "One picture under two items"));
  free(page);
  finish(&s);
}
END_TEST

START_TEST(the_page_stays_small_however_much_is_found) {
  scene s;
  float v[DIM];
  start(&s);
  for (size_t i = 0; i < 3000; i++) {
    memset(v, 0, sizeof v);
    if (i % 2) some_vector(&s, v);
    add_vector(&s, v, (hem__photo){0});
  }
  examine(&s, (hem__doctor_options){0});
  ck_assert_uint_eq(s.found.counts[HEM__ZERO], 1500);
  char *page = page_of(&s);
  ck_assert_uint_eq(occurrences(page, "<figure"), 24);
  ck_assert_ptr_nonnull(strstr(page, "1,476 more of this kind"));
  free(page);
  finish(&s);
}
END_TEST

START_TEST(a_healthy_page_says_so) {
  scene s;
  start(&s);
  examine(&s, (hem__doctor_options){0});
  char *page = page_of(&s);
  ck_assert_ptr_nonnull(strstr(page, "Nothing was found."));
  free(page);
  finish(&s);
}
END_TEST

HEM_TESTS("doctor", copies_of_a_picture_are_alike, other_pictures_colours_and_shapes_are_not_alike,
          every_alike_pair_is_scanned, a_healthy_catalogue_has_no_findings, one_picture_twice_is_told_by_what_differs,
          the_same_bytes_are_found_without_reading, gone_and_changed_files_are_told_apart,
          blank_pictures_are_found_and_are_no_copies, tiny_photos_are_found_where_most_are_not,
          refused_photos_are_grouped_by_reason, embeddings_that_carry_nothing_are_found,
          equal_embeddings_of_other_photos_are_found, equal_embeddings_of_one_photo_are_no_second_finding,
          photos_among_another_category_or_among_none_are_found, photos_of_one_item_do_not_vouch_for_each_other,
          any_number_of_threads_finds_the_same, every_stage_can_be_stopped, an_empty_catalogue_is_healthy,
          the_page_shows_the_photos_side_by_side_and_escapes_names, the_page_stays_small_however_much_is_found,
          a_healthy_page_says_so)
