/* What an ONNX file says about itself: its image input, its outputs, its metadata, and the tensor that is its feature.
 *
 * The file is protobuf; it is read here, with every length checked and every nesting bounded, before ONNX Runtime sees
 * it. Weights are not looked at. The model that runs is the file's bytes with one small message behind them: protobuf
 * merges what follows, so any tensor inside becomes an output and nobody has to edit the network. */
#ifndef HEM_INGEST_ONNX_MODEL_H
#define HEM_INGEST_ONNX_MODEL_H

#include "base/memory.h"

enum { HEM__ONNX_RANK_MAX = 8, HEM__ONNX_FLOAT = 1, HEM__ONNX_NAME_MAX = 1024 };

/* An input or output. Strings live as long as the model. */
typedef struct hem__onnx_value {
  const char *name;
  int type;    /* HEM__ONNX_FLOAT, or another of ONNX's element types; 0: the file does not say */
  bool shaped; /* false: the file does not say either */
  size_t rank;
  int64_t dims[HEM__ONNX_RANK_MAX]; /* -1: any size */
} hem__onnx_value;

/* Immutable once read. Keeps pointing into the bytes it was read from. */
typedef struct hem__onnx hem__onnx;

/* `name` is for messages. Errors: ECORRUPT (no ONNX model, or a damaged one), EUNSUPPORTED (weights in another file;
 * not one float image input of batch 1), ENOMEM. */
hem_status hem__onnx_read(const uint8_t *bytes, size_t size, const char *name, hem__onnx **out, hem_error *err);
void hem__onnx_free(hem__onnx *model);

/* The one input: float; of four dimensions, the first 1 or any, where the file tells. */
const hem__onnx_value *hem__onnx_input(const hem__onnx *model);
/* A metadata property, or NULL. Lives as long as the model. */
const char *hem__onnx_metadata(const hem__onnx *model, const char *key);

typedef struct hem__onnx_feature {
  const char *tensor; /* lives as long as the model */
  char why[192];      /* "enters the last fully connected layer" */
  bool is_output;     /* of the file itself: nothing is to be appended */
} hem__onnx_feature;

/* The tensor that is the feature. In this order: `layer` (a tensor or node; NULL: none); the metadata's
 * "hemline.layer"; an output named "features"; what enters the `fully_connected`-th fully connected layer, counted from
 * the end (1: the last); the only output that is a vector, unless it is a classifier's. Errors: ENOTFOUND (no such
 * layer: lists the last ones), EUNSUPPORTED (nothing fits: lists them too), ENOMEM. */
hem_status hem__onnx_find_feature(hem__onnx *model, const char *layer, size_t fully_connected, hem__onnx_feature *out,
                                  hem_error *err);

/* Leaves only what `tensor` needs of the model it was read from: `bytes` is changed in place and *size becomes smaller.
 * Outputs other than `tensor` go too. Of the model, only what has strings of its own (input, metadata) may be asked for
 * afterwards. Errors: ENOMEM. */
hem_status hem__onnx_trim(const hem__onnx *model, const char *tensor, uint8_t *bytes, size_t *size, hem_error *err);

/* The bytes that, behind those of a model, make `tensor` an output of it. At most HEM__ONNX_NAME_MAX + 16; returns how
 * many. */
size_t hem__onnx_output_message(const char *tensor, uint8_t message[HEM__ONNX_NAME_MAX + 16]);

#endif
