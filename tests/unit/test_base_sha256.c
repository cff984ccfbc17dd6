/* SHA-256 against the examples of FIPS 180-4 and of NIST's CAVP. */
#include "base/sha256.h"

#include <string.h>

#include "test.h"

static void check(const void *bytes, size_t size, const char *wanted) {
  char hex[65];
  hem__digest digest = hem__sha256_of(bytes, size);
  hem__digest_hex(&digest, hex);
  ck_assert_str_eq(hex, wanted);
}

START_TEST(published_examples) {
  static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  static const char four_blocks[] =
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrst"
      "u";
  check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  check(two_blocks, strlen(two_blocks), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  check(four_blocks, strlen(four_blocks), "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  check("\xbd", 1, "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b");
}
END_TEST

START_TEST(a_million_letters) {
  char *letters = malloc(1000000);
  memset(letters, 'a', 1000000);
  check(letters, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  free(letters);
}
END_TEST

START_TEST(pieces_add_up_and_a_hash_starts_over) {
  uint8_t bytes[1000];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
  hem__digest wanted = hem__sha256_of(bytes, sizeof bytes), found;
  hem__sha256 *hash = NULL;
  ck_ok(hem__sha256_new(&hash, err));
  for (size_t piece = 1; piece < 200; piece += 9) {
    for (size_t at = 0; at < sizeof bytes; at += piece)
      hem__sha256_add(hash, bytes + at, at + piece < sizeof bytes ? piece : sizeof bytes - at);
    hem__sha256_end(hash, &found);
    ck_assert(hem__digest_equal(&found, &wanted));
  }
  bytes[999] ^= 1;
  found = hem__sha256_of(bytes, sizeof bytes);
  ck_assert(!hem__digest_equal(&found, &wanted));
  hem__sha256_free(hash);
  hem__sha256_free(NULL);
}
END_TEST

START_TEST(hex_comes_back) {
  hem__digest digest = hem__sha256_of("abc", 3), back;
  char hex[65];
  hem__digest_hex(&digest, hex);
  ck_assert(hem__digest_parse(hex, &back));
  ck_assert(hem__digest_equal(&digest, &back));
  static const struct {
    size_t at;
    char put;
  } wrong[] = {{0, 'G'}, {63, 'g'}, {10, 'A'}, {5, ' '}, {63, '\0'}, {0, '\0'}, {31, '/'}, {30, ':'}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    hem__digest_hex(&digest, hex);
    hex[wrong[i].at] = wrong[i].put;
    memset(&back, 0, sizeof back);
    ck_assert_msg(!hem__digest_parse(hex, &back), "'%s' was taken for a digest", hex);
    ck_assert_uint_eq(back.at[0], 0);
  }
}
END_TEST

HEM_TESTS("sha256", published_examples, a_million_letters, pieces_add_up_and_a_hash_starts_over, hex_comes_back)
