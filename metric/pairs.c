#include "metric/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "metric/metric.h"
#include "metric/mine.h"

/* ---- photos, in their new order ---- */

/* The four runs. */
enum { LEARN_SHOP, CHECK_SHOP, LEARN_QUERY, CHECK_QUERY, UNUSED };

typedef struct entry {
  uint32_t run, group, item, row;
} entry;

typedef struct table {
  entry *at;
  size_t count;
  hem__set items, groups;
} table;

static int by_run(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->run != y->run) return x->run < y->run ? -1 : 1;
  if (x->group != y->group) return x->group < y->group ? -1 : 1;
  if (x->item != y->item) return x->item < y->item ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static uint32_t run_of(const hem__photo *photo, hem__split split) {
  bool shop = photo->domain == HEM__SHOP;
  if (split == HEM__TRAIN) return shop ? LEARN_SHOP : LEARN_QUERY;
  if (split == HEM__VALIDATION) return shop ? CHECK_SHOP : CHECK_QUERY;
  return split == HEM__NO_SPLIT && shop ? CHECK_SHOP : UNUSED;
}

static hem_status fill(const hem__photos *photos, const hem__split_rule *rule, table *t, hem_error *err) {
  bool marked = hem__split_marked(photos);
  hem_status status = hem__alloc(photos->count, sizeof *t->at, "pairs", &t->at, err);
  for (size_t i = 0; i < photos->count && !status; i++) {
    const hem__photo *photo = &photos->at[i];
    size_t item = 0, group = 0;
    uint32_t run = run_of(photo, hem__split_of(photos, i, rule, marked));
    if (run == UNUSED) continue;
    status = hem__set_add(&t->items, photo->item_id, &item, err);
    if (!status) status = hem__set_add(&t->groups, photo->category, &group, err);
    t->at[t->count++] = (entry){run, (uint32_t)group, (uint32_t)item, (uint32_t)i};
  }
  if (!status) qsort(t->at, t->count, sizeof *t->at, by_run);
  return status;
}

/* The first entry not before `key`. */
static size_t find(const table *t, entry key) {
  size_t low = 0, high = t->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (by_run(&t->at[middle], &key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* The shop photos of an entry's item and category, in the run of shop photos that is searched for it. */
static hem__range right_of(const table *t, const entry *e) {
  uint32_t run = e->run == LEARN_QUERY ? LEARN_SHOP : CHECK_SHOP;
  size_t first = find(t, (entry){run, e->group, e->item, 0});
  size_t end = find(t, (entry){run, e->group, e->item + 1, 0});
  return (hem__range){first, end - first};
}

static bool is_query(const entry *e) { return e->run == LEARN_QUERY || e->run == CHECK_QUERY; }

/* A query without a right photo teaches nothing and cannot be answered. Shop photos come first, and stay: what find()
 * finds for a query does not depend on how far this has come. */
static void drop_unanswerable(table *t) {
  size_t kept = 0, count = t->count;
  for (size_t i = 0; i < count; i++) {
    entry e = t->at[i];
    if (is_query(&e) && right_of(t, &e).count == 0) continue;
    t->at[kept++] = e;
  }
  t->count = kept;
}

static void extend(hem__range *range, size_t i) {
  if (range->count++ == 0) range->first = i;
}

static void place(hem__pairs *p, const table *t, size_t i) {
  const entry *e = &t->at[i];
  size_t part = e->run == LEARN_SHOP || e->run == LEARN_QUERY ? HEM__LEARN : HEM__CHECK;
  hem__group *group = &p->groups[e->group];
  p->row[i] = e->row;
  p->item[i] = e->item;
  p->group[i] = e->group;
  extend(is_query(e) ? &p->queries[part] : &p->shops[part], i);
  extend(is_query(e) ? &group->queries[part] : &group->shops[part], i);
  if (!is_query(e)) return;
  p->right[i] = right_of(t, e);
  if (part == HEM__LEARN) p->pair_count += p->right[i].count;
  bool new_item = i == 0 || t->at[i - 1].run != e->run || t->at[i - 1].item != e->item;
  p->items[part] += new_item;
}

static hem_status build(const table *t, hem__pairs *p, hem_error *err) {
  p->photo_count = t->count;
  p->group_count = t->groups.count;
  hem_status status = hem__alloc(t->count, sizeof *p->row, "pairs", &p->row, err);
  if (!status) status = hem__alloc(t->count, sizeof *p->item, "pairs", &p->item, err);
  if (!status) status = hem__alloc(t->count, sizeof *p->group, "pairs", &p->group, err);
  if (!status) status = hem__alloc(t->count, sizeof *p->right, "pairs", &p->right, err);
  if (!status) status = hem__alloc(p->group_count, sizeof *p->groups, "pairs", &p->groups, err);
  for (size_t i = 0; i < t->count && !status; i++) place(p, t, i);
  return status;
}

/* ---- items ---- */

static int by_key(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Sorted, each once. */
static size_t unique(uint64_t *keys, size_t count) {
  size_t kept = 0;
  qsort(keys, count, sizeof *keys, by_key);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || keys[i] != keys[i - 1]) keys[kept++] = keys[i];
  return kept;
}

/* Photos without a split are in the gallery, but nothing is learned of their items. */
static hem_status list_items(const hem__photos *photos, const hem__split_rule *rule, hem__pairs *p, hem_error *err) {
  bool marked = hem__split_marked(photos);
  uint64_t *test = NULL;
  size_t test_count = 0;
  hem_status status = hem__alloc(photos->count, sizeof *p->seen, "items", &p->seen, err);
  if (!status) status = hem__alloc(photos->count, sizeof *test, "items", &test, err);
  for (size_t i = 0; i < photos->count && !status; i++) {
    hem__split split = hem__split_of(photos, i, rule, marked);
    uint64_t key = hem__item_key(photos->at[i].item_id);
    if (split == HEM__TRAIN || split == HEM__VALIDATION) p->seen[p->seen_count++] = key;
    if (split == HEM__TEST) test[test_count++] = key;
  }
  if (!status) {
    p->seen_count = unique(p->seen, p->seen_count);
    p->test_items = unique(test, test_count);
  }
  free(test);
  return status;
}

/* ---- what a catalogue may lack ---- */

static bool has_domain(const hem__photos *photos, hem__domain domain) {
  for (size_t i = 0; i < photos->count; i++)
    if (photos->at[i].domain == domain) return true;
  return false;
}

static hem_status complain(const hem__photos *photos, const hem__pairs *p, hem_error *err) {
  if (!has_domain(photos, HEM__CONSUMER))
    return hem__fail(err, HEM_ENOTFOUND,
                     "the catalogue has no consumer photos, and a metric learns from pairs of a consumer photo and a "
                     "shop photo of one item: ingest them with domain consumer (hemline(1), LISTINGS)");
  if (!has_domain(photos, HEM__SHOP))
    return hem__fail(err, HEM_ENOTFOUND, "the catalogue has no shop photos: ingest them with domain shop");
  bool train = p->queries[HEM__LEARN].count == 0;
  if (hem__split_marked(photos))
    return hem__fail(err, HEM_ENOTFOUND,
                     "no consumer photo of the split %s has a shop photo of its item, in its category and split: mark "
                     "some items as %s, both domains",
                     train ? "train" : "validation", train ? "train" : "validation");
  return hem__fail(
      err, HEM_ENOTFOUND,
      "no item that falls into the part to %s has a consumer photo and a shop photo in one category: there "
      "are too few pairs, or the item ids of the two domains differ",
      train ? "train with" : "validate with");
}

/* Is there a wrong photo at all? */
static bool one_item(const hem__pairs *p) {
  hem__range shops = p->shops[HEM__LEARN];
  for (size_t i = 1; i < shops.count; i++)
    if (p->item[shops.first + i] != p->item[shops.first]) return false;
  return true;
}

hem_status hem__pairs_new(const hem__photos *photos, const hem__split_rule *rule, hem__pairs *out, hem_error *err) {
  table t = {0};
  hem__pairs p = {0};
  hem_status status = HEM_OK;
  if (photos->count >= UINT32_MAX) return hem__fail(err, HEM_EINVAL, "%zu photos are too many", photos->count);
  status = fill(photos, rule, &t, err);
  if (!status) {
    drop_unanswerable(&t);
    status = build(&t, &p, err);
  }
  if (!status) status = list_items(photos, rule, &p, err);
  if (!status && (p.queries[HEM__LEARN].count == 0 || p.queries[HEM__CHECK].count == 0))
    status = complain(photos, &p, err);
  if (!status && one_item(&p))
    status = hem__fail(err, HEM_ENOTFOUND,
                       "there is one item to train with: without others there is nothing to tell "
                       "it from");
  free(t.at);
  hem__set_clear(&t.items);
  hem__set_clear(&t.groups);
  if (status) {
    hem__pairs_clear(&p);
    return status;
  }
  *out = p;
  return HEM_OK;
}

void hem__pairs_clear(hem__pairs *p) {
  free(p->row);
  free(p->item);
  free(p->group);
  free(p->right);
  free(p->groups);
  free(p->seen);
  *p = (hem__pairs){0};
}

/* ---- an epoch's pairs ---- */

void hem__lesson_clear(hem__lesson *lesson) {
  free(lesson->at);
  *lesson = (hem__lesson){0};
}

static void shuffle(struct hem__sample *at, size_t count, hem__random *random) {
  for (size_t i = count; i > 1; i--) {
    size_t j = hem__random_below(random, i);
    struct hem__sample other = at[i - 1];
    at[i - 1] = at[j];
    at[j] = other;
  }
}

/* A random photo of the range that does not show the query's item; false: none was found. Where nearly all of them do,
 * luck may not find the others; they are then looked for one by one. */
static bool draw_wrong(const hem__pairs *p, size_t query, hem__range range, hem__random *random, uint32_t *out) {
  if (range.count == 0) return false;
  size_t start = 0;
  for (size_t i = 0; i < 16; i++) {
    start = range.first + hem__random_below(random, range.count);
    *out = (uint32_t)start;
    if (p->item[start] != p->item[query]) return true;
  }
  for (size_t i = 0; i < range.count; i++) {
    *out = (uint32_t)(range.first + (start - range.first + i) % range.count);
    if (p->item[*out] != p->item[query]) return true;
  }
  return false;
}

static bool draw_hard(const hem__mine *mine, size_t number, hem__random *random, uint32_t *out) {
  size_t count = mine ? mine->hard_count[number] : 0;
  if (count) *out = mine->hard[number * HEM__MINE_HARD + hem__random_below(random, count)];
  return count > 0;
}

/* The reference work's: the same ten photos for nearly every query. They are the ones of the lowest catalogue rows. */
static bool draw_first(const hem__pairs *p, size_t query, hem__random *random, uint32_t *out) {
  hem__range shops = p->groups[p->group[query]].shops[HEM__LEARN];
  uint32_t best[HEM__FIRST_MAX];
  size_t count = 0;
  for (size_t i = shops.first; i < shops.first + shops.count; i++) {
    if (p->item[i] == p->item[query]) continue;
    if (count == HEM__FIRST_MAX && p->row[i] > p->row[best[count - 1]]) continue;
    size_t at = count < HEM__FIRST_MAX ? count++ : count - 1;
    for (; at && p->row[best[at - 1]] > p->row[i]; at--) best[at] = best[at - 1];
    best[at] = (uint32_t)i;
  }
  if (count) *out = best[hem__random_below(random, count)];
  return count > 0;
}

static uint32_t draw(const hem__pairs *p, hem__negatives kind, size_t query, const hem__mine *mine,
                     hem__random *random) {
  uint32_t wrong = 0;
  hem__range category = p->groups[p->group[query]].shops[HEM__LEARN];
  size_t number = query - p->queries[HEM__LEARN].first, dice = hem__random_below(random, 8);
  if (kind == HEM__FIRST && draw_first(p, query, random, &wrong)) return wrong;
  if (kind == HEM__HARD && dice < 4 && draw_hard(mine, number, random, &wrong)) return wrong;
  bool anywhere = kind == HEM__RANDOM || (kind == HEM__HARD && dice == 7);
  if (!anywhere && draw_wrong(p, query, category, random, &wrong)) return wrong;
  draw_wrong(p, query, p->shops[HEM__LEARN], random, &wrong); /* there is one: hem__pairs_new saw to it */
  return wrong;
}

static hem_status reserve(hem__lesson *lesson, size_t pairs, size_t each, hem_error *err) {
  size_t count;
  if (!hem__mul(pairs, each, &count)) return hem__fail(err, HEM_ENOMEM, "too many pairs for one epoch");
  lesson->count = 0;
  return hem__grow(&lesson->at, &lesson->capacity, count, sizeof *lesson->at, "an epoch's pairs", err);
}

hem_status hem__lesson_pairs(const hem__pairs *p, hem__negatives kind, size_t each, const hem__mine *mine,
                             hem__random *random, hem__lesson *out, hem_error *err) {
  hem_status status = reserve(out, p->pair_count, each + 1, err);
  if (status) return status;
  hem__range queries = p->queries[HEM__LEARN];
  for (size_t q = queries.first; q < queries.first + queries.count; q++)
    for (size_t r = 0; r < p->right[q].count; r++) {
      out->at[out->count++] = (struct hem__sample){(uint32_t)q, (uint32_t)(p->right[q].first + r), 1};
      for (size_t i = 0; i < each; i++)
        out->at[out->count++] = (struct hem__sample){(uint32_t)q, draw(p, kind, q, mine, random), 0};
    }
  shuffle(out->at, out->count, random);
  return HEM_OK;
}

static void add_block(const hem__pairs *p, const struct hem__sample *pairs, size_t count, size_t from, size_t block,
                      hem__lesson *out) {
  for (size_t i = 0; i < block; i++)
    for (size_t j = 0; j < block; j++) {
      uint32_t query = pairs[(from + i) % count].a, shop = pairs[(from + j) % count].b;
      out->at[out->count++] = (struct hem__sample){query, shop, p->item[query] == p->item[shop]};
    }
}

/* Whole blocks change places, never their samples. */
static void shuffle_blocks(hem__lesson *lesson, size_t size, hem__random *random) {
  for (size_t i = lesson->count / size; i > 1; i--) {
    struct hem__sample *a = lesson->at + (i - 1) * size, *b = lesson->at + hem__random_below(random, i) * size;
    for (size_t j = 0; j < size; j++) {
      struct hem__sample other = a[j];
      a[j] = b[j];
      b[j] = other;
    }
  }
}

/* The positive pairs of some queries, shuffled, at `at`. Returns how many. */
static size_t positives(const hem__pairs *p, hem__range queries, hem__random *random, struct hem__sample *at) {
  size_t count = 0;
  for (size_t q = queries.first; q < queries.first + queries.count; q++)
    for (size_t r = 0; r < p->right[q].count; r++)
      at[count++] = (struct hem__sample){(uint32_t)q, (uint32_t)(p->right[q].first + r), 1};
  shuffle(at, count, random);
  return count;
}

hem_status hem__lesson_blocks(const hem__pairs *p, size_t block, bool mixed, hem__random *random, hem__lesson *out,
                              hem_error *err) {
  struct hem__sample *pairs = NULL;
  size_t groups = mixed ? 1 : p->group_count;
  hem_status status = hem__alloc(p->pair_count, sizeof *pairs, "an epoch's pairs", &pairs, err);
  if (!status) status = reserve(out, p->pair_count / block + groups, block * block, err);
  for (size_t g = 0; g < groups && !status; g++) {
    size_t count = positives(p, mixed ? p->queries[HEM__LEARN] : p->groups[g].queries[HEM__LEARN], random, pairs);
    for (size_t from = 0; from < count; from += block) add_block(p, pairs, count, from, block, out);
  }
  if (!status) shuffle_blocks(out, block * block, random);
  free(pairs);
  return status;
}
