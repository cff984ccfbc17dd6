#include "cli/tuned.h"

#include "cli/certificate.h"

const char *cli_setting(const hem__tuned_point *p) {
  static char buffers[8][128];
  static size_t turn;
  char *out = buffers[turn++ % 8];
  const struct {
    const char *name;
    uint32_t value;
  } depths[] = {{"efSearch", p->ef_search}, {"nprobe", p->nprobe}, {"refine", p->refine}, {"rerank", p->rerank}};
  size_t at = (size_t)snprintf(out, sizeof buffers[0], "%s", cli_clean(p->kind));
  for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
    if (depths[i].value)
      at += (size_t)snprintf(out + at, sizeof buffers[0] - at, " %s %u", depths[i].name, depths[i].value);
  return out;
}

static void print_limits(FILE *out, const hem__tuning *t) {
  fputs("tuned for ", out);
  if (t->target_recall > 0) {
    fprintf(out, "recall %.5g", t->target_recall);
  } else {
    fputs("the best recall", out);
  }
  if (t->max_latency_us) fprintf(out, " within %u us", t->max_latency_us);
  if (t->max_memory) fprintf(out, "%s %s", t->max_latency_us ? " and" : " within", cli_size(t->max_memory));
  fprintf(out, ", of the %u %s\n", t->k, t->reranked ? "best items by scoring every photo" : "nearest photos");
}

void cli_print_tuning(FILE *out, const hem__tuning *t) {
  print_limits(out, t);
  for (size_t i = 0; i < t->category_count; i++) {
    const hem__tuned_category *c = &t->categories[i];
    const hem__tuned_point *p = &c->points[c->chosen];
    fprintf(out, "  %-16s %-34s %8.1f us %10s  promised %s\n", cli_clean(c->name), cli_setting(p), p->median_us,
            cli_size(p->bytes), cli_certificate(&c->promise));
  }
}
