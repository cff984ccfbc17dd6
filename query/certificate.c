/* hem_index, and what it says of a generation with a metric before it is published: how many candidates are scored, and
 * how much of the exhaustive answer the default answer then holds (the certificate).
 *
 * Queries are sampled from photos that the metric never learned from. One half chooses the number of candidates of each
 * category, the smallest of a ladder that keeps enough of the exhaustive top 20; the other half measures, through the
 * very path that answers customers. So the figure is not that of the queries it was tuned on. The interval takes each
 * of the 20 places of each query as one trial. */
#include <math.h>
#include <stdlib.h>

#include "base/interval.h"
#include "base/threads.h"
#include "index/build.h"
#include "query/tune.h"

enum { QUERIES = 500, QUERIES_LEAST = 100, RERANK_LEAST = 32, RERANK_MOST = 4096, THIN = 50, RERANK_THIN = 256 };

static const double WORK = 2e13;       /* multiplications that the exhaustive truth may take: minutes on one core */
static const double PLAIN_WORK = 4e12; /* likewise without a metric, where they are distances */
static const double KEEP = 0.993;      /* aimed at, so that the other half is likely to keep 0.99 */
static const double NEARLY = 0.001;    /* where nothing keeps so much: as good as what keeps most */

typedef struct trial {
  hem__trial *of;
  hem_engine *engine;
  hem__sample *samples;
  size_t sample_count;
  uint8_t *half; /* of each sample, by turns in its own category: 0 tunes, 1 measures */
  hem__truth truth;
  size_t threads;
} trial;

/* ---- asking many queries ---- */

/* What a set of queries is asked, and what it gave. */
typedef struct tally {
  uint64_t right, total, queries;
} tally;

typedef struct run {
  const trial *t;
  const size_t *asked; /* numbers of samples */
  bool all;            /* all categories together, not the query's own */
  bool exact;
  hem_searcher **searchers; /* one for each worker */
  size_t *right;            /* of each query */
  hem_error *errors;        /* of each worker: the last */
} run;

static hem_status ask(const run *r, hem_searcher *searcher, size_t sample, size_t *right, hem_error *err) {
  const hem__truth *truth = &r->t->truth;
  const hem__sample *s = &truth->samples[sample];
  const char *category = r->t->engine->categories[s->category].shared.name;
  hem_search_options o = {.size = sizeof o,
                          .k = HEM__TRUTH_K,
                          .categories = r->all ? NULL : &category,
                          .category_count = !r->all,
                          .exact = r->exact,
                          .leave_out = s->leave_out,
                          .leave_out_row = s->row};
  hem_answer answer;
  hem_status status =
      hem_search(searcher, hem__row(truth->embeddings, s->row), truth->embeddings.dim, &o, &answer, err);
  return status ? status : hem__truth_overlap(truth, sample, r->all, &answer, right, err);
}

static void ask_one(void *context, size_t i, size_t worker) {
  const run *r = context;
  hem_error err;
  if (ask(r, r->searchers[worker], r->asked[i], &r->right[i], &err)) r->errors[worker] = err;
}

static hem_status ask_all(run *r, size_t count, tally *out, hem_error *err) {
  const trial *t = r->t;
  size_t threads = hem__min(t->threads, hem__max(count, 1));
  hem_status status = hem__alloc(threads, sizeof(hem_searcher *), "searchers", &r->searchers, err);
  if (!status) status = hem__alloc(threads, sizeof *r->errors, "searchers", &r->errors, err);
  if (!status) status = hem__alloc(count, sizeof *r->right, "answers", &r->right, err);
  for (size_t i = 0; i < threads && !status; i++) status = hem_searcher_new(t->engine, &r->searchers[i], err);
  if (!status) status = hem__parallel_for(count, threads, ask_one, r, err);
  for (size_t i = 0; i < threads && !status; i++)
    if (r->errors[i].code) status = hem__fail(err, r->errors[i].code, "%s", r->errors[i].message);
  *out = (tally){.queries = count};
  for (size_t i = 0; i < count && !status; i++) {
    const hem__truth *truth = &t->truth;
    out->right += r->right[i];
    out->total += (r->all ? truth->all : truth->own)[r->asked[i]].count;
  }
  for (size_t i = 0; r->searchers && i < threads; i++) hem_searcher_free(r->searchers[i]);
  free(r->searchers);
  free(r->errors);
  free(r->right);
  return status;
}

static double overlap(const tally *t) { return t->total ? (double)t->right / (double)t->total : 1; }

static hem_certificate certify(const tally *t, size_t items) {
  hem_certificate c = {.queries = t->queries, .k = (uint32_t)hem__min(items, HEM__TRUTH_K), .overlap = overlap(t)};
  if (t->total == 0) return (hem_certificate){0};
  hem__clopper_pearson(t->right, t->total, &c.low, &c.high);
  c.low = fmin(c.low, c.overlap);
  c.high = fmax(c.high, c.overlap);
  return c;
}

static hem_status halve(trial *t, hem_error *err) {
  size_t *met = NULL;
  hem_status status = hem__alloc(t->engine->category_count, sizeof *met, "categories", &met, err);
  if (!status) status = hem__alloc(t->sample_count, sizeof *t->half, "queries", &t->half, err);
  for (size_t i = 0; i < t->sample_count && !status; i++) t->half[i] = met[t->samples[i].category]++ % 2;
  free(met);
  return status;
}

/* Samples of a category (SIZE_MAX: of all) that lie in this half. */
static size_t pick(const trial *t, size_t category, size_t half, size_t *out) {
  size_t count = 0;
  for (size_t i = 0; i < t->sample_count; i++)
    if ((category == SIZE_MAX || t->samples[i].category == category) && t->half[i] == half) out[count++] = i;
  return count;
}

/* ---- how many candidates ---- */

static void set_rerank(trial *t, size_t number, uint32_t rerank) {
  t->of->manifest->categories[number].rerank = rerank;
  t->engine->categories[number].shared.rerank = rerank;
}

/* The smallest of the ladder that keeps enough: what is promised, or what the precision of the points lets the exact
 * answer keep; where none does, the smallest that is as good as the best. A graph loses few queries, but those wholly:
 * where few are asked, they may meet none of these, and the ladder begins higher. */
static hem_status climb(trial *t, size_t number, const size_t *asked, size_t count, uint32_t *out, hem_error *err) {
  enum { STEPS = 16 };
  size_t most = hem__min(t->engine->categories[number].shared.vectors.rows, RERANK_MOST), steps = 0, chosen = 0;
  double kept[STEPS] = {0}, best = 0;
  uint32_t tried[STEPS];
  tally got;
  run asking = {.t = t, .asked = asked, .exact = true};
  hem_status status = ask_all(&asking, count, &got, err);
  double enough = fmin(KEEP, overlap(&got) - NEARLY);
  asking.exact = false;
  for (size_t r = count < THIN ? RERANK_THIN : RERANK_LEAST; !status; r *= 2) {
    tried[steps] = (uint32_t)hem__min(r, most);
    set_rerank(t, number, tried[steps]);
    status = ask_all(&asking, count, &got, err);
    kept[steps] = overlap(&got);
    best = fmax(best, kept[steps++]);
    if (best >= enough || r >= most) break;
  }
  if (status) return status;
  if (best < enough) enough = best - NEARLY;
  while (kept[chosen] < enough) chosen++;
  *out = tried[chosen];
  return HEM_OK;
}

/* A category that nobody asked for gets what the hardest of the others needs. */
static hem_status choose_rerank(trial *t, size_t *asked, hem_error *err) {
  const hem__manifest *m = t->of->manifest;
  uint32_t largest = 0;
  hem_status status = HEM_OK;
  if (t->of->options->rerank) return HEM_OK;
  for (size_t c = 0; c < m->category_count && !status; c++) {
    uint32_t rerank = 0;
    size_t count = pick(t, c, 0, asked);
    if (count) status = climb(t, c, asked, count, &rerank, err);
    set_rerank(t, c, rerank);
    largest = rerank > largest ? rerank : largest;
  }
  for (size_t c = 0; c < m->category_count && !status; c++)
    if (m->categories[c].rerank == 0)
      set_rerank(t, c, (uint32_t)hem__min(largest ? largest : RERANK_MOST, m->categories[c].photos));
  return status;
}

/* ---- the certificate ---- */

static hem_status measure(trial *t, size_t *asked, hem_error *err) {
  hem__manifest *m = t->of->manifest;
  tally got;
  run all = {.t = t, .asked = asked, .all = true};
  size_t items = t->engine->gallery.items, count = pick(t, SIZE_MAX, 1, asked);
  hem_status status = ask_all(&all, count, &got, err);
  if (!status) m->metric.certificate = certify(&got, items);
  for (size_t c = 0; c < m->category_count && !status && !hem__index_tunes(t->of->options); c++) { /* else promised */
    run own = {.t = t, .asked = asked};
    count = pick(t, c, 1, asked);
    status = ask_all(&own, count, &got, err);
    if (!status) m->categories[c].certificate = certify(&got, hem__min(items, m->categories[c].photos));
  }
  return status;
}

/* ---- the trial ---- */

hem_status hem__trial_open(const hem__trial *of, hem_engine **out, hem_error *err) {
  hem__generation g = {0};
  char *json = NULL;
  size_t size;
  hem_status status = hem__manifest_print(of->manifest, &json, &size, err);
  if (!status) status = hem__manifest_parse(json, size, "manifest.json", &g.manifest, err);
  if (!status) status = hem__strdup(of->folder, &g.folder, err);
  free(json);
  if (!status) return hem__engine_open(&g, NULL, out, err);
  hem__generation_close(&g);
  return status;
}

/* Bytes that lose too much become half floats, unless bytes were asked for. The exact answer says it, in which
 * candidates have no part. What is aimed at must be within reach: candidates will lose something, too. */
static hem_status check_precision(trial *t, size_t *asked, hem_error *err) {
  tally got;
  run exact = {.t = t, .asked = asked, .exact = true};
  if (t->of->options->precision) return HEM_OK;
  hem_status status = ask_all(&exact, pick(t, SIZE_MAX, 0, asked), &got, err);
  if (status || overlap(&got) >= KEEP) return status;
  hem_engine_close(t->engine);
  t->truth.engine = t->engine = NULL;
  status = t->of->use_halves(t->of->context, err);
  if (!status) status = hem__trial_open(t->of, &t->engine, err);
  t->truth.engine = t->engine;
  return status;
}

/* The engine is then that of the settings that were chosen. */
static hem_status tune(trial *t, hem__matrix embeddings, hem_error *err) {
  hem__quiz quiz = {.embeddings = embeddings, .samples = t->samples, .count = t->sample_count, .truth = &t->truth};
  hem_status status = hem__tune(t->of, &quiz, err);
  if (status) return status;
  hem_engine_close(t->engine);
  t->truth.engine = t->engine = NULL;
  status = hem__trial_open(t->of, &t->engine, err);
  t->truth.engine = t->engine;
  return status;
}

static size_t query_limit(const hem__trial *of, size_t photos) {
  double each = (double)photos * (double)of->metric->width * (double)hem__max(of->metric->hidden, 1);
  return (size_t)fmax(fmin(WORK / each, QUERIES), QUERIES_LEAST);
}

/* Of each category, so that their truth stays within `work` multiplications, but for so few that nothing could be
 * shown. */
static size_t each_limit(const hem_engine *engine, double work, double photo, size_t most) {
  enum { TELLING = 300 };
  double photos = 0;
  for (size_t i = 0; i < engine->category_count; i++) {
    double here = (double)engine->categories[i].shared.vectors.rows;
    photos = engine->learned.metric ? photos + (double)engine->gallery.photos : photos + here;
  }
  return (size_t)fmax(fmin(work / fmax(photos * photo, 1), (double)most), TELLING);
}

/* With a metric. */
static hem_status certify_generation(hem__trial *of, hem_error *err) {
  trial t = {.of = of, .threads = of->options->threads ? of->options->threads : hem__cores()};
  hem__truth_options how = {.threads = t.threads, .progress = of->options->progress};
  hem__matrix embeddings = hem__catalog_matrix(of->catalog, of->space);
  size_t *asked = NULL;
  bool tuned = hem__index_tunes(of->options);
  hem_status status = hem__trial_open(of, &t.engine, err);
  size_t limit = status ? 0 : query_limit(of, t.engine->gallery.photos);
  if (!status && tuned)
    status = hem__samples_each(t.engine, of->catalog, embeddings,
                               each_limit(t.engine, WORK, (double)(of->metric->width * hem__max(of->metric->hidden, 1)),
                                          HEM__TUNE_QUERIES_SCORED),
                               &t.samples, &t.sample_count, err);
  if (!status && !tuned)
    status = hem__samples_choose(t.engine, of->catalog, embeddings, limit, &t.samples, &t.sample_count, err);
  if (!status) status = hem__alloc(t.sample_count, sizeof *asked, "queries", &asked, err);
  if (!status) status = halve(&t, err);
  if (!status) status = hem__truth_find(t.engine, embeddings, t.samples, t.sample_count, &how, &t.truth, err);
  if (!status) status = check_precision(&t, asked, err);
  if (!status && tuned) status = tune(&t, embeddings, err);
  if (!status && !tuned) status = choose_rerank(&t, asked, err);
  if (!status) status = measure(&t, asked, err);
  hem__truth_clear(&t.truth);
  free(t.samples);
  free(t.half);
  free(asked);
  hem_engine_close(t.engine);
  return status;
}

/* Without one, the nearest photos are what is right. */
static hem_status tune_plain(hem__trial *of, hem_error *err) {
  hem_engine *engine = NULL;
  hem__matrix embeddings = hem__catalog_matrix(of->catalog, of->space);
  hem__sample *samples = NULL;
  hem__quiz quiz = {0};
  size_t count = 0;
  hem_status status = hem__trial_open(of, &engine, err);
  if (!status)
    status = hem__samples_each(engine, of->catalog, embeddings,
                               each_limit(engine, PLAIN_WORK, (double)embeddings.dim, HEM__TUNE_QUERIES), &samples,
                               &count, err);
  if (!status) status = hem__quiz_find(engine, embeddings, samples, count, of->options->threads, &quiz, err);
  if (!status) status = hem__tune(of, &quiz, err);
  hem__quiz_clear(&quiz);
  free(samples);
  hem_engine_close(engine);
  return status;
}

static hem_status try_out(hem__trial *of, hem_error *err) {
  return of->metric ? certify_generation(of, err) : tune_plain(of, err);
}

hem_status hem_index(const hem_index_options *options, hem_error *err) { return hem__index(options, try_out, err); }
