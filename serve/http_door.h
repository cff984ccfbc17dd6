/* Who comes in, and who is shown out: one thread accepts connections, hands them to those who answer, and cuts those
 * that take too long. Knows of HTTP only how to say that it refuses.
 *
 * Why libmicrohttpd does not listen itself: its timeout starts anew with every byte, so that one byte a second holds a
 * connection for ever; where it has its fill of connections it lets others wait without a word; and what it closes
 * while a client still sends is reset, so that the client loses the reason. */
#ifndef HEM_SERVE_HTTP_DOOR_H
#define HEM_SERVE_HTTP_DOOR_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "base/status.h"

typedef struct hem__door hem__door;

enum { HEM__GUEST_WAITING, HEM__GUEST_ANSWERED, HEM__GUEST_SENDING, HEM__GUEST_CUT };

/* A connection, from hem__guest_enter until hem__guest_leave. Its state is changed by who answers it; WAITING to CUT
 * also by the door. */
typedef struct hem__guest {
  hem__door *door;
  int fd;
  atomic_int state;
  atomic_uint_fast64_t since_ms; /* WAITING: when the request began, 0: it has not; SENDING: when that began */
  atomic_uint_fast32_t requests; /* that are over */
  bool linger;                   /* the client may still be sending: read on after the end */
  uint32_t seen_requests;        /* the door's own: when it last looked, and ... */
  uint64_t seen_bytes;           /* ... how much had come in by then */
  uint64_t over_ms;              /* since when nothing more comes in, and all of it was read; 0: it is not so */
  struct hem__guest *next, *previous;
} hem__guest;

typedef struct hem__door_options {
  int fd; /* listens; taken, also on failure */
  size_t connections_max;
  unsigned deadline_ms; /* for a request to come in; six times that for an answer to go out */
  void (*take_in)(void *context, int fd, const struct sockaddr *address, socklen_t size); /* takes the fd */
  void *context;
} hem__door_options;

/* Nobody is let in yet: take_in may want the door. Errors: ENOMEM, EIO. */
hem_status hem__door_new(const hem__door_options *options, hem__door **out, hem_error *err);
/* Errors: ENOMEM. */
hem_status hem__door_open(hem__door *door, hem_error *err);
/* Whom take_in was given is a guest by now, or gone. Any thread. */
void hem__door_arrived(hem__door *door);
/* Nobody is let in any more; who asks nothing leaves. */
void hem__door_shut(hem__door *door);
/* Everybody leaves. */
void hem__door_clear(hem__door *door);
/* Those on their way in among them. */
size_t hem__door_guests(hem__door *door);
/* From here on take_in is not called, and nobody is looked after. Guests may still leave. */
void hem__door_end(hem__door *door);
/* Once all have left. */
void hem__door_close(hem__door *door);

void hem__guest_enter(hem__guest *guest, hem__door *door, int fd);
/* Before the fd is closed. */
void hem__guest_leave(hem__guest *guest);
/* A request has begun. */
void hem__guest_begin(hem__guest *guest);
/* It is all there. False: too late, the guest was cut. */
bool hem__guest_answer(hem__guest *guest);
void hem__guest_send(hem__guest *guest);
/* The answer has gone out. */
void hem__guest_rest(hem__guest *guest);
/* In the midst of a request: says why, as far as the socket takes it at once, and ends the connection. */
void hem__guest_refuse(hem__guest *guest, unsigned status, const char *why);

#endif
