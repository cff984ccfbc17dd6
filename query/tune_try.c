/* MAIN PATH of trying one category: which settings there are, each asked once (tune_climb.c) -> times, by turns
 * (repeat)
 * -> points.
 *
 * Times. A machine has other work too, which makes some queries slow and, for seconds, all of them. So settings take
 * turns, and a query's time is the median of its turns; a setting's is the median over its queries. Recall is counted
 * in the first turn: it is the same in all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query/tune_climb.h"

enum {
  TURNS = 3,        /* of settings that no other one beats clearly */
  TURNS_LAST = 15,  /* of those that the choice lies among, */
  CONTENDERS = 12,  /* at most so many */
  TIMED_LEAST = 20, /* queries of a turn */
};

static const double TURNS_NS = 2e9; /* later turns of a category take no longer in all: fewer queries then */
static const double TURN_NS = 1e8;  /* nor does one of them */
static const double ALMOST = 1.15;  /* times as slow as another that is better: beaten, whatever its turns say */

/* ---- turns ---- */

/* A later one: for the time. */
static hem_status turn(hem__trying *t, hem__setting *s) {
  const hem__try_category *what = t->what;
  hem_searcher *searcher = what->variants[s->variant].searcher;
  const hem__portion *p = &what->choosing;
  float *times = s->times + s->turns * s->timed;
  hem_status status = hem__engine_set_depth(what->variants[s->variant].engine, what->number, &s->depth, t->err);
  for (size_t i = 0; i < s->timed && !status; i++) {
    uint64_t ns = 0;
    status = hem__quiz_ask(what->quiz, searcher, p->at[i * p->count / s->timed], NULL, &ns, t->err);
    times[i] = (float)ns;
  }
  if (status) return status;
  memcpy(t->scratch, times, s->timed * sizeof *times);
  double median = hem__tune_quantile(t->scratch, s->timed, 0.5);
  s->least_ns = s->turns ? fmin(s->least_ns, median) : median;
  s->most_ns = s->turns ? fmax(s->most_ns, median) : median;
  s->turns++;
  return HEM_OK;
}

static void fill_point(const hem__trying *t, hem__setting *s) {
  hem__tuned_point *p = &s->point;
  const hem__variant *v = &t->what->variants[s->variant];
  *p = (hem__tuned_point){.ef_search = s->depth.ef_search,
                          .nprobe = s->depth.nprobe,
                          .refine = s->depth.refine,
                          .rerank = s->depth.rerank,
                          .median_us = s->rough_ns / 1e3,
                          .p99_us = s->rough_ns / 1e3,
                          .bytes = hem__tune_bytes(t, s)};
  memcpy(p->kind, v->kind, hem__min(strlen(v->kind) + 1, sizeof p->kind));
  hem__tune_recall(s, &p->recall, &p->low, &p->high);
}

/* The median of each query's turns, and of these the median and the 99th percentile. */
static void sum_up(const hem__trying *t, hem__setting *s) {
  float turns[TURNS_LAST];
  if (!s->turns) return;
  for (size_t i = 0; i < s->timed; i++) {
    for (size_t j = 0; j < s->turns; j++) turns[j] = s->times[j * s->timed + i];
    t->scratch[i] = (float)hem__tune_quantile(turns, s->turns, 0.5);
  }
  s->point.p99_us = hem__tune_quantile(t->scratch, s->timed, 0.99) / 1e3;
  s->point.median_us = (double)t->scratch[s->timed / 2] / 1e3;
}

/* Would another setting beat it even if it were somewhat faster? */
static bool is_beaten(const hem__trying *t, const hem__setting *s) {
  for (size_t i = 0; i < t->count; i++) {
    const hem__tuned_point *p = &t->settings[i].point;
    if (p->recall >= s->point.recall && p->low >= s->point.low && p->bytes <= s->point.bytes &&
        ALMOST * p->median_us < s->point.median_us)
      return true;
  }
  return false;
}

static hem_status take_turns(hem__trying *t, const bool *chosen, size_t until) {
  hem_status status = HEM_OK;
  for (size_t turns = 0; turns < until && !status; turns++)
    for (size_t i = 0; i < t->count && !status; i++) {
      hem__setting *s = &t->settings[i];
      if (!chosen[i] || s->turns > turns) continue;
      status = turn(t, s);
      if (!status)
        status = hem__progress_report(&t->what->progress, "tune", t->what->done, t->what->total, "categories", t->err);
    }
  for (size_t i = 0; i < t->count && !status; i++)
    if (chosen[i]) sum_up(t, &t->settings[i]);
  return status;
}

static hem_status make_room(hem__trying *t, hem__setting *s, size_t settings) {
  size_t all = t->what->choosing.count;
  double most = fmin(TURN_NS, TURNS_NS / (double)(TURNS * settings)) / fmax(s->rough_ns, 1);
  s->timed = most < (double)all ? hem__min(hem__max((size_t)most, TIMED_LEAST), all) : all;
  return hem__alloc(TURNS_LAST * s->timed, sizeof *s->times, "times", &s->times, t->err);
}

/* Among those that reach the recall (or what the best of them reaches) in the memory there is, the nearly fastest. */
static void find_close(const hem__trying *t, bool *chosen) {
  const hem__tuned_limits *l = &t->what->limits;
  double best = INFINITY, recall = l->recall;
  for (size_t i = 0; i < t->count; i++) {
    const hem__setting *s = &t->settings[i];
    chosen[i] = chosen[i] && hem__tune_fits(t, s);
    bool asked = chosen[i] && !(l->latency_us > 0 && s->point.median_us > l->latency_us);
    if (asked && !(l->recall > 0)) recall = fmax(recall, s->point.low);
  }
  for (size_t i = 0; i < t->count; i++)
    if (chosen[i] && t->settings[i].point.low >= recall) best = fmin(best, t->settings[i].point.median_us);
  for (size_t i = 0; i < t->count; i++)
    chosen[i] =
        chosen[i] && t->settings[i].point.low >= recall && t->settings[i].point.median_us <= HEM__TUNE_CLOSE * best;
}

/* The fastest of the chosen ones stay. */
static void keep_contenders(const hem__trying *t, bool *chosen) {
  double limit = 0;
  for (size_t kept = 0; kept < CONTENDERS; kept++) {
    double next = INFINITY;
    for (size_t i = 0; i < t->count; i++)
      if (chosen[i] && t->settings[i].point.median_us > limit) next = fmin(next, t->settings[i].point.median_us);
    limit = next;
  }
  for (size_t i = 0; i < t->count; i++) chosen[i] = chosen[i] && t->settings[i].point.median_us <= limit;
}

static hem_status repeat(hem__trying *t) {
  bool *chosen = NULL;
  size_t count = 0;
  hem_status status = hem__alloc(t->count, sizeof *chosen, "settings", &chosen, t->err);
  for (size_t i = 0; i < t->count && !status; i++) fill_point(t, &t->settings[i]);
  for (size_t i = 0; i < t->count && !status; i++) count += chosen[i] = !is_beaten(t, &t->settings[i]);
  for (size_t i = 0; i < t->count && !status; i++)
    if (chosen[i]) status = make_room(t, &t->settings[i], count);
  if (!status) status = take_turns(t, chosen, TURNS);
  if (!status) {
    find_close(t, chosen);
    keep_contenders(t, chosen);
    status = take_turns(t, chosen, TURNS_LAST);
  }
  free(chosen);
  return status;
}

/* ---- out ---- */

/* How far turns of one setting lie apart, typically. */
static hem_status find_noise(const hem__trying *t, double *out) {
  float *apart = NULL;
  size_t count = 0;
  hem_status status = hem__alloc(t->count, sizeof *apart, "settings", &apart, t->err);
  for (size_t i = 0; i < t->count && !status; i++) {
    const hem__setting *s = &t->settings[i];
    if (s->turns > 1 && s->least_ns > 0) apart[count++] = (float)(s->most_ns / s->least_ns - 1);
  }
  if (!status) *out = hem__tune_quantile(apart, count, 0.5);
  free(apart);
  return status;
}

/* Only what took its turns is a measured time. */
static hem_status hand_out(hem__trying *t, hem__tuned_category *out, size_t **variant_of) {
  hem_status status = hem__alloc(t->count, sizeof *out->points, "settings", &out->points, t->err);
  if (!status) status = hem__alloc(t->count, sizeof **variant_of, "settings", variant_of, t->err);
  for (size_t i = 0; i < t->count && !status; i++) {
    if (!t->settings[i].turns) continue;
    out->points[out->count] = t->settings[i].point;
    (*variant_of)[out->count++] = t->settings[i].variant;
  }
  out->queries = t->what->choosing.count;
  return status ? status : find_noise(t, &out->noise);
}

hem_status hem__try_settings(const hem__try_category *what, hem__tuned_category *out, size_t **variant_of,
                             hem_error *err) {
  hem__trying t = {.what = what, .flat_ns = INFINITY, .err = err};
  hem_status status =
      hem__alloc(hem__max(what->choosing.count, TURNS_LAST), sizeof *t.scratch, "times", &t.scratch, err);
  for (size_t v = 0; v < what->variant_count && !status; v++) {
    size_t before = t.count;
    if (!what->variants[v].there) continue;
    status = hem__tune_climb(&t, v);
    const hem__category *c = hem__tried_category(&t, v);
    for (size_t i = before; i < t.count && !c->graph && !c->index; i++)
      t.flat_ns = i == before ? t.settings[i].rough_ns : fmax(t.flat_ns, t.settings[i].rough_ns);
  }
  if (!status) status = repeat(&t);
  if (!status) status = hand_out(&t, out, variant_of);
  for (size_t i = 0; i < t.count; i++) free(t.settings[i].times);
  free(t.settings);
  free(t.scratch);
  return status;
}

hem_status hem__try_again(const hem__try_category *what, const hem__tuned_point *p, size_t variant,
                          const hem__portion *portion, hem__tuned_tally *out, hem_error *err) {
  hem__depth depth = {.ef_search = p->ef_search, .nprobe = p->nprobe, .refine = p->refine, .rerank = p->rerank};
  return hem__tune_ask(what, variant, &depth, portion, NULL, out, NULL, err);
}
