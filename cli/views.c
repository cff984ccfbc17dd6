/* hemline views: practice pairs for a shop that has no customers' photos yet. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "bench/views.h"
#include "cli/cli.h"

enum { OPT_EACH = 256, OPT_SEED, OPT_LIMIT, OPT_ONLY, OPT_STRENGTH, OPT_IDX, OPT_THREADS };

typedef struct views_arguments {
  const char *path;
  hem__views_options options;
  bool quiet;
} views_arguments;

static const char doc[] =
    "Make pictures of a CATALOG's shop photos as customers might take them (cropped, turned, in perspective, before "
    "other photos, partly hidden, in other light, blurred, noisy), and a listing of both to ingest: practice pairs to "
    "start a metric with, where no customer's photo is there yet.\v"
    "These are made views: easier than real photos of the street, and different from them. Accuracy on them says how "
    "well a metric sees through these changes, not how well it will do in the street; train again as soon as there "
    "are real pairs.\n\n"
    "Items fall by the hash of their id: 60% train, 20% validation, 20% test. A photo that ingest made an item of "
    "its own is asked for itself alone. Photos of at most 64 pixels a side are written by the hundred into one "
    "picture.\n\n"
    "Examples:\n"
    "  hemline views shop.h5 -o practice\n"
    "  hemline ingest practice.h5 --manifest practice/manifest.tsv\n"
    "  hemline train practice.h5 -o shop.metric";

static const struct argp_option options[] = {
    {"output", 'o', "FOLDER", 0, "Where to write the views and manifest.tsv", 0},
    {"each", OPT_EACH, "N", 0, "Views of a photo (default: 4)", 0},
    {"limit", OPT_LIMIT, "N", 0, "Make views of N photos, evenly spread (default: all); the others are listed only", 0},
    {"only-viewed", OPT_ONLY, NULL, 0, "With --limit: do not list the others", 0},
    {"strength", OPT_STRENGTH, "S", 0, "How far from the shop's photo, over 0 to 2 (default: 1)", 0},
    {"seed", OPT_SEED, "N", 0, "Another number makes other views (default: 1)", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "Where the idx files are, for photos that lie in them", 0},
    {"threads", OPT_THREADS, "N", 0, "Threads (default: one for each core)", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

static double parse_strength(struct argp_state *state, const char *text) {
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  if (errno || end == text || *end || !(value > 0 && value <= 2))
    argp_error(state, "--strength wants a number over 0 to 2, not '%s'", text);
  return value;
}

static error_t parse(int key, char *text, struct argp_state *state) {
  views_arguments *a = state->input;
  switch (key) {
    case 'o':
      a->options.folder = text;
      break;
    case OPT_EACH:
      a->options.each = cli_number(state, text, "--each", 1000);
      break;
    case OPT_LIMIT:
      a->options.limit = cli_number(state, text, "--limit", 1000000000);
      break;
    case OPT_ONLY:
      a->options.only_viewed = true;
      break;
    case OPT_STRENGTH:
      a->options.strength = parse_strength(state, text);
      break;
    case OPT_SEED:
      a->options.seed = cli_number(state, text, "--seed", ULONG_MAX);
      break;
    case OPT_IDX:
      a->options.idx = text;
      break;
    case OPT_THREADS:
      a->options.threads = cli_number(state, text, "--threads", 1024);
      break;
    case 'q':
      a->quiet = true;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &a->path, text, "catalogue");
      break;
    case ARGP_KEY_END:
      if (!a->path) argp_error(state, "name a CATALOG");
      if (!a->options.folder) argp_error(state, "name a folder for the views: -o FOLDER");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

static int print_result(const views_arguments *a, const hem__views_result *r) {
  printf("%s/manifest.tsv: %s shop photos, %s made views of %s of them; items: %s train, %s validation, %s test\n",
         a->options.folder, cli_count(r->photos), cli_count(r->views), cli_count(r->viewed),
         cli_count(r->items[HEM__TRAIN]), cli_count(r->items[HEM__VALIDATION]), cli_count(r->items[HEM__TEST]));
  if (!r->left_out) return EXIT_DONE;
  fprintf(stderr, "%s shop photos left out: their pictures cannot be read, or a name holds a tab or a line end%s%s\n",
          cli_count(r->left_out), r->why.code ? "; one of them: " : "", r->why.code ? cli_clean(r->why.message) : "");
  return EXIT_REJECTED;
}

int cli_views(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG", .doc = doc};
  views_arguments a = {.options = {.seed = 1}};
  hem__catalog *catalog = NULL;
  hem__views_result result;
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.options.progress = cli_progress(a.quiet);
  hem_status status = hem__catalog_open(a.path, &catalog, &err);
  if (!status) status = hem__views_make(catalog, &a.options, &result, &err);
  cli_progress_end();
  int code = status ? cli_fail(&err) : print_result(&a, &result);
  hem__catalog_close(catalog);
  return code;
}
