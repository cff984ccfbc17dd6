#include "support/listed.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

hem__listed hem__test_next(hem__source *source) {
  hem__listed listed = {0};
  bool more = false;
  ck_ok(source->next(source, &listed, &more, err));
  ck_assert_msg(more, "the source ended early");
  return listed;
}

static void ends_with(const char *text, const char *end) {
  size_t size = strlen(text), tail = strlen(end);
  ck_assert_msg(size >= tail && !strcmp(text + size - tail, end), "%s does not end with %s", text, end);
}

void hem__test_is(hem__source *source, hem__photo photo) {
  hem__listed row = hem__test_next(source);
  ck_assert_msg(!row.reason, "%s: %s", row.photo.path, row.reason);
  ck_assert_msg(*row.photo.path == '/', "%s does not start at the root", row.photo.path);
  ends_with(row.photo.path, photo.path);
  ck_assert_str_eq(row.photo.item_id, photo.item_id);
  ck_assert_str_eq(row.photo.category, photo.category);
  ck_assert_str_eq(row.photo.label, photo.label ? photo.label : "");
  ck_assert_msg(row.photo.domain == photo.domain && row.photo.split == photo.split,
                "%s is in domain %d, split %d instead of %d, %d", row.photo.path, row.photo.domain, row.photo.split,
                photo.domain, photo.split);
  hem__box a = row.photo.box, b = photo.box;
  ck_assert_msg(a.x == b.x && a.y == b.y && a.width == b.width && a.height == b.height && a.unit == b.unit,
                "%s has box %d,%d,%d,%d", row.photo.path, a.x, a.y, a.width, a.height);
}

void hem__test_is_rejected(hem__source *source, const char *path, const char *words) {
  hem__listed row = hem__test_next(source);
  ck_assert_msg(row.reason != NULL, "%s was taken", row.photo.path);
  ck_assert_msg(strstr(row.reason, words) != NULL, "%s: '%s' lacks '%s'", row.photo.path, row.reason, words);
  ck_assert(row.photo.item_id && row.photo.category && row.photo.label);
  ends_with(row.photo.path, path);
}

void hem__test_ends(hem__source *source) {
  hem__listed listed;
  bool more = true;
  for (int i = 0; i < 2; i++) {
    ck_ok(source->next(source, &listed, &more, err));
    ck_assert_msg(!more, "one more row: %s", listed.photo.path);
  }
  source->close(source);
}

void hem__test_make_folders(const char *path) {
  char *copy = strdup(path);
  for (char *at = copy; (at = strchr(at + 1, '/'));) {
    *at = '\0';
    ck_assert_msg(mkdir(copy, 0777) == 0 || errno == EEXIST, "cannot make %s", copy);
    *at = '/';
  }
  free(copy);
}
