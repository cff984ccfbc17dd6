/* What this processor's arithmetic can do at most: loops that touch nothing but registers. */
#ifndef HEM_BENCH_PEAK_H
#define HEM_BENCH_PEAK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct hem__peak {
  const char *name, *what; /* "fma", "fp32, vfmadd231ps of 256 bits" */
  double products;         /* in one step of the loop */
  void (*run)(size_t steps);
} hem__peak;

enum { HEM__PEAKS = 6 };
/* Those that this processor has; none where it is not an x86-64. */
size_t hem__peaks(hem__peak out[HEM__PEAKS]);

#endif
