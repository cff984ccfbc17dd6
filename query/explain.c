#include "query/explain.h"

#include <stdlib.h>
#include <string.h>

#include "query/engine.h"

/* Rows of working memory: the query with one block replaced, and the points of that and of the hit. */
typedef struct scratch {
  float *mixed, *query, *hit;
} scratch;

static hem_status score_mixed(const hem__metric *m, const scratch *s, double *score, hem_error *err) {
  hem_status status = hem__metric_project(m, s->mixed, 1, s->query, err);
  if (!status) *score = hem__metric_score(m, s->query, s->hit);
  return status;
}

static hem_status explain(const hem__metric *m, const hem__space *space, const float *query, const float *photo,
                          const scratch *s, hem__explanation *out, hem_error *err) {
  memcpy(s->mixed, query, m->dim * sizeof *query);
  hem_status status = hem__metric_project(m, photo, 1, s->hit, err);
  if (!status) status = score_mixed(m, s, &out->score, err);
  for (size_t b = 0; b < space->block_count && !status; b++) {
    const hem__block *block = &space->blocks[b];
    double without;
    memcpy(s->mixed + block->offset, photo + block->offset, block->dim * sizeof *photo);
    status = score_mixed(m, s, &without, err);
    memcpy(s->mixed + block->offset, query + block->offset, block->dim * sizeof *query);
    if (!status) out->effects[b] = out->score - without;
  }
  return status;
}

hem_status hem__explain(const hem_engine *engine, hem__catalog *catalog, size_t space, const float *query,
                        const hem_hit *hit, hem__explanation *out, hem_error *err) {
  const hem__metric *m = engine->learned.metric;
  hem__matrix vectors = hem__catalog_matrix(catalog, space);
  scratch s = {0};
  if (!m) return hem__fail(err, HEM_EUNSUPPORTED, "the store has no metric: there is nothing to explain");
  if (hit->row >= vectors.rows || vectors.dim != m->dim)
    return hem__fail(err, HEM_ENOTFOUND, "%s has no row %llu of %zu values", hem__catalog_path(catalog),
                     (unsigned long long)hit->row, m->dim);
  *out = (hem__explanation){0};
  hem_status status = hem__catalog_check(catalog, space, hit->row, 1, err);
  if (!status) status = hem__alloc(m->dim, sizeof *s.mixed, "an explanation", &s.mixed, err);
  if (!status) status = hem__alloc(m->width, sizeof *s.query, "an explanation", &s.query, err);
  if (!status) status = hem__alloc(m->width, sizeof *s.hit, "an explanation", &s.hit, err);
  if (!status)
    status = explain(m, hem__catalog_space(catalog, space), query, hem__row(vectors, hit->row), &s, out, err);
  free(s.mixed);
  free(s.query);
  free(s.hit);
  return status;
}
