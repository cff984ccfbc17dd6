/* Catalogue files, read: the seal first, then the columns, then each block of vectors when it is wanted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/threads.h"
#include "ingest/catalog_hdf5.h"

typedef enum block_state { UNCHECKED, INTACT, DAMAGED } block_state;

typedef struct stored_space {
  hem__space space;
  hem__matrix vectors;
  hem__digest *digests;
  block_state *state; /* by block */
  size_t blocks;
} stored_space;

struct hem__catalog {
  char *path;
  hem__map map;
  hem__seal seal;
  hem__photos photos;
  stored_space spaces[HEM__SPACES_MAX];
  size_t space_count;
  hem__digest base;
};

static hem_status damaged(const hem__catalog *catalog, const char *what, hem_error *err) {
  return hem__fail(err, HEM_ECORRUPT, "%s contradicts itself: %s", catalog->path, what);
}

/* An attribute's text, kept with the photos' strings. */
static hem_status get_text(hem__catalog *catalog, hid_t object, const char *name, const char **out, hem_error *err) {
  char *text = NULL;
  hem_status status = hem__hdf5_get_text(object, name, catalog->path, &text, err);
  if (!status) status = hem__arena_copy(&catalog->photos.strings, text, strlen(text), out, err);
  free(text);
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
    s->blocks = (bytes - 1) / HEM__BLOCK_BYTES + 1;
    return HEM_OK;
  }
  return damaged(catalog, "vectors lie outside the places that its seal names", err);
}

static hem_status read_digests(hem__catalog *catalog, hid_t file, stored_space *s, hem_error *err) {
  char *name = NULL;
  hem_status status = hem__print(&name, err, "block_sha256/%s", s->space.name);
  if (!status) status = hem__alloc(s->blocks, sizeof *s->digests, "checksums", &s->digests, err);
  if (!status) status = hem__alloc(s->blocks, sizeof *s->state, "checksums", &s->state, err);
  if (status) goto exit;
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  hsize_t extent[2];
  bool fine = dataset >= 0 && hem__hdf5_extent(dataset, 2, extent) && extent[0] == s->blocks &&
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
  bool fine = type >= 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0 && hem__hdf5_extent(dataset, 2, extent) &&
              extent[1] > 0 && extent[0] == catalog->photos.count;
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
static hem_status scatter(hem__catalog *catalog, const hem__column *c, const uint8_t *values, size_t size, size_t count,
                          uint8_t *first_row, size_t stride, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < count && !status; i++, values += size) {
    uint8_t *field = first_row + i * stride + c->offset;
    if (c->kind == HEM__TEXT) {
      const char *text;
      status = hem__arena_copy(&catalog->photos.strings, (const char *)values, strnlen((const char *)values, size),
                               &text, err);
      if (!status) memcpy(field, &text, sizeof text);
    } else if (c->kind == HEM__ENUM && *values >= c->name_count) {
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

static bool has_type(const hem__column *c, hid_t type) {
  if (c->kind == HEM__TEXT)
    return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && H5Tget_size(type) > 0 &&
           H5Tget_size(type) <= HEM__TEXT_MAX;
  if (c->kind == HEM__ENUM) return H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1;
  return H5Tequal(type, hem__column_type(c)) > 0;
}

static hem_status read_column(hem__catalog *catalog, hid_t group, const hem__column *c, void *out, size_t stride,
                              size_t count, hem_error *err) {
  hsize_t columns = hem__column_elements(c), extent[2];
  uint8_t *values = NULL;
  hem_status status = HEM_OK;
  hid_t dataset = H5Dopen2(group, c->name, H5P_DEFAULT);
  hid_t type = dataset >= 0 ? H5Dget_type(dataset) : H5I_INVALID_HID;
  if (type < 0 || !hem__hdf5_extent(dataset, columns > 1 ? 2 : 1, extent) || extent[0] != count ||
      extent[1] != columns || !has_type(c, type)) {
    status = damaged(catalog, "a column is missing or has another shape", err);
    goto exit;
  }
  size_t size = hem__column_size(c, H5Tget_size(type));
  if ((status = hem__alloc(HEM__CHUNK_ROWS, size, "a column", &values, err))) goto exit;
  for (size_t first = 0; first < count && !status; first += HEM__CHUNK_ROWS) {
    size_t now = hem__min(HEM__CHUNK_ROWS, count - first);
    status = read_rows(dataset, type, first, now, columns, values)
                 ? scatter(catalog, c, values, size, now, (uint8_t *)out + first * stride, stride, err)
                 : hem__hdf5_fail(err, HEM_ECORRUPT, "read a column", catalog->path);
  }
exit:
  free(values);
  if (type >= 0) H5Tclose(type);
  if (dataset >= 0) H5Dclose(dataset);
  return status;
}

/* How many rows the first column of a group has; they must fit in the file. */
static hem_status count_rows(hem__catalog *catalog, hid_t group, const hem__column *first, size_t *out,
                             hem_error *err) {
  hsize_t extent[2];
  hid_t dataset = H5Dopen2(group, first->name, H5P_DEFAULT);
  bool fine = dataset >= 0 && hem__hdf5_extent(dataset, 1, extent) && extent[0] < (hsize_t)1 << 40;
  if (dataset >= 0) H5Dclose(dataset);
  if (!fine) return damaged(catalog, "its first column is missing", err);
  *out = extent[0];
  return HEM_OK;
}

static hem_status read_photos(hem__catalog *catalog, hid_t file, hem_error *err) {
  hem__photos *photos = &catalog->photos;
  hid_t group = H5Gopen2(file, "photos", H5P_DEFAULT);
  if (group < 0) return damaged(catalog, "it has no photos", err);
  hem_status status = count_rows(catalog, group, hem__photo_columns, &photos->count, err);
  if (!status) status = hem__alloc(photos->count, sizeof *photos->at, "photos", &photos->at, err);
  photos->capacity = photos->count;
  for (size_t i = 0; i < hem__photo_column_count && !status; i++)
    if (hem__photo_columns[i].since <= catalog->seal.format)
      status = read_column(catalog, group, &hem__photo_columns[i], photos->at, sizeof *photos->at, photos->count, err);
  H5Gclose(group);
  return status;
}

static hem_status read_rejections(hem__catalog *catalog, hid_t file, hem_error *err) {
  hem__photos *photos = &catalog->photos;
  if (H5Lexists(file, "rejected", H5P_DEFAULT) <= 0) return HEM_OK;
  hid_t group = H5Gopen2(file, "rejected", H5P_DEFAULT);
  if (group < 0) return damaged(catalog, "its list of rejected photos cannot be opened", err);
  hem_status status = count_rows(catalog, group, hem__rejection_columns, &photos->rejected_count, err);
  if (!status) status = hem__alloc(photos->rejected_count, sizeof *photos->rejected, "photos", &photos->rejected, err);
  photos->rejected_capacity = photos->rejected_count;
  for (size_t i = 0; i < hem__rejection_column_count && !status; i++)
    status = read_column(catalog, group, &hem__rejection_columns[i], photos->rejected, sizeof *photos->rejected,
                         photos->rejected_count, err);
  H5Gclose(group);
  return status;
}

static hem_status read_base(hem__catalog *catalog, hid_t file, hem_error *err) {
  const char *hex;
  if (H5Aexists(file, "base") <= 0) return HEM_OK;
  hem_status status = get_text(catalog, file, "base", &hex, err);
  if (!status && !hem__digest_parse(hex, &catalog->base)) status = damaged(catalog, "its base is no checksum", err);
  return status;
}

static hem_status read_file(hem__catalog *catalog, hem_error *err) {
  hid_t file = H5I_INVALID_HID;
  hem_status status = hem__hdf5_open(catalog->path, &catalog->map, &file, err);
  if (status) return status;
  status = read_photos(catalog, file, err);
  if (!status) status = read_rejections(catalog, file, err);
  if (!status) status = read_base(catalog, file, err);
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
  if ((status = hem__seal_check(&catalog->map, path, HEM__SEALED_CATALOG, &catalog->seal, err))) goto exit;
  hem__hdf5_enter();
  status = read_file(catalog, err);
  hem__hdf5_leave();
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
    free(catalog->spaces[i].state);
  }
  hem__photos_clear(&catalog->photos);
  hem__map_close(&catalog->map);
  free(catalog->path);
  free(catalog);
}

const char *hem__catalog_path(const hem__catalog *catalog) { return catalog->path; }
const hem__photos *hem__catalog_photos(const hem__catalog *catalog) { return &catalog->photos; }
hem__digest hem__catalog_identity(const hem__catalog *catalog) { return catalog->seal.identity; }
hem__digest hem__catalog_base(const hem__catalog *catalog) { return catalog->base; }
size_t hem__catalog_space_count(const hem__catalog *catalog) { return catalog->space_count; }
const hem__space *hem__catalog_space(const hem__catalog *catalog, size_t space) {
  return &catalog->spaces[space].space;
}

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

/* Blocks of one space, hashed by all cores. */
typedef struct checking {
  stored_space *space;
  size_t first; /* block */
} checking;

static size_t space_bytes(const stored_space *s) { return s->vectors.rows * s->vectors.dim * sizeof(float); }

static void check_block(void *context, size_t i, size_t worker) {
  const checking *c = context;
  stored_space *s = c->space;
  size_t block = c->first + i, at = block * HEM__BLOCK_BYTES;
  (void)worker;
  if (s->state[block] != UNCHECKED) return;
  hem__digest found =
      hem__sha256_of((const uint8_t *)s->vectors.at + at, hem__min(HEM__BLOCK_BYTES, space_bytes(s) - at));
  s->state[block] = hem__digest_equal(&found, &s->digests[block]) ? INTACT : DAMAGED;
}

hem_status hem__catalog_check(hem__catalog *catalog, size_t space, size_t first, size_t count, hem_error *err) {
  stored_space *s = &catalog->spaces[space];
  size_t row_bytes = s->vectors.dim * sizeof(float);
  if (count == 0) return HEM_OK;
  size_t from = first * row_bytes / HEM__BLOCK_BYTES, to = ((first + count) * row_bytes - 1) / HEM__BLOCK_BYTES;
  checking c = {.space = s, .first = from};
  hem_status status = hem__parallel_for(to - from + 1, 0, check_block, &c, err);
  for (size_t b = from; b <= to && !status; b++)
    if (s->state[b] != INTACT)
      status = hem__fail(err, HEM_ECORRUPT, "%s is damaged: the checksum of space %s, rows %zu to %zu, is wrong",
                         catalog->path, s->space.name, b * HEM__BLOCK_BYTES / row_bytes,
                         (hem__min((b + 1) * HEM__BLOCK_BYTES, space_bytes(s)) - 1) / row_bytes);
  return status;
}
