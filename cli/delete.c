/* hemline delete: items or photos out of a catalogue. */
#include <stdlib.h>

#include "base/memory.h"
#include "cli/cli.h"

enum { OPT_PATH = 256 };

typedef struct name_list {
  const char **at;
  size_t count, capacity;
} name_list;

typedef struct delete_arguments {
  const char *catalog;
  name_list items, paths;
  bool quiet;
} delete_arguments;

static const char doc[] =
    "Delete all photos of each ITEM, and single photos named with --path, from CATALOG.\v"
    "The catalogue is written anew without them and replaced in one step. A store built from it keeps answering with "
    "them until it is indexed again; a photo that its listing still names comes back with the next ingest.\n\n"
    "Exit codes: 0 done, 3 done but some of them were not in the catalogue, 1 could not do it, 2 wrong usage.\n\n"
    "Examples:\n"
    "  hemline delete shop.h5 sku-1042 sku-1043\n"
    "  hemline delete shop.h5 --path /photos/sku-1044/back.jpg";

static const struct argp_option options[] = {
    {"path", OPT_PATH, "PHOTO", 0, "Delete this photo, as the catalogue names it; may be repeated", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

static void add(struct argp_state *state, name_list *list, const char *name) {
  if (hem__grow(&list->at, &list->capacity, list->count + 1, sizeof *list->at, "names", NULL))
    argp_failure(state, EXIT_FAILED, 0, "no memory for so many names");
  list->at[list->count++] = name;
}

static error_t parse(int key, char *text, struct argp_state *state) {
  delete_arguments *a = state->input;
  switch (key) {
    case OPT_PATH:
      add(state, &a->paths, text);
      break;
    case 'q':
      a->quiet = true;
      break;
    case ARGP_KEY_ARG:
      if (!a->catalog) {
        a->catalog = text;
      } else {
        add(state, &a->items, text);
      }
      break;
    case ARGP_KEY_END:
      if (!a->catalog) argp_error(state, "name the CATALOG to delete from");
      if (a->items.count + a->paths.count == 0) argp_error(state, "name the ITEMs or --path PHOTOs to delete");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

int cli_delete(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "CATALOG [ITEM...]", .doc = doc};
  delete_arguments a = {0};
  hem_delete_result result;
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  hem_delete_options o = {.size = sizeof o,
                          .catalog = a.catalog,
                          .items = a.items.at,
                          .item_count = a.items.count,
                          .paths = a.paths.at,
                          .path_count = a.paths.count,
                          .progress = cli_progress(a.quiet)};
  int code = EXIT_DONE;
  if (hem_delete(&o, &result, &err)) {
    code = cli_fail(&err);
  } else {
    cli_progress_end();
    fprintf(stderr, "%s: %s photos (%s deleted, %s of the names not there)\n", a.catalog, cli_count(result.rows),
            cli_count(result.deleted), cli_count(result.missing));
    if (result.missing) code = EXIT_REJECTED;
  }
  free(a.items.at);
  free(a.paths.at);
  return code;
}
