/* MAIN PATH of trying one category: a ladder of depths for each kind (climb) -> what lies between the last that does
 * not reach the recall and the first that does (narrow) -> times, by turns (repeat) -> points.
 *
 * Times. A machine has other work too, which makes some queries slow and, for seconds, all of them. So settings take
 * turns, and a query's time is the median of its turns; a setting's is the median over its queries. Recall is counted
 * in the first turn: it is the same in all. */
#include "query/tune_try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query/candidates.h"

enum {
  LADDER = 32,
  TURNS = 3,          /* of settings that no other one beats clearly */
  TURNS_LAST = 7,     /* of those that the choice lies among, */
  CONTENDERS = 8,     /* at most so many */
  TIMED_LEAST = 20,   /* queries of a turn */
  EF_MOST = 2048,     /* what is slower than this was never worth it against a scan */
  RERANK_LEAST = 32,  /* as without tuning */
  RERANK_MOST = 4096, /* likewise */
  SCANNED = 32        /* a category is bounded as a whole where so many times its candidates are all of it (prune.c) */
};

static const double TURNS_NS = 2e9;    /* later turns of a category take no longer in all: fewer queries then */
static const double TURN_NS = 1e8;     /* nor does one of them */
static const double ALMOST = 1.15;     /* times as slow as another that is better: beaten, whatever its turns say */
static const double ONE_SIDED = 1.645; /* 95% */
static const double GROWS = 0.0001;    /* recall that grows by less, three times, has come to its end */
static const double CLOSE = 1.3;       /* times as slow as the best: may still be the best */

/* ---- settings ---- */

typedef struct setting {
  size_t variant, line;
  hem__depth depth;
  hem__tuned_tally tally;
  bool exhaustive; /* leaves nothing out: what it loses is rounding, which is the same for all queries */
  size_t timed;    /* queries of a later turn */
  float *times;    /* [TURNS_LAST][timed], nanoseconds */
  size_t turns;
  double rough_ns;          /* median of the first turn */
  double least_ns, most_ns; /* medians of turns */
  hem__tuned_point point;
} setting;

typedef struct trying {
  const hem__try_category *what;
  setting *settings;
  size_t count, capacity, lines;
  float *scratch; /* times of one turn, or turns of one query */
  double flat_ns; /* of a scan; infinity: not tried */
  hem_error *err;
} trying;

static const hem__category *category_of(const trying *t, size_t variant) {
  return &t->what->variants[variant].engine->categories[t->what->number].shared;
}

static hem_status use(const hem__try_category *what, size_t variant, const hem__depth *depth, hem_error *err) {
  return hem__engine_set_depth(what->variants[variant].engine, what->number, depth, err);
}

/* ---- one turn ---- */

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double quantile(float *at, size_t count, double share) {
  if (count == 0) return 0;
  qsort(at, count, sizeof *at, by_value);
  return (double)at[hem__min((size_t)(share * (double)count), count - 1)];
}

/* The first: every query, counted. */
static hem_status first_turn(trying *t, setting *s) {
  const hem__try_category *what = t->what;
  hem_searcher *searcher = what->variants[s->variant].searcher;
  const hem__portion *p = &what->choosing;
  hem_status status = use(what, s->variant, &s->depth, t->err);
  for (size_t i = 0; i < p->count && !status; i++) {
    size_t right = 0;
    uint64_t ns = 0;
    status = hem__quiz_ask(what->quiz, searcher, p->at[i], &right, &ns, t->err);
    s->tally.right += (double)right;
    s->tally.squares += (double)right * (double)right;
    s->tally.total += (double)hem__quiz_places(what->quiz, p->at[i]);
    t->scratch[i] = (float)ns;
  }
  s->tally.queries = p->count;
  if (status) return status;
  s->rough_ns = quantile(t->scratch, p->count, 0.5);
  return hem__progress_report(&what->progress, "tune", what->done, what->total, "categories", t->err);
}

/* A later one: for the time. */
static hem_status turn(trying *t, setting *s) {
  const hem__try_category *what = t->what;
  hem_searcher *searcher = what->variants[s->variant].searcher;
  const hem__portion *p = &what->choosing;
  float *times = s->times + s->turns * s->timed;
  hem_status status = use(what, s->variant, &s->depth, t->err);
  for (size_t i = 0; i < s->timed && !status; i++) {
    uint64_t ns = 0;
    status = hem__quiz_ask(what->quiz, searcher, p->at[i * p->count / s->timed], NULL, &ns, t->err);
    times[i] = (float)ns;
  }
  if (status) return status;
  memcpy(t->scratch, times, s->timed * sizeof *times);
  double median = quantile(t->scratch, s->timed, 0.5);
  s->least_ns = s->turns ? fmin(s->least_ns, median) : median;
  s->most_ns = s->turns ? fmax(s->most_ns, median) : median;
  s->turns++;
  return HEM_OK;
}

/* ---- ladders ---- */

static double recall_of(const setting *s) { return s->tally.total > 0 ? s->tally.right / s->tally.total : 1; }

static double low_of(const setting *s) {
  double low, high;
  if (s->exhaustive || !(s->tally.total > 0)) return recall_of(s);
  hem__tuned_interval(&s->tally, ONE_SIDED, &low, &high);
  return low;
}

static uint64_t bytes_of(const trying *t, const setting *s) {
  const hem__generation_category *from =
      &t->what->variants[s->variant].engine->generation.manifest.categories[t->what->number];
  const hem__category *c = category_of(t, s->variant);
  uint64_t index = c->graph ? c->graph->used : c->index ? from->index.size : 0;
  bool compared = c->graph ? !c->graph->codes : !c->index;
  return index + (compared ? from->vectors.size : 0) + from->points.size;
}

static bool fits(const trying *t, const setting *s) {
  return !t->what->limits.bytes || bytes_of(t, s) <= t->what->limits.bytes;
}

/* Where so many candidates are to be scored that a concave metric's bounds are laid over the whole category (prune.c),
 * nothing is left out however the candidates are found. */
static bool is_bounded(const trying *t, size_t variant, uint32_t rerank) {
  const hem__metric *m = t->what->variants[variant].engine->learned.metric;
  return m && m->form == HEM__HEAD && hem__metric_concave(m) &&
         category_of(t, variant)->vectors.rows / SCANNED <= rerank;
}

static hem_status add(trying *t, const setting *like, setting **out) {
  hem_status status = hem__grow(&t->settings, &t->capacity, t->count + 1, sizeof *t->settings, "settings", t->err);
  if (status) return status;
  setting *s = &t->settings[t->count];
  *s = *like;
  const hem__category *c = category_of(t, s->variant);
  bool plain = !t->what->quiz->truth;
  s->exhaustive =
      plain ? !c->graph && !c->index : s->depth.rerank >= c->vectors.rows || is_bounded(t, s->variant, s->depth.rerank);
  status = first_turn(t, s);
  if (status) return status;
  t->count++;
  *out = s;
  return HEM_OK;
}

/* What is tried along one line: one depth that changes, the others as they are. */
typedef struct line {
  setting like;
  size_t place; /* in hem__depth: of the one that changes */
  uint32_t rungs[LADDER];
  size_t count;
} line;

static void set_rung(setting *s, size_t place, uint32_t value) {
  memcpy((char *)&s->depth + place, &value, sizeof value);
}

static uint32_t rung_of(const setting *s, size_t place) {
  uint32_t value;
  memcpy(&value, (const char *)&s->depth + place, sizeof value);
  return value;
}

static hem_status try_rung(trying *t, const line *l, uint32_t value, setting **out) {
  setting like = l->like;
  set_rung(&like, l->place, value);
  return add(t, &like, out);
}

static double best_recall(const trying *t, size_t first) {
  double best = 0;
  for (size_t i = first; i < t->count; i++) best = fmax(best, recall_of(&t->settings[i]));
  return best;
}

/* Does another setting, clearly faster and no larger, find all that any has found? Then going on from here only takes
 * longer. */
static bool is_spent(const trying *t, const setting *s) {
  double enough = best_recall(t, 0) - GROWS;
  for (size_t i = 0; i < t->count; i++) {
    const setting *other = &t->settings[i];
    if (recall_of(other) >= enough && CLOSE * other->rough_ns < s->rough_ns && bytes_of(t, other) <= bytes_of(t, s))
      return true;
  }
  return false;
}

/* *spent: it ended so. */
static hem_status climb(trying *t, const line *l, bool *spent) {
  double before = -1;
  size_t flat = 0;
  hem_status status = HEM_OK;
  *spent = false;
  for (size_t i = 0; i < l->count && !status; i++) {
    setting *s = NULL;
    status = try_rung(t, l, l->rungs[i], &s);
    if (status) break;
    double recall = recall_of(s);
    flat = recall - before < GROWS ? flat + 1 : 0;
    before = recall;
    *spent = s->rough_ns > t->flat_ns || is_spent(t, s);
    if (recall >= 1 || flat == 3 || *spent) break;
    *spent = false;
  }
  return status;
}

/* The first rung that reaches the recall, and the last below it that does not. */
static bool find_gap(const trying *t, const line *l, uint32_t *below, uint32_t *reached, double *ns) {
  *below = 0;
  *reached = UINT32_MAX;
  for (size_t i = 0; i < t->count; i++) {
    const setting *s = &t->settings[i];
    uint32_t value = rung_of(s, l->place);
    if (s->line != l->like.line || low_of(s) < t->what->limits.recall || value >= *reached) continue;
    *reached = value;
    *ns = s->rough_ns;
  }
  for (size_t i = 0; i < t->count; i++) {
    const setting *s = &t->settings[i];
    uint32_t value = rung_of(s, l->place);
    if (s->line == l->like.line && value < *reached && value > *below) *below = value;
  }
  return *reached != UINT32_MAX;
}

static double best_ns(const trying *t) {
  double best = INFINITY;
  for (size_t i = 0; i < t->count; i++)
    if (low_of(&t->settings[i]) >= t->what->limits.recall && fits(t, &t->settings[i]))
      best = fmin(best, t->settings[i].rough_ns);
  return best;
}

/* Halves the gap until its ends differ by 5%. Where recall is not monotone, it ends at a place where it is. */
static hem_status narrow(trying *t, const line *l) {
  uint32_t below, reached;
  double ns = 0;
  hem_status status = HEM_OK;
  while (!status && find_gap(t, l, &below, &reached, &ns) && ns <= CLOSE * best_ns(t) && below &&
         reached - below > hem__max(reached / 20, 1)) {
    setting *s = NULL;
    status = try_rung(t, l, below + (reached - below) / 2, &s);
  }
  return status;
}

/* ---- which lines there are ---- */

static void rung(line *l, uint32_t value) {
  if (l->count < LADDER && (l->count == 0 || l->rungs[l->count - 1] < value)) l->rungs[l->count++] = value;
}

/* From `least` to `most`, each `factor` times the one before. */
static void ladder(line *l, double least, double most, double factor) {
  for (double value = least; value < most; value *= factor) rung(l, (uint32_t)ceil(value));
  rung(l, (uint32_t)most);
}

typedef struct lines {
  line *at;
  size_t count, capacity;
} lines;

/* "Pad36,IVF120,PQ9x4fs" -> 120 */
static size_t lists_of(const hem__generation_category *c) {
  const char *ivf = strstr(c->factory, "IVF");
  return ivf ? hem__max(strtoul(ivf + 3, NULL, 10), 1) : 1;
}

static hem_status add_line(trying *t, lines *all, const line *l) {
  hem_status status = hem__grow(&all->at, &all->capacity, all->count + 1, sizeof *all->at, "settings", t->err);
  if (status) return status;
  all->at[all->count] = *l;
  all->at[all->count++].like.line = t->lines++;
  return HEM_OK;
}

/* How an index of this kind can be asked, with everything else as in `like`. */
static hem_status add_index_lines(trying *t, lines *all, const setting *like) {
  static const uint32_t coarse[] = {1, 2, 4, 8}, coarsest[] = {4, 16, 64};
  const hem__category *c = category_of(t, like->variant);
  const hem__depth *fixed = &t->what->fixed;
  bool pq = !strcmp(t->what->variants[like->variant].kind, "ivf-pq"), plain = !t->what->quiz->truth;
  const uint32_t *refines = pq ? coarsest : coarse;
  size_t count = !c->refine || fixed->refine || !plain ? 1 : pq ? 3 : 4;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < count && !status; i++) {
    line l = {.like = *like};
    l.like.depth.refine = !c->refine ? 0 : fixed->refine ? fixed->refine : plain ? refines[i] : c->refine;
    if (c->graph) {
      l.place = offsetof(hem__depth, ef_search);
      double most = (double)hem__min(EF_MOST, c->vectors.rows), least = fmax(8, like->depth.rerank / 4.0);
      if (!plain) most = fmin(most, like->depth.rerank); /* more is what scoring more is for */
      if (fixed->ef_search) {
        rung(&l, fixed->ef_search);
      } else {
        ladder(&l, fmin(least, most), most, plain ? 1.5 : 2);
      }
    } else {
      const hem__generation_category *from =
          &t->what->variants[like->variant].engine->generation.manifest.categories[t->what->number];
      l.place = offsetof(hem__depth, nprobe);
      if (fixed->nprobe) {
        rung(&l, from->nprobe); /* cut to what there is */
      } else {
        ladder(&l, 1, (double)lists_of(from), plain ? 1.6 : 2);
      }
    }
    status = add_line(t, all, &l);
  }
  return status;
}

/* How many candidates are scored, fewest first. Without a metric: none. */
static line list_reranks(const trying *t, size_t variant) {
  const hem__category *c = category_of(t, variant);
  line l = {.like = {.variant = variant}, .place = offsetof(hem__depth, rerank)};
  size_t rows = c->vectors.rows, most = hem__min(rows, RERANK_MOST);
  if (!t->what->quiz->truth) {
    rung(&l, 0);
  } else if (t->what->fixed.rerank) {
    rung(&l, c->rerank); /* cut to what there is */
  } else {
    if (is_bounded(t, variant, UINT32_MAX)) most = hem__min(rows, hem__max(rows / SCANNED, RERANK_LEAST));
    ladder(&l, (double)hem__min(RERANK_LEAST, most), (double)most, 2);
  }
  return l;
}

/* More and more candidates are scored, until that finds nothing more. */
static hem_status climb_all(trying *t, size_t variant, const line *reranks, lines *all) {
  double before = -1;
  size_t flat = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < reranks->count && !status && flat < 2; i++) {
    size_t first = t->count, line_count = all->count;
    setting like = reranks->like;
    like.depth.rerank = reranks->rungs[i];
    status = add_index_lines(t, all, &like);
    if (!status && is_bounded(t, variant, like.depth.rerank)) all->at[line_count].count = 1;
    bool going = false;
    for (size_t j = line_count; j < all->count && !status; j++) {
      bool spent = false;
      status = climb(t, &all->at[j], &spent);
      going = going || !spent;
    }
    if (!going) break;
    double best = status ? 0 : best_recall(t, first);
    flat = best - before < GROWS ? flat + 1 : 0;
    before = fmax(before, best);
  }
  return status;
}

static hem_status try_variant(trying *t, size_t variant) {
  const hem__category *c = category_of(t, variant);
  line reranks = list_reranks(t, variant);
  lines all = {0};
  hem_status status = HEM_OK;
  if (c->graph || c->index) {
    status = climb_all(t, variant, &reranks, &all);
  } else {
    status = add_line(t, &all, &reranks);
    bool spent;
    if (!status) status = climb(t, &all.at[0], &spent);
  }
  for (size_t i = 0; i < all.count && !status && t->what->limits.recall > 0; i++) status = narrow(t, &all.at[i]);
  free(all.at);
  return status;
}

/* ---- turns ---- */

static void fill_point(const trying *t, setting *s) {
  hem__tuned_point *p = &s->point;
  const hem__variant *v = &t->what->variants[s->variant];
  *p = (hem__tuned_point){.ef_search = s->depth.ef_search,
                          .nprobe = s->depth.nprobe,
                          .refine = s->depth.refine,
                          .rerank = s->depth.rerank,
                          .recall = recall_of(s),
                          .median_us = s->rough_ns / 1e3,
                          .p99_us = s->rough_ns / 1e3,
                          .bytes = bytes_of(t, s)};
  memcpy(p->kind, v->kind, hem__min(strlen(v->kind) + 1, sizeof p->kind));
  p->low = p->high = p->recall;
  if (!s->exhaustive && s->tally.total > 0) hem__tuned_interval(&s->tally, ONE_SIDED, &p->low, &p->high);
}

/* The median of each query's turns, and of these the median and the 99th percentile. */
static void sum_up(const trying *t, setting *s) {
  float turns[TURNS_LAST];
  if (!s->turns) return;
  for (size_t i = 0; i < s->timed; i++) {
    for (size_t j = 0; j < s->turns; j++) turns[j] = s->times[j * s->timed + i];
    t->scratch[i] = (float)quantile(turns, s->turns, 0.5);
  }
  s->point.p99_us = quantile(t->scratch, s->timed, 0.99) / 1e3;
  s->point.median_us = (double)t->scratch[s->timed / 2] / 1e3;
}

/* Would another setting beat it even if it were somewhat faster? */
static bool is_beaten(const trying *t, const setting *s) {
  for (size_t i = 0; i < t->count; i++) {
    const hem__tuned_point *p = &t->settings[i].point;
    if (p->recall >= s->point.recall && p->low >= s->point.low && p->bytes <= s->point.bytes &&
        ALMOST * p->median_us < s->point.median_us)
      return true;
  }
  return false;
}

static hem_status take_turns(trying *t, const bool *chosen, size_t until) {
  hem_status status = HEM_OK;
  for (size_t turns = 0; turns < until && !status; turns++)
    for (size_t i = 0; i < t->count && !status; i++) {
      setting *s = &t->settings[i];
      if (!chosen[i] || s->turns > turns) continue;
      status = turn(t, s);
      if (!status)
        status = hem__progress_report(&t->what->progress, "tune", t->what->done, t->what->total, "categories", t->err);
    }
  for (size_t i = 0; i < t->count && !status; i++)
    if (chosen[i]) sum_up(t, &t->settings[i]);
  return status;
}

static hem_status make_room(trying *t, setting *s, size_t settings) {
  size_t all = t->what->choosing.count;
  double most = fmin(TURN_NS, TURNS_NS / (double)(TURNS * settings)) / fmax(s->rough_ns, 1);
  s->timed = most < (double)all ? hem__min(hem__max((size_t)most, TIMED_LEAST), all) : all;
  return hem__alloc(TURNS_LAST * s->timed, sizeof *s->times, "times", &s->times, t->err);
}

/* Among those that reach the recall (or what the best of them reaches) in the memory there is, the nearly fastest. */
static void find_close(const trying *t, bool *chosen) {
  const hem__tuned_limits *l = &t->what->limits;
  double best = INFINITY, recall = l->recall;
  for (size_t i = 0; i < t->count; i++) {
    const setting *s = &t->settings[i];
    chosen[i] = chosen[i] && fits(t, s);
    bool asked = chosen[i] && !(l->latency_us > 0 && s->point.median_us > l->latency_us);
    if (asked && !(l->recall > 0)) recall = fmax(recall, s->point.low);
  }
  for (size_t i = 0; i < t->count; i++)
    if (chosen[i] && t->settings[i].point.low >= recall) best = fmin(best, t->settings[i].point.median_us);
  for (size_t i = 0; i < t->count; i++)
    chosen[i] = chosen[i] && t->settings[i].point.low >= recall && t->settings[i].point.median_us <= CLOSE * best;
}

/* The fastest of the chosen ones stay. */
static void keep_contenders(const trying *t, bool *chosen) {
  double limit = 0;
  for (size_t kept = 0; kept < CONTENDERS; kept++) {
    double next = INFINITY;
    for (size_t i = 0; i < t->count; i++)
      if (chosen[i] && t->settings[i].point.median_us > limit) next = fmin(next, t->settings[i].point.median_us);
    limit = next;
  }
  for (size_t i = 0; i < t->count; i++) chosen[i] = chosen[i] && t->settings[i].point.median_us <= limit;
}

static hem_status repeat(trying *t) {
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
static hem_status find_noise(const trying *t, double *out) {
  float *apart = NULL;
  size_t count = 0;
  hem_status status = hem__alloc(t->count, sizeof *apart, "settings", &apart, t->err);
  for (size_t i = 0; i < t->count && !status; i++) {
    const setting *s = &t->settings[i];
    if (s->turns > 1 && s->least_ns > 0) apart[count++] = (float)(s->most_ns / s->least_ns - 1);
  }
  if (!status) *out = quantile(apart, count, 0.5);
  free(apart);
  return status;
}

/* Only what took its turns is a measured time. */
static hem_status hand_out(trying *t, hem__tuned_category *out, size_t **variant_of) {
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
  trying t = {.what = what, .flat_ns = INFINITY, .err = err};
  hem_status status =
      hem__alloc(hem__max(what->choosing.count, TURNS_LAST), sizeof *t.scratch, "times", &t.scratch, err);
  for (size_t v = 0; v < what->variant_count && !status; v++) {
    size_t before = t.count;
    if (!what->variants[v].there) continue;
    status = try_variant(&t, v);
    const hem__category *c = category_of(&t, v);
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
  hem__tuned_tally tally = {.queries = portion->count};
  hem_status status = use(what, variant, &depth, err);
  for (size_t i = 0; i < portion->count && !status; i++) {
    size_t right = 0;
    uint64_t ns = 0;
    status = hem__quiz_ask(what->quiz, what->variants[variant].searcher, portion->at[i], &right, &ns, err);
    tally.right += (double)right;
    tally.squares += (double)right * (double)right;
    tally.total += (double)hem__quiz_places(what->quiz, portion->at[i]);
  }
  if (!status) *out = tally;
  return status;
}
