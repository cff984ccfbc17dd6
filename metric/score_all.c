/* |a - b| of one query and a block of the gallery is a matrix; its product with W1 is one sgemm. A block of 2 MiB is
 * still in a cache when sgemm packs it, and has rows enough for the packing of W1, done anew in every call, to cost
 * little (measured: from 128 to 1,024 rows of 2,048 values make no difference of 10%). */
#include "metric/score_all.h"

#include <math.h>
#include <stdlib.h>

#include "base/threads.h"
#include "metric/blas.h"

enum { BLOCK_VALUES = 1 << 19, MIN_ROWS = 64, MAX_ROWS = 1024 };

typedef struct scratch {
  float *differences; /* rows x width */
  float *hidden;      /* rows x hidden */
  float *scores;      /* of the whole gallery */
} scratch;

typedef struct scoring {
  const hem__score_all_job *job;
  size_t rows; /* of a block */
  scratch *scratch;
} scoring;

#define INLINE static inline __attribute__((always_inline))

INLINE void subtract(const float *query, const float *points, size_t rows, size_t width, float *out) {
  for (size_t i = 0; i < rows; i++)
    for (size_t d = 0; d < width; d++) out[i * width + d] = fabsf(query[d] - points[i * width + d]);
}

/* scores[i] = b2 + sum over h of w2[h] * relu(hidden[i][h] + b1[h]). Sixteen sums, so that the order of additions does
 * not depend on the processor. */
INLINE void finish(const hem__metric *m, const float *hidden, size_t rows, float *scores) {
  enum { LANES = 16 };
  for (size_t i = 0; i < rows; i++) {
    const float *z = hidden + i * m->hidden;
    float lanes[LANES] = {0}, sum = m->b2;
    size_t h = 0;
    for (; h + LANES <= m->hidden; h += LANES)
      for (size_t j = 0; j < LANES; j++) {
        float a = z[h + j] + m->b1[h + j];
        lanes[j] += m->w2[h + j] * (a > 0 ? a : 0);
      }
    for (; h < m->hidden; h++) sum += m->w2[h] * fmaxf(z[h] + m->b1[h], 0);
    for (size_t j = 0; j < LANES; j++) sum += lanes[j];
    scores[i] = sum;
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void subtract_avx2(const float *query, const float *points, size_t rows,
                                                          size_t width, float *out) {
  subtract(query, points, rows, width, out);
}
__attribute__((target("avx2"))) static void finish_avx2(const hem__metric *m, const float *hidden, size_t rows,
                                                        float *scores) {
  finish(m, hidden, rows, scores);
}
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#else
static void subtract_avx2(const float *query, const float *points, size_t rows, size_t width, float *out) {
  subtract(query, points, rows, width, out);
}
static void finish_avx2(const hem__metric *m, const float *hidden, size_t rows, float *scores) {
  finish(m, hidden, rows, scores);
}
static bool has_avx2(void) { return false; }
#endif

static void score_block(const scoring *s, const scratch *own, const float *query, size_t first, size_t rows) {
  const hem__metric *m = s->job->metric;
  const float *points = hem__row(s->job->gallery, first);
  bool wide = has_avx2();
  (wide ? subtract_avx2 : subtract)(query, points, rows, m->width, own->differences);
  if (m->form != HEM__HEAD) {
    for (size_t i = 0; m->form == HEM__WEIGHTED_L2 && i < rows * m->width; i++)
      own->differences[i] *= own->differences[i];
    for (size_t i = 0; i < rows; i++) own->scores[first + i] = m->b2;
    hem__gemm(false, true, rows, 1, m->width, 1, own->differences, m->w2, 1, own->scores + first, 1);
    return;
  }
  hem__gemm(false, true, rows, m->hidden, m->width, 1, own->differences, m->w1, 0, own->hidden, m->hidden);
  (wide ? finish_avx2 : finish)(m, own->hidden, rows, own->scores + first);
}

static void score_query(void *context, size_t query, size_t worker) {
  const scoring *s = context;
  const hem__score_all_job *job = s->job;
  const scratch *own = &s->scratch[worker];
  for (size_t first = 0; first < job->gallery.rows; first += s->rows)
    score_block(s, own, hem__row(job->queries, query), first, hem__min(s->rows, job->gallery.rows - first));
  job->take(job->context, query, own->scores, worker);
}

hem_status hem__score_all(const hem__score_all_job *job, hem_error *err) {
  const hem__metric *m = job->metric;
  size_t threads = hem__min(job->threads ? job->threads : hem__cores(), hem__max(job->queries.rows, 1));
  scoring s = {.job = job, .rows = hem__min(hem__max(BLOCK_VALUES / m->width, MIN_ROWS), MAX_ROWS)};
  hem_status status = hem__alloc(threads, sizeof *s.scratch, "scores", &s.scratch, err);
  for (size_t i = 0; i < threads && !status; i++) {
    scratch *own = &s.scratch[i];
    status = hem__alloc(s.rows * m->width, sizeof(float), "scores", &own->differences, err);
    if (!status) status = hem__alloc(s.rows * m->hidden, sizeof(float), "scores", &own->hidden, err);
    if (!status) status = hem__alloc(job->gallery.rows, sizeof(float), "scores", &own->scores, err);
  }
  if (!status) status = hem__parallel_for(job->queries.rows, threads, score_query, &s, err);
  for (size_t i = 0; s.scratch && i < threads; i++) {
    free(s.scratch[i].differences);
    free(s.scratch[i].hidden);
    free(s.scratch[i].scores);
  }
  free(s.scratch);
  return status;
}
