/* The exact answer of a metric: as if every photo were scored, in the precision of the generation, and yet not all are.
 *
 * A linear function lies above every score (hem__score_bound), and costs one weighted L1 distance. Photos are scored
 * from the highest bound down, and the search ends where no bound reaches the k-th best score any more: what is left
 * cannot enter the answer. Bounds get slack for every rounding on both sides, so that this is true to the last bit.
 * Where the line lies far above the scores it prunes nothing, and everything is scored. */
#ifndef HEM_QUERY_EXACT_H
#define HEM_QUERY_EXACT_H

#include "query/engine.h"

/* Errors: those of hem__rerank_gather, ENOMEM. */
hem_status hem__exact_answer(hem__search *search, size_t *found, hem_error *err);

#endif
