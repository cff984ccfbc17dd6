/* libmicrohttpd, with http_loop.c its only user: it parses requests and sends answers, in one daemon a core, each run
 * by a thread of ours.
 *
 * What is quick (vectors, files of the page) is answered on the thread that read it, to the end: no other thread is
 * woken for it, and its answer leaves in one system call. What is long (photos, large batches) is handed to
 * service->photos, and its connection suspended, which costs two wake-ups and keeps the thread free for others.
 *
 * A connection owns one hem__visitor, which keeps its buffers from request to request. Only the connection's own thread
 * touches it, but for the time in which it is suspended: then only the job does, until it resumes it. */
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/threads.h"
#include "serve/http_door.h"
#include "serve/http_exchange.h"
#include "serve/http_loop.h"

enum {
  CONNECTIONS = 512,
  BODY_BYTES = 32 << 20,
  DEADLINE_MS = 10000,
  IDLE_SECONDS = 75,     /* a kept connection that asks nothing; proxies let theirs go after 60 */
  POOL_BYTES = 32 << 10, /* libmicrohttpd's memory of a connection: head and read buffer */
  BACKLOG = 1024,
  SPARE = 64, /* connections that libmicrohttpd may still count when they have left */
};

struct hem__http {
  hem__http_shared shared;
  struct MHD_Daemon **daemons; /* [options.threads] */
  hem__http_loop **loops;      /* who runs them; NULL: not yet */
  atomic_bool looking;
  atomic_size_t turn; /* whose the next connection is */
  hem__door *door;
  unsigned port;
  atomic_bool stopping; /* nothing is suspended any more */
  atomic_size_t suspended;
};

typedef enum visit { VISIT_HEAD, VISIT_BODY, VISIT_DONE } visit;

typedef struct hem__visitor {
  hem__guest guest;
  hem__exchange x;
  hem__job job; /* while it is suspended */
  hem__http *http;
  struct MHD_Connection *connection;
  char peer[INET6_ADDRSTRLEN];
  visit stage;
  bool in_flight; /* is counted as such */
} hem__visitor;

static hem__visitor *visitor_of(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

/* Fields lie where they were received up to 0.9.76 (http_guard.c); later versions are strict themselves. */
static bool is_verbatim(void) {
  static const char before[] = "0.9.7";
  const char *version = MHD_get_version();
  return strncmp(version, before, sizeof before - 1) == 0 && version[sizeof before - 1] <= '6';
}

/* ---- an answer ---- */

static void add_headers(struct MHD_Response *response, const hem__visitor *v) {
  const hem__reply_head *r = &v->x.reply;
  if (r->type) MHD_add_response_header(response, "Content-Type", r->type);
  if (r->cache) MHD_add_response_header(response, "Cache-Control", r->cache);
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  if (r->allow) MHD_add_response_header(response, "Allow", r->allow);
  if (r->policy) {
    MHD_add_response_header(response, "Content-Security-Policy", r->policy);
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
  }
  if (r->retry) MHD_add_response_header(response, "Retry-After", "1");
  if (r->ask_token) MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
  if (r->etag[0]) MHD_add_response_header(response, "ETag", r->etag);
  if (atomic_load_explicit(&v->http->shared.draining, memory_order_relaxed))
    MHD_add_response_header(response, "Connection", "close");
}

/* The buffers are the exchange's, and stay until libmicrohttpd says that the request is over. */
static enum MHD_Result send_answer(hem__visitor *v) {
  hem__exchange *x = &v->x;
  const void *bytes = x->bytes ? x->bytes : x->text.at;
  size_t size = x->reply.status == 304 ? 0 : x->bytes ? x->byte_count : x->text.size;
  struct MHD_Response *response =
      MHD_create_response_from_buffer(size, size ? (void *)(uintptr_t)bytes : NULL, MHD_RESPMEM_PERSISTENT);
  if (!response) return MHD_NO;
  add_headers(response, v);
  hem__exchange_note(x, NULL, NULL, x->reply.error);
  hem__guest_send(&v->guest);
  enum MHD_Result sent = MHD_queue_response(v->connection, x->reply.status, response);
  MHD_destroy_response(response);
  return sent;
}

/* ---- what is long ---- */

static void run_job(hem__job *job) {
  hem__visitor *v = (hem__visitor *)((char *)job - offsetof(hem__visitor, job));
  hem__http *http = v->http;
  struct MHD_Connection *connection = v->connection;
  v->x.waited_ns = hem__http_now_ns() - v->x.begun_ns;
  hem__exchange_answer(&v->x);
  MHD_resume_connection(connection); /* from here on the visitor is its thread's again, and may be gone */
  atomic_fetch_sub(&http->suspended, 1);
}

/* Suspended first: the job may be done before this function is, and then the visitor is not to be touched here any
 * more. False: not suspended, and refused. */
static bool put_job(hem__visitor *v) {
  hem__http *http = v->http;
  v->job.run = run_job;
  atomic_fetch_add(&http->suspended, 1);
  if (atomic_load(&http->stopping)) {
    atomic_fetch_sub(&http->suspended, 1);
    hem__exchange_refuse(&v->x, 503, NULL, "the server is stopping");
    return false;
  }
  MHD_suspend_connection(v->connection);
  if (hem__jobs_put(http->shared.service->photos, &v->job)) return true;
  hem__exchange_refuse(&v->x, 503, NULL, "too many photos wait already");
  MHD_resume_connection(v->connection);
  atomic_fetch_sub(&http->suspended, 1);
  return true;
}

/* ---- a request, step by step ---- */

static enum MHD_Result add_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t value_size) {
  hem__visitor *v = context;
  (void)kind;
  hem__head_add(&v->x.head, name, name_size, value ? value : "", value_size);
  return MHD_YES;
}

/* The head is there, and nothing of the body has been read: what is refused now, is refused early. */
static enum MHD_Result take_head(hem__visitor *v, const char *method, const char *version) {
  hem__head *head = &v->x.head;
  MHD_get_connection_values_n(v->connection, MHD_HEADER_KIND, add_field, v);
  hem__head_end(head, strcmp(version, "HTTP/1.0") != 0);
  v->stage = VISIT_BODY;
  v->x.method = method;
  if (hem__exchange_route(&v->x)) return MHD_YES;
  /* Well-formed, and nothing follows: the connection can be kept. */
  if (v->x.reply.status != 400 && !head->status && !head->chunked && !head->length) return MHD_YES;
  if (!hem__guest_answer(&v->guest)) return MHD_NO;
  v->guest.linger = true; /* libmicrohttpd closes after an early answer */
  v->stage = VISIT_DONE;
  return send_answer(v);
}

static enum MHD_Result take_body(hem__visitor *v, const char *bytes, size_t *size) {
  unsigned refused = hem__exchange_body(&v->x, bytes, *size);
  *size = 0;
  if (!refused) return MHD_YES;
  /* libmicrohttpd takes no answer in the midst of a body. */
  v->x.reply.status = refused;
  hem__exchange_note(&v->x, NULL, NULL, refused == 413 ? HEM_EINVAL : HEM_ENOMEM);
  hem__guest_refuse(&v->guest, refused,
                    refused == 413 ? "the body is larger than is taken here" : "no memory for the body at the moment");
  return MHD_NO;
}

static enum MHD_Result take_end(hem__visitor *v) {
  if (!hem__guest_answer(&v->guest)) return MHD_NO;
  v->stage = VISIT_DONE;
  v->in_flight = true;
  v->x.begun_ns = hem__http_now_ns();
  atomic_fetch_add_explicit(&v->http->shared.service->stats->in_flight[HEM__FRONT_HTTP], 1, memory_order_relaxed);
  if (!v->x.reply.status && hem__exchange_prepare(&v->x)) return put_job(v) ? MHD_YES : send_answer(v);
  hem__exchange_answer(&v->x);
  return send_answer(v);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *body, size_t *body_size, void **request) {
  hem__visitor *v = *request;
  (void)context;
  (void)url;
  (void)connection;
  if (!v) return MHD_NO;
  if (v->stage == VISIT_HEAD) return take_head(v, method, version);
  if (v->stage == VISIT_BODY && *body_size) return take_body(v, body, body_size);
  if (v->stage == VISIT_BODY) return take_end(v);
  if (*body_size) { /* of a request that was refused */
    *body_size = 0;
    return MHD_YES;
  }
  return send_answer(v); /* resumed */
}

/* The request line is there. The target is copied: libmicrohttpd decodes its own in place. */
static void *begin(void *context, const char *target, struct MHD_Connection *connection) {
  hem__visitor *v = visitor_of(connection);
  (void)context;
  if (!v) return NULL;
  hem__exchange *x = &v->x;
  size_t size = target ? strlen(target) + 1 : 1;
  v->connection = connection;
  v->stage = VISIT_HEAD;
  hem__guest_begin(&v->guest);
  hem__http_loop_asked();
  hem__head_start(&x->head, is_verbatim());
  if (size > HEM__HEAD_BYTES_MAX || hem__grow(&x->target, &x->target_capacity, size, 1, "a target", NULL)) {
    x->head.status = size > HEM__HEAD_BYTES_MAX ? 414 : 503;
    x->head.why = "the request's target is too long";
    return v;
  }
  memcpy(x->target, target ? target : "", size);
  return v;
}

static void complete(void *context, struct MHD_Connection *connection, void **request,
                     enum MHD_RequestTerminationCode why) {
  hem__visitor *v = *request;
  (void)context;
  (void)connection;
  (void)why;
  *request = NULL;
  if (!v) return;
  if (v->in_flight)
    atomic_fetch_sub_explicit(&v->http->shared.service->stats->in_flight[HEM__FRONT_HTTP], 1, memory_order_relaxed);
  v->in_flight = false;
  hem__exchange_restart(&v->x);
  hem__guest_rest(&v->guest);
  hem__http_loop_answered();
}

/* ---- connections ---- */

static void name_peer(hem__visitor *v) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(v->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr *at = info ? info->client_addr : NULL;
  if (at && at->sa_family == AF_INET)
    inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)at)->sin_addr, v->peer, sizeof v->peer);
  if (at && at->sa_family == AF_INET6)
    inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)at)->sin6_addr, v->peer, sizeof v->peer);
  v->x.peer = v->peer;
}

static void visit_begins(hem__http *http, struct MHD_Connection *connection, void **context) {
  hem__visitor *v = NULL;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (!info || hem__alloc(1, sizeof *v, "a connection", &v, NULL)) return; /* its requests are refused: no visitor */
  v->http = http;
  v->connection = connection;
  v->x.shared = &http->shared;
  name_peer(v);
  atomic_fetch_add(&http->shared.service->stats->connections[HEM__FRONT_HTTP], 1);
  hem__guest_enter(&v->guest, http->door, info->connect_fd);
  *context = v;
}

static void notify(void *context, struct MHD_Connection *connection, void **visitor,
                   enum MHD_ConnectionNotificationCode what) {
  hem__http *http = context;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    *visitor = NULL;
    visit_begins(http, connection, visitor);
    return;
  }
  hem__visitor *v = *visitor;
  *visitor = NULL;
  if (!v) return;
  hem__guest_leave(&v->guest);
  atomic_fetch_sub(&http->shared.service->stats->connections[HEM__FRONT_HTTP], 1);
  hem__exchange_clear(&v->x);
  free(v);
}

static void take_in(void *context, int fd, const struct sockaddr *address, socklen_t size) {
  hem__http *http = context;
  size_t turn = atomic_fetch_add_explicit(&http->turn, 1, memory_order_relaxed);
  hem__http_loop_add(http->loops[turn % http->shared.options.threads], fd, address, size);
}

/* ---- start ---- */

/* "HOST:PORT", "[HOST]:PORT", ":PORT" or "PORT" -> host and port; no host: this machine only. */
static bool split_address(const char *address, char host[256], char port[8]) {
  const char *colon = strrchr(address, ':'), *number = colon ? colon + 1 : address;
  size_t size = colon ? (size_t)(colon - address) : 0;
  if (size >= 2 && address[0] == '[' && address[size - 1] == ']') {
    address++;
    size -= 2;
  } else if (size && memchr(address, ':', size)) {
    return false; /* IPv6 without brackets: where does the port begin? */
  }
  if (size >= 256 || !*number || strlen(number) > 5 || number[strspn(number, "0123456789")] || atoi(number) > 65535)
    return false;
  memcpy(host, size ? address : "127.0.0.1", size ? size : sizeof "127.0.0.1");
  if (size) host[size] = '\0';
  strcpy(port, number);
  return true;
}

static hem_status listen_at(const char *address, int *out, hem_error *err) {
  char host[256], port[8];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE}, *found = NULL;
  if (!split_address(address, host, port))
    return hem__fail(err, HEM_EINVAL, "'%s' is no address to listen at: wanted 127.0.0.1:8080, [::1]:8080 or 8080",
                     address);
  int why = getaddrinfo(host, port, &hints, &found);
  if (why) return hem__fail(err, HEM_EINVAL, "cannot listen at %s: %s", address, gai_strerror(why));
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  bool fine = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
  int error = errno;
  freeaddrinfo(found);
  if (fine) {
    *out = fd;
    return HEM_OK;
  }
  if (fd >= 0) close(fd);
  if (error == EADDRINUSE) return hem__fail(err, HEM_EBUSY, "somebody listens at %s already", address);
  errno = error;
  return hem__fail_errno(err, "cannot listen at %s", address);
}

static unsigned port_of(int fd) {
  struct sockaddr_storage at;
  socklen_t size = sizeof at;
  if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) return 0;
  if (at.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&at)->sin_port);
  return at.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&at)->sin6_port) : 0;
}

static void fill_in(hem__http_options *o) {
  if (!o->threads) o->threads = hem__cores();
  if (!o->connections_max) o->connections_max = CONNECTIONS;
  if (!o->body_bytes_max) o->body_bytes_max = BODY_BYTES;
  if (!o->deadline_ms) o->deadline_ms = DEADLINE_MS;
}

static struct MHD_Daemon *start_daemon(hem__http *http) {
  const hem__http_options *o = &http->shared.options;
  struct MHD_OptionItem more[] = {
#if MHD_VERSION >= 0x00097700
    {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL},
#else
    {MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL}, /* the guard is stricter, and answers once (http_guard.c) */
#endif
    {MHD_OPTION_END, 0, NULL}
  };
  return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
                          NULL, handle, http, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(o->connections_max + SPARE),
                          MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                          (size_t)POOL_BYTES, MHD_OPTION_URI_LOG_CALLBACK, begin, http, MHD_OPTION_NOTIFY_COMPLETED,
                          complete, http, MHD_OPTION_NOTIFY_CONNECTION, notify, http, MHD_OPTION_ARRAY, more,
                          MHD_OPTION_END);
}

static hem_status start_loops(hem__http *http, hem_error *err) {
  size_t count = http->shared.options.threads;
  hem_status status = hem__alloc(count, sizeof *http->daemons, "threads", &http->daemons, err);
  if (!status) status = hem__alloc(count, sizeof *http->loops, "threads", &http->loops, err);
  for (size_t i = 0; i < count && !status; i++) {
    http->daemons[i] = start_daemon(http);
    if (!http->daemons[i])
      status = hem__fail(err, HEM_ENOMEM, "libmicrohttpd cannot start: no memory or file descriptors");
    else
      status = hem__http_loop_start(http->daemons[i], http->door, &http->looking, &http->loops[i], err);
  }
  return status;
}

static void stop_loops(hem__http *http) {
  for (size_t i = 0; http->loops && i < http->shared.options.threads; i++) hem__http_loop_stop(http->loops[i]);
  for (size_t i = 0; http->daemons && i < http->shared.options.threads; i++)
    if (http->daemons[i]) MHD_stop_daemon(http->daemons[i]);
  free(http->loops);
  free(http->daemons);
}

hem_status hem__http_start(hem__service *service, const hem__http_options *options, hem__http **out, hem_error *err) {
  hem__http *http = NULL;
  int fd = options->fd;
  hem_status status = hem__alloc(1, sizeof *http, "a server", &http, err);
  if (status) return status;
  http->shared.service = service;
  http->shared.options = *options;
  fill_in(&http->shared.options);
  if (options->token_file) status = hem__token_read(options->token_file, &http->shared.token, err);
  if (!status && options->address) status = listen_at(options->address, &fd, err);
  if (status) goto done;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  http->port = port_of(fd);
  status = hem__door_new(&(hem__door_options){.fd = fd,
                                              .connections_max = http->shared.options.connections_max,
                                              .deadline_ms = http->shared.options.deadline_ms,
                                              .take_in = take_in,
                                              .context = http},
                         &http->door, err);
  if (!status) status = start_loops(http, err);
  if (!status) status = hem__door_open(http->door, err);
done:
  if (status) {
    stop_loops(http);
    hem__door_close(http->door);
    free(http);
  } else {
    *out = http;
  }
  return status;
}

unsigned hem__http_port(const hem__http *http) { return http->port; }

/* ---- stop ---- */

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

void hem__http_stop(hem__http *http, unsigned grace_ms) {
  if (!http) return;
  uint64_t until = hem__http_now_ns() + (uint64_t)grace_ms * 1000000;
  atomic_store(&http->shared.draining, true);
  hem__door_shut(http->door);
  while (hem__door_guests(http->door) && hem__http_now_ns() < until) pause_ms(5);
  /* Who is suspended cannot be stopped: libmicrohttpd would panic, and the job still writes. */
  atomic_store(&http->stopping, true);
  while (atomic_load(&http->suspended)) pause_ms(5);
  hem__door_clear(http->door);
  hem__door_end(http->door); /* first: it hands connections to the loops */
  stop_loops(http);
  hem__door_close(http->door);
  free(http);
}
