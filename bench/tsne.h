/* t-SNE: many dimensions on a sheet of paper, so that what is near stays near (van der Maaten and Hinton, JMLR 2008;
 * with a quadtree, Barnes and Hut's way, van der Maaten, JMLR 2014).
 *
 *   affinity.c   who is near whom: P, from exact nearest neighbours and one bandwidth a point
 *   forces.c     the gradient of KL(P || Q): attraction along P's entries, repulsion by all points
 *   tsne.c       MAIN PATH: start, descent
 *
 * A point's sums are added by one thread in one order, so that the number of threads changes no bit. */
#ifndef HEM_BENCH_TSNE_H
#define HEM_BENCH_TSNE_H

#include "base/memory.h"

enum { HEM__TSNE_EXACT_MAX = 5000 }; /* points whose full P fits */

typedef struct hem__tsne_options {
  double perplexity; /* neighbours that count, about; 0: 30; less than a third of the points */
  bool exact;        /* all pairs instead of neighbours and a quadtree: at most HEM__TSNE_EXACT_MAX points */
  double theta;      /* of the quadtree: a cell is one body to points farther off than its side / theta; 0: 0.5 */
  size_t iterations; /* 0: 1,000 */
  uint64_t seed;     /* of the start's small noise */
  size_t threads;    /* 0: one for each core */
  hem_progress progress;
} hem__tsne_options;

typedef struct hem__place {
  double x, y;
} hem__place;

/* out[i]: where row i goes; the centre is (0, 0). *divergence (or NULL): KL(P || Q) at the end, by the quadtree's Q
 * where it is used. Errors: EINVAL (too few points for the perplexity, too many for `exact`), ENOMEM, ECANCELED. */
hem_status hem__tsne(hem__matrix points, const hem__tsne_options *options, hem__place *out, double *divergence,
                     hem_error *err);

/* ---- the parts, for tests ---- */

/* One row: probabilities[i] ~ exp(-beta * squared[i]), with the beta whose distribution has that perplexity, which is
 * 2 to the power of its entropy in bits. All equal where so few distances can have no other. Returns beta. */
double hem__perplexity_row(const float *squared, size_t count, double perplexity, double *probabilities);

/* P, symmetric, sums to 1: row i's entries stand at start[i] to start[i + 1]. */
typedef struct hem__affinities {
  size_t count;
  size_t *start;    /* count + 1 */
  uint32_t *column; /* ascending within a row, never the row itself */
  double *p;
} hem__affinities;

/* From the `neighbours` nearest of each point (Euclidean, exact up to float32's rounding; ties by row). Errors: EINVAL,
 * ENOMEM, ECANCELED. */
hem_status hem__affinities_new(hem__matrix points, size_t neighbours, const hem__tsne_options *options,
                               hem__affinities *out, hem_error *err);
void hem__affinities_clear(hem__affinities *affinities);

/* The gradient, with P's entries times `exaggeration`. Working memory grows in `room`. */
typedef struct hem__forces {
  struct hem__cell *cells;
  size_t cell_count, capacity;
  hem__place *push; /* by point: not yet divided by Z */
  double *z;        /* by point */
  size_t push_capacity, z_capacity;
} hem__forces;

typedef struct hem__forces_order {
  const hem__affinities *p;
  const hem__place *at;
  double exaggeration, theta;
  bool exact;
  size_t threads;
} hem__forces_order;

/* *divergence, where it is wanted: of P as it is, without exaggeration. Errors: ENOMEM. */
hem_status hem__forces_gradient(hem__forces *room, const hem__forces_order *order, hem__place *gradient,
                                double *divergence, hem_error *err);
void hem__forces_clear(hem__forces *room);

#endif
