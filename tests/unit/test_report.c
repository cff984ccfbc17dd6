/* The report: what it says is what it was given, it is well-formed, and nothing given to it gets out of its text: not
 * into the page, and not into gnuplot. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "bench/html.h"
#include "bench/plot.h"
#include "bench/report.h"
#include "test.h"

#define HOSTILE "<script>alert('1')</script> & \"q\""
#define ESCAPED "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;q&quot;"

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

static void expect(const char *text, const char *part) { ck_assert_msg(strstr(text, part), "the page lacks '%s'", part); }

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
  char *path = hem__test_path(hem__test_folder(), "report.html");
  ck_ok(hem__report_write(report, path, err));
  char *page = content(path);
  free(path);
  return page;
}

/* ---- the form of a page ---- */

/* Every element is closed where it must be: the page is XML too. Fails with the place. */
static void expect_balanced(const char *page) {
  const char *open[64];
  size_t depth = 0;
  for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<')) {
    const char *end = strchr(at, '>');
    ck_assert_ptr_nonnull(end);
    ck_assert_msg(memchr(at + 1, '<', (size_t)(end - at - 1)) == NULL, "a '<' inside %.60s", at);
    if (at[1] == '!' || end[-1] == '/') continue;
    const char *name = at[1] == '/' ? at + 2 : at + 1;
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
    if (at[1] == '/') {
      ck_assert_msg(depth > 0 && !strncmp(open[--depth], name, length + 1 - (open[depth][length] != '>')),
                    "%.20s closes %.20s", at, depth < 64 ? open[depth] : "nothing");
    } else {
      ck_assert_msg(depth < 64, "too deep at %.60s", at);
      open[depth++] = name;
    }
  }
  ck_assert_uint_eq(depth, 0);
}

