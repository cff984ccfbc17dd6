#include "serve/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void hem__text_restart(hem__text *t) {
  t->size = 0;
  t->failed = t->comma = false;
}

void hem__text_clear(hem__text *t) {
  free(t->at);
  *t = (hem__text){0};
}

/* Room for `more` bytes, twice what is there at least: a long text is not copied for every word. */
static bool reserve(hem__text *t, size_t more) {
  size_t need = 0;
  if (!t->failed && t->capacity - t->size >= more) return true;
  if (!t->failed && hem__add(t->size, more, &need) && need < SIZE_MAX / 2 &&
      !hem__grow(&t->at, &t->capacity, hem__max(need, 2 * t->capacity), 1, "an answer", NULL))
    return true;
  t->failed = true;
  return false;
}

void hem__text_raw(hem__text *t, const char *bytes, size_t size) {
  if (!size || !reserve(t, size)) return;
  memcpy(t->at + t->size, bytes, size);
  t->size += size;
}

static void put(hem__text *t, char c) { hem__text_raw(t, &c, 1); }

/* RFC 8259, 7. What is no UTF-8 becomes U+FFFD byte by byte. */
static void quote(hem__text *t, const char *value) {
  static const char hex[] = "0123456789abcdef";
  const char *from = value, *at = value;
  put(t, '"');
  while (*at) {
    unsigned char c = (unsigned char)*at;
    size_t size = c < 0x80 ? 1 : hem__utf8_size(at);
    if (size && c >= 0x20 && c != '"' && c != '\\') {
      at += size;
      continue;
    }
    hem__text_raw(t, from, (size_t)(at - from));
    if (!size) {
      hem__text_raw(t, "\xEF\xBF\xBD", 3);
    } else if (c < 0x20) {
      hem__text_raw(t, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    } else {
      hem__text_raw(t, (char[]){'\\', (char)c}, 2);
    }
    from = ++at;
  }
  hem__text_raw(t, from, (size_t)(at - from));
  put(t, '"');
}

/* What stands before a value. Keys are words of ours: nothing in them needs a backslash. */
static void begin(hem__text *t, const char *key) {
  if (t->comma) put(t, ',');
  t->comma = true;
  if (!key) return;
  size_t size = strlen(key);
  if (!reserve(t, size + 3)) return;
  char *at = t->at + t->size;
  at[0] = '"';
  memcpy(at + 1, key, size);
  at[size + 1] = '"';
  at[size + 2] = ':';
  t->size += size + 3;
}

void hem__text_open(hem__text *t, const char *key, char bracket) {
  begin(t, key);
  put(t, bracket);
  t->comma = false;
}

void hem__text_close(hem__text *t, char bracket) {
  put(t, bracket);
  t->comma = true;
}

void hem__text_string(hem__text *t, const char *key, const char *value) {
  begin(t, key);
  if (value) {
    quote(t, value);
  } else {
    hem__text_raw(t, "null", 4);
  }
}

void hem__text_integer(hem__text *t, const char *key, uint64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  do digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  begin(t, key);
  hem__text_raw(t, digits + at, sizeof digits - at);
}

/* "%.9g" of what needs no exponent, in a tenth of its time: an answer holds some sixty of these. Returns the size, or
 * 0: leave it to printf. The ninth digit may differ from printf's where a tenth would be a 5: nine digits of a float32
 * have that to spare. */
static size_t print_plain(double value, char out[32]) {
  static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
  double size = fabs(value);
  size_t at = 0, point = 12; /* digits behind the point */
  if (!(size >= 1e-4 && size < 999999999)) return 0;
  while (point && size * powers[point] >= 1e9) point--;
  uint64_t n = (uint64_t)(size * powers[point] + 0.5), scale = (uint64_t)powers[point];
  uint64_t whole = n / scale, part = n % scale;
  char digits[24];
  size_t count = 0;
  do digits[count++] = (char)('0' + whole % 10);
  while (whole /= 10);
  if (value < 0) out[at++] = '-';
  while (count) out[at++] = digits[--count];
  if (!part) return at;
  out[at++] = '.';
  for (; part; part %= scale) {
    scale /= 10;
    out[at++] = (char)('0' + part / scale);
  }
  return at;
}

void hem__text_real(hem__text *t, const char *key, double value) {
  char digits[32] = "null";
  size_t size = value == 0 ? 1 : print_plain(value, digits);
  if (value == 0) digits[0] = '0';
  if (!size) size = isfinite(value) ? (size_t)snprintf(digits, sizeof digits, "%.9g", value) : 4;
  begin(t, key);
  hem__text_raw(t, digits, size);
}

void hem__text_boolean(hem__text *t, const char *key, bool value) {
  begin(t, key);
  hem__text_raw(t, value ? "true" : "false", value ? 4 : 5);
}
