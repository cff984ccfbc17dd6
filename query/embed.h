/* Embedding a photo the way a store was built. */
#ifndef HEM_QUERY_EMBED_H
#define HEM_QUERY_EMBED_H

#include "base/status.h"

/* With the store's features, and with the same bytes of its network: `cnn` is where that lies now (NULL: where it was).
 * *features (NULL: not wanted), freed with free(), makes further ones. Errors: those of hem_embedder_new, EMISMATCH
 * (another network). */
hem_status hem__embedder_of(const hem_engine_info *info, const char *cnn, char **features, hem_embedder **out,
                            hem_error *err);

#endif
