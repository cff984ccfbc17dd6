/* hemline evaluate --experiments: the reference work's experiments as one command. */
#include "cli/experiments.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench/experiments_page.h"

enum { OPT_EXPERIMENTS = 512, OPT_FORM, OPT_HIDDEN, OPT_TOWER, OPT_LOSS, OPT_EPOCHS, OPT_FOLDS, OPT_SEED };
enum { TOP_20 = 3 };

static const struct argp_option options[] = {
    {"experiments", OPT_EXPERIMENTS, NULL, 0,
     "Compare every space by L1, L2 and cosine and by a Siamese metric trained on it; cross-validated by item where "
     "the catalogue marks no splits",
     1},
    {"form", OPT_FORM, "NAME", 0, "Of the experiments' metrics, as in hemline train: head or l1", 1},
    {"hidden", OPT_HIDDEN, "N", 0, "Likewise: hidden units of the head (default: 128)", 1},
    {"tower", OPT_TOWER, "N", 0, "Likewise: a shared layer of N values before |a-b|; 0: none (default: 128)", 1},
    {"loss", OPT_LOSS, "NAME", 0, "Likewise: bce or triplet", 1},
    {"epochs", OPT_EPOCHS, "N", 0, "Likewise: at most so many (default: 30)", 1},
    {"folds", OPT_FOLDS, "N", 0, "Likewise: parts the items fall into (default: 5)", 1},
    {"seed", OPT_SEED, "N", 0, "Likewise: of the random numbers", 1},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  cli_experiments_arguments *a = state->input;
  hem_train_options *o = &a->train;
  switch (key) {
    case OPT_EXPERIMENTS:
      a->wanted = true;
      return 0;
    case OPT_FORM:
      o->form = text;
      break;
    case OPT_HIDDEN:
      o->hidden = cli_number(state, text, "--hidden", 8192);
      break;
    case OPT_TOWER:
      o->tower = cli_number(state, text, "--tower", 65536);
      o->no_tower = o->tower == 0;
      break;
    case OPT_LOSS:
      o->loss = text;
      break;
    case OPT_EPOCHS:
      o->epochs = cli_number(state, text, "--epochs", 100000);
      break;
    case OPT_FOLDS:
      o->folds = cli_number(state, text, "--folds", HEM__FOLDS_MAX);
      break;
    case OPT_SEED:
      o->seed = cli_number(state, text, "--seed", UINT32_MAX);
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  a->training_given = true;
  return 0;
}

const struct argp cli_experiments_argp = {.options = options, .parser = parse};

/* ---- answers ---- */

static void print_row(const hem__experiments *x, const hem__experiment_row *row) {
  double low, high;
  printf("%-12s %-22s %-8s %8s %9s", row->category, cli_clean(x->at[row->experiment].name), hem__matchers[row->matcher],
         cli_count(row->queries), cli_count(row->gallery));
  for (size_t i = 0; i < HEM__CUTS; i++)
    printf(" %6.2f", row->queries ? 100.0 * (double)row->right[i] / (double)row->queries : 0);
  hem__wilson(row->right[TOP_20], row->queries, &low, &high);
  printf("   %6.2f-%6.2f %7.2f\n", 100 * low, 100 * high, 100 * row->chance[TOP_20]);
}

void cli_print_experiments(const hem__experiments *x) {
  size_t each = x->count * HEM__MATCHERS;
  printf("Top-k accuracy, %%: right means same item; %s queries of %s items, ", cli_count(x->query_count),
         cli_count(x->items));
  if (x->marked)
    puts("of the test split\n");
  else
    printf("cross-validated over %zu folds of items\n\n", x->folds);
  printf("%-12s %-22s %-8s %8s %9s", "category", "features", "nearest", "queries", "gallery");
  for (size_t i = 0; i < HEM__CUTS; i++) {
    char name[16];
    snprintf(name, sizeof name, "top-%zu", hem__cuts[i]);
    printf(" %6s", name);
  }
  printf("   %13s %7s\n", "top-20 95%", "chance");
  for (size_t i = 0; i < x->row_count; i++) {
    if (i && i % each == 0) putchar('\n');
    print_row(x, &x->rows[i]);
  }
  puts("\nSiamese minus the best plain distance, top-20, in points, and its 95% interval by item:");
  for (size_t i = 0; i < x->count; i++) {
    const hem__experiment *e = &x->at[i];
    printf("%-22s %+6.2f  (%+.2f to %+.2f) over %s; calibration error %.2f%%\n", cli_clean(e->name), 100 * e->gain,
           100 * e->gain_low, 100 * e->gain_high, hem__matchers[e->plain], 100 * e->trust.shown.error);
  }
}

static json_t *row_to_json(const hem__experiments *x, const hem__experiment_row *row) {
  json_t *cuts = json_array();
  for (size_t i = 0; i < HEM__CUTS; i++) {
    double low, high, rate = row->queries ? (double)row->right[i] / (double)row->queries : 0;
    hem__wilson(row->right[i], row->queries, &low, &high);
    json_array_append_new(cuts, json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "k", (json_int_t)hem__cuts[i], "right",
                                          (json_int_t)row->right[i], "accuracy", rate, "low", low, "high", high,
                                          "chance", row->chance[i]));
  }
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "category", row->category, "space",
                   x->at[row->experiment].name, "nearest_by", hem__matchers[row->matcher], "queries",
                   (json_int_t)row->queries, "queries_without_a_right_photo", (json_int_t)row->without, "gallery",
                   (json_int_t)row->gallery, "top", cuts);
}

static int print_json(const hem__experiments *x) {
  json_t *rows = json_array(), *gains = json_array();
  for (size_t i = 0; i < x->row_count; i++) json_array_append_new(rows, row_to_json(x, &x->rows[i]));
  for (size_t i = 0; i < x->count; i++) {
    const hem__experiment *e = &x->at[i];
    json_array_append_new(
        gains, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "space", e->name, "over", hem__matchers[e->plain], "gain",
                         e->gain, "low", e->gain_low, "high", e->gain_high, "calibration_error", e->trust.shown.error));
  }
  return cli_print_json(json_pack("{s:s, s:I, s:I, s:o, s:o}", "splits", x->marked ? "marked" : "folds", "folds",
                                  (json_int_t)x->folds, "items", (json_int_t)x->items, "rows", rows, "gains", gains));
}

/* ---- the run ---- */

static hem_status run(const cli_experiments_arguments *a, const cli_experiments_setting *s, hem__catalog **catalog,
                      hem__experiments *x, hem_error *err) {
  hem__experiments_options o = {.train = a->train,
                                .space = s->space,
                                .gallery_split = s->gallery_split,
                                .query_limit = s->query_limit,
                                .progress = cli_progress(s->quiet)};
  o.train.threads = s->threads;
  hem_status status = hem__catalog_open(s->catalog, catalog, err);
  if (!status) status = hem__experiments_run(*catalog, &o, x, err);
  if (status || !s->report) return status;
  hem__experiments_page page = {.path = s->report,
                                .title = "Hemline: the experiments",
                                .about = s->catalog,
                                .idx = s->idx,
                                .sheets = s->sheets,
                                .gallery_split = s->gallery_split,
                                .query_limit = s->query_limit,
                                .threads = s->threads,
                                .progress = o.progress};
  return hem__experiments_write(*catalog, x, &page, err);
}

int cli_experiments(const cli_experiments_arguments *a, const cli_experiments_setting *s) {
  hem__catalog *catalog = NULL;
  hem__experiments x = {0};
  hem_error err;
  hem_status status = run(a, s, &catalog, &x, &err);
  cli_progress_end();
  int code = status ? cli_fail(&err) : EXIT_DONE;
  if (!status && s->json) code = print_json(&x);
  if (!status && !s->json) cli_print_experiments(&x);
  if (!status && s->report) fprintf(stderr, "report: %s\n", s->report);
  hem__experiments_clear(&x);
  hem__catalog_close(catalog);
  return code;
}
