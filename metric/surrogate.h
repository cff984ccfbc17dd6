/* The plain distance nearest to a metric, so that FAISS, which knows only such, finds good candidates.
 *
 * A weighted distance is one itself. For a head, weights g >= 0 are fitted so that -sum(g * x^p), x = |t(a)-t(b)|,
 * follows the score among the photos near a query: p = 1 is L1, p = 2 is L2. Of those two and of the plain L1 and L2
 * the one stays whose nearest 100 hold most of the metric's best 20; L2 where it makes no difference, because FAISS is
 * faster with it. */
#ifndef HEM_METRIC_SURROGATE_H
#define HEM_METRIC_SURROGATE_H

#include "metric/validation.h"

/* Sets candidate_distance and candidate_scale. Looks at a sample of the validation, drawn by its seed; half of the
 * queries fit, the other half choose. Errors: ENOTFOUND (no queries, or no gallery), EINVAL, ECORRUPT, ENOMEM. */
hem_status hem__surrogate_fit(hem__metric *metric, hem__catalog *catalog, size_t space,
                              const hem__validation *validation, hem_error *err);

#endif
