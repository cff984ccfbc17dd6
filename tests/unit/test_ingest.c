/* hem_ingest as its callers see it: what is added, skipped and rejected, and that however a run ends, the same call
 * again makes the catalogue that an undisturbed run would have made, byte for byte. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/catalog.h"
#include "support/make_idx.h"
#include "test.h"

static const char *const pixels[] = {"pixels"};
static const char *const two_spaces[] = {"pixels", "hog,color"};

static hem_ingest_options idx_options(const char *catalog, const char *folder) {
  return (hem_ingest_options){.size = sizeof(hem_ingest_options),
                              .catalog = catalog,
                              .idx = folder,
                              .features = pixels,
                              .feature_count = 1,
                              .segment_rows = 100,
                              .threads = 2};
}

/* Runs the call, and checks its four counts. */
static void ingests(hem_ingest_options options, uint64_t added, uint64_t skipped, uint64_t rejected, uint64_t rows) {
  hem_ingest_result r = {0};
  ck_ok(hem_ingest(&options, &r, err));
  ck_assert_msg(r.added == added && r.skipped == skipped && r.rejected == rejected && r.rows == rows,
                "%d added, %d skipped, %d rejected, %d rows", (int)r.added, (int)r.skipped, (int)r.rejected,
                (int)r.rows);
}

/* Lives as long as hem__test_subfolder()'s. */
static const char *idx_folder(size_t train, size_t t10k) {
  /* Photos are named after their folder: always the same. */
  static char folders[64][256];
  static size_t count;
  char *folder = folders[count++ % 64];
  snprintf(folder, sizeof folders[0], "%s/fm", hem__test_subfolder());
  ck_ok(hem__make_folder(folder, err));
  if (train) hem__test_idx(folder, "train", train);
  if (t10k) hem__test_idx(folder, "t10k", t10k);
  return folder;
}

/* Lives until the third call after it. */
static const char *idx_folder_named(const char *name, size_t train, size_t t10k) {
  static char folders[3][128];
  static size_t next;
  char *folder = folders[next++ % 3];
  snprintf(folder, sizeof folders[0], "%s/%s", hem__test_subfolder(), name);
  ck_assert_int_eq(mkdir(folder, 0777), 0);
  if (train) hem__test_idx(folder, "train", train);
  if (t10k) hem__test_idx(folder, "t10k", t10k);
  return folder;
}

static hem__catalog *opened(const char *path) {
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(path, &catalog, err));
  return catalog;
}

static void no_segments(const char *catalog) {
  char *folder = NULL;
  ck_assert_int_gt(asprintf(&folder, "%s.segments", catalog), 0);
  ck_assert_msg(!hem__path_exists(folder), "%s was left behind", folder);
  free(folder);
}

/* ---- idx, end to end ---- */

START_TEST(idx_photos_come_out_as_they_went_in) {
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
  ingests(idx_options(path, idx_folder(150, 50)), 200, 0, 0, 200);
  hem__catalog *catalog = opened(path);
  const hem__photos *photos = hem__catalog_photos(catalog);
  hem__matrix m = hem__catalog_matrix(catalog, 0);
  ck_assert(photos->count == 200 && m.rows == 200 && m.dim == HEM__TEST_PIXELS);
  ck_assert_str_eq(hem__catalog_space(catalog, 0)->name, "pixels");
  for (size_t row = 0; row < 200; row++) {
    uint8_t grey[HEM__TEST_PIXELS];
    hem__test_pixels(row < 150 ? "train" : "t10k", row < 150 ? row : row - 150, grey);
    hem__digest wanted = hem__sha256_of(grey, sizeof grey);
    ck_assert(hem__digest_equal(&photos->at[row].source, &wanted));
    ck_assert_int_eq(photos->at[row].domain, row < 150 ? HEM__SHOP : HEM__CONSUMER);
    size_t wrong = 0;
    for (size_t i = 0; i < HEM__TEST_PIXELS; i++) wrong += hem__row(m, row)[i] != (float)grey[i];
    ck_assert_uint_eq(wrong, 0);
  }
  hem__catalog_close(catalog);
  no_segments(path);
  free(path);
}
END_TEST

START_TEST(a_rerun_adds_nothing_and_touches_nothing) {
  const char *folder = idx_folder(100, 30);
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
  struct stat before, after;
  ingests(idx_options(path, folder), 130, 0, 0, 130);
  ck_assert_int_eq(stat(path, &before), 0);
  ingests(idx_options(path, folder), 0, 130, 0, 130);
  ck_assert_int_eq(stat(path, &after), 0);
  ck_assert(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
            before.st_mtim.tv_sec == after.st_mtim.tv_sec);
  no_segments(path);
  free(path);
}
END_TEST

START_TEST(threads_and_segments_do_not_change_the_bytes) {
  static const size_t threads[] = {1, 2, 5}, rows[] = {0, 7, 1000};
  const char *folder = idx_folder(100, 40);
  char *first = hem__test_path(hem__test_subfolder(), "fm.h5");
  hem_ingest_options options = idx_options(first, folder);
  options.features = two_spaces;
  options.feature_count = 2;
  ingests(options, 140, 0, 0, 140);
  for (size_t i = 0; i < 3; i++) {
    char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
    options.catalog = path;
    options.threads = threads[i];
    options.segment_rows = rows[i];
    ingests(options, 140, 0, 0, 140);
    hem__test_same_file(first, path);
    free(path);
  }
  free(first);
}
END_TEST

START_TEST(spaces_lie_side_by_side) {
  const char *folder = idx_folder(60, 0);
  char *both = hem__test_path(hem__test_subfolder(), "both.h5"), *one = hem__test_path(hem__test_subfolder(), "one.h5");
  hem_ingest_options options = idx_options(both, folder);
  options.features = two_spaces;
  options.feature_count = 2;
  ingests(options, 60, 0, 0, 60);
  options = idx_options(one, folder);
  options.features = two_spaces + 1;
  ingests(options, 60, 0, 0, 60);
  hem__catalog *two = opened(both), *single = opened(one);
  ck_assert_uint_eq(hem__catalog_space_count(two), 2);
  ck_assert_str_eq(hem__catalog_space(two, 0)->name, "hog+color");
  ck_assert_str_eq(hem__catalog_space(two, 1)->name, "pixels");
  hem__matrix a = hem__catalog_matrix(two, 0), b = hem__catalog_matrix(single, 0);
  ck_assert(a.rows == b.rows && a.dim == b.dim);
  ck_assert(memcmp(a.at, b.at, a.rows * a.dim * sizeof(float)) == 0);
  hem__catalog_close(two);
  hem__catalog_close(single);
  free(both);
  free(one);
}
END_TEST

/* ---- stopping and going on ---- */

static bool stop_after(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)stage, (void)done, (void)total, (void)unit;
  return (*(int *)context)-- > 0;
}

/* Stopped at its first report, its second, and so on until a run is not stopped; then run once more. */
START_TEST(a_stopped_run_goes_on_to_the_same_bytes) {
  const char *folder = idx_folder(300, 100);
  char *whole = hem__test_path(hem__test_subfolder(), "fm.h5");
  ingests(idx_options(whole, folder), 400, 0, 0, 400);
  int stopped = 0;
  for (int reports = 0; reports < 100; reports++) {
    int left = reports;
    char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
    hem_ingest_options options = idx_options(path, folder);
    hem_ingest_result r = {.rows = 77};
    options.progress = (hem_progress){.report = stop_after, .context = &left};
    hem_error why = {0};
    hem_status status = hem_ingest(&options, &r, &why);
    if (status) {
      ck_assert_msg(status == HEM_ECANCELED && r.rows == 77, "%s", why.message);
      stopped++;
      options.progress = (hem_progress){0};
      ck_ok(hem_ingest(&options, &r, err));
      ck_assert_uint_eq(r.rows, 400);
      ck_assert_uint_eq(r.added + r.skipped, 400);
    }
    hem__test_same_file(whole, path);
    no_segments(path);
    unlink(path);
    free(path);
    if (!status) break;
  }
  ck_assert_int_ge(stopped, 5);
  free(whole);
}
END_TEST

/* Stopped again and again, at the second report each time: every run gets further. */
START_TEST(a_run_that_is_stopped_often_arrives) {
  const char *folder = idx_folder(300, 0);
  char *whole = hem__test_path(hem__test_subfolder(), "fm.h5"), *path = hem__test_path(hem__test_subfolder(), "fm.h5");
  ingests(idx_options(whole, folder), 300, 0, 0, 300);
  hem_status status = HEM_ECANCELED;
  int runs = 0;
  for (; status == HEM_ECANCELED && runs < 50; runs++) {
    int left = 1;
    hem_ingest_options options = idx_options(path, folder);
    options.progress = (hem_progress){.report = stop_after, .context = &left};
    status = hem_ingest(&options, NULL, NULL);
  }
  ck_assert_msg(status == HEM_OK && runs > 2, "%s after %d runs", hem_status_name(status), runs);
  hem__test_same_file(whole, path);
  free(whole);
  free(path);
}
END_TEST

START_TEST(an_append_that_is_stopped_leaves_the_catalogue) {
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5"), *copy = hem__test_path(hem__test_subfolder(), "copy.h5");
  size_t size;
  ingests(idx_options(path, idx_folder(100, 0)), 100, 0, 0, 100);
  uint8_t *bytes = hem__test_read(path, &size);
  hem__test_write(copy, bytes, size);
  int left = 1;
  hem_ingest_options options = idx_options(path, idx_folder(0, 200));
  options.progress = (hem_progress){.report = stop_after, .context = &left};
  ck_fails(hem_ingest(&options, NULL, err), HEM_ECANCELED, "run the same command again");
  hem__test_same_file(path, copy);
  options.progress = (hem_progress){0};
  ck_ok(hem_ingest(&options, NULL, err));
  hem__catalog *catalog = opened(path);
  ck_assert_uint_eq(hem__catalog_photos(catalog)->count, 300);
  hem__catalog_close(catalog);
  free(bytes);
  free(path);
  free(copy);
}
END_TEST

START_TEST(a_second_source_is_appended) {
  /* Folders of one name: it is part of the photos' names. */
  const char *train = idx_folder_named("fm", 90, 0), *t10k = idx_folder_named("fm", 0, 40);
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5"), *whole = hem__test_path(hem__test_subfolder(), "fm.h5");
  ingests(idx_options(path, train), 90, 0, 0, 90);
  ingests(idx_options(path, t10k), 40, 0, 0, 130);
  ingests(idx_options(path, train), 0, 90, 0, 130);
  ingests(idx_options(whole, idx_folder_named("fm", 90, 40)), 130, 0, 0, 130);
  hem__test_same_file(whole, path);
  free(path);
  free(whole);
}
END_TEST

/* ---- photos that cannot be read ---- */

static hem_ingest_options listing_options(const char *catalog, const char *listing) {
  hem_ingest_options options = idx_options(catalog, NULL);
  options.manifest = listing;
  return options;
}

/* good.png, late.png (missing at first), bad.png (no photo), a line that makes no sense, good2.png. */
START_TEST(rejected_photos_are_listed_and_tried_again) {
  static const char text[] =
      "path\tdomain\ngood.png\tshop\nlate.png\tshop\nbad.png\tshop\nx.png\tnowhere\ngood2.png\t\n";
  const char *folder = hem__test_subfolder();
  char *listing = hem__test_path(folder, "photos.tsv"), *path = hem__test_path(folder, "shop.h5");
  char *good = hem__test_path(folder, "good.png"), *good2 = hem__test_path(folder, "good2.png");
  char *late = hem__test_path(folder, "late.png"), *bad = hem__test_path(folder, "bad.png");
  if (!hem__test_png(good, 1, 40, 30) || !hem__test_png(good2, 2, 28, 28)) return;
  hem__test_write(listing, text, sizeof text - 1);
  hem__test_write(bad, "not a photo", 11);
  ingests(listing_options(path, listing), 2, 0, 3, 2);
  hem__catalog *catalog = opened(path);
  const hem__photos *photos = hem__catalog_photos(catalog);
  ck_assert_uint_eq(photos->rejected_count, 3);
  ck_assert_str_eq(photos->rejected[0].path, late);
  ck_assert_ptr_nonnull(strstr(photos->rejected[0].reason, "No such file"));
  ck_assert_str_eq(photos->rejected[1].path, bad);
  ck_assert_uint_gt(strlen(photos->rejected[1].reason), 10);
  ck_assert_ptr_nonnull(strstr(photos->rejected[2].path, "photos.tsv:5"));
  ck_assert_ptr_nonnull(strstr(photos->rejected[2].reason, "domain"));
  hem__catalog_close(catalog);

  ingests(listing_options(path, listing), 0, 2, 3, 2);
  ck_assert(hem__test_png(late, 3, 20, 20));
  ingests(listing_options(path, listing), 1, 2, 2, 3);
  catalog = opened(path);
  photos = hem__catalog_photos(catalog);
  ck_assert_uint_eq(photos->count, 3);
  ck_assert_str_eq(photos->at[2].path, late);
  ck_assert_uint_eq(photos->rejected_count, 2);
  ck_assert_str_eq(photos->rejected[0].path, bad);
  hem__catalog_close(catalog);

  /* The line that nobody could read goes away; nothing is added, and yet its rejection goes too. */
  hem__test_write(listing, "path\ngood.png\n", 14);
  ingests(listing_options(path, listing), 0, 1, 0, 3);
  catalog = opened(path);
  ck_assert_uint_eq(hem__catalog_photos(catalog)->rejected_count, 1);
  hem__catalog_close(catalog);
  char *all[] = {listing, path, good, good2, late, bad};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
END_TEST

START_TEST(a_photo_listed_twice_is_kept_once) {
  const char *folder = hem__test_subfolder();
  char *listing = hem__test_path(folder, "photos.tsv"), *path = hem__test_path(folder, "shop.h5");
  char *good = hem__test_path(folder, "good.png");
  if (!hem__test_png(good, 1, 40, 30)) return;
  hem__test_write(listing, "path\ngood.png\ngood.png\n", 23);
  ingests(listing_options(path, listing), 1, 1, 0, 1);
  free(listing);
  free(path);
  free(good);
}
END_TEST

START_TEST(two_garments_of_one_picture_are_two_photos) {
  static const char text[] =
      "path\titem_id\tcategory\tbox\ngood.png\ttop\tupper\t0,0,40,15\ngood.png\tskirt\tskirt\t0,15,40,15\n";
  const char *folder = hem__test_subfolder();
  char *listing = hem__test_path(folder, "photos.tsv"), *path = hem__test_path(folder, "shop.h5");
  char *good = hem__test_path(folder, "good.png");
  if (!hem__test_png(good, 1, 40, 30)) return;
  hem__test_write(listing, text, sizeof text - 1);
  ingests(listing_options(path, listing), 2, 0, 0, 2);
  ingests(listing_options(path, listing), 0, 2, 0, 2);
  hem__catalog *catalog = opened(path);
  ck_assert_str_eq(hem__catalog_photos(catalog)->at[1].category, "skirt");
  ck_assert_int_eq(hem__catalog_photos(catalog)->at[1].box.y, 15);
  hem__catalog_close(catalog);
  free(listing);
  free(path);
  free(good);
}
END_TEST

START_TEST(a_photo_that_is_there_as_something_else_is_rejected) {
  static const char text[] = "path\titem_id\ngood.png\tone\ngood.png\ttwo\n";
  const char *folder = hem__test_subfolder();
  char *listing = hem__test_path(folder, "photos.tsv"), *path = hem__test_path(folder, "shop.h5");
  char *good = hem__test_path(folder, "good.png");
  if (!hem__test_png(good, 1, 40, 30)) return;
  hem__test_write(listing, text, sizeof text - 1);
  ingests(listing_options(path, listing), 1, 0, 1, 1);
  hem__catalog *catalog = opened(path);
  ck_assert_uint_eq(hem__catalog_photos(catalog)->rejected_count, 1);
  ck_assert_ptr_nonnull(strstr(hem__catalog_photos(catalog)->rejected[0].path, "photos.tsv:3"));
  ck_assert_ptr_nonnull(strstr(hem__catalog_photos(catalog)->rejected[0].reason, "another item"));
  hem__catalog_close(catalog);
  free(listing);
  free(path);
  free(good);
}
END_TEST

START_TEST(a_catalogue_behind_a_link_is_the_one_that_grows) {
  const char *folder = hem__test_subfolder();
  char *real = hem__test_path(folder, "real.h5"), *link_path = hem__test_path(folder, "link.h5");
  ingests(idx_options(real, idx_folder(20, 0)), 20, 0, 0, 20);
  ck_assert_int_eq(symlink("real.h5", link_path), 0);
  ingests(idx_options(link_path, idx_folder(0, 5)), 5, 0, 0, 25);
  struct stat st;
  ck_assert(lstat(link_path, &st) == 0 && S_ISLNK(st.st_mode));
  hem__catalog *catalog = opened(real);
  ck_assert_uint_eq(hem__catalog_photos(catalog)->count, 25);
  hem__catalog_close(catalog);
  free(real);
  free(link_path);
}
END_TEST

START_TEST(what_others_left_beside_a_catalogue_stays) {
  const char *folder = hem__test_subfolder();
  char *path = hem__test_path(folder, "shop.h5"), *beside = hem__test_path(folder, "shop.h5.segments");
  ck_assert_int_eq(mkdir(beside, 0777), 0);
  char *notes = hem__test_path(beside, "notes.txt");
  hem__test_write(notes, "mine", 4);
  ingests(idx_options(path, idx_folder(20, 0)), 20, 0, 0, 20);
  ck_assert_int_eq(access(notes, F_OK), 0);
  free(path);
  free(beside);
  free(notes);
}
END_TEST

START_TEST(nothing_but_rejected_photos_is_a_catalogue_too) {
  const char *folder = hem__test_subfolder();
  char *listing = hem__test_path(folder, "photos.tsv"), *path = hem__test_path(folder, "shop.h5");
  hem__test_write(listing, "path\nmissing.png\n", 17);
  ingests(listing_options(path, listing), 0, 0, 1, 0);
  hem__catalog *catalog = opened(path);
  ck_assert_uint_eq(hem__catalog_photos(catalog)->count, 0);
  ck_assert_uint_eq(hem__catalog_photos(catalog)->rejected_count, 1);
  hem__catalog_close(catalog);
  free(listing);
  free(path);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(other_features_are_refused) {
  const char *folder = idx_folder(20, 0);
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
  hem_ingest_options options = idx_options(path, folder);
  ingests(options, 20, 0, 0, 20);
  options.features = two_spaces;
  options.feature_count = 2;
  ck_fails(hem_ingest(&options, NULL, err), HEM_EMISMATCH, "ingest with the same features");
  options.features = two_spaces + 1;
  options.feature_count = 1;
  ck_fails(hem_ingest(&options, NULL, err), HEM_EMISMATCH, "'pixels'");
  ingests(idx_options(path, folder), 0, 20, 0, 20);
  free(path);
}
END_TEST

START_TEST(without_features_a_catalogue_goes_on_with_its_own) {
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
  hem_ingest_options options = idx_options(path, idx_folder(20, 0));
  options.features = two_spaces;
  options.feature_count = 2;
  ingests(options, 20, 0, 0, 20);
  options.idx = idx_folder(0, 10);
  options.feature_count = 0;
  ingests(options, 10, 0, 0, 30);
  hem__catalog *catalog = opened(path);
  ck_assert_uint_eq(hem__catalog_space_count(catalog), 2);
  hem__catalog_close(catalog);
  free(path);
}
END_TEST

START_TEST(calls_that_make_no_sense) {
  static const char *const twice[] = {"pixels", "pixels"}, *const unknown[] = {"smell"};
  const char *folder = idx_folder(2, 0);
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
  hem_ingest_options options = idx_options(path, folder);
  ck_fails(hem_ingest(NULL, NULL, err), HEM_EINVAL, "catalogue");
  options.size = 0;
  ck_fails(hem_ingest(&options, NULL, err), HEM_EINVAL, "sizeof(hem_ingest_options)");
  options = idx_options(NULL, folder);
  ck_fails(hem_ingest(&options, NULL, err), HEM_EINVAL, "catalogue");
  options = idx_options(path, NULL);
  ck_fails(hem_ingest(&options, NULL, err), HEM_EINVAL, "one source");
  options = idx_options(path, folder);
  options.manifest = "photos.tsv";
  ck_fails(hem_ingest(&options, NULL, err), HEM_EINVAL, "one source");
  options = idx_options(path, folder);
  options.features = twice;
  options.feature_count = 2;
  ck_fails(hem_ingest(&options, NULL, err), HEM_EINVAL, "twice");
  options.features = unknown;
  options.feature_count = 1;
  ck_fails(hem_ingest(&options, NULL, err), HEM_EINVAL, "smell");
  options = idx_options(path, "/no/such/folder");
  ck_fails(hem_ingest(&options, NULL, err), HEM_ENOTFOUND, "/no/such/folder");
  ck_assert_msg(!hem__path_exists(path), "a refused call made a catalogue");
  options = idx_options("/no/such/folder/fm.h5", folder);
  ck_fails(hem_ingest(&options, NULL, err), HEM_ENOTFOUND, "/no/such/folder/fm.h5");
  free(path);
}
END_TEST

START_TEST(a_second_writer_is_turned_away) {
  const char *folder = idx_folder(20, 0);
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5"), *name = NULL;
  hem__lock lock = {.fd = -1};
  hem_ingest_options options = idx_options(path, folder);
  ck_assert_int_gt(asprintf(&name, "%s.lock", path), 0);
  ck_ok(hem__lock_take(name, path, &lock, err));
  ck_fails(hem_ingest(&options, NULL, err), HEM_EBUSY, path);
  hem__lock_drop(&lock);
  ingests(options, 20, 0, 0, 20);
  free(name);
  free(path);
}
END_TEST

START_TEST(a_damaged_catalogue_is_not_added_to) {
  char *path = hem__test_path(hem__test_subfolder(), "fm.h5");
  size_t size;
  ingests(idx_options(path, idx_folder(30, 0)), 30, 0, 0, 30);
  uint8_t *bytes = hem__test_read(path, &size);
  hem_ingest_options more = idx_options(path, idx_folder(0, 30));
  hem__test_flip(path, size - 1);
  ck_fails(hem_ingest(&more, NULL, err), HEM_ECORRUPT, "checksum");
  hem__test_write(path, bytes, size);
  hem__catalog *catalog = opened(path);
  const void *vectors = hem__catalog_matrix(catalog, 0).at;
  uint8_t *found = memmem(bytes, size, vectors, 64);
  hem__catalog_close(catalog);
  ck_assert_ptr_nonnull(found);
  hem__test_flip(path, (size_t)(found - bytes));
  ck_fails(hem_ingest(&more, NULL, err), HEM_ECORRUPT, "space pixels, rows 0 to 29");
  hem__test_write(path, "not a catalogue at all", 22);
  ck_fails(hem_ingest(&more, NULL, err), HEM_EVERSION, "not a Hemline catalogue");
  free(bytes);
  free(path);
}
END_TEST

HEM_TESTS("ingest", idx_photos_come_out_as_they_went_in, a_rerun_adds_nothing_and_touches_nothing,
          threads_and_segments_do_not_change_the_bytes, spaces_lie_side_by_side,
          a_stopped_run_goes_on_to_the_same_bytes, a_run_that_is_stopped_often_arrives,
          an_append_that_is_stopped_leaves_the_catalogue, a_second_source_is_appended,
          rejected_photos_are_listed_and_tried_again, a_photo_listed_twice_is_kept_once,
          two_garments_of_one_picture_are_two_photos, a_photo_that_is_there_as_something_else_is_rejected,
          a_catalogue_behind_a_link_is_the_one_that_grows, what_others_left_beside_a_catalogue_stays,
          nothing_but_rejected_photos_is_a_catalogue_too, other_features_are_refused,
          without_features_a_catalogue_goes_on_with_its_own, calls_that_make_no_sense, a_second_writer_is_turned_away,
          a_damaged_catalogue_is_not_added_to)
