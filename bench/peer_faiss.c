#include "bench/peer_faiss.h"

#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_io_c.h>
#include <stdlib.h>

#include "base/memory.h"

struct hem__peer {
  FaissIndex *index;
};

static hem_status fail_faiss(hem_error *err, hem_status code, const char *what) {
  const char *text = faiss_get_last_error();
  return hem__fail(err, code, "FAISS could not %s: %.300s", what, text ? text : "no reason given");
}

static hem_status set(FaissIndex *index, const char *setting, uint32_t value, hem_error *err) {
  FaissParameterSpace *space = NULL;
  if (faiss_ParameterSpace_new(&space)) return fail_faiss(err, HEM_ENOMEM, "make a parameter space");
  int failed = faiss_ParameterSpace_set_index_parameter(space, index, setting, value);
  faiss_ParameterSpace_free(space);
  return failed ? fail_faiss(err, HEM_EUNSUPPORTED, "change a setting") : HEM_OK;
}

hem_status hem__peer_open(const char *path, const char *setting, uint32_t value, hem__peer **out, hem_error *err) {
  hem__peer *peer = NULL;
  hem_status status = hem__alloc(1, sizeof *peer, "an index", &peer, err);
  if (status) return status;
  if (faiss_read_index_fname(path, 0, &peer->index)) status = fail_faiss(err, HEM_ECORRUPT, "read the index");
  if (!status) status = set(peer->index, setting, value, err);
  if (status) {
    hem__peer_close(peer);
    return status;
  }
  *out = peer;
  return HEM_OK;
}

void hem__peer_close(hem__peer *peer) {
  if (!peer) return;
  if (peer->index) faiss_Index_free(peer->index);
  free(peer);
}

hem_status hem__peer_search(const hem__peer *peer, const float *query, size_t k, float *distances, int64_t *rows,
                            hem_error *err) {
  _Static_assert(sizeof(idx_t) == sizeof(int64_t), "FAISS is built with other row numbers");
  if (faiss_Index_search(peer->index, 1, query, (idx_t)k, distances, (idx_t *)rows))
    return fail_faiss(err, HEM_EUNSUPPORTED, "search");
  return HEM_OK;
}
