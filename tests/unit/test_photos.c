/* What a catalogue takes as a photo's names, and what it makes of reasons and names it cannot take. */
#include "ingest/photos.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static const hem__photo plain = {.item_id = "item", .category = "dress", .label = "", .path = "a.jpg"};

static hem_status add(const char *path, hem_error *err) {
  hem__photos photos = {0};
  hem__photo photo = plain;
  photo.path = path;
  hem_status status = hem__photos_add(&photos, &photo, err);
  ck_assert_uint_eq(photos.count, status ? 0 : 1);
  if (!status) ck_assert_str_eq(photos.at[0].path, path);
  hem__photos_clear(&photos);
  return status;
}

/* RFC 3629: the first and last character of every length, and around the holes. */
START_TEST(utf8_is_taken) {
  static const char *const good[] = {"a",
                                     "\x7F",
                                     "\xC2\x80",
                                     "\xDF\xBF",
                                     "\xE0\xA0\x80",
                                     "\xED\x9F\xBF",
                                     "\xEE\x80\x80",
                                     "\xEF\xBF\xBF",
                                     "\xF0\x90\x80\x80",
                                     "\xF4\x8F\xBF\xBF",
                                     "Kleid-\xC3\xA4\xE2\x82\xAC",
                                     "\xE6\x97\xA5\xE6\x9C\xAC.jpg"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) ck_ok(add(good[i], err));
}
END_TEST

START_TEST(what_is_not_utf8_is_refused) {
  static const char *const bad[] = {"\x80",
                                    "\xBF",
                                    "a\xFF",
                                    "\xFE",
                                    "\xC0\xAF",
                                    "\xC1\xBF",
                                    "\xE0\x80\xAF",
                                    "\xE0\x9F\xBF",
                                    "\xF0\x80\x80\xAF",
                                    "\xF0\x8F\xBF\xBF",
                                    "\xED\xA0\x80",
                                    "\xED\xBF\xBF",
                                    "\xF4\x90\x80\x80",
                                    "\xF5\x80\x80\x80",
                                    "\xC3",
                                    "\xE2\x82",
                                    "\xF0\x9F\x98",
                                    "\xC3(",
                                    "\xE2\x28\xA1",
                                    "caf\xE9.jpg",
                                    "\xF8\x88\x80\x80\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_fails(add(bad[i], err), HEM_EINVAL, "path is not UTF-8");
}
END_TEST

START_TEST(each_column_is_named_when_it_is_wrong) {
  hem__photos photos = {0};
  hem__photo photo = plain;
  photo.item_id = "";
  ck_fails(hem__photos_add(&photos, &photo, err), HEM_EINVAL, "item_id is empty");
  photo = plain;
  photo.category = "";
  ck_fails(hem__photos_add(&photos, &photo, err), HEM_EINVAL, "category is empty");
  photo = plain;
  photo.path = "";
  ck_fails(hem__photos_add(&photos, &photo, err), HEM_EINVAL, "path is empty");
  photo = plain;
  photo.label = "\xFF";
  ck_fails(hem__photos_add(&photos, &photo, err), HEM_EINVAL, "label is not UTF-8");
  ck_assert_uint_eq(photos.count, 0);
  ck_ok(hem__photos_add(&photos, &plain, err));
  ck_assert_uint_eq(photos.count, 1);
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(an_overlong_name_is_refused) {
  char name[HEM__TEXT_MAX + 2];
  memset(name, 'x', sizeof name);
  name[HEM__TEXT_MAX + 1] = '\0';
  ck_fails(add(name, err), HEM_EINVAL, "4097 bytes");
  name[HEM__TEXT_MAX] = '\0';
  ck_ok(add(name, err));
}
END_TEST

START_TEST(photos_keep_copies_of_all_they_were_given) {
  enum { COUNT = 5000 };
  hem__photos photos = {0};
  for (int i = 0; i < COUNT; i++) {
    char item[32], path[32], category[8];
    snprintf(item, sizeof item, "item-%d", i / 3);
    snprintf(path, sizeof path, "photo-%d", i);
    snprintf(category, sizeof category, "c%d", i / 100 % 7);
    hem__photo photo = {.item_id = item, .category = category, .label = i % 2 ? "odd" : "", .path = path};
    photo.domain = (uint8_t)(i % 2);
    photo.split = (uint8_t)(i % 4);
    photo.box = (hem__box){i, i + 1, i + 2, i + 3, HEM__PIXELS};
    photo.width = (uint32_t)i;
    photo.source = hem__sha256_of(path, strlen(path));
    ck_ok(hem__photos_add(&photos, &photo, err));
    memset(item, 'z', sizeof item - 1);
    memset(category, 'z', sizeof category - 1);
    memset(path, 'z', sizeof path - 1);
  }
  for (int i = 0; i < COUNT; i++) {
    char text[32];
    const hem__photo *photo = &photos.at[i];
    snprintf(text, sizeof text, "item-%d", i / 3);
    ck_assert_str_eq(photo->item_id, text);
    snprintf(text, sizeof text, "c%d", i / 100 % 7);
    ck_assert_str_eq(photo->category, text);
    ck_assert_str_eq(photo->label, i % 2 ? "odd" : "");
    snprintf(text, sizeof text, "photo-%d", i);
    ck_assert_str_eq(photo->path, text);
    hem__digest wanted = hem__sha256_of(text, strlen(text));
    ck_assert(hem__digest_equal(&photo->source, &wanted));
    ck_assert(photo->domain == i % 2 && photo->split == i % 4 && photo->box.height == i + 3);
  }
  hem__photos_clear(&photos);
  hem__photos_clear(&photos);
}
END_TEST

START_TEST(reasons_are_cleaned_and_cut) {
  hem__photos photos = {0};
  char longest[3 * HEM__TEXT_MAX];
  for (size_t i = 0; i + 3 <= sizeof longest; i += 3) memcpy(longest + i, "\xE2\x82\xAC", 3);
  longest[sizeof longest - 1] = '\0';
  ck_ok(hem__photos_reject(&photos, "caf\xE9.jpg", "bad \xFF\xC3", err));
  ck_ok(hem__photos_reject(&photos, longest, longest, err));
  ck_ok(hem__photos_reject(&photos, "", "\xC3\xA4 is fine", err));
  ck_assert_uint_eq(photos.rejected_count, 3);
  ck_assert_uint_eq(photos.count, 0);
  ck_assert_str_eq(photos.rejected[0].path, "caf?.jpg");
  ck_assert_str_eq(photos.rejected[0].reason, "bad ??");
  size_t length = strlen(photos.rejected[1].path);
  ck_assert_uint_le(length, HEM__TEXT_MAX);
  ck_assert_msg(length % 3 == 0, "a character was halved: %zu bytes", length);
  ck_assert_str_eq(photos.rejected[2].reason, "\xC3\xA4 is fine");
  hem__photos_clear(&photos);
}
END_TEST

HEM_TESTS("photos", utf8_is_taken, what_is_not_utf8_is_refused, each_column_is_named_when_it_is_wrong,
          an_overlong_name_is_refused, photos_keep_copies_of_all_they_were_given, reasons_are_cleaned_and_cut)
