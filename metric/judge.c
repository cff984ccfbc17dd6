#include "metric/judge.h"

#include <math.h>
#include <stdlib.h>

#include "base/threads.h"
#include "metric/distance.h"
#include "metric/score_all.h"

enum { METRIC = HEM__CONTENDERS - 1, FEWEST_CLUSTERS = 5 };
static const hem_distance plain[METRIC] = {HEM_L2, HEM_L1, HEM_COSINE};

/* ---- ranks ---- */

typedef struct ranking {
  const hem__contest *contest;
  uint32_t *ranks;
  hem_distance distance;
  hem__matrix queries, gallery;
  float *keys; /* by worker: of the whole gallery */
} ranking;

/* One more than the photos nearer than the nearest right one. */
static uint32_t rank_of(const hem__contest *c, size_t query, const float *keys) {
  size_t best = SIZE_MAX;
  uint32_t item = c->query_items[query], self = c->queries[query], nearer = 0;
  for (size_t g = 0; g < c->gallery_count; g++) {
    if (c->gallery_items[g] != item || c->gallery[g] == self) continue;
    if (best == SIZE_MAX || keys[g] < keys[best]) best = g;
  }
  if (best == SIZE_MAX) return 0;
  for (size_t g = 0; g < c->gallery_count; g++)
    nearer += (keys[g] < keys[best] || (keys[g] == keys[best] && g < best)) && c->gallery[g] != self;
  return nearer + 1;
}

static void take_scores(void *context, size_t query, float *scores, size_t worker) {
  const ranking *r = context;
  (void)worker;
  for (size_t g = 0; g < r->contest->gallery_count; g++) scores[g] = -scores[g];
  r->ranks[r->contest->places[query]] = rank_of(r->contest, query, scores);
}

static void rank_plainly(void *context, size_t query, size_t worker) {
  const ranking *r = context;
  float *keys = r->keys + worker * r->gallery.rows;
  hem__keys(r->distance, hem__row(r->queries, query), r->gallery.at, r->gallery.rows, r->gallery.dim, keys);
  r->ranks[r->contest->places[query]] = rank_of(r->contest, query, keys);
}

static void normalise_rows(float *at, size_t rows, size_t dim) {
  for (size_t i = 0; i < rows; i++) hem__normalise(at + i * dim, dim, at + i * dim);
}

static hem_status rank_contest(const hem__ranker *by, const hem__validation *v, const hem__contest *c, uint32_t *ranks,
                               hem_error *err) {
  hem__selection queries = {hem__catalog_matrix(by->catalog, by->space), c->queries, c->query_count, v->threads};
  hem__selection gallery = {queries.vectors, c->gallery, c->gallery_count, v->threads};
  size_t threads = v->threads ? v->threads : hem__cores(), keys;
  size_t width = by->metric ? by->metric->width : queries.vectors.dim;
  ranking r = {.contest = c, .ranks = ranks, .distance = by->distance};
  float *asked = NULL, *shown = NULL;
  hem_status status = hem__points(by->metric, &queries, &asked, err);
  if (!status) status = hem__points(by->metric, &gallery, &shown, err);
  if (status) goto exit;
  r.queries = (hem__matrix){asked, c->query_count, width};
  r.gallery = (hem__matrix){shown, c->gallery_count, width};
  if (by->metric) {
    hem__score_all_job job = {.metric = by->metric,
                              .queries = r.queries,
                              .gallery = r.gallery,
                              .threads = v->threads,
                              .take = take_scores,
                              .context = &r};
    status = hem__score_all(&job, err);
    goto exit;
  }
  if (by->distance == HEM_COSINE) {
    normalise_rows(asked, c->query_count, width);
    normalise_rows(shown, c->gallery_count, width);
  }
  if (!hem__mul(threads, c->gallery_count, &keys)) status = hem__fail(err, HEM_ENOMEM, "the gallery is too large");
  if (!status) status = hem__alloc(keys, sizeof *r.keys, "distances", &r.keys, err);
  if (!status) status = hem__parallel_for(c->query_count, threads, rank_plainly, &r, err);
exit:
  free(r.keys);
  free(asked);
  free(shown);
  return status;
}

static hem_status rank_all(const hem__ranker *by, const hem__validation *v, const hem__contests *contests,
                           uint32_t *ranks, hem_error *err) {
  hem_status status = hem__catalog_check(by->catalog, by->space, 0, hem__catalog_photos(by->catalog)->count, err);
  for (size_t i = 0; i < contests->count && !status; i++) status = rank_contest(by, v, &contests->at[i], ranks, err);
  return status;
}

hem_status hem__rank_queries(const hem__ranker *ranker, const hem__validation *validation, uint32_t *ranks,
                             hem_error *err) {
  hem__contests contests = {0};
  hem_status status = hem__contests_new(hem__catalog_photos(ranker->catalog), validation, &contests, err);
  if (!status) status = rank_all(ranker, validation, &contests, ranks, err);
  hem__contests_clear(&contests);
  return status;
}

/* ---- the interval ---- */

/* Student's t, 97.5%, from the normal quantile (Abramowitz and Stegun 1964, 26.7.5); within 0.01 from 4 degrees on. */
static double student(double degrees) {
  double x = 1.959963984540054, x3 = x * x * x, x5 = x3 * x * x, x7 = x5 * x * x, x9 = x7 * x * x;
  double g1 = (x3 + x) / 4, g2 = (5 * x5 + 16 * x3 + 3 * x) / 96;
  double g3 = (3 * x7 + 19 * x5 + 17 * x3 - 15 * x) / 384;
  double g4 = (79 * x9 + 776 * x7 + 1482 * x5 - 1920 * x3 - 945 * x) / 92160;
  return x + (g1 + (g2 + (g3 + g4 / degrees) / degrees) / degrees) / degrees;
}

void hem__clustered_interval(const hem__clustered *d, double *mean, double *low, double *high) {
  double sum = 0, n = 0, clusters = 0, square = 0;
  for (size_t i = 0; i < d->clusters; i++) {
    sum += d->sums[i];
    n += (double)d->counts[i];
    clusters += d->counts[i] > 0;
  }
  *mean = n > 0 ? sum / n : 0;
  *low = -1;
  *high = 1;
  if (clusters < FEWEST_CLUSTERS) return;
  for (size_t i = 0; i < d->clusters; i++) {
    double residual = d->sums[i] - (double)d->counts[i] * *mean;
    square += residual * residual;
  }
  double half = student(clusters - 1) * sqrt(clusters / (clusters - 1) * square) / n;
  *low = fmax(*mean - half, -1);
  *high = fmin(*mean + half, 1);
}

/* ---- the verdict ---- */

typedef struct trial {
  const hem__validation *validation;
  hem__contests contests;
  uint32_t *ranks[HEM__CONTENDERS];
  double *sums;     /* by item */
  uint64_t *counts; /* by item */
} trial;

static int right(uint32_t rank) { return rank > 0 && rank <= HEM__JUDGE_CUT; }

/* How often each contender was right, and which plain distance most often: the first of equals. */
static void count_right(const trial *t, hem__verdict *v, size_t *best) {
  for (size_t q = 0; q < t->validation->query_count; q++) {
    v->queries += t->ranks[METRIC][q] > 0;
    for (size_t c = 0; c < HEM__CONTENDERS; c++) v->right[c] += (uint64_t)right(t->ranks[c][q]);
  }
  *best = 0;
  for (size_t c = 1; c < METRIC; c++)
    if (v->right[c] > v->right[*best]) *best = c;
  v->best = plain[*best];
}

static void measure_gain(trial *t, size_t best, hem__verdict *v) {
  for (size_t i = 0; i < t->contests.count; i++) {
    const hem__contest *c = &t->contests.at[i];
    for (size_t q = 0; q < c->query_count; q++) {
      size_t place = c->places[q];
      if (t->ranks[METRIC][place] == 0) continue;
      t->sums[c->query_items[q]] += right(t->ranks[METRIC][place]) - right(t->ranks[best][place]);
      t->counts[c->query_items[q]]++;
    }
  }
  hem__clustered differences = {.sums = t->sums, .counts = t->counts, .clusters = t->contests.items};
  hem__clustered_interval(&differences, &v->gain, &v->gain_low, &v->gain_high);
}

static hem_status run(trial *t, hem__ranker by, hem_error *err) {
  const hem__metric *metric = by.metric;
  hem_status status = hem__contests_new(hem__catalog_photos(by.catalog), t->validation, &t->contests, err);
  for (size_t c = 0; c < HEM__CONTENDERS && !status; c++)
    status = hem__alloc(t->validation->query_count, sizeof **t->ranks, "ranks", &t->ranks[c], err);
  if (!status) status = hem__alloc(t->contests.items, sizeof *t->sums, "items", &t->sums, err);
  if (!status) status = hem__alloc(t->contests.items, sizeof *t->counts, "items", &t->counts, err);
  for (size_t c = 0; c < HEM__CONTENDERS && !status; c++) {
    by.metric = c == METRIC ? metric : NULL;
    by.distance = c == METRIC ? HEM_L2 : plain[c];
    status = rank_all(&by, t->validation, &t->contests, t->ranks[c], err);
  }
  return status;
}

hem_status hem__judge(const hem__metric *metric, hem__catalog *catalog, size_t space, const hem__validation *validation,
                      hem__verdict *out, hem_error *err) {
  trial t = {.validation = validation};
  hem__verdict verdict = {.gallery = validation->gallery_count};
  size_t best = 0;
  hem_status status = run(&t, (hem__ranker){.metric = metric, .catalog = catalog, .space = space}, err);
  if (status) goto exit;
  count_right(&t, &verdict, &best);
  if (verdict.queries == 0) {
    status = hem__fail(err, HEM_ENOTFOUND,
                       "%s: no validation query has a shop photo of its item in its category, so nothing can be judged",
                       hem__catalog_path(catalog));
    goto exit;
  }
  measure_gain(&t, best, &verdict);
  *out = verdict;
exit:
  for (size_t c = 0; c < HEM__CONTENDERS; c++) free(t.ranks[c]);
  free(t.sums);
  free(t.counts);
  hem__contests_clear(&t.contests);
  return status;
}
