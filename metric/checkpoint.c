#include "metric/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const char magic[16] = {'H', 'e', 'm', 'l', 'i', 'n', 'e', ' ', 't', 'r', 'a', 'i', 'n', 'i', 'n', 'g'};

/* What is written is also hashed. */
typedef struct writer {
  hem__aside *to;
  hem__sha256 *hash;
  hem_status status;
  hem_error *err;
} writer;

static void put(writer *w, const void *bytes, size_t size) {
  if (w->status || size == 0) return; /* an empty part may be NULL */
  hem__sha256_add(w->hash, bytes, size);
  w->status = hem__aside_write(w->to, bytes, size, w->err);
}

static void put_all(writer *w, const hem__digest *identity, const hem__checkpoint_part *parts, size_t count) {
  put(w, magic, sizeof magic);
  put(w, identity->at, sizeof identity->at);
  for (size_t i = 0; i < count; i++) {
    uint64_t size = parts[i].size;
    put(w, &size, sizeof size);
  }
  for (size_t i = 0; i < count; i++) put(w, parts[i].at, parts[i].size);
}

hem_status hem__checkpoint_write(const char *path, const hem__digest *identity, const hem__checkpoint_part *parts,
                                 size_t count, hem_error *err) {
  writer w = {.err = err};
  hem__digest digest;
  hem_status status = hem__sha256_new(&w.hash, err);
  if (!status) status = hem__aside_new(path, &w.to, err);
  if (status) goto exit;
  put_all(&w, identity, parts, count);
  status = w.status;
  hem__sha256_end(w.hash, &digest);
  if (!status) status = hem__aside_write(w.to, digest.at, sizeof digest.at, err);
  if (!status) status = hem__aside_publish(w.to, NULL, NULL, err);
exit:
  hem__aside_free(w.to);
  hem__sha256_free(w.hash);
  return status;
}

static bool sizes_fit(const uint8_t *at, const hem__checkpoint_part *parts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t size;
    memcpy(&size, at + i * sizeof size, sizeof size);
    if (size != parts[i].size) return false;
  }
  return true;
}

static hem_status check(const char *path, const uint8_t *bytes, size_t size, const hem__digest *identity,
                        const hem__checkpoint_part *parts, size_t count, hem_error *err) {
  size_t head = sizeof magic + sizeof identity->at, wanted = head + count * sizeof(uint64_t);
  hem__digest digest;
  if (size < head || memcmp(bytes, magic, sizeof magic) != 0)
    return hem__fail(err, HEM_ECORRUPT, "%s is not a checkpoint of training: delete it to start anew", path);
  if (memcmp(bytes + sizeof magic, identity->at, sizeof identity->at) != 0)
    return hem__fail(
        err, HEM_EMISMATCH,
        "%s is of another run (other options, catalogue, threads or version): give the same ones, or delete "
        "it to start anew",
        path);
  for (size_t i = 0; i < count; i++) wanted += parts[i].size;
  bool fits = size == wanted + sizeof digest.at && sizes_fit(bytes + head, parts, count);
  if (fits) digest = hem__sha256_of(bytes, wanted);
  if (!fits || memcmp(bytes + wanted, digest.at, sizeof digest.at) != 0)
    return hem__fail(err, HEM_ECORRUPT, "%s is damaged: delete it to start anew", path);
  return HEM_OK;
}

hem_status hem__checkpoint_read(const char *path, const hem__digest *identity, const hem__checkpoint_part *parts,
                                size_t count, hem_error *err) {
  uint8_t *bytes = NULL;
  size_t size = 0, at = sizeof magic + sizeof identity->at + count * sizeof(uint64_t);
  hem_status status = hem__file_read(path, &bytes, &size, err);
  if (!status) status = check(path, bytes, size, identity, parts, count, err);
  for (size_t i = 0; i < count && !status; i++) {
    if (parts[i].size) memcpy(parts[i].at, bytes + at, parts[i].size);
    at += parts[i].size;
  }
  free(bytes);
  return status;
}
