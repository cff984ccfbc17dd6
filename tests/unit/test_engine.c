/* Answers against an oracle: plain loops in double precision over all photos, a full sort, items grouped by hand.
 *
 * Vectors are of 1 and -1, so that distances have no error and most are ties: the order is checked to the last row. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/make_catalog.h"

enum { DIM = 16, ALPHA = 1100, BETA = 1000, GAMMA = 300, PHOTOS = ALPHA + BETA + GAMMA, QUERIES = 3, CROWD = 500 };

static hem__made made = {.dim = DIM};
static float queries[QUERIES][DIM];
static const char *folder;
static const char *left_item; /* not to be found; NULL: every item is */

/* Every third photo of alpha has no label; one photo only is "rare", gamma's are all "late". */
static const char *label_of(size_t i) {
  static const char *const colours[] = {"", "red", "blue"};
  return i == ALPHA / 2 ? "rare" : i < ALPHA ? colours[i % 3] : i < ALPHA + BETA ? colours[1 + i % 2] : "late";
}

/* Items have no order that follows rows. "crowd" owns the 500 photos of alpha that are nearest to query 0; another
 * item has photos in all three categories. */
static void make_gallery(void) {
  uint64_t state = 1;
  if (made.photos.count) return;
  folder = hem__test_folder();
  for (size_t q = 0; q < QUERIES; q++) hem__test_signs(&state, DIM, queries[q]);
  for (size_t i = 0; i < PHOTOS; i++) {
    char item[32];
    float v[DIM];
    snprintf(item, sizeof item, i % 50 == 7 ? "everywhere" : "item-%zu", (size_t)(hem__test_random(&state) % 900));
    hem__test_signs(&state, DIM, v);
    if (i < CROWD) {
      memcpy(v, queries[0], sizeof v);
      v[i % DIM] = i < 20 ? v[i % DIM] : -v[i % DIM];
    }
    const char *category = i < ALPHA ? "alpha" : i < ALPHA + BETA ? "beta" : "gamma";
    hem__made_add(&made,
                  (hem__photo){.category = category, .item_id = i < CROWD ? "crowd" : item, .label = label_of(i)}, v);
    /* Customers between the shop photos: rows and gallery positions drift apart. */
    if (i % 97 == 0) hem__made_add(&made, (hem__photo){.category = category, .domain = HEM__CONSUMER}, v);
  }
}

/* ---- the oracle ---- */

typedef struct wanted {
  double distance;
  const char *item;
  size_t row;
} wanted;

static double distance_of(hem_distance distance, const float *a, const float *b) {
  double dot = 0, l1 = 0, l2 = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < DIM; i++) {
    double x = a[i], y = b[i];
    dot += x * y;
    l1 += fabs(x - y);
    l2 += (x - y) * (x - y);
    aa += x * x;
    bb += y * y;
  }
  switch (distance) {
    case HEM_L2:
      return sqrt(l2);
    case HEM_L1:
      return l1;
    case HEM_IP:
      return -dot;
    default:
      return 1 - dot / sqrt(aa * bb);
  }
}

static int by_distance_item_row(const void *a, const void *b) {
  const wanted *x = a, *y = b;
  if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
  int items = strcmp(x->item, y->item);
  return items ? items : x->row < y->row ? -1 : x->row > y->row;
}

static bool is_searched(const hem_search_options *o, const hem__photo *photo) {
  if (photo->domain != HEM__SHOP) return false;
  if (left_item && !strcmp(left_item, photo->item_id)) return false;
  bool category = o->category_count == 0, label = o->label_count == 0;
  for (size_t i = 0; i < o->category_count; i++) category |= !strcmp(o->categories[i], photo->category);
  for (size_t i = 0; i < o->label_count; i++) label |= !strcmp(o->labels[i], photo->label);
  return category && label;
}

/* Ranks everything; returns how many hits there are, at most k. *gallery: photos searched. */
static size_t rank_all(hem_distance distance, const float *query, const hem_search_options *o, wanted *out,
                       size_t *gallery) {
  size_t count = 0, kept = 0;
  hem__set items = {0};
  hem_search_options any_label = *o;
  any_label.label_count = 0;
  *gallery = 0;
  for (size_t row = 0; row < made.photos.count; row++) {
    const hem__photo *photo = &made.photos.at[row];
    *gallery += is_searched(&any_label, photo);
    if (!is_searched(o, photo)) continue;
    if (o->leave_out && row == o->leave_out_row) continue;
    out[count++] = (wanted){distance_of(distance, query, hem__made_vector(&made, row)), photo->item_id, row};
  }
  qsort(out, count, sizeof *out, by_distance_item_row);
  for (size_t i = 0; i < count && kept < o->k; i++) {
    size_t before = items.count;
    if (hem__set_add(&items, out[i].item, NULL, NULL)) ck_abort_msg("no memory");
    if (o->photos || items.count > before) out[kept++] = out[i];
  }
  hem__set_clear(&items);
  return kept;
}

/* Plain ifs: Check writes to a file for each of its asserts, and hits are many. */
static void check_hit(const hem_hit *hit, const wanted *want, size_t place, const hem_search_options *o) {
  const hem__photo *photo = &made.photos.at[want->row];
  if (hit->row != want->row)
    ck_abort_msg("k %zu, place %zu: row %zu (%s, %g) instead of row %zu (%s, %g)", o->k, place, (size_t)hit->row,
                 hit->item_id, (double)hit->distance, want->row, want->item, want->distance);
  bool texts = !strcmp(hit->item_id, photo->item_id) && !strcmp(hit->category, photo->category) &&
               !strcmp(hit->path, photo->path) && !strcmp(hit->label, photo->label);
  if (!texts) ck_abort_msg("row %zu is described as %s, %s, %s", want->row, hit->item_id, hit->category, hit->path);
  if (fabs((double)hit->distance - want->distance) > 1e-6)
    ck_abort_msg("row %zu is at %g instead of %g", want->row, (double)hit->distance, want->distance);
}

static void check_exact(hem_searcher *searcher, hem_distance distance, size_t query, hem_search_options o) {
  static wanted want[PHOTOS];
  hem_answer answer;
  size_t gallery, count = rank_all(distance, queries[query], &o, want, &gallery);
  o.size = sizeof o;
  o.exact = true;
  ck_ok(hem_search(searcher, queries[query], DIM, &o, &answer, err));
  ck_assert_msg(answer.found == count, "k %zu: %zu hits instead of %zu", o.k, answer.found, count);
  ck_assert(answer.wanted == o.k && answer.gallery == gallery && answer.fallbacks == 0);
  ck_assert_int_eq(answer.shortfall, count < o.k ? HEM_SMALL_GALLERY : HEM_COMPLETE);
  for (size_t i = 0; i < count; i++) check_hit(&answer.hits[i], &want[i], i, &o);
}

/* ---- every distance, kind, k and choice of categories ---- */

static const char *const some[][4] = {{NULL}, {"alpha"}, {"gamma", "alpha"}, {"beta", "gamma", "beta"}};
static const size_t some_counts[] = {0, 1, 2, 3};
static const size_t ks[] = {1, 2, 10, 50, 301, 1000, 10 * PHOTOS};

static void check_store(const char *kind, hem_distance distance) {
  char name[32];
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  snprintf(name, sizeof name, "%s-%s", kind, hem_distance_name(distance));
  char *store = hem__made_store(&made, folder, name, (hem_index_options){.kind = kind, .distance = distance});
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t c = 0; c < sizeof some_counts / sizeof *some_counts; c++)
    for (size_t k = 0; k < sizeof ks / sizeof *ks; k++)
      for (size_t q = 0; q < QUERIES; q++) {
        hem_search_options o = {.k = ks[k], .categories = some[c], .category_count = some_counts[c]};
        check_exact(searcher, distance, q, o);
        o.photos = true;
        check_exact(searcher, distance, q, o);
        o.leave_out = true;
        o.leave_out_row = q * 311; /* rows of the shop and, for some, of a customer */
        check_exact(searcher, distance, q, o);
        o.photos = false;
        check_exact(searcher, distance, q, o);
      }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
}

static void check_distance(hem_distance distance) {
  make_gallery();
  check_store("flat", distance);
  check_store("hnsw", distance);
  if (distance != HEM_L1) check_store("ivf", distance);
}

START_TEST(exact_answers_are_right_by_l2) { check_distance(HEM_L2); }
END_TEST
START_TEST(exact_answers_are_right_by_l1) { check_distance(HEM_L1); }
END_TEST
START_TEST(exact_answers_are_right_by_cosine) { check_distance(HEM_COSINE); }
END_TEST
START_TEST(exact_answers_are_right_by_inner_product) { check_distance(HEM_IP); }
END_TEST

/* ---- labels, and items that ask ---- */

static const char *const labels[][3] = {{"red"}, {""}, {"late", "blue", "late"}, {"rare"}, {"rare", "late"}};
static const size_t label_counts[] = {1, 1, 3, 1, 2};
enum { LABELS = sizeof label_counts / sizeof *label_counts };

static void check_labels(const char *kind, hem_distance distance) {
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  make_gallery();
  char *store = hem__made_store(&made, folder, "labels", (hem_index_options){.kind = kind, .distance = distance});
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t c = 0; c < sizeof some_counts / sizeof *some_counts; c += 2)
    for (size_t l = 0; l < LABELS; l++)
      for (size_t k = 0; k < sizeof ks / sizeof *ks; k += 2)
        for (int options = 0; options < 4; options++) {
          hem_search_options o = {.k = ks[k],
                                  .categories = some[c],
                                  .category_count = some_counts[c],
                                  .labels = labels[l],
                                  .label_count = label_counts[l],
                                  .photos = options & 1,
                                  .leave_out = options & 2,
                                  .leave_out_row = 311};
          check_exact(searcher, distance, k % QUERIES, o);
        }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
}

START_TEST(labels_narrow_an_answer_as_the_oracle_says) {
  check_labels("flat", HEM_L2);
  check_labels("hnsw", HEM_COSINE);
  check_labels("ivf", HEM_IP);
}
END_TEST

/* What is asked with: its first photo by category, then row. */
static size_t first_photo(const char *item) {
  size_t first = SIZE_MAX;
  for (size_t row = 0; row < made.photos.count; row++) {
    const hem__photo *p = &made.photos.at[row];
    if (p->domain != HEM__SHOP || strcmp(p->item_id, item) != 0) continue;
    if (first == SIZE_MAX || strcmp(p->category, made.photos.at[first].category) < 0) first = row;
  }
  return first;
}

static void check_item(hem_searcher *searcher, hem_distance distance, const char *item, hem_search_options o) {
  static wanted want[PHOTOS];
  hem_answer answer;
  size_t gallery;
  left_item = item;
  size_t count = rank_all(distance, hem__made_vector(&made, first_photo(item)), &o, want, &gallery);
  left_item = NULL;
  o.size = sizeof o;
  o.exact = true;
  ck_ok(hem_search_item(searcher, item, &o, &answer, err));
  ck_assert_msg(answer.found == count, "%s, k %zu: %zu hits instead of %zu", item, o.k, answer.found, count);
  for (size_t i = 0; i < count; i++) check_hit(&answer.hits[i], &want[i], i, &o);
  o.exact = false;
  ck_ok(hem_search_item(searcher, item, &o, &answer, err));
  ck_assert_uint_eq(answer.found, count);
  for (size_t i = 0; i < count; i++)
    if (!strcmp(answer.hits[i].item_id, item)) ck_abort_msg("item '%s' was found by itself", item);
}

static void check_items(const char *kind, hem_distance distance) {
  static const char *const items[] = {"crowd", "everywhere", "item-12", "item-899", "item-5"};
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  make_gallery();
  char *store = hem__made_store(&made, folder, "items", (hem_index_options){.kind = kind, .distance = distance});
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t i = 0; i < sizeof items / sizeof *items; i++)
    for (size_t k = 0; k < sizeof ks / sizeof *ks; k += 2)
      for (size_t c = 0; c < 3; c++) {
        hem_search_options o = {.k = ks[k], .categories = some[c], .category_count = some_counts[c], .photos = i % 2};
        check_item(searcher, distance, items[i], o);
        o.labels = labels[i];
        o.label_count = label_counts[i];
        check_item(searcher, distance, items[i], o);
      }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
}

START_TEST(an_item_asks_with_its_first_photo_and_is_left_out) {
  check_items("flat", HEM_L2);
  check_items("hnsw", HEM_COSINE);
  check_items("ivf", HEM_IP);
  check_items("hnsw", HEM_L1);
}
END_TEST

/* ---- what holds for approximate answers ---- */

static void check_approximate(hem_searcher *searcher, hem_distance distance, size_t query, hem_search_options o) {
  static bool seen[2 * PHOTOS];
  hem_answer answer;
  wanted before = {.distance = -INFINITY, .item = ""};
  memset(seen, 0, sizeof seen);
  o.size = sizeof o;
  ck_ok(hem_search(searcher, queries[query], DIM, &o, &answer, err));
  for (size_t i = 0; i < answer.found; i++) {
    const hem_hit *hit = &answer.hits[i];
    if (hit->row >= made.photos.count || seen[hit->row]) ck_abort_msg("place %zu: row %zu", i, (size_t)hit->row);
    seen[hit->row] = true;
    const hem__photo *photo = &made.photos.at[hit->row];
    double want = distance_of(distance, queries[query], hem__made_vector(&made, hit->row));
    if (!is_searched(&o, photo) || strcmp(hit->item_id, photo->item_id) != 0)
      ck_abort_msg("row %zu (%s) was not asked for", (size_t)hit->row, hit->item_id);
    if (fabs((double)hit->distance - want) > 1e-5)
      ck_abort_msg("row %zu is at %g instead of %g", (size_t)hit->row, (double)hit->distance, want);
    wanted here = {(double)hit->distance, hit->item_id, hit->row};
    if (by_distance_item_row(&before, &here) >= 0) ck_abort_msg("place %zu is out of order", i);
    before = here;
    for (size_t j = 0; j < i && !o.photos; j++)
      if (!strcmp(answer.hits[j].item_id, hit->item_id)) ck_abort_msg("item '%s' twice", hit->item_id);
  }
  static wanted all[PHOTOS];
  size_t gallery;
  ck_assert_uint_eq(answer.found, rank_all(distance, queries[query], &o, all, &gallery));
}

/* Never fewer hits than the gallery has, never one twice, of another category, out of order or made up. */
static void check_approximate_store(const char *kind, hem_distance distance) {
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  make_gallery();
  char *store = hem__made_store(&made, folder, "approximate",
                                (hem_index_options){.kind = kind, .distance = distance, .ef_search = 1, .nprobe = 1});
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t c = 0; c < sizeof some_counts / sizeof *some_counts; c++)
    for (size_t k = 0; k < 6; k++)
      for (size_t q = 0; q < QUERIES; q++) {
        hem_search_options o = {.k = ks[k], .categories = some[c], .category_count = some_counts[c]};
        check_approximate(searcher, distance, q, o);
        o.photos = true;
        check_approximate(searcher, distance, q, o);
        o.labels = labels[k % LABELS];
        o.label_count = label_counts[k % LABELS];
        check_approximate(searcher, distance, q, o);
      }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  free(store);
}

START_TEST(approximate_answers_are_whole_and_in_order) {
  static const char *const kinds[] = {"hnsw", "hnsw-sq8", "hnsw-pca", "ivf", "ivf-sq8", "ivf-pq"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    for (hem_distance d = HEM_L2; d <= HEM_IP; d++)
      if ((d != HEM_L1 || i == 0) && (d != HEM_IP || i != 2)) check_approximate_store(kinds[i], d);
}
END_TEST

HEM_TESTS("engine", exact_answers_are_right_by_l2, exact_answers_are_right_by_l1, exact_answers_are_right_by_cosine,
          exact_answers_are_right_by_inner_product, labels_narrow_an_answer_as_the_oracle_says,
          an_item_asks_with_its_first_photo_and_is_left_out, approximate_answers_are_whole_and_in_order)
