/* The Siamese metric: how likely is it that two photos show one item?
 *
 * An embedding a of D values becomes a point t(a) of `width` values, and two points a score:
 *
 *   t(a)    = a, or a / |a| where `unit`; with a tower, (T a + c) / |T a + c| of that
 *   x       = |t(a) - t(b)|, value by value
 *   s(a, b) = b2 + sum over h of w2[h] * relu(b1[h] + W1[h] . x)          HEM__HEAD
 *   s(a, b) = b2 + w2 . x, every w2 <= 0                                  HEM__WEIGHTED_L1
 *   s(a, b) = b2 + w2 . x^2, every w2 <= 0                                HEM__WEIGHTED_L2
 *
 * The head is that of the reference work (Menezes and Kanitkar 2018: |a-b|, Dense relu, Dense sigmoid); s is its logit,
 * so the larger s, the more alike. Where no w2 is above zero the head is *concave* in x, which is what lets an exact
 * search prune (query/prune.h). Calibration (calibrate.h) turns s into the probability of a match.
 *
 * Candidates come from FAISS, which knows distances only. So a metric carries the plain distance nearest to it: FAISS
 * searches `candidate_scale` * t(a), value by value, by `candidate_distance` (surrogate.h fits both). */
#ifndef HEM_METRIC_METRIC_H
#define HEM_METRIC_METRIC_H

#include "base/memory.h"
#include "base/sha256.h"

typedef enum hem__form { HEM__WEIGHTED_L1 = 0, HEM__HEAD = 1, HEM__WEIGHTED_L2 = 2 } hem__form;
enum { HEM__FORMS = 3 };
extern const char *const hem__form_names[HEM__FORMS]; /* "l1", "head", "l2" */

enum {
  HEM__METRIC_DIM_MAX = 65536,   /* D and `width` */
  HEM__METRIC_HIDDEN_MAX = 8192, /* H */
  HEM__METRIC_CATEGORIES_MAX = 100000
};

/* Platt's sigmoid (Platt 1999): probability = 1 / (1 + exp(-(slope * s + offset))). */
typedef struct hem__platt {
  double slope, offset;
} hem__platt;

/* What was learned of a category after training, on validation. The first entry of a metric has the name "": all
 * categories together, used for those that are not listed. */
typedef struct hem__calibration {
  char *category;
  hem__platt platt;
  double threshold; /* probability: an answer whose best is below it is "no match" */
  uint64_t queries; /* validation queries that it was fitted on */
} hem__calibration;

/* What validation said of the metric and of the plain distances over the same vectors, queries and gallery. */
enum { HEM__CONTENDERS = 4 }; /* l2, l1, cosine, and last the metric */
typedef struct hem__verdict {
  uint64_t queries, gallery;
  uint64_t right[HEM__CONTENDERS];  /* queries answered right within the first 20 photos */
  double gain, gain_low, gain_high; /* metric minus the best plain distance, 0..1, and its 95% interval, by item */
  hem_distance best;                /* the best plain distance */
} hem__verdict;

typedef struct hem__metric {
  hem__form form;
  bool unit;            /* embeddings are divided by their L2 norm first */
  size_t dim;           /* D: values of an embedding */
  size_t tower;         /* values the tower writes; 0: there is none */
  size_t width;         /* values of t(a) and x: `tower`, or `dim` */
  size_t hidden;        /* H; 0 for the weighted distances */
  float *tower_weights; /* [tower][dim] */
  float *tower_bias;    /* [tower] */
  float *w1;            /* [hidden][width] */
  float *b1;            /* [hidden] */
  float *w2;            /* [hidden], or of a weighted distance [width] */
  float b2;
  hem_distance candidate_distance;     /* HEM_L2 or HEM_L1 */
  float *candidate_scale;              /* [width], >= 0, finite */
  char *space, *space_hash, *features; /* of the embedding space it was trained on */
  char *about;                         /* how it was trained, for people: options, seed, epochs */
  hem__verdict verdict;
  double false_accept; /* rate that the thresholds were chosen for, 0..1 */
  hem__calibration *calibrations;
  size_t calibration_count;
  uint64_t *seen; /* hem__item_key of every item that training or validation used, ascending */
  size_t seen_count;
} hem__metric;

/* Allocates the arrays for form, dim, tower and hidden, which are set; zeroed, `candidate_scale` all 1. Errors: EINVAL
 * (beyond the limits above), ENOMEM. */
hem_status hem__metric_new(const hem__metric *shape, hem__metric **out, hem_error *err);
void hem__metric_free(hem__metric *metric);

/* Writes t(a), `width` floats, for `count` embeddings in rows of `dim`. `out` rows of `width`. One thread; OpenBLAS
 * where there is a tower, so the same machine gives the same bits for the same call. Errors: ENOMEM. */
hem_status hem__metric_project(const hem__metric *metric, const float *embeddings, size_t count, float *out,
                               hem_error *err);

/* s of one pair of points, in double: the definition, slow, for tests and for explaining. */
double hem__metric_score(const hem__metric *metric, const float *ta, const float *tb);

bool hem__metric_concave(const hem__metric *metric);
/* False: validation did not show it to be better than every plain distance. */
bool hem__metric_passed(const hem__metric *metric);

/* Of this category, or the one of all of them. Never NULL. */
const hem__calibration *hem__metric_calibration(const hem__metric *metric, const char *category);
double hem__probability(const hem__platt *platt, double score);

/* Identifies an item in `seen`: the first 8 bytes of the SHA-256 of its id, little-endian. */
uint64_t hem__item_key(const char *item_id);
bool hem__metric_saw(const hem__metric *metric, const char *item_id);

#endif
