#include "serve/http_exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  CHUNK = 16 << 10,
  KEPT = 256 << 10,    /* a larger buffer does not outlive its request */
  BODIES_AT_ONCE = 16, /* bodies of the largest size that are held at once, in all */
};

uint64_t hem__http_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- scratch ---- */

struct hem__scratch_chunk {
  struct hem__scratch_chunk *next;
  size_t used, size;
  _Alignas(16) uint8_t at[];
};

hem_status hem__scratch_get(hem__scratch *scratch, size_t count, size_t size, void *out, hem_error *err) {
  struct hem__scratch_chunk *chunk = scratch->chunks;
  size_t bytes, whole;
  if (!hem__mul(count, size, &bytes) || !hem__add(bytes, 15 + sizeof *chunk, &whole))
    return hem__fail(err, HEM_ENOMEM, "no memory for a request");
  bytes = (bytes + 15) & ~(size_t)15;
  if (!chunk || chunk->size - chunk->used < bytes) {
    size_t room = hem__max(bytes, CHUNK);
    chunk = malloc(sizeof *chunk + room);
    if (!chunk) return hem__fail(err, HEM_ENOMEM, "no memory for a request");
    *chunk = (struct hem__scratch_chunk){.next = scratch->chunks, .size = room};
    scratch->chunks = chunk;
  }
  void *at = chunk->at + chunk->used;
  chunk->used += bytes;
  memset(at, 0, bytes);
  memcpy(out, &at, sizeof at);
  return HEM_OK;
}

/* One chunk of the usual size stays. */
void hem__scratch_clear(hem__scratch *scratch) {
  struct hem__scratch_chunk *next;
  for (struct hem__scratch_chunk *chunk = scratch->chunks; chunk; chunk = next) {
    next = chunk->next;
    if (next || chunk->size > CHUNK) {
      free(chunk);
      scratch->chunks = next;
    } else {
      chunk->used = 0;
    }
  }
}

/* ---- an exchange ---- */

static void drop_body(hem__exchange *x) {
  if (x->shared) atomic_fetch_sub(&x->shared->bodies, x->body_capacity);
  free(x->body);
  x->body = NULL;
  x->body_capacity = 0;
}

void hem__exchange_restart(hem__exchange *x) {
  hem__request_clear(&x->request);
  if (x->body_capacity > KEPT) drop_body(x);
  if (x->text.capacity > KEPT) hem__text_clear(&x->text);
  hem__text_restart(&x->text);
  free(x->owned);
  x->owned = NULL;
  x->bytes = NULL;
  x->body_size = x->byte_count = 0;
  x->query = x->rest = NULL;
  x->route = NULL;
  x->waited_ns = x->begun_ns = 0;
  x->method = NULL;
  x->noted = false;
  x->reply = (hem__reply_head){0};
}

void hem__exchange_clear(hem__exchange *x) {
  hem__exchange_restart(x);
  free(x->request.scratch.chunks);
  x->request.scratch.chunks = NULL;
  drop_body(x);
  hem__text_clear(&x->text);
  free(x->target);
  x->target = NULL;
  x->target_capacity = 0;
}

/* As large as is announced, at once; else twice what it was. Never more than the limit. */
static unsigned grow_body(hem__exchange *x, size_t need) {
  hem__http_shared *shared = x->shared;
  size_t most = shared->options.body_bytes_max;
  size_t wanted = x->head.has_length ? hem__max(need, (size_t)x->head.length) : hem__max(need, 2 * x->body_capacity);
  wanted = hem__min(hem__max(wanted, 4096), most);
  size_t more = wanted - x->body_capacity;
  if (atomic_fetch_add(&shared->bodies, more) + more > BODIES_AT_ONCE * most) {
    atomic_fetch_sub(&shared->bodies, more);
    return 503;
  }
  uint8_t *grown = realloc(x->body, wanted);
  if (!grown) {
    atomic_fetch_sub(&shared->bodies, more);
    return 503;
  }
  x->body = grown;
  x->body_capacity = wanted;
  return 0;
}

unsigned hem__exchange_body(hem__exchange *x, const void *bytes, size_t size) {
  if (size > x->shared->options.body_bytes_max - x->body_size) return 413;
  if (x->body_capacity - x->body_size < size) {
    unsigned refused = grow_body(x, x->body_size + size);
    if (refused) return refused;
  }
  memcpy(x->body + x->body_size, bytes, size);
  x->body_size += size;
  return 0;
}

/* ---- errors ---- */

static const struct {
  unsigned status;
  const char *code, *reason;
} known[] = {{400, "HEM_EINVAL", "Bad Request"},
             {401, "HTTP_UNAUTHORIZED", "Unauthorized"},
             {404, "HTTP_NOT_FOUND", "Not Found"},
             {405, "HTTP_METHOD_NOT_ALLOWED", "Method Not Allowed"},
             {408, "HTTP_TIMEOUT", "Request Timeout"},
             {411, "HTTP_LENGTH_REQUIRED", "Length Required"},
             {413, "HTTP_TOO_LARGE", "Content Too Large"},
             {414, "HTTP_TARGET_TOO_LONG", "URI Too Long"},
             {415, "HTTP_MEDIA_TYPE", "Unsupported Media Type"},
             {417, "HTTP_EXPECTATION", "Expectation Failed"},
             {422, "HEM_ECORRUPT", "Unprocessable Content"},
             {431, "HTTP_HEAD_TOO_LARGE", "Request Header Fields Too Large"},
             {500, "HTTP_INTERNAL", "Internal Server Error"},
             {503, "HEM_EBUSY", "Service Unavailable"}};
enum { KNOWN = sizeof known / sizeof *known };

static size_t find_known(unsigned status) {
  for (size_t i = 0; i < KNOWN; i++)
    if (known[i].status == status) return i;
  return find_known(500);
}

const char *hem__http_reason(unsigned status) { return known[find_known(status)].reason; }

void hem__error_text(hem__text *text, unsigned status, const char *code, const char *message) {
  hem__text_open(text, NULL, '{');
  hem__text_open(text, "error", '{');
  hem__text_string(text, "code", code ? code : known[find_known(status)].code);
  hem__text_string(text, "message", message);
  hem__text_integer(text, "status", status);
  hem__text_close(text, '}');
  hem__text_close(text, '}');
}

void hem__exchange_refuse(hem__exchange *x, unsigned status, const char *code, const char *format, ...) {
  char message[sizeof((hem_error *)0)->message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  const char *allow = x->reply.allow;
  hem__text_restart(&x->text);
  hem__error_text(&x->text, status, code, message);
  x->bytes = NULL;
  x->reply = (hem__reply_head){.status = status,
                               .error = status == 503   ? HEM_EBUSY
                                        : status >= 500 ? HEM_EIO
                                                        : HEM_EINVAL,
                               .type = "application/json",
                               .allow = allow,
                               .cache = "no-store",
                               .retry = status == 503,
                               .ask_token = status == 401};
}

void hem__exchange_fail(hem__exchange *x, unsigned status, const hem_error *err) {
  hem__exchange_refuse(x, status, hem_status_name(err->code), "%s", err->message);
  x->reply.error = err->code;
}

unsigned hem__http_status(hem_status status, bool photo) {
  switch (status) {
    case HEM_EINVAL:
    case HEM_EMISMATCH:
      return 400;
    case HEM_ENOTFOUND:
      return 404;
    case HEM_ECORRUPT:
      return photo ? 422 : 500;
    case HEM_EUNSUPPORTED:
      return 422;
    case HEM_EBUSY:
    case HEM_ENOMEM:
    case HEM_ECANCELED:
      return 503;
    default:
      return 500;
  }
}

void hem__exchange_note(hem__exchange *x, const hem__question *question, const hem__reply *reply, hem_status status) {
  char request[160] = "";
  if (x->noted && !question) return;
  hem__service *service = x->shared->service;
  if (service->log) snprintf(request, sizeof request, "%s %s", x->method ? x->method : "", x->target ? x->target : "");
  hem__service_note(service, &(hem__event){.front = HEM__FRONT_HTTP,
                                           .peer = x->peer,
                                           .request = request,
                                           .question = question,
                                           .reply = reply,
                                           .status = status,
                                           .http_status = x->reply.status,
                                           .total_ns = x->begun_ns ? hem__http_now_ns() - x->begun_ns : 0});
  x->noted = true;
}
