/* The second truth: under a store's metric, how much of the 20 best items by scoring every photo an answer holds, and
 * how fast it comes. Hemline's kinds only: nobody else reranks. All are open at once, and asked in rounds like the
 * others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/interval.h"
#include "bench/sweep_machine.h"
#include "bench/sweep_parts.h"
#include "query/truth.h"

/* Candidates that are scored; 0: what the store would do, which for a concave head is to bound and not to guess. */
static const uint32_t reranks[] = {0, 32, 64, 128, 256, 512, 1024, 2048};
enum { RERANKS = sizeof reranks / sizeof *reranks };

typedef struct kind {
  size_t engine; /* its number */
  hem_engine *opened;
  hem_searcher *searcher;
  hem__sample *samples;
  hem__truth truth;
  size_t sample_count;
  double *times, *recalls;
} kind;

static void close_kind(kind *k) {
  hem__truth_clear(&k->truth);
  hem_searcher_free(k->searcher);
  hem_engine_close(k->opened);
  free(k->samples);
  free(k->times);
  free(k->recalls);
}

/* ---- building and opening ---- */

static hem_status build(hem__sweeping *s, const char *name, const char *path, hem__sweep_engine *e, hem_error *err) {
  hem_index_options o = {.size = sizeof o,
                         .catalog = s->data.catalog_path,
                         .store = path,
                         .kind = name,
                         .metric = s->data.metric,
                         .force = true,
                         .threads = 1,
                         .keep = 1};
  double cpu = hem__cpu_seconds();
  uint64_t start = hem__now_ns();
  hem_status status = hem__remove_tree(path, err);
  if (!status) status = hem_index(&o, err);
  e->build_seconds = (double)(hem__now_ns() - start) / 1e9;
  e->build_cpu = hem__cpu_seconds() - cpu;
  e->disk = hem__disk_bytes(path);
  return status;
}

static hem_status open_kind(hem__sweeping *s, const char *path, kind *k, hem_error *err) {
  hem__matrix embeddings = hem__catalog_matrix(s->data.catalog, 0);
  hem__truth_options how = {.progress = s->options->progress};
  hem__resident before = hem__resident_now();
  uint64_t start = hem__now_ns();
  hem_status status = hem_engine_open(path, NULL, &k->opened, err);
  s->out->engines[k->engine].open_ms = (double)(hem__now_ns() - start) / 1e6;
  if (!status) status = hem_searcher_new(k->opened, &k->searcher, err);
  if (!status)
    status = hem__samples_choose(k->opened, s->data.catalog, embeddings, s->data.queries.rows, &k->samples,
                                 &k->sample_count, err);
  if (!status && k->sample_count == 0) status = hem__fail(err, HEM_ENOTFOUND, "no photo can be asked with");
  if (!status) status = hem__alloc(k->sample_count, sizeof *k->times, "times", &k->times, err);
  if (!status) status = hem__alloc(k->sample_count, sizeof *k->recalls, "times", &k->recalls, err);
  if (!status) hem__sweep_note_memory(&s->out->engines[k->engine], before);
  return status ? status : hem__truth_find(k->opened, embeddings, k->samples, k->sample_count, &how, &k->truth, err);
}

static hem_status make_rows(hem__sweeping *s, const kind *k, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < RERANKS && !status; i++) {
    hem__sweep_row row = {.engine = k->engine,
                          .rerank = reranks[i],
                          .mode = HEM__SINGLE,
                          .threads = 1,
                          .truth = HEM__BY_METRIC,
                          .k = HEM__TRUTH_K,
                          .queries = k->sample_count};
    if (reranks[i] > k->opened->gallery.photos) break;
    if (reranks[i])
      snprintf(row.setting, sizeof row.setting, "rerank %u", reranks[i]);
    else
      snprintf(row.setting, sizeof row.setting, "default");
    status = hem__sweep_new_row(s->out, row, NULL, err);
  }
  return status;
}

/* Kind `from` of the sweep once more, with the metric. */
static hem_status enter(hem__sweeping *s, size_t from, kind *k, hem_error *err) {
  hem__sweep_engine *e = &s->out->engines[s->out->engine_count];
  const char *name = s->types[from]->own;
  char *path = NULL;
  hem_status status = hem__print(&path, err, "%s/%s-metric", s->work, s->types[from]->name);
  if (status) return status;
  *e = (hem__sweep_engine){.own = true, .metric = true, .build_threads = 1, .cold_open_ms = NAN};
  snprintf(e->name, sizeof e->name, "%s metric", s->types[from]->name);
  snprintf(e->build, sizeof e->build, "hemline index --kind %s --metric", name);
  k->engine = s->out->engine_count++;
  status = build(s, name, path, e, err);
  if (!status) status = open_kind(s, path, k, err);
  if (!status) status = make_rows(s, k, err);
  free(path);
  return status;
}

/* ---- asking ---- */

static hem_status ask_one(hem__sweeping *s, kind *k, const hem__sweep_row *row, size_t query, bool first,
                          hem_error *err) {
  const hem__sample *sample = &k->samples[query];
  hem__matrix embeddings = hem__catalog_matrix(s->data.catalog, 0);
  hem_search_options o = {.size = sizeof o,
                          .k = HEM__TRUTH_K,
                          .rerank = row->rerank,
                          .leave_out = sample->leave_out,
                          .leave_out_row = sample->row};
  hem_answer answer;
  size_t right = 0;
  uint64_t start = hem__now_ns();
  hem_status status = hem_search(k->searcher, hem__row(embeddings, sample->row), embeddings.dim, &o, &answer, err);
  k->times[query] = (double)(hem__now_ns() - start) / 1e3;
  if (status || !first) return status;
  status = hem__truth_overlap(&k->truth, query, true, &answer, &right, err);
  size_t all = k->truth.all[query].count;
  k->recalls[query] = all ? (double)right / (double)all : 1;
  return status;
}

static hem_status measure(hem__sweeping *s, kind *k, hem__sweep_row *row, size_t round, hem_error *err) {
  double *measures = row->rounds + round * HEM__SWEEP_MEASURES, cpu = hem__cpu_seconds(), total = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < k->sample_count && !status; i++) {
    status = ask_one(s, k, row, i, round == 0, err);
    total += k->times[i];
  }
  if (status) return status;
  /* The first round's processor time holds the comparison with the truth too. */
  if (round || s->out->rounds == 1) measures[HEM__CPU] = (hem__cpu_seconds() - cpu) * 1e6 / (double)k->sample_count;
  measures[HEM__QPS] = (double)k->sample_count * 1e6 / total;
  hem__sweep_percentiles(k->times, k->sample_count, measures);
  if (round == 0) hem__sweep_note_recall(row, k->recalls);
  return HEM_OK;
}

static hem_status ask_all(hem__sweeping *s, kind *kinds, size_t count, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t r = 0; r < s->out->rounds && !status; r++)
    for (size_t i = 0; i < count && !status; i++) {
      kind *k = &kinds[r % 2 ? count - 1 - i : i];
      for (size_t j = 0; j < s->out->row_count && !status; j++)
        if (s->out->rows[j].engine == k->engine) status = measure(s, k, &s->out->rows[j], r, err);
      if (!status)
        status = hem__progress_report(&s->options->progress, "metric", r * count + i + 1, s->out->rounds * count,
                                      "visits", err);
    }
  return status;
}

hem_status hem__sweep_metric(hem__sweeping *s, hem_error *err) {
  size_t all = s->out->engine_count, count = 0;
  kind *kinds = NULL;
  if (!s->data.metric) return HEM_OK;
  hem_status status = hem__alloc(all, sizeof *kinds, "contestants", &kinds, err);
  for (size_t i = 0; i < all && !status; i++)
    if (s->out->engines[i].own && !*s->out->engines[i].skipped) status = enter(s, i, &kinds[count++], err);
  if (!status) status = ask_all(s, kinds, count, err);
  for (size_t i = 0; i < count; i++) close_kind(&kinds[i]);
  free(kinds);
  return status;
}
