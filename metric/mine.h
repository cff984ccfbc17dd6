/* Hard negatives: shop photos of other items that the metric takes for a query's own.
 *
 * The way of a query: the nearest photos of its category by plain distance, scored by the metric as it is now; the best
 * wrong ones are hard. Among them some are in truth right (one garment sold under two names), so an epoch takes random
 * ones of the best 50, not the best.
 *
 * Costs are bounded: a query looks at a run of at most 4,096 photos of its category, another one each time; and an
 * epoch scores no more pairs than it trains with, or 262,144 if that is more. Where that is not enough for all queries
 * they take turns, and those that wait keep the hard ones they had. */
#ifndef HEM_METRIC_MINE_H
#define HEM_METRIC_MINE_H

#include "metric/model.h"
#include "metric/pairs.h"

enum { HEM__MINE_NEAR = 128, HEM__MINE_HARD = 50 };

typedef struct hem__mine {
  size_t queries;
  uint32_t *near, *hard;             /* [queries][HEM__MINE_NEAR] and [HEM__MINE_HARD]: photos of other items */
  uint32_t *near_count, *hard_count; /* [queries] */
  size_t turn;                       /* the query that is next to be mined */
} hem__mine;

/* Errors: ENOMEM. */
hem_status hem__mine_init(hem__mine *mine, const hem__pairs *pairs, hem_error *err);
void hem__mine_clear(hem__mine *mine);
/* Forgets all of it, for another start. */
void hem__mine_restart(hem__mine *mine);

/* With what, and how fast. */
typedef struct hem__scoring {
  const hem__model *model;
  const float *points;    /* of all photos, as the model projects them now */
  hem__model_work **work; /* one for each thread */
  size_t threads;
} hem__scoring;

/* One for each thread. Errors: ENOMEM. */
hem_status hem__scoring_work_new(const hem__model *model, size_t photos, size_t threads, hem__model_work ***out,
                                 hem_error *err);
void hem__scoring_work_free(hem__model_work **work, size_t threads);

/* Queries, each with a list of photos. */
typedef struct hem__lists {
  const uint32_t *queries, *photos, *counts; /* [count], [count][most], [count] */
  size_t count, most;                        /* most <= 256 */
  /* Gets the scores of a query's list, from several threads at once. */
  void (*take)(void *context, size_t query, const float *scores);
  void *context;
} hem__lists;

/* Queries side by side, each by one thread: lists are too short to be shared out. Errors: ENOMEM. */
hem_status hem__score_lists(const hem__scoring *scoring, const hem__lists *lists, hem_error *err);

typedef struct hem__mine_job {
  const hem__pairs *pairs;
  const hem__scoring *scoring;
  size_t budget; /* pairs that may be scored */
} hem__mine_job;

/* Errors: ENOMEM. */
hem_status hem__mine_hard(hem__mine *mine, const hem__mine_job *job, hem__random *random, hem_error *err);

/* ---- nearest photos by the plain distance, L1 ---- */

typedef struct hem__near_job {
  const float *points;
  size_t width;
  const uint32_t *queries; /* photos */
  size_t query_count;
  hem__range gallery;    /* photos */
  const uint32_t *wrong; /* item of every photo: those of the query's own are left out; NULL: they are not */
  size_t most;
  uint32_t *found;  /* [query_count][most]: nearest first, ties by number */
  uint32_t *counts; /* [query_count] */
  size_t threads;
} hem__near_job;

/* Errors: ENOMEM. */
hem_status hem__near(const hem__near_job *job, hem_error *err);

#endif
