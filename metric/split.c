#include "metric/split.h"

#include "metric/metric.h"

enum { FOLDS = 5 };

bool hem__split_marked(const hem__photos *photos) {
  for (size_t i = 0; i < photos->count; i++)
    if (photos->at[i].split == HEM__TRAIN) return true;
  return false;
}

hem__split hem__split_of(const hem__photos *photos, size_t photo, const hem__split_rule *rule, bool marked) {
  if (marked && !rule->ignore_marks) return (hem__split)photos->at[photo].split;
  size_t folds = rule->folds ? rule->folds : FOLDS;
  size_t part = (size_t)(hem__item_key(photos->at[photo].item_id) % folds);
  if (part == rule->fold) return HEM__TEST;
  return part == (rule->fold + 1) % folds ? HEM__VALIDATION : HEM__TRAIN;
}
