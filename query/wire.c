/* Frames, and the requests in them. */
#include "query/wire.h"

#include <stdlib.h>
#include <string.h>

#include "query/wire_record.h"

static const uint8_t magic[2] = {'H', 'M'};

/* ---- the buffer ---- */

hem_status hem__buffer_reserve(hem__buffer *b, size_t count, hem_error *err) {
  size_t need;
  if (!hem__add(b->size, count, &need)) return hem__fail(err, HEM_ENOMEM, "no memory for a frame: %zu bytes", count);
  return hem__grow(&b->at, &b->capacity, need, 1, "a frame", err);
}

hem_status hem__buffer_add(hem__buffer *b, const void *bytes, size_t count, hem_error *err) {
  hem_status status = hem__buffer_reserve(b, count, err);
  if (status) return status;
  if (count) memcpy(b->at + b->size, bytes, count);
  b->size += count;
  return HEM_OK;
}

hem_status hem__buffer_pad(hem__buffer *b, hem_error *err) {
  static const uint8_t zeros[HEM__WIRE_ALIGNMENT];
  return hem__buffer_add(b, zeros, -b->size % HEM__WIRE_ALIGNMENT, err);
}

void hem__buffer_clear(hem__buffer *b) {
  free(b->at);
  *b = (hem__buffer){0};
}

/* ---- frames ---- */

hem_status hem__wire_frame_open(hem__buffer *out, uint64_t id, uint8_t type, size_t *start, hem_error *err) {
  hem__header_record header = {.magic = {magic[0], magic[1]}, .version = HEM__WIRE_VERSION, .type = type, .id = id};
  hem_status status = hem__buffer_add(out, &header, sizeof header, err);
  if (!status) *start = out->size - sizeof header;
  return status;
}

hem_status hem__wire_frame_close(hem__buffer *out, size_t start, hem_error *err) {
  hem_status status = hem__buffer_pad(out, err);
  if (status) return status;
  size_t body = out->size - start - HEM__WIRE_HEADER;
  if (body > UINT32_MAX) return hem__fail(err, HEM_EINVAL, "%zu bytes are more than a frame can hold", body);
  uint32_t size = (uint32_t)body;
  memcpy(out->at + start + offsetof(hem__header_record, size), &size, sizeof size);
  return HEM_OK;
}

hem_status hem__wire_header_read(const uint8_t *at, size_t body_max, hem__wire_header *out, hem_error *err) {
  hem__header_record h;
  memcpy(&h, at, sizeof h);
  *out = (hem__wire_header){0};
  if (memcmp(h.magic, magic, sizeof magic) != 0)
    return hem__fail(err, HEM_ECORRUPT, "that is no frame of Hemline's protocol: it begins with %02x %02x, not 48 4d",
                     h.magic[0], h.magic[1]);
  if (h.version != HEM__WIRE_VERSION)
    return hem__fail(err, HEM_EVERSION, "a frame of protocol version %d, where version %d is spoken", h.version,
                     HEM__WIRE_VERSION);
  *out = (hem__wire_header){.type = h.type, .size = h.size, .id = h.id};
  if (h.size > body_max)
    return hem__fail(err, HEM_EINVAL, "a frame of %u bytes; at most %zu are taken", h.size, body_max);
  if (h.size % HEM__WIRE_ALIGNMENT)
    return hem__fail(err, HEM_ECORRUPT, "a frame of %u bytes, which is no multiple of %d", h.size, HEM__WIRE_ALIGNMENT);
  return HEM_OK;
}

hem_status hem__wire_ask_write(hem__buffer *out, uint64_t id, hem__wire_type type, hem_error *err) {
  size_t start;
  return hem__wire_frame_open(out, id, (uint8_t)type, &start, err);
}

/* ---- writing a search ---- */

static uint32_t flags_of(const hem__wire_search *s) {
  const hem_search_options *o = &s->options;
  return (o->exact ? HEM__FLAG_EXACT : 0U) | (o->photos ? HEM__FLAG_PHOTOS : 0U) |
         (o->leave_out ? HEM__FLAG_LEAVE_OUT : 0U) | (o->plain ? HEM__FLAG_PLAIN : 0U) |
         (s->boxed ? HEM__FLAG_BOX : 0U) | (s->boxed && s->box.parts ? HEM__FLAG_PARTS : 0U);
}

/* The size of all strings with their ends. */
static size_t text_size(const hem__wire_search *s) {
  size_t size = s->item_id ? strlen(s->item_id) + 1 : 0;
  for (size_t i = 0; i < s->options.category_count; i++) size += strlen(s->options.categories[i]) + 1;
  for (size_t i = 0; i < s->options.label_count; i++) size += strlen(s->options.labels[i]) + 1;
  return size;
}

static hem_status check_search(const hem__wire_search *s, size_t *vectors, hem_error *err) {
  const hem_search_options *o = &s->options;
  if ((s->vectors != NULL) + (s->photo != NULL) + (s->item_id != NULL) != 1)
    return hem__fail(err, HEM_EINVAL, "ask with a vector, a photo or an item: one of them");
  if (s->vectors && (s->count == 0 || s->count > HEM__WIRE_BATCH_MAX || s->dim == 0 || s->dim > UINT32_MAX))
    return hem__fail(err, HEM_EINVAL, "%zu vectors of %zu values: ask with 1 to %d at once", s->count, s->dim,
                     HEM__WIRE_BATCH_MAX);
  if ((o->category_count && !o->categories) || (s->options.label_count && !s->options.labels))
    return hem__fail(err, HEM_EINVAL, "a count of categories or labels without any");
  if (o->category_count > HEM__WIRE_NAMES_MAX || s->options.label_count > HEM__WIRE_NAMES_MAX)
    return hem__fail(err, HEM_EINVAL, "at most %d categories or labels can be named", HEM__WIRE_NAMES_MAX);
  if (s->photo_size > UINT32_MAX || o->k > UINT32_MAX)
    return hem__fail(err, HEM_EINVAL, "a photo of %zu bytes, or a k of %zu: more than a frame can say", s->photo_size,
                     o->k);
  *vectors = 0; /* count is small, so only dim can be too large */
  if (s->vectors && (!hem__mul(s->count * sizeof *s->vectors, s->dim, vectors) || *vectors > UINT32_MAX))
    return hem__fail(err, HEM_EINVAL, "%zu vectors of %zu values are more than a frame can hold", s->count, s->dim);
  return HEM_OK;
}

/* Offsets of strings that lie one behind the other in the text. */
static hem_status add_offsets(hem__buffer *out, const char *const *names, size_t count, uint32_t *offset,
                              hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < count && !status; i++) {
    status = hem__buffer_add(out, offset, sizeof *offset, err);
    *offset += (uint32_t)(strlen(names[i]) + 1);
  }
  return status;
}

static hem_status add_strings(hem__buffer *out, const char *const *names, size_t count, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < count && !status; i++) status = hem__buffer_add(out, names[i], strlen(names[i]) + 1, err);
  return status;
}

static hem_status add_names(hem__buffer *out, const hem__wire_search *s, hem_error *err) {
  const hem_search_options *o = &s->options;
  uint32_t offset = s->item_id ? (uint32_t)(strlen(s->item_id) + 1) : 0;
  hem_status status = add_offsets(out, o->categories, o->category_count, &offset, err);
  if (!status) status = add_offsets(out, s->options.labels, s->options.label_count, &offset, err);
  if (!status) status = hem__buffer_pad(out, err);
  if (!status && s->item_id) status = add_strings(out, &s->item_id, 1, err);
  if (!status) status = add_strings(out, o->categories, o->category_count, err);
  return status ? status : add_strings(out, s->options.labels, s->options.label_count, err);
}

hem_status hem__wire_search_write(hem__buffer *out, uint64_t id, const hem__wire_search *s, hem_error *err) {
  const hem_search_options *o = &s->options;
  size_t start = 0, vectors = 0, before = out->size, text;
  hem_status status = check_search(s, &vectors, err);
  if (status) return status;
  text = text_size(s);
  if (text > UINT32_MAX) return hem__fail(err, HEM_EINVAL, "names of %zu bytes are more than a frame can hold", text);
  hem__search_record record = {.kind = s->vectors ? HEM__ASK_VECTORS
                                       : s->photo ? HEM__ASK_PHOTO
                                                  : HEM__ASK_ITEM,
                               .flags = flags_of(s),
                               .k = (uint32_t)o->k,
                               .rerank = o->rerank,
                               .min_probability = o->min_probability,
                               .leave_out_row = o->leave_out ? o->leave_out_row : 0,
                               .count = s->vectors ? (uint32_t)s->count : 0,
                               .dim = s->vectors ? (uint32_t)s->dim : 0,
                               .photo = s->photo ? (uint32_t)s->photo_size : 0,
                               .categories = (uint32_t)o->category_count,
                               .labels = (uint32_t)s->options.label_count,
                               .text = (uint32_t)text};
  if (s->boxed) memcpy(record.box, (double[4]){s->box.x, s->box.y, s->box.width, s->box.height}, sizeof record.box);
  status = hem__wire_frame_open(out, id, HEM__WIRE_SEARCH, &start, err);
  if (!status) status = hem__buffer_add(out, &record, sizeof record, err);
  if (!status) status = hem__buffer_add(out, s->vectors, vectors, err);
  if (!status && s->photo) status = hem__buffer_add(out, s->photo, s->photo_size, err);
  if (!status) status = hem__buffer_pad(out, err);
  if (!status) status = add_names(out, s, err);
  if (!status) status = hem__wire_frame_close(out, start, err);
  if (status) out->size = before;
  return status;
}

/* ---- reading a search ---- */

/* Where the parts of a body lie. */
typedef struct layout {
  size_t payload, offsets, text;
} layout;

/* Sums of 32-bit sizes and one product of two: 64 bits hold them. */
static bool lay_out(const hem__search_record *r, size_t size, layout *out) {
  uint64_t payload = r->kind == HEM__ASK_VECTORS ? (uint64_t)r->count * r->dim : r->photo;
  if (payload > UINT32_MAX) return false;
  if (r->kind == HEM__ASK_VECTORS) payload *= sizeof(float);
  uint64_t offsets = sizeof *r + (payload + 7) / 8 * 8;
  uint64_t text = offsets + (4 * ((uint64_t)r->categories + r->labels) + 7) / 8 * 8;
  if (text + ((uint64_t)r->text + 7) / 8 * 8 != size) return false;
  *out = (layout){.payload = sizeof *r, .offsets = (size_t)offsets, .text = (size_t)text};
  return true;
}

static hem_status wrong(hem_error *err, const char *what) {
  return hem__fail(err, HEM_EINVAL, "a search that makes no sense: %s", what);
}

static hem_status check_record(const hem__search_record *r, hem_error *err) {
  bool vectors = r->kind == HEM__ASK_VECTORS, photo = r->kind == HEM__ASK_PHOTO, item = r->kind == HEM__ASK_ITEM;
  if (!vectors && !photo && !item) return wrong(err, "it asks neither with vectors nor with a photo nor with an item");
  if (r->flags & ~(uint32_t)HEM__FLAGS || r->zero) return wrong(err, "it asks for what this version does not know");
  if (vectors ? r->count == 0 || r->count > HEM__WIRE_BATCH_MAX || r->dim == 0 : r->count || r->dim)
    return hem__fail(err, HEM_EINVAL, "%u vectors of %u values: ask with 1 to %d at once, or with none", r->count,
                     r->dim, HEM__WIRE_BATCH_MAX);
  if (photo ? r->photo == 0 : r->photo != 0) return wrong(err, "it asks with a photo and has none, or the other way");
  if (item ? r->text == 0 : r->item != 0) return wrong(err, "it asks with an item and names none, or the other way");
  if (!photo && r->flags & (HEM__FLAG_BOX | HEM__FLAG_PARTS)) return wrong(err, "a box belongs to a photo");
  if (r->categories > HEM__WIRE_NAMES_MAX || r->labels > HEM__WIRE_NAMES_MAX) return wrong(err, "too many names");
  return HEM_OK;
}

/* A string of the text, whose last byte is zero; NULL where there is none. */
static const char *string_at(const uint8_t *text, size_t size, uint32_t offset) {
  return offset < size ? (const char *)text + offset : NULL;
}

static hem_status read_names(const uint8_t *body, const hem__search_record *r, const layout *at, hem__wire_names *names,
                             hem_error *err) {
  size_t count = (size_t)r->categories + r->labels;
  hem_status status = hem__grow(&names->at, &names->capacity, count, sizeof *names->at, "names", err);
  for (size_t i = 0; i < count && !status; i++) {
    uint32_t offset;
    memcpy(&offset, body + at->offsets + i * sizeof offset, sizeof offset);
    names->at[i] = string_at(body + at->text, r->text, offset);
    if (!names->at[i]) status = wrong(err, "a name lies outside the text");
  }
  return status;
}

static void read_options(const hem__search_record *r, const hem__wire_names *names, hem__wire_search *out) {
  out->options = (hem_search_options){.size = sizeof out->options,
                                      .k = r->k,
                                      .categories = r->categories ? names->at : NULL,
                                      .category_count = r->categories,
                                      .exact = r->flags & HEM__FLAG_EXACT,
                                      .photos = r->flags & HEM__FLAG_PHOTOS,
                                      .leave_out = r->flags & HEM__FLAG_LEAVE_OUT,
                                      .leave_out_row = r->leave_out_row,
                                      .plain = r->flags & HEM__FLAG_PLAIN,
                                      .rerank = r->rerank,
                                      .min_probability = r->min_probability,
                                      .labels = r->labels ? names->at + r->categories : NULL,
                                      .label_count = r->labels};
  out->boxed = r->flags & HEM__FLAG_BOX;
  out->box = (hem_box){
      .x = r->box[0], .y = r->box[1], .width = r->box[2], .height = r->box[3], .parts = r->flags & HEM__FLAG_PARTS};
}

hem_status hem__wire_search_read(const uint8_t *body, size_t size, hem__wire_names *names, hem__wire_search *out,
                                 hem_error *err) {
  hem__search_record r;
  layout at;
  if (size < sizeof r) return wrong(err, "it is too short");
  memcpy(&r, body, sizeof r);
  hem_status status = check_record(&r, err);
  if (status) return status;
  if (!lay_out(&r, size, &at)) return wrong(err, "its parts do not add up to its size");
  if (r.text && body[at.text + r.text - 1]) return wrong(err, "its text does not end with a zero");
  status = read_names(body, &r, &at, names, err);
  if (status) return status;
  *out = (hem__wire_search){.count = r.count, .dim = r.dim, .photo_size = r.photo};
  read_options(&r, names, out);
  if (r.kind == HEM__ASK_VECTORS) out->vectors = (const float *)(const void *)(body + at.payload);
  if (r.kind == HEM__ASK_PHOTO) out->photo = body + at.payload;
  if (r.kind != HEM__ASK_ITEM) return HEM_OK;
  out->item_id = string_at(body + at.text, r.text, r.item);
  return out->item_id ? HEM_OK : wrong(err, "its item lies outside the text");
}
