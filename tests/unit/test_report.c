/* The report says what it was given, is well-formed, and lets no name out of its text, into the page or gnuplot. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bench/html.h"
#include "bench/plot.h"
#include "bench/report.h"
#include "test.h"

#define HOSTILE "<script>alert('1')</script> & \"q\""
#define ESCAPED "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;q&quot;"

static const char *folder(void) {
  static const char *made;
  if (!made) made = hem__test_folder();
  return made;
}

static char *content(const char *path) {
  hem__map map = {0};
  ck_ok(hem__map_open(path, &map, err));
  char *text = strndup((const char *)map.at, map.size);
  ck_assert_ptr_nonnull(text);
  ck_assert_uint_eq(strlen(text), map.size);
  hem__map_close(&map);
  return text;
}

static size_t occurrences(const char *text, const char *part) {
  size_t count = 0;
  for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) count++;
  return count;
}

static void expect(const char *text, const char *part) {
  ck_assert_msg(strstr(text, part), "the page lacks '%s'", part);
}

/* ---- made-up results ---- */

enum { CATEGORIES = 2, APPROACHES = 2, ROWS = (CATEGORIES + 1) * APPROACHES * 2 };

typedef struct made {
  hem__accuracy_row rows[ROWS];
  hem__accuracy accuracy;
  hem__recall_row recall[2];
  hem__image image, large;
  hem__sheet_photo hits[2];
  hem__sheet sheet;
  hem__report report;
} made;

static void make_rows(made *m, const char *category) {
  const char *const categories[] = {category, "dress", "all"}, *const approaches[] = {"hog", "hog,color"};
  for (size_t i = 0; i < ROWS; i++) {
    hem__accuracy_row *row = &m->rows[i];
    *row = (hem__accuracy_row){.category = categories[i / 4],
                               .approach = approaches[i / 2 % 2],
                               .distance = i % 2 ? HEM_COSINE : HEM_L2,
                               .queries = 1000,
                               .without = 7,
                               .gallery = 12345};
    for (size_t cut = 0; cut < HEM__CUTS; cut++) {
      row->right[cut] = 100 + 150 * cut + 3 * i;
      row->chance[cut] = 0.011 * (double)(cut + 1);
    }
  }
}

static void make_image(hem__image *image, size_t width, size_t height) {
  ck_ok(hem__image_new(width, height, image, err));
  for (size_t i = 0; i < width * height * 3; i++) image->at[i] = (uint8_t)i;
}

/* `text` is the name of everything that has one. */
static void make(made *m, const char *text) {
  make_rows(m, text);
  make_image(&m->image, 28, 28);
  make_image(&m->large, 600, 300);
  m->accuracy = (hem__accuracy){.rows = m->rows, .row_count = ROWS};
  m->recall[0] = (hem__recall_row){"hnsw", "all", 10, 2000, 54321, 0.9912, 0.9861, 0.9943, 181.5, 390.25};
  m->recall[1] = (hem__recall_row){text, text, 20, 300, 4321, 0.9512, 0.9461, 0.9543, 81.5, 90.5};
  m->hits[0] = (hem__sheet_photo){&m->image, text, true};
  m->hits[1] = (hem__sheet_photo){&m->large, text, false};
  m->sheet = (hem__sheet){.title = text, .query = {&m->image, text, true}, .hits = m->hits, .hit_count = 2};
  m->report = (hem__report){.title = text,
                            .summary = text,
                            .accuracy = &m->accuracy,
                            .recall = m->recall,
                            .recall_count = 2,
                            .sheets = &m->sheet,
                            .sheet_count = 1};
}

static void unmake(made *m) {
  hem__image_clear(&m->image);
  hem__image_clear(&m->large);
}

static char *written(const hem__report *report) {
  char *path = hem__test_path(folder(), "report.html");
  ck_ok(hem__report_write(report, path, err));
  char *page = content(path);
  free(path);
  return page;
}

/* ---- the form of a page ---- */

static size_t name_length(const char *name) { return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789"); }

/* Every element is closed where it must be, for the page is XML too. */
static void expect_balanced(const char *page) {
  const char *open[64];
  size_t depth = 0;
  for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<')) {
    const char *end = strchr(at, '>');
    ck_assert_ptr_nonnull(end);
    ck_assert_msg(!memchr(at + 1, '<', (size_t)(end - at - 1)), "a '<' inside %.60s", at);
    if (at[1] == '!' || end[-1] == '/') continue;
    if (at[1] != '/') {
      ck_assert_msg(depth < 64, "too deep at %.60s", at);
      open[depth++] = at + 1;
      continue;
    }
    ck_assert_msg(depth > 0, "%.20s closes nothing", at);
    const char *opened = open[--depth];
    size_t length = name_length(opened);
    ck_assert_msg(name_length(at + 2) == length && !strncmp(at + 2, opened, length), "%.20s closes %.20s", at, opened);
  }
  ck_assert_uint_eq(depth, 0);
}

static void expect_self_contained(const char *page) {
  static const char *const forbidden[] = {"<script", "<link", "<iframe", "<object", "http://", "https://",
                                          "href=",   "url(",  "@import", "srcset",  "onload"};
  for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
    ck_assert_msg(!strstr(page, forbidden[i]), "the page holds '%s'", forbidden[i]);
  ck_assert_uint_eq(occurrences(page, "src=\""), occurrences(page, "src=\"data:image/"));
}

/* ---- tests of the page ---- */

static char *html_of(void (*put)(hem__html *page)) {
  char *path = hem__test_path(folder(), "part.html");
  hem_error error = {0};
  hem__html page = {.err = &error};
  ck_ok(hem__aside_new(path, &page.to, err));
  put(&page);
  ck_assert_msg(page.status == HEM_OK, "%s", error.message);
  ck_ok(hem__aside_publish(page.to, NULL, NULL, err));
  hem__aside_free(page.to);
  char *text = content(path);
  free(path);
  return text;
}

static void put_base64(hem__html *page) {
  for (size_t i = 0; i <= 6; i++) {
    hem__html_base64(page, "foobar", i);
    hem__html_put(page, " ");
  }
  hem__html_base64(page, "\xFF\xFB\xF0", 3);
}

START_TEST(base64_is_that_of_rfc_4648) {
  char *text = html_of(put_base64);
  ck_assert_str_eq(text, " Zg== Zm8= Zm9v Zm9vYg== Zm9vYmE= Zm9vYmFy //vw");
  free(text);
}
END_TEST

static void put_counts(hem__html *page) {
  static const size_t counts[] = {0, 7, 999, 1000, 1234567};
  for (size_t i = 0; i < 5; i++) {
    hem__html_count(page, counts[i]);
    hem__html_put(page, " ");
  }
}

START_TEST(thousands_are_parted) {
  char *text = html_of(put_counts);
  ck_assert_str_eq(text, "0 7 999 1,000 1,234,567 ");
  free(text);
}
END_TEST

#define BAD "\xEF\xBF\xBD"

/* In turn: no start; a start without its end; a surrogate; "/" in two bytes; beyond Unicode; a control character; a
 * character cut short. What is good between them stays. */
static void put_bad_utf8(hem__html *page) {
  hem__html_text(page,
                 "a\xFF"
                 "b\xC3(\xED\xA0\x80"
                 "c\xC0\xAF"
                 "d\xF4\x90\x80\x80"
                 "e\x01"
                 "f é 🧥 \xE2\x82");
}

START_TEST(bad_utf8_is_replaced) {
  char *text = html_of(put_bad_utf8);
  ck_assert_str_eq(text, "a" BAD "b" BAD "(" BAD "c" BAD "d" BAD "e" BAD "f é 🧥 " BAD);
  free(text);
}
END_TEST

START_TEST(everything_from_outside_is_escaped) {
  made m = {0};
  make(&m, HOSTILE);
  char *page = written(&m.report);
  ck_assert_ptr_null(strstr(page, "<script"));
  /* title (twice), summary, category, recall kind and category, each again in its tile; the sheet's title, 3 photos */
  ck_assert_uint_eq(occurrences(page, ESCAPED), 12);
  expect_balanced(page);
  expect_self_contained(page);
  free(page);
  unmake(&m);
}
END_TEST

START_TEST(bad_utf8_does_not_break_the_page) {
  made m = {0};
  make(&m, "\xFF\xC3<b>\x01\xE2\x82");
  char *page = written(&m.report);
  expect(page, BAD BAD "&lt;b&gt;" BAD BAD);
  expect_balanced(page);
  free(page);
  unmake(&m);
}
END_TEST

START_TEST(an_xml_parser_accepts_the_page) {
  if (system("command -v xmllint >/dev/null") != 0) {
    puts("without xmllint, only the balance of tags is tested");
    return;
  }
  made m = {0};
  make(&m, HOSTILE "\xFF\x02");
  m.accuracy.by_label = m.accuracy.leave_one_out = true;
  char *path = hem__test_path(folder(), "report.html"), command[256];
  ck_ok(hem__report_write(&m.report, path, err));
  snprintf(command, sizeof command, "xmllint --noout --nonet --huge %s", path);
  ck_assert_int_eq(system(command), 0);
  free(path);
  unmake(&m);
}
END_TEST

START_TEST(the_numbers_are_those_given) {
  made m = {0};
  make(&m, "skirt");
  char *page = written(&m.report), cell[96];
  for (size_t i = 0; i < ROWS; i++) {
    for (size_t cut = 0; cut < HEM__CUTS; cut++) {
      double low, high;
      hem__wilson(m.rows[i].right[cut], 1000, &low, &high);
      snprintf(cell, sizeof cell, ">%.1f<small>%.1f–%.1f</small></td>", (double)m.rows[i].right[cut] / 10, 100 * low,
               100 * high);
      ck_assert_msg(occurrences(page, cell) == 1, "%zu times %s", occurrences(page, cell), cell);
    }
  }
  for (size_t cut = 0; cut < HEM__CUTS; cut++) {
    snprintf(cell, sizeof cell, "<td>%.1f<small></small></td>", 1.1 * (double)(cut + 1));
    ck_assert_uint_eq(occurrences(page, cell), CATEGORIES + 1);
  }
  ck_assert_uint_eq(occurrences(page, "<td class=\"best\">"), HEM__CUTS * (CATEGORIES + 1));
  ck_assert_uint_eq(occurrences(page, "1,000 queries, gallery of 12,345 shop photos; 7 more"), CATEGORIES + 1);
  expect(page,
         "<td class=\"word\">all</td><td>10</td><td>2,000</td><td>54,321</td>"
         "<td>99.12<small>98.61–99.43</small></td><td>181.5</td><td>390.2</td>");
  expect(page, "<dt>top-20 accuracy</dt>\n<dd class=\"figure\">58.3<span");
  expect(page, "<dt>lowest recall</dt>\n<dd class=\"figure\">95.12<span");
  free(page);
  unmake(&m);
}
END_TEST

START_TEST(the_page_says_what_right_means) {
  made m = {0};
  make(&m, "skirt");
  char *items = written(&m.report);
  m.accuracy.by_label = m.accuracy.leave_one_out = true;
  char *labels = written(&m.report);
  ck_assert_ptr_null(strstr(items, "same label"));
  ck_assert_ptr_null(strstr(items, "no customers’ photos"));
  expect(labels, "same label");
  expect(labels, "right by construction");
  expect(labels, "no customers’ photos");
  free(items);
  free(labels);
  unmake(&m);
}
END_TEST

START_TEST(photos_are_inside_the_page) {
  made m = {0};
  make(&m, "skirt");
  char *page = written(&m.report);
#ifdef HEM_HAVE_VIPS
  ck_assert_uint_eq(occurrences(page, "src=\"data:image/png;base64,iVBORw0KGgo"), 3);
  ck_assert_uint_eq(occurrences(page, "class=\"tiny\" alt"), 2);
#else
  ck_assert_uint_eq(occurrences(page, "no picture"), 3);
#endif
  ck_assert_uint_eq(occurrences(page, "aria-label=\"right\">✓"), 1);
  ck_assert_uint_eq(occurrences(page, "aria-label=\"wrong\">✕"), 1);
  expect(page, "1 of 2 right");
  free(page);
  unmake(&m);
}
END_TEST

START_TEST(parts_without_data_are_left_out) {
  hem__report report = {.title = "nothing", .summary = "measured"};
  char *page = written(&report);
  ck_assert_uint_eq(occurrences(page, "<section>"), 0);
  expect_balanced(page);
  free(page);

  made m = {0};
  make(&m, "skirt");
  for (size_t i = 0; i < 4; i++) { /* all of one category */
    m.rows[i].queries = 0;
    memset(m.rows[i].right, 0, sizeof m.rows[i].right);
  }
  page = written(&m.report);
  ck_assert_uint_eq(occurrences(page, "<td>–</td>"), 4 * HEM__CUTS);
  ck_assert_ptr_null(strstr(page, "nan"));
  free(page);
  unmake(&m);
}
END_TEST

START_TEST(a_page_that_cannot_be_written_fails) {
  hem__report report = {.title = "nothing", .summary = "measured"};
  ck_fails(hem__report_write(&report, "/nowhere/report.html", err), HEM_ENOTFOUND, "/nowhere/report.html");
}
END_TEST

/* ---- tests of the plots ---- */

/* Runs with this PATH until path_restore. */
static char *path_set(const char *value) {
  char *old = strdup(getenv("PATH"));
  setenv("PATH", value, 1);
  return old;
}

static void path_restore(char *old) {
  setenv("PATH", old, 1);
  free(old);
}

static bool has_gnuplot(void) {
  if (system("command -v gnuplot >/dev/null") == 0) return true;
  puts("without gnuplot, drawing is not tested");
  return false;
}

START_TEST(without_gnuplot_the_page_says_so) {
  made m = {0};
  make(&m, "skirt");
  char *old = path_set("/nowhere");
  char *page = written(&m.report);
  path_restore(old);
  ck_assert_uint_eq(occurrences(page, "The plot is left out: gnuplot does not start"), 4);
  ck_assert_ptr_null(strstr(page, "svg+xml"));
  expect_balanced(page);
  free(page);
  unmake(&m);
}
END_TEST

START_TEST(with_gnuplot_there_are_four_plots) {
  if (!has_gnuplot()) return;
  made m = {0};
  make(&m, "skirt");
  char *page = written(&m.report);
  ck_assert_uint_eq(occurrences(page, "src=\"data:image/svg+xml;base64,"), 4);
  free(page);
  unmake(&m);
}
END_TEST

static hem_status draw(hem__plot_kind kind, const char *name, size_t groups, char **svg, hem_error *err) {
  static const double at[] = {1, 20};
  const char **names = malloc(groups * sizeof *names);
  hem__plot_point *points = malloc(groups * sizeof *points);
  for (size_t i = 0; i < groups; i++) {
    names[i] = name;
    points[i] = (hem__plot_point){.value = 50, .low = 40, .high = 60};
  }
  hem__plot plot = {.kind = kind,
                    .across = name,
                    .up = name,
                    .groups = names,
                    .at = at,
                    .group_count = groups,
                    .series = &name,
                    .series_count = 1,
                    .points = points,
                    .percent = true};
  hem_status status = hem__plot_draw(&plot, svg, err);
  free(names);
  free(points);
  return status;
}

/* Each would make the file "x" in the working folder, if gnuplot took a name for more than a name. */
START_TEST(names_execute_nothing_in_gnuplot) {
  static const char *const names[] = {"`touch x`",
                                      "\"`touch x`\"",
                                      "'`touch x`'",
                                      "\n!touch x\n",
                                      "';!touch x",
                                      "'\n!touch x\n'",
                                      "\\'.system('touch x').'",
                                      "\\",
                                      "END\n!touch x\n",
                                      "@x $s0 %d %s %n",
                                      "{/Bold a}_b^c",
                                      "\r!touch x",
                                      "'.system(\"touch x\").'",
                                      "100% 'cotton'",
                                      "\xFF\xC3"};
  if (!has_gnuplot()) return;
  char *back = realpath(".", NULL);
  ck_assert_int_eq(chdir(folder()), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names * 3; i++) {
    char *svg = NULL;
    ck_ok(draw((hem__plot_kind)(i % 3), names[i / 3], 2, &svg, err));
    expect(svg, "</svg>");
    free(svg);
    ck_assert_msg(!hem__path_exists("x"), "executed: %s", names[i / 3]);
  }
  ck_assert_int_eq(chdir(back), 0);
  free(back);
}
END_TEST

START_TEST(names_arrive_whole_in_the_plot) {
  if (!has_gnuplot()) return;
  char *svg = NULL;
  ck_ok(draw(HEM__PLOT_BARS, "a_b {c} 5% 'é' `d` \\ <&", 2, &svg, err));
  expect(svg, "a_b {c} 5% ’é’ `d` \\ &lt;&amp;");
  ck_assert_ptr_null(strstr(svg, "%%"));
  free(svg);
}
END_TEST

/* A program named gnuplot that does this instead; returns the old PATH. */
static char *pretend(const char *script) {
  char *path = hem__test_path(folder(), "gnuplot"), *search = NULL;
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fprintf(file, "#!/bin/sh\n%s\n", script);
  fchmod(fileno(file), 0755);
  fclose(file);
  free(path);
  ck_assert_int_ge(asprintf(&search, "%s:/usr/bin:/bin", folder()), 0);
  char *old = path_set(search);
  free(search);
  return old;
}

enum { MANY = 50000 }; /* groups: a script of megabytes, more than a socket holds */

START_TEST(a_gnuplot_that_fails_is_survived) {
  static const char *const scripts[] = {"exit 3", "cat >/dev/null; exit 3", "cat >/dev/null; echo no drawing",
                                        "cat >/dev/null; echo '</svg>'; kill -9 $$"};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    char *old = pretend(scripts[i]), *svg = NULL;
    ck_fails(draw(HEM__PLOT_BARS, "name", MANY, &svg, err), HEM_EUNSUPPORTED, "drew nothing");
    ck_assert_ptr_null(svg);
    path_restore(old);
  }
}
END_TEST

START_TEST(a_gnuplot_that_talks_before_it_listens_is_heard) {
  char *old = pretend("head -c 3000000 /dev/zero | tr '\\0' x; cat >/dev/null; echo '</svg>'"), *svg = NULL;
  ck_ok(draw(HEM__PLOT_BARS, "name", MANY, &svg, err));
  ck_assert_uint_eq(strlen(svg), 3000007);
  free(svg);
  path_restore(old);
}
END_TEST

HEM_TESTS("report", base64_is_that_of_rfc_4648, thousands_are_parted, bad_utf8_is_replaced,
          everything_from_outside_is_escaped, bad_utf8_does_not_break_the_page, an_xml_parser_accepts_the_page,
          the_numbers_are_those_given, the_page_says_what_right_means, photos_are_inside_the_page,
          parts_without_data_are_left_out, a_page_that_cannot_be_written_fails, without_gnuplot_the_page_says_so,
          with_gnuplot_there_are_four_plots, names_execute_nothing_in_gnuplot, names_arrive_whole_in_the_plot,
          a_gnuplot_that_fails_is_survived, a_gnuplot_that_talks_before_it_listens_is_heard)
