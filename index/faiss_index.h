/* The adapter to FAISS (its C API). Nobody else includes FAISS's headers. It knows vectors, not photos.
 *
 * FAISS trusts what it reads: only bytes whose checksum was verified may come to hem__faiss_read. */
#ifndef HEM_INDEX_FAISS_INDEX_H
#define HEM_INDEX_FAISS_INDEX_H

#include <stdatomic.h>

#include "base/file.h"
#include "index/flat.h"

/* Searching does not change it: any number of threads may search one index at once. */
typedef struct hem__faiss hem__faiss;

typedef struct hem__faiss_recipe {
  const char *factory; /* FAISS's name for it: "HNSW32", "IVF256,SQ8", ... */
  hem_distance distance;
  uint32_t ef_construction; /* HNSW: candidates kept while a vector is linked in; 0: FAISS's 40 */
  atomic_size_t *added;     /* counted up as vectors go in, for progress; NULL: not wanted */
  const atomic_bool *stop;  /* turned true from outside: give up; NULL: never */
} hem__faiss_recipe;

/* Trains and fills an index, vectors in row order. With OpenMP held to one thread the same vectors give the same
 * bytes. Errors: EUNSUPPORTED (what FAISS says), ENOMEM, ECANCELED. */
hem_status hem__faiss_build(const hem__faiss_recipe *recipe, hem__matrix vectors, hem__faiss **out, hem_error *err);
hem_status hem__faiss_write(const hem__faiss *index, hem__aside *file, hem_error *err);
/* `name` is for messages. Errors: ECORRUPT (FAISS cannot parse it, or it is not of this dim, rows, distance). */
hem_status hem__faiss_read(const void *bytes, size_t size, const char *name, hem_distance distance, size_t rows,
                           size_t dim, hem__faiss **out, hem_error *err);
void hem__faiss_free(hem__faiss *index);

/* A search setting ("efSearch", "nprobe"), before the index is shared. */
hem_status hem__faiss_set(hem__faiss *index, const char *setting, uint32_t value, hem_error *err);

/* The k nearest rows it finds, nearest first by its own reckoning; `keys` and `rows` hold k values each, rows of
 * -1 fill up what was not found. */
hem_status hem__faiss_search(const hem__faiss *index, const float *query, size_t k, float *keys, int64_t *rows,
                             hem_error *err);

#endif
