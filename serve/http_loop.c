#include "serve/http_loop.h"

#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"

enum { LOOK_NS = 200000, WAIT_MS = 1000 };

/* A connection on its way to the loop's thread: libmicrohttpd adds one in the thread that calls it. */
typedef struct newcomer {
  int fd;
  struct sockaddr_storage address;
  socklen_t size;
  struct newcomer *next;
} newcomer;

struct hem__http_loop {
  struct MHD_Daemon *daemon;
  hem__door *door;
  int epoll, wake;
  pthread_t thread;
  _Atomic(newcomer *) newcomers; /* the last one first */
  atomic_bool stop, *looking;
  uint64_t answered_ns, look_ns; /* when the last answer went out; how long to look for the next request */
};

static _Thread_local hem__http_loop *mine;

/* ---- how long to look ---- */

/* Where the next request came soon, the one after it is looked for twice as long; else there is no use in it. */
void hem__http_loop_asked(void) {
  if (!mine) return;
  uint64_t gap = hem__now_ns() - mine->answered_ns;
  mine->look_ns = gap < LOOK_NS ? hem__min(2 * gap + 1000, LOOK_NS) : 0;
}

void hem__http_loop_answered(void) {
  if (!mine) return;
  mine->answered_ns = hem__now_ns();
}

/* True while the next request is looked for; whoever wants the core gets it. */
static bool look(hem__http_loop *l, bool *holding) {
  bool wanted = l->look_ns && hem__now_ns() < l->answered_ns + l->look_ns;
  if (wanted && !*holding) *holding = !atomic_exchange(l->looking, true);
  if (wanted && *holding) {
    sched_yield();
    return true;
  }
  if (*holding) atomic_store(l->looking, false);
  *holding = false;
  return false;
}

/* ---- the thread ---- */

static void take_in(hem__http_loop *l) {
  if (!atomic_load(&l->newcomers)) return;
  newcomer *first = atomic_exchange(&l->newcomers, NULL);
  for (newcomer *next; first; first = next) {
    next = first->next;
    /* Closes it, where it fails. */
    MHD_add_connection(l->daemon, first->fd, (const struct sockaddr *)&first->address, first->size);
    hem__door_arrived(l->door);
    free(first);
  }
}

static void sleep_until_woken(hem__http_loop *l) {
  struct pollfd waits[2] = {{.fd = l->epoll, .events = POLLIN}, {.fd = l->wake, .events = POLLIN}};
  MHD_UNSIGNED_LONG_LONG most = WAIT_MS;
  uint64_t count;
  if (MHD_get_timeout(l->daemon, &most) != MHD_YES || most > WAIT_MS) most = WAIT_MS;
  if (poll(waits, 2, (int)most) > 0 && waits[1].revents) (void)!read(l->wake, &count, sizeof count);
}

static void *run(void *argument) {
  hem__http_loop *l = mine = argument;
  bool holding = false;
  hem__omp_hold(); /* for good: the thread does nothing else */
  while (!atomic_load(&l->stop)) {
    take_in(l); /* also while it looks: a client that asks without a pause keeps nobody out */
    MHD_run(l->daemon);
    if (!look(l, &holding)) sleep_until_woken(l);
  }
  if (holding) atomic_store(l->looking, false);
  take_in(l); /* whom the daemon knows, it closes when it stops */
  return NULL;
}

/* ---- from outside ---- */

static void wake(hem__http_loop *l) {
  uint64_t one = 1;
  (void)!write(l->wake, &one, sizeof one); /* where it would block, the thread is awake */
}

void hem__http_loop_add(hem__http_loop *l, int fd, const struct sockaddr *address, socklen_t size) {
  newcomer *n = NULL;
  if (size > sizeof n->address || hem__alloc(1, sizeof *n, "a connection", &n, NULL)) {
    close(fd);
    hem__door_arrived(l->door);
    return;
  }
  n->fd = fd;
  n->size = size;
  memcpy(&n->address, address, size);
  n->next = atomic_load(&l->newcomers);
  while (!atomic_compare_exchange_weak(&l->newcomers, &n->next, n)) continue;
  wake(l);
}

static void loop_free(hem__http_loop *l) {
  if (l->wake >= 0) close(l->wake);
  free(l);
}

hem_status hem__http_loop_start(struct MHD_Daemon *daemon, hem__door *door, atomic_bool *looking, hem__http_loop **out,
                                hem_error *err) {
  hem__http_loop *l = NULL;
  hem_status status = hem__alloc(1, sizeof *l, "a thread", &l, err);
  if (status) return status;
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  l->daemon = daemon;
  l->door = door;
  l->looking = looking;
  l->epoll = info ? info->epoll_fd : -1;
  l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (l->epoll < 0 || l->wake < 0)
    status = hem__fail_errno(err, "cannot wait for connections");
  else if (pthread_create(&l->thread, NULL, run, l) != 0)
    status = hem__fail(err, HEM_ENOMEM, "the system gives no more threads");
  if (status) {
    loop_free(l);
  } else {
    *out = l;
  }
  return status;
}

void hem__http_loop_stop(hem__http_loop *l) {
  if (!l) return;
  atomic_store(&l->stop, true);
  wake(l);
  pthread_join(l->thread, NULL);
  loop_free(l);
}
