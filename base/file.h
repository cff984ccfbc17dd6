/* Files: what is published was written aside, synced and renamed; what is read is mapped and measured. */
#ifndef HEM_BASE_FILE_H
#define HEM_BASE_FILE_H

#include "base/sha256.h"

/* ---- reading ---- */

typedef struct hem__map {
  const uint8_t *at; /* page-aligned; NULL for an empty file */
  size_t size;
  uint64_t device, inode; /* which file this is */
  int64_t mtime_ns;
} hem__map;

/* Maps a regular file, read-only and shared. Errors: ENOTFOUND, EIO, ECORRUPT (not a regular file). */
hem_status hem__map_open(const char *path, hem__map *map, hem_error *err);
/* Unmaps what lies behind the first `size` bytes, in whole pages. */
void hem__map_cut(hem__map *map, size_t size);
void hem__map_close(hem__map *map);

/* Reads a regular file whole: for files that others may change meanwhile (a mapping that shrinks kills).
 * *bytes is freed with free(). Errors: as hem__map_open, ENOMEM. */
hem_status hem__file_read(const char *path, uint8_t **bytes, size_t *size, hem_error *err);

/* Opens a regular file to be read bit by bit with hem__file_read_at; *fd is closed with close(). Errors: as
 * hem__map_open. */
hem_status hem__file_open(const char *path, int *fd, uint64_t *size, hem_error *err);
/* Exactly `count` bytes from `offset` on. Any thread. Errors: EIO, also where the file ends before that; `path` is only
 * for messages. */
hem_status hem__file_read_at(int fd, void *out, size_t count, uint64_t offset, const char *path, hem_error *err);

/* The whole of an open file of `size` bytes; *bytes is freed with free(). Errors: likewise, ENOMEM. */
hem_status hem__file_read_all(int fd, uint64_t size, const char *path, uint8_t **bytes, hem_error *err);

/* When a file last changed. Without a sign inside, so that a time beyond the year 2262 wraps: it only has to differ. */
struct stat;
int64_t hem__file_mtime_ns(const struct stat *st);

bool hem__path_exists(const char *path);

/* ---- publishing ---- */

/* A file being written beside its final name, hashed as it goes. */
typedef struct hem__aside hem__aside;

hem_status hem__aside_new(const char *path, hem__aside **out, hem_error *err);
hem_status hem__aside_write(hem__aside *aside, const void *bytes, size_t count, hem_error *err);
/* Zeros up to the next multiple of `alignment`. */
hem_status hem__aside_pad(hem__aside *aside, size_t alignment, hem_error *err);
/* Syncs, renames to the final name and syncs the folder. *size and *digest may be NULL. */
hem_status hem__aside_publish(hem__aside *aside, uint64_t *size, hem__digest *digest, hem_error *err);
/* Frees; removes the file where it was not published. */
void hem__aside_free(hem__aside *aside);

hem_status hem__sync(const char *path, hem_error *err);                   /* a file's bytes, or a folder's entries */
hem_status hem__rename(const char *from, const char *to, hem_error *err); /* and syncs the folder of `to` */
hem_status hem__make_folder(const char *path, hem_error *err);            /* one that exists is fine */
hem_status hem__remove_tree(const char *path, hem_error *err);            /* missing is fine */

/* ---- one writer at a time ---- */

typedef struct hem__lock {
  int fd; /* -1: not held */
} hem__lock;

/* Takes an exclusive lock on `path` (made if missing; it stays). EBUSY says who else must finish first.
 * The system drops the lock when the process ends, however it ends. */
hem_status hem__lock_take(const char *path, const char *what, hem__lock *lock, hem_error *err);
void hem__lock_drop(hem__lock *lock);

#endif
