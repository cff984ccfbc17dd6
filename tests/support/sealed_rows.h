/* Catalogues whose every value follows from its row number, so that a test can say what must be read back. */
#ifndef HEM_TESTS_SUPPORT_SEALED_ROWS_H
#define HEM_TESTS_SUPPORT_SEALED_ROWS_H

#include "ingest/catalog.h"

enum { HEM__TEST_SPACES = 3 };

/* In memory, ready for hem__catalog_seal(path, &made.content, err). Must not be moved. */
typedef struct hem__test_catalog {
  hem__photos photos, rejected;
  float *vectors[HEM__TEST_SPACES];
  hem__matrix matrices[HEM__TEST_SPACES];
  hem__catalog_part part;
  hem__catalog_content content;
} hem__test_catalog;

/* Photos first, first + 1, ... in spaces "a+b" (2 + 3 values), "flat" (4 values) and "single" (1 value). */
void hem__test_catalog_init(hem__test_catalog *made, size_t first, size_t rows, size_t space_count);
void hem__test_catalog_clear(hem__test_catalog *made);

/* What photo `row` is; texts live until the next call. */
hem__photo hem__test_photo(size_t row);
float hem__test_value(size_t space, size_t row, size_t i);

/* Fails the test unless row `at` of the catalogue is photo `row`, in every column and space. */
void hem__test_check_row(const hem__catalog *catalog, size_t at, size_t row);
/* ... as format 1 kept it. */
void hem__test_check_row_1(const hem__catalog *catalog, size_t at, size_t row);

#endif
