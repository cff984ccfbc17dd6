/* What a process and its files take of the machine. Linux. */
#ifndef HEM_BENCH_SWEEP_MACHINE_H
#define HEM_BENCH_SWEEP_MACHINE_H

#include "base/memory.h"

/* The processor's model name, or "unknown processor". */
void hem__machine_name(char *out, size_t room);

typedef struct hem__resident {
  uint64_t anonymous, files; /* bytes in memory: this process's own, and pages of files that it has touched */
} hem__resident;

/* Of this process, by /proc/self/smaps_rollup; freed memory is given back to the system first. Zeros: not known. */
hem__resident hem__resident_now(void);

/* Bytes of a file, or of all files below a folder. */
uint64_t hem__disk_bytes(const char *path);
/* Asks the system to forget their pages: written back first; pages that somebody maps stay. */
void hem__forget_pages(const char *path);

/* Seconds of processor time that this process has used, all threads. */
double hem__cpu_seconds(void);

#endif
