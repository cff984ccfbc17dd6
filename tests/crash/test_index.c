/* hem_index, stopped at every call that changes the file system. Whenever it is stopped, the store opens as the
 * old generation or as the new one and answers as that one does; the same call again makes the bytes that an
 * undisturbed run makes, and leaves no left-overs. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "crash/scene.h"
#include "metric/metric_file.h"
#include "support/make_learned.h"

enum { DIM = 6, LARGE = 1010, SMALL = 40, QUERIES = 4, K = 5, ANSWER = QUERIES * K };

/* What a generation answers: rows of the catalogue. */
typedef struct answers {
  char generation[16];
  uint64_t rows[ANSWER];
} answers;

/* Shared with the children. */
typedef struct shared {
  hem__calls calls;
  hem_error run, open, again, reopen; /* the disturbed run; the store it left; the rerun; and its store */
  answers left, after;
  volatile bool writing, go_on;
} shared;

typedef struct scene {
  char *folder, *store, *saved, *catalog, *old_catalog, *metric;
  const char *kind; /* of index; or "metric": answers are reranked */
  bool first;       /* there was no store before */
  answers old, new; /* of undisturbed runs */
  char *bytes;      /* hem__folder_text of the new generation */
} scene;

static shared *s;
static scene at;

/* ---- in children ---- */

static float value(size_t row, size_t i) {
  uint64_t state = row * DIM + i;
  return hem__test_uniform(&state);
}

static hem_status add_photo(hem__photos *photos, size_t i, hem_error *err) {
  char name[32];
  snprintf(name, sizeof name, "p%zu.jpg", i);
  hem__photo photo = {.item_id = name, .category = i % 26 == 25 ? "small" : "large", .label = "", .path = name};
  return hem__photos_add(photos, &photo, err);
}

static hem_status seal_catalog(const char *path, size_t rows, hem_error *err) {
  static float values[(LARGE + SMALL) * DIM];
  hem__space space = {.name = "noise",
                      .features = "noise",
                      .recipe = "noise",
                      .hash = "0",
                      .dim = DIM,
                      .blocks = {{.name = "noise", .dim = DIM}},
                      .block_count = 1};
  hem__photos photos = {0};
  hem_status status = HEM_OK;
  for (size_t i = 0; i < rows && !status; i++) {
    status = add_photo(&photos, i, err);
    for (size_t j = 0; j < DIM; j++) values[i * DIM + j] = value(i, j);
  }
  hem__matrix vectors = {.at = values, .rows = rows, .dim = DIM};
  hem__catalog_part part = {.photos = photos.at, .count = photos.count, .vectors = &vectors};
  hem__catalog_content content = {
      .spaces = &space, .space_count = 1, .parts = &part, .part_count = 1, .rejected = &photos};
  if (!status) status = hem__catalog_seal(path, &content, err);
  hem__photos_clear(&photos);
  return status;
}

static void seal_catalogs(void *unused) {
  (void)unused;
  s->run.code = seal_catalog(at.old_catalog, SMALL, &s->run);
  if (!s->run.code) s->run.code = seal_catalog(at.catalog, LARGE + SMALL, &s->run);
}

static hem_status build(const char *catalog, const hem_progress *progress, hem_error *err) {
  hem_index_options options = {.size = sizeof options,
                               .catalog = catalog,
                               .store = at.store,
                               .kind = at.metric ? "flat" : at.kind,
                               .metric = at.metric,
                               .rerank = at.metric ? 16 : 0, /* to choose them takes long, and writes nothing */
                               .precision = at.metric ? "u8" : NULL,
                               .links = 4,
                               .nlist = 4,
                               .threads = 1,
                               .keep = 1};
  if (progress) options.progress = *progress;
  return hem_index(&options, err);
}

static hem_status ask(hem_engine *engine, answers *out, hem_error *err) {
  hem_searcher *searcher = NULL;
  hem_search_options options = {.size = sizeof options, .k = K};
  hem_status status = hem_searcher_new(engine, &searcher, err);
  for (size_t q = 0; q < QUERIES && !status; q++) {
    hem_answer answer;
    float vector[DIM];
    for (size_t i = 0; i < DIM; i++) vector[i] = value(100000 + q, i);
    status = hem_search(searcher, vector, DIM, &options, &answer, err);
    for (size_t i = 0; i < K && !status; i++) out->rows[q * K + i] = answer.hits[i].row;
  }
  hem_searcher_free(searcher);
  return status;
}

static hem_status open_and_ask(answers *out, hem_error *err) {
  hem_engine *engine = NULL;
  hem_engine_info info;
  hem_status status = hem_engine_open(at.store, NULL, &engine, err);
  if (status) return status;
  hem_engine_info_get(engine, &info);
  snprintf(out->generation, sizeof out->generation, "%s", info.generation);
  status = ask(engine, out, err);
  hem_engine_close(engine);
  return status;
}

static void look_and_rerun(void *unused) {
  (void)unused;
  s->open.code = open_and_ask(&s->left, &s->open);
  s->again.code = build(at.catalog, NULL, &s->again);
  if (!s->again.code) s->reopen.code = open_and_ask(&s->after, &s->reopen);
}

static void run_watched(void *unused) {
  (void)unused;
  s->run.code = HEM_EUNSUPPORTED;
  if (hem__calls_watch(&s->calls)) s->run.code = build(at.catalog, NULL, &s->run);
}

static void run_with_full_disk(void *unused) {
  run_watched(unused);
  s->calls.at = 0;
  look_and_rerun(NULL);
}

static void build_old_twice(void *unused) {
  (void)unused;
  for (int i = 0; i < 2 && !s->run.code; i++) s->run.code = build(at.old_catalog, NULL, &s->run);
  if (!s->run.code) s->run.code = open_and_ask(&s->left, &s->run);
}

static void ask_new(void *unused) {
  (void)unused;
  s->run.code = open_and_ask(&s->after, &s->run);
}

/* ---- the scenes ---- */

static void restore(void) {
  ck_ok(hem__remove_tree(at.store, err));
  if (!at.first) hem__copy_folder(at.saved, at.store);
}

/* The bytes of a generation, which its number is not part of. */
static char *generation_text(const char *name) {
  char *path = NULL;
  ck_assert_int_ge(asprintf(&path, "%s/generations/%s", at.store, name), 0);
  char *text = hem__folder_text(path);
  free(path);
  return text;
}

/* A metric on the space of the catalogues here. */
static void save_metric(void) {
  hem__metric *m = hem__test_learned(HEM__TEST_CONCAVE, DIM, HEM_L2, 1);
  strcpy(m->space_hash, "0");
  at.metric = hem__test_path(at.folder, "metric.h5");
  ck_ok(hem__metric_save(m, at.metric, err));
  hem__metric_free(m);
}

static void set_scene(const char *kind, bool first) {
  at = (scene){.folder = hem__work_folder(), .kind = kind, .first = first};
  at.store = hem__test_path(at.folder, "store");
  at.saved = hem__test_path(at.folder, "saved");
  at.catalog = hem__test_path(at.folder, "catalog.h5");
  at.old_catalog = hem__test_path(at.folder, "old.h5");
  if (!strcmp(kind, "metric")) save_metric();
  if (!s) s = hem__shared(sizeof *s);
  ck_assert_ptr_nonnull(s);
  *s = (shared){0};
  ck_assert(hem__in_child(seal_catalogs, NULL));
  if (!first) ck_assert(hem__in_child(build_old_twice, NULL));
  ck_assert_msg(!s->run.code, "%s", s->run.message);
  at.old = s->left;
  if (!first) hem__copy_folder(at.store, at.saved);
  ck_assert(hem__in_child(run_watched, NULL));
  if (s->run.code == HEM_EUNSUPPORTED) exit(77); /* CTest then says "skipped" */
  ck_assert_msg(!s->run.code, "%s", s->run.message);
  ck_assert(hem__in_child(ask_new, NULL));
  ck_assert_msg(!s->run.code, "%s", s->run.message);
  at.new = s->after;
  at.bytes = generation_text(at.new.generation);
  ck_assert_msg(strstr(at.bytes, "manifest.json") && strstr(at.bytes, ".f32"), "%s", at.bytes);
}

static void strike(void) {
  ck_ok(hem__remove_tree(at.folder, err));
  free(at.folder);
  free(at.store);
  free(at.saved);
  free(at.catalog);
  free(at.old_catalog);
  free(at.metric);
  free(at.bytes);
}

static bool same_answers(const answers *a, const answers *b) {
  return !strcmp(a->generation, b->generation) && memcmp(a->rows, b->rows, sizeof a->rows) == 0;
}

/* Returns whether the new generation was current. */
static bool check_left(const char *what, size_t n) {
  if (at.first && s->open.code == HEM_ENOTFOUND) return false;
  ck_assert_msg(!s->open.code, "%s %zu: the store does not open: %s", what, n, s->open.message);
  bool is_new = same_answers(&s->left, &at.new);
  ck_assert_msg(is_new || (!at.first && same_answers(&s->left, &at.old)),
                "%s %zu: generation %s answers as neither did before", what, n, s->left.generation);
  return is_new;
}

static void check_after_rerun(const char *what, size_t n) {
  ck_assert_msg(!s->again.code, "%s %zu: the rerun failed: %s", what, n, s->again.message);
  ck_assert_msg(!s->reopen.code, "%s %zu: after the rerun: %s", what, n, s->reopen.message);
  ck_assert_msg(memcmp(s->after.rows, at.new.rows, sizeof at.new.rows) == 0, "%s %zu: other answers", what, n);
  char *bytes = generation_text(s->after.generation), *all = hem__folder_text(at.store);
  ck_assert_msg(!strcmp(bytes, at.bytes), "%s %zu: the rerun made\n%sinstead of\n%s", what, n, bytes, at.bytes);
  ck_assert_msg(!strstr(all, ".tmp"), "%s %zu: left behind:\n%s", what, n, all);
  free(bytes);
  free(all);
}

static size_t kill_everywhere(hem__fate fate, const hem__call *made, size_t count) {
  const char *what = fate == HEM__KILL_HALF ? "killed halfway through call" : "killed before call";
  bool published = false;
  size_t kills = 0;
  for (size_t n = 1; n <= count; n++) {
    if (fate == HEM__KILL_HALF && made[n - 1].kind != HEM__WRITE) continue;
    restore();
    s->calls = (hem__calls){.fate = fate, .at = n};
    ck_assert_msg(!hem__in_child(run_watched, NULL), "there was no call %zu to be killed at", n);
    ck_assert(hem__in_child(look_and_rerun, NULL));
    bool is_new = check_left(what, n);
    ck_assert_msg(is_new || !published, "%s %zu: the new generation is gone again", what, n);
    published = is_new;
    check_after_rerun(what, n);
    kills++;
  }
  return kills;
}

static void kill_at_every_call(const char *kind, bool first) {
  set_scene(kind, first);
  static hem__call made[HEM__CALLS_MAX];
  size_t count = s->calls.count;
  ck_assert_uint_le(count, HEM__CALLS_MAX);
  memcpy(made, s->calls.made, count * sizeof *made);
  size_t before = kill_everywhere(HEM__KILL_BEFORE, made, count);
  size_t halfway = kill_everywhere(HEM__KILL_HALF, made, count);
  printf("%s, %s: %zu calls; killed before each (%zu) and halfway through each write (%zu): %zu states checked\n", kind,
         first ? "first generation" : "next generation", count, before, halfway, before + halfway);
  strike();
}

/* ---- tests ---- */

START_TEST(test_kill_first_generation) { kill_at_every_call("hnsw", true); }
END_TEST

START_TEST(test_kill_next_generation) { kill_at_every_call("hnsw", false); }
END_TEST

START_TEST(test_kill_ivf) { kill_at_every_call("ivf", false); }
END_TEST

START_TEST(test_kill_metric) { kill_at_every_call("metric", false); }
END_TEST

START_TEST(test_synced_before_renamed) {
  static const char *const kinds[] = {"hnsw", "metric"};
  for (size_t i = 0; i < 2; i++) {
    set_scene(kinds[i], false);
    hem__check_syncs(&s->calls);
    strike();
  }
}
END_TEST

START_TEST(test_disk_full_at_every_call) {
  set_scene("hnsw", false);
  size_t count = s->calls.count, refused = 0;
  for (size_t n = 1; n <= count; n++) {
    restore();
    s->calls = (hem__calls){.fate = HEM__DISK_FULL, .at = n};
    ck_assert(hem__in_child(run_with_full_disk, NULL));
    bool is_new = check_left("disk full from call", n);
    refused += s->run.code == HEM_EIO;
    ck_assert_msg(s->run.code == HEM_EIO || (!s->run.code && is_new), "disk full from call %zu: %s: %s", n,
                  hem_status_name(s->run.code), s->run.message);
    ck_assert_msg(!s->run.code || strstr(s->run.message, at.store), "call %zu: no file named: %s", n, s->run.message);
    check_after_rerun("disk full from call", n);
  }
  printf("disk full: %zu calls, %zu runs refused\n", count, refused);
  strike();
}
END_TEST

static bool wait_to_go_on(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)context, (void)stage, (void)done, (void)total, (void)unit;
  s->writing = true;
  while (!s->go_on) usleep(1000);
  return true;
}

static void run_second(void *unused) {
  (void)unused;
  s->run.code = build(at.catalog, NULL, &s->run);
}

START_TEST(test_two_writers) {
  set_scene("flat", false);
  restore();
  pid_t first = fork();
  if (first == 0) {
    build(at.catalog, &(hem_progress){.report = wait_to_go_on}, NULL);
    _exit(0);
  }
  while (!s->writing) usleep(1000);
  ck_assert(hem__in_child(run_second, NULL));
  ck_assert_msg(s->run.code == HEM_EBUSY, "%s: %s", hem_status_name(s->run.code), s->run.message);
  ck_assert_ptr_nonnull(strstr(s->run.message, at.store));
  kill(first, SIGKILL);
  waitpid(first, NULL, 0);
  ck_assert(hem__in_child(look_and_rerun, NULL));
  ck_assert(!check_left("first writer killed", 0));
  check_after_rerun("first writer killed", 0);
  strike();
}
END_TEST

HEM_TESTS("crash.index", test_kill_first_generation, test_kill_next_generation, test_kill_ivf, test_kill_metric,
          test_synced_before_renamed, test_disk_full_at_every_call, test_two_writers)
