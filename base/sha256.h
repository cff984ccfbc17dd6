/* SHA-256 (FIPS 180-4), by libcrypto, which uses the processor's own instructions where it has them. */
#ifndef HEM_BASE_SHA256_H
#define HEM_BASE_SHA256_H

#include "base/status.h"

typedef struct hem__sha256 hem__sha256;

typedef struct hem__digest {
  uint8_t at[32];
} hem__digest;

hem_status hem__sha256_new(hem__sha256 **out, hem_error *err);
void hem__sha256_add(hem__sha256 *hash, const void *bytes, size_t count);
/* Writes the digest and starts over. */
void hem__sha256_end(hem__sha256 *hash, hem__digest *out);
void hem__sha256_free(hem__sha256 *hash);

hem__digest hem__sha256_of(const void *bytes, size_t count);
bool hem__digest_equal(const hem__digest *a, const hem__digest *b);
void hem__digest_hex(const hem__digest *digest, char out[65]);
/* False unless `text` starts with exactly 64 lower-case hex digits. */
bool hem__digest_parse(const char *text, hem__digest *out);

#endif
