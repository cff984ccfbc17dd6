#include "cli/exhaustive.h"

#include <jansson.h>

#include "bench/interval.h"

static double percent(uint64_t right, uint64_t queries) {
  return queries ? 100.0 * (double)right / (double)queries : 0;
}

/* ---- text ---- */

static void print_speed(const hem__exhaustive *e) {
  printf("%s photos, %s queries, all categories together; times of one thread, %s queries, interleaved\n\n",
         cli_count(e->gallery), cli_count(e->queries), cli_count(e->timed));
  printf("%-16s %10s %16s %12s %10s %12s %9s\n", "way", "overlap@20", "95%", "evaluations", "fewer", "median us",
         "faster");
  for (hem__way w = 0; w < HEM__WAYS; w++) {
    const hem__way_result *way = &e->ways[w];
    printf("%-16s %10.4f  %7.4f-%7.4f %12.1f", hem__way_names[w], way->overlap.overlap, way->overlap.low,
           way->overlap.high, way->scored);
    if (way->scored > 0) {
      printf(" %9.1fx", (double)e->gallery / way->scored);
    } else {
      printf(" %10s", "");
    }
    printf(" %12.1f %8.1fx\n", way->median_us, way->faster);
  }
}

static void print_accuracy(const hem__exhaustive *e) {
  if (e->accuracy_queries == 0) {
    puts("\nAccuracy: no query shows an item that the metric never saw and that its category holds");
    return;
  }
  printf("\nTop-k accuracy by item, %%: %s queries of items that the metric never saw, each in its own category\n\n",
         cli_count(e->accuracy_queries));
  printf("%-16s", "way");
  for (size_t i = 0; i < HEM__ITEM_CUTS; i++) {
    char name[16];
    snprintf(name, sizeof name, "top-%zu", hem__item_cuts[i]);
    printf(" %6s", name);
  }
  printf("   %13s\n", "top-20 95%");
  for (hem__way w = 0; w < HEM__WAYS; w++) {
    double low, high;
    printf("%-16s", hem__way_names[w]);
    for (size_t i = 0; i < HEM__ITEM_CUTS; i++) printf(" %6.2f", percent(e->ways[w].right[i], e->accuracy_queries));
    hem__wilson(e->ways[w].right[HEM__ITEM_CUTS - 1], e->accuracy_queries, &low, &high);
    printf("   %6.2f-%6.2f\n", 100 * low, 100 * high);
  }
}

void cli_print_exhaustive(const hem__exhaustive *e) {
  print_speed(e);
  print_accuracy(e);
}

/* ---- JSON ---- */

static json_t *top_json(const hem__exhaustive *e, const hem__way_result *way) {
  json_t *top = json_array();
  for (size_t i = 0; i < HEM__ITEM_CUTS; i++) {
    double low, high;
    hem__wilson(way->right[i], e->accuracy_queries, &low, &high);
    json_array_append_new(top, json_pack("{s:I, s:I, s:f, s:f, s:f}", "k", (json_int_t)hem__item_cuts[i], "right",
                                         (json_int_t)way->right[i], "accuracy",
                                         percent(way->right[i], e->accuracy_queries) / 100, "low", low, "high", high));
  }
  return top;
}

int cli_print_exhaustive_json(const hem__exhaustive *e) {
  json_t *ways = json_array();
  for (hem__way w = 0; w < HEM__WAYS; w++) {
    const hem__way_result *way = &e->ways[w];
    json_array_append_new(
        ways, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "way", hem__way_names[w], "overlap",
                        way->overlap.overlap, "low", way->overlap.low, "high", way->overlap.high, "evaluations",
                        way->scored, "median_us", way->median_us, "faster", way->faster, "top", top_json(e, way)));
  }
  return cli_print_json(json_pack("{s:I, s:I, s:I, s:I, s:b, s:I, s:o}", "k", (json_int_t)20, "gallery",
                                  (json_int_t)e->gallery, "queries", (json_int_t)e->queries, "timed_queries",
                                  (json_int_t)e->timed, "leave_one_out", e->leave_one_out, "accuracy_queries",
                                  (json_int_t)e->accuracy_queries, "ways", ways));
}
