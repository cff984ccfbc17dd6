/* A text file, line by line, in blocks of fixed size: it may be of any length, and others may change it meanwhile. */
#ifndef HEM_BASE_LINES_H
#define HEM_BASE_LINES_H

#include "base/memory.h"

enum { HEM__LINE_MAX = 1 << 16 }; /* of a longer line, so much is kept */

/* Zeroed, with fd -1, is closed. One thread. */
typedef struct hem__lines {
  int fd;
  char *path, *buffer;
  size_t at, end; /* of what is in the buffer and was not handed out */
  bool over;      /* the file has been read to its end */
  size_t number;  /* of the line handed out last; the first is 1 */
} hem__lines;

/* Errors: ENOTFOUND, EIO, ECORRUPT (not a regular file), ENOMEM. */
hem_status hem__lines_open(const char *path, hem__lines *lines, hem_error *err);
void hem__lines_close(hem__lines *lines);

/* The next line that is not empty, without its end ("\n" or "\r\n"), zero-terminated; it may be written to, and lives
 * until the next call. *size is its whole length, of which at most HEM__LINE_MAX bytes are there. *more is false
 * behind the last one. Errors: EIO. */
hem_status hem__lines_next(hem__lines *lines, char **text, size_t *size, bool *more, hem_error *err);

/* How many lines hem__lines_next hands out in all. Called before its first call. Errors: EIO. */
hem_status hem__lines_count(hem__lines *lines, uint64_t *count, hem_error *err);

#endif
