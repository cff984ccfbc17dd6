/* hemline demo: the main job on the data set that Debian ships, step by step, with something to look at. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "bench/experiments_page.h"
#include "bench/recall.h"
#include "bench/views.h"
#include "cli/experiments.h"
#include "cli/picture.h"
#include "ingest/source.h"

enum { OPT_IDX = 256, OPT_DIR };
/* Of the experiments: small, so that they take about a minute. */
enum { PRACTICE_PHOTOS = 1200, PRACTICE_EPOCHS = 5, PRACTICE_HIDDEN = 32, PRACTICE_POINTS = 1200 };
enum { SHEET_HITS = 10, QUERIES_A_CATEGORY = 1000, RECALL_QUERIES = 200, SHEETS_MAX = 16, PATH_SIZE = 4096 };

static const char whitebox[] = "hog,color,ccv,harris", whitebox_space[] = "hog+color+ccv+harris", pixels[] = "pixels";

typedef struct demo {
  const char *idx, *folder;
  char catalog_path[PATH_SIZE], report_path[PATH_SIZE], experiments_path[PATH_SIZE];
  hem_progress progress;
  hem__source *photos; /* the pictures themselves, to show */
  hem__catalog *catalog;
  hem__accuracy accuracy;
  hem__recall_row *recall;
  size_t recall_count;
  hem__sheet sheets[SHEETS_MAX];
  size_t sheet_count;
} demo;

static const char doc[] =
    "Ingest, index, query and evaluate Fashion-MNIST: 60,000 product photos are the shop, 10,000 others the customers. "
    "Then a Siamese metric is trained on made views of some of them. Ends with matches on the screen and HTML "
    "reports.\v"
    "Debian's package dataset-fashion-mnist carries the photos; --idx takes any folder of files in that format.\n\n"
    "Examples:\n"
    "  hemline demo\n"
    "  hemline demo --dir /tmp/demo";

static const struct argp_option options[] = {
    {"dir", OPT_DIR, "FOLDER", 0, "Where to put what it makes (default: demo)", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "Where the photos are (default: /usr/share/datasets/fashion-mnist)", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  demo *d = state->input;
  switch (key) {
    case OPT_DIR:
      d->folder = text;
      break;
    case OPT_IDX:
      d->idx = text;
      break;
    case ARGP_KEY_ARG:
      argp_error(state, "'%s' is too many", text);
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

static void say(const char *text) {
  cli_progress_end();
  printf("\n== %s\n", text);
  fflush(stdout);
}

static hem_status path_in(const demo *d, const char *name, char *out, hem_error *err) {
  if (snprintf(out, PATH_SIZE, "%s/%s", d->folder, name) < PATH_SIZE) return HEM_OK;
  return hem__fail(err, HEM_EINVAL, "the name of the folder is too long");
}

/* ---- ingest and index ---- */

static hem_status ingest(demo *d, hem_error *err) {
  static const char *const features[] = {whitebox, pixels};
  hem_ingest_options o = {.size = sizeof o,
                          .catalog = d->catalog_path,
                          .idx = d->idx,
                          .features = features,
                          .feature_count = 2,
                          .progress = d->progress};
  hem_ingest_result result;
  say("ingest: photos -> embeddings -> catalogue (HDF5)");
  hem_status status = hem_ingest(&o, &result, err);
  if (status) return status;
  cli_progress_end();
  printf("%s: %s photos, %s of them new\n", d->catalog_path, cli_count(result.rows), cli_count(result.added));
  return hem__catalog_open(d->catalog_path, &d->catalog, err);
}

/* Builds a store and opens it. */
static hem_status index_as(demo *d, const char *space, const char *kind, hem_engine **engine, hem_error *err) {
  char name[64], store[PATH_SIZE];
  snprintf(name, sizeof name, "%s.%s.store", strchr(space, '+') ? "whitebox" : space, kind);
  hem_status status = path_in(d, name, store, err);
  hem_index_options o = {.size = sizeof o,
                         .catalog = d->catalog_path,
                         .store = store,
                         .space = space,
                         .kind = kind,
                         .progress = d->progress};
  if (!status) status = hem_index(&o, err);
  cli_progress_end();
  return status ? status : hem_engine_open(store, NULL, engine, err);
}

/* ---- matches ---- */

/* The photo of a catalogue row. The demo's catalogue has the source's photos in the source's order; a photo
 * whose checksum is another one is not shown. */
static hem_status picture(const demo *d, uint64_t row, hem__image *out, hem_error *err) {
  const hem__photo *kept = &hem__catalog_photos(d->catalog)->at[row];
  hem__photo read = {0};
  if (row >= d->photos->count) return hem__fail(err, HEM_ENOTFOUND, "%s is not among the photos", kept->path);
  hem_status status = d->photos->read(d->photos, &(hem__listed){.number = row}, NULL, &read, out, err);
  if (!status && !hem__digest_equal(&read.source, &kept->source)) {
    hem__image_clear(out);
    status =
        hem__fail(err, HEM_EMISMATCH, "%s is not the photo that was ingested: remove the demo's folder", kept->path);
  }
  return status;
}

/* The images and captions of one sheet; the sheet borrows them. */
typedef struct sheet_memory {
  hem__image images[1 + SHEET_HITS];
  char captions[1 + SHEET_HITS][64];
  hem__sheet_photo hits[SHEET_HITS];
  char title[160];
} sheet_memory;

static hem_status fill_sheet(const demo *d, uint64_t row, const hem_answer *answer, sheet_memory *m, hem__sheet *sheet,
                             hem_error *err) {
  const hem__photo *query = &hem__catalog_photos(d->catalog)->at[row];
  hem_status status = picture(d, row, &m->images[0], err);
  snprintf(m->captions[0], sizeof m->captions[0], "%.60s", query->label);
  for (size_t i = 0; i < answer->found && !status; i++) {
    const hem_hit *hit = &answer->hits[i];
    status = picture(d, hit->row, &m->images[1 + i], err);
    snprintf(m->captions[1 + i], sizeof m->captions[1 + i], "%.40s %.3f", hit->label, (double)hit->distance);
    m->hits[i] = (hem__sheet_photo){
        .image = &m->images[1 + i], .caption = m->captions[1 + i], .right = !strcmp(hit->label, query->label)};
  }
  snprintf(m->title, sizeof m->title, "%.40s in category %.40s", query->item_id, query->category);
  *sheet = (hem__sheet){.title = m->title,
                        .query = {.image = &m->images[0], .caption = m->captions[0], .right = true},
                        .hits = m->hits,
                        .hit_count = status ? 0 : answer->found};
  return status;
}

static hem_status show_sheet(const hem__sheet *sheet, hem_error *err) {
  hem__image images[1 + SHEET_HITS];
  const char *captions[1 + SHEET_HITS];
  images[0] = *sheet->query.image;
  captions[0] = "customer";
  for (size_t i = 0; i < sheet->hit_count; i++) {
    images[1 + i] = *sheet->hits[i].image;
    captions[1 + i] = sheet->hits[i].caption;
  }
  printf("\n%s: %s\n", sheet->title, sheet->query.caption);
  return cli_print_pictures(images, captions, 1 + sheet->hit_count, err);
}

/* The first customer photo of a category. */
static uint64_t first_query(const demo *d, const char *category) {
  const hem__photos *photos = hem__catalog_photos(d->catalog);
  uint64_t row = 0;
  while (row < photos->count &&
         (photos->at[row].domain != HEM__CONSUMER || strcmp(photos->at[row].category, category) != 0))
    row++;
  return row < photos->count ? row : UINT64_MAX;
}

static hem_status match_category(demo *d, hem_searcher *searcher, const char *category, sheet_memory *memory,
                                 hem_error *err) {
  uint64_t row = first_query(d, category);
  size_t space = 0;
  hem_answer answer;
  if (row == UINT64_MAX || d->sheet_count == SHEETS_MAX) return HEM_OK;
  hem_status status = hem__catalog_find_space(d->catalog, whitebox_space, &space, err);
  if (!status) status = hem__catalog_check(d->catalog, space, row, 1, err);
  if (status) return status;
  hem__matrix vectors = hem__catalog_matrix(d->catalog, space);
  hem_search_options o = {.size = sizeof o, .k = SHEET_HITS, .categories = &category, .category_count = 1};
  status = hem_search(searcher, hem__row(vectors, row), vectors.dim, &o, &answer, err);
  if (status) return status;
  hem__sheet *sheet = &d->sheets[d->sheet_count];
  status = fill_sheet(d, row, &answer, &memory[d->sheet_count++], sheet, err);
  return status ? status : show_sheet(sheet, err);
}

static hem_status match(demo *d, sheet_memory *memory, hem_error *err) {
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  hem_engine_info info;
  say("index: the white-box features, a graph (HNSW) for each category");
  hem_status status = index_as(d, whitebox_space, "hnsw", &engine, err);
  if (!status) status = hem_searcher_new(engine, &searcher, err);
  if (!status) status = hem__source_idx(d->idx, &d->photos, err);
  if (status) goto exit;
  say("query: a customer's photo and the shop's nearest products");
  hem_engine_info_get(engine, &info);
  for (size_t c = 0; c < info.category_count && !status; c++) {
    const char *category;
    hem_engine_category(engine, c, &category, NULL, NULL);
    status = match_category(d, searcher, category, memory, err);
  }
exit:
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  return status;
}

/* ---- numbers ---- */

static hem_status measure_accuracy(demo *d, hem_error *err) {
  hem__accuracy_options o = {
      .query_split = -1, .gallery_split = -1, .query_limit = QUERIES_A_CATEGORY, .progress = d->progress};
  say("evaluate: top-k accuracy of each feature, by exact distances");
  hem_status status = hem__catalog_find_space(d->catalog, whitebox_space, &o.space, err);
  if (!status) status = hem__accuracy_measure(d->catalog, &o, &d->accuracy, err);
  cli_progress_end();
  if (status) return status;
  printf(
      "Fashion-MNIST does not say which photos show one product: right means the same class, within its category.\n\n"
      "%-24s %8s %8s   %s\n",
      "all categories, L2", "top-1", "chance", "95% interval");
  for (size_t i = 0; i < d->accuracy.row_count; i++) {
    const hem__accuracy_row *row = &d->accuracy.rows[i];
    if (strcmp(row->category, "all") != 0 || row->distance != HEM_L2) continue;
    double low, high;
    hem__wilson(row->right[0], row->queries, &low, &high);
    printf("%-24s %7.2f%% %7.2f%%   %.2f-%.2f%% of %s queries\n", row->approach,
           100.0 * (double)row->right[0] / (double)row->queries, 100 * row->chance[0], 100 * low, 100 * high,
           cli_count(row->queries));
  }
  return HEM_OK;
}

static hem_status measure_kind(demo *d, const char *kind, hem_error *err) {
  hem_engine *engine = NULL;
  hem__recall_row *rows = NULL;
  size_t count = 0, capacity = d->recall_count;
  hem__recall_options o = {.query_limit = RECALL_QUERIES, .progress = d->progress};
  hem_status status = index_as(d, pixels, kind, &engine, err);
  if (!status) status = hem__recall_measure(engine, d->catalog, &o, &rows, &count, err);
  if (!status) status = hem__grow(&d->recall, &capacity, d->recall_count + 1, sizeof *d->recall, "recall", err);
  cli_progress_end();
  if (!status) {
    /* The engine goes; the row's names must not go with it. */
    hem__recall_row *all = &d->recall[d->recall_count++];
    *all = rows[count - 1];
    all->kind = kind;
    all->category = "all";
    printf("%-9s recall@10 %.4f (95%%: %.4f-%.4f), %.0f us a query (p99 %.0f)\n", kind, all->recall, all->low,
           all->high, all->median_us, all->p99_us);
  }
  free(rows);
  hem_engine_close(engine);
  return status;
}

static hem_status measure_recall(demo *d, hem_error *err) {
  static const char *const kinds[] = {"flat", "hnsw", "hnsw-sq8", "hnsw-pca", "ivf", "ivf-sq8", "ivf-pq"};
  hem_status status = HEM_OK;
  say("evaluate: recall and speed of each kind of index, 784 pixels, against an exact scan");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !status; i++) status = measure_kind(d, kinds[i], err);
  return status;
}

/* ---- the Siamese metric ---- */

/* Fashion-MNIST has no pairs: made views of its photos stand in for customers' photos. */
static hem_status practise(demo *d, hem__catalog **practice, hem_error *err) {
  static const char *const features[] = {whitebox};
  char folder[PATH_SIZE], listing[PATH_SIZE], path[PATH_SIZE];
  hem__views_result made;
  hem_ingest_result result;
  hem_status status = path_in(d, "practice", folder, err);
  if (!status) status = path_in(d, "practice/manifest.tsv", listing, err);
  if (!status) status = path_in(d, "practice.h5", path, err);
  hem__views_options v = {.folder = folder,
                          .idx = d->idx,
                          .each = 2,
                          .limit = PRACTICE_PHOTOS,
                          .only_viewed = true,
                          .seed = 1,
                          .strength = 0.5,
                          .progress = d->progress};
  if (!status) status = hem__views_make(d->catalog, &v, &made, err);
  hem_ingest_options o = {.size = sizeof o,
                          .catalog = path,
                          .manifest = listing,
                          .features = features,
                          .feature_count = 1,
                          .progress = d->progress};
  if (!status) status = hem_ingest(&o, &result, err);
  if (!status) status = hem__catalog_open(path, practice, err);
  return status;
}

static hem_status experiment(demo *d, hem__catalog *practice, hem_error *err) {
  hem__experiments x = {0};
  hem__experiments_options o = {
      .train = {.epochs = PRACTICE_EPOCHS, .hidden = PRACTICE_HIDDEN}, .gallery_split = -1, .progress = d->progress};
  hem__experiments_page page = {.path = d->experiments_path,
                                .title = "Hemline: the experiments on made views",
                                .about =
                                    "Products of Fashion-MNIST, and made views of them instead of customers’ photos: "
                                    "easier than photos of the street, and different.",
                                .idx = d->idx,
                                .sheets = 3,
                                .points = PRACTICE_POINTS,
                                .gallery_split = -1,
                                .progress = d->progress};
  hem_status status = hem__experiments_run(practice, &o, &x, err);
  cli_progress_end();
  if (!status) cli_print_experiments(&x);
  if (!status) status = hem__experiments_write(practice, &x, &page, err);
  cli_progress_end();
  hem__experiments_clear(&x);
  return status;
}

static hem_status measure_metric(demo *d, hem_error *err) {
  hem__catalog *practice = NULL;
  say("train and evaluate: a Siamese metric against the plain distances, on made views of 1,200 products");
  hem_status status = practise(d, &practice, err);
  cli_progress_end();
  if (!status) status = experiment(d, practice, err);
  hem__catalog_close(practice);
  if (status != HEM_EUNSUPPORTED) return status;
  printf("left out: %s\n", err->message);
  d->experiments_path[0] = '\0';
  return HEM_OK;
}

static hem_status write_report(const demo *d, hem_error *err) {
  hem__report report = {
      .title = "Hemline on Fashion-MNIST",
      .summary =
          "60,000 product photos are the shop and 10,000 others the customers. The sheets show white-box features "
          "under L2; recall and speed are those of 784 raw pixels, the data set that ann-benchmarks calls "
          "fashion-mnist-784-euclidean, each query within its own category.",
      .accuracy = &d->accuracy,
      .recall = d->recall,
      .recall_count = d->recall_count,
      .sheets = d->sheets,
      .sheet_count = d->sheet_count};
  return hem__report_write(&report, d->report_path, err);
}

static hem_status run(demo *d, sheet_memory *memory, hem_error *err) {
  hem_status status = hem__make_folder(d->folder, err);
  if (!status) status = path_in(d, "fashion-mnist.h5", d->catalog_path, err);
  if (!status) status = path_in(d, "report.html", d->report_path, err);
  if (!status) status = path_in(d, "experiments.html", d->experiments_path, err);
  if (!status) status = ingest(d, err);
  if (!status) status = match(d, memory, err);
  if (!status) status = measure_accuracy(d, err);
  if (!status) status = measure_recall(d, err);
  if (!status) status = measure_metric(d, err);
  return status ? status : write_report(d, err);
}

int cli_demo(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .doc = doc};
  static sheet_memory memory[SHEETS_MAX];
  static demo d = {.idx = "/usr/share/datasets/fashion-mnist", .folder = "demo"};
  struct timespec from, to;
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &d);
  d.progress = cli_progress(false);
  clock_gettime(CLOCK_MONOTONIC, &from);
  hem_status status = run(&d, memory, &err);
  clock_gettime(CLOCK_MONOTONIC, &to);
  int code = status ? cli_fail(&err) : EXIT_DONE;
  if (!status) {
    say("done");
    printf("%ld s. Look at %s%s%s\n", (long)(to.tv_sec - from.tv_sec), d.report_path,
           *d.experiments_path ? " and " : "", d.experiments_path);
  }
  for (size_t i = 0; i < SHEETS_MAX; i++)
    for (size_t j = 0; j < 1 + SHEET_HITS; j++) hem__image_clear(&memory[i].images[j]);
  free(d.recall);
  hem__accuracy_clear(&d.accuracy);
  hem__catalog_close(d.catalog);
  if (d.photos) d.photos->close(d.photos);
  return code;
}
