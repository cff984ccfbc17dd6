/* Copies of one picture differ in size, compression, a little in crop and light. A hash of its low frequencies (Zauner
 * 2010: the signs of an 8 x 8 corner of the discrete cosine transform of a 32 x 32 grey thumbnail, against their
 * median) finds candidates at a popcount a pair; a 16 x 16 colour thumbnail then decides. It must be colour: shops
 * re-tint one photo for each colour of a garment, and these are different products. The difference is
 * relative to the pictures' own contrast, or two white shirts on white would be one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/doctor.h"
#include "ingest/feature.h"

enum { GREY = 32, CORNER = 8 };

/* Measured on 4,340 photos of clothes: copies at half and a quarter of the size and with noise differ by up to 0.04 and
 * 2 bits, cut by 1% on each side by 0.07 (median) and 2 bits; the nearest two different garments by 0.128. */
enum { BITS_APART = 8, SMALL = 64 };
#define DIFFERENT 0.10
/* Few pixels are less to differ by: of Fashion-MNIST's 28 x 28, 0.10 would call thousands of garments copies. */
#define DIFFERENT_SMALL 0.04
#define SHAPES_APART 1.1
/* Grey levels between the darkest and the brightest 1,024th; those photos have 52 and more. */
#define BLANK_RANGE 24

static void low_frequencies(const float *grey, float *out) {
  static const double pi = 3.14159265358979323846;
  float wave[CORNER][GREY], across[GREY][CORNER];
  for (size_t u = 0; u < CORNER; u++)
    for (size_t x = 0; x < GREY; x++) wave[u][x] = (float)cos(pi * (double)(u * (2 * x + 1)) / (2 * GREY));
  for (size_t y = 0; y < GREY; y++)
    for (size_t u = 0; u < CORNER; u++) {
      across[y][u] = 0;
      for (size_t x = 0; x < GREY; x++) across[y][u] += grey[y * GREY + x] * wave[u][x];
    }
  for (size_t v = 0; v < CORNER; v++)
    for (size_t u = 0; u < CORNER; u++) {
      float sum = 0;
      for (size_t y = 0; y < GREY; y++) sum += across[y][u] * wave[v][y];
      out[v * CORNER + u] = sum;
    }
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Bit 0, the mean brightness, stays clear. */
static uint64_t hash_of(const float *grey) {
  float low[CORNER * CORNER], sorted[CORNER * CORNER];
  uint64_t hash = 0;
  low_frequencies(grey, low);
  memcpy(sorted, low + 1, sizeof sorted - sizeof *sorted);
  qsort(sorted, CORNER * CORNER - 1, sizeof *sorted, by_size);
  float median = sorted[(CORNER * CORNER - 1) / 2];
  for (size_t i = 1; i < CORNER * CORNER; i++) hash |= (uint64_t)(low[i] > median) << i;
  return hash;
}

static void measure_thumb(hem__look *look) {
  enum { VALUES = sizeof look->thumb };
  double sum = 0, squares = 0;
  for (size_t i = 0; i < VALUES; i++) {
    sum += look->thumb[i];
    squares += (double)look->thumb[i] * look->thumb[i];
  }
  double mean = sum / VALUES;
  look->mean = (float)mean;
  look->contrast = (float)sqrt(fmax(squares / VALUES - mean * mean, 0));
}

hem_status hem__look_of(const hem__image *image, hem__look *out, hem_error *err) {
  hem__image small = {0}, smaller = {0};
  float grey[GREY * GREY], low = 255, high = 0;
  hem_status status = hem__image_resize(image, GREY, GREY, &small, err);
  if (!status) status = hem__image_resize(&small, HEM__THUMB, HEM__THUMB, &smaller, err);
  if (status) goto exit;
  for (size_t i = 0; i < GREY * GREY; i++) {
    grey[i] = hem__luma(small.at + 3 * i);
    low = fminf(low, grey[i]);
    high = fmaxf(high, grey[i]);
  }
  *out = (hem__look){.hash = hash_of(grey),
                     .shape = (float)image->width / (float)image->height,
                     .small = hem__min(image->width, image->height) < SMALL,
                     .blank = high - low < BLANK_RANGE};
  memcpy(out->thumb, smaller.at, sizeof out->thumb);
  measure_thumb(out);
exit:
  hem__image_clear(&small);
  hem__image_clear(&smaller);
  return status;
}

double hem__look_difference(const hem__look *a, const hem__look *b) {
  int64_t squares = 0;
  for (size_t i = 0; i < sizeof a->thumb; i++) {
    int d = (int)a->thumb[i] - (int)b->thumb[i];
    squares += d * d;
  }
  double shift = (double)a->mean - (double)b->mean; /* a copy may be lighter */
  double rms = sqrt(fmax((double)squares / sizeof a->thumb - shift * shift, 0));
  double contrast = hypot(a->contrast, b->contrast);
  return contrast > 0 ? rms / contrast : rms > 0 ? 2 : 0;
}

bool hem__look_alike(const hem__look *a, const hem__look *b) {
  if (a->blank || b->blank) return false;
  float shape = a->shape / b->shape;
  return __builtin_popcountll(a->hash ^ b->hash) <= BITS_APART && shape < SHAPES_APART && shape > 1 / SHAPES_APART &&
         hem__look_difference(a, b) <= (a->small || b->small ? DIFFERENT_SMALL : DIFFERENT);
}

#define INLINE static inline __attribute__((always_inline))

INLINE void scan(const hem__look *looks, const uint64_t *hashes, size_t count, void (*found)(void *, size_t),
                 void *context) {
  for (size_t i = 1; i < count; i++)
    if (__builtin_popcountll(hashes[0] ^ hashes[i]) <= BITS_APART && hem__look_alike(&looks[0], &looks[i]))
      found(context, i);
}

#if defined(__x86_64__)
/* The baseline has no instruction that counts bits. */
__attribute__((target("popcnt"))) static void scan_popcnt(const hem__look *looks, const uint64_t *hashes, size_t count,
                                                          void (*found)(void *, size_t), void *context) {
  scan(looks, hashes, count, found, context);
}
#endif

void hem__look_scan(const hem__look *looks, const uint64_t *hashes, size_t count, void (*found)(void *, size_t),
                    void *context) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("popcnt")) {
    scan_popcnt(looks, hashes, count, found, context);
    return;
  }
#endif
  scan(looks, hashes, count, found, context);
}
