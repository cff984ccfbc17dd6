/* hemline train: pairs of photos into the Siamese metric. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/html.h"
#include "bench/interval.h"
#include "bench/plot.h"
#include "cli/cli.h"

enum {
  OPT_FORM = 256,
  OPT_HIDDEN,
  OPT_TOWER,
  OPT_RAW,
  OPT_FREE,
  OPT_RANDOM,
  OPT_LOSS,
  OPT_NEGATIVES,
  OPT_EACH,
  OPT_OPTIMISER,
  OPT_EPOCHS,
  OPT_BATCH,
  OPT_PATIENCE,
  OPT_RATE,
  OPT_DECAY,
  OPT_DROPOUT,
  OPT_SEEDS,
  OPT_SEED,
  OPT_FOLDS,
  OPT_FOLD,
  OPT_ACCEPT,
  OPT_CHECKPOINT,
  OPT_CURVE,
  OPT_THREADS,
  OPT_JSON
};

typedef struct train_arguments {
  hem_train_options options;
  const char *curve;
  bool json, quiet;
  hem_progress progress; /* the bar */
  hem_epoch *epochs;     /* all so far */
  size_t count, capacity;
  bool no_memory;
} train_arguments;

static const char doc[] =
    "Learn from CATALOG's pairs of a consumer photo and a shop photo of one item how alike two photos of one item "
    "look, "
    "and write the metric to METRIC. What was learned is compared with the plain distances on validation items.\v"
    "Where the catalogue marks no train split, items fall by the hash of their id into folds; one stays unseen (for "
    "evaluate) and one validates. Forms: head is |a-b| -> Dense(hidden, relu) -> Dense(1, sigmoid); l1 weights each "
    "dimension of |a-b|. Negatives: hard ones are those the metric takes for right, found anew every epoch; category "
    "and random are drawn; first takes ten photos for all queries, as the reference work's code did.\n\n"
    "Examples:\n"
    "  hemline train shop.h5 -o shop.metric\n"
    "  hemline train shop.h5 -s resnet50 -o shop.metric --form l2 --seeds 3 --curve curve.html\n"
    "  hemline train shop.h5 -o shop.metric --checkpoint shop.train    (the same command again goes on)\n"
    "  hemline train shop.h5 -o reference.metric --tower 0 --hidden 2048 --free-sign --random-start --optimiser "
    "rmsprop";

static const struct argp_option options[] = {
    {"output", 'o', "METRIC", 0, "File to write", 0},
    {"space", 's', "NAME", 0, "Embedding space (default: the only one)", 0},
    {"form", OPT_FORM, "NAME", 0, "head, l1 or l2 (default: head)", 0},
    {"hidden", OPT_HIDDEN, "N", 0, "Hidden units of the head (default: 128)", 0},
    {"tower", OPT_TOWER, "N", 0, "A shared layer of N values before |a-b|; 0: none (default: 128)", 0},
    {"raw", OPT_RAW, NULL, 0, "Do not divide embeddings by their norm", 0},
    {"free-sign", OPT_FREE, NULL, 0, "Output weights of any sign: an exact search can then not prune", 0},
    {"random-start", OPT_RANDOM, NULL, 0, "Glorot's start instead of a plain distance", 0},
    {"loss", OPT_LOSS, "NAME", 0, "bce or triplet, batch-hard (default: bce)", 0},
    {"negatives", OPT_NEGATIVES, "NAME", 0, "hard, category, random or first (default: hard)", 0},
    {"negatives-each", OPT_EACH, "N", 0, "Negatives for every positive pair (default: 8)", 0},
    {"optimiser", OPT_OPTIMISER, "NAME", 0, "adam or rmsprop (default: adam)", 0},
    {"epochs", OPT_EPOCHS, "N", 0, "At most so many (default: 30)", 0},
    {"batch", OPT_BATCH, "N", 0, "Pairs of a step (default: 256)", 0},
    {"patience", OPT_PATIENCE, "N", 0, "Epochs without a better validation accuracy before it stops (default: 6)", 0},
    {"learning-rate", OPT_RATE, "X", 0, "Of the first epoch (default: 0.001)", 0},
    {"weight-decay", OPT_DECAY, "X", 0, "Decoupled (default: none)", 0},
    {"dropout", OPT_DROPOUT, "X", 0, "Share of hidden units left out (default: none)", 0},
    {"seeds", OPT_SEEDS, "N", 0, "Train so many times; the best on validation stays (default: 1)", 0},
    {"seed", OPT_SEED, "N", 0, "Of the random numbers: the same one gives the same bytes (default: 0)", 0},
    {"folds", OPT_FOLDS, "N", 0, "Parts the items fall into where no split is marked (default: 5)", 0},
    {"fold", OPT_FOLD, "N", 0, "The part that stays unseen, from 0 (default: 0)", 0},
    {"false-accept", OPT_ACCEPT, "X", 0, "Share of queries without a match that may still be given one (default: 0.05)",
     0},
    {"checkpoint", OPT_CHECKPOINT, "FILE", 0, "Keep the state after every epoch there, and go on from it", 0},
    {"curve", OPT_CURVE, "FILE.html", 0, "Draw loss and accuracy by epoch", 0},
    {"threads", OPT_THREADS, "N", 0, "Threads (default: one for each core)", 0},
    {"json", OPT_JSON, NULL, 0, "Answer as JSON", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

/* ---- arguments ---- */

static double real(struct argp_state *state, const char *text, const char *option) {
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  if (errno || end == text || *end || !(value >= 0 && value <= 10))
    argp_error(state, "%s wants a number from 0 to 10, not '%s'", option, text);
  return value;
}

static bool parse_size(struct argp_state *state, int key, const char *text, hem_train_options *o) {
  const struct {
    int key;
    const char *name;
    size_t *to;
    unsigned long most;
  } sizes[] = {{OPT_HIDDEN, "--hidden", &o->hidden, 8192},
               {OPT_TOWER, "--tower", &o->tower, 65536},
               {OPT_EACH, "--negatives-each", &o->negatives_each, 1000},
               {OPT_EPOCHS, "--epochs", &o->epochs, 100000},
               {OPT_BATCH, "--batch", &o->batch, 65536},
               {OPT_PATIENCE, "--patience", &o->patience, 100000},
               {OPT_SEEDS, "--seeds", &o->seeds, 1000},
               {OPT_FOLDS, "--folds", &o->folds, 1000},
               {OPT_FOLD, "--fold", &o->fold, 999},
               {OPT_THREADS, "--threads", &o->threads, 1024}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i].key == key) {
      *sizes[i].to = cli_number(state, text, sizes[i].name, sizes[i].most);
      o->no_tower = o->no_tower || (key == OPT_TOWER && o->tower == 0);
      return true;
    }
  return false;
}

static bool parse_real(struct argp_state *state, int key, const char *text, hem_train_options *o) {
  const struct {
    int key;
    const char *name;
    double *to;
  } reals[] = {{OPT_RATE, "--learning-rate", &o->learning_rate},
               {OPT_DECAY, "--weight-decay", &o->weight_decay},
               {OPT_DROPOUT, "--dropout", &o->dropout},
               {OPT_ACCEPT, "--false-accept", &o->false_accept}};
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
    if (reals[i].key == key) {
      *reals[i].to = real(state, text, reals[i].name);
      return true;
    }
  return false;
}

static bool parse_text(int key, const char *text, train_arguments *a) {
  const struct {
    int key;
    const char **to;
  } texts[] = {{'o', &a->options.metric},
               {'s', &a->options.space},
               {OPT_FORM, &a->options.form},
               {OPT_LOSS, &a->options.loss},
               {OPT_NEGATIVES, &a->options.negatives},
               {OPT_OPTIMISER, &a->options.optimiser},
               {OPT_CHECKPOINT, &a->options.checkpoint},
               {OPT_CURVE, &a->curve}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i].key == key) {
      *texts[i].to = text;
      return true;
    }
  return false;
}

static bool parse_flag(int key, train_arguments *a) {
  const struct {
    int key;
    bool *to;
  } flags[] = {{OPT_RAW, &a->options.raw},
               {OPT_FREE, &a->options.free_sign},
               {OPT_RANDOM, &a->options.random_start},
               {OPT_JSON, &a->json},
               {'q', &a->quiet}};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    if (flags[i].key == key) return *flags[i].to = true;
  return false;
}

static error_t parse(int key, char *text, struct argp_state *state) {
  train_arguments *a = state->input;
  if (key == ARGP_KEY_ARG) {
    cli_take(state, &a->options.catalog, text, "catalogue");
    return 0;
  }
  if (key == ARGP_KEY_END) {
    if (!a->options.catalog) argp_error(state, "name the CATALOG to learn from");
    if (!a->options.metric) argp_error(state, "name the file to write: -o METRIC");
    return 0;
  }
  if (key == OPT_SEED) {
    a->options.seed = cli_number(state, text, "--seed", 4000000000UL);
    return 0;
  }
  bool known = parse_text(key, text, a) || parse_flag(key, a) || parse_size(state, key, text, &a->options) ||
               parse_real(state, key, text, &a->options);
  return known ? 0 : ARGP_ERR_UNKNOWN;
}

/* ---- while it runs ---- */

static bool report(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  train_arguments *a = context;
  return !a->progress.report || a->progress.report(a->progress.context, stage, done, total, unit);
}

static void on_epoch(void *context, const hem_epoch *epoch) {
  train_arguments *a = context;
  hem_error none;
  if (hem__grow(&a->epochs, &a->capacity, a->count + 1, sizeof *a->epochs, "epochs", &none)) {
    a->no_memory = true;
  } else {
    a->epochs[a->count++] = *epoch;
  }
  if (a->quiet) return;
  cli_progress_end();
  if (a->options.seeds > 1) fprintf(stderr, "seed %zu  ", epoch->seed);
  fprintf(stderr, "epoch %3zu  ", epoch->epoch);
  if (epoch->epoch) {
    fprintf(stderr, "loss %.4f  ", epoch->loss);
  } else {
    fputs("before       ", stderr);
  }
  fprintf(stderr, "top-20 %6.2f%%  %.1f s\n", 100 * epoch->accuracy, epoch->seconds);
}

/* ---- results ---- */

enum { CONTENDERS = 4 };

static const char *const contender_names[CONTENDERS] = {"l2", "l1", "cosine", "metric"};

static double accuracy_of(const hem_train_result *r, size_t contender) {
  const double all[CONTENDERS] = {r->l2, r->l1, r->cosine, r->accuracy};
  return all[contender];
}

static void interval_of(const hem_train_result *r, size_t contender, double *low, double *high) {
  size_t right = (size_t)llround(accuracy_of(r, contender) * (double)r->validation_queries);
  hem__wilson(right, (size_t)r->validation_queries, low, high);
}

static void print_result(const train_arguments *a, const hem_train_result *r) {
  printf("%s queries of validation, %s shop photos; trained on %s pairs of %s items\n\n",
         cli_count(r->validation_queries), cli_count(r->validation_gallery), cli_count(r->train_pairs),
         cli_count(r->train_items));
  puts("          top-20   95% interval");
  for (size_t i = 0; i < CONTENDERS; i++) {
    double low, high;
    interval_of(r, i, &low, &high);
    printf("%-8s %6.2f%%   %6.2f%% to %6.2f%%\n", contender_names[i], 100 * accuracy_of(r, i), 100 * low, 100 * high);
  }
  printf("\ngain over the best plain distance: %+.2f points (%+.2f to %+.2f)\n", 100 * r->gain, 100 * r->gain_low,
         100 * r->gain_high);
  if (r->better) {
    printf("%s is better than every plain distance.\n", cli_clean(a->options.metric));
    return;
  }
  printf("%s is not shown to be better than the plain distances: index refuses it unless forced.\n",
         cli_clean(a->options.metric));
  puts(
      "What may help: more pairs (most of all), a smaller head or none (--hidden 32, --form l2), a smaller tower "
      "(--tower 64), "
      "more seeds (--seeds 5).");
}

static json_t *epoch_json(const hem_epoch *e) {
  json_t *loss = isfinite(e->loss) ? json_real(e->loss) : json_null();
  return json_pack("{s:I, s:I, s:o, s:f, s:f}", "seed", (json_int_t)e->seed, "epoch", (json_int_t)e->epoch, "loss",
                   loss, "accuracy", e->accuracy, "seconds", e->seconds);
}

static int print_json(const train_arguments *a, const hem_train_result *r) {
  json_t *epochs = json_array(), *contenders = json_array();
  for (size_t i = 0; i < a->count; i++) json_array_append_new(epochs, epoch_json(&a->epochs[i]));
  for (size_t i = 0; i < CONTENDERS; i++) {
    double low, high;
    interval_of(r, i, &low, &high);
    json_array_append_new(contenders, json_pack("{s:s, s:f, s:f, s:f}", "name", contender_names[i], "accuracy",
                                                accuracy_of(r, i), "low", low, "high", high));
  }
  return cli_print_json(json_pack(
      "{s:o, s:b, s:I, s:I, s:I, s:I, s:o, s:f, s:f, s:f, s:o}", "metric", cli_json_text(a->options.metric), "better",
      r->better, "train_items", (json_int_t)r->train_items, "train_pairs", (json_int_t)r->train_pairs,
      "validation_queries", (json_int_t)r->validation_queries, "validation_gallery", (json_int_t)r->validation_gallery,
      "top_20", contenders, "gain", r->gain, "gain_low", r->gain_low, "gain_high", r->gain_high, "epochs", epochs));
}

/* ---- the training curve ---- */

/* Epochs of all seeds from 1 on, side by side; what a seed did not reach is not there. */
static hem_status draw(const train_arguments *a, bool loss, char **svg, hem_error *err) {
  size_t seeds = 0, epochs = 0, cells;
  for (size_t i = 0; i < a->count; i++) {
    seeds = hem__max(seeds, a->epochs[i].seed);
    epochs = hem__max(epochs, a->epochs[i].epoch);
  }
  hem__plot_point *points = NULL;
  double *at = NULL;
  char(*names)[32] = NULL;
  const char **series = NULL;
  if (!hem__mul(seeds, epochs, &cells)) return hem__fail(err, HEM_ENOMEM, "too many epochs to draw");
  hem_status status = hem__alloc(cells, sizeof *points, "a plot", &points, err);
  if (!status) status = hem__alloc(epochs, sizeof *at, "a plot", &at, err);
  if (!status) status = hem__alloc(seeds, sizeof *names, "a plot", &names, err);
  if (!status) status = hem__alloc(seeds, sizeof *series, "a plot", &series, err);
  if (status) goto exit;
  for (size_t i = 0; i < cells; i++) points[i].value = points[i].low = points[i].high = NAN;
  for (size_t i = 0; i < epochs; i++) at[i] = (double)(i + 1);
  for (size_t i = 0; i < seeds; i++) {
    snprintf(names[i], sizeof names[i], "seed %zu", i + 1);
    series[i] = names[i];
  }
  for (size_t i = 0; i < a->count; i++) {
    const hem_epoch *e = &a->epochs[i];
    double value = loss ? e->loss : 100 * e->accuracy;
    if (e->epoch) points[(e->epoch - 1) * seeds + e->seed - 1] = (hem__plot_point){value, value, value};
  }
  hem__plot plot = {.kind = HEM__PLOT_CURVES,
                    .across = "epoch",
                    .up = loss ? "loss" : "top-20 on validation, %",
                    .at = at,
                    .group_count = epochs,
                    .series = series,
                    .series_count = seeds,
                    .points = points,
                    .percent = !loss};
  status = hem__plot_draw(&plot, svg, err);
exit:
  free(points);
  free(at);
  free(names);
  free(series);
  return status;
}

static hem_status write_curve(const train_arguments *a, hem_error *err) {
  char *accuracy = NULL, *loss = NULL;
  hem__html page = {.err = err};
  hem_status status = draw(a, false, &accuracy, err);
  if (!status) status = draw(a, true, &loss, err);
  if (!status) status = hem__aside_new(a->curve, &page.to, err);
  if (!status) {
    hem__html_open(&page, "Hemline: training");
    hem__html_put(&page, "<h1>Training</h1><p>");
    hem__html_text(&page, a->options.metric);
    hem__html_print(&page, "; before training, top-20 is %.2f%%</p>", 100 * a->epochs[0].accuracy);
    hem__html_put(&page, "<h2>Accuracy on validation</h2>");
    hem__html_put(&page, strstr(accuracy, "<svg"));
    hem__html_put(&page, "<h2>Loss</h2>");
    hem__html_put(&page, strstr(loss, "<svg"));
    hem__html_close(&page);
    status = page.status;
  }
  if (!status) status = hem__aside_publish(page.to, NULL, NULL, err);
  hem__aside_free(page.to);
  free(accuracy);
  free(loss);
  return status;
}

int cli_train(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG -o METRIC", .doc = doc};
  train_arguments a = {.options = {.size = sizeof a.options}};
  hem_train_result result;
  hem_error err = {0};
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.progress = cli_progress(a.quiet);
  a.options.progress = (hem_progress){.report = report, .context = &a};
  a.options.on_epoch = on_epoch;
  int code = EXIT_DONE;
  hem_status status = hem_train(&a.options, &result, &err);
  if (!status && a.no_memory) status = hem__fail(&err, HEM_ENOMEM, "no memory for the list of epochs");
  cli_progress_end();
  if (!status) {
    if (a.json) {
      code = print_json(&a, &result);
    } else {
      print_result(&a, &result);
    }
  }
  if (!status && a.curve) status = write_curve(&a, &err);
  if (status) code = cli_fail(&err);
  free(a.epochs);
  return code;
}
