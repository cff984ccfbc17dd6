/* A metric as a file: HDF5, sealed like a catalogue (ingest/seal.h), readable with h5py. Layout: docs/formats.md. */
#ifndef HEM_METRIC_METRIC_FILE_H
#define HEM_METRIC_METRIC_FILE_H

#include "base/file.h"
#include "metric/metric.h"

/* Written aside, synced, renamed. The same metric gives the same bytes. Errors: EIO, ENOMEM. */
hem_status hem__metric_save(const hem__metric *metric, const char *path, hem_error *err);
/* Checks the seal before HDF5 parses a byte, then every shape, and that every value is finite. Errors: ENOTFOUND,
 * ECORRUPT, EVERSION, ENOMEM, EIO. */
hem_status hem__metric_load(const char *path, hem__metric **out, hem_error *err);

/* Writes the metric as an ONNX model (opset 13): inputs "a" and "b" [N, D], outputs "score" [N] and "probability" [N]
 * (of all categories together). Errors: EUNSUPPORTED (2 GB or more), EIO, ENOMEM. */
hem_status hem__metric_export_onnx(const hem__metric *metric, const char *path, hem_error *err);

#endif
