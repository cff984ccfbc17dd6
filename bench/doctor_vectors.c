/* Embeddings that carry nothing, and equal embeddings of photos that differ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/doctor.h"
#include "metric/distance.h"

enum { ROWS = 1024, STEPS = 64 }; /* rows looked at by one thread in one go; such steps between reports */

typedef enum state { GOOD, NOT_FINITE, ZERO, CONSTANT } state;

typedef struct vectors {
  hem__matrix at;
  size_t first;
  uint8_t *states;
  struct mark {
    uint64_t hash;
    size_t row;
  } * marks;
} vectors;

static state state_of(const float *v, size_t dim) {
  if (!hem__all_finite(v, dim)) return NOT_FINITE;
  size_t same = 1;
  while (same < dim && v[same] == v[0]) same++;
  if (same < dim) return GOOD;
  return v[0] == 0 ? ZERO : dim > 1 ? CONSTANT : GOOD;
}

/* FNV-1a over 32-bit words, finished so that the high bits reach the low ones. Equal hashes are compared in full. */
static uint64_t hash_of(const float *v, size_t dim) {
  uint64_t h = 0xCBF29CE484222325U;
  for (size_t i = 0; i < dim; i++) {
    uint32_t bits;
    memcpy(&bits, &v[i], sizeof bits);
    h = (h ^ bits) * 0x100000001B3U;
  }
  return h ^ (h >> 32);
}

static void mark_rows(void *context, size_t i, size_t worker) {
  vectors *x = context;
  size_t first = (x->first + i) * ROWS, end = hem__min(first + ROWS, x->at.rows);
  (void)worker;
  for (size_t row = first; row < end; row++) {
    x->states[row] = (uint8_t)state_of(hem__row(x->at, row), x->at.dim);
    x->marks[row] = (struct mark){.hash = hash_of(hem__row(x->at, row), x->at.dim), .row = row};
  }
}

static int by_hash(const void *a, const void *b) {
  const struct mark *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static bool equal(const vectors *x, size_t a, size_t b) {
  return memcmp(hem__row(x->at, a), hem__row(x->at, b), x->at.dim * sizeof(float)) == 0;
}

/* marks[first..end) have one hash. Those equal to the first of them are a finding unless all are one picture; the
 * rest, which a hash in 2^64 joins by chance, are left. */
static hem_status find_equal(hem__doctor_run *run, const vectors *x, size_t first, size_t end, const char *note,
                             hem_error *err) {
  size_t row = x->marks[first].row;
  bool differ = false;
  for (size_t i = first + 1; i < end && !differ; i++)
    differ = run->alike[x->marks[i].row] != run->alike[row] && equal(x, row, x->marks[i].row);
  if (!differ) return HEM_OK;
  hem_status status = hem__doctor_find(run, HEM__SAME_VECTOR, 0, note, err);
  for (size_t i = first; i < end && !status; i++)
    if (equal(x, row, x->marks[i].row)) status = hem__doctor_member(run, x->marks[i].row, 0, err);
  return status;
}

static hem_status find_in_space(hem__doctor_run *run, vectors *x, const char *note, hem_error *err) {
  static const hem__ailment kinds[] = {[NOT_FINITE] = HEM__NOT_FINITE, [ZERO] = HEM__ZERO, [CONSTANT] = HEM__CONSTANT};
  hem_status status = HEM_OK;
  for (size_t row = 0; row < x->at.rows && !status; row++)
    if (x->states[row] != GOOD) status = hem__doctor_find_one(run, kinds[x->states[row]], row, 0, note, err);
  if (x->at.rows) qsort(x->marks, x->at.rows, sizeof *x->marks, by_hash);
  for (size_t first = 0, end; first < x->at.rows && !status; first = end) {
    for (end = first + 1; end < x->at.rows && x->marks[end].hash == x->marks[first].hash;) end++;
    if (end - first > 1 && x->states[x->marks[first].row] == GOOD) status = find_equal(run, x, first, end, note, err);
  }
  return status;
}

static hem_status check_space(hem__doctor_run *run, size_t space, hem_error *err) {
  char note[96];
  vectors x = {.at = hem__catalog_matrix(run->catalog, space)};
  snprintf(note, sizeof note, "in %.80s", hem__catalog_space(run->catalog, space)->name);
  hem_status status = hem__catalog_check(run->catalog, space, 0, x.at.rows, err);
  if (!status) status = hem__alloc(x.at.rows, sizeof *x.states, "embeddings", &x.states, err);
  if (!status) status = hem__alloc(x.at.rows, sizeof *x.marks, "embeddings", &x.marks, err);
  if (!status)
    status = hem__doctor_loop(run, &(hem__doctor_steps){"check", x.at.rows, ROWS, STEPS, &x.first, mark_rows, &x}, err);
  if (!status) status = find_in_space(run, &x, note, err);
  free(x.states);
  free(x.marks);
  return status;
}

hem_status hem__doctor_vectors(hem__doctor_run *run, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t s = 0; s < hem__catalog_space_count(run->catalog) && !status; s++) status = check_space(run, s, err);
  return status;
}
