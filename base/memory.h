/* Memory: sizes are checked before they are multiplied, failures come with a sentence. Knows only status. */
#ifndef HEM_BASE_MEMORY_H
#define HEM_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A row-major matrix of floats that somebody else owns. */
typedef struct hem__matrix {
  const float *at;
  size_t rows, dim;
} hem__matrix;

static inline const float *hem__row(hem__matrix m, size_t row) { return m.at + row * m.dim; }

static inline bool hem__mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool hem__add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline size_t hem__min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t hem__max(size_t a, size_t b) { return a > b ? a : b; }

/* `count` zeroed elements of `size` bytes, never NULL on success (not even for count 0); 64-byte aligned.
 * `what` names it in the error. Freed with free(). */
hem_status hem__alloc(size_t count, size_t size, const char *what, void *out, hem_error *err);

/* Grows *array (element `size`) so that it holds at least `need` elements; *capacity is in elements.
 * What it held stays; on failure nothing changes. */
hem_status hem__grow(void *array, size_t *capacity, size_t need, size_t size, const char *what, hem_error *err);

/* A copy of a string, freed with free(). */
hem_status hem__strdup(const char *text, char **out, hem_error *err);
/* printf into fresh memory, freed with free(). */
__attribute__((format(printf, 3, 4))) hem_status hem__print(char **out, hem_error *err, const char *format, ...);

#endif
