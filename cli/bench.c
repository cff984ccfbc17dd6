/* hemline bench: recall against speed, of Hemline's kinds of index and of its peers. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/sweep.h"
#include "cli/cli.h"

enum {
  OPT_KINDS = 256,
  OPT_PEERS,
  OPT_CSV,
  OPT_REPORT,
  OPT_JSON,
  OPT_WORK,
  OPT_QUERIES,
  OPT_ROUNDS,
  OPT_THREADS,
  OPT_DEPTHS,
  OPT_CATEGORY,
  OPT_SPACE,
  OPT_NO_BATCH,
  OPT_NO_COLD,
  OPT_BUILD_THREADS,
  OPT_WRITE,
  OPT_NEIGHBOURS,
  OPT_LIST
};
enum { NAMES = 64, NEIGHBOURS = 100 };

typedef struct bench_arguments {
  hem__sweep_options sweep;
  const char *csv, *report, *write, *kinds, *peers;
  char *names[NAMES];
  size_t name_count, neighbours;
  bool json, quiet, list;
} bench_arguments;

static const char doc[] =
    "Measure every kind of index at every depth of search: what it finds, how fast, in how much memory; and beside "
    "them "
    "raw FAISS, and hnswlib and usearch where this build has them. DATA is a STORE, a CATALOG, or an HDF5 file of "
    "ann-benchmarks (train, test, neighbors, distances).\v"
    "All indices are built from the vectors of one category. They are asked in rounds, one after the other, so that "
    "what "
    "slows the machine slows all of them; what is told is the median. The first peer is measured twice: the difference "
    "is noise. A true neighbour is a photo no farther than the k-th nearest by an exact scan.\n\n"
    "Examples:\n"
    "  hemline bench shop.store --report bench.html --csv bench.csv\n"
    "  hemline bench fashion-mnist.hdf5 --kinds hnsw,hnsw-pca --peers faiss-hnsw,hnswlib --threads 1 --no-batch\n"
    "  hemline bench fashion-mnist.hdf5 --work indices --queries 200    # keeps the indices for the next time\n"
    "  hemline bench shop.store --write-hdf5 shop.hdf5                  # for other people's benchmarks";

static const struct argp_option options[] = {
    {"kinds", OPT_KINDS, "LIST", 0,
     "Hemline's: of flat,hnsw,hnsw-sq8,hnsw-pca,ivf,ivf-sq8,ivf-pq, or none (default: all)", 0},
    {"peers", OPT_PEERS, "LIST", 0, "Others', by name, or none (default: all that this build has)", 0},
    {"list", OPT_LIST, NULL, 0, "Print what this build can measure", 0},
    {"csv", OPT_CSV, "FILE", 0, "Write every measurement, one a line", 0},
    {"report", OPT_REPORT, "FILE", 0, "Write one HTML page with curves and tables", 0},
    {"json", OPT_JSON, NULL, 0, "Print JSON", 0},
    {"work", OPT_WORK, "FOLDER", 0, "Keep the indices there, and use those that are there", 0},
    {"queries", OPT_QUERIES, "N", 0, "At most N queries, evenly spread (default: 1000)", 0},
    {"k", 'k', "N", 0, "Neighbours asked for (default: 10)", 0},
    {"rounds", OPT_ROUNDS, "N", 0, "Times that everything is asked (default: 5)", 0},
    {"threads", OPT_THREADS, "LIST", 0, "Threads that ask at once (default: 1,2)", 0},
    {"depths", OPT_DEPTHS, "LIST", 0, "ef_search or nprobe, instead of each index's own ladder", 0},
    {"category", OPT_CATEGORY, "NAME", 0, "Of a store or catalogue (default: the largest)", 0},
    {"space", OPT_SPACE, "NAME", 0, "Of a catalogue (default: the only one)", 0},
    {"distance", 'd', "NAME", 0, "Of a catalogue, or of a file that does not say it (default: l2)", 0},
    {"no-batch", OPT_NO_BATCH, NULL, 0, "Single queries only", 0},
    {"no-cold", OPT_NO_COLD, NULL, 0, "Not from a cold disk", 0},
    {"build-threads", OPT_BUILD_THREADS, "N", 0, "Of peers; Hemline builds a category on one (default: 1)", 0},
    {"write-hdf5", OPT_WRITE, "FILE", 0, "Write gallery, queries and exact answers in ann-benchmarks' form, and stop",
     0},
    {"neighbours", OPT_NEIGHBOURS, "N", 0, "Of each query in that file (default: 100)", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

/* ---- arguments ---- */

/* "1,2,4": whole numbers above zero. */
static size_t parse_numbers(struct argp_state *state, const char *text, const char *option, size_t most,
                            void (*put)(bench_arguments *, size_t, unsigned long)) {
  char *copy = NULL, *rest = NULL;
  size_t count = 0;
  if (hem__strdup(text, &copy, NULL)) argp_failure(state, EXIT_FAILED, 0, "no memory");
  for (char *part = strtok_r(copy, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
    unsigned long value = cli_number(state, part, option, 1000000);
    if (value == 0 || count == most) argp_error(state, "%s wants up to %zu numbers above 0", option, most);
    put(state->input, count++, value);
  }
  free(copy);
  if (!count) argp_error(state, "%s wants numbers, as in 1,2", option);
  return count;
}

static void put_threads(bench_arguments *a, size_t i, unsigned long value) { a->sweep.threads[i] = value; }
static void put_depth(bench_arguments *a, size_t i, unsigned long value) { a->sweep.depths[i] = (uint32_t)value; }

/* Adds the contestants of a list, or with NULL all of them; `own`: Hemline's, whose names get "hemline-" in front. */
static void add_names(struct argp_state *state, bench_arguments *a, const char *list, bool own) {
  char *copy = NULL, *rest = NULL;
  for (size_t i = own ? 0 : 1; !list && i < (own ? 1 : hem__peer_list_count); i++)
    for (size_t j = 0; j < hem__peers(i).count; j++)
      if (hem__strdup(hem__peers(i).at[j].name, &a->names[a->name_count], NULL) == HEM_OK) a->name_count++;
  if (!list || !strcmp(list, "none")) return;
  if (hem__strdup(list, &copy, NULL)) argp_failure(state, EXIT_FAILED, 0, "no memory");
  for (char *part = strtok_r(copy, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
    if (a->name_count == NAMES) argp_error(state, "at most %d indices can be named", NAMES);
    if (hem__print(&a->names[a->name_count], NULL, "%s%s", own ? "hemline-" : "", part) == HEM_OK) a->name_count++;
  }
  free(copy);
}

static void finish(struct argp_state *state, bench_arguments *a) {
  if (a->list) return;
  if (!a->sweep.data) argp_error(state, "name a STORE, a CATALOG, or an HDF5 file of ann-benchmarks");
  add_names(state, a, a->kinds, true);
  add_names(state, a, a->peers, false);
  if (!a->name_count) argp_error(state, "--kinds none and --peers none leave nothing to measure");
  a->sweep.contestants = (const char *const *)a->names;
  a->sweep.contestant_count = a->name_count;
}

static error_t parse_number(int key, char *text, struct argp_state *state) {
  bench_arguments *a = state->input;
  switch (key) {
    case OPT_QUERIES:
      a->sweep.query_limit = cli_number(state, text, "--queries", 10000000);
      break;
    case 'k':
      a->sweep.k = cli_number(state, text, "-k", HEM__PEER_K_MAX);
      break;
    case OPT_ROUNDS:
      a->sweep.rounds = cli_number(state, text, "--rounds", 1000);
      break;
    case OPT_THREADS:
      a->sweep.thread_count = parse_numbers(state, text, "--threads", HEM__SWEEP_THREADS, put_threads);
      break;
    case OPT_DEPTHS:
      a->sweep.depth_count = parse_numbers(state, text, "--depths", HEM__SWEEP_DEPTHS, put_depth);
      break;
    case OPT_BUILD_THREADS:
      a->sweep.build_threads = cli_number(state, text, "--build-threads", 1024);
      break;
    case OPT_NEIGHBOURS:
      a->neighbours = cli_number(state, text, "--neighbours", 100000);
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

static error_t parse(int key, char *text, struct argp_state *state) {
  bench_arguments *a = state->input;
  hem_distance distance;
  hem_error err;
  switch (key) {
    case OPT_KINDS:
      a->kinds = text;
      break;
    case OPT_PEERS:
      a->peers = text;
      break;
    case OPT_LIST:
      a->list = true;
      break;
    case OPT_CSV:
      a->csv = text;
      break;
    case OPT_REPORT:
      a->report = text;
      break;
    case OPT_JSON:
      a->json = true;
      break;
    case OPT_WORK:
      a->sweep.work = text;
      break;
    case OPT_CATEGORY:
      a->sweep.category = text;
      break;
    case OPT_SPACE:
      a->sweep.space = text;
      break;
    case 'd':
      if (hem_distance_parse(text, &distance, &err)) argp_error(state, "%s", err.message);
      a->sweep.distance = (int)distance;
      break;
    case OPT_NO_BATCH:
      a->sweep.no_batch = true;
      break;
    case OPT_NO_COLD:
      a->sweep.no_cold = true;
      break;
    case OPT_WRITE:
      a->write = text;
      break;
    case 'q':
      a->quiet = true;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &a->sweep.data, text, "DATA");
      break;
    case ARGP_KEY_END:
      finish(state, a);
      break;
    default:
      return parse_number(key, text, state);
  }
  return 0;
}

/* ---- the answer ---- */

static void print_speed(const hem__sweep_point *p) {
  if (isnan(p->qps))
    printf(" %9s", "-");
  else
    printf(" %9s", cli_count((uint64_t)p->qps));
}

static void print_engine(const hem__sweep *s, size_t i) {
  const hem__sweep_engine *e = &s->engines[i];
  const hem__sweep_point *p = &s->points[i * HEM__SWEEP_TARGETS];
  if (*e->skipped) {
    printf("%-24s left out: %s\n", e->name, cli_clean(e->skipped));
    return;
  }
  printf("%-24s %9.1f %9.1f %9.1f", e->name, e->build_seconds, (double)e->disk / 1e6,
         (double)(e->private_bytes + e->mapped_bytes) / 1e6);
  for (size_t t = 0; t < HEM__SWEEP_TARGETS; t++) print_speed(&p[t]);
  for (size_t t = 1; t < 3; t++) {
    if (isnan(p[t].ratio))
      printf("  %15s", "-");
    else
      printf("  %5.2f %4.2f-%4.2f", p[t].ratio, p[t].ratio_low, p[t].ratio_high);
    if (isnan(p[t].cpu_ratio))
      printf(" %6s", "-");
    else
      printf(" %6.2f", p[t].cpu_ratio);
  }
  putchar('\n');
}

static void print_noise(const hem__sweep *s) {
  if (s->noise == SIZE_MAX) return;
  const hem__sweep_point *p = &s->points[s->noise * HEM__SWEEP_TARGETS];
  printf("\nNoise: %s beside itself is", s->engines[s->reference].name);
  for (size_t t = 0; t < HEM__SWEEP_TARGETS; t++)
    if (!isnan(p[t].ratio))
      printf(" %.2f (%.2f to %.2f) at %g%s", p[t].ratio, p[t].ratio_low, p[t].ratio_high, p[t].target,
             t + 1 < HEM__SWEEP_TARGETS && !isnan(p[t + 1].ratio) ? "," : "");
  puts("; a ratio nearer to 1 says nothing.");
}

static void print_metric(const hem__sweep *s) {
  bool first = true;
  for (size_t i = 0; i < s->row_count; i++) {
    const hem__sweep_row *row = &s->rows[i];
    if (row->truth != HEM__BY_METRIC) continue;
    if (first)
      printf(
          "\nBy the store's metric: overlap with the %zu best items by scoring every photo\n%-28s %-14s %8s %17s %10s "
          "%10s\n",
          row->k, "index", "scored", "overlap", "95%", "/s", "p99, us");
    first = false;
    printf("%-28s %-14s %8.4f %8.4f-%8.4f %10s %10.1f\n", s->engines[row->engine].name, row->setting, row->recall,
           row->low, row->high, cli_count((uint64_t)row->qps), row->p99_us);
  }
}

static void print_text(const hem__sweep *s) {
  printf("%s: %s photos of %zu values, %s; %s queries, k = %zu, %zu rounds; %s, %zu cores\n\n", cli_clean(s->name),
         cli_count(s->gallery), s->dim, hem_distance_name(s->distance), cli_count(s->queries), s->k, s->rounds,
         s->machine, s->cores);
  printf("%-24s %9s %9s %9s", "", "", "", "");
  printf(" %39s %47s\n", "queries a second, 1 thread, at recall", "times as fast as the first peer, at recall");
  printf("%-24s %9s %9s %9s", "index", "build, s", "disk, MB", "RAM, MB");
  for (size_t t = 0; t < HEM__SWEEP_TARGETS; t++) printf(" %9g", hem__sweep_targets[t]);
  printf("  %15g %6s  %15g %6s\n", hem__sweep_targets[1], "by CPU", hem__sweep_targets[2], "by CPU");
  for (size_t i = 0; i < s->engine_count; i++)
    if (!s->engines[i].metric) print_engine(s, i);
  print_noise(s);
  print_metric(s);
}

/* JSON has no NaN. */
static json_t *number(double value) { return isnan(value) ? json_null() : json_real(value); }

static json_t *engine_to_json(const hem__sweep *s, size_t i) {
  const hem__sweep_engine *e = &s->engines[i];
  json_t *speeds = json_array();
  for (size_t t = 0; t < HEM__SWEEP_TARGETS && !*e->skipped; t++) {
    const hem__sweep_point *p = &s->points[i * HEM__SWEEP_TARGETS + t];
    json_array_append_new(
        speeds, json_pack("{s:f, s:o, s:o, s:o, s:o, s:o}", "recall", p->target, "qps", number(p->qps), "ratio",
                          number(p->ratio), "ratio_min", number(p->ratio_low), "ratio_max", number(p->ratio_high),
                          "cpu_ratio", number(p->cpu_ratio)));
  }
  return json_pack("{s:s, s:s, s:s, s:b, s:f, s:f, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "name", e->name, "build",
                   e->build, "left_out", e->skipped, "kept", e->kept, "build_seconds", e->build_seconds,
                   "build_cpu_seconds", e->build_cpu, "build_threads", (json_int_t)e->build_threads, "disk_bytes",
                   (json_int_t)e->disk, "private_bytes", (json_int_t)e->private_bytes, "mapped_bytes",
                   (json_int_t)e->mapped_bytes, "open_ms", number(e->open_ms), "cold_open_ms", number(e->cold_open_ms),
                   "speeds", speeds);
}

static json_t *row_to_json(const hem__sweep *s, const hem__sweep_row *row) {
  json_t *made = json_pack(
      "{s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:s, s:I, s:f, s:f, s:f, s:b}", "engine", s->engines[row->engine].name,
      "setting", row->setting, "depth", (json_int_t)row->depth.depth, "refine", (json_int_t)row->depth.refine, "rerank",
      (json_int_t)row->rerank, "truth", hem__sweep_truth_names[row->truth], "k", (json_int_t)row->k, "queries",
      (json_int_t)row->queries, "mode", hem__sweep_mode_names[row->mode], "threads", (json_int_t)row->threads, "recall",
      row->recall, "recall_low", row->low, "recall_high", row->high, "front", row->front);
  json_object_set_new(made, "qps", number(row->qps));
  json_object_set_new(made, "qps_min", number(row->qps_low));
  json_object_set_new(made, "qps_max", number(row->qps_high));
  json_object_set_new(made, "p50_us", number(row->p50_us));
  json_object_set_new(made, "p99_us", number(row->p99_us));
  json_object_set_new(made, "cpu_us", number(row->cpu_us));
  return made;
}

static int print_json(const hem__sweep *s) {
  json_t *engines = json_array(), *rows = json_array();
  for (size_t i = 0; i < s->engine_count; i++) json_array_append_new(engines, engine_to_json(s, i));
  for (size_t i = 0; i < s->row_count; i++) json_array_append_new(rows, row_to_json(s, &s->rows[i]));
  return cli_print_json(json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:o, s:o}", "data",
                                  cli_json_text(s->name), "date", s->date, "faiss", s->faiss, "machine", s->machine,
                                  "cores", (json_int_t)s->cores, "gallery", (json_int_t)s->gallery, "dim",
                                  (json_int_t)s->dim, "distance", hem_distance_name(s->distance), "k", (json_int_t)s->k,
                                  "queries", (json_int_t)s->queries, "rounds", (json_int_t)s->rounds, "engines",
                                  engines, "rows", rows));
}

static int print_list(void) {
  for (size_t i = 0; i < hem__peer_list_count; i++)
    for (size_t j = 0; j < hem__peers(i).count; j++) puts(hem__peers(i).at[j].name);
  return EXIT_DONE;
}

/* ---- the run ---- */

static hem_status run(const bench_arguments *a, hem__sweep *s, hem_error *err) {
  if (a->write) return hem__sweep_write_data(&a->sweep, a->neighbours ? a->neighbours : NEIGHBOURS, a->write, err);
  hem_status status = hem__sweep_run(&a->sweep, s, err);
  if (!status && a->csv) status = hem__sweep_write_csv(s, a->csv, err);
  if (!status && a->report) status = hem__sweep_write_page(s, a->report, err);

  return status;
}

int cli_bench(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "DATA", .doc = doc};
  bench_arguments a = {.sweep = {.distance = -1}};
  hem__sweep s = {0};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  if (a.list) return print_list();
  a.sweep.progress = cli_progress(a.quiet);
  int code = run(&a, &s, &err) ? cli_fail(&err) : EXIT_DONE;
  cli_progress_end();
  if (!code && !a.write) {
    if (a.json)
      code = print_json(&s);
    else
      print_text(&s);
  }
  if (!code && a.csv) fprintf(stderr, "measurements: %s\n", a.csv);
  if (!code && a.report) fprintf(stderr, "report: %s\n", a.report);
  if (!code && a.write) fprintf(stderr, "written: %s\n", a.write);
  hem__sweep_clear(&s);
  for (size_t i = 0; i < a.name_count; i++) free(a.names[i]);
  return code;
}
