/* Where photos come from. A source lists photos one after another, and reads any listed one from any thread.
 * A new source is one file with these functions. */
#ifndef HEM_INGEST_SOURCE_H
#define HEM_INGEST_SOURCE_H

#include "ingest/photos.h"

typedef struct hem__source hem__source;

/* One photo of a listing. Strings live until `forget`; width, height and hash come with reading. */
typedef struct hem__listed {
  hem__photo photo;
  size_t number;      /* the source's own */
  size_t line;        /* of the listing; 0: there is none */
  const char *reason; /* not NULL: the listing itself rejects this photo, photo.path says which */
} hem__listed;

struct hem__source {
  /* The next photo; *more is false behind the last one. One thread. */
  hem_status (*next)(hem__source *source, hem__listed *out, bool *more, hem_error *err);
  /* The strings of the photos listed so far are needed no more: a listing of any length takes the same memory. */
  void (*forget)(hem__source *source);
  /* Size and time of last change of the file that holds the photo, into photo->bytes and photo->mtime_ns, without
   * reading it. Any thread. */
  hem_status (*look)(const hem__source *source, const hem__listed *listed, hem__photo *photo, hem_error *err);
  /* Decodes a photo (cropped to its box) and fills in width, height and hash. Where the hash turns out to be *unless
   * (NULL: none), nothing is decoded and `out` stays empty. Any thread. NULL where the source has vectors. */
  hem_status (*read)(const hem__source *source, const hem__listed *listed, const hem__digest *unless, hem__photo *photo,
                     hem__image *out, hem_error *err);
  /* A source of ready-made vectors: copies `dim` floats and fills in the hash. Any thread. NULL where it has photos. */
  hem_status (*read_vector)(const hem__source *source, const hem__listed *listed, hem__photo *photo, float *out,
                            hem_error *err);
  void (*close)(hem__source *source);
  size_t dim;          /* of ready-made vectors; 0: the source has photos */
  uint64_t count;      /* photos it will list, about; 0: not known beforehand */
  const char *listing; /* photos it rejects itself are named "<listing>:<line>"; NULL: it rejects none */
};

/* A folder of Fashion-MNIST's files: train-images-idx3-ubyte[.gz] and its labels are the shop, t10k-* the
 * customers. Categories are mapped from the ten classes; the class itself becomes the label. Names of photos and items
 * start with the folder's own name, so that two such folders fit into one catalogue.
 * Errors: ENOTFOUND (neither pair is there), ECORRUPT (names the file), ENOMEM. */
hem_status hem__source_idx(const char *folder, hem__source **out, hem_error *err);

/* A TSV (or, by its name's ending, CSV) listing with a header line. Columns in any order: path (required),
 * item_id, category, domain, split, label, box as "x,y,width,height": in pixels, or, with a decimal point and nothing
 * above 1, in parts of the photo. Relative paths start at the listing's folder and are kept from the root on.
 * Errors: ENOTFOUND, EIO, ECORRUPT (no header, no path column), ENOMEM. */
hem_status hem__source_manifest(const char *path, hem__source **out, hem_error *err);
/* A listing whose row i, counted from 0, describes vector i of the file `vectors`: it may do without paths, which then
 * are "<vectors>#<i>". listed->number is i, and `count` is exact. `vectors` NULL: as hem__source_manifest. */
hem_status hem__source_manifest_of(const char *path, const char *vectors, hem__source **out, hem_error *err);

/* What photos are where their source does not say it. */
typedef struct hem__usual {
  uint8_t domain, split;
} hem__usual;
/* From their names; NULL: shop, no split. Errors: EINVAL. */
hem_status hem__usual_parse(const char *domain, const char *split, hem__usual *out, hem_error *err);

/* A folder for each category (folder.c says which layouts). Paths are kept from the root on.
 * Errors: ENOTFOUND, EIO (cannot be listed), EINVAL, ENOMEM. */
hem_status hem__source_folder(const char *path, hem__usual usual, hem__source **out, hem_error *err);

/* DeepFashion's Consumer-to-Shop benchmark in its published layout (deepfashion.c). `whole`: do not crop to the boxes.
 * Errors: ENOTFOUND (names the file), ECORRUPT (a header or count is wrong), EIO, ENOMEM. */
hem_status hem__source_deepfashion(const char *root, bool whole, hem__source **out, hem_error *err);

/* Ready-made vectors: .npy, .fvecs, .bvecs or HDF5 (vectors.h). `manifest` NULL: every vector is an item of its own, in
 * the category "all".
 * Errors: ENOTFOUND, EIO, ECORRUPT (damaged), EUNSUPPORTED (values of another type), EMISMATCH (the manifest has
 * another number of rows), EINVAL, ENOMEM. */
hem_status hem__source_vectors(const char *path, const char *manifest, hem__usual usual, hem__source **out,
                               hem_error *err);

/* ---- what sources of photo files share (photo_file.c) ---- */

/* A larger file is no photo: it is refused, where reading it would fail for want of memory and stop the run. */
enum { HEM__PHOTO_BYTES_MAX = 1 << 30 };
/* The whole file, freed with free(). Errors: ENOTFOUND, ECORRUPT (not a regular file), EINVAL (larger), EIO, ENOMEM. */
hem_status hem__photo_bytes(const char *path, uint8_t **bytes, size_t *size, hem_error *err);

/* `look` and `read` of a photo in a file of its own, listed->photo.path, and its box. */
hem_status hem__photo_file_look(const hem__source *source, const hem__listed *listed, hem__photo *photo,
                                hem_error *err);
hem_status hem__photo_file_read(const hem__source *source, const hem__listed *listed, const hem__digest *unless,
                                hem__photo *photo, hem__image *out, hem_error *err);
/* `look` at a file that holds many. */
hem_status hem__look_at(const char *path, hem__photo *photo, hem_error *err);

#endif
