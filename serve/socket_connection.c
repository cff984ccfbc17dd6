/* A connection: bytes in, frames out of them, replies out, and when it is looked at next. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/socket_parts.h"

/* Frames that a connection may have answered before others come first. */
enum { FRAMES_A_TURN = 16 };

static size_t unsent(const hem__connection *c) { return c->out.size - c->out_at; }

static void restart(hem__buffer *b) {
  b->size = 0;
  if (b->capacity > HEM__KEEP_BYTES) hem__buffer_clear(b);
}

/* ---- its end; all under its lock ---- */

/* The slot is free from here on. */
static void release(hem__connection *c) {
  hem__socket *s = c->socket;
  close(c->fd); /* and with it, its place in the epoll */
  hem__buffer_clear(&c->in);
  hem__buffer_clear(&c->out);
  c->fd = -1;
  c->round++;
  c->out_at = 0;
  c->in_since_ns = c->out_since_ns = 0;
  c->dead = c->ended = c->ready = false;
  atomic_fetch_sub_explicit(&s->service->stats->connections[HEM__FRONT_SOCKET], 1, memory_order_relaxed);
  pthread_mutex_lock(&s->lock);
  c->next = s->free;
  s->free = c;
  s->open--;
  pthread_cond_broadcast(&s->closed);
  pthread_mutex_unlock(&s->lock);
}

/* The peer is cut off now; the slot stays while somebody is at it. */
static void end(hem__connection *c) {
  if (!c->dead) shutdown(c->fd, SHUT_RDWR);
  c->dead = true;
  if (!c->turn && c->in_flight == 0) release(c);
}

static bool may_take(const hem__connection *c) {
  return !c->dead && c->in_flight < c->socket->o.in_flight_max && unsent(c) < HEM__OUTPUT_STOP;
}

/* Waits for what it needs next, or ends it where it needs nothing any more. A peer that has more frames here already
 * waits for its turn behind the others: being writable is an event, too. */
static void arm(hem__connection *c) {
  bool take = may_take(c);
  if (c->dead || (c->ended && !c->ready && unsent(c) == 0 && c->in_flight == 0)) {
    end(c);
    return;
  }
  struct epoll_event event = {.events = EPOLLONESHOT, .data.u64 = (uint64_t)c->round << 32 | c->number};
  if (take && !c->ready && !c->ended) event.events |= EPOLLIN;
  if (unsent(c) || (take && c->ready)) event.events |= EPOLLOUT;
  if (epoll_ctl(c->socket->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0) end(c);
}

void hem__connection_cut(hem__connection *c) {
  pthread_mutex_lock(&c->lock);
  if (c->fd >= 0) end(c);
  pthread_mutex_unlock(&c->lock);
}

void hem__connection_end_input(hem__connection *c) {
  pthread_mutex_lock(&c->lock);
  if (c->fd >= 0 && !c->dead) shutdown(c->fd, SHUT_RD);
  pthread_mutex_unlock(&c->lock);
}

void hem__connection_check_time(hem__connection *c, uint64_t now) {
  uint64_t limit = (uint64_t)c->socket->o.deadline_ms * 1000000;
  pthread_mutex_lock(&c->lock);
  bool late = (c->in_since_ns && now > c->in_since_ns + limit) || (c->out_since_ns && now > c->out_since_ns + limit);
  if (c->fd >= 0 && !c->turn && late) end(c);
  pthread_mutex_unlock(&c->lock);
}

bool hem__connection_is_dead(hem__connection *c) {
  pthread_mutex_lock(&c->lock);
  bool dead = c->dead;
  pthread_mutex_unlock(&c->lock);
  return dead;
}

/* ---- its start ---- */

/* What the peer has not been told by then, it will not be: nobody waits for it. */
static void refuse(hem__socket *s, int fd, const char *peer, const hem_error *why) {
  hem__wire_writer w = {0};
  if (!hem__wire_failed(&w, 0, HEM__WIRE_CLOSING, why, NULL, NULL))
    (void)!send(fd, w.frame.at, w.frame.size, MSG_NOSIGNAL | MSG_DONTWAIT);
  hem__wire_writer_clear(&w);
  close(fd);
  hem__socket_note_refused(s, peer, "connect", why->code);
}

static hem_status check_peer(const hem__socket *s, int fd, char *peer, size_t room, hem_error *err) {
  struct ucred who;
  socklen_t size = sizeof who;
  bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0;
  snprintf(peer, room, known ? "uid %ld" : "?", known ? (long)who.uid : 0L);
  if (s->o.any_user || (known && (who.uid == geteuid() || who.uid == 0))) return HEM_OK;
  return hem__fail(err, HEM_EINVAL, "this server answers user %ld and root only", (long)geteuid());
}

static hem__connection *take_slot(hem__socket *s, hem_error *err) {
  pthread_mutex_lock(&s->lock);
  hem__connection *c = s->free;
  if (c) s->free = c->next;
  if (c) s->open++;
  pthread_mutex_unlock(&s->lock);
  if (!c) hem__fail(err, HEM_EBUSY, "%zu connections are open, as many as this server takes", s->o.connections_max);
  return c;
}

void hem__connection_open(hem__socket *s, int fd) {
  char peer[sizeof s->connections->peer];
  hem_error why;
  hem_status status = check_peer(s, fd, peer, sizeof peer, &why);
  hem__connection *c = status ? NULL : take_slot(s, &why);
  if (!c) {
    refuse(s, fd, peer, &why);
    return;
  }
  atomic_fetch_add_explicit(&s->service->stats->connections[HEM__FRONT_SOCKET], 1, memory_order_relaxed);
  pthread_mutex_lock(&c->lock);
  memcpy(c->peer, peer, sizeof peer);
  c->fd = fd;
  struct epoll_event event = {.events = EPOLLONESHOT | EPOLLIN, .data.u64 = (uint64_t)c->round << 32 | c->number};
  if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    end(c);
  } else if (atomic_load(&s->stopping)) {
    shutdown(fd, SHUT_RD); /* hem__socket_stop may have been here before it */
  }
  pthread_mutex_unlock(&c->lock);
}

/* ---- output ---- */

/* As much as the peer takes now; under the lock. Returns how much, or -1: it takes nothing any more. */
static ssize_t try_send(const hem__connection *c, const uint8_t *at, size_t size) {
  size_t sent = 0;
  while (sent < size) {
    ssize_t n = send(c->fd, at + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return -1;
    sent += (size_t)n;
  }
  return (ssize_t)sent;
}

/* Sends what was kept; under the lock. */
static void flush(hem__connection *c) {
  if (c->dead || unsent(c) == 0) return;
  ssize_t sent = try_send(c, c->out.at + c->out_at, unsent(c));
  if (sent < 0) {
    end(c);
    return;
  }
  c->out_at += (size_t)sent;
  if (sent) c->out_since_ns = hem__now_ns();
  if (unsent(c)) return;
  restart(&c->out);
  c->out_at = 0;
  c->out_since_ns = 0;
}

void hem__connection_send(hem__connection *c, const hem__buffer *frame) {
  ssize_t sent = 0;
  pthread_mutex_lock(&c->lock);
  if (!c->dead && unsent(c) == 0) sent = try_send(c, frame->at, frame->size);
  if (!c->dead && sent < (ssize_t)frame->size) {
    if (!c->out_since_ns) c->out_since_ns = hem__now_ns();
    if (sent < 0 || hem__buffer_add(&c->out, frame->at + sent, frame->size - (size_t)sent, NULL)) end(c);
  }
  pthread_mutex_unlock(&c->lock);
}

/* ---- photos under way ---- */

void hem__connection_job_start(hem__connection *c) {
  pthread_mutex_lock(&c->lock);
  c->in_flight++;
  pthread_mutex_unlock(&c->lock);
}

/* Whoever has the turn arms it at the end of that. */
void hem__connection_job_end(hem__connection *c) {
  pthread_mutex_lock(&c->lock);
  c->in_flight--;
  if (!c->turn) arm(c);
  pthread_mutex_unlock(&c->lock);
}

/* ---- input ---- */

/* What came in and was not answered yet. */
typedef struct view {
  uint8_t *at;
  size_t size;
  bool borrowed; /* it lies in the worker's buffer */
} view;

static bool takes(hem__connection *c) {
  pthread_mutex_lock(&c->lock);
  bool take = may_take(c);
  pthread_mutex_unlock(&c->lock);
  return take;
}

/* What follows cannot be understood: the connection ends behind these words. */
static void say_farewell(hem__socket_worker *w, hem__connection *c, uint64_t id, const hem_error *why) {
  atomic_fetch_add_explicit(&c->socket->service->stats->refused[HEM__FRONT_SOCKET], 1, memory_order_relaxed);
  if (!hem__wire_failed(&w->writer, id, HEM__WIRE_CLOSING, why, NULL, NULL)) hem__connection_send(c, &w->writer.frame);
  hem__connection_cut(c);
}

/* Returns how many bytes were done with. *ready: there is more to do in what is left. */
static size_t answer_frames(hem__socket_worker *w, hem__connection *c, view in, uint64_t now, bool *ready) {
  size_t used = 0;
  *ready = false;
  for (size_t frames = 0; in.size - used >= HEM__WIRE_HEADER; frames++) {
    hem__wire_header h;
    hem_error why;
    *ready = true;
    if (frames == FRAMES_A_TURN || !takes(c)) return used;
    if (hem__wire_header_read(in.at + used, c->socket->o.request_bytes_max, &h, &why)) {
      say_farewell(w, c, h.id, &why);
      return used;
    }
    *ready = in.size - used - HEM__WIRE_HEADER >= h.size;
    if (!*ready) return used;
    hem__socket_answer(w, c, &h, in.at + used + HEM__WIRE_HEADER, now);
    used += HEM__WIRE_HEADER + h.size;
    *ready = false;
  }
  return used;
}

/* Room grows with what has come in, never with what a header promises. */
static bool make_room(hem__connection *c) {
  return hem__buffer_reserve(&c->in, hem__min(hem__max(c->in.size, HEM__READ_BYTES), (size_t)1 << 24), NULL) == HEM_OK;
}

/* Reads once. False: nothing came, or the connection is over. */
static bool read_more(hem__socket_worker *w, hem__connection *c, view *in) {
  in->borrowed = c->in.size == 0;
  if (!in->borrowed && !make_room(c)) {
    hem__connection_cut(c);
    return false;
  }
  in->at = in->borrowed ? w->read : c->in.at;
  size_t have = c->in.size, room = in->borrowed ? HEM__READ_BYTES : c->in.capacity - have;
  ssize_t got;
  do got = recv(c->fd, in->at + have, room, MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got > 0) {
    in->size = have + (size_t)got;
    return true;
  }
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  pthread_mutex_lock(&c->lock);
  c->ended = true; /* what was asked is still answered */
  if (got < 0) end(c);
  pthread_mutex_unlock(&c->lock);
  return false;
}

/* Keeps what was not answered. */
static void keep(hem__connection *c, view in, size_t used) {
  size_t left = in.size - used;
  if (left == 0) {
    restart(&c->in);
  } else if (in.borrowed) {
    c->in.size = 0;
    if (hem__buffer_add(&c->in, in.at + used, left, NULL)) hem__connection_cut(c);
  } else {
    if (used) memmove(c->in.at, c->in.at + used, left);
    c->in.size = left;
  }
}

/* ---- a turn ---- */

static bool start_turn(hem__connection *c, uint32_t round, uint32_t events) {
  pthread_mutex_lock(&c->lock);
  bool mine = c->fd >= 0 && c->round == round && !c->turn;
  if (mine) {
    c->turn = true;
    if (events & (EPOLLHUP | EPOLLERR)) end(c); /* the peer is gone: there is nobody to answer */
    flush(c);
  }
  pthread_mutex_unlock(&c->lock);
  return mine;
}

/* `used`: at least one frame was answered, so that the time of the next one starts anew. */
static void end_turn(hem__connection *c, bool ready, bool used, uint64_t now) {
  pthread_mutex_lock(&c->lock);
  c->turn = false;
  c->ready = ready;
  if (c->in.size == 0 || ready || !may_take(c)) {
    c->in_since_ns = 0;
  } else if (used || !c->in_since_ns) {
    c->in_since_ns = now;
  }
  arm(c);
  pthread_mutex_unlock(&c->lock);
}

void hem__connection_turn(hem__socket_worker *w, hem__connection *c, uint32_t round, uint32_t events) {
  if (!start_turn(c, round, events)) return;
  uint64_t now = hem__now_ns();
  bool ready = c->ready;
  size_t used = 0;
  view in = {.at = c->in.at, .size = c->in.size};
  if (takes(c) && (ready || (!c->ended && read_more(w, c, &in)))) {
    used = answer_frames(w, c, in, now, &ready);
    keep(c, in, used);
  }
  end_turn(c, ready, used > 0, now);
}
