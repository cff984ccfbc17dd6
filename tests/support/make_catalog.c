#include "support/make_catalog.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void hem__made_add(hem__made *made, hem__photo photo, const float *vector) {
  char item[32], path[32];
  size_t row = made->photos.count;
  snprintf(item, sizeof item, "item-%06zu", row);
  snprintf(path, sizeof path, "photo-%zu", row);
  if (!photo.item_id) photo.item_id = item;
  if (!photo.category) photo.category = "all";
  if (!photo.label) photo.label = "";
  if (!photo.path) photo.path = path;
  photo.width = photo.height = 1;
  ck_ok(hem__photos_add(&made->photos, &photo, err));
  ck_ok(hem__grow(&made->vectors, &made->capacity, (row + 1) * made->dim, sizeof(float), "vectors", err));
  memcpy(made->vectors + row * made->dim, vector, made->dim * sizeof(float));
}

const float *hem__made_vector(const hem__made *made, size_t row) { return made->vectors + row * made->dim; }

void hem__made_seal(const hem__made *made, const char *path) {
  static const char recipe[] = "made up by a test";
  hem__digest digest = hem__sha256_of(recipe, strlen(recipe));
  char hash[65];
  hem__digest_hex(&digest, hash);
  hem__space space = {.name = "made", .features = "made", .recipe = recipe, .hash = hash, .dim = made->dim};
  space.block_count = made->block_count ? made->block_count : 1;
  space.blocks[0] = (hem__block){.name = "made", .dim = made->dim};
  if (made->block_count) memcpy(space.blocks, made->blocks, sizeof space.blocks);
  hem__matrix vectors = {.at = made->vectors, .rows = made->photos.count, .dim = made->dim};
  hem__catalog_part part = {.photos = made->photos.at, .count = made->photos.count, .vectors = &vectors};
  hem__photos none = {0};
  hem__catalog_content content = {
      .spaces = &space, .space_count = 1, .parts = &part, .part_count = 1, .rejected = &none, .threads = 1};
  ck_ok(hem__catalog_seal(path, &content, err));
}

void hem__made_clear(hem__made *made) {
  hem__photos_clear(&made->photos);
  free(made->vectors);
  *made = (hem__made){.dim = made->dim};
}

char *hem__made_store(const hem__made *made, const char *folder, const char *store, hem_index_options options) {
  char *catalog = hem__test_path(folder, "catalog.h5"), *path = hem__test_path(folder, store);
  hem__made_seal(made, catalog);
  options.size = sizeof options;
  options.catalog = catalog;
  options.store = path;
  ck_ok(hem_index(&options, err));
  free(catalog);
  return path;
}

void hem__test_signs(uint64_t *state, size_t dim, float *out) {
  for (size_t i = 0; i < dim; i++) out[i] = hem__test_random(state) & 1 ? 1 : -1;
}

float hem__test_normal(uint64_t *state) {
  /* Box and Muller 1958 */
  float radius = sqrtf(-2 * logf(1 - hem__test_uniform(state)));
  return radius * cosf(6.2831853F * hem__test_uniform(state));
}
