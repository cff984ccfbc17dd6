/* hemline ingest: photos into a catalogue. */
#include <stdlib.h>
#include <string.h>

#include "cli/networks.h"

enum {
  OPT_IDX = 256,
  OPT_MANIFEST,
  OPT_THREADS,
  OPT_FOLDER,
  OPT_DEEPFASHION,
  OPT_WHOLE_PHOTOS,
  OPT_VECTORS,
  OPT_SPACE,
  OPT_DOMAIN,
  OPT_SPLIT
};

typedef struct ingest_arguments {
  hem_ingest_options options;
  const char *features[HEM__SPACES_MAX];
  cli_networks networks;
  bool quiet;
} ingest_arguments;

static const char doc[] =
    "Embed photos and keep them in CATALOG, an HDF5 file. Photos that are in it already are skipped, so the same "
    "command resumes an interrupted run.\v"
    "A manifest is a TSV or CSV file with a header. Columns, in any order: path (required), item_id, category, domain "
    "(shop or consumer), split (train, validation, test), label, box (x,y,width,height: in pixels, or in parts of the "
    "photo where there is a decimal point and nothing above 1, as in 0.1,0.2,0.5,0.5).\n\n"
    "A folder holds DIR/CATEGORY/PHOTO or DIR/CATEGORY/ITEM/PHOTO. Above the categories there may be folders named "
    "shop or consumer, and train, validation (val) or test. A photo outside of an ITEM folder is an item of its own, "
    "CATEGORY/NAME. Hidden files, and those that do not end like a photo (.jpg, .png, ...), are passed over.\n\n"
    "DeepFashion is read as it was published: Img/img or img, Eval/list_eval_partition.txt and "
    "Anno/list_bbox_consumer2shop.txt, to whose boxes photos are cropped. DRESSES/Skirt is the category skirt, the "
    "rest of DRESSES dress, TOPS upper, TROUSERS lower; other folders go by clothes_type.\n\n"
    "Vectors are rows of float values: .npy, .fvecs, .bvecs, or HDF5, of which FILE.h5:/GROUP/NAME names a dataset; "
    "where there are datasets train and test, they are the shop and its customers. With --manifest, its row i "
    "describes vector i.\n\n"
    "Features: hog, color, hue, ccv, harris, pixels. Each --features makes one embedding space; several names joined "
    "by commas are normalised and concatenated. Default: what the catalogue has, or hog,color,ccv,harris. Each --cnn "
    "makes one more, of a network; --preset, --layer and --preprocess tell of the one before them.\n\n"
    "Examples:\n"
    "  hemline ingest shop.h5 --manifest photos.tsv\n"
    "  hemline ingest shop.h5 --manifest photos.tsv --cnn resnet50.onnx --preset resnet50\n"
    "  hemline ingest shop.h5 --folder photos/ --split test\n"
    "  hemline ingest sift.h5 --vectors sift_base.fvecs --space sift\n"
    "  hemline ingest fm.h5 --idx /usr/share/datasets/fashion-mnist --features pixels";

static const struct argp_option options[] = {
    {"manifest", OPT_MANIFEST, "FILE", 0, "Photos listed in a TSV or CSV file", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "Photos in Fashion-MNIST's own files", 0},
    {"folder", OPT_FOLDER, "DIR", 0, "Photos in a folder for each category", 0},
    {"deepfashion", OPT_DEEPFASHION, "ROOT", 0, "Photos of DeepFashion's Consumer-to-Shop benchmark", 0},
    {"vectors", OPT_VECTORS, "FILE", 0, "Ready-made vectors instead of photos", 0},
    {"space", OPT_SPACE, "NAME", 0, "Name of the space of ready-made vectors (default: vectors)", 0},
    {"domain", OPT_DOMAIN, "NAME", 0, "shop or consumer, where a folder or vectors do not say it (default: shop)", 0},
    {"split", OPT_SPLIT, "NAME", 0, "train, validation, test or none, likewise (default: none)", 0},
    {"whole-photos", OPT_WHOLE_PHOTOS, NULL, 0, "Do not crop to DeepFashion's boxes", 0},
    {"features", 'f', "NAMES", 0, "Features of one embedding space; may be repeated", 0},
    CLI_NETWORK_OPTIONS,
    {"threads", OPT_THREADS, "N", 0, "Threads (default: one for each core)", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

/* One source; and no option that it would not heed. */
static void check_source(const hem_ingest_options *o, struct argp_state *state) {
  bool listed = o->manifest && !o->vectors;
  if (listed + (o->idx != NULL) + (o->folder != NULL) + (o->deepfashion != NULL) + (o->vectors != NULL) != 1)
    argp_error(state, "name one source: --manifest, --folder, --deepfashion, --vectors or --idx");
  if (o->whole_photos && !o->deepfashion) argp_error(state, "--whole-photos is for --deepfashion");
  if (o->space_name && !o->vectors) argp_error(state, "--space is for --vectors");
  if (o->vectors && o->feature_count) argp_error(state, "--features are of photos: --vectors has none");
  if ((o->domain || o->split) && !o->folder && !(o->vectors && !o->manifest))
    argp_error(state, "--domain and --split are for --folder, and for --vectors without --manifest");
}

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
    case OPT_FOLDER:
      o->folder = text;
      break;
    case OPT_DEEPFASHION:
      o->deepfashion = text;
      break;
    case OPT_WHOLE_PHOTOS:
      o->whole_photos = true;
      break;
    case OPT_VECTORS:
      o->vectors = text;
      break;
    case OPT_SPACE:
      o->space_name = text;
      break;
    case OPT_DOMAIN:
      o->domain = text;
      break;
    case OPT_SPLIT:
      o->split = text;
      break;
    case OPT_THREADS:
      o->threads = cli_number(state, text, "--threads", 1024);
      break;
    case 'q':
      a->quiet = true;
      break;
    case 'f':
      if (o->feature_count == HEM__SPACES_MAX) argp_error(state, "at most %d embedding spaces", HEM__SPACES_MAX);
      a->features[o->feature_count++] = text;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &o->catalog, text, "catalogue");
      break;
    case ARGP_KEY_END:
      cli_networks_option(&a->networks, key, text, state);
      if (!o->catalog) argp_error(state, "name the CATALOG to ingest into");
      check_source(o, state);
      break;
    default:
      return cli_networks_option(&a->networks, key, text, state);
  }
  return 0;
}

/* ---- why photos were rejected ---- */

enum { KINDS_SHOWN = 8 };

typedef struct kind {
  size_t first, count; /* its first rejection, and how many there are */
} kind;

static int by_count(const void *a, const void *b) {
  const kind *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return (x->first > y->first) - (x->first < y->first);
}

/* *kinds: freed with free(). */
static hem_status count_kinds(const hem__photos *photos, kind **kinds, size_t *count, hem_error *err) {
  size_t *kind_of = NULL;
  hem_status status = hem__alloc(photos->rejected_count, sizeof *kind_of, "reasons", &kind_of, err);
  if (!status) status = hem__rejection_kinds(photos, kind_of, count, err);
  if (!status) status = hem__alloc(*count, sizeof **kinds, "reasons", kinds, err);
  for (size_t i = photos->rejected_count; i-- > 0 && !status;) {
    (*kinds)[kind_of[i]].first = i;
    (*kinds)[kind_of[i]].count++;
  }
  free(kind_of);
  return status;
}

/* One line a kind of reason, the most frequent first, each with one photo's own words. */
static void print_reasons(const char *path) {
  hem__catalog *catalog = NULL;
  kind *kinds = NULL;
  size_t count = 0;
  if (hem__catalog_open(path, &catalog, NULL)) return;
  const hem__photos *photos = hem__catalog_photos(catalog);
  if (!count_kinds(photos, &kinds, &count, NULL) && count) {
    qsort(kinds, count, sizeof *kinds, by_count);
    fputs("rejected, most frequent reason first:\n", stderr);
    for (size_t i = 0; i < hem__min(count, KINDS_SHOWN); i++)
      fprintf(stderr, "%9s  %s\n", cli_count(kinds[i].count), cli_clean(photos->rejected[kinds[i].first].reason));
    if (count > KINDS_SHOWN) fprintf(stderr, "           and %s more reasons\n", cli_count(count - KINDS_SHOWN));
  }
  fprintf(stderr, "all of them: hemline info %s --rejected\n", path);
  free(kinds);
  hem__catalog_close(catalog);
}

int cli_ingest(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG", .doc = doc};
  ingest_arguments a = {.options = {.size = sizeof a.options}};
  hem_ingest_result result;
  hem_error err;
  a.options.features = a.features;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.options.progress = cli_progress(a.quiet);
  hem_status status = cli_networks_open(&a.networks, a.features, &a.options.feature_count, &err);
  if (!status) status = hem_ingest(&a.options, &result, &err);
  cli_networks_clear(&a.networks);
  if (status) return cli_fail(&err);
  cli_progress_end();
  fprintf(stderr, "%s: %s photos (%s added, ", a.options.catalog, cli_count(result.rows), cli_count(result.added));
  if (result.replaced) fprintf(stderr, "%s replaced, ", cli_count(result.replaced));
  fprintf(stderr, "%s already there, %s rejected)\n", cli_count(result.skipped), cli_count(result.rejected));
  if (result.rejected) print_reasons(a.options.catalog);
  return result.rejected ? EXIT_REJECTED : EXIT_DONE;
}
