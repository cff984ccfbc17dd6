/* The maps that the corner feature is read from; apart, so that tests hold them against other programs'. */
#ifndef HEM_INGEST_HARRIS_H
#define HEM_INGEST_HARRIS_H

#include "ingest/image.h"

enum { HEM__HARRIS_SIDE = 64 };

typedef float hem__harris_map[HEM__HARRIS_SIDE][HEM__HARRIS_SIDE];

typedef struct hem__harris {
  hem__harris_map xx, xy, yy; /* the structure tensor: products of luma's derivatives under a Gaussian */
  hem__harris_map response;   /* above 0 at corners, below 0 on edges, near 0 on flat ground */
  hem__harris_map rows;       /* working memory */
  float luma[HEM__HARRIS_SIDE + 2][HEM__HARRIS_SIDE + 2]; /* with its border repeated once */
} hem__harris;

/* Fills every map from a photo of HEM__HARRIS_SIDE x HEM__HARRIS_SIDE pixels. */
void hem__harris_maps(const hem__image *photo, hem__harris *maps);

#endif
