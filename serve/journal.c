#include "serve/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

struct hem__journal {
  char *path, *name;
  size_t bytes_max, files_max;
  pthread_mutex_t lock; /* held for what follows, and while a line is written: lines stay whole and in order */
  int fd;
  size_t bytes;
  unsigned number; /* of the file that is written, where there are several */
  atomic_uint_fast64_t lost;
};

static hem_status path_of(const hem__journal *j, unsigned number, char **out, hem_error *err) {
  return j->bytes_max ? hem__print(out, err, "%s/%s-%06u.jsonl", j->path, j->name, number)
                      : hem__print(out, err, "%s", j->path);
}

static hem_status open_file(hem__journal *j, hem_error *err) {
  char *path = NULL;
  struct stat st;
  hem_status status = path_of(j, j->number, &path, err);
  if (status) return status;
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) {
    status = hem__fail_errno(err, "cannot write %s", path);
  } else if (fstat(fd, &st)) {
    status = hem__fail_errno(err, "cannot look at %s", path);
    close(fd);
  } else {
    if (j->fd >= 0) close(j->fd);
    j->fd = fd;
    j->bytes = (size_t)st.st_size;
  }
  free(path);
  return status;
}

/* The highest number there is; 1 where there is none. A run goes on where the one before stopped. */
static unsigned last_number(const hem__journal *j) {
  unsigned last = 1;
  DIR *listing = opendir(j->path);
  if (!listing) return last;
  size_t prefix = strlen(j->name);
  for (struct dirent *entry; (entry = readdir(listing));) {
    char *end;
    if (strncmp(entry->d_name, j->name, prefix) != 0 || entry->d_name[prefix] != '-') continue;
    unsigned long number = strtoul(entry->d_name + prefix + 1, &end, 10);
    if (!strcmp(end, ".jsonl") && number > last && number < 1000000) last = (unsigned)number;
  }
  closedir(listing);
  return last;
}

hem_status hem__journal_open(const hem__journal_options *o, hem__journal **out, hem_error *err) {
  hem__journal *j = NULL;
  hem_status status = hem__alloc(1, sizeof *j, "a journal", &j, err);
  if (status) return status;
  j->fd = -1;
  j->bytes_max = o->bytes_max;
  j->files_max = o->files_max;
  pthread_mutex_init(&j->lock, NULL);
  status = hem__strdup(o->path, &j->path, err);
  if (!status) status = hem__strdup(o->name ? o->name : "", &j->name, err);
  if (!status && o->bytes_max) status = hem__make_folder(j->path, err);
  if (!status) {
    j->number = o->bytes_max ? last_number(j) : 0;
    status = open_file(j, err);
  }
  if (status) {
    hem__journal_close(j);
  } else {
    *out = j;
  }
  return status;
}

void hem__journal_close(hem__journal *j) {
  if (!j) return;
  if (j->fd >= 0) close(j->fd);
  pthread_mutex_destroy(&j->lock);
  free(j->path);
  free(j->name);
  free(j);
}

/* The next file; the oldest one goes. Where that fails, the file that is open grows on. */
static void turn_over(hem__journal *j) {
  char *oldest = NULL;
  unsigned before = j->number++;
  if (open_file(j, NULL)) {
    j->number = before;
    return;
  }
  if (j->number > j->files_max && !path_of(j, j->number - (unsigned)j->files_max, &oldest, NULL)) unlink(oldest);
  free(oldest);
}

void hem__journal_line(hem__journal *j, const char *line, size_t size) {
  pthread_mutex_lock(&j->lock);
  if (j->bytes_max && j->bytes && j->bytes + size > j->bytes_max) turn_over(j);
  ssize_t written = write(j->fd, line, size);
  if (written > 0) j->bytes += (size_t)written;
  if (written != (ssize_t)size) atomic_fetch_add(&j->lost, 1);
  pthread_mutex_unlock(&j->lock);
}

void hem__journal_reopen(hem__journal *j) {
  pthread_mutex_lock(&j->lock);
  (void)open_file(j, NULL); /* where it cannot, lines go to the old one */
  pthread_mutex_unlock(&j->lock);
}

uint64_t hem__journal_lost(const hem__journal *j) { return atomic_load(&j->lost); }
