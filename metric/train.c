#include "metric/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/threads.h"
#include "metric/calibrate.h"
#include "metric/checkpoint.h"
#include "metric/inputs.h"
#include "metric/judge.h"
#include "metric/start.h"
#include "metric/surrogate.h"
#include "metric/train_plan.h"
#include "metric/watch.h"

/* Pairs that mining may always score in an epoch; batches between two reports. */
enum { MINED = 262144, REPORT_EACH = 32 };
static const double RATE_END = 0.02;

/* ---- a run ---- */

/* What a checkpoint keeps besides the arrays. */
typedef struct state {
  size_t seed, epoch, stale; /* seed from 1; epochs since the seed's best */
  size_t epoch_count, best;  /* of the history; which of it stayed */
  size_t turn;               /* of mine */
  uint64_t steps;            /* of the optimiser */
  hem__watched seed_best, all_best;
  hem__random random;
} state;

typedef struct run {
  const hem_train_options *options;
  hem__plan plan;
  hem__catalog *catalog;
  size_t space;
  hem__digest identity;
  hem__pairs pairs;
  hem__inputs inputs;
  float *points; /* of all photos; without a tower the inputs */
  hem__model model;
  hem__model_work *work, **works; /* for batches; for scores, one a thread */
  hem__optimiser optimiser;
  hem__mine mine;
  hem__watch watch;
  hem__lesson lesson;
  uint32_t *a, *b; /* of a batch */
  float *target;
  float *best, *best_scale; /* weights that stayed */
  hem_epoch *history;
  size_t history_room;
  state at;
  bool resumed;
} run;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void clear(run *r) {
  if (r->points != r->inputs.at) free(r->points);
  hem__pairs_clear(&r->pairs);
  hem__inputs_clear(&r->inputs);
  hem__model_clear(&r->model);
  hem__model_work_free(r->work);
  hem__scoring_work_free(r->works, r->plan.threads);
  hem__optimiser_clear(&r->optimiser);
  hem__mine_clear(&r->mine);
  hem__watch_clear(&r->watch);
  hem__lesson_clear(&r->lesson);
  free(r->a);
  free(r->b);
  free(r->target);
  free(r->best);
  free(r->best_scale);
  free(r->history);
}

static bool mines(const run *r) { return r->plan.loss == HEM__BCE && r->plan.negatives == HEM__HARD; }

/* ---- checkpoints ---- */

/* All that decides what comes out. */
static hem_status identify(run *r, bool ignore_marks, hem_error *err) {
  const hem_train_options *o = r->options;
  const hem__plan *p = &r->plan;
  hem__digest catalog = hem__catalog_identity(r->catalog);
  char hex[65], *text = NULL;
  hem__digest_hex(&catalog, hex);
  hem_status status = hem__print(
      &text, err, "%s %s %s %d %zu %zu %d %d %d %d %d %d %zu %zu %zu %zu %.17g %.17g %.17g %zu %llu %zu %zu %zu %d",
      hem_version(), hex, hem__catalog_space(r->catalog, r->space)->hash, p->form, p->hidden, p->tower, o->raw,
      o->free_sign, o->random_start, p->loss, p->negatives, p->optimiser, p->epochs, p->batch, p->patience, p->each,
      p->rate, o->weight_decay, o->dropout, p->seeds, (unsigned long long)o->seed, o->folds, o->fold, p->threads,
      ignore_marks);
  if (!status) r->identity = hem__sha256_of(text, strlen(text));
  free(text);
  return status;
}

enum { PARTS = 10 };

static size_t list_parts(run *r, hem__checkpoint_part parts[PARTS]) {
  size_t weights = r->model.count * sizeof(float), scale = r->model.width * sizeof(float), count = 0;
  size_t word = sizeof(uint32_t), queries = r->mine.queries; /* 0 where nothing is mined */
  const hem__checkpoint_part all[PARTS] = {{&r->at, sizeof r->at},
                                           {r->history, r->history_room * sizeof *r->history},
                                           {r->model.weights, weights},
                                           {r->model.scale, scale},
                                           {r->optimiser.mean, weights},
                                           {r->optimiser.square, weights},
                                           {r->best, weights},
                                           {r->best_scale, scale},
                                           {r->mine.hard, queries * HEM__MINE_HARD * word},
                                           {r->mine.hard_count, queries * word}};
  for (; count < PARTS; count++) parts[count] = all[count];
  return count;
}

static hem_status save(run *r, hem_error *err) {
  hem__checkpoint_part parts[PARTS];
  if (!r->options->checkpoint) return HEM_OK;
  r->at.turn = r->mine.turn;
  r->at.steps = r->optimiser.steps;
  return hem__checkpoint_write(r->options->checkpoint, &r->identity, parts, list_parts(r, parts), err);
}

static hem_status resume(run *r, hem_error *err) {
  hem__checkpoint_part parts[PARTS];
  hem_error none;
  if (!r->options->checkpoint) return HEM_OK;
  hem_status status = hem__checkpoint_read(r->options->checkpoint, &r->identity, parts, list_parts(r, parts), &none);
  if (status == HEM_ENOTFOUND) return HEM_OK;
  if (status) return hem__fail(err, none.code, "%s", none.message);
  r->mine.turn = r->at.turn;
  r->optimiser.steps = r->at.steps;
  r->resumed = true;
  if (r->model.tower) hem__model_project(&r->model, r->inputs.at, r->pairs.photo_count, r->points);
  for (size_t i = 0; i < r->at.epoch_count && r->options->on_epoch; i++)
    r->options->on_epoch(r->options->progress.context, &r->history[i]);
  return HEM_OK;
}

/* ---- setting up ---- */

/* Which start finds more of validation: the plain distance, or that with all dimensions alike? */
static hem_status choose_power(run *r, hem_error *err) {
  static const double powers[] = {1, 0};
  hem__form form = r->plan.form == HEM__WEIGHTED_L2 ? HEM__WEIGHTED_L2 : HEM__WEIGHTED_L1;
  hem__metric shape = {.form = form, .dim = r->inputs.dim};
  hem__model line = {0};
  hem__model_work **works = NULL;
  hem__start start = {.pairs = &r->pairs, .inputs = r->inputs.at, .points = r->inputs.at, .each = r->plan.each};
  hem__watched best = {0}, here;
  double power = 1, bent = 1;
  hem_status status = hem__model_new(&shape, &line, err);
  if (!status) status = hem__scoring_work_new(&line, r->pairs.photo_count, r->plan.threads, &works, err);
  for (size_t i = 0; i < sizeof powers / sizeof *powers && !status; i++) {
    hem__random random = hem__random_from(r->options->seed);
    if (powers[i] != bent) hem__inputs_bend(&r->inputs, bent = powers[i]);
    r->watch.known = false;
    hem__scoring scoring = {&line, r->inputs.at, works, r->plan.threads};
    status = hem__start_model(&start, &line, works[0], &random, err);
    if (!status) status = hem__watch_look(&r->watch, &r->pairs, &scoring, &here, err);
    if (!status && (i == 0 || hem__watched_better(here, best))) best = here, power = powers[i];
  }
  if (!status && power != bent) hem__inputs_bend(&r->inputs, power);
  r->watch.known = false;
  hem__scoring_work_free(works, r->plan.threads);
  hem__model_clear(&line);
  return status;
}

static hem_status alloc_run(run *r, hem_error *err) {
  const hem__plan *p = &r->plan;
  hem_status status = hem__model_work_new(&r->model, p->batch, r->pairs.photo_count, &r->work, err);
  if (!status) status = hem__scoring_work_new(&r->model, r->pairs.photo_count, p->threads, &r->works, err);
  r->optimiser = (hem__optimiser){.kind = p->optimiser, .rate = p->rate, .decay = r->options->weight_decay};
  r->history_room = p->seeds * (p->epochs + 1); /* both are bounded */
  if (!status) status = hem__optimiser_init(&r->optimiser, r->model.count, err);
  if (!status && mines(r)) status = hem__mine_init(&r->mine, &r->pairs, err);
  if (!status) status = hem__alloc(p->batch, sizeof *r->a, "a batch", &r->a, err);
  if (!status) status = hem__alloc(p->batch, sizeof *r->b, "a batch", &r->b, err);
  if (!status) status = hem__alloc(p->batch, sizeof *r->target, "a batch", &r->target, err);
  if (!status) status = hem__alloc(r->model.count, sizeof *r->best, "a model", &r->best, err);
  if (!status) status = hem__alloc(r->model.width, sizeof *r->best_scale, "a model", &r->best_scale, err);
  if (!status) status = hem__alloc(r->history_room, sizeof *r->history, "a history", &r->history, err);
  return status;
}

static hem_status set_up(run *r, bool ignore_marks, hem_error *err) {
  const hem_train_options *o = r->options;
  hem__split_rule rule = {.folds = o->folds, .fold = o->fold, .ignore_marks = ignore_marks};
  hem__random random = hem__random_from(o->seed);
  hem_status status = hem__pairs_new(hem__catalog_photos(r->catalog), &rule, &r->pairs, err);
  if (!status) status = identify(r, ignore_marks, err);
  if (!status)
    status = hem__inputs_new(r->catalog, r->space, &r->pairs, !o->raw, r->plan.tower > 0, &random, &r->inputs, err);
  if (!status) status = hem__watch_init(&r->watch, &r->pairs, err);
  hem__metric shape = {
      .form = r->plan.form, .dim = status ? 1 : r->inputs.dim, .tower = r->plan.tower, .hidden = r->plan.hidden};
  if (!status) status = hem__model_new(&shape, &r->model, err);
  size_t values;
  r->points = r->inputs.at;
  if (!status && r->plan.tower) {
    if (!hem__mul(r->pairs.photo_count, r->plan.tower, &values))
      return hem__fail(err, HEM_ENOMEM, "the tower is too large");
    status = hem__alloc(values, sizeof *r->points, "points", &r->points, err);
  }
  if (!status) status = alloc_run(r, err);
  if (!status && !r->plan.tower && !o->random_start) status = choose_power(r, err);
  return status ? status : resume(r, err);
}

/* ---- an epoch ---- */

static hem__scoring scoring_of(const run *r) { return (hem__scoring){&r->model, r->points, r->works, r->plan.threads}; }

static hem_status compose(run *r, hem_error *err) {
  const hem__plan *p = &r->plan;
  hem_status status = HEM_OK;
  if (p->loss == HEM__TRIPLET)
    return hem__lesson_blocks(&r->pairs, p->block, p->negatives == HEM__RANDOM, &r->at.random, &r->lesson, err);
  if (mines(r)) {
    hem__scoring scoring = scoring_of(r);
    hem__mine_job job = {&r->pairs, &scoring, hem__max(MINED, r->pairs.pair_count * (p->each + 1))};
    status = hem__mine_hard(&r->mine, &job, &r->at.random, err);
  }
  const hem__mine *mine = mines(r) ? &r->mine : NULL;
  if (status) return status;
  return hem__lesson_pairs(&r->pairs, p->negatives, p->each, mine, &r->at.random, &r->lesson, err);
}

/* No output weight above zero, where the metric is to be concave. */
static void project_signs(run *r) {
  if (r->plan.form == HEM__HEAD && r->options->free_sign) return;
  for (size_t i = 0; i < hem__model_outputs(&r->model); i++) r->model.w2[i] = fminf(r->model.w2[i], 0);
}

static hem__batch fill_batch(run *r, size_t from) {
  size_t count = hem__min(r->plan.batch, r->lesson.count - from);
  for (size_t i = 0; i < count; i++) {
    const struct hem__sample *sample = &r->lesson.at[from + i];
    r->a[i] = sample->a;
    r->b[i] = sample->b;
    r->target[i] = (float)sample->same;
  }
  return (hem__batch){.inputs = r->inputs.at,
                      .a = r->a,
                      .b = r->b,
                      .target = r->target,
                      .count = count,
                      .loss = r->plan.loss,
                      .block = r->plan.block,
                      .dropout = r->options->dropout,
                      .noise = hem__random_next(&r->at.random)};
}

/* From 1 down to nearly 0 along half a cosine (Loshchilov and Hutter 2017, without restarts). */
static double rate_at(const run *r, size_t done) {
  double epochs = (double)(r->at.epoch - 1) + (double)done / (double)r->lesson.count;
  return RATE_END + (1 - RATE_END) * 0.5 * (1 + cos(3.141592653589793 * epochs / (double)r->plan.epochs));
}

static hem_status learn(run *r, float *gradient, double *loss, hem_error *err) {
  char stage[48];
  snprintf(stage, sizeof stage, "epoch %zu", r->at.epoch);
  hem_status status = HEM_OK;
  double sum = 0;
  for (size_t from = 0, batches = 0; from < r->lesson.count && !status; from += r->plan.batch, batches++) {
    hem__batch batch = fill_batch(r, from);
    sum += hem__model_learn(&r->model, r->work, &batch, gradient) * (double)batch.count;
    hem__optimiser_step(&r->optimiser, r->model.weights, gradient, r->model.decayed, rate_at(r, from));
    project_signs(r);
    if (batches % REPORT_EACH == 0 || from + batch.count == r->lesson.count)
      status = hem__progress_report(&r->options->progress, stage, from + batch.count, r->lesson.count, "pairs", err);
  }
  *loss = sum / (double)r->lesson.count;
  return status;
}

/* Validation of the model as it is, and what follows from it. */
static hem_status look(run *r, double loss, double started, hem_error *err) {
  hem__watched here;
  state *s = &r->at;
  if (r->model.tower) hem__model_project(&r->model, r->inputs.at, r->pairs.photo_count, r->points);
  hem__scoring scoring = scoring_of(r);
  hem_status status = hem__watch_look(&r->watch, &r->pairs, &scoring, &here, err);
  if (status) return status;
  hem_epoch *epoch = &r->history[s->epoch_count];
  *epoch = (hem_epoch){s->seed, s->epoch, loss, here.accuracy, now() - started};
  if (s->epoch_count == 0 || hem__watched_better(here, s->all_best)) {
    s->all_best = here;
    s->best = s->epoch_count;
    memcpy(r->best, r->model.weights, r->model.count * sizeof *r->best);
    memcpy(r->best_scale, r->model.scale, r->model.width * sizeof *r->best_scale);
  }
  bool better = s->epoch == 0 || hem__watched_better(here, s->seed_best);
  if (better) s->seed_best = here;
  s->stale = better ? 0 : s->stale + 1;
  s->epoch_count++;
  if (r->options->on_epoch) r->options->on_epoch(r->options->progress.context, epoch);
  return save(r, err);
}

static hem_status begin_seed(run *r, hem_error *err) {
  double started = now();
  hem__start start = {.pairs = &r->pairs,
                      .inputs = r->inputs.at,
                      .points = r->points,
                      .each = r->plan.each,
                      .random = r->options->random_start};
  r->at.epoch = r->at.stale = 0;
  r->at.random = hem__random_from(r->options->seed * 1000003 + r->at.seed);
  hem__optimiser_restart(&r->optimiser);
  if (mines(r)) hem__mine_restart(&r->mine);
  hem_status status = hem__start_model(&start, &r->model, r->work, &r->at.random, err);
  if (status) return status;
  project_signs(r);
  return look(r, NAN, started, err);
}

static hem_status run_epoch(run *r, float *gradient, hem_error *err) {
  double started = now(), loss;
  r->at.epoch++;
  hem_status status = compose(r, err);
  if (!status) status = learn(r, gradient, &loss, err);
  return status ? status : look(r, loss, started, err);
}

/* Weights that are no longer numbers stay so: more epochs are of no use. */
static bool finished(const run *r) {
  const hem_epoch *last = &r->history[r->at.epoch_count - 1];
  return r->at.epoch >= r->plan.epochs || r->at.stale >= r->plan.patience || (r->at.epoch && !isfinite(last->loss));
}

static hem_status run_seeds(run *r, hem_error *err) {
  float *gradient = NULL;
  hem_status status = hem__alloc(r->model.count, sizeof *gradient, "a gradient", &gradient, err);
  if (!r->resumed) r->at.seed = 0;
  while (!status) {
    if (r->at.seed == 0 || finished(r)) {
      if (r->at.seed == r->plan.seeds) break;
      r->at.seed++;
      status = begin_seed(r, err);
    } else {
      status = run_epoch(r, gradient, err);
    }
  }
  free(gradient);
  return status;
}

/* ---- the metric ---- */

static hem_status describe(const run *r, hem__metric *m, hem_error *err) {
  static const char *const negatives[] = {"hard", "category", "random", "first"};
  const hem_train_options *o = r->options;
  const hem__space *space = hem__catalog_space(r->catalog, r->space);
  const hem_epoch *best = &r->history[r->at.best];
  char shape[96];
  snprintf(shape, sizeof shape, "weighted %s", m->form == HEM__WEIGHTED_L2 ? "L2" : "L1");
  if (m->form == HEM__HEAD)
    snprintf(shape, sizeof shape, "head of %zu units%s", m->hidden, o->free_sign ? ", free signs" : "");
  hem_status status = hem__strdup(space->name, &m->space, err);
  if (!status) status = hem__strdup(space->hash, &m->space_hash, err);
  if (!status) status = hem__strdup(space->features, &m->features, err);
  if (status) return status;
  char tower[32] = "";
  if (m->tower) snprintf(tower, sizeof tower, ", tower of %zu", m->tower);
  return hem__print(&m->about, err,
                    "%s%s; %s, %s negatives%s; %s %g, batch %zu, decay %g, dropout %g; seed %llu of %zu, epoch %zu of "
                    "%zu; %zu pairs of %zu items",
                    shape, tower, r->plan.loss == HEM__TRIPLET ? "triplet" : "bce",
                    r->plan.loss == HEM__TRIPLET ? "batch-hard" : negatives[r->plan.negatives],
                    o->random_start ? ", random start" : "", r->plan.optimiser == HEM__ADAM ? "adam" : "rmsprop",
                    r->plan.rate, r->plan.batch, o->weight_decay, o->dropout, (unsigned long long)o->seed, best->seed,
                    best->epoch, r->plan.epochs, r->pairs.pair_count, r->pairs.items[HEM__LEARN]);
}

static hem_status make_metric(run *r, hem__metric **out, hem_error *err) {
  hem__metric shape = {.form = r->plan.form,
                       .unit = !r->options->raw,
                       .dim = r->model.dim,
                       .tower = r->model.tower,
                       .hidden = r->model.hidden},
              *m = NULL;
  hem_status status = hem__metric_new(&shape, &m, err);
  if (!status) status = describe(r, m, err);
  if (status) {
    hem__metric_free(m);
    return status;
  }
  memcpy(r->model.weights, r->best, r->model.count * sizeof *r->best);
  memcpy(r->model.scale, r->best_scale, r->model.width * sizeof *r->best_scale);
  hem__inputs_fold(&r->inputs, &r->model, m);
  m->false_accept = r->options->false_accept > 0 ? r->options->false_accept : 0.05;
  m->seen = r->pairs.seen;
  m->seen_count = r->pairs.seen_count;
  r->pairs.seen = NULL;
  *out = m;
  return HEM_OK;
}

/* What validation says of the metric that stayed. */
static hem_status examine(const run *r, hem__metric *m, hem_error *err) {
  const hem__pairs *p = &r->pairs;
  hem__validation v = {.queries = p->row + p->queries[HEM__CHECK].first,
                       .query_count = p->queries[HEM__CHECK].count,
                       .gallery = p->row + p->shops[HEM__CHECK].first,
                       .gallery_count = p->shops[HEM__CHECK].count,
                       .threads = r->plan.threads,
                       .seed = r->options->seed};
  hem_status status = hem__progress_report(&r->options->progress, "judging", 0, v.query_count, "queries", err);
  if (!status) status = hem__surrogate_fit(m, r->catalog, r->space, &v, err);
  if (!status) status = hem__calibrate(m, r->catalog, r->space, &v, err);
  return status ? status : hem__judge(m, r->catalog, r->space, &v, &m->verdict, err);
}

hem_status hem__train(hem__catalog *catalog, const hem_train_options *options, bool ignore_marks, hem__training *out,
                      hem_error *err) {
  run r = {.options = options, .catalog = catalog};
  hem__metric *metric = NULL;
  hem_status status = hem__catalog_find_space(catalog, options->space, &r.space, err);
  if (!status) status = hem__plan_make(options, hem__catalog_space(catalog, r.space)->dim, &r.plan, err);
  if (status) return status;
  int held = hem__omp_use(r.plan.threads);
  status = set_up(&r, ignore_marks, err);
  if (!status) status = run_seeds(&r, err);
  if (!status) status = make_metric(&r, &metric, err);
  hem__omp_release(held);
  if (!status) status = examine(&r, metric, err);
  if (status) {
    hem__metric_free(metric);
  } else {
    *out = (hem__training){.metric = metric,
                           .epochs = r.history,
                           .epoch_count = r.at.epoch_count,
                           .best = r.at.best,
                           .train_items = r.pairs.items[HEM__LEARN],
                           .train_pairs = r.pairs.pair_count,
                           .validation_items = r.pairs.items[HEM__CHECK],
                           .validation_queries = r.pairs.queries[HEM__CHECK].count,
                           .test_items = r.pairs.test_items};
    r.history = NULL;
  }
  clear(&r);
  return status;
}

void hem__training_clear(hem__training *t) {
  hem__metric_free(t->metric);
  free(t->epochs);
  *t = (hem__training){0};
}
