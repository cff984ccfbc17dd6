/* REST, by libmicrohttpd behind a guard. */
#ifndef HEM_SERVE_HTTP_H
#define HEM_SERVE_HTTP_H

#include "serve/service.h"

typedef struct hem__http hem__http;

typedef struct hem__http_options {
  const char *address;    /* "127.0.0.1:8080", "[::1]:8080", ":8080" or "8080" (loopback), port 0: any that is free */
  int fd;                 /* not -1: listens already, and `address` is NULL */
  const char *token_file; /* one line: the bearer token to ask for; NULL: none is */
  bool page;              /* false: no search page, REST only */
  size_t threads;         /* 0: one for each core */
  size_t connections_max; /* 0: 512 */
  size_t body_bytes_max;  /* 0: 32 MiB */
  unsigned deadline_ms;   /* for a whole request to come in; 0: 10,000 */
  bool (*reload)(void *context, hem_error *err); /* POST /v1/reload; NULL: not offered */
  void *context;
} hem__http_options;

/* Errors: EINVAL (an address or token file that makes no sense), EBUSY (somebody listens there), EIO, ENOMEM. */
hem_status hem__http_start(hem__service *service, const hem__http_options *options, hem__http **out, hem_error *err);
unsigned hem__http_port(const hem__http *http);
/* As hem__socket_stop. */
void hem__http_stop(hem__http *http, unsigned grace_ms);

#endif
