/* MAIN PATH of tuning: kinds are built and opened (variants) -> for each category: settings are tried (tune_try.c),
 * the cheapest within the limits is chosen (index/tuning.c), confirmed and measured by other queries -> the manifest.
 *
 * Honesty. What was chosen for its recall on some queries looks better on these than it is: of many settings that are
 * nearly good enough, luck picks. So the promise is measured by queries that took no part. Before, the choice is
 * confirmed by a portion between: where that shows the recall to be below the target, the next stronger setting is
 * taken. With too few queries for three portions, the last two are one, and the promise is then a little too good: it
 * is that of a setting which these queries did not refuse. */
#include "query/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/tune_try.h"

enum { THREE_PORTIONS = 160 }; /* queries of a category: fewer make two */

static const double TWO_SIDED = 1.96; /* 95% */

/* What a variant's manifest says of a category, and nobody else does. */
typedef struct part {
  char *kind, *factory;
  hem__generation_file index;
  uint32_t ef_search, nprobe, refine;
} part;

typedef struct tuner {
  hem__trial *trial;
  const hem__quiz *quiz;
  hem__variant variants[HEM__VARIANTS];
  part *parts[HEM__VARIANTS]; /* [categories] */
  size_t variant_count;
  hem__tuning tuning;
  size_t *chosen;   /* variant of each category */
  size_t *portions; /* samples of one category: those that choose, confirm, measure */
} tuner;

/* ---- variants ---- */

/* Takes what the manifest says now. */
static hem_status take_parts(tuner *t, hem_error *err) {
  hem__manifest *m = t->trial->manifest;
  part *parts = NULL;
  hem_status status = hem__alloc(m->category_count, sizeof *parts, "categories", &parts, err);
  if (status) return status;
  for (size_t i = 0; i < m->category_count; i++) {
    hem__generation_category *c = &m->categories[i];
    parts[i] = (part){c->kind, c->factory, c->index, c->ef_search, c->nprobe, c->refine};
    c->kind = c->factory = NULL;
    c->index = (hem__generation_file){0};
  }
  t->parts[t->variant_count] = parts;
  return HEM_OK;
}

static hem_status add_variant(tuner *t, const char *kind, hem_error *err) {
  hem__variant *v = &t->variants[t->variant_count];
  hem_status status = HEM_OK;
  v->kind = kind;
  if (strcmp(kind, "flat") != 0) status = t->trial->build_kind(t->trial->context, kind, err);
  if (!status) status = hem__trial_open(t->trial, &v->engine, err);
  if (!status) status = hem_searcher_new(v->engine, &v->searcher, err);
  if (!status) status = take_parts(t, err);
  t->variant_count++; /* for close() */
  return status;
}

/* IVF without compression is never tried by itself: its memory is that of a scan, and IVF-SQ8 is faster. So is
 * HNSW-SQ8 only where HNSW-PCA cannot be. */
static hem_status add_variants(tuner *t, hem_error *err) {
  const hem_index_options *o = t->trial->options;
  const char *const kinds[] = {"hnsw", o->distance == HEM_IP ? "hnsw-sq8" : "hnsw-pca", "ivf-sq8", "ivf-pq"};
  bool l1 = o->distance == HEM_L1; /* for which there is only one */
  hem_status status = add_variant(t, "flat", err);
  if (status || (o->kind && !strcmp(o->kind, "flat"))) return status;
  if (o->kind) return add_variant(t, o->kind, err);
  for (size_t i = 0; i < (l1 ? 1 : sizeof kinds / sizeof *kinds) && !status; i++)
    status = add_variant(t, kinds[i], err);
  return status;
}

/* Flat is tried where any kind will do, and where nothing else is there. */
static void mark_variants(tuner *t, size_t category) {
  bool others = false;
  for (size_t v = 1; v < t->variant_count; v++) {
    t->variants[v].there = *t->parts[v][category].factory != '\0';
    others = others || t->variants[v].there;
  }
  t->variants[0].there = !others || !t->trial->options->kind;
}

/* ---- one category ---- */

typedef struct portions {
  hem__portion choosing, confirming, measuring;
} portions;

/* Every other query chooses. */
static portions divide(tuner *t, size_t category) {
  const hem__quiz *q = t->quiz;
  size_t all = 0, at = 0, counts[3] = {0};
  for (size_t i = 0; i < q->count; i++) all += q->samples[i].category == category;
  bool three = all >= THREE_PORTIONS;
  for (size_t which = 0; which < 3; which++) {
    size_t met = 0;
    for (size_t i = 0; i < q->count; i++) {
      if (q->samples[i].category != category) continue;
      size_t turn = met++ % 4, own = turn % 2 == 0 ? 0 : three && turn == 1 ? 1 : 2;
      if (own != which) continue;
      t->portions[at++] = i;
      counts[which]++;
    }
  }
  const size_t *p = t->portions;
  portions out = {{p, counts[0]}, {p + counts[0], counts[1]}, {p + counts[0] + counts[1], counts[2]}};
  if (!three) out.confirming = out.measuring;
  return out;
}

/* A small category has one form, whatever the kind. */
static hem_status find_limits(const tuner *t, size_t number, hem__tuned_limits *out, hem_error *err) {
  const hem_index_options *o = t->trial->options;
  const hem__manifest *m = t->trial->manifest;
  hem__tuned_size *sizes = NULL;
  hem_status status = hem__alloc(m->category_count, sizeof *sizes, "categories", &sizes, err);
  if (status) return status;
  for (size_t i = 0; i < m->category_count; i++) {
    const hem__generation_category *c = &m->categories[i];
    bool choice = false;
    for (size_t v = 1; v < t->variant_count; v++) choice = choice || *t->parts[v][i].factory;
    sizes[i] = (hem__tuned_size){.photos = c->photos, .fixed = choice ? 0 : c->vectors.size + c->points.size};
  }
  *out = (hem__tuned_limits){.recall = o->target_recall,
                             .latency_us = o->max_latency_us,
                             .bytes = hem__tuning_share(o->max_memory, sizes, m->category_count, number),
                             .above = -1};
  free(sizes);
  return HEM_OK;
}

static hem_certificate certify(const hem__tuned_tally *tally, const hem__tuned_point *p, const hem__quiz *q) {
  hem_certificate c = {.queries = tally->queries, .k = q->truth ? HEM__TRUTH_K : HEM__QUIZ_K, .overlap = 1};
  if (tally->total > 0) c.overlap = tally->right / tally->total;
  c.low = c.high = c.overlap;
  bool exact = p->low == 1 && !q->truth; /* a scan loses nothing, however few the queries */
  if (tally->total > 0 && !exact) hem__tuned_interval(tally, TWO_SIDED, &c.low, &c.high);
  return c;
}

/* The cheapest that other queries do not refuse. */
static hem_status choose(const hem__try_category *what, hem__tuned_category *c, const size_t *variant_of,
                         const portions *p, hem_error *err) {
  hem__tuned_limits limits = what->limits;
  hem__tuned_tally tally = {0};
  hem_status status = HEM_OK;
  for (;;) {
    size_t best = hem__tuning_choose(c->points, c->count, &limits);
    if (best == SIZE_MAX) return hem__tuning_impossible(c, &what->limits, err);
    c->chosen = best;
    status = hem__try_again(what, &c->points[best], variant_of[best], &p->confirming, &tally, err);
    if (status) return status;
    c->promise = certify(&tally, &c->points[best], what->quiz);
    if (c->promise.high >= limits.recall) break;
    limits.above = c->points[best].recall;
  }
  if (p->measuring.at == p->confirming.at) return HEM_OK;
  status = hem__try_again(what, &c->points[c->chosen], variant_of[c->chosen], &p->measuring, &tally, err);
  if (!status) c->promise = certify(&tally, &c->points[c->chosen], what->quiz);
  return status;
}

static hem_status tune_category(tuner *t, size_t number, hem_error *err) {
  const hem_index_options *o = t->trial->options;
  const hem__generation_category *of = &t->trial->manifest->categories[number];
  hem__tuned_category *c = &t->tuning.categories[number];
  size_t *variant_of = NULL;
  portions p = divide(t, number);
  mark_variants(t, number);
  hem__try_category what = {
      .variants = t->variants,
      .variant_count = t->variant_count,
      .number = number,
      .quiz = t->quiz,
      .choosing = p.choosing,
      .fixed = {.ef_search = o->ef_search, .nprobe = o->nprobe, .refine = o->refine, .rerank = o->rerank},
      .progress = o->progress,
      .done = number,
      .total = t->trial->manifest->category_count};
  c->photos = of->photos;
  hem_status status = hem__strdup(of->name, &c->name, err);
  if (!status) status = find_limits(t, number, &what.limits, err);
  if (!status) status = hem__try_settings(&what, c, &variant_of, err);
  if (!status) status = choose(&what, c, variant_of, &p, err);
  if (!status) t->chosen[number] = variant_of[c->chosen];
  free(variant_of);
  return status;
}

/* ---- what is left in the generation ---- */

static void settle(tuner *t, size_t number) {
  hem__generation_category *c = &t->trial->manifest->categories[number];
  const hem__tuned_category *tuned = &t->tuning.categories[number];
  const hem__tuned_point *p = &tuned->points[tuned->chosen];
  part *from = &t->parts[t->chosen[number]][number];
  c->kind = from->kind;
  c->factory = from->factory;
  c->index = from->index;
  *from = (part){0};
  c->ef_search = p->ef_search;
  c->nprobe = p->nprobe;
  c->refine = p->refine;
  if (t->quiz->truth) {
    c->rerank = p->rerank;
    c->certificate = tuned->promise;
  }
}

static hem_status remove_others(tuner *t, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t v = 0; v < t->variant_count && !status; v++)
    for (size_t i = 0; i < t->trial->manifest->category_count && !status; i++)
      if (t->parts[v][i].index.name)
        status = hem__publication_remove(t->trial->publication, &t->parts[v][i].index, err);
  return status;
}

static hem_status write_tuning(tuner *t, hem_error *err) {
  static const char name[] = "tuning.json";
  char *json = NULL;
  size_t size = 0;
  hem__aside *file = NULL;
  hem_status status = hem__tuning_print(&t->tuning, &json, &size, err);
  if (!status) status = hem__publication_file(t->trial->publication, name, &file, err);
  if (!status) status = hem__aside_write(file, json, size, err);
  if (!status) status = hem__publication_finish_file(file, name, &t->trial->manifest->tuning, err);
  hem__aside_free(file);
  free(json);
  return status;
}

/* ---- the run ---- */

static hem_status prepare(tuner *t, hem_error *err) {
  const hem_index_options *o = t->trial->options;
  size_t count = t->trial->manifest->category_count;
  t->tuning = (hem__tuning){.reranked = t->quiz->truth != NULL,
                            .k = t->quiz->truth ? HEM__TRUTH_K : HEM__QUIZ_K,
                            .target_recall = o->target_recall,
                            .max_latency_us = o->max_latency_us,
                            .max_memory = o->max_memory};
  hem_status status = hem__alloc(count, sizeof *t->tuning.categories, "categories", &t->tuning.categories, err);
  if (status) return status;
  t->tuning.category_count = count;
  status = hem__alloc(count, sizeof *t->chosen, "categories", &t->chosen, err);
  return status ? status : hem__alloc(t->quiz->count, sizeof *t->portions, "queries", &t->portions, err);
}

static void close_tuner(tuner *t) {
  size_t count = t->tuning.category_count;
  for (size_t v = 0; v < t->variant_count; v++) {
    hem_searcher_free(t->variants[v].searcher);
    hem_engine_close(t->variants[v].engine);
    for (size_t i = 0; t->parts[v] && i < count; i++) {
      free(t->parts[v][i].kind);
      free(t->parts[v][i].factory);
      free(t->parts[v][i].index.name);
    }
    free(t->parts[v]);
  }
  hem__tuning_clear(&t->tuning);
  free(t->chosen);
  free(t->portions);
}

hem_status hem__tune(hem__trial *trial, const hem__quiz *quiz, hem_error *err) {
  tuner t = {.trial = trial, .quiz = quiz};
  size_t count = trial->manifest->category_count;
  hem_status status = prepare(&t, err);
  if (!status) status = add_variants(&t, err);
  for (size_t i = 0; i < count && !status; i++) status = tune_category(&t, i, err);
  if (!status) status = hem__progress_report(&trial->options->progress, "tune", count, count, "categories", err);
  for (size_t i = 0; i < count && !status; i++) settle(&t, i);
  if (!status) status = remove_others(&t, err);
  if (!status) status = write_tuning(&t, err);
  close_tuner(&t);
  return status;
}
