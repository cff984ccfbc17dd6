/* hemline index: a catalogue into a generation of per-category indices. */
#include "cli/certificate.h"
#include "cli/tuned.h"

enum {
  OPT_KIND = 256,
  OPT_SPACE,
  OPT_EF,
  OPT_EFC,
  OPT_LINKS,
  OPT_AXES,
  OPT_NLIST,
  OPT_NPROBE,
  OPT_REFINE,
  OPT_THREADS,
  OPT_KEEP,
  OPT_METRIC,
  OPT_FORCE,
  OPT_RERANK,
  OPT_PRECISION,
  OPT_RECALL,
  OPT_LATENCY,
  OPT_MEMORY
};

typedef struct index_arguments {
  hem_index_options options;
  bool quiet, distance;
} index_arguments;

static const char doc[] =
    "Build an index for each category of CATALOG's shop photos and publish it as the current generation of STORE. "
    "Programs that have the store open go on with the generation they opened.\v"
    "Kinds: flat scans every photo and is exact; hnsw is a graph, the fastest at high recall; ivf visits nprobe "
    "of nlist clusters; -sq8, -pca and -pq keep compressed vectors and compute exact distances for the best of them. "
    "hnsw-pca, which leaves out the dimensions that tell little, is the default for l2 and cosine of vectors of 256 "
    "values and more. A category of fewer than 1,000 photos is always flat.\n\n"
    "With a metric of 'hemline train', candidates are found by the distance nearest to it and the answer is ordered by "
    "it. How many candidates are scored is chosen so that 0.99 of the 20 best items by scoring every photo are kept; "
    "what was measured is printed and stays in the store.\n\n"
    "With --target-recall, --max-latency or --max-memory, settings are tried out before the store changes: each "
    "category "
    "gets the fastest kind and depths whose recall is surely reached within the limits, and a recall is promised that "
    "other queries measured. Ask for a kind (--kind) to have only its depths chosen. What was tried stays in the "
    "store: "
    "see 'hemline cost'.\n\n"
    "Examples:\n"
    "  hemline index shop.h5 -o shop.store\n"
    "  hemline index shop.h5 -o shop.store --kind ivf-sq8 --distance cosine --nprobe 32\n"
    "  hemline index shop.h5 -o shop.store --metric shop.metric\n"
    "  hemline index shop.h5 -o shop.store --target-recall 0.99 --max-memory 500M";

static const struct argp_option options[] = {
    {"output", 'o', "STORE", 0, "Folder of generations, made if missing", 0},
    {"space", OPT_SPACE, "NAME", 0, "Embedding space (default: the only one)", 0},
    {"kind", OPT_KIND, "KIND", 0,
     "flat, hnsw, hnsw-sq8, hnsw-pca, ivf, ivf-sq8 or ivf-pq (default: hnsw-pca for wide vectors, else hnsw)", 0},
    {"distance", 'd', "NAME", 0, "l2, l1, cosine or ip (default: l2)", 0},
    {"ef-search", OPT_EF, "N", 0, "hnsw: candidates kept while searching (default: 64)", 0},
    {"ef-construction", OPT_EFC, "N", 0, "hnsw: candidates kept while building (default: 40)", 0},
    {"links", OPT_LINKS, "N", 0, "hnsw: links of a photo, M (default: 32)", 0},
    {"axes", OPT_AXES, "N", 0, "hnsw-pca: dimensions of the projection (default: 128)", 0},
    {"nlist", OPT_NLIST, "N", 0, "ivf: clusters (default: 4 sqrt(n); at most n/39)", 0},
    {"nprobe", OPT_NPROBE, "N", 0, "ivf: clusters visited by a query", 0},
    {"refine", OPT_REFINE, "N", 0, "-sq8, -pca, -pq: exact distances for N times k photos", 0},
    {"metric", OPT_METRIC, "FILE", 0, "Rerank by this Siamese metric (see 'hemline train')", 0},
    {"force", OPT_FORCE, NULL, 0, "Take a metric that is not better than the plain distances", 0},
    {"rerank", OPT_RERANK, "N", 0, "Candidates a category that it scores (default: the fewest that keep 0.99)", 0},
    {"precision", OPT_PRECISION, "NAME", 0, "What it scores: u8 or f16 (default: u8, unless that loses too much)", 0},
    {"target-recall", OPT_RECALL, "R", 0, "Choose the fastest settings that surely have this recall, 0..1", 0},
    {"max-latency", OPT_LATENCY, "US", 0, "... whose median query takes no more microseconds, on one thread", 0},
    {"max-memory", OPT_MEMORY, "BYTES", 0, "... whose indices and vectors take no more, of all categories (800M, 2G)",
     0},
    {"threads", OPT_THREADS, "N", 0, "Categories built at once (default: one for each core)", 0},
    {"keep", OPT_KEEP, "N", 0, "Older generations to keep, at least 1 (default: 2)", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  index_arguments *a = state->input;
  hem_index_options *o = &a->options;
  hem_error err;
  switch (key) {
    case 'o':
      o->store = text;
      break;
    case 'q':
      a->quiet = true;
      break;
    case OPT_SPACE:
      o->space = text;
      break;
    case OPT_KIND:
      o->kind = text;
      break;
    case 'd':
      if (hem_distance_parse(text, &o->distance, &err)) argp_error(state, "%s", err.message);
      a->distance = true;
      break;
    case OPT_EF:
      o->ef_search = (uint32_t)cli_number(state, text, "--ef-search", 100000);
      break;
    case OPT_EFC:
      o->ef_construction = (uint32_t)cli_number(state, text, "--ef-construction", 100000);
      break;
    case OPT_LINKS:
      o->links = (uint32_t)cli_number(state, text, "--links", 1024);
      break;
    case OPT_AXES:
      o->axes = (uint32_t)cli_number(state, text, "--axes", 100000);
      break;
    case OPT_NLIST:
      o->nlist = (uint32_t)cli_number(state, text, "--nlist", 100000000);
      break;
    case OPT_NPROBE:
      o->nprobe = (uint32_t)cli_number(state, text, "--nprobe", 100000000);
      break;
    case OPT_REFINE:
      o->refine = (uint32_t)cli_number(state, text, "--refine", 10000);
      break;
    case OPT_THREADS:
      o->threads = cli_number(state, text, "--threads", 1024);
      break;
    case OPT_KEEP:
      o->keep = (uint32_t)cli_number(state, text, "--keep", 999999);
      if (!o->keep) argp_error(state, "--keep wants at least 1");
      break;
    case OPT_METRIC:
      o->metric = text;
      break;
    case OPT_FORCE:
      o->force = true;
      break;
    case OPT_RERANK:
      o->rerank = (uint32_t)cli_number(state, text, "--rerank", 1000000);
      if (!o->rerank) argp_error(state, "--rerank wants at least 1");
      break;
    case OPT_PRECISION:
      o->precision = text;
      break;
    case OPT_RECALL:
      o->target_recall = cli_share(state, text, "--target-recall");
      break;
    case OPT_LATENCY:
      o->max_latency_us = (uint32_t)cli_number(state, text, "--max-latency", UINT32_MAX);
      break;
    case OPT_MEMORY:
      o->max_memory = cli_bytes(state, text, "--max-memory");
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &o->catalog, text, "catalogue");
      break;
    case ARGP_KEY_END:
      if (!o->catalog) argp_error(state, "name the CATALOG to index");
      if (!o->store) argp_error(state, "name the store: -o STORE");
      if (o->metric && a->distance) argp_error(state, "--metric brings a distance of its own: leave --distance out");
      if (!o->metric && (o->force || o->rerank || o->precision))
        argp_error(state, "--force, --rerank and --precision are for --metric");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

static int tell(const char *store) {
  hem__generation g = {0};
  hem__tuning tuning = {0};
  hem_error err;
  hem_status status = hem__generation_open(store, &g, &err);
  if (!status) status = hem__tuning_read(&g, &tuning, &err);
  if (!status && hem__manifest_learned(&g.manifest)) cli_print_metric(stderr, &g.manifest);
  if (!status && tuning.category_count) cli_print_tuning(stderr, &tuning);
  hem__tuning_clear(&tuning);
  hem__generation_close(&g);
  if (status) return cli_fail(&err);
  fprintf(stderr, "%s: published; look with 'hemline info %s'\n", store, store);
  return EXIT_DONE;
}

int cli_index(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG -o STORE", .doc = doc};
  index_arguments a = {.options = {.size = sizeof a.options}};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.options.progress = cli_progress(a.quiet);
  if (hem_index(&a.options, &err)) return cli_fail(&err);
  cli_progress_end();
  return tell(a.options.store);
}
