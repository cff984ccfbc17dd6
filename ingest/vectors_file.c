/* Vectors in files of fixed rows: NumPy's .npy, and the .fvecs and .bvecs of the TEXMEX benchmarks. Headers are parsed
 * strictly, and what they claim must be the file's size. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/vectors.h"

enum { NPY_PREFIX = 12, NPY_HEADER_MAX = 1 << 16 };

typedef enum value_kind { U8, F16, F32, F64 } value_kind;
static const size_t kind_sizes[] = {[U8] = 1, [F16] = 2, [F32] = 4, [F64] = 8};

typedef struct file_rows {
  hem__rows rows;
  int fd;
  char *path;
  uint64_t size, start; /* of the file; of its first row */
  size_t prefix;        /* bytes before a row's values: 4 where each row says its length */
  value_kind kind;
  uint8_t *raw; /* rows as they are in the file */
  size_t raw_capacity;
} file_rows;

/* ---- values ---- */

static float from_half(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  float value = exponent == 0    ? ldexpf((float)fraction, -24)
                : exponent == 31 ? (fraction ? NAN : INFINITY)
                                 : ldexpf((float)(1024 + fraction), exponent - 25);
  return bits >> 15 ? -value : value;
}

static void convert(const uint8_t *from, value_kind kind, size_t count, float *out) {
  for (size_t i = 0; i < count; i++, from += kind_sizes[kind]) {
    uint16_t half;
    double wide;
    switch (kind) {
      case U8:
        out[i] = *from;
        break;
      case F16:
        memcpy(&half, from, sizeof half);
        out[i] = from_half(half);
        break;
      case F32:
        memcpy(&out[i], from, sizeof out[i]);
        break;
      case F64:
        memcpy(&wide, from, sizeof wide);
        out[i] = fabs(wide) <= (double)FLT_MAX ? (float)wide : NAN; /* too large to convert is undefined */
        break;
    }
  }
}

static uint32_t little_endian(const uint8_t *b) {
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static hem_status read_rows(hem__rows *rows, size_t first, size_t count, float *out, hem_error *err) {
  file_rows *f = (file_rows *)rows;
  size_t stride = f->prefix + rows->dim * kind_sizes[f->kind], bytes;
  if (!hem__mul(count, stride, &bytes)) return hem__fail(err, HEM_ENOMEM, "no memory for %zu rows", count);
  hem_status status = hem__grow(&f->raw, &f->raw_capacity, bytes, 1, "rows of vectors", err);
  if (!status) status = hem__file_read_at(f->fd, f->raw, bytes, f->start + (uint64_t)first * stride, f->path, err);
  for (size_t i = 0; i < count && !status; i++) {
    const uint8_t *row = f->raw + i * stride;
    if (f->prefix && little_endian(row) != rows->dim)
      status = hem__fail(err, HEM_ECORRUPT, "row %zu of %s says that it has %u values; the first has %zu", first + i,
                         f->path, little_endian(row), rows->dim);
    else
      convert(row + f->prefix, f->kind, rows->dim, out + i * rows->dim);
  }
  return status;
}

static void close_rows(hem__rows *rows) {
  file_rows *f = (file_rows *)rows;
  if (!f) return;
  if (f->fd >= 0) close(f->fd);
  free(f->raw);
  free(f->path);
  free(f);
}

/* ---- opening ---- */

static hem_status open_rows(const char *path, file_rows **out, hem_error *err) {
  file_rows *f = NULL;
  hem_status status = hem__alloc(1, sizeof *f, "vectors", &f, err);
  if (status) return status;
  f->rows = (hem__rows){.read = read_rows, .close = close_rows, .name = ""};
  f->fd = -1;
  status = hem__strdup(path, &f->path, err);
  if (!status) status = hem__file_open(path, &f->fd, &f->size, err);
  if (status) {
    close_rows(&f->rows);
    return status;
  }
  *out = f;
  return HEM_OK;
}

static hem_status check_dim(const file_rows *f, uint64_t dim, hem_error *err) {
  if (dim >= 1 && dim <= HEM__DIM_MAX) return HEM_OK;
  return hem__fail(err, HEM_ECORRUPT, "%s has vectors of %llu values; 1 to %d are possible", f->path,
                   (unsigned long long)dim, HEM__DIM_MAX);
}

/* ---- .npy: its header is the text of a Python dictionary ---- */

typedef struct npy_header {
  char type[16];
  bool fortran, has_type, has_order, has_shape;
  uint64_t shape[2];
  size_t dimensions;
} npy_header;

static void skip_spaces(const char **at) { *at += strspn(*at, " "); }

static bool take(const char **at, const char *word) {
  skip_spaces(at);
  if (strncmp(*at, word, strlen(word)) != 0) return false;
  *at += strlen(word);
  return true;
}

/* A string in quotes, of at most 15 bytes. */
static bool take_string(const char **at, char out[16]) {
  skip_spaces(at);
  char quote = **at;
  if (quote != '\'' && quote != '"') return false;
  const char *start = ++*at;
  while (**at && **at != quote) ++*at;
  size_t size = (size_t)(*at - start);
  if (!**at || size > 15) return false;
  memcpy(out, start, size);
  out[size] = '\0';
  ++*at;
  return true;
}

static bool take_shape(const char **at, npy_header *h) {
  if (!take(at, "(")) return false;
  while (!take(at, ")")) {
    uint64_t value = 0;
    size_t digits = 0;
    for (skip_spaces(at); **at >= '0' && **at <= '9' && digits < 15; ++*at, digits++)
      value = value * 10 + (uint64_t)(**at - '0');
    if (!digits) return false;
    if (h->dimensions < 2) h->shape[h->dimensions] = value;
    h->dimensions++;
    if (!take(at, ",") && (skip_spaces(at), **at != ')')) return false;
  }
  return true;
}

/* False where it is no dictionary of exactly the three keys. Of a table of fields only that is learned. */
static bool parse_npy(const char *at, npy_header *h) {
  char key[16];
  if (!take(&at, "{")) return false;
  while (!take(&at, "}")) {
    if (!take_string(&at, key) || !take(&at, ":")) return false;
    if (!strcmp(key, "descr") && !h->has_type) {
      h->has_type = true;
      skip_spaces(&at);
      if (*at == '[') {
        strcpy(h->type, "a table");
        return true;
      }
      if (!take_string(&at, h->type)) return false;
    } else if (!strcmp(key, "fortran_order") && !h->has_order) {
      h->has_order = true;
      h->fortran = take(&at, "True");
      if (!h->fortran && !take(&at, "False")) return false;
    } else if (!strcmp(key, "shape") && !h->has_shape) {
      h->has_shape = true;
      if (!take_shape(&at, h)) return false;
    } else {
      return false;
    }
    if (!take(&at, ",") && (skip_spaces(&at), *at != '}')) return false;
  }
  skip_spaces(&at);
  return h->has_type && h->has_order && h->has_shape && !strcmp(at, "\n");
}

static hem_status use_npy(file_rows *f, const npy_header *h, hem_error *err) {
  static const struct {
    const char *name;
    value_kind kind;
  } types[] = {{"<f2", F16}, {"<f4", F32}, {"<f8", F64}};
  size_t t = 0, bytes;
  while (t < 3 && strcmp(h->type, types[t].name) != 0) t++;
  if (t == 3)
    return hem__fail(
        err, HEM_EUNSUPPORTED,
        "%s holds values of type '%s'; float16, float32 and float64, little-endian, are read: save it with "
        ".astype('float32')",
        f->path, h->type);
  if (h->dimensions != 2)
    return hem__fail(err, HEM_EUNSUPPORTED, "%s has %zu dimensions; vectors are the rows of 2", f->path, h->dimensions);
  if (h->fortran)
    return hem__fail(err, HEM_EUNSUPPORTED, "%s is in Fortran's order: save it with numpy.ascontiguousarray", f->path);
  hem_status status = check_dim(f, h->shape[1], err);
  if (status) return status;
  f->kind = types[t].kind;
  f->rows.count = h->shape[0];
  f->rows.dim = h->shape[1];
  if (!hem__mul(f->rows.count, f->rows.dim * kind_sizes[f->kind], &bytes) || f->size - f->start != bytes)
    return hem__fail(err, HEM_ECORRUPT, "%s says it has %zu vectors of %zu values, and has %llu bytes for them",
                     f->path, f->rows.count, f->rows.dim, (unsigned long long)(f->size - f->start));
  return HEM_OK;
}

static hem_status read_npy(file_rows *f, hem_error *err) {
  uint8_t prefix[NPY_PREFIX] = {0};
  npy_header header = {0};
  char *text = NULL;
  size_t known = (size_t)(f->size < NPY_PREFIX ? f->size : NPY_PREFIX);
  hem_status status = hem__file_read_at(f->fd, prefix, known, 0, f->path, err);
  if (status) return status;
  if (known < 10 || memcmp(prefix, "\x93NUMPY", 6) != 0)
    return hem__fail(err, HEM_ECORRUPT, "%s is no .npy file", f->path);
  if (prefix[6] < 1 || prefix[6] > 3 || prefix[7] != 0)
    return hem__fail(err, HEM_EUNSUPPORTED, "%s is of version %d.%d of .npy; 1.0 to 3.0 are read", f->path, prefix[6],
                     prefix[7]);
  size_t start = prefix[6] == 1 ? 10 : 12;
  uint64_t size = prefix[6] == 1 ? (uint64_t)(prefix[8] | prefix[9] << 8) : little_endian(prefix + 8);
  if (size == 0 || size > NPY_HEADER_MAX || start + size > f->size)
    return hem__fail(err, HEM_ECORRUPT, "%s: its header is cut off or damaged", f->path);
  f->start = start + size;
  status = hem__alloc(size + 1, 1, "a header", &text, err);
  if (!status) status = hem__file_read_at(f->fd, text, size, start, f->path, err);
  if (!status && (strlen(text) != size || !parse_npy(text, &header)))
    status = hem__fail(err, HEM_ECORRUPT, "%s: its header is damaged", f->path);
  if (!status) status = use_npy(f, &header, err);
  free(text);
  return status;
}

hem_status hem__rows_npy(const char *path, hem__rows **out, hem_error *err) {
  file_rows *f = NULL;
  hem_status status = open_rows(path, &f, err);
  if (status) return status;
  status = read_npy(f, err);
  if (status)
    close_rows(&f->rows);
  else
    *out = &f->rows;
  return status;
}

/* ---- .fvecs, .bvecs ---- */

static hem_status read_vecs(file_rows *f, hem_error *err) {
  uint8_t prefix[4];
  if (f->size < sizeof prefix) return hem__fail(err, HEM_ECORRUPT, "%s holds no vector", f->path);
  hem_status status = hem__file_read_at(f->fd, prefix, sizeof prefix, 0, f->path, err);
  if (!status) status = check_dim(f, little_endian(prefix), err);
  if (status) return status;
  f->prefix = sizeof prefix;
  f->rows.dim = little_endian(prefix);
  size_t stride = f->prefix + f->rows.dim * kind_sizes[f->kind];
  if (f->size % stride != 0)
    return hem__fail(err, HEM_ECORRUPT,
                     "%s has %llu bytes, no multiple of the %zu of a vector of %zu values: it is cut off", f->path,
                     (unsigned long long)f->size, stride, f->rows.dim);
  f->rows.count = (size_t)(f->size / stride);
  return HEM_OK;
}

hem_status hem__rows_vecs(const char *path, bool bytes, hem__rows **out, hem_error *err) {
  file_rows *f = NULL;
  hem_status status = open_rows(path, &f, err);
  if (status) return status;
  f->kind = bytes ? U8 : F32;
  status = read_vecs(f, err);
  if (status)
    close_rows(&f->rows);
  else
    *out = &f->rows;
  return status;
}
