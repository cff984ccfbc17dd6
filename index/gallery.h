/* The photos that a generation answers with: everything a hit shows, so that a store is served without its
 * catalogue. Photos are ordered by category, then by catalogue row: photo i of a category is
 * `first + i`. Items are numbered in the byte order of their ids, so comparing numbers compares ids.
 *
 * File, little-endian, mapped and used in place:
 *   8 bytes "HEMGAL1\0", then u64 photos, items, text bytes
 *   u64 row[photos]     u64 path[photos]   u64 label[photos]   (texts: offsets, zero-terminated)
 *   u64 item[items]     (texts)
 *   u32 item_of[photos], padded to 8 bytes
 *   text bytes, the last one zero */
#ifndef HEM_INDEX_GALLERY_H
#define HEM_INDEX_GALLERY_H

#include "base/file.h"
#include "ingest/photos.h"

/* A mapped gallery. Immutable. */
typedef struct hem__gallery {
  size_t photos, items;
  const uint64_t *row, *path, *label, *item_id; /* the last three: offsets into text */
  const uint32_t *item_of;
  const char *text;
} hem__gallery;

/* `order`: catalogue rows, in the gallery's order. Errors: EIO, ENOMEM, EUNSUPPORTED (over 2^32 photos). */
hem_status hem__gallery_write(hem__aside *file, const hem__photos *photos, const uint64_t *order, size_t count,
                              hem_error *err);
/* Checks every offset; `map` must outlive the gallery. Errors: ECORRUPT. */
hem_status hem__gallery_read(const hem__map *map, const char *name, hem__gallery *out, hem_error *err);

#endif
