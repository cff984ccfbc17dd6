#include "ingest/known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hem__photo_key(const hem__photo *photo, char key[HEM__KEY_MAX]) {
  hem__box b = photo->box;
  if (b.width) {
    snprintf(key, HEM__KEY_MAX, "%s [%d,%d,%d,%d%s]", photo->path, b.x, b.y, b.width, b.height,
             b.unit == HEM__MILLIONTHS ? " millionths" : "");
  } else {
    snprintf(key, HEM__KEY_MAX, "%s", photo->path);
  }
}

/* Half of a SHA-256: no two photos of any shop meet in it, and nobody can make two that do. */
static void shorten(const hem__digest *digest, uint8_t out[16]) { memcpy(out, digest->at, 16); }

static void hash_key(const char *key, uint8_t out[16]) {
  hem__digest digest = hem__sha256_of(key, strlen(key));
  shorten(&digest, out);
}

/* A hash of hashes, so that no text can run into the next one. */
static void hash_facts(const hem__photo *photo, uint8_t out[16]) {
  const char *texts[] = {photo->item_id, photo->category, photo->label};
  uint8_t all[3 * sizeof(hem__digest) + 2];
  for (size_t i = 0; i < 3; i++) {
    hem__digest digest = hem__sha256_of(texts[i], strlen(texts[i]));
    memcpy(all + i * sizeof digest, digest.at, sizeof digest);
  }
  all[sizeof all - 2] = photo->domain;
  all[sizeof all - 1] = photo->split;
  hem__digest digest = hem__sha256_of(all, sizeof all);
  shorten(&digest, out);
}

/* The slot that holds this key, or the empty one where it belongs. There is always an empty one. */
static uint32_t *slot_of(const hem__known *known, const uint8_t key[16]) {
  uint64_t hash;
  memcpy(&hash, key, sizeof hash);
  size_t i = hash & (known->slot_count - 1);
  while (known->slots[i] && memcmp(known->at[known->slots[i] - 1].key, key, 16) != 0)
    i = (i + 1) & (known->slot_count - 1);
  return &known->slots[i];
}

/* Twice as many slots, so that at most three quarters are taken. */
static hem_status more_slots(hem__known *known, hem_error *err) {
  size_t wanted = known->slot_count ? known->slot_count * 2 : 1024;
  uint32_t *slots = NULL;
  if (wanted > UINT32_MAX) return hem__fail(err, HEM_ENOMEM, "a catalogue holds at most three thousand million photos");
  hem_status status = hem__alloc(wanted, sizeof *slots, "known photos", &slots, err);
  if (status) return status;
  free(known->slots);
  known->slots = slots;
  known->slot_count = wanted;
  for (size_t i = 0; i < known->count; i++) *slot_of(known, known->at[i].key) = (uint32_t)(i + 1);
  return HEM_OK;
}

/* The photo's entry; *added where there was none. */
static hem_status entry_of(hem__known *known, const hem__photo *photo, hem__known_photo **out, bool *added,
                           hem_error *err) {
  char text[HEM__KEY_MAX];
  uint8_t key[16];
  hem__photo_key(photo, text);
  hash_key(text, key);
  hem_status status = known->count >= known->slot_count / 4 * 3 ? more_slots(known, err) : HEM_OK;
  if (!status)
    status = hem__grow(&known->at, &known->capacity, known->count + 1, sizeof *known->at, "known photos", err);
  if (status) return status;
  uint32_t *slot = slot_of(known, key);
  *added = *slot == 0;
  if (*added) {
    hem__known_photo *entry = &known->at[known->count++];
    *entry = (hem__known_photo){.part = UINT32_MAX};
    memcpy(entry->key, key, sizeof key);
    *slot = (uint32_t)known->count;
  }
  *out = &known->at[*slot - 1];
  return HEM_OK;
}

hem_status hem__known_put(hem__known *known, const hem__photo *photo, size_t part, size_t row, hem_error *err) {
  hem__known_photo *entry;
  bool added;
  hem_status status = entry_of(known, photo, &entry, &added, err);
  if (status) return status;
  hash_facts(photo, entry->facts);
  entry->source = photo->source;
  entry->bytes = photo->bytes;
  entry->mtime_ns = photo->mtime_ns;
  entry->part = (uint32_t)part;
  entry->row = (uint32_t)row;
  return HEM_OK;
}

hem_status hem__known_meet(hem__known *known, const hem__photo *photo, hem__meeting *meeting, hem__known_photo *as,
                           hem_error *err) {
  hem__known_photo *entry;
  bool added;
  uint8_t facts[16];
  hem_status status = entry_of(known, photo, &entry, &added, err);
  if (status) return status;
  hash_facts(photo, facts);
  bool same = !added && memcmp(entry->facts, facts, sizeof facts) == 0;
  *as = *entry;
  if (added) {
    *meeting = HEM__NEW;
  } else if (entry->listed) {
    *meeting = same ? HEM__AGAIN : HEM__CONFLICT;
    return HEM_OK;
  } else {
    *meeting = same ? HEM__THERE : HEM__CHANGED;
  }
  entry->listed = true;
  memcpy(entry->facts, facts, sizeof facts);
  return HEM_OK;
}

const hem__known_photo *hem__known_find(const hem__known *known, const char *key) {
  uint8_t hash[16];
  if (!known->slot_count) return NULL;
  hash_key(key, hash);
  uint32_t slot = *slot_of(known, hash);
  return slot ? &known->at[slot - 1] : NULL;
}

const hem__known_photo *hem__known_photo_find(const hem__known *known, const hem__photo *photo) {
  char key[HEM__KEY_MAX];
  hem__photo_key(photo, key);
  return hem__known_find(known, key);
}

bool hem__known_is_newest(const hem__known *known, const hem__photo *photo, size_t part, size_t row) {
  const hem__known_photo *newest = hem__known_photo_find(known, photo);
  return newest && newest->part == part && newest->row == row;
}

void hem__known_clear(hem__known *known) {
  free(known->at);
  free(known->slots);
  *known = (hem__known){0};
}
