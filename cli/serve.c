/* hemline serve: a store, answered to other processes until it is told to stop. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/systemd.h"
#include "serve/http.h"
#include "serve/socket.h"

/* Without libmicrohttpd there is no REST: these are NULL then. */
extern __typeof__(hem__http_start) hem__http_start __attribute__((weak));
extern __typeof__(hem__http_stop) hem__http_stop __attribute__((weak));
extern __typeof__(hem__http_port) hem__http_port __attribute__((weak));

enum {
  OPT_HTTP = 256,
  OPT_UNIX,
  OPT_TOKEN,
  OPT_NO_PAGE,
  OPT_CATALOG,
  OPT_CNN,
  OPT_IDX,
  OPT_ANY_USER,
  OPT_GRACE,
  OPT_LOG,
  OPT_COLLECT
};
enum { CATEGORIES_MAX = 256, PHOTOS_WAITING_MAX = 256, GRACE_MS = 10000 };
enum { COLLECT_BYTES = 64 << 20, COLLECT_FILES = 16 };

typedef struct serve_arguments {
  hem__live_options live;
  const char *categories[CATEGORIES_MAX];
  hem__socket_options socket;
  hem__http_options http;
  unsigned grace_ms;
  const char *log, *collect;
  bool somewhere; /* it was said where to listen */
} serve_arguments;

static const char doc[] =
    "Answer queries to STORE from other processes: over a Unix-domain socket, by HTTP, or both.\v"
    "When another generation is published in STORE, questions from then on are answered from it; SIGHUP looks for one "
    "at once. SIGTERM and SIGINT stop: what was asked is answered first.\n\n"
    "Without --unix and --http it listens where systemd says (socket activation), or on http://127.0.0.1:8080, where a "
    "browser finds a search page. HTTP is "
    "plain: put nginx or HAProxy in front of it where others than this machine are to reach it.\n\n"
    "Examples:\n"
    "  hemline serve shop.store\n"
    "  hemline serve shop.store --unix /run/hemline/shop.sock\n"
    "  hemline serve shop.store --http 127.0.0.1:9000 --token-file token.txt";

static const struct argp_option options[] = {
    {"http", OPT_HTTP, "ADDRESS", 0, "Listen for HTTP at ADDRESS:PORT, or PORT of this machine only", 0},
    {"unix", OPT_UNIX, "PATH", 0, "Listen on a Unix-domain socket", 0},
    {"any-user", OPT_ANY_USER, NULL, 0, "Let all users of this machine connect to it (default: this user and root)", 0},
    {"token-file", OPT_TOKEN, "FILE", 0, "Ask HTTP clients for the bearer token in FILE", 0},
    {"no-page", OPT_NO_PAGE, NULL, 0, "REST only: no search page", 0},
    {"category", 'c', "NAME", 0, "Serve this category; may be repeated (default: all)", 0},
    {"catalog", OPT_CATALOG, "FILE", 0, "Where the catalogue is now (for pictures and explanations)", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "The folder of idx files that photos lie in", 0},
    {"cnn", OPT_CNN, "FILE", 0, "Where the store's network is now", 0},
    {"access-log", OPT_LOG, "FILE", 0, "A line of JSON for each request; SIGHUP opens FILE anew, for logrotate", 0},
    {"collect", OPT_COLLECT, "FOLDER", 0,
     "Keep what was asked (as a checksum) and what was answered, for 'hemline drift'; 16 files of 64 MiB", 0},
    {"grace", OPT_GRACE, "SECONDS", 0, "At the end, wait so long for answers under way (default: 10)", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  serve_arguments *a = state->input;
  switch (key) {
    case OPT_HTTP:
      a->http.address = text;
      break;
    case OPT_UNIX:
      a->socket.path = text;
      break;
    case OPT_ANY_USER:
      a->socket.any_user = true;
      a->socket.mode = 0666;
      break;
    case OPT_TOKEN:
      a->http.token_file = text;
      break;
    case OPT_NO_PAGE:
      a->http.page = false;
      break;
    case OPT_CATALOG:
      a->live.catalog = text;
      break;
    case OPT_IDX:
      a->live.idx = text;
      break;
    case OPT_CNN:
      a->live.cnn = text;
      break;
    case OPT_LOG:
      a->log = text;
      break;
    case OPT_COLLECT:
      a->collect = text;
      break;
    case OPT_GRACE:
      a->grace_ms = 1000 * (unsigned)cli_number(state, text, "--grace", 3600);
      break;
    case 'c':
      if (a->live.category_count == CATEGORIES_MAX) argp_error(state, "at most %d categories", CATEGORIES_MAX);
      a->categories[a->live.category_count++] = text;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &a->live.store, text, "STORE");
      break;
    case ARGP_KEY_END:
      if (!a->live.store) argp_error(state, "name the STORE to serve");
      a->somewhere = a->socket.path || a->http.address;
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

typedef struct server {
  serve_arguments *a;
  hem__service service;
  hem__stats stats;
  hem__socket *socket;
  hem__http *http;
  int signals, changes; /* signalfd; inotify on the store, or -1 */
} server;

/* ---- another generation ---- */

/* What is answered from stays where the new one cannot be opened. */
static bool reload(void *context, hem_error *err) {
  server *s = context;
  bool changed = false;
  hem_status status = hem__live_reload(s->service.live, &changed, err);
  if (status) {
    atomic_fetch_add(&s->stats.failed_reloads, 1);
    return false;
  }
  if (changed) atomic_fetch_add(&s->stats.reloads, 1);
  return true;
}

static void reload_and_say(server *s) {
  uint64_t before = atomic_load(&s->stats.reloads);
  hem_error err;
  cli_notify("RELOADING=1");
  if (!reload(s, &err)) {
    fprintf(stderr, "hemline: still answering from the generation before: %s\n", err.message);
  } else if (atomic_load(&s->stats.reloads) != before) {
    fprintf(stderr, "hemline: answering from the new generation\n");
  }
  cli_notify("READY=1");
}

/* CURRENT is replaced by a rename: the folder is watched, not the file. False: nothing of that kind happened. */
static bool current_changed(int changes) {
  char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
  bool changed = false;
  for (ssize_t size; (size = read(changes, buffer, sizeof buffer)) > 0;) {
    const struct inotify_event *event;
    for (char *at = buffer; at < buffer + size; at += sizeof *event + event->len) {
      event = (const struct inotify_event *)(const void *)at;
      changed = changed || (event->mask & IN_Q_OVERFLOW) || (event->len && !strcmp(event->name, "CURRENT"));
    }
  }
  return changed;
}

/* ---- from the start to the end ---- */

static hem_status watch(server *s, hem_error *err) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  /* Before any thread starts: all of them inherit it. */
  if (pthread_sigmask(SIG_BLOCK, &set, NULL)) return hem__fail_errno(err, "cannot block signals");
  signal(SIGPIPE, SIG_IGN);
  s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (s->signals < 0) return hem__fail_errno(err, "cannot wait for signals");
  s->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (s->changes >= 0 && inotify_add_watch(s->changes, s->a->live.store, IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
    close(s->changes);
    s->changes = -1;
  }
  if (s->changes < 0)
    fprintf(stderr, "hemline: cannot watch %s: send SIGHUP when it has a new generation\n", s->a->live.store);
  return HEM_OK;
}

static bool wants_socket(const serve_arguments *a) { return a->socket.path || a->socket.fd >= 0; }
static bool wants_http(const serve_arguments *a) { return a->http.address || a->http.fd >= 0; }

/* What was said on the command line; else what systemd listens on already; else HTTP for this machine. */
static hem_status choose_where(serve_arguments *a, hem_error *err) {
  cli_listening given;
  hem_status status = cli_take_listening(&given, err);
  if (status || a->somewhere) return status;
  a->socket.fd = given.unix_fd;
  a->http.fd = given.tcp_fd;
  a->socket.any_user = true; /* systemd made the socket: its mode says who may connect */
  if (given.unix_fd < 0 && given.tcp_fd < 0) a->http.address = "127.0.0.1:8080";
  return HEM_OK;
}

static hem_status check_built(const serve_arguments *a, hem_error *err) {
  if (wants_http(a) && !hem__http_start)
    return hem__fail(err, HEM_EUNSUPPORTED,
                     "this hemline was built without libmicrohttpd: install libmicrohttpd-dev and build it again, or "
                     "serve a Unix socket (--unix)");
  return HEM_OK;
}

static hem_status open_journals(server *s, hem_error *err) {
  hem_status status = HEM_OK;
  hem__journal_options log = {.path = s->a->log};
  hem__journal_options collect = {
      .path = s->a->collect, .name = "answers", .bytes_max = COLLECT_BYTES, .files_max = COLLECT_FILES};
  if (log.path) status = hem__journal_open(&log, &s->service.log, err);
  if (!status && collect.path) status = hem__journal_open(&collect, &s->service.collect, err);
  return status;
}

static hem_status start(server *s, hem_error *err) {
  hem__service *service = &s->service;
  hem_status status = choose_where(s->a, err);
  if (!status) status = check_built(s->a, err);
  if (!status) status = open_journals(s, err);
  if (!status) status = hem__live_open(&s->a->live, &service->live, err);
  if (!status) status = hem__jobs_new(0, PHOTOS_WAITING_MAX, &service->photos, err);
  service->stats = &s->stats;
  if (!status && wants_socket(s->a)) status = hem__socket_start(service, &s->a->socket, &s->socket, err);
  if (!status && wants_http(s->a)) {
    hem__http_options o = s->a->http;
    o.reload = reload;
    o.context = s;
    status = hem__http_start(service, &o, &s->http, err);
  }
  return status;
}

static void stop(server *s) {
  if (s->http) hem__http_stop(s->http, s->a->grace_ms);
  if (s->socket) hem__socket_stop(s->socket, s->a->grace_ms);
  hem__jobs_close(s->service.photos);
  hem__live_close(s->service.live);
  hem__journal_close(s->service.log);
  hem__journal_close(s->service.collect);
  if (s->signals >= 0) close(s->signals);
  if (s->changes >= 0) close(s->changes);
}

/* Until a signal ends it. */
static void run(server *s) {
  struct pollfd waits[2] = {{.fd = s->signals, .events = POLLIN}, {.fd = s->changes, .events = POLLIN}};
  for (;;) {
    struct signalfd_siginfo info = {0};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    bool signalled = read(s->signals, &info, sizeof info) == sizeof info;
    if (signalled && info.ssi_signo != SIGHUP) return;
    if (signalled && s->service.log) hem__journal_reopen(s->service.log);
    if (signalled || (s->changes >= 0 && current_changed(s->changes))) reload_and_say(s);
  }
}

static void say_where(const server *s) {
  if (s->socket)
    fprintf(stderr, "hemline: listening on %s\n", s->a->socket.path ? s->a->socket.path : "systemd's Unix socket");
  if (s->http) fprintf(stderr, "hemline: listening on http://127.0.0.1:%u\n", hem__http_port(s->http));
}

int cli_serve(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "STORE", .doc = doc};
  static serve_arguments a = {.socket = {.fd = -1}, .http = {.fd = -1, .page = true}, .grace_ms = GRACE_MS};
  static server s = {.a = &a, .signals = -1, .changes = -1};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.live.categories = a.categories;
  hem_status status = watch(&s, &err);
  if (!status) status = start(&s, &err);
  if (!status) {
    say_where(&s);
    cli_notify("READY=1");
    run(&s);
    cli_notify("STOPPING=1");
    fprintf(stderr, "hemline: stopping\n");
  }
  stop(&s);
  return status ? cli_fail(&err) : EXIT_DONE;
}
