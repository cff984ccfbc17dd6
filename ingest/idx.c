/* Fashion-MNIST's own files (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747), in LeCun's idx format:
 * big-endian {magic, count, rows, columns} and bytes, plain or gzipped. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/file.h"
#include "ingest/source.h"

enum { MAGIC_IMAGES = 0x803, MAGIC_LABELS = 0x801, SIDE_MAX = 4096, COUNT_MAX = 100 * 1000 * 1000 };

/* Fashion-MNIST's classes, and where a shop would search them. The four categories of the reference work
 * hold the clothes; shoes and bags get categories of their own. */
static const struct {
  const char *label, *category;
} classes[10] = {{"t-shirt", "upper"}, {"trouser", "lower"},   {"pullover", "upper"}, {"dress", "dress"},
                 {"coat", "upper"},    {"sandal", "shoes"},    {"shirt", "upper"},    {"sneaker", "shoes"},
                 {"bag", "bag"},       {"ankle boot", "shoes"}};

/* One file, unpacked. */
typedef struct idx_file {
  uint8_t *bytes;
  size_t count, rows, columns;
} idx_file;

typedef struct half {
  const char *prefix;
  hem__domain domain;
  hem__split split;
  char images_name[48];
  idx_file images, labels;
  hem__photo stamp; /* size and time of the file of images */
} half;

typedef struct idx_source {
  hem__source source;
  char *folder; /* its path from the root on */
  half halves[2];
  size_t half_count, at;
  hem__arena names;
} idx_source;

static uint32_t big_endian(const uint8_t *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Reads exactly `size` bytes. */
static hem_status read_exactly(gzFile file, void *out, size_t size, const char *path, hem_error *err) {
  for (size_t done = 0; done < size;) {
    unsigned now = (unsigned)hem__min(size - done, 1 << 30);
    int got = gzread(file, (uint8_t *)out + done, now);
    if (got <= 0) {
      int code;
      const char *why = gzerror(file, &code);
      return hem__fail(err, HEM_ECORRUPT, "%s ends after %zu of %zu bytes%s%s", path, done, size,
                       code == Z_OK ? "" : ": ", code == Z_OK ? "" : why);
    }
    done += (size_t)got;
  }
  return HEM_OK;
}

static hem_status read_header(gzFile file, uint32_t magic, idx_file *out, const char *path, hem_error *err) {
  uint8_t header[16] = {0};
  hem_status status = read_exactly(file, header, magic == MAGIC_IMAGES ? 16 : 8, path, err);
  if (status) return status;
  if (big_endian(header) != magic)
    return hem__fail(err, HEM_ECORRUPT, "%s is not an idx file of %s", path,
                     magic == MAGIC_IMAGES ? "images" : "labels");
  *out = (idx_file){.count = big_endian(header + 4), .rows = 1, .columns = 1};
  if (magic == MAGIC_IMAGES) {
    out->rows = big_endian(header + 8);
    out->columns = big_endian(header + 12);
  }
  if (out->count > COUNT_MAX || out->rows == 0 || out->columns == 0 || out->rows > SIDE_MAX || out->columns > SIDE_MAX)
    return hem__fail(err, HEM_ECORRUPT, "%s claims %zu images of %zu x %zu: it is damaged", path, out->count,
                     out->columns, out->rows);
  return HEM_OK;
}

/* Deflate packs at most 1,032 to 1: a header that claims more is not believed with memory. */
static hem_status check_claim(const char *path, const idx_file *claim, size_t *size, hem_error *err) {
  enum { DEFLATE_MOST = 1032 };
  struct stat st;
  if (stat(path, &st) != 0) return hem__fail_errno(err, "cannot examine %s", path);
  if (!hem__mul(claim->rows * claim->columns, claim->count, size) || *size / DEFLATE_MOST > (size_t)st.st_size)
    return hem__fail(err, HEM_ECORRUPT, "%s claims %zu images of %zu x %zu in %lld bytes: it is cut off or damaged",
                     path, claim->count, claim->columns, claim->rows, (long long)st.st_size);
  return HEM_OK;
}

/* Behind the last image there is nothing, and the checksum at the end of a gzip file is right. */
static hem_status check_end(gzFile file, const idx_file *read, const char *path, hem_error *err) {
  int code, next = gzgetc(file);
  const char *why = gzerror(file, &code);
  if (next != -1) return hem__fail(err, HEM_ECORRUPT, "%s holds more than the %zu images it claims", path, read->count);
  if (code == Z_OK || code == Z_STREAM_END) return HEM_OK;
  return hem__fail(err, HEM_ECORRUPT, "%s is cut off or damaged at its end: %s", path, why);
}

static hem_status read_file(const char *path, uint32_t magic, idx_file *out, hem_error *err) {
  idx_file read = {0};
  size_t size = 0;
  gzFile file = gzopen(path, "rb");
  if (!file) return hem__fail_errno(err, "cannot open %s", path);
  gzbuffer(file, 1 << 17);
  hem_status status = read_header(file, magic, &read, path, err);
  if (!status) status = check_claim(path, &read, &size, err);
  if (!status) status = hem__alloc(size, 1, path, &read.bytes, err);
  if (!status) status = read_exactly(file, read.bytes, size, path, err);
  if (!status) status = check_end(file, &read, path, err);
  gzclose(file);
  if (status) {
    free(read.bytes);
    return status;
  }
  *out = read;
  return HEM_OK;
}

/* The file under its name, or its name and ".gz"; *name gets the one that is there, "" if none is. */
static hem_status find_file(const char *folder, const char *prefix, const char *rest, char *name, size_t room,
                            char **path, hem_error *err) {
  for (int packed = 1; packed >= 0; packed--) {
    snprintf(name, room, "%s-%s%s", prefix, rest, packed ? ".gz" : "");
    hem_status status = hem__print(path, err, "%s/%s", folder, name);
    if (status || hem__path_exists(*path)) return status;
    free(*path);
    *path = NULL;
  }
  *name = '\0';
  return HEM_OK;
}

static hem_status read_half(const char *folder, half *h, bool *found, hem_error *err) {
  char *images = NULL, *labels = NULL, labels_name[48];
  *found = false;
  hem_status status =
      find_file(folder, h->prefix, "images-idx3-ubyte", h->images_name, sizeof h->images_name, &images, err);
  if (status || !images) goto exit;
  status = find_file(folder, h->prefix, "labels-idx1-ubyte", labels_name, sizeof labels_name, &labels, err);
  if (!status && !labels) status = hem__fail(err, HEM_ENOTFOUND, "%s has no labels beside it", images);
  if (!status) status = hem__look_at(images, &h->stamp, err);
  if (!status) status = read_file(images, MAGIC_IMAGES, &h->images, err);
  if (!status) status = read_file(labels, MAGIC_LABELS, &h->labels, err);
  if (!status && h->images.count != h->labels.count)
    status = hem__fail(err, HEM_ECORRUPT, "%s has %zu images and %s %zu labels", images, h->images.count, labels,
                       h->labels.count);
  *found = !status;
exit:
  free(images);
  free(labels);
  return status;
}

static hem_status idx_next(hem__source *source, hem__listed *out, bool *more, hem_error *err) {
  idx_source *s = (idx_source *)source;
  size_t number = s->at, i = number;
  const half *h = s->halves;
  while (h < s->halves + s->half_count && i >= h->images.count) i -= h++->images.count;
  if (!(*more = h < s->halves + s->half_count)) return HEM_OK;
  const char *folder = strrchr(s->folder, '/') + 1;
  char item[NAME_MAX + 64], path[NAME_MAX + 80];
  int item_size = snprintf(item, sizeof item, "%s/%s-%05zu", folder, h->prefix, i);
  int path_size = snprintf(path, sizeof path, "%s/%s#%zu", folder, h->images_name, i);
  unsigned class = h->labels.bytes[i];
  *out = (hem__listed){.number = number,
                       .photo = {.category = class < 10 ? classes[class].category : "",
                                 .label = class < 10 ? classes[class].label : "",
                                 .domain = (uint8_t)h->domain,
                                 .split = (uint8_t)h->split},
                       .reason = class < 10 ? NULL : "its label is not one of the ten classes"};
  hem_status status = hem__arena_copy(&s->names, item, (size_t)item_size, &out->photo.item_id, err);
  if (!status) status = hem__arena_copy(&s->names, path, (size_t)path_size, &out->photo.path, err);
  if (!status) s->at++;
  return status;
}

static void idx_forget(hem__source *source) { hem__arena_clear(&((idx_source *)source)->names); }

/* The half that a listed photo is in; *number becomes its place there. */
static const half *half_of(const hem__source *source, size_t *number) {
  const half *h = ((const idx_source *)source)->halves;
  while (*number >= h->images.count) *number -= h++->images.count;
  return h;
}

static hem_status idx_look(const hem__source *source, const hem__listed *listed, hem__photo *photo, hem_error *err) {
  size_t number = listed->number;
  const half *h = half_of(source, &number);
  (void)err;
  photo->bytes = h->stamp.bytes;
  photo->mtime_ns = h->stamp.mtime_ns;
  return HEM_OK;
}

static hem_status idx_read(const hem__source *source, const hem__listed *listed, const hem__digest *unless,
                           hem__photo *photo, hem__image *out, hem_error *err) {
  size_t number = listed->number;
  const half *h = half_of(source, &number);
  size_t pixels = h->images.rows * h->images.columns;
  const uint8_t *grey = h->images.bytes + number * pixels;
  photo->source = hem__sha256_of(grey, pixels);
  if (unless && hem__digest_equal(unless, &photo->source)) return HEM_OK;
  hem_status status = hem__image_new(h->images.columns, h->images.rows, out, err);
  if (status) return status;
  for (size_t i = 0; i < pixels; i++) memset(out->at + 3 * i, grey[i], 3);
  photo->width = (uint32_t)h->images.columns;
  photo->height = (uint32_t)h->images.rows;
  return HEM_OK;
}

static void idx_close(hem__source *source) {
  idx_source *s = (idx_source *)source;
  if (!s) return;
  for (size_t i = 0; i < 2; i++) {
    free(s->halves[i].images.bytes);
    free(s->halves[i].labels.bytes);
  }
  hem__arena_clear(&s->names);
  free(s->folder);
  free(s);
}

static hem_status fail_none(const char *folder, hem_error *err) {
  return hem__fail(err, HEM_ENOTFOUND,
                   "%s holds neither train-images-idx3-ubyte[.gz] nor t10k-images-idx3-ubyte[.gz] "
                   "(Debian: apt-get install dataset-fashion-mnist)",
                   folder);
}

hem_status hem__source_idx(const char *folder, hem__source **out, hem_error *err) {
  static const half kinds[2] = {{.prefix = "train", .domain = HEM__SHOP, .split = HEM__TRAIN},
                                {.prefix = "t10k", .domain = HEM__CONSUMER, .split = HEM__TEST}};
  idx_source *s = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a source", &s, err);
  if (status) return status;
  s->source =
      (hem__source){.next = idx_next, .forget = idx_forget, .look = idx_look, .read = idx_read, .close = idx_close};
  if (!(s->folder = realpath(folder, NULL)))
    status = errno == ENOENT ? fail_none(folder, err) : hem__fail_errno(err, "cannot open %s", folder);
  for (size_t i = 0; i < 2 && !status; i++) {
    bool found;
    half *h = &s->halves[s->half_count];
    *h = kinds[i];
    status = read_half(folder, h, &found, err);
    if (status || !found) continue;
    s->source.count += h->images.count;
    s->half_count++;
  }
  if (!status && s->half_count == 0) status = fail_none(folder, err);
  if (status) {
    idx_close(&s->source);
    return status;
  }
  *out = &s->source;
  return HEM_OK;
}
