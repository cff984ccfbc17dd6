/* FAISS used directly, as a program without Hemline would: what Hemline's own cost is measured against. */
#ifndef HEM_BENCH_PEER_FAISS_H
#define HEM_BENCH_PEER_FAISS_H

#include "base/status.h"

typedef struct hem__faiss_peer hem__faiss_peer;

/* Loads an index file; `setting` ("efSearch", "nprobe") gets `value`. Errors: ECORRUPT, EUNSUPPORTED, ENOMEM. */
hem_status hem__faiss_peer_open(const char *path, const char *setting, uint32_t value, hem__faiss_peer **out,
                                hem_error *err);
void hem__faiss_peer_close(hem__faiss_peer *peer);

/* The k nearest rows. Errors: EUNSUPPORTED. */
hem_status hem__faiss_peer_search(const hem__faiss_peer *peer, const float *query, size_t k, float *distances,
                                  int64_t *rows, hem_error *err);

#endif
