/* Contact sheets: the hits are the exact nearest, the right ones are marked, what was missed is shown. */
#include <stdio.h>
#include <string.h>

#include "bench/sheets.h"
#include "support/make_catalog.h"

enum { DIM = 2, SHOP = 60, QUERIES = 10 };

static const char *folder(void) {
  static const char *made;
  if (!made) made = hem__test_folder();
  return made;
}

/* Saves one picture for all photos; false without libvips. */
static bool save_picture(const char *path, hem__digest *digest) {
  uint8_t *png = NULL;
  size_t size = 0;
  hem__image image = {0};
  hem_error e;
  ck_ok(hem__image_new(300, 200, &image, err));
  for (size_t i = 0; i < 300 * 200 * 3; i++) image.at[i] = (uint8_t)(i % 251);
  hem_status status = hem__image_png(&image, &png, &size, &e);
  hem__image_clear(&image);
  if (status) {
    puts("without libvips there are no photos to show");
    return false;
  }
  FILE *file = fopen(path, "wb");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(png, 1, size, file), size);
  fclose(file);
  *digest = hem__sha256_of(png, size);
  free(png);
  return true;
}

/* Shop photo i of item i lies at i on a line. Query i asks for item i: the even ones lie there, the odd ones 30 off.
 * Each photo is a part of one file. */
static hem__catalog *make(bool labels, bool shop_only, hem__accuracy *accuracy, hem__accuracy_options *options) {
  hem__made made = {.dim = DIM};
  hem__photo photo = {0};
  char *path = hem__test_path(folder(), "photo.png"), *file = hem__test_path(folder(), "sheets.h5"), item[16];
  hem__catalog *catalog = NULL;
  if (save_picture(path, &photo.source)) {
    photo.path = path;
    photo.width = 300;
    photo.height = 200;
    photo.item_id = photo.label = item;
    for (int32_t i = 0; i < SHOP + QUERIES; i++) {
      int32_t shown = i < SHOP ? i : (i - SHOP) * 2 + (i - SHOP) % 2;
      photo.domain = i < SHOP || shop_only ? HEM__SHOP : HEM__CONSUMER;
      photo.box = (hem__box){i, 0, 200, 200, HEM__PIXELS};
      snprintf(item, sizeof item, "%d", shown);
      if (labels && i >= SHOP) photo.item_id = "other";
      float v[DIM] = {(float)shown + 0.1F, 1};
      if (i >= SHOP && i % 2) v[0] += 30;
      hem__made_add(&made, photo, v);
    }
    hem__made_seal(&made, file);
    ck_ok(hem__catalog_open(file, &catalog, err));
    *options = (hem__accuracy_options){.query_split = -1, .gallery_split = -1, .threads = 2};
    ck_ok(hem__accuracy_measure(catalog, options, accuracy, err));
  }
  hem__made_clear(&made);
  free(path);
  free(file);
  return catalog;
}

START_TEST(ranks_of_every_query_are_kept) {
  hem__accuracy accuracy = {0};
  hem__accuracy_options options;
  hem__catalog *catalog = make(false, false, &accuracy, &options);
  if (!catalog) return;
  ck_assert_uint_eq(accuracy.query_count, QUERIES);
  ck_assert_uint_eq(accuracy.query_values, 3);
  ck_assert_uint_eq(accuracy.row_count, 3); /* one category, "all": no second block of sums */
  for (size_t q = 0; q < QUERIES; q++) {
    ck_assert_uint_eq(accuracy.query_rows[q], SHOP + q);
    for (size_t d = 0; d < 2; d++) /* l1 and l2 */
      ck_assert_uint_eq(accuracy.query_ranks[q * 3 + d] > 20, q % 2);
  }
  hem__accuracy_clear(&accuracy);
  hem__catalog_close(catalog);
}
END_TEST

START_TEST(right_and_wrong_queries_are_shown) {
  hem__accuracy accuracy = {0};
  hem__sheets_options options = {.approach = "made", .distance = HEM_L2, .each = 2};
  hem__sheets sheets = {0};
  hem__catalog *catalog = make(false, false, &accuracy, &options.accuracy);
  if (!catalog) return;
  ck_ok(hem__sheets_make(catalog, &accuracy, &options, &sheets, err));
  ck_assert_uint_eq(sheets.count, 4);
  ck_assert_int_eq(sheets.row->distance, HEM_L2);
  for (size_t i = 0; i < 4; i++) {
    const hem__sheet *sheet = &sheets.at[i];
    bool right = i < 2;
    ck_assert_ptr_nonnull(strstr(sheet->title, right ? "all: right, place 1" : "all: wrong, the first right one has"));
    ck_assert_uint_eq(sheet->hit_count, HEM__SHEET_HITS);
    ck_assert_uint_eq(sheet->query.image->width, 192);
    ck_assert(sheet->has_wanted == !right);
    for (size_t h = 0; h < sheet->hit_count; h++) {
      ck_assert(sheet->hits[h].right == (right && h == 0));
      ck_assert_uint_eq(sheet->hits[h].image->width, 112);
    }
    if (right) ck_assert_str_eq(sheet->hits[0].caption + strlen(sheet->query.caption), " 0.000");
    if (!right) ck_assert(sheet->wanted.right && !strncmp(sheet->wanted.caption, sheet->query.caption, 1));
  }
  hem__sheets_clear(&sheets);
  hem__accuracy_clear(&accuracy);
  hem__catalog_close(catalog);
}
END_TEST

START_TEST(the_best_is_chosen_and_what_there_is_not_is_refused) {
  hem__accuracy accuracy = {0};
  hem__sheets_options options = {.distance = -1, .each = 100};
  hem__sheets sheets = {0};
  hem__catalog *catalog = make(false, false, &accuracy, &options.accuracy);
  if (!catalog) return;
  ck_ok(hem__sheets_make(catalog, &accuracy, &options, &sheets, err));
  for (size_t i = 0; i < 3; i++) ck_assert_uint_ge(sheets.row->right[3], accuracy.rows[i].right[3]);
  ck_assert_uint_eq(sheets.count, QUERIES); /* no more than there are */
  hem__sheets_clear(&sheets);
  options.approach = "hog";
  ck_fails(hem__sheets_make(catalog, &accuracy, &options, &sheets, err), HEM_EINVAL, "made");
  options = (hem__sheets_options){.accuracy = options.accuracy, .distance = HEM_IP, .each = 1};
  ck_fails(hem__sheets_make(catalog, &accuracy, &options, &sheets, err), HEM_EINVAL, "cosine");
  hem__accuracy_clear(&accuracy);
  hem__catalog_close(catalog);
}
END_TEST

START_TEST(labels_are_right_where_items_are_not_compared) {
  hem__accuracy accuracy = {0};
  hem__sheets_options options = {.distance = HEM_L1, .each = 1};
  hem__sheets sheets = {0};
  hem__catalog *catalog = make(true, false, &accuracy, &options.accuracy);
  if (!catalog) return;
  ck_assert(accuracy.by_label);
  ck_ok(hem__sheets_make(catalog, &accuracy, &options, &sheets, err));
  ck_assert_uint_eq(sheets.count, 2);
  ck_assert(sheets.at[0].hits[0].right);
  ck_assert(!sheets.at[1].hits[0].right);
  hem__sheets_clear(&sheets);
  hem__accuracy_clear(&accuracy);
  hem__catalog_close(catalog);
}
END_TEST

START_TEST(a_photo_does_not_answer_itself) {
  hem__accuracy accuracy = {0};
  hem__sheets_options options = {.distance = HEM_L2, .each = 10};
  hem__sheets sheets = {0};
  hem__catalog *catalog = make(false, true, &accuracy, &options.accuracy);
  if (!catalog) return;
  ck_assert(accuracy.leave_one_out);
  ck_ok(hem__sheets_make(catalog, &accuracy, &options, &sheets, err));
  size_t wrong = 0;
  for (size_t i = 0; i < sheets.count; i++) {
    if (!strstr(sheets.at[i].title, "wrong")) continue;
    wrong++;
    for (size_t h = 0; h < sheets.at[i].hit_count; h++) ck_assert(!sheets.at[i].hits[h].right);
  }
  ck_assert_uint_gt(wrong, 0);
  hem__sheets_clear(&sheets);
  hem__accuracy_clear(&accuracy);
  hem__catalog_close(catalog);
}
END_TEST

HEM_TESTS("sheets", ranks_of_every_query_are_kept, right_and_wrong_queries_are_shown,
          the_best_is_chosen_and_what_there_is_not_is_refused, labels_are_right_where_items_are_not_compared,
          a_photo_does_not_answer_itself)
