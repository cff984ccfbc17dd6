/* Runs a fuzz target over the files it is given, or over those of a folder, and over damaged copies of each. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"

enum { TIMES = 500 }; /* damaged copies of each file */

static void replay_damaged(const uint8_t *bytes, size_t size) {
  uint64_t random = size;
  uint8_t *damaged = malloc(size + 2 * HEM__MUTATE_ROOM), *twice = malloc(size + 2 * HEM__MUTATE_ROOM);
  HEM__FUZZ_ASSERT(damaged && twice);
  for (size_t i = 0; i < TIMES; i++) {
    size_t once_size = hem__mutate(&random, bytes, size, damaged);
    LLVMFuzzerTestOneInput(damaged, once_size);
    LLVMFuzzerTestOneInput(twice, hem__mutate(&random, damaged, once_size, twice));
  }
  free(damaged);
  free(twice);
}

static bool replay_file(const char *path) {
  hem__map map;
  hem_error err = {0};
  if (hem__map_open(path, &map, &err)) {
    fprintf(stderr, "%s\n", err.message);
    return false;
  }
  LLVMFuzzerTestOneInput(map.at, map.size);
  replay_damaged(map.at, map.size);
  hem__map_close(&map);
  return true;
}

static bool replay_folder(const char *folder) {
  struct dirent **names;
  size_t done = 0;
  bool fine = true;
  int count = scandir(folder, &names, NULL, alphasort);
  for (int i = 0; i < count; free(names[i++])) {
    char path[4096];
    if (names[i]->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
    fine &= replay_file(path);
    done++;
  }
  if (count >= 0) free(names);
  printf("%s: %zu inputs\n", folder, done);
  return fine && done > 0;
}

int main(int count, char **arguments) {
  bool fine = count > 1;
  for (int i = 1; i < count; i++) {
    struct stat st;
    bool folder = stat(arguments[i], &st) == 0 && S_ISDIR(st.st_mode);
    fine &= folder ? replay_folder(arguments[i]) : replay_file(arguments[i]);
  }
  return fine ? 0 : 1;
}
