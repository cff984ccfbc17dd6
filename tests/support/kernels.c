#include "support/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GALLERY = 300 };

typedef struct shape {
  size_t width, hidden, count; /* hidden 0: weighted L1 */
} shape;

/* Around the sizes of registers, tiles, blocks and chunks of every kernel. */
static const shape awkward[] = {
    {1, 1, 1},      {1, 1, 0},     {1, 0, 1},     {2, 3, 2},     {3, 17, 5},    {4, 16, 6},    {5, 33, 7},
    {15, 31, 11},   {16, 32, 12},  {17, 15, 13},  {31, 1, 23},   {32, 0, 24},   {33, 0, 25},   {63, 48, 37},
    {64, 32, 239},  {65, 5, 240},  {66, 7, 241},  {191, 33, 6},  {192, 16, 13}, {193, 17, 12}, {255, 16, 250},
    {256, 1, 6},    {257, 40, 19}, {383, 33, 14}, {385, 2, 13},  {511, 16, 5},  {512, 32, 12}, {513, 64, 18},
    {767, 32, 3},   {768, 33, 25}, {770, 1, 1},   {1025, 20, 7}, {1540, 70, 9}, {255, 0, 481}, {257, 0, 7},
    {1000, 0, 100}, {7, 200, 100}, {3, 500, 1},   {2048, 3, 2},  {1, 64, 300},
};
enum { AWKWARD = sizeof awkward / sizeof *awkward, WIDTH_MAX = 2048, HIDDEN_MAX = 512 };

/* One case: a metric, points in the three forms, and rows of them. */
typedef struct scene {
  hem__metric metric;
  hem__quantiser quantiser;
  float *floats; /* the query's point, then the gallery's */
  uint16_t *halves;
  uint8_t *bytes;
  uint32_t rows[2 * GALLERY];
  size_t count;
  float want[2 * GALLERY + 1], got[2 * GALLERY + 1];
} scene;

static uint64_t draw(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15U;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
  z = (z ^ z >> 27) * 0x94d049bb133111ebU;
  return z ^ z >> 31;
}

static float uniform(uint64_t *state, float low, float high) {
  return low + (high - low) * (float)(draw(state) >> 40) * 0x1p-24F;
}

static void clear(scene *s) {
  free(s->metric.w1);
  free(s->metric.b1);
  free(s->metric.w2);
  hem__quantiser_clear(&s->quantiser);
  free(s->floats);
  free(s->halves);
  free(s->bytes);
}

static hem_status alloc(scene *s, shape at, hem_error *err) {
  size_t values = (GALLERY + 1) * at.width;
  hem_status status = hem__alloc(at.hidden * at.width, sizeof(float), "w1", &s->metric.w1, err);
  if (!status) status = hem__alloc(at.hidden, sizeof(float), "b1", &s->metric.b1, err);
  if (!status) status = hem__alloc(at.hidden ? at.hidden : at.width, sizeof(float), "w2", &s->metric.w2, err);
  if (!status) status = hem__alloc(values, sizeof(float), "points", &s->floats, err);
  if (!status) status = hem__alloc(values, sizeof(uint16_t), "halves", &s->halves, err);
  if (!status) status = hem__alloc(values, 1, "bytes", &s->bytes, err);
  return status;
}

/* Dimensions of very different ranges, one of them constant, rows of very different sizes, one of them zero. */
static hem_status make(scene *s, shape at, uint64_t *state, hem_error *err) {
  *s = (scene){.metric = {.form = at.hidden ? HEM__HEAD : HEM__WEIGHTED_L1, .dim = at.width, .width = at.width}};
  hem_status status = alloc(s, at, err);
  if (status) return status;
  s->metric.hidden = at.hidden;
  s->metric.b2 = uniform(state, -1, 1);
  for (size_t h = 0; h < at.hidden; h++) {
    float size = h == 5 ? 0 : uniform(state, 0.1F, 2);
    for (size_t d = 0; d < at.width; d++)
      s->metric.w1[h * at.width + d] =
          uniform(state, -size, size) * (d % 40 == 11 ? 60 : 1); /* bytes: several columns */
    s->metric.b1[h] = uniform(state, -1, 1);
  }
  for (size_t i = 0; i < (at.hidden ? at.hidden : at.width); i++) s->metric.w2[i] = uniform(state, -1, 0.5F);
  for (size_t d = 0; d < at.width; d++) {
    float size = d == 7 ? 0 : uniform(state, 0.01F, 3), middle = uniform(state, -2, 2);
    for (size_t i = 0; i <= GALLERY; i++) s->floats[i * at.width + d] = middle + uniform(state, -size, size);
  }
  hem__to_half(s->floats, (GALLERY + 1) * at.width, s->halves);
  status = hem__quantiser_fit((hem__matrix){s->floats, GALLERY + 1, at.width}, &s->quantiser, err);
  if (status) return status;
  hem__quantise(&s->quantiser, s->floats, GALLERY + 1, s->bytes);
  s->count = at.count;
  for (size_t i = 0; i < at.count; i++) s->rows[i] = (uint32_t)(draw(state) % GALLERY);
  return HEM_OK;
}

static const void *points_of(const scene *s, hem__precision precision) {
  return precision == HEM__U8 ? (const void *)s->bytes : precision == HEM__F16 ? (const void *)s->halves : s->floats;
}

static hem_status score(const scene *s, const hem__score_kernel *kernel, hem__precision precision, bool listed,
                        hem__score_scratch *scratch, float *out, hem_error *err) {
  hem__scorer *scorer = NULL;
  const hem__quantiser *quantiser = precision == HEM__U8 ? &s->quantiser : NULL;
  hem_status status = hem__scorer_with(&s->metric, precision, quantiser, kernel, &scorer, err);
  if (status) return status;
  const char *points = points_of(s, precision);
  hem__score_request request = {.query = points,
                                .points = points + hem__scorer_row_bytes(scorer),
                                .rows = listed ? s->rows : NULL,
                                .count = listed ? s->count : hem__min(s->count, GALLERY)};
  out[request.count] = 12345;
  status = hem__score(scorer, &request, scratch, out, err);
  if (!status && out[request.count] != 12345) status = hem__fail(err, HEM_EINVAL, "wrote behind its scores");
  hem__scorer_free(scorer);
  return status;
}

/* The definition; *size gets the sum of the terms' sizes, which is what rounding is relative to. */
static double defined(const scene *s, hem__precision precision, size_t row, double *size) {
  const hem__metric *m = &s->metric;
  double x[WIDTH_MAX], sum = m->b2;
  for (size_t d = 0; d < m->width; d++) {
    size_t a = d, b = (row + 1) * m->width + d;
    x[d] = precision == HEM__F16 ? fabs((double)hem__from_half(s->halves[a]) - (double)hem__from_half(s->halves[b]))
                                 : fabs((double)s->floats[a] - (double)s->floats[b]);
  }
  *size = fabs(sum);
  for (size_t d = 0; m->hidden == 0 && d < m->width; d++) {
    sum += (double)m->w2[d] * x[d];
    *size += fabs((double)m->w2[d] * x[d]);
  }
  for (size_t h = 0; h < m->hidden; h++) {
    double unit = m->b1[h], terms = fabs(unit);
    for (size_t d = 0; d < m->width; d++) {
      unit += (double)m->w1[h * m->width + d] * x[d];
      terms += fabs((double)m->w1[h * m->width + d] * x[d]);
    }
    sum += (double)m->w2[h] * fmax(unit, 0);
    *size += fabs((double)m->w2[h]) * terms;
  }
  return sum;
}

/* The header's bound against the definition. */
static bool within(const scene *s, hem__precision precision, size_t i, bool listed, char *why, size_t room) {
  double size, want = defined(s, precision, listed ? s->rows[i] : i, &size);
  double bound = size * (double)(s->metric.width + s->metric.hidden + 8) * 0x1p-23;
  if (fabs((double)s->got[i] - want) <= bound) return true;
  snprintf(why, room, "candidate %zu scores %.9g instead of %.17g, bound %.3g", i, (double)s->got[i], want, bound);
  return false;
}

/* Bytes, and a weighted L1 of anything: the oracle's bits. */
static bool agrees(scene *s, const hem__score_kernel *kernel, hem__precision precision, bool listed,
                   hem__score_scratch *scratch, char *why, size_t room) {
  hem_error err = {0};
  if (score(s, kernel, precision, listed, scratch, s->got, &err) ||
      score(s, &hem__score_scalar, precision, listed, scratch, s->want, &err)) {
    snprintf(why, room, "%s", err.message);
    return false;
  }
  size_t count = listed ? s->count : hem__min(s->count, GALLERY);
  for (size_t i = 0; i < count; i++) {
    bool exact = precision == HEM__U8 || s->metric.hidden == 0;
    if (exact && memcmp(&s->got[i], &s->want[i], sizeof *s->got) != 0) {
      snprintf(why, room, "candidate %zu scores %.9g and the oracle %.9g", i, (double)s->got[i], (double)s->want[i]);
      return false;
    }
    if (precision != HEM__U8 && i < 5 && !within(s, precision, i, listed, why, room)) return false;
    if (!isfinite(s->got[i])) {
      snprintf(why, room, "candidate %zu scores %g", i, (double)s->got[i]);
      return false;
    }
  }
  return true;
}

static bool one_case(const hem__score_kernel *kernel, shape at, uint64_t *state, hem__score_scratch *scratch, char *why,
                     size_t room) {
  scene s = {0};
  hem_error err = {0};
  bool right = make(&s, at, state, &err) == HEM_OK;
  if (!right) snprintf(why, room, "%s", err.message);
  for (int p = HEM__U8; right && p <= HEM__F32; p++)
    for (int listed = 0; right && listed < 2; listed++) {
      right = agrees(&s, kernel, (hem__precision)p, listed, scratch, why, room);
      size_t length = strlen(why);
      if (!right)
        snprintf(why + length, room - length, " (%s, precision %d, width %zu, hidden %zu, %zu candidates%s)",
                 kernel->name, p, at.width, at.hidden, at.count, listed ? " by row" : "");
    }
  clear(&s);
  return right;
}

bool hem__kernel_is_right(const hem__score_kernel *kernel, size_t cases, char *why, size_t room) {
  uint64_t state = 1;
  bool right = true;
  hem__score_scratch scratch = {0}; /* one for all shapes: it may hold what another left */
  *why = 0;
  for (size_t i = 0; right && i < cases; i++) {
    shape at = {1 + draw(&state) % 800, draw(&state) % 80, draw(&state) % 30};
    right = one_case(kernel, i < AWKWARD ? awkward[i] : at, &state, &scratch, why, room);
  }
  hem__score_scratch_clear(&scratch);
  return right;
}
