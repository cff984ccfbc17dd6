/* The photos of a catalogue or of a segment, in memory: who they show and where they came from. */
#ifndef HEM_INGEST_PHOTOS_H
#define HEM_INGEST_PHOTOS_H

#include "base/sha256.h"
#include "base/text.h"
#include "ingest/image.h"

/* A longer name is refused: columns are as wide as their longest value. */
enum { HEM__TEXT_MAX = 4096 };

typedef enum hem__domain { HEM__SHOP = 0, HEM__CONSUMER = 1 } hem__domain;
typedef enum hem__split { HEM__NO_SPLIT = 0, HEM__TRAIN = 1, HEM__VALIDATION = 2, HEM__TEST = 3 } hem__split;

enum { HEM__DOMAINS = 2, HEM__SPLITS = 4 };
extern const char *const hem__domain_names[HEM__DOMAINS];     /* "shop", "consumer" */
extern const char *const hem__split_names[HEM__SPLITS];       /* "none", "train", "validation", "test" */
extern const char *const hem__box_unit_names[HEM__BOX_UNITS]; /* "pixels", "millionths" */

/* Which of `count` names `text` is; false: none of them. */
bool hem__name_find(const char *text, const char *const *names, size_t count, uint8_t *out);

typedef struct hem__photo {
  const char *item_id;  /* the product it shows */
  const char *category; /* what it is searched within */
  const char *label;    /* a finer class, or "" */
  const char *path;     /* the photo in its source; path and box together are unique in a catalogue */
  uint8_t domain, split;
  hem__box box;           /* the garment; all zero: the whole photo */
  uint32_t width, height; /* of the photo */
  hem__digest source;     /* SHA-256 of the photo's bytes as they were read */
  uint64_t bytes;         /* of the file it was read from, and ... */
  int64_t mtime_ns;       /* ... when that file last changed, since 1970; both 0: not known */
} hem__photo;

typedef struct hem__rejection {
  const char *path, *reason;
} hem__rejection;

/* Zeroed is empty. Strings belong to the arena. */
typedef struct hem__photos {
  hem__photo *at;
  size_t count, capacity;
  hem__rejection *rejected;
  size_t rejected_count, rejected_capacity;
  hem__arena strings;
} hem__photos;

/* Copies the photo and its strings. Errors: EINVAL (empty, overlong or not UTF-8, named), ENOMEM. */
hem_status hem__photos_add(hem__photos *photos, const hem__photo *photo, hem_error *err);
/* Copies both; what is too long is cut, what is not UTF-8 is replaced by '?'. Errors: ENOMEM. */
hem_status hem__photos_reject(hem__photos *photos, const char *path, const char *reason, hem_error *err);
/* Numbers the kinds of reasons: kinds[i] < *count is rejection i's. Reasons that differ in the photo's name and in
 * numbers only are of one kind. Errors: ENOMEM. */
hem_status hem__rejection_kinds(const hem__photos *photos, size_t *kinds, size_t *count, hem_error *err);
void hem__photos_clear(hem__photos *photos);

#endif
