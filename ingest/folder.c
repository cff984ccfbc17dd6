/* A folder for each category, and in it photos, or a folder for each item:
 *
 *   ROOT/[shop|consumer]/[train|validation|val|test]/<category>/<photo>
 *                                                   /<category>/<item>/<photo>
 *
 * The two levels in brackets may be missing or swapped. A photo that lies in its category's folder is an item of its
 * own, named like its file with its category before and without the ending; one that lies above all categories gets the
 * category "all". Folders are listed in the order of their names' bytes, and only those on the way to the current photo
 * are in memory.
 *
 * Hidden names and files that do not end like a photo (a README, say) are passed over. What ends like one is listed:
 * should it be none, or one of a kind that is not read, decoding it says so. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ingest/source.h"

enum { LEVELS_MAX = 5, COUNT_FORGETS = 4096 };

static const char *const endings[] = {"jpg",  "jpeg", "jpe",  "jfif", "png", "webp", "avif", "gif", "bmp", "tif",
                                      "tiff", "svg",  "heic", "heif", "jp2", "jxl",  "tga",  "psd", "dng"};

/* What the entries of a folder are. */
typedef enum role { CATEGORIES, ITEMS, PHOTOS } role;

typedef struct entry {
  const char *name;
  bool is_folder;
} entry;

/* A folder that is being listed. */
typedef struct level {
  entry *entries;
  size_t count, capacity, at;
  hem__arena names;
  size_t path_size; /* of the folder's own path */
  dev_t device;
  ino_t inode;
  role role;
  hem__usual usual;
  bool has_domain, has_split; /* said by a folder above */
} level;

typedef struct folder_source {
  hem__source source;
  char path[HEM__TEXT_MAX + 1]; /* of the entry being looked at */
  size_t root_size;
  hem__usual usual;
  level levels[LEVELS_MAX];
  size_t depth; /* levels that are open */
  hem__arena strings;
} folder_source;

/* ---- one folder ---- */

static bool is_photo_name(const char *name) {
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
    if (!strcasecmp(dot + 1, endings[i])) return true;
  return false;
}

static bool is_folder(DIR *folder, const struct dirent *e) {
  struct stat st;
  if (e->d_type != DT_LNK && e->d_type != DT_UNKNOWN) return e->d_type == DT_DIR;
  return fstatat(dirfd(folder), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

static hem_status list_entries(DIR *folder, const char *path, level *l, hem_error *err) {
  hem_status status = HEM_OK;
  for (;;) {
    errno = 0;
    struct dirent *e = readdir(folder);
    if (!e && errno) return hem__fail_errno(err, "cannot list %s", path);
    if (!e) break;
    if (e->d_name[0] == '.') continue;
    bool inner = is_folder(folder, e);
    if (!inner && !is_photo_name(e->d_name)) continue;
    status = hem__grow(&l->entries, &l->capacity, l->count + 1, sizeof *l->entries, "names in a folder", err);
    if (status) return status;
    entry *to = &l->entries[l->count];
    status = hem__arena_copy(&l->names, e->d_name, strlen(e->d_name), &to->name, err);
    if (status) return status;
    to->is_folder = inner;
    l->count++;
  }
  if (l->count) qsort(l->entries, l->count, sizeof *l->entries, by_name);
  return HEM_OK;
}

static void close_level(level *l) {
  free(l->entries);
  hem__arena_clear(&l->names);
  *l = (level){0};
}

/* Is this folder one of those that it lies in? Then a link leads back. */
static bool leads_back(const folder_source *s, const struct stat *st) {
  for (size_t i = 0; i < s->depth; i++)
    if (s->levels[i].device == st->st_dev && s->levels[i].inode == st->st_ino) return true;
  return false;
}

/* Opens the folder at s->path as the next level, in the role that `as` has already. */
static hem_status open_level(folder_source *s, level as, hem_error *err) {
  struct stat st;
  DIR *folder = opendir(s->path);
  if (!folder) return hem__fail_errno(err, "cannot list %s", s->path);
  hem_status status = HEM_OK;
  if (fstat(dirfd(folder), &st) != 0)
    status = hem__fail_errno(err, "cannot examine %s", s->path);
  else if (leads_back(s, &st))
    status = hem__fail(err, HEM_ECORRUPT, "a link that leads back to a folder which it lies in");
  if (!status) {
    as.device = st.st_dev;
    as.inode = st.st_ino;
    as.path_size = strlen(s->path);
    status = list_entries(folder, s->path, &as, err);
  }
  closedir(folder);
  if (status)
    close_level(&as);
  else
    s->levels[s->depth++] = as;
  return status;
}

/* ---- what a name means ---- */

static bool says_domain(const char *name, uint8_t *domain) {
  return hem__name_find(name, hem__domain_names, HEM__DOMAINS, domain);
}

/* "none" is a split where it is asked for, and a category here. */
static bool says_split(const char *name, uint8_t *split) {
  uint8_t found;
  if (!strcmp(name, "val")) name = hem__split_names[HEM__VALIDATION];
  if (!hem__name_find(name, hem__split_names, HEM__SPLITS, &found) || found == HEM__NO_SPLIT) return false;
  *split = found;
  return true;
}

/* What the folder `name` inside `parent` holds. */
static level level_inside(const level *parent, const char *name) {
  level inner = {.role = parent->role + 1,
                 .usual = parent->usual,
                 .has_domain = parent->has_domain,
                 .has_split = parent->has_split};
  if (parent->role != CATEGORIES) return inner;
  if (!inner.has_domain && says_domain(name, &inner.usual.domain)) {
    inner.has_domain = true;
    inner.role = CATEGORIES;
  } else if (!inner.has_split && says_split(name, &inner.usual.split)) {
    inner.has_split = true;
    inner.role = CATEGORIES;
  }
  return inner;
}

hem_status hem__usual_parse(const char *domain, const char *split, hem__usual *out, hem_error *err) {
  hem__usual usual = {0};
  if (domain && !says_domain(domain, &usual.domain))
    return hem__fail(err, HEM_EINVAL, "domain '%.64s' is neither shop nor consumer", domain);
  if (split && strcmp(split, "none") != 0 && !says_split(split, &usual.split))
    return hem__fail(err, HEM_EINVAL, "split '%.64s' is none of none, train, validation, test", split);
  *out = usual;
  return HEM_OK;
}

static const char *wrong_with_name(const char *name) {
  if (!hem__is_utf8(name)) return "its name is not UTF-8";
  for (; *name; name++)
    if ((unsigned char)*name < ' ' || *name == 0x7F) return "its name holds a control character, such as a line end";
  return NULL;
}

/* ---- listing ---- */

static hem_status keep(folder_source *s, const char *text, size_t size, const char **out, hem_error *err) {
  return hem__arena_copy(&s->strings, text, size, out, err);
}

static hem_status reject_entry(folder_source *s, const char *reason, hem__listed *out, hem_error *err) {
  hem__listed row = {.photo = {.item_id = "", .category = "", .label = ""}};
  for (char *c = s->path + s->levels[s->depth - 1].path_size; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 0x7F) *c = '?';
  hem_status status = keep(s, s->path, strlen(s->path), &row.photo.path, err);
  if (!status) status = keep(s, reason, strlen(reason), &row.reason, err);
  if (!status) *out = row;
  return status;
}

/* The name of the folder at level `i`: the end of its path, whose other end is its parent's. */
static const char *level_name(const folder_source *s, size_t i, size_t *size) {
  size_t start = s->levels[i - 1].path_size + 1;
  *size = s->levels[i].path_size - start;
  return s->path + start;
}

static hem_status list_photo(folder_source *s, hem__listed *out, hem_error *err) {
  const level *l = &s->levels[s->depth - 1];
  hem__listed row = {.photo = {.category = "all", .label = "", .domain = l->usual.domain, .split = l->usual.split}};
  const char *name = s->path + l->path_size + 1, *category = NULL;
  size_t item_size = (size_t)(strrchr(name, '.') - name), category_size = 0;
  if (l->role != CATEGORIES) category = level_name(s, s->depth - (l->role == PHOTOS ? 2 : 1), &category_size);
  if (l->role == PHOTOS) name = level_name(s, s->depth - 1, &item_size);
  if (l->role == ITEMS) { /* "dress/b7": another category's b7 is another item */
    item_size += category_size + 1;
    name = category;
  }
  hem_status status = keep(s, s->path, strlen(s->path), &row.photo.path, err);
  if (!status && category) status = keep(s, category, category_size, &row.photo.category, err);
  if (!status) status = keep(s, name, item_size, &row.photo.item_id, err);
  if (!status) *out = row;
  return status;
}

/* A folder that cannot be listed is rejected as a whole; the others go on. */
static hem_status enter(folder_source *s, const char *name, bool *listed, hem__listed *out, hem_error *err) {
  const level *parent = &s->levels[s->depth - 1];
  hem_error why = {0};
  *listed = true;
  if (parent->role == PHOTOS) return reject_entry(s, "folders go no deeper than <category>/<item>/<photo>", out, err);
  hem_status status = open_level(s, level_inside(parent, name), &why);
  if (status == HEM_ENOMEM) return hem__fail(err, status, "%s", why.message);
  if (status) return reject_entry(s, why.message, out, err);
  *listed = false;
  return HEM_OK;
}

static hem_status visit(folder_source *s, const entry *e, bool *listed, hem__listed *out, hem_error *err) {
  const level *l = &s->levels[s->depth - 1];
  size_t size = strlen(e->name);
  s->path[l->path_size] = '\0';
  *listed = true;
  if (l->path_size + 1 + size > HEM__TEXT_MAX)
    return reject_entry(s, "holds a name that makes a path longer than 4,096 bytes", out, err);
  s->path[l->path_size] = '/';
  memcpy(s->path + l->path_size + 1, e->name, size + 1);
  const char *wrong = wrong_with_name(e->name);
  if (wrong) return reject_entry(s, wrong, out, err);
  return e->is_folder ? enter(s, e->name, listed, out, err) : list_photo(s, out, err);
}

static hem_status folder_next(hem__source *source, hem__listed *out, bool *more, hem_error *err) {
  folder_source *s = (folder_source *)source;
  hem_status status = HEM_OK;
  bool listed = false;
  while (!status && !listed && s->depth) {
    level *l = &s->levels[s->depth - 1];
    if (l->at < l->count)
      status = visit(s, &l->entries[l->at++], &listed, out, err);
    else
      close_level(&s->levels[--s->depth]);
  }
  if (!status) *more = listed;
  return status;
}

static void folder_forget(hem__source *source) { hem__arena_clear(&((folder_source *)source)->strings); }

static void folder_close(hem__source *source) {
  folder_source *s = (folder_source *)source;
  if (!s) return;
  while (s->depth) close_level(&s->levels[--s->depth]);
  hem__arena_clear(&s->strings);
  free(s);
}

static hem_status open_root(folder_source *s, hem_error *err) {
  s->path[s->root_size] = '\0';
  return open_level(s, (level){.role = CATEGORIES, .usual = s->usual}, err);
}

/* Walked once beforehand, so that the run can say how long it will take. */
static hem_status count_all(folder_source *s, hem_error *err) {
  hem__listed listed;
  hem_status status = open_root(s, err);
  for (bool more = true; !status && more;) {
    status = folder_next(&s->source, &listed, &more, err);
    s->source.count += !status && more;
    if (s->source.count % COUNT_FORGETS == 0) folder_forget(&s->source);
  }
  folder_forget(&s->source);
  return status;
}

hem_status hem__source_folder(const char *path, hem__usual usual, hem__source **out, hem_error *err) {
  folder_source *s = NULL;
  char *real = realpath(path, NULL);
  if (!real) return hem__fail_errno(err, "cannot open %s", path);
  hem_status status = hem__alloc(1, sizeof *s, "a source", &s, err);
  if (status) goto exit;
  s->source = (hem__source){.next = folder_next,
                            .forget = folder_forget,
                            .look = hem__photo_file_look,
                            .read = hem__photo_file_read,
                            .close = folder_close};
  s->usual = usual;
  s->root_size = strlen(real);
  if (s->root_size > HEM__TEXT_MAX) {
    status = hem__fail(err, HEM_EINVAL, "%s: the path is longer than 4,096 bytes", path);
    goto exit;
  }
  memcpy(s->path, real, s->root_size + 1);
  status = count_all(s, err);
  if (!status) status = open_root(s, err);
  if (!status) *out = &s->source;
exit:
  if (status && s) folder_close(&s->source);
  free(real);
  return status;
}
