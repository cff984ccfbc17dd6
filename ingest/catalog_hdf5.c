/* The lock, HDF5's messages, what our HDF5 files have in common, and the table of columns. */
#include "ingest/catalog_hdf5.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* ---- files ---- */

enum { PAGE = 4096, TEXT_BYTES_MAX = 1 << 20 };

hid_t hem__hdf5_create(const char *path, bool pages) {
  hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_userblock(creation, HEM__SEAL_SIZE);
  H5Pset_obj_track_times(creation, false); /* of the root group: see hem__hdf5_untimed */
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  if (pages) {
    H5Pset_alignment(access, 1, PAGE);         /* datasets start on pages ... */
    H5Pset_meta_block_size(access, 16 * PAGE); /* ... and small metadata shares them */
  }
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  H5Pclose(access);
  H5Pclose(creation);
  return file;
}

/* The file that HDF5 opened is the file whose seal was checked. */
static bool same_file(hid_t file, const hem__map *map) {
  int *fd = NULL;
  struct stat st;
  return H5Fget_vfd_handle(file, H5P_DEFAULT, (void **)&fd) >= 0 && fd && fstat(*fd, &st) == 0 &&
         (uint64_t)st.st_dev == map->device && (uint64_t)st.st_ino == map->inode;
}

hem_status hem__hdf5_open(const char *path, const hem__map *map, hid_t *out, hem_error *err) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_file_locking(access, false, true); /* sealed files do not change; read-only file systems cannot lock */
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
  H5Pclose(access);
  if (file < 0) return hem__hdf5_fail(err, HEM_ECORRUPT, "open the file", path);
  if (!same_file(file, map)) {
    H5Fclose(file);
    return hem__fail(err, HEM_EBUSY, "%s was replaced while it was opened: try again", path);
  }
  *out = file;
  return HEM_OK;
}

hid_t hem__hdf5_untimed(hid_t class) {
  hid_t plist = H5Pcreate(class);
  H5Pset_obj_track_times(plist, false);
  return plist;
}

hid_t hem__hdf5_group(hid_t file, const char *name) {
  hid_t plist = hem__hdf5_untimed(H5P_GROUP_CREATE), group = H5Gcreate2(file, name, H5P_DEFAULT, plist, H5P_DEFAULT);
  H5Pclose(plist);
  return group;
}

bool hem__hdf5_put_text(hid_t object, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, hem__max(strlen(text), 1));
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  /* One byte at least is read: an empty text's terminator. */
  bool fine = attribute >= 0 && H5Awrite(attribute, type, text) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
  return fine;
}

hem_status hem__hdf5_get_text(hid_t object, const char *name, const char *path, char **out, hem_error *err) {
  char *text = NULL;
  hem_status status = HEM_OK;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
  hid_t space = attribute >= 0 ? H5Aget_space(attribute) : H5I_INVALID_HID;
  bool one = type >= 0 && space >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
             H5Sget_simple_extent_npoints(space) == 1;
  size_t size = one ? H5Tget_size(type) : 0;
  if (size == 0 || size > TEXT_BYTES_MAX) {
    status = hem__fail(err, HEM_ECORRUPT, "%s contradicts itself: an attribute is missing or is no text", path);
    goto exit;
  }
  if ((status = hem__alloc(size + 1, 1, "an attribute", &text, err))) goto exit;
  if (H5Aread(attribute, type, text) < 0) status = hem__hdf5_fail(err, HEM_ECORRUPT, "read an attribute", path);
  if (status) goto exit;
  *out = text;
  text = NULL;
exit:
  free(text);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  if (attribute >= 0) H5Aclose(attribute);
  return status;
}

bool hem__hdf5_extent(hid_t dataset, int rank, hsize_t extent[2]) {
  extent[0] = 0;
  extent[1] = 1;
  hid_t space = H5Dget_space(dataset);
  bool fine =
      space >= 0 && H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, extent, NULL) == rank;
  if (space >= 0) H5Sclose(space);
  return fine;
}

/* ---- columns ---- */

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
