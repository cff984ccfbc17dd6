/* Features and networks joined into one vector, and the text and hash that name the result. Knows no feature's inside.
 */
#include "ingest/extract.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "ingest/feature.h"
#include "ingest/network.h"

static const hem__feature *const known[] = {
    &hem__feature_hog,    &hem__feature_color_histogram, &hem__feature_color_coherence,
    &hem__feature_harris, &hem__feature_hue_histogram,   &hem__feature_pixels,
};
enum { KNOWN = sizeof known / sizeof *known };

/* What writes one block: one of the two. */
typedef struct part {
  const hem__feature *feature; /* static */
  hem__network *network;
} part;

struct hem__extractor {
  part parts[HEM__BLOCKS_MAX]; /* in the order of the blocks */
  hem__block blocks[HEM__BLOCKS_MAX];
  size_t count, dim;
  size_t scratch; /* bytes: the most that one feature wants */
  char *names, *space, *recipe, *about;
  char hash[65];
};

struct hem__extractor_scratch {
  void *at;
  hem__run *runs[HEM__BLOCKS_MAX]; /* of the parts that are networks */
};

/* ---- making ---- */

static hem_status fail_name(const char *problem, const char *name, size_t length, hem_error *err) {
  char list[128] = "";
  for (size_t i = 0, at = 0; i < KNOWN && at < sizeof list; i++)
    at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", known[i]->name);
  return hem__fail(err, HEM_EINVAL,
                   "%s feature '%.*s'; name one or more of %s, or a network (onnx:FILE), joined by commas", problem,
                   (int)hem__min(length, 64), name, list);
}

static const hem__feature *find(const char *name, size_t length) {
  for (size_t i = 0; i < KNOWN; i++)
    if (strlen(known[i]->name) == length && memcmp(known[i]->name, name, length) == 0) return known[i];
  return NULL;
}

static void append(hem__extractor *extractor, part made, const char *name, size_t dim) {
  hem__block *block = &extractor->blocks[extractor->count];
  *block = (hem__block){.offset = extractor->dim, .dim = dim};
  snprintf(block->name, sizeof block->name, "%s", name);
  extractor->parts[extractor->count++] = made;
  extractor->dim += dim;
}

/* A network is shared: opened twice, it is the same one. */
static hem_status add_network(hem__extractor *extractor, const char *text, size_t length, hem_error *err) {
  hem__network *network = NULL;
  hem_status status = hem__network_open(text, length, &network, err);
  if (status) return status;
  for (size_t i = 0; i < extractor->count && !status; i++)
    if (extractor->parts[i].network == network) status = fail_name("repeated", text, length, err);
  if (status) {
    hem__network_close(network);
    return status;
  }
  append(extractor, (part){.network = network}, hem__network_name(network), hem__network_dim(network));
  return HEM_OK;
}

static hem_status add(hem__extractor *extractor, const char *name, size_t length, hem_error *err) {
  if (length == 0) return fail_name("empty", name, 0, err);
  if (extractor->count == HEM__BLOCKS_MAX)
    return hem__fail(err, HEM_EINVAL, "one space has at most %d features", HEM__BLOCKS_MAX);
  if (hem__is_network(name)) return add_network(extractor, name, length, err);
  const hem__feature *feature = find(name, length);
  if (!feature) return fail_name("unknown", name, length, err);
  for (size_t i = 0; i < extractor->count; i++)
    if (extractor->parts[i].feature == feature) return fail_name("repeated", name, length, err);
  append(extractor, (part){.feature = feature}, feature->name, feature->dim);
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

/* ---- what it is called ---- */

static void put_names(const hem__extractor *extractor, FILE *out) {
  for (size_t i = 0; i < extractor->count; i++) {
    const part *p = &extractor->parts[i];
    fprintf(out, "%s%s", i ? "," : "", p->network ? hem__network_text(p->network) : p->feature->name);
  }
}

static void put_space(const hem__extractor *extractor, FILE *out) {
  for (size_t i = 0; i < extractor->count; i++) fprintf(out, "%s%s", i ? "+" : "", extractor->blocks[i].name);
}

static void put_about(const hem__extractor *extractor, FILE *out) {
  for (size_t i = 0; i < extractor->count; i++)
    if (extractor->parts[i].network) fprintf(out, "%s\n", hem__network_about(extractor->parts[i].network));
}

static bool is_stretched(const hem__extractor *extractor) {
  for (size_t i = 0; i < extractor->count; i++)
    if (extractor->parts[i].feature) return true;
  return false;
}

/* Every line of the text is an input of the hash: a change of it is another space. */
static void put_recipe(const hem__extractor *extractor, FILE *out) {
  fputs("hemline features 1\n", out);
  if (is_stretched(extractor))
    fputs("photo: 8-bit sRGB, stretched to side x side; area average to shrink, linear to grow, rounded\n", out);
  for (size_t i = 0; i < extractor->count; i++) {
    const part *p = &extractor->parts[i];
    if (p->network) {
      fprintf(out, "%zu %s\n", i + 1, hem__network_recipe(p->network));
    } else {
      fprintf(out, "%zu %s: side %zu, %zu values; %s\n", i + 1, p->feature->name, p->feature->side, p->feature->dim,
              p->feature->recipe);
    }
  }
  if (extractor->count > 1) {
    fputs("blocks: each divided by its L2 norm, zero blocks stay zero\n", out);
  } else if (extractor->parts[0].feature) {
    fputs("values: as they are\n", out);
  }
}

static hem_status write_text(const hem__extractor *extractor, void (*put)(const hem__extractor *, FILE *), char **text,
                             hem_error *err) {
  char *made = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&made, &size);
  if (!out) return hem__fail(err, HEM_ENOMEM, "no memory for the names of features");
  put(extractor, out);
  bool failed = ferror(out) != 0;
  if (fclose(out) != 0 || failed) {
    free(made);
    return hem__fail(err, HEM_ENOMEM, "no memory for the names of features");
  }
  *text = made;
  return HEM_OK;
}

hem_status hem__extractor_new(const char *features, hem__extractor **out, hem_error *err) {
  hem__extractor *extractor = NULL;
  hem_status status = hem__alloc(1, sizeof *extractor, "an extractor", &extractor, err);
  if (!status) status = parse(extractor, features, err);
  if (!status) status = write_text(extractor, put_names, &extractor->names, err);
  if (!status) status = write_text(extractor, put_space, &extractor->space, err);
  if (!status) status = write_text(extractor, put_about, &extractor->about, err);
  if (!status) status = write_text(extractor, put_recipe, &extractor->recipe, err);
  if (status) goto failed;
  hem__digest digest = hem__sha256_of(extractor->recipe, strlen(extractor->recipe));
  hem__digest_hex(&digest, extractor->hash);
  *out = extractor;
  return HEM_OK;
failed:
  hem__extractor_free(extractor);
  return status;
}

void hem__extractor_free(hem__extractor *extractor) {
  if (!extractor) return;
  for (size_t i = 0; i < extractor->count; i++) hem__network_close(extractor->parts[i].network);
  free(extractor->about);
  free(extractor->names);
  free(extractor->space);
  free(extractor->recipe);
  free(extractor);
}

const char *hem__extractor_features(const hem__extractor *extractor) { return extractor->names; }
const char *hem__extractor_space(const hem__extractor *extractor) { return extractor->space; }
const char *hem__extractor_recipe(const hem__extractor *extractor) { return extractor->recipe; }
const char *hem__extractor_about(const hem__extractor *extractor) { return extractor->about; }
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
  for (size_t i = 0; i < extractor->count && !status; i++)
    if (extractor->parts[i].network) status = hem__network_run_new(extractor->parts[i].network, &scratch->runs[i], err);
  if (status) goto failed;
  *out = scratch;
  return HEM_OK;
failed:
  hem__extractor_scratch_free(scratch);
  return status;
}

void hem__extractor_scratch_free(hem__extractor_scratch *scratch) {
  if (!scratch) return;
  for (size_t i = 0; i < HEM__BLOCKS_MAX; i++) hem__run_free(scratch->runs[i]);
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
    const hem__feature *feature = extractor->parts[i].feature;
    if (!feature || feature->side != canvas->width) continue;
    float *block = out + extractor->blocks[i].offset;
    feature->extract(canvas, scratch->at, block);
    if (extractor->count > 1) normalise(block, feature->dim);
  }
}

static bool side_is_new(const hem__extractor *extractor, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (extractor->parts[j].feature && extractor->parts[j].feature->side == extractor->parts[i].feature->side)
      return false;
  return true;
}

static hem_status extract_network(const hem__extractor *extractor, size_t i, hem__extractor_scratch *scratch,
                                  const hem__image *photo, float *out, hem_error *err) {
  const hem__network *network = extractor->parts[i].network;
  float *block = out + extractor->blocks[i].offset;
  hem_status status = hem__network_embed(network, scratch->runs[i], photo, block, err);
  if (!status && (extractor->count > 1 || hem__network_wants_l2(network))) normalise(block, extractor->blocks[i].dim);
  return status;
}

hem_status hem__extract(const hem__extractor *extractor, hem__extractor_scratch *scratch, const hem__image *photo,
                        float *out, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < extractor->count && !status; i++) {
    if (extractor->parts[i].network) {
      status = extract_network(extractor, i, scratch, photo, out, err);
    } else if (side_is_new(extractor, i)) {
      size_t side = extractor->parts[i].feature->side;
      hem__image canvas = {0};
      status = hem__image_resize(photo, side, side, &canvas, err);
      if (!status) extract_same_side(extractor, i, scratch, &canvas, out);
      hem__image_clear(&canvas);
    }
  }
  return status;
}
