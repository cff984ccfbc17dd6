#include "bench/recall.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/interval.h"
#include "query/rows.h"

enum { K_DEFAULT = 10, QUERIES_DEFAULT = 1000 };

typedef struct sample {
  size_t row;
  const char *category;
} sample;

/* What one query gave. */
typedef struct outcome {
  double recall, microseconds;
} outcome;

typedef struct measure {
  hem__recall_options options;
  hem_searcher *searcher;
  hem__catalog *catalog;
  size_t space;
  bool leave_one_out;
  uint64_t *exact_rows; /* of one query */
  sample *samples;      /* of one category */
  outcome *outcomes;    /* of all */
} measure;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static hem_status ask(measure *m, const sample *s, bool exact, hem_answer *answer, hem_error *err) {
  hem__matrix vectors = hem__catalog_matrix(m->catalog, m->space);
  hem_search_options o = {.size = sizeof o,
                          .k = m->options.k,
                          .categories = &s->category,
                          .category_count = 1,
                          .exact = exact,
                          .photos = true,
                          .plain = true, /* of the index: what a metric makes of its answer is exhaustive.h's */
                          .leave_out = m->leave_one_out,
                          .leave_out_row = s->row};
  return hem_search(m->searcher, hem__row(vectors, s->row), vectors.dim, &o, answer, err);
}

static hem_status measure_one(measure *m, const sample *s, outcome *out, hem_error *err) {
  hem_answer answer;
  hem_status status = ask(m, s, true, &answer, err);
  if (status) return status;
  size_t wanted = answer.found, held = 0;
  for (size_t i = 0; i < wanted; i++) m->exact_rows[i] = answer.hits[i].row;
  float farthest = wanted ? answer.hits[wanted - 1].distance : 0;
  double start = now_us();
  status = ask(m, s, false, &answer, err);
  out->microseconds = now_us() - start;
  for (size_t i = 0; i < answer.found && !status; i++) {
    bool in = answer.hits[i].distance <= farthest;
    for (size_t j = 0; j < wanted && !in; j++) in = m->exact_rows[j] == answer.hits[i].row;
    held += in;
  }
  out->recall = wanted ? (double)hem__min(held, wanted) / (double)wanted : 1;
  return status;
}

/* ---- summing up ---- */

static int by_time(const void *a, const void *b) {
  double x = ((const outcome *)a)->microseconds, y = ((const outcome *)b)->microseconds;
  return (x > y) - (x < y);
}

/* Sorts the outcomes by time. */
static void summarise(hem__recall_row *row, outcome *outcomes, size_t count) {
  row->queries = count;
  if (count == 0) return;
  for (size_t i = 0; i < count; i++) row->recall += outcomes[i].recall;
  row->recall /= (double)count;
  hem__bootstrap_mean(&outcomes->recall, sizeof *outcomes / sizeof(double), count, &row->low, &row->high);
  qsort(outcomes, count, sizeof *outcomes, by_time);
  row->median_us = outcomes[count / 2].microseconds;
  row->p99_us = outcomes[count * 99 / 100].microseconds;
}

/* ---- the run ---- */

/* Every query of a category, thinned evenly. */
static size_t choose(const measure *m, const char *category, sample *out) {
  const hem__photos *photos = hem__catalog_photos(m->catalog);
  size_t all = 0, kept = 0;
  uint8_t domain = m->leave_one_out ? HEM__SHOP : HEM__CONSUMER;
  for (size_t i = 0; i < photos->count; i++)
    if (photos->at[i].domain == domain && !strcmp(photos->at[i].category, category)) out[all++].row = i;
  size_t limit = hem__min(m->options.query_limit, all);
  for (; kept < limit; kept++) out[kept] = (sample){.row = out[kept * all / limit].row, .category = category};
  return kept;
}

static hem_status check_space(const hem_engine *engine, measure *m, hem_error *err) {
  hem_engine_info info;
  hem_engine_info_get(engine, &info);
  hem_status status = hem__catalog_find_space(m->catalog, info.space, &m->space, err);
  if (status) return status;
  if (strcmp(hem__catalog_space(m->catalog, m->space)->hash, info.space_hash) != 0)
    return hem__fail(err, HEM_EMISMATCH, "the store was built from another '%s' than %s holds: index it again",
                     info.space, hem__catalog_path(m->catalog));
  status = hem__engine_check_rows(engine, m->catalog, err);
  if (status) return status;
  const hem__photos *photos = hem__catalog_photos(m->catalog);
  m->leave_one_out = true;
  for (size_t i = 0; i < photos->count && m->leave_one_out; i++) m->leave_one_out = photos->at[i].domain == HEM__SHOP;
  return hem__catalog_check(m->catalog, m->space, 0, photos->count, err);
}

static hem_status measure_category(measure *m, size_t count, outcome *outcomes, hem_error *err) {
  enum { REPORT_EVERY = 50 };
  hem_status status = HEM_OK;
  for (size_t i = 0; i < count && !status; i++) {
    status = measure_one(m, &m->samples[i], &outcomes[i], err);
    if (!status && (i % REPORT_EVERY == 0 || i + 1 == count))
      status = hem__progress_report(&m->options.progress, m->samples[i].category, i + 1, count, "queries", err);
  }
  return status;
}

static hem_status run(measure *m, const hem_engine *engine, hem__recall_row *rows, hem_error *err) {
  hem_engine_info info;
  hem_engine_info_get(engine, &info);
  size_t total = 0;
  uint64_t largest = 0;
  hem_status status = HEM_OK;
  hem__recall_row *all = &rows[info.category_count];
  *all = (hem__recall_row){.kind = "", .category = "all", .k = m->options.k};
  for (size_t c = 0; c < info.category_count && !status; c++) {
    hem__recall_row *row = &rows[c];
    uint64_t gallery;
    *row = (hem__recall_row){.k = m->options.k};
    hem_engine_category(engine, c, &row->category, &row->kind, &gallery);
    row->gallery = gallery;
    size_t count = choose(m, row->category, m->samples);
    status = measure_category(m, count, m->outcomes + total, err);
    if (status) break;
    all->gallery += gallery;
    /* A small category is flat whatever was asked for; the largest one tells the kind. */
    if (c == 0 || gallery > largest) {
      largest = gallery;
      all->kind = row->kind;
    }
    summarise(row, m->outcomes + total, count);
    total += count;
  }
  if (!status) summarise(all, m->outcomes, total);
  if (!status && total == 0) status = hem__fail(err, HEM_ENOTFOUND, "the catalogue has no photo to query with");
  return status;
}

hem_status hem__recall_measure(const hem_engine *engine, hem__catalog *catalog, const hem__recall_options *options,
                               hem__recall_row **rows, size_t *count, hem_error *err) {
  measure m = {.options = *options, .catalog = catalog};
  hem_engine_info info;
  hem__recall_row *made = NULL;
  if (!m.options.k) m.options.k = K_DEFAULT;
  if (!m.options.query_limit) m.options.query_limit = QUERIES_DEFAULT;
  size_t photos = hem__catalog_photos(catalog)->count;
  hem_engine_info_get(engine, &info);
  hem_status status = check_space(engine, &m, err);
  if (!status) status = hem_searcher_new(engine, &m.searcher, err);
  if (!status) status = hem__alloc(m.options.k, sizeof *m.exact_rows, "an answer", &m.exact_rows, err);
  if (!status) status = hem__alloc(info.category_count + 1, sizeof *made, "recall", &made, err);
  if (!status) status = hem__alloc(photos, sizeof *m.samples, "queries", &m.samples, err);
  if (!status) status = hem__alloc(photos, sizeof *m.outcomes, "queries", &m.outcomes, err);
  if (!status) status = run(&m, engine, made, err);
  if (!status) {
    *rows = made;
    *count = info.category_count + 1;
    made = NULL;
  }
  free(made);
  free(m.samples);
  free(m.outcomes);
  free(m.exact_rows);
  hem_searcher_free(m.searcher);
  return status;
}
