/* Fashion-MNIST's files: what is listed and read, and every way in which such files are broken. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ingest/source.h"
#include "support/make_idx.h"
#include "test.h"

static hem__source *opened(const char *folder) {
  hem__source *source = NULL;
  ck_ok(hem__source_idx(folder, &source, err));
  return source;
}

static hem_status open_only(const char *folder, hem_error *err) {
  hem__source *source = NULL;
  hem_status status = hem__source_idx(folder, &source, err);
  ck_assert_msg(!status || !source, "an output was written on failure");
  if (source) source->close(source);
  return status;
}

/* Compares photo `number` of a half with the pixels it was made from. */
static void check_photo(const hem__source *source, const hem__listed *listed, const char *prefix, size_t number) {
  uint8_t grey[HEM__TEST_PIXELS], wrong = 0;
  hem__photo photo = listed->photo;
  hem__image image = {0};
  hem__test_pixels(prefix, number, grey);
  ck_ok(source->read(source, listed, NULL, &photo, &image, err));
  ck_assert(image.width == 28 && image.height == 28 && photo.width == 28 && photo.height == 28);
  for (size_t i = 0; i < HEM__TEST_PIXELS; i++)
    for (size_t c = 0; c < 3; c++) wrong |= image.at[3 * i + c] ^ grey[i];
  ck_assert_msg(!wrong, "%s differs from its file", photo.path);
  hem__digest wanted = hem__sha256_of(grey, sizeof grey);
  ck_assert(hem__digest_equal(&photo.source, &wanted));
  hem__image_clear(&image);
}

static void check_half(hem__source *source, const char *folder, const char *prefix, size_t count, const char *ending) {
  static const char *const labels[] = {"t-shirt", "trouser", "pullover", "dress", "coat",
                                       "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};
  static const char *const categories[] = {"upper", "lower", "upper", "dress", "upper",
                                           "shoes", "upper", "shoes", "bag",   "shoes"};
  bool train = !strcmp(prefix, "train"), more;
  for (size_t i = 0; i < count; i++) {
    char item[64], path[96];
    hem__listed listed = {0};
    ck_ok(source->next(source, &listed, &more, err));
    ck_assert(more && !listed.reason);
    const char *own_name = strrchr(folder, '/') + 1;
    snprintf(item, sizeof item, "%s/%s-%05zu", own_name, prefix, i);
    snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte%s#%zu", own_name, prefix, ending, i);
    ck_assert_str_eq(listed.photo.item_id, item);
    ck_assert_str_eq(listed.photo.path, path);
    ck_assert_str_eq(listed.photo.label, labels[i % 10]);
    ck_assert_str_eq(listed.photo.category, categories[i % 10]);
    ck_assert_int_eq(listed.photo.domain, train ? HEM__SHOP : HEM__CONSUMER);
    ck_assert_int_eq(listed.photo.split, train ? HEM__TRAIN : HEM__TEST);
    check_photo(source, &listed, prefix, i);
  }
}

static void ends(hem__source *source) {
  hem__listed listed;
  bool more = true;
  ck_ok(source->next(source, &listed, &more, err));
  ck_assert(!more);
  ck_ok(source->next(source, &listed, &more, err));
  ck_assert(!more);
  source->close(source);
}

static void pack(const char *folder, const char *name) {
  char *path = hem__test_path(folder, name);
  hem__test_gzip(path);
  free(path);
}

START_TEST(both_halves_are_listed) {
  const char *folder = hem__test_subfolder();
  hem__test_idx(folder, "train", 25);
  hem__test_idx(folder, "t10k", 12);
  hem__source *source = opened(folder);
  ck_assert_uint_eq(source->count, 37);
  check_half(source, folder, "train", 25, "");
  check_half(source, folder, "t10k", 12, "");
  ends(source);
}
END_TEST

START_TEST(gzipped_files_are_read) {
  const char *folder = hem__test_subfolder();
  hem__test_idx(folder, "train", 300);
  hem__test_idx(folder, "t10k", 3);
  pack(folder, "train-images-idx3-ubyte");
  pack(folder, "train-labels-idx1-ubyte");
  pack(folder, "t10k-labels-idx1-ubyte"); /* one of each kind */
  hem__source *source = opened(folder);
  check_half(source, folder, "train", 300, ".gz");
  check_half(source, folder, "t10k", 3, "");
  ends(source);
}
END_TEST

START_TEST(one_half_is_enough) {
  static const char *const halves[] = {"train", "t10k"};
  for (size_t i = 0; i < 2; i++) {
    const char *folder = hem__test_subfolder();
    hem__test_idx(folder, halves[i], 4);
    hem__source *source = opened(folder);
    ck_assert_uint_eq(source->count, 4);
    check_half(source, folder, halves[i], 4, "");
    ends(source);
  }
}
END_TEST

START_TEST(no_photos_at_all) {
  const char *folder = hem__test_subfolder();
  ck_fails(open_only(folder, err), HEM_ENOTFOUND, "neither train-images");
  ck_fails(open_only("/no/such/folder", err), HEM_ENOTFOUND, "/no/such/folder");
  hem__test_idx(folder, "train", 0);
  ends(opened(folder));
}
END_TEST

START_TEST(a_label_beyond_the_ten_classes_rejects_its_photo) {
  const char *folder = hem__test_subfolder();
  char *labels = hem__test_path(folder, "train-labels-idx1-ubyte");
  bool more;
  hem__test_idx(folder, "train", 3);
  hem__test_write(labels, "\0\0\x08\x01\0\0\0\3\1\x0A\2", 11);
  hem__source *source = opened(folder);
  hem__listed listed[3];
  for (size_t i = 0; i < 3; i++) ck_ok(source->next(source, &listed[i], &more, err));
  ck_assert(!listed[0].reason && listed[1].reason && !listed[2].reason);
  ck_assert_ptr_nonnull(strstr(listed[1].reason, "label"));
  ck_assert_ptr_nonnull(strstr(listed[1].photo.path, "/train-images-idx3-ubyte#1"));
  check_photo(source, &listed[2], "train", 2);
  ends(source);
  free(labels);
}
END_TEST

/* ---- broken files ---- */

/* A half whose images file is `keep` bytes of a good one, with `more` behind. */
static const char *half_with(size_t keep, const char *more, size_t more_size) {
  const char *folder = hem__test_subfolder();
  char *images = hem__test_path(folder, "train-images-idx3-ubyte");
  hem__test_idx(folder, "train", 5);
  ck_assert_int_eq(truncate(images, (off_t)keep), 0);
  hem__test_append(images, more, more_size);
  free(images);
  return folder;
}

START_TEST(plain_files_of_another_length_are_refused) {
  ck_fails(open_only(half_with(0, "", 0), err), HEM_ECORRUPT, "train-images-idx3-ubyte ends after 0 of 16 bytes");
  ck_fails(open_only(half_with(15, "", 0), err), HEM_ECORRUPT, "ends after");
  ck_fails(open_only(half_with(16, "", 0), err), HEM_ECORRUPT, "train-images-idx3-ubyte");
  ck_fails(open_only(half_with(16 + 5 * 784 - 1, "", 0), err), HEM_ECORRUPT, "train-images-idx3-ubyte");
  ck_fails(open_only(half_with(16 + 5 * 784, "x", 1), err), HEM_ECORRUPT, "more than the 5 images");
}
END_TEST

START_TEST(a_foreign_header_is_refused) {
  const char *folder = half_with(0, "\0\0\x08\x01\0\0\0\5\0\0\0\x1C\0\0\0\x1C", 16);
  ck_fails(open_only(folder, err), HEM_ECORRUPT, "not an idx file of images");
  folder = hem__test_subfolder();
  char *labels = hem__test_path(folder, "train-labels-idx1-ubyte");
  hem__test_idx(folder, "train", 2);
  hem__test_write(labels, "\0\0\x08\x03\0\0\0\2\0\0", 10);
  ck_fails(open_only(folder, err), HEM_ECORRUPT, "not an idx file of labels");
  hem__test_write(labels, "\0\0\x08\x01\0\0\0\3\0\0\0", 11);
  ck_fails(open_only(folder, err), HEM_ECORRUPT, "has 2 images");
  ck_assert_int_eq(unlink(labels), 0);
  ck_fails(open_only(folder, err), HEM_ENOTFOUND, "no labels");
  free(labels);
}
END_TEST

/* Cut anywhere, down to the last byte of its checksum, and damaged in the checksum only. */
START_TEST(a_damaged_gzip_file_is_refused) {
  const char *folder = hem__test_subfolder();
  char *packed = hem__test_path(folder, "train-images-idx3-ubyte.gz");
  size_t size;
  hem__test_idx(folder, "train", 20);
  pack(folder, "train-images-idx3-ubyte");
  uint8_t *bytes = hem__test_read(packed, &size);
  size_t cuts[] = {1, 4, 8, 9, 100, size / 2, size - 11};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    hem__test_write(packed, bytes, size - cuts[i]);
    hem_error why = {0};
    ck_assert_msg(open_only(folder, &why) == HEM_ECORRUPT, "cut by %zu of %zu bytes: %s", cuts[i], size, why.message);
    ck_assert_ptr_nonnull(strstr(why.message, packed));
  }
  hem__test_write(packed, bytes, size);
  hem__test_flip(packed, size - 8);
  ck_fails(open_only(folder, err), HEM_ECORRUPT, packed);
  hem__test_write(packed, bytes, size);
  ck_ok(open_only(folder, err));
  free(bytes);
  free(packed);
}
END_TEST

static size_t peak_kib(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss;
}

/* Sixteen bytes may claim petabytes, or 2 GB that a machine does have: neither may be believed. */
START_TEST(huge_claims_cost_nothing) {
  static const char *const headers[] = {
      "\0\0\x08\x03\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "\0\0\x08\x03\x05\xF5\xE1\0\0\0\x10\0\0\0\x10\0",
      "\0\0\x08\x03\0\0\0\x80\0\0\x10\0\0\0\x10\0", "\0\0\x08\x03\0\0\0\0\0\0\0\0\0\0\0\0"};
  size_t before = peak_kib();
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    hem_error why = {0};
    hem_status status = open_only(half_with(0, headers[i], 16), &why);
    ck_assert_msg(status == HEM_ECORRUPT, "header %zu: %s: %s", i, hem_status_name(status), why.message);
  }
  ck_assert_msg(peak_kib() - before < 256 << 10, "16 bytes made the program take %zu MiB", (peak_kib() - before) >> 10);
}
END_TEST

HEM_TESTS("idx", both_halves_are_listed, gzipped_files_are_read, one_half_is_enough, no_photos_at_all,
          a_label_beyond_the_ten_classes_rejects_its_photo, plain_files_of_another_length_are_refused,
          a_foreign_header_is_refused, a_damaged_gzip_file_is_refused, huge_claims_cost_nothing)
