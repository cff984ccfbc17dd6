/* The experiments as one self-contained page: the table, the figure, what training gained, its curve, whether
 * probabilities come true, right and wrong matches, and a map of the space. */
#ifndef HEM_BENCH_EXPERIMENTS_PAGE_H
#define HEM_BENCH_EXPERIMENTS_PAGE_H

#include "bench/experiments.h"

typedef struct hem__experiments_page {
  const char *path, *title, *about; /* about: plain text */
  const char *idx;                  /* folder of the idx files that photos lie in, or NULL */
  size_t sheets;                    /* right ones and wrong ones of each category; 0: none */
  size_t points;                    /* of the map; 0: 2,500 */
  int gallery_split;                /* as the experiments had it */
  size_t query_limit, threads;      /* likewise */
  hem_progress progress;
} hem__experiments_page;

/* Without gnuplot the plots are left out and the page says so. Errors: EIO, ENOTFOUND (no such folder), ENOMEM,
 * ECANCELED. */
hem_status hem__experiments_write(hem__catalog *catalog, const hem__experiments *experiments,
                                  const hem__experiments_page *page, hem_error *err);

#endif
