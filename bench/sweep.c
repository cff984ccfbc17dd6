#include "bench/sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/threads.h"
#include "bench/sweep_machine.h"
#include "bench/sweep_parts.h"

enum { ROUNDS_DEFAULT = 5 };

const char *const hem__sweep_mode_names[HEM__SWEEP_MODES] = {"single", "batch", "cold"};
const char *const hem__sweep_truth_names[HEM__SWEEP_TRUTHS] = {"distance", "siamese"};

/* ---- who takes part ---- */

static bool wanted(const hem__sweep_options *o, const char *name) {
  for (size_t i = 0; i < o->contestant_count; i++)
    if (!strcmp(o->contestants[i], name)) return true;
  return o->contestant_count == 0;
}

static hem_status check_names(const hem__sweep_options *o, hem_error *err) {
  char known[1024] = "";
  for (size_t i = 0, at = 0; i < hem__peer_list_count; i++)
    for (size_t j = 0; j < hem__peers(i).count && at < sizeof known; j++)
      at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", hem__peers(i).at[j].name);
  for (size_t i = 0; i < o->contestant_count; i++)
    if (!hem__peer_find(o->contestants[i]))
      return hem__fail(err, HEM_EINVAL, "this build has no '%s'; it has: %.400s", o->contestants[i], known);
  return HEM_OK;
}

static void enter(hem__sweeping *s, const hem__peer_type *type, bool own, bool again) {
  hem__sweep *out = s->out;
  hem__sweep_engine *e = &out->engines[out->engine_count];
  *e = (hem__sweep_engine){.own = own, .again = again, .build_threads = 1, .open_ms = NAN, .cold_open_ms = NAN};
  snprintf(e->name, sizeof e->name, "%s%s", type->name, again ? " again" : "");
  if (!own) e->build_threads = s->task.build_threads;
  type->describe(type, &s->task, e->build, sizeof e->build);
  if (!own && out->reference == SIZE_MAX) out->reference = out->engine_count;
  if (again) out->noise = out->engine_count;
  s->types[out->engine_count++] = type;
}

static hem_status enter_all(hem__sweeping *s, hem_error *err) {
  size_t most = 1 + hem__peers(0).count; /* the noise's second half, and Hemline's once more with a metric */
  for (size_t i = 0; i < hem__peer_list_count; i++) most += hem__peers(i).count;
  hem_status status = hem__alloc(most, sizeof *s->out->engines, "contestants", &s->out->engines, err);
  if (!status) status = hem__alloc(most, sizeof *s->types, "contestants", &s->types, err);
  if (!status) status = hem__alloc(most, sizeof *s->paths, "contestants", &s->paths, err);
  if (status) return status;
  s->path_count = most;
  s->out->reference = s->out->noise = SIZE_MAX;
  for (size_t i = 0; i < hem__peer_list_count; i++)
    for (size_t j = 0; j < hem__peers(i).count; j++)
      if (wanted(s->options, hem__peers(i).at[j].name)) enter(s, &hem__peers(i).at[j], i == 0, false);
  if (s->out->reference != SIZE_MAX) enter(s, s->types[s->out->reference], false, true);
  return HEM_OK;
}

/* ---- building ---- */

/* The seconds that a kept index took are in a file beside it. */
static bool read_times(const char *path, hem__sweep_engine *e) {
  FILE *file = fopen(path, "r");
  bool fine = file && fscanf(file, "%lf %lf %zu", &e->build_seconds, &e->build_cpu, &e->build_threads) == 3;
  if (file) fclose(file);
  return fine;
}

static hem_status write_times(const char *path, const hem__sweep_engine *e, hem_error *err) {
  FILE *file = fopen(path, "w");
  bool fine = file && fprintf(file, "%.6f %.6f %zu\n", e->build_seconds, e->build_cpu, e->build_threads) > 0;
  if (file) fine = fclose(file) == 0 && fine;
  return fine ? HEM_OK : hem__fail_errno(err, "cannot write %s", path);
}

static hem_status build_one(hem__sweeping *s, size_t number, hem_error *err) {
  hem__sweep_engine *e = &s->out->engines[number];
  const hem__peer_type *type = s->types[number];
  char *times = NULL;
  hem__peer *peer = NULL;
  hem_status status = hem__print(&s->paths[number], err, "%s/%s", s->work, type->name);
  if (!status) status = hem__print(&times, err, "%s.seconds", s->paths[number]);
  if (status) goto exit;
  e->kept = e->again || (hem__path_exists(s->paths[number]) && read_times(times, e));
  if (e->again) read_times(times, e);
  if (!e->kept) {
    double cpu = hem__cpu_seconds();
    uint64_t start = hem__now_ns();
    status = hem__remove_tree(s->paths[number], err);
    if (!status) status = type->build(type, &s->task, s->paths[number], err);
    e->build_seconds = (double)(hem__now_ns() - start) / 1e9;
    e->build_cpu = hem__cpu_seconds() - cpu;
    if (!status) status = write_times(times, e, err);
  }
  if (status) goto exit;
  e->disk = hem__disk_bytes(s->paths[number]);
  status = type->open(type, &s->task, s->paths[number], &peer, err); /* does it open at all? */
  type->close(peer);
exit:
  free(times);
  return status;
}

/* Without the first peer there is nothing to compare with, and no noise to know. */
static void forget_reference(hem__sweep *out) {
  if (out->reference == SIZE_MAX || !*out->engines[out->reference].skipped) return;
  out->engine_count = out->noise; /* which was the last */
  out->reference = out->noise = SIZE_MAX;
}

/* What is not there for this distance stays out, and says why. */
static hem_status build_all(hem__sweeping *s, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->out->engine_count && !status; i++) {
    hem_error why = {0};
    if (s->out->engines[i].again && *s->out->engines[s->out->reference].skipped) break;
    status = build_one(s, i, &why);
    if (status == HEM_EUNSUPPORTED) {
      snprintf(s->out->engines[i].skipped, sizeof s->out->engines[i].skipped, "%.250s", why.message);
      status = HEM_OK;
    } else if (status) {
      hem__fail(err, status, "%s: %.400s", s->out->engines[i].name, why.message);
    }
    if (!status)
      status = hem__progress_report(&s->options->progress, "build", i + 1, s->out->engine_count, "indices", err);
  }
  forget_reference(s->out);
  return status;
}

/* ---- the rounds ---- */

static hem_status visit_all(hem__sweeping *s, hem_error *err) {
  size_t count = s->out->engine_count, rounds = s->out->rounds;
  hem_status status = HEM_OK;
  for (size_t r = 0; r < rounds && !status; r++)
    for (size_t i = 0; i < count && !status; i++) {
      size_t number = r % 2 ? count - 1 - i : i;
      if (!*s->out->engines[number].skipped) status = hem__sweep_visit(s, number, r, err);
      if (!status)
        status = hem__progress_report(&s->options->progress, "ask", r * count + i + 1, rounds * count, "visits", err);
    }
  return status;
}

/* ---- the whole ---- */

static hem_status open_data(hem__sweeping *s, hem_error *err) {
  const hem__sweep_options *o = s->options;
  hem__sweep_source source = {.path = o->data,
                              .category = o->category,
                              .space = o->space,
                              .distance = o->distance,
                              .k = o->k,
                              .query_limit = o->query_limit,
                              .work = s->work,
                              .progress = o->progress};
  hem_status status = hem__sweep_data_open(&source, &s->data, err);
  if (status) return status;
  hem__sweep *out = s->out;
  out->gallery = s->data.gallery.rows;
  out->dim = s->data.gallery.dim;
  out->k = s->data.k;
  out->queries = s->data.queries.rows;
  out->distance = s->data.distance;
  out->truth_given = s->data.truth_given;
  s->task = (hem__peer_task){.catalog = s->data.catalog_path,
                             .category = s->data.category,
                             .gallery = s->data.gallery,
                             .distance = s->data.distance,
                             .build_threads = o->build_threads ? o->build_threads : 1,
                             .threads = 1};
  for (size_t i = 0; i < s->thread_count; i++) s->task.threads = hem__max(s->task.threads, s->threads[i]);
  return hem__strdup(s->data.name, &out->name, err);
}

static void describe_machine(hem__sweep *out) {
  time_t now = time(NULL);
  struct tm at;
  hem__machine_name(out->machine, sizeof out->machine);
  out->cores = hem__cores();
  gmtime_r(&now, &at);
  strftime(out->date, sizeof out->date, "%Y-%m-%dT%H:%M:%SZ", &at);
  snprintf(out->faiss, sizeof out->faiss, "%s", HEM_FAISS_VERSION);
}

static hem_status open_work(hem__sweeping *s, hem_error *err) {
  const char *place = getenv("TMPDIR");
  if (s->options->work) {
    hem_status status = hem__strdup(s->options->work, &s->work, err);
    return status ? status : hem__make_folder(s->work, err);
  }
  hem_status status = hem__print(&s->work, err, "%s/hemline-bench-XXXXXX", place && *place ? place : "/tmp");
  if (!status && !mkdtemp(s->work)) {
    status = hem__fail_errno(err, "cannot make a folder for the indices");
    free(s->work);
    s->work = NULL;
  }
  return status;
}

static void close_sweeping(hem__sweeping *s) {
  if (s->work && !s->options->work) hem__remove_tree(s->work, NULL);
  for (size_t i = 0; i < s->path_count; i++) free(s->paths[i]);
  free(s->paths);
  free(s->types);
  free(s->work);
  free(s->answers);
  free(s->recalls);
  free(s->times);
  hem__sweep_data_clear(&s->data);
}

static void choose_threads(hem__sweeping *s) {
  static const size_t usual[] = {1, 2};
  s->thread_count = s->options->thread_count ? s->options->thread_count : 2;
  memcpy(s->threads, s->options->thread_count ? s->options->threads : usual, s->thread_count * sizeof *s->threads);
}

hem_status hem__sweep_run(const hem__sweep_options *options, hem__sweep *out, hem_error *err) {
  hem__sweep made = {.rounds = options->rounds ? options->rounds : ROUNDS_DEFAULT};
  hem__sweeping s = {.options = options, .out = &made};
  int held = hem__omp_hold();
  choose_threads(&s);
  describe_machine(&made);
  hem_status status = check_names(options, err);
  if (!status) status = open_work(&s, err);
  if (!status) status = open_data(&s, err);
  if (!status) status = enter_all(&s, err);
  if (!status) status = build_all(&s, err);
  if (!status) status = hem__sweep_prepare(&s, err);
  if (!status) status = visit_all(&s, err);
  if (!status) status = hem__sweep_metric(&s, err);
  if (!status) status = hem__sweep_sum_up(&made, err);
  if (!status && !options->no_cold) status = hem__sweep_cold(&s, err);
  hem__omp_release(held);
  close_sweeping(&s);
  if (status)
    hem__sweep_clear(&made);
  else
    *out = made;
  return status;
}

hem_status hem__sweep_write_data(const hem__sweep_options *options, size_t neighbours, const char *path,
                                 hem_error *err) {
  hem__sweep made = {0};
  hem__sweeping s = {.options = options, .out = &made};
  hem_status status = open_work(&s, err);
  if (!status) status = open_data(&s, err);
  if (!status) status = hem__sweep_data_write(&s.data, neighbours, path, err);
  close_sweeping(&s);
  hem__sweep_clear(&made);
  return status;
}

void hem__sweep_clear(hem__sweep *s) {
  for (size_t i = 0; i < s->row_count; i++) {
    free(s->rows[i].rounds);
    free(s->rows[i].latencies);
  }
  free(s->rows);
  free(s->engines);
  free(s->points);
  free(s->name);
  *s = (hem__sweep){0};
}
