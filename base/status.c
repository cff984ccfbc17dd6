#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
_Static_assert(sizeof HEM_VERSION_STRING == sizeof STRINGIFY(HEM_VERSION_MAJOR) "." STRINGIFY(
                                                HEM_VERSION_MINOR) "." STRINGIFY(HEM_VERSION_PATCH),
               "the version string and its parts disagree");

const char *hem_version(void) { return HEM_VERSION_STRING; }

const char *hem_status_name(hem_status status) {
  static const char *const names[] = {"HEM_OK",        "HEM_EINVAL",    "HEM_ENOMEM",   "HEM_EIO",
                                      "HEM_ENOTFOUND", "HEM_ECORRUPT",  "HEM_EVERSION", "HEM_EUNSUPPORTED",
                                      "HEM_EBUSY",     "HEM_EMISMATCH", "HEM_ECANCELED"};
  size_t i = (size_t)status;
  return i < sizeof names / sizeof *names ? names[i] : "HEM_UNKNOWN";
}

/* A file name or a library's message may hold line ends; the contract says one line. */
static void keep_one_line(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 0x20) *text = ' ';
}

/* vsnprintf that does not end inside a UTF-8 character where it has to cut. */
__attribute__((format(printf, 3, 0))) static void print_cut(char *out, size_t room, const char *format, va_list args) {
  int wanted = vsnprintf(out, room, format, args);
  if (wanted < 0 || (size_t)wanted < room) return;
  size_t end = room - 1, start = end;
  while (start && ((unsigned char)out[start - 1] & 0xC0) == 0x80) start--;
  /* Continuation bytes end the text: cut before their first byte unless all of them are there. */
  unsigned char first = start ? (unsigned char)out[start - 1] : 0;
  size_t needed = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
  if (start && end - (start - 1) < needed) out[start - 1] = '\0';
}

static hem_status fail_with(hem_error *err, hem_status code, const char *format, va_list args) {
  /* Formatted aside, so that a message may quote the one it replaces. */
  char text[sizeof err->message];
  print_cut(text, sizeof text, format, args);
  keep_one_line(text);
  memcpy(err->message, text, sizeof text);
  err->code = code;
  return code;
}

hem_status hem__fail(hem_error *err, hem_status code, const char *format, ...) {
  if (!err) return code;
  va_list args;
  va_start(args, format);
  fail_with(err, code, format, args);
  va_end(args);
  return code;
}

hem_status hem__fail_errno(hem_error *err, const char *format, ...) {
  int saved = errno;
  hem_status code = saved == ENOENT ? HEM_ENOTFOUND : saved == ENOMEM ? HEM_ENOMEM : HEM_EIO;
  char text[384];
  va_list args;
  va_start(args, format);
  print_cut(text, sizeof text, format, args);
  va_end(args);
  return hem__fail(err, code, "%s: %s", text, strerror(saved));
}

hem_status hem__fail_in(hem_error *err, hem_status code, const char *format, ...) {
  if (!err) return code;
  char context[256];
  va_list args;
  va_start(args, format);
  print_cut(context, sizeof context, format, args);
  va_end(args);
  return hem__fail(err, code, "%s: %s", context, err->message);
}

hem_status hem__progress_report(const hem_progress *progress, const char *stage, uint64_t done, uint64_t total,
                                const char *unit, hem_error *err) {
  if (!progress || !progress->report || progress->report(progress->context, stage, done, total, unit)) return HEM_OK;
  return hem__fail(err, HEM_ECANCELED, "stopped during %s after %llu of %llu %s; run the same command again to go on",
                   stage, (unsigned long long)done, (unsigned long long)total, unit);
}

hem_status hem__options_copy(void *mine, size_t mine_size, const void *theirs, const char *name, hem_error *err) {
  memset(mine, 0, mine_size);
  if (!theirs) return HEM_OK;
  size_t size;
  memcpy(&size, theirs, sizeof size);
  if (size < sizeof size || size > 4096)
    return hem__fail(err, HEM_EINVAL, "%s.size is %zu: set it to sizeof(%s)", name, size, name);
  memcpy(mine, theirs, size < mine_size ? size : mine_size);
  return HEM_OK;
}
