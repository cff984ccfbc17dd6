/* bench_slow UNIX_PATH HTTP_PORT [-c CLIENTS] [-r ROUNDS] [-s SECONDS] [-w]: what a good client notices of clients that
 * send one byte a second.
 *
 * In each round the good client asks for vectors, one after the other on a connection of its own, for SECONDS alone and
 * for SECONDS beside CLIENTS (200) slow ones, in turns; what is compared are the two halves of a round, and the median
 * round is printed. Half of the slow clients are slow in a request's head, the others in its body; every few
 * milliseconds one of them has its turn. -w: at the end waits until the server has cut every one of them, and says how
 * long that took. A line of JSON for each of HTTP and the Unix socket; exit status 1 where a question failed or, with
 * -w, a slow client was not cut within a minute. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "bench/http_client.h"

enum { CLIENTS_MAX = 480, ROUNDS_MAX = 99, WAIT_S = 60, SETTLE_MS = 300 };

typedef struct slow {
  int fd;      /* -1: cut */
  size_t sent; /* bytes */
  double cut_s;
} slow;

/* A way in. */
typedef struct door {
  const char *name;
  bool http;
  const char *path;
  uint16_t port;
  size_t dim;
  float *vector; /* [dim] */
  double *us;
  size_t us_capacity;
} door;

typedef struct drip {
  const door *d;
  slow at[CLIENTS_MAX];
  size_t count, cut;
  uint64_t begun_ns;
  atomic_bool stop;
  pthread_t thread;
} drip;

typedef struct phase {
  double p50, p99, qps;
} phase;

static void wait_ms(unsigned ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, by_value);
  return values[count / 2];
}

/* ---- the slow ones ---- */

static int dial(const door *d) {
  struct sockaddr_in tcp = {
      .sin_family = AF_INET, .sin_port = htons(d->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un local = {.sun_family = AF_UNIX};
  snprintf(local.sun_path, sizeof local.sun_path, "%s", d->path);
  int fd = socket(d->http ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const struct sockaddr *to = d->http ? (const struct sockaddr *)&tcp : (const struct sockaddr *)&local;
  if (fd >= 0 && connect(fd, to, d->http ? sizeof tcp : sizeof local) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* The byte at this place of a request; `body`: of one whose head is short. */
static char byte_at(const door *d, size_t place) {
  static const char frame[16] = "HM\1\1\0\0\1\0\7", head[] = "GET /healthz HTTP/1.1\r\nHost: a\r\nX: ";
  if (d->http) return place < sizeof head - 1 ? head[place] : 'a';
  return place < sizeof frame ? frame[place] : 0;
}

/* Where this one is slow in the body, its head goes out at once. */
static void send_head(const door *d, slow *s) {
  static const char http[] =
      "POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: 4000\r\n\r\n";
  char frame[16];
  for (size_t i = 0; i < sizeof frame; i++) frame[i] = byte_at(d, i);
  s->sent = d->http ? sizeof http - 1 : sizeof frame;
  (void)!send(s->fd, d->http ? http : frame, s->sent, MSG_NOSIGNAL);
}

static void cut(drip *p, slow *s) {
  close(s->fd);
  s->fd = -1;
  s->cut_s = (double)(hem__now_ns() - p->begun_ns) / 1e9;
  p->cut++;
}

/* One byte out, or the end where the server has had enough. */
static void take_turn(drip *p, slow *s) {
  char said[1024], byte = byte_at(p->d, s->sent);
  ssize_t got;
  if (s->fd < 0) return;
  while ((got = recv(s->fd, said, sizeof said, MSG_DONTWAIT)) > 0) continue;
  if (got == 0 || errno != EAGAIN || send(s->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
    cut(p, s);
  } else {
    s->sent++;
  }
}

static void *keep_dripping(void *context) {
  drip *p = context;
  for (size_t i = 0; !atomic_load(&p->stop) && p->cut < p->count; i++) {
    uint64_t due = p->begun_ns + (uint64_t)i * 1000000000u / p->count, now = hem__now_ns();
    if (now < due) nanosleep(&(struct timespec){.tv_nsec = (long)(due - now)}, NULL);
    take_turn(p, &p->at[i % p->count]);
  }
  return NULL;
}

static hem_status drip_start(drip *p, const door *d, size_t count, hem_error *err) {
  p->d = d;
  p->count = p->cut = 0;
  for (; p->count < count; p->count++) {
    slow *s = &p->at[p->count];
    *s = (slow){.fd = dial(d)};
    if (s->fd < 0) return hem__fail_errno(err, "the server takes no more than %zu slow clients", p->count);
    if (p->count % 2) send_head(d, s);
  }
  p->begun_ns = hem__now_ns();
  atomic_store(&p->stop, false);
  pthread_create(&p->thread, NULL, keep_dripping, p);
  return HEM_OK;
}

static void drip_stop(drip *p) {
  atomic_store(&p->stop, true);
  pthread_join(p->thread, NULL);
  for (size_t i = 0; i < p->count; i++)
    if (p->at[i].fd >= 0) close(p->at[i].fd);
}

/* ---- the good one ---- */

typedef struct good {
  hem_client *client;
  hem__http_client http;
} good;

static hem_status good_open(const door *d, good *g, hem_error *err) {
  *g = (good){.http = {.fd = -1}};
  return d->http ? hem__http_client_open(d->port, &g->http, err) : hem_client_open(d->path, NULL, &g->client, err);
}

static void good_close(good *g) {
  hem_client_close(g->client);
  hem__http_client_close(&g->http);
}

static hem_status ask(const door *d, good *g, hem_error *err) {
  hem_answer answer;
  unsigned code = 0;
  if (!d->http) return hem_client_search(g->client, d->vector, d->dim, NULL, &answer, err);
  hem_status status = hem__http_client_post(&g->http,
                                            &(hem__http_post){.path = "/v1/query",
                                                              .type = "application/octet-stream",
                                                              .body = d->vector,
                                                              .size = d->dim * sizeof *d->vector},
                                            &code, err);
  return !status && code != 200 ? hem__fail(err, HEM_EIO, "HTTP %u: %.300s", code, g->http.answer) : status;
}

static hem_status play(door *d, double seconds, phase *out, hem_error *err) {
  good g;
  size_t count = 0;
  hem_status status = good_open(d, &g, err);
  for (int i = 0; i < 50 && !status; i++) status = ask(d, &g, err);
  uint64_t begun = hem__now_ns(), from = begun, end = begun + (uint64_t)(seconds * 1e9);
  while (!status && from < end) {
    status = ask(d, &g, err);
    uint64_t to = hem__now_ns();
    if (!status) status = hem__grow(&d->us, &d->us_capacity, count + 1, sizeof *d->us, "times", err);
    if (!status) d->us[count++] = (double)(to - from) / 1e3;
    from = to;
  }
  good_close(&g);
  if (status) return status;
  qsort(d->us, count, sizeof *d->us, by_value);
  *out = (phase){
      .p50 = d->us[count / 2], .p99 = d->us[count * 99 / 100], .qps = (double)count / (double)(from - begun) * 1e9};
  return HEM_OK;
}

static hem_status play_beside(door *d, drip *p, size_t clients, double seconds, phase *out, hem_error *err) {
  hem_status status = drip_start(p, d, clients, err);
  if (status) return status;
  wait_ms(SETTLE_MS);
  status = play(d, seconds, out, err);
  if (!status && p->cut) status = hem__fail(err, HEM_EIO, "%zu slow clients were cut while the good one asked", p->cut);
  drip_stop(p);
  wait_ms(SETTLE_MS);
  return status;
}

/* ---- the whole ---- */

typedef struct plan {
  size_t clients, rounds;
  double seconds;
  bool wait;
} plan;

/* True: all of them. */
static bool wait_for_cuts(door *d, drip *p, size_t clients) {
  hem_error err;
  double first = INFINITY, last = 0;
  if (drip_start(p, d, clients, &err)) return false;
  uint64_t end = p->begun_ns + (uint64_t)WAIT_S * 1000000000u;
  while (hem__now_ns() < end && pthread_tryjoin_np(p->thread, NULL) != 0) wait_ms(50);
  atomic_store(&p->stop, true);
  if (p->cut < p->count) pthread_join(p->thread, NULL);
  for (size_t i = 0; i < p->count; i++) {
    if (p->at[i].fd >= 0) continue;
    first = fmin(first, p->at[i].cut_s);
    last = fmax(last, p->at[i].cut_s);
  }
  printf(", \"cut\": %zu, \"first_cut_s\": %.1f, \"last_cut_s\": %.1f", p->cut, first, last);
  return p->cut == p->count;
}

static void print_ratio(const char *what, const phase *alone, const phase *beside, size_t rounds, size_t offset) {
  double a[ROUNDS_MAX], b[ROUNDS_MAX], ratio[ROUNDS_MAX];
  for (size_t i = 0; i < rounds; i++) {
    memcpy(&a[i], (const char *)&alone[i] + offset, sizeof *a);
    memcpy(&b[i], (const char *)&beside[i] + offset, sizeof *b);
    ratio[i] = b[i] / a[i];
  }
  printf(", \"%s_alone\": %.1f, \"%s_beside\": %.1f, \"%s_ratio\": %.3f", what, median(a, rounds), what,
         median(b, rounds), what, median(ratio, rounds));
  printf(", \"%s_ratio_least\": %.3f, \"%s_ratio_most\": %.3f", what, ratio[0], what, ratio[rounds - 1]);
}

static hem_status measure(door *d, const plan *o, bool *fine, hem_error *err) {
  static drip p;
  static phase alone[ROUNDS_MAX], beside[ROUNDS_MAX];
  hem_status status = HEM_OK;
  for (size_t i = 0; i < o->rounds && !status; i++) {
    if (i % 2) status = play_beside(d, &p, o->clients, o->seconds, &beside[i], err);
    if (!status) status = play(d, o->seconds, &alone[i], err);
    if (i % 2 == 0 && !status) status = play_beside(d, &p, o->clients, o->seconds, &beside[i], err);
  }
  if (status) return status;
  printf("{\"door\": \"%s\", \"clients\": %zu, \"rounds\": %zu", d->name, o->clients, o->rounds);
  print_ratio("p50_us", alone, beside, o->rounds, offsetof(phase, p50));
  print_ratio("p99_us", alone, beside, o->rounds, offsetof(phase, p99));
  print_ratio("qps", alone, beside, o->rounds, offsetof(phase, qps));
  if (o->wait) *fine &= wait_for_cuts(d, &p, o->clients);
  puts("}");
  return HEM_OK;
}

static hem_status prepare(door *d, hem_error *err) {
  hem_client *client = NULL;
  hem_engine_info info;
  hem_status status = hem_client_open(d->path, NULL, &client, err);
  if (!status) status = hem_client_info(client, &info, err);
  if (!status) d->dim = info.dim;
  if (!status) status = hem__alloc(d->dim, sizeof *d->vector, "a vector", &d->vector, err);
  for (size_t i = 0; i < d->dim && !status; i++) d->vector[i] = (float)((i * 7919) % 101) / 101;
  hem_client_close(client);
  return status;
}

static bool read_options(plan *p, int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "c:r:s:w")) != -1;) {
    if (option == 'c') p->clients = strtoul(optarg, NULL, 10);
    if (option == 'r') p->rounds = strtoul(optarg, NULL, 10);
    if (option == 's') p->seconds = strtod(optarg, NULL);
    if (option == 'w') p->wait = true;
    if (option == '?') return false;
  }
  return optind == argc - 2 && p->clients && p->clients <= CLIENTS_MAX && p->rounds && p->rounds <= ROUNDS_MAX &&
         p->seconds > 0;
}

int main(int argc, char **argv) {
  plan o = {.clients = 200, .rounds = 9, .seconds = 1};
  bool fine = true;
  hem_error err;
  if (!read_options(&o, argc, argv)) {
    fputs("Usage: bench_slow UNIX_PATH HTTP_PORT [-c CLIENTS] [-r ROUNDS] [-s SECONDS] [-w]\n", stderr);
    return 2;
  }
  door d = {.path = argv[optind], .port = (uint16_t)strtoul(argv[optind + 1], NULL, 10)};
  hem_status status = prepare(&d, &err);
  for (int http = 1; http >= 0 && !status; http--) {
    d.http = http;
    d.name = http ? "http" : "unix";
    status = measure(&d, &o, &fine, &err);
    fflush(stdout);
  }
  if (status) fprintf(stderr, "bench_slow: %s\n", err.message);
  free(d.us);
  free(d.vector);
  return status || !fine ? 1 : 0;
}
