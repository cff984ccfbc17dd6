/* `hemline delete`: a catalogue without some of its photos. Sealed files never change, so this folds the catalogue (and
 * what an unfinished ingest left beside it) into a new one and leaves rows out. */
#include <stdlib.h>

#include "base/file.h"
#include "ingest/segments.h"

typedef struct names {
  hem__set set;
  bool *found; /* by number in the set */
} names;

typedef struct deletion {
  hem_delete_options options;
  char *catalog; /* its real path */
  hem__segments segments;
  hem__known known;
  names items, paths;
  hem_delete_result result;
} deletion;

static hem_status open_names(const char *const *at, size_t count, names *out, hem_error *err) {
  if (count && !at) return hem__fail(err, HEM_EINVAL, "hem_delete: %zu names and no list", count);
  for (size_t i = 0; i < count; i++)
    if (!at[i]) return hem__fail(err, HEM_EINVAL, "hem_delete: name %zu of %zu is NULL", i, count);
  hem_status status = hem__alloc(count, sizeof *out->found, "names", &out->found, err);
  for (size_t i = 0; i < count && !status; i++) status = hem__set_add(&out->set, at[i], NULL, err);
  return status;
}

static void close_names(names *n) {
  hem__set_clear(&n->set);
  free(n->found);
}

static bool find(names *n, const char *name) {
  size_t number = hem__set_find(&n->set, name);
  if (number != SIZE_MAX) n->found[number] = true;
  return number != SIZE_MAX;
}

static bool is_deleted(void *context, const hem__photo *photo) {
  deletion *d = context;
  bool item = find(&d->items, photo->item_id), path = find(&d->paths, photo->path);
  return item || path;
}

/* Counts beforehand: a catalogue that holds none of them is not written anew. */
static void count(deletion *d) {
  for (size_t c = 0; c < d->segments.count; c++) {
    const hem__photos *photos = hem__catalog_photos(d->segments.open[c]);
    for (size_t i = 0; i < photos->count; i++) {
      bool newest = hem__known_is_newest(&d->known, &photos->at[i], c, i);
      d->result.deleted += newest && is_deleted(d, &photos->at[i]);
    }
  }
  d->result.rows = d->known.count - d->result.deleted;
  for (size_t i = 0; i < d->items.set.count; i++) d->result.missing += !d->items.found[i];
  for (size_t i = 0; i < d->paths.set.count; i++) d->result.missing += !d->paths.found[i];
}

static hem_status open_all(deletion *d, hem_error *err) {
  const hem_delete_options *o = &d->options;
  if (o->item_count == 0 && o->path_count == 0) return hem__fail(err, HEM_EINVAL, "name the items or photos to delete");
  hem_status status = open_names(o->items, o->item_count, &d->items, err);
  if (!status) status = open_names(o->paths, o->path_count, &d->paths, err);
  if (!status) status = hem__segments_open(d->catalog, &d->known, &d->segments, err);
  if (!status && d->segments.count == 0) status = hem__fail(err, HEM_ENOTFOUND, "%s: no such catalogue", d->catalog);
  return status;
}

/* A new catalogue without what `drop` names. */
static hem_status fold(deletion *d, bool (*drop)(void *, const hem__photo *), hem_error *err) {
  const hem__catalog *first = d->segments.open[0];
  hem__space spaces[HEM__SPACES_MAX];
  size_t space_count = hem__catalog_space_count(first);
  for (size_t i = 0; i < space_count; i++) spaces[i] = *hem__catalog_space(first, i);
  hem__fold f = {.spaces = spaces,
                 .space_count = space_count,
                 .known = &d->known,
                 .drop = drop,
                 .context = d,
                 .progress = d->options.progress};
  return hem__segments_fold(&d->segments, &f, &d->result.rows, err);
}

/* What an unfinished ingest left is folded in first: were it left behind by a kill, together with a catalogue that
 * lacks its deleted photos, they would come back. */
static hem_status fold_segments(deletion *d, hem_error *err) {
  if (!hem__path_exists(d->segments.folder)) return HEM_OK;
  hem_status status = fold(d, NULL, err);
  hem__segments_close(&d->segments);
  hem__known_clear(&d->known);
  return status ? status : hem__segments_open(d->catalog, &d->known, &d->segments, err);
}

hem_status hem_delete(const hem_delete_options *options, hem_delete_result *result, hem_error *err) {
  deletion d = {0};
  hem__lock lock = {.fd = -1};
  hem_status status = hem__options_copy(&d.options, sizeof d.options, options, "hem_delete_options", err);
  if (!status && !d.options.catalog) status = hem__fail(err, HEM_EINVAL, "name the catalogue to delete from");
  if (!status) status = hem__segments_lock(d.options.catalog, &d.catalog, &lock, err);
  if (!status) status = open_all(&d, err);
  if (!status) count(&d);
  if (!status && d.result.deleted) status = fold_segments(&d, err);
  if (!status && d.result.deleted) status = fold(&d, is_deleted, err);
  if (!status && result) *result = d.result;
  hem__segments_close(&d.segments);
  hem__known_clear(&d.known);
  close_names(&d.items);
  close_names(&d.paths);
  free(d.catalog);
  hem__lock_drop(&lock);
  return status;
}
