/* The gallery file: what was written is what is read, and bytes that contradict themselves are refused. */
#include <string.h>

#include "index/gallery.h"
#include "support/make_catalog.h"

enum { PHOTOS = 7 };

/* Item ids out of byte order, one shared by three photos; labels that repeat and that are empty. */
static const hem__photo listing[PHOTOS] = {
    {.item_id = "zebra", .label = "coat", .path = "a.jpg"}, {.item_id = "ant", .label = "coat", .path = "b.jpg"},
    {.item_id = "mole", .label = "", .path = "c.jpg"},      {.item_id = "ant", .label = "", .path = "d.jpg"},
    {.item_id = "Zoo", .label = "shoe", .path = "e.jpg"},   {.item_id = "\xC3\xA4", .label = "shoe", .path = "f.jpg"},
    {.item_id = "ant", .label = "coat", .path = "g.jpg"}};
static const uint64_t order[PHOTOS] = {4, 0, 6, 2, 1, 3, 5};

static hem__made made_listing(void) {
  hem__made made = {.dim = 1};
  for (size_t i = 0; i < PHOTOS; i++) hem__made_add(&made, listing[i], &(float){0});
  return made;
}

static void write_gallery(const char *path, const hem__photos *photos, const uint64_t *rows, size_t count) {
  hem__aside *file = NULL;
  ck_ok(hem__aside_new(path, &file, err));
  ck_ok(hem__gallery_write(file, photos, rows, count, err));
  ck_ok(hem__aside_publish(file, NULL, NULL, err));
  hem__aside_free(file);
}

/* The bytes of a gallery, page-aligned as a mapped one is. */
static hem__map gallery_bytes(void) {
  char *path = hem__test_path(hem__test_folder(), "gallery.bin");
  hem__made made = made_listing();
  hem__map map;
  write_gallery(path, &made.photos, order, PHOTOS);
  ck_ok(hem__map_open(path, &map, err));
  hem__made_clear(&made);
  free(path);
  return map;
}

START_TEST(photos_come_back_in_the_order_asked_for) {
  hem__map map = gallery_bytes();
  hem__gallery g;
  ck_ok(hem__gallery_read(&map, "gallery.bin", &g, err));
  ck_assert_uint_eq(g.photos, PHOTOS);
  ck_assert_uint_eq(g.items, 5);
  for (size_t i = 0; i < PHOTOS; i++) {
    ck_assert_uint_eq(g.row[i], order[i]);
    ck_assert_str_eq(g.text + g.path[i], listing[order[i]].path);
    ck_assert_str_eq(g.text + g.label[i], listing[order[i]].label);
    ck_assert_str_eq(g.text + g.item_id[g.item_of[i]], listing[order[i]].item_id);
  }
  hem__map_close(&map);
}
END_TEST

START_TEST(item_numbers_follow_the_byte_order_of_ids) {
  hem__map map = gallery_bytes();
  hem__gallery g;
  ck_ok(hem__gallery_read(&map, "gallery.bin", &g, err));
  for (size_t i = 1; i < g.items; i++) ck_assert_str_lt(g.text + g.item_id[i - 1], g.text + g.item_id[i]);
  hem__map_close(&map);
}
END_TEST

START_TEST(the_same_photos_give_the_same_bytes) {
  hem__map a = gallery_bytes(), b = gallery_bytes();
  ck_assert_uint_eq(a.size, b.size);
  ck_assert_mem_eq(a.at, b.at, a.size);
  hem__map_close(&a);
  hem__map_close(&b);
}
END_TEST

START_TEST(a_gallery_may_be_empty) {
  char *path = hem__test_path(hem__test_folder(), "gallery.bin");
  hem__made made = made_listing();
  hem__gallery g = {.photos = 9};
  hem__map map;
  write_gallery(path, &made.photos, order, 0);
  ck_ok(hem__map_open(path, &map, err));
  ck_ok(hem__gallery_read(&map, "gallery.bin", &g, err));
  ck_assert_uint_eq(g.photos, 0);
  ck_assert_uint_eq(g.items, 0);
  hem__map_close(&map);
  hem__made_clear(&made);
  free(path);
}
END_TEST

/* A copy of the bytes that may be changed; 64-byte aligned. */
static uint8_t *copy_of(const hem__map *map) {
  uint8_t *copy = NULL;
  ck_ok(hem__alloc(map->size, 1, "a copy", &copy, err));
  memcpy(copy, map->at, map->size);
  return copy;
}

static void refuse(const uint8_t *bytes, size_t size) {
  hem__gallery g;
  hem__map map = {.at = bytes, .size = size};
  ck_fails(hem__gallery_read(&map, "gallery.bin", &g, err), HEM_ECORRUPT, "gallery.bin");
}

START_TEST(every_other_length_is_refused) {
  hem__map map = gallery_bytes();
  uint8_t *copy = copy_of(&map);
  for (size_t size = 0; size < map.size; size++) refuse(copy, size);
  free(copy);
  hem__map_close(&map);
}
END_TEST

START_TEST(counts_that_overflow_are_refused) {
  static const uint64_t bad[] = {0, 1, PHOTOS + 1, UINT32_MAX, UINT64_MAX, UINT64_MAX / 28, 1ULL << 61, 1ULL << 63};
  hem__map map = gallery_bytes();
  for (size_t field = 0; field < 3; field++)
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
      uint8_t *copy = copy_of(&map);
      memcpy(copy + 8 + field * 8, &bad[i], 8);
      refuse(copy, map.size);
      free(copy);
    }
  hem__map_close(&map);
}
END_TEST

START_TEST(offsets_outside_the_text_are_refused) {
  hem__map map = gallery_bytes();
  const uint64_t far = map.size, huge = UINT64_MAX;
  size_t header = 32, paths = header + PHOTOS * 8, items_of = paths + 2 * PHOTOS * 8 + 5 * 8;
  for (size_t at = paths; at < items_of; at += 8) {
    uint8_t *copy = copy_of(&map);
    memcpy(copy + at, at % 16 ? &far : &huge, 8);
    refuse(copy, map.size);
    free(copy);
  }
  for (size_t i = 0; i < PHOTOS; i++) {
    uint8_t *copy = copy_of(&map);
    memcpy(copy + items_of + i * 4, &(uint32_t){5}, 4); /* items are 0..4 */
    refuse(copy, map.size);
    free(copy);
  }
  hem__map_close(&map);
}
END_TEST

START_TEST(text_without_an_end_is_refused) {
  hem__map map = gallery_bytes();
  uint8_t *copy = copy_of(&map);
  copy[map.size - 1] = 'x';
  refuse(copy, map.size);
  free(copy);
  hem__map_close(&map);
}
END_TEST

HEM_TESTS("gallery", photos_come_back_in_the_order_asked_for, item_numbers_follow_the_byte_order_of_ids,
          the_same_photos_give_the_same_bytes, a_gallery_may_be_empty, every_other_length_is_refused,
          counts_that_overflow_are_refused, offsets_outside_the_text_are_refused, text_without_an_end_is_refused)
