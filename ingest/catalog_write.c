/* Catalogue files, written: aside, sealed, synced, renamed. See catalog.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/threads.h"
#include "ingest/catalog_hdf5.h"

enum { DEFLATE_LEVEL = 4 };

/* The HDF5 type of one element, to be closed. */
static hid_t value_type(const hem__column *c, size_t width) {
  hid_t type = H5Tcopy(hem__column_type(c));
  if (c->kind == HEM__TEXT) {
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
  } else if (c->kind == HEM__ENUM) {
    hid_t named = H5Tenum_create(type);
    for (uint8_t i = 0; i < c->name_count; i++) H5Tenum_insert(named, c->names[i], &i);
    H5Tclose(type);
    type = named;
  }
  return type;
}

/* Rows that lie in several places, seen as one run. */
typedef struct rows {
  const hem__catalog_part *parts; /* photos, or ... */
  const hem__rejection *rejected; /* ... rejections */
  size_t count;
} rows;

/* Where a walk through the rows stands; zeroed: at the first. */
typedef struct cursor {
  size_t part, first; /* row of the part's first photo */
} cursor;

/* Row i's struct. Rows are asked for in order. */
static const uint8_t *row_at(const rows *all, size_t i, cursor *c) {
  if (all->rejected) return (const uint8_t *)(all->rejected + i);
  while (i - c->first >= all->parts[c->part].count) c->first += all->parts[c->part++].count;
  return (const uint8_t *)&all->parts[c->part].photos[i - c->first];
}

static const char *text_of(const uint8_t *row, const hem__column *c) {
  const char *text;
  memcpy(&text, row + c->offset, sizeof text);
  return text;
}

/* Copies column values of rows [first, first + count) next to each other. */
static void gather(const rows *all, const hem__column *c, size_t width, size_t first, size_t count, uint8_t *out) {
  size_t size = hem__column_size(c, width);
  cursor at = {0};
  for (size_t i = first; i < first + count; i++, out += size) {
    const uint8_t *row = row_at(all, i, &at);
    if (c->kind == HEM__TEXT) {
      memset(out, 0, size);
      memcpy(out, text_of(row, c), strlen(text_of(row, c)));
    } else {
      memcpy(out, row + c->offset, size);
    }
  }
}

static size_t widest(const rows *all, const hem__column *c) {
  size_t width = 1;
  cursor at = {0};
  for (size_t i = 0; i < all->count && c->kind == HEM__TEXT; i++)
    width = hem__max(width, strlen(text_of(row_at(all, i, &at), c)));
  return width;
}

static hid_t column_properties(size_t rows_in_chunk, hsize_t columns) {
  hid_t plist = hem__hdf5_untimed(H5P_DATASET_CREATE);
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

static hem_status write_column(hid_t group, const rows *all, const hem__column *c, const char *path, hem_error *err) {
  size_t width = widest(all, c), chunk = hem__min(all->count, HEM__CHUNK_ROWS);
  hsize_t columns = hem__column_elements(c), extent[2] = {all->count, columns};
  uint8_t *values = NULL;
  hem_status status = hem__alloc(chunk, hem__column_size(c, width), "a column", &values, err);
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
  if (!fine) status = hem__hdf5_fail(err, HEM_EIO, "write a column", path);
  if (dataset >= 0) H5Dclose(dataset);
  H5Pclose(plist);
  H5Sclose(space);
  H5Tclose(type);
  free(values);
  return status;
}

static hem_status write_columns(hid_t file, const char *group_name, const rows *all, const hem__column *columns,
                                size_t count, const char *path, hem_error *err) {
  hid_t group = hem__hdf5_group(file, group_name);
  hem_status status = group < 0 ? hem__hdf5_fail(err, HEM_EIO, "make a group", path) : HEM_OK;
  for (size_t i = 0; i < count && !status; i++) status = write_column(group, all, &columns[i], path, err);
  if (group >= 0) H5Gclose(group);
  return status;
}

/* Of a segment only: a catalogue of the same photos is the same bytes, however it grew. */
static bool put_base(hid_t file, const hem__digest *base) {
  if (!base) return true;
  char hex[65];
  hem__digest_hex(base, hex);
  return hem__hdf5_put_text(file, "base", hex);
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
  return hem__hdf5_put_text(dataset, "features", space->features) &&
         hem__hdf5_put_text(dataset, "recipe", space->recipe) && hem__hdf5_put_text(dataset, "hash", space->hash) &&
         hem__hdf5_put_text(dataset, "blocks", names) && put_block_dims(dataset, space);
}

/* Checksums of one space's vectors: SHA-256 of every HEM__BLOCK_BYTES of all parts' bytes, end to end. */
typedef struct block_digests {
  hem__digest *at;
  size_t count;
} block_digests;

typedef struct sealing {
  const char *path; /* for messages */
  const hem__catalog_content *content;
  size_t rows;
  hem__seal seal;
  block_digests digests[HEM__SPACES_MAX];
  uint64_t offsets[HEM__SPACES_MAX]; /* of the spaces' vectors in the file */
} sealing;

/* ---- vectors: HDF5 gives them a place, and all cores fill it ----
 * Copying into the page cache and hashing are what sealing costs, and HDF5 would do the first on one core, under
 * its lock. A contiguous dataset is plain bytes at a known place, so the bytes are written there directly. */

enum { PORTION = 32 }; /* blocks between two reports of progress */

typedef struct filling {
  const sealing *s;
  size_t space, first; /* first block of this portion */
  int fd;
  uint64_t offset;      /* of the dataset in the file */
  hem__sha256 **hashes; /* by worker */
  int errors[PORTION];  /* by block of the portion: errno, or 0 */
} filling;

static int write_fully(int fd, const uint8_t *bytes, size_t count, uint64_t offset) {
  while (count) {
    ssize_t written = pwrite(fd, bytes, count, (off_t)offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    bytes += written;
    count -= (size_t)written;
    offset += (uint64_t)written;
  }
  return 0;
}

/* One block: the piece of each part that lies in it is hashed and written. */
static void fill_block(void *context, size_t i, size_t worker) {
  filling *f = context;
  const hem__catalog_content *content = f->s->content;
  size_t block = f->first + i, from = block * HEM__BLOCK_BYTES, to = from + HEM__BLOCK_BYTES, start = 0;
  for (size_t p = 0; p < content->part_count && !f->errors[i]; p++) {
    hem__matrix m = content->parts[p].vectors[f->space];
    size_t end = start + m.rows * m.dim * sizeof(float), a = hem__max(from, start), b = hem__min(to, end);
    const uint8_t *bytes = (const uint8_t *)m.at + (a - start);
    start = end;
    if (a >= b) continue;
    hem__sha256_add(f->hashes[worker], bytes, b - a);
    f->errors[i] = write_fully(f->fd, bytes, b - a, f->offset + a);
  }
  hem__sha256_end(f->hashes[worker], &f->s->digests[f->space].at[block]);
  /* Starts the disk on it, so that the sync at the end finds little to do. */
  sync_file_range(f->fd, (off_t)(f->offset + from), HEM__BLOCK_BYTES, SYNC_FILE_RANGE_WRITE);
}

static hem_status fill_portions(filling *f, size_t threads, hem_error *err) {
  const sealing *s = f->s;
  size_t blocks = s->digests[f->space].count;
  hem_status status = HEM_OK;
  for (f->first = 0; f->first < blocks && !status; f->first += PORTION) {
    size_t count = hem__min(PORTION, blocks - f->first);
    memset(f->errors, 0, sizeof f->errors);
    status = hem__parallel_for(count, threads, fill_block, f, err);
    for (size_t i = 0; i < count && !status; i++) {
      errno = f->errors[i];
      if (f->errors[i]) status = hem__fail_errno(err, "cannot write vectors to %s", s->path);
    }
    if (!status)
      status = hem__progress_report(&s->content->progress, "seal", s->rows * (f->first + count) / blocks, s->rows,
                                    "photos", err);
  }
  return status;
}

/* Fills one space's place in the file at `path`. */
static hem_status fill_space(const sealing *s, const char *path, size_t space, hem_error *err) {
  size_t threads = s->content->threads ? s->content->threads : hem__cores();
  filling f = {.s = s, .space = space, .fd = -1, .offset = s->offsets[space]};
  hem_status status = hem__alloc(threads, sizeof *f.hashes, "checksums", &f.hashes, err);
  for (size_t i = 0; i < threads && !status; i++) status = hem__sha256_new(&f.hashes[i], err);
  if (!status && (f.fd = open(path, O_WRONLY | O_CLOEXEC)) < 0) status = hem__fail_errno(err, "cannot open %s", path);
  if (!status) status = fill_portions(&f, threads, err);
  if (f.fd >= 0) close(f.fd);
  for (size_t i = 0; f.hashes && i < threads; i++) hem__sha256_free(f.hashes[i]);
  free(f.hashes);
  return status;
}

static hem_status fill_spaces(const sealing *s, const char *path, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->content->space_count && s->rows && !status; i++) status = fill_space(s, path, i, err);
  return status;
}

static hem_status alloc_digests(sealing *s, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < s->content->space_count && !status; i++) {
    size_t dim = s->content->spaces[i].dim, bytes;
    block_digests *digests = &s->digests[i];
    if (!hem__mul(dim, sizeof(float), &bytes) || !hem__mul(bytes, s->rows, &bytes))
      return hem__fail(err, HEM_ENOMEM, "%s: %zu vectors of %zu values are too many", s->path, s->rows, dim);
    digests->count = bytes ? (bytes - 1) / HEM__BLOCK_BYTES + 1 : 0;
    status = hem__alloc(digests->count, sizeof *digests->at, "checksums", &digests->at, err);
  }
  return status;
}

static hem_status write_digests(hid_t group, const char *name, const block_digests *digests, const char *path,
                                hem_error *err) {
  hsize_t extent[2] = {digests->count, sizeof digests->at->at};
  hid_t space = H5Screate_simple(2, extent, NULL), plist = hem__hdf5_untimed(H5P_DATASET_CREATE);
  hid_t dataset = H5Dcreate2(group, name, H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  bool fine = dataset >= 0 && H5Dwrite(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, digests->at) >= 0;
  hem_status status = fine ? HEM_OK : hem__hdf5_fail(err, HEM_EIO, "write checksums", path);
  if (dataset >= 0) H5Dclose(dataset);
  H5Pclose(plist);
  H5Sclose(space);
  return status;
}

/* A contiguous dataset that owns its place in the file at once, so that the place can be sealed around. */
static hid_t create_vectors(hid_t group, const char *name, size_t count, size_t dim) {
  hsize_t extent[2] = {count, dim};
  hid_t space = H5Screate_simple(2, extent, NULL), plist = hem__hdf5_untimed(H5P_DATASET_CREATE);
  H5Pset_layout(plist, H5D_CONTIGUOUS);
  H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER);
  hid_t dataset = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  H5Pclose(plist);
  H5Sclose(space);
  return dataset;
}

static hem_status create_space(sealing *s, hid_t embeddings, size_t space, hem_error *err) {
  const hem__space *sp = &s->content->spaces[space];
  hid_t dataset = create_vectors(embeddings, sp->name, s->rows, sp->dim);
  if (dataset < 0 || !put_space_attributes(dataset, sp)) {
    hem__hdf5_fail(err, HEM_EIO, "make an embedding space", s->path);
    if (dataset >= 0) H5Dclose(dataset);
    return HEM_EIO;
  }
  if (s->rows) {
    s->offsets[space] = H5Dget_offset(dataset);
    s->seal.extents[s->seal.extent_count++] =
        (hem__extent){.offset = s->offsets[space], .size = s->rows * sp->dim * sizeof(float)};
  }
  H5Dclose(dataset);
  return HEM_OK;
}

static hem_status create_spaces(sealing *s, hid_t file, hem_error *err) {
  hid_t embeddings = hem__hdf5_group(file, "embeddings");
  hem_status status = embeddings < 0 ? hem__hdf5_fail(err, HEM_EIO, "make a group", s->path) : HEM_OK;
  for (size_t i = 0; i < s->content->space_count && !status; i++) status = create_space(s, embeddings, i, err);
  if (embeddings >= 0) H5Gclose(embeddings);
  return status;
}

static hem_status write_all_digests(const sealing *s, hid_t file, hem_error *err) {
  hid_t group = hem__hdf5_group(file, "block_sha256");
  hem_status status = group < 0 ? hem__hdf5_fail(err, HEM_EIO, "make a group", s->path) : HEM_OK;
  for (size_t i = 0; i < s->content->space_count && !status; i++)
    status = write_digests(group, s->content->spaces[i].name, &s->digests[i], s->path, err);
  if (group >= 0) H5Gclose(group);
  return status;
}

static hem_status write_tables(const sealing *s, hid_t file, hem_error *err) {
  const hem__photos *rejected = s->content->rejected;
  rows photos = {.parts = s->content->parts, .count = s->rows};
  rows refused = {.rejected = rejected->rejected, .count = rejected->rejected_count};
  hem_status status = write_all_digests(s, file, err);
  if (!status)
    status = write_columns(file, "photos", &photos, hem__photo_columns, hem__photo_column_count, s->path, err);
  if (!status && refused.count)
    status =
        write_columns(file, "rejected", &refused, hem__rejection_columns, hem__rejection_column_count, s->path, err);
  return status;
}

/* Vectors first: their extents then lie in order, before what grows. */
static hem_status write_file(sealing *s, const char *path, hem_error *err) {
  hem__hdf5_enter();
  hid_t file = hem__hdf5_create(path, true);
  hem_status status =
      file >= 0 && hem__hdf5_put_text(file, "hemline_version", HEM_VERSION_STRING) && put_base(file, s->content->base)
          ? create_spaces(s, file, err)
          : hem__hdf5_fail(err, HEM_EIO, "make the file", path);
  hem__hdf5_leave();
  if (!status) status = fill_spaces(s, path, err);
  hem__hdf5_enter();
  if (!status) status = write_tables(s, file, err);
  if (file >= 0 && H5Fclose(file) < 0 && !status) status = hem__hdf5_fail(err, HEM_EIO, "finish the file", path);
  hem__hdf5_leave();
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

hem_status hem__catalog_seal(const char *path, const hem__catalog_content *content, hem_error *err) {
  sealing s = {.path = path, .content = content};
  char *temporary = NULL;
  hem_status status = check_spaces(content->spaces, content->space_count, err);
  for (size_t i = 0; i < content->part_count; i++) s.rows += content->parts[i].count;
  if (!status) status = hem__print(&temporary, err, "%s.tmp", path);
  if (!status) status = alloc_digests(&s, err);
  if (status) goto exit;
  status = write_file(&s, temporary, err);
  if (!status) status = hem__seal_write(temporary, &s.seal, err);
  if (!status) status = hem__sync(temporary, err);
  if (!status) status = hem__rename(temporary, path, err);
  if (status) unlink(temporary);
exit:
  for (size_t i = 0; i < HEM__SPACES_MAX; i++) free(s.digests[i].at);
  free(temporary);
  return status;
}
