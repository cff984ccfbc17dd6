#include "serve/answer_text.h"

/* Hits are ordered by the metric. */
static bool is_scored(const hem__question *q, const hem__reply *r) { return r->info->metric && !q->o.plain; }

static double ms(uint64_t ns) { return (double)ns / 1e6; }

static void write_timing(hem__text *t, const hem__timing *timing) {
  hem__text_open(t, "timing", '{');
  hem__text_real(t, "wait_ms", ms(timing->wait_ns));
  hem__text_real(t, "decode_ms", ms(timing->decode_ns));
  hem__text_real(t, "embed_ms", ms(timing->embed_ns));
  hem__text_real(t, "search_ms", ms(timing->search_ns));
  hem__text_real(t, "total_ms", ms(timing->wait_ns + timing->decode_ns + timing->embed_ns + timing->search_ns));
  hem__text_close(t, '}');
}

void hem__certificate_text(hem__text *t, const char *key, const hem_certificate *c) {
  if (!c->queries) {
    hem__text_string(t, key, NULL);
    return;
  }
  hem__text_open(t, key, '{');
  hem__text_real(t, "overlap", c->overlap);
  hem__text_real(t, "low", c->low);
  hem__text_real(t, "high", c->high);
  hem__text_integer(t, "queries", c->queries);
  hem__text_integer(t, "k", c->k);
  hem__text_close(t, '}');
}

/* What the metric did, and the certificate: of the default answer, the 20 best of all categories. */
static void write_metric(hem__text *t, const hem__question *q, const hem__reply *r) {
  bool scored = is_scored(q, r);
  if (!r->info->metric) {
    hem__text_string(t, "metric", NULL);
    return;
  }
  hem__text_open(t, "metric", '{');
  hem__text_boolean(t, "reranked", scored);
  hem__text_boolean(t, "exact", q->o.exact);
  hem__text_string(t, "kernel", r->info->kernel);
  hem__text_integer(t, "scored", r->answer.scored);
  hem__certificate_text(t, "certificate", &r->info->certificate);
  hem__text_boolean(t, "as_certified", scored && (q->o.exact || !q->o.rerank));
  if (scored) {
    hem__text_boolean(t, "no_match", r->answer.no_match);
    hem__text_real(t, "threshold", r->answer.threshold);
    hem__text_real(t, "false_accept", r->info->false_accept);
  }
  hem__text_close(t, '}');
}

static void write_explanation(hem__text *t, const hem__reply *r, const hem__explanation *e) {
  hem__text_open(t, "explanation", '{');
  hem__text_real(t, "score", e->score);
  hem__text_real(t, "nearest_distance", (double)r->nearest);
  hem__text_open(t, "blocks", '[');
  for (size_t i = 0; i < r->space->block_count; i++) {
    hem__text_open(t, NULL, '{');
    hem__text_string(t, "name", r->space->blocks[i].name);
    hem__text_real(t, "effect", e->effects[i]);
    hem__text_close(t, '}');
  }
  hem__text_close(t, ']');
  hem__text_close(t, '}');
}

static void open_hit(hem__text *t, const hem_hit *hit, size_t rank) {
  hem__text_open(t, NULL, '{');
  hem__text_integer(t, "rank", rank);
  hem__text_string(t, "item_id", hit->item_id);
  hem__text_string(t, "category", hit->category);
  hem__text_string(t, "label", hit->label);
  hem__text_string(t, "path", hit->path);
  hem__text_integer(t, "row", hit->row);
  hem__text_real(t, "distance", (double)hit->distance);
}

static void write_hits(hem__text *t, const hem__question *q, const hem__reply *r) {
  hem__text_open(t, "hits", '[');
  for (size_t i = 0; i < r->answer.found; i++) {
    const hem_hit *hit = &r->answer.hits[i];
    open_hit(t, hit, i + 1);
    if (is_scored(q, r)) {
      hem__text_real(t, "score", (double)hit->score);
      hem__text_real(t, "probability", (double)hit->probability);
      hem__text_integer(t, "rank_by_distance", hit->place);
    }
    if (r->explanations) write_explanation(t, r, &r->explanations[i]);
    hem__text_close(t, '}');
  }
  hem__text_close(t, ']');
}

static void write_plain(hem__text *t, const hem__reply *r) {
  if (!r->plain) return;
  hem__text_open(t, "plain_hits", '[');
  for (size_t i = 0; i < r->plain_count; i++) {
    open_hit(t, &r->plain[i], i + 1);
    hem__text_close(t, '}');
  }
  hem__text_close(t, ']');
}

const char *hem__shortfall_text(hem_shortfall shortfall) {
  static const char *const texts[] = {[HEM_COMPLETE] = NULL,
                                      [HEM_SMALL_GALLERY] = "the categories searched hold fewer",
                                      [HEM_IMPROBABLE] = "the others are less probable"};
  return texts[shortfall];
}

void hem__answer_text(hem__text *t, const char *name, const hem__question *q, const hem__reply *r) {
  const hem_answer *a = &r->answer;
  hem__text_open(t, NULL, '{');
  if (name) hem__text_string(t, "query", name);
  hem__text_string(t, "generation", r->info->generation);
  hem__text_string(t, "space", r->info->space);
  hem__text_string(t, "distance", hem_distance_name(r->info->distance));
  hem__text_integer(t, "wanted", a->wanted);
  hem__text_integer(t, "found", a->found);
  hem__text_string(t, "shortfall", hem__shortfall_text(a->shortfall));
  hem__text_integer(t, "gallery_photos", a->gallery);
  hem__text_integer(t, "categories_searched", a->categories);
  hem__text_integer(t, "exact_fallbacks", a->fallbacks);
  write_timing(t, &r->timing);
  write_metric(t, q, r);
  write_hits(t, q, r);
  write_plain(t, r);
  hem__text_close(t, '}');
}
