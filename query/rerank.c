#include "query/rerank.h"

static bool is_probable(const void *context, const hem__ranked *photo) {
  const hem__search *q = context;
  const hem__calibration *c = q->s->engine->categories[photo->category].shared.calibration;
  return hem__probability(&c->platt, (double)photo->score) >= q->o.min_probability;
}

void hem__rerank_filter(hem__search *q) {
  if (!(q->o.min_probability > 0)) return;
  q->choice.passes = is_probable;
  q->choice.context = q;
}

static hem_status gather(hem__search *q, hem_error *err) {
  hem_searcher *s = q->s;
  hem_status status = HEM_OK;
  q->fallbacks = 0;
  q->all = true;
  for (size_t i = 0; i < s->chosen_count && !status; i++) {
    const hem__category *c = hem__chosen(s, i);
    hem__found found = {.at = s->near};
    status = hem__search_candidates(q, i, hem__search_fetch(q, i), false, &found, err);
    if (!status)
      status = hem__learned_score(&s->engine->learned, c, &s->asked, found.at, found.count, &s->learned, err);
    if (status) break;
    q->fallbacks += found.fell_back;
    q->scored += found.count;
    q->all = q->all && found.all;
    hem__ranking_merge(&s->ranking, &(hem__batch){.category = s->chosen[i],
                                                  .first = c->first,
                                                  .count = found.count,
                                                  .near = found.at,
                                                  .scores = s->learned.scores});
  }
  return status;
}

size_t hem__rerank_finish(hem__search *q) {
  hem__ranking *r = &q->s->ranking;
  q->met = hem__ranking_place(r, &q->choice);
  hem__ranking_sort(r, true);
  for (size_t i = 0; i < r->count; i++) {
    if (hem__ranking_left_out(r, &q->choice, &r->at[i])) continue;
    q->best = r->at[i];
    break;
  }
  return hem__search_hits(q);
}

hem_status hem__rerank_answer(hem__search *q, size_t *found, hem_error *err) {
  for (;; q->doubled++) {
    hem_status status = hem__search_reserve(q, err);
    if (!status) status = gather(q, err);
    if (status) return status;
    *found = hem__rerank_finish(q);
    if (q->met >= q->k || q->all) return HEM_OK;
  }
}
