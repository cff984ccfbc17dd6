#include "bench/drift.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"

enum { SAMPLE = 1000 };
static const double SMALL = 0.1, LARGE = 0.25, CHANCE = 0.01;

const char *const hem__drift_words[] = {[HEM__DRIFT_TOO_FEW] = "too few to say",
                                        [HEM__DRIFT_NONE] = "no drift seen",
                                        [HEM__DRIFT_SOME] = "some drift",
                                        [HEM__DRIFT_LARGE] = "drifted"};

/* ---- the arithmetic ---- */

double hem__ks_distance(const double *a, size_t a_count, const double *b, size_t b_count) {
  double most = 0;
  for (size_t i = 0, j = 0; i < a_count && j < b_count;) {
    double here = fmin(a[i], b[j]);
    while (i < a_count && a[i] <= here) i++;
    while (j < b_count && b[j] <= here) j++;
    most = fmax(most, fabs((double)i / (double)a_count - (double)j / (double)b_count));
  }
  return most;
}

double hem__ks_p_value(double distance, size_t a_count, size_t b_count) {
  double n = (double)a_count * (double)b_count / (double)(a_count + b_count);
  double lambda = (sqrt(n) + 0.12 + 0.11 / sqrt(n)) * distance, sum = 0, sign = 1;
  if (lambda < 0.2) return 1; /* the series, which converges slowly there, is 1 to 15 digits */
  for (int k = 1; k <= 100; k++, sign = -sign) sum += sign * exp(-2 * k * k * lambda * lambda);
  return fmin(1, fmax(0, 2 * sum));
}

double hem__stability_index(const double *expected, size_t expected_count, const double *asked, size_t asked_count) {
  double index = 0;
  for (size_t bin = 0, e = 0, a = 0; bin < HEM__DRIFT_BINS; bin++) {
    bool last = bin + 1 == HEM__DRIFT_BINS;
    double end = last ? INFINITY : expected[(bin + 1) * expected_count / HEM__DRIFT_BINS];
    size_t e_from = e, a_from = a;
    while (e < expected_count && expected[e] < end) e++;
    while (a < asked_count && asked[a] < end) a++;
    double wanted = ((double)(e - e_from) + 0.5) / ((double)expected_count + 0.5 * HEM__DRIFT_BINS);
    double got = ((double)(a - a_from) + 0.5) / ((double)asked_count + 0.5 * HEM__DRIFT_BINS);
    index += (got - wanted) * log(got / wanted);
  }
  return index;
}

/* ---- observations ---- */

typedef struct observation {
  double distance;
  const char *category, *day; /* day: NULL of the expected */
  bool no_match;
} observation;

typedef struct observations {
  observation *at;
  size_t count, capacity;
} observations;

static hem_status add(observations *to, observation one, hem_error *err) {
  hem_status status = hem__grow(&to->at, &to->capacity, to->count + 1, sizeof *to->at, "answers", err);
  if (!status) to->at[to->count++] = one;
  return status;
}

/* One line of `hemline serve --collect`. Lines that cannot be read are counted: the file is somebody's to edit. */
static hem_status read_line(hem__drift *d, const char *line, size_t size, const char *space_hash, observations *out,
                            hem_error *err) {
  json_t *json = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
  const json_t *hit = json_array_get(json_object_get(json, "hits"), 0);
  const char *hash = json_string_value(json_object_get(json, "space_hash"));
  const char *time = json_string_value(json_object_get(json, "time"));
  const char *category = json_string_value(json_object_get(hit, "category"));
  const json_t *distance = json_object_get(hit, "distance");
  observation one = {.distance = (double)(float)json_number_value(distance), /* as it was, to the bit */
                     .no_match = json_is_true(json_object_get(json, "no_match"))};
  hem_status status = HEM_OK;
  if (hash && !strcmp(hash, space_hash) && time && strlen(time) >= 10 && category && json_is_number(distance)) {
    status = hem__arena_copy(&d->strings, category, strlen(category), &one.category, err);
    if (!status) status = hem__arena_copy(&d->strings, time, 10, &one.day, err);
    if (!status) status = add(out, one, err);
  } else {
    d->other++;
  }
  json_decref(json);
  return status;
}

static hem_status read_file(hem__drift *d, const char *path, const char *space_hash, observations *out,
                            hem_error *err) {
  hem__lines lines = {.fd = -1};
  char *text;
  size_t size;
  hem_status status = hem__lines_open(path, &lines, err);
  for (bool more = true; !status;) {
    status = hem__lines_next(&lines, &text, &size, &more, err);
    if (status || !more) break;
    status = read_line(d, text, hem__min(size, HEM__LINE_MAX), space_hash, out, err);
  }
  hem__lines_close(&lines);
  return status;
}

static hem_status read_folder(hem__drift *d, const char *folder, const char *space_hash, observations *out,
                              hem_error *err) {
  hem_status status = HEM_OK;
  DIR *listing = opendir(folder);
  if (!listing) return hem__fail_errno(err, "cannot list %s", folder);
  for (struct dirent *entry; !status && (entry = readdir(listing));) {
    size_t length = strlen(entry->d_name);
    char *path = NULL;
    if (length < 6 || strcmp(entry->d_name + length - 6, ".jsonl") != 0) continue;
    status = hem__print(&path, err, "%s/%s", folder, entry->d_name);
    if (!status) status = read_file(d, path, space_hash, out, err);
    free(path);
  }
  closedir(listing);
  if (!status && out->count == 0)
    status = hem__fail(err, HEM_ENOTFOUND,
                       "%s holds no answer of this store's embedding space ('hemline serve --collect' puts them there)",
                       folder);
  return status;
}

/* ---- what is expected ---- */

typedef struct expecting {
  const hem_engine *engine;
  hem_engine_info info;
  hem__catalog *catalog;
  size_t space;
  hem_searcher *searcher;
} expecting;

/* Photos of customers that the metric was not trained on; 0 rows where there are too few. */
static hem_status choose_customers(const expecting *x, size_t **rows, size_t *count, hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(x->catalog);
  size_t *chosen = NULL, found = 0;
  hem_status status = hem__alloc(photos->count, sizeof *chosen, "rows", &chosen, err);
  for (size_t i = 0; i < photos->count && !status; i++)
    if (photos->at[i].domain == HEM__CONSUMER && photos->at[i].split != HEM__TRAIN) chosen[found++] = i;
  if (status || found < HEM__DRIFT_FEW) {
    free(chosen);
    chosen = NULL;
    found = 0;
  }
  *rows = chosen;
  *count = found;
  return status;
}

static hem_status ask(const expecting *x, size_t row, bool customer, hem_answer *answer, hem_error *err) {
  hem_search_options o = {.size = sizeof o, .k = 1};
  if (!customer) return hem_search_item(x->searcher, hem__catalog_photos(x->catalog)->at[row].item_id, &o, answer, err);
  hem__matrix vectors = hem__catalog_matrix(x->catalog, x->space);
  hem_status status = hem__catalog_check(x->catalog, x->space, row, 1, err);
  return status ? status : hem_search(x->searcher, hem__row(vectors, row), vectors.dim, &o, answer, err);
}

/* Evenly spread over the catalogue. */
static hem_status ask_all(const expecting *x, const size_t *customers, size_t there, size_t sample, observations *out,
                          hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(x->catalog);
  hem_status status = HEM_OK;
  if (!customers) there = photos->count;
  size_t count = hem__min(sample, there);
  for (size_t i = 0; i < count && !status; i++) {
    size_t place = (size_t)((double)i * (double)there / (double)count), row = customers ? customers[place] : place;
    hem_answer answer;
    if (!customers && photos->at[row].domain != HEM__SHOP) continue;
    status = ask(x, row, customers != NULL, &answer, err);
    if (!status && answer.found)
      status = add(out, (observation){.distance = (double)answer.hits[0].distance, .category = answer.hits[0].category},
                   err);
  }
  return status;
}

static hem_status expect(const hem_engine *engine, hem__catalog *catalog, size_t sample, bool *customers,
                         observations *out, hem_error *err) {
  expecting x = {.engine = engine, .catalog = catalog};
  size_t *rows = NULL, count = 0;
  hem_engine_info_get(engine, &x.info);
  hem_status status = hem__catalog_find_space(catalog, x.info.space, &x.space, err);
  if (!status) status = hem_searcher_new(engine, &x.searcher, err);
  if (!status) status = choose_customers(&x, &rows, &count, err);
  if (!status) status = ask_all(&x, rows, count, sample, out, err);
  *customers = rows != NULL;
  hem_searcher_free(x.searcher);
  free(rows);
  return status;
}

/* ---- comparing ---- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Distances of those in the category and on the day (NULL: any), sorted, into `out`. */
static size_t pick(const observations *from, const char *category, const char *day, double *out) {
  size_t count = 0;
  for (size_t i = 0; i < from->count; i++) {
    const observation *o = &from->at[i];
    if ((!category || !strcmp(o->category, category)) && (!day || !strcmp(o->day, day))) out[count++] = o->distance;
  }
  qsort(out, count, sizeof *out, by_value);
  return count;
}

static double share_without_match(const observations *asked, const char *category, const char *day) {
  size_t count = 0, none = 0;
  for (size_t i = 0; i < asked->count; i++) {
    const observation *o = &asked->at[i];
    if ((category && strcmp(o->category, category) != 0) || (day && strcmp(o->day, day) != 0)) continue;
    count++;
    none += o->no_match;
  }
  return count ? (double)none / (double)count : NAN;
}

/* Much data makes the smallest shift significant, and little data a large one by chance: both measures must say so. */
static hem__drift_verdict judge(const hem__drift_part *p) {
  if (p->expected_count < HEM__DRIFT_FEW || p->asked_count < HEM__DRIFT_FEW) return HEM__DRIFT_TOO_FEW;
  if (p->p_value >= CHANCE || p->stability < SMALL) return HEM__DRIFT_NONE;
  return p->stability < LARGE ? HEM__DRIFT_SOME : HEM__DRIFT_LARGE;
}

static void compare(const hem__drift *d, bool learned, const observations *asked, const char *category, const char *day,
                    hem__drift_part *p) {
  p->no_match = learned ? share_without_match(asked, category, day) : NAN;
  p->expected_median = p->expected_count ? d->expected[p->expected_count / 2] : NAN;
  p->asked_median = p->asked_count ? d->asked[p->asked_count / 2] : NAN;
  p->distance_between = p->p_value = p->stability = NAN;
  if (p->expected_count && p->asked_count) {
    p->distance_between = hem__ks_distance(d->expected, p->expected_count, d->asked, p->asked_count);
    p->p_value = hem__ks_p_value(p->distance_between, p->expected_count, p->asked_count);
    p->stability = hem__stability_index(d->expected, p->expected_count, d->asked, p->asked_count);
  }
  p->verdict = judge(p);
}

static hem_status name_parts(const observations *asked, hem__set *categories, hem__set *days, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0, number; i < asked->count && !status; i++) {
    status = hem__set_add(categories, asked->at[i].category, &number, err);
    if (!status) status = hem__set_add(days, asked->at[i].day, &number, err);
  }
  return status;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const hem__drift_part *)a)->name, ((const hem__drift_part *)b)->name);
}

static hem_status list_parts(const observations *asked, bool days, hem__drift_part **parts, size_t count,
                             const hem__set *names, hem_error *err) {
  hem_status status = hem__alloc(count, sizeof **parts, "parts", parts, err);
  for (size_t i = 0; i < asked->count && !status; i++) {
    const char *name = days ? asked->at[i].day : asked->at[i].category;
    (*parts)[hem__set_find(names, name)].name = name;
  }
  if (!status) qsort(*parts, count, sizeof **parts, by_name);
  return status;
}

/* Each part's distances go through the same two arrays; the whole comes last and stays there. */
static void fill(hem__drift *d, bool learned, const observations *expected, const observations *asked) {
  for (size_t i = 0; i < d->category_count; i++) {
    hem__drift_part *p = &d->categories[i];
    p->expected_count = pick(expected, p->name, NULL, d->expected);
    p->asked_count = pick(asked, p->name, NULL, d->asked);
    compare(d, learned, asked, p->name, NULL, p);
  }
  for (size_t i = 0; i < d->day_count; i++) {
    hem__drift_part *p = &d->days[i];
    p->expected_count = pick(expected, NULL, NULL, d->expected);
    p->asked_count = pick(asked, NULL, p->name, d->asked);
    compare(d, learned, asked, NULL, p->name, p);
  }
  d->all.name = "all";
  d->all.expected_count = pick(expected, NULL, NULL, d->expected);
  d->all.asked_count = pick(asked, NULL, NULL, d->asked);
  compare(d, learned, asked, NULL, NULL, &d->all);
}

hem_status hem__drift_measure(const hem_engine *engine, hem__catalog *catalog, const char *collected, size_t sample,
                              hem__drift *out, hem_error *err) {
  hem__drift d = {0};
  observations expected = {0}, asked = {0};
  hem__set categories = {0}, days = {0};
  hem_engine_info info;
  hem_engine_info_get(engine, &info);
  hem_status status = read_folder(&d, collected, info.space_hash, &asked, err);
  if (!status) status = expect(engine, catalog, sample ? sample : SAMPLE, &d.customers, &expected, err);
  if (!status) status = name_parts(&asked, &categories, &days, err);
  d.category_count = categories.count;
  d.day_count = days.count;
  if (!status) status = list_parts(&asked, false, &d.categories, d.category_count, &categories, err);
  if (!status) status = list_parts(&asked, true, &d.days, d.day_count, &days, err);
  if (!status) status = hem__alloc(expected.count, sizeof *d.expected, "distances", &d.expected, err);
  if (!status) status = hem__alloc(asked.count, sizeof *d.asked, "distances", &d.asked, err);
  if (!status) fill(&d, info.metric, &expected, &asked);
  hem__set_clear(&categories);
  hem__set_clear(&days);
  free(expected.at);
  free(asked.at);
  if (status) {
    hem__drift_clear(&d);
  } else {
    *out = d;
  }
  return status;
}

void hem__drift_clear(hem__drift *d) {
  free(d->categories);
  free(d->days);
  free(d->expected);
  free(d->asked);
  hem__arena_clear(&d->strings);
  *d = (hem__drift){0};
}
