/* A map of a catalogue: where t-SNE puts its photos, drawn as points by category, or as the photos themselves. */
#ifndef HEM_BENCH_CHART_H
#define HEM_BENCH_CHART_H

#include "bench/tsne.h"
#include "ingest/catalog.h"

typedef struct hem__chart_options {
  size_t space;
  size_t points; /* at most so many photos, evenly spread; 0: 10,000 */
  int domain;    /* hem__domain, or -1: any */
  hem__tsne_options tsne;
} hem__chart_options;

typedef struct hem__chart {
  hem__place *at;      /* by point */
  size_t *rows;        /* of the catalogue */
  uint32_t *group;     /* category */
  size_t count, there; /* there: photos to choose from */
  const char **groups; /* borrowed from the catalogue, by name */
  size_t group_count;
  double divergence, perplexity;
} hem__chart;

/* Vectors are divided by their norm first: what is near in the map has a small cosine distance. Errors: ENOTFOUND (no
 * such photos), those of hem__tsne, ECORRUPT. */
hem_status hem__chart_make(hem__catalog *catalog, const hem__chart_options *options, hem__chart *out, hem_error *err);
void hem__chart_clear(hem__chart *map);

/* The points as an SVG document, or as a PNG; freed with free(). Errors: those of hem__scatter_draw. */
hem_status hem__chart_draw(const hem__chart *map, bool png, char **bytes, size_t *size, hem_error *err);

/* The photos on a grid, each in the free cell next to its place, framed in its category's colour. *shown: those that
 * could be read. `idx`: as in pictures.h. Errors: ENOTFOUND (none could), ENOMEM. */
typedef struct hem__mosaic_options {
  const char *idx;
  size_t side; /* of the picture, about, in pixels; 0: 3,200 */
  size_t threads;
} hem__mosaic_options;
hem_status hem__chart_mosaic(const hem__catalog *catalog, const hem__chart *map, const hem__mosaic_options *options,
                             hem__image *out, size_t *shown, hem_error *err);

#endif
