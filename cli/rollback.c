/* hemline rollback: an older generation of a store, current again. */
#include "cli/cli.h"

typedef struct rollback_arguments {
  const char *store, *generation;
} rollback_arguments;

static const char doc[] =
    "Answer from the generation before the current one again, or from GENERATION.\v"
    "All of its files are checked, and then published once more under a new number; no file is copied. Servers take it "
    "up at once. 'hemline index --keep' says how many older generations stay.\n\n"
    "Examples:\n"
    "  hemline rollback shop.store\n"
    "  hemline rollback shop.store 000002";

static error_t parse(int key, char *text, struct argp_state *state) {
  rollback_arguments *a = state->input;
  switch (key) {
    case ARGP_KEY_ARG:
      if (!a->store) {
        a->store = text;
      } else {
        cli_take(state, &a->generation, text, "GENERATION");
      }
      break;
    case ARGP_KEY_END:
      if (!a->store) argp_error(state, "name the STORE");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

int cli_rollback(int argc, char **argv) {
  static const struct argp argp = {.parser = parse, .args_doc = "STORE [GENERATION]", .doc = doc};
  rollback_arguments a = {0};
  char number[16];
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  if (hem_rollback(a.store, a.generation, number, &err)) return cli_fail(&err);
  printf("%s\n", number);
  fprintf(stderr, "hemline: %s answers from generation %s now, %s%s once more\n", a.store, number,
          a.generation ? "" : "the one before ", a.generation ? a.generation : "");
  return EXIT_DONE;
}
