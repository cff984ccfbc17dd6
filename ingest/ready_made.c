/* The space of vectors that another program made: it has a name, a size, and no way from a photo to a vector. */
#include <stdlib.h>
#include <string.h>

#include "ingest/vectors.h"

enum { NAME_MAX_BYTES = 64 };

/* It becomes a link's name in HDF5, and the end of the features' text. */
static hem_status check_name(const char *name, hem_error *err) {
  size_t size = strlen(name);
  bool fine = size > 0 && size <= NAME_MAX_BYTES && *name != '.' && hem__is_utf8(name) && !strpbrk(name, "/,");
  for (size_t i = 0; i < size && fine; i++) fine = (unsigned char)name[i] >= ' ' && name[i] != 0x7F;
  if (fine) return HEM_OK;
  return hem__fail(err, HEM_EINVAL,
                   "a space's name has 1 to %d bytes, no '/' or ',' or control character, and does not begin with '.'",
                   NAME_MAX_BYTES);
}

hem_status hem__ready_made_new(const char *name, size_t dim, hem__ready_made *out, hem_error *err) {
  hem__ready_made made = {0};
  if (!name) name = "vectors";
  hem_status status = check_name(name, err);
  if (!status) status = hem__strdup(name, &made.name, err);
  if (!status) status = hem__print(&made.features, err, "%s%s", HEM__READY_MADE, name);
  if (!status)
    status = hem__print(&made.recipe, err,
                        "hemline vectors 1\nready-made: as another program gave them\n%s: %zu values\n", name, dim);
  if (status) {
    hem__ready_made_clear(&made);
    return status;
  }
  hem__digest digest = hem__sha256_of(made.recipe, strlen(made.recipe));
  hem__digest_hex(&digest, made.hash);
  *out = made;
  return HEM_OK;
}

void hem__ready_made_clear(hem__ready_made *made) {
  free(made->name);
  free(made->features);
  free(made->recipe);
  *made = (hem__ready_made){0};
}

hem_status hem__ready_made_refuse(const char *features, hem_error *err) {
  if (strncmp(features, HEM__READY_MADE, strlen(HEM__READY_MADE)) != 0) return HEM_OK;
  return hem__fail(
      err, HEM_EUNSUPPORTED,
      "the vectors of '%s' were given ready-made: a photo cannot be embedded like them. Query with a vector "
      "of the same model, or by row",
      features);
}
