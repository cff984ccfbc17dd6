/* MAIN PATH of a query: vector -> candidates of each category -> merged -> grouped by item -> top-k; with a Siamese
 * metric: vector -> point -> candidates -> scores (prune.c, or rerank.c) -> grouped by item -> top-k.
 *
 * An engine is a generation, opened and verified: mapped vectors, FAISS indices, the gallery. It never changes,
 * so any number of threads may use it without a lock. What changes while a query runs lives in a searcher, one
 * for each thread; its buffers grow to the largest query it has seen, and then no query allocates. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "query/prune.h"
#include "query/rerank.h"

enum { K_DEFAULT = 20, K_MAX = 100000 };

/* ---- searchers ---- */

hem_status hem_searcher_new(const hem_engine *engine, hem_searcher **out, hem_error *err) {
  hem_searcher *s = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a searcher", &s, err);
  if (status) return status;
  s->engine = engine;
  const hem__manifest *m = &engine->generation.manifest;
  status = hem__alloc(hem__manifest_width(m), sizeof *s->query, "a searcher", &s->query, err);
  if (!status) status = hem__alloc(engine->category_count, sizeof *s->chosen, "a searcher", &s->chosen, err);
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

size_t hem__search_fetch(const hem__search *q, const hem__category *c) {
  size_t fetch = q->fetch;
  /* Fewer than two to the 32 rows: before the shift is cut off, every row is fetched. */
  if (q->learned)
    fetch = ((q->o.rerank ? q->o.rerank : c->rerank) + (size_t)q->o.leave_out) << hem__min(q->doubled, 31);
  return hem__min(fetch, c->vectors.rows);
}

hem_status hem__search_reserve(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  size_t total = 0, most = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = hem__chosen(s, i);
    size_t here = hem__search_fetch(q, c);
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
    hem__candidates_request request = {.query = s->query, .k = hem__search_fetch(q, c), .exact = q->o.exact};
    hem__candidates_found found = {.at = s->near};
    hem_status status = hem__candidates(c, &request, &s->scratch, &found, err);
    if (status) return status;
    q->fallbacks += found.fell_back;
    if (found.count < c->vectors.rows) {
      q->all = false;
      if (found.at[found.count - 1].key < q->choice.horizon) q->choice.horizon = found.at[found.count - 1].key;
    }
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
  for (;; q->fetch *= 2) {
    hem_status status = hem__search_reserve(q, err);
    if (!status) status = gather(q, err);
    if (status) return status;
    *found = hem__search_hits(q);
    if (*found == q->k || q->all) return HEM_OK;
  }
}

static hem_status check_query(const hem__search *q, const float *vector, size_t dim, hem_error *err) {
  const hem__manifest *m = &q->s->engine->generation.manifest;
  if (dim != m->dim)
    return hem__fail(err, HEM_EMISMATCH, "the query has %zu values; this store holds '%s', of %zu", dim, m->space,
                     m->dim);
  if (!hem__all_finite(vector, dim))
    return hem__fail(err, HEM_EINVAL, "the query holds a value that is not a number, or is beyond 1e15");
  if (!(q->o.min_probability >= 0 && q->o.min_probability <= 1))
    return hem__fail(err, HEM_EINVAL, "a probability lies between 0 and 1");
  if (!m->metric.file.name && (q->o.rerank || q->o.min_probability > 0))
    return hem__fail(err, HEM_EINVAL, "this store has no metric: rerank and min_probability are for those that have");
  if (q->k > K_MAX) return hem__fail(err, HEM_EINVAL, "k is %zu; at most %d can be asked for", q->k, K_MAX);
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

static hem_status prepare(hem__search *q, const float *vector, size_t dim, hem_error *err) {
  hem_searcher *s = q->s;
  const hem_engine *engine = s->engine;
  if (engine->learned.metric) return hem__learned_ask(&engine->learned, vector, &s->asked, s->query, err);
  if (engine->generation.manifest.distance == HEM_COSINE) {
    hem__normalise(vector, dim, s->query);
  } else {
    memcpy(s->query, vector, dim * sizeof *vector);
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

hem_status hem_search(hem_searcher *s, const float *vector, size_t dim, const hem_search_options *options,
                      hem_answer *answer, hem_error *err) {
  hem__search q = {.s = s, .best = {.score = NAN}};
  size_t found = 0;
  hem_status status = hem__options_copy(&q.o, sizeof q.o, options, "hem_search_options", err);
  if (status) return status;
  if (q.o.category_count && !q.o.categories) return hem__fail(err, HEM_EINVAL, "category_count without categories");
  q.k = q.o.k ? q.o.k : K_DEFAULT;
  q.fetch = q.k + q.o.leave_out + 1; /* the last one sets the horizon */
  q.learned = s->engine->learned.metric && !q.o.plain;
  q.choice = (hem__choice){.k = q.k,
                           .photos = q.o.photos,
                           .horizon = INFINITY,
                           .leave_out = q.o.leave_out,
                           .leave_out_row = q.o.leave_out_row};
  status = check_query(&q, vector, dim, err);
  if (!status) status = choose(&q, err);
  if (status) return status;
  int held = hem__omp_hold();
  status = prepare(&q, vector, dim, err);
  if (!status) status = find(&q, &found, err);
  hem__omp_release(held);
  if (!status) describe(&q, found, answer);
  return status;
}
