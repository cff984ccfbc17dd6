/* The seal of an HDF5 file of ours: its first 4,096 bytes (HDF5's "user block", which HDF5 leaves to the
 * application). It says how long the file is and carries a SHA-256 of everything that HDF5 parses, so that
 * a truncated, damaged or foreign file is refused before HDF5 sees a byte of it. The vectors, which HDF5 does
 * not parse, are left out here and have checksums of their own (see catalog.h): opening a catalogue of
 * a terabyte reads its columns only. A metric leaves nothing out.
 *
 * Layout (little-endian):
 *      0  80 bytes  text: "Hemline catalogue ..." or "Hemline metric ...", zero-padded
 *     80  u32       format of its kind   84  u32  number of extents, at most 64
 *     88  u64       size of the file     96  32 bytes  SHA-256 of [4096, size) without the extents
 *    128  extents   {u64 offset, u64 bytes} each, in order, not overlapping
 *   4064  32 bytes  SHA-256 of [0, 4064)
 *
 * Knows nothing of HDF5. */
#ifndef HEM_INGEST_SEAL_H
#define HEM_INGEST_SEAL_H

#include "base/file.h"

enum { HEM__SEAL_SIZE = 4096, HEM__SEAL_EXTENTS = 64 };

/* Bytes of the file that the seal's checksum leaves out. */
typedef struct hem__extent {
  uint64_t offset, size;
} hem__extent;

/* What a file is; each kind has formats of its own. */
typedef enum hem__sealed { HEM__SEALED_CATALOG = 0, HEM__SEALED_METRIC = 1 } hem__sealed;

typedef struct hem__seal {
  hem__sealed kind;
  hem__extent extents[HEM__SEAL_EXTENTS];
  size_t extent_count;
  hem__digest identity; /* its last 32 bytes */
  uint32_t
      format; /* of a catalogue 2; 1: of Hemline 0.1, without source_bytes, source_mtime_ns and box_unit. Of a metric
                 1 */
} hem__seal;

/* Checks the whole seal of a mapped file, which is to be of this kind. `path` is for messages.
 * Errors: EVERSION (of another kind, which is named, or of none, or newer), ECORRUPT (size or checksum), ENOMEM. */
hem_status hem__seal_check(const hem__map *file, const char *path, hem__sealed kind, hem__seal *out, hem_error *err);

/* Computes the seal of the file at `path`, whose first 4,096 bytes are free, and writes it, with the newest format of
 * its kind. Does not sync. */
hem_status hem__seal_write(const char *path, const hem__seal *seal, hem_error *err);

#endif
