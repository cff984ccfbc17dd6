/* Known networks. torchvision's numbers are those of its IMAGENET1K_V1 weights (torchvision.models, `transforms` of
 * each set of weights), TensorFlow-Slim's those of preprocessing/inception_preprocessing.py, preprocess_for_eval. */
#include <string.h>

#include "ingest/preprocess.h"

#define TORCHVISION(resize, crop)                      \
  "fit=shorter resize=" resize " crop=" crop           \
  " filter=bilinear scale=255 mean=0.485,0.456,0.406 " \
  "std=0.229,0.224,0.225 order=rgb layout=nchw"

#define SLIM                                                                                     \
  "fit=central crop=224 central=0.875 filter=bilinear scale=1 mean=128,128,128 std=128,128,128 " \
  "order=rgb layout=nchw"
#define SLIM_SOURCE "TensorFlow-Slim's 8-bit MobileNets (but antialiased, which TensorFlow's own stretching is not)"

const hem__preset hem__presets[] = {
    {.name = "vgg16",
     .preprocess = TORCHVISION("256", "224"),
     .source = "torchvision VGG16_Weights.IMAGENET1K_V1",
     .dim = 4096,
     .fully_connected = 2},
    {.name = "vgg19",
     .preprocess = TORCHVISION("256", "224"),
     .source = "torchvision VGG19_Weights.IMAGENET1K_V1",
     .dim = 4096,
     .fully_connected = 2},
    {.name = "inception_v3",
     .preprocess = TORCHVISION("342", "299"),
     .source = "torchvision Inception_V3_Weights.IMAGENET1K_V1 (whose network scales its input once more, itself)",
     .dim = 2048,
     .fully_connected = 1},
    {.name = "resnet50",
     .preprocess = TORCHVISION("256", "224"),
     .source = "torchvision ResNet50_Weights.IMAGENET1K_V1",
     .dim = 2048,
     .fully_connected = 1},
    {.name = "mobilenet_v2",
     .preprocess = TORCHVISION("256", "224"),
     .source = "torchvision MobileNet_V2_Weights.IMAGENET1K_V1",
     .dim = 1280,
     .fully_connected = 1},
    {.name = "mobilenet_v1_tf", .preprocess = SLIM, .source = SLIM_SOURCE, .dim = 1024, .fully_connected = 1},
    {.name = "mobilenet_v2_tf", .preprocess = SLIM, .source = SLIM_SOURCE, .dim = 1280, .fully_connected = 1},
    {0}};

hem_status hem__preset_find(const char *name, const hem__preset **out, hem_error *err) {
  char names[256] = "";
  for (const hem__preset *p = hem__presets; p->name; p++) {
    if (!strcmp(p->name, name)) {
      *out = p;
      return HEM_OK;
    }
    strncat(names, p == hem__presets ? "" : ", ", sizeof names - strlen(names) - 1);
    strncat(names, p->name, sizeof names - strlen(names) - 1);
  }
  return hem__fail(err, HEM_EINVAL, "there is no preset '%s', only %s", name, names);
}
