"""Makes features_gray.h: what other programs find in the photos that paint() paints.

    /usr/bin/python3 features_gray.py > features_gray.h

HOG: OpenCV's HOGDescriptor. Corners: scikit-image's structure_tensor, corner_harris and peak_local_max, with
OpenCV's Sobel and GaussianBlur as a second opinion; only the counting of corners is written out here, in double
precision. Written with Python 3.11.2, OpenCV 4.6.0, scikit-image 0.19.3 and NumPy 1.24.2 (Debian 12).
"""

import textwrap

import cv2
import numpy as np
from skimage.feature import corner_harris, peak_local_max, structure_tensor

SIDE, SEEDS = 64, (1, 2026)
STEP, CORNER_STEP = 37, 7  # of many values, every which one is kept

# paint() and this are one formula. Each channel has its own checks, so that luma's weights matter.
PAINT = """static inline void reference_photo(uint32_t seed, uint8_t *rgb) {
  for (uint32_t y = 0; y < REFERENCE_SIDE; y++)
    for (uint32_t x = 0; x < REFERENCE_SIDE; x++)
      for (uint32_t c = 0; c < 3; c++) {
        seed = seed * 1664525U + 1013904223U;
        uint32_t checks = ((x / (9 + 3 * c)) ^ (y / (13 - 3 * c))) & 1U;
        uint32_t ramps = (2 * x * (c + 1) + y * (3 - c)) % 97;
        *rgb++ = (uint8_t)(120 * checks + ramps + (seed >> 27));
      }
}"""


def paint(seed):
    rgb = np.empty((SIDE, SIDE, 3), np.uint8)
    for y in range(SIDE):
        for x in range(SIDE):
            for c in range(3):
                seed = (seed * 1664525 + 1013904223) % 2**32
                checks = (x // (9 + 3 * c) ^ y // (13 - 3 * c)) & 1
                ramps = (2 * x * (c + 1) + y * (3 - c)) % 97
                rgb[y, x, c] = 120 * checks + ramps + (seed >> 27)
    return rgb


def hog(rgb):
    """OpenCV goes down columns first, over blocks and over the cells of one; Hemline goes along rows."""
    cell, block, blocks, bins, sigma, clip, gamma = 8, 16, 7, 9, 8.0, 0.2, False
    descriptor = cv2.HOGDescriptor(
        (SIDE, SIDE), (block, block), (cell, cell), (cell, cell), bins, 1, sigma, 0, clip, gamma
    )
    values = descriptor.compute(np.ascontiguousarray(rgb[:, :, ::-1]))
    return values.reshape(blocks, blocks, 2, 2, bins).transpose(1, 0, 3, 2, 4).ravel()


def harris(rgb):
    luma = rgb.astype(float) @ (0.299, 0.587, 0.114)
    yy, xy, xx = structure_tensor(luma, sigma=1.5, mode="nearest", order="rc")
    response = xx * yy - xy**2 - 0.04 * (xx + yy) ** 2
    check_harris(luma, response)
    return response, count_corners(xx, xy, yy, response)


def check_harris(luma, response):
    """corner_harris knows only a black border, so it is held to what lies further in."""
    inner = slice(8, -8)
    other = corner_harris(luma, method="k", k=0.04, sigma=1.5)
    assert np.allclose(other[inner, inner], response[inner, inner], rtol=1e-9)
    border = {"borderType": cv2.BORDER_REPLICATE}
    dx, dy = cv2.Sobel(luma, cv2.CV_64F, 1, 0, **border), cv2.Sobel(luma, cv2.CV_64F, 0, 1, **border)
    xx, xy, yy = (cv2.GaussianBlur(p, (13, 13), 1.5, **border) for p in (dx * dx, dx * dy, dy * dy))
    assert np.allclose(xx * yy - xy**2 - 0.04 * (xx + yy) ** 2, response, rtol=1e-9, atol=1e-6 * response.max())


def count_corners(xx, xy, yy, response, grid=8, directions=4):
    votes = np.zeros((grid, grid, directions))
    for y, x in peak_local_max(response, min_distance=1, threshold_rel=1e-3, exclude_border=1):
        row, column = ((v + 0.5) / (SIDE / grid) - 0.5 for v in (y, x))
        turn = np.arctan2(2 * xy[y, x], xx[y, x] - yy[y, x]) / (2 * np.pi) % 1 * directions - 0.5
        for i in range(grid):
            for j in range(grid):
                for d in range(directions):
                    apart = abs(turn - d) % directions
                    votes[i, j, d] += np.sqrt(response[y, x]) * np.prod([
                        max(0, 1 - abs(np.clip(row, 0, grid - 1) - i)),
                        max(0, 1 - abs(np.clip(column, 0, grid - 1) - j)),
                        max(0, 1 - min(apart, directions - apart)),
                    ])
    return np.sqrt(votes / votes.sum()).ravel()


def table(name, rows):
    print(f"static const float {name}[][{len(rows[0])}] = {{")
    for row in rows:
        print(textwrap.fill("{" + ", ".join(f"{v:.6e}F" for v in row) + "},", 118, initial_indent="  ",
                            subsequent_indent="   "))
    print("};")


def main():
    photos = [paint(seed) for seed in SEEDS]
    hogs, corners = [hog(p) for p in photos], [harris(p) for p in photos]
    print("/* Made by features_gray.py, which says from what; not to be edited. */")
    print("#ifndef HEM_TESTS_REFERENCE_FEATURES_GRAY_H\n#define HEM_TESTS_REFERENCE_FEATURES_GRAY_H\n")
    print("/* clang-format off */\n#include <stdint.h>\n")
    print(f"enum {{ REFERENCE_SIDE = {SIDE}, REFERENCE_PHOTOS = {len(SEEDS)} }};")
    print(f"enum {{ REFERENCE_STEP = {STEP}, REFERENCE_CORNER_STEP = {CORNER_STEP} }};")
    print(f"static const uint32_t reference_seed[] = {{{', '.join(f'{s}U' for s in SEEDS)}}};\n\n{PAINT}\n")
    print("/* Every REFERENCE_STEP-th value; sums of the values that share a place in their block. */")
    table("reference_hog", [h[::STEP] for h in hogs])
    table("reference_hog_sums", [h.reshape(-1, 36).sum(0) for h in hogs])
    print("\n/* Every REFERENCE_STEP-th pixel of the response; its maximum; every REFERENCE_CORNER_STEP-th value. */")
    table("reference_response", [r.ravel()[::STEP] for r, _ in corners])
    table("reference_strongest", [[r.max()] for r, _ in corners])
    table("reference_harris", [d[::CORNER_STEP] for _, d in corners])
    print("\n#endif")


main()
