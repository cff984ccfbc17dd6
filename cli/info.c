/* hemline info and hemline verify: what is in a catalogue or store, and whether all of it is intact. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/certificate.h"
#include "cli/tuned.h"
#include "index/learned.h"
#include "ingest/network.h"

enum { OPT_JSON = 256, OPT_REJECTED };

typedef struct info_arguments {
  const char *path;
  bool json, rejected, quiet;
} info_arguments;

static error_t parse(int key, char *text, struct argp_state *state) {
  info_arguments *a = state->input;
  switch (key) {
    case OPT_JSON:
      a->json = true;
      break;
    case OPT_REJECTED:
      a->rejected = true;
      break;
    case 'q':
      a->quiet = true;
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

/* ---- catalogues ---- */

/* Photos of one category, by domain. */
typedef struct tally {
  const char *category;
  uint64_t shop, consumer;
} tally;

static hem_status count_categories(const hem__photos *photos, tally **out, size_t *count, hem_error *err) {
  hem__set names = {0};
  size_t capacity = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < photos->count && !status; i++) {
    size_t number;
    status = hem__set_add(&names, photos->at[i].category, &number, err);
    if (!status && number == *count) {
      status = hem__grow(out, &capacity, number + 1, sizeof **out, "categories", err);
      if (!status) (*out)[(*count)++] = (tally){.category = photos->at[i].category};
    }
    if (status) break;
    uint64_t *side = photos->at[i].domain == HEM__SHOP ? &(*out)[number].shop : &(*out)[number].consumer;
    ++*side;
  }
  hem__set_clear(&names);
  return status;
}

static json_t *space_to_json(const hem__space *space) {
  json_t *blocks = json_array();
  for (size_t i = 0; i < space->block_count; i++)
    json_array_append_new(
        blocks, json_pack("{s:s, s:I}", "name", space->blocks[i].name, "dim", (json_int_t)space->blocks[i].dim));
  return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "name", space->name, "features", space->features, "dim",
                   (json_int_t)space->dim, "sha256", space->hash, "recipe", space->recipe, "blocks", blocks);
}

static int catalog_json(const hem__catalog *catalog, const tally *tallies, size_t count) {
  const hem__photos *photos = hem__catalog_photos(catalog);
  json_t *spaces = json_array(), *categories = json_array(), *rejected = json_array();
  for (size_t i = 0; i < hem__catalog_space_count(catalog); i++)
    json_array_append_new(spaces, space_to_json(hem__catalog_space(catalog, i)));
  for (size_t i = 0; i < count; i++)
    json_array_append_new(categories,
                          json_pack("{s:s, s:I, s:I}", "name", tallies[i].category, "shop", (json_int_t)tallies[i].shop,
                                    "consumer", (json_int_t)tallies[i].consumer));
  for (size_t i = 0; i < photos->rejected_count; i++)
    json_array_append_new(
        rejected, json_pack("{s:s, s:s}", "path", photos->rejected[i].path, "reason", photos->rejected[i].reason));
  return cli_print_json(json_pack(
      "{s:o, s:s, s:I, s:o, s:o, s:o}", "catalog", cli_json_text(hem__catalog_path(catalog)), "kind", "catalogue",
      "photos", (json_int_t)photos->count, "spaces", spaces, "categories", categories, "rejected", rejected));
}

static int catalog_text(const hem__catalog *catalog, const tally *tallies, size_t count) {
  const hem__photos *photos = hem__catalog_photos(catalog);
  printf("%s: a catalogue of %s photos, %s rejected\n\n", hem__catalog_path(catalog), cli_count(photos->count),
         cli_count(photos->rejected_count));
  printf("%-16s %12s %12s\n", "category", "shop", "consumer");
  for (size_t i = 0; i < count; i++)
    printf("%-16s %12s %12s\n", tallies[i].category, cli_count(tallies[i].shop), cli_count(tallies[i].consumer));
  printf("\n%-28s %6s  %s\n", "embedding space", "dim", "sha256");
  for (size_t i = 0; i < hem__catalog_space_count(catalog); i++) {
    const hem__space *space = hem__catalog_space(catalog, i);
    printf("%-28s %6zu  %.16s\n", space->name, space->dim, space->hash);
  }
  for (size_t i = 0; i < hem__catalog_space_count(catalog); i++) {
    const hem__space *space = hem__catalog_space(catalog, i);
    if (hem__has_network(space->features)) printf("\n%s\n%s", space->features, space->recipe);
  }
  return EXIT_DONE;
}

static int catalog_rejected(const hem__catalog *catalog) {
  const hem__photos *photos = hem__catalog_photos(catalog);
  for (size_t i = 0; i < photos->rejected_count; i++)
    printf("%s\t%s\n", cli_clean(photos->rejected[i].path), cli_clean(photos->rejected[i].reason));
  return EXIT_DONE;
}

static void mention_segments(const char *path) {
  char *folder = NULL;
  hem_error err;
  if (hem__print(&folder, &err, "%s.segments", path)) return;
  if (cli_is_folder(folder))
    fprintf(stderr, "an ingest was interrupted: its sealed photos wait in %s; run the same ingest again\n", folder);
  free(folder);
}

static int info_catalog(const info_arguments *a) {
  hem__catalog *catalog = NULL;
  tally *tallies = NULL;
  size_t count = 0;
  hem_error err;
  mention_segments(a->path);
  hem_status status = hem__catalog_open(a->path, &catalog, &err);
  if (!status) status = count_categories(hem__catalog_photos(catalog), &tallies, &count, &err);
  int code = status        ? cli_fail(&err)
             : a->rejected ? catalog_rejected(catalog)
             : a->json     ? catalog_json(catalog, tallies, count)
                           : catalog_text(catalog, tallies, count);
  free(tallies);
  hem__catalog_close(catalog);
  return code;
}

/* ---- stores ---- */

static int store_json(const char *store, const hem__generation *g) {
  char *text = NULL;
  size_t size;
  hem_error err;
  if (hem__manifest_print(&g->manifest, &text, &size, &err)) return cli_fail(&err);
  json_t *manifest = json_loadb(text, size, 0, NULL);
  free(text);
  return cli_print_json(json_pack("{s:o, s:s, s:s, s:o}", "store", cli_json_text(store), "kind", "store", "generation",
                                  g->name, "manifest", manifest));
}

static int metric_text(const hem__generation *g) {
  hem__metric *metric = NULL;
  hem_error err;
  if (hem__learned_read(g, &metric, &err)) return cli_fail(&err);
  putchar('\n');
  cli_print_metric(stdout, &g->manifest);
  printf("no match: for %.3g %% of the queries without one, an answer is given all the same\n",
         100 * metric->false_accept);
  if (metric->about && *metric->about) printf("metric: %s\n", cli_clean(metric->about));
  hem__metric_free(metric);
  return EXIT_DONE;
}

static int tuning_text(const char *store, const hem__generation *g) {
  hem__tuning tuning = {0};
  hem_error err;
  if (hem__tuning_read(g, &tuning, &err)) return cli_fail(&err);
  if (tuning.category_count) {
    putchar('\n');
    cli_print_tuning(stdout, &tuning);
    printf("what else was tried, and what it costs: hemline cost %s\n", cli_clean(store));
  }
  hem__tuning_clear(&tuning);
  return EXIT_DONE;
}

static int store_text(const char *store, const hem__generation *g) {
  const hem__manifest *m = &g->manifest;
  printf("%s: generation %s, space '%s' (%zu values, %.16s), %s distance, from %s\n\n", store, g->name, m->space,
         m->dim, m->space_hash, hem_distance_name(m->distance), m->catalog);
  printf("%-16s %12s  %-9s %-16s %8s %8s %8s\n", "category", "photos", "kind", "faiss", "efSearch", "nprobe", "refine");
  for (size_t i = 0; i < m->category_count; i++) {
    const hem__generation_category *c = &m->categories[i];
    printf("%-16s %12s  %-9s %-16s %8u %8u %8u\n", c->name, cli_count(c->photos), c->kind,
           *c->factory ? c->factory : "-", c->ef_search, c->nprobe, c->refine);
  }
  int code = hem__manifest_learned(m) ? metric_text(g) : EXIT_DONE;
  return code ? code : tuning_text(store, g);
}

static int info_store(const info_arguments *a) {
  hem__generation g = {0};
  hem_error err;
  if (hem__generation_open(a->path, &g, &err)) return cli_fail(&err);
  int code = a->json ? store_json(a->path, &g) : store_text(a->path, &g);
  hem__generation_close(&g);
  return code;
}

int cli_info(int argc, char **argv) {
  static const char doc[] =
      "Say what is in a catalogue or in a store's current generation.\v"
      "Examples:\n  hemline info shop.h5\n  hemline info shop.h5 --rejected\n  hemline info shop.store --json";
  static const struct argp_option options[] = {
      {"json", OPT_JSON, NULL, 0, "Answer as JSON", 0},
      {"rejected", OPT_REJECTED, NULL, 0, "List the rejected photos and why, tab-separated", 0},
      {0}};
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG|STORE", .doc = doc};
  info_arguments a = {0};
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  bool store = cli_is_folder(a.path);
  if (a.rejected && (store || a.json)) {
    fprintf(stderr, "hemline info: --rejected is for a catalogue, and has no JSON form (--json lists them too)\n");
    return EXIT_USAGE;
  }
  return store ? info_store(&a) : info_catalog(&a);
}

/* ---- verify ---- */

static hem_status verify_catalog(const char *path, const hem_progress *progress, hem_error *err) {
  enum { ROWS = 4096 };
  hem__catalog *catalog = NULL;
  hem_status status = hem__catalog_open(path, &catalog, err);
  for (size_t s = 0; !status && s < hem__catalog_space_count(catalog); s++) {
    hem__matrix vectors = hem__catalog_matrix(catalog, s);
    for (size_t first = 0; first < vectors.rows && !status; first += ROWS) {
      size_t count = hem__min(ROWS, vectors.rows - first);
      status = hem__catalog_check(catalog, s, first, count, err);
      if (!status)
        status = hem__progress_report(progress, hem__catalog_space(catalog, s)->name, first + count, vectors.rows,
                                      "photos", err);
    }
  }
  hem__catalog_close(catalog);
  return status;
}

/* Opening an engine checks every file's size and checksum and parses all of it. */
static hem_status verify_store(const char *path, hem_error *err) {
  hem_engine *engine = NULL;
  hem__generation g = {0};
  hem__tuning tuning = {0};
  hem_status status = hem_engine_open(path, NULL, &engine, err);
  if (!status) status = hem__generation_open(path, &g, err);
  if (!status) status = hem__tuning_read(&g, &tuning, err);
  hem__tuning_clear(&tuning);
  hem__generation_close(&g);
  hem_engine_close(engine);
  return status;
}

int cli_verify(int argc, char **argv) {
  static const char doc[] =
      "Check every size and checksum of a catalogue or of a store's current generation.\v"
      "Examples:\n  hemline verify shop.h5 && hemline verify shop.store";
  static const struct argp_option options[] = {{"quiet", 'q', NULL, 0, "No progress", 0}, {0}};
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG|STORE", .doc = doc};
  info_arguments a = {0};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  hem_progress progress = cli_progress(a.quiet);
  hem_status status = cli_is_folder(a.path) ? verify_store(a.path, &err) : verify_catalog(a.path, &progress, &err);
  if (status) return cli_fail(&err);
  cli_progress_end();
  printf("%s: intact\n", a.path);
  return EXIT_DONE;
}
