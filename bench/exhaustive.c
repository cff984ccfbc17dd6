#include "bench/exhaustive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/interval.h"
#include "index/learned.h"
#include "metric/score_all.h"
#include "query/rows.h"
#include "query/truth.h"

enum { QUERIES_DEFAULT = 500, TIMED_DEFAULT = 40 };

const char *const hem__way_names[HEM__WAYS] = {"plain distance", "default", "exact", "exhaustive"};
const size_t hem__item_cuts[HEM__ITEM_CUTS] = {1, 5, 10, 20};

typedef struct measure {
  const hem_engine *engine;
  hem__catalog *catalog;
  hem__exhaustive_options options;
  hem__matrix embeddings;
  hem_searcher *searcher;
  hem__sample *samples;
  size_t sample_count;
  hem__truth truth;
  float *gallery, *query;   /* points: all of the gallery, and of one query */
  double *times[HEM__WAYS]; /* microseconds of each timed query */
  double *ratios;
} measure;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static hem_status ask(const measure *m, size_t sample, hem__way way, bool own, hem_answer *answer, hem_error *err) {
  const hem__sample *s = &m->samples[sample];
  const char *category = m->engine->categories[s->category].shared.name;
  hem_search_options o = {.size = sizeof o,
                          .k = HEM__TRUTH_K,
                          .categories = own ? &category : NULL,
                          .category_count = own,
                          .exact = way == HEM__WAY_EXACT,
                          .plain = way == HEM__WAY_PLAIN,
                          .leave_out = s->leave_out,
                          .leave_out_row = s->row};
  return hem_search(m->searcher, hem__row(m->embeddings, s->row), m->embeddings.dim, &o, answer, err);
}

/* ---- overlap and evaluations ---- */

static hem_status measure_overlap(const measure *m, hem__way way, hem__way_result *out, hem_error *err) {
  uint64_t right = 0, total = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < m->sample_count && !status; i++) {
    hem_answer answer;
    size_t here = 0;
    status = ask(m, i, way, false, &answer, err);
    if (!status) status = hem__truth_overlap(&m->truth, i, true, &answer, &here, err);
    if (status) break;
    right += here;
    total += m->truth.all[i].count;
    out->scored += (double)answer.scored / (double)m->sample_count;
    status = hem__progress_report(&m->options.progress, hem__way_names[way], i + 1, m->sample_count, "queries", err);
  }
  out->overlap = (hem_certificate){.overlap = total ? (double)right / (double)total : 1,
                                   .queries = m->sample_count,
                                   .k = (uint32_t)hem__min(HEM__TRUTH_K, m->engine->gallery.items)};
  hem__clopper_pearson(right, total, &out->overlap.low, &out->overlap.high);
  return status;
}

/* ---- accuracy ---- */

/* Where the item stands in the answer, from 1; 0: it does not. */
static size_t place_of(const hem_answer *answer, const char *item) {
  for (size_t i = 0; i < answer->found; i++)
    if (!strcmp(answer->hits[i].item_id, item)) return i + 1;
  return 0;
}

static size_t true_place_of(const measure *m, size_t sample, const char *item) {
  const hem__true_list *list = &m->truth.own[sample];
  const hem__gallery *g = &m->engine->gallery;
  for (size_t i = 0; i < list->count; i++)
    if (!strcmp(g->text + g->item_id[list->at[i].item], item)) return i + 1;
  return 0;
}

static bool category_holds(const measure *m, const hem__sample *s, const char *item) {
  const hem__gallery *g = &m->engine->gallery;
  const hem__category *c = &m->engine->categories[s->category].shared;
  for (size_t i = c->first; i < c->first + c->vectors.rows; i++)
    if (g->row[i] != s->row && !strcmp(g->text + g->item_id[g->item_of[i]], item)) return true;
  return false;
}

static void count_right(hem__way_result *way, size_t place) {
  for (size_t i = 0; i < HEM__ITEM_CUTS; i++) way->right[i] += place && place <= hem__item_cuts[i];
}

static hem_status measure_accuracy(const measure *m, hem__exhaustive *out, hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(m->catalog);
  hem_status status = HEM_OK;
  for (size_t i = 0; i < m->sample_count && !status; i++) {
    const char *item = photos->at[m->samples[i].row].item_id;
    if (hem__metric_saw(m->engine->learned.metric, item) || !category_holds(m, &m->samples[i], item)) continue;
    out->accuracy_queries++;
    for (hem__way way = HEM__WAY_PLAIN; way < HEM__WAY_EXHAUSTIVE && !status; way++) {
      hem_answer answer;
      status = ask(m, i, way, true, &answer, err);
      if (!status) count_right(&out->ways[way], place_of(&answer, item));
    }
    count_right(&out->ways[HEM__WAY_EXHAUSTIVE], true_place_of(m, i, item));
  }
  return status;
}

/* ---- time ---- */

/* The gallery in memory as float32: what the exhaustive way reads, made before its time is taken. */
static hem_status prepare_gallery(measure *m, hem_error *err) {
  const hem__metric *metric = m->engine->learned.metric;
  const hem__gallery *g = &m->engine->gallery;
  hem__listed_rows rows = {
      .catalog = m->engine->generation.manifest.catalog, .all = m->embeddings, .order = g->row, .count = g->photos};
  size_t values;
  if (!hem__mul(g->photos, metric->width, &values)) return hem__fail(err, HEM_ENOMEM, "the gallery is too large");
  hem_status status = hem__alloc(values, sizeof(float), "the gallery's points", &m->gallery, err);
  if (!status) status = hem__alloc(metric->width, sizeof(float), "a query", &m->query, err);
  return status ? status : hem__learning_project(metric, &rows, 0, g->photos, m->gallery, err);
}

static void take_best(void *context, size_t query, float *scores, size_t worker) {
  const measure *m = context;
  hem__true_list best = {0};
  (void)query;
  (void)worker;
  hem__true_list_fill(&best, &m->engine->gallery, scores);
}

static hem_status ask_exhaustively(measure *m, size_t sample, hem_error *err) {
  const hem__metric *metric = m->engine->learned.metric;
  hem__score_all_job job = {.metric = metric,
                            .queries = {.at = m->query, .rows = 1, .dim = metric->width},
                            .gallery = {.at = m->gallery, .rows = m->engine->gallery.photos, .dim = metric->width},
                            .threads = 1,
                            .take = take_best,
                            .context = m};
  hem_status status = hem__metric_project(metric, hem__row(m->embeddings, m->samples[sample].row), 1, m->query, err);
  return status ? status : hem__score_all(&job, err);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, by_value);
  return count ? values[count / 2] : NAN;
}

/* One query after the other, all ways of each in turn: what slows the machine down for a while slows all of them. */
static hem_status measure_times(measure *m, hem__exhaustive *out, hem_error *err) {
  size_t count = hem__min(m->options.timed_limit, m->sample_count);
  hem_status status = prepare_gallery(m, err);
  for (hem__way way = 0; way < HEM__WAYS && !status; way++)
    status = hem__alloc(count, sizeof(double), "times", &m->times[way], err);
  if (!status) status = hem__alloc(count, sizeof(double), "times", &m->ratios, err);
  for (size_t i = 0; i < count && !status; i++) {
    size_t sample = i * m->sample_count / count;
    for (hem__way way = 0; way < HEM__WAYS && !status; way++) {
      hem_answer answer;
      double start = now_us();
      status = way == HEM__WAY_EXHAUSTIVE ? ask_exhaustively(m, sample, err) : ask(m, sample, way, false, &answer, err);
      m->times[way][i] = now_us() - start;
    }
    if (!status) status = hem__progress_report(&m->options.progress, "times", i + 1, count, "queries", err);
  }
  if (status) return status;
  out->timed = count;
  for (hem__way way = 0; way < HEM__WAYS; way++) {
    for (size_t i = 0; i < count; i++) m->ratios[i] = m->times[HEM__WAY_EXHAUSTIVE][i] / m->times[way][i];
    out->ways[way].faster = median(m->ratios, count);
  }
  for (hem__way way = 0; way < HEM__WAYS; way++) out->ways[way].median_us = median(m->times[way], count);
  return HEM_OK;
}

/* ---- the run ---- */

static hem_status check(measure *m, hem_error *err) {
  hem_engine_info info;
  size_t space;
  hem_engine_info_get(m->engine, &info);
  if (!info.metric)
    return hem__fail(err, HEM_EUNSUPPORTED,
                     "the store has no metric: build it with 'hemline index --metric', or measure its recall without "
                     "--exhaustive");
  hem_status status = hem__engine_check_rows(m->engine, m->catalog, err);
  if (!status) status = hem__catalog_find_space(m->catalog, info.space, &space, err);
  if (status) return status;
  m->embeddings = hem__catalog_matrix(m->catalog, space);
  return hem__catalog_check(m->catalog, space, 0, m->embeddings.rows, err);
}

static hem_status measure_all(measure *m, hem__exhaustive *out, hem_error *err) {
  hem__truth_options how = {.threads = m->options.threads, .progress = m->options.progress};
  hem_status status = check(m, err);
  if (!status)
    status = hem__samples_choose(m->engine, m->catalog, m->embeddings, m->options.query_limit, &m->samples,
                                 &m->sample_count, err);
  if (!status && m->sample_count == 0)
    status = hem__fail(err, HEM_ENOTFOUND, "the catalogue has no photo to query with");
  if (status) return status;
  *out = (hem__exhaustive){
      .gallery = m->engine->gallery.photos, .queries = m->sample_count, .leave_one_out = m->samples[0].leave_out};
  status = hem_searcher_new(m->engine, &m->searcher, err);
  if (!status) status = hem__truth_find(m->engine, m->embeddings, m->samples, m->sample_count, &how, &m->truth, err);
  for (hem__way way = HEM__WAY_PLAIN; way < HEM__WAY_EXHAUSTIVE && !status; way++)
    status = measure_overlap(m, way, &out->ways[way], err);
  hem__way_result *all = &out->ways[HEM__WAY_EXHAUSTIVE];
  all->scored = (double)out->gallery;
  all->overlap = (hem_certificate){1, 1, 1, m->sample_count, HEM__TRUTH_K};
  if (!status) status = measure_accuracy(m, out, err);
  return status ? status : measure_times(m, out, err);
}

hem_status hem__exhaustive_measure(const hem_engine *engine, hem__catalog *catalog,
                                   const hem__exhaustive_options *options, hem__exhaustive *out, hem_error *err) {
  measure m = {.engine = engine, .catalog = catalog, .options = *options};
  hem__exhaustive result = {0};
  if (!m.options.query_limit) m.options.query_limit = QUERIES_DEFAULT;
  if (!m.options.timed_limit) m.options.timed_limit = TIMED_DEFAULT;
  hem_status status = measure_all(&m, &result, err);
  if (!status) *out = result;
  hem__truth_clear(&m.truth);
  hem_searcher_free(m.searcher);
  free(m.samples);
  free(m.gallery);
  free(m.query);
  free(m.ratios);
  for (hem__way way = 0; way < HEM__WAYS; way++) free(m.times[way]);
  return status;
}
