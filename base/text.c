#include "base/text.h"

#include <stdlib.h>
#include <string.h>

size_t hem__utf8_size(const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  if (s[0] < 0x80) return s[0] ? 1 : 0;
  size_t more = s[0] >= 0xC2 && s[0] < 0xE0 ? 1 : s[0] >= 0xE0 && s[0] < 0xF0 ? 2 : s[0] >= 0xF0 && s[0] < 0xF5 ? 3 : 0;
  if (!more) return 0;
  for (size_t i = 1; i <= more; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  bool overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
  bool surrogate = s[0] == 0xED && s[1] >= 0xA0, beyond = s[0] == 0xF4 && s[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : more + 1;
}

bool hem__is_utf8(const char *text) {
  for (size_t n; *text; text += n)
    if (!(n = hem__utf8_size(text))) return false;
  return true;
}

struct hem__arena_chunk {
  struct hem__arena_chunk *next;
  size_t used, size;
  char bytes[];
};

enum { CHUNK = 1 << 16 };

hem_status hem__arena_copy(hem__arena *arena, const char *text, size_t size, const char **out, hem_error *err) {
  if (arena->last && arena->last_size == size && memcmp(arena->last, text, size) == 0) {
    *out = arena->last;
    return HEM_OK;
  }
  struct hem__arena_chunk *chunk = arena->chunks;
  if (!chunk || chunk->size - chunk->used <= size) {
    size_t bytes, room = hem__max(size, CHUNK) + 1;
    if (room <= size || !hem__add(sizeof *chunk, room, &bytes) || !(chunk = malloc(bytes)))
      return hem__fail(err, HEM_ENOMEM, "no memory for a string of %zu bytes", size);
    *chunk = (struct hem__arena_chunk){.next = arena->chunks, .size = room};
    arena->chunks = chunk;
  }
  char *copy = chunk->bytes + chunk->used;
  memcpy(copy, text, size);
  copy[size] = '\0';
  chunk->used += size + 1;
  arena->last = *out = copy;
  arena->last_size = size;
  return HEM_OK;
}

void hem__arena_clear(hem__arena *arena) {
  for (struct hem__arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  *arena = (hem__arena){0};
}

struct hem__set_entry {
  const char *text;
  uint64_t hash;
  size_t number;
};

/* FNV-1a, finished so that the low bits depend on every byte. */
static uint64_t hash_of(const char *text) {
  uint64_t h = 0xCBF29CE484222325U;
  for (; *text; text++) h = (h ^ (uint8_t)*text) * 0x100000001B3U;
  return h ^ (h >> 32);
}

/* Where `text` is, or the free place where it belongs. */
static struct hem__set_entry *place(const hem__set *set, const char *text, uint64_t hash) {
  for (size_t i = hash & (set->capacity - 1);; i = (i + 1) & (set->capacity - 1)) {
    struct hem__set_entry *entry = &set->entries[i];
    if (!entry->text || (entry->hash == hash && strcmp(entry->text, text) == 0)) return entry;
  }
}

static hem_status set_grow(hem__set *set, hem_error *err) {
  hem__set larger = {.capacity = set->capacity ? set->capacity * 2 : 64};
  hem_status status = hem__alloc(larger.capacity, sizeof *larger.entries, "a set of names", &larger.entries, err);
  if (status) return status;
  for (size_t i = 0; i < set->capacity; i++)
    if (set->entries[i].text) *place(&larger, set->entries[i].text, set->entries[i].hash) = set->entries[i];
  larger.count = set->count;
  free(set->entries);
  *set = larger;
  return HEM_OK;
}

hem_status hem__set_add(hem__set *set, const char *text, size_t *number, hem_error *err) {
  if (set->count * 4 >= set->capacity * 3) {
    hem_status status = set_grow(set, err);
    if (status) return status;
  }
  uint64_t hash = hash_of(text);
  struct hem__set_entry *entry = place(set, text, hash);
  if (!entry->text) *entry = (struct hem__set_entry){.text = text, .hash = hash, .number = set->count++};
  if (number) *number = entry->number;
  return HEM_OK;
}

size_t hem__set_find(const hem__set *set, const char *text) {
  if (!set->capacity) return SIZE_MAX;
  const struct hem__set_entry *entry = place(set, text, hash_of(text));
  return entry->text ? entry->number : SIZE_MAX;
}

void hem__set_clear(hem__set *set) {
  free(set->entries);
  *set = (hem__set){0};
}
