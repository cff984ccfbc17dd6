/* hemline ingest: photos into a catalogue. */
#include "cli/networks.h"

enum { OPT_IDX = 256, OPT_MANIFEST, OPT_THREADS };
enum { SPACES_MAX = 32 };

typedef struct ingest_arguments {
  hem_ingest_options options;
  const char *features[SPACES_MAX];
  cli_networks networks;
  bool quiet;
} ingest_arguments;

static const char doc[] =
    "Embed photos and keep them in CATALOG, an HDF5 file. Photos that are in it already are skipped, so the same "
    "command resumes an interrupted run.\v"
    "A manifest is a TSV or CSV file with a header. Columns, in any order: path (required), item_id, category, "
    "domain (shop or consumer), split (train, validation, test), label, box (x,y,width,height in pixels).\n\n"
    "Features: hog, color, hue, ccv, harris, pixels. Each --features makes one embedding space; several names joined "
    "by commas are normalised and concatenated. Default: hog,color,ccv,harris. Each --cnn makes one more, of a "
    "network; "
    "--preset, --layer and --preprocess tell of the one before them.\n\n"
    "Examples:\n"
    "  hemline ingest shop.h5 --manifest photos.tsv\n"
    "  hemline ingest shop.h5 --manifest photos.tsv --cnn resnet50.onnx --preset resnet50\n"
    "  hemline ingest fm.h5 --idx /usr/share/datasets/fashion-mnist --features pixels";

static const struct argp_option options[] = {
    {"manifest", OPT_MANIFEST, "FILE", 0, "Photos listed in a TSV or CSV file", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "Photos in Fashion-MNIST's own files", 0},
    {"features", 'f', "NAMES", 0, "Features of one embedding space; may be repeated", 0},
    CLI_NETWORK_OPTIONS,
    {"threads", OPT_THREADS, "N", 0, "Threads (default: one for each core)", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  ingest_arguments *a = state->input;
  hem_ingest_options *o = &a->options;
  switch (key) {
    case OPT_MANIFEST:
      o->manifest = text;
      break;
    case OPT_IDX:
      o->idx = text;
      break;
    case OPT_THREADS:
      o->threads = cli_number(state, text, "--threads", 1024);
      break;
    case 'q':
      a->quiet = true;
      break;
    case 'f':
      if (o->feature_count == SPACES_MAX) argp_error(state, "at most %d embedding spaces", SPACES_MAX);
      a->features[o->feature_count++] = text;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &o->catalog, text, "catalogue");
      break;
    case ARGP_KEY_END:
      cli_networks_option(&a->networks, key, text, state);
      if (!o->catalog) argp_error(state, "name the CATALOG to ingest into");
      if (!o->idx == !o->manifest) argp_error(state, "name one source: --manifest or --idx");
      break;
    default:
      return cli_networks_option(&a->networks, key, text, state);
  }
  return 0;
}

int cli_ingest(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG", .doc = doc};
  ingest_arguments a = {.options = {.size = sizeof a.options}};
  hem_ingest_result result;
  hem_error err;
  a.options.features = a.features;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.options.progress = cli_progress(a.quiet);
  hem_status status = cli_networks_open(&a.networks, a.features, &a.options.feature_count, SPACES_MAX, &err);
  if (!status) status = hem_ingest(&a.options, &result, &err);
  cli_networks_clear(&a.networks);
  if (status) return cli_fail(&err);
  cli_progress_end();
  fprintf(stderr, "%s: %s photos (%s added, ", a.options.catalog, cli_count(result.rows), cli_count(result.added));
  if (result.replaced) fprintf(stderr, "%s replaced, ", cli_count(result.replaced));
  fprintf(stderr, "%s already there, %s rejected)\n", cli_count(result.skipped), cli_count(result.rejected));
  if (result.rejected) fprintf(stderr, "why photos were rejected: hemline info %s --rejected\n", a.options.catalog);
  return result.rejected ? EXIT_REJECTED : EXIT_DONE;
}
