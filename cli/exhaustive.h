/* `hemline evaluate STORE --exhaustive`. */
#ifndef HEM_CLI_EXHAUSTIVE_H
#define HEM_CLI_EXHAUSTIVE_H

#include "bench/exhaustive.h"
#include "cli/cli.h"

void cli_print_exhaustive(const hem__exhaustive *result);
/* Returns an exit code. */
int cli_print_exhaustive_json(const hem__exhaustive *result);

#endif
