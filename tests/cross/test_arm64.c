/* The kernels of a processor that this machine is not: cross-compiled and run by an emulator, so it needs nothing but
 * libc. Usage: test_arm64 NAME... : the kernels that the emulated processor has. */
#include <stdio.h>
#include <string.h>

#include "support/kernels.h"

enum { CASES = 44 };

int main(int argc, char **argv) {
  const hem__score_kernel *here[HEM__KERNELS];
  size_t count = hem__score_kernels_here(here), wanted = (size_t)argc - 1;
  char why[512];
  for (size_t i = 0; i < count; i++) {
    if (i >= wanted || strcmp(here[i]->name, argv[i + 1]) != 0) {
      fprintf(stderr, "kernel '%s' was chosen\n", here[i]->name);
      return 1;
    }
    if (hem__kernel_is_right(here[i], CASES, why, sizeof why)) continue;
    fprintf(stderr, "%s\n", why);
    return 1;
  }
  if (count != wanted) fprintf(stderr, "%zu kernels instead of %zu\n", count, wanted);
  return count != wanted;
}
