/* Does a scoring kernel do what score.h says? Knows nothing of Check: tests/cross builds it for another processor. */
#ifndef HEM_TESTS_KERNELS_H
#define HEM_TESTS_KERNELS_H

#include "metric/score_kernel.h"

/* Compares `kernel` with the oracle and with the definition in double precision, over `cases` shapes: the awkward ones
 * first, then random ones. False: `why` says where it went wrong. */
bool hem__kernel_is_right(const hem__score_kernel *kernel, size_t cases, char *why, size_t room);

#endif
