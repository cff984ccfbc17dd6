/* Photos of several categories in one order, and the items they show. Knows nothing of vectors or indices.
 *
 * Two orders: nearer first, and the higher score first; equals by item id, then by catalogue row. */
#ifndef HEM_QUERY_ITEMS_H
#define HEM_QUERY_ITEMS_H

#include "index/gallery.h"
#include "query/candidates.h"

/* A photo of the gallery, how near it is, and what a metric says of it. */
typedef struct hem__ranked {
  float key, score; /* score: NaN without a metric */
  uint32_t photo;   /* gallery position */
  uint32_t item;
  uint32_t category;
  uint32_t place; /* hem__ranking_place */
} hem__ranked;

/* One thread's photos so far. */
typedef struct hem__ranking {
  const hem__gallery *gallery; /* borrowed */
  hem__ranked *at, *spare;     /* spare: the other side of a merge */
  size_t count, capacity, spare_capacity;
  uint32_t *seen, round; /* seen[item] == round: the item has been chosen */
  uint32_t *places;      /* of items; NULL: not wanted */
} hem__ranking;

hem_status hem__ranking_init(hem__ranking *ranking, const hem__gallery *gallery, bool places, hem_error *err);
void hem__ranking_clear(hem__ranking *ranking);
/* Forgets all photos and makes room for `count`. */
hem_status hem__ranking_restart(hem__ranking *ranking, size_t count, hem_error *err);
/* Makes room for `count` in all. */
hem_status hem__ranking_reserve(hem__ranking *ranking, size_t count, hem_error *err);
/* No item is seen any more: a walk over the photos may mark them again. */
void hem__ranking_start(hem__ranking *ranking);

/* A category's candidates; `first` is the gallery position of its row 0. */
typedef struct hem__batch {
  uint32_t category;
  size_t first, count;
  const hem__near *near;
  const float *scores; /* one for each; NULL: there are none */
} hem__batch;

/* Merges candidates that are sorted by key and row: what is sorted by nearness stays so. */
void hem__ranking_merge(hem__ranking *ranking, const hem__batch *batch);
/* Puts them behind the others, in no order. */
void hem__ranking_add(hem__ranking *ranking, const hem__batch *batch);
/* Sorts all of them: the highest score first, or the nearest. */
void hem__ranking_sort(hem__ranking *ranking, bool by_score);

typedef struct hem__choice {
  size_t k;
  bool photos;   /* every photo counts; false: the nearest photo of each item */
  float horizon; /* from this key on, a photo not seen could come before one that was: stop there */
  bool leave_out;
  uint64_t leave_out_row; /* of the catalogue */
  bool leave_out_item;
  uint32_t item;                                                 /* that one */
  const bool *labels;                                            /* by number: is it wanted? NULL: every label is */
  const uint32_t *label_of;                                      /* of a gallery position */
  bool (*passes)(const void *context, const hem__ranked *photo); /* NULL: every photo does */
  const void *context;
} hem__choice;

/* Has the photo at this gallery position a label that is wanted? */
static inline bool hem__choice_wants(const hem__choice *choice, size_t photo) {
  return !choice->labels || choice->labels[choice->label_of[photo]];
}

/* Is it as if the gallery did not hold this photo? */
bool hem__ranking_left_out(const hem__ranking *ranking, const hem__choice *choice, const hem__ranked *photo);
/* Of a ranking sorted by nearness, wants `places`: gives every photo its place, from 1, among the photos, or its item's
 * among the items, and returns how many places there are. */
size_t hem__ranking_place(hem__ranking *ranking, const hem__choice *choice);

/* Moves the chosen photos, at most k, to the front, in the order in which they are sorted, and returns how many there
 * are. */
size_t hem__ranking_choose(hem__ranking *ranking, const hem__choice *choice);

#endif
