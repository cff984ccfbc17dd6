/* What every test file includes: Check, and a few words to keep tests short.
 *
 * A file ends with   HEM_TESTS("what", test_one, test_two)   which makes its main(). */
#ifndef HEM_TESTS_TEST_H
#define HEM_TESTS_TEST_H

#include <check.h>
#include <stdlib.h>

#include "hemline.h"

/* Fails with the library's own sentence. */
#define ck_ok(call)                                                                                      \
  do {                                                                                                   \
    hem_error ck_err = {0};                                                                              \
    hem_error *err = &ck_err;                                                                            \
    hem_status ck_status = (call);                                                                       \
    ck_assert_msg(ck_status == HEM_OK, "%s: %s: %s", #call, hem_status_name(ck_status), ck_err.message); \
  } while (0)

/* The call fails with this code, and its message holds `words`. `call` uses `err`. */
#define ck_fails(call, wanted, words)                                                                       \
  do {                                                                                                      \
    hem_error ck_err = {0};                                                                                 \
    hem_error *err = &ck_err;                                                                               \
    hem_status ck_status = (call);                                                                          \
    ck_assert_msg(ck_status == (wanted), "%s: %s instead of %s: %s", #call, hem_status_name(ck_status),     \
                  hem_status_name(wanted), ck_err.message);                                                 \
    ck_assert_msg(strstr(ck_err.message, words) != NULL, "message '%s' lacks '%s'", ck_err.message, words); \
  } while (0)

int hem__run_tests(const char *name, const TTest *const *tests, size_t count);

#define HEM_TESTS(name, ...)                                          \
  int main(void) {                                                    \
    const TTest *const tests[] = {__VA_ARGS__};                       \
    return hem__run_tests(name, tests, sizeof tests / sizeof *tests); \
  }

/* A fresh folder, removed when the program ends. Static storage until the next call's folder: copy it. */
const char *hem__test_folder(void);
/* "<folder>/<name>", freed with free(). */
char *hem__test_path(const char *folder, const char *name);
/* Reproducible noise: splitmix64. */
uint64_t hem__test_random(uint64_t *state);
/* Uniform in [0, 1). */
float hem__test_uniform(uint64_t *state);

#endif
