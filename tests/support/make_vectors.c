#include "support/make_vectors.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

float hem__test_value(size_t row, size_t column) {
  uint64_t state = row * 1000003 + column;
  return (float)(hem__test_random(&state) % 256);
}

static uint16_t to_half(float whole) {
  int exponent;
  float fraction = frexpf(whole, &exponent); /* 0.5 to 1 */
  return whole == 0 ? 0 : (uint16_t)((exponent + 14) << 10 | ((int)(fraction * 2048) & 1023));
}

static void put(FILE *file, const char *type, float value) {
  uint16_t half = to_half(value);
  double wide = value;
  if (!strcmp(type, "<f2"))
    fwrite(&half, 2, 1, file);
  else if (!strcmp(type, "<f8"))
    fwrite(&wide, 8, 1, file);
  else
    fwrite(&value, 4, 1, file);
}

static FILE *create(const char *path) {
  FILE *file = fopen(path, "wb");
  ck_assert_ptr_nonnull(file);
  return file;
}

void hem__test_npy(const char *path, int version, const char *type, const char *header, size_t rows, size_t dim) {
  FILE *file = create(path);
  char own[256];
  size_t prefix = version == 1 ? 10 : 12;
  int used =
      snprintf(own, sizeof own, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu), }", type, rows, dim);
  while ((prefix + (size_t)used + 1) % 64) own[used++] = ' ';
  own[used++] = '\n';
  own[used] = '\0';
  if (!header) header = own;
  size_t size = strlen(header);
  uint8_t start[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0, (uint8_t)size, (uint8_t)(size >> 8)};
  fwrite(start, 1, prefix, file);
  fwrite(header, 1, size, file);
  for (size_t i = 0; i < rows * dim; i++) put(file, type, hem__test_value(i / dim, i % dim));
  ck_assert_int_eq(fclose(file), 0);
}

void hem__test_vecs(const char *path, size_t rows, size_t dim) {
  FILE *file = create(path);
  bool bytes = strstr(path, ".bvecs") != NULL;
  uint32_t prefix = (uint32_t)dim;
  for (size_t i = 0; i < rows * dim; i++) {
    float value = hem__test_value(i / dim, i % dim);
    if (i % dim == 0) fwrite(&prefix, 4, 1, file);
    if (bytes)
      fputc((int)value, file);
    else
      put(file, "<f4", value);
  }
  ck_assert_int_eq(fclose(file), 0);
}

static void add_dataset(hid_t file, const hem__test_dataset *d) {
  hsize_t extent[2] = {d->rows, d->dim}, chunk[2] = {d->chunk, d->dim}, flat = d->rows * d->dim;
  float *values = calloc(d->rows * d->dim + 1, sizeof *values);
  for (size_t i = 0; i < d->rows * d->dim; i++) values[i] = hem__test_value(d->first + i / d->dim, i % d->dim);
  hid_t links = H5Pcreate(H5P_LINK_CREATE), creation = H5Pcreate(H5P_DATASET_CREATE);
  hid_t space = d->one_dimension ? H5Screate_simple(1, &flat, NULL) : H5Screate_simple(2, extent, NULL);
  H5Pset_create_intermediate_group(links, 1);
  if (d->chunk) ck_assert(H5Pset_chunk(creation, 2, chunk) >= 0 && H5Pset_deflate(creation, 6) >= 0);
  if (d->virtual_only) ck_assert(H5Pset_virtual(creation, space, "other.h5", "/x", space) >= 0);
  hid_t made =
      H5Dcreate2(file, d->name, d->whole_numbers ? H5T_STD_I32LE : H5T_IEEE_F32LE, space, links, creation, H5P_DEFAULT);
  ck_assert(made >= 0);
  if (!d->virtual_only) ck_assert(H5Dwrite(made, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(made);
  H5Sclose(space);
  H5Pclose(creation);
  H5Pclose(links);
  free(values);
}

void hem__test_hdf5(const char *path, size_t user_block, const hem__test_dataset *datasets, size_t count) {
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  ck_assert(H5Pset_userblock(creation, user_block) >= 0);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, H5P_DEFAULT);
  ck_assert(file >= 0);
  for (size_t i = 0; i < count; i++) add_dataset(file, &datasets[i]);
  ck_assert(H5Fclose(file) >= 0);
  H5Pclose(creation);
}
