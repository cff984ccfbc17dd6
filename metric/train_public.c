/* hem_train: hem__train with files around it. */
#include <stdio.h>
#include <string.h>

#include "metric/metric_file.h"
#include "metric/train.h"

static hem_status check(const hem_train_options *o, hem_error *err) {
  if (!o->catalog) return hem__fail(err, HEM_EINVAL, "hem_train_options.catalog is not set: name the catalogue");
  if (!o->metric) return hem__fail(err, HEM_EINVAL, "hem_train_options.metric is not set: name the file to write");
  return HEM_OK;
}

static void report(const hem__training *t, hem_train_result *out) {
  const hem__verdict *v = &t->metric->verdict;
  double queries = v->queries ? (double)v->queries : 1;
  *out = (hem_train_result){.better = hem__metric_passed(t->metric),
                            .train_items = t->train_items,
                            .train_pairs = t->train_pairs,
                            .validation_queries = v->queries,
                            .validation_gallery = v->gallery,
                            .accuracy = (double)v->right[HEM__CONTENDERS - 1] / queries,
                            .l2 = (double)v->right[HEM_L2] / queries,
                            .l1 = (double)v->right[HEM_L1] / queries,
                            .cosine = (double)v->right[HEM_COSINE] / queries,
                            .gain = v->gain,
                            .gain_low = v->gain_low,
                            .gain_high = v->gain_high};
}

hem_status hem_train(const hem_train_options *options, hem_train_result *result, hem_error *err) {
  hem_train_options o;
  hem__catalog *catalog = NULL;
  hem__training training = {0};
  hem_status status = hem__options_copy(&o, sizeof o, options, "hem_train_options", err);
  if (!status) status = check(&o, err);
  if (!status) status = hem__catalog_open(o.catalog, &catalog, err);
  if (!status) status = hem__train(catalog, &o, false, &training, err);
  if (!status) status = hem__metric_save(training.metric, o.metric, err);
  if (!status) {
    if (o.checkpoint) remove(o.checkpoint); /* one that stays is refused or goes on to the same metric */
    if (result) report(&training, result);
  }
  hem__training_clear(&training);
  hem__catalog_close(catalog);
  return status;
}
