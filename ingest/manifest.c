/* A listing of photos: TSV, or CSV as in RFC 4180 without line ends inside quotes. The file is mapped and
 * read line by line, so a listing of a million rows starts at once. A row that makes no sense is rejected
 * with its line number; it never stops the run. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ingest/source.h"

enum { COLUMNS_MAX = 64, LINE_MAX_BYTES = 1 << 16 };

typedef enum meaning { PATH, ITEM_ID, CATEGORY, DOMAIN, SPLIT, LABEL, BOX, MEANINGS, IGNORED = MEANINGS } meaning;
static const char *const meaning_names[MEANINGS] = {"path", "item_id", "category", "domain", "split", "label", "box"};

typedef struct manifest_source {
  hem__source source;
  char *path, *folder; /* folder: where relative paths start */
  uint8_t *bytes;      /* of the whole listing */
  size_t size, at, line;
  char separator;
  meaning columns[COLUMNS_MAX];
  size_t column_count;
  hem__arena strings;
  char *text; /* the line being read */
  const char *field_at[MEANINGS];
} manifest_source;

/* ---- lines and fields ---- */

/* Copies the next line that is not empty. *size is its whole length, which may be more than was copied. */
static bool next_line(manifest_source *s, size_t *size) {
  while (s->at < s->size) {
    const char *start = (const char *)s->bytes + s->at;
    const char *end = memchr(start, '\n', s->size - s->at);
    size_t length = end ? (size_t)(end - start) : s->size - s->at;
    s->at += length + (end != NULL);
    s->line++;
    if (length && start[length - 1] == '\r') length--;
    if (length == 0) continue;
    size_t kept = hem__min(length, LINE_MAX_BYTES);
    memcpy(s->text, start, kept);
    s->text[kept] = '\0';
    *size = length;
    return true;
  }
  return false;
}

/* Takes one field off *rest, unquoted in place; NULL where a quote is not closed. */
static char *take_field(char **rest, char separator) {
  char *at = *rest;
  if (separator != ',' || *at != '"') {
    char *end = strchr(at, separator);
    *rest = end ? end + 1 : NULL;
    if (end) *end = '\0';
    return at;
  }
  char *out = at, *in = at + 1;
  for (; *in; in++) {
    if (*in == '"' && in[1] != '"') break;
    if (*in == '"') in++;
    *out++ = *in;
  }
  if (*in != '"' || (in[1] && in[1] != separator)) return NULL;
  *rest = in[1] ? in + 2 : NULL;
  *out = '\0';
  return at;
}

/* ---- the header ---- */

static hem_status read_header(manifest_source *s, hem_error *err) {
  size_t size;
  if (!next_line(s, &size))
    return hem__fail(err, HEM_ECORRUPT, "%s is empty: its first line must name the columns", s->path);
  char *rest = s->text;
  if (!strncmp(rest, "\xEF\xBB\xBF", 3)) rest += 3; /* a byte-order mark */
  bool seen[MEANINGS] = {false};
  while (rest) {
    const char *name = take_field(&rest, s->separator);
    if (!name || s->column_count == COLUMNS_MAX)
      return hem__fail(err, HEM_ECORRUPT, "%s line 1: not a header of at most %d columns", s->path, COLUMNS_MAX);
    meaning m = PATH;
    while (m < MEANINGS && strcmp(name, meaning_names[m]) != 0) m++;
    if (m < MEANINGS && seen[m]) return hem__fail(err, HEM_ECORRUPT, "%s line 1: column '%s' twice", s->path, name);
    if (m < MEANINGS) seen[m] = true;
    s->columns[s->column_count++] = m;
  }
  if (!seen[PATH])
    return hem__fail(
        err, HEM_ECORRUPT,
        "%s line 1: no column 'path'; known columns are path, item_id, category, domain, split, label, box", s->path);
  return HEM_OK;
}

/* ---- rows ---- */

/* Four whole numbers, "x,y,width,height". */
static bool parse_box(const char *text, hem__box *out) {
  long values[4];
  for (int i = 0; i < 4; i++) {
    char *end;
    values[i] = strtol(text, &end, 10);
    if (end == text || values[i] < 0 || values[i] > INT32_MAX || *end != (i < 3 ? ',' : '\0')) return false;
    text = end + 1;
  }
  *out = (hem__box){(int32_t)values[0], (int32_t)values[1], (int32_t)values[2], (int32_t)values[3], HEM__PIXELS};
  return values[2] > 0 && values[3] > 0;
}

static bool parse_name(const char *text, const char *const *names, size_t count, uint8_t *out) {
  for (size_t i = 0; i < count; i++)
    if (!strcmp(text, names[i])) {
      *out = (uint8_t)i;
      return true;
    }
  return false;
}

/* Fills the photo from the row's fields; returns what is wrong with it, or NULL. */
static const char *parse_row(manifest_source *s, hem__photo *photo, size_t size) {
  const char **f = s->field_at;
  for (size_t i = 0; i < MEANINGS; i++) f[i] = "";
  if (size > LINE_MAX_BYTES) return "the line is longer than 65,536 bytes";
  if (strlen(s->text) != size) return "the line has a zero byte";
  char *rest = s->text;
  for (size_t i = 0; i < s->column_count; i++) {
    if (!rest) return "the line has fewer columns than the header";
    const char *field = take_field(&rest, s->separator);
    if (!field) return "a quote is not closed";
    if (s->columns[i] != IGNORED) f[s->columns[i]] = field;
  }
  if (rest) return "the line has more columns than the header";
  if (!*f[PATH]) return "the path is empty";
  if (strlen(f[PATH]) + (*f[PATH] == '/' ? 0 : strlen(s->folder) + 1) > HEM__TEXT_MAX)
    return "the path is longer than 4,096 bytes";
  if (*f[DOMAIN] && !parse_name(f[DOMAIN], hem__domain_names, HEM__DOMAINS, &photo->domain))
    return "the domain is neither shop nor consumer";
  if (*f[SPLIT] && !parse_name(f[SPLIT], hem__split_names, HEM__SPLITS, &photo->split))
    return "the split is none of none, train, validation, test";
  if (*f[BOX] && !parse_box(f[BOX], &photo->box)) return "the box is not x,y,width,height in pixels";
  return NULL;
}

static hem_status keep(manifest_source *s, const char *text, const char **out, hem_error *err) {
  return hem__arena_copy(&s->strings, text, strlen(text), out, err);
}

static hem_status keep_path(manifest_source *s, const char *path, const char **out, hem_error *err) {
  if (*path == '/') return keep(s, path, out, err);
  char *whole = NULL;
  hem_status status = hem__print(&whole, err, "%s/%s", s->folder, path);
  if (!status) status = keep(s, whole, out, err);
  free(whole);
  return status;
}

static hem_status manifest_next(hem__source *source, hem__listed *out, bool *more, hem_error *err) {
  manifest_source *s = (manifest_source *)source;
  size_t size;
  if (!(*more = next_line(s, &size))) return HEM_OK;
  hem__listed row = {0};
  const char *wrong = parse_row(s, &row.photo, size);
  const char **f = s->field_at;
  char where[PATH_MAX + 64];
  if (wrong) {
    snprintf(where, sizeof where, "%s:%zu", s->path, s->line);
    hem_status status = keep(s, where, &row.photo.path, err);
    row.reason = wrong;
    row.photo.item_id = row.photo.category = row.photo.label = "";
    *out = row;
    return status;
  }
  /* A photo without an item is an item of its own; without a category it is searched with its like. */
  row.line = s->line;
  hem_status status = keep_path(s, f[PATH], &row.photo.path, err);
  if (!status) status = keep(s, *f[ITEM_ID] ? f[ITEM_ID] : row.photo.path, &row.photo.item_id, err);
  if (!status) status = keep(s, *f[CATEGORY] ? f[CATEGORY] : "all", &row.photo.category, err);
  if (!status) status = keep(s, f[LABEL], &row.photo.label, err);
  if (!status) *out = row;
  return status;
}

static void manifest_forget(hem__source *source) { hem__arena_clear(&((manifest_source *)source)->strings); }

static void manifest_close(hem__source *source) {
  manifest_source *s = (manifest_source *)source;
  if (!s) return;
  free(s->bytes);
  hem__arena_clear(&s->strings);
  free(s->text);
  free(s->folder);
  free(s->path);
  free(s);
}

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcasecmp(text + a - b, end) == 0;
}

/* The listing's folder from the root on: the same listing names the same photos wherever it is read from. */
static hem_status find_folder(const char *path, char **out, hem_error *err) {
  char *real = realpath(path, NULL);
  if (!real) return hem__fail_errno(err, "cannot open %s", path);
  *strrchr(real, '/') = '\0';
  *out = real;
  return HEM_OK;
}

hem_status hem__source_manifest(const char *path, hem__source **out, hem_error *err) {
  manifest_source *s = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a source", &s, err);
  if (status) return status;
  s->source = (hem__source){.next = manifest_next,
                            .forget = manifest_forget,
                            .look = hem__photo_file_look,
                            .read = hem__photo_file_read,
                            .close = manifest_close};
  s->separator = ends_with(path, ".csv") ? ',' : '\t';
  status = hem__strdup(path, &s->path, err);
  s->source.listing = s->path;
  if (!status) status = find_folder(path, &s->folder, err);
  if (!status) status = hem__alloc(LINE_MAX_BYTES + 1, 1, "a line", &s->text, err);
  if (!status) status = hem__file_read(path, &s->bytes, &s->size, err);
  if (!status) status = read_header(s, err);
  if (status) {
    manifest_close(&s->source);
    return status;
  }
  *out = &s->source;
  return HEM_OK;
}
