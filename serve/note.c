/* What is kept of a request: counters, a line of the access log, a line of what was asked and answered. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/sha256.h"
#include "serve/service.h"
#include "serve/text.h"

static const char *const front_names[HEM__FRONTS] = {[HEM__FRONT_SOCKET] = "unix", [HEM__FRONT_HTTP] = "http"};

static void count(hem__stats *stats, const hem__event *e) {
  if (!e->question) {
    if (!e->status) return; /* for the page, for counters: no question, and nothing wrong */
    atomic_fetch_add_explicit(&stats->refused[e->front], 1, memory_order_relaxed);
    return;
  }
  const hem__timing *t = &e->reply->timing;
  atomic_fetch_add_explicit(&stats->answered[e->front][e->status], 1, memory_order_relaxed);
  if (!e->status && e->reply->answer.no_match) atomic_fetch_add_explicit(&stats->no_match, 1, memory_order_relaxed);
  if (hem__question_long(e->question)) {
    hem__histogram_add(&stats->stages[HEM__STAGE_WAIT], t->wait_ns);
    hem__histogram_add(&stats->stages[HEM__STAGE_DECODE], t->decode_ns);
    hem__histogram_add(&stats->stages[HEM__STAGE_EMBED], t->embed_ns);
  }
  hem__histogram_add(&stats->stages[HEM__STAGE_SEARCH], t->search_ns);
  hem__histogram_add(&stats->stages[HEM__STAGE_TOTAL], e->total_ns);
}

/* ---- lines ---- */

static void write_time(hem__text *t) {
  struct timespec now;
  struct tm utc;
  char text[40];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text + size, sizeof text - size, ".%03ldZ", now.tv_nsec / 1000000);
  hem__text_string(t, "time", text);
}

static const char *asked_by(const hem__question *q) { return q->photo ? "photo" : q->item_id ? "item" : "vector"; }

static void write_categories(hem__text *t, const hem_search_options *o) {
  hem__text_open(t, "categories", '[');
  for (size_t i = 0; i < o->category_count; i++) hem__text_string(t, NULL, o->categories[i]);
  hem__text_close(t, ']');
}

static void write_access(hem__text *t, const hem__event *e) {
  hem__text_open(t, NULL, '{');
  write_time(t);
  hem__text_string(t, "front", front_names[e->front]);
  hem__text_string(t, "peer", e->peer);
  hem__text_string(t, "request", e->request);
  hem__text_string(t, "status", hem_status_name(e->status));
  if (e->http_status) hem__text_integer(t, "http", e->http_status);
  if (e->question) {
    const hem__reply *r = e->reply;
    hem__text_string(t, "by", asked_by(e->question));
    write_categories(t, &e->question->o);
    hem__text_string(t, "generation", r->info ? r->info->generation : NULL);
    hem__text_integer(t, "found", r->answer.found);
    hem__text_real(t, "wait_ms", (double)r->timing.wait_ns / 1e6);
    hem__text_real(t, "decode_ms", (double)r->timing.decode_ns / 1e6);
    hem__text_real(t, "embed_ms", (double)r->timing.embed_ns / 1e6);
    hem__text_real(t, "search_ms", (double)r->timing.search_ns / 1e6);
  }
  hem__text_real(t, "total_ms", (double)e->total_ns / 1e6);
  hem__text_close(t, '}');
}

/* What was asked, without the means to see it again. */
static void write_input(hem__text *t, const hem__question *q) {
  char hex[65];
  hem__digest digest;
  if (q->item_id) {
    hem__text_string(t, "item_id", q->item_id);
    return;
  }
  digest = q->photo ? hem__sha256_of(q->photo, q->photo_size) : hem__sha256_of(q->vector, q->dim * sizeof *q->vector);
  hem__digest_hex(&digest, hex);
  hem__text_string(t, "input_sha256", hex);
}

enum { HITS_KEPT = 50 };

static void write_answer(hem__text *t, const hem__event *e) {
  const hem__reply *r = e->reply;
  bool scored = r->info->metric && !e->question->o.plain;
  hem__text_open(t, NULL, '{');
  write_time(t);
  hem__text_string(t, "by", asked_by(e->question));
  write_input(t, e->question);
  write_categories(t, &e->question->o);
  hem__text_string(t, "generation", r->info->generation);
  hem__text_string(t, "space_hash", r->info->space_hash);
  hem__text_boolean(t, "exact", e->question->o.exact);
  if (scored) hem__text_boolean(t, "no_match", r->answer.no_match);
  hem__text_open(t, "hits", '[');
  for (size_t i = 0; i < r->answer.found && i < HITS_KEPT; i++) {
    const hem_hit *hit = &r->answer.hits[i];
    hem__text_open(t, NULL, '{');
    hem__text_string(t, "item_id", hit->item_id);
    hem__text_string(t, "category", hit->category);
    hem__text_real(t, "distance", (double)hit->distance);
    if (scored) {
      hem__text_real(t, "score", (double)hit->score);
      hem__text_real(t, "probability", (double)hit->probability);
    }
    hem__text_close(t, '}');
  }
  hem__text_close(t, ']');
  hem__text_close(t, '}');
}

static void add_line(hem__journal *journal, const hem__event *event, void (*print)(hem__text *, const hem__event *)) {
  hem__text line = {0};
  print(&line, event);
  hem__text_raw(&line, "\n", 1);
  if (!line.failed) hem__journal_line(journal, line.at, line.size);
  hem__text_clear(&line);
}

void hem__service_note(hem__service *service, const hem__event *event) {
  count(service->stats, event);
  if (service->log) add_line(service->log, event, write_access);
  if (service->collect && event->question && !event->status) add_line(service->collect, event, write_answer);
}
