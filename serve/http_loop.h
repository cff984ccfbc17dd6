/* A thread that runs one of libmicrohttpd's daemons. Its own threads sleep as soon as nothing is to be done, and being
 * woken costs more than all else that a vector's question costs here; ours looks for the next request a while first,
 * as the workers of the Unix socket do. */
#ifndef HEM_SERVE_HTTP_LOOP_H
#define HEM_SERVE_HTTP_LOOP_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "serve/http_door.h"

struct MHD_Daemon;

typedef struct hem__http_loop hem__http_loop;

/* The daemon has no thread and does not listen. The door is told who has arrived. `looking` is shared by all loops of a
 * server: one of them looks at a time. Errors: ENOMEM, EIO. */
hem_status hem__http_loop_start(struct MHD_Daemon *daemon, hem__door *door, atomic_bool *looking, hem__http_loop **out,
                                hem_error *err);
/* Once nobody hands over connections any more. The daemon stays. */
void hem__http_loop_stop(hem__http_loop *loop);
/* Hands over a connection; takes `fd`. Any thread. */
void hem__http_loop_add(hem__http_loop *loop, int fd, const struct sockaddr *address, socklen_t size);

/* Called on a loop's own thread: a request has come in, and an answer has gone out. */
void hem__http_loop_asked(void);
void hem__http_loop_answered(void);

#endif
