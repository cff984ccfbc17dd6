/* Many threads at once, for ThreadSanitizer to watch: searchers on one engine, while other threads open and close
 * engines on the same store and new generations are published; readers of a catalogue, while it grows.
 *
 * FAISS, HDF5 and OpenMP are not instrumented: what is watched is Hemline's own code around them. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/file.h"
#include "crash/scene.h"
#include "metric/metric_file.h"
#include "support/make_learned.h"

enum { DIM = 8, LARGE = 1010, SMALL = 40, ROWS = LARGE + SMALL, QUERIES = 16, K = 5, BATCH = 7 };
enum { SEARCHERS = 4, ROUNDS = 60, OPENERS = 2, GENERATIONS = 6, READERS = 3 };

typedef struct answers {
  uint64_t rows[QUERIES][K];
  float distances[QUERIES][K];
} answers;

/* What the threads share. None of them asserts: Check knows one thread. */
typedef struct stage {
  char *folder, *catalog, *store;
  char *metric; /* NULL: the store has none */
  const hem_engine *engine;
  answers alone; /* what one thread alone got */
  atomic_bool stop;
  atomic_size_t searches, opens, wrong; /* wrong: answers that differ, calls that failed */
  char message[sizeof(hem_error) + 32];
  pthread_mutex_t message_lock; /* guards message */
} stage;

static void note(stage *s, hem_status status, const char *message) {
  if (!status) return;
  atomic_fetch_add(&s->wrong, 1);
  pthread_mutex_lock(&s->message_lock);
  snprintf(s->message, sizeof s->message, "%s: %s", hem_status_name(status), message);
  pthread_mutex_unlock(&s->message_lock);
}

static void start(pthread_t *thread, void *(*body)(void *), void *context) {
  ck_assert_int_eq(pthread_create(thread, NULL, body, context), 0);
}

/* ---- searching ---- */

static void make_catalog(const char *path) {
  static float values[ROWS * DIM];
  hem__space space = {.name = "a",
                      .features = "a",
                      .recipe = "a",
                      .hash = "0",
                      .dim = DIM,
                      .blocks = {{.name = "a", .dim = DIM}},
                      .block_count = 1};
  hem__photos photos = {0};
  uint64_t random = 5;
  for (size_t i = 0; i < ROWS * DIM; i++) values[i] = hem__test_uniform(&random);
  for (size_t i = 0; i < ROWS; i++) {
    char name[32];
    snprintf(name, sizeof name, "%zu.jpg", i);
    hem__photo photo = {.item_id = name, .category = i % 26 == 25 ? "small" : "large", .path = name};
    photo.label = i % 3 ? "blue" : "red";
    ck_ok(hem__photos_add(&photos, &photo, err));
  }
  hem__matrix vectors = {.at = values, .rows = ROWS, .dim = DIM};
  hem__catalog_part part = {.photos = photos.at, .count = photos.count, .vectors = &vectors};
  hem__catalog_content content = {
      .spaces = &space, .space_count = 1, .parts = &part, .part_count = 1, .rejected = &photos};
  ck_ok(hem__catalog_seal(path, &content, err));
  hem__photos_clear(&photos);
}

static void save_metric(stage *s) {
  hem__metric *m = hem__test_learned(HEM__TEST_TOWER, DIM, HEM_L2, 1);
  strcpy(m->space_hash, "0");
  s->metric = hem__test_path(s->folder, "metric.h5");
  ck_ok(hem__metric_save(m, s->metric, err));
  hem__metric_free(m);
}

static hem_status publish(const stage *s, hem_error *err) {
  hem_index_options options = {.size = sizeof options,
                               .catalog = s->catalog,
                               .store = s->store,
                               .kind = "hnsw",
                               .links = 8,
                               .threads = 2,
                               .metric = s->metric};
  return hem_index(&options, err);
}

/* Some with a vector, some with an item; some of all photos, some of those with a label. */
static hem_status ask(hem_searcher *searcher, answers *out, hem_error *err) {
  static const char *const red[] = {"red"};
  hem_search_options options = {.size = sizeof options, .k = K, .labels = red};
  hem_status status = HEM_OK;
  for (size_t q = 0; q < QUERIES && !status; q++) {
    uint64_t random = 1000 + q;
    float vector[DIM];
    hem_answer answer;
    for (size_t i = 0; i < DIM; i++) vector[i] = hem__test_uniform(&random);
    options.exact = q % 4 == 0;
    options.label_count = q % 3 == 0;
    status = q % 5 == 0 ? hem_search_item(searcher, "77.jpg", &options, &answer, err)
                        : hem_search(searcher, vector, DIM, &options, &answer, err);
    for (size_t i = 0; i < K && !status; i++) {
      out->rows[q][i] = answer.hits[i].row;
      out->distances[q][i] = answer.hits[i].distance;
    }
  }
  return status;
}

static hem_status ask_engine(stage *s, const hem_engine *engine, size_t rounds, hem_error *err) {
  hem_searcher *searcher = NULL;
  hem_status status = hem_searcher_new(engine, &searcher, err);
  for (size_t i = 0; i < rounds && !status; i++) {
    answers here = {0};
    status = ask(searcher, &here, err);
    atomic_fetch_add(&s->searches, QUERIES);
    if (!status && memcmp(&here, &s->alone, sizeof here) != 0)
      status = hem__fail(err, HEM_ECORRUPT, "another answer than one thread alone gets");
  }
  hem_searcher_free(searcher);
  return status;
}

static void *search(void *context) {
  stage *s = context;
  hem_error err = {0};
  note(s, ask_engine(s, s->engine, ROUNDS, &err), err.message);
  return NULL;
}

/* Batches on the engine that the searchers share, each with threads of its own. */
static hem_status ask_in_batches(stage *s, size_t rounds, hem_error *err) {
  static const hem_search_options options = {.size = sizeof options, .k = K, .exact = true};
  float vectors[BATCH * DIM];
  uint64_t first[BATCH] = {0}, random = 99;
  hem_batch *batch = NULL;
  for (size_t i = 0; i < BATCH * DIM; i++) vectors[i] = hem__test_uniform(&random);
  hem_status status = hem_batch_new(s->engine, 3, &batch, err);
  for (size_t round = 0; round < rounds && !status; round++) {
    hem_answer got[BATCH];
    status = hem_batch_search(batch, vectors, BATCH, DIM, &options, got, err);
    for (size_t i = 0; i < BATCH && !status; i++) {
      if (round && got[i].hits[K - 1].row != first[i])
        status = hem__fail(err, HEM_ECORRUPT, "another answer than the first batch got");
      first[i] = got[i].hits[K - 1].row;
    }
  }
  hem_batch_free(batch);
  return status;
}

static void *search_in_batches(void *context) {
  stage *s = context;
  hem_error err = {0};
  note(s, ask_in_batches(s, ROUNDS, &err), err.message);
  return NULL;
}

/* Looking items up, while others search. */
static void *look_up(void *context) {
  stage *s = context;
  for (size_t i = 0; i < ROWS; i++) {
    char name[32];
    hem_error err = {0};
    hem_item item = {0};
    hem_photo photo = {0};
    snprintf(name, sizeof name, "%zu.jpg", i);
    hem_status status = hem_engine_item(s->engine, name, &item, &err);
    if (!status) hem_engine_item_photo(s->engine, &item, 0, &photo);
    if (!status && photo.row != i) status = hem__fail(&err, HEM_ECORRUPT, "'%s' is row %zu", name, (size_t)photo.row);
    note(s, status, err.message);
  }
  return NULL;
}

/* Every generation is built from the same catalogue: each answers the same. */
static void *open_and_close(void *context) {
  stage *s = context;
  while (!atomic_load(&s->stop)) {
    hem_engine *engine = NULL;
    hem_error err = {0};
    hem_status status = hem_engine_open(s->store, NULL, &engine, &err);
    if (!status) status = ask_engine(s, engine, 1, &err);
    note(s, status, err.message);
    hem_engine_close(engine);
    atomic_fetch_add(&s->opens, 1);
  }
  return NULL;
}

static void *publish_all(void *context) {
  stage *s = context;
  for (size_t i = 0; i < GENERATIONS; i++) {
    hem_error err = {0};
    note(s, publish(s, &err), err.message);
  }
  return NULL;
}

static void search_while_publishing(bool learned) {
  stage s = {.folder = hem__work_folder(), .message_lock = PTHREAD_MUTEX_INITIALIZER};
  s.catalog = hem__test_path(s.folder, "catalog.h5");
  s.store = hem__test_path(s.folder, "store");
  make_catalog(s.catalog);
  if (learned) save_metric(&s);
  ck_ok(publish(&s, err));
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  ck_ok(hem_engine_open(s.store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  ck_ok(ask(searcher, &s.alone, err));
  hem_searcher_free(searcher);
  s.engine = engine;
  pthread_t searchers[SEARCHERS], openers[OPENERS], batches[2], publisher, looker;
  start(&publisher, publish_all, &s);
  for (size_t i = 0; i < OPENERS; i++) start(&openers[i], open_and_close, &s);
  for (size_t i = 0; i < SEARCHERS; i++) start(&searchers[i], search, &s);
  for (size_t i = 0; i < 2; i++) start(&batches[i], search_in_batches, &s);
  start(&looker, look_up, &s);
  for (size_t i = 0; i < SEARCHERS; i++) pthread_join(searchers[i], NULL);
  for (size_t i = 0; i < 2; i++) pthread_join(batches[i], NULL);
  pthread_join(looker, NULL);
  pthread_join(publisher, NULL);
  atomic_store(&s.stop, true);
  for (size_t i = 0; i < OPENERS; i++) pthread_join(openers[i], NULL);
  hem_engine_close(engine);
  printf("%zu searches, %zu engines opened, %d generations published\n", atomic_load(&s.searches),
         atomic_load(&s.opens), GENERATIONS);
  ck_assert_msg(atomic_load(&s.wrong) == 0, "%zu times: %s", atomic_load(&s.wrong), s.message);
  ck_assert_uint_ge(atomic_load(&s.searches), SEARCHERS * ROUNDS * QUERIES);
  ck_ok(hem__remove_tree(s.folder, err));
  free(s.catalog);
  free(s.store);
  free(s.folder);
  free(s.metric);
}

START_TEST(test_searching_while_publishing) { search_while_publishing(false); }
END_TEST
START_TEST(test_reranking_while_publishing) { search_while_publishing(true); }
END_TEST

/* ---- a catalogue that grows ---- */

/* Rows of one opening, every vector of it checked. EBUSY means that it was replaced meanwhile: ask again. */
static hem_status read_catalog(const char *path, size_t *rows, hem_error *err) {
  hem__catalog *catalog = NULL;
  hem_status status;
  while ((status = hem__catalog_open(path, &catalog, err)) == HEM_EBUSY) sched_yield();
  if (status) return status;
  *rows = hem__catalog_photos(catalog)->count;
  status = hem__catalog_check(catalog, 0, 0, *rows, err);
  hem__catalog_close(catalog);
  return status;
}

enum { RUNS = 8, STEP = 20 };

/* Of `photos` listed, those that hem__write_idx gave a label to. */
static size_t labelled(size_t photos) { return photos - (photos + 32) / 40; }

/* Only what some run published may be seen. */
static bool was_published(size_t rows) {
  for (size_t i = 1; i <= RUNS; i++)
    if (rows == labelled(i * STEP)) return true;
  return false;
}

static void *read_on(void *context) {
  stage *s = context;
  size_t before = 0;
  while (!atomic_load(&s->stop)) {
    size_t rows = 0;
    hem_error err = {0};
    hem_status status = read_catalog(s->catalog, &rows, &err);
    if (!status && (rows < before || !was_published(rows)))
      status = hem__fail(&err, HEM_ECORRUPT, "%zu rows came after %zu", rows, before);
    note(s, status, err.message);
    before = rows;
    atomic_fetch_add(&s->opens, 1);
  }
  return NULL;
}

static hem_status ingest_rows(const stage *s, size_t rows, hem_error *err) {
  char *photos = hem__test_path(s->folder, "photos");
  static const char *const features[] = {"pixels"};
  hem__write_idx(photos, rows, 0);
  hem_ingest_options options = {.size = sizeof options,
                                .catalog = s->catalog,
                                .idx = photos,
                                .features = features,
                                .feature_count = 1,
                                .threads = 2,
                                .segment_rows = 16};
  hem_status status = hem_ingest(&options, NULL, err);
  free(photos);
  return status;
}

START_TEST(test_reading_while_appending) {
  stage s = {.folder = hem__work_folder(), .message_lock = PTHREAD_MUTEX_INITIALIZER};
  s.catalog = hem__test_path(s.folder, "catalog.h5");
  ck_ok(ingest_rows(&s, 1 * STEP, err));
  pthread_t readers[READERS];
  for (size_t i = 0; i < READERS; i++) start(&readers[i], read_on, &s);
  for (size_t i = 2; i <= RUNS; i++) ck_ok(ingest_rows(&s, i * STEP, err));
  atomic_store(&s.stop, true);
  for (size_t i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
  printf("%zu openings while a catalogue grew %d times\n", atomic_load(&s.opens), RUNS - 1);
  ck_assert_msg(atomic_load(&s.wrong) == 0, "%zu times: %s", atomic_load(&s.wrong), s.message);
  ck_assert_uint_gt(atomic_load(&s.opens), 0);
  ck_ok(hem__remove_tree(s.folder, err));
  free(s.catalog);
  free(s.folder);
}
END_TEST

HEM_TESTS("race.engine", test_searching_while_publishing, test_reranking_while_publishing, test_reading_while_appending)
