/* Counters as Prometheus reads them (text format 0.0.4). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "serve/http_exchange.h"

static const char *const fronts[HEM__FRONTS] = {[HEM__FRONT_SOCKET] = "socket", [HEM__FRONT_HTTP] = "http"};
static const char *const stages[HEM__STAGES] = {[HEM__STAGE_WAIT] = "wait",
                                                [HEM__STAGE_DECODE] = "decode",
                                                [HEM__STAGE_EMBED] = "embed",
                                                [HEM__STAGE_SEARCH] = "search",
                                                [HEM__STAGE_TOTAL] = "total"};

__attribute__((format(printf, 2, 3))) static void print(hem__text *t, const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (size > 0) hem__text_raw(t, line, hem__min((size_t)size, sizeof line - 1));
}

static void start(hem__text *t, const char *name, const char *type, const char *help) {
  print(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(hem__text *t, const char *name, const char *help, uint64_t value) {
  start(t, name, "counter", help);
  print(t, "%s %" PRIu64 "\n", name, value);
}

static void write_questions(hem__text *t, hem__stats *s) {
  start(t, "hemline_questions_total", "counter", "Questions, by how they went.");
  for (size_t front = 0; front < HEM__FRONTS; front++)
    for (size_t status = 0; status < HEM__STATUSES; status++) {
      uint64_t n = atomic_load(&s->answered[front][status]);
      if (n || !status)
        print(t, "hemline_questions_total{front=\"%s\",status=\"%s\"} %" PRIu64 "\n", fronts[front],
              hem_status_name((hem_status)status), n);
    }
  start(t, "hemline_refused_total", "counter", "Requests that were no question: malformed, too large, unauthorized.");
  for (size_t front = 0; front < HEM__FRONTS; front++)
    print(t, "hemline_refused_total{front=\"%s\"} %" PRIuFAST64 "\n", fronts[front], atomic_load(&s->refused[front]));
}

static void write_gauges(hem__text *t, hem__stats *s) {
  start(t, "hemline_connections", "gauge", "Open connections.");
  for (size_t front = 0; front < HEM__FRONTS; front++)
    print(t, "hemline_connections{front=\"%s\"} %" PRIdFAST64 "\n", fronts[front], atomic_load(&s->connections[front]));
  start(t, "hemline_in_flight", "gauge", "Requests that are being answered.");
  for (size_t front = 0; front < HEM__FRONTS; front++)
    print(t, "hemline_in_flight{front=\"%s\"} %" PRIdFAST64 "\n", fronts[front], atomic_load(&s->in_flight[front]));
}

/* Counts are read while others add to them: the sum of the buckets is the count that fits them. */
static void write_stage(hem__text *t, hem__histogram *h, const char *stage) {
  uint64_t below = 0;
  for (size_t i = 0; i < HEM__BUCKETS; i++) {
    below += atomic_load(&h->buckets[i]);
    if (i + 1 < HEM__BUCKETS)
      print(t, "hemline_stage_seconds_bucket{stage=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", stage,
            (double)hem__bucket_ns(i) / 1e9, below);
  }
  print(t, "hemline_stage_seconds_bucket{stage=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", stage, below);
  print(t, "hemline_stage_seconds_sum{stage=\"%s\"} %.9g\n", stage, (double)atomic_load(&h->sum_ns) / 1e9);
  print(t, "hemline_stage_seconds_count{stage=\"%s\"} %" PRIu64 "\n", stage, below);
}

static void write_info(hem__text *t, const hem_engine_info *info) {
  start(t, "hemline_generation_info", "gauge", "The generation that is answered from.");
  print(t, "hemline_generation_info{generation=\"%s\",version=\"%s\"} 1\n", info->generation, hem_version());
  start(t, "hemline_gallery_photos", "gauge", "Photos in the gallery.");
  print(t, "hemline_gallery_photos %" PRIu64 "\n", info->photos);
}

void hem__answer_metrics(hem__exchange *x) {
  hem__service *service = x->shared->service;
  hem__stats *s = service->stats;
  hem__text *t = &x->text;
  hem__seat *seat = NULL;
  hem_error err = {0};
  if (hem__seat_take(service->live, &seat, &err)) {
    hem__exchange_fail(x, 503, &err);
    return;
  }
  write_info(t, &seat->edition->info);
  hem__seat_give(service->live, seat);
  write_questions(t, s);
  write_gauges(t, s);
  counter(t, "hemline_no_match_total", "Answers that found nothing probable.", atomic_load(&s->no_match));
  counter(t, "hemline_reloads_total", "Generations that were swapped in.", atomic_load(&s->reloads));
  counter(t, "hemline_failed_reloads_total", "Generations that could not be opened.", atomic_load(&s->failed_reloads));
  start(t, "hemline_stage_seconds", "histogram", "How long the stages of a question took.");
  for (size_t i = 0; i < HEM__STAGES; i++) write_stage(t, &s->stages[i], stages[i]);
  x->reply = (hem__reply_head){.status = 200, .type = "text/plain; version=0.0.4; charset=utf-8", .cache = "no-store"};
}
