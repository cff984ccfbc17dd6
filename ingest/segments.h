/* What an unfinished ingest leaves beside a catalogue: <catalogue>.segments/000001.h5 and so on, each sealed.
 * Folding makes one new catalogue of the old one and its segments. A photo that is in several of them is kept as the
 * last one has it; so replacing a photo is sealing it once more. A segment names the catalogue that it
 * goes onto. */
#ifndef HEM_INGEST_SEGMENTS_H
#define HEM_INGEST_SEGMENTS_H

#include "base/file.h"
#include "ingest/catalog.h"
#include "ingest/known.h"

typedef struct hem__segments {
  char *folder;        /* "<catalogue>.segments" */
  const char *path;    /* the catalogue's; borrowed */
  hem__catalog **open; /* [0] is the catalogue itself where there is one, then the segments, in order */
  size_t count, capacity;
  size_t noted;     /* of them, in `known` */
  size_t next;      /* number of the next segment */
  hem__digest base; /* the catalogue's identity; zeros: there is none yet */
} hem__segments;

/* One writer at a time. A catalogue that is reached through a link: the file itself is replaced, locked and has its
 * segments beside it; *real is its path, freed with free(). Errors: EBUSY, EIO, ENOMEM. */
hem_status hem__segments_lock(const char *catalog, char **real, hem__lock *lock, hem_error *err);

/* Opens the catalogue and its segments as an earlier run left them: half-written files are removed, and so
 * are segments that were folded in before that run was killed. `known` gets every photo, the later the newer.
 * Errors: those of hem__catalog_open. */
hem_status hem__segments_open(const char *catalog, hem__known *known, hem__segments *out, hem_error *err);
/* Seals one part, and the rejections of `rejected`, as the next segment. */
hem_status hem__segments_seal(hem__segments *segments, const hem__space *spaces, size_t space_count,
                              const hem__catalog_part *part, const hem__photos *rejected, hem_error *err);
typedef struct hem__fold {
  const hem__space *spaces;
  size_t space_count;
  hem__known *known;            /* what this run listed; gets where the newest row of each photo is */
  const char *listing;          /* this run's listing, or NULL: its lines' earlier rejections count no more ... */
  const hem__set *rejected_now; /* ... unless they are in here again */
  bool (*drop)(void *context, const hem__photo *photo); /* photos to leave out; NULL: none */
  void *context;
  hem_progress progress;
} hem__fold;

/* Makes the catalogue out of all there is, and removes the segments. *rows: photos in it now. */
hem_status hem__segments_fold(hem__segments *segments, const hem__fold *fold, uint64_t *rows, hem_error *err);
/* Is any rejection in there that this run has found mended? Then folding has something to do. */
bool hem__segments_mended(const hem__segments *segments, const hem__fold *fold);
void hem__segments_close(hem__segments *segments);

#endif
