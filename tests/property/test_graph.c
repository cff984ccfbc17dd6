/* Our search of a graph against FAISS's search of the same graph: the same rows, and never worse ones. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "support/make_catalog.h"
#include "support/make_graph.h"

enum { PHOTOS = 1500, QUERIES = 100, K_MAX = 200 };

typedef struct tally {
  size_t asked, same;
  size_t farther;          /* queries some of whose rows are farther than FAISS's */
  size_t held, faiss_held; /* rows that are as near as the k-th nearest of all */
} tally;

typedef enum shape { NORMAL, CLUSTERED, CROWDED, SHAPES } shape;
static const char *const shapes[] = {"normal", "clustered", "crowded"};

/* Crowded: whole numbers, of which many are equal. */
static float *make_vectors(shape kind, hem_distance distance, size_t dim, uint64_t state) {
  float *v = NULL;
  ck_ok(hem__alloc((PHOTOS + QUERIES) * dim, sizeof *v, "vectors", &v, err));
  for (size_t i = 0; i < PHOTOS + QUERIES; i++) {
    float *row = v + i * dim;
    size_t cluster = hem__test_random(&state) % 30;
    for (size_t j = 0; j < dim; j++) {
      float noise = hem__test_normal(&state);
      row[j] = kind == NORMAL      ? noise
               : kind == CLUSTERED ? (float)((cluster * 37 + j * 11) % 17) + 0.3F * noise
                                   : roundf(0.6F * noise);
    }
    if (distance == HEM_COSINE) hem__normalise(row, dim, row);
  }
  return v;
}

static size_t count_held(const hem__near *exact, size_t k, const float *keys) {
  float last = exact[k - 1].key, room = 1e-5F * fabsf(last);
  size_t held = 0;
  for (size_t i = 0; i < k; i++) held += keys[i] <= last + room;
  return held;
}

/* One query, both ways. FAISS may stop earlier than its ef says (when a photo that it has followed falls out of its
 * list), so ours may be nearer. It is farther only where two photos are as near but for rounding, or altogether: which
 * of them is followed is chance. */
static void compare(const hem__made_graph *made, const float *query, size_t k, hem__graph_scratch *s, tally *t) {
  static float keys[K_MAX], theirs[K_MAX];
  static int64_t rows[K_MAX];
  static hem__near exact[K_MAX];
  const hem__graph *g = &made->graph;
  ck_ok(hem__faiss_search(made->faiss, query, k, theirs, rows, err));
  ck_ok(hem__graph_reserve(g, k, s, err));
  size_t found = hem__graph_search(g, query, k, s);
  hem__flat_search(g->distance, &g->vectors, query, k, exact);
  bool farther = false;
  ck_assert_uint_le(found, k);
  for (size_t i = 0; i < k; i++) {
    keys[i] = i < found ? s->pool[i].key : INFINITY;
    if (rows[i] < 0) theirs[i] = INFINITY;
    float room = g->codes ? 1e-4F * (1 + fabsf(theirs[i])) : 1e-5F * (1 + fabsf(theirs[i]));
    farther |= !(keys[i] <= theirs[i] + room);
    if (i) ck_assert(i >= found || hem__nearer(s->pool[i - 1], s->pool[i]));
    t->same += i < found ? s->pool[i].row == rows[i] : rows[i] < 0;
  }
  t->farther += farther;
  t->asked += k;
  if (g->codes) return;
  t->held += count_held(exact, k, keys);
  t->faiss_held += count_held(exact, k, theirs);
}

static void check_graph(const char *factory, hem_distance distance, shape kind, size_t dim, uint32_t ef) {
  static const size_t ks[] = {1, 10, 100, K_MAX};
  float *values = make_vectors(kind, distance, dim, 7 * dim + ef);
  hem__matrix vectors = {.at = values, .rows = PHOTOS, .dim = dim};
  hem__made_graph made;
  hem__graph_scratch scratch = {0};
  hem__make_graph(factory, distance, vectors, ef, &made);
  for (size_t i = 0; i < 4; i++) {
    tally t = {0};
    for (size_t q = 0; q < QUERIES; q++) compare(&made, values + (PHOTOS + q) * dim, ks[i], &scratch, &t);
    double same = (double)t.same / (double)t.asked;
    const char *shape_name = shapes[kind];
    bool ties = kind == CROWDED;
    /* Where FAISS stops early the rows are others. */
    if (!ties && ef >= 64)
      ck_assert_msg(same >= 0.95, "%s, %s, %s, k %zu: %.4f are the same", factory, hem_distance_name(distance),
                    shape_name, ks[i], same);
    if (!ties) ck_assert_uint_le(t.farther, QUERIES / 20);
    ck_assert_msg((double)t.held >= (ties ? 0.95 : 0.995) * (double)t.faiss_held,
                  "%s, %s, %s, ef %u, k %zu: %zu held, FAISS %zu", factory, hem_distance_name(distance), shape_name, ef,
                  ks[i], t.held, t.faiss_held);
  }
  hem__graph_scratch_clear(&scratch);
  hem__made_graph_clear(&made);
  free(values);
}

static void check_graphs(const char *factory, hem_distance distance) {
  int held = hem__omp_hold();
  for (shape kind = 0; kind < SHAPES; kind++) {
    check_graph(factory, distance, kind, 20, 64);
    check_graph(factory, distance, kind, 48, 10);
  }
  hem__omp_release(held);
}

START_TEST(plain_graphs_answer_as_faiss_does) {
  static const hem_distance all[] = {HEM_L2, HEM_L1, HEM_COSINE, HEM_IP};
  for (size_t d = 0; d < 4; d++) check_graphs("HNSW16", all[d]);
  check_graphs("HNSW4", HEM_L2); /* with few links a search goes astray more often */
}
END_TEST

START_TEST(graphs_of_codes_answer_as_faiss_does) {
  static const hem_distance coded[] = {HEM_L2, HEM_COSINE, HEM_IP};
  for (size_t d = 0; d < 3; d++) check_graphs("HNSW16_SQ8", coded[d]);
}
END_TEST

/* Ours projects a query in whole numbers, which changes the order of what is about as near. */
static void check_projected(shape kind) {
  enum { FIRST = 10, EF = 64, DIM = 32 };
  float *values = make_vectors(kind, HEM_L2, DIM, kind), keys[FIRST];
  int64_t rows[FIRST];
  hem__made_graph made;
  hem__graph_scratch s = {0};
  size_t same = 0;
  int held = hem__omp_hold();
  hem__make_graph("PCA16,HNSW16_SQ8", HEM_L2, (hem__matrix){values, PHOTOS, DIM}, EF, &made);
  ck_ok(hem__graph_reserve(&made.graph, FIRST, &s, err));
  for (size_t q = 0; q < QUERIES; q++) {
    const float *query = values + (PHOTOS + q) * DIM;
    ck_ok(hem__faiss_search(made.faiss, query, FIRST, keys, rows, err));
    ck_assert_uint_eq(hem__graph_search(&made.graph, query, FIRST, &s), FIRST);
    for (size_t i = 0; i < FIRST; i++) {
      ck_assert_msg(s.pool[i].key <= keys[i] * 1.01F, "%s: %g, FAISS %g", shapes[kind], (double)s.pool[i].key,
                    (double)keys[i]);
      for (size_t j = 0; j < FIRST; j++) same += s.pool[i].row == rows[j];
    }
  }
  ck_assert_msg(same >= QUERIES * FIRST * 98 / 100, "%s: %zu are the same", shapes[kind], same);
  hem__omp_release(held);
  hem__graph_scratch_clear(&s);
  hem__made_graph_clear(&made);
  free(values);
}

START_TEST(projected_graphs_answer_as_faiss_does) {
  check_projected(NORMAL);
  check_projected(CLUSTERED);
}
END_TEST

HEM_TESTS("graph against FAISS", plain_graphs_answer_as_faiss_does, graphs_of_codes_answer_as_faiss_does,
          projected_graphs_answer_as_faiss_does)
