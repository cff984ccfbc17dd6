/* A server in this process, and a client that sends what it is told. */
#ifndef HEM_TESTS_SUPPORT_HTTP_SERVER_H
#define HEM_TESTS_SUPPORT_HTTP_SERVER_H

#include "serve/http.h"
#include "test.h"

enum { HEM__SERVED_DIM = 4, HEM__SERVED_ITEMS = 12 };

typedef struct hem__served {
  hem__service service;
  hem__stats stats;
  hem__http *http;
  unsigned port;
} hem__served;

/* Serves a small store of made-up vectors. `job_threads` and `jobs_waiting`: of service.photos. */
void hem__serve(hem__served *served, hem__http_options options, size_t job_threads, size_t jobs_waiting);
void hem__served_end(hem__served *served, unsigned grace_ms);

int hem__http_connect(unsigned port);
void hem__http_send(int fd, const char *bytes, size_t size);
/* Until the other side closes, or `seconds` are over: then -1. Returns how many bytes came; `out`, of `room` bytes, is
 * terminated; what does not fit is dropped. */
long hem__http_receive(int fd, char *out, size_t room, int seconds);
/* One answer whole, on a connection that stays. */
void hem__http_answer(int fd, char *out, size_t room);

#endif
