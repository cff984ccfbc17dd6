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
  bool *labels; /* by number: those that are wanted */
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
  size_t fetch;   /* photos asked of each category in this round; learned: what the store says, twice ... */
  size_t doubled; /* ... so many times */
  hem__choice choice;
  size_t left_out;        /* photos at most that may not be in the answer, and stand before those that may */
  size_t wanted;          /* photos of the gallery with a label that is wanted; all, where none is named */
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

/* So many photos, and as many more as have other labels than those that are wanted, as far as the gallery tells. */
size_t hem__search_widened(const hem__search *search, size_t photos);
/* Photos asked of a category in this round. */
size_t hem__search_fetch(const hem__search *search, const hem__category *category);
/* hem__candidates, timed. */
hem_status hem__search_candidates(hem__search *search, const hem__category *category,
                                  const hem__candidates_request *request, hem__candidates_found *found, hem_error *err);
/* Puts the candidates with a label that is wanted first, and returns how many there are. */
size_t hem__search_keep(const hem__search *search, const hem__category *category, hem__near *near, size_t count);
/* Makes room for the candidates of each chosen category, and empties the ranking. */
hem_status hem__search_reserve(hem__search *search, hem_error *err);
/* The chosen photos of the ranking, as hits. Returns how many there are. */
size_t hem__search_hits(hem__search *search);

#endif
