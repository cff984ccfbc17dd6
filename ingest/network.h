/* A pre-trained network as a feature: a model file, the tensor in it that is the feature, and how a photo is made ready
 * for it. As text, to stand among other features:
 *
 *   onnx:/models/resnet50.onnx
 *   onnx:/models/resnet50.onnx?preset=resnet50&layer=NAME&preprocess=crop=224%20order=bgr&normalise=l2
 *   hemnet                       the network that Hemline ships
 *
 * In names and values the bytes , ? & % blank and control characters are written as %XX.
 *
 * The identity of what it computes is its recipe: the SHA-256 of the model's bytes, the tensor, the preprocessing, the
 * normalisation. The file's name and place are not part of it: a model that was moved makes the same space. */
#ifndef HEM_INGEST_NETWORK_H
#define HEM_INGEST_NETWORK_H

#include "ingest/image.h"
#include "ingest/onnx_runtime.h"

/* ---- the text (network_text.c) ---- */

typedef struct hem__network_parts {
  const char *model;      /* a file; NULL: Hemline's own */
  const char *preset;     /* "resnet50" (preprocess.h), or NULL */
  const char *layer;      /* a tensor or node of the model; NULL: found (onnx_model.h) */
  const char *preprocess; /* what to change in the preset's or the model's preprocessing, or NULL */
  bool l2;                /* divide the vector by its L2 norm */
} hem__network_parts;

/* Is this feature (up to a comma or the end) a network? */
bool hem__is_network(const char *feature);
/* Is one of these features, joined by commas? */
bool hem__has_network(const char *features);
/* The text, freed with free(). The model's path is made absolute, where the file exists. Errors: EINVAL (not UTF-8: a
 * catalogue could not keep it), ENOMEM. */
hem_status hem__network_spec(const hem__network_parts *parts, char **text, hem_error *err);
/* Reads a text of `size` bytes. Strings are in *memory, freed with free(). Errors: EINVAL, ENOMEM. */
hem_status hem__network_parse(const char *text, size_t size, hem__network_parts *out, char **memory, hem_error *err);
/* `features` with its network at another place; freed with free(). Errors: EINVAL (it has none, or several), ENOMEM. */
hem_status hem__network_move(const char *features, const char *model, char **moved, hem_error *err);

/* ---- the network ---- */

/* Immutable. Opened twice, it is loaded once: all threads and embedders of a process share its weights. */
typedef struct hem__network hem__network;

/* Errors: those of parsing, of hem__onnx_read and of hem__session_open; ENOTFOUND (the file, or the layer), EINVAL (the
 * preprocessing or preset does not fit the model). */
hem_status hem__network_open(const char *text, size_t size, hem__network **out, hem_error *err);
void hem__network_close(hem__network *network);

const char *hem__network_text(const hem__network *network);   /* as hem__network_spec writes it */
const char *hem__network_name(const hem__network *network);   /* "resnet50": the preset's, or the file's; for a space */
const char *hem__network_recipe(const hem__network *network); /* one line: all that shapes the values */
const char *hem__network_about(const hem__network *network);  /* one line for people: what is used, and why */
size_t hem__network_dim(const hem__network *network);
bool hem__network_wants_l2(const hem__network *network); /* the vector is to be divided by its L2 norm */

/* One thread's tensors. */
hem_status hem__network_run_new(const hem__network *network, hem__run **out, hem_error *err);
/* Writes hem__network_dim() finite floats, as the network makes them. Errors: those of hem__run_go; EINVAL (a photo
 * that cannot be made ready). */
hem_status hem__network_embed(const hem__network *network, hem__run *run, const hem__image *photo, float *out,
                              hem_error *err);

#endif
