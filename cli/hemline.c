/* The command: finds the subcommand and hands over. */
#include <string.h>

#include "cli/cli.h"

static const cli_command commands[] = {
    {"demo", "the whole path on 70,000 real garments, with a report to look at", cli_demo},
    {"ingest", "photos into a catalogue of embeddings", cli_ingest},
    {"delete", "items or photos out of a catalogue", cli_delete},
    {"train", "pairs of photos into the Siamese metric", cli_train},
    {"index", "a catalogue into an index for each category", cli_index},
    {"query", "a photo, vector or row into the nearest items", cli_query},
    {"serve", "a store answered to other processes: a search page, REST, a Unix socket", cli_serve},
    {"cost", "what a recall would cost in a store that was tuned, without trying anything", cli_cost},
    {"rollback", "an older generation of a store, current again", cli_rollback},
    {"drift", "what a server was asked, beside what its store was built for", cli_drift},
    {"evaluate", "top-k accuracy of a catalogue's features; recall of a store's indices", cli_evaluate},
    {"bench", "recall against speed of every kind of index, and of other libraries, on one's own vectors", cli_bench},
    {"views", "practice pairs made of a shop's own photos, for a start without customers' photos", cli_views},
    {"plot", "a map of a catalogue's photos: near in the embedding space, near on paper (t-SNE)", cli_plot},
    {"info", "what is in a catalogue or store", cli_info},
    {"verify", "check every checksum of a catalogue or store", cli_verify},
    {"doctor", "what is wrong with a catalogue: copies, blank or missing photos, outliers", cli_doctor},
    {"export-onnx", "a metric as an ONNX model", cli_export_onnx},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out) {
  fputs(
      "Usage: hemline COMMAND [OPTION...]\n"
      "Hemline finds, in a shop's catalogue, the garment in a customer's photo.\n\n",
      out);
  for (size_t i = 0; i < COMMANDS; i++) fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
  fputs(
      "\nEach command explains itself: hemline COMMAND --help\n\n"
      "Examples:\n"
      "  hemline demo\n"
      "  hemline ingest shop.h5 --manifest photos.tsv\n"
      "  hemline index shop.h5 -o shop.store\n"
      "  hemline query shop.store street.jpg -k 5\n\n"
      "Exit status: 0 done, 1 could not do it, 2 wrong usage, 3 done with rejected inputs (doctor: something was "
      "found).\n",
      out);
}

static int run_command(int argc, char **argv) {
  for (size_t i = 0; i < COMMANDS; i++) {
    if (strcmp(argv[1], commands[i].name) != 0) continue;
    char name[64];
    snprintf(name, sizeof name, "hemline %s", commands[i].name);
    argv[1] = name; /* what usage messages call themselves */
    return commands[i].run(argc - 1, argv + 1);
  }
  fprintf(stderr, "hemline: no command '%s'; try 'hemline --help'\n", argv[1]);
  return EXIT_USAGE;
}

static int run(int argc, char **argv) {
  const char *first = argc > 1 ? argv[1] : "";
  if (!strcmp(first, "--help") || !strcmp(first, "-h") || !strcmp(first, "help")) {
    print_help(stdout);
    return EXIT_DONE;
  }
  if (!strcmp(first, "--version") || !strcmp(first, "-V")) {
    printf("hemline %s\n", hem_version());
    return EXIT_DONE;
  }
  if (argc > 1) return run_command(argc, argv);
  print_help(stderr);
  return EXIT_USAGE;
}

int main(int argc, char **argv) {
  argp_err_exit_status = EXIT_USAGE;
  int code = run(argc, argv);
  if (fflush(stdout) == 0 && !ferror(stdout)) return code;
  fputs("hemline: cannot write to standard output\n", stderr);
  return EXIT_FAILED;
}
