/* Questions as JSON, read by Jansson; and base64. Before Jansson sees a body, brackets within brackets are counted, and
 * values: it would make an object of some 40 bytes of two bytes of text. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "serve/http_exchange.h"

static hem_status check_size(const char *body, size_t size, hem_error *err) {
  size_t depth = 0, values = 0;
  bool string = false;
  for (size_t i = 0; i < size; i++) {
    char c = body[i];
    if (string) {
      if (c == '\\') {
        i++;
      } else if (c == '"') {
        string = false;
      }
      continue;
    }
    if (c == '"') string = true;
    if (c == '{' || c == '[') depth++;
    if ((c == '}' || c == ']') && depth) depth--;
    values += c == ',' || c == '{' || c == '[';
    if (depth > HEM__JSON_DEPTH_MAX) return hem__fail(err, HEM_EINVAL, "the JSON is nested too deeply");
    if (values > HEM__JSON_VALUES_MAX) return hem__fail(err, HEM_EINVAL, "the JSON holds too many values");
  }
  return HEM_OK;
}

static hem_status parse(hem__request *r, const char *body, size_t size, hem_error *err) {
  json_error_t why;
  hem_status status = check_size(body, size, err);
  if (status) return status;
  r->json = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
  return r->json ? HEM_OK
                 : hem__fail(err, HEM_EINVAL, "the body is no JSON: %.160s at line %d, column %d", why.text, why.line,
                             why.column);
}

/* ---- base64 ---- */

static int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool hem__base64_decode(const char *text, size_t size, uint8_t *out, size_t *out_size) {
  size_t padding = 0, written = 0;
  if (!size || size % 4) return false;
  while (padding < 2 && text[size - 1 - padding] == '=') padding++;
  for (size_t i = 0; i < size; i += 4) {
    size_t given = i + 4 < size ? 4 : 4 - padding;
    uint32_t bits = 0;
    for (size_t j = 0; j < 4; j++) {
      int value = j < given ? sextet(text[i + j]) : 0;
      if (value < 0) return false;
      bits = bits << 6 | (uint32_t)value;
    }
    if (given < 4 && bits & (given == 2 ? 0xFFFFu : 0xFFu)) return false; /* what padding cuts off must be zero */
    for (size_t j = 0; j + 1 < given; j++) out[written++] = (uint8_t)(bits >> (16 - 8 * j));
  }
  *out_size = written;
  return true;
}

/* ---- the parts of a question ---- */

typedef struct reading {
  hem__request *request;
  hem__asked *asked;
  hem_error *err;
} reading;

static hem_status wrong(const reading *r, const char *key, const char *wanted) {
  return hem__fail(r->err, HEM_EINVAL, "%.64s wants %s", key, wanted);
}

static hem_status read_vector(const reading *r, const json_t *array) {
  size_t count = json_array_size(array);
  float *vector = NULL;
  if (!json_is_array(array) || !count) return wrong(r, "vector", "a list of numbers");
  hem_status status = hem__scratch_get(&r->request->scratch, count, sizeof *vector, &vector, r->err);
  for (size_t i = 0; i < count && !status; i++) {
    const json_t *value = json_array_get(array, i);
    double number = json_number_value(value);
    if (!json_is_number(value) || !(fabs(number) <= 1e15))
      status = hem__fail(r->err, HEM_EINVAL, "value %zu of the vector is not a number up to 1e15", i);
    if (!status) vector[i] = (float)number;
  }
  r->asked->question.vector = vector;
  r->asked->question.dim = count;
  return status;
}

static hem_status read_photo(const reading *r, const json_t *text) {
  size_t size = json_string_length(text);
  uint8_t *photo = NULL;
  if (!json_is_string(text) || !size) return wrong(r, "photo_base64", "a photo's bytes in base64");
  hem_status status = hem__scratch_get(&r->request->scratch, size / 4 + 1, 3, &photo, r->err);
  if (status) return status;
  if (!hem__base64_decode(json_string_value(text), size, photo, &r->asked->question.photo_size))
    return wrong(r, "photo_base64", "base64 as RFC 4648 has it, padded, on one line");
  r->asked->question.photo = photo;
  return HEM_OK;
}

static hem_status read_item(const reading *r, const json_t *text) {
  if (!json_is_string(text) || !json_string_length(text)) return wrong(r, "item_id", "an item's id");
  r->asked->question.item_id = json_string_value(text);
  return HEM_OK;
}

static hem_status read_names(const reading *r, const char *key, int kind, const json_t *value) {
  hem_status status = HEM_OK;
  size_t count = json_is_array(value) ? json_array_size(value) : 1;
  if (r->asked->given & (UINT32_C(1) << kind)) return wrong(r, key, "to be said once");
  r->asked->given |= UINT32_C(1) << kind;
  if (kind) {
    r->asked->question.o.label_count = 0;
  } else {
    r->asked->question.o.category_count = 0;
  }
  r->asked->names[kind] = NULL; /* those of the request's own options are not to be written to */
  r->asked->name_capacity[kind] = 0;
  for (size_t i = 0; i < count && !status; i++) {
    const char *name = json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
    status = name ? hem__option_name(r->asked, kind, name, &r->request->scratch, r->err)
                  : wrong(r, key, "a name or a list of names");
  }
  return status;
}

static hem_status read_box(const reading *r, const json_t *array) {
  double side[4];
  bool parts = false, small = true;
  if (json_array_size(array) != 4) return wrong(r, "box", "[x, y, width, height]");
  for (size_t i = 0; i < 4; i++) {
    const json_t *value = json_array_get(array, i);
    if (!json_is_number(value)) return wrong(r, "box", "[x, y, width, height]");
    side[i] = json_number_value(value);
    parts |= json_is_real(value);
    small &= side[i] <= 1;
  }
  hem_box box = {.x = side[0], .y = side[1], .width = side[2], .height = side[3], .parts = parts && small};
  return hem__option_box(r->asked, &box, r->err);
}

static hem_status read_flag(const reading *r, const char *key, const json_t *value, bool *out) {
  if (!json_is_boolean(value)) return wrong(r, key, "true or false");
  *out = json_is_true(value);
  return HEM_OK;
}

static hem_status read_number(const reading *r, const char *key, const json_t *value,
                              hem_status (*set)(hem__asked *, double, hem_error *)) {
  return json_is_number(value) ? set(r->asked, json_number_value(value), r->err) : wrong(r, key, "a number");
}

static bool is(const char *key, const char *name) { return strcmp(key, name) == 0; }

static hem_status read_option(const reading *r, const char *key, const json_t *value) {
  hem__question *q = &r->asked->question;
  if (is(key, "k")) return read_number(r, key, value, hem__option_k);
  if (is(key, "rerank")) return read_number(r, key, value, hem__option_rerank);
  if (is(key, "min_probability")) return read_number(r, key, value, hem__option_probability);
  if (is(key, "category") || is(key, "categories")) return read_names(r, key, 0, value);
  if (is(key, "label") || is(key, "labels")) return read_names(r, key, 1, value);
  if (is(key, "box")) return read_box(r, value);
  if (is(key, "explain")) return read_flag(r, key, value, &q->explain);
  if (is(key, "also_plain")) return read_flag(r, key, value, &q->also_plain);
  if (is(key, "exact")) return read_flag(r, key, value, &q->o.exact);
  if (is(key, "plain")) return read_flag(r, key, value, &q->o.plain);
  if (is(key, "photos")) return read_flag(r, key, value, &q->o.photos);
  if (is(key, "box_unit"))
    return json_is_string(value) ? hem__option_box_unit(r->asked, json_string_value(value), r->err)
                                 : wrong(r, key, "'pixels' or 'parts'");
  if (!is(key, "name")) return hem__fail(r->err, HEM_EINVAL, "there is no field '%.64s' (docs/serving.md)", key);
  r->asked->name = json_string_value(value);
  return r->asked->name ? HEM_OK : wrong(r, key, "text");
}

/* Fields of an object: what the question is about, and options. box_unit is read first: it says how a box is meant. */
static hem_status read_fields(const reading *r, json_t *object, const char *skip) {
  const char *key;
  json_t *value;
  json_t *unit = json_object_get(object, "box_unit");
  hem_status status = unit ? read_option(r, "box_unit", unit) : HEM_OK;
  json_object_foreach(object, key, value) {
    if (status) break;
    if (skip && is(key, skip)) continue;
    if (is(key, "box_unit")) continue;
    if (is(key, "vector")) {
      status = read_vector(r, value);
    } else if (is(key, "photo_base64")) {
      status = read_photo(r, value);
    } else if (is(key, "item_id")) {
      status = read_item(r, value);
    } else {
      status = read_option(r, key, value);
    }
  }
  return status;
}

/* One question: an object; in /score also a vector, or a photo in base64. */
static hem_status read_question(const reading *r, json_t *value, bool loose) {
  if (json_is_object(value)) return read_fields(r, value, NULL);
  if (loose && json_is_array(value)) return read_vector(r, value);
  if (loose && json_is_string(value)) return read_photo(r, value);
  return hem__fail(r->err, HEM_EINVAL,
                   loose ? "a record is an object, a list of numbers or a photo in base64" : "a question is an object");
}

static hem_status read_list(hem__request *r, json_t *list, bool loose, hem_error *err) {
  size_t count = json_is_array(list) ? json_array_size(list) : 0;
  if (!count || count > HEM__HTTP_BATCH_MAX)
    return hem__fail(err, HEM_EINVAL, "wanted a list of 1 to %d questions", HEM__HTTP_BATCH_MAX);
  hem_status status = hem__scratch_get(&r->scratch, count, sizeof *r->asked, &r->asked, err);
  for (size_t i = 0; i < count && !status; i++) {
    r->asked[i] = r->usual;
    r->asked[i].given = 0;
    status = read_question(&(reading){r, &r->asked[i], err}, json_array_get(list, i), loose);
    if (status) hem__fail_in(err, status, "question %zu", i);
  }
  r->count = count;
  return status;
}

/* {"data": ...} or {"input_df": ...}: a list of records, or one record. */
static hem_status read_score(hem__request *r, hem_error *err) {
  json_t *root = r->json, *data = json_object_get(root, "data"), *frame = json_object_get(root, "input_df");
  json_t *records = data ? data : frame;
  if (!records || (data && frame)) return hem__fail(err, HEM_EINVAL, "wanted {\"data\": ...} or {\"input_df\": ...}");
  hem_status status = read_fields(&(reading){r, &r->usual, err}, root, data ? "data" : "input_df");
  if (status) return status;
  if (json_is_array(records) && !json_is_number(json_array_get(records, 0))) return read_list(r, records, true, err);
  status = hem__scratch_get(&r->scratch, 1, sizeof *r->asked, &r->asked, err);
  if (status) return status;
  r->asked[0] = r->usual;
  r->asked[0].given = 0;
  r->count = 1;
  return read_question(&(reading){r, r->asked, err}, records, true);
}

static hem_status read_batch(hem__request *r, hem_error *err) {
  json_t *queries = json_object_get(r->json, "queries");
  if (!queries) return hem__fail(err, HEM_EINVAL, "wanted {\"queries\": [...]}");
  hem_status status = read_fields(&(reading){r, &r->usual, err}, r->json, "queries");
  return status ? status : read_list(r, queries, false, err);
}

void hem__json_clear(hem__request *r) {
  json_decref((json_t *)r->json);
  r->json = NULL;
}

hem_status hem__body_json(hem__request *r, const char *body, size_t size, hem_error *err) {
  hem_status status = parse(r, body, size, err);
  if (status) return status;
  if (!json_is_object((json_t *)r->json)) return hem__fail(err, HEM_EINVAL, "the body is not a JSON object");
  if (r->form == HEM__BATCH) return read_batch(r, err);
  if (r->form == HEM__SCORE) return read_score(r, err);
  r->count = 1;
  return read_fields(&(reading){r, r->asked, err}, r->json, NULL);
}
