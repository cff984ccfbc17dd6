/* What can be said of a question beside what it is about: from text here, from JSON in http_json.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/http_exchange.h"

enum { K_MAX = 100000, RERANK_MAX = 1000000 };

void hem__asked_start(hem__asked *asked) {
  *asked = (hem__asked){0};
  hem__question_start(&asked->question);
}

/* ---- what they come to ---- */

hem_status hem__option_name(hem__asked *asked, int kind, const char *name, hem__scratch *scratch, hem_error *err) {
  size_t *count = kind ? &asked->question.o.label_count : &asked->question.o.category_count;
  if (!*name || !hem__is_utf8(name)) return hem__fail(err, HEM_EINVAL, "a category or label is empty or not UTF-8");
  if (*count == HEM__HTTP_NAMES_MAX)
    return hem__fail(err, HEM_EINVAL, "more than %d categories or labels", HEM__HTTP_NAMES_MAX);
  if (*count == asked->name_capacity[kind]) { /* the old ones stay until the request is over: they may be shared */
    const char **grown = NULL;
    size_t capacity = hem__max(8, 2 * *count);
    hem_status status = hem__scratch_get(scratch, capacity, sizeof *grown, &grown, err);
    if (status) return status;
    if (*count) memcpy(grown, asked->names[kind], *count * sizeof *grown);
    asked->names[kind] = grown;
    asked->name_capacity[kind] = capacity;
  }
  asked->names[kind][(*count)++] = name;
  return HEM_OK;
}

hem_status hem__option_k(hem__asked *asked, double k, hem_error *err) {
  if (!(k >= 1 && k <= K_MAX) || k != floor(k))
    return hem__fail(err, HEM_EINVAL, "k wants a whole number from 1 to %d", K_MAX);
  asked->question.o.k = (size_t)k;
  return HEM_OK;
}

hem_status hem__option_rerank(hem__asked *asked, double rerank, hem_error *err) {
  if (!(rerank >= 1 && rerank <= RERANK_MAX) || rerank != floor(rerank))
    return hem__fail(err, HEM_EINVAL, "rerank wants a whole number from 1 to %d", RERANK_MAX);
  asked->question.o.rerank = (uint32_t)rerank;
  return HEM_OK;
}

hem_status hem__option_probability(hem__asked *asked, double p, hem_error *err) {
  if (!(p >= 0 && p <= 1)) return hem__fail(err, HEM_EINVAL, "min_probability wants a number from 0 to 1");
  asked->question.o.min_probability = p;
  return HEM_OK;
}

hem_status hem__option_box(hem__asked *asked, const hem_box *box, hem_error *err) {
  if (!(box->x >= 0 && box->y >= 0 && box->width > 0 && box->height > 0 && box->x + box->width <= 1e6 &&
        box->y + box->height <= 1e6))
    return hem__fail(err, HEM_EINVAL, "the box lies outside of any photo, or has no width or height");
  bool parts = asked->box_unit_given ? asked->box.parts : box->parts;
  asked->box = *box;
  asked->box.parts = parts;
  asked->question.box = &asked->box;
  return HEM_OK;
}

hem_status hem__option_box_unit(hem__asked *asked, const char *unit, hem_error *err) {
  asked->box.parts = strcmp(unit, "parts") == 0;
  if (!asked->box.parts && strcmp(unit, "pixels") != 0)
    return hem__fail(err, HEM_EINVAL, "box_unit is 'pixels' or 'parts'");
  asked->box_unit_given = true;
  return HEM_OK;
}

hem_status hem__asked_end(hem__asked *asked, hem_error *err) {
  hem__question *q = &asked->question;
  if ((q->photo != NULL) + (q->vector != NULL) + (q->item_id != NULL) != 1)
    return hem__fail(err, HEM_EINVAL, "a question is one of a photo, a vector and an item_id");
  if ((q->box || asked->box_unit_given) && !q->photo) return hem__fail(err, HEM_EINVAL, "a box is part of a photo");
  if (asked->box_unit_given && !q->box) return hem__fail(err, HEM_EINVAL, "box_unit is said, and no box");
  if (q->o.plain && (q->o.rerank || q->o.min_probability > 0 || q->explain))
    return hem__fail(err, HEM_EINVAL,
                     "rerank, min_probability and explain are for answers by the metric, not plain ones");
  if (q->box) q->box = &asked->box;
  q->o.categories = q->o.category_count ? asked->names[0] : NULL;
  q->o.labels = q->o.label_count ? asked->names[1] : NULL;
  return HEM_OK;
}

/* ---- from text ---- */

typedef struct taking {
  hem__asked *asked;
  const char *key, *value;
  hem__scratch *scratch;
  hem_error *err;
} taking;

static hem_status wrong(const taking *t, const char *wanted) {
  return hem__fail(t->err, HEM_EINVAL, "%s wants %s, not '%.64s'", t->key, wanted, t->value);
}

/* Plain decimal: no hexadecimal, no blanks, no words. */
static hem_status take_number(const taking *t, double *out) {
  char *end;
  if (!*t->value || strlen(t->value) > 40 || t->value[strspn(t->value, "0123456789.eE+-")]) return wrong(t, "a number");
  *out = strtod(t->value, &end);
  return *end ? wrong(t, "a number") : HEM_OK;
}

static hem_status take_k(const taking *t) {
  double k = 0;
  hem_status status = take_number(t, &k);
  return status ? status : hem__option_k(t->asked, k, t->err);
}

static hem_status take_rerank(const taking *t) {
  double rerank = 0;
  hem_status status = take_number(t, &rerank);
  return status ? status : hem__option_rerank(t->asked, rerank, t->err);
}

static hem_status take_probability(const taking *t) {
  double p = 0;
  hem_status status = take_number(t, &p);
  return status ? status : hem__option_probability(t->asked, p, t->err);
}

static hem_status take_category(const taking *t) { return hem__option_name(t->asked, 0, t->value, t->scratch, t->err); }
static hem_status take_label(const taking *t) { return hem__option_name(t->asked, 1, t->value, t->scratch, t->err); }

/* "a,b": of names without commas. */
static hem_status take_names(const taking *t, int kind) {
  size_t size = strlen(t->value) + 1;
  char *copy = NULL, *rest = NULL;
  hem_status status = hem__scratch_get(t->scratch, size, 1, &copy, t->err);
  if (status) return status;
  memcpy(copy, t->value, size);
  for (char *name = strtok_r(copy, ",", &rest); name && !status; name = strtok_r(NULL, ",", &rest))
    status = hem__option_name(t->asked, kind, name, t->scratch, t->err);
  return status;
}

static hem_status take_categories(const taking *t) { return take_names(t, 0); }
static hem_status take_labels(const taking *t) { return take_names(t, 1); }

/* "x,y,width,height": in parts where there is a point and nothing above 1, as in a listing. */
static hem_status take_box(const taking *t) {
  double side[4] = {0};
  bool parts = strchr(t->value, '.') != NULL;
  const char *at = t->value;
  for (size_t i = 0; i < 4; i++) {
    char number[48] = "";
    size_t size = strcspn(at, ",");
    if (size >= sizeof number || (at[size] == ',') != (i < 3)) return wrong(t, "x,y,width,height");
    memcpy(number, at, size);
    hem_status status = take_number(&(taking){.key = t->key, .value = number, .err = t->err}, &side[i]);
    if (status) return status;
    parts &= side[i] <= 1;
    at += size + 1;
  }
  hem_box box = {.x = side[0], .y = side[1], .width = side[2], .height = side[3], .parts = parts};
  return hem__option_box(t->asked, &box, t->err);
}

static hem_status take_box_unit(const taking *t) { return hem__option_box_unit(t->asked, t->value, t->err); }

static hem_status take_flag(const taking *t, bool *out) {
  *out = strcmp(t->value, "true") == 0 || strcmp(t->value, "1") == 0;
  return *out || strcmp(t->value, "false") == 0 || strcmp(t->value, "0") == 0 ? HEM_OK : wrong(t, "true or false");
}

static hem_status take_explain(const taking *t) { return take_flag(t, &t->asked->question.explain); }
static hem_status take_also_plain(const taking *t) { return take_flag(t, &t->asked->question.also_plain); }
static hem_status take_exact(const taking *t) { return take_flag(t, &t->asked->question.o.exact); }
static hem_status take_plain(const taking *t) { return take_flag(t, &t->asked->question.o.plain); }
static hem_status take_photos(const taking *t) { return take_flag(t, &t->asked->question.o.photos); }

static hem_status take_name(const taking *t) {
  t->asked->name = t->value;
  return HEM_OK;
}

static const struct {
  const char *key;
  hem_status (*take)(const taking *t);
  bool again; /* may be said more than once */
} known[] = {{"k", take_k, false},
             {"category", take_category, true},
             {"categories", take_categories, false},
             {"label", take_label, true},
             {"labels", take_labels, false},
             {"box", take_box, false},
             {"box_unit", take_box_unit, false},
             {"min_probability", take_probability, false},
             {"rerank", take_rerank, false},
             {"explain", take_explain, false},
             {"exact", take_exact, false},
             {"plain", take_plain, false},
             {"also_plain", take_also_plain, false},
             {"photos", take_photos, false},
             {"name", take_name, false}};
enum { KNOWN = sizeof known / sizeof *known };
_Static_assert(KNOWN <= 32, "options are bits of hem__asked.given");

hem_status hem__option_set(hem__asked *asked, const char *key, const char *value, hem__scratch *scratch,
                           hem_error *err) {
  for (size_t i = 0; i < KNOWN; i++) {
    if (strcmp(key, known[i].key) != 0) continue;
    if (!known[i].again && (asked->given & (UINT32_C(1) << i)))
      return hem__fail(err, HEM_EINVAL, "%s is said twice", key);
    asked->given |= UINT32_C(1) << i;
    return known[i].take(&(taking){.asked = asked, .key = key, .value = value, .scratch = scratch, .err = err});
  }
  return hem__fail(err, HEM_EINVAL, "there is no option '%.64s' (docs/serving.md lists them)", key);
}

/* ---- a query string ---- */

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

hem_status hem__percent_decode(char *text, size_t size, bool plus, hem_error *err) {
  char *out = text;
  for (size_t i = 0; i < size; i++) {
    char c = plus && text[i] == '+' ? ' ' : text[i];
    if (c == '%') {
      int high = size - i > 2 ? hex(text[i + 1]) : -1, low = size - i > 2 ? hex(text[i + 2]) : -1;
      if (high < 0 || low < 0) return hem__fail(err, HEM_EINVAL, "a %% is not followed by two hexadecimal digits");
      c = (char)(high * 16 + low);
      i += 2;
    }
    if (!c) return hem__fail(err, HEM_EINVAL, "a zero byte stands in the request's target");
    *out++ = c;
  }
  *out = '\0';
  return hem__is_utf8(text) ? HEM_OK : hem__fail(err, HEM_EINVAL, "the request's target is not UTF-8");
}

static hem_status take_count(const char *value, size_t *count, hem_error *err) {
  char *end;
  unsigned long n = strtoul(value, &end, 10);
  if (!*value || value[strspn(value, "0123456789")] || *end || n < 1 || n > HEM__HTTP_BATCH_MAX || *count)
    return hem__fail(err, HEM_EINVAL, "count wants a whole number from 1 to %d, once", HEM__HTTP_BATCH_MAX);
  *count = n;
  return HEM_OK;
}

hem_status hem__query_string(char *query, hem__asked *asked, size_t *count, hem__scratch *scratch, hem_error *err) {
  char *rest = NULL;
  for (char *pair = strtok_r(query, "&", &rest); pair; pair = strtok_r(NULL, "&", &rest)) {
    char *value = strchr(pair, '=');
    if (!value) return hem__fail(err, HEM_EINVAL, "'%.64s' in the query string has no value", pair);
    *value++ = '\0';
    hem_status status = hem__percent_decode(pair, strlen(pair), true, err);
    if (!status) status = hem__percent_decode(value, strlen(value), true, err);
    if (!status)
      status = count && strcmp(pair, "count") == 0 ? take_count(value, count, err)
                                                   : hem__option_set(asked, pair, value, scratch, err);
    if (status) return status;
  }
  asked->given = 0; /* a body may say them again */
  return HEM_OK;
}
