#include "query/quiz.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/threads.h"

static hem_status search(const hem__quiz *q, hem_searcher *searcher, size_t sample, bool exact, hem_answer *answer,
                         hem_error *err) {
  const hem__sample *s = &q->samples[sample];
  const char *category = searcher->engine->categories[s->category].shared.name;
  hem_search_options o = {.size = sizeof o,
                          .k = q->truth ? (size_t)HEM__TRUTH_K : (size_t)HEM__QUIZ_K,
                          .categories = &category,
                          .category_count = 1,
                          .exact = exact,
                          .photos = !q->truth,
                          .leave_out = s->leave_out,
                          .leave_out_row = s->row};
  return hem_search(searcher, hem__row(q->embeddings, s->row), q->embeddings.dim, &o, answer, err);
}

/* ---- the right answers ---- */

typedef struct finder {
  const hem__quiz *quiz;
  hem_searcher **searchers; /* one for each worker */
  hem_error *errors;        /* of each worker: the last */
} finder;

static void find_one(void *context, size_t i, size_t worker) {
  const finder *f = context;
  hem__quiz_answer *out = &f->quiz->nearest[i];
  hem_answer answer;
  hem_error err;
  if (search(f->quiz, f->searchers[worker], i, true, &answer, &err)) {
    f->errors[worker] = err;
    return;
  }
  out->count = (uint32_t)answer.found;
  for (size_t j = 0; j < answer.found; j++) out->rows[j] = answer.hits[j].row;
  if (answer.found) out->farthest = answer.hits[answer.found - 1].distance;
}

static hem_status find_all(const hem_engine *engine, const hem__quiz *q, size_t threads, hem_error *err) {
  finder f = {.quiz = q};
  hem_status status = hem__alloc(threads, sizeof(hem_searcher *), "searchers", &f.searchers, err);
  if (!status) status = hem__alloc(threads, sizeof *f.errors, "searchers", &f.errors, err);
  for (size_t i = 0; i < threads && !status; i++) status = hem_searcher_new(engine, &f.searchers[i], err);
  if (!status) status = hem__parallel_for(q->count, threads, find_one, &f, err);
  for (size_t i = 0; i < threads && !status; i++)
    if (f.errors[i].code) status = hem__fail(err, f.errors[i].code, "%s", f.errors[i].message);
  for (size_t i = 0; f.searchers && i < threads; i++) hem_searcher_free(f.searchers[i]);
  free(f.searchers);
  free(f.errors);
  return status;
}

hem_status hem__quiz_find(const hem_engine *engine, hem__matrix embeddings, const hem__sample *samples, size_t count,
                          size_t threads, hem__quiz *out, hem_error *err) {
  hem__quiz q = {.embeddings = embeddings, .samples = samples, .count = count};
  hem_status status = hem__alloc(count, sizeof *q.nearest, "answers", &q.nearest, err);
  if (!status) status = find_all(engine, &q, hem__max(hem__min(threads ? threads : hem__cores(), count), 1), err);
  if (status) {
    hem__quiz_clear(&q);
  } else {
    *out = q;
  }
  return status;
}

void hem__quiz_clear(hem__quiz *q) {
  free(q->nearest);
  *q = (hem__quiz){0};
}

/* ---- asking ---- */

/* A photo as near as the last of the right ones counts as well: which of equals comes first is chance. */
static size_t count_right(const hem__quiz_answer *nearest, const hem_answer *answer) {
  size_t right = 0;
  for (size_t i = 0; i < answer->found; i++) {
    bool in = answer->hits[i].distance <= nearest->farthest;
    for (size_t j = 0; j < nearest->count && !in; j++) in = nearest->rows[j] == answer->hits[i].row;
    right += in;
  }
  return hem__min(right, nearest->count);
}

hem_status hem__quiz_ask(const hem__quiz *q, hem_searcher *searcher, size_t sample, size_t *right, uint64_t *ns,
                         hem_error *err) {
  hem_answer answer;
  uint64_t started = hem__now_ns();
  hem_status status = search(q, searcher, sample, false, &answer, err);
  *ns = hem__now_ns() - started;
  if (status || !right) return status;
  if (q->truth) return hem__truth_overlap(q->truth, sample, false, &answer, right, err);
  *right = count_right(&q->nearest[sample], &answer);
  return HEM_OK;
}
