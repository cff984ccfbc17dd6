/* Hemline: which product in this shop is the garment in this customer's photo?
 *
 * This header is the whole contract of libhemline.
 *
 * Errors.  Every function that can fail returns a hem_status; HEM_OK is zero. Where it fails and `err` is not NULL,
 * that carries the same code and a sentence that says what was wrong, where, and what to do. Outputs are written only
 * on success. Pointers must not be NULL but where it says so. The library never prints and never exits.
 *
 * Ownership.  Who opens closes, who news frees; closing and freeing accept NULL. A `const T *` argument is borrowed for
 * that call only. What a function hands out belongs to the object it came from, and lives as long as is said there.
 *
 * Lifetimes.  An engine outlives its searchers and batches. Names, paths and labels live as long as the engine; the
 * array of hits until the next call of the searcher or batch that gave it.
 *
 * Threads.  A hem_engine is immutable and may be used by any number of threads at once, without a lock. A hem_searcher,
 * hem_batch, hem_embedder or hem_client belongs to one thread at a time: make one for each. hem_ingest and hem_index
 * start threads of their own and may run side by side on different files. A process that has searched must not fork and
 * search on in the child: OpenMP does not survive that.
 *
 * Strings are UTF-8. Vectors are float32 in the machine's own byte order, rows without gaps. Times are nanoseconds,
 * probabilities and shares lie between 0 and 1.
 *
 * ABI.  The soname carries HEM_VERSION_MAJOR; it changes where one of these rules is broken, and only then:
 *  - A function keeps its name, its arguments and what it promises.
 *  - An enum keeps its numbers. New ones may come, so expect some that you do not know.
 *  - An options struct starts with `size`: set it to sizeof the struct. Fields are only appended, and zero means the
 *    default, so a program built against an older header keeps working; and a library that is older than the header
 *    ignores what it does not know.
 *  - A struct that the library fills keeps its size and its fields their places. New fields take the place of its
 *    `reserved` words, which are zero until then. hem_epoch, which is never the caller's, may be appended to.
 *  - hem_error, hem_progress, hem_box and hem_certificate stay as they are.
 */
#ifndef HEMLINE_H
#define HEMLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEM_VERSION_MAJOR 0
#define HEM_VERSION_MINOR 1
#define HEM_VERSION_PATCH 0
#define HEM_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define HEM_API __attribute__((visibility("default")))
#else
#define HEM_API
#endif

/* The version of the library that is running, "major.minor.patch". Static storage. */
HEM_API const char *hem_version(void);

/* ---- errors ---- */

typedef enum hem_status {
  HEM_OK = 0,
  HEM_EINVAL = 1,       /* an argument makes no sense */
  HEM_ENOMEM = 2,       /* out of memory, or a size that cannot be represented */
  HEM_EIO = 3,          /* the system refused to read, write, sync or rename */
  HEM_ENOTFOUND = 4,    /* no such file, category, space or row */
  HEM_ECORRUPT = 5,     /* a size or checksum is wrong, or the content contradicts itself */
  HEM_EVERSION = 6,     /* written by a newer Hemline, or not by Hemline at all */
  HEM_EUNSUPPORTED = 7, /* a combination that cannot work, or a library that is not there */
  HEM_EBUSY = 8,        /* somebody else is writing */
  HEM_EMISMATCH = 9,    /* vectors of another embedding space or dimension */
  HEM_ECANCELED = 10    /* the progress callback asked to stop */
} hem_status;

typedef struct hem_error {
  hem_status code;
  char message[512]; /* UTF-8, one line, always terminated */
} hem_error;

/* "HEM_ECORRUPT" and so on; never NULL. Static storage. */
HEM_API const char *hem_status_name(hem_status status);

/* Called now and then from one thread during long work. `done` of `total` (0: not known yet) `unit`s of
 * `stage` are finished. Strings are borrowed for the call. Return false to stop: the call that reports then
 * returns HEM_ECANCELED and leaves the last good state. */
typedef bool hem_progress_fn(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit);

typedef struct hem_progress {
  hem_progress_fn *report; /* NULL: silent */
  void *context;           /* passed back as it is; not owned */
} hem_progress;

/* ---- ingest: photos -> embeddings -> catalogue ---- */

typedef struct hem_ingest_options {
  size_t size;                 /* sizeof(hem_ingest_options) */
  const char *catalog;         /* the HDF5 file to make or to add to */
  const char *idx;             /* folder of Fashion-MNIST files, or NULL */
  const char *manifest;        /* TSV or CSV listing of photos, or NULL; with `vectors`, of what its rows are */
  const char *const *features; /* one embedding space each: "hog,color,ccv,harris", "onnx:FILE", ... */
  size_t feature_count;        /* 0: those of the catalogue that is there, or one space, "hog,color,ccv,harris" */
  size_t threads;              /* 0: one for each core */
  size_t segment_rows; /* photos a sealed segment holds; 0: 8192 (512 where there is a network), or what fits 64 MiB */
  hem_progress progress;
  const char *folder;      /* a folder for each category, or NULL */
  const char *deepfashion; /* root of DeepFashion's Consumer-to-Shop benchmark, or NULL */
  const char *vectors;     /* .npy, .fvecs, .bvecs, FILE.h5 or FILE.h5:/dataset with ready-made vectors, or NULL */
  const char *space_name;  /* of the space of ready-made vectors; NULL: "vectors" */
  const char *domain;      /* "shop" or "consumer": of what `folder` or `vectors` do not say it of; NULL: shop */
  const char *split;       /* "none", "train", "validation" or "test", likewise; NULL: none */
  bool whole_photos;       /* do not crop to DeepFashion's boxes */
} hem_ingest_options;

typedef struct hem_ingest_result {
  uint64_t added;    /* photos embedded in this run */
  uint64_t skipped;  /* already in the catalogue, unchanged */
  uint64_t rejected; /* unreadable; listed with reasons under /rejected */
  uint64_t rows;     /* photos in the catalogue now */
  uint64_t replaced; /* embedded anew: their file, item, category, label, domain or split had changed */
  uint64_t reserved[3];
} hem_ingest_result;

/* The source is one of idx, manifest, folder, deepfashion and vectors (and a manifest may come with vectors).
 * Embeds every photo of the source that the catalogue does not hold yet, and seals the result.
 * Photos are sealed in segments beside the catalogue; a killed run loses only the segment in progress, and
 * the same call again goes on from there.
 * Errors: EINVAL, ENOTFOUND (source), EBUSY (another writer), EMISMATCH (other spaces than the catalogue's),
 * ECORRUPT, EVERSION, EIO (disk full among others), ENOMEM, ECANCELED, EUNSUPPORTED (vectors of another type, or a
 * network: see hem_embedder_new). */
HEM_API hem_status hem_ingest(const hem_ingest_options *options, hem_ingest_result *result, hem_error *err);

typedef struct hem_delete_options {
  size_t size;              /* sizeof(hem_delete_options) */
  const char *catalog;      /* the HDF5 file to delete from */
  const char *const *items; /* item ids: all of their photos */
  size_t item_count;
  const char *const *paths; /* photos, as the catalogue names them, with all of their boxes */
  size_t path_count;
  hem_progress progress;
} hem_delete_options;

typedef struct hem_delete_result {
  uint64_t deleted; /* photos */
  uint64_t missing; /* items and paths that the catalogue does not hold */
  uint64_t rows;    /* photos in the catalogue now */
  uint64_t reserved[3];
} hem_delete_result;

/* Writes the catalogue anew without these photos, and replaces it in one step. Stores built from it keep answering with
 * them until they are indexed again. Where none of them is in it, the catalogue stays as it is.
 * Errors: those of hem_ingest. */
HEM_API hem_status hem_delete(const hem_delete_options *options, hem_delete_result *result, hem_error *err);

/* ---- train: pairs of photos -> the Siamese metric ---- */

typedef struct hem_epoch {
  size_t seed, epoch; /* from 1 */
  double loss;        /* mean over the training pairs; NaN for epoch 0 */
  double accuracy;    /* top-20 on validation, 0..1, among the nearest 256; epoch 0: before training */
  double seconds;
} hem_epoch;

typedef struct hem_train_options {
  size_t size;         /* sizeof(hem_train_options) */
  const char *catalog; /* sealed catalogue with consumer and shop photos of the same items */
  const char *metric;  /* the file to write */
  const char *space;   /* embedding space; NULL: the only one */
  const char
      *form; /* "head": |a-b| -> Dense(hidden, relu) -> Dense(1, sigmoid); "l1", "l2": weighted L1, L2; NULL: head */
  size_t hidden; /* H; 0: 128 */
  size_t
      tower; /* values of a shared Dense layer, L2-normalised, before |a-b|; 0: 128, or as many as an embedding has */
  bool raw;  /* embeddings as they are; false: divided by their norm */
  bool free_sign;    /* output weights of any sign, as in the reference work; false: none above zero, so that the head
                        is concave and an exact search can prune */
  bool random_start; /* Glorot's start, as in the reference work; false: the head starts as a plain distance */
  const char *loss;  /* "bce" or "triplet" (batch-hard); NULL: bce */
  const char *negatives;        /* "hard", "category", "random", or "first" (the reference work's); NULL: hard */
  const char *optimiser;        /* "adam" or "rmsprop"; NULL: adam */
  size_t epochs;                /* at most; 0: 30 */
  size_t batch;                 /* pairs; 0: 256 */
  size_t patience;              /* epochs without a better validation accuracy before it stops; 0: 6 */
  size_t negatives_each;        /* for every positive pair; 0: 8 */
  double learning_rate;         /* 0: 0.001 */
  double weight_decay, dropout; /* 0: none */
  size_t seeds;                 /* trained so many times; the best on validation stays; 0: 1 */
  uint64_t seed;                /* the same seed, catalogue, options and threads give the same bytes */
  size_t folds, fold;  /* where the catalogue marks no train split: items fall by the hash of their id into `folds` (0:
                          5)  parts; part `fold` stays unseen, the next one validates */
  bool no_tower;       /* |a-b| of the embeddings themselves, as in the reference work */
  double false_accept; /* the share of queries without a match that may still be given one; 0: 0.05 */
  size_t threads;      /* 0: one for each core */
  const char *checkpoint; /* state after every epoch, to go on from; removed at the end; NULL: none */
  hem_progress progress;
  void (*on_epoch)(void *context, const hem_epoch *epoch); /* NULL: not wanted. `context` is that of `progress` */
} hem_train_options;

typedef struct hem_train_result {
  bool better; /* than L2, L1 and cosine over the same vectors, on validation: what hem_index asks for */
  uint64_t train_items, train_pairs, validation_queries, validation_gallery;
  double accuracy;                  /* top-20 on validation, 0..1 */
  double l2, l1, cosine;            /* those of the plain distances */
  double gain, gain_low, gain_high; /* over the best of them, and its 95% interval, by item */
  uint64_t reserved[4];
} hem_train_result;

/* Trains, calibrates and judges a metric, and writes it, whether it is better or not. Evaluate it on items that it
 * never saw: the file lists those it did. Errors: those of hem_ingest; ENOTFOUND (no pairs to train on or to validate
 * with), EMISMATCH (a checkpoint of another run).
 */
HEM_API hem_status hem_train(const hem_train_options *options, hem_train_result *result, hem_error *err);

/* Writes a metric as an ONNX model: inputs "a" and "b" [N, D], outputs "score" and "probability" [N]. */
HEM_API hem_status hem_export_onnx(const char *metric, const char *onnx, hem_error *err);

/* ---- index: catalogue -> generation of per-category indices ---- */

typedef enum hem_distance {
  HEM_L2 = 0,     /* Euclidean distance, sqrt of the sum of squares */
  HEM_L1 = 1,     /* sum of absolute differences */
  HEM_COSINE = 2, /* 1 - cosine of the angle; zero vectors are at distance 1 from everything */
  HEM_IP = 3      /* minus the inner product, so that smaller is nearer here too */
} hem_distance;

HEM_API const char *hem_distance_name(hem_distance distance); /* "l2", "l1", ... */
HEM_API hem_status hem_distance_parse(const char *name, hem_distance *out, hem_error *err);

typedef struct hem_index_options {
  size_t size;         /* sizeof(hem_index_options) */
  const char *catalog; /* sealed catalogue */
  const char *store;   /* directory of generations, made if missing */
  const char *space;   /* embedding space; NULL: the only one */
  const char *kind;    /* flat | hnsw | hnsw-sq8 | hnsw-pca | ivf | ivf-sq8 | ivf-pq; NULL: hnsw-pca for l2 and cosine
                          of 256 values and more, where 128 dimensions hold 0.8 of the spread; else hnsw. Categories of
                          fewer than 1,000 photos are always flat:    exact, and faster at that size */
  hem_distance distance;
  uint32_t ef_search;       /* HNSW: 0 = 64 */
  uint32_t ef_construction; /* HNSW: 0 = 40 */
  uint32_t links;           /* HNSW M: 0 = 32 */
  uint32_t nlist;           /* IVF lists: 0 = 4 sqrt(n); always capped at n/39, FAISS's training minimum */
  uint32_t nprobe;          /* IVF lists visited: 0 = chosen for recall@10 >= 0.99 on Fashion-MNIST */
  uint32_t refine;          /* exact distances for this many times k candidates; 0: -sq8 4, -pca 8, -pq 16 */
  size_t threads;           /* categories built at once; 0: one for each core */
  uint32_t keep;            /* older generations kept, for those who are just opening one; 0 = 2 */
  hem_progress progress;
  const char *metric; /* a file of hem_train: candidates are searched by the distance nearest to it and reranked by it;
                         `distance` is then the metric's own. NULL: no rerank */
  bool force;         /* take a metric that validation did not show to be better than the plain distances */
  uint32_t rerank;    /* candidates a category that are scored; 0: the fewest that keep 0.99 of the exhaustive top 20 */
  const char *precision; /* of the vectors that are scored: "u8" or "f16"; NULL: u8, f16 where u8 loses too much */
  uint32_t axes;         /* hnsw-pca: dimensions that are left; 0 = 128, or all where there are fewer */
  /* Any of these: settings are tried out, and each category gets the cheapest that meets them, of the `kind` that is
   * named, or of all kinds (NULL). What is set above (ef_search, ...) stays as it is set. */
  double target_recall; /* 0..1: that the chosen setting surely has, of the 10 nearest photos, with a metric of the 20
                           best items by scoring every photo; 0: the best that the others allow */
  uint32_t max_latency_us; /* that half of the queries may take, on one thread; 0: as long as it takes */
  uint64_t max_memory;     /* bytes of vectors, indices and points that searches walk through; 0: as many as it takes */
} hem_index_options;

/* Builds an index for each category over the catalogue's shop photos and publishes it as the store's new
 * current generation. Readers of the old generation are not disturbed. The same catalogue and options give
 * the same bytes. A killed build leaves the store as it was; its left-overs are swept by the next one.
 * Where settings were tried out, two builds choose alike, but measured times differ, and so do the bytes that tell
 * them. Errors: those of hem_ingest, EUNSUPPORTED (this kind with this distance; a metric that is not better, and no
 * `force`; limits that nothing meets: the message says what is possible), and EMISMATCH (a metric of another space). */
HEM_API hem_status hem_index(const hem_index_options *options, hem_error *err);

/* Makes an older generation current again, `generation` ("000002"), or the one before the current one (NULL): checks
 * all of its files and publishes them once more under a new number, which goes to `out`, terminated. Errors: EINVAL
 * (not a generation's name, or current already), ENOTFOUND (no longer there), ECORRUPT, EBUSY (somebody is indexing),
 * EIO, ENOMEM. */
HEM_API hem_status hem_rollback(const char *store, const char *generation, char out[16], hem_error *err);

/* ---- query: engine and searchers ---- */

typedef struct hem_engine hem_engine;
typedef struct hem_searcher hem_searcher;

typedef struct hem_engine_options {
  size_t size;                   /* sizeof(hem_engine_options) */
  const char *const *categories; /* load only these; NULL: all */
  size_t category_count;
} hem_engine_options;

/* Opens the store's current generation, checks every size and SHA-256 before anything is parsed, and pins
 * it: a generation published later is seen by the next open. `options` may be NULL.
 * Errors: ENOTFOUND, ECORRUPT, EVERSION, EUNSUPPORTED (this processor), EINVAL, EIO, ENOMEM. */
HEM_API hem_status hem_engine_open(const char *store, const hem_engine_options *options, hem_engine **engine,
                                   hem_error *err);
HEM_API void hem_engine_close(hem_engine *engine);

/* How much of the exhaustive answer the default answer holds, measured when the generation was built. */
typedef struct hem_certificate {
  double overlap, low, high; /* share of the k best items by scoring every photo; Clopper and Pearson's 95% interval */
  uint64_t queries;          /* sampled; 0: there is no certificate (a store without a metric) */
  uint32_t k;                /* 20, or the items there are */
} hem_certificate;

typedef struct hem_engine_info {
  const char *generation; /* name, such as "000003" */
  const char *space;      /* embedding space the store was built from */
  const char *space_hash; /* its identity, SHA-256 in hex */
  const char *features;   /* what hem_embedder_new takes to embed a photo the same way */
  const char *catalog;    /* path of the catalogue, as given to hem_index */
  size_t dim;             /* values in a vector */
  hem_distance distance;
  uint64_t photos, items; /* in the gallery */
  size_t category_count;
  bool metric;                 /* answers are reranked by a Siamese metric */
  const char *metric_about;    /* what it is and how it was trained, or "" */
  const char *kernel;          /* that scores here: "avx2", ..., or "" */
  double false_accept;         /* rate that "no match" is set for */
  hem_certificate certificate; /* all categories searched together */
  uint64_t reserved[8];
} hem_engine_info;

/* All strings live as long as the engine. */
HEM_API void hem_engine_info_get(const hem_engine *engine, hem_engine_info *info);
/* Name, index kind and photo count of category i < category_count. The pointers live as long as the engine. */
HEM_API void hem_engine_category(const hem_engine *engine, size_t i, const char **name, const char **kind,
                                 uint64_t *photos);

/* An item of the shop. */
typedef struct hem_item {
  const char *item_id; /* lives as long as the engine, as do the strings of its photos */
  size_t number;       /* among the items, from 0, in the byte order of their ids */
  size_t photo_count;  /* at least 1 */
  uint64_t reserved[3];
} hem_item;

typedef struct hem_photo {
  const char *category;
  const char *path;  /* as the source named it */
  const char *label; /* finer class, or "" */
  uint64_t row;      /* in the catalogue as it was when it was indexed: rows move when it changes */
  bool loaded;       /* its category is: it can be found */
  uint64_t reserved[3];
} hem_photo;

/* Looks an item up, also one of a category that is not loaded. Errors: ENOTFOUND. */
HEM_API hem_status hem_engine_item(const hem_engine *engine, const char *item_id, hem_item *item, hem_error *err);
/* Its photo i < item->photo_count, by category, then row. `item` is of this engine. */
HEM_API void hem_engine_item_photo(const hem_engine *engine, const hem_item *item, size_t i, hem_photo *photo);

HEM_API hem_status hem_searcher_new(const hem_engine *engine, hem_searcher **searcher, hem_error *err);
HEM_API void hem_searcher_free(hem_searcher *searcher);

typedef struct hem_search_options {
  size_t size;                   /* sizeof(hem_search_options) */
  size_t k;                      /* items wanted; 0: 20 */
  const char *const *categories; /* search these; NULL: every category that is loaded, merged */
  size_t category_count;
  bool exact;     /* as if every photo were scanned, and scored, instead of asking the index */
  bool photos;    /* rank photos; false: rank items by their nearest photo */
  bool leave_out; /* do not return the photo of catalogue row `leave_out_row` */
  uint64_t leave_out_row;
  bool plain;                /* do not rerank: by the candidates' distance */
  uint32_t rerank;           /* candidates a category to score; 0: what the store was built for */
  double min_probability;    /* hits below it are left out; 0: none are */
  const char *const *labels; /* only photos with one of these labels; NULL: whatever their label. "": those without */
  size_t label_count;
} hem_search_options;

typedef struct hem_hit {
  const char *item_id; /* strings live as long as the engine */
  const char *category;
  const char *path;  /* the photo, as the source named it */
  const char *label; /* finer class, or "" */
  uint64_t row;      /* the photo's row in the catalogue as it was when it was indexed: rows move when it changes */
  float distance; /* smaller is nearer, for every hem_distance; under a metric, the distance candidates were found by */
  float score;    /* the metric's: the larger, the more alike; NaN without one */
  float probability; /* that it shows the query's item, 0..1; NaN without a metric */
  uint32_t place;    /* from 1: where it stood by distance among the photos that were scored */
  uint64_t reserved[1];
} hem_hit;

typedef enum hem_shortfall {
  HEM_COMPLETE = 0,      /* k hits were found */
  HEM_SMALL_GALLERY = 1, /* the categories searched hold fewer than k items (with these labels): these are all */
  HEM_IMPROBABLE = 2     /* the others are below min_probability */
} hem_shortfall;

typedef struct hem_answer {
  const hem_hit *hits;  /* best first; ties by item id, then row. Lives until the searcher's next call */
  size_t found, wanted; /* found < wanted only for the reason in `shortfall` */
  hem_shortfall shortfall;
  size_t categories;      /* searched */
  size_t fallbacks;       /* categories where the index returned too few and an exact scan answered */
  uint64_t gallery;       /* photos in the categories searched */
  uint64_t scored;        /* evaluations of the metric */
  bool no_match;          /* the best hit's probability is below the threshold of its category */
  double threshold;       /* that one; 0 without a metric */
  uint64_t candidates_ns; /* how long it took to find the candidates; without a rerank, the answer */
  uint64_t rerank_ns;     /* and all the rest: the query's point, bounds, scores, order; 0 without a rerank */
  uint64_t reserved[4];
} hem_answer;

/* The nearest items to `vector` (`dim` floats of the engine's space, not normalised by the caller). `options` may be
 * NULL. The answer lives until the searcher's next call.
 * A searcher's buffers grow to the hardest query it has answered; from then on nothing is allocated here (with an
 * IVF index, FAISS allocates inside its own search), and no lock is taken.
 * Errors: ECORRUPT (an index names what is not there), EUNSUPPORTED (FAISS), EMISMATCH (dim), EINVAL (NaN or beyond
 * 1e15, k over 100,000), ENOTFOUND (category, label), ENOMEM. */
HEM_API hem_status hem_search(hem_searcher *searcher, const float *vector, size_t dim,
                              const hem_search_options *options, hem_answer *answer, hem_error *err);

/* What else in the shop is like this item? Asks with its first photo in a category that is loaded (hem_engine_item), as
 * it lies in the store; all of the item's own photos are left out. Otherwise as hem_search.
 * Errors: those of hem_search, ENOTFOUND (the item, or all of its categories are not loaded). */
HEM_API hem_status hem_search_item(hem_searcher *searcher, const char *item_id, const hem_search_options *options,
                                   hem_answer *answer, hem_error *err);

/* ---- many queries at once ---- */

/* Searchers on threads of their own, which wait for the next call. */
typedef struct hem_batch hem_batch;

/* `threads`: 0: one for each core. The calling thread is one of them. Errors: ENOMEM. */
HEM_API hem_status hem_batch_new(const hem_engine *engine, size_t threads, hem_batch **batch, hem_error *err);
HEM_API void hem_batch_free(hem_batch *batch);

/* answers[i] is what hem_search says of vector i, `count` of `dim` floats in rows; `options` are the same for all of
 * them and may be NULL. Answers live until the batch's next call. Where one query fails, the call fails: the message
 * names the first of those that did, and no answer is written. Errors: those of hem_search. */
HEM_API hem_status hem_batch_search(hem_batch *batch, const float *vectors, size_t count, size_t dim,
                                    const hem_search_options *options, hem_answer *answers, hem_error *err);

/* ---- embedding a photo the way a store was built ---- */

typedef struct hem_embedder hem_embedder;

/* `features` as in hem_engine_info. One embedder for each thread; embedders of the same network share its weights.
 *
 * A network stands among the features as "onnx:FILE", or
 * "onnx:FILE?preset=NAME&layer=NAME&preprocess=TEXT&normalise=l2" with any of these options; "hemnet" is the one that
 * Hemline ships. In names and values the bytes , ? & % and blanks are written as %XX. Where the file was moved, change
 * the text: the space is the same while its bytes are. Errors: EINVAL (unknown feature, an option that does not fit the
 * model), ENOTFOUND (no such model or layer), ECORRUPT (not an ONNX model), EUNSUPPORTED (built without ONNX Runtime,
 * or it is not there; a model that is none for images; ready-made vectors, which no photo can be embedded like), EIO,
 * ENOMEM. */
HEM_API hem_status hem_embedder_new(const char *features, hem_embedder **embedder, hem_error *err);
HEM_API void hem_embedder_free(hem_embedder *embedder);
HEM_API size_t hem_embedder_dim(const hem_embedder *embedder);
HEM_API const char *hem_embedder_hash(const hem_embedder *embedder); /* equals the engine's space_hash */

/* Part of a photo, once it is upright (EXIF): its left upper corner, and how far it reaches to the right and down. What
 * lies beyond the photo's edges is cut off. None is below zero, width and height are above it. */
typedef struct hem_box {
  double x, y, width, height;
  bool parts; /* of the photo's width and height, 0..1, kept in millionths; false: pixels, rounded to whole ones */
} hem_box;

/* Decodes a photo in memory, `size` bytes of a JPEG, PNG, WebP or AVIF file (told by content), and writes
 * hem_embedder_dim() floats to `vector`. `name`: what messages call it; NULL: "the photo". `box`: only this part of it;
 * NULL: all of it. Everything is borrowed.
 * Errors: ECORRUPT (damaged, cut off), EUNSUPPORTED (no such photo, or built without libvips), EINVAL (too large; a box
 * that makes no sense or leaves nothing), EIO, ENOMEM. */
HEM_API hem_status hem_embedder_bytes(hem_embedder *embedder, const void *bytes, size_t size, const char *name,
                                      const hem_box *box, float *vector, hem_error *err);

/* The same of the file at `path`, whole. Errors: those of hem_embedder_bytes, ENOTFOUND. */
HEM_API hem_status hem_embedder_photo(hem_embedder *embedder, const char *path, float *vector, hem_error *err);

/* How long the last photo took, in nanoseconds: to be decoded and cut to its box, and to be embedded. Reading its file
 * is neither. 0: it did not come so far. Either may be NULL. */
HEM_API void hem_embedder_times(const hem_embedder *embedder, uint64_t *decode_ns, uint64_t *embed_ns);

/* ---- asking a server: `hemline serve --unix PATH` ---- */

/* A connection to a server on this machine, which answers as hem_search does. One thread at a time. Whatever a client
 * hands out (hits, strings) lives until the next call on that client.
 *
 * When the server went away between two requests, because it was restarted, the next one connects again and is sent
 * once more; nobody notices but by the time it takes. A request that was sent and not answered in time, or a second
 * failure, is an error: EIO. The call after that connects anew. */
typedef struct hem_client hem_client;

typedef struct hem_client_options {
  size_t size;             /* sizeof(hem_client_options) */
  unsigned timeout_ms;     /* for a request to be answered; 0: 30,000 */
  unsigned reconnect_ms;   /* how long a server that went away is waited for; 0: 1,000 */
  bool no_reconnect;       /* a server that went away is an error at once */
  size_t answer_bytes_max; /* of one reply; 0: 256 MiB */
  unsigned spin_us;        /* where the last reply came within so many microseconds, the next is looked for about as
                              long before the thread sleeps: being woken takes tens of them; 0: 200, UINT_MAX: never */
} hem_client_options;

/* Connects; `path` is copied, `options` may be NULL. Errors: ENOTFOUND (there is no such socket), EIO (nobody listens),
 * EINVAL (a path that is too long), ENOMEM. */
HEM_API hem_status hem_client_open(const char *path, const hem_client_options *options, hem_client **client,
                                   hem_error *err);
HEM_API void hem_client_close(hem_client *client);

/* The following have the errors of what they are named after, and besides EIO (the server went away, or did not answer
 * in time), EBUSY (it has too much to do, or replies to hem_client_send are outstanding here), ECORRUPT (what answers
 * is no Hemline), EVERSION (of another version). */
HEM_API hem_status hem_client_search(hem_client *client, const float *vector, size_t dim,
                                     const hem_search_options *options, hem_answer *answer, hem_error *err);
/* `vectors` [count, dim], count 1 to 1024, in one message, answered from one generation; answers [count]. */
HEM_API hem_status hem_client_search_batch(hem_client *client, const float *vectors, size_t count, size_t dim,
                                           const hem_search_options *options, hem_answer *answers, hem_error *err);
/* `bytes` of a JPEG, PNG, WebP or AVIF file; the server embeds it. `box`: only this part of it; NULL: all of it. */
HEM_API hem_status hem_client_search_photo(hem_client *client, const void *bytes, size_t size, const hem_box *box,
                                           const hem_search_options *options, hem_answer *answer, hem_error *err);
/* What is like an item of the gallery; the item itself is left out. */
HEM_API hem_status hem_client_search_item(hem_client *client, const char *item_id, const hem_search_options *options,
                                          hem_answer *answer, hem_error *err);

/* What the server answers from, as hem_engine_info_get. */
HEM_API hem_status hem_client_info(hem_client *client, hem_engine_info *info, hem_error *err);
/* As hem_engine_category; right behind hem_client_info, i < info.category_count. */
HEM_API hem_status hem_client_category(hem_client *client, size_t i, const char **name, const char **kind,
                                       uint64_t *photos, hem_error *err);

typedef struct hem_client_about {
  const char *generation;                           /* that answered */
  hem_certificate certificate;                      /* of it */
  uint64_t wait_ns, decode_ns, embed_ns, search_ns; /* where the server's time went; wait: until a thread was free */
  uint64_t reserved[4];
} hem_client_about;

/* Of the reply that was received last; generation is "" before the first one. */
HEM_API void hem_client_about_get(const hem_client *client, hem_client_about *about);

/* Several requests on their way at once: send any number, then receive as many replies, and tell them apart by id.
 * Replies to vectors come in the order in which these were sent, those to photos when they are ready. Nothing is sent
 * a second time: when the connection breaks, all of them are lost. */
typedef struct hem_client_question {
  size_t size;          /* sizeof(hem_client_question) */
  const float *vectors; /* [count, dim]; or a photo, or an item: one of them */
  size_t count, dim;    /* count: 0 means 1 */
  const void *photo;
  size_t photo_size;
  const hem_box *box; /* of the photo, or NULL */
  const char *item_id;
  const hem_search_options *options; /* or NULL */
} hem_client_question;

/* *id is never 0. Errors: EINVAL, EIO, ENOMEM. */
HEM_API hem_status hem_client_send(hem_client *client, const hem_client_question *question, uint64_t *id,
                                   hem_error *err);
/* Waits for the next reply. `answers` has room for `room` answers, *count are written (0: there is only an error). What
 * is wrong with one request is the error of its reply, with its id; with id 0 the connection is lost, and all that was
 * sent with it. Errors: those of hem_search, EIO, EINVAL (nothing was sent; no room). */
HEM_API hem_status hem_client_receive(hem_client *client, uint64_t *id, hem_answer *answers, size_t room, size_t *count,
                                      hem_error *err);

#ifdef __cplusplus
}
#endif
#endif
