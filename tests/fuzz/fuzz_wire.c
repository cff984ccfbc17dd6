/* Frames of the Unix socket, one behind the other, requests or replies: read or refused; what was read lies within its
 * frame, and a search that was read is written again as it was. */
#include "fuzz/fuzz.h"
#include "query/wire.h"

static size_t length(const char *text) { return text ? strlen(text) : 0; }

static void touch(size_t sum) {
  HEM__FUZZ_ASSERT(sum != SIZE_MAX); /* whose value does not matter: it must not crash */
}

static void check_written_again(const hem__wire_search *s) {
  hem__buffer out = {0};
  hem__wire_names names = {0};
  hem__wire_search back;
  HEM__FUZZ_ASSERT(hem__wire_search_write(&out, 1, s, NULL) == HEM_OK);
  HEM__FUZZ_ASSERT(hem__wire_search_read(out.at + HEM__WIRE_HEADER, out.size - HEM__WIRE_HEADER, &names, &back, NULL) ==
                   HEM_OK);
  HEM__FUZZ_ASSERT(back.count == s->count && back.dim == s->dim && back.photo_size == s->photo_size);
  HEM__FUZZ_ASSERT(back.options.category_count == s->options.category_count);
  HEM__FUZZ_ASSERT(back.options.k == s->options.k && back.options.label_count == s->options.label_count);
  hem__buffer_clear(&out);
  free(names.at);
}

static void read_search(const uint8_t *body, size_t size) {
  hem__wire_names names = {0};
  hem__wire_search s;
  hem_error err = {0};
  if (hem__wire_search_read(body, size, &names, &s, &err) == HEM_OK) {
    size_t sum = length(s.item_id);
    for (size_t i = 0; s.vectors && i < s.count * s.dim; i++) sum += s.vectors[i] > 0;
    for (size_t i = 0; i < s.photo_size; i++) sum += s.photo[i];
    for (size_t i = 0; i < s.options.category_count; i++) sum += length(s.options.categories[i]);
    for (size_t i = 0; i < s.options.label_count; i++) sum += length(s.options.labels[i]);
    touch(sum);
    check_written_again(&s);
  } else {
    HEM__FUZZ_ASSERT(err.message[0]);
  }
  free(names.at);
}

static void read_answers(const hem__wire_reply *reply) {
  enum { ROOM = 4096 };
  static hem_answer answers[ROOM];
  hem__wire_hits hits = {0};
  size_t sum = 0;
  if (reply->answers > ROOM || hem__wire_answers_read(reply, &hits, answers, NULL)) {
    free(hits.at);
    return;
  }
  for (size_t i = 0; i < reply->answers; i++)
    for (size_t j = 0; j < answers[i].found; j++) {
      const hem_hit *h = &answers[i].hits[j];
      sum += length(h->item_id) + length(h->category) + length(h->label) + length(h->path);
    }
  touch(sum);
  free(hits.at);
}

static void read_reply(const uint8_t *body, size_t size) {
  hem__wire_reply reply;
  hem__wire_info info;
  hem_error err = {0};
  if (hem__wire_reply_read(body, size, &reply, &err)) {
    HEM__FUZZ_ASSERT(err.message[0]);
    return;
  }
  touch(length(reply.message) + length(reply.about.generation));
  read_answers(&reply);
  if (hem__wire_info_read(&reply, &info, NULL)) return;
  touch(length(info.engine.space) + length(info.engine.features) + length(info.version));
  for (size_t i = 0; i < info.engine.category_count; i++) {
    hem__wire_category c;
    if (!hem__wire_category_read(&reply, i, &c, NULL)) touch(length(c.name) + length(c.kind));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  while (size >= HEM__WIRE_HEADER) {
    hem__wire_header h;
    hem_error err = {0};
    if (hem__wire_header_read(data, size - HEM__WIRE_HEADER, &h, &err)) {
      HEM__FUZZ_ASSERT(err.message[0]);
      break;
    }
    uint8_t *body = hem__fuzz_copy(data + HEM__WIRE_HEADER, h.size);
    if (h.type & HEM__WIRE_REPLY) {
      read_reply(body, h.size);
    } else {
      read_search(body, h.size);
    }
    free(body);
    data += HEM__WIRE_HEADER + h.size;
    size -= HEM__WIRE_HEADER + h.size;
  }
  return 0;
}
