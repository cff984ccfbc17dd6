/* Requests as no client sends them, at a server that listens: damaged, cut off, glued together, framed in contradictory
 * ways; and bodies of JSON and forms, damaged behind heads that are right, so that who reads them is reached. Each is
 * answered or its connection closed; the server goes on, and answers a good client in between. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/mutate.h"
#include "support/http_server.h"

/* What a sanitizer does not watch is asked less. */
#ifdef __SANITIZE_ADDRESS__
enum { REQUESTS = 50000 };
#else
enum { REQUESTS = 10000 };
#endif
enum { CLIENTS = 4, ROOM = 1 << 15, PATIENCE_S = 20 };

static const char *const bodies[][3] = {
    {"/v1/query", "application/json", "{\"vector\": [1, 2, 3, 4], \"k\": 3, \"categories\": [\"dress\"]}"},
    {"/v1/query?k=2&label=l", "application/json", "{\"item_id\": \"item3\", \"photos\": true}"},
    {"/v1/query", "application/json", "{\"photo_base64\": \"/9j/4AAQ\", \"box\": [0.1, 0.1, 0.5, 0.5]}"},
    {"/v1/query/batch", "application/json",
     "{\"queries\": [{\"vector\": [1, 2, 3, 4]}, {\"item_id\": \"x\"}], \"k\": 2}"},
    {"/score", "application/json", "{\"data\": [[1, 2, 3, 4], {\"item_id\": \"item1\"}, \"AAAA\"]}"},
    {"/v1/query", "multipart/form-data; boundary=XX",
     "--XX\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a\"\r\n\r\nno photo\r\n--XX\r\n"
     "Content-Disposition: form-data; name=\"k\"\r\n\r\n3\r\n--XX--\r\n"},
    {"/v1/query?k=2", "multipart/form-data; boundary=\"a b\"; charset=utf-8",
     "before\r\n--a b\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=\"item_id\"\r\n\r\nitem3"
     "\r\n--a b\r\ncontent-disposition: form-data; name=category\r\n\r\ndress\r\n--a b--\r\nbehind"},
    {"/v1/query", "multipart/form-data; boundary=----X",
     "------X\r\nContent-Disposition: form-data; name=\"vector\"\r\n\r\nabcdefghijklmnop\r\n------X\r\n"
     "Content-Disposition: form-data; name=\"labels\"\r\n\r\nl\r\n------X--"},
    {"/v1/query?k=4&exact=true", "application/octet-stream", "abcdefghijklmnop"},
    {"/v1/query/batch?count=2", "application/octet-stream", "abcdefghijklmnopabcdefghijklmnop"},
    {"/v1/query?box=1,2,3,4", "image/jpeg", "\xFF\xD8\xFF\xE0 no photo"},
};
/* Which of them are thrown. */
typedef struct kind {
  size_t first, count;
  bool bodies; /* the body alone is damaged, and always; there is nothing to wait for */
} kind;
static const kind any = {0, sizeof bodies / sizeof *bodies, false}, json = {0, 5, true}, form = {5, 3, true};

static const char *const gets[] = {"/healthz",     "/v1/info", "/metrics",      "/v1/items/item%203",
                                   "/v1/images/1", "/",        "/openapi.json", "/v1/reload"};
static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS", "DELETE", "PRI", "G\tT", ""};
static const char *const fields[] = {"Content-Length: 5\r\n",
                                     "Content-Length: 5\r\nContent-Length: 6\r\n",
                                     "Transfer-Encoding: chunked\r\n",
                                     "Transfer-Encoding: gzip\r\n",
                                     "Transfer-Encoding : chunked\r\n",
                                     "Content-Length: -1\r\n",
                                     "Content-Length: 99999999999\r\n",
                                     "Content-Length: 18446744073709551616\r\n",
                                     " folded\r\n",
                                     "\tContent-Length: 9\r\n",
                                     "X: \x01\r\n",
                                     "no colon\r\n",
                                     ": empty\r\n",
                                     "Host: b\r\n",
                                     "Connection: close\r\n",
                                     "Connection: upgrade\r\nUpgrade: h2c\r\n",
                                     "Expect: 100-continue\r\n",
                                     "Authorization: Bearer x\r\n",
                                     "Cookie: a=b; c\r\n",
                                     "If-None-Match: *\r\n",
                                     "Range: bytes=0-1\r\n",
                                     "\n",
                                     "\r"};

static uint64_t pick(uint64_t *random, uint64_t count) { return hem__test_random(random) % count; }
#define PICK(array) array[pick(random, sizeof(array) / sizeof *(array))]

/* A request with one thing wrong, or none, written to `out`. */
static size_t make(const kind *k, uint64_t *random, char *out) {
  const char *const *body = bodies[k->first + pick(random, k->count)];
  char damaged[4096 + HEM__MUTATE_ROOM], extra[512] = "";
  size_t size = strlen(body[2]);
  memcpy(damaged, body[2], size);
  if (k->bodies || pick(random, 2))
    size = hem__mutate(random, (const uint8_t *)body[2], size, (uint8_t *)damaged); /* the body only */
  for (uint64_t i = k->bodies ? 0 : pick(random, 3); i; i--) strcat(extra, PICK(fields));
  if (!k->bodies && pick(random, 4) == 0)
    return (size_t)snprintf(out, 2048, "%s %s HTTP/1.%d\r\nHost: a\r\n%s\r\n", PICK(methods), PICK(gets),
                            (int)pick(random, 3), extra);
  bool chunked = pick(random, 4) == 0;
  int head =
      chunked
          ? snprintf(out, 2048,
                     "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n%sTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
                     body[0], body[1], extra, size)
          : snprintf(out, 2048, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
                     body[0], body[1], extra, size);
  memcpy(out + head, damaged, size);
  size += (size_t)head;
  if (!chunked) return size;
  memcpy(out + size, "\r\n0\r\n\r\n", 7);
  return size + 7;
}

static size_t make_several(const kind *k, uint64_t *random, char *out) {
  size_t size = 0;
  if (k->bodies) return make(k, random, out);
  do size += make(k, random, out + size);
  while (size < ROOM / 4 && pick(random, 4) == 0); /* one behind the other, without waiting */
  if (pick(random, 2)) return size;
  static _Thread_local char whole[ROOM];
  memcpy(whole, out, size);
  return hem__mutate(random, (const uint8_t *)whole, size, (uint8_t *)out); /* the head too */
}

typedef struct client {
  const kind *kind;
  unsigned port;
  uint64_t random;
  size_t answered, closed, hung, wrong;
} client;

/* None of the threads asserts: Check knows one. */
static int dial(unsigned port) {
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* The first bytes of an answer are one; 0: closed, -1: neither. */
static long receive_some(int fd, char *out, size_t room) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  if (poll(&wait, 1, PATIENCE_S * 1000) <= 0) return -1;
  ssize_t got = recv(fd, out, room - 1, 0);
  out[got > 0 ? got : 0] = '\0';
  return got > 0 ? got : 0;
}

/* False: it is not answered. */
static bool ask_well(unsigned port) {
  char said[1 << 12] = "";
  static const char good[] =
      "POST /v1/query?k=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
      "19\r\n\r\n{\"item_id\":\"item3\"}";
  int fd = dial(port);
  hem__http_send(fd, good, sizeof good - 1);
  receive_some(fd, said, sizeof said);
  close(fd);
  return strncmp(said, "HTTP/1.1 200 OK", 15) == 0;
}

static void *throw(void *argument) {
  client *c = argument;
  static _Thread_local char request[ROOM + HEM__MUTATE_ROOM], said[1 << 14];
  for (size_t i = 0; i < REQUESTS / CLIENTS; i++) {
    size_t size = make_several(c->kind, &c->random, request);
    int fd = dial(c->port);
    hem__http_send(fd, request, size);
    if (!c->kind->bodies && pick(&c->random, 200) == 0)
      nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL); /* the server loses patience */
    if (!c->kind->bodies) shutdown(fd, SHUT_WR);
    long got = receive_some(fd, said, sizeof said);
    c->answered += got > 0;
    c->closed += got == 0;
    c->hung += got < 0;
    c->wrong += got > 0 && strncmp(said, "HTTP/1.1 ", 9) != 0;
    close(fd);
    if (i % 500 == 0) c->wrong += !ask_well(c->port);
  }
  return NULL;
}

static client throw_all(hem__served *s, const kind *k) {
  client clients[CLIENTS], all = {0};
  pthread_t threads[CLIENTS];
  hem__http_options options = {
      .deadline_ms = k->bodies ? 10000 : 100, .threads = 2, .body_bytes_max = 1 << 16, .page = true};
  hem__serve(s, options, 1, 8);
  for (size_t i = 0; i < CLIENTS; i++) {
    clients[i] = (client){.kind = k, .port = s->port, .random = i + 1};
    pthread_create(&threads[i], NULL, throw, &clients[i]);
  }
  for (size_t i = 0; i < CLIENTS; i++) {
    pthread_join(threads[i], NULL);
    all.answered += clients[i].answered;
    all.closed += clients[i].closed;
    all.hung += clients[i].hung;
    all.wrong += clients[i].wrong;
  }
  printf("%d requests: %zu answered, %zu closed, %zu hung; %zu questions answered\n", REQUESTS, all.answered,
         all.closed, all.hung, (size_t)s->stats.answered[HEM__FRONT_HTTP][HEM_OK]);
  ck_assert_uint_eq(all.hung, 0);
  ck_assert_uint_eq(all.wrong, 0);
  ck_assert(ask_well(s->port));
  return all;
}

START_TEST(test_requests) {
  hem__served s;
  client all = throw_all(&s, &any);
  ck_assert_uint_gt(all.answered, REQUESTS / 4);
  ck_assert_uint_gt(s.stats.answered[HEM__FRONT_HTTP][HEM_OK], REQUESTS / 50); /* some damage does no harm */
  hem__served_end(&s, 1000);
}
END_TEST

/* With a right head and no waiting, each one has its answer. */
static void check_bodies(const kind *k) {
  hem__served s;
  client all = throw_all(&s, k);
  ck_assert_uint_eq(all.answered, REQUESTS);
  ck_assert_uint_gt(s.stats.refused[HEM__FRONT_HTTP], REQUESTS / 4);
  hem__served_end(&s, 1000);
}

START_TEST(test_json) { check_bodies(&json); }
END_TEST

START_TEST(test_forms) { check_bodies(&form); }
END_TEST

HEM_TESTS("fuzz.http", test_requests, test_json, test_forms)
