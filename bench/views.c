/* Photos that get views, and those that only need a file, are dealt into units of work: a large photo by itself, small
 * ones by the hundred. Every unit writes its files; each view's dice start from seed, item and number, so that the
 * order of work does not matter. The listing is written last: a folder with one is whole. */
#include "bench/views.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "base/threads.h"
#include "bench/view.h"
#include "ingest/pictures.h"
#include "metric/metric.h"

enum {
  EACH = 4,
  EACH_MAX = 1000,
  SIDE = 300,  /* of a view: DeepFashion's photos */
  SMALL = 64,  /* photos of at most so many pixels a side share a file */
  ACROSS = 10, /* so many side by side in it */
  POOL = 192,  /* photos that serve as scenes */
  SCENE_TRIES = 16,
  PORTION = 64 /* units between two reports */
};

/* A shop photo. */
typedef struct subject {
  size_t row;    /* of the catalogue */
  size_t number; /* among the photos of its item */
  size_t unit, place;
  bool viewed, listed;
} subject;

typedef struct unit {
  size_t first, count; /* of making.order */
  size_t cell_width, cell_height;
  hem_error error; /* code not HEM_OK: it could not be written */
} unit;

typedef struct making {
  const hem__photos *photos;
  const hem__views_options *options;
  hem__pictures *pictures;
  size_t each;
  double strength;
  subject *subjects;
  size_t count;
  size_t *order; /* subjects that need files, unit by unit */
  size_t order_count;
  unit *units;
  size_t unit_count, first_unit, done;
  hem__image pool[POOL];
  size_t pool_rows[POOL], pool_count;
  hem_error *problems; /* by place in `order`: why its picture cannot be read */
} making;

/* ---- who gets views ---- */

static const hem__photo *photo_of(const making *m, size_t i) { return &m->photos->at[m->subjects[i].row]; }

static size_t width_of(const hem__photo *p) { return p->box.width && !p->box.unit ? (size_t)p->box.width : p->width; }
static size_t height_of(const hem__photo *p) {
  return p->box.height && !p->box.unit ? (size_t)p->box.height : p->height;
}

static bool is_small(const hem__photo *photo) {
  return photo->width && width_of(photo) <= SMALL && height_of(photo) <= SMALL;
}

/* Lines and columns of a listing end where such a name does. */
static bool can_be_listed(const hem__photo *photo) {
  return !strpbrk(photo->path, "\t\n\r") && !strpbrk(photo->item_id, "\t\n\r") && !strpbrk(photo->category, "\t\n\r") &&
         !strpbrk(photo->label, "\t\n\r");
}

static bool has_own_file(const hem__photo *photo) { return hem__path_exists(photo->path); }

static void keep_viewed(making *m) {
  size_t kept = 0;
  for (size_t i = 0; i < m->count; i++)
    if (m->subjects[i].viewed) m->subjects[kept++] = m->subjects[i];
  m->count = kept;
}

static hem_status list_subjects(making *m, hem_error *err) {
  size_t limit = m->options->limit, *seen = NULL, capacity = 0;
  hem__set items = {0};
  hem_status status = hem__alloc(m->photos->count, sizeof *m->subjects, "photos", &m->subjects, err);
  for (size_t i = 0; !status && i < m->photos->count; i++) {
    size_t item, before = items.count;
    if (m->photos->at[i].domain != HEM__SHOP) continue;
    status = hem__set_add(&items, m->photos->at[i].item_id, &item, err);
    if (!status) status = hem__grow(&seen, &capacity, item + 1, sizeof *seen, "items", err);
    if (status) break;
    if (item == before) seen[item] = 0;
    m->subjects[m->count++] =
        (subject){.row = i,
                  .number = seen[item]++,
                  .listed = hem__pictures_has(m->pictures, i) && can_be_listed(&m->photos->at[i])};
  }
  if (!limit || limit > m->count) limit = m->count;
  for (size_t i = 0; i < limit; i++) m->subjects[i * m->count / limit].viewed = true;
  if (m->options->only_viewed) keep_viewed(m);
  hem__set_clear(&items);
  free(seen);
  return status;
}

/* ---- units ---- */

/* Those that get views, or those that only lack a file of their own. */
static void deal(making *m, bool viewed, bool small) {
  size_t most = small ? (size_t)ACROSS * ACROSS : 1;
  unit *u = NULL;
  for (size_t i = 0; i < m->count; i++) {
    subject *s = &m->subjects[i];
    if (!s->listed || s->viewed != viewed || is_small(photo_of(m, i)) != small) continue;
    if (!viewed && has_own_file(photo_of(m, i))) continue;
    if (!u || u->count == most) {
      u = &m->units[m->unit_count++];
      *u = (unit){.first = m->order_count};
    }
    s->unit = m->unit_count - 1;
    s->place = u->count++;
    u->cell_width = hem__max(u->cell_width, width_of(photo_of(m, i)));
    u->cell_height = hem__max(u->cell_height, height_of(photo_of(m, i)));
    m->order[m->order_count++] = i;
  }
}

static hem_status deal_all(making *m, hem_error *err) {
  hem_status status = hem__alloc(m->count, sizeof *m->order, "photos", &m->order, err);
  if (!status) status = hem__alloc(m->count, sizeof *m->units, "photos", &m->units, err);
  if (!status) status = hem__alloc(m->count, sizeof *m->problems, "photos", &m->problems, err);
  for (size_t i = 0; !status && i < m->count; i++) m->subjects[i].unit = SIZE_MAX;
  if (status) return status;
  deal(m, true, false);
  deal(m, true, true);
  deal(m, false, false);
  deal(m, false, true);
  return HEM_OK;
}

/* ---- scenes ---- */

static void read_scene(void *context, size_t i, size_t worker) {
  making *m = context;
  hem__image whole = {0};
  hem_error why;
  (void)worker;
  if (hem__pictures_read(m->pictures, m->pool_rows[i], &whole, &why)) return;
  size_t longer = hem__max(whole.width, whole.height), side = hem__min(longer, SIDE);
  if (hem__image_resize(&whole, hem__max(1, whole.width * side / longer), hem__max(1, whole.height * side / longer),
                        &m->pool[i], &why))
    m->pool[i] = (hem__image){0};
  hem__image_clear(&whole);
}

static hem_status read_scenes(making *m, hem_error *err) {
  size_t there = 0, taken = 0, kept = 0;
  for (size_t i = 0; i < m->count; i++) there += m->subjects[i].listed;
  size_t wanted = hem__min(there, POOL);
  for (size_t i = 0; i < m->count && wanted; i++) {
    if (!m->subjects[i].listed) continue;
    if (taken * wanted / there < (taken + 1) * wanted / there) m->pool_rows[m->pool_count++] = m->subjects[i].row;
    taken++;
  }
  hem_status status = hem__parallel_for(m->pool_count, m->options->threads, read_scene, m, err);
  for (size_t i = 0; i < m->pool_count; i++) {
    if (!m->pool[i].at) continue;
    m->pool_rows[kept] = m->pool_rows[i];
    m->pool[kept++] = m->pool[i];
  }
  for (size_t i = kept; i < m->pool_count; i++) m->pool[i] = (hem__image){0};
  m->pool_count = kept;
  if (!status && !kept)
    status = hem__fail(err, HEM_ENOTFOUND,
                       "no picture of a shop photo can be read: put the files where they were ingested from, and name "
                       "the folder of idx files (--idx)");
  return status;
}

/* Of another category where the catalogue has several, of another item at least. */
static const hem__image *choose_scene(const making *m, hem__dice *dice, const hem__photo *garment) {
  size_t scene_number = 0;
  for (size_t i = 0; i < SCENE_TRIES; i++) {
    scene_number = (size_t)(hem__dice_next(dice) % m->pool_count);
    const hem__photo *scene = &m->photos->at[m->pool_rows[scene_number]];
    if (i < SCENE_TRIES / 2 && !strcmp(scene->category, garment->category)) continue;
    if (strcmp(scene->item_id, garment->item_id) != 0) break;
  }
  return &m->pool[scene_number];
}

/* ---- one unit ---- */

static hem_status save(const char *path, const uint8_t *bytes, size_t size, hem_error *err) {
  FILE *file = fopen(path, "wbe");
  if (!file) return hem__fail_errno(err, "cannot write %s", path);
  bool bad = fwrite(bytes, 1, size, file) != size;
  bad |= fclose(file) != 0;
  return bad ? hem__fail_errno(err, "cannot write %s", path) : HEM_OK;
}

/* "FOLDER/shop-00012.png", "FOLDER/view-00012-3.jpg". */
static void name_file(const making *m, size_t u, size_t view, char *out, size_t room) {
  if (view)
    snprintf(out, room, "view-%06zu-%zu.%s", u, view,
             is_small(photo_of(m, m->order[m->units[u].first])) ? "png" : "jpg");
  else
    snprintf(out, room, "shop-%06zu.png", u);
}

static hem_status save_image(const making *m, size_t u, size_t view, const hem__image *image, int quality,
                             hem_error *err) {
  char name[64], *path = NULL;
  uint8_t *bytes = NULL;
  size_t size = 0;
  name_file(m, u, view, name, sizeof name);
  hem_status status = hem__print(&path, err, "%s/%s", m->options->folder, name);
  if (!status)
    status = strstr(name, ".jpg") ? hem__image_jpeg(image, quality, &bytes, &size, err)
                                  : hem__image_png(image, &bytes, &size, err);
  if (!status) status = save(path, bytes, size, err);
  free(bytes);
  free(path);
  return status;
}

static hem__dice dice_of(const making *m, const subject *s, size_t view) {
  hem__dice dice = {.state = m->options->seed};
  dice.state ^= hem__dice_next(&dice) + hem__item_key(m->photos->at[s->row].item_id);
  dice.state ^= hem__dice_next(&dice) + s->number;
  dice.state ^= hem__dice_next(&dice) + view;
  return dice;
}

static hem_status view_of(const making *m, const subject *s, size_t view, const hem__image *garment, hem__image *out,
                          int *quality, hem_error *err) {
  const hem__photo *photo = &m->photos->at[s->row];
  hem__dice dice = dice_of(m, s, view);
  size_t longer = hem__max(garment->width, garment->height);
  hem__view_order order = {.garment = garment,
                           .scene = choose_scene(m, &dice, photo),
                           .front = choose_scene(m, &dice, photo),
                           .side = is_small(photo) ? longer : SIDE,
                           .strength = m->strength,
                           .dice = &dice};
  *quality = (int)(92 - hem__dice_between(&dice, 0, 25) * m->strength);
  return hem__view_make(&order, out, err);
}

/* A view need not have its photo's shape: it is stretched into its cell. */
static hem_status put_into(const hem__image *sheet, const unit *u, size_t place, const hem__image *picture,
                           bool stretch, hem_error *err) {
  hem__image fitted = {0};
  size_t left = place % ACROSS * u->cell_width, top = place / ACROSS * u->cell_height;
  hem_status status = HEM_OK;
  if (stretch && (picture->width != u->cell_width || picture->height != u->cell_height)) {
    status = hem__image_resize(picture, u->cell_width, u->cell_height, &fitted, err);
    picture = &fitted;
  }
  size_t width = hem__min(picture->width, u->cell_width), height = hem__min(picture->height, u->cell_height);
  for (size_t y = 0; !status && y < height; y++)
    memcpy(sheet->at + 3 * ((top + y) * sheet->width + left), picture->at + 3 * y * picture->width, 3 * width);
  hem__image_clear(&fitted);
  return status;
}

static hem_status new_sheet(const unit *u, hem__image *out, hem_error *err) {
  size_t rows = (u->count + ACROSS - 1) / ACROSS;
  hem_status status = hem__image_new(u->cell_width * ACROSS, u->cell_height * rows, out, err);
  if (!status) memset(out->at, 255, 3 * out->width * out->height);
  return status;
}

/* One picture with one view of each photo of the unit; view 0 is the photo itself. */
static hem_status make_sheet(const making *m, size_t number, const hem__image *garments, size_t view, hem_error *err) {
  const unit *u = &m->units[number];
  hem__image sheet = {0};
  hem_status status = new_sheet(u, &sheet, err);
  for (size_t i = 0; i < u->count && !status; i++) {
    hem__image made = {0};
    int quality;
    if (!garments[i].at) continue;
    if (view) status = view_of(m, &m->subjects[m->order[u->first + i]], view, &garments[i], &made, &quality, err);
    if (!status) status = put_into(&sheet, u, i, view ? &made : &garments[i], view > 0, err);
    hem__image_clear(&made);
  }
  if (!status) status = save_image(m, number, view, &sheet, 0, err);
  hem__image_clear(&sheet);
  return status;
}

static hem_status make_single(const making *m, size_t number, const hem__image *garment, size_t view, hem_error *err) {
  const subject *s = &m->subjects[m->order[m->units[number].first]];
  hem__image made = {0};
  int quality = 0;
  if (!garment->at) return HEM_OK;
  if (!view) return save_image(m, number, view, garment, 0, err);
  hem_status status = view_of(m, s, view, garment, &made, &quality, err);
  if (!status) status = save_image(m, number, view, &made, quality, err);
  hem__image_clear(&made);
  return status;
}

static hem_status make_files(making *m, size_t number, hem__image *garments, hem_error *err) {
  const unit *u = &m->units[number];
  hem_status status = HEM_OK;
  bool shared = false, loose = false; /* do any lack a file of their own? */
  for (size_t i = 0; i < u->count; i++) {
    size_t at = u->first + i, s = m->order[at];
    hem__pictures_read(m->pictures, m->subjects[s].row, &garments[i], &m->problems[at]);
    loose |= !has_own_file(photo_of(m, s));
    shared |= is_small(photo_of(m, s));
  }
  size_t views = m->subjects[m->order[u->first]].viewed ? m->each : 0;
  for (size_t view = loose ? 0 : 1; view <= views && !status; view++)
    status = shared ? make_sheet(m, number, garments, view, err) : make_single(m, number, garments, view, err);
  return status;
}

static void make_unit(void *context, size_t i, size_t worker) {
  making *m = context;
  unit *u = &m->units[m->first_unit + i];
  hem__image *garments = NULL;
  (void)worker;
  hem_status status = hem__alloc(u->count, sizeof *garments, "photos", &garments, &u->error);
  if (!status) status = make_files(m, m->first_unit + i, garments, &u->error);
  for (size_t j = 0; garments && j < u->count; j++) hem__image_clear(&garments[j]);
  free(garments);
  if (!status) u->error.code = HEM_OK;
}

static hem_status make_all(making *m, hem_error *err) {
  hem_status status = HEM_OK;
  for (m->first_unit = 0; m->first_unit < m->unit_count && !status; m->first_unit += PORTION) {
    size_t count = hem__min(PORTION, m->unit_count - m->first_unit);
    status = hem__parallel_for(count, m->options->threads, make_unit, m, err);
    for (size_t i = 0; i < count && !status; i++) {
      const unit *u = &m->units[m->first_unit + i];
      m->done += u->count;
      if (u->error.code) status = hem__fail(err, u->error.code, "%s", u->error.message);
    }
    if (!status) status = hem__progress_report(&m->options->progress, "views", m->done, m->order_count, "photos", err);
  }
  return status;
}

/* ---- the listing ---- */

static hem__split split_of(const hem__photo *photo) {
  static const hem__split parts[] = {HEM__TRAIN, HEM__TRAIN, HEM__TRAIN, HEM__VALIDATION, HEM__TEST};
  return parts[hem__item_key(photo->item_id) % (sizeof parts / sizeof *parts)];
}

static void put_facts(FILE *out, const hem__photo *photo, hem__domain domain, hem__split split) {
  fprintf(out, "\t%s\t%s\t%s\t%s\t%s\t", photo->item_id, photo->category, hem__domain_names[domain],
          hem__split_names[split], photo->label);
}

static void put_box(FILE *out, hem__box box) {
  if (!box.width) {
    fputc('\n', out);
  } else if (box.unit == HEM__MILLIONTHS) {
    fprintf(out, "%.6f,%.6f,%.6f,%.6f\n", box.x / 1e6, box.y / 1e6, box.width / 1e6, box.height / 1e6);
  } else {
    fprintf(out, "%d,%d,%d,%d\n", box.x, box.y, box.width, box.height);
  }
}

/* Where a photo lies in its unit's picture. */
static hem__box cell_of(const making *m, const subject *s, bool view) {
  const hem__photo *photo = &m->photos->at[s->row];
  const unit *u = &m->units[s->unit];
  if (!is_small(photo)) return (hem__box){0};
  return (hem__box){.x = (int32_t)(s->place % ACROSS * u->cell_width),
                    .y = (int32_t)(s->place / ACROSS * u->cell_height),
                    .width = (int32_t)(view ? u->cell_width : width_of(photo)),
                    .height = (int32_t)(view ? u->cell_height : height_of(photo))};
}

static void put_subject(const making *m, FILE *out, const subject *s, bool item_viewed) {
  const hem__photo *photo = &m->photos->at[s->row];
  hem__split split = item_viewed ? split_of(photo) : HEM__NO_SPLIT;
  char name[64];
  if (has_own_file(photo)) {
    fputs(photo->path, out);
    put_facts(out, photo, HEM__SHOP, split);
    put_box(out, photo->box);
  } else {
    name_file(m, s->unit, 0, name, sizeof name);
    fputs(name, out);
    put_facts(out, photo, HEM__SHOP, split);
    put_box(out, cell_of(m, s, false));
  }
  for (size_t view = 1; s->viewed && view <= m->each; view++) {
    name_file(m, s->unit, view, name, sizeof name);
    fputs(name, out);
    put_facts(out, photo, HEM__CONSUMER, split);
    put_box(out, cell_of(m, s, true));
  }
}

static hem_status publish(const making *m, const char *text, size_t size, hem_error *err) {
  char *path = NULL;
  hem__aside *file = NULL;
  hem_status status = hem__print(&path, err, "%s/manifest.tsv", m->options->folder);
  if (!status) status = hem__aside_new(path, &file, err);
  if (!status) status = hem__aside_write(file, text, size, err);
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
  hem__aside_free(file);
  free(path);
  return status;
}

/* What could not be read is left out. */
static void count_result(making *m, hem__views_result *out) {
  *out = (hem__views_result){0};
  for (size_t i = 0; i < m->order_count; i++)
    if (m->problems[i].code) {
      m->subjects[m->order[i]].listed = false;
      out->why = m->problems[i];
    }
  for (size_t i = 0; i < m->count; i++) {
    const subject *s = &m->subjects[i];
    out->photos += s->listed;
    out->left_out += !s->listed;
    out->viewed += s->listed && s->viewed;
    if (s->listed && s->viewed) out->views += m->each;
  }
}

static hem_status write_listing(making *m, hem__views_result *out, hem_error *err) {
  char *text = NULL;
  size_t size = 0;
  hem__set viewed = {0};
  FILE *listing = open_memstream(&text, &size);
  if (!listing) return hem__fail(err, HEM_ENOMEM, "no memory for a listing");
  hem_status status = HEM_OK;
  count_result(m, out);
  for (size_t i = 0; i < m->count && !status; i++) {
    size_t number, before = viewed.count;
    if (!m->subjects[i].listed || !m->subjects[i].viewed) continue;
    status = hem__set_add(&viewed, photo_of(m, i)->item_id, &number, err);
    if (!status && viewed.count > before) out->items[split_of(photo_of(m, i))]++;
  }
  fputs("path\titem_id\tcategory\tdomain\tsplit\tlabel\tbox\n", listing);
  for (size_t i = 0; i < m->count && !status; i++)
    if (m->subjects[i].listed)
      put_subject(m, listing, &m->subjects[i], hem__set_find(&viewed, photo_of(m, i)->item_id) != SIZE_MAX);
  bool bad = ferror(listing);
  bad |= fclose(listing) != 0;
  if (!status && bad) status = hem__fail(err, HEM_ENOMEM, "no memory for a listing");
  if (!status) status = publish(m, text, size, err);
  hem__set_clear(&viewed);
  free(text);
  return status;
}

/* ---- the run ---- */

static void clear(making *m) {
  hem__pictures_close(m->pictures);
  for (size_t i = 0; i < m->pool_count; i++) hem__image_clear(&m->pool[i]);
  free(m->subjects);
  free(m->order);
  free(m->units);
  free(m->problems);
  free(m);
}

hem_status hem__views_make(const hem__catalog *catalog, const hem__views_options *options, hem__views_result *out,
                           hem_error *err) {
  making *m = NULL;
  hem__views_result result = {0};
  if (options->each > EACH_MAX || !(options->strength >= 0 && options->strength <= 2))
    return hem__fail(err, HEM_EINVAL, "a photo gets 1 to %d views, of a strength from 0 to 2", EACH_MAX);
  hem_status status = hem__alloc(1, sizeof *m, "views", &m, err);
  if (status) return status;
  m->photos = hem__catalog_photos(catalog);
  m->options = options;
  m->each = options->each ? options->each : EACH;
  m->strength = options->strength > 0 ? options->strength : 1;
  status = hem__make_folder(options->folder, err);
  if (!status) status = hem__pictures_open(catalog, options->idx, &m->pictures, err);
  if (!status) status = list_subjects(m, err);
  if (!status) status = deal_all(m, err);
  if (!status) status = read_scenes(m, err);
  if (!status) status = make_all(m, err);
  if (!status) status = write_listing(m, &result, err);
  clear(m);
  if (!status) *out = result;
  return status;
}
