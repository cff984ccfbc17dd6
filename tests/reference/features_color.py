"""Expected values of tests/unit/test_color.c and test_image.c, by libraries that share no code with Hemline.

Made with numpy 1.24.2, OpenCV 4.6.0, scikit-image 0.19.3:  python3 features_color.py > features_color.h
"""

import cv2
import numpy as np
from skimage import color, measure

WEIGHT_LIGHT, WEIGHT_OTHER, LIGHT_ABOVE = 1, 16, 235
NUDGE = 1e-9  # floats that should lie on the edge of a bin lie in the upper one


def synthetic(width, height, kind):
    """synthetic.h, line by line."""
    y, x = np.mgrid[0:height, 0:width]
    u, v = x * 64 // width, y * 64 // width
    disc = (u - 32) ** 2 + (v - 32) ** 2 <= 26 * 26
    stripe = v % 16 < 3
    photo = np.stack(
        [
            (u // 8 * 40 + kind * 90 + x * y % 7) % 256,
            (v // 8 * 30 + kind * 50 + u * u // 16) % 256,
            ((u // 8) ^ (v // 8)) * 36 + (x * 5 + y * 3) % 4,
        ],
        axis=-1,
    )
    photo[stripe] = (4 * u)[stripe][:, None]
    light = np.stack([238 + (x + 2 * y + c) % 18 for c in range(3)], axis=-1)
    photo[~disc] = light[~disc]
    return photo.astype(np.uint8)


def hsv_bins(photo, bins):
    hsv = color.rgb2hsv(photo).reshape(-1, 3)
    return [np.minimum((hsv[:, i] * n + NUDGE).astype(int), n - 1) for i, n in enumerate(bins)]


def value_bins(photo, n):
    # value in 256ths rather than 255ths: four bins of 64 levels each
    return photo.max(axis=-1).astype(int).ravel() * n // 256


def is_light(photo):
    return photo.min(axis=-1) > LIGHT_ABOVE


def hue(photo):
    coloured = (photo.max(axis=-1) > photo.min(axis=-1)).ravel()
    count = np.bincount(hsv_bins(photo, (25, 1, 1))[0][coloured], minlength=25)
    return count / count.sum()


def joint(photo):
    hues, saturations, _ = hsv_bins(photo, (16, 4, 4))
    weight = np.where(is_light(photo), WEIGHT_LIGHT, WEIGHT_OTHER).ravel()
    points = np.stack([hues, saturations, value_bins(photo, 4)], axis=1)
    count, _ = np.histogramdd(points, bins=(16, 4, 4), range=((0, 16), (0, 4), (0, 4)), weights=weight)
    return np.sqrt(count.ravel() / count.sum())


def coherence(photo):
    soft = cv2.blur(photo, (3, 3), borderType=cv2.BORDER_REPLICATE)
    hues, saturations, _ = hsv_bins(soft, (8, 3, 3))
    colours = ((hues * 3 + saturations) * 3 + value_bins(soft, 3)).reshape(photo.shape[:2])
    colours[is_light(soft)] = 72
    regions = measure.label(colours, connectivity=2, background=-1)
    out = np.zeros((73, 2))
    for region in measure.regionprops(regions):
        of = colours[tuple(region.coords[0])]
        weight = WEIGHT_LIGHT if of == 72 else WEIGHT_OTHER
        out[of, 0 if region.area > 40 else 1] += region.area * weight
    return np.sqrt(out.ravel() / out.sum())


def luma(photo):
    return np.rint(cv2.cvtColor(photo.astype(np.float32), cv2.COLOR_RGB2GRAY)).ravel()


def stretched(photo, width, height, how):
    # halves go up: NumPy's rounding to even would be a bias of an eighth where four pixels become one
    return np.floor(cv2.resize(photo.astype(np.float32), (width, height), interpolation=how) + 0.5).ravel()


def emit(name, values, every):
    """All of every `every`-th value, the sum, and the sum weighted by position, which sees an exchange."""
    sample = ", ".join(f"{v:.7g}F" if v % 1 else f"{v:.0f}" for v in values[::every])
    place = np.arange(1, len(values) + 1)
    print(f"static const reference {name} = {{")
    print(f"    .dim = {len(values)}, .every = {every}, .sum = {values.sum():.9g}, .moment = {(values * place).sum():.9g},")
    print(f"    .sample = {{{sample}}},\n}};")


def main():
    print("/* Made by features_color.py, which names the versions; not edited by hand. */")
    print("#ifndef HEM_TESTS_REFERENCE_FEATURES_COLOR_H\n#define HEM_TESTS_REFERENCE_FEATURES_COLOR_H\n")
    print("typedef struct reference {\n  size_t dim, every;\n  double sum, moment;\n  float sample[64];\n} reference;\n")
    for kind in (0, 1):
        photo = synthetic(64, 64, kind)
        emit(f"hue_{kind}", hue(photo), 1)
        emit(f"color_{kind}", joint(photo), 5)
        emit(f"ccv_{kind}", coherence(photo), 3)
    emit("pixels_0", luma(synthetic(28, 28, 0)), 15)
    wide = synthetic(100, 75, 1)
    emit("shrunk", stretched(wide, 28, 31, cv2.INTER_AREA), 43)
    emit("halved", stretched(wide[:74], 50, 37, cv2.INTER_AREA), 97)
    emit("grown", stretched(synthetic(28, 28, 1), 64, 50, cv2.INTER_LINEAR), 151)
    print("\n#endif")


if __name__ == "__main__":
    main()
