#include "support/make_learned.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metric/metric_file.h"

static void fill_head(hem__metric *m, bool free_sign, uint64_t *random) {
  for (size_t h = 0; h < m->hidden; h++) {
    for (size_t d = 0; d < m->width; d++) m->w1[h * m->width + d] = hem__test_uniform(random) - 0.2F;
    m->b1[h] = hem__test_normal(random);
    m->w2[h] = -hem__test_uniform(random) / (float)m->hidden;
    if (free_sign && h % 4 == 0) m->w2[h] = -m->w2[h] / 2;
  }
}

static void set_calibration(hem__metric *m) {
  m->calibration_count = 2;
  ck_ok(hem__alloc(2, sizeof *m->calibrations, "calibrations", &m->calibrations, err));
  for (size_t i = 0; i < 2; i++) {
    ck_ok(hem__strdup(i ? "c1" : "", &m->calibrations[i].category, err));
    m->calibrations[i].platt = (hem__platt){.slope = i ? 2 : 1, .offset = i ? 1 : 2};
    m->calibrations[i].threshold = i ? 0.25 : 0.5;
    m->calibrations[i].queries = 10;
  }
  m->false_accept = 0.05;
}

hem__metric *hem__test_learned(hem__test_kind kind, size_t dim, hem_distance distance, uint64_t seed) {
  static const char recipe[] = "made up by a test";
  bool line = kind == HEM__TEST_L1 || kind == HEM__TEST_L2;
  hem__metric shape = {.form = kind == HEM__TEST_L1   ? HEM__WEIGHTED_L1
                               : kind == HEM__TEST_L2 ? HEM__WEIGHTED_L2
                                                      : HEM__HEAD,
                       .dim = dim,
                       .unit = kind == HEM__TEST_TOWER,
                       .hidden = line ? 0 : 24,
                       .tower = kind == HEM__TEST_TOWER ? dim / 2 : 0},
              *m = NULL;
  hem__digest digest = hem__sha256_of(recipe, strlen(recipe));
  char hash[65];
  hem__digest_hex(&digest, hash);
  ck_ok(hem__metric_new(&shape, &m, err));
  for (size_t i = 0; i < m->tower * dim; i++) m->tower_weights[i] = hem__test_normal(&seed);
  fill_head(m, kind == HEM__TEST_FREE, &seed);
  for (size_t d = 0; line && d < m->width; d++) m->w2[d] = -hem__test_uniform(&seed);
  for (size_t d = 0; d < m->width; d++) m->candidate_scale[d] = 0.5F + hem__test_uniform(&seed);
  m->b2 = 3;
  m->candidate_distance = distance;
  set_calibration(m);
  ck_ok(hem__strdup("made", &m->space, err));
  ck_ok(hem__strdup(hash, &m->space_hash, err));
  ck_ok(hem__strdup("made", &m->features, err));
  ck_ok(hem__strdup("made by a test", &m->about, err));
  m->verdict = (hem__verdict){.queries = 100,
                              .gallery = 1000,
                              .right = {50, 40, 30, 70},
                              .gain = 0.2,
                              .gain_low = 0.1,
                              .gain_high = 0.3,
                              .best = HEM_L2};
  return m;
}

char *hem__test_learned_store(const hem__made *made, const hem__metric *metric, const char *folder, const char *store,
                              hem_index_options options) {
  char *path = hem__test_path(folder, "metric.h5");
  ck_ok(hem__metric_save(metric, path, err));
  options.metric = path;
  char *made_store = hem__made_store(made, folder, store, options);
  free(path);
  return made_store;
}

void hem__test_shop(hem__made *made, size_t items, size_t categories, uint64_t seed) {
  float item[256], vector[256] = {0};
  ck_assert_uint_le(made->dim, 256);
  for (size_t i = 0; i < items; i++) {
    char id[32], category[32], label[32];
    snprintf(id, sizeof id, "item-%05zu", (size_t)(hem__test_random(&seed) % 1000) * items + i);
    snprintf(category, sizeof category, "c%zu", i % categories);
    for (size_t d = 0; d < made->dim; d++) item[d] = hem__test_normal(&seed);
    for (size_t j = 0; j < 1 + i % 3 + (i % 5 == 0); j++) {
      bool copy = made->photos.count % 10 == 9;
      for (size_t d = 0; d < made->dim && !copy; d++) vector[d] = item[d] + 0.3F * hem__test_normal(&seed);
      snprintf(label, sizeof label, "l%zu", (i + j) % 7);
      hem__photo photo = {.item_id = id, .category = category, .label = label};
      photo.domain = j == 1 + i % 3 ? HEM__CONSUMER : HEM__SHOP;
      hem__made_add(made, photo, vector);
    }
  }
}
