/* hemline evaluate --experiments. */
#ifndef HEM_CLI_EXPERIMENTS_H
#define HEM_CLI_EXPERIMENTS_H

#include "bench/experiments.h"
#include "cli/cli.h"

typedef struct cli_experiments_arguments {
  bool wanted, training_given; /* training_given: an option that is for experiments only */
  hem_train_options train;
} cli_experiments_arguments;

/* The options that are for experiments only; its input is a cli_experiments_arguments. */
extern const struct argp cli_experiments_argp;

/* What else evaluate was told. */
typedef struct cli_experiments_setting {
  const char *catalog, *space, *report, *idx;
  size_t sheets, query_limit, threads;
  int gallery_split;
  bool json, quiet;
} cli_experiments_setting;

int cli_experiments(const cli_experiments_arguments *arguments, const cli_experiments_setting *setting);

/* The table that evaluate prints. */
void cli_print_experiments(const hem__experiments *experiments);

#endif
