/* Such files are somebody else's: what the readers of ready-made vectors check (vectors_hdf5.c), is checked there
 * before HDF5 is asked anything here. */
#include "ingest/benchmark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/catalog_hdf5.h"
#include "ingest/vectors.h"

enum { TEXT_MAX = 256 };

hem_status hem__benchmark_is(const char *path, bool *is, hem_error *err) {
  bool train = false, test = false;
  hem_status status = hem__rows_hdf5_has(path, "/train", &train, err);
  if (!status) status = hem__rows_hdf5_has(path, "/test", &test, err);
  if (!status) *is = train && test;
  return status;
}

/* ---- the attribute ---- */

/* A text of fixed or, as h5py writes it, of variable length. False: it is no text, or too long. */
static bool read_text(hid_t attribute, char out[TEXT_MAX]) {
  hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
  bool fine = type >= 0 && space >= 0 && H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1;
  if (fine && H5Tis_variable_str(type) > 0) {
    char *text = NULL;
    fine = H5Aread(attribute, type, &text) >= 0 && text && strlen(text) < TEXT_MAX;
    if (fine) strcpy(out, text);
    if (text) H5free_memory(text);
  } else if (fine) {
    fine = H5Tget_size(type) < TEXT_MAX && H5Aread(attribute, type, out) >= 0;
  }
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  return fine;
}

static hem_status read_distance(const char *path, char out[TEXT_MAX], bool *has, hem_error *err) {
  hem_status status = HEM_OK;
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), attribute = H5I_INVALID_HID;
  if (file < 0) return hem__hdf5_fail(err, HEM_ECORRUPT, "open it", path);
  *has = H5Aexists(file, "distance") > 0;
  if (*has) {
    attribute = H5Aopen(file, "distance", H5P_DEFAULT);
    if (attribute < 0 || !read_text(attribute, out))
      status = hem__fail(err, HEM_ECORRUPT, "%s: its attribute 'distance' is no text", path);
  }
  if (attribute >= 0) H5Aclose(attribute);
  H5Fclose(file);
  return status;
}

hem_status hem__benchmark_distance(const char *path, hem_distance *out, bool *has, hem_error *err) {
  char text[TEXT_MAX] = "";
  bool is = false, there = false;
  hem_status status = hem__benchmark_is(path, &is, err); /* checks the file before HDF5 sees it */
  if (status) return status;
  hem__hdf5_enter();
  status = read_distance(path, text, &there, err);
  hem__hdf5_leave();
  if (status) return status;
  *has = there;
  if (!there) return HEM_OK;
  if (!strcmp(text, "euclidean")) {
    *out = HEM_L2;
  } else if (!strcmp(text, "angular")) {
    *out = HEM_COSINE;
  } else {
    return hem__fail(err, HEM_EUNSUPPORTED, "%s is for the distance '%s': euclidean and angular are known here", path,
                     text);
  }
  return HEM_OK;
}

/* ---- writing ---- */

static bool write_matrix(hid_t file, const char *name, hid_t stored, hid_t memory, const void *values,
                         const size_t extent[2]) {
  const hsize_t size[2] = {extent[0], extent[1]};
  hid_t space = H5Screate_simple(2, size, NULL), dataset = H5I_INVALID_HID;
  bool fine = space >= 0;
  if (fine) dataset = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  fine = dataset >= 0 && H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
  if (dataset >= 0) fine = H5Dclose(dataset) >= 0 && fine;
  if (space >= 0) H5Sclose(space);
  return fine;
}

static bool write_floats(hid_t file, const char *name, hem__matrix m) {
  return write_matrix(file, name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, m.at, (const size_t[]){m.rows, m.dim});
}

static bool write_all(hid_t file, const hem__benchmark_content *c) {
  const size_t answers[] = {c->test.rows, c->neighbours};
  return write_floats(file, "train", c->train) && write_floats(file, "test", c->test) &&
         write_matrix(file, "neighbors", H5T_STD_I32LE, H5T_NATIVE_INT32, c->rows, answers) &&
         write_matrix(file, "distances", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, c->distances, answers) &&
         hem__hdf5_put_text(file, "type", "dense") && hem__hdf5_put_text(file, "point_type", "float") &&
         hem__hdf5_put_text(file, "distance", c->distance == HEM_L2 ? "euclidean" : "angular");
}

hem_status hem__benchmark_write(const char *path, const hem__benchmark_content *content, hem_error *err) {
  char *part = NULL;
  if (content->distance != HEM_L2 && content->distance != HEM_COSINE)
    return hem__fail(err, HEM_EUNSUPPORTED, "files of ann-benchmarks are for l2 and cosine, not for %s",
                     hem_distance_name(content->distance));
  hem_status status = hem__print(&part, err, "%s.part", path);
  if (status) return status;
  hem__hdf5_enter();
  hid_t file = H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  bool fine = file >= 0 && write_all(file, content);
  if (!fine) status = hem__hdf5_fail(err, HEM_EIO, "write it", part);
  if (file >= 0 && H5Fclose(file) < 0 && !status) status = hem__hdf5_fail(err, HEM_EIO, "write it", part);
  hem__hdf5_leave();
  if (!status) status = hem__sync(part, err);
  if (!status) status = hem__rename(part, path, err);
  if (status) unlink(part);
  free(part);
  return status;
}
