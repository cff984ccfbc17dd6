/* The map as photos: each goes to the free cell of a grid that is next to its place, the innermost first, so that the
 * crowd is pushed outwards and no photo covers another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "bench/chart.h"
#include "bench/plot.h"
#include "ingest/pictures.h"

enum { SIDE = 3200, CELL_MIN = 16, CELL_MAX = 96, FRAME_FROM = 28, CHANNELS = 3 };
#define FILLED 0.42 /* of the grid: the rest keeps clusters apart */

typedef struct mosaic {
  const hem__chart *map;
  hem__pictures *pictures;
  size_t across, cell; /* cells a side, pixels a cell */
  size_t *cells;       /* by point: which one */
  bool *shown;
  hem__image picture;
} mosaic;

/* ---- cells ---- */

typedef struct wish {
  double x, y, off; /* in cells; off: from the middle */
  size_t point;
} wish;

static int by_distance(const void *a, const void *b) {
  const wish *x = a, *y = b;
  if (x->off != y->off) return x->off < y->off ? -1 : 1;
  return (x->point > y->point) - (x->point < y->point);
}

/* Rings of growing size around the wish; a farther ring may still hold a nearer cell until its side is beyond it. */
static size_t nearest_free(const mosaic *m, const bool *taken, const wish *w) {
  size_t best = SIZE_MAX, last = m->across - 1;
  double nearest = INFINITY;
  long cx = (long)fmin(fmax(w->x, 0), (double)last), cy = (long)fmin(fmax(w->y, 0), (double)last);
  for (long ring = 0; ring < (long)m->across && (double)ring - 1 < nearest; ring++)
    for (long y = cy - ring; y <= cy + ring; y++)
      for (long x = cx - ring; x <= cx + ring; x += labs(y - cy) == ring || ring == 0 ? 1 : 2 * ring) {
        if (x < 0 || y < 0 || x > (long)last || y > (long)last) continue;
        size_t cell = (size_t)y * m->across + (size_t)x;
        double off = hypot((double)x + 0.5 - w->x, (double)y + 0.5 - w->y);
        if (taken[cell] || off >= nearest) continue;
        nearest = off;
        best = cell;
      }
  return best;
}

static hem_status snap(mosaic *m, hem_error *err) {
  const hem__chart *map = m->map;
  double reach = 1e-12;
  wish *wishes = NULL;
  bool *taken = NULL;
  hem_status status = hem__alloc(map->count, sizeof *wishes, "photos", &wishes, err);
  if (!status) status = hem__alloc(m->across * m->across, sizeof *taken, "cells", &taken, err);
  for (size_t i = 0; i < map->count; i++) reach = fmax(reach, fmax(fabs(map->at[i].x), fabs(map->at[i].y)));
  for (size_t i = 0; i < map->count && !status; i++) {
    double x = map->at[i].x / reach, y = -map->at[i].y / reach, half = (double)m->across / 2; /* y points up */
    wishes[i] = (wish){.x = half * (1 + x), .y = half * (1 + y), .off = hypot(x, y), .point = i};
  }
  if (!status) qsort(wishes, map->count, sizeof *wishes, by_distance);
  for (size_t i = 0; i < map->count && !status; i++) {
    size_t cell = nearest_free(m, taken, &wishes[i]);
    m->cells[wishes[i].point] = cell;
    taken[cell] = true;
  }
  free(wishes);
  free(taken);
  return status;
}

/* ---- pictures ---- */

static void frame(const mosaic *m, uint8_t *corner, size_t group) {
  unsigned long colour = strtoul(hem__colours[group % HEM__COLOURS] + 1, NULL, 16);
  size_t width = m->cell >= 2 * FRAME_FROM ? 3 : 2, inside = m->cell - 1; /* the last row and column stay white */
  if (m->cell < FRAME_FROM) return;
  for (size_t y = 0; y < inside; y++)
    for (size_t x = 0; x < inside; x++) {
      if (x >= width && y >= width && x + width < inside && y + width < inside) continue;
      for (size_t c = 0; c < CHANNELS; c++)
        corner[(y * m->picture.width + x) * CHANNELS + c] = (uint8_t)(colour >> (16 - 8 * c));
    }
}

/* The middle of the photo, square. */
static void draw(void *context, size_t i, size_t worker) {
  mosaic *m = context;
  hem__image whole = {0}, square = {0}, small = {0};
  hem_error why;
  (void)worker;
  hem_status status = hem__pictures_read(m->pictures, m->map->rows[i], &whole, &why);
  size_t side = hem__min(whole.width, whole.height), inside = m->cell - 1;
  hem__box box = {.x = (int32_t)((whole.width - side) / 2),
                  .y = (int32_t)((whole.height - side) / 2),
                  .width = (int32_t)side,
                  .height = (int32_t)side};
  if (!status) status = hem__image_crop(&whole, box, &square, &why);
  if (!status) status = hem__image_resize(&square, inside, inside, &small, &why);
  if (!status) {
    size_t left = m->cells[i] % m->across * m->cell, top = m->cells[i] / m->across * m->cell;
    uint8_t *corner = m->picture.at + (top * m->picture.width + left) * CHANNELS;
    for (size_t y = 0; y < inside; y++)
      memcpy(corner + y * m->picture.width * CHANNELS, small.at + y * inside * CHANNELS, inside * CHANNELS);
    frame(m, corner, m->map->group[i]);
    m->shown[i] = true;
  }
  hem__image_clear(&whole);
  hem__image_clear(&square);
  hem__image_clear(&small);
}

hem_status hem__chart_mosaic(const hem__catalog *catalog, const hem__chart *map, const hem__mosaic_options *options,
                             hem__image *out, size_t *shown, hem_error *err) {
  mosaic m = {.map = map, .across = (size_t)ceil(sqrt((double)map->count / FILLED))};
  size_t side = options->side ? options->side : SIDE, drawn = 0;
  m.cell = hem__min(hem__max(side / m.across, CELL_MIN), CELL_MAX);
  hem_status status = hem__pictures_open(catalog, options->idx, &m.pictures, err);
  if (!status) status = hem__alloc(map->count, sizeof *m.cells, "photos", &m.cells, err);
  if (!status) status = hem__alloc(map->count, sizeof *m.shown, "photos", &m.shown, err);
  if (!status) status = hem__image_new(m.across * m.cell, m.across * m.cell, &m.picture, err);
  if (!status) status = snap(&m, err);
  if (status) goto exit;
  memset(m.picture.at, 255, m.picture.width * m.picture.height * CHANNELS);
  status = hem__parallel_for(map->count, options->threads, draw, &m, err);
  for (size_t i = 0; i < map->count; i++) drawn += m.shown[i];
  if (!status && !drawn)
    status = hem__fail(err, HEM_ENOTFOUND,
                       "no picture can be read: put the files where they were ingested from, and name the folder of "
                       "idx files (--idx)");
  if (status) goto exit;
  *out = m.picture;
  *shown = drawn;
  m.picture = (hem__image){0};
exit:
  hem__pictures_close(m.pictures);
  hem__image_clear(&m.picture);
  free(m.cells);
  free(m.shown);
  return status;
}
