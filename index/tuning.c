/* Which of the settings that were tried serves. Pure functions: no clock, no file. */
#include "index/tuning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double ALIKE = 1.02; /* times the fastest: no slower, as far as clocks tell */

void hem__tuning_clear(hem__tuning *t) {
  for (size_t i = 0; t->categories && i < t->category_count; i++) {
    free(t->categories[i].name);
    free(t->categories[i].points);
  }
  free(t->categories);
  *t = (hem__tuning){0};
}

/* ---- choosing ---- */

static bool is_cheap_enough(const hem__tuned_point *p, const hem__tuned_limits *l) {
  return (!(l->latency_us > 0) || p->median_us <= l->latency_us) && (!l->bytes || p->bytes <= l->bytes);
}

static bool meets(const hem__tuned_point *p, const hem__tuned_limits *l) {
  return p->low >= l->recall && p->recall > l->above && is_cheap_enough(p, l);
}

/* Of two that are equally fast. */
static bool is_better(const hem__tuned_point *a, const hem__tuned_point *b) {
  if (a->bytes != b->bytes) return a->bytes < b->bytes;
  if (a->low != b->low) return a->low > b->low;
  return a->median_us < b->median_us;
}

static size_t choose_fast(const hem__tuned_point *at, size_t count, const hem__tuned_limits *l) {
  double fastest = INFINITY;
  size_t best = SIZE_MAX;
  for (size_t i = 0; i < count; i++)
    if (meets(&at[i], l)) fastest = fmin(fastest, at[i].median_us);
  for (size_t i = 0; i < count; i++)
    if (meets(&at[i], l) && at[i].median_us <= ALIKE * fastest && (best == SIZE_MAX || is_better(&at[i], &at[best])))
      best = i;
  return best;
}

size_t hem__tuning_choose(const hem__tuned_point *at, size_t count, const hem__tuned_limits *limits) {
  hem__tuned_limits l = *limits;
  if (l.recall > 0) return choose_fast(at, count, &l);
  double surest = -1;
  for (size_t i = 0; i < count; i++)
    if (meets(&at[i], &l)) surest = fmax(surest, at[i].low);
  if (surest < 0) return SIZE_MAX;
  l.recall = surest;
  return choose_fast(at, count, &l);
}

static bool beats(const hem__tuned_point *a, const hem__tuned_point *b) {
  if (a->recall < b->recall || a->low < b->low || a->median_us > b->median_us || a->bytes > b->bytes) return false;
  return a->recall > b->recall || a->low > b->low || a->median_us < b->median_us || a->bytes < b->bytes;
}

void hem__tuning_front(const hem__tuned_point *at, size_t count, bool *front) {
  for (size_t i = 0; i < count; i++) {
    front[i] = true;
    for (size_t j = 0; j < count && front[i]; j++) front[i] = !beats(&at[j], &at[i]);
  }
}

uint64_t hem__tuning_share(uint64_t limit, const hem__tuned_size *sizes, size_t count, size_t number) {
  uint64_t fixed = 0, choosing = 0, all = 0;
  if (!limit) return 0;
  for (size_t i = 0; i < count; i++) {
    all += sizes[i].photos;
    if (sizes[i].fixed) {
      fixed += sizes[i].fixed;
    } else {
      choosing += sizes[i].photos;
    }
  }
  if (choosing && sizes[number].fixed) return 0;
  if (!choosing) fixed = 0;
  if (limit <= fixed) return 1; /* nothing fits into it; 0 would be no limit */
  double share = (double)(limit - fixed) * ((double)sizes[number].photos / (double)(choosing ? choosing : all));
  return share < 1 ? 1 : (uint64_t)share;
}

/* ---- where nothing meets the limits ---- */

/* "1.5 MiB" */
static void say_bytes(uint64_t bytes, char out[24]) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes;
  size_t unit = 0;
  for (; value >= 1000 && unit < 4; unit++) value /= 1024;
  snprintf(out, 24, unit ? "%.3g %s" : "%.0f %s", value, units[unit]);
}

static void say_limits(const hem__tuned_limits *l, char out[96]) {
  char bytes[24], latency[40] = "";
  say_bytes(l->bytes, bytes);
  if (l->latency_us > 0) snprintf(latency, sizeof latency, " within %.0f us", l->latency_us);
  snprintf(out, 96, "%s%s%s", latency, !l->bytes ? "" : *latency ? " and " : " within ", l->bytes ? bytes : "");
}

static void say_point(const hem__tuned_point *p, bool memory, char out[112]) {
  char bytes[24];
  say_bytes(p->bytes, bytes);
  snprintf(out, 112, "%.4f (%.4f for sure) at %.1f us%s%s", p->recall, p->low, p->median_us, memory ? " in " : "",
           memory ? bytes : "");
}

/* What reaches the recall, with one limit dropped: the latency, or the memory, or both. */
static const hem__tuned_point *nearest(const hem__tuned_category *c, const hem__tuned_limits *l) {
  hem__tuned_limits rest = {.recall = l->recall, .bytes = l->bytes, .above = -1};
  size_t fast = hem__tuning_choose(c->points, c->count, &rest), small = SIZE_MAX;
  if (fast != SIZE_MAX) return &c->points[fast];
  rest = (hem__tuned_limits){.recall = l->recall, .latency_us = l->latency_us, .above = -1};
  for (size_t turn = 0; turn < 2 && small == SIZE_MAX; turn++, rest.latency_us = 0)
    for (size_t i = 0; i < c->count; i++)
      if (meets(&c->points[i], &rest) && (small == SIZE_MAX || c->points[i].bytes < c->points[small].bytes)) small = i;
  return small == SIZE_MAX ? NULL : &c->points[small];
}

hem_status hem__tuning_impossible(const hem__tuned_category *c, const hem__tuned_limits *l, hem_error *err) {
  char limits[96], here[112] = "", there[112] = "";
  bool memory = l->bytes != 0;
  hem__tuned_limits cheap = {.latency_us = l->latency_us, .bytes = l->bytes, .above = -1};
  size_t within = hem__tuning_choose(c->points, c->count, &cheap);
  const hem__tuned_point *reached = nearest(c, l);
  say_limits(l, limits);
  if (within != SIZE_MAX) say_point(&c->points[within], memory, here);
  if (reached) say_point(reached, memory, there);
  if (!reached)
    return hem__fail(
        err, HEM_EUNSUPPORTED,
        "category '%.60s': recall %.5g is not possible, or %llu queries are too few to show it%s%s%s%s: ask "
        "for less, or bring more photos to ask with",
        c->name, l->recall, (unsigned long long)c->queries, *here ? "; the best" : "", *here ? limits : "",
        *here ? " is " : "", here);
  if (within == SIZE_MAX)
    return hem__fail(err, HEM_EUNSUPPORTED, "category '%.60s': nothing answers%s; %s is possible: allow more", c->name,
                     limits, there);
  return hem__fail(
      err, HEM_EUNSUPPORTED,
      "category '%.60s': recall %.5g%s is not possible: the best there is %s; possible is %s: ask for less, "
      "or allow more",
      c->name, l->recall, limits, here, there);
}

/* ---- how sure ---- */

void hem__tuned_interval(const hem__tuned_tally *t, double z, double *low, double *high) {
  *low = 0;
  *high = 1;
  if (!(t->total > 0)) return;
  double n = (double)t->queries, places = t->total / n, p = t->right / t->total, mean = t->right / n;
  double spread = n > 1 ? fmax(t->squares / n - mean * mean, 0) / (places * places) * n / (n - 1) : 0;
  double variance = fmax(spread, p * (1 - p) / places) / n;
  *low = fmin(fmax(p - 0.5 / n - z * sqrt(variance + 1 / (n * n)), 0), p);
  *high = fmax(fmin(p + z * sqrt(variance + 1 / (n * n)), 1), p);
}
