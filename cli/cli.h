/* What the subcommands share. Only this layer prints: results on stdout, everything else on stderr. */
#ifndef HEM_CLI_CLI_H
#define HEM_CLI_CLI_H

#include <argp.h>
#include <stdio.h>

#include "ingest/catalog.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REJECTED = 3 };

typedef struct cli_command {
  const char *name, *summary;
  int (*run)(int argc, char **argv); /* argv[0]: "hemline NAME" */
} cli_command;

int cli_ingest(int argc, char **argv);
int cli_delete(int argc, char **argv);
int cli_train(int argc, char **argv);
int cli_export_onnx(int argc, char **argv);
int cli_index(int argc, char **argv);
int cli_query(int argc, char **argv);
int cli_drift(int argc, char **argv);
int cli_rollback(int argc, char **argv);
int cli_cost(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_evaluate(int argc, char **argv);
int cli_info(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_views(int argc, char **argv);
int cli_plot(int argc, char **argv);
int cli_bench(int argc, char **argv);

/* Prints "hemline: <message>" and returns EXIT_FAILED. */
int cli_fail(const hem_error *err);

/* A progress bar with rate and time left on a terminal; a line now and then elsewhere. `quiet`: neither. */
hem_progress cli_progress(bool quiet);
/* Ends a line that a bar left open. */
void cli_progress_end(void);

/* A name from outside, with '?' for each control character: a path must not steer the terminal or break a line. Static
 * storage, until eight calls later. */
const char *cli_clean(const char *text);
/* "24,000", in one of a few static buffers. */
const char *cli_count(uint64_t n);
/* A whole number of an option, or argp's usage error. */
unsigned long cli_number(struct argp_state *state, const char *text, const char *option, unsigned long limit);
/* A share from 0 to 1, and bytes ("300K", "1.5G": of 1,024 each), or argp's usage error. */
double cli_share(struct argp_state *state, const char *text, const char *option);
uint64_t cli_bytes(struct argp_state *state, const char *text, const char *option);
/* "1.5 GiB", in one of a few static buffers. */
const char *cli_size(uint64_t bytes);
/* The one name that a command takes; a second one is argp's usage error. */
void cli_take(struct argp_state *state, const char **name, const char *text, const char *what);
/* A store is a folder; a catalogue is not. */
bool cli_is_folder(const char *path);
/* hem__catalog_open, for the catalogue that a store remembers: when it is gone, says how to name its new place. */
hem_status cli_open_catalog(const char *path, hem__catalog **out, hem_error *err);
/* A json_t string; what is not UTF-8 becomes U+FFFD. NULL: no memory. */
void *cli_json_text(const char *text);
/* Prints a JSON value and a line end on stdout, and releases it. `value` is a json_t. Returns an exit code. */
int cli_print_json(void *value);

#endif
