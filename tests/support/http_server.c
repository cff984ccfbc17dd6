#include "support/http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/make_catalog.h"

static char *make_store(void) {
  hem__made made = {.dim = HEM__SERVED_DIM};
  uint64_t random = 1;
  for (int i = 0; i < HEM__SERVED_ITEMS; i++) {
    char item[16];
    float vector[HEM__SERVED_DIM];
    for (int j = 0; j < HEM__SERVED_DIM; j++) vector[j] = hem__test_uniform(&random);
    snprintf(item, sizeof item, "item%d", i);
    hem__made_add(&made, (hem__photo){.item_id = item, .category = i % 2 ? "dress" : "skirt", .label = "l"}, vector);
  }
  char *store = hem__made_store(&made, hem__test_folder(), "store", (hem_index_options){0});
  hem__made_clear(&made);
  return store;
}

void hem__serve(hem__served *served, hem__http_options options, size_t job_threads, size_t jobs_waiting) {
  char *store = make_store();
  *served = (hem__served){0};
  served->service.stats = &served->stats;
  ck_ok(hem__live_open(&(hem__live_options){.store = store}, &served->service.live, err));
  ck_ok(hem__jobs_new(job_threads, jobs_waiting, &served->service.photos, err));
  options.address = "127.0.0.1:0";
  options.fd = -1;
  ck_ok(hem__http_start(&served->service, &options, &served->http, err));
  served->port = hem__http_port(served->http);
  free(store);
}

void hem__served_end(hem__served *served, unsigned grace_ms) {
  hem__http_stop(served->http, grace_ms);
  hem__jobs_close(served->service.photos);
  hem__live_close(served->service.live);
  ck_assert_int_eq((int)served->stats.connections[HEM__FRONT_HTTP], 0);
  ck_assert_int_eq((int)served->stats.in_flight[HEM__FRONT_HTTP], 0);
}

int hem__http_connect(unsigned port) {
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_ge(fd, 0);
  ck_assert_msg(connect(fd, (struct sockaddr *)&at, sizeof at) == 0, "connect: %s", strerror(errno));
  return fd;
}

void hem__http_send(int fd, const char *bytes, size_t size) {
  while (size) {
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return; /* it was cut */
    bytes += sent;
    size -= (size_t)sent;
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

long hem__http_receive(int fd, char *out, size_t room, int seconds) {
  double until = now() + seconds;
  size_t got = 0;
  for (;;) {
    char dropped[4096];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int left = (int)((until - now()) * 1000);
    if (left <= 0 || poll(&wait, 1, left) <= 0) return -1;
    bool full = got + 1 >= room;
    ssize_t size = recv(fd, full ? dropped : out + got, full ? sizeof dropped : room - 1 - got, 0);
    if (size <= 0) break;
    if (!full) got += (size_t)size;
  }
  out[got] = '\0';
  return (long)got;
}

void hem__http_answer(int fd, char *out, size_t room) {
  size_t got = 0, wanted = room;
  while (got < wanted) {
    ssize_t size = recv(fd, out + got, room - 1 - got, 0);
    ck_assert_msg(size > 0, "the connection was closed instead of an answer");
    got += (size_t)size;
    out[got] = '\0';
    const char *body = strstr(out, "\r\n\r\n"), *length = strstr(out, "Content-Length: ");
    if (body && length) wanted = (size_t)(body + 4 - out) + strtoul(length + 16, NULL, 10);
    ck_assert_uint_lt(wanted - 1, room);
  }
}
