/* Histograms of Oriented Gradients: N. Dalal and B. Triggs, CVPR 2005, with the constants of their default
 * detector: colour without gamma correction, at each pixel the channel with the steepest gradient, [-1 0 1]
 * derivatives, nine unsigned orientations, trilinear votes, a Gaussian window of half a block, L2-Hys.
 *
 * A vote's weight is (window and cell in y) times (window and cell in x) times orientation. Since y and x
 * never meet, rows of votes are first added up down the columns, as long vectors, and only the sums go
 * across: no pixel is visited once for each of the four blocks that it lies in.
 *
 * Where the paper is silent OpenCV's HOGDescriptor decides, as the values are tested against it: a derivative
 * across the photo's edge is zero, of equally steep channels the last wins (ties are common on faint ground),
 * the window is centred on pixel CELL of a block (half a pixel past its middle), and both norms have floors,
 * which make a flat block zero.
 *
 * Order of the values: blocks by row, then column; in one, its cells by row, then column; in one, its bins.
 * Bin b is centred on (b + 0.5) * 20 degrees, turning from the x axis towards the y axis, which points down. */
#include <math.h>
#include <string.h>

#include "ingest/feature.h"

enum {
  SIDE = 64,
  CELL = 8,
  BLOCK = 2 * CELL,
  BLOCKS = SIDE / CELL - 1, /* along one side; neighbours share half */
  BINS = 9,
  BLOCK_DIM = 2 * 2 * BINS,
  DIM = BLOCKS * BLOCKS * BLOCK_DIM,
  ROW = SIDE * BINS,
};
static const float NORM_FLOOR = 3.6F, CLIP = 0.2F, CLIPPED_NORM_FLOOR = 1e-3F;

/* What position i of a block, along one axis, counts for the first and for the second cell. */
typedef struct weights {
  float at[2][BLOCK];
} weights;

typedef struct workspace {
  float votes[ROW];              /* of one row of pixels */
  float columns[BLOCKS][2][ROW]; /* votes added up over the rows of each block's upper and lower cells */
} workspace;

static weights block_weights(void) {
  weights w;
  for (int i = 0; i < BLOCK; i++) {
    float sigmas = (float)(i - CELL) / (float)CELL;
    float cell = ((float)i + 0.5F) / (float)CELL - 0.5F;
    for (int c = 0; c < 2; c++) w.at[c][i] = expf(-0.5F * sigmas * sigmas) * fmaxf(0.0F, 1.0F - fabsf(cell - (float)c));
  }
  return w;
}

/* The angle of (x, y) in half turns, 0 to 1, the same for opposite directions. On [0, 1] atan(t) / pi is the
 * least-squares odd polynomial over Chebyshev points; its error is below 1e-6. */
static float half_turns(float x, float y) {
  float a = fabsf(x), b = fabsf(y);
  float low = a < b ? a : b, high = a < b ? b : a;
  float t = high > 0.0F ? low / high : 0.0F, s = t * t;
  float turn = 0.01681424F - 0.00374667F * s;
  turn = t * (0.31830347F + s * (-0.10588753F + s * (0.06164718F + s * (-0.0371312F + s * turn))));
  if (a < b) turn = 0.5F - turn;
  return x * y < 0.0F ? 1.0F - turn : turn;
}

/* One pixel's vote, shared by the two bins whose centres are nearest. */
static void cast_vote(float x, float y, float *votes) {
  float norm = sqrtf(x * x + y * y), bin = half_turns(x, y) * BINS + 0.5F; /* half a bin up: stays positive */
  int above = (int)bin;
  float share = bin - (float)above;
  votes[(above + BINS - 1) % BINS] = norm * (1.0F - share);
  votes[above % BINS] = norm * share;
}

static void row_votes(const uint8_t *above, const uint8_t *here, const uint8_t *below, float *votes) {
  memset(votes, 0, ROW * sizeof *votes);
  for (size_t x = 0; x < SIDE; x++) {
    const uint8_t *left = here + 3 * (x > 0 && x + 1 < SIDE ? x - 1 : x);
    const uint8_t *right = here + 3 * (x > 0 && x + 1 < SIDE ? x + 1 : x);
    int steepest = -1, dx = 0, dy = 0;
    for (size_t c = 0; c < 3; c++) {
      int cx = right[c] - left[c], cy = below[3 * x + c] - above[3 * x + c], square = cx * cx + cy * cy;
      if (square >= steepest) steepest = square, dx = cx, dy = cy;
    }
    cast_vote((float)dx, (float)dy, votes + x * BINS);
  }
}

/* Adds pixel row y to the one or two rows of blocks that it crosses. */
static void add_down(const float *votes, size_t y, const weights *w, float columns[BLOCKS][2][ROW]) {
  for (size_t block = 0; block < BLOCKS; block++) {
    size_t i = y - block * CELL; /* wraps to something huge above the block */
    if (i >= BLOCK) continue;
    for (size_t c = 0; c < 2; c++)
      for (size_t v = 0; v < ROW; v++) columns[block][c][v] += w->at[c][i] * votes[v];
  }
}

/* `columns` starts at the block's first column of pixels. */
static void add_across(const float *columns, const weights *w, float *cells) {
  for (size_t i = 0; i < BLOCK; i++)
    for (size_t c = 0; c < 2; c++)
      for (size_t b = 0; b < BINS; b++) cells[c * BINS + b] += w->at[c][i] * columns[i * BINS + b];
}

static void scale(float *block, float floor) {
  float square = 0.0F;
  for (size_t i = 0; i < BLOCK_DIM; i++) square += block[i] * block[i];
  float by = 1.0F / (sqrtf(square) + floor);
  for (size_t i = 0; i < BLOCK_DIM; i++) block[i] *= by;
}

/* L2-Hys: Lowe's normalisation, so that no single edge outweighs its block. */
static void normalise(float *block) {
  scale(block, NORM_FLOOR);
  for (size_t i = 0; i < BLOCK_DIM; i++) block[i] = block[i] < CLIP ? block[i] : CLIP;
  scale(block, CLIPPED_NORM_FLOOR);
}

static void extract(const hem__image *photo, void *scratch, float *out) {
  workspace *work = scratch;
  const weights w = block_weights();
  memset(work->columns, 0, sizeof work->columns);
  for (size_t y = 0; y < SIDE; y++) {
    const uint8_t *here = photo->at + y * SIDE * 3;
    const bool inside = y > 0 && y + 1 < SIDE;
    row_votes(inside ? here - SIDE * 3 : here, here, inside ? here + SIDE * 3 : here, work->votes);
    add_down(work->votes, y, &w, work->columns);
  }
  memset(out, 0, DIM * sizeof *out);
  for (size_t y = 0; y < BLOCKS; y++)
    for (size_t x = 0; x < BLOCKS; x++, out += BLOCK_DIM) {
      for (size_t c = 0; c < 2; c++) add_across(work->columns[y][c] + x * CELL * BINS, &w, out + c * 2 * BINS);
      normalise(out);
    }
}

const hem__feature hem__feature_hog = {
    .name = "hog",
    .recipe =
        "sRGB; steepest channel, the last of equals; no gamma; [-1 0 1], 0 at the edge; 9 unsigned bins; cells 8x8; "
        "blocks 2x2 cells, step 1 cell; trilinear; Gaussian sigma 8 on pixel 8; L2-Hys floor 3.6 clip 0.2 "
        "floor 0.001",
    .dim = DIM,
    .side = SIDE,
    .scratch = sizeof(workspace),
    .extract = extract,
};
