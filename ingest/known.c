#include "ingest/known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hem__known_as {
  const char *item_id, *category, *label;
  uint8_t domain, split;
};

void hem__photo_key(const hem__photo *photo, char key[HEM__KEY_MAX]) {
  hem__box b = photo->box;
  if (b.width) {
    snprintf(key, HEM__KEY_MAX, "%s [%d,%d,%d,%d]", photo->path, b.x, b.y, b.width, b.height);
  } else {
    snprintf(key, HEM__KEY_MAX, "%s", photo->path);
  }
}

static bool is_known_as(const struct hem__known_as *as, const hem__photo *photo) {
  return !strcmp(as->item_id, photo->item_id) && !strcmp(as->category, photo->category) &&
         !strcmp(as->label, photo->label) && as->domain == photo->domain && as->split == photo->split;
}

bool hem__known_has(const hem__known *known, const hem__photo *photo) {
  char key[HEM__KEY_MAX];
  hem__photo_key(photo, key);
  return hem__set_find(&known->keys, key) != SIZE_MAX;
}

/* Most photos have no box: their path serves as the key without a copy. */
static hem_status keep_key(hem__known *known, const hem__photo *photo, const char *key, const char **out,
                           hem_error *err) {
  *out = photo->path;
  return strcmp(key, photo->path) ? hem__arena_copy(&known->strings, key, strlen(key), out, err) : HEM_OK;
}

hem_status hem__known_meet(hem__known *known, const hem__photo *photo, hem__meeting *meeting, hem_error *err) {
  char key[HEM__KEY_MAX];
  const char *kept;
  hem__photo_key(photo, key);
  size_t number = hem__set_find(&known->keys, key);
  if (number != SIZE_MAX) {
    *meeting = is_known_as(&known->as[number], photo) ? HEM__SAME : HEM__CONFLICT;
    return HEM_OK;
  }
  *meeting = HEM__NEW;
  hem_status status =
      hem__grow(&known->as, &known->capacity, known->keys.count + 1, sizeof *known->as, "known photos", err);
  if (!status) status = keep_key(known, photo, key, &kept, err);
  if (!status) status = hem__set_add(&known->keys, kept, &number, err);
  if (!status)
    known->as[number] = (struct hem__known_as){.item_id = photo->item_id,
                                               .category = photo->category,
                                               .label = photo->label,
                                               .domain = photo->domain,
                                               .split = photo->split};
  return status;
}

void hem__known_clear(hem__known *known) {
  hem__set_clear(&known->keys);
  hem__arena_clear(&known->strings);
  free(known->as);
  *known = (hem__known){0};
}
