#include "ingest/seal.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The greeting opens the file, and its first `word` bytes tell what the file is. */
static const struct kind {
  char greeting[80];
  size_t word;
  const char *name, *content, *remedy;
  uint32_t format; /* the newest */
} kinds[] = {
    [HEM__SEALED_CATALOG] = {"Hemline catalogue: an HDF5 file. Open it with hemline, h5py, MATLAB or R.\n", 17,
                             "catalogue", "columns", "make one with 'hemline ingest'", 2},
    [HEM__SEALED_METRIC] = {"Hemline metric: an HDF5 file. Open it with hemline, h5py, MATLAB or R.\n", 14, "metric",
                            "weights", "make one with 'hemline train'", 1},
};

enum {
  KINDS = sizeof kinds / sizeof *kinds,
  AT_FORMAT = 80,
  AT_COUNT = 84,
  AT_SIZE = 88,
  AT_DIGEST = 96,
  AT_EXTENTS = 128,
  AT_OWN_DIGEST = 4064
};
_Static_assert(AT_EXTENTS + HEM__SEAL_EXTENTS * 16 <= AT_OWN_DIGEST, "the extents do not fit the seal");

static uint32_t get32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return le32toh(value);
}

static uint64_t get64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return le64toh(value);
}

static void put32(uint8_t *at, uint32_t value) {
  value = htole32(value);
  memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value) {
  value = htole64(value);
  memcpy(at, &value, sizeof value);
}

/* SHA-256 of what HDF5 parses. False where the extents are out of order or out of the file. */
static bool structure_digest(const hem__map *file, const hem__seal *seal, hem__sha256 *hash, hem__digest *out) {
  uint64_t at = HEM__SEAL_SIZE;
  for (size_t i = 0; i < seal->extent_count; i++) {
    hem__extent e = seal->extents[i];
    if (e.offset < at || e.offset > file->size || e.size > file->size - e.offset) return false;
    hem__sha256_add(hash, file->at + at, e.offset - at);
    at = e.offset + e.size;
  }
  hem__sha256_add(hash, file->at + at, file->size - at);
  hem__sha256_end(hash, out);
  return true;
}

static bool is_kind(const hem__map *file, size_t kind) {
  return file->size > kinds[kind].word && memcmp(file->at, kinds[kind].greeting, kinds[kind].word) == 0;
}

static hem_status check_kind(const hem__map *file, const char *path, hem__sealed kind, hem_error *err) {
  if (is_kind(file, kind)) return HEM_OK;
  for (size_t i = 0; i < KINDS; i++)
    if (is_kind(file, i))
      return hem__fail(err, HEM_EVERSION, "%s is a Hemline %s, not a Hemline %s: name one, or %s", path, kinds[i].name,
                       kinds[kind].name, kinds[kind].remedy);
  return hem__fail(err, HEM_EVERSION, "%s is not a Hemline %s: %s", path, kinds[kind].name, kinds[kind].remedy);
}

/* The seal's own bytes: nothing else in it is believed before this passes. */
static hem_status check_block(const hem__map *file, const char *path, hem__sealed kind, hem_error *err) {
  hem_status status = check_kind(file, path, kind, err);
  if (status) return status;
  if (file->size < HEM__SEAL_SIZE)
    return hem__fail(err, HEM_ECORRUPT, "%s is cut off inside its seal, after %zu bytes", path, file->size);
  hem__digest found = hem__sha256_of(file->at, AT_OWN_DIGEST), wanted;
  memcpy(wanted.at, file->at + AT_OWN_DIGEST, sizeof wanted.at);
  if (!hem__digest_equal(&found, &wanted))
    return hem__fail(err, HEM_ECORRUPT, "%s is damaged: the checksum of its seal is wrong", path);
  uint32_t format = get32(file->at + AT_FORMAT);
  if (format < 1 || format > kinds[kind].format)
    return hem__fail(err, HEM_EVERSION, "%s has format %u and this Hemline reads formats 1 to %u: use a newer Hemline",
                     path, format, kinds[kind].format);
  return HEM_OK;
}

hem_status hem__seal_check(const hem__map *file, const char *path, hem__sealed kind, hem__seal *out, hem_error *err) {
  hem_status status = check_block(file, path, kind, err);
  if (status) return status;
  uint64_t size = get64(file->at + AT_SIZE);
  if (size != file->size)
    return hem__fail(err, HEM_ECORRUPT, "%s has %zu bytes and was sealed with %llu: it was cut off or added to", path,
                     file->size, (unsigned long long)size);
  hem__seal seal = {.kind = kind, .extent_count = get32(file->at + AT_COUNT), .format = get32(file->at + AT_FORMAT)};
  memcpy(seal.identity.at, file->at + AT_OWN_DIGEST, sizeof seal.identity.at);
  if (seal.extent_count > HEM__SEAL_EXTENTS)
    return hem__fail(err, HEM_ECORRUPT, "%s is damaged: its seal lists %zu extents", path, seal.extent_count);
  for (size_t i = 0; i < seal.extent_count; i++) {
    const uint8_t *at = file->at + AT_EXTENTS + 16 * i;
    seal.extents[i] = (hem__extent){.offset = get64(at), .size = get64(at + 8)};
  }
  hem__sha256 *hash = NULL;
  if ((status = hem__sha256_new(&hash, err))) return status;
  hem__digest found;
  bool sane = structure_digest(file, &seal, hash, &found);
  hem__sha256_free(hash);
  if (!sane || memcmp(found.at, file->at + AT_DIGEST, sizeof found.at) != 0)
    return hem__fail(err, HEM_ECORRUPT,
                     "%s is damaged: the checksum of its %s is wrong, it changed after it was sealed", path,
                     kinds[kind].content);
  *out = seal;
  return HEM_OK;
}

static hem_status put_block(const char *path, const uint8_t *block, hem_error *err) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return hem__fail_errno(err, "cannot open %s to seal it", path);
  ssize_t written = pwrite(fd, block, HEM__SEAL_SIZE, 0);
  hem_status status = written == HEM__SEAL_SIZE ? HEM_OK : hem__fail_errno(err, "cannot write the seal of %s", path);
  close(fd);
  return status;
}

hem_status hem__seal_write(const char *path, const hem__seal *seal, hem_error *err) {
  hem__map file = {0};
  hem__sha256 *hash = NULL;
  hem_status status = hem__map_open(path, &file, err);
  if (!status) status = hem__sha256_new(&hash, err);
  if (status) goto exit;
  uint8_t block[HEM__SEAL_SIZE] = {0};
  hem__digest digest;
  if (file.size < HEM__SEAL_SIZE || seal->extent_count > HEM__SEAL_EXTENTS ||
      !structure_digest(&file, seal, hash, &digest)) {
    status = hem__fail(err, HEM_ECORRUPT, "%s cannot be sealed: its parts overlap", path);
    goto exit;
  }
  memcpy(block, kinds[seal->kind].greeting, sizeof kinds[seal->kind].greeting);
  put32(block + AT_FORMAT, kinds[seal->kind].format);
  put32(block + AT_COUNT, (uint32_t)seal->extent_count);
  put64(block + AT_SIZE, file.size);
  memcpy(block + AT_DIGEST, digest.at, sizeof digest.at);
  for (size_t i = 0; i < seal->extent_count; i++) {
    put64(block + AT_EXTENTS + 16 * i, seal->extents[i].offset);
    put64(block + AT_EXTENTS + 16 * i + 8, seal->extents[i].size);
  }
  hem__digest own = hem__sha256_of(block, AT_OWN_DIGEST);
  memcpy(block + AT_OWN_DIGEST, own.at, sizeof own.at);
  status = put_block(path, block, err);
exit:
  hem__map_close(&file);
  hem__sha256_free(hash);
  return status;
}
