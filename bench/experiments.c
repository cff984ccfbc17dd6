#include "bench/experiments.h"

#include <stdlib.h>
#include <string.h>

#include "metric/judge.h"
#include "metric/split.h"

enum { FOLDS = 5, PLAIN = HEM__SIAMESE, TOP_20 = 3 };

const char *const hem__matchers[HEM__MATCHERS] = {"L1", "L2", "cosine", "Siamese"};

typedef struct run {
  hem__catalog *catalog;
  const hem__photos *photos;
  hem__experiments_options options;
  hem__experiments out;
  uint32_t *gallery; /* rows of the catalogue */
  size_t gallery_count;
  hem__accuracy_options accuracy;
  size_t categories; /* "all" among them */
} run;

/* ---- plain distances ---- */

/* All features of the space together: the last of its approaches. */
static const hem__accuracy_row *plain_row(const hem__accuracy *a, size_t category, size_t matcher) {
  return &a->rows[(category + 1) * a->query_values - PLAIN + matcher];
}

static hem_status keep_queries(run *r, const hem__accuracy *a, hem_error *err) {
  hem__set items = {0};
  hem_status status = hem__alloc(a->query_count, sizeof *r->out.query_rows, "queries", &r->out.query_rows, err);
  if (status) return status;
  r->out.query_count = a->query_count;
  memcpy(r->out.query_rows, a->query_rows, a->query_count * sizeof *a->query_rows);
  for (size_t i = 0; i < a->query_count && !status; i++) {
    size_t number;
    status = hem__set_add(&items, r->photos->at[a->query_rows[i]].item_id, &number, err);
  }
  r->out.items = items.count;
  hem__set_clear(&items);
  r->categories = a->row_count / a->query_values;
  r->out.row_count = r->categories * r->out.count * HEM__MATCHERS;
  return status ? status : hem__alloc(r->out.row_count, sizeof *r->out.rows, "accuracy", &r->out.rows, err);
}

static hem__experiment_row *row_of(const run *r, size_t category, size_t experiment, size_t matcher) {
  return &r->out.rows[(category * r->out.count + experiment) * HEM__MATCHERS + matcher];
}

/* The Siamese's line starts as a copy too: queries, gallery and chance are the same. */
static void keep_rows(run *r, const hem__accuracy *a, size_t experiment) {
  for (size_t c = 0; c < r->categories; c++)
    for (size_t m = 0; m < HEM__MATCHERS; m++) {
      const hem__accuracy_row *from = plain_row(a, c, hem__min(m, PLAIN - 1));
      hem__experiment_row *to = row_of(r, c, experiment, m);
      *to = (hem__experiment_row){.category = from->category,
                                  .experiment = experiment,
                                  .matcher = m,
                                  .queries = from->queries,
                                  .without = from->without,
                                  .gallery = from->gallery};
      memcpy(to->chance, from->chance, sizeof to->chance);
      if (m < PLAIN) memcpy(to->right, from->right, sizeof to->right);
    }
}

static hem_status measure_plain(run *r, size_t experiment, hem_error *err) {
  hem__experiment *e = &r->out.at[experiment];
  hem__accuracy a = {0};
  r->accuracy.space = e->space;
  hem_status status = hem__accuracy_measure(r->catalog, &r->accuracy, &a, err);
  if (!status && !r->out.query_rows) status = keep_queries(r, &a, err);
  for (size_t m = 0; m < HEM__MATCHERS && !status; m++)
    status = hem__alloc(a.query_count, sizeof **e->ranks, "ranks", &e->ranks[m], err);
  for (size_t m = 0; m < PLAIN && !status; m++)
    for (size_t q = 0; q < a.query_count; q++) e->ranks[m][q] = a.query_ranks[(q + 1) * a.query_values - PLAIN + m];
  if (!status) keep_rows(r, &a, experiment);
  hem__accuracy_clear(&a);
  return status;
}

/* ---- the metric ---- */

static hem__split_rule rule_of(const hem__experiments *x, size_t fold) {
  return (hem__split_rule){.folds = x->marked ? 0 : x->folds, .fold = fold, .ignore_marks = !x->marked};
}

static bool is_asked(const hem__experiments *x, const hem__photos *photos, size_t row, size_t fold) {
  hem__split_rule rule = rule_of(x, fold);
  return hem__split_of(photos, row, &rule, x->marked) == HEM__TEST;
}

const hem__metric *hem__experiments_metric(const hem__experiments *x, const hem__photos *photos, size_t experiment,
                                           size_t row) {
  size_t fold = 0;
  while (fold + 1 < x->folds && !is_asked(x, photos, row, fold)) fold++;
  return x->at[experiment].training[fold].metric;
}

/* Two parts of a diagram over the same bins. */
static void add_reliability(hem__reliability *to, const hem__reliability *from) {
  to->count += from->count;
  to->error = 0;
  for (size_t i = 0; i < HEM__RELIABILITY_BINS; i++) {
    hem__reliability_bin *a = &to->bins[i];
    const hem__reliability_bin *b = &from->bins[i];
    double mine = (double)a->count, theirs = (double)b->count, both = mine + theirs;
    if (both == 0) continue;
    a->mean = (a->mean * mine + b->mean * theirs) / both;
    a->rate = (a->rate * mine + b->rate * theirs) / both;
    a->count += b->count;
    to->error += both / (double)to->count * (a->mean > a->rate ? a->mean - a->rate : a->rate - a->mean);
  }
}

static void add_trust(hem__trust *to, const hem__trust *from) {
  add_reliability(&to->shown, &from->shown);
  to->strangers += from->strangers;
  to->false_accepts += from->false_accepts;
  to->answerable += from->answerable;
  to->false_rejects += from->false_rejects;
}

/* The queries of a fold: `rows` of the catalogue, and their places among all. */
typedef struct asked {
  uint32_t *rows, *ranks;
  size_t *places, count;
} asked;

static hem_status ask(run *r, size_t experiment, size_t fold, asked *a, hem_error *err) {
  hem__experiment *e = &r->out.at[experiment];
  const hem__metric *metric = e->training[fold].metric;
  hem__trust trust;
  a->count = 0;
  for (size_t q = 0; q < r->out.query_count; q++) {
    if (!is_asked(&r->out, r->photos, r->out.query_rows[q], fold)) continue;
    a->places[a->count] = q;
    a->rows[a->count++] = (uint32_t)r->out.query_rows[q];
  }
  if (a->count == 0) return HEM_OK;
  hem__validation v = {.queries = a->rows,
                       .query_count = a->count,
                       .gallery = r->gallery,
                       .gallery_count = r->gallery_count,
                       .threads = r->options.train.threads,
                       .seed = r->options.train.seed};
  hem__ranker by = {.metric = metric, .catalog = r->catalog, .space = e->space};
  hem_status status = hem__rank_queries(&by, &v, a->ranks, err);
  if (!status) status = hem__trust_measure(metric, r->catalog, e->space, &v, &trust, err);
  if (status) return status;
  for (size_t i = 0; i < a->count; i++) e->ranks[HEM__SIAMESE][a->places[i]] = a->ranks[i];
  add_trust(&e->trust, &trust);
  return HEM_OK;
}

static hem_status train_and_ask(run *r, size_t experiment, hem_error *err) {
  hem__experiment *e = &r->out.at[experiment];
  asked a = {0};
  size_t count = r->out.query_count;
  hem_status status = hem__alloc(count, sizeof *a.rows, "queries", &a.rows, err);
  if (!status) status = hem__alloc(count, sizeof *a.ranks, "queries", &a.ranks, err);
  if (!status) status = hem__alloc(count, sizeof *a.places, "queries", &a.places, err);
  for (size_t fold = 0; fold < r->out.folds && !status; fold++) {
    hem_train_options o = r->options.train;
    o.size = sizeof o;
    o.space = e->name;
    o.fold = r->out.marked ? 0 : fold;
    o.folds = r->out.marked ? 0 : r->out.folds;
    o.checkpoint = NULL;
    o.progress = r->options.progress;
    status = hem__train(r->catalog, &o, !r->out.marked, &e->training[fold], err);
    if (!status) status = ask(r, experiment, fold, &a, err);
  }
  free(a.rows);
  free(a.ranks);
  free(a.places);
  return status;
}

/* ---- counting ---- */

static bool right(uint32_t rank) { return rank && rank <= hem__cuts[TOP_20]; }

/* Queries stand category by category, as the rows do. */
static void count_siamese(run *r, size_t experiment) {
  const hem__experiment *e = &r->out.at[experiment];
  for (size_t q = 0; q < r->out.query_count; q++) {
    const char *name = r->photos->at[r->out.query_rows[q]].category;
    for (size_t c = 0; c < r->categories; c++) {
      hem__experiment_row *row = row_of(r, c, experiment, HEM__SIAMESE);
      bool all = c + 1 == r->categories;
      if (!all && strcmp(row->category, name) != 0) continue;
      for (size_t i = 0; i < HEM__CUTS; i++)
        row->right[i] += e->ranks[HEM__SIAMESE][q] && e->ranks[HEM__SIAMESE][q] <= hem__cuts[i];
    }
  }
}

static hem_status measure_gain(run *r, size_t experiment, hem_error *err) {
  hem__experiment *e = &r->out.at[experiment];
  const hem__experiment_row *all = row_of(r, r->categories - 1, experiment, 0);
  hem__set items = {0};
  double *sums = NULL;
  uint64_t *counts = NULL;
  for (size_t m = 1; m < PLAIN; m++)
    if (all[m].right[TOP_20] > all[e->plain].right[TOP_20]) e->plain = m;
  hem_status status = hem__alloc(r->out.items, sizeof *sums, "items", &sums, err);
  if (!status) status = hem__alloc(r->out.items, sizeof *counts, "items", &counts, err);
  for (size_t q = 0; q < r->out.query_count && !status; q++) {
    size_t item;
    status = hem__set_add(&items, r->photos->at[r->out.query_rows[q]].item_id, &item, err);
    if (status || !e->ranks[e->plain][q]) continue;
    sums[item] += right(e->ranks[HEM__SIAMESE][q]) - right(e->ranks[e->plain][q]);
    counts[item]++;
  }
  hem__clustered differences = {.sums = sums, .counts = counts, .clusters = r->out.items};
  if (!status) hem__clustered_interval(&differences, &e->gain, &e->gain_low, &e->gain_high);
  hem__set_clear(&items);
  free(sums);
  free(counts);
  return status;
}

static void find_best(run *r) {
  for (size_t i = r->out.row_count - r->out.count * HEM__MATCHERS; i < r->out.row_count; i++)
    if (!r->out.best || r->out.rows[i].right[TOP_20] > r->out.best->right[TOP_20]) r->out.best = &r->out.rows[i];
}

/* ---- the run ---- */

static hem_status choose_spaces(run *r, hem_error *err) {
  size_t all = hem__catalog_space_count(r->catalog), only = 0;
  hem_status status = r->options.space ? hem__catalog_find_space(r->catalog, r->options.space, &only, err) : HEM_OK;
  if (!status) status = hem__alloc(all, sizeof *r->out.at, "experiments", &r->out.at, err);
  for (size_t i = 0; i < all && !status; i++) {
    const hem__space *space = hem__catalog_space(r->catalog, i);
    if (r->options.space && i != only) continue;
    r->out.at[r->out.count++] = (hem__experiment){
        .space = i,
        .name = space->name,
        .network = strstr(space->features, "onnx:") != NULL || strstr(space->features, "hemnet") != NULL};
  }
  return status;
}

static hem_status list_gallery(run *r, hem_error *err) {
  size_t customers = 0;
  hem_status status = hem__alloc(r->photos->count, sizeof *r->gallery, "the gallery", &r->gallery, err);
  for (size_t i = 0; i < r->photos->count && !status; i++) {
    customers += r->photos->at[i].domain == HEM__CONSUMER;
    if (hem__accuracy_in_gallery(&r->accuracy, &r->photos->at[i])) r->gallery[r->gallery_count++] = (uint32_t)i;
  }
  if (status || customers) return status;
  return hem__fail(err, HEM_ENOTFOUND,
                   "%s has no customers' photos to ask with: `hemline views` makes pictures to practise with",
                   hem__catalog_path(r->catalog));
}

static hem_status prepare(run *r, hem_error *err) {
  size_t folds = r->options.train.folds ? r->options.train.folds : FOLDS;
  if (folds < 3 || folds > HEM__FOLDS_MAX)
    return hem__fail(err, HEM_EINVAL, "%zu folds: there are 3 (to train, to validate, to test) to %d", folds,
                     HEM__FOLDS_MAX);
  r->out.marked = hem__split_marked(r->photos);
  r->out.folds = r->out.marked ? 1 : folds;
  r->accuracy = (hem__accuracy_options){.match = HEM__MATCH_ITEM,
                                        .query_split = r->out.marked ? HEM__TEST : -1,
                                        .gallery_split = r->options.gallery_split,
                                        .query_limit = r->options.query_limit,
                                        .threads = r->options.train.threads,
                                        .progress = r->options.progress};
  hem_status status = choose_spaces(r, err);
  return status ? status : list_gallery(r, err);
}

hem_status hem__experiments_run(hem__catalog *catalog, const hem__experiments_options *options, hem__experiments *out,
                                hem_error *err) {
  run r = {.catalog = catalog, .photos = hem__catalog_photos(catalog), .options = *options};
  hem_status status = prepare(&r, err);
  for (size_t i = 0; i < r.out.count && !status; i++) status = measure_plain(&r, i, err);
  for (size_t i = 0; i < r.out.count && !status; i++) {
    status = train_and_ask(&r, i, err);
    if (!status) count_siamese(&r, i);
    if (!status) status = measure_gain(&r, i, err);
  }
  free(r.gallery);
  if (status) {
    hem__experiments_clear(&r.out);
    return status;
  }
  find_best(&r);
  *out = r.out;
  return HEM_OK;
}

void hem__experiments_clear(hem__experiments *x) {
  for (size_t i = 0; i < x->count; i++) {
    for (size_t m = 0; m < HEM__MATCHERS; m++) free(x->at[i].ranks[m]);
    for (size_t fold = 0; fold < x->folds; fold++) hem__training_clear(&x->at[i].training[fold]);
  }
  free(x->at);
  free(x->query_rows);
  free(x->rows);
  *x = (hem__experiments){0};
}
