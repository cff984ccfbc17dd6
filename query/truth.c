#include "query/truth.h"

#include <stdlib.h>
#include <string.h>

#include "index/learned.h"
#include "metric/score_all.h"
#include "metric/split.h"

/* ---- samples ---- */

static bool may_be_asked(const hem_engine *e, const hem__photo *photo, bool marked, bool shop) {
  if (shop) return photo->domain == HEM__SHOP;
  if (photo->domain != HEM__CONSUMER) return false;
  if (!e->learned.metric) return true; /* nobody learned from it */
  if (marked) return photo->split == HEM__VALIDATION || photo->split == HEM__TEST;
  return !hem__metric_saw(e->learned.metric, photo->item_id);
}

/* Every photo that may be asked for and whose category is there. */
static size_t list(const hem_engine *e, const hem__photos *photos, hem__matrix embeddings, bool shop,
                   hem__sample *out) {
  bool marked = hem__split_marked(photos);
  size_t count = 0;
  for (size_t i = 0; i < photos->count; i++) {
    const hem__photo *photo = &photos->at[i];
    size_t category;
    if (!may_be_asked(e, photo, marked, shop) || !hem__all_finite(hem__row(embeddings, i), embeddings.dim)) continue;
    if (hem__engine_find(e, photo->category, &category, NULL) == HEM_OK)
      out[count++] = (hem__sample){.row = i, .category = category, .leave_out = shop};
  }
  return count;
}

hem_status hem__samples_choose(const hem_engine *e, const hem__catalog *catalog, hem__matrix embeddings, size_t limit,
                               hem__sample **samples, size_t *count, hem_error *err) {
  const hem__photos *photos = hem__catalog_photos(catalog);
  hem__sample *found = NULL;
  hem_status status = hem__alloc(photos->count, sizeof *found, "queries", &found, err);
  if (status) return status;
  size_t all = list(e, photos, embeddings, false, found);
  if (all == 0) all = list(e, photos, embeddings, true, found);
  *count = hem__min(limit, all);
  for (size_t i = 0; i < *count; i++) found[i] = found[i * all / *count];
  *samples = found;
  return HEM_OK;
}

/* Moves at most `each` of one category, evenly spread, to the front of `out`. Returns how many. */
static size_t thin(const hem__sample *from, size_t count, size_t category, size_t each, hem__sample *out) {
  size_t all = 0, kept = 0, met = 0;
  for (size_t i = 0; i < count; i++) all += from[i].category == category;
  size_t limit = hem__min(all, each);
  for (size_t i = 0; i < count && kept < limit; i++)
    if (from[i].category == category && met++ == kept * all / limit) out[kept++] = from[i];
  return kept;
}

hem_status hem__samples_each(const hem_engine *e, const hem__catalog *catalog, hem__matrix embeddings, size_t each,
                             hem__sample **samples, size_t *count, hem_error *err) {
  enum { TELLING = 40 };
  const hem__photos *photos = hem__catalog_photos(catalog);
  hem__sample *customers = NULL, *shop = NULL, *made = NULL;
  size_t room;
  if (!hem__mul(hem__min(each, photos->count), e->category_count, &room) || room > photos->count) room = photos->count;
  hem_status status = hem__alloc(photos->count, sizeof *customers, "queries", &customers, err);
  if (!status) status = hem__alloc(photos->count, sizeof *shop, "queries", &shop, err);
  if (!status) status = hem__alloc(room, sizeof *made, "queries", &made, err);
  size_t asked = status ? 0 : list(e, photos, embeddings, false, customers),
         sold = status ? 0 : list(e, photos, embeddings, true, shop);
  *count = 0;
  for (size_t c = 0; c < e->category_count && !status; c++) {
    size_t here = thin(customers, asked, c, each, made + *count);
    if (here < TELLING) here = thin(shop, sold, c, each, made + *count);
    *count += here;
  }
  free(customers);
  free(shop);
  if (!status) *samples = made;
  return status;
}

/* ---- the best items ---- */

static bool better(const hem__true_item *a, const hem__true_item *b) {
  if (a->score != b->score) return a->score > b->score;
  return a->item != b->item ? a->item < b->item : a->photo < b->photo;
}

static void offer(hem__true_list *l, hem__true_item here) {
  size_t at = 0;
  if (l->count == HEM__TRUTH_K && !better(&here, &l->at[HEM__TRUTH_K - 1])) return;
  while (at < l->count && l->at[at].item != here.item) at++;
  if (at < l->count && !better(&here, &l->at[at])) return;
  if (at == l->count) at = l->count < HEM__TRUTH_K ? l->count++ : HEM__TRUTH_K - 1;
  for (; at && better(&here, &l->at[at - 1]); at--) l->at[at] = l->at[at - 1];
  l->at[at] = here;
}

void hem__true_list_fill(hem__true_list *list, const hem__gallery *g, const float *scores) {
  for (size_t i = 0; i < g->photos; i++)
    offer(list, (hem__true_item){.score = scores[i], .item = g->item_of[i], .photo = (uint32_t)i});
}

/* One block of a category's photos. */
typedef struct block {
  hem__truth *truth;
  size_t category, first, count; /* first: gallery position */
} block;

/* Lists of one query are touched by one thread at a time. */
static void take_scores(void *context, size_t query, float *scores, size_t worker) {
  const block *b = context;
  const hem__sample *sample = &b->truth->samples[query];
  const hem__gallery *g = &b->truth->engine->gallery;
  (void)worker;
  for (size_t i = 0; i < b->count; i++) {
    uint32_t photo = (uint32_t)(b->first + i);
    if (sample->leave_out && g->row[photo] == sample->row) continue;
    hem__true_item here = {.score = scores[i], .item = g->item_of[photo], .photo = photo};
    offer(&b->truth->all[query], here);
    if (sample->category == b->category) offer(&b->truth->own[query], here);
  }
}

/* ---- the run ---- */

static hem_status project_samples(const hem__truth *t, float *out, hem_error *err) {
  const hem__metric *m = t->engine->learned.metric;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < t->count && !status; i++)
    status = hem__metric_project(m, hem__row(t->embeddings, t->samples[i].row), 1, out + i * m->width, err);
  return status;
}

static hem_status score_category(hem__truth *t, size_t number, hem__matrix queries, const hem__truth_options *o,
                                 size_t *done, hem_error *err) {
  enum { VALUES = 1 << 23 }; /* 32 MiB of points at once */
  const hem__category *c = &t->engine->categories[number].shared;
  const hem__metric *m = t->engine->learned.metric;
  const hem__gallery *g = &t->engine->gallery;
  hem__listed_rows rows = {.catalog = t->engine->generation.manifest.catalog,
                           .all = t->embeddings,
                           .order = g->row + c->first,
                           .count = c->vectors.rows};
  size_t step = hem__min(hem__max(VALUES / m->width, 256), rows.count);
  float *points = NULL;
  hem_status status = hem__alloc(step * m->width, sizeof *points, "points", &points, err);
  for (size_t first = 0, count; first < rows.count && !status; first += count) {
    count = hem__min(step, rows.count - first);
    block b = {.truth = t, .category = number, .first = c->first + first, .count = count};
    hem__score_all_job job = {.metric = m,
                              .queries = queries,
                              .gallery = {.at = points, .rows = count, .dim = m->width},
                              .threads = o->threads,
                              .take = take_scores,
                              .context = &b};
    status = hem__learning_project(m, &rows, first, count, points, err);
    if (!status) status = hem__score_all(&job, err);
    *done += count;
    if (!status) status = hem__progress_report(&o->progress, "certify", *done, g->photos, "photos", err);
  }
  free(points);
  return status;
}

hem_status hem__truth_find(const hem_engine *engine, hem__matrix embeddings, const hem__sample *samples, size_t count,
                           const hem__truth_options *options, hem__truth *out, hem_error *err) {
  hem__truth t = {.engine = engine, .embeddings = embeddings, .samples = samples, .count = count};
  size_t values, width = engine->learned.metric->width, done = 0;
  float *points = NULL;
  if (!hem__mul(count, width, &values)) return hem__fail(err, HEM_ENOMEM, "too many queries");
  hem_status status = hem__alloc(count, sizeof *t.own, "truth", &t.own, err);
  if (!status) status = hem__alloc(count, sizeof *t.all, "truth", &t.all, err);
  if (!status) status = hem__alloc(values, sizeof *points, "queries", &points, err);
  if (!status) status = project_samples(&t, points, err);
  hem__matrix queries = {.at = points, .rows = count, .dim = width};
  for (size_t c = 0; c < engine->category_count && !status; c++)
    status = score_category(&t, c, queries, options, &done, err);
  free(points);
  if (status) {
    hem__truth_clear(&t);
  } else {
    *out = t;
  }
  return status;
}

void hem__truth_clear(hem__truth *t) {
  free(t->own);
  free(t->all);
  *t = (hem__truth){0};
}

/* ---- comparing ---- */

static bool is_true(const hem__truth *t, const hem__true_list *list, const hem_hit *hit) {
  const hem__gallery *g = &t->engine->gallery;
  for (size_t i = 0; i < list->count; i++)
    if (!strcmp(g->text + g->item_id[list->at[i].item], hit->item_id)) return true;
  return false;
}

/* Is the hit as good as the last of the true ones, in double precision? `points`: query, hit, last. */
static hem_status is_as_good(const hem__truth *t, size_t sample, const hem__true_list *list, const hem_hit *hit,
                             bool *yes, hem_error *err) {
  const hem__metric *m = t->engine->learned.metric;
  const size_t rows[] = {t->samples[sample].row, hit->row, t->engine->gallery.row[list->at[list->count - 1].photo]};
  float *points = NULL;
  hem_status status = hem__alloc(3 * m->width, sizeof *points, "points", &points, err);
  for (size_t i = 0; i < 3 && !status; i++)
    status = hem__metric_project(m, hem__row(t->embeddings, rows[i]), 1, points + i * m->width, err);
  if (!status)
    *yes = hem__metric_score(m, points, points + m->width) >= hem__metric_score(m, points, points + 2 * m->width);
  free(points);
  return status;
}

hem_status hem__truth_overlap(const hem__truth *t, size_t sample, bool all, const hem_answer *answer, size_t *right,
                              hem_error *err) {
  const hem__true_list *list = all ? &t->all[sample] : &t->own[sample];
  hem_status status = HEM_OK;
  *right = 0;
  for (size_t i = 0; i < answer->found && !status; i++) {
    bool yes = is_true(t, list, &answer->hits[i]);
    if (!yes && list->count) status = is_as_good(t, sample, list, &answer->hits[i], &yes, err);
    *right += yes;
  }
  *right = hem__min(*right, list->count);
  return status;
}
