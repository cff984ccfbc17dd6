/* Publishing: what readers see before, during and after; what is kept, swept and refused. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "index/generation.h"
#include "support/make_catalog.h"

/* ---- generations that hold one small file and say so ---- */

static char *new_store(void) { return hem__test_path(hem__test_folder(), "store"); }

/* Starts a generation whose gallery file holds `text`; the manifest borrows `file`'s name. */
static void begin(const char *store, const char *text, hem__publication *p, hem__generation_file *file) {
  static char name[] = "gallery.bin";
  hem__aside *aside = NULL;
  ck_ok(hem__publication_open(store, p, err));
  ck_ok(hem__publication_file(p, name, &aside, err));
  ck_ok(hem__aside_write(aside, text, strlen(text), err));
  file->name = name;
  ck_ok(hem__aside_publish(aside, &file->size, &file->digest, err));
  hem__aside_free(aside);
}

static hem__manifest manifest_of(hem__generation_file gallery) {
  static char empty[] = "";
  return (hem__manifest){
      .catalog = empty, .space = empty, .space_hash = empty, .features = empty, .dim = 1, .gallery = gallery};
}

static void publish(const char *store, const char *text, size_t keep) {
  hem__publication p;
  hem__generation_file file;
  begin(store, text, &p, &file);
  hem__manifest m = manifest_of(file);
  ck_ok(hem__publication_finish(&p, &m, keep, err));
  hem__publication_close(&p);
}

static void check_current(const char *store, const char *name, const char *text) {
  hem__generation g;
  hem__map map;
  ck_ok(hem__generation_open(store, &g, err));
  ck_assert_str_eq(g.name, name);
  ck_ok(hem__generation_map(&g, &g.manifest.gallery, &map, err));
  ck_assert_uint_eq(map.size, strlen(text));
  ck_assert_mem_eq(map.at, text, map.size);
  hem__map_close(&map);
  hem__generation_close(&g);
}

static bool is_there(const char *store, const char *name) {
  char *path = hem__test_path(store, name);
  bool there = hem__path_exists(path);
  free(path);
  return there;
}

static void write_file(const char *store, const char *name, const void *bytes, size_t size) {
  char *path = hem__test_path(store, name);
  FILE *file = fopen(path, "wb");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
  ck_assert_int_eq(fclose(file), 0);
  free(path);
}

/* ---- publishing ---- */

START_TEST(a_store_without_a_generation_says_how_to_make_one) {
  char *store = new_store();
  hem__generation g;
  ck_fails(hem__generation_open(store, &g, err), HEM_ENOTFOUND, "hemline index");
  hem__publication p;
  ck_ok(hem__publication_open(store, &p, err));
  ck_fails(hem__generation_open(store, &g, err), HEM_ENOTFOUND, "hemline index");
  hem__publication_close(&p);
  free(store);
}
END_TEST

START_TEST(what_is_published_is_current) {
  char *store = new_store();
  publish(store, "one", 2);
  check_current(store, "000001", "one");
  publish(store, "two, longer", 2);
  check_current(store, "000002", "two, longer");
  free(store);
}
END_TEST

START_TEST(nothing_is_seen_of_an_unfinished_generation) {
  char *store = new_store();
  hem__publication p;
  hem__generation_file file;
  publish(store, "one", 2);
  begin(store, "two", &p, &file);
  check_current(store, "000001", "one");
  hem__publication_close(&p);
  check_current(store, "000001", "one");
  ck_assert(!is_there(store, "generations/000002"));
  ck_assert(!is_there(store, "generations/000002.tmp"));
  publish(store, "another", 2);
  check_current(store, "000002", "another");
  free(store);
}
END_TEST

START_TEST(one_writer_at_a_time) {
  char *store = new_store();
  hem__publication first, second;
  ck_ok(hem__publication_open(store, &first, err));
  ck_fails(hem__publication_open(store, &second, err), HEM_EBUSY, store);
  hem__publication_close(&first);
  ck_ok(hem__publication_open(store, &second, err));
  hem__publication_close(&second);
  free(store);
}
END_TEST

START_TEST(older_generations_are_kept_as_asked) {
  char *store = new_store(), name[32];
  for (size_t i = 1; i <= 6; i++) {
    publish(store, "text", 2);
    for (size_t j = 1; j <= i; j++) {
      snprintf(name, sizeof name, "generations/%06zu", j);
      ck_assert_msg(is_there(store, name) == (j + 2 >= i), "after publishing %zu: %s", i, name);
    }
  }
  publish(store, "text", 0);
  ck_assert(!is_there(store, "generations/000006"));
  ck_assert(is_there(store, "generations/000007"));
  free(store);
}
END_TEST

START_TEST(left_overs_of_a_killed_writer_are_swept) {
  static const char *const left[] = {"generations/000002.tmp", "generations/000002", "generations/000009",
                                     "generations/000001.tmp"};
  char *store = new_store();
  publish(store, "one", 2);
  for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
    char *path = hem__test_path(store, left[i]);
    ck_ok(hem__make_folder(path, err));
    free(path);
    write_file(store, "generations/file", "x", 1);
  }
  hem__publication p;
  ck_ok(hem__publication_open(store, &p, err));
  for (size_t i = 1; i < sizeof left / sizeof *left; i++) ck_assert_msg(!is_there(store, left[i]), "%s", left[i]);
  ck_assert(is_there(store, "generations/file")); /* not of our making */
  ck_assert(is_there(store, "generations/000001"));
  hem__publication_close(&p);
  check_current(store, "000001", "one");
  free(store);
}
END_TEST

START_TEST(a_reader_keeps_what_it_mapped) {
  char *store = new_store();
  hem__generation g;
  hem__map map;
  publish(store, "the first", 0);
  ck_ok(hem__generation_open(store, &g, err));
  ck_ok(hem__generation_map(&g, &g.manifest.gallery, &map, err));
  publish(store, "the second", 0);
  publish(store, "the third", 0);
  ck_assert(!is_there(store, "generations/000001"));
  ck_assert_mem_eq(map.at, "the first", 9);
  hem__map_close(&map);
  hem__generation_close(&g);
  free(store);
}
END_TEST

/* ---- damage ---- */

static void check_bad_current(const char *store, const char *bytes, size_t size) {
  hem__generation g;
  hem__publication p;
  write_file(store, "CURRENT", bytes, size);
  ck_fails(hem__generation_open(store, &g, err), HEM_ECORRUPT, "CURRENT");
  ck_fails(hem__publication_open(store, &p, err), HEM_ECORRUPT, "CURRENT");
  /* The lock did not stay behind, nor was anything swept. */
  ck_fails(hem__publication_open(store, &p, err), HEM_ECORRUPT, "CURRENT");
  ck_assert(is_there(store, "generations/000001"));
}

START_TEST(a_damaged_current_is_refused_and_nothing_is_swept) {
  char *store = new_store(), good[80], bad[80];
  publish(store, "one", 2);
  char *path = hem__test_path(store, "CURRENT");
  FILE *file = fopen(path, "rb");
  size_t size = fread(good, 1, sizeof good, file);
  fclose(file);
  ck_assert_uint_eq(size, 72);
  for (size_t cut = 0; cut < size; cut++) check_bad_current(store, good, cut);
  static const size_t at[] = {0, 5, 6, 71};
  for (size_t i = 0; i < 4; i++) {
    memcpy(bad, good, size);
    bad[at[i]] = 'x';
    check_bad_current(store, bad, size);
  }
  memcpy(bad, good, size);
  memcpy(bad, "000000", 6);
  check_bad_current(store, bad, size);
  good[size] = '\n';
  check_bad_current(store, good, size + 1);
  write_file(store, "CURRENT", good, size);
  check_current(store, "000001", "one");
  free(path);
  free(store);
}
END_TEST

START_TEST(a_lost_current_is_not_taken_for_an_empty_store) {
  char *store = new_store(), *path = hem__test_path(store, "CURRENT");
  publish(store, "one", 2);
  publish(store, "two", 2);
  ck_assert_int_eq(unlink(path), 0);
  hem__publication p;
  ck_fails(hem__publication_open(store, &p, err), HEM_ECORRUPT, "CURRENT is missing");
  ck_assert(is_there(store, "generations/000001") && is_there(store, "generations/000002"));
  free(path);
  free(store);
}
END_TEST

START_TEST(current_vouches_for_the_manifest) {
  char *store = new_store();
  hem__generation g;
  publish(store, "one", 2);
  char *path = hem__test_path(store, "generations/000001/manifest.json");
  hem__map map;
  ck_ok(hem__map_open(path, &map, err));
  char *text = strndup((const char *)map.at, map.size), *distance = strstr(text, "\"l2\"");
  ck_assert_ptr_nonnull(distance);
  memcpy(distance, "\"ip\"", 4); /* still a fine manifest, but not the one that was published */
  size_t size = map.size;
  hem__map_close(&map);
  write_file(store, "generations/000001/manifest.json", text, size);
  ck_fails(hem__generation_open(store, &g, err), HEM_ECORRUPT, "manifest.json");
  unlink(path);
  ck_fails(hem__generation_open(store, &g, err), HEM_ENOTFOUND, "manifest.json");
  free(text);
  free(path);
  free(store);
}
END_TEST

START_TEST(the_manifest_vouches_for_the_files) {
  static const char *const bad[] = {"", "on", "one more", "onE"};
  char *store = new_store();
  hem__generation g;
  hem__map map;
  publish(store, "one", 2);
  ck_ok(hem__generation_open(store, &g, err));
  for (size_t i = 0; i < 4; i++) {
    write_file(store, "generations/000001/gallery.bin", bad[i], strlen(bad[i]));
    ck_fails(hem__generation_map(&g, &g.manifest.gallery, &map, err), HEM_ECORRUPT, "gallery.bin");
  }
  char *path = hem__test_path(store, "generations/000001/gallery.bin");
  unlink(path);
  ck_fails(hem__generation_map(&g, &g.manifest.gallery, &map, err), HEM_ENOTFOUND, "gallery.bin");
  ck_assert_int_eq(symlink("/dev/zero", path), 0);
  ck_fails(hem__generation_map(&g, &g.manifest.gallery, &map, err), HEM_ECORRUPT, "gallery.bin");
  hem__generation_close(&g);
  free(path);
  free(store);
}
END_TEST

START_TEST(indexing_over_a_damaged_current_says_what_to_do) {
  hem__made made = {.dim = 1};
  hem__made_add(&made, (hem__photo){0}, &(float){1});
  const char *folder = hem__test_folder();
  char *store = hem__made_store(&made, folder, "store", (hem_index_options){0});
  char *catalog = hem__test_path(folder, "catalog.h5");
  write_file(store, "CURRENT", "000001", 6);
  hem_index_options o = {.size = sizeof o, .catalog = catalog, .store = store};
  hem_engine *engine = NULL;
  ck_fails(hem_engine_open(store, NULL, &engine, err), HEM_ECORRUPT, "CURRENT");
  ck_fails(hem_index(&o, err), HEM_ECORRUPT, "CURRENT");
  ck_fails(hem_index(&o, err), HEM_ECORRUPT, "remove");
  ck_assert_ptr_null(engine);
  free(catalog);
  free(store);
  hem__made_clear(&made);
}
END_TEST

HEM_TESTS("generation", a_store_without_a_generation_says_how_to_make_one, what_is_published_is_current,
          nothing_is_seen_of_an_unfinished_generation, one_writer_at_a_time, older_generations_are_kept_as_asked,
          left_overs_of_a_killed_writer_are_swept, a_reader_keeps_what_it_mapped,
          a_damaged_current_is_refused_and_nothing_is_swept, a_lost_current_is_not_taken_for_an_empty_store,
          current_vouches_for_the_manifest, the_manifest_vouches_for_the_files,
          indexing_over_a_damaged_current_says_what_to_do)
