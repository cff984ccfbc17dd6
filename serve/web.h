/* The search page, carried by the binary. */
#ifndef HEM_SERVE_WEB_H
#define HEM_SERVE_WEB_H

#include <stdbool.h>
#include <stddef.h>

/* The file at `path` ("/", "/app.js"): its Content-Type and its bytes, in static storage. False: there is none. */
bool hem__web_file(const char *path, const char **type, const char **bytes, size_t *size);

#endif
