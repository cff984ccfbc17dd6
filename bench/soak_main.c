/* bench_soak UNIX_PATH HTTP_PORT SECONDS PHOTO: mixed load on a server whose store changes all the time, and a check of
 * every answer.
 *
 * The store's generations take turns: items of odd ones are called "a-...", of even ones "b-...". So every answer shows
 * whether all of its hits are of the generation that it names. Six threads ask at once, as fast as they are answered:
 * vectors, batches and items over the Unix socket, vectors and items over HTTP (kept open), photos over HTTP. Prints a
 * line of JSON for each; exit status 1 where anything failed or was wrong. */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/http_client.h"
#include "ingest/source.h"

enum { KINDS = 6, BATCH = 16 };

typedef struct load {
  const char *path;
  uint16_t port;
  double seconds;
  uint8_t *photo;
  size_t photo_size, dim;
  float *vectors;     /* [BATCH, dim] */
  char items[2][256]; /* of an odd and of an even generation */
} load;

typedef struct asker {
  const char *kind;
  bool (*ask)(struct asker *); /* one request; false: it failed, and `message` says how */
  const load *load;
  hem_client *client;
  hem__http_client http;
  size_t turn, answers, failed, wrong;
  double *ms;
  size_t ms_capacity;
  char message[600];
  pthread_t thread;
} asker;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- what every answer must be ---- */

static void check_item(asker *a, const char *generation, const char *item) {
  char wanted = strtoul(generation, NULL, 10) % 2 ? 'a' : 'b';
  if (item[0] != wanted) {
    a->wrong++;
    snprintf(a->message, sizeof a->message, "generation %s answered with item %s", generation, item);
  }
}

/* ---- over the Unix socket ---- */

static bool failed(asker *a, hem_status status, const hem_error *err) {
  if (!status) return false;
  snprintf(a->message, sizeof a->message, "%s: %s", hem_status_name(status), err->message);
  return true;
}

static void check_answer(asker *a, const hem_answer *answer) {
  hem_client_about about;
  hem_client_about_get(a->client, &about);
  if (!answer->found) a->wrong++;
  for (size_t i = 0; i < answer->found; i++) check_item(a, about.generation, answer->hits[i].item_id);
}

static bool ask_vector(asker *a) {
  hem_answer answer;
  hem_error err;
  const float *vector = a->load->vectors + a->turn % BATCH * a->load->dim;
  if (failed(a, hem_client_search(a->client, vector, a->load->dim, NULL, &answer, &err), &err)) return false;
  check_answer(a, &answer);
  return true;
}

static bool ask_batch(asker *a) {
  hem_answer answers[BATCH];
  hem_error err;
  if (failed(a, hem_client_search_batch(a->client, a->load->vectors, BATCH, a->load->dim, NULL, answers, &err), &err))
    return false;
  for (size_t i = 0; i < BATCH; i++) check_answer(a, &answers[i]);
  return true;
}

/* An item of the other generation is not there: that is an answer too. */
static bool ask_item(asker *a) {
  hem_answer answer;
  hem_error err;
  hem_status status = hem_client_search_item(a->client, a->load->items[a->turn % 2], NULL, &answer, &err);
  if (status == HEM_ENOTFOUND) return true;
  if (failed(a, status, &err)) return false;
  check_answer(a, &answer);
  return true;
}

/* ---- over HTTP ---- */

static bool ask_http(asker *a, const hem__http_post *post) {
  unsigned status = 0;
  hem_error err;
  if (failed(a, hem__http_client_post(&a->http, post, &status, &err), &err)) return false;
  if (status == 404) return true; /* an item of the other generation */
  if (status != 200) {
    snprintf(a->message, sizeof a->message, "HTTP %u: %.300s", status, a->http.answer);
    return false;
  }
  json_t *json = json_loads(a->http.answer, 0, NULL), *hits = json_object_get(json, "hits"), *hit;
  const char *generation = json_string_value(json_object_get(json, "generation"));
  size_t i;
  if (!generation || !json_array_size(hits)) a->wrong++;
  json_array_foreach(hits, i, hit) check_item(a, generation, json_string_value(json_object_get(hit, "item_id")));
  json_decref(json);
  return true;
}

static bool ask_http_vector(asker *a) {
  const load *l = a->load;
  return ask_http(a, &(hem__http_post){.path = "/v1/query",
                                       .type = "application/octet-stream",
                                       .body = l->vectors + a->turn % BATCH * l->dim,
                                       .size = l->dim * sizeof *l->vectors});
}

static bool ask_http_item(asker *a) {
  char body[300];
  int size = snprintf(body, sizeof body, "{\"item_id\":\"%s\"}", a->load->items[a->turn % 2]);
  return ask_http(
      a, &(hem__http_post){.path = "/v1/query", .type = "application/json", .body = body, .size = (size_t)size});
}

static bool ask_http_photo(asker *a) {
  return ask_http(
      a,
      &(hem__http_post){.path = "/v1/query", .type = "image/png", .body = a->load->photo, .size = a->load->photo_size});
}

/* ---- the load ---- */

static void *keep_asking(void *context) {
  asker *a = context;
  double end = now_ms() + a->load->seconds * 1e3;
  for (double begun = now_ms(); begun < end; a->turn++) {
    bool answered = a->ask(a);
    double done = now_ms();
    if (!answered) {
      a->failed++;
    } else if (!hem__grow(&a->ms, &a->ms_capacity, a->answers + 1, sizeof *a->ms, "times", NULL)) {
      a->ms[a->answers++] = done - begun;
    }
    begun = done;
  }
  return NULL;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void report(asker *a) {
  size_t n = a->answers;
  qsort(a->ms, n, sizeof *a->ms, by_value);
  printf("{\"kind\": \"%s\", \"answers\": %zu, \"failed\": %zu, \"wrong\": %zu", a->kind, n, a->failed, a->wrong);
  if (n)
    printf(", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f", a->ms[n / 2], a->ms[n * 99 / 100], a->ms[n - 1]);
  puts("}");
  if (a->failed || a->wrong) fprintf(stderr, "bench_soak: %s: %s\n", a->kind, a->message);
}

/* A vector like the gallery's would be better asked; any will do to tell generations apart. */
static hem_status prepare(load *l, const char *photo, hem_error *err) {
  hem_client *client = NULL;
  hem_engine_info info;
  hem_status status = hem__photo_bytes(photo, &l->photo, &l->photo_size, err);
  if (!status) status = hem_client_open(l->path, NULL, &client, err);
  if (!status) status = hem_client_info(client, &info, err);
  if (!status) l->dim = info.dim;
  if (!status) status = hem__alloc(BATCH * l->dim, sizeof *l->vectors, "vectors", &l->vectors, err);
  for (size_t i = 0; i < BATCH * l->dim && !status; i++) l->vectors[i] = (float)((i * 7919) % 101) / 101;
  hem_answer answer;
  if (!status) status = hem_client_search(client, l->vectors, l->dim, NULL, &answer, err);
  if (!status && !answer.found) status = hem__fail(err, HEM_ENOTFOUND, "the store is empty");
  for (size_t i = 0; i < 2 && !status; i++) {
    snprintf(l->items[i], sizeof l->items[i], "%s", answer.hits[0].item_id);
    l->items[i][0] = "ab"[i];
  }
  hem_client_close(client);
  return status;
}

int main(int argc, char **argv) {
  static load l;
  static asker askers[KINDS] = {
      {.kind = "unix vector", .ask = ask_vector},  {.kind = "unix batch", .ask = ask_batch},
      {.kind = "unix item", .ask = ask_item},      {.kind = "http vector", .ask = ask_http_vector},
      {.kind = "http item", .ask = ask_http_item}, {.kind = "http photo", .ask = ask_http_photo}};
  hem_error err;
  size_t bad = 0;
  if (argc != 5) {
    fputs("Usage: bench_soak UNIX_PATH HTTP_PORT SECONDS PHOTO\n", stderr);
    return 2;
  }
  l = (load){.path = argv[1], .port = (uint16_t)strtoul(argv[2], NULL, 10), .seconds = strtod(argv[3], NULL)};
  hem_status status = prepare(&l, argv[4], &err);
  for (size_t i = 0; i < KINDS && !status; i++) {
    askers[i].load = &l;
    status = hem__http_client_open(l.port, &askers[i].http, &err);
    if (!status) status = hem_client_open(l.path, NULL, &askers[i].client, &err);
  }
  if (status) {
    fprintf(stderr, "bench_soak: %s\n", err.message);
    return 1;
  }
  for (size_t i = 0; i < KINDS; i++) pthread_create(&askers[i].thread, NULL, keep_asking, &askers[i]);
  for (size_t i = 0; i < KINDS; i++) {
    pthread_join(askers[i].thread, NULL);
    report(&askers[i]);
    bad += askers[i].failed + askers[i].wrong;
    hem_client_close(askers[i].client);
    hem__http_client_close(&askers[i].http);
    free(askers[i].ms);
  }
  free(l.photo);
  free(l.vectors);
  return bad ? 1 : 0;
}
