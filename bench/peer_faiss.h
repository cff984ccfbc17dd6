/* FAISS used directly, as a program without Hemline would: what Hemline's own cost is measured against. */
#ifndef HEM_BENCH_PEER_FAISS_H
#define HEM_BENCH_PEER_FAISS_H

#include "base/status.h"

typedef struct hem__peer hem__peer;

/* Loads an index file; `setting` ("efSearch", "nprobe") gets `value`. Errors: ECORRUPT, EUNSUPPORTED, ENOMEM. */
hem_status hem__peer_open(const char *path, const char *setting, uint32_t value, hem__peer **out, hem_error *err);
void hem__peer_close(hem__peer *peer);

/* The k nearest rows. Errors: EUNSUPPORTED. */
hem_status hem__peer_search(const hem__peer *peer, const float *query, size_t k, float *distances, int64_t *rows,
                            hem_error *err);

#endif
