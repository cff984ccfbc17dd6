#include "support/make_metric.h"

#include <math.h>
#include <stdio.h>

#include "support/make_idx.h"

static void fill(float *out, size_t count, size_t fan, uint64_t *random) {
  float range = sqrtf(6.0F / (float)fan);
  for (size_t i = 0; i < count; i++) out[i] = range * (2 * hem__test_uniform(random) - 1);
}

hem__metric *hem__test_metric(hem__metric shape, uint64_t *random) {
  hem__metric *m = NULL;
  ck_ok(hem__metric_new(&shape, &m, err));
  fill(m->tower_weights, m->tower * m->dim, m->dim + m->tower, random);
  fill(m->tower_bias, m->tower, m->dim + m->tower, random);
  fill(m->w1, m->hidden * m->width, m->width + m->hidden, random);
  fill(m->b1, m->hidden, m->hidden, random);
  fill(m->w2, m->hidden ? m->hidden : m->width, m->width, random);
  for (size_t i = 0; i < (m->hidden ? m->hidden : m->width); i++) m->w2[i] = -fabsf(m->w2[i]);
  m->b2 = hem__test_uniform(random);
  ck_ok(hem__strdup("made", &m->space, err));
  return m;
}

static void add(hem__made *made, const hem__test_world *w, const float *item, hem__photo photo, uint64_t *random) {
  float vector[256];
  ck_assert_uint_le(w->dim, 256);
  for (size_t d = 0; d < w->dim; d++)
    vector[d] = d < w->signal ? item[d] + w->jitter * hem__test_normal(random) : w->noise * hem__test_normal(random);
  hem__made_add(made, photo, vector);
}

static void add_item(hem__made *made, const hem__test_world *w, size_t number, bool orphan, uint64_t *random) {
  char id[32], category[32];
  float item[256];
  snprintf(id, sizeof id, "%s-%05zu", orphan ? "orphan" : "item", number);
  snprintf(category, sizeof category, "c%zu", orphan ? 0 : number % w->categories);
  for (size_t d = 0; d < w->signal; d++) item[d] = hem__test_normal(random);
  hem__photo photo = {.item_id = id, .category = category, .domain = HEM__CONSUMER};
  for (size_t i = 0; i < w->consumers; i++) add(made, w, item, photo, random);
  photo.domain = HEM__SHOP;
  for (size_t i = 0; i < w->shops && !orphan; i++) add(made, w, item, photo, random);
}

void hem__test_pairs_new(const hem__test_world *w, hem__test_pairs *out) {
  hem__made made = {.dim = w->dim};
  uint64_t random = w->random;
  *out = (hem__test_pairs){.validation = {.threads = 1, .seed = 1}};
  for (size_t i = 0; i < w->items; i++) add_item(&made, w, i, false, &random);
  for (size_t i = 0; i < w->orphans; i++) add_item(&made, w, i, true, &random);
  ck_ok(hem__alloc(made.photos.count, sizeof *out->queries, "queries", &out->queries, err));
  ck_ok(hem__alloc(made.photos.count, sizeof *out->gallery, "gallery", &out->gallery, err));
  for (size_t i = 0; i < made.photos.count; i++)
    if (made.photos.at[i].domain == HEM__CONSUMER) {
      out->queries[out->validation.query_count++] = (uint32_t)i;
    } else {
      out->gallery[out->validation.gallery_count++] = (uint32_t)i;
    }
  out->validation.queries = out->queries;
  out->validation.gallery = out->gallery;
  char *path = hem__test_path(hem__test_subfolder(), "pairs.h5");
  hem__made_seal(&made, path);
  ck_ok(hem__catalog_open(path, &out->catalog, err));
  free(path);
  hem__made_clear(&made);
}

void hem__test_pairs_clear(hem__test_pairs *pairs) {
  hem__catalog_close(pairs->catalog);
  free(pairs->queries);
  free(pairs->gallery);
  *pairs = (hem__test_pairs){0};
}

hem__metric *hem__test_knowing(const hem__test_world *world) {
  hem__metric *m = NULL;
  ck_ok(hem__metric_new(&(hem__metric){.form = HEM__WEIGHTED_L1, .dim = world->dim}, &m, err));
  for (size_t d = 0; d < world->signal; d++) m->w2[d] = -1;
  m->b2 = 1;
  return m;
}
