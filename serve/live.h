/* A store that is answered from while it changes.
 *
 * An edition is the store's current generation, opened, with all that answers need besides: catalogue, pictures,
 * features. It never changes. A seat is what one question needs of it: a searcher, an embedder, a vector. Who answers
 * takes a seat and gives it back; between the two, the generation stays, whatever is published meanwhile. Seats are
 * kept for the next question, so after the first few nothing is allocated, and taking one costs one short lock. An
 * edition that is no longer current is closed when its last seat comes back. */
#ifndef HEM_SERVE_LIVE_H
#define HEM_SERVE_LIVE_H

#include <pthread.h>

#include "ingest/pictures.h"
#include "query/engine.h"
#include "query/explain.h"

typedef struct hem__live hem__live;

typedef struct hem__live_options {
  const char *store;
  const char *const *categories; /* load only these; NULL: all */
  size_t category_count;
  const char *cnn;     /* where the store's network is now; NULL: where it was */
  const char *catalog; /* where the catalogue is now; NULL: where it was */
  const char *idx;     /* the folder of idx files that its photos lie in; NULL: none */
} hem__live_options;

/* Immutable; shared by threads, but for `catalog`. */
typedef struct hem__edition {
  hem_engine *engine;
  hem_engine_info info;
  char *features; /* what embeds a photo as the store's were; NULL: none can be, and `why_no_photos` says why */
  hem_error why_no_photos;
  hem__catalog *catalog; /* NULL: it is gone or another one by now, and `why_no_catalog` says so */
  hem_error why_no_catalog;
  size_t space;                 /* of the catalogue */
  pthread_mutex_t catalog_lock; /* held round every use of `catalog` */
  size_t out;                   /* seats that are taken; this and the next belong to live.c */
  struct hem__seat *idle;
  hem__pictures *pictures; /* NULL where there is no catalogue */
} hem__edition;

typedef struct hem__seat {
  hem__edition *edition;
  hem_searcher *searcher;
  hem_embedder *embedder; /* NULL until hem__seat_embedder */
  float *vector;          /* [dim] */
  hem_hit *plain;         /* what else a reply holds, and the next two */
  hem__explanation *explanations;
  size_t plain_capacity, explanation_capacity;
  struct hem__seat *next;
} hem__seat;

/* Opens the store's current generation. Options are copied. Errors: those of hem_engine_open. A catalogue or network
 * that is not there is none: vectors can be answered without. */
hem_status hem__live_open(const hem__live_options *options, hem__live **out, hem_error *err);
/* Every seat must have come back. */
void hem__live_close(hem__live *live);

/* Opens what is current in the store now, unless it is what is answered from already (*changed false); questions from
 * now on get it. On failure everything stays as it was. Any thread; one at a time. Errors: those of hem_engine_open. */
hem_status hem__live_reload(hem__live *live, bool *changed, hem_error *err);

/* A seat at the current edition, until hem__seat_give. Any thread. Errors: ENOMEM. */
hem_status hem__seat_take(hem__live *live, hem__seat **out, hem_error *err);
void hem__seat_give(hem__live *live, hem__seat *seat);
/* Makes seat->embedder, where it is not there yet. Errors: those of hem_embedder_new, EMISMATCH (another network). */
hem_status hem__seat_embedder(hem__seat *seat, hem_error *err);

#endif
