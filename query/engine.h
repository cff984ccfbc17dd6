/* An open generation and what one thread needs to search it, as the files of query/ see them. */
#ifndef HEM_QUERY_ENGINE_H
#define HEM_QUERY_ENGINE_H

#include "index/generation.h"
#include "query/bounds.h"
#include "query/items.h"
#include "query/learned.h"
#include "query/lookup.h"

typedef struct hem__loaded {
  hem__category shared; /* what candidates.c and rerank.c see; the name is there even where it was not loaded */
  hem__map vectors_map, points_map;
  hem__map index_map; /* of a graph; the other kinds are parsed */
  hem__graph graph;
  hem__faiss *index;
  bool loaded;
} hem__loaded;

struct hem_engine {
  hem__generation generation;
  hem__map gallery_map;
  hem__gallery gallery;
  hem__lookup lookup;
  hem__learned learned;
  hem__loaded *categories;
  size_t category_count;
};

/* hem_engine_open of a generation that is open already, and perhaps not yet published. Takes it, also when it fails. */
hem_status hem__engine_open(hem__generation *take, const hem_engine_options *options, hem_engine **out, hem_error *err);
/* Errors: ENOTFOUND, which lists those there are. */
hem_status hem__engine_find(const hem_engine *engine, const char *name, size_t *number, hem_error *err);
/* How far searches go in one category. 0: as far as the store says. */
typedef struct hem__depth {
  uint32_t ef_search, nprobe, refine, rerank; /* those that its kind of index does not have are passed over */
} hem__depth;

/* For those who try settings out; not while anybody searches. Errors: EUNSUPPORTED (FAISS). */
hem_status hem__engine_set_depth(hem_engine *engine, size_t category, const hem__depth *depth, hem_error *err);

/* The category that the photo at this gallery position lies in. */
size_t hem__engine_category_of(const hem_engine *engine, size_t photo);

enum { HEM__K_DEFAULT = 20 };

struct hem_searcher {
  const hem_engine *engine;
  float *query; /* what candidates are found by: normalised for cosine; of a metric, the scaled point */
  hem__candidates_scratch scratch;
  hem__near *near; /* one category's candidates */
  hem__ranking ranking;
  hem_hit *hits;
  size_t near_capacity, hits_capacity;
  uint32_t *chosen; /* categories to search */
  size_t chosen_count;
  size_t *wanted;                   /* of each: photos with a label that is wanted */
  bool *labels;                     /* by number: those that are wanted */
  uint32_t *label_numbers, *picked; /* the same, as a list; rows of one category that have them */
  size_t label_count, picked_capacity;
  hem__learned_query asked;
  hem__learned_scratch learned;
  hem__bounds bounds;
};

/* One query under way. */
typedef struct hem__search {
  hem_searcher *s;
  hem_search_options o;
  bool learned; /* answers are scored by the metric */
  size_t k;
  size_t doubled; /* rounds so far: each asks for twice as many photos as the one before */
  hem__choice choice;
  size_t left_out;        /* photos at most that may not be in the answer, and stand before those that may */
  uint64_t candidates_ns; /* learned: in hem__candidates */
  bool all;               /* every photo of every category has been seen: there is no horizon */
  size_t fallbacks;
  size_t met;       /* learned: items (or photos) that were scored */
  uint64_t scored;  /* photos, as often as they were */
  hem__ranked best; /* learned: the best of all, whatever its probability; its score is NaN where there is none */
} hem__search;

static inline const hem__category *hem__chosen(const hem_searcher *s, size_t i) {
  return &s->engine->categories[s->chosen[i]].shared;
}

/* ---- what is asked of each category (narrow.c); `chosen` numbers those that are searched ---- */

/* Marks the labels that are wanted and counts their photos. Errors: ENOTFOUND. */
hem_status hem__search_narrow(hem__search *search, hem_error *err);
/* Photos that are wanted of a category in this round. */
size_t hem__search_fetch(const hem__search *search, size_t chosen);
/* So many photos that are wanted, and those with other labels that come among them, as far as the counts tell: the
 * room that hem__search_candidates needs for them. */
size_t hem__search_widened(const hem__search *search, size_t chosen, size_t photos);

typedef struct hem__found {
  hem__near *at; /* the caller's; nearest first */
  size_t count;  /* without labels exactly min(k, photos); with them perhaps fewer or more */
  bool fell_back;
  bool all;      /* no other photo of the category is wanted */
  float horizon; /* no photo with a smaller key is missing; infinity: none is at all */
} hem__found;

/* About the k nearest photos that are wanted. `exact`: exactly they. Errors: those of hem__candidates, ENOMEM. */
hem_status hem__search_candidates(hem__search *search, size_t chosen, size_t k, bool exact, hem__found *found,
                                  hem_error *err);

/* Makes room for the candidates of each chosen category, and empties the ranking. */
hem_status hem__search_reserve(hem__search *search, hem_error *err);
/* The chosen photos of the ranking, as hits. Returns how many there are. */
size_t hem__search_hits(hem__search *search);

#endif
