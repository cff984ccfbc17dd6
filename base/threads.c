#include "base/threads.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

size_t hem__cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? (size_t)count : 1;
}

int hem__omp_use(size_t threads) {
  int before = omp_get_max_threads();
  omp_set_num_threads((int)hem__min(threads ? threads : hem__cores(), 1024));
  return before;
}

int hem__omp_hold(void) { return hem__omp_use(1); }

void hem__omp_release(int held) { omp_set_num_threads(held); }

typedef struct loop {
  void (*body)(void *, size_t, size_t);
  void *context;
  size_t count;
  atomic_size_t next;
} loop;

typedef struct worker {
  loop *loop;
  size_t number;
  pthread_t thread;
  bool started;
} worker;

static void *work(void *argument) {
  worker *me = argument;
  loop *all = me->loop;
  int held = hem__omp_hold();
  for (size_t i; (i = atomic_fetch_add_explicit(&all->next, 1, memory_order_relaxed)) < all->count;)
    all->body(all->context, i, me->number);
  hem__omp_release(held);
  return NULL;
}

hem_status hem__parallel_for(size_t count, size_t threads, void (*body)(void *, size_t, size_t), void *context,
                             hem_error *err) {
  threads = hem__min(threads ? threads : hem__cores(), hem__max(count, 1));
  loop all = {.body = body, .context = context, .count = count};
  worker *workers = NULL;
  hem_status status = hem__alloc(threads, sizeof *workers, "threads", &workers, err);
  if (status) return status;
  for (size_t i = 0; i < threads; i++) {
    workers[i] = (worker){.loop = &all, .number = i};
    /* The caller is worker 0. Where the system gives fewer threads, those that run do all of the work. */
    if (i) workers[i].started = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
  }
  work(&workers[0]);
  for (size_t i = 1; i < threads; i++)
    if (workers[i].started) pthread_join(workers[i].thread, NULL);
  free(workers);
  return HEM_OK;
}
