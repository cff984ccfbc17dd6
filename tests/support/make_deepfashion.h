/* A small tree in exactly the layout in which DeepFashion's Consumer-to-Shop benchmark is published. */
#ifndef HEM_TESTS_SUPPORT_MAKE_DEEPFASHION_H
#define HEM_TESTS_SUPPORT_MAKE_DEEPFASHION_H

#include <stdbool.h>
#include <stddef.h>

#include "ingest/photos.h"

enum { HEM__TEST_ITEM_PHOTOS = 4, HEM__TEST_ITEM_PAIRS = 4 };

/* Item i lies in one of five folders in turn, and in split train (i % 5 of 0 to 2), val (3) or test (4). It has two
 * photos by customers and two of the shop, and all four pairs of them. */
typedef struct hem__test_deepfashion {
  size_t items;
  bool plain_folder;     /* img/ instead of Img/img/ */
  bool usual_spelling;   /* consumer_01.jpg instead of comsumer_01.jpg */
  bool photos;           /* make them, too: PNG by content, 40 x 30 pixels */
  bool unpadded, no_img; /* columns apart by one space; names that do not begin with "img/" */
} hem__test_deepfashion;

void hem__test_deepfashion_make(const char *root, const hem__test_deepfashion *options);

/* Photo `number` in the order in which it must be listed. `photo->path` is what follows the folder of photos; texts
 * live until the next call. */
void hem__test_deepfashion_photo(const hem__test_deepfashion *options, size_t number, hem__photo *photo);

/* Replaces the first `from` in the file by `to`. */
void hem__test_replace(const char *path, const char *from, const char *to);

#endif
