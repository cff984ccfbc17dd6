#include "ingest/photos.h"

#include <stdlib.h>
#include <string.h>

const char *const hem__domain_names[HEM__DOMAINS] = {"shop", "consumer"};
const char *const hem__split_names[HEM__SPLITS] = {"none", "train", "validation", "test"};
const char *const hem__box_unit_names[HEM__BOX_UNITS] = {"pixels", "millionths"};

bool hem__name_find(const char *text, const char *const *names, size_t count, uint8_t *out) {
  for (size_t i = 0; i < count; i++)
    if (!strcmp(text, names[i])) {
      *out = (uint8_t)i;
      return true;
    }
  return false;
}

static hem_status check_text(const char *column, const char *text, bool may_be_empty, hem_error *err) {
  size_t length = strlen(text);
  if (length == 0 && !may_be_empty) return hem__fail(err, HEM_EINVAL, "%s is empty", column);
  if (length > HEM__TEXT_MAX)
    return hem__fail(err, HEM_EINVAL, "%s is %zu bytes long, more than the %d a catalogue keeps", column, length,
                     HEM__TEXT_MAX);
  if (!hem__is_utf8(text)) return hem__fail(err, HEM_EINVAL, "%s is not UTF-8", column);
  return HEM_OK;
}

static hem_status check_photo(const hem__photo *photo, hem_error *err) {
  hem_status status = check_text("item_id", photo->item_id, false, err);
  if (!status) status = check_text("category", photo->category, false, err);
  if (!status) status = check_text("label", photo->label, true, err);
  if (!status) status = check_text("path", photo->path, false, err);
  return status;
}

hem_status hem__photos_add(hem__photos *photos, const hem__photo *photo, hem_error *err) {
  hem_status status = check_photo(photo, err);
  if (!status) status = hem__grow(&photos->at, &photos->capacity, photos->count + 1, sizeof *photos->at, "photos", err);
  if (status) return status;
  hem__photo copy = *photo;
  const char **texts[] = {&copy.category, &copy.label, &copy.item_id, &copy.path};
  /* Categories and labels repeat from photo to photo: the previous photo's copies serve again. */
  const hem__photo *before = photos->count ? &photos->at[photos->count - 1] : NULL;
  for (size_t i = 0; i < 4 && !status; i++) {
    if (i == 0 && before && !strcmp(before->category, photo->category)) {
      copy.category = before->category;
    } else if (i == 1 && before && !strcmp(before->label, photo->label)) {
      copy.label = before->label;
    } else {
      status = hem__arena_copy(&photos->strings, *texts[i], strlen(*texts[i]), texts[i], err);
    }
  }
  if (!status) photos->at[photos->count++] = copy;
  return status;
}

static hem_status copy_any(hem__arena *arena, const char *text, const char **out, hem_error *err) {
  char clean[HEM__TEXT_MAX + 1];
  size_t length = 0;
  while (*text && length + 4 < sizeof clean) {
    size_t n = hem__utf8_size(text);
    if (n) {
      memcpy(clean + length, text, n);
    } else {
      clean[length] = '?';
    }
    length += n ? n : 1;
    text += n ? n : 1;
  }
  return hem__arena_copy(arena, clean, length, out, err);
}

hem_status hem__photos_reject(hem__photos *photos, const char *path, const char *reason, hem_error *err) {
  hem_status status = hem__grow(&photos->rejected, &photos->rejected_capacity, photos->rejected_count + 1,
                                sizeof *photos->rejected, "rejected photos", err);
  hem__rejection copy = {0};
  if (!status) status = copy_any(&photos->strings, path, &copy.path, err);
  if (!status) status = copy_any(&photos->strings, reason, &copy.reason, err);
  if (!status) photos->rejected[photos->rejected_count++] = copy;
  return status;
}

/* Reasons name the photo ('*' stands for it) and numbers that differ from photo to photo ('N'). */
static void write_kind(const hem__rejection *rejection, char *out, size_t size) {
  size_t used = 0, path = strlen(rejection->path);
  for (const char *at = rejection->reason; *at && used + 4 < size;) {
    if (path && !strncmp(at, rejection->path, path)) {
      at += path;
      out[used++] = '*';
    } else if (*at >= '0' && *at <= '9') {
      at += strspn(at, "0123456789");
      out[used++] = 'N';
    } else {
      out[used++] = *at++;
    }
  }
  out[used] = '\0';
  while (used && hem__is_utf8(out) == false) out[--used] = '\0';
}

hem_status hem__rejection_kinds(const hem__photos *photos, size_t *kinds, size_t *count, hem_error *err) {
  hem__set names = {0};
  hem__arena texts = {0};
  hem_status status = HEM_OK;
  for (size_t i = 0; i < photos->rejected_count && !status; i++) {
    char name[512];
    const char *kept;
    write_kind(&photos->rejected[i], name, sizeof name);
    status = hem__arena_copy(&texts, name, strlen(name), &kept, err);
    if (!status) status = hem__set_add(&names, kept, &kinds[i], err);
  }
  *count = names.count;
  hem__set_clear(&names);
  hem__arena_clear(&texts);
  return status;
}

void hem__photos_clear(hem__photos *photos) {
  free(photos->at);
  free(photos->rejected);
  hem__arena_clear(&photos->strings);
  *photos = (hem__photos){0};
}
