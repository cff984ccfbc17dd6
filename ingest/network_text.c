/* The text of a network among features: written, read, and pointed at another file. Opens no model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ingest/network.h"

static const char PREFIX[] = "onnx:", OWN[] = "hemnet";

enum { PREFIX_SIZE = sizeof PREFIX - 1, OWN_SIZE = sizeof OWN - 1 };

bool hem__is_network(const char *feature) {
  if (strncmp(feature, PREFIX, PREFIX_SIZE) == 0) return true;
  return strncmp(feature, OWN, OWN_SIZE) == 0 && strchr(",?", feature[OWN_SIZE]) != NULL;
}

bool hem__has_network(const char *features) {
  for (const char *at = features; at; at = strchr(at, ','), at += at != NULL)
    if (hem__is_network(at)) return true;
  return false;
}

/* ---- writing ---- */

static void put_encoded(FILE *out, const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c <= ' ' || c == 0x7F || strchr(",?&%", c)) {
      fprintf(out, "%%%02X", c);
    } else {
      fputc(c, out);
    }
  }
}

static void put_option(FILE *out, const char *key, const char *value, char *before) {
  if (!value) return;
  fprintf(out, "%c%s=", *before, key);
  put_encoded(out, value);
  *before = '&';
}

hem_status hem__network_spec(const hem__network_parts *parts, char **text, hem_error *err) {
  char *made = NULL, *real = parts->model ? realpath(parts->model, NULL) : NULL, before = '?';
  size_t size;
  FILE *out = open_memstream(&made, &size);
  if (!out) goto no_memory;
  fputs(parts->model ? PREFIX : OWN, out);
  if (parts->model) put_encoded(out, real ? real : parts->model);
  put_option(out, "preset", parts->preset, &before);
  put_option(out, "layer", parts->layer, &before);
  put_option(out, "preprocess", parts->preprocess, &before);
  put_option(out, "normalise", parts->l2 ? "l2" : NULL, &before);
  bool failed = ferror(out) != 0;
  if (fclose(out) != 0 || failed) goto no_memory;
  free(real);
  if (!hem__is_utf8(made)) {
    free(made);
    return hem__fail(err, HEM_EINVAL,
                     "the path of a network, its layer and preprocessing must be UTF-8: rename the file");
  }
  *text = made;
  return HEM_OK;
no_memory:
  free(real);
  free(made);
  return hem__fail(err, HEM_ENOMEM, "no memory for a network's text");
}

/* ---- reading ---- */

static int hex(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                : -1;
}

/* In place. False: a % without two hex digits, or one that stands for the end of a string. */
static bool decode(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++) {
    if (*from != '%') {
      *to++ = *from;
      continue;
    }
    int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
    if (low < 0 || high * 16 + low == 0) return false;
    *to++ = (char)(high * 16 + low);
    from += 2;
  }
  *to = '\0';
  return true;
}

static hem_status read_option(char *option, hem__network_parts *out, hem_error *err) {
  char *value = strchr(option, '=');
  const char **place = NULL, *normalise = NULL;
  if (value) *value++ = '\0';
  if (!strcmp(option, "preset")) place = &out->preset;
  if (!strcmp(option, "layer")) place = &out->layer;
  if (!strcmp(option, "preprocess")) place = &out->preprocess;
  if (!strcmp(option, "normalise")) place = &normalise;
  if (!place || !value)
    return hem__fail(err, HEM_EINVAL,
                     "a network has no option '%.64s'; it has preset=, layer=, preprocess=, normalise=", option);
  if (*place || !decode(value) || !*value)
    return hem__fail(err, HEM_EINVAL, "a network's option %s= is empty, repeated, or has a %% without two hex digits",
                     option);
  *place = value;
  if (normalise && strcmp(normalise, "l2") != 0)
    return hem__fail(err, HEM_EINVAL, "a network's normalise=%.32s is not known; there is l2", normalise);
  out->l2 |= normalise != NULL;
  return HEM_OK;
}

hem_status hem__network_parse(const char *text, size_t size, hem__network_parts *out, char **memory, hem_error *err) {
  char *copy = NULL;
  hem_status status = hem__alloc(size + 1, 1, "a network's text", &copy, err);
  if (status) return status;
  hem__network_parts parts = {0};
  memcpy(copy, text, size);
  char *options = strchr(copy, '?');
  if (options) *options++ = '\0';
  if (!strncmp(copy, PREFIX, PREFIX_SIZE)) parts.model = copy + PREFIX_SIZE;
  if (parts.model && (!decode(copy + PREFIX_SIZE) || !*parts.model))
    status = hem__fail(err, HEM_EINVAL, "'%.128s' names no model file: write onnx:PATH", copy);
  for (char *option; !status && options && (option = strsep(&options, "&"));) status = read_option(option, &parts, err);
  if (status) {
    free(copy);
    return status;
  }
  *out = parts;
  *memory = copy;
  return HEM_OK;
}

/* ---- moving ---- */

hem_status hem__network_move(const char *features, const char *model, char **moved, hem_error *err) {
  const char *network = NULL;
  size_t networks = 0;
  for (const char *at = features; at; at = strchr(at, ','), at += at != NULL) {
    if (!hem__is_network(at)) continue;
    network = at;
    networks++;
  }
  if (networks != 1)
    return hem__fail(err, HEM_EINVAL, "'%.200s' %s: it is not clear what %s is the new place of", features,
                     networks ? "has several networks" : "has no network", model);
  hem__network_parts parts;
  char *memory = NULL, *text = NULL;
  hem_status status = hem__network_parse(network, strcspn(network, ","), &parts, &memory, err);
  if (!status) {
    parts.model = model;
    status = hem__network_spec(&parts, &text, err);
  }
  if (!status)
    status =
        hem__print(moved, err, "%.*s%s%s", (int)(network - features), features, text, network + strcspn(network, ","));
  free(text);
  free(memory);
  return status;
}
