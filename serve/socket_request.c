/* A frame is answered. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/socket_parts.h"

enum { REPLY_BYTES_MAX = 1 << 26, WRITER_KEEP_BYTES = 1 << 22 };
static const size_t photo_bytes_max = (size_t)1 << 29; /* of all photos under way */

/* ---- sending ---- */

static hem__wire_about about_of(const hem_engine_info *info, const hem__timing *t) {
  hem__wire_about about = {.generation = info->generation, .certificate = info->certificate};
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

static const char *request_name(uint8_t type) {
  return type == HEM__WIRE_SEARCH ? "search" : type == HEM__WIRE_INFO ? "info" : type == HEM__WIRE_PING ? "ping" : "?";
}

void hem__socket_note_refused(hem__socket *s, const char *peer, const char *request, hem_status status) {
  hem__service_note(s->service,
                    &(hem__event){.front = HEM__FRONT_SOCKET, .peer = peer, .request = request, .status = status});
}

static void refuse(hem__wire_writer *w, hem__connection *c, const hem__wire_header *h, const hem_error *why) {
  send_failure(w, c, h, why, NULL);
  hem__socket_note_refused(c->socket, c->peer, request_name(h->type), why->code);
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

static void note(const asked *a, const hem__question *q, const hem__reply *reply, hem_status status) {
  hem__event event = {.front = HEM__FRONT_SOCKET,
                      .peer = a->connection->peer,
                      .request = "search",
                      .question = q,
                      .reply = reply,
                      .status = status,
                      .total_ns = hem__now_ns() - a->asked_ns};
  hem__service_note(a->connection->socket->service, &event);
}

static void start_question(const hem__wire_search *s, hem__question *q) {
  hem__question_start(q);
  q->o = s->options;
  q->vector = s->vectors;
  q->dim = s->dim;
  q->photo = s->photo;
  q->photo_size = s->photo_size;
  q->item_id = s->item_id;
  q->box = s->boxed ? &s->box : NULL;
}

/* Of each vector, or of the photo or item; all but the last are noted here, that one when it has been sent. */
static hem_status ask_all(const asked *a, hem__seat *seat, hem__question *q, hem__reply *reply, hem_error *err) {
  const hem__wire_search *s = a->search;
  hem__timing sum = {.wait_ns = a->started_ns - a->asked_ns};
  hem_status status = HEM_OK;
  for (size_t i = 0; i < hem__max(s->count, 1) && !status; i++) {
    if (i) note(a, q, reply, HEM_OK);
    if (s->vectors) q->vector = s->vectors + i * s->dim;
    status = hem__ask(seat, q, reply, err);
    reply->timing.wait_ns = sum.wait_ns;
    sum.decode_ns += reply->timing.decode_ns;
    sum.embed_ns += reply->timing.embed_ns;
    sum.search_ns += reply->timing.search_ns;
    if (!status) status = hem__wire_answer(a->writer, &reply->answer, err);
    if (status && s->count > 1) hem__fail_in(err, status, "vector %zu of %zu", i, s->count);
  }
  a->writer->about = about_of(&seat->edition->info, &sum);
  return status;
}

/* From one generation, whatever is published meanwhile. */
static void search(const asked *a) {
  hem__service *service = a->connection->socket->service;
  hem__seat *seat = NULL;
  hem__question q;
  hem__reply reply = {0};
  hem_error err;
  atomic_fetch_add_explicit(&service->stats->in_flight[HEM__FRONT_SOCKET], 1, memory_order_relaxed);
  start_question(a->search, &q);
  a->writer->size_max = REPLY_BYTES_MAX;
  hem_status status = hem__wire_begin(a->writer, a->header->id, HEM__WIRE_SEARCH | HEM__WIRE_REPLY, &err);
  if (!status) status = hem__seat_take(service->live, &seat, &err);
  if (!status) status = ask_all(a, seat, &q, &reply, &err);
  if (!status) status = hem__wire_end(a->writer, &err);
  if (!status) {
    hem__connection_send(a->connection, &a->writer->frame);
  } else {
    hem__wire_about about = a->writer->about;
    send_failure(a->writer, a->connection, a->header, &err, &about);
  }
  note(a, &q, &reply, status);
  hem__seat_give(service->live, seat);
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
  if (seat) w->writer.about = about_of(&seat->edition->info, NULL);
  if (!status) status = hem__wire_end(&w->writer, &err);
  if (!status) {
    hem__connection_send(c, &w->writer.frame);
  } else {
    send_failure(&w->writer, c, h, &err, NULL);
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
