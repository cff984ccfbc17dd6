/* bench_network MODEL PRESET FOLDER [PHOTOS [ROUNDS [CORES]]]: how much of ONNX Runtime's own speed is left when photos
 * are ingested.
 *
 * A: ONNX Runtime alone: a session on tensors that were made beforehand. Photos side by side, a core each, or one after
 * another on all cores: whichever is faster.
 * B: hem_ingest on the photos themselves: list, read, hash, decode, make ready, run, seal, fold.
 * The photos are the same, and so are the cores; the model is loaded before either. A and B take turns, since machines
 * grow warm and neighbours busy; medians are compared. */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/threads.h"
#include "ingest/extract.h"
#include "ingest/network.h"
#include "ingest/onnx_model.h"
#include "ingest/preprocess.h"

enum { PHOTOS_MAX = 4096, ROUNDS_MAX = 32 };

typedef struct bench {
  const char *model, *preset, *folder;
  size_t photo_count, rounds, cores;
  char *photos[PHOTOS_MAX];
  hem__run *side_by_side[PHOTOS_MAX], *in_turn[PHOTOS_MAX]; /* a photo's tensors each */
  hem__session *one, *all;                                  /* threads for one image: 1, or the cores */
  char *features, *work, *manifest, *catalog;
  hem__extractor *open; /* keeps the ingest's network loaded */
  hem_status *statuses;
  hem__run **running;
  float *scratch; /* what comes out; cores x dim */
} bench;

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What one side took. The processor's time stays meaningful where neighbours share the cores. */
typedef struct cost {
  double rate, cpu; /* photos a second; milliseconds of the processor a photo */
} cost;

static cost cost_start(void) {
  return (cost){.rate = seconds(CLOCK_MONOTONIC), .cpu = seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static cost cost_end(cost from, size_t photos) {
  return (cost){.rate = (double)photos / (seconds(CLOCK_MONOTONIC) - from.rate),
                .cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - from.cpu) * 1e3 / (double)photos};
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(const double *values, size_t count) {
  double sorted[ROUNDS_MAX];
  memcpy(sorted, values, count * sizeof *values);
  qsort(sorted, count, sizeof *sorted, by_value);
  return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static cost cost_median(const cost *costs, size_t count) {
  double rates[ROUNDS_MAX], cpus[ROUNDS_MAX];
  for (size_t i = 0; i < count; i++) {
    rates[i] = costs[i].rate;
    cpus[i] = costs[i].cpu;
  }
  return (cost){.rate = median(rates, count), .cpu = median(cpus, count)};
}

/* ---- making ready ---- */

static hem_status keep_cores(const bench *b, hem_error *err) {
  cpu_set_t all, some;
  size_t kept = 0;
  CPU_ZERO(&some);
  if (sched_getaffinity(0, sizeof all, &all) != 0) return hem__fail_errno(err, "cannot ask for the cores");
  for (int i = 0; i < CPU_SETSIZE && kept < b->cores; i++) {
    if (!CPU_ISSET(i, &all)) continue;
    CPU_SET(i, &some);
    kept++;
  }
  return sched_setaffinity(0, sizeof some, &some) ? hem__fail_errno(err, "cannot keep to %zu cores", kept) : HEM_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static hem_status list_photos(bench *b, size_t wanted, hem_error *err) {
  DIR *folder = opendir(b->folder);
  hem_status status = HEM_OK;
  if (!folder) return hem__fail_errno(err, "cannot open %s", b->folder);
  for (struct dirent *e; !status && b->photo_count < PHOTOS_MAX && (e = readdir(folder));)
    if (e->d_name[0] != '.') {
      status = hem__print(&b->photos[b->photo_count], err, "%s/%s", b->folder, e->d_name);
      b->photo_count += !status;
    }
  closedir(folder);
  qsort(b->photos, b->photo_count, sizeof *b->photos, by_text);
  while (b->photo_count > wanted) free(b->photos[--b->photo_count]);
  if (!status && !b->photo_count) status = hem__fail(err, HEM_ENOTFOUND, "%s holds no photos", b->folder);
  return status;
}

static hem_status open_session(const bench *b, const hem__preprocess *p, size_t threads, hem__session **out,
                               hem_error *err) {
  const hem__preset *preset;
  uint8_t *bytes = NULL;
  size_t size;
  hem__onnx *model = NULL;
  hem__onnx_feature feature;
  hem_status status = hem__preset_find(b->preset, &preset, err);
  if (!status) status = hem__file_read(b->model, &bytes, &size, err);
  if (!status) status = hem__onnx_read(bytes, size, b->model, &model, err);
  if (!status) status = hem__onnx_find_feature(model, NULL, (size_t)preset->fully_connected, &feature, err);
  uint8_t *longer = status ? NULL : realloc(bytes, size + HEM__ONNX_NAME_MAX + 16);
  if (longer) bytes = longer;
  if (!status && !longer) status = hem__fail(err, HEM_ENOMEM, "no memory for %s", b->model);
  if (!status) {
    if (!feature.is_output) size += hem__onnx_output_message(feature.tensor, bytes + size);
    int64_t side = (int64_t)p->width;
    hem__session_config config = {.name = b->model,
                                  .bytes = bytes,
                                  .size = size,
                                  .input = hem__onnx_input(model)->name,
                                  .output = feature.tensor,
                                  .shape = {1, p->nhwc ? side : 3, side, p->nhwc ? 3 : side},
                                  .threads = threads};
    status = hem__session_open(&config, out, err);
  }
  hem__onnx_free(model);
  free(bytes);
  return status;
}

static hem_status make_tensor(const char *path, const hem__preprocess *p, float *tensor, hem_error *err) {
  uint8_t *bytes = NULL;
  size_t size;
  hem__image photo = {0};
  hem_status status = hem__file_read(path, &bytes, &size, err);
  if (!status) status = hem__image_decode(bytes, size, path, &photo, err);
  if (!status) status = hem__preprocess_apply(p, &photo, tensor, err);
  hem__image_clear(&photo);
  free(bytes);
  return status;
}

static hem_status make_tensors(bench *b, hem_error *err) {
  const hem__preset *preset;
  hem__preprocess p = {0};
  hem_status status = hem__preset_find(b->preset, &preset, err);
  if (!status) status = hem__preprocess_parse(preset->preprocess, &p, err);
  if (!status) status = open_session(b, &p, 1, &b->one, err);
  if (!status) status = open_session(b, &p, b->cores, &b->all, err);
  for (size_t i = 0; i < b->photo_count && !status; i++) {
    status = hem__run_new(b->one, &b->side_by_side[i], err);
    if (!status) status = hem__run_new(b->all, &b->in_turn[i], err);
    if (!status) status = make_tensor(b->photos[i], &p, hem__run_input(b->side_by_side[i]), err);
    if (!status)
      memcpy(hem__run_input(b->in_turn[i]), hem__run_input(b->side_by_side[i]),
             hem__preprocess_size(&p) * sizeof(float));
  }
  if (!status) status = hem__alloc(b->cores * hem__session_dim(b->one), sizeof(float), "vectors", &b->scratch, err);
  return status ? status : hem__alloc(b->photo_count, sizeof *b->statuses, "statuses", &b->statuses, err);
}

static hem_status make_listing(bench *b, hem_error *err) {
  char folder[] = "/tmp/hemline-bench-XXXXXX";
  hem__network_parts parts = {.model = b->model, .preset = b->preset};
  if (!mkdtemp(folder)) return hem__fail_errno(err, "cannot make a folder for the catalogue");
  hem_status status = hem__strdup(folder, &b->work, err);
  if (!status) status = hem__print(&b->manifest, err, "%s/photos.tsv", folder);
  if (!status) status = hem__print(&b->catalog, err, "%s/photos.h5", folder);
  if (!status) status = hem__network_spec(&parts, &b->features, err);
  if (!status) status = hem__extractor_new(b->features, &b->open, err);
  if (status) return status;
  FILE *file = fopen(b->manifest, "w");
  if (!file) return hem__fail_errno(err, "cannot write %s", b->manifest);
  fputs("path\n", file);
  for (size_t i = 0; i < b->photo_count; i++) fprintf(file, "%s\n", b->photos[i]);
  return fclose(file) ? hem__fail_errno(err, "cannot write %s", b->manifest) : HEM_OK;
}

/* ---- the two sides ---- */

static void run_one(void *context, size_t i, size_t worker) {
  bench *b = context;
  b->statuses[i] = hem__run_go(b->running[i], b->scratch + worker * hem__session_dim(b->one), NULL);
}

static hem_status alone(bench *b, bool in_turn, cost *out, hem_error *err) {
  b->running = in_turn ? b->in_turn : b->side_by_side;
  cost from = cost_start();
  hem_status status = hem__parallel_for(b->photo_count, in_turn ? 1 : b->cores, run_one, b, err);
  *out = cost_end(from, b->photo_count);
  for (size_t i = 0; i < b->photo_count && !status; i++)
    if (b->statuses[i]) status = hem__fail(err, b->statuses[i], "ONNX Runtime failed on %s", b->photos[i]);
  return status;
}

static hem_status ingest(bench *b, cost *out, hem_error *err) {
  const char *features[] = {b->features};
  hem_ingest_result result = {0};
  hem_ingest_options options = {.size = sizeof options,
                                .catalog = b->catalog,
                                .manifest = b->manifest,
                                .features = features,
                                .feature_count = 1,
                                .threads = b->cores};
  unlink(b->catalog);
  cost from = cost_start();
  hem_status status = hem_ingest(&options, &result, err);
  *out = cost_end(from, b->photo_count);
  if (!status && result.added != b->photo_count)
    status = hem__fail(err, HEM_ECORRUPT, "only %llu of %zu photos came in", (unsigned long long)result.added,
                       b->photo_count);
  return status;
}

static hem_status measure(bench *b, hem_error *err) {
  cost side[ROUNDS_MAX], turn[ROUNDS_MAX], whole[ROUNDS_MAX];
  hem_status status = ingest(b, whole, err); /* files into the cache, memory into the arenas */
  if (!status) status = alone(b, false, side, err);
  for (size_t i = 0; i < b->rounds && !status; i++) {
    status = alone(b, false, &side[i], err);
    if (!status) status = ingest(b, &whole[i], err);
    if (!status) status = alone(b, true, &turn[i], err);
    if (!status)
      printf("round %zu: alone, side by side %.2f, in turn %.2f; ingest %.2f photos/s; processor %.2f, %.2f, %.2f ms\n",
             i + 1, side[i].rate, turn[i].rate, whole[i].rate, side[i].cpu, turn[i].cpu, whole[i].cpu);
    fflush(stdout);
  }
  if (status) return status;
  cost s = cost_median(side, b->rounds), t = cost_median(turn, b->rounds), w = cost_median(whole, b->rounds);
  cost best = s.rate > t.rate ? s : t;
  printf(
      "%s: %zu photos, %zu cores, medians of %zu: ONNX Runtime alone %.2f photos/s (%.2f side by side, %.2f in turn), "
      "ingest %.2f photos/s: %.3f of it; by the processor's time %.2f of %.2f ms, %.3f\n",
      b->preset, b->photo_count, b->cores, b->rounds, best.rate, s.rate, t.rate, w.rate, w.rate / best.rate, best.cpu,
      w.cpu, best.cpu / w.cpu);
  return HEM_OK;
}

static void clear(bench *b) {
  for (size_t i = 0; i < b->photo_count; i++) {
    hem__run_free(b->side_by_side[i]);
    hem__run_free(b->in_turn[i]);
    free(b->photos[i]);
  }
  hem__session_close(b->one);
  hem__session_close(b->all);
  hem__extractor_free(b->open);
  if (b->work) hem__remove_tree(b->work, NULL);
  free(b->work);
  free(b->manifest);
  free(b->catalog);
  free(b->features);
  free(b->statuses);
  free(b->scratch);
}

static size_t number(char **arguments, int count, int i, size_t usual) {
  return i < count ? strtoul(arguments[i], NULL, 10) : usual;
}

int main(int count, char **arguments) {
  static bench b;
  hem_error err = {0};
  if (count < 4) {
    fprintf(stderr, "usage: %s MODEL PRESET FOLDER [PHOTOS [ROUNDS [CORES]]]\n", arguments[0]);
    return 2;
  }
  b.model = arguments[1];
  b.preset = arguments[2];
  b.folder = arguments[3];
  b.rounds = hem__max(1, hem__min(number(arguments, count, 5, 3), ROUNDS_MAX));
  b.cores = hem__max(1, number(arguments, count, 6, hem__cores()));
  hem_status status = keep_cores(&b, &err);
  if (!status) status = list_photos(&b, number(arguments, count, 4, 256), &err);
  if (!status) status = make_tensors(&b, &err);
  if (!status) status = make_listing(&b, &err);
  if (!status) status = measure(&b, &err);
  clear(&b);
  if (status) fprintf(stderr, "%s: %s\n", arguments[0], err.message);
  return status ? 1 : 0;
}
