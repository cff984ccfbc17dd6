#include "metric/train_plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/threads.h"

enum { TOWER = 128, HIDDEN = 128, EPOCHS = 30, BATCH = 256, PATIENCE = 6, EACH = 8 };
static const double RATE = 0.001;

static hem_status choose(const char *what, const char *name, const char *const *names, size_t count, unsigned *out,
                         hem_error *err) {
  char list[128] = "";
  *out = 0;
  if (!name) return HEM_OK;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(name, names[i]) == 0) {
      *out = (unsigned)i;
      return HEM_OK;
    }
    size_t at = strlen(list);
    snprintf(list + at, sizeof list - at, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " and ", names[i]);
  }
  return hem__fail(err, HEM_EINVAL, "no %s '%s': there are %s", what, name, list);
}

static hem_status choose_names(const hem_train_options *o, hem__plan *p, hem_error *err) {
  static const char *const forms[] = {"head", "l1", "l2"}, *const losses[] = {"bce", "triplet"},
                           *const negatives[] = {"hard", "category", "random", "first"},
                           *const optimisers[] = {"adam", "rmsprop"};
  unsigned form, loss, negative, optimiser;
  hem_status status = choose("form", o->form, forms, 3, &form, err);
  if (!status) status = choose("loss", o->loss, losses, 2, &loss, err);
  if (!status) status = choose("negatives", o->negatives, negatives, 4, &negative, err);
  if (!status) status = choose("optimiser", o->optimiser, optimisers, 2, &optimiser, err);
  if (status) return status;
  p->form = (const hem__form[]){HEM__HEAD, HEM__WEIGHTED_L1, HEM__WEIGHTED_L2}[form];
  p->loss = (hem__loss)loss;
  p->negatives = (hem__negatives)negative;
  p->optimiser = (hem__optimiser_kind)optimiser;
  return HEM_OK;
}

static bool between(double value, double low, double high) { return value >= low && value <= high; }

static hem_status check_numbers(const hem_train_options *o, hem_error *err) {
  const struct {
    const char *name;
    size_t value, most;
  } sizes[] = {{"epochs", o->epochs, 100000},          {"batch", o->batch, 65536}, {"patience", o->patience, 100000},
               {"negatives", o->negatives_each, 1000}, {"seeds", o->seeds, 1000},  {"folds", o->folds, 1000}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i].value > sizes[i].most)
      return hem__fail(err, HEM_EINVAL, "%s: %zu is too many; at most %zu", sizes[i].name, sizes[i].value,
                       sizes[i].most);
  if (o->folds == 1 || o->folds == 2)
    return hem__fail(err, HEM_EINVAL,
                     "%zu folds are too few: one to test with, one to validate with, one to train with", o->folds);
  if (o->fold && o->fold >= (o->folds ? o->folds : 5))
    return hem__fail(err, HEM_EINVAL, "there is no fold %zu: they count from 0", o->fold);
  if (!between(o->learning_rate, 0, 10) || !between(o->weight_decay, 0, 10) || !between(o->dropout, 0, 0.95))
    return hem__fail(err, HEM_EINVAL, "learning rate and weight decay lie within 0 to 10, dropout within 0 to 0.95");
  if (!between(o->false_accept, 0, 0.999))
    return hem__fail(err, HEM_EINVAL, "the rate of false accepts lies within 0 and 0.999, not at %g", o->false_accept);
  return HEM_OK;
}

static size_t or_default(size_t value, size_t otherwise) { return value ? value : otherwise; }

hem_status hem__plan_make(const hem_train_options *o, size_t dim, hem__plan *p, hem_error *err) {
  hem_status status = check_numbers(o, err);
  if (!status && o->no_tower && o->tower)
    status = hem__fail(err, HEM_EINVAL, "no tower, and a tower of %zu values: one of the two", o->tower);
  if (!status) status = choose_names(o, p, err);
  if (status) return status;
  p->tower = o->no_tower ? 0 : or_default(o->tower, hem__min(TOWER, dim));
  p->hidden = p->form == HEM__HEAD ? or_default(o->hidden, HIDDEN) : 0;
  p->epochs = or_default(o->epochs, EPOCHS);
  p->batch = or_default(o->batch, BATCH);
  p->block = hem__max((size_t)sqrt((double)p->batch), 2);
  if (p->loss == HEM__TRIPLET) p->batch = p->block * p->block;
  p->patience = or_default(o->patience, PATIENCE);
  p->each = or_default(o->negatives_each, EACH);
  p->seeds = or_default(o->seeds, 1);
  p->threads = or_default(o->threads, hem__cores());
  p->rate = o->learning_rate > 0 ? o->learning_rate : RATE;
  return HEM_OK;
}
