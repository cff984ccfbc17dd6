/* The page from top to bottom: headline numbers, accuracy, recall, photos. It only shows what others measured. Any
 * text may hold anything, so that every string that is not our own goes through hem__html_text or hem__plot_draw. */
#include "bench/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/html.h"
#include "bench/plot.h"
#include "bench/report_parts.h"

enum { TOP_1 = 0, TOP_20 = 3 }; /* places in hem__cuts */

static double percent(size_t part, size_t whole) { return whole ? 100.0 * (double)part / (double)whole : NAN; }

static hem__plot_point point_of(size_t right, size_t queries) {
  hem__plot_point p = {.value = percent(right, queries)};
  hem__wilson(right, queries, &p.low, &p.high);
  p.low *= 100;
  p.high *= 100;
  return p;
}

static const char *name_of(hem_distance distance) {
  static const char *const names[] = {
      [HEM_L2] = "L2", [HEM_L1] = "L1", [HEM_COSINE] = "cosine", [HEM_IP] = "inner product"};
  return (size_t)distance < sizeof names / sizeof *names ? names[distance] : "?";
}

/* ---- the accuracy rows as a grid ---- */

typedef struct names {
  const char **at;
  size_t count;
} names;

static size_t find(const names *set, const char *name) {
  size_t i = 0;
  while (i < set->count && strcmp(set->at[i], name) != 0) i++;
  return i;
}

static void add(names *set, const char *name) {
  size_t i = find(set, name);
  if (i == set->count) set->at[set->count++] = name;
}

typedef struct grid {
  const hem__accuracy *of;
  names categories, approaches; /* "all", which is the last of the rows, comes first: most readers want no more */
  size_t cut; /* the headline's place in hem__cuts: 20, but 1 for labels, which 20 photos nearly always meet */
  const hem__accuracy_row *best; /* at `cut` over all categories; its distance is the one that is plotted */
} grid;

static void grid_clear(grid *g) {
  free(g->categories.at);
  free(g->approaches.at);
}

static hem_status grid_init(const hem__accuracy *accuracy, grid *g, hem_error *err) {
  hem_status status = hem__alloc(accuracy->row_count, sizeof(char *), "a report", &g->categories.at, err);
  if (!status) status = hem__alloc(accuracy->row_count, sizeof(char *), "a report", &g->approaches.at, err);
  if (status) return status;
  g->of = accuracy;
  g->cut = hem__accuracy_cut(accuracy);
  const char *all = accuracy->rows[accuracy->row_count - 1].category;
  add(&g->categories, all);
  for (size_t i = 0; i < accuracy->row_count; i++) {
    const hem__accuracy_row *row = &accuracy->rows[i];
    add(&g->categories, row->category);
    add(&g->approaches, row->approach);
    if (strcmp(row->category, all) != 0 || row->queries == 0) continue;
    if (!g->best || percent(row->right[g->cut], row->queries) > percent(g->best->right[g->cut], g->best->queries))
      g->best = row;
  }
  return HEM_OK;
}

/* ---- headline numbers ---- */

static void put_percent(hem__html *page, double value, int places) {
  hem__html_print(page, "%.*f<span class=\"unit\">%%</span>", places, value);
}

#define TILE_DETAIL "</dd>\n<dd class=\"detail\">"

static void open_tile(hem__html *page, const char *name) {
  hem__html_print(page, "<div class=\"tile\"><dt>%s</dt>\n<dd class=\"figure\">", name);
}

static void close_tile(hem__html *page) { hem__html_put(page, "</dd></div>\n"); }

static void accuracy_tile(hem__html *page, const hem__accuracy_row *best, size_t cut) {
  hem__plot_point p = point_of(best->right[cut], best->queries);
  char name[32];
  snprintf(name, sizeof name, "top-%zu accuracy", hem__cuts[cut]);
  open_tile(page, name);
  put_percent(page, p.value, 1);
  hem__html_put(page, TILE_DETAIL);
  hem__html_text(page, best->approach);
  hem__html_print(page, " by %s; 95%% interval %.1f–%.1f, chance %.1f", name_of(best->distance), p.low, p.high,
                  100 * best->chance[cut]);
  close_tile(page);
}

/* The lowest, because an average hides the index that is worst. */
static void recall_tile(hem__html *page, const hem__report *report) {
  const hem__recall_row *worst = &report->recall[0];
  for (size_t i = 1; i < report->recall_count; i++)
    if (report->recall[i].recall < worst->recall) worst = &report->recall[i];
  open_tile(page, "lowest recall");
  put_percent(page, 100 * worst->recall, 2);
  hem__html_print(page, TILE_DETAIL "of the true %zu nearest, by ", worst->k);
  hem__html_text(page, worst->kind);
  hem__html_put(page, " on ");
  hem__html_text(page, worst->category);
  hem__html_print(page, "; half of its queries take under %.0f µs", worst->median_us);
  close_tile(page);
}

static void put_tiles(hem__html *page, const hem__report *report, const grid *g) {
  hem__html_put(page, "<dl class=\"tiles\">\n");
  if (g->best) {
    accuracy_tile(page, g->best, g->cut);
    accuracy_tile(page, g->best, g->cut == TOP_1 ? TOP_20 : TOP_1);
    open_tile(page, "queries");
    hem__html_count(page, g->best->queries);
    hem__html_put(page, TILE_DETAIL "each within its own category; ");
    hem__html_count(page, g->best->gallery);
    hem__html_put(page, " shop photos in all");
    close_tile(page);
  }
  if (report->recall_count) recall_tile(page, report);
  hem__html_put(page, "</dl>\n");
}

static void put_headline(hem__html *page, const hem__report *report, const grid *g) {
  hem__html_put(page, "<header>\n<h1>");
  hem__html_text(page, report->title);
  hem__html_put(page, "</h1>\n<p class=\"lead\">");
  hem__html_text(page, report->summary);
  hem__html_put(page, "</p>\n");
  if (g->best || report->recall_count) put_tiles(page, report, g);
  hem__html_put(page, "</header>\n");
}

/* ---- plots ---- */

/* points: a group for each category, or for each of hem__cuts; in it each approach, then chance. Only the rows of the
 * best distance are plotted. */
static void fill_points(const grid *g, bool curves, hem__plot_point *points) {
  size_t series = g->approaches.count + 1;
  for (size_t i = 0; i < g->of->row_count; i++) {
    const hem__accuracy_row *row = &g->of->rows[i];
    size_t category = find(&g->categories, row->category), approach = find(&g->approaches, row->approach);
    if (row->distance != g->best->distance || (curves && category != 0)) continue;
    for (size_t cut = 0; cut < HEM__CUTS; cut++) {
      if (!curves && cut != g->cut) continue;
      hem__plot_point *group = points + (curves ? cut : category) * series;
      group[approach] = point_of(row->right[cut], row->queries);
      group[series - 1] = (hem__plot_point){.value = 100 * row->chance[cut]};
    }
  }
}

static void put_accuracy_plot(hem__html *page, const grid *g, bool curves, const char *title, const char *about) {
  size_t groups = curves ? HEM__CUTS : g->categories.count, series = g->approaches.count + 1;
  const char **labels = NULL;
  hem__plot_point *points = NULL;
  double cuts[HEM__CUTS];
  if (!page->status) page->status = hem__alloc(series, sizeof *labels, "a plot", &labels, page->err);
  if (!page->status) page->status = hem__alloc(groups * series, sizeof *points, "a plot", &points, page->err);
  if (page->status) goto exit;
  for (size_t i = 0; i < HEM__CUTS; i++) cuts[i] = (double)hem__cuts[i];
  for (size_t i = 0; i < series; i++) labels[i] = i + 1 < series ? g->approaches.at[i] : "chance";
  for (size_t i = 0; i < groups * series; i++) points[i].value = NAN;
  fill_points(g, curves, points);
  hem__plot plot = {.kind = curves ? HEM__PLOT_CURVES : HEM__PLOT_BARS,
                    .up = "right, %",
                    .across = curves ? "among the first k" : NULL,
                    .groups = g->categories.at,
                    .at = cuts,
                    .group_count = groups,
                    .series = labels,
                    .series_count = series,
                    .points = points,
                    .percent = true,
                    .chance = true};
  hem__report_plot(page, &plot, title, about);
exit:
  free(labels);
  free(points);
}

/* ---- accuracy ---- */

static void explain_accuracy(hem__html *page, const hem__accuracy *accuracy) {
  hem__html_put(page,
                "<section>\n<h2>Accuracy</h2>\n"
                "<p>Each query photo is compared with every shop photo of its category: the gallery. "
                "<strong>Top‑k accuracy</strong> is the share of queries with a right photo among the k nearest. "
                "The smaller the gallery, the easier that is, so read it beside <strong>chance</strong>: what a random "
                "order would reach. The small numbers are the <strong>95% interval</strong> (Wilson’s): where the true "
                "share lies, judging from so many queries. Where two intervals overlap widely, neither is shown to be "
                "better.</p>\n");
  if (accuracy->by_label)
    hem__html_put(page,
                  "<p class=\"note\"><strong>“Right” here means: the same label.</strong> The catalogue does not say "
                  "which photos show one item. In a category with a single label every photo is right by construction; "
                  "its chance of 100% shows that.</p>\n");
  if (accuracy->leave_one_out)
    hem__html_put(page,
                  "<p class=\"note\">The catalogue has no customers’ photos: each shop photo was asked for the others, "
                  "itself left out.</p>\n");
}

/* For each cut, the most and the fewest right of a category: the most is marked, unless all have it. */
typedef struct extremes {
  double high[HEM__CUTS], low[HEM__CUTS];
} extremes;

static extremes extremes_of(const grid *g, const char *category) {
  extremes e;
  for (size_t cut = 0; cut < HEM__CUTS; cut++) e.high[cut] = -1, e.low[cut] = 101;
  for (size_t i = 0; i < g->of->row_count; i++) {
    const hem__accuracy_row *row = &g->of->rows[i];
    if (strcmp(row->category, category) != 0) continue;
    for (size_t cut = 0; cut < HEM__CUTS; cut++) {
      e.high[cut] = fmax(e.high[cut], percent(row->right[cut], row->queries));
      e.low[cut] = fmin(e.low[cut], percent(row->right[cut], row->queries));
    }
  }
  return e;
}

static void put_cells(hem__html *page, const hem__accuracy_row *row, const extremes *e) {
  for (size_t cut = 0; cut < HEM__CUTS; cut++) {
    if (row->queries == 0) {
      hem__html_put(page, "<td>–</td>");
      continue;
    }
    hem__plot_point p = point_of(row->right[cut], row->queries);
    bool best = p.value >= e->high[cut] && e->low[cut] < e->high[cut];
    hem__html_print(page, "<td%s>%.1f<small>%.1f–%.1f</small></td>", best ? " class=\"best\"" : "", p.value, p.low,
                    p.high);
  }
}

/* The rows of one category; those of one approach share its name. */
static void put_rows(hem__html *page, const grid *g, const char *category) {
  const hem__accuracy_row *rows = g->of->rows, *end = rows + g->of->row_count;
  extremes e = extremes_of(g, category);
  const char *approach = NULL;
  for (const hem__accuracy_row *row = rows; row < end; row++) {
    if (strcmp(row->category, category) != 0) continue;
    if (!approach || strcmp(row->approach, approach) != 0) {
      size_t same = 1;
      while (row + same < end && !strcmp(row[same].category, category) && !strcmp(row[same].approach, row->approach))
        same++;
      hem__html_print(page, "%s<tbody>\n<tr><th scope=\"rowgroup\" rowspan=\"%zu\">", approach ? "</tbody>\n" : "",
                      same);
      hem__html_text(page, row->approach);
      hem__html_put(page, "</th>");
      approach = row->approach;
    } else {
      hem__html_put(page, "<tr>");
    }
    hem__html_print(page, "<td class=\"word distance\">%s</td>", name_of(row->distance));
    put_cells(page, row, &e);
    hem__html_put(page, "</tr>\n");
  }
  hem__html_put(page, "</tbody>\n");
}

/* Queries, gallery and chance depend on the category alone and are said once. */
static void put_table(hem__html *page, const grid *g, const char *category, bool open) {
  const hem__accuracy_row *any = g->of->rows;
  while (strcmp(any->category, category) != 0) any++;
  hem__html_print(page, "<details class=\"card\"%s><summary><h3>", open ? " open=\"open\"" : "");
  hem__html_text(page, category);
  hem__html_put(page, "</h3> <small>");
  hem__html_count(page, any->queries);
  hem__html_put(page, " queries, gallery of ");
  hem__html_count(page, any->gallery);
  hem__html_put(page, " shop photos");
  if (any->without) {
    hem__html_put(page, "; ");
    hem__html_count(page, any->without);
    hem__html_put(page, " more queries have no right photo there and are not counted");
  }
  hem__html_put(page,
                "</small></summary>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">approach</th>"
                "<th scope=\"col\" class=\"word\">distance</th>");
  for (size_t cut = 0; cut < HEM__CUTS; cut++)
    hem__html_print(page, "<th scope=\"col\">top-%zu, %%</th>", hem__cuts[cut]);
  hem__html_put(page, "</tr></thead>\n");
  put_rows(page, g, category);
  hem__html_put(page, "<tfoot><tr><th scope=\"row\">chance</th><td></td>");
  for (size_t cut = 0; cut < HEM__CUTS; cut++)
    hem__html_print(page, "<td>%.1f<small></small></td>", 100 * any->chance[cut]);
  hem__html_put(page, "</tr></tfoot>\n</table></div></details>\n");
}

static void put_accuracy(hem__html *page, const grid *g) {
  char title[64], about[128];
  const char *distance = name_of(g->best->distance);
  explain_accuracy(page, g->of);
  snprintf(title, sizeof title, "Top-%zu accuracy, by category and approach", hem__cuts[g->cut]);
  snprintf(about, sizeof about, "By %s, the best distance. The thin lines are 95%% intervals; grey is chance.",
           distance);
  put_accuracy_plot(page, g, false, title, about);
  snprintf(about, sizeof about, "By %s. The shaded bands are 95%% intervals; the dashed line is chance.", distance);
  put_accuracy_plot(page, g, true, "Top-k accuracy over all categories", about);
  hem__html_put(page,
                "<p class=\"muted\">Every result, a table for each category. Marked: the best of its column.</p>\n");
  for (size_t i = 0; i < g->categories.count; i++) put_table(page, g, g->categories.at[i], i == 0);
  hem__html_put(page, "</section>\n");
}

/* ---- recall ---- */

static void put_recall_row(hem__html *page, const hem__recall_row *row) {
  hem__html_put(page, "<tr><th scope=\"row\">");
  hem__html_text(page, row->kind);
  hem__html_put(page, "</th><td class=\"word\">");
  hem__html_text(page, row->category);
  hem__html_print(page, "</td><td>%zu</td><td>", row->k);
  hem__html_count(page, row->queries);
  hem__html_put(page, "</td><td>");
  hem__html_count(page, row->gallery);
  hem__html_print(page, "</td><td>%.2f<small>%.2f–%.2f</small></td><td>%.1f</td><td>%.1f</td></tr>\n",
                  100 * row->recall, 100 * row->low, 100 * row->high, row->median_us, row->p99_us);
}

static void put_recall_table(hem__html *page, const hem__report *report) {
  hem__html_put(page,
                "<div class=\"card wide\"><table>\n<thead><tr><th scope=\"col\">index</th>"
                "<th scope=\"col\" class=\"word\">category</th><th scope=\"col\">k</th><th scope=\"col\">queries</th>"
                "<th scope=\"col\">gallery</th><th scope=\"col\">recall, %</th><th scope=\"col\">median, µs</th>"
                "<th scope=\"col\">p99, µs</th></tr></thead>\n<tbody>\n");
  for (size_t i = 0; i < report->recall_count; i++) put_recall_row(page, &report->recall[i]);
  hem__html_put(page, "</tbody>\n</table></div>\n");
}

typedef struct recall_plots {
  names groups, kinds;
  char **labels; /* "category, k = 10", by row; groups points into it */
  hem__plot_point *recall, *time;
} recall_plots;

static void recall_plots_clear(recall_plots *p, size_t rows) {
  for (size_t i = 0; p->labels && i < rows; i++) free(p->labels[i]);
  free(p->labels);
  free(p->groups.at);
  free(p->kinds.at);
  free(p->recall);
  free(p->time);
}

static hem_status recall_plots_init(const hem__report *report, recall_plots *p, hem_error *err) {
  size_t rows = report->recall_count;
  hem_status status = hem__alloc(rows, sizeof *p->labels, "a plot", &p->labels, err);
  if (!status) status = hem__alloc(rows, sizeof(char *), "a plot", &p->groups.at, err);
  if (!status) status = hem__alloc(rows, sizeof(char *), "a plot", &p->kinds.at, err);
  for (size_t i = 0; !status && i < rows; i++) {
    status = hem__print(&p->labels[i], err, "%s, k = %zu", report->recall[i].category, report->recall[i].k);
    if (status) break;
    add(&p->groups, p->labels[i]);
    add(&p->kinds, report->recall[i].kind);
  }
  size_t points = p->groups.count * p->kinds.count;
  if (!status) status = hem__alloc(points, sizeof *p->recall, "a plot", &p->recall, err);
  if (!status) status = hem__alloc(points, sizeof *p->time, "a plot", &p->time, err);
  if (status) return status;
  for (size_t i = 0; i < points; i++) p->recall[i].value = p->time[i].value = NAN;
  for (size_t i = 0; i < rows; i++) {
    const hem__recall_row *row = &report->recall[i];
    size_t at = find(&p->groups, p->labels[i]) * p->kinds.count + find(&p->kinds, row->kind);
    p->recall[at] = (hem__plot_point){100 * row->recall, 100 * row->low, 100 * row->high};
    p->time[at] = (hem__plot_point){row->median_us, row->median_us, row->p99_us};
  }
  return HEM_OK;
}

static void put_recall(hem__html *page, const hem__report *report) {
  recall_plots p = {0};
  hem__html_put(page,
                "<section>\n<h2>Index recall and speed</h2>\n"
                "<p>An index trades a little exactness for speed. <strong>Recall</strong> is the share of the true k "
                "nearest photos that it finds, judged by an exact search; it says nothing about whether these photos "
                "are right. The times are of one query on one thread: half of the queries are faster than the "
                "<strong>median</strong>, and one in a hundred is slower than <strong>p99</strong>.</p>\n");
  if (!page->status) page->status = recall_plots_init(report, &p, page->err);
  hem__plot plot = {.kind = HEM__PLOT_DOTS,
                    .up = "recall, %",
                    .groups = p.groups.at,
                    .group_count = p.groups.count,
                    .series = p.kinds.at,
                    .series_count = p.kinds.count,
                    .points = p.recall,
                    .percent = true};
  hem__report_plot(page, &plot, "Recall, by category and index",
                   "The thin lines are 95% intervals. The axis does not start at zero.");
  plot.kind = HEM__PLOT_BARS;
  plot.up = "µs a query";
  plot.points = p.time;
  plot.percent = false;
  hem__report_plot(page, &plot, "Time of one query", "Bars: the median. The thin lines reach up to p99.");
  put_recall_table(page, report);
  hem__html_put(page, "</section>\n");
  recall_plots_clear(&p, report->recall_count);
}

/* ---- the page ---- */

hem_status hem__report_write(const hem__report *report, const char *path, hem_error *err) {
  grid g = {0};
  hem__aside *file = NULL;
  hem_status status = hem__aside_new(path, &file, err);
  if (!status && report->accuracy && report->accuracy->row_count) status = grid_init(report->accuracy, &g, err);
  if (status) goto exit;
  hem__html page = {.to = file, .err = err};
  hem__html_open(&page, report->title);
  put_headline(&page, report, &g);
  if (g.best) put_accuracy(&page, &g);
  if (report->recall_count) put_recall(&page, report);
  if (report->sheet_count) hem__report_photos(&page, report);
  hem__html_close(&page);
  status = page.status;
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
exit:
  grid_clear(&g);
  hem__aside_free(file);
  return status;
}
