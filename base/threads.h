/* One parallel loop. Its workers hold OpenMP to one thread, so that FAISS and BLAS called inside never
 * start threads of their own (nested pools oversubscribe the cores). */
#ifndef HEM_BASE_THREADS_H
#define HEM_BASE_THREADS_H

#include "base/status.h"

/* Cores this process may run on; at least 1. */
size_t hem__cores(void);

/* Runs body(context, i, worker) for every i < count, on `threads` threads (0: one a core), in no set order.
 * worker < threads names the running thread, for scratch space. The body records into its own slot: it
 * must not report, print or fail. Errors: ENOMEM, when not even one thread can be started. */
hem_status hem__parallel_for(size_t count, size_t threads, void (*body)(void *context, size_t i, size_t worker),
                             void *context, hem_error *err);

/* The calling thread's OpenMP, held to one thread until released. */
int hem__omp_hold(void);
void hem__omp_release(int held);
/* Lets the calling thread's OpenMP, and BLAS with it, use so many threads (0: one a core) until released. */
int hem__omp_use(size_t threads);

#endif
