/* How long things take. */
#ifndef HEM_BASE_CLOCK_H
#define HEM_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds since some moment that stays the same while the machine runs. */
static inline uint64_t hem__now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

#endif
