#include "index/gallery.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Hemline's files are used in place, which wants a little-endian processor"
#endif

static const char magic[8] = "HEMGAL1";

typedef struct header {
  char magic[8];
  uint64_t photos, items, text;
} header;

/* ---- writing ---- */

typedef struct layout {
  uint64_t *path, *label, *item_id;
  uint32_t *item_of;
  const char **items; /* by number */
  size_t item_count;
  uint64_t text; /* bytes so far */
} layout;

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Numbers the items in byte order. */
static hem_status number_items(layout *l, const hem__photos *photos, const uint64_t *order, size_t count,
                               hem_error *err) {
  hem__set numbers = {0};
  uint32_t *rank = NULL;
  hem_status status = hem__alloc(count, sizeof *l->items, "items", &l->items, err);
  for (size_t i = 0; i < count && !status; i++) {
    size_t number, before = numbers.count;
    const char *item = photos->at[order[i]].item_id;
    status = hem__set_add(&numbers, item, &number, err);
    if (!status && numbers.count > before) l->items[number] = item;
  }
  l->item_count = numbers.count;
  if (!status) status = hem__alloc(count, sizeof *rank, "items", &rank, err);
  if (status) goto exit;
  const char **sorted = l->items;
  qsort(sorted, l->item_count, sizeof *sorted, by_text);
  for (size_t i = 0; i < l->item_count; i++) rank[hem__set_find(&numbers, sorted[i])] = (uint32_t)i;
  for (size_t i = 0; i < count; i++) l->item_of[i] = rank[hem__set_find(&numbers, photos->at[order[i]].item_id)];
exit:
  free(rank);
  hem__set_clear(&numbers);
  return status;
}

static uint64_t place(layout *l, const char *text) {
  uint64_t at = l->text;
  l->text += strlen(text) + 1;
  return at;
}

/* Texts lie in the order in which write_texts puts them out. A label equal to the one before is shared. */
static void place_texts(layout *l, const hem__photos *photos, const uint64_t *order, size_t count) {
  for (size_t i = 0; i < l->item_count; i++) l->item_id[i] = place(l, l->items[i]);
  for (size_t i = 0; i < count; i++) {
    const hem__photo *photo = &photos->at[order[i]];
    l->path[i] = place(l, photo->path);
    bool same = i && !strcmp(photo->label, photos->at[order[i - 1]].label);
    l->label[i] = same ? l->label[i - 1] : place(l, photo->label);
  }
}

static hem_status write_texts(const layout *l, hem__aside *file, const hem__photos *photos, const uint64_t *order,
                              size_t count, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < l->item_count && !status; i++)
    status = hem__aside_write(file, l->items[i], strlen(l->items[i]) + 1, err);
  for (size_t i = 0; i < count && !status; i++) {
    const hem__photo *photo = &photos->at[order[i]];
    status = hem__aside_write(file, photo->path, strlen(photo->path) + 1, err);
    if (!status && (i == 0 || l->label[i] != l->label[i - 1]))
      status = hem__aside_write(file, photo->label, strlen(photo->label) + 1, err);
  }
  return status;
}

hem_status hem__gallery_write(hem__aside *file, const hem__photos *photos, const uint64_t *order, size_t count,
                              hem_error *err) {
  layout l = {0};
  if (count > UINT32_MAX) return hem__fail(err, HEM_EUNSUPPORTED, "a gallery holds at most %u photos", UINT32_MAX);
  hem_status status = hem__alloc(count, sizeof *l.path, "a gallery", &l.path, err);
  if (!status) status = hem__alloc(count, sizeof *l.label, "a gallery", &l.label, err);
  if (!status) status = hem__alloc(count, sizeof *l.item_id, "a gallery", &l.item_id, err);
  if (!status) status = hem__alloc(count, sizeof *l.item_of, "a gallery", &l.item_of, err);
  if (!status) status = number_items(&l, photos, order, count, err);
  if (status) goto exit;
  place_texts(&l, photos, order, count);
  header h = {.photos = count, .items = l.item_count, .text = l.text};
  memcpy(h.magic, magic, sizeof magic);
  status = hem__aside_write(file, &h, sizeof h, err);
  if (!status) status = hem__aside_write(file, order, count * sizeof *order, err);
  if (!status) status = hem__aside_write(file, l.path, count * sizeof *l.path, err);
  if (!status) status = hem__aside_write(file, l.label, count * sizeof *l.label, err);
  if (!status) status = hem__aside_write(file, l.item_id, l.item_count * sizeof *l.item_id, err);
  if (!status) status = hem__aside_write(file, l.item_of, count * sizeof *l.item_of, err);
  if (!status) status = hem__aside_pad(file, 8, err);
  if (!status) status = write_texts(&l, file, photos, order, count, err);
exit:
  free(l.path);
  free(l.label);
  free(l.item_id);
  free(l.item_of);
  free(l.items);
  return status;
}

/* ---- reading ---- */

static bool offsets_in(const uint64_t *offsets, size_t count, uint64_t size) {
  for (size_t i = 0; i < count; i++)
    if (offsets[i] >= size) return false;
  return true;
}

static bool numbers_in(const uint32_t *numbers, size_t count, size_t limit) {
  for (size_t i = 0; i < count; i++)
    if (numbers[i] >= limit) return false;
  return true;
}

/* Sizes that cannot overflow below: a photo takes at least 28 bytes, an item 8, a text byte 1. */
static bool header_is_sane(const header *h, size_t size) {
  if (memcmp(h->magic, magic, sizeof magic) != 0) return false;
  if (h->photos > size / 28 || h->items > size / 8 || h->text > size) return false;
  uint64_t item_of = (h->photos * 4 + 7) / 8 * 8;
  return size == sizeof *h + h->photos * 24 + h->items * 8 + item_of + h->text;
}

hem_status hem__gallery_read(const hem__map *map, const char *name, hem__gallery *out, hem_error *err) {
  header h = {0};
  if (map->size >= sizeof h) memcpy(&h, map->at, sizeof h);
  if (!header_is_sane(&h, map->size)) return hem__fail(err, HEM_ECORRUPT, "%s is not a gallery", name);
  hem__gallery g = {.photos = h.photos, .items = h.items};
  g.row = (const uint64_t *)(const void *)(map->at + sizeof h);
  g.path = g.row + h.photos;
  g.label = g.path + h.photos;
  g.item_id = g.label + h.photos;
  g.item_of = (const uint32_t *)(const void *)(g.item_id + h.items);
  g.text = (const char *)map->at + (map->size - h.text);
  bool ends = h.text == 0 ? h.photos == 0 : g.text[h.text - 1] == '\0';
  if (!ends || !offsets_in(g.path, h.photos, h.text) || !offsets_in(g.label, h.photos, h.text) ||
      !offsets_in(g.item_id, h.items, h.text) || !numbers_in(g.item_of, h.photos, h.items))
    return hem__fail(err, HEM_ECORRUPT, "%s contradicts itself", name);
  *out = g;
  return HEM_OK;
}
