/* The run from check to check, and what the columns alone tell. */
#include "bench/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

const hem__ailment_text hem__ailment_texts[HEM__AILMENTS] = {
    [HEM__LEAK] =
        {"leak", "One picture on both sides of a test",
         "The same picture is in two of train, validation and test, or with a customer and in the shop: what is "
         "measured with it is too good. Keep one.",
         "difference"},
    [HEM__TWO_ITEMS] = {"two-items", "One picture under two items or categories",
                        "The items are one, share a photo, or one of them has the wrong photo.", "difference"},
    [HEM__DUPLICATE] = {"duplicate", "One picture twice in one item",
                        "Harmless, but it costs an embedding and a place among the answers.", "difference"},
    [HEM__GONE] = {"gone", "Photos whose file is not there", "Put the file back, or ingest without it.", NULL},
    [HEM__CHANGED] = {"changed", "Photos whose file has changed",
                      "The embedding is of what the file was. Ingest again.", NULL},
    [HEM__UNREADABLE] = {"unreadable", "Photos whose file can no longer be read", "", NULL},
    [HEM__REJECTED] = {"rejected", "Photos that ingest refused", "They are not in the catalogue.", NULL},
    [HEM__BLANK] = {"blank", "Blank pictures", "Nothing is on them: all of it has nearly one brightness.", NULL},
    [HEM__TINY] = {"tiny", "Tiny pictures", "Too few pixels to tell a garment by, and far fewer than most have here.",
                   "pixels"},
    [HEM__NOT_FINITE] = {"not-finite", "Embeddings that are no numbers",
                         "NaN, infinity, or a value beyond 1e15: such a photo cannot be searched.", NULL},
    [HEM__ZERO] = {"zero", "Embeddings of zeros", "They are equally far from everything.", NULL},
    [HEM__CONSTANT] = {"constant", "Embeddings of one value", "They carry nothing of the photo.", NULL},
    [HEM__SAME_VECTOR] = {"same-vector", "Equal embeddings of different photos",
                          "The network or feature did not look at the photo, or vectors were assigned twice.", NULL},
    [HEM__WRONG_CATEGORY] =
        {"wrong-category", "Photos that look like another category",
         "Far nearer to another category’s photos than to those of its own, and more so than nearly "
         "all photos of its category. Often filed wrongly; sometimes just unusual.",
         "score"},
    [HEM__FAR] = {"far", "Photos unlike all others",
                  "Much farther from their nearest neighbours than is usual in their category: not a garment, or a "
                  "broken picture, or one of a kind.",
                  "score"}};

/* ---- collecting ---- */

hem_status hem__doctor_find(hem__doctor_run *run, hem__ailment kind, double measure, const char *note, hem_error *err) {
  hem__diagnosis *d = &run->found;
  const char *kept = NULL;
  hem_status status = hem__arena_copy(&d->strings, note, strlen(note), &kept, err);
  if (!status)
    status = hem__grow(&d->findings, &d->finding_capacity, d->finding_count + 1, sizeof *d->findings, "findings", err);
  if (status) return status;
  d->findings[d->finding_count++] =
      (hem__finding){.kind = kind, .first = d->member_count, .measure = measure, .note = kept};
  d->counts[kind]++;
  return HEM_OK;
}

hem_status hem__doctor_member(hem__doctor_run *run, size_t row, double measure, hem_error *err) {
  hem__diagnosis *d = &run->found;
  hem_status status =
      hem__grow(&d->members, &d->member_capacity, d->member_count + 1, sizeof *d->members, "findings", err);
  if (status) return status;
  d->members[d->member_count++] = (hem__member){.row = row, .measure = measure};
  d->findings[d->finding_count - 1].count++;
  return HEM_OK;
}

hem_status hem__doctor_find_one(hem__doctor_run *run, hem__ailment kind, size_t row, double measure, const char *note,
                                hem_error *err) {
  hem_status status = hem__doctor_find(run, kind, measure, note, err);
  return status ? status : hem__doctor_member(run, row, measure, err);
}

hem_status hem__doctor_loop(const hem__doctor_run *run, const hem__doctor_steps *steps, hem_error *err) {
  size_t all = (steps->count + steps->each - 1) / steps->each;
  const hem_progress *progress = &run->options.progress;
  hem_status status = hem__progress_report(progress, steps->stage, 0, steps->count, "photos", err);
  for (size_t first = 0; first < all && !status; first += steps->portion) {
    size_t now = hem__min(steps->portion, all - first), done = hem__min((first + now) * steps->each, steps->count);
    *steps->first = first;
    status = hem__parallel_for(now, run->threads, steps->body, steps->context, err);
    if (!status) status = hem__progress_report(progress, steps->stage, done, steps->count, "photos", err);
  }
  return status;
}

/* ---- what the columns tell ---- */

typedef struct refusal {
  size_t place, kind;
} refusal;

static int by_kind(const void *a, const void *b) {
  const refusal *x = a, *y = b;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  return (x->place > y->place) - (x->place < y->place);
}

/* One finding a reason; its note is the reason of the first photo. */
static hem_status find_rejected(hem__doctor_run *run, hem_error *err) {
  size_t count = run->photos->rejected_count;
  size_t *kinds = NULL, kind_count;
  refusal *refusals = NULL;
  hem_status status = hem__alloc(count, sizeof *refusals, "rejections", &refusals, err);
  if (!status) status = hem__alloc(count, sizeof *kinds, "rejections", &kinds, err);
  if (!status) status = hem__rejection_kinds(run->photos, kinds, &kind_count, err);
  for (size_t i = 0; i < count && !status; i++) refusals[i] = (refusal){.place = i, .kind = kinds[i]};
  if (!status && count) qsort(refusals, count, sizeof *refusals, by_kind);
  for (size_t i = 0; i < count && !status; i++) {
    if (!i || refusals[i].kind != refusals[i - 1].kind)
      status = hem__doctor_find(run, HEM__REJECTED, 0, run->photos->rejected[refusals[i].place].reason, err);
    if (!status) status = hem__doctor_member(run, refusals[i].place, 0, err);
  }
  free(refusals);
  free(kinds);
  return status;
}

/* The shorter side of what is left of a photo inside its box. */
static uint32_t shorter_side(const hem__photo *photo) {
  uint32_t width = photo->width, height = photo->height;
  if (photo->box.width > 0 && photo->box.height > 0) {
    bool parts = photo->box.unit == HEM__MILLIONTHS;
    uint64_t w = parts ? (uint64_t)photo->box.width * width / 1000000 : (uint64_t)photo->box.width;
    uint64_t h = parts ? (uint64_t)photo->box.height * height / 1000000 : (uint64_t)photo->box.height;
    width = (uint32_t)hem__min(width, w);
    height = (uint32_t)hem__min(height, h);
  }
  return width < height ? width : height;
}

static hem_status find_tiny(hem__doctor_run *run, hem_error *err) {
  enum { TINY = 64 };
  size_t tiny = 0, photos = 0;
  hem_status status = HEM_OK;
  for (size_t i = 0; i < run->photos->count; i++) {
    if (!run->photos->at[i].width) continue; /* was never a photo */
    photos++;
    tiny += shorter_side(&run->photos->at[i]) < TINY;
  }
  if (tiny > photos / 2) return HEM_OK;
  for (size_t i = 0; i < run->photos->count && tiny && !status; i++) {
    const hem__photo *photo = &run->photos->at[i];
    if (!photo->width || shorter_side(photo) >= TINY) continue;
    status = hem__doctor_find_one(run, HEM__TINY, i, shorter_side(photo), "", err);
  }
  return status;
}

/* ---- the run ---- */

/* qsort's comparison sees no context: the first member's row goes into each finding's key. */
typedef struct sorted {
  hem__finding finding;
  size_t row;
} sorted;

static int by_weight(const void *a, const void *b) {
  const sorted *x = a, *y = b;
  if (x->finding.kind != y->finding.kind) return x->finding.kind < y->finding.kind ? -1 : 1;
  if (x->finding.count != y->finding.count) return x->finding.count > y->finding.count ? -1 : 1;
  bool scored = x->finding.kind == HEM__WRONG_CATEGORY || x->finding.kind == HEM__FAR;
  if (scored && x->finding.measure != y->finding.measure) return x->finding.measure > y->finding.measure ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static hem_status sort_findings(hem__diagnosis *d, hem_error *err) {
  sorted *order = NULL;
  hem_status status = hem__alloc(d->finding_count, sizeof *order, "findings", &order, err);
  if (status) return status;
  for (size_t i = 0; i < d->finding_count; i++)
    order[i] = (sorted){.finding = d->findings[i], .row = d->members[d->findings[i].first].row};
  if (d->finding_count) qsort(order, d->finding_count, sizeof *order, by_weight);
  for (size_t i = 0; i < d->finding_count; i++) d->findings[i] = order[i].finding;
  free(order);
  return HEM_OK;
}

hem_status hem__doctor(hem__catalog *catalog, const hem__doctor_options *options, hem__diagnosis *out, hem_error *err) {
  hem__doctor_run run = {.options = *options,
                         .catalog = catalog,
                         .photos = hem__catalog_photos(catalog),
                         .threads = options->threads ? options->threads : hem__cores()};
  run.found.photos = run.photos->count;
  hem_status status = hem__pictures_open(catalog, options->idx, &run.pictures, err);
  if (!status) status = hem__alloc(run.photos->count, sizeof *run.alike, "photos", &run.alike, err);
  if (!status) status = find_rejected(&run, err);
  if (!status) status = find_tiny(&run, err);
  if (!status) status = hem__doctor_look(&run, err);
  if (!status) status = hem__doctor_vectors(&run, err);
  if (!status) status = hem__doctor_outliers(&run, err);
  if (!status) status = sort_findings(&run.found, err);
  hem__pictures_close(run.pictures);
  free(run.alike);
  if (status) {
    hem__diagnosis_clear(&run.found);
    return status;
  }
  *out = run.found;
  return HEM_OK;
}

void hem__diagnosis_clear(hem__diagnosis *diagnosis) {
  free(diagnosis->findings);
  free(diagnosis->members);
  hem__arena_clear(&diagnosis->strings);
  *diagnosis = (hem__diagnosis){0};
}
