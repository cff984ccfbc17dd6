/* Ready-made vectors in files of fixed rows: the same bytes as .npy, .fvecs and .bvecs. What opens is no larger than
 * the file can hold, and every row is read or refused. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "ingest/vectors.h"

enum { ROWS_READ = 64 };
static const char *const endings[] = {"npy", "fvecs", "bvecs"};
static char folder[] = "/tmp/hemline-fuzz-XXXXXX";

static void remove_folder(void) {
  char path[64];
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/v.%s", folder, endings[i]);
    unlink(path);
  }
  rmdir(folder);
}

static int make_file(void) {
  char target[64], path[64];
  int fd = memfd_create("vectors", MFD_CLOEXEC);
  HEM__FUZZ_ASSERT(fd >= 0 && mkdtemp(folder));
  atexit(remove_folder);
  snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/v.%s", folder, endings[i]);
    HEM__FUZZ_ASSERT(symlink(target, path) == 0);
  }
  return fd;
}

static void read_rows(hem__rows *rows, size_t file_size) {
  hem_error err = {0};
  float *out = malloc(rows->dim * sizeof *out);
  HEM__FUZZ_ASSERT(out && rows->dim >= 1 && rows->dim <= HEM__DIM_MAX);
  HEM__FUZZ_ASSERT(rows->count == 0 || rows->dim <= file_size / rows->count);
  for (size_t i = 0; i < rows->count && i < ROWS_READ; i++)
    if (rows->read(rows, i % 2 ? rows->count - 1 - i / 2 : i / 2, 1, out, &err))
      HEM__FUZZ_ASSERT(err.code == HEM_ECORRUPT && *err.message);
  free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fd = -1;
  if (fd < 0) fd = make_file();
  HEM__FUZZ_ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
  for (size_t i = 0; i < 3; i++) {
    char path[64];
    hem__rows *rows = NULL;
    hem_error err = {0};
    snprintf(path, sizeof path, "%s/v.%s", folder, endings[i]);
    hem_status status = i == 0 ? hem__rows_npy(path, &rows, &err) : hem__rows_vecs(path, i == 2, &rows, &err);
    if (status) {
      HEM__FUZZ_ASSERT(strstr(err.message, path));
      continue;
    }
    read_rows(rows, size);
    rows->close(rows);
  }
  return 0;
}
