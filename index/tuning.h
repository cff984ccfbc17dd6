/* What was tried on a generation before it was published: for each category the settings, what they found and what they
 * cost (query/tune.c measures it), and which of them serves. It lies in the generation as tuning.json, so that "what
 * would 0.999 cost?" is answered without asking a single query.
 *
 * Here are the data, the choice among them, which is a pure function, and the file. */
#ifndef HEM_INDEX_TUNING_H
#define HEM_INDEX_TUNING_H

#include "index/generation.h"

enum { HEM__TUNED_KIND = 16, HEM__TUNED_POINTS_MAX = 10000 };

/* One setting of one category, as it was measured. */
typedef struct hem__tuned_point {
  char kind[HEM__TUNED_KIND];                 /* "flat", "hnsw", ... */
  uint32_t ef_search, nprobe, refine, rerank; /* 0: does not apply */
  double recall, low, high;                   /* low and high: one-sided bounds, 95% each */
  double median_us, p99_us;                   /* of a query, one thread, warm */
  uint64_t bytes;                             /* that searching walks through: see hem__tuned_bytes */
} hem__tuned_point;

/* What is asked for. Zero: no limit. */
typedef struct hem__tuned_limits {
  double recall;     /* that `low` must reach */
  double latency_us; /* that the median may reach */
  uint64_t bytes;
  double above; /* recall must be larger than this: "the next stronger"; negative: whatever it is */
} hem__tuned_limits;

typedef struct hem__tuned_category {
  char *name;
  uint64_t photos, queries; /* queries: that settings were chosen with */
  hem__tuned_point *points;
  size_t count, chosen;    /* chosen < count */
  hem_certificate promise; /* recall of the chosen one, by queries that had no say in the choice */
  double noise;            /* how far the median time of one setting lies apart in two rounds, typically; 0.05: 5% */
} hem__tuned_category;

typedef struct hem__tuning {
  bool reranked; /* recall: of the exhaustive Siamese answer; false: of the exact nearest photos */
  uint32_t k;
  double target_recall; /* 0: not asked for, as are the next */
  uint32_t max_latency_us;
  uint64_t max_memory;
  hem__tuned_category *categories; /* in the manifest's order */
  size_t category_count;
} hem__tuning;

void hem__tuning_clear(hem__tuning *tuning);

/* The cheapest point within the limits: the fastest by its median, and among those that are not slower by more than 2%,
 * which no clock here tells apart, the smallest, then the surest. Without a recall to reach: the surest, and of equally
 * sure ones the cheapest. SIZE_MAX: none meets them. */
size_t hem__tuning_choose(const hem__tuned_point *points, size_t count, const hem__tuned_limits *limits);

/* Marks the points that no other one beats: no other has at least their recall, as surely, in no more time and no more
 * memory. */
void hem__tuning_front(const hem__tuned_point *points, size_t count, bool *front);

/* Says what is possible instead. Returns HEM_EUNSUPPORTED. */
hem_status hem__tuning_impossible(const hem__tuned_category *category, const hem__tuned_limits *limits, hem_error *err);

/* What one category may take of a limit for the store. Those that have no choice, small ones, take theirs first; the
 * others share the rest by their photos. Where none has a choice, all share. 0: no limit. */
typedef struct hem__tuned_size {
  uint64_t photos;
  uint64_t fixed; /* bytes of the only form there is; 0: there is a choice */
} hem__tuned_size;
uint64_t hem__tuning_share(uint64_t limit, const hem__tuned_size *sizes, size_t count, size_t number);

/* Where a mean of shares lies, at `z` (1.645: 95% one-sided). `right` of `total` places of `queries` queries were
 * filled rightly, `squares` is the sum over queries of right^2.
 *
 * Places of one query fail together: a graph loses few queries, but those wholly, and a hundred queries may well meet
 * none of one in two hundred. Then they show no variance, and an interval by it would be far too narrow. So, in the
 * manner of Agresti and Coull (1998), half a query more is taken to have lost all of its places, and the variance of
 * one is added. For whole losses this comes near to Jeffreys' bound, which on average errs as often as it
 * says: of none in n, 2.1 / n is said to be possible, and 1.9 / n by Jeffreys (3.0 / n by Clopper and Pearson, who
 * never err more often). */
typedef struct hem__tuned_tally {
  double right, total, squares;
  size_t queries;
} hem__tuned_tally;
void hem__tuned_interval(const hem__tuned_tally *tally, double z, double *low, double *high);

/* ---- the file ---- */

/* JSON text of tuning.json, freed with free(). Errors: ENOMEM. */
hem_status hem__tuning_print(const hem__tuning *tuning, char **json, size_t *size, hem_error *err);
/* Checks every field. Errors: ECORRUPT, EVERSION. */
hem_status hem__tuning_parse(const char *json, size_t size, const char *name, hem__tuning *out, hem_error *err);
/* That of a generation, verified; *out is empty (no categories) where it was not tuned. Errors: those of
 * hem__generation_map and hem__tuning_parse, ECORRUPT (of other categories). */
hem_status hem__tuning_read(const hem__generation *generation, hem__tuning *out, hem_error *err);

#endif
