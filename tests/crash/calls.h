/* Every call that changes a file system, counted, and stopped at any one of them.
 *
 * A seccomp filter turns these calls into SIGSYS, whoever makes them: Hemline, HDF5, or stdio inside the C
 * library, which no LD_PRELOAD could see. The handler counts the call and then makes it, kills the process before
 * it or halfway through a write, or refuses it as a full disk would. Watch only in a forked child: a filter stays
 * until its process ends. */
#ifndef HEM_TESTS_CRASH_CALLS_H
#define HEM_TESTS_CRASH_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hem__fate {
  HEM__COUNT,       /* make every call */
  HEM__KILL_BEFORE, /* SIGKILL instead of call `at` */
  HEM__KILL_HALF,   /* the same, but half of the bytes it writes are written */
  HEM__DISK_FULL    /* call `at` and every later one that needs room fails with ENOSPC, until `at` is 0 */
} hem__fate;

typedef enum hem__call_kind { HEM__CREATE, HEM__WRITE, HEM__SYNC, HEM__RENAME, HEM__REMOVE, HEM__OTHER } hem__call_kind;

/* One call, as it was made: which file (inode), and for a rename, which folder it went to. */
typedef struct hem__call {
  hem__call_kind kind;
  uint64_t inode, folder;
  bool is_folder; /* the inode is a folder */
} hem__call;

enum { HEM__CALLS_MAX = 16384 };

/* Lies in memory that parent and child share. */
typedef struct hem__calls {
  hem__fate fate;
  size_t at; /* calls are numbered from 1; 0: none */
  size_t count;
  hem__call made[HEM__CALLS_MAX]; /* the first count of them */
} hem__calls;

/* Shared memory, zeroed, for the rest of the program. */
void *hem__shared(size_t size);
/* False where the kernel or the processor does not support it. */
bool hem__calls_watch(hem__calls *calls);

#endif
