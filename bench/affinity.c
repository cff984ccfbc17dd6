/* Who is near whom. Distances are sums of float32 (|a|^2 + |b|^2 - 2 ab, dots by BLAS), of points moved so that their
 * mean is zero: the nearer the origin, the less is lost in that difference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "bench/tsne.h"
#include "index/flat.h"
#include "metric/blas.h"

enum { QUERIES = 64, GALLERY = 2048, SEARCHES = 200, PORTION = 8 };

/* ---- one bandwidth ---- */

/* In nats. Distances count from the nearest, so that one of them is exp(0). */
static double entropy(const float *squared, size_t count, float nearest, double beta, double *weights) {
  double sum = 0, moment = 0;
  for (size_t i = 0; i < count; i++) {
    double off = (double)squared[i] - (double)nearest;
    weights[i] = exp(-beta * off);
    sum += weights[i];
    moment += weights[i] * off;
  }
  for (size_t i = 0; i < count; i++) weights[i] /= sum;
  return log(sum) + beta * moment / sum;
}

double hem__perplexity_row(const float *squared, size_t count, double perplexity, double *probabilities) {
  double beta = 1, low = 0, high = INFINITY, wanted = log(perplexity);
  float nearest = INFINITY;
  for (size_t i = 0; i < count; i++) nearest = fminf(nearest, squared[i]);
  for (size_t i = 0; i < SEARCHES; i++) {
    double off = entropy(squared, count, nearest, beta, probabilities) - wanted;
    if (fabs(off) < 1e-7) break;
    *(off > 0 ? &low : &high) = beta; /* entropy falls as beta rises */
    beta = isinf(high) ? 2 * beta : (low + high) / 2;
    if (!(beta < 1e300)) break; /* equal distances: no beta tells them apart */
  }
  return beta;
}

/* ---- the nearest ---- */

typedef struct search {
  const hem__tsne_options *options;
  hem__matrix points; /* centred */
  float *norms;
  size_t neighbours, first_block;
  float **dots;      /* by worker: QUERIES x points.rows */
  uint32_t *nearest; /* rows x neighbours, ascending by row */
  double *weights;   /* likewise: the row's distribution */
  hem__near **heaps; /* by worker */
  float **squared;
} search;

static void sift_down(hem__near *heap, size_t count, size_t at, hem__near value) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && hem__nearer(heap[child], heap[child + 1])) child++;
    if (!hem__nearer(value, heap[child])) break;
    heap[at] = heap[child];
  }
  heap[at] = value;
}

/* The farthest of the nearest so far is on top. */
static void keep_nearest(const search *s, size_t query, const float *dots, hem__near *heap) {
  size_t found = 0, k = s->neighbours;
  for (size_t i = 0; i < s->points.rows; i++) {
    if (i == query) continue;
    hem__near here = {.key = fmaxf(s->norms[query] + s->norms[i] - 2 * dots[i], 0), .row = (uint32_t)i};
    if (found < k) {
      heap[found++] = here;
      for (size_t at = found / 2; found == k && at-- > 0;) sift_down(heap, k, at, heap[at]);
    } else if (hem__nearer(here, heap[0])) {
      sift_down(heap, k, 0, here);
    }
  }
}

static int by_row(const void *a, const void *b) {
  uint32_t x = ((const hem__near *)a)->row, y = ((const hem__near *)b)->row;
  return (x > y) - (x < y);
}

static void search_block(void *context, size_t i, size_t worker) {
  search *s = context;
  size_t first = (s->first_block + i) * QUERIES, count = hem__min(QUERIES, s->points.rows - first);
  float *dots = s->dots[worker];
  hem__near *heap = s->heaps[worker];
  for (size_t from = 0; from < s->points.rows; from += GALLERY)
    hem__gemm(false, true, count, hem__min(GALLERY, s->points.rows - from), s->points.dim, 1,
              hem__row(s->points, first), hem__row(s->points, from), 0, dots + from, s->points.rows);
  for (size_t q = 0; q < count; q++) {
    size_t at = (first + q) * s->neighbours;
    keep_nearest(s, first + q, dots + q * s->points.rows, heap);
    qsort(heap, s->neighbours, sizeof *heap, by_row);
    for (size_t n = 0; n < s->neighbours; n++) {
      s->nearest[at + n] = heap[n].row;
      s->squared[worker][n] = heap[n].key;
    }
    hem__perplexity_row(s->squared[worker], s->neighbours, s->options->perplexity, s->weights + at);
  }
}

static hem_status search_new(search *s, size_t threads, hem_error *err) {
  size_t pairs, n = s->points.rows;
  if (!hem__mul(n, s->neighbours, &pairs)) return hem__fail(err, HEM_ENOMEM, "too many points for t-SNE");
  hem_status status = hem__alloc(pairs, sizeof *s->nearest, "neighbours", &s->nearest, err);
  if (!status) status = hem__alloc(pairs, sizeof *s->weights, "neighbours", &s->weights, err);
  if (!status) status = hem__alloc(n, sizeof *s->norms, "norms", &s->norms, err);
  if (!status) status = hem__alloc(threads, sizeof *s->dots, "dots", &s->dots, err);
  if (!status) status = hem__alloc(threads, sizeof *s->heaps, "neighbours", &s->heaps, err);
  if (!status) status = hem__alloc(threads, sizeof *s->squared, "neighbours", &s->squared, err);
  for (size_t i = 0; i < threads && !status; i++) {
    status = hem__alloc(QUERIES * n, sizeof(float), "dots", &s->dots[i], err);
    if (!status) status = hem__alloc(s->neighbours, sizeof(hem__near), "neighbours", &s->heaps[i], err);
    if (!status) status = hem__alloc(s->neighbours, sizeof(float), "neighbours", &s->squared[i], err);
  }
  return status;
}

static void search_clear(search *s, size_t threads) {
  for (size_t i = 0; i < threads; i++) {
    if (s->dots) free(s->dots[i]);
    if (s->heaps) free(s->heaps[i]);
    if (s->squared) free(s->squared[i]);
  }
  free(s->dots);
  free(s->heaps);
  free(s->squared);
  free(s->nearest);
  free(s->weights);
  free(s->norms);
}

static hem_status search_all(search *s, size_t threads, hem_error *err) {
  size_t blocks = (s->points.rows + QUERIES - 1) / QUERIES;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->points.rows; i++) {
    const float *row = hem__row(s->points, i);
    for (size_t d = 0; d < s->points.dim; d++) s->norms[i] += row[d] * row[d];
  }
  for (s->first_block = 0; s->first_block < blocks && !status; s->first_block += PORTION) {
    size_t count = hem__min(PORTION, blocks - s->first_block);
    status = hem__parallel_for(count, threads, search_block, s, err);
    size_t done = hem__min((s->first_block + count) * QUERIES, s->points.rows);
    if (!status)
      status = hem__progress_report(&s->options->progress, "neighbours", done, s->points.rows, "points", err);
  }
  return status;
}

/* ---- P = (p(j|i) + p(i|j)) / 2n ---- */

/* Each row: its own neighbours, and those that have it as theirs; both lists are ascending. */
static hem_status symmetrise(const search *s, hem__affinities *out, hem_error *err) {
  size_t n = s->points.rows, k = s->neighbours, *place = NULL, entries = 0;
  uint32_t *from = NULL; /* transposed: who has this row as a neighbour */
  double *weight = NULL, share = 1 / (2 * (double)n);
  hem_status status = hem__alloc(n + 1, sizeof *out->start, "affinities", &out->start, err);
  if (!status) status = hem__alloc(n + 1, sizeof *place, "affinities", &place, err);
  if (!status) status = hem__alloc(n * k, sizeof *from, "affinities", &from, err);
  if (!status) status = hem__alloc(n * k, sizeof *weight, "affinities", &weight, err);
  if (!status) status = hem__alloc(2 * n * k, sizeof *out->column, "affinities", &out->column, err);
  if (!status) status = hem__alloc(2 * n * k, sizeof *out->p, "affinities", &out->p, err);
  if (status) goto exit;
  for (size_t i = 0; i < n * k; i++) place[s->nearest[i] + 1]++;
  for (size_t i = 0; i < n; i++) place[i + 1] += place[i];
  for (size_t i = 0; i < n * k; i++) {
    size_t at = place[s->nearest[i]]++;
    from[at] = (uint32_t)(i / k);
    weight[at] = s->weights[i];
  }
  for (size_t i = 0, theirs = 0; i < n; i++) {
    size_t mine = i * k, mine_end = mine + k, theirs_end = place[i];
    while (mine < mine_end || theirs < theirs_end) {
      uint32_t a = mine < mine_end ? s->nearest[mine] : UINT32_MAX, b = theirs < theirs_end ? from[theirs] : UINT32_MAX;
      out->column[entries] = a < b ? a : b;
      out->p[entries] = ((a <= b ? s->weights[mine] : 0) + (b <= a ? weight[theirs] : 0)) * share;
      mine += a <= b;
      theirs += b <= a;
      entries++;
    }
    out->start[i + 1] = entries;
  }
  out->count = n;
exit:
  free(place);
  free(from);
  free(weight);
  return status;
}

hem_status hem__affinities_new(hem__matrix points, size_t neighbours, const hem__tsne_options *options,
                               hem__affinities *out, hem_error *err) {
  size_t threads = options->threads ? options->threads : hem__cores();
  search s = {.options = options, .points = points, .neighbours = neighbours};
  hem__affinities made = {0};
  if (neighbours == 0 || neighbours >= points.rows || points.rows > UINT32_MAX)
    return hem__fail(err, HEM_EINVAL, "%zu neighbours among %zu points", neighbours, points.rows);
  hem_status status = search_new(&s, threads, err);
  if (!status) status = search_all(&s, threads, err);
  if (!status) status = symmetrise(&s, &made, err);
  search_clear(&s, threads);
  if (status)
    hem__affinities_clear(&made);
  else
    *out = made;
  return status;
}

void hem__affinities_clear(hem__affinities *affinities) {
  free(affinities->start);
  free(affinities->column);
  free(affinities->p);
  *affinities = (hem__affinities){0};
}
