/* The garment's photo is cut loose where its background is even (the sweep of a studio, Fashion-MNIST's black), and
 * else fades out towards its edges; a photo in a photo, with four sharp edges, would teach a metric to find edges.
 * Pixels are looked up backwards, from the view to the photo (Wolberg 1990), between four neighbours; the photo is
 * shrunk first, by averaging, so that it is not undersampled. */
#include "bench/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/feature.h"

enum { CHANNELS = 3, LAYER = 4 }; /* LAYER: a picture with its cover behind the colours */
#define PI 3.14159265358979323846

uint64_t hem__dice_next(hem__dice *dice) {
  uint64_t z = dice->state += 0x9E3779B97F4A7C15U;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
  z = (z ^ z >> 27) * 0x94D049BB133111EBU;
  return z ^ z >> 31;
}

double hem__dice_between(hem__dice *dice, double low, double high) {
  return low + (high - low) * (double)(hem__dice_next(dice) >> 11) * 0x1p-53;
}

/* About normal, mean 0, variance 1: four uniform values of 16 bits are enough for the noise of a camera. */
static float roughly_normal(hem__dice *dice) {
  uint64_t bits = hem__dice_next(dice);
  float sum =
      (float)(bits & 0xFFFF) + (float)(bits >> 16 & 0xFFFF) + (float)(bits >> 32 & 0xFFFF) + (float)(bits >> 48);
  return (sum / 65535 - 2) * 1.7320508F;
}

/* ---- homography ---- */

/* Gauss with pivots; rows of 8 values and the right side. */
static bool solve(double rows[8][9], double out[8]) {
  for (size_t c = 0; c < 8; c++) {
    size_t best = c;
    for (size_t r = c + 1; r < 8; r++)
      if (fabs(rows[r][c]) > fabs(rows[best][c])) best = r;
    if (fabs(rows[best][c]) < 1e-9) return false;
    for (size_t i = 0; i < 9; i++) {
      double kept = rows[c][i];
      rows[c][i] = rows[best][i];
      rows[best][i] = kept;
    }
    for (size_t r = 0; r < 8; r++) {
      double factor = r == c ? 0 : rows[r][c] / rows[c][c];
      for (size_t i = c; i < 9; i++) rows[r][i] -= factor * rows[c][i];
    }
  }
  for (size_t c = 0; c < 8; c++) out[c] = rows[c][8] / rows[c][c];
  return true;
}

bool hem__homography_fit(const hem__quad *from, const hem__quad *to, hem__homography *out) {
  double rows[8][9];
  for (size_t i = 0; i < 4; i++) {
    double x = from->at[i][0], y = from->at[i][1], u = to->at[i][0], v = to->at[i][1];
    memcpy(rows[2 * i], (double[9]){x, y, 1, 0, 0, 0, -u * x, -u * y, u}, sizeof rows[0]);
    memcpy(rows[2 * i + 1], (double[9]){0, 0, 0, x, y, 1, -v * x, -v * y, v}, sizeof rows[0]);
  }
  out->at[8] = 1;
  return solve(rows, out->at);
}

void hem__homography_apply(const hem__homography *h, double x, double y, double *u, double *v) {
  const double *m = h->at;
  double w = m[6] * x + m[7] * y + m[8];
  *u = (m[0] * x + m[1] * y + m[2]) / w;
  *v = (m[3] * x + m[4] * y + m[5]) / w;
}

/* ---- layers ---- */

/* Floats, 0 to 255, four a pixel. */
typedef struct layer {
  float *at;
  size_t width, height;
} layer;

static hem_status layer_new(size_t width, size_t height, layer *out, hem_error *err) {
  *out = (layer){.width = width, .height = height};
  return hem__alloc(width * height * LAYER, sizeof *out->at, "a view", &out->at, err);
}

/* A part of a photo, its sides `least` to `most` of the whole; shrunk to `side` where it is larger. */
typedef struct cut {
  const hem__image *from;
  double least, most;
  size_t side;
} cut;

static hem_status crop(hem__dice *dice, const cut *how, hem__image *out, hem_error *err) {
  double width = (double)how->from->width, height = (double)how->from->height;
  double across = hem__dice_between(dice, how->least, how->most), down = hem__dice_between(dice, how->least, how->most);
  double left = hem__dice_between(dice, 0, 1 - across), top = hem__dice_between(dice, 0, 1 - down);
  hem__box box = {.x = (int32_t)(left * width),
                  .y = (int32_t)(top * height),
                  .width = (int32_t)fmax(across * width, 1),
                  .height = (int32_t)fmax(down * height, 1)};
  return hem__image_crop(how->from, box, out, err);
}

static hem_status shrink(hem__image *image, size_t side, hem_error *err) {
  hem__image small;
  size_t longer = hem__max(image->width, image->height);
  if (longer <= side) return HEM_OK;
  hem_status status = hem__image_resize(image, hem__max(1, image->width * side / longer),
                                        hem__max(1, image->height * side / longer), &small, err);
  if (status) return status;
  hem__image_clear(image);
  *image = small;
  return HEM_OK;
}

static hem_status layer_of(hem__dice *dice, const cut *how, layer *out, hem_error *err) {
  hem__image part = {0};
  hem_status status = crop(dice, how, &part, err);
  if (!status) status = shrink(&part, how->side, err);
  if (!status) status = layer_new(part.width, part.height, out, err);
  for (size_t i = 0; !status && i < part.width * part.height; i++) {
    for (size_t c = 0; c < CHANNELS; c++) out->at[LAYER * i + c] = part.at[CHANNELS * i + c];
    out->at[LAYER * i + CHANNELS] = 1;
  }
  hem__image_clear(&part);
  return status;
}

/* Between four neighbours; outside nothing, or with `spread` the border's pixels. */
static void look_up(const layer *from, double x, double y, bool spread, float out[LAYER]) {
  double right = (double)from->width - 1, bottom = (double)from->height - 1;
  memset(out, 0, LAYER * sizeof *out);
  if (!spread && !(x > -1 && y > -1 && x < right + 1 && y < bottom + 1)) return;
  x = fmin(fmax(x, 0), right);
  y = fmin(fmax(y, 0), bottom);
  size_t left = (size_t)x, top = (size_t)y;
  float across = (float)(x - (double)left), down = (float)(y - (double)top);
  for (size_t i = 0; i < 4; i++) {
    size_t px = hem__min(left + i % 2, from->width - 1), py = hem__min(top + i / 2, from->height - 1);
    float weight = (i % 2 ? across : 1 - across) * (i / 2 ? down : 1 - down);
    const float *pixel = from->at + (py * from->width + px) * LAYER;
    for (size_t c = 0; c < LAYER; c++) out[c] += weight * pixel[c];
  }
}

static void lay(const layer *on, const layer *what, const hem__homography *to_what) {
  for (size_t y = 0; y < on->height; y++)
    for (size_t x = 0; x < on->width; x++) {
      double u, v;
      float over[LAYER], *under = on->at + (y * on->width + x) * LAYER;
      hem__homography_apply(to_what, (double)x, (double)y, &u, &v);
      look_up(what, u, v, false, over);
      for (size_t c = 0; c < CHANNELS; c++) under[c] += over[CHANNELS] * (over[c] - under[c]);
    }
}

/* ---- cutting the garment loose ---- */

enum { EVEN = 14, MARGIN = 16 }; /* grey levels */

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The border's median colour, and how far its pixels are from it on the median. */
static float border_colour(const layer *photo, float *room, float colour[CHANNELS]) {
  size_t count = 0;
  float *off = room;
  for (size_t c = 0; c < CHANNELS; c++) {
    count = 0;
    for (size_t y = 0; y < photo->height; y++)
      for (size_t x = 0; x < photo->width; x += y && y + 1 < photo->height ? hem__max(photo->width - 1, 1) : 1)
        room[count++] = photo->at[(y * photo->width + x) * LAYER + c];
    qsort(room, count, sizeof *room, by_value);
    colour[c] = room[count / 2];
  }
  count = 0;
  for (size_t y = 0; y < photo->height; y++)
    for (size_t x = 0; x < photo->width; x += y && y + 1 < photo->height ? hem__max(photo->width - 1, 1) : 1) {
      const float *p = photo->at + (y * photo->width + x) * LAYER;
      off[count++] = fmaxf(fmaxf(fabsf(p[0] - colour[0]), fabsf(p[1] - colour[1])), fabsf(p[2] - colour[2]));
    }
  qsort(off, count, sizeof *off, by_value);
  return off[count / 2];
}

static bool is_like(const layer *photo, size_t pixel, const float colour[CHANNELS], float within) {
  const float *p = photo->at + pixel * LAYER;
  return fabsf(p[0] - colour[0]) < within && fabsf(p[1] - colour[1]) < within && fabsf(p[2] - colour[2]) < within;
}

/* Uncovers what can be reached from the border through pixels of the border's colour. Returns how many. */
static size_t flood(const layer *photo, const float colour[CHANNELS], float within, size_t *stack) {
  size_t width = photo->width, height = photo->height, depth = 0, reached = 0;
  for (size_t i = 0; i < width * height; i++)
    if (i % width == 0 || i % width == width - 1 || i < width || i >= width * (height - 1)) stack[depth++] = i;
  while (depth) {
    size_t at = stack[--depth];
    float *cover = photo->at + at * LAYER + CHANNELS;
    if (*cover == 0 || !is_like(photo, at, colour, within)) continue;
    *cover = 0;
    reached++;
    if (at % width) stack[depth++] = at - 1;
    if (at % width + 1 < width) stack[depth++] = at + 1;
    if (at >= width) stack[depth++] = at - width;
    if (at + width < width * height) stack[depth++] = at + width;
  }
  return reached;
}

/* Full inside, fading out near the edges: x^4 + y^4 < 1. */
static void fade_out(const layer *photo) {
  for (size_t y = 0; y < photo->height; y++) {
    float down = 2 * ((float)y + 0.5F) / (float)photo->height - 1;
    for (size_t x = 0; x < photo->width; x++) {
      float across = 2 * ((float)x + 0.5F) / (float)photo->width - 1;
      float inside = 2 * (1.05F - across * across * across * across - down * down * down * down);
      photo->at[(y * photo->width + x) * LAYER + CHANNELS] = fminf(fmaxf(inside, 0), 1);
    }
  }
}

static hem_status cut_loose(const layer *photo, hem_error *err) {
  size_t pixels = photo->width * photo->height;
  size_t *stack = NULL;
  float *room = NULL, colour[CHANNELS];
  hem_status status = hem__alloc(5 * pixels, sizeof *stack, "a view", &stack, err);
  if (!status) status = hem__alloc(2 * (photo->width + photo->height), sizeof *room, "a view", &room, err);
  if (!status) {
    float uneven = border_colour(photo, room, colour);
    size_t loose = uneven < EVEN ? flood(photo, colour, 2 * uneven + MARGIN, stack) : 0;
    if (loose < pixels / 10 || loose > pixels - pixels / 10) fade_out(photo);
  }
  free(room);
  free(stack);
  return status;
}

/* ---- placing ---- */

/* The corners of a rectangle around (x, y), turned; `shift` moves each corner by up to so much of its sides. */
static void corners_of(hem__dice *dice, double x, double y, double width, double height, double turn, double shift,
                       hem__quad *out) {
  for (size_t i = 0; i < 4; i++) {
    double across = (i == 1 || i == 2 ? 0.5 : -0.5) + hem__dice_between(dice, -shift, shift);
    double down = (i >= 2 ? 0.5 : -0.5) + hem__dice_between(dice, -shift, shift);
    out->at[i][0] = x + cos(turn) * across * width - sin(turn) * down * height;
    out->at[i][1] = y + sin(turn) * across * width + cos(turn) * down * height;
  }
}

/* A layer's own corners in the same order; mirrored by a coin. */
static void whole_of(hem__dice *dice, const layer *of, hem__quad *out) {
  bool mirrored = hem__dice_next(dice) & 1;
  for (size_t i = 0; i < 4; i++) {
    bool right = (i == 1 || i == 2) != mirrored;
    out->at[i][0] = right ? (double)of->width - 1 : 0;
    out->at[i][1] = i >= 2 ? (double)of->height - 1 : 0;
  }
}

/* The scene fills the view, darker, as what is farther away. */
static void lay_scene(hem__dice *dice, const layer *view, const layer *scene) {
  hem__quad part;
  double gain = hem__dice_between(dice, 0.6, 1);
  double width = (double)view->width - 1, height = (double)view->height - 1;
  hem__quad whole = {{{0, 0}, {width, 0}, {width, height}, {0, height}}};
  hem__homography to_scene;
  whole_of(dice, scene, &part);
  if (!hem__homography_fit(&whole, &part, &to_scene)) return; /* of one pixel: the view stays black */
  for (size_t y = 0; y < view->height; y++)
    for (size_t x = 0; x < view->width; x++) {
      double u, v;
      float *pixel = view->at + (y * view->width + x) * LAYER;
      hem__homography_apply(&to_scene, (double)x, (double)y, &u, &v);
      look_up(scene, u, v, true, pixel);
      for (size_t c = 0; c < CHANNELS; c++) pixel[c] *= (float)gain;
    }
}

static void lay_garment(hem__dice *dice, double strength, const layer *view, const layer *garment) {
  hem__quad part, place;
  double width = (double)view->width, height = (double)view->height;
  hem__homography to_garment;
  whole_of(dice, garment, &part);
  double size = hem__dice_between(dice, 1 - 0.42 * strength, 1 + 0.08 * strength), free_part = (1 - size) / 2;
  double fit = size * fmin(width / (double)garment->width, height / (double)garment->height);
  double x = width * (0.5 + hem__dice_between(dice, -free_part, free_part));
  double y = height * (0.5 + hem__dice_between(dice, -free_part, free_part));
  double turn = strength * hem__dice_between(dice, -0.3, 0.3);
  corners_of(dice, x, y, fit * (double)garment->width, fit * (double)garment->height, turn, 0.06 * strength, &place);
  if (hem__homography_fit(&place, &part, &to_garment)) lay(view, garment, &to_garment);
}

/* An arm, a bag, somebody who passes: a strip of another photo over a part of the view. */
static void lay_front(hem__dice *dice, double strength, const layer *view, const layer *front) {
  hem__quad part, place;
  double width = (double)view->width, height = (double)view->height;
  hem__homography to_front;
  if (hem__dice_between(dice, 0, 1) > 0.4 * strength) return;
  double side = hem__dice_between(dice, 0, 2 * PI), turn = hem__dice_between(dice, -0.5, 0.5);
  double x = width * (0.5 + 0.42 * cos(side)), y = height * (0.5 + 0.42 * sin(side));
  whole_of(dice, front, &part);
  corners_of(dice, x, y, width * hem__dice_between(dice, 0.12, 0.34), height * hem__dice_between(dice, 0.12, 0.4), turn,
             0.1, &place);
  if (hem__homography_fit(&place, &part, &to_front)) lay(view, front, &to_front);
}

/* ---- the camera ---- */

/* Brightness, contrast, a colour cast, and light from one side. */
static void light(hem__dice *dice, double strength, bool grey, const layer *view) {
  double gain = exp(strength * hem__dice_between(dice, -0.4, 0.3)), slope = strength * hem__dice_between(dice, 0, 0.35);
  double contrast = exp(strength * hem__dice_between(dice, -0.3, 0.2)), from = hem__dice_between(dice, 0, 2 * PI);
  float cast[CHANNELS];
  for (size_t c = 0; c < CHANNELS; c++) {
    double more = exp(strength * hem__dice_between(dice, -0.14, 0.14));
    cast[c] = grey ? 1 : (float)more;
  }
  for (size_t y = 0; y < view->height; y++)
    for (size_t x = 0; x < view->width; x++) {
      double across = (double)x / (double)view->width - 0.5, down = (double)y / (double)view->height - 0.5;
      float here = (float)(gain * (1 + slope * (across * cos(from) + down * sin(from)) * 2));
      float *pixel = view->at + (y * view->width + x) * LAYER;
      for (size_t c = 0; c < CHANNELS; c++) pixel[c] = (float)((pixel[c] * here * cast[c] - 110) * contrast + 110);
    }
}

enum { REACH = 8 };

/* One row or column of `count` pixels, `step` floats apart. */
static void blur_line(const float *restrict from, float *restrict to, size_t count, size_t step, const float *weights,
                      size_t reach) {
  for (size_t i = 0; i < count; i++) {
    float sum[LAYER] = {0};
    for (size_t d = 0; d <= 2 * reach; d++) {
      size_t at = i + d < reach ? 0 : hem__min(i + d - reach, count - 1);
      for (size_t c = 0; c < LAYER; c++) sum[c] += weights[d] * from[at * step + c];
    }
    memcpy(to + i * step, sum, sizeof sum);
  }
}

/* A Gaussian, along rows and then columns. */
static hem_status blur(const layer *view, double sigma, hem_error *err) {
  float weights[2 * REACH + 1], total = 0;
  size_t reach = hem__min((size_t)ceil(2.5 * sigma), REACH), row = view->width * LAYER;
  layer rows = {0};
  if (sigma < 0.2) return HEM_OK;
  hem_status status = layer_new(view->width, view->height, &rows, err);
  if (status) return status;
  for (size_t d = 0; d <= 2 * reach; d++) {
    double off = (double)d - (double)reach;
    total += weights[d] = (float)exp(-off * off / (2 * sigma * sigma));
  }
  for (size_t d = 0; d <= 2 * reach; d++) weights[d] /= total;
  for (size_t y = 0; y < view->height; y++)
    blur_line(view->at + y * row, rows.at + y * row, view->width, LAYER, weights, reach);
  for (size_t x = 0; x < view->width; x++)
    blur_line(rows.at + x * LAYER, view->at + x * LAYER, view->height, row, weights, reach);
  free(rows.at);
  return HEM_OK;
}

static hem_status develop(hem__dice *dice, double noise, bool grey, const layer *view, hem__image *out,
                          hem_error *err) {
  hem_status status = hem__image_new(view->width, view->height, out, err);
  if (status) return status;
  for (size_t i = 0; i < view->width * view->height; i++) {
    float same = roughly_normal(dice);
    for (size_t c = 0; c < CHANNELS; c++) {
      float value = view->at[LAYER * i + c] + (float)noise * (grey ? same : roughly_normal(dice));
      out->at[CHANNELS * i + c] = (uint8_t)fminf(fmaxf(value + 0.5F, 0), 255);
    }
  }
  return HEM_OK;
}

/* ---- the view ---- */

static bool is_grey(const hem__image *image) {
  for (size_t i = 0; i < image->width * image->height; i++) {
    const uint8_t *p = image->at + CHANNELS * i;
    if (p[0] != p[1] || p[1] != p[2]) return false;
  }
  return true;
}

/* About the shape of the garment's photo. */
static hem_status canvas_of(const hem__view_order *order, layer *out, hem_error *err) {
  double shape = (double)order->garment->width / (double)order->garment->height;
  shape *= exp(order->strength * hem__dice_between(order->dice, -0.2, 0.2));
  shape = fmin(fmax(shape, 0.5), 2);
  double width = (double)order->side * fmin(shape, 1), height = (double)order->side / fmax(shape, 1);
  return layer_new(hem__max((size_t)width, 1), hem__max((size_t)height, 1), out, err);
}

hem_status hem__view_make(const hem__view_order *order, hem__image *out, hem_error *err) {
  layer view = {0}, garment = {0}, scene = {0}, front = {0};
  double strength = order->strength, fine = fmax((double)order->side / 300, 0.4); /* blur goes with the view's size */
  bool grey = is_grey(order->garment) && is_grey(order->scene) && is_grey(order->front);
  hem__dice *dice = order->dice;
  if (order->side == 0) return hem__fail(err, HEM_EINVAL, "a view of no pixels");
  hem_status status = canvas_of(order, &view, err);
  cut shown = {order->garment, fmax(1 - 0.22 * strength, 0.4), 1, order->side};
  cut behind = {order->scene, 0.5, 1, order->side}, before = {order->front, 0.25, 0.5, order->side};
  if (!status) status = layer_of(dice, &shown, &garment, err);
  if (!status) status = layer_of(dice, &behind, &scene, err);
  if (!status) status = layer_of(dice, &before, &front, err);
  if (!status) status = cut_loose(&garment, err);
  if (status) goto exit;
  fade_out(&front);
  lay_scene(dice, &view, &scene);
  status = blur(&view, hem__dice_between(dice, 0.5, 2.5) * fine, err);
  if (status) goto exit;
  lay_garment(dice, strength, &view, &garment);
  lay_front(dice, strength, &view, &front);
  light(dice, strength, grey, &view);
  status = blur(&view, strength * hem__dice_between(dice, 0, 1.3) * fine, err);
  if (!status) status = develop(dice, strength * hem__dice_between(dice, 0, 9), grey, &view, out, err);
exit:
  free(view.at);
  free(garment.at);
  free(scene.at);
  free(front.at);
  return status;
}
