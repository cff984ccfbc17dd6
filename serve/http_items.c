/* What the store holds: itself, items, their photos. Photos are asked for by catalogue row, as hits name them, and only
 * those of the gallery are handed out: a catalogue may hold customers' photos too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/answer_text.h"
#include "serve/http_exchange.h"

static bool take(hem__exchange *x, hem__seat **seat) {
  hem_error err = {0};
  if (!hem__seat_take(x->shared->service->live, seat, &err)) return true;
  hem__exchange_fail(x, 503, &err);
  return false;
}

static void give(hem__exchange *x, hem__seat *seat) { hem__seat_give(x->shared->service->live, seat); }

static void say(hem__exchange *x) {
  x->reply = (hem__reply_head){.status = 200, .type = "application/json", .cache = "no-store"};
}

static bool has_picture(const hem__edition *e, uint64_t row) {
  return e->pictures && row < hem__catalog_photos(e->catalog)->count && hem__pictures_has(e->pictures, row);
}

/* ---- the store ---- */

static void write_categories(hem__text *t, const hem__edition *e) {
  hem__text_open(t, "categories", '[');
  for (size_t i = 0; i < e->info.category_count; i++) {
    const char *name, *kind;
    uint64_t photos;
    hem_engine_category(e->engine, i, &name, &kind, &photos);
    hem__text_open(t, NULL, '{');
    hem__text_string(t, "name", name);
    hem__text_string(t, "index", kind);
    hem__text_integer(t, "photos", photos);
    hem__text_close(t, '}');
  }
  hem__text_close(t, ']');
}

static void write_metric(hem__text *t, const hem_engine_info *info) {
  if (!info->metric) {
    hem__text_string(t, "metric", NULL);
    return;
  }
  hem__text_open(t, "metric", '{');
  hem__text_string(t, "about", info->metric_about);
  hem__text_string(t, "kernel", info->kernel);
  hem__text_real(t, "false_accept", info->false_accept);
  hem__certificate_text(t, "certificate", &info->certificate);
  hem__text_close(t, '}');
}

/* What can be asked of it beside vectors, and why not. */
static void write_abilities(hem__text *t, const hem__edition *e) {
  hem__text_boolean(t, "photos_can_be_asked", e->features != NULL);
  hem__text_string(t, "why_no_photos", e->features ? NULL : e->why_no_photos.message);
  hem__text_boolean(t, "has_catalog", e->catalog != NULL);
  hem__text_string(t, "why_no_catalog", e->catalog ? NULL : e->why_no_catalog.message);
}

/* Photos to try, from all over the gallery. */
static void write_examples(hem__text *t, const hem__edition *e) {
  enum { EXAMPLES = 6 };
  const hem__gallery *g = &e->engine->gallery;
  size_t count = hem__min(EXAMPLES, g->photos);
  hem__text_open(t, "examples", '[');
  for (size_t i = 0; i < count; i++) {
    size_t photo = (2 * i + 1) * g->photos / (2 * count); /* of fewer than 2^32 */
    if (!has_picture(e, g->row[photo])) continue;
    hem__text_open(t, NULL, '{');
    hem__text_string(t, "item_id", g->text + g->item_id[g->item_of[photo]]);
    hem__text_integer(t, "row", g->row[photo]);
    hem__text_close(t, '}');
  }
  hem__text_close(t, ']');
}

void hem__answer_info(hem__exchange *x) {
  hem__text *t = &x->text;
  hem__seat *seat;
  if (!take(x, &seat)) return;
  const hem_engine_info *info = &seat->edition->info;
  hem__text_open(t, NULL, '{');
  hem__text_string(t, "version", hem_version());
  hem__text_string(t, "generation", info->generation);
  hem__text_string(t, "space", info->space);
  hem__text_string(t, "space_hash", info->space_hash);
  hem__text_integer(t, "dim", info->dim);
  hem__text_string(t, "distance", hem_distance_name(info->distance));
  hem__text_integer(t, "gallery_photos", info->photos);
  hem__text_integer(t, "gallery_items", info->items);
  write_categories(t, seat->edition);
  write_metric(t, info);
  write_abilities(t, seat->edition);
  write_examples(t, seat->edition);
  hem__text_integer(t, "body_bytes_max", x->shared->options.body_bytes_max);
  hem__text_integer(t, "batch_max", HEM__HTTP_BATCH_MAX);
  hem__text_close(t, '}');
  give(x, seat);
  say(x);
}

/* ---- an item ---- */

/* Ids are in byte order. SIZE_MAX: there is none such. */
static size_t find_item(const hem__gallery *g, const char *id) {
  size_t low = 0, high = g->items;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(g->text + g->item_id[middle], id);
    if (order == 0) return middle;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return SIZE_MAX;
}

static const char *category_of(const hem_engine *engine, size_t photo) {
  for (size_t i = 0; i < engine->generation.manifest.category_count; i++) {
    const hem__generation_category *c = &engine->generation.manifest.categories[i];
    if (photo >= c->first && photo - c->first < c->photos) return c->name;
  }
  return NULL;
}

static void write_photo(hem__text *t, const hem__edition *e, size_t photo) {
  const hem__gallery *g = &e->engine->gallery;
  char image[40];
  snprintf(image, sizeof image, "/v1/images/%llu", (unsigned long long)g->row[photo]);
  hem__text_open(t, NULL, '{');
  hem__text_integer(t, "row", g->row[photo]);
  hem__text_string(t, "category", category_of(e->engine, photo));
  hem__text_string(t, "label", g->text + g->label[photo]);
  hem__text_string(t, "path", g->text + g->path[photo]);
  hem__text_string(t, "image", has_picture(e, g->row[photo]) ? image : NULL);
  hem__text_close(t, '}');
}

void hem__answer_item(hem__exchange *x) {
  hem__text *t = &x->text;
  hem__seat *seat;
  if (!take(x, &seat)) return;
  const hem__gallery *g = &seat->edition->engine->gallery;
  size_t item = find_item(g, x->rest);
  if (item == SIZE_MAX) {
    give(x, seat);
    hem__exchange_refuse(x, 404, "HEM_ENOTFOUND", "there is no item %.128s in the gallery", x->rest);
    return;
  }
  hem__text_open(t, NULL, '{');
  hem__text_string(t, "item_id", x->rest);
  hem__text_string(t, "generation", seat->edition->info.generation);
  hem__text_open(t, "photos", '[');
  for (size_t i = 0; i < g->photos; i++)
    if (g->item_of[i] == item) write_photo(t, seat->edition, i);
  hem__text_close(t, ']');
  hem__text_close(t, '}');
  give(x, seat);
  say(x);
}

/* ---- a photo ---- */

static bool in_gallery(const hem__gallery *g, uint64_t row) {
  for (size_t i = 0; i < g->photos; i++)
    if (g->row[i] == row) return true;
  return false;
}

/* SIZE_MAX: not a row of the gallery. */
static size_t parse_row(const hem__edition *e, const char *text) {
  size_t digits = strspn(text, "0123456789");
  if (!digits || digits > 15 || text[digits]) return SIZE_MAX;
  uint64_t row = strtoull(text, NULL, 10);
  return in_gallery(&e->engine->gallery, row) ? row : SIZE_MAX;
}

static void send_picture(hem__exchange *x, const hem__edition *e, size_t row) {
  hem__reply_head head = {.status = 200, .cache = "private, no-cache"};
  char hex[65];
  hem_error err = {0};
  hem__digest_hex(&hem__catalog_photos(e->catalog)->at[row].source, hex);
  snprintf(head.etag, sizeof head.etag, "\"%s\"", hex);
  /* What is sent under this name is checked against it: who has it, has it. */
  if (x->head.if_none_match && strstr(x->head.if_none_match, head.etag)) {
    head.status = 304;
    x->reply = head;
    return;
  }
  hem_status status = hem__pictures_bytes(e->pictures, row, &x->owned, &x->byte_count, &head.type, &err);
  if (status) {
    hem__exchange_fail(x, status == HEM_EMISMATCH || status == HEM_ENOTFOUND ? 404 : hem__http_status(status, false),
                       &err);
    return;
  }
  x->bytes = x->owned;
  x->reply = head;
}

void hem__answer_image(hem__exchange *x) {
  hem__seat *seat;
  if (!take(x, &seat)) return;
  const hem__edition *e = seat->edition;
  size_t row = parse_row(e, x->rest);
  if (row == SIZE_MAX) {
    hem__exchange_refuse(x, 404, "HEM_ENOTFOUND", "%.64s is not the row of a photo in the gallery", x->rest);
  } else if (!e->pictures) {
    hem__exchange_refuse(x, 404, "HEM_ENOTFOUND", "photos need the catalogue: %s", e->why_no_catalog.message);
  } else if (!has_picture(e, row)) {
    hem__exchange_refuse(x, 404, "HEM_ENOTFOUND", "row %zu is no photo in a file of its own", row);
  } else {
    send_picture(x, e, row);
  }
  give(x, seat);
}
