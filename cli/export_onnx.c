/* hemline export-onnx: a metric as a model that any ONNX runtime takes. */
#include "cli/cli.h"

typedef struct export_arguments {
  const char *metric, *onnx;
} export_arguments;

static const char doc[] =
    "Write METRIC as an ONNX model: inputs \"a\" and \"b\" [N, D], embeddings as the catalogue holds them; outputs "
    "\"score\" and \"probability\" [N].\v"
    "Examples:\n"
    "  hemline export-onnx shop.metric -o shop.onnx";

static const struct argp_option options[] = {{"output", 'o', "FILE.onnx", 0, "File to write", 0}, {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
  export_arguments *a = state->input;
  switch (key) {
    case 'o':
      a->onnx = text;
      break;
    case ARGP_KEY_ARG:
      cli_take(state, &a->metric, text, "metric");
      break;
    case ARGP_KEY_END:
      if (!a->metric) argp_error(state, "name the METRIC to export");
      if (!a->onnx) argp_error(state, "name the file to write: -o FILE.onnx");
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

int cli_export_onnx(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "METRIC -o FILE.onnx", .doc = doc};
  export_arguments a = {0};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  return hem_export_onnx(a.metric, a.onnx, &err) ? cli_fail(&err) : EXIT_DONE;
}
