/* Which catalogue a store's rows are rows of. */
#ifndef HEM_QUERY_ROWS_H
#define HEM_QUERY_ROWS_H

#include "ingest/catalog.h"

/* Rows move when photos are replaced or deleted. So what asks a store for catalogue rows, or reads a hit's row in a
 * catalogue, checks first that it is the file the store was built from, byte for byte. Stores that do not say which it
 * was, built by Hemline before it noted that, pass. Errors: EMISMATCH. */
hem_status hem__engine_check_rows(const hem_engine *engine, const hem__catalog *catalog, hem_error *err);

#endif
