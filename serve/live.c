#include "serve/live.h"

#include <stdlib.h>
#include <string.h>

#include "query/embed.h"
#include "query/rows.h"

struct hem__live {
  hem__live_options options; /* owned copies */
  const char **categories;
  hem__arena strings;
  pthread_mutex_t lock;   /* held for `current`, and for `out` and `idle` of every edition: a few instructions */
  pthread_mutex_t reload; /* one at a time: opening a generation takes long */
  hem__edition *current;
};

/* ---- editions ---- */

static void seat_free(hem__seat *seat) {
  if (!seat) return;
  hem_searcher_free(seat->searcher);
  hem_embedder_free(seat->embedder);
  free(seat->vector);
  free(seat->plain);
  free(seat->explanations);
  free(seat);
}

static void edition_free(hem__edition *e) {
  if (!e) return;
  for (hem__seat *seat = e->idle, *next; seat; seat = next) {
    next = seat->next;
    seat_free(seat);
  }
  hem__pictures_close(e->pictures);
  hem__catalog_close(e->catalog);
  pthread_mutex_destroy(&e->catalog_lock);
  hem_engine_close(e->engine);
  free(e->features);
  free(e);
}

/* Vectors are answered without it: that it cannot be used is no failure, but kept for those who ask for more. */
static void open_catalog(hem__edition *e, const hem__live_options *o) {
  hem_error *err = &e->why_no_catalog;
  hem__catalog *catalog = NULL;
  const char *path = o->catalog ? o->catalog : e->info.catalog;
  hem_status status = hem__catalog_open(path, &catalog, err);
  if (!status) status = hem__engine_check_rows(e->engine, catalog, err);
  if (!status) status = hem__catalog_find_space(catalog, e->info.space, &e->space, err);
  if (!status) status = hem__pictures_open(catalog, o->idx, &e->pictures, err);
  if (status) {
    hem__catalog_close(catalog);
  } else {
    e->catalog = catalog;
  }
}

/* The first seat has an embedder already: what is wrong with a network shows here and not in the first answer, and
 * the others share its weights. */
static hem_status open_first_seat(hem__edition *e, const hem__live_options *o, hem_error *err);

static hem_status edition_new(const hem__live_options *o, hem__edition **out, hem_error *err) {
  hem__edition *e = NULL;
  hem_engine_options open = {.size = sizeof open, .categories = o->categories, .category_count = o->category_count};
  hem_status status = hem__alloc(1, sizeof *e, "an edition", &e, err);
  if (status) return status;
  pthread_mutex_init(&e->catalog_lock, NULL);
  status = hem_engine_open(o->store, &open, &e->engine, err);
  if (!status) {
    hem_engine_info_get(e->engine, &e->info);
    open_catalog(e, o);
    status = open_first_seat(e, o, err);
  }
  if (status) {
    edition_free(e);
  } else {
    *out = e;
  }
  return status;
}

/* ---- seats ---- */

static hem_status seat_new(hem__edition *e, hem__seat **out, hem_error *err) {
  hem__seat *seat = NULL;
  hem_status status = hem__alloc(1, sizeof *seat, "a seat", &seat, err);
  if (status) return status;
  seat->edition = e;
  status = hem_searcher_new(e->engine, &seat->searcher, err);
  if (!status) status = hem__alloc(e->info.dim, sizeof *seat->vector, "a seat", &seat->vector, err);
  if (status) {
    seat_free(seat);
  } else {
    *out = seat;
  }
  return status;
}

static hem_status open_first_seat(hem__edition *e, const hem__live_options *o, hem_error *err) {
  hem_status status = seat_new(e, &e->idle, err);
  if (status) return status;
  status = hem__embedder_of(&e->info, o->cnn, &e->features, &e->idle->embedder, &e->why_no_photos);
  return status == HEM_ENOMEM ? hem__fail(err, status, "%s", e->why_no_photos.message) : HEM_OK;
}

hem_status hem__seat_embedder(hem__seat *seat, hem_error *err) {
  const hem__edition *e = seat->edition;
  if (seat->embedder) return HEM_OK;
  if (!e->features)
    return hem__fail(err, e->why_no_photos.code, "this store cannot be asked with photos: %s",
                     e->why_no_photos.message);
  return hem_embedder_new(e->features, &seat->embedder, err);
}

/* A seat comes back, or (NULL) was never made. */
static void leave(hem__live *live, hem__edition *e, hem__seat *seat) {
  pthread_mutex_lock(&live->lock);
  bool old = e != live->current;
  bool last = --e->out == 0 && old;
  if (seat && !old) {
    seat->next = e->idle;
    e->idle = seat;
    seat = NULL;
  }
  pthread_mutex_unlock(&live->lock);
  seat_free(seat);
  if (last) edition_free(e);
}

hem_status hem__seat_take(hem__live *live, hem__seat **out, hem_error *err) {
  pthread_mutex_lock(&live->lock);
  hem__edition *e = live->current;
  hem__seat *seat = e->idle;
  if (seat) e->idle = seat->next;
  e->out++;
  pthread_mutex_unlock(&live->lock);
  hem_status status = seat ? HEM_OK : seat_new(e, &seat, err);
  if (status) {
    leave(live, e, NULL);
  } else {
    *out = seat;
  }
  return status;
}

void hem__seat_give(hem__live *live, hem__seat *seat) {
  if (seat) leave(live, seat->edition, seat);
}

/* ---- the store ---- */

static hem_status copy_text(hem__live *live, const char *text, const char **out, hem_error *err) {
  *out = NULL;
  return text ? hem__arena_copy(&live->strings, text, strlen(text), out, err) : HEM_OK;
}

static hem_status copy_options(hem__live *live, const hem__live_options *o, hem_error *err) {
  hem__live_options *mine = &live->options;
  hem_status status = hem__alloc(o->category_count, sizeof *live->categories, "categories", &live->categories, err);
  for (size_t i = 0; i < o->category_count && !status; i++)
    status = copy_text(live, o->categories[i], &live->categories[i], err);
  if (!status) status = copy_text(live, o->store, &mine->store, err);
  if (!status) status = copy_text(live, o->cnn, &mine->cnn, err);
  if (!status) status = copy_text(live, o->catalog, &mine->catalog, err);
  if (!status) status = copy_text(live, o->idx, &mine->idx, err);
  mine->categories = o->category_count ? live->categories : NULL;
  mine->category_count = o->category_count;
  return status;
}

hem_status hem__live_open(const hem__live_options *options, hem__live **out, hem_error *err) {
  hem__live *live = NULL;
  hem_status status = hem__alloc(1, sizeof *live, "a server", &live, err);
  if (status) return status;
  pthread_mutex_init(&live->lock, NULL);
  pthread_mutex_init(&live->reload, NULL);
  status = copy_options(live, options, err);
  if (!status) status = edition_new(&live->options, &live->current, err);
  if (status) {
    hem__live_close(live);
  } else {
    *out = live;
  }
  return status;
}

void hem__live_close(hem__live *live) {
  if (!live) return;
  edition_free(live->current);
  free(live->categories);
  hem__arena_clear(&live->strings);
  pthread_mutex_destroy(&live->lock);
  pthread_mutex_destroy(&live->reload);
  free(live);
}

/* Is the generation that the store names the one that is open? Numbers alone could have been given out again: the store
 * may have been replaced as a whole. */
static hem_status look(const hem__live *live, bool *same, hem_error *err) {
  hem__generation now = {0};
  const hem__generation *open = &live->current->engine->generation;
  hem_status status = hem__generation_open(live->options.store, &now, err);
  *same = !status && !strcmp(now.name, open->name) && hem__digest_equal(&now.digest, &open->digest);
  hem__generation_close(&now);
  return status;
}

static void replace(hem__live *live, hem__edition *fresh) {
  pthread_mutex_lock(&live->lock);
  hem__edition *old = live->current;
  hem__seat *idle = old->idle;
  bool unused = old->out == 0;
  old->idle = NULL;
  live->current = fresh;
  pthread_mutex_unlock(&live->lock);
  for (hem__seat *next; idle; idle = next) {
    next = idle->next;
    seat_free(idle);
  }
  if (unused) edition_free(old);
}

hem_status hem__live_reload(hem__live *live, bool *changed, hem_error *err) {
  hem__edition *fresh = NULL;
  bool same = false;
  pthread_mutex_lock(&live->reload);
  hem_status status = look(live, &same, err);
  if (!status && !same) status = edition_new(&live->options, &fresh, err);
  if (!status && !same) replace(live, fresh);
  pthread_mutex_unlock(&live->reload);
  if (!status) *changed = !same;
  return status;
}
