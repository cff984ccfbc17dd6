/* Many queries at once: a searcher for each thread, and threads that wait for the next call.
 *
 * hem__parallel_for starts its threads for each loop, which takes as long as some queries. Here a call wakes them, all
 * take the next query from one counter, and hits are copied from the searcher that found them to the batch. Searches
 * themselves share nothing and take no lock. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "query/engine.h"

/* One call. */
typedef struct call {
  const float *vectors;
  size_t count, dim, hits_each; /* hits_each: room for those of one query */
  const hem_search_options *options;
} call;

typedef struct worker {
  hem_batch *of;
  hem_searcher *searcher;
  pthread_t thread;
} worker;

struct hem_batch {
  const hem_engine *engine;
  worker *workers; /* the first is the caller's; it has no thread */
  size_t worker_count;
  pthread_mutex_t lock; /* guards what follows up to `closing`, and is held while nothing is searched */
  pthread_cond_t wake, done;
  uint64_t round; /* calls so far */
  size_t running; /* threads that have not finished this one's */
  size_t failed;  /* the first query that did; `count`: none */
  hem_error error;
  bool closing;
  call call; /* written while no thread runs */
  atomic_size_t next;
  hem_answer *answers;
  hem_hit *hits;
  size_t answer_capacity, hit_capacity;
};

/* Queries are taken in order: when one fails, all before it are taken already, so the first failure is always found. */
static void note_failure(hem_batch *b, size_t query, const hem_error *why) {
  atomic_store(&b->next, b->call.count);
  pthread_mutex_lock(&b->lock);
  if (query < b->failed) {
    b->failed = query;
    b->error = *why;
  }
  pthread_mutex_unlock(&b->lock);
}

static void work(worker *w) {
  hem_batch *b = w->of;
  const call *c = &b->call;
  for (size_t i; (i = atomic_fetch_add(&b->next, 1)) < c->count;) {
    hem_answer *answer = &b->answers[i];
    hem_hit *hits = b->hits + i * c->hits_each;
    hem_error why;
    if (hem_search(w->searcher, c->vectors + i * c->dim, c->dim, c->options, answer, &why)) {
      note_failure(b, i, &why);
      return;
    }
    memcpy(hits, answer->hits, answer->found * sizeof *hits);
    answer->hits = hits;
  }
}

static void *wait_and_work(void *argument) {
  worker *w = argument;
  hem_batch *b = w->of;
  uint64_t seen = 0;
  pthread_mutex_lock(&b->lock);
  for (;;) {
    while (b->round == seen && !b->closing) pthread_cond_wait(&b->wake, &b->lock);
    if (b->closing) break;
    seen = b->round;
    pthread_mutex_unlock(&b->lock);
    work(w);
    pthread_mutex_lock(&b->lock);
    if (--b->running == 0) pthread_cond_signal(&b->done);
  }
  pthread_mutex_unlock(&b->lock);
  return NULL;
}

/* Signals go to the program's own threads. Where the system gives fewer threads, those that run do all of the work. */
static hem_status start(hem_batch *b, size_t threads, hem_error *err) {
  sigset_t all, before;
  sigfillset(&all);
  hem_status status = HEM_OK;
  for (size_t i = 0; i < threads && !status; i++) {
    worker *w = &b->workers[i];
    w->of = b;
    status = hem_searcher_new(b->engine, &w->searcher, err);
    if (status) break;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = i == 0 || pthread_create(&w->thread, NULL, wait_and_work, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started) {
      hem_searcher_free(w->searcher);
      break;
    }
    b->worker_count++;
  }
  return status;
}

hem_status hem_batch_new(const hem_engine *engine, size_t threads, hem_batch **out, hem_error *err) {
  hem_batch *b = NULL;
  if (!engine || !out) return hem__fail(err, HEM_EINVAL, "hem_batch_new: engine and batch must not be NULL");
  if (threads == 0) threads = hem__cores();
  hem_status status = hem__alloc(1, sizeof *b, "a batch", &b, err);
  if (status) return status;
  b->engine = engine;
  b->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  b->wake = b->done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
  status = hem__alloc(threads, sizeof *b->workers, "a batch", &b->workers, err);
  if (!status) status = start(b, threads, err);
  if (status) {
    hem_batch_free(b);
  } else {
    *out = b;
  }
  return status;
}

void hem_batch_free(hem_batch *b) {
  if (!b) return;
  pthread_mutex_lock(&b->lock);
  b->closing = true;
  pthread_cond_broadcast(&b->wake);
  pthread_mutex_unlock(&b->lock);
  for (size_t i = 0; i < b->worker_count; i++) {
    if (i) pthread_join(b->workers[i].thread, NULL);
    hem_searcher_free(b->workers[i].searcher);
  }
  pthread_cond_destroy(&b->done);
  pthread_cond_destroy(&b->wake);
  pthread_mutex_destroy(&b->lock);
  free(b->workers);
  free(b->answers);
  free(b->hits);
  free(b);
}

static hem_status reserve(hem_batch *b, size_t count, const hem_search_options *options, hem_error *err) {
  hem_search_options o;
  size_t all;
  hem_status status = hem__options_copy(&o, sizeof o, options, "hem_search_options", err);
  if (status) return status;
  b->call.hits_each = hem__min(o.k ? o.k : HEM__K_DEFAULT, b->engine->gallery.photos);
  if (!hem__mul(count, b->call.hits_each, &all)) return hem__fail(err, HEM_ENOMEM, "%zu queries are too many", count);
  status = hem__grow(&b->answers, &b->answer_capacity, count, sizeof *b->answers, "answers", err);
  return status ? status : hem__grow(&b->hits, &b->hit_capacity, all, sizeof *b->hits, "hits", err);
}

hem_status hem_batch_search(hem_batch *b, const float *vectors, size_t count, size_t dim,
                            const hem_search_options *options, hem_answer *answers, hem_error *err) {
  if (!b || (count && (!vectors || !answers)))
    return hem__fail(err, HEM_EINVAL, "hem_batch_search: batch, vectors and answers must not be NULL");
  size_t values, bytes;
  if (!hem__mul(count, dim, &values) || !hem__mul(values, sizeof *vectors, &bytes))
    return hem__fail(err, HEM_EINVAL, "hem_batch_search: no %zu vectors of %zu values fit into memory", count, dim);
  hem_status status = reserve(b, count, options, err);
  if (status) return status;
  b->call = (call){vectors, count, dim, b->call.hits_each, options};
  b->failed = count;
  atomic_store(&b->next, 0);
  bool shared = count > 1 && b->worker_count > 1;
  pthread_mutex_lock(&b->lock);
  if (shared) {
    b->running = b->worker_count - 1;
    b->round++;
    pthread_cond_broadcast(&b->wake);
  }
  pthread_mutex_unlock(&b->lock);
  work(&b->workers[0]);
  pthread_mutex_lock(&b->lock);
  while (b->running) pthread_cond_wait(&b->done, &b->lock);
  pthread_mutex_unlock(&b->lock);
  if (b->failed < count) return hem__fail(err, b->error.code, "query %zu: %s", b->failed, b->error.message);
  if (count) memcpy(answers, b->answers, count * sizeof *answers);
  return HEM_OK;
}
