#include "query/candidates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REFINED = 32 }; /* rows whose exact distances are computed together */

/* How many are asked of the index for k in the end. */
static size_t asked(const hem__category *c, size_t k) {
  size_t ask;
  return hem__mul(k, hem__max(c->refine, 1), &ask) ? hem__min(ask, c->vectors.rows) : c->vectors.rows;
}

hem_status hem__candidates_reserve(const hem__category *c, size_t k, hem__candidates_scratch *s, hem_error *err) {
  size_t need = asked(c, k);
  if (c->graph) return hem__graph_reserve(c->graph, need, &s->graph, err);
  if (!c->index) return HEM_OK;
  hem_status status = hem__grow(&s->keys, &s->key_capacity, need, sizeof *s->keys, "candidates", err);
  if (!status) status = hem__grow(&s->rows, &s->row_capacity, need, sizeof *s->rows, "candidates", err);
  return status ? status : hem__grow(&s->rough, &s->rough_capacity, need, sizeof *s->rough, "candidates", err);
}

void hem__candidates_clear(hem__candidates_scratch *s) {
  free(s->keys);
  free(s->rows);
  free(s->rough);
  hem__graph_scratch_clear(&s->graph);
  *s = (hem__candidates_scratch){0};
}

/* FAISS's order is ours but for ties: nearly sorted, which is what insertion is fastest at. */
static void sort_nearly_sorted(hem__near *at, size_t count) {
  for (size_t i = 1; i < count; i++) {
    hem__near value = at[i];
    size_t j = i;
    for (; j && hem__nearer(value, at[j - 1]); j--) at[j] = at[j - 1];
    at[j] = value;
  }
}

/* Some candidates get their exact distances; of these and the `kept` ones of `out`, the k nearest stay. */
static size_t refine_some(const hem__category *c, const hem__candidates_request *r, const hem__near *rough,
                          size_t count, size_t kept, hem__near *out) {
  uint32_t rows[REFINED];
  float keys[REFINED];
  for (size_t i = 0; i < count; i++) rows[i] = rough[i].row;
  hem__keys_some(&(hem__some){.distance = c->distance,
                              .query = r->query,
                              .vectors = c->vectors,
                              .rows = rows,
                              .count = count,
                              .limit = kept == r->k ? out[kept - 1].key : INFINITY},
                 keys);
  for (size_t i = 0; i < count; i++) {
    hem__near here = {.key = keys[i], .row = rows[i]};
    if (kept == r->k && !hem__nearer(here, out[kept - 1])) continue;
    size_t j = kept < r->k ? kept++ : kept - 1;
    for (; j && hem__nearer(here, out[j - 1]); j--) out[j] = out[j - 1];
    out[j] = here;
  }
  return kept;
}

static size_t refine(const hem__category *c, const hem__candidates_request *r, const hem__near *rough, size_t count,
                     hem__near *out) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i += REFINED)
    kept = refine_some(c, r, rough + i, hem__min(count - i, REFINED), kept, out);
  return kept;
}

/* What FAISS finds, into s->rough; *count is how many of the places it filled. */
static hem_status ask_faiss(const hem__category *c, const float *query, size_t ask, hem__candidates_scratch *s,
                            size_t *count, hem_error *err) {
  hem_status status = hem__faiss_search(c->index, query, ask, s->keys, s->rows, err);
  if (status) return status;
  for (*count = 0; *count < ask && s->rows[*count] >= 0; ++*count) {
    uint64_t row = (uint64_t)s->rows[*count];
    if (row >= c->vectors.rows)
      return hem__fail(err, HEM_ECORRUPT, "the index of category '%s' names a photo that does not exist", c->name);
    s->rough[*count] = (hem__near){.key = s->keys[*count], .row = (uint32_t)row};
  }
  return HEM_OK;
}

static hem_status ask_index(const hem__category *c, const hem__candidates_request *r, hem__candidates_scratch *s,
                            hem__candidates_found *found, hem_error *err) {
  const hem__near *rough = c->graph ? s->graph.pool : s->rough;
  size_t ask = asked(c, r->k), count = 0;
  hem_status status = HEM_OK;
  if (c->graph) {
    count = hem__graph_search(c->graph, r->query, ask, &s->graph);
  } else {
    status = ask_faiss(c, r->query, ask, s, &count, err);
  }
  if (status) return status;
  if (c->refine) {
    found->count = refine(c, r, rough, count, found->at);
  } else {
    memcpy(found->at, rough, count * sizeof *rough);
    sort_nearly_sorted(found->at, count);
    found->count = count;
  }
  return HEM_OK;
}

hem_status hem__candidates(const hem__category *c, const hem__candidates_request *request,
                           hem__candidates_scratch *scratch, hem__candidates_found *found, hem_error *err) {
  hem__candidates_request r = *request;
  r.k = hem__min(r.k, c->vectors.rows);
  found->count = 0;
  found->fell_back = false;
  if ((c->graph || c->index) && !r.exact) {
    hem_status status = ask_index(c, &r, scratch, found, err);
    if (status || found->count == r.k) return status;
    found->fell_back = true;
  }
  found->count = hem__flat_search(c->distance, &c->vectors, r.query, r.k, found->at);
  return HEM_OK;
}
