/* 5,000 damaged photos of each format: decoded or refused with a reason, without a crash, in seconds, in bounded
 * memory, and without a word on the console. Each format has a process of its own; its number of the moment is in
 * shared memory, so that whoever crashes can be named. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "fuzz/mutate.h"
#include "reference/synthetic.h"
#include "support/make_photo.h"
#include "test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* their own bookkeeping grows with every photo */
#endif

enum { LARGEST = 1 << 16 }; /* bytes of a seed */
enum { TIMES = SANITIZED ? 1000 : 5000, SECONDS = 10, SEEDS = 8 };
#define MEMORY_KB (256L * 1024)

#ifdef HEM_HAVE_VIPS

/* The last of each format goes through colour management, which takes a hundred times as long, and is tried less. */
typedef struct recipe {
  const char *kind, *format;
} recipe;

static const recipe jpeg[SEEDS] = {
    {"", ".jpg"},     {"", ".jpg[interlace]"}, {"", ".jpg[Q=95,subsample-mode=off,restart-interval=2]"},
    {"grey", ".jpg"}, {"srgb", ".jpg"},        {"cmyk", ".jpg[strip]"}};
static const recipe png[SEEDS] = {{"", ".png"},         {"", ".png[interlace]"}, {"grey", ".png"}, {"alpha", ".png"},
                                  {"16 alpha", ".png"}, {"", ".png[palette]"},   {"p3", ".png"}};
static const recipe webp[SEEDS] = {{"", ".webp"},          {"", ".webp[lossless]"},
                                   {"alpha", ".webp"},     {"alpha", ".webp[lossless]"},
                                   {"animation", ".webp"}, {"p3", ".webp"}};
static const recipe avif[SEEDS] = {
    {"", ".avif[effort=0]"}, {"", ".avif[effort=0,lossless]"}, {"alpha", ".avif[effort=0]"}, {"p3", ".avif[effort=0]"}};

/* ---- damage ---- */

static size_t below(uint64_t *random, size_t limit) { return limit ? (size_t)(hem__test_random(random) % limit) : 0; }

/* A length, a count or a size somewhere, of one to four bytes, either way round, becomes another. */
static size_t edit_number(uint64_t *random, uint8_t *at, size_t size) {
  static const uint32_t values[] = {0,      1,      2,      0x7F,   0x80,       0xFF,       0x100,
                                    0x7FFF, 0x8000, 0xFFFF, 0x3FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
  size_t width = 1 + below(random, 4), place = below(random, size);
  uint32_t value = values[below(random, sizeof values / sizeof *values)];
  bool big = below(random, 2);
  for (size_t i = 0; i < width && place + i < size; i++)
    at[place + i] = (uint8_t)(value >> 8 * (big ? width - 1 - i : i));
  return size;
}

static size_t splice(uint64_t *random, const hem__photo_file *one, const hem__photo_file *other, uint8_t *out) {
  size_t head = below(random, one->size + 1), skip = below(random, other->size + 1);
  memcpy(out, one->at, head);
  memcpy(out + head, other->at + skip, other->size - skip);
  return head + other->size - skip;
}

static uint32_t big_endian(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Makes the checksums of a PNG's chunks right, so that what is behind them is tried. */
static void mend_png(uint8_t *at, size_t size) {
  size_t place = 8;
  while (place < size && size - place >= 12) {
    size_t length = big_endian(at + place);
    if (length > size - place - 12) return;
    uint32_t sum = (uint32_t)crc32(0, at + place + 4, (uInt)length + 4);
    for (size_t i = 0; i < 4; i++) at[place + 8 + length + i] = (uint8_t)(sum >> (24 - 8 * i));
    place += 12 + length;
  }
}

static size_t damage(uint64_t *random, const hem__photo_file *seeds, size_t count, uint8_t *out) {
  static uint8_t once[LARGEST + HEM__MUTATE_ROOM];
  const hem__photo_file *seed = &seeds[below(random, below(random, 8) ? count - 1 : count)];
  size_t size = seed->size;
  memcpy(out, seed->at, size);
  switch (below(random, 5)) {
    case 0:
      size = splice(random, seed, &seeds[below(random, count)], out);
      break;
    case 1:
      for (size_t i = below(random, 4) + 1; i; i--) edit_number(random, out, size);
      break;
    case 2:
      size = hem__mutate(random, seed->at, seed->size, once);
      size = hem__mutate(random, once, size, out);
      break;
    default:
      size = hem__mutate(random, seed->at, seed->size, out);
  }
  if (below(random, 2)) mend_png(out, size); /* does nothing sensible to, and little harm in, other formats */
  return size;
}

/* ---- one format, in its own process ---- */

typedef struct shared {
  size_t round, accepted;
  char problem[640];
} shared;

static size_t make_seeds(const recipe *recipes, hem__photo_file *seeds) {
  hem__image photo = synthetic(48, 36, 1);
  size_t count = 0;
  for (size_t i = 0; i < SEEDS && recipes[i].format; i++) {
    seeds[count] = hem__make_photo(&photo, recipes[i].kind, recipes[i].format);
    ck_assert_uint_le(seeds[count].size, LARGEST);
    if (seeds[count].at) count++;
  }
  hem__image_clear(&photo);
  return count;
}

static long peak_kb(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return use.ru_maxrss;
}

static bool decode_one(const uint8_t *at, size_t size, shared *report) {
  uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read past the end */
  memcpy(exact, at, size);
  hem__image out = {0};
  hem_error err = {0};
  alarm(SECONDS);
  hem_status status = hem__image_decode(exact, size, "damaged.photo", &out, &err);
  alarm(0);
  bool good = status == HEM_OK ? out.at != NULL : !out.at && strstr(err.message, "damaged.photo");
  if (!good || status == HEM_ENOMEM)
    snprintf(report->problem, sizeof report->problem, "%s: '%s'", hem_status_name(status), err.message);
  report->accepted += status == HEM_OK;
  hem__image_clear(&out);
  free(exact);
  return !report->problem[0];
}

/* The child's whole life. */
static void try_format(const recipe *recipes, shared *report) {
  hem__photo_file seeds[SEEDS];
  static uint8_t damaged[2 * LARGEST + 2 * HEM__MUTATE_ROOM];
  size_t count = make_seeds(recipes, seeds);
  uint64_t random = 17;
  if (count == 0) _exit(77);
  for (size_t i = 0; i < count; i++)
    if (!decode_one(seeds[i].at, seeds[i].size, report) || report->accepted != i + 1) _exit(1);
  long before = peak_kb();
  for (report->round = 1; report->round <= TIMES; report->round++) {
    size_t size = damage(&random, seeds, count, damaged);
    if (!decode_one(damaged, size, report)) _exit(1);
    if (!SANITIZED && peak_kb() - before > MEMORY_KB) {
      snprintf(report->problem, sizeof report->problem, "%ld MB of memory", peak_kb() / 1024);
      _exit(1);
    }
  }
  _exit(0);
}

static void run_format(const char *name, const recipe *recipes) {
  shared *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  FILE *console = tmpfile();
  ck_assert(report != MAP_FAILED && console);
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    if (!SANITIZED) dup2(fileno(console), STDERR_FILENO);
    try_format(recipes, report);
  }
  int state;
  ck_assert_int_eq(waitpid(child, &state, 0), child);
  ck_assert_msg(!WIFSIGNALED(state), "%s %zu: killed by signal %d", name, report->round, WTERMSIG(state));
  printf("%s: %zu damaged, %zu decoded all the same\n", name, report->round ? report->round - 1 : 0, report->accepted);
  ck_assert_msg(WEXITSTATUS(state) == 0 || WEXITSTATUS(state) == 77, "%s %zu: %s", name, report->round,
                report->problem);
  if (WEXITSTATUS(state) == 77) printf("%s: not tested, this libvips cannot write it\n", name);
  char said[200] = "";
  rewind(console);
#ifdef HEM_HAVE_DAV1D
  bool silent = true;
#else
  bool silent = strcmp(name, "AVIF") != 0; /* the system's own AV1 decoder may say what it thinks */
#endif
  ck_assert_msg(!silent || !fgets(said, sizeof said, console), "%s: printed '%s'", name, said);
  fclose(console);
  munmap(report, sizeof *report);
}

START_TEST(damaged_jpeg) { run_format("JPEG", jpeg); }
END_TEST

START_TEST(damaged_png) { run_format("PNG", png); }
END_TEST

START_TEST(damaged_webp) { run_format("WebP", webp); }
END_TEST

START_TEST(damaged_avif) { run_format("AVIF", avif); }
END_TEST

HEM_TESTS("fuzz.photos", damaged_jpeg, damaged_png, damaged_webp, damaged_avif)

#else

int main(void) {
  puts("built without libvips: damaged photos are not tested");
  return 77;
}

#endif
