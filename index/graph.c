#include "index/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/graph_links.h"

/* Algorithms 2 and 5 of Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search
 * using Hierarchical Navigable Small World graphs" (2016).
 *
 * The paper's two heaps, candidates to follow and results, are one sorted list here, the pool: an entry is marked once
 * its links were followed. A few dozen entries are sorted faster than heaps are kept, and the list ends as the answer.
 *
 * As FAISS does it: ef counts the photos that are followed, also where more than ef are asked for. */

enum { BATCH = 64 };
static const uint32_t FOLLOWED = UINT32_C(1) << 31; /* marks a row of the pool; there are at most INT32_MAX rows */

typedef struct search {
  const hem__graph *graph;
  const float *query;
  hem__graph_scratch *s;
  float start;        /* hem__coded_query */
  size_t count, room; /* of the pool */
} search;

static void prefetch_links(const hem__graph *g, uint32_t row) {
  enum { LINE = 64 };
  hem__links list = hem__links_of(g, row, 0);
  for (size_t at = 0; at < 4 * hem__min(list.count, BATCH); at += LINE) __builtin_prefetch(list.at + at);
}

/* Takes up to BATCH links, and keeps the rows that were not met before. */
static size_t take_new(const hem__graph *g, hem__links *list, hem__graph_scratch *s, uint32_t *rows) {
  size_t count = 0, i = 0, end = hem__min(list->count, BATCH);
  for (; i < end; i++) {
    uint32_t row = hem__get32(list->at + 4 * i);
    if (row >= g->vectors.rows) break; /* -1: no more of them */
    rows[count] = row;
    count += s->seen[row] != s->round;
    s->seen[row] = s->round;
  }
  list->at += 4 * i;
  list->count = i < end ? 0 : list->count - i;
  return count;
}

static void keys_of(const search *q, const uint32_t *rows, size_t count, float limit, float *keys) {
  const hem__graph *g = q->graph;
  if (g->codes) {
    hem__keys_coded(&(hem__coded){.distance = g->distance,
                                  .scale = q->s->scaled,
                                  .shift = q->s->scaled + g->dim,
                                  .start = q->start,
                                  .codes = g->codes,
                                  .dim = g->dim,
                                  .rows = rows,
                                  .count = count,
                                  .limit = limit},
                    keys);
  } else {
    hem__keys_some(&(hem__some){.distance = g->distance,
                                .query = q->query,
                                .vectors = g->vectors,
                                .rows = rows,
                                .count = count,
                                .limit = limit},
                   keys);
  }
}

static void start_round(hem__graph_scratch *s) {
  if (++s->round) return;
  memset(s->seen, 0, s->seen_capacity);
  s->round = 1;
}

/* Algorithm 2 with ef = 1: walks to a row that is nearer than all it has links to. Whoever has been met was not nearer
 * then, so is not now. */
static hem__near descend(search *q, hem__near nearest, size_t level) {
  uint32_t rows[BATCH];
  float keys[BATCH];
  for (bool nearer = true; nearer;) {
    hem__links list = hem__links_of(q->graph, nearest.row, level);
    nearer = false;
    while (list.count) {
      size_t count = take_new(q->graph, &list, q->s, rows);
      keys_of(q, rows, count, nearest.key, keys);
      for (size_t i = 0; i < count; i++) {
        if (!(keys[i] < nearest.key)) continue;
        nearest = (hem__near){.key = keys[i], .row = rows[i]};
        nearer = true;
      }
    }
  }
  return nearest;
}

static hem__near find_entry(search *q) {
  hem__near nearest = {.row = q->graph->entry};
  start_round(q->s);
  keys_of(q, &nearest.row, 1, INFINITY, &nearest.key);
  for (size_t level = q->graph->top; level; level--) nearest = descend(q, nearest, level);
  return nearest;
}

/* Puts an entry into its place, and returns that; the farthest one falls out where there is no room. */
static size_t insert(search *q, hem__near entry) {
  hem__near *pool = q->s->pool;
  size_t low = 0, high = q->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    hem__near there = {.key = pool[middle].key, .row = pool[middle].row & ~FOLLOWED};
    if (hem__nearer(there, entry)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == q->room) return low;
  if (q->count < q->room) q->count++;
  memmove(pool + low + 1, pool + low, (q->count - 1 - low) * sizeof *pool);
  pool[low] = entry;
  return low;
}

/* Follows one row's links. Returns the first place of the pool that changed. */
static size_t follow(search *q, uint32_t row) {
  uint32_t rows[BATCH];
  float keys[BATCH];
  size_t first = SIZE_MAX;
  for (hem__links list = hem__links_of(q->graph, row, 0); list.count;) {
    size_t count = take_new(q->graph, &list, q->s, rows);
    float limit = q->count < q->room ? INFINITY : q->s->pool[q->room - 1].key;
    keys_of(q, rows, count, limit, keys);
    for (size_t i = 0; i < count; i++) {
      if (q->count == q->room && keys[i] > q->s->pool[q->room - 1].key) continue;
      first = hem__min(first, insert(q, (hem__near){.key = keys[i], .row = rows[i]}));
    }
  }
  return first;
}

/* Whether ef photos are nearer than this one of the pool, which then need not be followed. */
static bool is_enough(const search *q, size_t at) {
  size_t ef = q->graph->ef_search;
  return at >= ef && q->s->pool[ef - 1].key < q->s->pool[at].key;
}

size_t hem__graph_search(const hem__graph *g, const float *query, size_t k, hem__graph_scratch *s) {
  search q = {.graph = g, .query = query, .s = s, .room = hem__min(hem__max(k, g->ef_search), g->vectors.rows)};
  if (g->projection.out) {
    q.query = s->scaled + 2 * g->dim;
    hem__project(&g->projection, query, s->whole, s->scaled + 2 * g->dim);
  }
  if (g->codes) q.start = hem__coded_query(g->distance, q.query, g->trained, g->dim, s->scaled, s->scaled + g->dim);
  hem__near entry = find_entry(&q);
  start_round(s);
  s->seen[entry.row] = s->round;
  insert(&q, entry);
  for (size_t at = 0; at < q.count && !is_enough(&q, at);) {
    uint32_t row = s->pool[at].row;
    if (row & FOLLOWED) {
      at++;
      continue;
    }
    s->pool[at].row |= FOLLOWED;
    if (at + 1 < q.count) prefetch_links(g, s->pool[at + 1].row & ~FOLLOWED); /* most likely the next */
    at = hem__min(at + 1, follow(&q, row));
  }
  size_t found = hem__min(q.count, k);
  for (size_t i = 0; i < found; i++) s->pool[i].row &= ~FOLLOWED;
  return found;
}

hem_status hem__graph_reserve(const hem__graph *g, size_t k, hem__graph_scratch *s, hem_error *err) {
  size_t room = hem__min(hem__max(k, g->ef_search), g->vectors.rows);
  size_t had = s->seen_capacity;
  hem_status status = hem__grow(&s->seen, &s->seen_capacity, g->vectors.rows, 1, "a search", err);
  if (s->seen_capacity != had) {
    memset(s->seen, 0, s->seen_capacity);
    s->round = 0;
  }
  if (!status) status = hem__grow(&s->pool, &s->pool_capacity, room, sizeof *s->pool, "a search", err);
  if (!status && g->codes)
    status = hem__grow(&s->scaled, &s->scaled_capacity, 3 * g->dim, sizeof *s->scaled, "a search", err);
  if (!status && g->projection.out)
    status = hem__grow(&s->whole, &s->whole_capacity, g->vectors.dim, sizeof *s->whole, "a search", err);
  return status;
}

void hem__graph_scratch_clear(hem__graph_scratch *s) {
  free(s->seen);
  free(s->pool);
  free(s->scaled);
  free(s->whole);
  *s = (hem__graph_scratch){0};
}
