/* The sweep's arithmetic, and files of ann-benchmarks. That it measures is tests/end_to_end/test_bench.py's. */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "bench/interval.h"
#include "bench/sweep.h"
#include "ingest/benchmark.h"
#include "ingest/vectors.h"
#include "support/make_vectors.h"
#include "test.h"

/* ---- fronts ---- */

START_TEST(a_front_holds_what_nothing_beats) {
  const double recall[] = {0.9, 0.95, 0.94, 0.99, 0.95, 0.99}, qps[] = {100, 80, 70, 50, 80, 40};
  bool front[6];
  hem__sweep_front(recall, qps, 6, front);
  const bool wanted[] = {true, true, false, true, false, false}; /* the fifth equals the second */
  for (size_t i = 0; i < 6; i++) ck_assert_msg(front[i] == wanted[i], "point %zu", i);
}
END_TEST

START_TEST(between_two_points_speed_falls_by_equal_factors) {
  const double recall[] = {0.9, 0.94, 0.98}, qps[] = {1000, 400, 100};
  ck_assert_double_eq_tol(hem__sweep_at(recall, qps, 3, 0.96), 200, 1e-9); /* the geometric mean of 400 and 100 */
  ck_assert_double_eq_tol(hem__sweep_at(recall, qps, 3, 0.94), 400, 1e-9);
  ck_assert_double_eq_tol(hem__sweep_at(recall, qps, 3, 0.5), 1000, 1e-9); /* it is no faster than it was seen to be */
  ck_assert(isnan(hem__sweep_at(recall, qps, 3, 0.99)));
  ck_assert(isnan(hem__sweep_at(recall, qps, 0, 0.9)));
}
END_TEST

/* ---- sums ---- */

enum { ROUNDS = 3, ENGINES = 2, SETTINGS = 2 };

/* Two contestants of two settings: the second is twice, thrice and four times as fast, round by round. */
static void fill(hem__sweep *s, hem__sweep_engine engines[ENGINES], hem__sweep_row rows[ENGINES * SETTINGS],
                 double rounds[ENGINES * SETTINGS][ROUNDS * HEM__SWEEP_MEASURES]) {
  *s = (hem__sweep){.name = "a \"quoted\", name\nof two lines",
                    .machine = "m",
                    .date = "d",
                    .faiss = "f",
                    .cores = 2,
                    .rounds = ROUNDS,
                    .gallery = 1000,
                    .dim = 8,
                    .k = 10,
                    .queries = 100,
                    .engines = engines,
                    .engine_count = ENGINES,
                    .noise = SIZE_MAX,
                    .rows = rows,
                    .row_count = ENGINES * SETTINGS};
  for (size_t e = 0; e < ENGINES; e++) {
    engines[e] = (hem__sweep_engine){.build = "b", .own = e == 1};
    snprintf(engines[e].name, sizeof engines[e].name, "engine-%zu", e);
    for (size_t i = 0; i < SETTINGS; i++) {
      hem__sweep_row *row = &rows[e * SETTINGS + i];
      *row = (hem__sweep_row){.engine = e,
                              .depth = {.depth = (uint32_t)i + 1},
                              .setting = "ef 1, refine 2",
                              .threads = 1,
                              .k = 10,
                              .queries = 100,
                              .recall = i ? 0.995 : 0.95,
                              .low = 0.9,
                              .high = 1,
                              .rounds = rounds[e * SETTINGS + i]};
      for (size_t r = 0; r < ROUNDS; r++) {
        double *m = row->rounds + r * HEM__SWEEP_MEASURES;
        m[HEM__QPS] = (i ? 100.0 : 1000.0) * (double)(r + 1) * (double)(e ? r + 2 : 1);
        m[HEM__CPU] = e ? 5 : 10;
        m[HEM__P50] = m[HEM__P99] = NAN;
      }
    }
  }
}

START_TEST(rounds_are_compared_one_by_one) {
  hem__sweep s;
  hem__sweep_engine engines[ENGINES];
  hem__sweep_row rows[ENGINES * SETTINGS];
  double rounds[ENGINES * SETTINGS][ROUNDS * HEM__SWEEP_MEASURES];
  fill(&s, engines, rows, rounds);
  ck_ok(hem__sweep_sum_up(&s, err));
  ck_assert_double_eq_tol(rows[0].qps, 2000, 1e-9); /* of 1000, 2000, 3000 */
  ck_assert_double_eq_tol(rows[0].qps_low, 1000, 1e-9);
  ck_assert_double_eq_tol(rows[0].qps_high, 3000, 1e-9);
  ck_assert(isnan(rows[0].p50_us));
  ck_assert(rows[0].front && rows[1].front);
  const hem__sweep_point *p = &s.points[1 * HEM__SWEEP_TARGETS + 1];
  ck_assert_double_eq_tol(p->target, 0.95, 1e-9);
  ck_assert_double_eq_tol(p->qps, 6000, 1e-9);
  ck_assert_double_eq_tol(p->ratio, 3, 1e-9); /* of 2, 3, 4: not 6000 to 2000 by chance, but round by round */
  ck_assert_double_eq_tol(p->ratio_low, 2, 1e-9);
  ck_assert_double_eq_tol(p->ratio_high, 4, 1e-9);
  ck_assert_double_eq_tol(p->cpu_ratio, 2, 1e-9);
  ck_assert(isnan(s.points[HEM__SWEEP_TARGETS - 1].qps)); /* 0.999 is reached by nobody */
  ck_assert_ptr_eq(hem__sweep_row_at(&s, 0, 0.9), &rows[0]);
  ck_assert_ptr_eq(hem__sweep_row_at(&s, 0, 0.96), &rows[1]);
  ck_assert_ptr_eq(hem__sweep_row_at(&s, 0, 0.999), &rows[1]); /* the nearest there is */
  free(s.points);
}
END_TEST

static char *read_all(const char *path) {
  uint8_t *bytes = NULL;
  char *text = NULL;
  size_t size = 0;
  ck_ok(hem__file_read(path, &bytes, &size, err));
  ck_ok(hem__print(&text, err, "%.*s", (int)size, (const char *)bytes));
  free(bytes);
  return text;
}

START_TEST(csv_is_quoted) {
  hem__sweep s;
  hem__sweep_engine engines[ENGINES];
  hem__sweep_row rows[ENGINES * SETTINGS];
  double rounds[ENGINES * SETTINGS][ROUNDS * HEM__SWEEP_MEASURES];
  fill(&s, engines, rows, rounds);
  char *path = hem__test_path(hem__test_folder(), "rows.csv");
  ck_ok(hem__sweep_sum_up(&s, err));
  ck_ok(hem__sweep_write_csv(&s, path, err));
  char *text = read_all(path);
  ck_assert_ptr_nonnull(strstr(text, "\"a \"\"quoted\"\", name\nof two lines\""));
  ck_assert_ptr_nonnull(
      strstr(text, "\"ef 1, refine 2\",1,,,distance,10,100,single,1,3,0.95,0.9,1,2000,1000,3000,,,10,1\r\n"));
  free(s.points);
  free(text);
  free(path);
}
END_TEST

/* ---- the interval ---- */

START_TEST(the_bootstrap_holds_the_mean) {
  double pairs[200], low, high;
  for (size_t i = 0; i < 100; i++) pairs[2 * i] = i % 2 ? 1 : 0, pairs[2 * i + 1] = 1000;
  hem__bootstrap_mean(pairs, 2, 100, &low, &high);
  ck_assert(low < 0.5 && 0.5 < high); /* a standard error is 0.05 */
  ck_assert_double_eq_tol(high - low, 0.196, 0.03);
}
END_TEST

/* ---- files ---- */

static hem__benchmark_content content(const float train[6], const float test[2], const int32_t rows[2],
                                      const float distances[2], hem_distance distance) {
  return (hem__benchmark_content){.train = {train, 3, 2},
                                  .test = {test, 1, 2},
                                  .neighbours = 2,
                                  .rows = rows,
                                  .distances = distances,
                                  .distance = distance};
}

START_TEST(a_file_comes_back_as_it_was_written) {
  const float train[] = {0, 0, 3, 4, 6, 8}, test[] = {0, 0}, distances[] = {0, 5};
  const int32_t rows[] = {0, 1};
  char *path = hem__test_path(hem__test_folder(), "made.hdf5");
  for (hem_distance d = HEM_L2; d <= HEM_IP; d++) {
    hem__benchmark_content c = content(train, test, rows, distances, d);
    hem_distance said = HEM_IP;
    bool is = false, has = false;
    if (d == HEM_L1 || d == HEM_IP) {
      ck_fails(hem__benchmark_write(path, &c, err), HEM_EUNSUPPORTED, "l2 and cosine");
      continue;
    }
    ck_ok(hem__benchmark_write(path, &c, err));
    ck_ok(hem__benchmark_is(path, &is, err));
    ck_assert(is);
    ck_ok(hem__benchmark_distance(path, &said, &has, err));
    ck_assert(has && said == d);
    hem__rows *read = NULL;
    float values[6];
    ck_ok(hem__rows_hdf5(path, "/train", &read, err));
    ck_assert_uint_eq(read->count, 3);
    ck_ok(read->read(read, 0, 3, values, err));
    ck_assert_mem_eq(values, train, sizeof train);
    read->close(read);
  }
  hem__benchmark_content c = content(train, test, rows, distances, HEM_L2);
  ck_fails(hem__benchmark_write("/nowhere/at/all.hdf5", &c, err), HEM_EIO, "/nowhere/at/all.hdf5");
  free(path);
}
END_TEST

static void put_attribute(const char *path, hid_t type, const void *value) {
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
  hid_t attribute = H5Acreate2(file, "distance", type, space, H5P_DEFAULT, H5P_DEFAULT);
  ck_assert(attribute >= 0 && H5Awrite(attribute, type, value) >= 0);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Fclose(file);
}

START_TEST(what_a_file_says_of_its_distance) {
  const hem__test_dataset both[] = {{.name = "/train", .rows = 4, .dim = 2}, {.name = "/test", .rows = 2, .dim = 2}};
  char *path = hem__test_path(hem__test_folder(), "said.hdf5");
  hem_distance said = HEM_IP;
  bool is = true, has = true;
  hem__test_hdf5(path, 0, both, 1);
  ck_ok(hem__benchmark_is(path, &is, err));
  ck_assert(!is); /* without queries */
  hem__test_hdf5(path, 0, both, 2);
  ck_ok(hem__benchmark_distance(path, &said, &has, err));
  ck_assert(!has && said == HEM_IP);
  hid_t text = H5Tcopy(H5T_C_S1); /* of variable length, as h5py writes it */
  H5Tset_size(text, H5T_VARIABLE);
  put_attribute(path, text, &(const char *){"angular"});
  ck_ok(hem__benchmark_distance(path, &said, &has, err));
  ck_assert(has && said == HEM_COSINE);
  hem__test_hdf5(path, 0, both, 2);
  put_attribute(path, text, &(const char *){"hamming"});
  ck_fails(hem__benchmark_distance(path, &said, &has, err), HEM_EUNSUPPORTED, "'hamming'");
  hem__test_hdf5(path, 0, both, 2);
  put_attribute(path, H5T_NATIVE_INT, &(int){7});
  ck_fails(hem__benchmark_distance(path, &said, &has, err), HEM_ECORRUPT, "is no text");
  ck_fails(hem__benchmark_is("/nowhere.hdf5", &is, err), HEM_ENOTFOUND, "/nowhere.hdf5");
  H5Tclose(text);
  free(path);
}
END_TEST

HEM_TESTS("sweep", a_front_holds_what_nothing_beats, between_two_points_speed_falls_by_equal_factors,
          rounds_are_compared_one_by_one, csv_is_quoted, the_bootstrap_holds_the_mean,
          a_file_comes_back_as_it_was_written, what_a_file_says_of_its_distance)
