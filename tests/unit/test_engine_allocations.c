/* No query allocates once its searcher has answered one like it, and none takes a lock. Every allocation of this
 * program is counted, operator new's too, which ask malloc; and every mutex that is locked.
 *
 * FAISS allocates in each of its own searches; where it has a part in a query (ivf), that must allocate exactly as
 * often as FAISS does when it is asked directly. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/threads.h"
#include "index/faiss_index.h"
#include "query/engine.h"
#include "support/make_learned.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int main(void) { return 77; } /* sanitizers bring an allocator of their own */
#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *at, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_size_t allocations, locks;
static int (*real_lock)(pthread_mutex_t *);

__attribute__((constructor)) static void find_lock(void) {
  void *found = dlsym(RTLD_NEXT, "pthread_mutex_lock");
  memcpy(&real_lock, &found, sizeof real_lock);
}

/* These take libc's place for the whole program, C++ included. */
#pragma GCC visibility push(default)
void *malloc(size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_calloc(count, size);
}
void *realloc(void *at, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_realloc(at, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_memalign(alignment, size);
}
void *memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }
int posix_memalign(void **out, size_t alignment, size_t size) {
  *out = aligned_alloc(alignment, size);
  return *out ? 0 : ENOMEM;
}
int pthread_mutex_lock(pthread_mutex_t *mutex) {
  atomic_fetch_add(&locks, 1);
  if (!real_lock) find_lock(); /* somebody else's constructor */
  return real_lock(mutex);
}
#pragma GCC visibility pop

enum { DIM = 16, PHOTOS = 2000, ROUNDS = 20 };

static char *make_store(const char *kind) {
  static const char *folder;
  hem__made made = {.dim = DIM};
  uint64_t state = 1;
  if (!folder) folder = hem__test_folder();
  for (size_t i = 0; i < PHOTOS; i++) {
    float v[DIM];
    for (size_t j = 0; j < DIM; j++) v[j] = hem__test_normal(&state);
    const char *label = i == 20 ? "rare" : i % 4 ? "" : "red";
    hem__made_add(&made, (hem__photo){.category = i % 10 ? "large" : "small", .label = label}, v);
  }
  char *store = hem__made_store(&made, folder, kind, (hem_index_options){.kind = kind});
  hem__made_clear(&made);
  return store;
}

/* Allocations of one query, after the searcher has answered others of the same k. `item`: asked for in turn with the
 * vectors; NULL: vectors only. No query may take a lock. */
static size_t count_with(hem_searcher *searcher, const char *item, hem_search_options o) {
  uint64_t state = 2;
  size_t most = 0, locked = locks;
  o.size = sizeof o;
  for (size_t round = 0; round < ROUNDS; round++) {
    float query[DIM];
    hem_answer answer;
    hem_error err = {0};
    for (size_t j = 0; j < DIM; j++) query[j] = hem__test_normal(&state);
    size_t before = allocations;
    hem_status status = item && round % 2 ? hem_search_item(searcher, item, &o, &answer, &err)
                                          : hem_search(searcher, query, DIM, &o, &answer, &err);
    size_t count = allocations - before;
    if (status) ck_abort_msg("%s", err.message); /* Check's asserts would lock and allocate */
    if (round > 1 && count > most) most = count;
  }
  locked = locks - locked;
  ck_assert_msg(locked == 0, "%zu locks", locked);
  return most;
}

static size_t count_search(hem_searcher *searcher, hem_search_options o) { return count_with(searcher, NULL, o); }

START_TEST(the_counter_counts) {
  size_t before = allocations;
  char *text = NULL;
  void *block = NULL;
  ck_ok(hem__strdup("text", &text, err));
  ck_ok(hem__alloc(1, 100, "a block", &block, err));
  ck_assert_uint_ge(allocations - before, 2);
  free(text);
  free(block);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  before = locks;
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  ck_assert_uint_eq(locks - before, 1);
}
END_TEST

START_TEST(holding_openmp_neither_allocates_nor_locks) {
  hem__omp_release(hem__omp_hold()); /* a thread's first time makes its OpenMP settings */
  size_t allocated = allocations, locked = locks;
  for (size_t i = 0; i < 100; i++) hem__omp_release(hem__omp_hold());
  allocated = allocations - allocated;
  locked = locks - locked;
  ck_assert_uint_eq(allocated, 0);
  ck_assert_uint_eq(locked, 0);
}
END_TEST

START_TEST(a_scan_never_allocates) {
  static const size_t ks[] = {1, 10, 100, 5000};
  char *store = make_store("flat");
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t k = 0; k < 4; k++)
    for (int options = 0; options < 8; options++) {
      hem_search_options o = {.k = ks[k], .photos = options & 1, .leave_out = options & 2, .exact = options & 4};
      ck_assert_uint_eq(count_search(searcher, o), 0);
    }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
}
END_TEST

START_TEST(items_and_labels_do_not_allocate) {
  static const char *const kinds[] = {"flat", "hnsw", "ivf"}, *const labels[] = {"red", "rare"},
                           *const small[] = {"small"};
  for (size_t kind = 0; kind < 3; kind++) {
    char *store = make_store(kinds[kind]);
    hem_engine *engine = NULL;
    hem_searcher *searcher = NULL;
    ck_ok(hem_engine_open(store, NULL, &engine, err));
    ck_ok(hem_searcher_new(engine, &searcher, err));
    for (int options = 0; options < 8; options++) {
      /* With an index: in a category that is small enough for none. */
      hem_search_options o = {.k = options & 1 ? 500 : 10,
                              .labels = options & 2 ? labels : NULL,
                              .label_count = options & 2 ? 1 + (options & 1) : 0,
                              .exact = options & 4,
                              .categories = kind ? small : NULL,
                              .category_count = kind > 0};
      size_t count = count_with(searcher, "item-000007", o);
      ck_assert_msg(count == 0, "%s, options %d: %zu allocations", kinds[kind], options, count);
    }
    hem_searcher_free(searcher);
    hem_engine_close(engine);
    free(store);
  }
}
END_TEST

typedef struct elsewhere {
  hem_searcher *searcher;
  size_t most;
} elsewhere;

static void *count_in_thread(void *context) {
  elsewhere *e = context;
  e->most = count_search(e->searcher, (hem_search_options){.k = 10});
  return NULL;
}

START_TEST(nor_does_a_query_of_another_thread) {
  char *store = make_store("flat");
  hem_engine *engine = NULL;
  elsewhere e = {.most = SIZE_MAX};
  pthread_t thread;
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &e.searcher, err));
  ck_assert_int_eq(pthread_create(&thread, NULL, count_in_thread, &e), 0);
  pthread_join(thread, NULL);
  ck_assert_uint_eq(e.most, 0);
  hem_searcher_free(e.searcher);
  hem_engine_close(engine);
  free(store);
}
END_TEST

/* Which thread takes which query differs from call to call; here all are alike. */
START_TEST(nor_does_a_batch) {
  enum { COUNT = 64 };
  static float vectors[COUNT * DIM];
  static hem_answer answers[COUNT];
  char *store = make_store("flat");
  hem_engine *engine = NULL;
  hem_batch *batch = NULL;
  hem_status failed = HEM_OK;
  uint64_t state = 4;
  for (size_t i = 0; i < COUNT * DIM; i++) vectors[i] = hem__test_normal(&state);
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_batch_new(engine, 3, &batch, err));
  for (size_t i = 0; i < 50; i++) ck_ok(hem_batch_search(batch, vectors, COUNT, DIM, NULL, answers, err));
  size_t before = allocations;
  for (size_t i = 0; i < 50 && !failed; i++) failed = hem_batch_search(batch, vectors, COUNT, DIM, NULL, answers, NULL);
  size_t count = allocations - before;
  ck_assert_int_eq(failed, HEM_OK);
  ck_assert_uint_eq(count, 0);
  hem_batch_free(batch);
  hem_engine_close(engine);
  free(store);
}
END_TEST

/* This query's nearest photos are of one item, so that many more than k of them must be looked at. */
START_TEST(a_query_as_hard_as_one_before_does_not_allocate) {
  hem__made made = {.dim = DIM};
  for (size_t i = 0; i < 1000; i++) {
    float v[DIM] = {i < 500 ? 100 + (float)i / 1000 : (float)i};
    hem__made_add(&made, (hem__photo){.item_id = i < 500 ? "crowd" : NULL}, v);
  }
  char *store = hem__made_store(&made, hem__test_folder(), "store", (hem_index_options){.kind = "flat"});
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  hem_answer answer;
  hem_search_options o = {.size = sizeof o, .k = 10};
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  ck_ok(hem_search(searcher, (float[DIM]){101}, DIM, &o, &answer, err));
  hem_error err = {0};
  size_t before = allocations;
  hem_status status = hem_search(searcher, (float[DIM]){100}, DIM, &o, &answer, &err);
  size_t count = allocations - before;
  ck_assert_msg(!status && answer.found == 10, "%s", err.message);
  ck_assert_uint_eq(count, 0);
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
  hem__made_clear(&made);
}
END_TEST

/* What FAISS allocates for one query of "large", asked without us. */
static size_t count_faiss(const char *store, size_t k) {
  hem__generation g;
  hem__map map;
  hem__faiss *index = NULL;
  ck_ok(hem__generation_open(store, &g, err));
  const hem__generation_category *c = &g.manifest.categories[0];
  ck_ok(hem__generation_map(&g, &c->index, &map, err));
  ck_ok(hem__faiss_read(map.at, map.size, c->name, g.manifest.distance, c->photos, DIM, &index, err));
  if (c->ef_search) ck_ok(hem__faiss_set(index, "efSearch", c->ef_search, err));
  if (c->nprobe) ck_ok(hem__faiss_set(index, "nprobe", c->nprobe, err));
  static float keys[PHOTOS];
  static int64_t rows[PHOTOS];
  uint64_t state = 2;
  size_t most = 0, ask = hem__min(k * hem__max(c->refine, 1), c->photos);
  int held = hem__omp_hold();
  for (size_t round = 0; round < ROUNDS; round++) {
    float query[DIM];
    for (size_t j = 0; j < DIM; j++) query[j] = hem__test_normal(&state);
    size_t before = allocations;
    hem_status status = hem__faiss_search(index, query, ask, keys, rows, NULL);
    size_t count = allocations - before;
    ck_assert_int_eq(status, HEM_OK);
    if (round && count > most) most = count;
  }
  hem__omp_release(held);
  hem__faiss_free(index);
  hem__map_close(&map);
  hem__generation_close(&g);
  return most;
}

/* Allocations of queries of "large", and of FAISS asked directly. */
static void compare(const char *kind, bool faiss_searches) {
  static const char *const large[] = {"large"};
  char *store = make_store(kind);
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t k = 1; k <= 100; k *= 10) {
    hem_search_options o = {.k = k, .categories = large, .category_count = 1};
    /* One photo more may be asked for, to see whether it ties with the last. */
    size_t ours = count_search(searcher, o), theirs = hem__max(count_faiss(store, k), count_faiss(store, k + 1));
    ck_assert_uint_gt(theirs, 0);
    ck_assert_msg(ours <= (faiss_searches ? theirs : 0), "%s, k %zu: %zu allocations; FAISS's would be %zu", kind, k,
                  ours, theirs);
  }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
}

START_TEST(with_an_index_only_faiss_allocates) {
  static const char *const kinds[] = {"ivf", "ivf-sq8", "ivf-pq"};
  for (size_t kind = 0; kind < 3; kind++) compare(kinds[kind], true);
}
END_TEST

START_TEST(a_graph_never_allocates) {
  compare("hnsw", false);
  compare("hnsw-sq8", false);
}
END_TEST

/* A store whose answers are reranked; "flat", so that FAISS has no part in it. */
static char *make_learned(hem__test_kind kind, const char *precision) {
  static const char *folder;
  hem__made made = {.dim = DIM};
  hem__metric *metric = hem__test_learned(kind, DIM, HEM_L2, 1);
  if (!folder) folder = hem__test_folder();
  hem__test_shop(&made, 600, 2, 1);
  char *store = hem__test_learned_store(&made, metric, folder, "learned",
                                        (hem_index_options){.kind = "flat", .precision = precision, .rerank = 20});
  hem__metric_free(metric);
  hem__made_clear(&made);
  return store;
}

START_TEST(a_metric_does_not_allocate) {
  static const char *const label[] = {"l3"};
  for (hem__test_kind kind = 0; kind < HEM__TEST_KINDS; kind++)
    for (int p = 0; p < 2; p++) {
      char *store = make_learned(kind, p ? "f16" : "u8");
      hem_engine *engine = NULL;
      hem_searcher *searcher = NULL;
      ck_ok(hem_engine_open(store, NULL, &engine, err));
      ck_ok(hem_searcher_new(engine, &searcher, err));
      for (int options = 0; options < 16; options++) {
        hem_search_options o = {.k = 10,
                                .photos = options & 1,
                                .leave_out = options & 2,
                                .exact = options & 4,
                                .rerank = options & 8 ? 50 : 0,
                                .min_probability = options & 8 ? 0.3 : 0};
        const char *item = engine->gallery.text + engine->gallery.item_id[options];
        count_with(searcher, item, o); /* how many photos are scored differs from query to query: the hardest first */
        size_t count = count_with(searcher, item, o);
        ck_assert_msg(count == 0, "kind %d, options %d: %zu allocations", (int)kind, options, count);
        o.labels = label;
        o.label_count = 1;
        count_with(searcher, item, o);
        count = count_with(searcher, item, o);
        ck_assert_msg(count == 0, "kind %d, options %d, with a label: %zu allocations", (int)kind, options, count);
      }
      hem_searcher_free(searcher);
      hem_engine_close(engine);
      free(store);
    }
}
END_TEST

HEM_TESTS("engine allocations", a_metric_does_not_allocate, the_counter_counts,
          holding_openmp_neither_allocates_nor_locks, a_scan_never_allocates, items_and_labels_do_not_allocate,
          nor_does_a_query_of_another_thread, nor_does_a_batch, a_query_as_hard_as_one_before_does_not_allocate,
          with_an_index_only_faiss_allocates, a_graph_never_allocates)
#endif
