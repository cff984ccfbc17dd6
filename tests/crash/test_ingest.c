/* hem_ingest, stopped at every call that changes the file system: killed before it, killed halfway through a
 * write, or refused it by a full disk. Afterwards the catalogue is the old one or the new one, bit for bit; all
 * that was sealed is still there; and the same call again makes what an undisturbed run makes. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "crash/scene.h"

enum { SHOP = 60, CONSUMER = 60, SEGMENT_ROWS = 40, REJECTED_SHOP = 2, REJECTED_CONSUMER = 2 };
enum { ROWS = SHOP + CONSUMER - REJECTED_SHOP - REJECTED_CONSUMER };

/* Shared with the children. */
typedef struct shared {
  hem__calls calls;
  hem_error run, state, again; /* of the run that was disturbed, of looking at what it left, of the rerun */
  hem_ingest_result result;    /* of the rerun */
  uint64_t sealed;             /* rows found before the rerun */
  bool catalog_is_old, catalog_is_new, missing;
  rlim_t limit; /* of a file's size, for the disturbed run; 0: none */
  volatile bool writing, go_on;
  double seconds;
} shared;

typedef struct scene {
  char *folder, *photos, *work, *catalog;
  bool deletes; /* the call under test is hem_delete */
  bool changes; /* rows are replaced or deleted: there are other counts than those of adding */
  uint64_t rows;
  hem__bytes old, new; /* old.at NULL: there was no catalogue before */
} scene;

static shared *s;
static scene at;

/* ---- in children ---- */

static hem_status delete_items(const hem_progress *progress, hem_ingest_result *result, hem_error *err) {
  static const char *const items[] = {"photos/train-00000", "photos/train-00008", "photos/train-00044",
                                      "photos/train-00059"};
  hem_delete_options options = {.size = sizeof options, .catalog = at.catalog, .items = items, .item_count = 4};
  hem_delete_result deleted;
  if (progress) options.progress = *progress;
  hem_status status = hem_delete(&options, &deleted, err);
  if (!status && result) *result = (hem_ingest_result){.rows = deleted.rows};
  return status;
}

static hem_status ingest(const hem_progress *progress, hem_ingest_result *result, hem_error *err) {
  if (at.deletes) return delete_items(progress, result, err);
  static const char *const features[] = {"pixels"};
  hem_ingest_options options = {.size = sizeof options,
                                .catalog = at.catalog,
                                .idx = at.photos,
                                .features = features,
                                .feature_count = 1,
                                .threads = 1,
                                .segment_rows = SEGMENT_ROWS};
  if (progress) options.progress = *progress;
  return hem_ingest(&options, result, err);
}

/* Opens a catalogue or a segment and checks every vector; counts its rows. */
static hem_status count_rows(const char *path, uint64_t *rows, hem_error *err) {
  hem__catalog *catalog = NULL;
  hem_status status = hem__catalog_open(path, &catalog, err);
  if (status) return status;
  size_t count = hem__catalog_photos(catalog)->count;
  for (size_t i = 0; i < hem__catalog_space_count(catalog) && !status; i++)
    status = hem__catalog_check(catalog, i, 0, count, err);
  *rows += count;
  hem__catalog_close(catalog);
  return status;
}

static hem_status count_segments(uint64_t *rows, hem_error *err) {
  char *folder = NULL;
  hem_status status = hem__print(&folder, err, "%s.segments", at.catalog);
  DIR *listing = status ? NULL : opendir(folder);
  for (struct dirent *entry; listing && !status && (entry = readdir(listing));) {
    const char *ending = strrchr(entry->d_name, '.');
    char *path = NULL;
    if (!ending || strcmp(ending, ".h5") != 0) continue;
    status = hem__print(&path, err, "%s/%s", folder, entry->d_name);
    if (!status) status = count_rows(path, rows, err);
    free(path);
  }
  if (listing) closedir(listing);
  free(folder);
  return status;
}

/* What the disturbed run left; then the same call again. */
static void look_and_rerun(void *unused) {
  (void)unused;
  hem_error *err = &s->state;
  s->sealed = 0;
  s->catalog_is_old = at.old.at && hem__file_is(at.catalog, at.old);
  s->catalog_is_new = at.new.at &&hem__file_is(at.catalog, at.new);
  s->missing = !hem__path_exists(at.catalog);
  err->code = s->missing ? HEM_OK : count_rows(at.catalog, &s->sealed, err);
  /* Once folded in, what is left of the segments counts no more. */
  if (!err->code && !s->catalog_is_new) err->code = count_segments(&s->sealed, err);
  if (!err->code) s->again.code = ingest(NULL, &s->result, &s->again);
}

static void run_watched(void *unused) {
  (void)unused;
  s->run.code = HEM_EUNSUPPORTED;
  if (hem__calls_watch(&s->calls)) s->run.code = ingest(NULL, NULL, &s->run);
}

/* The process lives on after its disk was full, and tries again. */
static void run_with_full_disk(void *unused) {
  run_watched(unused);
  s->calls.at = 0;
  look_and_rerun(NULL);
}

static void run_with_limit(void *unused) {
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = s->limit;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  s->run.code = ingest(NULL, NULL, &s->run);
  limit.rlim_cur = before;
  setrlimit(RLIMIT_FSIZE, &limit);
  look_and_rerun(unused);
}

/* ---- the scenes ---- */

static void restore(void) {
  hem__fresh_folder(at.work);
  if (at.old.at) hem__write_file(at.catalog, at.old.at, at.old.size);
}

/* One undisturbed run, its calls counted; the catalogue it makes. */
static hem__bytes run_undisturbed(void) {
  restore();
  s->calls = (hem__calls){.fate = HEM__COUNT};
  ck_assert(hem__in_child(run_watched, NULL));
  if (s->run.code == HEM_EUNSUPPORTED) exit(77); /* CTest then says "skipped" */
  ck_assert_msg(s->run.code == HEM_OK, "%s", s->run.message);
  ck_assert_uint_le(s->calls.count, HEM__CALLS_MAX);
  return hem__read_file(at.catalog);
}

static void set_folders(void) {
  at = (scene){.folder = hem__work_folder(), .rows = ROWS};
  at.photos = hem__test_path(at.folder, "photos");
  at.work = hem__test_path(at.folder, "work");
  at.catalog = hem__test_path(at.work, "catalog.h5");
  if (!s) s = hem__shared(sizeof *s);
  ck_assert_ptr_nonnull(s);
}

static void set_scene(bool append) {
  set_folders();
  hem__write_idx(at.photos, SHOP, 0);
  if (append) at.old = run_undisturbed();
  hem__write_idx(at.photos, SHOP, CONSUMER);
  at.new = run_undisturbed();
}

/* Every fifth of the shop's photos has other pixels than the catalogue knows. */
static void set_replacing_scene(void) {
  set_folders();
  at.changes = true;
  at.rows = SHOP - REJECTED_SHOP;
  hem__write_idx(at.photos, SHOP, 0);
  at.old = run_undisturbed();
  char *path = hem__test_path(at.photos, "train-images-idx3-ubyte");
  hem__bytes images = hem__read_file(path);
  for (size_t i = 0; i < SHOP; i += 5) images.at[16 + i * 28 * 28] ^= 0xFF;
  hem__write_file(path, images.at, images.size);
  free(images.at);
  free(path);
  at.new = run_undisturbed();
}

static void set_deleting_scene(void) {
  set_folders();
  hem__write_idx(at.photos, SHOP, 0);
  at.old = run_undisturbed();
  at.deletes = at.changes = true;
  at.new = run_undisturbed();
  at.rows = SHOP - REJECTED_SHOP - 4;
}

static void strike(void) {
  ck_ok(hem__remove_tree(at.folder, err));
  free(at.folder);
  free(at.photos);
  free(at.work);
  free(at.catalog);
  free(at.old.at);
  free(at.new.at);
}

/* Nothing but the catalogue and its lock may stay behind. */
static void check_after_rerun(const char *what, size_t n) {
  ck_assert_msg(!s->state.code, "%s %zu: %s", what, n, s->state.message);
  ck_assert_msg(s->catalog_is_new || (at.old.at ? s->catalog_is_old : s->missing),
                "%s %zu: the catalogue is neither the old one nor the new one", what, n);
  ck_assert_msg(!s->again.code, "%s %zu: the rerun failed: %s", what, n, s->again.message);
  ck_assert_msg(s->result.rows == at.rows, "%s %zu: %llu rows", what, n, (unsigned long long)s->result.rows);
  ck_assert_msg(at.changes || (s->result.skipped == s->sealed && s->result.added == ROWS - s->sealed),
                "%s %zu: %llu rows were sealed; the rerun skipped %llu and added %llu", what, n,
                (unsigned long long)s->sealed, (unsigned long long)s->result.skipped,
                (unsigned long long)s->result.added);
  ck_assert_msg(hem__file_is(at.catalog, at.new), "%s %zu: the rerun made other bytes", what, n);
  char *text = hem__folder_text(at.work);
  size_t lines = 0;
  for (const char *c = text; *c; c++) lines += *c == '\n';
  ck_assert_msg(lines == 2 && strstr(text, "catalog.h5.lock "), "%s %zu: left behind: %s", what, n, text);
  free(text);
}

/* Kills at every call, or in the middle of every write. Returns the number of kills. */
static size_t kill_everywhere(hem__fate fate, const hem__call *made, size_t count) {
  uint64_t sealed = at.old.at ? SHOP - REJECTED_SHOP : 0;
  size_t kills = 0;
  for (size_t n = 1; n <= count; n++) {
    if (fate == HEM__KILL_HALF && made[n - 1].kind != HEM__WRITE) continue;
    restore();
    s->calls = (hem__calls){.fate = fate, .at = n};
    ck_assert_msg(!hem__in_child(run_watched, NULL), "there was no call %zu to be killed at", n);
    ck_assert(hem__in_child(look_and_rerun, NULL));
    check_after_rerun(fate == HEM__KILL_HALF ? "killed halfway through call" : "killed before call", n);
    ck_assert_msg(at.changes || s->sealed >= sealed, "killed at call %zu: of %llu rows sealed, %llu are left", n,
                  (unsigned long long)sealed, (unsigned long long)s->sealed);
    sealed = s->sealed;
    kills++;
  }
  ck_assert(at.changes || sealed == ROWS);
  return kills;
}

static void kill_at_every_call(const char *what) {
  static hem__call made[HEM__CALLS_MAX];
  size_t count = s->calls.count;
  memcpy(made, s->calls.made, count * sizeof *made);
  size_t before = kill_everywhere(HEM__KILL_BEFORE, made, count);
  size_t halfway = kill_everywhere(HEM__KILL_HALF, made, count);
  printf("%s: %zu calls; killed before each (%zu) and halfway through each write (%zu): %zu states checked\n", what,
         count, before, halfway, before + halfway);
  strike();
}

/* ---- tests ---- */

START_TEST(test_kill_first_ingest) {
  set_scene(false);
  kill_at_every_call("first ingest");
}
END_TEST

START_TEST(test_kill_append) {
  set_scene(true);
  kill_at_every_call("appending");
}
END_TEST

START_TEST(test_kill_replacing) {
  set_replacing_scene();
  kill_at_every_call("replacing");
}
END_TEST

START_TEST(test_kill_deleting) {
  set_deleting_scene();
  kill_at_every_call("deleting");
}
END_TEST

START_TEST(test_synced_before_renamed) {
  set_scene(true);
  hem__check_syncs(&s->calls);
  strike();
}
END_TEST

START_TEST(test_disk_full_at_every_call) {
  set_scene(true);
  size_t count = s->calls.count, refused = 0;
  for (size_t n = 1; n <= count; n++) {
    restore();
    s->calls = (hem__calls){.fate = HEM__DISK_FULL, .at = n};
    ck_assert(hem__in_child(run_with_full_disk, NULL));
    check_after_rerun("disk full from call", n);
    refused += s->run.code == HEM_EIO;
    /* Behind the last write there is nothing left to refuse. */
    ck_assert_msg(s->run.code == HEM_EIO || (!s->run.code && s->catalog_is_new), "disk full from call %zu: %s: %s", n,
                  hem_status_name(s->run.code), s->run.message);
    ck_assert_msg(!s->run.code || strstr(s->run.message, at.work), "call %zu: no file named: %s", n, s->run.message);
  }
  printf("disk full: %zu calls, %zu runs refused\n", count, refused);
  strike();
}
END_TEST

START_TEST(test_file_size_limit) {
  enum { STEPS = 16 };
  set_scene(true);
  for (size_t i = 0; i < STEPS; i++) {
    restore();
    s->limit = at.new.size *i / STEPS + 1;
    ck_assert(hem__in_child(run_with_limit, NULL));
    ck_assert_msg(s->run.code == HEM_EIO, "limit %zu: %s", (size_t)s->limit, hem_status_name(s->run.code));
    ck_assert_ptr_nonnull(strstr(s->run.message, "catalog.h5"));
    check_after_rerun("files limited, step", i);
  }
  strike();
}
END_TEST

static bool wait_to_go_on(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)context, (void)stage, (void)done, (void)total, (void)unit;
  s->writing = true;
  while (!s->go_on) usleep(1000);
  return true;
}

static void run_slowly(void *unused) {
  (void)unused;
  ingest(&(hem_progress){.report = wait_to_go_on}, NULL, NULL);
}

static void run_second(void *unused) {
  (void)unused;
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  s->run.code = ingest(NULL, NULL, &s->run);
  clock_gettime(CLOCK_MONOTONIC, &to);
  s->seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

START_TEST(test_two_writers) {
  set_scene(true);
  restore();
  s->writing = s->go_on = false;
  pid_t first = fork();
  if (first == 0) {
    run_slowly(NULL);
    _exit(0);
  }
  while (!s->writing) usleep(1000);
  ck_assert(hem__in_child(run_second, NULL));
  ck_assert_msg(s->run.code == HEM_EBUSY, "%s: %s", hem_status_name(s->run.code), s->run.message);
  ck_assert_ptr_nonnull(strstr(s->run.message, at.catalog));
  ck_assert_double_lt(s->seconds, 1);
  /* The lock goes with its holder, however that ends. */
  kill(first, SIGKILL);
  waitpid(first, NULL, 0);
  hem__in_child(look_and_rerun, NULL);
  check_after_rerun("first writer killed", 0);
  strike();
}
END_TEST

HEM_TESTS("crash.ingest", test_kill_first_ingest, test_kill_append, test_kill_replacing, test_kill_deleting,
          test_synced_before_renamed, test_disk_full_at_every_call, test_file_size_limit, test_two_writers)
