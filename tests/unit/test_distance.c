/* Distances against double precision, on each path that the processor can choose. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "metric/distance_kernel.h"
#include "test.h"

enum { DIM_MAX = 2048, ROWS = 5 };
static const hem_distance all[] = {HEM_L2, HEM_L1, HEM_COSINE, HEM_IP};

static void keys_by(const hem__keys_path *path, hem_distance distance, const float *query, const float *rows,
                    size_t count, size_t dim, float *keys) {
  hem__some s = {.distance = distance,
                 .query = query,
                 .vectors = {.at = rows, .rows = count, .dim = dim},
                 .count = count,
                 .limit = INFINITY};
  if (path) {
    path->some(&s, keys);
  } else {
    hem__keys(distance, query, rows, count, dim, keys); /* the one that is chosen */
  }
}

/* ---- the oracle ---- */

/* The key in double precision; *scale gets the sum of its terms' sizes, which is what rounding is relative to. */
static double key_of(hem_distance distance, const float *a, const float *b, size_t dim, double *scale) {
  double key = 0;
  *scale = 0;
  for (size_t i = 0; i < dim; i++) {
    double x = a[i], y = b[i];
    double term = distance == HEM_L2 ? (x - y) * (x - y) : distance == HEM_L1 ? fabs(x - y) : -x * y;
    key += term;
    *scale += fabs(term);
  }
  return key;
}

/* The header's bound, relative to the sizes of the terms; a term too small for a normal float may be lost. */
static void check_keys(const hem__keys_path *path, const float *query, const float *rows, size_t count, size_t dim) {
  float keys[ROWS + 1];
  for (size_t d = 0; d < 4; d++) {
    keys[count] = 12345;
    keys_by(path, all[d], query, rows, count, dim, keys);
    ck_assert_msg(keys[count] == 12345, "wrote behind its %zu keys", count);
    for (size_t i = 0; i < count; i++) {
      double scale, want = key_of(all[d], query, rows + i * dim, dim, &scale);
      double bound = scale * (double)(dim + 2) * 6e-8 + (double)dim * (double)FLT_MIN;
      ck_assert_msg(fabs((double)keys[i] - want) <= bound, "%s, dim %zu, row %zu: %.9g instead of %.17g, bound %.3g",
                    hem_distance_name(all[d]), dim, i, (double)keys[i], want, bound);
    }
  }
}

typedef enum values { UNIFORM, SIGNED, LARGE, SMALL, MIXED, SPARSE, NEAR, KINDS } values;

static void fill(values kind, uint64_t *state, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    float u = hem__test_uniform(state), sign = hem__test_random(state) & 1 ? 1.0F : -1.0F;
    switch (kind) {
      case UNIFORM:
        out[i] = u;
        break;
      case SIGNED:
        out[i] = sign * u;
        break;
      case LARGE:
        out[i] = sign * u * 1e17F;
        break;
      case SMALL:
        out[i] = sign * u * 1e-17F;
        break;
      case MIXED:
        out[i] = sign * powf(10, 30 * u - 15);
        break;
      case SPARSE:
        out[i] = u < 0.9F ? 0 : sign;
        break;
      default:
        out[i] = 1000 + u * 1e-3F;
        break;
    }
  }
}

static void check_dim(const hem__keys_path *path, size_t dim, uint64_t *state) {
  /* One float off the allocation's alignment. */
  static float room[(ROWS + 1) * DIM_MAX + 1];
  for (values kind = 0; kind < KINDS; kind++)
    for (size_t shift = 0; shift < 2; shift++) {
      float *query = room + shift, *rows = query + dim;
      fill(kind, state, query, (ROWS + 1) * dim);
      memcpy(rows + dim, query, dim * sizeof *query); /* the second row is the query itself */
      check_keys(path, query, rows, ROWS, dim);
    }
}

static void check_all_dims(const hem__keys_path *path) {
  uint64_t state = 1;
  for (size_t dim = 1; dim <= 130; dim++) check_dim(path, dim, &state);
  check_dim(path, 784, &state);
  check_dim(path, 2048, &state);
}

START_TEST(keys_are_right_on_every_path) {
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  size_t count = hem__keys_paths(paths);
  ck_assert_uint_ge(count, 1);
  for (size_t i = 0; i < count; i++) check_all_dims(paths[i]);
  check_all_dims(NULL);
}
END_TEST

START_TEST(keys_are_the_same_bits_every_time) {
  static float query[784], rows[ROWS * 784 + 1];
  uint64_t state = 2;
  fill(SIGNED, &state, query, 784);
  fill(SIGNED, &state, rows + 1, ROWS * 784);
  for (size_t d = 0; d < 4; d++) {
    float together[ROWS], alone;
    hem__keys(all[d], query, rows + 1, ROWS, 784, together);
    memmove(rows, rows + 1, sizeof rows - sizeof *rows);
    for (size_t i = 0; i < ROWS; i++) {
      hem__keys(all[d], query, rows + i * 784, 1, 784, &alone);
      ck_assert_mem_eq(&alone, &together[i], sizeof alone);
    }
    memmove(rows + 1, rows, sizeof rows - sizeof *rows);
  }
}
END_TEST

/* ---- rows here and there ---- */

enum { MANY = 40 };

/* The bits of hem__keys, but for rows beyond the limit, whose keys are beyond it too. */
static void check_some(const hem__keys_path *path, hem_distance distance, const float *query, hem__matrix vectors) {
  uint32_t rows[MANY];
  float whole[MANY], some[MANY + 1];
  hem__some s = {.distance = distance, .query = query, .vectors = hem__floats(vectors), .rows = rows, .count = MANY};
  keys_by(path, distance, query, vectors.at, MANY, vectors.dim, whole);
  for (uint32_t i = 0; i < MANY; i++) rows[i] = i * 7 % MANY;
  for (int limited = 0; limited < 2; limited++) {
    s.limit = limited ? whole[MANY / 2] : INFINITY;
    some[MANY] = 12345;
    path->some(&s, some);
    ck_assert_msg(some[MANY] == 12345, "wrote behind its keys");
    for (size_t i = 0; i < MANY; i++) {
      bool same = memcmp(&some[i], &whole[rows[i]], sizeof *some) == 0;
      bool beyond = whole[rows[i]] > s.limit && some[i] > s.limit;
      ck_assert_msg(same || beyond, "%s, dim %zu, row %u: %.9g instead of %.9g, limit %.9g",
                    hem_distance_name(distance), vectors.dim, rows[i], (double)some[i], (double)whole[rows[i]],
                    (double)s.limit);
    }
  }
}

START_TEST(keys_of_some_rows_are_the_same_bits) {
  static float query[DIM_MAX], matrix[MANY * DIM_MAX];
  static const size_t dims[] = {1, 7, 8, 9, 31, 32, 33, 127, 128, 129, 160, 784, 2048};
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  uint64_t state = 5;
  for (size_t p = 0, count = hem__keys_paths(paths); p < count; p++)
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
      for (values kind = 0; kind < KINDS; kind++) {
        fill(kind, &state, query, dims[i]);
        fill(kind, &state, matrix, MANY * dims[i]);
        hem__matrix vectors = {.at = matrix, .rows = MANY, .dim = dims[i]};
        for (size_t d = 0; d < 4; d++) check_some(paths[p], all[d], query, vectors);
      }
}
END_TEST

/* The limit is there to save time: far rows are given up before their end. */
START_TEST(far_rows_are_not_read_to_their_end) {
  enum { LONG = 1024 };
  static float query[LONG], row[LONG];
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  float key;
  for (size_t i = 0; i < LONG; i++) row[i] = 1;
  for (size_t p = 0, count = hem__keys_paths(paths); p < count; p++)
    for (size_t d = 0; d < 2; d++) { /* l2, l1 */
      hem__some s = {.distance = all[d],
                     .query = query,
                     .vectors = {.at = row, .rows = 1, .dim = LONG},
                     .rows = (uint32_t[]){0},
                     .count = 1,
                     .limit = 10};
      paths[p]->some(&s, &key);
      ck_assert(key > 10 && key < LONG);
    }
}
END_TEST

/* ---- bytes ---- */

START_TEST(bytes_are_found_where_they_are_the_same_floats) {
  float v[512];
  uint8_t bytes[256];
  for (size_t i = 0; i < 256; i++) v[i] = (float)i;
  ck_assert(hem__divisor_of(v, 256) == 1);
  for (size_t i = 0; i < 256; i++) v[i] = (float)i / 255;
  ck_assert(hem__divisor_of(v, 256) == 255);
  hem__to_bytes(v, 256, 255, bytes);
  for (size_t i = 0; i < 256; i++) ck_assert_uint_eq(bytes[i], i);
  ck_assert(hem__divisor_of(v, 0) == 1);
  static const float others[] = {-1, 256, 0.5F, 1e30F, -1e-30F, 1.0F / 256, 1e-10F};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    v[100] = others[i];
    ck_assert_msg(hem__divisor_of(v, 256) == 0, "%g", (double)others[i]);
  }
  v[100] = nextafterf(100.0F / 255, 1);
  ck_assert(hem__divisor_of(v, 256) == 0);
}
END_TEST

/* Rows of bytes give the bits that their floats give: on every path, for every byte, in order and not. */
START_TEST(keys_of_bytes_are_those_of_their_floats) {
  static uint8_t bytes[MANY * DIM_MAX];
  static float floats[MANY * DIM_MAX], query[DIM_MAX];
  static const size_t dims[] = {1, 7, 8, 9, 31, 32, 33, 129, 256, 784, 2048};
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  uint64_t state = 9;
  uint32_t rows[MANY];
  for (uint32_t i = 0; i < MANY; i++) rows[i] = i * 7 % MANY;
  for (size_t n = 0; n < 2 * sizeof dims / sizeof *dims; n++) {
    size_t dim = dims[n / 2];
    hem__vectors v = {.bytes = bytes, .divisor = n % 2 ? 255 : 1, .rows = MANY, .dim = dim}, same = v;
    for (size_t i = 0; i < MANY * dim; i++) {
      bytes[i] = (uint8_t)(i * 37 + i / 256);
      floats[i] = (float)bytes[i] / v.divisor;
    }
    same.at = floats;
    fill(UNIFORM, &state, query, dim);
    hem__copy_row(&v, 5, query); /* one is met exactly */
    for (size_t p = 0, count = hem__keys_paths(paths); p < count; p++)
      for (size_t d = 0; d < 4; d++)
        for (int picked = 0; picked < 2; picked++) {
          float of_bytes[MANY], of_floats[MANY];
          hem__some s = {.distance = all[d], .query = query, .vectors = v, .count = MANY, .limit = INFINITY};
          if (picked) s.rows = rows;
          paths[p]->some(&s, of_bytes);
          s.vectors = same;
          paths[p]->some(&s, of_floats);
          ck_assert_mem_eq(of_bytes, of_floats, sizeof of_bytes);
        }
  }
}
END_TEST

START_TEST(rows_can_begin_anywhere) {
  static float query[9], rows[MANY * 9];
  uint64_t state = 10;
  float whole[MANY], part[2];
  fill(SIGNED, &state, query, 9);
  fill(SIGNED, &state, rows, MANY * 9);
  hem__keys(HEM_L2, query, rows, MANY, 9, whole);
  for (size_t i = 0; i + 2 <= MANY; i++) {
    hem__some s = {.distance = HEM_L2,
                   .query = query,
                   .vectors = {.at = rows, .rows = MANY, .dim = 9},
                   .first = i,
                   .count = 2,
                   .limit = INFINITY};
    hem__keys_some(&s, part);
    ck_assert_mem_eq(part, whole + i, sizeof part);
  }
}
END_TEST

/* ---- projections ---- */

/* Against the matrix in double precision; the bound is that of the header, and that of a query in 16 bits. */
static void check_projection(size_t in, size_t out, float scale, uint64_t *state) {
  static float matrix[64 * DIM_MAX * 2 + 1], shift[64], query[2 * DIM_MAX], centre[2 * DIM_MAX], got[64], again[64];
  static int16_t whole[2 * DIM_MAX];
  hem__projection p;
  fill(SIGNED, state, matrix, in * out);
  fill(SIGNED, state, shift, out);
  fill(SIGNED, state, query, in);
  double most = 0;
  for (size_t i = 0; i < in; i++) {
    query[i] *= scale;
    most = fmax(most, fabs((double)query[i]));
    centre[i] = 1000 * scale; /* a cloud far from the origin: what is left of a query counts */
    query[i] += centre[i];
  }
  ck_ok(hem__projection_new(matrix, shift, centre, in, out, &p, err));
  hem__project(&p, query, whole, got);
  for (size_t o = 0; o < out; o++) {
    double want = shift[o], sizes = 0;
    for (size_t i = 0; i < in; i++) {
      want += (double)matrix[o * in + i] * (double)query[i];
      double rest = fabs((double)query[i] - (double)centre[i]);
      sizes += (rest + fabs((double)matrix[o * in + i]) * most) / hem__projection_range(in) + 1e-7 * fabs(want);
    }
    ck_assert_msg(fabs((double)got[o] - want) <= sizes + 1e-5, "%zu to %zu, row %zu: %g instead of %g", in, out, o,
                  (double)got[o], want);
  }
  hem__project(&p, query, whole, again);
  ck_assert_mem_eq(got, again, out * sizeof *got);
  hem__projection_clear(&p);
}

START_TEST(projections_are_right) {
  static const size_t dims[] = {1, 2, 15, 16, 17, 100, 784, 2048, 4096};
  uint64_t state = 11;
  for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
    for (size_t out = 1; out <= 64; out = 2 * out + 1) {
      check_projection(dims[i], out, 1, &state);
      check_projection(dims[i], out, 1e-6F, &state);
      check_projection(dims[i], out, 1e6F, &state);
    }
}
END_TEST

/* Whole numbers on every path, also where every product is as large as it can be. */
START_TEST(projections_are_the_same_on_every_path) {
  static int16_t axes[3 * 4100];
  static int16_t query[4100];
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  size_t count = hem__keys_paths(paths);
  uint64_t state = 12;
  for (size_t in = 1; in <= 4100; in = in * 3 + 1)
    for (int largest = 0; largest < 2; largest++) {
      int16_t range = hem__projection_range(in);
      ck_assert_int_ge(range, 2000);
      for (size_t i = 0; i < 3 * in; i++)
        axes[i] = (int16_t)(largest ? -range : (int)(hem__test_random(&state) % 2000) - 1000);
      for (size_t i = 0; i < in; i++) query[i] = (int16_t)(largest ? range : (int)(i % 2000));
      hem__projection p = {.axes = axes, .in = in, .out = 3};
      int64_t want[3] = {0}, got[4] = {0, 0, 0, 7};
      for (size_t i = 0; i < 3 * in; i++) want[i / in] += axes[i] * query[i % in];
      for (size_t j = 0; j < count; j++) {
        paths[j]->project(&p, query, got);
        ck_assert_mem_eq(got, want, sizeof want);
        ck_assert_int_eq(got[3], 7);
      }
    }
}
END_TEST

START_TEST(a_projection_of_nothing_is_its_shift) {
  const float matrix[4] = {0, 0, 1, 2}, shift[2] = {3, 4}, centre[2] = {0, 0};
  float query[2] = {5, 6}, out[2];
  int16_t whole[2];
  hem__projection p;
  ck_ok(hem__projection_new(matrix, shift, centre, 2, 2, &p, err));
  hem__project(&p, query, whole, out);
  ck_assert(out[0] == 3 && fabsf(out[1] - 21) < 0.05F);
  memset(query, 0, sizeof query);
  hem__project(&p, query, whole, out);
  ck_assert(out[0] == 3 && out[1] == 4);
  hem__projection_clear(&p);
}
END_TEST

/* ---- codes ---- */

typedef struct codes {
  uint8_t at[MANY * DIM_MAX];
  char trained[2 * DIM_MAX * sizeof(float) + 1]; /* one byte off every alignment */
  float query[DIM_MAX], scale[DIM_MAX], shift[DIM_MAX];
} codes;

static double coded_key_of(const codes *c, hem_distance distance, size_t row, size_t dim, double *scale) {
  double key = 0;
  *scale = 0;
  for (size_t i = 0; i < dim; i++) {
    float low, range;
    memcpy(&low, c->trained + 1 + i * sizeof low, sizeof low);
    memcpy(&range, c->trained + 1 + (dim + i) * sizeof range, sizeof range);
    double value = (double)low + (c->at[row * dim + i] + 0.5) / 255 * (double)range, q = c->query[i];
    key += distance == HEM_L2 ? (value - q) * (value - q) : -value * q;
    double size = fabs((double)low) + fabs((double)range) + fabs(q);
    *scale += distance == HEM_L2 ? size * size : (fabs((double)low) + fabs((double)range)) * fabs(q);
  }
  return key;
}

static void check_coded(const hem__keys_path *path, const codes *c, hem_distance distance, size_t dim, float start) {
  uint32_t rows[MANY];
  float keys[MANY], limited[MANY];
  for (uint32_t i = 0; i < MANY; i++) rows[i] = i * 7 % MANY;
  hem__coded asked = {.distance = distance,
                      .scale = c->scale,
                      .shift = c->shift,
                      .start = start,
                      .codes = c->at,
                      .dim = dim,
                      .rows = rows,
                      .count = MANY,
                      .limit = INFINITY};
  path->coded(&asked, keys);
  asked.limit = keys[3];
  path->coded(&asked, limited);
  for (size_t i = 0; i < MANY; i++) {
    double scale, want = coded_key_of(c, distance, rows[i], dim, &scale), bound = scale * (double)(dim + 8) * 6e-8;
    ck_assert_msg(fabs((double)keys[i] - want) <= bound, "%s, dim %zu, row %u: %.9g instead of %.17g, bound %.3g",
                  hem_distance_name(distance), dim, rows[i], (double)keys[i], want, bound);
    ck_assert(limited[i] == keys[i] || (limited[i] > asked.limit && keys[i] > asked.limit));
  }
}

START_TEST(keys_of_codes_are_those_of_the_middles_of_steps) {
  static codes c;
  static const size_t dims[] = {1, 7, 8, 9, 31, 32, 33, 129, 784, 2048};
  const hem__keys_path *paths[HEM__KEYS_PATHS];
  uint64_t state = 6;
  for (size_t n = 0; n < sizeof dims / sizeof *dims; n++) {
    size_t dim = dims[n];
    float trained[2];
    for (size_t i = 0; i < MANY * dim; i++) c.at[i] = (uint8_t)hem__test_random(&state);
    fill(SIGNED, &state, c.query, dim);
    for (size_t i = 0; i < 2 * dim; i++) { /* lows, then ranges; some have none */
      trained[0] = 2 * hem__test_uniform(&state) - 1;
      trained[1] = i % 5 ? hem__test_uniform(&state) : 0;
      memcpy(c.trained + 1 + i * sizeof(float), &trained[i >= dim], sizeof(float));
    }
    for (size_t d = 0; d < 4; d++) {
      if (all[d] == HEM_L1) continue;
      float start = hem__coded_query(all[d], c.query, c.trained + 1, dim, c.scale, c.shift);
      for (size_t p = 0, count = hem__keys_paths(paths); p < count; p++) check_coded(paths[p], &c, all[d], dim, start);
    }
  }
}
END_TEST

START_TEST(a_vector_is_nearest_to_itself) {
  float v[100], key;
  uint64_t state = 3;
  for (values kind = 0; kind < KINDS; kind++) {
    fill(kind, &state, v, 100);
    hem__keys(HEM_L2, v, v, 1, 100, &key);
    ck_assert(key == 0);
    hem__keys(HEM_L1, v, v, 1, 100, &key);
    ck_assert(key == 0);
  }
}
END_TEST

START_TEST(the_largest_values_have_finite_distances) {
  static float a[DIM_MAX], b[DIM_MAX];
  for (size_t i = 0; i < DIM_MAX; i++) {
    a[i] = i % 2 ? 1e15F : -1e15F;
    b[i] = i % 3 ? -1e15F : 1e15F;
  }
  check_keys(NULL, a, b, 1, DIM_MAX);
  check_keys(NULL, a, a, 1, DIM_MAX);
}
END_TEST

START_TEST(no_rows_write_no_keys) {
  float query[4] = {1, 2, 3, 4}, key = 7;
  for (size_t d = 0; d < 4; d++) hem__keys(all[d], query, query, 0, 4, &key);
  ck_assert(key == 7);
}
END_TEST

START_TEST(a_key_becomes_the_distance_users_see) {
  ck_assert(hem__key_distance(HEM_L2, 9) == 3);
  ck_assert(hem__key_distance(HEM_L2, -1e-9F) == 0); /* rounding must not make a NaN */
  ck_assert(hem__key_distance(HEM_L1, 9) == 9);
  ck_assert(hem__key_distance(HEM_IP, -9) == -9);
  ck_assert(hem__key_distance(HEM_COSINE, -1) == 0);
  ck_assert(hem__key_distance(HEM_COSINE, -1.0000001F) == 0);
  ck_assert(hem__key_distance(HEM_COSINE, 0) == 1);
  ck_assert(hem__key_distance(HEM_COSINE, 1) == 2);
}
END_TEST

/* ---- normalising, finiteness, names ---- */

static double norm_of(const float *v, size_t dim) {
  double square = 0;
  for (size_t i = 0; i < dim; i++) square += (double)v[i] * (double)v[i];
  return sqrt(square);
}

START_TEST(normalising_makes_unit_vectors) {
  static const float scales[] = {1, 1e-6F, 1e6F, 1e-15F, 1e15F, 1e-25F, 1e-30F};
  float in[77], out[77];
  uint64_t state = 4;
  for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
    fill(SIGNED, &state, in, 77);
    for (size_t i = 0; i < 77; i++) in[i] *= scales[s];
    hem__normalise(in, 77, out);
    double norm = norm_of(in, 77);
    for (size_t i = 0; i < 77; i++)
      ck_assert_msg(fabs((double)out[i] - (double)in[i] / norm) < 1e-6, "scale %g: %g instead of %g", (double)scales[s],
                    (double)out[i], (double)in[i] / norm);
    hem__normalise(in, 77, in);
    ck_assert_mem_eq(in, out, sizeof in);
  }
}
END_TEST

START_TEST(a_zero_vector_stays_zero) {
  float zero[9] = {0}, out[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  hem__normalise(zero, 9, out);
  ck_assert_mem_eq(out, zero, sizeof zero);
}
END_TEST

START_TEST(what_makes_no_distance_is_seen_anywhere) {
  static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, FLT_MAX, 1.001e15F, -1.001e15F};
  float v[67];
  for (size_t i = 0; i < 67; i++) v[i] = i % 3 == 0 ? 1e15F : i % 3 == 1 ? -1e15F : -FLT_TRUE_MIN;
  ck_assert(hem__all_finite(v, 67));
  ck_assert(hem__all_finite(v, 0));
  for (size_t i = 0; i < 67; i++)
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
      float before = v[i];
      v[i] = bad[b];
      ck_assert_msg(!hem__all_finite(v, 67), "%g at %zu was not seen", (double)bad[b], i);
      ck_assert(hem__all_finite(v, i));
      v[i] = before;
    }
}
END_TEST

START_TEST(names_go_both_ways) {
  static const char *const names[] = {"l2", "l1", "cosine", "ip"};
  for (size_t d = 0; d < 4; d++) {
    hem_distance parsed = HEM_L2;
    ck_ok(hem_distance_parse(names[d], &parsed, err));
    ck_assert_int_eq(parsed, all[d]);
    ck_assert_str_eq(hem_distance_name(all[d]), names[d]);
  }
  ck_assert_str_eq(hem_distance_name((hem_distance)4), "unknown");
  ck_assert_str_eq(hem_distance_name((hem_distance)-1), "unknown");
}
END_TEST

START_TEST(an_unknown_name_is_refused_with_the_list) {
  static const char *const bad[] = {"", "L2", "l2 ", "euclidean", "cos", "l"};
  hem_distance untouched = HEM_IP;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_fails(hem_distance_parse(bad[i], &untouched, err), HEM_EINVAL, "l2, l1, cosine and ip");
    ck_assert_int_eq(untouched, HEM_IP);
  }
}
END_TEST

HEM_TESTS("distance", keys_are_right_on_every_path, keys_are_the_same_bits_every_time, a_vector_is_nearest_to_itself,
          the_largest_values_have_finite_distances, no_rows_write_no_keys, a_key_becomes_the_distance_users_see,
          keys_of_some_rows_are_the_same_bits, bytes_are_found_where_they_are_the_same_floats,
          keys_of_bytes_are_those_of_their_floats, rows_can_begin_anywhere, projections_are_right,
          projections_are_the_same_on_every_path, a_projection_of_nothing_is_its_shift,
          far_rows_are_not_read_to_their_end, keys_of_codes_are_those_of_the_middles_of_steps,
          normalising_makes_unit_vectors, a_zero_vector_stays_zero, what_makes_no_distance_is_seen_anywhere,
          names_go_both_ways, an_unknown_name_is_refused_with_the_list)
