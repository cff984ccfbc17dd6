/* Made views: what is listed can be ingested and read, the same for any number of threads, split by item. */
#include "bench/views.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/view.h"
#include "ingest/pictures.h"
#include "ingest/source.h"
#include "support/make_idx.h"
#include "test.h"

static hem__image pattern(size_t width, size_t height, unsigned seed, bool grey) {
  hem__image image = {0};
  ck_ok(hem__image_new(width, height, &image, err));
  for (size_t i = 0; i < width * height; i++)
    for (size_t c = 0; c < 3; c++) {
      size_t x = i % width, y = i / width;
      image.at[3 * i + c] = (uint8_t)(60 + (x * 3 + y * 5 + seed * 31 + (grey ? 0 : c * 40)) % 130);
    }
  return image;
}

START_TEST(a_homography_maps_the_corners) {
  hem__quad from = {{{0, 0}, {9, 1}, {11, 8}, {-2, 7}}}, to = {{{5, 5}, {1, 30}, {40, 44}, {20, 3}}};
  hem__homography h;
  ck_assert(hem__homography_fit(&from, &to, &h));
  for (size_t i = 0; i < 4; i++) {
    double u, v;
    hem__homography_apply(&h, from.at[i][0], from.at[i][1], &u, &v);
    ck_assert_double_eq_tol(u, to.at[i][0], 1e-9);
    ck_assert_double_eq_tol(v, to.at[i][1], 1e-9);
  }
  hem__quad line = {{{0, 0}, {1, 1}, {2, 2}, {3, 3}}};
  ck_assert(!hem__homography_fit(&line, &to, &h));
}
END_TEST

static double difference(const hem__image *a, const hem__image *b) {
  double sum = 0;
  ck_assert_uint_eq(a->width, b->width);
  ck_assert_uint_eq(a->height, b->height);
  for (size_t i = 0; i < a->width * a->height * 3; i++) sum += abs(a->at[i] - b->at[i]);
  return sum / (double)(a->width * a->height * 3);
}

START_TEST(views_follow_their_dice_and_grey_stays_grey) {
  hem__image garment = pattern(120, 160, 1, true), scene = pattern(90, 90, 2, true), front = pattern(80, 120, 3, true);
  hem__image first = {0}, again = {0}, other = {0};
  hem__dice a = {7}, b = {7};
  hem__view_order order = {
      .garment = &garment, .scene = &scene, .front = &front, .side = 100, .strength = 1, .dice = &a};
  ck_ok(hem__view_make(&order, &first, err));
  ck_ok(hem__view_make(&order, &other, err));
  order.dice = &b;
  ck_ok(hem__view_make(&order, &again, err));
  ck_assert_uint_eq(hem__max(first.width, first.height), 100);
  ck_assert_double_eq(difference(&first, &again), 0);
  ck_assert(first.width != other.width || first.height != other.height || difference(&first, &other) > 1);
  for (size_t i = 0; i < first.width * first.height; i++)
    ck_assert(first.at[3 * i] == first.at[3 * i + 1] && first.at[3 * i] == first.at[3 * i + 2]);
  order.side = 0;
  hem__image none;
  ck_fails(hem__view_make(&order, &none, err), HEM_EINVAL, "no pixels");
  hem__image_clear(&garment);
  hem__image_clear(&scene);
  hem__image_clear(&front);
  hem__image_clear(&first);
  hem__image_clear(&again);
  hem__image_clear(&other);
}
END_TEST

/* At strength 0 only mirroring, JPEG and the scene around are left: the view's middle is the garment's. */
START_TEST(without_strength_the_garment_is_as_it_was) {
  hem__image garment = {0}, view = {0};
  ck_ok(hem__image_new(120, 160, &garment, err));
  memset(garment.at, 255, 120 * 160 * 3);
  for (size_t y = 30; y < 130; y++)
    for (size_t x = 30; x < 90; x++) memcpy(garment.at + 3 * (y * 120 + x), (uint8_t[]){180, 40, 90}, 3);
  hem__image scene = pattern(90, 90, 2, false);
  hem__dice dice = {3};
  hem__view_order order = {.garment = &garment, .scene = &scene, .front = &scene, .side = 160, .dice = &dice};
  ck_ok(hem__view_make(&order, &view, err));
  const uint8_t *middle = view.at + 3 * (view.height / 2 * view.width + view.width / 2);
  ck_assert_int_lt(abs(middle[0] - 180), 3);
  ck_assert_int_lt(abs(middle[1] - 40), 3);
  ck_assert_int_lt(abs(middle[2] - 90), 3);
  const uint8_t *corner = view.at + 3 * (5 * view.width + 5); /* the white sweep is cut away */
  ck_assert_int_lt(corner[0], 220);
  hem__image_clear(&garment);
  hem__image_clear(&scene);
  hem__image_clear(&view);
}
END_TEST

/* A catalogue of 40 large photos in files of their own, every eighth of which is a second photo of the item before; and
 * of idx photos. NULL without libvips. */
static hem__catalog *make_catalog(const char *folder, const char *idx) {
  char *list = hem__test_path(folder, "list.tsv"), *path = hem__test_path(folder, "shop.h5");
  hem__catalog *catalog = NULL;
  FILE *out = fopen(list, "w");
  bool photos = true;
  fputs("path\titem_id\tcategory\n", out);
  for (unsigned i = 0; i < 40; i++) {
    char name[32], *png;
    snprintf(name, sizeof name, "p%u.png", i);
    png = hem__test_path(folder, name);
    photos = photos && hem__test_png(png, i, 100, 130);
    fprintf(out, "%s\titem%u\t%s\n", name, i - (i % 8 == 7), i % 2 ? "dress" : "skirt");
    free(png);
  }
  fclose(out);
  const char *const features[] = {"pixels"};
  hem_ingest_options o = {
      .size = sizeof o, .catalog = path, .manifest = list, .features = features, .feature_count = 1};
  hem_ingest_result result;
  if (photos) ck_ok(hem_ingest(&o, &result, err));
  o.manifest = NULL;
  o.idx = idx;
  if (photos) ck_ok(hem_ingest(&o, &result, err));
  if (photos) ck_ok(hem__catalog_open(path, &catalog, err));
  free(list);
  free(path);
  return catalog;
}

static hem__views_result make(const hem__catalog *catalog, const char *folder, const char *idx, size_t threads) {
  hem__views_options o = {.folder = folder, .idx = idx, .each = 2, .limit = 100, .seed = 5, .threads = threads};
  hem__views_result result;
  ck_ok(hem__views_make(catalog, &o, &result, err));
  return result;
}

typedef struct scene {
  char folder[4096], idx[4096], out[4096 + 16];
  hem__catalog *catalog;
} scene;

static bool set(scene *s) {
  snprintf(s->folder, sizeof s->folder, "%s", hem__test_subfolder());
  snprintf(s->idx, sizeof s->idx, "%s", hem__test_subfolder());
  snprintf(s->out, sizeof s->out, "%s/views", s->folder);
  hem__test_idx(s->idx, "train", 160);
  hem__test_idx(s->idx, "t10k", 5);
  s->catalog = make_catalog(s->folder, s->idx);
  return s->catalog != NULL;
}

START_TEST(what_is_listed_can_be_ingested) {
  scene s;
  if (!set(&s)) return;
  hem__views_result r = make(s.catalog, s.out, s.idx, 2);
  ck_assert_uint_eq(r.photos, 200); /* customers' photos are no shop photos */
  ck_assert_uint_eq(r.viewed, 100);
  ck_assert_uint_eq(r.views, 200);
  ck_assert_uint_eq(r.left_out, 0);
  ck_assert_uint_eq(r.items[HEM__TRAIN] + r.items[HEM__VALIDATION] + r.items[HEM__TEST], 100);
  char *list = hem__test_path(s.out, "manifest.tsv"), *path = hem__test_path(s.folder, "practice.h5");
  const char *const features[] = {"pixels"};
  hem_ingest_options o = {
      .size = sizeof o, .catalog = path, .manifest = list, .features = features, .feature_count = 1};
  hem_ingest_result in;
  ck_ok(hem_ingest(&o, &in, err));
  ck_assert_uint_eq(in.added, 400);
  ck_assert_uint_eq(in.rejected, 0);
  hem__catalog *made = NULL;
  hem__set items = {0};
  ck_ok(hem__catalog_open(path, &made, err));
  const hem__photos *before = hem__catalog_photos(s.catalog), *after = hem__catalog_photos(made);
  hem__matrix old = hem__catalog_matrix(s.catalog, 0), new = hem__catalog_matrix(made, 0);
  uint8_t splits[400] = {0};
  size_t shop = 0;
  for (size_t i = 0; i < after->count; i++) {
    size_t item, known = items.count;
    ck_ok(hem__set_add(&items, after->at[i].item_id, &item, err));
    if (items.count > known) splits[item] = after->at[i].split;
    ck_assert_uint_eq(splits[item], after->at[i].split); /* never a split through an item */
    if (after->at[i].domain != HEM__SHOP) {
      ck_assert_uint_ne(after->at[i].split, HEM__NO_SPLIT);
      continue;
    }
    while (before->at[shop].domain != HEM__SHOP) shop++;
    ck_assert_str_eq(before->at[shop].item_id, after->at[i].item_id);
    ck_assert_str_eq(before->at[shop].category, after->at[i].category);
    ck_assert_mem_eq(hem__row(old, shop), hem__row(new, i), old.dim * sizeof(float)); /* also through a shared file */
    shop++;
  }
  hem__set_clear(&items);
  hem__catalog_close(made);
  hem__catalog_close(s.catalog);
  free(list);
  free(path);
}
END_TEST

START_TEST(threads_change_no_byte_and_the_seed_all) {
  scene s;
  if (!set(&s)) return;
  char again[4096 + 16], other[4096 + 16];
  static const char *const names[] = {"manifest.tsv", "view-000000-1.jpg", "view-000003-2.jpg", "view-000020-1.png"};
  snprintf(again, sizeof again, "%s/again", s.folder);
  snprintf(other, sizeof other, "%s/other", s.folder);
  make(s.catalog, s.out, s.idx, 1);
  make(s.catalog, again, s.idx, 3);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *a = hem__test_path(s.out, names[i]), *b = hem__test_path(again, names[i]);
    hem__test_same_file(a, b);
    free(a);
    free(b);
  }
  hem__views_options o = {.folder = other, .idx = s.idx, .each = 2, .limit = 100, .seed = 6};
  hem__views_result r;
  ck_ok(hem__views_make(s.catalog, &o, &r, err));
  char *a = hem__test_path(s.out, names[1]), *b = hem__test_path(other, names[1]);
  size_t a_size, b_size;
  uint8_t *a_bytes = hem__test_read(a, &a_size), *b_bytes = hem__test_read(b, &b_size);
  ck_assert(a_size != b_size || memcmp(a_bytes, b_bytes, a_size) != 0);
  free(a_bytes);
  free(b_bytes);
  free(a);
  free(b);
  hem__catalog_close(s.catalog);
}
END_TEST

START_TEST(what_cannot_be_seen_is_left_out) {
  scene s;
  if (!set(&s)) return;
  hem__views_result r = make(s.catalog, s.out, NULL, 2); /* the idx folder is not named */
  ck_assert_uint_eq(r.left_out, 160);
  ck_assert_uint_eq(r.photos, 40);
  char *gone = hem__test_path(s.folder, "p0.png");
  remove(gone);
  r = make(s.catalog, s.out, NULL, 2);
  ck_assert_uint_eq(r.left_out, 161);
  hem__views_options few = {.folder = s.out, .idx = s.idx, .limit = 20, .only_viewed = true};
  ck_ok(hem__views_make(s.catalog, &few, &r, err));
  ck_assert_uint_eq(r.photos + r.left_out, 20);
  hem__views_options o = {.folder = s.out, .strength = 3};
  ck_fails(hem__views_make(s.catalog, &o, &r, err), HEM_EINVAL, "0 to 2");
  free(gone);
  hem__catalog_close(s.catalog);
}
END_TEST

HEM_TESTS("views", a_homography_maps_the_corners, views_follow_their_dice_and_grey_stays_grey,
          without_strength_the_garment_is_as_it_was, what_is_listed_can_be_ingested,
          threads_change_no_byte_and_the_seed_all, what_cannot_be_seen_is_left_out)
