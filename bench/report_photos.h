/* The report's sheets of photos. */
#ifndef HEM_BENCH_REPORT_PHOTOS_H
#define HEM_BENCH_REPORT_PHOTOS_H

#include "bench/html.h"
#include "bench/report.h"

/* A section: each query, and what was found for it. */
void hem__report_photos(hem__html *page, const hem__report *report);

#endif
