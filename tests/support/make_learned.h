/* Stores whose answers are reranked: metrics filled by hand, and catalogues to build stores of. */
#ifndef HEM_TESTS_SUPPORT_MAKE_LEARNED_H
#define HEM_TESTS_SUPPORT_MAKE_LEARNED_H

#include "metric/metric.h"
#include "support/make_catalog.h"

typedef enum hem__test_kind {
  HEM__TEST_L1,      /* weighted L1 */
  HEM__TEST_CONCAVE, /* a head without a w2 above zero */
  HEM__TEST_FREE,    /* a head with weights of any sign */
  HEM__TEST_TOWER,   /* a concave head behind a tower */
  HEM__TEST_L2,      /* weighted L2 */
  HEM__TEST_KINDS
} hem__test_kind;

/* A metric on the space "made" (make_catalog.h) that is not far from a distance, with a calibration, which has seen
 * nothing and has passed. Its candidates are found by `distance`. */
hem__metric *hem__test_learned(hem__test_kind kind, size_t dim, hem_distance distance, uint64_t seed);

/* hem__made_store with this metric, saved as FOLDER/metric.h5. */
char *hem__test_learned_store(const hem__made *made, const hem__metric *metric, const char *folder, const char *store,
                              hem_index_options options);

/* A shop of `items` items in `categories` categories, of up to 3 photos each, and a customer's photo of every fifth
 * item. Every tenth photo is a copy of the one before, of another item: ties. Labels are "l0" to "l6". */
void hem__test_shop(hem__made *made, size_t items, size_t categories, uint64_t seed);

#endif
