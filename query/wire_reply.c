/* Replies. */
#include <stdlib.h>
#include <string.h>

#include "query/wire_record.h"

/* ---- writing ---- */

void hem__wire_writer_clear(hem__wire_writer *w) {
  hem__buffer_clear(&w->frame);
  hem__buffer_clear(&w->text);
}

hem_status hem__wire_begin(hem__wire_writer *w, uint64_t id, hem__wire_type type, hem_error *err) {
  static const hem__reply_record none;
  size_t start;
  w->frame.size = w->text.size = w->answers = 0;
  w->category.at = w->label.at = NULL;
  w->about = (hem__wire_about){0};
  hem_status status = hem__wire_frame_open(&w->frame, id, (uint8_t)type, &start, err);
  return status ? status : hem__buffer_add(&w->frame, &none, sizeof none, err);
}

static hem_status add_text(hem__wire_writer *w, const char *text, uint32_t *offset, hem_error *err) {
  if (!text) text = "";
  size_t at = w->text.size, size = strlen(text) + 1;
  if (size > UINT32_MAX - at) return hem__fail(err, HEM_EINVAL, "more text than a frame can hold: ask for fewer hits");
  hem_status status = hem__buffer_add(&w->text, text, size, err);
  if (!status) *offset = (uint32_t)at;
  return status;
}

static hem_status add_hit(hem__wire_writer *w, const hem_hit *hit, hem_error *err) {
  hem__hit_record r = {.row = hit->row,
                       .distance = hit->distance,
                       .score = hit->score,
                       .probability = hit->probability,
                       .place = hit->place};
  hem_status status = HEM_OK;
  /* Equal pointers are equal strings: within one reply nothing is freed. */
  if (!w->category.at || hit->category != w->category.at) {
    status = add_text(w, hit->category, &w->category.offset, err);
    w->category.at = hit->category;
  }
  if (!status && (!w->label.at || hit->label != w->label.at)) {
    status = add_text(w, hit->label, &w->label.offset, err);
    w->label.at = hit->label;
  }
  r.category = w->category.offset;
  r.label = w->label.offset;
  if (!status) status = add_text(w, hit->item_id, &r.item_id, err);
  if (!status) status = add_text(w, hit->path, &r.path, err);
  return status ? status : hem__buffer_add(&w->frame, &r, sizeof r, err);
}

static size_t size_max(const hem__wire_writer *w) { return w->size_max ? w->size_max : UINT32_MAX; }

hem_status hem__wire_answer(hem__wire_writer *w, const hem_answer *a, hem_error *err) {
  hem__answer_record r = {.found = (uint32_t)a->found,
                          .wanted = (uint32_t)a->wanted,
                          .shortfall = (uint32_t)a->shortfall,
                          .no_match = a->no_match,
                          .categories = a->categories,
                          .fallbacks = a->fallbacks,
                          .gallery = a->gallery,
                          .scored = a->scored,
                          .threshold = a->threshold};
  hem_status status = hem__buffer_add(&w->frame, &r, sizeof r, err);
  for (size_t i = 0; i < a->found && !status; i++) status = add_hit(w, &a->hits[i], err);
  if (!status && w->frame.size + w->text.size > size_max(w))
    status = hem__fail(err, HEM_EINVAL,
                       "the answers are more than %zu bytes: ask for fewer hits, or with fewer vectors", size_max(w));
  w->answers++;
  return status;
}

hem_status hem__wire_describe(hem__wire_writer *w, const hem__wire_info *info, const hem__wire_category *categories,
                              hem_error *err) {
  const hem_engine_info *e = &info->engine;
  hem__info_record r = {.photos = e->photos,
                        .items = e->items,
                        .request_bytes_max = info->request_bytes_max,
                        .false_accept = e->false_accept,
                        .dim = (uint32_t)e->dim,
                        .distance = (uint32_t)e->distance,
                        .metric = e->metric,
                        .categories = (uint32_t)e->category_count,
                        .in_flight_max = info->in_flight_max};
  hem_status status = add_text(w, e->space, &r.space, err);
  if (!status) status = add_text(w, e->space_hash, &r.space_hash, err);
  if (!status) status = add_text(w, e->features, &r.features, err);
  if (!status) status = add_text(w, e->catalog, &r.catalog, err);
  if (!status) status = add_text(w, e->metric_about, &r.metric_about, err);
  if (!status) status = add_text(w, e->kernel, &r.kernel, err);
  if (!status) status = add_text(w, info->version, &r.version, err);
  if (!status) status = hem__buffer_add(&w->frame, &r, sizeof r, err);
  for (size_t i = 0; i < e->category_count && !status; i++) {
    hem__category_record c = {.photos = categories[i].photos};
    status = add_text(w, categories[i].name, &c.name, err);
    if (!status) status = add_text(w, categories[i].kind, &c.kind, err);
    if (!status) status = hem__buffer_add(&w->frame, &c, sizeof c, err);
  }
  return status;
}

/* What is behind the head tells what kind of reply it is. */
static hem_status end(hem__wire_writer *w, const hem_error *why, hem_error *err) {
  const hem__wire_about *about = &w->about;
  hem__header_record header;
  hem__reply_record r = {.status = why ? (uint32_t)why->code : HEM_OK,
                         .answers = (uint32_t)w->answers,
                         .certificate_k = about->certificate.k,
                         .certificate_queries = about->certificate.queries,
                         .overlap = about->certificate.overlap,
                         .low = about->certificate.low,
                         .high = about->certificate.high,
                         .wait_ns = about->times.wait_ns,
                         .decode_ns = about->times.decode_ns,
                         .embed_ns = about->times.embed_ns,
                         .search_ns = about->times.search_ns};
  memcpy(&header, w->frame.at, sizeof header);
  bool info = header.type == (HEM__WIRE_INFO | HEM__WIRE_REPLY);
  r.record_size = info ? sizeof(hem__info_record) : sizeof(hem__answer_record);
  r.entry_size = info ? sizeof(hem__category_record) : sizeof(hem__hit_record);
  hem_status status = add_text(w, about->generation, &r.generation, err);
  if (!status) status = add_text(w, why ? why->message : "", &r.message, err);
  if (!status) status = hem__buffer_pad(&w->text, err);
  if (!status) status = hem__buffer_add(&w->frame, w->text.at, w->text.size, err);
  if (status) return status;
  r.text = (uint32_t)w->text.size;
  memcpy(w->frame.at + sizeof header, &r, sizeof r);
  return hem__wire_frame_close(&w->frame, 0, err);
}

hem_status hem__wire_end(hem__wire_writer *w, hem_error *err) { return end(w, NULL, err); }

hem_status hem__wire_failed(hem__wire_writer *w, uint64_t id, hem__wire_type type, const hem_error *why,
                            const hem__wire_about *about, hem_error *err) {
  hem_status status = hem__wire_begin(w, id, type, err);
  if (status) return status;
  if (about) w->about = *about;
  return end(w, why, err);
}

/* ---- reading ---- */

static hem_status wrong(hem_error *err, const char *what) {
  return hem__fail(err, HEM_ECORRUPT, "the server's reply makes no sense: %s", what);
}

/* Checked before: the text ends with a zero. */
static bool string_at(const hem__wire_reply *reply, uint32_t offset, const char **out) {
  *out = offset < reply->text_size ? reply->text + offset : NULL;
  return *out != NULL;
}

/* A newer server may know errors that this library does not. */
static hem_status status_of(uint32_t code) { return code <= HEM_ECANCELED ? (hem_status)code : HEM_EIO; }

hem_status hem__wire_reply_read(const uint8_t *body, size_t size, hem__wire_reply *out, hem_error *err) {
  hem__reply_record r;
  if (size < sizeof r) return wrong(err, "it is too short");
  memcpy(&r, body, sizeof r);
  if (r.text == 0 || r.text > size - sizeof r || body[size - 1]) return wrong(err, "its text has no end");
  if (r.record_size == 0 || r.entry_size == 0) return wrong(err, "its records have no size");
  *out = (hem__wire_reply){.status = status_of(r.status),
                           .answers = r.answers,
                           .records = body + sizeof r,
                           .records_size = size - sizeof r - r.text,
                           .record_size = r.record_size,
                           .entry_size = r.entry_size,
                           .text = (const char *)body + size - r.text,
                           .text_size = r.text};
  out->about.certificate = (hem_certificate){
      .overlap = r.overlap, .low = r.low, .high = r.high, .queries = r.certificate_queries, .k = r.certificate_k};
  out->about.times = (hem__wire_times){
      .wait_ns = r.wait_ns, .decode_ns = r.decode_ns, .embed_ns = r.embed_ns, .search_ns = r.search_ns};
  if (!string_at(out, r.generation, &out->about.generation) || !string_at(out, r.message, &out->message))
    return wrong(err, "a name lies outside the text");
  return HEM_OK;
}

/* The record that begins at `at`, with `count` entries behind it? A larger one is of a newer server. */
static bool holds(const hem__wire_reply *reply, size_t at, size_t record, size_t entry, uint64_t count) {
  size_t rest = reply->records_size - at;
  if (reply->record_size < record || reply->entry_size < entry || rest < reply->record_size) return false;
  return count <= (rest - reply->record_size) / reply->entry_size;
}

static hem_status read_answer(const hem__wire_reply *reply, size_t *at, hem_answer *out, hem_error *err) {
  hem__answer_record r;
  if (!holds(reply, *at, sizeof r, sizeof(hem__hit_record), 0)) return wrong(err, "an answer is cut off");
  memcpy(&r, reply->records + *at, sizeof r);
  if (!holds(reply, *at, sizeof r, sizeof(hem__hit_record), r.found)) return wrong(err, "hits are cut off");
  if (r.shortfall > HEM_IMPROBABLE || r.no_match > 1) return wrong(err, "an answer is of no kind that there is");
  *out = (hem_answer){.found = r.found,
                      .wanted = r.wanted,
                      .shortfall = (hem_shortfall)r.shortfall,
                      .categories = (size_t)r.categories,
                      .fallbacks = (size_t)r.fallbacks,
                      .gallery = r.gallery,
                      .scored = r.scored,
                      .no_match = r.no_match,
                      .threshold = r.threshold};
  *at += reply->record_size;
  return HEM_OK;
}

static hem_status read_hit(const hem__wire_reply *reply, size_t at, hem_hit *out, hem_error *err) {
  hem__hit_record r;
  memcpy(&r, reply->records + at, sizeof r);
  *out =
      (hem_hit){.row = r.row, .distance = r.distance, .score = r.score, .probability = r.probability, .place = r.place};
  bool fine = string_at(reply, r.item_id, &out->item_id) && string_at(reply, r.category, &out->category) &&
              string_at(reply, r.label, &out->label) && string_at(reply, r.path, &out->path);
  return fine ? HEM_OK : wrong(err, "a hit's name lies outside the text");
}

/* All hits, one behind the other, and how many there are. */
static hem_status read_hits(const hem__wire_reply *reply, hem__wire_hits *hits, hem_error *err) {
  size_t at = 0, total = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < reply->answers && !status; i++) {
    hem_answer answer;
    status = read_answer(reply, &at, &answer, err);
    if (status) return status;
    status = hem__grow(&hits->at, &hits->capacity, hem__max(total + answer.found, 1), sizeof *hits->at, "hits", err);
    for (size_t j = 0; j < answer.found && !status; j++, at += reply->entry_size)
      status = read_hit(reply, at, &hits->at[total++], err);
  }
  return status || at == reply->records_size ? status : wrong(err, "there is more than its answers");
}

hem_status hem__wire_answers_read(const hem__wire_reply *reply, hem__wire_hits *hits, hem_answer *answers,
                                  hem_error *err) {
  size_t at = 0, hit = 0;
  hem_status status = read_hits(reply, hits, err);
  for (size_t i = 0; i < reply->answers && !status; i++) {
    read_answer(reply, &at, &answers[i], NULL); /* which it has been before */
    answers[i].hits = hits->at + hit;
    hit += answers[i].found;
    at += answers[i].found * reply->entry_size;
  }
  return status;
}

hem_status hem__wire_info_read(const hem__wire_reply *reply, hem__wire_info *out, hem_error *err) {
  hem__info_record r;
  if (!holds(reply, 0, sizeof r, sizeof(hem__category_record), 0)) return wrong(err, "it says nothing of the store");
  memcpy(&r, reply->records, sizeof r);
  if (!holds(reply, 0, sizeof r, sizeof(hem__category_record), r.categories))
    return wrong(err, "categories are cut off");
  if (r.distance > HEM_IP || r.metric > 1) return wrong(err, "a distance that is not known");
  *out = (hem__wire_info){.request_bytes_max = r.request_bytes_max, .in_flight_max = r.in_flight_max};
  out->engine = (hem_engine_info){.generation = reply->about.generation,
                                  .dim = r.dim,
                                  .distance = (hem_distance)r.distance,
                                  .photos = r.photos,
                                  .items = r.items,
                                  .category_count = r.categories,
                                  .metric = r.metric,
                                  .false_accept = r.false_accept,
                                  .certificate = reply->about.certificate};
  hem_engine_info *e = &out->engine;
  bool fine = string_at(reply, r.space, &e->space) && string_at(reply, r.space_hash, &e->space_hash) &&
              string_at(reply, r.features, &e->features) && string_at(reply, r.catalog, &e->catalog) &&
              string_at(reply, r.metric_about, &e->metric_about) && string_at(reply, r.kernel, &e->kernel) &&
              string_at(reply, r.version, &out->version);
  return fine ? HEM_OK : wrong(err, "a name lies outside the text");
}

hem_status hem__wire_category_read(const hem__wire_reply *reply, size_t i, hem__wire_category *out, hem_error *err) {
  hem__category_record r;
  memcpy(&r, reply->records + reply->record_size + i * reply->entry_size, sizeof r);
  out->photos = r.photos;
  if (!string_at(reply, r.name, &out->name) || !string_at(reply, r.kind, &out->kind))
    return wrong(err, "a category's name lies outside the text");
  return HEM_OK;
}
