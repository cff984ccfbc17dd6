#include "fuzz/mutate.h"

#include <string.h>

#include "test.h"

static size_t below(uint64_t *random, size_t limit) { return limit ? (size_t)(hem__test_random(random) % limit) : 0; }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* A place for a run of up to `longest` bytes. */
static size_t place(uint64_t *random, size_t size, size_t longest, size_t *length) {
  *length = smaller(1 + below(random, longest), size);
  return below(random, size - *length + 1);
}

static void noise(uint64_t *random, uint8_t *out, size_t length) {
  /* Numbers at the edges are where parsers err. */
  static const uint64_t edges[] = {0, UINT64_MAX, INT64_MAX, UINT32_MAX, 1, (uint64_t)1 << 63};
  uint64_t edge = edges[below(random, sizeof edges / sizeof *edges)];
  bool at_edge = length == sizeof edge && below(random, 2);
  for (size_t i = 0; i < length; i++) out[i] = (uint8_t)hem__test_random(random);
  if (at_edge) memcpy(out, &edge, sizeof edge);
}

static void swap_blocks(uint64_t *random, uint8_t *out, size_t size) {
  uint8_t block[512];
  size_t length, from = place(random, size, sizeof block, &length), to = below(random, size - length + 1);
  if ((from > to ? from - to : to - from) < length) return; /* they overlap */
  memcpy(block, out + from, length);
  memcpy(out + from, out + to, length);
  memcpy(out + to, block, length);
}

size_t hem__mutate(uint64_t *random, const uint8_t *in, size_t size, uint8_t *out) {
  enum { FLIP, NOISE, NUMBER, CUT, EXTEND, SWAP, ZERO_PAGE, REPEAT, DROP, KINDS };
  size_t length, at, kind = below(random, KINDS);
  if (size) memcpy(out, in, size);
  if (size == 0) kind = EXTEND;
  switch (kind) {
    case FLIP:
      out[below(random, size)] ^= (uint8_t)(1 << below(random, 8));
      return size;
    case NOISE:
      at = place(random, size, 64, &length);
      noise(random, out + at, length);
      return size;
    case NUMBER:
      at = place(random, size, 1, &length) / 8 * 8;
      noise(random, out + at, smaller(8, size - at));
      return size;
    case CUT:
      return below(random, size);
    case EXTEND:
      length = 1 + below(random, HEM__MUTATE_ROOM);
      if (below(random, 2)) {
        noise(random, out + size, length);
      } else {
        memset(out + size, 0, length);
      }
      return size + length;
    case SWAP:
      swap_blocks(random, out, size);
      return size;
    case ZERO_PAGE:
      at = below(random, size) / 4096 * 4096;
      memset(out + at, 0, smaller(4096, size - at));
      return size;
    case REPEAT:
      at = place(random, size, 512, &length);
      memmove(out + below(random, size - length + 1), out + at, length);
      return size;
    default:
      at = place(random, size, 512, &length);
      memmove(out + at, out + at + length, size - at - length);
      return size - length;
  }
}
