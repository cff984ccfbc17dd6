/* Who is paired with whom: the photos that training and validation use, and an epoch's pairs.
 *
 * Photos are numbered anew, in four runs: shop photos to train with, shop photos to validate against, customers' photos
 * to train with, customers' photos to validate with; each run category by category, then by item. So the right photos
 * of a query are a run, and so is its category. Photos of the test split are in none of them. */
#ifndef HEM_METRIC_PAIRS_H
#define HEM_METRIC_PAIRS_H

#include "metric/random.h"
#include "metric/split.h"

typedef struct hem__range {
  size_t first, count;
} hem__range;

enum { HEM__LEARN = 0, HEM__CHECK = 1, HEM__PARTS = 2, HEM__FIRST_MAX = 10 };

/* A category. */
typedef struct hem__group {
  hem__range shops[HEM__PARTS], queries[HEM__PARTS]; /* photos */
} hem__group;

/* Zeroed is empty. */
typedef struct hem__pairs {
  size_t photo_count;
  uint32_t *row, *item, *group; /* [photo_count]: row of the catalogue, and numbers of the item and of the category */
  hem__range shops[HEM__PARTS], queries[HEM__PARTS];
  hem__range *right; /* [photo_count]: of a query, the shop photos of its item in its category; at least one */
  hem__group *groups;
  size_t group_count;
  size_t pair_count;        /* positive pairs to train with */
  size_t items[HEM__PARTS]; /* that have such queries */
  size_t test_items;        /* left alone */
  uint64_t *seen;           /* hem__item_key of all items of train and validation, ascending */
  size_t seen_count;
} hem__pairs;

/* Validation's gallery is the shop photos of validation items and those that the catalogue marks with no split. Errors:
 * ENOTFOUND (says what the catalogue lacks), ENOMEM. */
hem_status hem__pairs_new(const hem__photos *photos, const hem__split_rule *rule, hem__pairs *out, hem_error *err);
void hem__pairs_clear(hem__pairs *pairs);

/* What an epoch is made of. */
typedef enum hem__negatives { HEM__HARD = 0, HEM__CATEGORY, HEM__RANDOM, HEM__FIRST } hem__negatives;

typedef struct hem__lesson {
  struct hem__sample {
    uint32_t a, b; /* a query and a shop photo */
    uint32_t same; /* 1: of one item */
  } * at;
  size_t count, capacity;
} hem__lesson;

struct hem__mine;
/* Every positive pair once, and `each` negatives for each, shuffled. Of hard ones half come from `mine` (mine.h), the
 * rest are random ones, of the category mostly. Errors: ENOMEM. */
hem_status hem__lesson_pairs(const hem__pairs *pairs, hem__negatives kind, size_t each, const struct hem__mine *mine,
                             hem__random *random, hem__lesson *out, hem_error *err);
/* For the triplet loss: blocks of `block` positive pairs, each query of a block with each of its shop photos, a query's
 * samples together. The pairs of a block are of one category, unless `mixed`. Every positive pair is there at least
 * once; where they do not fill the last block of a category, some are there twice. Errors: ENOMEM. */
hem_status hem__lesson_blocks(const hem__pairs *pairs, size_t block, bool mixed, hem__random *random, hem__lesson *out,
                              hem_error *err);
void hem__lesson_clear(hem__lesson *lesson);

#endif
