#include "query/items.h"

#include <stdlib.h>
#include <string.h>

hem_status hem__ranking_init(hem__ranking *ranking, const hem__gallery *gallery, hem_error *err) {
  *ranking = (hem__ranking){.gallery = gallery};
  return hem__alloc(gallery->items, sizeof *ranking->seen, "a ranking", &ranking->seen, err);
}

void hem__ranking_clear(hem__ranking *r) {
  free(r->at);
  free(r->spare);
  free(r->seen);
  *r = (hem__ranking){0};
}

hem_status hem__ranking_restart(hem__ranking *r, size_t count, hem_error *err) {
  r->count = 0;
  hem_status status = hem__grow(&r->at, &r->capacity, count, sizeof *r->at, "a ranking", err);
  return status ? status : hem__grow(&r->spare, &r->spare_capacity, count, sizeof *r->spare, "a ranking", err);
}

/* Item numbers follow item ids, and gallery positions follow rows. */
static bool before(const hem__ranked *a, const hem__ranked *b) {
  if (a->key != b->key) return a->key < b->key;
  return a->item != b->item ? a->item < b->item : a->photo < b->photo;
}

static void sift_down(hem__ranked *heap, size_t count, size_t at, hem__ranked value) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(&heap[child], &heap[child + 1])) child++;
    if (!before(&value, &heap[child])) break;
    heap[at] = heap[child];
  }
  heap[at] = value;
}

/* Heapsort: no allocation, and no bad case when a whole category is equally near. */
static void sort(hem__ranked *at, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift_down(at, count, i, at[i]);
  while (count > 1) {
    hem__ranked last = at[--count];
    at[count] = at[0];
    sift_down(at, count, 0, last);
  }
}

/* Candidates come by key and row: only runs of equal keys must still be put in order of items. */
static void sort_runs(hem__ranked *at, size_t count) {
  for (size_t first = 0, next; first < count; first = next) {
    for (next = first + 1; next < count && at[next].key == at[first].key;) next++;
    if (next > first + 1) sort(at + first, next - first);
  }
}

/* The fresh ones stand behind the old ones; the merged order goes to `spare`, and the two change places. */
static void merge_halves(hem__ranking *r, size_t old_count) {
  size_t old = 0, fresh = old_count, out = 0;
  while (old < old_count && fresh < r->count)
    r->spare[out++] = before(&r->at[old], &r->at[fresh]) ? r->at[old++] : r->at[fresh++];
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

void hem__ranking_merge(hem__ranking *r, uint32_t category, size_t first, const hem__near *near, size_t count) {
  const hem__gallery *g = r->gallery;
  size_t old = r->count;
  prefetch_photos(g, first, near, count);
  for (size_t i = 0; i < count; i++) {
    uint32_t photo = (uint32_t)(first + near[i].row), item = g->item_of[photo];
    __builtin_prefetch(&g->item_id[item]);
    __builtin_prefetch(&r->seen[item], 1);
    r->at[r->count++] = (hem__ranked){.key = near[i].key, .photo = photo, .item = item, .category = category};
  }
  sort_runs(r->at + old, count);
  if (old) merge_halves(r, old);
}

size_t hem__ranking_choose(hem__ranking *r, const hem__choice *choice) {
  size_t found = 0;
  if (++r->round == 0) { /* the counter went round: old marks would count as fresh */
    memset(r->seen, 0, r->gallery->items * sizeof *r->seen);
    r->round = 1;
  }
  for (size_t i = 0; i < r->count && found < choice->k; i++) {
    hem__ranked here = r->at[i];
    if (here.key >= choice->horizon) break;
    if (choice->leave_out && r->gallery->row[here.photo] == choice->leave_out_row) continue;
    if (!choice->photos && r->seen[here.item] == r->round) continue;
    r->seen[here.item] = r->round;
    r->at[found++] = here;
  }
  return found;
}
