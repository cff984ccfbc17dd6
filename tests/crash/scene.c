#include "crash/scene.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

bool hem__in_child(void (*body)(void *), void *context) {
  int status;
  fflush(NULL); /* or the child would print it again */
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    body(context);
    _exit(0);
  }
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  bool returned = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  ck_assert_msg(returned || killed, "a child ended with wait status %#x", (unsigned)status);
  return returned;
}

/* ---- files and folders ---- */

hem__bytes hem__read_file(const char *path) {
  hem__map map;
  ck_ok(hem__map_open(path, &map, err));
  hem__bytes bytes = {.at = malloc(map.size + 1), .size = map.size};
  ck_assert_ptr_nonnull(bytes.at);
  if (map.size) memcpy(bytes.at, map.at, map.size);
  hem__map_close(&map);
  return bytes;
}

void hem__write_file(const char *path, const void *at, size_t size) {
  FILE *file = fopen(path, "wb");
  ck_assert_msg(file && fwrite(at, 1, size, file) == size && fclose(file) == 0, "cannot write %s", path);
}

bool hem__file_is(const char *path, hem__bytes bytes) {
  hem__map map;
  if (hem__map_open(path, &map, NULL)) return false;
  bool same = map.size == bytes.size && (map.size == 0 || memcmp(map.at, bytes.at, map.size) == 0);
  hem__map_close(&map);
  return same;
}

char *hem__work_folder(void) {
  char folder[] = "/dev/shm/hemline-crash-XXXXXX";
  char *made = strdup(mkdtemp(folder) ? folder : hem__test_folder());
  ck_assert_ptr_nonnull(made);
  return made;
}

void hem__fresh_folder(const char *path) {
  ck_ok(hem__remove_tree(path, err));
  ck_assert_int_eq(mkdir(path, 0777), 0);
}

void hem__copy_folder(const char *from, const char *to) {
  struct dirent **names;
  hem__fresh_folder(to);
  int count = scandir(from, &names, NULL, alphasort);
  ck_assert_int_ge(count, 0);
  for (int i = 0; i < count; free(names[i++])) {
    struct stat st;
    if (!strcmp(names[i]->d_name, ".") || !strcmp(names[i]->d_name, "..")) continue;
    char *here = hem__test_path(from, names[i]->d_name), *there = hem__test_path(to, names[i]->d_name);
    ck_assert_int_eq(stat(here, &st), 0);
    if (S_ISDIR(st.st_mode)) {
      hem__copy_folder(here, there);
    } else {
      hem__bytes bytes = hem__read_file(here);
      hem__write_file(there, bytes.at, bytes.size);
      free(bytes.at);
    }
    free(here);
    free(there);
  }
  free(names);
}

static FILE *describe_into;
static size_t root_length;

static int describe_one(const char *path, const struct stat *st, int type, struct FTW *at) {
  (void)at;
  if (type != FTW_F) return 0;
  hem__bytes bytes = hem__read_file(path);
  hem__digest digest = hem__sha256_of(bytes.at, bytes.size);
  char hex[65];
  hem__digest_hex(&digest, hex);
  fprintf(describe_into, "%s %lld %s\n", path + root_length + 1, (long long)st->st_size, hex);
  free(bytes.at);
  return 0;
}

static int by_line(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

char *hem__folder_text(const char *path) {
  char *text = NULL, *sorted = NULL, *lines[256], *rest;
  size_t size, count = 0;
  describe_into = open_memstream(&text, &size);
  root_length = strlen(path);
  ck_assert(nftw(path, describe_one, 16, FTW_PHYS) == 0 || errno == ENOENT);
  fclose(describe_into);
  for (char *line = strtok_r(text, "\n", &rest); line && count < 256; line = strtok_r(NULL, "\n", &rest))
    lines[count++] = line;
  qsort(lines, count, sizeof *lines, by_line);
  FILE *out = open_memstream(&sorted, &size);
  for (size_t i = 0; i < count; i++) fprintf(out, "%s\n", lines[i]);
  fclose(out);
  free(text);
  return sorted;
}

/* ---- what reached the disk ---- */

static void check_rename(const hem__calls *calls, size_t at) {
  const hem__call *made = calls->made, *renamed = &made[at];
  size_t last = at;
  while (!renamed->is_folder && last-- > 0)
    if (made[last].inode == renamed->inode && (made[last].kind == HEM__WRITE || made[last].kind == HEM__SYNC)) break;
  ck_assert_msg(renamed->is_folder || (last < at && made[last].kind == HEM__SYNC),
                "call %zu renames a file that was not synced after its last write", at + 1);
  for (size_t i = at + 1; i < calls->count; i++) {
    if (made[i].kind == HEM__SYNC && made[i].inode == renamed->folder) return;
    ck_assert_msg(made[i].kind != HEM__RENAME && made[i].kind != HEM__REMOVE,
                  "call %zu comes before the folder of rename %zu was synced", i + 1, at + 1);
  }
  ck_abort_msg("the folder of rename %zu is never synced", at + 1);
}

void hem__check_syncs(const hem__calls *calls) {
  size_t renames = 0;
  for (size_t i = 0; i < calls->count; i++) {
    if (calls->made[i].kind != HEM__RENAME) continue;
    check_rename(calls, i);
    renames++;
  }
  ck_assert_uint_gt(renames, 0);
}

/* ---- photos ---- */

static void write_pair(const char *folder, const char *prefix, size_t count, uint64_t seed) {
  enum { SIDE = 28, PIXELS = SIDE * SIDE };
  char name[64];
  uint8_t header[16] = {0, 0, 8, 3, 0, 0, (uint8_t)(count >> 8), (uint8_t)count, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
  uint8_t *bytes = malloc(sizeof header + count * PIXELS);
  memcpy(bytes, header, sizeof header);
  for (size_t i = 0; i < count * PIXELS; i++) bytes[sizeof header + i] = (uint8_t)hem__test_random(&seed);
  snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix);
  char *path = hem__test_path(folder, name);
  hem__write_file(path, bytes, sizeof header + count * PIXELS);
  free(path);
  bytes[3] = 1;
  for (size_t i = 0; i < count; i++) bytes[8 + i] = i % 40 == 7 ? 10 : (uint8_t)(i % 10);
  snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
  path = hem__test_path(folder, name);
  hem__write_file(path, bytes, 8 + count);
  free(path);
  free(bytes);
}

void hem__write_idx(const char *folder, size_t shop, size_t consumer) {
  hem__fresh_folder(folder);
  if (shop) write_pair(folder, "train", shop, 1);
  if (consumer) write_pair(folder, "t10k", consumer, 2);
}
