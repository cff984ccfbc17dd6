/* JSON as text, written straight into one buffer: an answer is printed in a few microseconds and allocates nothing
 * once the buffer has grown. What is read goes through Jansson. */
#ifndef HEM_SERVE_TEXT_H
#define HEM_SERVE_TEXT_H

#include "base/memory.h"

/* Zeroed is empty. */
typedef struct hem__text {
  char *at; /* not terminated */
  size_t size, capacity;
  bool failed; /* no memory: everything that is added from then on is dropped */
  bool comma;  /* the next member or element stands behind another one */
} hem__text;

void hem__text_restart(hem__text *text);
void hem__text_clear(hem__text *text);
void hem__text_raw(hem__text *text, const char *bytes, size_t size);

/* Members (key not NULL) and elements (key NULL). Text that is not UTF-8 becomes U+FFFD where it is not; numbers that
 * are not finite become null. */
void hem__text_open(hem__text *text, const char *key, char bracket);        /* '{' or '[' */
void hem__text_close(hem__text *text, char bracket);                        /* '}' or ']' */
void hem__text_string(hem__text *text, const char *key, const char *value); /* NULL: null */
void hem__text_integer(hem__text *text, const char *key, uint64_t value);
void hem__text_real(hem__text *text, const char *key, double value); /* as many digits as a float32 needs: nine */
void hem__text_boolean(hem__text *text, const char *key, bool value);

#endif
