/* Reading a graph: every field that is wrong is refused; and what a search keeps between two of them. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "support/make_catalog.h"
#include "support/make_graph.h"

enum { ROWS = 300, DIM = 6, EF = 20, K = 10, LINKS = 4 };

/* Where FAISS writes what, in a graph of HNSW4 of ROWS vectors; the number of levels is read. */
typedef struct layout {
  size_t dim, rows, metric, first, levels, offsets, neighbours, entry, top, beam, storage;
  size_t level_count, slots;
} layout;

static float values[ROWS * DIM];
static const hem__matrix vectors = {.at = values, .rows = ROWS, .dim = DIM};

static uint64_t number_at(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static layout lay_out(const hem__map *file) {
  layout l = {.dim = 4, .rows = 8, .metric = 33};
  size_t at = 37;
  at += 8 + 8 * number_at(file->at + at); /* how likely each level was */
  l.level_count = number_at(file->at + at) - 1;
  l.first = at + 8;
  l.levels = l.first + 4 * (l.level_count + 1) + 8;
  l.offsets = l.levels + 4 * ROWS + 8;
  l.neighbours = l.offsets + 8 * (ROWS + 1) + 8;
  l.slots = number_at(file->at + l.neighbours - 8);
  l.entry = l.neighbours + 4 * l.slots;
  l.top = l.entry + 4;
  l.beam = l.top + 12;
  l.storage = l.beam + 4;
  return l;
}

static void make(const char *factory, hem_distance distance, hem__made_graph *made) {
  uint64_t state = 1;
  int held = hem__omp_hold();
  for (size_t i = 0; i < ROWS * DIM; i++) values[i] = hem__test_normal(&state);
  hem__make_graph(factory, distance, vectors, EF, made);
  hem__omp_release(held);
}

static hem_status read_bytes(const uint8_t *bytes, size_t size, hem_distance distance, hem__matrix of, hem__graph *out,
                             hem_error *err) {
  hem__graph_source source = {.bytes = bytes,
                              .size = size,
                              .name = "c0000.faiss",
                              .distance = distance,
                              .vectors = hem__floats(of),
                              .ef_search = EF};
  return hem__graph_read(&source, out, err);
}

static void refuse(const uint8_t *bytes, size_t size, hem_distance distance, hem__matrix of) {
  hem__graph untouched = {.slots = 7};
  ck_fails(read_bytes(bytes, size, distance, of, &untouched, err), HEM_ECORRUPT, "c0000.faiss is not a graph of");
  ck_assert_uint_eq(untouched.slots, 7);
}

/* With other bytes in one place, at whatever address the file lies. */
static void refuse_with(const hem__map *file, size_t at, const void *bytes, size_t count) {
  uint8_t *copy = malloc(file->size);
  memcpy(copy, file->at, file->size);
  ck_assert_uint_le(at + count, file->size);
  ck_assert_msg(memcmp(copy + at, bytes, count) != 0, "nothing was changed at %zu", at);
  memcpy(copy + at, bytes, count);
  refuse(copy, file->size, HEM_L2, vectors);
  free(copy);
}

static void refuse_int(const hem__map *file, size_t at, int32_t value) { refuse_with(file, at, &value, sizeof value); }
static void refuse_long(const hem__map *file, size_t at, uint64_t value) {
  refuse_with(file, at, &value, sizeof value);
}

START_TEST(what_faiss_wrote_is_read_at_any_address) {
  hem__made_graph made;
  make("HNSW4", HEM_L2, &made);
  layout l = lay_out(&made.file);
  ck_assert_uint_eq(made.graph.used, l.storage);
  ck_assert_uint_eq(made.graph.slots, l.slots);
  ck_assert_uint_eq(made.graph.first[1], 2 * LINKS);
  ck_assert_uint_eq(made.graph.ef_search, EF);
  uint8_t *room = malloc(made.file.size + 8);
  for (size_t shift = 0; shift < 8; shift++) {
    hem__graph g;
    hem__graph_scratch s[2] = {0};
    memcpy(room + shift, made.file.at, made.file.size);
    ck_ok(read_bytes(room + shift, made.file.size, HEM_L2, vectors, &g, err));
    ck_ok(hem__graph_reserve(&g, K, &s[0], err));
    ck_ok(hem__graph_reserve(&made.graph, K, &s[1], err));
    ck_assert_uint_eq(hem__graph_search(&g, values, K, &s[0]), K);
    ck_assert_uint_eq(hem__graph_search(&made.graph, values, K, &s[1]), K);
    ck_assert_mem_eq(s[0].pool, s[1].pool, K * sizeof *s[0].pool);
    ck_assert(s[0].pool[0].row == 0 && s[0].pool[0].key == 0);
    hem__graph_scratch_clear(&s[0]);
    hem__graph_scratch_clear(&s[1]);
  }
  free(room);
  hem__made_graph_clear(&made);
}
END_TEST

START_TEST(ef_may_come_from_the_file) {
  hem__made_graph made;
  hem__graph g;
  make("HNSW4", HEM_L2, &made);
  hem__graph_source source = {.bytes = made.file.at,
                              .size = made.file.size,
                              .name = "c0000.faiss",
                              .distance = HEM_L2,
                              .vectors = hem__floats(vectors)};
  ck_ok(hem__graph_read(&source, &g, err));
  ck_assert_uint_eq(g.ef_search, EF);
  hem__made_graph_clear(&made);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused) {
  static const char *const factories[] = {"HNSW4", "HNSW4_SQ8", "PCA3,HNSW4_SQ8"};
  for (size_t i = 0; i < 3; i++) {
    hem__made_graph made;
    make(factories[i], HEM_L2, &made);
    for (size_t size = 0; size < made.file.size; size++) refuse(made.file.at, size, HEM_L2, vectors);
    uint8_t *longer = calloc(made.file.size + 1, 1);
    memcpy(longer, made.file.at, made.file.size);
    refuse(longer, made.file.size + 1, HEM_L2, vectors);
    free(longer);
    hem__made_graph_clear(&made);
  }
}
END_TEST

START_TEST(a_graph_of_other_vectors_is_refused) {
  hem__made_graph made;
  make("HNSW4", HEM_L2, &made);
  hem__matrix fewer = {values, ROWS - 1, DIM}, narrower = {values, ROWS, DIM - 1};
  hem__matrix none = {values, 0, DIM}, all = {values, SIZE_MAX / 2, SIZE_MAX / 2};
  refuse(made.file.at, made.file.size, HEM_L2, fewer);
  refuse(made.file.at, made.file.size, HEM_L2, narrower);
  refuse(made.file.at, made.file.size, HEM_L2, none);
  refuse(made.file.at, made.file.size, HEM_L2, all);
  refuse(made.file.at, made.file.size, HEM_L1, vectors);
  refuse(made.file.at, made.file.size, HEM_IP, vectors);
  layout l = lay_out(&made.file);
  refuse_with(&made.file, 0, "IHNp", 4);
  refuse_with(&made.file, 0, "IHNs", 4);
  refuse_with(&made.file, l.storage, "IxFI", 4);
  refuse_int(&made.file, l.storage + 4, DIM + 1);
  refuse_int(&made.file, l.dim, -DIM);
  refuse_long(&made.file, l.rows, UINT64_MAX);
  hem__made_graph_clear(&made);
}
END_TEST

START_TEST(wrong_levels_and_offsets_are_refused) {
  hem__made_graph made;
  make("HNSW4", HEM_L2, &made);
  const hem__map *file = &made.file;
  layout l = lay_out(file);
  refuse_long(file, l.first - 8, 1);
  refuse_long(file, l.first - 8, UINT64_MAX);
  refuse_int(file, l.first, 1);
  refuse_int(file, l.first + 4, 0);
  refuse_int(file, l.first + 4, -1);
  refuse_int(file, l.first + 4, INT32_MAX);
  refuse_long(file, l.levels - 8, ROWS - 1);
  refuse_int(file, l.levels, 0);
  refuse_int(file, l.levels, -1);
  refuse_int(file, l.levels, (int32_t)l.level_count + 1);
  refuse_long(file, l.offsets - 8, ROWS);
  for (size_t i = 0; i <= ROWS; i++) refuse_long(file, l.offsets + 8 * i, number_at(file->at + l.offsets + 8 * i) + 1);
  refuse_long(file, l.offsets + 8 * ROWS, UINT64_MAX);
  refuse_long(file, l.neighbours - 8, l.slots - 1);
  refuse_long(file, l.neighbours - 8, l.slots + 1);
  refuse_long(file, l.neighbours - 8, UINT64_MAX / 4 + 2); /* times 4: a small number */
  hem__made_graph_clear(&made);
}
END_TEST

START_TEST(wrong_links_are_refused) {
  hem__made_graph made;
  make("HNSW4", HEM_L2, &made);
  const hem__map *file = &made.file;
  layout l = lay_out(file);
  for (size_t i = 0; i < l.slots; i++) {
    refuse_int(file, l.neighbours + 4 * i, ROWS);
    refuse_int(file, l.neighbours + 4 * i, -2);
  }
  /* The entry's own link on level 1, to a row that has level 0 only. */
  size_t entry = made.graph.entry, low = 0;
  while (number_at(file->at + l.offsets + 8 * low + 8) - number_at(file->at + l.offsets + 8 * low) != 2 * LINKS) low++;
  size_t slot = number_at(file->at + l.offsets + 8 * entry) + made.graph.first[1];
  ck_assert_uint_ge(made.graph.top, 1);
  refuse_int(file, l.neighbours + 4 * slot, (int32_t)low);
  refuse_int(file, l.entry, -1);
  refuse_int(file, l.entry, ROWS);
  refuse_int(file, l.entry, (int32_t)low);
  refuse_int(file, l.top, (int32_t)made.graph.top + 1);
  refuse_int(file, l.top, (int32_t)made.graph.top - 1);
  refuse_int(file, l.top, -1);
  refuse_int(file, l.top + 8, 0); /* efSearch */
  refuse_int(file, l.beam, 2);
  hem__made_graph_clear(&made);
}
END_TEST

START_TEST(wrong_codes_are_refused) {
  hem__made_graph made;
  float nan = NAN;
  make("HNSW4_SQ8", HEM_L2, &made);
  ck_assert_uint_eq(made.graph.used, made.file.size);
  size_t kind = made.file.size - ROWS * DIM - 8 - 2 * DIM * 4 - 8 - 28;
  refuse_int(&made.file, kind, 1);       /* four bits */
  refuse_long(&made.file, kind + 12, 1); /* dimensions */
  refuse_long(&made.file, kind + 20, 1); /* bytes of a code */
  refuse_long(&made.file, kind + 28, 1); /* trained values */
  refuse_with(&made.file, kind + 36, &nan, sizeof nan);
  refuse_long(&made.file, made.file.size - ROWS * DIM - 8, 1);
  hem__made_graph_clear(&made);
}
END_TEST

/* Where FAISS writes what of PCA3, before the graph. */
enum { MEAN = 58, AXES = 3 };

START_TEST(wrong_projections_are_refused) {
  hem__made_graph made;
  float nan = NAN;
  make("PCA3,HNSW4_SQ8", HEM_L2, &made);
  ck_assert_uint_eq(made.graph.dim, AXES);
  ck_assert_uint_eq(made.graph.projection.out, AXES);
  ck_assert_uint_eq(made.graph.projection.in, DIM);
  const hem__map *file = &made.file;
  size_t eigenvalues = MEAN + 8 + 4 * DIM, trained = eigenvalues + 8 + 4 * DIM, bias = trained + 8 + 4 * DIM * DIM;
  size_t matrix = bias + 1, shift = matrix + 8 + 4 * AXES * DIM, dims = shift + 8 + 4 * AXES, graph = dims + 9;
  ck_assert_mem_eq(file->at + graph, "IHNs", 4);
  refuse_int(file, 4, DIM - 1);
  refuse_long(file, 8, ROWS - 1);
  refuse_int(file, 33, 0); /* metric */
  refuse_int(file, 37, 2); /* transforms */
  refuse_int(file, 37, 0);
  refuse_with(file, 41, "PcAm", 4);
  refuse_long(file, MEAN, UINT64_MAX / 4 + 2);
  refuse_long(file, MEAN, DIM - 1);
  refuse_with(file, MEAN + 8, &nan, sizeof nan);
  refuse_long(file, eigenvalues, DIM + 1);
  refuse_long(file, matrix, AXES * DIM - 1);
  refuse_with(file, matrix + 8, &nan, sizeof nan);
  refuse_long(file, shift, AXES - 1);
  refuse_with(file, shift + 8, &nan, sizeof nan);
  refuse_int(file, dims, DIM + 1);
  refuse_int(file, dims + 4, 0);
  refuse_int(file, dims + 4, -1);
  refuse_int(file, dims + 4, AXES - 1);
  refuse_int(file, dims + 4, DIM + 1);
  refuse_with(file, graph, "IHNf", 4);
  refuse_int(file, graph + 4, DIM);
  hem__made_graph_clear(&made);
}
END_TEST

/* Rounds are counted in a byte; a scratch serves graphs of all sizes. */
START_TEST(a_scratch_lasts) {
  enum { TIMES = 1000, FEW = 40 };
  hem__made_graph made, small, coded, projected;
  hem__graph_scratch s = {0}, fresh = {0};
  make("HNSW4", HEM_L2, &made);
  make("HNSW4_SQ8", HEM_L2, &coded);
  make("PCA3,HNSW4_SQ8", HEM_L2, &projected);
  int held = hem__omp_hold();
  hem__make_graph("HNSW4", HEM_L2, (hem__matrix){values, FEW, DIM}, EF, &small);
  hem__omp_release(held);
  const hem__graph *graphs[] = {&small.graph, &made.graph, &coded.graph, &projected.graph};
  for (size_t i = 0; i < TIMES; i++) {
    const hem__graph *g = graphs[i % 4];
    const float *query = values + i % FEW * DIM;
    hem__graph_scratch_clear(&fresh);
    ck_ok(hem__graph_reserve(g, K, &s, err));
    ck_ok(hem__graph_reserve(g, K, &fresh, err));
    size_t found = hem__graph_search(g, query, K, &s);
    ck_assert_uint_eq(found, hem__graph_search(g, query, K, &fresh));
    ck_assert_mem_eq(s.pool, fresh.pool, found * sizeof *s.pool);
  }
  hem__graph_scratch_clear(&s);
  hem__graph_scratch_clear(&fresh);
  hem__made_graph_clear(&made);
  hem__made_graph_clear(&small);
  hem__made_graph_clear(&coded);
  hem__made_graph_clear(&projected);
}
END_TEST

/* A round's number comes back after 128 searches: what was met under it must be forgotten, also where no search has
 * been in between. */
START_TEST(what_was_met_long_ago_is_forgotten) {
  enum { MANY = 1500, PERIOD = 128 };
  static float spread[MANY * DIM];
  hem__made_graph made;
  hem__graph_scratch s = {0}, fresh = {0};
  uint64_t state = 3;
  for (size_t i = 0; i < MANY * DIM; i++) spread[i] = hem__test_normal(&state) + (i < MANY * DIM / 2 ? 0 : 4);
  int held = hem__omp_hold();
  hem__make_graph("HNSW4", HEM_L2, (hem__matrix){spread, MANY, DIM}, EF, &made);
  hem__omp_release(held);
  ck_ok(hem__graph_reserve(&made.graph, K, &s, err));
  for (size_t i = 0; i <= 3 * PERIOD; i++) {
    const float *query = i % PERIOD ? spread : spread + (MANY - 1) * DIM;
    hem__graph_scratch_clear(&fresh);
    ck_ok(hem__graph_reserve(&made.graph, K, &fresh, err));
    size_t found = hem__graph_search(&made.graph, query, K, &s);
    ck_assert_uint_eq(found, hem__graph_search(&made.graph, query, K, &fresh));
    ck_assert_mem_eq(s.pool, fresh.pool, found * sizeof *s.pool);
  }
  hem__graph_scratch_clear(&s);
  hem__graph_scratch_clear(&fresh);
  hem__made_graph_clear(&made);
}
END_TEST

/* More than there are; each row once. */
START_TEST(all_rows_are_found_where_links_lead_to_them) {
  hem__made_graph made;
  hem__graph_scratch s = {0};
  bool there[ROWS] = {false};
  make("HNSW16", HEM_L2, &made);
  made.graph.ef_search = 10 * ROWS;
  ck_ok(hem__graph_reserve(&made.graph, 2 * ROWS, &s, err));
  ck_assert_uint_eq(hem__graph_search(&made.graph, values, 2 * ROWS, &s), ROWS);
  for (size_t i = 0; i < ROWS; i++) {
    ck_assert_uint_lt(s.pool[i].row, ROWS);
    ck_assert(!there[s.pool[i].row]);
    there[s.pool[i].row] = true;
  }
  hem__graph_scratch_clear(&s);
  hem__made_graph_clear(&made);
}
END_TEST

HEM_TESTS("graph", what_faiss_wrote_is_read_at_any_address, ef_may_come_from_the_file, a_file_cut_anywhere_is_refused,
          a_graph_of_other_vectors_is_refused, wrong_levels_and_offsets_are_refused, wrong_links_are_refused,
          wrong_codes_are_refused, wrong_projections_are_refused, a_scratch_lasts, what_was_met_long_ago_is_forgotten,
          all_rows_are_found_where_links_lead_to_them)
