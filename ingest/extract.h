/* An embedding space: which features, in what order, how normalised; its name and its hash. */
#ifndef HEM_INGEST_EXTRACT_H
#define HEM_INGEST_EXTRACT_H

#include "ingest/image.h"

enum { HEM__BLOCKS_MAX = 16 }; /* features of one space */

/* One feature's place in the concatenated vector. */
typedef struct hem__block {
  char name[32];
  size_t offset, dim;
} hem__block;

/* Immutable once made; shared by threads. */
typedef struct hem__extractor hem__extractor;
/* One thread's working memory for one extractor. */
typedef struct hem__extractor_scratch hem__extractor_scratch;

/* `features`: names joined by commas, each once: "hog,color,ccv,harris"; networks (network.h) stand among them. A
 * single feature keeps its own scale; of several, each block is normalised by itself so that none drowns the others.
 * Errors: EINVAL (unknown, repeated or no feature: the message lists those there are), ENOMEM, those of
 * hem__network_open. */
hem_status hem__extractor_new(const char *features, hem__extractor **out, hem_error *err);
void hem__extractor_free(hem__extractor *extractor);

const char *hem__extractor_features(const hem__extractor *extractor); /* "hog,color,ccv,harris"; makes it again */
const char *hem__extractor_space(const hem__extractor *extractor);    /* the space's name: the blocks', joined by '+' */
const char *hem__extractor_about(const hem__extractor *extractor);    /* a line for each network, for people */
const char *hem__extractor_recipe(const hem__extractor *extractor);   /* text: all that shapes the vectors */
const char *hem__extractor_hash(const hem__extractor *extractor);     /* SHA-256 of the recipe, hex */
size_t hem__extractor_dim(const hem__extractor *extractor);
const hem__block *hem__extractor_blocks(const hem__extractor *extractor, size_t *count);

hem_status hem__extractor_scratch_new(const hem__extractor *extractor, hem__extractor_scratch **out, hem_error *err);
void hem__extractor_scratch_free(hem__extractor_scratch *scratch);

/* Writes hem__extractor_dim() finite floats. Deterministic. Errors: ENOMEM, those of hem__network_embed. */
hem_status hem__extract(const hem__extractor *extractor, hem__extractor_scratch *scratch, const hem__image *photo,
                        float *out, hem_error *err);

#endif
