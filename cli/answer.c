#include "cli/answer.h"

#include <jansson.h>

#include "cli/certificate.h"

/* Hits are ordered by the metric. */
static bool is_scored(const cli_answer *a) { return a->info->metric && !a->asked->plain; }

static const char *shortfall(const hem_answer *answer) {
  return answer->shortfall == HEM_SMALL_GALLERY ? "the categories searched hold fewer"
         : answer->shortfall == HEM_IMPROBABLE  ? "the others are less probable"
                                                : NULL;
}

/* ---- JSON ---- */

static json_t *explanation_json(const cli_answer *a, const hem__explanation *e) {
  json_t *blocks = json_array();
  for (size_t i = 0; i < a->space->block_count; i++)
    json_array_append_new(blocks, json_pack("{s:s, s:f}", "name", a->space->blocks[i].name, "effect", e->effects[i]));
  return json_pack("{s:f, s:f, s:o}", "score", e->score, "nearest_distance", (double)a->nearest, "blocks", blocks);
}

static json_t *hit_json(const cli_answer *a, size_t i) {
  const hem_hit *hit = &a->answer->hits[i];
  json_t *json = json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:f}", "rank", (json_int_t)(i + 1), "item_id", hit->item_id,
                           "category", hit->category, "label", hit->label, "path", hit->path, "row",
                           (json_int_t)hit->row, "distance", (double)hit->distance);
  if (!json || !is_scored(a)) return json;
  json_object_set_new(json, "score", json_real((double)hit->score));
  json_object_set_new(json, "probability", json_real((double)hit->probability));
  json_object_set_new(json, "rank_by_distance", json_integer(hit->place));
  if (a->explanations) json_object_set_new(json, "explanation", explanation_json(a, &a->explanations[i]));
  return json;
}

/* What the metric did, and the certificate: of the default answer, the 20 best of all categories. */
static json_t *metric_json(const cli_answer *a) {
  const hem_answer *answer = a->answer;
  if (!a->info->metric) return json_null();
  json_t *json = json_pack("{s:b, s:b, s:s, s:I, s:o, s:b}", "reranked", is_scored(a), "exact", a->asked->exact,
                           "kernel", a->info->kernel, "scored", (json_int_t)answer->scored, "certificate",
                           cli_certificate_json(&a->info->certificate), "as_certified",
                           is_scored(a) && (a->asked->exact || !a->asked->rerank));
  if (!json || !is_scored(a)) return json;
  json_object_set_new(json, "no_match", json_boolean(answer->no_match));
  json_object_set_new(json, "threshold", json_real(answer->threshold));
  json_object_set_new(json, "false_accept", json_real(a->info->false_accept));
  return json;
}

void *cli_answer_json(const cli_answer *a) {
  const hem_answer *answer = a->answer;
  json_t *hits = json_array();
  for (size_t i = 0; i < answer->found; i++) json_array_append_new(hits, hit_json(a, i));
  return json_pack("{s:o, s:s, s:s, s:s, s:f, s:I, s:I, s:s?, s:I, s:I, s:I, s:o, s:o}", "query",
                   cli_json_text(a->name), "generation", a->info->generation, "space", a->info->space, "distance",
                   hem_distance_name(a->info->distance), "milliseconds", a->ms, "wanted", (json_int_t)answer->wanted,
                   "found", (json_int_t)answer->found, "shortfall", shortfall(answer), "gallery_photos",
                   (json_int_t)answer->gallery, "categories_searched", (json_int_t)answer->categories,
                   "exact_fallbacks", (json_int_t)answer->fallbacks, "metric", metric_json(a), "hits", hits);
}

/* ---- text ---- */

static void print_explanation(const cli_answer *a, size_t i) {
  const hem_hit *hit = &a->answer->hits[i];
  const hem__explanation *e = &a->explanations[i];
  printf("      by distance %u., now %zu.; distance %.6g, the nearest photo's is %.6g; score %+.4f", hit->place, i + 1,
         (double)hit->distance, (double)a->nearest, e->score);
  for (size_t b = 0; b < a->space->block_count; b++)
    printf("%s %s %+.4f", b ? "," : ", of which", a->space->blocks[b].name, e->effects[b]);
  putchar('\n');
}

static void print_hit(const cli_answer *a, size_t i) {
  const hem_hit *hit = &a->answer->hits[i];
  printf("%4zu  ", i + 1);
  if (is_scored(a)) printf("%6.4f  ", (double)hit->probability);
  printf("%12.6g  %-20s  %-10s %-12s %s\n", (double)hit->distance, cli_clean(hit->item_id), cli_clean(hit->category),
         cli_clean(hit->label), cli_clean(hit->path));
  if (a->explanations) print_explanation(a, i);
}

static void print_match(const cli_answer *a) {
  const hem_answer *answer = a->answer;
  if (!is_scored(a) || !answer->no_match) return;
  printf("no match: ");
  if (answer->found) printf("the best has probability %.4f, ", (double)answer->hits[0].probability);
  printf("%sbelow %.4f (set for a false match in %.3g %% of the queries without one)\n",
         answer->found ? "" : "nothing is probable; the threshold is ", answer->threshold, 100 * a->info->false_accept);
}

void cli_print_answer(const cli_answer *a) {
  const hem_answer *answer = a->answer;
  const char *reason = shortfall(answer);
  printf("%s\n", cli_clean(a->name));
  print_match(a);
  for (size_t i = 0; i < answer->found; i++) print_hit(a, i);
  fprintf(stderr, "%zu of %zu wanted%s%s%s, %s photos in %zu categor%s, ", answer->found, answer->wanted,
          reason ? " (" : "", reason ? reason : "", reason ? ")" : "", cli_count(answer->gallery), answer->categories,
          answer->categories == 1 ? "y" : "ies");
  if (is_scored(a))
    fprintf(stderr, "%s of them scored%s (%s), ", cli_count(answer->scored), a->asked->exact ? ", exactly" : "",
            a->info->kernel);
  fprintf(stderr, "%s distance, %.2f ms, generation %s\n", hem_distance_name(a->info->distance), a->ms,
          a->info->generation);
}
