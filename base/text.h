/* Strings kept together, and sets of strings. */
#ifndef HEM_BASE_TEXT_H
#define HEM_BASE_TEXT_H

#include "base/memory.h"

/* Well-formed UTF-8 (RFC 3629)? */
bool hem__is_utf8(const char *text);
/* Bytes of the well-formed character at `text`; 0 where there is none, or the end. */
size_t hem__utf8_size(const char *text);

/* Copies of strings that are freed all at once. Zeroed is empty. */
typedef struct hem__arena {
  struct hem__arena_chunk *chunks;
  const char *last; /* the latest copy: a run of equal strings (a category, say) is kept once */
  size_t last_size;
} hem__arena;

/* Copies `size` bytes and a terminating zero; the copy lives until hem__arena_clear. */
hem_status hem__arena_copy(hem__arena *arena, const char *text, size_t size, const char **out, hem_error *err);
void hem__arena_clear(hem__arena *arena);

/* A set of borrowed strings, each with a number. Zeroed is empty. */
typedef struct hem__set {
  struct hem__set_entry *entries;
  size_t count, capacity; /* capacity: a power of two, or 0 */
} hem__set;

/* Adds `text` unless it is there; *number gets the number of what is now in the set. */
hem_status hem__set_add(hem__set *set, const char *text, size_t *number, hem_error *err);
/* The string's number, or SIZE_MAX. */
size_t hem__set_find(const hem__set *set, const char *text);
void hem__set_clear(hem__set *set);

#endif
