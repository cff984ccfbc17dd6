/* The client's side of the Unix-domain socket: one connection, requests sent and replies awaited by its one thread.
 *
 * The socket blocks, so that a lone question costs two system calls, or a few more where its reply comes soon. Only
 * where the server does not take a request at once does the client look after both directions: the server may be
 * waiting for it to read. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "query/wire.h"

enum { TIMEOUT_MS = 30000, RECONNECT_MS = 1000, RETRY_MS = 5, SPIN_US = 200, READ_BYTES = 1 << 16 };
static const size_t answer_bytes_default = (size_t)256 << 20;

struct hem_client {
  char *path;
  hem_client_options o; /* defaults filled in */
  int fd;               /* -1: not connected */
  uint64_t last_id;
  size_t outstanding; /* requests of hem_client_send without a reply */
  hem__buffer out, in;
  size_t in_at; /* where the next frame begins */
  hem__wire_reply reply;
  uint64_t spin_ns; /* so long the next reply is looked for */
  bool described;   /* the last reply was to INFO */
  hem__wire_hits hits;
};

/* ---- the connection ---- */

static void disconnect(hem_client *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  c->outstanding = 0;
  c->in.size = c->in_at = 0;
}

static hem_status set_timeouts(const hem_client *c, int fd, hem_error *err) {
  struct timeval t = {.tv_sec = c->o.timeout_ms / 1000, .tv_usec = c->o.timeout_ms % 1000 * 1000};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t))
    return hem__fail_errno(err, "cannot set up a socket");
  return HEM_OK;
}

static hem_status connect_now(hem_client *c, hem_error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, c->path, strlen(c->path) + 1); /* hem_client_open has measured it */
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return hem__fail_errno(err, "cannot make a socket");
  hem_status status = set_timeouts(c, fd, err);
  if (!status && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
    status = errno == EAGAIN ? hem__fail(err, HEM_EBUSY, "%s: the server takes no more connections now", c->path)
                             : hem__fail_errno(err, "%s: no server answers here", c->path);
  if (status) {
    close(fd);
  } else {
    c->fd = fd;
  }
  return status;
}

/* Waits for a server that is about to come back. */
static hem_status connect_again(hem_client *c, hem_error *err) {
  uint64_t until = hem__now_ns() + (uint64_t)c->o.reconnect_ms * 1000000;
  for (;;) {
    hem_status status = connect_now(c, err);
    if (!status || status == HEM_ENOMEM || c->o.no_reconnect || hem__now_ns() >= until)
      return status == HEM_ENOTFOUND ? hem__fail(err, HEM_EIO, "%s: the server went away", c->path) : status;
    nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000L}, NULL);
  }
}

hem_status hem_client_open(const char *path, const hem_client_options *options, hem_client **out, hem_error *err) {
  hem_client *c = NULL;
  hem_client_options o;
  struct sockaddr_un address;
  hem_status status = hem__options_copy(&o, sizeof o, options, "hem_client_options", err);
  if (status) return status;
  if (!path || !*path || strlen(path) >= sizeof address.sun_path)
    return hem__fail(err, HEM_EINVAL, "a socket's path has 1 to %zu bytes", sizeof address.sun_path - 1);
  status = hem__alloc(1, sizeof *c, "a client", &c, err);
  if (status) return status;
  c->fd = -1;
  c->o = o;
  if (!o.timeout_ms) c->o.timeout_ms = TIMEOUT_MS;
  if (!o.reconnect_ms) c->o.reconnect_ms = RECONNECT_MS;
  if (!o.spin_us) c->o.spin_us = SPIN_US;
  if (o.spin_us == UINT_MAX || sysconf(_SC_NPROCESSORS_ONLN) == 1) c->o.spin_us = 0;
  if (!o.answer_bytes_max) c->o.answer_bytes_max = answer_bytes_default;
  status = hem__strdup(path, &c->path, err);
  if (!status) status = connect_now(c, err);
  if (status) {
    hem_client_close(c);
  } else {
    *out = c;
  }
  return status;
}

void hem_client_close(hem_client *c) {
  if (!c) return;
  disconnect(c);
  hem__buffer_clear(&c->out);
  hem__buffer_clear(&c->in);
  free(c->hits.at);
  free(c->path);
  free(c);
}

/* ---- bytes ---- */

/* How a transfer went. LOST: the server went away, which nobody need know if it comes back. */
typedef enum went { DONE, LOST, FAILED } went;

static went lost(hem_client *c, hem_error *err) {
  hem__fail(err, HEM_EIO, "%s: the server closed the connection", c->path);
  return LOST;
}

static went failed(hem_client *c, hem_error *err) {
  if (errno == EPIPE || errno == ECONNRESET) return lost(c, err);
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    hem__fail(err, HEM_EIO, "%s: the server did not answer within %u ms", c->path, c->o.timeout_ms);
  } else {
    hem__fail_errno(err, "%s", c->path);
  }
  return FAILED;
}

static ssize_t receive(const hem_client *c, int flags) {
  ssize_t got;
  do got = recv(c->fd, c->in.at + c->in.size, c->in.capacity - c->in.size, flags);
  while (got < 0 && errno == EINTR);
  return got;
}

/* Being woken costs more than all else here. So where the reply before this one came soon, this one is looked for a
 * while before the thread sleeps. */
static ssize_t receive_soon(const hem_client *c) {
  uint64_t until = hem__now_ns() + c->spin_ns;
  ssize_t got;
  while ((got = receive(c, MSG_DONTWAIT)) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && hem__now_ns() < until)
    sched_yield(); /* whoever else wants this core, the server perhaps, comes first */
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? receive(c, 0) : got;
}

/* Once; `wait` false: only what is there. */
static went read_some(hem_client *c, size_t wanted, bool wait, hem_error *err) {
  if (hem__buffer_reserve(&c->in, hem__max(wanted, READ_BYTES), err)) return FAILED;
  ssize_t got = !wait ? receive(c, MSG_DONTWAIT) : c->spin_ns ? receive_soon(c) : receive(c, 0);
  if (got == 0) return lost(c, err);
  if (got < 0) return failed(c, err);
  c->in.size += (size_t)got;
  return DONE;
}

/* Until there is room to write; meanwhile reads what the server has to say. */
static went wait_for_room(hem_client *c, hem_error *err) {
  struct pollfd p = {.fd = c->fd, .events = POLLIN | POLLOUT};
  int ready;
  do ready = poll(&p, 1, (int)hem__min(c->o.timeout_ms, INT32_MAX));
  while (ready < 0 && errno == EINTR);
  if (ready == 0) errno = EAGAIN;
  if (ready <= 0) return failed(c, err);
  return p.revents & POLLIN ? read_some(c, 0, false, err) : DONE;
}

/* Sends what `out` holds. */
static went write_all(hem_client *c, hem_error *err) {
  for (size_t sent = 0; sent < c->out.size;) {
    ssize_t n = send(c->fd, c->out.at + sent, c->out.size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent += (size_t)n;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      went w = wait_for_room(c, err);
      if (w) return w;
    } else if (errno != EINTR) {
      return failed(c, err);
    }
  }
  return DONE;
}

/* The frame that was received first and not handed out yet; `more`: how many bytes of it are missing. */
static went look(const hem_client *c, hem__wire_header *h, size_t *more, hem_error *err) {
  size_t have = c->in.size - c->in_at;
  *more = HEM__WIRE_HEADER;
  if (have < HEM__WIRE_HEADER) return DONE;
  if (hem__wire_header_read(c->in.at + c->in_at, c->o.answer_bytes_max, h, err)) return FAILED;
  size_t whole = HEM__WIRE_HEADER + h->size;
  *more = have < whole ? whole - have : 0;
  return DONE;
}

/* A reply took so long. Twice that, lest one that takes a little longer is missed. */
static void learn(hem_client *c, uint64_t ns) {
  uint64_t most = (uint64_t)c->o.spin_us * 1000;
  c->spin_ns = ns < most ? hem__min(2 * ns + 1000, most) : 0;
}

/* The next frame, as c->reply. */
static went read_reply(hem_client *c, hem__wire_header *h, hem_error *err) {
  size_t more = 0;
  uint64_t from = hem__now_ns(), until = from + (uint64_t)c->o.timeout_ms * 1000000;
  went w = look(c, h, &more, err);
  while (!w && more) {
    w = read_some(c, more, true, err);
    if (!w) w = look(c, h, &more, err);
    if (!w && more && hem__now_ns() > until) {
      errno = EAGAIN;
      w = failed(c, err);
    }
  }
  if (w) return w;
  learn(c, hem__now_ns() - from);
  const uint8_t *body = c->in.at + c->in_at + HEM__WIRE_HEADER;
  c->in_at += HEM__WIRE_HEADER + h->size;
  return hem__wire_reply_read(body, h->size, &c->reply, err) ? FAILED : DONE;
}

/* The server's last word, where it closed the connection with one. */
static went read_farewell(hem_client *c, hem_error *err) {
  hem__wire_header h;
  hem_error none;
  while (c->outstanding == 0 && !read_reply(c, &h, &none))
    if (h.type == HEM__WIRE_CLOSING) {
      hem__fail(err, c->reply.status ? c->reply.status : HEM_EIO, "%s", c->reply.message);
      return FAILED;
    }
  return LOST;
}

/* What was handed out is dropped; what was received and not handed out stays. Frames are multiples of 8 bytes, so that
 * the next one is aligned again. */
static void start_call(hem_client *c) {
  c->reply = (hem__wire_reply){0};
  c->described = false;
  if (c->in.size > c->in_at) memmove(c->in.at, c->in.at + c->in_at, c->in.size - c->in_at);
  c->in.size -= c->in_at;
  c->in_at = 0;
}

/* ---- one request, one reply ---- */

static went await_reply(hem_client *c, uint64_t id, hem__wire_type type, hem_error *err) {
  hem__wire_header h;
  went w = read_reply(c, &h, err);
  if (w) return w;
  if (h.type == HEM__WIRE_CLOSING) {
    hem__fail(err, c->reply.status ? c->reply.status : HEM_EIO, "%s", c->reply.message);
    return FAILED;
  }
  if (h.id == id && h.type == (type | HEM__WIRE_REPLY)) return DONE;
  hem__fail(err, HEM_ECORRUPT, "%s: a reply to something that was not asked", c->path);
  return FAILED;
}

/* Sends `out`, and once more if the server turns out to have gone away before. `reply` false: waits for none. */
static hem_status exchange(hem_client *c, uint64_t id, hem__wire_type type, bool reply, hem_error *err) {
  hem_error why = {0};
  went w = LOST;
  for (int tries = 0; tries < 2 && w == LOST; tries++) {
    if (c->fd < 0) {
      hem_status status = connect_again(c, err);
      if (status) return status;
    }
    bool alone = c->outstanding == 0;
    w = write_all(c, &why);
    if (w == LOST) w = read_farewell(c, &why);
    if (!w && reply) w = await_reply(c, id, type, &why);
    if (w) disconnect(c);
    if (c->o.no_reconnect || !alone) break;
  }
  return w ? hem__fail(err, why.code, "%s", why.message) : HEM_OK;
}

/* What the server says was wrong with the request. */
static hem_status reply_status(const hem_client *c, hem_error *err) {
  return c->reply.status ? hem__fail(err, c->reply.status, "%s", c->reply.message) : HEM_OK;
}

static hem_status check_idle(const hem_client *c, hem_error *err) {
  if (c->outstanding == 0) return HEM_OK;
  return hem__fail(err, HEM_EBUSY, "%zu requests are on their way: receive their replies first", c->outstanding);
}

static hem_status put_search(hem_client *c, hem__wire_search *s, const hem_search_options *options, hem_error *err) {
  c->out.size = 0;
  hem_status status = hem__options_copy(&s->options, sizeof s->options, options, "hem_search_options", err);
  return status ? status : hem__wire_search_write(&c->out, ++c->last_id, s, err);
}

static hem_status read_answers(hem_client *c, hem_answer *answers, size_t count, hem_error *err) {
  if (c->reply.answers != count)
    return hem__fail(err, HEM_ECORRUPT, "%s: %zu answers to %zu vectors", c->path, c->reply.answers, count);
  return hem__wire_answers_read(&c->reply, &c->hits, answers, err);
}

static hem_status search(hem_client *c, hem__wire_search *s, const hem_search_options *options, hem_answer *answers,
                         hem_error *err) {
  hem_status status = check_idle(c, err);
  if (status) return status;
  start_call(c);
  status = put_search(c, s, options, err);
  if (!status) status = exchange(c, c->last_id, HEM__WIRE_SEARCH, true, err);
  if (!status) status = reply_status(c, err);
  return status ? status : read_answers(c, answers, hem__max(s->count, 1), err);
}

hem_status hem_client_search(hem_client *c, const float *vector, size_t dim, const hem_search_options *options,
                             hem_answer *answer, hem_error *err) {
  return search(c, &(hem__wire_search){.vectors = vector, .count = 1, .dim = dim}, options, answer, err);
}

hem_status hem_client_search_batch(hem_client *c, const float *vectors, size_t count, size_t dim,
                                   const hem_search_options *options, hem_answer *answers, hem_error *err) {
  return search(c, &(hem__wire_search){.vectors = vectors, .count = count, .dim = dim}, options, answers, err);
}

static hem__wire_search photo_search(const void *bytes, size_t size, const hem_box *box) {
  return (hem__wire_search){.photo = bytes, .photo_size = size, .boxed = box != NULL, .box = box ? *box : (hem_box){0}};
}

hem_status hem_client_search_photo(hem_client *c, const void *bytes, size_t size, const hem_box *box,
                                   const hem_search_options *options, hem_answer *answer, hem_error *err) {
  hem__wire_search s = photo_search(bytes, size, box);
  return search(c, &s, options, answer, err);
}

hem_status hem_client_search_item(hem_client *c, const char *item_id, const hem_search_options *options,
                                  hem_answer *answer, hem_error *err) {
  return search(c, &(hem__wire_search){.item_id = item_id}, options, answer, err);
}

/* ---- what the server says of itself ---- */

hem_status hem_client_info(hem_client *c, hem_engine_info *info, hem_error *err) {
  hem__wire_info said;
  hem_status status = check_idle(c, err);
  if (status) return status;
  start_call(c);
  c->out.size = 0;
  status = hem__wire_ask_write(&c->out, ++c->last_id, HEM__WIRE_INFO, err);
  if (!status) status = exchange(c, c->last_id, HEM__WIRE_INFO, true, err);
  if (!status) status = reply_status(c, err);
  if (!status) status = hem__wire_info_read(&c->reply, &said, err);
  if (status) return status;
  c->described = true;
  *info = said.engine;
  return HEM_OK;
}

hem_status hem_client_category(hem_client *c, size_t i, const char **name, const char **kind, uint64_t *photos,
                               hem_error *err) {
  hem__wire_category category;
  hem__wire_info info;
  if (!c->described || hem__wire_info_read(&c->reply, &info, NULL) || i >= info.engine.category_count)
    return hem__fail(err, HEM_EINVAL, "hem_client_category comes right behind hem_client_info, for categories it told");
  hem_status status = hem__wire_category_read(&c->reply, i, &category, err);
  if (status) return status;
  if (name) *name = category.name;
  if (kind) *kind = category.kind;
  if (photos) *photos = category.photos;
  return HEM_OK;
}

void hem_client_about_get(const hem_client *c, hem_client_about *about) {
  const hem__wire_about *a = &c->reply.about;
  *about = (hem_client_about){.generation = a->generation ? a->generation : "",
                              .certificate = a->certificate,
                              .wait_ns = a->times.wait_ns,
                              .decode_ns = a->times.decode_ns,
                              .embed_ns = a->times.embed_ns,
                              .search_ns = a->times.search_ns};
}

/* ---- many on their way ---- */

hem_status hem_client_send(hem_client *c, const hem_client_question *question, uint64_t *id, hem_error *err) {
  hem_client_question q;
  hem_status status = hem__options_copy(&q, sizeof q, question, "hem_client_question", err);
  if (status) return status;
  start_call(c);
  hem__wire_search s = photo_search(q.photo, q.photo_size, q.box);
  s.vectors = q.vectors;
  s.count = q.vectors ? hem__max(q.count, 1) : 0;
  s.dim = q.dim;
  s.item_id = q.item_id;
  status = put_search(c, &s, q.options, err);
  if (!status) status = exchange(c, c->last_id, HEM__WIRE_SEARCH, false, err);
  if (status) return status;
  c->outstanding++;
  *id = c->last_id;
  return HEM_OK;
}

hem_status hem_client_receive(hem_client *c, uint64_t *id, hem_answer *answers, size_t room, size_t *count,
                              hem_error *err) {
  hem__wire_header h = {0};
  hem_error why = {0};
  *id = 0;
  *count = 0;
  if (c->outstanding == 0) return hem__fail(err, HEM_EINVAL, "there is nothing to receive: no request is on its way");
  start_call(c);
  went w = read_reply(c, &h, &why);
  if (!w && h.type != (HEM__WIRE_SEARCH | HEM__WIRE_REPLY)) {
    w = FAILED;
    if (!reply_status(c, &why)) hem__fail(&why, HEM_ECORRUPT, "%s: a reply to something that was not asked", c->path);
  }
  if (w) {
    disconnect(c);
    return hem__fail(err, why.code, "%s", why.message);
  }
  c->outstanding--;
  *id = h.id;
  hem_status status = reply_status(c, err);
  if (status) return status;
  if (c->reply.answers > room)
    return hem__fail(err, HEM_EINVAL, "a reply of %zu answers, and room for %zu", c->reply.answers, room);
  *count = c->reply.answers;
  return hem__wire_answers_read(&c->reply, &c->hits, answers, err);
}
