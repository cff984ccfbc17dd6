#include "index/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct links {
  const uint8_t *at;
  size_t count;
} links;

static uint32_t get32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static uint64_t get64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static links links_of(const hem__graph *g, uint32_t row, size_t level) {
  size_t from = get64(g->offsets + 8 * (size_t)row) + g->first[level];
  return (links){.at = g->neighbours + 4 * from, .count = g->first[level + 1] - g->first[level]};
}

/* ---- reading: what impl/index_write.cpp of FAISS 1.7.3 writes, and later versions as well ---- */

/* What is left of the file. Once it held too little, it holds nothing. */
typedef struct reader {
  const uint8_t *at;
  size_t left;
  bool fine;
} reader;

static const uint8_t *take(reader *r, size_t size) {
  const uint8_t *at = r->at;
  if (size > r->left) *r = (reader){.at = at};
  if (!r->fine) return NULL;
  r->at += size;
  r->left -= size;
  return at;
}

static bool take_value(reader *r, void *out, size_t size) {
  const uint8_t *at = take(r, size);
  if (at) memcpy(out, at, size);
  return at != NULL;
}

static int32_t take_int(reader *r) {
  int32_t value = 0;
  take_value(r, &value, sizeof value);
  return value;
}

static uint64_t take_long(reader *r) {
  uint64_t value = 0;
  take_value(r, &value, sizeof value);
  return value;
}

/* A count, and so many elements. */
static const uint8_t *take_array(reader *r, size_t size, size_t *count) {
  uint64_t there = take_long(r);
  *count = (size_t)there;
  if (there > r->left / size) *r = (reader){0};
  return take(r, *count * size);
}

/* Likewise, of as many elements as are wanted. */
static const uint8_t *take_all(reader *r, size_t size, size_t wanted) {
  size_t count;
  const uint8_t *at = take_array(r, size, &count);
  return count == wanted ? at : NULL;
}

static bool take_name(reader *r, const char *name) {
  const uint8_t *at = take(r, 4);
  return at && memcmp(at, name, 4) == 0;
}

/* What every index of FAISS begins with: dimension, rows, two numbers of no meaning, whether it is trained, metric. */
static bool take_header(reader *r, const hem__graph_source *from) {
  enum { INNER_PRODUCT, L2, L1 };
  int32_t metric = from->distance == HEM_L2 ? L2 : from->distance == HEM_L1 ? L1 : INNER_PRODUCT;
  int32_t dim = take_int(r);
  uint64_t rows = take_long(r);
  take(r, 8 + 8 + 1);
  bool same = take_int(r) == metric;
  if (metric == L1) take(r, 4); /* its argument, which L1 has none of */
  return r->fine && same && dim >= 0 && (size_t)dim == from->vectors.dim && rows == from->vectors.rows;
}

/* How many links a row has up to each level. */
static bool take_levels(reader *r, hem__graph *g, size_t *levels) {
  size_t count;
  const uint8_t *at = take_array(r, 4, &count);
  if (!at || count < 2 || count > HEM__GRAPH_LEVELS + 1) return false;
  for (size_t i = 0; i < count; i++) {
    g->first[i] = get32(at + 4 * i);
    if (g->first[i] > INT32_MAX || (i ? g->first[i] < g->first[i - 1] : g->first[i] != 0)) return false;
  }
  *levels = count - 1;
  return true;
}

/* Row after row, each has room for the links of its levels. */
static bool check_offsets(const hem__graph *g, const uint8_t *levels_of, size_t levels) {
  uint64_t at = 0;
  for (size_t i = 0; i < g->vectors.rows; i++) {
    uint32_t own = get32(levels_of + 4 * i);
    if (own < 1 || own > levels || get64(g->offsets + 8 * i) != at) return false;
    at += g->first[own];
  }
  return get64(g->offsets + 8 * g->vectors.rows) == at && at == g->slots;
}

/* Links lead to rows, and those of a level to rows that have that level. */
static bool check_links(const hem__graph *g, const uint8_t *levels_of) {
  for (size_t i = 0; i < g->vectors.rows; i++) {
    uint32_t own = get32(levels_of + 4 * i);
    for (size_t level = 0; level < own; level++) {
      links list = links_of(g, (uint32_t)i, level);
      for (size_t j = 0; j < list.count; j++) {
        uint32_t row = get32(list.at + 4 * j);
        if (row == UINT32_MAX) continue;
        if (row >= g->vectors.rows || get32(levels_of + 4 * (size_t)row) <= level) return false;
      }
    }
  }
  return true;
}

static bool take_graph(reader *r, hem__graph *g) {
  size_t rows = g->vectors.rows, count, levels;
  take_array(r, 8, &count); /* how likely each level was */
  if (!take_levels(r, g, &levels)) return false;
  const uint8_t *levels_of = take_all(r, 4, rows);
  g->offsets = take_all(r, 8, rows + 1);
  g->neighbours = take_array(r, 4, &g->slots);
  uint32_t entry = (uint32_t)take_int(r), top = (uint32_t)take_int(r);
  take(r, 4); /* efConstruction */
  int32_t ef_search = take_int(r), beam = take_int(r);
  if (!r->fine || !levels_of || !g->offsets || beam != 1 || ef_search < 1) return false;
  if (entry >= rows || top >= levels || get32(levels_of + 4 * (size_t)entry) != top + 1) return false;
  g->entry = entry;
  g->top = top;
  if (!g->ef_search) g->ef_search = (uint32_t)ef_search;
  return check_offsets(g, levels_of, levels) && check_links(g, levels_of);
}

/* FAISS's own copy of the vectors, which is not needed. */
static bool take_vectors(reader *r, const hem__graph_source *from) {
  const char *name = from->distance == HEM_L2 ? "IxF2" : from->distance == HEM_L1 ? "IxFl" : "IxFI";
  return take_name(r, name) && take_header(r, from) && take_all(r, 4, from->vectors.rows * from->vectors.dim);
}

static bool all_finite(const uint8_t *at, size_t count) {
  bool fine = true;
  for (size_t i = 0; i < count; i++) {
    float value;
    memcpy(&value, at + i * sizeof value, sizeof value);
    fine &= isfinite(value) != 0;
  }
  return fine;
}

static bool take_codes(reader *r, const hem__graph_source *from, hem__graph *g) {
  enum { EIGHT_BITS = 0 };
  size_t dim = from->vectors.dim;
  if (!take_name(r, "IxSQ") || !take_header(r, from) || take_int(r) != EIGHT_BITS) return false;
  take(r, 8); /* how the range was chosen */
  if (take_long(r) != dim || take_long(r) != dim) return false;
  g->trained = take_all(r, 4, 2 * dim);
  g->codes = take_all(r, 1, from->vectors.rows * dim);
  return g->trained && g->codes && all_finite(g->trained, 2 * dim);
}

hem_status hem__graph_read(const hem__graph_source *from, hem__graph *out, hem_error *err) {
  hem__graph g = {.vectors = from->vectors, .distance = from->distance, .ef_search = from->ef_search};
  reader r = {.at = from->bytes, .left = from->size, .fine = true};
  size_t values;
  bool coded = from->size >= 4 && memcmp(from->bytes, "IHNs", 4) == 0;
  bool fine = hem__mul(from->vectors.rows, from->vectors.dim, &values) && from->vectors.rows <= INT32_MAX &&
              take_name(&r, coded ? "IHNs" : "IHNf") && take_header(&r, from) && take_graph(&r, &g);
  g.used = from->size - r.left;
  if (fine) fine = coded ? take_codes(&r, from, &g) : take_vectors(&r, from);
  if (coded) g.used = from->size;
  if (!fine || r.left)
    return hem__fail(err, HEM_ECORRUPT, "%s is not a graph of %zu vectors of %zu values by %s", from->name,
                     from->vectors.rows, from->vectors.dim, hem_distance_name(from->distance));
  *out = g;
  return HEM_OK;
}

/* ---- searching: algorithms 2 and 5 of Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search
 * using Hierarchical Navigable Small World graphs" (2016) ----
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
  links list = links_of(g, row, 0);
  for (size_t at = 0; at < 4 * hem__min(list.count, BATCH); at += LINE) __builtin_prefetch(list.at + at);
}

/* Takes up to BATCH links, and keeps the rows that were not met before. */
static size_t take_new(const hem__graph *g, links *list, hem__graph_scratch *s, uint32_t *rows) {
  size_t count = 0, i = 0, end = hem__min(list->count, BATCH);
  for (; i < end; i++) {
    uint32_t row = get32(list->at + 4 * i);
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
                                  .shift = q->s->scaled + g->vectors.dim,
                                  .start = q->start,
                                  .codes = g->codes,
                                  .dim = g->vectors.dim,
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
    links list = links_of(q->graph, nearest.row, level);
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
  for (links list = links_of(q->graph, row, 0); list.count;) {
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
  if (g->codes)
    q.start = hem__coded_query(g->distance, query, g->trained, g->vectors.dim, s->scaled, s->scaled + g->vectors.dim);
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
    status = hem__grow(&s->scaled, &s->scaled_capacity, 2 * g->vectors.dim, sizeof *s->scaled, "a search", err);
  return status;
}

void hem__graph_scratch_clear(hem__graph_scratch *s) {
  free(s->seen);
  free(s->pool);
  free(s->scaled);
  *s = (hem__graph_scratch){0};
}
