/* The public face of an extractor: a path in, a vector out. */
#include <stdlib.h>

#include "ingest/extract.h"
#include "ingest/vectors.h"

struct hem_embedder {
  hem__extractor *extractor;
  hem__extractor_scratch *scratch;
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

hem_status hem_embedder_photo(hem_embedder *embedder, const char *path, float *vector, hem_error *err) {
  if (!embedder || !path || !vector)
    return hem__fail(err, HEM_EINVAL, "hem_embedder_photo: embedder, path and vector must not be NULL");
  uint8_t *bytes = NULL;
  size_t size = 0;
  hem__image photo = {0};
  hem_status status = hem__photo_bytes(path, &bytes, &size, err);
  if (!status) status = hem__image_decode(bytes, size, path, &photo, err);
  if (!status) status = hem__extract(embedder->extractor, embedder->scratch, &photo, vector, err);
  hem__image_clear(&photo);
  free(bytes);
  return status;
}
