/* Text, plan, pixels, floats. torchvision's rounding is kept to the letter: Resize cuts the longer side's fraction off,
 * CenterCrop rounds a half to the even neighbour and lays what is too small on black. */
#include "ingest/preprocess.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, LEVELS = 256, RESIZE_MAX = 8192, CROP_MAX = 4096, VALUE_MAX = 128 };
#define CENTRAL_MIN 0.01 /* of the narrowest photo, a pixel is left */

static const char *const fit_names[HEM__FITS] = {"shorter", "stretch", "letterbox", "central"};
static const char *const filter_names[HEM__FILTERS] = {"bilinear", "bicubic"};

/* ---- text ---- */

/* Numbers are written the same way whatever the program's language. */
static locale_t speak_c(locale_t *before) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  *before = uselocale(c);
  return c;
}

static void speak_as(locale_t before, locale_t c) {
  uselocale(before);
  if (c) freelocale(c);
}

static bool read_name(const char *text, const char *const *names, int count, int *out) {
  for (int i = 0; i < count; i++)
    if (!strcmp(text, names[i])) {
      *out = i;
      return true;
    }
  return false;
}

static bool read_size(const char *text, size_t limit, size_t *out) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 9 || text[digits]) return false;
  *out = strtoul(text, NULL, 10);
  return *out >= 1 && *out <= limit;
}

/* `count` numbers and commas between them. */
static bool read_numbers(const char *text, size_t count, double *out) {
  for (size_t i = 0; i < count; i++) {
    size_t length = strspn(text, "0123456789.+-eE");
    char *end;
    out[i] = strtod(text, &end);
    if (length == 0 || end != text + length || !isfinite(out[i])) return false;
    if (*end != (i + 1 < count ? ',' : '\0')) return false;
    text = end + 1;
  }
  return true;
}

static bool read_fit(const char *text, hem__preprocess *p) {
  int fit;
  if (!read_name(text, fit_names, HEM__FITS, &fit)) return false;
  p->fit = (hem__fit)fit;
  return true;
}

static bool read_filter(const char *text, hem__preprocess *p) {
  int filter;
  if (!read_name(text, filter_names, HEM__FILTERS, &filter)) return false;
  p->filter = (hem__filter)filter;
  return true;
}

static bool read_flag(const char *text, const char *no, const char *yes, bool *out) {
  *out = !strcmp(text, yes);
  return *out || !strcmp(text, no);
}

static bool read_resize(const char *text, hem__preprocess *p) { return read_size(text, RESIZE_MAX, &p->resize); }

/* "224", or "96x128": width and height. */
static bool read_crop(const char *text, hem__preprocess *p) {
  char width[VALUE_MAX];
  size_t length = strcspn(text, "x");
  memcpy(width, text, length);
  width[length] = '\0';
  return read_size(width, CROP_MAX, &p->width) &&
         read_size(text[length] ? text + length + 1 : text, CROP_MAX, &p->height);
}

static bool read_order(const char *text, hem__preprocess *p) { return read_flag(text, "rgb", "bgr", &p->bgr); }
static bool read_layout(const char *text, hem__preprocess *p) { return read_flag(text, "nchw", "nhwc", &p->nhwc); }

static bool read_central(const char *text, hem__preprocess *p) {
  return read_numbers(text, 1, &p->central) && p->central >= CENTRAL_MIN && p->central <= 1;
}

static bool read_pad(const char *text, hem__preprocess *p) {
  double pad[CHANNELS];
  if (!read_numbers(text, CHANNELS, pad)) return false;
  for (size_t c = 0; c < CHANNELS; c++) {
    if (pad[c] < 0 || pad[c] > 255 || pad[c] != floor(pad[c])) return false;
    p->pad[c] = (uint8_t)pad[c];
  }
  return true;
}

/* Far more than anybody needs, and no tensor overflows: 255 / 1e-6 / 1e-6 is under 1e15. */
static bool divides(double value) { return value >= 1e-6 && value <= 1e6; }

static bool read_mean(const char *text, hem__preprocess *p) {
  return read_numbers(text, CHANNELS, p->mean) && fabs(p->mean[0]) <= 1e6 && fabs(p->mean[1]) <= 1e6 &&
         fabs(p->mean[2]) <= 1e6;
}

static bool read_scale(const char *text, hem__preprocess *p) {
  return read_numbers(text, 1, &p->scale) && divides(p->scale);
}

static bool read_std(const char *text, hem__preprocess *p) {
  return read_numbers(text, CHANNELS, p->std) && divides(p->std[0]) && divides(p->std[1]) && divides(p->std[2]);
}

#define EVERY ((1U << HEM__FITS) - 1)

static const struct key {
  const char *name, *values;
  bool (*read)(const char *text, hem__preprocess *p);
  unsigned fits; /* those it matters to, a bit each */
} keys[] = {
    {"fit", "shorter, stretch, letterbox or central", read_fit, EVERY},
    {"resize", "the shorter side, 1 to 8192 pixels", read_resize, 1U << HEM__SHORTER},
    {"crop", "the side of the network's input, or its width x height as in 96x128; 1 to 4096 pixels", read_crop, EVERY},
    {"central", "the part of each side that is kept, 0.01 to 1", read_central, 1U << HEM__CENTRAL},
    {"pad", "red,green,blue of the border, each 0 to 255", read_pad, 1U << HEM__LETTERBOX},
    {"filter", "bilinear or bicubic", read_filter, EVERY},
    {"scale", "the number that values are divided by, 1e-6 to 1e6", read_scale, EVERY},
    {"mean", "red,green,blue to subtract, each at most 1e6", read_mean, EVERY},
    {"std", "red,green,blue to divide by, each 1e-6 to 1e6", read_std, EVERY},
    {"order", "rgb or bgr", read_order, EVERY},
    {"layout", "nchw or nhwc", read_layout, EVERY},
};
enum { KEYS = sizeof keys / sizeof *keys };

static bool matters(size_t key, hem__fit fit) { return keys[key].fits >> fit & 1U; }

static hem_status unknown_key(const char *word, int length, hem_error *err) {
  char names[VALUE_MAX] = "";
  for (size_t i = 0; i < KEYS; i++) {
    if (i) strcat(names, ", ");
    strcat(names, keys[i].name);
  }
  return hem__fail(err, HEM_EINVAL, "preprocessing: '%.*s' is not key=value with one of the keys %s", length, word,
                   names);
}

static size_t find_key(const char *word, size_t length) {
  for (size_t i = 0; i < KEYS; i++)
    if (strlen(keys[i].name) == length && !memcmp(keys[i].name, word, length)) return i;
  return KEYS;
}

/* One "key=value" of `length` bytes. */
static hem_status read_word(const char *word, size_t length, unsigned *seen, hem__preprocess *p, hem_error *err) {
  const char *equals = memchr(word, '=', length);
  size_t key = equals ? find_key(word, (size_t)(equals - word)) : KEYS;
  int shown = (int)hem__min(length, VALUE_MAX);
  if (key == KEYS) return unknown_key(word, shown, err);
  if (*seen >> key & 1U)
    return hem__fail(err, HEM_EINVAL, "preprocessing: %s is named twice; name it once", keys[key].name);
  *seen |= 1U << key;
  char value[VALUE_MAX];
  size_t size = length - (size_t)(equals + 1 - word);
  bool good = size < sizeof value;
  if (good) {
    memcpy(value, equals + 1, size);
    value[size] = '\0';
    good = keys[key].read(value, p);
  }
  if (good) return HEM_OK;
  return hem__fail(err, HEM_EINVAL, "preprocessing: '%.*s' makes no sense; %s is %s", shown, word, keys[key].name,
                   keys[key].values);
}

/* What neither the text nor what it was read over has named. */
static const char *missing(const hem__preprocess *p) {
  if (p->fit == HEM__SHORTER && p->resize == 0) return "resize";
  if (p->fit == HEM__CENTRAL && p->central == 0) return "central";
  if (p->width == 0 || p->height == 0) return "crop";
  if (p->scale == 0) return "scale";
  return p->std[0] == 0 || p->std[1] == 0 || p->std[2] == 0 ? "std" : NULL;
}

static hem_status check(const hem__preprocess *p, unsigned seen, hem_error *err) {
  for (size_t i = 0; i < KEYS; i++)
    if (seen >> i & 1U && !matters(i, p->fit))
      return hem__fail(err, HEM_EINVAL, "preprocessing: %s has no meaning with fit=%s; leave it out", keys[i].name,
                       fit_names[p->fit]);
  const char *lacks = missing(p);
  if (lacks)
    return hem__fail(err, HEM_EINVAL, "preprocessing: %s= is missing; it is %s", lacks,
                     keys[find_key(lacks, strlen(lacks))].values);
  return HEM_OK;
}

hem_status hem__preprocess_parse(const char *text, hem__preprocess *io, hem_error *err) {
  static const char blanks[] = " \t\r\n";
  hem__preprocess p = *io;
  unsigned seen = 0;
  locale_t before, c = speak_c(&before);
  hem_status status = HEM_OK;
  for (text += strspn(text, blanks); *text && !status; text += strspn(text, blanks)) {
    size_t length = strcspn(text, blanks);
    status = read_word(text, length, &seen, &p, err);
    text += length;
  }
  speak_as(before, c);
  if (!status) status = check(&p, seen, err);
  if (!status) *io = p;
  return status;
}

/* The fewest digits that read back as the same number. */
static void put_number(double value, char *at) {
  enum { ENOUGH = 17 };
  int precision = 0;
  do sprintf(at, "%.*g", ++precision, value);
  while (precision < ENOUGH && strtod(at, NULL) != value);
  if (value == floor(value)) sprintf(at, "%.0f", value); /* 100, not 1e+02 */
}

static void put_numbers(const char *key, const double *values, size_t count, char *text) {
  text += strlen(text);
  text += sprintf(text, " %s=", key);
  for (size_t i = 0; i < count; i++) {
    if (i) text += sprintf(text, ",");
    put_number(values[i], text);
    text += strlen(text);
  }
}

void hem__preprocess_text(const hem__preprocess *p, char text[HEM__PREPROCESS_TEXT]) {
  double pad[CHANNELS] = {p->pad[0], p->pad[1], p->pad[2]}, resize = (double)p->resize;
  locale_t before, c = speak_c(&before);
  sprintf(text, "fit=%s", fit_names[p->fit]);
  if (p->fit == HEM__SHORTER) put_numbers("resize", &resize, 1, text);
  sprintf(text + strlen(text), " crop=%zu", p->width);
  if (p->height != p->width) sprintf(text + strlen(text), "x%zu", p->height);
  if (p->fit == HEM__CENTRAL) put_numbers("central", &p->central, 1, text);
  if (p->fit == HEM__LETTERBOX) put_numbers("pad", pad, CHANNELS, text);
  sprintf(text + strlen(text), " filter=%s", filter_names[p->filter]);
  put_numbers("scale", &p->scale, 1, text);
  put_numbers("mean", p->mean, CHANNELS, text);
  put_numbers("std", p->std, CHANNELS, text);
  sprintf(text + strlen(text), " order=%s layout=%s", p->bgr ? "bgr" : "rgb", p->nhwc ? "nhwc" : "nchw");
  speak_as(before, c);
}

/* ---- plan ---- */

/* What is computed, and where its first pixel lies in the tensor. */
typedef struct plan {
  hem__resampling how;
  size_t left, top;
} plan;

/* torchvision's CenterCrop along one axis of `size` pixels: the pixels it keeps, and where they come to lie. */
static void centre(size_t size, size_t crop, size_t *skip, size_t *keep, size_t *at) {
  *keep = hem__min(size, crop);
  *at = (crop - *keep) / 2;
  size_t over = size - *keep;
  *skip = over / 2 + (over % 4 == 3); /* Python rounds a half to the even neighbour */
}

static plan plan_shorter(const hem__preprocess *p, const hem__image *photo) {
  bool upright = photo->width <= photo->height;
  plan made = {.how = {.width = p->resize, .height = p->resize}};
  if (upright) {
    made.how.height = p->resize * photo->height / photo->width;
  } else {
    made.how.width = p->resize * photo->width / photo->height;
  }
  hem__window *w = &made.how.window;
  centre(made.how.width, p->width, &w->left, &w->width, &made.left);
  centre(made.how.height, p->height, &w->top, &w->height, &made.top);
  return made;
}

/* The side that goes with another one which becomes `fills`; rounded, and at least a pixel. */
static size_t letterboxed(size_t side, size_t other, size_t fills) {
  return hem__max(1, (2 * side * fills + other) / (2 * other));
}

static plan plan_letterbox(const hem__preprocess *p, const hem__image *photo) {
  bool wide = photo->width * p->height >= photo->height * p->width; /* the photo's width fills the box */
  plan made = {.how = {.width = p->width, .height = p->height}};
  if (wide) {
    made.how.height = letterboxed(photo->height, photo->width, p->width);
  } else {
    made.how.width = letterboxed(photo->width, photo->height, p->height);
  }
  made.left = (p->width - made.how.width) / 2;
  made.top = (p->height - made.how.height) / 2;
  return made;
}

/* TensorFlow's central_crop: the same whole number of pixels goes on either side. */
static plan plan_central(const hem__preprocess *p, const hem__image *photo) {
  double width = (double)photo->width, height = (double)photo->height;
  double left = floor((width - width * p->central) / 2), top = floor((height - height * p->central) / 2);
  return (plan){.how = {.part = {.left = left, .top = top, .right = width - left, .bottom = height - top},
                        .width = p->width,
                        .height = p->height}};
}

static plan plan_of(const hem__preprocess *p, const hem__image *photo) {
  plan made = {.how = {.width = p->width, .height = p->height}};
  if (p->fit == HEM__SHORTER) made = plan_shorter(p, photo);
  if (p->fit == HEM__LETTERBOX) made = plan_letterbox(p, photo);
  if (p->fit == HEM__CENTRAL) made = plan_central(p, photo);
  made.how.filter = p->filter;
  return made;
}

/* ---- floats ---- */

/* What each value of a channel becomes; single precision at every step, as PyTorch computes it. */
static void tabulate(const hem__preprocess *p, float table[CHANNELS][LEVELS]) {
  float scale = (float)p->scale;
  for (size_t c = 0; c < CHANNELS; c++) {
    float mean = (float)p->mean[c], std = (float)p->std[c];
    for (size_t v = 0; v < LEVELS; v++) table[c][v] = ((float)v / scale - mean) / std;
  }
}

/* Where the tensor keeps a colour, and how far apart its pixels and rows lie, in floats. */
typedef struct place {
  float *at;
  size_t pixel, row;
} place;

static place place_of(const hem__preprocess *p, size_t colour, float *tensor) {
  size_t channel = p->bgr ? CHANNELS - 1 - colour : colour;
  if (p->nhwc) return (place){tensor + channel, CHANNELS, p->width * CHANNELS};
  return (place){tensor + channel * p->width * p->height, 1, p->width};
}

static void fill(const place *to, size_t width, size_t height, float value) {
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width; x++) to->at[y * to->row + x * to->pixel] = value;
}

static void write_colour(const hem__image *from, size_t colour, const float *table, const place *to) {
  for (size_t y = 0; y < from->height; y++) {
    const uint8_t *pixel = from->at + y * from->width * CHANNELS + colour;
    float *row = to->at + y * to->row;
    for (size_t x = 0; x < from->width; x++) row[x * to->pixel] = table[pixel[x * CHANNELS]];
  }
}

size_t hem__preprocess_size(const hem__preprocess *preprocess) {
  return CHANNELS * preprocess->width * preprocess->height;
}

hem_status hem__preprocess_apply(const hem__preprocess *p, const hem__image *photo, float *tensor, hem_error *err) {
  plan made = plan_of(p, photo);
  hem__image seen = {0};
  float table[CHANNELS][LEVELS];
  hem_status status = hem__resample(photo, &made.how, &seen, err);
  if (status) return status;
  tabulate(p, table);
  bool bordered = seen.width < p->width || seen.height < p->height;
  for (size_t c = 0; c < CHANNELS; c++) {
    place to = place_of(p, c, tensor);
    if (bordered) fill(&to, p->width, p->height, table[c][p->fit == HEM__LETTERBOX ? p->pad[c] : 0]);
    to.at += made.top * to.row + made.left * to.pixel;
    write_colour(&seen, c, table[c], &to);
  }
  hem__image_clear(&seen);
  return HEM_OK;
}
