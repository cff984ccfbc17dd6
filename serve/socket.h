/* The server's side of the Unix-domain socket (query/wire.h says what goes over it). */
#ifndef HEM_SERVE_SOCKET_H
#define HEM_SERVE_SOCKET_H

#include "serve/service.h"

typedef struct hem__socket hem__socket;

typedef struct hem__socket_options {
  const char *path;         /* made, and removed at the end; a dead server's is replaced, a living one's is EBUSY */
  int fd;                   /* not -1: listens already (socket activation), and `path` is NULL */
  unsigned mode;            /* of `path`; 0: 0600 */
  bool any_user;            /* false: only peers of this process's user, and root */
  size_t threads;           /* 0: one for each core */
  size_t connections_max;   /* 0: 1024 */
  size_t in_flight_max;     /* requests of one connection; 0: 256 */
  size_t request_bytes_max; /* 0: 64 MiB */
  unsigned deadline_ms;     /* for a request to come in whole, and for a peer to take some of its answer; 0: 30,000 */
  unsigned spin_us; /* an idle thread looks for the next request, twice as long as the last one let wait, if that was at
                       most so long; 0: 200, UINT_MAX: never */
} hem__socket_options;

/* Listens and answers on threads of its own. The service is borrowed. Errors: EINVAL, EBUSY, EIO, ENOMEM. */
hem_status hem__socket_start(hem__service *service, const hem__socket_options *options, hem__socket **out,
                             hem_error *err);
/* No connection is accepted from now on; what was asked is answered, for at most `grace_ms`; then everything ends. */
void hem__socket_stop(hem__socket *socket, unsigned grace_ms);

#endif
