#include "bench/sheets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "index/flat.h"
#include "ingest/pictures.h"
#include "metric/score_all.h"
#include "metric/validation.h"

enum { HITS = HEM__SHEET_HITS };

/* What one sheet borrows: the query, the hits, and the right photo that was missed. */
typedef struct hem__sheet_memory {
  hem__image images[HITS + 2];
  char captions[HITS + 2][96];
  hem__sheet_photo hits[HITS];
  char title[256];
  size_t row;    /* the query's */
  uint32_t rank; /* of its nearest right photo */
  bool shown;    /* its photo could be read */
} sheet_memory;

typedef struct making {
  hem__catalog *catalog;
  const hem__photos *photos;
  const hem__accuracy *accuracy;
  const hem__sheets_options *options;
  hem__pictures *pictures;
  hem__matrix vectors;
  size_t offset, dim; /* the approach's part of a vector */
  hem_distance distance;
  size_t cut; /* place in hem__cuts */
  sheet_memory *memory;
  hem__sheet *sheets;
  size_t value, count;
  float **room; /* by worker: two vectors */
} making;

/* ---- which approach ---- */

static hem_status choose_row(const making *m, const hem__accuracy_row **out, hem_error *err) {
  const hem__sheets_options *o = m->options;
  size_t values = m->accuracy->query_values;
  const hem__accuracy_row *rows = m->accuracy->rows + m->accuracy->row_count - values, *best = NULL;
  for (size_t i = 0; i < values; i++) {
    if (o->approach && strcmp(o->approach, rows[i].approach) != 0) continue;
    if (o->distance >= 0 && (hem_distance)o->distance != rows[i].distance) continue;
    if (!best || rows[i].right[m->cut] > best->right[m->cut]) best = &rows[i];
  }
  *out = best;
  if (best) return HEM_OK;
  char list[256] = "";
  for (size_t i = 0, used = 0; i < values && used < sizeof list; i++)
    if (!i || strcmp(rows[i].approach, rows[i - 1].approach) != 0)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", rows[i].approach);
  return hem__fail(err, HEM_EINVAL, "nothing was measured so: there are the approaches %s, by l1, l2 and cosine", list);
}

static void find_part(making *m, const hem__accuracy_row *row) {
  const hem__space *space = hem__catalog_space(m->catalog, m->options->accuracy.space);
  m->dim = space->dim;
  for (size_t b = 0; b < space->block_count; b++)
    if (!strcmp(space->blocks[b].name, row->approach)) {
      m->offset = space->blocks[b].offset;
      m->dim = space->blocks[b].dim;
    }
  m->distance = row->distance;
  m->value = (size_t)(row - (m->accuracy->rows + m->accuracy->row_count - m->accuracy->query_values));
}

/* ---- which queries ---- */

static uint32_t rank_of(const making *m, size_t query) {
  if (m->options->ranks) return m->options->ranks[query];
  return m->accuracy->query_ranks[query * m->accuracy->query_values + m->value];
}

/* Evenly spread over the queries of a category (first <= i < end) that are right, or wrong. */
static void pick(making *m, size_t first, size_t end, bool right, size_t each) {
  size_t there = 0, turn = 0;
  for (int counted = 0; counted < 2; counted++) {
    for (size_t i = first; i < end; i++) {
      uint32_t rank = rank_of(m, i);
      if (!rank || (rank <= hem__cuts[m->cut]) != right) continue;
      if (!counted) {
        there++;
      } else if (turn * each / there < (turn + 1) * each / there || there <= each) {
        if (m->count < HEM__SHEETS_MAX)
          m->memory[m->count++] = (sheet_memory){.row = m->accuracy->query_rows[i], .rank = rank};
      }
      turn += counted;
    }
  }
}

static void pick_all(making *m) {
  size_t count = m->accuracy->query_count, categories = m->accuracy->row_count / m->accuracy->query_values - 1;
  size_t each = hem__min(m->options->each, hem__max(HEM__SHEETS_MAX / (2 * hem__max(categories, 1)), 1));
  for (size_t first = 0, end; first < count; first = end) {
    const char *category = m->photos->at[m->accuracy->query_rows[first]].category;
    for (end = first; end < count && !strcmp(m->photos->at[m->accuracy->query_rows[end]].category, category);) end++;
    pick(m, first, end, true, each);
    pick(m, first, end, false, each);
  }
}

/* ---- one sheet ---- */

static float key_of(const making *m, const float *query, size_t row, float *room) {
  const float *v = hem__row(m->vectors, row) + m->offset;
  float key;
  if (m->distance == HEM_COSINE) {
    hem__normalise(v, m->dim, room);
    v = room;
  }
  hem__keys(m->distance, query, v, 1, m->dim, &key);
  return key;
}

static bool is_right(const making *m, size_t query, size_t row) {
  const hem__photo *a = &m->photos->at[query], *b = &m->photos->at[row];
  return m->accuracy->by_label ? *a->label && !strcmp(a->label, b->label) : !strcmp(a->item_id, b->item_id);
}

static void insert(hem__near *near, size_t *count, hem__near here) {
  if (*count == HITS && !hem__nearer(here, near[HITS - 1])) return;
  size_t at = *count < HITS ? (*count)++ : HITS - 1;
  for (; at && hem__nearer(here, near[at - 1]); at--) near[at] = near[at - 1];
  near[at] = here;
}

/* The nearest shop photos, and the nearest right one. */
static size_t search(const making *m, size_t query, float *room, hem__near *near, hem__near *wanted) {
  const hem__photo *asked = &m->photos->at[query];
  float *q = room + m->dim;
  size_t count = 0;
  memcpy(q, hem__row(m->vectors, query) + m->offset, m->dim * sizeof *q);
  if (m->distance == HEM_COSINE) hem__normalise(q, m->dim, q);
  *wanted = (hem__near){.key = INFINITY, .row = UINT32_MAX};
  for (size_t row = 0; row < m->photos->count; row++) {
    const hem__photo *photo = &m->photos->at[row];
    if (row == query || strcmp(photo->category, asked->category) != 0) continue;
    if (!hem__accuracy_in_gallery(&m->options->accuracy, photo)) continue;
    hem__near here = {.key = key_of(m, q, row, room), .row = (uint32_t)row};
    insert(near, &count, here);
    if (is_right(m, query, row) && hem__nearer(here, *wanted)) *wanted = here;
  }
  return count;
}

typedef struct score_list {
  float *at;
  size_t count;
} score_list;

static void take_scores(void *context, size_t query, float *scores, size_t worker) {
  const score_list *out = context;
  (void)query, (void)worker;
  memcpy(out->at, scores, out->count * sizeof *scores);
}

/* The gallery's rows and their scores, freed with free(). */
static hem_status score_gallery(const making *m, size_t query, uint32_t **rows, float **scores, size_t *count,
                                hem_error *err) {
  const hem__metric *metric = m->options->metric_of(m->options->context, query);
  const char *category = m->photos->at[query].category;
  uint32_t asked = (uint32_t)query;
  float *point = NULL, *points = NULL;
  hem_status status = hem__alloc(m->photos->count, sizeof **rows, "the gallery", rows, err);
  for (size_t row = 0; row < m->photos->count && !status; row++)
    if (row != query && !strcmp(m->photos->at[row].category, category) &&
        hem__accuracy_in_gallery(&m->options->accuracy, &m->photos->at[row]))
      (*rows)[(*count)++] = (uint32_t)row;
  if (!status) status = hem__alloc(*count, sizeof **scores, "the gallery", scores, err);
  hem__selection one = {m->vectors, &asked, 1, 1}, all = {m->vectors, *rows, *count, 1};
  if (!status) status = hem__points(metric, &one, &point, err);
  if (!status) status = hem__points(metric, &all, &points, err);
  score_list out = {*scores, *count};
  hem__score_all_job job = {.metric = metric,
                            .queries = {point, 1, metric->width},
                            .gallery = {points, *count, metric->width},
                            .threads = 1,
                            .take = take_scores,
                            .context = &out};
  if (!status) status = hem__score_all(&job, err);
  free(point);
  free(points);
  return status;
}

/* As `search`, by the metric: keys are scores with their sign changed. */
static size_t search_by_metric(const making *m, size_t query, hem__near *near, hem__near *wanted) {
  uint32_t *rows = NULL;
  float *scores = NULL;
  size_t there = 0, count = 0;
  hem_error why;
  *wanted = (hem__near){.key = INFINITY, .row = UINT32_MAX};
  hem_status status = score_gallery(m, query, &rows, &scores, &there, &why);
  for (size_t i = 0; i < there && !status; i++) {
    hem__near here = {.key = -scores[i], .row = rows[i]};
    insert(near, &count, here);
    if (is_right(m, query, rows[i]) && hem__nearer(here, *wanted)) *wanted = here;
  }
  free(rows);
  free(scores);
  return count;
}

static hem_status picture(const making *m, size_t row, size_t side, hem__image *out, hem_error *err) {
  hem__image whole = {0};
  hem_status status = hem__pictures_read(m->pictures, row, &whole, err);
  size_t longer = hem__max(whole.width, whole.height);
  if (!status && longer > side) {
    status = hem__image_resize(&whole, hem__max(1, whole.width * side / longer),
                               hem__max(1, whole.height * side / longer), out, err);
    hem__image_clear(&whole);
  } else if (!status) {
    *out = whole;
  }
  return status;
}

static const char *name_of(const making *m, size_t row) {
  return m->accuracy->by_label ? m->photos->at[row].label : m->photos->at[row].item_id;
}

/* How near it is, or under a metric how likely it shows the item. */
static void write_caption(const making *m, const sheet_memory *memory, hem__near hit, char out[96]) {
  if (!m->options->metric_of) {
    snprintf(out, 96, "%.60s %.3f", name_of(m, hit.row), (double)hem__key_distance(m->distance, hit.key));
    return;
  }
  const hem__metric *metric = m->options->metric_of(m->options->context, memory->row);
  const hem__calibration *of = hem__metric_calibration(metric, m->photos->at[memory->row].category);
  snprintf(out, 96, "%.60s %.0f%%", name_of(m, hit.row), 100 * hem__probability(&of->platt, -(double)hit.key));
}

/* A photo that cannot be read is a box on the sheet. */
static hem__sheet_photo sheet_photo(const making *m, sheet_memory *memory, size_t place, hem__near hit) {
  hem_error why;
  hem__image *image = &memory->images[place];
  write_caption(m, memory, hit, memory->captions[place]);
  bool there = !picture(m, hit.row, HEM__HIT_SIDE, image, &why);
  return (hem__sheet_photo){
      .image = there ? image : NULL, .caption = memory->captions[place], .right = is_right(m, memory->row, hit.row)};
}

static void make_sheet(void *context, size_t i, size_t worker) {
  making *m = context;
  sheet_memory *memory = &m->memory[i];
  hem__sheet *sheet = &m->sheets[i];
  hem__near near[HITS], wanted;
  hem_error why;
  memory->shown = !picture(m, memory->row, HEM__QUERY_SIDE, &memory->images[0], &why);
  if (!memory->shown) return;
  size_t count = m->options->metric_of ? search_by_metric(m, memory->row, near, &wanted)
                                       : search(m, memory->row, m->room[worker], near, &wanted);
  const hem__photo *query = &m->photos->at[memory->row];
  bool right = memory->rank <= hem__cuts[m->cut];
  for (size_t h = 0; h < count; h++) memory->hits[h] = sheet_photo(m, memory, 1 + h, near[h]);
  snprintf(memory->title, sizeof memory->title,
           right ? "%.80s: right, place %u" : "%.80s: wrong, the first right one has place %u", query->category,
           memory->rank);
  snprintf(memory->captions[0], sizeof memory->captions[0], "%.80s", name_of(m, memory->row));
  *sheet = (hem__sheet){.title = memory->title,
                        .query = {.image = &memory->images[0], .caption = memory->captions[0]},
                        .hits = memory->hits,
                        .hit_count = count};
  if (!right && memory->rank > count && wanted.row != UINT32_MAX) {
    sheet->wanted = sheet_photo(m, memory, 1 + HITS, wanted);
    sheet->has_wanted = true;
  }
}

/* ---- the run ---- */

static hem_status make(making *m, hem_error *err) {
  size_t threads = m->options->accuracy.threads ? m->options->accuracy.threads : hem__cores();
  hem_status status = hem__alloc(HEM__SHEETS_MAX, sizeof *m->memory, "sheets", &m->memory, err);
  if (!status) status = hem__alloc(HEM__SHEETS_MAX, sizeof *m->sheets, "sheets", &m->sheets, err);
  if (!status) status = hem__alloc(threads, sizeof *m->room, "sheets", &m->room, err);
  for (size_t i = 0; i < threads && !status; i++)
    status = hem__alloc(2 * m->dim, sizeof(float), "sheets", &m->room[i], err);
  if (!status) pick_all(m);
  if (!status) status = hem__parallel_for(m->count, threads, make_sheet, m, err);
  for (size_t i = 0; m->room && i < threads; i++) free(m->room[i]);
  free(m->room);
  return status;
}

hem_status hem__sheets_make(hem__catalog *catalog, const hem__accuracy *accuracy, const hem__sheets_options *options,
                            hem__sheets *out, hem_error *err) {
  making m = {.catalog = catalog,
              .photos = hem__catalog_photos(catalog),
              .accuracy = accuracy,
              .options = options,
              .vectors = hem__catalog_matrix(catalog, options->accuracy.space),
              .cut = hem__accuracy_cut(accuracy)};
  const hem__accuracy_row *row;
  hem_status status = choose_row(&m, &row, err);
  if (!status) find_part(&m, row);
  if (!status) status = hem__pictures_open(catalog, options->idx, &m.pictures, err);
  if (!status) status = make(&m, err);
  hem__pictures_close(m.pictures);
  hem__sheets made = {.at = m.sheets, .row = row, .memory = m.memory};
  for (size_t i = 0; !status && i < m.count; i++)
    if (m.memory[i].shown) made.at[made.count++] = m.sheets[i];
  if (status)
    hem__sheets_clear(&made);
  else
    *out = made;
  return status;
}

void hem__sheets_clear(hem__sheets *sheets) {
  for (size_t i = 0; sheets->memory && i < HEM__SHEETS_MAX; i++)
    for (size_t j = 0; j < HITS + 2; j++) hem__image_clear(&sheets->memory[i].images[j]);
  free(sheets->memory);
  free(sheets->at);
  *sheets = (hem__sheets){0};
}
