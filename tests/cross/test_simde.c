/* The AVX-512 and VNNI kernels, the very files, on a processor that need not have either: their instructions are
 * SIMDe's, in plain C (support/simde.h). Their names are others, since the library has its own. */
#include <stdio.h>

#include "support/kernels.h"

enum { CASES = 70 };

extern const hem__score_kernel hem__simde_avx512, hem__simde_vnni;

int main(void) {
  static const hem__score_kernel *const kernels[] = {&hem__simde_avx512, &hem__simde_vnni};
  char why[512];
  for (size_t i = 0; i < 2; i++) {
    if (hem__kernel_is_right(kernels[i], CASES, why, sizeof why)) continue;
    fprintf(stderr, "%s\n", why);
    return 1;
  }
  return 0;
}
