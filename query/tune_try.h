/* One category, tried at many settings. */
#ifndef HEM_QUERY_TUNE_TRY_H
#define HEM_QUERY_TUNE_TRY_H

#include "index/tuning.h"
#include "query/quiz.h"

enum { HEM__VARIANTS = 8 };

/* A kind of index, built over every category and opened. */
typedef struct hem__variant {
  const char *kind;
  bool there;             /* of this category: a small one is flat, whatever the kind */
  hem_engine *engine;     /* its depths are changed while it is tried */
  hem_searcher *searcher; /* one thread's */
} hem__variant;

/* Queries of one portion: numbers of samples of the quiz. */
typedef struct hem__portion {
  const size_t *at;
  size_t count;
} hem__portion;

typedef struct hem__try_category {
  hem__variant *variants;
  size_t variant_count;
  size_t number; /* of the category */
  const hem__quiz *quiz;
  hem__portion choosing;
  hem__depth fixed; /* what was asked for by number stays; 0: is tried */
  hem__tuned_limits limits;
  hem_progress progress;
  size_t done, total; /* categories, for the caller's progress */
} hem__try_category;

/* Tries the settings, each with every query of the portion once and then, taking turns, again and again where that can
 * matter for the choice. Fills points, count, queries and noise; *variant_of: of each point, freed with free(). One
 * thread. Errors: those of hem_search, ENOMEM, ECANCELED. */
hem_status hem__try_settings(const hem__try_category *what, hem__tuned_category *out, size_t **variant_of,
                             hem_error *err);

/* What a point's setting finds of other queries. */
hem_status hem__try_again(const hem__try_category *what, const hem__tuned_point *point, size_t variant,
                          const hem__portion *portion, hem__tuned_tally *out, hem_error *err);

#endif
