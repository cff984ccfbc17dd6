/* For each query the whole category is ranked exactly. Only the rank of the nearest right photo matters, so
 * nothing is sorted: that rank is one more than the number of photos that are nearer.
 *
 * A concatenated distance is a sum over feature blocks (of dot products, squares or absolute differences), so
 * each block's sums are computed once, dots by BLAS, and serve both the feature alone and the concatenation. */
#include "bench/accuracy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "metric/blas.h"
#include "metric/distance.h"

const size_t hem__cuts[HEM__CUTS] = {1, 5, 10, 20, 50};

enum { DISTANCES = 3, GALLERY_STEP = 512, QUERY_STEP = 16, SCORES_BYTES = 64 << 20 };
static const hem_distance distances[DISTANCES] = {HEM_L1, HEM_L2, HEM_COSINE};

/* ---- who asks whom ---- */

typedef struct side {
  size_t *rows;   /* of the catalogue */
  uint32_t *item; /* what makes a photo right, as a number */
  size_t count;
} side;

typedef struct contest {
  const char *category;
  side queries, gallery;
} contest;

typedef struct measure {
  hem__accuracy_options options;
  hem__catalog *catalog;
  const hem__photos *photos;
  const hem__space *space;
  hem__matrix vectors;
  size_t approaches; /* blocks, and all of them together where there are several */
  contest *contests;
  size_t contest_count;
  hem__set items;
  hem__accuracy result;
  size_t total_queries;
  size_t done;
} measure;

static const char *identity(const measure *m, size_t row) {
  return m->result.by_label ? m->photos->at[row].label : m->photos->at[row].item_id;
}

static bool in_split(const hem__photo *photo, int split) { return split < 0 || photo->split == split; }

static bool is_query(const measure *m, const hem__photo *photo) {
  uint8_t domain = m->result.leave_one_out ? HEM__SHOP : HEM__CONSUMER;
  return photo->domain == domain && in_split(photo, m->options.query_split);
}

bool hem__accuracy_in_gallery(const hem__accuracy_options *options, const hem__photo *photo) {
  return photo->domain == HEM__SHOP && in_split(photo, options->gallery_split);
}

static bool is_gallery(const measure *m, const hem__photo *photo) {
  return hem__accuracy_in_gallery(&m->options, photo);
}

/* Is this query in its own gallery? A photo does not answer itself. */
static bool is_own(const measure *m, size_t query_row) {
  return m->result.leave_one_out && is_gallery(m, &m->photos->at[query_row]);
}

/* A photo without a label is of no class: it is right for nobody, and nobody is right for it. */
static const uint32_t NOBODY = UINT32_MAX;

static hem_status side_add(measure *m, side *s, size_t row, hem_error *err) {
  const char *name = identity(m, row);
  size_t number = NOBODY;
  hem_status status = *name ? hem__set_add(&m->items, name, &number, err) : HEM_OK;
  s->rows[s->count] = row;
  s->item[s->count++] = (uint32_t)number;
  return status;
}

static hem_status side_new(side *s, size_t count, hem_error *err) {
  hem_status status = hem__alloc(count, sizeof *s->rows, "rows", &s->rows, err);
  return status ? status : hem__alloc(count, sizeof *s->item, "rows", &s->item, err);
}

/* Every step-th query, so that a limited run is a fair sample of the catalogue's order. */
static void thin(side *s, size_t limit) {
  if (limit == 0 || s->count <= limit) return;
  for (size_t i = 0; i < limit; i++) {
    size_t from = i * s->count / limit;
    s->rows[i] = s->rows[from];
    s->item[i] = s->item[from];
  }
  s->count = limit;
}

static hem_status fill_contest(measure *m, contest *c, hem_error *err) {
  size_t queries = 0, gallery = 0;
  for (size_t i = 0; i < m->photos->count; i++) {
    const hem__photo *photo = &m->photos->at[i];
    if (strcmp(photo->category, c->category) != 0) continue;
    queries += is_query(m, photo);
    gallery += is_gallery(m, photo);
  }
  hem_status status = side_new(&c->queries, queries, err);
  if (!status) status = side_new(&c->gallery, gallery, err);
  for (size_t i = 0; i < m->photos->count && !status; i++) {
    const hem__photo *photo = &m->photos->at[i];
    if (strcmp(photo->category, c->category) != 0) continue;
    if (is_query(m, photo)) status = side_add(m, &c->queries, i, err);
    if (!status && is_gallery(m, photo)) status = side_add(m, &c->gallery, i, err);
  }
  thin(&c->queries, m->options.query_limit);
  return status;
}

static int by_category(const void *a, const void *b) {
  return strcmp(((const contest *)a)->category, ((const contest *)b)->category);
}

static hem_status list_contests(measure *m, hem_error *err) {
  hem__set names = {0};
  size_t capacity = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < m->photos->count && !status; i++) {
    size_t number;
    if (!is_query(m, &m->photos->at[i])) continue;
    status = hem__set_add(&names, m->photos->at[i].category, &number, err);
    if (status || number < m->contest_count) continue;
    status = hem__grow(&m->contests, &capacity, number + 1, sizeof *m->contests, "categories", err);
    if (!status) m->contests[m->contest_count++] = (contest){.category = m->photos->at[i].category};
  }
  hem__set_clear(&names);
  if (!status && m->contest_count == 0)
    status = hem__fail(err, HEM_ENOTFOUND, "%s has no photos to query with", hem__catalog_path(m->catalog));
  if (m->contest_count) qsort(m->contests, m->contest_count, sizeof *m->contests, by_category);
  for (size_t i = 0; i < m->contest_count && !status; i++) status = fill_contest(m, &m->contests[i], err);
  for (size_t i = 0; i < m->contest_count && !status; i++) m->total_queries += m->contests[i].queries.count;
  return status;
}

static void clear_contests(measure *m) {
  for (size_t i = 0; i < m->contest_count; i++) {
    free(m->contests[i].queries.rows);
    free(m->contests[i].queries.item);
    free(m->contests[i].gallery.rows);
    free(m->contests[i].gallery.item);
  }
  free(m->contests);
  m->contests = NULL;
  m->contest_count = 0;
  hem__set_clear(&m->items);
}

/* Does any query have its item in its gallery? If not, items cannot be judged by. */
static hem_status any_answer(const measure *m, bool *found, hem_error *err) {
  uint32_t *seen = NULL; /* by item: photos in the contest's gallery */
  hem_status status = hem__alloc(m->items.count, sizeof *seen, "items", &seen, err);
  *found = false;
  for (size_t c = 0; c < m->contest_count && !status && !*found; c++) {
    const contest *x = &m->contests[c];
    memset(seen, 0, m->items.count * sizeof *seen);
    for (size_t g = 0; g < x->gallery.count; g++)
      if (x->gallery.item[g] != NOBODY) seen[x->gallery.item[g]]++;
    for (size_t q = 0; q < x->queries.count && !*found; q++)
      *found = x->queries.item[q] != NOBODY && seen[x->queries.item[q]] > is_own(m, x->queries.rows[q]);
  }
  free(seen);
  return status;
}

/* ---- ranking one contest ---- */

/* One thread's memory, for `step` queries at a time. */
typedef struct scratch {
  float *query_block, *gallery_block; /* step x dim and GALLERY_STEP x dim of one block, contiguous */
  float *query_norms;                 /* step x blocks: squared norms */
  float *dots, *sums;                 /* step x GALLERY_STEP */
  float *scores;                      /* step x approaches x DISTANCES x gallery: keys */
} scratch;

typedef struct ranking {
  measure *m;
  const contest *c;
  size_t step, first_step;
  float *gallery_norms; /* gallery x blocks */
  scratch *scratch;     /* by worker */
  uint32_t *ranks;      /* queries x approaches x DISTANCES, of the result; 0: no right photo */
  uint32_t *answers;    /* queries: how many right photos there are */
} ranking;

static hem_status scratch_new(const ranking *r, scratch *s, hem_error *err) {
  const measure *m = r->m;
  size_t widest = 0, scores = r->step * m->approaches * DISTANCES;
  for (size_t b = 0; b < m->space->block_count; b++) widest = hem__max(widest, m->space->blocks[b].dim);
  if (!hem__mul(scores, r->c->gallery.count, &scores)) return hem__fail(err, HEM_ENOMEM, "the gallery is too large");
  hem_status status = hem__alloc(r->step * widest, sizeof(float), "queries", &s->query_block, err);
  if (!status) status = hem__alloc(GALLERY_STEP * widest, sizeof(float), "gallery", &s->gallery_block, err);
  if (!status) status = hem__alloc(r->step * m->space->block_count, sizeof(float), "norms", &s->query_norms, err);
  if (!status) status = hem__alloc(r->step * GALLERY_STEP, sizeof(float), "dots", &s->dots, err);
  if (!status) status = hem__alloc(r->step * GALLERY_STEP, sizeof(float), "sums", &s->sums, err);
  if (!status) status = hem__alloc(scores, sizeof(float), "scores", &s->scores, err);
  return status;
}

static void scratch_clear(scratch *s) {
  free(s->query_block);
  free(s->gallery_block);
  free(s->query_norms);
  free(s->dots);
  free(s->sums);
  free(s->scores);
}

/* Copies one block of some rows next to each other. */
static void copy_block(const measure *m, const size_t *rows, size_t count, const hem__block *block, float *out) {
  for (size_t i = 0; i < count; i++)
    memcpy(out + i * block->dim, hem__row(m->vectors, rows[i]) + block->offset, block->dim * sizeof *out);
}

/* The key row of (query of this step, approach, distance). */
static float *score_row(const ranking *r, const scratch *s, size_t query, size_t approach, size_t distance) {
  return s->scores + ((query * r->m->approaches + approach) * DISTANCES + distance) * r->c->gallery.count;
}

/* Adds one block's raw sums to an approach: L1 sums, squared distances, and dots (turned into cosines last). */
static void add_sums(const ranking *r, const scratch *s, size_t approach, size_t block, size_t first, size_t queries,
                     size_t count) {
  size_t blocks = r->m->space->block_count;
  for (size_t q = 0; q < queries; q++) {
    float *l1 = score_row(r, s, q, approach, 0) + first, *l2 = score_row(r, s, q, approach, 1) + first;
    float *dot = score_row(r, s, q, approach, 2) + first;
    const float *dots = s->dots + q * GALLERY_STEP, *sums = s->sums + q * GALLERY_STEP;
    float norm = s->query_norms[q * blocks + block];
    for (size_t g = 0; g < count; g++) {
      l1[g] += sums[g];
      l2[g] += norm + r->gallery_norms[(first + g) * blocks + block] - 2 * dots[g];
      dot[g] += dots[g];
    }
  }
}

static void score_block(const ranking *r, scratch *s, size_t first_query, size_t queries, size_t b) {
  const measure *m = r->m;
  const hem__block *block = &m->space->blocks[b];
  size_t dim = block->dim, blocks = m->space->block_count;
  copy_block(m, r->c->queries.rows + first_query, queries, block, s->query_block);
  for (size_t q = 0; q < queries; q++) {
    float minus;
    hem__keys(HEM_IP, s->query_block + q * dim, s->query_block + q * dim, 1, dim, &minus);
    s->query_norms[q * blocks + b] = -minus;
  }
  for (size_t first = 0; first < r->c->gallery.count; first += GALLERY_STEP) {
    size_t count = hem__min(GALLERY_STEP, r->c->gallery.count - first);
    copy_block(m, r->c->gallery.rows + first, count, block, s->gallery_block);
    hem__gemm(false, true, queries, count, dim, 1, s->query_block, s->gallery_block, 0, s->dots, GALLERY_STEP);
    for (size_t q = 0; q < queries; q++)
      hem__keys(HEM_L1, s->query_block + q * dim, s->gallery_block, count, dim, s->sums + q * GALLERY_STEP);
    add_sums(r, s, b, b, first, queries, count);
    if (blocks > 1) add_sums(r, s, blocks, b, first, queries, count);
  }
}

/* Dots to cosine keys: -cos; 0 where a vector is zero. `block` = block count: all blocks together. */
static void finish_cosine(const ranking *r, const scratch *s, size_t q, size_t approach) {
  size_t blocks = r->m->space->block_count;
  size_t from = approach < blocks ? approach : 0, to = approach < blocks ? approach + 1 : blocks;
  float query_norm = 0, *dot = score_row(r, s, q, approach, 2);
  for (size_t b = from; b < to; b++) query_norm += s->query_norms[q * blocks + b];
  for (size_t g = 0; g < r->c->gallery.count; g++) {
    float norm = 0;
    for (size_t b = from; b < to; b++) norm += r->gallery_norms[g * blocks + b];
    float product = sqrtf(query_norm) * sqrtf(norm);
    dot[g] = product > 0 ? -dot[g] / product : 0;
  }
}

/* One more than the photos nearer than the nearest right one; ties go to the earlier row. 0: none is right. */
static uint32_t rank_of(const ranking *r, const float *keys, size_t query, size_t *answers) {
  const side *gallery = &r->c->gallery;
  size_t self = r->c->queries.rows[query], best = SIZE_MAX;
  uint32_t item = r->c->queries.item[query], nearer = 0;
  *answers = 0;
  for (size_t g = 0; g < gallery->count; g++) {
    if (gallery->item[g] != item || item == NOBODY || gallery->rows[g] == self) continue;
    ++*answers;
    if (best == SIZE_MAX || keys[g] < keys[best]) best = g;
  }
  if (best == SIZE_MAX) return 0;
  for (size_t g = 0; g < gallery->count; g++)
    nearer += (keys[g] < keys[best] || (keys[g] == keys[best] && g < best)) && gallery->rows[g] != self;
  return nearer + 1;
}

static void rank_step(void *context, size_t step, size_t worker) {
  ranking *r = context;
  const measure *m = r->m;
  scratch *s = &r->scratch[worker];
  size_t first = (r->first_step + step) * r->step, queries = hem__min(r->step, r->c->queries.count - first);
  memset(s->scores, 0, queries * m->approaches * DISTANCES * r->c->gallery.count * sizeof *s->scores);
  for (size_t b = 0; b < m->space->block_count; b++) score_block(r, s, first, queries, b);
  for (size_t q = 0; q < queries; q++)
    for (size_t a = 0; a < m->approaches; a++) {
      finish_cosine(r, s, q, a);
      for (size_t d = 0; d < DISTANCES; d++) {
        size_t answers;
        r->ranks[((first + q) * m->approaches + a) * DISTANCES + d] =
            rank_of(r, score_row(r, s, q, a, d), first + q, &answers);
        r->answers[first + q] = (uint32_t)answers;
      }
    }
}

static void gallery_norms(const ranking *r) {
  const hem__space *space = r->m->space;
  for (size_t g = 0; g < r->c->gallery.count; g++)
    for (size_t b = 0; b < space->block_count; b++) {
      const float *at = hem__row(r->m->vectors, r->c->gallery.rows[g]) + space->blocks[b].offset;
      float minus;
      hem__keys(HEM_IP, at, at, 1, space->blocks[b].dim, &minus);
      r->gallery_norms[g * space->block_count + b] = -minus;
    }
}

/* ---- counting ---- */

/* A random order's chance that one of `right` photos is among the first k of `total`. */
static double chance(size_t right, size_t total, size_t k) {
  double miss = 1;
  for (size_t i = 0; i < k && miss > 0; i++)
    miss *= i < total ? fmax((double)total - (double)right - (double)i, 0) / (double)(total - i) : 0;
  return 1 - miss;
}

static void count_row(const ranking *r, size_t a, size_t d, hem__accuracy_row *row) {
  const measure *m = r->m;
  size_t fewest = r->c->gallery.count;
  *row = (hem__accuracy_row){.category = r->c->category,
                             .approach = a < m->space->block_count ? m->space->blocks[a].name : m->space->name,
                             .distance = distances[d]};
  for (size_t q = 0; q < r->c->queries.count; q++) {
    uint32_t rank = r->ranks[(q * m->approaches + a) * DISTANCES + d];
    size_t rivals = r->c->gallery.count - is_own(m, r->c->queries.rows[q]);
    fewest = hem__min(fewest, rivals);
    if (rank == 0) {
      row->without++;
      continue;
    }
    row->queries++;
    for (size_t i = 0; i < HEM__CUTS; i++) {
      row->right[i] += rank <= hem__cuts[i];
      row->chance[i] += chance(r->answers[q], rivals, hem__cuts[i]);
    }
  }
  row->gallery = fewest;
  for (size_t i = 0; i < HEM__CUTS && row->queries; i++) row->chance[i] /= (double)row->queries;
}

/* In portions, between which progress is reported. */
static hem_status rank_queries(ranking *r, size_t threads, hem_error *err) {
  enum { STEPS = 16 };
  measure *m = r->m;
  size_t steps = (r->c->queries.count + r->step - 1) / r->step;
  hem_status status = HEM_OK;
  for (r->first_step = 0; r->first_step < steps && !status; r->first_step += STEPS) {
    size_t count = hem__min(STEPS, steps - r->first_step);
    status = hem__parallel_for(count, threads, rank_step, r, err);
    m->done = hem__min(m->done + count * r->step, m->total_queries);
    if (!status)
      status = hem__progress_report(&m->options.progress, "evaluate", m->done, m->total_queries, "queries", err);
  }
  return status;
}

static hem_status rank_contest(measure *m, const contest *c, hem__accuracy_row *rows, hem_error *err) {
  size_t threads = m->options.threads ? m->options.threads : hem__cores(), values = m->approaches * DISTANCES;
  ranking r = {.m = m, .c = c, .ranks = m->result.query_ranks + m->result.query_count * values};
  size_t bytes = hem__max(c->gallery.count, 1) * values * sizeof(float);
  r.step = hem__max(hem__min(SCORES_BYTES / bytes, QUERY_STEP), 1);
  hem_status status = hem__alloc(threads, sizeof *r.scratch, "scratch", &r.scratch, err);
  for (size_t i = 0; i < threads && !status; i++) status = scratch_new(&r, &r.scratch[i], err);
  if (!status) status = hem__alloc(c->queries.count, sizeof *r.answers, "ranks", &r.answers, err);
  if (!status)
    status = hem__alloc(c->gallery.count * m->space->block_count, sizeof(float), "norms", &r.gallery_norms, err);
  if (status) goto exit;
  memcpy(m->result.query_rows + m->result.query_count, c->queries.rows, c->queries.count * sizeof *c->queries.rows);
  m->result.query_count += c->queries.count;
  gallery_norms(&r);
  status = rank_queries(&r, threads, err);
  for (size_t i = 0; i < values && !status; i++) count_row(&r, i / DISTANCES, i % DISTANCES, &rows[i]);
exit:
  for (size_t i = 0; r.scratch && i < threads; i++) scratch_clear(&r.scratch[i]);
  free(r.scratch);
  free(r.answers);
  free(r.gallery_norms);
  return status;
}

/* Every query in its own category: sums of counts, chance weighted by queries. */
static void sum_rows(const measure *m, hem__accuracy_row *rows) {
  size_t values = m->approaches * DISTANCES;
  for (size_t v = 0; v < values; v++) {
    hem__accuracy_row *all = &rows[m->contest_count * values + v];
    *all = (hem__accuracy_row){.category = "all", .approach = rows[v].approach, .distance = rows[v].distance};
    for (size_t c = 0; c < m->contest_count; c++) {
      const hem__accuracy_row *row = &rows[c * values + v];
      all->queries += row->queries;
      all->without += row->without;
      all->gallery += row->gallery;
      for (size_t i = 0; i < HEM__CUTS; i++) {
        all->right[i] += row->right[i];
        all->chance[i] += row->chance[i] * (double)row->queries;
      }
    }
    for (size_t i = 0; i < HEM__CUTS && all->queries; i++) all->chance[i] /= (double)all->queries;
  }
}

/* ---- the run ---- */

static hem_status prepare(measure *m, hem_error *err) {
  bool found = false;
  m->result.leave_one_out = true;
  for (size_t i = 0; i < m->photos->count && m->result.leave_one_out; i++)
    m->result.leave_one_out = m->photos->at[i].domain == HEM__SHOP;
  m->result.by_label = m->options.match == HEM__MATCH_LABEL;
  hem_status status = list_contests(m, err);
  if (!status) status = any_answer(m, &found, err);
  if (!status && !found && m->options.match == HEM__MATCH_AUTO) {
    clear_contests(m);
    m->total_queries = 0;
    m->result.by_label = true;
    status = list_contests(m, err);
    if (!status) status = any_answer(m, &found, err);
  }
  if (!status && !found)
    status = hem__fail(err, HEM_ENOTFOUND, "no query photo of %s has a right photo in its category's gallery",
                       hem__catalog_path(m->catalog));
  return status;
}

static hem_status run(measure *m, hem_error *err) {
  size_t values = m->result.query_values = m->approaches * DISTANCES;
  hem__accuracy *out = &m->result;
  bool sums = m->contest_count > 1 || strcmp(m->contests[0].category, "all") != 0; /* or these are the sums */
  out->row_count = (m->contest_count + sums) * values;
  hem_status status = hem__alloc(out->row_count, sizeof *out->rows, "accuracy", &out->rows, err);
  if (!status) status = hem__alloc(m->total_queries, sizeof *out->query_rows, "queries", &out->query_rows, err);
  if (!status)
    status = hem__alloc(m->total_queries * values, sizeof *out->query_ranks, "ranks", &out->query_ranks, err);
  for (size_t c = 0; c < m->contest_count && !status; c++)
    status = rank_contest(m, &m->contests[c], m->result.rows + c * values, err);
  if (!status && sums) sum_rows(m, m->result.rows);
  return status;
}

hem_status hem__accuracy_measure(hem__catalog *catalog, const hem__accuracy_options *options, hem__accuracy *out,
                                 hem_error *err) {
  measure m = {.options = *options,
               .catalog = catalog,
               .photos = hem__catalog_photos(catalog),
               .space = hem__catalog_space(catalog, options->space),
               .vectors = hem__catalog_matrix(catalog, options->space)};
  m.approaches = m.space->block_count + (m.space->block_count > 1);
  hem_status status = hem__catalog_check(catalog, options->space, 0, m.photos->count, err);
  if (!status) status = prepare(&m, err);
  if (!status) status = run(&m, err);
  clear_contests(&m);
  if (status) {
    hem__accuracy_clear(&m.result);
    return status;
  }
  *out = m.result;
  return HEM_OK;
}

size_t hem__accuracy_cut(const hem__accuracy *accuracy) { return accuracy->by_label ? 0 : 3; }

void hem__accuracy_clear(hem__accuracy *accuracy) {
  free(accuracy->rows);
  free(accuracy->query_rows);
  free(accuracy->query_ranks);
  *accuracy = (hem__accuracy){0};
}
