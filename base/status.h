/* Errors: a code and one sentence. Knows nothing above it. */
#ifndef HEM_BASE_STATUS_H
#define HEM_BASE_STATUS_H

#include "hemline.h"

/* Fills *err (if there is one) and returns `code`, so that a failure is one line: return hem__fail(...). */
__attribute__((format(printf, 3, 4))) hem_status hem__fail(hem_error *err, hem_status code, const char *format, ...);

/* As hem__fail, with ": <strerror(errno)>" appended; ENOENT becomes HEM_ENOTFOUND, ENOMEM HEM_ENOMEM, all
 * else HEM_EIO. */
__attribute__((format(printf, 2, 3))) hem_status hem__fail_errno(hem_error *err, const char *format, ...);

/* Puts "<context>: " before the message that *err already holds, and returns its code. */
__attribute__((format(printf, 3, 4))) hem_status hem__fail_in(hem_error *err, hem_status code, const char *format, ...);

/* Reports to the caller's callback; HEM_ECANCELED when it asks to stop. */
hem_status hem__progress_report(const hem_progress *progress, const char *stage, uint64_t done, uint64_t total,
                                const char *unit, hem_error *err);

/* An options struct of another age: copies what both sides know and leaves the rest zero.
 * `size` is the caller's first field. */
hem_status hem__options_copy(void *mine, size_t mine_size, const void *theirs, const char *name, hem_error *err);

#endif
