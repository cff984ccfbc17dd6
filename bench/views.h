/* Practice pairs for a shop that has no customers' photos yet: made views of its own photos (view.h), and the listing
 * that ingest takes. Made views are easier than photos of the street and different from them. */
#ifndef HEM_BENCH_VIEWS_H
#define HEM_BENCH_VIEWS_H

#include "ingest/catalog.h"

typedef struct hem__views_options {
  const char *folder; /* made where it is missing; gets the views and manifest.tsv */
  const char *idx;    /* folder of the idx files that photos lie in, or NULL */
  size_t each;        /* views of a photo; 0: 4 */
  size_t limit;       /* so many photos, evenly spread, get views; 0: all */
  bool only_viewed;   /* the others are not even listed */
  uint64_t seed;
  double strength; /* 0: 1; at most 2 */
  size_t threads;  /* 0: one for each core */
  hem_progress progress;
} hem__views_options;

typedef struct hem__views_result {
  size_t photos, viewed, views; /* shop photos listed; those that have views; views */
  size_t items[HEM__SPLITS];    /* of those with views, by split */
  size_t left_out;              /* shop photos whose picture cannot be read, or whose names no listing can hold */
  hem_error why;                /* of one of these */
} hem__views_result;

/* The listing holds the shop photos as such and their views as consumer photos. Photos of one item stay one item; so a
 * photo that its source gave no item, which ingest made an item of its own, is asked for itself alone. Items fall by
 * the hash of their id: three fifths train, one validation, one test; an item without views has no split.
 *
 * A view has a file of its own, except of photos of at most 64 pixels a side: those come by the hundred in one picture,
 * as boxes, and so do small shop photos that have no file of their own (idx).
 *
 * The same catalogue, options and machine give the same files, whatever the number of threads. Errors: ENOTFOUND (no
 * picture can be read; says of idx files how), EINVAL, EIO, ENOMEM, ECANCELED, EUNSUPPORTED (built without libvips). */
hem_status hem__views_make(const hem__catalog *catalog, const hem__views_options *options, hem__views_result *out,
                           hem_error *err);

#endif
