/* Scoring: which kernel, the weights in its layout, and the loops around its tiles (score_kernel.h).
 *
 * Blocking after Goto and van de Geijn 2008. For each block of the width: |a - b| of up to CHUNK candidates is packed
 * (it stays in the second cache); then for each panel of hidden units: the panel's block (16 to 24 KiB: first cache)
 * meets all candidates, a tile at a time. Sums wait in `sums` for the next block, laid out in the order in which tiles
 * come. In the last block a tile ends in relu and w2 and leaves nothing but HEM__LANES sums a candidate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/status.h"
#include "metric/score_kernel.h"

enum {
  CHUNK = 240,       /* candidates packed together: of whole tiles for every kernel */
  ALIGN = 64,        /* bytes: a cache line */
  LINE_STEP = 256,   /* dimensions of a weighted distance at once; a multiple of HEM__DOT_LANES */
  COPIES_STEP = 256, /* copied columns packed together */
  LARGE = 6,         /* times a row's mean: weights above are too large for one column */
  COLUMNS_MAX = INT32_MAX / (255 * HEM__SIGNED_MAX), /* so that no sum leaves 32 bits */
  AHEAD = 4,                                         /* rows that are asked for before they are needed */
  AHEAD_LINES = 32                                   /* of each, at most: the processor goes on by itself */
};
_Static_assert(LINE_STEP % HEM__DOT_LANES == 0, "lanes would not meet their dimensions");

struct hem__scorer {
  const hem__score_kernel *kernel;
  const hem__score_math *math; /* the kernel's, for this precision */
  hem__precision precision;
  hem__form form;
  size_t width, panels;
  size_t columns;         /* width, and behind it copies of dimensions whose weights are large (split_dimensions) */
  uint32_t *copied;       /* [columns - width]: of which dimension */
  char *weights;          /* by block, panel: [steps][hidden][group]; of a weighted distance float[width] */
  float *scale, *b1, *w2; /* [panels * hidden], zero behind the metric's */
  int32_t *start;
  float b2;
};

/* ---- the choice ---- */

#if defined(__x86_64__)
/* clang 14 has no name for it in __builtin_cpu_supports. */
static bool has_f16c(void) {
  unsigned a, b, c = 0, d;
  return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

size_t hem__score_kernels_here(const hem__score_kernel *out[HEM__KERNELS]) {
  size_t count = 0;
  out[count++] = &hem__score_scalar;
#if defined(__x86_64__)
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  if (avx2 && has_f16c()) out[count++] = &hem__score_avx2;
  if (avx512) out[count++] = &hem__score_avx512;
  if (avx512 && __builtin_cpu_supports("avx512vnni")) out[count++] = &hem__score_vnni;
#elif defined(__aarch64__)
  out[count++] = &hem__score_neon;
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) out[count++] = &hem__score_dotprod;
#endif
  return count;
}

size_t hem__score_kernels(const char *names[HEM__KERNELS]) {
  const hem__score_kernel *here[HEM__KERNELS];
  size_t count = hem__score_kernels_here(here);
  for (size_t i = 0; i < count; i++) names[i] = here[i]->name;
  return count;
}

static hem_status choose(const char *name, const hem__score_kernel **out, hem_error *err) {
  const hem__score_kernel *here[HEM__KERNELS];
  size_t count = hem__score_kernels_here(here);
  const char *from = "";
  if (!name) {
    name = getenv("HEMLINE_KERNEL");
    from = " (HEMLINE_KERNEL)";
  }
  for (size_t i = count; i-- > 0;) {
    if (name && *name && strcmp(name, here[i]->name) != 0) continue;
    *out = here[i];
    return HEM_OK;
  }
  char list[128] = "";
  for (size_t i = 0; i < count; i++) {
    if (i) strcat(list, ", ");
    strcat(list, here[i]->name);
  }
  return hem__fail(err, HEM_EUNSUPPORTED, "no scoring kernel '%s'%s on this processor: it has %s", name, from, list);
}

/* ---- weights ---- */

static size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }
static size_t block_length(const hem__scorer *s, size_t at) { return hem__min(s->math->block, s->columns - at); }

/* Whose values column c holds. */
static size_t dimension_of(const hem__scorer *s, size_t c) { return c < s->width ? c : s->copied[c - s->width]; }

/* Where the block of `panel` that begins at dimension `at` lies: blocks before it are full. */
static char *panel_at(const hem__scorer *s, size_t at, size_t panel) {
  size_t hidden = s->math->hidden, length = round_up(block_length(s, at), s->math->group);
  return s->weights + (at * s->panels * hidden + panel * hidden * length) * s->math->w_bytes;
}

/* Row h of W1: `values` as the kernel's weights, floats or whole numbers. */
static void place_row(hem__scorer *s, size_t h, const void *values) {
  const hem__score_math *m = s->math;
  size_t lane = h % m->hidden;
  for (size_t at = 0; at < s->columns; at += m->block) {
    char *panel = panel_at(s, at, h / m->hidden);
    size_t length = block_length(s, at);
    for (size_t d = 0; d < length; d++) {
      size_t to = (d / m->group * m->hidden + lane) * m->group + d % m->group;
      memcpy(panel + to * m->w_bytes, (const char *)values + (at + d) * m->w_bytes, m->w_bytes);
    }
  }
}

void hem__scorer_row(const hem__scorer *s, const hem__quantiser *quantiser, size_t h, float *out) {
  const hem__score_math *m = s->math;
  memset(out, 0, s->width * sizeof *out);
  for (size_t at = 0; at < s->columns; at += m->block) {
    const char *panel = panel_at(s, at, h / m->hidden);
    size_t length = block_length(s, at);
    for (size_t c = 0; c < length; c++) {
      const char *from = panel + ((c / m->group * m->hidden + h % m->hidden) * m->group + c % m->group) * m->w_bytes;
      int8_t small;
      int16_t wide;
      memcpy(&small, from, sizeof small);
      if (m->w_bytes == sizeof wide) memcpy(&wide, from, sizeof wide);
      out[dimension_of(s, at + c)] += m->w_bytes == sizeof wide ? wide : small; /* whole, below 2^24: exact */
    }
  }
  for (size_t d = 0; d < s->width; d++)
    out[d] = (float)((double)out[d] * (double)s->scale[h] / (double)quantiser->step[d]);
}

/* The size of weight d of a row of W1 with the step of its dimension. */
static double size_at(const float *row, const float *step, size_t d) { return fabs((double)row[d] * (double)step[d]); }

/* How many columns dimension d takes where row h's scale is `coarse` times LARGE * its mean weight / 127. */
static void count_copies(const hem__metric *metric, const float *step, double coarse, uint32_t *copies) {
  for (size_t d = 0; d < metric->width; d++) copies[d] = 1;
  for (size_t h = 0; h < metric->hidden; h++) {
    const float *row = metric->w1 + h * metric->width;
    double mean = 0;
    for (size_t d = 0; d < metric->width; d++) mean += size_at(row, step, d) / (double)metric->width;
    double most = coarse * LARGE * mean;
    for (size_t d = 0; most > 0 && d < metric->width; d++) {
      double wanted = ceil(size_at(row, step, d) / most);
      if (wanted > copies[d]) copies[d] = (uint32_t)fmin(wanted, HEM__METRIC_DIM_MAX);
    }
  }
}

/* One large weight makes a row's scale coarse for all the others. White-box features have such dimensions: with them
 * overlap@20 with float32 fell to 0.28. A dimension that occurs c times, each with its share of the weight, may weigh c
 * * 127 (outlier channel splitting: Zhao et al. 2019); an eighth more columns are worth it, more are not. */
static hem_status split_dimensions(hem__scorer *s, const hem__metric *metric, const float *step, hem_error *err) {
  uint32_t *copies = NULL;
  hem_status status = hem__alloc(s->width, sizeof *copies, "a metric's weights", &copies, err);
  if (status) return status;
  size_t room = hem__min(s->width / 8, COLUMNS_MAX - s->width), extra = SIZE_MAX;
  for (double coarse = 1; extra > room; coarse *= 1.25) {
    count_copies(metric, step, coarse, copies);
    extra = 0;
    for (size_t d = 0; d < s->width; d++) extra += copies[d] - 1;
  }
  status = hem__alloc(extra, sizeof *s->copied, "a metric's weights", &s->copied, err);
  for (size_t d = 0; !status && d < s->width; d++)
    for (; copies[d] > 1; copies[d]--) s->copied[s->columns++ - s->width] = (uint32_t)d;
  free(copies);
  return status;
}

/* A row of W1 as it becomes signed bytes. */
typedef struct byte_row {
  int32_t *whole; /* [width]: weights in units of the scale; then what copies have not taken */
  int32_t *count; /* [width]: columns of each dimension */
  int8_t *small;  /* [columns] */
  int16_t *wide;  /* the same */
} byte_row;

static hem_status alloc_byte_row(const hem__scorer *s, byte_row *r, hem_error *err) {
  hem_status status = hem__alloc(s->width, sizeof *r->whole, "a metric's weights", &r->whole, err);
  if (!status) status = hem__alloc(s->width, sizeof *r->count, "a metric's weights", &r->count, err);
  if (!status) status = hem__alloc(s->columns, sizeof *r->small, "a metric's weights", &r->small, err);
  if (!status) status = hem__alloc(s->columns, sizeof *r->wide, "a metric's weights", &r->wide, err);
  for (size_t c = 0; !status && c < s->columns; c++) r->count[dimension_of(s, c)]++;
  return status;
}

static void clear_byte_row(byte_row *r) {
  free(r->whole);
  free(r->count);
  free(r->small);
  free(r->wide);
}

/* The largest weight becomes 127 in each of its columns. Returns the sum of them all. */
static int32_t bytes_of(const hem__scorer *s, const float *row, const float *step, byte_row *r, float *scale) {
  double largest = 0;
  int32_t sum = 0;
  for (size_t d = 0; d < s->width; d++) largest = fmax(largest, size_at(row, step, d) / r->count[d]);
  *scale = (float)(largest / HEM__SIGNED_MAX);
  for (size_t d = 0; d < s->width; d++) {
    double value = *scale > 0 ? (double)row[d] * (double)step[d] / (double)*scale : 0;
    double most = (double)HEM__SIGNED_MAX * r->count[d];
    r->whole[d] = (int32_t)lrint(fmax(-most, fmin(value, most)));
  }
  for (size_t c = 0; c < s->columns; c++) {
    int32_t *rest = &r->whole[dimension_of(s, c)];
    int32_t part = *rest > HEM__SIGNED_MAX ? HEM__SIGNED_MAX : *rest < -HEM__SIGNED_MAX ? -HEM__SIGNED_MAX : *rest;
    *rest -= part;
    r->small[c] = (int8_t)part;
    r->wide[c] = (int16_t)part;
    sum += part;
  }
  return sum;
}

static hem_status place_whole(hem__scorer *s, const hem__metric *metric, const float *step, hem_error *err) {
  byte_row r = {0};
  hem_status status = alloc_byte_row(s, &r, err);
  for (size_t h = 0; !status && h < metric->hidden; h++) {
    int32_t sum = bytes_of(s, metric->w1 + h * s->width, step, &r, &s->scale[h]);
    s->start[h] = s->math->biased ? 128 * sum : 0;
    place_row(s, h, s->math->w_bytes == 1 ? (const void *)r.small : (const void *)r.wide);
  }
  clear_byte_row(&r);
  return status;
}

static hem_status place_head(hem__scorer *s, const hem__metric *metric, const float *step, hem_error *err) {
  memcpy(s->b1, metric->b1, metric->hidden * sizeof *s->b1);
  memcpy(s->w2, metric->w2, metric->hidden * sizeof *s->w2);
  if (step) return place_whole(s, metric, step, err);
  for (size_t h = 0; h < metric->hidden; h++) place_row(s, h, metric->w1 + h * s->width);
  return HEM_OK;
}

static hem_status alloc_head(hem__scorer *s, size_t hidden, hem_error *err) {
  const hem__score_math *m = s->math;
  s->panels = round_up(hidden, m->hidden) / m->hidden;
  size_t units = s->panels * m->hidden, count;
  if (!hem__mul(units, round_up(s->columns, m->group), &count))
    return hem__fail(err, HEM_ENOMEM, "a metric's weights are too many");
  hem_status status = hem__alloc(count, m->w_bytes, "a metric's weights", &s->weights, err);
  if (!status) status = hem__alloc(units, sizeof *s->scale, "a metric's weights", &s->scale, err);
  if (!status) status = hem__alloc(units, sizeof *s->b1, "a metric's weights", &s->b1, err);
  if (!status) status = hem__alloc(units, sizeof *s->w2, "a metric's weights", &s->w2, err);
  if (!status) status = hem__alloc(units, sizeof *s->start, "a metric's weights", &s->start, err);
  return status;
}

void hem__scorer_reweigh(hem__scorer *s, const hem__quantiser *quantiser, const float *w2, float b2) {
  float *w = (float *)(void *)s->weights;
  for (size_t d = 0; d < s->width; d++) {
    float step = quantiser ? quantiser->step[d] : 1;
    w[d] = w2[d] * (s->form == HEM__WEIGHTED_L2 ? step * step : step);
  }
  s->b2 = b2;
}

static hem_status place_line(hem__scorer *s, const hem__metric *metric, const hem__quantiser *quantiser,
                             hem_error *err) {
  hem_status status = hem__alloc(s->width, sizeof(float), "a metric's weights", &s->weights, err);
  if (!status) hem__scorer_reweigh(s, quantiser, metric->w2, metric->b2);
  return status;
}

static hem_status check(const hem__metric *metric, hem__precision precision, const hem__quantiser *quantiser,
                        hem_error *err) {
  if ((size_t)precision > HEM__F32) return hem__fail(err, HEM_EINVAL, "no precision %d", (int)precision);
  if ((precision == HEM__U8) != (quantiser != NULL))
    return hem__fail(err, HEM_EINVAL, "points are bytes exactly where there is a quantiser");
  if (quantiser && quantiser->width != metric->width)
    return hem__fail(err, HEM_EINVAL, "the quantiser is for points of %zu values, the metric for %zu", quantiser->width,
                     metric->width);
  return HEM_OK;
}

hem_status hem__scorer_with(const hem__metric *metric, hem__precision precision, const hem__quantiser *quantiser,
                            const hem__score_kernel *kernel, hem__scorer **out, hem_error *err) {
  hem__scorer *s = NULL;
  const float *step = quantiser ? quantiser->step : NULL;
  hem_status status = check(metric, precision, quantiser, err);
  if (!status) status = hem__alloc(1, sizeof *s, "a scorer", &s, err);
  if (status) return status;
  s->kernel = kernel;
  s->math = precision == HEM__U8 ? &kernel->whole : &kernel->real;
  s->precision = precision;
  s->form = metric->form;
  s->width = s->columns = metric->width;
  s->b2 = metric->b2;
  if (s->form != HEM__HEAD) {
    status = place_line(s, metric, quantiser, err);
  } else {
    if (step) status = split_dimensions(s, metric, step, err);
    if (!status) status = alloc_head(s, metric->hidden, err);
    if (!status) status = place_head(s, metric, step, err);
  }
  if (status) {
    hem__scorer_free(s);
    return status;
  }
  *out = s;
  return HEM_OK;
}

hem_status hem__scorer_new(const hem__metric *metric, hem__precision precision, const hem__quantiser *quantiser,
                           const char *kernel, hem__scorer **out, hem_error *err) {
  const hem__score_kernel *chosen = NULL;
  hem_status status = choose(kernel, &chosen, err);
  return status ? status : hem__scorer_with(metric, precision, quantiser, chosen, out, err);
}

void hem__scorer_free(hem__scorer *s) {
  if (!s) return;
  free(s->copied);
  free(s->weights);
  free(s->scale);
  free(s->b1);
  free(s->w2);
  free(s->start);
  free(s);
}

static size_t value_bytes(const hem__scorer *s) { return (size_t)1 << s->precision; }

const char *hem__scorer_kernel(const hem__scorer *s) { return s->kernel->name; }
size_t hem__scorer_row_bytes(const hem__scorer *s) { return s->width * value_bytes(s); }

/* ---- rows ---- */

/* Row i, from its dimension `at` on. */
static const char *point_at(const hem__scorer *s, const hem__score_request *q, size_t i, size_t at) {
  size_t row = q->rows ? q->rows[i] : i;
  return (const char *)q->points + row * hem__scorer_row_bytes(s) + at * value_bytes(s);
}

/* Asks for `length` dimensions of row i, if there is such a row. */
static void fetch(const hem__scorer *s, const hem__score_request *q, size_t i, size_t at, size_t length) {
  if (i >= q->count) return;
  const char *from = point_at(s, q, i, at);
  size_t bytes = hem__min(length * value_bytes(s), AHEAD_LINES * ALIGN);
  for (size_t b = 0; b < bytes; b += ALIGN) __builtin_prefetch(from + b);
}

static hem__difference *difference_of(const hem__scorer *s) {
  const hem__score_kernel *k = s->kernel;
  if (s->precision != HEM__U8) return s->precision == HEM__F16 ? k->halves : k->floats;
  return s->form == HEM__HEAD ? k->bytes : k->bytes_to_floats;
}

/* A fixed tree: the order of additions depends on nothing. */
static float folded(float *lanes, size_t count) {
  for (size_t width = count / 2; width; width /= 2)
    for (size_t j = 0; j < width; j++) lanes[j] += lanes[j + width];
  return lanes[0];
}

static void square(float *x, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] *= x[i];
}

/* In steps that stay in the first cache. */
static float stepwise(const hem__scorer *s, const void *query, const char *point) {
  hem__difference *difference = difference_of(s);
  _Alignas(ALIGN) float x[LINE_STEP], lanes[HEM__DOT_LANES] = {0};
  for (size_t at = 0; at < s->width; at += LINE_STEP) {
    size_t length = hem__min(LINE_STEP, s->width - at), from = at * value_bytes(s);
    difference((const char *)query + from, point + from, length, x);
    if (s->form == HEM__WEIGHTED_L2) square(x, length);
    s->kernel->dot(x, (const float *)(void *)s->weights + at, length, lanes);
  }
  return folded(lanes, HEM__DOT_LANES);
}

static void weighted_distance(const hem__scorer *s, const hem__score_request *q, float *scores) {
  const float *weights = (const float *)(void *)s->weights;
  hem__line *line = s->precision == HEM__F16  ? s->kernel->line_halves
                    : s->precision == HEM__U8 ? s->kernel->line_bytes
                                              : NULL;
  for (size_t i = 0; i < q->count; i++) {
    if (q->rows) fetch(s, q, i + AHEAD, 0, s->width); /* in order, the processor sees what comes */
    const char *point = point_at(s, q, i, 0);
    float sum =
        line ? line(q->query, point, weights, s->width, s->form == HEM__WEIGHTED_L2) : stepwise(s, q->query, point);
    scores[i] = s->b2 + sum;
  }
}

/* ---- a head ---- */

/* A chunk of candidates on its way through the head; all in the scratch. */
typedef struct chunk {
  const hem__score_request *request;
  size_t first, count; /* of the request's rows */
  size_t stride;       /* bytes between rows of x */
  char *x, *sums;
  float *lanes;
} chunk;

/* Rows of x are a line more than a power of two apart, lest they share the first cache's sets. */
static size_t x_stride(const hem__scorer *s) {
  size_t length = hem__min(round_up(s->columns, s->math->group), s->math->block);
  return round_up(length * s->math->x_bytes, ALIGN) + ALIGN;
}

/* Lays the scratch out for chunks of up to `rows` candidates. */
static hem_status lay_out(const hem__scorer *s, size_t rows, hem__score_scratch *scratch, chunk *c, hem_error *err) {
  c->stride = x_stride(s);
  size_t x = round_up(rows * c->stride, ALIGN), lanes = rows * HEM__LANES * sizeof(float);
  size_t sums = s->columns > s->math->block ? rows * s->panels * s->math->hidden * sizeof(float) : 0;
  size_t bytes = x + lanes + sums;
  if (bytes > scratch->capacity) {
    hem__score_scratch_clear(scratch);
    hem_status status = hem__alloc(bytes, 1, "scoring", &scratch->at, err);
    if (status) return status;
    scratch->capacity = bytes;
  }
  c->x = scratch->at;
  c->lanes = (float *)(void *)(c->x + x);
  c->sums = c->x + x + lanes;
  return HEM_OK;
}

/* Columns `from` on, which are copies of bytes here and there. */
static void pack_copies(const hem__scorer *s, const chunk *c, size_t i, size_t from, size_t count, char *x) {
  const uint8_t *query = c->request->query, *point = (const uint8_t *)point_at(s, c->request, i, 0);
  const uint32_t *copied = s->copied + (from - s->width);
  uint8_t a[COPIES_STEP], b[COPIES_STEP];
  for (size_t at = 0; at < count; at += COPIES_STEP) {
    size_t length = hem__min(COPIES_STEP, count - at);
    for (size_t j = 0; j < length; j++) {
      a[j] = query[copied[at + j]];
      b[j] = point[copied[at + j]];
    }
    s->kernel->bytes(a, b, length, x + at * s->math->x_bytes);
  }
}

static void pack(const hem__scorer *s, const chunk *c, size_t at, size_t length) {
  hem__difference *difference = difference_of(s);
  size_t plain = at < s->width ? hem__min(length, s->width - at) : 0;
  const char *query = (const char *)c->request->query + at * value_bytes(s);
  for (size_t i = 0; i < c->count; i++) {
    char *x = c->x + i * c->stride;
    fetch(s, c->request, c->first + i + AHEAD, at, plain);
    if (plain) difference(query, point_at(s, c->request, c->first + i, at), plain, x);
    if (plain < length) pack_copies(s, c, c->first + i, at + plain, length - plain, x + plain * s->math->x_bytes);
  }
}

/* All candidates of the chunk by one panel. Tiles are as equal as can be: a tile of one row is slow. */
static void panel_by_rows(const hem__scorer *s, const chunk *c, size_t panel, hem__tile *tile) {
  size_t tiles = round_up(c->count, s->math->rows) / s->math->rows;
  for (size_t t = 0, row = 0; t < tiles; t++) {
    size_t rows = c->count / tiles + (t < c->count % tiles);
    tile->x = c->x + row * c->stride;
    tile->sums = c->sums + (panel * c->count + row) * s->math->hidden * sizeof(float);
    tile->lanes = c->lanes + row * HEM__LANES;
    s->math->tile(tile, rows);
    row += rows;
  }
}

static void head(const hem__scorer *s, const chunk *c, float *scores) {
  size_t hidden = s->math->hidden;
  memset(c->lanes, 0, c->count * HEM__LANES * sizeof *c->lanes);
  for (size_t at = 0; at < s->columns; at += s->math->block) {
    size_t length = block_length(s, at);
    pack(s, c, at, length);
    hem__tile tile = {.stride = c->stride,
                      .steps = round_up(length, s->math->group) / s->math->group,
                      .first = at == 0,
                      .last = at + length == s->columns};
    for (size_t p = 0; p < s->panels; p++) {
      tile.w = panel_at(s, at, p);
      tile.scale = s->scale + p * hidden;
      tile.b1 = s->b1 + p * hidden;
      tile.w2 = s->w2 + p * hidden;
      tile.start = s->start + p * hidden;
      panel_by_rows(s, c, p, &tile);
    }
  }
  for (size_t i = 0; i < c->count; i++) scores[i] = s->b2 + folded(c->lanes + i * HEM__LANES, HEM__LANES);
}

hem_status hem__score(const hem__scorer *s, const hem__score_request *request, hem__score_scratch *scratch,
                      float *scores, hem_error *err) {
  if (s->form != HEM__HEAD) {
    weighted_distance(s, request, scores);
    return HEM_OK;
  }
  if (request->count == 0) return HEM_OK;
  size_t chunks = round_up(request->count, CHUNK) / CHUNK, rows = round_up(request->count, chunks) / chunks;
  chunk c = {.request = request};
  hem_status status = lay_out(s, rows, scratch, &c, err);
  if (status) return status;
  for (; c.first < request->count; c.first += c.count) {
    c.count = hem__min(rows, request->count - c.first);
    head(s, &c, scores + c.first);
  }
  return HEM_OK;
}

void hem__score_scratch_clear(hem__score_scratch *scratch) {
  free(scratch->at);
  *scratch = (hem__score_scratch){0};
}
