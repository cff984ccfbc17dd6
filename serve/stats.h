/* What was asked of a server, how it went and how long it took: counters that any thread adds to without a lock. */
#ifndef HEM_SERVE_STATS_H
#define HEM_SERVE_STATS_H

#include <stdatomic.h>

#include "base/status.h"

enum { HEM__STATUSES = HEM_ECANCELED + 1, HEM__BUCKETS = 64 };

typedef enum hem__front { HEM__FRONT_SOCKET, HEM__FRONT_HTTP, HEM__FRONTS } hem__front;
typedef enum hem__stage {
  HEM__STAGE_WAIT,
  HEM__STAGE_DECODE,
  HEM__STAGE_EMBED,
  HEM__STAGE_SEARCH,
  HEM__STAGE_TOTAL,
  HEM__STAGES
} hem__stage;

/* Durations; bucket i holds those below hem__bucket_ns(i), and the last one all that are longer. */
typedef struct hem__histogram {
  atomic_uint_fast64_t buckets[HEM__BUCKETS], sum_ns;
} hem__histogram;

typedef struct hem__stats {
  atomic_uint_fast64_t answered[HEM__FRONTS][HEM__STATUSES]; /* questions, by how they went */
  atomic_uint_fast64_t refused[HEM__FRONTS]; /* requests that were no question: malformed, too large, ... */
  atomic_uint_fast64_t no_match, reloads, failed_reloads;
  atomic_int_fast64_t connections[HEM__FRONTS], in_flight[HEM__FRONTS];
  hem__histogram stages[HEM__STAGES];
} hem__stats;

/* Four buckets to the octave, from 1 microsecond on. */
uint64_t hem__bucket_ns(size_t i);
void hem__histogram_add(hem__histogram *histogram, uint64_t ns);

#endif
