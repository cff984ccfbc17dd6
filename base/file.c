#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- reading ---- */

/* Opens a regular file; without waiting, should it be a FIFO. */
static hem_status open_regular(const char *path, int *fd, struct stat *st, hem_error *err) {
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*fd < 0) return hem__fail_errno(err, "cannot open %s", path);
  hem_status status = fstat(*fd, st) != 0     ? hem__fail_errno(err, "cannot examine %s", path)
                      : !S_ISREG(st->st_mode) ? hem__fail(err, HEM_ECORRUPT, "%s is not a regular file", path)
                                              : HEM_OK;
  if (status) close(*fd);
  return status;
}

hem_status hem__file_open(const char *path, int *fd, uint64_t *size, hem_error *err) {
  struct stat st = {0};
  int opened = -1;
  hem_status status = open_regular(path, &opened, &st, err);
  if (status) return status;
  *fd = opened;
  *size = (uint64_t)st.st_size;
  return HEM_OK;
}

hem_status hem__file_read_at(int fd, void *out, size_t count, uint64_t offset, const char *path, hem_error *err) {
  for (size_t done = 0; done < count;) {
    ssize_t got = pread(fd, (uint8_t *)out + done, count - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return hem__fail_errno(err, "cannot read %s", path);
    if (got == 0) return hem__fail(err, HEM_EIO, "%s shrank while it was read", path);
    done += (size_t)got;
  }
  return HEM_OK;
}

hem_status hem__file_read_all(int fd, uint64_t size, const char *path, uint8_t **bytes, hem_error *err) {
  uint8_t *read = NULL;
  hem_status status = hem__alloc(size, 1, path, &read, err);
  if (!status) status = hem__file_read_at(fd, read, size, 0, path, err);
  if (status) {
    free(read);
    return status;
  }
  *bytes = read;
  return HEM_OK;
}

hem_status hem__file_read(const char *path, uint8_t **bytes, size_t *size, hem_error *err) {
  uint64_t there;
  int fd;
  hem_status status = hem__file_open(path, &fd, &there, err);
  if (status) return status;
  status = hem__file_read_all(fd, there, path, bytes, err);
  close(fd);
  if (!status) *size = there;
  return status;
}

int64_t hem__file_mtime_ns(const struct stat *st) {
  return (int64_t)((uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec);
}

hem_status hem__map_open(const char *path, hem__map *map, hem_error *err) {
  void *at = NULL;
  struct stat st = {0};
  int fd = -1;
  hem_status status = open_regular(path, &fd, &st, err);
  if (status) return status;
  if (st.st_size > 0) {
    at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) status = hem__fail_errno(err, "cannot map %s", path);
  }
  close(fd);
  if (status) return status;
  *map = (hem__map){.at = at,
                    .size = (size_t)st.st_size,
                    .device = (uint64_t)st.st_dev,
                    .inode = (uint64_t)st.st_ino,
                    .mtime_ns = hem__file_mtime_ns(&st)};
  return HEM_OK;
}

void hem__map_cut(hem__map *map, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), end = (size + page - 1) / page * page;
  if (size == 0 || size >= map->size) return;
  if (end < map->size) munmap((void *)(uintptr_t)(map->at + end), map->size - end);
  map->size = size;
}

void hem__map_close(hem__map *map) {
  if (map->at) munmap((void *)(uintptr_t)map->at, map->size);
  *map = (hem__map){0};
}

bool hem__path_exists(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0;
}

/* ---- publishing ---- */

struct hem__aside {
  char *path, *temporary;
  FILE *file;
  hem__sha256 *hash;
  uint64_t written;
};

hem_status hem__aside_new(const char *path, hem__aside **out, hem_error *err) {
  hem__aside *aside = NULL;
  hem_status status = hem__alloc(1, sizeof *aside, "a file", &aside, err);
  if (status) return status;
  if ((status = hem__sha256_new(&aside->hash, err))) goto exit;
  if ((status = hem__strdup(path, &aside->path, err))) goto exit;
  if ((status = hem__print(&aside->temporary, err, "%s.tmp", path))) goto exit;
  if (!(aside->file = fopen(aside->temporary, "wbe"))) {
    status = hem__fail_errno(err, "cannot write %s", aside->temporary);
    goto exit;
  }
  setvbuf(aside->file, NULL, _IOFBF, 1 << 20);
  *out = aside;
  aside = NULL;
exit:
  hem__aside_free(aside);
  return status;
}

hem_status hem__aside_write(hem__aside *aside, const void *bytes, size_t count, hem_error *err) {
  if (count == 0) return HEM_OK;
  if (fwrite(bytes, 1, count, aside->file) != count) return hem__fail_errno(err, "cannot write %s", aside->temporary);
  hem__sha256_add(aside->hash, bytes, count);
  aside->written += count;
  return HEM_OK;
}

hem_status hem__aside_pad(hem__aside *aside, size_t alignment, hem_error *err) {
  static const uint8_t zeros[4096];
  size_t missing = (size_t)((alignment - aside->written % alignment) % alignment);
  hem_status status = HEM_OK;
  while (!status && missing) {
    size_t now = hem__min(missing, sizeof zeros);
    status = hem__aside_write(aside, zeros, now, err);
    missing -= now;
  }
  return status;
}

hem_status hem__aside_publish(hem__aside *aside, uint64_t *size, hem__digest *digest, hem_error *err) {
  bool bad = fflush(aside->file) != 0 || fsync(fileno(aside->file)) != 0;
  if (bad) return hem__fail_errno(err, "cannot write %s", aside->temporary);
  if (fclose(aside->file) != 0) bad = true;
  aside->file = NULL;
  if (bad) return hem__fail_errno(err, "cannot close %s", aside->temporary);
  hem_status status = hem__rename(aside->temporary, aside->path, err);
  if (status) return status;
  free(aside->temporary);
  aside->temporary = NULL;
  if (size) *size = aside->written;
  if (digest) hem__sha256_end(aside->hash, digest);
  return HEM_OK;
}

void hem__aside_free(hem__aside *aside) {
  if (!aside) return;
  if (aside->file) fclose(aside->file);
  if (aside->temporary) unlink(aside->temporary);
  hem__sha256_free(aside->hash);
  free(aside->temporary);
  free(aside->path);
  free(aside);
}

hem_status hem__sync(const char *path, hem_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return hem__fail_errno(err, "cannot open %s to sync it", path);
  hem_status status = fsync(fd) == 0 ? HEM_OK : hem__fail_errno(err, "cannot sync %s", path);
  close(fd);
  return status;
}

static hem_status sync_folder_of(const char *path, hem_error *err) {
  char *folder = NULL;
  const char *slash = strrchr(path, '/');
  hem_status status = !slash          ? hem__strdup(".", &folder, err)
                      : slash == path ? hem__strdup("/", &folder, err)
                                      : hem__print(&folder, err, "%.*s", (int)(slash - path), path);
  if (!status) status = hem__sync(folder, err);
  free(folder);
  return status;
}

hem_status hem__rename(const char *from, const char *to, hem_error *err) {
  if (rename(from, to) != 0) return hem__fail_errno(err, "cannot rename %s to %s", from, to);
  return sync_folder_of(to, err);
}

hem_status hem__make_folder(const char *path, hem_error *err) {
  struct stat st;
  if (mkdir(path, 0777) == 0) return sync_folder_of(path, err);
  if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return HEM_OK;
  return hem__fail_errno(err, "cannot make folder %s", path);
}

static hem_status remove_entries(const char *path, hem_error *err) {
  hem_status status = HEM_OK;
  DIR *folder = opendir(path);
  if (!folder) return hem__fail_errno(err, "cannot list %s", path);
  for (struct dirent *entry; !status && (entry = readdir(folder));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    char *child = NULL;
    status = hem__print(&child, err, "%s/%s", path, entry->d_name);
    if (!status) status = hem__remove_tree(child, err);
    free(child);
  }
  closedir(folder);
  return status;
}

hem_status hem__remove_tree(const char *path, hem_error *err) {
  struct stat st;
  if (lstat(path, &st) != 0) return errno == ENOENT ? HEM_OK : hem__fail_errno(err, "cannot examine %s", path);
  if (S_ISDIR(st.st_mode)) {
    hem_status status = remove_entries(path, err);
    if (status) return status;
    return rmdir(path) == 0 ? HEM_OK : hem__fail_errno(err, "cannot remove %s", path);
  }
  return unlink(path) == 0 ? HEM_OK : hem__fail_errno(err, "cannot remove %s", path);
}

/* ---- one writer at a time ---- */

hem_status hem__lock_take(const char *path, const char *what, hem__lock *lock, hem_error *err) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return hem__fail_errno(err, "cannot open lock %s", path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    hem_status status = errno == EWOULDBLOCK
                            ? hem__fail(err, HEM_EBUSY, "another process is writing %s: wait until it is done", what)
                            : hem__fail_errno(err, "cannot lock %s", path);
    close(fd);
    return status;
  }
  lock->fd = fd;
  return HEM_OK;
}

void hem__lock_drop(hem__lock *lock) {
  if (lock->fd >= 0) close(lock->fd);
  lock->fd = -1;
}
