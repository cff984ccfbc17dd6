/* The page's files, taken in by the assembler: `.incbin` needs no tool beside the compiler, and is the same for gcc,
 * clang and every processor. CMake names the folder (HEM_WEB) and builds this file anew when one of them changes. */
#include "serve/web.h"

#include <string.h>

/* clang-format off */
#define TAKE_IN(symbol, name)                                                                     \
  extern const char symbol[] __attribute__((visibility("hidden")));                               \
  extern const char symbol##_end[] __attribute__((visibility("hidden")));                         \
  __asm__(".pushsection .rodata\n"                                                                \
          ".hidden " #symbol "\n.hidden " #symbol "_end\n.globl " #symbol "\n.globl " #symbol "_end\n" \
          #symbol ":\n.incbin \"" HEM_WEB "/" name "\"\n" #symbol "_end:\n"                       \
          ".byte 0\n.popsection\n")
/* clang-format on */

TAKE_IN(hem__web_index_html, "index.html");
TAKE_IN(hem__web_app_css, "app.css");
TAKE_IN(hem__web_icon_svg, "icon.svg");
TAKE_IN(hem__web_app_js, "app.js");
TAKE_IN(hem__web_answer_js, "answer.js");
TAKE_IN(hem__web_crop_js, "crop.js");
TAKE_IN(hem__web_page_js, "page.js");
TAKE_IN(hem__web_server_js, "server.js");
TAKE_IN(hem__web_why_js, "why.js");

typedef struct web_file {
  const char *path, *type, *begin, *end;
} web_file;

static const char HTML[] = "text/html; charset=utf-8";
static const char CSS[] = "text/css; charset=utf-8";
static const char JS[] = "text/javascript; charset=utf-8";
static const char SVG[] = "image/svg+xml";

static const web_file files[] = {
    {"/", HTML, hem__web_index_html, hem__web_index_html_end},
    {"/index.html", HTML, hem__web_index_html, hem__web_index_html_end},
    {"/app.css", CSS, hem__web_app_css, hem__web_app_css_end},
    {"/icon.svg", SVG, hem__web_icon_svg, hem__web_icon_svg_end},
    {"/app.js", JS, hem__web_app_js, hem__web_app_js_end},
    {"/answer.js", JS, hem__web_answer_js, hem__web_answer_js_end},
    {"/crop.js", JS, hem__web_crop_js, hem__web_crop_js_end},
    {"/page.js", JS, hem__web_page_js, hem__web_page_js_end},
    {"/server.js", JS, hem__web_server_js, hem__web_server_js_end},
    {"/why.js", JS, hem__web_why_js, hem__web_why_js_end},
};

bool hem__web_file(const char *path, const char **type, const char **bytes, size_t *size) {
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    if (strcmp(path, files[i].path) != 0) continue;
    *type = files[i].type;
    *bytes = files[i].begin;
    *size = (size_t)(files[i].end - files[i].begin);
    return true;
  }
  return false;
}
