/* A server in the test's own process: a store, answered over a Unix-domain socket. */
#ifndef HEM_TESTS_SUPPORT_LIVE_SERVER_H
#define HEM_TESTS_SUPPORT_LIVE_SERVER_H

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

/* A connection without a client round it. Blocks for at most 10 s. */
int hem__test_connect(const char *path);
/* Reads up to `size` bytes, until the other side has no more; returns how many there were. */
size_t hem__test_read(int fd, void *out, size_t size);

/* A shop with a metric, of `items` items in 3 categories, vectors of 16 values. Freed with free(). */
char *hem__test_shop_store(const char *folder, size_t items);
enum { HEM__TEST_SHOP_DIM = 16 };
void hem__test_shop_query(uint64_t seed, float vector[HEM__TEST_SHOP_DIM]);

/* Equal to the last bit, names by their text. NULL, or what differs. */
const char *hem__test_answer_differs(const hem_answer *a, const hem_answer *b);

#endif
