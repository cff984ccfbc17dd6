#include "bench/chart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plot.h"
#include "metric/distance.h"

enum { POINTS = 10000 };

/* ---- which photos ---- */

static bool is_meant(const hem__photo *photo, int domain) { return domain < 0 || photo->domain == domain; }

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static hem_status choose(const hem__photos *photos, const hem__chart_options *o, hem__chart *map, hem_error *err) {
  size_t limit = o->points ? o->points : POINTS, seen = 0;
  for (size_t i = 0; i < photos->count; i++) map->there += is_meant(&photos->at[i], o->domain);
  if (!map->there)
    return hem__fail(err, HEM_ENOTFOUND, "the catalogue has no %s photos to draw",
                     o->domain < 0 ? "" : hem__domain_names[o->domain]);
  map->count = hem__min(limit, map->there);
  hem_status status = hem__alloc(map->count, sizeof *map->rows, "points", &map->rows, err);
  if (!status) status = hem__alloc(map->count, sizeof *map->at, "points", &map->at, err);
  if (!status) status = hem__alloc(map->count, sizeof *map->group, "points", &map->group, err);
  for (size_t i = 0, point = 0; i < photos->count && !status; i++) {
    if (!is_meant(&photos->at[i], o->domain)) continue;
    if (point < map->count && seen++ == point * map->there / map->count) map->rows[point++] = i;
  }
  return status;
}

/* Categories by name, so that colours do not depend on the catalogue's order. */
static hem_status group(const hem__photos *photos, hem__chart *map, hem_error *err) {
  hem__set names = {0};
  size_t capacity = 0, number;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < map->count && !status; i++) {
    const char *name = photos->at[map->rows[i]].category;
    if (hem__set_find(&names, name) != SIZE_MAX) continue;
    status = hem__set_add(&names, name, &number, err);
    if (!status)
      status = hem__grow(&map->groups, &capacity, map->group_count + 1, sizeof *map->groups, "categories", err);
    if (!status) map->groups[map->group_count++] = name;
  }
  hem__set_clear(&names);
  if (map->group_count) qsort(map->groups, map->group_count, sizeof *map->groups, by_name);
  for (size_t i = 0; i < map->group_count && !status; i++) status = hem__set_add(&names, map->groups[i], &number, err);
  for (size_t i = 0; i < map->count && !status; i++)
    map->group[i] = (uint32_t)hem__set_find(&names, photos->at[map->rows[i]].category);
  hem__set_clear(&names);
  return status;
}

/* ---- where ---- */

static hem_status place(hem__catalog *catalog, const hem__chart_options *o, hem__chart *map, hem_error *err) {
  hem__matrix all = hem__catalog_matrix(catalog, o->space);
  size_t values;
  float *vectors = NULL;
  hem_status status = hem__catalog_check(catalog, o->space, 0, all.rows, err);
  if (!status && !hem__mul(map->count, all.dim, &values)) status = hem__fail(err, HEM_ENOMEM, "too many points");
  if (!status) status = hem__alloc(values, sizeof *vectors, "points", &vectors, err);
  for (size_t i = 0; i < map->count && !status; i++)
    hem__normalise(hem__row(all, map->rows[i]), all.dim, vectors + i * all.dim);
  hem__tsne_options tsne = o->tsne;
  if (tsne.perplexity == 0) tsne.perplexity = 30;
  map->perplexity = tsne.perplexity;
  if (!status)
    status = hem__tsne((hem__matrix){.at = vectors, .rows = map->count, .dim = all.dim}, &tsne, map->at,
                       &map->divergence, err);
  free(vectors);
  return status;
}

hem_status hem__chart_make(hem__catalog *catalog, const hem__chart_options *options, hem__chart *out, hem_error *err) {
  hem__chart map = {0};
  const hem__photos *photos = hem__catalog_photos(catalog);
  hem_status status = choose(photos, options, &map, err);
  if (!status) status = group(photos, &map, err);
  if (!status) status = place(catalog, options, &map, err);
  if (status)
    hem__chart_clear(&map);
  else
    *out = map;
  return status;
}

void hem__chart_clear(hem__chart *map) {
  free(map->at);
  free(map->rows);
  free(map->group);
  free(map->groups);
  *map = (hem__chart){0};
}

hem_status hem__chart_draw(const hem__chart *map, bool png, char **bytes, size_t *size, hem_error *err) {
  double *at = NULL;
  hem_status status = hem__alloc(map->count, 2 * sizeof *at, "a plot", &at, err);
  if (status) return status;
  for (size_t i = 0; i < map->count; i++) {
    at[2 * i] = map->at[i].x;
    at[2 * i + 1] = map->at[i].y;
  }
  hem__scatter scatter = {.at = at,
                          .group = map->group,
                          .count = map->count,
                          .groups = map->groups,
                          .group_count = map->group_count,
                          .png = png};
  status = hem__scatter_draw(&scatter, bytes, size, err);
  free(at);
  return status;
}
