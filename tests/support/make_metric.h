/* Metrics and catalogues of pairs, made up: what comes after training is tested with these. */
#ifndef HEM_TESTS_SUPPORT_MAKE_METRIC_H
#define HEM_TESTS_SUPPORT_MAKE_METRIC_H

#include "metric/validation.h"
#include "support/make_catalog.h"

/* Weights of Glorot's size from `random`, every w2 at most zero, of a space "made". */
hem__metric *hem__test_metric(hem__metric shape, uint64_t *random);

/* A shop whose photos say in their first `signal` values what they show, and noise in the others: a customer's photo
 * of an item is the shop's plus a little in the signal, and anything in the noise. */
typedef struct hem__test_world {
  size_t dim, signal;
  size_t items, categories; /* items lie in "c0", "c1" ... in turn */
  size_t consumers, shops;  /* photos of each item */
  size_t orphans;           /* customers' photos of items that the shop lacks, in "c0" */
  float jitter, noise;      /* standard deviations: of the signal's error, and of the noise */
  uint64_t random;
} hem__test_world;

typedef struct hem__test_pairs {
  hem__catalog *catalog;
  uint32_t *queries, *gallery;
  hem__validation validation; /* of all photos; one thread */
} hem__test_pairs;

void hem__test_pairs_new(const hem__test_world *world, hem__test_pairs *out);
void hem__test_pairs_clear(hem__test_pairs *pairs);

/* Weighted L1 that looks at the signal only. */
hem__metric *hem__test_knowing(const hem__test_world *world);

#endif
