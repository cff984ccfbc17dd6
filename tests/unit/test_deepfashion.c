/* DeepFashion's published layout: all of it is listed, once; and what happens to each kind of damage. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/listed.h"
#include "support/make_deepfashion.h"
#include "support/make_idx.h"
#include "test.h"

#define PAIRS "Eval/list_eval_partition.txt"
#define BOXES "Anno/list_bbox_consumer2shop.txt"

static hem__source *opened(const char *root, bool whole) {
  hem__source *source = NULL;
  ck_ok(hem__source_deepfashion(root, whole, &source, err));
  return source;
}

static hem_status open_only(const char *root, hem_error *err) {
  hem__source *source = NULL;
  hem_status status = hem__source_deepfashion(root, false, &source, err);
  ck_assert_msg(!status || !source, "an output was written on failure");
  if (source) source->close(source);
  return status;
}

static const char *made(const hem__test_deepfashion *options) {
  const char *root = hem__test_subfolder();
  hem__test_deepfashion_make(root, options);
  return root;
}

static void replace(const char *root, const char *name, const char *from, const char *to) {
  char *path = hem__test_path(root, name);
  hem__test_replace(path, from, to);
  free(path);
}

/* Photos first..last-1, as they were made. */
static void are_listed(hem__source *s, const hem__test_deepfashion *o, size_t first, size_t last, bool whole) {
  for (size_t i = first; i < last; i++) {
    hem__photo photo;
    hem__test_deepfashion_photo(o, i, &photo);
    if (whole) photo.box = (hem__box){0};
    hem__test_is(s, photo);
    if (i % 7 == 0) s->forget(s);
  }
}

START_TEST(all_is_listed_once_in_the_order_of_the_pairs) {
  const hem__test_deepfashion kinds[] = {{.items = 20},
                                         {.items = 20, .plain_folder = true},
                                         {.items = 20, .usual_spelling = true},
                                         {.items = 20, .unpadded = true},
                                         {.items = 20, .no_img = true}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    hem__source *s = opened(made(&kinds[i]), false);
    ck_assert_uint_eq(s->count, 20 * HEM__TEST_ITEM_PHOTOS);
    are_listed(s, &kinds[i], 0, 20 * HEM__TEST_ITEM_PHOTOS, false);
    hem__test_ends(s);
  }
}
END_TEST

START_TEST(photos_lie_where_they_are_said_to) {
  const hem__test_deepfashion o = {.items = 3, .photos = true};
  hem__source *s = opened(made(&o), false);
  for (size_t i = 0; i < 3 * HEM__TEST_ITEM_PHOTOS; i++) {
    hem__listed row = hem__test_next(s);
    hem__image image = {0};
    hem_error why = {0};
    hem_status status = s->read(s, &row, NULL, &row.photo, &image, &why);
    if (status == HEM_ENOTFOUND || status == HEM_EUNSUPPORTED) break; /* this build has no libvips */
    ck_assert_msg(!status, "%s", why.message);
    ck_assert(row.photo.width == 40 && row.photo.height == 30);
    ck_assert(image.width == (size_t)row.photo.box.width && image.height == (size_t)row.photo.box.height);
    hem__image_clear(&image);
  }
  s->close(s);
}
END_TEST

START_TEST(whole_photos_need_no_boxes) {
  const hem__test_deepfashion o = {.items = 8};
  const char *root = made(&o);
  hem__source *s = opened(root, true);
  are_listed(s, &o, 0, 8 * HEM__TEST_ITEM_PHOTOS, true);
  hem__test_ends(s);
  char *boxes = hem__test_path(root, BOXES);
  ck_assert_int_eq(unlink(boxes), 0);
  ck_fails(open_only(root, err), HEM_ENOTFOUND, boxes);
  s = opened(root, true);
  are_listed(s, &o, 0, 5 * HEM__TEST_ITEM_PHOTOS, true);
  hem__listed row = hem__test_next(s); /* CLOTHING, and nothing says of what kind */
  ck_assert_str_eq(row.photo.label, "Jumpsuit");
  ck_assert_str_eq(row.photo.category, "upper");
  s->close(s);
  free(boxes);
}
END_TEST

START_TEST(what_is_missing_is_named) {
  const hem__test_deepfashion o = {.items = 2};
  ck_fails(open_only("/no/such/root", err), HEM_ENOTFOUND, "/no/such/root");
  ck_fails(open_only(hem__test_subfolder(), err), HEM_ENOTFOUND, "neither a folder Img/img nor img");
  const char *root = made(&o);
  char *pairs = hem__test_path(root, PAIRS);
  ck_assert_int_eq(unlink(pairs), 0);
  ck_fails(open_only(root, err), HEM_ENOTFOUND, PAIRS);
  free(pairs);
}
END_TEST

START_TEST(wrong_headers_and_counts_are_refused) {
  static const struct {
    const char *file, *from, *to, *words;
  } damages[] = {{PAIRS, "8\n", "9\n", "says it has 9 rows and has 8"},
                 {BOXES, "8\n", "7\n", "says it has 7 rows and has 8"},
                 {PAIRS, "8\n", "", "number of rows"},
                 {BOXES, "8\n", "8 8\n", "number of rows"},
                 {BOXES, "8\n", "-8\n", "number of rows"},
                 {BOXES, "8\n", "99999999999999999999\n", "number of rows"},
                 {PAIRS, "item_id", "item", "column 3 is item_id"},
                 {PAIRS, "evaluation_status", "", "column 4 is evaluation_status"},
                 {PAIRS, "evaluation_status", "evaluation_status more", "column 5 is one too many"},
                 {BOXES, "y_2", "y2", "column 7 is y_2"}};
  const hem__test_deepfashion o = {.items = 2};
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    const char *root = made(&o);
    replace(root, damages[i].file, damages[i].from, damages[i].to);
    hem_error why = {0};
    ck_assert_int_eq(open_only(root, &why), HEM_ECORRUPT);
    ck_assert_msg(strstr(why.message, damages[i].words) && strstr(why.message, damages[i].file), "%zu: %s", i,
                  why.message);
  }
  const char *root = made(&o);
  char *pairs = hem__test_path(root, PAIRS);
  hem__test_write(pairs, "", 0);
  ck_fails(open_only(root, err), HEM_ECORRUPT, "number of rows");
  hem__test_write(pairs, "0\n", 2);
  ck_fails(open_only(root, err), HEM_ECORRUPT, "second line");
  free(pairs);
}
END_TEST

/* Each pair is named by two more: a bad line takes no photo with it, but those that only it names. */
START_TEST(a_bad_pair_rejects_its_line) {
  static const struct {
    const char *from, *to, *words;
  } damages[] = {
      {"id_00000001    train", "id_00000001", "number of columns"},
      {"id_00000001    train", "id_00000001 train x", "number of columns"},
      {"id_00000001    train", "id_00000001 Train", "evaluation_status"},
      {"id_00000001    train", "id_00000009 train", "another item's folder"},
      {"img/TOPS/T_Shirt/id_00000001/comsumer_01", "img/TOPS/T_Shirt/id_00000002/comsumer_01", "another item"},
      {"img/TOPS/T_Shirt/id_00000001/comsumer_01", "img/TOPS/id_00000001/comsumer_01", "photo's name"},
      {"img/TOPS/T_Shirt/id_00000001/comsumer_01", "img/TOPS/../id_00000001/comsumer_01", "photo's name"},
      {"img/TOPS/T_Shirt/id_00000001/comsumer_01", "/TOPS/T_Shirt/id_00000001/comsumer_01", "photo's name"},
      {"img/TOPS/T_Shirt/id_00000001/comsumer_01", "img/TOPS/T_Shirt/id_00000001/street_01", "photo's name"}};
  const hem__test_deepfashion o = {.items = 2};
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    const char *root = made(&o);
    replace(root, PAIRS, damages[i].from, damages[i].to);
    hem__source *s = opened(root, false);
    hem__test_is_rejected(s, PAIRS ":3", damages[i].words);
    hem__photo photo;
    hem__test_deepfashion_photo(&o, 0, &photo); /* line 4 names it, too */
    hem__test_is(s, photo);
    hem__test_deepfashion_photo(&o, 2, &photo);
    hem__test_is(s, photo);
    s->close(s);
  }
}
END_TEST

START_TEST(a_bad_box_rejects_its_photo) {
  static const struct {
    const char *from, *to, *words;
  } damages[] = {{"000 001 020 025", "000 001 020", BOXES ":10: the line has another number of columns"},
                 {"000 001 020 025", "000 001 020 025 030", "number of columns"},
                 {"000 001 020 025", "000 001 x 025", "whole numbers"},
                 {"000 001 020 025", "020 001 020 025", "empty"},
                 {"000 001 020 025", "000 026 020 025", "empty"},
                 {"1 2 000 001 020 025", "4 2 000 001 020 025", "clothes_type"},
                 {"1 2 000 001 020 025", "1 0 000 001 020 025", "source_type"},
                 {"id_00000001/comsumer_01", "id_00000001/comsumer_77", "has no box"},
                 {"id_00000001/comsumer_02", "id_00000001/comsumer_01", "two boxes"}};
  const hem__test_deepfashion o = {.items = 2};
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    const char *root = made(&o);
    replace(root, BOXES, damages[i].from, damages[i].to);
    hem__source *s = opened(root, false);
    hem__test_is_rejected(s, "/TOPS/T_Shirt/id_00000001/comsumer_01.jpg", damages[i].words);
    are_listed(s, &o, 1, 3, false);
    s->close(s);
  }
  const char *root = made(&o);
  replace(root, BOXES, "000 001 020 025", "-04 -01 020 025"); /* cut at the photo's edge */
  hem__source *s = opened(root, false);
  hem__box box = hem__test_next(s).photo.box;
  ck_assert(box.x == 0 && box.y == 0 && box.width == 20 && box.height == 25);
  s->close(s);
}
END_TEST

START_TEST(an_item_in_two_splits_is_rejected) {
  const hem__test_deepfashion o = {.items = 3};
  const char *root = made(&o);
  replace(root, PAIRS, "id_00000002    train", "id_00000002     test");
  hem__source *s = opened(root, false);
  are_listed(s, &o, 0, 4, false);
  for (size_t i = 0; i < 4; i++) hem__test_is_rejected(s, ".jpg", "two splits");
  are_listed(s, &o, 8, 12, false);
  hem__test_ends(s);
}
END_TEST

/* As large as the published lists: 48,885 items of four photos and four pairs make 195,540 of each. */
START_TEST(lists_of_the_published_size) {
  const hem__test_deepfashion o = {.items = 48885};
  struct timespec from, to;
  const char *root = made(&o);
  clock_gettime(CLOCK_MONOTONIC, &from);
  hem__source *s = opened(root, false);
  ck_assert_uint_eq(s->count, 195540);
  hem__listed row;
  bool more = true, fine = true;
  for (size_t i = 0; more && fine; i++) {
    if (i % 8192 == 0) s->forget(s);
    fine = s->next(s, &row, &more, NULL) == HEM_OK && !row.reason;
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
  ck_assert(fine);
  ck_assert_msg(seconds < 10, "listing took %.1f s", seconds);
  s->close(s);
}
END_TEST

HEM_TESTS("deepfashion", all_is_listed_once_in_the_order_of_the_pairs, photos_lie_where_they_are_said_to,
          whole_photos_need_no_boxes, what_is_missing_is_named, wrong_headers_and_counts_are_refused,
          a_bad_pair_rejects_its_line, a_bad_box_rejects_its_photo, an_item_in_two_splits_is_rejected,
          lists_of_the_published_size)
