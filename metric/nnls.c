#include "metric/nnls.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

/* Sums are made by block and added in order: they do not depend on the threads. */
enum { BLOCKS = 16, LANES = 16, STEPS = 120, POWER_STEPS = 12 };

#define INLINE static inline __attribute__((always_inline))

/* ---- one pass over the rows ---- */

typedef struct pass {
  const hem__grouped *rows;
  const float *weights;
  bool with_y;
  float *sums; /* [BLOCKS][width]: of residual * x */
} pass;

INLINE float dot(const float *a, const float *b, size_t count) {
  float lanes[LANES] = {0}, sum = 0;
  size_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (size_t j = 0; j < LANES; j++) lanes[j] += a[i + j] * b[i + j];
  for (; i < count; i++) sum += a[i] * b[i];
  for (size_t j = 0; j < LANES; j++) sum += lanes[j];
  return sum;
}

/* A row is used twice while it is in the first cache. */
INLINE void add_group(const pass *p, size_t group, float *sums) {
  const hem__grouped *r = p->rows;
  const float *x = r->x + group * r->stride * r->width, *y = r->y + group * r->stride;
  for (size_t i = 0; i < r->counts[group]; i++, x += r->width) {
    float residual = dot(p->weights, x, r->width) - (p->with_y ? y[i] : 0);
    for (size_t d = 0; d < r->width; d++) sums[d] += residual * x[d];
  }
}

static void add_group_baseline(const pass *p, size_t group, float *sums) { add_group(p, group, sums); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void add_group_avx2(const pass *p, size_t group, float *sums) {
  add_group(p, group, sums);
}
#endif

static void add_block(void *context, size_t block, size_t worker) {
  const pass *p = context;
  const hem__grouped *r = p->rows;
  float *sums = p->sums + block * r->width;
  void (*add)(const pass *, size_t, float *) = add_group_baseline;
  (void)worker;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) add = add_group_avx2;
#endif
  memset(sums, 0, r->width * sizeof *sums);
  for (size_t g = block * r->groups / BLOCKS; g < (block + 1) * r->groups / BLOCKS; g++) add(p, g, sums);
}

/* out = X' (X w - y), or X' X w. */
static hem_status gradient(pass *p, const float *weights, bool with_y, double *out, hem_error *err) {
  size_t width = p->rows->width;
  p->weights = weights;
  p->with_y = with_y;
  hem_status status = hem__parallel_for(BLOCKS, p->rows->threads, add_block, p, err);
  if (status) return status;
  memset(out, 0, width * sizeof *out);
  for (size_t b = 0; b < BLOCKS; b++)
    for (size_t d = 0; d < width; d++) out[d] += (double)p->sums[b * width + d];
  return HEM_OK;
}

/* ---- the problem ---- */

typedef struct problem {
  pass pass;
  size_t width;
  double plain;     /* weight */
  double ridge;     /* in the units of the rows */
  double curvature; /* not below the largest one */
  double *slope;    /* [width] */
  float *at;        /* [width]: where the gradient is taken */
  float *weights;   /* [width] */
} problem;

/* With all weights 1: 1' X'X 1 and 1' X'y say which common weight fits best. */
static hem_status fit_plain(problem *p, hem_error *err) {
  double with = 0, without = 0;
  for (size_t d = 0; d < p->width; d++) p->at[d] = 1;
  hem_status status = gradient(&p->pass, p->at, false, p->slope, err);
  for (size_t d = 0; d < p->width; d++) without += p->slope[d];
  if (!status) status = gradient(&p->pass, p->at, true, p->slope, err);
  for (size_t d = 0; d < p->width; d++) with += p->slope[d];
  p->plain = without > 0 ? fmax((without - with) / without, 0) : 0;
  return status;
}

/* Takes each group's mean from its rows and wishes: then no intercept is left to be fitted. Returns the sum of squares
 * that remains of x. `mean`: width doubles. */
static double centre(const hem__grouped *r, double *mean) {
  double total = 0;
  for (size_t g = 0; g < r->groups; g++) {
    float *x = r->x + g * r->stride * r->width, *y = r->y + g * r->stride;
    size_t count = r->counts[g];
    double wish = 0;
    memset(mean, 0, r->width * sizeof *mean);
    for (size_t i = 0; i < count; i++) {
      for (size_t d = 0; d < r->width; d++) mean[d] += (double)x[i * r->width + d] / (double)count;
      wish += (double)y[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
      for (size_t d = 0; d < r->width; d++) {
        double left = (double)x[i * r->width + d] - mean[d];
        x[i * r->width + d] = (float)left;
        total += left * left;
      }
      y[i] = (float)((double)y[i] - wish);
    }
  }
  return total;
}

static double square(const double *a, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += a[i] * a[i];
  return sum;
}

/* Power iteration from the direction in which all weights are equal, which is near the largest one here. */
static hem_status find_curvature(problem *p, hem_error *err) {
  hem_status status = HEM_OK;
  double largest = 0;
  for (size_t d = 0; d < p->width; d++) p->at[d] = (float)(1 / sqrt((double)p->width));
  for (size_t i = 0; i < POWER_STEPS && !status; i++) {
    status = gradient(&p->pass, p->at, false, p->slope, err);
    largest = sqrt(square(p->slope, p->width));
    for (size_t d = 0; d < p->width && largest > 0; d++) p->at[d] = (float)(p->slope[d] / largest);
  }
  p->curvature = 1.2 * largest + p->ridge;
  return status;
}

/* One step from `at` to weights >= 0. Returns how far the weights went; *uphill: against the momentum. */
static double step(problem *p, bool *uphill) {
  double moved = 0, turn = 0;
  for (size_t d = 0; d < p->width; d++) {
    double from = (double)p->at[d], slope = p->slope[d] + p->ridge * (from - p->plain);
    double to = fmax(from - slope / p->curvature, 0), change = to - (double)p->weights[d];
    turn += (from - to) * change;
    moved += change * change;
    p->at[d] = (float)change;
    p->weights[d] = (float)to;
  }
  *uphill = turn > 0;
  return sqrt(moved);
}

static hem_status minimise(problem *p, hem_error *err) {
  double momentum = 1, moved = INFINITY, size = p->plain * sqrt((double)p->width);
  hem_status status = HEM_OK;
  for (size_t d = 0; d < p->width; d++) p->weights[d] = p->at[d] = (float)p->plain;
  for (size_t i = 0; i < STEPS && !status && moved > 1e-4 * size; i++) {
    bool uphill;
    if ((status = gradient(&p->pass, p->at, true, p->slope, err))) break;
    moved = step(p, &uphill);
    double next = uphill ? 1 : (1 + sqrt(1 + 4 * momentum * momentum)) / 2;
    float carry = uphill ? 0 : (float)((momentum - 1) / next);
    for (size_t d = 0; d < p->width; d++) p->at[d] = p->weights[d] + carry * p->at[d];
    momentum = next;
  }
  return status;
}

hem_status hem__nnls(const hem__grouped *rows, double ridge, float *weights, hem_error *err) {
  problem p = {.pass = {.rows = rows}, .width = rows->width, .weights = weights};
  hem_status status = hem__alloc(BLOCKS * rows->width, sizeof(float), "a fit", &p.pass.sums, err);
  if (!status) status = hem__alloc(rows->width, sizeof *p.slope, "a fit", &p.slope, err);
  if (!status) status = hem__alloc(rows->width, sizeof *p.at, "a fit", &p.at, err);
  if (!status) p.ridge = ridge * centre(rows, p.slope) / (double)rows->width;
  if (!status) status = fit_plain(&p, err);
  if (!status) status = find_curvature(&p, err);
  if (!status) memset(weights, 0, rows->width * sizeof *weights);
  if (!status && p.curvature > 0) status = minimise(&p, err);
  free(p.pass.sums);
  free(p.slope);
  free(p.at);
  return status;
}
