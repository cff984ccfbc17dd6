/* --cnn and what belongs to it. */
#include "cli/networks.h"

#include <stdlib.h>
#include <string.h>

#include "ingest/preprocess.h"

static void list_presets(void) {
  for (const hem__preset *p = hem__presets; p->name; p++) {
    printf("%-14s %s\n", p->name, p->preprocess);
    if (p->dim) printf("%-14s %zu values; ", "", p->dim);
    printf("%s\n", p->source);
  }
  exit(EXIT_DONE);
}

error_t cli_networks_option(cli_networks *n, int key, char *text, struct argp_state *state) {
  hem__network_parts *part = &n->parts[n->count ? n->count - 1 : 0];
  const char **place = NULL;
  switch (key) {
    case CLI_CNN:
      if (n->count == CLI_NETWORKS_MAX) argp_error(state, "at most %d networks", CLI_NETWORKS_MAX);
      n->parts[n->count++].model = text;
      return 0;
    case CLI_PRESET:
      if (!strcmp(text, "help")) list_presets();
      place = &part->preset;
      break;
    case CLI_LAYER:
      place = &part->layer;
      break;
    case CLI_PREPROCESS:
      place = &part->preprocess;
      break;
    case ARGP_KEY_END:
      if (!n->count && (part->preset || part->layer || part->preprocess))
        argp_error(state, "--preset, --layer and --preprocess belong to a network: name it with --cnn");
      return 0;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  if (*place)
    argp_error(state, "'%s' is a second value for one network: put each network's options behind its --cnn", text);
  *place = text;
  return 0;
}

hem_status cli_networks_open(cli_networks *n, const char **features, size_t *count, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < n->count && !status; i++) {
    hem__network_parts parts = n->parts[i];
    if (!strcmp(parts.model, "hemnet")) parts.model = NULL;
    status = hem__network_spec(&parts, &n->texts[i], err);
    if (!status && *count == HEM__SPACES_MAX)
      status = hem__fail(err, HEM_EINVAL, "more than %d embedding spaces", HEM__SPACES_MAX);
    if (!status) features[(*count)++] = n->texts[i];
  }
  for (size_t i = 0; i < *count && !status; i++) {
    if (!hem__has_network(features[i])) continue;
    hem__extractor **x = &n->open[n->open_count];
    status = hem__extractor_new(features[i], x, err);
    if (status) break;
    n->open_count++;
    fputs(hem__extractor_about(*x), stderr);
  }
  return status;
}

void cli_networks_clear(cli_networks *n) {
  for (size_t i = 0; i < n->count; i++) free(n->texts[i]);
  for (size_t i = 0; i < n->open_count; i++) hem__extractor_free(n->open[i]);
}
