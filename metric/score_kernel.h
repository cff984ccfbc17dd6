/* Inside the scoring kernels: what score.c asks of one. For score*.c and their tests.
 *
 * score.c cuts the product [K, width] by [width, H] into tiles of some rows (candidates) by some hidden units, over
 * blocks of the width that fit the first cache, and a kernel computes tiles. All kernels add in one order:
 *
 *   - the products of a row and a hidden unit by ascending dimension (whole numbers: any order is the same);
 *   - then value = relu(sum * scale + b1) * w2, each operation rounded by itself;
 *   - values into HEM__LANES running sums, hidden unit h into sum h % HEM__LANES, ascending; score.c folds these.
 *
 * So scores of bytes are the same bits in every kernel, a row's score does not depend on the rows beside it, and float
 * kernels differ only by whether they fuse multiplication and addition in the first step. */
#ifndef HEM_METRIC_SCORE_KERNEL_H
#define HEM_METRIC_SCORE_KERNEL_H

#include "metric/score.h"

enum {
  HEM__LANES = 16,
  HEM__DOT_LANES = 32, /* of a weighted L1: dimension d goes into sum d % 32 */
  HEM__SIGNED_MAX = 127
};
/* No sum of whole numbers leaves 32 bits. */
_Static_assert((int64_t)255 * HEM__SIGNED_MAX * HEM__METRIC_DIM_MAX <= INT32_MAX, "sums of bytes overflow");

typedef struct hem__tile {
  const void *x; /* |a - b|: the tile's rows, `stride` bytes apart */
  size_t stride;
  const void *w;                /* [steps][hidden][group] weights */
  size_t steps;                 /* groups of dimensions in this block */
  void *sums;                   /* [rows][hidden] of float or int32_t: what is carried from block to block */
  bool first, last;             /* of the blocks: sums are not read, not written */
  const float *scale, *b1, *w2; /* [hidden]; scale of whole numbers only */
  const int32_t *start;         /* [hidden]; where sums of biased bytes begin */
  float *lanes;                 /* [rows][HEM__LANES], added to when `last` */
} hem__tile;

/* How a kernel multiplies floats, or whole numbers. */
typedef struct hem__score_math {
  size_t group;            /* dimensions of one hidden unit that lie side by side in a panel */
  size_t x_bytes, w_bytes; /* of one packed value: float, int16_t or int8_t */
  size_t block;            /* dimensions in a block, a multiple of group */
  size_t rows, hidden;     /* of the largest tile; hidden is a multiple of HEM__LANES */
  bool biased;             /* x is |a - b| - 128, as int8_t */
  void (*tile)(const hem__tile *tile, size_t rows);
} hem__score_math;

/* A weighted distance whole: the sum over d of w[d] * |a[d] - b[d]|, or of its square, d into running sum
 * d % HEM__DOT_LANES; these folded as score.c folds them: the same bits as `dot` gives, which writes |a - b| first. */
typedef float hem__line(const void *a, const void *b, const float *w, size_t count, bool squared);

/* out[d] = |a[d] - b[d]|, packed. */
typedef void hem__difference(const void *a, const void *b, size_t count, void *out);

typedef struct hem__score_kernel {
  const char *name;
  hem__score_math real, whole;
  hem__difference *floats, *halves, *bytes; /* into `real`, `real` and `whole` values */
  hem__difference *bytes_to_floats;
  void (*dot)(const float *x, const float *w, size_t count, float lanes[HEM__DOT_LANES]); /* adds to lanes */
  hem__line *line_halves, *line_bytes;                                                    /* NULL: by way of `dot` */
} hem__score_kernel;

extern const hem__score_kernel hem__score_scalar;
extern const hem__score_kernel hem__score_avx2, hem__score_avx512, hem__score_vnni; /* of x86-64 */
extern const hem__score_kernel hem__score_neon, hem__score_dotprod;                 /* of arm64 */

/* What the other kernels of x86-64 take from score_avx2.c. */
hem__line hem__avx2_line_halves, hem__avx2_line_bytes;
/* What score_vnni.c takes from score_avx512.c, and score_dotprod.c from score_neon.c. */
void hem__avx512_tile(const hem__tile *tile, size_t rows);
hem__difference hem__avx512_floats, hem__avx512_halves, hem__avx512_bytes_to_floats;
void hem__avx512_dot(const float *x, const float *w, size_t count, float lanes[HEM__DOT_LANES]);
void hem__neon_tile(const hem__tile *tile, size_t rows);
hem__difference hem__neon_floats, hem__neon_halves, hem__neon_bytes_to_floats;
void hem__neon_dot(const float *x, const float *w, size_t count, float lanes[HEM__DOT_LANES]);

/* The kernels that hem__score_kernels lists. */
size_t hem__score_kernels_here(const hem__score_kernel *out[HEM__KERNELS]);
/* hem__scorer_new with a kernel that need not be among hem__score_kernels. */
hem_status hem__scorer_with(const hem__metric *metric, hem__precision precision, const hem__quantiser *quantiser,
                            const hem__score_kernel *kernel, hem__scorer **out, hem_error *err);

/* For the ends of rows that do not fill a register. */
static inline float hem__difference_of_floats(float a, float b) { return a > b ? a - b : b - a; }
static inline uint8_t hem__difference_of_bytes(uint8_t a, uint8_t b) { return (uint8_t)(a > b ? a - b : b - a); }

/* Loops over a tile's registers must unroll whole, or the registers become memory. */
#if defined(__clang__)
#define HEM__UNROLL _Pragma("clang loop unroll(full)")
#else
#define HEM__UNROLL _Pragma("GCC unroll 32")
#endif
#define HEM__INLINE static inline __attribute__((always_inline))

/* body(t, rows) with `rows` a constant, for each number of rows that a tile may have. */
#define HEM__ROWS(body, t, n) \
  case n:                     \
    body(t, n);               \
    break;
#define HEM__ROWS_6(body, t) \
  HEM__ROWS(body, t, 1)      \
  HEM__ROWS(body, t, 2) HEM__ROWS(body, t, 3) HEM__ROWS(body, t, 4) HEM__ROWS(body, t, 5) HEM__ROWS(body, t, 6)
#define HEM__BY_ROWS_6(body, t, rows)      \
  do {                                     \
    switch (rows) { HEM__ROWS_6(body, t) } \
  } while (0)
#define HEM__BY_ROWS_12(body, t, rows)                                     \
  do {                                                                     \
    switch (rows) {                                                        \
      HEM__ROWS_6(body, t)                                                 \
      HEM__ROWS(body, t, 7)                                                \
      HEM__ROWS(body, t, 8)                                                \
      HEM__ROWS(body, t, 9)                                                \
      HEM__ROWS(body, t, 10) HEM__ROWS(body, t, 11) HEM__ROWS(body, t, 12) \
    }                                                                      \
  } while (0)

#endif
