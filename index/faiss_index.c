#include "index/faiss_index.h"

#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <faiss/c_api/index_io_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hem__faiss {
  FaissIndex *index;
  bool inner_product; /* FAISS then returns larger-is-nearer */
};

/* FAISS's messages start with a C++ source location; the user is helped by what follows it. */
static hem_status fail_faiss(hem_error *err, hem_status code, const char *what) {
  const char *text = faiss_get_last_error();
  if (!text || !*text) text = "no reason given";
  const char *behind = strstr(text, ": Error: ");
  return hem__fail(err, code, "FAISS could not %s: %.200s", what, behind ? behind + 9 : text);
}

static FaissMetricType metric_of(hem_distance distance) {
  return distance == HEM_L2 ? METRIC_L2 : distance == HEM_L1 ? METRIC_L1 : METRIC_INNER_PRODUCT;
}

/* Wraps what FAISS made; takes it, also when that fails. */
static hem_status wrap(FaissIndex *take, hem_distance distance, hem__faiss **out, hem_error *err) {
  hem__faiss *index = NULL;
  hem_status status = hem__alloc(1, sizeof *index, "an index", &index, err);
  if (status) {
    faiss_Index_free(take);
    return status;
  }
  *index = (hem__faiss){.index = take, .inner_product = metric_of(distance) == METRIC_INNER_PRODUCT};
  *out = index;
  return HEM_OK;
}

/* FAISS adds a step at a time, so that progress can be seen and stopped. The step is part of what makes the
 * bytes: another step would link an HNSW graph in another order. */
static hem_status add_all(const hem__faiss_recipe *recipe, hem__matrix vectors, FaissIndex *index, hem_error *err) {
  enum { STEP = 1024 };
  for (size_t first = 0; first < vectors.rows; first += STEP) {
    size_t count = hem__min(STEP, vectors.rows - first);
    if (recipe->stop && atomic_load(recipe->stop)) return hem__fail(err, HEM_ECANCELED, "stopped");
    if (faiss_Index_add(index, (idx_t)count, hem__row(vectors, first)))
      return fail_faiss(err, HEM_EUNSUPPORTED, "add vectors to the index");
    if (recipe->added) atomic_fetch_add(recipe->added, count);
  }
  return HEM_OK;
}

hem_status hem__faiss_build(const hem__faiss_recipe *recipe, hem__matrix vectors, hem__faiss **out, hem_error *err) {
  FaissIndex *made = NULL;
  hem__faiss *index = NULL;
  if (vectors.dim > INT32_MAX || vectors.rows > INT32_MAX)
    return hem__fail(err, HEM_EUNSUPPORTED, "an index holds at most %d vectors, not %zu: split the category", INT32_MAX,
                     vectors.rows);
  if (faiss_index_factory(&made, (int)vectors.dim, recipe->factory, metric_of(recipe->distance)))
    return fail_faiss(err, HEM_EUNSUPPORTED, "make this kind of index");
  hem_status status = wrap(made, recipe->distance, &index, err);
  if (status) return status;
  if (recipe->ef_construction) status = hem__faiss_set(index, "efConstruction", recipe->ef_construction, err);
  if (!status && faiss_Index_train(made, (idx_t)vectors.rows, vectors.at))
    status = fail_faiss(err, HEM_EUNSUPPORTED, "train the index");
  if (!status) status = add_all(recipe, vectors, made, err);
  if (status) {
    hem__faiss_free(index);
    return status;
  }
  *out = index;
  return HEM_OK;
}

/* ---- to and from bytes: FAISS wants a FILE ---- */

typedef struct outlet {
  hem__aside *file;
  hem_error error; /* the first failure; FAISS would only say "write error" */
} outlet;

static ssize_t outlet_write(void *cookie, const char *bytes, size_t count) {
  outlet *o = cookie;
  if (o->error.code || hem__aside_write(o->file, bytes, count, &o->error)) return 0;
  return (ssize_t)count;
}

hem_status hem__faiss_write(const hem__faiss *index, hem__aside *file, hem_error *err) {
  outlet o = {.file = file};
  FILE *stream = fopencookie(&o, "wb", (cookie_io_functions_t){.write = outlet_write});
  if (!stream) return hem__fail(err, HEM_ENOMEM, "no memory to write an index");
  int failed = faiss_write_index(index->index, stream);
  if (fclose(stream) != 0) failed = 1;
  if (o.error.code) return hem__fail(err, o.error.code, "%s", o.error.message);
  return failed ? fail_faiss(err, HEM_EIO, "write the index") : HEM_OK;
}

hem_status hem__faiss_read(const void *bytes, size_t size, const char *name, hem_distance distance, size_t rows,
                           size_t dim, hem__faiss **out, hem_error *err) {
  FaissIndex *read = NULL;
  /* "rb": fmemopen writes nothing through this pointer. */
  FILE *stream = fmemopen((void *)(uintptr_t)bytes, size, "rb");
  if (!stream) return hem__fail(err, HEM_ECORRUPT, "%s is empty", name);
  int failed = faiss_read_index(stream, 0, &read);
  fclose(stream);
  if (failed) {
    fail_faiss(err, HEM_ECORRUPT, "parse the index");
    return hem__fail_in(err, HEM_ECORRUPT, "%s", name);
  }
  if ((size_t)faiss_Index_d(read) != dim || (size_t)faiss_Index_ntotal(read) != rows ||
      faiss_Index_metric_type(read) != metric_of(distance)) {
    faiss_Index_free(read);
    return hem__fail(err, HEM_ECORRUPT, "%s is not an index of %zu vectors of %zu values by %s", name, rows, dim,
                     hem_distance_name(distance));
  }
  return wrap(read, distance, out, err);
}

void hem__faiss_free(hem__faiss *index) {
  if (!index) return;
  faiss_Index_free(index->index);
  free(index);
}

hem_status hem__faiss_set(hem__faiss *index, const char *setting, uint32_t value, hem_error *err) {
  FaissParameterSpace *space = NULL;
  if (faiss_ParameterSpace_new(&space)) return fail_faiss(err, HEM_ENOMEM, "make a parameter space");
  int failed = faiss_ParameterSpace_set_index_parameter(space, index->index, setting, value);
  faiss_ParameterSpace_free(space);
  return failed ? fail_faiss(err, HEM_EUNSUPPORTED, "change a setting") : HEM_OK;
}

hem_status hem__faiss_search(const hem__faiss *index, const float *query, size_t k, float *keys, int64_t *rows,
                             hem_error *err) {
  _Static_assert(sizeof(idx_t) == sizeof(int64_t), "FAISS is built with other row numbers");
  if (faiss_Index_search(index->index, 1, query, (idx_t)k, keys, (idx_t *)rows))
    return fail_faiss(err, HEM_EUNSUPPORTED, "search");
  for (size_t i = 0; index->inner_product && i < k; i++) keys[i] = -keys[i];
  return HEM_OK;
}
