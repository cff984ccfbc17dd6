/* What the rounds say: medians, fronts, and how fast each contestant is at a recall. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sweep.h"

const double hem__sweep_targets[HEM__SWEEP_TARGETS] = {0.90, 0.95, 0.99, 0.999};

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts what is a number to the front; returns how many. */
static size_t sort(double *values, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (!isnan(values[i])) values[kept++] = values[i];
  qsort(values, kept, sizeof *values, by_value);
  return kept;
}

static double middle(const double *sorted, size_t count) {
  if (!count) return NAN;
  return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* ---- medians ---- */

static void take_medians(const hem__sweep *s, hem__sweep_row *row, double *values) {
  double *const out[HEM__SWEEP_MEASURES] = {&row->qps, &row->p50_us, &row->p99_us, &row->cpu_us};
  for (size_t m = 0; m < HEM__SWEEP_MEASURES; m++) {
    for (size_t r = 0; r < s->rounds; r++) values[r] = row->rounds[r * HEM__SWEEP_MEASURES + m];
    size_t count = sort(values, s->rounds);
    *out[m] = middle(values, count);
    if (m == HEM__QPS) row->qps_low = count ? values[0] : NAN, row->qps_high = count ? values[count - 1] : NAN;
  }
}

hem_status hem__sweep_medians(hem__sweep *s, hem_error *err) {
  double *values = NULL;
  hem_status status = hem__alloc(s->rounds, sizeof *values, "rounds", &values, err);
  for (size_t i = 0; i < s->row_count && !status; i++) take_medians(s, &s->rows[i], values);
  free(values);
  return status;
}

/* ---- fronts ---- */

void hem__sweep_front(const double *recall, const double *qps, size_t count, bool *front) {
  for (size_t i = 0; i < count; i++) {
    front[i] = true;
    for (size_t j = 0; j < count && front[i]; j++) {
      bool better = recall[j] >= recall[i] && qps[j] >= qps[i] && (recall[j] > recall[i] || qps[j] > qps[i]);
      bool same = recall[j] == recall[i] && qps[j] == qps[i] && j < i;
      front[i] = !better && !same;
    }
  }
}

double hem__sweep_at(const double *recall, const double *qps, size_t count, double target) {
  size_t i = 0;
  while (i < count && recall[i] < target) i++;
  if (i == count) return NAN;
  if (i == 0) return qps[0];
  double part = (target - recall[i - 1]) / (recall[i] - recall[i - 1]);
  return exp(log(qps[i - 1]) * (1 - part) + log(qps[i]) * part);
}

/* Room for all rows of one group. */
typedef struct group {
  size_t *rows; /* their numbers */
  double *recall, *qps, *sorted_recall, *sorted_qps, *ratios;
  bool *front;
  size_t count;
} group;

static hem_status group_init(const hem__sweep *s, group *g, hem_error *err) {
  hem_status status = hem__alloc(s->row_count, sizeof *g->rows, "rows", &g->rows, err);
  if (!status) status = hem__alloc(s->row_count, sizeof *g->recall, "rows", &g->recall, err);
  if (!status) status = hem__alloc(s->row_count, sizeof *g->qps, "rows", &g->qps, err);
  if (!status) status = hem__alloc(s->row_count, sizeof *g->qps, "rows", &g->sorted_recall, err);
  if (!status) status = hem__alloc(s->row_count, sizeof *g->qps, "rows", &g->sorted_qps, err);
  if (!status) status = hem__alloc(s->rounds, sizeof *g->ratios, "rounds", &g->ratios, err);
  if (!status) status = hem__alloc(s->row_count, sizeof *g->front, "rows", &g->front, err);
  return status;
}

static void group_clear(group *g) {
  free(g->rows);
  free(g->recall);
  free(g->qps);
  free(g->sorted_recall);
  free(g->sorted_qps);
  free(g->ratios);
  free(g->front);
}

static bool alike(const hem__sweep_row *a, const hem__sweep_row *b) {
  return a->engine == b->engine && a->mode == b->mode && a->threads == b->threads && a->truth == b->truth;
}

/* Queries a second in one round or (SIZE_MAX) in the median; by the clock, or a second of processor time. */
static double speed_of(const hem__sweep_row *row, size_t round, bool cpu) {
  if (round == SIZE_MAX) return cpu ? 1e6 / row->cpu_us : row->qps;
  const double *measures = row->rounds + round * HEM__SWEEP_MEASURES;
  return cpu ? 1e6 / measures[HEM__CPU] : measures[HEM__QPS];
}

static void collect(const hem__sweep *s, const hem__sweep_row *like, size_t round, bool cpu, group *g) {
  g->count = 0;
  for (size_t i = 0; i < s->row_count; i++) {
    const hem__sweep_row *row = &s->rows[i];
    if (!alike(row, like)) continue;
    g->rows[g->count] = i;
    g->recall[g->count] = row->recall;
    g->qps[g->count++] = speed_of(row, round, cpu);
  }
  hem__sweep_front(g->recall, g->qps, g->count, g->front);
}

static void mark_fronts(hem__sweep *s, group *g) {
  for (size_t i = 0; i < s->row_count; i++) {
    bool first = true;
    for (size_t j = 0; j < i && first; j++) first = !alike(&s->rows[j], &s->rows[i]);
    if (!first) continue;
    collect(s, &s->rows[i], SIZE_MAX, false, g);
    for (size_t j = 0; j < g->count; j++) s->rows[g->rows[j]].front = g->front[j];
  }
}

/* Of an engine's single queries on one thread, in one round or (SIZE_MAX) in the median. */
static double speed_at(const hem__sweep *s, size_t engine, size_t round, bool cpu, double target, group *g) {
  hem__sweep_row like = {.engine = engine, .mode = HEM__SINGLE, .threads = 1, .truth = HEM__BY_DISTANCE};
  size_t kept = 0;
  collect(s, &like, round, cpu, g);
  for (;;) { /* the front, by recall */
    size_t next = g->count;
    for (size_t i = 0; i < g->count; i++)
      if (g->front[i] && (next == g->count || g->recall[i] < g->recall[next])) next = i;
    if (next == g->count) break;
    g->front[next] = false;
    g->sorted_recall[kept] = g->recall[next];
    g->sorted_qps[kept++] = g->qps[next];
  }
  return hem__sweep_at(g->sorted_recall, g->sorted_qps, kept, target);
}

/* Over the first peer, round by round. Sorted; returns how many there are. */
static size_t ratios_of(const hem__sweep *s, size_t engine, bool cpu, double target, group *g) {
  for (size_t r = 0; r < s->rounds; r++)
    g->ratios[r] = speed_at(s, engine, r, cpu, target, g) / speed_at(s, s->reference, r, cpu, target, g);
  return sort(g->ratios, s->rounds);
}

static hem__sweep_point point_of(const hem__sweep *s, size_t engine, double target, group *g) {
  hem__sweep_point p = {
      .engine = engine, .target = target, .ratio = NAN, .ratio_low = NAN, .ratio_high = NAN, .cpu_ratio = NAN};
  p.qps = speed_at(s, engine, SIZE_MAX, false, target, g);
  if (s->reference == SIZE_MAX) return p;
  p.cpu_ratio = middle(g->ratios, ratios_of(s, engine, true, target, g));
  size_t count = ratios_of(s, engine, false, target, g);
  p.ratio = middle(g->ratios, count);
  if (count) p.ratio_low = g->ratios[0], p.ratio_high = g->ratios[count - 1];
  return p;
}

hem_status hem__sweep_sum_up(hem__sweep *s, hem_error *err) {
  group g = {0};
  hem_status status = hem__sweep_medians(s, err);
  if (!status) status = group_init(s, &g, err);
  if (!status) status = hem__alloc(s->engine_count * HEM__SWEEP_TARGETS, sizeof *s->points, "points", &s->points, err);
  if (!status) mark_fronts(s, &g);
  for (size_t e = 0; e < s->engine_count && !status; e++)
    for (size_t t = 0; t < HEM__SWEEP_TARGETS; t++)
      s->points[e * HEM__SWEEP_TARGETS + t] = point_of(s, e, hem__sweep_targets[t], &g);
  group_clear(&g);
  return status;
}

const hem__sweep_row *hem__sweep_row_at(const hem__sweep *s, size_t engine, double recall) {
  const hem__sweep_row *best = NULL;
  for (size_t i = 0; i < s->row_count; i++) {
    const hem__sweep_row *row = &s->rows[i];
    if (row->engine != engine || row->mode != HEM__SINGLE || row->threads != 1 || row->truth != HEM__BY_DISTANCE)
      continue;
    bool there = row->recall >= recall, before = best && best->recall >= recall;
    if (!best || (there && !before) || (there && row->qps > best->qps) ||
        (!there && !before && row->recall > best->recall))
      best = row;
  }
  return best;
}
