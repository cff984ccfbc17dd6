/* The rerank: candidates by distance, the answer by the Siamese metric. */
#ifndef HEM_QUERY_RERANK_H
#define HEM_QUERY_RERANK_H

#include "query/engine.h"

/* Asks every chosen category for its candidates, scores them, and puts the hits in order of their scores: categories
 * are merged by score, since one metric gave all of them. Where fewer than k items were met, twice as many candidates
 * are asked for. Errors: those of hem__candidates, ENOMEM. */
hem_status hem__rerank_answer(hem__search *search, size_t *found, hem_error *err);

/* One round of it: the ranking then holds the scored candidates, nearest first. */
hem_status hem__rerank_gather(hem__search *search, hem_error *err);
/* Of a ranking sorted by nearness: places, the best, and the hits. Returns how many there are. */
size_t hem__rerank_finish(hem__search *search);

#endif
