#include "bench/experiments_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/chart.h"
#include "bench/report_parts.h"
#include "bench/sheets.h"

enum { TOP_1 = 0, TOP_20 = 3, POINTS = 2500 };

typedef struct writing {
  hem__html page;
  hem__catalog *catalog;
  const hem__photos *photos;
  const hem__experiments *x;
  const hem__experiments_page *how;
  size_t per_category, categories; /* rows; "all" is the last */
  const hem__experiment *shown;    /* whose curve, diagram, sheets and map are drawn: the best row's */
} writing;

static double percent(size_t part, size_t whole) { return whole ? 100.0 * (double)part / (double)whole : NAN; }

static hem__plot_point point_of(size_t right, size_t queries) {
  hem__plot_point p = {.value = percent(right, queries)};
  hem__wilson(right, queries, &p.low, &p.high);
  p.low *= 100;
  p.high *= 100;
  return p;
}

static const hem__experiment_row *row_of(const writing *w, size_t category, size_t experiment, size_t matcher) {
  return &w->x->rows[category * w->per_category + experiment * HEM__MATCHERS + matcher];
}

static const hem__experiment_row *all_row(const writing *w, size_t experiment, size_t matcher) {
  return row_of(w, w->categories - 1, experiment, matcher);
}

/* ---- headline ---- */

static void put_tile(writing *w, const char *name, double value, int places, const char *unit) {
  hem__html_print(&w->page,
                  "<div class=\"tile\"><dt>%s</dt>\n<dd class=\"figure\">%.*f<span class=\"unit\">%s</span></dd>"
                  "\n<dd class=\"detail\">",
                  name, places, value, unit);
}

static void end_tile(writing *w) { hem__html_put(&w->page, "</dd></div>\n"); }

static void put_tiles(writing *w) {
  const hem__experiment_row *best = w->x->best;
  const hem__experiment *e = w->shown;
  hem__plot_point p = point_of(best->right[TOP_20], best->queries);
  hem__html_put(&w->page, "<dl class=\"tiles\">\n");
  put_tile(w, "best top-20 accuracy", p.value, 1, "%");
  hem__html_text(&w->page, w->x->at[best->experiment].name);
  hem__html_print(&w->page, ", %s; 95%% interval %.1f–%.1f, chance %.1f", hem__matchers[best->matcher], p.low, p.high,
                  100 * best->chance[TOP_20]);
  end_tile(w);
  put_tile(w, "gained by training", 100 * e->gain, 1, " points");
  hem__html_print(&w->page,
                  "top-20 of the Siamese over %s, the best plain distance on the same space; 95%% interval "
                  "%.1f to %.1f, by item",
                  hem__matchers[e->plain], 100 * e->gain_low, 100 * e->gain_high);
  end_tile(w);
  put_tile(w, "calibration error", 100 * e->trust.shown.error, 1, "%");
  hem__html_put(&w->page, "expected, of the probabilities of the photos shown, on queries that training never saw");
  end_tile(w);
  put_tile(w, "queries", (double)best->queries, 0, "");
  hem__html_print(&w->page, "of %zu items, each within its own category; galleries hold ", w->x->items);
  hem__html_count(&w->page, best->gallery);
  hem__html_put(&w->page, " shop photos in all");
  end_tile(w);
  hem__html_put(&w->page, "</dl>\n");
}

static void put_about(writing *w) {
  hem__html_print(&w->page, "<h1>");
  hem__html_text(&w->page, w->how->title);
  hem__html_put(&w->page, "</h1>\n<p class=\"lead\">");
  hem__html_text(&w->page, w->how->about);
  hem__html_put(&w->page, "</p>\n");
  put_tiles(w);
  hem__html_put(&w->page,
                "<section>\n<h2>What was compared</h2>\n<p>The experiments of Menezes and Kanitkar (2018): hand-made "
                "features, the features of networks, and a Siamese metric that learns on top of each from pairs of "
                "photos, all asked the same queries over the same galleries. <strong>Top‑k accuracy</strong> is the "
                "share of queries with a photo of their item among the k nearest.</p>\n");
  if (w->x->marked)
    hem__html_put(&w->page,
                  "<p class=\"note\">The catalogue marks its splits. Metrics learn from train, stop and are calibrated "
                  "by validation, and every query here is a test photo.</p>\n");
  else
    hem__html_print(&w->page,
                    "<p class=\"note\">The catalogue marks no splits, so items fall into %zu folds by the hash of "
                    "their id. Each fold is asked of a metric that learned from the others and was stopped and "
                    "calibrated by the next one; the answers of all folds are counted together.</p>\n",
                    w->x->folds);
}

/* ---- figures ---- */

/* Series: of each space its best plain distance and its Siamese; chance last. */
static hem_status name_series(const writing *w, char **names, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < w->x->count && !status; i++) {
    const hem__experiment *e = &w->x->at[i];
    status = hem__print(&names[2 * i], err, "%s: %.60s", hem__matchers[e->plain], e->name);
    if (!status) status = hem__print(&names[2 * i + 1], err, "Siamese: %.60s", e->name);
  }
  return status ? status : hem__strdup("chance", &names[2 * w->x->count], err);
}

static void fill_points(const writing *w, size_t category, size_t cut, hem__plot_point *points) {
  for (size_t i = 0; i < w->x->count; i++)
    for (size_t siamese = 0; siamese < 2; siamese++) {
      const hem__experiment_row *row = row_of(w, category, i, siamese ? HEM__SIAMESE : w->x->at[i].plain);
      points[2 * i + siamese] = point_of(row->right[cut], row->queries);
    }
  const hem__experiment_row *any = row_of(w, category, 0, 0);
  double chance = any->queries ? 100 * any->chance[cut] : NAN;
  points[2 * w->x->count] = (hem__plot_point){chance, chance, chance};
}

static void put_figures(writing *w) {
  size_t series = 2 * w->x->count + 1;
  char **names = NULL;
  const char **groups = NULL;
  hem__plot_point *points = NULL;
  double cuts[HEM__CUTS];
  hem_error *err = w->page.err;
  hem_status status = hem__alloc(series, sizeof *names, "a plot", &names, err);
  if (!status) status = hem__alloc(w->categories, sizeof *groups, "a plot", &groups, err);
  if (!status) status = hem__alloc(hem__max(w->categories, HEM__CUTS) * series, sizeof *points, "a plot", &points, err);
  if (!status) status = name_series(w, names, err);
  if (status) {
    w->page.status = status;
    goto exit;
  }
  for (size_t i = 0; i < w->categories; i++) { /* "all" first */
    size_t category = (i + w->categories - 1) % w->categories;
    groups[i] = row_of(w, category, 0, 0)->category;
    fill_points(w, category, TOP_20, points + i * series);
  }
  hem__plot plot = {.kind = HEM__PLOT_BARS,
                    .up = "right, %",
                    .groups = groups,
                    .group_count = w->categories,
                    .at = cuts,
                    .series = (const char *const *)names,
                    .series_count = series,
                    .points = points,
                    .percent = true,
                    .chance = true};
  hem__report_plot(&w->page, &plot, "Top-20 accuracy, by category",
                   "Each space by its best plain distance, and by the metric learned on it. The thin lines are 95% "
                   "intervals; grey is chance.");
  for (size_t i = 0; i < HEM__CUTS; i++) {
    cuts[i] = (double)hem__cuts[i];
    fill_points(w, w->categories - 1, i, points + i * series);
  }
  plot.kind = HEM__PLOT_CURVES;
  plot.group_count = HEM__CUTS;
  plot.across = "among the first k";
  hem__report_plot(&w->page, &plot, "Top-k accuracy over all categories",
                   "The shaded bands are 95% intervals; the dashed line is chance.");
exit:
  for (size_t i = 0; names && i < series; i++) free(names[i]);
  free(names);
  free(groups);
  free(points);
}

/* ---- the table ---- */

static void put_cells(writing *w, const hem__experiment_row *row, size_t category) {
  for (size_t cut = 0; cut < HEM__CUTS; cut++) {
    size_t most = 0;
    for (size_t i = 0; i < w->per_category; i++) most = hem__max(most, row_of(w, category, 0, 0)[i].right[cut]);
    if (!row->queries) {
      hem__html_put(&w->page, "<td>–</td>");
      continue;
    }
    hem__plot_point p = point_of(row->right[cut], row->queries);
    hem__html_print(&w->page, "<td%s>%.1f<small>%.1f–%.1f</small></td>",
                    row->right[cut] == most ? " class=\"best\"" : "", p.value, p.low, p.high);
  }
}

static void put_table(writing *w, size_t category, bool open) {
  const hem__experiment_row *any = row_of(w, category, 0, 0);
  hem__html_print(&w->page, "<details class=\"card\"%s><summary><h3>", open ? " open=\"open\"" : "");
  hem__html_text(&w->page, any->category);
  hem__html_put(&w->page, "</h3> <small>");
  hem__html_count(&w->page, any->queries);
  hem__html_put(&w->page, " queries, gallery of ");
  hem__html_count(&w->page, any->gallery);
  hem__html_put(&w->page, " shop photos");
  if (any->without) hem__html_print(&w->page, "; %zu more have no right photo there and are not counted", any->without);
  hem__html_put(&w->page,
                "</small></summary>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">features</th>"
                "<th scope=\"col\" class=\"word\">nearest by</th>");
  for (size_t cut = 0; cut < HEM__CUTS; cut++)
    hem__html_print(&w->page, "<th scope=\"col\">top-%zu, %%</th>", hem__cuts[cut]);
  hem__html_put(&w->page, "</tr></thead>\n");
  for (size_t i = 0; i < w->x->count; i++)
    for (size_t m = 0; m < HEM__MATCHERS; m++) {
      hem__html_put(&w->page, m ? "<tr>" : "<tbody>\n<tr><th scope=\"rowgroup\" rowspan=\"4\">");
      if (!m) {
        hem__html_text(&w->page, w->x->at[i].name);
        hem__html_print(&w->page, "<br/><small>%s</small></th>", w->x->at[i].network ? "network" : "hand-made");
      }
      hem__html_print(&w->page, "<td class=\"word distance\">%s</td>", hem__matchers[m]);
      put_cells(w, row_of(w, category, i, m), category);
      hem__html_put(&w->page, m + 1 < HEM__MATCHERS ? "</tr>\n" : "</tr>\n</tbody>\n");
    }
  hem__html_put(&w->page, "<tfoot><tr><th scope=\"row\">chance</th><td></td>");
  for (size_t cut = 0; cut < HEM__CUTS; cut++)
    hem__html_print(&w->page, "<td>%.1f<small></small></td>", 100 * any->chance[cut]);
  hem__html_put(&w->page, "</tr></tfoot>\n</table></div></details>\n");
}

static void put_tables(writing *w) {
  hem__html_put(&w->page,
                "<p class=\"muted\">Every result, a table for each category. The small numbers are 95% "
                "intervals (Wilson’s). Marked: the best of its column.</p>\n");
  put_table(w, w->categories - 1, true);
  for (size_t i = 0; i + 1 < w->categories; i++) put_table(w, i, false);
  hem__html_put(&w->page, "</section>\n");
}

/* ---- what training gained ---- */

static void put_gain(writing *w, const hem__experiment *e, size_t i) {
  const hem__experiment_row *plain = all_row(w, i, e->plain), *siamese = all_row(w, i, HEM__SIAMESE);
  const char *verdict = e->gain_low > 0 ? "better" : e->gain_high < 0 ? "worse" : "no difference shown";
  hem__html_put(&w->page, "<tr><th scope=\"row\">");
  hem__html_text(&w->page, e->name);
  hem__html_print(&w->page,
                  "</th><td class=\"word\">%s</td><td>%.1f</td><td>%.1f</td><td>%+.1f<small>%+.1f to %+.1f</small></td>"
                  "<td class=\"word\">%s</td><td>%.1f</td></tr>\n",
                  hem__matchers[e->plain], percent(plain->right[TOP_20], plain->queries),
                  percent(siamese->right[TOP_20], siamese->queries), 100 * e->gain, 100 * e->gain_low,
                  100 * e->gain_high, verdict, 100 * e->trust.shown.error);
}

static void put_gains(writing *w) {
  const hem__training *t = &w->x->at[0].training[0];
  hem__html_put(&w->page,
                "<section>\n<h2>What training gained</h2>\n<p>Each metric against the best plain distance on "
                "the same space. That distance is the best <em>on these very queries</em>, which favours it. The "
                "difference is paired, query by query, and its interval counts items, whose queries are right or "
                "wrong together.</p>\n");
  hem__html_put(&w->page,
                "<div class=\"card wide\"><table>\n<thead><tr><th scope=\"col\">space</th><th scope=\"col\" "
                "class=\"word\">best plain</th><th scope=\"col\">its top-20, %</th><th scope=\"col\">Siamese, %</th>"
                "<th scope=\"col\">difference, points</th><th scope=\"col\" class=\"word\">verdict</th>"
                "<th scope=\"col\">calibration error, %</th></tr></thead>\n<tbody>\n");
  for (size_t i = 0; i < w->x->count; i++) put_gain(w, &w->x->at[i], i);
  hem__html_put(&w->page, "</tbody>\n</table></div>\n<p class=\"muted\">");
  hem__html_text(&w->page, t->metric->about ? t->metric->about : "");
  hem__html_print(&w->page, " %s%zu items and %zu pairs to learn from, %zu items to stop by.</p>\n",
                  w->x->folds > 1 ? "In the first fold " : "", t->train_items, t->train_pairs, t->validation_items);
}

/* ---- the training curve ---- */

static size_t longest(const hem__experiment *e, size_t folds) {
  size_t most = 0;
  for (size_t f = 0; f < folds; f++)
    for (size_t i = 0; i < e->training[f].epoch_count; i++) most = hem__max(most, e->training[f].epochs[i].epoch);
  return most;
}

/* Of the seed that stayed, fold by fold. */
static void fill_curve(const hem__experiment *e, size_t folds, bool loss, hem__plot_point *points) {
  for (size_t f = 0; f < folds; f++) {
    const hem__training *t = &e->training[f];
    for (size_t i = 0; i < t->epoch_count; i++) {
      const hem_epoch *epoch = &t->epochs[i];
      double value = loss ? epoch->loss : 100 * epoch->accuracy;
      if (epoch->seed == t->epochs[t->best].seed)
        points[epoch->epoch * folds + f] = (hem__plot_point){value, value, value};
    }
  }
}

static void put_curve(writing *w) {
  size_t folds = w->x->folds, epochs = longest(w->shown, folds) + 1;
  char **names = NULL;
  double *at = NULL;
  hem__plot_point *points = NULL;
  hem_error *err = w->page.err;
  hem_status status = hem__alloc(folds, sizeof *names, "a plot", &names, err);
  if (!status) status = hem__alloc(epochs, sizeof *at, "a plot", &at, err);
  if (!status) status = hem__alloc(epochs * folds, sizeof *points, "a plot", &points, err);
  for (size_t f = 0; f < folds && !status; f++)
    status = folds > 1 ? hem__print(&names[f], err, "fold %zu", f + 1) : hem__strdup("validation", &names[f], err);
  for (size_t i = 0; i < epochs && !status; i++) at[i] = (double)i;
  hem__plot plot = {.kind = HEM__PLOT_CURVES,
                    .across = "epoch",
                    .at = at,
                    .group_count = epochs,
                    .series = (const char *const *)names,
                    .series_count = folds,
                    .points = points,
                    .linear = true};
  for (int loss = 0; loss < 2 && !status; loss++) {
    for (size_t i = 0; i < epochs * folds; i++) points[i] = (hem__plot_point){NAN, NAN, NAN};
    fill_curve(w->shown, folds, loss, points);
    plot.up = loss ? "loss" : "top-20 on validation, %";
    plot.percent = !loss;
    hem__report_plot(&w->page, &plot, loss ? "Loss, by epoch" : "Accuracy on validation, by epoch",
                     loss ? "Mean over the training pairs." : "Epoch 0 is before training. The best epoch stays.");
  }
  if (status) w->page.status = status;
  for (size_t f = 0; names && f < folds; f++) free(names[f]);
  free(names);
  free(at);
  free(points);
}

/* ---- reliability ---- */

static void put_reliability(writing *w) {
  const hem__trust *t = &w->shown->trust;
  static const char *const names[] = {"came true", "if all were exact"};
  double at[HEM__RELIABILITY_BINS];
  hem__plot_point points[HEM__RELIABILITY_BINS][2];
  for (size_t i = 0; i < HEM__RELIABILITY_BINS; i++) {
    const hem__reliability_bin *bin = &t->shown.bins[i];
    at[i] = bin->count ? 100 * bin->mean : 100 * ((double)i + 0.5) / HEM__RELIABILITY_BINS;
    points[i][0] = point_of((size_t)lround(bin->rate * (double)bin->count), bin->count);
    points[i][1] = (hem__plot_point){at[i], at[i], at[i]};
  }
  hem__plot plot = {.kind = HEM__PLOT_CURVES,
                    .across = "probability given, %",
                    .up = "came true, %",
                    .at = at,
                    .group_count = HEM__RELIABILITY_BINS,
                    .series = names,
                    .series_count = 2,
                    .points = points[0],
                    .percent = true,
                    .chance = true,
                    .linear = true};
  hem__html_put(
      &w->page,
      "</section>\n<section>\n<h2>Do probabilities come true?</h2>\n<p>Each of the 20 photos that a "
      "query is shown carries the probability that it shows the query’s item. Of those given 30%, 30% should. "
      "</p>\n");
  hem__report_plot(&w->page, &plot, "Reliability", "Each point is a tenth of the scale; the dashed line is exactness.");
  hem__html_print(&w->page, "<p>Expected calibration error: <strong>%.2f%%</strong>, over ", 100 * t->shown.error);
  hem__html_count(&w->page, t->shown.count);
  hem__html_print(&w->page,
                  " photos. With their own item taken out of the gallery, %.1f%% of queries were still given an answer "
                  "(the threshold was set for at most %.1f%%); of those whose item is there, %.1f%% were told that "
                  "there is no match.</p>\n</section>\n",
                  t->strangers ? percent(t->false_accepts, t->strangers) : 0,
                  100 * w->shown->training[0].metric->false_accept,
                  t->answerable ? percent(t->false_rejects, t->answerable) : 0);
}

/* ---- photos, and the map ---- */

static const hem__metric *metric_of(void *context, size_t row) {
  const writing *w = context;
  return hem__experiments_metric(w->x, w->photos, (size_t)(w->shown - w->x->at), row);
}

static hem_status make_sheets(writing *w, hem__accuracy *accuracy, hem__sheets *sheets, hem_error *err) {
  bool siamese = w->x->best->matcher == HEM__SIAMESE;
  static const hem_distance plain[] = {HEM_L1, HEM_L2, HEM_COSINE};
  hem__accuracy_options o = {.space = w->shown->space,
                             .match = HEM__MATCH_ITEM,
                             .query_split = w->x->marked ? HEM__TEST : -1,
                             .gallery_split = w->how->gallery_split,
                             .query_limit = w->how->query_limit,
                             .threads = w->how->threads,
                             .progress = w->how->progress};
  hem__sheets_options s = {.accuracy = o,
                           .approach = w->shown->name,
                           .distance = siamese ? -1 : (int)plain[w->x->best->matcher],
                           .each = w->how->sheets,
                           .idx = w->how->idx,
                           .metric_of = siamese ? metric_of : NULL,
                           .context = w,
                           .ranks = siamese ? w->shown->ranks[HEM__SIAMESE] : NULL};
  hem_status status = hem__accuracy_measure(w->catalog, &o, accuracy, err);
  if (!status && hem__catalog_space(w->catalog, w->shown->space)->block_count == 1) s.approach = NULL;
  return status ? status : hem__sheets_make(w->catalog, accuracy, &s, sheets, err);
}

static void put_sheets(writing *w) {
  hem__accuracy accuracy = {0};
  hem__sheets sheets = {0};
  char about[512];
  if (!w->how->sheets || w->page.status) return;
  hem_status status = make_sheets(w, &accuracy, &sheets, w->page.err);
  snprintf(about, sizeof about,
           "Found with %.100s, %s. Right means: one of the nearest 20 shows the same item.%s The queries are evenly "
           "spread over those that were answered rightly, and over those that were not.",
           w->shown->name, hem__matchers[w->x->best->matcher],
           w->x->best->matcher == HEM__SIAMESE ? " The numbers are probabilities." : "");
  hem__report report = {.sheets = sheets.at, .sheet_count = sheets.count, .sheets_about = about};
  if (status)
    w->page.status = status;
  else if (sheets.count)
    hem__report_photos(&w->page, &report);
  hem__sheets_clear(&sheets);
  hem__accuracy_clear(&accuracy);
}

/* A catalogue that is too small for a map has none. */
static void put_map(writing *w) {
  hem__chart chart = {0};
  char *svg = NULL;
  size_t size = 0;
  hem_error why = {0};
  hem__chart_options o = {.space = w->shown->space,
                          .points = w->how->points ? w->how->points : POINTS,
                          .domain = HEM__CONSUMER,
                          .tsne = {.seed = 1, .threads = w->how->threads, .progress = w->how->progress}};
  if (w->page.status) return;
  hem_status status = hem__chart_make(w->catalog, &o, &chart, &why);
  if (!status) status = hem__chart_draw(&chart, false, &svg, &size, &why);
  if (status == HEM_ENOMEM || status == HEM_ECANCELED || status == HEM_ECORRUPT) {
    w->page.status = hem__fail(w->page.err, status, "%s", why.message);
  } else if (!status) {
    hem__html_put(&w->page,
                  "<section>\n<h2>The space on paper</h2>\n<p>Customers’ photos laid out by t-SNE, so that near "
                  "neighbours stay near; sizes of groups and far distances say nothing.</p>\n<figure class=\"card "
                  "plot\"><figcaption><h3>");
    hem__html_text(&w->page, w->shown->name);
    hem__html_print(&w->page,
                    "</h3>%zu of %zu photos, coloured by category; perplexity %g</figcaption><div "
                    "class=\"wide\"><img alt=\"a map of the photos\" src=\"data:image/svg+xml;base64,",
                    chart.count, chart.there, chart.perplexity);
    hem__html_base64(&w->page, svg, size);
    hem__html_put(&w->page, "\"/></div></figure>\n</section>\n");
  }
  free(svg);
  hem__chart_clear(&chart);
}

hem_status hem__experiments_write(hem__catalog *catalog, const hem__experiments *x, const hem__experiments_page *how,
                                  hem_error *err) {
  hem__aside *file = NULL;
  hem_status status = hem__aside_new(how->path, &file, err);
  if (status) return status;
  size_t per_category = x->count * HEM__MATCHERS;
  writing w = {.page = {.to = file, .err = err},
               .catalog = catalog,
               .photos = hem__catalog_photos(catalog),
               .x = x,
               .how = how,
               .per_category = per_category,
               .categories = x->row_count / per_category,
               .shown = &x->at[x->best->experiment]};
  hem__html_open(&w.page, how->title);
  put_about(&w);
  put_figures(&w);
  put_tables(&w);
  put_gains(&w);
  put_curve(&w);
  put_reliability(&w);
  put_sheets(&w);
  put_map(&w);
  hem__html_close(&w.page);
  status = w.page.status;
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
  hem__aside_free(file);
  return status;
}
