/* What the commands say of a store's metric and of its certificate. */
#ifndef HEM_CLI_CERTIFICATE_H
#define HEM_CLI_CERTIFICATE_H

#include "cli/cli.h"
#include "index/generation.h"

/* "0.9951 (0.9921-0.9971, 250 queries)", or that there is none. Static storage, until four calls later. */
const char *cli_certificate(const hem_certificate *certificate);
/* A json_t object; null where there is none. */
void *cli_certificate_json(const hem_certificate *certificate);

/* What a store with a metric promises, and where it falls short of 0.99; to stderr after it was built, to stdout when
 * it was asked. */
void cli_print_metric(FILE *out, const hem__manifest *manifest);

#endif
