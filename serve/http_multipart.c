/* multipart/form-data (RFC 7578): the photo, and options as fields. It lies in memory whole; parts are found in it, and
 * fields are made strings in place. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "serve/http_exchange.h"

enum { BOUNDARY_MAX = 70, FIELD_MAX = 4096, PARTS_MAX = 600 };

static char empty[1]; /* never written */

typedef struct part {
  char name[64];
  char *at;
  size_t size;
} part;

static hem_status malformed(hem_error *err, const char *why) {
  return hem__fail(err, HEM_EINVAL, "the multipart body is malformed: %s", why);
}

/* A parameter's value, a token or in quotes: `text` stands behind its =. Returns its size, or 0. */
static size_t parameter(const char *text, const char *end, const char **value) {
  bool quoted = text < end && *text == '"';
  if (quoted) text++;
  *value = text;
  while (text < end && (quoted ? *text != '"' && *text != '\\' : !strchr("; \t\r\n", *text))) text++;
  if (quoted && (text == end || *text != '"')) return 0;
  return (size_t)(text - *value);
}

/* Behind "NAME=" among the parameters of a header field's value, or NULL. */
static const char *find_parameter(const char *field, const char *end, const char *name) {
  size_t size = strlen(name);
  for (const char *at = field; at < end; at++) {
    if (*at == '"') { /* what is in quotes is no parameter */
      while (++at < end && *at != '"')
        if (*at == '\\' && at + 1 < end) at++;
      continue;
    }
    if (*at != ';') continue;
    do at++;
    while (at < end && (*at == ' ' || *at == '\t'));
    if ((size_t)(end - at) > size && strncasecmp(at, name, size) == 0 && at[size] == '=') return at + size + 1;
    at--;
  }
  return NULL;
}

/* "\r\n--BOUNDARY", of which a body's first lacks the line's end. Returns its size, or 0. */
static size_t delimiter(const char *content_type, char out[BOUNDARY_MAX + 5]) {
  const char *end = content_type + strlen(content_type), *value;
  const char *at = find_parameter(content_type, end, "boundary");
  size_t size = at ? parameter(at, end, &value) : 0;
  if (!size || size > BOUNDARY_MAX) return 0;
  memcpy(out, "\r\n--", 4);
  memcpy(out + 4, value, size);
  return size + 4;
}

static hem_status read_name(const char *line, const char *end, part *out, hem_error *err) {
  const char *value = NULL, *at = find_parameter(line, end, "name");
  size_t size = at ? parameter(at, end, &value) : 0;
  if (!size || size >= sizeof out->name) return malformed(err, "a part has no name, or an overlong one");
  memcpy(out->name, value, size);
  out->name[size] = '\0';
  return HEM_OK;
}

/* The fields of a part's head; *at moves behind the empty line. */
static hem_status read_head(char **at, const char *end, part *out, hem_error *err) {
  static const char wanted[] = "Content-Disposition:";
  out->name[0] = '\0';
  for (;;) {
    char *line = *at, *stop = memmem(line, hem__min((size_t)(end - line), FIELD_MAX), "\r\n", 2);
    if (!stop) return malformed(err, "the head of a part does not end");
    *at = stop + 2;
    if (stop == line) break;
    if ((size_t)(stop - line) < sizeof wanted || strncasecmp(line, wanted, sizeof wanted - 1) != 0) continue;
    if (out->name[0]) return malformed(err, "a part has two names");
    hem_status status = read_name(line, stop, out, err);
    if (status) return status;
  }
  return out->name[0] ? HEM_OK : malformed(err, "a part has no name");
}

static hem_status take(hem__request *r, const part *p, hem_error *err) {
  hem__asked *asked = r->asked;
  if (strcmp(p->name, "photo") == 0) {
    if (asked->question.photo) return hem__fail(err, HEM_EINVAL, "photo is said twice");
    if (!p->size) return hem__fail(err, HEM_EINVAL, "the photo is empty");
    asked->question.photo = (const uint8_t *)p->at;
    asked->question.photo_size = p->size;
    return HEM_OK;
  }
  if (p->size > FIELD_MAX || memchr(p->at, '\0', p->size) || !hem__is_utf8(p->at))
    return hem__fail(err, HEM_EINVAL, "the field %s is overlong or no text", p->name);
  return hem__option_set(asked, p->name, p->at, &r->scratch, err);
}

/* The delimiter from `at` on. A photo is megabytes, and memmem is fast. */
static char *find(char *at, const char *end, const char *line, size_t size) {
  return memmem(at, (size_t)(end - at), line, size);
}

/* `at`: behind a delimiter. True: another part follows, and *at is where. */
static bool next_part(char **at, const char *end, bool *wrong) {
  *wrong = end - *at < 2;
  if (*wrong) return false;
  bool last = memcmp(*at, "--", 2) == 0;
  if (!last)
    while (*at < end && (**at == ' ' || **at == '\t')) ++*at; /* padding (RFC 2046) */
  *wrong = !last && (end - *at < 2 || memcmp(*at, "\r\n", 2) != 0);
  *at += 2;
  return !last && !*wrong;
}

hem_status hem__body_multipart(hem__request *r, char *body, size_t size, const char *content_type, hem_error *err) {
  char line[BOUNDARY_MAX + 5], *end = body + size;
  size_t line_size = delimiter(content_type, line), parts = 0;
  bool wrong;
  hem_status status = HEM_OK;
  if (!line_size) return malformed(err, "its Content-Type names no boundary");
  r->count = 1;
  char *at = size >= line_size - 2 && memcmp(body, line + 2, line_size - 2) == 0 ? body + line_size - 2
                                                                                 : find(body, end, line, line_size);
  if (!at) return malformed(err, "its boundary does not occur");
  if (at != body + line_size - 2) at += line_size;
  while (!status && next_part(&at, end, &wrong)) {
    part p;
    if (++parts > PARTS_MAX) return malformed(err, "too many parts");
    status = read_head(&at, end, &p, err);
    if (status) return status;
    p.at = at;
    /* The line's end before a delimiter may be the one that ended the head: of a part without a byte. */
    char *stop = find(at - 2, end, line, line_size);
    if (!stop) return malformed(err, "a part does not end");
    p.size = stop < at ? 0 : (size_t)(stop - at);
    at = stop + line_size;
    if (p.size) {
      *stop = '\0';
    } else {
      p.at = empty;
    }
    status = take(r, &p, err);
  }
  if (!status && wrong) return malformed(err, "a boundary's line goes on");
  return status;
}
