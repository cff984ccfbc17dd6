/* Networks run by ONNX Runtime: values against the same arithmetic done here, texts, preprocessing, spaces, refusals.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/threads.h"
#include "ingest/extract.h"
#include "ingest/network.h"
#include "ingest/preprocess.h"
#include "reference/synthetic.h"
#include "support/make_onnx.h"
#include "test.h"

enum { SIDE = 8 };

/* One folder for all tests. */
static const char *folder(void) {
  static const char *made;
  if (!made) made = hem__test_folder();
  return made;
}

static const hem__make_shape SCORES = {2, {1, 5}}, FEATURE = {2, {1, HEM__BODY_DIM}};

/* A classifier on the body; returns "<folder>/<name>", freed with free(). `change` may add to it first. */
static char *make_classifier(const char *name, int64_t side, void (*change)(hem__make_onnx *)) {
  hem__make_onnx onnx = {0};
  char *path = hem__test_path(folder(), name);
  hem__make_body(&onnx, side);
  hem__make_weights(&onnx, "fc.w", (hem__make_shape){2, {HEM__BODY_DIM, 5}});
  hem__make_node(&onnx, "Gemm", "flat fc.w", "scores", NULL);
  hem__make_value(&onnx, HEM__MAKE_OUTPUT, "scores", &SCORES);
  if (change) change(&onnx);
  hem__make_file(&onnx, path);
  return path;
}

/* "onnx:<path><options>", freed with free(). */
static char *text_of(const char *path, const char *options) {
  char *text = NULL;
  ck_ok(hem__print(&text, err, "onnx:%s%s", path, options));
  return text;
}

static hem_status try_open(const char *path, const char *options, hem__network **out, hem_error *err) {
  char *text = text_of(path, options);
  hem_status status = hem__network_open(text, strlen(text), out, err);
  free(text);
  return status;
}

static void refused(const char *path, const char *options, hem_status status, const char *words) {
  hem__network *network = NULL;
  ck_fails(try_open(path, options, &network, err), status, words);
  ck_assert_ptr_null(network);
}

/* The space's vector of a photo, freed with free(). */
static float *embed(const char *features, const hem__image *photo, size_t *dim) {
  hem__extractor *extractor = NULL;
  hem__extractor_scratch *scratch = NULL;
  float *out = NULL;
  ck_ok(hem__extractor_new(features, &extractor, err));
  ck_ok(hem__extractor_scratch_new(extractor, &scratch, err));
  *dim = hem__extractor_dim(extractor);
  ck_ok(hem__alloc(*dim, sizeof *out, "a vector", &out, err));
  ck_ok(hem__extract(extractor, scratch, photo, out, err));
  hem__extractor_scratch_free(scratch);
  hem__extractor_free(extractor);
  return out;
}

/* What the body makes of a photo, by this file's own arithmetic. */
static void expected(const hem__image *photo, const char *preprocess, float out[HEM__BODY_DIM]) {
  hem__preprocess p = {0};
  float tensor[3 * SIDE * SIDE];
  ck_ok(hem__preprocess_parse(preprocess, &p, err));
  ck_ok(hem__preprocess_apply(&p, photo, tensor, err));
  hem__body_feature(tensor, SIDE, out);
}

static const char GUESSED[] =
    "fit=shorter resize=9 crop=8 filter=bilinear scale=255 mean=0.485,0.456,0.406 std=0.229,0.224,0.225";

static void expect_values(const char *features, const char *preprocess) {
  hem__image photo = synthetic(30, 20, 1);
  float want[HEM__BODY_DIM];
  size_t dim;
  float *got = embed(features, &photo, &dim);
  expected(&photo, preprocess, want);
  ck_assert_uint_eq(dim, HEM__BODY_DIM);
  for (size_t i = 0; i < dim; i++) ck_assert_float_eq_tol(got[i], want[i], 1e-5F);
  free(got);
  hem__image_clear(&photo);
}

START_TEST(the_feature_is_computed_though_the_file_does_not_put_it_out) {
  char *path = make_classifier("plain.onnx", SIDE, NULL), *text = text_of(path, "");
  expect_values(text, GUESSED);
  free(text);
  text = text_of(path, "?layer=pooled"); /* 1 x 6 x 1 x 1 */
  expect_values(text, GUESSED);
  free(text);
  text = text_of(path, "?preprocess=order=bgr%20fit=stretch");
  expect_values(text, "fit=stretch crop=8 scale=255 mean=0.485,0.456,0.406 std=0.229,0.224,0.225 order=bgr");
  free(text);
  free(path);
}
END_TEST

static void add_metadata(hem__make_onnx *onnx) {
  hem__make_metadata(onnx, "hemline.preprocess", "fit=stretch scale=1 mean=128,128,128 std=64,64,64");
  hem__make_metadata(onnx, "hemline.layer", "pooled");
}

START_TEST(the_models_own_word_comes_before_the_guess_and_the_users_before_that) {
  char *path = make_classifier("own.onnx", SIDE, add_metadata), *text = text_of(path, "");
  hem__network *network = NULL;
  ck_ok(hem__network_open(text, strlen(text), &network, err));
  ck_assert_ptr_nonnull(strstr(hem__network_about(network), "tensor 'pooled' (as the model's metadata say), 6 values"));
  ck_assert_ptr_nonnull(strstr(hem__network_about(network), "fit=stretch"));
  hem__network_close(network);
  expect_values(text, "fit=stretch crop=8 scale=1 mean=128,128,128 std=64,64,64");
  free(text);
  text = text_of(path, "?preprocess=std=32%2C32%2C32");
  expect_values(text, "fit=stretch crop=8 scale=1 mean=128,128,128 std=32,32,32");
  free(text);
  free(path);
}
END_TEST

/* Any size: then the preprocessing says which. */
START_TEST(a_model_of_any_size_takes_the_size_asked_for) {
  char *path = make_classifier("any.onnx", -1, NULL), *text = text_of(path, "?preprocess=crop=8%20resize=9");
  expect_values(text, GUESSED);
  free(text);
  free(path);
}
END_TEST

/* Colours last: a Transpose leads into the body. */
START_TEST(the_layout_is_the_models) {
  static const int64_t order[] = {0, 3, 1, 2};
  hem__make_onnx onnx = {0};
  hem__pb attributes = {0};
  char *path = hem__test_path(folder(), "nhwc.onnx"), *text = text_of(path, "");
  hem__make_value(&onnx, HEM__MAKE_INPUT, "photo", &(hem__make_shape){4, {-1, SIDE, SIDE, 3}});
  hem__make_ints(&attributes, "perm", order, 4);
  hem__make_node(&onnx, "Transpose", "photo", "image", &attributes);
  hem__make_weights(&onnx, "conv.w", (hem__make_shape){4, {HEM__BODY_DIM, 3, 3, 3}});
  hem__make_node(&onnx, "Conv", "image conv.w", "conv", NULL);
  hem__make_node(&onnx, "Relu", "conv", "relu", NULL);
  hem__make_node(&onnx, "GlobalAveragePool", "relu", "pooled", NULL);
  hem__make_node(&onnx, "Flatten", "pooled", "flat", NULL);
  hem__make_value(&onnx, HEM__MAKE_OUTPUT, "flat", &FEATURE);
  hem__make_file(&onnx, path);
  expect_values(text, GUESSED);
  refused(path, "?preprocess=layout=nchw", HEM_EINVAL, "takes layout=nhwc");
  free(text);
  free(path);
}
END_TEST

/* ---- identity ---- */

static void hash_of(const char *features, char hash[65], char space[64]) {
  hem__extractor *extractor = NULL;
  ck_ok(hem__extractor_new(features, &extractor, err));
  strcpy(hash, hem__extractor_hash(extractor));
  snprintf(space, 64, "%s", hem__extractor_space(extractor));
  hem__extractor_free(extractor);
}

static void copy_file(const char *from, const char *to) {
  hem__map map;
  ck_ok(hem__map_open(from, &map, err));
  FILE *file = fopen(to, "wb");
  ck_assert(file && fwrite(map.at, 1, map.size, file) == map.size && fclose(file) == 0);
  hem__map_close(&map);
}

START_TEST(a_space_is_its_bytes_layer_and_preprocessing_not_its_place) {
  static const char *const options[] = {"", "?layer=pooled", "?preprocess=order=bgr", "?normalise=l2"};
  char *path = make_classifier("dress net,v1.onnx", SIDE, NULL), *moved = hem__test_path(folder(), "moved.onnx");
  char hashes[6][65], space[64];
  for (size_t i = 0; i < 4; i++) {
    char *encoded = NULL, *text = NULL;
    ck_ok(hem__network_spec(&(hem__network_parts){.model = path}, &encoded, err));
    ck_assert_ptr_null(strpbrk(encoded, " ,"));
    ck_ok(hem__print(&text, err, "%s%s", encoded, options[i]));
    hash_of(text, hashes[i], space);
    ck_assert_str_eq(space, "dress_net_v1");
    for (size_t j = 0; j < i; j++) ck_assert_str_ne(hashes[i], hashes[j]);
    free(encoded);
    free(text);
  }
  copy_file(path, moved);
  char *text = text_of(moved, "");
  hash_of(text, hashes[4], space);
  ck_assert_str_eq(hashes[4], hashes[0]);
  ck_assert_str_eq(space, "moved");
  free(text);
  free(make_classifier("moved.onnx", SIDE, add_metadata)); /* other bytes, in the same place */
  text = text_of(moved, "?layer=flat");
  hash_of(text, hashes[5], space);
  for (size_t j = 0; j < 5; j++) ck_assert_str_ne(hashes[5], hashes[j]);
  free(text);
  free(path);
  free(moved);
}
END_TEST

START_TEST(a_network_among_white_box_features_is_one_block_of_length_one) {
  char *path = make_classifier("mixed.onnx", SIDE, NULL), *features = NULL;
  hem__image photo = synthetic(40, 60, 2);
  size_t dim, count;
  ck_ok(hem__print(&features, err, "color,onnx:%s,hue", path));
  hem__extractor *extractor = NULL;
  ck_ok(hem__extractor_new(features, &extractor, err));
  ck_assert_str_eq(hem__extractor_space(extractor), "color+mixed+hue");
  ck_assert_str_eq(hem__extractor_features(extractor), features);
  ck_assert_ptr_nonnull(strstr(hem__extractor_recipe(extractor), "\n2 network 1, "));
  ck_assert_ptr_nonnull(strstr(hem__extractor_recipe(extractor), "stretched"));
  const hem__block *blocks = hem__extractor_blocks(extractor, &count);
  ck_assert_uint_eq(count, 3);
  ck_assert_uint_eq(blocks[1].dim, HEM__BODY_DIM);
  float *got = embed(features, &photo, &dim), want[HEM__BODY_DIM];
  expected(&photo, GUESSED, want);
  double squares = 0;
  for (size_t i = 0; i < HEM__BODY_DIM; i++) squares += (double)want[i] * (double)want[i];
  for (size_t i = 0; i < HEM__BODY_DIM; i++)
    ck_assert_double_eq_tol((double)got[blocks[1].offset + i], (double)want[i] / sqrt(squares), 1e-5);
  hem__extractor_free(extractor);
  free(features);
  ck_ok(hem__print(&features, err, "onnx:%s,onnx:%s", path, path));
  ck_fails(hem__extractor_new(features, &extractor, err), HEM_EINVAL, "repeated");
  free(features);
  free(got);
  free(path);
  hem__image_clear(&photo);
}
END_TEST

START_TEST(opened_twice_it_is_loaded_once) {
  char *path = make_classifier("shared.onnx", SIDE, NULL);
  hem__network *one = NULL, *two = NULL, *other = NULL;
  ck_ok(try_open(path, "", &one, err));
  ck_ok(try_open(path, "", &two, err));
  ck_ok(try_open(path, "?normalise=l2", &other, err));
  ck_assert_ptr_eq(one, two);
  ck_assert_ptr_ne(one, other);
  hem__network_close(one);
  hem__network_close(other);
  free(make_classifier("shared.onnx", SIDE, add_metadata)); /* replaced: not the one that is open */
  ck_ok(try_open(path, "", &one, err));
  ck_assert_ptr_ne(one, two);
  ck_assert_str_ne(hem__network_recipe(one), hem__network_recipe(two));
  hem__network_close(one);
  hem__network_close(two);
  free(path);
}
END_TEST

/* ---- text ---- */

START_TEST(a_text_is_read_as_it_was_written) {
  hem__network_parts parts = {.model = "/no such/a,b?c&d%e=f.onnx",
                              .preset = "resnet50",
                              .layer = "/x y/Relu:0",
                              .preprocess = "crop=8 resize=9",
                              .l2 = true};
  hem__network_parts got;
  char *text = NULL, *memory = NULL;
  ck_fails(hem__network_spec(&(hem__network_parts){.model = "/m/\xFF.onnx"}, &text, err), HEM_EINVAL, "UTF-8");
  ck_ok(hem__network_spec(&parts, &text, err));
  ck_assert(hem__is_network(text));
  ck_assert_ptr_null(strpbrk(text, ", "));
  ck_ok(hem__network_parse(text, strlen(text), &got, &memory, err));
  ck_assert_str_eq(got.model, parts.model);
  ck_assert_str_eq(got.preset, parts.preset);
  ck_assert_str_eq(got.layer, parts.layer);
  ck_assert_str_eq(got.preprocess, parts.preprocess);
  ck_assert(got.l2);
  free(text);
  free(memory);
}
END_TEST

START_TEST(nonsense_in_a_text_is_refused) {
  static const struct {
    const char *text, *words;
  } cases[] = {{"onnx:", "names no model"},
               {"onnx:a%0", "names no model"},
               {"onnx:a?", "no option ''"},
               {"onnx:a?size=3", "no option 'size'"},
               {"onnx:a?layer", "layer"},
               {"onnx:a?layer=", "empty"},
               {"onnx:a?layer=b&layer=c", "repeated"},
               {"onnx:a?normalise=l1", "l2"},
               {"onnx:a?layer=%zz", "hex"},
               {"onnx:a?preset=resnet51", "resnet50"},
               {"onnx:a%00b", "names no model"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem__network *network = NULL;
    ck_fails(hem__network_open(cases[i].text, strlen(cases[i].text), &network, err), HEM_EINVAL, cases[i].words);
  }
  ck_assert(!hem__is_network("hemnets") && !hem__is_network("hog") && hem__is_network("hemnet,hog"));
  ck_assert(hem__has_network("hog,hemnet") && hem__has_network("onnx:a?x,hog") && !hem__has_network("hog,color"));
}
END_TEST

START_TEST(a_moved_network_is_put_in_its_place) {
  char *text = NULL;
  ck_ok(hem__network_move("hog,onnx:/a/b.onnx?layer=c,hue", "/new place.onnx", &text, err));
  ck_assert_str_eq(text, "hog,onnx:/new%20place.onnx?layer=c,hue");
  free(text);
  ck_ok(hem__network_move("hemnet", "/h.onnx", &text, err));
  ck_assert_str_eq(text, "onnx:/h.onnx");
  free(text);
  ck_fails(hem__network_move("hog,hue", "/h.onnx", &text, err), HEM_EINVAL, "no network");
  ck_fails(hem__network_move("onnx:a,onnx:b", "/h.onnx", &text, err), HEM_EINVAL, "several");
}
END_TEST

/* ---- refusals ---- */

static void make_infinite(hem__make_onnx *onnx) {
  hem__make_node(onnx, "Sub", "flat flat", "zero", NULL);
  hem__make_node(onnx, "Div", "flat zero", "quotient", NULL);
}

static void make_unknown(hem__make_onnx *onnx) { hem__make_node(onnx, "Embroider", "flat", "stitches", NULL); }

START_TEST(what_does_not_fit_is_refused_with_advice) {
  char *path = make_classifier("fits.onnx", SIDE, NULL);
  refused("/nowhere/net.onnx", "", HEM_ENOTFOUND, "--cnn names its new place");
  refused(path, "?preprocess=crop=16", HEM_EINVAL, "takes images of 8 x 8 pixels");
  refused(path, "?preset=resnet50", HEM_EINVAL, "takes images of 8 x 8 pixels");
  refused(path, "?preset=resnet50&preprocess=crop=8%20resize=9", HEM_EINVAL, "it is another network");
  refused(path, "?preset=vgg16&preprocess=crop=8%20resize=9", HEM_EUNSUPPORTED, "fewer fully connected layers");
  refused(path, "?layer=relu", HEM_EUNSUPPORTED, "1 x 6 x 6 x 6, not one vector");
  refused(path, "?layer=nose", HEM_ENOTFOUND, "'flat'");
  free(path);
  path = make_classifier("unknown.onnx", SIDE, make_unknown);
  refused(path, "?layer=stitches", HEM_ECORRUPT, "Embroider");
  hem__network *network = NULL;
  ck_ok(try_open(path, "", &network, err)); /* it lies behind the feature, and is cut off */
  hem__network_close(network);
  free(path);
  hem__make_onnx onnx = {0};
  path = hem__test_path(folder(), "grey.onnx");
  hem__make_value(&onnx, HEM__MAKE_INPUT, "image", &(hem__make_shape){4, {1, 1, SIDE, SIDE}});
  hem__make_node(&onnx, "GlobalAveragePool", "image", "pooled", NULL);
  hem__make_value(&onnx, HEM__MAKE_OUTPUT, "pooled", NULL);
  hem__make_file(&onnx, path);
  refused(path, "", HEM_EUNSUPPORTED, "three colours");
  free(path);
}
END_TEST

START_TEST(values_that_are_not_finite_reject_the_photo) {
  char *path = make_classifier("infinite.onnx", SIDE, make_infinite);
  hem__image photo = synthetic(20, 20, 0);
  hem__network *network = NULL;
  hem__run *run = NULL;
  float out[HEM__BODY_DIM];
  ck_ok(try_open(path, "?layer=quotient", &network, err));
  ck_ok(hem__network_run_new(network, &run, err));
  ck_fails(hem__network_embed(network, run, &photo, out, err), HEM_ECORRUPT, "not finite");
  hem__run_free(run);
  hem__network_close(network);
  hem__image_clear(&photo);
  free(path);
}
END_TEST

START_TEST(hemlines_own_network_is_looked_for_where_the_environment_says) {
  char *path = make_classifier("hemnet.onnx", SIDE, add_metadata), *text = text_of(path, "");
  char own[65], named[65], space[64];
  hem__network *network = NULL;
  setenv("HEMLINE_DATA", "/nowhere", 1);
  ck_fails(hem__network_open("hemnet", 6, &network, err), HEM_ENOTFOUND, "/nowhere");
  setenv("HEMLINE_DATA", folder(), 1);
  hash_of("hemnet", own, space);
  ck_assert_str_eq(space, "hemnet");
  hash_of(text, named, space);
  ck_assert_str_eq(own, named);
  unsetenv("HEMLINE_DATA");
  free(text);
  free(path);
}
END_TEST

/* ---- threads ---- */

enum { PHOTOS = 4, TIMES = 200, WORKERS = 4 };

typedef struct crowd {
  hem__network *network;
  hem__run *runs[WORKERS];
  hem__image photos[PHOTOS];
  float want[PHOTOS][HEM__BODY_DIM];
  bool same[TIMES];
} crowd;

static void embed_one(void *context, size_t i, size_t worker) {
  crowd *c = context;
  float got[HEM__BODY_DIM];
  hem_error err;
  c->same[i] = hem__network_embed(c->network, c->runs[worker], &c->photos[i % PHOTOS], got, &err) == HEM_OK &&
               memcmp(got, c->want[i % PHOTOS], sizeof got) == 0;
}

START_TEST(threads_at_once_get_the_same_bits) {
  char *path = make_classifier("threads.onnx", SIDE, NULL);
  static crowd c;
  ck_ok(try_open(path, "", &c.network, err));
  for (size_t i = 0; i < WORKERS; i++) ck_ok(hem__network_run_new(c.network, &c.runs[i], err));
  for (size_t i = 0; i < PHOTOS; i++) {
    c.photos[i] = synthetic(30 + i, 20, (int)i % 3);
    ck_ok(hem__network_embed(c.network, c.runs[0], &c.photos[i], c.want[i], err));
  }
  ck_assert_mem_ne(c.want[0], c.want[1], sizeof c.want[0]);
  ck_ok(hem__parallel_for(TIMES, WORKERS, embed_one, &c, err));
  for (size_t i = 0; i < TIMES; i++) ck_assert_msg(c.same[i], "photo %zu came out otherwise", i);
  for (size_t i = 0; i < PHOTOS; i++) hem__image_clear(&c.photos[i]);
  for (size_t i = 0; i < WORKERS; i++) hem__run_free(c.runs[i]);
  hem__network_close(c.network);
  free(path);
}
END_TEST

/* 77, CTest's skip, without ONNX Runtime. */
static bool can_run(void) {
  hem__session *session = NULL;
  hem_error err = {0};
  hem__session_config config = {
      .name = "nothing", .bytes = (const uint8_t *)"", .shape = {1, 1, 1, 1}, .input = "x", .output = "y"};
  hem__session_open(&config, &session, &err);
  if (strstr(err.message, "nothing")) return true;
  printf("skipped: %s\n", err.message);
  return false;
}

int main(void) {
  const TTest *const tests[] = {the_feature_is_computed_though_the_file_does_not_put_it_out,
                                the_models_own_word_comes_before_the_guess_and_the_users_before_that,
                                a_model_of_any_size_takes_the_size_asked_for,
                                the_layout_is_the_models,
                                a_space_is_its_bytes_layer_and_preprocessing_not_its_place,
                                a_network_among_white_box_features_is_one_block_of_length_one,
                                opened_twice_it_is_loaded_once,
                                a_text_is_read_as_it_was_written,
                                nonsense_in_a_text_is_refused,
                                a_moved_network_is_put_in_its_place,
                                what_does_not_fit_is_refused_with_advice,
                                values_that_are_not_finite_reject_the_photo,
                                hemlines_own_network_is_looked_for_where_the_environment_says,
                                threads_at_once_get_the_same_bits};
  if (!can_run()) return 77;
  return hem__run_tests("network", tests, sizeof tests / sizeof *tests);
}
