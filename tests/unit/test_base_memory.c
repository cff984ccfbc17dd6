/* Memory: a size that cannot be is refused before it wraps, and what was kept stays. */
#include "base/memory.h"

#include <string.h>

#include "test.h"

START_TEST(sizes_do_not_wrap) {
  size_t out = 7;
  ck_assert(hem__mul(1 << 20, 1 << 20, &out) && out == (size_t)1 << 40);
  ck_assert(!hem__mul(SIZE_MAX / 2, 3, &out));
  ck_assert(hem__add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
  ck_assert(!hem__add(SIZE_MAX, 1, &out));
  ck_assert(hem__mul(SIZE_MAX, 0, &out) && out == 0);
}
END_TEST

START_TEST(memory_comes_zeroed_and_aligned) {
  static const size_t counts[] = {0, 1, 15, 16, 17, 1000, 1 << 20};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    uint32_t *p = NULL;
    ck_ok(hem__alloc(counts[i], sizeof *p, "numbers", &p, err));
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq((uintptr_t)p % 64, 0);
    uint32_t any = 0;
    for (size_t j = 0; j < counts[i]; j++) any |= p[j];
    ck_assert_uint_eq(any, 0);
    memset(p, 0xFF, counts[i] * sizeof *p); /* the next one may get this memory again */
    free(p);
  }
}
END_TEST

START_TEST(what_cannot_be_is_refused_by_name) {
  void *p = &p, *before = p;
  ck_fails(hem__alloc(SIZE_MAX / 2, 4, "vectors", &p, err), HEM_ENOMEM, "no memory for vectors");
  ck_fails(hem__alloc(SIZE_MAX, 1, "vectors", &p, err), HEM_ENOMEM, "vectors");
  ck_fails(hem__alloc(SIZE_MAX - 100, 1, "vectors", &p, err), HEM_ENOMEM, "vectors");
  ck_fails(hem__alloc((size_t)1 << 50, 1, "vectors", &p, err), HEM_ENOMEM, "vectors");
  ck_assert_msg(p == before, "an output was written on failure");
}
END_TEST

START_TEST(growing_keeps_what_was_there) {
  uint64_t *numbers = NULL;
  size_t capacity = 0, moves = 0;
  for (size_t i = 0; i < 100000; i++) {
    size_t before = capacity;
    ck_ok(hem__grow(&numbers, &capacity, i + 1, sizeof *numbers, "numbers", err));
    if (capacity <= i) ck_abort_msg("room for %zu, not for %zu", capacity, i + 1);
    moves += capacity != before;
    numbers[i] = i * i;
  }
  size_t wrong = 0;
  for (uint64_t i = 0; i < 100000; i++) wrong += numbers[i] != i * i;
  ck_assert_uint_eq(wrong, 0);
  ck_assert_msg(moves < 40, "%zu moves for 100,000 elements: growth is not geometric", moves);
  uint64_t *same = numbers;
  ck_ok(hem__grow(&numbers, &capacity, 10, sizeof *numbers, "numbers", err));
  ck_assert_ptr_eq(numbers, same);
  free(numbers);
}
END_TEST

START_TEST(growing_too_far_changes_nothing) {
  uint64_t *numbers = NULL;
  size_t capacity = 0;
  ck_ok(hem__grow(&numbers, &capacity, 4, sizeof *numbers, "numbers", err));
  numbers[3] = 42;
  uint64_t *same = numbers;
  size_t before = capacity;
  ck_fails(hem__grow(&numbers, &capacity, SIZE_MAX / 4, sizeof *numbers, "numbers", err), HEM_ENOMEM, "numbers");
  ck_fails(hem__grow(&numbers, &capacity, (size_t)1 << 47, sizeof *numbers, "numbers", err), HEM_ENOMEM, "numbers");
  ck_assert_ptr_eq(numbers, same);
  ck_assert_uint_eq(capacity, before);
  ck_assert_uint_eq(numbers[3], 42);
  free(numbers);
}
END_TEST

START_TEST(strings) {
  char *text = NULL;
  ck_ok(hem__strdup("", &text, err));
  ck_assert_str_eq(text, "");
  free(text);
  ck_ok(hem__print(&text, err, "%s/%06d.h5", "folder", 17));
  ck_assert_str_eq(text, "folder/000017.h5");
  free(text);
}
END_TEST

START_TEST(rows_of_a_matrix) {
  const float values[] = {1, 2, 3, 4, 5, 6};
  hem__matrix m = {.at = values, .rows = 2, .dim = 3};
  ck_assert_ptr_eq(hem__row(m, 1), values + 3);
}
END_TEST

HEM_TESTS("memory", sizes_do_not_wrap, memory_comes_zeroed_and_aligned, what_cannot_be_is_refused_by_name,
          growing_keeps_what_was_there, growing_too_far_changes_nothing, strings, rows_of_a_matrix)
