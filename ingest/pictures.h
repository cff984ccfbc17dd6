/* The picture behind a row of a catalogue, read again from where it came: a photo file, or a folder of idx files. */
#ifndef HEM_INGEST_PICTURES_H
#define HEM_INGEST_PICTURES_H

#include "ingest/catalog.h"

typedef struct hem__pictures hem__pictures;

/* `idx`: the folder of idx files that photos named "<file>#<number>" lie in; NULL: there is none, and these have no
 * picture. The catalogue is borrowed until hem__pictures_close. Errors: those of hem__source_idx, ENOMEM. */
hem_status hem__pictures_open(const hem__catalog *catalog, const char *idx, hem__pictures **out, hem_error *err);
void hem__pictures_close(hem__pictures *pictures);

/* False where the row's photo lies inside another file that was not named, or was never a photo. */
bool hem__pictures_has(const hem__pictures *pictures, size_t row);

/* Decodes the photo of a row, cropped to its box. Any thread. Errors: ENOTFOUND (the file is gone, or there is no
 * picture), EMISMATCH (its bytes are no longer those that were ingested), those of hem__photo_file_read. */
hem_status hem__pictures_read(const hem__pictures *pictures, size_t row, hem__image *out, hem_error *err);

/* The photo of a row as it is to be sent: the bytes of its file, whole, or of a photo inside another file, a PNG.
 * *bytes is freed with free(); *type is its media type, in static storage. Any thread. Errors: those of
 * hem__pictures_read; EUNSUPPORTED (none of JPEG, PNG, WebP and AVIF). */
hem_status hem__pictures_bytes(const hem__pictures *pictures, size_t row, uint8_t **bytes, size_t *size,
                               const char **type, hem_error *err);

#endif
