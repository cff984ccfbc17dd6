/* Going back to an older generation.
 *
 * It is published once more, under a new number, by links to the same files: numbers only ever grow, so a reader or a
 * log never meets one number with two meanings, and what holds for publishing (killed at any point, the last good state
 * stays) holds here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/generation.h"

/* The newest before the current one that is still there. */
static hem_status find_before(const char *store, const char *current, char name[16], hem_error *err) {
  size_t number = strtoul(current, NULL, 10);
  while (--number > 0) {
    char *path = NULL;
    snprintf(name, 16, "%06u", (unsigned)number % 1000000u);
    hem_status status = hem__print(&path, err, "%s/generations/%s", store, name);
    bool there = !status && hem__path_exists(path);
    free(path);
    if (status || there) return status;
  }
  return hem__fail(err, HEM_ENOTFOUND,
                   "%s has no generation before %s any more ('hemline index --keep' says how many stay)", store,
                   current);
}

hem_status hem_rollback(const char *store, const char *generation, char out[16], hem_error *err) {
  hem__publication p = {.lock = {.fd = -1}};
  hem__generation current = {0}, old = {0};
  char name[16] = "";
  if (!store || !out) return hem__fail(err, HEM_EINVAL, "hem_rollback: name a store, and where the number goes");
  hem_status status = hem__generation_open(store, &current, err);
  if (!status) status = hem__publication_open(store, &p, err); /* from here on nobody else publishes */
  if (!status && !generation) status = find_before(store, current.name, name, err);
  if (!status && generation && !strcmp(generation, current.name))
    status = hem__fail(err, HEM_EINVAL, "%s is current in %s already", generation, store);
  if (!status) status = hem__generation_open_old(store, generation ? generation : name, &old, err);
  if (!status) status = hem__publication_repeat(&p, &old, err);
  if (!status) memcpy(out, p.name, sizeof p.name);
  hem__publication_close(&p);
  hem__generation_close(&old);
  hem__generation_close(&current);
  return status;
}
