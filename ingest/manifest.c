/* A listing of photos: TSV, or CSV as in RFC 4180 without line ends inside quotes. It is read in blocks, so a listing
 * of a million rows starts at once and takes no memory. A row that makes no sense is rejected with its line number; it
 * never stops the run. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"
#include "ingest/source.h"

enum { COLUMNS_MAX = 64, MILLION = 1000000 };

typedef enum meaning { PATH, ITEM_ID, CATEGORY, DOMAIN, SPLIT, LABEL, BOX, MEANINGS, IGNORED = MEANINGS } meaning;
static const char *const meaning_names[MEANINGS] = {"path", "item_id", "category", "domain", "split", "label", "box"};

typedef struct manifest_source {
  hem__source source;
  char *path, *folder; /* folder: where relative paths start */
  char *real;          /* the listing's path from the root on: rejected lines are named by it in every run */
  char *vectors;       /* not NULL: row i describes vector i of this file, and needs no path */
  hem__lines lines;
  size_t row; /* the next one, counting those that are rejected */
  char separator;
  meaning columns[COLUMNS_MAX];
  size_t column_count;
  hem__arena strings;
  const char *field_at[MEANINGS];
} manifest_source;

/* ---- fields ---- */

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

static hem_status read_names(manifest_source *s, char *rest, bool seen[MEANINGS], hem_error *err) {
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
  return HEM_OK;
}

static hem_status read_header(manifest_source *s, hem_error *err) {
  size_t size = 0;
  char *text = NULL;
  bool more = false, seen[MEANINGS] = {false}, any = false;
  hem_status status = hem__lines_next(&s->lines, &text, &size, &more, err);
  if (status) return status;
  if (!more) return hem__fail(err, HEM_ECORRUPT, "%s is empty: its first line must name the columns", s->path);
  if (!strncmp(text, "\xEF\xBB\xBF", 3)) text += 3; /* a byte-order mark */
  status = read_names(s, text, seen, err);
  if (status) return status;
  for (meaning m = PATH; m < MEANINGS; m++) any |= seen[m];
  if (seen[PATH] || (s->vectors && any)) return HEM_OK;
  return hem__fail(err, HEM_ECORRUPT,
                   "%s line 1: no column %s; known columns are path, item_id, category, domain, split, label, box",
                   s->path, s->vectors ? "that is known" : "'path'");
}

/* ---- rows ---- */

/* Digits, and perhaps a point and more digits; in millionths. */
static bool parse_number(const char **text, int64_t *out, bool *has_point) {
  const char *at = *text;
  int64_t value = 0, digit_worth = MILLION;
  size_t digits = 0;
  for (; *at >= '0' && *at <= '9' && digits < 10; at++, digits++) value = value * 10 + (*at - '0');
  value *= MILLION;
  if (*at == '.') {
    *has_point = true;
    for (at++; *at >= '0' && *at <= '9'; at++, digits++) value += (*at - '0') * (digit_worth /= 10);
  }
  *text = at;
  *out = value;
  return digits > 0;
}

/* "x,y,width,height". With a decimal point somewhere and nothing above 1 they are parts of the photo's width and
 * height, else pixels, rounded: detectors write 12.73. Without a point they are always pixels. */
static bool parse_box(const char *text, hem__box *out) {
  int64_t values[4], largest = 0;
  bool has_point = false;
  for (int i = 0; i < 4; i++) {
    while (*text == ' ') text++;
    if (!parse_number(&text, &values[i], &has_point) || *text != (i < 3 ? ',' : '\0')) return false;
    text += i < 3;
    if (values[i] > largest) largest = values[i];
  }
  bool relative = has_point && largest <= MILLION;
  for (int i = 0; i < 4; i++) values[i] = relative ? values[i] : (values[i] + MILLION / 2) / MILLION;
  if (!relative && largest > (int64_t)INT32_MAX * MILLION) return false;
  *out = (hem__box){(int32_t)values[0], (int32_t)values[1], (int32_t)values[2], (int32_t)values[3],
                    relative ? HEM__MILLIONTHS : HEM__PIXELS};
  return values[2] > 0 && values[3] > 0;
}

/* Fills the photo from the row's fields; returns what is wrong with it, or NULL. */
static const char *parse_row(manifest_source *s, hem__photo *photo, char *text, size_t size) {
  const char **f = s->field_at;
  for (size_t i = 0; i < MEANINGS; i++) f[i] = "";
  if (size > HEM__LINE_MAX) return "the line is longer than 65,536 bytes";
  if (strlen(text) != size) return "the line has a zero byte";
  char *rest = text;
  for (size_t i = 0; i < s->column_count; i++) {
    if (!rest) return "the line has fewer columns than the header";
    const char *field = take_field(&rest, s->separator);
    if (!field) return "a quote is not closed";
    if (s->columns[i] != IGNORED) f[s->columns[i]] = field;
  }
  if (rest) return "the line has more columns than the header";
  if (!*f[PATH] && !s->vectors) return "the path is empty";
  if (strlen(f[PATH]) + (*f[PATH] == '/' ? 0 : strlen(s->folder) + 1) > HEM__TEXT_MAX)
    return "the path is longer than 4,096 bytes";
  if (*f[DOMAIN] && !hem__name_find(f[DOMAIN], hem__domain_names, HEM__DOMAINS, &photo->domain))
    return "the domain is neither shop nor consumer";
  if (*f[SPLIT] && !hem__name_find(f[SPLIT], hem__split_names, HEM__SPLITS, &photo->split))
    return "the split is none of none, train, validation, test";
  if (*f[BOX] && !parse_box(f[BOX], &photo->box))
    return "the box is not x,y,width,height, in pixels or as parts of the photo (0.1,0.2,0.5,0.5)";
  return NULL;
}

static hem_status keep(manifest_source *s, const char *text, const char **out, hem_error *err) {
  return hem__arena_copy(&s->strings, text, strlen(text), out, err);
}

static hem_status keep_path(manifest_source *s, const char *path, size_t row, const char **out, hem_error *err) {
  if (*path == '/') return keep(s, path, out, err);
  char *whole = NULL;
  hem_status status =
      *path ? hem__print(&whole, err, "%s/%s", s->folder, path) : hem__print(&whole, err, "%s#%zu", s->vectors, row);
  if (!status) status = keep(s, whole, out, err);
  free(whole);
  return status;
}

static hem_status reject_row(manifest_source *s, hem__listed *row, const char *reason, hem_error *err) {
  char where[PATH_MAX + 64];
  snprintf(where, sizeof where, "%s:%zu", s->real, s->lines.number);
  row->reason = reason;
  row->photo = (hem__photo){.item_id = "", .category = "", .label = ""};
  return keep(s, where, &row->photo.path, err);
}

/* A photo without an item is an item of its own; without a category it is searched with its like. */
static hem_status keep_row(manifest_source *s, hem__listed *row, hem_error *err) {
  const char **f = s->field_at;
  row->line = s->lines.number;
  hem_status status = keep_path(s, f[PATH], row->number, &row->photo.path, err);
  if (!status) status = keep(s, *f[ITEM_ID] ? f[ITEM_ID] : row->photo.path, &row->photo.item_id, err);
  if (!status) status = keep(s, *f[CATEGORY] ? f[CATEGORY] : "all", &row->photo.category, err);
  if (!status) status = keep(s, f[LABEL], &row->photo.label, err);
  return status;
}

static hem_status manifest_next(hem__source *source, hem__listed *out, bool *more, hem_error *err) {
  manifest_source *s = (manifest_source *)source;
  char *text = NULL;
  size_t size = 0;
  hem_status status = hem__lines_next(&s->lines, &text, &size, more, err);
  if (status || !*more) return status;
  hem__listed row = {.number = s->row++};
  const char *wrong = parse_row(s, &row.photo, text, size);
  status = wrong ? reject_row(s, &row, wrong, err) : keep_row(s, &row, err);
  if (!status) *out = row;
  return status;
}

static void manifest_forget(hem__source *source) { hem__arena_clear(&((manifest_source *)source)->strings); }

static void manifest_close(hem__source *source) {
  manifest_source *s = (manifest_source *)source;
  if (!s) return;
  hem__lines_close(&s->lines);
  hem__arena_clear(&s->strings);
  free(s->vectors);
  free(s->real);
  free(s->folder);
  free(s->path);
  free(s);
}

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcasecmp(text + a - b, end) == 0;
}

/* The listing's folder from the root on: the same listing names the same photos wherever it is read from. */
static hem_status find_folder(manifest_source *s, hem_error *err) {
  s->real = realpath(s->path, NULL);
  if (!s->real) return hem__fail_errno(err, "cannot open %s", s->path);
  s->source.listing = s->real;
  hem_status status = hem__strdup(s->real, &s->folder, err);
  if (!status) *strrchr(s->folder, '/') = '\0';
  return status;
}

hem_status hem__source_manifest_of(const char *path, const char *vectors, hem__source **out, hem_error *err) {
  manifest_source *s = NULL;
  hem_status status = hem__alloc(1, sizeof *s, "a source", &s, err);
  if (status) return status;
  s->source = (hem__source){.next = manifest_next,
                            .forget = manifest_forget,
                            .look = hem__photo_file_look,
                            .read = hem__photo_file_read,
                            .close = manifest_close};
  s->lines.fd = -1;
  s->separator = ends_with(path, ".csv") ? ',' : '\t';
  status = hem__strdup(path, &s->path, err);
  if (!status && vectors) status = hem__strdup(vectors, &s->vectors, err);
  if (!status) status = find_folder(s, err);
  if (!status) status = hem__lines_open(path, &s->lines, err);
  if (!status) status = hem__lines_count(&s->lines, &s->source.count, err);
  if (!status) status = read_header(s, err);
  if (status) {
    manifest_close(&s->source);
    return status;
  }
  s->source.count--; /* the header */
  *out = &s->source;
  return HEM_OK;
}

hem_status hem__source_manifest(const char *path, hem__source **out, hem_error *err) {
  return hem__source_manifest_of(path, NULL, out, err);
}
