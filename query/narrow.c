/* What a search asks of each category: how many photos, and, where labels are named, which.
 *
 * Few photos with a label are scanned, one by one, which is exact. Of many, the index is asked for as many more photos
 * as have other labels, as far as the category's own counts tell; those are then dropped. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "query/engine.h"

/* A candidate of an index costs as much as some distances of a scan (measured: docs/performance.md). */
enum { SCAN_SHARE = 16 };

/* ---- what is wanted ---- */

static hem_status mark_labels(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  const hem__lookup *l = &s->engine->lookup;
  memset(s->labels, 0, l->labels.count * sizeof *s->labels);
  s->label_count = 0;
  for (size_t i = 0; i < q->o.label_count; i++) {
    size_t number = hem__set_find(&l->labels, q->o.labels[i]);
    if (number == SIZE_MAX) return hem__fail(err, HEM_ENOTFOUND, "no photo has the label '%s'", q->o.labels[i]);
    if (!s->labels[number]) s->label_numbers[s->label_count++] = (uint32_t)number;
    s->labels[number] = true;
  }
  q->choice.labels = s->labels;
  q->choice.label_of = l->label_of;
  return HEM_OK;
}

hem_status hem__search_narrow(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  hem_status status = q->o.label_count ? mark_labels(q, err) : HEM_OK;
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = hem__chosen(s, i);
    s->wanted[i] = q->choice.labels ? 0 : c->vectors.rows;
    for (size_t j = 0; q->choice.labels && j < s->label_count; j++)
      s->wanted[i] += hem__lookup_labelled(&s->engine->lookup, s->label_numbers[j], c->first, c->vectors.rows, NULL);
  }
  return status;
}

/* ---- how many ---- */

size_t hem__search_fetch(const hem__search *q, size_t chosen) {
  const hem__category *c = hem__chosen(q->s, chosen);
  size_t wanted = q->s->wanted[chosen], fetch = q->left_out;
  if (q->learned) {
    fetch += q->o.rerank ? q->o.rerank : c->rerank;
  } else {
    fetch += q->k + 1; /* the last one sets the horizon */
  }
  /* Fewer than two to the 32 photos: before the shift is cut off, every one is fetched. */
  return hem__min(hem__min(fetch, wanted) << hem__min(q->doubled, 31), wanted);
}

size_t hem__search_widened(const hem__search *q, size_t chosen, size_t photos) {
  size_t rows = hem__chosen(q->s, chosen)->vectors.rows, wanted = q->s->wanted[chosen];
  if (wanted == rows || wanted == 0) return hem__min(photos, wanted);
  return hem__min((hem__min(photos, wanted) * rows + wanted - 1) / wanted, rows); /* both are below 2^32 */
}

/* Are the photos that are wanted looked at one by one? */
static bool picks(const hem__search *q, size_t chosen, size_t k, bool exact) {
  const hem__category *c = hem__chosen(q->s, chosen);
  size_t wanted = q->s->wanted[chosen];
  return wanted < c->vectors.rows && (exact || !(c->index || c->graph) || wanted / SCAN_SHARE <= k);
}

/* ---- candidates ---- */

static hem_status pick(hem__search *q, size_t chosen, size_t k, hem__found *found, hem_error *err) {
  hem_searcher *s = q->s;
  const hem__category *c = hem__chosen(s, chosen);
  size_t count = 0, wanted = s->wanted[chosen];
  hem_status status = hem__grow(&s->picked, &s->picked_capacity, wanted, sizeof *s->picked, "candidates", err);
  for (size_t j = 0; j < s->label_count && !status; j++) {
    const uint32_t *photos = NULL;
    size_t here = hem__lookup_labelled(&s->engine->lookup, s->label_numbers[j], c->first, c->vectors.rows, &photos);
    for (size_t i = 0; i < here; i++) s->picked[count++] = photos[i] - (uint32_t)c->first;
  }
  if (status) return status;
  found->count = hem__flat_pick(c->distance, &c->vectors, s->query, &(hem__picked){s->picked, count}, k, found->at);
  found->all = found->count == wanted;
  found->horizon = found->all ? INFINITY : found->at[found->count - 1].key;
  return HEM_OK;
}

static hem_status ask(hem__search *q, size_t chosen, size_t k, bool exact, hem__found *found, hem_error *err) {
  hem_searcher *s = q->s;
  const hem__category *c = hem__chosen(s, chosen);
  hem__candidates_request request = {.query = s->query, .k = hem__search_widened(q, chosen, k), .exact = exact};
  hem__candidates_found nearest = {.at = found->at};
  hem_status status = hem__candidates(c, &request, &s->scratch, &nearest, err);
  if (status) return status;
  found->fell_back = nearest.fell_back;
  found->all = nearest.count == c->vectors.rows;
  found->horizon = found->all ? INFINITY : nearest.at[nearest.count - 1].key;
  found->count = 0;
  for (size_t i = 0; i < nearest.count; i++)
    if (hem__choice_wants(&q->choice, c->first + nearest.at[i].row)) found->at[found->count++] = nearest.at[i];
  return HEM_OK;
}

hem_status hem__search_candidates(hem__search *q, size_t chosen, size_t k, bool exact, hem__found *found,
                                  hem_error *err) {
  uint64_t started = q->learned ? hem__now_ns() : 0;
  hem_status status = HEM_OK;
  *found = (hem__found){.at = found->at, .all = true, .horizon = INFINITY};
  if (q->s->wanted[chosen])
    status = picks(q, chosen, k, exact) ? pick(q, chosen, k, found, err) : ask(q, chosen, k, exact, found, err);
  if (q->learned) q->candidates_ns += hem__now_ns() - started;
  return status;
}
