#include "index/flat.h"

#include <math.h>

enum { SCAN_ROWS = 128 };

/* `heap` is a max-heap: the farthest of the nearest so far is on top and goes first. */
static void sift_down(hem__near *heap, size_t count, size_t at, hem__near value) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && hem__nearer(heap[child], heap[child + 1])) child++;
    if (!hem__nearer(value, heap[child])) break;
    heap[at] = heap[child];
  }
  heap[at] = value;
}

static void sift_up(hem__near *heap, size_t at, hem__near value) {
  for (size_t parent; at && hem__nearer(heap[parent = (at - 1) / 2], value); at = parent) heap[at] = heap[parent];
  heap[at] = value;
}

static void sort_heap(hem__near *heap, size_t count) {
  while (count > 1) {
    hem__near last = heap[--count];
    heap[count] = heap[0];
    sift_down(heap, count, 0, last);
  }
}

/* Keeps it if it is among the k nearest so far, k > 0; returns how many there are. */
static size_t offer(hem__near *heap, size_t found, size_t k, hem__near here) {
  if (found < k) {
    sift_up(heap, found, here);
    return found + 1;
  }
  if (hem__nearer(here, heap[0])) sift_down(heap, k, 0, here);
  return found;
}

size_t hem__flat_search(hem_distance distance, const hem__vectors *vectors, const float *query, size_t k,
                        hem__near *out) {
  float keys[SCAN_ROWS];
  size_t found = 0;
  k = hem__min(k, vectors->rows);
  if (k == 0) return 0;
  for (size_t first = 0; first < vectors->rows; first += SCAN_ROWS) {
    size_t count = hem__min(SCAN_ROWS, vectors->rows - first);
    hem__keys_some(&(hem__some){.distance = distance,
                                .query = query,
                                .vectors = *vectors,
                                .first = first,
                                .count = count,
                                .limit = INFINITY},
                   keys);
    for (size_t i = 0; i < count; i++)
      found = offer(out, found, k, (hem__near){.key = keys[i], .row = (uint32_t)(first + i)});
  }
  sort_heap(out, found);
  return found;
}

size_t hem__flat_pick(hem_distance distance, const hem__vectors *vectors, const float *query, const hem__picked *picked,
                      size_t k, hem__near *out) {
  float keys[SCAN_ROWS];
  size_t found = 0;
  k = hem__min(k, picked->count);
  for (size_t first = 0; first < picked->count && k; first += SCAN_ROWS) {
    hem__some some = {.distance = distance,
                      .query = query,
                      .vectors = *vectors,
                      .rows = picked->rows + first,
                      .count = hem__min(SCAN_ROWS, picked->count - first),
                      .limit = found == k ? out[0].key : INFINITY};
    hem__keys_some(&some, keys);
    for (size_t i = 0; i < some.count; i++)
      found = offer(out, found, k, (hem__near){.key = keys[i], .row = some.rows[i]});
  }
  sort_heap(out, found);
  return found;
}
