#include "cli/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ingest/feature.h"

enum { COLUMNS_DEFAULT = 80, GAP = 2, WIDE = 28, NARROW = 14, SHOWN_WANTED = 5 };

static size_t terminal_columns(void) {
  struct winsize size;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : COLUMNS_DEFAULT;
}

/* Two pixels, one above the other, in one character cell. */
static void print_cell(const hem__image *image, size_t x, size_t row, bool colour) {
  const uint8_t *top = image->at + 3 * (2 * row * image->width + x), *low = top + 3 * image->width;
  if (colour) {
    printf("\033[38;2;%u;%u;%um\033[48;2;%u;%u;%um\xE2\x96\x80", top[0], top[1], top[2], low[0], low[1], low[2]);
    return;
  }
  static const char shades[] = " .:-=+*#%@";
  putchar(shades[(size_t)((hem__luma(top) + hem__luma(low)) / 2 * (sizeof shades - 2) / 255)]);
}

static void print_rows(const hem__image *images, size_t count, bool colour) {
  for (size_t row = 0; row < images[0].height / 2; row++) {
    for (size_t i = 0; i < count; i++) {
      for (size_t x = 0; x < images[i].width; x++) print_cell(&images[i], x, row, colour);
      printf("%s%*s", colour ? "\033[0m" : "", GAP, "");
    }
    putchar('\n');
  }
}

static void print_captions(const char *const *captions, size_t count, size_t width) {
  for (size_t i = 0; i < count; i++) printf("%-*.*s%*s", (int)width, (int)width, captions[i], GAP, "");
  putchar('\n');
}

hem_status cli_print_pictures(const hem__image *images, const char *const *captions, size_t count, hem_error *err) {
  hem__image small[CLI_PICTURES_MAX] = {0};
  size_t columns = terminal_columns();
  size_t width = columns / (WIDE + GAP) >= SHOWN_WANTED ? WIDE : NARROW;
  size_t shown = hem__min(hem__min(count, CLI_PICTURES_MAX), hem__max(columns / (width + GAP), 1));
  hem_status status = HEM_OK;
  for (size_t i = 0; i < shown && !status; i++) status = hem__image_resize(&images[i], width, width, &small[i], err);
  if (!status && shown) {
    print_rows(small, shown, isatty(STDOUT_FILENO));
    print_captions(captions, shown, width);
  }
  for (size_t i = 0; i < shown; i++) hem__image_clear(&small[i]);
  return status;
}
