#include "query/exact.h"

#include <math.h>

#include "query/rerank.h"

enum {
  FIRST = 64,     /* candidates a category that are scored before there are bounds; or twice k */
  BATCH = 64,     /* photos scored at once, at least */
  BATCH_SHARE = 4 /* or so many times fewer than were scored already: the k-th best score is found anew for each */
};

/* ---- the k-th best score so far ---- */

/* Puts the k largest values first, k <= count; the smallest of them is returned (Hoare 1961, quickselect). */
static float kth_largest(float *at, size_t count, size_t k) {
  size_t first = 0, last = count - 1, place = k - 1;
  while (first < last) {
    float pivot = at[first + (last - first) / 2];
    size_t i = first, j = last;
    for (;;) {
      while (at[i] > pivot) i++;
      while (at[j] < pivot) j--;
      if (i >= j) break;
      float swapped = at[i];
      at[i++] = at[j];
      at[j--] = swapped;
    }
    if (place <= j) {
      last = j;
    } else {
      first = j + 1;
    }
  }
  return at[place];
}

static bool counts(const hem__search *q, const hem__ranked *photo) {
  const hem__choice *c = &q->choice;
  return !hem__ranking_left_out(&q->s->ranking, c, photo) && (!c->passes || c->passes(c->context, photo));
}

/* Scores of photos that may enter the answer, or the best of each item's. Returns how many there are. */
static size_t collect(hem__search *q, float *out) {
  hem__ranking *r = &q->s->ranking;
  float *best = q->s->bounds.best;
  size_t count = 0;
  hem__ranking_start(r);
  for (size_t i = 0; i < r->count; i++) {
    const hem__ranked *here = &r->at[i];
    if (!counts(q, here)) continue;
    if (q->o.photos) {
      out[count++] = here->score;
    } else if (r->seen[here->item] != r->round) {
      r->seen[here->item] = r->round;
      best[here->item] = here->score;
    } else {
      best[here->item] = fmaxf(best[here->item], here->score);
    }
  }
  if (q->o.photos) return count;
  hem__ranking_start(r);
  for (size_t i = 0; i < r->count; i++) {
    uint32_t item = r->at[i].item;
    if (!counts(q, &r->at[i]) || r->seen[item] == r->round) continue;
    r->seen[item] = r->round;
    out[count++] = best[item];
  }
  return count;
}

/* What a photo must reach to enter the answer: minus infinity while there are fewer than k. */
static hem_status threshold(hem__search *q, float *out, hem_error *err) {
  hem__bounds *b = &q->s->bounds;
  hem_status status = hem__grow(&b->rest, &b->rest_capacity, q->s->ranking.count, sizeof *b->rest, "bounds", err);
  if (status) return status;
  size_t count = collect(q, b->rest);
  *out = count < q->k ? -INFINITY : kth_largest(b->rest, count, q->k);
  return HEM_OK;
}

/* ---- photos by bound ---- */

static void sift_down(hem__bounded *heap, size_t count, size_t at, hem__bounded value) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && heap[child].bound < heap[child + 1].bound) child++;
    if (value.bound >= heap[child].bound) break;
    heap[at] = heap[child];
  }
  heap[at] = value;
}

static hem__bounded pop(hem__bounds *b) {
  hem__bounded top = b->heap[0], last = b->heap[--b->heap_count];
  if (b->heap_count) sift_down(b->heap, b->heap_count, 0, last);
  return top;
}

/* Photos of one chosen category that may still enter the answer. */
static hem_status push_category(hem__search *q, size_t chosen, float least, hem_error *err) {
  hem_searcher *s = q->s;
  hem__bounds *b = &s->bounds;
  const hem__category *c = hem__chosen(s, chosen);
  hem_status status = hem__bounds_category(c, &s->asked, &s->learned.kernel, b, err);
  if (!status)
    status = hem__grow(&b->heap, &b->heap_capacity, b->heap_count + c->vectors.rows, sizeof *b->heap, "bounds", err);
  if (status) return status;
  for (size_t i = 0; i < s->ranking.count; i++) /* these are scored */
    if (s->ranking.at[i].category == s->chosen[chosen]) b->values[s->ranking.at[i].photo - c->first] = -INFINITY;
  for (size_t row = 0; row < c->vectors.rows; row++)
    if (b->values[row] >= least && b->values[row] > -INFINITY)
      b->heap[b->heap_count++] =
          (hem__bounded){.bound = b->values[row], .chosen = (uint32_t)chosen, .row = (uint32_t)row};
  return HEM_OK;
}

static hem_status push_all(hem__search *q, float least, hem_error *err) {
  hem__bounds *b = &q->s->bounds;
  hem_status status = HEM_OK;
  b->heap_count = 0;
  for (size_t i = 0; i < q->s->chosen_count && !status; i++) status = push_category(q, i, least, err);
  for (size_t i = b->heap_count / 2; i-- > 0;) sift_down(b->heap, b->heap_count, i, b->heap[i]);
  return status;
}

/* ---- scoring what is left ---- */

static hem_status score_batch(hem__search *q, const hem__bounded *popped, size_t count, hem_error *err) {
  hem_searcher *s = q->s;
  hem_status status = hem__grow(&s->near, &s->near_capacity, count, sizeof *s->near, "candidates", err);
  if (!status) status = hem__ranking_reserve(&s->ranking, s->ranking.count + count, err);
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = hem__chosen(s, i);
    size_t here = 0;
    for (size_t j = 0; j < count; j++) {
      if (popped[j].chosen != i) continue;
      hem__near *near = &s->near[here++];
      near->row = popped[j].row;
      hem__keys(c->distance, s->query, hem__row(c->vectors, near->row), 1, c->vectors.dim, &near->key);
    }
    if (here == 0) continue;
    status = hem__learned_score(&s->engine->learned, c, &s->asked, s->near, here, &s->learned, err);
    if (status) break;
    q->scored += here;
    hem__ranking_add(
        &s->ranking,
        &(hem__batch){
            .category = s->chosen[i], .first = c->first, .count = here, .near = s->near, .scores = s->learned.scores});
  }
  return status;
}

static hem_status score_rest(hem__search *q, float least, hem_error *err) {
  hem__bounds *b = &q->s->bounds;
  hem_status status = HEM_OK;
  while (!status && b->heap_count && b->heap[0].bound >= least) {
    size_t wanted = hem__max(BATCH, q->s->ranking.count / BATCH_SHARE), count = 0;
    status = hem__grow(&b->batch, &b->batch_capacity, wanted, sizeof *b->batch, "bounds", err);
    if (status) break;
    while (count < wanted && b->heap_count && b->heap[0].bound >= least) b->batch[count++] = pop(b);
    status = score_batch(q, b->batch, count, err);
    if (!status) status = threshold(q, &least, err);
  }
  return status;
}

/* ---- the answer ---- */

static const hem__ranked *best_of(const hem__ranking *r) {
  const hem__ranked *best = &r->at[0];
  for (size_t i = 1; i < r->count; i++)
    if (r->at[i].score > best->score) best = &r->at[i];
  return best;
}

hem_status hem__exact_answer(hem__search *q, size_t *found, hem_error *err) {
  hem_searcher *s = q->s;
  const hem__learned *l = &s->engine->learned;
  float least = -INFINITY;
  uint32_t rerank = q->o.rerank;
  /* Some candidates first: bounds need a place to touch, and a score to be compared with. */
  q->o.rerank = (uint32_t)hem__max(2 * q->k, FIRST);
  hem_status status = hem__bounds_prepare(l, s->engine->gallery.items, &s->bounds, err);
  if (!status) status = hem__search_reserve(q, err);
  if (!status) status = hem__rerank_gather(q, err);
  q->o.rerank = rerank;
  if (!status) status = threshold(q, &least, err);
  if (status) return status;
  const hem__ranked *best = best_of(&s->ranking);
  const hem__category *c = &s->engine->categories[best->category].shared;
  hem__bounds_lay(l, &s->asked, c->points + (best->photo - c->first) * hem__scorer_row_bytes(l->scorer), &s->bounds);
  status = push_all(q, least, err);
  if (!status) status = score_rest(q, least, err);
  if (status) return status;
  hem__ranking_sort(&s->ranking, false);
  *found = hem__rerank_finish(q);
  return HEM_OK;
}
