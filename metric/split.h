/* Which items a metric learns from, which it is judged by while it learns, and which it never sees. Always by item,
 * never by photo.
 *
 * A catalogue that marks photos as train and validation is taken at its word. Otherwise every item falls by the hash of
 * its id into one of `folds` equal parts: part `fold` is the test, the next one validation, the rest train. */
#ifndef HEM_METRIC_SPLIT_H
#define HEM_METRIC_SPLIT_H

#include "ingest/photos.h"

typedef struct hem__split_rule {
  size_t folds;      /* 0: 5 */
  size_t fold;       /* < folds: which part is the test */
  bool ignore_marks; /* fold even where the catalogue marks splits (cross-validation) */
} hem__split_rule;

/* Does the catalogue mark a train split? */
bool hem__split_marked(const hem__photos *photos);
/* The part that photo i belongs to; HEM__NO_SPLIT only in a marked catalogue. */
hem__split hem__split_of(const hem__photos *photos, size_t photo, const hem__split_rule *rule, bool marked);

#endif
