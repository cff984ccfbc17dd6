/* tuning.json. Every field is checked on the way in: a file from outside is not believed. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/tuning.h"

enum { VERSION = 1, CATEGORIES_MAX = 1000000 };
static const double US_MOST = 1e12; /* eleven days for a query */

/* ---- out ---- */

static json_t *point_to_json(const hem__tuned_point *p) {
  return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I}", "kind", p->kind, "efSearch",
                   (json_int_t)p->ef_search, "nprobe", (json_int_t)p->nprobe, "refine", (json_int_t)p->refine, "rerank",
                   (json_int_t)p->rerank, "recall", p->recall, "low", p->low, "high", p->high, "median_us",
                   p->median_us, "p99_us", p->p99_us, "bytes", (json_int_t)p->bytes);
}

static json_t *category_to_json(const hem__tuned_category *c) {
  json_t *points = json_array();
  const hem_certificate *promise = &c->promise;
  for (size_t i = 0; i < c->count; i++)
    if (json_array_append_new(points, point_to_json(&c->points[i]))) {
      json_decref(points);
      return NULL;
    }
  return json_pack("{s:s, s:I, s:I, s:I, s:f, s:{s:f, s:f, s:f, s:I}, s:o}", "name", c->name, "photos",
                   (json_int_t)c->photos, "queries", (json_int_t)c->queries, "chosen", (json_int_t)c->chosen, "noise",
                   c->noise, "promise", "recall", promise->overlap, "low", promise->low, "high", promise->high,
                   "queries", (json_int_t)promise->queries, "points", points);
}

static json_t *to_json(const hem__tuning *t) {
  json_t *categories = json_array();
  for (size_t i = 0; i < t->category_count; i++)
    if (json_array_append_new(categories, category_to_json(&t->categories[i]))) {
      json_decref(categories);
      return NULL;
    }
  return json_pack("{s:s, s:i, s:s, s:I, s:f, s:I, s:I, s:o}", "format", "hemline tuning", "version", VERSION, "truth",
                   t->reranked ? "siamese" : "distance", "k", (json_int_t)t->k, "target_recall", t->target_recall,
                   "max_latency_us", (json_int_t)t->max_latency_us, "max_memory", (json_int_t)t->max_memory,
                   "categories", categories);
}

hem_status hem__tuning_print(const hem__tuning *tuning, char **json, size_t *size, hem_error *err) {
  json_t *root = to_json(tuning);
  char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(root);
  if (!text) return hem__fail(err, HEM_ENOMEM, "no memory for what was tried (or a name in it is not UTF-8)");
  *json = text;
  *size = strlen(text);
  return HEM_OK;
}

/* ---- in ---- */

typedef struct reader {
  const char *name;
  hem_error *err;
  hem_status status; /* the first failure; later reads do nothing */
} reader;

static void wrong(reader *r, const char *field) {
  if (!r->status) r->status = hem__fail(r->err, HEM_ECORRUPT, "%s: '%s' is missing or makes no sense", r->name, field);
}

static uint64_t number(reader *r, const json_t *object, const char *field, uint64_t limit) {
  const json_t *value = json_object_get(object, field);
  json_int_t n = json_integer_value(value);
  if (json_is_integer(value) && n >= 0 && (uint64_t)n <= limit) return (uint64_t)n;
  wrong(r, field);
  return 0;
}

static double real(reader *r, const json_t *object, const char *field, double most) {
  const json_t *value = json_object_get(object, field);
  double n = json_number_value(value);
  if (json_is_number(value) && n >= 0 && n <= most) return n;
  wrong(r, field);
  return 0;
}

/* Nine digits may round one of them over another that it equals. */
static void check_order(reader *r, double low, double middle, double high) {
  const double rounding = 1e-8;
  if (low > middle + rounding || middle > high + rounding) wrong(r, "recall");
}

static void point(reader *r, const json_t *object, hem__tuned_point *p) {
  const char *kind = json_string_value(json_object_get(object, "kind"));
  size_t length = kind ? strlen(kind) : 0;
  if (length == 0 || length >= sizeof p->kind) {
    wrong(r, "kind");
  } else {
    memcpy(p->kind, kind, length + 1);
  }
  p->ef_search = (uint32_t)number(r, object, "efSearch", INT32_MAX);
  p->nprobe = (uint32_t)number(r, object, "nprobe", INT32_MAX);
  p->refine = (uint32_t)number(r, object, "refine", INT32_MAX);
  p->rerank = (uint32_t)number(r, object, "rerank", INT32_MAX);
  p->recall = real(r, object, "recall", 1);
  p->low = real(r, object, "low", 1);
  p->high = real(r, object, "high", 1);
  p->median_us = real(r, object, "median_us", US_MOST);
  p->p99_us = real(r, object, "p99_us", US_MOST);
  p->bytes = number(r, object, "bytes", INT64_MAX);
  check_order(r, p->low, p->recall, p->high);
}

static void promise(reader *r, const json_t *object, uint32_t k, hem_certificate *c) {
  const json_t *value = json_object_get(object, "promise");
  *c = (hem_certificate){.overlap = real(r, value, "recall", 1),
                         .low = real(r, value, "low", 1),
                         .high = real(r, value, "high", 1),
                         .queries = number(r, value, "queries", INT64_MAX),
                         .k = k};
  check_order(r, c->low, c->overlap, c->high);
}

static void category(reader *r, const json_t *object, uint32_t k, hem__tuned_category *c) {
  const json_t *points = json_object_get(object, "points");
  const char *name = json_string_value(json_object_get(object, "name"));
  size_t count = json_array_size(points);
  if (!name) wrong(r, "name");
  if (!json_is_array(points) || count == 0 || count > HEM__TUNED_POINTS_MAX) wrong(r, "points");
  c->photos = number(r, object, "photos", UINT32_MAX);
  c->queries = number(r, object, "queries", INT64_MAX);
  c->noise = real(r, object, "noise", 1e9);
  c->chosen = number(r, object, "chosen", HEM__TUNED_POINTS_MAX);
  if (!r->status && c->chosen >= count) wrong(r, "chosen");
  promise(r, object, k, &c->promise);
  if (!r->status) r->status = hem__strdup(name, &c->name, r->err);
  if (!r->status) r->status = hem__alloc(count, sizeof *c->points, "settings", &c->points, r->err);
  for (size_t i = 0; i < count && !r->status; i++) point(r, json_array_get(points, i), &c->points[i]);
  c->count = count;
}

static void tuning(reader *r, const json_t *root, hem__tuning *t) {
  const json_t *categories = json_object_get(root, "categories");
  const char *truth = json_string_value(json_object_get(root, "truth"));
  size_t count = json_array_size(categories);
  t->reranked = truth && !strcmp(truth, "siamese");
  if (!truth || (!t->reranked && strcmp(truth, "distance") != 0)) wrong(r, "truth");
  t->k = (uint32_t)number(r, root, "k", 1000000);
  t->target_recall = real(r, root, "target_recall", 1);
  t->max_latency_us = (uint32_t)number(r, root, "max_latency_us", UINT32_MAX);
  t->max_memory = number(r, root, "max_memory", INT64_MAX);
  if (!json_is_array(categories) || count == 0 || count > CATEGORIES_MAX) wrong(r, "categories");
  if (!r->status) r->status = hem__alloc(count, sizeof *t->categories, "categories", &t->categories, r->err);
  for (size_t i = 0; i < count && !r->status; i++) {
    t->category_count = i + 1;
    category(r, json_array_get(categories, i), t->k, &t->categories[i]);
  }
}

hem_status hem__tuning_parse(const char *json, size_t size, const char *name, hem__tuning *out, hem_error *err) {
  json_error_t why;
  hem__tuning t = {0};
  json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &why);
  if (!root) return hem__fail(err, HEM_ECORRUPT, "%s line %d: %s", name, why.line, why.text);
  reader r = {.name = name, .err = err};
  const char *format = json_string_value(json_object_get(root, "format"));
  json_int_t version = json_integer_value(json_object_get(root, "version"));
  if (!format || strcmp(format, "hemline tuning") != 0) {
    r.status = hem__fail(err, HEM_EVERSION, "%s is no file of Hemline's settings", name);
  } else if (version != VERSION) {
    r.status =
        hem__fail(err, HEM_EVERSION, "%s has version %lld and this Hemline reads version %d: use a newer Hemline", name,
                  (long long)version, VERSION);
  } else {
    tuning(&r, root, &t);
  }
  json_decref(root);
  if (r.status) {
    hem__tuning_clear(&t);
    return r.status;
  }
  *out = t;
  return HEM_OK;
}

/* The chosen setting must be the one that serves: a file of another generation would answer wrongly. */
static hem_status check_against(const hem__manifest *m, const hem__tuning *t, hem_error *err) {
  bool same = m->category_count == t->category_count;
  for (size_t i = 0; same && i < m->category_count; i++) {
    const hem__generation_category *c = &m->categories[i];
    const hem__tuned_category *tuned = &t->categories[i];
    const hem__tuned_point *p = &tuned->points[tuned->chosen];
    same = !strcmp(c->name, tuned->name) && c->photos == tuned->photos && !strcmp(c->kind, p->kind) &&
           c->ef_search == p->ef_search && c->nprobe == p->nprobe && c->refine == p->refine && c->rerank == p->rerank;
  }
  if (same) return HEM_OK;
  return hem__fail(err, HEM_ECORRUPT, "%s is not of this generation: its settings are others", m->tuning.name);
}

hem_status hem__tuning_read(const hem__generation *g, hem__tuning *out, hem_error *err) {
  hem__map map = {0};
  hem__tuning t = {0};
  if (!g->manifest.tuning.name) {
    *out = t;
    return HEM_OK;
  }
  hem_status status = hem__generation_map(g, &g->manifest.tuning, &map, err);
  if (!status) status = hem__tuning_parse((const char *)map.at, map.size, g->manifest.tuning.name, &t, err);
  if (!status) status = check_against(&g->manifest, &t, err);
  hem__map_close(&map);
  if (status) {
    hem__tuning_clear(&t);
  } else {
    *out = t;
  }
  return status;
}
