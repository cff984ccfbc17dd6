/* A metric's file. As it comes: what has no right seal is refused. And with the input's values put into the places of
 * the weights, calibrations and items of a whole file that is then sealed: what loads is a metric that can be used.
 * HDF5's own structures stay whole, since HDF5 is known to crash on hostile ones, which is what the seal is for. */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "ingest/seal.h"
#include "metric/metric_file.h"

enum { PLACES = 12 };
static char folder[] = "/tmp/hemline-fuzz-XXXXXX";
static char path[64];
static uint8_t *whole;
static size_t whole_size, place_count;
static struct { size_t offset, size; } places[PLACES];

static void remove_folder(void) {
  unlink(path);
  rmdir(folder);
  free(whole);
}

static herr_t note(hid_t file, const char *name, const H5O_info_t *info, void *context) {
  (void)context;
  if (info->type != H5O_TYPE_DATASET) return 0;
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  HEM__FUZZ_ASSERT(dataset >= 0 && place_count < PLACES);
  places[place_count].offset = H5Dget_offset(dataset);
  places[place_count++].size = H5Dget_storage_size(dataset);
  H5Dclose(dataset);
  return 0;
}

/* The frozen metric beside the unit tests, and where its values lie. */
static void prepare(void) {
  char golden[4096];
  const char *source = getenv("HEMLINE_SOURCE");
  snprintf(golden, sizeof golden, "%s/tests/unit/golden/metric-1.h5", source ? source : ".");
  HEM__FUZZ_ASSERT(hem__file_read(golden, &whole, &whole_size, NULL) == HEM_OK && mkdtemp(folder));
  snprintf(path, sizeof path, "%s/metric.h5", folder);
  atexit(remove_folder);
  hid_t file = H5Fopen(golden, H5F_ACC_RDONLY, H5P_DEFAULT);
  HEM__FUZZ_ASSERT(file >= 0 && H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, note, NULL, H5O_INFO_BASIC) >= 0);
  H5Fclose(file);
  HEM__FUZZ_ASSERT(place_count >= 10);
}

static void write_file(const uint8_t *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  HEM__FUZZ_ASSERT(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static void load(void) {
  hem__metric *m = NULL;
  hem_error err = {0};
  hem_status status = hem__metric_load(path, &m, &err);
  if (status) {
    HEM__FUZZ_ASSERT((status == HEM_ECORRUPT || status == HEM_EVERSION) && strstr(err.message, path));
    return;
  }
  float ones[16], out[16];
  HEM__FUZZ_ASSERT(m->dim <= 16 && m->width <= 16);
  for (size_t i = 0; i < 16; i++) ones[i] = 1;
  HEM__FUZZ_ASSERT(hem__metric_project(m, ones, 1, out, NULL) == HEM_OK);
  HEM__FUZZ_ASSERT(isfinite(hem__metric_score(m, out, out)));
  for (size_t i = 0; i < m->calibration_count; i++)
    HEM__FUZZ_ASSERT(hem__metric_calibration(m, m->calibrations[i].category) && m->calibrations[i].threshold >= 0);
  for (size_t i = 1; i < m->seen_count; i++) HEM__FUZZ_ASSERT(m->seen[i - 1] <= m->seen[i]);
  hem__metric_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!whole) prepare();
  write_file(data, size);
  load();
  uint8_t *copy = hem__fuzz_copy(whole, whole_size);
  size_t at = 0;
  /* A file of the same layout lends its own values; other bytes are taken from their beginning. */
  for (size_t i = 0; i < place_count; i++) {
    size_t from = size == whole_size ? places[i].offset : at, count = places[i].size;
    if (from > size) break;
    if (count > size - from) count = size - from;
    memcpy(copy + places[i].offset, data + from, count);
    at += count;
  }
  write_file(copy, whole_size);
  free(copy);
  HEM__FUZZ_ASSERT(hem__seal_write(path, &(hem__seal){.kind = HEM__SEALED_METRIC}, NULL) == HEM_OK);
  load();
  return 0;
}
