/* The only user of ONNX Runtime.
 *
 * Threads: photos are embedded side by side, one a core, so a session has no threads of its own: each image is worked
 * on by the thread that asks. One session holds the weights for all of them. That beat two threads for one image (see
 * docs/performance.md). */
#include "ingest/onnx_runtime.h"

#ifndef HEM_HAVE_ONNX

static hem_status fail_missing(hem_error *err) {
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "this Hemline was built without ONNX Runtime, so it has no networks: run ./setup again, or use the "
                   "white-box features");
}

hem_status hem__session_open(const hem__session_config *config, hem__session **out, hem_error *err) {
  (void)config, (void)out;
  return fail_missing(err);
}
void hem__session_close(hem__session *session) { (void)session; }
size_t hem__session_dim(const hem__session *session) {
  (void)session;
  return 0;
}
hem_status hem__run_new(const hem__session *session, hem__run **out, hem_error *err) {
  (void)session, (void)out;
  return fail_missing(err);
}
void hem__run_free(hem__run *run) { (void)run; }
float *hem__run_input(hem__run *run) {
  (void)run;
  return NULL;
}
hem_status hem__run_go(hem__run *run, float *out, hem_error *err) {
  (void)run, (void)out;
  return fail_missing(err);
}

#else

#include <dlfcn.h>
#include <math.h>
#include <onnxruntime_c_api.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The oldest API that has all that is called here and that the header knows; newer libraries keep serving it. */
enum { API = ORT_API_VERSION < 21 ? ORT_API_VERSION : 21, RANK_MAX = 8, VALUES_MAX = 1 << 20 };

struct hem__session {
  OrtSession *session;
  OrtMemoryInfo *memory; /* "the processor's own" */
  char *name, *input, *output;
  int64_t shape[4];
  size_t in, dim; /* floats */
  int64_t out_shape[RANK_MAX];
  size_t out_rank;
};

struct hem__run {
  const hem__session *session;
  float *in, *out;
  OrtValue *in_value, *out_value; /* in and out, as ONNX Runtime sees them */
};

/* ---- the library: loaded once, kept ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const OrtApi *ort; /* NULL: it could not be loaded; `missing` says why */
static OrtEnv *env;
static hem_error missing;

static void ORT_API_CALL discard(void *context, OrtLoggingLevel severity, const char *category, const char *id,
                                 const char *where, const char *message) {
  (void)context, (void)severity, (void)category, (void)id, (void)where, (void)message;
}

/* Takes ONNX Runtime's own words into *err, on one line, and its status apart. */
static hem_status fail_ort(OrtStatus *status, const char *name, const char *what, hem_error *err) {
  OrtErrorCode code = ort->GetErrorCode(status);
  char words[256];
  snprintf(words, sizeof words, "%s", ort->GetErrorMessage(status));
  ort->ReleaseStatus(status);
  for (char *c = words; *c; c++)
    if (*c == '\n' || *c == '\r' || *c == '\t') *c = ' ';
  bool broken = code == ORT_INVALID_PROTOBUF || code == ORT_INVALID_GRAPH || code == ORT_NO_MODEL;
  return hem__fail(err, broken ? HEM_ECORRUPT : HEM_EUNSUPPORTED, "ONNX Runtime cannot %s %s: %s", what, name, words);
}

static void *open_library(void) {
  const char *own = getenv("HEMLINE_ONNXRUNTIME");
  const char *const places[] = {HEM_ONNXRUNTIME_PATH, "libonnxruntime.so.1"};
  void *library = own ? dlopen(own, RTLD_NOW | RTLD_LOCAL) : NULL;
  for (size_t i = 0; !own && !library && i < sizeof places / sizeof *places; i++)
    library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
  if (!library)
    hem__fail(&missing, HEM_EUNSUPPORTED,
              "ONNX Runtime cannot be loaded (%s): run ./setup again, or set HEMLINE_ONNXRUNTIME to its library",
              dlerror());
  return library;
}

static void load(void) {
  void *library = open_library();
  if (!library) return;
  const OrtApiBase *(*base)(void) = NULL;
  void *symbol = dlsym(library, "OrtGetApiBase");
  memcpy(&base, &symbol, sizeof base);
  const OrtApi *api = base ? base()->GetApi(API) : NULL;
  if (!api) {
    hem__fail(&missing, HEM_EUNSUPPORTED, "this ONNX Runtime (%s) is too old: Hemline needs 1.%d or newer",
              base ? base()->GetVersionString() : "no version", API);
    dlclose(library);
    return;
  }
  ort = api;
  OrtStatus *status = ort->CreateEnvWithCustomLogger(discard, NULL, ORT_LOGGING_LEVEL_FATAL, "hemline", &env);
  if (!status) status = ort->DisableTelemetryEvents(env);
  if (!status) return;
  fail_ort(status, "its environment", "make", &missing);
  ort = NULL;
}

/* ---- sessions ---- */

static OrtStatus *set_options(OrtSessionOptions *options, size_t threads) {
  OrtStatus *status = ort->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL);
  if (!status) status = ort->SetIntraOpNumThreads(options, (int)hem__max(hem__min(threads, 256), 1));
  if (!status) status = ort->SetInterOpNumThreads(options, 1);
  if (!status) status = ort->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_FATAL);
  if (!status) status = ort->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0");
  return status;
}

static hem_status create(hem__session *s, const hem__session_config *config, hem_error *err) {
  OrtSessionOptions *options = NULL;
  OrtStatus *status = ort->CreateSessionOptions(&options);
  if (!status) status = set_options(options, config->threads);
  if (!status) status = ort->CreateSessionFromArray(env, config->bytes, config->size, options, &s->session);
  if (!status) status = ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &s->memory);
  if (options) ort->ReleaseSessionOptions(options);
  return status ? fail_ort(status, s->name, "load", err) : HEM_OK;
}

static hem_status wrap(const hem__session *s, float *at, size_t count, const int64_t *shape, size_t rank,
                       OrtValue **out, hem_error *err) {
  OrtStatus *status = ort->CreateTensorWithDataAsOrtValue(s->memory, at, count * sizeof *at, shape, rank,
                                                          ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, out);
  return status ? fail_ort(status, s->name, "make a tensor for", err) : HEM_OK;
}

/* *out NULL: ONNX Runtime makes it. */
static hem_status run(const hem__session *s, const OrtValue *in, OrtValue **out, hem_error *err) {
  const char *inputs[] = {s->input}, *outputs[] = {s->output};
  const OrtValue *values[] = {in};
  OrtStatus *status = ort->Run(s->session, NULL, inputs, values, 1, outputs, 1, out);
  return status ? fail_ort(status, s->name, "run", err) : HEM_OK;
}

/* "1 x 2048 x 7 x 7" */
static void say_shape(const hem__session *s, char *text, size_t size) {
  size_t at = 0;
  text[0] = '\0';
  for (size_t i = 0; i < s->out_rank && at < size; i++)
    at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? " x " : "", (long long)s->out_shape[i]);
}

static hem_status check_shape(hem__session *s, ONNXTensorElementDataType type, hem_error *err) {
  size_t longer = 0;
  s->dim = 1;
  for (size_t i = 0; i < s->out_rank; i++) {
    if (s->out_shape[i] < 1 || s->out_shape[i] > VALUES_MAX) s->dim = 0;
    longer += s->out_shape[i] != 1;
    s->dim = longer <= 1 ? s->dim * (size_t)s->out_shape[i] : 0;
  }
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && s->dim) return HEM_OK;
  char shape[160];
  say_shape(s, shape, sizeof shape);
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "%s: '%.80s' is a tensor of %s%s, not one vector of floats: name another with --layer, such as the "
                   "one behind the last pooling",
                   s->name, s->output, shape, type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? "" : " of another type");
}

static hem_status measure(hem__session *s, const OrtValue *value, hem_error *err) {
  OrtTensorTypeAndShapeInfo *info = NULL;
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  OrtStatus *status = ort->GetTensorTypeAndShape(value, &info);
  if (!status) status = ort->GetTensorElementType(info, &type);
  if (!status) status = ort->GetDimensionsCount(info, &s->out_rank);
  if (!status && s->out_rank <= RANK_MAX) status = ort->GetDimensions(info, s->out_shape, s->out_rank);
  if (info) ort->ReleaseTensorTypeAndShapeInfo(info);
  if (status) return fail_ort(status, s->name, "measure the output of", err);
  if (s->out_rank > RANK_MAX)
    return hem__fail(err, HEM_EUNSUPPORTED, "%s: '%.80s' has %zu dimensions", s->name, s->output, s->out_rank);
  return check_shape(s, type, err);
}

/* The size of the output is what comes out: files do not always tell. */
static hem_status try_once(hem__session *s, hem_error *err) {
  float *zeros = NULL;
  OrtValue *in = NULL, *out = NULL;
  hem_status status = hem__alloc(s->in, sizeof *zeros, "an image", &zeros, err);
  if (!status) status = wrap(s, zeros, s->in, s->shape, 4, &in, err);
  if (!status) status = run(s, in, &out, err);
  if (!status) status = measure(s, out, err);
  if (out) ort->ReleaseValue(out);
  if (in) ort->ReleaseValue(in);
  free(zeros);
  return status;
}

hem_status hem__session_open(const hem__session_config *config, hem__session **out, hem_error *err) {
  hem__session *s = NULL;
  pthread_once(&once, load);
  if (!ort) return hem__fail(err, missing.code, "%s", missing.message);
  hem_status status = hem__alloc(1, sizeof *s, "a session", &s, err);
  if (status) return status;
  memcpy(s->shape, config->shape, sizeof s->shape);
  s->in = 1;
  for (size_t i = 0; i < 4 && !status; i++)
    if (config->shape[i] < 1 || !hem__mul(s->in, (size_t)config->shape[i], &s->in))
      status = hem__fail(err, HEM_EINVAL, "%s: an input of no size", config->name);
  if (!status) status = hem__strdup(config->name, &s->name, err);
  if (!status) status = hem__strdup(config->input, &s->input, err);
  if (!status) status = hem__strdup(config->output, &s->output, err);
  if (!status) status = create(s, config, err);
  if (!status) status = try_once(s, err);
  if (status) goto failed;
  *out = s;
  return HEM_OK;
failed:
  hem__session_close(s);
  return status;
}

void hem__session_close(hem__session *s) {
  if (!s) return;
  if (s->memory) ort->ReleaseMemoryInfo(s->memory);
  if (s->session) ort->ReleaseSession(s->session);
  free(s->name);
  free(s->input);
  free(s->output);
  free(s);
}

size_t hem__session_dim(const hem__session *session) { return session->dim; }

/* ---- runs ---- */

hem_status hem__run_new(const hem__session *session, hem__run **out, hem_error *err) {
  hem__run *r = NULL;
  hem_status status = hem__alloc(1, sizeof *r, "a network's tensors", &r, err);
  if (status) return status;
  r->session = session;
  status = hem__alloc(session->in, sizeof *r->in, "a network's tensors", &r->in, err);
  if (!status) status = hem__alloc(session->dim, sizeof *r->out, "a network's tensors", &r->out, err);
  if (!status) status = wrap(session, r->in, session->in, session->shape, 4, &r->in_value, err);
  if (!status) status = wrap(session, r->out, session->dim, session->out_shape, session->out_rank, &r->out_value, err);
  if (status) goto failed;
  *out = r;
  return HEM_OK;
failed:
  hem__run_free(r);
  return status;
}

void hem__run_free(hem__run *run) {
  if (!run) return;
  if (run->in_value) ort->ReleaseValue(run->in_value);
  if (run->out_value) ort->ReleaseValue(run->out_value);
  free(run->in);
  free(run->out);
  free(run);
}

float *hem__run_input(hem__run *run) { return run->in; }

hem_status hem__run_go(hem__run *r, float *out, hem_error *err) {
  hem_status status = run(r->session, r->in_value, &r->out_value, err);
  if (status) return status;
  for (size_t i = 0; i < r->session->dim; i++)
    if (!isfinite(r->out[i]))
      return hem__fail(err, HEM_ECORRUPT, "%s makes of this photo values that are not finite (value %zu of %zu)",
                       r->session->name, i + 1, r->session->dim);
  memcpy(out, r->out, r->session->dim * sizeof *out);
  return HEM_OK;
}

#endif
