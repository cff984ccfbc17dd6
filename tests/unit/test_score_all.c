/* The exhaustive scores against the definition, pair by pair. */
#include "metric/score_all.h"

#include <math.h>
#include <string.h>

#include "support/make_metric.h"
#include "test.h"

typedef struct taken {
  float *scores; /* [queries][gallery] */
  size_t gallery, *times;
} taken;

static void take(void *context, size_t query, float *scores, size_t worker) {
  taken *t = context;
  (void)worker;
  memcpy(t->scores + query * t->gallery, scores, t->gallery * sizeof *scores);
  t->times[query]++;
  memset(scores, 0xFF, t->gallery * sizeof *scores); /* ours to write to */
}

static float *points(size_t count, size_t width, uint64_t *random) {
  float *out = malloc((count * width + 1) * sizeof *out);
  for (size_t i = 0; i < count * width; i++) out[i] = hem__test_normal(random);
  return out;
}

/* Half of the points of a gallery are the query's own, or near: relus are then at their corners. */
static void check(hem__metric shape, size_t queries, size_t gallery, size_t threads) {
  uint64_t random = shape.dim + shape.hidden + gallery;
  hem__metric *m = hem__test_metric(shape, &random);
  if (shape.hidden) m->w2[0] = 0.5F; /* any sign */
  float *a = points(queries, m->width, &random), *b = points(gallery, m->width, &random);
  for (size_t i = 0; queries && i < gallery * m->width; i += 2) b[i] = a[i % (queries * m->width)];
  taken t = {calloc(queries * gallery + 1, sizeof(float)), gallery, calloc(queries + 1, sizeof(size_t))};
  hem__score_all_job job = {.metric = m,
                            .queries = {a, queries, m->width},
                            .gallery = {b, gallery, m->width},
                            .threads = threads,
                            .take = take,
                            .context = &t};
  ck_ok(hem__score_all(&job, err));
  for (size_t q = 0; q < queries; q++) {
    ck_assert_uint_eq(t.times[q], 1);
    for (size_t g = 0; g < gallery; g++) {
      double wanted = hem__metric_score(m, a + q * m->width, b + g * m->width);
      double found = (double)t.scores[q * gallery + g];
      if (!(fabs(found - wanted) <= 2e-5 * (1 + fabs(wanted))))
        ck_abort_msg("D %zu H %zu: %zu, %zu: %g instead of %g", m->width, m->hidden, q, g, found, wanted);
    }
  }
  free(a);
  free(b);
  free(t.scores);
  free(t.times);
  hem__metric_free(m);
}

START_TEST(scores_are_those_of_the_definition) {
  static const size_t dims[] = {1, 3, 16, 33, 130}, hiddens[] = {1, 5, 16, 40};
  for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
    for (size_t h = 0; h < sizeof hiddens / sizeof *hiddens; h++)
      check((hem__metric){.form = HEM__HEAD, .dim = dims[d], .hidden = hiddens[h]}, 3, 70, 1 + h % 3);
    check((hem__metric){.form = HEM__WEIGHTED_L1, .dim = dims[d]}, 3, 70, 2);
    check((hem__metric){.form = HEM__WEIGHTED_L2, .dim = dims[d]}, 3, 70, 2);
  }
  check((hem__metric){.form = HEM__HEAD, .dim = 40, .tower = 9, .hidden = 4}, 2, 20, 1);
  check((hem__metric){.form = HEM__HEAD, .dim = 8, .hidden = 4}, 2, 2500, 2); /* several blocks */
  check((hem__metric){.form = HEM__HEAD, .dim = 2048, .hidden = 64}, 2, 600, 2);
  check((hem__metric){.form = HEM__WEIGHTED_L1, .dim = 2048}, 1, 600, 2);
}
END_TEST

START_TEST(nobody_and_nothing_is_fine) {
  check((hem__metric){.form = HEM__HEAD, .dim = 4, .hidden = 2}, 0, 5, 2);
  check((hem__metric){.form = HEM__HEAD, .dim = 4, .hidden = 2}, 5, 0, 2);
}
END_TEST

START_TEST(the_same_bits_on_any_number_of_threads) {
  enum { QUERIES = 5, GALLERY = 1500, DIM = 96 };
  uint64_t random = 4;
  hem__metric *m = hem__test_metric((hem__metric){.form = HEM__HEAD, .dim = DIM, .hidden = 24}, &random);
  float *a = points(QUERIES, DIM, &random), *b = points(GALLERY, DIM, &random);
  float *scores[2] = {calloc(QUERIES * GALLERY, sizeof(float)), calloc(QUERIES * GALLERY, sizeof(float))};
  for (size_t i = 0; i < 2; i++) {
    size_t times[QUERIES] = {0};
    taken t = {scores[i], GALLERY, times};
    hem__score_all_job job = {.metric = m,
                              .queries = {a, QUERIES, DIM},
                              .gallery = {b, GALLERY, DIM},
                              .threads = 1 + 2 * i,
                              .take = take,
                              .context = &t};
    ck_ok(hem__score_all(&job, err));
  }
  ck_assert_mem_eq(scores[0], scores[1], QUERIES * GALLERY * sizeof(float));
  for (size_t i = 0; i < 2; i++) free(scores[i]);
  free(a);
  free(b);
  hem__metric_free(m);
}
END_TEST

HEM_TESTS("score_all", scores_are_those_of_the_definition, nobody_and_nothing_is_fine,
          the_same_bits_on_any_number_of_threads)
