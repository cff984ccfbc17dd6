#include "base/sha256.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

struct hem__sha256 {
  EVP_MD_CTX *context;
  const EVP_MD *kind;
};

hem_status hem__sha256_new(hem__sha256 **out, hem_error *err) {
  hem__sha256 *hash = OPENSSL_zalloc(sizeof *hash);
  if (hash) {
    hash->kind = EVP_sha256();
    hash->context = EVP_MD_CTX_new();
  }
  if (!hash || !hash->context || !EVP_DigestInit_ex(hash->context, hash->kind, NULL)) {
    hem__sha256_free(hash);
    return hem__fail(err, HEM_ENOMEM, "no memory for a SHA-256");
  }
  *out = hash;
  return HEM_OK;
}

void hem__sha256_add(hem__sha256 *hash, const void *bytes, size_t count) {
  EVP_DigestUpdate(hash->context, bytes, count);
}

void hem__sha256_end(hem__sha256 *hash, hem__digest *out) {
  EVP_DigestFinal_ex(hash->context, out->at, NULL);
  EVP_DigestInit_ex(hash->context, hash->kind, NULL);
}

void hem__sha256_free(hem__sha256 *hash) {
  if (!hash) return;
  EVP_MD_CTX_free(hash->context);
  OPENSSL_free(hash);
}

hem__digest hem__sha256_of(const void *bytes, size_t count) {
  hem__digest digest;
  SHA256(bytes, count, digest.at);
  return digest;
}

bool hem__digest_equal(const hem__digest *a, const hem__digest *b) { return memcmp(a->at, b->at, sizeof a->at) == 0; }

void hem__digest_hex(const hem__digest *digest, char out[65]) {
  for (size_t i = 0; i < sizeof digest->at; i++) {
    out[2 * i] = "0123456789abcdef"[digest->at[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[digest->at[i] & 15];
  }
  out[64] = '\0';
}

static int hex_value(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

bool hem__digest_parse(const char *text, hem__digest *out) {
  hem__digest digest;
  for (size_t i = 0; i < sizeof digest.at; i++) {
    int high = hex_value(text[2 * i]), low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
    if (low < 0) return false;
    digest.at[i] = (uint8_t)(high << 4 | low);
  }
  *out = digest;
  return true;
}
