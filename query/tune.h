/* Chooses for each category of a generation that is not published yet how it is searched: the kind of its index, how
 * far searches go, how many candidates a metric scores. */
#ifndef HEM_QUERY_TUNE_H
#define HEM_QUERY_TUNE_H

#include "index/build.h"
#include "query/quiz.h"

enum { HEM__TUNE_QUERIES = 2400, HEM__TUNE_QUERIES_SCORED = 1200 }; /* a category, at most; with a metric */

/* Half of each category's queries (every other one, as they stand in `quiz`) choose; of the others, where there are
 * enough, half confirm the choice, and the last measure what is promised.
 *
 * Builds the kinds that may serve, tries them, leaves the chosen ones in the manifest and removes the others, writes
 * tuning.json, and sets categories' certificates where there is a metric. Until then the trial's categories are flat.
 * Errors: those of hem_index. */
hem_status hem__tune(hem__trial *trial, const hem__quiz *quiz, hem_error *err);

/* The generation as it would be read: what the manifest says now, in its own folder. */
hem_status hem__trial_open(const hem__trial *trial, hem_engine **out, hem_error *err);

#endif
