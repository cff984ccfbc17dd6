/* The description of the interface, taken in by the assembler. CMake names the file (HEM_OPENAPI). */
#include "serve/http_exchange.h"

/* clang-format off */
extern const char hem__openapi_json[] __attribute__((visibility("hidden")));
extern const char hem__openapi_json_end[] __attribute__((visibility("hidden")));
__asm__(".pushsection .rodata\n"
        ".hidden hem__openapi_json\n.hidden hem__openapi_json_end\n"
        ".globl hem__openapi_json\n.globl hem__openapi_json_end\n"
        "hem__openapi_json:\n.incbin \"" HEM_OPENAPI "\"\nhem__openapi_json_end:\n.byte 0\n.popsection\n");
/* clang-format on */

void hem__openapi(const char **bytes, size_t *size) {
  *bytes = hem__openapi_json;
  *size = (size_t)(hem__openapi_json_end - hem__openapi_json);
}
