/* Vectors in a dataset of somebody else's HDF5 file. HDF5 is known to crash on hostile files, and these carry no seal:
 * so what can be checked without it is checked first (the signature, the version, that the file is as long as it
 * says), and after it opened the file, what the dataset claims is checked against the file's size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/catalog_hdf5.h"
#include "ingest/vectors.h"

/* DEFLATE_MOST: the best that deflate, HDF5's usual filter, can do; what claims more is not believed with memory. */
enum { DEFLATE_MOST = 1032, CHUNK_BYTES_MAX = 256 << 20, NAME_ROOM = 256, LINKS_MAX = 1000 };

typedef struct hdf5_rows {
  hem__rows rows;
  char *path, *dataset_name;
  uint64_t size; /* of the file */
  hid_t file, dataset;
} hdf5_rows;

/* ---- before HDF5 ---- */

static uint64_t little_endian(const uint8_t *b, size_t bytes) {
  uint64_t value = 0;
  while (bytes--) value = value << 8 | b[bytes];
  return value;
}

/* The superblock at `at` (HDF5 File Format Specification, II.A): known version, and an end of file that is there.
 * Addresses count from the base address, which is the superblock's place behind a user block. */
static bool superblock_fits(const uint8_t b[96], uint64_t at, uint64_t file_size) {
  static const size_t sizes_at[] = {13, 13, 9, 9}, addresses_at[] = {24, 28, 12, 12};
  uint8_t version = b[8];
  if (version > 3 || b[sizes_at[version]] != 8) return false;
  const uint8_t *addresses = b + addresses_at[version];
  uint64_t base = little_endian(addresses, 8), end = little_endian(addresses + 16, 8);
  return (base == 0 || base == at) && end <= file_size && end > at;
}

static hem_status check_signature(const char *path, uint64_t *file_size, hem_error *err) {
  static const uint8_t signature[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
  uint8_t block[96];
  int fd = -1;
  uint64_t size, at = 0;
  hem_status status = hem__file_open(path, &fd, &size, err);
  if (status) return status;
  bool found = false;
  for (; !status && !found && at + sizeof block <= size; at = at ? at * 2 : 512) {
    status = hem__file_read_at(fd, block, sizeof block, at, path, err);
    found = !status && memcmp(block, signature, sizeof signature) == 0;
    if (found) break;
  }
  close(fd);
  if (!status && !found) status = hem__fail(err, HEM_ECORRUPT, "%s is no HDF5 file", path);
  if (!status && !superblock_fits(block, at, size))
    status = hem__fail(err, HEM_ECORRUPT, "%s is cut off or damaged: its superblock does not fit its %llu bytes", path,
                       (unsigned long long)size);
  if (!status) *file_size = size;
  return status;
}

/* ---- what a dataset claims; all under the lock ---- */

static hem_status refuse(const hdf5_rows *r, hem_status code, const char *why, hem_error *err) {
  return hem__fail(err, code, "%s:%s %s", r->path, r->dataset_name, why);
}

/* Rows, dimensions and the type of the values. */
static hem_status check_extent(hdf5_rows *r, size_t *value_size, hem_error *err) {
  hsize_t extent[2] = {0};
  hid_t type = H5Dget_type(r->dataset), space = H5Dget_space(r->dataset);
  bool is_float = type >= 0 && H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) <= 8;
  bool is_matrix = space >= 0 && H5Sget_simple_extent_type(space) == H5S_SIMPLE &&
                   H5Sget_simple_extent_ndims(space) == 2 && H5Sget_simple_extent_dims(space, extent, NULL) == 2;
  *value_size = is_float ? H5Tget_size(type) : 0;
  if (type >= 0) H5Tclose(type);
  if (space >= 0) H5Sclose(space);
  if (!is_float) return refuse(r, HEM_EUNSUPPORTED, "holds no floating-point values of up to 64 bits", err);
  if (!is_matrix) return refuse(r, HEM_EUNSUPPORTED, "has not two dimensions; vectors are the rows of two", err);
  if (extent[1] < 1 || extent[1] > HEM__DIM_MAX)
    return refuse(r, HEM_ECORRUPT, "has vectors of no, or of more than 65,536 values", err);
  r->rows.count = extent[0];
  r->rows.dim = extent[1];
  return HEM_OK;
}

/* How it is stored: inside this file, and in no more than its size allows. */
static hem_status check_storage(hdf5_rows *r, size_t value_size, hem_error *err) {
  hsize_t chunk[2] = {0};
  size_t row = r->rows.dim * value_size, bytes;
  hid_t creation = H5Dget_create_plist(r->dataset);
  H5D_layout_t layout = creation >= 0 ? H5Pget_layout(creation) : H5D_LAYOUT_ERROR;
  bool here = layout == H5D_CHUNKED ||
              ((layout == H5D_CONTIGUOUS || layout == H5D_COMPACT) && H5Pget_external_count(creation) == 0);
  bool chunk_known = layout == H5D_CHUNKED && H5Pget_chunk(creation, 2, chunk) == 2;
  uint64_t stored = H5Dget_storage_size(r->dataset);
  if (creation >= 0) H5Pclose(creation);
  if (!here) return refuse(r, HEM_EUNSUPPORTED, "is stored in other files", err);
  if (!hem__mul(r->rows.count, row, &bytes) || stored > r->size ||
      (layout == H5D_CHUNKED ? bytes / DEFLATE_MOST > stored : bytes != stored))
    return refuse(r, HEM_ECORRUPT, "claims more vectors than its file has room for", err);
  if (layout != H5D_CHUNKED) return HEM_OK;
  size_t chunk_bytes = 0;
  if (!chunk_known || !hem__mul(chunk[0], chunk[1], &chunk_bytes) || !hem__mul(chunk_bytes, value_size, &chunk_bytes) ||
      chunk_bytes > CHUNK_BYTES_MAX)
    return refuse(r, HEM_EUNSUPPORTED, "is stored in chunks of more than 256 MiB", err);
  r->rows.step = chunk[0];
  return HEM_OK;
}

/* ---- reading ---- */

static herr_t read_floats(const hdf5_rows *r, size_t first, size_t count, float *out) {
  hsize_t from[2] = {first, 0}, size[2] = {count, r->rows.dim};
  herr_t done = -1;
  hid_t space = H5Dget_space(r->dataset), memory = H5Screate_simple(2, size, NULL);
  if (space >= 0 && memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, size, NULL) >= 0)
    done = H5Dread(r->dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, out);
  if (memory >= 0) H5Sclose(memory);
  if (space >= 0) H5Sclose(space);
  return done;
}

static hem_status read_rows(hem__rows *rows, size_t first, size_t count, float *out, hem_error *err) {
  hdf5_rows *r = (hdf5_rows *)rows;
  hem_status status = HEM_OK;
  hem__hdf5_enter();
  if (read_floats(r, first, count, out) < 0) status = hem__hdf5_fail(err, HEM_ECORRUPT, "read vectors", r->path);
  hem__hdf5_leave();
  return status;
}

static void close_rows(hem__rows *rows) {
  hdf5_rows *r = (hdf5_rows *)rows;
  if (!r) return;
  hem__hdf5_enter();
  if (r->dataset >= 0) H5Dclose(r->dataset);
  if (r->file >= 0) H5Fclose(r->file);
  hem__hdf5_leave();
  free(r->dataset_name);
  free(r->path);
  free(r);
}

/* ---- opening ---- */

static hem_status open_file(const char *path, hdf5_rows **out, hem_error *err) {
  hdf5_rows *r = NULL;
  hem_status status = hem__alloc(1, sizeof *r, "vectors", &r, err);
  if (status) return status;
  r->rows = (hem__rows){.read = read_rows, .close = close_rows};
  r->file = r->dataset = H5I_INVALID_HID;
  status = hem__strdup(path, &r->path, err);
  if (!status) status = check_signature(path, &r->size, err);
  if (!status) {
    hem__hdf5_enter();
    r->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (r->file < 0) status = hem__hdf5_fail(err, HEM_ECORRUPT, "open it", path);
    hem__hdf5_leave();
  }
  if (status)
    close_rows(&r->rows);
  else
    *out = r;
  return status;
}

/* Opens and checks the dataset that is named r->dataset_name. */
static hem_status open_dataset(hdf5_rows *r, hem_error *err) {
  size_t value_size = 0;
  r->dataset = H5Dopen2(r->file, r->dataset_name, H5P_DEFAULT);
  if (r->dataset < 0) return refuse(r, HEM_ENOTFOUND, "is no dataset of that file", err);
  hem_status status = check_extent(r, &value_size, err);
  return status ? status : check_storage(r, value_size, err);
}

static void close_dataset(hdf5_rows *r) {
  if (r->dataset >= 0) H5Dclose(r->dataset);
  r->dataset = H5I_INVALID_HID;
}

/* The root's only dataset that holds vectors; *found is how many there are, `names` which. */
static hem_status find_dataset(hdf5_rows *r, size_t *found, char names[NAME_ROOM], char **only, hem_error *err) {
  H5G_info_t root;
  if (H5Gget_info(r->file, &root) < 0) return hem__hdf5_fail(err, HEM_ECORRUPT, "list it", r->path);
  hem_status status = HEM_OK;
  for (hsize_t i = 0; i < root.nlinks && i < LINKS_MAX && !status; i++) {
    char name[NAME_ROOM];
    ssize_t size = H5Lget_name_by_idx(r->file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    if (size <= 0 || (size_t)size >= sizeof name) continue;
    status = hem__print(&r->dataset_name, err, "/%s", name);
    bool fits = !status && open_dataset(r, NULL) == HEM_OK;
    close_dataset(r);
    size_t used = strlen(names);
    if (fits) snprintf(names + used, NAME_ROOM - used, "%s%s", used ? ", " : "", r->dataset_name);
    if (fits && (*found)++ == 0)
      *only = r->dataset_name;
    else
      free(r->dataset_name);
    r->dataset_name = NULL;
  }
  return status;
}

static hem_status choose_dataset(hdf5_rows *r, hem_error *err) {
  size_t found = 0;
  char names[NAME_ROOM] = "", *only = NULL;
  hem_status status = find_dataset(r, &found, names, &only, err);
  if (!status && found != 1)
    status = found ? hem__fail(err, HEM_EINVAL, "%s holds several datasets of vectors (%s): name one, as in %s:/NAME",
                               r->path, names, r->path)
                   : hem__fail(err, HEM_ENOTFOUND,
                               "%s holds no dataset of vectors at its root: name one, as in %s:/GROUP/NAME", r->path,
                               r->path);
  if (status)
    free(only);
  else
    r->dataset_name = only;
  return status;
}

hem_status hem__rows_hdf5(const char *path, const char *dataset, hem__rows **out, hem_error *err) {
  hdf5_rows *r = NULL;
  hem_status status = open_file(path, &r, err);
  if (!status && dataset) status = hem__strdup(dataset, &r->dataset_name, err);
  if (status) goto exit;
  hem__hdf5_enter();
  if (!dataset) status = choose_dataset(r, err);
  if (!status) status = open_dataset(r, err);
  hem__hdf5_leave();
  if (status) goto exit;
  r->rows.name = r->dataset_name;
  *out = &r->rows;
  r = NULL;
exit:
  if (r) close_rows(&r->rows);
  return status;
}

hem_status hem__rows_hdf5_has(const char *path, const char *dataset, bool *has, hem_error *err) {
  hdf5_rows *r = NULL;
  hem_status status = open_file(path, &r, err);
  if (status) return status;
  hem__hdf5_enter();
  *has = H5Lexists(r->file, dataset, H5P_DEFAULT) > 0;
  hem__hdf5_leave();
  close_rows(&r->rows);
  return HEM_OK;
}
