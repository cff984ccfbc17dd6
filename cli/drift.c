/* hemline drift: do customers still ask what the store was built for? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/drift.h"
#include "bench/html.h"
#include "bench/plot.h"
#include "cli/cli.h"
#include "query/rows.h"
#include "serve/text.h"

enum { OPT_CATALOG = 256, OPT_JSON, OPT_REPORT, OPT_SAMPLE };
enum { POINTS = 100 };

typedef struct drift_arguments {
  const char *store, *collected, *catalog, *report;
  size_t sample;
  bool json;
} drift_arguments;

static const char doc[] =
    "Compare what 'hemline serve --collect FOLDER' kept with what the catalogue's own photos are answered.\v"
    "What is compared is the distance to the best hit: of customers' photos in the catalogue that no metric was "
    "trained "
    "on, or, where it has too few, of the shop's own items, each asked with its photo and left out of its answer. Two "
    "measures must agree before drift is reported: Kolmogorov and Smirnov's test (p < 0.01) and the population "
    "stability index (0.1: some, 0.25: large).\n\n"
    "Examples:\n"
    "  hemline drift shop.store collected\n"
    "  hemline drift shop.store collected --report drift.html";

static const struct argp_option options[] = {
    {"report", OPT_REPORT, "FILE.html", 0, "Write a page with both distributions", 0},
    {"sample", OPT_SAMPLE, "N", 0, "Photos of the catalogue to ask with, at most (default: 1,000)", 0},
    {"catalog", OPT_CATALOG, "FILE", 0, "Where the catalogue is now", 0},
    {"json", OPT_JSON, NULL, 0, "As JSON", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  drift_arguments *a = state->input;
  switch (key) {
    case OPT_REPORT:
      a->report = text;
      break;
    case OPT_SAMPLE:
      a->sample = cli_number(state, text, "--sample", 1000000);
      break;
    case OPT_CATALOG:
      a->catalog = text;
      break;
    case OPT_JSON:
      a->json = true;
      break;
    case ARGP_KEY_ARG:
      if (!a->store) {
        a->store = text;
      } else {
        cli_take(state, &a->collected, text, "FOLDER");
      }
      break;
    case ARGP_KEY_END:
      if (!a->collected) argp_error(state, "name the STORE, and the FOLDER of what was collected");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

/* ---- as text ---- */

static void print_part(const hem__drift_part *p) {
  printf("%-20s %8zu %8zu  %10.4g %10.4g  %6.3f %9.2g %7.3f", cli_clean(p->name), p->expected_count, p->asked_count,
         p->expected_median, p->asked_median, p->distance_between, p->p_value, p->stability);
  if (isnan(p->no_match)) {
    printf("  %8s", "");
  } else {
    printf("  %7.1f%%", 100 * p->no_match);
  }
  printf("  %s\n", hem__drift_words[p->verdict]);
}

static const char *expected_of(const hem__drift *d) {
  return d->customers ? "customers' photos of the catalogue" : "the shop's own items, each left out of its answer";
}

static void print_text(const hem__drift *d) {
  printf("distance to the best hit; expected: of %s\n", expected_of(d));
  printf("%-20s %8s %8s  %10s %10s  %6s %9s %7s  %8s\n", "", "expected", "asked", "median", "asked", "KS", "p", "PSI",
         "no match");
  print_part(&d->all);
  for (size_t i = 0; i < d->category_count; i++) print_part(&d->categories[i]);
  for (size_t i = 0; i < d->day_count; i++) print_part(&d->days[i]);
  if (d->other) fprintf(stderr, "%s lines are of another embedding space, or cannot be read\n", cli_count(d->other));
}

/* ---- as JSON ---- */

static void write_part(hem__text *t, const char *key, const hem__drift_part *p) {
  hem__text_open(t, key, '{');
  hem__text_string(t, "name", p->name);
  hem__text_integer(t, "expected", p->expected_count);
  hem__text_integer(t, "asked", p->asked_count);
  hem__text_real(t, "expected_median", p->expected_median);
  hem__text_real(t, "asked_median", p->asked_median);
  hem__text_real(t, "ks", p->distance_between);
  hem__text_real(t, "p", p->p_value);
  hem__text_real(t, "psi", p->stability);
  hem__text_real(t, "no_match", p->no_match);
  hem__text_string(t, "verdict", hem__drift_words[p->verdict]);
  hem__text_close(t, '}');
}

static void write_parts(hem__text *t, const char *key, const hem__drift_part *parts, size_t count) {
  hem__text_open(t, key, '[');
  for (size_t i = 0; i < count; i++) write_part(t, NULL, &parts[i]);
  hem__text_close(t, ']');
}

static hem_status print_json(const hem__drift *d, hem_error *err) {
  hem__text t = {0};
  hem__text_open(&t, NULL, '{');
  hem__text_string(&t, "expected_of", d->customers ? "customers" : "items");
  hem__text_integer(&t, "other_lines", d->other);
  write_part(&t, "all", &d->all);
  write_parts(&t, "categories", d->categories, d->category_count);
  write_parts(&t, "days", d->days, d->day_count);
  hem__text_close(&t, '}');
  hem__text_raw(&t, "\n", 1);
  hem_status status = t.failed ? hem__fail(err, HEM_ENOMEM, "no memory for the JSON answer") : HEM_OK;
  if (!status) fwrite(t.at, 1, t.size, stdout);
  hem__text_clear(&t);
  return status;
}

/* ---- as a page ---- */

static double share_below(const double *sorted, size_t count, double end) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (sorted[middle] <= end) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return 100 * (double)low / (double)count;
}

/* Both distribution functions. */
static hem_status draw(const hem__drift *d, char **svg, hem_error *err) {
  static const char *const series[] = {"expected", "asked"};
  double at[POINTS];
  hem__plot_point points[2 * POINTS];
  size_t e = d->all.expected_count, a = d->all.asked_count;
  double low = fmin(d->expected[0], d->asked[0]), high = fmax(d->expected[e - 1], d->asked[a - 1]);
  if (!(high > low)) high = low + 1;
  for (size_t i = 0; i < POINTS; i++) {
    at[i] = low + (high - low) * (double)i / (POINTS - 1);
    double shares[2] = {share_below(d->expected, e, at[i]), share_below(d->asked, a, at[i])};
    for (size_t s = 0; s < 2; s++)
      points[2 * i + s] = (hem__plot_point){.value = shares[s], .low = shares[s], .high = shares[s]};
  }
  hem__plot plot = {.kind = HEM__PLOT_CURVES,
                    .across = "distance to the best hit",
                    .up = "% of the answers at most so far",
                    .at = at,
                    .group_count = POINTS,
                    .series = series,
                    .series_count = 2,
                    .points = points,
                    .percent = true,
                    .linear = true};
  return hem__plot_draw(&plot, svg, err);
}

static void put_part(hem__html *page, const hem__drift_part *p) {
  hem__html_put(page, "<tr><td>");
  hem__html_text(page, p->name);
  hem__html_print(page,
                  "</td><td>%zu</td><td>%zu</td><td>%.4g</td><td>%.4g</td><td>%.3f</td><td>%.2g</td><td>%.3f</td>",
                  p->expected_count, p->asked_count, p->expected_median, p->asked_median, p->distance_between,
                  p->p_value, p->stability);
  if (isnan(p->no_match)) {
    hem__html_put(page, "<td></td>");
  } else {
    hem__html_print(page, "<td>%.1f %%</td>", 100 * p->no_match);
  }
  hem__html_print(page, "<td>%s</td></tr>\n", hem__drift_words[p->verdict]);
}

static void put_table(hem__html *page, const hem__drift *d) {
  hem__html_put(page,
                "<table><thead><tr><th></th><th>expected</th><th>asked</th><th>median expected</th><th>median "
                "asked</th><th>KS</th><th>p</th><th>PSI</th><th>no match</th><th></th></tr></thead><tbody>\n");
  put_part(page, &d->all);
  for (size_t i = 0; i < d->category_count; i++) put_part(page, &d->categories[i]);
  for (size_t i = 0; i < d->day_count; i++) put_part(page, &d->days[i]);
  hem__html_put(page, "</tbody></table>\n");
}

static hem_status save_page(const drift_arguments *a, const hem__drift *d, hem_error *err) {
  hem__aside *file = NULL;
  char *svg = NULL;
  hem_status status = d->all.expected_count
                          ? draw(d, &svg, err)
                          : hem__fail(err, HEM_ENOTFOUND, "the catalogue has no photo to compare with");
  if (!status) status = hem__aside_new(a->report, &file, err);
  if (status) goto exit;
  hem__html page = {.to = file, .err = err};
  hem__html_open(&page, "Hemline: drift");
  hem__html_print(&page, "<h1>Drift: %s</h1>\n<p class=\"lead\">How far the best hit lies, for %zu questions asked of ",
                  hem__drift_words[d->all.verdict], d->all.asked_count);
  hem__html_text(&page, a->store);
  hem__html_print(&page, ", beside %zu of %s.</p>\n", d->all.expected_count, expected_of(d));
  hem__html_put(&page, "<figure class=\"chart\">");
  hem__html_put(&page,
                "<img alt=\"Distribution functions of the expected and the asked distances\" "
                "src=\"data:image/svg+xml;base64,");
  hem__html_base64(&page, svg, strlen(svg));
  hem__html_put(&page,
                "\"/><figcaption>Where the curve of the asked lies to the right of the expected one, customers ask "
                "for what is less like the catalogue than it was.</figcaption></figure>\n");
  put_table(&page, d);
  hem__html_close(&page);
  status = page.status;
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
exit:
  hem__aside_free(file);
  free(svg);
  return status;
}

static hem_status run(const drift_arguments *a, hem_error *err) {
  hem_engine *engine = NULL;
  hem__catalog *catalog = NULL;
  hem__drift drift = {0};
  hem_engine_info info;
  hem_status status = hem_engine_open(a->store, NULL, &engine, err);
  if (!status) {
    hem_engine_info_get(engine, &info);
    status = cli_open_catalog(a->catalog ? a->catalog : info.catalog, &catalog, err);
  }
  if (!status) status = hem__engine_check_rows(engine, catalog, err);
  if (!status) status = hem__drift_measure(engine, catalog, a->collected, a->sample, &drift, err);
  if (!status && a->json) status = print_json(&drift, err);
  if (!status && !a->json) print_text(&drift);
  if (!status && a->report) status = save_page(a, &drift, err);
  hem__drift_clear(&drift);
  hem__catalog_close(catalog);
  hem_engine_close(engine);
  return status;
}

int cli_drift(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "STORE FOLDER", .doc = doc};
  drift_arguments a = {0};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  return run(&a, &err) ? cli_fail(&err) : EXIT_DONE;
}
