#include "support/sealed_rows.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static const hem__space spaces[HEM__TEST_SPACES] = {
    {.name = "a+b",
     .features = "a,b",
     .recipe = "two blocks, made up",
     .hash = "1111111111111111111111111111111111111111111111111111111111111111",
     .dim = 5,
     .blocks = {{.name = "a", .offset = 0, .dim = 2}, {.name = "b", .offset = 2, .dim = 3}},
     .block_count = 2},
    {.name = "flat",
     .features = "flat",
     .recipe = "one block",
     .hash = "2222222222222222222222222222222222222222222222222222222222222222",
     .dim = 4,
     .blocks = {{.name = "flat", .offset = 0, .dim = 4}},
     .block_count = 1},
    {.name = "single",
     .features = "single",
     .recipe = "one value",
     .hash = "3333333333333333333333333333333333333333333333333333333333333333",
     .dim = 1,
     .blocks = {{.name = "single", .offset = 0, .dim = 1}},
     .block_count = 1},
};

hem__photo hem__test_photo(size_t row) {
  static char item[64], path[64];
  static const char *const categories[] = {"upper", "lower", "dress", "Kleid \xC3\xA4"};
  static const char *const labels[] = {"", "coat", "\xE6\x97\xA5\xE6\x9C\xAC"};
  snprintf(item, sizeof item, "item-%zu", row / 2);
  snprintf(path, sizeof path, "photos/\xC3\xA9t\xC3\xA9 %zu.jpg", row);
  int32_t n = (int32_t)(row % 1000);
  return (hem__photo){.item_id = item,
                      .category = categories[row % 4],
                      .label = labels[row % 3],
                      .path = path,
                      .domain = (uint8_t)(row % 2),
                      .split = (uint8_t)(row / 2 % 4),
                      .box = row % 5 ? (hem__box){n, n + 1, n + 2, n + 3, (uint8_t)(row % 2)} : (hem__box){0},
                      .width = (uint32_t)(row + 100),
                      .height = (uint32_t)(4000000000U - row),
                      .source = hem__sha256_of(path, strlen(path)),
                      .bytes = ((uint64_t)1 << 40) + row,
                      .mtime_ns = 1600000000000000000 - (int64_t)row};
}

float hem__test_value(size_t space, size_t row, size_t i) {
  return (float)(row % 4096) + (float)i / 8 - 1000 * (float)space;
}

void hem__test_catalog_init(hem__test_catalog *made, size_t first, size_t rows, size_t space_count) {
  *made = (hem__test_catalog){0};
  for (size_t i = 0; i < rows; i++) {
    hem__photo photo = hem__test_photo(first + i);
    ck_ok(hem__photos_add(&made->photos, &photo, err));
  }
  for (size_t s = 0; s < space_count; s++) {
    size_t dim = spaces[s].dim;
    ck_ok(hem__alloc(rows * dim, sizeof(float), "vectors", &made->vectors[s], err));
    for (size_t i = 0; i < rows * dim; i++) made->vectors[s][i] = hem__test_value(s, first + i / dim, i % dim);
    made->matrices[s] = (hem__matrix){.at = made->vectors[s], .rows = rows, .dim = dim};
  }
  made->part = (hem__catalog_part){.photos = made->photos.at, .count = made->photos.count, .vectors = made->matrices};
  made->content = (hem__catalog_content){
      .spaces = spaces, .space_count = space_count, .parts = &made->part, .part_count = 1, .rejected = &made->rejected};
}

void hem__test_catalog_clear(hem__test_catalog *made) {
  hem__photos_clear(&made->photos);
  hem__photos_clear(&made->rejected);
  for (size_t s = 0; s < HEM__TEST_SPACES; s++) free(made->vectors[s]);
  *made = (hem__test_catalog){0};
}

/* Asserts cost too much for a hundred thousand rows: one for each row. */
static void check_row(const hem__catalog *catalog, size_t at, size_t row, unsigned format) {
  const hem__photo *found = &hem__catalog_photos(catalog)->at[at];
  hem__photo wanted = hem__test_photo(row);
  if (format == 1) {
    wanted.bytes = 0;
    wanted.mtime_ns = 0;
    wanted.box.unit = HEM__PIXELS;
  }
  bool same = !strcmp(found->item_id, wanted.item_id) && !strcmp(found->category, wanted.category) &&
              !strcmp(found->label, wanted.label) && !strcmp(found->path, wanted.path) &&
              found->domain == wanted.domain && found->split == wanted.split && found->width == wanted.width &&
              found->height == wanted.height && hem__digest_equal(&found->source, &wanted.source) &&
              found->bytes == wanted.bytes && found->mtime_ns == wanted.mtime_ns &&
              found->box.unit == wanted.box.unit && memcmp(&found->box, &wanted.box, 4 * sizeof(int32_t)) == 0;
  if (!same) ck_abort_msg("row %zu is not photo %zu but %s", at, row, found->path);
  for (size_t s = 0; s < hem__catalog_space_count(catalog); s++) {
    hem__matrix m = hem__catalog_matrix(catalog, s);
    for (size_t i = 0; i < m.dim; i++)
      if (hem__row(m, at)[i] != hem__test_value(s, row, i))
        ck_abort_msg("space %zu row %zu value %zu differs", s, at, i);
  }
}

void hem__test_check_row(const hem__catalog *catalog, size_t at, size_t row) { check_row(catalog, at, row, 2); }
void hem__test_check_row_1(const hem__catalog *catalog, size_t at, size_t row) { check_row(catalog, at, row, 1); }
