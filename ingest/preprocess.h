/* From a decoded photo to the numbers a network wants: size, mean, scale, channel order, layout. A preprocessing is a
 * line of text, so that it can be printed, stored with an embedding space, hashed and overridden:
 *
 *   fit=shorter resize=256 crop=224 filter=bilinear scale=255 mean=0.485,0.456,0.406 std=0.229,0.224,0.225
 *   order=rgb layout=nchw                                                                              (in one line)
 *
 *   fit=shorter    the shorter side becomes `resize`, then the centre `crop` x `crop` is cut, with black around what is
 *                  too small (torchvision's Resize and CenterCrop)
 *   fit=stretch    the whole photo becomes `crop` x `crop`
 *   fit=letterbox  as large as fits into `crop` x `crop`, centred, with the colour `pad` around it
 *   fit=central    the middle `central` of each side becomes `crop` x `crop` (TensorFlow-Slim)
 *
 * `crop` is one number, or width and height: crop=96x128.
 *
 * A value v of 0..255 becomes (v / scale - mean) / std, channel by channel, in single precision. */
#ifndef HEM_INGEST_PREPROCESS_H
#define HEM_INGEST_PREPROCESS_H

#include "ingest/resample.h"

typedef enum hem__fit { HEM__SHORTER, HEM__STRETCH, HEM__LETTERBOX, HEM__CENTRAL, HEM__FITS } hem__fit;

typedef struct hem__preprocess {
  hem__fit fit;
  hem__filter filter;
  size_t resize;        /* SHORTER: pixels */
  size_t width, height; /* `crop`: of the tensor, in pixels */
  double central;       /* CENTRAL: 0 < central <= 1 */
  uint8_t pad[3];       /* LETTERBOX: red, green, blue */
  double scale;
  double mean[3], std[3]; /* of red, green, blue, whatever the order */
  bool bgr, nhwc;
} hem__preprocess;

enum { HEM__PREPROCESS_TEXT = 512 };

/* Reads "key=value" pairs, separated by blanks, over what *io holds; keys that are not named stay. *io is unchanged on
 * failure. Zeroed, *io is fit=shorter filter=bilinear mean=0,0,0 order=rgb layout=nchw pad=0,0,0, and lacks the rest.
 * Errors: EINVAL (unknown or repeated key, one that means nothing to this fit, one still missing, a value that makes no
 * sense: names it and says what it can be). */
hem_status hem__preprocess_parse(const char *text, hem__preprocess *io, hem_error *err);
/* The canonical text: every key that matters to this fit, always in the same order and form; parsing it gives the same
 * again. */
void hem__preprocess_text(const hem__preprocess *preprocess, char text[HEM__PREPROCESS_TEXT]);

/* Floats of the tensor: 3 x width x height. */
size_t hem__preprocess_size(const hem__preprocess *preprocess);
/* Writes the tensor. Any thread. Errors: EINVAL (a photo that cannot be stretched so), ENOMEM. */
hem_status hem__preprocess_apply(const hem__preprocess *preprocess, const hem__image *photo, float *tensor,
                                 hem_error *err);

/* ---- presets: known networks ---- */

typedef struct hem__preset {
  const char *name;       /* "resnet50" */
  const char *preprocess; /* as its authors do it */
  const char *source;     /* who says so */
  size_t dim;             /* of the feature; 0: it depends on the file */
  int fully_connected; /* the feature enters this fully connected layer, counted from the end: 1 is the last. 2 for VGG:
                          "third to last layer" of the reference work */
} hem__preset;

/* Ended by one without a name: vgg16, vgg19, inception_v3, resnet50, mobilenet_v2 as torchvision has them;
 * mobilenet_v1_tf, mobilenet_v2_tf as TensorFlow-Slim. */
extern const hem__preset hem__presets[];
/* Errors: EINVAL, lists them. */
hem_status hem__preset_find(const char *name, const hem__preset **out, hem_error *err);

#endif
