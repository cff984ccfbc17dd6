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

/* The ways of computing keys of one kind of processor: hem__keys, hem__keys_some, hem__keys_coded. */
typedef struct hem__keys_path {
  void (*keys)(hem_distance distance, const float *query, const float *rows, size_t count, size_t dim, float *out);
  void (*some)(const hem__some *some, float *out);
  void (*coded)(const hem__coded *coded, float *out);
} hem__keys_path;

extern const hem__keys_path hem__keys_avx2; /* of x86-64 */

/* Those that this processor has; the first is everybody's. */
enum { HEM__KEYS_PATHS = 2 };
size_t hem__keys_paths(const hem__keys_path *out[HEM__KEYS_PATHS]);

/* Rows lie anywhere in memory: the first lines of those that come next are asked for while one is computed; the lines
 * behind them the processor then guesses. */
enum { HEM__KEY_AHEAD = 4 };
HEM__KEY_INLINE void hem__key_prefetch(const void *row, size_t bytes) {
  enum { LINE = 64, MOST = 12 * LINE };
  for (size_t i = 0, end = hem__min(bytes, MOST); i < end; i += LINE) __builtin_prefetch((const char *)row + i);
}

/* Of rows[i] of `count`; i may be too large. */
HEM__KEY_INLINE void hem__key_prefetch_row(const void *all, size_t bytes, const uint32_t *rows, size_t i,
                                           size_t count) {
  if (i < count) hem__key_prefetch((const char *)all + rows[i] * bytes, bytes);
}

#endif
