#include "query/candidates.h"

#include <stdlib.h>

hem_status hem__candidates_reserve(hem__candidates_scratch *s, size_t k, uint32_t refine, hem_error *err) {
  size_t need;
  if (!hem__mul(k, hem__max(refine, 1), &need)) return hem__fail(err, HEM_ENOMEM, "k is too large");
  hem_status status = hem__grow(&s->keys, &s->key_capacity, need, sizeof *s->keys, "candidates", err);
  return status ? status : hem__grow(&s->rows, &s->row_capacity, need, sizeof *s->rows, "candidates", err);
}

void hem__candidates_clear(hem__candidates_scratch *s) {
  free(s->keys);
  free(s->rows);
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

/* Candidates with rough distances get their exact ones; the k nearest of them stay. */
static size_t refine(const hem__category *c, const float *query, size_t k, size_t count, hem__candidates_scratch *s,
                     hem__near *out) {
  enum { AHEAD = 4 };
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (i + AHEAD < count) __builtin_prefetch(hem__row(c->vectors, (size_t)s->rows[i + AHEAD]));
    hem__near here = {.row = (uint32_t)s->rows[i]};
    hem__keys(c->distance, query, hem__row(c->vectors, here.row), 1, c->vectors.dim, &here.key);
    if (kept == k && !hem__nearer(here, out[k - 1])) continue;
    size_t j = kept < k ? kept++ : k - 1;
    for (; j && hem__nearer(here, out[j - 1]); j--) out[j] = out[j - 1];
    out[j] = here;
  }
  return kept;
}

/* How many of the k places FAISS filled, or SIZE_MAX when it names a photo that does not exist. */
static size_t count_found(const int64_t *rows, size_t k, size_t photos) {
  size_t count = 0;
  for (; count < k && rows[count] >= 0; count++)
    if ((uint64_t)rows[count] >= photos) return SIZE_MAX;
  return count;
}

static hem_status ask_index(const hem__category *c, const hem__candidates_request *r, size_t k,
                            hem__candidates_scratch *s, hem__candidates_found *found, hem_error *err) {
  size_t ask = hem__min(k * hem__max(c->refine, 1), c->vectors.rows);
  hem_status status = hem__faiss_search(c->index, r->query, ask, s->keys, s->rows, err);
  if (status) return status;
  size_t count = count_found(s->rows, ask, c->vectors.rows);
  if (count == SIZE_MAX)
    return hem__fail(err, HEM_ECORRUPT, "the index of category '%s' names a photo that does not exist", c->name);
  if (c->refine) {
    found->count = refine(c, r->query, k, count, s, found->at);
    return HEM_OK;
  }
  for (size_t i = 0; i < count; i++) found->at[i] = (hem__near){.key = s->keys[i], .row = (uint32_t)s->rows[i]};
  sort_nearly_sorted(found->at, count);
  found->count = count;
  return HEM_OK;
}

hem_status hem__candidates(const hem__category *c, const hem__candidates_request *request,
                           hem__candidates_scratch *scratch, hem__candidates_found *found, hem_error *err) {
  size_t k = hem__min(request->k, c->vectors.rows);
  found->count = 0;
  found->fell_back = false;
  if (c->index && !request->exact) {
    hem_status status = ask_index(c, request, k, scratch, found, err);
    if (status || found->count == k) return status;
    found->fell_back = true;
  }
  found->count = hem__flat_search(c->distance, c->vectors, request->query, k, found->at);
  return HEM_OK;
}
