/* Damaged and foreign files: a catalogue, a metric and every file of a generation, 12,000 times. Each is refused, by a
 * message of ours that names the file, and before HDF5 or FAISS has seen it: both are known to crash on hostile
 * files. That they have not seen it is known by counting: the linker sends their first calls through here. */
#include <faiss/c_api/Index_c.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crash/scene.h"
#include "fuzz/mutate.h"
#include "metric/metric_file.h"

enum { DIM = 16, LARGE = 1000, SMALL = 40, ROWS = LARGE + SMALL, CATALOG_TIMES = 4000, STORE_TIMES = 2000, FILES = 6 };

static size_t hdf5_opens, faiss_reads;

hid_t __real_H5Fopen(const char *path, unsigned flags, hid_t access);
hid_t __wrap_H5Fopen(const char *path, unsigned flags, hid_t access);
hid_t __wrap_H5Fopen(const char *path, unsigned flags, hid_t access) {
  hdf5_opens++;
  return __real_H5Fopen(path, flags, access);
}

int __real_faiss_read_index(FILE *file, int flags, FaissIndex **out);
int __wrap_faiss_read_index(FILE *file, int flags, FaissIndex **out);
int __wrap_faiss_read_index(FILE *file, int flags, FaissIndex **out) {
  faiss_reads++;
  return __real_faiss_read_index(file, flags, out);
}

/* ---- what is damaged ---- */

static void make_catalog(const char *path, size_t rows) {
  static float values[2 * ROWS * DIM];
  hem__space spaces[2] = {{.name = "a",
                           .features = "a",
                           .recipe = "a",
                           .hash = "0",
                           .dim = DIM,
                           .blocks = {{.name = "a", .dim = DIM}},
                           .block_count = 1},
                          {.name = "b",
                           .features = "b",
                           .recipe = "b",
                           .hash = "1",
                           .dim = DIM / 2,
                           .blocks = {{.name = "b", .dim = DIM / 2}},
                           .block_count = 1}};
  hem__photos photos = {0};
  uint64_t random = 3;
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) values[i] = hem__test_uniform(&random);
  for (size_t i = 0; i < rows; i++) {
    char name[32];
    snprintf(name, sizeof name, "photo-%zu.jpg", i);
    hem__photo photo = {.item_id = name, .category = i % 26 == 25 ? "small" : "large", .label = "l", .path = name};
    ck_ok(hem__photos_add(&photos, &photo, err));
  }
  ck_ok(hem__photos_reject(&photos, "broken.jpg", "not a photo", err));
  hem__matrix vectors[2] = {{.at = values, .rows = rows, .dim = DIM}, {.at = values, .rows = rows, .dim = DIM / 2}};
  hem__catalog_part part = {.photos = photos.at, .count = photos.count, .vectors = vectors};
  hem__catalog_content content = {
      .spaces = spaces, .space_count = 2, .parts = &part, .part_count = 1, .rejected = &photos};
  ck_ok(hem__catalog_seal(path, &content, err));
  hem__photos_clear(&photos);
}

static hem_status check_catalog(const char *path, hem_error *err) {
  hem__catalog *catalog = NULL;
  hem_status status = hem__catalog_open(path, &catalog, err);
  if (status) return status;
  for (size_t i = 0; i < hem__catalog_space_count(catalog) && !status; i++)
    status = hem__catalog_check(catalog, i, 0, hem__catalog_photos(catalog)->count, err);
  hem__catalog_close(catalog);
  /* HDF5 did open it: then it was a vector that was damaged, which HDF5 does not parse. */
  ck_assert_msg(!status || strstr(err->message, "space"), "%s", err->message);
  hdf5_opens = 0;
  return status;
}

static hem_status check_store(const char *store, hem_error *err) {
  hem_engine *engine = NULL;
  hem_status status = hem_engine_open(store, NULL, &engine, err);
  hem_engine_close(engine);
  return status;
}

static void check_refusal(hem_status status, const hem_error *err, const char *name, size_t number) {
  ck_assert_msg(status == HEM_ECORRUPT || status == HEM_EVERSION || status == HEM_ENOTFOUND, "%s, damage %zu: %s: %s",
                name, number, hem_status_name(status), err->message);
  /* CURRENT vouches for the manifest: which of the two is wrong cannot be known. */
  bool named = strstr(err->message, name) || (!strcmp(name, "CURRENT") && strstr(err->message, "manifest.json"));
  ck_assert_msg(named, "%s, damage %zu: not named by: %s", name, number, err->message);
}

/* A different file each time; its bytes until the next call. */
static hem__bytes damage(uint64_t *random, hem__bytes whole) {
  static uint8_t *at;
  at = realloc(at, whole.size + HEM__MUTATE_ROOM);
  size_t size;
  do {
    size = hem__mutate(random, whole.at, whole.size, at);
  } while (size == whole.size && memcmp(at, whole.at, size) == 0);
  return (hem__bytes){.at = at, .size = size};
}

/* ---- files from elsewhere ---- */

static void make_foreign(const char *path, int which) {
  static const uint8_t gz[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
  hid_t file;
  switch (which) {
    case 0:
      hem__write_file(path, "", 0);
      break;
    case 1:
      hem__write_file(path, gz, sizeof gz);
      break;
    case 2:
      hem__write_file(path, png, sizeof png);
      break;
    case 3:
      file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
      ck_assert(file >= 0 && H5Fclose(file) >= 0);
      break;
    case 4:
      ck_assert_int_eq(mkdir(path, 0777), 0);
      break;
    case 5:
      ck_assert_int_eq(mkfifo(path, 0666), 0);
      break;
    default:
      break; /* nothing there at all */
  }
}
enum { FOREIGN = 7 };

/* ---- tests ---- */

START_TEST(test_damaged_catalog) {
  char *folder = hem__work_folder(), *path = hem__test_path(folder, "catalog.h5");
  uint64_t random = 11;
  make_catalog(path, 100);
  hem__bytes whole = hem__read_file(path);
  hdf5_opens = 0;
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(path, &catalog, err));
  hem__catalog_close(catalog);
  ck_assert_uint_eq(hdf5_opens, 1); /* the counter counts */
  ck_ok(check_catalog(path, err));
  for (size_t i = 0; i < CATALOG_TIMES; i++) {
    hem_error err = {0};
    hem__bytes damaged = damage(&random, whole);
    hem__write_file(path, damaged.at, damaged.size);
    hdf5_opens = 0;
    check_refusal(check_catalog(path, &err), &err, "catalog.h5", i);
    ck_assert_msg(hdf5_opens == 0, "damage %zu reached HDF5", i);
  }
  hem__write_file(path, whole.at, whole.size);
  ck_ok(check_catalog(path, err));
  ck_ok(hem__remove_tree(folder, err));
  free(whole.at);
  free(path);
  free(folder);
}
END_TEST

START_TEST(test_foreign_catalog) {
  char *folder = hem__work_folder(), *path = hem__test_path(folder, "catalog.h5");
  for (int i = 0; i < FOREIGN; i++) {
    ck_ok(hem__remove_tree(path, err));
    make_foreign(path, i);
    hdf5_opens = 0;
    hem_error why = {0};
    check_refusal(check_catalog(path, &why), &why, "catalog.h5", (size_t)i);
    ck_assert_uint_eq(hdf5_opens, 0);
  }
  ck_ok(hem__remove_tree(folder, err));
  free(path);
  free(folder);
}
END_TEST

static void make_metric(const char *path) {
  hem__metric *m = NULL;
  ck_ok(hem__metric_new(&(hem__metric){.form = HEM__HEAD, .dim = DIM, .hidden = SMALL}, &m, err));
  ck_ok(hem__metric_save(m, path, err));
  hem__metric_free(m);
}

static hem_status check_metric(const char *path, hem_error *err) {
  hem__metric *m = NULL;
  hem_status status = hem__metric_load(path, &m, err);
  hem__metric_free(m);
  return status;
}

/* Of a metric HDF5 parses all, so none of it may be damaged. */
START_TEST(test_damaged_and_foreign_metric) {
  char *folder = hem__work_folder(), *path = hem__test_path(folder, "metric.h5");
  uint64_t random = 17;
  make_metric(path);
  hem__bytes whole = hem__read_file(path);
  hdf5_opens = 0;
  ck_ok(check_metric(path, err));
  ck_assert_uint_eq(hdf5_opens, 1); /* the counter counts */
  hdf5_opens = 0;
  for (size_t i = 0; i < STORE_TIMES + FOREIGN; i++) {
    hem_error err = {0};
    if (i < STORE_TIMES) {
      hem__bytes damaged = damage(&random, whole);
      hem__write_file(path, damaged.at, damaged.size);
    } else {
      ck_assert_int_eq(hem__remove_tree(path, &err), HEM_OK);
      make_foreign(path, (int)(i - STORE_TIMES));
    }
    check_refusal(check_metric(path, &err), &err, "metric.h5", i);
    ck_assert_msg(hdf5_opens == 0, "damage %zu reached HDF5", i);
  }
  ck_ok(hem__remove_tree(folder, err));
  free(whole.at);
  free(path);
  free(folder);
}
END_TEST

typedef struct store {
  char *folder, *path;
  size_t count;
  struct {
    const char *name;
    char *path;
    hem__bytes whole;
  } files[FILES];
} store;

static store make_store(const char *kind) {
  static const char *const names[] = {"CURRENT",
                                      "generations/000001/manifest.json",
                                      "generations/000001/gallery.bin",
                                      "generations/000001/c0000.f32",
                                      "generations/000001/c0001.f32",
                                      "generations/000001/c0000.faiss"};
  store s = {.folder = hem__work_folder()};
  s.path = hem__test_path(s.folder, "store");
  char *catalog = hem__test_path(s.folder, "catalog.h5");
  make_catalog(catalog, ROWS);
  hem_index_options options = {.size = sizeof options,
                               .catalog = catalog,
                               .store = s.path,
                               .space = "a",
                               .kind = kind,
                               .links = 4,
                               .nlist = 4,
                               .threads = 1};
  ck_ok(hem_index(&options, err));
  s.count = !strcmp(kind, "flat") ? FILES - 1 : FILES;
  for (size_t i = 0; i < s.count; i++) {
    s.files[i].path = hem__test_path(s.path, names[i]);
    s.files[i].name = strrchr(s.files[i].path, '/') + 1;
    s.files[i].whole = hem__read_file(s.files[i].path);
  }
  faiss_reads = 0;
  ck_ok(check_store(s.path, err));
  ck_assert_uint_eq(faiss_reads, !strcmp(kind, "ivf")); /* the counter counts; graphs are read without FAISS */
  free(catalog);
  return s;
}

static void free_store(store *s) {
  for (size_t i = 0; i < s->count; i++) {
    free(s->files[i].path);
    free(s->files[i].whole.at);
  }
  ck_ok(hem__remove_tree(s->folder, err));
  free(s->path);
  free(s->folder);
}

/* FAISS may have parsed another category's index, which was whole; a damaged one never. */
static void refuse_store(const store *s, size_t file, size_t number) {
  hem_error err = {0};
  faiss_reads = 0;
  check_refusal(check_store(s->path, &err), &err, s->files[file].name, number);
  ck_assert_msg(file != FILES - 1 || faiss_reads == 0, "damage %zu reached FAISS", number);
}

static void damage_store(const char *kind) {
  uint64_t random = 13;
  store s = make_store(kind);
  for (size_t i = 0; i < STORE_TIMES; i++) {
    size_t file = i % s.count;
    hem__bytes damaged = damage(&random, s.files[file].whole);
    hem__write_file(s.files[file].path, damaged.at, damaged.size);
    refuse_store(&s, file, i);
    hem__write_file(s.files[file].path, s.files[file].whole.at, s.files[file].whole.size);
  }
  ck_ok(check_store(s.path, err));
  free_store(&s);
}

START_TEST(test_damaged_flat) { damage_store("flat"); }
END_TEST

START_TEST(test_damaged_hnsw) { damage_store("hnsw"); }
END_TEST

START_TEST(test_damaged_ivf) { damage_store("ivf"); }
END_TEST

START_TEST(test_foreign_files_in_store) {
  store s = make_store("hnsw");
  for (size_t file = 0; file < s.count; file++) {
    for (int i = 0; i < FOREIGN; i++) {
      ck_ok(hem__remove_tree(s.files[file].path, err));
      make_foreign(s.files[file].path, i);
      bool unpublished = file == 0 && i == FOREIGN - 1; /* no CURRENT: that is no damage */
      if (unpublished) {
        ck_fails(check_store(s.path, err), HEM_ENOTFOUND, s.path);
      } else {
        refuse_store(&s, file, (size_t)i);
      }
    }
    ck_ok(hem__remove_tree(s.files[file].path, err));
    hem__write_file(s.files[file].path, s.files[file].whole.at, s.files[file].whole.size);
  }
  ck_ok(check_store(s.path, err));
  free_store(&s);
}
END_TEST

HEM_TESTS("fuzz.mutations", test_damaged_catalog, test_foreign_catalog, test_damaged_and_foreign_metric,
          test_damaged_flat, test_damaged_hnsw, test_damaged_ivf, test_foreign_files_in_store)
