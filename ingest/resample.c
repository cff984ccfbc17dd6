/* Separable convolution in fixed point. Pillow's rules, which the results are held to: a filter of support s, widened
 * by the scale where it shrinks, sampled at pixel centres, cut at the photo's edges (not the part's), made to add up to
 * one in double precision and rounded to 22 bits; rows are stretched first and rounded to 8 bits, then columns.
 *
 * Rows are stretched two at a time: a pixel of the upper and the pixel below it are eight lanes, each a colour or
 * filling, which all want the same weight. Only the rows and columns behind the window are read.
 *
 * Sums: the weights' absolute values add up to less than 1.3, so a sum of weighted bytes stays under 2^31. */
#include "ingest/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { CHANNELS = 3, SIDE_MAX = 65535, BITS = 32 - 8 - 2, HALF = 1 << (BITS - 1), PAIR = 8, CHUNK = 32 };

/* ---- weights ---- */

/* The source pixels behind the pixels of the window, along one axis. All have the same number of taps, so that no loop
 * over them is mispredicted; some weights are zero. */
typedef struct axis {
  size_t count, taps; /* pixels of the window; source pixels for each */
  size_t first, last; /* source pixels behind any of them: first <= i < last; at least `taps` */
  uint32_t *start;    /* [count] the first source pixel, counted from `first` */
  int32_t *weights;   /* [count][taps] */
} axis;

static void clear_axis(axis *a) {
  free(a->start);
  free(a->weights);
}

static double bilinear(double x) {
  x = fabs(x);
  return x < 1 ? 1 - x : 0;
}

/* R. Keys 1981, a = -1/2; the order of operations is Pillow's. */
static double bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

static const struct {
  double (*at)(double x);
  double support;
} filters[HEM__FILTERS] = {{bilinear, 1}, {bicubic, 2}};

/* One axis of a resampling. */
typedef struct stretch {
  size_t from;       /* pixels of the photo */
  float low, high;   /* the part */
  size_t to;         /* pixels the part becomes */
  size_t skip, want; /* the window */
  hem__filter filter;
} stretch;

static int32_t fixed(double weight) {
  double scaled = weight * (1 << BITS);
  return (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

static double scale_of(const stretch *s) { return (double)(s->high - s->low) / (double)s->to; }

static double widening_of(const stretch *s) {
  double scale = scale_of(s);
  return scale < 1 ? 1 : scale;
}

/* A filter's reach around one pixel. */
typedef struct reach {
  double centre;
  size_t start, end; /* source pixels: start <= i < end */
} reach;

static reach reach_of(const stretch *s, size_t i) {
  reach r = {.centre = (double)s->low + ((double)(s->skip + i) + 0.5) * scale_of(s)};
  double support = filters[s->filter].support * widening_of(s), low = r.centre - support + 0.5;
  r.start = low > 0 ? (size_t)low : 0;
  r.end = hem__min((size_t)(r.centre + support + 0.5), s->from);
  return r;
}

/* `exact` has room for the reach. */
static void weigh(const stretch *s, reach r, double *exact, int32_t *weights) {
  double narrowing = 1 / widening_of(s), sum = 0;
  for (size_t i = r.start; i < r.end; i++) {
    exact[i - r.start] = filters[s->filter].at(((double)i - r.centre + 0.5) * narrowing);
    sum += exact[i - r.start];
  }
  for (size_t i = 0; i < r.end - r.start; i++) weights[i] = fixed(sum != 0 ? exact[i] / sum : exact[i]);
}

static hem_status make_axis(const stretch *s, axis *out, hem_error *err) {
  axis a = {.count = s->want, .first = reach_of(s, 0).start, .last = reach_of(s, s->want - 1).end};
  double *exact = NULL;
  size_t all = SIZE_MAX;
  for (size_t i = 0; i < a.count; i++) {
    reach r = reach_of(s, i);
    a.taps = hem__max(a.taps, r.end - r.start);
  }
  if (!hem__mul(a.count, a.taps, &all)) all = SIZE_MAX;
  hem_status status = hem__alloc(a.count, sizeof *a.start, "stretching a photo", &a.start, err);
  if (!status) status = hem__alloc(all, sizeof *a.weights, "stretching a photo", &a.weights, err);
  if (!status) status = hem__alloc(a.taps, sizeof *exact, "stretching a photo", &exact, err);
  if (status) goto done;
  for (size_t i = 0; i < a.count; i++) {
    reach r = reach_of(s, i);
    size_t start = hem__min(r.start, a.last - a.taps); /* near the end, the zeros stand in front */
    a.start[i] = (uint32_t)(start - a.first);
    weigh(s, r, exact, a.weights + i * a.taps + (r.start - start));
  }
  *out = a;
  a = (axis){0};
done:
  free(exact);
  clear_axis(&a);
  return status;
}

/* ---- pixels ---- */

/* The photo's rows behind the window, stretched to the window's width; and two rows, paired. */
typedef struct band {
  uint8_t *rows;
  size_t stride; /* bytes; a multiple of CHUNK, with at least one to spare */
  uint8_t *pairs;
} band;

/* pairs[x] = upper[x], lower[x]: three colours and one byte of filling each. The last pixel's filling would lie behind
 * the photo. */
static void pair_rows(const uint8_t *upper, const uint8_t *lower, size_t width, uint8_t *pairs) {
  size_t last = width - 1;
  for (size_t x = 0; x < last; x++) {
    memcpy(pairs + x * PAIR, upper + x * CHANNELS, 4);
    memcpy(pairs + x * PAIR + 4, lower + x * CHANNELS, 4);
  }
  memcpy(pairs + last * PAIR, upper + last * CHANNELS, CHANNELS);
  memcpy(pairs + last * PAIR + 4, lower + last * CHANNELS, CHANNELS);
}

static uint8_t to_byte(int32_t sum) {
  sum >>= BITS;
  return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* Two rows of the band. Each pixel writes one byte too many, which the next one mends. */
static void across_plain(const axis *columns, const uint8_t *pairs, uint8_t *upper, uint8_t *lower) {
  for (size_t x = 0; x < columns->count; x++) {
    const uint8_t *at = pairs + (size_t)columns->start[x] * PAIR;
    const int32_t *weights = columns->weights + x * columns->taps;
    int32_t sum[PAIR] = {HALF, HALF, HALF, HALF, HALF, HALF, HALF, HALF};
    for (size_t i = 0; i < columns->taps; i++)
      for (size_t j = 0; j < PAIR; j++) sum[j] += at[i * PAIR + j] * weights[i];
    for (size_t j = 0; j < CHANNELS; j++) {
      upper[x * CHANNELS + j] = to_byte(sum[j]);
      lower[x * CHANNELS + j] = to_byte(sum[j + 4]);
    }
  }
}

/* One row of the result from `taps` rows of the band; writes b->stride bytes. */
static void down_plain(const band *b, size_t start, const int32_t *weights, size_t taps, uint8_t *out) {
  const uint8_t *from = b->rows + start * b->stride;
  for (size_t x = 0; x < b->stride; x += CHUNK) {
    int32_t sum[CHUNK];
    for (size_t j = 0; j < CHUNK; j++) sum[j] = HALF;
    for (size_t i = 0; i < taps; i++)
      for (size_t j = 0; j < CHUNK; j++) sum[j] += from[i * b->stride + x + j] * weights[i];
    for (size_t j = 0; j < CHUNK; j++) out[x + j] = to_byte(sum[j]);
  }
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i weighted(__m256i sum, const uint8_t *at, __m256i weight) {
  __m256i eight = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)at));
  return _mm256_add_epi32(sum, _mm256_mullo_epi32(eight, weight));
}

AVX2 static void across_avx2(const axis *columns, const uint8_t *pairs, uint8_t *upper, uint8_t *lower) {
  for (size_t x = 0; x < columns->count; x++) {
    const uint8_t *at = pairs + (size_t)columns->start[x] * PAIR;
    const int32_t *weights = columns->weights + x * columns->taps;
    __m256i sum = _mm256_set1_epi32(HALF);
    for (size_t i = 0; i < columns->taps; i++) sum = weighted(sum, at + i * PAIR, _mm256_set1_epi32(weights[i]));
    sum = _mm256_srai_epi32(sum, BITS);
    sum = _mm256_packs_epi32(sum, sum);
    sum = _mm256_packus_epi16(sum, sum);
    int32_t above = _mm256_extract_epi32(sum, 0), below = _mm256_extract_epi32(sum, 4);
    memcpy(upper + x * CHANNELS, &above, 4);
    memcpy(lower + x * CHANNELS, &below, 4);
  }
}

AVX2 static void down_avx2(const band *b, size_t start, const int32_t *weights, size_t taps, uint8_t *out) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* packing goes by halves of a register */
  const uint8_t *from = b->rows + start * b->stride;
  for (size_t x = 0; x < b->stride; x += CHUNK) {
    __m256i sum[4];
    for (size_t j = 0; j < 4; j++) sum[j] = _mm256_set1_epi32(HALF);
    for (size_t i = 0; i < taps; i++) {
      __m256i weight = _mm256_set1_epi32(weights[i]);
      for (size_t j = 0; j < 4; j++) sum[j] = weighted(sum[j], from + i * b->stride + x + 8 * j, weight);
    }
    for (size_t j = 0; j < 4; j++) sum[j] = _mm256_srai_epi32(sum[j], BITS);
    __m256i packed = _mm256_packus_epi16(_mm256_packs_epi32(sum[0], sum[1]), _mm256_packs_epi32(sum[2], sum[3]));
    _mm256_storeu_si256((__m256i *)(void *)(out + x), _mm256_permutevar8x32_epi32(packed, order));
  }
}
#endif

typedef struct kernel {
  void (*across)(const axis *columns, const uint8_t *pairs, uint8_t *upper, uint8_t *lower);
  void (*down)(const band *b, size_t start, const int32_t *weights, size_t taps, uint8_t *out);
} kernel;

static kernel choose_kernel(bool plain) {
#if defined(__x86_64__)
  if (!plain && __builtin_cpu_supports("avx2")) return (kernel){across_avx2, down_avx2};
#endif
  (void)plain;
  return (kernel){across_plain, down_plain};
}

static void stretch_rows(kernel k, const hem__image *photo, const axis *columns, const axis *rows, const band *b) {
  size_t row_bytes = photo->width * CHANNELS, height = rows->last - rows->first;
  const uint8_t *from = photo->at + rows->first * row_bytes + columns->first * CHANNELS;
  for (size_t y = 0; y < height; y += 2) {
    size_t below = y + 1 < height ? y + 1 : y; /* an odd last row is its own lower one */
    pair_rows(from + y * row_bytes, from + below * row_bytes, columns->last - columns->first, b->pairs);
    k.across(columns, b->pairs, b->rows + y * b->stride, b->rows + below * b->stride);
  }
}

/* Whole chunks are computed, so the last rows, which have no room for that, go by way of `spare`. */
static void stretch_columns(kernel k, const axis *rows, const band *b, uint8_t *spare, hem__image *out) {
  size_t row_bytes = out->width * CHANNELS, all = row_bytes * out->height;
  for (size_t y = 0; y < rows->count; y++) {
    const int32_t *weights = rows->weights + y * rows->taps;
    bool room = all - y * row_bytes >= b->stride;
    uint8_t *row = out->at + y * row_bytes;
    k.down(b, rows->start[y], weights, rows->taps, room ? row : spare);
    if (!room) memcpy(row, spare, row_bytes);
  }
}

/* ---- the whole ---- */

static bool all_of(const hem__part *p) { return p->left == 0 && p->top == 0 && p->right == 0 && p->bottom == 0; }

/* Written so that NaN is refused. */
static bool inside(const hem__part *p, const hem__image *photo) {
  return p->left >= 0 && p->top >= 0 && (float)p->left < (float)p->right && (float)p->top < (float)p->bottom &&
         p->right <= (double)photo->width && p->bottom <= (double)photo->height;
}

static hem_status check(const hem__image *photo, const hem__part *part, const hem__resampling *how,
                        const hem__window *window, hem_error *err) {
  if (!inside(part, photo))
    return hem__fail(err, HEM_EINVAL, "the part %g,%g to %g,%g is empty or not inside a photo of %zu x %zu pixels",
                     part->left, part->top, part->right, part->bottom, photo->width, photo->height);
  if (how->width > INT32_MAX || how->height > INT32_MAX || window->left > how->width || window->top > how->height ||
      window->width > how->width - window->left || window->height > how->height - window->top)
    return hem__fail(err, HEM_EINVAL, "a window of %zu x %zu pixels at %zu,%zu does not lie in a photo of %zu x %zu",
                     window->width, window->height, window->left, window->top, how->width, how->height);
  if (photo->width > SIDE_MAX || photo->height > SIDE_MAX)
    return hem__fail(err, HEM_EINVAL, "a photo of %zu x %zu pixels: each side must be at most %d", photo->width,
                     photo->height, SIDE_MAX);
  return HEM_OK;
}

hem_status hem__resample(const hem__image *photo, const hem__resampling *how, hem__image *out, hem_error *err) {
  hem__part part = how->part;
  hem__window window = how->window;
  if (all_of(&part)) part = (hem__part){.right = (double)photo->width, .bottom = (double)photo->height};
  if (!window.width && !window.height) window = (hem__window){.width = how->width, .height = how->height};
  hem_status status = check(photo, &part, how, &window, err);
  hem__image made = {0};
  if (!status) status = hem__image_new(window.width, window.height, &made, err);
  if (status) return status;

  stretch across = {.from = photo->width,
                    .low = (float)part.left,
                    .high = (float)part.right,
                    .to = how->width,
                    .skip = window.left,
                    .want = window.width,
                    .filter = how->filter};
  stretch down = {.from = photo->height,
                  .low = (float)part.top,
                  .high = (float)part.bottom,
                  .to = how->height,
                  .skip = window.top,
                  .want = window.height,
                  .filter = how->filter};
  axis columns = {0}, rows = {0};
  uint8_t *spare = NULL;
  band b = {.stride = (window.width * CHANNELS + CHUNK) & ~(size_t)(CHUNK - 1)};
  status = make_axis(&across, &columns, err);
  if (!status) status = make_axis(&down, &rows, err);
  if (!status) status = hem__alloc(rows.last - rows.first, b.stride, "stretching a photo", &b.rows, err);
  if (!status) status = hem__alloc(columns.last - columns.first, PAIR, "stretching a photo", &b.pairs, err);
  if (!status) status = hem__alloc(b.stride, 1, "stretching a photo", &spare, err);
  if (status) goto done;
  kernel k = choose_kernel(how->plain);
  stretch_rows(k, photo, &columns, &rows, &b);
  stretch_columns(k, &rows, &b, spare, &made);
  *out = made;
  made = (hem__image){0};
done:
  free(b.rows);
  free(b.pairs);
  free(spare);
  clear_axis(&columns);
  clear_axis(&rows);
  hem__image_clear(&made);
  return status;
}
