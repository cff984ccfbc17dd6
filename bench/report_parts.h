/* What pages of numbers share: plots, and sheets of photos. */
#ifndef HEM_BENCH_REPORT_PARTS_H
#define HEM_BENCH_REPORT_PARTS_H

#include "bench/html.h"
#include "bench/plot.h"
#include "bench/report.h"

/* A section: each query, and what was found for it. */
void hem__report_photos(hem__html *page, const hem__report *report);

/* The plot as an image with a title and a sentence, both our own markup; where gnuplot is not there, why. */
void hem__report_plot(hem__html *page, const hem__plot *plot, const char *title, const char *about);
void hem__report_curves(hem__html *page, const hem__curves *curves, const char *title, const char *about);

#endif
