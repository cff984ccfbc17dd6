/* MAIN PATH of `hemline train`: pairs of photos -> a metric, calibrated and judged.
 *
 *   split.c      which items train, which validate, which stay unseen
 *   pairs.c      positives; negatives: random, same category, mined hard
 *   inputs.c     embeddings in memory, in a scale that suits training
 *   start.c      the first weights: a plain distance
 *   mine.c       hard negatives, anew every epoch
 *   model.c      forward and backward of the three forms (BLAS)
 *   optimiser.c  RMSprop, Adam
 *   watch.c      top-20 on validation after every epoch
 *   checkpoint.c the state of a run that may be killed
 *   surrogate.c  the plain distance nearest to the metric
 *   calibrate.c  probabilities and thresholds, on validation
 *   judge.c      top-20 on validation against L2, L1 and cosine */
#ifndef HEM_METRIC_TRAIN_H
#define HEM_METRIC_TRAIN_H

#include "ingest/catalog.h"
#include "metric/metric.h"

typedef struct hem__training {
  hem__metric *metric;
  hem_epoch *epochs;        /* all seeds, in order */
  size_t epoch_count, best; /* epochs[best]: the one that stayed */
  size_t train_items, train_pairs, validation_items, validation_queries, test_items;
} hem__training;

/* hem_train without the files: `catalog` and `metric` of the options are not looked at. `ignore_marks`: fold even where
 * the catalogue marks its splits (cross-validation). Errors: ENOTFOUND (no pairs to train on, or none to validate with:
 * says what the catalogue lacks), EINVAL, ENOMEM, ECORRUPT, ECANCELED, EMISMATCH (the checkpoint is of another run). */
hem_status hem__train(hem__catalog *catalog, const hem_train_options *options, bool ignore_marks, hem__training *out,
                      hem_error *err);
void hem__training_clear(hem__training *training);

#endif
