#include "query/lookup.h"

#include <stdlib.h>
#include <string.h>

/* Counted, summed, placed. */
static hem_status order_by_item(const hem__gallery *g, hem__lookup *l, hem_error *err) {
  hem_status status = hem__alloc(g->items + 1, sizeof *l->first, "items", &l->first, err);
  if (!status) status = hem__alloc(g->photos, sizeof *l->photos, "items", &l->photos, err);
  if (status) return status;
  for (size_t i = 0; i < g->photos; i++) l->first[g->item_of[i] + 1]++;
  for (size_t i = 0; i < g->items; i++) l->first[i + 1] += l->first[i];
  for (size_t i = 0; i < g->photos; i++) l->photos[l->first[g->item_of[i]]++] = (uint32_t)i;
  for (size_t i = g->items; i > 0; i--) l->first[i] = l->first[i - 1]; /* each had moved to the next one's start */
  l->first[0] = 0;
  return HEM_OK;
}

/* Photos with the label of the one before share its text. */
static hem_status number_labels(const hem__gallery *g, hem__lookup *l, hem_error *err) {
  size_t number = 0;
  hem_status status = hem__alloc(g->photos, sizeof *l->label_of, "labels", &l->label_of, err);
  for (size_t i = 0; i < g->photos && !status; i++) {
    if (!i || g->label[i] != g->label[i - 1]) status = hem__set_add(&l->labels, g->text + g->label[i], &number, err);
    l->label_of[i] = (uint32_t)number;
  }
  if (!status) status = hem__alloc(l->labels.count, sizeof *l->label_photos, "labels", &l->label_photos, err);
  for (size_t i = 0; i < g->photos && !status; i++) l->label_photos[l->label_of[i]]++;
  return status;
}

hem_status hem__lookup_new(const hem__gallery *gallery, hem__lookup *out, hem_error *err) {
  hem__lookup l = {0};
  hem_status status = order_by_item(gallery, &l, err);
  if (!status) status = number_labels(gallery, &l, err);
  if (status) {
    hem__lookup_clear(&l);
  } else {
    *out = l;
  }
  return status;
}

void hem__lookup_clear(hem__lookup *l) {
  free(l->first);
  free(l->photos);
  hem__set_clear(&l->labels);
  free(l->label_of);
  free(l->label_photos);
  *l = (hem__lookup){0};
}

size_t hem__lookup_item(const hem__gallery *g, const char *item_id) {
  size_t first = 0, last = g->items;
  while (first < last) {
    size_t middle = first + (last - first) / 2;
    int order = strcmp(g->text + g->item_id[middle], item_id);
    if (order == 0) return middle;
    if (order < 0) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return SIZE_MAX;
}
