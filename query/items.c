#include "query/items.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

hem_status hem__ranking_init(hem__ranking *ranking, const hem__gallery *gallery, bool places, hem_error *err) {
  *ranking = (hem__ranking){.gallery = gallery};
  hem_status status =
      places ? hem__alloc(gallery->items, sizeof *ranking->places, "a ranking", &ranking->places, err) : HEM_OK;
  return status ? status : hem__alloc(gallery->items, sizeof *ranking->seen, "a ranking", &ranking->seen, err);
}

void hem__ranking_clear(hem__ranking *r) {
  free(r->at);
  free(r->spare);
  free(r->seen);
  free(r->places);
  *r = (hem__ranking){0};
}

hem_status hem__ranking_restart(hem__ranking *r, size_t count, hem_error *err) {
  r->count = 0;
  return hem__ranking_reserve(r, count, err);
}

hem_status hem__ranking_reserve(hem__ranking *r, size_t count, hem_error *err) {
  hem_status status = hem__grow(&r->at, &r->capacity, count, sizeof *r->at, "a ranking", err);
  return status ? status : hem__grow(&r->spare, &r->spare_capacity, count, sizeof *r->spare, "a ranking", err);
}

/* Item numbers follow item ids, and gallery positions follow rows. */
static bool before(const hem__ranked *a, const hem__ranked *b, bool by_score) {
  if (by_score && a->score != b->score) return a->score > b->score;
  if (!by_score && a->key != b->key) return a->key < b->key;
  return a->item != b->item ? a->item < b->item : a->photo < b->photo;
}

static void sift_down(hem__ranked *heap, size_t count, size_t at, hem__ranked value, bool by_score) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(&heap[child], &heap[child + 1], by_score)) child++;
    if (!before(&value, &heap[child], by_score)) break;
    heap[at] = heap[child];
  }
  heap[at] = value;
}

/* Heapsort: no allocation, and no bad case when a whole category is equally near. */
static void sort(hem__ranked *at, size_t count, bool by_score) {
  for (size_t i = count / 2; i-- > 0;) sift_down(at, count, i, at[i], by_score);
  while (count > 1) {
    hem__ranked last = at[--count];
    at[count] = at[0];
    sift_down(at, count, 0, last, by_score);
  }
}

/* Candidates come by key and row: only runs of equal keys must still be put in order of items. */
static void sort_runs(hem__ranked *at, size_t count) {
  for (size_t first = 0, next; first < count; first = next) {
    for (next = first + 1; next < count && at[next].key == at[first].key;) next++;
    if (next > first + 1) sort(at + first, next - first, false);
  }
}

/* The fresh ones stand behind the old ones; the merged order goes to `spare`, and the two change places. */
static void merge_halves(hem__ranking *r, size_t old_count) {
  size_t old = 0, fresh = old_count, out = 0;
  while (old < old_count && fresh < r->count)
    r->spare[out++] = before(&r->at[old], &r->at[fresh], false) ? r->at[old++] : r->at[fresh++];
  while (old < old_count) r->spare[out++] = r->at[old++];
  while (fresh < r->count) r->spare[out++] = r->at[fresh++];
  hem__ranked *at = r->at;
  size_t capacity = r->capacity;
  r->at = r->spare;
  r->capacity = r->spare_capacity;
  r->spare = at;
  r->spare_capacity = capacity;
}

/* What an answer reads of a photo lies in several places of the gallery, none of them in the cache after a search:
 * asked for together, they arrive together. */
static void prefetch_photos(const hem__gallery *g, size_t first, const hem__near *near, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t photo = first + near[i].row;
    __builtin_prefetch(&g->item_of[photo]);
    __builtin_prefetch(&g->row[photo]);
    __builtin_prefetch(&g->path[photo]);
    __builtin_prefetch(&g->label[photo]);
  }
}

void hem__ranking_add(hem__ranking *r, const hem__batch *batch) {
  const hem__gallery *g = r->gallery;
  prefetch_photos(g, batch->first, batch->near, batch->count);
  for (size_t i = 0; i < batch->count; i++) {
    uint32_t photo = (uint32_t)(batch->first + batch->near[i].row), item = g->item_of[photo];
    __builtin_prefetch(&g->item_id[item]);
    __builtin_prefetch(&r->seen[item], 1);
    r->at[r->count++] = (hem__ranked){.key = batch->near[i].key,
                                      .score = batch->scores ? batch->scores[i] : NAN,
                                      .photo = photo,
                                      .item = item,
                                      .category = batch->category};
  }
}

void hem__ranking_merge(hem__ranking *r, const hem__batch *batch) {
  size_t old = r->count;
  hem__ranking_add(r, batch);
  sort_runs(r->at + old, batch->count);
  if (old) merge_halves(r, old);
}

void hem__ranking_sort(hem__ranking *r, bool by_score) { sort(r->at, r->count, by_score); }

/* ---- choosing ---- */

bool hem__ranking_left_out(const hem__ranking *r, const hem__choice *choice, const hem__ranked *photo) {
  if (choice->leave_out && r->gallery->row[photo->photo] == choice->leave_out_row) return true;
  if (choice->leave_out_item && photo->item == choice->item) return true;
  return !hem__choice_wants(choice, photo->photo);
}

void hem__ranking_start(hem__ranking *r) {
  if (++r->round != 0) return;
  memset(r->seen, 0, r->gallery->items * sizeof *r->seen); /* the counter went round: old marks would count as fresh */
  r->round = 1;
}

size_t hem__ranking_place(hem__ranking *r, const hem__choice *choice) {
  size_t count = 0;
  hem__ranking_start(r);
  for (size_t i = 0; i < r->count; i++) {
    hem__ranked *here = &r->at[i];
    if (hem__ranking_left_out(r, choice, here)) continue;
    bool first = choice->photos || r->seen[here->item] != r->round;
    r->seen[here->item] = r->round;
    if (first) r->places[here->item] = (uint32_t)++count;
    here->place = r->places[here->item];
  }
  return count;
}

size_t hem__ranking_choose(hem__ranking *r, const hem__choice *choice) {
  size_t found = 0;
  hem__ranking_start(r);
  for (size_t i = 0; i < r->count && found < choice->k; i++) {
    hem__ranked here = r->at[i];
    if (here.key >= choice->horizon) break;
    if (hem__ranking_left_out(r, choice, &here)) continue;
    if (!choice->photos && r->seen[here.item] == r->round) continue;
    if (choice->passes && !choice->passes(choice->context, &here)) continue;
    r->seen[here.item] = r->round;
    r->at[found++] = here;
  }
  return found;
}
