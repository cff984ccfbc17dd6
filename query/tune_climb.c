/* Which settings of one category are tried: lines along which one depth changes (climb), and what lies between the last
 * that does not reach the recall and the first that does (narrow). */
#include "query/tune_climb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  LADDER = 32,
  EF_MOST = 2048,     /* what is slower than this was never worth it against a scan */
  RERANK_LEAST = 32,  /* as without tuning */
  RERANK_MOST = 4096, /* likewise */
  SCANNED = 32        /* a category is bounded as a whole where so many times its candidates are all of it (prune.c) */
};

static const double ONE_SIDED = 1.645; /* 95% */
static const double GROWS = 0.0001;    /* recall that grows by less, three times, has come to its end */

/* ---- one setting ---- */

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

double hem__tune_quantile(float *at, size_t count, double share) {
  if (count == 0) return 0;
  qsort(at, count, sizeof *at, by_value);
  return (double)at[hem__min((size_t)(share * (double)count), count - 1)];
}

hem_status hem__tune_ask(const hem__try_category *what, size_t variant, const hem__depth *depth, const hem__portion *p,
                         float *scratch, hem__tuned_tally *tally, double *ns, hem_error *err) {
  hem__tuned_tally t = {.queries = p->count};
  hem_status status = hem__engine_set_depth(what->variants[variant].engine, what->number, depth, err);
  for (size_t i = 0; i < p->count && !status; i++) {
    size_t right = 0;
    uint64_t took = 0;
    status = hem__quiz_ask(what->quiz, what->variants[variant].searcher, p->at[i], &right, &took, err);
    t.right += (double)right;
    t.squares += (double)right * (double)right;
    t.total += (double)hem__quiz_places(what->quiz, p->at[i]);
    if (scratch) scratch[i] = (float)took;
  }
  if (status) return status;
  *tally = t;
  if (scratch) *ns = hem__tune_quantile(scratch, p->count, 0.5);
  return HEM_OK;
}

/* Of a scan only the time is to be found. */
static hem_status first_turn(hem__trying *t, hem__setting *s) {
  enum { SCANS = 100 };
  const hem__try_category *w = t->what;
  hem__portion asked = w->choosing;
  if (s->exhaustive && !w->quiz->truth) asked.count = hem__min(asked.count, SCANS);
  hem_status status = hem__tune_ask(w, s->variant, &s->depth, &asked, t->scratch, &s->tally, &s->rough_ns, t->err);
  return status ? status : hem__progress_report(&w->progress, "tune", w->done, w->total, "categories", t->err);
}

void hem__tune_recall(const hem__setting *s, double *recall, double *low, double *high) {
  bool known = s->tally.total > 0;
  *recall = *low = *high = known ? s->tally.right / s->tally.total : 1;
  if (known && !s->exhaustive) hem__tuned_interval(&s->tally, ONE_SIDED, low, high);
}

static double recall_of(const hem__setting *s) {
  double recall, low, high;
  hem__tune_recall(s, &recall, &low, &high);
  return recall;
}

static double low_of(const hem__setting *s) {
  double recall, low, high;
  hem__tune_recall(s, &recall, &low, &high);
  return low;
}

uint64_t hem__tune_bytes(const hem__trying *t, const hem__setting *s) {
  const hem__generation_category *from =
      &t->what->variants[s->variant].engine->generation.manifest.categories[t->what->number];
  const hem__category *c = hem__tried_category(t, s->variant);
  uint64_t index = c->graph ? c->graph->used : c->index ? from->index.size : 0;
  bool compared = c->graph ? !c->graph->codes : !c->index;
  return index + (compared ? from->vectors.size : 0) + from->points.size;
}

bool hem__tune_fits(const hem__trying *t, const hem__setting *s) {
  return !t->what->limits.bytes || hem__tune_bytes(t, s) <= t->what->limits.bytes;
}

/* Where so many candidates are to be scored that a concave metric's bounds are laid over the whole category (prune.c),
 * nothing is left out however the candidates are found. */
static bool is_bounded(const hem__trying *t, size_t variant, uint32_t rerank) {
  const hem__metric *m = t->what->variants[variant].engine->learned.metric;
  return m && m->form == HEM__HEAD && hem__metric_concave(m) &&
         hem__tried_category(t, variant)->vectors.rows / SCANNED <= rerank;
}

static hem_status add(hem__trying *t, const hem__setting *like, hem__setting **out) {
  hem_status status = hem__grow(&t->settings, &t->capacity, t->count + 1, sizeof *t->settings, "settings", t->err);
  if (status) return status;
  hem__setting *s = &t->settings[t->count];
  *s = *like;
  const hem__category *c = hem__tried_category(t, s->variant);
  bool plain = !t->what->quiz->truth;
  s->exhaustive =
      plain ? !c->graph && !c->index : s->depth.rerank >= c->vectors.rows || is_bounded(t, s->variant, s->depth.rerank);
  status = first_turn(t, s);
  if (status) return status;
  t->count++;
  *out = s;
  return HEM_OK;
}

/* ---- ladders ---- */

/* What is tried along one line: one depth that changes, the others as they are. */
typedef struct line {
  hem__setting like;
  size_t place; /* in hem__depth: of the one that changes */
  uint32_t rungs[LADDER];
  size_t count;
} line;

static void set_rung(hem__setting *s, size_t place, uint32_t value) {
  memcpy((char *)&s->depth + place, &value, sizeof value);
}

static uint32_t rung_of(const hem__setting *s, size_t place) {
  uint32_t value;
  memcpy(&value, (const char *)&s->depth + place, sizeof value);
  return value;
}

static hem_status try_rung(hem__trying *t, const line *l, uint32_t value, hem__setting **out) {
  hem__setting like = l->like;
  set_rung(&like, l->place, value);
  return add(t, &like, out);
}

static double best_recall(const hem__trying *t, size_t first) {
  double best = 0;
  for (size_t i = first; i < t->count; i++) best = fmax(best, recall_of(&t->settings[i]));
  return best;
}

/* Does another setting, clearly faster and no larger, find all that any has found? Then going on from here only takes
 * longer. */
static bool is_spent(const hem__trying *t, const hem__setting *s) {
  double enough = best_recall(t, 0) - GROWS;
  for (size_t i = 0; i < t->count; i++) {
    const hem__setting *other = &t->settings[i];
    if (recall_of(other) >= enough && HEM__TUNE_CLOSE * other->rough_ns < s->rough_ns &&
        hem__tune_bytes(t, other) <= hem__tune_bytes(t, s))
      return true;
  }
  return false;
}

/* *spent: it ended so. */
static hem_status climb(hem__trying *t, const line *l, bool *spent) {
  double before = -1;
  size_t flat = 0;
  hem_status status = HEM_OK;
  *spent = false;
  for (size_t i = 0; i < l->count && !status; i++) {
    hem__setting *s = NULL;
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
static bool find_gap(const hem__trying *t, const line *l, uint32_t *below, uint32_t *reached, double *ns) {
  *below = 0;
  *reached = UINT32_MAX;
  for (size_t i = 0; i < t->count; i++) {
    const hem__setting *s = &t->settings[i];
    uint32_t value = rung_of(s, l->place);
    if (s->line != l->like.line || low_of(s) < t->what->limits.recall || value >= *reached) continue;
    *reached = value;
    *ns = s->rough_ns;
  }
  for (size_t i = 0; i < t->count; i++) {
    const hem__setting *s = &t->settings[i];
    uint32_t value = rung_of(s, l->place);
    if (s->line == l->like.line && value < *reached && value > *below) *below = value;
  }
  return *reached != UINT32_MAX;
}

static double best_ns(const hem__trying *t) {
  double best = INFINITY;
  for (size_t i = 0; i < t->count; i++)
    if (low_of(&t->settings[i]) >= t->what->limits.recall && hem__tune_fits(t, &t->settings[i]))
      best = fmin(best, t->settings[i].rough_ns);
  return best;
}

/* Halves the gap until its ends differ by 5%. Where recall is not monotone, it ends at a place where it is. */
static hem_status narrow(hem__trying *t, const line *l) {
  uint32_t below, reached;
  double ns = 0;
  hem_status status = HEM_OK;
  while (!status && find_gap(t, l, &below, &reached, &ns) && ns <= HEM__TUNE_CLOSE * best_ns(t) && below &&
         reached - below > hem__max(reached / 20, 1)) {
    hem__setting *s = NULL;
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

static hem_status add_line(hem__trying *t, lines *all, const line *l) {
  hem_status status = hem__grow(&all->at, &all->capacity, all->count + 1, sizeof *all->at, "settings", t->err);
  if (status) return status;
  all->at[all->count] = *l;
  all->at[all->count++].like.line = t->lines++;
  return HEM_OK;
}

/* How an index of this kind can be asked, with everything else as in `like`. */
static hem_status add_index_lines(hem__trying *t, lines *all, const hem__setting *like) {
  static const uint32_t coarse[] = {1, 2, 3, 4, 6, 8}, coarsest[] = {4, 16, 64};
  const hem__category *c = hem__tried_category(t, like->variant);
  const hem__depth *fixed = &t->what->fixed;
  bool pq = !strcmp(t->what->variants[like->variant].kind, "ivf-pq"), plain = !t->what->quiz->truth;
  const uint32_t *refines = pq ? coarsest : coarse;
  size_t count = !c->refine || fixed->refine || !plain ? 1 : pq ? 3 : 6;
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
static line list_reranks(const hem__trying *t, size_t variant) {
  const hem__category *c = hem__tried_category(t, variant);
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
static hem_status climb_all(hem__trying *t, size_t variant, const line *reranks, lines *all) {
  double before = -1;
  size_t flat = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < reranks->count && !status && flat < 2; i++) {
    size_t first = t->count, line_count = all->count;
    hem__setting like = reranks->like;
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

hem_status hem__tune_climb(hem__trying *t, size_t variant) {
  const hem__category *c = hem__tried_category(t, variant);
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
