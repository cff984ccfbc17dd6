/* One kept-open connection to a server of this machine, for benchmarks: no redirects, no chunks, no TLS. */
#ifndef HEM_BENCH_HTTP_CLIENT_H
#define HEM_BENCH_HTTP_CLIENT_H

#include "base/memory.h"

enum { HEM__HTTP_ANSWER_MAX = 1 << 20 };

/* Zeroed, with fd -1, is not connected. One thread. */
typedef struct hem__http_client {
  int fd;
  uint16_t port;
  char *answer; /* the last one's body, terminated */
} hem__http_client;

typedef struct hem__http_post {
  const char *path, *type;
  const void *body;
  size_t size;
} hem__http_post;

hem_status hem__http_client_open(uint16_t port, hem__http_client *out, hem_error *err);
void hem__http_client_close(hem__http_client *client);
/* Connects where that is to be done, asks, and writes the answer's status. Errors: EIO; the next call connects anew. */
hem_status hem__http_client_post(hem__http_client *client, const hem__http_post *post, unsigned *status,
                                 hem_error *err);

#endif
