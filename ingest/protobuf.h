/* Protobuf's wire format, as far as reading needs it: one field after another, every length checked against what is
 * there. Knows no message. Reads hostile bytes in linear time and allocates nothing. */
#ifndef HEM_INGEST_PROTOBUF_H
#define HEM_INGEST_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a message. Zeroed is an empty one. */
typedef struct hem__wire {
  const uint8_t *at, *end;
  bool broken; /* the bytes contradict themselves; nothing more comes */
} hem__wire;

enum { HEM__WIRE_VARINT = 0, HEM__WIRE_64 = 1, HEM__WIRE_BYTES = 2, HEM__WIRE_32 = 5 };

typedef struct hem__field {
  uint32_t number;
  unsigned wire;
  uint64_t value;    /* VARINT */
  const uint8_t *at; /* BYTES: inside the message, `size` of them */
  size_t size;
} hem__field;

static inline hem__wire hem__wire_of(const uint8_t *at, size_t size) {
  return (hem__wire){.at = at, .end = at ? at + size : at};
}

static inline hem__wire hem__wire_in(const hem__field *field) { return hem__wire_of(field->at, field->size); }

static inline bool hem__wire_varint(hem__wire *wire, uint64_t *out) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70 && wire->at < wire->end; shift += 7) {
    uint8_t byte = *wire->at++;
    if (shift < 64) value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte & 0x80) continue;
    *out = value;
    return true;
  }
  wire->broken = true;
  return false;
}

static inline bool hem__wire_take(hem__wire *wire, uint64_t size, hem__field *out) {
  if (size > (uint64_t)(wire->end - wire->at)) {
    wire->broken = true;
    return false;
  }
  out->at = wire->at;
  out->size = (size_t)size;
  wire->at += size;
  return true;
}

/* The next field; false at the end, or where the message is broken. Groups, which no ONNX file has, are broken. */
static inline bool hem__wire_next(hem__wire *wire, hem__field *out) {
  uint64_t key, size = 0;
  *out = (hem__field){0};
  if (wire->broken || wire->at == wire->end || !hem__wire_varint(wire, &key)) return false;
  out->number = (uint32_t)(key >> 3);
  out->wire = (unsigned)(key & 7);
  if (key >> 3 && key >> 32 == 0) {
    switch (out->wire) {
      case HEM__WIRE_VARINT:
        return hem__wire_varint(wire, &out->value);
      case HEM__WIRE_64:
        return hem__wire_take(wire, 8, out);
      case HEM__WIRE_32:
        return hem__wire_take(wire, 4, out);
      case HEM__WIRE_BYTES:
        return hem__wire_varint(wire, &size) && hem__wire_take(wire, size, out);
      default:
        break;
    }
  }
  wire->broken = true;
  return false;
}

#endif
