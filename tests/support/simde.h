/* AVX-512 in plain C (SIMDe), for kernels that this processor cannot run. SIMDE_ENABLE_NATIVE_ALIASES is set. */
#ifndef HEM_TESTS_SIMDE_H
#define HEM_TESTS_SIMDE_H

#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

/* SIMDe 0.7.4 gives this alias too many arguments, */
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

/* and lacks the conversions: `count` values `from` one type into another, by `convert`. */
#define HEM__CONVERSION(name, given, result, from, to, count, store, load, convert) \
  static inline result hem__simde_##name(given a) {                                 \
    from in[count];                                                                 \
    to out[count];                                                                  \
    store((void *)in, a);                                                           \
    for (int i = 0; i < (count); i++) out[i] = convert(in[i]);                      \
    return load((void *)out);                                                       \
  }
#define HEM__HALF_TO_FLOAT(half) simde_float16_to_float32(simde_uint16_as_float16(half))
HEM__CONVERSION(cvtepi32_ps, simde__m512i, simde__m512, int32_t, float, 16, simde_mm512_storeu_si512,
                simde_mm512_loadu_ps, (float))
HEM__CONVERSION(cvtph_ps, simde__m256i, simde__m512, uint16_t, float, 16, simde_mm256_storeu_si256,
                simde_mm512_loadu_ps, HEM__HALF_TO_FLOAT)
HEM__CONVERSION(cvtepu8_epi16, simde__m256i, simde__m512i, uint8_t, uint16_t, 32, simde_mm256_storeu_si256,
                simde_mm512_loadu_si512, (uint16_t))
HEM__CONVERSION(cvtepu8_epi32, simde__m128i, simde__m512i, uint8_t, uint32_t, 16, simde_mm_storeu_si128,
                simde_mm512_loadu_si512, (uint32_t))
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtph_ps
#undef _mm512_cvtepu8_epi16
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepi32_ps(a) hem__simde_cvtepi32_ps(a)
#define _mm512_cvtph_ps(a) hem__simde_cvtph_ps(a)
#define _mm512_cvtepu8_epi16(a) hem__simde_cvtepu8_epi16(a)
#define _mm512_cvtepu8_epi32(a) hem__simde_cvtepu8_epi32(a)

#endif
