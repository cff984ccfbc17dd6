/* One contestant at a time: opened, warmed, asked at every depth, closed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/threads.h"
#include "bench/interval.h"
#include "bench/sweep_machine.h"
#include "bench/sweep_parts.h"

enum { COLD_QUERIES = 50 };
static const double COLD_RECALL = 0.95;

/* ---- rows ---- */

hem_status hem__sweep_new_row(hem__sweep *out, hem__sweep_row row, hem__sweep_row **made, hem_error *err) {
  double *rounds = NULL;
  hem_status status = hem__grow(&out->rows, &out->row_capacity, out->row_count + 1, sizeof *out->rows, "rows", err);
  if (!status) status = hem__alloc(out->rounds * HEM__SWEEP_MEASURES, sizeof *rounds, "rows", &rounds, err);
  if (status) return status;
  for (size_t i = 0; i < out->rounds * HEM__SWEEP_MEASURES; i++) rounds[i] = NAN;
  row.rounds = rounds;
  out->rows[out->row_count] = row;
  if (made) *made = &out->rows[out->row_count];
  out->row_count++;
  return HEM_OK;
}

static void name_setting(const hem__peer_type *type, hem__sweep_row *row) {
  int at = snprintf(row->setting, sizeof row->setting, row->depth.depth ? "%s %u" : "%s", type->depth_name,
                    row->depth.depth);
  if (row->depth.refine && at > 0 && (size_t)at < sizeof row->setting)
    snprintf(row->setting + at, sizeof row->setting - (size_t)at, ", refine %u", row->depth.refine);
}

/* The ladder, or the depths that were asked for; with the ladder's last refinement then. */
static size_t steps_of(const hem__sweeping *s, const hem__peer_type *type) {
  bool set = s->options->depth_count && type->ladder[0].depth;
  return set ? s->options->depth_count : type->ladder_count;
}

static hem__peer_depth step_of(const hem__sweeping *s, const hem__peer_type *type, size_t i) {
  bool set = s->options->depth_count && type->ladder[0].depth;
  hem__peer_depth last = type->ladder[type->ladder_count - 1];
  return set ? (hem__peer_depth){s->options->depths[i], last.refine} : type->ladder[i];
}

static hem_status prepare_engine(hem__sweeping *s, size_t engine, hem_error *err) {
  const hem__peer_type *type = s->types[engine];
  hem_status status = HEM_OK;
  for (hem__sweep_mode mode = HEM__SINGLE; mode <= HEM__BATCH; mode++) {
    if (mode == HEM__BATCH && s->options->no_batch) continue;
    for (size_t t = 0; t < s->thread_count; t++)
      for (size_t i = 0; i < steps_of(s, type) && !status; i++) {
        hem__sweep_row row = {.engine = engine,
                              .depth = step_of(s, type, i),
                              .mode = mode,
                              .threads = s->threads[t],
                              .k = s->out->k,
                              .queries = s->data.queries.rows};
        hem__sweep_row *made = NULL;
        name_setting(type, &row);
        status = hem__sweep_new_row(s->out, row, &made, err);
        if (!status && mode == HEM__SINGLE && row.threads == 1)
          status = hem__alloc(row.queries * s->out->rounds, sizeof(float), "times", &made->latencies, err);
      }
  }
  return status;
}

hem_status hem__sweep_prepare(hem__sweeping *s, hem_error *err) {
  size_t queries = s->data.queries.rows, all = 0;
  if (!hem__mul(queries, s->data.k, &all)) return hem__fail(err, HEM_ENOMEM, "%zu queries are too many", queries);
  hem_status status = hem__alloc(all, sizeof *s->answers, "answers", &s->answers, err);
  if (!status) status = hem__alloc(queries, sizeof *s->recalls, "answers", &s->recalls, err);
  if (!status) status = hem__alloc(queries, sizeof *s->times, "times", &s->times, err);
  for (size_t i = 0; i < s->out->engine_count && !status; i++)
    if (!*s->out->engines[i].skipped) status = prepare_engine(s, i, err);
  return status;
}

/* ---- one pass: every query once ---- */

typedef struct pass {
  hem__sweeping *s;
  hem__peer *peer;
  hem__matrix queries;
  hem_error *errors; /* of each thread */
  double *times;     /* NULL: not wanted */
} pass;

static hem_status ask_one(const pass *p, size_t query, size_t thread, hem_error *err) {
  size_t k = p->s->data.k;
  uint64_t start = hem__now_ns();
  hem_status status =
      p->peer->type->search(p->peer, thread, hem__row(p->queries, query), k, p->s->answers + query * k, err);
  if (p->times) p->times[query] = (double)(hem__now_ns() - start) / 1e3;
  return status;
}

static void ask_beside(void *context, size_t query, size_t worker) {
  pass *p = context;
  hem_error *err = &p->errors[worker];
  if (!err->code) err->code = ask_one(p, query, worker, err);
}

static hem_status ask_together(pass *p, size_t threads, hem_error *err) {
  hem_status status = hem__alloc(threads, sizeof *p->errors, "threads", &p->errors, err);
  if (status) return status;
  status = hem__parallel_for(p->queries.rows, threads, ask_beside, p, err);
  for (size_t i = 0; i < threads && !status; i++)
    if (p->errors[i].code) status = hem__fail(err, p->errors[i].code, "%s", p->errors[i].message);
  free(p->errors);
  return status;
}

static hem_status ask_all(pass *p, hem__sweep_mode mode, size_t threads, hem_error *err) {
  hem_status status = HEM_OK;
  if (mode == HEM__BATCH && p->peer->type->batch)
    return p->peer->type->batch(p->peer, p->queries, p->s->data.k, threads, p->s->answers, err);
  if (threads > 1) return ask_together(p, threads, err);
  for (size_t i = 0; i < p->queries.rows && !status; i++) status = ask_one(p, i, 0, err);
  return status;
}

/* ---- what a pass showed ---- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void hem__sweep_note_recall(hem__sweep_row *row, const double *recalls) {
  row->recall = 0;
  for (size_t i = 0; i < row->queries; i++) row->recall += recalls[i] / (double)row->queries;
  hem__bootstrap_mean(recalls, 1, row->queries, &row->low, &row->high);
}

void hem__sweep_percentiles(double *times, size_t count, double *measures) {
  qsort(times, count, sizeof *times, by_value);
  measures[HEM__P50] = times[count / 2];
  measures[HEM__P99] = times[count * 99 / 100];
}

static void note_answers(hem__sweeping *s, hem__sweep_row *row) {
  for (size_t i = 0; i < row->queries; i++) s->recalls[i] = hem__sweep_recall(&s->data, i, s->answers + i * s->data.k);
  hem__sweep_note_recall(row, s->recalls);
}

static void keep_latencies(hem__sweep_row *row, size_t round, const double *times) {
  if (!row->latencies) return;
  for (size_t i = 0; i < row->queries; i++) row->latencies[round * row->queries + i] = (float)times[i];
  row->latency_count = (round + 1) * row->queries;
}

static hem_status measure_row(hem__sweeping *s, hem__peer *peer, hem__sweep_row *row, size_t round, hem_error *err) {
  bool single = row->mode != HEM__BATCH;
  pass p = {.s = s,
            .peer = peer,
            .queries = {s->data.queries.at, row->queries, s->data.queries.dim},
            .times = single ? s->times : NULL};
  double *measures = row->rounds + round * HEM__SWEEP_MEASURES, count = (double)row->queries;
  hem_status status = peer->type->set(peer, row->depth, err);
  if (status) return status;
  double cpu = hem__cpu_seconds();
  uint64_t start = hem__now_ns();
  status = ask_all(&p, row->mode, row->threads, err);
  double seconds = (double)(hem__now_ns() - start) / 1e9;
  if (status) return status;
  measures[HEM__CPU] = (hem__cpu_seconds() - cpu) * 1e6 / count;
  measures[HEM__QPS] = count / seconds;
  if (round == 0) note_answers(s, row);
  if (single) keep_latencies(row, round, s->times);
  if (single) hem__sweep_percentiles(s->times, row->queries, measures);
  return HEM_OK;
}

/* ---- a visit ---- */

static hem_status warm(hem__sweeping *s, hem__peer *peer, hem_error *err) {
  pass p = {.s = s, .peer = peer, .queries = s->data.queries};
  hem_status status = peer->type->set(peer, step_of(s, peer->type, steps_of(s, peer->type) - 1), err);
  return status ? status : ask_all(&p, HEM__SINGLE, 1, err);
}

void hem__sweep_note_memory(hem__sweep_engine *e, hem__resident before) {
  hem__resident now = hem__resident_now();
  e->private_bytes = now.anonymous > before.anonymous ? now.anonymous - before.anonymous : 0;
  e->mapped_bytes = now.files > before.files ? now.files - before.files : 0;
}

static hem_status measure_rows(hem__sweeping *s, hem__peer *peer, size_t engine, size_t round, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->out->row_count && !status; i++)
    if (s->out->rows[i].engine == engine) status = measure_row(s, peer, &s->out->rows[i], round, err);
  return status;
}

hem_status hem__sweep_visit(hem__sweeping *s, size_t engine, size_t round, hem_error *err) {
  hem__sweep_engine *e = &s->out->engines[engine];
  const hem__peer_type *type = s->types[engine];
  hem__peer *peer = NULL;
  hem__resident before = hem__resident_now();
  uint64_t start = hem__now_ns();
  hem_status status = type->open(type, &s->task, s->paths[engine], &peer, err);
  double open_ms = (double)(hem__now_ns() - start) / 1e6;
  e->open_ms = fmin(e->open_ms, open_ms);
  if (!status) status = warm(s, peer, err);
  if (!status && round == 0) hem__sweep_note_memory(e, before);
  if (!status) status = measure_rows(s, peer, engine, round, err);
  type->close(peer);
  return status ? hem__fail_in(err, status, "%s", e->name) : HEM_OK;
}

/* ---- cold ---- */

static hem_status ask_cold(hem__sweeping *s, hem__sweep_row *row, size_t round, hem_error *err) {
  const hem__peer_type *type = s->types[row->engine];
  const char *path = s->paths[row->engine];
  hem__peer *peer = NULL;
  hem__sweep_engine *e = &s->out->engines[row->engine];
  hem__forget_pages(path);
  uint64_t start = hem__now_ns();
  hem_status status = type->open(type, &s->task, path, &peer, err);
  e->cold_open_ms = fmin(e->cold_open_ms, (double)(hem__now_ns() - start) / 1e6); /* fmin takes the number */
  /* Opening may have read all of it, to check it. */
  if (!status && type->drop) type->drop(peer);
  if (!status && type->drop) hem__forget_pages(path);
  if (!status) status = measure_row(s, peer, row, round, err);
  type->close(peer);
  return status;
}

hem_status hem__sweep_cold(hem__sweeping *s, hem_error *err) {
  hem__sweep *out = s->out;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < out->engine_count && !status; i++) {
    const hem__sweep_row *as = hem__sweep_row_at(out, i, COLD_RECALL);
    hem__sweep_row *row = NULL;
    if (*out->engines[i].skipped || out->engines[i].again || out->engines[i].metric || !as) continue;
    hem__sweep_row wanted = {.engine = i,
                             .depth = as->depth,
                             .mode = HEM__COLD,
                             .threads = 1,
                             .k = out->k,
                             .queries = hem__min(COLD_QUERIES, s->data.queries.rows)};
    name_setting(s->types[i], &wanted);
    status = hem__sweep_new_row(out, wanted, &row, err);
    for (size_t r = 0; r < out->rounds && !status; r++) status = ask_cold(s, row, r, err);
    if (!status) status = hem__progress_report(&s->options->progress, "cold", i + 1, out->engine_count, "indices", err);
  }
  return status ? status : hem__sweep_medians(out, err);
}
