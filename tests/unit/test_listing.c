/* Listings of photos: what TSV and CSV say, and that a bad line rejects itself and nothing else. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ingest/source.h"
#include "support/make_idx.h"
#include "test.h"

static char *write_listing(const char *name, const char *text, size_t size) {
  char *path = hem__test_path(hem__test_subfolder(), name);
  hem__test_write(path, text, size);
  return path;
}

/* Opens a listing of this text; the file is removed with its folder. */
static hem__source *listing(const char *name, const char *text) {
  hem__source *source = NULL;
  char *path = write_listing(name, text, strlen(text));
  ck_ok(hem__source_manifest(path, &source, err));
  free(path);
  return source;
}

static hem_status open_text(const char *text, size_t size, hem_error *err) {
  hem__source *source = NULL;
  char *path = write_listing("photos.tsv", text, size);
  hem_status status = hem__source_manifest(path, &source, err);
  ck_assert(!status || !source);
  if (source) source->close(source);
  free(path);
  return status;
}

static hem__listed next(hem__source *source) {
  hem__listed listed = {0};
  bool more = false;
  ck_ok(source->next(source, &listed, &more, err));
  ck_assert_msg(more, "the listing ended early");
  return listed;
}

static void ends(hem__source *source) {
  hem__listed listed;
  bool more = true;
  ck_ok(source->next(source, &listed, &more, err));
  ck_assert_msg(!more, "one more row: %s", listed.photo.path);
  source->close(source);
}

/* Paths are kept from the root on: the listing's folder, and what the listing says. */
static void is_path(const char *path, const char *listed) {
  size_t whole = strlen(path), end = strlen(listed);
  if (*listed == '/') {
    ck_assert_str_eq(path, listed);
    return;
  }
  ck_assert_msg(*path == '/' && whole > end && path[whole - end - 1] == '/' && !strcmp(path + whole - end, listed),
                "%s instead of <folder>/%s", path, listed);
}

static void is_good(hem__source *source, const char *path, const char *item, const char *category, const char *label) {
  hem__listed row = next(source);
  ck_assert_msg(!row.reason, "%s: %s", row.photo.path, row.reason);
  is_path(row.photo.path, path);
  if (item) ck_assert_str_eq(row.photo.item_id, item);
  ck_assert_str_eq(row.photo.category, category);
  ck_assert_str_eq(row.photo.label, label);
}

/* The next row is rejected, for a reason with `words`, under its line's number. */
static void is_bad(hem__source *source, size_t line, const char *words) {
  hem__listed row = next(source);
  char where[32];
  snprintf(where, sizeof where, ":%zu", line);
  size_t length = strlen(row.photo.path), tail = strlen(where);
  ck_assert_msg(row.reason != NULL, "line %zu was taken as %s", line, row.photo.path);
  ck_assert_msg(strstr(row.reason, words) != NULL, "line %zu: '%s' lacks '%s'", line, row.reason, words);
  ck_assert_msg(length > tail && !strcmp(row.photo.path + length - tail, where), "%s is not line %zu", row.photo.path,
                line);
}

/* ---- good listings ---- */

START_TEST(every_column_is_read_in_any_order) {
  hem__source *s = listing("photos.tsv",
                           "box\tsplit\tprice\tdomain\tlabel\tcategory\titem_id\tpath\n"
                           "1,2,30,40\ttest\t9.99\tconsumer\tmaxi\tdress\tsku-1\ta b.jpg\n"
                           "\tvalidation\t\tshop\t\tupper\tsku-2\tb.jpg\n"
                           "\ttrain\t\t\t\tupper\tsku-2\tc.jpg\n");
  hem__listed row = next(s);
  ck_assert(!row.reason && row.photo.domain == HEM__CONSUMER && row.photo.split == HEM__TEST);
  is_path(row.photo.path, "a b.jpg");
  ck_assert_str_eq(row.photo.item_id, "sku-1");
  ck_assert_str_eq(row.photo.category, "dress");
  ck_assert_str_eq(row.photo.label, "maxi");
  ck_assert(row.photo.box.x == 1 && row.photo.box.y == 2 && row.photo.box.width == 30 && row.photo.box.height == 40);
  row = next(s);
  ck_assert(row.photo.domain == HEM__SHOP && row.photo.split == HEM__VALIDATION && row.photo.box.width == 0);
  row = next(s);
  ck_assert(row.photo.domain == HEM__SHOP && row.photo.split == HEM__TRAIN);
  ends(s);
}
END_TEST

START_TEST(what_is_left_out_has_defaults) {
  hem__source *s = listing("photos.tsv", "path\na.jpg\n");
  is_good(s, "a.jpg", NULL, "all", "");
  ends(s);
  s = listing("photos.tsv", "path\titem_id\tcategory\tsplit\na.jpg\t\t\t\n");
  hem__listed row = next(s);
  ck_assert_str_eq(row.photo.item_id, row.photo.path); /* an item of its own */
  ck_assert_str_eq(row.photo.category, "all");
  ck_assert(row.photo.split == HEM__NO_SPLIT && row.photo.domain == HEM__SHOP);
  ends(s);
}
END_TEST

/* RFC 4180, but for line ends inside quotes. */
START_TEST(csv_quoting) {
  hem__source *s = listing("photos.CSV",
                           "\"path\",item_id,\"category\",label\r\n"
                           "\"a,b.jpg\",plain,dress,\r\n"
                           "\"say \"\"hi\"\".jpg\",\"\",\"up\"\"per\",\"\"\"\"\r\n"
                           "c\"d.jpg,it\"em,tab\there,x\r\n"
                           "\"open.jpg,1,2,3\r\n"
                           "\"a\"b.jpg,1,2,3\r\n"
                           "e.jpg,1,2,\"\"\r\n");
  is_good(s, "a,b.jpg", "plain", "dress", "");
  is_good(s, "say \"hi\".jpg", NULL, "up\"per", "\"");
  is_good(s, "c\"d.jpg", "it\"em", "tab\there", "x");
  is_bad(s, 5, "quote");
  is_bad(s, 6, "quote");
  is_good(s, "e.jpg", "1", "2", "");
  ends(s);
}
END_TEST

START_TEST(tsv_has_no_quotes) {
  hem__source *s = listing("photos.txt", "path\titem_id\n\"a\".jpg\t\"x,y\n");
  is_good(s, "\"a\".jpg", "\"x,y", "all", "");
  ends(s);
}
END_TEST

START_TEST(boxes_in_pixels_and_in_parts) {
  static const struct {
    const char *text;
    hem__box box;
  } good[] = {{"0,0,1,1", {0, 0, 1, 1, HEM__PIXELS}},
              {"1, 2, 30, 40", {1, 2, 30, 40, HEM__PIXELS}},
              {"12.0,7.4,100.5,99.49", {12, 7, 101, 99, HEM__PIXELS}},
              {"0.1,0.2,0.5,0.25", {100000, 200000, 500000, 250000, HEM__MILLIONTHS}},
              {"0,0,0.5,1", {0, 0, 500000, 1000000, HEM__MILLIONTHS}},
              {"0.0,.5,1.0,1.", {0, 500000, 1000000, 1000000, HEM__MILLIONTHS}},
              {"0.3333333333333333333,0.0,0.0000011,1.0", {333333, 0, 1, 1000000, HEM__MILLIONTHS}},
              {"0.0,0.0,1.5,1.5", {0, 0, 2, 2, HEM__PIXELS}}};
  static const char *const bad[] = {
      "0.1,0.2,0.0,0.5", "0.1,0.2,0.5", "0.1,0.2,0.5,0.5,",     "-0.1,0.2,0.5,0.5", "1e2,1,5,5",
      ".,1,5,5",         "0x1,2,3,4",   "1,2,3,2147483647.5",   "10%,10%,50%,50%",  "1,2,nan,4",
      "1 2 3 4",         "1,2,0.4,5",   "0.2,0.2,0.0000001,0.5"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    char text[128];
    snprintf(text, sizeof text, "path\tbox\na.jpg\t%s\n", good[i].text);
    hem__source *s = listing("photos.tsv", text);
    hem__listed row = next(s);
    hem__box a = row.photo.box, b = good[i].box;
    ck_assert_msg(!row.reason, "%s: %s", good[i].text, row.reason);
    ck_assert_msg(a.x == b.x && a.y == b.y && a.width == b.width && a.height == b.height && a.unit == b.unit,
                  "%s became %d,%d,%d,%d in unit %d", good[i].text, a.x, a.y, a.width, a.height, a.unit);
    ends(s);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[128];
    snprintf(text, sizeof text, "path\tbox\na.jpg\t%s\n", bad[i]);
    hem__source *s = listing("photos.tsv", text);
    is_bad(s, 2, "box");
    ends(s);
  }
}
END_TEST

/* Relative paths and all other columns of a listing of vectors; its rows count those that are rejected. */
START_TEST(a_listing_of_vectors_needs_no_paths) {
  hem__source *s = NULL;
  char *path = write_listing("v.csv", "category,item_id\ndress,one\n,two,three\n,\n", 40);
  ck_ok(hem__source_manifest_of(path, "/v/a.npy", &s, err));
  ck_assert_uint_eq(s->count, 3);
  is_good(s, "/v/a.npy#0", "one", "dress", "");
  is_bad(s, 3, "more columns");
  hem__listed row = next(s);
  ck_assert_uint_eq(row.number, 2);
  ck_assert_str_eq(row.photo.path, "/v/a.npy#2");
  ck_assert_str_eq(row.photo.item_id, "/v/a.npy#2");
  ends(s);
  hem__test_write(path, "path,item_id\na.jpg,one\n,two\n", 27);
  ck_ok(hem__source_manifest_of(path, "/v/a.npy", &s, err));
  is_good(s, "a.jpg", "one", "all", "");
  is_good(s, "/v/a.npy#1", "two", "all", "");
  ends(s);
  hem__test_write(path, "name,price\na,1\n", 15);
  ck_fails(hem__source_manifest_of(path, "/v/a.npy", &s, err), HEM_ECORRUPT, "no column that is known");
  free(path);
}
END_TEST

/* What was counted and listed stays so: the file is never mapped. */
START_TEST(a_listing_that_shrinks_ends_early) {
  enum { ROWS = 100000 };
  char *path = hem__test_path(hem__test_subfolder(), "photos.tsv");
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs("path\n", file);
  for (int i = 0; i < ROWS; i++) fprintf(file, "photos/%07d.jpg\n", i);
  ck_assert_int_eq(fclose(file), 0);
  hem__source *s = NULL;
  ck_ok(hem__source_manifest(path, &s, err));
  ck_assert_uint_eq(s->count, ROWS);
  is_good(s, "photos/0000000.jpg", NULL, "all", "");
  ck_assert_int_eq(truncate(path, 0), 0);
  hem__listed row;
  bool more = true;
  size_t listed = 1;
  for (; more; listed += more) ck_ok(s->next(s, &row, &more, err));
  ck_assert_msg(listed < ROWS, "%zu rows of a file that is empty", listed);
  s->close(s);
  free(path);
}
END_TEST

START_TEST(line_ends_of_every_kind) {
  static const char *const texts[] = {"path\titem_id\na.jpg\t1\nb.jpg\t2\n",
                                      "path\titem_id\r\na.jpg\t1\r\nb.jpg\t2\r\n", "path\titem_id\na.jpg\t1\nb.jpg\t2",
                                      "\xEF\xBB\xBFpath\titem_id\na.jpg\t1\n\n\r\nb.jpg\t2\r",
                                      "\n\npath\titem_id\na.jpg\t1\nb.jpg\t2\n\n\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    hem__source *s = listing("photos.tsv", texts[i]);
    is_good(s, "a.jpg", "1", "all", "");
    is_good(s, "b.jpg", "2", "all", "");
    ends(s);
  }
  ends(listing("photos.tsv", "path"));
}
END_TEST

/* ---- bad listings ---- */

START_TEST(a_header_that_says_too_little_or_too_much) {
  char many[1000] = "path";
  ck_fails(open_text("", 0, err), HEM_ECORRUPT, "is empty");
  ck_fails(open_text("\n\r\n\n", 4, err), HEM_ECORRUPT, "is empty");
  ck_fails(open_text("item_id\tcategory\nx\ty\n", 21, err), HEM_ECORRUPT, "no column 'path'");
  ck_fails(open_text("Path\nx\n", 7, err), HEM_ECORRUPT, "known columns are path, item_id");
  ck_fails(open_text("path,item_id\nx,y\n", 17, err), HEM_ECORRUPT, "no column 'path'");
  ck_fails(open_text("path\tlabel\tpath\n", 16, err), HEM_ECORRUPT, "'path' twice");
  ck_fails(open_text("path\tbox\tbox\n", 13, err), HEM_ECORRUPT, "'box' twice");
  for (size_t i = 0; i < 63; i++) strcat(many, "\tx");
  ck_ok(open_text(many, strlen(many), err));
  strcat(many, "\tx");
  ck_fails(open_text(many, strlen(many), err), HEM_ECORRUPT, "at most 64 columns");
  hem__source *source = NULL;
  ck_fails(hem__source_manifest("/no/such/photos.tsv", &source, err), HEM_ENOTFOUND, "/no/such/photos.tsv");
  ck_fails(hem__source_manifest("/tmp", &source, err), HEM_ECORRUPT, "not a regular file");
}
END_TEST

START_TEST(a_bad_line_rejects_itself_only) {
  hem__source *s = listing("photos.tsv",
                           "path\tdomain\tsplit\tbox\n"
                           "a.jpg\tshop\ttest\n"
                           "a.jpg\tshop\ttest\t\t\n"
                           "\tshop\ttest\t\n"
                           "a.jpg\tShop\ttest\t\n"
                           "a.jpg\tshop\tval\t\n"
                           "\n"
                           "a.jpg\tshop\ttest\t1,2,3\n"
                           "a.jpg\tshop\ttest\t1,2,3,4,5\n"
                           "a.jpg\tshop\ttest\t1,2,0,4\n"
                           "a.jpg\tshop\ttest\t-1,2,3,4\n"
                           "a.jpg\tshop\ttest\t1.5.2,2,3,4\n"
                           "a.jpg\tshop\ttest\t1,2,3,99999999999\n"
                           "a.jpg\tshop\ttest\tabc\n"
                           "good.jpg\tshop\ttest\t0,0,1,2147483647\n");
  static const char *const words[] = {"fewer columns", "more columns", "path is empty", "domain", "split"};
  for (size_t i = 0; i < 5; i++) is_bad(s, 2 + i, words[i]);
  for (size_t line = 8; line <= 14; line++) is_bad(s, line, "box");
  hem__listed row = next(s);
  ck_assert(!row.reason && row.photo.box.height == INT32_MAX);
  ends(s);
}
END_TEST

START_TEST(lines_too_long_and_with_zero_bytes) {
  enum { LONG = 1 << 16 };
  char *text = malloc(4 * LONG);
  size_t size = (size_t)sprintf(text, "path\nbefore.jpg\n");
  memset(text + size, 'x', LONG);
  size += LONG;
  size += (size_t)sprintf(text + size, "\n");
  memset(text + size, 'y', LONG + 1);
  size += LONG + 1;
  memcpy(text + size, "\na\0b.jpg\nafter.jpg\n", 19);
  char *path = write_listing("photos.tsv", text, size + 19);
  hem__source *s = NULL;
  ck_ok(hem__source_manifest(path, &s, err));
  is_good(s, "before.jpg", NULL, "all", "");
  is_bad(s, 3, "4,096");
  is_bad(s, 4, "65,536");
  is_bad(s, 5, "zero byte");
  is_good(s, "after.jpg", NULL, "all", "");
  ends(s);
  free(path);
  free(text);
}
END_TEST

/* ---- reading ---- */

static void reads(hem__source *s, size_t width, size_t height, size_t crop_width, size_t crop_height) {
  hem__listed row = next(s);
  hem__photo photo = row.photo;
  hem__image image = {0};
  ck_assert_ptr_null(row.reason);
  ck_ok(s->read(s, &row, NULL, &photo, &image, err));
  ck_assert(photo.width == width && photo.height == height);
  ck_assert(image.width == crop_width && image.height == crop_height);
  hem__image_clear(&image);
}

START_TEST(paths_start_at_the_listing_and_boxes_crop) {
  const char *folder = hem__test_subfolder();
  char *photo = hem__test_path(folder, "a.png"), *path = hem__test_path(folder, "photos.tsv"), *text = NULL;
  if (!hem__test_png(photo, 1, 30, 20)) return;
  ck_assert_int_gt(
      asprintf(&text, "path\tbox\na.png\t\n%s\t\na.png\t5,4,10,100\nmissing.png\t\na.png\t30,0,5,5\n.\t\n", photo), 0);
  hem__test_write(path, text, strlen(text));
  hem__source *s = NULL;
  ck_ok(hem__source_manifest(path, &s, err));
  reads(s, 30, 20, 30, 20);
  reads(s, 30, 20, 30, 20);
  reads(s, 30, 20, 10, 16);
  static const hem_status wanted[] = {HEM_ENOTFOUND, HEM_EINVAL, HEM_ECORRUPT};
  for (size_t i = 0; i < 3; i++) {
    hem__listed row = next(s);
    hem__image image = {0};
    ck_fails(s->read(s, &row, NULL, &row.photo, &image, err), wanted[i], i == 1 ? "" : row.photo.path);
    ck_assert_ptr_null(image.at);
  }
  ends(s);
  free(text);
  free(path);
  free(photo);
}
END_TEST

START_TEST(a_listing_in_the_working_folder) {
  const char *folder = hem__test_subfolder();
  char before[4096], *photo = hem__test_path(folder, "a.png"), *path = hem__test_path(folder, "photos.tsv");
  if (!hem__test_png(photo, 1, 8, 8)) return;
  hem__test_write(path, "path\na.png\n", 11);
  ck_assert_ptr_nonnull(getcwd(before, sizeof before));
  ck_assert_int_eq(chdir(folder), 0);
  hem__source *s = NULL;
  ck_ok(hem__source_manifest("photos.tsv", &s, err));
  char *real = realpath(path, NULL);
  ck_assert_str_eq(s->listing, real); /* rejected lines have one name, wherever it is read from */
  free(real);
  reads(s, 8, 8, 8, 8);
  ends(s);
  ck_assert_int_eq(chdir(before), 0);
  free(photo);
  free(path);
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { GROWTH_MAX_KIB = 1 << 20 }; /* sanitizers keep what was freed */
#else
enum { GROWTH_MAX_KIB = 16 << 10 };
#endif

static size_t peak_kib(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss;
}

/* The listing is counted before the first photo comes, and never in memory as a whole: it has 42 MB. */
START_TEST(a_million_rows_start_at_once) {
  enum { ROWS = 1000000 };
  char *path = hem__test_path(hem__test_subfolder(), "photos.tsv");
  struct timespec from, to;
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs("path\titem_id\tcategory\n", file);
  for (int i = 0; i < ROWS; i++) fprintf(file, "photos/%07d.jpg\titem-%d\tdress\n", i, i / 4);
  ck_assert_int_eq(fclose(file), 0);
  hem__source *s = NULL;
  size_t before = peak_kib();
  clock_gettime(CLOCK_MONOTONIC, &from);
  ck_ok(hem__source_manifest(path, &s, err));
  ck_assert_uint_eq(s->count, ROWS);
  is_good(s, "photos/0000000.jpg", "item-0", "dress", "");
  clock_gettime(CLOCK_MONOTONIC, &to);
  double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
  ck_assert_msg(seconds < 1, "the first of a million rows took %.2f s", seconds);
  hem__listed row;
  bool fine = true, more = true; /* an assert for each row would take longer than the rows */
  for (int i = 1; i < ROWS - 1 && fine; i++) {
    if (i % 8192 == 0) s->forget(s);
    fine = s->next(s, &row, &more, NULL) == HEM_OK && more && !row.reason;
  }
  ck_assert(fine);
  ck_assert_msg(peak_kib() - before < GROWTH_MAX_KIB, "a million rows took %zu KiB", peak_kib() - before);
  is_good(s, "photos/0999999.jpg", "item-249999", "dress", "");
  ends(s);
  unlink(path);
  free(path);
}
END_TEST

HEM_TESTS("listing", every_column_is_read_in_any_order, what_is_left_out_has_defaults, csv_quoting, tsv_has_no_quotes,
          boxes_in_pixels_and_in_parts, a_listing_of_vectors_needs_no_paths, a_listing_that_shrinks_ends_early,
          line_ends_of_every_kind, a_header_that_says_too_little_or_too_much, a_bad_line_rejects_itself_only,
          lines_too_long_and_with_zero_bytes, paths_start_at_the_listing_and_boxes_crop,
          a_listing_in_the_working_folder, a_million_rows_start_at_once)
