/* The experiments: the same queries for all, nobody asked of a metric that knows the answer, counts that agree. */
#include "bench/experiments.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/experiments_page.h"
#include "metric/judge.h"
#include "support/make_idx.h"
#include "support/make_metric.h"

enum { FOLDS = 3, TOP_20 = 3 };

static const hem__test_world world = {.dim = 16,
                                      .signal = 4,
                                      .items = 120,
                                      .categories = 2,
                                      .consumers = 2,
                                      .shops = 1,
                                      .jitter = 0.3F,
                                      .noise = 2,
                                      .random = 4};

static hem__experiments_options options(void) {
  return (hem__experiments_options){.gallery_split = -1,
                                    .train = {.hidden = 8, .epochs = 4, .folds = FOLDS, .threads = 2, .raw = true}};
}

/* Once for all tests: it trains three metrics. */
static hem__test_pairs pairs;
static hem__experiments x;

static void run(void) {
  hem__experiments_options o = options();
  if (x.count) return;
  hem__test_pairs_new(&world, &pairs);
  ck_ok(hem__experiments_run(pairs.catalog, &o, &x, err));
}

START_TEST(every_row_is_over_the_same_queries_and_galleries) {
  run();
  ck_assert(!x.marked);
  ck_assert_uint_eq(x.folds, FOLDS);
  ck_assert_uint_eq(x.query_count, 240);
  ck_assert_uint_eq(x.items, 120);
  ck_assert_uint_eq(x.row_count, 3 * HEM__MATCHERS);
  hem__accuracy accuracy = {0};
  hem__accuracy_options o = {.query_split = -1, .gallery_split = -1};
  ck_ok(hem__accuracy_measure(pairs.catalog, &o, &accuracy, err));
  for (size_t i = 0; i < x.row_count; i++) {
    const hem__experiment_row *row = &x.rows[i];
    const hem__accuracy_row *plain = &accuracy.rows[i / HEM__MATCHERS * 3 + (i % HEM__MATCHERS) % 3];
    ck_assert_str_eq(row->category, plain->category);
    ck_assert_uint_eq(row->matcher, i % HEM__MATCHERS);
    ck_assert_uint_eq(row->queries, plain->queries);
    ck_assert_uint_eq(row->gallery, plain->gallery);
    ck_assert_double_eq(row->chance[TOP_20], plain->chance[TOP_20]);
    if (row->matcher < HEM__SIAMESE) ck_assert_mem_eq(row->right, plain->right, sizeof row->right);
  }
  hem__accuracy_clear(&accuracy);
}
END_TEST

START_TEST(nobody_is_asked_of_a_metric_that_saw_the_item) {
  run();
  const hem__photos *photos = hem__catalog_photos(pairs.catalog);
  const hem__metric *met[FOLDS] = {0};
  size_t used = 0;
  for (size_t q = 0; q < x.query_count; q++) {
    size_t row = x.query_rows[q];
    const hem__metric *metric = hem__experiments_metric(&x, photos, 0, row);
    ck_assert(!hem__metric_saw(metric, photos->at[row].item_id));
    size_t f = 0;
    while (f < used && met[f] != metric) f++;
    if (f == used) met[used++] = metric;
    uint32_t one = (uint32_t)row, rank;
    hem__validation v = pairs.validation;
    v.queries = &one;
    v.query_count = 1;
    hem__ranker by = {.metric = metric, .catalog = pairs.catalog};
    if (q % 8 == 0) {
      ck_ok(hem__rank_queries(&by, &v, &rank, err));
      ck_assert_uint_eq(rank, x.at[0].ranks[HEM__SIAMESE][q]);
    }
  }
  ck_assert_uint_eq(used, FOLDS);
}
END_TEST

START_TEST(the_gain_is_the_difference_of_the_rows_and_training_gains_here) {
  run();
  const hem__experiment *e = &x.at[0];
  const hem__experiment_row *all = &x.rows[x.row_count - HEM__MATCHERS];
  for (size_t m = 0; m < HEM__SIAMESE; m++) ck_assert_uint_le(all[m].right[TOP_20], all[e->plain].right[TOP_20]);
  double gain = ((double)all[HEM__SIAMESE].right[TOP_20] - (double)all[e->plain].right[TOP_20]) / (double)all->queries;
  ck_assert_double_eq_tol(e->gain, gain, 1e-12);
  ck_assert_double_lt(e->gain_low, e->gain);
  ck_assert_double_gt(e->gain_high, e->gain);
  ck_assert_double_gt(e->gain_low, 0.05); /* noise hides the signal from every plain distance */
  ck_assert_ptr_eq(x.best, &all[HEM__SIAMESE]);
  const hem__reliability *r = &e->trust.shown;
  double error = 0;
  uint64_t count = 0;
  for (size_t i = 0; i < HEM__RELIABILITY_BINS; i++) {
    count += r->bins[i].count;
    error += (double)r->bins[i].count * fabs(r->bins[i].mean - r->bins[i].rate) / (double)r->count;
  }
  ck_assert_uint_eq(count, r->count);
  ck_assert_uint_eq(count, 20 * x.query_count);
  ck_assert_double_eq_tol(r->error, error, 1e-12);
}
END_TEST

START_TEST(the_page_holds_it_all) {
  run();
  char *path = hem__test_path(hem__test_subfolder(), "page.html");
  hem__experiments_page how = {
      .path = path, .title = "a <title>", .about = "made", .sheets = 2, .points = 150, .gallery_split = -1};
  ck_ok(hem__experiments_write(pairs.catalog, &x, &how, err));
  size_t size;
  char *page = (char *)hem__test_read(path, &size);
  page[size - 1] = '\0';
  static const char *const words[] = {"a &lt;title&gt;", "gained by training", "Siamese",           "chance",
                                      "3 folds",         "calibration error",  "The space on paper"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    ck_assert_msg(strstr(page, words[i]) != NULL, "the page lacks '%s'", words[i]);
  ck_assert_ptr_null(strstr(page, "<script"));
  ck_assert_ptr_null(strstr(page, "nan"));
  how.path = "/no/such/folder/page.html";
  ck_fails(hem__experiments_write(pairs.catalog, &x, &how, err), HEM_ENOTFOUND, "page.html");
  free(page);
  free(path);
}
END_TEST

START_TEST(marked_splits_are_taken_at_their_word) {
  hem__made made = {.dim = 4};
  uint64_t state = 8;
  char item[16], *path = hem__test_path(hem__test_subfolder(), "marked.h5");
  for (size_t i = 0; i < 150; i++) {
    float at[4], near[4];
    for (size_t d = 0; d < 4; d++) {
      at[d] = hem__test_normal(&state);
      near[d] = at[d] + 0.3F * hem__test_normal(&state);
    }
    snprintf(item, sizeof item, "i%zu", i);
    hem__photo photo = {.item_id = item,
                        .split = (uint8_t)(i % 3 ? i % 3 == 1 ? HEM__TRAIN : HEM__VALIDATION : HEM__TEST)};
    hem__made_add(&made, photo, at);
    photo.domain = HEM__CONSUMER;
    hem__made_add(&made, photo, near);
  }
  hem__made_seal(&made, path);
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(path, &catalog, err));
  hem__experiments marked;
  hem__experiments_options o = options();
  ck_ok(hem__experiments_run(catalog, &o, &marked, err));
  ck_assert(marked.marked);
  ck_assert_uint_eq(marked.folds, 1);
  ck_assert_uint_eq(marked.query_count, 50);
  ck_assert_uint_eq(marked.rows[0].gallery, 150);
  for (size_t q = 0; q < marked.query_count; q++)
    ck_assert_uint_eq(hem__catalog_photos(catalog)->at[marked.query_rows[q]].split, HEM__TEST);
  hem__experiments_clear(&marked);
  hem__catalog_close(catalog);
  hem__made_clear(&made);
  free(path);
}
END_TEST

START_TEST(without_customers_it_says_what_to_do) {
  hem__made made = {.dim = 2};
  char *path = hem__test_path(hem__test_subfolder(), "shop.h5");
  for (size_t i = 0; i < 12; i++)
    hem__made_add(&made, (hem__photo){.item_id = i % 2 ? "a" : "b"}, (float[]){(float)i, 1});
  hem__made_seal(&made, path);
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(path, &catalog, err));
  hem__experiments none;
  hem__experiments_options o = options();
  ck_fails(hem__experiments_run(catalog, &o, &none, err), HEM_ENOTFOUND, "hemline views");
  o.train.folds = 2;
  ck_fails(hem__experiments_run(catalog, &o, &none, err), HEM_EINVAL, "folds");
  hem__catalog_close(catalog);
  hem__made_clear(&made);
  free(path);
}
END_TEST

HEM_TESTS("experiments", every_row_is_over_the_same_queries_and_galleries,
          nobody_is_asked_of_a_metric_that_saw_the_item, the_gain_is_the_difference_of_the_rows_and_training_gains_here,
          the_page_holds_it_all, marked_splits_are_taken_at_their_word, without_customers_it_says_what_to_do)
