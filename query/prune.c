#include "query/prune.h"

#include <math.h>

#include "query/rerank.h"

enum {
  FIRST = 32,      /* candidates that are scored before there are bounds; or twice k */
  SCAN_SHARE = 32, /* see prune.h */
  BATCH = 64,      /* photos scored at once, at least */
  BATCH_SHARE = 4  /* or so many times fewer than were scored already: the k-th best score is found anew for each */
};

/* Is every photo of the category bounded? */
static bool is_scanned(const hem__search *q, size_t chosen) {
  size_t rows = hem__chosen(q->s, chosen)->vectors.rows;
  return q->o.exact || rows / SCAN_SHARE <= hem__search_widened(q, chosen, hem__search_fetch(q, chosen));
}

/* ---- candidates: some are scored, the others wait ---- */

static hem_status keep_pool(hem__search *q, size_t chosen, const hem__near *near, size_t count, hem_error *err) {
  hem__bounds *b = &q->s->bounds;
  size_t end = chosen ? b->pool_end[chosen - 1] : 0;
  hem_status status = hem__grow(&b->pool, &b->pool_capacity, end + count, sizeof *b->pool, "candidates", err);
  if (!status)
    status = hem__grow(&b->pool_end, &b->pool_end_capacity, chosen + 1, sizeof *b->pool_end, "candidates", err);
  for (size_t i = 0; i < count && !status; i++) b->pool[end++] = near[i].row;
  if (!status) b->pool_end[chosen] = end;
  return status;
}

static size_t first_scored(const hem__search *q) { return hem__max(2 * (q->k + q->left_out), FIRST); }

static size_t largest_of(const hem_searcher *s) {
  size_t largest = 0;
  for (size_t i = 1; i < s->chosen_count; i++)
    if (s->wanted[i] > s->wanted[largest]) largest = i;
  return largest;
}

/* Bounds need a place to touch, and a score to be compared with: the first candidates of the largest category, and of
 * those that are not scanned. Of the others FAISS would tell nothing that their bounds do not. */
static hem_status gather(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  size_t first = first_scored(q), largest = largest_of(s);
  hem_status status = HEM_OK;
  q->fallbacks = 0;
  q->all = true;
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = hem__chosen(s, i);
    bool scanned = is_scanned(q, i);
    if (scanned && i != largest) {
      status = keep_pool(q, i, NULL, 0, err);
      continue;
    }
    size_t fetch = scanned ? first : hem__search_fetch(q, i);
    hem__found found = {.at = s->near};
    status = hem__search_candidates(q, i, fetch, false, &found, err);
    /* An index that named only photos with other labels has not shown where the line is to touch. */
    if (!status && !found.count && scanned) status = hem__search_candidates(q, i, fetch, true, &found, err);
    size_t scored = status ? 0 : hem__min(first, found.count);
    if (!status) status = keep_pool(q, i, found.at + scored, scanned ? 0 : found.count - scored, err);
    if (!status) status = hem__learned_score(&s->engine->learned, c, &s->asked, found.at, scored, &s->learned, err);
    if (status) break;
    q->fallbacks += found.fell_back;
    q->scored += scored;
    q->all = q->all && (scanned || found.all);
    hem__ranking_merge(&s->ranking, &(hem__batch){.category = s->chosen[i],
                                                  .first = c->first,
                                                  .count = scored,
                                                  .near = found.at,
                                                  .scores = s->learned.scores});
  }
  return status;
}

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

static hem_status push(hem__search *q, size_t chosen, const uint32_t *rows, size_t count, float least, hem_error *err) {
  hem__bounds *b = &q->s->bounds;
  size_t place = hem__chosen(q->s, chosen)->first;
  hem_status status = hem__grow(&b->heap, &b->heap_capacity, b->heap_count + count, sizeof *b->heap, "bounds", err);
  for (size_t i = 0; i < count && !status; i++)
    if (b->values[i] >= least && b->values[i] > -INFINITY &&
        hem__choice_wants(&q->choice, place + (rows ? rows[i] : i)))
      b->heap[b->heap_count++] =
          (hem__bounded){.bound = b->values[i], .chosen = (uint32_t)chosen, .row = rows ? rows[i] : (uint32_t)i};
  return status;
}

/* All photos of one chosen category that may still enter the answer. */
static hem_status push_category(hem__search *q, size_t chosen, float least, hem_error *err) {
  hem_searcher *s = q->s;
  const hem__category *c = hem__chosen(s, chosen);
  hem_status status = hem__bounds_values(c, &s->asked, NULL, c->vectors.rows, &s->learned.kernel, &s->bounds, err);
  if (status) return status;
  for (size_t i = 0; i < s->ranking.count; i++) /* these are scored */
    if (s->ranking.at[i].category == s->chosen[chosen]) s->bounds.values[s->ranking.at[i].photo - c->first] = -INFINITY;
  return push(q, chosen, NULL, c->vectors.rows, least, err);
}

/* Its candidates that may. */
static hem_status push_pool(hem__search *q, size_t chosen, float least, hem_error *err) {
  hem_searcher *s = q->s;
  hem__bounds *b = &s->bounds;
  size_t first = chosen ? b->pool_end[chosen - 1] : 0, count = b->pool_end[chosen] - first;
  const uint32_t *rows = b->pool + first;
  if (count == 0) return HEM_OK;
  hem_status status = hem__bounds_values(hem__chosen(s, chosen), &s->asked, rows, count, &s->learned.kernel, b, err);
  return status ? status : push(q, chosen, rows, count, least, err);
}

static hem_status push_all(hem__search *q, float least, hem_error *err) {
  hem__bounds *b = &q->s->bounds;
  hem_status status = HEM_OK;
  b->heap_count = 0;
  for (size_t i = 0; i < q->s->chosen_count && !status; i++)
    status = (is_scanned(q, i) ? push_category : push_pool)(q, i, least, err);
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
      hem__keys_some(&(hem__some){.distance = c->distance,
                                  .query = s->query,
                                  .vectors = c->vectors,
                                  .first = near->row,
                                  .count = 1,
                                  .limit = INFINITY},
                     &near->key);
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

/* The photo that just enters the answer so far; where there are fewer than k, the last. There the line is to be tight:
 * at the best photo, which may be far better than the others, it would be flat. */
static const hem__ranked *last_of(const hem__ranking *r, float least) {
  const hem__ranked *last = &r->at[0];
  for (size_t i = 1; i < r->count; i++) {
    float score = r->at[i].score;
    if (score >= least && (last->score < least || score < last->score)) last = &r->at[i];
  }
  return last;
}

/* Room for the candidates of every category, however it is searched. */
static hem_status reserve(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  size_t first = first_scored(q), total = 0;
  hem_status status = hem__bounds_prepare(&s->engine->learned, s->engine->gallery.items, &s->bounds, err);
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = hem__chosen(s, i);
    size_t here = hem__search_widened(q, i, hem__max(is_scanned(q, i) ? 0 : hem__search_fetch(q, i), first));
    total += here;
    status = hem__candidates_reserve(c, here, &s->scratch, err);
    if (!status) status = hem__grow(&s->near, &s->near_capacity, here, sizeof *s->near, "candidates", err);
  }
  return status ? status : hem__ranking_restart(&s->ranking, total, err);
}

static hem_status one_round(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  const hem__learned *l = &s->engine->learned;
  float least = -INFINITY;
  hem_status status = reserve(q, err);
  if (!status) status = gather(q, err);
  if (!status) status = threshold(q, &least, err);
  if (status || s->ranking.count == 0) return status; /* nothing is wanted, or its labels are still to be met */
  const hem__ranked *last = last_of(&s->ranking, least);
  const hem__category *c = &s->engine->categories[last->category].shared;
  hem__bounds_lay(l, &s->asked, c->points + (last->photo - c->first) * hem__scorer_row_bytes(l->scorer), &s->bounds);
  status = push_all(q, least, err);
  return status ? status : score_rest(q, least, err);
}

hem_status hem__prune_answer(hem__search *q, size_t *found, hem_error *err) {
  for (;; q->doubled++) {
    hem_status status = one_round(q, err);
    if (status) return status;
    hem__ranking_sort(&q->s->ranking, false);
    *found = hem__rerank_finish(q);
    if (q->met >= q->k || q->all) return HEM_OK;
  }
}
