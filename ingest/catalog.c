#include "ingest/catalog.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/seal.h"

enum { CHUNK_ROWS = 8192, BLOCK_BYTES = 4 << 20, DEFLATE_LEVEL = 4, PAGE = 4096 };

/* Guards every call into HDF5. Nothing but HDF5 is called under it that could take another lock. */
static pthread_mutex_t hdf5_lock = PTHREAD_MUTEX_INITIALIZER;

static void hdf5_enter(void) {
  pthread_mutex_lock(&hdf5_lock);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* its errors go into hem_error, not to stderr */
}

static void hdf5_leave(void) { pthread_mutex_unlock(&hdf5_lock); }

static herr_t innermost(unsigned n, const H5E_error2_t *entry, void *text) {
  if (n == 0) snprintf(text, 160, "%s", entry->desc);
  return 0;
}

/* HDF5's own sentence, the innermost, behind ours. */
static hem_status fail_hdf5(hem_error *err, hem_status code, const char *what, const char *path) {
  char text[160] = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, text);
  H5Eclear2(H5E_DEFAULT);
  return hem__fail(err, code, "%s: HDF5 could not %s (%s)", path, what, text);
}

/* ---- columns: one table says how a photo's fields lie in the file ------------------------------------ */

typedef enum column_kind { TEXT, ENUM, U32, BOX, DIGEST } column_kind;

typedef struct column {
  const char *name;
  column_kind kind;
  size_t offset; /* in the row's struct */
  const char *const *names; /* ENUM: by value */
  size_t name_count;
} column;

static const char *const domain_names[] = {"shop", "consumer"};
static const char *const split_names[] = {"none", "train", "validation", "test"};

static const column photo_columns[] = {
    {.name = "item_id", .kind = TEXT, .offset = offsetof(hem__photo, item_id)},
    {.name = "category", .kind = TEXT, .offset = offsetof(hem__photo, category)},
    {.name = "label", .kind = TEXT, .offset = offsetof(hem__photo, label)},
    {.name = "path", .kind = TEXT, .offset = offsetof(hem__photo, path)},
    {.name = "domain", .kind = ENUM, .offset = offsetof(hem__photo, domain), .names = domain_names, .name_count = 2},
    {.name = "split", .kind = ENUM, .offset = offsetof(hem__photo, split), .names = split_names, .name_count = 4},
    {.name = "box", .kind = BOX, .offset = offsetof(hem__photo, box)},
    {.name = "width", .kind = U32, .offset = offsetof(hem__photo, width)},
    {.name = "height", .kind = U32, .offset = offsetof(hem__photo, height)},
    {.name = "source_sha256", .kind = DIGEST, .offset = offsetof(hem__photo, source)},
};
static const column rejection_columns[] = {
    {.name = "path", .kind = TEXT, .offset = offsetof(hem__rejection, path)},
    {.name = "reason", .kind = TEXT, .offset = offsetof(hem__rejection, reason)},
};
enum {
  PHOTO_COLUMNS = sizeof photo_columns / sizeof *photo_columns,
  REJECTION_COLUMNS = sizeof rejection_columns / sizeof *rejection_columns
};

/* Bytes of one value in a file; `width`: of the widest text. */
static size_t value_size(const column *c, size_t width) {
  static const size_t sizes[] = {[ENUM] = 1, [U32] = 4, [BOX] = 16, [DIGEST] = 32};
  return c->kind == TEXT ? width : sizes[c->kind];
}

static hsize_t value_columns(column_kind kind) { return kind == BOX ? 4 : kind == DIGEST ? 32 : 1; }

/* The HDF5 type of one element, to be closed. */
static hid_t value_type(const column *c, size_t width) {
  hid_t type = H5Tcopy(c->kind == TEXT ? H5T_C_S1 : c->kind == U32 ? H5T_STD_U32LE
                       : c->kind == BOX ? H5T_STD_I32LE : H5T_STD_U8LE);
  if (c->kind == TEXT) {
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
  } else if (c->kind == ENUM) {
    hid_t named = H5Tenum_create(type);
    for (uint8_t i = 0; i < c->name_count; i++) H5Tenum_insert(named, c->names[i], &i);
    H5Tclose(type);
    type = named;
  }
  return type;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

/* Rows that lie in several places, seen as one run. */
typedef struct rows {
  const hem__catalog_part *parts; /* photos, or ... */
  const hem__rejection *rejected; /* ... rejections */
  size_t count;
} rows;

/* Copies column values of rows [first, first + count) next to each other. */
static void gather(const rows *all, const column *c, size_t width, size_t first, size_t count, uint8_t *out) {
  size_t size = value_size(c, width), part = 0, base = 0;
  for (size_t i = first; i < first + count; i++, out += size) {
    const uint8_t *row = (const uint8_t *)(all->rejected + i);
    if (!all->rejected) {
      while (i - base >= all->parts[part].photos->count) base += all->parts[part++].photos->count;
      row = (const uint8_t *)&all->parts[part].photos->at[i - base];
    }
    if (c->kind == TEXT) {
      const char *text;
      memcpy(&text, row + c->offset, sizeof text);
      memset(out, 0, size);
      memcpy(out, text, strlen(text));
    } else {
      memcpy(out, row + c->offset, size);
    }
  }
}

static size_t widest(const rows *all, const column *c) {
  size_t width = 1, part = 0, base = 0;
  for (size_t i = 0; i < all->count && c->kind == TEXT; i++) {
    const uint8_t *row = (const uint8_t *)(all->rejected + i);
    if (!all->rejected) {
      while (i - base >= all->parts[part].photos->count) base += all->parts[part++].photos->count;
      row = (const uint8_t *)&all->parts[part].photos->at[i - base];
    }
    const char *text;
    memcpy(&text, row + c->offset, sizeof text);
    width = hem__max(width, strlen(text));
  }
  return width;
}

/* Properties for a new object, without its time of birth: the same rows make the same bytes. */
static hid_t untimed(hid_t class) {
  hid_t plist = H5Pcreate(class);
  H5Pset_obj_track_times(plist, false);
  return plist;
}

static hid_t make_group(hid_t file, const char *name) {
  hid_t plist = untimed(H5P_GROUP_CREATE), group = H5Gcreate2(file, name, H5P_DEFAULT, plist, H5P_DEFAULT);
  H5Pclose(plist);
  return group;
}

static hid_t column_properties(size_t rows_in_chunk, hsize_t columns) {
  hid_t plist = untimed(H5P_DATASET_CREATE);
  if (rows_in_chunk == 0) return plist; /* HDF5 cannot chunk nothing */
  hsize_t chunk[2] = {rows_in_chunk, columns};
  H5Pset_chunk(plist, columns > 1 ? 2 : 1, chunk);
  H5Pset_shuffle(plist);
  H5Pset_deflate(plist, DEFLATE_LEVEL);
  H5Pset_fletcher32(plist);
  return plist;
}

/* Writes rows [first, first + count) of a dataset of `columns` columns. */
static bool write_rows(hid_t dataset, hid_t type, size_t first, size_t count, hsize_t columns, const void *values) {
  hsize_t start[2] = {first, 0}, extent[2] = {count, columns};
  int rank = columns > 1 ? 2 : 1;
  hid_t file_space = H5Dget_space(dataset), memory_space = H5Screate_simple(rank, extent, NULL);
  bool fine = H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0 &&
              H5Dwrite(dataset, type, memory_space, file_space, H5P_DEFAULT, values) >= 0;
  H5Sclose(memory_space);
  H5Sclose(file_space);
  return fine;
}

static hem_status write_column(hid_t group, const rows *all, const column *c, const char *path, hem_error *err) {
  size_t width = widest(all, c), chunk = hem__min(all->count, CHUNK_ROWS);
  hsize_t columns = value_columns(c->kind), extent[2] = {all->count, columns};
  uint8_t *values = NULL;
  hem_status status = hem__alloc(chunk, value_size(c, width), "a column", &values, err);
  if (status) return status;
  hid_t type = value_type(c, width), space = H5Screate_simple(columns > 1 ? 2 : 1, extent, NULL);
  hid_t plist = column_properties(chunk, columns);
  hid_t dataset = H5Dcreate2(group, c->name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  bool fine = dataset >= 0;
  for (size_t first = 0; fine && first < all->count; first += chunk) {
    size_t count = hem__min(chunk, all->count - first);
    gather(all, c, width, first, count, values);
    fine = write_rows(dataset, type, first, count, columns, values);
  }
  if (!fine) status = fail_hdf5(err, HEM_EIO, "write a column", path);
  if (dataset >= 0) H5Dclose(dataset);
  H5Pclose(plist);
  H5Sclose(space);
  H5Tclose(type);
  free(values);
  return status;
}

static hem_status write_columns(hid_t file, const char *group_name, const rows *all, const column *columns,
                                size_t count, const char *path, hem_error *err) {
  hid_t group = make_group(file, group_name);
  hem_status status = group < 0 ? fail_hdf5(err, HEM_EIO, "make a group", path) : HEM_OK;
  for (size_t i = 0; i < count && !status; i++) status = write_column(group, all, &columns[i], path, err);
  if (group >= 0) H5Gclose(group);
  return status;
}

static bool put_text(hid_t object, const char *name, const char *text) {
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

static bool put_block_dims(hid_t object, const hem__space *space) {
  uint64_t dims[HEM__BLOCKS_MAX];
  for (size_t i = 0; i < space->block_count; i++) dims[i] = space->blocks[i].dim;
  hsize_t count = space->block_count;
  hid_t extent = H5Screate_simple(1, &count, NULL);
  hid_t attribute = H5Acreate2(object, "block_dims", H5T_STD_U64LE, extent, H5P_DEFAULT, H5P_DEFAULT);
  bool fine = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_UINT64, dims) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  H5Sclose(extent);
  return fine;
}

static bool put_space_attributes(hid_t dataset, const hem__space *space) {
  char names[HEM__BLOCKS_MAX * sizeof space->blocks->name] = "";
  for (size_t i = 0, at = 0; i < space->block_count; i++)
    at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? "," : "", space->blocks[i].name);
  return put_text(dataset, "features", space->features) && put_text(dataset, "recipe", space->recipe) &&
         put_text(dataset, "hash", space->hash) && put_text(dataset, "blocks", names) && put_block_dims(dataset, space);
}

/* The SHA-256 of every BLOCK_BYTES of a run of bytes, as they pass by. */
typedef struct block_hasher {
  hem__sha256 *hash;
  hem__digest *digests;
  size_t count, filled;
} block_hasher;

static void hash_blocks(block_hasher *h, const uint8_t *bytes, size_t size) {
  while (size) {
    size_t now = hem__min(size, BLOCK_BYTES - h->filled);
    hem__sha256_add(h->hash, bytes, now);
    bytes += now;
    size -= now;
    h->filled += now;
    if (h->filled == BLOCK_BYTES) {
      hem__sha256_end(h->hash, &h->digests[h->count++]);
      h->filled = 0;
    }
  }
}

static void hash_last_block(block_hasher *h) {
  if (h->filled) hem__sha256_end(h->hash, &h->digests[h->count++]);
  h->filled = 0;
}

typedef struct sealing {
  const char *path; /* for messages */
  const hem__space *spaces;
  size_t space_count;
  const hem__catalog_part *parts;
  size_t part_count, rows;
  const hem_progress *progress;
  hem__seal seal;
} sealing;

/* Streams one space's vectors of all parts into its contiguous dataset. */
static hem_status stream_vectors(const sealing *s, size_t space, hid_t dataset, block_hasher *hasher, hem_error *err) {
  size_t dim = s->spaces[space].dim, at = 0, step = hem__max(BLOCK_BYTES / (dim * sizeof(float)), 1);
  for (size_t p = 0; p < s->part_count; p++) {
    hem__matrix m = s->parts[p].vectors[space];
    for (size_t first = 0; first < m.rows; first += step, at += step) {
      size_t count = hem__min(step, m.rows - first);
      /* Rows of one value make a 1-d selection in write_rows; the dataset here is always 2-d. */
      hsize_t start[2] = {at, 0}, extent[2] = {count, dim};
      hid_t file_space = H5Dget_space(dataset), memory_space = H5Screate_simple(2, extent, NULL);
      bool fine = H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0 &&
                  H5Dwrite(dataset, H5T_IEEE_F32LE, memory_space, file_space, H5P_DEFAULT, hem__row(m, first)) >= 0;
      H5Sclose(memory_space);
      H5Sclose(file_space);
      if (!fine) return fail_hdf5(err, HEM_EIO, "write vectors", s->path);
      hash_blocks(hasher, (const uint8_t *)hem__row(m, first), count * dim * sizeof(float));
      hdf5_leave(); /* the callback is the user's: it may call us */
      hem_status status = hem__progress_report(s->progress, "seal", at + count, s->rows, "photos", err);
      hdf5_enter();
      if (status) return status;
      if (count < step) at -= step - count;
    }
  }
  hash_last_block(hasher);
  return HEM_OK;
}

static hem_status write_digests(hid_t group, const char *name, const block_hasher *h, const char *path, hem_error *err) {
  hsize_t extent[2] = {h->count, sizeof h->digests->at};
  hid_t space = H5Screate_simple(2, extent, NULL), plist = untimed(H5P_DATASET_CREATE);
  hid_t dataset = H5Dcreate2(group, name, H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  bool fine = dataset >= 0 && H5Dwrite(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, h->digests) >= 0;
  hem_status status = fine ? HEM_OK : fail_hdf5(err, HEM_EIO, "write checksums", path);
  if (dataset >= 0) H5Dclose(dataset);
  H5Pclose(plist);
  H5Sclose(space);
  return status;
}

/* A contiguous dataset that owns its place in the file at once, so that the place can be sealed around. */
static hid_t create_vectors(hid_t group, const char *name, size_t count, size_t dim) {
  hsize_t extent[2] = {count, dim};
  hid_t space = H5Screate_simple(2, extent, NULL), plist = untimed(H5P_DATASET_CREATE);
  H5Pset_layout(plist, H5D_CONTIGUOUS);
  H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER);
  hid_t dataset = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  H5Pclose(plist);
  H5Sclose(space);
  return dataset;
}

static hem_status write_space(sealing *s, hid_t embeddings, hid_t digests, size_t space, hem_error *err) {
  const hem__space *sp = &s->spaces[space];
  size_t row_bytes, bytes;
  if (!hem__mul(sp->dim, sizeof(float), &row_bytes) || !hem__mul(row_bytes, s->rows, &bytes))
    return hem__fail(err, HEM_ENOMEM, "%s: %zu vectors of %zu values are too many", s->path, s->rows, sp->dim);
  block_hasher hasher = {0};
  hid_t dataset = H5I_INVALID_HID;
  hem_status status = hem__alloc(bytes / BLOCK_BYTES + 1, sizeof *hasher.digests, "checksums", &hasher.digests, err);
  if (!status) status = hem__sha256_new(&hasher.hash, err);
  if (status) goto exit;
  dataset = create_vectors(embeddings, sp->name, s->rows, sp->dim);
  if (dataset < 0 || !put_space_attributes(dataset, sp)) {
    status = fail_hdf5(err, HEM_EIO, "make an embedding space", s->path);
    goto exit;
  }
  if (s->rows) s->seal.extents[s->seal.extent_count++] = (hem__extent){.offset = H5Dget_offset(dataset), .size = bytes};
  status = stream_vectors(s, space, dataset, &hasher, err);
  if (!status) status = write_digests(digests, sp->name, &hasher, s->path, err);
exit:
  if (dataset >= 0) H5Dclose(dataset);
  hem__sha256_free(hasher.hash);
  free(hasher.digests);
  return status;
}

static hem_status write_spaces(sealing *s, hid_t file, hem_error *err) {
  hid_t embeddings = make_group(file, "embeddings");
  hid_t digests = make_group(file, "block_sha256");
  hem_status status = embeddings < 0 || digests < 0 ? fail_hdf5(err, HEM_EIO, "make a group", s->path) : HEM_OK;
  for (size_t i = 0; i < s->space_count && !status; i++) status = write_space(s, embeddings, digests, i, err);
  if (digests >= 0) H5Gclose(digests);
  if (embeddings >= 0) H5Gclose(embeddings);
  return status;
}

static hid_t create_file(const char *path) {
  hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_userblock(creation, HEM__SEAL_SIZE);
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  H5Pset_alignment(access, 1, PAGE);        /* vectors start on pages ... */
  H5Pset_meta_block_size(access, 16 * PAGE); /* ... and small metadata shares them */
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  H5Pclose(access);
  H5Pclose(creation);
  return file;
}

static hem_status write_file(sealing *s, const char *path, const hem__photos *rejected, hem_error *err) {
  rows photos = {.parts = s->parts, .count = s->rows};
  rows refused = {.rejected = rejected->rejected, .count = rejected->rejected_count};
  hid_t file = create_file(path);
  if (file < 0) return fail_hdf5(err, HEM_EIO, "make the file", path);
  hem_status status = put_text(file, "hemline_version", HEM_VERSION_STRING)
                          ? HEM_OK
                          : fail_hdf5(err, HEM_EIO, "write an attribute", path);
  /* Vectors first: their extents then lie in order, before what grows. */
  if (!status) status = write_spaces(s, file, err);
  if (!status) status = write_columns(file, "photos", &photos, photo_columns, PHOTO_COLUMNS, path, err);
  if (!status && refused.count)
    status = write_columns(file, "rejected", &refused, rejection_columns, REJECTION_COLUMNS, path, err);
  if (H5Fclose(file) < 0 && !status) status = fail_hdf5(err, HEM_EIO, "finish the file", path);
  return status;
}

static hem_status check_spaces(const hem__space *spaces, size_t count, hem_error *err) {
  if (count == 0 || count > HEM__SPACES_MAX)
    return hem__fail(err, HEM_EINVAL, "a catalogue holds 1 to %d embedding spaces, not %zu", HEM__SPACES_MAX, count);
  for (size_t i = 0; i < count; i++)
    if (!spaces[i].name[0] || strchr(spaces[i].name, '/') || spaces[i].dim == 0)
      return hem__fail(err, HEM_EINVAL, "'%s' with %zu values cannot be an embedding space", spaces[i].name,
                       spaces[i].dim);
  return HEM_OK;
}

hem_status hem__catalog_seal(const char *path, const hem__space *spaces, size_t space_count,
                             const hem__catalog_part *parts, size_t part_count, const hem__photos *rejected,
                             const hem_progress *progress, hem_error *err) {
  sealing s = {.path = path, .spaces = spaces, .space_count = space_count, .parts = parts, .part_count = part_count,
               .progress = progress};
  for (size_t i = 0; i < part_count; i++) s.rows += parts[i].photos->count;
  char *temporary = NULL;
  hem_status status = check_spaces(spaces, space_count, err);
  if (!status) status = hem__print(&temporary, err, "%s.tmp", path);
  if (status) goto exit;
  hdf5_enter();
  status = write_file(&s, temporary, rejected, err);
  hdf5_leave();
  if (!status) status = hem__seal_write(temporary, &s.seal, err);
  if (!status) status = hem__sync(temporary, err);
  if (!status) status = hem__rename(temporary, path, err);
  if (status) unlink(temporary);
exit:
  free(temporary);
  return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------- */

typedef struct stored_space {
  hem__space space;
  hem__matrix vectors;
  hem__digest *digests;
  bool *checked; /* by block */
  size_t blocks;
} stored_space;

struct hem__catalog {
  char *path;
  hem__map map;
  hem__seal seal;
  hem__photos photos;
  stored_space spaces[HEM__SPACES_MAX];
  size_t space_count;
};

static hem_status damaged(const hem__catalog *catalog, const char *what, hem_error *err) {
  return hem__fail(err, HEM_ECORRUPT, "%s contradicts itself: %s", catalog->path, what);
}

/* Rows and columns of a dataset; false unless it has this rank. */
static bool dataset_extent(hid_t dataset, int rank, hsize_t extent[2]) {
  extent[0] = 0;
  extent[1] = 1;
  hid_t space = H5Dget_space(dataset);
  bool fine = space >= 0 && H5Sget_simple_extent_ndims(space) == rank &&
              H5Sget_simple_extent_dims(space, extent, NULL) == rank;
  if (space >= 0) H5Sclose(space);
  return fine;
}

/* An attribute's text, kept with the photos' strings. */
static hem_status get_text(hem__catalog *catalog, hid_t object, const char *name, const char **out, hem_error *err) {
  char *text = NULL;
  hem_status status = HEM_OK;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
  size_t size = type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 ? H5Tget_size(type) : 0;
  if (size == 0 || size > 1 << 20) {
    status = damaged(catalog, "an attribute is missing or is no text", err);
    goto exit;
  }
  if ((status = hem__alloc(size + 1, 1, "an attribute", &text, err))) goto exit;
  if (H5Aread(attribute, type, text) < 0) status = fail_hdf5(err, HEM_ECORRUPT, "read an attribute", catalog->path);
  if (!status) status = hem__arena_copy(&catalog->photos.strings, text, strlen(text), out, err);
exit:
  free(text);
  if (type >= 0) H5Tclose(type);
  if (attribute >= 0) H5Aclose(attribute);
  return status;
}

static hem_status get_blocks(hem__catalog *catalog, hid_t dataset, hem__space *space, hem_error *err) {
  uint64_t dims[HEM__BLOCKS_MAX] = {0};
  const char *names = NULL;
  hem_status status = get_text(catalog, dataset, "blocks", &names, err);
  if (status) return status;
  hid_t attribute = H5Aopen(dataset, "block_dims", H5P_DEFAULT);
  hid_t extent = attribute >= 0 ? H5Aget_space(attribute) : H5I_INVALID_HID;
  hssize_t count = extent >= 0 ? H5Sget_simple_extent_npoints(extent) : -1;
  bool fine = count > 0 && count <= HEM__BLOCKS_MAX && H5Aread(attribute, H5T_NATIVE_UINT64, dims) >= 0;
  if (extent >= 0) H5Sclose(extent);
  if (attribute >= 0) H5Aclose(attribute);
  size_t offset = 0;
  for (hssize_t i = 0; fine && i < count; i++) {
    hem__block *block = &space->blocks[i];
    size_t length = strcspn(names, ",");
    fine = length < sizeof block->name && dims[i] > 0 && dims[i] <= space->dim - offset;
    if (!fine) break;
    memcpy(block->name, names, length);
    block->offset = offset;
    block->dim = dims[i];
    offset += dims[i];
    names += length + (names[length] == ',');
  }
  if (!fine || offset != space->dim) return damaged(catalog, "the blocks of a space do not add up", err);
  space->block_count = (size_t)count;
  return HEM_OK;
}

/* The vectors must lie exactly in one of the places that the seal left out. */
static hem_status place_vectors(hem__catalog *catalog, hid_t dataset, stored_space *s, hsize_t count, hem_error *err) {
  size_t bytes;
  s->vectors = (hem__matrix){.rows = count, .dim = s->space.dim};
  if (count == 0) return HEM_OK;
  if (!hem__mul(count, s->space.dim, &bytes) || !hem__mul(bytes, sizeof(float), &bytes))
    return damaged(catalog, "a space is larger than memory can address", err);
  haddr_t offset = H5Dget_offset(dataset);
  for (size_t i = 0; i < catalog->seal.extent_count; i++) {
    hem__extent e = catalog->seal.extents[i];
    if (e.offset != offset || e.size != bytes || offset % sizeof(float)) continue;
    s->vectors.at = (const float *)(const void *)(catalog->map.at + offset);
    s->blocks = (bytes - 1) / BLOCK_BYTES + 1;
    return HEM_OK;
  }
  return damaged(catalog, "vectors lie outside the places that its seal names", err);
}

static hem_status read_digests(hem__catalog *catalog, hid_t file, stored_space *s, hem_error *err) {
  char *name = NULL;
  hem_status status = hem__print(&name, err, "block_sha256/%s", s->space.name);
  if (!status) status = hem__alloc(s->blocks, sizeof *s->digests, "checksums", &s->digests, err);
  if (!status) status = hem__alloc(s->blocks, sizeof *s->checked, "checksums", &s->checked, err);
  if (status) goto exit;
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  hsize_t extent[2];
  bool fine = dataset >= 0 && dataset_extent(dataset, 2, extent) && extent[0] == s->blocks &&
              extent[1] == sizeof s->digests->at &&
              (s->blocks == 0 || H5Dread(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, s->digests) >= 0);
  if (dataset >= 0) H5Dclose(dataset);
  if (!fine) status = damaged(catalog, "the checksums of a space are missing", err);
exit:
  free(name);
  return status;
}

static hem_status read_space(hem__catalog *catalog, hid_t file, const char *name, hem_error *err) {
  stored_space *s = &catalog->spaces[catalog->space_count++];
  char *full = NULL;
  hid_t dataset = H5I_INVALID_HID;
  hem_status status = hem__arena_copy(&catalog->photos.strings, name, strlen(name), &s->space.name, err);
  if (!status) status = hem__print(&full, err, "embeddings/%s", name);
  if (status) goto exit;
  hsize_t extent[2];
  dataset = H5Dopen2(file, full, H5P_DEFAULT);
  hid_t type = dataset >= 0 ? H5Dget_type(dataset) : H5I_INVALID_HID;
  bool fine = type >= 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0 && dataset_extent(dataset, 2, extent) && extent[1] > 0 &&
              extent[0] == catalog->photos.count;
  if (type >= 0) H5Tclose(type);
  if (!fine) {
    status = damaged(catalog, "a space does not have one float32 vector for each photo", err);
    goto exit;
  }
  s->space.dim = extent[1];
  status = get_text(catalog, dataset, "features", &s->space.features, err);
  if (!status) status = get_text(catalog, dataset, "recipe", &s->space.recipe, err);
  if (!status) status = get_text(catalog, dataset, "hash", &s->space.hash, err);
  if (!status) status = get_blocks(catalog, dataset, &s->space, err);
  if (!status) status = place_vectors(catalog, dataset, s, extent[0], err);
  if (!status) status = read_digests(catalog, file, s, err);
exit:
  if (dataset >= 0) H5Dclose(dataset);
  free(full);
  return status;
}

static hem_status read_spaces(hem__catalog *catalog, hid_t file, hem_error *err) {
  H5G_info_t info;
  hid_t group = H5Gopen2(file, "embeddings", H5P_DEFAULT);
  hem_status status = group < 0 || H5Gget_info(group, &info) < 0 || info.nlinks == 0 || info.nlinks > HEM__SPACES_MAX
                          ? damaged(catalog, "it has no embedding spaces, or too many", err)
                          : HEM_OK;
  for (hsize_t i = 0; !status && i < info.nlinks; i++) {
    char name[256];
    ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    status = length <= 0 || (size_t)length >= sizeof name ? damaged(catalog, "a space has no name", err)
                                                          : read_space(catalog, file, name, err);
  }
  if (group >= 0) H5Gclose(group);
  return status;
}

/* Puts column values back into their rows' structs; the inverse of gather. */
static hem_status scatter(hem__catalog *catalog, const column *c, const uint8_t *values, size_t size, size_t count,
                          uint8_t *first_row, size_t stride, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < count && !status; i++, values += size) {
    uint8_t *field = first_row + i * stride + c->offset;
    if (c->kind == TEXT) {
      const char *text;
      status = hem__arena_copy(&catalog->photos.strings, (const char *)values, strnlen((const char *)values, size),
                               &text, err);
      if (!status) memcpy(field, &text, sizeof text);
    } else if (c->kind == ENUM && *values >= c->name_count) {
      status = damaged(catalog, "a domain or split has an unknown value", err);
    } else {
      memcpy(field, values, size);
    }
  }
  return status;
}

static bool read_rows(hid_t dataset, hid_t type, size_t first, size_t count, hsize_t columns, void *values) {
  hsize_t start[2] = {first, 0}, extent[2] = {count, columns};
  hid_t file_space = H5Dget_space(dataset), memory_space = H5Screate_simple(columns > 1 ? 2 : 1, extent, NULL);
  bool fine = H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0 &&
              H5Dread(dataset, type, memory_space, file_space, H5P_DEFAULT, values) >= 0;
  H5Sclose(memory_space);
  H5Sclose(file_space);
  return fine;
}

static bool has_type(const column *c, hid_t type) {
  if (c->kind == TEXT)
    return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && H5Tget_size(type) > 0 &&
           H5Tget_size(type) <= HEM__TEXT_MAX;
  if (c->kind == ENUM) return H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1;
  return H5Tequal(type, c->kind == U32 ? H5T_STD_U32LE : c->kind == BOX ? H5T_STD_I32LE : H5T_STD_U8LE) > 0;
}

static hem_status read_column(hem__catalog *catalog, hid_t group, const column *c, void *out, size_t stride,
                              size_t count, hem_error *err) {
  hsize_t columns = value_columns(c->kind), extent[2];
  uint8_t *values = NULL;
  hem_status status = HEM_OK;
  hid_t dataset = H5Dopen2(group, c->name, H5P_DEFAULT);
  hid_t type = dataset >= 0 ? H5Dget_type(dataset) : H5I_INVALID_HID;
  if (type < 0 || !dataset_extent(dataset, columns > 1 ? 2 : 1, extent) || extent[0] != count || extent[1] != columns ||
      !has_type(c, type)) {
    status = damaged(catalog, "a column is missing or has another shape", err);
    goto exit;
  }
  size_t size = value_size(c, H5Tget_size(type));
  if ((status = hem__alloc(CHUNK_ROWS, size, "a column", &values, err))) goto exit;
  for (size_t first = 0; first < count && !status; first += CHUNK_ROWS) {
    size_t now = hem__min(CHUNK_ROWS, count - first);
    status = read_rows(dataset, type, first, now, columns, values)
                 ? scatter(catalog, c, values, size, now, (uint8_t *)out + first * stride, stride, err)
                 : fail_hdf5(err, HEM_ECORRUPT, "read a column", catalog->path);
  }
exit:
  free(values);
  if (type >= 0) H5Tclose(type);
  if (dataset >= 0) H5Dclose(dataset);
  return status;
}

/* How many rows the first column of a group has; they must fit in the file. */
static hem_status count_rows(hem__catalog *catalog, hid_t group, const column *first, size_t *out, hem_error *err) {
  hsize_t extent[2];
  hid_t dataset = H5Dopen2(group, first->name, H5P_DEFAULT);
  bool fine = dataset >= 0 && dataset_extent(dataset, 1, extent) && extent[0] < (hsize_t)1 << 40;
  if (dataset >= 0) H5Dclose(dataset);
  if (!fine) return damaged(catalog, "its first column is missing", err);
  *out = extent[0];
  return HEM_OK;
}

static hem_status read_photos(hem__catalog *catalog, hid_t file, hem_error *err) {
  hem__photos *photos = &catalog->photos;
  hid_t group = H5Gopen2(file, "photos", H5P_DEFAULT);
  if (group < 0) return damaged(catalog, "it has no photos", err);
  hem_status status = count_rows(catalog, group, photo_columns, &photos->count, err);
  if (!status) status = hem__alloc(photos->count, sizeof *photos->at, "photos", &photos->at, err);
  photos->capacity = photos->count;
  for (size_t i = 0; i < PHOTO_COLUMNS && !status; i++)
    status = read_column(catalog, group, &photo_columns[i], photos->at, sizeof *photos->at, photos->count, err);
  H5Gclose(group);
  return status;
}

static hem_status read_rejections(hem__catalog *catalog, hid_t file, hem_error *err) {
  hem__photos *photos = &catalog->photos;
  if (H5Lexists(file, "rejected", H5P_DEFAULT) <= 0) return HEM_OK;
  hid_t group = H5Gopen2(file, "rejected", H5P_DEFAULT);
  if (group < 0) return damaged(catalog, "its list of rejected photos cannot be opened", err);
  hem_status status = count_rows(catalog, group, rejection_columns, &photos->rejected_count, err);
  if (!status) status = hem__alloc(photos->rejected_count, sizeof *photos->rejected, "photos", &photos->rejected, err);
  photos->rejected_capacity = photos->rejected_count;
  for (size_t i = 0; i < REJECTION_COLUMNS && !status; i++)
    status = read_column(catalog, group, &rejection_columns[i], photos->rejected, sizeof *photos->rejected,
                         photos->rejected_count, err);
  H5Gclose(group);
  return status;
}

/* The file that HDF5 opened is the file whose seal was checked. */
static bool same_file(hid_t file, const hem__map *map) {
  int *fd = NULL;
  struct stat st;
  return H5Fget_vfd_handle(file, H5P_DEFAULT, (void **)&fd) >= 0 && fd && fstat(*fd, &st) == 0 &&
         (uint64_t)st.st_dev == map->device && (uint64_t)st.st_ino == map->inode;
}

static hem_status read_file(hem__catalog *catalog, hem_error *err) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_file_locking(access, false, true); /* sealed files do not change; read-only file systems cannot lock */
  hid_t file = H5Fopen(catalog->path, H5F_ACC_RDONLY, access);
  H5Pclose(access);
  if (file < 0) return fail_hdf5(err, HEM_ECORRUPT, "open the file", catalog->path);
  hem_status status = same_file(file, &catalog->map)
                          ? read_photos(catalog, file, err)
                          : hem__fail(err, HEM_EBUSY, "%s was replaced while it was opened: try again", catalog->path);
  if (!status) status = read_rejections(catalog, file, err);
  if (!status) status = read_spaces(catalog, file, err);
  H5Fclose(file);
  return status;
}

hem_status hem__catalog_open(const char *path, hem__catalog **out, hem_error *err) {
  hem__catalog *catalog = NULL;
  hem_status status = hem__alloc(1, sizeof *catalog, "a catalogue", &catalog, err);
  if (status) return status;
  if ((status = hem__strdup(path, &catalog->path, err))) goto exit;
  if ((status = hem__map_open(path, &catalog->map, err))) goto exit;
  if ((status = hem__seal_check(&catalog->map, path, &catalog->seal, err))) goto exit;
  hdf5_enter();
  status = read_file(catalog, err);
  hdf5_leave();
  if (status) goto exit;
  *out = catalog;
  catalog = NULL;
exit:
  hem__catalog_close(catalog);
  return status;
}

void hem__catalog_close(hem__catalog *catalog) {
  if (!catalog) return;
  for (size_t i = 0; i < catalog->space_count; i++) {
    free(catalog->spaces[i].digests);
    free(catalog->spaces[i].checked);
  }
  hem__photos_clear(&catalog->photos);
  hem__map_close(&catalog->map);
  free(catalog->path);
  free(catalog);
}

const char *hem__catalog_path(const hem__catalog *catalog) { return catalog->path; }
const hem__photos *hem__catalog_photos(const hem__catalog *catalog) { return &catalog->photos; }
size_t hem__catalog_space_count(const hem__catalog *catalog) { return catalog->space_count; }
const hem__space *hem__catalog_space(const hem__catalog *catalog, size_t space) { return &catalog->spaces[space].space; }

hem_status hem__catalog_find_space(const hem__catalog *catalog, const char *name, size_t *space, hem_error *err) {
  char list[256] = "";
  for (size_t i = 0, at = 0; i < catalog->space_count; i++) {
    const char *here = catalog->spaces[i].space.name;
    if ((name && !strcmp(name, here)) || (!name && catalog->space_count == 1)) {
      *space = i;
      return HEM_OK;
    }
    if (at < sizeof list) at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", here);
  }
  if (!name) return hem__fail(err, HEM_EINVAL, "%s has several embedding spaces, name one of: %s", catalog->path, list);
  return hem__fail(err, HEM_ENOTFOUND, "%s has no embedding space '%s'; it has: %s", catalog->path, name, list);
}

hem__matrix hem__catalog_matrix(const hem__catalog *catalog, size_t space) { return catalog->spaces[space].vectors; }

hem_status hem__catalog_check(hem__catalog *catalog, size_t space, size_t first, size_t count, hem_error *err) {
  stored_space *s = &catalog->spaces[space];
  if (count == 0) return HEM_OK;
  size_t row_bytes = s->vectors.dim * sizeof(float), total = s->vectors.rows * row_bytes;
  const uint8_t *bytes = (const uint8_t *)s->vectors.at;
  for (size_t b = first * row_bytes / BLOCK_BYTES; b <= ((first + count) * row_bytes - 1) / BLOCK_BYTES; b++) {
    if (s->checked[b]) continue;
    size_t at = b * BLOCK_BYTES, size = hem__min(BLOCK_BYTES, total - at);
    hem__digest found = hem__sha256_of(bytes + at, size);
    if (!hem__digest_equal(&found, &s->digests[b]))
      return hem__fail(err, HEM_ECORRUPT, "%s is damaged: the checksum of space %s, rows %zu to %zu, is wrong",
                       catalog->path, s->space.name, at / row_bytes, (at + size - 1) / row_bytes);
    s->checked[b] = true;
  }
  return HEM_OK;
}
