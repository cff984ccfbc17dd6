/* What was tried on a generation: parsed or refused; what was parsed prints and parses to the same text again, and a
 * choice can be made among its settings. */
#include "fuzz/fuzz.h"
#include "index/tuning.h"

static char *print(const hem__tuning *tuning, size_t *size) {
  char *json = NULL;
  HEM__FUZZ_ASSERT(hem__tuning_print(tuning, &json, size, NULL) == HEM_OK);
  return json;
}

static void choose(const hem__tuned_category *c) {
  hem__tuned_limits limits = {.recall = 0.99, .latency_us = 100, .bytes = 1 << 20, .above = -1};
  hem_error err = {0};
  size_t chosen = hem__tuning_choose(c->points, c->count, &limits);
  HEM__FUZZ_ASSERT(chosen == SIZE_MAX || chosen < c->count);
  HEM__FUZZ_ASSERT(hem__tuning_impossible(c, &limits, &err) != HEM_OK && err.message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = hem__fuzz_copy(data, size);
  hem__tuning tuning, again;
  hem_error err = {0};
  if (hem__tuning_parse((const char *)copy, size, "fuzz", &tuning, &err) == HEM_OK) {
    size_t first_size, second_size;
    for (size_t i = 0; i < tuning.category_count; i++) choose(&tuning.categories[i]);
    char *first = print(&tuning, &first_size);
    HEM__FUZZ_ASSERT(hem__tuning_parse(first, first_size, "again", &again, NULL) == HEM_OK);
    char *second = print(&again, &second_size);
    HEM__FUZZ_ASSERT(first_size == second_size && memcmp(first, second, first_size) == 0);
    hem__tuning_clear(&tuning);
    hem__tuning_clear(&again);
    free(first);
    free(second);
  } else {
    HEM__FUZZ_ASSERT(err.message[0]);
  }
  free(copy);
  return 0;
}
