/* One self-contained HTML file to look at: tables, plots drawn by gnuplot, sheets of photos. No scripts, nothing
 * fetched. */
#ifndef HEM_BENCH_REPORT_H
#define HEM_BENCH_REPORT_H

#include "bench/accuracy.h"

enum { HEM__QUERY_SIDE = 192, HEM__HIT_SIDE = 112 }; /* pixels of photos: more than is shown, for fine screens */

/* A query and what was found for it. All borrowed. */
typedef struct hem__sheet_photo {
  const hem__image *image; /* NULL: there is none */
  const char *caption;
  bool right;
} hem__sheet_photo;

typedef struct hem__sheet {
  const char *title;
  hem__sheet_photo query;
  const hem__sheet_photo *hits; /* nearest first */
  size_t hit_count;
  hem__sheet_photo wanted; /* what was to be found and is not among the hits */
  bool has_wanted;
} hem__sheet;

/* One index kind measured against the exact answer. */
typedef struct hem__recall_row {
  const char *kind;     /* "hnsw" */
  const char *category; /* or "all" */
  size_t k, queries, gallery;
  double recall, low, high; /* recall@k and its 95% interval */
  double median_us, p99_us; /* time of one query, one thread */
} hem__recall_row;

typedef struct hem__report {
  const char *title, *summary;   /* plain text, one paragraph each */
  const hem__accuracy *accuracy; /* NULL: leave out */
  const hem__recall_row *recall; /* may be NULL */
  size_t recall_count;
  const hem__sheet *sheets;
  const char *sheets_about; /* what the sheets show, or NULL */
  size_t sheet_count;
} hem__report;

/* Writes the report aside and renames it. Without gnuplot the plots are left out and the page says so.
 * Errors: EIO, ENOTFOUND (no such folder), ENOMEM. */
hem_status hem__report_write(const hem__report *report, const char *path, hem_error *err);

#endif
