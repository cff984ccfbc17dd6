"""Makes preprocess.h: what Pillow and torchvision make of the photos that synthetic.h paints.

    /usr/bin/python3 preprocess.py > preprocess.h

Kept are CRC-32s, because the pixels and the floats have to be equal to the bit, and a few values to find an error by.
Written with Python 3.11.2, Pillow 9.4.0, NumPy 1.24.2, torch 1.13.0 and torchvision 0.14.1 (Debian 12).
"""

import zlib

import numpy as np
import torchvision.models as models
from PIL import Image
from torchvision import transforms

from features_color import synthetic

FILTERS = {"BILINEAR": Image.BILINEAR, "BICUBIC": Image.BICUBIC}
SAMPLES = 6

# width, height of the photo; of the result; the part, or None for the whole
SIZES = [
    (400, 600, 256, 384, None),
    (97, 61, 256, 161, None),
    (61, 97, 61, 31, None),
    (61, 97, 17, 97, None),
    (50, 40, 50, 40, None),
    (301, 203, 7, 3, None),
    (2, 300, 20, 1, None),
    (1, 1, 9, 5, None),
    (3, 2, 200, 1, None),
    (120, 90, 64, 64, (10, 20, 74, 84)),
    (120, 90, 40, 50, (10.25, 0.5, 117.75, 89.125)),
    (120, 90, 33, 35, (60, 40, 60.5, 41.75)),
    (120, 90, 24, 9, (0, 0.3, 120, 90)),
]

# torchvision's own presets, and Resize, CenterCrop where they round, pad or both; width, height, resize, crop
PRESETS = {
    "vgg16": models.VGG16_Weights.IMAGENET1K_V1,
    "vgg19": models.VGG19_Weights.IMAGENET1K_V1,
    "inception_v3": models.Inception_V3_Weights.IMAGENET1K_V1,
    "resnet50": models.ResNet50_Weights.IMAGENET1K_V1,
    "mobilenet_v2": models.MobileNet_V2_Weights.IMAGENET1K_V1,
}
PHOTOS = [(400, 533), (533, 401), (90, 90), (30, 700)]
CROPS = [
    (100, 141, 40, 31),
    (100, 141, 40, 33),
    (141, 100, 41, 32),
    (100, 141, 20, 31),
    (100, 141, 31, 38),
    (100, 100, 20, 33),
    (77, 231, 10, 29),
    (1, 40, 3, 7),
]


def crc(array):
    return f"0x{zlib.crc32(array.tobytes()):08X}U"


def samples(array):
    flat = array.ravel()
    return [flat[i * (flat.size - 1) // (SAMPLES - 1)] for i in range(SAMPLES)]


def stretched():
    for width, height, to_width, to_height, box in SIZES:
        photo = Image.fromarray(synthetic(width, height, 1))
        for name, method in FILTERS.items():
            got = np.asarray(photo.resize((to_width, to_height), method, box=box))
            part = ", ".join(str(v) for v in box or (0, 0, 0, 0))
            values = ", ".join(str(v) for v in samples(got))
            print(f"    {{{width}, {height}, {to_width}, {to_height}, {{{part}}}, HEM__{name}, {crc(got)}, {{{values}}}}},")


def tensor_row(text, width, height, tensor):
    array = tensor.numpy().astype("<f4")
    values = ", ".join(f"{float(v):.9g}" + ("F" if "." in f"{float(v):.9g}" else ".0F") for v in samples(array))
    print(f'    {{{text}, {width}, {height}, {crc(array)}, {{{values}}}}},')


def main():
    print("/* Made by preprocess.py, which says from what; not to be edited. */")
    print("#ifndef HEM_TESTS_REFERENCE_PREPROCESS_H\n#define HEM_TESTS_REFERENCE_PREPROCESS_H\n")
    print('/* clang-format off */\n#include "ingest/preprocess.h"\n')
    print(f"enum {{ REFERENCE_SAMPLES = {SAMPLES} }};\n")
    print("static const struct stretched {\n  size_t width, height, to_width, to_height;\n  hem__part part;")
    print("  hem__filter filter;\n  uint32_t crc;\n  uint8_t samples[REFERENCE_SAMPLES];\n} reference_stretched[] = {")
    stretched()
    print("};\n\nstatic const struct tensor {\n  const char *preset, *text;\n  size_t width, height;\n  uint32_t crc;")
    print("  float samples[REFERENCE_SAMPLES];\n} reference_tensors[] = {")
    for name, weights in PRESETS.items():
        for width, height in PHOTOS:
            tensor = weights.transforms()(Image.fromarray(synthetic(width, height, 0)))
            tensor_row(f'"{name}", ""', width, height, tensor)
    for width, height, resize, crop in CROPS:
        for name, method in FILTERS.items():
            steps = transforms.Compose([
                transforms.Resize(resize, transforms.InterpolationMode[name]),
                transforms.CenterCrop(crop),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ])
            text = f'"resnet50", "resize={resize} crop={crop} filter={name.lower()}"'
            tensor_row(text, width, height, steps(Image.fromarray(synthetic(width, height, 2))))
    print("};\n\n#endif")


main()
