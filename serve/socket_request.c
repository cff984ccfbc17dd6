/* A frame is answered. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/socket_parts.h"

enum { REPLY_BYTES_MAX = 1 << 26, WRITER_KEEP_BYTES = 1 << 22 };
static const size_t photo_bytes_max = (size_t)1 << 29; /* of all photos under way */

/* ---- sending ---- */

static hem__wire_about about_of(const hem_engine_info *info, const hem__timing *t) {
  hem__wire_about about = {.generation = info ? info->generation : ""};
  if (info) about.certificate = info->certificate;
  if (t)
    about.times = (hem__wire_times){
        .wait_ns = t->wait_ns, .decode_ns = t->decode_ns, .embed_ns = t->embed_ns, .search_ns = t->search_ns};
  return about;
}

/* Where not even an error can be written, the peer must not wait for one. */
static void send_failure(hem__wire_writer *w, hem__connection *c, const hem__wire_header *h, const hem_error *why,
                         const hem__wire_about *about) {
  hem__wire_type type = h->type < HEM__WIRE_REPLY ? h->type | HEM__WIRE_REPLY : HEM__WIRE_CLOSING;
  if (hem__wire_failed(w, h->id, type, why, about, NULL)) {
    hem__connection_cut(c);
  } else {
    hem__connection_send(c, &w->frame);
  }
}

static void refuse(hem__wire_writer *w, hem__connection *c, const hem__wire_header *h, const hem_error *why) {
  atomic_fetch_add_explicit(&c->socket->service->stats->refused[HEM__FRONT_SOCKET], 1, memory_order_relaxed);
  send_failure(w, c, h, why, NULL);
}

static void trim(hem__wire_writer *w) {
  if (w->frame.capacity > WRITER_KEEP_BYTES) hem__buffer_clear(&w->frame);
  if (w->text.capacity > WRITER_KEEP_BYTES) hem__buffer_clear(&w->text);
}

/* ---- searching ---- */

/* A request that is being answered. */
typedef struct asked {
  hem__connection *connection;
  hem__wire_writer *writer;
  const hem__wire_header *header;
  const hem__wire_search *search;
  uint64_t asked_ns, started_ns;
} asked;

/* THE place where a question's end is known, whatever came of it: counted here, and to be logged here. */
static void note(const asked *a, hem_status status, const hem__timing *t, size_t no_match) {
  hem__stats *stats = a->connection->socket->service->stats;
  size_t questions = hem__max(a->search->count, 1);
  atomic_fetch_add_explicit(&stats->answered[HEM__FRONT_SOCKET][status], questions, memory_order_relaxed);
  if (no_match) atomic_fetch_add_explicit(&stats->no_match, no_match, memory_order_relaxed);
  hem__histogram_add(&stats->stages[HEM__STAGE_WAIT], t->wait_ns);
  if (a->search->photo) {
    hem__histogram_add(&stats->stages[HEM__STAGE_DECODE], t->decode_ns);
    hem__histogram_add(&stats->stages[HEM__STAGE_EMBED], t->embed_ns);
  }
  hem__histogram_add(&stats->stages[HEM__STAGE_SEARCH], t->search_ns);
  hem__histogram_add(&stats->stages[HEM__STAGE_TOTAL], hem__now_ns() - a->asked_ns);
}

static hem_status ask_all(const asked *a, hem__seat *seat, hem__timing *t, size_t *no_match, hem_error *err) {
  const hem__wire_search *s = a->search;
  hem__question q;
  hem_status status = HEM_OK;
  hem__question_start(&q);
  q.o = s->options;
  q.photo = s->photo;
  q.photo_size = s->photo_size;
  q.item_id = s->item_id;
  q.box = s->boxed ? &s->box : NULL;
  q.dim = s->dim;
  for (size_t i = 0; i < hem__max(s->count, 1) && !status; i++) {
    hem__reply reply;
    if (s->vectors) q.vector = s->vectors + i * s->dim;
    status = hem__ask(seat, &q, &reply, err);
    t->decode_ns += reply.timing.decode_ns;
    t->embed_ns += reply.timing.embed_ns;
    t->search_ns += reply.timing.search_ns;
    if (!status) *no_match += reply.answer.no_match;
    if (!status) status = hem__wire_answer(a->writer, &reply.answer, err);
    if (status && s->count > 1) hem__fail_in(err, status, "vector %zu of %zu", i, s->count);
  }
  return status;
}

/* From one generation, whatever is published meanwhile. */
static void search(const asked *a) {
  hem__service *service = a->connection->socket->service;
  hem__timing t = {.wait_ns = a->started_ns - a->asked_ns};
  hem__seat *seat = NULL;
  hem_error err;
  size_t no_match = 0;
  atomic_fetch_add_explicit(&service->stats->in_flight[HEM__FRONT_SOCKET], 1, memory_order_relaxed);
  a->writer->size_max = REPLY_BYTES_MAX;
  hem_status status = hem__wire_begin(a->writer, a->header->id, HEM__WIRE_SEARCH | HEM__WIRE_REPLY, &err);
  if (!status) status = hem__seat_take(service->live, &seat, &err);
  if (!status) status = ask_all(a, seat, &t, &no_match, &err);
  hem__wire_about about = about_of(seat ? &seat->edition->info : NULL, &t);
  if (!status) status = hem__wire_end(a->writer, &about, &err);
  if (!status) {
    hem__connection_send(a->connection, &a->writer->frame);
  } else {
    send_failure(a->writer, a->connection, a->header, &err, &about);
  }
  hem__seat_give(service->live, seat);
  note(a, status, &t, no_match);
  atomic_fetch_sub_explicit(&service->stats->in_flight[HEM__FRONT_SOCKET], 1, memory_order_relaxed);
  trim(a->writer);
}

/* ---- photos: done by others ---- */

typedef struct photo_job {
  hem__job job; /* first */
  hem__connection *connection;
  hem__wire_header header;
  uint64_t asked_ns;
  hem__wire_names names;
  hem__wire_writer writer;
  size_t size;
  _Alignas(16) uint8_t body[];
} photo_job;

static void end_job(photo_job *job) {
  hem__socket *s = job->connection->socket;
  atomic_fetch_sub(&s->photo_bytes, job->size);
  hem__connection_job_end(job->connection);
  hem__wire_writer_clear(&job->writer);
  free(job->names.at);
  free(job);
  pthread_mutex_lock(&s->lock);
  s->jobs--;
  pthread_cond_broadcast(&s->closed);
  pthread_mutex_unlock(&s->lock); /* the socket may be gone behind this */
}

static void run_job(hem__job *base) {
  photo_job *job = (photo_job *)base;
  hem__wire_search s;
  hem_error why;
  if (hem__connection_is_dead(job->connection)) {
    /* Nobody waits for it any more. */
  } else if (hem__wire_search_read(job->body, job->size, &job->names, &s, &why)) {
    refuse(&job->writer, job->connection, &job->header, &why);
  } else {
    search(&(asked){.connection = job->connection,
                    .writer = &job->writer,
                    .header = &job->header,
                    .search = &s,
                    .asked_ns = job->asked_ns,
                    .started_ns = hem__now_ns()});
  }
  end_job(job);
}

static hem_status job_new(hem__connection *c, const hem__wire_header *h, const uint8_t *body, photo_job **out,
                          hem_error *err) {
  size_t size;
  if (!hem__add(sizeof **out, h->size, &size)) return hem__fail(err, HEM_ENOMEM, "a photo of %zu bytes", h->size);
  *out = malloc(size); /* not zeroed: it may be large */
  if (!*out) return hem__fail(err, HEM_ENOMEM, "no memory for a photo of %zu bytes", h->size);
  **out = (photo_job){.job.run = run_job, .connection = c, .header = *h, .size = h->size};
  memcpy((*out)->body, body, h->size);
  return HEM_OK;
}

static hem_status put_job(hem__socket *s, photo_job *job, hem_error *err) {
  if (atomic_fetch_add(&s->photo_bytes, job->size) + job->size > photo_bytes_max) {
    atomic_fetch_sub(&s->photo_bytes, job->size);
    return hem__fail(err, HEM_EBUSY, "photos of %zu MiB are waiting: try again later", photo_bytes_max >> 20);
  }
  pthread_mutex_lock(&s->lock);
  s->jobs++;
  pthread_mutex_unlock(&s->lock);
  hem__connection_job_start(job->connection);
  return HEM_OK;
}

static void put_photo(hem__socket_worker *w, hem__connection *c, const hem__wire_header *h, const uint8_t *body,
                      uint64_t asked_ns) {
  hem__socket *s = c->socket;
  photo_job *job = NULL;
  hem_error why;
  hem_status status = job_new(c, h, body, &job, &why);
  if (!status) {
    job->asked_ns = asked_ns;
    status = put_job(s, job, &why);
    if (status) free(job);
  }
  if (!status && !hem__jobs_put(s->service->photos, &job->job)) {
    hem__fail(&why, HEM_EBUSY, "too many photos are waiting: try again later");
    status = HEM_EBUSY;
    end_job(job);
  }
  if (status) refuse(&w->writer, c, h, &why);
}

/* ---- the rest ---- */

static hem_status put_info(hem__socket_worker *w, const hem__seat *seat, hem_error *err) {
  const hem__socket_options *o = &w->socket->o;
  hem__wire_info info = {.engine = seat->edition->info,
                         .version = hem_version(),
                         .request_bytes_max = o->request_bytes_max,
                         .in_flight_max = (uint32_t)hem__min(o->in_flight_max, UINT32_MAX)};
  hem__wire_category *categories = NULL;
  size_t count = info.engine.category_count;
  hem_status status = hem__alloc(count, sizeof *categories, "categories", &categories, err);
  for (size_t i = 0; i < count && !status; i++)
    hem_engine_category(seat->edition->engine, i, &categories[i].name, &categories[i].kind, &categories[i].photos);
  if (!status) status = hem__wire_describe(&w->writer, &info, categories, err);
  free(categories);
  return status;
}

/* INFO and PING. */
static void tell(hem__socket_worker *w, hem__connection *c, const hem__wire_header *h) {
  hem__live *live = w->socket->service->live;
  hem__seat *seat = NULL;
  hem_error err;
  hem_status status = hem__wire_begin(&w->writer, h->id, h->type | HEM__WIRE_REPLY, &err);
  if (!status) status = hem__seat_take(live, &seat, &err);
  if (!status && h->type == HEM__WIRE_INFO) status = put_info(w, seat, &err);
  hem__wire_about about = about_of(seat ? &seat->edition->info : NULL, NULL);
  if (!status) status = hem__wire_end(&w->writer, &about, &err);
  if (!status) {
    hem__connection_send(c, &w->writer.frame);
  } else {
    send_failure(&w->writer, c, h, &err, &about);
  }
  hem__seat_give(live, seat);
}

static void answer_search(hem__socket_worker *w, hem__connection *c, const hem__wire_header *h, const uint8_t *body,
                          uint64_t asked_ns) {
  hem__wire_search s;
  hem_error why;
  if (hem__wire_search_read(body, h->size, &w->names, &s, &why)) {
    refuse(&w->writer, c, h, &why);
  } else if (s.photo) {
    put_photo(w, c, h, body, asked_ns);
  } else {
    search(&(asked){.connection = c,
                    .writer = &w->writer,
                    .header = h,
                    .search = &s,
                    .asked_ns = asked_ns,
                    .started_ns = hem__now_ns()});
  }
}

void hem__socket_answer(hem__socket_worker *w, hem__connection *c, const hem__wire_header *h, const uint8_t *body,
                        uint64_t asked_ns) {
  hem_error why;
  if (h->type == HEM__WIRE_SEARCH) {
    answer_search(w, c, h, body, asked_ns);
  } else if ((h->type == HEM__WIRE_INFO || h->type == HEM__WIRE_PING) && h->size == 0) {
    tell(w, c, h);
  } else {
    hem__fail(&why, HEM_EUNSUPPORTED, "a request of type %d and %zu bytes, which this server does not know", h->type,
              h->size);
    refuse(&w->writer, c, h, &why);
  }
}
