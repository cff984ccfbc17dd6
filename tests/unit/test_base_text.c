/* Strings kept together and sets of strings, against oracles that are too simple to be wrong. */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

/* One of 2^bits strings, of lengths 0 to 63, some sharing long beginnings. */
static size_t name_of(uint64_t number, char out[64]) {
  uint64_t state = number;
  size_t length = number == 0 ? 0 : 1 + hem__test_random(&state) % 63;
  for (size_t i = 0; i < length; i++) out[i] = i < length / 2 ? 'a' : (char)('a' + hem__test_random(&state) % 3);
  out[length] = '\0';
  return length;
}

START_TEST(copies_stay_where_they_are) {
  enum { COUNT = 20000 };
  hem__arena arena = {0};
  const char **copies = calloc(COUNT, sizeof *copies);
  char name[64];
  for (size_t i = 0; i < COUNT; i++) {
    size_t length = name_of(i % 5000, name);
    ck_ok(hem__arena_copy(&arena, name, length, &copies[i], err));
    memset(name, 'z', sizeof name); /* a copy, not a loan */
  }
  for (size_t i = 0; i < COUNT; i++) {
    name_of(i % 5000, name);
    ck_assert_str_eq(copies[i], name);
  }
  hem__arena_clear(&arena);
  hem__arena_clear(&arena);
  free(copies);
}
END_TEST

/* Around the size of a chunk, where an off-by-one would hide. */
START_TEST(long_strings_fit) {
  enum { LONGEST = (1 << 17) + 3 };
  char *text = malloc(LONGEST + 1);
  for (size_t i = 0; i < LONGEST; i++) text[i] = (char)('a' + i % 26);
  static const size_t sizes[] = {65533, 65534, 65535, 65536, 65537, 65538, LONGEST, 0, 1, 65536};
  const char *copies[10];
  hem__arena arena = {0};
  for (size_t i = 0; i < 10; i++) ck_ok(hem__arena_copy(&arena, text, sizes[i], &copies[i], err));
  for (size_t i = 0; i < 10; i++) {
    ck_assert_mem_eq(copies[i], text, sizes[i]);
    ck_assert_int_eq(copies[i][sizes[i]], '\0');
  }
  hem__arena_clear(&arena);
  free(text);
}
END_TEST

START_TEST(a_run_of_equal_strings_is_kept_once) {
  hem__arena arena = {0};
  const char *first, *again, *other;
  ck_ok(hem__arena_copy(&arena, "dress", 5, &first, err));
  ck_ok(hem__arena_copy(&arena, "dress", 5, &again, err));
  ck_ok(hem__arena_copy(&arena, "dresses", 7, &other, err));
  ck_assert_ptr_eq(first, again);
  ck_assert_str_eq(other, "dresses");
  ck_assert_str_eq(first, "dress");
  hem__arena_clear(&arena);
}
END_TEST

START_TEST(copies_may_hold_zero_bytes) {
  hem__arena arena = {0};
  const char *copy;
  ck_ok(hem__arena_copy(&arena, "a\0b", 3, &copy, err));
  ck_assert_mem_eq(copy, "a\0b\0", 4);
  hem__arena_clear(&arena);
}
END_TEST

/* The oracle: an array indexed by what the string was made from. */
START_TEST(numbers_follow_the_order_of_adding) {
  enum { KINDS = 4096, STEPS = 40000 };
  hem__set set = {0};
  hem__arena arena = {0};
  size_t *oracle = malloc(KINDS * sizeof *oracle), next = 0;
  for (size_t i = 0; i < KINDS; i++) oracle[i] = SIZE_MAX;
  uint64_t state = 7;
  char name[64];
  for (size_t step = 0; step < STEPS; step++) {
    char unique[80];
    uint64_t kind = hem__test_random(&state) % KINDS;
    name_of(kind, name);
    snprintf(unique, sizeof unique, "%s%s%.0llu", name, kind ? "-" : "", (unsigned long long)kind);
    ck_assert_uint_eq(hem__set_find(&set, unique), oracle[kind]);
    if (hem__test_random(&state) % 4 != 0) continue;
    const char *kept;
    size_t number = 999;
    ck_ok(hem__arena_copy(&arena, unique, strlen(unique), &kept, err));
    ck_ok(hem__set_add(&set, kept, &number, err));
    if (oracle[kind] == SIZE_MAX) oracle[kind] = next++;
    ck_assert_uint_eq(number, oracle[kind]);
    ck_assert_uint_eq(set.count, next);
  }
  ck_assert_uint_gt(next, KINDS / 2);
  hem__set_clear(&set);
  hem__arena_clear(&arena);
  free(oracle);
}
END_TEST

/* Strings whose hashes agree in the low bits land in one place of a small table and must be told apart. */
START_TEST(strings_that_collide_are_told_apart) {
  enum { WANTED = 40 };
  static char names[WANTED][16];
  hem__set set = {0};
  size_t found = 0;
  for (unsigned i = 0; found < WANTED; i++) {
    char name[16];
    uint64_t h = 0xCBF29CE484222325U;
    snprintf(name, sizeof name, "%u", i);
    for (const char *c = name; *c; c++) h = (h ^ (uint8_t)*c) * 0x100000001B3U;
    if (((h ^ (h >> 32)) & 63) == 63) memcpy(names[found++], name, sizeof name);
  }
  for (size_t i = 0; i < WANTED; i++) ck_ok(hem__set_add(&set, names[i], NULL, err));
  for (size_t i = 0; i < WANTED; i++) ck_assert_uint_eq(hem__set_find(&set, names[i]), i);
  ck_assert_uint_eq(hem__set_find(&set, "no such name"), SIZE_MAX);
  hem__set_clear(&set);
}
END_TEST

START_TEST(an_empty_set_and_the_empty_string) {
  hem__set set = {0};
  size_t number = 9;
  ck_assert_uint_eq(hem__set_find(&set, ""), SIZE_MAX);
  ck_ok(hem__set_add(&set, "", &number, err));
  ck_assert_uint_eq(number, 0);
  ck_assert_uint_eq(hem__set_find(&set, ""), 0);
  ck_assert_uint_eq(hem__set_find(&set, "a"), SIZE_MAX);
  hem__set_clear(&set);
  ck_assert_uint_eq(hem__set_find(&set, ""), SIZE_MAX);
}
END_TEST

HEM_TESTS("text", copies_stay_where_they_are, long_strings_fit, a_run_of_equal_strings_is_kept_once,
          copies_may_hold_zero_bytes, numbers_follow_the_order_of_adding, strings_that_collide_are_told_apart,
          an_empty_set_and_the_empty_string)
