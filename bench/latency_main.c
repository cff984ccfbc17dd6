/* bench_latency STORE [-c CLIENTS] [-s SECONDS] [-k K] [-p] [-n]: what a question costs over the Unix socket, compared
 * with the same call in the asking process. -p: by distance only, without the metric. -n: the server's threads sleep as
 * soon as nobody asks.
 *
 * The server is a process of its own, started by this one. Two parts.
 *
 * Alone: one client. Everything that asks is pinned to one core and the server to another. In each round all queries
 * are asked one way, then the other; what is compared are pairs of the same query in the same round. What a way costs
 * beyond the search itself, which the server tells, stands beside it.
 *
 * The clients table: 1, 2, 4 ... CLIENTS clients, a thread each, ask as fast as they are answered; nothing is pinned,
 * both sides share all cores. In the asking process there is one thread a core, or one a client where these are fewer:
 * more would only queue. The ways take turns, in rounds of SECONDS, and the median round is printed.
 *
 * Other programs on the machine disturb times, but hardly CPU time: that of both processes is printed as well. */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/threads.h"
#include "bench/http_client.h"
#include "ingest/catalog.h"
#include "serve/http.h"
#include "serve/socket.h"

enum { QUERIES = 256, LONE_ROUNDS = 12, ROUNDS = 3, CLIENTS_MAX = 256, TIMES_MAX = 1 << 20 };

/* A server, in a process of its own. */
typedef struct peer {
  pid_t process;
  int end; /* closed, it stops */
  char socket[64];
  uint16_t port; /* of HTTP; 0: there is none */
} peer;

typedef struct bench {
  const char *store;
  hem_search_options options;
  hem_engine *engine;
  hem_engine_info info;
  hem__catalog *catalog;
  const float *queries[QUERIES];
  size_t query_count, clients;
  double seconds;
  unsigned spin_us; /* of the servers */
  peer servers[2];  /* pinned to a core, and free */
  const peer *server;
} bench;

/* ---- the ways to ask ---- */

typedef struct way {
  const char *name;
  bool remote; /* the server's CPU time counts */
  hem_status (*open)(const bench *b, void **session, hem_error *err);
  hem_status (*ask)(const bench *b, void *session, const float *vector, hem_answer *answer, hem_error *err);
  uint64_t (*search_ns)(
      const void *session); /* what the last answer's search took where it was made; NULL: all of it */
  void (*close)(void *session);
} way;

static hem_status open_here(const bench *b, void **session, hem_error *err) {
  hem_searcher *searcher = NULL;
  hem_status status = hem_searcher_new(b->engine, &searcher, err);
  *session = searcher;
  return status;
}

static hem_status ask_here(const bench *b, void *session, const float *vector, hem_answer *answer, hem_error *err) {
  return hem_search(session, vector, b->info.dim, &b->options, answer, err);
}

static void close_here(void *session) { hem_searcher_free(session); }

static hem_status open_unix(const bench *b, void **session, hem_error *err) {
  hem_client *client = NULL;
  hem_status status = hem_client_open(b->server->socket, NULL, &client, err);
  *session = client;
  return status;
}

/* Two others: one that sleeps until it is woken, and one that looks for its reply however long that takes. */
static hem_status open_with(const bench *b, unsigned spin_us, void **session, hem_error *err) {
  hem_client *client = NULL;
  hem_client_options o = {.size = sizeof o, .spin_us = spin_us};
  hem_status status = hem_client_open(b->server->socket, &o, &client, err);
  *session = client;
  return status;
}

static hem_status open_sleeping(const bench *b, void **session, hem_error *err) {
  return open_with(b, UINT_MAX, session, err);
}

static hem_status open_looking(const bench *b, void **session, hem_error *err) {
  return open_with(b, 20000, session, err);
}

static hem_status ask_unix(const bench *b, void *session, const float *vector, hem_answer *answer, hem_error *err) {
  return hem_client_search(session, vector, b->info.dim, &b->options, answer, err);
}

static uint64_t search_unix(const void *session) {
  hem_client_about about;
  hem_client_about_get(session, &about);
  return about.search_ns;
}

static void close_unix(void *session) { hem_client_close(session); }

#ifdef HEM_HAVE_HTTP
static hem_status open_http(const bench *b, void **session, hem_error *err) {
  hem__http_client *client = NULL;
  hem_status status = hem__alloc(1, sizeof *client, "a client", &client, err);
  if (!status) status = hem__http_client_open(b->server->port, client, err);
  *session = client;
  return status;
}

/* With the defaults of the store, but for k and plain. What is answered is read and not looked into. */
static hem_status ask_http(const bench *b, void *session, const float *vector, hem_answer *answer, hem_error *err) {
  hem__http_client *client = session;
  char path[80];
  unsigned code = 0;
  snprintf(path, sizeof path, "/v1/query?k=%zu%s", b->options.k ? b->options.k : 20,
           b->options.plain ? "&plain=true" : "");
  hem__http_post post = {
      .path = path, .type = "application/octet-stream", .body = vector, .size = b->info.dim * sizeof *vector};
  hem_status status = hem__http_client_post(client, &post, &code, err);
  *answer = (hem_answer){0};
  if (!status && code != 200) status = hem__fail(err, HEM_EIO, "HTTP %u: %.300s", code, client->answer);
  return status;
}

/* "search_ms" of the answer's timing. */
static uint64_t search_http(const void *session) {
  const hem__http_client *client = session;
  const char *at = strstr(client->answer, "\"search_ms\":");
  return at ? (uint64_t)(strtod(at + strlen("\"search_ms\":"), NULL) * 1e6) : 0;
}

static void close_http(void *session) {
  if (session) hem__http_client_close(session);
  free(session);
}
#endif

/* The first one is what the others are compared with. */
static const way ways[] = {{"in-process", false, open_here, ask_here, NULL, close_here},
                           {"unix", true, open_unix, ask_unix, search_unix, close_unix},
                           {"unix, sleeping", true, open_sleeping, ask_unix, search_unix, close_unix},
#ifdef HEM_HAVE_HTTP
                           {"http", true, open_http, ask_http, search_http, close_http},
#endif
                           {"unix, looking", true, open_looking, ask_unix, search_unix, close_unix}};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- times ---- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Of sorted values. */
static double quantile(const double *sorted, size_t count, double share) {
  return count ? sorted[hem__min((size_t)(share * (double)count), count - 1)] : NAN;
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, by_value);
  return quantile(values, count, 0.5);
}

static double cpu_seconds(const bench *b, bool remote) {
  struct timespec mine, theirs = {0};
  clockid_t clock;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mine);
  if (remote && clock_getcpuclockid(b->server->process, &clock) == 0) clock_gettime(clock, &theirs);
  return (double)(mine.tv_sec + theirs.tv_sec) + (double)(mine.tv_nsec + theirs.tv_nsec) / 1e9;
}

/* The i-th of the cores that this process may use. */
static void pin(size_t i) {
  cpu_set_t allowed, one;
  CPU_ZERO(&one);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int core = 0; core < CPU_SETSIZE; core++)
    if (CPU_ISSET(core, &allowed) && i-- == 0) CPU_SET(core, &one);
  if (CPU_COUNT(&one)) sched_setaffinity(0, sizeof one, &one);
}

/* ---- the server, another process ---- */

typedef struct listening {
  hem__service service;
  hem__socket *socket;
  hem__http *http;
} listening;

/* *port: of HTTP. */
static hem_status serve(const bench *b, const peer *p, listening *l, uint16_t *port, hem_error *err) {
  hem__socket_options o = {.path = p->socket, .fd = -1, .spin_us = b->spin_us};
  hem_status status = hem__live_open(&(hem__live_options){.store = b->store}, &l->service.live, err);
  if (p == &b->servers[0]) pin(1); /* one worker for each core that it may use: here one */
  if (!status) status = hem__jobs_new(1, 16, &l->service.photos, err);
  if (!status) status = hem__socket_start(&l->service, &o, &l->socket, err);
#ifdef HEM_HAVE_HTTP
  hem__http_options http = {.address = "127.0.0.1:0", .fd = -1};
  if (!status) status = hem__http_start(&l->service, &http, &l->http, err);
  if (!status) *port = (uint16_t)hem__http_port(l->http);
#endif
  return status;
}

/* Until the asking process ends, which closes `end`. Says its port when it listens. */
static int be_server(const bench *b, const peer *p, int end, int ready) {
  static hem__stats stats;
  listening l = {.service = {.stats = &stats}};
  hem_error err;
  uint16_t port = 0;
  char byte;
  hem_status status = serve(b, p, &l, &port, &err);
  if (status) fprintf(stderr, "bench_latency: %s\n", err.message);
  if (status || write(ready, &port, sizeof port) != sizeof port) return 1;
  while (read(end, &byte, 1) > 0) continue;
#ifdef HEM_HAVE_HTTP
  hem__http_stop(l.http, 1000);
#endif
  hem__socket_stop(l.socket, 1000);
  hem__jobs_close(l.service.photos);
  hem__live_close(l.service.live);
  return 0;
}

/* Before anything is opened: what has run OpenMP cannot fork. */
static hem_status start_server(bench *b, peer *p, hem_error *err) {
  int down[2], up[2];
  snprintf(p->socket, sizeof p->socket, "/tmp/bench-latency-%ld-%td.sock", (long)getpid(), p - b->servers);
  if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) return hem__fail_errno(err, "cannot make a pipe");
  p->process = fork();
  if (p->process < 0) return hem__fail_errno(err, "cannot start the server");
  if (p->process == 0) {
    close(down[1]);
    close(up[0]);
    if (p != b->servers) close(b->servers[0].end);
    _exit(be_server(b, p, down[0], up[1]));
  }
  close(down[0]);
  close(up[1]);
  p->end = down[1];
  bool listens = read(up[0], &p->port, sizeof p->port) == sizeof p->port;
  close(up[0]);
  return listens ? HEM_OK : hem__fail(err, HEM_EIO, "the server did not start");
}

static void stop_server(const peer *p) {
  char lock[80];
  if (p->process <= 0) return;
  close(p->end);
  waitpid(p->process, NULL, 0);
  snprintf(lock, sizeof lock, "%s.lock", p->socket);
  unlink(lock);
}

/* ---- queries ---- */

/* Customers of the catalogue, evenly spread; where there are none, all photos. */
static hem_status choose_queries(bench *b, hem_error *err) {
  size_t space, all = 0, seen = 0;
  hem_status status = hem__catalog_open(b->info.catalog, &b->catalog, err);
  if (!status) status = hem__catalog_find_space(b->catalog, b->info.space, &space, err);
  if (status) return status;
  const hem__photos *photos = hem__catalog_photos(b->catalog);
  hem__matrix vectors = hem__catalog_matrix(b->catalog, space);
  for (size_t i = 0; i < photos->count; i++) all += photos->at[i].domain == HEM__CONSUMER;
  bool any = all == 0;
  if (any) all = photos->count;
  for (size_t i = 0; i < photos->count && b->query_count < QUERIES; i++) {
    if (!any && photos->at[i].domain != HEM__CONSUMER) continue;
    if (seen++ * QUERIES >= b->query_count * all) b->queries[b->query_count++] = hem__row(vectors, i);
  }
  return hem__catalog_check(b->catalog, space, 0, photos->count, err);
}

/* ---- alone ---- */

typedef struct lone {
  void *sessions[WAYS];
  double us[WAYS][LONE_ROUNDS * QUERIES], more[WAYS][LONE_ROUNDS * QUERIES], way[WAYS][LONE_ROUNDS * QUERIES];
  double cpu[WAYS];
  size_t count;
} lone;

static hem_status ask_lone(const bench *b, lone *l, size_t w, size_t query, size_t at, hem_error *err) {
  hem_answer answer;
  uint64_t from = hem__now_ns();
  hem_status status = ways[w].ask(b, l->sessions[w], b->queries[query], &answer, err);
  double us = (double)(hem__now_ns() - from) / 1e3;
  l->us[w][at] = us;
  l->way[w][at] = ways[w].search_ns ? us - (double)ways[w].search_ns(l->sessions[w]) / 1e3 : 0;
  return status;
}

/* All queries, each way. */
static hem_status play_lone(const bench *b, lone *l, size_t round, hem_error *err) {
  size_t first = round * b->query_count;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < WAYS && !status; i++) {
    size_t w = round % 2 ? WAYS - 1 - i : i;
    double cpu = cpu_seconds(b, ways[w].remote);
    for (size_t q = 0; q < b->query_count && !status; q++) status = ask_lone(b, l, w, q, first + q, err);
    l->cpu[w] += cpu_seconds(b, ways[w].remote) - cpu;
  }
  for (size_t w = 0; w < WAYS; w++)
    for (size_t q = first; q < first + b->query_count; q++) l->more[w][q] = l->us[w][q] - l->us[0][q];
  l->count = first + b->query_count;
  return status;
}

static void print_lone(lone *l) {
  puts("alone\tasked\tp50_us\tp99_us\tp99.9_us\tcpu_us\tmore_p50_us\tmore_p99_us\tway_p50_us\tway_p99_us");
  for (size_t w = 0; w < WAYS; w++) {
    double *t = l->us[w], *more = l->more[w], *way_us = l->way[w];
    qsort(t, l->count, sizeof *t, by_value);
    qsort(more, l->count, sizeof *more, by_value);
    qsort(way_us, l->count, sizeof *way_us, by_value);
    printf("%s\t%zu\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\n", ways[w].name, l->count,
           quantile(t, l->count, 0.5), quantile(t, l->count, 0.99), quantile(t, l->count, 0.999),
           1e6 * l->cpu[w] / (double)l->count, quantile(more, l->count, 0.5), quantile(more, l->count, 0.99),
           quantile(way_us, l->count, 0.5), quantile(way_us, l->count, 0.99));
  }
}

static hem_status run_lone(const bench *b, hem_error *err) {
  static lone l;
  cpu_set_t before;
  hem_status status = HEM_OK;
  sched_getaffinity(0, sizeof before, &before);
  pin(0);
  for (size_t w = 0; w < WAYS && !status; w++) status = ways[w].open(b, &l.sessions[w], err);
  if (!status) status = play_lone(b, &l, 0, err); /* warms up; written over */
  memset(l.cpu, 0, sizeof l.cpu);
  for (size_t round = 0; round < LONE_ROUNDS && !status; round++) status = play_lone(b, &l, round, err);
  for (size_t w = 0; w < WAYS; w++) ways[w].close(l.sessions[w]);
  sched_setaffinity(0, sizeof before, &before);
  if (!status) print_lone(&l);
  return status;
}

/* ---- many ---- */

typedef struct asker {
  const bench *b;
  const way *way;
  void *session;
  size_t number, count;
  uint64_t until;
  double *us; /* [TIMES_MAX / CLIENTS_MAX] */
  hem_status status;
  hem_error err;
  pthread_t thread;
} asker;

static void *ask_on(void *context) {
  asker *a = context;
  hem_answer answer;
  int held = hem__omp_hold();
  for (size_t i = a->number * 7; !a->status; i++) {
    uint64_t from = hem__now_ns(), to;
    if (from >= a->until) break;
    a->status = a->way->ask(a->b, a->session, a->b->queries[i % a->b->query_count], &answer, &a->err);
    to = hem__now_ns();
    a->us[a->count++ % (TIMES_MAX / CLIENTS_MAX)] = (double)(to - from) / 1e3;
  }
  hem__omp_release(held);
  return NULL;
}

typedef struct result {
  double qps, p50, p99, p999, cpu_us;
} result;

/* One round of `count` clients. */
static hem_status play(const bench *b, const way *how, size_t count, result *out, hem_error *err) {
  static double times[TIMES_MAX];
  static asker askers[CLIENTS_MAX];
  size_t room = TIMES_MAX / CLIENTS_MAX, asked = 0, kept = 0;
  hem_status status = HEM_OK;
  uint64_t from = hem__now_ns();
  double cpu = cpu_seconds(b, how->remote);
  for (size_t i = 0; i < count; i++) {
    askers[i] = (asker){.b = b, .way = how, .number = i, .us = times + i * room};
    askers[i].until = from + (uint64_t)(b->seconds * 1e9);
    askers[i].status = how->open(b, &askers[i].session, &askers[i].err);
    pthread_create(&askers[i].thread, NULL, ask_on, &askers[i]);
  }
  for (size_t i = 0; i < count; i++) {
    pthread_join(askers[i].thread, NULL);
    how->close(askers[i].session);
    if (askers[i].status) status = hem__fail(err, askers[i].status, "%s", askers[i].err.message);
  }
  double seconds = (double)(hem__now_ns() - from) / 1e9;
  for (size_t i = 0; i < count; i++) {
    size_t here = hem__min(askers[i].count, room);
    memmove(times + kept, askers[i].us, here * sizeof *times);
    kept += here;
    asked += askers[i].count;
  }
  qsort(times, kept, sizeof *times, by_value);
  *out = (result){.qps = (double)asked / seconds,
                  .p50 = quantile(times, kept, 0.5),
                  .p99 = quantile(times, kept, 0.99),
                  .p999 = quantile(times, kept, 0.999),
                  .cpu_us = 1e6 * (cpu_seconds(b, how->remote) - cpu) / (double)hem__max(asked, 1)};
  return status;
}

static double median_of(const result *r, size_t offset) {
  double values[ROUNDS];
  for (size_t i = 0; i < ROUNDS; i++) memcpy(&values[i], (const char *)&r[i] + offset, sizeof *values);
  return median(values, ROUNDS);
}

static hem_status run_clients(const bench *b, size_t clients, hem_error *err) {
  result r[WAYS][ROUNDS];
  hem_status status = HEM_OK;
  for (size_t round = 0; round < ROUNDS && !status; round++)
    for (size_t i = 0; i < WAYS && !status; i++) {
      size_t w = round % 2 ? WAYS - 1 - i : i;
      status = play(b, &ways[w], ways[w].remote ? clients : hem__min(clients, hem__cores()), &r[w][round], err);
    }
  if (status) return status;
  double qps = median_of(r[0], offsetof(result, qps)), cpu = median_of(r[0], offsetof(result, cpu_us));
  for (size_t w = 0; w < WAYS; w++)
    printf("%zu\t%s\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.3f\t%.3f\n", clients, ways[w].name,
           median_of(r[w], offsetof(result, qps)), median_of(r[w], offsetof(result, p50)),
           median_of(r[w], offsetof(result, p99)), median_of(r[w], offsetof(result, p999)),
           median_of(r[w], offsetof(result, cpu_us)), median_of(r[w], offsetof(result, qps)) / qps,
           cpu / median_of(r[w], offsetof(result, cpu_us)));
  return HEM_OK;
}

/* ---- the whole ---- */

static hem_status run(bench *b, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < 2 && !status; i++) status = start_server(b, &b->servers[i], err);
  if (!status) status = hem_engine_open(b->store, NULL, &b->engine, err);
  if (status) return status;
  hem_engine_info_get(b->engine, &b->info);
  status = choose_queries(b, err);
  b->server = &b->servers[0];
  if (!status) status = run_lone(b, err);
  b->server = &b->servers[1];
  if (!status) puts("\nclients\tway\tqps\tp50_us\tp99_us\tp99.9_us\tcpu_us\tqps_share\tcpu_share");
  for (size_t clients = 1; clients <= b->clients && !status; clients *= 2) status = run_clients(b, clients, err);
  return status;
}

static bool read_options(bench *b, int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "c:s:k:pn")) != -1;) {
    if (option == 'c') b->clients = hem__min(strtoul(optarg, NULL, 10), CLIENTS_MAX);
    if (option == 's') b->seconds = strtod(optarg, NULL);
    if (option == 'k') b->options.k = strtoul(optarg, NULL, 10);
    if (option == 'p') b->options.plain = true;
    if (option == 'n') b->spin_us = UINT_MAX;
    if (option == '?') return false;
  }
  b->store = argv[optind];
  return optind == argc - 1;
}

int main(int argc, char **argv) {
  static bench b = {.options = {.size = sizeof b.options, .k = 20}, .clients = 64, .seconds = 1};
  hem_error err;
  if (!read_options(&b, argc, argv)) {
    fputs("Usage: bench_latency STORE [-c CLIENTS] [-s SECONDS] [-k K] [-p] [-n]\n", stderr);
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  hem_status status = run(&b, &err);
  if (status) fprintf(stderr, "bench_latency: %s\n", err.message);
  stop_server(&b.servers[0]);
  stop_server(&b.servers[1]);
  hem__catalog_close(b.catalog);
  hem_engine_close(b.engine);
  return status ? 1 : 0;
}
