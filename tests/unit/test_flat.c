/* The exact scan against a full sort. Values are small whole numbers: keys have no error and ties are many. */
#include <string.h>

#include "index/flat.h"
#include "test.h"

enum { ROWS = 1000, DIM = 6 };

static const hem_distance all[] = {HEM_L2, HEM_L1, HEM_COSINE, HEM_IP};

typedef struct near {
  long key;
  uint32_t row;
} near;

static int by_key_then_row(const void *a, const void *b) {
  const near *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->row < y->row ? -1 : 1;
}

static void fill(uint64_t *state, float *out, size_t count, size_t span) {
  for (size_t i = 0; i < count; i++) out[i] = (float)(hem__test_random(state) % span) - (float)(span / 2);
}

static void sort_all(hem_distance distance, const float *rows, size_t count, const float *query, near *out) {
  for (size_t i = 0; i < count; i++) {
    out[i] = (near){.row = (uint32_t)i};
    for (size_t j = 0; j < DIM; j++) {
      long a = (long)query[j], b = (long)rows[i * DIM + j];
      out[i].key += distance == HEM_L2 ? (a - b) * (a - b) : distance == HEM_L1 ? labs(a - b) : -a * b;
    }
  }
  qsort(out, count, sizeof *out, by_key_then_row);
}

/* Also that nothing behind min(k, rows) places is written. */
static void check(hem_distance distance, const float *rows, size_t count, const float *query, size_t k) {
  static near want[ROWS];
  static hem__near found[ROWS + 2];
  hem__vectors vectors = {.at = rows, .rows = count, .dim = DIM};
  size_t places = k < count ? k : count;
  sort_all(distance, rows, count, query, want);
  found[places] = (hem__near){.key = 99, .row = 99};
  ck_assert_uint_eq(hem__flat_search(distance, &vectors, query, k, found), places);
  for (size_t i = 0; i < places; i++)
    ck_assert_msg(found[i].row == want[i].row && found[i].key == (float)want[i].key,
                  "%s, %zu rows, k %zu, place %zu: row %u at %g instead of row %u at %ld", hem_distance_name(distance),
                  count, k, i, found[i].row, (double)found[i].key, want[i].row, want[i].key);
  ck_assert_msg(found[places].row == 99, "wrote behind its %zu places", places);
}

/* Of every third row, given in no order: the same ones that a sort of all would name, without the others. */
static void check_picked(hem_distance distance, const float *rows, size_t count, const float *query, size_t k) {
  static near want[ROWS];
  static hem__near found[ROWS + 2];
  static uint32_t picked[ROWS];
  size_t picks = 0, place = 0;
  for (size_t i = count; i-- > 0;)
    if (i % 3 == 1) picked[picks++] = (uint32_t)i;
  sort_all(distance, rows, count, query, want);
  size_t places = k < picks ? k : picks;
  found[places] = (hem__near){.key = 99, .row = 99};
  hem__vectors vectors = {.at = rows, .rows = count, .dim = DIM};
  ck_assert_uint_eq(hem__flat_pick(distance, &vectors, query, &(hem__picked){picked, picks}, k, found), places);
  for (size_t i = 0; i < count && place < places; i++) {
    if (want[i].row % 3 != 1) continue;
    if (found[place].row != want[i].row || found[place].key != (float)want[i].key)
      ck_abort_msg("%zu rows, k %zu, place %zu: row %u", count, k, place, found[place].row);
    place++;
  }
  ck_assert_uint_eq(place, places);
  ck_assert_msg(found[places].row == 99, "wrote behind its %zu places", places);
}

START_TEST(the_nearest_come_in_order) {
  static const size_t counts[] = {1, 2, 127, 128, 129, 255, 257, ROWS};
  static float rows[ROWS * DIM];
  float query[DIM];
  uint64_t state = 1;
  for (size_t span = 1; span <= 9; span += 2) /* 1: all equal, nothing but ties */
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      size_t n = counts[c], ks[] = {0, 1, 2, 10, n / 2, n - 1, n, n + 1, 10 * n};
      fill(&state, rows, n * DIM, span);
      fill(&state, query, DIM, span);
      for (size_t d = 0; d < 4; d++)
        for (size_t k = 0; k < sizeof ks / sizeof *ks; k++) {
          check(all[d], rows, n, query, ks[k]);
          check_picked(all[d], rows, n, query, ks[k]);
        }
    }
}
END_TEST

START_TEST(worst_orders_come_out_right) {
  static float ascending[ROWS * DIM], descending[ROWS * DIM];
  float query[DIM] = {0};
  for (size_t i = 0; i < ROWS; i++) {
    ascending[i * DIM] = (float)i;
    descending[i * DIM] = (float)(ROWS - i);
  }
  for (size_t k = 1; k <= ROWS; k += 111) {
    check(HEM_L2, ascending, ROWS, query, k);
    check(HEM_L2, descending, ROWS, query, k);
  }
}
END_TEST

START_TEST(no_rows_give_no_answer) {
  float query[DIM] = {0};
  hem__near untouched = {.key = 5, .row = 5};
  ck_assert_uint_eq(hem__flat_search(HEM_L2, &(hem__vectors){.dim = DIM}, query, 10, &untouched), 0);
  ck_assert_uint_eq(untouched.row, 5);
}
END_TEST

HEM_TESTS("flat", the_nearest_come_in_order, worst_orders_come_out_right, no_rows_give_no_answer)
