#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

int hem__run_tests(const char *name, const TTest *const *tests, size_t count) {
  Suite *suite = suite_create(name);
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 240);
  for (size_t i = 0; i < count; i++) tcase_add_test(all, tests[i]);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? 1 : 0;
}

static char folders[16][64];
static size_t folder_count;

static void remove_folders(void) {
  for (size_t i = 0; i < folder_count; i++) hem__remove_tree(folders[i], NULL);
}

const char *hem__test_folder(void) {
  if (folder_count == 0) atexit(remove_folders);
  ck_assert_msg(folder_count < sizeof folders / sizeof *folders, "too many test folders");
  char *folder = folders[folder_count++];
  strcpy(folder, "/tmp/hemline-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  return folder;
}

char *hem__test_path(const char *folder, const char *name) {
  char *path = NULL;
  ck_assert_int_ge(asprintf(&path, "%s/%s", folder, name), 0);
  return path;
}

uint64_t hem__test_random(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

float hem__test_uniform(uint64_t *state) { return (float)(hem__test_random(state) >> 40) / 16777216.0F; }
