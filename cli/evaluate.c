/* hemline evaluate: top-k accuracy of a catalogue's features, or recall of a store's indices. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench/recall.h"
#include "bench/sheets.h"
#include "cli/exhaustive.h"
#include "cli/experiments.h"

enum {
  OPT_SPACE = 256,
  OPT_REPORT,
  OPT_JSON,
  OPT_MATCH,
  OPT_QUERIES,
  OPT_THREADS,
  OPT_CATALOG,
  OPT_QSPLIT,
  OPT_GSPLIT,
  OPT_SHEETS,
  OPT_APPROACH,
  OPT_IDX,
  OPT_EXHAUSTIVE
};

typedef struct evaluate_arguments {
  const char *path, *space, *report, *catalog;
  hem__accuracy_options accuracy;
  hem__recall_options recall;
  hem__sheets_options sheets;
  hem__exhaustive_options every;
  cli_experiments_arguments experiments;
  bool sheets_given, json, quiet, exhaustive;
} evaluate_arguments;

static const char doc[] =
    "For a CATALOG: top-k accuracy, how often one of the k nearest shop photos shows the query's product, for each "
    "feature alone and all concatenated, by L1, L2 and cosine, each query within its own category. Queries are the "
    "consumer photos; without any, each shop photo is asked for the others.\n"
    "For a STORE: recall@k of its indices against an exact scan, and the time of a query; with --exhaustive, for one "
    "with a metric, its answers, evaluations and times against scoring every photo by OpenBLAS, and how often each way "
    "finds the item.\v"
    "Intervals are 95%: Wilson's for accuracy, a bootstrap over queries for recall, Clopper and Pearson's for the "
    "overlap with the exhaustive answer. \"chance\" is what a random order "
    "would reach.\n\n"
    "Examples:\n"
    "  hemline evaluate shop.h5 --report accuracy.html\n"
    "  hemline evaluate shop.h5 --space pixels --match label --json\n"
    "  hemline evaluate shop.h5 --experiments --report experiments.html\n"
    "  hemline evaluate shop.store -k 100\n"
    "  hemline evaluate shop.store --exhaustive";

static const struct argp_option options[] = {
    {"space", OPT_SPACE, "NAME", 0, "Embedding space (default: the only one)", 0},
    {"report", OPT_REPORT, "FILE.html", 0, "Draw it", 0},
    {"sheets", OPT_SHEETS, "N", 0,
     "In the report, show N queries that were answered rightly and N that were not, of each category (default: 3)", 0},
    {"approach", OPT_APPROACH, "NAME", 0,
     "Of the sheets: this feature, or the space's name for all (default: the best)", 0},
    {"distance", 'd', "NAME", 0, "Of the sheets: l1, l2 or cosine (default: the best)", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "Of the sheets: where the idx files are, for photos that lie in them", 0},
    {"match", OPT_MATCH, "WHAT", 0, "Right means: same item, or same label (default: item, where items have pairs)", 0},
    {"queries", OPT_QUERIES, "N", 0, "At most N queries a category, evenly spread", 0},
    {"query-split", OPT_QSPLIT, "SPLIT", 0, "Only queries of train, validation, test or none", 0},
    {"gallery-split", OPT_GSPLIT, "SPLIT", 0, "Only shop photos of that split", 0},
    {"k", 'k', "N", 0, "For a store: recall@N (default: 10)", 0},
    {"exhaustive", OPT_EXHAUSTIVE, NULL, 0, "For a store with a metric: against scoring every photo", 0},
    {"catalog", OPT_CATALOG, "FILE", 0, "For a store: where its catalogue is now", 0},
    {"threads", OPT_THREADS, "N", 0, "Threads (default: one for each core)", 0},
    {"json", OPT_JSON, NULL, 0, "Answer as JSON", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

static int parse_split(struct argp_state *state, const char *text) {
  uint8_t split;
  if (hem__name_find(text, hem__split_names, HEM__SPLITS, &split)) return split;
  argp_error(state, "no split '%s': there are train, validation, test and none", text);
  return -1;
}

static hem__match parse_match(struct argp_state *state, const char *text) {
  if (!strcmp(text, "item")) return HEM__MATCH_ITEM;
  if (!strcmp(text, "label")) return HEM__MATCH_LABEL;
  argp_error(state, "--match wants item or label, not '%s'", text);
  return HEM__MATCH_AUTO;
}

static int parse_distance(struct argp_state *state, const char *text) {
  hem_distance distance = HEM_L2;
  hem_error err;
  if (hem_distance_parse(text, &distance, &err) || distance == HEM_IP)
    argp_error(state, "no distance '%s': there are l1, l2 and cosine", text);
  return (int)distance;
}

static error_t parse(int key, char *text, struct argp_state *state) {
  evaluate_arguments *a = state->input;
  switch (key) {
    case OPT_SPACE:
      a->space = text;
      break;
    case OPT_REPORT:
      a->report = text;
      break;
    case OPT_CATALOG:
      a->catalog = text;
      break;
    case OPT_JSON:
      a->json = true;
      break;
    case 'q':
      a->quiet = true;
      break;
    case OPT_SHEETS:
      a->sheets.each = cli_number(state, text, "--sheets", HEM__SHEETS_MAX);
      a->sheets_given = true;
      break;
    case OPT_APPROACH:
      a->sheets.approach = text;
      a->sheets_given = true;
      break;
    case OPT_IDX:
      a->sheets.idx = text;
      a->sheets_given = true;
      break;
    case 'd':
      a->sheets.distance = parse_distance(state, text);
      a->sheets_given = true;
      break;
    case OPT_MATCH:
      a->accuracy.match = parse_match(state, text);
      break;
    case OPT_QSPLIT:
      a->accuracy.query_split = parse_split(state, text);
      break;
    case OPT_GSPLIT:
      a->accuracy.gallery_split = parse_split(state, text);
      break;
    case OPT_EXHAUSTIVE:
      a->exhaustive = true;
      break;
    case OPT_THREADS:
      a->accuracy.threads = a->every.threads = cli_number(state, text, "--threads", 1024);
      break;
    case OPT_QUERIES:
      a->accuracy.query_limit = a->recall.query_limit = a->every.query_limit =
          cli_number(state, text, "--queries", 1000000000);
      break;
    case 'k':
      a->recall.k = cli_number(state, text, "-k", 100000);
      break;
    case ARGP_KEY_INIT:
      state->child_inputs[0] = &a->experiments;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &a->path, text, "catalogue or store");
      break;
    case ARGP_KEY_END:
      if (!a->path) argp_error(state, "name a CATALOG or a STORE");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

/* ---- accuracy of a catalogue ---- */

static json_t *accuracy_to_json(const hem__accuracy_row *row) {
  json_t *cuts = json_array();
  for (size_t i = 0; i < HEM__CUTS; i++) {
    double low, high;
    hem__wilson(row->right[i], row->queries, &low, &high);
    double rate = row->queries ? (double)row->right[i] / (double)row->queries : 0;
    json_array_append_new(cuts, json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "k", (json_int_t)hem__cuts[i], "right",
                                          (json_int_t)row->right[i], "accuracy", rate, "low", low, "high", high,
                                          "chance", row->chance[i]));
  }
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "category", row->category, "approach", row->approach,
                   "distance", hem_distance_name(row->distance), "queries", (json_int_t)row->queries,
                   "queries_without_a_right_photo", (json_int_t)row->without, "gallery", (json_int_t)row->gallery,
                   "top", cuts);
}

static int print_accuracy_json(const hem__accuracy *accuracy) {
  json_t *rows = json_array();
  for (size_t i = 0; i < accuracy->row_count; i++) json_array_append_new(rows, accuracy_to_json(&accuracy->rows[i]));
  return cli_print_json(json_pack("{s:s, s:b, s:o}", "right_means", accuracy->by_label ? "same label" : "same item",
                                  "leave_one_out", accuracy->leave_one_out, "rows", rows));
}

static void print_accuracy_row(const hem__accuracy_row *row, size_t cut) {
  printf("%-12s %-22s %-7s %9s %9s", row->category, row->approach, hem_distance_name(row->distance),
         cli_count(row->queries), cli_count(row->gallery));
  for (size_t i = 0; i < HEM__CUTS; i++)
    printf(" %6.2f", row->queries ? 100.0 * (double)row->right[i] / (double)row->queries : 0);
  double low, high;
  hem__wilson(row->right[cut], row->queries, &low, &high);
  printf("   %6.2f-%6.2f %7.2f\n", 100 * low, 100 * high, 100 * row->chance[cut]);
}

static void print_accuracy(const hem__accuracy *accuracy) {
  printf("Top-k accuracy, %%: right means same %s%s\n\n", accuracy->by_label ? "label" : "item",
         accuracy->leave_one_out ? "; each shop photo asked for the others" : "");
  printf("%-12s %-22s %-7s %9s %9s", "category", "approach", "dist", "queries", "gallery");
  for (size_t i = 0; i < HEM__CUTS; i++) {
    char name[16];
    snprintf(name, sizeof name, "top-%zu", hem__cuts[i]);
    printf(" %6s", name);
  }
  char interval[16];
  size_t cut = hem__accuracy_cut(accuracy);
  snprintf(interval, sizeof interval, "top-%zu 95%%", hem__cuts[cut]);
  printf("   %13s %7s\n", interval, "chance");
  for (size_t i = 0; i < accuracy->row_count; i++) {
    if (i && strcmp(accuracy->rows[i].category, accuracy->rows[i - 1].category) != 0) putchar('\n');
    print_accuracy_row(&accuracy->rows[i], cut);
  }
}

static hem_status open_space(const evaluate_arguments *a, hem__catalog **catalog, size_t *space, hem_error *err) {
  hem_status status = hem__catalog_open(a->path, catalog, err);
  return status ? status : hem__catalog_find_space(*catalog, a->space, space, err);
}

static hem_status report_accuracy(evaluate_arguments *a, hem__catalog *catalog, const hem__accuracy *accuracy,
                                  hem_error *err) {
  char about[512] = "";
  hem__sheets sheets = {0};
  hem_status status = HEM_OK;
  a->sheets.accuracy = a->accuracy;
  if (a->sheets.each) status = hem__sheets_make(catalog, accuracy, &a->sheets, &sheets, err);
  if (status) return status;
  if (sheets.count)
    snprintf(about, sizeof about,
             "Found with %.100s, by %s. Right means: %s shows the same %s. The queries are evenly spread over those "
             "that were answered rightly, and over those that were not.",
             sheets.row->approach, hem_distance_name(sheets.row->distance),
             accuracy->by_label ? "the nearest photo" : "one of the nearest 20", accuracy->by_label ? "label" : "item");
  else if (a->sheets.each)
    fputs("no sheets of photos: the queries' photos cannot be read (photos in idx files: --idx)\n", stderr);
  hem__report report = {.title = "Hemline: top-k accuracy",
                        .summary = a->path,
                        .accuracy = accuracy,
                        .sheets = sheets.at,
                        .sheet_count = sheets.count,
                        .sheets_about = about};
  status = hem__report_write(&report, a->report, err);
  if (!status) fprintf(stderr, "report: %s\n", a->report);
  hem__sheets_clear(&sheets);
  return status;
}

static int evaluate_catalog(evaluate_arguments *a) {
  hem__catalog *catalog = NULL;
  hem__accuracy accuracy = {0};
  hem_error err;
  hem_status status = open_space(a, &catalog, &a->accuracy.space, &err);
  if (!status) status = hem__accuracy_measure(catalog, &a->accuracy, &accuracy, &err);
  int code = EXIT_DONE;
  if (!status) {
    cli_progress_end();
    if (a->json) {
      code = print_accuracy_json(&accuracy);
    } else {
      print_accuracy(&accuracy);
    }
  }
  if (!status && a->report) status = report_accuracy(a, catalog, &accuracy, &err);
  if (status) code = cli_fail(&err);
  hem__accuracy_clear(&accuracy);
  hem__catalog_close(catalog);
  return code;
}

/* ---- recall of a store ---- */

static int print_recall_json(const hem__recall_row *rows, size_t count) {
  json_t *list = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "category", rows[i].category, "kind",
                        rows[i].kind, "k", (json_int_t)rows[i].k, "queries", (json_int_t)rows[i].queries, "gallery",
                        (json_int_t)rows[i].gallery, "recall", rows[i].recall, "low", rows[i].low, "high", rows[i].high,
                        "median_us", rows[i].median_us, "p99_us", rows[i].p99_us));
  return cli_print_json(list);
}

static void print_recall(const hem__recall_row *rows, size_t count) {
  printf("Recall@%zu against an exact scan, and the time of one query on one thread\n\n", count ? rows[0].k : 0);
  printf("%-16s %-9s %9s %9s %8s %16s %11s %11s\n", "category", "kind", "queries", "gallery", "recall", "95%",
         "median us", "p99 us");
  for (size_t i = 0; i < count; i++)
    printf("%-16s %-9s %9s %9s %8.4f  %7.4f-%7.4f %11.1f %11.1f\n", rows[i].category, rows[i].kind,
           cli_count(rows[i].queries), cli_count(rows[i].gallery), rows[i].recall, rows[i].low, rows[i].high,
           rows[i].median_us, rows[i].p99_us);
}

static hem_status recall_of_store(evaluate_arguments *a, const hem_engine *engine, hem__catalog *catalog, int *code,
                                  hem_error *err) {
  hem__recall_row *rows = NULL;
  size_t count = 0;
  hem_status status = hem__recall_measure(engine, catalog, &a->recall, &rows, &count, err);
  if (!status) {
    cli_progress_end();
    if (a->json) {
      *code = print_recall_json(rows, count);
    } else {
      print_recall(rows, count);
    }
  }
  if (!status && a->report) {
    hem__report report = {.title = "Hemline: recall", .summary = a->path, .recall = rows, .recall_count = count};
    status = hem__report_write(&report, a->report, err);
  }
  free(rows);
  return status;
}

static hem_status exhaustive_of_store(evaluate_arguments *a, const hem_engine *engine, hem__catalog *catalog, int *code,
                                      hem_error *err) {
  hem__exhaustive result;
  hem_status status = hem__exhaustive_measure(engine, catalog, &a->every, &result, err);
  if (status) return status;
  cli_progress_end();
  if (a->json) {
    *code = cli_print_exhaustive_json(&result);
  } else {
    cli_print_exhaustive(&result);
  }
  return HEM_OK;
}

static int evaluate_store(evaluate_arguments *a) {
  hem_engine *engine = NULL;
  hem__catalog *catalog = NULL;
  hem_engine_info info;
  hem_error err;
  int code = EXIT_DONE;
  hem_status status = hem_engine_open(a->path, NULL, &engine, &err);
  if (!status) {
    hem_engine_info_get(engine, &info);
    status = cli_open_catalog(a->catalog ? a->catalog : info.catalog, &catalog, &err);
  }
  if (!status) status = (a->exhaustive ? exhaustive_of_store : recall_of_store)(a, engine, catalog, &code, &err);
  if (status) code = cli_fail(&err);
  hem__catalog_close(catalog);
  hem_engine_close(engine);
  return code;
}

static int wrong_usage(const char *why) {
  fprintf(stderr, "hemline evaluate: %s\n", why);
  return EXIT_USAGE;
}

static int evaluate_experiments(const evaluate_arguments *a) {
  if (a->accuracy.match == HEM__MATCH_LABEL || a->accuracy.query_split >= 0 || a->sheets.approach ||
      a->sheets.distance >= 0)
    return wrong_usage(
        "--experiments ask test items, by item: --match, --query-split, --approach and --distance are "
        "not for them");
  cli_experiments_setting s = {.catalog = a->path,
                               .space = a->space,
                               .report = a->report,
                               .idx = a->sheets.idx,
                               .sheets = a->sheets.each,
                               .query_limit = a->accuracy.query_limit,
                               .threads = a->accuracy.threads,
                               .gallery_split = a->accuracy.gallery_split,
                               .json = a->json,
                               .quiet = a->quiet};
  return cli_experiments(&a->experiments, &s);
}

int cli_evaluate(int argc, char **argv) {
  static const struct argp_child children[] = {{.argp = &cli_experiments_argp, .group = 1}, {0}};
  static const struct argp argp = {
      .options = options, .parser = parse, .args_doc = "CATALOG|STORE", .doc = doc, .children = children};
  evaluate_arguments a = {.accuracy = {.query_split = -1, .gallery_split = -1}, .sheets = {.distance = -1, .each = 3}};
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.accuracy.progress = a.recall.progress = a.every.progress = cli_progress(a.quiet);
  bool store = cli_is_folder(a.path);
  bool for_catalog = a.space || a.accuracy.match || a.accuracy.query_split >= 0 || a.accuracy.gallery_split >= 0 ||
                     (a.accuracy.threads && !a.exhaustive) || a.sheets_given || a.experiments.wanted;
  if (a.experiments.training_given && !a.experiments.wanted)
    return wrong_usage("--form, --hidden, --tower, --loss, --epochs, --folds and --seed are for --experiments");
  if (store ? for_catalog : a.recall.k || a.catalog || a.exhaustive)
    return wrong_usage(store ? "--space, --match, --query-split, --gallery-split, --threads, --experiments and the "
                               "options of sheets are for a catalogue; this is a store"
                             : "-k, --catalog and --exhaustive are for a store; this is a catalogue");
  if (a.exhaustive && (a.report || a.recall.k)) return wrong_usage("--exhaustive goes without --report and -k");
  if (a.sheets_given && !a.report) return wrong_usage("--sheets, --approach, --distance and --idx are for --report");
  if (a.experiments.wanted) return evaluate_experiments(&a);
  return store ? evaluate_store(&a) : evaluate_catalog(&a);
}
