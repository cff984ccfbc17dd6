/* Scores of one query against many candidates: the kernels of the rerank. score.c chooses one for this processor;
 * score_scalar.c is the oracle; score_avx2.c, score_avx512.c, score_vnni.c and score_neon.c are the same sums faster.
 *
 * A head is a product of [K, width] by [width, H] with |a - b| computed while it is packed and relu and w2 applied
 * while the sums are in registers. Three forms of the candidates' points:
 *
 *   HEM__U8   bytes (quantise.h). The step of each dimension is folded into W1, and each row of W1 becomes signed bytes
 *             with a scale of its own; a dimension whose weights are far above the others takes several bytes, up to
 *             an eighth more in all. Sums are whole numbers, what follows them has one order: every kernel gives the
 *             same scores, to the bit.
 *   HEM__F16  half floats, computed in float32.
 *   HEM__F32  float32.
 *
 * Floating sums of a head: kernels differ by rounding only, below (width + H + 8) * 2^-23 of the sum of the terms'
 * sizes. A weighted distance keeps its weights in float32 and has one order of additions for all precisions: the same
 * bits.
 */
#ifndef HEM_METRIC_SCORE_H
#define HEM_METRIC_SCORE_H

#include "metric/metric.h"
#include "metric/quantise.h"

typedef enum hem__precision { HEM__U8 = 0, HEM__F16 = 1, HEM__F32 = 2 } hem__precision;

/* A metric's weights, packed for one kernel. Immutable; shared by threads. */
typedef struct hem__scorer hem__scorer;
/* One thread's working memory. Zeroed is empty; grows to the largest call, then nothing is allocated. */
typedef struct hem__score_scratch {
  void *at;
  size_t capacity;
} hem__score_scratch;

/* `quantiser`: for HEM__U8, else NULL; both are copied from, not kept. `kernel`: a name of hem__score_kernels, or NULL:
 * the fastest this processor has (the environment variable HEMLINE_KERNEL names another). Errors: EUNSUPPORTED (a
 * kernel that this processor or precision lacks), EINVAL, ENOMEM. */
hem_status hem__scorer_new(const hem__metric *metric, hem__precision precision, const hem__quantiser *quantiser,
                           const char *kernel, hem__scorer **out, hem_error *err);
void hem__scorer_free(hem__scorer *scorer);
const char *hem__scorer_kernel(const hem__scorer *scorer); /* "avx2" */
size_t hem__scorer_row_bytes(const hem__scorer *scorer);   /* of one point: width * 1, 2 or 4 */

/* Other weights for a scorer of a weighted distance that one thread owns: s = b2 + w2 . x (or x^2), w2 of any sign.
 * `quantiser`: as for hem__scorer_new. */
void hem__scorer_reweigh(hem__scorer *scorer, const hem__quantiser *quantiser, const float *w2, float b2);
/* Row h of W1 as a scorer of HEM__U8 computes with it: its signed bytes, with their scale and without the steps. */
void hem__scorer_row(const hem__scorer *scorer, const hem__quantiser *quantiser, size_t h, float *out);

/* The kernels that this processor has, the oracle first. Returns how many; `names` holds HEM__KERNELS. */
enum { HEM__KERNELS = 5 };
size_t hem__score_kernels(const char *names[HEM__KERNELS]);

typedef struct hem__score_request {
  const void *query;    /* a point, in the scorer's precision */
  const void *points;   /* the gallery's points, row by row, in the scorer's precision */
  const uint32_t *rows; /* of the candidates; NULL: 0, 1, 2, ... */
  size_t count;
} hem__score_request;

/* scores[i] = s of the query and candidate i. Prefetches the rows it comes to. Errors: ENOMEM. */
hem_status hem__score(const hem__scorer *scorer, const hem__score_request *request, hem__score_scratch *scratch,
                      float *scores, hem_error *err);
void hem__score_scratch_clear(hem__score_scratch *scratch);

/* A line that no score is above: for any point x = |t - t'| with values within [0, most], s <= offset - sum(slope * x).
 * Linear relaxation (Zhang et al. 2018, CROWN): of a hidden unit with w2 <= 0 the tangent at `near`, of one with w2 > 0
 * the chord over its range. Exact at `near` for a concave head. `slope`: width doubles. */
void hem__score_bound(const hem__metric *metric, const float *near, const float *most, double *slope, double *offset);

#endif
