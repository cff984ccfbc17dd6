#include "support/make_deepfashion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/listed.h"
#include "support/make_idx.h"
#include "test.h"

static const struct {
  const char *folder, *label, *category;
  int clothes_type;
} kinds[] = {{"TOPS", "T_Shirt", "upper", 1},     {"TROUSERS", "Shorts", "lower", 2},
             {"DRESSES", "Dress", "dress", 3},    {"DRESSES", "Skirt", "skirt", 2},
             {"CLOTHING", "Coat", "upper", 1},    {"CLOTHING", "Jumpsuit", "dress", 3},
             {"CLOTHING", "Leggings", "lower", 2}};
enum { KINDS = sizeof kinds / sizeof *kinds };
static const char *const splits[] = {"train", "train", "train", "val", "test"};
static const uint8_t split_numbers[] = {HEM__TRAIN, HEM__TRAIN, HEM__TRAIN, HEM__VALIDATION, HEM__TEST};

/* Photo 0 and 3 of an item are customers', 1 and 2 the shop's: the order in which its pairs name them first. */
static bool is_shop(size_t photo) { return photo == 1 || photo == 2; }

static void photo_path(const hem__test_deepfashion *o, size_t item, size_t photo, char out[256]) {
  snprintf(out, 256, "%s/%s/id_%08zu/%s_%02d.jpg", kinds[item % KINDS].folder, kinds[item % KINDS].label, item + 1,
           is_shop(photo)      ? "shop"
           : o->usual_spelling ? "consumer"
                               : "comsumer",
           photo < 2 ? 1 : 2);
}

static void corners(size_t item, size_t photo, int out[4]) {
  out[0] = (int)(item % 7);
  out[1] = (int)photo + 1;
  out[2] = 20 + (int)(item % 9);
  out[3] = 25;
}

void hem__test_deepfashion_photo(const hem__test_deepfashion *o, size_t number, hem__photo *photo) {
  static char path[256], id[32];
  size_t item = number / HEM__TEST_ITEM_PHOTOS, of = number % HEM__TEST_ITEM_PHOTOS;
  int c[4];
  photo_path(o, item, of, path);
  corners(item, of, c);
  snprintf(id, sizeof id, "id_%08zu", item + 1);
  *photo = (hem__photo){.path = path,
                        .item_id = id,
                        .category = kinds[item % KINDS].category,
                        .label = kinds[item % KINDS].label,
                        .domain = is_shop(of) ? HEM__SHOP : HEM__CONSUMER,
                        .split = split_numbers[item % 5],
                        .box = {c[0], c[1], c[2] - c[0], c[3] - c[1], HEM__PIXELS}};
}

static FILE *create(const char *root, const char *name) {
  char *path = hem__test_path(root, name);
  hem__test_make_folders(path);
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  free(path);
  return file;
}

static void write_pairs(const char *root, const hem__test_deepfashion *o) {
  FILE *file = create(root, "Eval/list_eval_partition.txt");
  const char *img = o->no_img ? "" : "img/";
  int width = o->unpadded ? 0 : 72;
  fprintf(file, "%zu\n%-*s %-*s %-12s %s\n", o->items * HEM__TEST_ITEM_PAIRS, width, "image_pair_name_1", width,
          "image_pair_name_2", "item_id", "evaluation_status");
  for (size_t item = 0; item < o->items; item++)
    for (size_t pair = 0; pair < HEM__TEST_ITEM_PAIRS; pair++) {
      char names[2][256], whole[2][600];
      photo_path(o, item, pair < 2 ? 0 : 3, names[0]);
      photo_path(o, item, 1 + pair % 2, names[1]);
      for (size_t i = 0; i < 2; i++) snprintf(whole[i], sizeof whole[i], "%s%s", img, names[i]);
      fprintf(file, "%-*s %-*s id_%08zu %*s\n", width, whole[0], width, whole[1], item + 1, o->unpadded ? 0 : 8,
              splits[item % 5]);
    }
  ck_assert_int_eq(fclose(file), 0);
}

static void write_boxes(const char *root, const hem__test_deepfashion *o) {
  FILE *file = create(root, "Anno/list_bbox_consumer2shop.txt");
  fprintf(file, "%zu\nimage_name  clothes_type  source_type  x_1  y_1  x_2  y_2\n", o->items * HEM__TEST_ITEM_PHOTOS);
  for (size_t i = o->items * HEM__TEST_ITEM_PHOTOS; i-- > 0;) { /* not in the order of the pairs */
    char name[256];
    int c[4];
    size_t item = i / HEM__TEST_ITEM_PHOTOS, photo = i % HEM__TEST_ITEM_PHOTOS;
    photo_path(o, item, photo, name);
    corners(item, photo, c);
    fprintf(file, "%s%-72s %d %d %03d %03d %03d %03d\n", o->no_img ? "" : "img/", name,
            kinds[item % KINDS].clothes_type, is_shop(photo) ? 1 : 2, c[0], c[1], c[2], c[3]);
  }
  ck_assert_int_eq(fclose(file), 0);
}

static void write_items(const char *root, const hem__test_deepfashion *o) {
  FILE *file = create(root, "Anno/list_item_consumer2shop.txt");
  fprintf(file, "%zu\n", o->items);
  for (size_t i = 0; i < o->items; i++) fprintf(file, "id_%08zu\n", i + 1);
  ck_assert_int_eq(fclose(file), 0);
}

void hem__test_deepfashion_make(const char *root, const hem__test_deepfashion *o) {
  char *folder = hem__test_path(root, o->plain_folder ? "img" : "Img/img"), *inside = hem__test_path(folder, "");
  hem__test_make_folders(inside);
  write_pairs(root, o);
  write_boxes(root, o);
  write_items(root, o);
  for (size_t i = 0; o->photos && i < o->items * HEM__TEST_ITEM_PHOTOS; i++) {
    char name[256];
    photo_path(o, i / HEM__TEST_ITEM_PHOTOS, i % HEM__TEST_ITEM_PHOTOS, name);
    char *path = hem__test_path(folder, name);
    hem__test_make_folders(path);
    hem__test_png(path, (unsigned)i, 40, 30);
    free(path);
  }
  free(inside);
  free(folder);
}

void hem__test_replace(const char *path, const char *from, const char *to) {
  size_t size, from_size = strlen(from);
  uint8_t *bytes = hem__test_read(path, &size), *at = memmem(bytes, size, from, from_size);
  ck_assert_msg(at != NULL, "%s lacks %s", path, from);
  uint8_t *rest = at + from_size;
  size_t rest_size = size - (size_t)(rest - bytes);
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fwrite(bytes, 1, (size_t)(at - bytes), file);
  fputs(to, file);
  fwrite(rest, 1, rest_size, file);
  ck_assert_int_eq(fclose(file), 0);
  free(bytes);
}
