/* Bytes of the Unix socket's protocol (docs/protocol.md): requests and replies, written and read. Knows no sockets.
 *
 * What is read was sent by a stranger: every size, offset and number is checked before it is used, and any bytes at all
 * give either a value or an error. Nothing is copied on the way in: vectors, photos and strings lie in the frame, which
 * must begin at a multiple of 8 and outlive them. What is written grows the caller's buffer and nothing else. */
#ifndef HEM_QUERY_WIRE_H
#define HEM_QUERY_WIRE_H

#include "base/memory.h"

enum {
  HEM__WIRE_VERSION = 1,
  HEM__WIRE_HEADER = 16,      /* bytes before a frame's body */
  HEM__WIRE_BATCH_MAX = 1024, /* vectors of one request */
  HEM__WIRE_NAMES_MAX = 4096  /* categories and labels of one request */
};

typedef enum hem__wire_type {
  HEM__WIRE_SEARCH = 1,
  HEM__WIRE_INFO = 2,
  HEM__WIRE_PING = 3,
  HEM__WIRE_REPLY = 128,  /* added to a request's type */
  HEM__WIRE_CLOSING = 255 /* the server's last word */
} hem__wire_type;

/* Zeroed is empty. */
typedef struct hem__buffer {
  uint8_t *at; /* freed with free() */
  size_t size, capacity;
} hem__buffer;

/* Makes room for `count` more bytes. Errors: ENOMEM. */
hem_status hem__buffer_reserve(hem__buffer *buffer, size_t count, hem_error *err);
hem_status hem__buffer_add(hem__buffer *buffer, const void *bytes, size_t count, hem_error *err);
void hem__buffer_clear(hem__buffer *buffer);

/* ---- a frame's header ---- */

typedef struct hem__wire_header {
  uint8_t type;
  size_t size; /* of the body; a multiple of 8 */
  uint64_t id;
} hem__wire_header;

/* `at`: HEM__WIRE_HEADER bytes. *out is written also on failure, as far as it makes sense. Errors: ECORRUPT (that is no
 * frame), EVERSION, EINVAL (a body beyond `body_max`). */
hem_status hem__wire_header_read(const uint8_t *at, size_t body_max, hem__wire_header *out, hem_error *err);

/* ---- requests ---- */

/* One of vectors, photo and item_id is set. All borrowed. */
typedef struct hem__wire_search {
  const float *vectors; /* [count, dim] */
  size_t count, dim;
  const uint8_t *photo;
  size_t photo_size;
  const char *item_id;
  bool boxed; /* only the part `box` of the photo */
  hem_box box;
  hem_search_options options;
} hem__wire_search;

/* Room for the names of a request that is read. Zeroed is empty; `at` is freed with free(). */
typedef struct hem__wire_names {
  const char **at;
  size_t capacity;
} hem__wire_names;

/* Adds a frame. On failure the buffer is as it was. Errors: EINVAL (more than a frame can say), ENOMEM. */
hem_status hem__wire_search_write(hem__buffer *out, uint64_t id, const hem__wire_search *search, hem_error *err);
/* One that has no body: INFO or PING. */
hem_status hem__wire_ask_write(hem__buffer *out, uint64_t id, hem__wire_type type, hem_error *err);

/* Reads the body of a search. *out lives as long as the body and until `names` is used again. Errors: EINVAL, ENOMEM.
 */
hem_status hem__wire_search_read(const uint8_t *body, size_t size, hem__wire_names *names, hem__wire_search *out,
                                 hem_error *err);

/* ---- replies ---- */

typedef struct hem__wire_times {
  uint64_t wait_ns, decode_ns, embed_ns, search_ns;
} hem__wire_times;

/* What every reply says. */
typedef struct hem__wire_about {
  const char *generation; /* never NULL once it was read */
  hem_certificate certificate;
  hem__wire_times times;
} hem__wire_about;

typedef struct hem__wire_info {
  hem_engine_info engine;
  const char *version; /* of the server */
  uint64_t request_bytes_max;
  uint32_t in_flight_max;
} hem__wire_info;

typedef struct hem__wire_category {
  const char *name, *kind;
  uint64_t photos;
} hem__wire_category;

/* A reply in the making, and room that the next one uses again. Zeroed is empty. */
typedef struct hem__wire_writer {
  hem__buffer frame, text;
  size_t size_max; /* of a frame; 0: what a frame can say */
  size_t answers;
  hem__wire_about about; /* to be filled in between begin and end; strings borrowed until then */
  struct {
    const char *at;
    uint32_t offset;
  } category, label; /* the latest: hits that follow one another share them */
} hem__wire_writer;

void hem__wire_writer_clear(hem__wire_writer *w);

/* Starts a reply of this type, to request `id`; what the writer held is dropped. */
hem_status hem__wire_begin(hem__wire_writer *w, uint64_t id, hem__wire_type type, hem_error *err);
/* The answer to the next vector of a search. Errors: EINVAL (beyond size_max), ENOMEM. */
hem_status hem__wire_answer(hem__wire_writer *w, const hem_answer *answer, hem_error *err);
hem_status hem__wire_describe(hem__wire_writer *w, const hem__wire_info *info, const hem__wire_category *categories,
                              hem_error *err);
/* w->frame is what to send from here on. */
hem_status hem__wire_end(hem__wire_writer *w, hem_error *err);
/* A whole reply that says what was wrong; `about` may be NULL. Errors: ENOMEM. */
hem_status hem__wire_failed(hem__wire_writer *w, uint64_t id, hem__wire_type type, const hem_error *why,
                            const hem__wire_about *about, hem_error *err);

/* A reply that is read; everything lies in the frame. */
typedef struct hem__wire_reply {
  hem_status status;
  const char *message; /* "" where status is HEM_OK */
  hem__wire_about about;
  size_t answers;
  const uint8_t *records; /* behind the head */
  size_t records_size, record_size, entry_size;
  const char *text;
  size_t text_size;
} hem__wire_reply;

/* Errors: ECORRUPT. Of a reply that says what was wrong it is still HEM_OK: look at out->status. */
hem_status hem__wire_reply_read(const uint8_t *body, size_t size, hem__wire_reply *out, hem_error *err);

/* Room for the hits of a reply. Zeroed is empty; `at` is freed with free(). */
typedef struct hem__wire_hits {
  hem_hit *at;
  size_t capacity;
} hem__wire_hits;

/* Writes reply->answers answers; their hits lie in `hits`, and strings in the frame. Errors: ECORRUPT, ENOMEM. */
hem_status hem__wire_answers_read(const hem__wire_reply *reply, hem__wire_hits *hits, hem_answer *answers,
                                  hem_error *err);
/* Of a reply to INFO. */
hem_status hem__wire_info_read(const hem__wire_reply *reply, hem__wire_info *out, hem_error *err);
/* Category i < out->engine.category_count. Errors: ECORRUPT. */
hem_status hem__wire_category_read(const hem__wire_reply *reply, size_t i, hem__wire_category *out, hem_error *err);

#endif
