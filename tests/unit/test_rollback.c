/* Going back to an older generation: what answers then, and what is refused. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "index/generation.h"
#include "support/make_catalog.h"

/* One photo a generation, an item named after it: who answers is told by the item. */
typedef struct shop {
  const char *folder;
  char *store;
} shop;

static void publish(shop *s, const char *item, uint32_t keep) {
  hem__made made = {.dim = 1};
  hem__made_add(&made, (hem__photo){.item_id = item}, &(float){1});
  free(s->store);
  s->store = hem__made_store(&made, s->folder, "store", (hem_index_options){.keep = keep});
  hem__made_clear(&made);
}

static void check_answer(const shop *s, const char *generation, const char *item) {
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  hem_engine_info info;
  hem_answer answer;
  ck_ok(hem_engine_open(s->store, NULL, &engine, err));
  hem_engine_info_get(engine, &info);
  ck_assert_str_eq(info.generation, generation);
  ck_ok(hem_searcher_new(engine, &searcher, err));
  ck_ok(hem_search(searcher, &(float){1}, 1, NULL, &answer, err));
  ck_assert_uint_eq(answer.found, 1);
  ck_assert_str_eq(answer.hits[0].item_id, item);
  hem_searcher_free(searcher);
  hem_engine_close(engine);
}

static char *file_of(const shop *s, const char *name) { return hem__test_path(s->store, name); }

static void flip_last_byte(const char *path) {
  FILE *file = fopen(path, "r+b");
  ck_assert_ptr_nonnull(file);
  ck_assert_int_eq(fseek(file, -1, SEEK_END), 0);
  int byte = fgetc(file);
  ck_assert_int_eq(fseek(file, -1, SEEK_END), 0);
  fputc(byte ^ 1, file);
  ck_assert_int_eq(fclose(file), 0);
}

START_TEST(the_one_before_answers_again_under_a_new_number) {
  shop s = {.folder = hem__test_folder()};
  char number[16] = "";
  publish(&s, "one", 2);
  publish(&s, "two", 2);
  check_answer(&s, "000002", "two");
  ck_ok(hem_rollback(s.store, NULL, number, err));
  ck_assert_str_eq(number, "000003");
  check_answer(&s, "000003", "one");
  free(s.store);
}
END_TEST

START_TEST(a_generation_is_chosen_by_name) {
  shop s = {.folder = hem__test_folder()};
  char number[16] = "";
  publish(&s, "one", 2);
  publish(&s, "two", 2);
  publish(&s, "three", 2);
  ck_ok(hem_rollback(s.store, "000001", number, err));
  check_answer(&s, "000004", "one");
  free(s.store);
}
END_TEST

START_TEST(the_files_are_linked_and_not_copied) {
  shop s = {.folder = hem__test_folder()};
  char number[16] = "";
  struct stat old, new;
  publish(&s, "one", 2);
  publish(&s, "two", 2);
  ck_ok(hem_rollback(s.store, NULL, number, err));
  char *before = file_of(&s, "generations/000001/gallery.bin"), *after = file_of(&s, "generations/000003/gallery.bin");
  ck_assert_int_eq(stat(before, &old), 0);
  ck_assert_int_eq(stat(after, &new), 0);
  ck_assert_uint_eq(old.st_ino, new.st_ino);
  free(before);
  free(after);
  free(s.store);
}
END_TEST

START_TEST(numbers_go_on_and_the_window_of_older_ones_with_them) {
  shop s = {.folder = hem__test_folder()};
  char number[16] = "";
  publish(&s, "one", 2);
  publish(&s, "two", 2);
  ck_ok(hem_rollback(s.store, NULL, number, err));
  publish(&s, "four", 1);
  check_answer(&s, "000004", "four");
  ck_fails(hem_rollback(s.store, "000002", number, err), HEM_ENOTFOUND, "000002");
  ck_ok(hem_rollback(s.store, NULL, number, err)); /* the rolled-back one, whose first name is gone */
  check_answer(&s, "000005", "one");
  free(s.store);
}
END_TEST

START_TEST(what_cannot_be_gone_back_to_is_said) {
  shop s = {.folder = hem__test_folder()};
  char number[16] = "";
  publish(&s, "one", 2);
  ck_fails(hem_rollback(s.store, NULL, number, err), HEM_ENOTFOUND, "--keep");
  ck_fails(hem_rollback(s.store, "000001", number, err), HEM_EINVAL, "current");
  ck_fails(hem_rollback(s.store, "000009", number, err), HEM_ENOTFOUND, "000009");
  ck_fails(hem_rollback(s.store, "../../x", number, err), HEM_EINVAL, "000001");
  check_answer(&s, "000001", "one");
  ck_assert_str_eq(number, "");
  free(s.store);
}
END_TEST

START_TEST(damaged_files_are_not_made_current) {
  static const char *const files[] = {"gallery.bin", "manifest.json", "c0000.bytes"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    shop s = {.folder = hem__test_folder()};
    char number[16] = "", name[64];
    publish(&s, "one", 2);
    publish(&s, "two", 2);
    snprintf(name, sizeof name, "generations/000001/%s", files[i]);
    char *path = file_of(&s, name);
    flip_last_byte(path);
    ck_fails(hem_rollback(s.store, NULL, number, err), HEM_ECORRUPT, files[i]);
    check_answer(&s, "000002", "two");
    free(path);
    free(s.store);
  }
}
END_TEST

START_TEST(somebody_who_indexes_comes_first) {
  shop s = {.folder = hem__test_folder()};
  char number[16] = "";
  hem__publication p;
  publish(&s, "one", 2);
  publish(&s, "two", 2);
  ck_ok(hem__publication_open(s.store, &p, err));
  ck_fails(hem_rollback(s.store, NULL, number, err), HEM_EBUSY, "store");
  hem__publication_close(&p);
  ck_ok(hem_rollback(s.store, NULL, number, err));
  free(s.store);
}
END_TEST

HEM_TESTS("rollback", the_one_before_answers_again_under_a_new_number, a_generation_is_chosen_by_name,
          the_files_are_linked_and_not_copied, numbers_go_on_and_the_window_of_older_ones_with_them,
          what_cannot_be_gone_back_to_is_said, damaged_files_are_not_made_current, somebody_who_indexes_comes_first)
