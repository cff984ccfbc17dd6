/* Which photos a catalogue holds, so that a run skips them. A photo is known by its path and its box: two garments of
 * one picture are two photos. */
#ifndef HEM_INGEST_KNOWN_H
#define HEM_INGEST_KNOWN_H

#include "ingest/photos.h"

enum { HEM__KEY_MAX = HEM__TEXT_MAX + 64 };

/* "path", or "path [x,y,width,height]": a photo's name among all photos, and in the list of rejections. */
void hem__photo_key(const hem__photo *photo, char key[HEM__KEY_MAX]);

/* Zeroed is empty. */
typedef struct hem__known {
  hem__set keys;
  hem__arena strings;
  struct hem__known_as *as; /* what each is known as, by number */
  size_t capacity;
} hem__known;

typedef enum hem__meeting { HEM__NEW, HEM__SAME, HEM__CONFLICT } hem__meeting;

/* Adds the photo unless it is there. SAME: there with the same item, category, label, domain and split; CONFLICT: with
 * others. The photo's strings are borrowed until hem__known_clear. */
hem_status hem__known_meet(hem__known *known, const hem__photo *photo, hem__meeting *meeting, hem_error *err);
bool hem__known_has(const hem__known *known, const hem__photo *photo);
void hem__known_clear(hem__known *known);

#endif
