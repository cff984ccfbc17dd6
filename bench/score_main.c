/* bench_score: how much of the processor the scoring kernels use, and what they gain over OpenBLAS.
 *
 *   --candidates K --width D --hidden H   of the head (200, 2048, 2048)
 *   --rounds N                            (15)
 *   --metric FILE --catalog FILE          overlap@20 of bytes and half floats with float32, on this metric and these
 *                                         photos; without them, of a random head and random points
 *   --json
 *
 * Contestants take turns, round after round: the peak loops (bench/peak.h), every kernel in every precision, and
 * OpenBLAS doing the same scoring in float32: |a - b| of all candidates, sgemm, relu and w2. One thread, its own
 * processor time; ratios are of one round, and medians of those are printed: clocks and neighbours change from round to
 * round. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/threads.h"
#include "bench/peak.h"
#include "ingest/catalog.h"
#include "metric/blas.h"
#include "metric/metric_file.h"
#include "metric/score.h"

enum {
  PRECISIONS = 3,
  SCORERS = HEM__KERNELS * PRECISIONS,
  CONTESTANTS = HEM__PEAKS + SCORERS + 2,
  ROUNDS_MAX = 101,
  PEAK_STEPS = 4000000,
  OVERLAP_QUERIES = 100,
  OVERLAP_GALLERY = 2500,
  TOP = 20
};
static const char *const precisions[PRECISIONS] = {"u8", "f16", "f32"};

typedef struct options {
  size_t candidates, width, hidden, rounds;
  const char *metric, *catalog;
  bool json;
} options;

/* A head, a query and candidates, in all precisions. */
typedef struct scene {
  hem__metric *metric;
  hem__quantiser quantiser;
  size_t count;  /* candidates */
  float *floats; /* the query's point, then theirs */
  void *points[PRECISIONS];
  float *apart, *units; /* OpenBLAS's |a - b| and hidden units */
  float *scores;
  hem__score_scratch scratch;
} scene;

typedef struct contestant {
  char name[32];
  const char *precision; /* NULL: a peak */
  const hem__peak *peak;
  hem__scorer *scorer; /* NULL: OpenBLAS */
  bool gemm_alone;
  double rate[ROUNDS_MAX]; /* products a second */
  double ms[ROUNDS_MAX];
} contestant;

typedef struct contest {
  hem__peak peaks[HEM__PEAKS];
  size_t peak_count, count;
  contestant all[CONTESTANTS];
} contest;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static float noise(uint64_t *state) {
  *state = *state * 6364136223846793005U + 1442695040888963407U;
  return (float)(*state >> 40) * 0x1p-24F;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts. */
static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, by_value);
  return values[count / 2];
}

/* ---- the scene ---- */

static hem_status random_metric(size_t width, size_t hidden, hem__metric **out, hem_error *err) {
  hem__metric shape = {.form = HEM__HEAD, .dim = width, .hidden = hidden};
  uint64_t state = 1;
  hem_status status = hem__metric_new(&shape, out, err);
  if (status) return status;
  float size = 2 / sqrtf((float)width);
  for (size_t i = 0; i < width * hidden; i++) (*out)->w1[i] = size * (noise(&state) - 0.5F);
  for (size_t h = 0; h < hidden; h++) (*out)->b1[h] = 0.1F * (noise(&state) - 0.5F);
  for (size_t h = 0; h < hidden; h++) (*out)->w2[h] = -noise(&state);
  return HEM_OK;
}

/* From `floats`, `count + 1` points: bytes, halves. */
static hem_status other_precisions(scene *s, hem_error *err) {
  size_t width = s->metric->width, rows = s->count + 1;
  hem_status status = hem__quantiser_fit((hem__matrix){s->floats, rows, width}, &s->quantiser, err);
  if (!status) status = hem__alloc(rows * width, 1, "points", &s->points[HEM__U8], err);
  if (!status) status = hem__alloc(rows * width, 2, "points", &s->points[HEM__F16], err);
  if (status) return status;
  hem__quantise(&s->quantiser, s->floats, rows, s->points[HEM__U8]);
  hem__to_half(s->floats, rows * width, s->points[HEM__F16]);
  s->points[HEM__F32] = s->floats;
  return HEM_OK;
}

static hem_status make_scene(scene *s, const options *o, hem_error *err) {
  uint64_t state = 2;
  size_t values = (o->candidates + 1) * o->width;
  s->count = o->candidates;
  hem_status status = random_metric(o->width, o->hidden, &s->metric, err);
  if (!status) status = hem__alloc(values, sizeof(float), "points", &s->floats, err);
  if (!status) status = hem__alloc(values, sizeof(float), "differences", &s->apart, err);
  if (!status) status = hem__alloc(o->candidates * o->hidden, sizeof(float), "hidden units", &s->units, err);
  if (!status) status = hem__alloc(o->candidates, sizeof(float), "scores", &s->scores, err);
  if (status) return status;
  for (size_t i = 0; i < values; i++) s->floats[i] = noise(&state);
  return other_precisions(s, err);
}

static void clear_scene(scene *s) {
  hem__metric_free(s->metric);
  hem__quantiser_clear(&s->quantiser);
  free(s->floats);
  free(s->points[HEM__U8]);
  free(s->points[HEM__F16]);
  free(s->apart);
  free(s->units);
  free(s->scores);
  hem__score_scratch_clear(&s->scratch);
}

/* ---- the contestants ---- */

static hem_status enter_all(contest *c, const scene *s, hem_error *err) {
  const char *names[HEM__KERNELS];
  size_t kernels = hem__score_kernels(names);
  c->peak_count = hem__peaks(c->peaks);
  for (size_t i = 0; i < c->peak_count; i++) {
    contestant *one = &c->all[c->count++];
    one->peak = &c->peaks[i];
    snprintf(one->name, sizeof one->name, "peak %s", c->peaks[i].name);
  }
  for (int gemm_alone = 1; gemm_alone >= 0; gemm_alone--) {
    contestant *one = &c->all[c->count++];
    one->precision = "f32";
    one->gemm_alone = gemm_alone;
    snprintf(one->name, sizeof one->name, gemm_alone ? "OpenBLAS sgemm alone" : "OpenBLAS, the scoring");
  }
  for (size_t p = PRECISIONS; p-- > 0;)
    for (size_t k = 0; k < kernels; k++) {
      contestant *one = &c->all[c->count];
      const hem__quantiser *quantiser = p == HEM__U8 ? &s->quantiser : NULL;
      hem_status status = hem__scorer_new(s->metric, (hem__precision)p, quantiser, names[k], &one->scorer, err);
      if (status) return status;
      one->precision = precisions[p];
      snprintf(one->name, sizeof one->name, "%s", names[k]);
      c->count++;
    }
  return HEM_OK;
}

static void openblas(scene *s, bool gemm_alone) {
  const hem__metric *m = s->metric;
  const float *query = s->floats;
  for (size_t i = 0; !gemm_alone && i < s->count; i++)
    for (size_t d = 0; d < m->width; d++)
      s->apart[i * m->width + d] = fabsf(query[d] - s->floats[(i + 1) * m->width + d]);
  hem__gemm(false, true, s->count, m->hidden, m->width, 1, s->apart, m->w1, 0, s->units, m->hidden);
  for (size_t i = 0; !gemm_alone && i < s->count; i++) {
    float score = m->b2;
    for (size_t h = 0; h < m->hidden; h++) score += fmaxf(s->units[i * m->hidden + h] + m->b1[h], 0) * m->w2[h];
    s->scores[i] = score;
  }
}

static hem_status take_turn(contestant *one, scene *s, size_t round, hem_error *err) {
  hem_status status = HEM_OK;
  double products = (double)s->count * (double)s->metric->width * (double)s->metric->hidden, start = now();
  if (one->peak) {
    products = one->peak->products * PEAK_STEPS;
    one->peak->run(PEAK_STEPS);
  } else if (one->scorer) {
    const char *points = NULL;
    for (size_t p = 0; p < PRECISIONS; p++)
      if (precisions[p] == one->precision) points = s->points[p];
    hem__score_request request = {
        .query = points, .points = points + hem__scorer_row_bytes(one->scorer), .count = s->count};
    status = hem__score(one->scorer, &request, &s->scratch, s->scores, err);
  } else {
    openblas(s, one->gemm_alone);
  }
  double seconds = now() - start;
  one->ms[round] = seconds * 1e3;
  one->rate[round] = products / seconds;
  return status;
}

/* The first round warms up and is overwritten. */
static hem_status run_all(contest *c, scene *s, size_t rounds, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t round = 0; !status && round <= rounds; round++)
    for (size_t i = 0; !status && i < c->count; i++) status = take_turn(&c->all[i], s, round ? round - 1 : 0, err);
  return status;
}

/* ---- overlap ---- */

static int by_score(const void *a, const void *b) {
  const float *x = *(const float *const *)a, *y = *(const float *const *)b;
  return *x != *y ? (*x < *y) - (*x > *y) : (x > y) - (x < y);
}

/* The best TOP of the candidates. */
static void best_of(const float *scores, size_t count, size_t *out) {
  static const float *order[OVERLAP_GALLERY];
  for (size_t i = 0; i < count; i++) order[i] = &scores[i];
  qsort(order, count, sizeof *order, by_score);
  for (size_t i = 0; i < TOP; i++) out[i] = (size_t)(order[i] - scores);
}

static size_t common(const size_t *a, const size_t *b) {
  size_t count = 0;
  for (size_t i = 0; i < TOP; i++)
    for (size_t j = 0; j < TOP; j++) count += a[i] == b[j];
  return count;
}

/* Point 0 is nobody: queries are points 1, 2, ...; a query is not its own candidate. */
static hem_status best_by(scene *s, const hem__scorer *scorer, const char *points, size_t query, size_t *out,
                          hem_error *err) {
  static uint32_t rows[OVERLAP_GALLERY];
  static float scores[OVERLAP_GALLERY];
  size_t count = 0, bytes = hem__scorer_row_bytes(scorer);
  for (size_t i = 0; i < s->count; i++)
    if (i != query) rows[count++] = (uint32_t)i;
  hem__score_request request = {
      .query = points + (query + 1) * bytes, .points = points + bytes, .rows = rows, .count = count};
  hem_status status = hem__score(scorer, &request, &s->scratch, scores, err);
  if (!status) best_of(scores, count, out);
  return status;
}

/* Mean overlap@20 of bytes and of half floats with float32. */
static hem_status overlaps(scene *s, double out[2], hem_error *err) {
  size_t queries = hem__min(OVERLAP_QUERIES, s->count), best[PRECISIONS][TOP];
  hem__scorer *scorers[PRECISIONS] = {NULL};
  hem_status status = HEM_OK;
  for (int p = 0; !status && p < PRECISIONS; p++)
    status = hem__scorer_new(s->metric, (hem__precision)p, p == HEM__U8 ? &s->quantiser : NULL, NULL, &scorers[p], err);
  out[0] = out[1] = 0;
  for (size_t q = 0; !status && q < queries; q++) {
    for (int p = 0; !status && p < PRECISIONS; p++)
      status = best_by(s, scorers[p], s->points[p], q * (s->count / queries), best[p], err);
    for (int p = 0; !status && p < 2; p++) out[p] += (double)common(best[p], best[HEM__F32]) / TOP / (double)queries;
  }
  for (int p = 0; p < PRECISIONS; p++) hem__scorer_free(scorers[p]);
  return status;
}

static hem_status project_catalog(scene *s, hem__catalog *catalog, hem_error *err) {
  size_t space;
  hem_status status = hem__catalog_find_space(catalog, s->metric->space, &space, err);
  if (status) return status;
  hem__matrix vectors = hem__catalog_matrix(catalog, space);
  status = hem__catalog_check(catalog, space, 0, vectors.rows, err);
  if (status) return status;
  s->count = hem__min(OVERLAP_GALLERY, vectors.rows);
  if (s->count <= TOP || vectors.dim != s->metric->dim)
    return hem__fail(err, HEM_EINVAL, "the catalogue has %zu photos of %zu values; the metric is for %zu", vectors.rows,
                     vectors.dim, s->metric->dim);
  status = hem__alloc((s->count + 1) * s->metric->width, sizeof(float), "points", &s->floats, err);
  size_t every = vectors.rows / s->count;
  for (size_t i = 0; !status && i <= s->count; i++)
    status = hem__metric_project(s->metric, hem__row(vectors, i ? (i - 1) * every : 0), 1,
                                 s->floats + i * s->metric->width, err);
  return status;
}

static hem_status measure_overlap(const options *o, double out[2], hem_error *err) {
  scene s = {0};
  hem__catalog *catalog = NULL;
  hem_status status;
  if (o->metric) {
    status = hem__metric_load(o->metric, &s.metric, err);
    if (!status) status = hem__catalog_open(o->catalog, &catalog, err);
    if (!status) status = project_catalog(&s, catalog, err);
    if (!status) status = other_precisions(&s, err);
  } else {
    options small = {.candidates = 2000, .width = o->width, .hidden = hem__min(o->hidden, 256)};
    status = make_scene(&s, &small, err);
  }
  if (!status) status = overlaps(&s, out, err);
  hem__catalog_close(catalog);
  clear_scene(&s);
  return status;
}

/* ---- what is printed ---- */

static const contestant *find(const contest *c, const char *name, const char *precision) {
  for (size_t i = 0; i < c->count; i++)
    if (!strcmp(c->all[i].name, name) && (!precision || !strcmp(c->all[i].precision, precision))) return &c->all[i];
  return NULL;
}

/* The peak of the arithmetic that a kernel uses; NULL: none is measured. */
static const contestant *peak_of(const contest *c, const contestant *one) {
  bool bytes = one->precision && !strcmp(one->precision, "u8");
  bool wide = !strcmp(one->name, "avx512") || !strcmp(one->name, "vnni");
  if (!one->precision || !strcmp(one->name, "scalar")) return NULL;
  if (bytes && !strcmp(one->name, "vnni")) return find(c, "peak dpbusd-512", NULL);
  if (wide) return find(c, bytes ? "peak madd+add-512" : "peak fma-512", NULL);
  /* OpenBLAS too is held against 256 bits; on a processor with 512 that says nothing and is not printed. */
  if (!one->scorer && find(c, "peak fma-512", NULL)) return find(c, "peak fma-512", NULL);
  return find(c, bytes ? "peak madd+add" : "peak fma", NULL);
}

/* Median of the rounds' ratios of two rates; NAN where there is nothing to hold it against. */
static double ratio(const contestant *one, const contestant *other, size_t rounds) {
  double ratios[ROUNDS_MAX];
  if (!other) return (double)NAN;
  for (size_t i = 0; i < rounds; i++) ratios[i] = one->rate[i] / other->rate[i];
  return median(ratios, rounds);
}

static double middle(const double *values, size_t count) {
  double sorted[ROUNDS_MAX];
  memcpy(sorted, values, count * sizeof *sorted);
  return median(sorted, count);
}

static void print_cell(double value, const char *format) {
  if (isnan(value)) {
    printf("%14s", "-");
  } else {
    printf(format, value);
  }
}

static void print_table(const contest *c, const options *o, const double overlap[2]) {
  const contestant *blas = find(c, "OpenBLAS, the scoring", NULL), *madd = find(c, "peak madd", NULL);
  printf("%zu candidates, width %zu, %zu hidden units; medians of %zu rounds, one thread's own time\n\n", o->candidates,
         o->width, o->hidden, o->rounds);
  printf("%-24s %-4s %10s %10s %14s %14s\n", "", "", "ms", "GMAC/s", "of its peak", "x OpenBLAS");
  for (size_t i = 0; i < c->count; i++) {
    const contestant *one = &c->all[i];
    printf("%-24s %-4s %10.3f %10.1f", one->name, one->precision ? one->precision : "", middle(one->ms, o->rounds),
           middle(one->rate, o->rounds) / 1e9);
    print_cell(100 * ratio(one, peak_of(c, one), o->rounds), "%13.1f%%");
    print_cell(one->peak ? (double)NAN : ratio(one, blas, o->rounds), "%14.2f");
    printf("\n");
  }
  const contestant *avx2 = find(c, "avx2", "u8");
  if (avx2)
    printf("\navx2 with u8 against vpmaddwd alone, additions not counted: %.1f%%\n",
           100 * ratio(avx2, madd, o->rounds));
  if (!find(c, "vnni", "u8"))
    printf(
        "\nThis processor has no AVX-512 VNNI: VNNI's 85%% of peak and its 3.5 times OpenBLAS cannot be measured "
        "here.\n");
  printf("\noverlap@%d with f32: u8 %.4f, f16 %.4f (%s)\n", TOP, overlap[HEM__U8], overlap[HEM__F16],
         o->metric ? o->metric : "a random head, random points");
}

static void print_number(const char *name, double value) {
  if (isnan(value)) {
    printf(", \"%s\": null", name);
  } else {
    printf(", \"%s\": %.6g", name, value);
  }
}

static void print_json(const contest *c, const options *o, const double overlap[2]) {
  const contestant *blas = find(c, "OpenBLAS, the scoring", NULL);
  printf("{\"candidates\": %zu, \"width\": %zu, \"hidden\": %zu, \"rounds\": %zu,\n \"contestants\": [", o->candidates,
         o->width, o->hidden, o->rounds);
  for (size_t i = 0; i < c->count; i++) {
    const contestant *one = &c->all[i];
    printf("%s\n  {\"name\": \"%s\", \"precision\": \"%s\"", i ? "," : "", one->name,
           one->precision ? one->precision : "");
    print_number("ms", middle(one->ms, o->rounds));
    print_number("products_per_second", middle(one->rate, o->rounds));
    print_number("of_peak", ratio(one, peak_of(c, one), o->rounds));
    print_number("times_openblas", one->peak ? (double)NAN : ratio(one, blas, o->rounds));
    printf("}");
  }
  printf("\n ],\n \"vnni_here\": %s", find(c, "vnni", "u8") ? "true" : "false");
  print_number("overlap20_u8", overlap[HEM__U8]);
  print_number("overlap20_f16", overlap[HEM__F16]);
  printf("}\n");
}

/* ---- the command line ---- */

static bool number(const char *text, size_t most, size_t *out) {
  char *end = NULL;
  unsigned long long value = text ? strtoull(text, &end, 10) : 0;
  *out = (size_t)value;
  return text && *text && !*end && value >= 1 && value <= most;
}

static bool parse(int argc, char **argv, options *o) {
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (!strcmp(name, "--json")) {
      o->json = true;
      continue;
    }
    const char *value = ++i < argc ? argv[i] : NULL;
    if (!strcmp(name, "--metric")) {
      o->metric = value;
    } else if (!strcmp(name, "--catalog")) {
      o->catalog = value;
    } else if (!(!strcmp(name, "--candidates") && number(value, 1000000, &o->candidates)) &&
               !(!strcmp(name, "--width") && number(value, HEM__METRIC_DIM_MAX, &o->width)) &&
               !(!strcmp(name, "--hidden") && number(value, HEM__METRIC_HIDDEN_MAX, &o->hidden)) &&
               !(!strcmp(name, "--rounds") && number(value, ROUNDS_MAX, &o->rounds))) {
      return false;
    }
  }
  return !o->metric == !o->catalog;
}

int main(int argc, char **argv) {
  static contest c;
  options o = {.candidates = 200, .width = 2048, .hidden = 2048, .rounds = 15};
  scene s = {0};
  hem_error err = {0};
  double overlap[2];
  if (!parse(argc, argv, &o)) {
    fprintf(stderr,
            "usage: bench_score [--candidates K] [--width D] [--hidden H] [--rounds N] [--metric FILE --catalog FILE] "
            "[--json]\n");
    return 2;
  }
  hem__omp_hold();
  hem_status status = measure_overlap(&o, overlap, &err);
  if (!status) status = make_scene(&s, &o, &err);
  if (!status) status = enter_all(&c, &s, &err);
  if (!status) status = run_all(&c, &s, o.rounds, &err);
  if (status) {
    fprintf(stderr, "bench_score: %s\n", err.message);
  } else if (o.json) {
    print_json(&c, &o, overlap);
  } else {
    print_table(&c, &o, overlap);
  }
  for (size_t i = 0; i < c.count; i++) hem__scorer_free(c.all[i].scorer);
  clear_scene(&s);
  return status != HEM_OK;
}
