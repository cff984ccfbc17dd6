#include "serve/service.h"

#include <string.h>
#include <time.h>

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void hem__question_start(hem__question *q) { *q = (hem__question){.o = {.size = sizeof q->o}}; }

/* ---- beside the answer ---- */

/* `vector`: NULL where an item is asked about. */
static hem_status search(hem__seat *seat, const hem__question *q, const float *vector, const hem_search_options *o,
                         hem_answer *answer, hem_error *err) {
  if (q->item_id) return hem_search_item(seat->searcher, q->item_id, o, answer, err);
  return hem_search(seat->searcher, vector, q->photo ? seat->edition->info.dim : q->dim, o, answer, err);
}

/* By distance. Hits live until the searcher's next call: they are copied. */
static hem_status ask_plain(hem__seat *seat, const hem__question *q, const float *vector, hem__reply *reply,
                            hem_error *err) {
  hem_search_options o = q->o;
  hem_answer answer;
  o.plain = true;
  o.rerank = 0;
  o.min_probability = 0;
  hem_status status = search(seat, q, vector, &o, &answer, err);
  if (!status) status = hem__grow(&seat->plain, &seat->plain_capacity, answer.found, sizeof *seat->plain, "hits", err);
  if (status) return status;
  memcpy(seat->plain, answer.hits, answer.found * sizeof *answer.hits);
  reply->nearest = answer.found ? answer.hits[0].distance : 0;
  reply->plain = q->also_plain ? seat->plain : NULL;
  reply->plain_count = q->also_plain ? answer.found : 0;
  return HEM_OK;
}

static hem_status check_explanations(const hem__edition *e, const hem__question *q, hem_error *err) {
  if (q->item_id) return hem__fail(err, HEM_EUNSUPPORTED, "answers to photos and vectors are explained, not to items");
  if (!e->info.metric) return hem__fail(err, HEM_EUNSUPPORTED, "this store has no metric: there is nothing to explain");
  if (!e->catalog)
    return hem__fail(err, HEM_EUNSUPPORTED, "explanations need the catalogue: %s", e->why_no_catalog.message);
  return HEM_OK;
}

static hem_status explain(hem__seat *seat, const float *vector, hem__reply *reply, hem_error *err) {
  hem__edition *e = seat->edition;
  size_t count = reply->answer.found;
  hem_status status = hem__grow(&seat->explanations, &seat->explanation_capacity, count, sizeof *seat->explanations,
                                "explanations", err);
  pthread_mutex_lock(&e->catalog_lock);
  for (size_t i = 0; i < count && !status; i++)
    status = hem__explain(e->engine, e->catalog, e->space, vector, &reply->answer.hits[i], &seat->explanations[i], err);
  pthread_mutex_unlock(&e->catalog_lock);
  if (status) return status;
  reply->explanations = seat->explanations;
  reply->space = hem__catalog_space(e->catalog, e->space);
  return HEM_OK;
}

/* ---- the answer ---- */

/* The vector that is searched by. */
static hem_status find_vector(hem__seat *seat, const hem__question *q, hem__reply *reply, const float **vector,
                              hem_error *err) {
  *vector = q->photo ? seat->vector : q->vector;
  if (!q->photo) return HEM_OK;
  hem_status status = hem__seat_embedder(seat, err);
  if (status) return status;
  status = hem_embedder_bytes(seat->embedder, q->photo, q->photo_size, NULL, q->box, seat->vector, err);
  hem_embedder_times(seat->embedder, &reply->timing.decode_ns, &reply->timing.embed_ns);
  return status;
}

static hem_status answer(hem__seat *seat, const hem__question *q, const float *vector, hem__reply *reply,
                         hem_error *err) {
  bool learned = reply->info->metric && !q->o.plain;
  hem_status status = q->explain ? check_explanations(seat->edition, q, err) : HEM_OK;
  if (!status && (q->explain || (q->also_plain && learned))) status = ask_plain(seat, q, vector, reply, err);
  if (!status) status = search(seat, q, vector, &q->o, &reply->answer, err);
  if (!status && q->explain) status = explain(seat, vector, reply, err);
  return status;
}

hem_status hem__ask(hem__seat *seat, const hem__question *q, hem__reply *reply, hem_error *err) {
  const float *vector = NULL;
  *reply = (hem__reply){.info = &seat->edition->info};
  hem_status status = find_vector(seat, q, reply, &vector, err);
  if (status) return status;
  uint64_t from = now_ns();
  status = answer(seat, q, vector, reply, err);
  reply->timing.search_ns = now_ns() - from;
  return status;
}
