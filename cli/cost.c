/* hemline cost: what a recall would cost in a store that was tuned. Answers from what was tried when it was built. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plot.h"
#include "cli/tuned.h"

enum { OPT_RECALL = 256, OPT_LATENCY, OPT_MEMORY, OPT_JSON, OPT_PLOT, OPT_ALL };

typedef struct cost_arguments {
  const char *store, *category, *plot;
  hem__tuned_limits limits; /* bytes: of the store */
  bool json, all;
} cost_arguments;

static const char doc[] =
    "Say what a recall costs, or what recall is to be had, in a STORE that was tuned when it was built "
    "('hemline index --target-recall' and the like). Nothing is run: the answer is what was measured then, of settings "
    "that were tried; nothing is guessed between them.\v"
    "A setting is named only where its recall is sure: where the lower end of its interval (95%, one-sided) reaches "
    "R. The table shows the settings that no other one beats in recall, time and memory at once, by recall; '*' marks "
    "the one that serves.\n\n"
    "Times are medians and 99th percentiles of one query on one thread, with everything in memory, on the machine that "
    "built the store. Memory is what every search walks through: indices, vectors that they are compared with, and "
    "points of a metric. Vectors that are only looked up to refine an answer are not counted.\n\n"
    "Exit status is 1 where no setting that was tried meets the limits.\n\n"
    "Examples:\n"
    "  hemline cost shop.store\n"
    "  hemline cost shop.store --recall 0.999\n"
    "  hemline cost shop.store --latency 200 --category dress --plot dress.svg";

static const struct argp_option options[] = {
    {"recall", OPT_RECALL, "R", 0, "The cheapest setting with this recall, 0..1", 0},
    {"latency", OPT_LATENCY, "US", 0, "... that takes no more microseconds", 0},
    {"memory", OPT_MEMORY, "BYTES", 0, "... and no more memory, of all categories (800M, 2G)", 0},
    {"category", 'c', "NAME", 0, "Only this category", 0},
    {"all", OPT_ALL, NULL, 0, "Show all settings that were tried", 0},
    {"json", OPT_JSON, NULL, 0, "Answer as JSON, with all settings", 0},
    {"plot", OPT_PLOT, "FILE.svg", 0, "Draw time against recall: of each category, or of one category's kinds", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  cost_arguments *a = state->input;
  switch (key) {
    case OPT_RECALL:
      a->limits.recall = cli_share(state, text, "--recall");
      break;
    case OPT_LATENCY:
      a->limits.latency_us = (double)cli_number(state, text, "--latency", UINT32_MAX);
      break;
    case OPT_MEMORY:
      a->limits.bytes = cli_bytes(state, text, "--memory");
      break;
    case 'c':
      a->category = text;
      break;
    case OPT_ALL:
      a->all = true;
      break;
    case OPT_JSON:
      a->json = true;
      break;
    case OPT_PLOT:
      a->plot = text;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &a->store, text, "store");
      break;
    case ARGP_KEY_END:
      if (!a->store) argp_error(state, "name the STORE");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

static bool is_limited(const hem__tuned_limits *l) { return l->recall > 0 || l->latency_us > 0 || l->bytes; }

/* ---- what is known of one category ---- */

typedef struct view {
  const hem__tuned_category *of;
  hem__tuned_limits limits; /* bytes: its share */
  size_t *order;            /* points by recall, then time */
  bool *front;
  size_t cheapest; /* SIZE_MAX: nothing that was tried */
} view;

static int by_recall(const void *a, const void *b, void *context) {
  const hem__tuned_point *points = context, *x = &points[*(const size_t *)a], *y = &points[*(const size_t *)b];
  if (x->recall != y->recall) return x->recall < y->recall ? -1 : 1;
  if (x->median_us != y->median_us) return x->median_us < y->median_us ? -1 : 1;
  return (x > y) - (x < y);
}

static hem_status look(const hem__tuned_category *c, const hem__tuned_limits *limits, view *out, hem_error *err) {
  *out = (view){.of = c, .limits = *limits};
  hem_status status = hem__alloc(c->count, sizeof *out->order, "settings", &out->order, err);
  if (!status) status = hem__alloc(c->count, sizeof *out->front, "settings", &out->front, err);
  if (status) return status;
  for (size_t i = 0; i < c->count; i++) out->order[i] = i;
  qsort_r(out->order, c->count, sizeof *out->order, by_recall, c->points);
  hem__tuning_front(c->points, c->count, out->front);
  out->cheapest = hem__tuning_choose(c->points, c->count, limits);
  return HEM_OK;
}

/* A category that was tried as a scan only had no choice. */
static hem_status find_sizes(const hem__tuning *t, hem__tuned_size **out, hem_error *err) {
  hem_status status = hem__alloc(t->category_count, sizeof **out, "categories", out, err);
  for (size_t i = 0; i < t->category_count && !status; i++) {
    const hem__tuned_category *c = &t->categories[i];
    bool choice = false;
    for (size_t j = 0; j < c->count; j++) choice = choice || strcmp(c->points[j].kind, "flat") != 0;
    (*out)[i] = (hem__tuned_size){.photos = c->photos, .fixed = choice ? 0 : c->points[0].bytes};
  }
  return status;
}

static hem_status look_at_all(const hem__tuning *t, const cost_arguments *a, view **views, size_t *count,
                              hem_error *err) {
  hem__tuned_size *sizes = NULL;
  hem_status status = find_sizes(t, &sizes, err);
  if (!status) status = hem__alloc(t->category_count, sizeof **views, "categories", views, err);
  for (size_t i = 0; i < t->category_count && !status; i++) {
    hem__tuned_limits limits = a->limits;
    if (a->category && strcmp(a->category, t->categories[i].name) != 0) continue;
    limits.above = -1;
    limits.bytes = hem__tuning_share(a->limits.bytes, sizes, t->category_count, i);
    status = look(&t->categories[i], &limits, &(*views)[(*count)++], err);
  }
  free(sizes);
  if (!status && !*count)
    status = hem__fail(err, HEM_ENOTFOUND, "there is no category '%s': see 'hemline info %s'", a->category, a->store);
  return status;
}

/* ---- as text ---- */

static void print_point(const hem__tuned_point *p, const char *mark) {
  printf("%2s %8.4f %8.4f %8.4f %10.1f %10.1f %10s  %s\n", mark, p->recall, p->low, p->high, p->median_us, p->p99_us,
         cli_size(p->bytes), cli_setting(p));
}

/* One that is cheaper and may do, for all that is known. */
static void print_unsure(const view *v, const hem__tuned_point *sure) {
  const hem__tuned_point *best = NULL;
  for (size_t i = 0; i < v->of->count; i++) {
    const hem__tuned_point *p = &v->of->points[i];
    hem__tuned_limits rest = v->limits;
    rest.recall = 0;
    if (p->recall < v->limits.recall || p->low >= v->limits.recall || hem__tuning_choose(p, 1, &rest) == SIZE_MAX)
      continue;
    if ((!best || p->median_us < best->median_us) && (!sure || p->median_us < 0.98 * sure->median_us)) best = p;
  }
  if (!best) return;
  printf("   %s may do too, at %.1f us: %.4f, but %llu queries only show that it is above %.4f\n", cli_setting(best),
         best->median_us, best->recall, (unsigned long long)v->of->queries, best->low);
}

static void print_cheapest(const view *v) {
  hem_error err;
  if (v->cheapest == SIZE_MAX) {
    hem__tuning_impossible(v->of, &v->limits, &err);
    printf("   of what was tried: %s\n", cli_clean(err.message));
    print_unsure(v, NULL);
    return;
  }
  const hem__tuned_point *p = &v->of->points[v->cheapest], *now = &v->of->points[v->of->chosen];
  printf("   %s: %.1f us, %s", cli_setting(p), p->median_us, cli_size(p->bytes));
  if (v->cheapest == v->of->chosen) {
    printf(": the one that serves\n");
  } else {
    printf(": %.2f times the time of the one that serves, %.2f times its memory\n", p->median_us / now->median_us,
           (double)p->bytes / (double)now->bytes);
  }
  print_unsure(v, p);
}

static int print_text(const hem__tuning *t, const view *views, size_t count, const cost_arguments *a) {
  int code = EXIT_DONE;
  cli_print_tuning(stdout, t);
  for (size_t i = 0; i < count; i++) {
    const view *v = &views[i];
    printf("\n%s: %s photos, tried with %s queries; times of one setting lie %.0f %% apart\n", cli_clean(v->of->name),
           cli_count(v->of->photos), cli_count(v->of->queries), 100 * v->of->noise);
    if (is_limited(&v->limits)) print_cheapest(v);
    if (v->cheapest == SIZE_MAX) code = EXIT_FAILED;
    printf("%2s %8s %8s %8s %10s %10s %10s  %s\n", "", "recall", "low", "high", "median us", "p99 us", "memory",
           "setting");
    for (size_t j = 0; j < v->of->count; j++) {
      size_t at = v->order[j];
      bool serves = at == v->of->chosen, asked = is_limited(&v->limits) && at == v->cheapest;
      if (a->all || v->front[at] || serves || asked) print_point(&v->of->points[at], serves ? "*" : asked ? ">" : "");
    }
  }
  return code;
}

/* ---- as JSON ---- */

static json_t *point_json(const hem__tuned_point *p) {
  return json_pack("{s:o, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I}", "kind", cli_json_text(p->kind),
                   "efSearch", (json_int_t)p->ef_search, "nprobe", (json_int_t)p->nprobe, "refine",
                   (json_int_t)p->refine, "rerank", (json_int_t)p->rerank, "recall", p->recall, "low", p->low, "high",
                   p->high, "median_us", p->median_us, "p99_us", p->p99_us, "bytes", (json_int_t)p->bytes);
}

static json_t *view_json(const view *v) {
  const hem__tuned_category *c = v->of;
  const hem_certificate *promise = &c->promise;
  json_t *points = json_array();
  for (size_t i = 0; i < c->count; i++) {
    json_t *point = point_json(&c->points[v->order[i]]);
    json_object_set_new(point, "front", json_boolean(v->front[v->order[i]]));
    json_array_append_new(points, point);
  }
  bool found = is_limited(&v->limits) && v->cheapest != SIZE_MAX;
  return json_pack("{s:o, s:I, s:I, s:f, s:o, s:{s:f, s:f, s:f, s:I}, s:o, s:o}", "name", cli_json_text(c->name),
                   "photos", (json_int_t)c->photos, "queries", (json_int_t)c->queries, "noise", c->noise, "chosen",
                   point_json(&c->points[c->chosen]), "promise", "recall", promise->overlap, "low", promise->low,
                   "high", promise->high, "queries", (json_int_t)promise->queries, "cheapest",
                   found ? point_json(&c->points[v->cheapest]) : json_null(), "points", points);
}

static int print_json(const hem__tuning *t, const view *views, size_t count, const cost_arguments *a) {
  json_t *categories = json_array();
  int code = EXIT_DONE;
  for (size_t i = 0; i < count; i++) {
    json_array_append_new(categories, view_json(&views[i]));
    if (views[i].cheapest == SIZE_MAX) code = EXIT_FAILED;
  }
  int printed = cli_print_json(json_pack(
      "{s:o, s:s, s:I, s:f, s:I, s:I, s:o}", "store", cli_json_text(a->store), "truth",
      t->reranked ? "siamese" : "distance", "k", (json_int_t)t->k, "target_recall", t->target_recall, "max_latency_us",
      (json_int_t)t->max_latency_us, "max_memory", (json_int_t)t->max_memory, "categories", categories));
  return printed ? printed : code;
}

/* ---- as a picture ---- */

typedef struct picture {
  double *at; /* recalls, in percent, ascending */
  hem__plot_point *points;
  const char **series;
  size_t at_count, series_count;
} picture;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* A curve: of a category, or of a kind where there is one category. */
static bool is_drawn(const view *v, size_t point, const char *kind) {
  const hem__tuned_point *p = &v->of->points[point];
  if (!kind) return v->front[point];
  if (strcmp(kind, p->kind) != 0) return false;
  for (size_t i = 0; i < v->of->count; i++) { /* slower and no better than another of its kind */
    const hem__tuned_point *other = &v->of->points[i];
    if (!strcmp(kind, other->kind) && other->recall >= p->recall && other->median_us < p->median_us) return false;
  }
  return true;
}

static hem_status list_series(const view *views, size_t count, picture *p, hem_error *err) {
  size_t most = count > 1 ? count : views->of->count;
  hem_status status = hem__alloc(most, sizeof *p->series, "curves", &p->series, err);
  if (status) return status;
  for (size_t i = 0; i < most; i++) {
    const char *name = count > 1 ? views[i].of->name : views->of->points[i].kind;
    size_t j = 0;
    while (j < p->series_count && strcmp(p->series[j], name) != 0) j++;
    if (j == p->series_count) p->series[p->series_count++] = name;
  }
  return HEM_OK;
}

static hem_status list_recalls(const view *views, size_t count, picture *p, hem_error *err) {
  size_t all = 0, kept = 0;
  for (size_t i = 0; i < count; i++) all += views[i].of->count;
  hem_status status = hem__alloc(all, sizeof *p->at, "a plot", &p->at, err);
  if (status) return status;
  all = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < views[i].of->count; j++) p->at[all++] = 100 * views[i].of->points[j].recall;
  qsort(p->at, all, sizeof *p->at, by_value);
  for (size_t i = 0; i < all; i++)
    if (!kept || p->at[i] > p->at[kept - 1]) p->at[kept++] = p->at[i];
  p->at_count = kept;
  return HEM_OK;
}

static hem_status fill_picture(const view *views, size_t count, picture *p, hem_error *err) {
  size_t cells;
  hem_status status = list_series(views, count, p, err);
  if (!status) status = list_recalls(views, count, p, err);
  if (!status && !hem__mul(p->at_count, p->series_count, &cells))
    status = hem__fail(err, HEM_ENOMEM, "too many settings for a plot: name a --category");
  if (!status) status = hem__alloc(cells, sizeof *p->points, "a plot", &p->points, err);
  if (status) return status;
  for (size_t i = 0; i < cells; i++) p->points[i].value = NAN;
  for (size_t s = 0; s < p->series_count; s++) {
    const view *v = count > 1 ? &views[s] : views;
    for (size_t j = 0; j < v->of->count; j++) {
      const hem__tuned_point *from = &v->of->points[j];
      if (!is_drawn(v, j, count > 1 ? NULL : p->series[s])) continue;
      double recall = 100 * from->recall;
      size_t row = (size_t)((double *)bsearch(&recall, p->at, p->at_count, sizeof *p->at, by_value) - p->at);
      hem__plot_point *to = &p->points[row * p->series_count + s];
      if (isnan(to->value) || from->median_us < to->value)
        *to = (hem__plot_point){from->median_us, from->median_us, from->median_us};
    }
  }
  return HEM_OK;
}

static hem_status draw(const view *views, size_t count, const char *path, hem_error *err) {
  picture p = {0};
  char *svg = NULL;
  hem__aside *file = NULL;
  hem_status status = fill_picture(views, count, &p, err);
  hem__plot plot = {.kind = HEM__PLOT_CURVES,
                    .across = "recall, %",
                    .up = "median time of a query, us",
                    .at = p.at,
                    .group_count = p.at_count,
                    .series = p.series,
                    .series_count = p.series_count,
                    .points = p.points,
                    .linear = true};
  if (!status) status = hem__plot_draw(&plot, &svg, err);
  if (!status) status = hem__aside_new(path, &file, err);
  if (!status) status = hem__aside_write(file, svg, strlen(svg), err);
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
  hem__aside_free(file);
  free(svg);
  free(p.at);
  free(p.points);
  free(p.series);
  return status;
}

/* ---- the command ---- */

static int answer(const cost_arguments *a, const hem__tuning *t) {
  view *views = NULL;
  size_t count = 0;
  int code;
  hem_error err;
  hem_status status = look_at_all(t, a, &views, &count, &err);
  if (!status && a->plot) status = draw(views, count, a->plot, &err);
  code = status ? cli_fail(&err) : a->json ? print_json(t, views, count, a) : print_text(t, views, count, a);
  for (size_t i = 0; i < count; i++) {
    free(views[i].order);
    free(views[i].front);
  }
  free(views);
  return code;
}

int cli_cost(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "STORE", .doc = doc};
  cost_arguments a = {0};
  hem__generation g = {0};
  hem__tuning tuning = {0};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  hem_status status = hem__generation_open(a.store, &g, &err);
  if (!status) status = hem__tuning_read(&g, &tuning, &err);
  if (!status && !tuning.category_count)
    status = hem__fail(&err, HEM_ENOTFOUND,
                       "%s was not tuned, so nothing is known of other settings: index it again with --target-recall, "
                       "--max-latency or --max-memory",
                       a.store);
  int code = status ? cli_fail(&err) : answer(&a, &tuning);
  hem__tuning_clear(&tuning);
  hem__generation_close(&g);
  return code;
}
