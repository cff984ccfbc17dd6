/* A listing of photos, read as TSV and as CSV: every row is listed or rejected with a reason, and what is listed
 * is text that a catalogue keeps or refuses. No photo is opened. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "ingest/source.h"

static char folder[] = "/tmp/hemline-fuzz-XXXXXX";

static void remove_folder(void) {
  char path[64];
  snprintf(path, sizeof path, "%s/l.csv", folder);
  unlink(path);
  snprintf(path, sizeof path, "%s/l.tsv", folder);
  unlink(path);
  rmdir(folder);
}

static void list(hem__source *source) {
  hem__photos photos = {0};
  hem_error err = {0};
  for (;;) {
    hem__listed listed = {0};
    bool more;
    HEM__FUZZ_ASSERT(source->next(source, &listed, &more, &err) == HEM_OK);
    if (!more) break;
    HEM__FUZZ_ASSERT(listed.photo.path && listed.photo.item_id && listed.photo.category && listed.photo.label);
    hem_status status = listed.reason ? HEM_ECORRUPT : hem__photos_add(&photos, &listed.photo, &err);
    if (status)
      status = hem__photos_reject(&photos, listed.photo.path, listed.reason ? listed.reason : err.message, &err);
    HEM__FUZZ_ASSERT(status == HEM_OK);
  }
  hem__photos_clear(&photos);
}

/* A listing's ending says how it is separated: the same bytes in memory, under two names. */
static int make_file(void) {
  char target[64], path[64];
  int fd = memfd_create("listing", MFD_CLOEXEC);
  HEM__FUZZ_ASSERT(fd >= 0 && mkdtemp(folder));
  atexit(remove_folder);
  snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
  snprintf(path, sizeof path, "%s/l.csv", folder);
  HEM__FUZZ_ASSERT(symlink(target, path) == 0);
  snprintf(path, sizeof path, "%s/l.tsv", folder);
  HEM__FUZZ_ASSERT(symlink(target, path) == 0);
  return fd;
}

static void read_as(const char *ending) {
  char path[64];
  hem__source *source = NULL;
  hem_error err = {0};
  snprintf(path, sizeof path, "%s/l.%s", folder, ending);
  if (hem__source_manifest(path, &source, &err) == HEM_OK) {
    list(source);
    source->close(source);
  } else {
    HEM__FUZZ_ASSERT(strstr(err.message, path));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fd = -1;
  if (fd < 0) fd = make_file();
  HEM__FUZZ_ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
  read_as("csv");
  read_as("tsv");
  return 0;
}
