/* Lines, appended to files that are turned over: the access log, and what was asked and answered. */
#ifndef HEM_SERVE_JOURNAL_H
#define HEM_SERVE_JOURNAL_H

#include "base/status.h"

typedef struct hem__journal hem__journal;

typedef struct hem__journal_options {
  const char *path; /* a file; or, with `bytes_max`, a folder, made if missing, of files <name>-000001.jsonl ... */
  const char *name;
  size_t bytes_max; /* a file that has so many is followed by the next; 0: one file, which others may turn over */
  size_t files_max; /* so many stay */
} hem__journal_options;

/* Files are made readable for their owner only. Errors: EIO, ENOMEM. */
hem_status hem__journal_open(const hem__journal_options *options, hem__journal **out, hem_error *err);
void hem__journal_close(hem__journal *journal);
/* One line, ending in '\n', in one write. Any thread. What cannot be written is counted: asking goes on. */
void hem__journal_line(hem__journal *journal, const char *line, size_t size);
/* Opens the file of that name anew: its old one may have been moved away. */
void hem__journal_reopen(hem__journal *journal);
uint64_t hem__journal_lost(const hem__journal *journal);

#endif
