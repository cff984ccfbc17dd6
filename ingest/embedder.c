/* The public face of an extractor: a photo in, a vector out. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ingest/extract.h"
#include "ingest/source.h"
#include "ingest/vectors.h"

struct hem_embedder {
  hem__extractor *extractor;
  hem__extractor_scratch *scratch;
  uint64_t decode_ns, embed_ns;
};

hem_status hem_embedder_new(const char *features, hem_embedder **embedder, hem_error *err) {
  if (!features || !embedder)
    return hem__fail(err, HEM_EINVAL, "hem_embedder_new: features and embedder must not be NULL");
  hem_embedder *made = NULL;
  hem_status status = hem__ready_made_refuse(features, err);
  if (!status) status = hem__alloc(1, sizeof *made, "an embedder", &made, err);
  if (!status) status = hem__extractor_new(features, &made->extractor, err);
  if (!status) status = hem__extractor_scratch_new(made->extractor, &made->scratch, err);
  if (status) goto failed;
  *embedder = made;
  return HEM_OK;
failed:
  hem_embedder_free(made);
  return status;
}

void hem_embedder_free(hem_embedder *embedder) {
  if (!embedder) return;
  hem__extractor_scratch_free(embedder->scratch);
  hem__extractor_free(embedder->extractor);
  free(embedder);
}

size_t hem_embedder_dim(const hem_embedder *embedder) { return hem__extractor_dim(embedder->extractor); }
const char *hem_embedder_hash(const hem_embedder *embedder) { return hem__extractor_hash(embedder->extractor); }

void hem_embedder_times(const hem_embedder *embedder, uint64_t *decode_ns, uint64_t *embed_ns) {
  if (decode_ns) *decode_ns = embedder->decode_ns;
  if (embed_ns) *embed_ns = embedder->embed_ns;
}

/* As a listing's boxes are read (manifest.c): pixels are rounded, parts are kept in millionths. Written so that NaN
 * fits nowhere. */
static hem_status box_of(const hem_box *box, const char *name, hem__box *out, hem_error *err) {
  const double values[4] = {box->x, box->y, box->width, box->height}, most = box->parts ? 1 : INT32_MAX;
  int32_t whole[4];
  bool fits = true;
  for (int i = 0; i < 4 && fits; i++) {
    fits = values[i] >= 0 && values[i] <= most;
    if (fits) whole[i] = (int32_t)lround(box->parts ? values[i] * 1e6 : values[i]);
  }
  if (!fits || whole[2] == 0 || whole[3] == 0)
    return hem__fail(err, HEM_EINVAL, "%s: a box is x, y, width and height, none below zero, the last two above it%s",
                     name, box->parts ? "; of parts of a photo none is above 1" : "");
  *out = (hem__box){whole[0], whole[1], whole[2], whole[3], box->parts ? HEM__MILLIONTHS : HEM__PIXELS};
  return HEM_OK;
}

/* Decodes, and cuts the box out. */
static hem_status decode(const uint8_t *bytes, size_t size, const char *name, const hem_box *box, hem__image *out,
                         hem_error *err) {
  hem__box part = {0};
  hem__image whole = {0};
  hem_status status = box ? box_of(box, name, &part, err) : HEM_OK;
  if (!status) status = hem__image_decode(bytes, size, name, &whole, err);
  if (!status && box) {
    status = hem__image_crop(&whole, part, out, err);
    if (status) hem__fail_in(err, status, "%s", name);
  } else if (!status) {
    *out = whole;
    whole = (hem__image){0};
  }
  hem__image_clear(&whole);
  return status;
}

static hem_status embed(hem_embedder *e, const uint8_t *bytes, size_t size, const char *name, const hem_box *box,
                        float *vector, hem_error *err) {
  hem__image photo = {0};
  uint64_t started = hem__now_ns();
  e->embed_ns = 0;
  hem_status status = decode(bytes, size, name, box, &photo, err);
  uint64_t decoded = hem__now_ns();
  e->decode_ns = decoded - started;
  if (!status) {
    status = hem__extract(e->extractor, e->scratch, &photo, vector, err);
    e->embed_ns = hem__now_ns() - decoded;
  }
  hem__image_clear(&photo);
  return status;
}

hem_status hem_embedder_bytes(hem_embedder *embedder, const void *bytes, size_t size, const char *name,
                              const hem_box *box, float *vector, hem_error *err) {
  if (!embedder || !bytes || !vector)
    return hem__fail(err, HEM_EINVAL, "hem_embedder_bytes: embedder, bytes and vector must not be NULL");
  if (!name) name = "the photo";
  if (size > HEM__PHOTO_BYTES_MAX)
    return hem__fail(err, HEM_EINVAL, "%s has %zu bytes: that is no photo, or scale it down", name, size);
  return embed(embedder, bytes, size, name, box, vector, err);
}

hem_status hem_embedder_photo(hem_embedder *embedder, const char *path, float *vector, hem_error *err) {
  if (!embedder || !path || !vector)
    return hem__fail(err, HEM_EINVAL, "hem_embedder_photo: embedder, path and vector must not be NULL");
  uint8_t *bytes = NULL;
  size_t size = 0;
  hem_status status = hem__photo_bytes(path, &bytes, &size, err);
  if (!status) status = hem_embedder_bytes(embedder, bytes, size, path, NULL, vector, err);
  free(bytes);
  return status;
}
