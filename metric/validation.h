/* What a trained metric is tried on: photos of customers, and for each of them the shop photos of its own category. */
#ifndef HEM_METRIC_VALIDATION_H
#define HEM_METRIC_VALIDATION_H

#include "ingest/catalog.h"
#include "metric/metric.h"

/* Rows of the catalogue, borrowed; none twice in a list. A photo that is in both lists does not answer itself. */
typedef struct hem__validation {
  const uint32_t *queries;
  size_t query_count;
  const uint32_t *gallery;
  size_t gallery_count;
  size_t threads; /* 0: one for each core */
  uint64_t seed;  /* of samples */
} hem__validation;

/* One category of it. Items are numbers: equal where the ids are. */
typedef struct hem__contest {
  const char *category; /* of the catalogue */
  uint32_t *queries, *query_items;
  uint32_t *places; /* [query_count]: where in the validation's list each query stands */
  size_t query_count;
  uint32_t *gallery, *gallery_items;
  size_t gallery_count;
} hem__contest;

typedef struct hem__contests {
  hem__contest *at; /* ascending by category; those that have queries */
  size_t count;
  size_t items; /* every number is below it */
} hem__contests;

/* Rows keep the order that the validation has them in. Errors: EINVAL (a row that the catalogue lacks), ENOMEM. */
hem_status hem__contests_new(const hem__photos *photos, const hem__validation *validation, hem__contests *out,
                             hem_error *err);
void hem__contests_clear(hem__contests *contests);

/* Some rows of a space side by side. */
typedef struct hem__selection {
  hem__matrix vectors;
  const uint32_t *rows;
  size_t count;
  size_t threads; /* 0: one for each core */
} hem__selection;

/* *out gets their points t(a), rows of `width` floats; `metric` NULL: the vectors themselves. Freed with free().
 * Errors: ENOMEM. */
hem_status hem__points(const hem__metric *metric, const hem__selection *selection, float **out, hem_error *err);

#endif
