/* The parallel loop: every index once, whatever the number of threads. */
#include "base/threads.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

enum { COUNT_MAX = 10000, WORKERS_MAX = 64 };

typedef struct record {
  atomic_int times[COUNT_MAX];
  atomic_int inside[WORKERS_MAX]; /* a worker's number belongs to one thread at a time */
  atomic_int trouble;
  size_t threads;
} record;

static record seen;

static void note(void *context, size_t i, size_t worker) {
  record *r = context;
  if (worker >= r->threads || worker >= WORKERS_MAX) {
    atomic_fetch_add(&r->trouble, 1);
    return;
  }
  if (atomic_fetch_add(&r->inside[worker], 1) != 0) atomic_fetch_add(&r->trouble, 1);
  atomic_fetch_add(&r->times[i], 1);
  if (i % 64 == 0) sched_yield();
  atomic_fetch_sub(&r->inside[worker], 1);
}

START_TEST(every_index_once) {
  static const size_t counts[] = {0, 1, 2, 7, 100, COUNT_MAX}, threads[] = {1, 2, 3, 16, WORKERS_MAX};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
      memset(&seen, 0, sizeof seen);
      seen.threads = threads[t];
      ck_ok(hem__parallel_for(counts[c], threads[t], note, &seen, err));
      for (size_t i = 0; i < COUNT_MAX; i++) ck_assert_int_eq(seen.times[i], i < counts[c] ? 1 : 0);
      ck_assert_int_eq(seen.trouble, 0);
    }
}
END_TEST

START_TEST(zero_threads_is_one_for_each_core) {
  memset(&seen, 0, sizeof seen);
  seen.threads = hem__cores();
  ck_assert_uint_ge(hem__cores(), 1);
  ck_ok(hem__parallel_for(1000, 0, note, &seen, err));
  for (size_t i = 0; i < 1000; i++) ck_assert_int_eq(seen.times[i], 1);
  ck_assert_int_eq(seen.trouble, 0);
}
END_TEST

START_TEST(cores_are_those_this_process_may_use) {
  cpu_set_t all, one;
  ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
  ck_assert_uint_eq(hem__cores(), 1);
  ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
}
END_TEST

typedef struct meeting {
  pthread_barrier_t barrier;
  atomic_int met;
} meeting;

static void meet(void *context, size_t i, size_t worker) {
  meeting *m = context;
  (void)i;
  (void)worker;
  pthread_barrier_wait(&m->barrier);
  atomic_fetch_add(&m->met, 1);
}

/* Three bodies that wait for each other end only if three threads run them. */
START_TEST(threads_run_side_by_side) {
  meeting m = {0};
  pthread_barrier_init(&m.barrier, NULL, 3);
  ck_ok(hem__parallel_for(3, 3, meet, &m, err));
  ck_assert_int_eq(m.met, 3);
  pthread_barrier_destroy(&m.barrier);
}
END_TEST

static void ask_openmp(void *context, size_t i, size_t worker) {
  (void)worker;
  int team = 0;
#pragma omp parallel
#pragma omp single
  team = omp_get_num_threads();
  ((int *)context)[i] = team;
}

START_TEST(openmp_is_held_to_one_thread_inside) {
  int teams[32];
  omp_set_num_threads(4);
  ck_ok(hem__parallel_for(32, 3, ask_openmp, teams, err));
  for (size_t i = 0; i < 32; i++) ck_assert_int_eq(teams[i], 1);
  ck_assert_msg(omp_get_max_threads() == 4, "the caller's OpenMP was not given back: %d", omp_get_max_threads());
}
END_TEST

START_TEST(holding_openmp_is_undone) {
  omp_set_num_threads(3);
  int held = hem__omp_hold();
  ck_assert_int_eq(omp_get_max_threads(), 1);
  hem__omp_release(held);
  ck_assert_int_eq(omp_get_max_threads(), 3);
}
END_TEST

static void nest(void *context, size_t i, size_t worker) {
  (void)worker;
  hem__parallel_for(10, 2, note, context, NULL);
  (void)i;
}

START_TEST(a_loop_inside_a_loop) {
  memset(&seen, 0, sizeof seen);
  seen.threads = 2;
  ck_ok(hem__parallel_for(1, 4, nest, &seen, err));
  for (size_t i = 0; i < 10; i++) ck_assert_int_eq(seen.times[i], 1);
}
END_TEST

HEM_TESTS("threads", every_index_once, zero_threads_is_one_for_each_core, cores_are_those_this_process_may_use,
          threads_run_side_by_side, openmp_is_held_to_one_thread_inside, holding_openmp_is_undone, a_loop_inside_a_loop)
