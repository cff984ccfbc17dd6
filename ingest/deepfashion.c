/* The Consumer-to-Shop benchmark of DeepFashion (Liu, Luo, Qiu, Wang and Tang, CVPR 2016), as it is published:
 *
 *   ROOT/Eval/list_eval_partition.txt        count; names; customer's photo, shop's photo, item, train|val|test
 *   ROOT/Anno/list_bbox_consumer2shop.txt    count; names; photo, clothes_type, source_type, x_1 y_1 x_2 y_2
 *   ROOT/Img/img/... or ROOT/img/...         <FOLDER>/<Sub_Folder>/id_<item>/comsumer_01.jpg, shop_01.jpg
 *
 * ("comsumer" is the official spelling; "consumer" is taken too.) Columns are separated by runs of white space. Photos
 * are those of the partition, each once, in the order in which it first names them; other photos have no split.
 *
 * Categories: DRESSES/Skirt is "skirt", all else in DRESSES "dress", TOPS "upper", TROUSERS "lower". Any other folder,
 * such as CLOTHING, goes by the clothes_type (1 upper, 2 lower, 3 dress) of the item's first photo in the list of
 * boxes, and is "upper" where there is none: an item is in one category. The sub-folder becomes the label.
 *
 * Both lists are read whole: 60 MB of memory for the published 239,557 photos. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/lines.h"
#include "ingest/source.h"

enum { ROWS_MAX = 100 * 1000 * 1000, COLUMNS_MAX = 8 };

typedef enum listing { PARTITION, BOXES, LISTINGS } listing;
static const struct {
  const char *file, *columns[COLUMNS_MAX]; /* the columns end with NULL */
} listings[LISTINGS] = {
    {"Eval/list_eval_partition.txt", {"image_pair_name_1", "image_pair_name_2", "item_id", "evaluation_status"}},
    {"Anno/list_bbox_consumer2shop.txt", {"image_name", "clothes_type", "source_type", "x_1", "y_1", "x_2", "y_2"}}};

/* A photo's box, or why it has none. */
typedef struct box_row {
  hem__box box;
  const char *wrong; /* static */
  uint32_t line;
} box_row;

/* A row of what is listed: a photo, or a rejection. */
typedef struct entry {
  const char *path;  /* inside the folder of photos; NULL: line `line` of the partition is rejected */
  const char *wrong; /* not NULL: why it is rejected; static */
  uint32_t item, line;
  uint8_t domain, split;
} entry;

typedef struct item {
  const char *id;
  uint8_t split, clothes_type; /* HEM__NO_SPLIT, 0: not known yet */
  bool torn;                   /* in two splits: none of its photos is listed */
} item;

typedef struct deepfashion_source {
  hem__source source;
  char *files[LISTINGS]; /* their paths */
  char *photos;          /* the folder of photos */
  hem__set boxed;        /* photos in the list of boxes */
  box_row *boxes;
  hem__set paired; /* photos in the partition */
  entry *rows;
  hem__set item_ids;
  item *items;
  size_t box_capacity, row_count, row_capacity, item_capacity, at;
  hem__arena names, strings; /* names: of the sets; strings: of what was listed */
  bool whole;
} deepfashion_source;

/* ---- lines ---- */

/* Splits a line in place at white space; returns how many columns it has, COLUMNS_MAX + 1 for more than that. */
static size_t split(char *text, char *columns[COLUMNS_MAX]) {
  static const char white[] = " \t\r\v\f";
  size_t count = 0;
  for (char *at = text + strspn(text, white); *at; at += strspn(at, white), count++) {
    if (count == COLUMNS_MAX) return COLUMNS_MAX + 1;
    columns[count] = at;
    at += strcspn(at, white);
    if (*at) *at++ = '\0';
  }
  return count;
}

static bool parse_number(const char *text, long *out) {
  char *end;
  *out = strtol(text, &end, 10);
  return end != text && *end == '\0';
}

/* The two lines that every list starts with. A list with other columns is another list; one with fewer or more rows
 * than it says was cut off or edited. */
static hem_status check_header(hem__lines *lines, listing which, uint64_t line_count, hem_error *err) {
  char *text, *columns[COLUMNS_MAX];
  size_t size, count;
  bool more;
  long rows;
  hem_status status = hem__lines_next(lines, &text, &size, &more, err);
  if (status) return status;
  if (!more || split(text, columns) != 1 || !parse_number(columns[0], &rows) || rows < 0 || rows > ROWS_MAX)
    return hem__fail(err, HEM_ECORRUPT, "%s: its first line is not the number of rows", lines->path);
  if ((status = hem__lines_next(lines, &text, &size, &more, err))) return status;
  count = more ? split(text, columns) : 0;
  for (size_t i = 0; i < COLUMNS_MAX; i++) {
    const char *wanted = listings[which].columns[i];
    if (!wanted && i == count) break;
    if (i >= count || !wanted || strcmp(columns[i], wanted) != 0)
      return hem__fail(err, HEM_ECORRUPT,
                       "%s: its second line names other columns than DeepFashion's: column %zu is %s", lines->path,
                       i + 1, wanted ? wanted : "one too many");
  }
  if ((uint64_t)rows + 2 != line_count)
    return hem__fail(err, HEM_ECORRUPT, "%s says it has %ld rows and has %" PRIu64 ": it is cut off or was edited",
                     lines->path, rows, line_count - 2);
  return HEM_OK;
}

/* Takes one row. `wrong`: what is wrong with its line, of which only columns[0] is there, or NULL if not even that. */
typedef hem_status row_reader(deepfashion_source *s, char **columns, uint32_t line, const char *wrong, hem_error *err);

static hem_status read_rows(deepfashion_source *s, listing which, hem__lines *lines, row_reader *read, hem_error *err) {
  size_t wanted = 0;
  while (listings[which].columns[wanted]) wanted++;
  for (;;) {
    char *text, *columns[COLUMNS_MAX] = {NULL};
    size_t size;
    bool more;
    hem_status status = hem__lines_next(lines, &text, &size, &more, err);
    if (status || !more) return status;
    if (lines->number > UINT32_MAX) return hem__fail(err, HEM_ECORRUPT, "%s has too many lines", lines->path);
    const char *wrong = NULL;
    if (strlen(text) != size)
      wrong = "the line is too long, or has a zero byte";
    else if (split(text, columns) != wanted)
      wrong = "the line has another number of columns than the header";
    status = read(s, columns, (uint32_t)lines->number, wrong, err);
    if (status) return status;
  }
}

static hem_status read_list(deepfashion_source *s, listing which, row_reader *read, hem_error *err) {
  hem__lines lines = {.fd = -1};
  uint64_t count = 0;
  hem_status status = hem__lines_open(s->files[which], &lines, err);
  if (!status) status = hem__lines_count(&lines, &count, err);
  if (!status) status = check_header(&lines, which, count, err);
  if (!status) status = read_rows(s, which, &lines, read, err);
  hem__lines_close(&lines);
  return status;
}

/* ---- names of photos ---- */

/* "img/TOPS/T_Shirt/id_00001342/shop_01.jpg" in parts. They point into the name. */
typedef struct photo_name {
  const char *path; /* behind "img/" */
  const char *parts[4];
  size_t sizes[4];
} photo_name;
enum { FOLDER, SUBFOLDER, ITEM, FILE_NAME };

static bool part_is(const photo_name *name, int part, const char *text) {
  return strlen(text) == name->sizes[part] && memcmp(name->parts[part], text, name->sizes[part]) == 0;
}

static bool parse_photo(const char *text, photo_name *out) {
  out->path = strncmp(text, "img/", 4) == 0 ? text + 4 : text;
  const char *at = out->path;
  for (int i = FOLDER; i <= FILE_NAME; i++) {
    size_t size = strcspn(at, "/");
    if (size == 0 || *at == '.' || at[size] != (i < FILE_NAME ? '/' : '\0')) return false;
    out->parts[i] = at;
    out->sizes[i] = size;
    at += size + 1;
  }
  return strncmp(out->parts[ITEM], "id_", 3) == 0 && !part_is(out, FOLDER, "img");
}

static bool find_domain(const photo_name *name, uint8_t *domain) {
  const char *file = name->parts[FILE_NAME];
  bool shop = !strncmp(file, "shop_", 5);
  *domain = shop ? HEM__SHOP : HEM__CONSUMER;
  return shop || !strncmp(file, "comsumer_", 9) || !strncmp(file, "consumer_", 9);
}

static const char *category_of(const photo_name *name, const item *of) {
  if (part_is(name, FOLDER, "DRESSES")) return part_is(name, SUBFOLDER, "Skirt") ? "skirt" : "dress";
  if (part_is(name, FOLDER, "TOPS")) return "upper";
  if (part_is(name, FOLDER, "TROUSERS")) return "lower";
  return of->clothes_type == 3 ? "dress" : of->clothes_type == 2 ? "lower" : "upper";
}

/* The text's number in the set; *is_new says that it was not there before. Copies it. */
static hem_status number_of(deepfashion_source *s, hem__set *set, const char *text, size_t size, size_t *number,
                            bool *is_new, hem_error *err) {
  const char *kept;
  char *key = strndup(text, size);
  if (!key) return hem__fail(err, HEM_ENOMEM, "no memory for a name");
  *number = hem__set_find(set, key);
  *is_new = *number == SIZE_MAX;
  hem_status status = HEM_OK;
  if (*is_new) {
    status = hem__arena_copy(&s->names, key, size, &kept, err);
    if (!status) status = hem__set_add(set, kept, number, err);
  }
  free(key);
  return status;
}

static hem_status find_item(deepfashion_source *s, const photo_name *name, uint32_t *out, hem_error *err) {
  size_t number = 0;
  bool is_new = false;
  const char *id = name->parts[ITEM];
  hem_status status = number_of(s, &s->item_ids, id, name->sizes[ITEM], &number, &is_new, err);
  if (!status && is_new) status = hem__grow(&s->items, &s->item_capacity, number + 1, sizeof *s->items, "items", err);
  if (!status && is_new) {
    s->items[number] = (item){0};
    status = hem__arena_copy(&s->names, id, name->sizes[ITEM], &s->items[number].id, err);
  }
  if (!status) *out = (uint32_t)number;
  return status;
}

/* ---- the list of boxes ---- */

static const char *parse_box(char **columns, hem__box *box, uint8_t *clothes_type) {
  long type, source, corner[4];
  if (!parse_number(columns[1], &type) || type < 1 || type > 3) return "its clothes_type is none of 1, 2, 3";
  if (!parse_number(columns[2], &source) || source < 1 || source > 2) return "its source_type is neither 1 nor 2";
  *clothes_type = (uint8_t)type;
  for (int i = 0; i < 4; i++) {
    if (!parse_number(columns[3 + i], &corner[i]) || labs(corner[i]) > INT32_MAX)
      return "its box is not four whole numbers";
    if (corner[i] < 0) corner[i] = 0; /* a box that begins outside is cut at the photo's edge */
  }
  if (corner[2] <= corner[0] || corner[3] <= corner[1])
    return "its box is empty: x_2 and y_2 must be beyond x_1 and y_1";
  *box = (hem__box){.x = (int32_t)corner[0],
                    .y = (int32_t)corner[1],
                    .width = (int32_t)(corner[2] - corner[0]),
                    .height = (int32_t)(corner[3] - corner[1]),
                    .unit = HEM__PIXELS};
  return NULL;
}

static hem_status read_box(deepfashion_source *s, char **columns, uint32_t line, const char *wrong, hem_error *err) {
  photo_name name;
  box_row row = {.line = line};
  uint8_t clothes_type = 0;
  size_t number = 0;
  uint32_t of = 0;
  bool is_new = false;
  /* A row that names no photo is nobody's: the photo that it was meant for will be found to have none. */
  if (!columns[0] || !parse_photo(columns[0], &name)) return HEM_OK;
  row.wrong = wrong ? wrong : parse_box(columns, &row.box, &clothes_type);
  hem_status status = number_of(s, &s->boxed, name.path, strlen(name.path), &number, &is_new, err);
  if (status) return status;
  if (!is_new) {
    s->boxes[number].wrong = "it has two boxes";
    return HEM_OK;
  }
  status = hem__grow(&s->boxes, &s->box_capacity, number + 1, sizeof *s->boxes, "boxes", err);
  if (status) return status;
  s->boxes[number] = row;
  status = find_item(s, &name, &of, err);
  if (!status && !s->items[of].clothes_type) s->items[of].clothes_type = clothes_type;
  return status;
}

/* ---- the partition ---- */

static hem_status add_row(deepfashion_source *s, entry add, hem_error *err) {
  hem_status status = hem__grow(&s->rows, &s->row_capacity, s->row_count + 1, sizeof *s->rows, "photos", err);
  if (!status) s->rows[s->row_count++] = add;
  return status;
}

static hem_status reject_line(deepfashion_source *s, uint32_t line, const char *wrong, hem_error *err) {
  return add_row(s, (entry){.wrong = wrong, .line = line}, err);
}

static bool parse_split(const char *text, uint8_t *split) {
  static const char *const names[] = {"train", "val", "test"};
  for (size_t i = 0; i < 3; i++)
    if (!strcmp(text, names[i])) {
      *split = (uint8_t)(HEM__TRAIN + i);
      return true;
    }
  return false;
}

static hem_status add_photo(deepfashion_source *s, const photo_name *name, entry add, hem_error *err) {
  size_t number = 0;
  bool is_new = false;
  hem_status status = number_of(s, &s->paired, name->path, strlen(name->path), &number, &is_new, err);
  if (status || !is_new) return status;
  find_domain(name, &add.domain);
  status = hem__arena_copy(&s->names, name->path, strlen(name->path), &add.path, err);
  return status ? status : add_row(s, add, err);
}

/* A pair: two photos of one item. The item keeps the split that it was first seen in; a second one tears it. */
static hem_status read_pair(deepfashion_source *s, char **columns, uint32_t line, const char *wrong, hem_error *err) {
  photo_name names[2];
  entry add = {.line = line};
  uint8_t domain;
  if (wrong) return reject_line(s, line, wrong, err);
  for (size_t i = 0; i < 2; i++) {
    if (!parse_photo(columns[i], &names[i]) || !find_domain(&names[i], &domain))
      return reject_line(s, line, "a photo's name is not FOLDER/Sub_Folder/id_.../comsumer_... or shop_...", err);
    if (!part_is(&names[i], ITEM, columns[2]))
      return reject_line(s, line, "a photo lies in another item's folder than the pair says", err);
  }
  if (!parse_split(columns[3], &add.split))
    return reject_line(s, line, "the evaluation_status is none of train, val, test", err);
  hem_status status = find_item(s, &names[0], &add.item, err);
  if (status) return status;
  item *of = &s->items[add.item];
  if (of->split && of->split != add.split) of->torn = true;
  if (!of->split) of->split = add.split;
  for (size_t i = 0; i < 2 && !status; i++) status = add_photo(s, &names[i], add, err);
  return status;
}

/* ---- listing ---- */

static hem_status keep(deepfashion_source *s, const char *text, size_t size, const char **out, hem_error *err) {
  return hem__arena_copy(&s->strings, text, size, out, err);
}

static hem_status keep_printed(deepfashion_source *s, char *text, const char **out, hem_error *err) {
  hem_status status = keep(s, text, strlen(text), out, err);
  free(text);
  return status;
}

/* The photo's box, or *reason why it cannot be used. */
static hem_status find_box(deepfashion_source *s, const entry *r, hem__box *box, const char **reason, hem_error *err) {
  char *text = NULL;
  hem_status status = HEM_OK;
  size_t number = hem__set_find(&s->boxed, r->path);
  if (number != SIZE_MAX && !s->boxes[number].wrong) {
    *box = s->boxes[number].box;
    return HEM_OK;
  }
  status = number == SIZE_MAX
               ? hem__print(&text, err, "%s has no box for it (whole photos can be had)", s->files[BOXES])
               : hem__print(&text, err, "%s:%u: %s", s->files[BOXES], s->boxes[number].line, s->boxes[number].wrong);
  return status ? status : keep_printed(s, text, reason, err);
}

static hem_status list_photo(deepfashion_source *s, const entry *r, hem__listed *out, hem_error *err) {
  photo_name name = {0};
  char *path = NULL;
  const item *of = &s->items[r->item];
  parse_photo(r->path, &name);
  out->photo.domain = r->domain;
  out->photo.split = r->split;
  out->photo.category = category_of(&name, of);
  out->photo.item_id = of->id;
  hem_status status = keep(s, name.parts[SUBFOLDER], name.sizes[SUBFOLDER], &out->photo.label, err);
  if (!status) status = hem__print(&path, err, "%s/%s", s->photos, r->path);
  if (!status) status = keep_printed(s, path, &out->photo.path, err);
  if (!status && of->torn) out->reason = "its item is in two splits of Eval/list_eval_partition.txt";
  if (!status && !out->reason && !s->whole) status = find_box(s, r, &out->photo.box, &out->reason, err);
  return status;
}

static hem_status deepfashion_next(hem__source *source, hem__listed *out, bool *more, hem_error *err) {
  deepfashion_source *s = (deepfashion_source *)source;
  char *where = NULL;
  hem_status status;
  if (!(*more = s->at < s->row_count)) return HEM_OK;
  const entry *r = &s->rows[s->at];
  hem__listed listed = {
      .number = s->at, .line = r->line, .reason = r->wrong, .photo = {.item_id = "", .category = "", .label = ""}};
  if (r->path) {
    status = list_photo(s, r, &listed, err);
  } else {
    status = hem__print(&where, err, "%s:%u", s->files[PARTITION], r->line);
    if (!status) status = keep_printed(s, where, &listed.photo.path, err);
  }
  if (status) return status;
  s->at++;
  *out = listed;
  return HEM_OK;
}

static void deepfashion_forget(hem__source *source) { hem__arena_clear(&((deepfashion_source *)source)->strings); }

static void deepfashion_close(hem__source *source) {
  deepfashion_source *s = (deepfashion_source *)source;
  if (!s) return;
  hem__set_clear(&s->boxed);
  hem__set_clear(&s->paired);
  hem__set_clear(&s->item_ids);
  free(s->boxes);
  free(s->rows);
  free(s->items);
  hem__arena_clear(&s->names);
  hem__arena_clear(&s->strings);
  for (size_t i = 0; i < LISTINGS; i++) free(s->files[i]);
  free(s->photos);
  free(s);
}

/* ---- opening ---- */

static hem_status find_photos(const char *root, char **out, hem_error *err) {
  static const char *const places[] = {"Img/img", "img"};
  for (size_t i = 0; i < 2; i++) {
    hem_status status = hem__print(out, err, "%s/%s", root, places[i]);
    if (status || hem__path_exists(*out)) return status;
    free(*out);
    *out = NULL;
  }
  return hem__fail(err, HEM_ENOTFOUND,
                   "%s has neither a folder Img/img nor img: unpack the photos of DeepFashion there", root);
}

static hem_status open_lists(deepfashion_source *s, const char *root, hem_error *err) {
  hem_status status = HEM_OK;
  for (size_t i = 0; i < LISTINGS && !status; i++)
    status = hem__print(&s->files[i], err, "%s/%s", root, listings[i].file);
  if (!status) status = find_photos(root, &s->photos, err);
  /* Whole photos need no boxes, but what is there still tells kinds of clothes. */
  if (!status && (!s->whole || hem__path_exists(s->files[BOXES]))) status = read_list(s, BOXES, read_box, err);
  return status ? status : read_list(s, PARTITION, read_pair, err);
}

hem_status hem__source_deepfashion(const char *root, bool whole, hem__source **out, hem_error *err) {
  deepfashion_source *s = NULL;
  char *real = realpath(root, NULL);
  if (!real) return hem__fail_errno(err, "cannot open %s", root);
  hem_status status = hem__alloc(1, sizeof *s, "a source", &s, err);
  if (status) goto exit;
  s->source = (hem__source){.next = deepfashion_next,
                            .forget = deepfashion_forget,
                            .look = hem__photo_file_look,
                            .read = hem__photo_file_read,
                            .close = deepfashion_close};
  s->whole = whole;
  status = open_lists(s, real, err);
  if (status) {
    deepfashion_close(&s->source);
    goto exit;
  }
  s->source.count = s->row_count;
  s->source.listing = s->files[PARTITION];
  *out = &s->source;
exit:
  free(real);
  return status;
}
