/* FAISS's indices against the exact scan, on data with structure: recall at the defaults, and that an index read back
 * answers as it did before it was written. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/threads.h"
#include "index/faiss_index.h"
#include "ingest/source.h"
#include "support/make_catalog.h"

enum { K = 10 };

static const char *const kinds[] = {"hnsw", "hnsw-sq8", "hnsw-pca", "ivf", "ivf-sq8", "ivf-pq"};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

static const char *shared_folder(void) {
  static const char *folder;
  if (!folder) folder = hem__test_folder();
  return folder;
}

/* ---- recall at the defaults ---- */

/* Share of the K exact nearest photos that come back; one as near as the K-th counts too. */
static double recall_of(hem_searcher *searcher, const float *query, size_t dim, const char *category) {
  hem_search_options o = {
      .size = sizeof o, .k = K, .categories = &category, .category_count = 1, .exact = true, .photos = true};
  hem_answer a;
  size_t held = 0;
  ck_ok(hem_search(searcher, query, dim, &o, &a, err));
  float farthest = a.hits[K - 1].distance;
  o.exact = false;
  ck_ok(hem_search(searcher, query, dim, &o, &a, err));
  ck_assert_uint_eq(a.found, K);
  for (size_t i = 0; i < K; i++) held += (double)a.hits[i].distance <= (double)farthest + 1e-5 * fabs((double)farthest);
  return (double)held / K;
}

/* Mean recall over the catalogue's customers. */
static double measure(const hem__made *made, const char *kind, hem_distance distance) {
  hem_engine *engine = NULL;
  hem_searcher *searcher = NULL;
  char name[32];
  double sum = 0;
  size_t queries = 0;
  snprintf(name, sizeof name, "%s-%s", kind, hem_distance_name(distance));
  char *store = hem__made_store(made, shared_folder(), name, (hem_index_options){.kind = kind, .distance = distance});
  ck_ok(hem_engine_open(store, NULL, &engine, err));
  ck_ok(hem_searcher_new(engine, &searcher, err));
  for (size_t i = 0; i < made->photos.count; i++) {
    const hem__photo *photo = &made->photos.at[i];
    if (photo->domain != HEM__CONSUMER) continue;
    sum += recall_of(searcher, hem__made_vector(made, i), made->dim, photo->category);
    queries++;
  }
  hem_searcher_free(searcher);
  hem_engine_close(engine);
  ck_ok(hem__remove_tree(store, err));
  free(store);
  return sum / (double)queries;
}

static void check_recall(const hem__made *made, const char *kind, hem_distance distance) {
  double recall = measure(made, kind, distance);
  ck_assert_msg(recall >= 0.99, "%s by %s: recall@10 is %.4f", kind, hem_distance_name(distance), recall);
}

/* Styles of garments: clusters of unlike size, each spread out along a few directions of its own. */
static hem__made make_clusters(size_t dim, size_t photos, size_t queries) {
  enum { CLUSTERS = 40, DIRECTIONS = 6 };
  hem__made made = {.dim = dim};
  uint64_t state = 1;
  float *axes = NULL, *v = NULL;
  ck_ok(hem__alloc(CLUSTERS * (DIRECTIONS + 1) * dim, sizeof *axes, "axes", &axes, err));
  ck_ok(hem__alloc(dim, sizeof *v, "a vector", &v, err));
  for (size_t i = 0; i < CLUSTERS * (DIRECTIONS + 1) * dim; i++) axes[i] = hem__test_normal(&state);
  for (size_t i = 0; i < photos + queries; i++) {
    float u = hem__test_uniform(&state);
    const float *own = axes + (size_t)(u * u * CLUSTERS) * (DIRECTIONS + 1) * dim;
    memcpy(v, own, dim * sizeof *v);
    for (size_t d = 1; d <= DIRECTIONS; d++) {
      float along = 0.5F * hem__test_normal(&state);
      for (size_t j = 0; j < dim; j++) v[j] += along * own[d * dim + j];
    }
    for (size_t j = 0; j < dim; j++) v[j] += 0.1F * hem__test_normal(&state);
    hem__photo photo = {.category = i % 3 ? "upper" : "lower", .domain = i < photos ? HEM__SHOP : HEM__CONSUMER};
    hem__made_add(&made, photo, v);
  }
  free(axes);
  free(v);
  return made;
}

/* hnsw-pca has nothing to leave out of 64 values of 46 directions: of 300 it has. */
START_TEST(recall_is_high_of_projections) {
  hem__made made = make_clusters(300, 4500, 150);
  check_recall(&made, "hnsw-pca", HEM_L2);
  check_recall(&made, "hnsw-pca", HEM_COSINE);
  hem__made_clear(&made);
}
END_TEST

START_TEST(recall_is_high_on_clusters) {
  hem__made made = make_clusters(64, 4500, 150);
  for (size_t i = 0; i < KIND_COUNT; i++) {
    check_recall(&made, kinds[i], HEM_L2);
    check_recall(&made, kinds[i], HEM_COSINE);
  }
  check_recall(&made, "hnsw", HEM_L1);
  hem__made_clear(&made);
}
END_TEST

/* The first photos of one half of Fashion-MNIST, as pixels. */
static void add_pixels(hem__made *made, hem__source *source, uint8_t domain, size_t limit) {
  hem__listed listed;
  hem__image image;
  bool more = true;
  size_t added = 0;
  while (added < limit) {
    ck_ok(source->next(source, &listed, &more, err));
    if (!more) break;
    if (listed.photo.domain != domain) continue;
    ck_ok(source->read(source, &listed, NULL, &listed.photo, &image, err));
    float v[784];
    for (size_t j = 0; j < 784; j++) v[j] = (float)image.at[3 * j] / 255;
    hem__image_clear(&image);
    hem__made_add(made, listed.photo, v);
    added++;
  }
}

START_TEST(recall_is_high_on_fashion_mnist) {
  static const char folder[] = "/usr/share/datasets/fashion-mnist";
  hem__source *source = NULL;
  hem__made made = {.dim = 784};
  if (!hem__path_exists(folder)) {
    fprintf(stderr, "skipped: %s is not there\n", folder);
    return;
  }
  ck_ok(hem__source_idx(folder, &source, err));
  add_pixels(&made, source, HEM__SHOP, 6000);
  add_pixels(&made, source, HEM__CONSUMER, 150);
  source->close(source);
  for (size_t i = 0; i < KIND_COUNT; i++) check_recall(&made, kinds[i], HEM_L2);
  hem__made_clear(&made);
}
END_TEST

/* ---- written and read back ---- */

typedef struct built {
  const char *factory, *setting;
  uint32_t value;
} built;

static const built recipes[] = {{"HNSW16", "efSearch", 50},     {"HNSW16_SQ8", "efSearch", 50},
                                {"IVF20,Flat", "nprobe", 5},    {"IVF20,SQ8", "nprobe", 5},
                                {"IVF20,PQ4x4fs", "nprobe", 5}, {"Pad20,IVF20,PQ5x4fs", "nprobe", 5}};

static hem__faiss *build(const built *b, hem_distance distance, hem__matrix vectors) {
  hem__faiss_recipe recipe = {.factory = b->factory, .distance = distance};
  hem__faiss *index = NULL;
  ck_ok(hem__faiss_build(&recipe, vectors, &index, err));
  ck_ok(hem__faiss_set(index, b->setting, b->value, err));
  return index;
}

static hem__map write_index(const hem__faiss *index) {
  char *path = hem__test_path(shared_folder(), "index.faiss");
  hem__aside *file = NULL;
  hem__map map;
  ck_ok(hem__aside_new(path, &file, err));
  ck_ok(hem__faiss_write(index, file, err));
  ck_ok(hem__aside_publish(file, NULL, NULL, err));
  hem__aside_free(file);
  ck_ok(hem__map_open(path, &map, err));
  free(path);
  return map;
}

static void check_same_answers(const hem__faiss *a, const hem__faiss *b, hem__matrix queries) {
  float keys[2][K];
  int64_t rows[2][K];
  for (size_t i = 0; i < queries.rows; i++) {
    ck_ok(hem__faiss_search(a, hem__row(queries, i), K, keys[0], rows[0], err));
    ck_ok(hem__faiss_search(b, hem__row(queries, i), K, keys[1], rows[1], err));
    ck_assert_mem_eq(rows[0], rows[1], sizeof rows[0]);
    ck_assert_mem_eq(keys[0], keys[1], sizeof keys[0]);
  }
}

static void check_round_trip(const built *b, hem_distance distance, hem__matrix vectors) {
  hem__faiss *index = build(b, distance, vectors), *again = build(b, distance, vectors), *read = NULL;
  hem__map map = write_index(index), same = write_index(again);
  hem__matrix queries = {.at = vectors.at, .rows = 100, .dim = vectors.dim};
  ck_assert_uint_eq(map.size, same.size);
  ck_assert_msg(!memcmp(map.at, same.at, map.size), "%s: built twice, other bytes", b->factory);
  ck_ok(hem__faiss_read(map.at, map.size, "index", distance, vectors.rows, vectors.dim, &read, err));
  ck_ok(hem__faiss_set(read, b->setting, b->value, err));
  check_same_answers(index, read, queries);
  hem__faiss *wrong = NULL;
  ck_fails(hem__faiss_read(map.at, map.size, "index", distance, vectors.rows - 1, vectors.dim, &wrong, err),
           HEM_ECORRUPT, "index");
  ck_fails(hem__faiss_read(map.at, map.size, "index", distance, vectors.rows, vectors.dim + 1, &wrong, err),
           HEM_ECORRUPT, "index");
  ck_fails(hem__faiss_read(map.at, map.size, "index", distance == HEM_IP ? HEM_L2 : HEM_IP, vectors.rows, vectors.dim,
                           &wrong, err),
           HEM_ECORRUPT, "index");
  ck_fails(hem__faiss_read(map.at, 0, "index", distance, vectors.rows, vectors.dim, &wrong, err), HEM_ECORRUPT,
           "index");
  hem__faiss_free(index);
  hem__faiss_free(again);
  hem__faiss_free(read);
  hem__map_close(&map);
  hem__map_close(&same);
}

START_TEST(an_index_read_back_answers_as_before) {
  int held = hem__omp_hold();
  for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
    hem__made made = make_clusters(i == 5 ? 18 : 16, 1500, 0);
    hem__matrix vectors = {.at = made.vectors, .rows = made.photos.count, .dim = made.dim};
    check_round_trip(&recipes[i], HEM_L2, vectors);
    check_round_trip(&recipes[i], HEM_IP, vectors);
    hem__made_clear(&made);
  }
  hem__omp_release(held);
}
END_TEST

START_TEST(what_faiss_refuses_comes_back_as_a_sentence) {
  float values[32] = {0};
  hem__matrix vectors = {.at = values, .rows = 8, .dim = 4};
  hem__faiss *index = NULL;
  hem__faiss_recipe bad = {.factory = "nonsense"}, greedy = {.factory = "IVF100,Flat"};
  ck_fails(hem__faiss_build(&bad, vectors, &index, err), HEM_EUNSUPPORTED, "FAISS could not");
  ck_fails(hem__faiss_build(&greedy, vectors, &index, err), HEM_EUNSUPPORTED, "FAISS could not");
  ck_fails(hem__faiss_read(values, sizeof values, "bytes", HEM_L2, 8, 4, &index, err), HEM_ECORRUPT, "bytes");
  ck_assert_ptr_null(index);
}
END_TEST

HEM_TESTS("faiss", recall_is_high_on_clusters, recall_is_high_of_projections, recall_is_high_on_fashion_mnist,
          an_index_read_back_answers_as_before, what_faiss_refuses_comes_back_as_a_sentence)
