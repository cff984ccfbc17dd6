/* What a source lists, checked row by row. */
#ifndef HEM_TESTS_SUPPORT_LISTED_H
#define HEM_TESTS_SUPPORT_LISTED_H

#include "ingest/source.h"

/* The next row; fails the test where there is none. */
hem__listed hem__test_next(hem__source *source);
/* The next row is this photo: its path ends like `photo.path`; other texts, domain, split and box are the same. */
void hem__test_is(hem__source *source, hem__photo photo);
/* The next row is rejected: its path ends with `path`, its reason holds `words`. */
void hem__test_is_rejected(hem__source *source, const char *path, const char *words);
/* There is no further row, however often one asks; closes the source. */
void hem__test_ends(hem__source *source);

/* Makes every folder above the file `path`. */
void hem__test_make_folders(const char *path);

#endif
