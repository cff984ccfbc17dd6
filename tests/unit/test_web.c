/* The page's files as they are compiled in: all of the folder, to the byte, and nothing else. */
#include "serve/web.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

static char *web_path(const char *name) {
  const char *source = getenv("HEMLINE_SOURCE");
  char *folder = hem__test_path(source ? source : ".", "serve/web"), *path = hem__test_path(folder, name);
  free(folder);
  return path;
}

static void check_same(const char *name, const char *bytes, size_t size) {
  char *path = web_path(name);
  FILE *file = fopen(path, "rb");
  ck_assert_msg(file != NULL, "%s", path);
  for (size_t i = 0; i < size; i++) ck_assert_int_eq(fgetc(file), (unsigned char)bytes[i]);
  ck_assert_int_eq(fgetc(file), EOF);
  fclose(file);
  free(path);
}

START_TEST(test_every_file_of_the_folder_is_served) {
  char *folder = web_path("");
  DIR *list = opendir(folder);
  ck_assert_ptr_nonnull(list);
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(list)); count++) {
    char path[300];
    const char *type = NULL, *bytes = NULL;
    size_t size = 0;
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/%s", entry->d_name);
    ck_assert_msg(hem__web_file(path, &type, &bytes, &size), "%s is not served", path);
    check_same(entry->d_name, bytes, size);
    const char *end = strrchr(path, '.');
    ck_assert_ptr_nonnull(strstr(type, strcmp(end, ".js") == 0 ? "javascript" : end + 1));
  }
  ck_assert_uint_gt(count, 5);
  closedir(list);
  free(folder);
}
END_TEST

START_TEST(test_the_root_is_the_page) {
  const char *type, *root, *page;
  size_t root_size, page_size;
  ck_assert(hem__web_file("/", &type, &root, &root_size));
  ck_assert_str_eq(type, "text/html; charset=utf-8");
  ck_assert(hem__web_file("/index.html", &type, &page, &page_size));
  ck_assert_ptr_eq(root, page);
  ck_assert_uint_eq(root_size, page_size);
}
END_TEST

START_TEST(test_nothing_else_is_served) {
  const char *const others[] = {"", "/none", "app.js", "/app.js/", "/../web.c", "//", "/App.js", "/v1/info"};
  const char *type, *bytes;
  size_t size;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    ck_assert_msg(!hem__web_file(others[i], &type, &bytes, &size), "%s is served", others[i]);
}
END_TEST

HEM_TESTS("web", test_every_file_of_the_folder_is_served, test_the_root_is_the_page, test_nothing_else_is_served)
