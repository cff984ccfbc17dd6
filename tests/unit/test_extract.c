/* Features joined: layout, scale, the recipe and its hash, names that must be refused; and the public embedder. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sha256.h"
#include "base/threads.h"
#include "ingest/extract.h"
#include "ingest/feature.h"
#include "reference/synthetic.h"
#include "test.h"

static const char ALL[] = "hog,color,ccv,harris,hue,pixels";

static hem__extractor *extractor_of(const char *features) {
  hem__extractor *extractor = NULL;
  ck_ok(hem__extractor_new(features, &extractor, err));
  return extractor;
}

/* Freed with free(). */
static float *embed(const hem__extractor *extractor, const hem__image *photo) {
  hem__extractor_scratch *scratch = NULL;
  float *out = NULL;
  ck_ok(hem__extractor_scratch_new(extractor, &scratch, err));
  ck_ok(hem__alloc(hem__extractor_dim(extractor), sizeof *out, "a vector", &out, err));
  ck_ok(hem__extract(extractor, scratch, photo, out, err));
  hem__extractor_scratch_free(scratch);
  return out;
}

static double norm(const float *at, size_t dim) {
  double squares = 0;
  for (size_t i = 0; i < dim; i++) squares += (double)at[i] * (double)at[i];
  return sqrt(squares);
}

START_TEST(blocks_stand_in_the_order_of_the_names) {
  hem__extractor *extractor = extractor_of("pixels,hue,ccv");
  size_t count;
  const hem__block *blocks = hem__extractor_blocks(extractor, &count);
  const hem__feature *const want[] = {&hem__feature_pixels, &hem__feature_hue_histogram, &hem__feature_color_coherence};
  ck_assert_uint_eq(count, 3);
  size_t offset = 0;
  for (size_t i = 0; i < count; i++) {
    ck_assert_str_eq(blocks[i].name, want[i]->name);
    ck_assert_uint_eq(blocks[i].offset, offset);
    ck_assert_uint_eq(blocks[i].dim, want[i]->dim);
    offset += want[i]->dim;
  }
  ck_assert_uint_eq(hem__extractor_dim(extractor), offset);
  ck_assert_str_eq(hem__extractor_features(extractor), "pixels,hue,ccv");
  ck_assert_str_eq(hem__extractor_space(extractor), "pixels+hue+ccv");
  hem__extractor_free(extractor);
}
END_TEST

START_TEST(bad_names_are_refused_with_the_list) {
  static const struct {
    const char *features, *words;
  } cases[] = {{"", "empty feature"},
               {",hog", "empty feature"},
               {"hog,", "empty feature"},
               {"hog,,hue", "empty feature"},
               {"sift", "unknown feature 'sift'"},
               {"hog,hogs", "unknown feature 'hogs'"},
               {"HOG", "unknown feature"},
               {"hog, hue", "unknown feature ' hue'"},
               {"hue,hog,hue", "repeated feature 'hue'"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem__extractor *extractor = NULL;
    ck_fails(hem__extractor_new(cases[i].features, &extractor, err), HEM_EINVAL, cases[i].words);
    ck_fails(hem__extractor_new(cases[i].features, &extractor, err), HEM_EINVAL,
             "hog, color, ccv, harris, hue, pixels");
    ck_assert_ptr_null(extractor);
  }
}
END_TEST

START_TEST(the_hash_names_features_and_order) {
  static const char *const features[] = {"hog", "hue", "hog,hue", "hue,hog", "hog,hue,ccv"};
  enum { COUNT = sizeof features / sizeof *features };
  char hashes[COUNT][65];
  for (size_t i = 0; i < COUNT; i++) {
    hem__extractor *one = extractor_of(features[i]), *two = extractor_of(features[i]);
    const char *recipe = hem__extractor_recipe(one);
    hem__digest digest = hem__sha256_of(recipe, strlen(recipe));
    hem__digest_hex(&digest, hashes[i]);
    ck_assert_str_eq(hem__extractor_hash(one), hashes[i]);
    ck_assert_str_eq(hem__extractor_hash(two), hashes[i]);
    for (size_t j = 0; j < i; j++) ck_assert_str_ne(hashes[i], hashes[j]);
    hem__extractor_free(one);
    hem__extractor_free(two);
  }
}
END_TEST

START_TEST(the_recipe_holds_every_feature) {
  hem__extractor *extractor = extractor_of("ccv,hue");
  const char *recipe = hem__extractor_recipe(extractor);
  ck_assert_ptr_nonnull(strstr(recipe, hem__feature_color_coherence.recipe));
  ck_assert_ptr_nonnull(strstr(recipe, hem__feature_hue_histogram.recipe));
  ck_assert_ptr_nonnull(strstr(recipe, "L2 norm"));
  ck_assert(strstr(recipe, "1 ccv") < strstr(recipe, "2 hue"));
  hem__extractor_free(extractor);
  extractor = extractor_of("hue");
  ck_assert_ptr_null(strstr(hem__extractor_recipe(extractor), "L2 norm"));
  hem__extractor_free(extractor);
}
END_TEST

/* What the feature itself writes for the photo at its own size. Freed with free(). */
static float *alone(const char *name, const hem__image *photo) {
  hem__extractor *extractor = extractor_of(name);
  float *out = embed(extractor, photo);
  hem__extractor_free(extractor);
  return out;
}

START_TEST(one_feature_keeps_its_scale) {
  hem__image photo = synthetic(28, 28, 0);
  float *got = alone("pixels", &photo), want[784];
  hem__feature_pixels.extract(&photo, NULL, want);
  ck_assert_mem_eq(got, want, sizeof want);
  free(got);
  hem__image_clear(&photo);
}
END_TEST

START_TEST(each_block_is_its_feature_scaled_to_length_one) {
  hem__image photo = synthetic(90, 120, 1);
  hem__extractor *extractor = extractor_of(ALL);
  float *all = embed(extractor, &photo);
  size_t count;
  const hem__block *blocks = hem__extractor_blocks(extractor, &count);
  ck_assert_uint_eq(count, 6);
  for (size_t i = 0; i < count; i++) {
    const float *block = all + blocks[i].offset;
    float *own = alone(blocks[i].name, &photo);
    double length = norm(own, blocks[i].dim);
    ck_assert_double_eq_tol(norm(block, blocks[i].dim), 1, 1e-5);
    for (size_t j = 0; j < blocks[i].dim; j++)
      ck_assert_double_eq_tol((double)block[j] * length, (double)own[j], 1e-5 * length);
    free(own);
  }
  free(all);
  hem__extractor_free(extractor);
  hem__image_clear(&photo);
}
END_TEST

START_TEST(flat_and_noisy_photos_stay_finite) {
  hem__extractor *extractor = extractor_of(ALL);
  size_t dim = hem__extractor_dim(extractor), count;
  const hem__block *blocks = hem__extractor_blocks(extractor, &count);
  uint64_t state = 1;
  for (int kind = 0; kind < 3; kind++) {
    hem__image photo = synthetic(70, 50, 0);
    for (size_t i = 0; i < (size_t)70 * 50 * 3; i++)
      photo.at[i] = kind == 0 ? 0 : kind == 1 ? 255 : (uint8_t)hem__test_random(&state);
    float *got = embed(extractor, &photo);
    for (size_t i = 0; i < dim; i++) ck_assert_msg(isfinite(got[i]), "kind %d, value %zu", kind, i);
    for (size_t i = 0; i < count; i++) { /* zero, as hue is of a flat photo, or of length one */
      double length = norm(got + blocks[i].offset, blocks[i].dim);
      ck_assert(length == 0 || fabs(length - 1) < 1e-5);
      if (kind < 2 && strcmp(blocks[i].name, "hue") == 0) ck_assert_double_eq(length, 0);
    }
    free(got);
    hem__image_clear(&photo);
  }
  hem__extractor_free(extractor);
}
END_TEST

enum { PHOTOS = 6, RUNS = 48 };

typedef struct race {
  const hem__extractor *extractors[2];
  hem__extractor_scratch *scratch[2][4]; /* one for each extractor and worker */
  hem__image photos[PHOTOS];
  float *want[PHOTOS];
  bool same[RUNS];
} race;

static void extract_one(void *context, size_t i, size_t worker) {
  race *all = context;
  const hem__extractor *extractor = all->extractors[i % 2];
  size_t bytes = hem__extractor_dim(extractor) * sizeof(float), photo = i % PHOTOS;
  float *got = malloc(bytes);
  all->same[i] = got && !hem__extract(extractor, all->scratch[i % 2][worker], &all->photos[photo], got, NULL) &&
                 !memcmp(got, all->want[photo], bytes);
  free(got);
}

START_TEST(extractors_and_threads_agree_bit_for_bit) {
  hem__extractor *one = extractor_of(ALL), *two = extractor_of(ALL);
  race all = {.extractors = {one, two}};
  for (size_t i = 0; i < PHOTOS; i++) {
    all.photos[i] = synthetic(40 + 30 * i, 50 + 9 * i, i);
    all.want[i] = embed(one, &all.photos[i]);
  }
  for (size_t i = 0; i < 8; i++)
    ck_ok(hem__extractor_scratch_new(all.extractors[i / 4], &all.scratch[i / 4][i % 4], err));
  ck_ok(hem__parallel_for(RUNS, 4, extract_one, &all, err));
  for (size_t i = 0; i < RUNS; i++) ck_assert_msg(all.same[i], "run %zu differs", i);
  for (size_t i = 0; i < 8; i++) hem__extractor_scratch_free(all.scratch[i / 4][i % 4]);
  for (size_t i = 0; i < PHOTOS; i++) {
    hem__image_clear(&all.photos[i]);
    free(all.want[i]);
  }
  hem__extractor_free(one);
  hem__extractor_free(two);
}
END_TEST

START_TEST(an_embedder_embeds_a_file_as_the_extractor_does) {
  hem__image photo = synthetic(80, 60, 0);
  uint8_t *png = NULL;
  size_t size;
  if (hem__image_png(&photo, &png, &size, NULL) == HEM_EUNSUPPORTED) {
    puts("built without libvips: the embedder is not tested");
    hem__image_clear(&photo);
    return;
  }
  char *path = hem__test_path(hem__test_folder(), "dress.jpg"); /* told by content: the name may lie */
  FILE *file = fopen(path, "wb");
  ck_assert_uint_eq(fwrite(png, 1, size, file), size);
  fclose(file);

  hem_embedder *embedder = NULL;
  hem__extractor *extractor = extractor_of("color,hog");
  ck_ok(hem_embedder_new("color,hog", &embedder, err));
  size_t dim = hem_embedder_dim(embedder);
  ck_assert_uint_eq(dim, hem__extractor_dim(extractor));
  ck_assert_str_eq(hem_embedder_hash(embedder), hem__extractor_hash(extractor));
  float *want = embed(extractor, &photo), *got = malloc(dim * sizeof *got);
  ck_ok(hem_embedder_photo(embedder, path, got, err));
  ck_assert_mem_eq(got, want, dim * sizeof *got);
  ck_fails(hem_embedder_photo(embedder, "/nowhere/coat.jpg", got, err), HEM_ENOTFOUND, "/nowhere/coat.jpg");
  ck_assert_int_eq(truncate(path, (off_t)size / 2), 0);
  ck_fails(hem_embedder_photo(embedder, path, got, err), HEM_ECORRUPT, "dress.jpg");

  hem_embedder_free(embedder);
  hem__extractor_free(extractor);
  hem__image_clear(&photo);
  free(png), free(path), free(want), free(got);
}
END_TEST

/* The bytes of a photo as PNG; skips the test, by NULL, where there is no libvips. */
static uint8_t *png_of(const hem__image *photo, size_t *size) {
  uint8_t *png = NULL;
  if (hem__image_png(photo, &png, size, NULL) == HEM_EUNSUPPORTED) puts("built without libvips: not tested");
  return png;
}

START_TEST(bytes_are_embedded_as_a_cropped_photo_is) {
  hem__image photo = synthetic(80, 60, 0), part = {0};
  size_t size;
  uint8_t *png = png_of(&photo, &size);
  hem_embedder *embedder = NULL;
  hem__extractor *extractor = extractor_of("color,hog");
  ck_ok(hem_embedder_new("color,hog", &embedder, err));
  size_t dim = hem_embedder_dim(embedder);
  float *want = embed(extractor, &photo), *got = malloc(dim * sizeof *got);
  if (png) {
    ck_ok(hem_embedder_bytes(embedder, png, size, NULL, NULL, got, err));
    ck_assert_mem_eq(got, want, dim * sizeof *got);
    uint64_t decode = 0, embed_ns = 0;
    hem_embedder_times(embedder, &decode, &embed_ns);
    ck_assert_uint_gt(decode, 0);
    ck_assert_uint_gt(embed_ns, 0);
    free(want);
    /* The same part three ways: pixels, pixels to be rounded and cut off at the edge, parts. */
    ck_ok(hem__image_crop(&photo, (hem__box){.x = 20, .y = 15, .width = 60, .height = 30}, &part, err));
    want = embed(extractor, &part);
    const hem_box boxes[] = {{20, 15, 60, 30, false}, {20.4, 14.6, 1000, 30.2, false}, {0.25, 0.25, 0.75, 0.5, true}};
    for (size_t i = 0; i < 3; i++) {
      ck_ok(hem_embedder_bytes(embedder, png, size, "dress", &boxes[i], got, err));
      ck_assert_mem_eq(got, want, dim * sizeof *got);
    }
  }
  hem_embedder_free(embedder);
  hem__extractor_free(extractor);
  hem__image_clear(&photo);
  hem__image_clear(&part);
  free(png), free(want), free(got);
}
END_TEST

START_TEST(boxes_that_make_no_sense_are_refused) {
  hem__image photo = synthetic(80, 60, 0);
  size_t size;
  uint8_t *png = png_of(&photo, &size);
  hem_embedder *embedder = NULL;
  ck_ok(hem_embedder_new("color", &embedder, err));
  float *got = calloc(hem_embedder_dim(embedder), sizeof *got);
  const hem_box wrong[] = {{0, 0, 0, 0, false},        {0, 0, 10, 0.4, false},  {-1, 0, 10, 10, false},
                           {0, NAN, 10, 10, false},    {0, 0, 10, INFINITY, 0}, {0, 0, 3e9, 10, false},
                           {0.5, 0.5, 1.5, 0.5, true}, {0, 0, 1e-7, 1, true},   {0, 0, NAN, 1, true}};
  for (size_t i = 0; png && i < sizeof wrong / sizeof *wrong; i++)
    ck_fails(hem_embedder_bytes(embedder, png, size, "skirt", &wrong[i], got, err), HEM_EINVAL, "skirt: a box");
  if (png) {
    ck_fails(hem_embedder_bytes(embedder, png, size, "skirt", &(hem_box){80, 0, 5, 5, false}, got, err), HEM_EINVAL,
             "skirt: box 80,0 of 5 x 5 leaves nothing");
    ck_fails(hem_embedder_bytes(embedder, png, size / 2, "skirt", NULL, got, err), HEM_ECORRUPT, "skirt");
    uint64_t decode = 0, embed_ns = 1;
    hem_embedder_times(embedder, &decode, &embed_ns);
    ck_assert_uint_gt(decode, 0);
    ck_assert_uint_eq(embed_ns, 0);
  }
  ck_fails(hem_embedder_bytes(embedder, "soup", 4, NULL, NULL, got, err), HEM_EUNSUPPORTED, "the photo");
  ck_fails(hem_embedder_bytes(embedder, got, SIZE_MAX, NULL, NULL, got, err), HEM_EINVAL, "no photo");
  ck_fails(hem_embedder_bytes(embedder, NULL, 4, NULL, NULL, got, err), HEM_EINVAL, "NULL");
  for (size_t i = 0; i < hem_embedder_dim(embedder); i++) ck_assert(got[i] == 0);
  hem_embedder_free(embedder);
  hem__image_clear(&photo);
  free(png), free(got);
}
END_TEST

START_TEST(an_embedder_refuses_nonsense) {
  hem_embedder *embedder = NULL;
  ck_fails(hem_embedder_new("hog,nose", &embedder, err), HEM_EINVAL, "'nose'");
  ck_fails(hem_embedder_new(NULL, &embedder, err), HEM_EINVAL, "NULL");
  ck_fails(hem_embedder_new("vectors:mine", &embedder, err), HEM_EUNSUPPORTED, "ready-made");
  ck_fails(hem_embedder_photo(NULL, "x", NULL, err), HEM_EINVAL, "NULL");
  ck_assert_ptr_null(embedder);
  hem_embedder_free(NULL);
  hem__extractor_free(NULL);
  hem__extractor_scratch_free(NULL);
}
END_TEST

HEM_TESTS("extract", blocks_stand_in_the_order_of_the_names, bad_names_are_refused_with_the_list,
          the_hash_names_features_and_order, the_recipe_holds_every_feature, one_feature_keeps_its_scale,
          each_block_is_its_feature_scaled_to_length_one, flat_and_noisy_photos_stay_finite,
          extractors_and_threads_agree_bit_for_bit, an_embedder_embeds_a_file_as_the_extractor_does,
          bytes_are_embedded_as_a_cropped_photo_is, boxes_that_make_no_sense_are_refused, an_embedder_refuses_nonsense)
