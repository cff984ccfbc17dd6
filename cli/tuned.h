/* What the commands say of the settings that a store was tuned to. */
#ifndef HEM_CLI_TUNED_H
#define HEM_CLI_TUNED_H

#include "cli/cli.h"
#include "index/tuning.h"

/* "hnsw-sq8 efSearch 48 refine 2", in one of a few static buffers. */
const char *cli_setting(const hem__tuned_point *point);
/* What was asked for, and what each category got and promises. */
void cli_print_tuning(FILE *out, const hem__tuning *tuning);

#endif
