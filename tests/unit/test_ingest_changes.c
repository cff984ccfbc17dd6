/* A shop changes: photos are replaced, relabelled, broken, mended and deleted, and the catalogue follows. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/catalog.h"
#include "ingest/segments.h"
#include "support/make_idx.h"
#include "test.h"

enum { PHOTOS = 6 };

/* A shop of six photos: p0.png ... p5.png of items i0 ... i5, and its listing. */
typedef struct shop {
  const char *folder;
  char *listing, *catalog;
} shop;

static char *photo_path(const shop *s, size_t i) {
  char name[16];
  snprintf(name, sizeof name, "p%zu.png", i);
  return hem__test_path(s->folder, name);
}

static void write_photo(const shop *s, size_t i, unsigned seed) {
  char *path = photo_path(s, i);
  ck_assert(hem__test_png(path, seed, 40, 30));
  hem__test_touch(path, 1600000000 + (long)seed);
  free(path);
}

/* Line i names photo i; `category` of photo 2 is the caller's. */
static void write_listing(const shop *s, const char *category) {
  char text[1024] = "path\titem_id\tcategory\n";
  for (size_t i = 0, at = strlen(text); i < PHOTOS; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "p%zu.png\ti%zu\t%s\n", i, i, i == 2 ? category : "dress");
  hem__test_write(s->listing, text, strlen(text));
}

static bool shop_open(shop *s) {
  *s = (shop){.folder = hem__test_subfolder()};
  char *path = photo_path(s, 0);
  bool can_write = hem__test_png(path, 0, 40, 30);
  free(path);
  if (!can_write) return false; /* built without libvips: there are no photos then */
  s->listing = hem__test_path(s->folder, "photos.tsv");
  s->catalog = hem__test_path(s->folder, "shop.h5");
  for (unsigned i = 0; i < PHOTOS; i++) write_photo(s, i, i);
  write_listing(s, "dress");
  return true;
}

static void shop_close(shop *s) {
  free(s->listing);
  free(s->catalog);
}

static hem_ingest_options options_of(const shop *s) {
  static const char *const features[] = {"color"};
  return (hem_ingest_options){.size = sizeof(hem_ingest_options),
                              .catalog = s->catalog,
                              .manifest = s->listing,
                              .features = features,
                              .feature_count = 1,
                              .threads = 2};
}

static void ingests(const shop *s, uint64_t added, uint64_t replaced, uint64_t skipped, uint64_t rejected) {
  hem_ingest_options options = options_of(s);
  hem_ingest_result r = {0};
  ck_ok(hem_ingest(&options, &r, err));
  ck_assert_msg(r.added == added && r.replaced == replaced && r.skipped == skipped && r.rejected == rejected,
                "%d added, %d replaced, %d skipped, %d rejected", (int)r.added, (int)r.replaced, (int)r.skipped,
                (int)r.rejected);
}

static hem__catalog *opened(const shop *s) {
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(s->catalog, &catalog, err));
  return catalog;
}

/* The row of photo i; fails the test unless there is exactly one. */
static size_t row_of(const hem__catalog *catalog, size_t i) {
  const hem__photos *photos = hem__catalog_photos(catalog);
  char item[16];
  size_t row = SIZE_MAX;
  snprintf(item, sizeof item, "i%zu", i);
  for (size_t r = 0; r < photos->count; r++) {
    if (strcmp(photos->at[r].item_id, item) != 0) continue;
    ck_assert_msg(row == SIZE_MAX, "%s is there twice", item);
    row = r;
  }
  ck_assert_msg(row != SIZE_MAX, "%s is not there", item);
  return row;
}

/* What the embedding of photo i must be: that of a shop which never had another one. */
static void embeds_as_is(const shop *s, size_t i) {
  hem_embedder *embedder = NULL;
  hem__catalog *catalog = opened(s);
  hem__matrix all = hem__catalog_matrix(catalog, 0);
  float *wanted = calloc(all.dim, sizeof *wanted);
  char *path = photo_path(s, i);
  ck_ok(hem_embedder_new("color", &embedder, err));
  ck_ok(hem_embedder_photo(embedder, path, wanted, err));
  ck_assert_mem_eq(hem__row(all, row_of(catalog, i)), wanted, all.dim * sizeof *wanted);
  hem_embedder_free(embedder);
  hem__catalog_close(catalog);
  free(wanted);
  free(path);
}

static size_t photo_count(const shop *s) {
  hem__catalog *catalog = opened(s);
  size_t count = hem__catalog_photos(catalog)->count;
  hem__catalog_close(catalog);
  return count;
}

static size_t rejected_count(const shop *s) {
  hem__catalog *catalog = opened(s);
  size_t count = hem__catalog_photos(catalog)->rejected_count;
  hem__catalog_close(catalog);
  return count;
}

START_TEST(a_changed_photo_replaces_the_old_one) {
  shop s;
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  write_photo(&s, 3, 33);
  ingests(&s, 0, 1, PHOTOS - 1, 0);
  ck_assert_uint_eq(photo_count(&s), PHOTOS);
  for (size_t i = 0; i < PHOTOS; i++) embeds_as_is(&s, i);
  ingests(&s, 0, 0, PHOTOS, 0);
  shop_close(&s);
}
END_TEST

/* Size and time say that something happened; the bytes say that nothing did. */
START_TEST(a_touched_photo_is_not_embedded_again) {
  shop s;
  struct stat before, after;
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  ck_assert_int_eq(stat(s.catalog, &before), 0);
  char *path = photo_path(&s, 1);
  hem__test_touch(path, 1700000000);
  ingests(&s, 0, 0, PHOTOS, 0);
  ck_assert_int_eq(stat(s.catalog, &after), 0);
  ck_assert(before.st_ino == after.st_ino);
  free(path);
  shop_close(&s);
}
END_TEST

/* Same size, same time, other bytes: the price of not reading every photo again, as in rsync and make. */
START_TEST(size_and_time_are_believed) {
  shop s;
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  char *path = photo_path(&s, 1);
  hem__test_flip(path, 60);
  hem__test_touch(path, 1600000001);
  ingests(&s, 0, 0, PHOTOS, 0);
  free(path);
  shop_close(&s);
}
END_TEST

START_TEST(a_relabelled_photo_replaces_the_old_one) {
  shop s;
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  write_listing(&s, "skirt");
  ingests(&s, 0, 1, PHOTOS - 1, 0);
  hem__catalog *catalog = opened(&s);
  ck_assert_str_eq(hem__catalog_photos(catalog)->at[row_of(catalog, 2)].category, "skirt");
  hem__catalog_close(catalog);
  embeds_as_is(&s, 2);
  shop_close(&s);
}
END_TEST

static void deletes(const shop *s, const char *item, const char *path, uint64_t deleted, uint64_t missing) {
  hem_delete_options options = {.size = sizeof options,
                                .catalog = s->catalog,
                                .items = &item,
                                .item_count = item != NULL,
                                .paths = &path,
                                .path_count = path != NULL};
  hem_delete_result r = {0};
  ck_ok(hem_delete(&options, &r, err));
  ck_assert_msg(r.deleted == deleted && r.missing == missing, "%d deleted, %d missing", (int)r.deleted, (int)r.missing);
  ck_assert_uint_eq(r.rows, photo_count(s));
}

/* What was good is kept until there is something better; that the file is broken is on record meanwhile. */
START_TEST(a_photo_that_broke_is_kept_and_reported) {
  shop s;
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  char *path = photo_path(&s, 4);
  hem__test_write(path, "no photo", 8);
  for (size_t runs = 0; runs < 2; runs++) {
    ingests(&s, 0, 0, PHOTOS - 1, 1);
    ck_assert_uint_eq(photo_count(&s), PHOTOS);
    ck_assert_uint_eq(rejected_count(&s), 1);
  }
  deletes(&s, "i0", NULL, 1, 0); /* a new catalogue, which nobody has tried the photo for again */
  ck_assert_uint_eq(rejected_count(&s), 1);
  write_photo(&s, 4, 4);
  ingests(&s, 1, 0, PHOTOS - 1, 0);
  ck_assert_uint_eq(rejected_count(&s), 0);
  hem__test_write(path, "no photo", 8);
  ingests(&s, 0, 0, PHOTOS - 1, 1);
  write_photo(&s, 4, 44);
  ingests(&s, 0, 1, PHOTOS - 1, 0);
  ck_assert_uint_eq(rejected_count(&s), 0);
  embeds_as_is(&s, 4);
  free(path);
  shop_close(&s);
}
END_TEST

static bool stop_at_sealing(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)context, (void)done, (void)total, (void)unit;
  return strcmp(stage, "seal") != 0;
}

/* A run that embedded new photos and was stopped before they reached the catalogue. */
static void leave_segments(const shop *s) {
  hem_ingest_options options = options_of(s);
  options.progress = (hem_progress){.report = stop_at_sealing};
  ck_fails(hem_ingest(&options, NULL, err), HEM_ECANCELED, "");
}

START_TEST(the_newest_of_several_segments_wins) {
  shop s;
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  for (unsigned seed = 50; seed < 53; seed++) {
    write_photo(&s, 5, seed);
    leave_segments(&s);
  }
  ingests(&s, 0, 0, PHOTOS, 0);
  ck_assert_uint_eq(photo_count(&s), PHOTOS);
  embeds_as_is(&s, 5);
  shop_close(&s);
}
END_TEST

/* Killed between the new catalogue's rename and the removal of its segments: they come to nothing. */
START_TEST(segments_that_were_folded_are_recognised) {
  shop s;
  char command[512];
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  write_photo(&s, 5, 55);
  leave_segments(&s);
  snprintf(command, sizeof command, "cp -r '%s.segments' '%s.kept'", s.catalog, s.catalog);
  ck_assert_int_eq(system(command), 0);
  ingests(&s, 0, 0, PHOTOS, 0);
  write_photo(&s, 5, 56);
  ingests(&s, 0, 1, PHOTOS - 1, 0);
  snprintf(command, sizeof command, "mv '%s.kept' '%s.segments'", s.catalog, s.catalog);
  ck_assert_int_eq(system(command), 0);
  ingests(&s, 0, 0, PHOTOS, 0);
  ck_assert_uint_eq(photo_count(&s), PHOTOS);
  embeds_as_is(&s, 5);
  shop_close(&s);
}
END_TEST

/* A run that was killed while it wrote a segment leaves part of one. */
START_TEST(a_half_written_segment_is_swept) {
  shop s;
  if (!shop_open(&s)) return;
  leave_segments(&s);
  char *beside = hem__test_path(s.folder, "shop.h5.segments"), *half = hem__test_path(beside, "000007.h5.tmp");
  hem__test_write(half, "half", 4);
  ingests(&s, 0, 0, PHOTOS, 0);
  ck_assert(!hem__path_exists(beside));
  free(beside);
  free(half);
  shop_close(&s);
}
END_TEST

START_TEST(a_space_without_features_is_refused) {
  static const char *const features[] = {"color", NULL};
  shop s;
  if (!shop_open(&s)) return;
  hem_ingest_options options = options_of(&s);
  options.features = features;
  options.feature_count = 2;
  ck_fails(hem_ingest(&options, NULL, err), HEM_EINVAL, "features[1] is NULL");
  shop_close(&s);
}
END_TEST

START_TEST(any_number_of_threads_will_do) {
  static const char *const features[] = {"color", "hue"};
  shop s;
  if (!shop_open(&s)) return;
  hem_ingest_options options = options_of(&s);
  options.features = features;
  options.feature_count = 2;
  options.threads = SIZE_MAX / 2 + 2; /* twice that is 2 */
  ck_ok(hem_ingest(&options, NULL, err));
  ck_assert_uint_eq(photo_count(&s), PHOTOS);
  shop_close(&s);
}
END_TEST

/* ---- deleting ---- */

START_TEST(a_deleted_item_is_gone_and_the_others_stay) {
  shop s;
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  deletes(&s, "i1", NULL, 1, 0);
  ck_assert_uint_eq(photo_count(&s), PHOTOS - 1);
  for (size_t i = 0; i < PHOTOS; i++)
    if (i != 1) embeds_as_is(&s, i);
  deletes(&s, "i1", NULL, 0, 1);
  char *path = photo_path(&s, 3), *real = realpath(path, NULL);
  deletes(&s, "i0", real, 2, 0);
  ck_assert_uint_eq(photo_count(&s), PHOTOS - 3);
  ingests(&s, 3, 0, PHOTOS - 3, 0);
  free(real);
  free(path);
  shop_close(&s);
}
END_TEST

START_TEST(all_can_be_deleted) {
  shop s;
  const char *items[] = {"i0", "i1", "i2", "i3", "i4", "i5", "i6"};
  if (!shop_open(&s)) return;
  ingests(&s, PHOTOS, 0, 0, 0);
  hem_delete_options options = {.size = sizeof options, .catalog = s.catalog, .items = items, .item_count = 7};
  hem_delete_result r = {0};
  ck_ok(hem_delete(&options, &r, err));
  ck_assert(r.deleted == PHOTOS && r.missing == 1 && r.rows == 0);
  ingests(&s, PHOTOS, 0, 0, 0);
  shop_close(&s);
}
END_TEST

START_TEST(deleting_from_an_unfinished_ingest) {
  shop s;
  if (!shop_open(&s)) return;
  leave_segments(&s);
  deletes(&s, "i2", NULL, 1, 0);
  ck_assert_uint_eq(photo_count(&s), PHOTOS - 1);
  shop_close(&s);
}
END_TEST

START_TEST(deletions_that_make_no_sense) {
  shop s;
  if (!shop_open(&s)) return;
  hem_delete_options options = {.size = sizeof options, .catalog = s.catalog};
  ck_fails(hem_delete(&options, NULL, err), HEM_EINVAL, "name the items");
  const char *item = "i1", *none = NULL;
  options.items = &none;
  options.item_count = 1;
  ck_fails(hem_delete(&options, NULL, err), HEM_EINVAL, "is NULL");
  options.items = &item;
  options.item_count = 1;
  ck_fails(hem_delete(&options, NULL, err), HEM_ENOTFOUND, "shop.h5");
  options.catalog = NULL;
  ck_fails(hem_delete(&options, NULL, err), HEM_EINVAL, "name the catalogue");
  shop_close(&s);
}
END_TEST

HEM_TESTS("ingest changes", a_changed_photo_replaces_the_old_one, a_touched_photo_is_not_embedded_again,
          size_and_time_are_believed, a_relabelled_photo_replaces_the_old_one, a_photo_that_broke_is_kept_and_reported,
          the_newest_of_several_segments_wins, segments_that_were_folded_are_recognised,
          a_half_written_segment_is_swept, any_number_of_threads_will_do, a_space_without_features_is_refused,
          a_deleted_item_is_gone_and_the_others_stay, all_can_be_deleted, deleting_from_an_unfinished_ingest,
          deletions_that_make_no_sense)
