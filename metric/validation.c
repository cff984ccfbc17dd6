#include "metric/validation.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

/* ---- who asks whom ---- */

typedef struct listing {
  const hem__photos *photos;
  const hem__validation *validation;
  hem__set categories, items;
  hem__contests out;
} listing;

static hem_status check_rows(const hem__photos *photos, const uint32_t *rows, size_t count, hem_error *err) {
  for (size_t i = 0; i < count; i++)
    if (rows[i] >= photos->count)
      return hem__fail(err, HEM_EINVAL, "there is no row %u: the catalogue has %zu photos", rows[i], photos->count);
  return HEM_OK;
}

static int by_category(const void *a, const void *b) {
  return strcmp(((const hem__contest *)a)->category, ((const hem__contest *)b)->category);
}

/* The queries' categories, sorted; each one's number in the set is its place in the list. */
static hem_status list_categories(listing *l, hem_error *err) {
  const hem__validation *v = l->validation;
  size_t capacity = 0, number;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < v->query_count && !status; i++) {
    const char *category = l->photos->at[v->queries[i]].category;
    status = hem__set_add(&l->categories, category, &number, err);
    if (status || number < l->out.count) continue;
    status = hem__grow(&l->out.at, &capacity, number + 1, sizeof *l->out.at, "categories", err);
    if (!status) l->out.at[l->out.count++] = (hem__contest){.category = category};
  }
  if (status) return status;
  if (l->out.count) qsort(l->out.at, l->out.count, sizeof *l->out.at, by_category);
  hem__set_clear(&l->categories);
  for (size_t i = 0; i < l->out.count && !status; i++)
    status = hem__set_add(&l->categories, l->out.at[i].category, &number, err);
  return status;
}

/* NULL: nobody asks in this category. */
static hem__contest *contest_of(const listing *l, uint32_t row) {
  size_t number = hem__set_find(&l->categories, l->photos->at[row].category);
  return number == SIZE_MAX ? NULL : &l->out.at[number];
}

static hem_status make_room(listing *l, hem_error *err) {
  const hem__validation *v = l->validation;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < v->query_count; i++) contest_of(l, v->queries[i])->query_count++;
  for (size_t i = 0; i < v->gallery_count; i++) {
    hem__contest *c = contest_of(l, v->gallery[i]);
    if (c) c->gallery_count++;
  }
  for (size_t i = 0; i < l->out.count && !status; i++) {
    hem__contest *c = &l->out.at[i];
    status = hem__alloc(c->query_count, sizeof *c->queries, "queries", &c->queries, err);
    if (!status) status = hem__alloc(c->query_count, sizeof *c->query_items, "queries", &c->query_items, err);
    if (!status) status = hem__alloc(c->query_count, sizeof *c->places, "queries", &c->places, err);
    if (!status) status = hem__alloc(c->gallery_count, sizeof *c->gallery, "a gallery", &c->gallery, err);
    if (!status) status = hem__alloc(c->gallery_count, sizeof *c->gallery_items, "a gallery", &c->gallery_items, err);
    c->query_count = c->gallery_count = 0;
  }
  return status;
}

static hem_status fill(listing *l, hem_error *err) {
  const hem__validation *v = l->validation;
  hem_status status = HEM_OK;
  size_t item;
  for (size_t i = 0; i < v->query_count && !status; i++) {
    hem__contest *c = contest_of(l, v->queries[i]);
    status = hem__set_add(&l->items, l->photos->at[v->queries[i]].item_id, &item, err);
    if (status) break;
    c->queries[c->query_count] = v->queries[i];
    c->places[c->query_count] = (uint32_t)i;
    c->query_items[c->query_count++] = (uint32_t)item;
  }
  for (size_t i = 0; i < v->gallery_count && !status; i++) {
    hem__contest *c = contest_of(l, v->gallery[i]);
    if (!c) continue;
    status = hem__set_add(&l->items, l->photos->at[v->gallery[i]].item_id, &item, err);
    if (status) break;
    c->gallery[c->gallery_count] = v->gallery[i];
    c->gallery_items[c->gallery_count++] = (uint32_t)item;
  }
  l->out.items = l->items.count;
  return status;
}

hem_status hem__contests_new(const hem__photos *photos, const hem__validation *validation, hem__contests *out,
                             hem_error *err) {
  listing l = {.photos = photos, .validation = validation};
  hem_status status = check_rows(photos, validation->queries, validation->query_count, err);
  if (!status) status = check_rows(photos, validation->gallery, validation->gallery_count, err);
  if (!status) status = list_categories(&l, err);
  if (!status) status = make_room(&l, err);
  if (!status) status = fill(&l, err);
  hem__set_clear(&l.categories);
  hem__set_clear(&l.items);
  if (status) {
    hem__contests_clear(&l.out);
    return status;
  }
  *out = l.out;
  return HEM_OK;
}

void hem__contests_clear(hem__contests *contests) {
  for (size_t i = 0; i < contests->count; i++) {
    free(contests->at[i].queries);
    free(contests->at[i].query_items);
    free(contests->at[i].places);
    free(contests->at[i].gallery);
    free(contests->at[i].gallery_items);
  }
  free(contests->at);
  *contests = (hem__contests){0};
}

/* ---- their points ---- */

enum { STEP = 256 }; /* rows that are projected at once */

typedef struct gathering {
  const hem__metric *metric;
  const hem__selection *selection;
  float *out, *raw; /* raw: by worker, STEP rows as the catalogue has them */
  size_t width;
  hem_status *status; /* by step */
} gathering;

static void gather_step(void *context, size_t step, size_t worker) {
  const gathering *g = context;
  const hem__selection *s = g->selection;
  size_t dim = s->vectors.dim, first = step * STEP, count = hem__min(STEP, s->count - first);
  float *out = g->out + first * g->width, *raw = g->metric ? g->raw + worker * STEP * dim : out;
  for (size_t i = 0; i < count; i++) memcpy(raw + i * dim, hem__row(s->vectors, s->rows[first + i]), dim * sizeof *raw);
  if (g->metric) g->status[step] = hem__metric_project(g->metric, raw, count, out, NULL);
}

hem_status hem__points(const hem__metric *metric, const hem__selection *selection, float **out, hem_error *err) {
  size_t steps = (selection->count + STEP - 1) / STEP, values, raw;
  size_t threads = selection->threads ? selection->threads : hem__cores();
  gathering g = {.metric = metric, .selection = selection, .width = metric ? metric->width : selection->vectors.dim};
  if (!hem__mul(selection->count, g.width, &values) || !hem__mul(threads * STEP, selection->vectors.dim, &raw))
    return hem__fail(err, HEM_ENOMEM, "%zu points of %zu values are too many", selection->count, g.width);
  hem_status status = hem__alloc(values, sizeof *g.out, "points", &g.out, err);
  if (!status) status = hem__alloc(metric ? raw : 0, sizeof *g.raw, "points", &g.raw, err);
  if (!status) status = hem__alloc(steps, sizeof *g.status, "points", &g.status, err);
  if (!status) status = hem__parallel_for(steps, threads, gather_step, &g, err);
  for (size_t i = 0; i < steps && !status; i++)
    if (g.status[i])
      status = hem__fail(err, g.status[i], "the points of %zu photos do not fit memory", selection->count);
  free(g.raw);
  free(g.status);
  if (status) {
    free(g.out);
    return status;
  }
  *out = g.out;
  return HEM_OK;
}
