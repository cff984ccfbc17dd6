/* Random numbers that are the same everywhere: xoshiro256** (Blackman and Vigna 2018), started by splitmix64. */
#ifndef HEM_METRIC_RANDOM_H
#define HEM_METRIC_RANDOM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hem__random {
  uint64_t s[4];
} hem__random;

static inline uint64_t hem__random_mix(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

static inline hem__random hem__random_from(uint64_t seed) {
  hem__random r;
  for (int i = 0; i < 4; i++) r.s[i] = hem__random_mix(&seed);
  return r;
}

static inline uint64_t hem__random_next(hem__random *r) {
  uint64_t *s = r->s, times = s[1] * 5, out = (times << 7 | times >> 57) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = s[3] << 45 | s[3] >> 19;
  return out;
}

/* Below `count`, which is at least 1 and below 2^32. The bias is below 2^-32. */
static inline size_t hem__random_below(hem__random *r, size_t count) {
  return (size_t)((hem__random_next(r) >> 32) * (uint64_t)count >> 32);
}

/* [0, 1) */
static inline double hem__random_uniform(hem__random *r) { return (double)(hem__random_next(r) >> 11) * 0x1p-53; }

/* Mean 0, variance 1 (Box and Muller 1958). */
static inline double hem__random_normal(hem__random *r) {
  double radius = sqrt(-2 * log(1 - hem__random_uniform(r)));
  return radius * cos(6.283185307179586 * hem__random_uniform(r));
}

#endif
