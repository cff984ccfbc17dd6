/* A photo in a file of its own: what the listings, folders and layouts that name such files share. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/source.h"

hem_status hem__look_at(const char *path, hem__photo *photo, hem_error *err) {
  struct stat st;
  if (stat(path, &st) != 0) return hem__fail_errno(err, "cannot open %s", path);
  photo->bytes = (uint64_t)st.st_size;
  photo->mtime_ns = hem__file_mtime_ns(&st);
  return HEM_OK;
}

hem_status hem__photo_file_look(const hem__source *source, const hem__listed *listed, hem__photo *photo,
                                hem_error *err) {
  (void)source;
  return hem__look_at(listed->photo.path, photo, err);
}

static hem_status decode(const uint8_t *bytes, size_t size, const hem__listed *listed, hem__photo *photo,
                         hem__image *out, hem_error *err) {
  hem__image whole = {0};
  hem_status status = hem__image_decode(bytes, size, listed->photo.path, &whole, err);
  if (status) return status;
  photo->width = (uint32_t)whole.width;
  photo->height = (uint32_t)whole.height;
  if (!listed->photo.box.width) {
    *out = whole;
    return HEM_OK;
  }
  status = hem__image_crop(&whole, listed->photo.box, out, err);
  hem__image_clear(&whole);
  return status;
}

hem_status hem__photo_bytes(const char *path, uint8_t **bytes, size_t *size, hem_error *err) {
  uint64_t there;
  int fd;
  hem_status status = hem__file_open(path, &fd, &there, err);
  if (status) return status;
  status = there <= HEM__PHOTO_BYTES_MAX
               ? hem__file_read_all(fd, there, path, bytes, err)
               : hem__fail(err, HEM_EINVAL, "%s has %llu bytes: that is no photo, or scale it down", path,
                           (unsigned long long)there);
  close(fd);
  if (!status) *size = there;
  return status;
}

hem_status hem__photo_file_read(const hem__source *source, const hem__listed *listed, const hem__digest *unless,
                                hem__photo *photo, hem__image *out, hem_error *err) {
  uint8_t *bytes = NULL;
  size_t size = 0;
  (void)source;
  hem_status status = hem__photo_bytes(listed->photo.path, &bytes, &size, err);
  if (status) return status;
  photo->source = hem__sha256_of(bytes, size);
  if (!unless || !hem__digest_equal(unless, &photo->source)) status = decode(bytes, size, listed, photo, out, err);
  free(bytes);
  return status;
}
