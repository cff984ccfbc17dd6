/* A page being written. Text from outside goes through hem__html_text, and nothing gets out of that; markup is our
 * own words. The page is well-formed XML too, so that any XML parser can check it. */
#ifndef HEM_BENCH_HTML_H
#define HEM_BENCH_HTML_H

#include "base/file.h"
#include "ingest/image.h"

/* All borrowed. After the first failure every call does nothing, so that a page is written without a test a line. */
typedef struct hem__html {
  hem__aside *to;
  hem_error *err;
  hem_status status;
} hem__html;

/* The head with the style sheet, up to the open <main>; and the end. */
void hem__html_open(hem__html *page, const char *title);
void hem__html_close(hem__html *page);

void hem__html_put(hem__html *page, const char *markup);
__attribute__((format(printf, 2, 3))) void hem__html_print(hem__html *page, const char *format, ...);
/* Escaped for elements and for attributes; what is not UTF-8, or forbidden in XML, becomes U+FFFD. */
void hem__html_text(hem__html *page, const char *text);
void hem__html_count(hem__html *page, size_t count); /* 12,345 */
void hem__html_base64(hem__html *page, const void *bytes, size_t size);
/* The photo as a part of the page, small; what it shows is for a caption to say. */
void hem__html_picture(hem__html *page, const hem__image *image);
/* For pages of hundreds of photos: at most `side` pixels a side and 64 levels a channel, which halves a PNG. NULL: a
 * box that says that there is no picture. */
void hem__html_thumbnail(hem__html *page, const hem__image *image, size_t side);

/* The character at `text`, which does not end there, and how many bytes it takes. U+FFFD for bytes that are not UTF-8
 * and for what XML forbids. */
size_t hem__utf8_next(const char *text, uint32_t *character);

#endif
