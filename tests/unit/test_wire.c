/* Frames: what is written is read back the same; what is cut off or damaged is refused, and nothing beyond it read. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "query/wire.h"
#include "query/wire_record.h"
#include "test.h"

enum { DIM = 5, COUNT = 3 };

static const float vectors[COUNT][DIM] = {{1, 2, 3, 4, 5}, {-1, 0, 1e-30f, 7, 8}, {9, 9, 9, 9, 9}};
static const char *const categories[] = {"dress", "", "\xC3\xA9t\xC3\xA9"};
static const char *const labels[] = {"long"};

/* A copy that ends where it ends, so that a sanitizer sees what is read beyond. */
static uint8_t *copy_of(const uint8_t *at, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  ck_assert_ptr_nonnull(copy);
  if (size) memcpy(copy, at, size);
  return copy;
}

static hem__wire_header header_of(const hem__buffer *frame) {
  hem__wire_header h;
  ck_ok(hem__wire_header_read(frame->at, SIZE_MAX, &h, err));
  ck_assert_uint_eq(h.size, frame->size - HEM__WIRE_HEADER);
  ck_assert_uint_eq(frame->size % 8, 0);
  return h;
}

/* ---- searches ---- */

static hem__wire_search by_vectors(void) {
  return (hem__wire_search){.vectors = &vectors[0][0],
                            .count = COUNT,
                            .dim = DIM,
                            .options = {.size = sizeof(hem_search_options),
                                        .k = 7,
                                        .categories = categories,
                                        .category_count = 3,
                                        .exact = true,
                                        .leave_out = true,
                                        .leave_out_row = UINT64_MAX - 1,
                                        .rerank = 99,
                                        .min_probability = 0.25,
                                        .labels = labels,
                                        .label_count = 1}};
}

static hem__wire_search by_photo(void) {
  return (hem__wire_search){.photo = (const uint8_t *)"\xFF\xD8 a photo",
                            .photo_size = 10,
                            .boxed = true,
                            .box = {.x = 0.1, .y = 0.2, .width = 0.3, .height = 0.4, .parts = true},
                            .options = {.size = sizeof(hem_search_options), .plain = true, .photos = true}};
}

static hem__wire_search by_item(void) {
  return (hem__wire_search){.item_id = "id_00000001", .options = {.size = sizeof(hem_search_options)}};
}

static void check_options(const hem__wire_search *a, const hem__wire_search *b) {
  const hem_search_options *x = &a->options, *y = &b->options;
  ck_assert_uint_eq(x->k, y->k);
  ck_assert(x->exact == y->exact && x->photos == y->photos && x->leave_out == y->leave_out && x->plain == y->plain);
  ck_assert_uint_eq(x->leave_out_row, y->leave_out_row);
  ck_assert_uint_eq(x->rerank, y->rerank);
  ck_assert(x->min_probability == y->min_probability);
  ck_assert_uint_eq(x->category_count, y->category_count);
  for (size_t i = 0; i < x->category_count; i++) ck_assert_str_eq(x->categories[i], y->categories[i]);
  ck_assert_uint_eq(x->label_count, y->label_count);
  for (size_t i = 0; i < x->label_count; i++) ck_assert_str_eq(x->labels[i], y->labels[i]);
}

static void check_search(const hem__wire_search *a, const hem__wire_search *b) {
  check_options(a, b);
  ck_assert((a->vectors != NULL) == (b->vectors != NULL) && (a->photo != NULL) == (b->photo != NULL));
  if (a->vectors) {
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->dim, b->dim);
    ck_assert_mem_eq(a->vectors, b->vectors, a->count * a->dim * sizeof(float));
    ck_assert_uint_eq((uintptr_t)b->vectors % 4, 0);
  }
  if (a->photo) {
    ck_assert_uint_eq(a->photo_size, b->photo_size);
    ck_assert_mem_eq(a->photo, b->photo, a->photo_size);
  }
  ck_assert_pstr_eq(a->item_id, b->item_id);
  ck_assert(a->boxed == b->boxed);
  if (a->boxed)
    ck_assert(a->box.x == b->box.x && a->box.y == b->box.y && a->box.width == b->box.width &&
              a->box.height == b->box.height && a->box.parts == b->box.parts);
}

static hem__wire_search (*const searches[])(void) = {by_vectors, by_photo, by_item};
enum { SEARCHES = 3 };

START_TEST(a_search_is_read_as_it_was_written) {
  hem__buffer out = {0};
  hem__wire_names names = {0};
  for (size_t i = 0; i < SEARCHES; i++) {
    hem__wire_search in = searches[i](), back;
    out.size = 0;
    ck_ok(hem__wire_search_write(&out, 77 + i, &in, err));
    hem__wire_header h = header_of(&out);
    ck_assert_uint_eq(h.type, HEM__WIRE_SEARCH);
    ck_assert_uint_eq(h.id, 77 + i);
    ck_ok(hem__wire_search_read(out.at + HEM__WIRE_HEADER, h.size, &names, &back, err));
    check_search(&in, &back);
  }
  hem__buffer_clear(&out);
  free(names.at);
}
END_TEST

START_TEST(every_truncation_of_a_search_is_refused) {
  hem__buffer out = {0};
  hem__wire_names names = {0};
  for (size_t i = 0; i < SEARCHES; i++) {
    hem__wire_search in = searches[i](), back;
    out.size = 0;
    ck_ok(hem__wire_search_write(&out, 1, &in, err));
    for (size_t size = 0; size < out.size - HEM__WIRE_HEADER; size++) {
      uint8_t *body = copy_of(out.at + HEM__WIRE_HEADER, size);
      ck_fails(hem__wire_search_read(body, size, &names, &back, err), HEM_EINVAL, "makes no sense");
      free(body);
    }
  }
  hem__buffer_clear(&out);
  free(names.at);
}
END_TEST

/* Everything that was read lies within the frame. */
static size_t touch_search(const hem__wire_search *s) {
  size_t sum = s->item_id ? strlen(s->item_id) : 0;
  for (size_t i = 0; s->vectors && i < s->count * s->dim; i++) sum += s->vectors[i] > 0;
  for (size_t i = 0; i < s->photo_size; i++) sum += s->photo[i];
  for (size_t i = 0; i < s->options.category_count; i++) sum += strlen(s->options.categories[i]);
  for (size_t i = 0; i < s->options.label_count; i++) sum += strlen(s->options.labels[i]);
  return sum;
}

/* A byte, or a whole number, of a body becomes something else. */
static void damage(uint64_t *random, uint8_t *body, size_t size) {
  static const uint32_t edges[] = {0, 1, UINT32_MAX, UINT32_MAX - 7, INT32_MAX, 1U << 31, 4096, 1 << 20};
  size_t at = (size_t)hem__test_random(random) % size;
  uint32_t number = edges[hem__test_random(random) % 8];
  if (hem__test_random(random) % 2) {
    body[at] = (uint8_t)hem__test_random(random);
  } else {
    memcpy(body + at / 4 * 4, &number, sizeof number);
  }
}

START_TEST(a_damaged_search_is_read_or_refused) {
  hem__buffer out = {0};
  hem__wire_names names = {0};
  uint64_t random = 1;
  size_t refused = 0, sum = 0;
  for (size_t i = 0; i < 60000; i++) {
    hem__wire_search in = searches[i % SEARCHES](), back;
    hem_error err = {0};
    out.size = 0;
    if (hem__wire_search_write(&out, 1, &in, &err)) ck_abort_msg("%s", err.message);
    size_t size = out.size - HEM__WIRE_HEADER;
    uint8_t *body = copy_of(out.at + HEM__WIRE_HEADER, size);
    for (size_t times = 0; times <= i % 3; times++) damage(&random, body, size);
    if (hem__wire_search_read(body, size, &names, &back, &err)) {
      ck_assert(err.message[0]);
      refused++;
    } else {
      sum += touch_search(&back);
    }
    free(body);
  }
  printf("%zu of 60000 damaged searches were refused (%zu)\n", refused, sum);
  ck_assert_uint_gt(refused, 10000);
  hem__buffer_clear(&out);
  free(names.at);
}
END_TEST

START_TEST(what_a_frame_cannot_say_is_refused) {
  hem__buffer out = {0};
  hem__wire_search s = by_vectors();
  s.count = HEM__WIRE_BATCH_MAX + 1;
  ck_fails(hem__wire_search_write(&out, 1, &s, err), HEM_EINVAL, "1 to 1024");
  s = by_vectors();
  s.dim = SIZE_MAX / 2;
  ck_fails(hem__wire_search_write(&out, 1, &s, err), HEM_EINVAL, "vectors");
  s.dim = UINT32_MAX;
  ck_fails(hem__wire_search_write(&out, 1, &s, err), HEM_EINVAL, "a frame can hold");
  s = by_vectors();
  s.item_id = "and an item";
  ck_fails(hem__wire_search_write(&out, 1, &s, err), HEM_EINVAL, "one of them");
  ck_fails(hem__wire_search_write(&out, 1, &(hem__wire_search){0}, err), HEM_EINVAL, "one of them");
  s = by_item();
  s.options.category_count = 1;
  ck_fails(hem__wire_search_write(&out, 1, &s, err), HEM_EINVAL, "without any");
  ck_assert_uint_eq(out.size, 0);
  hem__buffer_clear(&out);
}
END_TEST

START_TEST(a_header_is_checked) {
  hem__buffer out = {0};
  hem__wire_header h;
  ck_ok(hem__wire_ask_write(&out, 5, HEM__WIRE_PING, err));
  ck_ok(hem__wire_header_read(out.at, 0, &h, err));
  ck_assert(h.type == HEM__WIRE_PING && h.size == 0 && h.id == 5);
  uint32_t size = 64;
  memcpy(out.at + 4, &size, sizeof size);
  ck_ok(hem__wire_header_read(out.at, 64, &h, err));
  ck_fails(hem__wire_header_read(out.at, 63, &h, err), HEM_EINVAL, "at most 63");
  ck_assert_uint_eq(h.id, 5); /* known all the same */
  size = 60;
  memcpy(out.at + 4, &size, sizeof size);
  ck_fails(hem__wire_header_read(out.at, 64, &h, err), HEM_ECORRUPT, "multiple of 8");
  out.at[2] = 2;
  ck_fails(hem__wire_header_read(out.at, 64, &h, err), HEM_EVERSION, "version 2");
  out.at[0] = 'G';
  ck_fails(hem__wire_header_read(out.at, 64, &h, err), HEM_ECORRUPT, "47 4d");
  hem__buffer_clear(&out);
}
END_TEST

/* ---- replies ---- */

static const hem_hit hits[] = {
    {.item_id = "a", .category = "c", .path = "p1", .label = "", .row = 9, .distance = 1, .score = NAN, .place = 1},
    {.item_id = "b",
     .category = "c",
     .path = "p2",
     .label = "l",
     .row = 1,
     .distance = 2,
     .probability = 0.5f,
     .place = 2},
    {.item_id = "c", .category = "d", .path = "p3", .label = "l", .row = UINT64_MAX, .distance = 3, .place = 9}};

static const hem_answer wanted[] = {
    {.hits = hits, .found = 3, .wanted = 3, .categories = 2, .gallery = 1000, .scored = 12, .threshold = 0.75},
    {.hits = hits, .found = 0, .wanted = 3, .shortfall = HEM_IMPROBABLE, .no_match = true},
    {.hits = hits + 1, .found = 2, .wanted = 3, .shortfall = HEM_SMALL_GALLERY, .fallbacks = 1}};
enum { ANSWERS = 3 };

static void write_answers(hem__wire_writer *w) {
  ck_ok(hem__wire_begin(w, 8, HEM__WIRE_SEARCH | HEM__WIRE_REPLY, err));
  for (size_t i = 0; i < ANSWERS; i++) ck_ok(hem__wire_answer(w, &wanted[i], err));
  w->about = (hem__wire_about){.generation = "000003",
                               .certificate = {.overlap = 0.9, .low = 0.8, .high = 1, .queries = 100, .k = 20},
                               .times = {.wait_ns = 1, .decode_ns = 2, .embed_ns = 3, .search_ns = UINT64_MAX}};
  ck_ok(hem__wire_end(w, err));
}

static bool same_float(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

static void check_answer(const hem_answer *a, const hem_answer *b) {
  ck_assert(a->found == b->found && a->wanted == b->wanted && a->shortfall == b->shortfall);
  ck_assert(a->categories == b->categories && a->fallbacks == b->fallbacks && a->gallery == b->gallery);
  ck_assert(a->scored == b->scored && a->no_match == b->no_match && a->threshold == b->threshold);
  for (size_t i = 0; i < a->found; i++) {
    const hem_hit *x = &a->hits[i], *y = &b->hits[i];
    ck_assert_str_eq(x->item_id, y->item_id);
    ck_assert_str_eq(x->category, y->category);
    ck_assert_str_eq(x->path, y->path);
    ck_assert_str_eq(x->label, y->label);
    ck_assert(x->row == y->row && x->place == y->place && same_float(x->distance, y->distance) &&
              same_float(x->score, y->score) && same_float(x->probability, y->probability));
  }
}

START_TEST(answers_are_read_as_they_were_written) {
  hem__wire_writer w = {0};
  hem__wire_reply reply;
  hem__wire_hits room = {0};
  hem_answer back[ANSWERS];
  for (int twice = 0; twice < 2; twice++) {
    write_answers(&w);
    hem__wire_header h = header_of(&w.frame);
    ck_assert(h.id == 8 && h.type == 129);
    ck_ok(hem__wire_reply_read(w.frame.at + HEM__WIRE_HEADER, h.size, &reply, err));
    ck_assert(reply.status == HEM_OK && reply.answers == ANSWERS && !reply.message[0]);
    ck_assert_str_eq(reply.about.generation, "000003");
    ck_assert(reply.about.certificate.queries == 100 && reply.about.certificate.low == 0.8);
    ck_assert(reply.about.times.decode_ns == 2 && reply.about.times.search_ns == UINT64_MAX);
    ck_ok(hem__wire_answers_read(&reply, &room, back, err));
    for (size_t i = 0; i < ANSWERS; i++) check_answer(&wanted[i], &back[i]);
  }
  hem__wire_writer_clear(&w);
  free(room.at);
}
END_TEST

static hem_status read_all(const uint8_t *body, size_t size, size_t *sum, hem_error *err) {
  static hem__wire_hits room;
  static hem_answer answers[1000];
  hem__wire_reply reply;
  hem__wire_info info;
  hem_status status = hem__wire_reply_read(body, size, &reply, err);
  if (status) return status;
  *sum += strlen(reply.message) + strlen(reply.about.generation);
  if (!hem__wire_info_read(&reply, &info, err))
    for (size_t i = 0; i < info.engine.category_count; i++) {
      hem__wire_category c;
      if (!hem__wire_category_read(&reply, i, &c, err)) *sum += strlen(c.name) + strlen(c.kind);
    }
  if (reply.answers > 1000) return HEM_EINVAL;
  status = hem__wire_answers_read(&reply, &room, answers, err);
  for (size_t i = 0; i < reply.answers && !status; i++)
    for (size_t j = 0; j < answers[i].found; j++) {
      const hem_hit *h = &answers[i].hits[j];
      *sum += strlen(h->item_id) + strlen(h->category) + strlen(h->label) + strlen(h->path);
    }
  return status;
}

START_TEST(every_truncation_of_a_reply_is_refused) {
  hem__wire_writer w = {0};
  size_t sum = 0;
  write_answers(&w);
  for (size_t size = 0; size <= w.frame.size - HEM__WIRE_HEADER; size++) {
    uint8_t *body = copy_of(w.frame.at + HEM__WIRE_HEADER, size);
    hem_error err;
    ck_assert_int_eq(read_all(body, size, &sum, &err), size + HEM__WIRE_HEADER < w.frame.size ? HEM_ECORRUPT : HEM_OK);
    free(body);
  }
  hem__wire_writer_clear(&w);
}
END_TEST

START_TEST(a_damaged_reply_is_read_or_refused) {
  hem__wire_writer w = {0};
  uint64_t random = 2;
  size_t refused = 0, sum = 0;
  write_answers(&w);
  for (size_t i = 0; i < 60000; i++) {
    size_t size = w.frame.size - HEM__WIRE_HEADER;
    uint8_t *body = copy_of(w.frame.at + HEM__WIRE_HEADER, size);
    hem_error err;
    for (size_t times = 0; times <= i % 3; times++) damage(&random, body, size);
    refused += read_all(body, size, &sum, &err) != HEM_OK;
    free(body);
  }
  printf("%zu of 60000 damaged replies were refused (%zu)\n", refused, sum);
  ck_assert_uint_gt(refused, 10000);
  hem__wire_writer_clear(&w);
}
END_TEST

/* A server of tomorrow may say more of each answer and each hit. */
START_TEST(longer_records_are_read_by_their_beginning) {
  hem__wire_writer w = {0};
  hem__wire_reply reply;
  hem__wire_hits room = {0};
  hem_answer back;
  ck_ok(hem__wire_begin(&w, 8, HEM__WIRE_SEARCH | HEM__WIRE_REPLY, err));
  ck_ok(hem__wire_answer(&w, &(hem_answer){.hits = hits, .found = 1, .wanted = 1}, err));
  ck_ok(hem__wire_end(&w, err));
  hem__buffer longer = {0};
  size_t head = HEM__WIRE_HEADER + 96;
  ck_ok(hem__buffer_add(&longer, w.frame.at, head + 56, err));
  ck_ok(hem__buffer_add(&longer, "12345678", 8, err));
  ck_ok(hem__buffer_add(&longer, w.frame.at + head + 56, 40, err));
  ck_ok(hem__buffer_add(&longer, "1234567812345678", 16, err));
  ck_ok(hem__buffer_add(&longer, w.frame.at + head + 96, w.frame.size - head - 96, err));
  uint32_t sizes[2] = {64, 56};
  memcpy(longer.at + HEM__WIRE_HEADER + offsetof(hem__reply_record, record_size), sizes, sizeof sizes);
  ck_ok(hem__wire_reply_read(longer.at + HEM__WIRE_HEADER, longer.size - HEM__WIRE_HEADER, &reply, err));
  ck_ok(hem__wire_answers_read(&reply, &room, &back, err));
  check_answer(&(hem_answer){.hits = hits, .found = 1, .wanted = 1}, &back);
  hem__buffer_clear(&longer);
  hem__wire_writer_clear(&w);
  free(room.at);
}
END_TEST

START_TEST(what_was_wrong_is_said) {
  hem__wire_writer w = {0};
  hem__wire_reply reply;
  hem_error why = {.code = HEM_ENOTFOUND, .message = "there is no category 'hats'"};
  ck_ok(hem__wire_failed(&w, 3, HEM__WIRE_SEARCH | HEM__WIRE_REPLY, &why, NULL, err));
  ck_ok(hem__wire_reply_read(w.frame.at + HEM__WIRE_HEADER, w.frame.size - HEM__WIRE_HEADER, &reply, err));
  ck_assert_int_eq(reply.status, HEM_ENOTFOUND);
  ck_assert_str_eq(reply.message, why.message);
  ck_assert_str_eq(reply.about.generation, "");
  uint32_t unknown = 4711; /* of a newer server */
  memcpy(w.frame.at + HEM__WIRE_HEADER, &unknown, sizeof unknown);
  ck_ok(hem__wire_reply_read(w.frame.at + HEM__WIRE_HEADER, w.frame.size - HEM__WIRE_HEADER, &reply, err));
  ck_assert_int_eq(reply.status, HEM_EIO);
  hem__wire_writer_clear(&w);
}
END_TEST

START_TEST(answers_beyond_the_limit_are_refused) {
  hem__wire_writer w = {.size_max = 1000};
  hem_error err = {0};
  hem_status status = hem__wire_begin(&w, 1, HEM__WIRE_SEARCH | HEM__WIRE_REPLY, &err);
  for (size_t i = 0; i < 20 && !status; i++) status = hem__wire_answer(&w, &wanted[0], &err);
  ck_assert_int_eq(status, HEM_EINVAL);
  ck_assert_ptr_nonnull(strstr(err.message, "ask for fewer hits"));
  hem__wire_writer_clear(&w);
}
END_TEST

START_TEST(a_store_is_described) {
  hem__wire_writer w = {0};
  hem__wire_reply reply;
  hem__wire_info info = {.version = "0.1.0", .request_bytes_max = 1 << 26, .in_flight_max = 256}, back;
  hem__wire_category here[] = {{"dress", "hnsw", 10}, {"skirt", "flat", 20}}, c;
  info.engine = (hem_engine_info){.space = "s",
                                  .space_hash = "h",
                                  .features = "f",
                                  .catalog = "c.h5",
                                  .dim = 2048,
                                  .distance = HEM_COSINE,
                                  .photos = 30,
                                  .items = 11,
                                  .category_count = 2,
                                  .metric = true,
                                  .metric_about = "m",
                                  .kernel = "avx2",
                                  .false_accept = 0.05};
  ck_ok(hem__wire_begin(&w, 1, HEM__WIRE_INFO | HEM__WIRE_REPLY, err));
  ck_ok(hem__wire_describe(&w, &info, here, err));
  w.about.generation = "000009";
  ck_ok(hem__wire_end(&w, err));
  ck_ok(hem__wire_reply_read(w.frame.at + HEM__WIRE_HEADER, w.frame.size - HEM__WIRE_HEADER, &reply, err));
  ck_ok(hem__wire_info_read(&reply, &back, err));
  const hem_engine_info *e = &back.engine;
  ck_assert(e->dim == 2048 && e->distance == HEM_COSINE && e->photos == 30 && e->items == 11 && e->metric);
  ck_assert(e->false_accept == 0.05 && back.request_bytes_max == 1 << 26 && back.in_flight_max == 256);
  ck_assert_str_eq(e->generation, "000009");
  ck_assert_str_eq(e->features, "f");
  ck_assert_str_eq(e->kernel, "avx2");
  ck_assert_str_eq(back.version, "0.1.0");
  for (size_t i = 0; i < 2; i++) {
    ck_ok(hem__wire_category_read(&reply, i, &c, err));
    ck_assert_str_eq(c.name, here[i].name);
    ck_assert_str_eq(c.kind, here[i].kind);
    ck_assert_uint_eq(c.photos, here[i].photos);
  }
  hem__wire_writer_clear(&w);
}
END_TEST

HEM_TESTS("wire", a_search_is_read_as_it_was_written, every_truncation_of_a_search_is_refused,
          a_damaged_search_is_read_or_refused, what_a_frame_cannot_say_is_refused, a_header_is_checked,
          answers_are_read_as_they_were_written, every_truncation_of_a_reply_is_refused,
          a_damaged_reply_is_read_or_refused, longer_records_are_read_by_their_beginning, what_was_wrong_is_said,
          answers_beyond_the_limit_are_refused, a_store_is_described)
