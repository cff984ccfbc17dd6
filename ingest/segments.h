/* What an unfinished ingest leaves beside a catalogue: <catalogue>.segments/000001.h5 and so on, each sealed.
 * Folding makes one new catalogue of the old one and its segments. */
#ifndef HEM_INGEST_SEGMENTS_H
#define HEM_INGEST_SEGMENTS_H

#include "ingest/catalog.h"

typedef struct hem__segments {
  char *folder;        /* "<catalogue>.segments" */
  const char *path;    /* the catalogue's; borrowed */
  hem__catalog **open; /* [0] is the catalogue itself where there is one, then the segments, in order */
  size_t count, capacity;
  size_t next; /* number of the next segment */
} hem__segments;

/* Opens the catalogue and its segments as an earlier run left them: half-written files are removed, and so
 * are segments that were folded in before that run was killed. Errors: those of hem__catalog_open. */
hem_status hem__segments_open(const char *catalog, hem__segments *out, hem_error *err);
/* Seals one part as the next segment. */
hem_status hem__segments_seal(hem__segments *segments, const hem__space *spaces, size_t space_count,
                              const hem__catalog_part *part, hem_error *err);
typedef struct hem__fold {
  const hem__space *spaces;
  size_t space_count;
  const char *listing;          /* this run's listing, or NULL: its lines' earlier rejections count no more ... */
  const hem__set *rejected_now; /* ... unless they are in here again */
  hem_progress progress;
} hem__fold;

/* Makes the catalogue out of all there is, and removes the segments. */
hem_status hem__segments_fold(hem__segments *segments, const hem__fold *fold, hem_error *err);
/* Is any rejection in there that this run has found mended? Then folding has something to do. */
bool hem__segments_mended(const hem__segments *segments, const hem__fold *fold);
void hem__segments_close(hem__segments *segments);

#endif
