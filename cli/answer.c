#include "cli/answer.h"

#include "cli/cli.h"
#include "serve/answer_text.h"

/* Hits are ordered by the metric. */
static bool is_scored(const hem__question *q, const hem__reply *r) { return r->info->metric && !q->o.plain; }

static void print_explanation(const hem__reply *r, size_t i) {
  const hem_hit *hit = &r->answer.hits[i];
  const hem__explanation *e = &r->explanations[i];
  printf("      by distance %u., now %zu.; distance %.6g, the nearest photo's is %.6g; score %+.4f", hit->place, i + 1,
         (double)hit->distance, (double)r->nearest, e->score);
  for (size_t b = 0; b < r->space->block_count; b++)
    printf("%s %s %+.4f", b ? "," : ", of which", r->space->blocks[b].name, e->effects[b]);
  putchar('\n');
}

static void print_hit(const hem__question *q, const hem__reply *r, size_t i) {
  const hem_hit *hit = &r->answer.hits[i];
  printf("%4zu  ", i + 1);
  if (is_scored(q, r)) printf("%6.4f  ", (double)hit->probability);
  printf("%12.6g  %-20s  %-10s %-12s %s\n", (double)hit->distance, cli_clean(hit->item_id), cli_clean(hit->category),
         cli_clean(hit->label), cli_clean(hit->path));
  if (r->explanations) print_explanation(r, i);
}

static void print_match(const hem__question *q, const hem__reply *r) {
  const hem_answer *answer = &r->answer;
  if (!is_scored(q, r) || !answer->no_match) return;
  printf("no match: ");
  if (answer->found) printf("the best has probability %.4f, ", (double)answer->hits[0].probability);
  printf("%sbelow %.4f (set for a false match in %.3g %% of the queries without one)\n",
         answer->found ? "" : "nothing is probable; the threshold is ", answer->threshold, 100 * r->info->false_accept);
}

void cli_print_answer(const char *name, const hem__question *q, const hem__reply *r) {
  const hem_answer *answer = &r->answer;
  const char *reason = hem__shortfall_text(answer->shortfall);
  printf("%s\n", cli_clean(name));
  print_match(q, r);
  for (size_t i = 0; i < answer->found; i++) print_hit(q, r, i);
  fprintf(stderr, "%zu of %zu wanted%s%s%s, %s photos in %zu categor%s, ", answer->found, answer->wanted,
          reason ? " (" : "", reason ? reason : "", reason ? ")" : "", cli_count(answer->gallery), answer->categories,
          answer->categories == 1 ? "y" : "ies");
  if (is_scored(q, r))
    fprintf(stderr, "%s of them scored%s (%s), ", cli_count(answer->scored), q->o.exact ? ", exactly" : "",
            r->info->kernel);
  fprintf(stderr, "%s distance, %.2f ms, generation %s\n", hem_distance_name(r->info->distance),
          (double)r->timing.search_ns / 1e6, r->info->generation);
}
