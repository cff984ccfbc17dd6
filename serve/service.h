/* Questions and answers, whoever asks: the Unix socket and REST are two ways to say the same. */
#ifndef HEM_SERVE_SERVICE_H
#define HEM_SERVE_SERVICE_H

#include "query/explain.h"
#include "serve/jobs.h"
#include "serve/journal.h"
#include "serve/live.h"
#include "serve/stats.h"

/* One of vector, photo and item_id is set. All borrowed. */
typedef struct hem__question {
  const float *vector; /* [dim], 4-byte aligned */
  size_t dim;
  const uint8_t *photo; /* bytes of a JPEG, PNG, WebP or AVIF file */
  size_t photo_size;
  const char *item_id;  /* what else is like it; the item itself is left out */
  const hem_box *box;   /* of the photo; NULL: all of it */
  bool explain;         /* wants a metric and the catalogue; not for items */
  bool also_plain;      /* wants the ranking by distance beside the metric's */
  hem_search_options o; /* `size` is set by hem__question_start */
} hem__question;

typedef struct hem__timing {
  uint64_t wait_ns, decode_ns, embed_ns, search_ns; /* wait: until a thread was free */
} hem__timing;

/* Everything lives until the seat is given back or asked again. */
typedef struct hem__reply {
  const hem_engine_info *info;
  hem_answer answer;
  hem__timing timing;
  const hem__explanation *explanations; /* one for each hit, or NULL */
  const hem__space *space;              /* whose blocks they name */
  float nearest;                        /* with explanations: the distance of the nearest photo */
  const hem_hit *plain;                 /* the hits by distance, or NULL */
  size_t plain_count;
} hem__reply;

/* What all front ends share. */
typedef struct hem__service {
  hem__live *live;
  hem__jobs *photos; /* who embeds: photos take long, and vectors must not wait behind them */
  hem__stats *stats;
  hem__journal *log;     /* a line for each request; NULL: none */
  hem__journal *collect; /* a line for each answer: what was asked, by its hash, and what was answered; NULL: none */
} hem__service;

/* Zeroes it and sets the sizes. */
void hem__question_start(hem__question *question);
/* Does it take long? Then it belongs to service->photos. */
static inline bool hem__question_long(const hem__question *q) { return q->photo != NULL; }

/* Answers. `reply` is written also on failure, as far as it came (info, timing). Errors: those of hem_search;
 * of photos, those of hem_embedder_photo; ENOTFOUND (item); EUNSUPPORTED (explanations without metric or catalogue). */
hem_status hem__ask(hem__seat *seat, const hem__question *question, hem__reply *reply, hem_error *err);

/* One request, done. */
typedef struct hem__event {
  hem__front front;
  const char *peer, *request;    /* "127.0.0.1", "POST /v1/query"; "uid 1000", "search" */
  const hem__question *question; /* NULL: it was none, or not a well-formed one; then so is `reply` */
  const hem__reply *reply;
  hem_status status;
  unsigned http_status; /* 0: not by HTTP */
  uint64_t total_ns;    /* from its last byte in to its first byte out */
} hem__event;

/* Counts it, and writes it down where that is wanted. To be called before the seat is given back. Any thread. */
void hem__service_note(hem__service *service, const hem__event *event);

#endif
