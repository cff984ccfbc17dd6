#include "metric/watch.h"

#include <stdlib.h>

enum { NEAR = 256, QUERIES = 2000, TOP = 20 };

hem_status hem__watch_init(hem__watch *watch, const hem__pairs *p, hem_error *err) {
  hem__range all = p->queries[HEM__CHECK];
  hem__watch w = {.query_count = hem__min(all.count, QUERIES)};
  hem_status status = hem__alloc(w.query_count, sizeof *w.queries, "validation", &w.queries, err);
  if (!status) status = hem__alloc(w.query_count * NEAR, sizeof *w.near, "validation", &w.near, err);
  if (!status) status = hem__alloc(w.query_count, sizeof *w.ranks, "validation", &w.ranks, err);
  if (!status) status = hem__alloc(w.query_count, sizeof *w.counts, "validation", &w.counts, err);
  if (status) {
    hem__watch_clear(&w);
    return status;
  }
  for (size_t i = 0; i < w.query_count; i++) w.queries[i] = (uint32_t)(all.first + i * all.count / w.query_count);
  *watch = w;
  return HEM_OK;
}

void hem__watch_clear(hem__watch *w) {
  free(w->queries);
  free(w->near);
  free(w->counts);
  free(w->ranks);
  *w = (hem__watch){0};
}

bool hem__watched_better(hem__watched a, hem__watched b) {
  return a.accuracy != b.accuracy ? a.accuracy > b.accuracy : a.reciprocal > b.reciprocal;
}

/* A category at a time. */
static hem_status find_near(hem__watch *w, const hem__pairs *p, const hem__scoring *scoring, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0, count; i < w->query_count && !status; i += count) {
    uint32_t group = p->group[w->queries[i]];
    for (count = 1; i + count < w->query_count && p->group[w->queries[i + count]] == group;) count++;
    hem__near_job job = {.points = scoring->points,
                         .width = scoring->model->width,
                         .queries = w->queries + i,
                         .query_count = count,
                         .gallery = p->groups[group].shops[HEM__CHECK],
                         .most = NEAR,
                         .found = w->near + i * NEAR,
                         .counts = w->counts + i,
                         .threads = scoring->threads};
    status = hem__near(&job, err);
  }
  w->known = !status && !scoring->model->tower;
  return status;
}

/* The rank of the best right photo; among equal scores the wrong ones come first, and so does what is not a number. 0:
 * it is not among the candidates. */
static size_t rank_of(const hem__pairs *p, uint32_t query, const uint32_t *photos, const float *scores, size_t count) {
  size_t best = SIZE_MAX, rank = 1;
  for (size_t i = 0; i < count; i++)
    if (p->item[photos[i]] == p->item[query] && (best == SIZE_MAX || scores[i] > scores[best])) best = i;
  if (best == SIZE_MAX) return 0;
  for (size_t i = 0; i < count; i++) rank += p->item[photos[i]] != p->item[query] && !(scores[i] < scores[best]);
  return rank;
}

typedef struct looking {
  hem__watch *watch;
  const hem__pairs *pairs;
} looking;

static void take(void *context, size_t query, const float *scores) {
  const looking *l = context;
  hem__watch *w = l->watch;
  w->ranks[query] = rank_of(l->pairs, w->queries[query], w->near + query * NEAR, scores, w->counts[query]);
}

hem_status hem__watch_look(hem__watch *w, const hem__pairs *p, const hem__scoring *scoring, hem__watched *out,
                           hem_error *err) {
  looking l = {w, p};
  hem__lists lists = {.queries = w->queries,
                      .photos = w->near,
                      .counts = w->counts,
                      .count = w->query_count,
                      .most = NEAR,
                      .take = take,
                      .context = &l};
  size_t right = 0;
  double reciprocal = 0;
  hem_status status = w->known ? HEM_OK : find_near(w, p, scoring, err);
  if (!status) status = hem__score_lists(scoring, &lists, err);
  if (status) return status;
  for (size_t i = 0; i < w->query_count; i++) {
    right += w->ranks[i] && w->ranks[i] <= TOP;
    if (w->ranks[i]) reciprocal += 1 / (double)w->ranks[i];
  }
  *out = (hem__watched){(double)right / (double)w->query_count, reciprocal / (double)w->query_count};
  return HEM_OK;
}
