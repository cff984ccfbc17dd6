/* hemline doctor: what is wrong with a catalogue, as a list, as JSON, and as a page of thumbnails. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench/doctor_page.h"
#include "cli/cli.h"

enum { OPT_SPACE = 256, OPT_REPORT, OPT_JSON, OPT_ALL, OPT_IDX, OPT_NO_PHOTOS, OPT_THREADS };
enum { SHOWN = 10, MEMBERS_SHOWN = 4 };

typedef struct doctor_arguments {
  const char *path, *space, *report;
  hem__doctor_options options;
  bool json, all, quiet;
} doctor_arguments;

static const char doc[] =
    "Look for what is wrong with a CATALOG: copies of one picture (in train and test, under two items, twice in one), "
    "photos that are gone, changed, blank or tiny, what ingest refused and why, embeddings that carry nothing or are "
    "equal, and photos that look like another category or like nothing else. Nothing is changed.\v"
    "Exit status 3: something was found; 0: nothing.\n\n"
    "Examples:\n"
    "  hemline doctor shop.h5\n"
    "  hemline doctor shop.h5 --report doctor.html\n"
    "  hemline doctor shop.h5 --no-photos --json";

static const struct argp_option options[] = {
    {"report", OPT_REPORT, "FILE.html", 0, "Show the photos side by side", 0},
    {"all", OPT_ALL, NULL, 0, "List everything, not the first 10 of a kind", 0},
    {"json", OPT_JSON, NULL, 0, "Answer as JSON, everything", 0},
    {"space", OPT_SPACE, "NAME", 0, "Embedding space in which to look for outliers (default: the first)", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "Where the idx files are, for photos that lie in them", 0},
    {"no-photos", OPT_NO_PHOTOS, NULL, 0, "Do not read the photos: only what the catalogue itself tells", 0},
    {"threads", OPT_THREADS, "N", 0, "Threads (default: one for each core)", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  doctor_arguments *a = state->input;
  switch (key) {
    case OPT_SPACE:
      a->space = text;
      break;
    case OPT_REPORT:
      a->report = text;
      break;
    case OPT_JSON:
      a->json = true;
      break;
    case OPT_ALL:
      a->all = true;
      break;
    case OPT_IDX:
      a->options.idx = text;
      break;
    case OPT_NO_PHOTOS:
      a->options.no_pictures = true;
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
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

/* ---- JSON ---- */

static json_t *member_to_json(const hem__photos *photos, const hem__finding *finding, const hem__member *member) {
  if (finding->kind == HEM__REJECTED) {
    const hem__rejection *r = &photos->rejected[member->row];
    return json_pack("{s:s, s:s}", "path", r->path, "reason", r->reason);
  }
  const hem__photo *photo = &photos->at[member->row];
  json_t *out = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "row", (json_int_t)member->row, "item_id", photo->item_id,
                          "category", photo->category, "domain", hem__domain_names[photo->domain], "split",
                          hem__split_names[photo->split], "path", photo->path);
  if (finding->kind <= HEM__DUPLICATE) json_object_set_new(out, "difference", json_real(member->measure));
  return out;
}

static json_t *finding_to_json(const hem__diagnosis *d, const hem__photos *photos, const hem__finding *finding) {
  const hem__ailment_text *text = &hem__ailment_texts[finding->kind];
  json_t *members = json_array(), *out = json_pack("{s:s, s:s}", "kind", text->name, "note", finding->note);
  if (text->measure) json_object_set_new(out, text->measure, json_real(finding->measure));
  for (size_t i = 0; i < finding->count; i++)
    json_array_append_new(members, member_to_json(photos, finding, &d->members[finding->first + i]));
  json_object_set_new(out, "photos", members);
  return out;
}

static int print_json(const char *path, const hem__diagnosis *d, const hem__photos *photos) {
  json_t *counts = json_object(), *findings = json_array();
  for (size_t k = 0; k < HEM__AILMENTS; k++)
    json_object_set_new(counts, hem__ailment_texts[k].name, json_integer((json_int_t)d->counts[k]));
  for (size_t i = 0; i < d->finding_count; i++)
    json_array_append_new(findings, finding_to_json(d, photos, &d->findings[i]));
  return cli_print_json(json_pack("{s:o, s:I, s:I, s:I, s:s, s:o, s:o}", "catalog", cli_json_text(path), "photos",
                                  (json_int_t)d->photos, "pictures", (json_int_t)d->pictures, "without_picture",
                                  (json_int_t)d->without_picture, "space", d->space, "counts", counts, "findings",
                                  findings));
}

/* ---- text ---- */

static void print_member(const hem__photos *photos, const hem__finding *finding, const hem__member *member) {
  if (finding->kind == HEM__REJECTED) {
    printf("      %s\n", cli_clean(photos->rejected[member->row].path));
    return;
  }
  const hem__photo *photo = &photos->at[member->row];
  printf("      %s  %s, %s", cli_clean(photo->path), cli_clean(photo->item_id), cli_clean(photo->category));
  if (photo->split != HEM__NO_SPLIT) printf(", %s", hem__split_names[photo->split]);
  if (photo->domain == HEM__CONSUMER) fputs(", consumer", stdout);
  putchar('\n');
}

static void print_finding(const hem__diagnosis *d, const hem__photos *photos, const hem__finding *finding, bool all) {
  const char *measure = hem__ailment_texts[finding->kind].measure;
  size_t shown = all ? finding->count : hem__min(finding->count, MEMBERS_SHOWN);
  bool headed = finding->count > 1 || *finding->note || measure;
  if (headed) fputs("   -", stdout);
  if (finding->count > 1) printf(" %s photos", cli_count(finding->count));
  if (measure) printf("%s %s %.3g", finding->count > 1 ? "," : "", measure, finding->measure);
  if (*finding->note) printf("%s %s", finding->count > 1 || measure ? ":" : "", cli_clean(finding->note));
  if (headed) putchar('\n');
  for (size_t i = 0; i < shown; i++) print_member(photos, finding, &d->members[finding->first + i]);
  if (shown < finding->count) printf("      ... and %s more\n", cli_count(finding->count - shown));
}

static void print_kind(const hem__diagnosis *d, const hem__photos *photos, size_t first, bool all) {
  const hem__ailment_text *text = &hem__ailment_texts[d->findings[first].kind];
  size_t count = d->counts[d->findings[first].kind], shown = all ? count : hem__min(count, SHOWN);
  printf("\n%s: %s\n   %s\n", text->title, cli_count(count), text->advice);
  for (size_t i = first; i < first + shown; i++) print_finding(d, photos, &d->findings[i], all);
  if (shown < count) printf("   ... and %s more; --all lists them\n", cli_count(count - shown));
}

static void print_text(const char *path, const hem__diagnosis *d, const hem__photos *photos, bool all) {
  printf("%s: %s photos, %s pictures looked at, %s findings\n", path, cli_count(d->photos), cli_count(d->pictures),
         cli_count(d->finding_count));
  for (size_t i = 0; i < d->finding_count; i += d->counts[d->findings[i].kind]) print_kind(d, photos, i, all);
}

/* ---- the run ---- */

static hem_status open_space(const doctor_arguments *a, hem__catalog **catalog, size_t *space, hem_error *err) {
  hem_status status = hem__catalog_open(a->path, catalog, err);
  return status || !a->space ? status : hem__catalog_find_space(*catalog, a->space, space, err);
}

int cli_doctor(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG", .doc = doc};
  doctor_arguments a = {0};
  hem__catalog *catalog = NULL;
  hem__diagnosis d = {0};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.options.progress = cli_progress(a.quiet);
  hem_status status = open_space(&a, &catalog, &a.options.space, &err);
  if (!status) status = hem__doctor(catalog, &a.options, &d, &err);
  cli_progress_end();
  if (!status && a.report) status = hem__doctor_page(catalog, &d, a.options.idx, a.report, &err);
  int code = status ? cli_fail(&err) : EXIT_DONE;
  if (!status && a.json) code = print_json(a.path, &d, hem__catalog_photos(catalog));
  if (!status && !a.json) print_text(a.path, &d, hem__catalog_photos(catalog), a.all);
  if (!code && d.finding_count) code = EXIT_REJECTED;
  hem__diagnosis_clear(&d);
  hem__catalog_close(catalog);
  return code;
}
