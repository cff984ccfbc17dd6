/* Catalogues and stores of made-up vectors: what index/ and query/ are tested with, without photos. */
#ifndef HEM_TESTS_SUPPORT_MAKE_CATALOG_H
#define HEM_TESTS_SUPPORT_MAKE_CATALOG_H

#include "ingest/catalog.h"
#include "test.h"

/* A catalogue in the making: photos and one vector for each. Start it with {.dim = D}. */
typedef struct hem__made {
  size_t dim;
  hem__photos photos;
  float *vectors;
  size_t capacity; /* of vectors, in floats */
  hem__block blocks[HEM__BLOCKS_MAX];
  size_t block_count; /* 0: one block, "made" */
} hem__made;

/* Copies a photo and its vector. What is NULL or zero in `photo` becomes: shop, category "all", an item of its own,
 * no label, path "photo-<row>", 1 x 1 pixels. What is rejected in made->photos is sealed too. */
void hem__made_add(hem__made *made, hem__photo photo, const float *vector);
const float *hem__made_vector(const hem__made *made, size_t row);
/* Seals the space "made" as a catalogue file. */
void hem__made_seal(const hem__made *made, const char *path);
void hem__made_clear(hem__made *made);

/* Seals FOLDER/catalog.h5 and indexes it into FOLDER/<store>. Returns the store's path, freed with free(). */
char *hem__made_store(const hem__made *made, const char *folder, const char *store, hem_index_options options);

/* Values 1 and -1: with a dimension that is a power of 4 every distance is a float without error, cosine too, and
 * ties are many. */
void hem__test_signs(uint64_t *state, size_t dim, float *out);
/* Normally distributed, mean 0, variance 1. */
float hem__test_normal(uint64_t *state);

#endif
