/* ONNX files, read: where the feature is found, what is refused, and that damage is met with a sentence. */
#include <stdio.h>
#include <string.h>

#include "ingest/onnx_model.h"
#include "support/make_onnx.h"
#include "test.h"

static hem__make_shape matrix(int64_t rows, int64_t columns) { return (hem__make_shape){2, {rows, columns}}; }

static void make_output(hem__make_onnx *onnx, const char *name, int64_t dim) {
  hem__make_value(onnx, HEM__MAKE_OUTPUT, name, &(hem__make_shape){2, {1, dim}});
}

/* What the model's feature is, by the rules. The caller frees the model. */
static hem__onnx *find(hem__make_onnx *onnx, const char *layer, size_t from_end, hem__onnx_feature *feature) {
  static uint8_t *bytes; /* the model points into them */
  size_t size;
  hem__onnx *model = NULL;
  free(bytes);
  bytes = hem__make_bytes(onnx, &size);
  ck_ok(hem__onnx_read(bytes, size, "test.onnx", &model, err));
  ck_ok(hem__onnx_find_feature(model, layer, from_end, feature, err));
  return model;
}

static void expect(hem__make_onnx *onnx, const char *layer, size_t from_end, const char *tensor, const char *why) {
  hem__onnx_feature feature;
  hem__onnx *model = find(onnx, layer, from_end, &feature);
  ck_assert_str_eq(feature.tensor, tensor);
  ck_assert_msg(strstr(feature.why, why), "'%s' lacks '%s'", feature.why, why);
  hem__onnx_free(model);
}

static void refuses(hem__make_onnx *onnx, const char *layer, size_t from_end, hem_status status, const char *words) {
  size_t size;
  uint8_t *bytes = hem__make_bytes(onnx, &size);
  hem__onnx *model = NULL;
  hem__onnx_feature feature;
  ck_ok(hem__onnx_read(bytes, size, "test.onnx", &model, err));
  ck_fails(hem__onnx_find_feature(model, layer, from_end, &feature, err), status, words);
  hem__onnx_free(model);
  free(bytes);
}

static void unreadable(hem__make_onnx *onnx, hem_status status, const char *words) {
  size_t size;
  uint8_t *bytes = hem__make_bytes(onnx, &size);
  hem__onnx *model = NULL;
  ck_fails(hem__onnx_read(bytes, size, "test.onnx", &model, err), status, words);
  ck_assert_ptr_null(model);
  free(bytes);
}

/* ---- heads ---- */

static void gemm_head(hem__make_onnx *onnx) {
  hem__make_body(onnx, 8);
  hem__make_weights(onnx, "fc.w", matrix(HEM__BODY_DIM, 5));
  hem__make_node(onnx, "Gemm", "flat fc.w", "scores", NULL);
  make_output(onnx, "scores", 5);
}

START_TEST(what_enters_the_last_gemm) {
  hem__make_onnx onnx = {0};
  gemm_head(&onnx);
  expect(&onnx, NULL, 1, "flat", "last fully connected");
}
END_TEST

START_TEST(what_enters_a_matmul_with_add_and_softmax) {
  hem__make_onnx onnx = {0};
  hem__make_body(&onnx, 8);
  hem__make_constant(&onnx, "w0", matrix(HEM__BODY_DIM, 5));
  hem__make_node(&onnx, "Identity", "w0", "w", NULL);
  hem__make_weights(&onnx, "b", (hem__make_shape){1, {5}});
  hem__make_node(&onnx, "Dropout", "flat", "dropped", NULL);
  hem__make_node(&onnx, "MatMul", "dropped w", "product", NULL);
  hem__make_node(&onnx, "Add", "b product", "sum", NULL);
  hem__make_node(&onnx, "Softmax", "sum", "probabilities", NULL);
  make_output(&onnx, "probabilities", 5);
  expect(&onnx, NULL, 1, "dropped", "last fully connected");
}
END_TEST

START_TEST(what_enters_a_convolution_of_one_pixel) {
  hem__make_onnx onnx = {0};
  hem__make_body(&onnx, 8);
  hem__make_weights(&onnx, "w", (hem__make_shape){4, {5, HEM__BODY_DIM, 1, 1}});
  hem__make_node(&onnx, "Conv", "pooled w", "scores", NULL);
  hem__make_node(&onnx, "Flatten", "scores", "vector", NULL);
  hem__make_node(&onnx, "Softmax", "vector", "probabilities", NULL);
  make_output(&onnx, "probabilities", 5);
  expect(&onnx, NULL, 1, "pooled", "last fully connected");
}
END_TEST

/* A 1 x 1 convolution of a map is an ordinary one: SqueezeNet's scores are pooled behind it. */
START_TEST(a_convolution_before_the_pooling_is_no_classifier) {
  hem__make_onnx onnx = {0};
  hem__make_value(&onnx, HEM__MAKE_INPUT, "image", &(hem__make_shape){4, {1, 3, 8, 8}});
  hem__make_weights(&onnx, "w", (hem__make_shape){4, {5, 3, 1, 1}});
  hem__make_node(&onnx, "Conv", "image w", "map", NULL);
  hem__make_node(&onnx, "GlobalAveragePool", "map", "pooled", NULL);
  hem__make_node(&onnx, "Flatten", "pooled", "scores", NULL);
  hem__make_node(&onnx, "Softmax", "scores", "probabilities", NULL);
  make_output(&onnx, "probabilities", 5);
  refuses(&onnx, NULL, 1, HEM_EUNSUPPORTED, "class probabilities");
}
END_TEST

static void vgg_head(hem__make_onnx *onnx) {
  hem__make_body(onnx, 8);
  hem__make_weights(onnx, "w1", matrix(HEM__BODY_DIM, 7));
  hem__make_weights(onnx, "w2", matrix(7, 6));
  hem__make_weights(onnx, "w3", matrix(6, 5));
  hem__make_node(onnx, "Gemm", "flat w1", "fc1", NULL);
  hem__make_node(onnx, "Relu", "fc1", "relu1", NULL);
  hem__make_node(onnx, "Gemm", "relu1 w2", "fc2", NULL);
  hem__make_node(onnx, "Relu", "fc2", "relu2", NULL);
  hem__make_node(onnx, "Gemm", "relu2 w3", "fc3", NULL);
  make_output(onnx, "fc3", 5);
}

START_TEST(layers_are_counted_from_the_end) {
  static const char *const tensors[] = {"relu2", "relu1", "flat"};
  for (size_t i = 0; i < 3; i++) {
    hem__make_onnx onnx = {0};
    vgg_head(&onnx);
    expect(&onnx, NULL, i + 1, tensors[i], "fully connected");
  }
  hem__make_onnx onnx = {0};
  vgg_head(&onnx);
  refuses(&onnx, NULL, 4, HEM_EUNSUPPORTED, "fewer fully connected layers");
}
END_TEST

static void squeeze_head(hem__make_onnx *onnx) {
  hem__make_value(onnx, HEM__MAKE_INPUT, "image", &(hem__make_shape){4, {1, 3, 8, 8}});
  hem__make_weights(onnx, "s", (hem__make_shape){4, {3, 3, 1, 1}});
  hem__make_weights(onnx, "w", matrix(3, 5));
  hem__make_node(onnx, "GlobalAveragePool", "image", "squeezed", NULL);
  hem__make_node(onnx, "Conv", "squeezed s", "excited", NULL);
  hem__make_node(onnx, "Sigmoid", "excited", "gate", NULL);
  hem__make_node(onnx, "Mul", "gate image", "gated", NULL);
  hem__make_node(onnx, "Flatten", "gated", "mean", NULL);
  hem__make_node(onnx, "MatMul", "mean w", "scores", NULL);
  make_output(onnx, "scores", 5);
}

/* The layer of a squeeze-and-excitation block lies behind a product of two branches: no way leads there. */
START_TEST(layers_in_the_middle_are_not_counted) {
  hem__make_onnx onnx = {0};
  squeeze_head(&onnx);
  expect(&onnx, NULL, 1, "mean", "last");
  onnx = (hem__make_onnx){0};
  squeeze_head(&onnx);
  refuses(&onnx, NULL, 2, HEM_EUNSUPPORTED, "fewer fully connected layers");
}
END_TEST

/* ---- the order of the rules ---- */

START_TEST(a_name_comes_before_metadata_before_features_before_layers) {
  for (int rule = 0; rule < 4; rule++) {
    hem__make_onnx onnx = {0};
    gemm_head(&onnx);
    if (rule < 3) hem__make_node(&onnx, "Relu", "flat", "features", NULL);
    if (rule < 3) make_output(&onnx, "features", HEM__BODY_DIM);
    if (rule < 2) hem__make_metadata(&onnx, "hemline.layer", "pooled");
    static const char *const tensors[] = {"relu", "pooled", "features", "flat"};
    static const char *const whys[] = {"asked for", "metadata", "output of that name", "fully connected"};
    expect(&onnx, rule == 0 ? "relu" : NULL, 1, tensors[rule], whys[rule]);
  }
}
END_TEST

START_TEST(an_output_that_is_a_vector_is_the_feature) {
  hem__make_onnx onnx = {0};
  hem__make_body(&onnx, 8);
  hem__make_value(&onnx, HEM__MAKE_OUTPUT, "relu", &(hem__make_shape){4, {1, HEM__BODY_DIM, 6, 6}});
  make_output(&onnx, "flat", HEM__BODY_DIM);
  hem__onnx_feature feature;
  hem__onnx *model = find(&onnx, NULL, 1, &feature);
  ck_assert_str_eq(feature.tensor, "flat");
  ck_assert(feature.is_output);
  hem__onnx_free(model);
  onnx = (hem__make_onnx){0};
  hem__make_body(&onnx, 8);
  make_output(&onnx, "flat", HEM__BODY_DIM);
  make_output(&onnx, "pooled", HEM__BODY_DIM);
  refuses(&onnx, NULL, 1, HEM_EUNSUPPORTED, "--layer");
}
END_TEST

START_TEST(a_layer_may_be_named_by_tensor_or_node_and_a_wrong_one_is_answered_with_names) {
  hem__make_onnx onnx = {0};
  gemm_head(&onnx);
  expect(&onnx, "GlobalAveragePool_pooled", 1, "pooled", "asked for");
  static const char *const wrong[] = {"nose", "", "image", "fc.w"}; /* an input and weights are not computed */
  for (size_t i = 0; i < 4; i++) {
    onnx = (hem__make_onnx){0};
    gemm_head(&onnx);
    refuses(&onnx, wrong[i], 1, HEM_ENOTFOUND, "'scores', 'flat', 'pooled', 'relu'");
  }
}
END_TEST

/* ---- inputs ---- */

START_TEST(the_image_is_what_no_weights_define) {
  hem__make_onnx onnx = {0};
  gemm_head(&onnx);
  hem__make_value(&onnx, HEM__MAKE_INPUT, "fc.w", &(hem__make_shape){2, {HEM__BODY_DIM, 5}});
  hem__make_metadata(&onnx, "hemline.preprocess", "crop=8");
  hem__make_metadata(&onnx, "other", "\n");
  hem__onnx_feature feature;
  hem__onnx *model = find(&onnx, NULL, 1, &feature);
  const hem__onnx_value *image = hem__onnx_input(model);
  ck_assert_str_eq(image->name, "image");
  ck_assert_int_eq(image->type, HEM__ONNX_FLOAT);
  ck_assert(image->shaped && image->rank == 4 && image->dims[1] == 3 && image->dims[3] == 8);
  ck_assert_str_eq(hem__onnx_metadata(model, "hemline.preprocess"), "crop=8");
  ck_assert_ptr_null(hem__onnx_metadata(model, "hemline.layer"));
  ck_assert_ptr_null(hem__onnx_metadata(model, "other"));
  hem__onnx_free(model);
}
END_TEST

START_TEST(inputs_that_are_no_image_are_refused) {
  static const struct {
    hem__make_shape shape;
    const char *words;
  } cases[] = {{{3, {3, 8, 8}}, "four dimensions"}, {{4, {8, 3, 8, 8}}, "several images"}, {{2, {1, 9}}, "four"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem__make_onnx onnx = {0};
    hem__make_value(&onnx, HEM__MAKE_INPUT, "image", &cases[i].shape);
    hem__make_node(&onnx, "Relu", "image", "y", NULL);
    unreadable(&onnx, HEM_EUNSUPPORTED, cases[i].words);
  }
  hem__make_onnx onnx = {0};
  gemm_head(&onnx);
  hem__make_value(&onnx, HEM__MAKE_INPUT, "mask", &(hem__make_shape){1, {1}});
  unreadable(&onnx, HEM_EUNSUPPORTED, "'mask' is one more than the image");
  onnx = (hem__make_onnx){0};
  hem__make_node(&onnx, "Relu", "x", "y", NULL);
  unreadable(&onnx, HEM_EUNSUPPORTED, "no input");
}
END_TEST

/* ---- refusals ---- */

/* Weights that lie elsewhere: in the graph, in a Constant, in a branch of an If. */
START_TEST(weights_in_another_file_are_refused) {
  for (int place = 0; place < 4; place++) {
    hem__make_onnx onnx = {0};
    hem__pb tensor = {0}, attribute = {0}, attributes = {0}, branch = {0};
    gemm_head(&onnx);
    hem__pb_text(&tensor, 8, "big");
    if (place == 3) {
      hem__pb_bytes(&tensor, 13, NULL, 0);
    } else {
      hem__pb_number(&tensor, 14, 1);
    }
    if (place == 0 || place == 3) {
      hem__pb_message(&onnx.graph, 5, &tensor);
    } else {
      if (place == 1) hem__pb_message(&attribute, 5, &tensor);
      if (place == 2) hem__pb_message(&branch, 5, &tensor);
      if (place == 2) hem__pb_message(&attribute, 6, &branch);
      hem__pb_message(&attributes, 5, &attribute);
      hem__make_node(&onnx, place == 1 ? "Constant" : "If", "", "c", &attributes);
    }
    unreadable(&onnx, HEM_EUNSUPPORTED, "save the model as one file");
  }
}
END_TEST

START_TEST(graphs_in_graphs_end_somewhere) {
  hem__make_onnx onnx = {0};
  hem__pb inner = {0};
  gemm_head(&onnx);
  for (int depth = 0; depth < 1000; depth++) {
    hem__pb attribute = {0}, node = {0}, graph = {0};
    hem__pb_message(&attribute, 6, &inner);
    hem__pb_message(&node, 5, &attribute);
    hem__pb_message(&graph, 1, &node);
    inner = graph;
  }
  hem__pb attribute = {0}, attributes = {0};
  hem__pb_message(&attribute, 6, &inner);
  hem__pb_message(&attributes, 5, &attribute);
  hem__make_node(&onnx, "If", "", "c", &attributes);
  unreadable(&onnx, HEM_ECORRUPT, "nested too deeply");
}
END_TEST

START_TEST(a_name_with_a_line_end_does_not_get_into_a_recipe) {
  hem__make_onnx onnx = {0};
  hem__make_body(&onnx, 8);
  hem__make_node(&onnx, "Relu", "flat", "two\nlines", NULL);
  make_output(&onnx, "two\nlines", HEM__BODY_DIM);
  unreadable(&onnx, HEM_ECORRUPT, "plain UTF-8");
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused) {
  hem__make_onnx onnx = {0};
  size_t size;
  vgg_head(&onnx);
  uint8_t *bytes = hem__make_bytes(&onnx, &size);
  for (size_t cut = 0; cut < size; cut++) {
    hem__onnx *model = NULL;
    uint8_t *part = malloc(cut + 1); /* its end is where the sanitizer looks */
    if (cut) memcpy(part, bytes, cut);
    ck_fails(hem__onnx_read(part, cut, "test.onnx", &model, err), HEM_ECORRUPT, "test.onnx is not an ONNX model");
    free(part);
  }
  free(bytes);
}
END_TEST

START_TEST(other_files_are_refused) {
  static const char *const files[] = {"", "\x89PNG\r\n\x1a\n", "path\titem_id\n", "{\"a\": 1}",
                                      "\xff\xff\xff\xff\xff\xff"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    hem__onnx *model = NULL;
    ck_fails(hem__onnx_read((const uint8_t *)files[i], strlen(files[i]), "x.onnx", &model, err), HEM_ECORRUPT,
             "x.onnx is not an ONNX model");
  }
}
END_TEST

/* Lengths of one, two and three bytes. */
START_TEST(the_message_for_an_output_is_protobuf) {
  static const size_t lengths[] = {1, 120, 126, 130, HEM__ONNX_NAME_MAX};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    char name[HEM__ONNX_NAME_MAX + 1];
    uint8_t got[HEM__ONNX_NAME_MAX + 16];
    hem__pb value = {0}, graph = {0}, model = {0};
    memset(name, 'x', lengths[i]);
    name[lengths[i]] = '\0';
    hem__pb_text(&value, 1, name);
    hem__pb_message(&graph, 12, &value);
    hem__pb_message(&model, 7, &graph);
    size_t size = hem__onnx_output_message(name, got);
    ck_assert_uint_eq(size, model.size);
    ck_assert_mem_eq(got, model.at, size);
    hem__pb_clear(&model);
  }
}
END_TEST

/* ---- cutting off what the feature does not need ---- */

static bool holds(const uint8_t *bytes, size_t size, const char *text) {
  return memmem(bytes, size, text, strlen(text)) != NULL;
}

/* Cut down to `tensor`; the caller frees the bytes. */
static uint8_t *trimmed(hem__make_onnx *onnx, const char *tensor, size_t *size) {
  uint8_t *bytes = hem__make_bytes(onnx, size);
  hem__onnx *model = NULL;
  ck_ok(hem__onnx_read(bytes, *size, "test.onnx", &model, err));
  ck_ok(hem__onnx_trim(model, tensor, bytes, size, err));
  hem__onnx_free(model);
  return bytes;
}

START_TEST(what_lies_behind_the_feature_is_cut_off) {
  hem__make_onnx onnx = {0};
  size_t size;
  gemm_head(&onnx);
  hem__make_value(&onnx, HEM__MAKE_INPUT, "fc.w", NULL); /* as old files have it */
  hem__make_metadata(&onnx, "hemline.preprocess", "crop=8");
  uint8_t *bytes = trimmed(&onnx, "flat", &size);
  ck_assert(holds(bytes, size, "flat") && holds(bytes, size, "hemline.preprocess"));
  ck_assert(!holds(bytes, size, "fc.w") && !holds(bytes, size, "scores") && !holds(bytes, size, "Gemm"));
  hem__onnx *model = NULL;
  hem__onnx_feature feature;
  ck_ok(hem__onnx_read(bytes, size, "test.onnx", &model, err));
  ck_ok(hem__onnx_find_feature(model, "flat", 1, &feature, err));
  ck_assert(!feature.is_output);
  ck_assert_str_eq(hem__onnx_input(model)->name, "image");
  hem__onnx_free(model);
  free(bytes);
}
END_TEST

START_TEST(an_output_that_is_the_feature_stays_the_only_one) {
  hem__make_onnx onnx = {0};
  size_t size;
  gemm_head(&onnx);
  make_output(&onnx, "flat", HEM__BODY_DIM);
  uint8_t *bytes = trimmed(&onnx, "flat", &size);
  hem__onnx *model = NULL;
  hem__onnx_feature feature;
  ck_ok(hem__onnx_read(bytes, size, "test.onnx", &model, err));
  ck_ok(hem__onnx_find_feature(model, NULL, 1, &feature, err));
  ck_assert(feature.is_output);
  ck_assert_str_eq(feature.tensor, "flat");
  hem__onnx_free(model);
  free(bytes);
}
END_TEST

/* A branch may use any tensor of the graph around it without naming it as an input of its node. */
START_TEST(a_model_with_branches_keeps_all_its_nodes) {
  hem__make_onnx onnx = {0};
  hem__pb branch = {0}, attribute = {0}, attributes = {0};
  size_t size;
  hem__pb_text(&branch, 2, "branch");
  hem__pb_text(&attribute, 1, "then_branch");
  hem__pb_message(&attribute, 6, &branch);
  hem__pb_message(&attributes, 5, &attribute);
  gemm_head(&onnx);
  hem__make_node(&onnx, "If", "scores", "either", &attributes);
  uint8_t *bytes = trimmed(&onnx, "flat", &size);
  ck_assert(holds(bytes, size, "Gemm") && holds(bytes, size, "fc.w") && holds(bytes, size, "either"));
  free(bytes);
}
END_TEST

HEM_TESTS("onnx_model", what_enters_the_last_gemm, what_enters_a_matmul_with_add_and_softmax,
          what_enters_a_convolution_of_one_pixel, a_convolution_before_the_pooling_is_no_classifier,
          layers_are_counted_from_the_end, layers_in_the_middle_are_not_counted,
          a_name_comes_before_metadata_before_features_before_layers, an_output_that_is_a_vector_is_the_feature,
          a_layer_may_be_named_by_tensor_or_node_and_a_wrong_one_is_answered_with_names,
          the_image_is_what_no_weights_define, inputs_that_are_no_image_are_refused,
          weights_in_another_file_are_refused, graphs_in_graphs_end_somewhere,
          a_name_with_a_line_end_does_not_get_into_a_recipe, a_file_cut_anywhere_is_refused, other_files_are_refused,
          the_message_for_an_output_is_protobuf, what_lies_behind_the_feature_is_cut_off,
          an_output_that_is_the_feature_stays_the_only_one, a_model_with_branches_keeps_all_its_nodes)
