#include "ingest/segments.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/known.h"

static hem_status add_open(hem__segments *s, const char *path, hem_error *err) {
  hem_status status = hem__grow(&s->open, &s->capacity, s->count + 1, sizeof *s->open, "segments", err);
  if (!status) status = hem__catalog_open(path, &s->open[s->count], err);
  if (!status) s->count++;
  return status;
}

static hem_status segment_path(const hem__segments *s, size_t number, char **out, hem_error *err) {
  return hem__print(out, err, "%s/%06zu.h5", s->folder, number);
}

/* "000017.h5" -> 17; 0 for every other name. */
static size_t number_of(const char *name) {
  size_t number;
  int used = 0;
  return sscanf(name, "%6zu.h5%n", &number, &used) == 1 && used == 9 && !name[used] ? number : 0;
}

static int by_number(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x > y) - (x < y);
}

static hem_status list_segments(const hem__segments *s, size_t **numbers, size_t *count, hem_error *err) {
  size_t capacity = 0;
  hem_status status = HEM_OK;
  DIR *folder = opendir(s->folder);
  if (!folder) return errno == ENOENT ? HEM_OK : hem__fail_errno(err, "cannot list %s", s->folder);
  for (struct dirent *entry; !status && (entry = readdir(folder));) {
    size_t number = number_of(entry->d_name);
    if (!number) continue;
    status = hem__grow(numbers, &capacity, *count + 1, sizeof **numbers, "segments", err);
    if (!status) (*numbers)[(*count)++] = number;
  }
  closedir(folder);
  if (*count) qsort(*numbers, *count, sizeof **numbers, by_number);
  return status;
}

/* The photos of all that is open. */
static hem_status list_added(const hem__segments *s, hem__known *added, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t c = 0; c < s->count && !status; c++) {
    const hem__photos *photos = hem__catalog_photos(s->open[c]);
    for (size_t i = 0; i < photos->count && !status; i++)
      status = hem__known_meet(added, &photos->at[i], &(hem__meeting){0}, err);
  }
  return status;
}

/* A killed run may have folded its segments in and not removed them. Folding takes all or nothing, so one
 * photo tells for its whole segment. */
static bool is_folded(const hem__catalog *segment, const hem__known *in_catalog) {
  const hem__photos *photos = hem__catalog_photos(segment);
  return photos->count && hem__known_has(in_catalog, &photos->at[0]);
}

static hem_status open_segments(hem__segments *s, const hem__known *in_catalog, hem_error *err) {
  size_t *numbers = NULL, count = 0;
  hem_status status = list_segments(s, &numbers, &count, err);
  for (size_t i = 0; i < count && !status; i++) {
    char *path = NULL;
    status = segment_path(s, numbers[i], &path, err);
    if (!status) status = add_open(s, path, err);
    if (status == HEM_ECORRUPT && err) {
      hem_error why = *err;
      hem__fail(err, HEM_ECORRUPT, "%s; remove that file, and its photos are embedded again", why.message);
    }
    if (!status && is_folded(s->open[s->count - 1], in_catalog)) {
      hem__catalog_close(s->open[--s->count]);
      unlink(path);
    }
    s->next = numbers[i] + 1;
    free(path);
  }
  free(numbers);
  return status;
}

hem_status hem__segments_open(const char *catalog, hem__segments *out, hem_error *err) {
  hem__segments s = {.path = catalog, .next = 1};
  hem__known in_catalog = {0};
  char *left_over = NULL;
  hem_status status = hem__print(&s.folder, err, "%s.segments", catalog);
  if (!status) status = hem__print(&left_over, err, "%s.tmp", catalog);
  if (!status) unlink(left_over);
  if (!status && hem__path_exists(catalog)) status = add_open(&s, catalog, err);
  if (!status) status = list_added(&s, &in_catalog, err);
  if (!status) status = open_segments(&s, &in_catalog, err);
  hem__known_clear(&in_catalog);
  free(left_over);
  if (status) {
    hem__segments_close(&s);
    return status;
  }
  *out = s;
  return HEM_OK;
}

hem_status hem__segments_seal(hem__segments *s, const hem__space *spaces, size_t space_count,
                              const hem__catalog_part *part, hem_error *err) {
  char *path = NULL;
  hem_status status = hem__make_folder(s->folder, err);
  if (!status) status = segment_path(s, s->next, &path, err);
  /* One thread: the cores are busy embedding the next batch. */
  hem__catalog_content content = {.spaces = spaces,
                                  .space_count = space_count,
                                  .parts = part,
                                  .part_count = 1,
                                  .rejected = part->photos,
                                  .threads = 1};
  if (!status) status = hem__catalog_seal(path, &content, err);
  /* Opened again: what folding will read is what reached the disk. */
  if (!status) status = add_open(s, path, err);
  if (!status) s->next++;
  free(path);
  return status;
}

/* "<listing>:<line>" of this run's listing, and this run found nothing wrong with that line. */
static bool is_mended(const hem__fold *fold, const char *path) {
  size_t length = fold->listing ? strlen(fold->listing) : 0;
  return length && strncmp(path, fold->listing, length) == 0 && path[length] == ':' &&
         hem__set_find(fold->rejected_now, path) == SIZE_MAX;
}

/* Every photo that was rejected and has not been added since: once, in first-seen order, latest reason. */
static hem_status merge_rejections(const hem__segments *s, const hem__fold *fold, hem__photos *out, hem_error *err) {
  hem__known added = {0};
  hem__set seen = {0};
  hem_status status = list_added(s, &added, err);
  for (size_t c = 0; c < s->count && !status; c++) {
    const hem__photos *photos = hem__catalog_photos(s->open[c]);
    for (size_t i = 0; i < photos->rejected_count && !status; i++) {
      const hem__rejection *r = &photos->rejected[i];
      size_t number;
      if (hem__set_find(&added.keys, r->path) != SIZE_MAX || is_mended(fold, r->path)) continue;
      status = hem__set_add(&seen, r->path, &number, err);
      if (status) break;
      if (number == out->rejected_count) {
        status = hem__photos_reject(out, r->path, r->reason, err);
      } else {
        out->rejected[number].reason = r->reason; /* borrowed from a catalogue that stays open meanwhile */
      }
    }
  }
  hem__known_clear(&added);
  hem__set_clear(&seen);
  return status;
}

bool hem__segments_mended(const hem__segments *s, const hem__fold *fold) {
  for (size_t c = 0; c < s->count; c++) {
    const hem__photos *photos = hem__catalog_photos(s->open[c]);
    for (size_t i = 0; i < photos->rejected_count; i++)
      if (is_mended(fold, photos->rejected[i].path)) return true;
  }
  return false;
}

static hem_status collect_parts(const hem__segments *s, size_t space_count, hem__catalog_part *parts,
                                hem__matrix *matrices, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t c = 0; c < s->count && !status; c++) {
    parts[c] = (hem__catalog_part){.photos = hem__catalog_photos(s->open[c]), .vectors = matrices + c * space_count};
    for (size_t i = 0; i < space_count && !status; i++) {
      matrices[c * space_count + i] = hem__catalog_matrix(s->open[c], i);
      status = hem__catalog_check(s->open[c], i, 0, parts[c].photos->count, err);
    }
  }
  return status;
}

/* Ours alone: a folder that holds something else as well stays, with it. */
static hem_status remove_segments(const hem__segments *s, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t number = 1; number < s->next && !status; number++) {
    char *path = NULL;
    status = segment_path(s, number, &path, err);
    if (!status && unlink(path) != 0 && errno != ENOENT) status = hem__fail_errno(err, "cannot remove %s", path);
    free(path);
  }
  if (!status && rmdir(s->folder) != 0 && errno != ENOENT && errno != ENOTEMPTY)
    status = hem__fail_errno(err, "cannot remove %s", s->folder);
  return status;
}

hem_status hem__segments_fold(hem__segments *s, const hem__fold *fold, hem_error *err) {
  hem__catalog_part *parts = NULL;
  hem__matrix *matrices = NULL;
  hem__photos rejected = {0};
  hem_status status = hem__alloc(s->count, sizeof *parts, "segments", &parts, err);
  if (!status) status = hem__alloc(s->count * fold->space_count, sizeof *matrices, "segments", &matrices, err);
  if (!status) status = collect_parts(s, fold->space_count, parts, matrices, err);
  if (!status) status = merge_rejections(s, fold, &rejected, err);
  hem__catalog_content content = {.spaces = fold->spaces,
                                  .space_count = fold->space_count,
                                  .parts = parts,
                                  .part_count = s->count,
                                  .rejected = &rejected,
                                  .progress = fold->progress};
  if (!status) status = hem__catalog_seal(s->path, &content, err);
  if (!status) status = remove_segments(s, err);
  hem__photos_clear(&rejected);
  free(matrices);
  free(parts);
  return status;
}

void hem__segments_close(hem__segments *s) {
  for (size_t i = 0; i < s->count; i++) hem__catalog_close(s->open[i]);
  free(s->open);
  free(s->folder);
  *s = (hem__segments){0};
}
