/* The Unix-domain socket: where it listens, who may connect, and the threads that answer. */
#include "serve/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/threads.h"
#include "serve/socket_parts.h"

enum { CONNECTIONS_MAX = 1024, IN_FLIGHT_MAX = 256, REQUEST_BYTES_MAX = 1 << 26, DEADLINE_MS = 30000, SPIN_US = 200 };
enum { BACKLOG = 512, ACCEPTS = 64, LOOK_MS = 1000, THREADS_MAX = 1024 };
/* Events that are not a connection's. */
static const uint64_t of_listener = UINT64_MAX, of_wake = UINT64_MAX - 1;

/* ---- the file ---- */

static hem_status address_of(const char *path, struct sockaddr_un *out, hem_error *err) {
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (!*path || strlen(path) >= sizeof out->sun_path)
    return hem__fail(err, HEM_EINVAL, "a socket's path has 1 to %zu bytes, '%s' has %zu", sizeof out->sun_path - 1,
                     path, strlen(path));
  memcpy(out->sun_path, path, strlen(path) + 1);
  return HEM_OK;
}

/* A server of ours holds the lock; another program may listen there as well. */
static hem_status check_nobody_listens(const struct sockaddr_un *address, hem_error *err) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return hem__fail_errno(err, "cannot make a socket");
  bool listens = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
  close(fd);
  return listens ? hem__fail(err, HEM_EBUSY, "%s: another program listens there", address->sun_path) : HEM_OK;
}

/* What a server that was killed has left. */
static hem_status remove_stale(const char *path, const struct sockaddr_un *address, hem_error *err) {
  struct stat st;
  if (lstat(path, &st) != 0) return errno == ENOENT ? HEM_OK : hem__fail_errno(err, "%s", path);
  if (!S_ISSOCK(st.st_mode)) return hem__fail(err, HEM_EINVAL, "%s is there and is no socket: name another path", path);
  hem_status status = check_nobody_listens(address, err);
  if (!status && unlink(path) != 0) status = hem__fail_errno(err, "cannot replace %s", path);
  return status;
}

static hem_status take_lock(hem__socket *s, hem_error *err) {
  char *path = NULL;
  hem_status status = hem__print(&path, err, "%s.lock", s->path);
  if (!status) status = hem__lock_take(path, s->path, &s->file_lock, err);
  if (status == HEM_EBUSY) hem__fail(err, status, "%s: another server answers there", s->path);
  free(path);
  return status;
}

/* The file has its mode from the moment it is there: bind() takes that of the socket, and nobody can connect before
 * listen(). */
static hem_status bind_and_listen(hem__socket *s, const struct sockaddr_un *address, hem_error *err) {
  struct stat st;
  s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s->listener < 0) return hem__fail_errno(err, "cannot make a socket");
  if (fchmod(s->listener, s->o.mode) != 0 ||
      bind(s->listener, (const struct sockaddr *)address, sizeof *address) != 0 || lstat(s->path, &st) != 0)
    return hem__fail_errno(err, "cannot make the socket %s", s->path);
  s->device = st.st_dev;
  s->inode = st.st_ino;
  if (chmod(s->path, s->o.mode) != 0 || listen(s->listener, BACKLOG) != 0)
    return hem__fail_errno(err, "cannot listen on %s", s->path);
  return HEM_OK;
}

static hem_status listen_at_path(hem__socket *s, hem_error *err) {
  struct sockaddr_un address;
  hem_status status = address_of(s->path, &address, err);
  if (!status) status = take_lock(s, err);
  if (!status) status = remove_stale(s->path, &address, err);
  return status ? status : bind_and_listen(s, &address, err);
}

/* Handed over by whoever started us. */
static hem_status listen_at_fd(hem__socket *s, int fd, hem_error *err) {
  int domain = 0, type = 0, listening = 0;
  socklen_t a = sizeof domain, b = sizeof type, c = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &a) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &b) ||
      getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &c) || domain != AF_UNIX || type != SOCK_STREAM ||
      !listening)
    return hem__fail(err, HEM_EINVAL, "file descriptor %d is no Unix-domain stream socket that listens", fd);
  /* Several threads accept, and none may wait for what another one took. */
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)) return hem__fail_errno(err, "file descriptor %d", fd);
  s->listener = fd;
  return HEM_OK;
}

/* Only what is still ours: somebody may have put another file there. */
static void remove_file(hem__socket *s) {
  struct stat st;
  if (s->path && s->inode && lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
    unlink(s->path);
  s->inode = 0;
}

/* ---- who connects ---- */

static void watch_listener(hem__socket *s) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = of_listener};
  epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->listener, &event);
}

/* At most `limit`. Returns false where the system has no more descriptors. */
static bool accept_some(hem__socket *s, size_t limit) {
  for (size_t i = 0; i < limit; i++) {
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    hem__connection_open(s, fd);
  }
  return true;
}

/* Without descriptors, at once would be too soon: sweep() looks again. */
static void accept_turn(hem__socket *s) {
  if (atomic_load(&s->stopping)) return;
  if (accept_some(s, ACCEPTS)) {
    watch_listener(s);
  } else {
    atomic_store(&s->tired, true);
  }
}

/* ---- workers ---- */

static bool is_open(hem__socket *s) {
  pthread_mutex_lock(&s->lock);
  bool open = s->open > 0;
  pthread_mutex_unlock(&s->lock);
  return open || atomic_load(&s->tired);
}

/* Once a second, by whoever comes first: connections whose peers keep it waiting. */
static void sweep(hem__socket *s) {
  uint64_t now = hem__now_ns();
  uint_fast64_t last = atomic_load(&s->swept_ns);
  if (now < last + (uint64_t)LOOK_MS * 1000000 || !atomic_compare_exchange_strong(&s->swept_ns, &last, now)) return;
  for (size_t i = 0; i < s->o.connections_max; i++) hem__connection_check_time(&s->connections[i], now);
  if (atomic_exchange(&s->tired, false)) watch_listener(s);
}

/* Waking a thread that sleeps costs more than all else here, and a client that has its answer often asks again at once.
 * So one of the workers that have nothing to do looks for the next request a while before it sleeps: as long as the
 * last one makes likely, twice the time that it let wait; not at all where that was long. So who asks seldom costs
 * nothing. */
static int look(hem__socket *s, struct epoll_event *event) {
  int count = 0;
  if (atomic_load(&s->spin_ns) == 0 || atomic_exchange(&s->looking, true)) return 0;
  /* Another worker may answer meanwhile: it is that answer's next request then. */
  while ((count = epoll_wait(s->epoll, event, 1, 0)) == 0 &&
         hem__now_ns() < atomic_load(&s->answered_ns) + atomic_load(&s->spin_ns))
    sched_yield(); /* whoever else wants this core, the client perhaps, comes first */
  atomic_store(&s->looking, false);
  return count;
}

/* A request has come. */
static void learn(hem__socket *s) {
  uint64_t most = (uint64_t)s->o.spin_us * 1000, gap = hem__now_ns() - atomic_load(&s->answered_ns);
  atomic_store(&s->spin_ns, gap < most ? hem__min(2 * gap + 1000, most) : 0);
}

/* The next event; -1 or 0: there is none yet. */
static int next_event(hem__socket *s, struct epoll_event *event) {
  int count = look(s, event);
  /* While nobody is connected there is nothing to look after. */
  return count ? count : epoll_wait(s->epoll, event, 1, is_open(s) ? LOOK_MS : -1);
}

static void *work(void *argument) {
  hem__socket_worker *w = argument;
  hem__socket *s = w->socket;
  hem__omp_hold(); /* for good: the thread does nothing else */
  for (;;) {
    struct epoll_event event;
    int count = next_event(s, &event);
    if (count > 0 && event.data.u64 == of_wake) return NULL;
    if (count > 0 && event.data.u64 == of_listener) {
      accept_turn(s);
    } else if (count > 0) {
      learn(s);
      hem__connection_turn(w, &s->connections[(uint32_t)event.data.u64], (uint32_t)(event.data.u64 >> 32),
                           event.events);
      atomic_store(&s->answered_ns, hem__now_ns());
    }
    sweep(s);
  }
}

static hem_status start_worker(hem__socket *s, hem_error *err) {
  hem__socket_worker *w = &s->workers[s->worker_count];
  w->socket = s;
  hem_status status = hem__alloc(HEM__READ_BYTES, 1, "a worker", &w->read, err);
  if (status) return status;
  if (pthread_create(&w->thread, NULL, work, w) != 0) {
    free(w->read);
    return hem__fail(err, HEM_ENOMEM, "the system gives no more threads");
  }
  s->worker_count++;
  return HEM_OK;
}

static void stop_workers(hem__socket *s) {
  uint64_t one = 1;
  if (s->wake >= 0) (void)!write(s->wake, &one, sizeof one);
  for (size_t i = 0; i < s->worker_count; i++) {
    hem__socket_worker *w = &s->workers[i];
    pthread_join(w->thread, NULL);
    free(w->read);
    free(w->names.at);
    hem__wire_writer_clear(&w->writer);
  }
  s->worker_count = 0;
}

/* ---- start and stop ---- */

static hem_status watch(hem__socket *s, int fd, uint64_t what, uint32_t events, hem_error *err) {
  struct epoll_event event = {.events = events, .data.u64 = what};
  return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) ? hem__fail_errno(err, "cannot wait for events") : HEM_OK;
}

static hem_status make_connections(hem__socket *s, hem_error *err) {
  hem_status status = hem__alloc(s->o.connections_max, sizeof *s->connections, "connections", &s->connections, err);
  for (size_t i = s->o.connections_max; i-- > 0 && !status;) {
    hem__connection *c = &s->connections[i];
    pthread_mutex_init(&c->lock, NULL);
    c->socket = s;
    c->number = (uint32_t)i;
    c->fd = -1;
    c->next = s->free;
    s->free = c;
  }
  return status;
}

static hem_status make_epoll(hem__socket *s, hem_error *err) {
  s->epoll = epoll_create1(EPOLL_CLOEXEC);
  s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s->epoll < 0 || s->wake < 0) return hem__fail_errno(err, "cannot wait for events");
  return watch(s, s->wake, of_wake, EPOLLIN, err);
}

static void copy_options(hem__socket *s, const hem__socket_options *o) {
  s->o = *o;
  if (!s->o.mode) s->o.mode = 0600;
  if (!s->o.threads) s->o.threads = hem__cores();
  s->o.threads = hem__min(s->o.threads, THREADS_MAX);
  if (!s->o.connections_max) s->o.connections_max = CONNECTIONS_MAX;
  s->o.connections_max = hem__min(s->o.connections_max, UINT32_MAX - 1);
  if (!s->o.in_flight_max) s->o.in_flight_max = IN_FLIGHT_MAX;
  if (!s->o.request_bytes_max) s->o.request_bytes_max = REQUEST_BYTES_MAX;
  if (!s->o.spin_us) s->o.spin_us = SPIN_US;
  if (s->o.spin_us == UINT_MAX || sysconf(_SC_NPROCESSORS_ONLN) == 1) s->o.spin_us = 0;
  if (!s->o.deadline_ms) s->o.deadline_ms = DEADLINE_MS;
}

static void socket_free(hem__socket *s) {
  stop_workers(s);
  remove_file(s);
  if (s->listener >= 0) close(s->listener);
  if (s->epoll >= 0) close(s->epoll);
  if (s->wake >= 0) close(s->wake);
  hem__lock_drop(&s->file_lock);
  for (size_t i = 0; s->connections && i < s->o.connections_max; i++) pthread_mutex_destroy(&s->connections[i].lock);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->closed);
  free(s->connections);
  free(s->workers);
  free(s->path);
  free(s);
}

static hem_status start(hem__socket *s, hem_error *err) {
  hem_status status = make_connections(s, err);
  if (!status) status = make_epoll(s, err);
  if (!status && s->o.path) status = hem__strdup(s->o.path, &s->path, err);
  if (!status) status = s->path ? listen_at_path(s, err) : listen_at_fd(s, s->o.fd, err);
  if (!status) status = watch(s, s->listener, of_listener, EPOLLIN | EPOLLONESHOT, err);
  if (!status) status = hem__alloc(s->o.threads, sizeof *s->workers, "workers", &s->workers, err);
  while (!status && s->worker_count < s->o.threads) status = start_worker(s, err);
  return status;
}

hem_status hem__socket_start(hem__service *service, const hem__socket_options *options, hem__socket **out,
                             hem_error *err) {
  hem__socket *s = NULL;
  pthread_condattr_t clock;
  hem_status status = hem__alloc(1, sizeof *s, "a socket", &s, err);
  if (status) return status;
  s->service = service;
  s->listener = s->epoll = s->wake = s->file_lock.fd = -1;
  pthread_mutex_init(&s->lock, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&s->closed, &clock);
  pthread_condattr_destroy(&clock);
  copy_options(s, options);
  status = start(s, err);
  if (status) {
    socket_free(s);
  } else {
    *out = s;
  }
  return status;
}

/* Until all connections are closed, or the time is over. */
static void wait_for_answers(hem__socket *s, unsigned grace_ms) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += grace_ms / 1000;
  until.tv_nsec += (long)(grace_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&s->lock);
  while (s->open && pthread_cond_timedwait(&s->closed, &s->lock, &until) == 0) continue;
  pthread_mutex_unlock(&s->lock);
}

/* Cut connections close as soon as nobody is at them; photos that wait are let go unanswered. */
static void wait_for_end(hem__socket *s) {
  pthread_mutex_lock(&s->lock);
  while (s->open || s->jobs) pthread_cond_wait(&s->closed, &s->lock);
  pthread_mutex_unlock(&s->lock);
}

void hem__socket_stop(hem__socket *s, unsigned grace_ms) {
  if (!s) return;
  remove_file(s);
  atomic_store(&s->stopping, true);
  accept_some(s, BACKLOG);                       /* who has connected by now may have asked */
  if (s->path) shutdown(s->listener, SHUT_RDWR); /* else somebody else may go on to listen there */
  for (size_t i = 0; i < s->o.connections_max; i++) hem__connection_end_input(&s->connections[i]);
  wait_for_answers(s, grace_ms);
  for (size_t i = 0; i < s->o.connections_max; i++) hem__connection_cut(&s->connections[i]);
  wait_for_end(s);
  socket_free(s);
}
