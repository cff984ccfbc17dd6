#include "metric/surrogate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "metric/distance.h"
#include "metric/nnls.h"
#include "metric/score_all.h"

enum {
  NEAR = 48,   /* pairs of a query: the nearest by the weights of the round before, ... */
  SPREAD = 16, /* ... and some of the others, near and far */
  PAIRS = NEAR + SPREAD,
  ROUNDS = 2,
  FIT_QUERIES = 64,
  FIT_GALLERY = 4096,
  FIT_VALUES = 1 << 25, /* of all pairs: 128 MiB */
  CHOOSE_QUERIES = 128,
  CHOOSE_GALLERY = 16384,
  BEST = 20,        /* of the metric's answer ... */
  CANDIDATES = 100, /* ... should be among so many candidates */
  CONTENDERS = 4
};
static const double RIDGE = 0.1, NEAR_TIE = 0.005, CHOOSE_WORK = 2e11; /* work: floating-point operations of scoring */

typedef struct fitting {
  const hem__metric *metric;
  hem__catalog *catalog;
  size_t space;
  const hem__validation *validation;
  uint64_t random;
} fitting;

/* ---- samples ---- */

/* `count` of `from`, in their order, each equally likely (selection sampling; Knuth 1969, algorithm S). */
static size_t draw(uint64_t *random, const uint32_t *from, size_t total, size_t count, uint32_t *out) {
  size_t taken = 0;
  for (size_t i = 0; i < total && taken < count; i++) {
    *random += 0x9E3779B97F4A7C15U; /* splitmix64 (Steele, Lea and Flood 2014) */
    uint64_t z = (*random ^ *random >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    double u = (double)((z ^ z >> 31) >> 11) * 0x1p-53;
    if (u * (double)(total - i) < (double)(count - taken)) out[taken++] = from[i];
  }
  return taken;
}

/* A smaller validation, and its points by contest. */
typedef struct sample {
  uint32_t *queries, *gallery;
  hem__validation validation;
  hem__contests contests;
  float **asked, **shown;
  size_t *first; /* by contest: how many queries came before */
} sample;

static void sample_clear(sample *s) {
  for (size_t i = 0; i < s->contests.count; i++) {
    if (s->asked) free(s->asked[i]);
    if (s->shown) free(s->shown[i]);
  }
  free(s->asked);
  free(s->shown);
  free(s->first);
  free(s->queries);
  free(s->gallery);
  hem__contests_clear(&s->contests);
}

static hem_status sample_points(const fitting *f, sample *s, hem_error *err) {
  hem__selection from = {.vectors = hem__catalog_matrix(f->catalog, f->space), .threads = f->validation->threads};
  size_t count = s->contests.count, queries = 0;
  hem_status status = hem__alloc(count, sizeof *s->asked, "points", &s->asked, err);
  if (!status) status = hem__alloc(count, sizeof *s->shown, "points", &s->shown, err);
  if (!status) status = hem__alloc(count, sizeof *s->first, "points", &s->first, err);
  for (size_t i = 0; i < count && !status; i++) {
    const hem__contest *c = &s->contests.at[i];
    s->first[i] = queries;
    queries += c->query_count;
    from.rows = c->queries;
    from.count = c->query_count;
    status = hem__points(f->metric, &from, &s->asked[i], err);
    from.rows = c->gallery;
    from.count = c->gallery_count;
    if (!status) status = hem__points(f->metric, &from, &s->shown[i], err);
  }
  return status;
}

/* At most `most` queries of `from`, and a gallery of at most `most_shown`. */
static hem_status sample_new(fitting *f, const hem__validation *from, size_t most, size_t most_shown, sample *s,
                             hem_error *err) {
  size_t asked = hem__min(from->query_count, most), shown = hem__min(from->gallery_count, most_shown);
  hem_status status = hem__alloc(asked, sizeof *s->queries, "queries", &s->queries, err);
  if (!status) status = hem__alloc(shown, sizeof *s->gallery, "a gallery", &s->gallery, err);
  if (status) return status;
  s->validation = *from;
  s->validation.queries = s->queries;
  s->validation.gallery = s->gallery;
  s->validation.query_count = draw(&f->random, from->queries, from->query_count, asked, s->queries);
  s->validation.gallery_count = draw(&f->random, from->gallery, from->gallery_count, shown, s->gallery);
  status = hem__contests_new(hem__catalog_photos(f->catalog), &s->validation, &s->contests, err);
  return status ? status : sample_points(f, s, err);
}

/* ---- galleries sorted by a plain distance ---- */

/* The distance of points times `scale`, value by value. */
typedef struct plain {
  hem_distance distance; /* HEM_L1 or HEM_L2 */
  float *scale;          /* [width] */
} plain;

static void scale_rows(const float *scale, const float *from, size_t rows, size_t width, float *out) {
  for (size_t i = 0; i < rows; i++)
    for (size_t d = 0; d < width; d++) out[i * width + d] = from[i * width + d] * scale[d];
}

typedef struct near {
  float key;
  uint32_t at; /* in the contest's gallery */
} near;

static int by_key(const void *a, const void *b) {
  const near *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

typedef struct sorting {
  const sample *sample;
  plain by;
  size_t width, contest;
  float *scaled;       /* the contest's gallery */
  float *query, *keys; /* by worker */
  near *order;         /* by worker */
  /* Gets the gallery, nearest first, of query `query` of the contest. From several threads. */
  void (*take)(void *context, const struct sorting *s, size_t query, const near *order);
  void *context;
} sorting;

static void sort_query(void *context, size_t query, size_t worker) {
  const sorting *s = context;
  size_t count = s->sample->contests.at[s->contest].gallery_count;
  float *own = s->query + worker * s->width, *keys = s->keys + worker * count;
  near *order = s->order + worker * count;
  scale_rows(s->by.scale, s->sample->asked[s->contest] + query * s->width, 1, s->width, own);
  hem__keys(s->by.distance, own, s->scaled, count, s->width, keys);
  for (size_t i = 0; i < count; i++) order[i] = (near){keys[i], (uint32_t)i};
  qsort(order, count, sizeof *order, by_key);
  s->take(s->context, s, query, order);
}

static hem_status sort_contest(sorting *s, hem_error *err) {
  const hem__contest *c = &s->sample->contests.at[s->contest];
  size_t count = c->gallery_count, threads = s->sample->validation.threads;
  threads = threads ? threads : hem__cores();
  s->scaled = s->query = s->keys = NULL;
  s->order = NULL;
  hem_status status = hem__alloc(count * s->width, sizeof *s->scaled, "points", &s->scaled, err);
  if (!status) status = hem__alloc(threads * s->width, sizeof *s->query, "a query", &s->query, err);
  if (!status) status = hem__alloc(threads * count, sizeof *s->keys, "distances", &s->keys, err);
  if (!status) status = hem__alloc(threads * count, sizeof *s->order, "distances", &s->order, err);
  if (!status) {
    scale_rows(s->by.scale, s->sample->shown[s->contest], count, s->width, s->scaled);
    status = hem__parallel_for(c->query_count, threads, sort_query, s, err);
  }
  free(s->scaled);
  free(s->query);
  free(s->keys);
  free(s->order);
  return status;
}

static hem_status sort_all(sorting *s, hem_error *err) {
  hem_status status = HEM_OK;
  for (s->contest = 0; s->contest < s->sample->contests.count && !status; s->contest++) status = sort_contest(s, err);
  return status;
}

/* ---- fitting ---- */

/* The pairs of one query lie together. */
typedef struct pairs {
  const hem__metric *metric;
  float *x; /* [queries * PAIRS][width]: |t(a) - t(b)|, or its square */
  float *y; /* minus the scores */
  uint32_t *counts;
  hem_status *status; /* by query */
} pairs;

typedef struct wanted {
  float *y;
  size_t count;
} wanted;

static void take_scores(void *context, size_t query, float *scores, size_t worker) {
  const wanted *into = context;
  (void)query, (void)worker;
  for (size_t i = 0; i < into->count; i++) into->y[i] = -scores[i];
}

static void take_pairs(void *context, const sorting *s, size_t query, const near *order) {
  pairs *p = context;
  size_t total = s->sample->contests.at[s->contest].gallery_count, place = s->sample->first[s->contest] + query;
  size_t count = hem__min(total, NEAR), others = total - count, spread = hem__min(others, SPREAD);
  const float *a = s->sample->asked[s->contest] + query * s->width, *shown = s->sample->shown[s->contest];
  float *x = p->x + place * PAIRS * s->width;
  for (size_t i = 0; i < count + spread; i++) {
    size_t from = i < count ? i : count + (2 * (i - count) + 1) * others / (2 * spread);
    memcpy(x + i * s->width, shown + order[from].at * s->width, s->width * sizeof *x);
  }
  count += spread;
  wanted into = {p->y + place * PAIRS, count};
  hem__score_all_job job = {.metric = p->metric,
                            .queries = {a, 1, s->width},
                            .gallery = {x, count, s->width},
                            .threads = 1,
                            .take = take_scores,
                            .context = &into};
  p->counts[place] = (uint32_t)count;
  p->status[place] = hem__score_all(&job, NULL);
  for (size_t i = 0; i < count; i++)
    for (size_t d = 0; d < s->width; d++) {
      float difference = fabsf(a[d] - x[i * s->width + d]);
      x[i * s->width + d] = s->by.distance == HEM_L2 ? difference * difference : difference;
    }
}

/* Weights to a scale of mean 1; false where all weights are zero. */
static bool to_scale(hem_distance distance, size_t width, float *weights) {
  double sum = 0;
  for (size_t d = 0; d < width; d++) {
    if (distance == HEM_L2) weights[d] = sqrtf(weights[d]);
    sum += (double)weights[d];
  }
  for (size_t d = 0; d < width && sum > 0; d++) weights[d] = (float)((double)weights[d] * (double)width / sum);
  return sum > 0;
}

/* Pairs by the scale so far, weights from them, and again. `by->scale` starts at 1 and stays there where nothing can be
 * fitted. */
static hem_status fit_scale(const sample *s, pairs *p, plain *by, hem_error *err) {
  size_t width = p->metric->width, queries = s->validation.query_count;
  hem__grouped rows = {.x = p->x,
                       .y = p->y,
                       .counts = p->counts,
                       .groups = queries,
                       .stride = PAIRS,
                       .width = width,
                       .threads = s->validation.threads};
  hem_status status = HEM_OK;
  for (size_t round = 0; round < ROUNDS && !status; round++) {
    sorting sort = {.sample = s, .by = *by, .width = width, .take = take_pairs, .context = p};
    status = sort_all(&sort, err);
    for (size_t q = 0; q < queries && !status; q++)
      if (p->status[q]) status = hem__fail(err, p->status[q], "a query's scores do not fit memory");
    if (!status) status = hem__nnls(&rows, RIDGE, by->scale, err);
    if (!status && !to_scale(by->distance, width, by->scale))
      for (size_t d = 0; d < width; d++) by->scale[d] = 1;
  }
  return status;
}

static hem_status fit_scales(const sample *s, const hem__metric *metric, plain *l1, plain *l2, hem_error *err) {
  size_t queries = s->validation.query_count, values;
  pairs p = {.metric = metric};
  hem_status status = HEM_OK;
  if (!hem__mul(queries * PAIRS, metric->width, &values)) return hem__fail(err, HEM_ENOMEM, "too many pairs");
  status = hem__alloc(values, sizeof *p.x, "pairs", &p.x, err);
  if (!status) status = hem__alloc(queries * PAIRS, sizeof *p.y, "pairs", &p.y, err);
  if (!status) status = hem__alloc(queries, sizeof *p.counts, "pairs", &p.counts, err);
  if (!status) status = hem__alloc(queries, sizeof *p.status, "pairs", &p.status, err);
  if (!status) status = fit_scale(s, &p, l2, err);
  if (!status) status = fit_scale(s, &p, l1, err);
  free(p.x);
  free(p.y);
  free(p.counts);
  free(p.status);
  return status;
}

/* ---- choosing ---- */

typedef struct truth {
  const sample *sample;
  size_t contest;
  uint32_t *best;   /* [queries][BEST], places in the contest's gallery */
  uint32_t *counts; /* [queries] */
  uint32_t *found;  /* [queries]: of them, among the candidates */
} truth;

static void take_best(void *context, size_t query, float *scores, size_t worker) {
  const truth *t = context;
  size_t total = t->sample->contests.at[t->contest].gallery_count, place = t->sample->first[t->contest] + query;
  uint32_t *best = t->best + place * BEST, count = 0;
  (void)worker;
  for (size_t g = 0; g < total; g++) {
    if (count == BEST && !(scores[g] > scores[best[BEST - 1]])) continue;
    size_t at = count < BEST ? count++ : BEST - 1;
    for (; at > 0 && scores[best[at - 1]] < scores[g]; at--) best[at] = best[at - 1];
    best[at] = (uint32_t)g;
  }
  t->counts[place] = count;
}

static hem_status find_truth(const fitting *f, truth *t, hem_error *err) {
  hem_status status = HEM_OK;
  for (t->contest = 0; t->contest < t->sample->contests.count && !status; t->contest++) {
    const hem__contest *c = &t->sample->contests.at[t->contest];
    hem__score_all_job job = {.metric = f->metric,
                              .queries = {t->sample->asked[t->contest], c->query_count, f->metric->width},
                              .gallery = {t->sample->shown[t->contest], c->gallery_count, f->metric->width},
                              .threads = f->validation->threads,
                              .take = take_best,
                              .context = t};
    status = hem__score_all(&job, err);
  }
  return status;
}

static void take_found(void *context, const sorting *s, size_t query, const near *order) {
  const truth *t = context;
  size_t total = s->sample->contests.at[s->contest].gallery_count, place = s->sample->first[s->contest] + query;
  /* In a small gallery 100 candidates would be nearly all of it, and every distance right. */
  size_t candidates = hem__min(hem__max(hem__min(CANDIDATES, total / 4), BEST), total);
  uint32_t found = 0;
  for (size_t i = 0; i < candidates; i++)
    for (size_t b = 0; b < t->counts[place]; b++) found += t->best[place * BEST + b] == order[i].at;
  t->found[place] = found;
}

/* The share of the metric's best that are among the candidates. */
static hem_status recall_of(const fitting *f, truth *t, plain by, double *out, hem_error *err) {
  double found = 0, all = 0;
  sorting s = {.sample = t->sample, .by = by, .width = f->metric->width, .take = take_found, .context = t};
  hem_status status = sort_all(&s, err);
  for (size_t q = 0; q < t->sample->validation.query_count; q++) {
    found += t->found[q];
    all += t->counts[q];
  }
  *out = all > 0 ? found / all : 0;
  return status;
}

/* Contenders come in the order in which they are preferred: the first that is nearly as good as the best. */
static hem_status choose(const fitting *f, const sample *s, const plain contenders[CONTENDERS], size_t *chosen,
                         hem_error *err) {
  truth t = {.sample = s};
  double recall[CONTENDERS], best = 0;
  size_t queries = s->validation.query_count;
  hem_status status = hem__alloc(queries, BEST * sizeof *t.best, "answers", &t.best, err);
  if (!status) status = hem__alloc(queries, sizeof *t.counts, "answers", &t.counts, err);
  if (!status) status = hem__alloc(queries, sizeof *t.found, "answers", &t.found, err);
  if (!status) status = find_truth(f, &t, err);
  for (size_t i = 0; i < CONTENDERS && !status; i++) {
    status = recall_of(f, &t, contenders[i], &recall[i], err);
    if (!status) best = fmax(best, recall[i]);
  }
  for (*chosen = 0; !status && recall[*chosen] < best - NEAR_TIE;) ++*chosen;
  free(t.best);
  free(t.counts);
  free(t.found);
  return status;
}

/* ---- the whole ---- */

/* Queries fall into two halves by item; where one would be empty, both are all of them. */
static hem_status halve(const fitting *f, hem__validation halves[2], uint32_t **room, hem_error *err) {
  const hem__validation *v = f->validation;
  const hem__photos *photos = hem__catalog_photos(f->catalog);
  size_t count[2] = {0};
  hem_status status = hem__alloc(v->query_count, 2 * sizeof **room, "queries", room, err);
  if (status) return status;
  for (size_t i = 0; i < v->query_count; i++) {
    if (v->queries[i] >= photos->count)
      return hem__fail(err, HEM_EINVAL, "there is no row %u: the catalogue has %zu photos", v->queries[i],
                       photos->count);
    size_t half = hem__item_key(photos->at[v->queries[i]].item_id) >> 1 & 1;
    (*room)[half * v->query_count + count[half]++] = v->queries[i];
  }
  for (size_t half = 0; half < 2; half++) {
    halves[half] = *v;
    if (count[0] == 0 || count[1] == 0) continue;
    halves[half].queries = *room + half * v->query_count;
    halves[half].query_count = count[half];
  }
  return HEM_OK;
}

static size_t clamp(double value, size_t low, size_t high) {
  return value < (double)low ? low : value > (double)high ? high : (size_t)value;
}

static hem_status fit_and_choose(fitting *f, hem__validation halves[2], plain contenders[CONTENDERS], size_t *chosen,
                                 hem_error *err) {
  size_t width = f->metric->width;
  sample fit = {0}, judge = {0};
  double work = 2 * (double)width * (double)f->metric->hidden; /* of one score */
  size_t shown = clamp(CHOOSE_WORK / (24 * work), 1024, CHOOSE_GALLERY);
  size_t asked = clamp(CHOOSE_WORK / ((double)shown * work), 16, CHOOSE_QUERIES);
  hem_status status = sample_new(f, &halves[0], clamp((double)FIT_VALUES / PAIRS / (double)width, 16, FIT_QUERIES),
                                 FIT_GALLERY, &fit, err);
  if (!status) status = fit_scales(&fit, f->metric, &contenders[3], &contenders[0], err);
  sample_clear(&fit);
  if (!status) status = sample_new(f, &halves[1], asked, shown, &judge, err);
  if (!status) status = choose(f, &judge, contenders, chosen, err);
  sample_clear(&judge);
  return status;
}

static hem_status fit_head(hem__metric *m, fitting *f, hem_error *err) {
  /* Fitted L2, plain L2, plain L1, fitted L1: see choose. */
  plain contenders[CONTENDERS] = {{HEM_L2, NULL}, {HEM_L2, NULL}, {HEM_L1, NULL}, {HEM_L1, NULL}};
  hem__validation halves[2];
  uint32_t *room = NULL;
  size_t chosen = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < CONTENDERS && !status; i++) {
    status = hem__alloc(m->width, sizeof(float), "a scale", &contenders[i].scale, err);
    for (size_t d = 0; d < m->width && !status; d++) contenders[i].scale[d] = 1;
  }
  if (!status) status = halve(f, halves, &room, err);
  if (!status) status = fit_and_choose(f, halves, contenders, &chosen, err);
  if (!status) {
    m->candidate_distance = contenders[chosen].distance;
    memcpy(m->candidate_scale, contenders[chosen].scale, m->width * sizeof(float));
  }
  for (size_t i = 0; i < CONTENDERS; i++) free(contenders[i].scale);
  free(room);
  return status;
}

hem_status hem__surrogate_fit(hem__metric *metric, hem__catalog *catalog, size_t space,
                              const hem__validation *validation, hem_error *err) {
  fitting f = {
      .metric = metric, .catalog = catalog, .space = space, .validation = validation, .random = validation->seed};
  if (metric->form != HEM__HEAD) { /* it is such a distance itself */
    bool squared = metric->form == HEM__WEIGHTED_L2;
    metric->candidate_distance = squared ? HEM_L2 : HEM_L1;
    for (size_t d = 0; d < metric->width; d++)
      metric->candidate_scale[d] = squared ? sqrtf(-metric->w2[d]) : -metric->w2[d];
    return HEM_OK;
  }
  if (validation->query_count == 0 || validation->gallery_count == 0)
    return hem__fail(err, HEM_ENOTFOUND, "%s: there are no queries, or no gallery, to find a surrogate with",
                     hem__catalog_path(catalog));
  hem_status status = hem__catalog_check(catalog, space, 0, hem__catalog_photos(catalog)->count, err);
  return status ? status : fit_head(metric, &f, err);
}
