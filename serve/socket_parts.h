/* What the files of the Unix socket share: socket.c listens and runs the workers, socket_connection.c moves bytes and
 * decides when a connection is looked at again, socket_request.c answers a frame.
 *
 * Threads. Workers wait on one epoll. A connection is armed for one event; the worker that gets it has the turn: it
 * reads, decodes, searches, writes, and arms the connection again. So a vector never changes threads, a connection is
 * never answered by two workers, and a free worker takes whichever connection is next. Events carry a slot and a
 * round, not an address: an event that comes late, for a connection that is closed by now, names a round that is over.
 * Photos go to service->photos; what is known of a connection besides its input is therefore under a lock.
 *
 * Requests are not gathered into batches: a search shares nothing with the next one, so a gathered batch would save
 * system calls only, and the first of it would wait. Who has several vectors sends them in one frame. */
#ifndef HEM_SERVE_SOCKET_PARTS_H
#define HEM_SERVE_SOCKET_PARTS_H

#include <pthread.h>

#include "base/file.h"
#include "query/wire.h"
#include "serve/socket.h"

enum {
  HEM__READ_BYTES = 1 << 18, /* at once */
  HEM__KEEP_BYTES = 1 << 16, /* a connection's buffer that is larger is given back after use */
  HEM__OUTPUT_STOP = 1 << 20 /* with so many bytes unsent, a connection is not asked for more */
};

/* A connection, or a free place for one; lives as long as the socket. */
typedef struct hem__connection {
  pthread_mutex_t lock; /* held for all but `in`; never while a question is answered */
  hem__socket *socket;
  uint32_t number, round; /* its slot; counts the connections that it has held */
  int fd;                 /* -1: free */
  char peer[24];          /* for the log */
  bool turn;              /* a worker is at it; it alone touches `in` */
  bool dead;              /* to be closed when nobody is at it any more */
  bool ended;             /* nothing more comes in */
  bool ready;             /* `in` holds a whole frame, or the start of something that is none */
  hem__buffer in, out;
  size_t out_at;                      /* sent up to here */
  size_t in_flight;                   /* photos under way */
  uint64_t in_since_ns, out_since_ns; /* since when a frame has been incomplete, output been stuck; 0: none is */
  struct hem__connection *next;       /* free */
} hem__connection;

typedef struct hem__socket_worker {
  hem__socket *socket;
  pthread_t thread;
  uint8_t *read; /* [HEM__READ_BYTES] */
  hem__wire_writer writer;
  hem__wire_names names;
} hem__socket_worker;

struct hem__socket {
  hem__service *service;
  hem__socket_options o;  /* defaults filled in; `path` is the next one */
  char *path;             /* NULL: not ours to remove */
  uint64_t device, inode; /* of the file that was made there */
  hem__lock file_lock;
  int listener, epoll, wake; /* wake: an eventfd that ends the workers */
  atomic_bool stopping;
  atomic_bool looking;                       /* a worker is, for the next request */
  atomic_uint_fast64_t answered_ns, spin_ns; /* when the last one was answered; how long to look for the next */
  atomic_bool tired;                         /* accept has failed: it is tried again a second later */
  atomic_uint_fast64_t swept_ns;
  atomic_size_t photo_bytes; /* of photos under way */
  pthread_mutex_t lock;      /* held for `free`, `open` and `jobs`; taken under a connection's */
  pthread_cond_t closed;     /* `open` or `jobs` became fewer */
  hem__connection *connections, *free;
  size_t open, jobs;
  hem__socket_worker *workers;
  size_t worker_count;
};

/* ---- socket_connection.c ---- */

/* Takes the fd into a free slot. Where there is none, or the peer is not one to be answered, it is told and closed. */
void hem__connection_open(hem__socket *socket, int fd);
/* One turn, if the connection is still in this round. */
void hem__connection_turn(hem__socket_worker *worker, hem__connection *c, uint32_t round, uint32_t events);
/* Sends, or keeps what cannot be sent now. Any thread. */
void hem__connection_send(hem__connection *c, const hem__buffer *frame);
/* A photo is under way from here on. Of whoever has the turn. */
void hem__connection_job_start(hem__connection *c);
/* The connection may be gone behind this. */
void hem__connection_job_end(hem__connection *c);
bool hem__connection_is_dead(hem__connection *c);
/* Ends it, whatever it is doing. Any thread. */
void hem__connection_cut(hem__connection *c);
/* Nothing more is read than what is there. */
void hem__connection_end_input(hem__connection *c);
/* Ends it if its peer has let it wait too long. */
void hem__connection_check_time(hem__connection *c, uint64_t now_ns);

/* ---- socket_request.c ---- */

/* Answers a frame whose body is whole. `asked_ns`: when it came in. */
void hem__socket_answer(hem__socket_worker *worker, hem__connection *c, const hem__wire_header *header,
                        const uint8_t *body, uint64_t asked_ns);

/* Counts what was no question, and writes it down. */
void hem__socket_note_refused(hem__socket *socket, const char *peer, const char *request, hem_status status);

#endif
