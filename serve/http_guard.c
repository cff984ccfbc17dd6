/* What a request's head must not leave in doubt: where it ends and where its body does. Two servers that read the same
 * bytes differently let one request be smuggled behind another, so what could be read in two ways is refused, and the
 * connection closed.
 *
 * libmicrohttpd 0.9.75 takes the first of two equal fields, lets Transfer-Encoding win over Content-Length, and takes
 * any encoding but "chunked" for "until the connection ends"; all of its fields are seen here before the body is read,
 * so those are refused by looking. Three things it hides: a name with blanks before the colon is another name to it
 * (not a token: refused); a line that starts with a blank is hung onto the *name* of the field before it; and a zero
 * byte ends a value early. The last two show in where fields lie: a value starts behind its name's colon, and the next
 * name right behind the line's end, unless something was moved or swallowed. Later libraries refuse all of these
 * themselves, and copy fields about: there `verbatim` is false.
 *
 * What it refuses itself (a Content-Length that is no number, a line without a colon, more head than it has memory for)
 * is refused in HTML, and of the first kind it sends the head of its answer twice before it closes: ugly, and harmless.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "serve/http_exchange.h"

enum { TOKEN_MAX = 4096 };

static void refuse(hem__head *head, unsigned status, const char *why) {
  if (head->status) return;
  head->status = status;
  head->why = why;
}

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (!isalnum((unsigned char)text[i]) && (!text[i] || !strchr("!#$%&'*+-.^_`|~", text[i]))) return false;
  return size > 0;
}

static bool is_text(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7F) return false;
  return true;
}

static bool is(const char *name, size_t size, const char *wanted) {
  return size == strlen(wanted) && strncasecmp(name, wanted, size) == 0;
}

void hem__head_start(hem__head *head, bool verbatim) { *head = (hem__head){.verbatim = verbatim}; }

/* Nothing between name and value but the colon and blanks, and nothing between fields but a line's end. */
static void check_place(hem__head *head, const char *name, size_t name_size, const char *value, size_t value_size) {
  const char *after = name + name_size + 1;
  bool fits = value >= after && (size_t)(value - after) <= HEM__HEAD_BYTES_MAX;
  /* From the value back: before it lies its own line, whereas behind a name that was moved may lie nothing. */
  for (const char *at = value; fits && at > after; at--) fits = at[-1] == ' ' || at[-1] == '\t';
  if (head->last_end) fits &= name - head->last_end == 1 || name - head->last_end == 2;
  if (!fits) refuse(head, 400, "a header field is broken over lines, or holds a zero byte");
  head->last_end = value + value_size;
}

static void add_length(hem__head *head, const char *value, size_t size) {
  uint64_t length = 0;
  if (head->has_length) refuse(head, 400, "Content-Length is said twice");
  head->has_length = true;
  for (size_t i = 0; i < size; i++)
    if (!isdigit((unsigned char)value[i]) || __builtin_mul_overflow(length, 10, &length) ||
        __builtin_add_overflow(length, (uint64_t)(value[i] - '0'), &length))
      refuse(head, 400, "Content-Length is not a number");
  if (!size) refuse(head, 400, "Content-Length is not a number");
  head->length = length;
}

static void once(hem__head *head, const char **field, const char *value, const char *twice) {
  if (*field) refuse(head, 400, twice);
  *field = value;
}

void hem__head_add(hem__head *head, const char *name, size_t name_size, const char *value, size_t value_size) {
  head->fields++;
  head->bytes += name_size + value_size + 4;
  if (head->fields > HEM__HEAD_FIELDS_MAX || head->bytes > HEM__HEAD_BYTES_MAX)
    refuse(head, 431, "the header fields are too many or too long");
  if (!is_token(name, name_size)) refuse(head, 400, "the name of a header field is not a token");
  if (!is_text(value, value_size)) refuse(head, 400, "a header field holds a control character");
  if (head->verbatim) check_place(head, name, name_size, value, value_size);
  if (is(name, name_size, "Content-Length")) {
    add_length(head, value, value_size);
  } else if (is(name, name_size, "Transfer-Encoding")) {
    if (head->chunked) refuse(head, 400, "Transfer-Encoding is said twice");
    if (!is(value, value_size, "chunked")) refuse(head, 400, "only the Transfer-Encoding 'chunked' is known here");
    head->chunked = true;
  } else if (is(name, name_size, "Host")) {
    if (head->host) refuse(head, 400, "Host is said twice");
    head->host = true;
  } else if (is(name, name_size, "Expect")) {
    if (!is(value, value_size, "100-continue")) refuse(head, 417, "only 100-continue can be expected");
    head->expects_more = true;
  } else if (is(name, name_size, "Content-Encoding")) {
    if (!is(value, value_size, "identity")) refuse(head, 415, "bodies are taken as they are, not compressed");
  } else if (is(name, name_size, "Content-Type")) {
    once(head, &head->content_type, value, "Content-Type is said twice");
  } else if (is(name, name_size, "Authorization")) {
    once(head, &head->authorization, value, "Authorization is said twice");
  } else if (is(name, name_size, "If-None-Match")) {
    once(head, &head->if_none_match, value, "If-None-Match is said twice");
  }
}

void hem__head_end(hem__head *head, bool http_1_1) {
  if (head->chunked && head->has_length) refuse(head, 400, "both Content-Length and Transfer-Encoding are said");
  if (head->chunked && !http_1_1) refuse(head, 400, "Transfer-Encoding is unknown to HTTP/1.0");
  if (http_1_1 && !head->host) refuse(head, 400, "Host is missing");
  /* A zero byte in the last field: what follows its line's end is the empty line. */
  if (head->verbatim && head->last_end && head->last_end[1] != '\0' && head->last_end[1] != '\r')
    refuse(head, 400, "a header field holds a zero byte");
}

bool hem__media_type_is(const char *field, const char *type) {
  size_t size = strlen(type);
  return field && strncasecmp(field, type, size) == 0 && strchr("; \t", field[size]);
}

/* ---- the token ---- */

hem_status hem__token_read(const char *file, hem__token *out, hem_error *err) {
  uint8_t *bytes = NULL;
  size_t size = 0, start = 0;
  hem_status status = hem__file_read(file, &bytes, &size, err);
  if (status) return status;
  while (size && isspace(bytes[size - 1])) size--;
  while (start < size && isspace(bytes[start])) start++;
  bool fine = start < size && size - start <= TOKEN_MAX;
  for (size_t i = start; i < size; i++) fine &= isgraph(bytes[i]) != 0;
  if (fine) *out = (hem__token){.wanted = true, .digest = hem__sha256_of(bytes + start, size - start)};
  free(bytes);
  return fine ? HEM_OK
              : hem__fail(err, HEM_EINVAL, "%s: wanted one line with a token of printable characters, at most %d", file,
                          TOKEN_MAX);
}

bool hem__token_fits(const hem__token *token, const char *authorization) {
  static const char scheme[] = "Bearer ";
  uint8_t different = 0;
  if (!token->wanted) return true;
  if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) return false;
  authorization += sizeof scheme - 1;
  while (*authorization == ' ') authorization++;
  hem__digest digest = hem__sha256_of(authorization, strlen(authorization));
  for (size_t i = 0; i < sizeof digest.at; i++) different |= digest.at[i] ^ token->digest.at[i];
  return different == 0;
}
