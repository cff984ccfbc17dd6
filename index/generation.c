#include "index/generation.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CURRENT_SIZE = 6 + 1 + 64 + 1 };
#define SEAL "manifest.sha256" /* for `sha256sum -c`, and for a generation that is current no more */

/* "000017" -> 17; 0 for every other name. */
static size_t number_of(const char *name) {
  size_t number = 0;
  for (size_t i = 0; i < 6; i++) {
    if (name[i] < '0' || name[i] > '9') return 0;
    number = number * 10 + (size_t)(name[i] - '0');
  }
  return name[6] == '\0' ? number : 0;
}

hem_distance hem__index_distance(const hem__generation_category *category, hem_distance distance) {
  bool projected = strncmp(category->factory, "PCA", 3) == 0;
  return projected && distance == HEM_COSINE ? HEM_L2 : distance;
}

/* ---- reading ---- */

static hem_status read_current(const char *store, char name[16], hem__digest *digest, hem_error *err) {
  char *path = NULL;
  hem__map map = {0};
  hem_status status = hem__print(&path, err, "%s/CURRENT", store);
  if (!status) status = hem__map_open(path, &map, err);
  if (status && errno == ENOTDIR)
    status =
        hem__fail(err, HEM_EINVAL, "%s is no store: if it is a catalogue, 'hemline index' makes a store of it", store);
  if (status == HEM_ENOTFOUND)
    status = hem__fail(err, HEM_ENOTFOUND,
                       "%s holds no published generation: make one with 'hemline index CATALOG -o %s'", store, store);
  if (status) goto exit;
  char text[CURRENT_SIZE + 1] = "";
  if (map.size == CURRENT_SIZE) memcpy(text, map.at, CURRENT_SIZE);
  bool fine = text[6] == ' ' && text[CURRENT_SIZE - 1] == '\n';
  text[6] = '\0';
  if (fine && number_of(text) && hem__digest_parse(text + 7, digest)) {
    memcpy(name, text, 7);
  } else {
    status = hem__fail(err, HEM_ECORRUPT,
                       "%s is damaged: it must be a generation's number and a SHA-256; restore it, or remove the "
                       "store and index again",
                       path);
  }
exit:
  hem__map_close(&map);
  free(path);
  return status;
}

static hem_status check_file(const hem__map *map, const hem__digest *wanted, const char *path, hem_error *err) {
  hem__digest found = hem__sha256_of(map->at, map->size);
  if (hem__digest_equal(&found, wanted)) return HEM_OK;
  return hem__fail(err, HEM_ECORRUPT, "%s is damaged: its checksum is wrong", path);
}

/* The manifest of the generation that `out` names, if its digest is `out`'s. */
static hem_status read_manifest(const char *store, hem__generation *g, hem_error *err) {
  char *path = NULL;
  hem__map map = {0};
  hem_status status = hem__print(&g->folder, err, "%s/generations/%s", store, g->name);
  if (!status) status = hem__print(&path, err, "%s/manifest.json", g->folder);
  if (!status) status = hem__map_open(path, &map, err);
  if (!status) status = check_file(&map, &g->digest, path, err);
  if (!status) status = hem__manifest_parse((const char *)map.at, map.size, path, &g->manifest, err);
  hem__map_close(&map);
  free(path);
  return status;
}

hem_status hem__generation_open(const char *store, hem__generation *out, hem_error *err) {
  hem__generation g = {0};
  hem_status status = read_current(store, g.name, &g.digest, err);
  if (!status) status = read_manifest(store, &g, err);
  if (status) {
    hem__generation_close(&g);
    return status;
  }
  *out = g;
  return HEM_OK;
}

/* What CURRENT said of it while it was current. */
static hem_status read_seal(const char *store, const char *name, hem__digest *digest, hem_error *err) {
  char *path = NULL, hex[65] = "";
  uint8_t *bytes = NULL;
  size_t size = 0;
  hem_status status = hem__print(&path, err, "%s/generations/%s/" SEAL, store, name);
  if (!status) status = hem__file_read(path, &bytes, &size, err);
  if (!status && size >= 64) memcpy(hex, bytes, 64);
  if (!status && !hem__digest_parse(hex, digest)) status = hem__fail(err, HEM_ECORRUPT, "%s is damaged", path);
  free(bytes);
  free(path);
  return status;
}

hem_status hem__generation_open_old(const char *store, const char *name, hem__generation *out, hem_error *err) {
  hem__generation g = {0};
  hem_status status = HEM_OK;
  if (strlen(name) != 6 || !number_of(name))
    status = hem__fail(err, HEM_EINVAL, "'%.40s' is no generation: they are called 000001 and so on", name);
  if (!status) memcpy(g.name, name, 7);
  if (!status) status = read_seal(store, name, &g.digest, err);
  if (!status) status = read_manifest(store, &g, err);
  if (status) {
    hem__generation_close(&g);
    return status;
  }
  *out = g;
  return HEM_OK;
}

void hem__generation_close(hem__generation *g) {
  hem__manifest_clear(&g->manifest);
  free(g->folder);
  *g = (hem__generation){0};
}

hem_status hem__generation_map(const hem__generation *g, const hem__generation_file *file, hem__map *out,
                               hem_error *err) {
  char *path = NULL;
  hem__map map = {0};
  hem_status status = hem__print(&path, err, "%s/%s", g->folder, file->name);
  if (!status) status = hem__map_open(path, &map, err);
  if (!status && map.size != file->size)
    status = hem__fail(err, HEM_ECORRUPT, "%s has %zu bytes and should have %llu: it was cut off or added to", path,
                       map.size, (unsigned long long)file->size);
  if (!status) status = check_file(&map, &file->digest, path, err);
  if (status) {
    hem__map_close(&map);
  } else {
    *out = map;
  }
  free(path);
  return status;
}

/* ---- writing ---- */

/* The number of "000017" and of "000017.tmp"; 0 for every other name: what we did not make is not ours to touch. */
static size_t own_number(const char *name, bool *finished) {
  char digits[7] = "";
  if (strlen(name) < 6) return 0;
  memcpy(digits, name, 6);
  *finished = name[6] == '\0';
  return *finished || !strcmp(name + 6, ".tmp") ? number_of(digits) : 0;
}

/* Removes left-overs and the generations outside [oldest, current]; later numbers were never made current. */
static hem_status sweep_folder(const char *folder, size_t oldest, size_t current, hem_error *err) {
  hem_status status = HEM_OK;
  DIR *listing = opendir(folder);
  if (!listing) return hem__fail_errno(err, "cannot list %s", folder);
  for (struct dirent *entry; !status && (entry = readdir(listing));) {
    bool finished;
    size_t number = own_number(entry->d_name, &finished);
    if (number == 0 || (finished && number >= oldest && number <= current)) continue;
    char *path = NULL;
    status = hem__print(&path, err, "%s/%s", folder, entry->d_name);
    if (!status) status = hem__remove_tree(path, err);
    free(path);
  }
  closedir(listing);
  return status;
}

static hem_status sweep(const char *store, size_t current, size_t keep, hem_error *err) {
  char *folder = NULL;
  hem_status status = hem__print(&folder, err, "%s/generations", store);
  if (!status) status = sweep_folder(folder, current > keep ? current - keep : 1, current, err);
  free(folder);
  return status;
}

/* A first build that was killed leaves 000001 and no CURRENT. A second generation without CURRENT means that
 * CURRENT was lost, and what it named with it: nothing may be swept then. */
static hem_status check_not_lost(const char *store, hem_error *err) {
  char *path = NULL;
  hem_status status = hem__print(&path, err, "%s/generations/000002", store);
  if (!status && hem__path_exists(path))
    status = hem__fail(err, HEM_ECORRUPT,
                       "%s/CURRENT is missing though generations are there: restore it, or remove "
                       "the store and index again",
                       store);
  free(path);
  return status;
}

/* The number of the current generation; 0 when none was published yet. */
static hem_status current_number(const char *store, size_t *number, hem_error *err) {
  char name[16];
  hem__digest digest;
  hem_status status = read_current(store, name, &digest, err);
  *number = status ? 0 : number_of(name);
  return status == HEM_ENOTFOUND ? check_not_lost(store, err) : status;
}

static hem_status make_folders(hem__publication *p, hem_error *err) {
  char *path = NULL;
  size_t current = 0;
  hem_status status = hem__make_folder(p->store, err);
  if (!status) status = hem__print(&path, err, "%s/lock", p->store);
  if (!status) status = hem__lock_take(path, p->store, &p->lock, err);
  free(path);
  path = NULL;
  if (!status) status = hem__print(&path, err, "%s/generations", p->store);
  if (!status) status = hem__make_folder(path, err);
  if (!status) status = current_number(p->store, &current, err);
  if (!status) status = sweep(p->store, current, current, err);
  if (!status && current >= 999999)
    status = hem__fail(err, HEM_EUNSUPPORTED, "%s has used up its 999,999 numbers", p->store);
  if (!status) {
    snprintf(p->name, sizeof p->name, "%06zu", current + 1);
    status = hem__print(&p->final, err, "%s/%s", path, p->name);
  }
  if (!status) status = hem__print(&p->folder, err, "%s.tmp", p->final);
  if (!status) status = hem__make_folder(p->folder, err);
  free(path);
  return status;
}

hem_status hem__publication_open(const char *store, hem__publication *out, hem_error *err) {
  hem__publication p = {.lock = {.fd = -1}};
  hem_status status = hem__strdup(store, &p.store, err);
  if (!status) status = make_folders(&p, err);
  if (status) {
    hem__publication_close(&p);
    return status;
  }
  *out = p;
  return HEM_OK;
}

hem_status hem__publication_file(const hem__publication *p, const char *name, hem__aside **out, hem_error *err) {
  char *path = NULL;
  hem_status status = hem__print(&path, err, "%s/%s", p->folder, name);
  if (!status) status = hem__aside_new(path, out, err);
  free(path);
  return status;
}

hem_status hem__publication_finish_file(hem__aside *file, const char *name, hem__generation_file *out, hem_error *err) {
  hem_status status = hem__aside_publish(file, &out->size, &out->digest, err);
  return status ? status : hem__strdup(name, &out->name, err);
}

hem_status hem__publication_remove(const hem__publication *p, hem__generation_file *file, hem_error *err) {
  char *path = NULL;
  hem_status status = hem__print(&path, err, "%s/%s", p->folder, file->name);
  if (!status) status = hem__remove_tree(path, err);
  free(path);
  free(file->name);
  *file = (hem__generation_file){0};
  return status;
}

static hem_status write_text(const char *path, const char *text, size_t size, hem__digest *digest, hem_error *err) {
  hem__aside *file = NULL;
  hem_status status = hem__aside_new(path, &file, err);
  if (!status) status = hem__aside_write(file, text, size, err);
  if (!status) status = hem__aside_publish(file, NULL, digest, err);
  hem__aside_free(file);
  return status;
}

static hem_status write_in(const hem__publication *p, const char *name, const char *text, size_t size,
                           hem__digest *digest, hem_error *err) {
  char *path = NULL;
  hem_status status = hem__print(&path, err, "%s/%s", p->folder, name);
  if (!status) status = write_text(path, text, size, digest, err);
  free(path);
  return status;
}

/* From here on it is what readers open. */
static hem_status make_current(hem__publication *p, const hem__digest *digest, size_t keep, hem_error *err) {
  char *path = NULL, current[CURRENT_SIZE + 1], hex[65];
  hem_status status = hem__rename(p->folder, p->final, err);
  if (status) return status;
  hem__digest_hex(digest, hex);
  snprintf(current, sizeof current, "%.6s %s\n", p->name, hex);
  status = hem__print(&path, err, "%s/CURRENT", p->store);
  if (!status) status = write_text(path, current, CURRENT_SIZE, NULL, err);
  if (!status) status = sweep(p->store, number_of(p->name), keep, err);
  free(path);
  return status;
}

hem_status hem__publication_finish(hem__publication *p, const hem__manifest *manifest, size_t keep, hem_error *err) {
  char *json = NULL, hex[65], seal[128];
  size_t size;
  hem__digest digest;
  hem_status status = hem__manifest_print(manifest, &json, &size, err);
  if (!status) status = write_in(p, "manifest.json", json, size, &digest, err);
  free(json);
  if (status) return status;
  hem__digest_hex(&digest, hex);
  int seal_size = snprintf(seal, sizeof seal, "%s  manifest.json\n", hex);
  status = write_in(p, SEAL, seal, (size_t)seal_size, NULL, err);
  return status ? status : make_current(p, &digest, keep, err);
}

/* ---- an old one again ---- */

static hem_status link_file(const hem__publication *p, const hem__generation *from, const char *name, hem_error *err) {
  char *old = NULL, *new = NULL;
  hem_status status = hem__print(&old, err, "%s/%s", from->folder, name);
  if (!status) status = hem__print(&new, err, "%s/%s", p->folder, name);
  if (!status && link(old, new)) status = hem__fail_errno(err, "cannot link %s to %s", new, old);
  free(old);
  free(new);
  return status;
}

static hem_status link_checked(const hem__publication *p, const hem__generation *from, const hem__generation_file *file,
                               hem_error *err) {
  hem__map map = {0};
  if (!file->name) return HEM_OK;
  hem_status status = hem__generation_map(from, file, &map, err);
  hem__map_close(&map);
  return status ? status : link_file(p, from, file->name, err);
}

hem_status hem__publication_repeat(hem__publication *p, const hem__generation *from, hem_error *err) {
  const hem__manifest *m = &from->manifest;
  hem_status status = link_checked(p, from, &m->gallery, err);
  if (!status) status = link_checked(p, from, &m->tuning, err);
  if (!status) status = link_checked(p, from, &m->metric.file, err);
  if (!status) status = link_checked(p, from, &m->metric.quantiser, err);
  for (size_t i = 0; i < m->category_count && !status; i++) {
    status = link_checked(p, from, &m->categories[i].vectors, err);
    if (!status) status = link_checked(p, from, &m->categories[i].index, err);
    if (!status) status = link_checked(p, from, &m->categories[i].points, err);
  }
  if (!status) status = link_file(p, from, "manifest.json", err);
  if (!status) status = link_file(p, from, SEAL, err);
  if (!status) status = hem__sync(p->folder, err);
  return status ? status : make_current(p, &from->digest, SIZE_MAX, err);
}

void hem__publication_close(hem__publication *p) {
  /* After a rename there is nothing under this name any more. */
  if (p->folder) hem__remove_tree(p->folder, NULL);
  hem__lock_drop(&p->lock);
  free(p->final);
  free(p->folder);
  free(p->store);
  *p = (hem__publication){.lock = {.fd = -1}};
}
