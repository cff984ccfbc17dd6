/* One HTTP request and its answer, as the files serve/http_*.c hand it on. Nothing here knows libmicrohttpd, so that
 * all of it is tested without a network.
 *
 *   http.c            listens, takes connections in, cuts slow ones          http_door.c
 *                     hands requests over, sends answers (libmicrohttpd)
 *   http_guard.c      the head: is its framing beyond doubt?
 *   http_routes.c     which endpoint; may it be asked?                       http_answer.c says it
 *   http_request.c    body and options -> questions                          http_json.c http_multipart.c
 * http_options.c http_query.c      questions -> answers                                   http_metrics.c http_items.c
 */
#ifndef HEM_SERVE_HTTP_EXCHANGE_H
#define HEM_SERVE_HTTP_EXCHANGE_H

#include "serve/http.h"
#include "serve/text.h"

enum {
  HEM__HEAD_BYTES_MAX = 16 << 10, /* of all header fields; also the longest target */
  HEM__HEAD_FIELDS_MAX = 100,
  HEM__HTTP_BATCH_MAX = 1024,    /* questions in one request */
  HEM__HTTP_NAMES_MAX = 256,     /* categories, or labels, of a question */
  HEM__JSON_DEPTH_MAX = 16,      /* brackets within brackets */
  HEM__JSON_VALUES_MAX = 1 << 20 /* of one body: each costs some 40 bytes while it is read */
};

/* ---- memory of one request: taken bit by bit, given back at once ---- */

typedef struct hem__scratch {
  struct hem__scratch_chunk *chunks;
} hem__scratch;

/* `count` zeroed elements, 16-byte aligned. Errors: ENOMEM. */
hem_status hem__scratch_get(hem__scratch *scratch, size_t count, size_t size, void *out, hem_error *err);
void hem__scratch_clear(hem__scratch *scratch);

/* ---- the head ---- */

/* Strings are borrowed from whoever parsed the head, until the request is over. */
typedef struct hem__head {
  bool verbatim; /* fields lie where they were received: what was hidden between them shows (http_guard.c) */
  const char *last_end;
  size_t fields, bytes;
  unsigned status; /* 0: nothing is wrong so far; else what to refuse the request with, and ... */
  const char *why; /* ... the reason */
  bool chunked, has_length, host, expects_more;
  uint64_t length;
  const char *content_type, *authorization, *if_none_match; /* or NULL */
} hem__head;

void hem__head_start(hem__head *head, bool verbatim);
void hem__head_add(hem__head *head, const char *name, size_t name_size, const char *value, size_t value_size);
/* After the last field: what is wrong with all of them together. `http_1_1`: of this version, or a later one. */
void hem__head_end(hem__head *head, bool http_1_1);
/* Does `field`, a Content-Type, name this type, whatever its parameters? */
bool hem__media_type_is(const char *field, const char *type);

/* The token to ask for, kept as a hash: comparing hashes takes the same time wherever they differ. */
typedef struct hem__token {
  bool wanted;
  hem__digest digest;
} hem__token;

/* Errors: those of hem__file_read; EINVAL (empty, longer than a line of 4,096 bytes, or bytes that no header takes). */
hem_status hem__token_read(const char *file, hem__token *out, hem_error *err);
bool hem__token_fits(const hem__token *token, const char *authorization);

/* ---- the target ---- */

/* Decodes %XX, and + in a query (`plus`), in place of `size` bytes. Errors: EINVAL (no such escape, a zero byte, not
 * UTF-8). */
hem_status hem__percent_decode(char *text, size_t size, bool plus, hem_error *err);

/* ---- what is asked ---- */

typedef struct hem__asked {
  hem__question question;
  hem_box box;
  const char *name;      /* echoed in the answer; or NULL */
  const char **names[2]; /* categories, labels: grown from scratch */
  size_t name_capacity[2];
  uint32_t given;      /* options that this source has said already: each is said once */
  bool box_unit_given; /* says itself whether `box` is pixels or parts */
} hem__asked;

void hem__asked_start(hem__asked *asked);
/* After the last option. Pointers to itself are made anew: `asked` may have been copied. Errors: EINVAL (a unit without
 * a box, options that rule each other out, not exactly one of photo, vector and item). */
hem_status hem__asked_end(hem__asked *asked, hem_error *err);

/* Sets an option from text: of a query string, of a form. `value` must outlive the question. Errors: EINVAL (unknown,
 * twice, out of range), ENOMEM. */
hem_status hem__option_set(hem__asked *asked, const char *key, const char *value, hem__scratch *scratch,
                           hem_error *err);
/* What options of any form come to in the end. */
hem_status hem__option_name(hem__asked *asked, int kind, const char *name, hem__scratch *scratch, hem_error *err);
hem_status hem__option_k(hem__asked *asked, double k, hem_error *err);
hem_status hem__option_rerank(hem__asked *asked, double rerank, hem_error *err);
hem_status hem__option_probability(hem__asked *asked, double p, hem_error *err);
hem_status hem__option_box(hem__asked *asked, const hem_box *box, hem_error *err);
hem_status hem__option_box_unit(hem__asked *asked, const char *unit, hem_error *err);

/* All options of a query string, which is decoded in place. `count` (NULL: no such option here): of vectors in the
 * body. Errors: EINVAL, ENOMEM. */
hem_status hem__query_string(char *query, hem__asked *asked, size_t *count, hem__scratch *scratch, hem_error *err);

typedef enum hem__body_form { HEM__ONE, HEM__BATCH, HEM__SCORE } hem__body_form;

typedef struct hem__request {
  hem__body_form form;
  hem__scratch scratch;
  void *json;       /* Jansson's, whose strings are borrowed; NULL: none */
  hem__asked usual; /* what options are where a question does not say them */
  hem__asked *asked;
  size_t count;
} hem__request;

/* Bodies. They become request->asked; bytes of the body are borrowed, and a form's are changed in place. Errors:
 * EINVAL, ENOMEM. */
hem_status hem__body_json(hem__request *request, const char *body, size_t size, hem_error *err);
hem_status hem__body_multipart(hem__request *request, char *body, size_t size, const char *content_type,
                               hem_error *err);
hem_status hem__body_photo(hem__request *request, const uint8_t *body, size_t size, hem_error *err);
/* `count` vectors, float32 little-endian, 4-byte aligned. */
hem_status hem__body_vectors(hem__request *request, const void *body, size_t size, size_t count, hem_error *err);
/* One of these, as the Content-Type says, after the query string (NULL: none), which is decoded in place. *status: what
 * to refuse it with (400, 415), on failure. */
hem_status hem__request_read(hem__request *request, char *query, const char *content_type, uint8_t *body, size_t size,
                             unsigned *status, hem_error *err);
/* Gives back what Jansson holds. */
void hem__json_clear(hem__request *request);
void hem__request_clear(hem__request *request);

/* Base64 as RFC 4648, 4, has it, with padding. `out` holds size / 4 * 3 bytes. False: it is not. */
bool hem__base64_decode(const char *text, size_t size, uint8_t *out, size_t *out_size);

/* ---- the exchange ---- */

typedef struct hem__exchange hem__exchange;

/* What all exchanges of a server share. */
typedef struct hem__http_shared {
  hem__service *service;
  hem__http_options options; /* with defaults filled in */
  hem__token token;
  atomic_bool draining; /* the end is near: connections are not kept */
  atomic_size_t bodies; /* bytes of bodies that are held; bounded, whatever connections there are */
} hem__http_shared;

typedef struct hem__reply_head {
  unsigned status;
  hem_status error;   /* what that means to us */
  const char *type;   /* of the body */
  const char *allow;  /* NULL, or of a 405 */
  const char *policy; /* Content-Security-Policy, or NULL */
  const char *cache;  /* Cache-Control */
  bool retry;         /* soon again (Retry-After) */
  bool ask_token;     /* WWW-Authenticate */
  char etag[72];      /* "": none */
} hem__reply_head;

struct hem__exchange {
  hem__http_shared *shared;
  const char *peer;   /* who asks, for the log */
  const char *method; /* borrowed, until the request is over */
  bool noted;         /* hem__service_note knows of it */
  /* asked */
  char *target; /* as it was received, then taken apart in place */
  size_t target_size, target_capacity;
  char *query; /* behind its ?, or NULL */
  char *rest;  /* of the path, behind the route's own */
  hem__head head;
  const struct hem__route *route;
  uint8_t *body;
  size_t body_size, body_capacity;
  hem__request request;
  uint64_t begun_ns, waited_ns; /* when the request was all there; how long it waited for a thread */
  /* answered */
  hem__reply_head reply;
  hem__text text;    /* the body, unless ... */
  const void *bytes; /* ... it is this */
  size_t byte_count;
  uint8_t *owned; /* `bytes`, where they are to be freed */
};

/* For the next request on the connection. Buffers stay where they are small. */
void hem__exchange_restart(hem__exchange *x);
void hem__exchange_clear(hem__exchange *x);

/* The body grows by `size` bytes. Returns 0, or what to refuse it with: 413, 503. */
unsigned hem__exchange_body(hem__exchange *x, const void *bytes, size_t size);

/* The head is there, and `method`: routes it. False: refused; the reply says why, and the body is not to be read. */
bool hem__exchange_route(hem__exchange *x);
/* The body is there: reads it. True: hem__exchange_answer takes long, and belongs to service->photos. (What is wrong
 * with the body is known now, and then it does not.) */
bool hem__exchange_prepare(hem__exchange *x);
void hem__exchange_answer(hem__exchange *x);
/* To be counted and logged: a question, or, where both are NULL, a request that was none, unless it was noted before.
 */
void hem__exchange_note(hem__exchange *x, const hem__question *question, const hem__reply *reply, hem_status status);

/* An error as JSON; code NULL: by the status. */
__attribute__((format(printf, 4, 5))) void hem__exchange_refuse(hem__exchange *x, unsigned status, const char *code,
                                                                const char *format, ...);
void hem__exchange_fail(hem__exchange *x, unsigned status, const hem_error *err);
/* What HTTP calls an error of the engine. `photo`: in reading the photo that was sent. */
unsigned hem__http_status(hem_status status, bool photo);
/* "Bad Request" */
const char *hem__http_reason(unsigned status);
/* {"code": ..., "message": ..., "status": ...}, under the key "error" */
void hem__error_text(hem__text *text, unsigned status, const char *code, const char *message);

/* ---- endpoints ---- */

void hem__answer_questions(hem__exchange *x);
void hem__answer_item(hem__exchange *x);
void hem__answer_image(hem__exchange *x);
void hem__answer_info(hem__exchange *x);
void hem__answer_metrics(hem__exchange *x);

/* serve/openapi.json. Static storage. */
void hem__openapi(const char **bytes, size_t *size);

uint64_t hem__http_now_ns(void);

#endif
