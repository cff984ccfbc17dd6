#include "query/embed.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ingest/network.h"

static hem_status check_space(const hem_engine_info *info, const char *features, const hem_embedder *embedder,
                              hem_error *err) {
  const char *hash = hem_embedder_hash(embedder);
  if (!strcmp(hash, info->space_hash)) return HEM_OK;
  return hem__fail(err, HEM_EMISMATCH, "'%.200s' is another space (%.12s) than the store's (%.12s): %s", features, hash,
                   info->space_hash,
                   hem__has_network(features) ? "name the network it was built with (--cnn), or ingest and index again"
                                              : "ingest and index again");
}

hem_status hem__embedder_of(const hem_engine_info *info, const char *cnn, char **features, hem_embedder **out,
                            hem_error *err) {
  char *text = NULL;
  hem_embedder *embedder = NULL;
  hem_status status = cnn ? hem__network_move(info->features, cnn, &text, err) : HEM_OK;
  if (!status && !text) status = hem__strdup(info->features, &text, err);
  if (!status) status = hem_embedder_new(text, &embedder, err);
  if (!status) status = check_space(info, text, embedder, err);
  if (status) {
    hem_embedder_free(embedder);
  } else {
    *out = embedder;
    if (features) {
      *features = text;
      text = NULL;
    }
  }
  free(text);
  return status;
}
