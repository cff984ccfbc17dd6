/* Records as they lie in a frame, little-endian, without holes; wire.c and wire_reply.c copy them out before use.
 * docs/protocol.md says the same in words. */
#ifndef HEM_QUERY_WIRE_RECORD_H
#define HEM_QUERY_WIRE_RECORD_H

#include "query/wire.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Vectors are used as they lie in a frame, which wants a little-endian processor"
#endif

typedef struct hem__header_record {
  uint8_t magic[2], version, type;
  uint32_t size;
  uint64_t id;
} hem__header_record;

enum { HEM__ASK_VECTORS, HEM__ASK_PHOTO, HEM__ASK_ITEM };
enum {
  HEM__FLAG_EXACT = 1,
  HEM__FLAG_PHOTOS = 2,
  HEM__FLAG_LEAVE_OUT = 4,
  HEM__FLAG_PLAIN = 8,
  HEM__FLAG_BOX = 16,
  HEM__FLAG_PARTS = 32,
  HEM__FLAGS = 63
};

/* Behind it: the vectors or the photo, offsets of categories and of labels, text; each but the offsets of categories
 * padded to 8. */
typedef struct hem__search_record {
  uint32_t kind, flags, k, rerank;
  double min_probability;
  uint64_t leave_out_row;
  double box[4];
  uint32_t count, dim, photo; /* vectors, their values; bytes of the photo */
  uint32_t item;              /* where its id is in the text */
  uint32_t categories, labels, text, zero;
} hem__search_record;

/* Behind it: records and their entries; then text, of padded size. */
typedef struct hem__reply_record {
  uint32_t status, answers, generation, message, text, certificate_k;
  uint64_t certificate_queries;
  double overlap, low, high;
  uint64_t wait_ns, decode_ns, embed_ns, search_ns;
  uint32_t record_size, entry_size;
} hem__reply_record;

typedef struct hem__answer_record {
  uint32_t found, wanted, shortfall, no_match;
  uint64_t categories, fallbacks, gallery, scored;
  double threshold;
} hem__answer_record;

typedef struct hem__hit_record {
  uint64_t row;
  uint32_t item_id, category, label, path;
  float distance, score, probability;
  uint32_t place;
} hem__hit_record;

typedef struct hem__info_record {
  uint64_t photos, items, request_bytes_max;
  double false_accept;
  uint32_t dim, distance, metric, categories;
  uint32_t space, space_hash, features, catalog, metric_about, kernel, version, in_flight_max;
} hem__info_record;

typedef struct hem__category_record {
  uint32_t name, kind;
  uint64_t photos;
} hem__category_record;

_Static_assert(sizeof(hem__header_record) == HEM__WIRE_HEADER && sizeof(hem__search_record) == 96 &&
                   sizeof(hem__reply_record) == 96 && sizeof(hem__answer_record) == 56 &&
                   sizeof(hem__hit_record) == 40 && sizeof(hem__info_record) == 80 &&
                   sizeof(hem__category_record) == 16,
               "records have holes");

/* Frames and their parts begin at multiples of this, so that vectors can be used where they lie. */
enum { HEM__WIRE_ALIGNMENT = 8 };

/* Zeros up to there, counted from the buffer's start. */
hem_status hem__buffer_pad(hem__buffer *buffer, hem_error *err);

/* Adds a header whose size is not known yet; hem__wire_frame_close writes it. `start`: of the frame in the buffer. */
hem_status hem__wire_frame_open(hem__buffer *out, uint64_t id, uint8_t type, size_t *start, hem_error *err);
hem_status hem__wire_frame_close(hem__buffer *out, size_t start, hem_error *err);

#endif
