/* Long work, done by a few threads in the order in which it came. */
#ifndef HEM_SERVE_JOBS_H
#define HEM_SERVE_JOBS_H

#include "base/status.h"

typedef struct hem__jobs hem__jobs;

/* Part of what is to be done: the owner finds the rest round it. */
typedef struct hem__job {
  void (*run)(struct hem__job *job); /* may free the job */
  struct hem__job *next;
} hem__job;

/* `threads`: 0: one for each core. At most `waiting_max` jobs wait. Each thread holds OpenMP to one. Errors: ENOMEM. */
hem_status hem__jobs_new(size_t threads, size_t waiting_max, hem__jobs **out, hem_error *err);
/* Any thread. False: too many wait; the job was not taken. */
bool hem__jobs_put(hem__jobs *jobs, hem__job *job);
/* Finishes what waits, then ends the threads. Nothing may be put any more. */
void hem__jobs_close(hem__jobs *jobs);

#endif
