/* DeepFashion's lists: the partition, a line "====", and the boxes. Every row is listed or rejected with a reason, and
 * no listed photo lies outside of the folder of photos. No photo is opened. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "ingest/source.h"

enum { PAIRS, BOXES, FILES };
static const char *const names[FILES] = {"Eval/list_eval_partition.txt", "Anno/list_bbox_consumer2shop.txt"};
static char root[] = "/tmp/hemline-fuzz-XXXXXX";

static void path_of(const char *name, char out[96]) { snprintf(out, 96, "%s/%s", root, name); }

static void remove_root(void) {
  static const char *const folders[] = {"Eval", "Anno", "img", "."};
  char path[96];
  for (size_t i = 0; i < FILES; i++) {
    path_of(names[i], path);
    unlink(path);
  }
  for (size_t i = 0; i < 4; i++) {
    path_of(i < 3 ? folders[i] : "", path);
    rmdir(path);
  }
}

/* Files in memory, under the names of the layout. */
static void make_root(int fds[FILES]) {
  static const char *const folders[] = {"Eval", "Anno", "img"};
  char target[64], path[96];
  HEM__FUZZ_ASSERT(mkdtemp(root));
  atexit(remove_root);
  for (size_t i = 0; i < 3; i++) {
    path_of(folders[i], path);
    HEM__FUZZ_ASSERT(mkdir(path, 0777) == 0);
  }
  for (size_t i = 0; i < FILES; i++) {
    fds[i] = memfd_create("list", MFD_CLOEXEC);
    snprintf(target, sizeof target, "/proc/self/fd/%d", fds[i]);
    path_of(names[i], path);
    HEM__FUZZ_ASSERT(fds[i] >= 0 && symlink(target, path) == 0);
  }
}

static void check_photo(const hem__photo *photo) {
  char folder[96];
  path_of("img/", folder);
  HEM__FUZZ_ASSERT(strncmp(photo->path, folder, strlen(folder)) == 0 && !strstr(photo->path, "/.."));
  HEM__FUZZ_ASSERT(*photo->item_id && *photo->category && *photo->label && photo->split != HEM__NO_SPLIT);
  hem__box b = photo->box;
  HEM__FUZZ_ASSERT(b.x >= 0 && b.y >= 0 && b.width >= 0 && b.height >= 0 && !b.width == !b.height);
}

static void list(bool whole) {
  hem__source *source = NULL;
  hem_error err = {0};
  if (hem__source_deepfashion(root, whole, &source, &err)) {
    HEM__FUZZ_ASSERT(strstr(err.message, root));
    return;
  }
  for (uint64_t count = 0;; count++) {
    hem__listed listed = {0};
    bool more;
    HEM__FUZZ_ASSERT(source->next(source, &listed, &more, &err) == HEM_OK);
    HEM__FUZZ_ASSERT(more == (count < source->count));
    if (!more) break;
    HEM__FUZZ_ASSERT(listed.photo.path && listed.photo.item_id && listed.photo.category && listed.photo.label);
    if (!listed.reason) check_photo(&listed.photo);
  }
  source->close(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fds[FILES] = {-1, -1};
  static const char between[] = "====\n";
  if (fds[PAIRS] < 0) make_root(fds);
  const uint8_t *cut = memmem(data, size, between, 5);
  size_t first = cut ? (size_t)(cut - data) : size, second = cut ? size - first - 5 : 0;
  HEM__FUZZ_ASSERT(ftruncate(fds[PAIRS], 0) == 0 && pwrite(fds[PAIRS], data, first, 0) == (ssize_t)first);
  HEM__FUZZ_ASSERT(ftruncate(fds[BOXES], 0) == 0 &&
                   (!second || pwrite(fds[BOXES], cut + 5, second, 0) == (ssize_t)second));
  list(false);
  list(true);
  return 0;
}
