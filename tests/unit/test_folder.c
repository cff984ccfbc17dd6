/* Folders of photos: what each place in the tree means, in what order, and what is passed over or rejected. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/listed.h"
#include "support/make_idx.h"
#include "test.h"

static char *root;

static void new_root(void) { root = strdup(hem__test_subfolder()); }

static void add(const char *name) {
  char *path = hem__test_path(root, name);
  hem__test_make_folders(path);
  if (path[strlen(path) - 1] != '/') hem__test_write(path, "x", 1);
  free(path);
}

static void link_to(const char *target, const char *name) {
  char *path = hem__test_path(root, name);
  hem__test_make_folders(path);
  ck_assert_int_eq(symlink(target, path), 0);
  free(path);
}

static hem__source *opened_as(hem__usual usual) {
  hem__source *source = NULL;
  ck_ok(hem__source_folder(root, usual, &source, err));
  return source;
}

static hem__source *opened(void) { return opened_as((hem__usual){0}); }

static hem__photo photo(const char *path, const char *category, const char *item, uint8_t domain, uint8_t split) {
  return (hem__photo){.path = path, .category = category, .item_id = item, .domain = domain, .split = split};
}

static void is(hem__source *s, const char *path, const char *category, const char *item) {
  hem__test_is(s, photo(path, category, item, HEM__SHOP, HEM__NO_SPLIT));
}

static void ends(hem__source *s) {
  hem__test_ends(s);
  free(root);
}

START_TEST(categories_and_items) {
  new_root();
  add("upper/b.jpg");
  add("upper/a.b.JPEG");
  add("dress/sku-2/front.png");
  add("dress/sku-2/back.webp");
  add("dress/sku-1/x.avif");
  add("dress/z y.jpg");
  add("loose.jpg");
  add("empty/");
  hem__source *s = opened();
  ck_assert_uint_eq(s->count, 7);
  is(s, "/dress/sku-1/x.avif", "dress", "sku-1");
  is(s, "/dress/sku-2/back.webp", "dress", "sku-2");
  is(s, "/dress/sku-2/front.png", "dress", "sku-2");
  s->forget(s);
  is(s, "/dress/z y.jpg", "dress", "dress/z y");
  is(s, "/loose.jpg", "all", "loose");
  is(s, "/upper/a.b.JPEG", "upper", "upper/a.b");
  is(s, "/upper/b.jpg", "upper", "upper/b");
  ends(s);
}
END_TEST

START_TEST(domains_and_splits_above_the_categories) {
  new_root();
  add("consumer/dress/1.jpg");
  add("consumer/test/dress/2.jpg");
  add("shop/shop/3.jpg"); /* a category of that name: the domain was said */
  add("test/shop/dress/4/a.jpg");
  add("train/dress/5.jpg");
  add("train/6.jpg");
  add("val/dress/7.jpg");
  add("validation/dress/test/8.jpg"); /* an item */
  add("Train/9.jpg");                 /* a category: names are exact */
  hem__source *s = opened();
  hem__test_is(s, photo("/Train/9.jpg", "Train", "Train/9", HEM__SHOP, HEM__NO_SPLIT));
  hem__test_is(s, photo("/consumer/dress/1.jpg", "dress", "dress/1", HEM__CONSUMER, HEM__NO_SPLIT));
  hem__test_is(s, photo("/consumer/test/dress/2.jpg", "dress", "dress/2", HEM__CONSUMER, HEM__TEST));
  hem__test_is(s, photo("/shop/shop/3.jpg", "shop", "shop/3", HEM__SHOP, HEM__NO_SPLIT));
  hem__test_is(s, photo("/test/shop/dress/4/a.jpg", "dress", "4", HEM__SHOP, HEM__TEST));
  hem__test_is(s, photo("/train/6.jpg", "all", "6", HEM__SHOP, HEM__TRAIN));
  hem__test_is(s, photo("/train/dress/5.jpg", "dress", "dress/5", HEM__SHOP, HEM__TRAIN));
  hem__test_is(s, photo("/val/dress/7.jpg", "dress", "dress/7", HEM__SHOP, HEM__VALIDATION));
  hem__test_is(s, photo("/validation/dress/test/8.jpg", "dress", "test", HEM__SHOP, HEM__VALIDATION));
  hem__test_ends(s);
  s = opened_as((hem__usual){.domain = HEM__CONSUMER, .split = HEM__TEST});
  hem__test_is(s, photo("/Train/9.jpg", "Train", "Train/9", HEM__CONSUMER, HEM__TEST));
  for (size_t i = 0; i < 2; i++) hem__test_next(s);
  hem__test_is(s, photo("/shop/shop/3.jpg", "shop", "shop/3", HEM__SHOP, HEM__TEST));
  hem__test_next(s);
  hem__test_is(s, photo("/train/6.jpg", "all", "6", HEM__CONSUMER, HEM__TRAIN));
  s->close(s);
  free(root);
}
END_TEST

START_TEST(what_is_no_photo_is_passed_over) {
  new_root();
  add("README");
  add("dress/notes.txt");
  add("dress/.hidden.jpg");
  add("dress/jpg");
  add(".git/dress/a.jpg");
  add("dress/a.jpg.part");
  add("dress/old.gif"); /* decoding says that it is not read */
  add("dress/Thumbs.db");
  hem__source *s = opened();
  ck_assert_uint_eq(s->count, 1);
  is(s, "/dress/old.gif", "dress", "dress/old");
  ends(s);
}
END_TEST

START_TEST(names_that_nobody_can_use_are_rejected) {
  new_root();
  add("dress/a\nb.jpg");
  add("dress/\xFF.jpg");
  add("dress/fine \xC3\xA4.jpg");
  add("tab\there/a.jpg");
  add("dress/sku/deep/a.jpg");
  hem__source *s = opened();
  ck_assert_uint_eq(s->count, 5);
  hem__test_is_rejected(s, "/dress/a?b.jpg", "control character");
  is(s, "/dress/fine \xC3\xA4.jpg", "dress", "dress/fine \xC3\xA4");
  hem__test_is_rejected(s, "/dress/sku/deep", "no deeper");
  hem__test_is_rejected(s, "/dress/\xFF.jpg", "not UTF-8");
  hem__test_is_rejected(s, "/tab?here", "control character");
  ends(s);
}
END_TEST

START_TEST(links_are_followed_but_not_in_circles) {
  new_root();
  add("elsewhere/a.jpg");
  link_to("../elsewhere/a.jpg", "dress/photo.jpg");
  link_to("..", "dress/up");
  link_to(".", "dress/self");
  link_to("elsewhere", "skirt");
  link_to("nowhere", "dress/gone.jpg");
  hem__source *s = opened();
  hem__listed gone;
  gone = hem__test_next(s);
  ck_fails(s->look(s, &gone, &gone.photo, err), HEM_ENOTFOUND, "gone.jpg");
  is(s, "/dress/photo.jpg", "dress", "dress/photo");
  hem__test_is_rejected(s, "/dress/self", "leads back");
  hem__test_is_rejected(s, "/dress/up", "leads back");
  is(s, "/elsewhere/a.jpg", "elsewhere", "elsewhere/a");
  is(s, "/skirt/a.jpg", "skirt", "skirt/a");
  ends(s);
}
END_TEST

START_TEST(a_folder_that_cannot_be_listed_is_rejected) {
  new_root();
  add("closed/a.jpg");
  add("open/b.jpg");
  char *closed = hem__test_path(root, "closed");
  ck_assert_int_eq(chmod(closed, 0), 0);
  if (geteuid() != 0) { /* root may list everything */
    hem__source *s = opened();
    hem__test_is_rejected(s, "/closed", "cannot list");
    is(s, "/open/b.jpg", "open", "b");
    hem__test_ends(s);
  }
  ck_assert_int_eq(chmod(closed, 0777), 0);
  free(closed);
  free(root);
}
END_TEST

START_TEST(no_folder_at_all) {
  hem__source *s = NULL;
  hem__usual usual;
  new_root();
  add("file.jpg");
  char *path = hem__test_path(root, "file.jpg");
  ck_fails(hem__source_folder("/no/such/folder", (hem__usual){0}, &s, err), HEM_ENOTFOUND, "/no/such/folder");
  ck_fails(hem__source_folder(path, (hem__usual){0}, &s, err), HEM_EIO, "file.jpg");
  ck_assert_ptr_null(s);
  ck_fails(hem__usual_parse("Shop", NULL, &usual, err), HEM_EINVAL, "neither shop nor consumer");
  ck_fails(hem__usual_parse(NULL, "tset", &usual, err), HEM_EINVAL, "tset");
  ck_ok(hem__usual_parse("consumer", "val", &usual, err));
  ck_assert(usual.domain == HEM__CONSUMER && usual.split == HEM__VALIDATION);
  free(path);
  free(root);
}
END_TEST

/* A photo is decoded from where it was listed. */
START_TEST(photos_are_read) {
  new_root();
  add("dress/broken.jpg");
  add("dress/z/");
  char *png = hem__test_path(root, "dress/z/a.png");
  if (hem__test_png(png, 1, 30, 20)) {
    hem__source *s = opened();
    hem__image image = {0};
    hem__listed row = hem__test_next(s);
    ck_fails(s->read(s, &row, NULL, &row.photo, &image, err), HEM_EUNSUPPORTED, "broken.jpg");
    row = hem__test_next(s);
    ck_ok(s->read(s, &row, NULL, &row.photo, &image, err));
    ck_assert(image.width == 30 && row.photo.height == 20);
    hem__image_clear(&image);
    hem__test_ends(s);
  }
  free(png);
  free(root);
}
END_TEST

HEM_TESTS("folder", categories_and_items, domains_and_splits_above_the_categories, what_is_no_photo_is_passed_over,
          names_that_nobody_can_use_are_rejected, links_are_followed_but_not_in_circles,
          a_folder_that_cannot_be_listed_is_rejected, no_folder_at_all, photos_are_read)
