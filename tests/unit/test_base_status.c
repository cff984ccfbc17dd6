/* Errors are what a user reads when things go wrong: one line, whole, with a code that fits. */
#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

START_TEST(every_status_has_its_name) {
  static const char *const names[] = {"HEM_OK",        "HEM_EINVAL",    "HEM_ENOMEM",   "HEM_EIO",
                                      "HEM_ENOTFOUND", "HEM_ECORRUPT",  "HEM_EVERSION", "HEM_EUNSUPPORTED",
                                      "HEM_EBUSY",     "HEM_EMISMATCH", "HEM_ECANCELED"};
  for (int i = 0; i <= HEM_ECANCELED; i++) ck_assert_str_eq(hem_status_name((hem_status)i), names[i]);
  ck_assert_str_eq(hem_status_name((hem_status)(HEM_ECANCELED + 1)), "HEM_UNKNOWN");
  ck_assert_str_eq(hem_status_name((hem_status)-1), "HEM_UNKNOWN");
  ck_assert_str_eq(hem_version(), HEM_VERSION_STRING);
}
END_TEST

START_TEST(a_failure_is_a_code_and_one_line) {
  hem_error err = {0};
  ck_assert_int_eq(hem__fail(&err, HEM_EINVAL, "a\nb\tc\r%s\x1b[2J", "d"), HEM_EINVAL);
  ck_assert_int_eq(err.code, HEM_EINVAL);
  ck_assert_str_eq(err.message, "a b c d [2J");
  ck_assert_int_eq(hem__fail(NULL, HEM_EBUSY, "nobody listens"), HEM_EBUSY);
}
END_TEST

START_TEST(a_long_message_is_cut_and_terminated) {
  char longest[2000];
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  hem_error err;
  memset(&err, 0x7F, sizeof err);
  hem__fail(&err, HEM_EIO, "%s", longest);
  ck_assert_uint_eq(strlen(err.message), sizeof err.message - 1);
  errno = ENOENT;
  ck_assert_int_eq(hem__fail_errno(&err, "cannot open %s", longest), HEM_ENOTFOUND);
  ck_assert_msg(strstr(err.message, "No such file") != NULL, "the reason was cut off: %s", err.message);
}
END_TEST

/* Paths are in any script; the contract says that a message is UTF-8, so a cut may not halve a character. */
START_TEST(a_cut_does_not_halve_a_character) {
  char path[1202] = "";
  for (size_t shift = 0; shift < 2; shift++) {
    memset(path, 0, sizeof path);
    if (shift) path[0] = 'x';
    for (size_t i = shift; i + 1 < sizeof path - 1; i += 2) memcpy(path + i, "\xC3\xA4", 2);
    hem_error err = {0};
    hem__fail(&err, HEM_EIO, "%s", path);
    size_t length = strlen(err.message);
    ck_assert_msg((uint8_t)err.message[length - 1] != 0xC3, "a character was halved at %zu bytes", length);
  }
}
END_TEST

START_TEST(the_systems_reasons_become_codes) {
  static const struct {
    int number;
    hem_status status;
  } cases[] = {{ENOENT, HEM_ENOTFOUND}, {ENOMEM, HEM_ENOMEM}, {EACCES, HEM_EIO}, {ENOSPC, HEM_EIO}, {EIO, HEM_EIO}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem_error err = {0};
    errno = cases[i].number;
    ck_assert_int_eq(hem__fail_errno(&err, "cannot read %s", "shop.h5"), cases[i].status);
    ck_assert_int_eq(err.code, cases[i].status);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot read shop.h5: "));
    ck_assert_ptr_nonnull(strstr(err.message, strerror(cases[i].number)));
  }
}
END_TEST

START_TEST(context_goes_in_front) {
  hem_error err = {0};
  hem__fail(&err, HEM_ECORRUPT, "row 3 is damaged");
  ck_assert_int_eq(hem__fail_in(&err, HEM_ECORRUPT, "shop.%s", "h5"), HEM_ECORRUPT);
  ck_assert_str_eq(err.message, "shop.h5: row 3 is damaged");
  ck_assert_int_eq(err.code, HEM_ECORRUPT);
  ck_assert_int_eq(hem__fail_in(NULL, HEM_EIO, "x"), HEM_EIO);
}
END_TEST

START_TEST(a_message_may_quote_the_one_it_replaces) {
  hem_error err = {0};
  hem__fail(&err, HEM_EIO, "inner");
  hem__fail(&err, HEM_ECORRUPT, "outer (%s)", err.message);
  ck_assert_str_eq(err.message, "outer (inner)");
}
END_TEST

typedef struct options {
  size_t size;
  int a, b;
} options;

START_TEST(options_of_other_ages) {
  options mine = {.size = 9, .a = 9, .b = 9};
  ck_ok(hem__options_copy(&mine, sizeof mine, NULL, "options", err));
  ck_assert(mine.size == 0 && mine.a == 0 && mine.b == 0);
  options older = {.size = offsetof(options, b), .a = 5, .b = 6};
  ck_ok(hem__options_copy(&mine, sizeof mine, &older, "options", err));
  ck_assert_int_eq(mine.a, 5);
  ck_assert_msg(mine.b == 0, "a field that the older caller does not have was read");
  struct {
    options known;
    int more[50];
  } newer = {.known = {.size = sizeof newer, .a = 7, .b = 8}, .more = {1}};
  struct {
    options mine;
    int guard;
  } room = {.guard = 42};
  ck_ok(hem__options_copy(&room.mine, sizeof room.mine, &newer, "options", err));
  ck_assert(room.mine.a == 7 && room.mine.b == 8 && room.guard == 42);
}
END_TEST

START_TEST(options_without_a_size_are_refused) {
  options mine, theirs = {0};
  ck_fails(hem__options_copy(&mine, sizeof mine, &theirs, "hem_x_options", err), HEM_EINVAL, "sizeof(hem_x_options)");
  theirs.size = SIZE_MAX;
  ck_fails(hem__options_copy(&mine, sizeof mine, &theirs, "hem_x_options", err), HEM_EINVAL, "hem_x_options.size");
}
END_TEST

static bool stop_at_two(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  (void)total;
  *(int *)context += !strcmp(stage, "ingest") && !strcmp(unit, "photos");
  return done < 2;
}

START_TEST(progress_can_stop_the_work) {
  int calls = 0;
  hem_progress progress = {.report = stop_at_two, .context = &calls};
  ck_ok(hem__progress_report(NULL, "ingest", 1, 9, "photos", err));
  ck_ok(hem__progress_report(&(hem_progress){0}, "ingest", 2, 9, "photos", err));
  ck_ok(hem__progress_report(&progress, "ingest", 1, 9, "photos", err));
  ck_fails(hem__progress_report(&progress, "ingest", 2, 9, "photos", err), HEM_ECANCELED, "2 of 9 photos");
  ck_assert_int_eq(calls, 2);
}
END_TEST

HEM_TESTS("status", every_status_has_its_name, a_failure_is_a_code_and_one_line, a_long_message_is_cut_and_terminated,
          a_cut_does_not_halve_a_character, the_systems_reasons_become_codes, context_goes_in_front,
          a_message_may_quote_the_one_it_replaces, options_of_other_ages, options_without_a_size_are_refused,
          progress_can_stop_the_work)
