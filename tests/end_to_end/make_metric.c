/* Makes a metric for the end-to-end tests, which drive what comes after training without training.
 *
 *   make_metric CATALOG OUT l1|concave|free|tower [unproven]
 *
 * Of the catalogue's first space; see support/make_learned.h. "unproven": validation did not find it better. */
#include <stdio.h>
#include <string.h>

#include "ingest/catalog.h"
#include "metric/metric_file.h"
#include "support/make_learned.h"

static hem__test_kind kind_of(const char *name) {
  static const char *const names[] = {"l1", "concave", "free", "tower"};
  for (size_t i = 0; i < HEM__TEST_KINDS; i++)
    if (!strcmp(names[i], name)) return (hem__test_kind)i;
  fprintf(stderr, "no kind '%s'\n", name);
  exit(2);
}

static char *copy(const char *text) {
  char *out = NULL;
  ck_ok(hem__strdup(text, &out, err));
  return out;
}

static char **arguments;

/* Check's asserts work only within a test. */
START_TEST(a_metric_is_made) {
  hem__catalog *catalog = NULL;
  ck_ok(hem__catalog_open(arguments[1], &catalog, err));
  const hem__space *space = hem__catalog_space(catalog, 0);
  hem__metric *m = hem__test_learned(kind_of(arguments[3]), space->dim, HEM_L1, 1);
  free(m->space);
  free(m->space_hash);
  free(m->features);
  m->space = copy(space->name);
  m->space_hash = copy(space->hash);
  m->features = copy(space->features);
  if (arguments[4]) m->verdict.gain_low = -0.01;
  ck_ok(hem__metric_save(m, arguments[2], err));
  hem__metric_free(m);
  hem__catalog_close(catalog);
}
END_TEST

int main(int argc, char **argv) {
  const TTest *const tests[] = {a_metric_is_made};
  if (argc < 4) return 2;
  arguments = argv;
  return hem__run_tests("make_metric", tests, 1);
}
