/* MAIN PATH of a query: vector -> candidates of each category -> merged -> grouped by item -> top-k; with a Siamese
 * metric: vector -> point -> candidates -> scores (prune.c, or rerank.c) -> grouped by item -> top-k.
 *
 * An engine is a generation, opened and verified: mapped vectors, graphs, FAISS indices, the gallery. It never changes,
 * so any number of threads may use it without a lock. What changes while a query runs lives in a searcher, one
 * for each thread; its buffers grow to the largest query it has seen, and then no query allocates. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/threads.h"
#include "query/prune.h"
#include "query/rerank.h"

enum { K_MAX = 100000 };

/* ---- searchers ---- */

hem_status hem_searcher_new(const hem_engine *engine, hem_searcher **out, hem_error *err) {
  hem_searcher *s = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a searcher", &s, err);
  if (status) return status;
  s->engine = engine;
  const hem__manifest *m = &engine->generation.manifest;
  status = hem__alloc(hem__manifest_width(m), sizeof *s->query, "a searcher", &s->query, err);
  if (!status) status = hem__alloc(engine->category_count, sizeof *s->chosen, "a searcher", &s->chosen, err);
  if (!status) status = hem__alloc(engine->category_count, sizeof *s->wanted, "a searcher", &s->wanted, err);
  size_t labels = engine->lookup.labels.count;
  if (!status) status = hem__alloc(labels, sizeof *s->labels, "a searcher", &s->labels, err);
  if (!status) status = hem__alloc(labels, sizeof *s->label_numbers, "a searcher", &s->label_numbers, err);
  if (!status) status = hem__ranking_init(&s->ranking, &engine->gallery, hem__manifest_learned(m), err);
  if (!status && engine->learned.metric) status = hem__learned_query_new(&engine->learned, &s->asked, err);
  if (status) {
    hem_searcher_free(s);
    return status;
  }
  *out = s;
  return HEM_OK;
}

void hem_searcher_free(hem_searcher *s) {
  if (!s) return;
  hem__candidates_clear(&s->scratch);
  hem__ranking_clear(&s->ranking);
  hem__learned_query_clear(&s->asked);
  hem__learned_scratch_clear(&s->learned);
  hem__bounds_clear(&s->bounds);
  free(s->query);
  free(s->near);
  free(s->hits);
  free(s->chosen);
  free(s->wanted);
  free(s->labels);
  free(s->label_numbers);
  free(s->picked);
  free(s);
}

/* ---- one query ---- */

static hem_status choose(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  const hem_engine *engine = s->engine;
  s->chosen_count = 0;
  for (size_t i = 0; i < q->o.category_count; i++) {
    size_t number = 0, j = 0;
    hem_status status = hem__engine_find(engine, q->o.categories[i], &number, err);
    if (status) return status;
    if (!engine->categories[number].loaded)
      return hem__fail(err, HEM_ENOTFOUND, "category '%s' was not loaded: open the engine with it", q->o.categories[i]);
    while (j < s->chosen_count && s->chosen[j] != number) j++;
    if (j == s->chosen_count) s->chosen[s->chosen_count++] = (uint32_t)number;
  }
  for (size_t i = 0; q->o.category_count == 0 && i < engine->category_count; i++)
    if (engine->categories[i].loaded) s->chosen[s->chosen_count++] = (uint32_t)i;
  return HEM_OK;
}

hem_status hem__search_reserve(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  size_t total = 0, most = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = hem__chosen(s, i);
    size_t here = hem__search_widened(q, i, hem__search_fetch(q, i));
    total += here;
    most = hem__max(most, here);
    status = hem__candidates_reserve(c, here, &s->scratch, err);
  }
  if (!status) status = hem__grow(&s->near, &s->near_capacity, most, sizeof *s->near, "candidates", err);
  return status ? status : hem__ranking_restart(&s->ranking, total, err);
}

/* Asks every chosen category for its `fetch` nearest photos. */
static hem_status gather(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  q->fallbacks = 0;
  q->all = true;
  q->choice.horizon = INFINITY;
  for (size_t i = 0; i < s->chosen_count; i++) {
    const hem__category *c = hem__chosen(s, i);
    hem__found found = {.at = s->near};
    hem_status status = hem__search_candidates(q, i, hem__search_fetch(q, i), q->o.exact, &found, err);
    if (status) return status;
    q->fallbacks += found.fell_back;
    q->all = q->all && found.all;
    q->choice.horizon = fminf(q->choice.horizon, found.horizon);
    hem__ranking_merge(
        &s->ranking,
        &(hem__batch){.category = s->chosen[i], .first = c->first, .near = found.at, .count = found.count});
  }
  return HEM_OK;
}

static hem_hit hit_of(const hem_engine *engine, const hem__ranked *r) {
  const hem__gallery *g = &engine->gallery;
  const hem__category *c = &engine->categories[r->category].shared;
  bool scored = !isnan(r->score);
  return (hem_hit){.item_id = g->text + g->item_id[r->item],
                   .category = c->name,
                   .path = g->text + g->path[r->photo],
                   .label = g->text + g->label[r->photo],
                   .row = g->row[r->photo],
                   .distance = hem__key_distance(engine->generation.manifest.distance, r->key),
                   .score = r->score,
                   .probability = scored ? (float)hem__probability(&c->calibration->platt, (double)r->score) : NAN,
                   .place = r->place};
}

size_t hem__search_hits(hem__search *q) {
  hem_searcher *s = q->s;
  size_t found = hem__ranking_choose(&s->ranking, &q->choice);
  for (size_t i = 0; i < found; i++) {
    if (!q->learned) s->ranking.at[i].place = (uint32_t)(i + 1);
    s->hits[i] = hit_of(s->engine, &s->ranking.at[i]);
  }
  return found;
}

/* One round is enough unless items have many photos: then the next asks for twice as many. */
static hem_status answer_rounds(hem__search *q, size_t *found, hem_error *err) {
  for (;; q->doubled++) {
    hem_status status = hem__search_reserve(q, err);
    if (!status) status = gather(q, err);
    if (status) return status;
    *found = hem__search_hits(q);
    if (*found == q->k || q->all) return HEM_OK;
  }
}

static hem_status check_options(const hem__search *q, hem_error *err) {
  const hem__manifest *m = &q->s->engine->generation.manifest;
  if (q->o.category_count && !q->o.categories) return hem__fail(err, HEM_EINVAL, "category_count without categories");
  if (q->o.label_count && !q->o.labels) return hem__fail(err, HEM_EINVAL, "label_count without labels");
  if (!(q->o.min_probability >= 0 && q->o.min_probability <= 1))
    return hem__fail(err, HEM_EINVAL, "a probability lies between 0 and 1");
  if (!m->metric.file.name && (q->o.rerank || q->o.min_probability > 0))
    return hem__fail(err, HEM_EINVAL, "this store has no metric: rerank and min_probability are for those that have");
  if (q->k > K_MAX) return hem__fail(err, HEM_EINVAL, "k is %zu; at most %d can be asked for", q->k, K_MAX);
  return HEM_OK;
}

static hem_status check_vector(const hem_engine *engine, const float *vector, size_t dim, hem_error *err) {
  const hem__manifest *m = &engine->generation.manifest;
  if (dim != m->dim)
    return hem__fail(err, HEM_EMISMATCH, "the query has %zu values; this store holds '%s', of %zu", dim, m->space,
                     m->dim);
  if (!hem__all_finite(vector, dim))
    return hem__fail(err, HEM_EINVAL, "the query holds a value that is not a number, or is beyond 1e15");
  return HEM_OK;
}

/* "No match": the best of all, whatever its probability, is below the threshold of its category. */
static void judge(const hem__search *q, hem_answer *answer) {
  const hem__category *c = &q->s->engine->categories[q->best.category].shared;
  answer->no_match = true;
  if (isnan(q->best.score)) return; /* nothing was scored: the gallery is the photo that was left out */
  answer->threshold = c->calibration->threshold;
  answer->no_match = hem__probability(&c->calibration->platt, (double)q->best.score) < answer->threshold;
}

static void describe(const hem__search *q, size_t found, hem_answer *answer) {
  const hem_searcher *s = q->s;
  *answer = (hem_answer){.hits = s->hits,
                         .found = found,
                         .wanted = q->k,
                         .shortfall = found == q->k    ? HEM_COMPLETE
                                      : q->met > found ? HEM_IMPROBABLE
                                                       : HEM_SMALL_GALLERY,
                         .categories = s->chosen_count,
                         .fallbacks = q->fallbacks,
                         .scored = q->scored};
  for (size_t i = 0; i < s->chosen_count; i++) answer->gallery += hem__chosen(s, i)->vectors.rows;
  if (q->learned) judge(q, answer);
}

/* What a query is asked with: a vector, or a photo of the engine. */
typedef struct asked {
  const float *vector; /* NULL: the photo */
  const hem__category *category;
  size_t row; /* of the category */
} asked;

static hem_status prepare(hem__search *q, const asked *with, hem_error *err) {
  hem_searcher *s = q->s;
  const hem_engine *engine = s->engine;
  const hem__manifest *m = &engine->generation.manifest;
  if (!with->vector && engine->learned.metric) {
    hem__learned_ask_row(&engine->learned, with->category, with->row, &s->asked, s->query);
  } else if (!with->vector) { /* normalised for cosine already */
    hem__copy_row(&with->category->vectors, with->row, s->query);
  } else if (engine->learned.metric) {
    return hem__learned_ask(&engine->learned, with->vector, &s->asked, s->query, err);
  } else if (m->distance == HEM_COSINE) {
    hem__normalise(with->vector, m->dim, s->query);
  } else {
    memcpy(s->query, with->vector, m->dim * sizeof *s->query);
  }
  return HEM_OK;
}

static hem_status find(hem__search *q, size_t *found, hem_error *err) {
  hem_status status = hem__grow(&q->s->hits, &q->s->hits_capacity, q->k, sizeof *q->s->hits, "hits", err);
  if (status) return status;
  if (!q->learned) return answer_rounds(q, found, err);
  hem__rerank_filter(q);
  /* Candidates of a weighted distance are its answer already; a number that is asked for is scored as it is. */
  const hem__metric *m = q->s->engine->learned.metric;
  bool pruned = q->o.exact || (!q->o.rerank && m->form == HEM__HEAD && hem__metric_concave(m));
  return pruned ? hem__prune_answer(q, found, err) : hem__rerank_answer(q, found, err);
}

static hem_status begin(hem__search *q, hem_searcher *s, const hem_search_options *options, hem_error *err) {
  *q = (hem__search){.s = s, .best = {.score = NAN}};
  hem_status status = hem__options_copy(&q->o, sizeof q->o, options, "hem_search_options", err);
  if (status) return status;
  q->k = q->o.k ? q->o.k : HEM__K_DEFAULT;
  q->learned = s->engine->learned.metric && !q->o.plain;
  q->left_out = q->o.leave_out;
  q->choice = (hem__choice){.k = q->k,
                            .photos = q->o.photos,
                            .horizon = INFINITY,
                            .leave_out = q->o.leave_out,
                            .leave_out_row = q->o.leave_out_row};
  status = check_options(q, err);
  if (!status) status = choose(q, err);
  return status ? status : hem__search_narrow(q, err);
}

static hem_status answer_with(hem__search *q, const asked *with, hem_answer *answer, hem_error *err) {
  size_t found = 0;
  uint64_t started = hem__now_ns();
  int held = hem__omp_hold();
  hem_status status = prepare(q, with, err);
  if (!status) status = find(q, &found, err);
  hem__omp_release(held);
  if (status) return status;
  describe(q, found, answer);
  uint64_t all = hem__now_ns() - started;
  answer->candidates_ns = q->learned ? q->candidates_ns : all;
  answer->rerank_ns = all - answer->candidates_ns;
  return HEM_OK;
}

hem_status hem_search(hem_searcher *s, const float *vector, size_t dim, const hem_search_options *options,
                      hem_answer *answer, hem_error *err) {
  hem__search q;
  if (!s || !vector || !answer)
    return hem__fail(err, HEM_EINVAL, "hem_search: searcher, vector and answer must not be NULL");
  hem_status status = begin(&q, s, options, err);
  if (!status) status = check_vector(s->engine, vector, dim, err);
  return status ? status : answer_with(&q, &(asked){.vector = vector}, answer, err);
}

/* The first photo of an item whose category is loaded. */
static hem_status find_photo(const hem_engine *engine, const char *item_id, size_t item, asked *out, hem_error *err) {
  const hem__lookup *l = &engine->lookup;
  size_t category = 0;
  for (size_t i = l->first[item]; i < l->first[item + 1]; i++) {
    category = hem__engine_category_of(engine, l->photos[i]);
    const hem__loaded *c = &engine->categories[category];
    if (!c->loaded) continue;
    *out = (asked){.category = &c->shared, .row = l->photos[i] - c->shared.first};
    return HEM_OK;
  }
  return hem__fail(err, HEM_ENOTFOUND, "item '%s' lies in category '%s', which was not loaded: open the engine with it",
                   item_id, engine->categories[category].shared.name);
}

hem_status hem_search_item(hem_searcher *s, const char *item_id, const hem_search_options *options, hem_answer *answer,
                           hem_error *err) {
  hem__search q;
  hem_item item;
  asked with = {0};
  if (!s || !item_id || !answer)
    return hem__fail(err, HEM_EINVAL, "hem_search_item: searcher, item_id and answer must not be NULL");
  hem_status status = begin(&q, s, options, err);
  if (!status) status = hem_engine_item(s->engine, item_id, &item, err);
  if (!status) status = find_photo(s->engine, item_id, item.number, &with, err);
  if (status) return status;
  q.choice.leave_out_item = true;
  q.choice.item = (uint32_t)item.number;
  q.left_out += item.photo_count;
  return answer_with(&q, &with, answer, err);
}
