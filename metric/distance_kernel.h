/* Inside the computing of keys: what distance.c asks of the instructions that a processor has. For distance*.c and
 * their tests. */
#ifndef HEM_METRIC_DISTANCE_KERNEL_H
#define HEM_METRIC_DISTANCE_KERNEL_H

#include "metric/distance.h"

#define HEM__KEY_INLINE static inline __attribute__((always_inline))

enum {
  HEM__KEY_LANES = 32,               /* running sums of a key: dimension d goes into sum d % 32 */
  HEM__KEY_PART = 4 * HEM__KEY_LANES /* dimensions between two looks at the limit */
};

/* The ways of computing keys of one kind of processor: hem__keys_some, hem__keys_coded; and for
 * hem__project products[o] = sum of axes[o][i] * query[i], of which no running sum of every 16th pair passes 31 bits.
 */
typedef struct hem__keys_path {
  void (*some)(const hem__some *some, float *out);
  void (*coded)(const hem__coded *coded, float *out);
  void (*project)(const hem__projection *p, const int16_t *query, int64_t *products);
} hem__keys_path;

extern const hem__keys_path hem__keys_avx2; /* of x86-64 */

/* Those that this processor has; the first is everybody's. */
enum { HEM__KEYS_PATHS = 2 };
size_t hem__keys_paths(const hem__keys_path *out[HEM__KEYS_PATHS]);
const hem__keys_path *hem__best_keys(void);

/* Rows lie anywhere in memory: the first lines of those that come next are asked for while one is computed; the lines
 * behind them the processor then guesses. */
enum { HEM__KEY_AHEAD = 4 };
HEM__KEY_INLINE void hem__key_prefetch(const void *row, size_t bytes) {
  enum { LINE = 64, MOST = 12 * LINE };
  for (size_t i = 0, end = hem__min(bytes, MOST); i < end; i += LINE) __builtin_prefetch((const char *)row + i);
}

HEM__KEY_INLINE const void *hem__key_row(const hem__some *s, size_t i) {
  size_t at = (s->rows ? s->rows[i] : s->first + i) * s->vectors.dim;
  return s->vectors.at ? (const void *)(s->vectors.at + at) : s->vectors.bytes + at;
}

/* i may be too large. One row behind the other the processor guesses by itself. */
HEM__KEY_INLINE void hem__key_prefetch_row(const hem__some *s, size_t i) {
  if (s->rows && i < s->count)
    hem__key_prefetch(hem__key_row(s, i), s->vectors.dim * (s->vectors.at ? sizeof(float) : 1));
}

HEM__KEY_INLINE void hem__key_prefetch_codes(const hem__coded *c, size_t i) {
  if (i < c->count) hem__key_prefetch(c->codes + c->rows[i] * c->dim, c->dim);
}

#endif
