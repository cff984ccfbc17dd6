/* Features joined into one vector, and the text and hash that name the result. Knows no feature's inside. */
#include "ingest/extract.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "ingest/feature.h"

static const hem__feature *const known[] = {
    &hem__feature_hog,    &hem__feature_color_histogram, &hem__feature_color_coherence,
    &hem__feature_harris, &hem__feature_hue_histogram,   &hem__feature_pixels,
};
enum { KNOWN = sizeof known / sizeof *known };

struct hem__extractor {
  const hem__feature *features[KNOWN]; /* static, in the order of the blocks */
  hem__block blocks[KNOWN];
  size_t count, dim;
  size_t scratch; /* bytes: the most that one feature wants */
  char *names, *space, *recipe;
  char hash[65];
};

struct hem__extractor_scratch {
  void *at;
};

/* ---- making ---- */

static hem_status fail_name(const char *problem, const char *name, size_t length, hem_error *err) {
  char list[128] = "";
  for (size_t i = 0, at = 0; i < KNOWN && at < sizeof list; i++)
    at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", known[i]->name);
  return hem__fail(err, HEM_EINVAL, "%s feature '%.*s'; name one or more of %s, joined by commas", problem,
                   (int)hem__min(length, 64), name, list);
}

static const hem__feature *find(const char *name, size_t length) {
  for (size_t i = 0; i < KNOWN; i++)
    if (strlen(known[i]->name) == length && memcmp(known[i]->name, name, length) == 0) return known[i];
  return NULL;
}

static hem_status add(hem__extractor *extractor, const char *name, size_t length, hem_error *err) {
  if (length == 0) return fail_name("empty", name, 0, err);
  const hem__feature *feature = find(name, length);
  if (!feature) return fail_name("unknown", name, length, err);
  for (size_t i = 0; i < extractor->count; i++)
    if (extractor->features[i] == feature) return fail_name("repeated", name, length, err);
  hem__block *block = &extractor->blocks[extractor->count];
  *block = (hem__block){.offset = extractor->dim, .dim = feature->dim};
  snprintf(block->name, sizeof block->name, "%s", feature->name);
  extractor->features[extractor->count++] = feature;
  extractor->dim += feature->dim;
  extractor->scratch = hem__max(extractor->scratch, feature->scratch);
  return HEM_OK;
}

static hem_status parse(hem__extractor *extractor, const char *features, hem_error *err) {
  for (const char *name = features;;) {
    size_t length = strcspn(name, ",");
    hem_status status = add(extractor, name, length, err);
    if (status || name[length] == '\0') return status;
    name += length + 1;
  }
}

/* Every line of the text is an input of the hash: a change of it is another space. */
static hem_status write_recipe(hem__extractor *extractor, hem_error *err) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return hem__fail(err, HEM_ENOMEM, "no memory for the recipe of %s", extractor->names);
  fputs("hemline features 1\n", out);
  fputs("photo: 8-bit sRGB, stretched to side x side; area average to shrink, linear to grow, rounded\n", out);
  for (size_t i = 0; i < extractor->count; i++) {
    const hem__feature *feature = extractor->features[i];
    fprintf(out, "%zu %s: side %zu, %zu values; %s\n", i + 1, feature->name, feature->side, feature->dim,
            feature->recipe);
  }
  fputs(extractor->count > 1 ? "blocks: each divided by its L2 norm, zero blocks stay zero\n" : "values: as they are\n",
        out);
  bool failed = ferror(out) != 0;
  if (fclose(out) != 0 || failed) {
    free(text);
    return hem__fail(err, HEM_ENOMEM, "no memory for the recipe of %s", extractor->names);
  }
  extractor->recipe = text;
  hem__digest digest = hem__sha256_of(text, size);
  hem__digest_hex(&digest, extractor->hash);
  return HEM_OK;
}

hem_status hem__extractor_new(const char *features, hem__extractor **out, hem_error *err) {
  hem__extractor *extractor = NULL;
  hem_status status = hem__alloc(1, sizeof *extractor, "an extractor", &extractor, err);
  if (!status) status = parse(extractor, features, err);
  if (!status) status = hem__strdup(features, &extractor->names, err);
  if (!status) status = hem__strdup(features, &extractor->space, err);
  if (!status) status = write_recipe(extractor, err);
  if (status) goto failed;
  for (char *comma = extractor->space; (comma = strchr(comma, ','));) *comma = '+';
  *out = extractor;
  return HEM_OK;
failed:
  hem__extractor_free(extractor);
  return status;
}

void hem__extractor_free(hem__extractor *extractor) {
  if (!extractor) return;
  free(extractor->names);
  free(extractor->space);
  free(extractor->recipe);
  free(extractor);
}

const char *hem__extractor_features(const hem__extractor *extractor) { return extractor->names; }
const char *hem__extractor_space(const hem__extractor *extractor) { return extractor->space; }
const char *hem__extractor_recipe(const hem__extractor *extractor) { return extractor->recipe; }
const char *hem__extractor_hash(const hem__extractor *extractor) { return extractor->hash; }
size_t hem__extractor_dim(const hem__extractor *extractor) { return extractor->dim; }

const hem__block *hem__extractor_blocks(const hem__extractor *extractor, size_t *count) {
  *count = extractor->count;
  return extractor->blocks;
}

/* ---- extracting ---- */

hem_status hem__extractor_scratch_new(const hem__extractor *extractor, hem__extractor_scratch **out, hem_error *err) {
  hem__extractor_scratch *scratch = NULL;
  hem_status status = hem__alloc(1, sizeof *scratch, "an extractor's scratch", &scratch, err);
  if (!status) status = hem__alloc(extractor->scratch, 1, "an extractor's scratch", &scratch->at, err);
  if (status) goto failed;
  *out = scratch;
  return HEM_OK;
failed:
  hem__extractor_scratch_free(scratch);
  return status;
}

void hem__extractor_scratch_free(hem__extractor_scratch *scratch) {
  if (!scratch) return;
  free(scratch->at);
  free(scratch);
}

static void normalise(float *block, size_t dim) {
  double squares = 0;
  for (size_t i = 0; i < dim; i++) squares += (double)block[i] * (double)block[i];
  if (squares == 0) return;
  double scale = 1 / sqrt(squares);
  for (size_t i = 0; i < dim; i++) block[i] = (float)((double)block[i] * scale);
}

/* Every feature from `first` on that wants this size of canvas. */
static void extract_same_side(const hem__extractor *extractor, size_t first, hem__extractor_scratch *scratch,
                              const hem__image *canvas, float *out) {
  for (size_t i = first; i < extractor->count; i++) {
    const hem__feature *feature = extractor->features[i];
    if (feature->side != canvas->width) continue;
    float *block = out + extractor->blocks[i].offset;
    feature->extract(canvas, scratch->at, block);
    if (extractor->count > 1) normalise(block, feature->dim);
  }
}

static bool side_is_new(const hem__extractor *extractor, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (extractor->features[j]->side == extractor->features[i]->side) return false;
  return true;
}

hem_status hem__extract(const hem__extractor *extractor, hem__extractor_scratch *scratch, const hem__image *photo,
                        float *out, hem_error *err) {
  for (size_t i = 0; i < extractor->count; i++) {
    if (!side_is_new(extractor, i)) continue;
    size_t side = extractor->features[i]->side;
    hem__image canvas = {0};
    hem_status status = hem__image_resize(photo, side, side, &canvas, err);
    if (status) return status;
    extract_same_side(extractor, i, scratch, &canvas, out);
    hem__image_clear(&canvas);
  }
  return HEM_OK;
}
