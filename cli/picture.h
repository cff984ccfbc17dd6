/* Photos in a terminal: a row of them, drawn with characters. */
#ifndef HEM_CLI_PICTURE_H
#define HEM_CLI_PICTURE_H

#include "ingest/image.h"

enum { CLI_PICTURES_MAX = 16 };

/* Prints as many of the `count` images next to each other as the terminal is wide, with a line of captions below:
 * half blocks in 24-bit colour on a terminal, shades of ASCII elsewhere. */
hem_status cli_print_pictures(const hem__image *images, const char *const *captions, size_t count, hem_error *err);

#endif
