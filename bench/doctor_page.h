/* The findings as one self-contained page of thumbnails. */
#ifndef HEM_BENCH_DOCTOR_PAGE_H
#define HEM_BENCH_DOCTOR_PAGE_H

#include "bench/doctor.h"

/* Shows the first findings of each kind, with their first photos, at most some 400 pictures: a page of a few megabytes
 * whatever the catalogue. `idx` as in hem__doctor_options. Errors: EIO, ENOTFOUND (no such folder), ENOMEM. */
hem_status hem__doctor_page(const hem__catalog *catalog, const hem__diagnosis *diagnosis, const char *idx,
                            const char *path, hem_error *err);

#endif
