/* The rerank: candidates by distance, the answer by the Siamese metric. */
#ifndef HEM_QUERY_RERANK_H
#define HEM_QUERY_RERANK_H

#include "query/engine.h"

/* Asks every chosen category for its candidates, scores them, and puts the hits in order of their scores: categories
 * are merged by score, since one metric gave all of them. Where fewer than k items were met, twice as many candidates
 * are asked for. Errors: those of hem__candidates, ENOMEM. */
hem_status hem__rerank_answer(hem__search *search, size_t *found, hem_error *err);

/* What min_probability leaves out of the answer. */
void hem__rerank_filter(hem__search *search);
/* Of a ranking of scored photos, sorted by nearness: places, the best, and the hits. Returns how many there are. */
size_t hem__rerank_finish(hem__search *search);

#endif
