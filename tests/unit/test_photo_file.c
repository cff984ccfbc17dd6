/* A photo in a file of its own: its box is cut after it has been turned upright, and what is known is not decoded. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/source.h"
#include "reference/synthetic.h"
#include "support/make_photo.h"
#include "test.h"

static char *write_file(const char *name, const void *bytes, size_t size) {
  char *path = hem__test_path(hem__test_folder(), name);
  FILE *file = fopen(path, "wb");
  ck_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
  return path;
}

START_TEST(a_file_is_looked_at_without_reading) {
  char *path = write_file("not-a-photo", "12345", 5);
  struct stat st;
  hem__listed listed = {.photo.path = path};
  hem__photo photo = {0};
  ck_assert_int_eq(stat(path, &st), 0);
  ck_ok(hem__photo_file_look(NULL, &listed, &photo, err));
  ck_assert_uint_eq(photo.bytes, 5);
  ck_assert_int_eq(photo.mtime_ns, (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
  ck_assert_int_eq(remove(path), 0);
  ck_fails(hem__photo_file_look(NULL, &listed, &photo, err), HEM_ENOTFOUND, path);
  free(path);
}
END_TEST

#ifdef HEM_HAVE_VIPS

START_TEST(what_is_no_photo_is_refused_by_name) {
  hem__listed listed = {.photo.path = write_file("page.jpg", "<html>404</html>", 16)};
  hem__photo photo = {0};
  hem__image out = {0};
  ck_fails(hem__photo_file_read(NULL, &listed, NULL, &photo, &out, err), HEM_EUNSUPPORTED, "page.jpg");
  ck_assert_ptr_null(out.at);
  ck_assert_int_eq(remove(listed.photo.path), 0);
  ck_fails(hem__photo_file_read(NULL, &listed, NULL, &photo, &out, err), HEM_ENOTFOUND, "page.jpg");
  free((char *)listed.photo.path);
}
END_TEST

START_TEST(a_file_too_large_for_a_photo_is_not_read) {
  hem__listed listed = {.photo.path = write_file("huge.jpg", "\xFF\xD8\xFF", 3)};
  hem__photo photo = {0};
  hem__image out = {0};
  ck_assert_int_eq(truncate(listed.photo.path, (off_t)1 << 40), 0); /* all holes */
  ck_fails(hem__photo_file_read(NULL, &listed, NULL, &photo, &out, err), HEM_EINVAL, "1099511627776 bytes");
  ck_assert_int_eq(remove(listed.photo.path), 0);
  free((char *)listed.photo.path);
}
END_TEST

/* 40 x 30 as it is stored, 30 x 40 once it stands upright (orientation 6: turned a quarter to the right). */
static char *write_turned(hem__image *upright) {
  hem__image stored = synthetic(40, 30, 1);
  hem__photo_file file = hem__make_photo(&stored, "turned", ".webp[lossless]");
  char *path = write_file("turned.webp", file.at, file.size);
  ck_ok(hem__image_new(30, 40, upright, err));
  for (size_t y = 0; y < 40; y++)
    for (size_t x = 0; x < 30; x++) memcpy(upright->at + 3 * (y * 30 + x), stored.at + 3 * ((29 - x) * 40 + y), 3);
  hem__image_clear(&stored);
  free(file.at);
  return path;
}

static void expect_part(const char *path, hem__box box, const hem__image *upright, size_t x, size_t y, size_t width,
                        size_t height) {
  hem__listed listed = {.photo = {.path = path, .box = box}};
  hem__photo photo = {0};
  hem__image out = {0};
  ck_ok(hem__photo_file_read(NULL, &listed, NULL, &photo, &out, err));
  ck_assert_uint_eq(photo.width, 30);
  ck_assert_uint_eq(photo.height, 40);
  ck_assert_uint_eq(out.width, width);
  ck_assert_uint_eq(out.height, height);
  for (size_t row = 0; row < height; row++)
    ck_assert_mem_eq(out.at + 3 * row * width, upright->at + 3 * ((y + row) * 30 + x), 3 * width);
  hem__image_clear(&out);
}

START_TEST(boxes_are_of_the_upright_photo) {
  hem__image upright = {0};
  char *path = write_turned(&upright);
  expect_part(path, (hem__box){0}, &upright, 0, 0, 30, 40);
  expect_part(path, (hem__box){5, 32, 10, 8, HEM__PIXELS}, &upright, 5, 32, 10, 8);
  expect_part(path, (hem__box){5, 32, 100, 100, HEM__PIXELS}, &upright, 5, 32, 25, 8);
  expect_part(path, (hem__box){500000, 750000, 500000, 250000, HEM__MILLIONTHS}, &upright, 15, 30, 15, 10);
  hem__listed beside = {.photo = {.path = path, .box = {35, 0, 5, 5, HEM__PIXELS}}}; /* there, as it is stored */
  hem__photo photo = {0};
  hem__image out = {0};
  ck_fails(hem__photo_file_read(NULL, &beside, NULL, &photo, &out, err), HEM_EINVAL, "photo of 30 x 40 pixels");
  free(path);
  hem__image_clear(&upright);
}
END_TEST

START_TEST(a_known_photo_is_not_decoded) {
  hem__image upright = {0}, out = {0};
  hem__listed listed = {.photo.path = write_turned(&upright)};
  hem__photo first = {0}, again = {0};
  ck_ok(hem__photo_file_read(NULL, &listed, NULL, &first, &out, err));
  hem__image_clear(&out);
  ck_ok(hem__photo_file_read(NULL, &listed, &first.source, &again, &out, err));
  ck_assert_ptr_null(out.at);
  ck_assert(hem__digest_equal(&first.source, &again.source));
  first.source.at[0] ^= 1;
  ck_ok(hem__photo_file_read(NULL, &listed, &first.source, &again, &out, err));
  ck_assert_ptr_nonnull(out.at);
  hem__image_clear(&out);
  hem__image_clear(&upright);
  free((char *)listed.photo.path);
}
END_TEST

HEM_TESTS("photo_file", a_file_is_looked_at_without_reading, what_is_no_photo_is_refused_by_name,
          a_file_too_large_for_a_photo_is_not_read, boxes_are_of_the_upright_photo, a_known_photo_is_not_decoded)

#else

HEM_TESTS("photo_file", a_file_is_looked_at_without_reading)

#endif
