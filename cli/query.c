/* hemline query: the nearest items to photos, a vector or a catalogue row. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "cli/answer.h"
#include "cli/cli.h"
#include "query/embed.h"
#include "query/rows.h"
#include "serve/answer_text.h"

enum {
  OPT_ROW = 256,
  OPT_VECTOR,
  OPT_EXACT,
  OPT_JSON,
  OPT_PHOTOS,
  OPT_CATALOG,
  OPT_CNN,
  OPT_EXPLAIN,
  OPT_PLAIN,
  OPT_RERANK,
  OPT_PROBABILITY
};
enum { CATEGORIES_MAX = 256, PHOTOS_MAX = 4096 };

typedef struct query_arguments {
  const char *store, *vector, *catalog, *cnn;
  const char *photos[PHOTOS_MAX];
  size_t photo_count;
  bool has_row, json, explain;
  uint64_t row;
  const char *categories[CATEGORIES_MAX];
  hem_search_options search;
} query_arguments;

/* One question: a vector and what to call it. */
typedef struct question {
  const char *name;
  const float *vector;
  size_t dim;
} question;

static const char doc[] =
    "Find the items of STORE that are nearest to each PHOTO, to a vector, or to a row of the catalogue.\v"
    "A vector file holds raw little-endian float32 values, one for each dimension ('-': standard input). A row that is "
    "in the gallery itself is left out of its own answer.\n\n"
    "In a store with a metric (see 'hemline index --metric'), hits are ordered by it; the first number is the "
    "probability that a hit shows the same item, the second the distance it was found by.\n\n"
    "Examples:\n"
    "  hemline query shop.store street.jpg -k 5 --category dress\n"
    "  hemline query shop.store --row 60000 --json\n"
    "  hemline query shop.store --vector query.f32 --exact\n"
    "  hemline query shop.store street.jpg --explain --min-probability 0.5";

static const struct argp_option options[] = {
    {"row", OPT_ROW, "N", 0, "Query with row N of the catalogue the store was built from", 0},
    {"vector", OPT_VECTOR, "FILE", 0, "Query with raw float32 values", 0},
    {"k", 'k', "N", 0, "Items wanted (default: 20)", 0},
    {"category", 'c', "NAME", 0, "Search this category; may be repeated (default: all, merged)", 0},
    {"photos", OPT_PHOTOS, NULL, 0, "Rank photos, not items", 0},
    {"exact", OPT_EXACT, NULL, 0, "As if every photo were scanned, and scored, instead of asking the index", 0},
    {"explain", OPT_EXPLAIN, NULL, 0, "Say of each hit where it stood by distance and what each feature costs it", 0},
    {"plain", OPT_PLAIN, NULL, 0, "By distance: do not rerank by the store's metric", 0},
    {"rerank", OPT_RERANK, "N", 0, "Candidates a category to score (default: what the store was built for)", 0},
    {"min-probability", OPT_PROBABILITY, "P", 0, "Leave out hits below it, 0 to 1", 0},
    {"catalog", OPT_CATALOG, "FILE", 0, "Where the catalogue is now (for --row and --explain)", 0},
    {"cnn", OPT_CNN, "FILE", 0, "Where the store's network is now", 0},
    {"json", OPT_JSON, NULL, 0, "Answer as JSON", 0},
    {0}};

static double parse_probability(struct argp_state *state, const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !(value >= 0 && value <= 1))
    argp_error(state, "--min-probability wants a number from 0 to 1, not '%s'", text);
  return value;
}

static error_t parse(int key, char *text, struct argp_state *state) {
  query_arguments *a = state->input;
  switch (key) {
    case OPT_ROW:
      a->has_row = true;
      a->row = cli_number(state, text, "--row", (unsigned long)INT64_MAX);
      break;
    case OPT_VECTOR:
      a->vector = text;
      break;
    case OPT_CATALOG:
      a->catalog = text;
      break;
    case OPT_CNN:
      a->cnn = text;
      break;
    case OPT_EXACT:
      a->search.exact = true;
      break;
    case OPT_EXPLAIN:
      a->explain = true;
      break;
    case OPT_PLAIN:
      a->search.plain = true;
      break;
    case OPT_RERANK:
      a->search.rerank = (uint32_t)cli_number(state, text, "--rerank", 1000000);
      if (!a->search.rerank) argp_error(state, "--rerank wants at least 1");
      break;
    case OPT_PROBABILITY:
      a->search.min_probability = parse_probability(state, text);
      break;
    case OPT_PHOTOS:
      a->search.photos = true;
      break;
    case OPT_JSON:
      a->json = true;
      break;
    case 'k':
      a->search.k = cli_number(state, text, "-k", 100000);
      if (!a->search.k) argp_error(state, "-k wants at least 1");
      break;
    case 'c':
      if (a->search.category_count == CATEGORIES_MAX) argp_error(state, "at most %d categories", CATEGORIES_MAX);
      a->categories[a->search.category_count++] = text;
      break;
    case ARGP_KEY_ARG:
      if (!a->store) {
        a->store = text;
      } else {
        if (a->photo_count == PHOTOS_MAX) argp_error(state, "at most %d photos at once", PHOTOS_MAX);
        a->photos[a->photo_count++] = text;
      }
      break;
    case ARGP_KEY_END:
      if (!a->store) argp_error(state, "name the STORE to search");
      if ((a->photo_count > 0) + a->has_row + (a->vector != NULL) != 1)
        argp_error(state, "query with photos, or --row, or --vector");
      if (a->search.plain && (a->search.rerank || a->search.min_probability > 0 || a->explain))
        argp_error(state, "--rerank, --min-probability and --explain are for answers by the metric, not for --plain");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

typedef struct asking {
  query_arguments *a;
  hem_engine *engine;
  hem_searcher *searcher;
  hem_engine_info info;
  hem__catalog *catalog; /* where rows are asked for, or explanations */
  size_t space;
  hem__text answers;
  bool rejected; /* a photo could not be read */
} asking;

/* ---- one question ---- */

/* What each hit owes to each feature; the photo nearest of all is asked for first, since hits live until the next
 * query. */
static hem_status ask_nearest(asking *s, const question *q, float *nearest, hem_error *err) {
  hem_search_options o = s->a->search;
  hem_answer answer;
  o.k = 1;
  o.plain = true;
  o.exact = false;
  o.min_probability = 0;
  hem_status status = hem_search(s->searcher, q->vector, q->dim, &o, &answer, err);
  if (!status && answer.found) *nearest = answer.hits[0].distance;
  return status;
}

static hem_status explain(asking *s, const question *q, const hem_answer *answer, hem__explanation **out,
                          hem_error *err) {
  hem_status status = hem__alloc(answer->found, sizeof **out, "explanations", out, err);
  for (size_t i = 0; i < answer->found && !status; i++)
    status = hem__explain(s->engine, s->catalog, s->space, q->vector, &answer->hits[i], &(*out)[i], err);
  return status;
}

static hem_status say(asking *s, const char *name, const hem__question *q, const hem__reply *reply, hem_error *err) {
  if (!s->a->json) {
    cli_print_answer(name, q, reply);
    return HEM_OK;
  }
  hem__answer_text(&s->answers, name, q, reply);
  return s->answers.failed ? hem__fail(err, HEM_ENOMEM, "no memory for the JSON answer") : HEM_OK;
}

static hem_status ask(asking *s, const question *q, hem_error *err) {
  struct timespec from, to;
  hem__explanation *explanations = NULL;
  hem__question asked = {.vector = q->vector, .dim = q->dim, .explain = s->a->explain, .o = s->a->search};
  hem__reply reply = {.info = &s->info};
  hem_status status = s->a->explain ? ask_nearest(s, q, &reply.nearest, err) : HEM_OK;
  if (status) return status;
  clock_gettime(CLOCK_MONOTONIC, &from);
  status = hem_search(s->searcher, q->vector, q->dim, &s->a->search, &reply.answer, err);
  clock_gettime(CLOCK_MONOTONIC, &to);
  if (status) return status;
  reply.timing.search_ns =
      (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec;
  if (s->a->explain) {
    status = explain(s, q, &reply.answer, &explanations, err);
    reply.explanations = explanations;
    reply.space = hem__catalog_space(s->catalog, s->space);
  }
  if (!status) status = say(s, q->name, &asked, &reply, err);
  free(explanations);
  return status;
}

/* The catalogue that the store was built from, for a row of it or for explanations. */
static hem_status open_catalog(asking *s, hem_error *err) {
  const char *path = s->a->catalog ? s->a->catalog : s->info.catalog;
  hem_status status = cli_open_catalog(path, &s->catalog, err);
  if (!status) status = hem__catalog_find_space(s->catalog, s->info.space, &s->space, err);
  if (!status && strcmp(hem__catalog_space(s->catalog, s->space)->hash, s->info.space_hash) != 0)
    status = hem__fail(err, HEM_EMISMATCH, "%s was embedded otherwise than the store: index it again", path);
  return status ? status : hem__engine_check_rows(s->engine, s->catalog, err);
}

/* ---- questions ---- */

static hem_status ask_row(asking *s, hem_error *err) {
  hem__matrix vectors = hem__catalog_matrix(s->catalog, s->space);
  if (s->a->row >= vectors.rows)
    return hem__fail(err, HEM_ENOTFOUND, "%s has no row %llu: its rows are 0 to %zu", hem__catalog_path(s->catalog),
                     (unsigned long long)s->a->row, vectors.rows - 1);
  hem_status status = hem__catalog_check(s->catalog, s->space, s->a->row, 1, err);
  if (status) return status;
  question q = {.name = hem__catalog_photos(s->catalog)->at[s->a->row].path,
                .vector = hem__row(vectors, s->a->row),
                .dim = vectors.dim};
  s->a->search.leave_out = true;
  s->a->search.leave_out_row = s->a->row;
  return ask(s, &q, err);
}

static hem_status ask_vector(asking *s, hem_error *err) {
  float *values = NULL;
  FILE *file = !strcmp(s->a->vector, "-") ? stdin : fopen(s->a->vector, "rb");
  if (!file) return hem__fail_errno(err, "cannot open %s", s->a->vector);
  hem_status status = hem__alloc(s->info.dim + 1, sizeof *values, "a vector", &values, err);
  if (!status) {
    size_t bytes = fread(values, 1, (s->info.dim + 1) * sizeof *values, file);
    if (bytes != s->info.dim * sizeof *values)
      status =
          hem__fail(err, HEM_EMISMATCH, "%s holds %s%zu bytes; this store's vectors are %zu float32 values, %zu bytes",
                    s->a->vector, bytes > s->info.dim * sizeof *values ? "at least " : "", bytes, s->info.dim,
                    s->info.dim * sizeof *values);
  }
  question q = {.name = s->a->vector, .vector = values, .dim = s->info.dim};
  if (!status) status = ask(s, &q, err);
  if (file != stdin) fclose(file);
  free(values);
  return status;
}

/* A photo that cannot be read is named, and the others are answered. */
static hem_status ask_photos(asking *s, hem_error *err) {
  hem_embedder *embedder = NULL;
  float *vector = NULL;
  hem_status status = hem__embedder_of(&s->info, s->a->cnn, NULL, &embedder, err);
  if (!status) status = hem__alloc(s->info.dim, sizeof *vector, "a vector", &vector, err);
  for (size_t i = 0; i < s->a->photo_count && !status; i++) {
    question q = {.name = s->a->photos[i], .vector = vector, .dim = s->info.dim};
    hem_error why;
    if (hem_embedder_photo(embedder, q.name, vector, &why)) {
      cli_fail(&why);
      s->rejected = true;
    } else {
      status = ask(s, &q, err);
    }
  }
  free(vector);
  hem_embedder_free(embedder);
  return status;
}

int cli_query(int argc, char **argv) {
  static const struct argp argp = {.options = options,
                                   .parser = parse,
                                   .args_doc = "STORE PHOTO...\nSTORE --row N\nSTORE --vector FILE",
                                   .doc = doc};
  static query_arguments a = {.search = {.size = sizeof a.search}};
  asking s = {.a = &a};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.search.categories = a.categories;
  hem_engine_options open = {
      .size = sizeof open, .categories = a.categories, .category_count = a.search.category_count};
  hem_status status = hem_engine_open(a.store, &open, &s.engine, &err);
  if (!status) status = hem_searcher_new(s.engine, &s.searcher, &err);
  if (!status) {
    hem_engine_info_get(s.engine, &s.info);
    hem__text_open(&s.answers, NULL, '[');
    if (a.explain && !s.info.metric)
      status = hem__fail(&err, HEM_EUNSUPPORTED, "%s has no metric: there is nothing to explain", a.store);
    if (!status && (a.has_row || a.explain)) status = open_catalog(&s, &err);
  }
  if (!status) status = a.has_row ? ask_row(&s, &err) : a.vector ? ask_vector(&s, &err) : ask_photos(&s, &err);
  int code = status ? cli_fail(&err) : s.rejected ? EXIT_REJECTED : EXIT_DONE;
  if (!status && a.json) {
    hem__text_close(&s.answers, ']');
    hem__text_raw(&s.answers, "\n", 1);
    if (fwrite(s.answers.at, 1, s.answers.size, stdout) != s.answers.size || fflush(stdout)) code = EXIT_FAILED;
  }
  hem__text_clear(&s.answers);
  hem__catalog_close(s.catalog);
  hem_searcher_free(s.searcher);
  hem_engine_close(s.engine);
  return code;
}
