/* --cnn and what belongs to it: the options of the command line that make a network's text. */
#ifndef HEM_CLI_NETWORKS_H
#define HEM_CLI_NETWORKS_H

#include "cli/cli.h"
#include "ingest/network.h"

enum { CLI_CNN = 512, CLI_PRESET, CLI_LAYER, CLI_PREPROCESS };
enum { CLI_NETWORKS_MAX = 16 };

#define CLI_NETWORK_OPTIONS                                                                                           \
  {"cnn", CLI_CNN, "FILE", 0, "An embedding space of a network: an ONNX file, or hemnet; may be repeated", 1},        \
      {"preset", CLI_PRESET, "NAME", 0, "It is one of those known: resnet50, vgg16, ... (see --preset help)", 1},     \
      {"layer", CLI_LAYER, "NAME", 0, "Its feature is this tensor (default: found in the file)", 1}, {                \
    "preprocess", CLI_PREPROCESS, "TEXT", 0, "How a photo is made ready for it, where not as preset: 'crop=192 ...'", \
        1                                                                                                             \
  }

/* Zeroed is empty. */
typedef struct cli_networks {
  hem__network_parts parts[CLI_NETWORKS_MAX];
  size_t count;
  char *texts[CLI_NETWORKS_MAX];
  hem__extractor *open[HEM__SPACES_MAX]; /* kept while the library uses the same networks: they are loaded once */
  size_t open_count;
} cli_networks;

/* argp's parser hands on what it does not know. Options before the first --cnn are the first one's. */
error_t cli_networks_option(cli_networks *networks, int key, char *text, struct argp_state *state);
/* Adds a space for each network to `features`, which has `room`; opens the networks of all spaces and prints on stderr
 * what is used of each. Borrowed strings live until cli_networks_clear. */
hem_status cli_networks_open(cli_networks *networks, const char **features, size_t *count, hem_error *err);
void cli_networks_clear(cli_networks *networks);

#endif
