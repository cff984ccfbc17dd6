/* MAIN PATH of `hemline ingest`: photos -> embeddings -> catalogue.
 *
 * The source lists photos; those the catalogue holds already, unchanged, are skipped: told by path, size and time of
 * change, and where these differ by SHA-256. The others are decoded and embedded a batch at a time, by all cores, each
 * photo by one core from its file to its own row: so decoding and inference overlap without a queue between them. A
 * full batch is sealed as a segment beside the catalogue, in a thread of its own, while the next batch is embedded. At
 * the end the old catalogue and the segments are folded into one new file, which replaces the old one in one step. A
 * run that is killed loses the batch in progress and the one being sealed; the same command goes on behind the last
 * sealed segment. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/threads.h"
#include "ingest/known.h"
#include "ingest/network.h"
#include "ingest/segments.h"
#include "ingest/source.h"
#include "ingest/vectors.h"

enum {
  SEGMENT_ROWS = 8192,
  SEGMENT_ROWS_NETWORK = 512, /* embedding takes longer then: a kill is not to lose minutes of it */
  SEGMENT_BYTES = 64 << 20,
  SEGMENT_ROWS_MIN = 64,
  REPORT_EVERY = 256,
  LOOKED_AT_MOST = 1 << 16
};
#define USUAL "hog,color,ccv,harris"

/* One listed photo on its way. */
typedef struct slot {
  hem__listed listed;
  bool there;          /* the catalogue has it with the same item and so on: only a change of its file is news */
  bool replaces;       /* the catalogue has it: what is embedded now takes the place of that */
  bool unchanged;      /* nothing was embedded */
  hem__known_photo as; /* what is known of it */
  hem_error error;     /* code not HEM_OK: it is rejected */
} slot;

/* Photos on their way into one segment. Row i of `vectors` belongs to slot i. */
typedef struct batch {
  slot *slots;
  float *vectors[HEM__SPACES_MAX];
  size_t count;
  hem__photos photos; /* what is sealed of it */
} batch;

typedef struct ingest {
  hem_ingest_options options;
  char *catalog;                               /* its real path */
  hem__extractor *extractors[HEM__SPACES_MAX]; /* none where the source has vectors */
  size_t extractor_count;
  hem__ready_made ready_made;
  hem__space spaces[HEM__SPACES_MAX];
  size_t space_count, rows, threads; /* rows: of a batch */
  hem__extractor_scratch **scratch;  /* threads x spaces */
  hem__source *source;
  hem__segments segments;
  hem__known known;      /* photos in the catalogue and its segments, and those listed so far */
  hem__set rejected;     /* keys that the catalogue and its segments list as rejected */
  hem__set rejected_now; /* by this run */
  hem__arena strings;    /* of the sets */
  batch batches[2];
  pthread_t sealer;
  batch *sealing; /* not NULL: the sealer runs on it */
  hem_error seal_error;
  hem_ingest_result result;
  uint64_t listed, unreported;
} ingest;

/* ---- opening ---- */

static int by_space(const void *a, const void *b) {
  return strcmp(hem__extractor_space(*(hem__extractor *const *)a), hem__extractor_space(*(hem__extractor *const *)b));
}

static void describe_space(const hem__extractor *x, hem__space *space) {
  *space = (hem__space){.name = hem__extractor_space(x),
                        .features = hem__extractor_features(x),
                        .recipe = hem__extractor_recipe(x),
                        .hash = hem__extractor_hash(x),
                        .dim = hem__extractor_dim(x)};
  const hem__block *blocks = hem__extractor_blocks(x, &space->block_count);
  memcpy(space->blocks, blocks, space->block_count * sizeof *blocks);
}

/* The one space of a source that has vectors. */
static hem_status open_ready_made(ingest *in, hem_error *err) {
  size_t dim = in->source->dim;
  if (in->options.feature_count)
    return hem__fail(err, HEM_EINVAL, "vectors are ready-made: features cannot be computed as well");
  hem_status status = hem__ready_made_new(in->options.space_name, dim, &in->ready_made, err);
  if (status) return status;
  in->spaces[0] = (hem__space){.name = in->ready_made.name,
                               .features = in->ready_made.features,
                               .recipe = in->ready_made.recipe,
                               .hash = in->ready_made.hash,
                               .dim = dim,
                               .blocks = {{.name = "vectors", .dim = dim}},
                               .block_count = 1};
  in->space_count = 1;
  return HEM_OK;
}

/* The caller's; else those of the catalogue that is there; else the usual ones. */
static hem_status choose_features(const ingest *in, const char *features[HEM__SPACES_MAX], size_t *count,
                                  hem_error *err) {
  const hem_ingest_options *o = &in->options;
  const hem__catalog *there = in->segments.count ? in->segments.open[0] : NULL;
  *count = o->feature_count ? o->feature_count : there ? hem__catalog_space_count(there) : 1;
  if (o->feature_count && !o->features)
    return hem__fail(err, HEM_EINVAL, "feature_count is %zu and features is NULL", *count);
  if (*count > HEM__SPACES_MAX)
    return hem__fail(err, HEM_EINVAL, "%zu embedding spaces are more than %d", *count, HEM__SPACES_MAX);
  hem_status status = HEM_OK;
  for (size_t i = 0; i < *count && !status; i++) {
    features[i] = o->feature_count ? o->features[i] : there ? hem__catalog_space(there, i)->features : USUAL;
    status =
        features[i] ? hem__ready_made_refuse(features[i], err) : hem__fail(err, HEM_EINVAL, "features[%zu] is NULL", i);
  }
  return status;
}

static hem_status open_spaces(ingest *in, hem_error *err) {
  if (in->source->dim) return open_ready_made(in, err);
  const char *features[HEM__SPACES_MAX];
  size_t count = 0;
  hem_status status = choose_features(in, features, &count, err);
  for (; in->extractor_count < count && !status; in->extractor_count += !status)
    status = hem__extractor_new(features[in->extractor_count], &in->extractors[in->extractor_count], err);
  in->space_count = in->extractor_count;
  qsort(in->extractors, in->space_count, sizeof in->extractors[0], by_space);
  for (size_t i = 0; i < in->space_count && !status; i++) {
    describe_space(in->extractors[i], &in->spaces[i]);
    if (i && !strcmp(in->spaces[i - 1].name, in->spaces[i].name))
      status = strcmp(in->spaces[i - 1].hash, in->spaces[i].hash) == 0
                   ? hem__fail(err, HEM_EINVAL, "features '%s' are asked for twice", in->spaces[i].features)
                   : hem__fail(err, HEM_EINVAL,
                               "'%.150s' and '%.150s' would both be the space '%s': rename one of the files",
                               in->spaces[i - 1].features, in->spaces[i].features, in->spaces[i].name);
  }
  return status;
}

/* A catalogue lists its spaces by name; so does a run, so that space i is the same one everywhere. */
static hem_status check_same_spaces(const ingest *in, const hem__catalog *catalog, hem_error *err) {
  bool same = hem__catalog_space_count(catalog) == in->space_count;
  for (size_t i = 0; same && i < in->space_count; i++) {
    const hem__space *there = hem__catalog_space(catalog, i);
    same = !strcmp(there->name, in->spaces[i].name) && !strcmp(there->hash, in->spaces[i].hash) &&
           there->dim == in->spaces[i].dim;
  }
  if (same) return HEM_OK;
  const hem__space *there = hem__catalog_space(catalog, 0);
  return hem__fail(err, HEM_EMISMATCH,
                   "%s holds %zu embedding space(s), '%s' (%.12s) first; this run would add '%s' (%.12s): ingest with "
                   "the same features, or into a new catalogue",
                   hem__catalog_path(catalog), hem__catalog_space_count(catalog), there->features, there->hash,
                   in->spaces[0].features, in->spaces[0].hash);
}

static hem_status check_catalog(ingest *in, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t c = 0; c < in->segments.count && !status; c++) {
    const hem__photos *photos = hem__catalog_photos(in->segments.open[c]);
    status = check_same_spaces(in, in->segments.open[c], err);
    for (size_t i = 0; i < photos->rejected_count && !status; i++)
      status = hem__set_add(&in->rejected, photos->rejected[i].path, NULL, err);
  }
  in->result.rows = in->known.count;
  return status;
}

static hem_status open_source(ingest *in, hem_error *err) {
  const hem_ingest_options *o = &in->options;
  hem__usual usual = {0};
  bool listed = o->manifest && !o->vectors; /* with vectors, a manifest says what they are */
  hem_status status = hem__usual_parse(o->domain, o->split, &usual, err);
  if (status) return status;
  if ((o->idx != NULL) + listed + (o->folder != NULL) + (o->deepfashion != NULL) + (o->vectors != NULL) != 1)
    return hem__fail(err, HEM_EINVAL, "name one source of photos: idx, manifest, folder, deepfashion or vectors");
  if (o->idx) return hem__source_idx(o->idx, &in->source, err);
  if (o->folder) return hem__source_folder(o->folder, usual, &in->source, err);
  if (o->deepfashion) return hem__source_deepfashion(o->deepfashion, o->whole_photos, &in->source, err);
  if (o->vectors) return hem__source_vectors(o->vectors, o->manifest, usual, &in->source, err);
  return hem__source_manifest(o->manifest, &in->source, err);
}

static hem_status open_batches(ingest *in, hem_error *err) {
  size_t bytes = 0, rows = SEGMENT_ROWS;
  for (size_t i = 0; i < in->extractor_count; i++)
    if (hem__has_network(in->spaces[i].features)) rows = SEGMENT_ROWS_NETWORK;
  for (size_t i = 0; i < in->space_count; i++) bytes += in->spaces[i].dim * sizeof(float);
  in->rows = in->options.segment_rows;
  if (!in->rows) in->rows = hem__max(hem__min(rows, SEGMENT_BYTES / bytes), SEGMENT_ROWS_MIN);
  hem_status status = HEM_OK;
  for (batch *b = in->batches; b < in->batches + 2 && !status; b++) {
    status = hem__alloc(in->rows, sizeof *b->slots, "a batch", &b->slots, err);
    for (size_t i = 0; i < in->space_count && !status; i++) {
      size_t values;
      if (!hem__mul(in->rows, in->spaces[i].dim, &values))
        return hem__fail(err, HEM_EINVAL, "segments of %zu photos are too large", in->rows);
      status = hem__alloc(values, sizeof(float), "a batch", &b->vectors[i], err);
    }
  }
  return status;
}

static hem_status open_scratch(ingest *in, hem_error *err) {
  /* No more than there are photos between two reports: others would have nothing to do. */
  in->threads = hem__min(in->options.threads ? in->options.threads : hem__cores(), REPORT_EVERY);
  hem_status status = hem__alloc(in->threads * in->extractor_count, sizeof(void *), "scratch", &in->scratch, err);
  for (size_t i = 0; i < in->threads * in->extractor_count && !status; i++)
    status = hem__extractor_scratch_new(in->extractors[i % in->extractor_count], &in->scratch[i], err);
  return status;
}

/* ---- embedding ---- */

/* The parallel body: slot i of the batch, and nothing else. */
typedef struct embedding {
  const ingest *in;
  batch *b;
  size_t first;
} embedding;

/* Copies a ready-made vector into the photo's row. */
static hem_status copy_vector(const embedding *e, slot *s, size_t i, hem_error *err) {
  const ingest *in = e->in;
  hem_status status =
      in->source->read_vector(in->source, &s->listed, &s->listed.photo, e->b->vectors[0] + i * in->spaces[0].dim, err);
  s->unchanged = !status && s->there && hem__digest_equal(&s->as.source, &s->listed.photo.source);
  return status;
}

/* Decodes and extracts, unless the photo's bytes are those that the catalogue has embedded. */
static hem_status embed_photo(const embedding *e, slot *s, size_t i, size_t worker, hem_error *err) {
  const ingest *in = e->in;
  hem__image image = {0};
  const hem__digest *unless = s->there ? &s->as.source : NULL;
  hem_status status = in->source->read(in->source, &s->listed, unless, &s->listed.photo, &image, err);
  s->unchanged = !status && !image.at;
  for (size_t space = 0; space < in->space_count && image.at && !status; space++)
    status = hem__extract(in->extractors[space], in->scratch[worker * in->space_count + space], &image,
                          e->b->vectors[space] + i * in->spaces[space].dim, err);
  hem__image_clear(&image);
  return status;
}

static bool is_stamp_known(const slot *s) {
  return s->there && s->as.mtime_ns && s->as.bytes == s->listed.photo.bytes &&
         s->as.mtime_ns == s->listed.photo.mtime_ns;
}

static void embed_one(void *context, size_t i, size_t worker) {
  const embedding *e = context;
  i += e->first;
  slot *s = &e->b->slots[i];
  if (s->listed.reason) {
    hem__fail(&s->error, HEM_ECORRUPT, "%s", s->listed.reason);
    return;
  }
  hem_status status = e->in->source->look(e->in->source, &s->listed, &s->listed.photo, &s->error);
  s->unchanged = !status && is_stamp_known(s);
  if (!status && !s->unchanged)
    status = e->in->source->dim ? copy_vector(e, s, i, &s->error) : embed_photo(e, s, i, worker, &s->error);
  s->error.code = status;
}

/* Photos that were only looked at go by too fast for a report of each portion. */
static bool is_worth_a_report(ingest *in, const batch *b, size_t first, size_t count) {
  bool embedded = in->unreported >= LOOKED_AT_MOST;
  for (size_t i = first; i < first + count && !embedded; i++) embedded = !b->slots[i].unchanged;
  if (embedded) in->unreported = 0;
  return embedded;
}

static hem_status embed(ingest *in, batch *b, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t first = 0; first < b->count && !status; first += REPORT_EVERY) {
    size_t count = hem__min(REPORT_EVERY, b->count - first);
    embedding e = {.in = in, .b = b, .first = first};
    status = hem__parallel_for(count, in->threads, embed_one, &e, err);
    in->unreported += count;
    if (!status && is_worth_a_report(in, b, first, count))
      status = hem__progress_report(&in->options.progress, "ingest", in->listed - b->count + first + count,
                                    in->source->count, "photos", err);
  }
  return status;
}

/* A photo that this listing has as something else: its line is rejected, since neither can be right for sure. */
static hem_status reject_conflict(ingest *in, hem__listed *listed, hem_error *err) {
  char key[HEM__KEY_MAX];
  char *name = NULL;
  hem__photo_key(&listed->photo, key);
  hem_status status = listed->line ? hem__print(&name, err, "%s:%zu", in->source->listing, listed->line)
                                   : hem__print(&name, err, "%s (again)", key);
  if (!status) status = hem__arena_copy(&in->strings, name, strlen(name), &listed->photo.path, err);
  free(name);
  listed->photo.box = (hem__box){0};
  listed->reason = "this photo is listed twice, the other time with another item, category, label, domain or split";
  return status;
}

/* Takes a listed photo into the batch, unless this run has met it. */
static hem_status take(ingest *in, batch *b, const hem__listed *next, hem_error *err) {
  slot *s = &b->slots[b->count];
  hem__meeting meeting = HEM__NEW;
  hem_status status = HEM_OK;
  *s = (slot){.listed = *next};
  if (!next->reason) status = hem__known_meet(&in->known, &next->photo, &meeting, &s->as, err);
  if (!status && meeting == HEM__CONFLICT) status = reject_conflict(in, &s->listed, err);
  s->there = meeting == HEM__THERE;
  s->replaces = (meeting == HEM__THERE || meeting == HEM__CHANGED) && s->as.part != UINT32_MAX;
  in->result.skipped += meeting == HEM__AGAIN;
  b->count += meeting != HEM__AGAIN;
  return status;
}

/* Fills the batch. The strings of the last one are needed no more: what was sealed of it are copies. */
static hem_status list(ingest *in, batch *b, bool *more, hem_error *err) {
  hem_status status = HEM_OK;
  in->source->forget(in->source);
  *more = true;
  b->count = 0;
  while (b->count < in->rows && !status) {
    hem__listed next = {0};
    status = in->source->next(in->source, &next, more, err);
    if (status || !*more) break;
    in->listed++;
    status = take(in, b, &next, err);
  }
  return status;
}

static hem_status reject(ingest *in, batch *b, const hem__photo *photo, const char *reason, hem_error *err) {
  char key[HEM__KEY_MAX];
  const char *kept;
  hem__photo_key(photo, key);
  hem_status status = hem__arena_copy(&in->strings, key, strlen(key), &kept, err);
  if (!status) status = hem__set_add(&in->rejected_now, kept, NULL, err);
  return status ? status : hem__photos_reject(&b->photos, key, reason, err);
}

/* Row `to` of every space becomes what row `from` is. */
static void move_row(const ingest *in, batch *b, size_t from, size_t to) {
  for (size_t s = 0; s < in->space_count && to != from; s++)
    memcpy(b->vectors[s] + to * in->spaces[s].dim, b->vectors[s] + from * in->spaces[s].dim,
           in->spaces[s].dim * sizeof(float));
}

/* Moves the rows that came out well together, and notes the others. What failed for want of memory is not
 * the photo's fault: that stops the run. */
static hem_status settle(ingest *in, batch *b, hem_error *err) {
  hem_status status = HEM_OK;
  hem__photos_clear(&b->photos);
  for (size_t i = 0; i < b->count && !status; i++) {
    slot *s = &b->slots[i];
    size_t to = b->photos.count;
    if (s->unchanged) {
      in->result.skipped++;
      continue;
    }
    if (!s->error.code) s->error.code = hem__photos_add(&b->photos, &s->listed.photo, &s->error);
    if (s->error.code == HEM_ENOMEM) return hem__fail(err, HEM_ENOMEM, "%s", s->error.message);
    if (s->error.code) {
      status = reject(in, b, &s->listed.photo, s->error.message, err);
      continue;
    }
    move_row(in, b, i, to);
    in->result.replaced += s->replaces;
    in->result.added += !s->replaces;
  }
  in->result.rejected += b->photos.rejected_count;
  return status;
}

/* ---- sealing ---- */

/* A batch of nothing but photos that were rejected before says nothing new. */
static bool is_news(const ingest *in, const batch *b) {
  bool news = b->photos.count > 0;
  for (size_t i = 0; i < b->photos.rejected_count && !news; i++)
    news = hem__set_find(&in->rejected, b->photos.rejected[i].path) == SIZE_MAX;
  return news;
}

static void *seal(void *context) {
  ingest *in = context;
  batch *b = in->sealing;
  hem__matrix vectors[HEM__SPACES_MAX];
  for (size_t i = 0; i < in->space_count; i++)
    vectors[i] = (hem__matrix){.at = b->vectors[i], .rows = b->photos.count, .dim = in->spaces[i].dim};
  hem__catalog_part part = {.photos = b->photos.at, .count = b->photos.count, .vectors = vectors};
  in->seal_error.code =
      hem__segments_seal(&in->segments, in->spaces, in->space_count, &part, &b->photos, &in->seal_error);
  return NULL;
}

static hem_status seal_wait(ingest *in, hem_error *err) {
  if (!in->sealing) return HEM_OK;
  pthread_join(in->sealer, NULL);
  in->sealing = NULL;
  return in->seal_error.code ? hem__fail(err, in->seal_error.code, "%s", in->seal_error.message) : HEM_OK;
}

static hem_status seal_start(ingest *in, batch *b, hem_error *err) {
  hem_status status = seal_wait(in, err);
  if (status || !is_news(in, b)) return status;
  in->sealing = b;
  if (pthread_create(&in->sealer, NULL, seal, in) != 0) {
    in->sealing = NULL;
    return hem__fail(err, HEM_ENOMEM, "cannot start the thread that seals segments");
  }
  return HEM_OK;
}

/* ---- the run ---- */

static hem_status open_all(ingest *in, hem_error *err) {
  hem_status status = open_source(in, err);
  if (!status) status = hem__segments_open(in->options.catalog, &in->known, &in->segments, err);
  if (!status) status = open_spaces(in, err);
  if (!status) status = check_catalog(in, err);
  if (!status) status = open_batches(in, err);
  if (!status) status = open_scratch(in, err);
  return status;
}

/* One file, no segments, and no rejection of it mended: then there is nothing to fold. */
static hem_status fold(ingest *in, hem_error *err) {
  const hem__segments *segments = &in->segments;
  hem__fold f = {.spaces = in->spaces,
                 .space_count = in->space_count,
                 .known = &in->known,
                 .listing = in->source->listing,
                 .rejected_now = &in->rejected_now,
                 .progress = in->options.progress};
  bool folded = segments->count == 1 && hem__path_exists(segments->path) && !hem__path_exists(segments->folder);
  if (segments->count == 0 || (folded && !hem__segments_mended(segments, &f))) return HEM_OK;
  return hem__segments_fold(&in->segments, &f, &in->result.rows, err);
}

static hem_status run(ingest *in, hem_error *err) {
  hem_status status = HEM_OK;
  bool more = true;
  for (size_t turn = 0; more && !status; turn++) {
    batch *b = &in->batches[turn % 2];
    status = list(in, b, &more, err);
    if (!status) status = embed(in, b, err);
    if (!status) status = settle(in, b, err);
    if (!status) status = seal_start(in, b, err);
  }
  hem_status sealed = seal_wait(in, status ? NULL : err);
  if (!status) status = sealed;
  if (!status && in->listed == 0) status = hem__fail(err, HEM_ENOTFOUND, "the source lists no photos");
  if (!status) status = fold(in, err);
  return status;
}

static void close_all(ingest *in) {
  seal_wait(in, NULL);
  for (batch *b = in->batches; b < in->batches + 2; b++) {
    hem__photos_clear(&b->photos);
    for (size_t i = 0; i < in->space_count; i++) free(b->vectors[i]);
    free(b->slots);
  }
  hem__known_clear(&in->known);
  hem__set_clear(&in->rejected);
  hem__set_clear(&in->rejected_now);
  hem__arena_clear(&in->strings);
  hem__segments_close(&in->segments);
  if (in->source) in->source->close(in->source);
  for (size_t i = 0; in->scratch && i < in->threads * in->extractor_count; i++)
    hem__extractor_scratch_free(in->scratch[i]);
  free(in->scratch);
  free(in->catalog);
  for (size_t i = 0; i < in->extractor_count; i++) hem__extractor_free(in->extractors[i]);
  hem__ready_made_clear(&in->ready_made);
}

hem_status hem_ingest(const hem_ingest_options *options, hem_ingest_result *result, hem_error *err) {
  ingest in = {0};
  hem__lock lock = {.fd = -1};
  hem_status status = hem__options_copy(&in.options, sizeof in.options, options, "hem_ingest_options", err);
  if (!status && !in.options.catalog) status = hem__fail(err, HEM_EINVAL, "name the catalogue to ingest into");
  if (!status) status = hem__segments_lock(in.options.catalog, &in.catalog, &lock, err);
  in.options.catalog = in.catalog;
  if (!status) status = open_all(&in, err);
  if (!status) status = run(&in, err);
  if (!status && result) *result = in.result;
  close_all(&in);
  hem__lock_drop(&lock);
  return status;
}
