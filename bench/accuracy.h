/* Top-k accuracy: how often one of the k nearest shop photos shows the product of the query (the measure of
 * DeepFashion's consumer-to-shop task), for each feature alone and concatenated, by L1, L2 and cosine, each query
 * within its own category. All distances are exact: this judges features, not indices (see recall.h). */
#ifndef HEM_BENCH_ACCURACY_H
#define HEM_BENCH_ACCURACY_H

#include "bench/interval.h"
#include "ingest/catalog.h"

enum { HEM__CUTS = 5 };
extern const size_t hem__cuts[HEM__CUTS]; /* 1, 5, 10, 20, 50 */

typedef enum hem__match { HEM__MATCH_AUTO = 0, HEM__MATCH_ITEM, HEM__MATCH_LABEL } hem__match;

typedef struct hem__accuracy_options {
  size_t space;
  hem__match match;   /* when a photo is right: same item, or same label. AUTO: item, where any query has one */
  int query_split;    /* hem__split, or -1: any */
  int gallery_split;  /* likewise */
  size_t query_limit; /* at most so many queries a category, evenly spread; 0: all */
  size_t threads;     /* 0: one for each core */
  hem_progress progress;
} hem__accuracy_options;

/* One line of the result. */
typedef struct hem__accuracy_row {
  const char *category; /* "all": every query, each within its own category */
  const char *approach; /* "hog", ..., or the space's name: all features concatenated */
  hem_distance distance;
  size_t queries;           /* that have a right photo in the gallery: the others are not counted */
  size_t without;           /* queries that have none */
  size_t gallery;           /* shop photos searched */
  size_t right[HEM__CUTS];  /* queries answered within the first hem__cuts[i] photos */
  double chance[HEM__CUTS]; /* what a random order would reach: the mean over queries of 1 - C(G-R, k) / C(G, k) */
} hem__accuracy_row;

typedef struct hem__accuracy {
  hem__accuracy_row
      *rows; /* by category, then approach, then distance; "all" last, once where that is the only category's name */
  size_t row_count;
  size_t *query_rows;    /* every query, category by category: its row in the catalogue */
  uint32_t *query_ranks; /* query by query, in the order of a category's rows: the place, from 1, of the nearest right
                            photo; 0: there is none */
  size_t query_count, query_values; /* values: ranks of one query, rows of one category */
  bool by_label;      /* right means: same label (the catalogue does not say which photos show one item) */
  bool leave_one_out; /* no consumer photos: each shop photo asked for the others */
} hem__accuracy;

/* Strings of the result are borrowed from the catalogue. Errors: ENOTFOUND (no queries, or none with a right
 * photo), ECORRUPT, ENOMEM, ECANCELED. */
hem_status hem__accuracy_measure(hem__catalog *catalog, const hem__accuracy_options *options, hem__accuracy *out,
                                 hem_error *err);
/* Is this photo in the gallery? (A query is never in its own.) */
bool hem__accuracy_in_gallery(const hem__accuracy_options *options, const hem__photo *photo);
/* The place in hem__cuts of the headline: 20, but 1 for labels, which 20 photos nearly always meet. */
size_t hem__accuracy_cut(const hem__accuracy *accuracy);
void hem__accuracy_clear(hem__accuracy *accuracy);

#endif
