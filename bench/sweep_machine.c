#include "bench/sweep_machine.h"

#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void hem__machine_name(char *out, size_t room) {
  char line[512];
  FILE *info = fopen("/proc/cpuinfo", "r");
  snprintf(out, room, "unknown processor");
  while (info && fgets(line, sizeof line, info)) {
    char *value = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !value) continue;
    value[strcspn(value, "\n")] = '\0';
    snprintf(out, room, "%s", value + 1 + strspn(value + 1, " "));
    break;
  }
  if (info) fclose(info);
}

hem__resident hem__resident_now(void) {
  hem__resident now = {0};
  char line[256];
  unsigned long long kib, all = 0;
  malloc_trim(0);
  FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
  while (rollup && fgets(line, sizeof line, rollup)) {
    if (sscanf(line, "Rss: %llu kB", &kib) == 1) all = kib * 1024;
    if (sscanf(line, "Anonymous: %llu kB", &kib) == 1) now.anonymous = kib * 1024;
  }
  if (rollup) fclose(rollup);
  now.files = all > now.anonymous ? all - now.anonymous : 0;
  return now;
}

/* nftw takes no context. One thread at a time. */
static uint64_t total;

static int add_size(const char *path, const struct stat *st, int kind, struct FTW *place) {
  (void)path;
  (void)place;
  if (kind == FTW_F) total += (uint64_t)st->st_size;
  return 0;
}

static int forget(const char *path, const struct stat *st, int kind, struct FTW *place) {
  (void)st;
  (void)place;
  int fd = kind == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return 0;
  fdatasync(fd); /* a page that is not written yet cannot be forgotten */
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
  return 0;
}

enum { FILES_OPEN = 16 };

uint64_t hem__disk_bytes(const char *path) {
  total = 0;
  nftw(path, add_size, FILES_OPEN, FTW_PHYS);
  return total;
}

void hem__forget_pages(const char *path) { nftw(path, forget, FILES_OPEN, FTW_PHYS); }

double hem__cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
