#include "serve/http_door.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* glibc's own tcp_info ends before the count of bytes */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "serve/http_exchange.h"

enum { TCP_CLOSE_WAIT = 8 }; /* of the kernel's tcp_states.h, which no header hands out beside linux/tcp.h */
enum { LINGERERS = 64, LINGER_MS = 2000, LINGER_BYTES = 8 << 20, PAUSE_MS = 100, OVER_MS = 20, REST = 9 };

/* A connection that is over but for what the client still sends: were it closed, the client's system would be told to
 * forget what it was sent last. */
typedef struct lingerer {
  int fd;
  uint64_t until_ms;
  size_t bytes; /* that are still taken */
} lingerer;

struct hem__door {
  hem__door_options o;
  pthread_t thread;
  bool open; /* the thread runs */
  int wake;  /* eventfd */
  atomic_bool shut, ending;
  uint64_t pause_until_ms; /* the system has no file descriptors left */
  pthread_mutex_t lock;    /* guards what follows; a guest in the list has an open fd. Nothing slow is done under it */
  hem__guest *guests;
  size_t count,
      coming; /* coming: handed over, and not arrived: they have their place, or a rush would exceed the most */
  lingerer lingerers[LINGERERS];
  size_t lingering;
};

static uint64_t now_ms(void) { return hem__http_now_ns() / 1000000; }

static void wake(hem__door *door) {
  ssize_t written = write(door->wake, &(uint64_t){1}, sizeof(uint64_t));
  (void)written; /* full: it wakes anyway */
}

/* ---- a refusal without a parser ---- */

static void send_refusal(int fd, unsigned status, const char *why) {
  hem__text body = {0};
  char head[256];
  hem__error_text(&body, status, NULL, why);
  int size = snprintf(head, sizeof head,
                      "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                      "Connection: close\r\n%s\r\n",
                      status, hem__http_reason(status), body.size, status == 503 ? "Retry-After: 1\r\n" : "");
  struct iovec parts[2] = {{head, (size_t)size}, {body.at, body.size}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  (void)sent; /* who does not take it gets none */
  hem__text_clear(&body);
}

/* Takes the fd. Under the lock. */
static void add_lingerer(hem__door *door, int fd) {
  if (fd < 0) return;
  if (door->lingering == LINGERERS) {
    close(fd);
    return;
  }
  shutdown(fd, SHUT_WR);
  door->lingerers[door->lingering++] = (lingerer){fd, now_ms() + LINGER_MS, LINGER_BYTES};
}

/* ---- guests ---- */

void hem__guest_enter(hem__guest *guest, hem__door *door, int fd) {
  guest->door = door;
  guest->fd = fd;
  guest->linger = false;
  guest->over_ms = 0;
  guest->seen_requests = 0;
  guest->seen_bytes = 0;
  atomic_store(&guest->requests, 0);
  atomic_store(&guest->state, HEM__GUEST_WAITING);
  atomic_store(&guest->since_ms, now_ms());
  pthread_mutex_lock(&door->lock);
  guest->previous = NULL;
  guest->next = door->guests;
  if (door->guests) door->guests->previous = guest;
  door->guests = guest;
  door->count++;
  pthread_mutex_unlock(&door->lock);
}

void hem__guest_leave(hem__guest *guest) {
  hem__door *door = guest->door;
  pthread_mutex_lock(&door->lock);
  if (guest->next) guest->next->previous = guest->previous;
  if (guest->previous) {
    guest->previous->next = guest->next;
  } else {
    door->guests = guest->next;
  }
  door->count--;
  if (guest->linger) add_lingerer(door, dup(guest->fd));
  pthread_mutex_unlock(&door->lock);
  if (guest->linger) wake(door);
}

void hem__guest_begin(hem__guest *guest) {
  if (!atomic_load_explicit(&guest->since_ms, memory_order_relaxed)) atomic_store(&guest->since_ms, now_ms());
}

bool hem__guest_answer(hem__guest *guest) {
  int waiting = HEM__GUEST_WAITING;
  return atomic_compare_exchange_strong(&guest->state, &waiting, HEM__GUEST_ANSWERED);
}

void hem__guest_send(hem__guest *guest) {
  atomic_store(&guest->since_ms, now_ms());
  atomic_store(&guest->state, HEM__GUEST_SENDING);
}

void hem__guest_rest(hem__guest *guest) {
  atomic_fetch_add(&guest->requests, 1);
  atomic_store(&guest->since_ms, 0);
  int sending = HEM__GUEST_SENDING;
  atomic_compare_exchange_strong(&guest->state, &sending, HEM__GUEST_WAITING);
}

void hem__guest_refuse(hem__guest *guest, unsigned status, const char *why) {
  int waiting = HEM__GUEST_WAITING;
  if (!atomic_compare_exchange_strong(&guest->state, &waiting, HEM__GUEST_CUT)) return;
  guest->linger = true;
  send_refusal(guest->fd, status, why);
}

/* ---- the door's thread ---- */

static void cut(hem__guest *guest) { shutdown(guest->fd, SHUT_RDWR); }

typedef struct line {
  uint64_t bytes; /* that ever came in; 0: not known (not TCP) */
  bool over;      /* the client will send no more, and all of it has been read */
} line;

static line look_at_line(int fd) {
  struct tcp_info info = {0};
  socklen_t size = sizeof info;
  int unread = 0;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return (line){0};
  bool over = info.tcpi_state == TCP_CLOSE_WAIT && ioctl(fd, SIOCINQ, &unread) == 0 && !unread;
  return (line){info.tcpi_bytes_received, over};
}

/* A connection that is kept begins its next request with its first byte, which nobody announces: the door sees that
 * more has come in than when the last one was over. */
static void look_for_begin(hem__guest *guest, uint64_t bytes, uint64_t now) {
  uint32_t requests = (uint32_t)atomic_load(&guest->requests);
  uint64_t none = 0;
  if (requests != guest->seen_requests) {
    guest->seen_requests = requests;
    guest->seen_bytes = bytes;
  } else if (bytes != guest->seen_bytes) {
    atomic_compare_exchange_strong(&guest->since_ms, &none, now);
  }
}

static void end(hem__guest *guest, bool say_why) {
  int waiting = HEM__GUEST_WAITING;
  if (!atomic_compare_exchange_strong(&guest->state, &waiting, HEM__GUEST_CUT)) return;
  if (say_why) {
    guest->linger = true;
    send_refusal(guest->fd, 408, "the request did not come in in time");
  }
  cut(guest);
}

/* A line that is over, and has been for a while (what was read last may not have been understood yet): libmicrohttpd
 * does not see that a client is done where it learns it in one with the last bytes (epoll tells once, and it reads
 * once). */
static void look_at_waiting(hem__door *door, hem__guest *guest, uint64_t since, uint64_t now) {
  line l = look_at_line(guest->fd);
  if (!l.over) guest->over_ms = 0;
  if (l.over && !guest->over_ms) guest->over_ms = now;
  if (l.over && now >= guest->over_ms + OVER_MS) {
    end(guest, since != 0);
  } else if (since && now > since + door->o.deadline_ms) {
    end(guest, l.bytes > 0);
  } else if (!since) {
    if (atomic_load(&door->shut)) cut(guest);
    look_for_begin(guest, l.bytes, now);
  }
}

static void look_at(hem__door *door, hem__guest *guest, uint64_t now) {
  int state = atomic_load(&guest->state);
  uint64_t since = atomic_load(&guest->since_ms);
  if (state == HEM__GUEST_SENDING && since && now > since + UINT64_C(6) * door->o.deadline_ms) cut(guest);
  if (state == HEM__GUEST_WAITING) {
    look_at_waiting(door, guest, since, now);
  } else {
    guest->over_ms = 0;
  }
}

static void look_after_guests(hem__door *door) {
  uint64_t now = now_ms();
  pthread_mutex_lock(&door->lock);
  for (hem__guest *guest = door->guests; guest; guest = guest->next) look_at(door, guest, now);
  pthread_mutex_unlock(&door->lock);
}

/* True: it is over. */
static bool drain(lingerer *l, uint64_t now) {
  static char sink[1 << 16]; /* one thread, and nobody reads it */
  for (;;) {
    ssize_t size = recv(l->fd, sink, sizeof sink, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR) || now > l->until_ms) return true;
    if (size < 0) return false;
    if ((size_t)size >= l->bytes) return true;
    l->bytes -= (size_t)size;
  }
}

static void look_after_lingerers(hem__door *door) {
  uint64_t now = now_ms();
  pthread_mutex_lock(&door->lock);
  for (size_t i = 0; i < door->lingering;) {
    if (drain(&door->lingerers[i], now)) {
      close(door->lingerers[i].fd);
      door->lingerers[i] = door->lingerers[--door->lingering];
    } else {
      i++;
    }
  }
  pthread_mutex_unlock(&door->lock);
}

static void turn_away(hem__door *door, int fd) {
  send_refusal(fd, 503, "too many connections");
  pthread_mutex_lock(&door->lock);
  add_lingerer(door, fd);
  pthread_mutex_unlock(&door->lock);
}

/* A place for one more. */
static bool make_place(hem__door *door) {
  pthread_mutex_lock(&door->lock);
  bool place = door->count + door->coming < door->o.connections_max;
  door->coming += place;
  pthread_mutex_unlock(&door->lock);
  return place;
}

void hem__door_arrived(hem__door *door) {
  pthread_mutex_lock(&door->lock);
  door->coming--;
  pthread_mutex_unlock(&door->lock);
}

static void let_in(hem__door *door) {
  for (int i = 0; i < 64 && !atomic_load(&door->shut); i++) { /* then others are looked after */
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd = accept4(door->o.fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        door->pause_until_ms = now_ms() + PAUSE_MS;
      return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (make_place(door)) {
      door->o.take_in(door->o.context, fd, (struct sockaddr *)&address, size);
    } else {
      turn_away(door, fd);
    }
  }
}

/* How long nothing needs to be looked after: for ever, where nobody is there. */
static int patience(hem__door *door, size_t lingering) {
  unsigned often = door->o.deadline_ms / 8;
  if (!hem__door_guests(door) && !lingering && now_ms() >= door->pause_until_ms) return -1;
  return often < 5 ? 5 : often > 100 ? 100 : (int)often;
}

static size_t poll_all(hem__door *door, struct pollfd *waits) {
  bool listening = !atomic_load(&door->shut) && now_ms() >= door->pause_until_ms;
  waits[0] = (struct pollfd){.fd = door->wake, .events = POLLIN};
  waits[1] = (struct pollfd){.fd = listening ? door->o.fd : -1, .events = POLLIN};
  pthread_mutex_lock(&door->lock);
  size_t lingering = door->lingering;
  for (size_t i = 0; i < lingering; i++) waits[2 + i] = (struct pollfd){.fd = door->lingerers[i].fd, .events = POLLIN};
  pthread_mutex_unlock(&door->lock);
  poll(waits, (nfds_t)(2 + lingering), patience(door, lingering));
  return lingering;
}

static void *watch(void *argument) {
  hem__door *door = argument;
  struct pollfd waits[2 + LINGERERS];
  uint64_t next = 0; /* however many come and go, a tenth of a core is for looking at those inside */
  while (!atomic_load(&door->ending)) {
    uint64_t ignored;
    size_t lingering = poll_all(door, waits);
    if (waits[0].revents && read(door->wake, &ignored, sizeof ignored) < 0 && errno != EAGAIN) break;
    if (waits[1].revents) let_in(door);
    if (lingering) look_after_lingerers(door);
    uint64_t begun = hem__http_now_ns();
    if (begun < next && !(atomic_load(&door->shut) && waits[0].revents)) continue;
    look_after_guests(door);
    next = hem__http_now_ns() + REST * (hem__http_now_ns() - begun);
  }
  return NULL;
}

/* ---- from the outside ---- */

hem_status hem__door_new(const hem__door_options *options, hem__door **out, hem_error *err) {
  hem__door *door = NULL;
  hem_status status = hem__alloc(1, sizeof *door, "connections", &door, err);
  if (status) {
    close(options->fd);
    return status;
  }
  door->o = *options;
  door->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&door->lock, NULL);
  if (door->wake < 0) {
    status = hem__fail_errno(err, "cannot listen");
    hem__door_close(door);
  } else {
    *out = door;
  }
  return status;
}

hem_status hem__door_open(hem__door *door, hem_error *err) {
  door->open = pthread_create(&door->thread, NULL, watch, door) == 0;
  return door->open ? HEM_OK : hem__fail(err, HEM_ENOMEM, "the system gives no more threads");
}

size_t hem__door_guests(hem__door *door) {
  pthread_mutex_lock(&door->lock);
  size_t count = door->count + door->coming;
  pthread_mutex_unlock(&door->lock);
  return count;
}

void hem__door_shut(hem__door *door) {
  atomic_store(&door->shut, true);
  wake(door);
}

void hem__door_clear(hem__door *door) {
  pthread_mutex_lock(&door->lock);
  for (hem__guest *guest = door->guests; guest; guest = guest->next) cut(guest);
  pthread_mutex_unlock(&door->lock);
}

void hem__door_end(hem__door *door) {
  atomic_store(&door->ending, true);
  wake(door);
  if (door->open) pthread_join(door->thread, NULL);
  door->open = false;
}

void hem__door_close(hem__door *door) {
  if (!door) return;
  hem__door_end(door);
  for (size_t i = 0; i < door->lingering; i++) close(door->lingerers[i].fd);
  pthread_mutex_destroy(&door->lock);
  if (door->wake >= 0) close(door->wake);
  close(door->o.fd);
  free(door);
}
