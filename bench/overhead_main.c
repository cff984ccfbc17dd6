/* bench_overhead STORE [CATEGORY]: what hem_search costs over the FAISS search inside it (ivf), or beside FAISS's own
 * search of the same graph (hnsw, where none of it is FAISS's).
 *
 * Three contestants answer the same queries: FAISS asked directly, hem_search (items, as users ask), and FAISS asked
 * directly once more, whose difference from the first is the noise: a ratio that differs from 1 by less says nothing.
 * Each has its own copy of the index, so that none warms the cache for another; where a copy lies in memory is worth
 * several per cent, so every round opens all three anew. The order of opening and of asking goes through all six that
 * there are. One thread. A round's ratio is that of its medians over queries; what is printed is the median round. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/peer_faiss.h"
#include "index/generation.h"

enum { ROUNDS = 18, QUERIES = 300, K_MAX = 100, CONTESTANTS = 3, OURS = 1, ORDERS = 6, KS = 2 };

static const size_t ks[KS] = {10, K_MAX};
static const size_t orders[ORDERS][CONTESTANTS] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}, {1, 0, 2}};

typedef struct contest {
  hem__generation generation;
  const hem__generation_category *category;
  hem__catalog *catalog;
  hem_engine *engine;
  hem_searcher *searcher;
  hem__faiss_peer *peers[CONTESTANTS]; /* none at OURS */
  const float *queries[QUERIES];
  size_t query_count;
  double us[CONTESTANTS][QUERIES];       /* of one round */
  double times[KS][CONTESTANTS][ROUNDS]; /* their medians */
} contest;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts. */
static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, by_value);
  return values[count / 2];
}

/* ---- setting up ---- */

/* The category named, or the largest. */
static hem_status choose(contest *c, const char *name, hem_error *err) {
  const hem__manifest *m = &c->generation.manifest;
  for (size_t i = 0; i < m->category_count; i++) {
    const hem__generation_category *here = &m->categories[i];
    if (name ? !strcmp(here->name, name) : !c->category || here->photos > c->category->photos) c->category = here;
  }
  if (!c->category) return hem__fail(err, HEM_ENOTFOUND, "there is no category '%s'", name);
  if (!c->category->index.name)
    return hem__fail(err, HEM_EINVAL, "category '%s' is flat: FAISS has no part in it", c->category->name);
  return HEM_OK;
}

/* Customers of the category, evenly spread. */
static hem_status choose_queries(contest *c, hem_error *err) {
  size_t space, all = 0, seen = 0;
  hem_status status = hem__catalog_open(c->generation.manifest.catalog, &c->catalog, err);
  if (!status) status = hem__catalog_find_space(c->catalog, c->generation.manifest.space, &space, err);
  if (status) return status;
  const hem__photos *photos = hem__catalog_photos(c->catalog);
  hem__matrix vectors = hem__catalog_matrix(c->catalog, space);
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < photos->count; i++) {
      if (photos->at[i].domain != HEM__CONSUMER || strcmp(photos->at[i].category, c->category->name) != 0) continue;
      if (pass == 0) {
        all++;
      } else if (c->query_count < QUERIES && seen++ * QUERIES >= c->query_count * all) {
        c->queries[c->query_count++] = hem__row(vectors, i);
      }
    }
  if (all == 0) return hem__fail(err, HEM_ENOTFOUND, "%s has no customers to ask", c->generation.manifest.catalog);
  return hem__catalog_check(c->catalog, space, 0, photos->count, err);
}

static hem_status open_peer(contest *c, size_t who, hem_error *err) {
  const hem__generation_category *category = c->category;
  bool ivf = category->nprobe != 0;
  char *path = NULL;
  hem_status status = hem__print(&path, err, "%s/%s", c->generation.folder, category->index.name);
  if (!status)
    status = hem__faiss_peer_open(path, ivf ? "nprobe" : "efSearch", ivf ? category->nprobe : category->ef_search,
                                  &c->peers[who], err);
  free(path);
  return status;
}

static hem_status open_ours(contest *c, const char *store, hem_error *err) {
  const char *const names[] = {c->category->name};
  hem_engine_options o = {.size = sizeof o, .categories = names, .category_count = 1};
  hem_status status = hem_engine_open(store, &o, &c->engine, err);
  return status ? status : hem_searcher_new(c->engine, &c->searcher, err);
}

static void close_contestants(contest *c) {
  for (size_t i = 0; i < CONTESTANTS; i++) hem__faiss_peer_close(c->peers[i]);
  hem_searcher_free(c->searcher);
  hem_engine_close(c->engine);
  memset(c->peers, 0, sizeof c->peers);
  c->searcher = NULL;
  c->engine = NULL;
}

static hem_status open_contestants(contest *c, const char *store, size_t round, hem_error *err) {
  hem_status status = HEM_OK;
  close_contestants(c);
  for (size_t i = 0; i < CONTESTANTS && !status; i++) {
    size_t who = orders[round % ORDERS][i];
    status = who == OURS ? open_ours(c, store, err) : open_peer(c, who, err);
  }
  return status;
}

/* ---- timing ---- */

static hem_status ask(contest *c, size_t who, size_t query, size_t k, hem_error *err) {
  float distances[K_MAX];
  int64_t rows[K_MAX];
  hem_search_options o = {.size = sizeof o, .k = k};
  hem_answer answer;
  double start = now_us();
  hem_status status = who == OURS
                          ? hem_search(c->searcher, c->queries[query], c->generation.manifest.dim, &o, &answer, err)
                          : hem__faiss_peer_search(c->peers[who], c->queries[query], k, distances, rows, err);
  c->us[who][query] = now_us() - start;
  return status;
}

/* Every query once, to each contestant. */
static hem_status ask_all(contest *c, size_t k, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t q = 0; q < c->query_count; q++)
    for (size_t i = 0; i < CONTESTANTS && !status; i++) status = ask(c, orders[q % ORDERS][i], q, k, err);
  return status;
}

static hem_status play_round(contest *c, const char *store, size_t round, hem_error *err) {
  hem_status status = open_contestants(c, store, round, err);
  if (!status) status = ask_all(c, K_MAX, err); /* warms up; not counted */
  for (size_t k = 0; k < KS && !status; k++) {
    status = ask_all(c, ks[k], err);
    for (size_t i = 0; i < CONTESTANTS; i++) c->times[k][i][round] = median(c->us[i], c->query_count);
  }
  return status;
}

static void print_result(contest *c, size_t k) {
  double ratio[ROUNDS], noise[ROUNDS], (*t)[ROUNDS] = c->times[k];
  for (size_t r = 0; r < ROUNDS; r++) {
    ratio[r] = 2 * t[OURS][r] / (t[0][r] + t[2][r]);
    noise[r] = t[2][r] / t[0][r];
  }
  double middle = median(ratio, ROUNDS), same = median(noise, ROUNDS);
  printf("%s\t%s\t%zu\t%zu\t%.1f\t%.1f\t%.4f\t%.4f-%.4f\t%.4f\t%.4f-%.4f\n", c->category->name, c->category->kind,
         ks[k], c->query_count, median(t[0], ROUNDS), median(t[OURS], ROUNDS), middle, ratio[0], ratio[ROUNDS - 1],
         same, noise[0], noise[ROUNDS - 1]);
}

static hem_status run(contest *c, const char *store, const char *category, hem_error *err) {
  hem_status status = hem__generation_open(store, &c->generation, err);
  if (!status) status = choose(c, category, err);
  if (!status) status = choose_queries(c, err);
  for (size_t r = 0; r < ROUNDS && !status; r++) status = play_round(c, store, r, err);
  if (status) return status;
  puts("category\tkind\tk\tqueries\tfaiss_us\themline_us\tratio\tratio_range\tnoise\tnoise_range");
  for (size_t k = 0; k < KS; k++) print_result(c, k);
  return HEM_OK;
}

int main(int argc, char **argv) {
  static contest c;
  hem_error err;
  if (argc != 2 && argc != 3) {
    fputs("Usage: bench_overhead STORE [CATEGORY]\n", stderr);
    return 2;
  }
  omp_set_num_threads(1);
  hem_status status = run(&c, argv[1], argc == 3 ? argv[2] : NULL, &err);
  if (status) fprintf(stderr, "bench_overhead: %s\n", err.message);
  close_contestants(&c);
  hem__catalog_close(c.catalog);
  hem__generation_close(&c.generation);
  return status ? 1 : 0;
}
