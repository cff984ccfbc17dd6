/* Written in assembly: a compiler would move what does not change out of a loop, or put registers into memory. */
#include "bench/peak.h"

#if defined(__x86_64__)

#define ALL                                                                                                           \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15"
#define TWELVE(OF) OF(0) OF(1) OF(2) OF(3) OF(4) OF(5) OF(6) OF(7) OF(8) OF(9) OF(10) OF(11)

/* `clear` and `step` of each of the 12 sums: enough for two a cycle at a latency of 6. */
#define LOOP(name, clear, step)                                                                             \
  static void name(size_t steps) {                                                                          \
    __asm__ volatile(TWELVE(clear) "vpxor %%xmm14, %%xmm14, %%xmm14\n\tvpxor %%xmm15, %%xmm15, %%xmm15\n" \
                     ".balign 32\n1:\n\t" TWELVE(step) "dec %0\n\tjnz 1b\n\tvzeroupper\n"                \
                     : "+r"(steps)                                                                     \
                     :                                                                                 \
                     : "cc", ALL); \
  }

#define CLEAR(i) "vpxor %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"
#define FMA_256(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define FMA_512(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #i "\n\t"
#define MADD_256(i) "vpmaddwd %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define MADD_ADD_256(i) "vpmaddwd %%ymm14, %%ymm15, %%ymm12\n\tvpaddd %%ymm12, %%ymm" #i ", %%ymm" #i "\n\t"
#define MADD_ADD_512(i) "vpmaddwd %%zmm14, %%zmm15, %%zmm12\n\tvpaddd %%zmm12, %%zmm" #i ", %%zmm" #i "\n\t"
#define DPBUSD_512(i) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #i "\n\t"

LOOP(fma_256, CLEAR, FMA_256)
LOOP(madd_256, CLEAR, MADD_256)
LOOP(madd_add_256, CLEAR, MADD_ADD_256)
LOOP(fma_512, CLEAR, FMA_512)
LOOP(madd_add_512, CLEAR, MADD_ADD_512)
LOOP(dpbusd_512, CLEAR, DPBUSD_512)

size_t hem__peaks(hem__peak out[HEM__PEAKS]) {
  size_t count = 0;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    out[count++] = (hem__peak){"fma", "fp32: vfmadd231ps, 256 bits", 12 * 8, fma_256};
    out[count++] = (hem__peak){"madd", "16 bits: vpmaddwd alone, 256 bits", 12 * 16, madd_256};
    out[count++] = (hem__peak){"madd+add", "16 bits: vpmaddwd and vpaddd, 256 bits", 12 * 16, madd_add_256};
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    out[count++] = (hem__peak){"fma-512", "fp32: vfmadd231ps, 512 bits", 12 * 16, fma_512};
    out[count++] = (hem__peak){"madd+add-512", "16 bits: vpmaddwd and vpaddd, 512 bits", 12 * 32, madd_add_512};
    if (__builtin_cpu_supports("avx512vnni"))
      out[count++] = (hem__peak){"dpbusd-512", "8 bits: vpdpbusd, 512 bits", 12 * 64, dpbusd_512};
  }
  return count;
}

#else

size_t hem__peaks(hem__peak out[HEM__PEAKS]) {
  (void)out;
  return 0;
}

#endif
