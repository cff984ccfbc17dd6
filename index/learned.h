/* What a Siamese metric adds to a build: the gallery as points, scaled for FAISS and quantised for the scoring kernels
 * (metric/metric.h, metric/quantise.h, metric/score.h). */
#ifndef HEM_INDEX_LEARNED_H
#define HEM_INDEX_LEARNED_H

#include "index/generation.h"

/* Zeroed: there is no metric. */
typedef struct hem__learning {
  hem__metric *metric;
  bool fixed; /* the precision was asked for */
  hem__precision precision;
  hem__quantiser quantiser; /* one for all categories */
} hem__learning;

/* Rows of a catalogue, in the order of a gallery. Borrowed. */
typedef struct hem__listed_rows {
  const char *catalog; /* for messages */
  hem__matrix all;     /* the catalogue's embeddings */
  const uint64_t *order;
  size_t count;
} hem__listed_rows;

/* Loads the metric that the options name, if they do. Errors: those of hem__metric_load, EUNSUPPORTED (validation did
 * not show it to be better, and it is not forced), EINVAL (precision). */
hem_status hem__learning_open(const hem_index_options *options, hem__learning *out, hem_error *err);
void hem__learning_close(hem__learning *learning);
/* Errors: EMISMATCH (it was trained on another space). */
hem_status hem__learning_check(const hem__learning *learning, const hem__space *space, hem_error *err);

/* Writes t(a) of rows `first` on, `width` floats each. Errors: ECORRUPT (a value that makes no distance; names the
 * row), ENOMEM. */
hem_status hem__learning_project(const hem__metric *metric, const hem__listed_rows *rows, size_t first, size_t count,
                                 float *out, hem_error *err);
/* The range of the gallery's points. */
hem_status hem__learning_fit(hem__learning *learning, const hem__listed_rows *gallery, hem_error *err);
/* What FAISS searches: the points times candidate_scale. Errors: as hem__learning_project. */
hem_status hem__learning_scaled(const hem__learning *learning, const hem__listed_rows *rows, float *out,
                                hem_error *err);

/* Writes the points of category `number`, in the learning's precision. */
hem_status hem__learning_write_points(const hem__learning *learning, const hem__publication *publication, size_t number,
                                      const hem__listed_rows *rows, hem__generation_file *out, hem_error *err);
/* Writes the metric and its quantiser, and says so in the manifest. */
hem_status hem__learning_write(const hem__learning *learning, const hem__publication *publication,
                               hem__generation_metric *out, hem_error *err);

/* The metric of a generation, verified. Errors: those of hem__generation_map and hem__metric_load. */
hem_status hem__learned_read(const hem__generation *generation, hem__metric **out, hem_error *err);

#endif
