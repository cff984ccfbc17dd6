#include "metric/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/score_all.h"

/* ---- the parts ---- */

/* Negative log-likelihood of one target t at z = slope * s + offset, without overflow. */
static double loss_of(double z, double t) { return z >= 0 ? (1 - t) * z + log1p(exp(-z)) : -t * z + log1p(exp(z)); }

typedef struct platt_fit {
  const float *scores;
  const bool *right;
  size_t count;
  double mean, scale;        /* scores are fitted as (s - mean) * scale: Newton's matrix is then well-conditioned */
  double if_right, if_wrong; /* targets */
} platt_fit;

static double standard(const platt_fit *f, size_t i) { return ((double)f->scores[i] - f->mean) * f->scale; }
static double target(const platt_fit *f, size_t i) { return f->right[i] ? f->if_right : f->if_wrong; }

static double total_loss(const platt_fit *f, hem__platt p) {
  double sum = 0;
  for (size_t i = 0; i < f->count; i++) sum += loss_of(p.slope * standard(f, i) + p.offset, target(f, i));
  return sum;
}

/* One step of Newton's method, shortened until the loss falls. False: it cannot fall any more. */
static bool newton_step(const platt_fit *f, hem__platt *p, double *loss) {
  double g1 = 0, g2 = 0, h11 = 1e-12, h12 = 0, h22 = 1e-12;
  for (size_t i = 0; i < f->count; i++) {
    double s = standard(f, i), probability = hem__probability(p, s);
    double d = probability - target(f, i), w = probability * (1 - probability);
    g1 += s * d;
    g2 += d;
    h11 += s * s * w;
    h12 += s * w;
    h22 += w;
  }
  if (fabs(g1) < 1e-9 && fabs(g2) < 1e-9) return false;
  double det = h11 * h22 - h12 * h12, d1 = -(h22 * g1 - h12 * g2) / det, d2 = -(h11 * g2 - h12 * g1) / det;
  for (double step = 1; step > 1e-10; step /= 2) {
    hem__platt next = {p->slope + step * d1, p->offset + step * d2};
    double after = total_loss(f, next);
    if (!(after < *loss + 1e-4 * step * (g1 * d1 + g2 * d2))) continue;
    *p = next;
    *loss = after;
    return true;
  }
  return false;
}

static void standardise(platt_fit *f) {
  double sum = 0, square = 0;
  for (size_t i = 0; i < f->count; i++) sum += (double)f->scores[i];
  f->mean = f->count ? sum / (double)f->count : 0;
  for (size_t i = 0; i < f->count; i++) square += pow((double)f->scores[i] - f->mean, 2);
  f->scale = square > 0 ? 1 / sqrt(square / (double)f->count) : 0;
}

hem__platt hem__platt_fit(const float *scores, const bool *right, size_t count) {
  enum { STEPS = 100 };
  platt_fit f = {.scores = scores, .right = right, .count = count};
  double good = 0, bad;
  for (size_t i = 0; i < count; i++) good += right[i];
  bad = (double)count - good;
  f.if_right = (good + 1) / (good + 2);
  f.if_wrong = 1 / (bad + 2);
  standardise(&f);
  hem__platt p = {.slope = 0, .offset = log((good + 1) / (bad + 1))};
  hem__platt flat = {.slope = 0, .offset = p.offset};
  double loss = total_loss(&f, p);
  for (size_t i = 0; i < STEPS; i++)
    if (!newton_step(&f, &p, &loss)) break;
  if (p.slope <= 0) return flat;
  return (hem__platt){.slope = p.slope * f.scale, .offset = p.offset - p.slope * f.scale * f.mean};
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double hem__conformal_threshold(double *wrong, size_t count, double rate) {
  if (count == 0) return 0;
  qsort(wrong, count, sizeof *wrong, by_value);
  double place = ceil((double)(count + 1) * (1 - rate) - 1e-9); /* 1 - rate is not exact */
  size_t index = place >= (double)count ? count - 1 : place < 1 ? 0 : (size_t)place - 1;
  /* An answer at the threshold is given: only what lies above that value is. */
  return nextafter(wrong[index], 2);
}

/* ---- what each query is shown ---- */

typedef struct shown {
  float scores[HEM__SHOWN]; /* best first */
  bool right[HEM__SHOWN];
  size_t count;
  float stranger;  /* best score without the query's own item; -INFINITY: there is nothing else */
  bool answerable; /* its item is in the gallery */
  const hem__contest *contest;
} shown;

typedef struct collecting {
  const hem__contest *contest;
  shown *shown; /* by place in the validation */
} collecting;

static void show(shown *s, float score, bool right) {
  if (s->count == HEM__SHOWN && score <= s->scores[HEM__SHOWN - 1]) return;
  size_t at = s->count < HEM__SHOWN ? s->count++ : HEM__SHOWN - 1;
  for (; at > 0 && s->scores[at - 1] < score; at--) {
    s->scores[at] = s->scores[at - 1];
    s->right[at] = s->right[at - 1];
  }
  s->scores[at] = score;
  s->right[at] = right;
}

static void take_scores(void *context, size_t query, float *scores, size_t worker) {
  const collecting *x = context;
  const hem__contest *c = x->contest;
  shown s = {.stranger = -INFINITY, .contest = c};
  (void)worker;
  for (size_t g = 0; g < c->gallery_count; g++) {
    bool right = c->gallery_items[g] == c->query_items[query];
    if (c->gallery[g] == c->queries[query]) continue;
    show(&s, scores[g], right);
    if (right) {
      s.answerable = true;
    } else {
      s.stranger = fmaxf(s.stranger, scores[g]);
    }
  }
  x->shown[c->places[query]] = s;
}

typedef struct collection {
  const hem__metric *metric;
  hem__catalog *catalog;
  size_t space;
  const hem__validation *validation;
  hem__contests contests;
  shown *shown;
} collection;

static hem_status collect_contest(const collection *x, const hem__contest *c, hem_error *err) {
  const hem__validation *v = x->validation;
  hem__matrix vectors = hem__catalog_matrix(x->catalog, x->space);
  float *asked = NULL, *gallery = NULL;
  collecting into = {c, x->shown};
  hem__score_all_job job = {.metric = x->metric, .threads = v->threads, .take = take_scores, .context = &into};
  hem_status status =
      hem__points(x->metric, &(hem__selection){vectors, c->queries, c->query_count, v->threads}, &asked, err);
  if (!status)
    status =
        hem__points(x->metric, &(hem__selection){vectors, c->gallery, c->gallery_count, v->threads}, &gallery, err);
  job.queries = (hem__matrix){asked, c->query_count, x->metric->width};
  job.gallery = (hem__matrix){gallery, c->gallery_count, x->metric->width};
  if (!status) status = hem__score_all(&job, err);
  free(asked);
  free(gallery);
  return status;
}

static hem_status collect(collection *x, hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(x->catalog);
  if (x->validation->query_count == 0 || x->validation->gallery_count == 0)
    return hem__fail(err, HEM_ENOTFOUND, "%s: there are no queries, or no gallery, to calibrate on",
                     hem__catalog_path(x->catalog));
  hem_status status = hem__catalog_check(x->catalog, x->space, 0, photos->count, err);
  if (!status) status = hem__contests_new(photos, x->validation, &x->contests, err);
  if (!status) status = hem__alloc(x->validation->query_count, sizeof *x->shown, "queries", &x->shown, err);
  for (size_t i = 0; i < x->contests.count && !status; i++) status = collect_contest(x, &x->contests.at[i], err);
  return status;
}

static void collection_clear(collection *x) {
  free(x->shown);
  hem__contests_clear(&x->contests);
}

/* ---- calibrating ---- */

/* Room for what is fitted of one population. */
typedef struct sample {
  float *scores;
  bool *right;
  double *wrong;
  size_t count, right_count, query_count, wrong_count;
} sample;

static hem_status sample_new(size_t queries, sample *s, hem_error *err) {
  size_t most;
  if (!hem__mul(queries, HEM__SHOWN, &most)) return hem__fail(err, HEM_ENOMEM, "%zu queries are too many", queries);
  hem_status status = hem__alloc(most, sizeof *s->scores, "scores", &s->scores, err);
  if (!status) status = hem__alloc(most, sizeof *s->right, "scores", &s->right, err);
  return status ? status : hem__alloc(queries, sizeof *s->wrong, "scores", &s->wrong, err);
}

static void sample_clear(sample *s) {
  free(s->scores);
  free(s->right);
  free(s->wrong);
}

/* Fills it with the queries of one contest; NULL: of all. */
static void draw(const collection *x, const hem__contest *contest, sample *s) {
  s->count = s->right_count = s->query_count = s->wrong_count = 0;
  for (size_t q = 0; q < x->validation->query_count; q++) {
    const shown *from = &x->shown[q];
    if (contest && from->contest != contest) continue;
    for (size_t i = 0; i < from->count; i++) {
      s->scores[s->count] = from->scores[i];
      s->right_count += from->right[i];
      s->right[s->count++] = from->right[i];
    }
    s->query_count++;
    if (isfinite(from->stranger)) s->wrong[s->wrong_count++] = (double)from->stranger;
  }
}

static hem_status add_calibration(const sample *s, const char *category, double rate, hem__calibration *out,
                                  hem_error *err) {
  hem_status status = hem__strdup(category, &out->category, err);
  if (status) return status;
  out->platt = hem__platt_fit(s->scores, s->right, s->count);
  out->queries = s->query_count;
  for (size_t i = 0; i < s->wrong_count; i++) s->wrong[i] = hem__probability(&out->platt, s->wrong[i]);
  out->threshold = hem__conformal_threshold(s->wrong, s->wrong_count, rate);
  return HEM_OK;
}

static void free_calibrations(hem__calibration *at, size_t count) {
  for (size_t i = 0; i < count; i++) free(at[i].category);
  free(at);
}

static hem_status fit(const collection *x, sample *s, hem__calibration *out, size_t *count, hem_error *err) {
  double rate = x->metric->false_accept;
  draw(x, NULL, s);
  hem_status status = add_calibration(s, "", rate, &out[(*count)++], err);
  for (size_t i = 0; i < x->contests.count && !status; i++) {
    const hem__contest *c = &x->contests.at[i];
    draw(x, c, s);
    if (s->query_count < HEM__CALIBRATE_QUERIES || s->right_count < HEM__CALIBRATE_RIGHT) continue;
    status = add_calibration(s, c->category, rate, &out[(*count)++], err);
  }
  return status;
}

hem_status hem__calibrate(hem__metric *metric, hem__catalog *catalog, size_t space, const hem__validation *validation,
                          hem_error *err) {
  collection x = {.metric = metric, .catalog = catalog, .space = space, .validation = validation};
  sample s = {0};
  hem__calibration *made = NULL;
  size_t count = 0;
  if (!(metric->false_accept > 0 && metric->false_accept < 1))
    return hem__fail(err, HEM_EINVAL, "a false-accept rate lies between 0 and 1; not %g", metric->false_accept);
  hem_status status = collect(&x, err);
  if (!status) status = sample_new(validation->query_count, &s, err);
  if (!status) status = hem__alloc(x.contests.count + 1, sizeof *made, "calibrations", &made, err);
  if (!status) status = fit(&x, &s, made, &count, err);
  if (!status) {
    free_calibrations(metric->calibrations, metric->calibration_count);
    metric->calibrations = made;
    metric->calibration_count = count;
    made = NULL;
    count = 0;
  }
  free_calibrations(made, count);
  sample_clear(&s);
  collection_clear(&x);
  return status;
}

/* ---- what it is worth ---- */

static void count_query(const hem__metric *m, const shown *s, hem__trust *out) {
  const hem__calibration *c = hem__metric_calibration(m, s->contest->category);
  if (isfinite(s->stranger)) {
    out->strangers++;
    out->false_accepts += hem__probability(&c->platt, (double)s->stranger) >= c->threshold;
  }
  if (!s->answerable) return;
  out->answerable++;
  out->false_rejects += hem__probability(&c->platt, (double)s->scores[0]) < c->threshold;
}

hem_status hem__trust_measure(const hem__metric *metric, hem__catalog *catalog, size_t space,
                              const hem__validation *test, hem__trust *out, hem_error *err) {
  collection x = {.metric = metric, .catalog = catalog, .space = space, .validation = test};
  hem__trust trust = {0};
  double *probabilities = NULL;
  bool *right = NULL;
  size_t count = 0;
  hem_status status = collect(&x, err);
  if (!status) status = hem__alloc(test->query_count, HEM__SHOWN * sizeof *probabilities, "hits", &probabilities, err);
  if (!status) status = hem__alloc(test->query_count, HEM__SHOWN * sizeof *right, "hits", &right, err);
  for (size_t q = 0; q < test->query_count && !status; q++) {
    const shown *s = &x.shown[q];
    const hem__platt *platt = &hem__metric_calibration(metric, s->contest->category)->platt;
    count_query(metric, s, &trust);
    for (size_t i = 0; i < s->count; i++) {
      probabilities[count] = hem__probability(platt, (double)s->scores[i]);
      right[count++] = s->right[i];
    }
  }
  if (!status) {
    hem__reliability_measure(probabilities, right, count, &trust.shown);
    *out = trust;
  }
  free(probabilities);
  free(right);
  collection_clear(&x);
  return status;
}
