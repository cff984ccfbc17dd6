/* A store asked over the Unix-domain socket: the answers are those of hem_search, to the last bit, however many ask and
 * whatever is published meanwhile. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "support/live_server.h"

enum { DIM = HEM__TEST_SHOP_DIM, QUERIES = 50, MANY = 1000, CLIENTS = 64 };

static char *store;

static const char *the_store(void) {
  if (!store) store = hem__test_shop_store(hem__test_folder(), 300);
  return store;
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
  hem_client *client = hem__test_client(&s);
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
  ck_assert_uint_gt(hem__test_answered(&s, HEM_OK), 400);
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
  hem_client *client = hem__test_client(&s);
  for (size_t i = 0; i < BATCH; i++) hem__test_shop_query(1000 + i, queries[i]);
  ck_ok(hem_client_search_batch(client, queries[0], BATCH, DIM, &o, there, err));
  for (size_t i = 0; i < BATCH; i++) {
    ck_ok(hem_search(d.searcher, queries[i], DIM, &o, &here, err));
    check_same(&here, &there[i]);
  }
  ck_soon(hem__test_answered(&s, HEM_OK) == BATCH);
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
  hem_client *client = hem__test_client(&s);
  ck_fails(hem_client_search(client, query, DIM, &o, &answer, err), HEM_ENOTFOUND, "no category 'hats'");
  ck_fails(hem_client_search(client, query, DIM + 1, NULL, &answer, err), HEM_EMISMATCH, "17 values");
  ck_fails(hem_client_search_photo(client, "no photo", 8, NULL, NULL, &answer, err), HEM_EINVAL, "photos");
  ck_fails(hem_client_category(client, 0, NULL, NULL, NULL, err), HEM_EINVAL, "hem_client_info");
  ck_ok(hem_client_search(client, query, DIM, NULL, &answer, err));
  ck_assert_uint_eq(answer.found, 20);
  hem_client_about_get(client, &about);
  ck_assert_str_eq(about.generation, "000001");
  ck_assert_uint_gt(about.search_ns, 0);
  ck_soon(hem__test_answered(&s, HEM_ENOTFOUND) == 1 && hem__test_answered(&s, HEM_EMISMATCH) == 1 &&
          hem__test_answered(&s, HEM_EINVAL) == 1);
  hem_client_close(client);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(items_are_asked_for) {
  static hem__test_server s;
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = hem__test_client(&s);
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
  hem_client *client = hem__test_client(&s);
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

/* All are sent before one is received: neither side may wait for the other for ever. With k so large the replies fill
 * every buffer on the way. */
START_TEST(a_thousand_requests_on_their_way) {
  static hem__test_server s;
  static uint64_t ids[MANY];
  direct d = open_direct();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem_client *client = hem__test_client(&s);
  for (size_t i = 0; i < MANY; i++) hem__test_send_query(client, i, 200, &ids[i]);
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
  ck_soon(hem__test_answered(&s, HEM_OK) == CLIENTS * QUERIES);
  ck_soon(hem__test_connections(&s) == 0);
  ck_soon(atomic_load(&s.stats.in_flight[HEM__FRONT_SOCKET]) == 0);
  hem__test_serve_end(&s);
  close_direct(&d);
  free(c.hits);
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
  hem_client *client = hem__test_client(&s);
  hem_client_question q = {.size = sizeof q, .photo = bytes, .photo_size = sizeof bytes};
  for (size_t i = 0; i < PAIRS; i++) {
    uint64_t id;
    ck_ok(hem_client_send(client, &q, &id, err));
    ck_assert_uint_eq(id, 2 * i + 1);
    hem__test_send_query(client, i, 5, &id);
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
  ck_soon(hem__test_connections(&s) == 0);
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

HEM_TESTS("socket", answers_are_those_of_hem_search, a_batch_is_answered_as_its_vectors_are,
          what_is_wrong_is_said_and_the_next_is_answered, items_are_asked_for, the_store_is_described,
          a_thousand_requests_on_their_way, sixty_four_clients, photos_among_vectors,
          generations_change_while_it_is_asked)
