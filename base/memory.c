#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hem_status too_large(const char *what, size_t count, size_t size, hem_error *err) {
  return hem__fail(err, HEM_ENOMEM, "no memory for %s: %zu x %zu bytes", what, count, size);
}

hem_status hem__alloc(size_t count, size_t size, const char *what, void *out, hem_error *err) {
  size_t bytes, padded;
  if (!hem__mul(count, size, &bytes) || !hem__add(bytes, 64, &padded)) return too_large(what, count, size, err);
  padded &= ~(size_t)63; /* aligned_alloc wants a multiple of the alignment */
  void *p = aligned_alloc(64, padded ? padded : 64);
  if (!p) return too_large(what, count, size, err);
  memset(p, 0, padded ? padded : 64);
  memcpy(out, &p, sizeof p);
  return HEM_OK;
}

hem_status hem__grow(void *array, size_t *capacity, size_t need, size_t size, const char *what, hem_error *err) {
  if (need <= *capacity) return HEM_OK;
  size_t wanted = hem__max(need, *capacity + *capacity / 2), bytes;
  wanted = hem__max(wanted, 16);
  if (!hem__mul(wanted, size, &bytes)) return too_large(what, wanted, size, err);
  void *old, *grown;
  memcpy(&old, array, sizeof old);
  grown = realloc(old, bytes);
  if (!grown) return too_large(what, wanted, size, err);
  memcpy(array, &grown, sizeof grown);
  *capacity = wanted;
  return HEM_OK;
}

hem_status hem__strdup(const char *text, char **out, hem_error *err) {
  char *copy = strdup(text);
  if (!copy) return too_large("a string", strlen(text), 1, err);
  *out = copy;
  return HEM_OK;
}

hem_status hem__print(char **out, hem_error *err, const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  if (length < 0) return hem__fail(err, HEM_ENOMEM, "no memory for a string");
  *out = text;
  return HEM_OK;
}
