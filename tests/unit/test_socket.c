/* A store asked over the Unix-domain socket: the answers are those of hem_search, to the last bit; whatever a peer
 * does, the others are answered. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "query/wire.h"
#include "support/live_server.h"

enum { DIM = HEM__TEST_SHOP_DIM, QUERIES = 50, MANY = 1000, CLIENTS = 64 };

static char *store;

static const char *the_store(void) {
  if (!store) store = hem__test_shop_store(hem__test_folder(), 300);
  return store;
}

static hem_client *open_client(const hem__test_server *s) {
  hem_client *client = NULL;
  ck_ok(hem_client_open(s->path, &(hem_client_options){.size = sizeof(hem_client_options), .timeout_ms = 10000},
                        &client, err));
  return client;
}

/* Asked without a server. */
typedef struct direct {
  hem_engine *engine;
  hem_searcher *searcher;
} direct;

static direct open_direct(void) {
  direct d = {0};
  ck_ok(hem_engine_open(the_store(), NULL, &d.engine, err));
  ck_ok(hem_searcher_new(d.engine, &d.searcher, err));
  return d;
}

static void close_direct(direct *d) {
  hem_searcher_free(d->searcher);
  hem_engine_close(d->engine);
}

static void check_same(const hem_answer *a, const hem_answer *b) {
  const char *differs = hem__test_answer_differs(a, b);
  ck_assert_msg(!differs, "%s differs", differs);
}

/* `wanted` becomes true within 5 seconds. */
#define ck_soon(wanted)                                                \
  do {                                                                 \
    for (int ck_i = 0; ck_i < 1000 && !(wanted); ck_i++) usleep(5000); \
    ck_assert_msg(wanted, "%s: not within five seconds", #wanted);     \
  } while (0)

static int64_t connections(hem__test_server *s) { return atomic_load(&s->stats.connections[HEM__FRONT_SOCKET]); }
static uint64_t refused(hem__test_server *s) { return atomic_load(&s->stats.refused[HEM__FRONT_SOCKET]); }
static uint64_t answered(hem__test_server *s, hem_status status) {
  return atomic_load(&s->stats.answered[HEM__FRONT_SOCKET][status]);
}

/* ---- the same answers ---- */

static hem_search_options options_of(size_t i) {
  static const char *const names[] = {"c0", "c2"}, *const labels[] = {"l1"};
  return (hem_search_options){.size = sizeof(hem_search_options),
                              .k = i % 7 * 5,
                              .categories = i % 5 == 1 ? names : NULL,
                              .category_count = i % 5 == 1 ? 2 : 0,
                              .exact = i % 3 == 1,
                              .photos = i % 4 == 1,
                              .leave_out = i % 6 == 1,
                              .leave_out_row = i,
                              .plain = i % 8 == 7,
                              .rerank = i % 9 == 4 ? 30 : 0,
                              .min_probability = i % 10 == 9 ? 0.4 : 0,
                              .labels = i % 11 == 5 ? labels : NULL,
                              .label_count = i % 11 == 5};
}

START_TEST(answers_are_those_of_hem_search) {
  static hem__test_server s;
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = open_client(&s);
  for (size_t i = 0; i < 500; i++) {
    float query[DIM];
    hem_answer here, there;
    hem_error a = {0}, b = {0};
    hem_search_options o = options_of(i);
    hem__test_shop_query(i, query);
    hem_status wanted = hem_search(d.searcher, query, DIM, &o, &here, &a);
    hem_status status = hem_client_search(client, query, DIM, &o, &there, &b);
    ck_assert_int_eq(status, wanted);
    if (status) {
      ck_assert_str_eq(a.message, b.message);
    } else {
      check_same(&here, &there);
    }
  }
  ck_assert_uint_gt(answered(&s, HEM_OK), 400);
  hem_client_close(client);
  hem__test_serve_end(&s);
  close_direct(&d);
}
END_TEST

START_TEST(a_batch_is_answered_as_its_vectors_are) {
  enum { BATCH = 40 };
  static hem__test_server s;
  float queries[BATCH][DIM];
  hem_answer here, there[BATCH];
  hem_search_options o = {.size = sizeof o, .k = 12};
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = open_client(&s);
  for (size_t i = 0; i < BATCH; i++) hem__test_shop_query(1000 + i, queries[i]);
  ck_ok(hem_client_search_batch(client, queries[0], BATCH, DIM, &o, there, err));
  for (size_t i = 0; i < BATCH; i++) {
    ck_ok(hem_search(d.searcher, queries[i], DIM, &o, &here, err));
    check_same(&here, &there[i]);
  }
  ck_soon(answered(&s, HEM_OK) == BATCH);
  queries[7][3] = INFINITY;
  ck_fails(hem_client_search_batch(client, queries[0], BATCH, DIM, &o, there, err), HEM_EINVAL, "vector 7 of 40");
  ck_fails(hem_client_search_batch(client, queries[0], 1025, DIM, &o, there, err), HEM_EINVAL, "1 to 1024");
  hem_client_close(client);
  hem__test_serve_end(&s);
  close_direct(&d);
}
END_TEST

START_TEST(what_is_wrong_is_said_and_the_next_is_answered) {
  static const char *const hats[] = {"hats"};
  static hem__test_server s;
  float query[DIM + 1] = {0};
  hem_answer answer;
  hem_client_about about;
  hem_search_options o = {.size = sizeof o, .categories = hats, .category_count = 1};
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = open_client(&s);
  ck_fails(hem_client_search(client, query, DIM, &o, &answer, err), HEM_ENOTFOUND, "no category 'hats'");
  ck_fails(hem_client_search(client, query, DIM + 1, NULL, &answer, err), HEM_EMISMATCH, "17 values");
  ck_fails(hem_client_search_photo(client, "no photo", 8, NULL, NULL, &answer, err), HEM_EINVAL, "photos");
  ck_fails(hem_client_category(client, 0, NULL, NULL, NULL, err), HEM_EINVAL, "hem_client_info");
  ck_ok(hem_client_search(client, query, DIM, NULL, &answer, err));
  ck_assert_uint_eq(answer.found, 20);
  hem_client_about_get(client, &about);
  ck_assert_str_eq(about.generation, "000001");
  ck_assert_uint_gt(about.search_ns, 0);
  ck_soon(answered(&s, HEM_ENOTFOUND) == 1 && answered(&s, HEM_EMISMATCH) == 1 && answered(&s, HEM_EINVAL) == 1);
  hem_client_close(client);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(items_are_asked_for) {
  static hem__test_server s;
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = open_client(&s);
  float query[DIM];
  hem_answer here, there;
  char item[64];
  hem__test_shop_query(3, query);
  ck_ok(hem_search(d.searcher, query, DIM, NULL, &here, err));
  snprintf(item, sizeof item, "%s", here.hits[0].item_id);
  ck_ok(hem_search_item(d.searcher, item, NULL, &here, err));
  ck_ok(hem_client_search_item(client, item, NULL, &there, err));
  check_same(&here, &there);
  ck_fails(hem_client_search_item(client, "nobody's", NULL, &there, err), HEM_ENOTFOUND, "nobody's");
  hem_client_close(client);
  hem__test_serve_end(&s);
  close_direct(&d);
}
END_TEST

START_TEST(the_store_is_described) {
  static hem__test_server s;
  hem_engine_info here, there;
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = open_client(&s);
  hem_engine_info_get(d.engine, &here);
  ck_ok(hem_client_info(client, &there, err));
  ck_assert_str_eq(here.generation, there.generation);
  ck_assert_str_eq(here.space_hash, there.space_hash);
  ck_assert_str_eq(here.features, there.features);
  ck_assert_str_eq(here.metric_about, there.metric_about);
  ck_assert(here.dim == there.dim && here.photos == there.photos && here.items == there.items && there.metric);
  const hem_certificate *x = &here.certificate, *y = &there.certificate;
  ck_assert(x->overlap == y->overlap && x->low == y->low && x->high == y->high && x->queries == y->queries);
  ck_assert(x->queries > 0 && x->k == y->k);
  ck_assert_uint_eq(there.category_count, 3);
  for (size_t i = 0; i < 3; i++) {
    const char *a, *b, *ka, *kb;
    uint64_t na, nb;
    hem_engine_category(d.engine, i, &a, &ka, &na);
    ck_ok(hem_client_category(client, i, &b, &kb, &nb, err));
    ck_assert_str_eq(a, b);
    ck_assert_str_eq(ka, kb);
    ck_assert_uint_eq(na, nb);
  }
  ck_fails(hem_client_category(client, 3, NULL, NULL, NULL, err), HEM_EINVAL, "categories");
  hem_client_close(client);
  hem__test_serve_end(&s);
  close_direct(&d);
}
END_TEST

/* ---- many at once ---- */

static void send_query(hem_client *client, size_t i, size_t k, uint64_t *id) {
  float query[DIM];
  hem_search_options o = {.size = sizeof o, .k = k};
  hem__test_shop_query(i, query);
  hem_client_question q = {.size = sizeof q, .vectors = query, .dim = DIM, .options = &o};
  ck_ok(hem_client_send(client, &q, id, err));
}

/* All are sent before one is received: neither side may wait for the other for ever. With k so large the replies fill
 * every buffer on the way. */
START_TEST(a_thousand_requests_on_their_way) {
  static hem__test_server s;
  static uint64_t ids[MANY];
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = open_client(&s);
  for (size_t i = 0; i < MANY; i++) send_query(client, i, 200, &ids[i]);
  hem_engine_info info;
  ck_fails(hem_client_info(client, &info, err), HEM_EBUSY, "1000 requests");
  for (size_t i = 0; i < MANY; i++) {
    float query[DIM];
    uint64_t id;
    size_t count;
    hem_answer here, there;
    hem_search_options o = {.size = sizeof o, .k = 200};
    ck_ok(hem_client_receive(client, &id, &there, 1, &count, err));
    ck_assert_uint_eq(id, ids[i]); /* vectors: in the order in which they were sent */
    hem__test_shop_query(i, query);
    ck_ok(hem_search(d.searcher, query, DIM, &o, &here, err));
    check_same(&here, &there);
  }
  uint64_t id;
  size_t count;
  ck_fails(hem_client_receive(client, &id, NULL, 0, &count, err), HEM_EINVAL, "nothing to receive");
  hem_client_close(client);
  hem__test_serve_end(&s);
  close_direct(&d);
}
END_TEST

/* Several clients; what they find is counted, not asserted: Check knows one thread. */
typedef struct crowd {
  const char *path;
  hem_answer wanted[QUERIES];
  hem_hit *hits;
  atomic_size_t right, wrong;
} crowd;

static void ask_some(crowd *c, hem_client *client) {
  for (size_t i = 0; i < QUERIES; i++) {
    float query[DIM];
    hem_answer answer;
    hem__test_shop_query(i, query);
    bool fine = !hem_client_search(client, query, DIM, NULL, &answer, NULL) &&
                !hem__test_answer_differs(&c->wanted[i], &answer);
    atomic_fetch_add(fine ? &c->right : &c->wrong, 1);
  }
}

static void *be_client(void *context) {
  crowd *c = context;
  hem_client *client = NULL;
  if (hem_client_open(c->path, NULL, &client, NULL)) {
    atomic_fetch_add(&c->wrong, 1);
  } else {
    ask_some(c, client);
  }
  hem_client_close(client);
  return NULL;
}

static void crowd_init(crowd *c, const char *path, direct *d) {
  *c = (crowd){.path = path, .hits = calloc(QUERIES * 20, sizeof *c->hits)};
  for (size_t i = 0; i < QUERIES; i++) {
    float query[DIM];
    hem__test_shop_query(i, query);
    ck_ok(hem_search(d->searcher, query, DIM, NULL, &c->wanted[i], err));
    ck_assert_uint_le(c->wanted[i].found, 20);
    memcpy(c->hits + i * 20, c->wanted[i].hits, c->wanted[i].found * sizeof *c->hits);
    c->wanted[i].hits = c->hits + i * 20;
  }
}

START_TEST(sixty_four_clients) {
  static hem__test_server s;
  static crowd c;
  pthread_t threads[CLIENTS];
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  crowd_init(&c, s.path, &d);
  for (size_t i = 0; i < CLIENTS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, be_client, &c), 0);
  for (size_t i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
  ck_assert_uint_eq(atomic_load(&c.wrong), 0);
  ck_assert_uint_eq(atomic_load(&c.right), CLIENTS * QUERIES);
  ck_soon(answered(&s, HEM_OK) == CLIENTS * QUERIES);
  ck_soon(connections(&s) == 0);
  ck_soon(atomic_load(&s.stats.in_flight[HEM__FRONT_SOCKET]) == 0);
  hem__test_serve_end(&s);
  close_direct(&d);
  free(c.hits);
}
END_TEST

/* ---- peers that misbehave ---- */

static hem__buffer one_search(void) {
  float query[DIM];
  hem__buffer out = {0};
  hem__wire_search search = {.vectors = query, .count = 1, .dim = DIM, .options = {.size = sizeof(hem_search_options)}};
  hem__test_shop_query(1, query);
  ck_ok(hem__wire_search_write(&out, 1, &search, err));
  return out;
}

static void check_alive(const hem__test_server *s) {
  float query[DIM] = {1};
  hem_answer answer;
  hem_client *client = open_client(s);
  ck_ok(hem_client_search(client, query, DIM, NULL, &answer, err));
  hem_client_close(client);
}

START_TEST(a_peer_that_leaves_in_mid_frame) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  for (size_t size = 0; size <= frame.size; size++) {
    int fd = hem__test_connect(s.path);
    ck_assert_int_eq(send(fd, frame.at, size, MSG_NOSIGNAL), (ssize_t)size);
    if (size % 2) shutdown(fd, SHUT_WR);
    close(fd);
  }
  ck_soon(connections(&s) == 0);
  check_alive(&s);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(a_frame_that_comes_byte_by_byte) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  uint8_t head[HEM__WIRE_HEADER];
  hem__wire_header h;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  int fd = hem__test_connect(s.path);
  for (size_t i = 0; i < frame.size; i++) {
    ck_assert_int_eq(send(fd, frame.at + i, 1, MSG_NOSIGNAL), 1);
    if (i % 16 == 0) usleep(500);
  }
  ck_assert_uint_eq(hem__test_read(fd, head, sizeof head), sizeof head);
  ck_ok(hem__wire_header_read(head, 1 << 20, &h, err));
  ck_assert(h.type == 129 && h.id == 1);
  close(fd);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

/* The server's last words, before it closes. */
static void check_farewell(int fd, hem_status status, const char *words) {
  uint8_t bytes[2048];
  hem__wire_header h;
  hem__wire_reply reply;
  size_t size = hem__test_read(fd, bytes, sizeof bytes);
  ck_assert_uint_ge(size, HEM__WIRE_HEADER);
  ck_ok(hem__wire_header_read(bytes, sizeof bytes, &h, err));
  ck_assert_int_eq(h.type, HEM__WIRE_CLOSING);
  ck_assert_uint_eq(size, HEM__WIRE_HEADER + h.size); /* and nothing behind it */
  ck_ok(hem__wire_reply_read(bytes + HEM__WIRE_HEADER, h.size, &reply, err));
  ck_assert_int_eq(reply.status, status);
  ck_assert_msg(strstr(reply.message, words) != NULL, "'%s' lacks '%s'", reply.message, words);
  close(fd);
}

START_TEST(a_frame_that_is_too_large) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  uint32_t size = 4104;
  hem__test_serve(&s, the_store(), (hem__socket_options){.request_bytes_max = 4096});
  int fd = hem__test_connect(s.path);
  memcpy(frame.at + 4, &size, sizeof size);
  ck_assert_int_gt(send(fd, frame.at, frame.size, MSG_NOSIGNAL), 0);
  check_farewell(fd, HEM_EINVAL, "at most 4096");
  fd = hem__test_connect(s.path);
  ck_assert_int_gt(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
  check_farewell(fd, HEM_ECORRUPT, "no frame");
  ck_soon(refused(&s) == 2);
  check_alive(&s);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(requests_that_are_not_known) {
  static hem__test_server s;
  uint8_t ask[HEM__WIRE_HEADER] = {'H', 'M', 1, 99}, bytes[512];
  hem__wire_header h;
  hem__wire_reply reply;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  int fd = hem__test_connect(s.path);
  ask[8] = 42;
  ck_assert_int_eq(send(fd, ask, sizeof ask, MSG_NOSIGNAL), sizeof ask);
  ck_assert_uint_eq(hem__test_read(fd, bytes, HEM__WIRE_HEADER), HEM__WIRE_HEADER);
  ck_ok(hem__wire_header_read(bytes, sizeof bytes, &h, err));
  ck_assert(h.type == 99 + 128 && h.id == 42);
  ck_assert_uint_eq(hem__test_read(fd, bytes, h.size), h.size);
  ck_ok(hem__wire_reply_read(bytes, h.size, &reply, err));
  ck_assert_int_eq(reply.status, HEM_EUNSUPPORTED);
  ask[3] = HEM__WIRE_PING; /* and the connection goes on */
  ck_assert_int_eq(send(fd, ask, sizeof ask, MSG_NOSIGNAL), sizeof ask);
  ck_assert_uint_eq(hem__test_read(fd, bytes, HEM__WIRE_HEADER), HEM__WIRE_HEADER);
  ck_assert_int_eq(bytes[3], HEM__WIRE_PING + HEM__WIRE_REPLY);
  close(fd);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(more_connections_than_there_may_be) {
  static hem__test_server s;
  hem_client *clients[4] = {0};
  float query[DIM] = {1};
  hem_answer answer;
  hem__test_serve(&s, the_store(), (hem__socket_options){.connections_max = 3});
  for (size_t i = 0; i < 3; i++) {
    clients[i] = open_client(&s);
    ck_ok(hem_client_search(clients[i], query, DIM, NULL, &answer, err));
  }
  clients[3] = open_client(&s);
  ck_fails(hem_client_search(clients[3], query, DIM, NULL, &answer, err), HEM_EBUSY, "3 connections are open");
  hem_client_close(clients[0]);
  ck_soon(connections(&s) == 2);
  ck_ok(hem_client_search(clients[3], query, DIM, NULL, &answer, err)); /* it connects anew */
  for (size_t i = 1; i < 4; i++) hem_client_close(clients[i]);
  hem__test_serve_end(&s);
}
END_TEST

/* Half a request, and requests without an end whose replies nobody reads: both are cut off in time. */
START_TEST(peers_that_let_it_wait) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  hem__test_serve(&s, the_store(), (hem__socket_options){.deadline_ms = 300});
  int half = hem__test_connect(s.path), deaf = hem__test_connect(s.path), idle = hem__test_connect(s.path);
  ck_assert_int_eq(send(half, frame.at, 20, MSG_NOSIGNAL), 20);
  uint64_t until = hem__now_ns() + UINT64_C(5000000000);
  while (hem__now_ns() < until &&
         (send(deaf, frame.at, frame.size, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 || errno == EAGAIN))
    check_alive(&s);
  ck_soon(connections(&s) == 1);
  ck_assert_uint_eq(hem__test_read(half, frame.at, 1), 0);
  ck_assert_int_eq(send(idle, frame.at, 0, MSG_NOSIGNAL), 0); /* nothing was asked, so nothing is late */
  close(half);
  close(deaf);
  close(idle);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

/* Credentials are a thread's: this one becomes somebody else for a connection. */
static void *connect_as_nobody(void *context) {
  const hem__test_server *s = context;
  static int fd;
  if (syscall(SYS_setresuid, -1, 65534, -1) != 0) return NULL;
  fd = hem__test_connect(s->path);
  syscall(SYS_setresuid, -1, 0, -1);
  return &fd;
}

START_TEST(another_user) {
  for (int any = 0; any < 2; any++) {
    static hem__test_server s;
    pthread_t thread;
    void *fd = NULL;
    hem__test_serve(&s, the_store(), (hem__socket_options){.mode = 0666, .any_user = any});
    if (geteuid() == 0) {
      ck_assert_int_eq(pthread_create(&thread, NULL, connect_as_nobody, &s), 0);
      pthread_join(thread, &fd);
    }
    if (!fd) {
      puts("another user: not checked, that takes root");
    } else if (any) {
      uint8_t ask[HEM__WIRE_HEADER] = {'H', 'M', 1, HEM__WIRE_PING};
      ck_assert_int_eq(send(*(int *)fd, ask, sizeof ask, MSG_NOSIGNAL), sizeof ask);
      ck_assert_uint_eq(hem__test_read(*(int *)fd, ask, sizeof ask), sizeof ask);
      ck_assert_int_eq(ask[3], HEM__WIRE_PING + HEM__WIRE_REPLY);
      close(*(int *)fd);
    } else {
      check_farewell(*(int *)fd, HEM_EINVAL, "root only");
      ck_soon(refused(&s) == 1);
    }
    check_alive(&s);
    hem__test_serve_end(&s);
  }
}
END_TEST

/* ---- photos ---- */

/* Photos are others' work: what is asked with vectors behind them is answered first or last, but all is answered. Here
 * every photo's answer is that this store takes none. */
START_TEST(photos_among_vectors) {
  enum { PAIRS = 100 };
  static hem__test_server s;
  static uint8_t bytes[100000];
  size_t photos = 0, vectors = 0;
  uint64_t last = 0;
  hem__test_serve(&s, the_store(), (hem__socket_options){.in_flight_max = 8});
  hem_client *client = open_client(&s);
  hem_client_question q = {.size = sizeof q, .photo = bytes, .photo_size = sizeof bytes};
  for (size_t i = 0; i < PAIRS; i++) {
    uint64_t id;
    ck_ok(hem_client_send(client, &q, &id, err));
    ck_assert_uint_eq(id, 2 * i + 1);
    send_query(client, i, 5, &id);
  }
  for (size_t i = 0; i < 2 * PAIRS; i++) {
    uint64_t id;
    size_t count;
    hem_answer answer;
    hem_error err;
    hem_status status = hem_client_receive(client, &id, &answer, 1, &count, &err);
    ck_assert_msg(status == (id % 2 ? HEM_EINVAL : HEM_OK), "%zu: %s", (size_t)id, err.message);
    if (id % 2) {
      photos++;
    } else {
      ck_assert_uint_gt(id, last);
      last = id;
      vectors++;
    }
  }
  ck_assert(photos == PAIRS && vectors == PAIRS);
  for (size_t i = 0; i < 8; i++) {
    uint64_t id;
    ck_ok(hem_client_send(client, &q, &id, err));
  }
  hem_client_close(client); /* who asked is gone before it is answered */
  ck_soon(connections(&s) == 0);
  hem__test_serve_end(&s);
}
END_TEST

/* ---- generations ---- */

/* Generation i has items "<i>-a" and "<i>-b": which one answers is told by the item. */
static char *publish(const char *folder, unsigned i) {
  hem__made made = {.dim = 2};
  char a[16], b[16];
  snprintf(a, sizeof a, "%u-a", i);
  snprintf(b, sizeof b, "%u-b", i);
  hem__made_add(&made, (hem__photo){.item_id = a, .category = "dress"}, (float[]){1, 0});
  hem__made_add(&made, (hem__photo){.item_id = b, .category = "skirt"}, (float[]){0, 1});
  char *path = hem__made_store(&made, folder, "store", (hem_index_options){0});
  hem__made_clear(&made);
  return path;
}

typedef struct swaps {
  const char *path;
  atomic_bool stop;
  atomic_size_t asked, wrong;
} swaps;

static bool is_of_one_generation(hem_client *client) {
  enum { BATCH = 8 };
  static const float queries[2 * BATCH] = {1, 0, 0, 1};
  hem_answer answers[BATCH];
  hem_client_about about;
  char wanted[16];
  if (hem_client_search_batch(client, queries, BATCH, 2, NULL, answers, NULL)) return false;
  hem_client_about_get(client, &about);
  snprintf(wanted, sizeof wanted, "%d-a", atoi(about.generation));
  for (size_t i = 0; i < BATCH; i++)
    if (answers[i].found != 2 || strtol(answers[i].hits[1].item_id, NULL, 10) != strtol(wanted, NULL, 10)) return false;
  return !strcmp(answers[0].hits[0].item_id, wanted);
}

static void *ask_on(void *context) {
  swaps *w = context;
  hem_client *client = NULL;
  if (hem_client_open(w->path, NULL, &client, NULL)) atomic_fetch_add(&w->wrong, 1);
  while (client && !atomic_load(&w->stop)) {
    if (!is_of_one_generation(client)) atomic_fetch_add(&w->wrong, 1);
    atomic_fetch_add(&w->asked, 1);
  }
  hem_client_close(client);
  return NULL;
}

START_TEST(generations_change_while_it_is_asked) {
  enum { ASKERS = 3, GENERATIONS = 8 };
  static hem__test_server s;
  pthread_t threads[ASKERS];
  const char *folder = hem__test_folder();
  char *path = publish(folder, 1);
  hem__test_serve(&s, path, (hem__socket_options){0});
  swaps w = {.path = s.path};
  for (size_t i = 0; i < ASKERS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_on, &w), 0);
  for (unsigned i = 2; i <= GENERATIONS; i++) {
    bool changed = false;
    free(publish(folder, i));
    ck_ok(hem__live_reload(s.service.live, &changed, err));
    ck_assert(changed);
    size_t before = atomic_load(&w.asked);
    ck_soon(atomic_load(&w.asked) > before + 10);
  }
  atomic_store(&w.stop, true);
  for (size_t i = 0; i < ASKERS; i++) pthread_join(threads[i], NULL);
  ck_assert_uint_eq(atomic_load(&w.wrong), 0);
  hem__test_serve_end(&s);
  free(path);
}
END_TEST

/* ---- start and stop ---- */

START_TEST(the_file) {
  static hem__test_server s;
  struct stat st;
  hem__socket *second = NULL;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  ck_assert_int_eq(stat(s.path, &st), 0);
  ck_assert(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600);
  hem__socket_options o = {.path = s.path, .fd = -1, .threads = 1};
  ck_fails(hem__socket_start(&s.service, &o, &second, err), HEM_EBUSY, s.path);
  check_alive(&s);
  hem__test_socket_stop(&s, 1000);
  ck_assert_int_eq(stat(s.path, &st), -1);
  /* A socket that nobody listens at any more. */
  int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_storage address = {.ss_family = AF_UNIX};
  strcpy((char *)&address + sizeof(sa_family_t), s.path);
  ck_assert_int_eq(bind(dead, (struct sockaddr *)&address, (socklen_t)(sizeof(sa_family_t) + strlen(s.path) + 1)), 0);
  close(dead);
  hem__test_socket_start(&s, (hem__socket_options){.mode = 0660});
  ck_assert_int_eq(stat(s.path, &st), 0);
  ck_assert((st.st_mode & 0777) == 0660);
  check_alive(&s);
  hem__test_socket_stop(&s, 1000);
  ck_assert_int_eq(close(creat(s.path, 0600)), 0); /* somebody's file */
  ck_fails(hem__socket_start(&s.service, &o, &second, err), HEM_EINVAL, "no socket");
  ck_assert_int_eq(stat(s.path, &st), 0);
  ck_assert_int_eq(unlink(s.path), 0);
  o.path = "";
  ck_fails(hem__socket_start(&s.service, &o, &second, err), HEM_EINVAL, "path");
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(a_socket_that_listens_already) {
  static hem__test_server s;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem__test_socket_stop(&s, 0);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_storage address = {.ss_family = AF_UNIX};
  strcpy((char *)&address + sizeof(sa_family_t), s.path);
  hem__socket *none = NULL;
  hem__socket_options o = {.fd = fd};
  ck_fails(hem__socket_start(&s.service, &o, &none, err), HEM_EINVAL, "listens");
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)(sizeof(sa_family_t) + strlen(s.path) + 1)), 0);
  ck_assert_int_eq(listen(fd, 8), 0);
  int kept = dup(fd); /* as whoever started the server keeps it */
  for (int i = 0; i < 2; i++) {
    o.fd = i ? dup(kept) : fd;
    ck_ok(hem__socket_start(&s.service, &o, &s.socket, err));
    check_alive(&s);
    hem__test_socket_stop(&s, 1000);
  }
  close(kept);
  hem__test_serve_end(&s);
}
END_TEST

static void *stop_soon(void *context) {
  hem__test_socket_stop(context, 10000);
  return NULL;
}

START_TEST(a_stop_answers_what_was_asked) {
  enum { ASKED = 200 };
  static hem__test_server s;
  hem__buffer frame = one_search();
  pthread_t thread;
  uint8_t header[HEM__WIRE_HEADER];
  static uint8_t body[1 << 16];
  size_t answers = 0;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  int fd = hem__test_connect(s.path), later = hem__test_connect(s.path);
  for (size_t i = 0; i < ASKED; i++)
    ck_assert_int_eq(send(fd, frame.at, frame.size, MSG_NOSIGNAL), (ssize_t)frame.size);
  ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, &s), 0);
  while (hem__test_read(fd, header, sizeof header) == sizeof header) {
    hem__wire_header h;
    ck_ok(hem__wire_header_read(header, sizeof body, &h, err));
    ck_assert_int_eq(h.type, 129);
    ck_assert_uint_eq(hem__test_read(fd, body, h.size), h.size);
    answers++;
  }
  ck_assert_uint_eq(answers, ASKED);
  pthread_join(thread, NULL);
  ck_assert_int_eq(send(later, frame.at, frame.size, MSG_NOSIGNAL), -1);
  ck_assert_int_eq(connections(&s), 0);
  close(fd);
  close(later);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(a_client_comes_back_to_a_server_that_was_started_again) {
  static hem__test_server s;
  float query[DIM] = {1};
  hem_answer answer;
  hem_client *client, *strict = NULL;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  client = open_client(&s);
  hem_client_options o = {.size = sizeof o, .no_reconnect = true};
  ck_ok(hem_client_open(s.path, &o, &strict, err));
  for (int i = 0; i < 3; i++) {
    ck_ok(hem_client_search(client, query, DIM, NULL, &answer, err));
    ck_assert_uint_eq(answer.found, 20);
    if (i == 0) ck_ok(hem_client_search(strict, query, DIM, NULL, &answer, err));
    hem__test_socket_stop(&s, 1000);
    hem__test_socket_start(&s, (hem__socket_options){0});
  }
  ck_fails(hem_client_search(strict, query, DIM, NULL, &answer, err), HEM_EIO, "closed the connection");
  ck_ok(hem_client_search(strict, query, DIM, NULL, &answer, err)); /* the call after that connects anew */
  uint64_t id;
  size_t count;
  send_query(client, 1, 5, &id);
  ck_ok(hem_client_receive(client, &id, &answer, 1, &count, err));
  send_query(client, 1, 5, &id);
  hem__test_socket_stop(&s, 1000);
  ck_ok(hem_client_receive(client, &id, &answer, 1, &count, err)); /* what was asked was answered */
  uint64_t before = hem__now_ns();
  ck_fails(hem_client_search(client, query, DIM, NULL, &answer, err), HEM_EIO, "went away");
  ck_assert_uint_ge(hem__now_ns() - before, UINT64_C(900000000)); /* it was waited for */
  hem_client_close(client);
  hem_client_close(strict);
  client = NULL;
  ck_fails(hem_client_open(s.path, NULL, &client, err), HEM_ENOTFOUND, s.path);
  hem__test_serve_end(&s);
}
END_TEST

HEM_TESTS("socket", answers_are_those_of_hem_search, a_batch_is_answered_as_its_vectors_are,
          what_is_wrong_is_said_and_the_next_is_answered, items_are_asked_for, the_store_is_described,
          a_thousand_requests_on_their_way, sixty_four_clients, a_peer_that_leaves_in_mid_frame,
          a_frame_that_comes_byte_by_byte, a_frame_that_is_too_large, requests_that_are_not_known,
          more_connections_than_there_may_be, peers_that_let_it_wait, another_user, photos_among_vectors,
          generations_change_while_it_is_asked, the_file, a_socket_that_listens_already, a_stop_answers_what_was_asked,
          a_client_comes_back_to_a_server_that_was_started_again)
