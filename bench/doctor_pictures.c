/* Reads every photo once, keeps a look of it, and groups those that are copies of one picture. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "bench/doctor.h"

typedef enum sight { UNSEEN, SEEN, GONE, CHANGED, UNREADABLE } sight;

typedef struct looking {
  hem__doctor_run *run;
  size_t first;
  uint8_t *sights;  /* by row */
  char **reasons;   /* by row: why it cannot be read, freed with free(); NULL: no memory for it */
  hem__look *looks; /* of the pictures seen, in row order */
  uint32_t *rows;   /* likewise */
  uint64_t *hashes; /* likewise */
  size_t seen;
  pthread_mutex_t lock; /* guards run->alike while pictures are compared; nothing is called under it */
} looking;

/* ---- reading ---- */

static void look_at(void *context, size_t i, size_t worker) {
  looking *l = context;
  size_t row = l->first + i;
  hem__image image = {0};
  hem_error why = {0};
  (void)worker;
  if (!hem__pictures_has(l->run->pictures, row)) return;
  hem_status status = hem__pictures_read(l->run->pictures, row, &image, &why);
  if (!status) status = hem__look_of(&image, &l->looks[row], &why);
  l->sights[row] = status == HEM_OK             ? SEEN
                   : status == HEM_ENOTFOUND    ? GONE
                   : status == HEM_EMISMATCH    ? CHANGED
                   : status == HEM_EUNSUPPORTED ? UNSEEN /* it was a photo once: this build has no libvips */
                                                : UNREADABLE;
  if (l->sights[row] == UNREADABLE) l->reasons[row] = strdup(why.message);
  hem__image_clear(&image);
}

/* Each sight's finding, and the looks moved together. */
static hem_status sort_sights(looking *l, hem_error *err) {
  static const hem__ailment kinds[] = {[GONE] = HEM__GONE, [CHANGED] = HEM__CHANGED, [UNREADABLE] = HEM__UNREADABLE};
  hem_status status = HEM_OK;
  for (size_t row = 0; row < l->run->photos->count && !status; row++) {
    const char *reason = l->reasons[row] ? l->reasons[row] : "";
    if (l->sights[row] == UNSEEN) {
      l->run->found.without_picture++;
    } else if (l->sights[row] != SEEN) {
      status = hem__doctor_find_one(l->run, kinds[l->sights[row]], row, 0, reason, err);
    } else {
      l->rows[l->seen] = (uint32_t)row;
      l->hashes[l->seen] = l->looks[row].hash;
      l->looks[l->seen++] = l->looks[row];
      if (l->looks[row].blank) status = hem__doctor_find_one(l->run, HEM__BLANK, row, 0, "", err);
    }
  }
  l->run->found.pictures = l->seen;
  return status;
}

/* ---- grouping: the root of a group is its first row ---- */

static uint32_t root_of(uint32_t *alike, uint32_t row) {
  while (alike[row] != row) row = alike[row] = alike[alike[row]];
  return row;
}

static void join(uint32_t *alike, uint32_t a, uint32_t b) {
  a = root_of(alike, a);
  b = root_of(alike, b);
  if (a < b) alike[b] = a;
  if (b < a) alike[a] = b;
}

typedef struct copy {
  const hem__photo *photo;
  uint32_t row;
} copy;

static int by_bytes(const void *a, const void *b) {
  const copy *x = a, *y = b;
  int order = memcmp(&x->photo->source, &y->photo->source, sizeof x->photo->source);
  return order ? order : (x->row > y->row) - (x->row < y->row);
}

static bool same_box(const hem__box *a, const hem__box *b) {
  return a->x == b->x && a->y == b->y && a->width == b->width && a->height == b->height && a->unit == b->unit;
}

/* The same bytes and the same part of them: alike without a look. */
static hem_status join_copies(hem__doctor_run *run, hem_error *err) {
  static const hem__digest unknown = {0};
  copy *copies = NULL;
  hem_status status = hem__alloc(run->photos->count, sizeof *copies, "photos", &copies, err);
  if (status) return status;
  for (size_t i = 0; i < run->photos->count; i++) copies[i] = (copy){&run->photos->at[i], (uint32_t)i};
  if (run->photos->count) qsort(copies, run->photos->count, sizeof *copies, by_bytes);
  for (size_t first = 0, i = 1; i < run->photos->count; i++) {
    const hem__photo *photo = copies[i].photo;
    if (!hem__digest_equal(&photo->source, &copies[first].photo->source)) first = i;
    if (hem__digest_equal(&photo->source, &unknown)) continue;
    for (size_t j = first; j < i; j++)
      if (same_box(&photo->box, &copies[j].photo->box)) {
        join(run->alike, copies[i].row, copies[j].row);
        break; /* the others of this box are joined to that one */
      }
  }
  free(copies);
  return HEM_OK;
}

typedef struct comparing {
  looking *l;
  size_t place;
} comparing;

static void found_alike(void *context, size_t i) {
  comparing *c = context;
  pthread_mutex_lock(&c->l->lock);
  join(c->l->run->alike, c->l->rows[c->place], c->l->rows[c->place + i]);
  pthread_mutex_unlock(&c->l->lock);
}

static void compare(void *context, size_t i, size_t worker) {
  looking *l = context;
  comparing c = {.l = l, .place = l->first + i};
  (void)worker;
  hem__look_scan(l->looks + c.place, l->hashes + c.place, l->seen - c.place, found_alike, &c);
}

/* ---- groups to findings ---- */

/* What the members of a group do not agree on. */
typedef struct discord {
  bool items, categories, domains, splits;
} discord;

static discord discord_of(const hem__photos *photos, const uint32_t *rows, size_t count) {
  discord d = {0};
  uint8_t split = HEM__NO_SPLIT;
  const hem__photo *first = &photos->at[rows[0]];
  for (size_t i = 0; i < count; i++) {
    const hem__photo *photo = &photos->at[rows[i]];
    d.items |= strcmp(photo->item_id, first->item_id) != 0;
    d.categories |= strcmp(photo->category, first->category) != 0;
    d.domains |= photo->domain != first->domain;
    if (photo->split == HEM__NO_SPLIT) continue;
    d.splits |= split != HEM__NO_SPLIT && split != photo->split;
    split = photo->split;
  }
  return d;
}

static hem_status find_group(looking *l, const uint32_t *rows, size_t count, const hem__look *const *looks,
                             hem_error *err) {
  discord d = discord_of(l->run->photos, rows, count);
  hem__ailment kind = d.splits || d.domains ? HEM__LEAK : d.items || d.categories ? HEM__TWO_ITEMS : HEM__DUPLICATE;
  char note[128];
  int length =
      snprintf(note, sizeof note, "%s%s%s%s", d.items ? ", other items" : "", d.categories ? ", other categories" : "",
               d.splits ? ", other splits" : "", d.domains ? ", a customer's and the shop's" : "");
  hem_status status = hem__doctor_find(l->run, kind, 0, length ? note + 2 : "", err);
  for (size_t i = 0; i < count && !status; i++) {
    double difference = looks[0] && looks[i] ? hem__look_difference(looks[0], looks[i]) : 0;
    status = hem__doctor_member(l->run, rows[i], difference, err);
    hem__finding *finding = &l->run->found.findings[l->run->found.finding_count - 1];
    if (difference > finding->measure) finding->measure = difference;
  }
  return status;
}

typedef struct placed {
  uint32_t root, row;
} placed;

static int by_root(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->root != y->root) return x->root < y->root ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static int by_number(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static const hem__look *look_of(const looking *l, uint32_t row) {
  const uint32_t *at = l->seen ? bsearch(&row, l->rows, l->seen, sizeof *l->rows, by_number) : NULL;
  return at ? &l->looks[at - l->rows] : NULL;
}

static hem_status find_groups(looking *l, hem_error *err) {
  size_t photos = l->run->photos->count, count = 0;
  placed *members = NULL;
  uint32_t *rows = NULL;
  const hem__look **looks = NULL;
  hem_status status = hem__alloc(photos, sizeof *members, "photos", &members, err);
  if (!status) status = hem__alloc(photos, sizeof *rows, "photos", &rows, err);
  if (!status) status = hem__alloc(photos, sizeof *looks, "photos", &looks, err);
  if (status) goto exit;
  for (size_t i = 0; i < photos; i++) {
    l->run->alike[i] = root_of(l->run->alike, (uint32_t)i);
    members[i] = (placed){l->run->alike[i], (uint32_t)i};
  }
  if (photos) qsort(members, photos, sizeof *members, by_root);
  for (size_t i = 0; i < photos && !status; i++) {
    rows[count] = members[i].row;
    looks[count++] = look_of(l, members[i].row);
    if (i + 1 < photos && members[i + 1].root == members[i].root) continue;
    if (count > 1) status = find_group(l, rows, count, looks, err);
    count = 0;
  }
exit:
  free(members);
  free(rows);
  free(looks);
  return status;
}

hem_status hem__doctor_look(hem__doctor_run *run, hem_error *err) {
  enum { PHOTOS = 256, PICTURES = 2048 };
  size_t photos = run->photos->count, pictures = run->options.no_pictures ? 0 : photos;
  looking l = {.run = run, .lock = PTHREAD_MUTEX_INITIALIZER};
  for (size_t i = 0; i < photos; i++) run->alike[i] = (uint32_t)i;
  hem_status status = hem__alloc(photos, sizeof *l.sights, "photos", &l.sights, err);
  if (!status) status = hem__alloc(photos, sizeof *l.reasons, "photos", &l.reasons, err);
  if (!status) status = hem__alloc(pictures, sizeof *l.looks, "pictures", &l.looks, err);
  if (!status) status = hem__alloc(pictures, sizeof *l.rows, "pictures", &l.rows, err);
  if (!status) status = hem__alloc(pictures, sizeof *l.hashes, "pictures", &l.hashes, err);
  if (!status && pictures)
    status = hem__doctor_loop(run, &(hem__doctor_steps){"read", pictures, 1, PHOTOS, &l.first, look_at, &l}, err);
  if (!status) status = sort_sights(&l, err);
  if (!status) status = join_copies(run, err);
  if (!status && l.seen)
    status = hem__doctor_loop(run, &(hem__doctor_steps){"copies", l.seen, 1, PICTURES, &l.first, compare, &l}, err);
  if (!status) status = find_groups(&l, err);
  for (size_t i = 0; l.reasons && i < photos; i++) free(l.reasons[i]);
  free(l.reasons);
  free(l.sights);
  free(l.looks);
  free(l.rows);
  free(l.hashes);
  return status;
}
