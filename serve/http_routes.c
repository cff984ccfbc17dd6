/* Which endpoint a request is for, and whether it may be asked: decided on the head alone, so that what is refused is
 * refused before its body comes. */
#include <string.h>
#include <strings.h>

#include "serve/http_exchange.h"
#include "serve/web.h"

enum {
  OPEN = 1,  /* no token is asked for */
  BODY = 2,  /* has a body */
  REST = 4,  /* takes what follows its path as a name */
  LATER = 8, /* takes long, whatever is asked */
};

typedef struct hem__route {
  const char *path;
  bool post;
  unsigned flags;
  hem__body_form form;
  void (*answer)(hem__exchange *x);
} hem__route;

/* ---- small answers ---- */

static void say(hem__exchange *x, unsigned status, const char *type) {
  x->reply = (hem__reply_head){.status = status, .type = type, .cache = "no-store"};
}

static void answer_health(hem__exchange *x) {
  hem__text_raw(&x->text, "ok\n", 3);
  say(x, 200, "text/plain; charset=utf-8");
}

static void answer_ready(hem__exchange *x) {
  if (atomic_load(&x->shared->draining)) {
    hem__exchange_refuse(x, 503, NULL, "the server is stopping");
    return;
  }
  answer_health(x);
}

static void answer_openapi(hem__exchange *x) {
  const char *bytes;
  hem__openapi(&bytes, &x->byte_count);
  x->bytes = bytes;
  say(x, 200, "application/json");
}

static void answer_reload(hem__exchange *x) {
  const hem__http_options *o = &x->shared->options;
  hem_error err = {0};
  hem__seat *seat = NULL;
  if (!o->reload) {
    hem__exchange_refuse(x, 404, NULL, "this server does not offer to be reloaded");
    return;
  }
  if (!o->reload(o->context, &err)) {
    hem__exchange_fail(x, hem__http_status(err.code, false), &err);
    return;
  }
  if (hem__seat_take(x->shared->service->live, &seat, &err)) {
    hem__exchange_fail(x, 503, &err);
    return;
  }
  hem__text_open(&x->text, NULL, '{');
  hem__text_string(&x->text, "generation", seat->edition->info.generation);
  hem__text_close(&x->text, '}');
  hem__seat_give(x->shared->service->live, seat);
  say(x, 200, "application/json");
}

static void answer_web(hem__exchange *x) {
  static const char policy[] =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  const char *type, *bytes;
  if (!hem__web_file(x->target, &type, &bytes, &x->byte_count)) {
    hem__exchange_refuse(x, 404, NULL, "there is nothing at %.128s", x->target);
    return;
  }
  x->bytes = bytes;
  say(x, 200, type);
  x->reply.policy = policy;
  x->reply.cache = "no-cache";
}

/* ---- the table ---- */

static const hem__route routes[] = {{"/healthz", false, OPEN, HEM__ONE, answer_health},
                                    {"/readyz", false, OPEN, HEM__ONE, answer_ready},
                                    {"/metrics", false, 0, HEM__ONE, hem__answer_metrics},
                                    {"/openapi.json", false, 0, HEM__ONE, answer_openapi},
                                    {"/v1/info", false, 0, HEM__ONE, hem__answer_info},
                                    {"/v1/query", true, BODY, HEM__ONE, hem__answer_questions},
                                    {"/v1/query/batch", true, BODY, HEM__BATCH, hem__answer_questions},
                                    {"/score", true, BODY, HEM__SCORE, hem__answer_questions},
                                    {"/v1/items/", false, REST, HEM__ONE, hem__answer_item},
                                    {"/v1/images/", false, REST, HEM__ONE, hem__answer_image},
                                    {"/v1/reload", true, LATER, HEM__ONE, answer_reload}};
static const hem__route web = {"/", false, OPEN, HEM__ONE, answer_web};

static const hem__route *find_route(const hem__exchange *x) {
  const char *path = x->target, *type, *bytes;
  size_t size;
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
    const hem__route *r = &routes[i];
    size_t start = strlen(r->path);
    if (r->flags & REST ? strncmp(path, r->path, start) == 0 && path[start] : strcmp(path, r->path) == 0) return r;
  }
  return x->shared->options.page && hem__web_file(path, &type, &bytes, &size) ? &web : NULL;
}

/* "http://host/path" and "/path" mean the same (RFC 9112, 3.2.2). */
static bool split_target(hem__exchange *x) {
  char *target = x->target;
  if (strpbrk(target, " \t")) return false;
  if (strncasecmp(target, "http://", 7) == 0) {
    target = strchr(target + 7, '/');
    if (!target) return false;
    memmove(x->target, target, strlen(target) + 1);
  }
  x->query = strchr(x->target, '?');
  if (x->query) *x->query++ = '\0';
  return x->target[0] == '/';
}

/* Length and framing of what follows the head. */
static bool check_body(hem__exchange *x) {
  const hem__head *head = &x->head;
  bool wanted = x->route->flags & BODY;
  if (wanted && !head->has_length && !head->chunked) {
    hem__exchange_refuse(x, 411, NULL, "the body's Content-Length is missing");
    return false;
  }
  if (head->has_length && head->length > x->shared->options.body_bytes_max) {
    hem__exchange_refuse(x, 413, NULL, "the body has %llu bytes; at most %zu are taken",
                         (unsigned long long)head->length, x->shared->options.body_bytes_max);
    return false;
  }
  if (!wanted && (head->chunked || head->length)) {
    hem__exchange_refuse(x, 400, NULL, "%s takes no body", x->route->path);
    return false;
  }
  return true;
}

static bool check_method(hem__exchange *x) {
  const char *method = x->method;
  bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0, post = strcmp(method, "POST") == 0;
  if (x->route->post ? post : get) return true;
  x->reply.allow = x->route->post ? "POST" : "GET, HEAD";
  hem__exchange_refuse(x, 405, NULL, "%.16s is not for %s: use %s", method, x->route->path, x->reply.allow);
  return false;
}

bool hem__exchange_route(hem__exchange *x) {
  hem_error err;
  if (x->head.status) {
    hem__exchange_refuse(x, x->head.status, NULL, "%s", x->head.why);
    return false;
  }
  if (!split_target(x)) {
    hem__exchange_refuse(x, 400, NULL, "the request's target is no path");
    return false;
  }
  x->route = find_route(x);
  if (!(x->route && x->route->flags & OPEN) && !hem__token_fits(&x->shared->token, x->head.authorization)) {
    hem__exchange_refuse(x, 401, NULL, "wanted: Authorization: Bearer, and the token");
    return false;
  }
  if (!x->route) {
    hem__exchange_refuse(x, 404, NULL, "there is nothing at %.128s (/openapi.json says what there is)", x->target);
    return false;
  }
  if (!check_method(x) || !check_body(x)) return false;
  if (!(x->route->flags & REST)) return true;
  x->rest = x->target + strlen(x->route->path);
  if (hem__percent_decode(x->rest, strlen(x->rest), false, &err)) {
    hem__exchange_fail(x, 400, &err);
    return false;
  }
  return true;
}

bool hem__exchange_prepare(hem__exchange *x) {
  enum { QUICK = 8 }; /* vectors that are answered at once: a few milliseconds */
  hem__request *r = &x->request;
  unsigned refusal = 0;
  hem_error err;
  if (x->route->flags & LATER) return true;
  if (!(x->route->flags & BODY)) return false;
  r->form = x->route->form;
  if (hem__request_read(r, x->query, x->head.content_type, x->body, x->body_size, &refusal, &err)) {
    hem__exchange_fail(x, refusal, &err);
    return false;
  }
  bool later = r->count > QUICK;
  for (size_t i = 0; i < r->count && !later; i++) later = hem__question_long(&r->asked[i].question);
  return later;
}

void hem__exchange_answer(hem__exchange *x) {
  if (!x->reply.status) x->route->answer(x);
  if (x->text.failed) hem__exchange_refuse(x, 503, NULL, "no memory for the answer");
}
