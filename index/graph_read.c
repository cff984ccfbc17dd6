/* A graph out of the bytes of its file: what impl/index_write.cpp of FAISS 1.7.3 writes, and later versions as well. */
#include <math.h>
#include <stdlib.h>

#include "index/graph_links.h"

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
static bool take_header(reader *r, const hem__graph_source *from, size_t wanted) {
  enum { INNER_PRODUCT, L2, L1 };
  int32_t metric = from->distance == HEM_L2 ? L2 : from->distance == HEM_L1 ? L1 : INNER_PRODUCT;
  int32_t dim = take_int(r);
  uint64_t rows = take_long(r);
  take(r, 8 + 8 + 1);
  bool same = take_int(r) == metric;
  if (metric == L1) take(r, 4); /* its argument, which L1 has none of */
  return r->fine && same && dim >= 0 && (size_t)dim == wanted && rows == from->vectors.rows;
}

/* How many links a row has up to each level. */
static bool take_levels(reader *r, hem__graph *g, size_t *levels) {
  size_t count;
  const uint8_t *at = take_array(r, 4, &count);
  if (!at || count < 2 || count > HEM__GRAPH_LEVELS + 1) return false;
  for (size_t i = 0; i < count; i++) {
    g->first[i] = hem__get32(at + 4 * i);
    if (g->first[i] > INT32_MAX || (i ? g->first[i] < g->first[i - 1] : g->first[i] != 0)) return false;
  }
  *levels = count - 1;
  return true;
}

/* Row after row, each has room for the links of its levels. */
static bool check_offsets(const hem__graph *g, const uint8_t *levels_of, size_t levels) {
  uint64_t at = 0;
  for (size_t i = 0; i < g->vectors.rows; i++) {
    uint32_t own = hem__get32(levels_of + 4 * i);
    if (own < 1 || own > levels || hem__get64(g->offsets + 8 * i) != at) return false;
    at += g->first[own];
  }
  return hem__get64(g->offsets + 8 * g->vectors.rows) == at && at == g->slots;
}

/* Links lead to rows, and those of a level to rows that have that level. */
static bool check_links(const hem__graph *g, const uint8_t *levels_of) {
  for (size_t i = 0; i < g->vectors.rows; i++) {
    uint32_t own = hem__get32(levels_of + 4 * i);
    for (size_t level = 0; level < own; level++) {
      hem__links list = hem__links_of(g, (uint32_t)i, level);
      for (size_t j = 0; j < list.count; j++) {
        uint32_t row = hem__get32(list.at + 4 * j);
        if (row == UINT32_MAX) continue;
        if (row >= g->vectors.rows || hem__get32(levels_of + 4 * (size_t)row) <= level) return false;
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
  if (entry >= rows || top >= levels || hem__get32(levels_of + 4 * (size_t)entry) != top + 1) return false;
  g->entry = entry;
  g->top = top;
  if (!g->ef_search) g->ef_search = (uint32_t)ef_search;
  return check_offsets(g, levels_of, levels) && check_links(g, levels_of);
}

/* FAISS's own copy of the vectors, which is not needed. */
static bool take_vectors(reader *r, const hem__graph_source *from, const hem__graph *g) {
  const char *name = from->distance == HEM_L2 ? "IxF2" : from->distance == HEM_L1 ? "IxFl" : "IxFI";
  return take_name(r, name) && take_header(r, from, g->dim) && take_all(r, 4, from->vectors.rows * g->dim);
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
  size_t dim = g->dim;
  if (!take_name(r, "IxSQ") || !take_header(r, from, dim) || take_int(r) != EIGHT_BITS) return false;
  take(r, 8); /* how the range was chosen */
  if (take_long(r) != dim || take_long(r) != dim) return false;
  g->trained = take_all(r, 4, 2 * dim);
  g->codes = take_all(r, 1, from->vectors.rows * dim);
  return g->trained && g->codes && all_finite(g->trained, 2 * dim);
}

/* A PCAMatrix, and the header of what lies behind it. The numbers it was trained by are not needed. */
static hem_status take_axes(reader *r, const hem__graph_source *from, hem__graph *g, hem_error *err) {
  size_t in = from->vectors.dim, count, centre, matrix, shift;
  if (!take_header(r, from, in) || take_int(r) != 1 || !take_name(r, "Pcam")) return HEM_OK;
  take(r, 4 + 4 + 1 + 4);
  const uint8_t *middle = take_array(r, 4, &centre);
  for (size_t i = 0; i < 2; i++) take_array(r, 4, &count);
  take(r, 1); /* there is a shift, which may be empty */
  const uint8_t *axes = take_array(r, 4, &matrix), *more = take_array(r, 4, &shift);
  int32_t from_dim = take_int(r), to_dim = take_int(r);
  take(r, 1);
  r->fine &= from_dim > 0 && (size_t)from_dim == in && to_dim > 0 && to_dim <= from_dim;
  if (!r->fine || centre != in || matrix != in * (size_t)to_dim || shift != (size_t)to_dim ||
      !all_finite(middle, centre) || !all_finite(axes, matrix) || !all_finite(more, shift))
    return HEM_OK;
  g->dim = (size_t)to_dim;
  return hem__projection_new(axes, more, middle, in, g->dim, &g->projection, err);
}

/* Behind a projection there must be codes: the vectors that lie beside the file are not those that FAISS linked. */
static bool take_rest(reader *r, const hem__graph_source *from, hem__graph *g) {
  bool coded = r->left >= 4 && memcmp(r->at, "IHNs", 4) == 0;
  bool fine = take_name(r, coded ? "IHNs" : "IHNf") && take_header(r, from, g->dim) && take_graph(r, g);
  g->used = from->size - r->left;
  if (fine) fine = coded ? take_codes(r, from, g) : !g->projection.out && take_vectors(r, from, g);
  if (coded) g->used = from->size;
  return fine && !r->left;
}

hem_status hem__graph_read(const hem__graph_source *from, hem__graph *out, hem_error *err) {
  hem__graph g = {
      .vectors = from->vectors, .distance = from->distance, .ef_search = from->ef_search, .dim = from->vectors.dim};
  reader r = {.at = from->bytes, .left = from->size, .fine = true};
  size_t values;
  hem_status status = HEM_OK;
  bool projected = from->size >= 4 && memcmp(from->bytes, "IxPT", 4) == 0;
  bool fine = hem__mul(from->vectors.rows, from->vectors.dim, &values) && from->vectors.rows <= INT32_MAX;
  if (fine && projected) {
    take(&r, 4);
    status = take_axes(&r, from, &g, err);
    fine = g.projection.out > 0;
  }
  if (!status && (!fine || !take_rest(&r, from, &g)))
    status = hem__fail(err, HEM_ECORRUPT, "%s is not a graph of %zu vectors of %zu values by %s", from->name,
                       from->vectors.rows, from->vectors.dim, hem_distance_name(from->distance));
  if (status) {
    hem__graph_clear(&g);
  } else {
    *out = g;
  }
  return status;
}

void hem__graph_clear(hem__graph *graph) {
  hem__projection_clear(&graph->projection);
  *graph = (hem__graph){0};
}

hem_status hem__graph_kept(const hem__graph *g, double *share, hem_error *err) {
  enum { SOME = 500 };
  const hem__projection *p = &g->projection;
  float *row = NULL, *out = NULL;
  int16_t *whole = NULL;
  double kept = 0, all = 0;
  hem_status status = hem__alloc(p->in, sizeof *row, "a projection", &row, err);
  if (!status) status = hem__alloc(p->out, sizeof *out, "a projection", &out, err);
  if (!status) status = hem__alloc(p->in, sizeof *whole, "a projection", &whole, err);
  for (size_t i = 0; i < SOME && !status; i++) {
    hem__copy_row(&g->vectors, i * g->vectors.rows / SOME, row);
    hem__project(p, row, whole, out);
    for (size_t j = 0; j < p->in; j++) all += pow((double)row[j] - (double)p->centre[j], 2);
    for (size_t j = 0; j < p->out; j++) kept += pow((double)out[j] - (double)p->shift[j], 2);
  }
  *share = all > 0 ? fmin(kept / all, 1) : 1;
  free(row);
  free(out);
  free(whole);
  return status;
}
