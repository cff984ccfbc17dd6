/* 60,000 damaged requests at a live server, from four threads, while a good client asks: each is answered with frames
 * that can be read, or the connection is closed; nobody waits, and the good client's answers stay what they are. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/mutate.h"
#include "query/wire.h"
#include "support/live_server.h"

enum { THREADS = 4, TIMES = 15000, DIM = HEM__TEST_SHOP_DIM, FRAME_MAX = 4096, REPLIES_MAX = 1 << 20 };

/* None of the threads asserts: Check knows one. */
typedef struct stage {
  const char *path;
  atomic_size_t sent, answered, errors, farewells, silent, wrong;
  atomic_bool stop;
  hem_answer wanted;
} stage;

static float query[DIM];

/* ---- requests ---- */

static hem__wire_search search_of(uint64_t kind) {
  static const char *const categories[] = {"c0", "c1"}, *const labels[] = {"l1", "l2", "l3"};
  static const uint8_t photo[] = "\xFF\xD8\xFF\xE0 not a photo";
  hem__wire_search s = {.options = {.size = sizeof s.options, .k = 5 + kind % 50, .exact = kind & 1}};
  if (kind % 3 == 0) s.vectors = query;
  if (kind % 3 == 0) s.count = 1;
  if (kind % 3 == 0) s.dim = DIM;
  if (kind % 3 == 1) s.item_id = "item-00001";
  if (kind % 3 == 2) s.photo = photo;
  if (kind % 3 == 2) s.photo_size = sizeof photo;
  if (kind % 4 == 1) s.options.categories = categories;
  if (kind % 4 == 1) s.options.category_count = 2;
  if (kind % 5 == 1) s.options.labels = labels;
  if (kind % 5 == 1) s.options.label_count = 3;
  return s;
}

/* One to three frames. */
static void write_requests(uint64_t *random, hem__buffer *out) {
  out->size = 0;
  for (uint64_t i = hem__test_random(random) % 3 + 1; i-- > 0;) {
    uint64_t kind = hem__test_random(random) % 64;
    hem__wire_search s = search_of(kind);
    if (kind < 4) {
      hem__wire_ask_write(out, kind, kind % 2 ? HEM__WIRE_INFO : HEM__WIRE_PING, NULL);
    } else {
      hem__wire_search_write(out, kind, &s, NULL);
    }
  }
}

/* Half of them keep a header that fits, so that what is behind it is read. */
static size_t damage(uint64_t *random, const hem__buffer *in, uint8_t *out) {
  size_t size = hem__mutate(random, in->at, in->size, out);
  if (hem__test_random(random) % 2 || size < HEM__WIRE_HEADER) return size;
  uint32_t body = (uint32_t)(size - HEM__WIRE_HEADER) / 8 * 8;
  memcpy(out, "HM\1\1", 4);
  memcpy(out + 4, &body, sizeof body);
  return HEM__WIRE_HEADER + body;
}

/* ---- replies ---- */

static void read_replies(stage *s, const uint8_t *at, size_t size) {
  if (size == 0) atomic_fetch_add(&s->silent, 1);
  while (size) {
    hem__wire_header h;
    hem__wire_reply reply;
    if (size < HEM__WIRE_HEADER || hem__wire_header_read(at, size - HEM__WIRE_HEADER, &h, NULL) ||
        h.type < HEM__WIRE_REPLY || hem__wire_reply_read(at + HEM__WIRE_HEADER, h.size, &reply, NULL)) {
      atomic_fetch_add(&s->wrong, 1);
      return;
    }
    atomic_fetch_add(h.type == HEM__WIRE_CLOSING ? &s->farewells : reply.status ? &s->errors : &s->answered, 1);
    at += HEM__WIRE_HEADER + h.size;
    size -= HEM__WIRE_HEADER + h.size;
  }
}

/* Until the server closes; ten seconds of silence are a hang. */
static void exchange(stage *s, const uint8_t *bytes, size_t size, uint8_t *room) {
  int fd = hem__test_connect(s->path);
  size_t got = 0;
  ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
  shutdown(fd, SHUT_WR);
  if (n >= 0)
    while (got < REPLIES_MAX && (n = recv(fd, room + got, REPLIES_MAX - got, 0)) > 0) got += (size_t)n;
  if (n < 0 && errno != EPIPE && errno != ECONNRESET) atomic_fetch_add(&s->wrong, 1);
  close(fd);
  atomic_fetch_add(&s->sent, 1);
  read_replies(s, room, got);
}

static void *attack(void *context) {
  static atomic_uint_fast64_t seeds;
  stage *s = context;
  uint64_t random = atomic_fetch_add(&seeds, 1) * 1000;
  hem__buffer out = {0};
  uint8_t *damaged = malloc(FRAME_MAX + HEM__MUTATE_ROOM), *room = malloc(REPLIES_MAX);
  for (size_t i = 0; i < TIMES && damaged && room; i++) {
    write_requests(&random, &out);
    if (out.size <= FRAME_MAX) exchange(s, damaged, damage(&random, &out, damaged), room);
  }
  hem__buffer_clear(&out);
  free(damaged);
  free(room);
  return NULL;
}

static void *ask_well(void *context) {
  stage *s = context;
  hem_client *client = NULL;
  if (hem_client_open(s->path, NULL, &client, NULL)) atomic_fetch_add(&s->wrong, 1);
  while (client && !atomic_load(&s->stop)) {
    hem_answer answer;
    if (hem_client_search(client, query, DIM, NULL, &answer, NULL) || hem__test_answer_differs(&s->wanted, &answer))
      atomic_fetch_add(&s->wrong, 1);
    usleep(1000);
  }
  hem_client_close(client);
  return NULL;
}

START_TEST(damaged_requests) {
  static hem__test_server server;
  static stage s;
  pthread_t threads[THREADS], good;
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  char *store = hem__test_shop_store(hem__test_folder(), 100);
  hem__test_shop_query(1, query);
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  ck_ok(hem_search(searcher, query, DIM, NULL, &s.wanted, err));
  hem__test_serve(&server, store, (hem__socket_options){.deadline_ms = 5000});
  s.path = server.path;
  ck_assert_int_eq(pthread_create(&good, NULL, ask_well, &s), 0);
  for (size_t i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, attack, &s), 0);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  atomic_store(&s.stop, true);
  pthread_join(good, NULL);
  printf("%zu damaged requests: %zu answers, %zu errors, %zu farewells, %zu closed without a word\n",
         atomic_load(&s.sent), atomic_load(&s.answered), atomic_load(&s.errors), atomic_load(&s.farewells),
         atomic_load(&s.silent));
  ck_assert_uint_eq(atomic_load(&s.wrong), 0);
  ck_assert_uint_ge(atomic_load(&s.sent), 50000);
  ck_assert_uint_gt(atomic_load(&s.answered), 1000);
  ck_assert_uint_gt(atomic_load(&s.errors), 1000);
  ck_assert_uint_gt(atomic_load(&s.farewells), 1000);
  hem__test_serve_end(&server);
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
}
END_TEST

HEM_TESTS("fuzz.socket", damaged_requests)
