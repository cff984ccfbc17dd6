/* Lines of a file, in blocks: against the same bytes split in memory. */
#include "base/lines.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/make_idx.h"
#include "test.h"

/* Every line that is not empty, as the oracle sees it, compared with what is read. */
static void check_file(const char *path, const uint8_t *bytes, size_t size) {
  hem__lines lines = {.fd = -1};
  uint64_t count = 0, wanted = 0;
  size_t number = 0;
  hem__test_write(path, bytes, size);
  ck_ok(hem__lines_open(path, &lines, err));
  ck_ok(hem__lines_count(&lines, &count, err));
  for (size_t at = 0; at < size;) {
    const uint8_t *end = memchr(bytes + at, '\n', size - at);
    size_t length = end ? (size_t)(end - bytes) - at : size - at, next = at + length + (end != NULL), got = 0;
    char *text = NULL;
    bool more = false;
    number++;
    if (length && length <= HEM__LINE_MAX && bytes[at + length - 1] == '\r') length--;
    if (length) {
      ck_ok(hem__lines_next(&lines, &text, &got, &more, err));
      ck_assert(more);
      ck_assert_uint_eq(got, length);
      ck_assert_uint_eq(lines.number, number);
      size_t kept = length < HEM__LINE_MAX ? length : HEM__LINE_MAX;
      ck_assert(memcmp(text, bytes + at, kept) == 0 && text[kept] == '\0');
      wanted++;
    }
    at = next;
  }
  char *text;
  size_t got;
  bool more = true;
  ck_ok(hem__lines_next(&lines, &text, &got, &more, err));
  ck_assert(!more);
  ck_assert_uint_eq(count, wanted);
  hem__lines_close(&lines);
  hem__lines_close(&lines);
}

START_TEST(small_files) {
  static const char *const texts[] = {"",   "\n",   "\r\n", "a", "a\n", "a\r", "a\r\nb", "\n\na\n\n\r\nb\r\r\n\n",
                                      "\r", "a\n\r"};
  char *path = hem__test_path(hem__test_subfolder(), "lines");
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    check_file(path, (const uint8_t *)texts[i], strlen(texts[i]));
  check_file(path, (const uint8_t *)"a\0b\n\0\n", 6);
  free(path);
}
END_TEST

/* Lengths around those of the buffer and of the longest line that is kept. */
START_TEST(long_lines) {
  static const size_t lengths[] = {65535, 65536, 65537, 262143, 262144, 262145, 262144 + 196608, 1000000};
  char *path = hem__test_path(hem__test_subfolder(), "lines");
  uint8_t *bytes = malloc(2 << 20);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
    for (size_t before = 0; before < 3; before++) {
      size_t size = 0;
      for (size_t j = 0; j < before * 1000; j++) bytes[size++] = j % 50 ? 'b' : '\n';
      for (size_t j = 0; j < lengths[i]; j++) bytes[size++] = (uint8_t)('a' + j % 23);
      check_file(path, bytes, size);
      memcpy(bytes + size, "\nend\n", 5);
      check_file(path, bytes, size + 5);
    }
  free(bytes);
  free(path);
}
END_TEST

START_TEST(random_files) {
  uint64_t random = 5;
  char *path = hem__test_path(hem__test_subfolder(), "lines");
  uint8_t *bytes = malloc(600000);
  for (size_t round = 0; round < 40; round++) {
    size_t size = hem__test_random(&random) % 600000, rarity = 2 + hem__test_random(&random) % 3000;
    for (size_t i = 0; i < size; i++) {
      uint64_t r = hem__test_random(&random);
      bytes[i] = r % rarity == 0 ? '\n' : r % rarity == 1 ? '\r' : (uint8_t)(r >> 32);
    }
    check_file(path, bytes, size);
  }
  free(bytes);
  free(path);
}
END_TEST

START_TEST(what_is_no_file) {
  hem__lines lines;
  ck_fails(hem__lines_open("/no/such/file", &lines, err), HEM_ENOTFOUND, "/no/such/file");
  ck_fails(hem__lines_open("/tmp", &lines, err), HEM_ECORRUPT, "not a regular file");
}
END_TEST

HEM_TESTS("base_lines", small_files, long_lines, random_files, what_is_no_file)
