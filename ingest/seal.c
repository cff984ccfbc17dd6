#include "ingest/seal.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char greeting[80] = "Hemline catalogue: an HDF5 file. Open it with hemline, h5py, MATLAB or R.\n";

enum {
  FORMAT = 2,
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

/* The seal's own bytes: nothing else in it is believed before this passes. */
static hem_status check_block(const hem__map *file, const char *path, hem_error *err) {
  static const char word[] = "Hemline catalogue";
  if (file->size < sizeof word || memcmp(file->at, word, sizeof word - 1) != 0)
    return hem__fail(err, HEM_EVERSION, "%s is not a Hemline catalogue: make one with 'hemline ingest'", path);
  if (file->size < HEM__SEAL_SIZE)
    return hem__fail(err, HEM_ECORRUPT, "%s is cut off inside its seal, after %zu bytes", path, file->size);
  hem__digest found = hem__sha256_of(file->at, AT_OWN_DIGEST), wanted;
  memcpy(wanted.at, file->at + AT_OWN_DIGEST, sizeof wanted.at);
  if (!hem__digest_equal(&found, &wanted))
    return hem__fail(err, HEM_ECORRUPT, "%s is damaged: the checksum of its seal is wrong", path);
  uint32_t format = get32(file->at + AT_FORMAT);
  if (format < 1 || format > FORMAT)
    return hem__fail(err, HEM_EVERSION, "%s has format %u and this Hemline reads formats 1 to %d: use a newer Hemline",
                     path, format, FORMAT);
  return HEM_OK;
}

hem_status hem__seal_check(const hem__map *file, const char *path, hem__seal *out, hem_error *err) {
  hem_status status = check_block(file, path, err);
  if (status) return status;
  uint64_t size = get64(file->at + AT_SIZE);
  if (size != file->size)
    return hem__fail(err, HEM_ECORRUPT, "%s has %zu bytes and was sealed with %llu: it was cut off or added to", path,
                     file->size, (unsigned long long)size);
  hem__seal seal = {.extent_count = get32(file->at + AT_COUNT), .format = get32(file->at + AT_FORMAT)};
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
                     "%s is damaged: the checksum of its columns is wrong, it changed after it was sealed", path);
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
  memcpy(block, greeting, sizeof greeting);
  put32(block + AT_FORMAT, FORMAT);
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
