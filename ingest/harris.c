/* Corners: C. Harris and M. Stephens, "A combined corner and edge detector", 1988. Where a print, a collar, a
 * button row or a seam bends, and which way, as a vector of fixed length.
 *
 * The detector is the paper's: R = det(M) - K trace(M)^2, M being the Gaussian-weighted structure tensor of
 * luma; a corner is a pixel whose R exceeds its eight neighbours'. Derivatives are Sobel's, as in OpenCV and
 * scikit-image; the photo's border is repeated outwards.
 *
 * A photo has any number of corners, so the vector counts them: an 8 x 8 grid over the photo, in each cell
 * four directions of M's stronger axis, half a turn in all. A corner's vote is sqrt(R), shared linearly by
 * the nearest cells and directions, so that a small shift or turn moves a little weight and not the whole vote.
 * The votes are divided by their sum and rooted (Hellinger), which gives unit length and keeps one strong
 * logo from drowning a pattern of faint checks.
 *
 * R grows with the fourth power of contrast, but thresholds are relative to the strongest corner and votes to
 * their sum: twice the contrast gives the same vector. Only below R_FLOOR, a lone pixel that is off by one
 * grey level, is there nothing but noise; a photo without corners gives zeros.
 *
 * Order of the values: cells by row, then column; in one, its directions. Direction d is centred on
 * (d + 0.5) * 45 degrees, turning from the x axis towards the y axis, which points down. */
#include "ingest/harris.h"

#include <math.h>
#include <string.h>

#include "ingest/feature.h"

enum {
  SIDE = HEM__HARRIS_SIDE,
  GRID = 8, /* cells along one side */
  DIRECTIONS = 4,
  DIM = GRID * GRID * DIRECTIONS,
  RADIUS = 6, /* four sigmas */
  TAPS = 2 * RADIUS + 1,
};
static const float SIGMA = 1.5F, K = 0.04F, R_OF_STRONGEST = 1e-3F, R_FLOOR = 0.5F;

/* ---- the response ---- */

static size_t clamped(size_t i, size_t before) { return i < before ? 0 : hem__min(i - before, SIDE - 1); }

static void take_luma(const hem__image *photo, hem__harris *maps) {
  for (size_t y = 0; y < SIDE + 2; y++)
    for (size_t x = 0; x < SIDE + 2; x++)
      maps->luma[y][x] = hem__luma(photo->at + 3 * (clamped(y, 1) * SIDE + clamped(x, 1)));
}

static void multiply_derivatives(hem__harris *maps) {
  for (size_t y = 0; y < SIDE; y++) {
    const float *above = maps->luma[y], *here = maps->luma[y + 1], *below = maps->luma[y + 2];
    for (size_t x = 0; x < SIDE; x++) {
      float dx = (above[x + 2] - above[x]) + 2.0F * (here[x + 2] - here[x]) + (below[x + 2] - below[x]);
      float dy = (below[x] - above[x]) + 2.0F * (below[x + 1] - above[x + 1]) + (below[x + 2] - above[x + 2]);
      maps->xx[y][x] = dx * dx;
      maps->xy[y][x] = dx * dy;
      maps->yy[y][x] = dy * dy;
    }
  }
}

static void gaussian(float taps[TAPS]) {
  float sum = 0.0F;
  for (int i = 0; i < TAPS; i++) {
    float sigmas = (float)(i - RADIUS) / SIGMA;
    taps[i] = expf(-0.5F * sigmas * sigmas);
    sum += taps[i];
  }
  for (int i = 0; i < TAPS; i++) taps[i] /= sum;
}

/* Down into `rows`, then across and back. Taps are the outer loop, so that the inner ones are vectors. */
static void smooth(const float taps[TAPS], hem__harris_map map, hem__harris_map rows) {
  memset(rows, 0, sizeof(hem__harris_map));
  for (size_t y = 0; y < SIDE; y++)
    for (size_t t = 0; t < TAPS; t++) {
      const float *from = map[clamped(y + t, RADIUS)];
      for (size_t x = 0; x < SIDE; x++) rows[y][x] += taps[t] * from[x];
    }
  memset(map, 0, sizeof(hem__harris_map));
  for (size_t y = 0; y < SIDE; y++) {
    float row[SIDE + 2 * RADIUS];
    for (size_t x = 0; x < SIDE + 2 * RADIUS; x++) row[x] = rows[y][clamped(x, RADIUS)];
    for (size_t t = 0; t < TAPS; t++)
      for (size_t x = 0; x < SIDE; x++) map[y][x] += taps[t] * row[x + t];
  }
}

void hem__harris_maps(const hem__image *photo, hem__harris *maps) {
  float taps[TAPS];
  gaussian(taps);
  take_luma(photo, maps);
  multiply_derivatives(maps);
  smooth(taps, maps->xx, maps->rows);
  smooth(taps, maps->xy, maps->rows);
  smooth(taps, maps->yy, maps->rows);
  for (size_t y = 0; y < SIDE; y++)
    for (size_t x = 0; x < SIDE; x++) {
      float xx = maps->xx[y][x], xy = maps->xy[y][x], yy = maps->yy[y][x], trace = xx + yy;
      maps->response[y][x] = xx * yy - xy * xy - K * trace * trace;
    }
}

/* ---- the corners ---- */

/* Above the neighbours that come before it and not below those that come after: of equals, one is a corner. */
static bool peaks(hem__harris_map r, size_t y, size_t x) {
  const float *above = r[y - 1] + x, *here = r[y] + x, *below = r[y + 1] + x;
  return *here > above[-1] && *here > above[0] && *here > above[1] && *here > here[-1] && *here >= here[1] &&
         *here >= below[-1] && *here >= below[0] && *here >= below[1];
}

/* A vote shared by two neighbouring bins. */
typedef struct split {
  size_t bin[2];
  float share[2];
} split;

/* A pixel between the centres of cells; past the outermost centre a cell takes all. */
static split split_cells(size_t pixel) {
  float above = ((float)pixel + 0.5F) * GRID / SIDE + 0.5F; /* 0.5: from edges to centres; one up: not negative */
  size_t bin = (size_t)above;
  float share = above - (float)bin;
  return (split){{bin > 0 ? bin - 1 : 0, hem__min(bin, GRID - 1)}, {1.0F - share, share}};
}

static split split_directions(float xx, float xy, float yy) {
  float turn = atan2f(2.0F * xy, xx - yy) * (float)M_1_PI * 0.5F; /* of the stronger axis, in half turns */
  float above = (turn < 0.0F ? turn + 1.0F : turn) * DIRECTIONS + 0.5F;
  size_t bin = (size_t)above;
  float share = above - (float)bin;
  return (split){{(bin + DIRECTIONS - 1) % DIRECTIONS, bin % DIRECTIONS}, {1.0F - share, share}};
}

static void cast_vote(const hem__harris *maps, size_t y, size_t x, float *out) {
  float vote = sqrtf(maps->response[y][x]);
  split row = split_cells(y), column = split_cells(x);
  split direction = split_directions(maps->xx[y][x], maps->xy[y][x], maps->yy[y][x]);
  for (size_t r = 0; r < 2; r++)
    for (size_t c = 0; c < 2; c++)
      for (size_t d = 0; d < 2; d++)
        out[(row.bin[r] * GRID + column.bin[c]) * DIRECTIONS + direction.bin[d]] +=
            vote * row.share[r] * column.share[c] * direction.share[d];
}

/* The outermost pixels lack neighbours and are never corners. */
static void count_corners(hem__harris *maps, float *out) {
  float strongest = 0.0F;
  for (size_t y = 0; y < SIDE; y++)
    for (size_t x = 0; x < SIDE; x++) strongest = maps->response[y][x] > strongest ? maps->response[y][x] : strongest;
  float least = strongest * R_OF_STRONGEST > R_FLOOR ? strongest * R_OF_STRONGEST : R_FLOOR;
  for (size_t y = 1; y < SIDE - 1; y++)
    for (size_t x = 1; x < SIDE - 1; x++)
      if (maps->response[y][x] > least && peaks(maps->response, y, x)) cast_vote(maps, y, x, out);
}

static void extract(const hem__image *photo, void *scratch, float *out) {
  hem__harris *maps = scratch;
  hem__harris_maps(photo, maps);
  memset(out, 0, DIM * sizeof *out);
  count_corners(maps, out);
  float sum = 0.0F;
  for (size_t i = 0; i < DIM; i++) sum += out[i];
  if (sum > 0.0F)
    for (size_t i = 0; i < DIM; i++) out[i] = sqrtf(out[i] / sum);
}

const hem__feature hem__feature_harris = {
    .name = "harris",
    .recipe =
        "luma BT.601; Sobel; Gaussian sigma 1.5 radius 6; border repeated; k 0.04; maxima of 3x3 with R above "
        "0.001 of the strongest and 0.5; sqrt(R) shared over 8x8 cells x 4 directions of the tensor; divided by "
        "the sum, rooted",
    .dim = DIM,
    .side = SIDE,
    .scratch = sizeof(hem__harris),
    .extract = extract,
};
