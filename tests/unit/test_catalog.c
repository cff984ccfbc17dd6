/* Catalogue files: what was put in comes out, whoever reads it, and damage is named. What other programs read in
 * them is checked by end_to_end/read_with_h5py.py. */
#include "ingest/catalog.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/seal.h"
#include "support/make_idx.h"
#include "support/sealed_rows.h"
#include "test.h"

static hem__catalog *opened(const char *path) {
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(path, &catalog, err));
  return catalog;
}

static char *seal_rows(size_t rows, size_t spaces) {
  char *path = hem__test_path(hem__test_subfolder(), "shop.h5");
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, rows, spaces);
  ck_ok(hem__catalog_seal(path, &made.content, err));
  hem__test_catalog_clear(&made);
  return path;
}

static void check_all(const hem__catalog *catalog, size_t rows, size_t spaces) {
  ck_assert_uint_eq(hem__catalog_photos(catalog)->count, rows);
  ck_assert_uint_eq(hem__catalog_space_count(catalog), spaces);
  for (size_t row = 0; row < rows; row++) hem__test_check_row(catalog, row, row);
}

/* ---- round trips ---- */

/* None, one, and around the 8,192 rows of a chunk. */
START_TEST(what_was_sealed_is_read) {
  static const size_t counts[] = {0, 1, 2, 8191, 8192, 8193, 20000};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    char *path = seal_rows(counts[i], HEM__TEST_SPACES);
    hem__catalog *catalog = opened(path);
    ck_assert_str_eq(hem__catalog_path(catalog), path);
    check_all(catalog, counts[i], HEM__TEST_SPACES);
    for (size_t s = 0; s < HEM__TEST_SPACES; s++) {
      hem__matrix m = hem__catalog_matrix(catalog, s);
      ck_assert_uint_eq(m.rows, counts[i]);
      ck_assert_uint_eq((uintptr_t)m.at % 4096, 0);
      ck_ok(hem__catalog_check(catalog, s, 0, counts[i], err));
    }
    hem__catalog_close(catalog);
    free(path);
  }
  hem__catalog_close(NULL);
}
END_TEST

START_TEST(spaces_keep_all_that_names_them) {
  char *path = seal_rows(3, HEM__TEST_SPACES);
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, 0, HEM__TEST_SPACES);
  hem__catalog *catalog = opened(path);
  for (size_t s = 0; s < HEM__TEST_SPACES; s++) {
    const hem__space *found = hem__catalog_space(catalog, s), *wanted = &made.content.spaces[s];
    ck_assert_str_eq(found->name, wanted->name);
    ck_assert_str_eq(found->features, wanted->features);
    ck_assert_str_eq(found->recipe, wanted->recipe);
    ck_assert_str_eq(found->hash, wanted->hash);
    ck_assert_uint_eq(found->dim, wanted->dim);
    ck_assert_uint_eq(found->block_count, wanted->block_count);
    for (size_t b = 0; b < wanted->block_count; b++) {
      ck_assert_str_eq(found->blocks[b].name, wanted->blocks[b].name);
      ck_assert_uint_eq(found->blocks[b].offset, wanted->blocks[b].offset);
      ck_assert_uint_eq(found->blocks[b].dim, wanted->blocks[b].dim);
    }
  }
  hem__catalog_close(catalog);
  hem__test_catalog_clear(&made);
  free(path);
}
END_TEST

START_TEST(parts_follow_each_other) {
  static const size_t sizes[] = {100, 0, 9000, 1, 50};
  hem__test_catalog made[5];
  hem__catalog_part parts[5];
  char *path = hem__test_path(hem__test_subfolder(), "shop.h5"), *whole = seal_rows(9151, 2);
  for (size_t i = 0, first = 0; i < 5; first += sizes[i++]) {
    hem__test_catalog_init(&made[i], first, sizes[i], 2);
    parts[i] = made[i].part;
  }
  made[0].content.parts = parts;
  made[0].content.part_count = 5;
  ck_ok(hem__catalog_seal(path, &made[0].content, err));
  hem__catalog *catalog = opened(path);
  check_all(catalog, 9151, 2);
  hem__catalog_close(catalog);
  hem__test_same_file(path, whole);
  for (size_t i = 0; i < 5; i++) hem__test_catalog_clear(&made[i]);
  free(path);
  free(whole);
}
END_TEST

START_TEST(the_longest_names_fit) {
  char name[HEM__TEXT_MAX + 1], *path = hem__test_path(hem__test_subfolder(), "shop.h5");
  memset(name, 'x', HEM__TEXT_MAX);
  name[HEM__TEXT_MAX] = '\0';
  hem__photo photo = {.item_id = name, .category = name, .label = name, .path = name};
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, 0, 1);
  float values[5] = {1, 2, 3, 4, 5};
  ck_ok(hem__photos_add(&made.photos, &photo, err));
  made.matrices[0] = (hem__matrix){.at = values, .rows = 1, .dim = 5};
  made.part.photos = made.photos.at;
  made.part.count = 1;
  ck_ok(hem__photos_reject(&made.rejected, name, name, err));
  ck_ok(hem__catalog_seal(path, &made.content, err));
  hem__catalog *catalog = opened(path);
  ck_assert_str_eq(hem__catalog_photos(catalog)->at[0].label, name);
  ck_assert_str_eq(hem__catalog_photos(catalog)->at[0].path, name);
  ck_assert_uint_eq(strlen(hem__catalog_photos(catalog)->rejected[0].reason), HEM__TEXT_MAX - 3);
  hem__catalog_close(catalog);
  hem__test_catalog_clear(&made);
  free(path);
}
END_TEST

START_TEST(rejections_come_back) {
  char *path = hem__test_path(hem__test_subfolder(), "shop.h5");
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, 2, 1);
  for (int i = 0; i < 100; i++) {
    char name[32];
    snprintf(name, sizeof name, "broken-%d.jpg", i);
    ck_ok(hem__photos_reject(&made.rejected, name, i % 2 ? "cut off" : "", err));
  }
  ck_ok(hem__catalog_seal(path, &made.content, err));
  hem__catalog *catalog = opened(path);
  const hem__photos *photos = hem__catalog_photos(catalog);
  ck_assert_uint_eq(photos->rejected_count, 100);
  ck_assert_str_eq(photos->rejected[99].path, "broken-99.jpg");
  ck_assert_str_eq(photos->rejected[99].reason, "cut off");
  ck_assert_str_eq(photos->rejected[98].reason, "");
  hem__catalog_close(catalog);
  hem__test_catalog_clear(&made);
  free(path);
}
END_TEST

/* Later, too: HDF5 notes the second in which it makes an object unless it is told not to. */
START_TEST(the_same_rows_make_the_same_bytes) {
  char *first = seal_rows(9000, 3), *path = hem__test_path(hem__test_subfolder(), "shop.h5");
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, 9000, 3);
  sleep(1);
  for (size_t threads = 1; threads <= 4; threads += 3) {
    made.content.threads = threads;
    ck_ok(hem__catalog_seal(path, &made.content, err));
    hem__test_same_file(first, path);
  }
  hem__test_catalog_clear(&made);
  free(first);
  free(path);
}
END_TEST

/* ---- damage ---- */

/* Where space `s`, in the order of writing, lies in the file. */
static hem__extent extent_of(const char *path, size_t s) {
  hem__map map = {0};
  hem__seal seal = {0};
  ck_ok(hem__map_open(path, &map, err));
  ck_ok(hem__seal_check(&map, path, HEM__SEALED_CATALOG, &seal, err));
  hem__map_close(&map);
  ck_assert_uint_lt(s, seal.extent_count);
  return seal.extents[s];
}

/* 500 rows of 20,000 bytes are three blocks of 4 MiB; rows 209 to 419 touch the middle one. */
static char *seal_wide_rows(void) {
  enum { ROWS = 500, DIM = 5000 };
  char *path = hem__test_path(hem__test_subfolder(), "wide.h5");
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, ROWS, 1);
  hem__space wide = made.content.spaces[0];
  wide.name = "wide";
  wide.dim = wide.blocks[0].dim = DIM;
  wide.block_count = 1;
  free(made.vectors[0]);
  ck_ok(hem__alloc((size_t)ROWS * DIM, sizeof(float), "vectors", &made.vectors[0], err));
  for (size_t i = 0; i < (size_t)ROWS * DIM; i++) made.vectors[0][i] = (float)i;
  made.matrices[0] = (hem__matrix){.at = made.vectors[0], .rows = ROWS, .dim = DIM};
  made.content.spaces = &wide;
  ck_ok(hem__catalog_seal(path, &made.content, err));
  hem__test_catalog_clear(&made);
  return path;
}

START_TEST(a_flipped_vector_byte_is_found_with_its_rows) {
  char *path = seal_wide_rows();
  hem__extent extent = extent_of(path, 0);
  hem__test_flip(path, extent.offset + (5 << 20));
  hem__catalog *catalog = opened(path);
  ck_ok(hem__catalog_check(catalog, 0, 0, 209, err));
  ck_ok(hem__catalog_check(catalog, 0, 420, 80, err));
  ck_ok(hem__catalog_check(catalog, 0, 300, 0, err));
  ck_fails(hem__catalog_check(catalog, 0, 209, 1, err), HEM_ECORRUPT, "space wide, rows 209 to 419");
  ck_fails(hem__catalog_check(catalog, 0, 0, 500, err), HEM_ECORRUPT, "rows 209 to 419");
  ck_fails(hem__catalog_check(catalog, 0, 419, 1, err), HEM_ECORRUPT, path);
  hem__catalog_close(catalog);
  free(path);
}
END_TEST

START_TEST(the_first_and_last_vector_bytes_are_covered) {
  for (int last = 0; last < 2; last++) {
    char *path = seal_rows(3, 2);
    hem__extent extent = extent_of(path, 1);
    hem__test_flip(path, extent.offset + (last ? extent.size - 1 : 0));
    hem__catalog *catalog = opened(path);
    ck_ok(hem__catalog_check(catalog, 0, 0, 3, err));
    ck_fails(hem__catalog_check(catalog, 1, 0, 3, err), HEM_ECORRUPT, "space flat, rows 0 to 2");
    hem__catalog_close(catalog);
    free(path);
  }
}
END_TEST

/* Bytes of columns and of HDF5's own structure: the first, the last and some in between. */
START_TEST(a_flipped_column_byte_is_refused_at_the_door) {
  char *path = seal_rows(500, 2);
  hem__catalog *catalog = NULL;
  size_t size, refused = 0;
  free(hem__test_read(path, &size));
  hem__extent a = extent_of(path, 0), b = extent_of(path, 1);
  uint64_t state = 11;
  for (int i = 0; i < 200; i++) {
    size_t at = i == 0 ? 4096 : i == 1 ? size - 1 : 4096 + hem__test_random(&state) % (size - 4096);
    if ((at >= a.offset && at < a.offset + a.size) || (at >= b.offset && at < b.offset + b.size)) continue;
    hem__test_flip(path, at);
    ck_fails(hem__catalog_open(path, &catalog, err), HEM_ECORRUPT, "the checksum of its columns is wrong");
    ck_assert_ptr_null(catalog);
    hem__test_flip(path, at);
    refused++;
  }
  ck_assert_uint_gt(refused, 50);
  hem__catalog_close(opened(path));
  free(path);
}
END_TEST

/* A right seal on content that HDF5 cannot read. */
START_TEST(sealed_rubbish_is_refused) {
  char *path = hem__test_path(hem__test_subfolder(), "rubbish.h5");
  hem__catalog *catalog = NULL;
  uint8_t *bytes = calloc(1, 20000);
  hem__test_write(path, bytes, 20000);
  ck_ok(hem__seal_write(path, &(hem__seal){0}, err));
  ck_fails(hem__catalog_open(path, &catalog, err), HEM_ECORRUPT, path);
  ck_assert_ptr_null(catalog);
  free(bytes);
  free(path);
}
END_TEST

START_TEST(what_is_no_catalogue_is_named) {
  const char *folder = hem__test_subfolder();
  char *path = hem__test_path(folder, "missing.h5");
  hem__catalog *catalog = NULL;
  ck_fails(hem__catalog_open(path, &catalog, err), HEM_ENOTFOUND, path);
  ck_fails(hem__catalog_open(folder, &catalog, err), HEM_ECORRUPT, "not a regular file");
  hem__test_write(path, "\x89HDF\r\n\x1a\n rest", 13);
  ck_fails(hem__catalog_open(path, &catalog, err), HEM_EVERSION, "not a Hemline catalogue");
  free(path);
}
END_TEST

/* ---- spaces ---- */

START_TEST(spaces_are_found_or_listed) {
  char *three = seal_rows(1, 3), *one = seal_rows(1, 1);
  hem__catalog *several = opened(three), *single = opened(one);
  size_t space = 99;
  ck_ok(hem__catalog_find_space(several, "flat", &space, err));
  ck_assert_uint_eq(space, 1);
  ck_ok(hem__catalog_find_space(single, NULL, &space, err));
  ck_assert_uint_eq(space, 0);
  ck_fails(hem__catalog_find_space(several, NULL, &space, err), HEM_EINVAL, "name one of: a+b, flat, single");
  ck_fails(hem__catalog_find_space(several, "hog", &space, err), HEM_ENOTFOUND, "'hog'; it has: a+b, flat, single");
  ck_fails(hem__catalog_find_space(single, "", &space, err), HEM_ENOTFOUND, "it has: a+b");
  hem__catalog_close(several);
  hem__catalog_close(single);
  free(three);
  free(one);
}
END_TEST

START_TEST(what_cannot_be_sealed_is_refused) {
  const char *folder = hem__test_subfolder();
  char *path = hem__test_path(folder, "shop.h5"), *nowhere = hem__test_path(folder, "no/shop.h5");
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, 1, 1);
  hem__space bad = made.content.spaces[0];
  ck_fails(hem__catalog_seal(nowhere, &made.content, err), HEM_EIO, "no/shop.h5");
  made.content.spaces = &bad;
  bad.name = "a/b";
  ck_fails(hem__catalog_seal(path, &made.content, err), HEM_EINVAL, "'a/b'");
  bad.name = "";
  ck_fails(hem__catalog_seal(path, &made.content, err), HEM_EINVAL, "embedding space");
  made.content.space_count = 0;
  ck_fails(hem__catalog_seal(path, &made.content, err), HEM_EINVAL, "1 to 32");
  made.content.space_count = 33;
  ck_fails(hem__catalog_seal(path, &made.content, err), HEM_EINVAL, "1 to 32");
  ck_assert(!hem__path_exists(path));
  hem__test_catalog_clear(&made);
  free(path);
  free(nowhere);
}
END_TEST

/* ---- readers and writers side by side ---- */

static bool never(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)context, (void)stage, (void)done, (void)total, (void)unit;
  return false;
}

START_TEST(a_stopped_seal_leaves_the_old_file) {
  char *path = seal_rows(10, 1), *temporary = NULL;
  ck_assert_int_gt(asprintf(&temporary, "%s.tmp", path), 0);
  hem__test_catalog made;
  hem__test_catalog_init(&made, 0, 20, 1);
  made.content.progress = (hem_progress){.report = never};
  ck_fails(hem__catalog_seal(path, &made.content, err), HEM_ECANCELED, "stopped");
  ck_assert(!hem__path_exists(temporary));
  hem__catalog *catalog = opened(path);
  check_all(catalog, 10, 1);
  hem__catalog_close(catalog);
  hem__test_catalog_clear(&made);
  free(temporary);
  free(path);
}
END_TEST

START_TEST(a_reader_keeps_the_file_it_opened) {
  char *path = seal_rows(10, 2);
  hem__catalog *old = opened(path), *same = opened(path);
  hem__test_catalog made;
  hem__test_catalog_init(&made, 5, 30, 2);
  ck_ok(hem__catalog_seal(path, &made.content, err));
  hem__catalog *new = opened(path);
  check_all(old, 10, 2);
  ck_ok(hem__catalog_check(old, 1, 0, 10, err));
  hem__catalog_close(old);
  check_all(same, 10, 2);
  hem__catalog_close(same);
  hem__test_check_row(new, 29, 34);
  hem__catalog_close(new);
  hem__test_catalog_clear(&made);
  free(path);
}
END_TEST

static void *open_often(void *path) {
  size_t wrong = 0;
  for (int i = 0; i < 20; i++) {
    hem__catalog *catalog = NULL;
    if (hem__catalog_open(path, &catalog, NULL) || hem__catalog_photos(catalog)->count != 1000) wrong++;
    if (catalog && hem__catalog_check(catalog, 0, 0, 1000, NULL)) wrong++;
    hem__catalog_close(catalog);
  }
  return (void *)(uintptr_t)wrong;
}

START_TEST(threads_open_the_same_file) {
  char *path = seal_rows(1000, 2);
  pthread_t threads[4];
  for (size_t i = 0; i < 4; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, open_often, path), 0);
  for (size_t i = 0; i < 4; i++) {
    void *wrong;
    pthread_join(threads[i], &wrong);
    ck_assert_ptr_null(wrong);
  }
  free(path);
}
END_TEST

static size_t entries(const char *folder) {
  size_t count = 0;
  DIR *dir = opendir(folder);
  ck_assert_ptr_nonnull(dir);
  while (readdir(dir)) count++;
  closedir(dir);
  return count;
}

/* Reading leaves no lock or temporary behind and needs no right to write. */
START_TEST(reading_needs_only_the_right_to_read) {
  char *path = seal_rows(5, 1), *folder = strdup(path);
  *strrchr(folder, '/') = '\0';
  size_t before = entries(folder);
  ck_assert_int_eq(chmod(path, 0444) | chmod(folder, 0555), 0);
  hem__catalog *catalog = opened(path);
  check_all(catalog, 5, 1);
  ck_assert_uint_eq(entries(folder), before);
  hem__catalog_close(catalog);
  ck_assert_int_eq(chmod(folder, 0755), 0);
  free(folder);
  free(path);
}
END_TEST

HEM_TESTS("catalog", what_was_sealed_is_read, spaces_keep_all_that_names_them, parts_follow_each_other,
          the_longest_names_fit, rejections_come_back, the_same_rows_make_the_same_bytes,
          a_flipped_vector_byte_is_found_with_its_rows, the_first_and_last_vector_bytes_are_covered,
          a_flipped_column_byte_is_refused_at_the_door, sealed_rubbish_is_refused, what_is_no_catalogue_is_named,
          spaces_are_found_or_listed, what_cannot_be_sealed_is_refused, a_stopped_seal_leaves_the_old_file,
          a_reader_keeps_the_file_it_opened, threads_open_the_same_file, reading_needs_only_the_right_to_read)
