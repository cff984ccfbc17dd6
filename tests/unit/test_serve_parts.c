/* The small parts of the server: text, jobs, journals, counters. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "serve/jobs.h"
#include "serve/journal.h"
#include "serve/stats.h"
#include "serve/text.h"
#include "test.h"

/* ---- text ---- */

static json_t *read_back(const hem__text *t) {
  json_error_t why;
  ck_assert(!t->failed);
  json_t *json = json_loadb(t->at, t->size, 0, &why);
  ck_assert_msg(json != NULL, "%s in %.*s", why.text, (int)t->size, t->at);
  return json;
}

START_TEST(what_is_written_is_json_that_says_the_same) {
  hem__text t = {0};
  hem__text_open(&t, NULL, '{');
  hem__text_string(&t, "text", "a \"b\" \\ \n\t\x01 \xC3\xA9");
  hem__text_string(&t, "none", NULL);
  hem__text_integer(&t, "big", UINT64_C(9007199254740993));
  hem__text_real(&t, "real", (double)0.1f);
  hem__text_real(&t, "nan", NAN);
  hem__text_boolean(&t, "yes", true);
  hem__text_open(&t, "list", '[');
  hem__text_integer(&t, NULL, 0);
  hem__text_open(&t, NULL, '[');
  hem__text_close(&t, ']');
  hem__text_string(&t, NULL, "");
  hem__text_close(&t, ']');
  hem__text_close(&t, '}');
  json_t *json = read_back(&t);
  ck_assert_str_eq(json_string_value(json_object_get(json, "text")), "a \"b\" \\ \n\t\x01 \xC3\xA9");
  ck_assert(json_is_null(json_object_get(json, "none")));
  ck_assert(json_is_null(json_object_get(json, "nan")));
  ck_assert_int_eq(json_integer_value(json_object_get(json, "big")), INT64_C(9007199254740993));
  ck_assert((float)json_real_value(json_object_get(json, "real")) == 0.1f);
  ck_assert(json_is_true(json_object_get(json, "yes")));
  ck_assert_uint_eq(json_array_size(json_object_get(json, "list")), 3);
  json_decref(json);
  hem__text_clear(&t);
}
END_TEST

START_TEST(any_bytes_become_well_formed_text) {
  hem__text t = {0};
  uint64_t random = 3;
  for (size_t i = 0; i < 2000; i++) {
    char bytes[17] = "";
    for (size_t j = 0; j < 16; j++) bytes[j] = (char)(hem__test_random(&random) % 255 + 1);
    hem__text_restart(&t);
    hem__text_open(&t, NULL, '[');
    hem__text_string(&t, NULL, bytes);
    hem__text_close(&t, ']');
    json_decref(read_back(&t));
  }
  hem__text_clear(&t);
}
END_TEST

static const char *print_real(hem__text *t, double value) {
  hem__text_restart(t);
  hem__text_real(t, NULL, value);
  hem__text_raw(t, "", 1);
  return t->at;
}

/* Of all sizes, and of those that distances and probabilities have. */
START_TEST(floats_come_back_to_the_bit) {
  hem__text t = {0};
  uint64_t random = 7;
  for (size_t i = 0; i < 200000; i++) {
    uint32_t bits = (uint32_t)hem__test_random(&random);
    float value;
    memcpy(&value, &bits, sizeof value);
    if (i % 2) value = hem__test_uniform(&random) * (float[]){1, -1, 1e-3F, 100, 1e6F, -1e9F}[i / 2 % 6];
    if (!isfinite(value)) continue;
    ck_assert_msg(strtof(print_real(&t, (double)value), NULL) == value, "%s", t.at);
  }
  hem__text_clear(&t);
}
END_TEST

START_TEST(numbers_are_written_as_printf_does) {
  static const double values[] = {
      0,         1,   -1,          0.5,          0.1,        1.0 / 3,    2.0 / 3, 123456789,
      999999999, 1e9, 1e9 - .5,    0.0001,       0.00012345, 0.00009999, 1e-5,    1e300,
      -0.25,     1e8, 0.999999999, 0.9999999999, 12.5,       100,        1000000, 31.4159265358979};
  hem__text t = {0};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    char wanted[40];
    snprintf(wanted, sizeof wanted, "%.9g", values[i]);
    ck_assert_str_eq(print_real(&t, values[i]), wanted);
  }
  hem__text_clear(&t);
}
END_TEST

/* ---- jobs ---- */

typedef struct counted {
  hem__job job;
  atomic_size_t *ran;
  pthread_mutex_t *gate;
} counted;

static void run_counted(hem__job *job) {
  counted *c = (counted *)(void *)((char *)job - offsetof(counted, job));
  pthread_mutex_lock(c->gate);
  pthread_mutex_unlock(c->gate);
  atomic_fetch_add(c->ran, 1);
}

START_TEST(jobs_are_all_done_and_too_many_are_refused) {
  enum { WAITING = 5, ALL = 1 + WAITING };
  hem__jobs *jobs = NULL;
  atomic_size_t ran = 0;
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  counted list[ALL + 1];
  for (size_t i = 0; i <= ALL; i++) list[i] = (counted){.job = {.run = run_counted}, .ran = &ran, .gate = &gate};
  ck_ok(hem__jobs_new(1, WAITING, &jobs, err));
  pthread_mutex_lock(&gate);
  size_t taken = 0;
  /* One runs into the gate, five wait: whether the thread has come so far shows in the sixth that waits. */
  while (taken < ALL) taken += hem__jobs_put(jobs, &list[taken].job);
  ck_assert(!hem__jobs_put(jobs, &list[ALL].job));
  ck_assert_uint_eq(atomic_load(&ran), 0);
  pthread_mutex_unlock(&gate);
  hem__jobs_close(jobs);
  ck_assert_uint_eq(atomic_load(&ran), ALL);
}
END_TEST

/* ---- journals ---- */

static char *read_text(const char *path) {
  uint8_t *bytes = NULL;
  size_t size = 0;
  ck_ok(hem__file_read(path, &bytes, &size, err));
  char *text = calloc(size + 1, 1);
  ck_assert_ptr_nonnull(text);
  memcpy(text, bytes, size);
  free(bytes);
  return text;
}

static void check_file(const char *folder, const char *name, const char *wanted) {
  char *path = hem__test_path(folder, name);
  char *text = read_text(path);
  ck_assert_str_eq(text, wanted);
  free(text);
  free(path);
}

START_TEST(a_log_that_was_moved_away_goes_on_in_a_new_file) {
  const char *folder = hem__test_folder();
  char *path = hem__test_path(folder, "access.log"), *moved = hem__test_path(folder, "access.log.1");
  hem__journal *log = NULL;
  ck_ok(hem__journal_open(&(hem__journal_options){.path = path}, &log, err));
  hem__journal_line(log, "one\n", 4);
  ck_assert_int_eq(rename(path, moved), 0);
  hem__journal_line(log, "two\n", 4);
  hem__journal_reopen(log);
  hem__journal_line(log, "three\n", 6);
  hem__journal_close(log);
  check_file(folder, "access.log.1", "one\ntwo\n");
  check_file(folder, "access.log", "three\n");
  free(path);
  free(moved);
}
END_TEST

START_TEST(full_files_are_turned_over_and_the_oldest_goes) {
  char *folder = hem__test_path(hem__test_folder(), "collected");
  hem__journal_options o = {.path = folder, .name = "answers", .bytes_max = 10, .files_max = 2};
  hem__journal *j = NULL;
  ck_ok(hem__journal_open(&o, &j, err));
  for (size_t i = 0; i < 5; i++) hem__journal_line(j, "12345\n", 6);
  hem__journal_close(j);
  check_file(folder, "answers-000004.jsonl", "12345\n");
  check_file(folder, "answers-000005.jsonl", "12345\n");
  char *gone = hem__test_path(folder, "answers-000003.jsonl");
  ck_assert(!hem__path_exists(gone));
  ck_ok(hem__journal_open(&o, &j, err)); /* another run goes on behind them */
  hem__journal_line(j, "678\n", 4);
  hem__journal_close(j);
  check_file(folder, "answers-000005.jsonl", "12345\n678\n");
  free(gone);
  free(folder);
}
END_TEST

START_TEST(a_journal_that_cannot_be_made_is_refused) {
  hem__journal *j = NULL;
  ck_fails(hem__journal_open(&(hem__journal_options){.path = "/proc/no/such/file"}, &j, err), HEM_ENOTFOUND,
           "/proc/no");
}
END_TEST

/* ---- counters ---- */

START_TEST(durations_fall_into_the_bucket_that_ends_behind_them) {
  for (size_t i = 1; i < HEM__BUCKETS; i++) ck_assert_uint_gt(hem__bucket_ns(i), hem__bucket_ns(i - 1));
  const uint64_t times[] = {0, 999, 1000, 1001, 123456, 1000000, 50000000, UINT64_MAX};
  for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
    static hem__histogram h;
    h = (hem__histogram){0};
    hem__histogram_add(&h, times[t]);
    size_t i = 0;
    while (!atomic_load(&h.buckets[i])) i++;
    ck_assert(i == HEM__BUCKETS - 1 || times[t] < hem__bucket_ns(i));
    ck_assert(i == 0 || times[t] >= hem__bucket_ns(i - 1));
  }
}
END_TEST

HEM_TESTS("serve_parts", what_is_written_is_json_that_says_the_same, any_bytes_become_well_formed_text,
          floats_come_back_to_the_bit, numbers_are_written_as_printf_does, jobs_are_all_done_and_too_many_are_refused,
          a_log_that_was_moved_away_goes_on_in_a_new_file, full_files_are_turned_over_and_the_oldest_goes,
          a_journal_that_cannot_be_made_is_refused, durations_fall_into_the_bucket_that_ends_behind_them)
