/* The server's guard, with limits that are short enough to be waited for. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/http_server.h"

static char said[1 << 16];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_ms(long ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void send_text(int fd, const char *text) { hem__http_send(fd, text, strlen(text)); }

static bool says(const char *words) { return strstr(said, words) != NULL; }

/* A vector query of `count` vectors. */
static void send_vectors(int fd, unsigned count) {
  char head[256];
  float vectors[64 * HEM__SERVED_DIM] = {0};
  ck_assert_uint_le(count, 64);
  size_t bytes = count * HEM__SERVED_DIM * sizeof(float);
  snprintf(head, sizeof head,
           "POST /v1/query%s%.0u HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: "
           "%zu\r\n\r\n",
           count > 1 ? "/batch?count=" : "", count > 1 ? count : 0, bytes);
  send_text(fd, head);
  hem__http_send(fd, (const char *)vectors, bytes);
}

static void check_served(unsigned port) {
  int fd = hem__http_connect(port);
  send_vectors(fd, 1);
  hem__http_answer(fd, said, sizeof said);
  ck_assert_msg(says("200 OK") && says("\"hits\":["), "%s", said);
  close(fd);
}

/* Sends a byte every 20 ms. Returns how long the server took it. */
static double drip(int fd, const char *text) {
  double begun = now();
  for (size_t i = 0; now() - begun < 5; i++) {
    hem__http_send(fd, i < strlen(text) ? text + i : "x", 1);
    if (recv(fd, said, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) break;
    wait_ms(20);
  }
  double took = now() - begun;
  ck_assert_int_ge(hem__http_receive(fd, said, sizeof said, 5), 0);
  close(fd);
  return took;
}

START_TEST(requests_have_to_come_in_in_time) {
  static const char *const slow[] = {
      "GET /healthz",
      "GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", "POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n",
      "POST /v1/query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n"};
  hem__served s;
  hem__serve(&s, (hem__http_options){.deadline_ms = 400, .threads = 2}, 1, 1);
  for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
    double took = drip(hem__http_connect(s.port), slow[i]);
    ck_assert_msg(took > 0.35 && took < 2, "%zu: %g s", i, took);
    ck_assert_msg(says("408 Request Timeout") && says("HTTP_TIMEOUT"), "%zu: %s", i, said);
  }
  for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) { /* in a later request */
    int fd = hem__http_connect(s.port);
    send_vectors(fd, 1);
    hem__http_answer(fd, said, sizeof said);
    wait_ms(500); /* an idle connection is not cut */
    send_vectors(fd, 1);
    hem__http_answer(fd, said, sizeof said);
    wait_ms(150);
    double took = drip(fd, slow[i]);
    ck_assert_msg(took > 0.35 && took < 2, "%zu: %g s", i, took);
    ck_assert_msg(says("408 Request Timeout"), "%zu: %s", i, said);
  }
  int silent = hem__http_connect(s.port);
  ck_assert_int_eq(hem__http_receive(silent, said, sizeof said, 3), 0); /* closed, and nothing said */
  close(silent);
  check_served(s.port);
  hem__served_end(&s, 1000);
}
END_TEST

/* A client that has said all there is to say gets its answer, and then an end, not a minute of silence. */
START_TEST(a_client_that_is_done_is_let_go) {
  hem__served s;
  hem__serve(&s, (hem__http_options){.threads = 2}, 1, 1);
  for (int partial = 0; partial < 2; partial++) {
    for (int i = 0; i < 5; i++) {
      int fd = hem__http_connect(s.port);
      double begun = now();
      if (partial) send_text(fd, "POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
      if (!partial) send_vectors(fd, 1);
      shutdown(fd, SHUT_WR);
      ck_assert_int_ge(hem__http_receive(fd, said, sizeof said, 5), 0);
      ck_assert_double_lt(now() - begun, 2);
      ck_assert_msg(partial || says("200 OK"), "%s", said);
      close(fd);
    }
  }
  hem__served_end(&s, 1000);
}
END_TEST

START_TEST(connections_are_counted) {
  enum { MOST = 4 };
  int fds[MOST];
  hem__served s;
  hem__serve(&s, (hem__http_options){.connections_max = MOST, .threads = 2}, 1, 1);
  for (int i = 0; i < MOST; i++) {
    fds[i] = hem__http_connect(s.port);
    send_vectors(fds[i], 1);
    hem__http_answer(fds[i], said, sizeof said);
    ck_assert(says("200 OK"));
  }
  for (int i = 0; i < 20; i++) {
    int fd = hem__http_connect(s.port);
    send_vectors(fd, 1);
    ck_assert_int_ge(hem__http_receive(fd, said, sizeof said, 5), 0);
    ck_assert_msg(says("503 Service Unavailable") && says("Retry-After"), "%s", said);
    close(fd);
  }
  for (int i = 0; i < MOST; i++) { /* those inside were not disturbed */
    send_vectors(fds[i], 1);
    hem__http_answer(fds[i], said, sizeof said);
    ck_assert(says("200 OK"));
    close(fds[i]);
  }
  for (int i = 0; s.stats.connections[HEM__FRONT_HTTP] && i < 500; i++) wait_ms(10);
  check_served(s.port);
  hem__served_end(&s, 1000);
}
END_TEST

/* All bodies together are bounded, whatever each connection may hold. */
START_TEST(bodies_are_counted) {
  enum { BODY = 1 << 16, CLIENTS = 20, HELD = 16 };
  int fds[CLIENTS], refused = 0;
  char head[200];
  hem__served s;
  hem__serve(&s, (hem__http_options){.body_bytes_max = BODY, .threads = 2, .deadline_ms = 5000}, 1, 1);
  snprintf(head, sizeof head,
           "POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\nstart", BODY);
  for (int i = 0; i < CLIENTS; i++) {
    fds[i] = hem__http_connect(s.port);
    send_text(fds[i], head);
    wait_ms(10);
  }
  wait_ms(100);
  for (int i = 0; i < CLIENTS; i++) {
    if (recv(fds[i], said, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
      refused++;
      ck_assert_int_ge(hem__http_receive(fds[i], said, sizeof said, 5), 0);
      ck_assert_msg(says("503 Service Unavailable"), "%s", said);
    }
    close(fds[i]);
  }
  ck_assert_int_eq(refused, CLIENTS - HELD);
  for (int i = 0; s.stats.connections[HEM__FRONT_HTTP] && i < 500; i++) wait_ms(10);
  check_served(s.port);
  hem__served_end(&s, 1000);
}
END_TEST

/* ---- what is long ---- */

typedef struct blocker {
  hem__job job;
  sem_t runs, go;
} blocker;

static void block(hem__job *job) {
  blocker *b = (blocker *)job;
  sem_post(&b->runs);
  sem_wait(&b->go);
}

static void start_blocking(blocker *b, hem__served *s) {
  *b = (blocker){.job = {.run = block}};
  sem_init(&b->runs, 0, 0);
  sem_init(&b->go, 0, 0);
  ck_assert(hem__jobs_put(s->service.photos, &b->job));
  sem_wait(&b->runs);
}

START_TEST(what_is_long_waits_and_what_is_quick_does_not) {
  blocker b;
  hem__served s;
  hem__serve(&s, (hem__http_options){.threads = 1, .deadline_ms = 300}, 1, 1);
  start_blocking(&b, &s);
  int waits = hem__http_connect(s.port), refused = hem__http_connect(s.port);
  send_vectors(waits, 20);
  wait_ms(100);
  send_vectors(refused, 20);
  hem__http_answer(refused, said, sizeof said);
  ck_assert_msg(says("503 Service Unavailable") && says("Retry-After: 1"), "%s", said);
  check_served(s.port);
  wait_ms(500); /* the deadline is for the client, not for the server */
  ck_assert_int_eq(recv(waits, said, 1, MSG_PEEK | MSG_DONTWAIT), -1);
  sem_post(&b.go);
  hem__http_answer(waits, said, sizeof said);
  ck_assert_msg(says("200 OK") && says("\"answers\":["), "%s", said);
  send_vectors(refused, 20); /* and its connection goes on */
  hem__http_answer(refused, said, sizeof said);
  ck_assert(says("200 OK"));
  close(waits);
  close(refused);
  hem__served_end(&s, 1000);
}
END_TEST

typedef struct stopping {
  hem__served *served;
  unsigned grace_ms;
  double took;
} stopping;

static void *stop(void *argument) {
  stopping *st = argument;
  double begun = now();
  hem__http_stop(st->served->http, st->grace_ms);
  st->took = now() - begun;
  return NULL;
}

/* Stopped while a job has the connection: once within the grace, once beyond it. */
START_TEST(it_stops_when_what_was_asked_is_answered) {
  for (int late = 0; late < 2; late++) {
    blocker b;
    hem__served s;
    pthread_t thread;
    hem__serve(&s, (hem__http_options){.threads = 2}, 1, 4);
    start_blocking(&b, &s);
    int asked = hem__http_connect(s.port), idle = hem__http_connect(s.port), gone = hem__http_connect(s.port);
    send_vectors(asked, 20);
    send_vectors(gone, 20);
    close(gone); /* nobody waits for this answer any more */
    send_vectors(idle, 1);
    hem__http_answer(idle, said, sizeof said);
    wait_ms(100);
    stopping st = {.served = &s, .grace_ms = late ? 50 : 5000};
    pthread_create(&thread, NULL, stop, &st);
    ck_assert_int_eq(hem__http_receive(idle, said, sizeof said, 3), 0); /* goes at once */
    wait_ms(200);
    sem_post(&b.go);
    pthread_join(thread, NULL);
    ck_assert_double_lt(st.took, 3);
    ck_assert_int_ge(hem__http_receive(asked, said, sizeof said, 3), 0);
    if (!late) ck_assert_msg(says("200 OK") && says("Connection: close"), "%s", said);
    close(asked);
    close(idle);
    hem__jobs_close(s.service.photos);
    hem__live_close(s.service.live);
    ck_assert_int_eq((int)s.stats.connections[HEM__FRONT_HTTP], 0);
  }
}
END_TEST

static void *ask_many(void *argument) {
  unsigned port = *(unsigned *)argument;
  char *answer = malloc(1 << 16);
  for (int i = 0; i < 10; i++) {
    int fd = hem__http_connect(port);
    for (int j = 0; j < 20; j++) {
      send_vectors(fd, j % 5 ? 1 : 20);
      hem__http_answer(fd, answer, 1 << 16);
      ck_assert(strstr(answer, "200 OK"));
    }
    close(fd);
  }
  free(answer);
  return NULL;
}

START_TEST(many_clients_at_once) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  hem__served s;
  hem__serve(&s, (hem__http_options){.threads = 2}, 2, 100);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, ask_many, &s.port);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  hem__served_end(&s, 1000);
  ck_assert_uint_eq(s.stats.answered[HEM__FRONT_HTTP][HEM_OK], THREADS * 10 * (16 + 4 * 20));
  ck_assert_uint_eq(s.stats.refused[HEM__FRONT_HTTP], 0);
}
END_TEST

/* ---- all at once ---- */

static int try_connect(unsigned port) {
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

/* Those on their way in have their place: a rush is turned away like any other connection too many. */
START_TEST(a_rush_is_counted) {
  enum { MOST = 4, RUSH = 40 };
  int fds[RUSH], refused = 0;
  hem__served s;
  hem__serve(&s, (hem__http_options){.connections_max = MOST, .threads = 2}, 1, 1);
  for (int i = 0; i < RUSH; i++) fds[i] = try_connect(s.port);
  wait_ms(300);
  for (int i = 0; i < RUSH; i++) {
    ck_assert_int_ge(fds[i], 0);
    ssize_t size = recv(fds[i], said, sizeof said - 1, MSG_DONTWAIT);
    said[size > 0 ? size : 0] = '\0';
    refused += says("503 Service Unavailable");
    close(fds[i]);
  }
  ck_assert_int_eq(refused, RUSH - MOST);
  for (int i = 0; s.stats.connections[HEM__FRONT_HTTP] && i < 500; i++) wait_ms(10);
  check_served(s.port); /* every place was given back */
  hem__served_end(&s, 1000);
}
END_TEST

static int count_fds(void) {
  DIR *folder = opendir("/proc/self/fd");
  int count = 0;
  ck_assert_ptr_nonnull(folder);
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

typedef struct rush {
  unsigned port;
  atomic_bool over;
} rush;

/* Comes, asks and goes, as fast as it can. */
static void *keep_coming(void *argument) {
  static const char ask[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
  enum { AT_ONCE = 16 };
  rush *r = argument;
  int fds[AT_ONCE] = {0};
  for (size_t i = 0; !atomic_load(&r->over); i++) {
    int *fd = &fds[i % AT_ONCE];
    if (*fd > 0) close(*fd);
    *fd = try_connect(r->port);
    if (*fd > 0 && i % 2) (void)!send(*fd, ask, sizeof ask - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  for (size_t i = 0; i < AT_ONCE; i++)
    if (fds[i] > 0) close(fds[i]);
  return NULL;
}

/* Whoever comes in while it stops is let go, and nothing of him stays. */
START_TEST(it_stops_while_clients_come_in) {
  enum { TIMES = 60, THREADS = 2 };
  hem__served s;
  hem__serve(&s, (hem__http_options){.threads = 1}, 1, 1);
  hem__http_stop(s.http, 0);
  int fds = count_fds();
  for (int i = 0; i < TIMES; i++) {
    pthread_t threads[THREADS];
    hem__http_options options = {.address = "127.0.0.1:0", .fd = -1, .threads = 2, .connections_max = i % 3 ? 0 : 8};
    ck_ok(hem__http_start(&s.service, &options, &s.http, err));
    rush r = {.port = hem__http_port(s.http)};
    for (int t = 0; t < THREADS; t++) pthread_create(&threads[t], NULL, keep_coming, &r);
    wait_ms(1 + i % 10);
    double begun = now();
    hem__http_stop(s.http, i % 2 ? 0 : 30);
    ck_assert_double_lt(now() - begun, 3);
    atomic_store(&r.over, true);
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    ck_assert_int_eq((int)s.stats.connections[HEM__FRONT_HTTP], 0);
  }
  ck_assert_int_eq(count_fds(), fds);
  hem__jobs_close(s.service.photos);
  hem__live_close(s.service.live);
}
END_TEST

START_TEST(addresses) {
  static const char *const wrong[] = {"",       "a",       "1.2.3.4", "127.0.0.1:",  "127.0.0.1:99999", "127.0.0.1:-1",
                                      "::1:80", "[::1]80", "1:2:3",   "127.0.0.1:8o"};
  hem__service service = {0};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    hem__http *http = NULL;
    hem_error error;
    hem_status status = hem__http_start(&service, &(hem__http_options){.address = wrong[i], .fd = -1}, &http, &error);
    ck_assert_msg(status == HEM_EINVAL, "%s: %d", wrong[i], status);
  }
  hem__served s;
  char taken[32];
  hem__serve(&s, (hem__http_options){.threads = 1}, 1, 1);
  snprintf(taken, sizeof taken, ":%u", s.port);
  hem__http *second = NULL;
  ck_fails(hem__http_start(&s.service, &(hem__http_options){.address = taken, .fd = -1}, &second, err), HEM_EBUSY,
           "listens");
  hem__served_end(&s, 0);
}
END_TEST

HEM_TESTS("http_server", requests_have_to_come_in_in_time, a_client_that_is_done_is_let_go, connections_are_counted,
          bodies_are_counted, what_is_long_waits_and_what_is_quick_does_not, it_stops_when_what_was_asked_is_answered,
          many_clients_at_once, a_rush_is_counted, it_stops_while_clients_come_in, addresses)
