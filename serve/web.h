/* The search page, compiled into the program: no file beside it, nothing from elsewhere. */
#ifndef HEM_SERVE_WEB_H
#define HEM_SERVE_WEB_H

#include <stdbool.h>
#include <stddef.h>

/* The page's file at `path` ("/" is the page itself), its media type and its bytes; they live as long as the program.
 * False: the page has no such file. */
bool hem__web_file(const char *path, const char **type, const char **bytes, size_t *size);

#endif
