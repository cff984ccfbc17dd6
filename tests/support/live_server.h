/* A server in the test's own process: a store, answered over a Unix-domain socket. */
#ifndef HEM_TESTS_SUPPORT_LIVE_SERVER_H
#define HEM_TESTS_SUPPORT_LIVE_SERVER_H

#include <unistd.h>

#include "serve/socket.h"
#include "support/make_learned.h"

/* Link hemline_serve where this is used. */
typedef struct hem__test_server {
  char *path; /* of the socket, in a folder that others may look into; the same for all servers of a program */
  hem__service service;
  hem__stats stats;
  hem__socket *socket;
} hem__test_server;

/* Serves `store`; what `options` leaves out is filled in: a path of its own, two threads. */
void hem__test_serve(hem__test_server *server, const char *store, hem__socket_options options);
/* Only the socket, so that it can be started again at the same path. */
void hem__test_socket_start(hem__test_server *server, hem__socket_options options);
void hem__test_socket_stop(hem__test_server *server, unsigned grace_ms);
void hem__test_serve_end(hem__test_server *server);

hem_client *hem__test_client(const hem__test_server *server);
/* Somebody who behaves is answered. */
void hem__test_check_alive(const hem__test_server *server);
/* Asks for hem__test_shop_query(seed). */
void hem__test_send_query(hem_client *client, uint64_t seed, size_t k, uint64_t *id);

/* Counters are written behind an answer: what they show may come a little later. */
int64_t hem__test_connections(hem__test_server *server);
uint64_t hem__test_refused(hem__test_server *server);
uint64_t hem__test_answered(hem__test_server *server, hem_status status);

/* `wanted` becomes true within 5 seconds. */
#define ck_soon(wanted)                                                \
  do {                                                                 \
    for (int ck_i = 0; ck_i < 1000 && !(wanted); ck_i++) usleep(5000); \
    ck_assert_msg(wanted, "%s: not within five seconds", #wanted);     \
  } while (0)

/* A connection without a client round it. Blocks for at most 10 s. */
int hem__test_connect(const char *path);
/* Reads up to `size` bytes, until the other side has no more; returns how many there were. */
size_t hem__test_receive(int fd, void *out, size_t size);

/* A shop with a metric, of `items` items in 3 categories, vectors of 16 values. Freed with free(). */
char *hem__test_shop_store(const char *folder, size_t items);
enum { HEM__TEST_SHOP_DIM = 16 };
void hem__test_shop_query(uint64_t seed, float vector[HEM__TEST_SHOP_DIM]);

/* Equal to the last bit, names by their text. NULL, or what differs. */
const char *hem__test_answer_differs(const hem_answer *a, const hem_answer *b);

#endif
