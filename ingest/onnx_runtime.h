/* Runs networks with ONNX Runtime (onnx_runtime.c is its only user), which is loaded when the first network is asked
 * for: from $HEMLINE_ONNXRUNTIME, else from where it was found when Hemline was built, else as libonnxruntime.so.1.
 *
 * It parses and runs the model inside this process. onnx_model.c reads every model first and refuses what is damaged as
 * protobuf; what is well-formed and still malicious is ONNX Runtime's to withstand, so take models, like programs, from
 * people you trust. */
#ifndef HEM_INGEST_ONNX_RUNTIME_H
#define HEM_INGEST_ONNX_RUNTIME_H

#include "base/memory.h"

typedef struct hem__session_config {
  const char *name; /* of the model, for messages */
  const uint8_t *bytes;
  size_t size;
  const char *input, *output; /* tensors */
  int64_t shape[4];           /* of the input: float32 */
  size_t threads;             /* that work on one image; 0: one */
} hem__session_config;

/* A loaded model. Immutable: any number of threads may run it, each with an hem__run of its own. */
typedef struct hem__session hem__session;
typedef struct hem__run hem__run;

/* Loads the model, and runs it once: what cannot run is found here. `bytes` are not needed afterwards.
 * Errors: EUNSUPPORTED (no ONNX Runtime, or an operator it lacks; an output that is not one vector of floats), ECORRUPT
 * (it refuses the model), ENOMEM. */
hem_status hem__session_open(const hem__session_config *config, hem__session **out, hem_error *err);
void hem__session_close(hem__session *session);
size_t hem__session_dim(const hem__session *session); /* values of the output */

hem_status hem__run_new(const hem__session *session, hem__run **out, hem_error *err);
void hem__run_free(hem__run *run);
/* Where the image is to be written before hem__run_go. */
float *hem__run_input(hem__run *run);
/* Writes hem__session_dim() floats, finite ones. Errors: ECORRUPT (values that are not finite), EUNSUPPORTED (ONNX
 * Runtime failed: its own words), ENOMEM. */
hem_status hem__run_go(hem__run *run, float *out, hem_error *err);

#endif
