#include "metric/mine.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "metric/distance.h"

enum { POOL = 4096, TOGETHER = 16, ROWS = 64, TURN = 1024, LIST = 256 };

/* ---- nearest photos ---- */

typedef struct candidate {
  float key;
  uint32_t photo;
} candidate;

static bool nearer(candidate a, candidate b) { return a.key != b.key ? a.key < b.key : a.photo < b.photo; }

static int by_key(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  return nearer(*x, *y) ? -1 : nearer(*y, *x);
}

/* A heap whose root is the farthest that is kept. */
static void sink(candidate *heap, size_t count, candidate c) {
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && nearer(heap[child], heap[child + 1])) child++;
    if (!nearer(c, heap[child])) break;
    heap[at] = heap[child];
  }
  heap[at] = c;
}

static void rise(candidate *heap, size_t at, candidate c) {
  for (size_t parent; at && nearer(heap[parent = (at - 1) / 2], c); at = parent) heap[at] = heap[parent];
  heap[at] = c;
}

typedef struct near_work {
  const hem__near_job *job;
  candidate *heaps; /* [threads][TOGETHER][most] */
} near_work;

static void offer(const hem__near_job *job, size_t query, const float *keys, size_t first, size_t count,
                  candidate *heap, uint32_t *kept) {
  for (size_t i = 0; i < count; i++) {
    candidate c = {keys[i], (uint32_t)(first + i)};
    if (job->wrong && job->wrong[first + i] == job->wrong[query]) continue;
    if (*kept < job->most) {
      rise(heap, (*kept)++, c);
    } else if (nearer(c, heap[0])) {
      sink(heap, *kept, c);
    }
  }
}

/* Some queries against the gallery, a few rows at a time: those stay in cache for all of the queries. */
static void near_some(void *context, size_t block, size_t worker) {
  near_work *w = context;
  const hem__near_job *job = w->job;
  candidate *heaps = w->heaps + worker * TOGETHER * job->most;
  size_t from = block * TOGETHER, some = hem__min(TOGETHER, job->query_count - from), end = job->gallery.count;
  float keys[ROWS];
  for (size_t q = 0; q < some; q++) job->counts[from + q] = 0;
  for (size_t row = 0; row < end; row += ROWS)
    for (size_t q = 0; q < some; q++) {
      size_t query = job->queries[from + q], first = job->gallery.first + row, rows = hem__min(ROWS, end - row);
      hem__keys(HEM_L1, job->points + query * job->width, job->points + first * job->width, rows, job->width, keys);
      offer(job, query, keys, first, rows, heaps + q * job->most, &job->counts[from + q]);
    }
  for (size_t q = 0; q < some; q++) {
    candidate *heap = heaps + q * job->most;
    qsort(heap, job->counts[from + q], sizeof *heap, by_key);
    for (size_t i = 0; i < job->counts[from + q]; i++) job->found[(from + q) * job->most + i] = heap[i].photo;
  }
}

hem_status hem__near(const hem__near_job *job, hem_error *err) {
  near_work w = {.job = job};
  size_t threads = job->threads ? job->threads : hem__cores(), values;
  if (!hem__mul(threads * TOGETHER, job->most, &values)) return hem__fail(err, HEM_ENOMEM, "too many candidates");
  hem_status status = hem__alloc(values, sizeof *w.heaps, "candidates", &w.heaps, err);
  if (!status) status = hem__parallel_for((job->query_count + TOGETHER - 1) / TOGETHER, threads, near_some, &w, err);
  free(w.heaps);
  return status;
}

/* ---- scores of lists ---- */

hem_status hem__scoring_work_new(const hem__model *model, size_t photos, size_t threads, hem__model_work ***out,
                                 hem_error *err) {
  hem__model_work **work = NULL;
  hem_status status = hem__alloc(threads, sizeof *work, "scores", &work, err);
  for (size_t i = 0; i < threads && !status; i++) status = hem__model_work_new(model, LIST, photos, &work[i], err);
  if (status) {
    hem__scoring_work_free(work, threads);
    return status;
  }
  *out = work;
  return HEM_OK;
}

void hem__scoring_work_free(hem__model_work **work, size_t threads) {
  for (size_t i = 0; work && i < threads; i++) hem__model_work_free(work[i]);
  free(work);
}

typedef struct list_work {
  const hem__scoring *scoring;
  const hem__lists *lists;
} list_work;

static void score_list(void *context, size_t i, size_t worker) {
  const list_work *w = context;
  const hem__lists *l = w->lists;
  uint32_t own[LIST];
  float scores[LIST];
  for (size_t j = 0; j < l->counts[i]; j++) own[j] = l->queries[i];
  hem__model_score(w->scoring->model, w->scoring->work[worker], w->scoring->points, own, l->photos + i * l->most,
                   l->counts[i], scores);
  l->take(l->context, i, scores);
}

hem_status hem__score_lists(const hem__scoring *scoring, const hem__lists *lists, hem_error *err) {
  list_work w = {scoring, lists};
  return hem__parallel_for(lists->count, scoring->threads, score_list, &w, err);
}

/* ---- hard ones ---- */

hem_status hem__mine_init(hem__mine *mine, const hem__pairs *pairs, hem_error *err) {
  size_t queries = pairs->queries[HEM__LEARN].count;
  hem__mine m = {.queries = queries};
  /* Below 2^32 queries: their lists' sizes are below 2^64. */
  hem_status status = hem__alloc(queries * HEM__MINE_NEAR, sizeof *m.near, "hard negatives", &m.near, err);
  if (!status) status = hem__alloc(queries * HEM__MINE_HARD, sizeof *m.hard, "hard negatives", &m.hard, err);
  if (!status) status = hem__alloc(queries, sizeof *m.near_count, "hard negatives", &m.near_count, err);
  if (!status) status = hem__alloc(queries, sizeof *m.hard_count, "hard negatives", &m.hard_count, err);
  if (status) {
    hem__mine_clear(&m);
    return status;
  }
  *mine = m;
  return HEM_OK;
}

void hem__mine_clear(hem__mine *m) {
  free(m->near);
  free(m->hard);
  free(m->near_count);
  free(m->hard_count);
  *m = (hem__mine){0};
}

void hem__mine_restart(hem__mine *m) {
  memset(m->near_count, 0, m->queries * sizeof *m->near_count);
  memset(m->hard_count, 0, m->queries * sizeof *m->hard_count);
  m->turn = 0;
}

typedef struct scored {
  float score;
  uint32_t photo;
} scored;

static int by_score(const void *a, const void *b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return (x->photo > y->photo) - (x->photo < y->photo);
}

typedef struct keeping {
  hem__mine *mine;
  size_t first; /* query */
} keeping;

static void keep_hard(void *context, size_t query, const float *scores) {
  const keeping *k = context;
  hem__mine *mine = k->mine;
  scored all[HEM__MINE_NEAR];
  size_t number = k->first + query, count = mine->near_count[number];
  for (size_t i = 0; i < count; i++) all[i] = (scored){scores[i], mine->near[number * HEM__MINE_NEAR + i]};
  qsort(all, count, sizeof *all, by_score);
  mine->hard_count[number] = (uint32_t)hem__min(count, HEM__MINE_HARD);
  for (size_t i = 0; i < mine->hard_count[number]; i++) mine->hard[number * HEM__MINE_HARD + i] = all[i].photo;
}

/* Candidates of some queries of one category. Without a tower they stay the same, unless the category is searched in
 * parts. */
static hem_status find_near(hem__mine *mine, const hem__mine_job *job, const uint32_t *queries, size_t number,
                            size_t count, hem__random *random, hem_error *err) {
  const hem__pairs *p = job->pairs;
  hem__range pool = p->groups[p->group[queries[0]]].shops[HEM__LEARN];
  bool parts = pool.count > POOL, known = mine->near_count[number] > 0;
  if (known && !parts && !job->scoring->model->tower) return HEM_OK;
  if (parts) pool.first += hem__random_below(random, pool.count - POOL + 1);
  pool.count = hem__min(pool.count, POOL);
  hem__near_job near = {.points = job->scoring->points,
                        .width = job->scoring->model->width,
                        .queries = queries,
                        .query_count = count,
                        .gallery = pool,
                        .wrong = p->item,
                        .most = HEM__MINE_NEAR,
                        .found = mine->near + number * HEM__MINE_NEAR,
                        .counts = mine->near_count + number,
                        .threads = job->scoring->threads};
  return hem__near(&near, err);
}

static hem_status mine_some(hem__mine *mine, const hem__mine_job *job, size_t count, hem__random *random,
                            hem_error *err) {
  uint32_t queries[TURN];
  size_t number = mine->turn;
  keeping keep = {mine, number};
  for (size_t i = 0; i < count; i++) queries[i] = (uint32_t)(job->pairs->queries[HEM__LEARN].first + number + i);
  hem_status status = find_near(mine, job, queries, number, count, random, err);
  hem__lists lists = {.queries = queries,
                      .photos = mine->near + number * HEM__MINE_NEAR,
                      .counts = mine->near_count + number,
                      .count = count,
                      .most = HEM__MINE_NEAR,
                      .take = keep_hard,
                      .context = &keep};
  return status ? status : hem__score_lists(job->scoring, &lists, err);
}

hem_status hem__mine_hard(hem__mine *mine, const hem__mine_job *job, hem__random *random, hem_error *err) {
  const hem__pairs *p = job->pairs;
  size_t left = hem__max(hem__min(mine->queries, job->budget / HEM__MINE_NEAR), 1);
  hem_status status = HEM_OK;
  while (left && !status) {
    size_t query = p->queries[HEM__LEARN].first + mine->turn;
    hem__range group = p->groups[p->group[query]].queries[HEM__LEARN];
    size_t count = hem__min(hem__min(left, TURN), group.first + group.count - query);
    status = mine_some(mine, job, count, random, err);
    left -= count;
    mine->turn = (mine->turn + count) % mine->queries;
  }
  return status;
}
