#include "cli/certificate.h"

#include <jansson.h>

static const char *const precision_names[] = {[HEM__U8] = "bytes", [HEM__F16] = "half floats"};
static const double PROMISED = 0.99;

const char *cli_certificate(const hem_certificate *c) {
  static char buffers[4][96];
  static size_t turn;
  char *out = buffers[turn++ % 4];
  if (c->queries) {
    snprintf(out, sizeof buffers[0], "%.4f (%.4f-%.4f, %s queries)", c->overlap, c->low, c->high,
             cli_count(c->queries));
  } else {
    snprintf(out, sizeof buffers[0], "not measured (no query)");
  }
  return out;
}

void *cli_certificate_json(const hem_certificate *c) {
  if (c->queries == 0) return json_null();
  return json_pack("{s:f, s:f, s:f, s:I, s:I}", "overlap", c->overlap, "low", c->low, "high", c->high, "queries",
                   (json_int_t)c->queries, "k", (json_int_t)c->k);
}

void cli_print_metric(FILE *out, const hem__manifest *m) {
  const hem__generation_metric *metric = &m->metric;
  fprintf(out, "reranked by a Siamese metric: points of %zu values as %s\n", metric->width,
          precision_names[metric->precision]);
  fprintf(out, "certificate, overlap@%u with scoring every photo in float32, 95%%: %s\n",
          metric->certificate.k ? metric->certificate.k : 20, cli_certificate(&metric->certificate));
  for (size_t i = 0; i < m->category_count; i++) {
    const hem__generation_category *c = &m->categories[i];
    fprintf(out, "  %-16s %6u candidates of %s photos  %s\n", cli_clean(c->name), c->rerank, cli_count(c->photos),
            cli_certificate(&c->certificate));
  }
  if (metric->certificate.queries && metric->certificate.overlap < PROMISED)
    fprintf(out,
            "that is below %.2f: the distance that candidates are found by is far from the metric. Score more of them "
            "(--rerank), keep half floats (--precision f16), or train with a tower\n",
            PROMISED);
}
