#include "serve/jobs.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/threads.h"

struct hem__jobs {
  pthread_mutex_t lock;
  pthread_cond_t more;
  hem__job *first, **last; /* a queue; last: where the next one is hung */
  size_t waiting, waiting_max;
  bool closing;
  size_t thread_count;
  pthread_t threads[];
};

/* The next job; NULL: there will be none. */
static hem__job *next(hem__jobs *jobs) {
  pthread_mutex_lock(&jobs->lock);
  while (!jobs->first && !jobs->closing) pthread_cond_wait(&jobs->more, &jobs->lock);
  hem__job *job = jobs->first;
  if (job) {
    jobs->first = job->next;
    if (!jobs->first) jobs->last = &jobs->first;
    jobs->waiting--;
  }
  pthread_mutex_unlock(&jobs->lock);
  return job;
}

static void *work(void *argument) {
  hem__jobs *jobs = argument;
  hem__omp_hold(); /* for good: the thread does nothing else */
  for (hem__job *job; (job = next(jobs));) job->run(job);
  return NULL;
}

hem_status hem__jobs_new(size_t threads, size_t waiting_max, hem__jobs **out, hem_error *err) {
  hem__jobs *jobs = NULL;
  size_t bytes;
  if (!threads) threads = hem__cores();
  if (!hem__mul(threads, sizeof jobs->threads[0], &bytes) || !hem__add(bytes, sizeof *jobs, &bytes))
    return hem__fail(err, HEM_ENOMEM, "%zu threads are too many", threads);
  hem_status status = hem__alloc(1, bytes, "threads", &jobs, err);
  if (status) return status;
  pthread_mutex_init(&jobs->lock, NULL);
  pthread_cond_init(&jobs->more, NULL);
  jobs->last = &jobs->first;
  jobs->waiting_max = waiting_max;
  while (jobs->thread_count < threads && pthread_create(&jobs->threads[jobs->thread_count], NULL, work, jobs) == 0)
    jobs->thread_count++;
  if (jobs->thread_count < threads) {
    hem__jobs_close(jobs);
    return hem__fail(err, HEM_ENOMEM, "the system gives no more threads");
  }
  *out = jobs;
  return HEM_OK;
}

bool hem__jobs_put(hem__jobs *jobs, hem__job *job) {
  pthread_mutex_lock(&jobs->lock);
  bool taken = jobs->waiting < jobs->waiting_max;
  if (taken) {
    job->next = NULL;
    *jobs->last = job;
    jobs->last = &job->next;
    jobs->waiting++;
    pthread_cond_signal(&jobs->more);
  }
  pthread_mutex_unlock(&jobs->lock);
  return taken;
}

void hem__jobs_close(hem__jobs *jobs) {
  if (!jobs) return;
  pthread_mutex_lock(&jobs->lock);
  jobs->closing = true;
  pthread_cond_broadcast(&jobs->more);
  pthread_mutex_unlock(&jobs->lock);
  for (size_t i = 0; i < jobs->thread_count; i++) pthread_join(jobs->threads[i], NULL);
  pthread_cond_destroy(&jobs->more);
  pthread_mutex_destroy(&jobs->lock);
  free(jobs);
}
