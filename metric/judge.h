/* Is the metric better than the plain distances over the same vectors, queries and gallery? */
#ifndef HEM_METRIC_JUDGE_H
#define HEM_METRIC_JUDGE_H

#include "metric/validation.h"

enum { HEM__JUDGE_CUT = 20 }; /* a query is right where one of so many nearest shop photos shows its item */

/* By whom the gallery is ranked. */
typedef struct hem__ranker {
  const hem__metric *metric; /* NULL: by `distance`, of the vectors as they are */
  hem_distance distance;
  hem__catalog *catalog;
  size_t space;
} hem__ranker;

/* ranks[i] = place, from 1, of the nearest photo of query i's item among the gallery photos of its category; 0: there
 * is none. As in `hemline evaluate`, of photos equally near the earlier in the gallery comes first. Errors: ECORRUPT,
 * EINVAL, ENOMEM. */
hem_status hem__rank_queries(const hem__ranker *ranker, const hem__validation *validation, uint32_t *ranks,
                             hem_error *err);

/* Queries without a photo of their item in the gallery are left out. The interval of the gain is of the mean of paired
 * differences clustered by item: queries of one item are right or wrong together, so items, not queries, are
 * independent. Errors: ENOTFOUND (no query has a photo of its item), and those of hem__rank_queries. */
hem_status hem__judge(const hem__metric *metric, hem__catalog *catalog, size_t space, const hem__validation *validation,
                      hem__verdict *out, hem_error *err);

/* Differences that come in clusters. */
typedef struct hem__clustered {
  const double *sums;     /* of the differences of each cluster */
  const uint64_t *counts; /* how many there are in each; 0: the cluster is left out */
  size_t clusters;
} hem__clustered;

/* The mean of all differences and its 95% interval, by the variance of a ratio (Cochran 1977, Sampling Techniques, 6.3)
 * and Student's t for the number of clusters. Fewer than 5 clusters tell nothing: then it is -1 to 1. */
void hem__clustered_interval(const hem__clustered *differences, double *mean, double *low, double *high);

#endif
