#include "index/learned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metric/metric_file.h"

enum { BLOCK = 256 }; /* rows projected at once: a block's bits depend on its size */

/* ---- the metric ---- */

static double percent(uint64_t right, uint64_t queries) {
  return queries ? 100.0 * (double)right / (double)queries : 0;
}

static hem_status refuse(const char *path, const hem__metric *m, hem_error *err) {
  const hem__verdict *v = &m->verdict;
  if (v->queries == 0)
    return hem__fail(err, HEM_EUNSUPPORTED,
                     "%s was never validated: train it on a catalogue whose validation items have pairs, or --force it",
                     path);
  return hem__fail(
      err, HEM_EUNSUPPORTED,
      "%.200s is not better than plain %s: on %llu validation queries its top 20 hold the item in %.1f %%, "
      "against %.1f %% (gain %+.1f, 95%% interval %+.1f to %+.1f). Train it on more pairs, with a smaller "
      "head (--hidden) or a tower (--tower), or --force it",
      path, hem_distance_name(v->best), (unsigned long long)v->queries,
      percent(v->right[HEM__CONTENDERS - 1], v->queries), percent(v->right[v->best], v->queries), 100 * v->gain,
      100 * v->gain_low, 100 * v->gain_high);
}

hem_status hem__learning_open(const hem_index_options *o, hem__learning *out, hem_error *err) {
  hem__learning l = {.fixed = o->precision != NULL};
  if (!o->metric) {
    if (!o->force && !o->rerank && !o->precision) return HEM_OK;
    return hem__fail(err, HEM_EINVAL, "force, rerank and precision are for a metric, and none is named");
  }
  if (o->precision && !strcmp(o->precision, "f16")) {
    l.precision = HEM__F16;
  } else if (o->precision && strcmp(o->precision, "u8") != 0) {
    return hem__fail(err, HEM_EINVAL, "no precision '%s': there are u8 and f16", o->precision);
  }
  hem_status status = hem__metric_load(o->metric, &l.metric, err);
  if (!status && !o->force && !hem__metric_passed(l.metric)) status = refuse(o->metric, l.metric, err);
  if (status) {
    hem__learning_close(&l);
  } else {
    *out = l;
  }
  return status;
}

void hem__learning_close(hem__learning *l) {
  hem__metric_free(l->metric);
  hem__quantiser_clear(&l->quantiser);
  *l = (hem__learning){0};
}

hem_status hem__learning_check(const hem__learning *l, const hem__space *space, hem_error *err) {
  if (!strcmp(l->metric->space_hash, space->hash) && l->metric->dim == space->dim) return HEM_OK;
  return hem__fail(err, HEM_EMISMATCH,
                   "the metric was trained on '%.100s' (%.12s, %zu values), and '%.100s' is %.12s, of %zu: train it on "
                   "this catalogue's space",
                   l->metric->space, l->metric->space_hash, l->metric->dim, space->name, space->hash, space->dim);
}

/* ---- points ---- */

static hem_status check_finite(const hem__listed_rows *rows, size_t row, const float *values, size_t count,
                               hem_error *err) {
  if (hem__all_finite(values, count)) return HEM_OK;
  return hem__fail(err, HEM_ECORRUPT, "row %llu of %s holds a value that is not a number, or is beyond 1e15",
                   (unsigned long long)rows->order[row], rows->catalog);
}

hem_status hem__learning_project(const hem__metric *m, const hem__listed_rows *rows, size_t first, size_t count,
                                 float *out, hem_error *err) {
  float *embeddings = NULL;
  size_t values;
  if (!hem__mul(hem__min(count, BLOCK), m->dim, &values)) return hem__fail(err, HEM_ENOMEM, "rows are too long");
  hem_status status = hem__alloc(values, sizeof *embeddings, "embeddings", &embeddings, err);
  for (size_t done = 0, now; done < count && !status; done += now) {
    now = hem__min(BLOCK, count - done);
    for (size_t i = 0; i < now && !status; i++) {
      const float *from = hem__row(rows->all, rows->order[first + done + i]);
      status = check_finite(rows, first + done + i, from, m->dim, err);
      memcpy(embeddings + i * m->dim, from, m->dim * sizeof *from);
    }
    float *to = out + done * m->width;
    if (!status) status = hem__metric_project(m, embeddings, now, to, err);
    for (size_t i = 0; i < now && !status; i++)
      status = check_finite(rows, first + done + i, to + i * m->width, m->width, err);
  }
  free(embeddings);
  return status;
}

/* The quantiser's fit looks at ranges only: two rows, the lowest and the highest values, say all of the gallery. */
hem_status hem__learning_fit(hem__learning *l, const hem__listed_rows *gallery, hem_error *err) {
  size_t width = l->metric->width;
  float *points = NULL, *ends = NULL;
  hem_status status = hem__alloc(BLOCK * width, sizeof *points, "points", &points, err);
  if (!status) status = hem__alloc(2 * width, sizeof *ends, "points", &ends, err);
  for (size_t first = 0, count; first < gallery->count && !status; first += count) {
    count = hem__min(BLOCK, gallery->count - first);
    status = hem__learning_project(l->metric, gallery, first, count, points, err);
    for (size_t i = 0; i < count && !status; i++)
      for (size_t d = 0; d < width; d++) {
        float value = points[i * width + d];
        if (first + i == 0 || value < ends[d]) ends[d] = value;
        if (first + i == 0 || value > ends[width + d]) ends[width + d] = value;
      }
  }
  if (!status) status = hem__quantiser_fit((hem__matrix){.at = ends, .rows = 2, .dim = width}, &l->quantiser, err);
  free(points);
  free(ends);
  return status;
}

hem_status hem__learning_scaled(const hem__learning *l, const hem__listed_rows *rows, float *out, hem_error *err) {
  size_t width = l->metric->width;
  hem_status status = hem__learning_project(l->metric, rows, 0, rows->count, out, err);
  for (size_t i = 0; i < rows->count && !status; i++) {
    float *row = out + i * width;
    for (size_t d = 0; d < width; d++) row[d] *= l->metric->candidate_scale[d];
    status = check_finite(rows, i, row, width, err);
  }
  return status;
}

/* ---- files ---- */

static size_t point_bytes(const hem__learning *l) { return l->metric->width * (l->precision == HEM__U8 ? 1 : 2); }

static hem_status write_blocks(const hem__learning *l, const hem__listed_rows *rows, hem__aside *file, hem_error *err) {
  float *points = NULL;
  void *coded = NULL;
  size_t width = l->metric->width;
  hem_status status = hem__alloc(BLOCK * width, sizeof *points, "points", &points, err);
  if (!status) status = hem__alloc(BLOCK, point_bytes(l), "points", &coded, err);
  for (size_t first = 0, count; first < rows->count && !status; first += count) {
    count = hem__min(BLOCK, rows->count - first);
    status = hem__learning_project(l->metric, rows, first, count, points, err);
    if (status) break;
    if (l->precision == HEM__U8) {
      hem__quantise(&l->quantiser, points, count, coded);
    } else {
      hem__to_half(points, count * width, coded);
    }
    status = hem__aside_write(file, coded, count * point_bytes(l), err);
  }
  free(points);
  free(coded);
  return status;
}

hem_status hem__learning_write_points(const hem__learning *l, const hem__publication *publication, size_t number,
                                      const hem__listed_rows *rows, hem__generation_file *out, hem_error *err) {
  char name[32];
  hem__aside *file = NULL;
  snprintf(name, sizeof name, "c%04zu.%s", number, l->precision == HEM__U8 ? "u8" : "f16");
  hem_status status = hem__publication_file(publication, name, &file, err);
  if (!status) status = write_blocks(l, rows, file, err);
  if (!status) status = hem__publication_finish_file(file, name, out, err);
  hem__aside_free(file);
  return status;
}

/* Saved, not copied: what was loaded is what is published, whatever became of the file. */
static hem_status write_metric(const hem__learning *l, const hem__publication *publication, hem__generation_file *out,
                               hem_error *err) {
  static const char name[] = "metric.h5";
  char *path = NULL;
  hem__map map = {0};
  hem_status status = hem__print(&path, err, "%s/%s", publication->folder, name);
  if (!status) status = hem__metric_save(l->metric, path, err);
  if (!status) status = hem__map_open(path, &map, err);
  if (!status) {
    out->size = map.size;
    out->digest = hem__sha256_of(map.at, map.size);
    status = hem__strdup(name, &out->name, err);
  }
  hem__map_close(&map);
  free(path);
  return status;
}

hem_status hem__learning_write(const hem__learning *l, const hem__publication *publication, hem__generation_metric *out,
                               hem_error *err) {
  static const char name[] = "quantiser.f32";
  size_t bytes = l->metric->width * sizeof(float);
  hem__aside *file = NULL;
  out->width = l->metric->width;
  out->precision = l->precision;
  hem_status status = write_metric(l, publication, &out->file, err);
  if (!status) status = hem__publication_file(publication, name, &file, err);
  if (!status) status = hem__aside_write(file, l->quantiser.low, bytes, err);
  if (!status) status = hem__aside_write(file, l->quantiser.step, bytes, err);
  if (!status) status = hem__publication_finish_file(file, name, &out->quantiser, err);
  hem__aside_free(file);
  return status;
}

hem_status hem__learned_read(const hem__generation *g, hem__metric **out, hem_error *err) {
  char *path = NULL;
  hem__map map = {0};
  hem_status status = hem__generation_map(g, &g->manifest.metric.file, &map, err); /* its checksum */
  if (!status) status = hem__print(&path, err, "%s/%s", g->folder, g->manifest.metric.file.name);
  if (!status) status = hem__metric_load(path, out, err);
  if (!status && (*out)->width != g->manifest.metric.width) {
    hem__metric_free(*out);
    *out = NULL;
    status = hem__fail(err, HEM_ECORRUPT, "%s makes other points than the manifest says", path);
  }
  hem__map_close(&map);
  free(path);
  return status;
}
