/* The sweep as a page: what is fastest at which recall, curves, tables, and how it was measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report_parts.h"
#include "bench/sweep.h"

enum { BINS = 60, HISTOGRAMS = 8, AT_95 = 1, AT_99 = 2 };

typedef struct writing {
  const hem__sweep *s;
  hem__html page;
  hem__curve *curves;  /* one for each contestant */
  double *across, *up; /* room for all rows, or for the bins of all contestants */
} writing;

static const hem__sweep_point *point_of(const hem__sweep *s, size_t engine, size_t target) {
  return &s->points[engine * HEM__SWEEP_TARGETS + target];
}

static uint64_t memory_of(const hem__sweep_engine *e) { return e->private_bytes + e->mapped_bytes; }

/* The fastest of Hemline's, or of the others; SIZE_MAX: none gets there. */
static size_t fastest(const hem__sweep *s, bool own, size_t target) {
  size_t best = SIZE_MAX;
  for (size_t i = 0; i < s->engine_count; i++) {
    const hem__sweep_engine *e = &s->engines[i];
    double qps = *e->skipped ? NAN : point_of(s, i, target)->qps;
    if (e->own != own || e->again || e->metric || isnan(qps)) continue;
    if (best == SIZE_MAX || qps > point_of(s, best, target)->qps) best = i;
  }
  return best;
}

/* ---- headline ---- */

static void put_tile(writing *w, const char *name, const char *figure, const char *unit, const char *detail) {
  hem__html_print(&w->page,
                  "<div class=\"tile\"><dt>%s</dt>\n<dd class=\"figure\">%s<span class=\"unit\">%s</span></dd>\n"
                  "<dd class=\"detail\">",
                  name, figure, unit);
  hem__html_text(&w->page, detail);
  hem__html_put(&w->page, "</dd></div>\n");
}

/* "12,345" */
static void put_grouped(size_t value, char out[32]) {
  if (value < 1000)
    snprintf(out, 32, "%zu", value);
  else if (value < 1000000)
    snprintf(out, 32, "%zu,%03zu", value / 1000, value % 1000);
  else
    snprintf(out, 32, "%zu,%03zu,%03zu", value / 1000000, value / 1000 % 1000, value % 1000);
}

static void put_speed_tile(writing *w, size_t target) {
  const hem__sweep *s = w->s;
  size_t own = fastest(s, true, target), other = fastest(s, false, target);
  char name[64], figure[32], detail[320];
  if (own == SIZE_MAX) return;
  const hem__sweep_point *p = point_of(s, own, target);
  snprintf(name, sizeof name, "queries a second at recall %g", hem__sweep_targets[target]);
  put_grouped((size_t)p->qps, figure);
  int at = snprintf(detail, sizeof detail, "%s, one thread", s->engines[own].name);
  if (!isnan(p->ratio) && at > 0)
    at += snprintf(detail + at, sizeof detail - (size_t)at, "; %.2f times %s", p->ratio, s->engines[s->reference].name);
  if (other != SIZE_MAX && at > 0 && (size_t)at < sizeof detail)
    snprintf(detail + at, sizeof detail - (size_t)at, "; the fastest other is %s, %.0f/s", s->engines[other].name,
             point_of(s, other, target)->qps);
  put_tile(w, name, figure, "/s", detail);
}

static void put_noise_tile(writing *w) {
  const hem__sweep *s = w->s;
  char figure[32], detail[160];
  if (s->noise == SIZE_MAX || isnan(point_of(s, s->noise, AT_95)->ratio)) return;
  const hem__sweep_point *p = point_of(s, s->noise, AT_95);
  snprintf(figure, sizeof figure, "%.2f", p->ratio);
  snprintf(detail, sizeof detail, "%s beside itself; rounds from %.2f to %.2f. A ratio nearer to 1 says nothing",
           s->engines[s->reference].name, p->ratio_low, p->ratio_high);
  put_tile(w, "noise, as a ratio", figure, "", detail);
}

static void put_headline(writing *w) {
  const hem__sweep *s = w->s;
  hem__html_put(&w->page, "<header>\n<h1>Recall against speed</h1>\n<p class=\"lead\">");
  hem__html_text(&w->page, s->name);
  hem__html_put(&w->page, ": ");
  hem__html_count(&w->page, s->gallery);
  hem__html_print(&w->page, " vectors of %zu values by %s, asked for the %zu nearest with ", s->dim,
                  hem_distance_name(s->distance), s->k);
  hem__html_count(&w->page, s->queries);
  hem__html_print(&w->page, " queries, %zu rounds.\n", s->rounds);
  hem__html_text(&w->page, s->machine);
  hem__html_print(&w->page, ", %zu cores; FAISS ", s->cores);
  hem__html_text(&w->page, s->faiss);
  hem__html_print(&w->page, "; %s</p>\n<dl class=\"tiles\">\n", s->date);
  put_speed_tile(w, AT_95);
  put_speed_tile(w, AT_99);
  put_noise_tile(w);
  hem__html_put(&w->page, "</dl>\n</header>\n");
}

/* ---- curves ---- */

/* Recall as nines: 0.9 is 1, 0.99 is 2. What so many queries cannot tell from 1 is drawn at the edge. */
static double nines(const hem__sweep *s, double recall) {
  double least = 0.5 / ((double)s->queries * (double)s->k);
  return -log10(fmax(1 - recall, least));
}

static hem__curve curve_of(const writing *w, size_t engine, size_t first, size_t count) {
  const hem__sweep_engine *e = &w->s->engines[engine];
  return (hem__curve){.name = e->name,
                      .across = w->across + first,
                      .up = w->up + first,
                      .count = count,
                      .colour = engine,
                      .strong = e->own};
}

static int by_across(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* A contestant's front, by recall, from `first` on; returns how many points. `memory`: megabytes instead of speed. */
static size_t take_front(writing *w, const hem__sweep_row *like, bool memory, size_t first) {
  const hem__sweep *s = w->s;
  double(*pairs)[2] = NULL;
  size_t count = 0;
  if (!w->page.status) w->page.status = hem__alloc(s->row_count, sizeof *pairs, "a plot", &pairs, w->page.err);
  for (size_t i = 0; i < s->row_count && !w->page.status; i++) {
    const hem__sweep_row *row = &s->rows[i];
    if (row->engine != like->engine || row->mode != like->mode || row->threads != like->threads ||
        row->truth != like->truth || !row->front)
      continue;
    pairs[count][0] = nines(s, row->recall);
    pairs[count++][1] = memory ? (double)memory_of(&s->engines[row->engine]) / 1e6 : row->qps;
  }
  if (count) qsort(pairs, count, sizeof *pairs, by_across);
  for (size_t i = 0; i < count; i++) {
    w->across[first + i] = pairs[i][0];
    w->up[first + i] = pairs[i][1];
  }
  free(pairs);
  return count;
}

static size_t take_fronts(writing *w, hem__sweep_row like, bool memory) {
  size_t count = 0, used = 0;
  for (size_t i = 0; i < w->s->engine_count; i++) {
    if (w->s->engines[i].again) continue;
    like.engine = i;
    size_t points = take_front(w, &like, memory, used);
    if (points) w->curves[count++] = curve_of(w, i, used, points);
    used += points;
  }
  return count;
}

static void put_front(writing *w, hem__sweep_row like, bool memory, const char *title, const char *about) {
  static const double places[] = {0.30103, 0.69897, 1, 1.30103, 2, 2.30103, 3, 4};
  static const char *const names[] = {"0.5", "0.8", "0.9", "0.95", "0.99", "0.995", "0.999", "0.9999"};
  size_t count = take_fronts(w, like, memory);
  hem__curves curves = {.at = w->curves,
                        .count = count,
                        .across = "recall",
                        .up = memory ? "resident, MB" : "queries a second",
                        .ticks = places,
                        .tick_names = names,
                        .tick_count = sizeof places / sizeof *places,
                        .log_up = !memory};
  if (count) hem__report_curves(&w->page, &curves, title, about);
}

static size_t most_threads(const hem__sweep *s, hem__sweep_mode mode) {
  size_t most = 0;
  for (size_t i = 0; i < s->row_count; i++)
    if (s->rows[i].mode == mode) most = hem__max(most, s->rows[i].threads);
  return most;
}

static void put_batches(writing *w, hem__sweep_mode mode) {
  char title[64];
  size_t threads = most_threads(w->s, mode);
  if (threads == 0 || (mode == HEM__SINGLE && threads == 1)) return;
  snprintf(title, sizeof title, "%s, %zu %s", mode == HEM__BATCH ? "All queries in one call" : "Single queries",
           threads, threads == 1 ? "thread" : "threads at once");
  put_front(w, (hem__sweep_row){.mode = mode, .threads = threads}, false, title,
            mode == HEM__BATCH ? "Each library by its own batched search, where it has one."
                               : "Each thread asks one query after the other.");
}

/* ---- latencies ---- */

static void fill_histogram(const hem__sweep_row *row, double low, double high, double *across, double *up) {
  double step = log(high / low) / BINS;
  for (size_t i = 0; i < BINS; i++) across[i] = low * exp(step * ((double)i + 0.5)), up[i] = 0;
  for (size_t i = 0; i < row->latency_count; i++) {
    double place = log((double)row->latencies[i] / low) / step;
    size_t bin = place > 0 ? hem__min((size_t)place, BINS - 1) : 0;
    up[bin] += 100.0 / (double)row->latency_count;
  }
}

/* The fastest at 0.95, the first peer among them. */
static size_t choose_histograms(const hem__sweep *s, const hem__sweep_row *out[HISTOGRAMS]) {
  size_t count = 0;
  for (size_t i = 0; i < s->engine_count; i++) {
    const hem__sweep_row *row = *s->engines[i].skipped ? NULL : hem__sweep_row_at(s, i, hem__sweep_targets[AT_95]);
    if (!row || !row->latency_count || s->engines[i].again || row->recall < hem__sweep_targets[AT_95]) continue;
    size_t at = hem__min(count, HISTOGRAMS - 1);
    if (count == HISTOGRAMS && out[at]->qps >= row->qps && i != s->reference) continue;
    if (count == HISTOGRAMS && out[at]->engine == s->reference) continue;
    for (; at && out[at - 1]->qps < row->qps; at--) out[at] = out[at - 1];
    out[at] = row;
    count = hem__min(count + 1, HISTOGRAMS);
  }
  return count;
}

static void put_histogram(writing *w) {
  const hem__sweep_row *rows[HISTOGRAMS];
  size_t count = choose_histograms(w->s, rows);
  double low = INFINITY, high = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < rows[i]->latency_count; j++) {
      low = fmin(low, fmax((double)rows[i]->latencies[j], 0.1));
      high = fmax(high, (double)rows[i]->latencies[j]);
    }
  if (!count || !(high > low)) return;
  for (size_t i = 0; i < count; i++) {
    fill_histogram(rows[i], low, high, w->across + i * BINS, w->up + i * BINS);
    w->curves[i] = curve_of(w, rows[i]->engine, i * BINS, BINS);
    w->curves[i].bare = true;
  }
  hem__curves curves = {.at = w->curves,
                        .count = count,
                        .across = "microseconds, one query",
                        .up = "share of queries, %",
                        .log_across = true};
  hem__report_curves(&w->page, &curves, "How long single queries take",
                     "Each contestant at its fastest setting of recall 0.95 and more; all rounds, one thread.");
}

/* ---- builds ---- */

static void put_builds(writing *w) {
  static const char *const names[] = {"seconds", "of processor time"};
  const hem__sweep *s = w->s;
  const char **groups = NULL;
  hem__plot_point *points = NULL;
  size_t count = 0;
  if (!w->page.status) w->page.status = hem__alloc(s->engine_count, sizeof *groups, "a plot", &groups, w->page.err);
  if (!w->page.status) w->page.status = hem__alloc(s->engine_count * 2, sizeof *points, "a plot", &points, w->page.err);
  for (size_t i = 0; i < s->engine_count && !w->page.status; i++) {
    const hem__sweep_engine *e = &s->engines[i];
    if (*e->skipped || e->again) continue;
    points[count * 2] = (hem__plot_point){e->build_seconds, e->build_seconds, e->build_seconds};
    points[count * 2 + 1] = (hem__plot_point){e->build_cpu, e->build_cpu, e->build_cpu};
    groups[count++] = e->name;
  }
  hem__plot plot = {.kind = HEM__PLOT_BARS,
                    .up = "seconds",
                    .groups = groups,
                    .group_count = count,
                    .series = names,
                    .series_count = 2,
                    .points = points};
  if (count)
    hem__report_plot(
        &w->page, &plot, "Building the index",
        "From vectors in memory to a file, once; Hemline’s also writes the vectors it maps, and checksums.");
  free(groups);
  free(points);
}

/* ---- tables ---- */

static void put_value(writing *w, double value, const char *format) {
  char text[32];
  snprintf(text, sizeof text, format, value);
  hem__html_print(&w->page, "<td>%s</td>", isnan(value) ? "–" : text);
}

static void put_speed(writing *w, double qps, bool best) {
  hem__html_print(&w->page, "<td%s>", best ? " class=\"best\"" : "");
  hem__html_count(&w->page, (size_t)qps);
  hem__html_put(&w->page, "</td>");
}

static void put_engine(writing *w, size_t i) {
  const hem__sweep_engine *e = &w->s->engines[i];
  hem__html_put(&w->page, "<tr><th scope=\"row\">");
  hem__html_text(&w->page, e->name);
  hem__html_put(&w->page, "<br/><small>");
  hem__html_text(&w->page, *e->skipped ? e->skipped : e->build);
  if (*e->skipped) {
    hem__html_put(&w->page, "</small></th><td colspan=\"11\" class=\"word\">left out</td></tr>\n");
    return;
  }
  hem__html_print(&w->page, "</small></th><td>%.1f</td><td>%.1f</td><td>%.1f</td>", e->build_seconds,
                  (double)e->disk / 1e6, (double)memory_of(e) / 1e6);
  for (size_t t = 0; t < HEM__SWEEP_TARGETS; t++) {
    size_t best = fastest(w->s, true, t), other = fastest(w->s, false, t);
    double most = fmax(best == SIZE_MAX ? 0 : point_of(w->s, best, t)->qps,
                       other == SIZE_MAX ? 0 : point_of(w->s, other, t)->qps);
    double qps = point_of(w->s, i, t)->qps;
    if (isnan(qps))
      hem__html_put(&w->page, "<td>–</td>");
    else
      put_speed(w, qps, qps >= most);
  }
  for (size_t t = AT_95; t <= AT_99; t++) {
    const hem__sweep_point *p = point_of(w->s, i, t);
    if (isnan(p->ratio))
      hem__html_put(&w->page, "<td>–</td>");
    else
      hem__html_print(&w->page, "<td>%.2f<small>%.2f–%.2f</small></td>", p->ratio, p->ratio_low, p->ratio_high);
    put_value(w, p->cpu_ratio, "%.2f");
  }
  hem__html_put(&w->page, "</tr>\n");
}

static void put_summary(writing *w) {
  hem__html_put(&w->page,
                "<div class=\"card wide\"><table>\n<thead><tr><th scope=\"col\">index</th><th scope=\"col\">build, "
                "s</th><th scope=\"col\">disk, MB</th>"
                "<th scope=\"col\">resident, MB</th>");
  for (size_t t = 0; t < HEM__SWEEP_TARGETS; t++)
    hem__html_print(&w->page, "<th scope=\"col\">/s at %g</th>", hem__sweep_targets[t]);
  for (size_t t = AT_95; t <= AT_99; t++)
    hem__html_print(&w->page, "<th scope=\"col\">times at %g</th><th scope=\"col\">by CPU</th>", hem__sweep_targets[t]);
  hem__html_put(&w->page, "</tr></thead>\n<tbody>\n");
  for (size_t i = 0; i < w->s->engine_count; i++)
    if (!w->s->engines[i].metric) put_engine(w, i);
  hem__html_put(&w->page,
                "</tbody>\n</table></div>\n<p class=\"muted\">Queries a second: single queries on one thread, read off "
                "the curve above between its points. Times: as fast as the first peer, in the same round; the median "
                "round, and the least and the most. By CPU: the same by processor time, which other programs on the "
                "machine touch less. Marked: the fastest.</p>\n");
}

static void put_row(writing *w, const hem__sweep_row *row) {
  hem__html_print(&w->page, "<tr%s><th scope=\"row\">", row->front ? "" : " class=\"muted\"");
  hem__html_text(&w->page, *row->setting ? row->setting : "–");
  hem__html_print(&w->page,
                  "</th><td class=\"word\">%s</td><td class=\"word\">%s</td><td>%zu</td>"
                  "<td>%.4f<small>%.4f–%.4f</small></td>",
                  hem__sweep_truth_names[row->truth], hem__sweep_mode_names[row->mode], row->threads, row->recall,
                  row->low, row->high);
  hem__html_print(&w->page, "<td>%.0f<small>%.0f–%.0f</small></td>", row->qps, row->qps_low, row->qps_high);
  put_value(w, row->p50_us, "%.1f");
  put_value(w, row->p99_us, "%.1f");
  put_value(w, row->cpu_us, "%.1f");
  hem__html_put(&w->page, "</tr>\n");
}

static void put_rows(writing *w, size_t engine) {
  const hem__sweep_engine *e = &w->s->engines[engine];
  hem__html_put(&w->page, "<details class=\"card\"><summary><h3>");
  hem__html_text(&w->page, e->name);
  hem__html_put(&w->page, "</h3> <small>");
  hem__html_text(&w->page, e->build);
  hem__html_print(&w->page,
                  "; opens in %.0f ms%s; resident: %.1f MB of its own, %.1f MB of mapped files</small></summary>\n"
                  "<div class=\"wide\"><table>\n",
                  e->open_ms, e->kept && !e->again ? "; built in an earlier run" : "", (double)e->private_bytes / 1e6,
                  (double)e->mapped_bytes / 1e6);
  hem__html_put(&w->page,
                "<thead><tr><th scope=\"col\">setting</th><th scope=\"col\" class=\"word\">truth</th><th scope=\"col\" "
                "class=\"word\">mode</th><th scope=\"col\">threads</th><th scope=\"col\">recall</th><th "
                "scope=\"col\">/s</th><th scope=\"col\">p50, µs</th><th scope=\"col\">p99, µs</th><th "
                "scope=\"col\">CPU, µs</th></tr></thead>\n<tbody>\n");
  for (size_t i = 0; i < w->s->row_count; i++)
    if (w->s->rows[i].engine == engine) put_row(w, &w->s->rows[i]);
  hem__html_put(&w->page, "</tbody>\n</table></div></details>\n");
}

static void put_metric(writing *w) {
  bool there = false;
  for (size_t i = 0; i < w->s->engine_count; i++) there = there || w->s->engines[i].metric;
  if (!there) return;
  hem__html_put(&w->page,
                "<section>\n<h2>By the store’s metric</h2>\n<p>Candidates are found by the index and scored by the "
                "Siamese metric; the truth is the 20 best items by scoring every photo. Each point scores so many "
                "candidates, or as many as its bounds leave.</p>\n");
  put_front(w, (hem__sweep_row){.mode = HEM__SINGLE, .threads = 1, .truth = HEM__BY_METRIC}, false,
            "Overlap with the exhaustive answer, and speed", "Single queries, one thread, all categories there are.");
  hem__html_put(&w->page, "</section>\n");
}

static void put_method(writing *w) {
  const hem__sweep *s = w->s;
  hem__html_print(
      &w->page,
      "<section>\n<h2>How it was measured</h2>\n<p>All contestants index the same vectors and answer the same queries. "
      "In each of %zu rounds one after the other is opened, asked everything once for nothing, asked every query at "
      "each "
      "setting, and closed; every second round goes backwards. So a slow minute of the machine meets all of them, and "
      "each round draws anew where an index lies in memory. Numbers are medians over rounds. OpenMP and BLAS have one "
      "thread for each thread that asks.</p>\n",
      s->rounds);
  hem__html_print(
      &w->page,
      "<p><strong>Recall</strong> is one code for all: the share of the %zu rows named that are no farther than the "
      "%zuth nearest, whose distance %s; equals count. Its interval is a bootstrap over queries, 95%%. "
      "<strong>Siamese</strong>: the share of the 20 best items by scoring every photo by the store’s metric.</p>\n",
      s->k, s->k, s->truth_given ? "the file gives" : "was found by an exact scan");
  hem__html_put(
      &w->page,
      "<p><strong>Resident</strong> is what opening an index and asking every query once adds to the process: its own "
      "memory, and pages of mapped files, which all processes share (/proc/self/smaps_rollup). <strong>Cold</strong>: "
      "its files’ pages are dropped from the page cache before it is opened, and the pages that it maps once more "
      "after "
      "that, since opening checks every byte; then 50 queries are asked. Indices that live on the heap are read whole "
      "while they are opened, and are then as warm as ever.</p>\n</section>\n");
}

/* ---- the page ---- */

static void put_all(writing *w) {
  char title[300];
  snprintf(title, sizeof title, "Recall against speed: %.200s", w->s->name);
  hem__html_open(&w->page, title);
  put_headline(w);
  hem__html_put(
      &w->page,
      "<section>\n<h2>Recall and speed</h2>\n<p>Each point is a setting of the search. Up is faster, "
      "right is nearer to the truth: a curve that lies above another is better at every recall. Settings that "
      "another of the same index beats in both are left out of the curves. Hemline’s are the whole lines.</p>\n");
  put_front(w, (hem__sweep_row){.mode = HEM__SINGLE, .threads = 1}, false, "Single queries, one thread",
            "The axes are logarithmic: each step to the right halves, or cuts to a tenth, what is missed.");
  put_summary(w);
  put_batches(w, HEM__SINGLE);
  put_batches(w, HEM__BATCH);
  put_histogram(w);
  hem__html_put(&w->page, "</section>\n");
  put_metric(w);
  hem__html_put(&w->page, "<section>\n<h2>Memory, disk and building</h2>\n");
  put_front(w, (hem__sweep_row){.mode = HEM__SINGLE, .threads = 1}, true, "Recall and memory",
            "What is resident does not depend on the setting: a line reaches as far as the index does.");
  put_builds(w);
  hem__html_put(&w->page,
                "</section>\n<section>\n<h2>Every measurement</h2>\n<p>Grey: another setting of the same index "
                "is faster and no farther from the truth.</p>\n");
  for (size_t i = 0; i < w->s->engine_count; i++)
    if (!*w->s->engines[i].skipped) put_rows(w, i);
  hem__html_put(&w->page, "</section>\n");
  put_method(w);
  hem__html_close(&w->page);
}

hem_status hem__sweep_write_page(const hem__sweep *s, const char *path, hem_error *err) {
  writing w = {.s = s};
  hem__aside *file = NULL;
  size_t room = hem__max(s->row_count, HISTOGRAMS * BINS);
  hem_status status = hem__aside_new(path, &file, err);
  if (!status) status = hem__alloc(hem__max(s->engine_count, HISTOGRAMS), sizeof *w.curves, "a page", &w.curves, err);
  if (!status) status = hem__alloc(room, sizeof *w.across, "a page", &w.across, err);
  if (!status) status = hem__alloc(room, sizeof *w.up, "a page", &w.up, err);
  if (status) goto exit;
  w.page = (hem__html){.to = file, .err = err};
  put_all(&w);
  status = w.page.status;
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
exit:
  free(w.curves);
  free(w.across);
  free(w.up);
  hem__aside_free(file);
  return status;
}
