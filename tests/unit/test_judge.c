/* The judge against brute force, and its interval against a bootstrap. */
#include "metric/judge.h"

#include <math.h>
#include <string.h>

#include "metric/distance.h"
#include "support/make_metric.h"
#include "test.h"

static const hem__test_world world = {.dim = 24,
                                      .signal = 4,
                                      .items = 120,
                                      .categories = 2,
                                      .consumers = 2,
                                      .shops = 2,
                                      .orphans = 3,
                                      .jitter = 0.1F,
                                      .noise = 2,
                                      .random = 1};

/* ---- ranks ---- */

static double key_of(const hem__ranker *by, const float *a, const float *b, size_t dim) {
  double sum = 0, aa = 0, bb = 0;
  if (by->metric) return -hem__metric_score(by->metric, a, b);
  for (size_t d = 0; d < dim; d++) {
    double x = (double)a[d], y = (double)b[d];
    sum += by->distance == HEM_L2 ? (x - y) * (x - y) : by->distance == HEM_L1 ? fabs(x - y) : -x * y;
    aa += x * x;
    bb += y * y;
  }
  return by->distance == HEM_COSINE ? sum / sqrt(aa * bb) : sum;
}

/* By the definition, one photo after another. */
static uint32_t brute_rank(const hem__ranker *by, const hem__validation *v, size_t query) {
  const hem__photo *photos = hem__catalog_photos(by->catalog)->at, *me = &photos[v->queries[query]];
  hem__matrix vectors = hem__catalog_matrix(by->catalog, by->space);
  const float *a = hem__row(vectors, v->queries[query]);
  double nearest = INFINITY;
  uint32_t nearer = 0;
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < v->gallery_count; i++) {
      const hem__photo *photo = &photos[v->gallery[i]];
      if (strcmp(photo->category, me->category) != 0) continue;
      double key = key_of(by, a, hem__row(vectors, v->gallery[i]), vectors.dim);
      if (pass == 0 && strcmp(photo->item_id, me->item_id) == 0) nearest = fmin(nearest, key);
      if (pass == 1) nearer += key < nearest;
    }
  return isinf(nearest) ? 0 : nearer + 1;
}

static void check_ranks(hem__ranker by, const hem__test_pairs *pairs) {
  uint32_t *ranks = calloc(pairs->validation.query_count, sizeof *ranks);
  hem__validation v = pairs->validation;
  for (v.threads = 1; v.threads <= 3; v.threads += 2) {
    ck_ok(hem__rank_queries(&by, &v, ranks, err));
    for (size_t i = 0; i < v.query_count; i++) ck_assert_uint_eq(ranks[i], brute_rank(&by, &v, i));
  }
  free(ranks);
}

START_TEST(ranks_are_those_of_the_definition) {
  hem__test_pairs pairs;
  uint64_t random = 3;
  hem__test_pairs_new(&world, &pairs);
  hem__metric *knowing = hem__test_knowing(&world);
  hem__metric *head = hem__test_metric((hem__metric){.form = HEM__HEAD, .dim = world.dim, .hidden = 8}, &random);
  hem__ranker by = {.catalog = pairs.catalog};
  for (by.distance = HEM_L2; by.distance <= HEM_COSINE; by.distance++) check_ranks(by, &pairs);
  by.metric = knowing;
  check_ranks(by, &pairs);
  by.metric = head;
  check_ranks(by, &pairs);
  hem__metric_free(head);
  hem__metric_free(knowing);
  hem__test_pairs_clear(&pairs);
}
END_TEST

START_TEST(of_equals_the_earlier_comes_first) {
  hem__made made = {.dim = 2};
  float same[2] = {1, 1};
  char *path = hem__test_path(hem__test_folder(), "equal.h5");
  hem__made_add(&made, (hem__photo){.item_id = "a"}, same);
  hem__made_add(&made, (hem__photo){.item_id = "b"}, same);
  hem__made_add(&made, (hem__photo){.item_id = "a", .domain = HEM__CONSUMER}, same);
  hem__made_add(&made, (hem__photo){.item_id = "b", .domain = HEM__CONSUMER}, same);
  hem__made_seal(&made, path);
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(path, &catalog, err));
  uint32_t queries[] = {2, 3, 0}, gallery[] = {0, 1}, ranks[3];
  hem__validation v = {.queries = queries, .query_count = 3, .gallery = gallery, .gallery_count = 2};
  ck_ok(hem__rank_queries(&(hem__ranker){.catalog = catalog}, &v, ranks, err));
  ck_assert_uint_eq(ranks[0], 1);
  ck_assert_uint_eq(ranks[1], 2);
  ck_assert_uint_eq(ranks[2], 0); /* a photo does not answer itself, and there is no other of its item */
  gallery[1] = 9;
  ck_fails(hem__rank_queries(&(hem__ranker){.catalog = catalog}, &v, ranks, err), HEM_EINVAL, "no row 9");
  hem__catalog_close(catalog);
  hem__made_clear(&made);
  free(path);
}
END_TEST

/* ---- the verdict ---- */

START_TEST(the_verdict_counts_right_answers) {
  hem__test_pairs pairs;
  hem__test_pairs_new(&world, &pairs);
  hem__metric *m = hem__test_knowing(&world);
  hem__verdict verdict;
  ck_ok(hem__judge(m, pairs.catalog, 0, &pairs.validation, &verdict, err));
  ck_assert_uint_eq(verdict.queries, 240); /* the orphans have nothing to be found */
  ck_assert_uint_eq(verdict.gallery, 240);
  static const hem_distance order[] = {HEM_L2, HEM_L1, HEM_COSINE};
  uint64_t most = 0;
  for (size_t c = 0; c < HEM__CONTENDERS; c++) {
    hem__ranker by = {.metric = c == 3 ? m : NULL, .distance = c == 3 ? HEM_L2 : order[c], .catalog = pairs.catalog};
    uint64_t right = 0;
    for (size_t q = 0; q < pairs.validation.query_count; q++) {
      uint32_t rank = brute_rank(&by, &pairs.validation, q);
      right += rank >= 1 && rank <= 20;
    }
    ck_assert_uint_eq(verdict.right[c], right);
    if (c < 3 && right > most) {
      most = right;
      ck_assert_int_le(verdict.best, HEM_COSINE);
    }
  }
  ck_assert_double_eq_tol(verdict.gain, (double)(verdict.right[3] - most) / 240, 1e-12);
  m->verdict = verdict;
  ck_assert(hem__metric_passed(m)); /* it knows where the signal is */
  ck_assert(verdict.gain_low > 0.2 && verdict.gain_high < 1);
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

/* A metric that looks at the noise only, and one that sees nothing at all. */
START_TEST(a_worse_metric_does_not_pass) {
  hem__test_pairs pairs;
  hem__test_pairs_new(&world, &pairs);
  hem__metric *m = hem__test_knowing(&world);
  for (size_t d = 0; d < world.dim; d++) m->w2[d] = d < world.signal ? 0 : -1;
  for (int i = 0; i < 2; i++) {
    ck_ok(hem__judge(m, pairs.catalog, 0, &pairs.validation, &m->verdict, err));
    ck_assert(!hem__metric_passed(m) && m->verdict.gain < 0);
    for (size_t d = 0; d < world.dim; d++) m->w2[d] = 0;
  }
  /* Its own best rival: it gains nothing, and nothing is not enough. */
  for (size_t d = 0; d < world.dim; d++) m->w2[d] = -1;
  ck_ok(hem__judge(m, pairs.catalog, 0, &pairs.validation, &m->verdict, err));
  ck_assert_uint_eq(m->verdict.right[3], m->verdict.right[1]);
  ck_assert(!hem__metric_passed(m));
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

START_TEST(without_answers_there_is_no_verdict) {
  hem__test_pairs pairs;
  hem__test_world orphans = world;
  orphans.items = 0;
  hem__test_pairs_new(&orphans, &pairs);
  hem__metric *m = hem__test_knowing(&world);
  hem__verdict verdict = {.queries = 77};
  ck_fails(hem__judge(m, pairs.catalog, 0, &pairs.validation, &verdict, err), HEM_ENOTFOUND, "nothing can be judged");
  ck_assert_uint_eq(verdict.queries, 77);
  hem__metric_free(m);
  hem__test_pairs_clear(&pairs);
}
END_TEST

/* ---- the interval ---- */

enum { CLUSTERS = 200, RESAMPLES = 4000 };

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Efron's percentile bootstrap, whole clusters drawn with replacement. */
static void bootstrap(const hem__clustered *d, double *low, double *high) {
  static double means[RESAMPLES];
  uint64_t random = 17;
  for (size_t r = 0; r < RESAMPLES; r++) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < d->clusters; i++) {
      size_t pick = (size_t)(hem__test_random(&random) % d->clusters);
      sum += d->sums[pick];
      n += (double)d->counts[pick];
    }
    means[r] = sum / n;
  }
  qsort(means, RESAMPLES, sizeof *means, by_value);
  *low = means[RESAMPLES / 40];
  *high = means[RESAMPLES - RESAMPLES / 40];
}

/* One cluster's queries are nearly all right or nearly all wrong together. */
static void draw_clusters(uint64_t *random, double *sums, uint64_t *counts, size_t clusters) {
  for (size_t i = 0; i < clusters; i++) {
    double bias = hem__test_uniform(random) < 0.6F ? 0.8 : -0.3;
    counts[i] = 1 + hem__test_random(random) % 6;
    sums[i] = 0;
    for (size_t j = 0; j < counts[i]; j++) {
      double u = (double)hem__test_uniform(random);
      sums[i] += bias > 0 ? u < bias : -(u < -bias);
    }
  }
}

START_TEST(the_interval_is_the_bootstraps) {
  double sums[CLUSTERS], mean, low, high, boot_low, boot_high;
  uint64_t counts[CLUSTERS], random = 5;
  draw_clusters(&random, sums, counts, CLUSTERS);
  hem__clustered d = {sums, counts, CLUSTERS};
  hem__clustered_interval(&d, &mean, &low, &high);
  bootstrap(&d, &boot_low, &boot_high);
  ck_assert(low < mean && mean < high);
  ck_assert_double_eq_tol(high - low, boot_high - boot_low, 0.08 * (high - low));
  ck_assert_double_eq_tol(low, boot_low, 0.08 * (high - low));
  ck_assert_double_eq_tol(high, boot_high, 0.08 * (high - low));
}
END_TEST

/* Of many samples, 95% of the intervals hold the truth, with few clusters as with many. */
START_TEST(the_interval_holds_the_truth) {
  static const size_t sizes[] = {8, 25, 100};
  uint64_t random = 23;
  double truth = 0.6 * 0.8 - 0.4 * 0.3;
  for (size_t s = 0; s < 3; s++) {
    size_t held = 0;
    for (size_t i = 0; i < 4000; i++) {
      double sums[100], mean, low, high;
      uint64_t counts[100];
      draw_clusters(&random, sums, counts, sizes[s]);
      hem__clustered_interval(&(hem__clustered){sums, counts, sizes[s]}, &mean, &low, &high);
      held += low <= truth && truth <= high;
    }
    double share = (double)held / 4000;
    ck_assert_msg(share > (s == 0 ? 0.90 : 0.925) && share < 0.975, "%zu clusters: %g", sizes[s], share);
  }
}
END_TEST

START_TEST(too_few_clusters_tell_nothing) {
  double sums[] = {1, 1, 1, 1, 1, 0}, mean, low, high;
  uint64_t counts[] = {1, 1, 1, 1, 0, 0};
  hem__clustered d = {sums, counts, 6};
  hem__clustered_interval(&d, &mean, &low, &high);
  ck_assert(low == -1 && high == 1);
  counts[4] = 1;
  hem__clustered_interval(&d, &mean, &low, &high);
  ck_assert(mean == 1 && low == 1 && high == 1);
  counts[5] = 1;
  hem__clustered_interval(&d, &mean, &low, &high);
  /* Student's t of 5 degrees is 2.5706; the variance is of 6 single differences. */
  double half = 2.5706 * sqrt((5 * pow(1.0 / 6, 2) + pow(5.0 / 6, 2)) / 5 / 6);
  ck_assert_double_eq_tol(low, 5.0 / 6 - half, 1e-3);
  ck_assert(high == 1);
}
END_TEST

HEM_TESTS("judge", ranks_are_those_of_the_definition, of_equals_the_earlier_comes_first,
          the_verdict_counts_right_answers, a_worse_metric_does_not_pass, without_answers_there_is_no_verdict,
          the_interval_is_the_bootstraps, the_interval_holds_the_truth, too_few_clusters_tell_nothing)
