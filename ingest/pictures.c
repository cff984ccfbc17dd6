#include "ingest/pictures.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ingest/source.h"

struct hem__pictures {
  const hem__photos *photos;
  hem__source *idx; /* NULL: none */
  hem__set listed;  /* paths of what `idx` lists; a path's number is its place there */
};

/* "train-images-idx3-ubyte#17": a place inside a file that holds many. */
static bool is_inside(const char *path) {
  const char *mark = strrchr(path, '#');
  if (!mark || mark == path || !mark[1] || mark[1 + strspn(mark + 1, "0123456789")]) return false;
  return !hem__path_exists(path);
}

static hem_status list_idx(hem__pictures *p, hem_error *err) {
  hem_status status = HEM_OK;
  for (bool more = true; !status;) {
    hem__listed listed = {0};
    size_t number;
    status = p->idx->next(p->idx, &listed, &more, err);
    if (status || !more) break;
    status = hem__set_add(&p->listed, listed.photo.path, &number, err);
  }
  return status;
}

hem_status hem__pictures_open(const hem__catalog *catalog, const char *idx, hem__pictures **out, hem_error *err) {
  hem__pictures *p = NULL;
  hem_status status = hem__alloc(1, sizeof *p, "pictures", &p, err);
  if (status) return status;
  p->photos = hem__catalog_photos(catalog);
  if (idx) status = hem__source_idx(idx, &p->idx, err);
  if (!status && idx) status = list_idx(p, err);
  if (status) {
    hem__pictures_close(p);
    return status;
  }
  *out = p;
  return HEM_OK;
}

void hem__pictures_close(hem__pictures *pictures) {
  if (!pictures) return;
  hem__set_clear(&pictures->listed);
  if (pictures->idx) pictures->idx->close(pictures->idx);
  free(pictures);
}

bool hem__pictures_has(const hem__pictures *pictures, size_t row) {
  const hem__photo *photo = &pictures->photos->at[row];
  return photo->width && (hem__set_find(&pictures->listed, photo->path) != SIZE_MAX || !is_inside(photo->path));
}

hem_status hem__pictures_read(const hem__pictures *pictures, size_t row, hem__image *out, hem_error *err) {
  const hem__photo *kept = &pictures->photos->at[row];
  hem__photo read = {0};
  hem__image image = {0};
  if (!hem__pictures_has(pictures, row))
    return hem__fail(err, HEM_ENOTFOUND, "%s is not a photo in a file of its own", kept->path);
  size_t number = hem__set_find(&pictures->listed, kept->path);
  hem__listed listed = {.photo = *kept, .number = number};
  hem_status status = number == SIZE_MAX ? hem__photo_file_read(NULL, &listed, NULL, &read, &image, err)
                                         : pictures->idx->read(pictures->idx, &listed, NULL, &read, &image, err);
  bool hashed = memcmp(&read.source, &(hem__digest){0}, sizeof read.source) != 0;
  if (hashed && !hem__digest_equal(&read.source, &kept->source)) {
    hem__image_clear(&image);
    return hem__fail(err, HEM_EMISMATCH, "%s is not the photo that was ingested", kept->path);
  }
  if (!status) *out = image;
  return status;
}

/* By content: what a file is called proves nothing. */
static const char *media_type(const uint8_t *bytes, size_t size) {
  if (size >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0) return "image/jpeg";
  if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0) return "image/png";
  if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) return "image/webp";
  if (size >= 12 && (memcmp(bytes + 4, "ftypavif", 8) == 0 || memcmp(bytes + 4, "ftypavis", 8) == 0))
    return "image/avif";
  return NULL;
}

static hem_status file_bytes(const hem__photo *kept, uint8_t **bytes, size_t *size, const char **type, hem_error *err) {
  hem_status status = hem__photo_bytes(kept->path, bytes, size, err);
  if (status) return status;
  hem__digest digest = hem__sha256_of(*bytes, *size);
  *type = media_type(*bytes, *size);
  if (hem__digest_equal(&digest, &kept->source) && *type) return HEM_OK;
  free(*bytes);
  *bytes = NULL;
  return *type ? hem__fail(err, HEM_EMISMATCH, "%s is not the photo that was ingested", kept->path)
               : hem__fail(err, HEM_EUNSUPPORTED, "%s is no JPEG, PNG, WebP or AVIF", kept->path);
}

hem_status hem__pictures_bytes(const hem__pictures *pictures, size_t row, uint8_t **bytes, size_t *size,
                               const char **type, hem_error *err) {
  const hem__photo *kept = &pictures->photos->at[row];
  if (hem__pictures_has(pictures, row) && hem__set_find(&pictures->listed, kept->path) == SIZE_MAX)
    return file_bytes(kept, bytes, size, type, err);
  hem__image image = {0};
  hem_status status = hem__pictures_read(pictures, row, &image, err);
  if (!status) status = hem__image_png(&image, bytes, size, err);
  hem__image_clear(&image);
  if (!status) *type = "image/png";
  return status;
}
