#include "base/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { BUFFER_BYTES = 1 << 18 };

hem_status hem__lines_open(const char *path, hem__lines *lines, hem_error *err) {
  hem__lines made = {.fd = -1};
  uint64_t size;
  hem_status status = hem__strdup(path, &made.path, err);
  if (!status) status = hem__alloc(BUFFER_BYTES + 1, 1, "lines of text", &made.buffer, err);
  if (!status) status = hem__file_open(path, &made.fd, &size, err);
  if (status) {
    hem__lines_close(&made);
    return status;
  }
  *lines = made;
  return HEM_OK;
}

void hem__lines_close(hem__lines *lines) {
  if (lines->fd >= 0) close(lines->fd);
  free(lines->path);
  free(lines->buffer);
  *lines = (hem__lines){.fd = -1};
}

/* Moves what is left to the front and reads on behind it. */
static hem_status refill(hem__lines *l, hem_error *err) {
  if (l->at) memmove(l->buffer, l->buffer + l->at, l->end - l->at);
  l->end -= l->at;
  l->at = 0;
  ssize_t got;
  do got = read(l->fd, l->buffer + l->end, BUFFER_BYTES - l->end);
  while (got < 0 && errno == EINTR);
  if (got < 0) return hem__fail_errno(err, "cannot read %s", l->path);
  l->over = got == 0;
  l->end += (size_t)got;
  return HEM_OK;
}

/* One line, empty or not. Of a line that outgrows the buffer the middle is dropped, and counted. */
static hem_status take_line(hem__lines *l, char **text, size_t *size, bool *more, hem_error *err) {
  size_t dropped = 0;
  for (size_t seen = 0;;) {
    char *start = l->buffer + l->at, *end = memchr(start + seen, '\n', l->end - l->at - seen);
    *more = end || l->at < l->end || !l->over;
    if (!*more) return HEM_OK;
    if (end || l->over) {
      size_t length = end ? (size_t)(end - start) : l->end - l->at;
      l->at += length + (end != NULL);
      l->number++;
      *text = start;
      *size = length + dropped;
      return HEM_OK;
    }
    seen = l->end - l->at;
    if (seen == BUFFER_BYTES) {
      dropped += BUFFER_BYTES - HEM__LINE_MAX;
      l->end = seen = HEM__LINE_MAX;
    }
    hem_status status = refill(l, err);
    if (status) return status;
  }
}

hem_status hem__lines_next(hem__lines *l, char **text, size_t *size, bool *more, hem_error *err) {
  for (;;) {
    char *line = NULL;
    size_t length = 0;
    hem_status status = take_line(l, &line, &length, more, err);
    if (status || !*more) return status;
    if (length && length <= HEM__LINE_MAX && line[length - 1] == '\r') length--;
    if (length == 0) continue;
    line[hem__min(length, HEM__LINE_MAX)] = '\0'; /* the buffer has room for one more byte */
    *text = line;
    *size = length;
    return HEM_OK;
  }
}

hem_status hem__lines_count(hem__lines *l, uint64_t *count, hem_error *err) {
  uint64_t found = 0;
  hem_status status = HEM_OK;
  for (bool more = true;;) {
    char *line = NULL;
    size_t length = 0;
    status = take_line(l, &line, &length, &more, err);
    if (status || !more) break;
    found += length > 1 || (length == 1 && *line != '\r');
  }
  if (!status && lseek(l->fd, 0, SEEK_SET) != 0) status = hem__fail_errno(err, "cannot read %s", l->path);
  l->at = l->end = l->number = 0;
  l->over = false;
  if (!status) *count = found;
  return status;
}
