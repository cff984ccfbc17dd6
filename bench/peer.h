/* A contestant of the sweep: a kind of index that is built into a file or folder, opened, and asked. Hemline's own
 * kinds are contestants too, so that all of them are measured by the same code.
 *
 * To add one: write bench/peer_NAME.c with an array of hem__peer_type, and name the array in bench/peers.c. */
#ifndef HEM_BENCH_PEER_H
#define HEM_BENCH_PEER_H

#include "base/memory.h"

/* What every contestant is given. All borrowed. */
typedef struct hem__peer_task {
  const char *catalog, *category; /* what Hemline's own are built from: its rows 0, 1, ... are those of `gallery` */
  hem__matrix gallery;            /* normalised for cosine, as queries are */
  hem_distance distance;
  size_t build_threads; /* at most; Hemline builds a category on one */
  size_t threads;       /* that will ask one opened index at once, at most */
} hem__peer_task;

enum { HEM__PEER_K_MAX = 1000 };

/* How far a search goes. */
typedef struct hem__peer_depth {
  uint32_t depth;  /* ef_search or nprobe; 0: there is nothing to set */
  uint32_t refine; /* exact distances for so many times k candidates; 0: does not apply */
} hem__peer_depth;

typedef struct hem__peer_type hem__peer_type;

/* An opened index; the first member of the contestant's own struct. */
typedef struct hem__peer {
  const hem__peer_type *type;
} hem__peer;

struct hem__peer_type {
  const char *name;       /* "faiss-hnsw"; a file name too */
  const char *depth_name; /* what depth is called: "ef", "nprobe" */
  const void *own;        /* what tells variants of one file apart */
  const hem__peer_depth *ladder;
  size_t ladder_count;
  /* The parameters of the build, for readers: "HNSW32,Flat efConstruction=40". */
  void (*describe)(const hem__peer_type *type, const hem__peer_task *task, char *out, size_t room);
  /* Builds from `task` and writes to `path`. EUNSUPPORTED: it has no such distance; the sweep goes on without it. */
  hem_status (*build)(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem_error *err);
  hem_status (*open)(const hem__peer_type *type, const hem__peer_task *task, const char *path, hem__peer **out,
                     hem_error *err);
  void (*close)(hem__peer *peer); /* NULL is fine */
  hem_status (*set)(hem__peer *peer, hem__peer_depth depth, hem_error *err);
  /* The k nearest rows of the gallery, nearest first; -1 where there are fewer. `thread` < task->threads: who asks. */
  hem_status (*search)(hem__peer *peer, size_t thread, const float *query, size_t k, int64_t *rows, hem_error *err);
  /* All of them at once, in its own way, on so many threads. NULL: the sweep deals them out to search(). */
  hem_status (*batch)(hem__peer *peer, hem__matrix queries, size_t k, size_t threads, int64_t *rows, hem_error *err);
  /* Lets go of the pages that it maps, so that the next search reads them from the disk. NULL: it maps nothing. */
  void (*drop)(hem__peer *peer);
};

typedef struct hem__peer_list {
  const hem__peer_type *at;
  size_t count;
} hem__peer_list;

/* Every contestant of this build, Hemline's own first. `number` < hem__peer_list_count. */
extern const size_t hem__peer_list_count;
hem__peer_list hem__peers(size_t number);
/* NULL: there is none of this name. */
const hem__peer_type *hem__peer_find(const char *name);

extern const hem__peer_type hem__peers_hemline[];
extern const size_t hem__peers_hemline_count;
extern const hem__peer_type hem__peers_faiss[];
extern const size_t hem__peers_faiss_count;
extern const hem__peer_type hem__peers_hnswlib[];
extern const size_t hem__peers_hnswlib_count;
extern const hem__peer_type hem__peers_usearch[];
extern const size_t hem__peers_usearch_count;

/* Ladders that several use; the last one is for codes of 4 bits. */
enum { HEM__LADDER_GRAPH = 11, HEM__LADDER_LISTS = 11, HEM__LADDER_REFINED = 19 };
extern const hem__peer_depth hem__ladder_graph[HEM__LADDER_GRAPH];
extern const hem__peer_depth hem__ladder_lists[HEM__LADDER_LISTS];
extern const hem__peer_depth hem__ladder_refined[HEM__LADDER_REFINED];

#endif
