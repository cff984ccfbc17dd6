/* Photos in the wrong category, and photos unlike all others, by their neighbours.
 *
 * Each photo is compared, by cosine, with a sample of every category that is equally large for all (a large category is
 * denser, and its photos would seem nearer for that alone); photos of its own item and copies of it are left out. For
 * each category the mean distance of the K nearest counts.
 *
 *   wrong category   log(own / nearest other), where own is clearly farther
 *   far              the nearer of the two
 *
 * What is usual depends on the category (some lie in each other) and on the domain (customers' photos are farther from
 * everything), so both are judged within their category and domain by how many robust standard deviations (1.4826 times
 * the median absolute deviation; Rousseeuw and Croux 1993) they lie above the median. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/doctor.h"
#include "metric/blas.h"
#include "metric/distance.h"

enum {
  NEAREST = 5,
  SAMPLE_MAX = 2000, /* of a category */
  QUERIES = 64,      /* compared by one thread in one go, with REFERENCES at a time */
  REFERENCES = 512,
  GROUP_MIN = 30 /* fewer photos do not show what is usual */
};
/* Chosen on what they flag among 3,781 photos of clothes and Fashion-MNIST (white-box features): see docs. */
#define WRONG_SCORE 4.0
#define NEARER 1.2 /* so many times nearer to the other category, or it is only between the two */
#define FAR_SCORE 5.0
#define NONE UINT32_MAX

typedef struct category {
  const char *name;
  size_t photos, first, count; /* its references */
} category;

typedef struct scratch {
  float *queries, *dots; /* QUERIES x dim, QUERIES x REFERENCES */
} scratch;

typedef struct outliers {
  hem__doctor_run *run;
  hem__matrix vectors;
  uint32_t *category_of, *item_of; /* by row; category NONE: the embedding carries nothing */
  category *categories;
  size_t category_count, first;
  uint32_t *references;     /* rows, category by category */
  float *reference_vectors; /* normalised */
  scratch *scratch;         /* by worker */
  float *own, *other;       /* by row: mean distance; NAN: too few to compare with */
  uint32_t *nearest;        /* by row: the nearest other category */
} outliers;

/* ---- who is compared with whom ---- */

static bool carries(hem__matrix vectors, size_t row) {
  float minus;
  const float *v = hem__row(vectors, row);
  if (!hem__all_finite(v, vectors.dim)) return false;
  hem__keys(HEM_IP, v, v, 1, vectors.dim, &minus);
  return minus < 0 && isfinite(minus);
}

static hem_status number_names(outliers *o, hem_error *err) {
  hem__set categories = {0}, items = {0};
  size_t capacity = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < o->vectors.rows && !status; i++) {
    const hem__photo *photo = &o->run->photos->at[i];
    size_t number, item = 0;
    status = hem__set_add(&categories, photo->category, &number, err);
    if (!status) status = hem__set_add(&items, photo->item_id, &item, err);
    if (!status && number == o->category_count) {
      status = hem__grow(&o->categories, &capacity, number + 1, sizeof *o->categories, "categories", err);
      if (!status) o->categories[o->category_count++] = (category){.name = photo->category};
    }
    if (status) break;
    o->item_of[i] = (uint32_t)item;
    o->category_of[i] = carries(o->vectors, i) ? (uint32_t)number : NONE;
    o->categories[number].photos += o->category_of[i] != NONE;
  }
  hem__set_clear(&categories);
  hem__set_clear(&items);
  return status;
}

/* Evenly spread over the catalogue's order. */
static hem_status choose_references(outliers *o, hem_error *err) {
  size_t limit = hem__max(hem__min(SAMPLE_MAX, HEM__REFERENCES / hem__max(o->category_count, 1)), 2 * NEAREST);
  size_t total = 0, *seen = NULL;
  for (size_t c = 0; c < o->category_count; c++) {
    o->categories[c].first = total;
    total += hem__min(o->categories[c].photos, limit);
  }
  hem_status status = hem__alloc(total, sizeof *o->references, "neighbours", &o->references, err);
  if (!status) status = hem__alloc(total * o->vectors.dim, sizeof(float), "neighbours", &o->reference_vectors, err);
  if (!status) status = hem__alloc(o->category_count, sizeof *seen, "categories", &seen, err);
  for (size_t i = 0; i < o->vectors.rows && !status; i++) {
    if (o->category_of[i] == NONE) continue;
    category *c = &o->categories[o->category_of[i]];
    size_t wanted = hem__min(c->photos, limit), turn = seen[o->category_of[i]]++;
    if (turn * wanted / c->photos == (turn + 1) * wanted / c->photos) continue;
    size_t place = c->first + c->count++;
    o->references[place] = (uint32_t)i;
    hem__normalise(hem__row(o->vectors, i), o->vectors.dim, o->reference_vectors + place * o->vectors.dim);
  }
  free(seen);
  return status;
}

/* ---- neighbours ---- */

typedef struct best {
  float dots[NEAREST]; /* largest first */
  size_t count;
} best;

static void keep(best *b, float dot) {
  if (b->count == NEAREST && dot <= b->dots[NEAREST - 1]) return;
  size_t at = b->count < NEAREST ? b->count++ : NEAREST - 1;
  for (; at && b->dots[at - 1] < dot; at--) b->dots[at] = b->dots[at - 1];
  b->dots[at] = dot;
}

/* NAN: too few. */
static float mean_distance(const best *b) {
  float sum = 0;
  for (size_t i = 0; i < b->count; i++) sum += fmaxf(1 - b->dots[i], 0);
  return b->count == NEAREST ? sum / NEAREST : NAN;
}

static void compare_with(const outliers *o, const scratch *s, const category *c, size_t first, size_t count, best *b) {
  size_t dim = o->vectors.dim;
  for (size_t from = 0; from < c->count; from += REFERENCES) {
    size_t now = hem__min(REFERENCES, c->count - from);
    const uint32_t *rows = o->references + c->first + from;
    hem__gemm(false, true, count, now, dim, 1, s->queries, o->reference_vectors + (c->first + from) * dim, 0, s->dots,
              REFERENCES);
    for (size_t q = 0; q < count; q++)
      for (size_t r = 0; r < now; r++) {
        size_t row = first + q;
        if (o->item_of[rows[r]] == o->item_of[row] || o->run->alike[rows[r]] == o->run->alike[row]) continue;
        keep(&b[q], s->dots[q * REFERENCES + r]);
      }
  }
}

static void measure_block(void *context, size_t i, size_t worker) {
  outliers *o = context;
  const scratch *s = &o->scratch[worker];
  size_t first = (o->first + i) * QUERIES, count = hem__min(QUERIES, o->vectors.rows - first), dim = o->vectors.dim;
  for (size_t q = 0; q < count; q++) {
    bool usable = o->category_of[first + q] != NONE;
    if (usable) hem__normalise(hem__row(o->vectors, first + q), dim, s->queries + q * dim);
    if (!usable) memset(s->queries + q * dim, 0, dim * sizeof(float));
    o->own[first + q] = o->other[first + q] = NAN;
  }
  for (size_t c = 0; c < o->category_count; c++) {
    best b[QUERIES] = {0};
    compare_with(o, s, &o->categories[c], first, count, b);
    for (size_t q = 0; q < count; q++) {
      size_t row = first + q;
      float distance = mean_distance(&b[q]);
      if (o->category_of[row] == c) {
        o->own[row] = distance;
      } else if (!(o->other[row] <= distance) && !isnan(distance)) {
        o->other[row] = distance;
        o->nearest[row] = (uint32_t)c;
      }
    }
  }
}

/* ---- what is usual ---- */

typedef struct scored {
  double value;
  size_t row;
} scored;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Turns values into robust scores; `room` holds as many. */
static void score(scored *values, size_t count, double *room) {
  for (size_t i = 0; i < count; i++) room[i] = values[i].value;
  qsort(room, count, sizeof *room, by_value);
  double median = room[count / 2];
  for (size_t i = 0; i < count; i++) room[i] = fabs(values[i].value - median);
  qsort(room, count, sizeof *room, by_value);
  double deviation = fmax(1.4826 * room[count / 2], 1e-6);
  for (size_t i = 0; i < count; i++) values[i].value = (values[i].value - median) / deviation;
}

static double log_of(float distance) { return log(fmax((double)distance, 1e-6)); }

static hem_status judge_group(outliers *o, uint32_t c, uint8_t domain, scored *values, double *room, hem_error *err) {
  char note[160];
  hem_status status = HEM_OK;
  for (int far = 0; far < 2 && !status; far++) {
    size_t count = 0;
    for (size_t i = 0; i < o->vectors.rows; i++) {
      if (o->category_of[i] != c || o->run->photos->at[i].domain != domain || isnan(o->own[i])) continue;
      if (!far && isnan(o->other[i])) continue;
      float own = o->own[i], other = isnan(o->other[i]) ? own : o->other[i];
      values[count++] = (scored){far ? fminf(own, other) : log_of(own) - log_of(other), i};
    }
    if (count < GROUP_MIN) continue;
    score(values, count, room);
    for (size_t i = 0; i < count && !status; i++) {
      size_t row = values[i].row;
      if (values[i].value < (far ? FAR_SCORE : WRONG_SCORE) || (!far && o->own[row] < NEARER * o->other[row])) continue;
      *note = '\0';
      if (!far)
        snprintf(note, sizeof note, "%.60s, looks like %.60s", o->categories[c].name,
                 o->categories[o->nearest[row]].name);
      status = hem__doctor_find_one(o->run, far ? HEM__FAR : HEM__WRONG_CATEGORY, row, values[i].value, note, err);
    }
  }
  return status;
}

static hem_status judge(outliers *o, hem_error *err) {
  scored *values = NULL;
  double *room = NULL;
  hem_status status = hem__alloc(o->vectors.rows, sizeof *values, "scores", &values, err);
  if (!status) status = hem__alloc(o->vectors.rows, sizeof *room, "scores", &room, err);
  for (size_t c = 0; c < o->category_count && !status; c++)
    for (uint8_t domain = 0; domain < HEM__DOMAINS && !status; domain++)
      status = judge_group(o, (uint32_t)c, domain, values, room, err);
  free(values);
  free(room);
  return status;
}

/* ---- the run ---- */

static hem_status prepare(outliers *o, hem_error *err) {
  size_t rows = o->vectors.rows, dim = o->vectors.dim;
  hem_status status = hem__catalog_check(o->run->catalog, o->run->options.space, 0, rows, err);
  if (!status) status = hem__alloc(rows, sizeof *o->category_of, "photos", &o->category_of, err);
  if (!status) status = hem__alloc(rows, sizeof *o->item_of, "photos", &o->item_of, err);
  if (!status) status = hem__alloc(rows, sizeof *o->own, "photos", &o->own, err);
  if (!status) status = hem__alloc(rows, sizeof *o->other, "photos", &o->other, err);
  if (!status) status = hem__alloc(rows, sizeof *o->nearest, "photos", &o->nearest, err);
  if (!status) status = hem__alloc(o->run->threads, sizeof *o->scratch, "scratch", &o->scratch, err);
  for (size_t i = 0; i < o->run->threads && !status; i++) {
    status = hem__alloc(QUERIES * dim, sizeof(float), "scratch", &o->scratch[i].queries, err);
    if (!status) status = hem__alloc(QUERIES * REFERENCES, sizeof(float), "scratch", &o->scratch[i].dots, err);
  }
  if (!status) status = number_names(o, err);
  return status ? status : choose_references(o, err);
}

static void clear(outliers *o) {
  for (size_t i = 0; o->scratch && i < o->run->threads; i++) {
    free(o->scratch[i].queries);
    free(o->scratch[i].dots);
  }
  free(o->scratch);
  free(o->category_of);
  free(o->item_of);
  free(o->own);
  free(o->other);
  free(o->nearest);
  free(o->categories);
  free(o->references);
  free(o->reference_vectors);
}

hem_status hem__doctor_outliers(hem__doctor_run *run, hem_error *err) {
  outliers o = {.run = run, .vectors = hem__catalog_matrix(run->catalog, run->options.space)};
  run->found.space = hem__catalog_space(run->catalog, run->options.space)->name;
  hem_status status = prepare(&o, err);
  if (!status)
    status = hem__doctor_loop(
        run, &(hem__doctor_steps){"neighbours", o.vectors.rows, QUERIES, 4 * run->threads, &o.first, measure_block, &o},
        err);
  if (!status) status = judge(&o, err);
  clear(&o);
  return status;
}
