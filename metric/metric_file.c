/* A metric as an HDF5 file, and back. Nothing that the file says is believed before its seal was checked, and nothing
 * is allocated before the arrays were found to be there in full: so memory is bounded by the file's own size. */
#include "metric/metric_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ingest/catalog_hdf5.h"
#include "ingest/photos.h"
#include "metric/distance.h"

static hem_status damaged(const char *path, const char *what, hem_error *err) {
  return hem__fail(err, HEM_ECORRUPT, "%s contradicts itself: %s", path, what);
}

/* ---- what both directions share ---- */

/* The float arrays of a metric of this shape, in the file's order; those without rows are not in it. */
typedef struct array {
  const char *name;
  size_t rows, columns; /* columns 0: one dimension */
  float *at;
} array;
enum { ARRAYS = 6 };

static void list_arrays(const hem__metric *m, array out[ARRAYS]) {
  const array all[ARRAYS] = {{"tower_weights", m->tower, m->dim, m->tower_weights},
                             {"tower_bias", m->tower, 0, m->tower_bias},
                             {"w1", m->hidden, m->width, m->w1},
                             {"b1", m->hidden, 0, m->b1},
                             {"w2", m->hidden ? m->hidden : m->width, 0, m->w2},
                             {"candidate_scale", m->width, 0, m->candidate_scale}};
  memcpy(out, all, sizeof all);
}

static size_t elements(const array *a) { return a->rows * (a->columns ? a->columns : 1); }

/* The columns of the table of calibrations, but for the category's name. */
static const struct {
  const char *name;
  size_t offset;
} numbers[] = {{"slope", offsetof(hem__calibration, platt.slope)},
               {"offset", offsetof(hem__calibration, platt.offset)},
               {"threshold", offsetof(hem__calibration, threshold)}};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static double *number_of(hem__calibration *c, size_t i) {
  return (double *)(void *)((char *)(void *)c + numbers[i].offset);
}

static const char *check_verdict(const hem__verdict *v) {
  for (size_t i = 0; i < HEM__CONTENDERS; i++)
    if (v->right[i] > v->queries) return "its verdict has more right answers than queries";
  if (!(v->gain_low >= -1 && v->gain_low <= v->gain && v->gain <= v->gain_high && v->gain_high <= 1))
    return "its verdict's interval is none";
  return v->best == HEM_L2 || v->best == HEM_L1 || v->best == HEM_COSINE ? NULL : "its verdict names no plain distance";
}

static const char *check_calibrations(const hem__metric *m) {
  for (size_t i = 0; i < m->calibration_count; i++) {
    const hem__calibration *c = &m->calibrations[i];
    if (!isfinite(c->platt.slope) || !isfinite(c->platt.offset) || !isfinite(c->threshold) || c->threshold < 0)
      return "a calibration is not finite";
    if ((i == 0) != (c->category[0] == '\0') || strlen(c->category) > HEM__TEXT_MAX || !hem__is_utf8(c->category))
      return "the first calibration is of all categories, every other one of one";
  }
  return NULL;
}

/* What is wrong with a metric's values; NULL: nothing. */
static const char *check_values(const hem__metric *m) {
  array arrays[ARRAYS];
  list_arrays(m, arrays);
  for (size_t i = 0; i < ARRAYS; i++)
    if (!hem__all_finite(arrays[i].at, elements(&arrays[i]))) return "a weight is not finite, or beyond 1e15";
  if (!hem__all_finite(&m->b2, 1)) return "a weight is not finite, or beyond 1e15";
  for (size_t i = 0; i < m->width; i++)
    if (m->candidate_scale[i] < 0) return "a scale of the candidates is below zero";
  for (size_t i = 0; m->form != HEM__HEAD && i < m->width; i++)
    if (m->w2[i] > 0) return "a weight of a weighted distance is above zero";
  if (m->candidate_distance != HEM_L2 && m->candidate_distance != HEM_L1)
    return "candidates are found by L2 or by L1 only";
  if (!(m->false_accept >= 0 && m->false_accept <= 1)) return "its false-accept rate is none";
  for (size_t i = 1; i < m->seen_count; i++)
    if (m->seen[i] < m->seen[i - 1]) return "its items are not in order";
  const char *wrong = check_verdict(&m->verdict);
  return wrong ? wrong : check_calibrations(m);
}

/* ---- writing ---- */

typedef struct dataset {
  const char *name;
  hid_t type, memory_type;
  hsize_t extent[2];
  int rank;
} dataset;

static bool put_dataset(hid_t group, const dataset *d, const void *values) {
  hid_t space = H5Screate_simple(d->rank, d->extent, NULL), plist = hem__hdf5_untimed(H5P_DATASET_CREATE);
  hid_t made = H5Dcreate2(group, d->name, d->type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  bool fine =
      made >= 0 && (d->extent[0] == 0 || H5Dwrite(made, d->memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  if (made >= 0) H5Dclose(made);
  H5Pclose(plist);
  H5Sclose(space);
  return fine;
}

/* `count` numbers as one attribute. */
static bool put_numbers(hid_t object, const char *name, hid_t type, hid_t memory_type, size_t count,
                        const void *values) {
  hsize_t extent = count;
  hid_t space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &extent, NULL);
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  bool fine = attribute >= 0 && H5Awrite(attribute, memory_type, values) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  H5Sclose(space);
  return fine;
}

static bool put_count(hid_t object, const char *name, uint64_t value) {
  return put_numbers(object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, &value);
}

static bool put_double(hid_t object, const char *name, double value) {
  return put_numbers(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &value);
}

static bool put_head(hid_t file, const hem__metric *m) {
  return hem__hdf5_put_text(file, "hemline_version", HEM_VERSION_STRING) &&
         hem__hdf5_put_text(file, "form", hem__form_names[m->form]) && put_count(file, "unit", m->unit) &&
         put_count(file, "dim", m->dim) && put_count(file, "tower", m->tower) && put_count(file, "hidden", m->hidden) &&
         put_numbers(file, "b2", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1, &m->b2) &&
         hem__hdf5_put_text(file, "candidate_distance", hem_distance_name(m->candidate_distance)) &&
         hem__hdf5_put_text(file, "space", m->space ? m->space : "") &&
         hem__hdf5_put_text(file, "space_hash", m->space_hash ? m->space_hash : "") &&
         hem__hdf5_put_text(file, "features", m->features ? m->features : "") &&
         hem__hdf5_put_text(file, "about", m->about ? m->about : "") &&
         put_double(file, "false_accept", m->false_accept);
}

static bool put_arrays(hid_t file, const hem__metric *m) {
  array arrays[ARRAYS];
  hid_t group = hem__hdf5_group(file, "weights");
  bool fine = group >= 0;
  list_arrays(m, arrays);
  for (size_t i = 0; fine && i < ARRAYS; i++) {
    const array *a = &arrays[i];
    dataset d = {a->name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {a->rows, a->columns}, a->columns ? 2 : 1};
    fine = a->rows == 0 || put_dataset(group, &d, a->at);
  }
  if (group >= 0) H5Gclose(group);
  return fine;
}

static bool put_verdict(hid_t file, const hem__verdict *v) {
  hid_t group = hem__hdf5_group(file, "verdict");
  if (group < 0) return false;
  bool fine = put_count(group, "queries", v->queries) && put_count(group, "gallery", v->gallery) &&
              put_numbers(group, "right", H5T_STD_U64LE, H5T_NATIVE_UINT64, HEM__CONTENDERS, v->right) &&
              put_double(group, "gain", v->gain) && put_double(group, "gain_low", v->gain_low) &&
              put_double(group, "gain_high", v->gain_high) &&
              hem__hdf5_put_text(group, "best", hem_distance_name(v->best));
  H5Gclose(group);
  return fine;
}

static size_t widest_category(const hem__metric *m) {
  size_t width = 1;
  for (size_t i = 0; i < m->calibration_count; i++) width = hem__max(width, strlen(m->calibrations[i].category));
  return width;
}

/* A fixed-length text type, to be closed. */
static hid_t text_type(size_t width) {
  hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, width);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

/* `room`: for the widest column. */
static bool put_columns(hid_t group, const hem__metric *m, size_t width, uint8_t *room) {
  size_t count = m->calibration_count;
  hid_t type = text_type(width);
  for (size_t i = 0; i < count; i++) {
    memset(room + i * width, 0, width);
    memcpy(room + i * width, m->calibrations[i].category, strlen(m->calibrations[i].category));
  }
  bool fine = put_dataset(group, &(dataset){"category", type, type, {count}, 1}, room);
  H5Tclose(type);
  for (size_t n = 0; fine && n < NUMBERS; n++) {
    for (size_t i = 0; i < count; i++)
      memcpy(room + i * sizeof(double), number_of(&m->calibrations[i], n), sizeof(double));
    fine = put_dataset(group, &(dataset){numbers[n].name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {count}, 1}, room);
  }
  for (size_t i = 0; i < count; i++) memcpy(room + i * sizeof(uint64_t), &m->calibrations[i].queries, sizeof(uint64_t));
  return fine && put_dataset(group, &(dataset){"queries", H5T_STD_U64LE, H5T_NATIVE_UINT64, {count}, 1}, room);
}

static hem_status put_calibrations(hid_t file, const hem__metric *m, const char *path, hem_error *err) {
  size_t width = widest_category(m);
  uint8_t *room = NULL;
  hem_status status = hem__alloc(m->calibration_count, hem__max(width, sizeof(uint64_t)), "calibrations", &room, err);
  if (status) return status;
  hid_t group = hem__hdf5_group(file, "calibration");
  if (group < 0 || !put_columns(group, m, width, room))
    status = hem__hdf5_fail(err, HEM_EIO, "write the calibrations", path);
  if (group >= 0) H5Gclose(group);
  free(room);
  return status;
}

static hem_status write_file(const hem__metric *m, const char *path, hem_error *err) {
  hem__hdf5_enter();
  dataset seen = {"seen", H5T_STD_U64LE, H5T_NATIVE_UINT64, {m->seen_count}, 1};
  hid_t file = hem__hdf5_create(path, false);
  hem_status status = HEM_OK;
  if (file < 0 || !put_head(file, m) || !put_arrays(file, m) || !put_verdict(file, &m->verdict) ||
      !put_dataset(file, &seen, m->seen))
    status = hem__hdf5_fail(err, HEM_EIO, "write the metric", path);
  if (!status) status = put_calibrations(file, m, path, err);
  if (file >= 0 && H5Fclose(file) < 0 && !status) status = hem__hdf5_fail(err, HEM_EIO, "finish the file", path);
  hem__hdf5_leave();
  return status;
}

hem_status hem__metric_save(const hem__metric *metric, const char *path, hem_error *err) {
  const char *wrong = check_values(metric);
  char *temporary = NULL;
  if (wrong) return hem__fail(err, HEM_EINVAL, "the metric for %s cannot be saved: %s", path, wrong);
  hem_status status = hem__print(&temporary, err, "%s.tmp", path);
  if (status) return status;
  status = write_file(metric, temporary, err);
  if (!status) status = hem__seal_write(temporary, &(hem__seal){.kind = HEM__SEALED_METRIC}, err);
  if (!status) status = hem__sync(temporary, err);
  if (!status) status = hem__rename(temporary, path, err);
  if (status) unlink(temporary);
  free(temporary);
  return status;
}

/* ---- reading ---- */

typedef struct reading {
  const char *path;
  size_t file_size;
  hid_t file;
} reading;

static bool get_numbers(hid_t object, const char *name, hid_t type, hid_t memory_type, size_t count, void *values) {
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  hid_t found = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
  hid_t space = attribute >= 0 ? H5Aget_space(attribute) : H5I_INVALID_HID;
  bool fine = found >= 0 && space >= 0 && H5Tequal(found, type) > 0 &&
              H5Sget_simple_extent_npoints(space) == (hssize_t)count && H5Aread(attribute, memory_type, values) >= 0;
  if (space >= 0) H5Sclose(space);
  if (found >= 0) H5Tclose(found);
  if (attribute >= 0) H5Aclose(attribute);
  return fine;
}

static bool get_size(hid_t object, const char *name, size_t *out) {
  uint64_t value = 0;
  bool fine = get_numbers(object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, &value) && value <= SIZE_MAX;
  *out = (size_t)value;
  return fine;
}

static bool get_double(hid_t object, const char *name, double *out) {
  return get_numbers(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, out);
}

/* Opens a dataset that is exactly this, and whose bytes all lie in the file. < 0: it is not. */
static hid_t open_dataset(const reading *r, hid_t group, const dataset *d) {
  hsize_t extent[2];
  hid_t found = H5Dopen2(group, d->name, H5P_DEFAULT);
  if (found < 0) return found;
  hid_t type = H5Dget_type(found), plist = H5Dget_create_plist(found);
  bool fine = type >= 0 && H5Tequal(type, d->type) > 0 && hem__hdf5_extent(found, d->rank, extent) &&
              extent[0] == d->extent[0] && (d->rank == 1 || extent[1] == d->extent[1]);
  if (fine && extent[0]) {
    size_t bytes;
    haddr_t offset = H5Dget_offset(found);
    fine = hem__mul(extent[0], d->rank == 2 ? extent[1] : 1, &bytes) && hem__mul(bytes, H5Tget_size(type), &bytes) &&
           plist >= 0 && H5Pget_layout(plist) == H5D_CONTIGUOUS && H5Dget_storage_size(found) == bytes &&
           offset <= r->file_size && bytes <= r->file_size - offset;
  }
  if (plist >= 0) H5Pclose(plist);
  if (type >= 0) H5Tclose(type);
  if (fine) return found;
  H5Dclose(found);
  return H5I_INVALID_HID;
}

/* `values` NULL: only looks whether it is there. */
static bool get_dataset(const reading *r, hid_t group, const dataset *d, void *values) {
  hid_t found = open_dataset(r, group, d);
  if (found < 0) return false;
  bool fine =
      !values || d->extent[0] == 0 || H5Dread(found, d->memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
  H5Dclose(found);
  return fine;
}

/* How many rows a one-dimensional dataset has; false where it is none, or cannot be held. */
static bool count_rows(hid_t group, const char *name, size_t most, size_t *out) {
  hsize_t extent[2];
  hid_t found = H5Dopen2(group, name, H5P_DEFAULT);
  bool fine = found >= 0 && hem__hdf5_extent(found, 1, extent) && extent[0] <= most;
  if (found >= 0) H5Dclose(found);
  if (fine) *out = extent[0];
  return fine;
}

static hem_status get_distance(const reading *r, hid_t object, const char *name, hem_distance *out, hem_error *err) {
  char *text = NULL;
  hem_status status = hem__hdf5_get_text(object, name, r->path, &text, err);
  if (!status && hem_distance_parse(text, out, NULL)) status = damaged(r->path, "a distance has no known name", err);
  free(text);
  return status;
}

static hem_status get_shape(const reading *r, hem__metric *shape, hem_error *err) {
  char *form = NULL;
  size_t unit = 2;
  hem_status status = hem__hdf5_get_text(r->file, "form", r->path, &form, err);
  if (status) return status;
  uint8_t number = 0;
  bool fine = hem__name_find(form, hem__form_names, HEM__FORMS, &number);
  shape->form = (hem__form)number;
  fine = fine && get_size(r->file, "unit", &unit) && unit < 2 && get_size(r->file, "dim", &shape->dim) &&
         get_size(r->file, "tower", &shape->tower) && get_size(r->file, "hidden", &shape->hidden) && shape->dim > 0 &&
         shape->dim <= HEM__METRIC_DIM_MAX && shape->tower <= HEM__METRIC_DIM_MAX &&
         shape->hidden <= HEM__METRIC_HIDDEN_MAX && (shape->form == HEM__HEAD) == (shape->hidden > 0);
  shape->unit = unit == 1;
  shape->width = shape->tower ? shape->tower : shape->dim;
  free(form);
  return fine ? HEM_OK : damaged(r->path, "it has no form, or sizes that its form cannot have", err);
}

/* All arrays of `m`; one whose pointers are NULL is a shape that is only compared. */
static hem_status get_arrays(const reading *r, const hem__metric *m, hem_error *err) {
  array arrays[ARRAYS];
  hem_status status = HEM_OK;
  hid_t group = H5Gopen2(r->file, "weights", H5P_DEFAULT);
  if (group < 0) return damaged(r->path, "it has no weights", err);
  list_arrays(m, arrays);
  for (size_t i = 0; i < ARRAYS && !status; i++) {
    const array *a = &arrays[i];
    dataset d = {a->name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {a->rows, a->columns}, a->columns ? 2 : 1};
    if (a->rows && !get_dataset(r, group, &d, a->at))
      status = damaged(r->path, "its weights are not of the sizes it names, or cannot be read", err);
  }
  H5Gclose(group);
  return status;
}

static hem_status get_head(const reading *r, hem__metric *m, hem_error *err) {
  if (!get_numbers(r->file, "b2", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1, &m->b2) ||
      !get_double(r->file, "false_accept", &m->false_accept))
    return damaged(r->path, "a number is missing", err);
  hem_status status = get_distance(r, r->file, "candidate_distance", &m->candidate_distance, err);
  if (!status) status = hem__hdf5_get_text(r->file, "space", r->path, &m->space, err);
  if (!status) status = hem__hdf5_get_text(r->file, "space_hash", r->path, &m->space_hash, err);
  if (!status) status = hem__hdf5_get_text(r->file, "features", r->path, &m->features, err);
  if (!status) status = hem__hdf5_get_text(r->file, "about", r->path, &m->about, err);
  return status;
}

static hem_status get_verdict(const reading *r, hem__verdict *v, hem_error *err) {
  hid_t group = H5Gopen2(r->file, "verdict", H5P_DEFAULT);
  if (group < 0) return damaged(r->path, "it has no verdict", err);
  bool fine = get_numbers(group, "queries", H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, &v->queries) &&
              get_numbers(group, "gallery", H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, &v->gallery) &&
              get_numbers(group, "right", H5T_STD_U64LE, H5T_NATIVE_UINT64, HEM__CONTENDERS, v->right) &&
              get_double(group, "gain", &v->gain) && get_double(group, "gain_low", &v->gain_low) &&
              get_double(group, "gain_high", &v->gain_high);
  hem_status status = fine ? get_distance(r, group, "best", &v->best, err)
                           : damaged(r->path, "a number of its verdict is missing", err);
  H5Gclose(group);
  return status;
}

static hem_status get_seen(const reading *r, hem__metric *m, hem_error *err) {
  size_t count;
  if (!count_rows(r->file, "seen", r->file_size / sizeof *m->seen, &count))
    return damaged(r->path, "its list of items is missing", err);
  dataset d = {"seen", H5T_STD_U64LE, H5T_NATIVE_UINT64, {count}, 1};
  hem_status status = hem__alloc(count, sizeof *m->seen, "items", &m->seen, err);
  if (status) return status;
  m->seen_count = count;
  return get_dataset(r, r->file, &d, m->seen) ? HEM_OK : damaged(r->path, "its list of items cannot be read", err);
}

static hem_status get_categories(const reading *r, hid_t group, hem__metric *m, hem_error *err) {
  size_t count = m->calibration_count, width = 0;
  uint8_t *room = NULL;
  hid_t found = H5Dopen2(group, "category", H5P_DEFAULT);
  hid_t type = found >= 0 ? H5Dget_type(found) : H5I_INVALID_HID;
  if (type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0) width = H5Tget_size(type);
  dataset d = {"category", type, type, {count}, 1};
  bool fine = width > 0 && width <= HEM__TEXT_MAX && get_dataset(r, group, &d, NULL);
  hem_status status = fine ? hem__alloc(count, width, "calibrations", &room, err)
                           : damaged(r->path, "the categories of its calibrations are no texts", err);
  if (!status && !get_dataset(r, group, &d, room))
    status = hem__hdf5_fail(err, HEM_ECORRUPT, "read the categories", r->path);
  for (size_t i = 0; i < count && !status; i++)
    status = hem__print(&m->calibrations[i].category, err, "%.*s", (int)strnlen((const char *)room + i * width, width),
                        (const char *)room + i * width);
  free(room);
  if (type >= 0) H5Tclose(type);
  if (found >= 0) H5Dclose(found);
  return status;
}

static hem_status get_columns(const reading *r, hid_t group, hem__metric *m, hem_error *err) {
  size_t count = m->calibration_count;
  double *values = NULL;
  uint64_t *queries = NULL;
  hem_status status = hem__alloc(count, sizeof *values, "calibrations", &values, err);
  if (!status) status = hem__alloc(count, sizeof *queries, "calibrations", &queries, err);
  for (size_t n = 0; n < NUMBERS && !status; n++) {
    dataset d = {numbers[n].name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {count}, 1};
    if (!get_dataset(r, group, &d, values)) status = damaged(r->path, "a column of its calibrations is missing", err);
    for (size_t i = 0; i < count && !status; i++) *number_of(&m->calibrations[i], n) = values[i];
  }
  dataset d = {"queries", H5T_STD_U64LE, H5T_NATIVE_UINT64, {count}, 1};
  if (!status && !get_dataset(r, group, &d, queries))
    status = damaged(r->path, "a column of its calibrations is missing", err);
  for (size_t i = 0; i < count && !status; i++) m->calibrations[i].queries = queries[i];
  free(queries);
  free(values);
  return status;
}

static hem_status get_calibrations(const reading *r, hem__metric *m, hem_error *err) {
  size_t count = 0;
  hid_t group = H5Gopen2(r->file, "calibration", H5P_DEFAULT);
  if (group < 0) return damaged(r->path, "it has no calibration", err);
  hem_status status = count_rows(group, "category", HEM__METRIC_CATEGORIES_MAX, &count)
                          ? hem__alloc(count, sizeof *m->calibrations, "calibrations", &m->calibrations, err)
                          : damaged(r->path, "its calibrations are none, or too many", err);
  if (!status) {
    m->calibration_count = count;
    status = get_categories(r, group, m, err);
  }
  if (!status) status = get_columns(r, group, m, err);
  H5Gclose(group);
  return status;
}

static hem_status read_file(reading *r, const hem__map *map, hem__metric **out, hem_error *err) {
  hem__metric shape = {0}, *m = NULL;
  hem_status status = hem__hdf5_open(r->path, map, &r->file, err);
  if (status) return status;
  status = get_shape(r, &shape, err);
  if (!status) status = get_arrays(r, &shape, err); /* that they are there, before memory is taken for them */
  if (!status) status = hem__metric_new(&shape, &m, err);
  if (!status) status = get_arrays(r, m, err);
  if (!status) status = get_head(r, m, err);
  if (!status) status = get_verdict(r, &m->verdict, err);
  if (!status) status = get_calibrations(r, m, err);
  if (!status) status = get_seen(r, m, err);
  H5Fclose(r->file);
  const char *wrong = status ? NULL : check_values(m);
  if (wrong) status = damaged(r->path, wrong, err);
  if (status) {
    hem__metric_free(m);
    return status;
  }
  *out = m;
  return HEM_OK;
}

hem_status hem__metric_load(const char *path, hem__metric **out, hem_error *err) {
  hem__map map = {0};
  hem__seal seal;
  hem_status status = hem__map_open(path, &map, err);
  if (!status) status = hem__seal_check(&map, path, HEM__SEALED_METRIC, &seal, err);
  if (!status) {
    reading r = {.path = path, .file_size = map.size, .file = H5I_INVALID_HID};
    hem__hdf5_enter();
    status = read_file(&r, &map, out, err);
    hem__hdf5_leave();
  }
  hem__map_close(&map);
  return status;
}
