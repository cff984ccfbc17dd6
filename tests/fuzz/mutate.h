/* Damage of the kinds that disks, copies and attackers do to a file; reproducible. */
#ifndef HEM_TESTS_FUZZ_MUTATE_H
#define HEM_TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

enum { HEM__MUTATE_ROOM = 4096 }; /* a mutated file is at most so much longer */

/* Writes a damaged copy of `size` bytes to `out`, which has HEM__MUTATE_ROOM bytes more, and returns its size. It
 * may come out the same (a block swapped with an equal one, say). */
size_t hem__mutate(uint64_t *random, const uint8_t *in, size_t size, uint8_t *out);

#endif
