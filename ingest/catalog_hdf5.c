/* The table of columns, the lock, and HDF5's messages. */
#include "ingest/catalog_hdf5.h"

#include <pthread.h>
#include <stdio.h>

/* Guards every call into HDF5. */
static pthread_mutex_t hdf5_lock = PTHREAD_MUTEX_INITIALIZER;

void hem__hdf5_enter(void) {
  pthread_mutex_lock(&hdf5_lock);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* its errors go into hem_error, not to stderr */
}

void hem__hdf5_leave(void) { pthread_mutex_unlock(&hdf5_lock); }

static herr_t innermost(unsigned n, const H5E_error2_t *entry, void *text) {
  if (n == 0) snprintf(text, 160, "%s", entry->desc);
  return 0;
}

hem_status hem__hdf5_fail(hem_error *err, hem_status code, const char *what, const char *path) {
  char text[160] = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, text);
  H5Eclear2(H5E_DEFAULT);
  return hem__fail(err, code, "%s: HDF5 could not %s (%s)", path, what, text);
}

const hem__column hem__photo_columns[] = {
    {.name = "item_id", .kind = HEM__TEXT, .offset = offsetof(hem__photo, item_id)},
    {.name = "category", .kind = HEM__TEXT, .offset = offsetof(hem__photo, category)},
    {.name = "label", .kind = HEM__TEXT, .offset = offsetof(hem__photo, label)},
    {.name = "path", .kind = HEM__TEXT, .offset = offsetof(hem__photo, path)},
    {.name = "domain",
     .kind = HEM__ENUM,
     .offset = offsetof(hem__photo, domain),
     .names = hem__domain_names,
     .name_count = HEM__DOMAINS},
    {.name = "split",
     .kind = HEM__ENUM,
     .offset = offsetof(hem__photo, split),
     .names = hem__split_names,
     .name_count = HEM__SPLITS},
    {.name = "box", .kind = HEM__BOX, .offset = offsetof(hem__photo, box)},
    {.name = "width", .kind = HEM__U32, .offset = offsetof(hem__photo, width)},
    {.name = "height", .kind = HEM__U32, .offset = offsetof(hem__photo, height)},
    {.name = "source_sha256", .kind = HEM__DIGEST, .offset = offsetof(hem__photo, source)},
    {.name = "source_bytes", .kind = HEM__U64, .offset = offsetof(hem__photo, bytes), .since = 2},
    {.name = "source_mtime_ns", .kind = HEM__I64, .offset = offsetof(hem__photo, mtime_ns), .since = 2},
    {.name = "box_unit",
     .kind = HEM__ENUM,
     .offset = offsetof(hem__photo, box.unit),
     .names = hem__box_unit_names,
     .name_count = HEM__BOX_UNITS,
     .since = 2},
};
const hem__column hem__rejection_columns[] = {
    {.name = "path", .kind = HEM__TEXT, .offset = offsetof(hem__rejection, path)},
    {.name = "reason", .kind = HEM__TEXT, .offset = offsetof(hem__rejection, reason)},
};
const size_t hem__photo_column_count = sizeof hem__photo_columns / sizeof *hem__photo_columns;
const size_t hem__rejection_column_count = sizeof hem__rejection_columns / sizeof *hem__rejection_columns;

/* By kind; texts have the width of their column. */
hid_t hem__column_type(const hem__column *column) {
  switch (column->kind) {
    case HEM__TEXT:
      return H5T_C_S1;
    case HEM__U32:
      return H5T_STD_U32LE;
    case HEM__U64:
      return H5T_STD_U64LE;
    case HEM__I64:
      return H5T_STD_I64LE;
    case HEM__BOX:
      return H5T_STD_I32LE;
    default:
      return H5T_STD_U8LE;
  }
}

size_t hem__column_size(const hem__column *column, size_t width) {
  static const size_t sizes[] = {
      [HEM__ENUM] = 1, [HEM__U32] = 4, [HEM__U64] = 8, [HEM__I64] = 8, [HEM__BOX] = 16, [HEM__DIGEST] = 32};
  return column->kind == HEM__TEXT ? width : sizes[column->kind];
}

hsize_t hem__column_elements(const hem__column *column) {
  return column->kind == HEM__BOX ? 4 : column->kind == HEM__DIGEST ? 32 : 1;
}
