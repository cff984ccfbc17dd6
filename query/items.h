/* Photos of several categories in one order, and the items they show. Knows nothing of vectors or indices.
 *
 * The order: nearer first; equally near by item id, then by catalogue row. */
#ifndef HEM_QUERY_ITEMS_H
#define HEM_QUERY_ITEMS_H

#include "index/gallery.h"
#include "query/candidates.h"

/* A photo of the gallery and how near it is. */
typedef struct hem__ranked {
  float key;
  uint32_t photo; /* gallery position */
  uint32_t item;
  uint32_t category;
} hem__ranked;

/* One thread's photos so far. */
typedef struct hem__ranking {
  const hem__gallery *gallery; /* borrowed */
  hem__ranked *at, *spare;     /* spare: the other side of a merge */
  size_t count, capacity, spare_capacity;
  uint32_t *seen, round; /* seen[item] == round: the item has been chosen */
} hem__ranking;

hem_status hem__ranking_init(hem__ranking *ranking, const hem__gallery *gallery, hem_error *err);
void hem__ranking_clear(hem__ranking *ranking);
/* Forgets all photos and makes room for `count`. */
hem_status hem__ranking_restart(hem__ranking *ranking, size_t count, hem_error *err);

/* Merges a category's candidates, sorted by key and row; `first` is the gallery position of its row 0. */
void hem__ranking_merge(hem__ranking *ranking, uint32_t category, size_t first, const hem__near *near, size_t count);

typedef struct hem__choice {
  size_t k;
  bool photos;   /* every photo counts; false: the nearest photo of each item */
  float horizon; /* from this key on, a photo not seen could come before one that was: stop there */
  bool leave_out;
  uint64_t leave_out_row; /* of the catalogue */
} hem__choice;

/* Moves the chosen photos, at most k, to the front and returns how many there are. */
size_t hem__ranking_choose(hem__ranking *ranking, const hem__choice *choice);

#endif
