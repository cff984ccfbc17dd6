/* Ready-made vectors: every format gives the values that were written, and what is damaged is refused or rejected. */
#include "ingest/vectors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/threads.h"
#include "support/listed.h"
#include "support/make_idx.h"
#include "support/make_vectors.h"
#include "test.h"

static char *new_path(const char *name) { return hem__test_path(hem__test_subfolder(), name); }

static hem__source *opened(const char *path, const char *manifest, hem__usual usual) {
  hem__source *source = NULL;
  ck_ok(hem__source_vectors(path, manifest, usual, &source, err));
  return source;
}

static hem_status open_only(const char *path, const char *manifest, hem_error *err) {
  hem__source *source = NULL;
  hem_status status = hem__source_vectors(path, manifest, (hem__usual){0}, &source, err);
  ck_assert_msg(!status || !source, "an output was written on failure");
  if (source) source->close(source);
  return status;
}

/* The row that was listed as this holds what row `number` of the generator does. */
static void check_values(const hem__source *s, const hem__listed *listed, size_t number) {
  float *values = malloc(s->dim * sizeof *values);
  hem__photo photo = listed->photo;
  ck_ok(s->look(s, listed, &photo, err));
  ck_assert(photo.bytes > 0 && photo.mtime_ns > 0);
  ck_ok(s->read_vector(s, listed, &photo, values, err));
  size_t wrong = 0;
  for (size_t i = 0; i < s->dim; i++) wrong += values[i] != hem__test_value(number, i);
  ck_assert_msg(!wrong, "row %zu: %zu values are wrong", number, wrong);
  hem__digest wanted = hem__sha256_of(values, s->dim * sizeof *values);
  ck_assert(hem__digest_equal(&photo.source, &wanted));
  free(values);
}

/* All rows of a file without a manifest. */
static void check_file(const char *path, size_t rows, size_t dim) {
  const hem__usual usual = {.domain = HEM__CONSUMER, .split = HEM__TEST};
  hem__source *s = opened(path, NULL, usual);
  ck_assert(s->dim == dim && s->count == rows && !s->read);
  for (size_t i = 0; i < rows; i++) {
    hem__listed row = hem__test_next(s);
    char end[32];
    snprintf(end, sizeof end, "#%zu", i);
    ck_assert_str_eq(row.photo.item_id, row.photo.path);
    ck_assert_str_eq(row.photo.category, "all");
    ck_assert(strstr(row.photo.path, end) && *row.photo.path == '/' && !row.reason);
    ck_assert(row.photo.domain == usual.domain && row.photo.split == usual.split);
    check_values(s, &row, i);
    s->forget(s);
  }
  hem__test_ends(s);
}

/* ---- .npy ---- */

START_TEST(npy_of_every_type_and_version) {
  static const char *const types[] = {"<f2", "<f4", "<f8"};
  char *path = new_path("v.npy");
  for (size_t t = 0; t < 3; t++)
    for (int version = 1; version <= 3; version++) {
      hem__test_npy(path, version, types[t], NULL, 23, 17);
      check_file(path, 23, 17);
    }
  hem__test_npy(path, 1, "<f4", NULL, 0, 5);
  check_file(path, 0, 5);
  hem__test_npy(path, 1, "<f4", "{\"shape\":(3,5),'fortran_order':False,'descr':'<f4'}\n", 3, 5);
  check_file(path, 3, 5);
  free(path);
}
END_TEST

/* More than the blocks that are kept: rows are asked for in order, backwards and from everywhere. */
START_TEST(blocks_are_read_again_when_they_are_gone) {
  enum { ROWS = 2000, DIM = 700 };
  char *path = new_path("v.npy");
  hem__listed *rows = calloc(ROWS, sizeof *rows);
  uint64_t random = 1;
  hem__test_npy(path, 1, "<f4", NULL, ROWS, DIM);
  hem__source *s = opened(path, NULL, (hem__usual){0});
  for (size_t i = 0; i < ROWS; i++) rows[i] = hem__test_next(s);
  for (size_t i = ROWS; i-- > 0;) check_values(s, &rows[i], i);
  for (size_t i = 0; i < 300; i++) {
    size_t row = hem__test_random(&random) % ROWS;
    check_values(s, &rows[row], row);
  }
  hem__test_ends(s);
  free(rows);
  free(path);
}
END_TEST

START_TEST(npy_headers_that_are_refused) {
  static const struct {
    const char *header;
    hem_status status;
    const char *words;
  } bad[] = {
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 5), }\n", HEM_EUNSUPPORTED, "type '>f4'"},
      {"{'descr': '<i4', 'fortran_order': False, 'shape': (3, 5), }\n", HEM_EUNSUPPORTED, "type '<i4'"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }\n", HEM_EUNSUPPORTED, "a table"},
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 5), }\n", HEM_EUNSUPPORTED, "Fortran"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (15,), }\n", HEM_EUNSUPPORTED, "1 dimensions"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 5), }\n", HEM_EUNSUPPORTED, "3 dimensions"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", HEM_EUNSUPPORTED, "0 dimensions"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (15, 0), }\n", HEM_ECORRUPT, "0 values"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 70000), }\n", HEM_ECORRUPT, "70000 values"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 5), }\n", HEM_ECORRUPT, "4 vectors of 5"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 5), }\n", HEM_ECORRUPT, "2 vectors of 5"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (922337203685477, 40000), }\n", HEM_ECORRUPT, "922337"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5)\n", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, -5), }\n", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3 5), }\n", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'fortran_order': false, 'shape': (3, 5), }\n", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'descr': '<f4', 'shape': (3, 5), }\n", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'shape': (3, 5), }\n", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), 'x': 1}\n", HEM_ECORRUPT, "header is damaged"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), } x\n", HEM_ECORRUPT, "header is damaged"},
      {"{}\n", HEM_ECORRUPT, "header is damaged"}};
  char *path = new_path("v.npy");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    hem_error why = {0};
    hem__test_npy(path, 1, "<f4", bad[i].header, 3, 5);
    hem_status status = open_only(path, NULL, &why);
    ck_assert_msg(status == bad[i].status && strstr(why.message, bad[i].words), "%s: %s", bad[i].header, why.message);
    ck_assert_ptr_nonnull(strstr(why.message, path));
  }
  free(path);
}
END_TEST

START_TEST(npy_files_that_are_cut) {
  char *path = new_path("v.npy");
  size_t size;
  hem__test_npy(path, 1, "<f4", NULL, 3, 5);
  uint8_t *bytes = hem__test_read(path, &size);
  for (size_t cut = 0; cut < size; cut++) {
    hem_error why = {0};
    hem__test_write(path, bytes, cut);
    ck_assert_msg(open_only(path, NULL, &why) == HEM_ECORRUPT, "%zu of %zu bytes: %s", cut, size, why.message);
  }
  hem__test_write(path, bytes, size);
  hem__test_append(path, "x", 1);
  ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "has 61 bytes for them");
  bytes[6] = 4;
  hem__test_write(path, bytes, size);
  ck_fails(open_only(path, NULL, err), HEM_EUNSUPPORTED, "version 4.0");
  free(bytes);
  free(path);
}
END_TEST

/* ---- .fvecs, .bvecs ---- */

START_TEST(vecs_of_both_kinds) {
  static const char *const names[] = {"v.fvecs", "v.bvecs"};
  for (size_t i = 0; i < 2; i++) {
    char *path = new_path(names[i]);
    hem__test_vecs(path, 50, 33);
    check_file(path, 50, 33);
    hem__test_append(path, "x", 1);
    ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "cut off");
    hem__test_write(path, "\0\0\0", 3);
    ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "no vector");
    hem__test_write(path, "\0\0\0\0", 4);
    ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "0 values");
    hem__test_write(path, "\xFF\xFF\xFF\xFF", 4);
    ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "4294967295 values");
    free(path);
  }
}
END_TEST

/* ---- rows ---- */

static hem_status read_row(hem__source *s, size_t number, hem_error *err) {
  float values[64];
  hem__listed listed = {.number = number};
  return s->read_vector(s, &listed, &listed.photo, values, err);
}

START_TEST(a_bad_row_rejects_itself_only) {
  const float bad[] = {NAN, INFINITY, -INFINITY, 1.1e15F};
  char *path = new_path("v.fvecs");
  size_t size;
  hem__test_vecs(path, 20, 6);
  uint8_t *bytes = hem__test_read(path, &size);
  for (size_t i = 0; i < 4; i++) memcpy(bytes + (2 + i) * 28 + 4 + i * 4, &bad[i], 4); /* value i of row 2 + i */
  bytes[9 * 28] = 7;                                                                   /* another length */
  hem__test_write(path, bytes, size);
  hem__source *s = opened(path, NULL, (hem__usual){0});
  for (size_t i = 0; i < 20; i++) {
    char words[64];
    snprintf(words, sizeof words, i == 9 ? "row 9 of" : "value %zu of row %zu", i - 2, i);
    if (i == 9 || (i >= 2 && i < 6))
      ck_fails(read_row(s, i, err), HEM_ECORRUPT, words);
    else
      ck_ok(read_row(s, i, err));
  }
  s->close(s);
  free(bytes);
  free(path);
  path = new_path("v.npy");
  const double large = 1e300; /* no float32 */
  hem__test_npy(path, 1, "<f8", NULL, 2, 4);
  bytes = hem__test_read(path, &size);
  memcpy(bytes + size - 8, &large, 8);
  hem__test_write(path, bytes, size);
  s = opened(path, NULL, (hem__usual){0});
  ck_ok(read_row(s, 0, err));
  ck_fails(read_row(s, 1, err), HEM_ECORRUPT, "value 3 of row 1");
  s->close(s);
  free(bytes);
  free(path);
}
END_TEST

START_TEST(halves_are_exact) {
  static const uint16_t bits[] = {0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xC000, 0x3555, 0x7BFF};
  static const float values[] = {0, -0.0F, 0x1p-24F, 0x3FFp-24F, 0x1p-14F, 1, -2, 0x1.554p-2F, 65504};
  char *path = new_path("v.npy");
  float got[9];
  size_t size;
  hem__test_npy(path, 1, "<f2", NULL, 1, 9);
  uint8_t *bytes = hem__test_read(path, &size);
  memcpy(bytes + size - sizeof bits, bits, sizeof bits);
  hem__test_write(path, bytes, size);
  hem__source *s = opened(path, NULL, (hem__usual){0});
  hem__listed row = hem__test_next(s);
  ck_ok(s->read_vector(s, &row, &row.photo, got, err));
  ck_assert(memcmp(got, values, sizeof got) == 0);
  memcpy(bytes + size - 2, "\x00\x7C", 2);
  hem__test_write(path, bytes, size);
  hem__test_ends(s);
  s = opened(path, NULL, (hem__usual){0});
  ck_fails(read_row(s, 0, err), HEM_ECORRUPT, "value 8 of row 0");
  s->close(s);
  free(bytes);
  free(path);
}
END_TEST

START_TEST(a_file_that_shrinks_rejects_what_is_gone) {
  char *path = new_path("v.npy");
  hem__test_npy(path, 1, "<f4", NULL, 100000, 8);
  hem__source *s = opened(path, NULL, (hem__usual){0});
  ck_ok(read_row(s, 0, err));
  ck_assert_int_eq(truncate(path, 1000), 0);
  ck_fails(read_row(s, 90000, err), HEM_EIO, "shrank");
  s->close(s);
  free(path);
}
END_TEST

/* ---- HDF5 ---- */

START_TEST(hdf5_datasets) {
  char *path = new_path("v.h5"), *named = NULL;
  const hem__test_dataset kinds[] = {{.name = "/v", .rows = 40, .dim = 12},
                                     {.name = "/v", .rows = 40, .dim = 12, .chunk = 7},
                                     {.name = "/v", .rows = 3000, .dim = 300, .chunk = 1024},
                                     {.name = "/a/b/c", .rows = 40, .dim = 12}};
  for (size_t i = 0; i < 4; i++)
    for (size_t user_block = 0; user_block <= 4096; user_block += 4096) {
      hem__test_hdf5(path, user_block, &kinds[i], 1);
      ck_assert_int_gt(asprintf(&named, "%s:%s", path, kinds[i].name), 0);
      check_file(named, kinds[i].rows, kinds[i].dim);
      if (i < 3) check_file(path, kinds[i].rows, kinds[i].dim);
      free(named);
    }
  ck_fails(open_only(path, NULL, err), HEM_ENOTFOUND, "no dataset of vectors at its root");
  free(path);
}
END_TEST

START_TEST(a_benchmark_file_is_shop_and_customers) {
  char *path = new_path("b.hdf5"), *named = NULL;
  const hem__test_dataset both[] = {{.name = "/train", .rows = 30, .dim = 9},
                                    {.name = "/test", .rows = 5, .dim = 9, .first = 30},
                                    {.name = "/distances", .rows = 5, .dim = 100},
                                    {.name = "/neighbors", .rows = 5, .dim = 100, .whole_numbers = 1}};
  hem__test_hdf5(path, 0, both, 4);
  hem__source *s = opened(path, NULL, (hem__usual){0});
  ck_assert_uint_eq(s->count, 35);
  for (size_t i = 0; i < 35; i++) {
    hem__listed row = hem__test_next(s);
    char end[32];
    snprintf(end, sizeof end, ":/%s#%zu", i < 30 ? "train" : "test", i % 30);
    ck_assert_ptr_nonnull(strstr(row.photo.path, end));
    ck_assert(row.photo.domain == (i < 30 ? HEM__SHOP : HEM__CONSUMER));
    ck_assert(row.photo.split == (i < 30 ? HEM__TRAIN : HEM__TEST));
    check_values(s, &row, i);
  }
  hem__test_ends(s);
  ck_assert_int_gt(asprintf(&named, "%s:/neighbors", path), 0);
  ck_fails(open_only(named, NULL, err), HEM_EUNSUPPORTED, "floating-point");
  free(named);
  const hem__test_dataset unequal[] = {{.name = "/train", .rows = 3, .dim = 9}, {.name = "/test", .rows = 3, .dim = 8}};
  hem__test_hdf5(path, 0, unequal, 2);
  ck_fails(open_only(path, NULL, err), HEM_EMISMATCH, "/train has vectors of 9 values, /test of 8");
  free(path);
}
END_TEST

START_TEST(hdf5_files_that_are_refused) {
  char *path = new_path("v.h5"), *named = NULL;
  size_t size;
  const hem__test_dataset two[] = {{.name = "/a", .rows = 3, .dim = 4}, {.name = "/b", .rows = 3, .dim = 4}};
  const hem__test_dataset flat = {.name = "/v", .rows = 3, .dim = 4, .one_dimension = 1},
                          elsewhere = {.name = "/v", .rows = 3, .dim = 4, .virtual_only = 1};
  hem__test_hdf5(path, 0, two, 2);
  ck_fails(open_only(path, NULL, err), HEM_EINVAL, "(/a, /b)");
  ck_assert_int_gt(asprintf(&named, "%s:/c", path), 0);
  ck_fails(open_only(named, NULL, err), HEM_ENOTFOUND, "/c");
  uint8_t *bytes = hem__test_read(path, &size);
  hem__test_write(path, bytes, size - 1);
  ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "superblock");
  hem__test_write(
      path, "no HDF5 file at all, but long enough to hold a superblock somewhere, or at least to seem so.....", 96);
  ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "is no HDF5 file");
  hem__test_write(path, "", 0);
  ck_fails(open_only(path, NULL, err), HEM_ECORRUPT, "is no HDF5 file");
  free(named);
  ck_assert_int_gt(asprintf(&named, "%s:/v", path), 0);
  hem__test_hdf5(path, 0, &flat, 1);
  ck_fails(open_only(named, NULL, err), HEM_EUNSUPPORTED, "two dimensions");
  hem__test_hdf5(path, 0, &elsewhere, 1);
  ck_fails(open_only(named, NULL, err), HEM_EUNSUPPORTED, "other files");
  free(bytes);
  free(named);
  free(path);
}
END_TEST

/* ---- manifests, names, spaces ---- */

START_TEST(a_manifest_says_what_the_rows_are) {
  char *path = new_path("v.npy"), *manifest = new_path("what.csv");
  const char text[] = "item_id,category,domain,split\none,dress,consumer,test\ntwo,skirt,street,\n,,,\n";
  hem__test_npy(path, 1, "<f4", NULL, 3, 5);
  hem__test_write(manifest, text, sizeof text - 1);
  hem__source *s = opened(path, manifest, (hem__usual){0});
  ck_assert_str_eq(s->listing, manifest);
  hem__listed row = hem__test_next(s);
  ck_assert_str_eq(row.photo.item_id, "one");
  ck_assert_str_eq(row.photo.category, "dress");
  ck_assert(row.photo.domain == HEM__CONSUMER && row.photo.split == HEM__TEST);
  check_values(s, &row, 0);
  hem__test_is_rejected(s, "what.csv:3", "domain");
  row = hem__test_next(s);
  ck_assert(strstr(row.photo.item_id, "v.npy#2") && row.number == 2);
  check_values(s, &row, 2);
  hem__test_ends(s);
  hem__test_append(manifest, "four,,,\n", 8);
  ck_fails(open_only(path, manifest, err), HEM_EMISMATCH, "4 rows");
  free(manifest);
  free(path);
}
END_TEST

START_TEST(files_are_told_by_their_endings) {
  char *path = new_path("v.bin");
  hem__test_write(path, "x", 1);
  ck_fails(open_only(path, NULL, err), HEM_EUNSUPPORTED, "ends with none of .npy");
  ck_fails(open_only("/no/such.npy", NULL, err), HEM_ENOTFOUND, "/no/such.npy");
  ck_fails(open_only("/no/such.h5:/train", NULL, err), HEM_ENOTFOUND, "/no/such.h5:/train");
  free(path);
  path = new_path("v.npy");
  char *named = NULL;
  hem__test_npy(path, 1, "<f4", NULL, 1, 1);
  ck_assert_int_gt(asprintf(&named, "%s:/train", path), 0);
  ck_fails(open_only(named, NULL, err), HEM_EINVAL, "no HDF5 file");
  free(named);
  free(path);
}
END_TEST

START_TEST(a_space_has_a_name_and_no_way_from_photos) {
  static const char *const bad[] = {
      "", "a/b", "a,b", ".", "..", "a\nb", "\xFF", "0123456789012345678901234567890123456789012345678901234567890123x"};
  hem__ready_made a = {0}, b = {0};
  hem_embedder *embedder = NULL;
  ck_ok(hem__ready_made_new(NULL, 784, &a, err));
  ck_assert_str_eq(a.name, "vectors");
  ck_assert_str_eq(a.features, "vectors:vectors");
  ck_assert_ptr_nonnull(strstr(a.recipe, "784"));
  hem__digest digest = hem__sha256_of(a.recipe, strlen(a.recipe));
  char hex[65];
  hem__digest_hex(&digest, hex);
  ck_assert_str_eq(a.hash, hex);
  ck_ok(hem__ready_made_new("sift", 784, &b, err));
  ck_assert_str_ne(a.hash, b.hash);
  hem__ready_made_clear(&b);
  ck_ok(hem__ready_made_new(NULL, 783, &b, err));
  ck_assert_str_ne(a.hash, b.hash);
  ck_fails(hem_embedder_new(a.features, &embedder, err), HEM_EUNSUPPORTED, "ready-made");
  hem__ready_made_clear(&a);
  hem__ready_made_clear(&b);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_fails(hem__ready_made_new(bad[i], 1, &a, err), HEM_EINVAL, "a space's name");
}
END_TEST

/* Workers read rows of two datasets at once, in about their order. */
typedef struct reading {
  hem__source *source;
  const hem__listed *rows;
  bool wrong[3000];
} reading;

static void read_one(void *context, size_t i, size_t worker) {
  reading *r = context;
  float values[16];
  hem__photo photo = {0};
  (void)worker;
  r->wrong[i] = r->source->read_vector(r->source, &r->rows[i], &photo, values, NULL) != HEM_OK;
  for (size_t j = 0; j < 16; j++) r->wrong[i] |= values[j] != hem__test_value(i, j);
}

START_TEST(many_threads_read) {
  static reading r;
  static hem__listed rows[3000];
  char *path = new_path("v.h5");
  const hem__test_dataset both[] = {{.name = "/train", .rows = 2000, .dim = 16, .chunk = 64},
                                    {.name = "/test", .rows = 1000, .dim = 16, .first = 2000}};
  hem__test_hdf5(path, 0, both, 2);
  r.source = opened(path, NULL, (hem__usual){0});
  r.rows = rows;
  for (size_t i = 0; i < 3000; i++) rows[i] = hem__test_next(r.source);
  ck_ok(hem__parallel_for(3000, 8, read_one, &r, err));
  for (size_t i = 0; i < 3000; i++) ck_assert_msg(!r.wrong[i], "row %zu", i);
  hem__test_ends(r.source);
  free(path);
}
END_TEST

HEM_TESTS("vectors", npy_of_every_type_and_version, blocks_are_read_again_when_they_are_gone,
          npy_headers_that_are_refused, npy_files_that_are_cut, vecs_of_both_kinds, a_bad_row_rejects_itself_only,
          halves_are_exact, a_file_that_shrinks_rejects_what_is_gone, hdf5_datasets,
          a_benchmark_file_is_shop_and_customers, hdf5_files_that_are_refused, a_manifest_says_what_the_rows_are,
          files_are_told_by_their_endings, a_space_has_a_name_and_no_way_from_photos, many_threads_read)
