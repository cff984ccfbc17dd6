/* bench_photo STORE FOLDER [PHOTOS [ROUNDS [UNIX_PATH]]]: what a photo's question costs beyond the network that embeds
 * it.
 *
 * The store's features are one network. For each JPEG of FOLDER (60 of them, evenly spread) and in each round (10) two
 * ways take turns: ONNX Runtime alone, on the tensor made beforehand; and the whole question, from the file's bytes to
 * the answer. Then, where a server of the same store listens at UNIX_PATH, the question to it. One thread, as a server
 * gives each photo. Of a photo's rounds the median and the quickest are taken, differences are those of the same
 * photo, and the median photo is printed. By the clock, and by the processor's time, which neighbours hardly disturb.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "ingest/network.h"

enum { PHOTOS_MAX = 500, ROUNDS_MAX = 100 };

typedef struct photo {
  uint8_t *bytes;
  size_t size;
  hem__run *run; /* its tensor, made ready */
} photo;

/* What is measured. */
typedef enum series { NETWORK, WHOLE, DECODE, EMBED, SEARCH, NETWORK_CPU, WHOLE_CPU, SERVED, STAGES, SERIES } series;

/* What is printed: a series, or what it is more than another one of the same photo. */
static const struct {
  const char *name;
  series of, less; /* less: SERIES: than nothing */
} rows[] = {
    {"ONNX Runtime alone", NETWORK, SERIES},
    {"the whole question", WHOLE, SERIES},
    {"more than the network", WHOLE, NETWORK},
    {"  decode", DECODE, SERIES},
    {"  stretch and make floats", EMBED, NETWORK},
    {"  search", SEARCH, SERIES},
    {"ONNX Runtime alone, processor", NETWORK_CPU, SERIES},
    {"the whole question, processor", WHOLE_CPU, SERIES},
    {"more than the network, processor", WHOLE_CPU, NETWORK_CPU},
    {"asked of a server", SERVED, SERIES},
    {"  the way there and back", SERVED, STAGES},
};
enum { ROWS = sizeof rows / sizeof *rows, HERE = ROWS - 2 };

typedef struct bench {
  const char *store, *folder, *server;
  size_t wanted, rounds;
  hem_engine *engine;
  hem_engine_info info;
  hem_searcher *searcher;
  hem_embedder *embedder;
  hem_client *client;
  hem__network *network;
  float *vector;
  photo photos[PHOTOS_MAX];
  size_t photo_count;
  double *ms[SERIES]; /* [photo, round] */
} bench;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* ---- making ready ---- */

static int is_jpeg(const struct dirent *entry) {
  size_t size = strlen(entry->d_name);
  return size > 4 && strcmp(entry->d_name + size - 4, ".jpg") == 0;
}

/* The tensor stays in the run. */
static hem_status make_tensor(const bench *b, photo *p, const char *path, hem_error *err) {
  hem__image image = {0};
  hem_status status = hem__network_run_new(b->network, &p->run, err);
  if (!status) status = hem__image_decode(p->bytes, p->size, path, &image, err);
  if (!status) status = hem__network_embed(b->network, p->run, &image, b->vector, err);
  hem__image_clear(&image);
  return status;
}

static hem_status read_photos(bench *b, hem_error *err) {
  struct dirent **entries;
  hem_status status = HEM_OK;
  int count = scandir(b->folder, &entries, is_jpeg, alphasort);
  if (count < 0) return hem__fail_errno(err, "cannot read %s", b->folder);
  if (count == 0) status = hem__fail(err, HEM_ENOTFOUND, "%s holds no .jpg", b->folder);
  size_t all = (size_t)count, wanted = hem__min(b->wanted, all);
  for (size_t i = 0; i < all; i++) {
    char *path = NULL;
    bool take = i * wanted / all != (i + 1) * wanted / all; /* evenly spread */
    photo *p = &b->photos[b->photo_count];
    if (!status && take) status = hem__print(&path, err, "%s/%s", b->folder, entries[i]->d_name);
    if (!status && take) status = hem__file_read(path, &p->bytes, &p->size, err);
    if (!status && take) status = make_tensor(b, p, path, err);
    b->photo_count += take;
    free(path);
    free(entries[i]);
  }
  free(entries);
  return status;
}

static hem_status open_all(bench *b, hem_error *err) {
  hem_status status = hem_engine_open(b->store, NULL, &b->engine, err);
  if (status) return status;
  hem_engine_info_get(b->engine, &b->info);
  if (!hem__is_network(b->info.features) || strchr(b->info.features, ','))
    return hem__fail(err, HEM_EINVAL, "%s: wanted a store whose features are one network, not '%s'", b->store,
                     b->info.features);
  status = hem_searcher_new(b->engine, &b->searcher, err);
  if (!status) status = hem_embedder_new(b->info.features, &b->embedder, err);
  if (!status) status = hem__network_open(b->info.features, strlen(b->info.features), &b->network, err);
  if (!status) status = hem__alloc(b->info.dim, sizeof *b->vector, "a vector", &b->vector, err);
  if (!status && b->server) status = hem_client_open(b->server, NULL, &b->client, err);
  if (!status) status = read_photos(b, err);
  for (size_t s = 0; s < SERIES && !status; s++)
    status = hem__alloc(b->photo_count * b->rounds, sizeof *b->ms[s], "times", &b->ms[s], err);
  return status;
}

/* ---- the ways ---- */

static double cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double ms_since(uint64_t from) { return (double)(hem__now_ns() - from) / 1e6; }

static hem_status run_network(bench *b, const photo *p, double ms[SERIES], hem_error *err) {
  double cpu = cpu_ms();
  uint64_t from = hem__now_ns();
  hem_status status = hem__run_go(p->run, b->vector, err);
  ms[NETWORK] = ms_since(from);
  ms[NETWORK_CPU] = cpu_ms() - cpu;
  return status;
}

static hem_status ask_here(bench *b, const photo *p, double ms[SERIES], hem_error *err) {
  hem_answer answer;
  double cpu = cpu_ms();
  uint64_t decode = 0, embed = 0, from = hem__now_ns();
  hem_status status = hem_embedder_bytes(b->embedder, p->bytes, p->size, NULL, NULL, b->vector, err);
  uint64_t embedded = hem__now_ns();
  if (!status) status = hem_search(b->searcher, b->vector, b->info.dim, NULL, &answer, err);
  ms[SEARCH] = ms_since(embedded);
  ms[WHOLE] = ms_since(from);
  ms[WHOLE_CPU] = cpu_ms() - cpu;
  hem_embedder_times(b->embedder, &decode, &embed);
  ms[DECODE] = (double)decode / 1e6;
  ms[EMBED] = (double)embed / 1e6;
  return status;
}

/* The server runs the network itself, on weights of its own: what counts is what its stages do not hold. */
static hem_status ask_server(bench *b, const photo *p, double ms[SERIES], hem_error *err) {
  hem_answer answer;
  hem_client_about about;
  uint64_t from = hem__now_ns();
  hem_status status = hem_client_search_photo(b->client, p->bytes, p->size, NULL, NULL, &answer, err);
  ms[SERVED] = ms_since(from);
  hem_client_about_get(b->client, &about);
  ms[STAGES] = (double)(about.decode_ns + about.embed_ns + about.search_ns) / 1e6;
  return status;
}

/* Round -1 warms up. The server has its turn when the others are done: it would drive their weights from the caches. */
static hem_status play(bench *b, long round, bool served, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < b->photo_count && !status; i++) {
    const photo *p = &b->photos[i];
    double ms[SERIES] = {0};
    bool first = (i + (size_t)(round + 1)) % 2;
    if (served) status = ask_server(b, p, ms, err);
    if (!served && first) status = run_network(b, p, ms, err);
    if (!served && !status) status = ask_here(b, p, ms, err);
    if (!served && !first && !status) status = run_network(b, p, ms, err);
    for (size_t s = served ? SERVED : 0; s < (served ? SERIES : SERVED) && round >= 0; s++)
      b->ms[s][i * b->rounds + (size_t)round] = ms[s];
  }
  return status;
}

/* Of the rounds, sorted, the one at `at`; of the photos the median. */
static double median_photo(const bench *b, size_t row, size_t at) {
  double each[PHOTOS_MAX];
  for (size_t i = 0; i < b->photo_count; i++) {
    each[i] = b->ms[rows[row].of][i * b->rounds + at];
    if (rows[row].less < SERIES) each[i] -= b->ms[rows[row].less][i * b->rounds + at];
  }
  qsort(each, b->photo_count, sizeof *each, by_value);
  return each[b->photo_count / 2];
}

static void print(bench *b) {
  for (size_t s = 0; s < SERIES; s++)
    for (size_t i = 0; i < b->photo_count; i++) qsort(b->ms[s] + i * b->rounds, b->rounds, sizeof(double), by_value);
  printf("%s\n%zu photos, %zu rounds\n\tmedian_ms\tquickest_ms\n", b->info.features, b->photo_count, b->rounds);
  for (size_t row = 0; row < (b->client ? ROWS : HERE); row++)
    printf("%s\t%.3f\t%.3f\n", rows[row].name, median_photo(b, row, b->rounds / 2), median_photo(b, row, 0));
}

static void clear(bench *b) {
  for (size_t i = 0; i < b->photo_count; i++) {
    hem__run_free(b->photos[i].run);
    free(b->photos[i].bytes);
  }
  for (size_t s = 0; s < SERIES; s++) free(b->ms[s]);
  free(b->vector);
  hem_client_close(b->client);
  hem__network_close(b->network);
  hem_embedder_free(b->embedder);
  hem_searcher_free(b->searcher);
  hem_engine_close(b->engine);
}

static size_t number(char **arguments, int count, int i, size_t usual, size_t most) {
  size_t n = i < count ? strtoul(arguments[i], NULL, 10) : usual;
  return hem__max(1, hem__min(n, most));
}

int main(int count, char **arguments) {
  static bench b;
  hem_error err;
  if (count < 3) {
    fputs("Usage: bench_photo STORE FOLDER [PHOTOS [ROUNDS [UNIX_PATH]]]\n", stderr);
    return 2;
  }
  b.store = arguments[1];
  b.folder = arguments[2];
  b.wanted = number(arguments, count, 3, 60, PHOTOS_MAX);
  b.rounds = number(arguments, count, 4, 10, ROUNDS_MAX);
  b.server = count > 5 ? arguments[5] : NULL;
  hem_status status = open_all(&b, &err);
  for (long i = -1; i < (long)b.rounds && !status; i++) status = play(&b, i, false, &err);
  for (long i = -1; i < (long)b.rounds && !status && b.client; i++) status = play(&b, i, true, &err);
  if (!status) print(&b);
  if (status) fprintf(stderr, "bench_photo: %s\n", err.message);
  clear(&b);
  return status ? 1 : 0;
}
