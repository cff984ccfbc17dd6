#include "support/live_server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

void hem__test_socket_start(hem__test_server *s, hem__socket_options o) {
  if (!o.path && o.fd <= 0) o.path = s->path;
  if (o.path) o.fd = -1;
  if (!o.threads) o.threads = 2;
  ck_ok(hem__socket_start(&s->service, &o, &s->socket, err));
}

void hem__test_socket_stop(hem__test_server *s, unsigned grace_ms) {
  hem__socket_stop(s->socket, grace_ms);
  s->socket = NULL;
}

void hem__test_serve(hem__test_server *s, const char *store, hem__socket_options o) {
  static const char *folder;
  if (!folder) folder = hem__test_folder();
  ck_assert_int_eq(chmod(folder, 0755), 0);
  *s = (hem__test_server){.path = hem__test_path(folder, "shop.sock")};
  s->service.stats = &s->stats;
  ck_ok(hem__live_open(&(hem__live_options){.store = store}, &s->service.live, err));
  ck_ok(hem__jobs_new(2, 64, &s->service.photos, err));
  hem__test_socket_start(s, o);
}

void hem__test_serve_end(hem__test_server *s) {
  hem__test_socket_stop(s, 0);
  hem__jobs_close(s->service.photos);
  hem__live_close(s->service.live);
  free(s->path);
}

hem_client *hem__test_client(const hem__test_server *s) {
  hem_client *client = NULL;
  hem_client_options o = {.size = sizeof o, .timeout_ms = 10000};
  ck_ok(hem_client_open(s->path, &o, &client, err));
  return client;
}

void hem__test_check_alive(const hem__test_server *s) {
  float query[HEM__TEST_SHOP_DIM] = {1};
  hem_answer answer;
  hem_client *client = hem__test_client(s);
  ck_ok(hem_client_search(client, query, HEM__TEST_SHOP_DIM, NULL, &answer, err));
  hem_client_close(client);
}

void hem__test_send_query(hem_client *client, uint64_t seed, size_t k, uint64_t *id) {
  float query[HEM__TEST_SHOP_DIM];
  hem_search_options o = {.size = sizeof o, .k = k};
  hem__test_shop_query(seed, query);
  hem_client_question q = {.size = sizeof q, .vectors = query, .dim = HEM__TEST_SHOP_DIM, .options = &o};
  ck_ok(hem_client_send(client, &q, id, err));
}

int64_t hem__test_connections(hem__test_server *s) { return atomic_load(&s->stats.connections[HEM__FRONT_SOCKET]); }
uint64_t hem__test_refused(hem__test_server *s) { return atomic_load(&s->stats.refused[HEM__FRONT_SOCKET]); }
uint64_t hem__test_answered(hem__test_server *s, hem_status status) {
  return atomic_load(&s->stats.answered[HEM__FRONT_SOCKET][status]);
}

int hem__test_connect(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct timeval limit = {.tv_sec = 10};
  ck_assert_uint_lt(strlen(path), sizeof address.sun_path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
  ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

size_t hem__test_receive(int fd, void *out, size_t size) {
  size_t got = 0;
  while (got < size) {
    ssize_t n = recv(fd, (char *)out + got, size - got, 0);
    if (n < 0 && errno == EINTR) continue;
    ck_assert_msg(n >= 0 || errno == ECONNRESET, "%s after %zu bytes", strerror(errno), got);
    if (n <= 0) break;
    got += (size_t)n;
  }
  return got;
}

char *hem__test_shop_store(const char *folder, size_t items) {
  hem__made made = {.dim = HEM__TEST_SHOP_DIM};
  hem__metric *metric = hem__test_learned(HEM__TEST_CONCAVE, HEM__TEST_SHOP_DIM, HEM_L2, 1);
  hem__test_shop(&made, items, 3, 1);
  char *store = hem__test_learned_store(&made, metric, folder, "store", (hem_index_options){.kind = "flat"});
  hem__metric_free(metric);
  hem__made_clear(&made);
  return store;
}

void hem__test_shop_query(uint64_t seed, float vector[HEM__TEST_SHOP_DIM]) {
  for (size_t i = 0; i < HEM__TEST_SHOP_DIM; i++) vector[i] = hem__test_normal(&seed);
}

static bool same(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

const char *hem__test_answer_differs(const hem_answer *a, const hem_answer *b) {
  if (a->found != b->found || a->wanted != b->wanted || a->shortfall != b->shortfall) return "how many there are";
  if (a->categories != b->categories || a->fallbacks != b->fallbacks || a->gallery != b->gallery) return "the gallery";
  if (a->scored != b->scored || a->no_match != b->no_match || a->threshold != b->threshold) return "the match";
  for (size_t i = 0; i < a->found; i++) {
    const hem_hit *x = &a->hits[i], *y = &b->hits[i];
    if (strcmp(x->item_id, y->item_id) || strcmp(x->category, y->category)) return "an item";
    if (strcmp(x->path, y->path) || strcmp(x->label, y->label) || x->row != y->row) return "a photo";
    if (!same(x->distance, y->distance) || !same(x->score, y->score) || !same(x->probability, y->probability))
      return "a number";
    if (x->place != y->place) return "a place";
  }
  return NULL;
}
