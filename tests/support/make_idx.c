#include "support/make_idx.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "ingest/image.h"
#include "test.h"

const char *hem__test_subfolder(void) {
  static const char *base;
  static char names[64][64];
  static unsigned turn;
  if (!base) base = hem__test_folder();
  char *name = names[turn % 64];
  snprintf(name, sizeof names[0], "%s/%u", base, turn++);
  ck_assert_int_eq(mkdir(name, 0777), 0);
  return name;
}

uint8_t *hem__test_read(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  ck_assert_msg(file != NULL, "cannot open %s", path);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(*size + 1);
  ck_assert_ptr_nonnull(bytes);
  ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
  fclose(file);
  return bytes;
}

static void write_with(const char *path, const char *mode, const void *bytes, size_t size) {
  FILE *file = fopen(path, mode);
  ck_assert_msg(file != NULL, "cannot write %s", path);
  ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
  ck_assert_int_eq(fclose(file), 0);
}

void hem__test_write(const char *path, const void *bytes, size_t size) { write_with(path, "wb", bytes, size); }
void hem__test_append(const char *path, const void *bytes, size_t size) { write_with(path, "ab", bytes, size); }

void hem__test_flip(const char *path, size_t offset) {
  size_t size;
  uint8_t *bytes = hem__test_read(path, &size);
  ck_assert_uint_lt(offset, size);
  bytes[offset] ^= 1;
  hem__test_write(path, bytes, size);
  free(bytes);
}

void hem__test_same_file(const char *a, const char *b) {
  size_t a_size, b_size;
  uint8_t *a_bytes = hem__test_read(a, &a_size), *b_bytes = hem__test_read(b, &b_size);
  ck_assert_msg(a_size == b_size, "%s has %zu bytes and %s %zu", a, a_size, b, b_size);
  size_t same = 0;
  while (same < a_size && a_bytes[same] == b_bytes[same]) same++;
  ck_assert_msg(same == a_size, "%s and %s differ at byte %zu", a, b, same);
  free(a_bytes);
  free(b_bytes);
}

/* ---- idx ---- */

/* A bright bar on noise: no two photos are equal, and photos of one class are alike. */
void hem__test_pixels(const char *prefix, size_t number, uint8_t out[HEM__TEST_PIXELS]) {
  uint64_t state = number * 2 + (*prefix == 't' && prefix[1] == 'r');
  size_t bar = 2 * (number % 10) + 4;
  for (size_t i = 0; i < HEM__TEST_PIXELS; i++) {
    bool bright = i / HEM__TEST_SIDE >= bar && i / HEM__TEST_SIDE < bar + 4;
    out[i] = (uint8_t)(hem__test_random(&state) % 64 + (bright ? 160 : 0));
  }
}

static void put_big_endian(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

void hem__test_touch(const char *path, long seconds) {
  struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
  ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

void hem__test_idx(const char *folder, const char *prefix, size_t count) {
  size_t size = 16 + count * HEM__TEST_PIXELS;
  uint8_t *images = malloc(size), *labels = malloc(8 + count);
  uint32_t header[] = {0x803, (uint32_t)count, HEM__TEST_SIDE, HEM__TEST_SIDE};
  char *name, *path;
  ck_assert(images && labels);
  for (size_t i = 0; i < 4; i++) put_big_endian(images + 4 * i, header[i]);
  put_big_endian(labels, 0x801);
  put_big_endian(labels + 4, (uint32_t)count);
  for (size_t i = 0; i < count; i++) {
    hem__test_pixels(prefix, i, images + 16 + i * HEM__TEST_PIXELS);
    labels[8 + i] = (uint8_t)(i % 10);
  }
  ck_assert_int_gt(asprintf(&name, "%s-images-idx3-ubyte", prefix), 0);
  hem__test_write(path = hem__test_path(folder, name), images, size);
  hem__test_touch(path, 1600000000);
  free(path);
  free(name);
  ck_assert_int_gt(asprintf(&name, "%s-labels-idx1-ubyte", prefix), 0);
  hem__test_write(path = hem__test_path(folder, name), labels, 8 + count);
  free(path);
  free(name);
  free(images);
  free(labels);
}

void hem__test_gzip(const char *path) {
  size_t size;
  char *packed;
  uint8_t *bytes = hem__test_read(path, &size);
  ck_assert_int_gt(asprintf(&packed, "%s.gz", path), 0);
  gzFile file = gzopen(packed, "wb");
  ck_assert_ptr_nonnull(file);
  ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
  ck_assert_int_eq(gzclose(file), Z_OK);
  ck_assert_int_eq(unlink(path), 0);
  free(packed);
  free(bytes);
}

/* ---- photos ---- */

bool hem__test_png(const char *path, unsigned seed, size_t width, size_t height) {
  hem__image image = {0};
  uint8_t *bytes = NULL;
  size_t size;
  uint64_t state = seed;
  ck_ok(hem__image_new(width, height, &image, err));
  for (size_t i = 0; i < width * height * 3; i++) image.at[i] = (uint8_t)(hem__test_random(&state) % 200);
  hem_status status = hem__image_png(&image, &bytes, &size, NULL);
  if (!status) hem__test_write(path, bytes, size);
  ck_assert(status == HEM_OK || status == HEM_EUNSUPPORTED);
  free(bytes);
  hem__image_clear(&image);
  return status == HEM_OK;
}
