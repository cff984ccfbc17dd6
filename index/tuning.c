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
  if (a->recall < b->recall || a->median_us > b->median_us || a->bytes > b->bytes) return false;
  return a->recall > b->recall || a->median_us < b->median_us || a->bytes < b->bytes;
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

static size_t surest_within(const hem__tuned_category *c, const hem__tuned_limits *l) {
  return hem__tuning_choose(c->points, c->count,
                            &(hem__tuned_limits){.latency_us = l->latency_us, .bytes = l->bytes, .above = -1});
}

static void say_limits(const hem__tuned_limits *l, char out[96]) {
  size_t at = 0, room = 96;
  out[0] = '\0';
  if (l->latency_us > 0) at += (size_t)snprintf(out, room, " within %.0f us", l->latency_us);
  if (l->bytes) snprintf(out + at, room - at, "%s %.1f MiB", at ? " and" : " within", (double)l->bytes / 1048576);
}

static void say_point(const hem__tuned_point *p, bool memory, char out[112]) {
  int at = snprintf(out, 112, "%.4f (%.4f for sure) at %.1f us", p->recall, p->low, p->median_us);
  if (memory && at > 0) snprintf(out + at, 112 - (size_t)at, " in %.1f MiB", (double)p->bytes / 1048576);
}

hem_status hem__tuning_impossible(const hem__tuned_category *c, const hem__tuned_limits *l, hem_error *err) {
  char limits[96], here[112] = "", there[112] = "";
  size_t within = surest_within(c, l),
         reached =
             hem__tuning_choose(c->points, c->count, &(hem__tuned_limits){.recall = l->recall, .above = l->above});
  say_limits(l, limits);
  if (within != SIZE_MAX) say_point(&c->points[within], l->bytes != 0, here);
  if (reached != SIZE_MAX) say_point(&c->points[reached], l->bytes != 0, there);
  if (!(l->recall > 0))
    return hem__fail(err, HEM_EUNSUPPORTED, "category '%.60s': nothing answers%s; the cheapest is %s: allow more",
                     c->name, limits, there);
  if (reached == SIZE_MAX)
    return hem__fail(
        err, HEM_EUNSUPPORTED,
        "category '%.60s': recall %.4g is not possible, nor is it shown by %llu queries%s%s: ask for less, "
        "or bring more photos to ask with",
        c->name, l->recall, (unsigned long long)c->queries, *here ? "; the best is " : "", here);
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "category '%.60s': recall %.4g%s is not possible: %s%s%.4g needs %s: ask for less, or allow more",
                   c->name, l->recall, limits, here, *here ? " is; " : "", l->recall, there);
}

/* ---- how sure ---- */

void hem__tuned_interval(const hem__tuned_tally *t, double z, double *low, double *high) {
  *low = 0;
  *high = 1;
  if (!(t->total > 0)) return;
  double places = t->total / (double)t->queries, p = t->right / t->total, n = t->total, zz = z * z;
  if (t->queries > 1 && p > 0 && p < 1) {
    double mean = t->right / (double)t->queries, variance = fmax(t->squares / (double)t->queries - mean * mean, 0) *
                                                            (double)t->queries / ((double)t->queries - 1);
    n /= fmax(variance / (places * p * (1 - p)), 1); /* Kish's design effect (1965) */
  }
  double middle = (p + zz / (2 * n)) / (1 + zz / n);
  double half = z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n));
  *low = fmin(fmax(middle - half, 0), p);
  *high = fmax(fmin(middle + half, 1), p);
}
