/* A metric as an ONNX model: what ONNX Runtime computes with it is what metric.c says. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ingest/protobuf.h"
#include "metric/distance.h"
#include "metric/metric_file.h"
#include "support/make_idx.h"
#include "support/make_metric.h"
#include "test.h"

static char *fresh(const char *name) { return hem__test_path(hem__test_subfolder(), name); }

static hem__metric *with_platt(hem__metric shape) {
  uint64_t random = shape.dim + shape.hidden;
  hem__metric *m = hem__test_metric(shape, &random);
  ck_ok(hem__alloc(1, sizeof *m->calibrations, "calibrations", &m->calibrations, err));
  ck_ok(hem__strdup("", &m->calibrations[0].category, err));
  m->calibrations[0].platt = (hem__platt){1.5, 0.25};
  m->calibration_count = 1;
  if (shape.hidden) m->w2[0] = 0.5F;
  return m;
}

/* ---- without ONNX Runtime ---- */

static uint64_t number_in(hem__wire wire, uint32_t field) {
  hem__field f;
  uint64_t found = 0;
  while (hem__wire_next(&wire, &f))
    if (f.number == field && f.wire == HEM__WIRE_VARINT) found = f.value;
  ck_assert(!wire.broken);
  return found;
}

START_TEST(the_file_says_what_it_is) {
  size_t size, nodes = 0, values = 0;
  hem__metric *m = with_platt((hem__metric){.form = HEM__HEAD, .dim = 6, .tower = 4, .hidden = 3, .unit = true});
  char *path = fresh("m.onnx"), *saved = fresh("m.h5"), *again = fresh("again.onnx");
  ck_ok(hem__metric_save(m, saved, err));
  ck_ok(hem_export_onnx(saved, path, err));
  ck_ok(hem__metric_export_onnx(m, again, err));
  hem__test_same_file(path, again);
  uint8_t *bytes = hem__test_read(path, &size);
  hem__wire wire = hem__wire_of(bytes, size);
  hem__field f, g;
  ck_assert_uint_eq(number_in(wire, 1), 7);
  while (hem__wire_next(&wire, &f)) {
    if (f.number == 8) ck_assert_uint_eq(number_in(hem__wire_in(&f), 2), 13);
    if (f.number != 7) continue;
    hem__wire graph = hem__wire_in(&f);
    while (hem__wire_next(&graph, &g)) {
      nodes += g.number == 1;
      values += g.number == 11 || g.number == 12;
    }
    ck_assert(!graph.broken);
  }
  ck_assert(!wire.broken);
  ck_assert_uint_eq(values, 4);
  ck_assert_uint_gt(nodes, 10);
  hem__metric_free(m);
  free(bytes);
  free(path);
  free(saved);
  free(again);
}
END_TEST

START_TEST(what_cannot_be_exported_is_refused) {
  hem__metric *m = with_platt((hem__metric){.form = HEM__HEAD, .dim = 6, .hidden = 3});
  /* Its weights are never looked at: the size is refused first. */
  hem__metric large = {.form = HEM__HEAD, .dim = 65536, .width = 65536, .hidden = 8192};
  char *path = fresh("m.onnx");
  ck_fails(hem__metric_export_onnx(&large, path, err), HEM_EUNSUPPORTED, "2 GB");
  ck_assert_int_ne(access(path, F_OK), 0);
  ck_fails(hem__metric_export_onnx(m, "/nowhere/m.onnx", err), HEM_ENOTFOUND, "/nowhere/");
  ck_fails(hem_export_onnx("/nowhere/m.h5", path, err), HEM_ENOTFOUND, "/nowhere/m.h5");
  ck_fails(hem_export_onnx(NULL, path, err), HEM_EINVAL, "must be named");
  hem__metric_free(m);
  free(path);
}
END_TEST

/* ---- with it ---- */

#ifdef HEM_HAVE_ONNX
#include <dlfcn.h>
#include <onnxruntime_c_api.h>

static const OrtApi *ort;
static OrtEnv *env;

static void fine(OrtStatus *status) { ck_assert_msg(!status, "%s", ort->GetErrorMessage(status)); }

static bool load(void) {
  const char *own = getenv("HEMLINE_ONNXRUNTIME");
  void *library = dlopen(own ? own : HEM_ONNXRUNTIME_PATH, RTLD_NOW | RTLD_LOCAL);
  const OrtApiBase *(*base)(void) = NULL;
  void *symbol = library ? dlsym(library, "OrtGetApiBase") : NULL;
  memcpy(&base, &symbol, sizeof base);
  ort = base ? base()->GetApi(ORT_API_VERSION < 21 ? ORT_API_VERSION : 21) : NULL;
  return ort && !ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "test", &env);
}

/* scores and probabilities of `count` pairs of rows */
static void run(const char *path, const float *a, const float *b, size_t count, size_t dim, float *scores,
                float *probabilities) {
  static const char *const inputs[] = {"a", "b"}, *const outputs[] = {"score", "probability"};
  const int64_t shape[] = {(int64_t)count, (int64_t)dim}, flat[] = {(int64_t)count};
  OrtSessionOptions *options = NULL;
  OrtSession *session = NULL;
  OrtMemoryInfo *memory = NULL;
  OrtValue *in[2] = {NULL}, *out[2] = {NULL};
  float *const places[] = {(float *)(uintptr_t)a, (float *)(uintptr_t)b, scores, probabilities};
  fine(ort->CreateSessionOptions(&options));
  fine(ort->SetIntraOpNumThreads(options, 1));
  fine(ort->CreateSession(env, path, options, &session));
  fine(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  for (size_t i = 0; i < 4; i++) {
    size_t values = i < 2 ? count * dim : count;
    fine(ort->CreateTensorWithDataAsOrtValue(memory, places[i], values * sizeof(float), i < 2 ? shape : flat,
                                             i < 2 ? 2 : 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                             i < 2 ? &in[i] : &out[i - 2]));
  }
  fine(ort->Run(session, NULL, inputs, (const OrtValue *const *)in, 2, outputs, 2, out));
  for (size_t i = 0; i < 2; i++) {
    ort->ReleaseValue(in[i]);
    ort->ReleaseValue(out[i]);
  }
  ort->ReleaseMemoryInfo(memory);
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
}

enum { PAIRS = 23, DIM_MAX = 300 };

/* Pairs of every kind: equal, zero, very small and very large where the metric takes them. */
static void fill(float *a, float *b, size_t dim, bool unit) {
  uint64_t random = dim;
  for (size_t i = 0; i < PAIRS * dim; i++) {
    a[i] = hem__test_normal(&random);
    b[i] = a[i] + 0.3F * hem__test_normal(&random);
  }
  memcpy(b, a, dim * sizeof *a);
  memset(a + dim, 0, dim * sizeof *a);
  memset(b + 2 * dim, 0, dim * sizeof *b);
  memset(a + 2 * dim, 0, dim * sizeof *a);
  for (size_t d = 0; unit && d < dim; d++) {
    a[3 * dim + d] *= 1e14F;
    a[4 * dim + d] *= 1e-25F;
    b[4 * dim + d] *= 1e-12F;
  }
}

static void check(hem__metric shape) {
  static float a[PAIRS * DIM_MAX], b[PAIRS * DIM_MAX], ta[PAIRS * DIM_MAX], tb[PAIRS * DIM_MAX];
  float scores[PAIRS], probabilities[PAIRS];
  hem__metric *m = with_platt(shape);
  char *path = fresh("m.onnx");
  ck_ok(hem__metric_export_onnx(m, path, err));
  fill(a, b, shape.dim, shape.unit);
  run(path, a, b, PAIRS, shape.dim, scores, probabilities);
  ck_ok(hem__metric_project(m, a, PAIRS, ta, err));
  ck_ok(hem__metric_project(m, b, PAIRS, tb, err));
  for (size_t i = 0; i < PAIRS; i++) {
    double wanted = hem__metric_score(m, ta + i * m->width, tb + i * m->width);
    double probability = hem__probability(&m->calibrations[0].platt, wanted);
    if (!(fabs((double)scores[i] - wanted) <= 1e-4 * fmax(fabs(wanted), 0.1)))
      ck_abort_msg("dim %zu tower %zu hidden %zu pair %zu: %g instead of %g", shape.dim, shape.tower, shape.hidden, i,
                   (double)scores[i], wanted);
    ck_assert_double_eq_tol((double)probabilities[i], probability, 1e-4);
  }
  hem__metric_free(m);
  free(path);
}

START_TEST(onnx_runtime_computes_the_same) {
  for (int unit = 0; unit < 2; unit++) {
    check((hem__metric){.form = HEM__HEAD, .dim = 300, .hidden = 40, .unit = unit});
    check((hem__metric){.form = HEM__HEAD, .dim = 33, .tower = 12, .hidden = 7, .unit = unit});
    check((hem__metric){.form = HEM__HEAD, .dim = 1, .hidden = 1, .unit = unit});
    check((hem__metric){.form = HEM__WEIGHTED_L1, .dim = 64, .unit = unit});
    check((hem__metric){.form = HEM__WEIGHTED_L1, .dim = 64, .tower = 20, .unit = unit});
    check((hem__metric){.form = HEM__WEIGHTED_L2, .dim = 64, .tower = 20, .unit = unit});
  }
}
END_TEST
#endif

int main(void) {
  const TTest *const plain[] = {the_file_says_what_it_is, what_cannot_be_exported_is_refused};
  int failed = hem__run_tests("export_onnx", plain, 2);
#ifdef HEM_HAVE_ONNX
  if (!failed && load()) {
    const TTest *const run_it[] = {onnx_runtime_computes_the_same};
    return hem__run_tests("export_onnx in ONNX Runtime", run_it, 1);
  }
#endif
  if (!failed) printf("skipped: ONNX Runtime is not there, so the model was not run\n");
  return failed ? 1 : 77;
}
