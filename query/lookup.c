#include "query/lookup.h"

#include <stdlib.h>
#include <string.h>

/* Positions of `count` photos by their number, below `numbers`: counted, summed, placed. */
static hem_status order_by(const uint32_t *number_of, size_t count, size_t numbers, uint32_t **first, uint32_t **photos,
                           hem_error *err) {
  uint32_t *f = NULL, *p = NULL;
  hem_status status = hem__alloc(numbers + 1, sizeof *f, "a gallery's order", &f, err);
  if (!status) status = hem__alloc(count, sizeof *p, "a gallery's order", &p, err);
  *first = f;
  *photos = p;
  if (status) return status;
  for (size_t i = 0; i < count; i++) f[number_of[i] + 1]++;
  for (size_t i = 0; i < numbers; i++) f[i + 1] += f[i];
  for (size_t i = 0; i < count; i++) p[f[number_of[i]]++] = (uint32_t)i;
  for (size_t i = numbers; i > 0; i--) f[i] = f[i - 1]; /* each had moved to the next one's start */
  f[0] = 0;
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
  return status;
}

hem_status hem__lookup_new(const hem__gallery *gallery, hem__lookup *out, hem_error *err) {
  hem__lookup l = {0};
  hem_status status = order_by(gallery->item_of, gallery->photos, gallery->items, &l.first, &l.photos, err);
  if (!status) status = number_labels(gallery, &l, err);
  if (!status) status = order_by(l.label_of, gallery->photos, l.labels.count, &l.label_first, &l.label_photos, err);
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
  free(l->label_first);
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

/* The first of `count` ascending values that is not below `least`. */
static size_t lower_bound(const uint32_t *at, size_t count, size_t least) {
  size_t first = 0;
  while (count) {
    size_t half = count / 2;
    if (at[first + half] < least) {
      first += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return first;
}

size_t hem__lookup_labelled(const hem__lookup *l, size_t number, size_t first, size_t count, const uint32_t **photos) {
  const uint32_t *all = l->label_photos + l->label_first[number];
  size_t there = l->label_first[number + 1] - l->label_first[number];
  size_t from = lower_bound(all, there, first), to = lower_bound(all, there, first + count);
  if (photos) *photos = all + from;
  return to - from;
}
