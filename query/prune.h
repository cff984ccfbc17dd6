/* The best photos by the metric without scoring all that might be: they are bounded first.
 *
 * A linear function lies above every score of a concave head (hem__score_bound), touches it where the k-th
 * best candidate lies, and costs one weighted L1 distance instead of a head. Photos are scored from the highest bound
 * down, and the search ends where no bound reaches the k-th best score any more: what is left cannot enter the answer.
 * Bounds get slack for every rounding on both sides, so this is true to the last bit. Where the line lies far above the
 * scores it prunes nothing, and everything is scored.
 *
 * A category is either scanned, which finds its exact answer, or the bounded photos are its FAISS candidates. The exact
 * answer scans all categories. The default one scans those where that costs less than their candidates: a step of
 * FAISS's search costs as much as some SCAN_SHARE bounds (measured: docs/performance.md). */
#ifndef HEM_QUERY_PRUNE_H
#define HEM_QUERY_PRUNE_H

#include "query/engine.h"

/* Errors: those of hem__candidates, ENOMEM. */
hem_status hem__prune_answer(hem__search *search, size_t *found, hem_error *err);

#endif
