// The header is C++, too: it compiles, and its functions have C linkage.
#include <hemline.h>

extern "C" {
static const char *(*const version)(void) = hem_version;
}

const char *linked() { return version(); }
