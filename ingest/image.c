/* Photos in memory: cutting, stretching, turning. Knows nothing of files, formats or features. */
#include "ingest/decode.h"

#include <stdlib.h>
#include <string.h>

#define CHANNELS 3
#define SIDE_MAX 65535 /* bounds every sum in hem__image_resize */

/* ---- memory ---- */

hem_status hem__image_new(size_t width, size_t height, hem__image *out, hem_error *err) {
  if (width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX)
    return hem__fail(err, HEM_EINVAL, "an image of %zu x %zu pixels: each side must be 1 to %d", width, height,
                     SIDE_MAX);
  size_t bytes;
  uint8_t *at = NULL;
  if (hem__mul(width * CHANNELS, height, &bytes)) at = malloc(bytes);
  if (!at) return hem__fail(err, HEM_ENOMEM, "no memory for an image of %zu x %zu pixels", width, height);
  *out = (hem__image){.at = at, .width = width, .height = height};
  return HEM_OK;
}

void hem__image_clear(hem__image *image) {
  free(image->at);
  *image = (hem__image){0};
}

/* Millionths of the photo's sides, as pixels: the edges are rounded, so that neighbours stay neighbours. */
static hem__box box_in_pixels(const hem__image *photo, hem__box box) {
  if (box.unit != HEM__MILLIONTHS) return box;
  int64_t width = (int64_t)photo->width, height = (int64_t)photo->height, half = 500000, all = 1000000;
  int64_t left = (box.x * width + half) / all, right = (((int64_t)box.x + box.width) * width + half) / all;
  int64_t top = (box.y * height + half) / all, bottom = (((int64_t)box.y + box.height) * height + half) / all;
  return (hem__box){(int32_t)left, (int32_t)top, (int32_t)(right - left), (int32_t)(bottom - top), HEM__PIXELS};
}

hem_status hem__image_crop(const hem__image *photo, hem__box box, hem__image *out, hem_error *err) {
  bool whole = !box.x && !box.y && !box.width && !box.height; /* not what only rounds to nothing */
  box = box_in_pixels(photo, box);
  int64_t width = (int64_t)photo->width, height = (int64_t)photo->height;
  int64_t left = box.x > 0 ? box.x : 0, top = box.y > 0 ? box.y : 0;
  int64_t right = whole ? width : (int64_t)box.x + box.width, bottom = whole ? height : (int64_t)box.y + box.height;
  if (right > width) right = width;
  if (bottom > height) bottom = height;
  if (left >= right || top >= bottom)
    return hem__fail(err, HEM_EINVAL, "box %d,%d of %d x %d leaves nothing of a photo of %zu x %zu pixels", box.x,
                     box.y, box.width, box.height, photo->width, photo->height);
  hem__image cut;
  hem_status status = hem__image_new((size_t)(right - left), (size_t)(bottom - top), &cut, err);
  if (status) return status;
  const uint8_t *from = photo->at + ((size_t)top * photo->width + (size_t)left) * CHANNELS;
  size_t row = cut.width * CHANNELS;
  for (size_t y = 0; y < cut.height; y++) memcpy(cut.at + y * row, from + y * photo->width * CHANNELS, row);
  *out = cut;
  return HEM_OK;
}

/* ---- stretching ----
 * Separable, in whole numbers and so the same on every machine: the area average where an axis shrinks, linear
 * interpolation between pixel centres where it grows. Rows are summed first, because that reads memory in order
 * and leaves one short row for each row of the result. Sums: a weight total is at most 2 x 65,535, so a column of
 * 8-bit values stays under 2^25 and a whole pixel under 2^42. */

/* The source pixels first..last behind one pixel of the result, along one axis. */
typedef struct span {
  size_t first, last;
  uint32_t at_first, between, at_last; /* weights; at_last is 0 where last == first */
  uint32_t total;
} span;

static span span_shrinking(size_t i, size_t from, size_t to) {
  /* In units of 1/to of a source pixel, pixel i covers [i * from, (i + 1) * from). */
  size_t low = i * from, high = low + from;
  span s = {.first = low / to, .last = (high - 1) / to, .between = (uint32_t)to, .total = (uint32_t)from};
  s.at_first = (uint32_t)hem__min((s.first + 1) * to - low, from);
  s.at_last = s.last > s.first ? (uint32_t)(high - s.last * to) : 0;
  return s;
}

static span span_growing(size_t i, size_t from, size_t to) {
  /* In units of 1/(2 to) of a source pixel, the centre of pixel i lies at (2 i + 1) from, and that of source
   * pixel 0 at `to`. Beyond the outermost centres the border is repeated. */
  uint32_t unit = 2 * (uint32_t)to;
  size_t centre = (2 * i + 1) * from, place = centre > to ? centre - to : 0;
  span s = {.first = place / unit, .at_last = (uint32_t)(place % unit), .total = unit};
  s.last = s.first + 1;
  if (s.last >= from || s.at_last == 0) {
    s.last = s.first;
    s.at_last = 0;
  }
  s.at_first = unit - s.at_last;
  return s;
}

static span span_of(size_t i, size_t from, size_t to) {
  return to <= from ? span_shrinking(i, from, to) : span_growing(i, from, to);
}

static void add_row(uint32_t *restrict sum, const uint8_t *restrict row, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] += row[i];
}

/* sum = the weighted sum of the rows of `rows`. */
static void sum_rows(const hem__image *photo, span rows, uint32_t *restrict sum) {
  size_t count = photo->width * CHANNELS;
  const uint8_t *first = photo->at + rows.first * count, *last = photo->at + rows.last * count;
  memset(sum, 0, count * sizeof *sum);
  for (const uint8_t *row = first + count; row < last; row += count) add_row(sum, row, count);
  for (size_t i = 0; i < count; i++) sum[i] = sum[i] * rows.between + first[i] * rows.at_first + last[i] * rows.at_last;
}

static void sum_columns(const uint32_t *row, span columns, uint64_t divisor, uint8_t *out) {
  const uint32_t *first = row + columns.first * CHANNELS, *last = row + columns.last * CHANNELS;
  uint64_t sum[CHANNELS] = {0};
  for (const uint32_t *at = first + CHANNELS; at < last; at += CHANNELS)
    for (size_t c = 0; c < CHANNELS; c++) sum[c] += at[c];
  for (size_t c = 0; c < CHANNELS; c++) {
    uint64_t all =
        sum[c] * columns.between + (uint64_t)first[c] * columns.at_first + (uint64_t)last[c] * columns.at_last;
    out[c] = (uint8_t)((all + divisor / 2) / divisor);
  }
}

hem_status hem__image_resize(const hem__image *photo, size_t width, size_t height, hem__image *out, hem_error *err) {
  hem__image stretched = {0};
  uint32_t *sum = NULL;
  hem_status status = hem__image_new(width, height, &stretched, err);
  if (!status) status = hem__alloc(photo->width * CHANNELS, sizeof *sum, "stretching an image", &sum, err);
  if (status) goto done;
  for (size_t y = 0; y < height; y++) {
    span rows = span_of(y, photo->height, height);
    sum_rows(photo, rows, sum);
    for (size_t x = 0; x < width; x++) {
      span columns = span_of(x, photo->width, width);
      sum_columns(sum, columns, (uint64_t)rows.total * columns.total, stretched.at + (y * width + x) * CHANNELS);
    }
  }
  *out = stretched;
  stretched = (hem__image){0};
done:
  free(sum);
  hem__image_clear(&stretched);
  return status;
}

/* ---- turning ---- */

/* Where the upright photo's pixel (x, y) lies in the stored one: first + x * across + y * down, in pixels. */
typedef struct turn {
  size_t first;
  ptrdiff_t across, down;
} turn;

static turn turn_of(const hem__image *stored, int orientation) {
  ptrdiff_t row = (ptrdiff_t)stored->width;
  size_t right = stored->width - 1, bottom = stored->width * (stored->height - 1);
  switch (orientation) {
    case 2:
      return (turn){right, -1, row};
    case 3:
      return (turn){bottom + right, -1, -row};
    case 4:
      return (turn){bottom, 1, -row};
    case 5:
      return (turn){0, row, 1};
    case 6:
      return (turn){bottom, -row, 1};
    case 7:
      return (turn){bottom + right, -row, -1};
    default:
      return (turn){right, row, -1};
  }
}

hem_status hem__image_upright(hem__image *photo, int orientation, hem_error *err) {
  if (orientation < 2 || orientation > 8) return HEM_OK;
  hem__image upright;
  bool lies = orientation >= 5;
  hem_status status =
      hem__image_new(lies ? photo->height : photo->width, lies ? photo->width : photo->height, &upright, err);
  if (status) return status;
  turn t = turn_of(photo, orientation);
  for (size_t y = 0; y < upright.height; y++) {
    uint8_t *to = upright.at + y * upright.width * CHANNELS;
    ptrdiff_t from = (ptrdiff_t)t.first + (ptrdiff_t)y * t.down;
    for (size_t x = 0; x < upright.width; x++, from += t.across)
      memcpy(to + x * CHANNELS, photo->at + from * CHANNELS, CHANNELS);
  }
  hem__image_clear(photo);
  *photo = upright;
  return HEM_OK;
}
