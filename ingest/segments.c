#include "ingest/segments.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ingest/known.h"

hem_status hem__segments_lock(const char *catalog, char **real, hem__lock *lock, hem_error *err) {
  char *path = NULL, *found = realpath(catalog, NULL);
  hem_status status = found ? HEM_OK : hem__strdup(catalog, &found, err);
  if (!status) status = hem__print(&path, err, "%s.lock", found);
  if (!status) status = hem__lock_take(path, found, lock, err);
  free(path);
  if (status) {
    free(found);
    return status;
  }
  *real = found;
  return HEM_OK;
}

static hem_status add_open(hem__segments *s, const char *path, hem_error *err) {
  hem_status status = hem__grow(&s->open, &s->capacity, s->count + 1, sizeof *s->open, "segments", err);
  if (!status) status = hem__catalog_open(path, &s->open[s->count], err);
  if (!status) s->count++;
  return status;
}

static hem_status segment_path(const hem__segments *s, size_t number, char **out, hem_error *err) {
  return hem__print(out, err, "%s/%06zu.h5", s->folder, number);
}

/* "000017.h5" -> 17; 0 for every name that is not a number and `ending`. */
static size_t number_of(const char *name, const char *ending) {
  size_t number = 0, digits = strspn(name, "0123456789");
  if (digits < 6 || digits > 18 || strcmp(name + digits, ending) != 0) return 0;
  sscanf(name, "%zu", &number);
  return number;
}

static int by_number(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x > y) - (x < y);
}

/* In order. Half-written ones are removed: the writer's lock is ours, so nobody is writing them. */
static hem_status list_segments(const hem__segments *s, size_t **numbers, size_t *count, hem_error *err) {
  size_t capacity = 0;
  hem_status status = HEM_OK;
  DIR *folder = opendir(s->folder);
  if (!folder) return errno == ENOENT ? HEM_OK : hem__fail_errno(err, "cannot list %s", s->folder);
  for (struct dirent *entry; !status && (entry = readdir(folder));) {
    size_t number = number_of(entry->d_name, ".h5");
    if (number_of(entry->d_name, ".h5.tmp")) unlinkat(dirfd(folder), entry->d_name, 0);
    if (!number) continue;
    status = hem__grow(numbers, &capacity, *count + 1, sizeof **numbers, "segments", err);
    if (!status) (*numbers)[(*count)++] = number;
  }
  closedir(folder);
  if (*count) qsort(*numbers, *count, sizeof **numbers, by_number);
  return status;
}

/* Notes every photo of the open files that are not noted yet. */
static hem_status know(hem__segments *s, hem__known *known, hem_error *err) {
  hem_status status = HEM_OK;
  for (; s->noted < s->count && !status; s->noted++) {
    const hem__photos *photos = hem__catalog_photos(s->open[s->noted]);
    for (size_t i = 0; i < photos->count && !status; i++)
      status = hem__known_put(known, &photos->at[i], s->noted, i, err);
  }
  return status;
}

/* A killed run may have folded its segments in and not removed them: then they name another catalogue than the one that
 * is there, and that one has all of their photos. */
static bool is_folded(const hem__segments *s, const hem__catalog *segment, const hem__known *known) {
  hem__digest base = hem__catalog_base(segment);
  const hem__photos *photos = hem__catalog_photos(segment);
  bool folded = !hem__digest_equal(&base, &s->base);
  for (size_t i = 0; i < photos->count && folded; i++) folded = hem__known_photo_find(known, &photos->at[i]) != NULL;
  return folded;
}

static hem_status open_segment(hem__segments *s, size_t number, hem__known *known, hem_error *err) {
  char *path = NULL;
  hem_status status = segment_path(s, number, &path, err);
  if (!status) status = add_open(s, path, err);
  if (status == HEM_ECORRUPT && err) {
    hem_error why = *err;
    hem__fail(err, HEM_ECORRUPT, "%s; remove that file, and its photos are embedded again", why.message);
  }
  if (!status && is_folded(s, s->open[s->count - 1], known)) {
    hem__catalog_close(s->open[--s->count]);
    /* Were it left behind, a photo that is deleted next would come back with it. */
    if (unlink(path) != 0) status = hem__fail_errno(err, "cannot remove %s", path);
  } else if (!status) {
    status = know(s, known, err);
  }
  free(path);
  return status;
}

static hem_status open_segments(hem__segments *s, hem__known *known, hem_error *err) {
  size_t *numbers = NULL, count = 0;
  hem_status status = list_segments(s, &numbers, &count, err);
  for (size_t i = 0; i < count && !status; i++) {
    status = open_segment(s, numbers[i], known, err);
    s->next = numbers[i] + 1;
  }
  free(numbers);
  return status;
}

static hem_status open_catalog(hem__segments *s, hem__known *known, hem_error *err) {
  if (!hem__path_exists(s->path)) return HEM_OK;
  hem_status status = add_open(s, s->path, err);
  if (!status) s->base = hem__catalog_identity(s->open[0]);
  return status ? status : know(s, known, err);
}

hem_status hem__segments_open(const char *catalog, hem__known *known, hem__segments *out, hem_error *err) {
  hem__segments s = {.path = catalog, .next = 1};
  char *left_over = NULL;
  hem_status status = hem__print(&s.folder, err, "%s.segments", catalog);
  if (!status) status = hem__print(&left_over, err, "%s.tmp", catalog);
  if (!status) unlink(left_over);
  if (!status) status = open_catalog(&s, known, err);
  if (!status) status = open_segments(&s, known, err);
  free(left_over);
  if (status) {
    hem__segments_close(&s);
    return status;
  }
  *out = s;
  return HEM_OK;
}

hem_status hem__segments_seal(hem__segments *s, const hem__space *spaces, size_t space_count,
                              const hem__catalog_part *part, const hem__photos *rejected, hem_error *err) {
  char *path = NULL;
  hem_status status = hem__make_folder(s->folder, err);
  if (!status) status = segment_path(s, s->next, &path, err);
  /* One thread: the cores are busy embedding the next batch. */
  hem__catalog_content content = {.spaces = spaces,
                                  .space_count = space_count,
                                  .parts = part,
                                  .part_count = 1,
                                  .rejected = rejected,
                                  .base = &s->base,
                                  .threads = 1};
  if (!status) status = hem__catalog_seal(path, &content, err);
  /* Opened again: what folding will read is what reached the disk. */
  if (!status) status = add_open(s, path, err);
  if (!status) s->next++;
  free(path);
  return status;
}

/* ---- folding: rejections ---- */

/* "<listing>:<line>" of this run's listing, and this run found nothing wrong with that line. */
static bool is_line_mended(const hem__fold *fold, const char *path) {
  size_t length = fold->listing ? strlen(fold->listing) : 0;
  return length && strncmp(path, fold->listing, length) == 0 && path[length] == ':';
}

/* This run came by what was rejected, and found nothing wrong with it. */
static bool is_mended(const hem__fold *fold, const char *path) {
  if (!fold->rejected_now || hem__set_find(fold->rejected_now, path) != SIZE_MAX) return false;
  const hem__known_photo *photo = hem__known_find(fold->known, path);
  return is_line_mended(fold, path) || (photo && photo->listed);
}

/* The photo was embedded since part c rejected it. What one part both holds and rejects was rejected later: no batch
 * does both, so the part is a catalogue, which keeps an old row until there is a better one. */
static bool is_added_since(const hem__known *known, const char *path, size_t c) {
  const hem__known_photo *photo = hem__known_find(known, path);
  return photo && photo->part != UINT32_MAX && photo->part > c;
}

/* Every photo that was rejected and has not been added since: once, in first-seen order, latest reason. */
static hem_status merge_rejections(const hem__segments *s, const hem__fold *fold, hem__photos *out, hem_error *err) {
  hem__set seen = {0};
  hem_status status = HEM_OK;
  for (size_t c = 0; c < s->count && !status; c++) {
    const hem__photos *photos = hem__catalog_photos(s->open[c]);
    for (size_t i = 0; i < photos->rejected_count && !status; i++) {
      const hem__rejection *r = &photos->rejected[i];
      size_t number;
      if (is_added_since(fold->known, r->path, c) || is_mended(fold, r->path)) continue;
      status = hem__set_add(&seen, r->path, &number, err);
      if (status) break;
      if (number == out->rejected_count) {
        status = hem__photos_reject(out, r->path, r->reason, err);
      } else {
        out->rejected[number].reason = r->reason; /* borrowed from a catalogue that stays open meanwhile */
      }
    }
  }
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

/* ---- folding: photos ---- */

/* Runs of rows that are kept: each is a part of the new catalogue. */
typedef struct kept {
  hem__catalog_part *parts;
  hem__matrix *vectors; /* part_count x spaces */
  size_t count, part_capacity, vector_capacity;
  uint64_t rows;
} kept;

static bool is_kept(const hem__fold *fold, const hem__photo *photo, size_t c, size_t row) {
  if (!hem__known_is_newest(fold->known, photo, c, row)) return false;
  return !(fold->drop && fold->drop(fold->context, photo));
}

static hem_status keep_run(kept *k, const hem__catalog *from, size_t first, size_t count, size_t spaces,
                           hem_error *err) {
  hem_status status = hem__grow(&k->parts, &k->part_capacity, k->count + 1, sizeof *k->parts, "segments", err);
  if (!status)
    status = hem__grow(&k->vectors, &k->vector_capacity, (k->count + 1) * spaces, sizeof *k->vectors, "segments", err);
  if (status) return status;
  k->parts[k->count] = (hem__catalog_part){.photos = hem__catalog_photos(from)->at + first, .count = count};
  for (size_t i = 0; i < spaces; i++) {
    hem__matrix all = hem__catalog_matrix(from, i);
    k->vectors[k->count * spaces + i] = (hem__matrix){.at = hem__row(all, first), .rows = count, .dim = all.dim};
  }
  k->count++;
  k->rows += count;
  return HEM_OK;
}

static hem_status keep_rows(kept *k, const hem__fold *fold, const hem__catalog *from, size_t c, hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(from);
  hem_status status = HEM_OK;
  for (size_t i = 0, first = 0; i <= photos->count && !status; i++) {
    if (i < photos->count && is_kept(fold, &photos->at[i], c, i)) continue;
    if (i > first) status = keep_run(k, from, first, i - first, fold->space_count, err);
    first = i + 1;
  }
  return status;
}

static hem_status collect(const hem__segments *s, const hem__fold *fold, kept *k, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t c = 0; c < s->count && !status; c++) {
    for (size_t i = 0; i < fold->space_count && !status; i++)
      status = hem__catalog_check(s->open[c], i, 0, hem__catalog_photos(s->open[c])->count, err);
    if (!status) status = keep_rows(k, fold, s->open[c], c, err);
  }
  /* The arrays have stopped moving. */
  for (size_t p = 0; p < k->count; p++) k->parts[p].vectors = k->vectors + p * fold->space_count;
  return status;
}

/* Ours alone: a folder that holds something else as well stays, with it. */
static hem_status remove_segments(const hem__segments *s, hem_error *err) {
  size_t *numbers = NULL, count = 0;
  hem_status status = list_segments(s, &numbers, &count, err);
  for (size_t i = 0; i < count && !status; i++) {
    char *path = NULL;
    status = segment_path(s, numbers[i], &path, err);
    if (!status && unlink(path) != 0 && errno != ENOENT) status = hem__fail_errno(err, "cannot remove %s", path);
    free(path);
  }
  if (!status && rmdir(s->folder) != 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
    status = hem__fail_errno(err, "cannot remove %s", s->folder);
  free(numbers);
  return status;
}

hem_status hem__segments_fold(hem__segments *s, const hem__fold *fold, uint64_t *rows, hem_error *err) {
  kept k = {0};
  hem__photos rejected = {0};
  hem_status status = know(s, fold->known, err);
  if (!status) status = collect(s, fold, &k, err);
  if (!status) status = merge_rejections(s, fold, &rejected, err);
  hem__catalog_content content = {.spaces = fold->spaces,
                                  .space_count = fold->space_count,
                                  .parts = k.parts,
                                  .part_count = k.count,
                                  .rejected = &rejected,
                                  .progress = fold->progress};
  if (!status) status = hem__catalog_seal(s->path, &content, err);
  if (!status) status = remove_segments(s, err);
  if (!status) *rows = k.rows;
  hem__photos_clear(&rejected);
  free(k.vectors);
  free(k.parts);
  return status;
}

void hem__segments_close(hem__segments *s) {
  for (size_t i = 0; i < s->count; i++) hem__catalog_close(s->open[i]);
  free(s->open);
  free(s->folder);
  *s = (hem__segments){0};
}
