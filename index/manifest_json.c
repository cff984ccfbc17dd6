/* The manifest as JSON. Every field is checked on the way in: a manifest from outside is not believed. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "index/generation.h"

/* A generation without a metric is of version 1, so that older Hemlines read it. */
/* Each is written where it is needed, so that an older Hemline reads what it can read. */
enum { VERSION_PLAIN = 1, VERSION_METRIC = 2, VERSION_BYTES = 3, VERSION = VERSION_BYTES, CATEGORIES_MAX = 1000000 };

static const char *const precisions[] = {[HEM__U8] = "u8", [HEM__F16] = "f16"};
enum { PRECISIONS = sizeof precisions / sizeof *precisions };

static void clear_file(hem__generation_file *file) { free(file->name); }

void hem__manifest_clear(hem__manifest *m) {
  for (size_t i = 0; m->categories && i < m->category_count; i++) {
    hem__generation_category *c = &m->categories[i];
    free(c->name);
    free(c->kind);
    free(c->factory);
    clear_file(&c->vectors);
    clear_file(&c->index);
    clear_file(&c->points);
  }
  free(m->categories);
  clear_file(&m->gallery);
  clear_file(&m->tuning);
  clear_file(&m->metric.file);
  clear_file(&m->metric.quantiser);
  free(m->catalog);
  free(m->space);
  free(m->space_hash);
  free(m->features);
  *m = (hem__manifest){0};
}

/* ---- out ---- */

static json_t *file_to_json(const hem__generation_file *f) {
  char hex[65];
  if (!f->name) return json_null();
  hem__digest_hex(&f->digest, hex);
  return json_pack("{s:s, s:I, s:s}", "name", f->name, "size", (json_int_t)f->size, "sha256", hex);
}

static json_t *category_to_json(const hem__generation_category *c) {
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o*}", "name", c->name, "kind", c->kind,
                   "faiss", c->factory, "first", (json_int_t)c->first, "photos", (json_int_t)c->photos, "efSearch",
                   (json_int_t)c->ef_search, "nprobe", (json_int_t)c->nprobe, "refine", (json_int_t)c->refine,
                   "vectors", file_to_json(&c->vectors), "index", file_to_json(&c->index), "divisor",
                   c->divisor ? json_integer(c->divisor) : NULL);
}

static json_t *certificate_to_json(const hem_certificate *c) {
  return json_pack("{s:f, s:f, s:f, s:I, s:I}", "overlap", c->overlap, "low", c->low, "high", c->high, "queries",
                   (json_int_t)c->queries, "k", (json_int_t)c->k);
}

/* Adds what a metric needs to a category's object. Takes the object; NULL where that fails. */
static json_t *add_points(json_t *object, const hem__generation_category *c) {
  int failed = json_object_set_new(object, "points", file_to_json(&c->points)) |
               json_object_set_new(object, "rerank", json_integer(c->rerank)) |
               json_object_set_new(object, "certificate", certificate_to_json(&c->certificate));
  if (!failed) return object;
  json_decref(object);
  return NULL;
}

static json_t *metric_to_json(const hem__generation_metric *m) {
  return json_pack("{s:o, s:o, s:I, s:s, s:o}", "file", file_to_json(&m->file), "quantiser",
                   file_to_json(&m->quantiser), "width", (json_int_t)m->width, "precision", precisions[m->precision],
                   "certificate", certificate_to_json(&m->certificate));
}

static int version_of(const hem__manifest *m) {
  for (size_t i = 0; i < m->category_count; i++)
    if (m->categories[i].divisor) return VERSION_BYTES;
  return hem__manifest_learned(m) ? VERSION_METRIC : VERSION_PLAIN;
}

static json_t *to_json(const hem__manifest *m) {
  char identity[65];
  bool learned = hem__manifest_learned(m);
  hem__digest_hex(&m->catalog_identity, identity);
  json_t *categories = json_array();
  for (size_t i = 0; i < m->category_count; i++) {
    json_t *category = category_to_json(&m->categories[i]);
    if (learned) category = add_points(category, &m->categories[i]);
    if (json_array_append_new(categories, category) == 0) continue;
    json_decref(categories);
    return NULL;
  }
  json_t *root = json_pack(
      "{s:s, s:i, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:I}, s:s, s:o, s:o}", "format", "hemline generation", "version",
      version_of(m), "hemline", HEM_VERSION_STRING, "catalog", m->catalog, "catalog_identity", identity, "space",
      "name", m->space, "sha256", m->space_hash, "features", m->features, "dim", (json_int_t)m->dim, "distance",
      hem_distance_name(m->distance), "gallery", file_to_json(&m->gallery), "categories", categories);
  int failed = 0;
  if (root && m->tuning.name) failed |= json_object_set_new(root, "tuning", file_to_json(&m->tuning));
  if (root && learned) failed |= json_object_set_new(root, "metric", metric_to_json(&m->metric));
  if (!failed) return root;
  json_decref(root);
  return NULL;
}

hem_status hem__manifest_print(const hem__manifest *manifest, char **json, size_t *size, hem_error *err) {
  json_t *root = to_json(manifest);
  char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
  json_decref(root);
  if (!text) return hem__fail(err, HEM_ENOMEM, "no memory for a manifest (or a name in it is not UTF-8)");
  *json = text;
  *size = strlen(text);
  return HEM_OK;
}

/* ---- in ---- */

typedef struct reader {
  const char *name; /* of the file, for messages */
  hem_error *err;
  hem_status status; /* the first failure; later reads do nothing */
} reader;

static void wrong(reader *r, const char *field) {
  if (!r->status) r->status = hem__fail(r->err, HEM_ECORRUPT, "%s: '%s' is missing or makes no sense", r->name, field);
}

static char *text(reader *r, const json_t *object, const char *field) {
  const char *value = json_string_value(json_object_get(object, field));
  char *copy = NULL;
  if (!value) {
    wrong(r, field);
  } else if (!r->status) {
    r->status = hem__strdup(value, &copy, r->err);
  }
  return copy;
}

static uint64_t number(reader *r, const json_t *object, const char *field, uint64_t limit) {
  const json_t *value = json_object_get(object, field);
  json_int_t n = json_integer_value(value);
  if (json_is_integer(value) && n >= 0 && (uint64_t)n <= limit) return (uint64_t)n;
  wrong(r, field);
  return 0;
}

static double share(reader *r, const json_t *object, const char *field) {
  const json_t *value = json_object_get(object, field);
  double n = json_number_value(value);
  if (json_is_number(value) && n >= 0 && n <= 1) return n;
  wrong(r, field);
  return 0;
}

/* A plain name in the generation's own folder. */
static bool is_file_name(const char *name) { return *name && *name != '.' && strlen(name) < 64 && !strchr(name, '/'); }

static void digest(reader *r, const json_t *object, const char *field, hem__digest *out) {
  const char *hex = json_string_value(json_object_get(object, field));
  if (!hex || strlen(hex) != 64 || !hem__digest_parse(hex, out)) wrong(r, field);
}

static hem__generation_file file(reader *r, const json_t *object, const char *field, bool optional) {
  const json_t *value = json_object_get(object, field);
  hem__generation_file f = {0};
  if (optional && json_is_null(value)) return f;
  f.name = text(r, value, "name");
  f.size = number(r, value, "size", INT64_MAX);
  digest(r, value, "sha256", &f.digest);
  if (f.name && !is_file_name(f.name)) wrong(r, field);
  return f;
}

static hem_certificate certificate(reader *r, const json_t *object) {
  const json_t *value = json_object_get(object, "certificate");
  hem_certificate c = {.overlap = share(r, value, "overlap"),
                       .low = share(r, value, "low"),
                       .high = share(r, value, "high"),
                       .queries = number(r, value, "queries", INT64_MAX),
                       .k = (uint32_t)number(r, value, "k", 1000000)};
  if (c.low > c.overlap || c.overlap > c.high) wrong(r, "overlap");
  return c;
}

static void metric(reader *r, const json_t *root, hem__generation_metric *m) {
  const json_t *object = json_object_get(root, "metric");
  const char *name = json_string_value(json_object_get(object, "precision"));
  uint8_t precision = 0;
  m->file = file(r, object, "file", false);
  m->quantiser = file(r, object, "quantiser", false);
  m->width = number(r, object, "width", HEM__METRIC_DIM_MAX);
  m->certificate = certificate(r, object);
  if (!name || !hem__name_find(name, precisions, PRECISIONS, &precision)) wrong(r, "precision");
  m->precision = (hem__precision)precision;
  if (m->width == 0 || m->quantiser.size != 2 * m->width * sizeof(float)) wrong(r, "width");
}

static void category(reader *r, const json_t *object, bool learned, hem__generation_category *c) {
  c->name = text(r, object, "name");
  c->kind = text(r, object, "kind");
  c->factory = text(r, object, "faiss");
  c->first = number(r, object, "first", UINT32_MAX);
  c->photos = number(r, object, "photos", UINT32_MAX);
  c->ef_search = (uint32_t)number(r, object, "efSearch", INT32_MAX);
  c->nprobe = (uint32_t)number(r, object, "nprobe", INT32_MAX);
  c->refine = (uint32_t)number(r, object, "refine", 10000);
  c->vectors = file(r, object, "vectors", false);
  c->index = file(r, object, "index", true);
  if (json_object_get(object, "divisor")) c->divisor = (uint32_t)number(r, object, "divisor", UINT8_MAX);
  if (c->divisor > 1 && c->divisor != UINT8_MAX) wrong(r, "divisor");
  if (!learned) return;
  c->points = file(r, object, "points", false);
  c->rerank = (uint32_t)number(r, object, "rerank", c->photos);
  c->certificate = certificate(r, object);
  if (c->rerank == 0) wrong(r, "rerank");
}

static void check_names(reader *r, const hem__manifest *m) {
  hem__set names = {0};
  for (size_t i = 0; i < m->category_count && !r->status; i++) {
    size_t number;
    r->status = hem__set_add(&names, m->categories[i].name, &number, r->err);
    if (!r->status && number != i)
      r->status = hem__fail(r->err, HEM_ECORRUPT, "%s: two categories are named '%s'", r->name, m->categories[i].name);
  }
  hem__set_clear(&names);
}

/* Categories cover the gallery from its first photo on, none empty, and files of vectors and points have their sizes.
 */
static void check_ranges(reader *r, const hem__manifest *m) {
  size_t next = 0, bytes, width = hem__manifest_width(m), point = width * (m->metric.precision == HEM__F16 ? 2 : 1);
  for (size_t i = 0; i < m->category_count && !r->status; i++) {
    const hem__generation_category *c = &m->categories[i];
    if (c->first != next || c->photos == 0) wrong(r, "first");
    if (!hem__mul(c->photos, width * (c->divisor ? 1 : sizeof(float)), &bytes) || bytes != c->vectors.size)
      wrong(r, "vectors");
    if (c->points.name && c->photos * point != c->points.size) wrong(r, "points");
    next += c->photos;
  }
}

static void manifest(reader *r, const json_t *root, bool learned, hem__manifest *m) {
  const json_t *space = json_object_get(root, "space"), *categories = json_object_get(root, "categories");
  m->catalog = text(r, root, "catalog");
  if (json_object_get(root, "catalog_identity")) digest(r, root, "catalog_identity", &m->catalog_identity);
  m->space = text(r, space, "name");
  m->space_hash = text(r, space, "sha256");
  m->features = text(r, space, "features");
  m->dim = number(r, space, "dim", INT32_MAX);
  const char *distance = json_string_value(json_object_get(root, "distance"));
  if (m->dim == 0) wrong(r, "dim");
  if (!distance || hem_distance_parse(distance, &m->distance, NULL)) wrong(r, "distance");
  m->gallery = file(r, root, "gallery", false);
  if (json_object_get(root, "tuning")) m->tuning = file(r, root, "tuning", false);
  if (learned) metric(r, root, &m->metric);
  size_t count = json_array_size(categories);
  if (!json_is_array(categories) || count > CATEGORIES_MAX) wrong(r, "categories");
  if (r->status) return;
  r->status = hem__alloc(count, sizeof *m->categories, "categories", &m->categories, r->err);
  for (size_t i = 0; i < count && !r->status; i++) {
    m->category_count = i + 1;
    category(r, json_array_get(categories, i), learned, &m->categories[i]);
  }
  check_names(r, m);
  check_ranges(r, m);
}

hem_status hem__manifest_parse(const char *json, size_t size, const char *name, hem__manifest *out, hem_error *err) {
  json_error_t why;
  hem__manifest m = {0};
  json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &why);
  if (!root) return hem__fail(err, HEM_ECORRUPT, "%s line %d: %s", name, why.line, why.text);
  reader r = {.name = name, .err = err};
  const char *format = json_string_value(json_object_get(root, "format"));
  json_int_t version = json_integer_value(json_object_get(root, "version"));
  if (!format || strcmp(format, "hemline generation") != 0) {
    r.status = hem__fail(err, HEM_EVERSION, "%s is not a Hemline manifest", name);
  } else if (version < VERSION_PLAIN || version > VERSION) {
    r.status = hem__fail(err, HEM_EVERSION,
                         "%s has version %lld and this Hemline reads versions %d to %d: use a newer Hemline", name,
                         (long long)version, VERSION_PLAIN, VERSION);
  } else {
    manifest(&r, root, version == VERSION_METRIC || json_object_get(root, "metric"), &m);
  }
  json_decref(root);
  if (r.status) {
    hem__manifest_clear(&m);
    return r.status;
  }
  *out = m;
  return HEM_OK;
}
