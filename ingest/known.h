/* Which photos a catalogue holds, so that a run skips them and notices those that changed. A photo is known by its path
 * and its box: two garments of one picture are two photos. What is kept of it are checksums: about 120 bytes a photo,
 * however long its names are. */
#ifndef HEM_INGEST_KNOWN_H
#define HEM_INGEST_KNOWN_H

#include "ingest/photos.h"

enum { HEM__KEY_MAX = HEM__TEXT_MAX + 64 };

/* "path", or "path [x,y,width,height]": a photo's name among all photos, and in the list of rejections. */
void hem__photo_key(const hem__photo *photo, char key[HEM__KEY_MAX]);

typedef struct hem__known_photo {
  uint8_t key[16];    /* of SHA-256 of its key */
  uint8_t facts[16];  /* of SHA-256 of item, category, label, domain, split */
  hem__digest source; /* bytes, size and time of change of its file, when it was embedded */
  uint64_t bytes;
  int64_t mtime_ns;
  uint32_t part, row; /* the newest row that shows it, among files that are open side by side; part UINT32_MAX: none */
  bool listed;        /* by this run */
} hem__known_photo;

/* Zeroed is empty. One thread. */
typedef struct hem__known {
  hem__known_photo *at;
  size_t count, capacity;
  uint32_t *slots; /* numbers of `at`, plus one, by hash */
  size_t slot_count;
} hem__known;

/* Row `row` of part `part` holds this photo; it is newer than what was known. */
hem_status hem__known_put(hem__known *known, const hem__photo *photo, size_t part, size_t row, hem_error *err);

typedef enum hem__meeting {
  HEM__NEW,      /* not there */
  HEM__THERE,    /* there, with the same item, category, label, domain and split */
  HEM__CHANGED,  /* there, with others: an earlier run listed it so */
  HEM__AGAIN,    /* this run listed it before, with the same ... */
  HEM__CONFLICT, /* ... or with others: one of the two must be wrong */
} hem__meeting;

/* A run lists this photo. THERE and CHANGED: *as is what was known of it. */
hem_status hem__known_meet(hem__known *known, const hem__photo *photo, hem__meeting *meeting, hem__known_photo *as,
                           hem_error *err);
/* By key; NULL where there is none. Valid until the next put or meet. */
const hem__known_photo *hem__known_find(const hem__known *known, const char *key);
const hem__known_photo *hem__known_photo_find(const hem__known *known, const hem__photo *photo);
/* Row `row` of part `part` is the newest that shows this photo. */
bool hem__known_is_newest(const hem__known *known, const hem__photo *photo, size_t part, size_t row);
void hem__known_clear(hem__known *known);

#endif
